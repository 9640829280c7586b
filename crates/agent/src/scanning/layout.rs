//! Where the files of a compile lie once links are followed: what a server has to be told of this machine's tree.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use scan::{FileUse, How, Why};

use super::Found;
use super::links::{self, Walker};
use super::parcel::NoParcel;

/// Steps up that stock puts in front of a link to a server's own directory, beyond the depth of the link itself.
const STEPS_UP: usize = 20;

/// Everything that has to be at its place for a compile. Links with their targets.
#[derive(Debug, Default)]
pub(super) struct Laid<'a> {
    /// Files, with the name that a `#line` must give them.
    pub(super) files: Vec<(PathBuf, Option<&'a Path>)>,
    pub(super) links: Vec<(PathBuf, Vec<u8>)>,
    /// Links to a server's own directories.
    pub(super) system: Vec<(PathBuf, Vec<u8>)>,
    /// Directories that hold none of these.
    pub(super) dirs: Vec<PathBuf>,
}

/// Lays out what was found. `named` are the directories and files that options name.
pub(super) fn lay_out<'a>(
    found: &'a Found,
    cwd: &Path,
    named: &[OsString],
) -> Result<Laid<'a>, NoParcel> {
    let mut layout = Layout::new(&found.system_dirs);
    let mut laid = Laid::default();
    let files = found.scan.files.iter();
    let probed = found.scan.probed.iter();
    let all = files
        .map(|file| (file.path(), line_name(file)))
        .chain(probed.map(|path| (&**path, None)));
    for (path, line) in all {
        if let Some(place) = layout.place(path)?
            && layout.sent.insert(place.clone())
        {
            laid.files.push((place, line));
        }
    }
    layout.want_dir(cwd)?;
    for path in named {
        let path = cwd.join(path);
        if path.is_dir() {
            layout.want_dir(&path)?;
        }
    }
    layout.finish(&mut laid);
    Ok(laid)
}

/// The name that a file must be given by a `#line`, if any.
fn line_name(file: &FileUse) -> Option<&Path> {
    let is_text = !matches!(
        file.why,
        Why::Included(How::Embed) | Why::Assembler | Why::Option | Why::Precompiled
    );
    Some(file.spelled()).filter(|name| is_text && name.is_absolute())
}

/// Where things lie once links are followed.
struct Layout<'a> {
    system: &'a [PathBuf],
    /// Links met, and paths that are none.
    links: HashMap<PathBuf, Option<PathBuf>>,
    /// Links in the order in which they were met.
    found: Vec<(PathBuf, PathBuf)>,
    sent: HashSet<PathBuf>,
    /// Directories that must be there.
    wanted: Vec<PathBuf>,
    /// Directories walked through and found to be real.
    known_dirs: HashMap<PathBuf, Option<PathBuf>>,
}

impl<'a> Layout<'a> {
    fn new(system: &'a [PathBuf]) -> Self {
        Self {
            system,
            links: HashMap::new(),
            found: Vec::new(),
            sent: HashSet::new(),
            wanted: Vec::new(),
            known_dirs: HashMap::new(),
        }
    }

    /// The real place of a path; `None` if it is in one of the system's directories.
    fn place(&mut self, path: &Path) -> Result<Option<PathBuf>, NoParcel> {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return self.walk(path);
        };
        // Most files share their directories.
        let dir = match self.known_dirs.get(dir) {
            Some(known) => known.clone(),
            None => {
                let place = self.walk(dir)?;
                self.known_dirs.insert(dir.to_owned(), place.clone());
                place
            }
        };
        match dir {
            Some(dir) => self.walk(&dir.join(name)),
            None => Ok(None),
        }
    }

    fn walk(&mut self, path: &Path) -> Result<Option<PathBuf>, NoParcel> {
        links::walk(path, self).map_err(|_| NoParcel::Unreadable(path.display().to_string()))
    }

    fn want_dir(&mut self, path: &Path) -> Result<(), NoParcel> {
        if let Some(dir) = self.walk(path)? {
            self.wanted.push(dir);
        }
        Ok(())
    }

    /// Links, and the directories that nothing else makes.
    fn finish(self, laid: &mut Laid<'_>) {
        let mut made: HashSet<&Path> = HashSet::new();
        let places = self.sent.iter().map(PathBuf::as_path);
        for place in places.chain(self.found.iter().map(|(link, _)| link.as_path())) {
            for dir in place.ancestors().skip(1) {
                if !made.insert(dir) {
                    break;
                }
            }
        }
        let mut dirs = self.wanted;
        dirs.sort();
        dirs.dedup();
        dirs.retain(|dir| !made.contains(dir.as_path()));
        laid.dirs = dirs;
        for (link, target) in self.found {
            laid.links.push((link, target.into_os_string().into_vec()));
        }
        for dir in self.system {
            let depth = dir.components().count() - 1;
            let up = "../".repeat(depth + STEPS_UP);
            let target = [up.as_bytes(), &dir.as_os_str().as_bytes()[1..]].concat();
            laid.system.push((dir.clone(), target));
        }
    }
}

impl Walker for Layout<'_> {
    fn link(&mut self, path: &Path) -> Option<PathBuf> {
        if let Some(known) = self.links.get(path) {
            return known.clone();
        }
        let target = fs::read_link(path).ok();
        if let Some(target) = &target {
            self.found.push((path.to_owned(), target.clone()));
        }
        self.links.insert(path.to_owned(), target.clone());
        target
    }

    fn passed(&mut self, dir: &Path) {
        self.wanted.push(dir.to_owned());
    }

    fn stops_at(&self, path: &Path) -> bool {
        self.system.iter().any(|dir| path.starts_with(dir))
    }
}
