//! Which host a job runs on.
//!
//! Problem: many jobs, few slots, hosts of different speed that come and go. Approach: one state machine that is told
//! what happened and answers with what to do, [`Placer::on`]. It keeps a queue and never polls: the event that frees a
//! slot returns the command that fills it.
//!
//! The rules:
//! - A distributable job gets a remote slot together with a preprocessor slot, so that connecting overlaps
//!   preprocessing and no remote slot is held by a job that waits for a local processor.
//! - Look-ahead: while all remote slots are taken, as many jobs as there are preprocessor slots may be preprocessed in
//!   advance. A freed slot then takes a job that can be sent at once; memory stays bounded.
//! - Among free hosts the one with the shortest expected time wins: measured time per unit of work, stretched by how
//!   busy the host is. A host without measurement counts as good as the best, so it is tried early. Ties go by list
//!   order.
//! - Waiting jobs go by arrival, the expensive ones a bounded number of places ahead (see the module `queue`), so the long
//!   compiles do not end up last and no job starves.
//! - A host that failed cools down; then one job probes it; its success brings the host back.
//! - A job meets each host at most once and [`ATTEMPTS_MAX`] hosts in all; then it is local.
//!
//! It does not know about sockets, files, clocks, protocols or what a job is. It never runs a job on this machine to
//! help out: as with distcc, that takes `localhost` in the host list, which is a host like any other here.

#![forbid(unsafe_code)]

mod host;
mod hosts_of;
mod message;
mod queue;
mod schedule;

use std::collections::BTreeMap;
use std::sync::Arc;

use host::Host;
use hosts_of::{HostsOf, Lists};
pub use message::{Candidate, Command, Event, HostId, Job, JobId, WhyHere};
use queue::{Kind, Queue};

/// Microseconds of any clock that does not go backwards.
pub type Micros = u64;

/// How many hosts one job may meet before it runs locally. More would turn a broken network into a build that
/// crawls.
pub const ATTEMPTS_MAX: usize = 3;

/// How long a slot that another program holds is left alone before it is tried again. Other programs do not tell us
/// when they give a slot back, so here, and only here, time decides.
pub const FOREIGN_RETRY_US: Micros = 100_000;

/// How far a job's text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    None,
    Running,
    Ready,
}

/// Where a job sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seat {
    /// In the queue of its [`Text`] state.
    Waiting,
    /// On a host's slot.
    Remote { host: HostId, slot: u32 },
    /// Has been answered; the caller is finishing it.
    Answered,
    /// In the local queue.
    WaitingLocal(WhyHere),
    /// On a local slot.
    Local { slot: u32, why: WhyHere },
}

#[derive(Debug)]
struct JobState {
    job: Job,
    hosts: HostsOf,
    text: Text,
    seat: Seat,
    /// Since when it sits there.
    since: Micros,
    tried: Vec<HostId>,
}

impl JobState {
    /// What it waits for, if that is what others wait for.
    fn kind(&self) -> Kind {
        if !self.tried.is_empty() || !self.job.may_run_locally {
            return Kind::Own;
        }
        Kind::Of {
            list: Arc::as_ptr(&self.hosts).cast::<Candidate>().addr(),
            preprocess_slots: self.job.preprocess_slots,
        }
    }
}

/// The scheduler.
#[derive(Debug, Default)]
pub struct Placer {
    hosts: BTreeMap<HostId, Host>,
    jobs: BTreeMap<JobId, JobState>,
    lists: Lists,
    /// Waiting and not preprocessed.
    fresh: Queue,
    /// Waiting for a host, being preprocessed.
    running: Queue,
    /// Waiting for a host, preprocessed.
    ready: Queue,
    /// Waiting for a local slot.
    local: Queue,
    /// Preprocessors at work.
    preprocessing: usize,
}

impl Placer {
    /// A scheduler without jobs that knows nothing about any host.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of an event and says what to do. Events about jobs that are over are ignored.
    pub fn on(&mut self, now: Micros, event: Event) -> Vec<Command> {
        match event {
            Event::Arrived(job) => self.arrive(now, job),
            Event::ArrivedLocal { job, slots } => self.arrive_local(now, job, slots),
            Event::Preprocessed { job, bytes } => self.preprocessed(job, bytes),
            Event::SlotForeign { job } => self.slot_foreign(now, job),
            Event::HostDisliked { job, until } => {
                self.unseat(now, job, false, |host| host.dislike(until));
            }
            Event::HostFailed { job, cool_down } => {
                self.unseat(now, job, true, |host| host.fail(now, cool_down));
            }
            Event::HostAnswered { job, took } => self.answered(now, job, took),
            Event::NeedsLocal { job } => self.needs_local(now, job, WhyHere::Asked),
            Event::Ended { job } => self.end(now, job),
            Event::Tick => {}
        }
        self.schedule(now)
    }

    /// When to send [`Event::Tick`] next, if at all: the first moment after `now` at which something changes without
    /// an event.
    #[must_use]
    pub fn next_deadline(&self, now: Micros) -> Option<Micros> {
        let waits = [&self.fresh, &self.running, &self.ready, &self.local]
            .iter()
            .any(|queue| !queue.is_empty());
        if !waits {
            return None;
        }
        self.hosts
            .values()
            .filter_map(|host| host.next_change(now))
            .min()
    }

    /// How many jobs there are, in any state.
    #[must_use]
    pub fn job_count(&self) -> usize {
        self.jobs.len()
    }

    /// How many jobs hold a slot of this host.
    #[must_use]
    pub fn slots_taken(&self, host: HostId) -> usize {
        self.hosts.get(&host).map_or(0, Host::taken)
    }

    fn arrive(&mut self, now: Micros, job: Job) {
        let (id, cost) = (job.id, job.cost);
        let text = if job.preprocessed {
            Text::Ready
        } else {
            Text::None
        };
        let state = JobState {
            hosts: self.lists.of(&job.candidates),
            job,
            text,
            seat: Seat::Waiting,
            since: now,
            tried: Vec::new(),
        };
        let kind = state.kind();
        self.jobs.insert(id, state);
        self.queue_of(text).insert(id, cost, kind);
    }

    fn arrive_local(&mut self, now: Micros, id: JobId, slots: u32) {
        self.arrive(
            now,
            Job {
                id,
                candidates: Arc::new([]),
                cost: 0,
                preprocessed: false,
                may_run_locally: true,
                local_slots: slots,
                preprocess_slots: 0,
            },
        );
        self.needs_local(now, id, WhyHere::Asked);
    }

    fn preprocessed(&mut self, id: JobId, bytes: u64) {
        let Some(state) = self.jobs.get_mut(&id) else {
            return;
        };
        if state.text != Text::Running {
            return;
        }
        state.text = Text::Ready;
        let (waits, kind) = (state.seat == Seat::Waiting, state.kind());
        let old_cost = std::mem::replace(&mut state.job.cost, bytes);
        self.preprocessing -= 1;
        if waits {
            self.running.remove(id, old_cost);
            self.ready.insert(id, bytes, kind);
        }
    }

    fn slot_foreign(&mut self, now: Micros, id: JobId) {
        let Some(state) = self.jobs.get_mut(&id) else {
            return;
        };
        match state.seat {
            Seat::Remote { slot, .. } => {
                self.unseat(now, id, false, |host| {
                    host.mark_foreign(slot, now + FOREIGN_RETRY_US);
                });
            }
            Seat::Local { slot, why } => {
                let host = self.hosts.entry(HostId::LOCAL).or_default();
                host.release(slot, id, now);
                host.mark_foreign(slot, now + FOREIGN_RETRY_US);
                if why == WhyHere::Listed {
                    state.seat = Seat::Waiting;
                    let (text, cost, kind) = (state.text, state.job.cost, state.kind());
                    self.queue_of(text).insert(id, cost, kind);
                } else {
                    state.seat = Seat::WaitingLocal(why);
                    self.local.insert(id, 0, Kind::Own);
                }
            }
            Seat::Waiting | Seat::Answered | Seat::WaitingLocal(_) => {}
        }
    }

    /// Takes a job off its remote slot and puts it back into its queue. Whether it has `failed` there decides whether it
    /// may meet that host again.
    fn unseat(&mut self, now: Micros, id: JobId, failed: bool, tell: impl FnOnce(&mut Host)) {
        let Some(state) = self.jobs.get_mut(&id) else {
            return;
        };
        let Seat::Remote { host, slot } = state.seat else {
            return;
        };
        state.seat = Seat::Waiting;
        state.tried.extend(failed.then_some(host));
        let (text, cost, kind) = (state.text, state.job.cost, state.kind());
        let entry = self.hosts.entry(host).or_default();
        entry.release(slot, id, now);
        tell(entry);
        self.queue_of(text).insert(id, cost, kind);
    }

    fn answered(&mut self, now: Micros, id: JobId, took: Option<Micros>) {
        let Some(state) = self.jobs.get_mut(&id) else {
            return;
        };
        let Seat::Remote { host, slot } = state.seat else {
            return;
        };
        state.seat = Seat::Answered;
        let entry = self.hosts.entry(host).or_default();
        entry.recover();
        entry.release(slot, id, now);
        if let Some(took) = took {
            entry.measure(took, state.job.cost);
        }
    }

    fn needs_local(&mut self, now: Micros, id: JobId, why: WhyHere) {
        let Some(state) = self.jobs.get(&id) else {
            return;
        };
        if matches!(state.seat, Seat::WaitingLocal(_) | Seat::Local { .. }) {
            return;
        }
        self.leave_seat(now, id);
        let state = self.jobs.get_mut(&id).expect("looked up above");
        // A job that we send here by ourselves may still be preprocessing; one that the caller sends is not.
        if state.text == Text::Running && why == WhyHere::Asked {
            self.preprocessing -= 1;
            state.text = Text::None;
        }
        state.seat = Seat::WaitingLocal(why);
        self.local.insert(id, 0, Kind::Own);
    }

    fn end(&mut self, now: Micros, id: JobId) {
        self.leave_seat(now, id);
        if let Some(state) = self.jobs.remove(&id)
            && state.text == Text::Running
        {
            self.preprocessing -= 1;
        }
    }

    /// Takes a job out of whatever slot or queue it is in.
    fn leave_seat(&mut self, now: Micros, id: JobId) {
        let Some(state) = self.jobs.get(&id) else {
            return;
        };
        let (seat, text, cost) = (state.seat, state.text, state.job.cost);
        match seat {
            Seat::Waiting => self.queue_of(text).remove(id, cost),
            Seat::WaitingLocal(_) => self.local.remove(id, 0),
            Seat::Remote { host, slot } => {
                self.hosts.entry(host).or_default().release(slot, id, now);
            }
            Seat::Local { slot, why } => {
                let took = now.saturating_sub(state.since);
                let host = self.hosts.entry(HostId::LOCAL).or_default();
                host.release(slot, id, now);
                if why == WhyHere::Listed {
                    host.measure(took, cost);
                }
            }
            Seat::Answered => {}
        }
    }

    fn queue_of(&mut self, text: Text) -> &mut Queue {
        match text {
            Text::None => &mut self.fresh,
            Text::Running => &mut self.running,
            Text::Ready => &mut self.ready,
        }
    }
}
