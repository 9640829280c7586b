//! Opens files that somebody else has named, without being held up by them.
//!
//! A name from a command line may lead to a pipe, and opening one waits until somebody writes:
//! one compile would stop whoever serves all others. It may also lead through `/dev/fd` or
//! `/proc/self`, which mean another file in each process: the kernel is told not to follow those.
//! Only ordinary files are opened here.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Opens an ordinary file for reading.
///
/// # Errors
/// What opening says; `InvalidInput` where the name leads to something else.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::NO_MAGICLINKS;
    let file = match rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve) {
        // An old kernel, or a container that forbids what it does not know.
        Err(Errno::NOSYS | Errno::PERM) => rustix::fs::open(path, flags, Mode::empty()),
        outcome => outcome,
    }?;
    let mode = rustix::fs::fstat(&file)?.st_mode;
    if FileType::from_raw_mode(mode) == FileType::RegularFile {
        Ok(file.into())
    } else {
        let text = "not an ordinary file";
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    }
}

/// Reads an ordinary file of at most `bytes_max` bytes.
///
/// # Errors
/// What [`open`] and reading say; `FileTooLarge` where it is longer.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = open(path)?;
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_ordinary_files_are_read_and_nothing_waits() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        std::fs::write(path("file"), "text").unwrap();
        symlink("file", path("link")).unwrap();
        assert_eq!(read(&path("link"), 4).unwrap(), b"text");
        assert_eq!(
            read(&path("file"), 3).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        rustix::fs::mknodat(CWD, path("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        for other in [&path("pipe"), temp.path(), Path::new("/dev/zero")] {
            let error = open(other).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{other:?}");
        }
    }

    #[test]
    fn names_of_this_processs_own_files_are_not_followed() {
        let file = crate::memory_file("ours").unwrap();
        let name = format!("/proc/self/fd/{}", file.as_raw_fd());
        open(Path::new(&name)).unwrap_err();
    }
}
