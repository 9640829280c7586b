//! Where the files of compiles lie and what is in them, remembered between compiles.
//!
//! An input root is a mirror of this machine's file system: each file at its real place, and every symbolic link that
//! was followed to get there. Both are found once for a path and hold for as long as the scanner sees the same file
//! (device, inode, times) at that path. Links that were changed since and lead to the same file make no difference to
//! a compiler, unless two paths disagree about one link: then everything is found anew.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use reapi::Piece;
use scan::Stamp;
use store::{Digest, DigestFunction, Hasher};

use crate::scanning::Disk;
use crate::scanning::links::{self, Walker};
use crate::scanning::stamp;

/// Most paths that are remembered; all headers of Linux and of the system are a tenth of this.
const PATHS_MAX: usize = 500_000;

/// Bytes read at once while a file is hashed.
const READ_BYTES: usize = 256 << 10;

/// Execute permission for anybody.
const EXECUTABLE_BITS: u32 = 0o111;

/// A symbolic link that was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) path: PathBuf,
    pub(crate) target: PathBuf,
}

/// How one gets to a path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Way {
    /// Its real path.
    pub(crate) place: PathBuf,
    /// Links on the way.
    pub(crate) links: Vec<Link>,
    /// Directories that are only passed through, in `dir/../x`.
    pub(crate) passed: Vec<PathBuf>,
}

/// A file of a compile.
#[derive(Debug)]
pub(crate) struct Placed {
    stamp: Stamp,
    pub(crate) way: Way,
    /// What it is in an input root, once it has been in one.
    pub(super) piece: OnceLock<Piece>,
    pub(crate) digest: Digest,
    pub(crate) is_executable: bool,
}

/// Why a file cannot be an input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoPlace {
    /// It cannot be read.
    #[error("{} cannot be read ({why})", path.display())]
    Unreadable {
        /// As the compiler names it.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// It was changed between two looks.
    #[error("{} changed while it was looked at", .0.display())]
    Changed(PathBuf),
    /// Too many links.
    #[error("{} leads through too many links", .0.display())]
    Circle(PathBuf),
}

/// What is at the end of a way: device and inode.
type Identity = (u64, u64);

/// All files met.
#[derive(Debug)]
pub(crate) struct Places {
    function: DigestFunction,
    /// By path: as bytes, since paths are hashed and compared component by component.
    files: HashMap<Box<OsStr>, Arc<Placed>>,
    /// Content by the file's stamp: one file may have several paths.
    digests: HashMap<Stamp, Digest>,
    /// Ways to directories, each with the directory that it led to.
    directories: HashMap<Box<OsStr>, (Identity, Arc<Way>)>,
}

impl Places {
    pub(crate) fn new(function: DigestFunction) -> Self {
        Self {
            function,
            files: HashMap::new(),
            digests: HashMap::new(),
            directories: HashMap::new(),
        }
    }

    /// The way to something that is not a file of the compile. `seen` is what is there, if anything.
    ///
    /// # Errors
    /// The links lead in a circle.
    pub(crate) fn directory(
        &mut self,
        path: &Path,
        seen: Option<&fs::Metadata>,
    ) -> Result<Arc<Way>, NoPlace> {
        let Some(meta) = seen else {
            return way(path).map(Arc::new);
        };
        let there = (meta.dev(), meta.ino());
        if let Some((known, way)) = self.directories.get(path.as_os_str())
            && *known == there
        {
            return Ok(Arc::clone(way));
        }
        let way = Arc::new(way(path)?);
        if self.directories.len() >= PATHS_MAX {
            self.forget();
        }
        self.directories
            .insert(path.as_os_str().into(), (there, Arc::clone(&way)));
        Ok(way)
    }

    /// The file at a path, which the scanner has seen with this stamp.
    ///
    /// # Errors
    /// Why it cannot be an input.
    pub(crate) fn file(&mut self, path: &Path, seen: Stamp) -> Result<Arc<Placed>, NoPlace> {
        if let Some(known) = self.files.get(path.as_os_str())
            && known.stamp == seen
        {
            return Ok(Arc::clone(known));
        }
        let way = self.way_of_file(path)?;
        let unreadable = |error: io::Error| NoPlace::Unreadable {
            path: path.to_owned(),
            why: error.to_string(),
        };
        let mut file = File::open(&way.place).map_err(unreadable)?;
        let meta = file.metadata().map_err(unreadable)?;
        if stamp(&meta) != seen {
            return Err(NoPlace::Changed(path.to_owned()));
        }
        let digest = match self.digests.get(&seen) {
            Some(digest) => *digest,
            None => hash(self.function, &mut file, seen.size).map_err(unreadable)?,
        };
        let after = file.metadata().map_err(unreadable)?;
        if stamp(&after) != seen || digest.size_bytes != seen.size {
            return Err(NoPlace::Changed(path.to_owned()));
        }
        let placed = Arc::new(Placed {
            stamp: seen,
            way,
            piece: OnceLock::new(),
            digest,
            is_executable: meta.permissions().mode() & EXECUTABLE_BITS != 0,
        });
        // What was changed a moment ago may change again without another stamp.
        if Disk::now().is_settled(&seen) {
            if self.files.len() >= PATHS_MAX {
                self.forget();
            }
            self.digests.insert(seen, digest);
            self.files
                .insert(path.as_os_str().into(), Arc::clone(&placed));
        }
        Ok(placed)
    }

    /// The way to a file: most headers of a directory are found by the way to it.
    fn way_of_file(&mut self, path: &Path) -> Result<Way, NoPlace> {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return way(path);
        };
        let Ok(seen) = fs::metadata(dir) else {
            return way(path);
        };
        let to_dir = self.directory(dir, Some(&seen))?;
        let place = to_dir.place.join(name);
        if fs::read_link(&place).is_ok() {
            return way(path);
        }
        Ok(Way {
            place,
            ..to_dir.as_ref().clone()
        })
    }

    /// Forgets everything.
    pub(crate) fn forget(&mut self) {
        self.files.clear();
        self.digests.clear();
        self.directories.clear();
    }
}

/// How one gets to an absolute path. What does not exist on the way is taken for a name.
///
/// # Errors
/// The links lead in a circle.
pub(crate) fn way(path: &Path) -> Result<Way, NoPlace> {
    let mut way = Way::default();
    let place = links::walk(path, &mut way).map_err(|_| NoPlace::Circle(path.to_owned()))?;
    way.place = place.unwrap_or_default();
    Ok(way)
}

impl Walker for Way {
    fn link(&mut self, path: &Path) -> Option<PathBuf> {
        let target = fs::read_link(path).ok()?;
        self.links.push(Link {
            path: path.to_owned(),
            target: target.clone(),
        });
        Some(target)
    }

    fn passed(&mut self, dir: &Path) {
        self.passed.push(dir.to_owned());
    }

    fn stops_at(&self, _path: &Path) -> bool {
        false
    }
}

/// Hashes a file that should have so many bytes.
fn hash(function: DigestFunction, file: &mut File, bytes: u64) -> io::Result<Digest> {
    let mut hasher = Hasher::new(function);
    // Most headers are small, and a buffer has to be filled with zeros first. One byte more shows the end.
    let piece = usize::try_from(bytes).map_or(READ_BYTES, |bytes| READ_BYTES.min(bytes + 1));
    let mut buffer = vec![0; piece];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn seen(path: &Path) -> Stamp {
        stamp(&fs::metadata(path).unwrap())
    }

    #[test]
    fn a_file_is_found_through_links_and_parents() {
        let temp = tempfile::tempdir().unwrap();
        let dir = fs::canonicalize(temp.path()).unwrap();
        fs::create_dir_all(dir.join("real/sub")).unwrap();
        fs::write(dir.join("real/x.h"), "int x;").unwrap();
        symlink("real", dir.join("link")).unwrap();
        let path = dir.join("link/sub/../x.h");
        let mut places = Places::new(DigestFunction::Sha256);
        let placed = places.file(&path, seen(&path)).unwrap();
        assert_eq!(placed.way.place, dir.join("real/x.h"));
        assert_eq!(placed.way.passed, [dir.join("real/sub")]);
        assert_eq!(placed.way.links.len(), 1);
        assert_eq!(placed.way.links[0].target, Path::new("real"));
        assert_eq!(placed.digest, Digest::of(DigestFunction::Sha256, b"int x;"));
        assert!(!placed.is_executable);
    }

    #[test]
    fn the_way_to_a_directory_holds_while_it_leads_there() {
        let temp = tempfile::tempdir().unwrap();
        let dir = fs::canonicalize(temp.path()).unwrap();
        for (name, text) in [("one", "1"), ("two", "22")] {
            fs::create_dir(dir.join(name)).unwrap();
            fs::write(dir.join(name).join("x.h"), text).unwrap();
            fs::write(dir.join(name).join("y.h"), text).unwrap();
            symlink("y.h", dir.join(name).join("z.h")).unwrap();
        }
        let link = dir.join("link");
        symlink("one", &link).unwrap();
        let mut places = Places::new(DigestFunction::Sha256);
        let mut find = |name: &str| {
            let path = link.join(name);
            let placed = places.file(&path, seen(&path)).unwrap();
            // Whatever was known before, it is what a walk from the root would find.
            let walked = way(&path).unwrap();
            assert_eq!(placed.way.place, walked.place);
            assert_eq!(placed.way.links, walked.links);
            placed.way.place.clone()
        };
        assert_eq!(find("x.h"), dir.join("one/x.h"));
        assert_eq!(find("y.h"), dir.join("one/y.h"));
        assert_eq!(find("z.h"), dir.join("one/y.h"));
        fs::remove_file(&link).unwrap();
        symlink("two", &link).unwrap();
        assert_eq!(find("y.h"), dir.join("two/y.h"));
        assert_eq!(find("z.h"), dir.join("two/y.h"));
    }

    #[test]
    fn a_changed_file_is_not_taken_for_the_old_one() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x.h");
        fs::write(&path, "1").unwrap();
        let old = seen(&path);
        let mut places = Places::new(DigestFunction::Sha256);
        places.file(&path, old).unwrap();
        fs::write(&path, "22").unwrap();
        assert_eq!(
            places.file(&path, old).unwrap_err(),
            NoPlace::Changed(path.clone())
        );
        let new = places.file(&path, seen(&path)).unwrap();
        assert_eq!(new.digest, Digest::of(DigestFunction::Sha256, b"22"));
    }

    #[test]
    fn circles_and_absent_files_are_errors() {
        let temp = tempfile::tempdir().unwrap();
        symlink("b", temp.path().join("a")).unwrap();
        symlink("a", temp.path().join("b")).unwrap();
        let circle = temp.path().join("a");
        assert_eq!(way(&circle).unwrap_err(), NoPlace::Circle(circle.clone()));
        let mut places = Places::new(DigestFunction::Sha256);
        let absent = places.file(&temp.path().join("x"), Stamp::default());
        assert!(matches!(absent, Err(NoPlace::Unreadable { .. })));
    }
}
