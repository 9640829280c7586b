//! The scanner's files: this machine's, as of one moment.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use scan::{Files, Found, Holds, Moment, Stamp};

/// How old a change must be for a later one to be sure to get another time: some ticks of the coarse clock that file
/// systems stamp changes with (1 to 10 ms).
const SETTLED_AFTER: Duration = Duration::from_millis(50);

/// The files of this machine, for one scan.
#[derive(Debug, Clone, Copy)]
pub struct Disk {
    settled_before_ns: i128,
    moment: Moment,
}

impl Disk {
    /// For a scan that starts now.
    #[must_use]
    pub fn now() -> Self {
        Self::at(Moment::OWN)
    }

    /// For a scan that starts now and shares its looks with others.
    pub(super) fn at(moment: Moment) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            settled_before_ns: nanoseconds(now) - nanoseconds(SETTLED_AFTER),
            moment,
        }
    }

    /// Whether a later change of a file is bound to give it another stamp.
    pub(crate) fn is_settled(self, stamp: &Stamp) -> bool {
        stamp.mtime_ns.max(stamp.ctime_ns) < self.settled_before_ns
    }

    /// What is there, by what the kernel says of it.
    pub(super) fn found(self, metadata: &Metadata) -> (Found, Holds) {
        let stamp = stamp(metadata);
        let kind = metadata.file_type();
        if kind.is_file() {
            (
                Found::File(stamp),
                Holds::if_settled(self.is_settled(&stamp)),
            )
        } else if kind.is_dir() {
            (
                Found::Dir(stamp),
                Holds::if_settled(self.is_settled(&stamp)),
            )
        } else if kind.is_char_device()
            && fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == metadata.rdev())
        {
            (Found::Null, Holds::WhileSame)
        } else {
            (Found::Unreadable, Holds::WhileSame)
        }
    }
}

/// What a file is known by.
pub(crate) fn stamp(metadata: &Metadata) -> Stamp {
    Stamp {
        dev: metadata.dev(),
        ino: metadata.ino(),
        size: metadata.size(),
        mtime_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
        ctime_ns: i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec()),
    }
}

fn nanoseconds(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

impl Files for Disk {
    fn moment(&self) -> Moment {
        self.moment
    }

    fn look(&mut self, path: &Path) -> (Found, Holds) {
        // Links are rare, so most looks are one system call.
        let is_link = match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_symlink() => true,
            Ok(metadata) => return self.found(&metadata),
            Err(error) if is_absent(error.kind()) => return (Found::Absent, Holds::WhileSame),
            Err(_) => return (Found::Unreadable, Holds::ThisScan),
        };
        match fs::metadata(path) {
            Ok(metadata) => self.found(&metadata),
            Err(error) if is_link && is_absent(error.kind()) => (Found::Dangling, Holds::WhileSame),
            Err(_) => (Found::Unreadable, Holds::ThisScan),
        }
    }

    fn read(&mut self, path: &Path, size: u64) -> Option<Vec<u8>> {
        let mut file = File::open(path).ok()?;
        let size = usize::try_from(size).ok()?;
        // Room for one byte more, so that what is expected comes in one call, and more is noticed.
        let mut bytes = vec![0; size + 1];
        let mut len = 0;
        loop {
            match file.read(&mut bytes[len..]) {
                Ok(0) => break,
                Ok(more) => len += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return None,
            }
            if len == size {
                break;
            }
            if len > size {
                file.read_to_end(&mut bytes).ok()?;
                return Some(bytes);
            }
        }
        bytes.truncate(len);
        Some(bytes)
    }

    fn names(&mut self, dir: &Path) -> Option<Vec<OsString>> {
        if !sys::disk::lists_everything(dir) {
            return None;
        }
        let entries = fs::read_dir(dir).ok()?;
        entries
            .map(|entry| entry.ok().map(|entry| entry.file_name()))
            .collect()
    }

    fn link(&mut self, path: &Path) -> Option<Vec<u8>> {
        let target = fs::read_link(path).ok()?;
        Some(target.into_os_string().into_vec())
    }
}

pub(super) fn is_absent(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn names_are_told_where_they_are_all() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("a.h"), "").unwrap();
        fs::create_dir(temp.path().join("sub")).unwrap();
        let mut names = Disk::now().names(temp.path()).unwrap();
        names.sort();
        assert_eq!(names, ["a.h", "sub"]);
        assert_eq!(Disk::now().names(Path::new("/proc")), None);
        assert_eq!(Disk::now().names(&temp.path().join("none")), None);
    }

    #[test]
    fn everything_that_can_be_at_a_path() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        fs::write(at("file"), "12").unwrap();
        symlink("file", at("link")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        let mut disk = Disk::now();
        let mut look = |name: &str| disk.look(&at(name)).0;
        let Found::File(stamp) = look("file") else {
            panic!("not a file");
        };
        assert_eq!(stamp.size, 2);
        assert_eq!(look("link"), Found::File(stamp));
        assert_eq!(look("dangling"), Found::Dangling);
        assert_eq!(look("absent"), Found::Absent);
        assert_eq!(look("file/below"), Found::Absent);
        assert!(matches!(look(""), Found::Dir(_)));
        assert_eq!(disk.look(Path::new("/dev/null")).0, Found::Null);
        assert_eq!(disk.link(&at("link")), Some(b"file".to_vec()));
        for size in [0, 1, 2, 9] {
            assert_eq!(disk.read(&at("link"), size), Some(b"12".to_vec()), "{size}");
        }
        // Just written: it could change again within the same tick.
        assert_eq!(disk.look(&at("file")).1, Holds::ThisScan);
    }
}
