//! The budgets: a name and a number a line, in a file that people and `--accept` write.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::cargo;

/// A figure that may be so much above its budget, in percent, because it varies by itself. Sorted.
const TOLERANCES: &[(&str, u64)] = &[
    ("agent_allocations_per_job", 3),
    ("agent_instructions_per_job", 5),
    ("bytes_sent_per_job", 3),
    ("decision_instructions", 2),
    ("scan_again_instructions", 2),
    ("scan_first_instructions", 2),
    ("shim_allocations", 2),
    ("shim_bytes", 2),
    ("shim_instructions", 2),
];

const HEAD: &str = "\
# What may not grow unnoticed: see `cargo xtask bench ratchet`, which compares and, with --accept, writes this.
# Who accepts a larger number says in the commit what it buys.
";

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Figure {
    name: &'static str,
    value: u64,
}

impl Figure {
    pub(super) fn new(name: &'static str, value: u64) -> Self {
        Self { name, value }
    }
}

/// How a figure stands to its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Holds,
    /// Beyond what it may vary.
    Fell,
    Rose,
    /// It has no budget yet.
    New,
}

/// Compares with the budgets, or writes them.
pub(super) fn settle(figures: &[Figure], accept: bool) -> Result<(), String> {
    let path = path();
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let budgets = match fs::read_to_string(&path) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
        Err(error) => return Err(failed(error)),
    };
    let mut rose = Vec::new();
    println!("{:<28} {:>12} {:>12} {:>9}", "", "budget", "measured", "");
    for figure in figures {
        let budget = budgets.get(figure.name).copied();
        let standing = stand(figure, budget);
        let change = budget.map_or(String::new(), |budget| percent(figure.value, budget));
        let word = match standing {
            Standing::Holds => "",
            Standing::Fell => "fell: --accept keeps it there",
            Standing::Rose => "ROSE",
            Standing::New => "has no budget: --accept",
        };
        println!(
            "{:<28} {:>12} {:>12} {change:>9} {word}",
            figure.name,
            budget.map_or("-".into(), |budget| budget.to_string()),
            figure.value
        );
        if matches!(standing, Standing::Rose | Standing::New) {
            rose.push(complaint(figure, budget));
        }
    }
    if accept {
        fs::write(&path, written(figures)).map_err(failed)?;
        println!("wrote {}", path.display());
        return Ok(());
    }
    if rose.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}\nIf that is worth it: `cargo xtask bench ratchet --accept`, and say in the commit what it buys.",
        rose.join("\n")
    ))
}

fn path() -> PathBuf {
    cargo::root().join("crates/xtask/budgets.toml")
}

fn parse(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter_map(|line| {
        let (name, number) = line.split_once('=')?;
        Some((
            name.trim().to_owned(),
            number.trim().replace('_', "").parse().ok()?,
        ))
    });
    lines.collect()
}

fn written(figures: &[Figure]) -> String {
    let mut sorted = figures.to_vec();
    sorted.sort_by_key(|figure| figure.name);
    let mut text = HEAD.to_owned();
    for Figure { name, value } in sorted {
        let _infallible = writeln!(text, "{name} = {value}");
    }
    text
}

fn tolerance(name: &str) -> u64 {
    let found = TOLERANCES.binary_search_by_key(&name, |(name, _)| name);
    found.map_or(0, |at| TOLERANCES[at].1)
}

fn stand(figure: &Figure, budget: Option<u64>) -> Standing {
    let Some(budget) = budget else {
        return Standing::New;
    };
    let may_differ = budget * tolerance(figure.name) / 100;
    if figure.value > budget + may_differ {
        Standing::Rose
    } else if figure.value + may_differ < budget {
        Standing::Fell
    } else {
        Standing::Holds
    }
}

fn complaint(figure: &Figure, budget: Option<u64>) -> String {
    let Figure { name, value } = figure;
    match budget {
        Some(budget) => format!(
            "{name} rose from {budget} to {value} ({}; at most +{} %)",
            percent(*value, budget),
            tolerance(name)
        ),
        None => format!("{name} is {value} and has no budget"),
    }
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn percent(value: u64, budget: u64) -> String {
    format!("{:+.1} %", (value as f64 / budget as f64 - 1.0) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerances_are_sorted() {
        assert!(TOLERANCES.is_sorted());
    }

    #[test]
    fn what_is_written_is_read() {
        let figures = [
            Figure::new("shim_bytes", 400_000),
            Figure::new("decision_instructions", 7),
        ];
        let read = parse(&written(&figures));
        assert_eq!(read.get("shim_bytes"), Some(&400_000));
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn a_rise_is_told_with_its_size() {
        let check = |value, budget| stand(&Figure::new("shim_bytes", value), budget);
        assert_eq!(check(1020, Some(1000)), Standing::Holds);
        assert_eq!(check(1021, Some(1000)), Standing::Rose);
        assert_eq!(check(980, Some(1000)), Standing::Holds);
        assert_eq!(check(979, Some(1000)), Standing::Fell);
        assert_eq!(check(1, None), Standing::New);
        let told = complaint(&Figure::new("shim_bytes", 1100), Some(1000));
        assert_eq!(
            told,
            "shim_bytes rose from 1000 to 1100 (+10.0 %; at most +2 %)"
        );
    }
}
