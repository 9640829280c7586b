//! `cargo xtask scan-check COMPILE_COMMANDS_JSON …`: the include scanner against a compiler.

use crate::cargo::cargo;

/// Builds and runs the program `scan-check` with the given words, from the directory in which the
/// user stands.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let here = std::env::current_dir().map_err(|error| format!("no directory: {error}"))?;
    let manifest = crate::cargo::root().join("Cargo.toml");
    let status = cargo(&["run", "--quiet", "--release", "--package", "scan-check"])
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--")
        .args(words)
        .current_dir(here)
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("scan-check: {status}"))
    }
}
