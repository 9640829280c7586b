//! An action's input root in memory: directories decoded once, shared between actions.
//!
//! Actions of one build differ in a few directories, so decoded directories are kept by digest. A
//! digest cannot name itself, so there are no cycles; but a directory that names another one twice,
//! which does the same, and so on, is as large as it likes in a few bytes. So what a directory
//! holds in all is computed from what its children hold, each directory once, and bounded before
//! anybody walks through it.
//!
//! What is kept is bounded by the memory that it takes. A directory is in memory as long as one
//! above it is, or a tree on disk that was made of it; so those that nobody else holds go, and the
//! others stay known, and counted.
//!
//! This does not know where the files are.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use reapi::{DIRECTORY_BYTES_MAX, Directory, Name};
use store::{Digest, Store, StoreError};

use crate::lru::Lru;

/// Levels of directories. Real trees have less than thirty.
pub(super) const DEPTH_MAX: u32 = 200;

/// Files, directories and links of an input root. Toolchains have some ten thousand.
pub(super) const ENTRIES_MAX: u64 = 500_000;

/// Bytes of an input root's files together: what must be copied where links are not possible.
pub(super) const FILE_BYTES_MAX: u64 = 64 << 30;

/// Bytes of the longest path in an input root. The kernel takes 4095, with what is before it.
pub(super) const PATH_BYTES_MAX: u64 = 3500;

/// Bytes of all directories of one input root, as they are encoded, each counted once.
const ENCODED_BYTES_MAX: u64 = 256 << 20;

/// Memory for directories that are kept, in bytes, by [`Folder::memory_bytes`]. What one compile has
/// and the one before had not takes some ten KiB, and reading that again less than a millisecond: so
/// this is for some hundred compiles back, not for all of a build.
const KEPT_BYTES_MAX: u64 = 16 << 20;

/// Directories looked at for one that can go when another one comes. More than one, so that memory
/// comes back under its limit after a time at which many were held; bounded, since all may be.
const LOOKS_MAX: usize = 16;

/// What a directory takes beside its entries: itself, and its place among those that are kept.
const FOLDER_BYTES: u64 = 400;

/// What an entry's name or target takes beside its own bytes, and the allocator for it.
const TEXT_BYTES: u64 = 32;

/// Something in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    File { digest: Digest, is_executable: bool },
    Link(Arc<str>),
    Folder(Arc<Folder>),
}

/// A directory with all that is below it.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) digest: Digest,
    /// Sorted by name.
    pub(super) entries: Box<[(Name, Entry)]>,
    pub(super) totals: Totals,
}

impl PartialEq for Folder {
    fn eq(&self, other: &Folder) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Folder {}

/// What a directory holds with all that is below it, as often as it is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) entries: u64,
    pub(super) file_bytes: u64,
    /// Bytes of the directories themselves.
    pub(super) encoded_bytes: u64,
    /// Levels below.
    pub(super) depth: u32,
    /// Bytes of the longest path.
    pub(super) path_bytes: u64,
}

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoFolder {
    #[error("{} directories of the input root are missing", .0.len())]
    Missing(Vec<Digest>),
    #[error("the input root has a bad directory {digest}: {why}")]
    Invalid { digest: Digest, why: String },
    #[error("the input root has more than {max} {what}")]
    TooMuch { what: &'static str, max: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Directories that have been decoded.
#[derive(Debug, Default)]
pub(super) struct Folders {
    kept: Mutex<Lru<Digest, Arc<Folder>>>,
}

impl Folders {
    /// Reads the tree of a directory.
    pub(super) fn load(&self, store: &Store, root: &Digest) -> Result<Arc<Folder>, NoFolder> {
        let mut visit = Visit {
            folders: self,
            store,
            known: HashMap::new(),
            missing: Vec::new(),
            files: Vec::new(),
            encoded_bytes: 0,
        };
        let folder = visit.folder(root, 0)?;
        match folder {
            Some(folder) if visit.missing.is_empty() => {
                folder.totals.check()?;
                Ok(folder)
            }
            _ => Err(NoFolder::Missing(visit.all_missing())),
        }
    }

    fn get(&self, digest: &Digest) -> Option<Arc<Folder>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(digest).map(|folder| Arc::clone(folder))
    }

    /// Keeps a directory, and gives back what is kept: another thread may have read the same.
    fn keep(&self, folder: Folder) -> Arc<Folder> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = kept.get(&folder.digest) {
            return Arc::clone(folder);
        }
        let folder = Arc::new(folder);
        kept.insert(folder.digest, Arc::clone(&folder), folder.memory_bytes());
        for _ in 0..LOOKS_MAX {
            if kept.weight() <= KEPT_BYTES_MAX {
                break;
            }
            // Nobody else can get at it meanwhile.
            if let Some((digest, oldest)) = kept.evict(|_| true)
                && Arc::strong_count(&oldest) > 1
            {
                let weight = oldest.memory_bytes();
                kept.insert(digest, oldest, weight);
            }
        }
        folder
    }
}

/// One walk through the directories of a tree, each once.
struct Visit<'a> {
    folders: &'a Folders,
    store: &'a Store,
    /// `None`: something in it is missing.
    known: HashMap<Digest, Option<Arc<Folder>>>,
    missing: Vec<Digest>,
    /// Files of the directories that were read.
    files: Vec<Digest>,
    encoded_bytes: u64,
}

impl Visit<'_> {
    fn folder(&mut self, digest: &Digest, depth: u32) -> Result<Option<Arc<Folder>>, NoFolder> {
        if let Some(known) = self.known.get(digest) {
            return Ok(known.clone());
        }
        let folder = match self.folders.get(digest) {
            Some(folder) => Some(folder),
            None => self.read(digest, depth)?,
        };
        self.known.insert(*digest, folder.clone());
        Ok(folder)
    }

    fn read(&mut self, digest: &Digest, depth: u32) -> Result<Option<Arc<Folder>>, NoFolder> {
        let too_much = |what, max| Err(NoFolder::TooMuch { what, max });
        if depth > DEPTH_MAX {
            return too_much("levels of directories", DEPTH_MAX.into());
        }
        let bytes = match self.store.read(digest, DIRECTORY_BYTES_MAX) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                self.missing.push(*digest);
                return Ok(None);
            }
            Err(StoreError::OverReadLimit { bytes_max, .. }) => {
                return too_much("bytes in one directory", bytes_max);
            }
            Err(error) => return Err(error.into()),
        };
        self.encoded_bytes += bytes.len() as u64;
        if self.encoded_bytes > ENCODED_BYTES_MAX {
            return too_much("bytes of directories", ENCODED_BYTES_MAX);
        }
        let directory =
            Directory::decode(digest.function, &bytes).map_err(|why| NoFolder::Invalid {
                digest: *digest,
                why: why.to_string(),
            })?;
        self.files
            .extend(directory.files.iter().map(|node| node.digest));
        let mut children = Vec::with_capacity(directory.directories.len());
        for node in &directory.directories {
            children.push(self.folder(&node.digest, depth + 1)?);
        }
        // All of them are asked first: the client is told everything that is missing at once.
        let Some(children) = children.into_iter().collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let folder = Folder::new(*digest, directory, children);
        Ok(Some(self.folders.keep(folder)))
    }
}

impl Visit<'_> {
    /// Everything that is missing, as far as it can be known while directories are.
    fn all_missing(mut self) -> Vec<Digest> {
        let mut seen = HashSet::new();
        for folder in self.known.values().flatten() {
            folder.files(&mut seen, &mut |_| true, &mut self.files);
        }
        self.files.sort_unstable();
        self.files.dedup();
        self.missing.extend(self.store.missing(&self.files));
        self.missing
    }
}

impl Folder {
    /// Adds the files of this directory and of those below it that `enter` lets in to `files`.
    /// Each directory counts once.
    pub(super) fn files<'a>(
        &'a self,
        seen: &mut HashSet<&'a Digest>,
        enter: &mut impl FnMut(&Digest) -> bool,
        files: &mut Vec<Digest>,
    ) {
        if !seen.insert(&self.digest) || !enter(&self.digest) {
            return;
        }
        for (_, entry) in &self.entries {
            match entry {
                Entry::File { digest, .. } => files.push(*digest),
                Entry::Folder(below) => below.files(seen, enter, files),
                Entry::Link(_) => {}
            }
        }
    }

    fn new(digest: Digest, directory: Directory, children: Vec<Arc<Folder>>) -> Folder {
        let mut totals = Totals {
            encoded_bytes: digest.size_bytes,
            ..Totals::default()
        };
        let mut entries = Vec::with_capacity(
            directory.files.len() + directory.symlinks.len() + directory.directories.len(),
        );
        for node in directory.files {
            totals.file_bytes = totals.file_bytes.saturating_add(node.digest.size_bytes);
            let entry = Entry::File {
                digest: node.digest,
                is_executable: node.is_executable,
            };
            entries.push((node.name, entry));
        }
        for node in directory.symlinks {
            entries.push((node.name, Entry::Link(node.target.into())));
        }
        for (node, child) in directory.directories.into_iter().zip(children) {
            totals.add(&child.totals, node.name.as_str().len() as u64);
            entries.push((node.name, Entry::Folder(child)));
        }
        for (name, _) in &entries {
            totals.entries = totals.entries.saturating_add(1);
            totals.path_bytes = totals.path_bytes.max(name.as_str().len() as u64);
        }
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Folder {
            digest,
            entries: entries.into(),
            totals,
        }
    }

    /// What it takes in memory, without the directories in it.
    fn memory_bytes(&self) -> u64 {
        let entry_bytes = |(name, entry): &(Name, Entry)| {
            let target = match entry {
                Entry::Link(target) => TEXT_BYTES + target.len() as u64,
                Entry::File { .. } | Entry::Folder(_) => 0,
            };
            size_of::<(Name, Entry)>() as u64 + TEXT_BYTES + name.as_str().len() as u64 + target
        };
        FOLDER_BYTES + self.entries.iter().map(entry_bytes).sum::<u64>()
    }

    /// What is under one name.
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        let found = self
            .entries
            .binary_search_by(|(known, _)| known.as_str().cmp(name));
        Some(&self.entries[found.ok()?].1)
    }
}

impl Totals {
    fn add(&mut self, child: &Totals, name_bytes: u64) {
        self.entries = self.entries.saturating_add(child.entries);
        self.file_bytes = self.file_bytes.saturating_add(child.file_bytes);
        self.encoded_bytes = self.encoded_bytes.saturating_add(child.encoded_bytes);
        self.depth = self.depth.max(child.depth + 1);
        self.path_bytes = self.path_bytes.max(name_bytes + 1 + child.path_bytes);
    }

    fn check(&self) -> Result<(), NoFolder> {
        for (what, found, max) in [
            ("levels of directories", self.depth.into(), DEPTH_MAX.into()),
            ("files", self.entries, ENTRIES_MAX),
            ("bytes of files", self.file_bytes, FILE_BYTES_MAX),
            ("bytes in one path", self.path_bytes, PATH_BYTES_MAX),
        ] {
            if found > max {
                return Err(NoFolder::TooMuch { what, max });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests;
