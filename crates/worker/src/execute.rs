//! Runs one job in the sandbox and waits for its end.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use sys::sandbox::{JobEvent, JobSpec, Outcome, RunningJob, Spawner};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How a job ended.
#[derive(Debug)]
pub(crate) enum JobEnd {
    /// The compiler ended, with an exit code or by a signal.
    Compiler(Outcome),
    /// There is no such program after all.
    NoProgram(String),
    /// The job could not be set up: no space left, a name that cannot exist.
    NotSetUp(String),
    /// It used more memory than it may and was killed.
    OutOfMemory,
    /// The whole job was killed from outside, most likely because memory ran out.
    Killed,
    /// It took too long and was killed. With the files of its standard output and standard error,
    /// if it had begun.
    TooLong(Option<[File; 2]>),
}

/// A job that has been started. Dropping it kills it with all its processes.
#[derive(Debug)]
pub(crate) struct Execution {
    job: RunningJob,
    ready: UnixDatagram,
}

impl Execution {
    /// Starts a job; its input need not be kept.
    ///
    /// # Errors
    /// The spawner cannot be reached, or descriptors or memory have run out.
    pub(crate) fn start(spawner: &Spawner, spec: &JobSpec<'_>) -> io::Result<Execution> {
        let job = spawner.spawn(spec)?;
        let ready = watch(job.as_fd())?;
        Ok(Execution { job, ready })
    }

    /// Waits for the end, for at most `lifetime`.
    pub(crate) async fn end(mut self, lifetime: Option<Duration>) -> io::Result<JobEnd> {
        let Some(lifetime) = lifetime else {
            return self.wait().await;
        };
        if let Ok(end) = timeout(lifetime, self.wait()).await {
            return end;
        }
        let killed = spawn_blocking(move || self.job.kill_for_texts()).await;
        Ok(JobEnd::TooLong(killed?))
    }

    async fn wait(&mut self) -> io::Result<JobEnd> {
        loop {
            let event = self
                .ready
                .async_io(Interest::READABLE, || self.job.try_event())
                .await?;
            return Ok(match event {
                JobEvent::Started => continue,
                JobEvent::Finished(outcome) => JobEnd::Compiler(outcome),
                JobEvent::NoProgram(why) => JobEnd::NoProgram(why),
                JobEvent::Failed(why) => JobEnd::NotSetUp(why),
                JobEvent::OutOfMemory => JobEnd::OutOfMemory,
                JobEvent::Gone => JobEnd::Killed,
            });
        }
    }
}

/// Something that becomes readable with this socket between processes. It is used for nothing but
/// waiting: the descriptors that come with messages are received in `sys`.
pub(crate) fn watch(socket: BorrowedFd<'_>) -> io::Result<UnixDatagram> {
    let same = std::os::unix::net::UnixDatagram::from(socket.try_clone_to_owned()?);
    same.set_nonblocking(true)?;
    UnixDatagram::from_std(same)
}
