//! What is wrong with a message, and where in it.

use store::DigestError;

use crate::path::PathProblem;
use crate::wire::{Fields, Malformed, Value};

/// Why a message is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}{field} {problem}", if field.is_empty() { "" } else { "." })]
pub struct Invalid {
    /// The message's type, as the specification calls it.
    pub message: &'static str,
    /// The field's name; empty if it is about the message as a whole.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

impl Invalid {
    /// One problem with one field.
    pub(crate) fn new(
        message: &'static str,
        field: &'static str,
        problem: impl Into<Problem>,
    ) -> Invalid {
        Invalid {
            message,
            field,
            problem: problem.into(),
        }
    }
}

/// The type of a message that is being read: where in the world an [`Invalid`] is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct In(pub(crate) &'static str);

impl In {
    /// Says in which field something went wrong.
    pub(crate) fn at<T>(
        self,
        field: &'static str,
        result: Result<T, impl Into<Problem>>,
    ) -> Result<T, Invalid> {
        result.map_err(|problem| Invalid::new(self.0, field, problem))
    }

    /// The fields of a message of this type.
    pub(crate) fn fields(
        self,
        bytes: &[u8],
    ) -> impl Iterator<Item = Result<(u32, Value<'_>), Invalid>> {
        Fields::of(bytes).map(move |field| self.at("", field))
    }

    /// Fills a field that may occur only once.
    pub(crate) fn once<T>(
        self,
        field: &'static str,
        slot: &mut Option<T>,
        value: T,
    ) -> Result<(), Invalid> {
        if slot.replace(value).is_some() {
            return Err(Invalid::new(self.0, field, Problem::Repeated));
        }
        Ok(())
    }

    /// Takes a field that must be there.
    pub(crate) fn required<T>(self, field: &'static str, slot: Option<T>) -> Result<T, Invalid> {
        slot.ok_or_else(|| Invalid::new(self.0, field, Problem::Missing))
    }
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The bytes are no message.
    #[error("is not protobuf: {0}")]
    Malformed(#[from] Malformed),
    /// A field that must be there is not.
    #[error("is missing")]
    Missing,
    /// The field occurs twice, so that the message has no canonical encoding.
    #[error("occurs twice")]
    Repeated,
    /// A digest's hash is none.
    #[error("is no digest: {0}")]
    Digest(#[from] DigestError),
    /// A size below zero.
    #[error("has the negative size {0}")]
    NegativeSize(i64),
    /// A name or path that may not be.
    #[error("{0}")]
    Path(#[from] PathProblem),
    /// Entries out of order, so that the message has no canonical encoding.
    #[error("is not sorted: `{}` is in the wrong place", .0.escape_debug())]
    NotSorted(String),
    /// Two entries of one name.
    #[error("has two entries called `{}`", .0.escape_debug())]
    Duplicate(String),
    /// A zero byte in text that the kernel takes up to the first one.
    #[error("contains a zero byte")]
    Zero,
    /// `=` or nothing in a variable's name.
    #[error("has an impossible name `{}`", .0.escape_debug())]
    VariableName(String),
    /// Not a point in time, or not a span of time.
    #[error("is no time")]
    Time,
    /// More than the limit.
    #[error("has more than {max} {unit}")]
    TooMuch {
        /// The limit.
        max: u64,
        /// Of what.
        unit: &'static str,
    },
    /// A directory that contains itself or is not there.
    #[error("does not contain directory {0}")]
    NoSuchDirectory(store::Digest),
}
