//! Why a call failed, as far as it matters to what the caller does next.

use std::error::Error;

use prost::Message;
use store::{Digest, DigestFunction};
use tonic::{Code, Status};

use crate::message::result::ActionResult;
use crate::proto::{PreconditionFailure, RpcStatus};
use crate::resource::Resource;

/// Why a call failed. Texts are the server's own words where there are some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The other side does not speak this protocol: it hung up at our greeting, answered something
    /// else, or does not know the call.
    #[error("does not speak the Remote Execution API ({0})")]
    NotSpoken(String),
    /// The connection broke, or the server says that it is not available.
    #[error("{0}")]
    Unavailable(String),
    /// Blobs that an action needs, or that were asked for, are not there.
    #[error("{} blobs are missing", .0.len())]
    Missing(Vec<Digest>),
    /// The bytes of a blob that was to be sent are not those of its digest, or cannot be read.
    #[error("blob {digest} was not taken: {text}")]
    NotTaken {
        /// The blob.
        digest: Digest,
        /// Why.
        text: String,
    },
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
    #[error("{text}")]
    Deadline {
        /// Why.
        text: String,
        /// What a command had printed by then, if the server says so.
        partial: Option<Box<ActionResult>>,
    },
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
            Code::DeadlineExceeded => CallError::Deadline {
                text,
                partial: None,
            },
            _ => CallError::Refused(text),
        }
    }

    /// A final answer about an execution. Missing blobs are told in its details.
    pub(super) fn of_execution(function: DigestFunction, status: &RpcStatus) -> CallError {
        if status.code == i32::from(Code::FailedPrecondition) {
            let missing = missing(function, status);
            if !missing.is_empty() {
                return CallError::Missing(missing);
            }
        }
        CallError::of_code(status.code.into(), &status.message)
    }

    /// The same where the call itself failed with it: then the details are behind the code.
    pub(super) fn of_execution_call(function: DigestFunction, status: Status) -> CallError {
        if status.code() == Code::FailedPrecondition
            && let Ok(details) = RpcStatus::decode(status.details())
        {
            let missing = missing(function, &details);
            if !missing.is_empty() {
                return CallError::Missing(missing);
            }
        }
        status.into()
    }
}

/// The missing blobs that are named in a failed precondition.
fn missing(function: DigestFunction, status: &RpcStatus) -> Vec<Digest> {
    let details = status.details.iter();
    details
        .filter(|any| any.type_url.ends_with("google.rpc.PreconditionFailure"))
        .filter_map(|any| PreconditionFailure::decode(any.value.clone()).ok())
        .flat_map(|failure| failure.violations)
        .filter(|violation| violation.r#type == "MISSING")
        .filter_map(|violation| subject(function, &violation.subject))
        .collect()
}

/// `blobs/HASH/SIZE`. Some servers leave the function out whatever it is, as it is our own
/// action's.
fn subject(function: DigestFunction, text: &str) -> Option<Digest> {
    let named = Resource::parse_read(text).ok()?.digest;
    Some(Digest { function, ..named })
}

impl From<Status> for CallError {
    fn from(status: Status) -> CallError {
        // What the connection did is behind tonic's words.
        if let Some(source) = status.source()
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

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
