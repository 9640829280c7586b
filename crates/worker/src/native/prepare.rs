//! Puts an action's input root in place: what the sandbox mounts, and what keeps it there.
//!
//! Blocks on the file system.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use reapi::ExecuteError;
use store::{Digest, Pin, Store};
use sys::sandbox::{InputRoot, MountedAt, SharedTree as SandboxTree, Writable};

use super::folder::{Folder, Folders, NoFolder};
use super::plan::{self, Shared};
use super::platform::Place;
use super::shared_trees::{SharedTree, SharedTrees};
use super::tree_diff::Layout;
use super::trees::{JobTree, NoTree, Reaper, Trees};

/// Where input roots are made.
#[derive(Debug)]
pub(super) struct Workshop {
    pub(super) store: Store,
    folders: Folders,
    trees: Arc<Trees>,
    shared: SharedTrees,
}

/// An input root in place. What holds it goes with this.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) tree: JobTree,
    shared: Vec<(String, Arc<SharedTree>)>,
    _pin: Pin,
}

impl Workshop {
    /// `jobs_max`: how many jobs run at once.
    pub(super) fn new(store: Store, jobs_max: usize) -> io::Result<Workshop> {
        let trees = Arc::new(Trees::new(store.clone(), jobs_max, Reaper::start()?));
        Ok(Workshop {
            folders: Folders::default(),
            shared: SharedTrees::new(Arc::clone(&trees), store.stats().bytes_max),
            trees,
            store,
        })
    }

    /// Puts an input root in place, of which these directories will be written to.
    pub(super) fn prepare(
        &self,
        root: &Digest,
        writable: &[&str],
    ) -> Result<Prepared, ExecuteError> {
        let root = self.folders.load(&self.store, root)?;
        let shared = plan::shared(&root, writable, |folder| self.shared.comes_again(folder));
        let pin = self.pin(&root, &shared)?;
        let trees = shared.iter().map(|part| {
            let tree = self.shared.get(&part.folder)?;
            Ok((part.path.clone(), tree))
        });
        let trees = trees.collect::<Result<Vec<_>, NoTree>>()?;
        let layout = Layout {
            root: Some(root),
            holes: shared.into_iter().map(|part| part.path).collect(),
        };
        Ok(Prepared {
            tree: self.trees.take(&layout)?,
            shared: trees,
            _pin: pin,
        })
    }

    /// Keeps all files from being evicted, and sees that they are there. Those of shared trees
    /// that are built are.
    fn pin(&self, root: &Folder, shared: &[Shared]) -> Result<Pin, ExecuteError> {
        let built: HashSet<&Digest> = shared
            .iter()
            .map(|part| &part.folder.digest)
            .filter(|digest| self.shared.has(digest))
            .collect();
        let mut files = Vec::new();
        let mut enter = |digest: &Digest| !built.contains(digest);
        root.files(&mut HashSet::new(), &mut enter, &mut files);
        files.sort_unstable();
        files.dedup();
        let pin = self.store.pin(files.iter().copied());
        let missing = self.store.missing(&files);
        if missing.is_empty() {
            Ok(pin)
        } else {
            Err(ExecuteError::MissingBlobs(missing))
        }
    }
}

impl Prepared {
    /// What the sandbox is to show, where, and what of it the job may change: all of it below this
    /// machine's programs, else only these directories.
    pub(super) fn root(&self, place: &Place, writable: &[&str]) -> InputRoot {
        let shared = self.shared.iter().map(|(path, tree)| SandboxTree {
            tree: tree.name().into(),
            at: path.into(),
        });
        InputRoot {
            tree: self.tree.name().into(),
            at: match place {
                Place::Root => MountedAt::Root,
                Place::Path(path) => MountedAt::Path(path.clone()),
            },
            shared: shared.collect(),
            writable: match place {
                Place::Root => Writable::Directories(writable.iter().map(PathBuf::from).collect()),
                Place::Path(_) => Writable::All,
            },
        }
    }
}

impl From<NoFolder> for ExecuteError {
    fn from(no: NoFolder) -> ExecuteError {
        let text = no.to_string();
        match no {
            NoFolder::Missing(missing) => ExecuteError::MissingBlobs(missing),
            NoFolder::Invalid { .. } | NoFolder::TooMuch { .. } => {
                ExecuteError::InvalidArgument(text)
            }
            NoFolder::Store(_) => ExecuteError::Internal(text),
        }
    }
}

impl From<NoTree> for ExecuteError {
    fn from(no: NoTree) -> ExecuteError {
        use io::ErrorKind::{InvalidFilename, QuotaExceeded, StorageFull};
        let text = no.to_string();
        match no {
            NoTree::Missing(digest) => ExecuteError::MissingBlobs(vec![digest]),
            NoTree::Io { source, .. } if source.kind() == InvalidFilename => {
                ExecuteError::InvalidArgument(text)
            }
            // Another worker may have room.
            NoTree::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded) => {
                ExecuteError::Unavailable(text)
            }
            NoTree::Io { .. } | NoTree::Store(_) => ExecuteError::Internal(text),
        }
    }
}
