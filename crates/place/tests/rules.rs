//! Each rule of the scheduler in a few events.

use std::sync::Arc;

use place::{Candidate, Command, Event, FOREIGN_RETRY_US, HostId, Job, JobId, Placer, WhyHere};

const A: HostId = HostId(1);
const B: HostId = HostId(2);
const SECOND: u64 = 1_000_000;

fn list(hosts: &[(HostId, u32)]) -> Arc<[Candidate]> {
    hosts
        .iter()
        .map(|(host, slots)| Candidate {
            host: *host,
            slots: *slots,
        })
        .collect()
}

fn job(id: u64, hosts: &[(HostId, u32)]) -> Job {
    Job {
        id: JobId(id),
        candidates: list(hosts),
        cost: 0,
        preprocessed: false,
        may_run_locally: true,
        local_slots: 2,
        preprocess_slots: 2,
    }
}

fn arrive(placer: &mut Placer, job: Job) -> Vec<Command> {
    placer.on(0, Event::Arrived(job))
}

fn connect(id: u64, host: HostId, slot: u32) -> Command {
    Command::Connect {
        job: JobId(id),
        host,
        slot,
    }
}

fn preprocess(id: u64) -> Command {
    Command::Preprocess { job: JobId(id) }
}

fn local(id: u64, slot: u32, why: WhyHere) -> Command {
    Command::RunLocal {
        job: JobId(id),
        slot,
        why,
    }
}

fn text(id: u64, bytes: u64) -> Event {
    Event::Preprocessed {
        job: JobId(id),
        bytes,
    }
}

fn answered(id: u64) -> Event {
    Event::HostAnswered {
        job: JobId(id),
        took: None,
    }
}

fn ended(id: u64) -> Event {
    Event::Ended { job: JobId(id) }
}

fn failed(id: u64) -> Event {
    Event::HostFailed {
        job: JobId(id),
        cool_down: 60 * SECOND,
    }
}

#[test]
fn connecting_overlaps_preprocessing() {
    let mut placer = Placer::new();
    assert_eq!(
        arrive(&mut placer, job(1, &[(A, 1)])),
        [connect(1, A, 0), preprocess(1)]
    );
}

#[test]
fn a_freed_slot_is_handed_over_in_the_same_call() {
    let mut placer = Placer::new();
    arrive(&mut placer, job(1, &[(A, 1)]));
    // Looks ahead: the second job is preprocessed while the only slot is taken.
    assert_eq!(arrive(&mut placer, job(2, &[(A, 1)])), [preprocess(2)]);
    assert_eq!(placer.on(1, text(1, 10)), []);
    assert_eq!(placer.on(1, text(2, 10)), []);
    assert_eq!(placer.on(2, answered(1)), [connect(2, A, 0)]);
}

#[test]
fn look_ahead_is_bounded() {
    let mut placer = Placer::new();
    arrive(&mut placer, job(1, &[(A, 1)]));
    placer.on(0, text(1, 1));
    assert_eq!(arrive(&mut placer, job(2, &[(A, 1)])), [preprocess(2)]);
    assert_eq!(arrive(&mut placer, job(3, &[(A, 1)])), [preprocess(3)]);
    placer.on(0, text(2, 1));
    placer.on(0, text(3, 1));
    // Two texts wait already.
    assert_eq!(arrive(&mut placer, job(4, &[(A, 1)])), []);
    assert_eq!(placer.on(0, answered(1)), [connect(2, A, 0), preprocess(4)]);
}

#[test]
fn no_remote_slot_is_held_while_waiting_for_a_preprocessor() {
    let mut placer = Placer::new();
    arrive(&mut placer, job(1, &[(A, 9)]));
    arrive(&mut placer, job(2, &[(A, 9)]));
    assert_eq!(arrive(&mut placer, job(3, &[(A, 9)])), []);
    assert_eq!(placer.slots_taken(A), 2);
    assert_eq!(placer.on(0, text(1, 1)), [connect(3, A, 2), preprocess(3)]);
}

#[test]
fn the_most_expensive_text_goes_first() {
    let mut placer = Placer::new();
    arrive(&mut placer, job(1, &[(A, 1)]));
    placer.on(0, text(1, 1));
    arrive(&mut placer, job(2, &[(A, 1)]));
    arrive(&mut placer, job(3, &[(A, 1)]));
    placer.on(0, text(2, 1_000));
    placer.on(0, text(3, 1_000_000));
    assert_eq!(placer.on(0, answered(1)), [connect(3, A, 0)]);
    assert_eq!(placer.on(0, answered(3)), [connect(2, A, 0)]);
}

#[test]
fn unmeasured_hosts_share_by_load_then_list_order() {
    let mut placer = Placer::new();
    let hosts = [(A, 2), (B, 4)];
    let mut seats = Vec::new();
    for id in 1..=6 {
        for command in arrive(&mut placer, job(id, &hosts)) {
            if let Command::Connect { host, .. } = command {
                seats.push(host);
            }
        }
        placer.on(0, text(id, 1));
    }
    assert_eq!(seats, [A, B, B, A, B, B]);
}

#[test]
fn the_faster_host_is_filled_first_and_an_unknown_one_is_tried_early() {
    let mut placer = Placer::new();
    let hosts = [(A, 4), (B, 4), (HostId(3), 4)];
    for id in [1, 2] {
        arrive(&mut placer, job(id, &hosts));
        placer.on(0, text(id, 1000));
    }
    for (id, took) in [(1, 4 * SECOND), (2, SECOND)] {
        let event = Event::HostAnswered {
            job: JobId(id),
            took: Some(took),
        };
        placer.on(0, event);
    }
    let mut seats = Vec::new();
    for id in 3..=8 {
        for command in arrive(&mut placer, job(id, &hosts)) {
            if let Command::Connect { host, .. } = command {
                seats.push(host.0);
            }
        }
        placer.on(0, text(id, 1000));
    }
    assert_eq!(seats, [2, 3, 2, 3, 2, 3]);
}

#[test]
fn a_failed_host_cools_down_and_is_probed_by_one_job() {
    let mut placer = Placer::new();
    let hosts = [(A, 2), (B, 2)];
    arrive(&mut placer, job(1, &hosts));
    assert_eq!(placer.on(0, failed(1)), [connect(1, B, 0)]);
    placer.on(0, text(1, 1));
    assert_eq!(
        arrive(&mut placer, job(2, &hosts)),
        [connect(2, B, 1), preprocess(2)]
    );
    placer.on(0, text(2, 1));
    // While A cools down, jobs wait for B.
    assert_eq!(arrive(&mut placer, job(3, &hosts)), [preprocess(3)]);
    assert_eq!(arrive(&mut placer, job(4, &hosts)), [preprocess(4)]);
    let probe_at = placer.next_deadline(0).unwrap();
    assert_eq!(probe_at, 60 * SECOND);
    assert_eq!(placer.on(probe_at, Event::Tick), [connect(3, A, 0)]);
    // One probe at a time; its answer opens the host.
    assert_eq!(placer.on(probe_at, text(3, 1)), []);
    assert_eq!(placer.on(probe_at, answered(3)), [connect(4, A, 0)]);
}

#[test]
fn each_host_once_then_local() {
    let mut placer = Placer::new();
    arrive(&mut placer, job(1, &[(A, 1), (B, 1)]));
    placer.on(0, text(1, 1));
    assert_eq!(placer.on(0, failed(1)), [connect(1, B, 0)]);
    assert_eq!(placer.on(0, failed(1)), [local(1, 0, WhyHere::HostsFailed)]);
    assert_eq!(
        arrive(&mut placer, job(2, &[(A, 1), (B, 1)])),
        [local(2, 1, WhyHere::HostsCooling)]
    );
}

#[test]
fn a_job_that_may_not_run_here_tries_even_a_cooling_host() {
    let mut placer = Placer::new();
    let strict = |id| Job {
        may_run_locally: false,
        ..job(id, &[(A, 1)])
    };
    arrive(&mut placer, strict(1));
    assert_eq!(
        placer.on(0, failed(1)),
        [Command::GiveUp {
            job: JobId(1),
            why: WhyHere::HostsFailed
        }]
    );
    assert_eq!(
        arrive(&mut placer, strict(2)),
        [connect(2, A, 0), preprocess(2)]
    );
    assert_eq!(placer.job_count(), 1);
}

#[test]
fn local_jobs_and_localhost_share_slots_but_not_their_number() {
    let mut placer = Placer::new();
    let arrive_local = |placer: &mut Placer, id| {
        placer.on(
            0,
            Event::ArrivedLocal {
                job: JobId(id),
                slots: 2,
            },
        )
    };
    assert_eq!(
        arrive(&mut placer, job(1, &[(HostId::LOCAL, 1)])),
        [local(1, 0, WhyHere::Listed)]
    );
    assert_eq!(arrive_local(&mut placer, 2), [local(2, 1, WhyHere::Asked)]);
    assert_eq!(arrive_local(&mut placer, 3), []);
    assert_eq!(arrive(&mut placer, job(4, &[(HostId::LOCAL, 1)])), []);
    assert_eq!(placer.on(0, ended(2)), [local(3, 1, WhyHere::Asked)]);
    assert_eq!(placer.on(0, ended(1)), [local(4, 0, WhyHere::Listed)]);
}

#[test]
fn a_slot_of_another_program_is_tried_again_only_while_somebody_waits() {
    let mut placer = Placer::new();
    arrive(&mut placer, job(1, &[(A, 2)]));
    let foreign = Event::SlotForeign { job: JobId(1) };
    assert_eq!(placer.on(0, foreign.clone()), [connect(1, A, 1)]);
    assert_eq!(placer.on(0, foreign), []);
    let at = placer.next_deadline(0).unwrap();
    assert_eq!(at, FOREIGN_RETRY_US);
    assert_eq!(placer.on(at, Event::Tick), [connect(1, A, 0)]);
    assert_eq!(placer.next_deadline(at), None);
}

#[test]
fn a_failed_preprocessor_sends_the_job_here_and_frees_both_slots() {
    let mut placer = Placer::new();
    arrive(&mut placer, job(1, &[(A, 1)]));
    arrive(&mut placer, job(2, &[(A, 1)]));
    let commands = placer.on(0, Event::NeedsLocal { job: JobId(1) });
    assert_eq!(commands, [local(1, 0, WhyHere::Asked), connect(2, A, 0)]);
}
