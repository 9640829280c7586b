//! Failures as clients are told of them.

use store::{Digest, StoreError};
use tonic::{Code, Status};

use crate::executor::ExecuteError;
use crate::invalid::Invalid;
use crate::proto::{Any, PreconditionFailure, RpcStatus, Violation};
use crate::resource::{Encoding, Resource};

/// Most missing blobs that are named at once. More would exceed what clients take as trailers
/// (gRPC libraries allow 8 KiB, some 64); those that are not named are asked for next time.
const MISSING_IN_TRAILERS_MAX: usize = 40;

/// Most missing blobs that are named in a response, where there is more room.
const MISSING_IN_RESPONSE_MAX: usize = 20_000;

/// A message that is wrong.
pub(super) fn invalid(error: Invalid) -> Status {
    Status::invalid_argument(error.to_string())
}

/// A store that did not do what it was asked.
pub(super) fn store(error: StoreError) -> Status {
    let text = error.to_string();
    match error {
        StoreError::TooManyBytes { .. }
        | StoreError::TooFewBytes { .. }
        | StoreError::WrongHash { .. }
        | StoreError::OverReadLimit { .. }
        | StoreError::ActionTooBig { .. } => Status::invalid_argument(text),
        StoreError::TooBig { .. } | StoreError::Full { .. } | StoreError::DiskFull { .. } => {
            Status::resource_exhausted(text)
        }
        _ => Status::internal(text),
    }
}

/// A compressor that cannot be made.
pub(super) fn compressor(error: std::io::Error) -> Status {
    Status::internal(format!("cannot make a compressor: {error}"))
}

/// Why compressed data could not be stored.
pub(super) struct Unpacking(pub(super) Status);

impl From<std::io::Error> for Unpacking {
    fn from(error: std::io::Error) -> Unpacking {
        let text = format!("the compressed data is wrong: {error}");
        Unpacking(Status::invalid_argument(text))
    }
}

impl From<StoreError> for Unpacking {
    fn from(error: StoreError) -> Unpacking {
        Unpacking(store(error))
    }
}

/// A blob that is not there.
pub(super) fn not_found(digest: &Digest) -> Status {
    Status::not_found(format!("blob {digest} is not here"))
}

/// Blobs that an action needs and that are not there, as the specification wants it told.
fn missing(digests: &[Digest], count_max: usize) -> RpcStatus {
    let violations = digests.iter().take(count_max).map(|digest| {
        let encoding = Encoding::Identity;
        let digest = *digest;
        Violation {
            r#type: "MISSING".into(),
            subject: Resource { digest, encoding }.to_string(),
            description: String::new(),
        }
    });
    let violations = violations.collect();
    RpcStatus {
        code: Code::FailedPrecondition.into(),
        message: format!(
            "{} blobs that the action needs are not here, among them {}; send them and try again",
            digests.len(),
            digests.first().map(ToString::to_string).unwrap_or_default(),
        ),
        details: vec![Any::of(
            "type.googleapis.com/google.rpc.PreconditionFailure",
            &PreconditionFailure { violations },
        )],
    }
}

/// Missing blobs before there is an operation.
pub(super) fn missing_status(digests: &[Digest]) -> Status {
    let status = missing(digests, MISSING_IN_TRAILERS_MAX);
    let details = prost::Message::encode_to_vec(&status);
    Status::with_details(Code::FailedPrecondition, status.message, details.into())
}

/// Why an operation failed.
pub(super) fn execute(error: &ExecuteError) -> RpcStatus {
    let code = match error {
        ExecuteError::MissingBlobs(digests) => return missing(digests, MISSING_IN_RESPONSE_MAX),
        ExecuteError::InvalidArgument(_) => Code::InvalidArgument,
        ExecuteError::FailedPrecondition(_) => Code::FailedPrecondition,
        ExecuteError::ResourceExhausted(_) => Code::ResourceExhausted,
        ExecuteError::DeadlineExceeded { .. } => Code::DeadlineExceeded,
        ExecuteError::Unavailable(_) => Code::Unavailable,
        ExecuteError::Internal(_) => Code::Internal,
    };
    RpcStatus {
        code: code.into(),
        message: error.to_string(),
        details: Vec::new(),
    }
}
