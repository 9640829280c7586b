//! `farcc explain`: where a compile would run and why, which files it reads, and what is not certain about that.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use agent::scanning::{Found, describe, find_compiler};
use cmdline::Placement;
use scan::{FileUse, How, Why};
use stock::hosts::{Host, Speaks};

use crate::agent_socket::{AgentError, distcc_dir};
use crate::ask_agent;
use crate::cli::Explain;
use crate::error::Error;
use crate::exit::Exit;
use crate::hosts;
use crate::one_compile::OneCompile;
use crate::report;
use crate::world::World;

/// Width of a file's name before the reason for it.
const NAME_WIDTH: usize = 40;

/// Explains a compile.
pub(crate) fn run(world: &World, options: &Explain) -> Result<Exit, Error> {
    if options.last_failure {
        return last_failure(world);
    }
    if let [word] = &options.command[..]
        && find_compiler(word, world.var("PATH").unwrap_or_default()).is_none()
    {
        return output(world, Path::new(word));
    }
    let compile = OneCompile::of(world, &options.command)?;
    let mut text = where_to(world, &compile);
    let found = compile.scan(world)?;
    match &options.why {
        Some(file) => text = chains(&found, file)?,
        None => {
            text.push_str(&how_sent(world, &compile, &found));
            if options.action {
                let question = ask_agent::about_command(world, &compile)?;
                text.push_str("as a worker would get it\n");
                text.push_str(&ask_agent::ask(world, question, true)?.unwrap_or_default());
            }
            text.push_str(&files(&found, &compile.cwd, options.all));
            text.push_str(&uncertain(&found));
        }
    }
    report::print(&text)?;
    Ok(Exit::Success)
}

/// What became of the last compile that wrote a file.
fn output(world: &World, path: &Path) -> Result<Exit, Error> {
    let question = ask_agent::about_output(path)?;
    let answer = ask_agent::ask(world, question, false)?;
    report::print(&answer.unwrap_or_else(|| {
        format!(
            "{}: no agent runs, and only the agent remembers what became of compiles\n",
            path.display()
        )
    }))?;
    Ok(Exit::Success)
}

/// The last compile that a worker could not do for want of a file.
fn last_failure(world: &World) -> Result<Exit, Error> {
    let dir = distcc_dir(world).ok_or(AgentError::NoDirectory)?;
    let path = dir.join(agent::last_failure_name());
    match std::fs::read_to_string(&path) {
        Ok(text) => report::print(&text)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            report::print(
                "no compile has failed on a worker for a file that it did not have, or read another than it should\n",
            )?;
        }
        Err(error) => return Err(Error::file("read", &path)(error)),
    }
    Ok(Exit::Success)
}

/// Whether it may leave this machine, and what it writes.
fn where_to(world: &World, compile: &OneCompile) -> String {
    let source = compile.source();
    let mut text = match compile.invocation.where_to() {
        Placement::Local(why) => {
            let sentence = compile.invocation.explain();
            let sentence = sentence.unwrap_or_else(|| why.to_string());
            let where_to = if may_go_to_workers(world, compile) {
                "can run on workers, but not on stock servers"
            } else {
                "runs locally"
            };
            format!("{source} {where_to}: {sentence} [{}]\n", why.code())
        }
        Placement::Distributable if hosts_of(world) == 0 => {
            format!("{source} could run on any host, but no host can be used\n")
        }
        Placement::Distributable => format!("{source} can run on any host of the list\n"),
    };
    let _ = writeln!(text, "  compiler  {}", compile.path.display());
    for output in compile.invocation.outputs() {
        let _ = writeln!(text, "  writes    {}", output.path.display());
    }
    text
}

/// Whether a worker could run it, and some host may be one.
fn may_go_to_workers(world: &World, compile: &OneCompile) -> bool {
    let (_, list) = hosts::find(world, &mut |_| {});
    let may_be_worker = |host: &Host| !host.is_local() && host.speaks != Speaks::Stock;
    let invocation = &compile.invocation;
    let can_run = invocation.action().is_ok() || invocation.parts().is_some();
    can_run && list.hosts.iter().any(may_be_worker)
}

fn hosts_of(world: &World) -> usize {
    let (_, list) = hosts::find(world, &mut |_| {});
    list.hosts.iter().filter(|host| !host.is_local()).count()
}

/// What hosts would get.
fn how_sent(world: &World, compile: &OneCompile, found: &Found) -> String {
    if compile.invocation.where_to() != Placement::Distributable {
        return String::new();
    }
    let (_, list) = hosts::find(world, &mut |_| {});
    let takes_files = list.hosts.iter().any(|host| host.protocol().sends_files());
    let word = compile.invocation.files_command(compile.cwd.as_os_str());
    let why = match word {
        Err(word) => Some(format!(
            "a stock server would misunderstand `{}`",
            word.to_string_lossy()
        )),
        Ok(command) => found.why_text(&command.paths),
    };
    match (takes_files, why) {
        (_, Some(why)) => format!("  sent      to stock servers preprocessed, because {why}\n"),
        (true, None) => {
            "  sent      as source and headers to workers and hosts with `,lzo,cpp`\n".to_owned()
        }
        (false, None) => {
            "  sent      as source and headers to workers, preprocessed to stock servers\n"
                .to_owned()
        }
    }
}

/// Every file with the reason for it.
fn files(found: &Found, cwd: &Path, all: bool) -> String {
    let files = &found.scan.files;
    let system = files
        .iter()
        .filter(|file| found.is_system(file.path()))
        .count();
    let mut text = format!("reads {}", count(files.len(), "file"));
    if system > 0 {
        let dirs: Vec<_> = found
            .system_dirs
            .iter()
            .map(|dir| dir.display().to_string())
            .collect();
        let hint = if all { "" } else { "; --all lists them" };
        let _ = write!(text, ", {system} of them in {}{hint}", dirs.join(", "));
    }
    text.push('\n');
    for file in files {
        if all || !found.is_system(file.path()) {
            let name = file.spelled().display().to_string();
            let _ = writeln!(text, "  {name:<NAME_WIDTH$} {}", reason(found, file));
        }
    }
    for dir in &found.scan.missing_dirs {
        let name = dir.strip_prefix(cwd).unwrap_or(dir).display().to_string();
        let _ = writeln!(text, "  {name:<NAME_WIDTH$} named by an option, not there");
    }
    text
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// Why a file is read.
fn reason(found: &Found, file: &FileUse) -> String {
    let what = match file.why {
        Why::Source => return "the source".to_owned(),
        Why::Always => return "the compiler includes it before everything".to_owned(),
        Why::CommandLine => return "-include or -imacros".to_owned(),
        Why::Option => return "named by an option".to_owned(),
        Why::Precompiled => return "precompiled header".to_owned(),
        Why::Included(How::Include) => "included by",
        Why::Included(How::Next) => "#include_next in",
        Why::Included(How::Import) => "imported by",
        Why::Included(How::Embed) => "embedded by",
        Why::Included(How::Dependency) => "#pragma dependency in",
        Why::Probed => "asked for with __has_include in",
        Why::Assembler => "assembler directive in",
    };
    match file.from.and_then(|from| found.scan.files.get(from)) {
        Some(from) => format!("{what} {}:{}", from.spelled().display(), file.line),
        None => what.to_owned(),
    }
}

/// The includes that lead to the files with this name, or this end of a path.
fn chains(found: &Found, wanted: &Path) -> Result<String, Error> {
    let mut text = String::new();
    for (index, file) in found.scan.files.iter().enumerate() {
        if !file.path().ends_with(wanted) && file.spelled() != wanted {
            continue;
        }
        for (depth, step) in found.scan.chain(index).enumerate() {
            let name = step.spelled().display();
            let _ = if depth == 0 {
                writeln!(text, "{name}\n  {}", reason(found, step))
            } else {
                writeln!(text, "  {}", reason(found, step))
            };
        }
    }
    if text.is_empty() {
        return Err(Error::NotRead(PathBuf::from(wanted)));
    }
    Ok(text)
}

/// Conditions and doubts.
fn uncertain(found: &Found) -> String {
    let scan = &found.scan;
    let mut text = String::new();
    if !scan.unknown.is_empty() {
        text.push_str(
            "conditions that only the compiler can decide; what is behind them is listed\n",
        );
        for condition in &scan.unknown {
            if let Some(file) = scan.files.get(condition.file) {
                let _ = writeln!(text, "  {}:{}", file.spelled().display(), condition.line);
            }
        }
    }
    let dates = [
        (scan.dates.date, "__DATE__"),
        (scan.dates.time, "__TIME__"),
        (scan.dates.timestamp, "__TIMESTAMP__"),
    ];
    for (_, name) in dates.iter().filter(|(used, _)| *used) {
        let _ = writeln!(text, "uses {name}");
    }
    if scan.doubts.is_empty() {
        text.push_str("certain: it reads nothing else\n");
    } else {
        text.push_str("not certain: a file may be missing from the list\n");
        for doubt in &scan.doubts {
            let _ = writeln!(text, "  {}", describe(doubt));
        }
    }
    text
}
