//! How large each source was when it was last preprocessed: the estimate of what its compile will cost.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use wire::JobRequest;

/// Most sources that are remembered; beyond that all are forgotten.
const SOURCES_MAX: usize = 200_000;

/// Sizes by directory and command line. Two that collide only swap estimates.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    hasher: RandomState,
    bytes: RefCell<HashMap<u64, u64>>,
}

impl Sizes {
    /// Bytes of preprocessed text to expect; 0 if nothing is known.
    pub(crate) fn estimate(&self, job: &JobRequest) -> u64 {
        let key = self.key(job);
        self.bytes.borrow().get(&key).copied().unwrap_or(0)
    }

    pub(crate) fn learn(&self, job: &JobRequest, bytes: u64) {
        let key = self.key(job);
        let mut known = self.bytes.borrow_mut();
        if known.len() >= SOURCES_MAX {
            known.clear();
        }
        known.insert(key, bytes);
    }

    fn key(&self, job: &JobRequest) -> u64 {
        self.hasher.hash_one((&job.cwd, &job.args))
    }
}
