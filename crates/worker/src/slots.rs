//! The right to run a job, as a thing to wait for and to hold.
//!
//! `admission` decides who is next; this wakes who was chosen. A slot is only asked for with a
//! complete request in hand, so a slow client never holds one. Whoever gives up waiting is
//! forgotten at once, and a slot that is dropped goes to the next.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use crate::admission::{Admission, Stop};
use crate::forecast::{Expected, Forecast, Kind};
use crate::limits;
use crate::queue::{Party, Ticket};

/// How often it is looked whether memory has become free by other than the end of a job.
const MEMORY_INTERVAL: Duration = Duration::from_millis(500);

/// For how long it is believed how much memory there is: to ask the kernel costs as much as the rest.
/// What was started since is accounted as what it is expected to need.
const MEMORY_AGE_MAX: Duration = Duration::from_millis(50);

#[derive(Debug)]
struct Inner {
    admission: Admission,
    forecast: Forecast,
    /// Memory that could be had, and when that was looked up.
    available: Option<(Instant, u64)>,
    /// Those who wait.
    wakers: HashMap<Ticket, oneshot::Sender<()>>,
}

/// The slots of a server.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    inner: Rc<RefCell<Inner>>,
    /// Somebody waits for memory.
    lacks_memory: Rc<Notify>,
    /// More or fewer wait or run.
    changed: Rc<Notify>,
    gauges: Arc<Gauges>,
}

/// What other threads may know.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) running: AtomicUsize,
    pub(crate) waiting: AtomicUsize,
    pub(crate) is_draining: AtomicBool,
}

/// A job that wants a slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) party: Party,
    /// Lower is sooner.
    pub(crate) priority: i32,
    pub(crate) kind: Kind,
}

/// The right to run one job, given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    kind: Kind,
    _place: Place,
}

/// A place among the waiting or the running.
#[derive(Debug)]
struct Place {
    slots: Slots,
    ticket: Ticket,
}

/// How many are doing what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) slots: usize,
    pub(crate) running: usize,
    pub(crate) waiting: usize,
}

impl Slots {
    pub(crate) fn new(count: usize, machine_bytes: u64) -> Slots {
        Slots {
            inner: Rc::new(RefCell::new(Inner {
                admission: Admission::new(count, machine_bytes),
                forecast: Forecast::default(),
                available: None,
                wakers: HashMap::new(),
            })),
            lacks_memory: Rc::new(Notify::new()),
            changed: Rc::new(Notify::new()),
            gauges: Arc::default(),
        }
    }

    /// The counts, and whether the server stops, for other threads.
    pub(crate) fn gauges(&self) -> &Arc<Gauges> {
        &self.gauges
    }

    pub(crate) fn counts(&self) -> Counts {
        let inner = self.inner.borrow();
        Counts {
            slots: inner.admission.slots(),
            running: inner.admission.running(),
            waiting: inner.admission.waiting(),
        }
    }

    /// Waits for a slot.
    pub(crate) async fn take(&self, wish: Wish) -> Slot {
        let (waker, woken) = oneshot::channel();
        let ticket = {
            let inner = &mut *self.inner.borrow_mut();
            let expected = inner.forecast.expect(wish.kind);
            let ticket = inner.admission.push(wish.party, wish.priority, expected);
            inner.wakers.insert(ticket, waker);
            ticket
        };
        let place = Place {
            slots: self.clone(),
            ticket,
        };
        self.hand_out();
        // The sender lives as long as the place is waiting.
        let _started = woken.await;
        Slot {
            kind: wish.kind,
            _place: place,
        }
    }

    /// Looks from time to time whether there is enough memory for those who wait for it; for as
    /// long as the server runs.
    pub(crate) async fn watch_memory(&self) {
        loop {
            self.lacks_memory.notified().await;
            tokio::time::sleep(MEMORY_INTERVAL).await;
            self.hand_out();
        }
    }

    /// Starts whoever may start.
    fn hand_out(&self) {
        self.start_all();
        let counts = self.counts();
        self.gauges.running.store(counts.running, Ordering::Relaxed);
        self.gauges.waiting.store(counts.waiting, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Returns when others wait or run than the last time. For one task.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn start_all(&self) {
        let inner = &mut *self.inner.borrow_mut();
        let now = Instant::now();
        loop {
            let known = inner.available;
            let known = known.filter(|(since, _)| now.duration_since(*since) < MEMORY_AGE_MAX);
            let bytes = || {
                let known = known.unwrap_or_else(|| (now, limits::available_bytes()));
                inner.available = Some(known);
                known.1
            };
            match inner.admission.start_next(now, bytes) {
                Ok(ticket) => {
                    if let Some(waker) = inner.wakers.remove(&ticket) {
                        // Whoever is gone gives its place back itself.
                        let _gone = waker.send(());
                    }
                }
                Err(Stop::Memory) => {
                    self.lacks_memory.notify_one();
                    return;
                }
                Err(Stop::Empty | Stop::Slots) => return,
            }
        }
    }
}

impl Slot {
    /// Remembers what this job took, for the next of its kind.
    pub(crate) fn learn(&self, memory_bytes: u64, time: Duration) {
        let seen = Expected { memory_bytes, time };
        let slots = &self._place.slots;
        slots.inner.borrow_mut().forecast.learn(self.kind, seen);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        {
            let inner = &mut *self.slots.inner.borrow_mut();
            inner.wakers.remove(&self.ticket);
            inner.admission.leave(self.ticket);
        }
        self.slots.hand_out();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn wish(build: &str) -> Wish {
        Wish {
            party: Party::new(None, build),
            priority: 0,
            kind: Kind::new("cc", "a.c"),
        }
    }

    #[test]
    fn slots_are_given_in_turn_and_back() {
        let slots = Slots::new(1, 0);
        let mut context = Context::from_waker(Waker::noop());
        let mut first = Box::pin(slots.take(wish("a")));
        let mut second = Box::pin(slots.take(wish("a")));
        let mut third = pin!(slots.take(wish("b")));
        let std::task::Poll::Ready(slot) = first.as_mut().poll(&mut context) else {
            panic!("a free slot is not given")
        };
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert!(third.as_mut().poll(&mut context).is_pending());
        let counts = slots.counts();
        assert_eq!((counts.slots, counts.running, counts.waiting), (1, 1, 2));
        drop(second);
        assert_eq!(slots.counts().waiting, 1);
        drop(slot);
        assert!(third.as_mut().poll(&mut context).is_ready());
        drop(first);
        assert_eq!(slots.counts().waiting, 0);
    }

    #[test]
    fn a_slot_for_somebody_who_is_gone_goes_on() {
        let slots = Slots::new(1, 0);
        let mut context = Context::from_waker(Waker::noop());
        let mut first = Box::pin(slots.take(wish("a")));
        let slot = first.as_mut().poll(&mut context);
        let mut second = Box::pin(slots.take(wish("a")));
        let mut third = Box::pin(slots.take(wish("a")));
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert!(third.as_mut().poll(&mut context).is_pending());
        drop(slot);
        // It has been told, but never looked.
        drop(second);
        assert!(third.as_mut().poll(&mut context).is_ready());
    }
}
