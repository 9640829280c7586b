//! All integration tests of this crate, in one binary.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "these are tests; clippy exempts only what is in a `#[test]` function"
)]

mod basics;
mod damage;
mod eviction;
mod fallback;
mod full_disk;
mod killed;
mod model;
mod opening;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use store::{Digest, DigestFunction, LinkOutcome, Options, Store};
use tempfile::TempDir;

const ROOMY: u64 = 1 << 30;

/// Where a test that runs as a child process finds its directory.
const CHILD_DIR: &str = "STORE_TEST_DIR";

/// A directory for a test with very many small steps: in memory if there is such a file system,
/// since the steps are the store's and not the disk's.
fn quick_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

fn open(dir: &Path) -> Store {
    open_with(dir, ROOMY)
}

fn open_with(dir: &Path, bytes_max: u64) -> Store {
    Store::open(dir, Options { bytes_max }).unwrap()
}

fn sha(bytes: &[u8]) -> Digest {
    Digest::of(DigestFunction::Sha256, bytes)
}

fn put(store: &Store, bytes: &[u8]) -> Digest {
    store.put(DigestFunction::Sha256, bytes).unwrap()
}

/// Bytes that are others for each seed.
fn bytes_of(seed: usize, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed as u64);
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes
}

/// What a test reads through each of the ways out; all must agree.
fn read_each_way(store: &Store, digest: &Digest, to: &Path) -> Option<Vec<u8>> {
    let read = store.read(digest, u64::MAX).unwrap();
    let mut opened = store.open_blob(digest).unwrap();
    let opened = opened.as_mut().map(|blob| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut blob.file, &mut bytes).unwrap();
        bytes
    });
    assert_eq!(read, opened);
    for is_executable in [false, true] {
        let outcome = store.link(digest, is_executable, to).unwrap();
        assert_eq!(outcome != LinkOutcome::Missing, read.is_some());
        assert_eq!(fs::read(to).ok(), read);
        drop(fs::remove_file(to));
    }
    read
}

/// The files that a store has for something: `plain`, and the executable twin.
fn files_of(dir: &Path, kind: &str, digest: &Digest) -> Vec<PathBuf> {
    let start = format!("{}-{}-", digest.hex(), digest.size_bytes);
    let shard = dir.join(kind).join(&digest.hex()[..2]);
    let Ok(entries) = fs::read_dir(shard) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_str().unwrap().starts_with(&start))
        .map(|entry| entry.path())
        .collect();
    files.sort_by_key(|path| path.to_str().unwrap().len());
    files
}

/// This test binary, to run one of its tests as a process of its own.
fn child(test: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(CHILD_DIR, dir);
    command
}

/// The directory for a test that runs as a child; `None` if somebody started it by hand.
fn child_dir() -> Option<PathBuf> {
    std::env::var_os(CHILD_DIR).map(PathBuf::from)
}

/// Says that a test did not happen.
fn skip(test: &str, reason: &str) {
    eprintln!("SKIPPED {test}: {reason}");
}
