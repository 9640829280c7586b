//! The order of use: a list through the index's slots, and how it gets to the disk and back.
//!
//! On disk each entry has a time: its file's number, or that of a later use that was written down
//! (see `uses`). Opening sorts by it; closing writes the exact order.

use super::{Index, NONE, Slot};
use crate::layout::Name;
use crate::uses::Use;

impl Index {
    /// Puts in an entry that was found on disk and is not there yet, last used at `recorded` or
    /// when it came. The order is made by [`sort`](Index::sort) once all are in.
    pub(crate) fn load(&mut self, name: &Name, recorded: u64) {
        self.saw_number(name.number.max(recorded));
        self.add(name, None, recorded.max(name.number));
    }

    /// Makes the order that the disk knows.
    pub(crate) fn sort(&mut self) {
        let mut places: Vec<(u64, u32)> = (0..)
            .zip(&self.slots)
            .filter_map(|(place, slot)| Some((slot.as_ref()?.recorded, place)))
            .collect();
        places.sort_unstable();
        (self.oldest, self.newest) = (NONE, NONE);
        for (_, place) in places {
            self.append(place);
        }
    }

    /// What the disk should know of the order, from part of the slots: of some that begin at
    /// `from`, those that were used since they came. With the place to go on from.
    pub(crate) fn recorded(&self, from: usize, count_max: usize) -> (Vec<Use>, Option<usize>) {
        let end = from.saturating_add(count_max).min(self.slots.len());
        let used = self.slots[from.min(end)..end]
            .iter()
            .flatten()
            .filter(|slot| slot.recorded > slot.file.number)
            .map(|slot| Use {
                number: slot.file.number,
                time: slot.recorded,
            })
            .collect();
        (used, (end < self.slots.len()).then_some(end))
    }

    /// Writes down the exact order: gives every entry a new time.
    pub(crate) fn record_all(&mut self) -> Vec<Use> {
        self.pending.clear();
        let mut all = Vec::with_capacity(self.len());
        let mut place = self.oldest;
        while place != NONE {
            let time = self.tick();
            let slot = self.slot_mut(place);
            slot.recorded = time;
            all.push(Use {
                number: slot.file.number,
                time,
            });
            place = slot.newer;
        }
        all
    }

    pub(super) fn make_newest(&mut self, place: u32) {
        if self.newest != place {
            self.unlink(place);
            self.append(place);
        }
    }

    pub(super) fn append(&mut self, place: u32) {
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

    pub(super) fn unlink(&mut self, place: u32) {
        let Slot { older, newer, .. } = *self.slot(place);
        if older != NONE {
            self.slot_mut(older).newer = newer;
        } else if self.oldest == place {
            self.oldest = newer;
        }
        if newer != NONE {
            self.slot_mut(newer).older = older;
        } else if self.newest == place {
            self.newest = older;
        }
    }
}
