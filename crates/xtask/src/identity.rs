//! `cargo xtask identity COMPILE_COMMANDS_JSON …`: is what workers make what this machine makes?
//!
//! Each unit of a compilation database is compiled twice where it is: by the compiler itself, and through `distcc` on
//! workers that see no compiler of their own. Everything that the first wrote is compared with what the second wrote,
//! byte by byte: object, dependency file, `.dwo` and what else there is, standard output and error, and the exit code.

mod compile;
mod outcomes;
mod public;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::server::Server;
use e2e::workspace::Workspace;
use scan_check::units::{self, Unit};

use crate::cargo::use_debug_programs;
use compile::{Busy, Difference, Pair};
use outcomes::Outcomes;

/// Compiles at once: this machine is the client and both workers.
const AT_ONCE: usize = 3;

/// Differences that are shown in full.
const SHOWN_MAX: usize = 20;

/// What the user asks for.
#[derive(Debug, Default)]
pub(crate) struct Ask {
    pub(crate) database: PathBuf,
    /// So many units, spread evenly.
    sample: Option<usize>,
    /// Which of so many parts, each spread evenly: what takes hours can be done bit by bit.
    part: Option<(usize, usize)>,
    /// Words added to each compile.
    pub(crate) more: Vec<String>,
    /// Another compiler than the one of the database.
    compiler: Option<String>,
    /// Both sides are told a seed from the start, for options with which GCC makes something else each time.
    seeded: bool,
}

/// Compares all units, or a sample of them.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    if words == ["--public"] {
        println!("==> building farcc");
        use_debug_programs()?;
        return public::run();
    }
    let ask = read(words)?;
    let units = units(&ask)?;
    println!("==> building farcc");
    // Nothing is timed here, and this builds sooner.
    use_debug_programs()?;
    let (totals, differences) = compare_all(&ask, &units)?;
    for line in differences.iter().take(SHOWN_MAX) {
        println!("{line}");
    }
    if totals.random > 0 && !ask.seeded {
        println!(
            "{} units come out differently each time here; they were compared with one -frandom-seed, and without the \
             number of their .dwo file",
            totals.random
        );
    }
    println!("{totals}");
    if totals.differing + totals.messages_differing > 0 {
        return Err("not everything is the same".into());
    }
    Ok(())
}

/// The units that were asked for.
pub(crate) fn units(ask: &Ask) -> Result<Vec<Unit>, String> {
    let units = units::read(&ask.database)
        .map_err(|error| format!("{}: {error}", ask.database.display()))?;
    Ok(part(sample(units, ask.sample), ask.part))
}

/// Reads the command line.
pub(crate) fn read(words: &[&str]) -> Result<Ask, String> {
    let mut ask = Ask::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match *word {
            "--sample" => {
                let text = value()?;
                ask.sample = Some(text.parse().map_err(|_| format!("{text} is no number"))?);
            }
            "--part" => {
                let text = value()?;
                let part = read_part(text);
                ask.part = Some(part.ok_or_else(|| format!("{text} is no part, as 2/5 is"))?);
            }
            "--seed" => ask.seeded = true,
            "--compiler" => ask.compiler = Some((*value()?).to_owned()),
            "--add" => ask.more.extend(value()?.split(' ').map(str::to_owned)),
            path if ask.database.as_os_str().is_empty() && !path.starts_with('-') => {
                ask.database = PathBuf::from(path);
            }
            other => return Err(format!("{other} is not understood")),
        }
    }
    if ask.database.as_os_str().is_empty() {
        return Err("which compile_commands.json?".into());
    }
    Ok(ask)
}

/// A number of units, spread evenly over the tree.
pub(crate) fn sample(units: Vec<Unit>, count: Option<usize>) -> Vec<Unit> {
    let Some(count) = count.filter(|count| *count > 0 && *count < units.len()) else {
        return units;
    };
    let all = units.len();
    let wanted: std::collections::HashSet<usize> =
        (0..count).map(|index| index * all / count).collect();
    let kept = units.into_iter().enumerate();
    kept.filter_map(|(index, unit)| wanted.contains(&index).then_some(unit))
        .collect()
}

/// `2/5`: the second of five.
fn read_part(text: &str) -> Option<(usize, usize)> {
    let (part, parts) = text.split_once('/')?;
    let (part, parts) = (part.parse().ok()?, parts.parse().ok()?);
    (1..=parts).contains(&part).then_some((part, parts))
}

fn part(units: Vec<Unit>, part: Option<(usize, usize)>) -> Vec<Unit> {
    let Some((part, parts)) = part else {
        return units;
    };
    units.into_iter().skip(part - 1).step_by(parts).collect()
}

/// What came out.
#[derive(Debug, Default)]
struct Totals {
    units: usize,
    remote: usize,
    local: usize,
    doubts: usize,
    differing: usize,
    messages_differing: usize,
    /// Of which the compiler here makes something else each time; compared with one seed.
    random: usize,
}

impl Totals {
    fn add(&mut self, other: &Self) {
        self.units += other.units;
        self.remote += other.remote;
        self.local += other.local;
        self.doubts += other.doubts;
        self.differing += other.differing;
        self.messages_differing += other.messages_differing;
        self.random += other.random;
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "units={} remote={} local={} doubts={} differing={} stderr_differing={}",
            self.units,
            self.remote,
            self.local,
            self.doubts,
            self.differing,
            self.messages_differing
        )
    }
}

fn compare_all(ask: &Ask, units: &[Unit]) -> Result<(Totals, Vec<String>), String> {
    let mut workspace = Workspace::new();
    let workers = [
        Server::start_bare(&workspace),
        Server::start_bare(&workspace),
    ];
    let hosts: Vec<String> = workers.iter().map(Server::native_host).collect();
    workspace.set_hosts(hosts.join(" "));
    let outcomes = Outcomes::listen(&workspace)?;
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let busy = Busy::default();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let pair = Pair::compile(&workspace, unit, ask, &busy);
                    let mut done = done
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                    done.push((unit, pair));
                    if done.len() % 100 == 0 {
                        println!("    {} of {}", done.len(), units.len());
                    }
                }
            });
        }
    });
    workspace.drain_agents();
    let outcomes = outcomes.finish()?;
    let done = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(add_up(&outcomes, &done))
}

fn add_up(outcomes: &Outcomes, done: &[(&Unit, Result<Pair, String>)]) -> (Totals, Vec<String>) {
    let mut totals = Totals::default();
    let mut lines = Vec::new();
    for (unit, pair) in done {
        let name = unit
            .args
            .last()
            .map(|word| word.to_string_lossy())
            .unwrap_or_default();
        let name = format!("{} ({name})", unit.cwd.display());
        totals.units += 1;
        let pair = match pair {
            Ok(pair) => pair,
            Err(error) => {
                totals.differing += 1;
                lines.push(format!("{name}: {error}"));
                continue;
            }
        };
        match outcomes.of(pair.pid) {
            None => lines.push(format!("{name}: its end was not heard of")),
            Some(ended) => match &ended.local {
                Some(reason) => {
                    totals.local += 1;
                    lines.push(format!(
                        "{name}: local: {} ({})",
                        reason.code, reason.sentence
                    ));
                }
                None => {
                    totals.remote += 1;
                    if let Some(doubt) = &ended.doubt {
                        totals.doubts += 1;
                        lines.push(format!(
                            "{name}: doubt: {} ({})",
                            doubt.code, doubt.sentence
                        ));
                    }
                }
            },
        }
        totals.random += usize::from(pair.is_random);
        totals.differing += usize::from(pair.files_differ());
        totals.messages_differing += usize::from(pair.messages_differ());
        lines.extend(
            pair.differences
                .iter()
                .map(|it: &Difference| format!("{name}: {it}")),
        );
    }
    (totals, lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(index: usize) -> Unit {
        Unit {
            compiler: "gcc".into(),
            args: vec![index.to_string().into()],
            cwd: "/".into(),
        }
    }

    #[test]
    fn all_parts_are_the_whole() {
        let all = || (0..10).map(unit).collect::<Vec<_>>();
        let parts = (1..=3).map(|number| part(all(), Some((number, 3))));
        let mut names: Vec<_> = parts.flatten().map(|unit| unit.args[0].clone()).collect();
        names.sort();
        assert_eq!(names, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
        assert_eq!(part(all(), None).len(), 10);
        assert_eq!(read_part("3/3"), Some((3, 3)));
        for wrong in ["0/3", "4/3", "3", "a/3"] {
            assert_eq!(read_part(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_sample_is_spread_over_all_units() {
        let picked = sample((0..10).map(unit).collect(), Some(3));
        let picked: Vec<_> = picked.iter().map(|unit| unit.args[0].clone()).collect();
        assert_eq!(picked, ["0", "3", "6"]);
        assert_eq!(sample((0..4).map(unit).collect(), Some(9)).len(), 4);
    }

    #[test]
    fn words_are_understood() {
        let ask = read(&["--sample", "3", "db.json", "--add", "-g -O1"]).unwrap();
        assert_eq!((ask.sample, ask.more.len()), (Some(3), 2));
        assert!(read(&[]).is_err());
        assert!(read(&["db.json", "--sample", "x"]).is_err());
    }
}
