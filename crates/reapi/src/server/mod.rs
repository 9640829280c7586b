//! The server's half: what a worker offers to clients that speak the Remote Execution API.
//!
//! - `connection`: one HTTP/2 connection, its limits, its end;
//! - `dispatch`: from a call's path to what answers it;
//! - one file or folder per service.
//!
//! Instance names are accepted and ignored: a worker has one store and runs one kind of job, and
//! clients are configured with all sorts of names.

mod action_cache;
mod byte_stream;
mod call;
mod capabilities;
mod cas;
mod client;
mod complete;
mod connection;
mod digests;
mod dispatch;
mod execution;
mod failure;
mod get_tree;
mod inline;
mod refuse;
mod status;
mod uploads;

use std::sync::Arc;

use store::Store;
use tokio::sync::watch;

use self::byte_stream::Parked;
use self::execution::Operations;
use crate::executor::Executor;

pub use connection::{ConnectionError, serve_connection};
pub use refuse::{Refused, refuse_connection};

/// Everything that all connections share. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    shared: Arc<Shared>,
}

/// See [`Services`].
struct Shared {
    store: Store,
    executor: Arc<dyn Executor>,
    parked: Parked,
    operations: Operations,
    status_changes: watch::Sender<()>,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}

impl Services {
    /// Services over a store, whose jobs an executor runs.
    #[must_use]
    pub fn new(store: Store, executor: Arc<dyn Executor>) -> Services {
        Services {
            shared: Arc::new(Shared {
                store,
                executor,
                parked: Parked::default(),
                operations: Operations::default(),
                status_changes: watch::Sender::new(()),
            }),
        }
    }

    /// Says that the executor's status has changed, so that those who watch it are told. To be
    /// called when a job is queued, starts or ends.
    pub fn status_changed(&self) {
        self.shared.status_changes.send_replace(());
    }
}
