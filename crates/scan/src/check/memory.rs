//! A file system in memory.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use crate::{Files, Found, Holds, Stamp};

/// Files in memory. Every change gives a new stamp, to the file and to its directory.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, (Vec<u8>, i128)>,
    dirs: BTreeMap<PathBuf, i128>,
    clock: i128,
}

impl Memory {
    /// Writes a file, new or not.
    pub fn write(&mut self, path: &Path, content: &[u8]) {
        self.clock += 1;
        if self
            .files
            .insert(path.to_path_buf(), (content.to_vec(), self.clock))
            .is_none()
        {
            self.touch_dirs(path);
        }
    }

    /// Removes a file; its directory stays.
    pub fn remove(&mut self, path: &Path) {
        self.clock += 1;
        if self.files.remove(path).is_some() {
            self.touch_dirs(path);
        }
    }

    /// Every file.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    fn touch_dirs(&mut self, path: &Path) {
        let clock = self.clock;
        let mut above = path.parent();
        // A directory that is new is a change of the one above it.
        while let Some(dir) = above {
            if self.dirs.insert(dir.to_path_buf(), clock).is_some() {
                break;
            }
            above = dir.parent();
        }
    }
}

/// A path without `.` and `..`, which can be taken away here since there are no links.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

impl Files for Memory {
    fn look(&mut self, path: &Path) -> (Found, Holds) {
        // `a/../b` is there only if `a` is.
        for above in path.ancestors().skip(1) {
            if !self.dirs.contains_key(&plain(above)) {
                return (Found::Absent, Holds::WhileSame);
            }
        }
        let path = plain(path);
        let number = |path: &Path| crate::hash::bytes64(path.as_os_str().as_encoded_bytes());
        if let Some((content, time)) = self.files.get(&path) {
            let size = content.len() as u64;
            let stamp = Stamp {
                dev: 1,
                ino: number(&path),
                size,
                mtime_ns: *time,
                ctime_ns: *time,
            };
            return (Found::File(stamp), Holds::WhileSame);
        }
        match self.dirs.get(&path) {
            Some(time) => {
                let stamp = Stamp {
                    dev: 1,
                    ino: number(&path),
                    size: 0,
                    mtime_ns: *time,
                    ctime_ns: *time,
                };
                (Found::Dir(stamp), Holds::WhileSame)
            }
            None => (Found::Absent, Holds::WhileSame),
        }
    }

    fn read(&mut self, path: &Path, _: u64) -> Option<Vec<u8>> {
        self.files.get(&plain(path)).map(|it| it.0.clone())
    }

    fn names(&mut self, dir: &Path) -> Option<Vec<OsString>> {
        let dir = plain(dir);
        let all = self.files.keys().chain(self.dirs.keys());
        let names = all.filter_map(|path| Some((path.parent()?, path.file_name()?)));
        let names = names.filter(|(above, _)| *above == dir);
        Some(names.map(|(_, name)| name.to_owned()).collect())
    }

    fn link(&mut self, _: &Path) -> Option<Vec<u8>> {
        None
    }
}
