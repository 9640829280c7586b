//! Trees of files as the store holds them: each directory a blob that names what is in it by
//! digests.
//!
//! A [`MerkleTree`] never changes, and trees that differ in little share the rest. A client builds
//! the root of one compile over its toolchain's tree and beside the last compile's root: a
//! directory that comes out as it was there is taken from there, which costs a comparison instead
//! of an encoding, a hash and memory. So a root that differs from another in one file costs the
//! directories on that file's way.
//!
//! Only digests are kept; a directory is encoded again in the rare case that it has to be sent.
//!
//! - `build`: [`InputRoot`], which gathers entries by path and makes a tree of them;
//! - `walk`: what is in a tree, for sending it and for telling it in one message.

mod build;
#[cfg(test)]
mod tests;
mod walk;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use store::{Digest, DigestFunction};

use crate::message::directory::{put_file, put_subdirectory, put_symlink};
use crate::path::Name;

pub use build::{InputRoot, MerkleProblem, Piece};

/// Something at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A regular file.
    File {
        /// Its bytes.
        digest: Digest,
        /// Whether it may be run.
        is_executable: bool,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads, as it is written.
        target: String,
    },
    /// A directory built earlier, with everything below it.
    Tree(Arc<MerkleTree>),
}

/// An entry with its name, shared by all trees that have it: a build has thousands of headers and hundreds of trees at
/// a time with each of them.
#[derive(Debug, PartialEq, Eq)]
struct Node {
    name: Name,
    entry: Entry,
}

/// A directory with everything below it.
pub struct MerkleTree {
    /// Sorted by name.
    nodes: Box<[Arc<Node>]>,
    digest: Digest,
}

/// Equal names and equal contents: that is what the digest says.
impl PartialEq for MerkleTree {
    fn eq(&self, other: &MerkleTree) -> bool {
        self.digest == other.digest
    }
}

impl Eq for MerkleTree {}

impl fmt::Debug for MerkleTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.entries()).finish()
    }
}

impl MerkleTree {
    /// A directory with nothing in it.
    #[must_use]
    pub fn empty(function: DigestFunction) -> Arc<MerkleTree> {
        MerkleTree::of(function, Vec::new(), &mut Vec::new())
    }

    /// A directory of these, which are sorted. `scratch` is memory for the encoding.
    fn of(
        function: DigestFunction,
        nodes: Vec<Arc<Node>>,
        scratch: &mut Vec<u8>,
    ) -> Arc<MerkleTree> {
        scratch.clear();
        encode(&nodes, scratch);
        let digest = Digest::of(function, scratch);
        let nodes = nodes.into();
        Arc::new(MerkleTree { nodes, digest })
    }

    /// The digest of the directory's encoding.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The directory's encoding, a [`Directory`](crate::Directory); made anew.
    #[must_use]
    pub fn encoded(&self) -> Bytes {
        let capacity = usize::try_from(self.digest.size_bytes).unwrap_or(0);
        let mut encoded = Vec::with_capacity(capacity);
        encode(&self.nodes, &mut encoded);
        encoded.into()
    }

    /// What is in it, sorted by name.
    pub fn entries(&self) -> impl Iterator<Item = (&Name, &Entry)> {
        self.nodes.iter().map(|node| (&node.name, &node.entry))
    }

    /// What is at a path below it.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Entry> {
        match path.split_once('/') {
            None => self.entry(path),
            Some((name, rest)) => match self.entry(name)? {
                Entry::Tree(tree) => tree.get(rest),
                _ => None,
            },
        }
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        let order = |node: &Arc<Node>| node.name.as_str().cmp(name);
        let index = self.nodes.binary_search_by(order).ok()?;
        Some(&self.nodes[index].entry)
    }

    fn tree(&self, name: &str) -> Option<&Arc<MerkleTree>> {
        match self.entry(name)? {
            Entry::Tree(tree) => Some(tree),
            _ => None,
        }
    }
}

/// Appends the canonical `Directory` of these entries: first the files, then the directories, then
/// the links, each by name.
fn encode(nodes: &[Arc<Node>], out: &mut Vec<u8>) {
    let nodes = || nodes.iter().map(|node| (&node.name, &node.entry));
    for (name, entry) in nodes() {
        if let Entry::File {
            digest,
            is_executable,
        } = entry
        {
            put_file(out, name, digest, *is_executable, |_| ());
        }
    }
    for (name, entry) in nodes() {
        if let Entry::Tree(tree) = entry {
            put_subdirectory(out, name, &tree.digest);
        }
    }
    for (name, entry) in nodes() {
        if let Entry::Symlink { target } = entry {
            put_symlink(out, name, target, |_| ());
        }
    }
}
