//! Collects what has to be at which place, so that every path that is looked up leads where it leads here.
//!
//! A path is walked as the kernel walks it. Each link on the way becomes a link of the root with the same target
//! (`/lib` to `usr/lib`, `/usr/bin/cc` to `/etc/alternatives/cc`), what it finally leads to becomes a file or directory
//! at its real path, and a directory that is only passed on the way to `..` has to exist as well. So no entry lies below
//! a link.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::relied::Relied;
use super::why::NoToolchain;

/// Most links that one path may lead through, as in the kernel (`MAXSYMLINKS`).
const LINKS_MAX: u32 = 40;

/// What is at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The file that is at this path here.
    File,
    /// A file with these bytes, made up for the root.
    Made(Arc<[u8]>),
    /// A symbolic link that says this.
    Link(PathBuf),
    /// A directory, whatever else is in it.
    Dir,
}

/// Everything collected so far.
#[derive(Debug)]
pub(super) struct Places {
    places: BTreeMap<PathBuf, Place>,
    /// What was looked at on the way.
    pub(super) relied: Relied,
}

impl Places {
    pub(super) fn new() -> Self {
        Self {
            places: BTreeMap::new(),
            relied: Relied::new(),
        }
    }

    /// A program, a library or what configures them, with all links that lead to it. Returns its real path.
    ///
    /// # Errors
    /// There is no regular file, or the path cannot be followed.
    pub(super) fn program(&mut self, path: &Path) -> Result<PathBuf, NoToolchain> {
        let noted = self.walk(path).and_then(|real| {
            self.relied.on_file(path, &real)?;
            Ok(real)
        });
        self.file(path, noted)
    }

    /// The same for data.
    ///
    /// # Errors
    /// There is no regular file, or the path cannot be followed.
    pub(super) fn data(&mut self, path: &Path) -> Result<PathBuf, NoToolchain> {
        let noted = self.walk(path).and_then(|real| {
            self.relied.on_data(&real)?;
            Ok(real)
        });
        self.file(path, noted)
    }

    fn file(&mut self, path: &Path, noted: io::Result<PathBuf>) -> Result<PathBuf, NoToolchain> {
        let real = noted.map_err(|error| NoToolchain::unreadable(path, error))?;
        self.places.insert(real.clone(), Place::File);
        Ok(real)
    }

    /// As [`Places::data`], for what need not be there; its absence is relied upon. Returns whether it is.
    pub(super) fn data_if_any(&mut self, path: &Path) -> Result<bool, NoToolchain> {
        if fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
            self.data(path)?;
            return Ok(true);
        }
        self.relied.on(path);
        Ok(false)
    }

    /// A directory, if there is one.
    pub(super) fn dir_if_any(&mut self, path: &Path) {
        if fs::metadata(path).is_ok_and(|metadata| metadata.is_dir())
            && let Ok(real) = self.walk(path)
        {
            self.places.entry(real).or_insert(Place::Dir);
        }
    }

    /// A file that is made up, at the real place of a path.
    ///
    /// # Errors
    /// The path cannot be followed.
    pub(super) fn made(&mut self, path: &Path, bytes: Arc<[u8]>) -> Result<(), NoToolchain> {
        let real = self.real_or_missing(path)?;
        self.places.insert(real, Place::Made(bytes));
        Ok(())
    }

    /// A link that is made up, at the real place of a path's directory.
    ///
    /// # Errors
    /// The path cannot be followed.
    pub(super) fn made_link(&mut self, path: &Path, target: &Path) -> Result<(), NoToolchain> {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(());
        };
        let real = self.real_or_missing(dir)?.join(name);
        self.places.insert(real, Place::Link(target.to_owned()));
        Ok(())
    }

    /// The real path of what need not exist: as far as it does, and then as it is written.
    fn real_or_missing(&mut self, path: &Path) -> Result<PathBuf, NoToolchain> {
        match self.walk(path) {
            Ok(real) => Ok(real),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match (path.parent(), path.file_name()) {
                    (Some(dir), Some(name)) => Ok(self.real_or_missing(dir)?.join(name)),
                    _ => Err(NoToolchain::unreadable(path, error)),
                }
            }
            Err(error) => Err(NoToolchain::unreadable(path, error)),
        }
    }

    /// Walks an absolute path and notes links, and directories before a `..`.
    fn walk(&mut self, path: &Path) -> io::Result<PathBuf> {
        let mut left: VecDeque<OsString> = parts(path);
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = left.pop_front() {
            if part == ".." {
                self.places.entry(at.clone()).or_insert(Place::Dir);
                at.pop();
                continue;
            }
            at.push(&part);
            let Some(target) = self.link(&at)? else {
                continue;
            };
            links += 1;
            if links > LINKS_MAX {
                return Err(io::Error::other("too many symbolic links"));
            }
            for part in parts(&target).into_iter().rev() {
                left.push_front(part);
            }
            if target.is_absolute() {
                at = PathBuf::from("/");
            } else {
                at.pop();
            }
        }
        Ok(at)
    }

    /// Where a link leads; `None` if it is none.
    fn link(&mut self, path: &Path) -> io::Result<Option<PathBuf>> {
        if let Some(Place::Link(target)) = self.places.get(path) {
            return Ok(Some(target.clone()));
        }
        if !fs::symlink_metadata(path)?.is_symlink() {
            return Ok(None);
        }
        self.relied.on(path);
        let target = fs::read_link(path)?;
        self.places
            .insert(path.to_owned(), Place::Link(target.clone()));
        Ok(Some(target))
    }

    /// All places in the order of their paths, directories only where nothing else makes them, and what was relied
    /// upon.
    pub(super) fn finish(self) -> (Vec<(PathBuf, Place)>, Relied) {
        let mut kept: Vec<(PathBuf, Place)> = Vec::with_capacity(self.places.len());
        // In reverse, what lies below a directory comes before it.
        for (path, place) in self.places.into_iter().rev() {
            let is_made = kept.last().is_some_and(|(last, _)| last.starts_with(&path));
            if place != Place::Dir || !is_made {
                kept.push((path, place));
            }
        }
        kept.reverse();
        (kept, self.relied)
    }
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsStr::new("..").to_owned()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn collect(places: Places, below: &Path) -> Vec<(String, Place)> {
        let (places, _) = places.finish();
        let mine = places.into_iter().filter_map(|(path, place)| {
            let path = path.strip_prefix(below).ok()?;
            Some((path.to_str()?.to_owned(), place))
        });
        mine.collect()
    }

    #[test]
    fn links_files_and_directories_on_the_way() {
        let temp = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(temp.path()).unwrap();
        for dir in ["usr/lib/gcc/12", "usr/bin", "alternatives"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::write(root.join("usr/bin/gcc-12"), "").unwrap();
        fs::write(root.join("usr/lib/libc.so"), "").unwrap();
        symlink("usr/lib", root.join("lib")).unwrap();
        symlink("gcc-12", root.join("usr/bin/gcc")).unwrap();
        symlink(root.join("usr/bin/gcc"), root.join("alternatives/cc")).unwrap();
        symlink("../../alternatives/cc", root.join("usr/bin/cc")).unwrap();
        let mut places = Places::new();
        assert_eq!(
            places.program(&root.join("usr/bin/cc")).unwrap(),
            root.join("usr/bin/gcc-12")
        );
        assert_eq!(
            places
                .program(&root.join("lib/gcc/12/../../libc.so"))
                .unwrap(),
            root.join("usr/lib/libc.so")
        );
        places.dir_if_any(&root.join("lib/none"));
        places.dir_if_any(&root.join("lib/gcc"));
        let bytes: Arc<[u8]> = Arc::from(&b"x"[..]);
        places
            .made(&root.join("lib/locale/C/LC"), bytes.clone())
            .unwrap();
        assert!(!places.data_if_any(&root.join("lib/specs")).unwrap());
        assert!(places.program(&root.join("lib/gcc")).is_err());
        let link = |target: &str| Place::Link(target.into());
        let gcc = root.join("usr/bin/gcc");
        let expect = [
            ("alternatives/cc", link(gcc.to_str().unwrap())),
            ("lib", link("usr/lib")),
            ("usr/bin/cc", link("../../alternatives/cc")),
            ("usr/bin/gcc", link("gcc-12")),
            ("usr/bin/gcc-12", Place::File),
            ("usr/lib/gcc/12", Place::Dir),
            ("usr/lib/libc.so", Place::File),
            ("usr/lib/locale/C/LC", Place::Made(bytes)),
        ];
        let expect: Vec<_> = expect.map(|(path, place)| (path.to_owned(), place)).into();
        assert_eq!(collect(places, &root), expect);
    }

    #[test]
    fn loops_end() {
        let temp = tempfile::tempdir().unwrap();
        symlink("b", temp.path().join("a")).unwrap();
        symlink("a", temp.path().join("b")).unwrap();
        assert!(Places::new().data(&temp.path().join("a")).is_err());
    }
}
