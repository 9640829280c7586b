//! Runs the scheduler: gives it time, locks the slots it hands out, and carries its commands to the jobs.
//!
//! A slot whose lock file another program holds is given back to the scheduler, which tries another one and comes back
//! to it while jobs wait (`place::FOREIGN_RETRY_US`). Waiting for the lock in the kernel instead would need a thread
//! for each such slot that cannot be called off, and would take slots that nobody needs any more.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::rc::Rc;
use std::time::Duration;

use place::{Command, Event, HostId, JobId, Micros, Placer, WhyHere};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

use crate::host_lists::JobHosts;
use crate::side_log::SideLog;
use crate::slot_locks::{LockDir, Take};

/// What a job has to do next.
#[derive(Debug)]
pub(crate) enum Order {
    /// Preprocess.
    Preprocess,
    /// Connect to the host of this slot, which is the job's.
    Connect {
        /// The host.
        host: HostId,
        /// The slot's number.
        slot: u32,
    },
    /// Compile here.
    RunLocal {
        /// The slot's number.
        slot: u32,
        /// Why here.
        why: WhyHere,
    },
    /// No host can take it and it may not run here.
    GiveUp,
}

/// What the dispatcher needs to know of a job besides what the scheduler knows.
#[derive(Debug)]
pub(crate) struct Needs {
    /// The hosts it may use.
    pub(crate) hosts: Rc<JobHosts>,
    /// Where slots are locked.
    pub(crate) locks: LockDir,
    /// How long a failed host is left alone.
    pub(crate) backoff: Duration,
}

/// The scheduler at work.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    inner: RefCell<Inner>,
    changed: Notify,
    started: Instant,
}

#[derive(Debug)]
struct Inner {
    side_log: Rc<SideLog>,
    placer: Placer,
    jobs: HashMap<JobId, Seated>,
    /// Hosts that have a backoff file, as far as we know.
    disliked: HashSet<HostId>,
}

#[derive(Debug)]
struct Seated {
    orders: mpsc::UnboundedSender<Order>,
    needs: Needs,
    /// The lock of its slot.
    held: Option<File>,
    host: Option<HostId>,
    /// Hosts whose backoff file this job has heeded once.
    heeded: Vec<HostId>,
}

/// A job's place in the dispatcher; dropping it gives everything back.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// The job.
    pub(crate) id: JobId,
    /// What to do, in order.
    pub(crate) orders: mpsc::UnboundedReceiver<Order>,
    dispatcher: Rc<Dispatcher>,
}

impl Dispatcher {
    pub(crate) fn new(side_log: Rc<SideLog>) -> Self {
        Self {
            inner: RefCell::new(Inner {
                side_log,
                placer: Placer::new(),
                jobs: HashMap::new(),
                disliked: HashSet::new(),
            }),
            changed: Notify::new(),
            started: Instant::now(),
        }
    }

    /// Brings a job in; `arrival` is its first event.
    pub(crate) fn enter(self: &Rc<Self>, id: JobId, needs: Needs, arrival: Event) -> Ticket {
        let (sender, orders) = mpsc::unbounded_channel();
        let seated = Seated {
            orders: sender,
            needs,
            held: None,
            host: None,
            heeded: Vec::new(),
        };
        self.inner.borrow_mut().jobs.insert(id, seated);
        self.tell(arrival);
        Ticket {
            id,
            orders,
            dispatcher: Rc::clone(self),
        }
    }

    /// Sends ticks when they are due. Never ends.
    pub(crate) async fn keep_time(&self) {
        loop {
            let now = self.now();
            let deadline = self.inner.borrow().placer.next_deadline(now);
            match deadline {
                None => self.changed.notified().await,
                Some(at) => {
                    tokio::select! {
                        () = self.changed.notified() => {}
                        () = sleep_until(self.started + Duration::from_micros(at)) => {
                            self.tell(Event::Tick);
                        }
                    }
                }
            }
        }
    }

    fn tell(&self, event: Event) {
        let now = self.now();
        let mut inner = self.inner.borrow_mut();
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            inner.before(&event);
            for command in inner.placer.on(now, event) {
                events.extend(inner.obey(now, command));
            }
        }
        self.changed.notify_one();
    }

    fn now(&self) -> Micros {
        Micros::try_from(self.started.elapsed().as_micros()).unwrap_or(Micros::MAX)
    }
}

impl Inner {
    /// Does with files what goes with an event. Locks go first: the same call may give the slot to another job.
    fn before(&mut self, event: &Event) {
        let id = match event {
            Event::Arrived(_) | Event::ArrivedLocal { .. } | Event::Tick => return,
            Event::Preprocessed { .. } => return,
            Event::SlotForeign { job }
            | Event::HostDisliked { job, .. }
            | Event::HostFailed { job, .. }
            | Event::HostAnswered { job, .. }
            | Event::NeedsLocal { job }
            | Event::Ended { job } => job,
        };
        let Some(seated) = self.jobs.get_mut(id) else {
            return;
        };
        drop(seated.held.take());
        if let Some(host_id) = seated.host.take()
            && let Some(host) = seated.needs.hosts.host(host_id)
        {
            match event {
                Event::HostFailed { cool_down, .. } if *cool_down > 0 => {
                    seated.needs.locks.dislike(host);
                    self.disliked.insert(host_id);
                }
                Event::HostAnswered { .. } if self.disliked.remove(&host_id) => {
                    seated.needs.locks.forgive(host);
                }
                _ => {}
            }
        }
        if matches!(event, Event::Ended { .. }) {
            self.jobs.remove(id);
        }
    }

    /// Carries a command to its job, or answers with the event that says why not.
    fn obey(&mut self, now: Micros, command: Command) -> Option<Event> {
        let (job, order) = match command {
            Command::Preprocess { job } => (job, Order::Preprocess),
            Command::Connect { job, host, slot } => (job, Order::Connect { host, slot }),
            Command::RunLocal { job, slot, why } => (job, Order::RunLocal { slot, why }),
            Command::GiveUp { job, .. } => (job, Order::GiveUp),
        };
        let seated = self.jobs.get_mut(&job)?;
        if let Order::Connect { host: id, slot } = order {
            let needs = &seated.needs;
            let host = needs.hosts.host(id);
            if let Some(entry) = host
                && !seated.heeded.contains(&id)
                && let Some(left) = needs.locks.disliked_for(entry, needs.backoff)
            {
                seated.heeded.push(id);
                self.disliked.insert(id);
                let left = Micros::try_from(left.as_micros()).unwrap_or(Micros::MAX);
                let until = now.saturating_add(left);
                return Some(Event::HostDisliked { job, until });
            }
            match needs.locks.take(host, slot) {
                Take::Ours(file) => seated.held = Some(file),
                Take::NoFile(why) => self.side_log.note(&why, job.0),
                Take::Theirs => return Some(Event::SlotForeign { job }),
            }
            seated.host = Some(id);
        }
        if let Order::RunLocal { slot, .. } = order {
            match seated.needs.locks.take(None, slot) {
                Take::Ours(file) => seated.held = Some(file),
                Take::NoFile(why) => self.side_log.note(&why, job.0),
                Take::Theirs => return Some(Event::SlotForeign { job }),
            }
        }
        // A job that listens no more is being dropped, which gives its slot back.
        seated.orders.send(order).unwrap_or_default();
        None
    }
}

impl Ticket {
    /// Tells the scheduler what happened to this job.
    pub(crate) fn tell(&self, event: Event) {
        self.dispatcher.tell(event);
    }

    /// The next order.
    pub(crate) async fn next_order(&mut self) -> Order {
        match self.orders.recv().await {
            Some(order) => order,
            // The dispatcher holds the sender for as long as the ticket lives.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.dispatcher.tell(Event::Ended { job: self.id });
    }
}
