//! `farcc run -- COMMAND`: a build with the compilers' names taken over, the agent running, and
//! a summary at the end.
//!
//! Nothing that goes wrong with farcc itself keeps the command from running: it then runs as it
//! would have without farcc, and a warning says so.

mod child;
mod report;
mod summary;
mod watch;

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wire::{ToAgent, frame};

use crate::agent_socket::{AgentError, AgentSocket};
use crate::cli;
use crate::error::Error;
use crate::exit::Exit;
use crate::hosts;
use crate::masquerade::{self, Masquerade};
use crate::report as edge;
use crate::world::World;

use child::Signals;
use report::Build;
use summary::Summary;
use watch::Watch;

/// Variable that marks the jobs of one `farcc run`.
const RUN_VARIABLE: &str = "FARCC_RUN";

/// After the command has ended: how long to wait for the ends of jobs that have been reported as
/// started. Their processes are gone, so the agent is about to notice.
const LAST_JOBS_WAIT: Duration = Duration::from_secs(2);

/// After the command has ended and no job is open: how long events may still be on their way.
const LAST_EVENTS_WAIT: Duration = Duration::from_millis(50);

/// How often the agent is started anew during one build before its events are given up.
const RECONNECTS_MAX: u32 = 5;

/// Runs a build.
///
/// # Errors
/// The command cannot be started, or the JSON file cannot be written.
pub(crate) fn run(mut world: World, options: &cli::Run) -> Result<Exit, Error> {
    let agent = Agent::of_this_machine().inspect_err(warn).ok();
    // Lives until the build has ended.
    let _masquerade = agent
        .as_ref()
        .and_then(|agent| take_compilers_over(&mut world, agent));
    if let Some(hosts) = &options.hosts {
        world.set_var("DISTCC_HOSTS", hosts);
    }
    let run_id = run_id();
    world.set_var(RUN_VARIABLE, &run_id);
    let events = agent.as_ref().and_then(|agent| {
        let watched = agent.watch(&world, &run_id);
        watched.inspect_err(warn).ok()
    });

    let start = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start an event loop"))?;
    let conduct = conduct(&world, options, agent.as_ref(), &run_id, events);
    let (exit_code, summary) = runtime.block_on(conduct)?;
    let build = Build {
        summary,
        exit_code,
        wall: start.elapsed(),
        client_cpu: child::children_cpu(),
        cores: hosts::processors(),
    };
    if !options.quiet {
        edge::eprint(&build.text());
    }
    if let Some(path) = &options.json {
        std::fs::write(path, build.json()).map_err(Error::file("write", path))?;
    }
    Ok(Exit::Passed(exit_code))
}

/// The programs that belong together with this one.
struct Agent {
    farcc: PathBuf,
}

impl Agent {
    fn of_this_machine() -> Result<Self, Error> {
        let farcc = std::env::current_exe().map_err(system("find the farcc program"))?;
        Ok(Self { farcc })
    }

    fn programs(&self) -> &Path {
        self.farcc.parent().unwrap_or(Path::new("/"))
    }

    /// A connection on which the agent tells of this run's jobs.
    fn watch(&self, world: &World, run_id: &str) -> Result<UnixStream, Error> {
        let socket = AgentSocket::new(world)?;
        let mut stream = socket.connect_or_start(world, &self.farcc)?;
        let message = ToAgent::Watch(Some(run_id.to_owned()));
        let asked = stream.write_all(&frame::encode(&message.to_payload()));
        asked.map_err(|source| AgentError::Unreachable {
            dir: socket.dir,
            source,
        })?;
        Ok(stream)
    }
}

fn take_compilers_over(world: &mut World, agent: &Agent) -> Option<Masquerade> {
    let prepared = masquerade::prepare(world, agent.programs()).map_err(Error::from);
    let masquerade = prepared.inspect_err(warn).ok()?;
    world.set_var("PATH", &masquerade.path);
    Some(masquerade)
}

/// Runs the command to its end and listens to what the agent says meanwhile.
async fn conduct(
    world: &World,
    options: &cli::Run,
    agent: Option<&Agent>,
    run_id: &str,
    events: Option<UnixStream>,
) -> Result<(u8, Option<Summary>), Error> {
    let mut watch = match events.map(Watch::new).transpose() {
        Ok(watch) => watch,
        Err(source) => {
            warn(&system("listen to the agent")(source));
            None
        }
    };
    let mut summary = watch.as_ref().map(|_| Summary::default());
    let mut signals = Signals::catch().map_err(system("catch signals"))?;
    let (program, args) = options.command.split_first().expect("clap requires one");
    let mut child = tokio::process::Command::new(program)
        .args(args)
        .env_clear()
        .envs(world.vars.iter().map(|(name, value)| (name, value)))
        .spawn()
        .map_err(|source| Error::Command {
            command: program.to_string_lossy().into_owned(),
            source,
        })?;

    let mut reconnects = 0;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.map_err(system("wait for the command"))?,
            signal = signals.next() => child::send(&child, signal),
            event = next_event(&mut watch) => {
                let summary = summary.get_or_insert_default();
                if let Some(event) = event {
                    summary.on(&event);
                    continue;
                }
                summary.lose_running();
                reconnects += 1;
                watch = agent
                    .filter(|_| reconnects <= RECONNECTS_MAX)
                    .and_then(|agent| agent.watch(world, run_id).ok())
                    .and_then(|stream| Watch::new(stream).ok());
            }
        }
    };
    if let Some(summary) = &mut summary {
        take_last_events(&mut watch, summary).await;
    }
    Ok((child::exit_code(status), summary))
}

/// The next event; never, if there is nobody to ask.
async fn next_event(watch: &mut Option<Watch>) -> Option<wire::event::Event> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

/// The command has ended; what its last jobs did may not have been told yet.
async fn take_last_events(watch: &mut Option<Watch>, summary: &mut Summary) {
    let Some(watch) = watch else { return };
    let deadline = tokio::time::Instant::now() + LAST_JOBS_WAIT;
    loop {
        let quiet = tokio::time::Instant::now() + LAST_EVENTS_WAIT;
        let until = if summary.running() > 0 {
            deadline
        } else {
            quiet
        };
        match tokio::time::timeout_at(until.min(deadline), watch.next()).await {
            Ok(Some(event)) => summary.on(&event),
            Ok(None) | Err(_) => break,
        }
    }
    summary.lose_running();
}

/// A name that no other run has.
fn run_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = now.unwrap_or_default().as_nanos();
    format!("run-{}-{nanos:x}", std::process::id())
}

fn warn(error: &Error) {
    let text = edge::error_text("farcc", error);
    let text = text.strip_prefix("farcc: ").unwrap_or(&text).trim_end();
    edge::warning("farcc", &format!("{text}\nfarcc: going on without it"));
}

fn system(action: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::System { action, source }
}
