//! Many clients with many small actions: none lost, none twice, memory flat.
//!
//! Each action is another one and writes another text; a result that is another's is found. How
//! many were run is counted by the worker's log, one line each.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use e2e::programs::Kind;
use e2e::server::Server;
use e2e::workspace::Workspace;
use reapi::client::{Client, Wanted};
use store::Digest;

use super::actions::{FUNCTION, Shape, content, make};
use super::{block_on, connect, stand_in};
use crate::cargo::use_release_programs;
use crate::control_group::ControlGroup;

const CLIENTS: usize = 64;
const ACTIONS: usize = 20_000;

/// The worker's store: the smallest there may be.
const STORE_SIZE: &str = "256M";

/// Files of each action's input tree.
const FILES: usize = 20;

/// Most CPU time of the worker per action, in milliseconds.
const CPU_MS_MAX: f64 = 8.0;

/// How much more memory the worker may have at the end than after a quarter of [`ACTIONS`], in
/// KiB, however many there are.
const GROWTH_KIB_MAX: u64 = 16 << 10;

/// What is to be done.
struct Ask {
    actions: usize,
    store_size: String,
}

impl Ask {
    fn read(words: &[&str]) -> Result<Self, String> {
        let mut ask = Self {
            actions: ACTIONS,
            store_size: STORE_SIZE.into(),
        };
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            let value = words.next().ok_or(format!("{word} needs a value"))?;
            match word {
                "--actions" => {
                    ask.actions = value.parse().map_err(|_| "--actions needs a number")?;
                }
                "--store-size" => ask.store_size = (*value).into(),
                _ => return Err(format!("unknown option {word}")),
            }
        }
        Ok(ask)
    }
}

/// What all clients share.
struct Shared {
    program: Vec<u8>,
    actions: usize,
    next: Cell<usize>,
    done: RefCell<Vec<bool>>,
    command_micros: Cell<u128>,
    /// Memory after a quarter of [`ACTIONS`].
    quarter_kib: Cell<u64>,
    pid: i32,
}

pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let Ask {
        actions,
        store_size,
    } = Ask::read(words)?;
    use_release_programs()?;
    let workspace = Workspace::new();
    let server = Server::start_with(
        &workspace,
        Kind::Ours,
        &["--jobs", "4", "--store-size", &store_size],
        &[],
    );
    let group = ControlGroup::new(&server.port().to_string())?;
    group.take(server.pid())?;
    let shared = Rc::new(Shared {
        program: stand_in()?,
        actions,
        next: Cell::new(0),
        done: RefCell::new(vec![false; actions]),
        command_micros: Cell::new(0),
        quarter_kib: Cell::new(0),
        pid: server.pid().as_raw_nonzero().get(),
    });
    let (before, start) = (group.cpu()?, Instant::now());
    block_on(clients(&server, &shared))?;
    let wall = start.elapsed().as_secs_f64();
    let own = group.cpu()?.saturating_sub(before).as_secs_f64() * 1000.0;
    let own_ms = (own - shared.command_micros.get() as f64 / 1000.0) / actions as f64;
    let (quarter, end) = (shared.quarter_kib.get(), memory_kib(shared.pid)?);
    let lost = shared.done.borrow().iter().filter(|done| !**done).count();
    let runs = server.jobs_so_far();
    println!("{actions} actions of {FILES} files each, {CLIENTS} clients, sent, run and fetched\n");
    println!("lost                       {lost:>10}");
    println!("run                        {runs:>10}");
    println!("actions per second         {:>10.0}", actions as f64 / wall);
    println!("worker's CPU ms per action {own_ms:>10.2}");
    println!(
        "memory after a quarter     {:>8.1} MiB",
        quarter as f64 / 1024.0
    );
    println!(
        "memory at the end          {:>8.1} MiB",
        end as f64 / 1024.0
    );
    println!(
        "\nworker-load lost={lost} run={runs} cpu_ms={own_ms:.2} quarter_kib={quarter} \
         end_kib={end}"
    );
    if lost > 0 || runs != actions {
        return Err("not every action was run once".into());
    }
    if end > quarter + GROWTH_KIB_MAX {
        return Err("the worker's memory grows".into());
    }
    if own_ms > CPU_MS_MAX {
        return Err(format!("more than {CPU_MS_MAX} ms per action"));
    }
    Ok(())
}

async fn clients(server: &Server, shared: &Rc<Shared>) -> Result<(), String> {
    let mut tasks = Vec::new();
    for number in 0..CLIENTS {
        let client = connect(server, &format!("build {number}")).await?;
        tasks.push(tokio::task::spawn_local(work(client, Rc::clone(shared))));
    }
    for task in tasks {
        task.await.map_err(|error| error.to_string())??;
    }
    Ok(())
}

async fn work(client: Client, shared: Rc<Shared>) -> Result<(), String> {
    loop {
        let number = shared.next.replace(shared.next.get() + 1);
        if number >= shared.actions {
            return Ok(());
        }
        if number == ACTIONS / 4 {
            shared.quarter_kib.set(memory_kib(shared.pid)?);
        }
        let shape = Shape {
            number,
            files: FILES,
            own: 1,
        };
        let made = make(&shared.program, shape)?;
        let digests: Vec<Digest> = made.blobs.iter().map(|(digest, _)| *digest).collect();
        let missing = client.find_missing(&digests).await;
        let missing = missing.map_err(|error| error.to_string())?;
        let blobs = made.blobs.into_iter();
        let blobs = blobs.filter(|(digest, _)| missing.contains(digest));
        let sent = client.upload(blobs.collect()).await;
        sent.map_err(|error| error.to_string())?;
        let executed = client
            .execute(&made.action, &Wanted::default(), |_| {})
            .await;
        let result = executed.map_err(|error| error.to_string())?.result;
        let expected = Digest::of(FUNCTION, content(number).as_bytes());
        if result.exit_code != 0 || result.files.first().map(|file| file.digest) != Some(expected) {
            return Err(format!("action {number} has another's result"));
        }
        shared.done.borrow_mut()[number] = true;
        let usage = result.metadata.usage.unwrap_or_default();
        let micros = (usage.user + usage.system).as_micros();
        shared
            .command_micros
            .set(shared.command_micros.get() + micros);
    }
}

/// Resident memory of a process.
fn memory_kib(pid: i32) -> Result<u64, String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.map_err(|error| format!("the worker is gone: {error}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.ok_or_else(|| "no VmRSS".into())
}
