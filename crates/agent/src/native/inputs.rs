//! Everything that has to be in a compile's input root besides its toolchain.
//!
//! Files lie at their real places; links that were followed to get there are links in the input root as well. Further
//! there must be: the working directory (by its real path and as `$PWD` names it), directories that the compiler only
//! passes through, directories that options name (for `-Wmissing-include-dirs`), and those that outputs go to.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use reapi::{Entry, InputRoot, MerkleProblem, Piece};
use scan::FileUse;

use super::places::{NoPlace, Placed, Places, Way};
use super::reads::Reads;
use crate::scanning::{Found, stamp};

/// Directories whose files the kernel makes up.
const NOT_ON_DISK: &[&str] = &["/dev", "/proc", "/sys"];

/// Most inputs of one compile. More is a sign of a scan that went astray; the largest real ones have some 5000.
const INPUTS_MAX: usize = 50_000;

/// Why the inputs cannot be put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoInputs {
    /// A file or a path to it.
    #[error(transparent)]
    Place(#[from] NoPlace),
    /// A device, or something that the kernel makes up.
    #[error("{} is not a file that can be sent", .0.display())]
    Special(PathBuf),
    /// Two paths disagree about what is at a third, or a name that no tree can hold.
    #[error(transparent)]
    Tree(#[from] MerkleProblem),
    /// Trees hold text.
    #[error("the name {} is not UTF-8", .0.display())]
    NotUtf8(PathBuf),
    /// More than a compile can have.
    #[error("it reads more than {INPUTS_MAX} files")]
    TooMany,
}

/// A file is not any more what it was when it became an input.
pub(crate) fn changed(path: PathBuf) -> NoInputs {
    NoInputs::Place(NoPlace::Changed(path))
}

/// What a compile names besides the files that were found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    /// The working directory.
    pub(crate) cwd: &'a Path,
    /// The working directory as `$PWD` names it.
    pub(crate) pwd: Option<&'a Path>,
    /// What options name.
    pub(crate) named: &'a [OsString],
}

/// The inputs of a compile.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) root: InputRoot,
    /// Every file, some of them more than once.
    pub(crate) files: Vec<Arc<Placed>>,
    /// What the compile is meant to read, if it tells what it has read.
    pub(crate) reads: Option<Reads>,
}

impl Inputs {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            root: InputRoot::new(),
            files: Vec::new(),
            reads: None,
        }
    }

    /// Gathers what a scan found.
    ///
    /// # Errors
    /// Why it cannot be sent.
    pub(crate) fn gather(
        &mut self,
        places: &mut Places,
        found: &Found,
        named: Named<'_>,
    ) -> Result<(), NoInputs> {
        if found.scan.files.len() > INPUTS_MAX {
            return Err(NoInputs::TooMany);
        }
        self.files.reserve(found.scan.files.len());
        for file in &found.scan.files {
            self.file(places, file)?;
        }
        for path in &found.scan.probed {
            let meta = fs::metadata(path).map_err(|error| NoPlace::Unreadable {
                path: path.to_path_buf(),
                why: error.to_string(),
            })?;
            if meta.is_dir() {
                self.directory(places, path, Some(&meta))?;
            } else {
                self.placed(places, path, stamp(&meta))?;
            }
        }
        self.named(places, named)
    }

    /// Adds the directories that a compile names.
    ///
    /// # Errors
    /// The way to one leads in a circle, or a name is no text.
    pub(crate) fn named(&mut self, places: &mut Places, named: Named<'_>) -> Result<(), NoInputs> {
        for path in [Some(named.cwd), named.pwd].into_iter().flatten() {
            self.directory(places, path, fs::metadata(path).ok().as_ref())?;
        }
        for word in named.named {
            let path = named.cwd.join(word);
            match fs::metadata(&path) {
                Ok(meta) if meta.is_dir() => self.directory(places, &path, Some(&meta))?,
                _ => continue,
            };
        }
        Ok(())
    }

    fn file(&mut self, places: &mut Places, file: &FileUse) -> Result<(), NoInputs> {
        match file.stamp {
            Some(stamp) => self.placed(places, file.path(), stamp),
            // Every input root has it.
            None if file.path() == Path::new("/dev/null") => Ok(()),
            None => match fs::metadata(file.path()) {
                Ok(meta) if meta.is_dir() => {
                    self.directory(places, file.path(), Some(&meta)).map(drop)
                }
                _ => Err(NoInputs::Special(file.path().to_owned())),
            },
        }
    }

    fn placed(
        &mut self,
        places: &mut Places,
        path: &Path,
        seen: scan::Stamp,
    ) -> Result<(), NoInputs> {
        let placed = places.file(path, seen)?;
        self.on_the_way(&placed.way)?;
        match placed.piece.get() {
            Some(piece) => self.root.put(piece)?,
            None => {
                let entry = Entry::File {
                    digest: placed.digest,
                    is_executable: placed.is_executable,
                };
                let piece = Piece::new(below_root(on_disk(&placed.way.place)?)?, entry)?;
                self.root.put(placed.piece.get_or_init(|| piece))?;
            }
        }
        self.files.push(placed);
        Ok(())
    }

    /// Makes sure that a directory is there, and tells the way to it. `seen` is what is there, if anything.
    ///
    /// # Errors
    /// The way leads in a circle, or a name is no text.
    pub(crate) fn directory(
        &mut self,
        places: &mut Places,
        path: &Path,
        seen: Option<&fs::Metadata>,
    ) -> Result<Arc<Way>, NoInputs> {
        let way = places.directory(path, seen)?;
        self.on_the_way(&way)?;
        self.root.add_directory(below_root(on_disk(&way.place)?)?)?;
        Ok(way)
    }

    /// Adds a file that the scanner has not seen, if it is there.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn file_at(&mut self, places: &mut Places, path: &Path) -> Result<(), NoInputs> {
        match fs::metadata(path) {
            Ok(meta) if meta.is_file() => self.placed(places, path, stamp(&meta)),
            _ => Ok(()),
        }
    }

    /// Adds a file that the scanner has not seen, and that has to be there.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn needed_at(&mut self, places: &mut Places, path: &Path) -> Result<(), NoInputs> {
        let meta = fs::metadata(path).map_err(|error| NoPlace::Unreadable {
            path: path.to_path_buf(),
            why: error.to_string(),
        })?;
        self.placed(places, path, stamp(&meta))
    }

    /// Adds the links that lead somewhere, and the directories that are passed.
    fn on_the_way(&mut self, way: &Way) -> Result<(), NoInputs> {
        for link in &way.links {
            let target = text(&link.target)?.to_owned();
            self.root
                .add(below_root(&link.path)?, Entry::Symlink { target })?;
        }
        for dir in &way.passed {
            self.root.add_directory(below_root(dir)?)?;
        }
        Ok(())
    }
}

/// The same path, if what is there is not made up by the kernel.
fn on_disk(path: &Path) -> Result<&Path, NoInputs> {
    if NOT_ON_DISK.iter().any(|dir| is_below(path, dir)) {
        return Err(NoInputs::Special(path.to_owned()));
    }
    Ok(path)
}

/// Whether a real path is that directory or below it.
fn is_below(path: &Path, dir: &str) -> bool {
    let rest = path.as_os_str().as_bytes().strip_prefix(dir.as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// An absolute path as a path in the tree.
pub(crate) fn below_root(path: &Path) -> Result<&str, NoInputs> {
    Ok(text(path)?.trim_start_matches('/'))
}

/// The path as text.
pub(crate) fn text(path: &Path) -> Result<&str, NoInputs> {
    path.to_str()
        .ok_or_else(|| NoInputs::NotUtf8(path.to_owned()))
}

/// The value of `$PWD` if it is a name of the working directory.
pub(crate) fn pwd<'a>(env: &'a [(OsString, OsString)], cwd: &Path) -> Option<&'a Path> {
    use std::os::unix::fs::MetadataExt;
    let (_, value) = env.iter().find(|(name, _)| name == OsStr::new("PWD"))?;
    let path = Path::new(value);
    if !path.is_absolute() || path == cwd {
        return None;
    }
    let (named, real) = (fs::metadata(path).ok()?, fs::metadata(cwd).ok()?);
    ((named.dev(), named.ino()) == (real.dev(), real.ino())).then_some(path)
}

/// The way from a directory to a path, both absolute and real.
pub(crate) fn relative(from: &Path, to: &Path) -> PathBuf {
    let (mut from, mut to) = (from.components().peekable(), to.components().peekable());
    while from.peek().is_some() && from.peek() == to.peek() {
        from.next();
        to.next();
    }
    let up = from.map(|_| Component::ParentDir);
    up.chain(to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_makes_up_is_told_from_its_neighbours() {
        for (path, expect) in [("/proc", true), ("/proc/1/x", true), ("/process/x", false)] {
            assert_eq!(is_below(Path::new(path), "/proc"), expect, "{path}");
        }
    }

    #[test]
    fn ways_between_directories() {
        let check = |from: &str, to: &str, expect: &str| {
            assert_eq!(relative(Path::new(from), Path::new(to)), Path::new(expect));
        };
        check("/a/b", "/a/b/x.o", "x.o");
        check("/a/b", "/a/b/c/x.o", "c/x.o");
        check("/a/b", "/a/x.o", "../x.o");
        check("/a/b", "/c/x.o", "../../c/x.o");
        check("/", "/x.o", "x.o");
    }
}
