//! All executions: by name for those who come back, by action for those who want the same.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use store::Digest;
use tokio::time::Instant;

use super::operation::Operation;
use crate::limits::{FINISHED_MAX, FINISHED_SECS};

/// See the top of the file. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(in crate::server) struct Operations {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    by_name: HashMap<String, Arc<Operation>>,
    /// Those that may be joined.
    by_action: HashMap<Digest, Arc<Operation>>,
    /// Names of the finished ones, the oldest first.
    finished: VecDeque<String>,
    is_expiring: bool,
}

/// What [`Operations::join_or_add`] found.
pub(super) enum Joined {
    /// Somebody does it already.
    Existing(Arc<Operation>),
    /// The new one has been added.
    Added,
}

impl Operations {
    /// The execution of an action that runs now, if it may be joined, with one more watcher.
    pub(super) fn running(&self, action: &Digest) -> Option<Arc<Operation>> {
        let state = self.lock();
        let operation = state.by_action.get(action)?;
        let is_running = operation.outcome().is_none() && operation.watch();
        is_running.then(|| Arc::clone(operation))
    }

    /// The execution of this name, running or lately finished, with one more watcher.
    pub(super) fn named(&self, name: &str) -> Option<Arc<Operation>> {
        let state = self.lock();
        let operation = state.by_name.get(name)?;
        operation.watch().then(|| Arc::clone(operation))
    }

    /// Adds a new execution, unless one of the same action runs, or has finished well since
    /// `begun`, when the client asked. Either has one more watcher.
    pub(super) fn join_or_add(&self, new: &Arc<Operation>, begun: Instant) -> Joined {
        let mut state = self.lock();
        if let Some(existing) = state.by_action.get(&new.action) {
            let is_news = existing
                .outcome()
                .is_none_or(|outcome| outcome.failure.is_none() && outcome.finished >= begun);
            if is_news && existing.watch() {
                return Joined::Existing(Arc::clone(existing));
            }
        }
        let is_watched = new.watch();
        debug_assert!(is_watched, "a new execution is not given up");
        state.by_action.insert(new.action, Arc::clone(new));
        state.by_name.insert(new.name.clone(), Arc::clone(new));
        Joined::Added
    }

    /// Adds an execution that nobody may join, with one watcher.
    pub(super) fn add_alone(&self, new: &Arc<Operation>) {
        let is_watched = new.watch();
        debug_assert!(is_watched, "a new execution is not given up");
        let mut state = self.lock();
        state.by_name.insert(new.name.clone(), Arc::clone(new));
    }

    /// Says that an execution is finished: from now on it is only kept for a while.
    pub(super) fn finished(&self, operation: &Arc<Operation>) {
        let mut state = self.lock();
        state.finished.push_back(operation.name.clone());
        while state.finished.len() > FINISHED_MAX {
            state.forget_oldest();
        }
        let must_start = !std::mem::replace(&mut state.is_expiring, true);
        drop(state);
        if must_start && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(expire(Arc::downgrade(&self.state)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn forget_oldest(&mut self) {
        let Some(name) = self.finished.pop_front() else {
            return;
        };
        let Some(operation) = self.by_name.remove(&name) else {
            return;
        };
        let joinable = self.by_action.get(&operation.action);
        if joinable.is_some_and(|joinable| Arc::ptr_eq(joinable, &operation)) {
            self.by_action.remove(&operation.action);
        }
    }

    /// Forgets those that are old enough. When is the next, if there are any?
    fn expire(&mut self, now: Instant) -> Option<Instant> {
        let age = Duration::from_secs(FINISHED_SECS);
        while let Some(name) = self.finished.front() {
            let outcome = self.by_name.get(name).and_then(|oldest| oldest.outcome());
            let end = outcome.map_or(now, |outcome| outcome.finished + age);
            if end > now {
                return Some(end);
            }
            self.forget_oldest();
        }
        self.is_expiring = false;
        None
    }
}

/// Forgets finished executions when their time has come, until there are none.
async fn expire(state: std::sync::Weak<Mutex<State>>) {
    loop {
        let next = match state.upgrade() {
            Some(state) => lock(&state).expire(Instant::now()),
            None => return,
        };
        match next {
            Some(next) => tokio::time::sleep_until(next).await,
            None => return,
        }
    }
}
