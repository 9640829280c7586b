//! What valgrind counts.

use std::path::Path;
use std::process::{Command, Stdio};

/// Words before a program whose instructions are counted.
pub(super) const INSTRUCTIONS: &[&str] = &["--tool=callgrind", "--callgrind-out-file=/dev/null"];

/// Words before a program whose allocations are counted.
pub(super) const ALLOCATIONS: &[&str] = &[
    "--tool=memcheck",
    "--leak-check=no",
    "--undef-value-errors=no",
];

/// Instructions of a program from start to end; `valgrind` has the environment.
pub(super) fn instructions(
    valgrind: &mut Command,
    program: &Path,
    words: &[&str],
) -> Result<u64, String> {
    let said = run(valgrind.args(INSTRUCTIONS), program, words)?;
    instructions_in(&said)
}

/// Allocations of a program from start to end.
pub(super) fn allocations(
    valgrind: &mut Command,
    program: &Path,
    words: &[&str],
) -> Result<u64, String> {
    let said = run(valgrind.args(ALLOCATIONS), program, words)?;
    allocations_in(&said)
}

fn run(valgrind: &mut Command, program: &Path, words: &[&str]) -> Result<String, String> {
    let output = valgrind
        .arg(program)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    Err(format!(
        "{} failed under valgrind:\n{said}",
        program.display()
    ))
}

/// `==1== Collected : 1234`
pub(super) fn instructions_in(said: &str) -> Result<u64, String> {
    let number = after(said, "Collected :");
    number.ok_or_else(|| format!("valgrind counted no instructions:\n{said}"))
}

/// `==1==   total heap usage: 1,234 allocs, …`
pub(super) fn allocations_in(said: &str) -> Result<u64, String> {
    let number = after(said, "total heap usage:");
    number.ok_or_else(|| format!("valgrind counted no allocations:\n{said}"))
}

fn after(said: &str, words: &str) -> Option<u64> {
    let (_, rest) = said.rsplit_once(words)?;
    let number = rest.split_whitespace().next()?;
    number.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found() {
        let said = "==1== \n==1== Events    : Ir\n==1== Collected : 14416214\n";
        assert_eq!(instructions_in(said), Ok(14_416_214));
        let said = "==1==   total heap usage: 105,021 allocs, 105,020 frees, 1 bytes allocated\n";
        assert_eq!(allocations_in(said), Ok(105_021));
        assert!(allocations_in("").is_err());
    }
}
