//! What a compile costs the client when the result is known: farcc's kept results beside ccache's direct mode, on the
//! same units in turns.

use std::process::{Command, Stdio};
use std::time::Duration;

use e2e::programs::{self, Kind};
use e2e::server::Server;
use e2e::workspace::Workspace;

use crate::bench::native::units::Copy;
use crate::cargo::use_release_programs;
use crate::cpu::{measure, of_process};
use crate::identity;

/// Each unit is asked for so many times by each.
const ROUNDS: usize = 5;

/// Client CPU per hit, ours by ccache's.
const RATIO_MAX: f64 = 0.6;

/// Who keeps results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeper {
    Ccache,
    Farcc,
}

struct Bench {
    /// Before the workspaces, which want to see nothing left.
    _server: Server,
    _place: Workspace,
    ccache: Workspace,
    farcc: Workspace,
    units: Vec<Copy>,
}

/// Measures the units of a compilation database.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    if programs::find("ccache").is_none() {
        return Err("ccache is missing: apt-get install ccache".into());
    }
    let ask = identity::read(words)?;
    let bench = Bench::prepare(&ask)?;
    let before = (bench.direct_hits()?, bench.agent_cpu()?);
    let (mut ccache, mut shim) = (Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS {
        for unit in &bench.units {
            // Who comes later finds warmer caches.
            let order = match round % 2 {
                0 => [Keeper::Ccache, Keeper::Farcc],
                _ => [Keeper::Farcc, Keeper::Ccache],
            };
            for keeper in order {
                let cpu = bench.compile(keeper, unit)?;
                match keeper {
                    Keeper::Ccache => ccache += cpu,
                    Keeper::Farcc => shim += cpu,
                }
            }
        }
    }
    let agent = bench.agent_cpu()?.saturating_sub(before.1);
    let compiles = ROUNDS * bench.units.len();
    let hits = bench.direct_hits()? - before.0;
    if hits != compiles {
        return Err(format!(
            "ccache had {hits} direct hits in {compiles} compiles"
        ));
    }
    #[allow(clippy::cast_precision_loss, reason = "a few thousand compiles")]
    let ms = |time: Duration| time.as_secs_f64() * 1000.0 / compiles as f64;
    let (theirs, ours) = (ms(ccache), ms(shim + agent));
    println!(
        "{} units of {}, {ROUNDS} times each; CPU ms per hit\n",
        bench.units.len(),
        ask.database.display()
    );
    println!("ccache, direct mode {theirs:>8.2}");
    println!(
        "farcc               {ours:>8.2}   (shim {:.2}, agent {:.2})",
        ms(shim),
        ms(agent)
    );
    let ratio = ours / theirs;
    println!("\nfarcc by ccache: {ratio:.2} (at most {RATIO_MAX})");
    println!("cache ccache_ms={theirs:.2} ours_ms={ours:.2} ratio={ratio:.3}");
    if ratio > RATIO_MAX {
        return Err("a hit costs the client too much".into());
    }
    Ok(())
}

impl Bench {
    /// Lets both compile everything once.
    fn prepare(ask: &identity::Ask) -> Result<Self, String> {
        let units = identity::units(ask)?;
        use_release_programs()?;
        let place = Workspace::new();
        let server = Server::start(&place, Kind::Ours);
        let mut farcc = Workspace::new();
        farcc.set_hosts(server.native_host());
        let mut bench = Self {
            _server: server,
            ccache: Workspace::new(),
            farcc,
            units: Vec::new(),
            _place: place,
        };
        for (number, unit) in units.iter().enumerate() {
            let dir = bench.ccache.src(&format!("unit{number}"));
            let Some(copy) = Copy::make(unit, &dir, &ask.more) else {
                continue;
            };
            // What does not compile here says nothing.
            if bench.compile(Keeper::Ccache, &copy).is_ok() {
                bench.compile(Keeper::Farcc, &copy)?;
                bench.units.push(copy);
            }
        }
        if bench.units.is_empty() {
            return Err("no unit compiles".into());
        }
        Ok(bench)
    }

    fn compile(&self, keeper: Keeper, unit: &Copy) -> Result<Duration, String> {
        let mut command = match keeper {
            Keeper::Ccache => self.ccache("ccache"),
            Keeper::Farcc => self.farcc.command(programs::distcc()),
        };
        command
            .env("FARCC_CACHE", "1")
            .arg(&unit.compiler)
            .args(&unit.args)
            .arg("-o")
            .arg(self.farcc.src("out.o"))
            .current_dir(&unit.cwd)
            .stderr(Stdio::null());
        let cost = measure(&mut command)?;
        match cost.wait_status {
            0 => Ok(cost.cpu),
            _ => Err(format!("{unit:?} cannot be compiled")),
        }
    }

    fn ccache(&self, program: &str) -> Command {
        let mut command = self.ccache.command(program);
        command.env("CCACHE_DIR", self.ccache.root().join("home/ccache"));
        command
    }

    fn direct_hits(&self) -> Result<usize, String> {
        let output = self.ccache("ccache").arg("--print-stats").output();
        let output = output.map_err(|error| format!("cannot run ccache: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let number = text.lines().find_map(|line| {
            let number = line.strip_prefix("direct_cache_hit")?;
            number.trim().parse().ok()
        });
        number.ok_or_else(|| format!("ccache tells no direct hits: {text}"))
    }

    fn agent_cpu(&self) -> Result<Duration, String> {
        let agent = self.farcc.agents();
        let agent = agent.first().ok_or("there is no agent")?;
        of_process(agent.pid)
    }
}
