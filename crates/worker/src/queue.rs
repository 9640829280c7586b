//! In which order waiting jobs get slots.
//!
//! Problem: a client with a thousand waiting jobs must not make another one with a single job wait
//! for all of them. Way taken: the next slot belongs to the address that has the fewest running
//! jobs, among equals to the one that was served least recently; within an address the same between
//! its builds, and within a build the client's own priority and then the order of arrival. So slots
//! are shared equally between those who want them, whoever came first, and nobody waits for ever.
//!
//! A build's name is the client's own word: by inventing names it only competes with itself.
//!
//! This does not know how many slots there are, nor whether a job fits (`admission`).

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

/// Whose jobs are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Party {
    /// `None`: whoever started this process.
    address: Option<IpAddr>,
    /// A build's name, hashed: its length is the client's choice.
    build: u64,
}

impl Party {
    pub(crate) fn new(address: Option<IpAddr>, build: &str) -> Party {
        let mut hasher = DefaultHasher::new();
        build.hash(&mut hasher);
        Party {
            address: address.map(|address| address.to_canonical()),
            build: hasher.finish(),
        }
    }
}

/// The name of one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// How much somebody has and when it last got something: who is less gets more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Served {
    running: usize,
    last: u64,
}

#[derive(Debug)]
struct Build<T> {
    served: Served,
    /// By the client's priority (lower is sooner), then in the order of arrival.
    waiting: BTreeMap<(i32, Ticket), T>,
}

#[derive(Debug)]
struct Address<T> {
    served: Served,
    builds: HashMap<u64, Build<T>>,
}

/// The waiting jobs, and how many are running of whom.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    addresses: HashMap<Option<IpAddr>, Address<T>>,
    places: HashMap<Ticket, (Party, i32)>,
    next: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue {
            addresses: HashMap::new(),
            places: HashMap::new(),
            next: 0,
        }
    }
}

impl<T> Queue<T> {
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Adds a job.
    pub(crate) fn push(&mut self, party: Party, priority: i32, job: T) -> Ticket {
        let ticket = Ticket(self.tick());
        let address = self.addresses.entry(party.address);
        let address = address.or_insert_with(|| Address {
            served: Served::default(),
            builds: HashMap::new(),
        });
        let build = address.builds.entry(party.build).or_insert_with(|| Build {
            served: Served::default(),
            waiting: BTreeMap::new(),
        });
        build.waiting.insert((priority, ticket), job);
        self.places.insert(ticket, (party, priority));
        ticket
    }

    /// The next job of each address, in the order in which they should get slots.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = (Ticket, &T)> {
        let mut heads: Vec<_> = self
            .addresses
            .values()
            .filter_map(|address| {
                let builds = address.builds.values();
                let waiting = builds.filter(|build| !build.waiting.is_empty());
                // Served at the same time only if never: then the first to come.
                let first = waiting.min_by_key(|build| (build.served, build.waiting.keys().next()));
                let (&(_, ticket), job) = first?.waiting.first_key_value()?;
                Some((address.served, ticket, job))
            })
            .collect();
        heads.sort_unstable_by_key(|(served, ticket, _)| (*served, *ticket));
        heads.into_iter().map(|(_, ticket, job)| (ticket, job))
    }

    /// A job gets a slot.
    pub(crate) fn start(&mut self, ticket: Ticket) -> Option<(Party, T)> {
        let (party, priority) = self.places.remove(&ticket)?;
        let now = self.tick();
        let address = self.addresses.get_mut(&party.address)?;
        let build = address.builds.get_mut(&party.build)?;
        let job = build.waiting.remove(&(priority, ticket))?;
        for served in [&mut address.served, &mut build.served] {
            served.running += 1;
            served.last = now;
        }
        Some((party, job))
    }

    /// A running job has ended.
    pub(crate) fn end(&mut self, party: Party) {
        if let Some(address) = self.addresses.get_mut(&party.address) {
            address.served.running = address.served.running.saturating_sub(1);
            if let Some(build) = address.builds.get_mut(&party.build) {
                build.served.running = build.served.running.saturating_sub(1);
            }
        }
        self.forget(party);
    }

    /// A waiting job waits no longer.
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> Option<T> {
        let (party, priority) = self.places.remove(&ticket)?;
        let address = self.addresses.get_mut(&party.address)?;
        let build = address.builds.get_mut(&party.build)?;
        let job = build.waiting.remove(&(priority, ticket));
        self.forget(party);
        job
    }

    /// Whoever has nothing here any more is not remembered.
    fn forget(&mut self, party: Party) {
        let Some(address) = self.addresses.get_mut(&party.address) else {
            return;
        };
        let is_done = |build: &Build<T>| build.served.running == 0 && build.waiting.is_empty();
        if address.builds.get(&party.build).is_some_and(is_done) {
            address.builds.remove(&party.build);
        }
        if address.builds.is_empty() {
            self.addresses.remove(&party.address);
        }
    }

    fn tick(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn party(host: u8, build: &str) -> Party {
        Party::new(Some(Ipv4Addr::new(10, 0, 0, host).into()), build)
    }

    /// Starts the next one and says what it is.
    fn start(queue: &mut Queue<&'static str>) -> (Party, &'static str) {
        let (ticket, _) = queue.candidates().next().expect("somebody waits");
        queue.start(ticket).expect("it is there")
    }

    #[test]
    fn slots_are_shared_equally_between_addresses() {
        let mut queue = Queue::default();
        for _ in 0..100 {
            queue.push(party(1, ""), 0, "many");
        }
        for _ in 0..4 {
            assert_eq!(start(&mut queue).1, "many");
        }
        for _ in 0..3 {
            queue.push(party(2, ""), 0, "few");
        }
        // Four slots, and only jobs of the first end: the other has two of them as soon as it can.
        let mut started = Vec::new();
        for _ in 0..6 {
            queue.end(party(1, ""));
            started.push(start(&mut queue).1);
        }
        assert_eq!(started, ["few", "few", "many", "many", "many", "many"]);
        assert_eq!(queue.len(), 93);
    }

    #[test]
    fn builds_of_one_address_share_its_part() {
        let mut queue = Queue::default();
        for build in ["a", "a", "a", "b"] {
            queue.push(party(1, build), 0, if build == "a" { "a" } else { "b" });
        }
        queue.push(party(2, "c"), 0, "c");
        let order: Vec<_> = (0..5).map(|_| start(&mut queue).1).collect();
        assert_eq!(order, ["a", "c", "b", "a", "a"]);
    }

    #[test]
    fn priorities_count_within_a_build() {
        let mut queue = Queue::default();
        queue.push(party(1, ""), 5, "late");
        queue.push(party(1, ""), 0, "usual");
        queue.push(party(1, ""), -1, "soon");
        queue.push(party(2, ""), 9, "other");
        let order: Vec<_> = (0..4).map(|_| start(&mut queue).1).collect();
        assert_eq!(order, ["soon", "other", "usual", "late"]);
    }

    #[test]
    fn nobody_is_remembered_for_nothing() {
        let mut queue = Queue::default();
        let ticket = queue.push(party(1, "x"), 0, "job");
        assert_eq!(queue.cancel(ticket), Some("job"));
        assert_eq!(queue.cancel(ticket), None);
        assert!(queue.start(ticket).is_none());
        queue.push(party(2, "x"), 0, "job");
        let (who, _) = start(&mut queue);
        queue.end(who);
        assert!(queue.addresses.is_empty() && queue.places.is_empty());
        assert_eq!(queue.candidates().count(), 0);
    }

    #[test]
    fn mapped_addresses_are_the_same_client() {
        let mapped = Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped();
        assert_eq!(Party::new(Some(mapped.into()), ""), party(1, ""));
    }
}
