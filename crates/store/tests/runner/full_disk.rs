//! A file system that is full before the store's limit is reached.
//!
//! The tests run as children in a mount namespace of their own, with a small file system in memory.

use std::fs;
use std::path::Path;
use std::process::Command;

use store::{Digest, DigestFunction, StoreError};

use crate::{bytes_of, child, child_dir, open, put, read_each_way, sha, skip};

const DISK_MB: usize = 8;

/// Runs a test with a small file system on its directory.
fn run_with_small_disk(test: &str, options: &str) {
    let temp = tempfile::tempdir().unwrap();
    let is_allowed = Command::new("unshare")
        .args(["-Urm", "mount", "-t", "tmpfs", "tmpfs"])
        .arg(temp.path())
        .output()
        .is_ok_and(|output| output.status.success());
    if !is_allowed {
        return skip(test, "no user and mount namespaces for the likes of us");
    }
    let inner = child(test, temp.path());
    let status = Command::new("unshare")
        .args(["-Urm", "sh", "-c"])
        .arg(format!(
            "mount -t tmpfs -o {options} tmpfs \"$0\" && exec \"$@\""
        ))
        .arg(temp.path())
        .arg(inner.get_program())
        .args(inner.get_args())
        .envs(
            inner
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&status.stdout);
    assert!(
        status.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&status.stderr)
    );
    assert!(text.contains("1 passed"), "{text}");
}

fn is_small_disk(dir: &Path) -> bool {
    let statistics = rustix::fs::statvfs(dir).unwrap();
    statistics.f_blocks * statistics.f_frsize <= (DISK_MB as u64) << 20
}

#[test]
fn a_full_disk_makes_room() {
    run_with_small_disk(
        "full_disk::child_that_fills_the_disk",
        &format!("size={DISK_MB}m"),
    );
}

#[test]
#[ignore = "the child of another test"]
fn child_that_fills_the_disk() {
    let Some(dir) = child_dir() else { return };
    assert!(is_small_disk(&dir));
    let store = open(&dir.join("store"));
    // Three times as much as there is room for, in blobs and writers of all sizes.
    let mut kept = Vec::new();
    for seed in 0..120 {
        let bytes = bytes_of(seed, 200_000);
        let digest = sha(&bytes);
        let mut writer = store.writer(digest).unwrap();
        for piece in bytes.chunks(30_000) {
            writer.write(piece).unwrap();
        }
        writer.commit().unwrap();
        assert!(store.contains(&digest));
        store.put_action(&digest, &bytes[..1000]).unwrap();
        kept.push((digest, bytes));
    }
    assert!(store.stats().evicted_files > 60);
    let mut served = 0;
    for (digest, bytes) in &kept {
        if store.contains(digest) {
            let read = store.read(digest, u64::MAX).unwrap();
            assert_eq!(read.as_ref(), Some(bytes));
            served += 1;
        }
    }
    assert!(served > 20, "{served} are left");

    // More than the disk can hold, whatever goes.
    let big = bytes_of(1000, (DISK_MB << 20) + 1);
    let error = store.put(DigestFunction::Sha256, &big).unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("no space left on the file system of store")
    );
    let source = tempfile::tempfile_in("/dev/shm").ok();
    if let Some(source) = source {
        std::os::unix::fs::FileExt::write_all_at(&source, &big, 0).unwrap();
        let error = store.put_file(DigestFunction::Sha256, &source).unwrap_err();
        assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
    }
    assert_eq!(fs::read_dir(dir.join("store/tmp")).unwrap().count(), 0);
    assert_eq!(store.stats().writing_bytes, 0);

    drop(store);
    check_with_nothing_left(&dir);
}

/// Somebody else took everything: nothing can be written, what is there is served.
fn check_with_nothing_left(dir: &Path) {
    let store = open(&dir.join("store"));
    let to = store.work_dir().join("linked");
    let pinned = put(&store, &bytes_of(2000, 50_000));
    let pin = store.pin([pinned]);
    fill(&dir.join("stranger"));
    let mut errors = 0;
    for seed in 3000..3010 {
        let put = store.put(DigestFunction::Sha256, &bytes_of(seed, 500_000));
        errors += u32::from(matches!(put, Err(StoreError::DiskFull { .. })));
        fill(&dir.join("stranger"));
    }
    assert!(errors > 0);
    assert_eq!(
        store.read(&pinned, u64::MAX).unwrap().unwrap(),
        bytes_of(2000, 50_000)
    );
    drop(pin);
    // Nor does opening need room.
    drop(store);
    fill(&dir.join("stranger"));
    let store = open(&dir.join("store"));
    assert_eq!(
        store.read(&pinned, u64::MAX).unwrap().unwrap(),
        bytes_of(2000, 50_000)
    );
    fs::remove_file(dir.join("stranger")).unwrap();
    let digest = put(&store, &bytes_of(4000, 500_000));
    assert!(read_each_way(&store, &digest, &to).is_some());
    drop(store);
    let store = open(&dir.join("store"));
    assert!(read_each_way(&store, &digest, &to).is_some());
}

/// Takes what is left of the disk.
fn fill(path: &Path) {
    let mut file = fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
}

#[test]
fn a_disk_without_inodes_makes_room() {
    let options = format!("size={DISK_MB}m,nr_inodes=400");
    run_with_small_disk("full_disk::child_that_takes_all_inodes", &options);
}

#[test]
#[ignore = "the child of another test"]
fn child_that_takes_all_inodes() {
    let Some(dir) = child_dir() else { return };
    assert!(is_small_disk(&dir));
    let store = open(&dir.join("store"));
    let mut last = Vec::new();
    for seed in 0..1000_u64 {
        let bytes = seed.to_le_bytes();
        last = vec![put(&store, &bytes), sha(&bytes)];
        assert!(store.contains(&last[0]));
    }
    assert_eq!(last[0], last[1]);
    let stats = store.stats();
    assert!(stats.evicted_files > 500 && stats.blobs > 50, "{stats:?}");
}

/// All writers meet the full disk at once; the store is not emptied once for each of them.
#[test]
fn a_crowd_on_a_full_disk_does_not_empty_the_store() {
    let options = format!("size={DISK_MB}m");
    run_with_small_disk("full_disk::child_with_a_crowd", &options);
}

#[test]
#[ignore = "the child of another test"]
fn child_with_a_crowd() {
    let Some(dir) = child_dir() else { return };
    assert!(is_small_disk(&dir));
    let store = open(&dir.join("store"));
    let digests: Vec<Digest> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|thread| {
                let store = store.clone();
                scope.spawn(move || {
                    let seeds = (0..100).map(|round| thread * 1000 + round);
                    let put = |seed| put(&store, &bytes_of(seed, 20_000));
                    seeds.map(put).collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let left = digests.iter().filter(|digest| store.contains(digest));
    let left: Vec<_> = left.copied().collect();
    for digest in &left {
        assert_eq!(
            store.read(digest, u64::MAX).unwrap().map(|it| sha(&it)),
            Some(*digest)
        );
    }
    // At 20 kB for each, 300 fit.
    assert!(left.len() > 100, "{} are left", left.len());
}
