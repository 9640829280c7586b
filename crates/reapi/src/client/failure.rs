//! Why a call failed, as far as it matters to what the caller does next.

use store::Digest;
use tonic::{Code, Status};

/// Why a call failed. Texts are the server's own words where there are some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The other side does not speak this protocol: it hung up at our greeting, answered something else, or does not
    /// know the call.
    #[error("does not speak the Remote Execution API ({0})")]
    NotSpoken(String),
    /// The connection broke, or the server says that it is not available.
    #[error("{0}")]
    Unavailable(String),
    /// Blobs that an action needs are not there.
    #[error("{} blobs are missing", .0.len())]
    Missing(Vec<Digest>),
    /// The server lacks something that is needed.
    #[error("{0}")]
    Unsupported(String),
    /// It will not do this for us.
    #[error("{0}")]
    Denied(String),
    /// It has no room, or the command needs more than it may have.
    #[error("{0}")]
    Exhausted(String),
    /// It took too long.
    #[error("{0}")]
    Deadline(String),
    /// Anything else that the server says is wrong with what we asked.
    #[error("{0}")]
    Refused(String),
    /// An answer that makes no sense.
    #[error("the answer makes no sense: {0}")]
    Nonsense(String),
}

impl CallError {
    /// The connection failed, for one of hyper's reasons.
    pub(super) fn broken(error: &hyper::Error) -> CallError {
        CallError::Unavailable(with_causes(error))
    }

    /// A final answer with this code and text.
    pub(super) fn of_code(code: Code, text: &str) -> CallError {
        let text = if text.is_empty() {
            code.description().to_owned()
        } else {
            text.to_owned()
        };
        match code {
            Code::Unimplemented => CallError::NotSpoken(text),
            Code::Unavailable
            | Code::Aborted
            | Code::Cancelled
            | Code::Internal
            | Code::Unknown => CallError::Unavailable(text),
            Code::PermissionDenied | Code::Unauthenticated => CallError::Denied(text),
            Code::ResourceExhausted => CallError::Exhausted(text),
            Code::DeadlineExceeded => CallError::Deadline(text),
            _ => CallError::Refused(text),
        }
    }
}

impl From<Status> for CallError {
    fn from(status: Status) -> CallError {
        // What the connection did is behind tonic's words.
        if let Some(source) = std::error::Error::source(&status)
            && let Some(error) = source.downcast_ref::<hyper::Error>()
        {
            return CallError::broken(error);
        }
        CallError::of_code(status.code(), status.message())
    }
}

impl From<hyper::Error> for CallError {
    fn from(error: hyper::Error) -> CallError {
        CallError::broken(&error)
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
