//! Why a compiler cannot be taken to another machine.
//!
//! Each is a reason to compile here, so each has a code for scripts that never changes and a sentence that fits after
//! "runs locally: ".

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why there is no toolchain for a compile.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoToolchain {
    /// The compiler, or something that it needs, cannot be read.
    #[error("{} cannot be read: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// A program is a script: nobody can tell what it runs and reads.
    #[error("{} is a script for {interpreter}, which may run and read anything", .path.display())]
    Script {
        /// The script.
        path: PathBuf,
        /// Its interpreter.
        interpreter: String,
    },
    /// A program is in a form that is not known.
    #[error("{} is not a program in ELF format", .path.display())]
    NotElf {
        /// The file.
        path: PathBuf,
    },
    /// A compiler cache or another wrapper, and no compiler behind it.
    #[error("{} leads to {wrapper}, and PATH holds no compiler behind it", .path.display())]
    Wrapper {
        /// The compiler as found.
        path: PathBuf,
        /// What it is instead.
        wrapper: String,
    },
    /// The compiler does not answer questions.
    #[error("{} does not say which programs it runs{}", .compiler.display(), because(.said))]
    NoAnswer {
        /// The compiler.
        compiler: PathBuf,
        /// What it said instead.
        said: String,
    },
    /// Its answers are not those of GCC or Clang.
    #[error("{} is neither GCC nor Clang", .compiler.display())]
    Unknown {
        /// The compiler.
        compiler: PathBuf,
    },
    /// The dynamic loader does not say which libraries a program needs.
    #[error("{} does not say which libraries {} needs{}", .loader.display(), .program.display(), because(.said))]
    Loader {
        /// The loader.
        loader: PathBuf,
        /// The program or library.
        program: PathBuf,
        /// What it said instead.
        said: String,
    },
    /// A library is missing.
    #[error("{} needs {library}, which is missing", .program.display())]
    NoLibrary {
        /// The program or library.
        program: PathBuf,
        /// The library's name.
        library: String,
    },
    /// An option that replaces what the compiler runs, or names files that only a plugin knows.
    #[error("{} has effects that cannot be followed", .word.display())]
    Option {
        /// The word.
        word: OsString,
    },
    /// A variable that changes what the compiler does in a way that is not followed.
    #[error("the variable {name} changes what the compiler does")]
    Variable {
        /// Its name.
        name: &'static str,
    },
    /// A file changed while it was being read, again and again.
    #[error("{} is just being changed", .path.display())]
    Changing {
        /// The file.
        path: PathBuf,
    },
    /// More bytes than a toolchain may have.
    #[error("the compiler and what it needs are {bytes} bytes, more than {most}")]
    TooLarge {
        /// All files together.
        bytes: u64,
        /// The limit.
        most: u64,
    },
}

impl NoToolchain {
    /// The stable name of the reason, in kebab case.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "toolchain-unreadable",
            Self::Script { .. } => "toolchain-script",
            Self::NotElf { .. } => "toolchain-not-elf",
            Self::Wrapper { .. } => "toolchain-wrapper",
            Self::NoAnswer { .. } => "toolchain-no-answer",
            Self::Unknown { .. } => "toolchain-unknown",
            Self::Loader { .. } => "toolchain-loader",
            Self::NoLibrary { .. } => "toolchain-no-library",
            Self::Option { .. } => "toolchain-option",
            Self::Variable { .. } => "toolchain-variable",
            Self::Changing { .. } => "toolchain-changing",
            Self::TooLarge { .. } => "toolchain-too-large",
        }
    }

    /// Whether it stays true until a file changes. Others may have been bad luck: no memory, no time.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::Script { .. }
            | Self::NotElf { .. }
            | Self::Wrapper { .. }
            | Self::Unknown { .. }
            | Self::NoLibrary { .. }
            | Self::Option { .. }
            | Self::Variable { .. }
            | Self::TooLarge { .. } => true,
            Self::Unreadable { .. }
            | Self::NoAnswer { .. }
            | Self::Loader { .. }
            | Self::Changing { .. } => false,
        }
    }

    pub(super) fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }
}

/// The first line of what a program said, as the end of a sentence.
fn because(said: &str) -> String {
    match said.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) => format!(": {line}"),
        None => String::new(),
    }
}
