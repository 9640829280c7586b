//! How fast one processor of this machine is at what compilers do: look up names, follow pointers,
//! branch.
//!
//! Measured once when the server starts, in processor time, so that other work does not count. The
//! unit is a machine of the year 2020 (2.5 GHz, one of many virtual processors of a server), which
//! has 1000; what matters is that the numbers of two workers can be compared.

use std::collections::BTreeMap;
use std::time::Duration;

/// How long the reference machine takes.
const REFERENCE: Duration = Duration::from_micros(9_300);

/// Names that are put into a table, and how often all of them are looked up.
const NAMES: u64 = 10_000;
const ROUNDS: u64 = 3;

/// The speed of the processor that this thread runs on, in thousandths of the reference's. Takes
/// some hundredths of a second.
pub(crate) fn measure_milli() -> u32 {
    // The first time warms everything up.
    let times = [work(), work(), work()];
    let best = times.into_iter().min().unwrap_or(REFERENCE);
    let micros = best.as_micros().max(1);
    u32::try_from(REFERENCE.as_micros() * 1000 / micros).unwrap_or(u32::MAX)
}

/// Does a fixed amount of work; the processor time that it took.
fn work() -> Duration {
    let start = sys::daemon::thread_cpu();
    let mut table = BTreeMap::new();
    let mut number = 1_u64;
    let mut names = Vec::new();
    for _ in 0..NAMES {
        // Knuth's generator.
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let name = format!("name_{:x}", number >> 40);
        names.push(name.clone());
        table.insert(name, number);
    }
    let mut sum = 0_u64;
    for _ in 0..ROUNDS {
        for name in &names {
            sum = sum.wrapping_add(table.get(name).copied().unwrap_or(0));
        }
    }
    std::hint::black_box(sum);
    sys::daemon::thread_cpu().saturating_sub(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_has_a_speed() {
        assert!(measure_milli() > 0);
    }
}
