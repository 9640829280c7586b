//! `Tree`: a directory of outputs with everything below it, in one blob.

use std::collections::HashMap;

use store::{Digest, DigestFunction};

use super::directory::Directory;
use crate::invalid::{In, Invalid, Problem};
use crate::wire::put_element;

const TREE: In = In("Tree");

/// A directory and all directories below it, by their digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The top.
    pub root: Directory,
    /// The digest of the root's encoding.
    pub root_digest: Digest,
    /// Everything below, each once.
    pub children: HashMap<Digest, Directory>,
}

impl Tree {
    /// Reads and checks an encoded tree, whose digests are of `function`. Every directory that is
    /// named in it is in it.
    ///
    /// # Errors
    /// Not a tree; a directory not in canonical form, or missing.
    pub fn decode(function: DigestFunction, bytes: &[u8]) -> Result<Tree, Invalid> {
        let mut root = None;
        let mut children = HashMap::new();
        for field in TREE.fields(bytes) {
            match field? {
                (1, value) => {
                    let bytes = TREE.at("root", value.bytes())?;
                    let directory = Directory::decode(function, bytes)?;
                    let pair = (Digest::of(function, bytes), directory);
                    TREE.once("root", &mut root, pair)?;
                }
                (2, value) => {
                    let bytes = TREE.at("children", value.bytes())?;
                    let directory = Directory::decode(function, bytes)?;
                    children.insert(Digest::of(function, bytes), directory);
                }
                _ => {}
            }
        }
        let (root_digest, root) = TREE.required("root", root)?;
        let tree = Tree {
            root,
            root_digest,
            children,
        };
        tree.check()?;
        Ok(tree)
    }

    /// The encoding of a tree whose directories are encoded already: the root, and all below it,
    /// each once. What is decoded again has each directory that is named in it.
    #[must_use]
    pub fn encode<'a>(root: &[u8], children: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut out = Vec::with_capacity(root.len() + 16);
        put_element(&mut out, 1, root);
        for child in children {
            put_element(&mut out, 2, child);
        }
        out
    }

    /// Every directory, the root first, the others in no particular order.
    pub fn directories(&self) -> impl Iterator<Item = &Directory> {
        std::iter::once(&self.root).chain(self.children.values())
    }

    /// A cycle cannot be: it would be a cycle of hashes.
    fn check(&self) -> Result<(), Invalid> {
        let mut named = self
            .directories()
            .flat_map(|directory| &directory.directories);
        match named.find(|node| !self.children.contains_key(&node.digest)) {
            Some(node) => TREE.at("children", Err(Problem::NoSuchDirectory(node.digest))),
            None => Ok(()),
        }
    }
}
