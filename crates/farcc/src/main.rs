//! The `farcc` program and all its other names; see the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    farcc::main(farcc::World::of_this_process())
}
