//! `farcc.worker.v1.Status`: how the worker is, once or continuously.
//!
//! A watcher gets a message when something has changed, but not too often, and one now and then
//! in any case, since load and memory change without anybody saying so.

use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::watch;
use tonic::{Request, Status};

use super::Shared;
use crate::limits::{STATUS_INTERVAL_MAX_MS, STATUS_INTERVAL_MIN_MS};
use crate::proto::{GetStatusRequest, WorkerStatusMessage};
use crate::steps::steps;

/// Answers `Get`.
pub(super) async fn get(
    shared: Arc<Shared>,
    _: Request<GetStatusRequest>,
) -> Result<WorkerStatusMessage, Status> {
    Ok(shared.executor.status().into())
}

/// Answers `Watch`.
pub(super) async fn watch(
    shared: Arc<Shared>,
    _: Request<GetStatusRequest>,
) -> Result<impl Stream<Item = Result<WorkerStatusMessage, Status>> + Send + 'static, Status> {
    let mut changes = shared.status_changes.subscribe();
    changes.mark_changed();
    let state = (changes, None);
    Ok(steps(state, move |(changes, last)| {
        next(Arc::clone(&shared), changes, last)
    }))
}

type State = (watch::Receiver<()>, Option<WorkerStatusMessage>);

async fn next(
    shared: Arc<Shared>,
    mut changes: watch::Receiver<()>,
    last: Option<WorkerStatusMessage>,
) -> Option<(Result<WorkerStatusMessage, Status>, State)> {
    if last.is_some() {
        tokio::time::sleep(Duration::from_millis(STATUS_INTERVAL_MIN_MS)).await;
    }
    loop {
        let longest = Duration::from_millis(STATUS_INTERVAL_MAX_MS);
        let changed = tokio::time::timeout(longest, changes.changed()).await;
        if matches!(changed, Ok(Err(_))) {
            // The services are gone.
            return None;
        }
        let status = WorkerStatusMessage::from(shared.executor.status());
        if changed.is_err() || last.as_ref() != Some(&status) {
            return Some((Ok(status.clone()), (changes, Some(status))));
        }
    }
}
