//! CPU time of a worker per action, by the kernel's accounting of all its processes, less what the
//! command itself took.
//!
//! The blobs are there before the clock starts: what is measured is the call, the input root, the
//! sandbox, and the outputs. Needs root, for control groups.

use std::rc::Rc;
use std::time::{Duration, Instant};

use e2e::programs::Kind;
use e2e::server::Server;
use e2e::workspace::Workspace;
use reapi::client::{Client, Wanted};

use super::actions::{FILES, Made, Shape, make};
use super::{block_on, connect, stand_in};
use crate::cargo::use_release_programs;
use crate::control_group::ControlGroup;

/// Actions of each kind.
const ACTIONS: usize = 400;

/// Clients at once, of the second round.
const CLIENTS: usize = 64;

/// Most CPU time of an action alone if one file is new, and at [`CLIENTS`] at once if a tenth of all
/// is, in milliseconds.
const ALONE_MS_MAX: f64 = 5.0;
const TOGETHER_MS_MAX: f64 = 8.0;

/// Kinds of actions: what is different from one to the next.
const KINDS: &[(&str, usize)] = &[
    ("the same 400 files", 0),
    ("1 of 400 files new", 1),
    ("40 of 400 files new", 40),
    ("all 400 files new", 400),
];

/// What one round came to.
struct Round {
    cpu_ms: f64,
    start_ms: f64,
    wall: Duration,
}

pub(crate) fn run() -> Result<(), String> {
    use_release_programs()?;
    let workspace = Workspace::new();
    let program = stand_in()?;
    println!("{ACTIONS} actions each: CPU ms of the worker per action, without its command's\n");
    println!(
        "{:<24} {:>10} {:>14} {:>14} {:>12}",
        "", "1 client", "to start", "64 clients", "actions/s"
    );
    let mut figures = String::new();
    let mut worst: (f64, f64) = (0.0, 0.0);
    for (name, own) in KINDS {
        let mut rounds = Vec::new();
        for clients in [1, CLIENTS] {
            // A worker of its own for each, so that none profits from what another one left.
            let server = Server::start_with(&workspace, Kind::Ours, &["--jobs", "4"], &[]);
            let group = ControlGroup::new(&server.port().to_string())?;
            group.take(server.pid())?;
            rounds.push(block_on(round(&server, &group, &program, *own, clients))?);
        }
        let (alone, together) = (&rounds[0], &rounds[1]);
        let rate = ACTIONS as f64 / together.wall.as_secs_f64();
        println!(
            "{name:<24} {:>10.2} {:>14.2} {:>14.2} {rate:>12.0}",
            alone.cpu_ms, alone.start_ms, together.cpu_ms
        );
        figures += &format!(
            " own_{own}_ms={:.2} own_{own}_64_ms={:.2}",
            alone.cpu_ms, together.cpu_ms
        );
        if *own == 1 {
            worst.0 = alone.cpu_ms;
        }
        // The last kind has nothing in common with what was before it, as no build's have.
        if *own < FILES {
            worst.1 = worst.1.max(together.cpu_ms);
        }
    }
    println!("\nworker{figures}");
    if worst.0 > ALONE_MS_MAX || worst.1 > TOGETHER_MS_MAX {
        return Err(format!(
            "more than {ALONE_MS_MAX} ms alone or {TOGETHER_MS_MAX} ms at {CLIENTS} at once"
        ));
    }
    Ok(())
}

async fn round(
    server: &Server,
    group: &ControlGroup,
    program: &[u8],
    own: usize,
    clients: usize,
) -> Result<Round, String> {
    let mut connections = Vec::new();
    for number in 0..clients {
        connections.push(connect(server, &format!("build {number}")).await?);
    }
    let mut actions = Vec::new();
    for number in 0..ACTIONS {
        let shape = Shape {
            number,
            files: FILES,
            own,
        };
        let Made { action, blobs } = make(program, shape)?;
        // What the server has is not sent again.
        let digests: Vec<_> = blobs.iter().map(|(digest, _)| *digest).collect();
        let client = &connections[0];
        let missing = client.find_missing(&digests).await;
        let missing = missing.map_err(|error| error.to_string())?;
        let blobs = blobs.into_iter();
        let blobs = blobs.filter(|(digest, _)| missing.contains(digest));
        let sent = client.upload(blobs.collect()).await;
        sent.map_err(|error| error.to_string())?;
        actions.push(action);
    }
    let (before, start) = (group.cpu()?, Instant::now());
    let queue = Rc::new(std::cell::RefCell::new(actions));
    let workers: Vec<_> = connections
        .into_iter()
        .map(|client| tokio::task::spawn_local(work(client, Rc::clone(&queue))))
        .collect();
    let (mut commands, mut starts) = (Duration::ZERO, Duration::ZERO);
    for worker in workers {
        let (command, started) = worker.await.map_err(|error| error.to_string())??;
        commands += command;
        starts += started;
    }
    let wall = start.elapsed();
    let own_cpu = group.cpu()?.saturating_sub(before + commands);
    let per_action = |time: Duration| time.as_secs_f64() * 1000.0 / ACTIONS as f64;
    Ok(Round {
        cpu_ms: per_action(own_cpu),
        start_ms: per_action(starts),
        wall,
    })
}

/// Executes actions until there are none left. CPU time of their commands, and the time from slot
/// to start of them.
async fn work(
    client: Client,
    queue: Rc<std::cell::RefCell<Vec<store::Digest>>>,
) -> Result<(Duration, Duration), String> {
    let (mut commands, mut starts) = (Duration::ZERO, Duration::ZERO);
    loop {
        let Some(action) = queue.borrow_mut().pop() else {
            return Ok((commands, starts));
        };
        let executed = client.execute(&action, &Wanted::default(), |_| {}).await;
        let result = executed.map_err(|error| error.to_string())?.result;
        let metadata = result.metadata;
        let usage = metadata.usage.ok_or("the worker tells no usage")?;
        if result.exit_code != 0 || result.files.len() != 1 {
            return Err("an action failed".into());
        }
        commands += usage.user + usage.system;
        let fetch = metadata
            .input_fetch_start
            .zip(metadata.input_fetch_completed);
        starts += fetch
            .and_then(|(start, end)| end.duration_since(start).ok())
            .unwrap_or_default();
    }
}
