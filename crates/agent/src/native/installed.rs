//! A toolchain as part of input roots.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use reapi::{Entry, InputRoot, MerkleTree};
use store::{Digest, DigestFunction};

use super::inputs::{NoInputs, below_root, text};
use super::prepare::Source;
use crate::toolchain::{Content, Node, Toolchain};

/// A toolchain as part of an input root.
#[derive(Debug)]
pub(crate) struct Installed {
    pub(crate) toolchain: Arc<Toolchain>,
    /// An input root of nothing else.
    pub(super) tree: Arc<MerkleTree>,
    /// Its files, by digest.
    pub(crate) files: Arc<HashMap<Digest, Source>>,
}

impl Installed {
    pub(super) fn new(
        toolchain: Arc<Toolchain>,
        function: DigestFunction,
    ) -> Result<Self, NoInputs> {
        let files = toolchain
            .entries()
            .iter()
            .filter_map(|entry| match &entry.node {
                Node::File {
                    digest, content, ..
                } => {
                    let source = match content {
                        Content::Disk => Source::File(entry.path.clone()),
                        Content::Bytes(bytes) => Source::Bytes(Bytes::copy_from_slice(bytes)),
                    };
                    Some((*digest, source))
                }
                Node::Link { .. } | Node::Dir => None,
            })
            .collect();
        let tree = Self::tree(&toolchain, function)?;
        Ok(Self {
            toolchain,
            tree,
            files: Arc::new(files),
        })
    }

    fn tree(toolchain: &Toolchain, function: DigestFunction) -> Result<Arc<MerkleTree>, NoInputs> {
        let mut root = InputRoot::new();
        for entry in toolchain.entries() {
            let path = below_root(&entry.path)?;
            match &entry.node {
                Node::File {
                    digest, executable, ..
                } => root.add(
                    path,
                    Entry::File {
                        digest: *digest,
                        is_executable: *executable,
                    },
                )?,
                Node::Link { target } => {
                    let target = text(target)?.to_owned();
                    root.add(path, Entry::Symlink { target })?;
                }
                Node::Dir => root.add_directory(path)?,
            }
        }
        Ok(root.build(function)?)
    }
}
