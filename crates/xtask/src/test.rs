//! `cargo xtask test`: everything that must hold before a change lands.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use e2e::programs::{BIN_VARIABLE, MISSING_VARIABLE};

use crate::cargo::{Profile, build_for_use, build_programs, cargo, install_quick_library};
use crate::steps::Steps;
use crate::{bench, foreign, packages, tidy};

/// Documentation is for those who change farcc: with what is private.
const DOC: [&str; 5] = [
    "doc",
    "--quiet",
    "--workspace",
    "--no-deps",
    "--document-private-items",
];

/// A link to something private works there.
const DOC_FLAGS: &str = "-D warnings -A rustdoc::private_intra_doc_links";

/// End-to-end tests in which the client program does all that it can.
const AS_INSTALLED: [&str; 5] = [
    "agent::",
    "forms::",
    "native::",
    "outputs::",
    "surroundings::",
];

/// How much is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything.
    All,
    /// Everything but the end-to-end tests, which build whole projects.
    Quick,
}

/// Runs all checks and tests. A failure does not keep the others from running.
pub(crate) fn run(scope: Scope) -> Result<(), String> {
    let mut steps = Steps::default();
    let missing = install(&mut steps, scope);
    steps.run("format", || {
        succeed(&mut cargo(&["fmt", "--all", "--check"]))
    });
    steps.run("lint", || {
        let words = "clippy --quiet --workspace --all-targets -- -D warnings";
        succeed(&mut cargo(&words.split(' ').collect::<Vec<_>>()))
    });
    steps.run("tidy", tidy::run);
    let programs = steps.run("build the programs", || build_programs(Profile::Debug));
    let mut tests = Tests::default();
    if let Some(programs) = programs {
        steps.run("test", || {
            let mut command = cargo(&["test", "--workspace", "--no-fail-fast"]);
            if scope == Scope::Quick {
                command.args(["--exclude", "e2e"]);
            }
            command.env(BIN_VARIABLE, programs);
            command.env(MISSING_VARIABLE, &missing);
            tests.run(&mut command)
        });
    }
    steps.run("documentation", || {
        let mut command = cargo(&DOC);
        succeed(command.env("RUSTDOCFLAGS", DOC_FLAGS))
    });
    if scope == Scope::All {
        steps.run("the programs as they are installed", || {
            tests.run(&mut as_installed(&missing)?)
        });
        steps.run("the same bytes", same_bytes);
        steps.run("what may not grow", || bench::ratchet::run(&[]));
    }
    let result = steps.finish();
    if !missing.is_empty() {
        println!("skipped: the tests that need {missing}");
    }
    if scope == Scope::Quick {
        println!("skipped: the end-to-end tests (--quick)");
    }
    println!("{} passed, {} failed", tests.passed, tests.failed);
    result
}

/// Installs what the tests need.
pub(crate) fn setup() -> Result<(), String> {
    let mut steps = Steps::default();
    let missing = install(&mut steps, Scope::All);
    if !missing.is_empty() {
        println!("still missing: {missing}");
    }
    steps.finish()
}

/// Installs what the tests need; the names of what cannot be had.
fn install(steps: &mut Steps, scope: Scope) -> String {
    let missing = steps.run("install what the tests need", packages::install);
    let missing = missing.into_iter().flatten().map(str::to_owned);
    let mut missing: Vec<String> = missing.collect();
    steps.run("install what distcc is linked with", install_quick_library);
    if scope == Scope::All {
        let clients = steps.run("install clients of remote execution", foreign::install);
        missing.extend(clients.unwrap_or_default());
    }
    missing.join(" ")
}

/// The tests that put the client program to most uses, with the one that people get: it is linked with another C library.
fn as_installed(missing: &str) -> Result<Command, String> {
    let mut command = cargo(&["test", "--package", "e2e", "--test", "runner", "--"]);
    command.args(AS_INSTALLED);
    command.env(BIN_VARIABLE, build_for_use()?);
    command.env(MISSING_VARIABLE, missing);
    Ok(command)
}

/// In a process of its own: each works with one build of the programs.
fn same_bytes() -> Result<(), String> {
    let own = std::env::current_exe().map_err(|error| format!("cannot find myself: {error}"))?;
    succeed(Command::new(own).args(["identity", "--public"]))
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{status}"))
    }
}

/// What Cargo's test programs have counted.
#[derive(Debug, Default)]
struct Tests {
    passed: u64,
    failed: u64,
}

impl Tests {
    /// Shows what the tests write and adds up their results.
    fn run(&mut self, command: &mut Command) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("cannot run the tests: {error}");
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
        let pipe = child.stdout.take().ok_or("the tests have no output")?;
        let mut terminal = std::io::stdout();
        for line in BufReader::new(pipe).split(b'\n') {
            let line = String::from_utf8_lossy(&line.map_err(failed)?).into_owned();
            self.count(&line);
            writeln!(terminal, "{line}").map_err(failed)?;
        }
        let status = child.wait().map_err(failed)?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{} tests failed", self.failed))
        }
    }

    /// `test result: ok. 3 passed; 0 failed; …`
    fn count(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        for part in result.split([';', '.']) {
            match part.trim().split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_added_up() {
        let mut tests = Tests::default();
        tests.count("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured");
        tests.count("test result: FAILED. 4 passed; 2 failed; 0 ignored; finished in 0.01s");
        tests.count("test it ... ok");
        assert_eq!((tests.passed, tests.failed), (7, 2));
    }
}
