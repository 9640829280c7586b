//! `cargo xtask dist DIR`: what a packager puts into a package.

use std::process::Command;

use crate::cargo::build_for_use;

/// Builds for release, and says where the programs are.
pub(crate) fn build() -> Result<(), String> {
    let dir = build_for_use()?;
    println!("{0}/farcc util install --prefix /usr/local", dir.display());
    Ok(())
}

/// Builds for release and lets the installer lay everything out below `dir`.
pub(crate) fn run(dir: &str) -> Result<(), String> {
    let programs = build_for_use()?;
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
