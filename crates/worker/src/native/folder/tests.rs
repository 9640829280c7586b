//! Directories in memory, and what of them is kept.

use super::*;
use reapi::{DirectoryNode, FileNode, NodeProperties, SymlinkNode};
use store::DigestFunction;

pub(in crate::native) const FUNCTION: DigestFunction = DigestFunction::Blake3;

pub(in crate::native) fn blob(text: &str) -> Digest {
    Digest::of(FUNCTION, text.as_bytes())
}

/// A tree as text: `name=content`, `name*=content` for programs, `name>target` for links,
/// directories by paths, `name/` for empty ones.
pub(in crate::native) fn tree(lines: &[&str]) -> Arc<Folder> {
    let mut here = Directory::default();
    let mut below: std::collections::BTreeMap<&str, Vec<&str>> = Default::default();
    for line in lines {
        let name_end = line.find(['=', '>']).unwrap_or(line.len());
        if let Some(slash) = line[..name_end].find('/') {
            let lines = below.entry(&line[..slash]).or_default();
            if !line[slash + 1..].is_empty() {
                lines.push(&line[slash + 1..]);
            }
        } else if let Some((name, target)) = line.split_once('>') {
            here.symlinks.push(SymlinkNode {
                name: Name::new(name).unwrap(),
                target: target.into(),
                properties: NodeProperties::default(),
            });
        } else {
            let (name, content) = line.split_once('=').unwrap();
            here.files.push(FileNode {
                name: Name::new(name.trim_end_matches('*')).unwrap(),
                digest: blob(content),
                is_executable: name.ends_with('*'),
                properties: NodeProperties::default(),
            });
        }
    }
    let mut children = Vec::new();
    for (name, lines) in below {
        let child = tree(&lines);
        here.directories.push(DirectoryNode {
            name: Name::new(name).unwrap(),
            digest: child.digest,
        });
        children.push(child);
    }
    let digest = Digest::of(FUNCTION, &here.encode());
    Arc::new(Folder::new(digest, here, children))
}

fn open_store() -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let options = store::Options { bytes_max: 1 << 30 };
    let store = Store::open(&dir.path().join("store"), options).unwrap();
    (store, dir)
}

fn put(store: &Store, directory: &Directory) -> Digest {
    store.put(FUNCTION, &directory.encode()).unwrap()
}

fn holding(children: &[(&str, Digest)]) -> Directory {
    Directory {
        directories: children
            .iter()
            .map(|(name, digest)| DirectoryNode {
                name: Name::new(name).unwrap(),
                digest: *digest,
            })
            .collect(),
        ..Directory::default()
    }
}

#[test]
fn a_tree_knows_what_it_holds() {
    let tree = tree(&["a/b/c=123", "a/l>x", "d/", "e*=12345"]);
    let totals = tree.totals;
    assert_eq!((totals.entries, totals.file_bytes, totals.depth), (6, 8, 2));
    assert_eq!(totals.path_bytes, 5);
    assert_eq!(tree.get("l"), None);
    let Some(Entry::Folder(a)) = tree.get("a") else {
        panic!("{tree:?}")
    };
    assert_eq!(a.get("l"), Some(&Entry::Link("x".into())));
}

#[test]
fn everything_that_is_missing_is_told_at_once() {
    let (store, _dir) = open_store();
    let empty = put(&store, &Directory::default());
    let (one, two) = (blob("one"), blob("two"));
    let file = blob("file");
    let with_file = Directory {
        files: vec![FileNode {
            name: Name::new("f").unwrap(),
            digest: file,
            is_executable: false,
            properties: NodeProperties::default(),
        }],
        ..Directory::default()
    };
    let with_file = put(&store, &with_file);
    let inner = put(
        &store,
        &holding(&[("w", with_file), ("x", one), ("y", empty)]),
    );
    let root = put(&store, &holding(&[("a", inner), ("b", two), ("c", one)]));
    match Folders::default().load(&store, &root) {
        Err(NoFolder::Missing(missing)) => assert_eq!(missing, [one, two, file]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bomb_is_found_without_walking_through_it() {
    let (store, _dir) = open_store();
    let mut digest = put(&store, &Directory::default());
    for _ in 0..100 {
        digest = put(&store, &holding(&[("a", digest), ("b", digest)]));
    }
    let folders = Folders::default();
    let error = folders.load(&store, &digest).unwrap_err().to_string();
    assert_eq!(error, "the input root has more than 500000 files");
    for _ in 0..200 {
        digest = put(&store, &holding(&[("a", digest)]));
    }
    let error = folders.load(&store, &digest).unwrap_err().to_string();
    assert!(error.contains("200 levels"), "{error}");
}

#[test]
fn what_is_no_directory_is_named() {
    let (store, _dir) = open_store();
    let digest = store.put(FUNCTION, b"\xff\xff").unwrap();
    let root = put(&store, &holding(&[("a", digest)]));
    let error = Folders::default().load(&store, &root).unwrap_err();
    let error = error.to_string();
    assert!(error.contains(&digest.to_string()), "{error}");
}

/// A directory with so many bytes of names that a few hundred of them are too many to keep.
fn large(store: &Store, number: usize) -> Digest {
    let empty = put(store, &Directory::default());
    let names: Vec<_> = (0..1000).map(|i| format!("{number}-{i:0>100}")).collect();
    let entries: Vec<_> = names.iter().map(|name| (name.as_str(), empty)).collect();
    put(store, &holding(&entries))
}

#[test]
fn what_nobody_holds_goes_when_it_takes_too_much_memory() {
    let (store, _dir) = open_store();
    let folders = Folders::default();
    let mut held = Vec::new();
    let mut seen = Vec::new();
    let mut all_bytes = 0;
    for number in 0.. {
        // Its directory is held by the directory around it.
        let root = put(&store, &holding(&[("a", large(&store, number))]));
        let root = folders.load(&store, &root).unwrap();
        let Some(Entry::Folder(below)) = root.get("a") else {
            panic!("{root:?}")
        };
        all_bytes += below.memory_bytes();
        seen.push(Arc::downgrade(below));
        if number < 3 {
            held.push(root);
        }
        if all_bytes > 3 * KEPT_BYTES_MAX {
            break;
        }
    }
    let alive = seen.iter().filter_map(std::sync::Weak::upgrade);
    let alive_bytes: u64 = alive.map(|folder| folder.memory_bytes()).sum();
    assert!(alive_bytes <= KEPT_BYTES_MAX, "{alive_bytes}");
    assert!(alive_bytes > KEPT_BYTES_MAX / 2, "{alive_bytes}");
    let weight = folders.kept.lock().unwrap().weight();
    assert!((alive_bytes..=KEPT_BYTES_MAX).contains(&weight), "{weight}");
    for root in &held {
        assert!(Arc::ptr_eq(
            root,
            &folders.load(&store, &root.digest).unwrap()
        ));
    }
}

#[test]
fn all_may_be_held() {
    let (store, _dir) = open_store();
    let folders = Folders::default();
    let held: Vec<_> = (0..)
        .map(|number| folders.load(&store, &large(&store, number)).unwrap())
        .scan(0, |bytes, folder| {
            *bytes += folder.memory_bytes();
            (*bytes < 2 * KEPT_BYTES_MAX).then_some(folder)
        })
        .collect();
    let root = &held[0];
    let again = folders.load(&store, &root.digest).unwrap();
    assert!(Arc::ptr_eq(root, &again), "it is known while it is held");
    drop((held, again));
    for number in 1_000_000..1_000_030 {
        folders.load(&store, &large(&store, number)).unwrap();
    }
    let weight = folders.kept.lock().unwrap().weight();
    assert!(weight <= KEPT_BYTES_MAX, "{weight}");
}

#[test]
fn what_was_decoded_is_not_read_again() {
    let (store, dir) = open_store();
    let root = put(&store, &holding(&[]));
    let folders = Folders::default();
    let first = folders.load(&store, &root).unwrap();
    drop((store, dir));
    let (store, _dir) = open_store();
    assert!(Arc::ptr_eq(&first, &folders.load(&store, &root).unwrap()));
}
