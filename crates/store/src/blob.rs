//! Reading blobs: what is handed out was seen to be right.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::layout::{Form, Key, Name};
use crate::limits::{COPY_BYTES, RETRIES_MAX};
use crate::shared::Shared;
use crate::stamp::Stamp;
use crate::{Digest, Hasher, StoreError};

/// An open blob. It stays readable when the store evicts it.
#[derive(Debug)]
pub struct Blob {
    /// Open to read, at its start.
    pub file: File,
    /// How many bytes.
    pub size_bytes: u64,
}

impl Shared {
    /// Opens a blob's plain file, seen to be right. `None` if it is missing.
    pub(crate) fn open_verified(
        &self,
        digest: &Digest,
    ) -> Result<Option<(Name, File)>, StoreError> {
        for _ in 0..RETRIES_MAX {
            let Some(entry) = self.state().index.touch(&Key::blob(digest)) else {
                return Ok(None);
            };
            let name = Name {
                digest: *digest,
                number: entry.file.number,
                form: Form::Plain,
            };
            if let Some(file) = self.open_file(&name)? {
                if self.verify(&name, &file, entry.file.stamp)?.is_some() {
                    return Ok(Some((name, file)));
                }
            } else {
                // Evicted between the two steps, or removed by a stranger.
                self.drop_bad(&name);
            }
        }
        Ok(None)
    }

    /// Whether an open file has the bytes that its name promises; if so, what it looks like. A bad
    /// one is dropped.
    pub(crate) fn verify(
        &self,
        name: &Name,
        file: &File,
        known: Option<Stamp>,
    ) -> Result<Option<Stamp>, StoreError> {
        let look = || {
            rustix::fs::fstat(file)
                .map(|stat| Stamp::of(&stat, name.file_bytes()))
                .map_err(|source| self.error("inspect", &name.path(), source))
        };
        let before = look()?;
        if before.is_some() && before == known {
            return Ok(before);
        }
        // Unreadable sectors are damage like any other.
        let is_right = before.is_some()
            && hash_file(file, &name.digest).is_ok_and(|digest| digest == name.digest);
        match look()? {
            Some(after) if is_right && before == Some(after) => {
                self.state().index.set_stamp(name, after);
                Ok(Some(after))
            }
            _ => {
                self.drop_bad(name);
                Ok(None)
            }
        }
    }
}

/// Hashes a file from its start, without moving where it stands. Stops after more bytes than
/// expected.
fn hash_file(file: &File, expected: &Digest) -> io::Result<Digest> {
    let mut hasher = Hasher::new(expected.function);
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = 0;
    while at <= expected.size_bytes {
        match file.read_at(&mut buffer, at) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(&buffer[..count]);
                at += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hasher.finish())
}
