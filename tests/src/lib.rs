//! What end-to-end tests, the demo and the benchmarks need: a place of their own with real
//! programs in it, servers on loopback, and certainty that nothing is left running.
//!
//! Read [`workspace::Workspace`] first. Nothing here sleeps: servers announce that they are
//! ready, processes are waited for through the kernel, and every wait has a deadline that only a
//! hang reaches.

pub mod agents;
pub mod casd;
pub mod corpus;
pub mod foreign;
mod log;
pub mod peer;
pub mod processes;
pub mod programs;
pub mod run;
pub mod server;
pub mod terminal;
pub mod workspace;

use std::time::Duration;

/// No child that works takes this long, even on a busy machine with few cores.
pub const HANG_GUARD: Duration = Duration::from_secs(180);
