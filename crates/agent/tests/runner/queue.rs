//! Many jobs and few slots.

use std::collections::HashMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use wire::ToShim;
use wire::event::{Event, EventKind, JobPhase};

use crate::server::{Does, Server};
use crate::world::World;

const JOBS: usize = 200;
const SLOTS: u32 = 8;

#[test]
fn a_freed_slot_is_taken_at_once() {
    let world = World::new();
    let watch = world.watch();
    let server = Server::new(Does::Wait);
    let jobs: Vec<_> = (0..JOBS)
        .map(|_| {
            world
                .compile(&server.host(SLOTS), "-c a.c")
                .text("x")
                .spawn()
        })
        .collect();
    for _ in 0..JOBS {
        server.request();
        server.go.send(()).unwrap();
    }
    for job in jobs {
        job.join().unwrap().is_remote();
    }

    // What watchers saw: no slot beyond the limit, each one in use by one job, and handed on when it is free.
    let mut on_slot: HashMap<u32, u64> = HashMap::new();
    let mut freed_at: HashMap<u32, u64> = HashMap::new();
    let (mut ended, mut waits) = (0, Vec::new());
    while ended < JOBS {
        let Event { time_ms, job, kind } = watch.next();
        match kind {
            EventKind::Phase { host, .. } if host == "localhost" => {}
            EventKind::Phase {
                phase: JobPhase::Receive,
                slot,
                ..
            } => {
                assert_eq!(on_slot.remove(&slot), Some(job));
                freed_at.insert(slot, time_ms);
            }
            EventKind::Phase { slot, .. } => {
                assert!(slot < SLOTS);
                assert_eq!(*on_slot.entry(slot).or_insert(job), job);
                waits.extend(freed_at.remove(&slot).map(|freed| time_ms - freed));
            }
            EventKind::Ended(end) => {
                assert!(end.local.is_none());
                ended += 1;
            }
            _ => {}
        }
    }
    waits.sort_unstable();
    assert_eq!(waits.len(), JOBS - SLOTS as usize);
    println!(
        "from the first byte of an answer to the next job on that slot: {} ms (median), {} ms (worst of {})",
        waits[waits.len() / 2],
        waits[waits.len() - 1],
        waits.len()
    );
}

#[test]
fn local_slots_limit_local_jobs() {
    let world = World::new();
    let watch = world.watch();
    let hosts = "--localslots=1 127.0.0.1:1";
    let mut first = world.compile(hosts, "a.o -o prog").ask();
    assert!(matches!(first.hear(), Some(ToShim::RunLocal { .. })));
    let second = world.compile(hosts, "b.o -o prog2").pretend().spawn();
    // The second has started, and waits.
    while !matches!(&watch.next().kind, EventKind::Started { file, .. } if file == "prog2") {}
    drop(first);
    second.join().unwrap().is_local();
}

#[test]
fn preprocessors_are_limited() {
    let world = World::new();
    let server = Server::new(Does::Compile);
    let hosts = format!("--localslots_cpp=2 {}", server.host(50));
    // Two at a time, and never a third: each waits for a partner before it is done.
    let (pair, running) = (Barrier::new(2), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            let mut shim = world.compile(&hosts, "-c a.c").ask();
            let (pair, running) = (&pair, &running);
            scope.spawn(move || {
                while !matches!(shim.hear(), Some(ToShim::Preprocess { .. })) {}
                assert!(running.fetch_add(1, Ordering::SeqCst) < 2);
                pair.wait();
                running.fetch_sub(1, Ordering::SeqCst);
                pair.wait();
                shim.preprocessed(b"x");
                while !matches!(shim.hear(), Some(ToShim::Finish { .. })) {}
            });
        }
    });
}

#[test]
fn a_job_preprocessed_ahead_of_its_turn_is_shown_as_waiting() {
    let world = World::new();
    let server = Server::new(Does::Silence);
    let hosts = server.host(1);
    let watch = world.watch();
    let mut first = world.compile(&hosts, "-c a.c").ask();
    first.preprocess(b"x");
    watch.phase(JobPhase::Compile);
    let mut second = world.compile(&hosts, "-c b.c").ask();
    second.preprocess(b"x");
    watch.phase(JobPhase::Blocked);
}
