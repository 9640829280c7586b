//! Trees against a builder that is too simple to be wrong, and the sharing of sub-trees.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message as _;
use store::{Digest, DigestFunction};

use super::{Entry, InputRoot, MerkleProblem, MerkleTree, Piece};
use crate::message::digest;
use crate::proto::re;

const FUNCTION: DigestFunction = DigestFunction::Sha256;

fn file(text: &str) -> Entry {
    Entry::File {
        digest: Digest::of(FUNCTION, text.as_bytes()),
        is_executable: text.len().is_multiple_of(2),
    }
}

fn root_of(paths: &[(&str, &str)]) -> InputRoot {
    let mut root = InputRoot::new();
    for (path, text) in paths {
        root.add(path, file(text)).unwrap();
    }
    root
}

fn build(paths: &[(&str, &str)]) -> Arc<MerkleTree> {
    root_of(paths).build(FUNCTION).unwrap()
}

fn tree<'a>(root: &'a Arc<MerkleTree>, path: &str) -> &'a Arc<MerkleTree> {
    match root.get(path) {
        Some(Entry::Tree(tree)) => tree,
        other => panic!("{path}: {other:?}"),
    }
}

/// A directory as a map; encoded with the generated types.
#[derive(Default)]
struct Naive(BTreeMap<String, NaiveNode>);

enum NaiveNode {
    Leaf(Entry),
    Directory(Naive),
}

impl Naive {
    fn add(&mut self, path: &str, node: NaiveNode) {
        let Some((name, rest)) = path.split_once('/') else {
            self.0.entry(path.into()).or_insert(node);
            return;
        };
        let below = self.0.entry(name.into());
        match below.or_insert_with(|| NaiveNode::Directory(Naive::default())) {
            NaiveNode::Directory(directory) => directory.add(rest, node),
            NaiveNode::Leaf(_) => panic!("{path}"),
        }
    }

    fn digest(&self) -> Digest {
        let mut directory = re::Directory::default();
        for (name, node) in &self.0 {
            let name = name.clone();
            match node {
                NaiveNode::Leaf(Entry::File {
                    digest,
                    is_executable,
                }) => directory.files.push(re::FileNode {
                    name,
                    digest: Some(digest::to_message(digest)),
                    is_executable: *is_executable,
                    node_properties: None,
                }),
                NaiveNode::Leaf(Entry::Symlink { target }) => {
                    directory.symlinks.push(re::SymlinkNode {
                        name,
                        target: target.clone(),
                        node_properties: None,
                    });
                }
                NaiveNode::Leaf(Entry::Tree(_)) => panic!("not used here"),
                NaiveNode::Directory(below) => directory.directories.push(re::DirectoryNode {
                    name,
                    digest: Some(digest::to_message(&below.digest())),
                }),
            }
        }
        Digest::of(FUNCTION, &directory.encode_to_vec())
    }
}

#[test]
fn random_trees_have_the_digests_of_the_simple_builder() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut last: Option<Arc<MerkleTree>> = None;
    for _ in 0..300 {
        let mut naive = Naive::default();
        let (mut root, mut over) = (InputRoot::new(), InputRoot::new());
        for _ in 0..random.usize(..60) {
            // Names that sort differently as names and as parts of paths. Files and directories
            // have different ones, so that nothing is two things.
            let mut part = || ["a", "a-b", "a.b", "aa", "b", "~"][random.usize(..6)];
            let leaf = format!("{}-f", part());
            let parts = [part(), part(), part(), part()];
            let depth = random.usize(..5);
            let directory = parts[..depth].join("/");
            let half = if random.bool() { &mut over } else { &mut root };
            if random.u8(..10) == 0 && depth > 0 {
                naive.add(&directory, NaiveNode::Directory(Naive::default()));
                half.add_directory(&directory).unwrap();
                continue;
            }
            let path = if depth == 0 {
                leaf
            } else {
                format!("{directory}/{leaf}")
            };
            // What is there depends on the path only, so that it may be put there twice.
            let entry = if path.len().is_multiple_of(7) {
                Entry::Symlink {
                    target: format!("../{path}"),
                }
            } else {
                file(&path)
            };
            naive.add(&path, NaiveNode::Leaf(entry.clone()));
            half.add(&path, entry).unwrap();
        }
        let base = root.build(FUNCTION).unwrap();
        let built = over.build_over(&base, last.as_ref()).unwrap();
        assert_eq!(built.digest(), naive.digest());
        assert_eq!(Digest::of(FUNCTION, &built.encoded()), built.digest());
        last = Some(built);
    }
}

#[test]
fn a_root_that_differs_in_one_file_shares_everything_beside_its_way() {
    let headers: Vec<String> = (0..50).map(|n| format!("usr/include/sys/h{n}.h")).collect();
    let mut paths: Vec<(&str, &str)> = headers.iter().map(|path| (path.as_str(), "h")).collect();
    paths.push(("usr/lib/x.h", "x"));
    paths.push(("home/u/a.c", "a"));
    let first = build(&paths);
    *paths.last_mut().unwrap() = ("home/u/b.c", "b");
    let nothing = MerkleTree::empty(FUNCTION);
    let second = root_of(&paths).build_over(&nothing, Some(&first)).unwrap();
    assert!(Arc::ptr_eq(tree(&first, "usr"), tree(&second, "usr")));
    assert_ne!(tree(&first, "home"), tree(&second, "home"));
    assert_eq!(second, build(&paths));
    // And the same again is the same.
    let third = root_of(&paths).build_over(&nothing, Some(&second)).unwrap();
    assert!(Arc::ptr_eq(&second, &third));
}

#[test]
fn a_base_is_kept_and_added_to() {
    let toolchain = build(&[("usr/bin/gcc", "gcc"), ("usr/lib/gcc/12/cc1", "cc1")]);
    let root = root_of(&[("usr/include/stdio.h", "stdio"), ("usr/bin/gcc", "gcc")]);
    let root = root.build_over(&toolchain, None).unwrap();
    for shared in ["usr/lib", "usr/bin"] {
        assert!(Arc::ptr_eq(tree(&root, shared), tree(&toolchain, shared)));
    }
    let all = [
        ("usr/bin/gcc", "gcc"),
        ("usr/lib/gcc/12/cc1", "cc1"),
        ("usr/include/stdio.h", "stdio"),
    ];
    assert_eq!(root, build(&all));
    let nothing = InputRoot::new().build_over(&toolchain, None).unwrap();
    assert!(Arc::ptr_eq(&nothing, &toolchain));
}

#[test]
fn a_sub_tree_is_put_in_as_it_is_or_joined() {
    let part = build(&[("cc1", "cc1")]);
    let mut root = InputRoot::new();
    root.add("lib/gcc", Entry::Tree(Arc::clone(&part))).unwrap();
    root.add("lib/gcc", Entry::Tree(Arc::clone(&part))).unwrap();
    let alone = root.build(FUNCTION).unwrap();
    assert_eq!(alone, build(&[("lib/gcc/cc1", "cc1")]));
    assert!(Arc::ptr_eq(tree(&alone, "lib/gcc"), &part));

    let expected = build(&[("lib/gcc/cc1", "cc1"), ("lib/gcc/x/y", "y")]);
    let mut joined = root_of(&[("lib/gcc/x/y", "y")]);
    joined
        .add("lib/gcc", Entry::Tree(Arc::clone(&part)))
        .unwrap();
    assert_eq!(joined.build(FUNCTION).unwrap(), expected);
    let mut over = InputRoot::new();
    over.add("lib/gcc", Entry::Tree(part)).unwrap();
    let base = build(&[("lib/gcc/x/y", "y")]);
    assert_eq!(over.build_over(&base, None).unwrap(), expected);
}

#[test]
fn two_things_at_one_path_are_an_error() {
    let error = MerkleProblem::Conflict("x/a".into());
    for paths in [
        [("x/a", "1"), ("x/a", "2")],
        [("x/a", "1"), ("x/a/b", "1")],
        [("x/a/b", "1"), ("x/a", "1")],
    ] {
        assert_eq!(root_of(&paths).build(FUNCTION), Err(error.clone()));
        let base = build(&paths[..1]);
        let over = root_of(&paths[1..]).build_over(&base, None);
        assert_eq!(over, Err(error.clone()));
    }
}

#[test]
fn impossible_paths_are_errors() {
    let mut root = InputRoot::new();
    for path in [
        "", "/a", "a/../b", "a//b", "a/.", "a/", "/", "./a", "a\0b/c",
    ] {
        assert!(root.add(path, file("1")).is_err(), "{path}");
    }
    assert_eq!(root.add_directory(""), Ok(()));
    for path in ["/", "a/", "/a", "..", "a/./b"] {
        assert!(root.add_directory(path).is_err(), "{path}");
    }
    let deep = "d/".repeat(1000);
    let error = root.add_directory(&deep[..deep.len() - 1]).unwrap_err();
    assert!(matches!(error, MerkleProblem::TooDeep(_)));
    for path in ["link", "a/link"] {
        let target = String::new();
        let error = root.add(path, Entry::Symlink { target }).unwrap_err();
        assert!(matches!(error, MerkleProblem::Path { path: told, .. } if told == path));
    }
}

#[test]
fn a_piece_is_the_same_in_each_tree() {
    for path in ["x.h", "a/x.h", "a/b/c/x.h"] {
        let piece = Piece::new(path, file("x")).unwrap();
        for others in [[("y.h", "y")], [("a/b/z.h", "z")]] {
            let mut root = root_of(&others);
            root.put(&piece).unwrap();
            assert_eq!(
                root.build(FUNCTION).unwrap(),
                build(&[others[0], (path, "x")])
            );
        }
    }
}
