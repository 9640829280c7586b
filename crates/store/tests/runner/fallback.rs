//! Where a hard link cannot be made.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use store::{Digest, DigestFunction, LinkOutcome};

use crate::{files_of, open, put, skip};

/// More links than the file systems that have a limit worth testing allow.
const LINKS_MAX: u32 = 70_000;

#[test]
fn other_file_systems_get_copies() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        return skip("EXDEV", "/dev/shm cannot be written to");
    };
    if fs::metadata(elsewhere.path()).unwrap().dev() == fs::metadata(temp.path()).unwrap().dev() {
        return skip(
            "EXDEV",
            "/dev/shm is the same file system as the temporary directory",
        );
    }
    let bytes = vec![5; 1_000_000];
    let digest = put(&store, &bytes);
    for (is_executable, mode) in [(false, 0o444), (true, 0o555)] {
        let to = elsewhere.path().join(format!("{mode:o}"));
        let outcome = store.link(&digest, is_executable, &to).unwrap();
        assert_eq!(outcome, LinkOutcome::Copied);
        assert_eq!(fs::read(&to).unwrap(), bytes);
        assert_eq!(fs::metadata(&to).unwrap().mode() & 0o7777, mode);
        assert!(
            store.link(&digest, is_executable, &to).is_err(),
            "it is there"
        );
    }
    let empty = Digest::of(DigestFunction::Blake3, b"");
    let to = elsewhere.path().join("empty");
    assert_eq!(store.link(&empty, false, &to).unwrap(), LinkOutcome::Copied);
    assert_eq!(fs::read(to).unwrap(), b"");
}

/// Makes links to a file until it can have no more.
fn link_out(file: &Path, dir: &Path) -> Option<u32> {
    fs::create_dir(dir).unwrap();
    for number in 0..LINKS_MAX {
        match fs::hard_link(file, dir.join(number.to_string())) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::TooManyLinks => return Some(number),
            Err(error) => panic!("{error}"),
        }
    }
    None
}

#[test]
fn a_file_with_all_its_links_is_renewed() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let digest = put(&store, b"#pragma once\n");
    let file = files_of(temp.path(), "blobs", &digest).remove(0);
    if link_out(&file, &temp.path().join("links")).is_none() {
        return skip("EMLINK", "the file system sets no limit to links");
    }
    let used_bytes = store.stats().used_bytes;
    let mut inodes = Vec::new();
    for name in ["a", "b"] {
        let to = store.work_dir().join(name);
        assert_eq!(
            store.link(&digest, false, &to).unwrap(),
            LinkOutcome::Linked
        );
        assert_eq!(fs::read(&to).unwrap(), b"#pragma once\n");
        inodes.push(fs::metadata(&to).unwrap().ino());
    }
    assert_eq!(inodes[0], inodes[1], "only one copy was made");
    assert!(!file.exists());
    assert_eq!(files_of(temp.path(), "blobs", &digest).len(), 1);
    let stats = store.stats();
    assert_eq!((stats.used_bytes, stats.writing_bytes), (used_bytes, 0));
    assert_eq!((stats.bad_files, stats.blobs), (0, 1));
}
