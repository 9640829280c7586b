//! Trees of files as the store holds them: each directory a blob that names what is in it by digests.
//!
//! An [`InputRoot`] gathers entries by path, directory by directory; [`InputRoot::build`] encodes every directory once,
//! children before parents. Whole sub-trees that were built before are put in as they are ([`Entry::Tree`]): nothing in
//! them is encoded or hashed again.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::hash_map;
use std::sync::Arc;

use bytes::Bytes;
use store::{Digest, DigestFunction};

use crate::message::directory::{put_file, put_subdirectory, put_symlink};
use crate::path::{Name, PathProblem, RelativePath, check_target};

/// Something at a path.
#[derive(Debug, Clone)]
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

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        match (self, other) {
            (
                Entry::File {
                    digest,
                    is_executable,
                },
                Entry::File {
                    digest: other,
                    is_executable: executable,
                },
            ) => (digest, is_executable) == (other, executable),
            (Entry::Symlink { target }, Entry::Symlink { target: other }) => target == other,
            (Entry::Tree(tree), Entry::Tree(other)) => tree.digest == other.digest,
            _ => false,
        }
    }
}

/// Why something cannot be put where it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MerkleProblem {
    /// A name or path that no tree can hold.
    #[error("the path `{path}` {problem}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        problem: PathProblem,
    },
    /// There is something else already.
    #[error("`{0}` would be two things at once")]
    Conflict(String),
}

/// A directory with everything below it, encoded.
#[derive(Debug)]
pub struct MerkleTree {
    digest: Digest,
    encoded: Bytes,
    directories: Vec<Arc<MerkleTree>>,
}

impl MerkleTree {
    /// The digest of the directory's encoding.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The directory's encoding.
    #[must_use]
    pub fn encoded(&self) -> &Bytes {
        &self.encoded
    }

    /// Hands every directory to `visit`, parents before children. Where `visit` answers `false`, what is below is left
    /// out: whoever knows a directory to be in a store knows the same of its children.
    pub fn walk(&self, visit: &mut impl FnMut(&MerkleTree) -> bool) {
        if visit(self) {
            for child in &self.directories {
                child.walk(visit);
            }
        }
    }
}

/// What is in one directory, as far as it is known.
#[derive(Debug, Default)]
struct Level {
    entries: BTreeMap<Name, Entry>,
}

/// A tree of files in the making.
#[derive(Debug, Default)]
pub struct InputRoot {
    /// By path from the root: `""`, `usr`, `usr/include`.
    levels: HashMap<String, Level>,
}

impl InputRoot {
    /// An empty root.
    #[must_use]
    pub fn new() -> InputRoot {
        let mut root = InputRoot::default();
        root.levels.insert(String::new(), Level::default());
        root
    }

    /// Puts something at a path below the root, `a/b/c`. Directories above it are made. Putting the same twice is
    /// fine.
    ///
    /// # Errors
    /// The path or a link's target is none, or there is something else already.
    pub fn add(&mut self, path: &str, entry: Entry) -> Result<(), MerkleProblem> {
        let bad = |problem| MerkleProblem::Path {
            path: path.into(),
            problem,
        };
        if let Entry::Symlink { target } = &entry {
            check_target(target).map_err(bad)?;
        }
        if path.starts_with('/') {
            return Err(bad(PathProblem::Absolute(path.into())));
        }
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let name = Name::new(name).map_err(bad)?;
        let level = self.level(directory)?;
        match level.entries.get(&name) {
            None => {
                level.entries.insert(name, entry);
                Ok(())
            }
            Some(known) if *known == entry => Ok(()),
            Some(_) => Err(MerkleProblem::Conflict(path.into())),
        }
    }

    /// Makes sure that there is a directory.
    ///
    /// # Errors
    /// The path is none.
    pub fn add_directory(&mut self, path: &str) -> Result<(), MerkleProblem> {
        self.level(path).map(|_| ())
    }

    fn level(&mut self, path: &str) -> Result<&mut Level, MerkleProblem> {
        // Only what is new is checked and copied: most entries share their directory with others.
        if !self.levels.contains_key(path) {
            let checked = RelativePath::new(path);
            let is_plain = checked
                .as_ref()
                .is_ok_and(|checked| checked.as_str() == path);
            if !is_plain {
                let problem = checked.err().unwrap_or(PathProblem::Dots(path.into()));
                return Err(MerkleProblem::Path {
                    path: path.into(),
                    problem,
                });
            }
            let mut above = path;
            while let hash_map::Entry::Vacant(vacant) = self.levels.entry(above.to_owned()) {
                vacant.insert(Level::default());
                above = above
                    .rsplit_once('/')
                    .map_or("", |(directory, _)| directory);
            }
        }
        let level = self.levels.get_mut(path);
        Ok(level.expect("it was there, or has just been made"))
    }

    /// Encodes everything.
    ///
    /// # Errors
    /// A path is a directory and something else.
    pub fn build(self, function: DigestFunction) -> Result<Arc<MerkleTree>, MerkleProblem> {
        let mut levels: Vec<(String, Level)> = self.levels.into_iter().collect();
        // Children before parents.
        levels.sort_unstable_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        let mut below: HashMap<String, Vec<(Name, Arc<MerkleTree>)>> = HashMap::new();
        for (path, level) in levels {
            let directories = below.remove(&path).unwrap_or_default();
            let tree = Arc::new(level.encode(function, directories, &path)?);
            let Some((above, name)) = path
                .rsplit_once('/')
                .or_else(|| (!path.is_empty()).then_some(("", path.as_str())))
            else {
                return Ok(tree);
            };
            let name = Name::new(name).map_err(|problem| MerkleProblem::Path {
                path: path.clone(),
                problem,
            })?;
            below
                .entry(above.to_owned())
                .or_default()
                .push((name, tree));
        }
        Ok(Arc::new(Level::default().encode(
            function,
            Vec::new(),
            "",
        )?))
    }
}

impl Level {
    fn encode(
        self,
        function: DigestFunction,
        directories: Vec<(Name, Arc<MerkleTree>)>,
        path: &str,
    ) -> Result<MerkleTree, MerkleProblem> {
        let mut entries = self.entries;
        for (name, tree) in directories {
            let at = format!("{path}/{name}");
            if entries.insert(name, Entry::Tree(tree)).is_some() {
                return Err(MerkleProblem::Conflict(at));
            }
        }
        // As generous as a digest and a name need.
        let mut out = Vec::with_capacity(entries.len() * 112);
        for (name, entry) in &entries {
            if let Entry::File {
                digest,
                is_executable,
            } = entry
            {
                put_file(&mut out, name, digest, *is_executable, |_| {});
            }
        }
        let mut below = Vec::new();
        for (name, entry) in &entries {
            if let Entry::Tree(tree) = entry {
                put_subdirectory(&mut out, name, &tree.digest);
                below.push(Arc::clone(tree));
            }
        }
        for (name, entry) in &entries {
            if let Entry::Symlink { target } = entry {
                put_symlink(&mut out, name, target, |_| {});
            }
        }
        Ok(MerkleTree {
            digest: Digest::of(function, &out),
            encoded: out.into(),
            directories: below,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::directory::Directory;

    const FUNCTION: DigestFunction = DigestFunction::Sha256;

    fn file(bytes: &[u8]) -> Entry {
        Entry::File {
            digest: Digest::of(FUNCTION, bytes),
            is_executable: false,
        }
    }

    #[test]
    fn every_level_is_canonical_and_parents_are_made() {
        let mut root = InputRoot::new();
        root.add("usr/include/stdio.h", file(b"1")).unwrap();
        root.add("usr/include-fixed/x.h", file(b"2")).unwrap();
        root.add(
            "usr/bin",
            Entry::Symlink {
                target: "../bin".into(),
            },
        )
        .unwrap();
        root.add("b", file(b"3")).unwrap();
        root.add("a", file(b"3")).unwrap();
        root.add_directory("home/u/empty").unwrap();
        let tree = root.build(FUNCTION).unwrap();
        let mut names = Vec::new();
        tree.walk(&mut |level| {
            assert_eq!(Digest::of(FUNCTION, level.encoded()), level.digest());
            let directory = Directory::decode(FUNCTION, level.encoded()).unwrap();
            names.extend(directory.files.iter().map(|node| node.name.to_string()));
            names.extend(
                directory
                    .directories
                    .iter()
                    .map(|node| format!("{}/", node.name)),
            );
            names.extend(
                directory
                    .symlinks
                    .iter()
                    .map(|node| format!("{}@", node.name)),
            );
            true
        });
        assert_eq!(
            names,
            [
                "a",
                "b",
                "home/",
                "usr/",
                "u/",
                "empty/",
                "include/",
                "include-fixed/",
                "bin@",
                "stdio.h",
                "x.h"
            ]
        );
    }

    #[test]
    fn the_order_of_adding_does_not_matter() {
        let build = |paths: &[&str]| {
            let mut root = InputRoot::new();
            for path in paths {
                root.add(path, file(path.as_bytes())).unwrap();
            }
            root.build(FUNCTION).unwrap().digest()
        };
        assert_eq!(build(&["a/x", "b", "a/y/z"]), build(&["a/y/z", "b", "a/x"]));
        assert_ne!(build(&["a/x"]), build(&["a/y"]));
        assert_eq!(build(&[]), Digest::of(FUNCTION, b""));
    }

    #[test]
    fn a_sub_tree_is_put_in_as_it_is() {
        let mut toolchain = InputRoot::new();
        toolchain.add("cc1", file(b"cc1")).unwrap();
        let toolchain = toolchain.build(FUNCTION).unwrap();
        let mut whole = InputRoot::new();
        whole.add("lib/gcc/cc1", file(b"cc1")).unwrap();
        let mut parts = InputRoot::new();
        parts
            .add("lib/gcc", Entry::Tree(Arc::clone(&toolchain)))
            .unwrap();
        parts.add("lib/gcc", Entry::Tree(toolchain)).unwrap();
        assert_eq!(
            whole.build(FUNCTION).unwrap().digest(),
            parts.build(FUNCTION).unwrap().digest()
        );
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        let mut root = InputRoot::new();
        root.add("a", file(b"1")).unwrap();
        assert_eq!(root.add("a", file(b"1")), Ok(()));
        assert_eq!(
            root.add("a", file(b"2")),
            Err(MerkleProblem::Conflict("a".into()))
        );
        for path in ["", "/a", "a/../b", "a//b", "a/.", "a/"] {
            assert!(root.add(path, file(b"1")).is_err(), "{path}");
        }
        root.add("a/b", file(b"1")).unwrap();
        assert_eq!(
            root.build(FUNCTION).unwrap_err(),
            MerkleProblem::Conflict("/a".into())
        );
    }
}
