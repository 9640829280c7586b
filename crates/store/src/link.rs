//! Blobs into a job's tree: a hard link, one system call and a look at what it made.
//!
//! A linked file is the store's own inode, read-only for all. A tree for a job must be mounted
//! read-only, else its owner could change the mode and then the bytes; a change is noticed at the
//! next use, unless the time of change was forged too.
//!
//! Executable files need another mode, so they are another inode: made at the first use, kept
//! beside, evicted together with the blob. Where the file system shares extents it costs nothing.
//!
//! Linux lets nobody execute a file that is open for writing anywhere, and a process that forks
//! while it writes hands the open file on until the child becomes another program. The store's own
//! files are closed before they can be linked; who forks in other threads may have to try again.
//!
//! Where a link cannot be made, the bytes are copied: to another file system, where the file
//! system has none, or when an inode has all links that it can have.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;

use crate::index::FileEntry;
use crate::layout::{Form, Key, Name};
use crate::limits::{COPY_BYTES, RETRIES_MAX};
use crate::shared::Shared;
use crate::stamp::Stamp;
use crate::temp::Temp;
use crate::{Digest, Hasher, StoreError};

/// What became of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum LinkOutcome {
    /// It is the store's own inode.
    Linked,
    /// It is a copy, or a clone where the file system can.
    Copied,
    /// The blob is not there; nor is anything at the given path.
    Missing,
}

/// Where a link goes: a path from an open directory.
#[derive(Clone, Copy)]
pub(crate) struct To<'a> {
    pub(crate) dir: BorrowedFd<'a>,
    pub(crate) path: &'a Path,
}

impl To<'_> {
    fn is_as_known(&self, name: &Name, known: Stamp) -> bool {
        rustix::fs::statat(self.dir, self.path, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| Stamp::of(&stat, name.file_bytes()) == Some(known))
    }

    fn remove(&self) -> Result<(), StoreError> {
        rustix::fs::unlinkat(self.dir, self.path, AtFlags::empty())
            .map_err(|errno| StoreError::io("remove", self.path, errno.into()))
    }
}

impl Shared {
    pub(crate) fn link(
        self: &Arc<Self>,
        digest: &Digest,
        is_executable: bool,
        to: To<'_>,
    ) -> Result<LinkOutcome, StoreError> {
        for _ in 0..RETRIES_MAX {
            let Some((name, stamp)) = self.file_to_link(digest, is_executable)? else {
                return Ok(LinkOutcome::Missing);
            };
            let To { dir, path } = to;
            let linked = rustix::fs::linkat(&self.root, name.path(), dir, path, AtFlags::empty());
            match linked {
                Ok(()) if to.is_as_known(&name, stamp) => return Ok(LinkOutcome::Linked),
                // Changed since it was seen to be right: begin anew with looking at it.
                Ok(()) => {
                    to.remove()?;
                    self.look_again(&name)?;
                }
                Err(Errno::MLINK) => self.renew(&name, stamp)?,
                Err(Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {
                    return self.copy_out(digest, is_executable, to);
                }
                Err(Errno::NOENT) if !self.is_there(&name) => self.drop_bad(&name),
                Err(errno) => return Err(StoreError::io("link", path, errno.into())),
            }
        }
        Ok(LinkOutcome::Missing)
    }

    /// The file to link, with what it looked like when it was seen to be right.
    fn file_to_link(
        self: &Arc<Self>,
        digest: &Digest,
        is_executable: bool,
    ) -> Result<Option<(Name, Stamp)>, StoreError> {
        for _ in 0..RETRIES_MAX {
            let Some(entry) = self.touch(&Key::blob(digest)) else {
                return Ok(None);
            };
            let (file, form) = match (is_executable, entry.executable) {
                (false, _) => (entry.file, Form::Plain),
                (true, Some(file)) => (file, Form::Executable),
                (true, None) => {
                    if !self.make_executable(digest)? {
                        return Ok(None);
                    }
                    continue;
                }
            };
            let name = Name {
                digest: *digest,
                number: file.number,
                form,
            };
            if let Some(stamp) = file.stamp {
                return Ok(Some((name, stamp)));
            }
            self.look_again(&name)?;
        }
        Ok(None)
    }

    /// Hashes a file, and drops it if it is bad or gone.
    fn look_again(&self, name: &Name) -> Result<(), StoreError> {
        match self.open_file(name)? {
            Some(file) => self.verify(name, &file, None).map(drop),
            None => {
                self.drop_bad(name);
                Ok(())
            }
        }
    }

    /// Makes the executable twin of a blob. `false` if the blob is missing.
    fn make_executable(self: &Arc<Self>, digest: &Digest) -> Result<bool, StoreError> {
        let _turn = self.turns.take((*digest, Form::Executable));
        let known = self.state().index.get(&Key::blob(digest));
        if known.is_some_and(|entry| entry.executable.is_some()) {
            return Ok(true);
        }
        let Some((plain, source)) = self.open_verified(digest)? else {
            return Ok(false);
        };
        if let Some((twin, file)) = self.copy_inside(&plain, &source, Form::Executable)?
            && !self.state().index.add_executable(digest, file)
        {
            self.delete(&[twin]);
        }
        Ok(true)
    }

    /// Replaces a file that has all the links that it can have by a copy, which has none.
    fn renew(self: &Arc<Self>, name: &Name, stamp: Stamp) -> Result<(), StoreError> {
        // Gone: another did it.
        let Some(source) = self.open_file(name)? else {
            return Ok(());
        };
        if self.verify(name, &source, Some(stamp))?.is_none() {
            return Ok(());
        }
        let _turn = self.turns.take((name.digest, name.form));
        if self.is_there(name)
            && let Some((copy, file)) = self.copy_inside(name, &source, name.form)?
        {
            let is_used = self.state().index.replace(name, file);
            self.delete(&[if is_used { *name } else { copy }]);
        }
        Ok(())
    }

    /// Copies a file of the store to a new one. `None` if its bytes are wrong; it is gone then.
    fn copy_inside(
        self: &Arc<Self>,
        name: &Name,
        source: &File,
        form: Form,
    ) -> Result<Option<(Name, FileEntry)>, StoreError> {
        let digest = &name.digest;
        let mut temp = Temp::create(self, form.mode())?;
        temp.reserve(digest.size_bytes)?;
        let copy = Name {
            digest: *digest,
            number: temp.number(),
            form,
        };
        let copied = self.with_disk("write", &copy.path(), || {
            clone_or_copy(source, temp.file(), digest)
        })?;
        if !copied {
            self.drop_bad(name);
            return Ok(None);
        }
        let file = FileEntry {
            number: copy.number,
            stamp: Some(temp.keep(&copy)?),
        };
        Ok(Some((copy, file)))
    }

    fn copy_out(
        &self,
        digest: &Digest,
        is_executable: bool,
        to: To<'_>,
    ) -> Result<LinkOutcome, StoreError> {
        let Some((name, source)) = self.open_verified(digest)? else {
            return Ok(LinkOutcome::Missing);
        };
        let form = if is_executable {
            Form::Executable
        } else {
            Form::Plain
        };
        let failed = |source| StoreError::io("write", to.path, source);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let target = rustix::fs::openat(to.dir, to.path, flags, form.mode())
            .map_err(|errno| failed(errno.into()))?;
        let target = File::from(target);
        let copied = clone_or_copy(&source, &target, digest).and_then(|is_same| {
            // The umask may have taken some away.
            rustix::fs::fchmod(&target, form.mode())?;
            Ok(is_same)
        });
        if matches!(copied, Ok(true)) {
            return Ok(LinkOutcome::Copied);
        }
        to.remove()?;
        copied.map_err(failed)?;
        self.drop_bad(&name);
        Ok(LinkOutcome::Missing)
    }

    fn is_there(&self, name: &Name) -> bool {
        rustix::fs::statat(&self.root, name.path(), AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }
}

/// Gives `target` the bytes of `source`: shared with it if the file system can, else copied and
/// hashed on the way. `false` if they turned out to be wrong.
fn clone_or_copy(source: &File, target: &File, digest: &Digest) -> io::Result<bool> {
    if rustix::fs::ioctl_ficlone(target, source).is_ok() {
        return Ok(true);
    }
    let mut hasher = Hasher::new(digest.function);
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = 0;
    while at < digest.size_bytes {
        let count = match source.read_at(&mut buffer, at) {
            Ok(0) => return Ok(false),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        target.write_all_at(&buffer[..count], at)?;
        hasher.update(&buffer[..count]);
        at += count as u64;
    }
    Ok(hasher.finish() == *digest)
}
