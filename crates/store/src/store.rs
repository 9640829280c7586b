//! The store as others see it.

use std::fmt;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::CWD;

use crate::layout::WORK_DIR;
use crate::limits::LOOKUPS_PER_LOCK;
use crate::link::To;
use crate::shared::Shared;
use crate::{Blob, Digest, DigestFunction, LinkOutcome, Pin, StoreError, Writer, open, writer};

/// How a store is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much of the disk it may take, in bytes. Counts whole blocks and something for each
    /// file's inode and name. Blobs that are still in a job's tree after their eviction are not
    /// counted.
    pub bytes_max: u64,
}

/// A content-addressed store and an action cache in one directory. A clone is another handle of
/// the same; it is closed with the last of its handles, writers and pins.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

/// What a store holds, and what became of what it held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Blobs.
    pub blobs: u64,
    /// Blobs that are kept a second time, with permission to execute.
    pub executables: u64,
    /// Results of actions.
    pub actions: u64,
    /// What all of it costs on disk, in bytes.
    pub used_bytes: u64,
    /// What is being written now, in bytes.
    pub writing_bytes: u64,
    /// The limit.
    pub bytes_max: u64,
    /// Digests that are pinned, there or not.
    pub pinned: u64,
    /// Files evicted since the store was opened.
    pub evicted_files: u64,
    /// Files since the store was opened that were damaged, or removed by others.
    pub bad_files: u64,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("dir", &self.shared.dir)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in a directory, or makes one there. One process at a time can have it.
    ///
    /// # Errors
    /// It is in use, of another version, no store; or what the file system says.
    pub fn open(dir: &Path, options: Options) -> Result<Store, StoreError> {
        let shared = Arc::new(open::open(dir, &options)?);
        Ok(Store { shared })
    }

    /// Whether a blob is there. Counts as use. The empty blob always is.
    #[must_use]
    pub fn contains(&self, digest: &Digest) -> bool {
        self.shared.state().has_blob(digest)
    }

    /// Which blobs are not there, in the given order. Counts as use of the others.
    #[must_use]
    pub fn missing<'a>(&self, digests: impl IntoIterator<Item = &'a Digest>) -> Vec<Digest> {
        let mut digests = digests.into_iter();
        let mut missing = Vec::new();
        loop {
            let some: Vec<&Digest> = digests.by_ref().take(LOOKUPS_PER_LOCK).collect();
            if some.is_empty() {
                return missing;
            }
            let mut state = self.shared.state();
            for digest in some {
                if !state.has_blob(digest) {
                    missing.push(*digest);
                }
            }
        }
    }

    /// Begins to write a blob.
    ///
    /// # Errors
    /// It could never fit; or what the file system says.
    pub fn writer(&self, digest: Digest) -> Result<Writer, StoreError> {
        Writer::new(&self.shared, digest)
    }

    /// Puts bytes in, unless they are there.
    ///
    /// # Errors
    /// No room; or what the file system says.
    pub fn put(&self, function: DigestFunction, bytes: &[u8]) -> Result<Digest, StoreError> {
        writer::put(&self.shared, function, bytes)
    }

    /// Puts bytes in that the caller has hashed: the digest is believed.
    ///
    /// # Errors
    /// No room; or what the file system says.
    pub fn put_hashed(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        writer::put_hashed(&self.shared, digest, bytes)
    }

    /// Copies an open file in, from its start; where the file stands does not matter and does not
    /// change.
    ///
    /// # Errors
    /// It cannot be read; no room; or what the file system says.
    pub fn put_file(&self, function: DigestFunction, file: &File) -> Result<Digest, StoreError> {
        writer::put_file(&self.shared, function, file)
    }

    /// Copies an open file in that is known to be this blob. Not read on the way if it is sealed
    /// (`fcntl(2)`), so that nobody can have changed it since it became known; else it is hashed.
    ///
    /// # Errors
    /// It is another blob; it cannot be read; no room; or what the file system says.
    pub fn put_known(&self, digest: &Digest, file: &File) -> Result<(), StoreError> {
        writer::put_known(&self.shared, digest, file)
    }

    /// Opens a blob. `None` if it is missing.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open_blob(&self, digest: &Digest) -> Result<Option<Blob>, StoreError> {
        let mut opened = self.shared.open_verified(digest)?;
        if opened.is_none() && digest.is_empty_blob() {
            self.put(digest.function, &[])?;
            opened = self.shared.open_verified(digest)?;
        }
        Ok(opened.map(|(_, file)| Blob {
            file,
            size_bytes: digest.size_bytes,
        }))
    }

    /// Reads a whole blob; hashed at each time, since it passes through memory anyway. `None` if
    /// it is missing.
    ///
    /// # Errors
    /// It has more than `bytes_max` bytes; or what the file system says.
    pub fn read(&self, digest: &Digest, bytes_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if digest.size_bytes > bytes_max {
            return Err(StoreError::OverReadLimit {
                digest: *digest,
                bytes_max,
            });
        }
        if digest.is_empty_blob() {
            return Ok(Some(Vec::new()));
        }
        self.shared.read(digest)
    }

    /// Puts a blob at `to`, where nothing may be: as a hard link if possible, read-only in any
    /// case, executable if asked for. Best below [`work_dir`](Store::work_dir).
    ///
    /// # Errors
    /// There is something at `to`, or no directory for it; no room for an executable twin; or what
    /// the file system says.
    pub fn link(
        &self,
        digest: &Digest,
        is_executable: bool,
        to: &Path,
    ) -> Result<LinkOutcome, StoreError> {
        self.link_at(digest, is_executable, CWD, to)
    }

    /// The same with a path from an open directory, which is quicker for those who make many links
    /// in deep trees.
    ///
    /// # Errors
    /// As [`link`](Store::link).
    pub fn link_at(
        &self,
        digest: &Digest,
        is_executable: bool,
        dir: impl AsFd,
        path: &Path,
    ) -> Result<LinkOutcome, StoreError> {
        let dir = dir.as_fd();
        let to = To { dir, path };
        let outcome = self.shared.link(digest, is_executable, to)?;
        if outcome != LinkOutcome::Missing || !digest.is_empty_blob() {
            return Ok(outcome);
        }
        self.put(digest.function, &[])?;
        self.shared.link(digest, is_executable, to)
    }

    /// Keeps blobs from being evicted while the pin lives, also those that come later.
    pub fn pin(&self, digests: impl IntoIterator<Item = Digest>) -> Pin {
        Pin::new(&self.shared, digests.into_iter().collect())
    }

    /// What was put in for an action. `None` if nothing, or no longer. Counts as use.
    ///
    /// # Errors
    /// What the file system says.
    pub fn action(&self, action: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.shared.action(action)
    }

    /// Keeps an action's result, instead of what was there for it.
    ///
    /// # Errors
    /// It has more than [`ACTION_BYTES_MAX`](crate::ACTION_BYTES_MAX) bytes; no room; or what the
    /// file system says.
    pub fn put_action(&self, action: &Digest, result: &[u8]) -> Result<(), StoreError> {
        self.shared.put_action(action, result)
    }

    /// Counts.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let state = self.shared.state();
        let counts = state.index.counts();
        Stats {
            blobs: counts.blobs,
            executables: counts.executables,
            actions: counts.actions,
            used_bytes: state.index.used_bytes(),
            writing_bytes: state.reserved_bytes,
            bytes_max: self.shared.bytes_max,
            pinned: state.index.pinned() as u64,
            evicted_files: state.evicted_files,
            bad_files: state.bad_files,
        }
    }

    /// A directory in the same file system, for trees of [`link`](Store::link)s. The store empties
    /// it when it is opened and never looks at it again.
    #[must_use]
    pub fn work_dir(&self) -> PathBuf {
        self.shared.path(WORK_DIR)
    }
}
