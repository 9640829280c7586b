//! What is in a tree, for sending it and for telling it in one message.

use std::collections::HashSet;

use store::Digest;

use super::{Entry, MerkleTree};
use crate::wire::put_element;

impl MerkleTree {
    /// Hands every directory to `visit`, parents before children. Where `visit` answers `false`,
    /// what is below is left out: whoever knows a directory to be in a store knows the same of its
    /// children. A directory that is there several times is handed out as often.
    pub fn walk(&self, visit: &mut impl FnMut(&MerkleTree) -> bool) {
        if !visit(self) {
            return;
        }
        for (_, entry) in self.entries() {
            if let Entry::Tree(tree) = entry {
                tree.walk(visit);
            }
        }
    }

    /// The digests of the files that are directly in it.
    pub fn files(&self) -> impl Iterator<Item = Digest> {
        self.entries().filter_map(|(_, entry)| match entry {
            Entry::File { digest, .. } => Some(*digest),
            _ => None,
        })
    }

    /// The encoded [`Tree`](crate::Tree) message of everything in it: each directory once, parents
    /// before children, as `is_topologically_sorted` promises.
    #[must_use]
    pub fn tree_message(&self) -> Vec<u8> {
        // In the order in which they are left, children come before all of their parents; so
        // backwards it is what is wanted.
        let mut left = Vec::new();
        self.leave(&mut HashSet::new(), &mut left);
        let mut message = Vec::new();
        for (index, directory) in left.into_iter().rev().enumerate() {
            let field = if index == 0 { 1 } else { 2 };
            put_element(&mut message, field, &directory.encoded());
        }
        message
    }

    fn leave<'a>(&'a self, seen: &mut HashSet<Digest>, left: &mut Vec<&'a MerkleTree>) {
        if !seen.insert(self.digest) {
            return;
        }
        // Backwards, so that in the message they are in the order of their names.
        for node in self.nodes.iter().rev() {
            if let Entry::Tree(tree) = &node.entry {
                tree.leave(seen, left);
            }
        }
        left.push(self);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use store::{Digest, DigestFunction};

    use crate::merkle::{Entry, InputRoot};
    use crate::message::directory::Directory;
    use crate::message::tree::Tree;
    use crate::wire::Fields;

    const FUNCTION: DigestFunction = DigestFunction::Sha256;

    fn file(text: &str) -> Entry {
        Entry::File {
            digest: Digest::of(FUNCTION, text.as_bytes()),
            is_executable: false,
        }
    }

    #[test]
    fn a_message_has_each_directory_once_and_parents_first() {
        let mut root = InputRoot::new();
        // `deep` and `shallow/again` are the same; `below` must come after both of their parents.
        for path in ["deep/below/x", "shallow/again/below/x", "z"] {
            root.add(path, file("x")).unwrap();
        }
        root.add_directory("empty").unwrap();
        let root = root.build(FUNCTION).unwrap();
        let message = root.tree_message();
        let tree = Tree::decode(FUNCTION, &message).unwrap();
        assert_eq!(tree.root_digest, root.digest());
        // empty, deep (which is again), below, shallow
        assert_eq!(tree.children.len(), 4);
        let mut known = HashSet::from([root.digest()]);
        for (index, field) in Fields::of(&message).enumerate() {
            let (number, value) = field.unwrap();
            assert_eq!(number, if index == 0 { 1 } else { 2 });
            let bytes = value.bytes().unwrap();
            assert!(
                known.contains(&Digest::of(FUNCTION, bytes)),
                "a parent was before it"
            );
            let directory = Directory::decode(FUNCTION, bytes).unwrap();
            known.extend(directory.directories.iter().map(|node| node.digest));
        }
    }

    #[test]
    fn a_walk_leaves_out_what_is_known() {
        let mut root = InputRoot::new();
        for path in ["a/b/x", "c/d/x", "c/y"] {
            root.add(path, file(path)).unwrap();
        }
        let root = root.build(FUNCTION).unwrap();
        let Some(Entry::Tree(known)) = root.get("c") else {
            panic!("{root:?}");
        };
        let mut names = Vec::new();
        root.walk(&mut |tree| {
            names.extend(tree.entries().map(|(name, _)| name.to_string()));
            tree != &**known
        });
        assert_eq!(names, ["a", "c", "b", "x", "d", "y"]);
    }
}
