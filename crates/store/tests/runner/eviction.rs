//! The limit: who goes, who stays, and that it is the disk's own measure.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use store::{Digest, LinkOutcome, Store, StoreError};

use crate::{bytes_of, open, open_with, put, quick_dir, sha};

/// What the kernel says that all files below take.
fn disk_bytes(dir: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        bytes += if meta.is_dir() {
            disk_bytes(&entry.path())
        } else {
            meta.blocks() * 512
        };
    }
    bytes
}

#[test]
fn the_least_recently_used_go_first() {
    let temp = tempfile::tempdir().unwrap();
    let store = open_with(temp.path(), 100 * 4608);
    let digests: Vec<Digest> = (0..100)
        .map(|seed| put(&store, &bytes_of(seed, 4000)))
        .collect();
    assert_eq!(store.missing(&digests), [], "exactly full is not too full");
    for digest in &digests[..10] {
        assert!(store.contains(digest));
    }
    put(&store, b"one more");
    assert_eq!(store.missing(&digests), digests[10..18]);
    assert_eq!(store.stats().evicted_files, 8);
}

#[test]
fn the_accounts_are_those_of_the_disk() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let mut digests = Vec::new();
    for seed in 0..60 {
        digests.push(put(&store, &bytes_of(seed, seed * 1500)));
        store.put_action(&digests[0], &bytes_of(seed, 700)).unwrap();
    }
    for digest in &digests[..20] {
        let to = store.work_dir().join(digest.hex());
        assert_eq!(store.link(digest, true, &to).unwrap(), LinkOutcome::Linked);
    }
    let check = |store: &Store| {
        let stats = store.stats();
        let files = stats.blobs + stats.executables + stats.actions;
        let real =
            disk_bytes(&temp.path().join("blobs")) + disk_bytes(&temp.path().join("actions"));
        assert!(stats.used_bytes >= real, "{stats:?}, really {real}");
        // Files of few bytes may lie in their inode.
        let block = rustix::fs::statvfs(temp.path()).unwrap().f_frsize;
        assert!(
            stats.used_bytes - files * (512 + block) <= real,
            "{stats:?}, really {real}"
        );
        stats
    };
    let before = check(&store);
    assert_eq!(
        (before.blobs, before.executables, before.actions),
        (60, 20, 1)
    );
    drop(store);
    let after = check(&open(temp.path()));
    assert_eq!(after.used_bytes, before.used_bytes);
}

#[test]
fn pinned_blobs_stay_and_a_store_full_of_them_says_so() {
    let temp = tempfile::tempdir().unwrap();
    let store = open_with(temp.path(), 20 * 4608);
    let digests: Vec<Digest> = (0..20).map(|seed| sha(&bytes_of(seed, 4000))).collect();
    let pin = store.pin(digests.iter().chain(&digests).copied());
    let mut sorted = digests.clone();
    sorted.sort_unstable();
    assert_eq!(pin.missing(), sorted);
    for seed in 0..20 {
        put(&store, &bytes_of(seed, 4000));
    }
    let again = store.pin(digests[..10].iter().copied());
    assert_eq!(again.missing(), []);
    let one_more = || store.put(store::DigestFunction::Sha256, b"one more");
    assert!(matches!(one_more(), Err(StoreError::Full { .. })));
    assert!(matches!(
        store.put_action(&digests[0], b""),
        Err(StoreError::Full { .. })
    ));
    assert_eq!(store.missing(&digests), []);
    drop(pin);
    one_more().unwrap();
    assert_eq!(store.missing(&digests[..10]), []);
    assert_eq!(
        store.missing(&digests[10..]).len(),
        2,
        "down to the low-water mark"
    );
    drop(again);
    assert_eq!(store.stats().pinned, 0);
}

#[test]
fn what_cannot_fit_is_refused_before_anything_goes() {
    let temp = tempfile::tempdir().unwrap();
    let store = open_with(temp.path(), 100_000);
    let digest = put(&store, b"small");
    let big = Digest {
        size_bytes: 100_000,
        ..digest
    };
    assert!(matches!(store.writer(big), Err(StoreError::TooBig { .. })));
    let file = tempfile::tempfile().unwrap();
    file.set_len(1 << 40).unwrap();
    let put_file = store.put_file(store::DigestFunction::Sha256, &file);
    assert!(matches!(put_file, Err(StoreError::TooBig { .. })));
    let endless = Digest {
        size_bytes: u64::MAX,
        ..digest
    };
    assert!(matches!(
        store.writer(endless),
        Err(StoreError::TooBig { .. })
    ));
    assert_eq!(store.stats().writing_bytes, 0);
}

/// A sender's word takes no room; bytes do.
#[test]
fn announcing_evicts_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let store = open_with(temp.path(), 10 << 20);
    let digest = put(&store, &bytes_of(1, 100_000));
    let big = Digest {
        size_bytes: 9 << 20,
        ..sha(b"")
    };
    let mut writers: Vec<_> = (0..20).map(|_| store.writer(big).unwrap()).collect();
    assert!(store.contains(&digest));
    assert_eq!(store.stats().writing_bytes, 0);
    writers[0].write(&[0; 1000]).unwrap();
    assert!(store.stats().writing_bytes <= (1 << 20) + 4608);
    drop(writers);
    assert_eq!(store.stats().writing_bytes, 0);
}

#[test]
fn a_file_takes_no_more_room_than_it_needs() {
    let temp = tempfile::tempdir().unwrap();
    let store = open_with(temp.path(), 20 * 4608);
    let _pin = store.pin((0..19).map(|seed| sha(&bytes_of(seed, 4000))));
    for seed in 0..19 {
        put(&store, &bytes_of(seed, 4000));
    }
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&bytes_of(19, 4000), 0).unwrap();
    store
        .put_file(store::DigestFunction::Sha256, &file)
        .unwrap();
    assert_eq!(store.stats().used_bytes, 20 * 4608);
}

/// Threads put, pin, link and read in a store that is far too small; what is pinned can always be
/// linked, what is served is right, and the limit holds.
#[test]
fn eviction_while_others_work() {
    const THREADS: u64 = 6;
    const ROUNDS: u64 = 150;
    const LEN: usize = 20_000;
    const BYTES_MAX: u64 = 64 * 24_000;
    let temp = quick_dir();
    let store = open_with(temp.path(), BYTES_MAX);
    let blobs: Vec<Vec<u8>> = (0..150).map(|seed| bytes_of(seed, LEN)).collect();
    let digests: HashMap<Digest, &Vec<u8>> = blobs.iter().map(|it| (sha(it), it)).collect();
    let names: Vec<Digest> = digests.keys().copied().collect();
    let linked = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, names, digests, linked) = (store.clone(), &names, &digests, &linked);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                let to = store.work_dir().join(format!("{thread}"));
                for _ in 0..ROUNDS {
                    // A job: pin, bring what is missing, link all of it, read something else.
                    let inputs = random.choose_multiple(names.iter(), 4);
                    let pin = store.pin(inputs.iter().map(|it| **it));
                    for digest in store.missing(inputs.iter().copied()) {
                        let mut writer = store.writer(digest).unwrap();
                        for piece in digests[&digest].chunks(7000) {
                            writer.write(piece).unwrap();
                        }
                        writer.commit().unwrap();
                    }
                    for digest in inputs {
                        let outcome = store.link(digest, random.u8(..4) == 0, &to).unwrap();
                        assert_eq!(outcome, LinkOutcome::Linked);
                        assert_eq!(&fs::read(&to).unwrap(), digests[digest]);
                        fs::remove_file(&to).unwrap();
                        linked.fetch_add(1, Ordering::Relaxed);
                    }
                    let stats = store.stats();
                    assert!(stats.used_bytes + stats.writing_bytes <= BYTES_MAX + SLACK);
                    drop(pin);
                    let other = random.choice(names).unwrap();
                    if let Some(bytes) = store.read(other, u64::MAX).unwrap() {
                        assert_eq!(&bytes, digests[other]);
                    }
                }
            });
        }
    });
    /// A file that just came counts twice for a moment, once as being written.
    const SLACK: u64 = THREADS * 24_000;
    assert_eq!(linked.into_inner(), THREADS * ROUNDS * 4);
    let stats = store.stats();
    assert_eq!(
        (stats.bad_files, stats.pinned, stats.writing_bytes),
        (0, 0, 0)
    );
    assert!(stats.evicted_files > 100, "{stats:?}");
    assert!(stats.used_bytes <= BYTES_MAX);
    let real = disk_bytes(&temp.path().join("blobs"));
    assert!(real <= stats.used_bytes, "nothing is left behind");
}

/// Many want the same at once: one hashes and copies, nobody gets less.
#[test]
fn a_crowd_wants_one_executable() {
    let temp = tempfile::tempdir().unwrap();
    let bytes = bytes_of(1, 3_000_000);
    let digest = put(&open(temp.path()), &bytes);
    let store = open(temp.path());
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let store = store.clone();
            scope.spawn(move || {
                let to = store.work_dir().join(format!("{thread}"));
                assert_eq!(store.link(&digest, true, &to).unwrap(), LinkOutcome::Linked);
                fs::metadata(to).unwrap().ino()
            });
        }
    });
    let inodes: std::collections::HashSet<u64> = (0..16)
        .map(|thread| {
            fs::metadata(store.work_dir().join(format!("{thread}")))
                .unwrap()
                .ino()
        })
        .collect();
    assert_eq!(inodes.len(), 1);
    assert_eq!(store.stats().executables, 1);
}
