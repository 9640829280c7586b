//! The scheduler with a busy cluster: 64 hosts of 8 slots, 700 jobs in its hands at any time.

use std::collections::BTreeMap;
use std::sync::Arc;

use place::{Candidate, Command, Event, HostId, Job, JobId, Micros, Placer};

const HOSTS: u32 = 64;
const SLOTS: u32 = 8;

/// Jobs at a time: more than there are slots, so that some wait.
const AT_ONCE: usize = 700;

/// Has so many jobs placed and ended.
pub(crate) fn run(jobs: usize) {
    let mut world = World::default();
    let mut arrived = 0;
    loop {
        while arrived < jobs && world.placer.job_count() < AT_ONCE {
            arrived += 1;
            let cost = world.random(1 << 20);
            world.tell(Event::Arrived(Job {
                id: JobId(arrived as u64),
                candidates: candidates(),
                cost,
                preprocessed: true,
                may_run_locally: true,
                local_slots: 2,
                preprocess_slots: 4,
            }));
        }
        let Some(((at, _), job)) = world.running.pop_first() else {
            return;
        };
        world.now = at;
        let took = Some(world.random(1 << 20));
        world.tell(Event::HostAnswered { job, took });
        world.tell(Event::Ended { job });
    }
}

/// All hosts, in a list of the job's own, as each gets one from the agent.
fn candidates() -> Arc<[Candidate]> {
    let candidate = |number| Candidate {
        host: HostId(number),
        slots: SLOTS,
    };
    (1..=HOSTS).map(candidate).collect()
}

#[derive(Default)]
struct World {
    placer: Placer,
    now: Micros,
    /// What ends when.
    running: BTreeMap<(Micros, u64), JobId>,
    state: u64,
}

impl World {
    fn tell(&mut self, event: Event) {
        for command in self.placer.on(self.now, event) {
            if let Command::Connect { job, .. } | Command::RunLocal { job, .. } = command {
                let end = self.now + 1 + self.random(1 << 20);
                self.running.insert((end, job.0), job);
            }
        }
    }

    /// Always the same numbers, below `max`.
    fn random(&mut self, max: u64) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % max
    }
}
