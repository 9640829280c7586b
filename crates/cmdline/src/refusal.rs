//! Why a server does not run what a client sent.

use std::ffi::OsString;
use std::fmt;

use crate::why::WhyLocal;

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

impl RefusalCode {
    /// Every kind there is.
    pub const ALL: &'static [Self] = &[
        Self::Dangerous,
        Self::ExtraOutput,
        Self::ServerFile,
        Self::NotOneCompile,
        Self::Native,
    ];

    /// The stable name of this kind, in kebab case.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Dangerous => "dangerous",
            Self::ExtraOutput => "extra-output",
            Self::ServerFile => "server-file",
            Self::NotOneCompile => "not-one-compile",
            Self::Native => "native",
        }
    }

    /// What a server makes of something that a client of ours would have kept local. `None`: harmless here, such as
    /// options that only a client can get wrong.
    pub(crate) fn of(why: WhyLocal) -> Option<Self> {
        use WhyLocal as Why;
        Some(match why {
            Why::CompilerPlugin | Why::Specs | Why::Wrapper => Self::Dangerous,
            Why::AnalyzerOutput
            | Why::AssemblerOptions
            | Why::CoverageData
            | Why::DependencyFileLost
            | Why::DiagnosticsFile
            | Why::Dump
            | Why::SaveTemps
            | Why::SpecialOutput
            | Why::SplitDwarf
            | Why::StackUsage
            | Why::TimeTrace => Self::ExtraOutput,
            Why::InputFile
            | Why::Modules
            | Why::PrecompiledHeader
            | Why::ResponseFile
            | Why::UnknownPath => Self::ServerFile,
            Why::Native => Self::Native,
            Why::CommandLine | Why::Lto | Why::PreprocessorOutput | Why::Verbose => return None,
            Why::AmbiguousOption
            | Why::AssemblerSource
            | Why::ClangPrecompiled
            | Why::Configure
            | Why::Cuda
            | Why::DependenciesOnly
            | Why::HeaderUnit
            | Why::Informational
            | Why::Language
            | Why::Link
            | Why::MakesPrecompiled
            | Why::NoAssemble
            | Why::NoDependencyFile
            | Why::NoSource
            | Why::Offload
            | Why::OutputOdd
            | Why::Preprocess
            | Why::SeveralSources
            | Why::StandardInput
            | Why::StockRefuses
            | Why::SyntaxOnly
            | Why::TextDiffers
            | Why::UnfinishedOption => Self::NotOneCompile,
        })
    }
}

/// A refusal, told to the client as the compile's error text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of refusal.
    pub code: RefusalCode,
    /// The words of the command line that caused it; empty if the whole command did.
    pub word: OsString,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.code {
            RefusalCode::Dangerous => {
                "it can run other programs or change the compiler; compile this file locally"
            }
            RefusalCode::ExtraOutput => {
                "it writes a file that would never reach the client; compile this file locally"
            }
            RefusalCode::ServerFile => "it names a file of the server; compile this file locally",
            RefusalCode::NotOneCompile => {
                "a server only compiles exactly one source with -c or -S into one file named by -o"
            }
            RefusalCode::Native => {
                "it would mean the server's processor; name the processor, or compile locally"
            }
        };
        if self.word.is_empty() {
            write!(f, "refused this command: {reason}")
        } else {
            write!(f, "refused `{}`: {reason}", self.word.display())
        }
    }
}

impl std::error::Error for Refusal {}
