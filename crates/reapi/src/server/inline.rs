//! Outputs inside of results, where clients ask for it: it saves them a call.

use store::Store;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use std::sync::Arc;

use crate::limits::INLINE_BYTES_MAX;
use crate::message::result::{ActionResult, OutputText};

/// What a client would like to have inside of the result.
#[derive(Debug, Clone, Default)]
pub(super) struct Wishes {
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    /// Paths of files.
    pub(super) files: Vec<String>,
}

impl Wishes {
    fn is_empty(&self) -> bool {
        !self.stdout && !self.stderr && self.files.is_empty()
    }

    /// How many bytes a result would have to take in, as far as they fit. `None`: nothing.
    pub(super) fn bytes(&self, result: &ActionResult) -> Option<usize> {
        if self.is_empty() {
            return None;
        }
        let mut room = INLINE_BYTES_MAX;
        let mut take = |size: u64| {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            room = room.checked_sub(size).unwrap_or(room);
        };
        for (text, wanted) in [(&result.stdout, self.stdout), (&result.stderr, self.stderr)] {
            if let Some(digest) = text.digest.filter(|_| wanted && text.raw.is_empty()) {
                take(digest.size_bytes);
            }
        }
        for file in &result.files {
            if self.files.contains(&file.path) {
                take(file.digest.size_bytes);
            }
        }
        let bytes = INLINE_BYTES_MAX - room;
        (bytes > 0).then_some(bytes)
    }

    /// Takes in what was asked for, as far as it fits. What cannot be read is left to be fetched.
    pub(super) fn fulfil(&self, store: &Store, result: &mut ActionResult) {
        let mut room = INLINE_BYTES_MAX as u64;
        let mut read = |digest: &store::Digest| {
            let rest = room.checked_sub(digest.size_bytes)?;
            let bytes = store.read(digest, room).ok().flatten()?;
            room = rest;
            Some(bytes.into())
        };
        let mut text = |text: &mut OutputText, wanted: bool| {
            if let Some(digest) = text.digest.filter(|_| wanted && text.raw.is_empty()) {
                text.raw = read(&digest).unwrap_or_default();
            }
        };
        text(&mut result.stdout, self.stdout);
        text(&mut result.stderr, self.stderr);
        for file in &mut result.files {
            if self.files.contains(&file.path) {
                file.contents = read(&file.digest).unwrap_or_default();
            }
        }
    }
}

/// Takes room for so many bytes, if there is.
pub(super) fn take_room(room: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    let bytes = u32::try_from(bytes).ok()?;
    Arc::clone(room).try_acquire_many_owned(bytes).ok()
}
