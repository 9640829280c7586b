//! From a job to the outcome of its operation.

use std::sync::Arc;

use bytes::Bytes;
use store::{Digest, Store};
use tokio::time::Instant;

use super::operation::{Operation, Outcome};
use super::operations::Joined;
use super::prepare::uploads_ended;
use crate::executor::{ExecuteError, Job, Progress, Stage};
use crate::message::result::ActionResult;
use crate::server::Shared;
use crate::server::call::blocking;
use crate::server::complete::complete;
use crate::server::uploads::Before;

/// How often a job is given to the executor when blobs were missing that have come since.
const ATTEMPTS_MAX: u32 = 3;

/// The operation that does this job: one that does already, or a new one. Either has one more
/// watcher.
pub(super) fn join_or_start(
    shared: &Arc<Shared>,
    job: Job,
    begun: Instant,
    before: Before,
) -> Arc<Operation> {
    let (progress, stages) = Progress::new();
    let operation = Operation::new(job.action_digest, stages);
    if job.action.do_not_cache {
        shared.operations.add_alone(&operation);
    } else if let Joined::Existing(existing) = shared.operations.join_or_add(&operation, begun) {
        return existing;
    }
    let finish = Finish {
        shared: Arc::clone(shared),
        operation: Arc::clone(&operation),
        progress,
    };
    let task = tokio::spawn(run(finish, job, before));
    operation.set_task(task.abort_handle());
    operation
}

async fn run(finish: Finish, job: Job, before: Before) {
    let shared = Arc::clone(&finish.shared);
    let is_kept = !job.action.do_not_cache;
    let action = job.action_digest;
    let outcome = match attempts(&finish, job, &before).await {
        Ok(result) => settle(shared.store.clone(), action, result, is_kept).await,
        Err(error) => Err(error),
    };
    finish.set(outcome.unwrap_or_else(Outcome::failed));
}

async fn attempts(
    finish: &Finish,
    job: Job,
    before: &Before,
) -> Result<ActionResult, ExecuteError> {
    let shared = &finish.shared;
    for _ in 1..ATTEMPTS_MAX {
        let tried = shared.executor.execute(job.clone(), &finish.progress);
        match tried.await {
            Err(ExecuteError::MissingBlobs(missing)) => {
                uploads_ended(before).await;
                if !shared.store.missing(&missing).is_empty() {
                    return Err(ExecuteError::MissingBlobs(missing));
                }
                finish.progress.queued();
            }
            other => return other,
        }
    }
    shared.executor.execute(job, &finish.progress).await
}

/// Keeps a result, and what it names for a while.
async fn settle(
    store: Store,
    action: Digest,
    result: ActionResult,
    is_kept: bool,
) -> Result<Outcome, ExecuteError> {
    let settled = blocking(move || {
        let Some(digests) = complete(&store, &result) else {
            let text = "an output was evicted before it could be sent; the store is too small";
            return Err(ExecuteError::ResourceExhausted(text.into()));
        };
        let pin = store.pin(digests);
        let encoded = Bytes::from(result.encode());
        if is_kept && result.exit_code == 0 {
            // A result that cannot be kept is still a result.
            drop(store.put_action(&action, &encoded));
        }
        Ok(Outcome::done(result, encoded, pin))
    });
    settled
        .await
        .unwrap_or_else(|status| Err(ExecuteError::Internal(status.message().into())))
}

/// Ends an operation in every case, also if its task is ended or panics.
struct Finish {
    shared: Arc<Shared>,
    operation: Arc<Operation>,
    progress: Progress,
}

impl Finish {
    fn set(&self, outcome: Outcome) {
        self.operation.finish(outcome);
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        // If there is no outcome yet, nobody watches, or something is wrong in here.
        let text = "the execution was given up";
        let outcome = Outcome::failed(ExecuteError::Unavailable(text.into()));
        self.operation.finish(outcome);
        self.progress.set(Stage::Completed);
        self.shared.operations.finished(&self.operation);
    }
}
