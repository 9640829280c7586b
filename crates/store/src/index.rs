//! What is in the store, in memory: found by key, in the order of use, with what it costs.
//!
//! Opening a store reads names only; from then on every question "is it there?" is answered here.
//! Entries lie in a slab, a table of places finds them, and a list through the slab is the order
//! of use, so that a use is a few writes. An entry takes 103 to 112 bytes, because a store may have
//! millions; what few have (an executable twin) lies beside. Pins belong to digests, not to
//! entries: what is pinned before it comes is protected from its first moment.
//!
//! Costs are in bytes of the disk: contents rounded up to whole blocks, and a constant for inode
//! and name. Extents that several files share (reflinks, compression) are counted for each; blobs
//! that a job still holds by hard link after their eviction are not counted.
//!
//! The clock is no clock: it ticks with each new file and each use that is written down.
//!
//! Knows nothing of files, locks and time.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::Digest;
use crate::layout::{Form, Key, Kind, Name};
use crate::limits::{FILE_OVERHEAD_BYTES, USE_SKEW_MIN, USE_SKEW_PART, USES_PENDING_MAX};
use crate::stamp::Stamp;
use crate::uses::Use;

#[cfg(test)]
mod model;
mod order;

const NONE: u32 = u32::MAX;

/// One file of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileEntry {
    pub(crate) number: u64,
    /// Set once the file's bytes were seen to be right.
    pub(crate) stamp: Option<Stamp>,
}

/// What is there under a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) file: FileEntry,
    /// The executable twin of a blob.
    pub(crate) executable: Option<FileEntry>,
    /// Bytes in `file`; those of a record are fewer than 2^32.
    pub(crate) file_bytes: u64,
}

impl Entry {
    /// The names of its files, the executable twin last.
    pub(crate) fn names(&self, key: &Key) -> impl Iterator<Item = Name> + use<> {
        let digest = key.digest;
        let form = match key.kind {
            Kind::Blob => Form::Plain,
            Kind::Action => Form::Record(u32::try_from(self.file_bytes).unwrap_or(u32::MAX)),
        };
        let name = move |number, form| Name {
            digest,
            number,
            form,
        };
        let executable = self.executable;
        [name(self.file.number, form)]
            .into_iter()
            .chain(executable.map(move |file| name(file.number, Form::Executable)))
    }
}

struct Slot {
    digest: Digest,
    file: FileEntry,
    /// When the disk knows that it was used: when it came, or a later use that was written down.
    recorded: u64,
    older: u32,
    newer: u32,
    /// Bytes of an action's record; a blob has as many as its digest says.
    record_bytes: u32,
    kind: Kind,
    has_executable: bool,
}

impl Slot {
    fn key(&self) -> Key {
        Key {
            kind: self.kind,
            digest: self.digest,
        }
    }

    fn file_bytes(&self) -> u64 {
        match self.kind {
            Kind::Blob => self.digest.size_bytes,
            Kind::Action => self.record_bytes.into(),
        }
    }
}

/// How many entries of each kind.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Counts {
    pub(crate) blobs: u64,
    pub(crate) executables: u64,
    pub(crate) actions: u64,
}

pub(crate) struct Index {
    hasher: RandomState,
    places: HashTable<u32>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    executables: HashMap<u32, FileEntry>,
    oldest: u32,
    newest: u32,
    pins: HashMap<Digest, u32>,
    block_bytes: u64,
    used_bytes: u64,
    counts: Counts,
    clock: u64,
    pending: Vec<Use>,
}

/// One step of evicting.
#[derive(Debug, Default)]
pub(crate) struct Evicted {
    pub(crate) names: Vec<Name>,
    pub(crate) looked_at: usize,
}

impl Index {
    /// An empty index for a file system with blocks of so many bytes, with memory for so many
    /// entries.
    pub(crate) fn new(block_bytes: u64, entries: usize) -> Index {
        Index {
            hasher: RandomState::new(),
            places: HashTable::with_capacity(entries),
            slots: Vec::with_capacity(entries),
            free: Vec::new(),
            executables: HashMap::new(),
            oldest: NONE,
            newest: NONE,
            pins: HashMap::new(),
            block_bytes: block_bytes.max(1),
            used_bytes: 0,
            counts: Counts::default(),
            clock: 0,
            pending: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// What all entries cost.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.used_bytes
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) fn pinned(&self) -> usize {
        self.pins.len()
    }

    /// What a file of so many bytes costs.
    pub(crate) fn cost_bytes(&self, file_bytes: u64) -> u64 {
        file_bytes
            .div_ceil(self.block_bytes)
            .saturating_mul(self.block_bytes)
            .saturating_add(FILE_OVERHEAD_BYTES)
    }

    /// The next number, for a new file or a use; none is given out twice.
    pub(crate) fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Makes sure that later numbers are higher than one that was seen.
    pub(crate) fn saw_number(&mut self, number: u64) {
        self.clock = self.clock.max(number);
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Entry> {
        self.find(key).map(|place| self.entry(place))
    }

    /// Finds an entry and makes it the newest.
    pub(crate) fn touch(&mut self, key: &Key) -> Option<Entry> {
        let place = self.find(key)?;
        self.make_newest(place);
        let skew = (self.len() as u64 / USE_SKEW_PART).max(USE_SKEW_MIN);
        let clock = self.clock;
        if self.pending.len() < USES_PENDING_MAX && clock - self.slot(place).recorded > skew {
            let time = self.tick();
            let slot = self.slot_mut(place);
            slot.recorded = time;
            let number = slot.file.number;
            self.pending.push(Use { number, time });
        }
        Some(self.entry(place))
    }

    /// Uses to be written down, if there are at least so many.
    pub(crate) fn take_pending(&mut self, count_min: usize) -> Vec<Use> {
        if self.pending.len() < count_min {
            return Vec::new();
        }
        std::mem::take(&mut self.pending)
    }

    /// Puts an entry with one file in as the newest, instead of what was there; gives the names of
    /// that.
    pub(crate) fn insert(&mut self, name: &Name, stamp: Option<Stamp>) -> Vec<Name> {
        let key = name.key();
        let replaced = self.remove(&key);
        let place = self.add(name, stamp, name.number);
        self.append(place);
        replaced
    }

    /// Removes an entry; gives the names of its files.
    pub(crate) fn remove(&mut self, key: &Key) -> Vec<Name> {
        let Some(place) = self.find(key) else {
            return Vec::new();
        };
        let names = self.entry(place).names(key).collect();
        self.remove_executable(place);
        self.unlink(place);
        let hash = self.hasher.hash_one(key);
        if let Ok(found) = self.places.find_entry(hash, |other| *other == place) {
            found.remove();
        }
        self.used_bytes -= self.cost_bytes(self.slot(place).file_bytes());
        *self.counted(key.kind) -= 1;
        self.slots[place as usize] = None;
        self.free.push(place);
        names
    }

    /// Says that this very file was seen to be right.
    pub(crate) fn set_stamp(&mut self, name: &Name, stamp: Stamp) {
        if let Some(file) = self.file_mut(name) {
            file.stamp = Some(stamp);
        }
    }

    /// Puts another file in the place of this very one. `false` if it is gone.
    pub(crate) fn replace(&mut self, name: &Name, by: FileEntry) -> bool {
        let Some(file) = self.file_mut(name) else {
            return false;
        };
        *file = by;
        true
    }

    /// Gives a blob its executable twin, unless it is gone or has one; `false` then.
    pub(crate) fn add_executable(&mut self, digest: &Digest, file: FileEntry) -> bool {
        let Some(place) = self.find(&Key::blob(digest)) else {
            return false;
        };
        let cost = self.cost_bytes(digest.size_bytes);
        let slot = self.slot_mut(place);
        if slot.has_executable {
            return false;
        }
        slot.has_executable = true;
        self.executables.insert(place, file);
        self.used_bytes += cost;
        self.counts.executables += 1;
        true
    }

    /// Forgets this very file, and its entry unless it is an executable twin. Gives the names of
    /// what is to be removed, none if another is in its place.
    pub(crate) fn forget(&mut self, name: &Name) -> Vec<Name> {
        let key = name.key();
        if self.file_mut(name).is_none() {
            return Vec::new();
        }
        if name.form != Form::Executable {
            return self.remove(&key);
        }
        if let Some(place) = self.find(&key) {
            self.remove_executable(place);
        }
        vec![*name]
    }

    /// Forgets the oldest entries that are not pinned, until `goal_bytes` are in use or
    /// `looks_max` were looked at. Pinned ones that are met become the newest: they are in use.
    pub(crate) fn evict(&mut self, goal_bytes: u64, looks_max: usize) -> Evicted {
        let mut evicted = Evicted::default();
        while self.used_bytes > goal_bytes && evicted.looked_at < looks_max && self.oldest != NONE {
            evicted.looked_at += 1;
            let place = self.oldest;
            let key = self.slot(place).key();
            if key.kind == Kind::Blob && self.pins.contains_key(&key.digest) {
                self.make_newest(place);
            } else {
                evicted.names.extend(self.remove(&key));
            }
        }
        evicted
    }

    pub(crate) fn pin(&mut self, digest: &Digest) {
        *self.pins.entry(*digest).or_insert(0) += 1;
    }

    pub(crate) fn unpin(&mut self, digest: &Digest) {
        if let Some(count) = self.pins.get_mut(digest) {
            *count -= 1;
            if *count == 0 {
                self.pins.remove(digest);
            }
        }
    }

    /// Puts an entry in without a place in the order.
    fn add(&mut self, name: &Name, stamp: Option<Stamp>, recorded: u64) -> u32 {
        let key = name.key();
        let slot = Some(Slot {
            digest: key.digest,
            file: FileEntry {
                number: name.number,
                stamp,
            },
            recorded,
            older: NONE,
            newer: NONE,
            record_bytes: match name.form {
                Form::Record(bytes) => bytes,
                Form::Plain | Form::Executable => 0,
            },
            kind: key.kind,
            has_executable: false,
        });
        let place = if let Some(place) = self.free.pop() {
            self.slots[place as usize] = slot;
            place
        } else {
            self.slots.push(slot);
            u32::try_from(self.slots.len() - 1).expect("memory ends before 2^32 entries")
        };
        let Index {
            hasher,
            places,
            slots,
            ..
        } = self;
        let hash_of = |place: &u32| {
            let slot = slots[*place as usize].as_ref();
            hasher.hash_one(slot.expect("places lead to slots in use").key())
        };
        places.insert_unique(hash_of(&place), place, hash_of);
        self.used_bytes += self.cost_bytes(name.file_bytes());
        *self.counted(key.kind) += 1;
        place
    }

    fn find(&self, key: &Key) -> Option<u32> {
        let is_it = |place: &u32| {
            let slot = self.slot(*place);
            slot.digest == key.digest && slot.kind == key.kind
        };
        let hash = self.hasher.hash_one(key);
        self.places.find(hash, is_it).copied()
    }

    fn entry(&self, place: u32) -> Entry {
        let slot = self.slot(place);
        Entry {
            file: slot.file,
            executable: slot
                .has_executable
                .then(|| self.executables.get(&place).copied())
                .flatten(),
            file_bytes: slot.file_bytes(),
        }
    }

    fn file_mut(&mut self, name: &Name) -> Option<&mut FileEntry> {
        let place = self.find(&name.key())?;
        let file = match name.form {
            Form::Executable => self.executables.get_mut(&place)?,
            Form::Plain | Form::Record(_) => &mut self.slot_mut(place).file,
        };
        (file.number == name.number).then_some(file)
    }

    fn remove_executable(&mut self, place: u32) {
        if self.executables.remove(&place).is_some() {
            let cost = self.cost_bytes(self.slot(place).digest.size_bytes);
            self.slot_mut(place).has_executable = false;
            self.used_bytes -= cost;
            self.counts.executables -= 1;
        }
    }

    fn counted(&mut self, kind: Kind) -> &mut u64 {
        match kind {
            Kind::Blob => &mut self.counts.blobs,
            Kind::Action => &mut self.counts.actions,
        }
    }

    fn slot(&self, place: u32) -> &Slot {
        self.slots[place as usize]
            .as_ref()
            .expect("places lead to slots in use")
    }

    fn slot_mut(&mut self, place: u32) -> &mut Slot {
        self.slots[place as usize]
            .as_mut()
            .expect("places lead to slots in use")
    }
}
