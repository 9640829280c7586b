//! The server's memory for requests and results in transit.
//!
//! Taken as bytes arrive, not as they are announced, so a client that announces much and sends
//! nothing holds nothing. When all memory is taken by requests that are still incomplete, one of
//! them at a time may go on without: so somebody always finishes, and no more than one request's
//! worth is used beyond the budget.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
}
