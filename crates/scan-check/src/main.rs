//! `scan-check`: compares the include scanner with the compiler on built trees. Ends with one line of figures, or with a
//! table of all trees; exit code 1 if a file was missed. Called by the name of a compiler, it records compiles.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use scan_check::compare::{Plan, compare};
use scan_check::trees::Place;
use scan_check::units::{self, Unit};
use scan_check::{all, record};

const USAGE: &str = "\
usage: scan-check COMPILE_COMMANDS_JSON [OPTION]...
       scan-check --all [--dir DIR] [--only TREE]... [OPTION]...
options: --sample N, --compiler NAME, --keep DIR, --scan-deps PROGRAM, --unanswered, --blind NUMBER, --verbose";

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    let outcome = match record::called_as(&program) {
        Some(name) => Err(record::run(name, args.collect())),
        None => run(args),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nobody is left to be told.
            drop(writeln!(io::stderr(), "scan-check: {error}"));
            ExitCode::from(2)
        }
    }
}

/// The command line.
#[derive(Default)]
struct Words {
    database: Option<PathBuf>,
    all: bool,
    dir: Option<PathBuf>,
    only: Vec<String>,
    sample: Option<usize>,
    compiler: Option<String>,
    plan: Plan,
}

impl Words {
    fn parse(args: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut it = Self::default();
        let mut args = args.map(|word| word.to_string_lossy().into_owned());
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--all" => it.all = true,
                "--dir" => it.dir = Some(args.next()?.into()),
                "--only" => it.only.push(args.next()?),
                "--sample" => it.sample = Some(args.next()?.parse().ok()?),
                "--compiler" => it.compiler = Some(args.next()?),
                "--keep" => it.plan.keep = Some(args.next()?.into()),
                "--scan-deps" => it.plan.scan_deps = Some(args.next()?.into()),
                "--blind" => it.plan.blind = Some(args.next()?.parse().ok()?),
                "--unanswered" => it.plan.unanswered = true,
                "--verbose" => it.plan.verbose = true,
                _ if it.database.is_none() && !arg.starts_with('-') => {
                    it.database = Some(arg.into());
                }
                _ => return None,
            }
        }
        (it.all != it.database.is_some()).then_some(it)
    }

    /// The units that are wanted, with the compiler that is wanted.
    fn adjust(&self, mut units: Vec<Unit>) -> Vec<Unit> {
        if let Some(name) = &self.compiler {
            for unit in &mut units {
                let cxx = unit.compiler.to_string_lossy().contains("++");
                unit.compiler = match (name.as_str(), cxx) {
                    ("clang", true) => "clang++".into(),
                    ("gcc", true) => "g++".into(),
                    _ => name.into(),
                };
            }
        }
        if let Some(sample) = self.sample {
            // Evenly over the tree, so that a sample sees all of its parts.
            let step = units.len().div_ceil(sample.max(1)).max(1);
            units = units.into_iter().step_by(step).collect();
        }
        units
    }
}

fn run(args: impl Iterator<Item = OsString>) -> io::Result<bool> {
    let mut words = Words::parse(args).ok_or_else(|| io::Error::other(USAGE))?;
    let mut out = io::stdout().lock();
    let mut say = |text: &str| drop(writeln!(out, "{text}").and_then(|()| out.flush()));
    let Some(database) = &words.database else {
        if words.plan.scan_deps.is_none() {
            words.plan.scan_deps = find_scan_deps();
        }
        let place = Place::new(&words.dir.clone().unwrap_or_else(default_dir))?;
        let adjust = |units| words.adjust(units);
        return all::run(&place, &words.only, &words.plan, &adjust, &mut say);
    };
    let units = words.adjust(units::read(database)?);
    if let Some(keep) = &words.plan.keep {
        std::fs::create_dir_all(keep)?;
    }
    let totals = compare(&units, &words.plan, &mut say)?;
    totals.report(&mut say);
    Ok(totals.missing == 0)
}

/// A `clang-scan-deps` of this machine, whatever its version.
fn find_scan_deps() -> Option<OsString> {
    let path = std::env::var_os("PATH")?;
    let versions = (11..40)
        .rev()
        .map(|version| format!("clang-scan-deps-{version}"));
    let names: Vec<String> = std::iter::once("clang-scan-deps".to_owned())
        .chain(versions)
        .collect();
    let mut candidates =
        std::env::split_paths(&path).flat_map(|dir| names.iter().map(move |name| dir.join(name)));
    candidates.find(|it| it.exists()).map(OsString::from)
}

/// Where trees are made unless the caller says.
fn default_dir() -> PathBuf {
    let named = std::env::var_os("CORPUS").filter(|it| !it.is_empty());
    let home = std::env::var_os("HOME").unwrap_or_default();
    named.map_or_else(|| Path::new(&home).join(".cache/corpus"), PathBuf::from)
}
