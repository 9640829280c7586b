//! Fills free slots with waiting jobs, after every event.

use crate::host::{Access, Host};
use crate::queue::Kind;
use crate::{ATTEMPTS_MAX, Candidate, Command, HostId, JobId, Micros, Placer, Seat, Text, WhyHere};

/// What a job finds when it looks for a slot.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Choice {
    Slot {
        host: HostId,
        slot: u32,
    },
    /// All hosts it could use are full: wait.
    Full,
    /// No host will do.
    Nobody(WhyHere),
}

/// Which hosts a job may look at right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Everywhere,
    LocalOnly,
    RemoteOnly,
}

impl Placer {
    pub(crate) fn schedule(&mut self, now: Micros) -> Vec<Command> {
        let mut commands = Vec::new();
        self.seat_local(now, &mut commands);
        for text in [Text::Ready, Text::Running, Text::None] {
            self.seat_remote(now, text, &mut commands);
        }
        self.look_ahead(&mut commands);
        // Jobs that found no host have joined the local queue.
        self.seat_local(now, &mut commands);
        commands
    }

    fn seat_local(&mut self, now: Micros, commands: &mut Vec<Command>) {
        let host = self.hosts.entry(HostId::LOCAL).or_default();
        let mut seated = Vec::new();
        for id in self.local.iter() {
            let state = self.jobs.get_mut(&id).expect("queued jobs exist");
            let Seat::WaitingLocal(why) = state.seat else {
                continue;
            };
            let Some(slot) = host.free_slot(state.job.local_slots.max(1), now) else {
                continue;
            };
            host.take(slot, id);
            state.seat = Seat::Local { slot, why };
            state.since = now;
            seated.push(id);
            commands.push(Command::RunLocal { job: id, slot, why });
        }
        for id in seated {
            self.local.remove(id, 0);
        }
    }

    fn seat_remote(&mut self, now: Micros, text: Text, commands: &mut Vec<Command>) {
        if self.queue_of(text).is_empty() {
            return;
        }
        // Most jobs share one host list: once it is known to be full, the others need not look. Slots are only taken
        // here, so what was full stays so.
        let mut full = Vec::new();
        let mut last = None;
        while let Some(next) = self.queue_of(text).next_but(last, &full) {
            last = Some(next);
            let id = next.1;
            let look = self.where_to_look(id, text);
            match self.choose(now, id, look) {
                Choice::Slot { host, slot } => self.seat(now, id, host, slot, commands),
                Choice::Full => match self.jobs[&id].kind() {
                    Kind::Own => {}
                    kind => full.push(kind),
                },
                Choice::Nobody(why) if self.jobs[&id].job.may_run_locally => {
                    self.needs_local(now, id, why);
                }
                Choice::Nobody(why) => {
                    self.end(now, id);
                    commands.push(Command::GiveUp { job: id, why });
                }
            }
        }
    }

    /// A job that still needs a preprocessor goes to a remote host only if it can be preprocessed right away; one that
    /// was preprocessed leaves this machine's slots to those that were not.
    fn where_to_look(&self, id: JobId, text: Text) -> Look {
        match text {
            Text::None => {
                let slots = self.jobs[&id].job.preprocess_slots as usize;
                if self.preprocessing < slots.max(1) {
                    Look::Everywhere
                } else {
                    Look::LocalOnly
                }
            }
            Text::Running | Text::Ready if self.fresh.is_empty() => Look::Everywhere,
            Text::Running | Text::Ready => Look::RemoteOnly,
        }
    }

    fn seat(
        &mut self,
        now: Micros,
        id: JobId,
        host: HostId,
        slot: u32,
        commands: &mut Vec<Command>,
    ) {
        self.leave_seat(now, id);
        self.hosts.entry(host).or_default().take(slot, id);
        let state = self.jobs.get_mut(&id).expect("the caller looked it up");
        state.since = now;
        if host == HostId::LOCAL {
            let why = WhyHere::Listed;
            state.seat = Seat::Local { slot, why };
            commands.push(Command::RunLocal { job: id, slot, why });
            return;
        }
        state.seat = Seat::Remote { host, slot };
        commands.push(Command::Connect {
            job: id,
            host,
            slot,
        });
        if state.text == Text::None {
            state.text = Text::Running;
            self.preprocessing += 1;
            commands.push(Command::Preprocess { job: id });
        }
    }

    /// Preprocesses jobs in advance while all remote slots are taken.
    fn look_ahead(&mut self, commands: &mut Vec<Command>) {
        let mut last = None;
        while let Some(next) = self.fresh.next_but(last, &[]) {
            last = Some(next);
            let id = next.1;
            let state = self.jobs.get_mut(&id).expect("queued jobs exist");
            let slots = (state.job.preprocess_slots as usize).max(1);
            let ahead = self.running.len() + self.ready.len();
            if self.preprocessing >= slots || ahead >= slots {
                break;
            }
            if !state
                .job
                .candidates
                .iter()
                .any(|candidate| candidate.host != HostId::LOCAL)
            {
                continue;
            }
            state.text = Text::Running;
            self.preprocessing += 1;
            self.fresh.remove(id, state.job.cost);
            self.running.insert(id, state.job.cost, state.kind());
            commands.push(Command::Preprocess { job: id });
        }
    }

    /// The best host for a job. A job that may not run locally takes a cooling host when there is no other.
    fn choose(&self, now: Micros, id: JobId, look: Look) -> Choice {
        let state = &self.jobs[&id];
        if state.tried.len() >= ATTEMPTS_MAX {
            return Choice::Nobody(WhyHere::HostsFailed);
        }
        let usable = |urgent: bool| -> Vec<(&Candidate, Option<&Host>, Access)> {
            state
                .job
                .candidates
                .iter()
                .filter(|candidate| !state.tried.contains(&candidate.host))
                .map(|candidate| {
                    let host = self.hosts.get(&candidate.host);
                    let access = host.map_or(Access::Open, |host| host.access(now, urgent));
                    (candidate, host, access)
                })
                .filter(|(.., access)| *access != Access::Cooling)
                .collect()
        };
        let mut hosts = usable(false);
        if hosts.is_empty() {
            hosts = usable(true);
            if hosts.is_empty() {
                return Choice::Nobody(WhyHere::HostsFailed);
            }
            if state.job.may_run_locally {
                return Choice::Nobody(WhyHere::HostsCooling);
            }
        }
        let only_local_left = hosts
            .iter()
            .all(|(candidate, ..)| candidate.host == HostId::LOCAL);
        let best_speed = hosts
            .iter()
            .filter_map(|(_, host, _)| host.and_then(Host::speed))
            .min_by(f64::total_cmp)
            .unwrap_or(1.0);

        let mut best: Option<(f64, HostId, u32)> = None;
        for (candidate, host, access) in hosts {
            let wanted = match look {
                Look::Everywhere => true,
                Look::LocalOnly => candidate.host == HostId::LOCAL,
                Look::RemoteOnly => candidate.host != HostId::LOCAL || only_local_left,
            };
            let unknown = Host::default();
            let host = host.unwrap_or(&unknown);
            let (true, Some(slot)) = (wanted, host.free_slot(candidate.slots, now)) else {
                continue;
            };
            if access == Access::BeingProbed {
                continue;
            }
            let time = host.speed().unwrap_or(best_speed) * (1.0 + host.load(candidate.slots));
            // `<` keeps list order among equals.
            if best.is_none_or(|(best_time, ..)| time < best_time) {
                best = Some((time, candidate.host, slot));
            }
        }
        best.map_or(Choice::Full, |(_, host, slot)| Choice::Slot { host, slot })
    }
}
