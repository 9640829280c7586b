//! What an answer about a toolchain relies on, and whether it still holds.
//!
//! Every compile looks at each program and library, by the path by which it is looked up and with links followed: one
//! system call of about a microsecond for each of 15 to 30 files. So no compile meets a compiler, assembler or library
//! that was replaced a moment ago, nor one that a link was led away from (`update-alternatives`). A file counts as the
//! same while device, inode, size, time of change and time of inode change are: package managers write a new file and
//! rename it, which changes them all, and no program can set the last one.
//!
//! The rest is looked at when the last look is a second old: data such as catalogs of messages, the links by themselves,
//! and the places where a program or file would now be found first if it existed (an assembler earlier in `PATH`, a
//! specs file). These are many, and what appears under such a name while a build runs may as well have appeared a second
//! later.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use scan::Stamp;

use crate::scanning::stamp;

/// How far from now a change must be for another one to be sure to get another time: some ticks of the coarse clock
/// that file systems stamp changes with (1 to 10 ms). On a server with another clock it may lie ahead.
const SETTLED_AFTER_NS: u128 = 50_000_000;

/// How long the rest is believed to be as it was.
const REST_KEPT: Duration = Duration::from_secs(1);

/// What was seen at a path: nothing, or something.
type Seen = Option<Stamp>;

/// Paths with what was seen there.
#[derive(Debug)]
pub(super) struct Relied {
    /// Real paths of files, with the path that led there first and what it led to.
    files: BTreeMap<PathBuf, (PathBuf, Stamp)>,
    /// Other paths, links not followed.
    rest: BTreeMap<PathBuf, Seen>,
    /// When the rest was looked at last.
    rest_looked_at: Mutex<Instant>,
    /// Something changed so shortly before it was looked at that the next change might not show.
    unsettled: bool,
}

impl Relied {
    pub(super) fn new() -> Self {
        Self {
            files: BTreeMap::new(),
            rest: BTreeMap::new(),
            rest_looked_at: Mutex::new(Instant::now()),
            unsettled: false,
        }
    }

    /// Notes a file that is looked at each time, by the path that leads to it and by its real path.
    ///
    /// # Errors
    /// It cannot be looked at, or is no regular file.
    pub(super) fn on_file(&mut self, path: &Path, real: &Path) -> io::Result<()> {
        if self.files.contains_key(real) {
            return Ok(());
        }
        let metadata = regular(path)?;
        let stamp = self.note(&metadata);
        self.files.insert(real.to_owned(), (path.to_owned(), stamp));
        Ok(())
    }

    /// Notes a file that is looked at with the rest, by its real path.
    ///
    /// # Errors
    /// It cannot be looked at, or is no regular file.
    pub(super) fn on_data(&mut self, real: &Path) -> io::Result<()> {
        regular(real)?;
        self.on(real);
        Ok(())
    }

    /// Notes what is at a path, a link by itself. The first look counts: what is found later is judged against it.
    pub(super) fn on(&mut self, path: &Path) {
        if self.rest.contains_key(path) {
            return;
        }
        let metadata = fs::symlink_metadata(path).ok();
        let seen = metadata.map(|metadata| self.note(&metadata));
        self.rest.insert(path.to_owned(), seen);
    }

    fn note(&mut self, metadata: &Metadata) -> Stamp {
        let stamp = stamp(metadata);
        self.unsettled |= !is_settled(&stamp);
        stamp
    }

    /// The stamp of a file by its real path.
    pub(super) fn stamp(&self, real: &Path) -> Option<Stamp> {
        let file = self.files.get(real).map(|(_, stamp)| *stamp);
        file.or_else(|| *self.rest.get(real)?)
    }

    /// Whether a later change of anything is bound to show.
    pub(super) fn is_settled(&self) -> bool {
        !self.unsettled
    }

    /// The first path at which something else is by `now`, as far as it is looked at.
    pub(super) fn changed(&self, now: Instant) -> Option<&Path> {
        let files = self.files.values();
        let mut changed = files.filter(|(path, seen)| {
            let metadata = fs::metadata(path);
            metadata.map_or(true, |metadata| stamp(&metadata) != *seen)
        });
        if let Some((path, _)) = changed.next() {
            return Some(path);
        }
        let mut looked_at = self
            .rest_looked_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(*looked_at) < REST_KEPT {
            return None;
        }
        let changed = self.rest_changed();
        if changed.is_none() {
            *looked_at = now;
        }
        changed
    }

    /// The first path at which something else is now, nothing believed.
    pub(super) fn changed_at_all(&self) -> Option<&Path> {
        self.changed(Instant::now()).or_else(|| self.rest_changed())
    }

    /// Errors other than absence count as nothing there, for then nobody can use what is there either.
    fn rest_changed(&self) -> Option<&Path> {
        let mut rest = self.rest.iter();
        let changed = rest.find(|(path, seen)| {
            let metadata = fs::symlink_metadata(path).ok();
            metadata.map(|metadata| stamp(&metadata)) != **seen
        });
        changed.map(|(path, _)| path.as_path())
    }
}

fn regular(path: &Path) -> io::Result<Metadata> {
    let metadata = fs::metadata(path)?;
    if metadata.is_file() {
        Ok(metadata)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

/// The time of inode change is set by the system alone, so it suffices: whatever else changes, it moves on.
fn is_settled(stamp: &Stamp) -> bool {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = i128::try_from(now.as_nanos()).unwrap_or(i128::MAX);
    now.saturating_sub(stamp.ctime_ns).unsigned_abs() > SETTLED_AFTER_NS
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn replace(path: &Path, text: &str) {
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    #[test]
    fn files_are_looked_at_each_time() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        fs::write(at("gcc-12"), "1").unwrap();
        fs::write(at("gcc-13"), "1").unwrap();
        symlink("gcc-12", at("gcc")).unwrap();
        let relied = || {
            let mut relied = Relied::new();
            relied.on_file(&at("gcc"), &at("gcc-12")).unwrap();
            relied
        };
        let first = relied();
        let start = *first.rest_looked_at.lock().unwrap();
        assert_eq!(first.changed(start), None);
        assert!(!first.is_settled(), "just written");
        replace(&at("gcc-12"), "1");
        assert_eq!(first.changed(start), Some(&*at("gcc")));
        let second = relied();
        fs::remove_file(at("gcc")).unwrap();
        symlink("gcc-13", at("gcc")).unwrap();
        assert_eq!(second.changed(start), Some(&*at("gcc")));
        assert!(Relied::new().on_file(temp.path(), temp.path()).is_err());
        assert!(Relied::new().on_file(&at("no"), &at("no")).is_err());
    }

    #[test]
    fn the_rest_is_believed_for_a_second() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        symlink("x", at("link")).unwrap();
        let relied = || {
            let mut relied = Relied::new();
            relied.on(&at("link"));
            relied.on(&at("as"));
            relied.on(&at("link/below"));
            relied
        };
        let first = relied();
        let start = *first.rest_looked_at.lock().unwrap();
        assert_eq!(first.changed(start + REST_KEPT), None);
        fs::write(at("as"), "").unwrap();
        assert_eq!(first.changed(start + REST_KEPT * 3 / 2), None);
        assert_eq!(first.changed_at_all(), Some(&*at("as")));
        for _ in 0..2 {
            assert_eq!(first.changed(start + REST_KEPT * 2), Some(&*at("as")));
        }
        let second = relied();
        let start = *second.rest_looked_at.lock().unwrap();
        fs::remove_file(at("link")).unwrap();
        symlink("y", at("link")).unwrap();
        assert_eq!(second.changed(start + REST_KEPT), Some(&*at("link")));
    }
}
