//! Executes compiles for clients: `distccd`, and the worker of farcc.
//!
//! One process, one thread, and below it the spawner and the jobs (`sys::sandbox`):
//!
//! ```text
//! listener ──> connection ──> stock_job: receive, check, slot, unpack, execute, answer
//!              what is spoken    │                  │             │
//!                                cmdline,           slots         job_root, execute
//!                                compilers
//! ```
//!
//! A connection may fail in any way without a trace in the server: what it can take (memory,
//! slots, time) is bounded in `limits` and `slots`. Every refusal reaches both the client's user
//! (`refusal`) and the log.
//!
//! This crate does not know how the client decided to send a job here, nor what compiler options
//! mean (`cmdline`), nor the bytes of the protocol (`stock`), nor how a sandbox is made (`sys`).
#![forbid(unsafe_code)]

mod admission;
mod allow;
mod answer;
mod client;
mod compilers;
mod connection;
mod environment;
mod execute;
mod forecast;
mod isolation;
mod job_root;
mod limits;
mod listener;
mod log;
mod lru;
mod memory;
#[allow(dead_code, reason = "wip")]
mod native;
mod open_store;
mod options;
mod queue;
mod refusal;
mod saved;
mod server;
mod slots;
mod speed;
#[cfg(feature = "stand-in")]
mod stand_in;
mod start;
mod stats;
mod stock_job;
mod store_place;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

pub use options::{command, version_text};

use environment::Environment;
use options::{Asked, Options};

/// Runs the server with these arguments (without the program's name, which is `program`) until it
/// is stopped. The process must have no other thread yet.
#[must_use]
pub fn run(args: impl Iterator<Item = OsString>, program: &str) -> ExitCode {
    let options = match Options::parse(args, program) {
        Asked::Serve(options) => options,
        Asked::Print(text) => {
            let _closed = io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Asked::Wrong(why) => return bad_arguments(program, &why),
    };
    match Environment::read(|name| std::env::var_os(name)) {
        Ok(environment) => ExitCode::from(start::start(&options, environment)),
        Err(error) => bad_arguments(program, &error.to_string()),
    }
}

fn bad_arguments(program: &str, why: &str) -> ExitCode {
    let _closed = writeln!(io::stderr(), "{program}: {why}");
    ExitCode::from(stock::exit::ExitCode::BadArguments.code())
}
