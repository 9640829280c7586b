//! Which waiting job may start now.
//!
//! A job needs a free slot, and it must be expected to fit into memory: a machine that swaps, or
//! kills compilers, is slower than one with idle slots. What is free is what the kernel calls
//! available, less what the running jobs are still going to take: of a job that is expected to
//! need a gigabyte in ten seconds, half is assumed to be taken, and so gone from what is available,
//! after five.
//!
//! One job may always run, whatever it is expected to need. A job that does not fit lets others
//! pass it, but not for ever: after [`PASSES_MAX`] nobody starts before it does.
//!
//! Pure: clock and memory are told.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::forecast::Expected;
use crate::queue::{Party, Queue, Ticket};

/// Jobs that may start before one that waits for memory.
const PASSES_MAX: usize = 16;

/// Part of the machine's memory that is kept free: one in this many.
const RESERVE_PART: u64 = 20;

/// A running job.
#[derive(Debug)]
struct Running {
    party: Party,
    expected: Expected,
    since: Instant,
}

impl Running {
    /// Memory that it is going to take but has not yet.
    fn outstanding_bytes(&self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.since);
        let rest = self.expected.time.saturating_sub(age);
        part_of(self.expected.memory_bytes, rest, self.expected.time)
    }
}

/// What part of an amount belongs to a part of a time.
fn part_of(bytes: u64, part: Duration, whole: Duration) -> u64 {
    if whole.is_zero() {
        return 0;
    }
    let bytes = u128::from(bytes) * part.as_micros() / whole.as_micros().max(1);
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Why nobody starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Nobody waits.
    Empty,
    /// All slots are taken.
    Slots,
    /// There is not enough memory for the next.
    Memory,
}

/// Waiting and running jobs.
#[derive(Debug)]
pub(crate) struct Admission {
    slots: usize,
    reserve_bytes: u64,
    queue: Queue<Expected>,
    running: HashMap<Ticket, Running>,
    /// Who waits for memory, and how many passed it.
    held: Option<(Ticket, usize)>,
}

impl Admission {
    pub(crate) fn new(slots: usize, machine_bytes: u64) -> Admission {
        Admission {
            slots,
            reserve_bytes: machine_bytes / RESERVE_PART,
            queue: Queue::default(),
            running: HashMap::new(),
            held: None,
        }
    }

    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// A job comes.
    pub(crate) fn push(&mut self, party: Party, priority: i32, expected: Expected) -> Ticket {
        self.queue.push(party, priority, expected)
    }

    /// A job leaves, whether it runs or waits.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        match self.running.remove(&ticket) {
            Some(running) => self.queue.end(running.party),
            None => drop(self.queue.cancel(ticket)),
        }
        if self.held.is_some_and(|(held, _)| held == ticket) {
            self.held = None;
        }
    }

    /// Starts the next job that may. `available_bytes` is only asked for if it matters.
    pub(crate) fn start_next(
        &mut self,
        now: Instant,
        available_bytes: impl FnOnce() -> u64,
    ) -> Result<Ticket, Stop> {
        if self.queue.len() == 0 {
            return Err(Stop::Empty);
        }
        if self.running.len() >= self.slots {
            return Err(Stop::Slots);
        }
        let free_bytes = match self.running.len() {
            0 => u64::MAX,
            _ => available_bytes()
                .saturating_sub(self.reserve_bytes)
                .saturating_sub(self.outstanding_bytes(now)),
        };
        let (ticket, expected) = self.choose(free_bytes).ok_or(Stop::Memory)?;
        let (party, _) = self.queue.start(ticket).ok_or(Stop::Empty)?;
        let since = now;
        let running = Running {
            party,
            expected,
            since,
        };
        self.running.insert(ticket, running);
        Ok(ticket)
    }

    fn outstanding_bytes(&self, now: Instant) -> u64 {
        let jobs = self.running.values();
        jobs.map(|job| job.outstanding_bytes(now)).sum()
    }

    /// The first job that fits, if it may pass those before it.
    fn choose(&mut self, free_bytes: u64) -> Option<(Ticket, Expected)> {
        let fits = |(_, expected): &(Ticket, &Expected)| expected.memory_bytes <= free_bytes;
        let mut candidates = self.queue.candidates().peekable();
        let (first, _) = *candidates.peek()?;
        let must_be = match self.held {
            Some((held, PASSES_MAX..)) => Some(held),
            _ => None,
        };
        let (ticket, expected) = candidates
            .find(|candidate| must_be.is_none_or(|held| candidate.0 == held) && fits(candidate))
            .map(|(ticket, expected)| (ticket, *expected))
            .or_else(|| {
                self.held.get_or_insert((first, 0));
                None
            })?;
        match &mut self.held {
            Some((held, _)) if *held == ticket => self.held = None,
            Some((_, passes)) => *passes += 1,
            None if ticket != first => self.held = Some((first, 1)),
            None => {}
        }
        Some((ticket, expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn admission(slots: usize) -> Admission {
        Admission::new(slots, 0)
    }

    fn party(build: &str) -> Party {
        Party::new(None, build)
    }

    fn expected(gib: u64, seconds: u64) -> Expected {
        Expected {
            memory_bytes: gib * GIB,
            time: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn slots_bound_what_runs() {
        let mut admission = admission(2);
        let now = Instant::now();
        let tickets: Vec<_> = (0..3)
            .map(|_| admission.push(party(""), 0, expected(0, 1)))
            .collect();
        let mut next = || admission.start_next(now, || GIB);
        assert_eq!(next(), Ok(tickets[0]));
        assert_eq!(next(), Ok(tickets[1]));
        assert_eq!(next(), Err(Stop::Slots));
        admission.leave(tickets[0]);
        assert_eq!(admission.start_next(now, || GIB), Ok(tickets[2]));
        assert_eq!(admission.start_next(now, || GIB), Err(Stop::Empty));
        assert_eq!((admission.running(), admission.waiting()), (2, 0));
    }

    #[test]
    fn one_runs_whatever_it_needs_and_the_next_waits_for_memory() {
        let mut admission = admission(4);
        let start = Instant::now();
        let big = admission.push(party(""), 0, expected(100, 10));
        let next = admission.push(party(""), 0, expected(2, 10));
        assert_eq!(admission.start_next(start, || GIB), Ok(big));
        assert_eq!(admission.start_next(start, || GIB), Err(Stop::Memory));
        // Most of what the first needs it has taken by now, as the kernel tells too.
        let later = start + Duration::from_secs(9);
        assert_eq!(admission.start_next(later, || 12 * GIB), Ok(next));
    }

    #[test]
    fn what_does_not_fit_is_passed_but_not_for_ever() {
        let mut admission = admission(4);
        let now = Instant::now();
        let first = admission.push(party("a"), 0, expected(1, 1));
        assert_eq!(admission.start_next(now, || 4 * GIB), Ok(first));
        let big = admission.push(party("b"), 0, expected(8, 1));
        assert_eq!(admission.start_next(now, || 4 * GIB), Err(Stop::Memory));
        for _ in 0..PASSES_MAX {
            let small = Party::new(Some(std::net::Ipv4Addr::LOCALHOST.into()), "c");
            let small = admission.push(small, 0, expected(1, 1));
            assert_eq!(admission.start_next(now, || 4 * GIB), Ok(small));
            admission.leave(small);
        }
        admission.push(
            Party::new(Some(std::net::Ipv4Addr::LOCALHOST.into()), "c"),
            0,
            expected(1, 1),
        );
        assert_eq!(admission.start_next(now, || 4 * GIB), Err(Stop::Memory));
        admission.leave(first);
        assert_eq!(admission.start_next(now, || 4 * GIB), Ok(big));
        admission.leave(big);
        assert!(admission.start_next(now, || 4 * GIB).is_ok());
    }

    #[test]
    fn who_waits_for_memory_and_leaves_holds_nobody() {
        let mut admission = admission(4);
        let now = Instant::now();
        let first = admission.push(party(""), 0, expected(1, 1));
        assert_eq!(admission.start_next(now, || 0), Ok(first));
        let big = admission.push(party(""), 0, expected(8, 1));
        let small = admission.push(party(""), 0, expected(1, 1));
        assert_eq!(admission.start_next(now, || 4 * GIB), Err(Stop::Memory));
        admission.leave(big);
        assert_eq!(admission.start_next(now, || 4 * GIB), Ok(small));
    }
}
