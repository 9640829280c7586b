//! A file while it is written: in `tmp/`, with room reserved, gone when dropped.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::StoreError;
use crate::layout::{Name, temp_path};
use crate::limits::RESERVE_BYTES;
use crate::room::Reservation;
use crate::shared::Shared;
use crate::stamp::Stamp;

pub(crate) struct Temp {
    shared: Arc<Shared>,
    number: u64,
    mode: Mode,
    file: File,
    written: u64,
    room: Reservation,
    is_kept: bool,
}

impl Temp {
    /// A new file. What it will be decides about its permissions, which bind only those who open
    /// it later.
    pub(crate) fn create(shared: &Arc<Shared>, mode: Mode) -> Result<Temp, StoreError> {
        let number = shared.state().index.tick();
        let path = temp_path(number);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let file = shared.with_disk("create", &path, || {
            Ok(rustix::fs::openat(&shared.root, &path, flags, mode)?)
        })?;
        Ok(Temp {
            shared: Arc::clone(shared),
            number,
            mode,
            file: file.into(),
            written: 0,
            room: Reservation::default(),
            is_kept: false,
        })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Asks for room for a file of so many bytes altogether.
    pub(crate) fn reserve(&mut self, file_bytes: u64) -> Result<(), StoreError> {
        let cost = self.shared.state().index.cost_bytes(file_bytes);
        match cost.checked_sub(self.room.bytes()) {
            None | Some(0) => Ok(()),
            Some(more) => self.room.grow(&self.shared, more),
        }
    }

    /// Appends bytes. As long as it has no more than `expected_bytes`, no more room than for those
    /// is taken.
    pub(crate) fn write(&mut self, bytes: &[u8], expected_bytes: u64) -> Result<(), StoreError> {
        use std::os::unix::fs::FileExt;
        let end = self.written + bytes.len() as u64;
        let wanted = end
            .next_multiple_of(RESERVE_BYTES)
            .min(expected_bytes)
            .max(end);
        self.reserve(wanted)?;
        let path = temp_path(self.number);
        let start = self.written;
        self.shared.with_disk("write", &path, || {
            // From the start of these bytes again, if the disk was full in the middle of them.
            self.file.write_all_at(bytes, start)
        })?;
        self.written = end;
        Ok(())
    }

    /// Becomes a copy of the first bytes of another file, made by the kernel.
    pub(crate) fn copy(&mut self, source: &File, bytes: u64) -> Result<(), StoreError> {
        use std::io::Seek;
        self.reserve(bytes)?;
        let path = temp_path(self.number);
        self.shared.with_disk("write", &path, || {
            // From the start again, if the disk was full in the middle.
            (&self.file).rewind()?;
            let mut at = 0;
            while at < bytes {
                let left = usize::try_from(bytes - at).unwrap_or(usize::MAX);
                match rustix::fs::sendfile(&self.file, source, Some(&mut at), left) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        })?;
        self.written = bytes;
        Ok(())
    }

    /// Gives the file its place; from now on it stays. What it looks like then is what later uses
    /// compare with.
    pub(crate) fn keep(&mut self, name: &Name) -> Result<Stamp, StoreError> {
        let path = temp_path(self.number);
        let stat = rustix::fs::fstat(&self.file)
            .map_err(|source| self.shared.error("inspect", &path, source))?;
        // The umask may have taken some away.
        if Mode::from_raw_mode(stat.st_mode) != self.mode {
            rustix::fs::fchmod(&self.file, self.mode)
                .map_err(|source| self.shared.error("set permissions of", &path, source))?;
        }
        let stamp = Stamp::of(&stat, name.file_bytes()).ok_or_else(|| {
            let source = io::Error::other("somebody else changed it");
            self.shared.error("keep", &path, source)
        })?;
        self.shared
            .with_disk("rename", &path, || rename(&self.shared.root, &path, name))?;
        self.is_kept = true;
        Ok(stamp)
    }
}

/// Renames into the directory of a name, which is made when it is needed first.
fn rename(root: &OwnedFd, path: &str, name: &Name) -> io::Result<()> {
    let to = name.path();
    let rename = || rustix::fs::renameat(root, path, root, &to);
    let renamed = match rename() {
        Err(Errno::NOENT) => {
            let made = rustix::fs::mkdirat(root, name.dir(), Mode::RWXU);
            if made.is_err() && made != Err(Errno::EXIST) {
                return Ok(made?);
            }
            rename()
        }
        renamed => renamed,
    };
    Ok(renamed?)
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.is_kept {
            let path = temp_path(self.number);
            let _ = rustix::fs::unlinkat(&self.shared.root, path, AtFlags::empty());
        }
        self.room.release(&self.shared);
    }
}
