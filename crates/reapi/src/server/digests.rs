//! Digests in the messages of calls, and which function made them.

use store::{Digest, DigestFunction};
use tonic::Status;

use super::failure;
use crate::message::digest;
use crate::proto::re;
use crate::proto::re::digest_function::Value;

/// What a request's `digest_function` means. Clients that speak versions before 2.3 leave it out
/// and mean SHA-256, as the length of their hashes says.
pub(super) fn function(value: i32) -> Result<DigestFunction, Status> {
    match Value::try_from(value) {
        Ok(Value::Unknown | Value::Sha256) => Ok(DigestFunction::Sha256),
        Ok(Value::Blake3) => Ok(DigestFunction::Blake3),
        other => {
            let name = other.map_or("this", |value| value.as_str_name());
            Err(Status::invalid_argument(format!(
                "{name} digests are not supported here; SHA256 and BLAKE3 are"
            )))
        }
    }
}

/// Checks a digest.
pub(super) fn from_message(
    function: DigestFunction,
    message: &re::Digest,
) -> Result<Digest, Status> {
    digest::from_parts(function, &message.hash, message.size_bytes).map_err(failure::invalid)
}

/// Checks a list of digests.
pub(super) fn list(
    function: DigestFunction,
    messages: &[re::Digest],
) -> Result<Vec<Digest>, Status> {
    let digests = messages.iter();
    let digests = digests.map(|message| from_message(function, message));
    digests.collect()
}

/// Checks a digest that must be there.
pub(super) fn required(
    function: DigestFunction,
    field: &str,
    message: Option<&re::Digest>,
) -> Result<Digest, Status> {
    match message {
        Some(message) => from_message(function, message),
        None => Err(Status::invalid_argument(format!("{field} is missing"))),
    }
}
