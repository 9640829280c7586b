//! One host: its slots, its health and its speed.

use crate::{JobId, Micros};

/// Weight of a new measurement in the running mean of a host's speed.
const NEW_SAMPLE_WEIGHT: f64 = 0.2;

/// Work that every job has whatever its size, in bytes of preprocessed text: starting a compiler, the round trips.
const BASE_COST_BYTES: u64 = 64 << 10;

/// What a job of unknown size counts as, in bytes.
const UNKNOWN_COST_BYTES: u64 = 512 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Free,
    Taken(JobId),
    /// Held by another program when last tried; to be tried again at the given time.
    Foreign(Micros),
}

/// Whether a host may be given jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Health {
    #[default]
    Good,
    /// Failed; left alone until then, afterwards one job may probe it.
    Cooling(Micros),
    /// This job tries whether it is back.
    Probed(JobId),
}

/// How a host looks to a job that wants to go there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Any number of jobs.
    Open,
    /// One job, as a probe.
    Probe,
    /// Another job is the probe; its result is worth waiting for.
    BeingProbed,
    /// Not now.
    Cooling,
}

/// One host.
#[derive(Debug, Default)]
pub(crate) struct Host {
    slots: Vec<Slot>,
    health: Health,
    /// Microseconds per byte of preprocessed text; absent before the first measurement.
    speed: Option<f64>,
}

impl Host {
    pub(crate) fn taken(&self) -> usize {
        self.slots
            .iter()
            .filter(|slot| matches!(slot, Slot::Taken(_)))
            .count()
    }

    /// A slot below `limit` that can be taken or is worth trying.
    pub(crate) fn free_slot(&self, limit: u32, now: Micros) -> Option<u32> {
        (0..limit).find(|number| match self.slots.get(*number as usize) {
            None | Some(Slot::Free) => true,
            Some(Slot::Foreign(retry_at)) => *retry_at <= now,
            Some(Slot::Taken(_)) => false,
        })
    }

    pub(crate) fn take(&mut self, slot: u32, job: JobId) {
        let index = slot as usize;
        if self.slots.len() <= index {
            self.slots.resize(index + 1, Slot::Free);
        }
        debug_assert!(!matches!(self.slots[index], Slot::Taken(_)));
        self.slots[index] = Slot::Taken(job);
        if matches!(self.health, Health::Cooling(_)) {
            self.health = Health::Probed(job);
        }
    }

    /// Gives a slot back. If the job was a probe without a verdict, the next job probes.
    pub(crate) fn release(&mut self, slot: u32, job: JobId, now: Micros) {
        if let Some(state) = self.slots.get_mut(slot as usize)
            && *state == Slot::Taken(job)
        {
            *state = Slot::Free;
        }
        if self.health == Health::Probed(job) {
            self.health = Health::Cooling(now);
        }
    }

    pub(crate) fn mark_foreign(&mut self, slot: u32, retry_at: Micros) {
        if let Some(state) = self.slots.get_mut(slot as usize) {
            *state = Slot::Foreign(retry_at);
        }
    }

    pub(crate) fn access(&self, now: Micros, urgent: bool) -> Access {
        match self.health {
            Health::Good => Access::Open,
            Health::Cooling(until) if until <= now || urgent => Access::Probe,
            Health::Cooling(_) => Access::Cooling,
            Health::Probed(_) => Access::BeingProbed,
        }
    }

    pub(crate) fn fail(&mut self, now: Micros, cool_down: Micros) {
        self.health = if cool_down == 0 {
            Health::Good
        } else {
            Health::Cooling(now.saturating_add(cool_down))
        };
    }

    pub(crate) fn dislike(&mut self, until: Micros) {
        self.health = Health::Cooling(until);
    }

    pub(crate) fn recover(&mut self) {
        self.health = Health::Good;
    }

    pub(crate) fn measure(&mut self, took: Micros, cost: u64) {
        let bytes = if cost == 0 { UNKNOWN_COST_BYTES } else { cost };
        let sample = as_float(took) / as_float(bytes + BASE_COST_BYTES);
        self.speed = Some(match self.speed {
            None => sample,
            Some(old) => old + (sample - old) * NEW_SAMPLE_WEIGHT,
        });
    }

    pub(crate) fn speed(&self) -> Option<f64> {
        self.speed
    }

    /// How full the host is for a job that may use `limit` slots: 0 empty, 1 full.
    pub(crate) fn load(&self, limit: u32) -> f64 {
        let taken = u32::try_from(self.taken()).unwrap_or(u32::MAX);
        f64::from(taken) / f64::from(limit.max(1))
    }

    /// When something about this host changes by itself after `now`. What is due already was looked at.
    pub(crate) fn next_change(&self, now: Micros) -> Option<Micros> {
        let foreign = self.slots.iter().filter_map(|slot| match slot {
            Slot::Foreign(retry_at) => Some(*retry_at),
            _ => None,
        });
        let cooling = match self.health {
            Health::Cooling(until) => Some(until),
            _ => None,
        };
        foreign.chain(cooling).filter(|at| *at > now).min()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "times and sizes stay far below 2^52"
)]
fn as_float(number: u64) -> f64 {
    number as f64
}
