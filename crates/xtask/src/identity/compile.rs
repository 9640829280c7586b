//! One unit compiled in both ways, and what differs.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::SystemTime;

use cmdline::{Driver, Invocation};
use e2e::programs;
use e2e::workspace::Workspace;
use scan_check::units::Unit;

use super::Ask;

/// Something that is not the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Difference {
    /// A file's bytes, or whether it is there; from the first to the last byte that differs where only bytes do.
    File(PathBuf, Option<Span>),
    /// The exit code.
    Code(String),
    /// What was written to standard output or error.
    Messages(String),
}

impl Difference {
    fn is_about_messages(&self) -> bool {
        matches!(self, Self::Messages(_))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, _) => write!(f, "{} differs", path.display()),
            Self::Code(text) => write!(f, "exit codes differ: {text}"),
            Self::Messages(text) => write!(f, "messages differ:\n{text}"),
        }
    }
}

/// Both compiles of a unit.
#[derive(Debug)]
pub(super) struct Pair {
    /// Of the shim.
    pub(super) pid: u32,
    /// The compiler here does not make the same twice (GCC's random seed), so both were compared with one seed.
    pub(super) is_random: bool,
    pub(super) differences: Vec<Difference>,
}

/// What an object of GCC depends on besides its input, with `-gsplit-dwarf`, `-flto` or `--coverage`.
const SEED: &str = "-frandom-seed=farcc";

/// Bytes of the number that binds an object to its `.dwo` file. GCC makes another one of some sources each time,
/// whatever seed it is told.
const DWO_ID_BYTES: usize = 8;

/// The first and the last place at which two files differ.
type Span = (usize, usize);

/// Where two files of one length differ.
fn span(ours: Option<&Vec<u8>>, theirs: Option<&Vec<u8>>) -> Option<Span> {
    let (ours, theirs) = (ours?, theirs?);
    if ours.len() != theirs.len() {
        return None;
    }
    let pairs = || ours.iter().zip(theirs);
    let first = pairs().position(|(ours, theirs)| ours != theirs)?;
    let last = pairs().rposition(|(ours, theirs)| ours != theirs)?;
    Some((first, last))
}

/// Whether a file differs in one number only, in which two compiles of this machine differ too.
fn is_of_dwo_id(difference: &Difference, here: &[Difference]) -> bool {
    let Difference::File(path, Some(span)) = difference else {
        return false;
    };
    here.iter().any(|it| match it {
        Difference::File(same, Some(own)) if same == path => {
            span.1.max(own.1) - span.0.min(own.0) < DWO_ID_BYTES
        }
        _ => false,
    })
}

/// Files by path; those that are not there are not in it.
type Files = BTreeMap<PathBuf, Vec<u8>>;

impl Pair {
    /// Compiles a unit here, then through `distcc`, and compares. Where the compiler makes something else each time,
    /// both are told a seed and compared again; with `seeded`, from the start.
    pub(super) fn compile(
        workspace: &Workspace,
        unit: &Unit,
        ask: &Ask,
        busy: &Busy,
    ) -> Result<Self, String> {
        let (compiler, more) = (ask.compiler.as_deref(), &ask.more);
        let with_seed = [more.as_slice(), &[SEED.to_owned()]].concat();
        let compile = Compile::new(workspace, unit, compiler, more);
        let _ours_alone = busy.take(&compile.outputs);
        if !ask.seeded {
            let (plain, here) = compile.both_ways()?;
            if !plain.files_differ() || !compile.differs_here(&here)? {
                return Ok(plain);
            }
        }
        let compile = Compile::new(workspace, unit, compiler, &with_seed);
        let (mut pair, here) = compile.both_ways()?;
        if pair.files_differ() {
            let again = compile.again(&here)?;
            pair.differences.retain(|it| !is_of_dwo_id(it, &again));
        }
        Ok(Self {
            is_random: true,
            ..pair
        })
    }

    pub(super) fn files_differ(&self) -> bool {
        self.differences.iter().any(|it| !it.is_about_messages())
    }

    pub(super) fn messages_differ(&self) -> bool {
        self.differences.iter().any(Difference::is_about_messages)
    }
}

/// One command line of a unit.
struct Compile<'a> {
    workspace: &'a Workspace,
    compiler: OsString,
    args: Vec<OsString>,
    cwd: &'a Path,
    outputs: Vec<PathBuf>,
}

/// What a compile of this machine's wrote and said.
struct Here {
    files: Files,
    ran: Ran,
    /// When what was there before was written.
    before: BTreeMap<PathBuf, SystemTime>,
}

impl<'a> Compile<'a> {
    fn new(
        workspace: &'a Workspace,
        unit: &'a Unit,
        compiler: Option<&str>,
        more: &[String],
    ) -> Self {
        let compiler = compiler.map_or_else(|| unit.compiler.clone(), OsString::from);
        let more = more.iter().map(OsString::from);
        let args: Vec<OsString> = unit.args.iter().cloned().chain(more).collect();
        let mut read = |name: &std::ffi::OsStr| fs::read(unit.cwd.join(name)).ok();
        let it = cmdline::parse(&args, Driver::guess(&[&compiler]), &mut read);
        Self {
            workspace,
            compiler,
            args,
            cwd: &unit.cwd,
            outputs: possible_outputs(&it, &unit.cwd),
        }
    }

    /// By the compiler, then through `distcc`.
    fn both_ways(&self) -> Result<(Pair, Here), String> {
        let before = times(&self.outputs);
        let ran = self.run(None)?;
        let written = times(&self.outputs)
            .into_iter()
            .filter(|(path, time)| before.get(path) != Some(time))
            .map(|(path, _)| path)
            .collect();
        let files = take(&written);
        let here = Here { files, ran, before };
        let remote = self.run(Some(programs::distcc().into_os_string()))?;
        let pair = Pair {
            pid: remote.pid,
            is_random: false,
            differences: self.compare(&here, &remote),
        };
        Ok((pair, here))
    }

    /// What differs if the compiler of this machine does it again.
    fn again(&self, here: &Here) -> Result<Vec<Difference>, String> {
        let again = self.run(None)?;
        Ok(self.compare(here, &again))
    }

    /// Whether the compiler of this machine makes other files each time.
    fn differs_here(&self, here: &Here) -> Result<bool, String> {
        Ok(self.again(here)?.iter().any(|it| !it.is_about_messages()))
    }

    /// Compares with what was written and said just now.
    fn compare(&self, here: &Here, there: &Ran) -> Vec<Difference> {
        let theirs = read_all(&self.outputs, &here.before, &here.files);
        let ours = &here.files;
        let mut differences = Vec::new();
        let all: BTreeSet<&PathBuf> = ours.keys().chain(theirs.keys()).collect();
        for path in all {
            if ours.get(path) != theirs.get(path) {
                let span = span(ours.get(path), theirs.get(path));
                differences.push(Difference::File(path.clone(), span));
            }
        }
        let (here, there) = (&here.ran.output, &there.output);
        if here.status.code() != there.status.code() {
            let text = format!("{} and {}", here.status, there.status);
            differences.push(Difference::Code(text));
        }
        if (&here.stdout, &here.stderr) != (&there.stdout, &there.stderr) {
            let text = format!(
                "--- here\n{}--- there\n{}",
                String::from_utf8_lossy(&here.stderr),
                String::from_utf8_lossy(&there.stderr)
            );
            differences.push(Difference::Messages(text));
        }
        differences
    }

    fn run(&self, launcher: Option<OsString>) -> Result<Ran, String> {
        let compiler = &self.compiler;
        let failed =
            |error: std::io::Error| format!("{} does not run: {error}", compiler.display());
        let mut command: Command = self
            .workspace
            .command(launcher.as_ref().unwrap_or(compiler));
        if launcher.is_some() {
            command.arg(compiler);
        }
        let child = command
            .args(&self.args)
            .current_dir(self.cwd)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let pid = child.id();
        let output = child.wait_with_output().map_err(failed)?;
        Ok(Ran { pid, output })
    }
}

/// Files that are being written. Libtool compiles each source twice, into two objects and one `.dwo` file.
#[derive(Debug, Default)]
pub(super) struct Busy {
    paths: Mutex<BTreeSet<PathBuf>>,
    freed: Condvar,
}

/// Files that nobody else writes.
struct Taken<'a> {
    busy: &'a Busy,
    paths: &'a [PathBuf],
}

impl Busy {
    /// Waits until none of them is being written.
    fn take<'a>(&'a self, paths: &'a [PathBuf]) -> Taken<'a> {
        let is_busy = |busy: &mut BTreeSet<PathBuf>| paths.iter().any(|path| busy.contains(path));
        let busy = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.freed.wait_while(busy, is_busy);
        let mut busy = waited.unwrap_or_else(PoisonError::into_inner);
        busy.extend(paths.iter().cloned());
        Taken { busy: self, paths }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let busy = self.busy.paths.lock();
        let mut busy = busy.unwrap_or_else(PoisonError::into_inner);
        busy.retain(|path| !self.paths.contains(path));
        self.busy.freed.notify_all();
    }
}

/// Where the compile may write.
fn possible_outputs(it: &Invocation, cwd: &Path) -> Vec<PathBuf> {
    let names = match it.action() {
        Ok(action) => action.outputs,
        Err(_) => it.outputs().into_iter().map(|output| output.path).collect(),
    };
    names.iter().map(|name| cwd.join(name)).collect()
}

fn times(paths: &[PathBuf]) -> BTreeMap<PathBuf, SystemTime> {
    let time = |path: &PathBuf| Some((path.clone(), fs::metadata(path).ok()?.modified().ok()?));
    paths.iter().filter_map(time).collect()
}

/// Reads files and removes them.
fn take(paths: &BTreeSet<PathBuf>) -> Files {
    let take = |path: &PathBuf| {
        let content = fs::read(path).ok()?;
        // A device stays, and so does what the next compile replaces.
        fs::remove_file(path).ok()?;
        Some((path.clone(), content))
    };
    paths.iter().filter_map(take).collect()
}

/// What is there now that was written: by the first compile, or by the second alone.
fn read_all(outputs: &[PathBuf], before: &BTreeMap<PathBuf, SystemTime>, written: &Files) -> Files {
    let now = times(outputs);
    let is_written = |path: &PathBuf, time: &SystemTime| {
        written.contains_key(path) || before.get(path) != Some(time)
    };
    let written = now.iter().filter(|(path, time)| is_written(path, time));
    written
        .filter_map(|(path, _)| Some((path.clone(), fs::read(path).ok()?)))
        .collect()
}

struct Ran {
    pid: u32,
    output: Output,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_writes_is_waited_for() {
        let busy = Busy::default();
        let path = |name: &str| vec![PathBuf::from(name)];
        let (shared, other) = (path("a.dwo"), path("b.dwo"));
        let first = busy.take(&shared);
        let _at_the_same_time = busy.take(&other);
        let done = std::sync::atomic::AtomicBool::new(false);
        let both_run = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                both_run.wait();
                let _second = busy.take(&shared);
                assert!(done.load(std::sync::atomic::Ordering::SeqCst));
            });
            both_run.wait();
            // Time for the other thread to go on, if nothing holds it.
            (0..1000).for_each(|_| std::thread::yield_now());
            done.store(true, std::sync::atomic::Ordering::SeqCst);
            drop(first);
        });
    }

    #[test]
    fn only_one_number_may_differ_and_only_where_it_does_here_too() {
        let (a, b) = (vec![0; 40], [vec![0; 20], vec![1; 8], vec![0; 12]].concat());
        let span = span(Some(&a), Some(&b));
        assert_eq!(span, Some((20, 27)));
        let file = |span| Difference::File("x.dwo".into(), span);
        let here = |first, last| [file(Some((first, last)))];
        assert!(is_of_dwo_id(&file(span), &here(21, 27)));
        assert!(!is_of_dwo_id(&file(span), &here(28, 28)));
        assert!(!is_of_dwo_id(&file(span), &[]));
        assert!(!is_of_dwo_id(&file(None), &here(20, 27)));
        assert_eq!(super::span(Some(&a), Some(&vec![0; 3])), None);
    }
}
