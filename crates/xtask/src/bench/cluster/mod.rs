//! `cargo xtask bench cluster`: a build on hundreds of cores, simulated on two.
//!
//! Sources, build tool, clients, protocols and servers are real. The servers' compiler is a stand-in that waits for the
//! CPU time that a unit's compile took when it was recorded, and returns what that made. So the only things that use
//! the machine are the clients, on one core, and the servers' own work, on another.
//!
//! What this does not know: how compiles slow each other down on a server's cores, and what a network adds that is
//! slower than memory. A worker's own work for all slots together is done on one core, where a cluster has many: with
//! very many slots, look at `server ms` by units per second.

mod ask;
mod client;
mod curves;
mod icecream;
mod namespaces;
mod network;
mod ninja;
mod peers;
mod recordings;
mod remote_execution;
mod report;
mod sccache;
mod scene;
mod servers;
mod tree;
mod units;

use std::fs;
use std::path::Path;
use std::time::Duration;

use e2e::workspace::Workspace;

use crate::bench::need_stock;
use crate::cargo::{self, use_release_programs};
use crate::identity::sample;
use ask::Ask;
use network::Network;
use peers::Peer;
use recordings::Recordings;
use report::{Report, Tree};
use scene::Stage;
use servers::StandIn;
use tree::Layer;

/// Builds with every peer, and tells what that took.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    if words == ["--help"] {
        print!("{}", ask::help());
        return Ok(());
    }
    let mut ask = Ask::read(words)?;
    if !tree::is_in_namespaces() {
        return tree::run_in_namespaces();
    }
    need_stock()?;
    ask.peers.retain(|peer| {
        let lacks = peer.lacks();
        if let Some(what) = &lacks {
            println!("SKIPPED: {}: {what}", peer.name());
        }
        lacks.is_none()
    });
    println!("==> building farcc");
    use_release_programs()?;
    let place = Workspace::new();
    let stage = set_stage(&ask, &place)?;
    let mut report = Report::new(describe(&ask, words, &stage));
    report.print_head();
    let mut failures = Vec::new();
    for _ in 0..ask.rounds {
        for slots in &ask.slots {
            for peer in &ask.peers {
                let first_new = report.lines.len();
                match scene::play(&stage, *peer, &shares(&ask, *slots), &ask) {
                    Ok(samples) => {
                        for (phase, sample) in samples {
                            report.add(*peer, phase, *slots, sample);
                        }
                        for line in &report.lines[first_new..] {
                            report.print_line(line);
                        }
                    }
                    Err(error) => {
                        println!("{slots:>5} {} FAILED: {error}", peer.name());
                        failures.push(peer.name());
                    }
                }
            }
        }
    }
    conclude(&ask, &report)?;
    match failures.is_empty() {
        true => Ok(()),
        false => Err(format!("failed: {}", failures.join(", "))),
    }
}

/// Everything that scenes share.
fn set_stage(ask: &Ask, place: &Workspace) -> Result<Stage, String> {
    let raw = scan_check::units::read(&ask.database)
        .map_err(|error| format!("{}: {error}", ask.database.display()))?;
    let mut units = units::prepare(&sample(raw, ask.sample), &ask.more);
    let project = units::project(&units)?;
    let recordings = Recordings::open()?;
    let known = {
        let _layer = Layer::lay(&project, &project, &place.root().join("recording"))?;
        recordings.complete(&units)?
    };
    let all = units.len();
    units.retain(|unit| known.contains_key(&unit.key));
    if units.is_empty() {
        return Err("no unit compiles".into());
    }
    if units.len() < all {
        println!(
            "{} units do not compile here and are left out",
            all - units.len()
        );
    }
    Ok(Stage {
        stand_in: StandIn::build(place, &recordings, &units, ask.peers.contains(&Peer::Siso))?,
        network: Network::make(ask.clients)?,
        worker: servers::build_worker()?,
        recordings: known,
        project,
        units,
    })
}

fn describe(ask: &Ask, words: &[&str], stage: &Stage) -> Tree {
    let times = || {
        stage
            .units
            .iter()
            .filter_map(|unit| stage.recordings.get(&unit.key))
    };
    Tree {
        name: tree_name(&ask.database),
        command: command_line(ask, words),
        units: stage.units.len(),
        clients: ask.clients,
        client_core: ask.client_core,
        compile: times().map(|it| it.cpu).sum(),
        longest: times().map(|it| it.cpu).max().unwrap_or(Duration::ZERO),
    }
}

/// What a tree is called: like its database, if that has a name of its own, else like the directory in which it lies.
fn tree_name(database: &Path) -> String {
    let name = match database.file_stem() {
        Some(stem) if stem != "compile_commands" => Some(stem),
        _ => database.parent().and_then(Path::file_name),
    };
    name.map_or_else(
        || "units".into(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// What was asked for, without where the database lies and where logs go.
fn command_line(ask: &Ask, words: &[&str]) -> String {
    let mut line = "cargo xtask bench cluster".to_owned();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if *word == "--keep" {
            words.next();
            continue;
        }
        let is_database = Path::new(word) == ask.database;
        let shown = match ask.database.file_name() {
            Some(name) if is_database => name.to_string_lossy(),
            _ => (*word).into(),
        };
        line.push(' ');
        match shown.contains(' ') {
            true => line.extend(["'", &shown, "'"]),
            false => line.push_str(&shown),
        }
    }
    line
}

/// The slots of each server.
fn shares(ask: &Ask, slots: usize) -> Vec<usize> {
    let servers = ask.servers_for(slots);
    (0..servers)
        .map(|number| slots / servers + usize::from(number < slots % servers))
        .collect()
}

/// Prints medians where there were several rounds, and writes the files.
fn conclude(ask: &Ask, report: &Report) -> Result<(), String> {
    if ask.rounds > 1 {
        println!("\nall {} rounds:\n", ask.rounds);
        report.print_head();
        for line in &report.lines {
            report.print_line(line);
        }
    }
    println!();
    report.print_ratios();
    report.print_servers_ratio();
    let (dir, name) = match &ask.publish {
        Some(name) => (cargo::root().join("docs/performance"), name.clone()),
        None => (
            cargo::target_dir()?.join("bench"),
            format!("cluster-{}", report.tree.name),
        ),
    };
    let failed = |error: std::io::Error| format!("cannot write to {}: {error}", dir.display());
    fs::create_dir_all(&dir).map_err(failed)?;
    let file = dir.join(format!("{name}.json"));
    let text = format!("{:#}\n", report.to_json());
    fs::write(&file, text).map_err(failed)?;
    fs::write(dir.join(format!("{name}.md")), report.to_markdown()).map_err(failed)?;
    println!("wrote {}", file.display());
    curves::draw(report, &dir, &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_called_like_its_database_or_its_directory() {
        for (database, expect) in [
            ("/b/gtk-c.json", "gtk-c"),
            ("/b/redis/compile_commands.json", "redis"),
            ("compile_commands.json", "units"),
        ] {
            assert_eq!(tree_name(Path::new(database)), expect, "{database}");
        }
    }

    #[test]
    fn a_report_says_how_it_was_made_and_nothing_of_where() {
        let words = [
            "/home/me/z3.json",
            "--add",
            "-O0 -g",
            "--keep",
            "/tmp/me",
            "--slots",
            "64",
        ];
        let ask = Ask::read(&words).unwrap();
        assert_eq!(
            command_line(&ask, &words),
            "cargo xtask bench cluster z3.json --add '-O0 -g' --slots 64"
        );
    }
}
