//! Hands events to watchers: `farcc run`, `farcc top`.
//!
//! A watcher has a queue of bounded length. One that does not keep up is dropped; the agent never waits for it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use wire::event::{Event, EventKind};
use wire::frame;

/// Most events that wait for one watcher: some for each job of the largest builds.
const QUEUED_EVENTS_MAX: usize = 100_000;

/// All watchers.
#[derive(Debug, Default)]
pub(crate) struct Watchers(RefCell<Vec<Watcher>>);

#[derive(Debug)]
struct Watcher {
    /// Only jobs of this run, if given.
    run: Option<String>,
    queue: mpsc::Sender<Rc<[u8]>>,
}

impl Watchers {
    /// Adds a watcher. Its events are whole frames; the stream ends if it is too slow.
    pub(crate) fn add(&self, run: Option<String>) -> mpsc::Receiver<Rc<[u8]>> {
        let (queue, events) = mpsc::channel(QUEUED_EVENTS_MAX);
        self.0.borrow_mut().push(Watcher { run, queue });
        events
    }

    /// Lets all watchers go: they see the end of their stream after what was told so far.
    pub(crate) fn dismiss(&self) {
        self.0.borrow_mut().clear();
    }

    /// Tells everybody.
    pub(crate) fn emit(&self, job: u64, run: Option<&str>, kind: EventKind) {
        let mut watchers = self.0.borrow_mut();
        if watchers.is_empty() {
            return;
        }
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let time_ms = since_1970.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(0));
        let event = Event { time_ms, job, kind };
        let bytes: Rc<[u8]> = frame::encode(&event.to_payload()).into();
        watchers.retain(|watcher| {
            let wanted = watcher.run.is_none() || watcher.run.as_deref() == run;
            !wanted || watcher.queue.try_send(Rc::clone(&bytes)).is_ok()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> EventKind {
        EventKind::Started {
            pid: 1,
            file: "a.c".into(),
        }
    }

    #[test]
    fn a_watcher_gets_the_events_of_its_run() {
        let watchers = Watchers::default();
        let (mut all, mut mine) = (watchers.add(None), watchers.add(Some("r".into())));
        watchers.emit(1, None, started());
        watchers.emit(2, Some("r"), started());
        let job = |bytes: Rc<[u8]>| Event::from_payload(&bytes[4..]).unwrap().job;
        assert_eq!(job(all.try_recv().unwrap()), 1);
        assert_eq!(job(all.try_recv().unwrap()), 2);
        assert_eq!(job(mine.try_recv().unwrap()), 2);
        assert!(mine.try_recv().is_err());
    }

    #[test]
    fn a_slow_watcher_is_dropped() {
        let watchers = Watchers::default();
        let mut slow = watchers.add(None);
        for _ in 0..=QUEUED_EVENTS_MAX {
            watchers.emit(1, None, started());
        }
        assert!(watchers.0.borrow().is_empty());
        let mut events = 0;
        while slow.try_recv().is_ok() {
            events += 1;
        }
        assert_eq!(events, QUEUED_EVENTS_MAX);
    }
}
