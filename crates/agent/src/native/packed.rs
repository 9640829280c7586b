//! Files on their way to workers: compressed once, whatever the number of workers.
//!
//! A compiler is most of what a first build sends, then come headers, and each worker needs them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use reapi::client::{BatchedBlob, PackedBlob};
use store::Digest;
use tokio::sync::OnceCell;

/// What is kept compressed, in bytes on disk; beyond that all is forgotten and made again when it is needed.
const PACKED_BYTES_MAX: u64 = 512 << 20;

/// The same for small files, in bytes of memory.
const SMALL_BYTES_MAX: usize = 16 << 20;

/// Compressed files, by what is in them.
#[derive(Debug, Default)]
pub(crate) struct PackedFiles {
    blobs: RefCell<HashMap<Digest, Rc<OnceCell<PackedBlob>>>>,
    small: RefCell<Small>,
}

#[derive(Debug, Default)]
struct Small {
    blobs: HashMap<Digest, BatchedBlob>,
    bytes: usize,
}

impl PackedFiles {
    /// A file in the form in which it is sent.
    ///
    /// # Errors
    /// It cannot be read, or there is no place for what comes of it.
    pub(crate) async fn of(&self, digest: &Digest, path: &Path) -> io::Result<PackedBlob> {
        let cell = Rc::clone(self.blobs.borrow_mut().entry(*digest).or_default());
        let blob = cell
            .get_or_try_init(|| pack(*digest, path.to_owned()))
            .await?;
        self.keep_within_bounds();
        Ok(blob.clone())
    }

    /// A small file in the form in which it is sent, if it has been sent to another worker.
    pub(crate) fn small(&self, digest: &Digest) -> Option<BatchedBlob> {
        self.small.borrow().blobs.get(digest).cloned()
    }

    /// Keeps a small file for other workers.
    pub(crate) fn keep_small(&self, blob: BatchedBlob) {
        let mut small = self.small.borrow_mut();
        if small.bytes > SMALL_BYTES_MAX {
            *small = Small::default();
        }
        small.bytes += blob.packed_bytes();
        small.blobs.insert(*blob.digest(), blob);
    }

    /// A worker did not take it: the file may have changed before it was read.
    pub(crate) fn forget(&self, digest: &Digest) {
        self.blobs.borrow_mut().remove(digest);
    }

    fn keep_within_bounds(&self) {
        let mut blobs = self.blobs.borrow_mut();
        let made = blobs.values().filter_map(|cell| cell.get());
        if made.map(PackedBlob::packed_bytes).sum::<u64>() > PACKED_BYTES_MAX {
            blobs.retain(|_, cell| !cell.initialized());
        }
    }
}

async fn pack(digest: Digest, path: PathBuf) -> io::Result<PackedBlob> {
    let packing = move || PackedBlob::make(&digest, File::open(path)?);
    tokio::task::spawn_blocking(packing).await?
}

#[cfg(test)]
mod tests {
    use store::DigestFunction;

    use super::*;

    #[tokio::test]
    async fn a_file_is_compressed_once() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("cc1");
        let bytes = vec![7; 1 << 20];
        std::fs::write(&path, &bytes).unwrap();
        let digest = Digest::of(DigestFunction::Sha256, &bytes);
        let files = PackedFiles::default();
        let first = files.of(&digest, &path).await.unwrap();
        assert!(first.packed_bytes() < 1 << 16);
        std::fs::remove_file(&path).unwrap();
        let again = files.of(&digest, &path).await.unwrap();
        assert_eq!(again.packed_bytes(), first.packed_bytes());
        files.forget(&digest);
        let gone = files.of(&digest, &path).await.unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_file_that_has_become_shorter_is_an_error() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("cc1");
        std::fs::write(&path, b"short").unwrap();
        let digest = Digest::of(DigestFunction::Sha256, b"longer");
        let failed = PackedFiles::default().of(&digest, &path).await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::UnexpectedEof);
    }
}
