//! What a job left where something was expected, and reading directories that it left.
//!
//! All processes of the job are dead by then, so nothing changes under the reader's hands; but
//! every name and link is the job's choice. So nothing here follows a link: what is found is
//! opened by one name in an open directory, and links are told, not followed. Names, entries and
//! depth are bounded by the caller's [`WalkLimits`].

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rustix::fs::{Dir, FileType, Mode, OFlags, fstat, openat, readlinkat};
use rustix::io::Errno;

/// What is at one path.
#[derive(Debug)]
pub enum Output {
    /// Nothing.
    Missing,
    /// A regular file, open for reading.
    File(File),
    /// A directory.
    Directory(OutputDirectory),
    /// A symbolic link with its target, to wherever.
    Link(PathBuf),
    /// Something that cannot be an output; says what, or why it cannot be read.
    Other(String),
}

impl Output {
    /// The file, if it is one.
    #[must_use]
    pub fn into_file(self) -> Option<File> {
        match self {
            Output::File(file) => Some(file),
            _ => None,
        }
    }

    /// Looks at what `open` opens with these flags; `read_link` is asked if that is a link.
    pub(super) fn look(
        open: impl FnOnce(OFlags) -> rustix::io::Result<OwnedFd>,
        read_link: impl FnOnce() -> rustix::io::Result<std::ffi::CString>,
    ) -> Output {
        // Not to wait for a writer where it is a pipe.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
        let fd = match open(flags | OFlags::CLOEXEC) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Output::Missing,
            Err(Errno::LOOP) => {
                return match read_link() {
                    Ok(target) => Output::Link(OsString::from_vec(target.into_bytes()).into()),
                    Err(_) => Output::Other("behind a link that cannot be followed".into()),
                };
            }
            Err(Errno::NXIO) => return Output::Other("a socket or a device".into()),
            Err(error) => return Output::Other(error.to_string()),
        };
        Output::of_open(fd).unwrap_or_else(|error| Output::Other(error.to_string()))
    }

    /// What an open descriptor is.
    fn of_open(fd: OwnedFd) -> io::Result<Output> {
        let kind = FileType::from_raw_mode(fstat(&fd)?.st_mode);
        Ok(match kind {
            // Files of `/proc` have no size, no end, and tell of whoever reads them.
            FileType::RegularFile | FileType::Directory if is_proc(&fd)? => {
                Output::Other("a file of /proc".into())
            }
            FileType::RegularFile => Output::File(fd.into()),
            FileType::Directory => Output::Directory(OutputDirectory { fd, depth: 0 }),
            other => Output::Other(format!("{other:?}")),
        })
    }
}

fn is_proc(fd: &OwnedFd) -> io::Result<bool> {
    let kind = rustix::fs::fstatfs(fd)?.f_type;
    Ok(u64::try_from(kind).ok() == u64::try_from(rustix::fs::PROC_SUPER_MAGIC).ok())
}

/// Bounds for all reads of one tree of directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkLimits {
    /// Most entries of all directories together.
    pub entries_max: usize,
    /// Most levels of directories below the first.
    pub depth_max: usize,
}

/// A directory that a job left.
#[derive(Debug)]
pub struct OutputDirectory {
    fd: OwnedFd,
    depth: usize,
}

impl OutputDirectory {
    /// The names in it, sorted as bytes, at most as many as `limits` still allows, which gets
    /// smaller by their number.
    ///
    /// # Errors
    /// What the kernel says, or that a limit is exceeded.
    pub fn names(&self, limits: &mut WalkLimits) -> io::Result<Vec<OsString>> {
        let too_much = |what| Err(io::Error::other(format!("it holds too many {what}")));
        if self.depth > limits.depth_max {
            return too_much("directories within each other");
        }
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            if limits.entries_max == 0 {
                return too_much("files");
            }
            limits.entries_max -= 1;
            names.push(OsStr::from_bytes(name.to_bytes()).to_os_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// What is in it under one of its [`OutputDirectory::names`].
    #[must_use]
    pub fn open(&self, name: &OsStr) -> Output {
        // One name and no link: this cannot lead anywhere else.
        let is_plain = !name.is_empty() && name != ".." && !name.as_bytes().contains(&b'/');
        if !is_plain {
            return Output::Missing;
        }
        let output = Output::look(
            |flags| openat(&self.fd, name, flags, Mode::empty()),
            || readlinkat(&self.fd, name, Vec::new()),
        );
        match output {
            Output::Directory(inner) => Output::Directory(OutputDirectory {
                depth: self.depth + 1,
                ..inner
            }),
            other => other,
        }
    }
}

impl AsFd for OutputDirectory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// How an [`Output`] travels: its kind, its descriptor beside the message, a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    Missing,
    File,
    Directory,
    Link(Vec<u8>),
    Other(Vec<u8>),
}

impl Output {
    /// Takes it apart for the journey.
    pub(super) fn send(self) -> (Sent, Option<OwnedFd>) {
        match self {
            Output::Missing => (Sent::Missing, None),
            Output::File(file) => (Sent::File, Some(file.into())),
            Output::Directory(directory) => (Sent::Directory, Some(directory.fd)),
            Output::Link(target) => (Sent::Link(target.into_os_string().into_vec()), None),
            Output::Other(what) => (Sent::Other(what.into_bytes()), None),
        }
    }

    /// Puts it together again; `None` if its descriptor got lost.
    pub(super) fn receive(sent: Sent, fds: &mut impl Iterator<Item = OwnedFd>) -> Option<Output> {
        Some(match sent {
            Sent::Missing => Output::Missing,
            Sent::File => Output::File(fds.next()?.into()),
            Sent::Directory => Output::Directory(OutputDirectory {
                fd: fds.next()?,
                depth: 0,
            }),
            Sent::Link(target) => Output::Link(OsString::from_vec(target).into()),
            Sent::Other(what) => Output::Other(String::from_utf8_lossy(&what).into_owned()),
        })
    }
}
