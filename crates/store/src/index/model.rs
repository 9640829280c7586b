//! The index against a list that does the same in the simplest way.

use super::*;
use crate::DigestFunction;

const SEED: u64 = 0x5eed_0003;
const ROUNDS: usize = 60_000;
const BLOCK: u64 = 4096;

/// Oldest first.
#[derive(Default)]
struct Model {
    entries: Vec<(Key, Entry)>,
    pins: Vec<Digest>,
}

impl Model {
    fn position(&self, key: &Key) -> Option<usize> {
        self.entries.iter().position(|(other, _)| other == key)
    }

    fn touch(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(self.position(key)?);
        self.entries.push(entry);
        Some(entry.1)
    }

    fn remove(&mut self, key: &Key) -> Vec<Name> {
        let Some(at) = self.position(key) else {
            return Vec::new();
        };
        self.entries.remove(at).1.names(key).collect()
    }

    fn used_bytes(&self) -> u64 {
        let cost = |bytes: u64| bytes.next_multiple_of(BLOCK) + FILE_OVERHEAD_BYTES;
        let files = |entry: &Entry| 1 + u64::from(entry.executable.is_some());
        let entries = self.entries.iter();
        entries.map(|(_, it)| cost(it.file_bytes) * files(it)).sum()
    }

    fn evict(&mut self, goal: u64, looks: usize) -> Vec<Name> {
        let mut names = Vec::new();
        for _ in 0..looks {
            if self.used_bytes() <= goal || self.entries.is_empty() {
                break;
            }
            let (key, entry) = self.entries[0];
            if key.kind == Kind::Blob && self.pins.contains(&key.digest) {
                self.touch(&key);
            } else {
                self.remove(&key);
                names.extend(entry.names(&key));
            }
        }
        names
    }
}

fn key(random: &mut fastrand::Rng) -> Key {
    let number = random.u8(..40);
    let mut digest = Digest::of(DigestFunction::Sha256, &[number]);
    digest.size_bytes = u64::from(number) * 1000;
    Key {
        kind: *random.choice(&Kind::ALL).unwrap(),
        digest,
    }
}

fn order(index: &Index) -> Vec<(Key, Entry)> {
    let mut order = Vec::new();
    let mut place = index.oldest;
    let mut older = NONE;
    while place != NONE {
        let slot = index.slot(place);
        assert_eq!(slot.older, older, "the list is the same from both ends");
        order.push((slot.key(), index.entry(place)));
        (older, place) = (place, slot.newer);
    }
    assert_eq!(index.newest, older);
    order
}

fn insert(random: &mut fastrand::Rng, index: &mut Index, model: &mut Model, key: Key) {
    let form = match key.kind {
        Kind::Blob => Form::Plain,
        Kind::Action => Form::Record(random.u32(..9000)),
    };
    let name = Name {
        digest: key.digest,
        number: index.tick(),
        form,
    };
    let replaced = model.remove(&key);
    let entry = Entry {
        file: FileEntry {
            number: name.number,
            stamp: None,
        },
        executable: None,
        file_bytes: name.file_bytes(),
    };
    model.entries.push((key, entry));
    assert_eq!(index.insert(&name, None), replaced);
}

fn step(random: &mut fastrand::Rng, index: &mut Index, model: &mut Model) {
    let key = key(random);
    match random.u8(..12) {
        0..=2 => insert(random, index, model, key),
        3..=5 => assert_eq!(index.touch(&key), model.touch(&key)),
        6 => assert_eq!(index.remove(&key), model.remove(&key)),
        7 => {
            let number = index.tick();
            let file = FileEntry {
                number,
                stamp: None,
            };
            let at = model.position(&Key::blob(&key.digest));
            let free = at.filter(|at| model.entries[*at].1.executable.is_none());
            if let Some(at) = free {
                model.entries[at].1.executable = Some(file);
            }
            assert_eq!(index.add_executable(&key.digest, file), free.is_some());
        }
        8 => {
            let Some(at) = model.position(&Key::blob(&key.digest)) else {
                return;
            };
            let key = model.entries[at].0;
            let names: Vec<_> = model.entries[at].1.names(&key).collect();
            let name = *random.choice(&names).unwrap();
            let wrong = Name { number: 0, ..name };
            assert_eq!(index.forget(&wrong), []);
            let gone = index.forget(&name);
            if name.form == Form::Executable {
                model.entries[at].1.executable = None;
                assert_eq!(gone, [name]);
            } else {
                model.entries.remove(at);
                assert_eq!(gone, names);
            }
        }
        9 => {
            index.pin(&key.digest);
            model.pins.push(key.digest);
        }
        10 if model.pins.len() > 12 => {
            let at = random.usize(..model.pins.len());
            index.unpin(&model.pins.swap_remove(at));
        }
        _ => {
            let (goal, looks) = (random.u64(..2_000_000), random.usize(..60));
            let evicted = index.evict(goal, looks);
            assert_eq!(evicted.names, model.evict(goal, looks));
        }
    }
}

#[test]
fn does_what_a_list_does() {
    let mut random = fastrand::Rng::with_seed(SEED);
    let (mut index, mut model) = (Index::new(BLOCK, 0), Model::default());
    for round in 0..ROUNDS {
        step(&mut random, &mut index, &mut model);
        assert_eq!(index.used_bytes(), model.used_bytes(), "round {round}");
        assert_eq!(index.len(), model.entries.len());
        if round % 16 == 0 {
            assert_eq!(order(&index), model.entries, "round {round}");
            let count = |kind| model.entries.iter().filter(|it| it.0.kind == kind).count();
            let twins = model.entries.iter().filter(|it| it.1.executable.is_some());
            let counts = Counts {
                blobs: count(Kind::Blob) as u64,
                executables: twins.count() as u64,
                actions: count(Kind::Action) as u64,
            };
            assert_eq!(index.counts(), counts);
        }
    }
}

/// What a crash leaves of the order is off by few places: each entry is at most as many away as
/// may have been used without being written down.
#[test]
fn the_order_on_disk_is_nearly_that_in_memory() {
    const ENTRIES: u64 = 4000;
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut index = Index::new(BLOCK, 0);
    let mut names = Vec::new();
    let mut written = Vec::new();
    for number in 0..ENTRIES {
        let name = Name {
            digest: Digest::of(DigestFunction::Sha256, &number.to_le_bytes()),
            number: index.tick(),
            form: Form::Plain,
        };
        index.insert(&name, None);
        names.push(name);
    }
    for _ in 0..20 * ENTRIES {
        let name = random.choice(&names).unwrap();
        index.touch(&name.key());
        written.extend(index.take_pending(1));
    }
    let last = crate::uses::LastUses::new(written.iter().copied());
    let mut loaded = Index::new(BLOCK, 0);
    for name in &names {
        loaded.load(name, last.of(name.number));
    }
    loaded.sort();
    let places: HashMap<Key, usize> = order(&loaded)
        .into_iter()
        .enumerate()
        .map(|(at, (key, _))| (key, at))
        .collect();
    let exact = order(&index).into_iter().enumerate();
    let worst = exact.map(|(at, (key, _))| at.abs_diff(places[&key])).max();
    let worst = worst.unwrap() as u64;
    let allowed = 2 * ENTRIES / USE_SKEW_PART;
    assert!(worst <= allowed, "off by {worst} of {ENTRIES}");
    let (mut kept, mut next) = (0, Some(0));
    while let Some(from) = next {
        let (part, further) = index.recorded(from, 1000);
        (kept, next) = (kept + part.len() as u64, further);
    }
    assert!(kept > 0 && kept <= ENTRIES);
}

/// Entries that are used all the time are not written down all the time.
#[test]
fn hot_entries_cost_no_writing() {
    let mut index = Index::new(BLOCK, 0);
    let mut names = Vec::new();
    for number in 0..1000_u64 {
        let name = Name {
            digest: Digest::of(DigestFunction::Sha256, &number.to_le_bytes()),
            number: index.tick(),
            form: Form::Plain,
        };
        index.insert(&name, None);
        names.push(name);
    }
    let mut written = 0;
    for round in 0..100_000 {
        index.touch(&names[round % 50].key());
        written += index.take_pending(1).len();
    }
    assert!(written <= 50, "{written} records");
}

/// Most bytes of memory for an entry, what is reserved but was never used left out.
const ENTRY_BYTES_MAX: usize = 112;

/// A store of millions of blobs must not make a large process, nor one in which they come and go.
#[test]
fn an_entry_takes_little_memory() {
    const ENTRIES: usize = 100_000;
    let mut index = Index::new(BLOCK, 0);
    for round in 0..5 {
        while index.len() < ENTRIES {
            let number = index.tick();
            let name = Name {
                digest: Digest::of(DigestFunction::Blake3, &number.to_le_bytes()),
                number,
                form: Form::Plain,
            };
            index.insert(&name, None);
        }
        let slots = size_of_val(index.slots.as_slice());
        let bytes = slots + index.places.allocation_size();
        assert!(
            bytes <= ENTRIES * ENTRY_BYTES_MAX,
            "{bytes} in round {round}"
        );
        index.evict(index.used_bytes() / 2, usize::MAX);
    }
}
