//! Random programs of directives, compared with the compiler.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use scan::{Options, Request, check};

use crate::ask::Asker;
use crate::machine::Machine;
use crate::oracle;
use crate::units::Unit;

/// What came out of comparing many programs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Programs that the compiler accepted.
    pub compared: usize,
    /// Files in their sets, together.
    pub files: usize,
    /// Seeds of programs with a wrong answer, and what was wrong.
    pub wrong: Vec<(u64, String)>,
}

/// Compares programs made from seeds, in a folder of their own that is used again and again.
///
/// # Errors
///
/// When the compiler cannot be run or the folder not be written.
pub fn compare(
    compiler: &str,
    seeds: std::ops::Range<u64>,
    folder: &Path,
    bytes: &dyn Fn(u64) -> Vec<u8>,
) -> io::Result<Outcome> {
    let cwd = folder.join("w");
    let mut outcome = Outcome::default();
    let mut asker = Asker::default();
    let args: Vec<OsString> = check::ARGS.iter().map(OsString::from).collect();
    let unit = Unit {
        compiler: compiler.into(),
        args,
        cwd: cwd.clone(),
    };
    let options = Options::parse(&unit.args);
    for seed in seeds {
        if cwd.exists() {
            fs::remove_dir_all(&cwd)?;
        }
        for (path, content) in check::tree(&bytes(seed)) {
            let path = cwd.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&cwd))?;
            fs::write(path, content)?;
        }
        for dir in ["d0", "d1"] {
            fs::create_dir_all(cwd.join(dir))?;
        }
        let Some(needed) = oracle::files_read(&unit, folder)?.files else {
            continue;
        };
        outcome.compared += 1;
        outcome.files += needed.len();
        let toolchain = asker.toolchain(&unit.compiler, &options, &cwd)?;
        let request = Request {
            toolchain,
            options: &options,
            cwd: &cwd,
            cpath: &[],
            language_path: &[],
        };
        // Without answers first, when there is more to follow; the scanner with all its memory last.
        let mut fresh = Asker::default();
        let toolchain_of_fresh = fresh.toolchain(&unit.compiler, &options, &cwd)?;
        let unsure = fresh.scanner.scan(
            &mut Machine::now(),
            &Request {
                toolchain: toolchain_of_fresh,
                ..request
            },
        );
        let sure = asker.scan(&mut Machine::now(), &request);
        let wrong = |text: String| (seed, text);
        for (name, found, exact) in [("unsure", &unsure, false), ("sure", &sure, true)] {
            let real = |path: &Path| fs::canonicalize(cwd.join(path)).unwrap_or_default();
            let ours: Vec<_> = found.files.iter().map(|file| real(file.path())).collect();
            // Clang counts what it asks for in some conditions that it need not evaluate, but not in all.
            let probed = |file: &PathBuf| found.probed.iter().any(|it| real(it) == *file);
            let theirs: Vec<_> = needed.iter().map(|file| real(file)).collect();
            if !found.is_certain() {
                outcome
                    .wrong
                    .push(wrong(format!("{name}: {:?}", found.doubts)));
            } else if let Some(missing) = theirs.iter().find(|file| !ours.contains(file)) {
                outcome
                    .wrong
                    .push(wrong(format!("{name}: missing {}", missing.display())));
            } else if let Some(extra) = ours
                .iter()
                .find(|file| exact && !theirs.contains(file) && !probed(file))
            {
                outcome
                    .wrong
                    .push(wrong(format!("{name}: extra {}", extra.display())));
            }
        }
    }
    Ok(outcome)
}
