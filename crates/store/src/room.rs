//! Making room: before anything is written, and when the disk turns out to be full.
//!
//! Room is reserved before bytes are written, in steps, so that what is being written counts but
//! a sender's word about a size does not. When it is short, the least recently used go until the
//! low-water mark; many at once and seldom. Names are forgotten under the lock, a few hundred at a
//! time, and files removed outside of it.

use std::io;

use crate::StoreError;
use crate::limits::{DISK_FULL_EVICT_PERCENT, EVICTED_PER_LOCK, LOW_WATER_PERCENT};
use crate::shared::Shared;

/// Room that was promised; given back when dropped.
#[derive(Default)]
pub(crate) struct Reservation {
    bytes: u64,
}

impl Reservation {
    /// Asks for so many bytes more.
    pub(crate) fn grow(&mut self, shared: &Shared, bytes: u64) -> Result<(), StoreError> {
        let mut is_low = false;
        loop {
            let gone = {
                let mut state = shared.state();
                let held = state.reserved_bytes.saturating_add(bytes);
                let room = shared.bytes_max.saturating_sub(held);
                if state.index.used_bytes() <= room {
                    state.reserved_bytes = held;
                    self.bytes += bytes;
                    return Ok(());
                }
                if is_low {
                    return Err(StoreError::Full {
                        bytes_max: shared.bytes_max,
                    });
                }
                let goal = room.min(percent(shared.bytes_max, LOW_WATER_PERCENT));
                let gone = state.index.evict(goal, EVICTED_PER_LOCK);
                state.evicted_files += gone.len() as u64;
                is_low = gone.len() < EVICTED_PER_LOCK;
                gone
            };
            shared.delete(&gone);
        }
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
    /// Does something that needs the disk; if that is full, makes room and tries once more.
    pub(crate) fn with_disk<T>(
        &self,
        what: &'static str,
        relative: &str,
        mut operation: impl FnMut() -> io::Result<T>,
    ) -> Result<T, StoreError> {
        match operation() {
            Err(error) if is_disk_full(&error) => self.make_room_on_disk(),
            Err(source) => return Err(self.error(what, relative, source)),
            Ok(value) => return Ok(value),
        }
        operation().map_err(|source| {
            if is_disk_full(&source) {
                StoreError::DiskFull {
                    dir: self.dir.clone(),
                    source,
                }
            } else {
                self.error(what, relative, source)
            }
        })
    }

    fn make_room_on_disk(&self) {
        let goal = {
            let used = self.state().index.used_bytes();
            used - percent(used, DISK_FULL_EVICT_PERCENT)
        };
        loop {
            let gone = {
                let mut state = self.state();
                let gone = state.index.evict(goal, EVICTED_PER_LOCK);
                state.evicted_files += gone.len() as u64;
                gone
            };
            self.delete(&gone);
            if gone.len() < EVICTED_PER_LOCK {
                return;
            }
        }
    }
}

fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn percent(bytes: u64, percent: u64) -> u64 {
    // Exact enough, and cannot overflow.
    bytes / 100 * percent + bytes % 100 * percent / 100
}
