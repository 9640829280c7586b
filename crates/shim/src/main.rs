//! `distcc`: started once per compile.
//!
//! Finds out which compiler is meant, asks the agent what to do, and does it: runs the
//! preprocessor, puts outputs in place, or becomes the compiler. Everything that needs thought
//! happens in the agent. Everything that can go wrong here ends in the compiler being run.

#![forbid(unsafe_code)]

mod compiler;
mod conversation;
mod invocation;
mod local;
mod log;
mod messages;
mod own_options;
mod parts;
mod shim;

use std::process::ExitCode;

fn main() -> ExitCode {
    shim::run(std::env::args_os().collect())
}
