//! What all connections of one server share, and the loop that serves until it is told to stop.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use store::Store;
use sys::sandbox::{JobLimits, Spawner};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::allow::Allow;
use crate::client::Client;
use crate::compilers::Compilers;
use crate::log::Log;
use crate::memory::Memory;
use crate::native::platform::Property;
use crate::native::{self, Native, Requests};
use crate::saved::Saved;
use crate::slots::Slots;
use crate::stats::Stats;
use crate::{connection, execute, limits, listener};

/// How far a server is with stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It is not.
    Serving,
    /// Nothing new is taken; jobs whose request is complete are finished.
    Draining,
    /// Jobs are killed.
    Stopping,
}

/// What connections share.
#[derive(Debug)]
pub(crate) struct Server {
    /// Its host's name, for messages to clients.
    pub(crate) name: String,
    pub(crate) log: Rc<Log>,
    pub(crate) allow: Allow,
    pub(crate) compilers: Compilers,
    pub(crate) slots: Slots,
    pub(crate) memory: Memory,
    /// Bounds decompressions of long inputs.
    pub(crate) unpackers: Semaphore,
    /// Bounds connections that are being turned away.
    pub(crate) strangers: Semaphore,
    pub(crate) stats: Stats,
    pub(crate) spawner: Spawner,
    pub(crate) is_sandboxed: bool,
    pub(crate) job_env: Vec<(OsString, OsString)>,
    pub(crate) job_limits: JobLimits,
    pub(crate) job_lifetime: Option<Duration>,
    pub(crate) io_time_max: Duration,
    /// Where copies of jobs' inputs and messages are kept, if wanted.
    pub(crate) saved: Option<Saved>,
    /// For clients of the Remote Execution API; or why they are not served.
    pub(crate) native: Result<Rc<Native>, String>,
    phase: watch::Sender<Phase>,
}

/// What a [`Server`] is made of besides what it makes itself.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) log: Rc<Log>,
    pub(crate) allow: Allow,
    pub(crate) compilers: Compilers,
    pub(crate) slots: usize,
    pub(crate) spawner: Spawner,
    pub(crate) is_sandboxed: bool,
    pub(crate) job_env: Vec<(OsString, OsString)>,
    pub(crate) job_lifetime: Option<Duration>,
    pub(crate) io_time_max: Duration,
    pub(crate) save_dir: Option<PathBuf>,
    pub(crate) native: NativeParts,
}

/// What clients of the Remote Execution API are served with.
#[derive(Debug)]
pub(crate) enum NativeParts {
    /// They are not; says why.
    None(String),
    /// A store, and properties that this machine has.
    Store(Store, Vec<Property>),
}

impl NativeParts {
    pub(crate) fn store(&self) -> Option<&Store> {
        match self {
            NativeParts::None(_) => None,
            NativeParts::Store(store, _) => Some(store),
        }
    }
}

impl Server {
    /// Also gives the requests of native clients, for [`serve`].
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn new(parts: Parts) -> io::Result<(Server, Option<Requests>)> {
        let machine_bytes = limits::machine_bytes();
        let slots = Slots::new(parts.slots, machine_bytes);
        let (native, requests) = match parts.native {
            NativeParts::None(why) => (Err(why), None),
            NativeParts::Store(store, properties) => {
                let (native, requests) = Native::new(store, &slots, machine_bytes, properties)?;
                (Ok(Rc::new(native)), Some(requests))
            }
        };
        let server = Server {
            slots,
            native,
            memory: Memory::new(limits::request_memory_bytes(machine_bytes)),
            unpackers: Semaphore::new(limits::UNPACKERS_MAX),
            strangers: Semaphore::new(limits::STRANGERS_MAX),
            stats: Stats::new(parts.slots, Instant::now()),
            job_limits: limits::job(machine_bytes, parts.slots, parts.job_lifetime),
            phase: watch::Sender::new(Phase::Serving),
            name: parts.name,
            log: parts.log,
            allow: parts.allow,
            compilers: parts.compilers,
            spawner: parts.spawner,
            is_sandboxed: parts.is_sandboxed,
            job_env: parts.job_env,
            job_lifetime: parts.job_lifetime,
            io_time_max: parts.io_time_max,
            saved: parts.save_dir.map(Saved::new),
        };
        Ok((server, requests))
    }

    /// Is the server told to stop?
    pub(crate) fn is_stopping(&self) -> bool {
        *self.phase.borrow() > Phase::Serving
    }

    /// Returns once the server is as far as `phase` with stopping.
    pub(crate) async fn reached(&self, phase: Phase) {
        let mut current = self.phase.subscribe();
        let _reached = current.wait_for(|current| *current >= phase).await;
    }

    fn advance_to(&self, phase: Phase) {
        let is_draining = &self.slots.gauges().is_draining;
        is_draining.store(phase > Phase::Serving, Ordering::Relaxed);
        self.phase.send_if_modified(|current| {
            let is_later = phase > *current;
            *current = phase.max(*current);
            is_later
        });
    }

    /// One step further with stopping, as a signal asks.
    fn stop_further(&self) {
        let next = match *self.phase.borrow() {
            Phase::Serving => Phase::Draining,
            Phase::Draining | Phase::Stopping => Phase::Stopping,
        };
        self.log.notice(match next {
            Phase::Serving => format_args!("serving"),
            Phase::Draining => format_args!("told to stop: finishing running jobs"),
            Phase::Stopping => format_args!("told to stop again: killing running jobs"),
        });
        self.advance_to(next);
    }
}

/// Counts as a running job in the statistics while it exists.
#[derive(Debug)]
pub(crate) struct Running<'a>(&'a Stats);

impl<'a> Running<'a> {
    pub(crate) fn new(stats: &'a Stats) -> Running<'a> {
        stats.job_starts(Instant::now());
        Running(stats)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.job_ends(Instant::now());
    }
}

/// The signals that a server listens to.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Takes them over; from now on they do not end the process.
    pub(crate) fn take() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

/// Serves the connections of `listeners`, and the page of statistics on `stats`, until a signal
/// or the end of `lifetime`. Must run in a `LocalSet`.
///
/// # Errors
/// The process that runs jobs is dead.
pub(crate) async fn serve(
    server: Rc<Server>,
    requests: Option<Requests>,
    listeners: Vec<TcpListener>,
    stats: Vec<TcpListener>,
    mut signals: Signals,
    lifetime: Option<Duration>,
) -> io::Result<()> {
    if let (Ok(native), Some(requests)) = (&server.native, requests) {
        let jobs = native::serve(Rc::clone(&server), Rc::clone(native), requests);
        tokio::task::spawn_local(jobs);
    }
    let mut incoming = listener::accept_all(&server, listeners);
    listener::serve_stats(&server, stats);
    let spawner_death = execute::watch(server.spawner.death())?;
    let mut connections: JoinSet<()> = JoinSet::new();
    let mut end_of_life = std::pin::pin!(sleep(lifetime));
    let mut is_over = false;
    let mut memory = std::pin::pin!(server.slots.watch_memory());
    let mut stop_by = std::pin::pin!(stopped(&server));
    loop {
        let phase = *server.phase.borrow();
        if phase > Phase::Serving && connections.is_empty() {
            return Ok(());
        }
        tokio::select! {
            Some((stream, peer, permit)) = incoming.recv(), if phase == Phase::Serving => {
                let server = Rc::clone(&server);
                connections.spawn_local(async move {
                    connection::serve(server, Client::tcp(stream, peer)).await;
                    drop(permit);
                });
            }
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                if let Err(error) = ended {
                    server.log.error(format_args!("a connection failed: {error}"));
                }
            }
            _ = signals.terminate.recv() => server.stop_further(),
            _ = signals.interrupt.recv() => server.stop_further(),
            _ = signals.hang_up.recv() => server.log.reopen(),
            () = &mut end_of_life, if !is_over => {
                is_over = true;
                server.log.notice(format_args!("the time given by --lifetime is over"));
                server.advance_to(Phase::Stopping);
            }
            () = &mut memory => {}
            // Clients have had their time to read why.
            () = &mut stop_by => return Ok(()),
            _ = spawner_death.readable() => {
                return Err(io::Error::other("the process that runs jobs is dead"));
            }
        }
    }
}

/// Serves one client only; for inetd and ssh.
pub(crate) async fn serve_one(server: Rc<Server>, client: Client, mut signals: Signals) {
    let mut connection = std::pin::pin!(connection::serve(Rc::clone(&server), client));
    loop {
        tokio::select! {
            () = &mut connection => return,
            // Nobody drains here: whoever sends a signal to one client's server means it.
            _ = signals.terminate.recv() => server.advance_to(Phase::Stopping),
            _ = signals.interrupt.recv() => server.advance_to(Phase::Stopping),
            _ = signals.hang_up.recv() => server.advance_to(Phase::Stopping),
        }
    }
}

async fn stopped(server: &Server) {
    server.reached(Phase::Stopping).await;
    tokio::time::sleep(limits::STOP_TIME_MAX).await;
}

async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
