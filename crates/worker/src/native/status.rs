//! How this worker is, for clients that choose between workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use reapi::WorkerStatus;
use store::Store;

use crate::limits;
use crate::slots::Gauges;

/// What the state is told from.
#[derive(Debug)]
pub(super) struct Status {
    pub(super) store: Store,
    pub(super) gauges: Arc<Gauges>,
    pub(super) slots: usize,
    pub(super) machine_bytes: u64,
    /// 0 until it is measured.
    pub(super) speed_milli: AtomicU32,
}

impl Status {
    pub(super) fn now(&self) -> WorkerStatus {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let store = self.store.stats();
        WorkerStatus {
            slots: count(self.slots),
            running: count(self.gauges.running.load(Ordering::Relaxed)),
            queued: count(self.gauges.waiting.load(Ordering::Relaxed)),
            load_milli: load_milli(),
            memory_free_bytes: limits::available_bytes().min(self.machine_bytes),
            memory_total_bytes: self.machine_bytes,
            speed_milli: self.speed_milli.load(Ordering::Relaxed),
            store_bytes: store.used_bytes,
            store_limit_bytes: store.bytes_max,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            system: std::env::consts::OS.to_owned(),
            is_draining: self.gauges.is_draining.load(Ordering::Relaxed),
        }
    }
}

/// Processes that want a processor, over the last minute.
fn load_milli() -> u32 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    parse_load(&load).unwrap_or(0)
}

/// The first number, which has two digits behind the point.
fn parse_load(text: &str) -> Option<u32> {
    let (whole, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    let (whole, hundredths): (u32, u32) = (whole.parse().ok()?, hundredths.parse().ok()?);
    whole.checked_mul(1000)?.checked_add(hundredths * 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_read() {
        assert_eq!(parse_load("0.07 0.03 0.05 1/123 456"), Some(70));
        assert_eq!(parse_load("12.50 1.00 1.00 1/1 1"), Some(12_500));
        assert_eq!(parse_load(""), None);
    }
}
