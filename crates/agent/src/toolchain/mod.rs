//! Toolchains: what has to be in an input root so that a compile runs there exactly as here, without anything else of
//! this machine.
//!
//! A compile is given by the compiler as found, its command line, directory and environment. The answer is a list of
//! files, links and directories at their absolute paths ([`Entry`]), the name to call the compiler by and the
//! variables to call it with; headers and sources are the scanner's business. Everything that could make a difference
//! to what the compiler prints or writes is there; where that cannot be known, there is a reason instead
//! ([`NoToolchain`]).
//!
//! An answer is found once per compiler and options that matter, takes some processes and the hashing of some dozens of
//! megabytes (`identify`), and is kept for as long as nothing that it relies on changes (`known`): each compile checks
//! that with one look at each program and library (`relied`). An upgrade in mid-build so gives the next compile the new
//! toolchain.
//!
//! What is not known here: files that a plugin reads by itself, and what a wrapper in ELF format reads besides the
//! compiler that it runs. A compile that fails for such a reason fails for a missing file, and is made again locally.

mod answer;
mod ask;
mod call;
mod clang;
mod digests;
mod elf;
mod identify;
mod known;
mod ld_cache;
mod libraries;
mod locale;
mod manifest;
mod places;
mod programs;
mod relied;
mod search_path;
mod why;
mod words;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;

use cmdline::{Family, Language};
use store::Digest;

pub use known::Toolchains;
pub use manifest::{Content, Entry, Node};
pub use why::NoToolchain;

/// The words of a command line that decide which toolchain it needs.
#[must_use]
pub fn told_words(args: &[OsString]) -> Vec<OsString> {
    words::Words::of(args).told
}

/// A compile, as a command to be run here.
///
/// # Errors
/// There is no compiler.
pub fn command(call: &Call<'_>) -> Result<std::process::Command, NoToolchain> {
    ask::compile(call)
}

/// Variables that an answer depends on. Sorted.
const VARIABLES: &[&str] = &[
    "CCC_OVERRIDE_OPTIONS",
    "COMPILER_PATH",
    "GCC_EXEC_PREFIX",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "LD_LIBRARY_PATH",
    "LOCPATH",
    "PATH",
];

/// Where the C library looks for programs when there is no `PATH` (`_CS_PATH`).
const PATH_DEFAULT: &str = "/bin:/usr/bin";

/// What a toolchain has to be able to compile. GCC has a program of some thirty megabytes for each language, and most
/// compiles need only one of them; Clang is one program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Sources {
    /// Whatever the compiler can.
    #[default]
    Any,
    /// Assembler, which is preprocessed by the program for C.
    Assembler,
    /// One language, with the assembler that its compiler runs.
    Of(Language),
}

/// One compile, as far as it matters.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The compiler as it was called.
    pub compiler: &'a OsStr,
    /// Where it is; relative to the working directory unless absolute.
    pub compiler_path: &'a Path,
    /// The words after it, response files expanded.
    pub args: &'a [OsString],
    /// The working directory; absolute.
    pub cwd: &'a Path,
    /// The environment, as far as the shim forwards it.
    pub env: &'a [(OsString, OsString)],
    /// What is compiled.
    pub sources: Sources,
}

/// A compiler with everything that it needs.
#[derive(Debug, Clone)]
pub struct Toolchain {
    entries: Vec<Entry>,
    digest: Digest,
    program: OsString,
    env: Vec<(OsString, OsString)>,
    implied: Vec<OsString>,
    family: Family,
    version: String,
    version_text: String,
    machine: &'static str,
    files: usize,
    bytes: u64,
}

impl Toolchain {
    /// What has to be in the root, in the order of the paths.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The identity: the same for the same entries, on any machine.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The program to run in the root and its `argv[0]`: a path, relative to the working directory if it was called so.
    #[must_use]
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// The variables that the toolchain needs, with values for the root: `PATH` holds only the directories that matter,
    /// the locale is named by category. No other of [`Toolchain::variables`] may be set.
    #[must_use]
    pub fn env(&self) -> &[(OsString, OsString)] {
        &self.env
    }

    /// The names of all variables that the toolchain decides about.
    #[must_use]
    pub fn variables() -> &'static [&'static str] {
        VARIABLES
    }

    /// Options that the compiler's configuration gives to every compile and that name further sources (`-include`,
    /// `-imacros`, each with its file): the scanner has to be told of them, the compiler must not.
    #[must_use]
    pub fn implied_includes(&self) -> &[OsString] {
        &self.implied
    }

    /// Whose command line it has.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// `gcc` or `clang`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.family {
            Family::Gcc => "gcc",
            Family::Clang => "clang",
        }
    }

    /// `12.2.0`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The line in which the compiler tells its version.
    #[must_use]
    pub fn version_text(&self) -> &str {
        &self.version_text
    }

    /// For which machine its programs are, as `uname -m` names it; empty if that is not known.
    #[must_use]
    pub fn machine(&self) -> &'static str {
        self.machine
    }

    /// How many regular files it has.
    #[must_use]
    pub fn files(&self) -> usize {
        self.files
    }

    /// How many bytes they have together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// `gcc 12.2.0, 31 files, 80 MiB, digest 0123456789ab`.
impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}, {} files, {} MiB, digest {}",
            self.name(),
            self.version,
            self.files,
            self.bytes.div_ceil(1 << 20),
            &self.digest.hex()[..12],
        )
    }
}

/// The directories in which programs are looked for.
fn path_variable(env: &[(OsString, OsString)]) -> &OsStr {
    variable(env, "PATH").unwrap_or(OsStr::new(PATH_DEFAULT))
}

/// A variable of a compile's environment.
fn variable<'a>(env: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsStr> {
    env.iter()
        .find_map(|(key, value)| (key == name).then_some(value.as_os_str()))
}
