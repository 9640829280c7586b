//! Large directories that many actions have in common, built once and shown in each job's tree.
//!
//! A directory that is seen in a second action is built, by the first who needs it while others
//! who do wait. What was not used for the longest time is removed when all of them are too large
//! together, but never while a job uses it. Their files stay on disk when the store evicts them, so
//! what they may hold is a part of what the store may.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::Digest;

use super::folder::Folder;
use super::tree_diff::Layout;
use super::trees::{NoTree, Trees};
use crate::lru::Lru;

/// Part of the store's limit that shared trees may hold: one in this many.
const STORE_PART: u64 = 4;

/// What a name in a directory costs on disk, directories' own blocks included.
const ENTRY_BYTES: u64 = 512;

/// Directories that are remembered as seen once.
const SEEN_MAX: usize = 4096;

/// A tree for all. It goes when nobody uses it any more.
#[derive(Debug)]
pub(super) struct SharedTree {
    trees: Arc<Trees>,
    /// Its name below the store's directory of trees, once it is built.
    name: Mutex<Option<String>>,
}

impl SharedTree {
    /// Its name below the store's directory of trees.
    pub(super) fn name(&self) -> String {
        self.lock().clone().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SharedTree {
    fn drop(&mut self) {
        if let Some(name) = self.lock().take() {
            self.trees.remove(&name);
        }
    }
}

#[derive(Debug, Default)]
struct State {
    kept: Lru<Digest, Arc<SharedTree>>,
    seen: Lru<Digest, ()>,
}

/// All shared trees.
#[derive(Debug)]
pub(super) struct SharedTrees {
    trees: Arc<Trees>,
    bytes_max: u64,
    state: Mutex<State>,
}

impl SharedTrees {
    pub(super) fn new(trees: Arc<Trees>, store_bytes_max: u64) -> SharedTrees {
        SharedTrees {
            trees,
            bytes_max: store_bytes_max / STORE_PART,
            state: Mutex::default(),
        }
    }

    /// Whether a directory was in an action before; from now on it was.
    pub(super) fn comes_again(&self, folder: &Folder) -> bool {
        if weight(folder) > self.bytes_max {
            return false;
        }
        let mut state = self.state();
        if state.kept.peek(&folder.digest).is_some() {
            return true;
        }
        let comes_again = state.seen.insert(folder.digest, (), 1).is_some();
        while state.seen.len() > SEEN_MAX {
            state.seen.evict(|()| true);
        }
        comes_again
    }

    /// Whether a directory is built: then the store need not have its files.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        let kept = self.state().kept.peek(digest).map(Arc::clone);
        kept.is_some_and(|tree| tree.lock().is_some())
    }

    /// The tree of a directory, which is built if need be.
    pub(super) fn get(&self, folder: &Arc<Folder>) -> Result<Arc<SharedTree>, NoTree> {
        let tree = {
            let mut state = self.state();
            match state.kept.get(&folder.digest) {
                Some(tree) => Arc::clone(tree),
                None => {
                    let tree = Arc::new(SharedTree {
                        trees: Arc::clone(&self.trees),
                        name: Mutex::new(None),
                    });
                    let weight = weight(folder);
                    state.kept.insert(folder.digest, Arc::clone(&tree), weight);
                    tree
                }
            }
        };
        let mut name = tree.lock();
        if name.is_none() {
            let layout = Layout {
                root: Some(Arc::clone(folder)),
                holes: Arc::new([]),
            };
            let built = self.trees.build(&layout);
            *name = Some(built.inspect_err(|_| drop(self.state().kept.remove(&folder.digest)))?);
        }
        drop(name);
        self.make_room();
        Ok(tree)
    }

    fn make_room(&self) {
        let mut gone = Vec::new();
        let mut state = self.state();
        while state.kept.weight() > self.bytes_max {
            let Some(evicted) = state.kept.evict(|tree| Arc::strong_count(tree) == 1) else {
                break;
            };
            gone.push(evicted);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn weight(folder: &Folder) -> u64 {
    let names = folder.totals.entries.saturating_mul(ENTRY_BYTES);
    folder.totals.file_bytes.saturating_add(names)
}

#[cfg(test)]
mod tests {
    use super::super::folder::tests::{FUNCTION, tree};
    use super::super::trees::Reaper;
    use super::*;
    use store::Store;

    fn world(bytes_max: u64) -> (SharedTrees, Store, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let options = store::Options { bytes_max: 1 << 30 };
        let store = Store::open(&dir.path().join("store"), options).unwrap();
        for text in ["1", "2", "3"] {
            store.put(FUNCTION, text.as_bytes()).unwrap();
        }
        let trees = Trees::new(store.clone(), 2, Reaper::start().unwrap());
        let shared = SharedTrees::new(Arc::new(trees), bytes_max * STORE_PART);
        (shared, store, dir)
    }

    #[test]
    fn the_second_sight_counts() {
        let (shared, store, _dir) = world(1 << 20);
        let folder = tree(&["a=1"]);
        assert!(!shared.comes_again(&folder));
        assert!(shared.comes_again(&folder));
        assert!(!shared.has(&folder.digest));
        let first = shared.get(&folder).unwrap();
        let second = shared.get(&folder).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        assert!(shared.has(&folder.digest));
        assert!(store.work_dir().join(first.name()).join("a").is_file());
    }

    #[test]
    fn what_is_used_stays_and_what_was_not_used_goes() {
        let (shared, store, _dir) = world(2 * (ENTRY_BYTES + 1));
        let folders = ["a=1", "a=2", "a=3"].map(|line| tree(&[line]));
        let first = shared.get(&folders[0]).unwrap();
        for folder in &folders[1..] {
            drop(shared.get(folder).unwrap());
        }
        // The third is in use while room is made for it, so it was the second that went.
        let has = folders.each_ref().map(|folder| shared.has(&folder.digest));
        assert_eq!(has, [true, false, true]);
        assert!(store.work_dir().join(first.name()).join("a").is_file());
    }

    #[test]
    fn what_cannot_be_built_is_not_kept() {
        let (shared, _store, _dir) = world(1 << 20);
        let folder = tree(&["a=unknown"]);
        assert!(shared.get(&folder).is_err());
        assert!(!shared.has(&folder.digest));
        assert_eq!(shared.state().kept.len(), 0);
    }

    #[test]
    fn what_is_too_large_is_never_shared() {
        let (shared, _store, _dir) = world(8);
        let folder = tree(&["a=1"]);
        assert!(!shared.comes_again(&folder));
        assert!(!shared.comes_again(&folder));
    }
}
