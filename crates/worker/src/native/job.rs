//! The life of one action, from the services' request to its result.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use reapi::{ActionResult, ExecuteError, Job, ResourceUsage};
use stock::exit::ExitCode;
use sys::sandbox::{JobRoot, JobSpec, OUTPUTS_MAX, Outcome};
use tokio::sync::{Semaphore, oneshot};

use super::describe::{self, Names};
use super::platform::{self, Place};
use super::prepare::Prepared;
use super::seam::Request;
use super::{Native, outputs};
use crate::client::Peer;
use crate::execute::{Execution, JobEnd};
use crate::forecast::Kind;
use crate::queue::Party;
use crate::server::{Phase, Running, Server};
use crate::slots::Wish;
use crate::stats::Ending;

/// What is known of an action, for the log.
#[derive(Debug, Default)]
struct Summary {
    names: Names,
    usage: Option<ResourceUsage>,
}

/// Runs an action and answers.
pub(super) async fn serve(server: Rc<Server>, native: Rc<Native>, request: Request) {
    let Request {
        job,
        started,
        mut answer,
    } = request;
    let start = Instant::now();
    let mut summary = Summary {
        names: describe::names(&job.command),
        usage: None,
    };
    let result = tokio::select! {
        result = run(&server, &native, &job, started, &mut summary) => Some(result),
        () = answer.closed() => None,
    };
    log_summary(&server, &job, result.as_ref(), start.elapsed(), &summary);
    if let Some(result) = result {
        let _nobody_waits = answer.send(result);
    }
}

/// The life of an action. Dropped, it is over with everything that it had.
async fn run(
    server: &Rc<Server>,
    native: &Native,
    job: &Job,
    started: oneshot::Sender<()>,
    summary: &mut Summary,
) -> Result<ActionResult, ExecuteError> {
    let mut result_times = Times::default();
    let _part = native
        .jobs
        .admit(bytes_of(job), native.jobs_bytes_max)
        .ok_or_else(|| ExecuteError::Unavailable("too many jobs wait for this worker".into()))?;
    // Everything that can be refused without work.
    let plan = Plan::new(server, native, job, &summary.names)?;
    let slot = tokio::select! {
        slot = server.slots.take(plan.wish) => slot,
        () = server.reached(Phase::Draining) => return Err(stopping()),
    };
    let _told = started.send(());
    result_times.started = Some(SystemTime::now());
    let running = Running::new(&server.stats);
    let mut prepared = prepare(native, job, &plan).await?;
    result_times.prepared = Some(SystemTime::now());

    let execution = plan.start(server, job, &prepared);
    prepared.tree.lend();
    let execution = execution.map_err(|error| internal("cannot start the job", error))?;
    let end = tokio::select! {
        end = execution.end(plan.time_max) => end,
        () = server.reached(Phase::Stopping) => return Err(stopping()),
    };
    result_times.ended = Some(SystemTime::now());
    drop(running);
    let end = end.map_err(|error| internal("lost the job", error))?;
    let outcome = match ended(server, end)? {
        Ended::Ran(outcome) => outcome,
        Ended::NotStarted(why) => return not_started(native, job, why).await,
        Ended::TooLong(texts) => return Err(too_long(native, job, &plan, texts).await),
    };
    let usage = ResourceUsage {
        user: outcome.user,
        system: outcome.system,
        wall: outcome.wall,
        peak_memory_bytes: outcome.rss_kib_max << 10,
    };
    slot.learn(usage.peak_memory_bytes, usage.wall);
    summary.usage = Some(usage);
    // The next one may start while the results are being stored.
    drop(slot);
    let mut result = collect(native, job, outcome, prepared).await?;
    result_times.tell(&mut result, server, usage);
    Ok(result)
}

/// What a waiting job takes of memory, about.
fn bytes_of(job: &Job) -> u64 {
    /// The allocator's and the vectors' own share of each text.
    const TEXT_BYTES: usize = 64;
    let command = &job.command;
    let arguments = command.arguments.iter().map(String::len);
    let environment = command.environment.iter();
    let environment = environment.map(|(name, value)| name.len() + value.len());
    let outputs = command.outputs.iter().map(|output| 2 * output.path.len());
    let texts = arguments.chain(environment).chain(outputs);
    let bytes = texts.map(|bytes| bytes + TEXT_BYTES).sum::<usize>();
    bytes as u64 + 4096
}

/// What is done, decided before anything is.
struct Plan {
    wish: Wish,
    place: Place,
    /// Where the command sees its input root.
    at: PathBuf,
    /// Directories of outputs, from the input root.
    output_dirs: Vec<String>,
    outputs: Vec<PathBuf>,
    time_max: Option<Duration>,
}

impl Plan {
    fn new(
        server: &Server,
        native: &Native,
        job: &Job,
        names: &Names,
    ) -> Result<Plan, ExecuteError> {
        if server.is_stopping() {
            return Err(stopping());
        }
        let is_taken = |path: &Path| sys::sandbox::server_directory(path).is_some();
        let place = platform::place(job.platform(), &native.properties, is_taken)
            .map_err(|why| ExecuteError::FailedPrecondition(why.to_string()))?;
        let time_max = match (job.action.timeout, server.job_lifetime) {
            (Some(wanted), Some(max)) if wanted > max => {
                return Err(ExecuteError::InvalidArgument(format!(
                    "the action's timeout of {} s is more than this worker's {} s (--job-lifetime)",
                    wanted.as_secs(),
                    max.as_secs()
                )));
            }
            (wanted, max) => wanted.or(max),
        };
        if job.command.outputs.len() > OUTPUTS_MAX {
            return Err(ExecuteError::InvalidArgument(format!(
                "the command has more than {OUTPUTS_MAX} outputs: name their directory instead"
            )));
        }
        let at = match &place {
            Place::Root => PathBuf::from("/"),
            Place::Path(path) => path.clone(),
        };
        let outputs = job.command.outputs.iter();
        let mut output_dirs: Vec<String> = outputs
            .clone()
            .map(|output| parent(output.resolved.as_str()).to_owned())
            .collect();
        output_dirs.sort_unstable();
        output_dirs.dedup();
        let client = &job.client;
        let build = match client.correlated_invocations_id.as_str() {
            "" => &client.invocation_id,
            id => id,
        };
        Ok(Plan {
            wish: Wish {
                party: Party::new(Some(client.peer.ip()), build),
                priority: job.priority,
                kind: Kind::new(&names.program, &names.subject),
            },
            outputs: outputs
                .map(|output| at.join(output.resolved.as_str()))
                .collect(),
            place,
            at,
            output_dirs,
            time_max,
        })
    }

    /// Starts the command.
    fn start(&self, server: &Server, job: &Job, prepared: &Prepared) -> std::io::Result<Execution> {
        let command = &job.command;
        let dirs: Vec<&str> = self.output_dirs.iter().map(String::as_str).collect();
        let root = JobRoot::Input(prepared.root(&self.place, &dirs));
        let argv: Vec<_> = command.arguments.iter().map(Into::into).collect();
        let environment = command.environment.iter();
        let env: Vec<_> = environment
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let outputs: Vec<&Path> = self.outputs.iter().map(PathBuf::as_path).collect();
        Execution::start(
            &server.spawner,
            &JobSpec {
                root: &root,
                program: program(command),
                argv: &argv,
                env: &env,
                adds_tmpdir: false,
                cwd: &self.at.join(command.working_directory.as_str()),
                places: &[],
                outputs: &outputs,
                overlays: &[],
                limits: server.job_limits,
            },
        )
    }
}

/// What is run for a command.
fn program(command: &reapi::Command) -> &Path {
    #[cfg(feature = "stand-in")]
    if let Some(stand_in) = crate::stand_in::for_command(&command.arguments) {
        return stand_in;
    }
    Path::new(command.arguments.first().map_or("", String::as_str))
}

/// The directory in which a path lies.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Puts the input root in place, on a thread that may wait for the disk.
async fn prepare(native: &Native, job: &Job, plan: &Plan) -> Result<Prepared, ExecuteError> {
    let (workshop, root) = (Arc::clone(&native.workshop), job.action.input_root);
    let dirs = plan.output_dirs.clone();
    blocking(&native.disk, move || {
        let dirs: Vec<&str> = dirs.iter().map(String::as_str).collect();
        workshop.prepare(&root, &dirs)
    })
    .await
}

/// Stores what the job left; then its tree may be used again.
async fn collect(
    native: &Native,
    job: &Job,
    outcome: Outcome,
    mut prepared: Prepared,
) -> Result<ActionResult, ExecuteError> {
    let workshop = Arc::clone(&native.workshop);
    let (function, command) = (job.action_digest.function, job.command.clone());
    blocking(&native.disk, move || {
        let result = outputs::collect(&workshop.store, function, &command, outcome);
        // All processes of a job that has ended by itself are dead, and nothing is open any more.
        prepared.tree.returned();
        Ok(result?)
    })
    .await
}

async fn not_started(
    native: &Native,
    job: &Job,
    why: String,
) -> Result<ActionResult, ExecuteError> {
    let workshop = Arc::clone(&native.workshop);
    let function = job.action_digest.function;
    blocking(&native.disk, move || {
        Ok(outputs::not_started(&workshop.store, function, why)?)
    })
    .await
}

/// What the client of a command is told that was killed for its time: why, and what it had printed,
/// which is how people find out what it was waiting for.
async fn too_long(
    native: &Native,
    job: &Job,
    plan: &Plan,
    texts: Option<[File; 2]>,
) -> ExecuteError {
    let seconds = plan.time_max.unwrap_or_default().as_secs_f64();
    let whose = match job.action.timeout {
        Some(_) => "the action's timeout",
        None => "--job-lifetime",
    };
    let (workshop, function) = (Arc::clone(&native.workshop), job.action_digest.function);
    let partial = blocking(&native.disk, move || {
        let texts = texts.map(|texts| outputs::killed(&workshop.store, function, texts));
        Ok(texts.transpose()?)
    });
    ExecuteError::DeadlineExceeded {
        message: format!("the command was killed after {seconds} s ({whose})"),
        // Without it the error is still right.
        partial: partial.await.ok().flatten().map(Box::new),
    }
}

/// Does something that waits for the disk elsewhere, a few at once.
async fn blocking<T: Send + 'static>(
    few: &Semaphore,
    work: impl FnOnce() -> Result<T, ExecuteError> + Send + 'static,
) -> Result<T, ExecuteError> {
    let _one_of_few = few.acquire().await;
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| internal("a thread failed", error))?
}

/// What became of a job.
enum Ended {
    Ran(Outcome),
    /// Not even begun, and this is what its client is told.
    NotStarted(String),
    /// Killed for its time, with what it had printed.
    TooLong(Option<[File; 2]>),
}

fn ended(server: &Server, end: JobEnd) -> Result<Ended, ExecuteError> {
    match end {
        JobEnd::Compiler(outcome) => Ok(Ended::Ran(outcome)),
        JobEnd::NoProgram(why) => {
            let why = format!("distccd[{}]: {why}\n", server.name);
            Ok(Ended::NotStarted(why))
        }
        JobEnd::NotSetUp(why) => Err(ExecuteError::FailedPrecondition(why)),
        JobEnd::OutOfMemory => Err(ExecuteError::ResourceExhausted(
            "the command used more memory than it may".into(),
        )),
        JobEnd::Killed => Err(ExecuteError::ResourceExhausted(
            "the command was killed, most likely because this worker ran out of memory".into(),
        )),
        JobEnd::TooLong(texts) => Ok(Ended::TooLong(texts)),
    }
}

fn stopping() -> ExecuteError {
    ExecuteError::Unavailable("this worker is being stopped".into())
}

fn internal(what: &str, error: impl std::fmt::Display) -> ExecuteError {
    ExecuteError::Internal(format!("{what}: {error}"))
}

/// When things happened.
#[derive(Debug)]
struct Times {
    queued: SystemTime,
    started: Option<SystemTime>,
    prepared: Option<SystemTime>,
    ended: Option<SystemTime>,
}

impl Default for Times {
    fn default() -> Self {
        Times {
            queued: SystemTime::now(),
            started: None,
            prepared: None,
            ended: None,
        }
    }
}

impl Times {
    fn tell(&self, result: &mut ActionResult, server: &Server, usage: ResourceUsage) {
        let now = Some(SystemTime::now());
        let metadata = &mut result.metadata;
        metadata.worker.clone_from(&server.name);
        metadata.queued = Some(self.queued);
        metadata.worker_start = self.started;
        metadata.input_fetch_start = self.started;
        metadata.input_fetch_completed = self.prepared;
        metadata.execution_start = self.prepared;
        metadata.execution_completed = self.ended;
        metadata.output_upload_start = self.ended;
        metadata.output_upload_completed = now;
        metadata.worker_completed = now;
        metadata.virtual_execution = Some(usage.wall);
        metadata.usage = Some(usage);
    }
}

/// One line for each action, in the form of those for compiles of stock's clients.
fn log_summary(
    server: &Server,
    job: &Job,
    result: Option<&Result<ActionResult, ExecuteError>>,
    time: Duration,
    summary: &Summary,
) {
    let peer = Peer::Address(job.client.peer);
    let (ending, exit, code) = match result {
        None => (Ending::Disconnected, ExitCode::IoError.code(), 0),
        Some(Ok(result)) if result.exit_code == 0 => (Ending::Ok, 0, 0),
        Some(Ok(result)) => (Ending::Error, 0, result.exit_code),
        Some(Err(error)) => {
            let (ending, exit) = ending(error);
            server
                .log
                .warning(format_args!("{peer}: {}: {error}", job.action_digest));
            (ending, exit.code(), 0)
        }
    };
    server.stats.ended(ending);
    let Names { program, subject } = &summary.names;
    let rss_kib = summary
        .usage
        .map_or(0, |usage| usage.peak_memory_bytes >> 10);
    if matches!(ending, Ending::Ok | Ending::Error) {
        server.stats.compiled(time, rss_kib, program, subject);
    }
    // A shell's code for a signal.
    let signal = if code > 128 { code - 128 } else { 0 };
    server.log.notice(format_args!(
        "client: {peer} {} exit:{} sig:{signal} core:0 ret:{exit} time:{}ms {program} {subject} \
         action:{}",
        ending.label(),
        if signal == 0 { code } else { 0 },
        time.as_millis(),
        job.action_digest,
    ));
    if let Some(usage) = summary.usage {
        server.log.debug(format_args!(
            "{peer}: the command used {} ms of CPU and {rss_kib} KiB",
            (usage.user + usage.system).as_millis()
        ));
    }
}

/// How errors count in statistics.
fn ending(error: &ExecuteError) -> (Ending, ExitCode) {
    match error {
        ExecuteError::MissingBlobs(_)
        | ExecuteError::InvalidArgument(_)
        | ExecuteError::FailedPrecondition(_) => (Ending::BadRequest, ExitCode::BadArguments),
        ExecuteError::DeadlineExceeded { .. } => (Ending::Timeout, ExitCode::TimedOut),
        ExecuteError::Unavailable(_) => (Ending::Overload, ExitCode::Gone),
        ExecuteError::ResourceExhausted(_) | ExecuteError::Internal(_) => {
            (Ending::Other, ExitCode::Failed)
        }
    }
}
