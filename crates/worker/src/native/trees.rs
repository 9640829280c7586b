//! Input roots on disk: trees of hard links into the store, in the store's own file system.
//!
//! A job's tree is never changed by the job: the sandbox shows it with a layer over it. So when
//! the job is done the tree is as it was, and becomes the next one that is similar
//! (`tree_diff`). Trees whose job may still have processes are not used again but removed.
//!
//! Everything here blocks on the file system and is called from threads that may.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use store::{Digest, LinkOutcome, Store, StoreError};

use super::tree_diff::{Layout, Step, diff, distance};

/// Trees that are looked at for the most similar one, those used last first.
const COMPARED_MAX: usize = 12;

/// Entries of all trees that nobody uses. Each costs a name on disk, a directory also a block.
const FREE_ENTRIES_MAX: u64 = 1 << 20;

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTree {
    #[error("a blob of the input root is missing: {0}")]
    Missing(Digest),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot {what} {path} in an input root: {source}")]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

/// A tree and what is in it.
#[derive(Debug)]
struct Tree {
    name: String,
    layout: Layout,
}

impl Tree {
    fn entries(&self) -> u64 {
        let root = self.layout.root.as_ref();
        root.map_or(0, |root| root.totals.entries)
    }
}

/// All trees.
#[derive(Debug)]
pub(super) struct Trees {
    store: Store,
    dir: PathBuf,
    next: AtomicU64,
    /// Those that nobody uses, the last used last.
    free: Mutex<Vec<Tree>>,
    free_max: usize,
    reaper: Reaper,
}

impl Trees {
    /// `jobs_max`: how many trees are in use at most.
    pub(super) fn new(store: Store, jobs_max: usize, reaper: Reaper) -> Trees {
        Trees {
            dir: store.work_dir(),
            store,
            next: AtomicU64::new(0),
            free: Mutex::new(Vec::new()),
            free_max: jobs_max,
            reaper,
        }
    }

    /// A tree for one job.
    pub(super) fn take(self: &Arc<Self>, layout: &Layout) -> Result<JobTree, NoTree> {
        let mut tree = self.similar(layout).unwrap_or_else(|| Tree {
            name: self.new_name("job"),
            layout: Layout::empty(),
        });
        if tree.layout.root.is_none() {
            self.make_dir(&tree.name)?;
        }
        let changed = self.change(&tree.name, &tree.layout, layout);
        tree.layout = layout.clone();
        let tree = JobTree {
            trees: Arc::clone(self),
            tree: Some(tree),
            is_whole: changed.is_ok(),
        };
        changed.map(|()| tree)
    }

    /// Makes one tree, to be kept by the caller, who removes it with [`Trees::remove`].
    pub(super) fn build(&self, layout: &Layout) -> Result<String, NoTree> {
        let name = self.new_name("shared");
        self.make_dir(&name)?;
        match self.change(&name, &Layout::empty(), layout) {
            Ok(()) => Ok(name),
            Err(error) => {
                self.remove(&name);
                Err(error)
            }
        }
    }

    /// Removes a tree, some time.
    pub(super) fn remove(&self, name: &str) {
        self.reaper.remove(self.dir.join(name));
    }

    fn new_name(&self, kind: &str) -> String {
        format!("{kind}-{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn make_dir(&self, name: &str) -> Result<(), NoTree> {
        let path = self.dir.join(name);
        fs::create_dir(&path).map_err(|source| NoTree::Io {
            what: "make",
            path,
            source,
        })
    }

    /// The free tree that takes the fewest changes; none if it is better to begin anew.
    fn similar(&self, layout: &Layout) -> Option<Tree> {
        let mut free = self.free();
        let is_full = free.len() >= self.free_max;
        // To begin anew costs one step for each entry, and another one when it is removed.
        let entries = layout.root.as_ref().map_or(0, |root| root.totals.entries);
        let mut best = None;
        let mut steps_max = usize::try_from(entries).unwrap_or(usize::MAX);
        for (index, tree) in free.iter().enumerate().rev().take(COMPARED_MAX) {
            let Some(steps) = distance(&tree.layout, layout, steps_max) else {
                continue;
            };
            best = Some(index);
            if steps == 0 {
                break;
            }
            steps_max = steps - 1;
        }
        match best {
            Some(index) => Some(free.remove(index)),
            None if is_full && !free.is_empty() => Some(free.remove(0)),
            None => None,
        }
    }

    fn give_back(&self, tree: Tree) {
        let mut free = self.free();
        free.push(tree);
        let mut entries: u64 = free.iter().map(Tree::entries).sum();
        while free.len() > self.free_max || (entries > FREE_ENTRIES_MAX && !free.is_empty()) {
            let oldest = free.remove(0);
            entries -= oldest.entries();
            self.remove(&oldest.name);
        }
    }

    fn free(&self) -> MutexGuard<'_, Vec<Tree>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes what is in a tree into what should be.
    fn change(&self, name: &str, old: &Layout, new: &Layout) -> Result<(), NoTree> {
        let top = self.dir.join(name);
        diff(old, new, |step| self.step(&top, step))
    }

    fn step(&self, top: &Path, step: Step<'_>) -> Result<(), NoTree> {
        let failed = |what, path: PathBuf| move |source| NoTree::Io { what, path, source };
        match step {
            Step::Remove(path) => {
                let path = top.join(path);
                fs::remove_file(&path).map_err(failed("remove", path))
            }
            Step::RemoveDir(path) => {
                let path = top.join(path);
                fs::remove_dir(&path).map_err(failed("remove", path))
            }
            Step::MakeDir(path) => {
                let path = top.join(path);
                fs::create_dir(&path).map_err(failed("make", path))
            }
            Step::Link { path, target } => {
                let path = top.join(path);
                symlink(target, &path).map_err(failed("make link", path))
            }
            Step::File {
                path,
                digest,
                is_executable,
            } => match self.store.link(digest, is_executable, &top.join(path))? {
                LinkOutcome::Linked | LinkOutcome::Copied => Ok(()),
                LinkOutcome::Missing => Err(NoTree::Missing(*digest)),
            },
        }
    }
}

/// A tree that one job has. Dropped, it is removed, or used again if no job has touched it.
#[derive(Debug)]
pub(super) struct JobTree {
    trees: Arc<Trees>,
    tree: Option<Tree>,
    /// It holds what it should, and nobody else uses it.
    is_whole: bool,
}

impl JobTree {
    /// Its name below the store's directory of trees.
    pub(super) fn name(&self) -> &str {
        self.tree.as_ref().map_or("", |tree| &tree.name)
    }

    /// A job begins to use it.
    pub(super) fn lend(&mut self) {
        self.is_whole = false;
    }

    /// All processes of the job are dead, and its outputs read.
    pub(super) fn returned(&mut self) {
        self.is_whole = true;
    }
}

impl Drop for JobTree {
    fn drop(&mut self) {
        match self.tree.take() {
            Some(tree) if self.is_whole => self.trees.give_back(tree),
            Some(tree) => self.trees.remove(&tree.name),
            None => {}
        }
    }
}

/// A thread that removes trees, so that nobody has to wait for it.
#[derive(Debug, Clone)]
pub(super) struct Reaper(mpsc::Sender<PathBuf>);

impl Reaper {
    /// Starts the thread; it ends when nobody has work for it any more.
    pub(super) fn start() -> io::Result<Reaper> {
        let (sender, receiver) = mpsc::channel::<PathBuf>();
        std::thread::Builder::new()
            .name("reaper".into())
            .spawn(move || {
                for path in receiver {
                    // What stays is removed when the store is opened again.
                    let _best_effort = fs::remove_dir_all(path);
                }
            })?;
        Ok(Reaper(sender))
    }

    fn remove(&self, path: PathBuf) {
        let _ending = self.0.send(path);
    }
}

#[cfg(test)]
mod tests {
    use super::super::folder::tests::{FUNCTION, tree};
    use super::*;
    use std::os::unix::fs::MetadataExt;

    struct World {
        trees: Arc<Trees>,
        _dir: tempfile::TempDir,
    }

    fn world() -> World {
        let dir = tempfile::tempdir().unwrap();
        let options = store::Options { bytes_max: 1 << 30 };
        let store = Store::open(&dir.path().join("store"), options).unwrap();
        for text in ["1", "2", "3"] {
            store.put(FUNCTION, text.as_bytes()).unwrap();
        }
        let trees = Trees::new(store, 2, Reaper::start().unwrap());
        World {
            trees: Arc::new(trees),
            _dir: dir,
        }
    }

    fn layout(lines: &[&str]) -> Layout {
        Layout {
            root: Some(tree(lines)),
            holes: Arc::new([]),
        }
    }

    impl World {
        fn path(&self, tree: &JobTree) -> PathBuf {
            self.trees.dir.join(tree.name())
        }
    }

    #[test]
    fn a_tree_is_made_of_links_and_used_again() {
        let world = world();
        let first = world
            .trees
            .take(&layout(&["a/b=1", "p*=2", "l>a"]))
            .unwrap();
        let path = world.path(&first);
        assert_eq!(fs::read_to_string(path.join("a/b")).unwrap(), "1");
        let program = fs::metadata(path.join("p")).unwrap();
        assert_eq!((program.mode() & 0o777, program.nlink()), (0o555, 2));
        assert_eq!(fs::read_link(path.join("l")).unwrap(), Path::new("a"));
        drop(first);
        let second = world
            .trees
            .take(&layout(&["a/b=1", "a/c=3", "p*=2"]))
            .unwrap();
        assert_eq!(world.path(&second), path);
        assert_eq!(fs::read_to_string(path.join("a/c")).unwrap(), "3");
        assert!(fs::symlink_metadata(path.join("l")).is_err());
    }

    #[test]
    fn a_tree_that_may_still_be_used_is_not_used_again() {
        let world = world();
        let mut first = world.trees.take(&layout(&["a=1"])).unwrap();
        let path = world.path(&first);
        first.lend();
        drop(first);
        let mut second = world.trees.take(&layout(&["a=1"])).unwrap();
        assert_ne!(world.path(&second), path);
        let path = world.path(&second);
        second.lend();
        second.returned();
        drop(second);
        assert_eq!(
            world.path(&world.trees.take(&layout(&["a=1"])).unwrap()),
            path
        );
    }

    #[test]
    fn a_tree_that_failed_is_not_used_again() {
        let world = world();
        match world.trees.take(&layout(&["a=1", "b=unknown"])) {
            Err(NoTree::Missing(_)) => {}
            other => panic!("{other:?}"),
        }
        assert!(world.trees.free().is_empty());
    }

    #[test]
    fn no_more_trees_are_kept_than_jobs_run() {
        let world = world();
        let trees: Vec<_> = (0..4)
            .map(|_| world.trees.take(&layout(&["a=1"])).unwrap())
            .collect();
        drop(trees);
        assert_eq!(world.trees.free().len(), 2);
        // What is not similar takes the oldest.
        let other = world.trees.take(&layout(&["b=2"])).unwrap();
        assert_eq!(world.trees.free().len(), 1);
        assert!(world.path(&other).join("b").is_file());
    }
}
