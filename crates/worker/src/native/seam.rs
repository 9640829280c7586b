//! Between the services, whose tasks may run on any thread, and the server, whose jobs run on one.
//!
//! A job goes to the server through a channel, with the means to tell how it goes. When the
//! service no longer waits for it, the server sees that the receiver is gone.

use std::sync::Arc;

use async_trait::async_trait;
use reapi::{ActionResult, ExecuteError, Executor, Job, Progress, WorkerStatus};
use tokio::sync::{mpsc, oneshot};

use super::status::Status;

/// A job for the server.
#[derive(Debug)]
pub(crate) struct Request {
    pub(super) job: Job,
    /// Told when it has a slot.
    pub(super) started: oneshot::Sender<()>,
    /// Closed when nobody waits for it any more.
    pub(super) answer: oneshot::Sender<Result<ActionResult, ExecuteError>>,
}

/// The server as the services see it.
#[derive(Debug)]
pub(super) struct Seam {
    pub(super) requests: mpsc::UnboundedSender<Request>,
    pub(super) status: Arc<Status>,
}

#[async_trait]
impl Executor for Seam {
    async fn execute(&self, job: Job, progress: &Progress) -> Result<ActionResult, ExecuteError> {
        let (started, mut starts) = oneshot::channel();
        let (answer, mut answered) = oneshot::channel();
        let request = Request {
            job,
            started,
            answer,
        };
        let gone = || ExecuteError::Unavailable("this worker is being stopped".into());
        self.requests.send(request).map_err(|_| gone())?;
        let mut waits = true;
        loop {
            tokio::select! {
                biased;
                start = &mut starts, if waits => {
                    waits = false;
                    if start.is_ok() {
                        progress.executing();
                    }
                }
                answer = &mut answered => return answer.unwrap_or_else(|_| Err(gone())),
            }
        }
    }

    fn status(&self) -> WorkerStatus {
        self.status.now()
    }
}
