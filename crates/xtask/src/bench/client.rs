//! What one compile costs the machine that asks for it: the client, its preprocessor and, for
//! ours, the agent. One stock server answers all clients, in turns.

use std::time::Duration;

use e2e::programs::{self, Kind};
use e2e::server::Server;
use e2e::workspace::Workspace;
use rustix::process::Pid;

use crate::bench::need_stock;
use crate::cargo::use_release_programs;
use crate::cpu::{measure, of_process};
use crate::zstd::Project;

/// Each client compiles all units so many times.
const ROUNDS: usize = 5;

/// Client CPU per unit for a plain host, ours by stock's.
const RATIO_MAX: f64 = 1.05;

/// A client with a place of its own, and so with an agent of its own.
struct Candidate {
    name: &'static str,
    kind: Kind,
    project: Project,
    agent: Option<(Pid, Duration)>,
    cpu: Duration,
    workspace: Workspace,
}

/// Milliseconds of CPU per unit.
struct PerUnit {
    client: f64,
    agent: f64,
}

/// Measures unit by unit, all clients in turns.
pub(crate) fn run() -> Result<(), String> {
    need_stock()?;
    use_release_programs()?;
    let place = Workspace::new();
    let server = Server::start(&place, Kind::Stock);
    let files = server.host() + ",lzo,cpp";
    let candidates: Result<Vec<_>, String> = [
        Candidate::new("stock distcc", Kind::Stock, server.plain_host()),
        Candidate::new("farcc", Kind::Ours, server.host()),
        Candidate::new("farcc, host with ,lzo,cpp", Kind::Ours, files),
    ]
    .into_iter()
    .collect();
    let mut candidates = candidates?;
    let count = candidates.len();
    let units = candidates[0].project.units.clone();
    let jobs_before = server.jobs_so_far();
    for round in 0..ROUNDS {
        for (number, unit) in units.iter().enumerate() {
            // Who comes later finds warmer caches: everybody is first now and then.
            for turn in 0..count {
                candidates[(round + number + turn) % count].compile(unit)?;
            }
        }
    }
    let compiles = ROUNDS * units.len();
    server.wait_for_jobs(jobs_before + count * compiles);

    println!("{}", candidates[0].project.description());
    println!("{ROUNDS} rounds, one stock distccd, clients in turns; CPU ms per unit\n");
    let columns = ["client and preprocessor", "agent", "together"];
    println!(
        "{:<28} {:>24} {:>8} {:>10}",
        "", columns[0], columns[1], columns[2]
    );
    let mut sums = Vec::new();
    for candidate in &candidates {
        let per_unit = candidate.per_unit(compiles)?;
        let (client, agent) = (per_unit.client, per_unit.agent);
        let sum = client + agent;
        println!(
            "{:<28} {client:>24.2} {agent:>8.2} {sum:>10.2}",
            candidate.name
        );
        sums.push(sum);
    }
    let [stock, ours, with_files] = sums[..] else {
        return Err("not all clients were measured".into());
    };
    let ratio = ours / stock;
    println!("\nfarcc by stock on a plain host: {ratio:.3} (at most {RATIO_MAX})");
    println!(
        "client stock_ms={stock:.2} ours_ms={ours:.2} files_ms={with_files:.2} ratio={ratio:.3}"
    );
    if ratio > RATIO_MAX {
        return Err("a compile costs the client too much".into());
    }
    Ok(())
}

impl Candidate {
    fn new(name: &'static str, kind: Kind, hosts: String) -> Result<Self, String> {
        let mut workspace = Workspace::new();
        workspace.set_hosts(hosts);
        let project = Project::lay_out(&workspace)?;
        let mut candidate = Self {
            name,
            kind,
            project,
            agent: None,
            cpu: Duration::ZERO,
            workspace,
        };
        // Starts the agent, and lets it learn the compiler: a build does so once.
        let unit = candidate.project.units[0].clone();
        candidate.compile(&unit)?;
        candidate.cpu = Duration::ZERO;
        if let Some(agent) = candidate.workspace.agents().first() {
            candidate.agent = Some((agent.pid, of_process(agent.pid)?));
        }
        Ok(candidate)
    }

    fn compile(&mut self, unit: &str) -> Result<(), String> {
        let mut command = self.workspace.command(programs::client(self.kind));
        command.arg("gcc").args(Project::compile_args(unit));
        // What the server does with it is not measured.
        command.arg("-O0");
        let cost = measure(command.current_dir(&self.project.dir))?;
        if cost.wait_status != 0 {
            return Err(format!("{} cannot compile {unit}", self.name));
        }
        self.cpu += cost.cpu;
        Ok(())
    }

    fn per_unit(&self, compiles: usize) -> Result<PerUnit, String> {
        #[allow(clippy::cast_precision_loss, reason = "a few hundred compiles")]
        let per_unit = |time: Duration| time.as_secs_f64() * 1000.0 / compiles as f64;
        let agent = match self.agent {
            Some((pid, before)) => of_process(pid)?.saturating_sub(before),
            None => Duration::ZERO,
        };
        Ok(PerUnit {
            client: per_unit(self.cpu),
            agent: per_unit(agent),
        })
    }
}
