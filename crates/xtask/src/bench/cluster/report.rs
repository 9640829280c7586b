//! Results: medians over rounds, as a table for people and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::peers::{Peer, Phase};
use super::scene::Sample;

/// Percentiles of what units took besides their compiles, in the files.
const ADDED_PERCENTS: [usize; 6] = [50, 75, 90, 95, 99, 100];

/// What is known of the units before anybody builds.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    /// The database, without where it is.
    pub(super) name: String,
    /// What measures it again, from the directory of the database.
    pub(super) command: String,
    /// Of each client's.
    pub(super) units: usize,
    /// Machines that build all of them at the same time.
    pub(super) clients: usize,
    /// How much of their core they have, in hundredths.
    pub(super) client_core: usize,
    /// Sum of what the compiles take.
    pub(super) compile: Duration,
    pub(super) longest: Duration,
}

/// One line: a peer with so many slots in one kind of build.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) peer: Peer,
    pub(super) phase: Phase,
    pub(super) slots: usize,
    samples: Vec<Sample>,
}

/// All lines of a run.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) tree: Tree,
    pub(super) lines: Vec<Line>,
}

impl Tree {
    /// No build can be faster with so many slots, whoever does it.
    pub(super) fn bound(&self, slots: usize) -> Duration {
        let of = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let all = self.compile * of(self.clients);
        self.longest.max(all / of(slots))
    }

    /// Words for people, where there is more than one client.
    fn by_whom(&self) -> String {
        match self.clients {
            1 => String::new(),
            clients => format!(", all built by {clients} clients at the same time"),
        }
    }

    /// Words for people.
    fn clients_core(&self) -> String {
        match self.client_core {
            100 => "one core".to_owned(),
            percent => format!("{percent} % of one core"),
        }
    }

    /// Units that all clients build together.
    pub(super) fn built(&self) -> usize {
        self.units * self.clients
    }
}

impl Report {
    pub(super) fn new(tree: Tree) -> Self {
        Self {
            tree,
            lines: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, peer: Peer, phase: Phase, slots: usize, sample: Sample) {
        let is_same =
            |line: &&mut Line| (line.peer, line.phase, line.slots) == (peer, phase, slots);
        if let Some(line) = self.lines.iter_mut().find(is_same) {
            line.samples.push(sample);
            return;
        }
        self.lines.push(Line {
            peer,
            phase,
            slots,
            samples: vec![sample],
        });
    }

    pub(super) fn print_head(&self) {
        let tree = &self.tree;
        println!(
            "{}: {} units, {:.0} ms of compile each, the longest {:.1} s{}",
            tree.name,
            tree.units,
            tree.compile.as_secs_f64() * 1000.0 / as_f64(tree.units),
            tree.longest.as_secs_f64(),
            tree.by_whom()
        );
        println!(
            "clients on {}, servers on another; CPU and bytes per unit; medians, in brackets the spread of the wall \
             time, which ends when the last client has everything; `first` is when the first one has\n",
            tree.clients_core()
        );
        println!(
            "{:>5} {:<12} {:<16} {:>8} {:>12} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7} {:>24} {:>6}",
            "slots",
            "peer",
            "build",
            "wall s",
            "",
            "first s",
            "by bound",
            "units/s",
            "client ms",
            "tool ms",
            "server ms",
            "busy %",
            "kB sent",
            "agent M",
            "added ms 50/95/100 %",
            "local"
        );
    }

    pub(super) fn print_line(&self, line: &Line) {
        let (tree, units) = (&self.tree, self.tree.built());
        let walls = line.sorted(|it| it.wall().as_secs_f64());
        let wall = line.median(|it| it.wall().as_secs_f64());
        let bound = self.tree.bound(line.slots).as_secs_f64();
        let added = [50, 95, 100].map(|percent| {
            let ms = line.median(|it| percentile(&it.added, percent).as_secs_f64() * 1000.0);
            format!("{ms:.0}")
        });
        let spread = match (walls.first(), walls.last()) {
            (Some(least), Some(most)) if walls.len() > 1 => format!("[{least:.1}-{most:.1}]"),
            _ => String::new(),
        };
        println!(
            "{:>5} {:<12} {:<16} {wall:>8.2} {spread:>12} {:>8.2} {:>8.2} {:>8.1} {:>9.2} {:>9.2} {:>9.2} {:>9} {:>9.1} {:>7.0} {:>24} {:>6}",
            line.slots,
            line.peer.name(),
            line.phase.name(),
            line.median(|it| it.fastest().as_secs_f64()),
            wall / bound,
            as_f64(units) / wall,
            line.per_unit(units, |it| it.client),
            line.per_unit(units, |it| it.tool),
            line.per_unit(units, |it| it.servers),
            line.busy(tree),
            line.bytes(units) / 1000.0,
            line.memory_mib(),
            added.join(" / "),
            line.median(|it| as_f64(it.local)),
        );
    }

    /// Ratios, each peer's CPU by farcc's with as many slots: first build by first build.
    pub(super) fn print_ratios(&self) {
        for ours in self.lines.iter().filter(|line| line.peer == Peer::Farcc) {
            let by_ours = |theirs: &&Line| {
                theirs.slots == ours.slots
                    && theirs.peer != Peer::Farcc
                    && theirs.peer != Peer::Nothing
            };
            let ratios = self.lines.iter().filter(by_ours).map(|theirs| {
                let client = |line: &Line| line.per_unit(self.tree.built(), |it| it.client);
                let ratio = client(theirs) / client(ours);
                format!(
                    "{} ({}) {ratio:.1}",
                    theirs.peer.name(),
                    theirs.phase.name()
                )
            });
            let ratios: Vec<String> = ratios.collect();
            if !ratios.is_empty() {
                println!(
                    "client CPU by farcc's, {} slots, {}: {}",
                    ours.slots,
                    ours.phase.name(),
                    ratios.join(", ")
                );
            }
        }
    }

    /// The servers' CPU for the same actions: casd's by the worker's.
    pub(super) fn print_servers_ratio(&self) {
        let of = |peer: Peer, slots: usize, phase: Phase| {
            let is_it = |it: &&Line| (it.peer, it.slots, it.phase) == (peer, slots, phase);
            self.lines.iter().find(is_it)
        };
        for casd in self.lines.iter().filter(|it| it.peer == Peer::ReccCasd) {
            let Some(ours) = of(Peer::Recc, casd.slots, casd.phase) else {
                continue;
            };
            let server = |line: &Line| line.per_unit(self.tree.built(), |it| it.servers);
            println!(
                "servers' CPU, {} slots, {}: casd {:.1} ms, farcc's worker {:.1} ms, {:.1} times",
                casd.slots,
                casd.phase.name(),
                server(casd),
                server(ours),
                server(casd) / server(ours)
            );
        }
    }

    /// The table, for the documents.
    pub(super) fn to_markdown(&self) -> String {
        let (tree, units) = (&self.tree, self.tree.built());
        let mut text = format!(
            "# {}\n\n`{}`\n\n{} units, {:.0} ms of compile each, the longest {:.1} s{}. CPU and bytes per unit, medians of {} \
             rounds. Clients on {}.\n\n\
             | slots | peer | build | wall | by bound | units/s | client | build tool | servers | busy | sent | \
             memory | added, median | added, 95 % |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
            tree.name,
            tree.command,
            tree.units,
            tree.compile.as_secs_f64() * 1000.0 / as_f64(tree.units),
            tree.longest.as_secs_f64(),
            tree.by_whom(),
            self.lines.first().map_or(0, |line| line.samples.len()),
            tree.clients_core(),
        );
        for line in &self.lines {
            let wall = line.median(|it| it.wall().as_secs_f64());
            let added = |percent| {
                let has_log = |it: &Sample| !it.added.is_empty();
                match line.samples.iter().all(has_log) {
                    true => format!(
                        "{:.0} ms",
                        line.median(|it| percentile(&it.added, percent).as_secs_f64() * 1000.0)
                    ),
                    false => "–".to_owned(),
                }
            };
            let first = match tree.clients {
                1 => String::new(),
                _ => {
                    let first = line.median(|it| it.fastest().as_secs_f64());
                    format!(", first {first:.1} s")
                }
            };
            let _infallible = writeln!(
                text,
                "| {} | {} | {} | {wall:.1} s{first} | {:.2} | {:.0} | {:.1} ms | {:.1} ms | {:.1} ms | {} % | {:.0} kB | {} | {} | {} |",
                line.slots,
                line.peer.name(),
                line.phase.name(),
                wall / tree.bound(line.slots).as_secs_f64(),
                as_f64(units) / wall,
                line.per_unit(units, |it| it.client),
                line.per_unit(units, |it| it.tool),
                line.per_unit(units, |it| it.servers),
                line.busy(tree),
                line.bytes(units) / 1000.0,
                line.memory(),
                added(50),
                added(95),
            );
        }
        text
    }

    pub(super) fn to_json(&self) -> Value {
        let units = self.tree.built();
        let lines = self.lines.iter().map(|line| {
            let added = ADDED_PERCENTS.map(|percent| {
                line.median(|it| percentile(&it.added, percent).as_secs_f64() * 1000.0)
            });
            json!({
                "peer": line.peer.name(),
                "build": line.phase.name(),
                "slots": line.slots,
                "rounds": line.samples.len(),
                "wall_s": line.sorted(|it| it.wall().as_secs_f64()),
                "first_client_s": line.median(|it| it.fastest().as_secs_f64()),
                "bound_s": self.tree.bound(line.slots).as_secs_f64(),
                "units_per_s": as_f64(units) / line.median(|it| it.wall().as_secs_f64()),
                "client_ms": line.per_unit(units, |it| it.client),
                "tool_ms": line.per_unit(units, |it| it.tool),
                "server_ms": line.per_unit(units, |it| it.servers),
                "bytes_sent": line.bytes(units),
                "memory_mib": line.memory_mib(),
                "added_ms": added,
                "local": line.median(|it| as_f64(it.local)),
            })
        });
        json!({
            "tree": self.tree.name,
            "command": self.tree.command,
            "units": self.tree.units,
            "clients": self.tree.clients,
            "client_core_percent": self.tree.client_core,
            "compile_ms": self.tree.compile.as_secs_f64() * 1000.0 / as_f64(self.tree.units),
            "longest_s": self.tree.longest.as_secs_f64(),
            "lines": lines.collect::<Vec<_>>(),
        })
    }
}

impl Line {
    fn sorted(&self, of: impl Fn(&Sample) -> f64) -> Vec<f64> {
        let mut values: Vec<f64> = self.samples.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    pub(super) fn median(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        let values = self.sorted(of);
        values.get(values.len() / 2).copied().unwrap_or_default()
    }

    /// Milliseconds.
    pub(super) fn per_unit(&self, units: usize, of: impl Fn(&Sample) -> Duration) -> f64 {
        self.median(|it| of(it).as_secs_f64()) * 1000.0 / as_f64(units)
    }

    /// How much of what the clients have of their core, and of the servers' core, was used.
    fn busy(&self, tree: &Tree) -> String {
        let share = |of: &dyn Fn(&Sample) -> Duration| {
            self.median(|it| 100.0 * of(it).as_secs_f64() / it.wall().as_secs_f64())
        };
        let clients = share(&|it| it.client + it.tool) * 100.0 / as_f64(tree.client_core);
        format!("{clients:.0}/{:.0}", share(&|it| it.servers))
    }

    fn memory_mib(&self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "gigabytes")]
        self.median(|it| it.memory as f64 / f64::from(1 << 20))
    }

    /// For the documents; who has nothing that outlives a build has no number.
    fn memory(&self) -> String {
        match self.memory_mib() {
            0.0 => "–".to_owned(),
            mib => format!("{mib:.0} MiB"),
        }
    }

    fn bytes(&self, units: usize) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "gigabytes")]
        self.median(|it| it.bytes_sent as f64 / as_f64(units))
    }
}

#[allow(clippy::cast_precision_loss, reason = "a few thousand units")]
pub(super) fn as_f64(number: usize) -> f64 {
    number as f64
}

/// Of sorted times.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Duration, Tree};

    #[test]
    fn clients_share_the_slots() {
        let tree = |clients| Tree {
            name: String::new(),
            command: String::new(),
            units: 100,
            clients,
            client_core: 100,
            compile: Duration::from_secs(40),
            longest: Duration::from_secs(6),
        };
        assert_eq!(tree(1).bound(8), Duration::from_secs(6));
        assert_eq!(tree(3).bound(8), Duration::from_secs(15));
        assert_eq!(tree(3).built(), 300);
    }
}
