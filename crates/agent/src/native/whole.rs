//! Why a compile does not go to a worker with its original sources.

use std::ffi::OsString;

use scan::Doubt;
use wire::event::LocalReason;

use super::inputs::NoInputs;
use crate::scanning::{AskError, describe};
use crate::toolchain::NoToolchain;

/// A reason. Hosts that speak distcc's protocol may run the compile all the same.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum WhyNot {
    /// A file may have been missed.
    #[error("{}", describe(.0))]
    Doubt(Doubt),
    /// The compiler does not answer the scanner's questions.
    #[error("{0}")]
    Asked(String),
    /// The compiler cannot be taken elsewhere.
    #[error(transparent)]
    Toolchain(#[from] NoToolchain),
    /// A file cannot be sent.
    #[error(transparent)]
    Inputs(#[from] NoInputs),
    /// Clang refuses a precompiled header if one of its files has another time, and times do not travel.
    #[error("Clang looks at the times of the files that {0} was made of")]
    Precompiled(String),
    /// `__TIMESTAMP__` tells when the source was changed, which only this machine knows.
    #[error("`__TIMESTAMP__` tells when a file of this machine was changed")]
    Timestamp,
    /// Nowhere to put an output.
    #[error("`{}` cannot be written", .0.display())]
    Output(OsString),
    /// The protocol carries text only.
    #[error("`{}` is not UTF-8", .0.display())]
    Word(OsString),
    /// A compile of its preprocessed text would not be that of the source.
    #[error("its preprocessed text has {0}, which would mean something else on a worker")]
    Text(&'static str),
    /// The preprocessed text cannot be read again.
    #[error("its preprocessed text cannot be read ({0})")]
    Unreadable(String),
    /// The toolchain's test compile fails here.
    #[error("the compiler's test compile fails here ({0})")]
    Probe(String),
    /// The scanner's thread has not answered.
    #[error("the scanner does not answer")]
    NoAnswer,
}

impl From<AskError> for WhyNot {
    fn from(error: AskError) -> Self {
        Self::Asked(error.to_string())
    }
}

impl WhyNot {
    /// Stable name.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Doubt(_) => "doubt",
            Self::Asked(_) => "compiler-silent",
            Self::Toolchain(_) => "toolchain",
            Self::Inputs(_) => "inputs",
            Self::Precompiled(_) => "precompiled-times",
            Self::Timestamp => "timestamp",
            Self::Output(_) => "output",
            Self::Word(_) => "not-utf8",
            Self::Text(_) => "text-differs",
            Self::Unreadable(_) => "text-unreadable",
            Self::Probe(_) => "probe",
            Self::NoAnswer => "no-scan",
        }
    }

    /// Whether a worker can run the compile if it gets the source preprocessed: what is not known is which files to
    /// send, and not what the compiler would do with them.
    pub(crate) fn is_cured_by_text(&self) -> bool {
        match self {
            Self::Doubt(doubt) => matches!(
                doubt,
                Doubt::Missing(_) | Doubt::Computed(_) | Doubt::Limit(_)
            ),
            Self::Asked(_) | Self::Inputs(_) => true,
            _ => false,
        }
    }

    /// For events.
    pub(crate) fn reason(&self) -> LocalReason {
        LocalReason {
            code: self.code().to_owned(),
            sentence: self.to_string(),
        }
    }
}
