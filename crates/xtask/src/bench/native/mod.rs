//! What one compile costs the machine that asks for it when a worker compiles the original sources: in a first build,
//! when all sources changed, and when the result is known; beside stock distcc in the same run.

pub(super) mod relay;
pub(super) mod units;

use std::time::Duration;

use e2e::programs::{self, Kind};
use e2e::server::Server;
use e2e::workspace::Workspace;
use rustix::process::Pid;

use crate::bench::need_stock;
use crate::cargo::use_release_programs;
use crate::cpu::{Cost, measure, median_ms, of_process, peak_memory};
use crate::identity;
use relay::Relay;
use units::Copy;

/// Stock's client CPU per unit by ours, at least.
const FIRST_MIN: f64 = 12.0;
const CHANGED_MIN: f64 = 18.0;
const KNOWN_MIN: f64 = 20.0;

/// What a worker may add to the time of a compile, in milliseconds.
const ADDED_MS_MAX: f64 = 15.0;

/// So often is each unit compiled in each way when times are compared.
const TURNS: usize = 6;

/// Stock's bytes per unit by ours, at least.
const BYTES_MIN: f64 = 5.0;

/// What clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Here,
    Stock,
    Native,
}

/// One way's sums in one build.
#[derive(Debug, Default)]
struct Sums {
    /// Of the shim or stock's client, with what they started.
    cpu: Duration,
    agent: Duration,
    walls: Vec<Duration>,
    sent: u64,
}

impl Sums {
    fn add(&mut self, cost: Cost) {
        self.cpu += cost.cpu;
        self.walls.push(cost.wall);
    }
}

struct Bench {
    /// Before the workspaces, which want to see nothing left.
    _servers: [Server; 2],
    place: Workspace,
    /// The client of each protocol with its server behind a relay.
    stock: (Workspace, Relay),
    native: (Workspace, Relay),
    units: Vec<Copy>,
}

/// Measures the units of a compilation database.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    need_stock()?;
    let ask = identity::read(words)?;
    let bench = Bench::prepare(&ask)?;
    println!(
        "{} units of {}, one at a time; CPU ms per unit\n",
        bench.units.len(),
        ask.database.display()
    );
    println!(
        "{:<22} {:>8} {:>8} {:>8} {:>8} {:>14} {:>12}",
        "", "shim", "agent", "together", "stock's", "stock by ours", "bytes sent"
    );
    let stock = bench.build(Way::Stock)?;
    let first = bench.build(Way::Native)?;
    bench.edit(1)?;
    let changed = bench.build(Way::Native)?;
    let known = bench.build(Way::Native)?;
    let count = bench.units.len();
    let results = [
        Line::new("first build", &first, &stock, count),
        Line::new("all sources changed", &changed, &stock, count),
        Line::new("nothing changed", &known, &stock, count),
    ];
    for line in &results {
        line.print();
    }
    let added = bench.added()?;
    let bytes = results[1].stock_bytes / results[1].bytes;
    println!(
        "\nwall time of a unit: {added:.1} ms more than here (median; at most {ADDED_MS_MAX})"
    );
    println!(
        "bytes sent, stock's with ,lzo by ours with changed sources: {bytes:.1} (at least {BYTES_MIN})"
    );
    let memory = bench.agent().map_or(Ok(0), peak_memory)? >> 20;
    println!("the agent's memory: {memory} MiB");
    println!(
        "native first={:.1} changed={:.1} known={:.1} added_ms={added:.1} bytes={bytes:.1} agent_mib={memory}",
        results[0].ratio, results[1].ratio, results[2].ratio
    );
    let reached = [FIRST_MIN, CHANGED_MIN, KNOWN_MIN];
    let is_short = |(line, min): (&Line, f64)| line.ratio < min;
    if results.iter().zip(reached).any(is_short) || added > ADDED_MS_MAX || bytes < BYTES_MIN {
        return Err("a compile costs the client too much".into());
    }
    Ok(())
}

impl Bench {
    fn prepare(ask: &identity::Ask) -> Result<Self, String> {
        let units = identity::units(ask)?;
        use_release_programs()?;
        let place = Workspace::new();
        let servers = [
            Server::start(&place, Kind::Stock),
            Server::start_bare(&place),
        ];
        let client = |server: &Server, option: &str| -> Result<_, String> {
            let relay = Relay::start(server.port()).map_err(|error| error.to_string())?;
            let mut workspace = Workspace::new();
            workspace.set_hosts(relay.host() + option);
            Ok((workspace, relay))
        };
        let (stock, native) = (client(&servers[0], ",lzo")?, client(&servers[1], "")?);
        let mut bench = Self {
            _servers: servers,
            place,
            stock,
            native,
            units: Vec::new(),
        };
        for (number, unit) in units.iter().enumerate() {
            let dir = bench.place.src(&format!("unit{number}"));
            let Some(copy) = Copy::make(unit, &dir, &ask.more) else {
                continue;
            };
            // What does not compile here says nothing.
            if bench.compile(Way::Here, &copy)?.wait_status == 0 {
                bench.units.push(copy);
            }
        }
        Ok(bench)
    }

    fn edit(&self, round: usize) -> Result<(), String> {
        for unit in &self.units {
            unit.edit(round).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn agent(&self) -> Option<Pid> {
        self.native.0.agents().first().map(|agent| agent.pid)
    }

    /// Compiles all units, and counts what the client spends.
    fn build(&self, way: Way) -> Result<Sums, String> {
        let agent_cpu = || self.agent().map_or(Ok(Duration::ZERO), of_process);
        let relay = match way {
            Way::Stock => &self.stock.1,
            _ => &self.native.1,
        };
        let (before, sent) = (agent_cpu()?, relay.sent());
        let mut sums = Sums::default();
        for unit in &self.units {
            let cost = self.compile(way, unit)?;
            if cost.wait_status != 0 {
                return Err(format!("{unit:?} cannot be compiled"));
            }
            sums.add(cost);
        }
        sums.sent = relay.sent() - sent;
        if way == Way::Native {
            sums.agent = agent_cpu()?.saturating_sub(before);
        }
        Ok(sums)
    }

    /// What a worker adds to the time of a compile, in milliseconds: the median of the units. A compile takes a tenth
    /// more or less each time, which is more than what is looked for, so each unit is compiled some times in both ways
    /// in turns, each way first as often, and the fastest of each counts.
    fn added(&self) -> Result<f64, String> {
        let mut added = Vec::new();
        let mut here = Vec::new();
        for (number, unit) in self.units.iter().enumerate() {
            let (mut local, mut remote) = (Duration::MAX, Duration::MAX);
            for turn in 0..TURNS {
                let round = 2 + number * TURNS + turn;
                unit.edit(round).map_err(|error| error.to_string())?;
                let ways = [Way::Here, Way::Native];
                for way in [ways[round % 2], ways[(round + 1) % 2]] {
                    let fastest = if way == Way::Here {
                        &mut local
                    } else {
                        &mut remote
                    };
                    *fastest = (*fastest).min(self.compile(way, unit)?.wall);
                }
            }
            added.push(remote.saturating_sub(local));
            here.push(local);
        }
        println!(
            "\nwall time of a unit here: {:.1} ms (median; the fastest of {TURNS} each)",
            median_ms(&here)
        );
        Ok(median_ms(&added))
    }

    fn compile(&self, way: Way, unit: &Copy) -> Result<Cost, String> {
        let mut command = match way {
            Way::Here => self.place.command(&unit.compiler),
            Way::Stock => self.stock.0.command(programs::client(Kind::Stock)),
            Way::Native => self.native.0.command(programs::client(Kind::Ours)),
        };
        if way != Way::Here {
            command.arg(&unit.compiler);
        }
        command
            .env("FARCC_CACHE", "1")
            .args(&unit.args)
            .arg("-o")
            .arg(self.place.src("out.o"))
            .current_dir(&unit.cwd);
        measure(command.stderr(std::process::Stdio::null()))
    }
}

/// A line of the table.
struct Line {
    name: &'static str,
    shim: f64,
    agent: f64,
    stock: f64,
    ratio: f64,
    bytes: f64,
    stock_bytes: f64,
}

impl Line {
    #[allow(clippy::cast_precision_loss, reason = "a few thousand compiles")]
    fn new(name: &'static str, ours: &Sums, stock: &Sums, count: usize) -> Self {
        let per_unit = |time: Duration| time.as_secs_f64() * 1000.0 / count as f64;
        let (shim, agent, stocks) = (
            per_unit(ours.cpu),
            per_unit(ours.agent),
            per_unit(stock.cpu),
        );
        Self {
            name,
            shim,
            agent,
            stock: stocks,
            ratio: stocks / (shim + agent),
            bytes: ours.sent as f64 / count as f64,
            stock_bytes: stock.sent as f64 / count as f64,
        }
    }

    fn print(&self) {
        println!(
            "{:<22} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>14.1} {:>12.0}",
            self.name,
            self.shim,
            self.agent,
            self.shim + self.agent,
            self.stock,
            self.ratio,
            self.bytes
        );
    }
}
