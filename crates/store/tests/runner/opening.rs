//! Opening: whose directory it is, and what is found there again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use store::{Digest, Options, Store, StoreError};

use crate::{ROOMY, bytes_of, child, child_dir, open, open_with, put, quick_dir, sha};

fn refusal(dir: &Path) -> StoreError {
    Store::open(dir, Options { bytes_max: ROOMY }).unwrap_err()
}

#[test]
#[ignore = "the child of another test"]
fn child_that_holds_a_store() {
    let Some(dir) = child_dir() else { return };
    let store = open(&dir);
    println!("open");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    drop(store);
}

#[test]
fn two_processes_cannot_have_one_store() {
    let temp = tempfile::tempdir().unwrap();
    let mut child = child("opening::child_that_holds_a_store", temp.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("open")));
    let error = refusal(temp.path());
    let StoreError::InUse { holder, .. } = &error else {
        panic!("{error}");
    };
    assert!(holder.contains(&format!("process {} (", child.id())));
    child.kill().unwrap();
    child.wait().unwrap();
    drop(open(temp.path()));
}

#[test]
fn one_process_cannot_have_a_store_twice() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let other = store.clone();
    drop(store);
    assert!(matches!(refusal(temp.path()), StoreError::InUse { .. }));
    drop(other);
    drop(open(temp.path()));
}

#[test]
fn other_formats_are_refused_with_advice() {
    let temp = tempfile::tempdir().unwrap();
    drop(open(temp.path()));
    for (format, shown) in [
        ("farcc store 2\n", "farcc store 2"),
        ("", ""),
        ("\0\n", "\\u{0}"),
    ] {
        fs::write(temp.path().join("format"), format).unwrap();
        let error = refusal(temp.path());
        assert!(matches!(&error, StoreError::UnknownFormat { found, .. } if found == shown));
        assert!(
            error.to_string().contains("remove the directory"),
            "{error}"
        );
    }
}

#[test]
fn directories_with_other_things_are_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("thesis.tex"), "…").unwrap();
    assert!(matches!(refusal(temp.path()), StoreError::NotAStore { .. }));
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    let file = temp.path().join("thesis.tex");
    assert!(matches!(refusal(&file), StoreError::Io { .. }));
}

/// A crash may come between any two steps of making a store.
#[test]
fn a_store_that_was_half_made_is_made() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("lock"), "process 1 (x)\n").unwrap();
    fs::create_dir(temp.path().join("tmp")).unwrap();
    fs::write(temp.path().join("tmp/format"), "farcc").unwrap();
    drop(open(temp.path()));
    drop(open(temp.path()));
}

#[test]
fn leftovers_are_removed() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let digest = put(&store, b"text");
    let tree = store.work_dir().join("job/include");
    fs::create_dir_all(&tree).unwrap();
    let _linked = store.link(&digest, false, &tree.join("a.h")).unwrap();
    drop(store);
    fs::write(temp.path().join("tmp/1f"), "half a blob").unwrap();
    let store = open(temp.path());
    assert_eq!(fs::read_dir(store.work_dir()).unwrap().count(), 0);
    assert_eq!(fs::read_dir(temp.path().join("tmp")).unwrap().count(), 0);
    assert!(store.contains(&digest));
}

/// Every file below, with its place.
fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

const BLOB_BYTES: usize = 3000;
const COST_BYTES: u64 = 4096 + 512;

fn fill(store: &Store, count: usize) -> Vec<Digest> {
    (0..count)
        .map(|seed| put(store, &bytes_of(seed, BLOB_BYTES)))
        .collect()
}

/// Opens with room for some, makes it evict, and tells which are left.
fn survivors(dir: &Path, digests: &[Digest], count: u64) -> Vec<Digest> {
    let store = open_with(dir, count * COST_BYTES);
    put(&store, b"one more");
    let missing = store.missing(digests);
    assert!(!missing.is_empty());
    let mut left = digests.to_vec();
    left.retain(|digest| !missing.contains(digest));
    left
}

#[test]
fn the_order_of_use_survives_closing_exactly() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let digests = fill(&store, 40);
    // Every other one in reverse: no order that creation could have left.
    let hot: Vec<Digest> = digests.iter().copied().rev().step_by(2).collect();
    assert_eq!(store.missing(&hot), []);
    drop(store);
    // Twice, since what was loaded must be written again.
    drop(open(temp.path()));
    let left = survivors(temp.path(), &digests, 15);
    let mut expected = hot[hot.len() - left.len()..].to_vec();
    expected.sort_by_key(|digest| digests.iter().position(|it| it == digest));
    assert_eq!(left, expected);
    assert!(left.len() > 10);
}

/// A copy of the directory while the store is open is what a killed process leaves.
#[test]
fn the_order_of_use_survives_a_crash_nearly() {
    let temp = quick_dir();
    let dir = temp.path().join("store");
    let store = open(&dir);
    let digests = fill(&store, 900);
    let (hot, cold) = digests.split_at(80);
    for digest in hot {
        store.read(digest, u64::MAX).unwrap().unwrap();
    }
    // What comes later makes the uses go to the disk.
    for digest in cold.iter().take(600) {
        store.read(digest, u64::MAX).unwrap().unwrap();
    }
    let image = temp.path().join("image");
    copy_tree(&dir, &image);
    let left = survivors(&image, &digests, 700);
    assert!(hot.iter().all(|digest| left.contains(digest)));
    assert!(!left.contains(&sha(b"one more")));
    drop(store);
}

/// A process that forks has the lock file twice until its child becomes another program.
#[test]
fn forks_do_not_keep_a_closed_store_locked() {
    let temp = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let forking = scope.spawn(|| {
            for _ in 0..100 {
                std::process::Command::new("/bin/true").status().unwrap();
            }
        });
        while !forking.is_finished() {
            drop(open(temp.path()));
        }
    });
}
