//! `scan-check COMPILE_COMMANDS_JSON [--sample N] [--compiler NAME] [--keep DIR] [--scan-deps PROGRAM] [--unanswered] [--blind NUMBER] [--verbose]`: compares the include
//! scanner with the compiler on a built tree. Ends with one line of figures; exit code 1 if a file was missed.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use scan_check::compare::{Plan, compare};
use scan_check::units;

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nobody is left to be told.
            drop(writeln!(io::stderr(), "scan-check: {error}"));
            ExitCode::from(2)
        }
    }
}

fn run(mut args: impl Iterator<Item = String>) -> io::Result<bool> {
    let usage = || {
        io::Error::other(
            "usage: scan-check COMPILE_COMMANDS_JSON [--sample N] [--compiler NAME] [--keep DIR] [--scan-deps PROGRAM] [--unanswered] [--blind NUMBER] [--verbose]",
        )
    };
    let mut database = None;
    let mut sample = None;
    let mut compiler = None;
    let mut plan = Plan::default();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--sample" => {
                sample = Some(
                    args.next()
                        .and_then(|n| n.parse::<usize>().ok())
                        .ok_or_else(usage)?,
                )
            }
            "--compiler" => compiler = Some(args.next().ok_or_else(usage)?),
            "--keep" => plan.keep = Some(PathBuf::from(args.next().ok_or_else(usage)?)),
            "--scan-deps" => plan.scan_deps = Some(args.next().ok_or_else(usage)?.into()),
            "--blind" => {
                plan.blind = Some(args.next().and_then(|n| n.parse().ok()).ok_or_else(usage)?)
            }
            "--unanswered" => plan.unanswered = true,
            "--verbose" => plan.verbose = true,
            _ if database.is_none() && !arg.starts_with('-') => database = Some(PathBuf::from(arg)),
            _ => return Err(usage()),
        }
    }
    let mut units = units::read(&database.ok_or_else(usage)?)?;
    if let Some(name) = compiler {
        for unit in &mut units {
            let cxx = unit.compiler.to_string_lossy().contains("++");
            unit.compiler = match (name.as_str(), cxx) {
                ("clang", true) => "clang++".into(),
                ("gcc", true) => "g++".into(),
                _ => name.clone().into(),
            };
        }
    }
    if let Some(sample) = sample {
        // Evenly over the tree, so that a sample sees all of its parts.
        let step = units.len().div_ceil(sample.max(1)).max(1);
        units = units.into_iter().step_by(step).collect();
    }
    if let Some(keep) = &plan.keep {
        std::fs::create_dir_all(keep)?;
    }
    let mut out = io::stdout().lock();
    let totals = compare(&units, &plan, &mut |text| {
        drop(writeln!(out, "{text}"));
    })?;
    let mut out = io::stdout().lock();
    for (reason, count) in totals.reasons.iter().take(20) {
        writeln!(out, "doubt in {count}: {reason}")?;
    }
    writeln!(out, "{}", totals.details())?;
    writeln!(out, "{}", totals.line())?;
    Ok(totals.missing == 0)
}
