//! The server alone, for tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::run(std::env::args_os().skip(1), "distccd")
}
