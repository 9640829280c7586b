//! How much memory and time a job will take, learned from those before it.
//!
//! Compiles of one file take about the same each time, and compiles by one program are alike: so
//! what was seen is kept under the program with its source, and under the program alone. What was
//! never seen is expected to be like the program's others, or else like an ordinary compile.
//!
//! A larger peak counts at once, a smaller one little by little: too little memory kills builds,
//! too much only makes them wait.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::lru::Lru;

const MIB: u64 = 1 << 20;

/// Memory of a job of which nothing is known: an ordinary C++ compile.
const UNKNOWN_BYTES: u64 = 256 * MIB;

/// Time of a job of which nothing is known.
const UNKNOWN_TIME: Duration = Duration::from_secs(2);

/// Kinds that are remembered; each takes about a hundred bytes. A project has some thousand files.
const KINDS_MAX: usize = 32 << 10;

/// What a job is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    program: u64,
    source: u64,
}

impl Kind {
    /// `program` and `source` are what a client says: names, not files of this machine.
    pub(crate) fn new(program: &str, source: &str) -> Kind {
        let hash = |words: [&str; 2]| {
            let mut hasher = DefaultHasher::new();
            words.hash(&mut hasher);
            hasher.finish()
        };
        Kind {
            program: hash([program, ""]),
            source: hash([program, source]),
        }
    }
}

/// What is expected of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) memory_bytes: u64,
    pub(crate) time: Duration,
}

/// What was learned.
#[derive(Debug, Default)]
pub(crate) struct Forecast {
    kinds: Lru<u64, Expected>,
}

impl Forecast {
    /// What a job will take.
    pub(crate) fn expect(&mut self, kind: Kind) -> Expected {
        for key in [kind.source, kind.program] {
            if let Some(expected) = self.kinds.get(&key) {
                return *expected;
            }
        }
        Expected {
            memory_bytes: UNKNOWN_BYTES,
            time: UNKNOWN_TIME,
        }
    }

    /// What a job took.
    pub(crate) fn learn(&mut self, kind: Kind, seen: Expected) {
        for key in [kind.source, kind.program] {
            let expected = self.kinds.peek(&key).map_or(seen, |old| Expected {
                memory_bytes: old.blend(seen).memory_bytes.max(seen.memory_bytes),
                time: old.blend(seen).time,
            });
            self.kinds.insert(key, expected, 1);
        }
        while self.kinds.len() > KINDS_MAX {
            self.kinds.evict(|_| true);
        }
    }
}

impl Expected {
    /// Seven parts of what was and one of what is.
    fn blend(self, new: Expected) -> Expected {
        Expected {
            memory_bytes: self.memory_bytes / 8 * 7 + new.memory_bytes / 8,
            time: self.time / 8 * 7 + new.time / 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(mib: u64, millis: u64) -> Expected {
        Expected {
            memory_bytes: mib * MIB,
            time: Duration::from_millis(millis),
        }
    }

    #[test]
    fn what_is_known_best_counts() {
        let mut forecast = Forecast::default();
        let (a, b) = (Kind::new("g++", "a.cc"), Kind::new("g++", "b.cc"));
        assert_eq!(forecast.expect(a), seen(256, 2000));
        forecast.learn(a, seen(900, 800));
        assert_eq!(forecast.expect(a), seen(900, 800));
        assert_eq!(forecast.expect(b), seen(900, 800));
        forecast.learn(b, seen(100, 1600));
        assert_eq!(forecast.expect(b), seen(100, 1600));
        assert_eq!(forecast.expect(a), seen(900, 800));
        assert_eq!(forecast.expect(Kind::new("g++", "c.cc")), seen(800, 900));
        assert_eq!(forecast.expect(Kind::new("gcc", "a.cc")), seen(256, 2000));
    }

    #[test]
    fn more_is_believed_at_once_and_less_slowly() {
        let mut forecast = Forecast::default();
        let kind = Kind::new("cc", "x.c");
        forecast.learn(kind, seen(80, 100));
        forecast.learn(kind, seen(800, 100));
        assert_eq!(forecast.expect(kind), seen(800, 100));
        forecast.learn(kind, seen(80, 100));
        assert_eq!(forecast.expect(kind), seen(710, 100));
    }

    #[test]
    fn the_table_is_bounded() {
        let mut forecast = Forecast::default();
        for i in 0..KINDS_MAX {
            forecast.learn(Kind::new("cc", &i.to_string()), seen(1, 1));
        }
        assert_eq!(forecast.kinds.len(), KINDS_MAX);
        assert_eq!(forecast.expect(Kind::new("cc", "new")), seen(1, 1));
    }
}
