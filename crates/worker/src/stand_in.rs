//! For `cargo xtask bench cluster`, and only in programs that were built with the feature `stand-in`: a program that runs
//! in a compiler's place where the benchmark has marked the command.
//!
//! Everything around it is as always: what is sent, the input root with the client's own compiler in it, the sandbox,
//! the results. Commands without the mark, such as the test compile of a toolchain, run their compiler.

use std::path::{Path, PathBuf};

/// Names the directory with the program `run` and what that needs.
const VARIABLE: &str = "FARCC_STAND_IN";

/// Begins the option that marks a command.
const MARK: &str = "-frandom-seed=farcc-unit-";

/// Where jobs find the program.
const PROGRAM: &str = "/dev/stand-in/run";

/// The directory, if there is one.
pub(crate) fn dir() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).map(PathBuf::from)
}

/// What is to run instead of a command's program.
pub(crate) fn for_command(arguments: &[String]) -> Option<&'static Path> {
    let is_marked = arguments.iter().any(|word| word.starts_with(MARK));
    (is_marked && std::env::var_os(VARIABLE).is_some()).then_some(Path::new(PROGRAM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_where_jobs_see_the_directory() {
        assert_eq!(
            Path::new(PROGRAM).parent(),
            Some(Path::new(sys::sandbox::STAND_IN_DIR))
        );
    }
}
