//! Random operations against the simplest thing that could do the same: a list in memory.
//!
//! The list knows what evicts what, so it says of every blob whether it is there; and that after
//! opening again nothing has changed, the order included.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use store::{Digest, DigestFunction, LinkOutcome, Pin, Store, StoreError};

use crate::{bytes_of, files_of, open_with, quick_dir};

const SEEDS: u64 = 6;
const STEPS: usize = 1200;
const BYTES_MAX: u64 = 400_000;
const LOW_BYTES: u64 = BYTES_MAX / 100 * 92;
const BLOBS: usize = 50;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Blob,
    Action,
}

struct Item {
    kind: Kind,
    digest: Digest,
    file_bytes: u64,
    has_executable: bool,
    /// The store need not look at the plain file again.
    is_known: bool,
    is_ruined: bool,
}

struct Model {
    /// Oldest first.
    items: Vec<Item>,
    results: HashMap<Digest, Vec<u8>>,
    pinned: Vec<Digest>,
    block_bytes: u64,
}

impl Model {
    fn cost(&self, file_bytes: u64) -> u64 {
        file_bytes.next_multiple_of(self.block_bytes) + 512
    }

    fn used(&self) -> u64 {
        let files = |item: &Item| 1 + u64::from(item.has_executable);
        let costs = self.items.iter();
        costs.map(|it| self.cost(it.file_bytes) * files(it)).sum()
    }

    fn find(&mut self, kind: Kind, digest: &Digest) -> Option<&mut Item> {
        let mut items = self.items.iter_mut();
        items.find(|it| it.kind == kind && it.digest == *digest)
    }

    /// Makes it the newest.
    fn touch(&mut self, kind: Kind, digest: &Digest) -> Option<&mut Item> {
        let is_it = |it: &Item| it.kind == kind && it.digest == *digest;
        let at = self.items.iter().position(is_it)?;
        let item = self.items.remove(at);
        self.items.push(item);
        self.items.last_mut()
    }

    fn remove(&mut self, kind: Kind, digest: &Digest) {
        self.items
            .retain(|it| it.kind != kind || it.digest != *digest);
    }

    fn insert(&mut self, kind: Kind, digest: Digest, file_bytes: u64) {
        self.remove(kind, &digest);
        self.items.push(Item {
            kind,
            digest,
            file_bytes,
            has_executable: false,
            is_known: true,
            is_ruined: false,
        });
    }

    /// Makes room for a file. Whether that is possible.
    fn reserve(&mut self, file_bytes: u64) -> bool {
        let cost = self.cost(file_bytes);
        let room = BYTES_MAX - cost;
        if self.used() <= room {
            return true;
        }
        for _ in 0..self.items.len() {
            if self.used() <= room.min(LOW_BYTES) {
                break;
            }
            let item = self.items.remove(0);
            if item.kind == Kind::Blob && self.pinned.contains(&item.digest) {
                self.items.push(item);
            }
        }
        self.used() <= room
    }

    /// Uses the plain file. Whether it is there and right.
    fn open(&mut self, digest: &Digest) -> bool {
        match self.touch(Kind::Blob, digest) {
            None => false,
            Some(item) if item.is_ruined => {
                self.remove(Kind::Blob, digest);
                false
            }
            Some(item) => {
                item.is_known = true;
                true
            }
        }
    }

    fn link(&mut self, digest: &Digest, is_executable: bool) -> Result<bool, ()> {
        let Some(item) = self.touch(Kind::Blob, digest) else {
            return Ok(false);
        };
        if !is_executable {
            return Ok(self.open(digest));
        }
        if item.has_executable {
            return Ok(true);
        }
        if !self.open(digest) {
            return Ok(false);
        }
        if !self.reserve(digest.size_bytes) {
            return Err(());
        }
        let found = self.touch(Kind::Blob, digest);
        Ok(found.map(|item| item.has_executable = true).is_some())
    }
}

struct Run {
    random: fastrand::Rng,
    dir: PathBuf,
    store: Option<Store>,
    model: Model,
    pins: Vec<(Pin, Vec<Digest>)>,
}

fn content(number: usize) -> Vec<u8> {
    bytes_of(number, (number * 7919) % 30_000 + 1)
}

fn is_full<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Full { .. }))
}

impl Run {
    fn new(dir: &Path, seed: u64) -> Run {
        Run {
            random: fastrand::Rng::with_seed(seed),
            dir: dir.to_owned(),
            store: Some(open_with(dir, BYTES_MAX)),
            model: Model {
                items: Vec::new(),
                results: HashMap::new(),
                pinned: Vec::new(),
                block_bytes: rustix::fs::statvfs(dir).unwrap().f_frsize,
            },
            pins: Vec::new(),
        }
    }

    fn step(&mut self) {
        let store = self.store.clone().unwrap();
        let number = self.random.usize(..BLOBS);
        let bytes = content(number);
        let function = DigestFunction::ALL[number % 2];
        let digest = Digest::of(function, &bytes);
        let to = store.work_dir().join("linked");
        match self.random.u8(..20) {
            0..=3 => self.put(&store, digest, &bytes),
            4..=6 => self.write(&store, digest, &bytes),
            7 => {
                let is_there = self.model.touch(Kind::Blob, &digest).is_some();
                assert_eq!(store.contains(&digest), is_there);
            }
            8 => {
                let digests: Vec<Digest> = (0..5)
                    .map(|more| content((number + more * more) % BLOBS))
                    .map(|bytes| Digest::of(DigestFunction::Sha256, &bytes))
                    .collect();
                let mut missing = digests.clone();
                missing.retain(|digest| self.model.touch(Kind::Blob, digest).is_none());
                assert_eq!(store.missing(&digests), missing);
            }
            9 | 10 => {
                let was_known = self.model.find(Kind::Blob, &digest).map(|it| it.is_known);
                let is_there = self.model.open(&digest);
                // Reading into memory hashes, but does not look at the file.
                if let Some(item) = self.model.find(Kind::Blob, &digest) {
                    item.is_known = was_known == Some(true);
                }
                let read = store.read(&digest, u64::MAX).unwrap();
                assert_eq!(read, is_there.then_some(bytes));
            }
            11 => {
                let is_there = self.model.open(&digest);
                assert_eq!(store.open_blob(&digest).unwrap().is_some(), is_there);
            }
            12..=14 => {
                let is_executable = self.random.bool();
                let linked = store.link(&digest, is_executable, &to);
                match self.model.link(&digest, is_executable) {
                    Err(()) => assert!(is_full(&linked)),
                    Ok(is_there) => {
                        assert_eq!(linked.unwrap() == LinkOutcome::Linked, is_there);
                        assert_eq!(fs::read(&to).ok(), is_there.then_some(bytes));
                    }
                }
                drop(fs::remove_file(to));
            }
            15 => self.pin(&store, digest),
            16 => self.act(&store, digest, &bytes),
            17 => {
                let is_there = self.model.touch(Kind::Action, &digest).is_some();
                let result = self.model.results.get(&digest).filter(|_| is_there);
                assert_eq!(store.action(&digest).unwrap().as_ref(), result);
            }
            18 => self.ruin(digest),
            _ if self.random.u8(..10) == 0 => {
                drop(store);
                self.open_again();
            }
            _ => {}
        }
    }

    fn put(&mut self, store: &Store, digest: Digest, bytes: &[u8]) {
        let put = |store: &Store| store.put(digest.function, bytes);
        let known = self.model.touch(Kind::Blob, &digest);
        if known.is_some_and(|item| item.is_known) {
            assert_eq!(put(store).unwrap(), digest);
            return;
        }
        let fits = self.model.reserve(digest.size_bytes);
        assert_eq!(is_full(&put(store)), !fits);
        if fits {
            self.model.insert(Kind::Blob, digest, digest.size_bytes);
        }
    }

    fn write(&mut self, store: &Store, digest: Digest, bytes: &[u8]) {
        let mut writer = store.writer(digest).unwrap();
        if !self.model.reserve(digest.size_bytes) {
            return assert!(is_full(&writer.write(bytes)));
        }
        for piece in bytes.chunks(self.random.usize(1000..40_000)) {
            writer.write(piece).unwrap();
        }
        if self.random.u8(..4) == 0 {
            return;
        }
        writer.commit().unwrap();
        let known = self.model.touch(Kind::Blob, &digest);
        if known.is_none_or(|item| !item.is_known) {
            self.model.insert(Kind::Blob, digest, digest.size_bytes);
        }
    }

    fn pin(&mut self, store: &Store, digest: Digest) {
        if self.pins.len() > 3 {
            drop(self.pins.swap_remove(self.random.usize(..4)));
        } else {
            let mut digests = vec![digest];
            digests.extend(self.model.items.iter().take(1).map(|it| it.digest));
            digests.sort_unstable();
            digests.dedup();
            let pin = store.pin(digests.iter().copied());
            let mut missing = digests.clone();
            missing.retain(|digest| self.model.touch(Kind::Blob, digest).is_none());
            assert_eq!(pin.missing(), missing);
            self.pins.push((pin, digests));
        }
        let pinned = self.pins.iter().flat_map(|(_, digests)| digests);
        self.model.pinned = pinned.copied().collect();
    }

    fn act(&mut self, store: &Store, action: Digest, bytes: &[u8]) {
        const HEADER_BYTES: usize = 81;
        let result = bytes[..self.random.usize(..bytes.len())].to_vec();
        let file_bytes = (HEADER_BYTES + result.len()) as u64;
        let fits = self.model.reserve(file_bytes);
        assert_eq!(is_full(&store.put_action(&action, &result)), !fits);
        if fits {
            self.model.insert(Kind::Action, action, file_bytes);
            self.model.results.insert(action, result);
        }
    }

    /// Changes a byte of a blob's plain file.
    fn ruin(&mut self, digest: Digest) {
        if let Some(item) = self.model.find(Kind::Blob, &digest)
            && !item.is_ruined
        {
            let path = files_of(&self.dir, "blobs", &digest).remove(0);
            let mut bytes = fs::read(&path).unwrap();
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            // Another inode, as a file system's repair makes one.
            fs::remove_file(&path).unwrap();
            fs::write(path, bytes).unwrap();
            item.is_ruined = true;
        }
    }

    fn open_again(&mut self) {
        self.pins.clear();
        self.model.pinned.clear();
        self.store = None;
        self.store = Some(open_with(&self.dir, BYTES_MAX));
        for item in &mut self.model.items {
            item.is_known = false;
        }
    }

    fn compare(&self) {
        let stats = self.store.as_ref().unwrap().stats();
        let count = |kind| self.model.items.iter().filter(|it| it.kind == kind).count();
        let executables = self.model.items.iter().filter(|it| it.has_executable);
        assert_eq!(stats.blobs, count(Kind::Blob) as u64);
        assert_eq!(stats.actions, count(Kind::Action) as u64);
        assert_eq!(stats.executables, executables.count() as u64);
        assert_eq!(stats.used_bytes, self.model.used());
        assert_eq!(stats.writing_bytes, 0);
    }
}

#[test]
fn does_what_a_list_in_memory_does() {
    for seed in 0..SEEDS {
        let temp = quick_dir();
        let mut run = Run::new(temp.path(), seed);
        for step in 0..STEPS {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                run.step();
                run.compare();
            }));
            assert!(result.is_ok(), "seed {seed}, step {step}");
        }
        assert!(run.store.unwrap().stats().blobs > 5);
    }
}
