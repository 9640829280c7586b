//! What each operation does when nothing is in its way.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;

use rustix::fs::SealFlags;
use store::{Digest, DigestFunction, LinkOutcome, StoreError};

use crate::{open, sha};

#[test]
fn what_was_put_in_comes_out_now_and_after_opening_again() {
    let temp = tempfile::tempdir().unwrap();
    let mut texts = vec![b"one".to_vec(), vec![7; 300_000]];
    let mut store = open(temp.path());
    let mut digests = Vec::new();
    for function in DigestFunction::ALL {
        for text in &texts {
            digests.push(store.put(function, text).unwrap());
        }
    }
    texts.extend_from_within(..);
    for _ in 0..2 {
        assert_eq!(store.missing(&digests), []);
        for (digest, text) in digests.iter().zip(&texts) {
            assert!(store.contains(digest));
            assert_eq!(store.read(digest, u64::MAX).unwrap().as_ref(), Some(text));
            let mut blob = store.open_blob(digest).unwrap().unwrap();
            let mut bytes = Vec::new();
            blob.file.read_to_end(&mut bytes).unwrap();
            assert_eq!((&bytes, blob.size_bytes), (text, text.len() as u64));
        }
        let absent = sha(b"absent");
        assert_eq!(store.missing([&absent, &digests[0]]), [absent]);
        assert!(store.open_blob(&absent).unwrap().is_none());
        drop(store);
        store = open(temp.path());
    }
    assert_eq!(store.stats().blobs, 4);
}

#[test]
fn writers_take_only_what_was_announced() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let digest = sha(b"hello world");

    let mut writer = store.writer(digest).unwrap();
    writer.write(b"hello").unwrap();
    assert!(matches!(
        writer.write(b" world!"),
        Err(StoreError::TooManyBytes { announced: 11 })
    ));
    drop(writer);

    let mut writer = store.writer(digest).unwrap();
    writer.write(b"hello").unwrap();
    assert!(matches!(
        writer.commit(),
        Err(StoreError::TooFewBytes { received: 5, .. })
    ));

    let mut writer = store.writer(digest).unwrap();
    writer.write(b"hello w0rld").unwrap();
    assert!(matches!(writer.commit(), Err(StoreError::WrongHash { .. })));
    assert!(!store.contains(&digest));

    let (mut first, mut second) = (store.writer(digest).unwrap(), store.writer(digest).unwrap());
    for piece in [&b"hello"[..], b" world"] {
        first.write(piece).unwrap();
        second.write(piece).unwrap();
    }
    first.commit().unwrap();
    second.commit().unwrap();
    assert_eq!(store.read(&digest, 11).unwrap().unwrap(), b"hello world");
    assert!(matches!(
        store.read(&digest, 10),
        Err(StoreError::OverReadLimit { bytes_max: 10, .. })
    ));
    assert_eq!(fs::read_dir(temp.path().join("tmp")).unwrap().count(), 0);
    assert_eq!(store.stats().writing_bytes, 0);
}

#[test]
fn open_files_are_copied_in_from_their_start() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let mut file = tempfile::tempfile().unwrap();
    let bytes = vec![3; 1_000_000];
    file.write_all(&bytes).unwrap();
    let digest = store.put_file(DigestFunction::Blake3, &file).unwrap();
    assert_eq!(digest, Digest::of(DigestFunction::Blake3, &bytes));
    assert_eq!(store.read(&digest, u64::MAX).unwrap(), Some(bytes));
    let (pipe, _other_end) = std::io::pipe().unwrap();
    let pipe = std::os::fd::OwnedFd::from(pipe).into();
    let error = store.put_file(DigestFunction::Blake3, &pipe).unwrap_err();
    assert!(matches!(error, StoreError::Source { .. }), "{error}");
}

#[test]
fn what_is_known_is_believed_only_where_nobody_can_have_changed_it() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let bytes = vec![3; 1_000_000];
    let function = DigestFunction::Sha256;
    let (right, other) = (Digest::of(function, &bytes), Digest::of(function, b"other"));
    let mut open_to_all = tempfile::tempfile().unwrap();
    open_to_all.write_all(&bytes).unwrap();
    let wrong = store.put_known(&other, &open_to_all).unwrap_err();
    assert!(matches!(wrong, StoreError::WrongHash { .. }), "{wrong}");
    assert!(store.open_blob(&other).unwrap().is_none());
    let flags = rustix::fs::MemfdFlags::ALLOW_SEALING;
    let mut sealed = fs::File::from(rustix::fs::memfd_create("test", flags).unwrap());
    sealed.write_all(&bytes).unwrap();
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK;
    rustix::fs::fcntl_add_seals(&sealed, seals).unwrap();
    // The length does not fit, so it cannot be that.
    assert!(store.put_known(&other, &sealed).is_err());
    for file in [&sealed, &open_to_all] {
        store.put_known(&right, file).unwrap();
        assert_eq!(store.read(&right, u64::MAX).unwrap(), Some(bytes.clone()));
    }
    assert_eq!(store.stats().writing_bytes, 0);
}

#[test]
fn links_are_the_stores_inodes_and_read_only() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let digest = store.put(DigestFunction::Sha256, b"#!/bin/sh\n").unwrap();
    let to = |name: &str| store.work_dir().join(name);
    for (name, is_executable) in [("a", false), ("b", false), ("x", true), ("y", true)] {
        let outcome = store.link(&digest, is_executable, &to(name)).unwrap();
        assert_eq!(outcome, LinkOutcome::Linked);
        assert_eq!(fs::read(to(name)).unwrap(), b"#!/bin/sh\n");
    }
    let meta = |name: &str| fs::metadata(to(name)).unwrap();
    assert_eq!(meta("a").ino(), meta("b").ino());
    assert_eq!(meta("x").ino(), meta("y").ino());
    assert_ne!(meta("a").ino(), meta("x").ino());
    assert_eq!(meta("a").mode() & 0o7777, 0o444);
    assert_eq!(meta("x").mode() & 0o7777, 0o555);
    let dir = fs::File::open(store.work_dir()).unwrap();
    let outcome = store.link_at(&digest, true, &dir, "z".as_ref()).unwrap();
    assert_eq!(outcome, LinkOutcome::Linked);
    assert_eq!(meta("z").ino(), meta("x").ino());
    assert!(store.link(&digest, false, &to("a")).is_err());
    assert!(store.link(&digest, false, &to("none/a")).is_err());
    let missing = store.link(&sha(b"absent"), false, &to("m")).unwrap();
    assert_eq!(missing, LinkOutcome::Missing);
    assert!(store.contains(&digest));
    assert_eq!(store.stats().bad_files, 0);
}

#[test]
fn results_of_actions_are_kept_and_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let mut store = open(temp.path());
    let action = sha(b"action");
    assert_eq!(store.action(&action).unwrap(), None);
    store.put_action(&action, b"first").unwrap();
    store.put_action(&action, b"second").unwrap();
    for _ in 0..2 {
        assert_eq!(store.action(&action).unwrap().unwrap(), b"second");
        assert_eq!(store.action(&sha(b"other")).unwrap(), None);
        assert!(!store.contains(&action), "actions are no blobs");
        assert_eq!(store.stats().actions, 1);
        drop(store);
        store = open(temp.path());
    }
}

#[test]
fn the_empty_blob_is_always_there() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    for function in DigestFunction::ALL {
        let empty = Digest::of(function, b"");
        assert!(store.contains(&empty));
        assert_eq!(store.missing([&empty]), []);
        assert_eq!(store.pin([empty]).missing(), []);
        assert_eq!(store.read(&empty, 0).unwrap().unwrap(), b"");
        let to = store.work_dir().join(function.name());
        assert_eq!(store.link(&empty, true, &to).unwrap(), LinkOutcome::Linked);
        assert_eq!(fs::read(to).unwrap(), b"");
        assert_eq!(store.open_blob(&empty).unwrap().unwrap().size_bytes, 0);
        store.writer(empty).unwrap().commit().unwrap();
    }
}

#[test]
fn handles_are_for_all_threads() {
    fn check<T: Send + Sync + 'static>() {}
    check::<store::Store>();
    check::<store::Writer>();
    check::<store::Pin>();
    check::<store::Blob>();
    check::<StoreError>();
}
