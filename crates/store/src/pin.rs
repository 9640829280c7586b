//! Keeping what a running job needs.

use std::fmt;
use std::sync::Arc;

use crate::Digest;
use crate::limits::LOOKUPS_PER_LOCK;
use crate::shared::Shared;

/// While it lives, none of its blobs is evicted: neither those that were there nor those that come
/// later.
#[must_use = "blobs are pinned only while this lives"]
pub struct Pin {
    shared: Arc<Shared>,
    digests: Vec<Digest>,
    missing: Vec<Digest>,
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pin")
            .field("digests", &self.digests.len())
            .field("missing", &self.missing)
            .finish_non_exhaustive()
    }
}

impl Pin {
    pub(crate) fn new(shared: &Arc<Shared>, mut digests: Vec<Digest>) -> Pin {
        digests.sort_unstable();
        digests.dedup();
        let mut missing = Vec::new();
        for some in digests.chunks(LOOKUPS_PER_LOCK) {
            let mut state = shared.state();
            for digest in some {
                state.index.pin(digest);
                if !state.has_blob(digest) {
                    missing.push(*digest);
                }
            }
        }
        Pin {
            shared: Arc::clone(shared),
            digests,
            missing,
        }
    }

    /// Which blobs were not there when the pin was made, sorted.
    #[must_use]
    pub fn missing(&self) -> &[Digest] {
        &self.missing
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        for some in self.digests.chunks(LOOKUPS_PER_LOCK) {
            let mut state = self.shared.state();
            for digest in some {
                state.index.unpin(digest);
            }
        }
    }
}
