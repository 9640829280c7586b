//! What the scheduler is told and what it answers.

use std::sync::Arc;

use crate::Micros;

/// A job, in the order of arrival: numbers must rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// A host. The caller gives out the numbers; [`HostId::LOCAL`] is this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u32);

impl HostId {
    /// This machine.
    pub const LOCAL: Self = Self(0);
}

/// A host that a job may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Which.
    pub host: HostId,
    /// How many slots the job's host list gives it; the job uses slot numbers below that.
    pub slots: u32,
}

/// A distributable job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// The hosts it may use, best liked first.
    pub candidates: Arc<[Candidate]>,
    /// Estimated bytes of preprocessed source; 0 if nothing is known.
    pub cost: u64,
    /// There is nothing to preprocess.
    pub preprocessed: bool,
    /// When no host can take it, it may run here.
    pub may_run_locally: bool,
    /// Slots of this machine for compiles that have to be local.
    pub local_slots: u32,
    /// Preprocessors that may run at once.
    pub preprocess_slots: u32,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A job arrived that hosts may run.
    Arrived(Job),
    /// A job arrived that only this machine may run, in a slot number below `slots`.
    ArrivedLocal {
        /// The job.
        job: JobId,
        /// How many slots its settings allow.
        slots: u32,
    },
    /// The job's preprocessor is done; if without success, [`Event::NeedsLocal`] says so instead.
    Preprocessed {
        /// The job.
        job: JobId,
        /// Length of its text.
        bytes: u64,
    },
    /// The slot that the job was given is held by another program.
    SlotForeign {
        /// The job.
        job: JobId,
    },
    /// Another program says that the host that the job was given should be left alone for a while.
    HostDisliked {
        /// The job.
        job: JobId,
        /// Until then.
        until: Micros,
    },
    /// The host that the job was given could not be reached, hung up or talked nonsense.
    HostFailed {
        /// The job.
        job: JobId,
        /// How long to leave the host alone.
        cool_down: Micros,
    },
    /// The host has answered; its slot is free.
    HostAnswered {
        /// The job.
        job: JobId,
        /// How long it took; `None` if that says nothing about the host's speed.
        took: Option<Micros>,
    },
    /// The job has to run on this machine after all; its preprocessor, if any, has ended.
    NeedsLocal {
        /// The job.
        job: JobId,
    },
    /// The job is over, whatever state it was in.
    Ended {
        /// The job.
        job: JobId,
    },
    /// The time that [`crate::Placer::next_deadline`] told has come.
    Tick,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Preprocess the job.
    Preprocess {
        /// The job.
        job: JobId,
    },
    /// The slot is the job's: connect, and send as soon as it is preprocessed.
    Connect {
        /// The job.
        job: JobId,
        /// The host.
        host: HostId,
        /// The slot's number.
        slot: u32,
    },
    /// Compile the job on this machine, as soon as its preprocessor, if one runs, has ended.
    RunLocal {
        /// The job.
        job: JobId,
        /// The slot's number.
        slot: u32,
        /// Why here.
        why: WhyHere,
    },
    /// No host can take the job and it may not run here.
    GiveUp {
        /// The job.
        job: JobId,
        /// Why no host can.
        why: WhyHere,
    },
}

/// Why a job is on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyHere {
    /// The caller said so.
    Asked,
    /// The host list names this machine, and it was the best choice.
    Listed,
    /// Every host it may use has failed it, or enough of them.
    HostsFailed,
    /// All hosts it may use are cooling down after failures.
    HostsCooling,
}
