//! Tests of the sandbox with real jobs.
//!
//! A sandbox is started by a process with one thread, which the usual harness has not. So each
//! test here is a process of its own: this program, started again with the test's name. Started by
//! root, it runs each test twice, the second time as an ordinary user.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on is a test that fails"
)]

mod attacks;
mod commands;
mod control_groups;
mod costs;
mod harness;
mod input_roots;
mod outputs;
mod without_sandbox;
mod world;

/// One test: its name, and what it does.
type Test = (&'static str, fn());

/// Those that are run.
const TESTS: &[&[Test]] = &[
    attacks::TESTS,
    commands::TESTS,
    control_groups::TESTS,
    input_roots::TESTS,
    outputs::TESTS,
    without_sandbox::TESTS,
];

/// Those that are run when asked for (`--ignored`).
const MEASUREMENTS: &[&[Test]] = &[costs::TESTS];

fn main() -> std::process::ExitCode {
    harness::main(TESTS, MEASUREMENTS)
}
