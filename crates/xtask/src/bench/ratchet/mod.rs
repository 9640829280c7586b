//! `cargo xtask bench ratchet`: what does not depend on the machine's mood, and may not grow unnoticed.
//!
//! Times say little on a busy machine, so this counts: instructions and allocations (by valgrind), bytes on the wire, the
//! shim's size. Each figure has a budget (`budgets.toml`); one that grows beyond it fails, and `--accept` writes what was
//! measured as the new budget. Another compiler or C library may move figures by a little, which is what the tolerances
//! are for.

mod agent;
mod budgets;
mod counts;

use std::path::Path;
use std::process::Command;

use e2e::programs;
use e2e::workspace::Workspace;

use crate::bench::stub_agent;
use crate::cargo::{build_release, build_shim_with_glibc, target_dir, use_release_programs};
use budgets::Figure;
use counts::{allocations, instructions};

/// Jobs of the scheduler between two counts, after it is busy.
const DECISIONS: [usize; 2] = [2000, 4000];

/// Sources in a round of `ratchet scans`.
const SCANNED_SOURCES: u64 = 40;

/// Measures everything and compares it with the budgets.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let accept = match words {
        [] => false,
        ["--accept"] => true,
        _ => return Err(format!("{} is not understood", words.join(" "))),
    };
    if programs::find("/usr/bin/valgrind").is_none() {
        println!("SKIPPED: nothing is counted without valgrind (apt-get install valgrind)");
        return Ok(());
    }
    use_release_programs()?;
    build_release(&["ratchet"])?;
    let mut figures = shim()?;
    figures.extend(pure_cores()?);
    figures.extend(agent::measure()?);
    budgets::settle(&figures, accept)
}

/// The shim's size, and one job of an agent that answers at once.
fn shim() -> Result<Vec<Figure>, String> {
    // The one that can be built everywhere.
    let path = build_shim_with_glibc()?;
    // Valgrind sees allocations of the shared C library only.
    let shared = target_dir()?.join("release/distcc");
    let size = std::fs::metadata(&path).map_err(|error| error.to_string())?;
    let workspace = Workspace::new();
    stub_agent::serve(&workspace.distcc_dir())?;
    let one_job = |counted: fn(&mut Command, &Path, &[&str]) -> Result<u64, String>,
                   path: &Path| {
        counted(
            &mut workspace.command("/usr/bin/valgrind"),
            path,
            &["gcc", "-c", "a.c", "-o", "a.o"],
        )
    };
    Ok(vec![
        Figure::new("shim_bytes", size.len()),
        Figure::new("shim_instructions", one_job(instructions, &path)?),
        Figure::new("shim_allocations", one_job(allocations, &shared)?),
    ])
}

/// The scanner and the scheduler, which touch nothing of the machine.
fn pure_cores() -> Result<Vec<Figure>, String> {
    let program = target_dir()?.join("release/ratchet");
    let count = |work: &str, times: usize| {
        let times = times.to_string();
        instructions(
            &mut Command::new("/usr/bin/valgrind"),
            &program,
            &[work, &times],
        )
    };
    let scans = [count("scans", 0)?, count("scans", 1)?, count("scans", 2)?];
    let [few, many] = DECISIONS;
    let decisions = count("decisions", many)?.saturating_sub(count("decisions", few)?);
    Ok(vec![
        Figure::new(
            "scan_first_instructions",
            scans[1].saturating_sub(scans[0]) / SCANNED_SOURCES,
        ),
        Figure::new(
            "scan_again_instructions",
            scans[2].saturating_sub(scans[1]) / SCANNED_SOURCES,
        ),
        Figure::new("decision_instructions", decisions / (many - few) as u64),
    ])
}
