//! Which macros are read and which are given another meaning while headers are visited.
//!
//! A visit depends on the macros that were read in it before it changed them itself, and does to others what it left
//! them as. Every read and every change is an event on a list; a visit is a stretch of it. An event is left out when the
//! innermost visit has one of the kind for that name already, so that the list is about as long as there are macros in
//! the visits, not as often as these are looked at.

use crate::limits::LOG_EVENTS_MAX;
use crate::names::Name;
use crate::stamps::Stamps;
use crate::state::Binding;

#[derive(Debug, Clone, Copy)]
struct Event {
    name: Name,
    /// What was read; `None` for a change.
    read: Option<Binding>,
}

/// Macros with what they stand for.
pub(crate) type Bindings = Vec<(Name, Binding)>;

/// Positions of the last events for a name, 0 for none.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    any: u32,
    change: u32,
}

/// The list of events. Positions count through all scans, so that those of earlier ones are seen to be old.
#[derive(Debug, Default)]
pub(crate) struct MacroLog {
    events: Vec<Event>,
    last: Vec<Last>,
    /// Position of the first event of the list.
    base: u32,
    /// Position where the innermost visit starts; nothing is listed outside visits.
    floor: Option<u32>,
    full: bool,
    /// For [`Self::since`]: names seen, and names seen to change.
    seen: (Stamps, Stamps),
}

/// Where a visit starts, and the one around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    event: usize,
    around: Option<u32>,
}

impl MacroLog {
    /// Starts a scan.
    pub(crate) fn clear(&mut self) {
        self.base = self.position();
        if self.base > u32::MAX / 2 {
            self.base = 0;
            self.last.fill(Last::default());
        }
        self.events.clear();
        self.floor = None;
        self.full = false;
    }

    fn position(&self) -> u32 {
        self.base + u32::try_from(self.events.len()).expect("bounded by LOG_EVENTS_MAX")
    }

    /// Starts a visit.
    pub(crate) fn start(&mut self) -> Mark {
        let around = self.floor.replace(self.position());
        Mark {
            event: self.events.len(),
            around,
        }
    }

    /// Ends a visit.
    pub(crate) fn end(&mut self, mark: Mark) {
        self.floor = mark.around;
    }

    /// Whether events are missing.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// A macro was looked at.
    pub(crate) fn read(&mut self, name: Name, binding: Binding) {
        let Some(floor) = self.floor else { return };
        if let Some(last) = self.last.get_mut(name.0 as usize)
            && last.any > floor
        {
            return;
        }
        self.push(name, Some(binding));
    }

    /// A macro was given another meaning.
    pub(crate) fn change(&mut self, name: Name) {
        let Some(floor) = self.floor else { return };
        if let Some(last) = self.last.get_mut(name.0 as usize)
            && last.change > floor
        {
            return;
        }
        self.push(name, None);
    }

    fn push(&mut self, name: Name, read: Option<Binding>) {
        if self.events.len() >= LOG_EVENTS_MAX {
            self.full = true;
            return;
        }
        self.events.push(Event { name, read });
        let position = self.position();
        let index = name.0 as usize;
        if index >= self.last.len() {
            self.last.resize(index + index / 4 + 1, Last::default());
        }
        let last = &mut self.last[index];
        last.any = position;
        if read.is_none() {
            last.change = position;
        }
    }

    /// What was read since a mark before it was changed, with what was read; and what was changed, with what `now` says.
    pub(crate) fn since(
        &mut self,
        mark: Mark,
        now: impl Fn(Name) -> Binding,
    ) -> (Bindings, Bindings) {
        let (seen, changed) = &mut self.seen;
        seen.clear();
        changed.clear();
        let events = &self.events[mark.event..];
        let mut reads = Vec::with_capacity(events.len());
        let mut changes = Vec::with_capacity(events.len());
        for event in events {
            let is_new = seen.insert(event.name.0);
            match event.read {
                Some(binding) if is_new => reads.push((event.name, binding)),
                None if changed.insert(event.name.0) => changes.push((event.name, now(event.name))),
                _ => {}
            }
        }
        (reads, changes)
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.events.capacity() * size_of::<Event>() + self.last.len() * 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parsed::DefId;

    #[test]
    fn a_visit_depends_on_what_it_reads_before_it_changes_it() {
        let (a, b, c) = (Name(1), Name(2), Name(3));
        let (one, two) = (Binding::def(DefId(1)), Binding::def(DefId(2)));
        let mut log = MacroLog::default();
        log.read(a, one);
        let outer = log.start();
        log.read(a, one);
        log.change(b);
        let inner = log.start();
        log.read(a, one);
        log.read(a, one);
        log.read(b, one);
        log.change(c);
        assert_eq!(
            log.since(inner, |_| two),
            (vec![(a, one), (b, one)], vec![(c, two)])
        );
        log.end(inner);
        log.read(c, one);
        log.change(a);
        assert_eq!(
            log.since(outer, |_| two),
            (vec![(a, one)], vec![(b, two), (c, two), (a, two)])
        );
        log.end(outer);
        log.clear();
        let next = log.start();
        log.read(a, Binding::UNDEFINED);
        assert_eq!(
            log.since(next, |_| two),
            (vec![(a, Binding::UNDEFINED)], vec![])
        );
    }
}
