//! Search paths, and what they have in common.
//!
//! Compiles of one project have a few search paths, many of which begin with the same directories. Every path is kept
//! once, and so is every beginning of one: what was found in the first directories of a path was found in the same way
//! in all paths that begin with them.

use std::sync::Arc;

use crate::hash::FastMap;
use crate::search::SearchPath;
use crate::tree::NodeId;

/// A search path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct PathId(u32);

/// The first directories of search paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Prefix(u32);

/// Stands behind the last directory of a path: only paths that are the same to their end have it in common.
const END: NodeId = NodeId(u32::MAX);

#[derive(Debug)]
struct Known {
    path: Arc<SearchPath>,
    /// After one directory, after two and so on, and after the end.
    prefixes: Box<[Prefix]>,
}

/// All search paths.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    all: Vec<Known>,
    by_path: FastMap<Arc<SearchPath>, PathId>,
    by_last: FastMap<(Prefix, NodeId), Prefix>,
}

impl Paths {
    /// The number of a search path.
    pub(crate) fn intern(&mut self, path: SearchPath) -> PathId {
        if let Some(&id) = self.by_path.get(&path) {
            return id;
        }
        let id = PathId(u32::try_from(self.all.len()).expect("memory is bounded far below this"));
        let mut prefix = Prefix::default();
        let dirs = path.dirs.iter().copied().chain([END]);
        let prefixes = dirs.map(|dir| {
            let next = u32::try_from(self.by_last.len() + 1).expect("fewer than lookups");
            prefix = *self.by_last.entry((prefix, dir)).or_insert(Prefix(next));
            prefix
        });
        let prefixes = prefixes.collect();
        let path = Arc::new(path);
        self.by_path.insert(Arc::clone(&path), id);
        self.all.push(Known { path, prefixes });
        id
    }

    /// A path.
    pub(crate) fn get(&self, id: PathId) -> &SearchPath {
        &self.all[id.0 as usize].path
    }

    /// How much of a path counts if all of it does: its directories, and that there are no more.
    pub(crate) fn whole(&self, id: PathId) -> u32 {
        u32::try_from(self.all[id.0 as usize].prefixes.len()).expect("few directories")
    }

    /// The beginning of a path, from one directory on; `None` if the path is shorter.
    pub(crate) fn prefix(&self, id: PathId, depth: u32) -> Option<Prefix> {
        let index = (depth as usize).checked_sub(1)?;
        self.all[id.0 as usize].prefixes.get(index).copied()
    }

    /// Whether headers are found by the same rules in both, apart from the directories.
    pub(crate) fn are_alike(&self, one: PathId, other: PathId) -> bool {
        one == other || self.get(one).is_alike(self.get(other))
    }

    /// Where looking for a header starts in another path that is alike, if it started at `start` in one: at the
    /// beginning, at the first directory for names in angle brackets, or behind the directory that an includer was
    /// found in. `None` when that cannot be said for the other path.
    pub(crate) fn start_in(&self, start: u32, from: PathId, to: PathId) -> Option<u32> {
        if start == 0 {
            return Some(0);
        }
        let begins_same = self.prefix(from, start) == self.prefix(to, start);
        let (from, to) = (self.get(from), self.get(to));
        if begins_same && from.angled_from == to.angled_from {
            return Some(start);
        }
        let dir = *from.dirs.get(start as usize - 1)?;
        // For quoted names a directory can be in a path once more, and then it cannot be told which of them it is.
        from.only(dir)?;
        let behind = to.only(dir)? + 1;
        // At the first directory for angle brackets it may be the one or the other, which has to come to the same.
        (start != from.angled_from || behind == to.angled_from).then_some(behind)
    }
}
