//! The comparison: for every unit, the scanner's set against what the compiler says it read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use scan::{Files, Found, Holds, Options, Request, Scan};

use crate::ask::Asker;
use crate::machine::Machine;
use crate::oracle;
use crate::units::Unit;

/// What is to be done.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Folder for the compiler's answers, which are then not asked for again.
    pub keep: Option<PathBuf>,
    /// Do not ask the compiler what the scanner wants to know: both groups of many conditionals are then followed.
    pub unanswered: bool,
    /// Take every eighth condition for unknown, chosen by this number: the answer must still hold every file.
    pub blind: Option<u64>,
    /// A `clang-scan-deps` to be measured on the same units, in one process and one thread.
    pub scan_deps: Option<OsString>,
    /// Tell about every unit that is not exact.
    pub verbose: bool,
}

/// CPU of `clang-scan-deps` to be measured: a hundred ticks.
const SCAN_DEPS_MS_MIN: f64 = 1000.0;

/// Runs of `clang-scan-deps` for that.
const SCAN_DEPS_RUNS_MAX: f64 = 10.0;

/// Different doubts that a report names.
const REASONS_MAX: usize = 20;

/// Sums over all units.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    /// Units compared.
    pub units: usize,
    /// Units that the compiler itself fails to preprocess.
    pub failed: usize,
    /// Units with a file that a certain scan did not find.
    pub missing: usize,
    /// Units with a doubt.
    pub doubts: usize,
    /// Files that the compiler reads.
    pub needed: usize,
    /// Files found beyond them.
    pub extra: usize,
    /// Conditions of unknown value.
    pub unknown: usize,
    /// CPU of scans with nothing known in the beginning, in milliseconds.
    pub first_ms: f64,
    /// CPU of scans when only text between directives of the sources has changed.
    pub steady_ms: f64,
    /// CPU of scans when a directive of every source has changed.
    pub changed_ms: f64,
    /// CPU of the compiler.
    pub compiler_ms: f64,
    /// CPU of `clang-scan-deps`.
    pub scan_deps_ms: Option<f64>,
    /// Bytes that the scanner holds at the end, roughly.
    pub memory: usize,
    /// Doubts by their text.
    pub reasons: BTreeMap<String, usize>,
}

/// Compares all units.
///
/// # Errors
///
/// When a compiler cannot be run.
pub fn compare(units: &[Unit], plan: &Plan, say: &mut dyn FnMut(&str)) -> io::Result<Totals> {
    let mut asker = Asker::keeping(plan.keep.clone());
    if let Some(choice) = plan.blind {
        asker.scanner.blind(choice);
    }
    let mut totals = Totals::default();
    let mut real = RealPaths::default();
    let scratch = scratch()?;
    let mut certain = Vec::new();
    for unit in units {
        let options = expand(unit);
        let answer = oracle::files_read_kept(unit, &scratch, plan.keep.as_deref())?;
        totals.compiler_ms += answer.cpu_ms;
        let Some(needed) = answer.files else {
            totals.failed += 1;
            continue;
        };
        let toolchain = asker.toolchain(&unit.compiler, &options, &unit.cwd)?;
        let request = Request {
            toolchain,
            options: &options,
            cwd: &unit.cwd,
            cpath: &[],
            language_path: &[],
        };
        let before = own_ms();
        let found = if plan.unanswered {
            asker.scanner.scan(&mut Machine::now(), &request)
        } else {
            asker.scan(&mut Machine::now(), &request)
        };
        totals.first_ms += own_ms() - before;
        judge(unit, &needed, &found, &mut real, &mut totals, &mut |text| {
            if plan.verbose || text.contains("missing") {
                say(text);
            }
        });
        certain.push((unit, toolchain));
    }
    for (unit, toolchain) in certain {
        let options = expand(unit);
        let request = Request {
            toolchain,
            options: &options,
            cwd: &unit.cwd,
            cpath: &[],
            language_path: &[],
        };
        totals.steady_ms += again(&mut asker, &request, b"\n/* another text */\n");
        totals.changed_ms += again(&mut asker, &request, b"\n#define ANOTHER_DIRECTIVE 1\n");
    }
    totals.memory = asker.scanner.memory();
    if let Some(program) = &plan.scan_deps {
        totals.scan_deps_ms = Some(scan_deps_ms(program, units, &scratch)?);
    }
    fs::remove_dir_all(&scratch)?;
    Ok(totals)
}

/// CPU of `clang-scan-deps`, which is counted in ticks: of several runs if one is short.
fn scan_deps_ms(program: &OsStr, units: &[Unit], scratch: &Path) -> io::Result<f64> {
    let before = oracle::children_ms();
    let mut runs = 0.0;
    loop {
        oracle::clang_scan_deps(program, units, scratch)?;
        runs += 1.0;
        let spent = oracle::children_ms() - before;
        if spent >= SCAN_DEPS_MS_MIN || runs >= SCAN_DEPS_RUNS_MAX {
            return Ok(spent / runs);
        }
    }
}

/// CPU of a scan after a change at the end of its source.
fn again(asker: &mut Asker, request: &Request<'_>, change: &'static [u8]) -> f64 {
    let source = request
        .cwd
        .join(request.options.source().unwrap_or_default());
    let before = own_ms();
    let found = asker.scanner.scan(
        &mut Edited {
            machine: Machine::now(),
            source,
            change,
        },
        request,
    );
    let spent = own_ms() - before;
    drop(found);
    spent
}

/// Files of which one has grown.
struct Edited {
    machine: Machine,
    source: PathBuf,
    change: &'static [u8],
}

impl Files for Edited {
    fn look(&mut self, path: &Path) -> (Found, Holds) {
        let (mut found, holds) = self.machine.look(path);
        if let Found::File(stamp) = &mut found
            && path.as_os_str() == self.source
        {
            stamp.mtime_ns += 1;
            stamp.size += self.change.len() as u64;
        }
        (found, holds)
    }

    fn read(&mut self, path: &Path, size: u64) -> Option<Vec<u8>> {
        let mut bytes = self.machine.read(path, size)?;
        if path == self.source {
            bytes.extend_from_slice(self.change);
        }
        Some(bytes)
    }

    fn link(&mut self, path: &Path) -> Option<Vec<u8>> {
        self.machine.link(path)
    }
}

/// Options of a unit, response files included.
fn expand(unit: &Unit) -> Options {
    let mut args = Vec::new();
    for word in &unit.args {
        let content = word
            .to_str()
            .and_then(|it| it.strip_prefix('@'))
            .and_then(|file| fs::read(unit.cwd.join(file)).ok());
        match content {
            Some(content) => args.extend(scan::options::response_words(&content)),
            None => args.push(word.clone()),
        }
    }
    Options::parse(&args)
}

fn judge(
    unit: &Unit,
    needed: &[PathBuf],
    found: &Scan,
    real: &mut RealPaths,
    totals: &mut Totals,
    say: &mut dyn FnMut(&str),
) {
    let source = unit
        .args
        .iter()
        .rev()
        .find(|it| !it.as_encoded_bytes().starts_with(b"-"))
        .cloned()
        .unwrap_or_default();
    let source = source.to_string_lossy().into_owned();
    totals.units += 1;
    let needed: BTreeSet<PathBuf> = needed
        .iter()
        .map(|file| real.of(&unit.cwd.join(file)))
        .collect();
    let ours: BTreeSet<PathBuf> = found
        .files
        .iter()
        .map(|file| real.of(file.path()))
        .collect();
    if !found.is_certain() {
        totals.doubts += 1;
        for doubt in &found.doubts {
            *totals.reasons.entry(format!("{doubt:?}")).or_default() += 1;
        }
        say(&format!("{source}: doubt {:?}", found.doubts));
        return;
    }
    let missing: Vec<&PathBuf> = needed.difference(&ours).collect();
    if !missing.is_empty() {
        totals.missing += 1;
        say(&format!("{source}: missing {missing:?}"));
    }
    let extra: Vec<&PathBuf> = ours.difference(&needed).collect();
    if !extra.is_empty() {
        say(&format!(
            "{source}: extra {extra:?}; unknown {:?}",
            unknown(found)
        ));
    }
    totals.needed += needed.len();
    totals.extra += extra.len();
    totals.unknown += found.unknown.len();
}

fn unknown(found: &Scan) -> Vec<String> {
    let place = |it: &scan::UnknownCondition| {
        let file = found
            .files
            .get(it.file)
            .map(|file| file.spelled().display().to_string())
            .unwrap_or_default();
        format!("{file}:{}", it.line)
    };
    found.unknown.iter().take(8).map(place).collect()
}

/// Paths without links, remembered.
#[derive(Debug, Default)]
struct RealPaths(HashMap<PathBuf, PathBuf>);

impl RealPaths {
    fn of(&mut self, path: &Path) -> PathBuf {
        self.0
            .entry(path.to_path_buf())
            .or_insert_with(|| fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()))
            .clone()
    }
}

fn scratch() -> io::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("scan-check-{}-{count}", std::process::id());
    let path = std::env::temp_dir().join(name);
    fs::create_dir_all(&path)?;
    Ok(path)
}

/// CPU of this thread in milliseconds.
#[expect(clippy::cast_precision_loss, reason = "milliseconds for people")]
fn own_ms() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    spent.tv_sec as f64 * 1e3 + spent.tv_nsec as f64 / 1e6
}

impl Totals {
    /// Mean number of files too many, in percent of those needed.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
    pub fn extra_percent(&self) -> f64 {
        100.0 * self.extra as f64 / self.needed.max(1) as f64
    }

    /// The line that ends the report. Times are means per unit.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "means for people")]
    pub fn line(&self) -> String {
        let mean = |sum: f64| sum / self.units.max(1) as f64;
        format!(
            "units={} missing={} extra_percent={:.2} doubts={} scan_cpu_ms={:.3} gcc_E_cpu_ms={:.1}",
            self.units,
            self.missing,
            self.extra_percent(),
            self.doubts,
            mean(self.first_ms),
            mean(self.compiler_ms)
        )
    }

    /// Says everything that is known of a tree; the line of figures comes last.
    pub fn report(&self, say: &mut dyn FnMut(&str)) {
        for (reason, count) in self.reasons.iter().take(REASONS_MAX) {
            say(&format!("doubt in {count}: {reason}"));
        }
        say(&self.details());
        say(&self.line());
    }

    /// More figures, for people.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "means for people")]
    pub fn details(&self) -> String {
        let mean = |sum: f64| sum / self.units.max(1) as f64;
        let scan_deps = self.scan_deps_ms.map_or_else(String::new, |sum| {
            let times = |ours: f64| sum / ours.max(0.001);
            format!(
                "; clang-scan-deps {:.3} ms, {:.1}, {:.1} and {:.1} times as much",
                mean(sum),
                times(self.first_ms),
                times(self.steady_ms),
                times(self.changed_ms)
            )
        });
        format!(
            "files per unit {:.0}; unknown conditions per unit {:.2}; units that the compiler rejects {}; CPU per unit: first scan {:.3} ms, text changed {:.3} ms, directive changed {:.3} ms{scan_deps}; memory {} KiB",
            self.needed as f64 / self.units.max(1) as f64,
            self.unknown as f64 / self.units.max(1) as f64,
            self.failed,
            mean(self.first_ms),
            mean(self.steady_ms),
            mean(self.changed_ms),
            self.memory / 1024
        )
    }
}
