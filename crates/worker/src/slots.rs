//! What jobs share: slots to run in, memory to wait in.
//!
//! Both are queues, first come, first served. A slot is only taken with a complete request in
//! hand, so a slow client never holds one. Memory is taken as bytes arrive, not as they are
//! announced, so a client that announces much and sends nothing holds nothing. When all memory is
//! taken by requests that are still incomplete, one of them at a time may go on without: so
//! somebody always finishes, and no more than one request's worth is used beyond the budget.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The right to run one job, given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot(
    #[expect(dead_code, reason = "held, and given back when dropped")] OwnedSemaphorePermit,
);

/// The slots of a server.
#[derive(Debug)]
pub(crate) struct Slots {
    count: usize,
    free: Arc<Semaphore>,
}

impl Slots {
    pub(crate) fn new(count: usize) -> Slots {
        Slots {
            count,
            free: Arc::new(Semaphore::new(count)),
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Waits for one, behind all who asked before.
    pub(crate) async fn take(&self) -> Slot {
        Slot(acquire(&self.free, 1).await)
    }
}

/// Bytes are counted in pieces of this size.
const PIECE_BYTES: usize = 64 << 10;

/// The memory of a server for requests and results in transit.
#[derive(Debug)]
pub(crate) struct Memory {
    /// One permit for each [`PIECE_BYTES`].
    budget: Arc<Semaphore>,
    /// Who has this permit need not wait any more.
    overdraft: Arc<Semaphore>,
}

/// What one connection holds of the memory.
#[derive(Debug, Default)]
pub(crate) struct Share {
    bytes: usize,
    pieces: usize,
    budget: Option<OwnedSemaphorePermit>,
    overdraft: Option<OwnedSemaphorePermit>,
}

impl Memory {
    pub(crate) fn new(bytes: u64) -> Memory {
        let pieces = usize::try_from(bytes).unwrap_or(usize::MAX) / PIECE_BYTES;
        let pieces = pieces.clamp(1, Semaphore::MAX_PERMITS);
        Memory {
            budget: Arc::new(Semaphore::new(pieces)),
            overdraft: Arc::new(Semaphore::new(1)),
        }
    }

    /// Adds `bytes` to a share, waiting until there is room.
    pub(crate) async fn grow(&self, share: &mut Share, bytes: usize) {
        share.bytes += bytes;
        let missing = share
            .bytes
            .div_ceil(PIECE_BYTES)
            .saturating_sub(share.pieces);
        if missing == 0 || share.overdraft.is_some() {
            return;
        }
        let permits = u32::try_from(missing).unwrap_or(u32::MAX);
        tokio::select! {
            biased;
            more = acquire(&self.budget, permits) => {
                match &mut share.budget {
                    Some(held) => held.merge(more),
                    None => share.budget = Some(more),
                }
                share.pieces += missing;
            }
            right = acquire(&self.overdraft, 1) => share.overdraft = Some(right),
        }
    }
}

async fn acquire(semaphore: &Arc<Semaphore>, permits: u32) -> OwnedSemaphorePermit {
    let acquired = Arc::clone(semaphore).acquire_many_owned(permits).await;
    acquired.expect("these semaphores are never closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    /// Runs a future that must not have to wait, or must.
    fn is_ready<T>(future: impl Future<Output = T>) -> bool {
        pin!(future)
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[test]
    fn one_may_always_go_on() {
        let memory = Memory::new(4 * PIECE_BYTES as u64);
        let [mut a, mut b, mut c] = [Share::default(), Share::default(), Share::default()];
        assert!(is_ready(memory.grow(&mut a, 2 * PIECE_BYTES)));
        assert!(is_ready(memory.grow(&mut b, 2 * PIECE_BYTES)));
        assert!(
            is_ready(memory.grow(&mut a, 1)),
            "the first to exceed goes on"
        );
        assert!(
            is_ready(memory.grow(&mut a, 100 * PIECE_BYTES)),
            "to its end"
        );
        assert!(!is_ready(memory.grow(&mut b, 1)));
        assert!(!is_ready(memory.grow(&mut c, 1)));
        drop(a);
        assert!(is_ready(memory.grow(&mut c, 1)));
    }

    #[test]
    fn slots_are_given_in_order() {
        let slots = Slots::new(1);
        let mut context = Context::from_waker(Waker::noop());
        let mut first = Box::pin(slots.take());
        let mut second = Box::pin(slots.take());
        let mut third = Box::pin(slots.take());
        let std::task::Poll::Ready(slot) = first.as_mut().poll(&mut context) else {
            panic!("a free slot is not given")
        };
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert!(third.as_mut().poll(&mut context).is_pending());
        drop(slot);
        assert!(third.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_ready());
    }
}
