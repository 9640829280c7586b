//! Ninja: its build file, and its word on how long each unit took.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::peers::Peer;
use super::units::{MARK, RELATIVE, Unit};

/// The build file's name, beside the project's own.
pub(super) const FILE: &str = "farcc-bench.ninja";

/// The directory that most units are compiled in, where the build tool runs.
pub(super) fn directory(units: &[Unit]) -> PathBuf {
    let mut counts: HashMap<&Path, usize> = HashMap::new();
    for unit in units {
        *counts.entry(&unit.cwd).or_default() += 1;
    }
    let most = counts
        .into_iter()
        .max_by_key(|(dir, count)| (*count, std::cmp::Reverse(*dir)));
    most.map(|(dir, _)| dir.to_owned()).unwrap_or_default()
}

/// The build file, which belongs into `dir`; logs go to `logs`.
pub(super) fn text(peer: Peer, units: &[Unit], dir: &Path, logs: &Path) -> String {
    let mut text = String::new();
    if peer != Peer::Siso {
        let _infallible = writeln!(text, "builddir = {}", escaped(&logs.to_string_lossy()));
    }
    text.push_str("rule cc\n  command = $words\n  deps = gcc\n  depfile = $dependencies\n");
    for unit in units {
        let _infallible = write!(
            text,
            "build {}: cc {}\n  dependencies = {}\n  words = {}\n",
            path(&unit.output, dir),
            path(&unit.source, dir),
            path(&unit.dependencies, dir),
            escaped_words(&command(peer, unit, dir)),
        );
    }
    text
}

/// A unit's command for the shell.
fn command(peer: Peer, unit: &Unit, dir: &Path) -> String {
    let mut text = String::new();
    if unit.cwd != dir {
        let _infallible = write!(text, "cd {} && ", quoted(unit.cwd.as_os_str()));
    }
    let words = peer.command(Path::new(&unit.compiler));
    let words: Vec<String> = words.iter().map(|word| quoted(word.as_os_str())).collect();
    text.push_str(&words.join(" "));
    let mark = MARK.to_owned() + &unit.key;
    for word in &unit.args {
        text.push(' ');
        text.push_str(&quoted(word));
        if peer == Peer::Siso && *word == *mark {
            text.push_str(RELATIVE);
        }
    }
    text
}

/// As a path of the build file.
fn path(path: &Path, dir: &Path) -> String {
    let short = path.strip_prefix(dir).unwrap_or(path);
    escaped(&short.to_string_lossy())
}

fn escaped(text: &str) -> String {
    text.replace('$', "$$")
        .replace(' ', "$ ")
        .replace(':', "$:")
}

/// In a variable's value only the dollar means something.
fn escaped_words(text: &str) -> String {
    text.replace('$', "$$")
}

/// As one word of a shell.
fn quoted(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=+,:@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// How long each output took, by Ninja's log: outputs as the build file names them.
pub(super) fn times(logs: &Path) -> HashMap<String, Duration> {
    let text = fs::read_to_string(logs.join(".ninja_log")).unwrap_or_default();
    let times = text.lines().filter_map(|line| {
        let mut fields = line.split('\t');
        let start: u64 = fields.next()?.parse().ok()?;
        let end: u64 = fields.next()?.parse().ok()?;
        let output = fields.nth(1)?;
        let time = Duration::from_millis(end.saturating_sub(start));
        Some((output.to_owned(), time))
    });
    times.collect()
}

/// As the log names a unit's output.
pub(super) fn name_in_log(unit: &Unit, dir: &Path) -> String {
    let short = unit.output.strip_prefix(dir).unwrap_or(&unit.output);
    short.to_string_lossy().into_owned()
}
