//! Where a path leads once symbolic links are followed, and what was met on the way.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

/// Most links that one path may lead through, as in the kernel.
const LINKS_MAX: u32 = 40;

/// What a walk asks and what it tells.
pub(crate) trait Walker {
    /// The target of a link; `None` if there is no link at this path.
    fn link(&mut self, path: &Path) -> Option<PathBuf>;
    /// A directory that is left again by `..`: it has to be there.
    fn passed(&mut self, dir: &Path);
    /// Nothing below this path matters.
    fn stops_at(&self, path: &Path) -> bool;
}

/// A path leads through more links than the kernel follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyLinks;

/// The real place of an absolute path; `None` if the walk was stopped.
///
/// # Errors
/// The links lead in a circle.
pub(crate) fn walk(path: &Path, walker: &mut impl Walker) -> Result<Option<PathBuf>, TooManyLinks> {
    let mut left: VecDeque<OsString> = parts(path).collect();
    let mut at = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            walker.passed(&at);
            at.pop();
            continue;
        }
        at.push(&part);
        if walker.stops_at(&at) {
            return Ok(None);
        }
        let Some(target) = walker.link(&at) else {
            continue;
        };
        links += 1;
        if links > LINKS_MAX {
            return Err(TooManyLinks);
        }
        let before: Vec<OsString> = parts(&target).collect();
        for part in before.into_iter().rev() {
            left.push_front(part);
        }
        if target.is_absolute() {
            at = PathBuf::from("/");
        } else {
            at.pop();
        }
    }
    Ok(Some(at))
}

fn parts(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        _ => None,
    })
}
