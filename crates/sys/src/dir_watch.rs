//! Directories that the kernel tells changes of (`inotify(7)`).
//!
//! An event is there to be read before the call returns that made the change. So while there is no news, nothing has
//! been created, deleted, renamed, written or given other permissions in a watched directory, by anybody who has
//! finished. Not told are: writing through a mapping (`mmap`), changes by other machines, and changes of a file through
//! a name that it has in another directory, be it a link or the place that it is mounted from.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// File systems whose every change goes through this kernel, by `f_type` of `statfs(2)`: bcachefs, btrfs, EROFS, ext2 to
/// ext4, F2FS, squashfs, tmpfs, XFS, ZFS.
pub(crate) const LOCAL_FILE_SYSTEMS: &[i64] = &[
    0xca45_1a4e,
    0x9123_683e,
    0xe0f5_e1e2,
    0xef53,
    0xf2f5_2010,
    0x7371_7368,
    0x0102_1994,
    0x5846_5342,
    0x2fc1_2fc1,
];

/// Room for events, in bytes: some hundred of them.
const EVENT_BYTES: usize = 8 << 10;

/// What has happened since the last question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Nothing.
    Nothing,
    /// Something in the directories.
    Changed,
    /// A directory is not watched any more, or another may be at its path: all have to be watched anew.
    Lost,
}

/// A set of watched directories.
#[derive(Debug)]
pub struct DirWatch {
    events: OwnedFd,
    /// Becomes urgent to read when something is mounted, which hides what is watched (`proc_pid_mountinfo(5)`).
    mounts: File,
    /// Everything that something is mounted on.
    mounted: HashSet<PathBuf>,
}

impl DirWatch {
    /// None yet.
    ///
    /// # Errors
    /// The user has too many of these already, or `/proc` is missing.
    pub fn new() -> io::Result<Self> {
        let mut mounts = File::open("/proc/self/mountinfo")?;
        let mut list = Vec::new();
        // What is mounted from now on is news.
        mounts.read_to_end(&mut list)?;
        Ok(Self {
            events: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            mounts,
            mounted: mount_points(&list),
        })
    }

    /// Whether something is mounted on a path. A file that is mounted there belongs to another directory, which is told
    /// of its changes.
    #[must_use]
    pub fn is_mounted(&self, path: &Path) -> bool {
        self.mounted.contains(path)
    }

    /// Watches a directory: what is in it by name, and itself. What is seen of it after this call holds while there is
    /// no news.
    ///
    /// # Errors
    /// It is no directory but, say, a link to one, the user watches too many, or its file system can change unseen.
    pub fn add(&self, dir: &Path) -> io::Result<()> {
        let flags = WatchFlags::ATTRIB
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MODIFY
            | WatchFlags::MOVE
            | WatchFlags::MOVE_SELF
            | WatchFlags::DONT_FOLLOW
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&self.events, dir, flags)?;
        let kind = rustix::fs::statfs(dir)?.f_type;
        if LOCAL_FILE_SYSTEMS.contains(&kind) {
            Ok(())
        } else {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// What has happened since the last call.
    #[must_use]
    pub fn news(&self) -> News {
        let mut both = [
            PollFd::new(&self.events, PollFlags::IN),
            PollFd::new(&self.mounts, PollFlags::PRI),
        ];
        let at_once = Timespec::default();
        match poll(&mut both, Some(&at_once)) {
            Ok(0) => News::Nothing,
            Ok(_) if both[1].revents().is_empty() => self.read(),
            _ => News::Lost,
        }
    }

    fn read(&self) -> News {
        let lost = ReadFlags::IGNORED
            | ReadFlags::UNMOUNT
            | ReadFlags::QUEUE_OVERFLOW
            | ReadFlags::DELETE_SELF
            | ReadFlags::MOVE_SELF;
        let mut room = [MaybeUninit::uninit(); EVENT_BYTES];
        let mut events = inotify::Reader::new(&self.events, &mut room);
        let mut news = News::Nothing;
        loop {
            match events.next() {
                Ok(event) if event.events().intersects(lost) => return News::Lost,
                Ok(_) => news = News::Changed,
                Err(Errno::AGAIN) => return news,
                Err(Errno::INTR) => {}
                Err(_) => return News::Lost,
            }
        }
    }
}

/// The fifth word of each line (`proc_pid_mountinfo(5)`).
fn mount_points(list: &[u8]) -> HashSet<PathBuf> {
    let lines = list.split(|&byte| byte == b'\n');
    let words = lines.filter_map(|line| line.split(|&byte| byte == b' ').nth(4));
    words.map(|word| PathBuf::from(plain(word))).collect()
}

/// Blanks and the like are written there as `\040`.
fn plain(word: &[u8]) -> OsString {
    let mut plain = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..3).and_then(|it| std::str::from_utf8(it).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(|_| byte == b'\\') {
            Some(code) => {
                plain.push(code);
                rest = &behind[3..];
            }
            None => {
                plain.push(byte);
                rest = behind;
            }
        }
    }
    OsString::from_vec(plain)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// Every Linux has memory there, whatever its disks are.
    fn a_directory() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").unwrap()
    }

    #[test]
    fn every_change_in_a_watched_directory_is_news() {
        let temp = a_directory();
        let at = |name: &str| temp.path().join(name);
        fs::write(at("a"), "1").unwrap();
        let watch = DirWatch::new().unwrap();
        watch.add(temp.path()).unwrap();
        assert_eq!(watch.news(), News::Nothing);
        let changes: [(&str, &dyn Fn()); 7] = [
            ("write", &|| fs::write(at("a"), "2").unwrap()),
            ("create", &|| fs::write(at("b"), "").unwrap()),
            ("rename", &|| fs::rename(at("b"), at("c")).unwrap()),
            ("replace", &|| fs::rename(at("c"), at("a")).unwrap()),
            ("permissions", &|| {
                let none = fs::Permissions::from_mode(0o600);
                fs::set_permissions(at("a"), none).unwrap();
            }),
            ("link", &|| symlink("a", at("l")).unwrap()),
            ("delete", &|| fs::remove_file(at("a")).unwrap()),
        ];
        for (name, change) in changes {
            change();
            assert_eq!(watch.news(), News::Changed, "{name}");
            assert_eq!(watch.news(), News::Nothing, "{name}");
        }
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
        fs::symlink_metadata(at("l")).unwrap();
        assert_eq!(watch.news(), News::Nothing, "looking is no change");
    }

    #[test]
    fn a_directory_that_is_another_is_lost() {
        let temp = a_directory();
        let at = |name: &str| temp.path().join(name);
        let watched = || {
            fs::create_dir(at("d")).unwrap();
            let watch = DirWatch::new().unwrap();
            watch.add(&at("d")).unwrap();
            watch
        };
        let watch = watched();
        fs::rename(at("d"), at("e")).unwrap();
        assert_eq!(watch.news(), News::Lost);
        let watch = watched();
        fs::remove_dir(at("d")).unwrap();
        assert_eq!(watch.news(), News::Lost);
    }

    #[test]
    fn links_files_and_made_up_files_are_not_watched() {
        let temp = a_directory();
        let at = |name: &str| temp.path().join(name);
        fs::create_dir(at("d")).unwrap();
        symlink("d", at("l")).unwrap();
        fs::write(at("f"), "").unwrap();
        let watch = DirWatch::new().unwrap();
        for path in [at("l"), at("f"), at("no"), "/proc/self".into()] {
            assert!(watch.add(&path).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn mount_points_are_read_as_they_are_called() {
        let list = b"36 35 98:0 /mnt1 / rw,noatime - ext3 /dev/root rw\n\
                     37 36 0:5 /x /a\\040b\\134c rw - tmpfs none rw\n";
        let expect = ["/", "/a b\\c"].map(PathBuf::from);
        assert_eq!(mount_points(list), HashSet::from(expect));
        let watch = DirWatch::new().unwrap();
        assert!(watch.is_mounted(Path::new("/proc")));
        assert!(!watch.is_mounted(Path::new("/proc/self")));
    }
}
