//! What is in the store, in memory: found by key, in the order of use, with what it costs.
//!
//! Opening a store reads names only; from then on every question "is it there?" is answered here.
//! The order is a list through a slab, so that a use is a few writes. Pins belong to digests, not
//! to entries: what is pinned before it comes is protected from its first moment.
//!
//! Costs are in bytes of the disk: contents rounded up to whole blocks, and a constant for inode
//! and name. Extents that several files share (reflinks, compression) are counted for each; blobs
//! that a job still holds by hard link after their eviction are not counted.
//!
//! Knows nothing of files, locks and clocks.

use std::collections::HashMap;

use crate::Digest;
use crate::layout::{Form, Key, Kind, Name};
use crate::limits::FILE_OVERHEAD_BYTES;
use crate::stamp::Stamp;

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
    /// Bytes in `file`.
    pub(crate) file_bytes: u64,
}

impl Entry {
    pub(crate) fn names(&self, key: &Key) -> impl Iterator<Item = Name> {
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
            .chain(executable.map(|file| name(file.number, Form::Executable)))
    }
}

struct Slot {
    key: Key,
    entry: Entry,
    older: u32,
    newer: u32,
}

pub(crate) struct Index {
    places: HashMap<Key, u32>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
    pins: HashMap<Digest, u32>,
    block_bytes: u64,
    /// Cost of all entries.
    used_bytes: u64,
    counts: Counts,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) blobs: u64,
    pub(crate) executables: u64,
    pub(crate) actions: u64,
}

impl Index {
    pub(crate) fn new(block_bytes: u64) -> Index {
        Index {
            places: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            oldest: NONE,
            newest: NONE,
            pins: HashMap::new(),
            block_bytes: block_bytes.max(1),
            used_bytes: 0,
            counts: Counts::default(),
        }
    }

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

    pub(crate) fn get(&self, key: &Key) -> Option<&Entry> {
        let place = *self.places.get(key)?;
        Some(&self.slot(place).entry)
    }

    /// Finds an entry and makes it the newest.
    pub(crate) fn touch(&mut self, key: &Key) -> Option<Entry> {
        let place = *self.places.get(key)?;
        self.make_newest(place);
        Some(self.slot(place).entry)
    }

    /// Puts an entry in as the newest; gives what was there before.
    pub(crate) fn insert(&mut self, key: Key, entry: Entry) -> Option<Entry> {
        let replaced = self.remove(&key);
        self.account(&key, &entry, true);
        let slot = Some(Slot {
            key,
            entry,
            older: NONE,
            newer: NONE,
        });
        let place = if let Some(place) = self.free.pop() {
            self.slots[place as usize] = slot;
            place
        } else {
            self.slots.push(slot);
            u32::try_from(self.slots.len() - 1).expect("fewer files than 2^32")
        };
        self.places.insert(key, place);
        self.append(place);
        replaced
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Option<Entry> {
        let place = self.places.remove(key)?;
        self.unlink(place);
        let slot = self.slots[place as usize].take()?;
        self.free.push(place);
        self.account(key, &slot.entry, false);
        Some(slot.entry)
    }

    /// Says that the file with this number was seen to be right. `false` if another is in its
    /// place.
    pub(crate) fn set_stamp(&mut self, name: &Name, stamp: Stamp) -> bool {
        let Some(file) = self.file_mut(name) else {
            return false;
        };
        file.stamp = Some(stamp);
        true
    }

    /// Gives an entry its executable twin, unless it is gone or has one; `false` then.
    pub(crate) fn add_executable(&mut self, digest: &Digest, file: FileEntry) -> bool {
        let cost = self.cost_bytes(digest.size_bytes);
        let Some(&place) = self.places.get(&Key::blob(digest)) else {
            return false;
        };
        let entry = &mut self.slot_mut(place).entry;
        if entry.executable.is_some() {
            return false;
        }
        entry.executable = Some(file);
        self.used_bytes += cost;
        self.counts.executables += 1;
        true
    }

    /// Forgets this very file: the whole entry, or its executable twin only. `false` if another is
    /// in its place. An executable twin without its plain file is of no use: what must be removed
    /// with it is returned by name.
    pub(crate) fn forget(&mut self, name: &Name) -> Vec<Name> {
        let key = Key {
            kind: name.kind(),
            digest: name.digest,
        };
        let Some(file) = self.file_mut(name) else {
            return Vec::new();
        };
        debug_assert_eq!(file.number, name.number);
        if name.form == Form::Executable {
            let cost = self.cost_bytes(name.digest.size_bytes);
            let place = self.places[&key];
            self.slot_mut(place).entry.executable = None;
            self.used_bytes -= cost;
            self.counts.executables -= 1;
            return vec![*name];
        }
        match self.remove(&key) {
            Some(entry) => entry.names(&key).collect(),
            None => Vec::new(),
        }
    }

    /// Forgets the oldest entries that are not pinned, until `goal_bytes` are in use or `files_max`
    /// are gone. Pinned ones that are met count as used.
    pub(crate) fn evict(&mut self, goal_bytes: u64, files_max: usize) -> Vec<Name> {
        let mut gone = Vec::new();
        let mut to_look_at = self.places.len();
        while self.used_bytes > goal_bytes && gone.len() < files_max && to_look_at > 0 {
            to_look_at -= 1;
            let place = self.oldest;
            let key = self.slot(place).key;
            if key.kind == Kind::Blob && self.pins.contains_key(&key.digest) {
                self.make_newest(place);
            } else if let Some(entry) = self.remove(&key) {
                gone.extend(entry.names(&key));
            }
        }
        gone
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

    fn file_mut(&mut self, name: &Name) -> Option<&mut FileEntry> {
        let key = Key {
            kind: name.kind(),
            digest: name.digest,
        };
        let place = *self.places.get(&key)?;
        let entry = &mut self.slot_mut(place).entry;
        let file = match name.form {
            Form::Executable => entry.executable.as_mut()?,
            Form::Plain | Form::Record(_) => &mut entry.file,
        };
        (file.number == name.number).then_some(file)
    }

    fn account(&mut self, key: &Key, entry: &Entry, is_added: bool) {
        let files = 1 + u64::from(entry.executable.is_some());
        let cost = self.cost_bytes(entry.file_bytes) * files;
        let counts = &mut self.counts;
        let counted = match key.kind {
            Kind::Blob => &mut counts.blobs,
            Kind::Action => &mut counts.actions,
        };
        if is_added {
            *counted += 1;
            counts.executables += files - 1;
            self.used_bytes += cost;
        } else {
            *counted -= 1;
            counts.executables -= files - 1;
            self.used_bytes -= cost;
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

    fn make_newest(&mut self, place: u32) {
        if self.newest != place {
            self.unlink(place);
            self.append(place);
        }
    }

    fn append(&mut self, place: u32) {
        let newest = self.newest;
        let slot = self.slot_mut(place);
        (slot.older, slot.newer) = (newest, NONE);
        if newest == NONE {
            self.oldest = place;
        } else {
            self.slot_mut(newest).newer = place;
        }
        self.newest = place;
    }

    fn unlink(&mut self, place: u32) {
        let Slot { older, newer, .. } = *self.slot(place);
        if older == NONE {
            self.oldest = newer;
        } else {
            self.slot_mut(older).newer = newer;
        }
        if newer == NONE {
            self.newest = older;
        } else {
            self.slot_mut(newer).older = older;
        }
    }
}
