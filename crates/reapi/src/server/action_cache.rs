//! `ActionCache`: what came of actions before.

use bytes::Bytes;
use store::{Digest, Store};
use tonic::{Request, Status};

use super::call::blocking;
use super::complete::complete;
use super::inline::Wishes;
use super::{digests, failure};
use crate::message::result::ActionResult;
use crate::proto::{UpdateActionResultRequest, re};
use crate::rpc::Raw;

/// Looks a result up. One that is unreadable, or of which something is missing, is none.
pub(super) fn look_up(store: &Store, action: &Digest) -> Result<Option<ActionResult>, Status> {
    let Some(bytes) = store.action(action).map_err(failure::store)? else {
        return Ok(None);
    };
    let result = ActionResult::decode(action.function, &bytes).ok();
    Ok(result.filter(|result| complete(store, result).is_some()))
}

/// Answers `GetActionResult`.
pub(super) async fn get(
    store: Store,
    request: Request<re::GetActionResultRequest>,
) -> Result<Raw, Status> {
    let request = request.into_inner();
    let function = digests::function(request.digest_function)?;
    let action = digests::required(function, "action_digest", request.action_digest.as_ref())?;
    let wishes = Wishes {
        stdout: request.inline_stdout,
        stderr: request.inline_stderr,
        files: request.inline_output_files,
    };
    let found = blocking(move || {
        let mut result = look_up(&store, &action)?;
        if let Some(result) = &mut result {
            wishes.fulfil(&store, result);
        }
        Ok::<_, Status>(result)
    });
    match found.await?? {
        Some(result) => Ok(Raw(Bytes::from(result.encode()))),
        None => Err(Status::not_found(format!(
            "no result of action {action} is here"
        ))),
    }
}

/// Answers `UpdateActionResult`. Whoever may use this server may put results there, as on any
/// server with this service.
pub(super) async fn update(
    store: Store,
    request: Request<UpdateActionResultRequest>,
) -> Result<Raw, Status> {
    let request = request.into_inner();
    let function = digests::function(request.digest_function)?;
    let action = digests::required(function, "action_digest", request.action_digest.as_ref())?;
    let Some(bytes) = request.action_result else {
        return Err(Status::invalid_argument("action_result is missing"));
    };
    let mut result = ActionResult::decode(function, &bytes).map_err(failure::invalid)?;
    // They are blobs; results do not hold them.
    for file in &mut result.files {
        file.contents = Bytes::new();
    }
    let encoded = Bytes::from(result.encode());
    let kept = encoded.clone();
    let put = blocking(move || store.put_action(&action, &kept)).await?;
    put.map_err(failure::store)?;
    Ok(Raw(encoded))
}
