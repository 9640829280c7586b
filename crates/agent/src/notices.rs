//! Which warnings are worth a user's time. Pure but for the time that it is told.
//!
//! A build of a thousand files without hosts would say so a thousand times. Said only once, it may be lost: configure
//! scripts throw away what compilers say. So each warning is shown a few times a minute to each build, and goes on as
//! information, for those who want to hear everything, beyond that.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use wire::LogLevel;

/// How often one build hears one warning within [`PERIOD`].
const SHOWN_MAX: u32 = 3;

/// How long until it is said again.
const PERIOD: Duration = Duration::from_secs(60);

/// Warnings and builds remembered; beyond that all are forgotten.
const KEPT_MAX: usize = 1024;

/// A build: the process group that a shell makes for each command line, 0 if it is not known.
pub(crate) type Build = u32;

/// What was said to whom.
#[derive(Debug, Default)]
pub(crate) struct Notices(RefCell<HashMap<(Build, String), Said>>);

#[derive(Debug, Clone, Copy)]
struct Said {
    since: Instant,
    times: u32,
}

impl Notices {
    /// How loudly to give a build this warning now. `what` is the warning without anything that differs from job to
    /// job.
    pub(crate) fn level(&self, build: Build, what: &str, now: Instant) -> LogLevel {
        let mut all = self.0.borrow_mut();
        if all.len() >= KEPT_MAX {
            all.clear();
        }
        let fresh = Said {
            since: now,
            times: 0,
        };
        let said = all.entry((build, what.to_owned())).or_insert(fresh);
        if now.duration_since(said.since) >= PERIOD {
            *said = fresh;
        }
        said.times = said.times.saturating_add(1);
        if said.times <= SHOWN_MAX {
            LogLevel::Warning
        } else {
            LogLevel::Info
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_build_hears_a_warning_three_times_a_minute() {
        let (notices, start) = (Notices::default(), Instant::now());
        let shown = |build, what, at: u64| {
            let level = notices.level(build, what, start + Duration::from_secs(at));
            level == LogLevel::Warning
        };
        assert_eq!(
            [0, 1, 2, 3, 59].map(|at| shown(1, "x", at)),
            [true, true, true, false, false]
        );
        assert!(shown(2, "x", 59) && shown(1, "y", 59));
        assert_eq!(
            [60, 61, 62, 63].map(|at| shown(1, "x", at)),
            [true, true, true, false]
        );
    }

    #[test]
    fn memory_is_bounded() {
        let (notices, now) = (Notices::default(), Instant::now());
        for build in 0..5000 {
            notices.level(build, "x", now);
        }
        assert!(notices.0.borrow().len() <= KEPT_MAX);
    }
}
