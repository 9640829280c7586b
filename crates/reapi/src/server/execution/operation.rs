//! One execution's life: running, watched or not; then finished, with an outcome for ever.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use store::{Digest, Pin};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::executor::{ExecuteError, Stage};
use crate::message::result::ActionResult;
use crate::proto::RpcStatus;
use crate::server::failure;

/// What came of an execution.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The result; of a failed execution, what there was of it.
    pub(super) result: Option<ActionResult>,
    /// The result as it is sent, unless something is to be taken into it.
    pub(super) encoded: Option<Bytes>,
    /// Why it failed.
    pub(super) failure: Option<RpcStatus>,
    /// It is from an execution before.
    pub(super) is_cached: bool,
    pub(super) finished: Instant,
    /// Outputs stay until clients had time to fetch them.
    pub(super) _pin: Option<Pin>,
}

impl Outcome {
    pub(super) fn done(result: ActionResult, encoded: Bytes, pin: Pin) -> Outcome {
        Outcome {
            result: Some(result),
            encoded: Some(encoded),
            failure: None,
            is_cached: false,
            finished: Instant::now(),
            _pin: Some(pin),
        }
    }

    pub(super) fn cached(result: ActionResult) -> Outcome {
        Outcome {
            encoded: Some(result.encode().into()),
            result: Some(result),
            failure: None,
            is_cached: true,
            finished: Instant::now(),
            _pin: None,
        }
    }

    pub(super) fn failed(error: ExecuteError) -> Outcome {
        let failure = failure::execute(&error);
        let partial = match error {
            ExecuteError::DeadlineExceeded { partial, .. } => partial,
            _ => None,
        };
        Outcome {
            encoded: partial.as_ref().map(|result| result.encode().into()),
            result: partial.map(|partial| *partial),
            failure: Some(failure),
            is_cached: false,
            finished: Instant::now(),
            _pin: None,
        }
    }
}

/// See the top of the file.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) action: Digest,
    stage: watch::Receiver<Stage>,
    outcome: OnceLock<Outcome>,
    watchers: Mutex<Watchers>,
}

#[derive(Debug, Default)]
struct Watchers {
    count: usize,
    /// Counts how often the last one went, so that an old alarm does not end what has been
    /// watched again since.
    times_alone: u64,
    task: Option<AbortHandle>,
    is_given_up: bool,
}

impl Operation {
    /// One that begins, without watchers. The other half of `stage` is where its progress is told.
    pub(super) fn new(action: Digest, stage: watch::Receiver<Stage>) -> Arc<Operation> {
        Arc::new(Operation {
            name: random_name(),
            action,
            stage,
            outcome: OnceLock::new(),
            watchers: Mutex::default(),
        })
    }

    /// One that never ran, with its first watcher.
    pub(super) fn finished(action: Digest, outcome: Outcome) -> Arc<Operation> {
        let (_, stage) = watch::channel(Stage::Completed);
        let operation = Operation::new(action, stage);
        operation.finish(outcome);
        operation.lock().count = 1;
        operation
    }

    /// The outcome, when there is one.
    pub(super) fn outcome(&self) -> Option<&Outcome> {
        self.outcome.get()
    }

    /// Sets the outcome. Only the first counts.
    pub(super) fn finish(&self, outcome: Outcome) {
        drop(self.outcome.set(outcome));
    }

    /// How far it is, now and later.
    pub(super) fn stages(&self) -> watch::Receiver<Stage> {
        self.stage.clone()
    }

    /// Says what to end when nobody watches any more.
    pub(super) fn set_task(&self, task: AbortHandle) {
        self.lock().task = Some(task);
    }

    /// Another watcher, unless the execution is just being given up.
    #[must_use]
    pub(super) fn watch(&self) -> bool {
        let mut watchers = self.lock();
        if watchers.is_given_up {
            return false;
        }
        watchers.count += 1;
        true
    }

    /// A watcher goes. If it was the last, the execution ends unless another comes in time.
    pub(super) fn unwatch(self: &Arc<Self>, grace: Duration) {
        let mut watchers = self.lock();
        watchers.count -= 1;
        if watchers.count > 0 || self.outcome().is_some() {
            return;
        }
        watchers.times_alone += 1;
        let alone = watchers.times_alone;
        drop(watchers);
        if grace.is_zero() {
            return self.end_if_still_alone(alone);
        }
        // Without a runtime everything is ending anyway.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let operation = Arc::clone(self);
            runtime.spawn(async move {
                tokio::time::sleep(grace).await;
                operation.end_if_still_alone(alone);
            });
        }
    }

    fn end_if_still_alone(&self, alone: u64) {
        let mut watchers = self.lock();
        if watchers.count == 0
            && watchers.times_alone == alone
            && let Some(task) = watchers.task.take()
        {
            watchers.is_given_up = true;
            task.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name that nobody guesses: whoever knows it can watch.
fn random_name() -> String {
    // The standard library's hashers are seeded from the system's randomness.
    let random = || RandomState::new().hash_one(std::process::id());
    format!("operations/{:016x}{:016x}", random(), random())
}
