//! How blobs come in: streamed, hashed on the way, in place only if they are what was announced.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::SealFlags;

use crate::layout::{Form, Key, Name};
use crate::limits::COPY_BYTES;
use crate::shared::Shared;
use crate::temp::Temp;
use crate::{Digest, DigestFunction, Hasher, StoreError};

/// One blob on its way into the store. Dropped without [`commit`](Writer::commit), nothing of it
/// stays.
pub struct Writer {
    announced: Digest,
    hasher: Hasher,
    received: u64,
    temp: Temp,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("announced", &self.announced)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn new(shared: &Arc<Shared>, announced: Digest) -> Result<Writer, StoreError> {
        check_fits(shared, announced.size_bytes)?;
        Ok(Writer {
            announced,
            hasher: Hasher::new(announced.function),
            received: 0,
            temp: Temp::create(shared, Form::Plain.mode())?,
        })
    }

    /// What was announced.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.announced
    }

    /// How many bytes came so far.
    #[must_use]
    pub fn received_bytes(&self) -> u64 {
        self.received
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// More than announced; no room; what writing says. The blob is lost then: drop the writer.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let announced = self.announced.size_bytes;
        if bytes.len() as u64 > announced - self.received {
            return Err(StoreError::TooManyBytes { announced });
        }
        self.temp.write(bytes, announced)?;
        self.hasher.update(bytes);
        self.received += bytes.len() as u64;
        Ok(())
    }

    /// Puts the blob in place. If it is there already, that is fine.
    ///
    /// # Errors
    /// Too few bytes or others than announced; what the file system says. Nothing of it stays then.
    pub fn commit(self) -> Result<(), StoreError> {
        let announced = self.announced;
        if self.received < announced.size_bytes {
            return Err(StoreError::TooFewBytes {
                announced: announced.size_bytes,
                received: self.received,
            });
        }
        let received = self.hasher.finish();
        if received != announced {
            return Err(StoreError::WrongHash {
                announced,
                received,
            });
        }
        place(self.temp, announced)
    }
}

/// Refuses what can never fit.
pub(crate) fn check_fits(shared: &Shared, file_bytes: u64) -> Result<(), StoreError> {
    let bytes = shared.state().index.cost_bytes(file_bytes);
    if bytes > shared.bytes_max {
        return Err(StoreError::TooBig {
            bytes,
            bytes_max: shared.bytes_max,
        });
    }
    Ok(())
}

/// Copies an open file into the store. It may be written to meanwhile: what was read is what was
/// hashed. Not cloned where the file system could: it would first write all of the source to the
/// disk, and what comes here was made just now.
pub(crate) fn put_file(
    shared: &Arc<Shared>,
    function: DigestFunction,
    source: &File,
) -> Result<Digest, StoreError> {
    let expected_bytes = source
        .metadata()
        .map_err(|source| StoreError::Source { source })?
        .len();
    check_fits(shared, expected_bytes)?;
    let mut temp = Temp::create(shared, Form::Plain.mode())?;
    let mut hasher = Hasher::new(function);
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = 0;
    loop {
        let count = match source.read_at(&mut buffer, at) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(StoreError::Source { source }),
        };
        at += count as u64;
        check_fits(shared, at)?;
        temp.write(&buffer[..count], expected_bytes)?;
        hasher.update(&buffer[..count]);
    }
    let digest = hasher.finish();
    place(temp, digest)?;
    Ok(digest)
}

/// Copies an open file into the store that is known to be this blob: without reading it where nobody can change it.
pub(crate) fn put_known(
    shared: &Arc<Shared>,
    digest: &Digest,
    source: &File,
) -> Result<(), StoreError> {
    let len = source
        .metadata()
        .map_err(|source| StoreError::Source { source })?
        .len();
    if !is_sealed(source) || len != digest.size_bytes {
        let received = put_file(shared, digest.function, source)?;
        let announced = *digest;
        return if received == announced {
            Ok(())
        } else {
            Err(StoreError::WrongHash {
                announced,
                received,
            })
        };
    }
    if is_known(shared, digest) {
        return Ok(());
    }
    check_fits(shared, len)?;
    let mut temp = Temp::create(shared, Form::Plain.mode())?;
    temp.copy(source, len)?;
    place(temp, *digest)
}

/// Whether nobody can change what is in a file, not even those who have it open.
fn is_sealed(file: &File) -> bool {
    let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK;
    rustix::fs::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(all))
}

/// Puts bytes in memory into the store, unless they are there.
pub(crate) fn put(
    shared: &Arc<Shared>,
    function: DigestFunction,
    bytes: &[u8],
) -> Result<Digest, StoreError> {
    let digest = Digest::of(function, bytes);
    put_hashed(shared, &digest, bytes)?;
    Ok(digest)
}

/// The same for bytes of which the digest is known.
pub(crate) fn put_hashed(
    shared: &Arc<Shared>,
    digest: &Digest,
    bytes: &[u8],
) -> Result<(), StoreError> {
    debug_assert_eq!(Digest::of(digest.function, bytes), *digest);
    if is_known(shared, digest) {
        return Ok(());
    }
    check_fits(shared, digest.size_bytes)?;
    let mut temp = Temp::create(shared, Form::Plain.mode())?;
    temp.write(bytes, digest.size_bytes)?;
    place(temp, *digest)
}

/// Whether a blob is there and was seen to be right; a use of it.
fn is_known(shared: &Shared, digest: &Digest) -> bool {
    shared
        .touch(&Key::blob(digest))
        .is_some_and(|entry| entry.file.stamp.is_some())
}

/// Gives a complete file its place, unless one is there that is known to be right.
fn place(mut temp: Temp, digest: Digest) -> Result<(), StoreError> {
    temp.reserve(digest.size_bytes)?;
    let shared = Arc::clone(temp.shared());
    if is_known(&shared, &digest) {
        return Ok(());
    }
    let name = Name {
        digest,
        number: temp.number(),
        form: Form::Plain,
    };
    let stamp = temp.keep(&name)?;
    let replaced = shared.state().index.insert(&name, Some(stamp));
    shared.delete(&replaced);
    Ok(())
}
