//! A seeded world: hosts that fail, hang up and come back, other programs that hold slots, jobs that are cancelled.
//!
//! What must hold in every world: no slot holds two jobs, no slot beyond its limit, every job ends exactly once, nobody
//! waits while a slot is free that would take him, and nobody is overtaken without bound.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use place::{Candidate, Command, Event, HostId, Job, JobId, Micros, Placer};

const WORLDS: u64 = 60;
const JOBS_PER_WORLD: u64 = 400;
const HOSTS_MAX: u32 = 12;
const PREPROCESS_SLOTS: u32 = 4;
const LOCAL_SLOTS: u32 = 3;
const COOL_DOWN_US: Micros = 5_000_000;

/// What the world knows about a job.
#[derive(Debug, Default, Clone)]
struct Known {
    seat: Option<(HostId, u32)>,
    local: bool,
    preprocessing: bool,
    text: bool,
    met: Vec<HostId>,
    candidates: Vec<HostId>,
}

struct World {
    random: fastrand::Rng,
    placer: Placer,
    now: Micros,
    /// What will happen when; the number makes equal times unique.
    future: BTreeMap<(Micros, u64), Happening>,
    happenings: u64,
    jobs: BTreeMap<JobId, Known>,
    slots: BTreeMap<(HostId, u32), JobId>,
    slots_of: BTreeMap<HostId, u32>,
    /// Chance in percent that a host fails a job.
    flakiness: BTreeMap<HostId, u32>,
    ended: BTreeSet<JobId>,
}

#[derive(Debug, Clone)]
enum Happening {
    Arrives(JobId),
    Preprocessed(JobId),
    HostDone(JobId, HostId),
    LocalDone(JobId),
    Cancelled(JobId),
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut slots_of = BTreeMap::from([(HostId::LOCAL, LOCAL_SLOTS)]);
        let mut flakiness = BTreeMap::new();
        for number in 1..=random.u32(1..=HOSTS_MAX) {
            slots_of.insert(HostId(number), random.u32(1..=8));
            let percent = *random.choice(&[0, 0, 5, 30, 100]).expect("not empty");
            flakiness.insert(HostId(number), percent);
        }
        Self {
            random,
            placer: Placer::new(),
            now: 0,
            future: BTreeMap::new(),
            happenings: 0,
            jobs: BTreeMap::new(),
            slots: BTreeMap::new(),
            slots_of,
            flakiness,
            ended: BTreeSet::new(),
        }
    }

    fn later(&mut self, max_us: Micros, what: Happening) {
        self.happenings += 1;
        let at = self.now + self.random.u64(1..=max_us);
        self.future.insert((at, self.happenings), what);
    }

    fn tell(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for command in self.placer.on(self.now, event) {
                if let Some(answer) = self.obey(command) {
                    events.push(answer);
                }
            }
        }
    }

    fn obey(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Preprocess { job } => {
                let known = self.jobs.get_mut(&job).expect("unknown job");
                assert!(!known.preprocessing && !known.text);
                known.preprocessing = true;
                let running = self.jobs.values().filter(|job| job.preprocessing).count();
                assert!(running <= PREPROCESS_SLOTS as usize);
                self.later(200_000, Happening::Preprocessed(job));
                None
            }
            Command::Connect { job, host, slot } => {
                assert!(slot < self.slots_of[&host], "slot beyond limit");
                assert!(self.slots.insert((host, slot), job).is_none(), "overbooked");
                let known = self.jobs.get_mut(&job).expect("unknown job");
                assert!(known.seat.replace((host, slot)).is_none());
                assert!(!known.met.contains(&host), "met {host:?} twice");
                assert!(known.candidates.contains(&host));
                if self.random.u32(0..100) < 3 {
                    self.leave(job);
                    return Some(Event::SlotForeign { job });
                }
                if self.jobs[&job].text {
                    self.later(1_000_000, Happening::HostDone(job, host));
                } else if self.random.u32(0..100) < self.flakiness[&host] / 3 {
                    // The connection fails while the preprocessor runs.
                    self.later(100_000, Happening::HostDone(job, host));
                }
                None
            }
            Command::RunLocal { job, slot, .. } => {
                assert!(slot < LOCAL_SLOTS);
                assert!(self.slots.insert((HostId::LOCAL, slot), job).is_none());
                let known = self.jobs.get_mut(&job).expect("unknown job");
                assert!(known.seat.replace((HostId::LOCAL, slot)).is_none());
                known.local = true;
                self.later(1_000_000, Happening::LocalDone(job));
                None
            }
            Command::GiveUp { job, .. } => {
                self.end(job);
                None
            }
        }
    }

    fn leave(&mut self, job: JobId) {
        if let Some(seat) = self.jobs.get_mut(&job).and_then(|known| known.seat.take()) {
            assert_eq!(self.slots.remove(&seat), Some(job));
        }
    }

    fn end(&mut self, job: JobId) {
        self.leave(job);
        self.jobs.remove(&job);
        assert!(self.ended.insert(job), "ended twice");
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Arrives(id) => self.arrive(id),
            Happening::Preprocessed(job) => self.preprocessed(job),
            Happening::HostDone(job, host) => self.host_done(job, host),
            Happening::LocalDone(job) | Happening::Cancelled(job) => {
                if self.jobs.contains_key(&job) {
                    self.end(job);
                    self.tell(Event::Ended { job });
                }
            }
        }
    }

    fn arrive(&mut self, id: JobId) {
        self.jobs.insert(id, Known::default());
        if self.random.u32(0..100) < 10 {
            self.later(3_000_000, Happening::Cancelled(id));
        }
        if self.random.u32(0..100) < 15 {
            self.tell(Event::ArrivedLocal {
                job: id,
                slots: LOCAL_SLOTS,
            });
            return;
        }
        let with_local = self.random.bool();
        let candidates: Arc<[Candidate]> = self
            .slots_of
            .clone()
            .into_iter()
            .filter(|(host, _)| (*host == HostId::LOCAL && with_local) || self.random.u8(..) > 60)
            .map(|(host, slots)| Candidate { host, slots })
            .collect();
        let known = self.jobs.get_mut(&id).expect("just inserted");
        known.candidates = candidates.iter().map(|candidate| candidate.host).collect();
        let preprocessed = self.random.u8(..) < 10;
        known.text = preprocessed;
        let job = Job {
            id,
            candidates,
            cost: if self.random.bool() {
                0
            } else {
                self.random.u64(1..1 << 22)
            },
            preprocessed,
            may_run_locally: self.random.u8(..) > 20,
            local_slots: LOCAL_SLOTS,
            preprocess_slots: PREPROCESS_SLOTS,
        };
        self.tell(Event::Arrived(job));
    }

    fn preprocessed(&mut self, job: JobId) {
        let Some(known) = self.jobs.get_mut(&job) else {
            return;
        };
        if !known.preprocessing {
            return;
        }
        known.preprocessing = false;
        known.text = true;
        let local = known.local;
        if let Some((host, _)) = known.seat
            && !local
        {
            self.later(1_000_000, Happening::HostDone(job, host));
        }
        if !local && self.random.u32(0..100) < 5 {
            self.leave(job);
            self.must_be_local(job);
            return;
        }
        let bytes = self.random.u64(1..1 << 22);
        self.tell(Event::Preprocessed { job, bytes });
    }

    fn must_be_local(&mut self, job: JobId) {
        let known = self.jobs.get_mut(&job).expect("still there");
        known.candidates.clear();
        self.tell(Event::NeedsLocal { job });
    }

    fn host_done(&mut self, job: JobId, host: HostId) {
        let Some(known) = self.jobs.get(&job) else {
            return;
        };
        if known.seat.map(|(host, _)| host) != Some(host) {
            return;
        }
        let fails = !known.text || self.random.u32(0..100) < self.flakiness[&host];
        self.leave(job);
        if fails {
            self.jobs.get_mut(&job).expect("looked up").met.push(host);
            let cool_down = if self.random.bool() { COOL_DOWN_US } else { 0 };
            self.tell(Event::HostFailed { job, cool_down });
        } else if self.random.u32(0..100) < 10 {
            self.tell(Event::HostAnswered { job, took: None });
            self.must_be_local(job);
        } else {
            let took = Some(self.random.u64(1..1_000_000));
            self.tell(Event::HostAnswered { job, took });
            self.end(job);
            self.tell(Event::Ended { job });
        }
    }

    /// After each event: nobody may wait for a slot that is free for him.
    fn check_no_slot_idles(&self) {
        for host in self.slots_of.keys() {
            let taken = self.slots.keys().filter(|(on, _)| on == host).count();
            assert_eq!(self.placer.slots_taken(*host), taken, "{host:?}");
        }
        let local_free = (0..LOCAL_SLOTS)
            .filter(|slot| !self.slots.contains_key(&(HostId::LOCAL, *slot)))
            .count();
        let wait_for_local = self
            .jobs
            .values()
            .filter(|known| known.seat.is_none() && known.candidates.is_empty())
            .count();
        assert!(local_free == 0 || wait_for_local == 0, "idle local slot");
        let healthy_free = |known: &Known| {
            known.candidates.iter().any(|host| {
                self.flakiness.get(host) == Some(&0)
                    && !known.met.contains(host)
                    && self.placer.next_deadline(self.now).is_none()
                    && self.placer.slots_taken(*host) < self.slots_of[host] as usize
            })
        };
        for (id, known) in &self.jobs {
            assert!(
                known.seat.is_some() || !known.text || !healthy_free(known),
                "{id:?} waits beside a free slot: {known:?}"
            );
        }
    }

    fn run(mut self) {
        for number in 1..=JOBS_PER_WORLD {
            self.later(20_000_000, Happening::Arrives(JobId(0)));
            let (key, _) = self.future.last_key_value().expect("just inserted");
            let key = *key;
            // Numbers must rise with time: arrivals are renumbered below.
            self.future.insert(key, Happening::Arrives(JobId(number)));
        }
        let mut arrivals = 0;
        loop {
            let next = self.future.first_key_value().map(|((at, _), _)| *at);
            let deadline = self.placer.next_deadline(self.now);
            match (next, deadline) {
                (None, None) => break,
                (Some(at), Some(due)) if due < at => self.tick(due),
                (None, Some(due)) => self.tick(due),
                (Some(_), _) => {
                    let ((at, _), what) = self.future.pop_first().expect("peeked");
                    self.now = at;
                    let what = match what {
                        Happening::Arrives(_) => {
                            arrivals += 1;
                            Happening::Arrives(JobId(arrivals))
                        }
                        other => other,
                    };
                    self.happen(what);
                }
            }
            self.check_no_slot_idles();
        }
        assert_eq!(
            self.ended.len() as u64,
            arrivals,
            "jobs lost: {:?}",
            self.jobs
        );
        assert_eq!(self.placer.job_count(), 0);
    }

    fn tick(&mut self, due: Micros) {
        assert!(due > self.now);
        self.now = due;
        self.tell(Event::Tick);
    }
}

#[test]
fn every_job_ends_and_no_slot_is_overbooked() {
    for seed in 0..WORLDS {
        println!("seed {seed}");
        World::new(seed).run();
    }
}

/// A cheap job among a stream of expensive ones that never ends.
#[test]
fn a_cheap_job_does_not_starve() {
    let mut placer = Placer::new();
    let list: Arc<[Candidate]> = Arc::new([Candidate {
        host: HostId(1),
        slots: 1,
    }]);
    let job = |id, cost| Job {
        id: JobId(id),
        candidates: Arc::clone(&list),
        cost,
        preprocessed: true,
        may_run_locally: true,
        local_slots: 1,
        preprocess_slots: 1,
    };
    placer.on(0, Event::Arrived(job(1, 1 << 30)));
    let mut on_host = JobId(1);
    placer.on(0, Event::Arrived(job(2, 1)));
    for id in 3..20_000 {
        placer.on(0, Event::Arrived(job(id, 1 << 30)));
        let took = Some(1);
        let commands = placer.on(0, Event::HostAnswered { job: on_host, took });
        let [Command::Connect { job, .. }] = commands[..] else {
            panic!("the slot stays empty: {commands:?}");
        };
        if job == JobId(2) {
            println!("overtaken by {id} jobs");
            return;
        }
        placer.on(0, Event::Ended { job: on_host });
        on_host = job;
    }
    panic!("the cheap job starves");
}
