//! Blobs that a connection is sending, and who waits for them.
//!
//! A client that knows what a server lacks can send the blobs and ask for the execution at once,
//! without waiting for the first answer: one round trip instead of two. Calls of one connection
//! are seen in the order in which they were made; so whatever upload began before an execution was
//! asked for counts as having been there. Only if something turns out to be missing, the
//! execution waits for those uploads and looks again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The uploads of one connection.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    numbers: Mutex<Numbers>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct Numbers {
    next: u64,
    open: BTreeSet<u64>,
}

/// A moment in a connection's life: the uploads that began before it.
#[derive(Debug, Clone)]
pub(super) struct Before {
    state: Arc<State>,
    number: u64,
}

/// One upload.
#[derive(Debug)]
pub(super) struct OpenUpload {
    state: Arc<State>,
    number: u64,
}

impl State {
    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Uploads {
    /// An upload begins; it ends when what is returned is dropped.
    pub(super) fn begin(&self) -> OpenUpload {
        let mut numbers = self.state.numbers();
        let number = numbers.next;
        numbers.next += 1;
        numbers.open.insert(number);
        drop(numbers);
        OpenUpload {
            state: Arc::clone(&self.state),
            number,
        }
    }

    /// The uploads that began before now.
    pub(super) fn before(&self) -> Before {
        Before {
            state: Arc::clone(&self.state),
            number: self.state.numbers().next,
        }
    }
}

impl Before {
    /// Waits for the end of these uploads. Returns whether there was anything to wait for.
    pub(super) async fn ended(&self) -> bool {
        let mut had_any = false;
        loop {
            let mut ended = std::pin::pin!(self.state.ended.notified());
            ended.as_mut().enable();
            let is_open = {
                let numbers = self.state.numbers();
                numbers
                    .open
                    .first()
                    .is_some_and(|first| *first < self.number)
            };
            if !is_open {
                return had_any;
            }
            had_any = true;
            ended.await;
        }
    }
}

impl Drop for OpenUpload {
    fn drop(&mut self) {
        self.state.numbers().open.remove(&self.number);
        self.state.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_earlier_uploads_are_waited_for() {
        let uploads = Uploads::default();
        assert!(!uploads.before().ended().await);
        let first = uploads.begin();
        let before = uploads.before();
        let _second = uploads.begin();
        let waiting = tokio::spawn(async move { before.ended().await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        assert!(waiting.await.unwrap());
    }
}
