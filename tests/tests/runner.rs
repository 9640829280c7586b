//! All end-to-end tests in one program.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

mod agent;
mod builds;
mod farcc_run;
mod faults;
mod files;
mod forms;
mod held;
mod monitor;
mod native;
mod outputs;
mod pairings;
mod portage;
mod protocol3;
mod random;
mod remote_execution;
mod scanner;
mod surroundings;
