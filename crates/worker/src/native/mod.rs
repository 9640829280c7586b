//! Actions of clients that speak the Remote Execution API.
//!
//! ```text
//! services (reapi) ── seam ──> job: check, slot, prepare, execute, collect, answer
//!                               │             │                  │
//!                               platform,     prepare            outputs
//!                               describe      folder ─ plan ─ trees, shared_trees
//! ```
//!
//! The services' tasks may run anywhere; jobs run on the server's one thread, like those of stock's
//! clients, and wait for the same slots. What waits for the disk runs on threads beside.

mod describe;
mod folder;
mod job;
mod outputs;
mod plan;
pub(crate) mod platform;
mod prepare;
mod seam;
mod shared_trees;
mod status;
mod tree_diff;
mod trees;

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use reapi::Services;
use store::Store;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::server::{Phase, Server};
use crate::slots::Slots;
use crate::{limits, speed};
use platform::Property;
use prepare::Workshop;
use seam::{Request, Seam};
use status::Status;

/// What the server has for these clients.
#[derive(Debug)]
pub(crate) struct Native {
    services: Services,
    workshop: Arc<Workshop>,
    properties: Vec<Property>,
    /// Bounds threads that wait for the disk.
    disk: Semaphore,
    jobs: Jobs,
    status: Arc<Status>,
    /// Most bytes of the commands of all jobs that wait or run.
    jobs_bytes_max: u64,
}

/// Jobs that there are, and when there was one.
#[derive(Debug, Default)]
struct Jobs {
    count: Cell<usize>,
    /// Of their commands.
    bytes: Cell<u64>,
    last_end: Cell<Option<Instant>>,
    none_left: Notify,
}

/// Requests of the services, to be handed to [`serve`].
#[derive(Debug)]
pub(crate) struct Requests(mpsc::UnboundedReceiver<Request>);

impl Native {
    /// Offers a store, and this server's slots to run jobs in.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn new(
        store: Store,
        slots: &Slots,
        machine_bytes: u64,
        properties: Vec<Property>,
    ) -> io::Result<(Native, Requests)> {
        let (requests, receiver) = mpsc::unbounded_channel();
        let count = slots.counts().slots;
        let status = Arc::new(Status {
            store: store.clone(),
            gauges: Arc::clone(slots.gauges()),
            slots: count,
            machine_bytes,
            speed_milli: AtomicU32::new(0),
        });
        let seam = Seam {
            requests,
            status: Arc::clone(&status),
        };
        let native = Native {
            services: Services::new(store.clone(), Arc::new(seam)),
            workshop: Arc::new(Workshop::new(store, count)?),
            properties,
            disk: Semaphore::new(limits::DISK_THREADS_MAX),
            jobs: Jobs::default(),
            status,
            jobs_bytes_max: limits::request_memory_bytes(machine_bytes) / 4,
        };
        Ok((native, Requests(receiver)))
    }

    /// Serves one connection.
    pub(crate) async fn connection<S>(&self, server: &Server, stream: S, peer: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let ends = self.connections_end(server);
        let services = self.services.clone();
        let served = reapi::serve_connection(stream, peer, services, ends);
        let served = tokio::select! {
            served = served => served,
            () = stopped(server) => Ok(()),
        };
        match served {
            Ok(()) => server.log.debug(format_args!("{peer}: connection closed")),
            Err(error) => server.log.info(format_args!("{peer}: {error}")),
        }
    }

    /// Returns when connections should end: the server is told to stop, jobs have ended, and
    /// their clients had the time to fetch what they made.
    async fn connections_end(&self, server: &Server) {
        server.reached(Phase::Draining).await;
        while self.jobs.count.get() > 0 {
            self.jobs.none_left.notified().await;
        }
        if let Some(end) = self.jobs.last_end.get() {
            let deadline = end + limits::FETCH_TIME;
            tokio::time::sleep_until(deadline.into()).await;
        }
    }
}

async fn stopped(server: &Server) {
    server.reached(Phase::Stopping).await;
    tokio::time::sleep(limits::STOP_TIME_MAX / 2).await;
}

/// A job's part of what all jobs may take.
#[derive(Debug)]
struct Admitted<'a> {
    jobs: &'a Jobs,
    bytes: u64,
}

impl Jobs {
    /// Counts a job until what is returned is dropped; `None` if all jobs would take more than
    /// `bytes_max`.
    fn admit(&self, bytes: u64, bytes_max: u64) -> Option<Admitted<'_>> {
        let all = self.bytes.get() + bytes;
        if all > bytes_max {
            return None;
        }
        self.bytes.set(all);
        Some(Admitted { jobs: self, bytes })
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.jobs.bytes.set(self.jobs.bytes.get() - self.bytes);
    }
}

/// Runs jobs as the services ask for them. Must run in a `LocalSet`.
pub(crate) async fn serve(server: Rc<Server>, native: Rc<Native>, mut requests: Requests) {
    let status = Arc::clone(&native.status);
    let _told_when_known = tokio::task::spawn_blocking(move || {
        let speed = speed::measure_milli();
        status.speed_milli.store(speed, Ordering::Relaxed);
    });
    let mut jobs = JoinSet::new();
    loop {
        tokio::select! {
            request = requests.0.recv() => {
                let Some(request) = request else { return };
                native.jobs.count.set(native.jobs.count.get() + 1);
                jobs.spawn_local(job::serve(Rc::clone(&server), Rc::clone(&native), request));
            }
            Some(ended) = jobs.join_next() => {
                if let Err(error) = ended {
                    server.log.error(format_args!("a job failed: {error}"));
                }
                native.jobs.count.set(native.jobs.count.get() - 1);
                native.jobs.last_end.set(Some(Instant::now()));
                if native.jobs.count.get() == 0 {
                    native.jobs.none_left.notify_waiters();
                }
            }
            () = server.slots.changed() => native.services.status_changed(),
        }
    }
}
