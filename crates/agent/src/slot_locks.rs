//! Files in `$DISTCC_DIR/lock`: slots shared with other programs, and hosts that they gave up on.
//!
//! Stock clients and other agents (of another user, of another namespace) take a slot by a write lock on its file. The
//! agent does the same with locks that belong to the open file. A directory that cannot be written is no reason to
//! stop: the agent's own bookkeeping is complete without it. Other users own some of the files (Portage builds as root
//! and as `portage` in one directory) and files may vanish at any moment.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use stock::hosts::Host;

/// The lock directory of a job.
#[derive(Debug, Clone)]
pub(crate) struct LockDir(PathBuf);

/// What came of trying to take a slot.
#[derive(Debug)]
pub(crate) enum Take {
    /// It is ours until the file is closed.
    Ours(File),
    /// Another program holds it.
    Theirs,
    /// There is no file to lock; the text says why.
    NoFile(String),
}

impl LockDir {
    pub(crate) fn new(distcc_dir: &std::path::Path) -> Self {
        Self(distcc_dir.join(stock::lock::LOCK_DIR))
    }

    /// Tries to take the slot of a host, or of this machine without one.
    pub(crate) fn take(&self, host: Option<&Host>, slot: u32) -> Take {
        let name = match host {
            Some(host) => stock::lock::slot_file(host, slot),
            None => stock::lock::local_slot_file(slot),
        };
        let path = self.0.join(name);
        let file = match self.open(&path) {
            Ok(file) => file,
            Err(error) => return Take::NoFile(format!("{}: {error}", path.display())),
        };
        match sys::lock::try_lock_file(&file) {
            Ok(true) => Take::Ours(file),
            Ok(false) => Take::Theirs,
            Err(error) => Take::NoFile(format!("{}: {error}", path.display())),
        }
    }

    fn open(&self, path: &std::path::Path) -> io::Result<File> {
        let open = || {
            File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)
        };
        match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.0)?;
                open()
            }
            other => other,
        }
    }

    /// How much longer another program wants the host to be left alone.
    pub(crate) fn disliked_for(&self, host: &Host, period: Duration) -> Option<Duration> {
        let meta = fs::metadata(self.0.join(stock::lock::backoff_file(host))).ok()?;
        let age = SystemTime::now()
            .duration_since(meta.modified().ok()?)
            .unwrap_or_default();
        period.checked_sub(age).filter(|left| !left.is_zero())
    }

    /// Tells other programs that the host failed.
    pub(crate) fn dislike(&self, host: &Host) {
        let path = self.0.join(stock::lock::backoff_file(host));
        // Advice to others; without it they find out by themselves.
        fs::write(path, stock::lock::BACKOFF_CONTENT).unwrap_or_default();
    }

    /// Tells other programs that the host works.
    pub(crate) fn forgive(&self, host: &Host) {
        let path = self.0.join(stock::lock::backoff_file(host));
        fs::remove_file(path).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        stock::hosts::HostList::parse(text).hosts.remove(0)
    }

    #[test]
    fn a_slot_is_ours_until_closed() {
        let temp = tempfile::tempdir().unwrap();
        let locks = LockDir::new(&temp.path().join("not/yet"));
        let host = host("pc");
        let Take::Ours(held) = locks.take(Some(&host), 1) else {
            panic!("not taken");
        };
        assert!(matches!(locks.take(Some(&host), 1), Take::Theirs));
        assert!(matches!(locks.take(Some(&host), 2), Take::Ours(_)));
        drop(held);
        assert!(matches!(locks.take(Some(&host), 1), Take::Ours(_)));
        assert!(temp.path().join("not/yet/lock/cpu_tcp_pc_3632_1").exists());
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_survived() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(LockDir::new(&file).take(None, 0), Take::NoFile(_)));
    }

    #[test]
    fn dislike_is_seen_while_young() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("lock")).unwrap();
        let (locks, host) = (LockDir::new(temp.path()), host("pc"));
        let period = Duration::from_secs(60);
        assert_eq!(locks.disliked_for(&host, period), None);
        locks.dislike(&host);
        assert!(locks.disliked_for(&host, period).is_some());
        assert_eq!(locks.disliked_for(&host, Duration::ZERO), None);
        locks.forgive(&host);
        assert_eq!(locks.disliked_for(&host, period), None);
    }
}
