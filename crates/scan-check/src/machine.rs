//! Real files for the scanner.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use scan::{Files, Found, Holds, Stamp};

/// How old a change must be for a later one to be sure to get another time: some ticks of the coarse clock that file
/// systems stamp changes with (1 to 10 ms).
const SETTLED_AFTER: Duration = Duration::from_millis(50);

/// The files of this machine, as of one moment.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    settled_before_ns: i128,
}

impl Machine {
    /// For a scan that starts now.
    #[must_use]
    pub fn now() -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            settled_before_ns: nanoseconds(now) - nanoseconds(SETTLED_AFTER),
        }
    }

    /// What is at a path, from what the kernel says of it.
    fn found(self, metadata: &Metadata) -> (Found, Holds) {
        let stamp = Stamp {
            dev: metadata.dev(),
            ino: metadata.ino(),
            size: metadata.size(),
            mtime_ns: i128::from(metadata.mtime()) * 1_000_000_000
                + i128::from(metadata.mtime_nsec()),
            ctime_ns: i128::from(metadata.ctime()) * 1_000_000_000
                + i128::from(metadata.ctime_nsec()),
        };
        let kind = metadata.file_type();
        let holds = Holds::if_settled(stamp.mtime_ns.max(stamp.ctime_ns) < self.settled_before_ns);
        if kind.is_file() {
            (Found::File(stamp), holds)
        } else if kind.is_dir() {
            (Found::Dir(stamp), holds)
        } else if kind.is_char_device()
            && fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == metadata.rdev())
        {
            (Found::Null, Holds::WhileSame)
        } else {
            (Found::Unreadable, Holds::WhileSame)
        }
    }
}

fn is_absent(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn nanoseconds(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

impl Files for Machine {
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
        let entries = fs::read_dir(dir).ok()?;
        entries
            .map(|entry| entry.ok().map(|entry| entry.file_name()))
            .collect()
    }

    fn link(&mut self, path: &Path) -> Option<Vec<u8>> {
        fs::read_link(path)
            .ok()
            .map(|target| target.into_os_string().into_vec())
    }
}
