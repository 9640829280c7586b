//! A process that is killed while it does everything at once, again and again on one store.
//!
//! What a blob contains follows from its number, and so does what an action's result may be: so
//! whatever is served afterwards can be checked without knowing what was written.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use store::{Digest, DigestFunction, LinkOutcome, Store};

use crate::{bytes_of, child, child_dir, open_with, quick_dir, read_each_way};

const KILLS: u64 = 200;
const THREADS: u64 = 4;
const BLOBS: usize = 60;
const ACTIONS: u64 = 20;

/// Much less than all blobs.
const BYTES_MAX: u64 = 700_000;

/// The operation at which the child dies.
const KILL_AT: &str = "STORE_TEST_KILL_AT";

/// Every blob that there can be.
static CONTENTS: LazyLock<Vec<(Digest, Vec<u8>)>> = LazyLock::new(|| {
    let content = |number: usize| {
        let len = match number % 5 {
            0 => number,
            1 => 60_000,
            _ => 300 * number,
        };
        let bytes = bytes_of(number, len);
        let function = DigestFunction::ALL[number % 2];
        (Digest::of(function, &bytes), bytes)
    };
    (0..BLOBS).map(content).collect()
});

fn action(number: u64) -> Digest {
    Digest::of(DigestFunction::Sha256, &number.to_le_bytes())
}

/// A result says for which action it is; the rest follows from its first byte.
fn result(number: u64, version: u8) -> Vec<u8> {
    let mut bytes = vec![version; 200 * usize::from(version)];
    bytes.splice(0..0, [version].into_iter().chain(number.to_le_bytes()));
    bytes
}

#[test]
fn killed_200_times_it_serves_nothing_wrong() {
    let temp = quick_dir();
    let dir = temp.path().join("store");
    let mut random = fastrand::Rng::with_seed(0x5eed_0004);
    let (mut blobs, mut actions, mut leftovers) = (0, 0, 0);
    for _ in 0..KILLS {
        let status = child("killed::child_that_is_killed", &dir)
            .env(KILL_AT, random.u64(1..250).to_string())
            .output()
            .unwrap()
            .status;
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(rustix::process::Signal::KILL.as_raw())
        );
        leftovers += fs::read_dir(dir.join("tmp")).unwrap().count() as u64;
        let (some_blobs, some_actions) = check(&dir);
        blobs += some_blobs;
        actions += some_actions;
    }
    println!("{KILLS} kills: {blobs} blobs and {actions} results right, {leftovers} half written");
    assert!(blobs > KILLS && actions > KILLS && leftovers > KILLS / 4);
}

/// Everything that is served is right; what the store says of itself is what lies on the disk.
fn check(dir: &Path) -> (u64, u64) {
    let store = open_with(dir, BYTES_MAX);
    assert_eq!(fs::read_dir(dir.join("tmp")).unwrap().count(), 0);
    let stats = store.stats();
    assert!(stats.used_bytes <= BYTES_MAX, "{stats:?}");
    let files = |kind| {
        let shards = fs::read_dir(dir.join(kind)).unwrap();
        let in_shard = |shard: fs::DirEntry| fs::read_dir(shard.path()).unwrap().count() as u64;
        shards.map(|shard| in_shard(shard.unwrap())).sum::<u64>()
    };
    assert_eq!(files("blobs"), stats.blobs + stats.executables);
    assert_eq!(files("actions"), stats.actions);
    let (mut blobs, mut actions) = (0, 0);
    for (number, (digest, content)) in CONTENTS.iter().enumerate() {
        if store.contains(digest) && digest.size_bytes > 0 {
            // By each way in turn, since each looks at a file that no other has looked at.
            let to = store.work_dir().join("linked");
            if number % 2 == 0 {
                let outcome = store.link(digest, number % 4 == 0, &to).unwrap();
                assert_ne!(outcome, LinkOutcome::Missing);
                assert_eq!(fs::read(&to).as_ref().ok(), Some(content));
                fs::remove_file(&to).unwrap();
            }
            let read = store.read(digest, u64::MAX).unwrap();
            assert_eq!(read.as_ref(), Some(content));
            blobs += 1;
        }
    }
    for number in 0..ACTIONS {
        if let Some(bytes) = store.action(&action(number)).unwrap() {
            assert_eq!(bytes, result(number, bytes[0]));
            actions += 1;
        }
    }
    let stats = store.stats();
    assert_eq!(
        stats.bad_files, 0,
        "a kill loses nothing that was in its place"
    );
    (blobs, actions)
}

#[test]
#[ignore = "the child of another test"]
fn child_that_is_killed() {
    let Some(dir) = child_dir() else { return };
    let kill_at: u64 = std::env::var(KILL_AT).unwrap().parse().unwrap();
    let store = open_with(&dir, BYTES_MAX);
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, done) = (store.clone(), &done);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(kill_at * THREADS + thread);
                loop {
                    step(&store, &mut random, thread);
                    // All others are in the middle of something.
                    if done.fetch_add(1, Ordering::Relaxed) == kill_at {
                        let process = rustix::process::getpid();
                        rustix::process::kill_process(process, rustix::process::Signal::KILL)
                            .unwrap();
                    }
                }
            });
        }
    });
}

fn step(store: &Store, random: &mut fastrand::Rng, thread: u64) {
    let (digest, content) = &CONTENTS[random.usize(..BLOBS)];
    let to = store.work_dir().join(format!("{thread}"));
    match random.u8(..8) {
        0 | 1 => {
            store.put(digest.function, content).unwrap();
        }
        2 | 3 => {
            let mut writer = store.writer(*digest).unwrap();
            for piece in content.chunks(10_000) {
                writer.write(piece).unwrap();
            }
            writer.commit().unwrap();
        }
        4 => {
            let outcome = store.link(digest, random.bool(), &to).unwrap();
            if outcome != LinkOutcome::Missing {
                assert_eq!(&fs::read(&to).unwrap(), content);
                fs::remove_file(&to).unwrap();
            }
        }
        5 => {
            let number = random.u64(..ACTIONS);
            let bytes = result(number, random.u8(1..));
            store.put_action(&action(number), &bytes).unwrap();
        }
        6 => {
            let pin = store.pin([*digest]);
            if pin.missing().is_empty() {
                read_each_way(store, digest, &to);
            }
        }
        _ => {
            if let Some(bytes) = store.read(digest, u64::MAX).unwrap() {
                assert_eq!(&bytes, content);
            }
        }
    }
}
