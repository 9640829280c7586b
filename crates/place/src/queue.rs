//! Waiting jobs in the order in which they should be taken.
//!
//! Expensive jobs should start first, since a long compile that starts last makes everybody wait; but strictly so, a
//! cheap job could wait for ever. So cost buys places: each doubling of the estimated bytes moves a job
//! [`PLACES_PER_DOUBLING`] arrivals ahead. A job can only be overtaken by jobs that arrive within the next
//! `OVERTAKEN_MAX` numbers; equal costs are first come, first served.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

use crate::JobId;

/// How many places ahead a job goes for each doubling of its cost.
const PLACES_PER_DOUBLING: u64 = 256;

/// By how many places a job can be overtaken at most: 64 doublings.
#[cfg(test)]
const OVERTAKEN_MAX: u64 = 64 * PLACES_PER_DOUBLING;

/// What jobs have in common that find a slot, or none, at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// They may use the hosts of the list at this address (`hosts_of`: equal lists have one), and as many preprocessors.
    Of { list: usize, preprocess_slots: u32 },
    /// Nothing: such a job has to look by itself.
    Own,
}

/// A queue of jobs.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    order: BTreeMap<(u64, JobId), Kind>,
    /// How many jobs there are of each kind.
    kinds: BTreeMap<Kind, usize>,
}

/// Rank of a job: lower goes first. All ranks are shifted by the greatest possible bonus to stay positive.
fn rank(id: JobId, cost: u64) -> u64 {
    let doublings = cost.checked_ilog2().map_or(0, u64::from);
    // Between two powers of two the bonus grows linearly.
    let rest = cost.saturating_sub(1 << doublings);
    let part = u128::from(rest) * u128::from(PLACES_PER_DOUBLING) / (1_u128 << doublings);
    let bonus = doublings * PLACES_PER_DOUBLING + u64::try_from(part).unwrap_or(0);
    (id.0 + 65 * PLACES_PER_DOUBLING).saturating_sub(bonus)
}

impl Queue {
    /// Puts a job in that is in no queue.
    pub(crate) fn insert(&mut self, id: JobId, cost: u64, kind: Kind) {
        self.order.insert((rank(id, cost), id), kind);
        *self.kinds.entry(kind).or_default() += 1;
    }

    /// Removes a job; `cost` is what it was inserted with.
    pub(crate) fn remove(&mut self, id: JobId, cost: u64) {
        let Some(kind) = self.order.remove(&(rank(id, cost), id)) else {
            return;
        };
        if let Entry::Occupied(mut count) = self.kinds.entry(kind) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// All jobs, the next one first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = JobId> {
        self.order.keys().map(|(_, id)| *id)
    }

    /// The first job behind `after`, or of all, that is of none of these kinds.
    pub(crate) fn next_but(
        &self,
        after: Option<(u64, JobId)>,
        kinds: &[Kind],
    ) -> Option<(u64, JobId)> {
        // Usually all are of one kind: whoever looks through hundreds of them finds nobody.
        if self.kinds.keys().all(|kind| kinds.contains(kind)) {
            return None;
        }
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut behind = self.order.range((start, Bound::Unbounded));
        behind
            .find(|(_, kind)| !kinds.contains(kind))
            .map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(jobs: &[(u64, u64)]) -> Vec<u64> {
        let mut queue = Queue::default();
        for (id, cost) in jobs {
            queue.insert(JobId(*id), *cost, Kind::Own);
        }
        queue.iter().map(|id| id.0).collect()
    }

    #[test]
    fn equal_costs_go_by_arrival() {
        assert_eq!(order(&[(2, 5), (1, 5), (3, 5)]), [1, 2, 3]);
        assert_eq!(order(&[(2, 0), (1, 0)]), [1, 2]);
    }

    #[test]
    fn expensive_jobs_go_first() {
        assert_eq!(order(&[(1, 1000), (2, 4_000_000), (3, 2000)]), [2, 3, 1]);
    }

    #[test]
    fn kinds_can_be_passed_over() {
        let kind = |list| Kind::Of {
            list,
            preprocess_slots: 1,
        };
        let mut queue = Queue::default();
        for (id, kind) in [(1, kind(7)), (2, kind(7)), (3, Kind::Own), (4, kind(8))] {
            queue.insert(JobId(id), 0, kind);
        }
        let next = |after, kinds: &[Kind]| queue.next_but(after, kinds).map(|key| key.1.0);
        let first = queue.next_but(None, &[]);
        assert_eq!(first.map(|key| key.1), Some(JobId(1)));
        assert_eq!(next(first, &[]), Some(2));
        assert_eq!(next(first, &[kind(7)]), Some(3));
        assert_eq!(next(queue.next_but(first, &[kind(7)]), &[kind(7)]), Some(4));
        assert_eq!(
            next(queue.next_but(first, &[kind(7)]), &[kind(7), kind(8)]),
            None
        );
    }

    #[test]
    fn kinds_that_have_left_are_not_looked_for() {
        let kind = Kind::Of {
            list: 7,
            preprocess_slots: 1,
        };
        let mut queue = Queue::default();
        queue.insert(JobId(1), 0, kind);
        queue.insert(JobId(2), 5, kind);
        queue.insert(JobId(3), 0, Kind::Own);
        queue.remove(JobId(3), 0);
        assert_eq!(queue.next_but(None, &[kind]), None);
        queue.remove(JobId(1), 0);
        assert_eq!(queue.next_but(None, &[]).map(|key| key.1), Some(JobId(2)));
        queue.remove(JobId(2), 5);
        assert!(queue.is_empty() && queue.kinds.is_empty());
    }

    #[test]
    fn nobody_is_overtaken_for_ever() {
        assert!(rank(JobId(1), 0) < rank(JobId(2 + OVERTAKEN_MAX), u64::MAX));
        assert!(rank(JobId(1), 0) > rank(JobId(1000), u64::MAX));
    }
}
