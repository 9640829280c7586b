//! What a server lets a client run: exactly one plain compile, which reads and writes nothing else.

use std::ffi::{OsStr, OsString};
use std::fmt;

/// How the source reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Protocols 1 and 2: one preprocessed file. Preprocessor options are harmless leftovers and are dropped.
    Preprocessed,
    /// Protocol 3: the source and its headers are files below the job's own root.
    Files,
}

/// Where a path stands on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathAt {
    /// Index of the word in [`ServerCommand::argv`].
    pub word: usize,
    /// Bytes of the word before the path begins, 2 for `-Idir`, 0 for a word of its own.
    pub offset: usize,
}

/// A compile that a server may run, with its own file names to be put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCommand {
    /// The command, compiler name first, already free of options that must not reach the compiler.
    pub argv: Vec<OsString>,
    /// The word of `argv` that is the source.
    pub source: PathAt,
    /// The word of `argv` that is the output.
    pub output: PathAt,
    /// Extension of a preprocessed source of this language, without a dot: `i`, `ii`, `mi`, `mii`.
    pub preprocessed: &'static str,
    /// `-S` was given: the output is assembler text.
    pub assembler_text: bool,
    /// Protocol 3: words that name input files or directories, to be moved below the job's root if absolute.
    pub paths: Vec<PathAt>,
    /// Protocol 3: what the client wants in the dependency file (`None`: it did not ask; stock sends one anyway).
    pub dependency: Option<crate::Dependency>,
}

impl ServerCommand {
    /// The argv (compiler name first) with the server's own names for source and output.
    #[must_use]
    pub fn argv_for(&self, _source: &OsStr, _output: &OsStr) -> Vec<OsString> {
        unimplemented!()
    }
}

/// Why a server does not run a command, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalCode {
    /// The option can run or load other programs, or change the compiler's configuration.
    Dangerous,
    /// The option writes files that the client would never get.
    ExtraOutput,
    /// The option reads files of the server.
    ServerFile,
    /// The command is not one compile of one source into one output.
    NotOneCompile,
    /// The result would depend on the server's processor.
    Native,
}

/// A refusal, told to the client as the compile's error text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of refusal.
    pub code: RefusalCode,
    /// The word of the command line that caused it; empty if the whole command did.
    pub word: OsString,
}

impl RefusalCode {
    /// The stable name of this kind, in kebab case.
    #[must_use]
    pub fn code(self) -> &'static str {
        unimplemented!()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unimplemented!()
    }
}

impl std::error::Error for Refusal {}

/// Checks the ARGV of a client (compiler name first) and says how to run it.
///
/// # Errors
/// A [`Refusal`] for anything but one plain compile that touches nothing outside its job.
pub fn server_check(_argv: &[OsString], _input: Input) -> Result<ServerCommand, Refusal> {
    unimplemented!()
}
