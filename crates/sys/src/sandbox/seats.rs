//! What a job gets for its time and gives back: a network namespace and, where there are some, a
//! control group. Both cost the kernel more to make than all the rest of a job.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::groups::{Group, Groups};
use super::networks;

/// What belongs to one job at a time.
#[derive(Debug)]
pub(super) struct Seat {
    network: File,
    pub(super) group: Option<Group>,
}

/// Of the spawner, which is in the network namespace of the job that it starts next.
#[derive(Debug)]
pub(super) struct Seats {
    free: Vec<Seat>,
    /// With the job's first process.
    lent: Vec<(OwnedFd, Seat)>,
    groups: Option<Groups>,
}

impl Seats {
    pub(super) fn new(groups: Option<Groups>) -> Seats {
        Seats {
            free: Vec::new(),
            lent: Vec::new(),
            groups,
        }
    }

    /// Takes one that nobody uses. Children started now are in its network namespace.
    pub(super) fn take(&mut self) -> io::Result<Seat> {
        self.take_back();
        while let Some(seat) = self.free.pop() {
            if self.is_clean(&seat) && networks::enter(&seat.network) {
                return Ok(seat);
            }
            if let (Some(groups), Some(group)) = (&self.groups, &seat.group) {
                groups.remove(group);
            }
        }
        Ok(Seat {
            network: networks::create()?,
            group: self.groups.as_mut().map(Groups::make).transpose()?,
        })
    }

    fn is_clean(&self, seat: &Seat) -> bool {
        match (&self.groups, &seat.group) {
            (Some(groups), Some(group)) => groups.is_clean(group),
            _ => true,
        }
    }

    /// Notes that a seat belongs to a job until its first process, which is the last to go, is
    /// dead.
    pub(super) fn lend(&mut self, seat: Seat, process: &OwnedFd) {
        // One that cannot be followed is given up.
        if let Ok(process) = process.try_clone() {
            self.lent.push((process, seat));
        }
    }

    /// Collects the seats of jobs that are over.
    fn take_back(&mut self) {
        const NO_TIME: Timespec = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let is_over: Vec<bool> = {
            let processes = self.lent.iter().map(|(process, _)| process);
            let mut polled: Vec<_> = processes
                .map(|process| PollFd::new(process, PollFlags::IN))
                .collect();
            if poll(&mut polled, Some(&NO_TIME)).is_err() {
                return;
            }
            polled.iter().map(|one| !one.revents().is_empty()).collect()
        };
        let lent = std::mem::take(&mut self.lent);
        for ((process, seat), is_over) in lent.into_iter().zip(is_over) {
            if is_over {
                self.free.push(seat);
            } else {
                self.lent.push((process, seat));
            }
        }
    }
}
