//! Which jobs may use the same hosts.
//!
//! Where one job finds every slot taken, so does each other that may use the same hosts, and it need not look. Every job
//! brings a list of its own, so lists are compared by what is in them; in which order a job likes its hosts makes no
//! difference for that.

use std::collections::HashSet;
use std::sync::Arc;

use crate::Candidate;

/// As many lists are kept to be compared with at most; who brings more has jobs that look for themselves.
const LISTS_MAX: usize = 64;

/// The hosts that a job may use, ordered by number. Equal ones are one and the same, as long as a job has them.
pub(crate) type HostsOf = Arc<[Candidate]>;

/// All lists that waiting jobs have.
#[derive(Debug, Default)]
pub(crate) struct Lists(HashSet<HostsOf>);

impl Lists {
    /// What a job that brings this list has in common with others.
    pub(crate) fn of(&mut self, candidates: &Arc<[Candidate]>) -> HostsOf {
        let by_host = |candidate: &Candidate| candidate.host;
        let ordered = if candidates.is_sorted_by_key(by_host) {
            Arc::clone(candidates)
        } else {
            let mut ordered = candidates.to_vec();
            ordered.sort_by_key(by_host);
            ordered.into()
        };
        if let Some(known) = self.0.get(&ordered) {
            return Arc::clone(known);
        }
        if self.0.len() >= LISTS_MAX {
            self.0.retain(|list| Arc::strong_count(list) > 1);
        }
        if self.0.len() < LISTS_MAX {
            self.0.insert(Arc::clone(&ordered));
        }
        ordered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HostId;

    fn list(hosts: &[u32]) -> Arc<[Candidate]> {
        let candidate = |host: &u32| Candidate {
            host: HostId(*host),
            slots: 4,
        };
        hosts.iter().map(candidate).collect()
    }

    #[test]
    fn lists_of_the_same_hosts_are_one() {
        let mut lists = Lists::default();
        let one = lists.of(&list(&[1, 2, 3]));
        assert!(Arc::ptr_eq(&one, &lists.of(&list(&[1, 2, 3]))));
        assert!(Arc::ptr_eq(&one, &lists.of(&list(&[3, 1, 2]))));
        assert!(!Arc::ptr_eq(&one, &lists.of(&list(&[1, 2]))));
    }

    #[test]
    fn what_no_job_has_makes_room() {
        let mut lists = Lists::default();
        let kept: Vec<HostsOf> = (0..40).map(|host| lists.of(&list(&[host]))).collect();
        for host in 100..1000 {
            lists.of(&list(&[host]));
            assert!(lists.0.len() <= LISTS_MAX);
        }
        for (host, known) in (0..).zip(&kept) {
            assert!(Arc::ptr_eq(known, &lists.of(&list(&[host]))));
        }
    }
}
