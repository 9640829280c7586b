//! Reading blobs: what is handed out was seen to be right.

use std::fs::File;
use std::io::{self, Read};
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
            let Some((name, file, known)) = self.open_plain(digest)? else {
                return Ok(None);
            };
            if self.verify(&name, &file, known)?.is_some() {
                return Ok(Some((name, file)));
            }
        }
        Ok(None)
    }

    /// Reads a whole blob and hashes it.
    pub(crate) fn read(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        for _ in 0..RETRIES_MAX {
            let Some((name, file, _)) = self.open_plain(digest)? else {
                return Ok(None);
            };
            let mut bytes = Vec::new();
            // One byte more shows whether the file is longer.
            let bytes_max = digest.size_bytes.saturating_add(1);
            let read = file.take(bytes_max).read_to_end(&mut bytes);
            if read.is_ok() && Digest::of(digest.function, &bytes) == *digest {
                return Ok(Some(bytes));
            }
            self.drop_bad(&name);
        }
        Ok(None)
    }

    /// Opens a blob's plain file; with what it looked like when it was seen to be right. One that
    /// is gone was evicted just now, or removed by a stranger.
    fn open_plain(
        &self,
        digest: &Digest,
    ) -> Result<Option<(Name, File, Option<Stamp>)>, StoreError> {
        for _ in 0..RETRIES_MAX {
            let Some(entry) = self.touch(&Key::blob(digest)) else {
                return Ok(None);
            };
            let name = Name {
                digest: *digest,
                number: entry.file.number,
                form: Form::Plain,
            };
            match self.open_file(&name)? {
                Some(file) => return Ok(Some((name, file, entry.file.stamp))),
                None => self.drop_bad(&name),
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
        let _turn = self.turns.take((name.digest, name.form));
        if before.is_some() && before == self.stamp_of(name) {
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

    /// What this very file looked like when it was seen to be right.
    fn stamp_of(&self, name: &Name) -> Option<Stamp> {
        let entry = self.state().index.get(&name.key())?;
        let file = match name.form {
            Form::Executable => entry.executable?,
            Form::Plain | Form::Record(_) => entry.file,
        };
        (file.number == name.number).then_some(file.stamp)?
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
