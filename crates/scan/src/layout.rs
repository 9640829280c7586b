//! What a file system elsewhere must look like for the files of a scan to be found under the same paths: symbolic
//! links, and directories that are only passed through.
//!
//! Kept apart from the scan, since it costs a look at every directory and only those who send files elsewhere need it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::files::Files;
use crate::report::Scan;

/// Links followed in a row. Linux gives up after 40.
const LINKS_MAX: u32 = 40;

/// Where the files of a scan really are, and what leads there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// Real path of every file of [`Scan::files`], in their order: no links in it, no `.` and no `..`.
    pub files: Vec<PathBuf>,
    /// Symbolic links on the way, with what they say.
    pub links: BTreeMap<PathBuf, PathBuf>,
    /// Directories that a path leaves by `..`: they must exist, whether or not a file is in them.
    pub dirs: BTreeSet<PathBuf>,
}

impl Layout {
    /// Follows the paths of a scan.
    #[must_use]
    pub fn new(scan: &Scan, files: &mut dyn Files) -> Self {
        let mut it = Self::default();
        let mut known = HashMap::new();
        for file in &scan.files {
            let real = it.resolve(file.path(), files, &mut known, 0);
            it.files.push(real);
        }
        for path in &scan.probed {
            it.resolve(path, files, &mut known, 0);
        }
        it
    }

    fn resolve(
        &mut self,
        path: &Path,
        files: &mut dyn Files,
        known: &mut HashMap<PathBuf, PathBuf>,
        links: u32,
    ) -> PathBuf {
        let mut components = path.components();
        let last = match components.next_back() {
            None | Some(Component::RootDir | Component::Prefix(_)) => return PathBuf::from("/"),
            Some(last) => last,
        };
        if let Some(real) = known.get(path) {
            return real.clone();
        }
        let above = self.resolve(components.as_path(), files, known, links);
        let real = match last {
            Component::ParentDir => {
                let up = above.parent().unwrap_or(&above).to_path_buf();
                self.dirs.insert(above);
                up
            }
            Component::Normal(name) => {
                let here = above.join(name);
                match files.link(&here).filter(|_| links < LINKS_MAX) {
                    Some(target) => {
                        let target = Path::new(OsStr::from_bytes(&target));
                        self.links.insert(here, target.to_path_buf());
                        self.resolve(&above.join(target), files, known, links + 1)
                    }
                    None => here,
                }
            }
            _ => above,
        };
        known.insert(path.to_path_buf(), real.clone());
        real
    }
}
