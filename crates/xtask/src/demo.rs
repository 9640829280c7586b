//! `cargo xtask demo`: a real C library built on two servers, and proof that it worked.

pub(crate) mod events;
mod monitor;

use std::time::Duration;

use e2e::programs;
use e2e::server::Server;
use e2e::workspace::Workspace;

use crate::cargo::use_release_programs;
use crate::cpu;
use crate::zstd::Project;

use events::{Events, Jobs};
use monitor::Monitor;

/// More than there are slots (eight), as people choose it.
const JOBS: usize = 12;

/// What one build took.
struct Build {
    wall: Duration,
    cpu: Duration,
}

/// Builds the programs, then zstd with them, then zstd without them, and compares.
pub(crate) fn run() -> Result<(), String> {
    println!("==> building farcc (release)");
    use_release_programs()?;
    let mut workspace = Workspace::new();
    let project = Project::lay_out(&workspace)?;
    println!("==> the project: {}", project.description());

    let servers = [
        Server::start_bare(&workspace),
        Server::start_bare(&workspace),
    ];
    let hosts: Vec<String> = servers.iter().map(Server::plain_host).collect();
    workspace.set_hosts(hosts.join(" "));
    println!(
        "==> two servers that see no compiler; DISTCC_HOSTS=\"{}\"",
        hosts.join(" ")
    );

    println!("==> make -j{JOBS} CC=\"distcc gcc\", and distccmon-text beside it");
    let (remote, jobs) = build_distributed(&workspace, &project)?;
    let program = project.dir.join("roundtrip");
    let greeting = e2e::run::run(&mut workspace.command(&program));
    if !greeting.status.success() {
        return Err(format!("the program that was built fails: {greeting:#?}"));
    }
    let ours = project.take_objects()?;

    println!("==> make -j{JOBS} CC=gcc, to compare");
    let local = build(&workspace, &project, "gcc")?;
    let plain = project.take_objects()?;
    let names: Vec<String> = project.objects().collect();
    let different: Vec<&String> = names
        .iter()
        .zip(ours.iter().zip(&plain))
        .filter(|(_, (ours, plain))| ours != plain)
        .map(|(name, _)| name)
        .collect();

    print_table(&jobs, &remote, &local);
    let equal = names.len() - different.len();
    println!(
        "objects equal to those of the local build: {equal} of {}",
        names.len()
    );
    print!("a program made of them: {}", greeting.stdout);
    drop(servers);
    if !different.is_empty() {
        return Err(format!("different objects: {different:?}"));
    }
    if jobs.remote.values().sum::<usize>() < project.units.len() {
        return Err("not all compiles were done by the servers".into());
    }
    Ok(())
}

fn build_distributed(workspace: &Workspace, project: &Project) -> Result<(Build, Jobs), String> {
    // The first call starts the agent, so that its events can be heard from the beginning.
    let first = workspace.distcc("gcc --version");
    if !first.status.success() {
        return Err(format!("distcc does not work: {first:#?}"));
    }
    let agents = workspace.agents();
    let [agent] = &agents[..] else {
        return Err(format!("there should be one agent: {agents:?}"));
    };
    let events = Events::listen(&workspace.distcc_dir())?;
    let monitor = Monitor::start(workspace)?;
    let before = cpu::of_process(agent.pid)?;
    let compiler = format!("{} gcc", programs::distcc().display());
    let mut built = build(workspace, project, &compiler)?;
    built.cpu += cpu::of_process(agent.pid)?.saturating_sub(before);
    monitor.stop();
    workspace.drain_agents();
    Ok((built, events.finish()?))
}

fn build(workspace: &Workspace, project: &Project, compiler: &str) -> Result<Build, String> {
    let cost = cpu::measure(&mut project.make(workspace, JOBS, compiler))?;
    if cost.wait_status != 0 {
        return Err(format!("the build with {compiler} failed"));
    }
    let cpu::Cost { wall, cpu, .. } = cost;
    Ok(Build { wall, cpu })
}

fn print_table(jobs: &Jobs, remote: &Build, local: &Build) {
    let row = |label: &str, value: String| println!("{label:<44} {value}");
    let jobs_all: usize = jobs.remote.values().chain(jobs.local.values()).sum();
    println!();
    for (host, count) in &jobs.remote {
        row(&format!("jobs on {host}"), count.to_string());
    }
    for ((code, sentence), count) in &jobs.local {
        row(
            &format!("local jobs: {code}"),
            format!("{count}  ({sentence})"),
        );
    }
    for (why, count) in &jobs.retried {
        row(&format!("retried: {why}"), count.to_string());
    }
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    row("wall time", seconds(remote.wall));
    row("wall time of the local build", seconds(local.wall));
    #[allow(clippy::cast_precision_loss, reason = "a few dozen jobs")]
    let per_job =
        |time: Duration| format!("{:.1} ms", 1000.0 * time.as_secs_f64() / jobs_all as f64);
    row(
        "client CPU per job (make, shims, agent)",
        per_job(remote.cpu),
    );
    row("client CPU per job of the local build", per_job(local.cpu));
}
