//! An action in words: what it consists of, and what is not as it was the last time.
//!
//! Everything is read from what the action's digest is made of, so that the words cannot differ from the key.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use reapi::Command;
use store::Digest;

use super::installed::Installed;
use super::places::Placed;
use super::prepare::Prepared;

/// Files that are named in an explanation of what changed.
const NAMED_MAX: usize = 20;

/// What is remembered of an action, to explain it and to compare the next with it.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    digest: Digest,
    command: Bytes,
    files: Vec<Arc<Placed>>,
    installed: Arc<Installed>,
    may_be_kept: bool,
}

/// The action before another of the same output, less what is the same in both: a build of thousands of outputs is
/// remembered, and most of each action is in the next one as well.
#[derive(Debug)]
pub(crate) struct Earlier {
    digest: Digest,
    /// `None`: the same.
    command: Option<Bytes>,
    files: Rest<Placed>,
    installed: Arc<Installed>,
    may_be_kept: bool,
}

impl Earlier {
    /// What an action has that the one after it has not.
    pub(crate) fn new(earlier: Manifest, later: &Manifest) -> Self {
        Self {
            digest: earlier.digest,
            files: Rest::new(&earlier.files, &later.files),
            command: (earlier.command != later.command).then_some(earlier.command),
            installed: earlier.installed,
            may_be_kept: earlier.may_be_kept,
        }
    }

    /// The action as it was; `later` is the one that this was made for.
    pub(crate) fn whole(&self, later: &Manifest) -> Manifest {
        Manifest {
            digest: self.digest,
            command: self.command.as_ref().unwrap_or(&later.command).clone(),
            files: self.files.whole(&later.files),
            installed: Arc::clone(&self.installed),
            may_be_kept: self.may_be_kept,
        }
    }
}

/// A list without what another one begins and ends with as well.
#[derive(Debug)]
struct Rest<T> {
    items: Box<[Arc<T>]>,
    same_at_start: usize,
    same_at_end: usize,
}

impl<T> Rest<T> {
    fn new(list: &[Arc<T>], other: &[Arc<T>]) -> Self {
        let is_same = |(one, other): &(&Arc<T>, &Arc<T>)| Arc::ptr_eq(one, other);
        let same_at_start = list.iter().zip(other).take_while(is_same).count();
        let (items, other) = (&list[same_at_start..], &other[same_at_start..]);
        let from_end = items.iter().rev().zip(other.iter().rev());
        let same_at_end = from_end.take_while(is_same).count();
        Self {
            items: items[..items.len() - same_at_end].into(),
            same_at_start,
            same_at_end,
        }
    }

    /// The list; `other` is the one that this was made with.
    fn whole(&self, other: &[Arc<T>]) -> Vec<Arc<T>> {
        let start = &other[..self.same_at_start];
        let end = &other[other.len() - self.same_at_end..];
        [start, &self.items, end].concat()
    }
}

impl Manifest {
    pub(crate) fn of(prepared: &Prepared) -> Self {
        Self {
            digest: prepared.digest,
            command: prepared.command.1.clone(),
            files: prepared.files.clone(),
            installed: Arc::clone(&prepared.installed),
            may_be_kept: prepared.may_be_kept,
        }
    }

    /// The action, a line for each of its parts.
    pub(crate) fn text(&self) -> String {
        let toolchain = &self.installed.toolchain;
        let mut text = format!("  action     {}\n", self.digest);
        let _ = writeln!(
            text,
            "  toolchain  {} {} for {}: {} files, {}\n             {}",
            toolchain.name(),
            toolchain.version(),
            toolchain.machine(),
            toolchain.files(),
            bytes(toolchain.bytes()),
            toolchain.digest()
        );
        let own: u64 = self.files.iter().map(|file| file.digest.size_bytes).sum();
        let count = self.by_path().len();
        let _ = writeln!(text, "  inputs     {count} files, {}", bytes(own));
        if let Ok(command) = Command::decode(&self.command) {
            let _ = writeln!(text, "  directory  /{}", command.working_directory.as_str());
            let _ = writeln!(text, "  command    {}", command.arguments.join(" "));
            for (name, value) in &command.environment {
                let _ = writeln!(text, "  variable   {name}={value}");
            }
            for output in &command.outputs {
                let _ = writeln!(text, "  output     {}", output.path);
            }
        }
        if !self.may_be_kept {
            text.push_str("  not kept   the result depends on the time\n");
        }
        text
    }

    /// What is different from an earlier action of the same output; nothing if the result would be the same.
    pub(crate) fn changes(&self, earlier: &Self) -> Vec<String> {
        if self.digest == earlier.digest {
            return Vec::new();
        }
        let mut changes = Vec::new();
        let (new, old) = (&self.installed.toolchain, &earlier.installed.toolchain);
        if new.digest() != old.digest() {
            changes.push(format!(
                "the toolchain: {} {} was {} {}",
                new.name(),
                new.version(),
                old.name(),
                old.version()
            ));
        }
        changes.extend(self.command_changes(earlier));
        let (new, old) = (self.by_path(), earlier.by_path());
        let paths: BTreeSet<&Path> = new.keys().chain(old.keys()).copied().collect();
        let mut files = paths.into_iter().filter_map(|path| {
            let word = match (new.get(path), old.get(path)) {
                (Some(new), Some(old)) if new == old => return None,
                (Some(_), Some(_)) => "another content",
                (Some(_), None) => "not read before",
                _ => "no longer read",
            };
            Some(format!("{}: {word}", path.display()))
        });
        changes.extend(files.by_ref().take(NAMED_MAX));
        match files.count() {
            0 => {}
            more => changes.push(format!("and {more} more files")),
        }
        if changes.is_empty() {
            changes.push("directories or links on the way to its files".to_owned());
        }
        changes
    }

    fn command_changes(&self, earlier: &Self) -> Vec<String> {
        if self.command == earlier.command {
            return Vec::new();
        }
        let commands = (
            Command::decode(&self.command),
            Command::decode(&earlier.command),
        );
        let (Ok(new), Ok(old)) = commands else {
            return vec!["the command".to_owned()];
        };
        let words = |command: &Command| command.arguments.iter().cloned().collect::<BTreeSet<_>>();
        let mut changes = differences("the argument", &words(&new), &words(&old));
        let variables = |command: &Command| {
            let pairs = command.environment.iter();
            pairs
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<BTreeSet<_>>()
        };
        changes.extend(differences(
            "the variable",
            &variables(&new),
            &variables(&old),
        ));
        if new.working_directory != old.working_directory {
            changes.push("the directory".to_owned());
        }
        if changes.is_empty() {
            changes.push("the order of the arguments".to_owned());
        }
        changes
    }

    fn by_path(&self) -> BTreeMap<&Path, &Digest> {
        let files = self.files.iter();
        files
            .map(|file| (file.way.place.as_path(), &file.digest))
            .collect()
    }
}

fn differences(what: &str, new: &BTreeSet<String>, old: &BTreeSet<String>) -> Vec<String> {
    let added = new
        .difference(old)
        .map(|it| format!("{what} {it}: not there before"));
    let removed = old
        .difference(new)
        .map(|it| format!("{what} {it}: no longer there"));
    added.chain(removed).collect()
}

/// A size for people.
#[allow(clippy::cast_precision_loss, reason = "for people, one digit")]
fn bytes(number: u64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    match number {
        0..=9_999 => format!("{number} bytes"),
        10_000..=999_999 => format!("{} kB", number / 1000),
        _ => format!("{:.1} MiB", number as f64 / MIB),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_back_whole_however_much_of_it_is_the_same() {
        let all: Vec<Arc<usize>> = (0..5).map(Arc::new).collect();
        let pick = |numbers: &[usize]| -> Vec<Arc<usize>> {
            let items = numbers.iter().map(|number| Arc::clone(&all[*number]));
            items.collect()
        };
        for (list, other, kept) in [
            (&[][..], &[][..], 0),
            (&[], &[0, 1], 0),
            (&[0, 1], &[], 2),
            (&[0, 1, 2], &[0, 1, 2], 0),
            (&[0, 1, 2], &[3, 1, 2], 1),
            (&[0, 1, 2], &[0, 3, 4, 2], 1),
            (&[0, 0, 0], &[0], 2),
            (&[0], &[0, 0, 0], 0),
        ] {
            let (list, other) = (pick(list), pick(other));
            let rest = Rest::new(&list, &other);
            assert_eq!(rest.items.len(), kept, "{list:?} {other:?}");
            assert_eq!(rest.whole(&other), list, "{list:?} {other:?}");
        }
    }
}
