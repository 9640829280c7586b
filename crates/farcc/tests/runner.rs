//! Tests of the programs as people and scripts call them.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

#[path = "runner/space.rs"]
mod space;

#[path = "runner/agent.rs"]
mod agent;
#[path = "runner/help.rs"]
mod help;
#[path = "runner/hosts.rs"]
mod hosts;
#[path = "runner/install.rs"]
mod install;
#[path = "runner/monitor.rs"]
mod monitor;
#[path = "runner/names.rs"]
mod names;
#[path = "runner/run.rs"]
mod run;
#[path = "runner/scan.rs"]
mod scan;

/// A file that is not named above would never run.
#[test]
fn no_test_file_is_forgotten() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runner");
    let this = include_str!("runner.rs");
    for entry in std::fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(this.contains(&format!("\"runner/{name}\"")), "{name}");
    }
}
