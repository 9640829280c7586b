//! The seam between the protocol and whoever runs commands.
//!
//! The services take requests apart, look results up, join those who ask for the same, and tell
//! clients how it goes; an [`Executor`] runs one job. It does not know of connections, operations
//! or caches: it gets what is to be done, says when it begins, and returns what came of it.

use std::net::SocketAddr;
use std::sync::Arc;

use store::Digest;
use tokio::sync::watch;

use crate::message::action::Action;
use crate::message::command::Command;
use crate::message::result::ActionResult;
use crate::status::WorkerStatus;

/// Runs jobs.
#[async_trait::async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Runs one job to its end, after waiting for a slot if need be.
    ///
    /// Outputs, and standard output and error if they are long, are in the store when it returns.
    /// A command that ends with another exit code than 0 is a result, not an error. Inputs that
    /// the store lacks are an error that names as many of them as it can.
    ///
    /// Dropping the future cancels the job: whatever runs for it is killed.
    ///
    /// # Errors
    /// Why there is no result; see [`ExecuteError`].
    async fn execute(&self, job: Job, progress: &Progress) -> Result<ActionResult, ExecuteError>;

    /// How the worker is, now. Called often; must be cheap.
    fn status(&self) -> WorkerStatus;
}

/// One thing to be done.
#[derive(Debug, Clone)]
pub struct Job {
    /// The action's name.
    pub action_digest: Digest,
    /// What is to be done.
    pub action: Action,
    /// With which command.
    pub command: Command,
    /// The client's wish for order: lower is sooner, 0 is usual.
    pub priority: i32,
    /// Who asked; the first of them, if several asked for the same.
    pub client: Arc<Client>,
}

impl Job {
    /// What the action asks of the machine, wherever the client said it. The action's word counts
    /// more than the command's, where older clients have it.
    #[must_use]
    pub fn platform(&self) -> &crate::Platform {
        if self.action.platform.properties.is_empty() {
            &self.command.platform
        } else {
            &self.action.platform
        }
    }
}

/// Who asks, as far as known. Only the address is more than the client's own word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Where the connection comes from.
    pub peer: SocketAddr,
    /// The program: `bazel`, `recc`, ….
    pub tool_name: String,
    /// Its version.
    pub tool_version: String,
    /// One run of the program.
    pub invocation_id: String,
    /// Several runs that belong together.
    pub correlated_invocations_id: String,
    /// What kind of action it is: `CppCompile`.
    pub action_mnemonic: String,
    /// What it is for: a target's or file's name.
    pub target_id: String,
}

impl Client {
    /// A client of whom nothing but the address is known.
    #[must_use]
    pub fn unnamed(peer: SocketAddr) -> Client {
        Client {
            peer,
            tool_name: String::new(),
            tool_version: String::new(),
            invocation_id: String::new(),
            correlated_invocations_id: String::new(),
            action_mnemonic: String::new(),
            target_id: String::new(),
        }
    }
}

/// How far an execution is. The order is the usual one, but a job may go back to the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Its result is being looked for.
    CacheCheck,
    /// It waits for a slot.
    Queued,
    /// It runs.
    Executing,
    /// It is over.
    Completed,
}

/// Where an [`Executor`] says how far it is.
#[derive(Debug)]
pub struct Progress {
    stage: watch::Sender<Stage>,
}

impl Progress {
    /// Progress, and where it can be watched. Jobs start in [`Stage::Queued`].
    #[must_use]
    pub fn new() -> (Progress, watch::Receiver<Stage>) {
        let (stage, receiver) = watch::channel(Stage::Queued);
        (Progress { stage }, receiver)
    }

    /// The job has a slot.
    pub fn executing(&self) {
        self.set(Stage::Executing);
    }

    /// The job lost its slot and waits for another.
    pub fn queued(&self) {
        self.set(Stage::Queued);
    }

    pub(crate) fn set(&self, stage: Stage) {
        self.stage
            .send_if_modified(|now| std::mem::replace(now, stage) != stage);
    }
}

/// Why a job has no result. Texts are for the client's user.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExecuteError {
    /// Inputs that the store lacks: the client sends them and asks again.
    #[error("{} input blobs are missing", .0.len())]
    MissingBlobs(Vec<Digest>),
    /// The action itself is wrong, and will be anywhere.
    #[error("{0}")]
    InvalidArgument(String),
    /// The action cannot be done here or now: a property that this worker has not, an output of
    /// another kind than the command says.
    #[error("{0}")]
    FailedPrecondition(String),
    /// It needs more than it may have.
    #[error("{0}")]
    ResourceExhausted(String),
    /// It ran longer than it may.
    #[error("{message}")]
    DeadlineExceeded {
        /// What happened.
        message: String,
        /// What the command had written by then, if anything.
        partial: Option<Box<ActionResult>>,
    },
    /// Not now; another worker, or this one later, may.
    #[error("{0}")]
    Unavailable(String),
    /// Something is wrong with this worker.
    #[error("{0}")]
    Internal(String),
}
