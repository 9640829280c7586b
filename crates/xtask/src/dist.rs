//! `cargo xtask dist DIR`: what a packager puts into a package.

use std::process::Command;

use crate::cargo::{Profile, build_programs};

/// Builds for release and lets the installer lay everything out below `dir`.
pub(crate) fn run(dir: &str) -> Result<(), String> {
    let programs = build_programs(Profile::Release)?;
    let status = Command::new(programs.join("farcc"))
        .args(["util", "install", "--prefix", "/usr", "--destdir", dir])
        .status()
        .map_err(|error| format!("cannot run the installer: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the installer failed ({status})"))
    }
}
