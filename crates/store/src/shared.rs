//! What all handles of an open store share, and the small steps that every operation is made of.
//!
//! One mutex guards the index; it is held for lookups and never across anything that touches a
//! file. Paths are relative to the store's directory, which stays open.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::index::{Entry, Index};
use crate::layout::{Key, Name};
use crate::limits::USES_WRITTEN_MIN;
use crate::turns::Turns;
use crate::uses::Journal;
use crate::{Digest, StoreError};

pub(crate) struct Shared {
    /// As the caller named it.
    pub(crate) dir: PathBuf,
    pub(crate) root: OwnedFd,
    pub(crate) bytes_max: u64,
    pub(crate) state: Mutex<State>,
    pub(crate) turns: Turns,
    pub(crate) journal: Mutex<Journal>,
    /// Held while room is made on a full disk, and how often it was.
    pub(crate) disk_full: Mutex<()>,
    pub(crate) disk_full_rounds: AtomicU64,
    /// Locked while the store is open.
    pub(crate) lock: File,
}

pub(crate) struct State {
    pub(crate) index: Index,
    /// Room promised to files that are being written.
    pub(crate) reserved_bytes: u64,
    pub(crate) evicted_files: u64,
    pub(crate) bad_files: u64,
}

impl State {
    /// Whether a blob is there; a use of it.
    pub(crate) fn has_blob(&mut self, digest: &Digest) -> bool {
        digest.is_empty_blob() || self.index.touch(&Key::blob(digest)).is_some()
    }
}

impl Shared {
    /// The index. A thread that panicked while it held the lock left it whole: changes are made in
    /// steps that cannot fail.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses something, for somebody who will touch files anyway.
    pub(crate) fn touch(&self, key: &Key) -> Option<Entry> {
        let (entry, pending) = {
            let mut state = self.state();
            let entry = state.index.touch(key);
            (entry, state.index.take_pending(USES_WRITTEN_MIN))
        };
        if !pending.is_empty() {
            self.write_uses(&pending);
        }
        entry
    }

    /// The path as users know it, for messages.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.join(relative)
    }

    pub(crate) fn error(
        &self,
        what: &'static str,
        relative: &str,
        source: impl Into<io::Error>,
    ) -> StoreError {
        StoreError::io(what, self.path(relative), source.into())
    }

    /// Opens a file to read. `None` if it is not there, or so damaged that it is no longer a file.
    pub(crate) fn open_file(&self, name: &Name) -> Result<Option<File>, StoreError> {
        let path = name.path();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        match rustix::fs::openat(&self.root, &path, flags, Mode::empty()) {
            Ok(file) => Ok(Some(file.into())),
            Err(
                Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::NODEV | Errno::IO | Errno::STALE,
            ) => Ok(None),
            Err(source) => Err(self.error("open", &path, source)),
        }
    }

    /// Removes files that the index no longer knows. What cannot be removed is found at the next
    /// opening.
    pub(crate) fn delete(&self, names: &[Name]) {
        for name in names {
            let _ = rustix::fs::unlinkat(&self.root, name.path(), AtFlags::empty());
        }
    }

    /// Drops a file whose bytes are wrong, or which is gone.
    pub(crate) fn drop_bad(&self, name: &Name) {
        let gone = {
            let mut state = self.state();
            let gone = state.index.forget(name);
            state.bad_files += u64::from(!gone.is_empty());
            gone
        };
        self.delete(&gone);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.write_order();
        // Not left to closing: a process that was forked just now has the file too, until it
        // becomes another program.
        let _ = rustix::fs::flock(&self.lock, FlockOperation::Unlock);
    }
}
