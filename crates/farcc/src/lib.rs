//! The `farcc` program: one file, many names.
//!
//! Command lines, configuration, error printing and exit codes; the work itself is in the crates
//! below: `agent` sends compiles away, `worker` takes them in, `monitor` watches. What only the
//! command line needs is here: masquerade directories (`masquerade`), `farcc run`, installing,
//! Gentoo's `distcc-config` and the like.

#![forbid(unsafe_code)]

mod agent_command;
mod agent_socket;
mod ask_agent;
mod cli;
mod compilers;
mod distcc_config;
mod distccmon;
mod error;
mod exit;
mod explain;
mod hosts;
mod install;
mod lsdistcc;
mod manual;
mod masquerade;
mod one_compile;
mod program;
mod pump;
mod report;
mod run;
mod scan_includes;
mod status;
mod symlinks;
mod world;

use std::process::ExitCode;

pub use agent_socket::AgentError;
pub use error::Error;
pub use exit::{Exit, SIGNAL_BASE};
pub use masquerade::MasqueradeError;
pub use world::World;

/// Does what the program's name and arguments say, and prints what went wrong.
#[must_use]
pub fn main(world: World) -> ExitCode {
    let name = world.program_name();
    program::run(world).unwrap_or_else(|error| report::error(&name, &error).into())
}
