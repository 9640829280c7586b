//! What the scanner asks of the file system, so that it can run on a real one, on a fake one or on a hostile one.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

/// Identity and version of a file or directory: while it is the same, so is what was learned from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stamp {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Length in bytes.
    pub size: u64,
    /// Last change of the content, in nanoseconds since 1970.
    pub mtime_ns: i128,
    /// Last change of the inode, in nanoseconds since 1970.
    pub ctime_ns: i128,
}

/// What is at a path, after following symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing, and nothing can appear without a change of the directory that would hold it.
    Absent,
    /// A symbolic link that leads nowhere: what it leads to can appear anywhere at any time.
    Dangling,
    /// A regular file.
    File(Stamp),
    /// A directory.
    Dir(Stamp),
    /// The null device, which reads as an empty file.
    Null,
    /// Something that cannot be read twice (a pipe, a device), or may not be looked at.
    Unreadable,
}

/// A moment for which several scans ask what is on disk.
///
/// Compiles that have all been asked for by some time may share a look at a file that was taken after it: each of them
/// would have seen the same, had it been the one to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment(u64);

impl Moment {
    /// Not shared: every scan looks by itself.
    pub const OWN: Self = Self(0);

    /// Another one than all before it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1).max(1))
    }

    /// Whether what was seen at one stands for what would be seen at the other.
    #[must_use]
    pub fn is_shared_with(self, other: Self) -> bool {
        self == other && self != Self::OWN
    }
}

/// How long what was seen at a path holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// For this scan. The stamp is so new that a later change may give the same.
    ThisScan,
    /// As long as another look sees the same stamp.
    WhileSame,
    /// As long as [`Files::era`] is the same, without another look.
    InEra,
}

impl Holds {
    /// What a stamp is worth that is old enough for a later change to be bound to give another, or is not.
    #[must_use]
    pub fn if_settled(settled: bool) -> Self {
        if settled {
            Self::WhileSame
        } else {
            Self::ThisScan
        }
    }
}

/// The era of nothing: [`Holds::InEra`] is never said in it.
pub const NO_ERA: u64 = 0;

/// A file system. Every path given to it is absolute.
pub trait Files {
    /// The moment that is asked for.
    fn moment(&self) -> Moment {
        Moment::OWN
    }

    /// A number that is another one as soon as anything has changed that an answer with [`Holds::InEra`] was about.
    fn era(&self) -> u64 {
        NO_ERA
    }

    /// Looks at a path.
    fn look(&mut self, path: &Path) -> (Found, Holds);

    /// The bytes of a file; `None` if it cannot be read. `size` is what [`Self::look`] said, as a hint.
    fn read(&mut self, path: &Path, size: u64) -> Option<Vec<u8>>;

    /// The names in a directory: nothing else can be found in it, but by other spellings of these. `None` if that
    /// cannot be said.
    fn names(&mut self, dir: &Path) -> Option<Vec<OsString>> {
        let _ = dir;
        None
    }

    /// Where a symbolic link leads, exactly as it says; `None` if there is no link at this path.
    fn link(&mut self, path: &Path) -> Option<Vec<u8>>;
}

impl<F: Files + ?Sized> Files for &mut F {
    fn moment(&self) -> Moment {
        (**self).moment()
    }

    fn era(&self) -> u64 {
        (**self).era()
    }

    fn look(&mut self, path: &Path) -> (Found, Holds) {
        (**self).look(path)
    }

    fn read(&mut self, path: &Path, size: u64) -> Option<Vec<u8>> {
        (**self).read(path, size)
    }

    fn names(&mut self, dir: &Path) -> Option<Vec<OsString>> {
        (**self).names(dir)
    }

    fn link(&mut self, path: &Path) -> Option<Vec<u8>> {
        (**self).link(path)
    }
}

impl fmt::Debug for dyn Files + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Files")
    }
}
