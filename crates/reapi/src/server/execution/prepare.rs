//! What has to be known before an operation begins: a result from before, or action and command.

use std::time::Duration;

use store::{Digest, Store};
use tonic::Status;

use crate::limits::{ACTION_BYTES_MAX, COMMAND_BYTES_MAX, UPLOAD_WAIT_SECS};
use crate::message::action::Action;
use crate::message::command::Command;
use crate::message::result::ActionResult;
use crate::server::action_cache::look_up;
use crate::server::call::blocking;
use crate::server::failure;
use crate::server::uploads::Before;

/// See the top of the file.
pub(super) enum Prepared {
    Cached(ActionResult),
    Job { action: Action, command: Command },
}

/// What stops a preparation.
enum Obstacle {
    Missing(Digest),
    Failure(Status),
}

impl From<Status> for Obstacle {
    fn from(status: Status) -> Obstacle {
        Obstacle::Failure(status)
    }
}

/// Looks for a result unless it is to be skipped, else reads what is to be done.
pub(super) async fn prepare(
    store: &Store,
    digest: Digest,
    skip_cache: bool,
    before: &Before,
) -> Result<Prepared, Status> {
    let mut has_waited = false;
    loop {
        let store = store.clone();
        let missing = match blocking(move || attempt(&store, digest, skip_cache)).await? {
            Ok(prepared) => return Ok(prepared),
            Err(Obstacle::Failure(status)) => return Err(status),
            Err(Obstacle::Missing(missing)) => missing,
        };
        if has_waited || !uploads_ended(before).await {
            return Err(failure::missing_status(&[missing]));
        }
        has_waited = true;
    }
}

/// Waits for the client's earlier uploads, within bounds. Returns whether there were any.
pub(super) async fn uploads_ended(before: &Before) -> bool {
    let limit = Duration::from_secs(UPLOAD_WAIT_SECS);
    let ended = tokio::time::timeout(limit, before.ended()).await;
    ended.unwrap_or(false)
}

fn attempt(store: &Store, digest: Digest, skip_cache: bool) -> Result<Prepared, Obstacle> {
    if !skip_cache && let Some(result) = look_up(store, &digest)? {
        return Ok(Prepared::Cached(result));
    }
    let bytes = read(store, &digest, ACTION_BYTES_MAX)?;
    let action = Action::decode(digest.function, &bytes).map_err(failure::invalid)?;
    let bytes = read(store, &action.command, COMMAND_BYTES_MAX)?;
    let command = Command::decode(&bytes).map_err(failure::invalid)?;
    Ok(Prepared::Job { action, command })
}

fn read(store: &Store, digest: &Digest, bytes_max: u64) -> Result<Vec<u8>, Obstacle> {
    let bytes = store.read(digest, bytes_max).map_err(failure::store)?;
    bytes.ok_or(Obstacle::Missing(*digest))
}
