//! What can go wrong with a store, in words that fit after "failed to …:".

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::Digest;

/// Why a store did not do what it was asked.
///
/// A blob that is not there, or whose file was damaged, is no error: it is missing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Io {
        /// The operation, as a verb.
        what: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The file to be copied into the store cannot be read.
    #[error("cannot read the file that the store was given: {source}")]
    Source {
        /// The system's word.
        source: io::Error,
    },
    /// Another process has the directory.
    #[error(
        "store `{}` is in use by {holder}; stop that or choose another directory",
        dir.display()
    )]
    InUse {
        /// The store's directory.
        dir: PathBuf,
        /// Who, as it said itself: `process 123 (farcc)`.
        holder: String,
    },
    /// Made by another version of this program.
    #[error(
        "store `{}` has format `{found}`, which this version does not know; remove the directory \
         (it holds only what can be made again) or choose another",
        dir.display()
    )]
    UnknownFormat {
        /// The store's directory.
        dir: PathBuf,
        /// What its format file says.
        found: String,
    },
    /// A directory with other things in it.
    #[error(
        "`{}` is not empty and no store; choose an empty or a new directory",
        dir.display()
    )]
    NotAStore {
        /// The directory.
        dir: PathBuf,
    },
    /// More bytes came than the digest says.
    #[error("more than the announced {announced} bytes came for a blob")]
    TooManyBytes {
        /// The digest's size.
        announced: u64,
    },
    /// Fewer bytes came than the digest says.
    #[error("{received} bytes came for a blob of {announced}")]
    TooFewBytes {
        /// The digest's size.
        announced: u64,
        /// What came.
        received: u64,
    },
    /// The bytes are not those that the digest names.
    #[error("the bytes of blob {announced} have digest {received}")]
    WrongHash {
        /// What was promised.
        announced: Digest,
        /// What came.
        received: Digest,
    },
    /// A blob that would not fit if nothing else were there.
    #[error("{bytes} bytes are more than the store may hold ({bytes_max})")]
    TooBig {
        /// Its size.
        bytes: u64,
        /// The store's limit.
        bytes_max: u64,
    },
    /// All that could be evicted is in use.
    #[error("the store is full (limit {bytes_max} bytes) and all of it is in use; raise its limit")]
    Full {
        /// The store's limit.
        bytes_max: u64,
    },
    /// The file system is full although the store made room.
    #[error("no space left on the file system of store `{}`: {source}", dir.display())]
    DiskFull {
        /// The store's directory.
        dir: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A blob bigger than the caller wants in memory.
    #[error("blob {digest} is bigger than {bytes_max} bytes")]
    OverReadLimit {
        /// The blob.
        digest: Digest,
        /// The caller's limit.
        bytes_max: u64,
    },
    /// An action's result that is too big to keep.
    #[error("an action's result of {bytes} bytes is over the limit of {bytes_max}")]
    ActionTooBig {
        /// Its size.
        bytes: u64,
        /// [`ACTION_BYTES_MAX`](crate::ACTION_BYTES_MAX).
        bytes_max: u64,
    },
}

impl StoreError {
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        StoreError::Io {
            what,
            path: path.into(),
            source,
        }
    }
}
