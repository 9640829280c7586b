//! The stream of messages about one operation.
//!
//! A message is sent when the stage has changed, and a slow client gets the latest stage only.
//! The last one has the outcome.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tonic::Status;

use super::operation::{Operation, Outcome};
use crate::executor::Stage;
use crate::limits::{GRACE_AFTER_DISCONNECT_MS, GRACE_AFTER_RESET_MS};
use crate::message::digest;
use crate::proto::{self, Any, ExecuteResponse, METADATA_TYPE, RESPONSE_TYPE, re};
use crate::server::Shared;
use crate::server::call::blocking;
use crate::server::connection::Connection;
use crate::server::inline::{Wishes, take_room};
use crate::steps::steps;

/// One message, or why there are no more.
pub(super) type Message = Result<proto::Operation, Status>;

/// A client that watches. When it goes, the operation is told.
struct Watcher {
    operation: Arc<Operation>,
    connection: Arc<Connection>,
    reset_cancels: bool,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let grace = if self.connection.is_closed() {
            GRACE_AFTER_DISCONNECT_MS
        } else if self.reset_cancels {
            0
        } else {
            GRACE_AFTER_RESET_MS
        };
        self.operation.unwatch(Duration::from_millis(grace));
    }
}

/// Where the stream is.
enum State {
    /// Before the first message, or between two of them.
    Watching {
        watcher: Watcher,
        stages: watch::Receiver<Stage>,
        is_first: bool,
    },
    /// Behind the last one. What it took in takes room until it is sent.
    Sent { _room: Option<OwnedSemaphorePermit> },
}

/// All messages about an operation, from now on, for a watcher that it knows of.
pub(super) fn watch(
    operation: Arc<Operation>,
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    wishes: Wishes,
    reset_cancels: bool,
) -> impl Stream<Item = Message> + Send + 'static {
    let stages = operation.stages();
    let watcher = Watcher {
        operation,
        connection,
        reset_cancels,
    };
    let state = State::Watching {
        watcher,
        stages,
        is_first: true,
    };
    let wishes = Arc::new(wishes);
    steps(state, move |state| {
        next(state, Arc::clone(&shared), Arc::clone(&wishes))
    })
}

async fn next(state: State, shared: Arc<Shared>, wishes: Arc<Wishes>) -> Option<(Message, State)> {
    let State::Watching {
        watcher,
        mut stages,
        is_first,
    } = state
    else {
        return None;
    };
    // An error says that nobody is left who could change it: it is over.
    let is_over = !is_first && stages.changed().await.is_err();
    let stage = *stages.borrow_and_update();
    if stage != Stage::Completed && !is_over {
        let message = message(&watcher.operation, stage);
        let state = State::Watching {
            watcher,
            stages,
            is_first: false,
        };
        return Some((Ok(message), state));
    }
    let (response, room) = response(&watcher, shared, wishes).await;
    let mut message = message(&watcher.operation, Stage::Completed);
    message.done = true;
    message.response = Some(Any::of(RESPONSE_TYPE, &response));
    Some((Ok(message), State::Sent { _room: room }))
}

fn message(operation: &Operation, stage: Stage) -> proto::Operation {
    use re::execution_stage::Value;
    let stage = match stage {
        Stage::CacheCheck => Value::CacheCheck,
        Stage::Queued => Value::Queued,
        Stage::Executing => Value::Executing,
        Stage::Completed => Value::Completed,
    };
    let metadata = re::ExecuteOperationMetadata {
        stage: stage.into(),
        action_digest: Some(digest::to_message(&operation.action)),
        digest_function: digest::function_value(operation.action.function),
        ..re::ExecuteOperationMetadata::default()
    };
    proto::Operation {
        name: operation.name.clone(),
        metadata: Some(Any::of(METADATA_TYPE, &metadata)),
        ..proto::Operation::default()
    }
}

async fn response(
    watcher: &Watcher,
    shared: Arc<Shared>,
    wishes: Arc<Wishes>,
) -> (ExecuteResponse, Option<OwnedSemaphorePermit>) {
    let Some(outcome) = watcher.operation.outcome() else {
        // The outcome is set before the stage; see `run`.
        let response = ExecuteResponse {
            status: Some(proto::RpcStatus {
                code: tonic::Code::Internal.into(),
                message: "the execution has no outcome".into(),
                details: Vec::new(),
            }),
            ..ExecuteResponse::default()
        };
        return (response, None);
    };
    let (result, room) = match inlined(outcome, watcher, shared, wishes).await {
        Some((result, room)) => (Some(result), Some(room)),
        None => (outcome.encoded.clone(), None),
    };
    let response = ExecuteResponse {
        result,
        cached_result: outcome.is_cached,
        status: outcome.failure.clone(),
        message: String::new(),
    };
    (response, room)
}

/// The result with what the client asked to have in it, if it asked and there is room.
async fn inlined(
    outcome: &Outcome,
    watcher: &Watcher,
    shared: Arc<Shared>,
    wishes: Arc<Wishes>,
) -> Option<(Bytes, OwnedSemaphorePermit)> {
    let mut result = outcome.result.clone()?;
    let bytes = wishes.bytes(&result)?;
    let room = take_room(&watcher.connection.inline_room, bytes)?;
    let encoded = blocking(move || {
        wishes.fulfil(&shared.store, &mut result);
        Bytes::from(result.encode())
    });
    Some((encoded.await.ok()?, room))
}
