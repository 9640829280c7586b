//! `Execution`: actions done, and clients told how it goes.
//!
//! An execution is an [`Operation`], which lives apart from the calls that watch it: several clients
//! may watch one, and one that lost its connection may come back. It is given up when nobody has
//! watched it for a while.
//!
//! - `prepare`: what has to be known before an operation begins;
//! - `operation`: one execution's life; `operations`: all of them;
//! - `run`: from the executor's word to the operation's outcome;
//! - `watch`: the stream of messages about one.

mod operation;
mod operations;
mod prepare;
mod run;
mod watch;

use std::sync::Arc;

use futures_core::Stream;
use tonic::{Request, Status};

pub(super) use operations::Operations;

use self::operation::{Operation, Outcome};
use self::prepare::Prepared;
use self::watch::Message;
use super::client::describe;
use super::connection::Connection;
use super::inline::Wishes;
use super::uploads::Before;
use super::{Shared, digests};
use crate::executor::Job;
use crate::proto::{RESET_CANCELS, re};

/// What a call to this service has of its surroundings.
pub(super) struct Call {
    pub(super) shared: Arc<Shared>,
    pub(super) connection: Arc<Connection>,
    /// The uploads that the client began before it made the call.
    pub(super) before: Before,
}

/// Answers `Execute`.
pub(super) async fn execute(
    call: Call,
    request: Request<re::ExecuteRequest>,
) -> Result<impl Stream<Item = Message> + Send + 'static, Status> {
    let client = Arc::new(describe(call.connection.peer, request.metadata()));
    let reset_cancels = request.metadata().contains_key(RESET_CANCELS);
    let request = request.into_inner();
    let function = digests::function(request.digest_function)?;
    let digest = digests::required(function, "action_digest", request.action_digest.as_ref())?;
    let wishes = Wishes {
        stdout: request.inline_stdout,
        stderr: request.inline_stderr,
        files: request.inline_output_files,
    };
    let begun = tokio::time::Instant::now();
    let operations = &call.shared.operations;
    let operation = match operations.running(&digest) {
        Some(operation) => operation,
        None => {
            let skip = request.skip_cache_lookup;
            match prepare::prepare(&call.shared.store, digest, skip, &call.before).await? {
                Prepared::Cached(result) => Operation::finished(digest, Outcome::cached(result)),
                Prepared::Job { action, command } => {
                    let priority = request.execution_policy.map_or(0, |policy| policy.priority);
                    let job = Job {
                        action_digest: digest,
                        action,
                        command,
                        priority,
                        client,
                    };
                    run::join_or_start(&call.shared, job, begun, call.before)
                }
            }
        }
    };
    Ok(watch::watch(
        operation,
        call.shared,
        call.connection,
        wishes,
        reset_cancels,
    ))
}

/// Answers `WaitExecution`.
pub(super) async fn wait(
    call: Call,
    request: Request<re::WaitExecutionRequest>,
) -> Result<impl Stream<Item = Message> + Send + 'static, Status> {
    let reset_cancels = request.metadata().contains_key(RESET_CANCELS);
    let name = request.into_inner().name;
    let Some(operation) = call.shared.operations.named(&name) else {
        return Err(Status::not_found(
            "there is no such execution; execute again",
        ));
    };
    Ok(watch::watch(
        operation,
        call.shared,
        call.connection,
        Wishes::default(),
        reset_cancels,
    ))
}
