//! The system's headers, which the kernel tells changes of.
//!
//! Most of the headers of a compile are the system's, hundreds of them, and next to never changed. To look at each of
//! them for every compile is the largest part of what a compile costs this machine. So their directories are watched, and
//! what was seen in them holds until there is news. Headers of projects are looked at for each compile: what the
//! kernel does not tell (writing through a mapping, another name of the same file) is unheard of for installed files only.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use scan::{Files, Found, Holds, Moment, NO_ERA};
use sys::dir_watch::{DirWatch, News};

use super::disk::Disk;

/// What is below these directories is installed, not worked on.
const INSTALLED: &[&str] = &["/gnu/store", "/nix/store", "/usr"];

/// Except this: kernels are built here.
const WORKED_ON: &[&str] = &["/usr/src", "/usr/local/src"];

/// Most directories that are watched. What a build uses are some hundred, and users may have 8192 or more
/// (`fs.inotify.max_user_watches`).
const DIRS_MAX: usize = 4096;

/// Directories of installed headers.
#[derive(Debug)]
pub(super) struct Watched {
    /// Below these files are installed.
    installed: Vec<PathBuf>,
    watch: Option<DirWatch>,
    /// Whether a directory is watched, and everything above it.
    dirs: HashMap<Box<Path>, bool>,
    era: u64,
}

impl Default for Watched {
    fn default() -> Self {
        Self::below(INSTALLED.iter().map(PathBuf::from).collect())
    }
}

impl Watched {
    fn below(installed: Vec<PathBuf>) -> Self {
        Self {
            installed,
            watch: DirWatch::new().ok(),
            dirs: HashMap::new(),
            era: NO_ERA + 1,
        }
    }

    /// Asks for news. A new era begins if there is any.
    pub(super) fn ask(&mut self) {
        let news = self.watch.as_ref().map_or(News::Nothing, DirWatch::news);
        match news {
            News::Nothing => return,
            // What was not there may be there now.
            News::Changed => self.dirs.retain(|_, is_watched| *is_watched),
            News::Lost => {
                self.dirs.clear();
                self.watch = DirWatch::new().ok();
            }
        }
        self.era += 1;
    }

    fn era(&self) -> u64 {
        self.watch.as_ref().map_or(NO_ERA, |_| self.era)
    }

    /// Whether changes in a directory of installed files are told.
    fn covers(&mut self, dir: &Path) -> bool {
        let is_installed = self.installed.iter().any(|root| dir.starts_with(root));
        let is_worked_on = || WORKED_ON.iter().any(|root| dir.starts_with(root));
        is_installed && !is_worked_on() && self.watch(dir)
    }

    /// Watches a directory and all above it: what is renamed there is not told to those who watch below.
    fn watch(&mut self, dir: &Path) -> bool {
        if let Some(&known) = self.dirs.get(dir) {
            return known;
        }
        let is_name = |component| matches!(component, Component::RootDir | Component::Normal(_));
        // Of what is not plain, `..` say, the text does not tell what is above.
        let is_plain = dir.components().next_back().is_some_and(is_name);
        let is_possible = self.dirs.len() < DIRS_MAX && is_plain;
        let is_watched =
            is_possible && dir.parent().is_none_or(|above| self.watch(above)) && self.add(dir);
        self.dirs.insert(dir.into(), is_watched);
        is_watched
    }

    /// Whether a file has one name, by which all changes are told. Something mounted on it later is news; a link that is
    /// made later, in a directory that is not watched, is not.
    fn has_one_name(&self, path: &Path, meta: &Metadata) -> bool {
        let watch = self.watch.as_ref();
        meta.nlink() == 1 && watch.is_some_and(|watch| !watch.is_mounted(path))
    }

    fn add(&self, dir: &Path) -> bool {
        let watch = self.watch.as_ref();
        watch.is_some_and(|watch| watch.add(dir).is_ok())
    }
}

/// The files of this machine, for one scan.
#[derive(Debug)]
pub(super) struct WatchedDisk<'a> {
    pub(super) disk: Disk,
    pub(super) watched: &'a mut Watched,
}

impl WatchedDisk<'_> {
    /// What holds for the era, if it does.
    fn look_in_era(&mut self, path: &Path) -> Option<(Found, Holds)> {
        // Before it is looked at: what happens in between is then news.
        if !self.watched.covers(path.parent()?) {
            return None;
        }
        let mut seen = fs::symlink_metadata(path);
        if seen.as_ref().is_ok_and(Metadata::is_dir) {
            if !self.watched.covers(path) {
                return None;
            }
            seen = fs::symlink_metadata(path);
        }
        let (found, holds) = match &seen {
            // Another name may be used to change it.
            Ok(meta) if meta.is_file() && !self.watched.has_one_name(path, meta) => return None,
            Ok(meta) if meta.is_file() || meta.is_dir() => self.disk.found(meta),
            Err(error) if super::disk::is_absent(error.kind()) => (Found::Absent, Holds::WhileSame),
            _ => return None,
        };
        match holds {
            Holds::WhileSame => Some((found, Holds::InEra)),
            holds => Some((found, holds)),
        }
    }
}

impl Files for WatchedDisk<'_> {
    fn moment(&self) -> Moment {
        self.disk.moment()
    }

    fn era(&self) -> u64 {
        self.watched.era()
    }

    fn look(&mut self, path: &Path) -> (Found, Holds) {
        let in_era = self.look_in_era(path);
        in_era.unwrap_or_else(|| self.disk.look(path))
    }

    fn read(&mut self, path: &Path, size: u64) -> Option<Vec<u8>> {
        self.disk.read(path, size)
    }

    fn names(&mut self, dir: &Path) -> Option<Vec<OsString>> {
        self.disk.names(dir)
    }

    fn link(&mut self, path: &Path) -> Option<Vec<u8>> {
        self.disk.link(path)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory on a file system that tells of changes, and what looks at it.
    struct Scene {
        dir: tempfile::TempDir,
        watched: Watched,
    }

    impl Scene {
        fn new() -> Self {
            let dir = tempfile::tempdir_in("/dev/shm").unwrap();
            let watched = Watched::below(vec![dir.path().to_owned()]);
            Self { dir, watched }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn look(&mut self, name: &str) -> (Found, Holds) {
            let path = self.at(name);
            let mut disk = WatchedDisk {
                disk: Disk::now(),
                watched: &mut self.watched,
            };
            disk.look(&path)
        }

        /// The same, when the last change is old enough.
        fn look_settled(&mut self, name: &str) -> (Found, Holds) {
            loop {
                let (found, holds) = self.look(name);
                if holds != Holds::ThisScan {
                    return (found, holds);
                }
                std::thread::yield_now();
            }
        }

        /// Whether anything has happened. Others may do something in `/dev/shm` at any time.
        fn news(&mut self) -> bool {
            let era = self.watched.era();
            self.watched.ask();
            self.watched.era() != era
        }
    }

    #[test]
    fn installed_files_hold_until_there_is_news() {
        let mut scene = Scene::new();
        fs::create_dir(scene.at("inc")).unwrap();
        fs::write(scene.at("inc/a.h"), "").unwrap();
        for name in ["inc/a.h", "inc", "inc/b.h", "no/c.h"] {
            let expected = [Holds::InEra, Holds::WhileSame][usize::from(name == "no/c.h")];
            assert_eq!(scene.look_settled(name).1, expected, "{name}");
        }
        fs::write(scene.at("inc/b.h"), "").unwrap();
        assert!(scene.news());
        assert!(matches!(
            scene.look_settled("inc/b.h"),
            (Found::File(_), Holds::InEra)
        ));
        fs::create_dir(scene.at("no")).unwrap();
        assert!(scene.news());
        assert_eq!(scene.look("no/c.h"), (Found::Absent, Holds::InEra));
    }

    #[test]
    fn another_directory_at_the_same_place_is_news() {
        let mut scene = Scene::new();
        fs::create_dir_all(scene.at("v1/inc")).unwrap();
        fs::create_dir_all(scene.at("v2/inc")).unwrap();
        fs::write(scene.at("v2/inc/a.h"), "").unwrap();
        assert_eq!(scene.look("v1/inc/a.h"), (Found::Absent, Holds::InEra));
        fs::rename(scene.at("v1"), scene.at("v0")).unwrap();
        fs::rename(scene.at("v2"), scene.at("v1")).unwrap();
        assert!(scene.news());
        assert!(matches!(
            scene.look_settled("v1/inc/a.h"),
            (Found::File(_), Holds::InEra)
        ));
        fs::write(scene.at("v1/inc/a.h"), "longer").unwrap();
        assert!(scene.news(), "the new directory is watched");
    }

    #[test]
    fn what_can_change_unseen_is_looked_at_each_time() {
        let mut scene = Scene::new();
        fs::create_dir(scene.at("inc")).unwrap();
        fs::write(scene.at("inc/a.h"), "").unwrap();
        symlink("inc", scene.at("link")).unwrap();
        symlink("a.h", scene.at("inc/link.h")).unwrap();
        fs::write(scene.at("inc/two.h"), "").unwrap();
        fs::hard_link(scene.at("inc/two.h"), scene.at("other.h")).unwrap();
        for name in ["link/a.h", "inc/link.h", "inc/two.h", "inc/../inc/a.h"] {
            let seen = scene.look_settled(name);
            assert!(matches!(seen, (Found::File(_), Holds::WhileSame)), "{name}");
        }
        let outside = tempfile::tempdir_in("/dev/shm").unwrap();
        fs::write(outside.path().join("a.h"), "").unwrap();
        let name = outside.path().join("a.h");
        let seen = scene.look_settled(name.to_str().unwrap());
        assert!(matches!(seen, (Found::File(_), Holds::WhileSame)));
    }
}
