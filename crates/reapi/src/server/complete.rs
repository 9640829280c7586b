//! Whether everything that a result names is still there.
//!
//! A result whose outputs were evicted is worse than none: the client would believe it, and fail
//! when it fetches. Looking is also what keeps outputs that are still asked for.

use std::collections::HashSet;

use store::{Digest, Store};

use crate::limits::{DIRECTORY_BYTES_MAX, TREE_BYTES_MAX, TREE_DIRECTORIES_MAX};
use crate::message::directory::Directory;
use crate::message::result::ActionResult;
use crate::message::tree::Tree;

/// Everything that a result names, if all of it is there.
pub(super) fn complete(store: &Store, result: &ActionResult) -> Option<Vec<Digest>> {
    let mut digests: Vec<Digest> = result.digests().collect();
    if !store.missing(&digests).is_empty() {
        return None;
    }
    let mut below = Vec::new();
    for directory in &result.directories {
        if let Some(tree) = &directory.tree {
            let bytes = store.read(tree, TREE_BYTES_MAX).ok()??;
            let tree = Tree::decode(tree.function, &bytes).ok()?;
            let files = tree.directories().flat_map(|directory| &directory.files);
            below.extend(files.map(|file| file.digest));
        }
        if let Some(root) = &directory.root {
            walk(store, *root, &mut below)?;
        }
    }
    if !store.missing(&below).is_empty() {
        return None;
    }
    digests.append(&mut below);
    Some(digests)
}

/// Adds everything below a directory.
fn walk(store: &Store, root: Digest, below: &mut Vec<Digest>) -> Option<()> {
    let mut waiting = vec![root];
    let mut seen = HashSet::from([root]);
    while let Some(digest) = waiting.pop() {
        let bytes = store.read(&digest, DIRECTORY_BYTES_MAX).ok()??;
        let directory = Directory::decode(digest.function, &bytes).ok()?;
        below.push(digest);
        below.extend(directory.files.iter().map(|file| file.digest));
        let children = directory.directories.iter().map(|node| node.digest);
        waiting.extend(children.filter(|child| seen.insert(*child)));
        if seen.len() > TREE_DIRECTORIES_MAX {
            return None;
        }
    }
    Some(())
}
