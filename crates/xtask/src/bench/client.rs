//! What one compile costs the machine that asks for it: the client, its preprocessor and, for
//! ours, the agent. One stock server answers both clients, in turns.

use std::time::Duration;

use e2e::programs::{Kind, client};
use e2e::server::Server;
use e2e::workspace::Workspace;

use crate::bench::need_stock;
use crate::cargo::use_release_programs;
use crate::cpu::{measure, of_process};
use crate::zstd::Project;

/// Each client compiles all units so many times.
const ROUNDS: usize = 5;

/// Client CPU per unit, ours by stock's.
const RATIO_MAX: f64 = 1.05;

/// Measures unit by unit, ours and stock's alternately.
pub(crate) fn run() -> Result<(), String> {
    need_stock()?;
    use_release_programs()?;
    let mut workspace = Workspace::new();
    let project = Project::lay_out(&workspace)?;
    let server = Server::start(&workspace, Kind::Stock);
    workspace.set_hosts(server.host());
    // Starts the agent, which is what a build does once.
    compile(&workspace, &project, Kind::Ours, &project.units[0])?;
    let agents = workspace.agents();
    let agent = agents.first().ok_or("there is no agent")?;
    let agent_before = of_process(agent.pid)?;
    let jobs_before = server.jobs_so_far();
    let (mut ours, mut stocks) = (Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS {
        for (number, unit) in project.units.iter().enumerate() {
            // Who comes second finds warm caches: take turns in that, too.
            let order = if (round + number) % 2 == 0 {
                [Kind::Ours, Kind::Stock]
            } else {
                [Kind::Stock, Kind::Ours]
            };
            for kind in order {
                let cpu = compile(&workspace, &project, kind, unit)?;
                match kind {
                    Kind::Ours => ours += cpu,
                    Kind::Stock => stocks += cpu,
                }
            }
        }
    }
    let agent_cpu = of_process(agent.pid)?.saturating_sub(agent_before);
    let count = ROUNDS * project.units.len();
    server.wait_for_jobs(jobs_before + 2 * count);

    #[allow(clippy::cast_precision_loss, reason = "a few hundred compiles")]
    let per_unit = |time: Duration| time.as_secs_f64() * 1000.0 / count as f64;
    let (shim_ms, agent_ms) = (per_unit(ours), per_unit(agent_cpu));
    let (ours_ms, stock_ms) = (shim_ms + agent_ms, per_unit(stocks));
    let ratio = ours_ms / stock_ms;
    println!("{}", project.description());
    println!("{ROUNDS} rounds, one stock distccd, clients in turns; CPU ms per unit\n");
    println!("{:<36} {stock_ms:>8.2}", "stock distcc");
    println!("{:<36} {ours_ms:>8.2}", "farcc");
    println!("{:<36} {shim_ms:>8.2}", "  shim and preprocessor");
    println!("{:<36} {agent_ms:>8.2}", "  agent");
    println!("\nratio: {ratio:.3} (at most {RATIO_MAX})");
    println!(
        "client stock_ms={stock_ms:.2} ours_ms={ours_ms:.2} agent_ms={agent_ms:.2} ratio={ratio:.3}"
    );
    if ratio > RATIO_MAX {
        return Err("a compile costs the client too much".into());
    }
    Ok(())
}

fn compile(
    workspace: &Workspace,
    project: &Project,
    kind: Kind,
    unit: &str,
) -> Result<Duration, String> {
    let mut command = workspace.command(client(kind));
    command.arg("gcc").args(Project::compile_args(unit));
    // What the server does with it is not measured.
    command.arg("-O0");
    let cost = measure(command.current_dir(&project.dir))?;
    if cost.wait_status == 0 {
        Ok(cost.cpu)
    } else {
        Err(format!("{kind:?} cannot compile {unit}"))
    }
}
