//! Making room: before anything is written, and when the disk turns out to be full.
//!
//! Room is reserved before bytes are written, in steps, so that what is being written counts but
//! a sender's word about a size does not. When it is short, the least recently used go until the
//! low-water mark; many at once and seldom. Names are forgotten under the lock, a few hundred at a
//! time, and files removed outside of it.

use std::io;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use crate::StoreError;
use crate::limits::{
    DISK_FULL_EVICT_PERCENT, EVICTION_LOOKS_PER_LOCK, LOW_WATER_PERCENT, RETRIES_MAX,
};
use crate::shared::{Shared, State};

/// Room that was promised; must be given back.
#[derive(Default)]
pub(crate) struct Reservation {
    bytes: u64,
}

impl Reservation {
    /// Asks for so many bytes more.
    pub(crate) fn grow(&mut self, shared: &Shared, bytes: u64) -> Result<(), StoreError> {
        let bytes_max = shared.bytes_max;
        let room = |state: &State| {
            let held = state.reserved_bytes.saturating_add(bytes);
            bytes_max.saturating_sub(held)
        };
        let low = percent(bytes_max, LOW_WATER_PERCENT);
        let mut is_hopeless = false;
        // Others may take what was just made.
        for _ in 0..RETRIES_MAX {
            let mut state = shared.state();
            if bytes <= bytes_max && state.index.used_bytes() <= room(&state) {
                state.reserved_bytes += bytes;
                self.bytes += bytes;
                return Ok(());
            }
            drop(state);
            if is_hopeless {
                break;
            }
            is_hopeless = !shared.evict(|state| room(state).min(low));
        }
        Err(StoreError::Full { bytes_max })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives everything back.
    pub(crate) fn release(&mut self, shared: &Shared) {
        shared.state().reserved_bytes -= self.bytes;
        self.bytes = 0;
    }
}

impl Shared {
    /// Evicts if more is in use than the limit allows: it was lowered, or a crash came between
    /// forgetting files and removing them.
    pub(crate) fn evict_excess(&self) {
        let bytes_max = self.bytes_max;
        if self.state().index.used_bytes() > bytes_max {
            self.evict(|_| percent(bytes_max, LOW_WATER_PERCENT));
        }
    }

    /// Evicts until no more is in use than the goal, or all was looked at once. Whether that made
    /// a difference, or others made it meanwhile.
    fn evict(&self, goal_bytes: impl Fn(&State) -> u64) -> bool {
        let mut is_progress = false;
        let mut looks_left = self.state().index.len();
        loop {
            let evicted = {
                let mut state = self.state();
                let goal = goal_bytes(&state);
                if state.index.used_bytes() <= goal {
                    return true;
                }
                let looks = looks_left.min(EVICTION_LOOKS_PER_LOCK);
                let evicted = state.index.evict(goal, looks);
                state.evicted_files += evicted.names.len() as u64;
                evicted
            };
            if evicted.looked_at == 0 {
                return is_progress;
            }
            looks_left -= evicted.looked_at;
            is_progress |= !evicted.names.is_empty();
            self.delete(&evicted.names);
        }
    }

    /// Does something that needs the disk; if that is full, makes room and tries again.
    pub(crate) fn with_disk<T>(
        &self,
        what: &'static str,
        relative: &str,
        mut operation: impl FnMut() -> io::Result<T>,
    ) -> Result<T, StoreError> {
        let mut tries = 0;
        loop {
            let rounds = self.disk_full_rounds.load(Ordering::Relaxed);
            let source = match operation() {
                Ok(value) => return Ok(value),
                Err(source) => source,
            };
            if !is_disk_full(&source) {
                return Err(self.error(what, relative, source));
            }
            // Others may take what was just made.
            if tries == RETRIES_MAX || !self.relieve_disk(rounds) {
                return Err(StoreError::DiskFull {
                    dir: self.dir.clone(),
                    source,
                });
            }
            tries += 1;
        }
    }

    /// Evicts a part because the disk is full. All writers meet a full disk at once; one of them
    /// does it for all that began in the same round. Whether anything went.
    fn relieve_disk(&self, rounds_seen: u64) -> bool {
        let _turn = self
            .disk_full
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.disk_full_rounds.load(Ordering::Relaxed) != rounds_seen {
            return true;
        }
        let used = self.state().index.used_bytes();
        let goal = used - percent(used, DISK_FULL_EVICT_PERCENT);
        let is_progress = used > 0 && self.evict(|_| goal);
        if is_progress {
            self.disk_full_rounds.fetch_add(1, Ordering::Relaxed);
        }
        is_progress
    }
}

fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Exact enough, and cannot overflow.
fn percent(bytes: u64, percent: u64) -> u64 {
    bytes / 100 * percent + bytes % 100 * percent / 100
}
