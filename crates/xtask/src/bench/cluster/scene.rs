//! One peer with so many slots: servers and clients from nothing, and its builds one after the other.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use e2e::foreign;
use e2e::workspace::Workspace;
use rustix::process::Pid;

use super::ask::Ask;
use super::network::Network;
use super::peers::{Peer, Phase, Servers};
use super::recordings::{Recording, TRAILER};
use super::servers::{Daemon, Site, StandIn};
use super::tree::Layer;
use super::units::Unit;
use super::{ninja, remote_execution};
use crate::control_group::ControlGroup;

/// The core of everything that is a client's.
pub(super) const CLIENTS_CORE: &str = "0";

/// A build that takes longer hangs.
const BUILD_PATIENCE: Duration = Duration::from_secs(3600);

/// Time in which clients finish what they do after a build.
const AFTER_BUILD: Duration = Duration::from_millis(300);

/// What all scenes of a run share.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) units: Vec<Unit>,
    pub(super) recordings: HashMap<String, Recording>,
    pub(super) project: PathBuf,
    pub(super) network: Network,
    pub(super) stand_in: StandIn,
    /// farcc for the servers' side.
    pub(super) worker: PathBuf,
}

/// What one build was.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) wall: Duration,
    /// User and system time of everything of the client's but the build tool.
    pub(super) client: Duration,
    /// The build tool's own.
    pub(super) tool: Duration,
    pub(super) servers: Duration,
    pub(super) bytes_sent: u64,
    /// What a unit took besides the compile itself, sorted.
    pub(super) added: Vec<Duration>,
    /// Units whose object is not the stand-in's.
    pub(super) local: usize,
}

/// A peer, ready to build. Fields are dropped in this order: clients, then servers, then what they live in.
struct Scene<'a> {
    stage: &'a Stage,
    peer: Peer,
    jobs: usize,
    client: Workspace,
    _daemons: Vec<Daemon>,
    clients_group: ControlGroup,
    servers_group: ControlGroup,
    addresses: Vec<SocketAddr>,
    dir: PathBuf,
    _layer: Layer,
    place: Workspace,
}

/// Sets a peer up and lets it build.
pub(super) fn play(
    stage: &Stage,
    peer: Peer,
    slots: &[usize],
    ask: &Ask,
) -> Result<Vec<(Phase, Sample)>, String> {
    let all = slots.iter().sum();
    let jobs = ask.jobs.unwrap_or_else(|| peer.jobs(all));
    let scene = Scene::set_up(stage, peer, slots, jobs)?;
    let mut samples = Vec::new();
    for (number, phase) in peer.phases().iter().enumerate() {
        samples.push((*phase, scene.build(number, *phase)?));
    }
    if let Some(dir) = &ask.keep {
        scene.keep_logs(&dir.join(format!("{}-{all}", peer.name())));
    }
    // Whatever a client leaves in its directory for temporary files is its own affair.
    let _gone = fs::remove_dir_all(scene.client.tmp());
    Ok(samples)
}

impl<'a> Scene<'a> {
    fn set_up(stage: &'a Stage, peer: Peer, slots: &[usize], jobs: usize) -> Result<Self, String> {
        let (place, mut client) = (Workspace::new(), Workspace::new());
        let layer = Layer::lay(&stage.project, place.root())?;
        let name = |side: &str| format!("{side}-{}", place.mark());
        let servers_group = ControlGroup::new(&name("servers"))?;
        let site = Site {
            place: &place,
            network: &stage.network,
            stand_in: &stage.stand_in,
            group: &servers_group,
        };
        let (daemons, addresses) = match peer.servers() {
            Servers::None => (Vec::new(), Vec::new()),
            Servers::Workers => site.workers(&stage.worker, slots)?,
            Servers::OneWorker => site.workers(&stage.worker, &[slots.iter().sum()])?,
            Servers::Casd => site.casd(slots.iter().sum())?,
            Servers::Stock => site.stock(slots)?,
        };
        let hosts = addresses.iter().zip(slots);
        let hosts: Vec<String> = hosts
            .map(|(address, slots)| format!("{address}/{slots}{}", peer.host_options()))
            .collect();
        client.set_hosts(hosts.join(" "));
        let dir = ninja::directory(&stage.units);
        if peer == Peer::Siso {
            remote_execution::configure_siso(&stage.project, &stage.units, &dir)?;
        }
        Ok(Self {
            stage,
            peer,
            jobs,
            clients_group: ControlGroup::new(&name("clients"))?,
            client,
            _daemons: daemons,
            servers_group,
            addresses,
            dir,
            _layer: layer,
            place,
        })
    }

    /// One build.
    fn build(&self, number: usize, phase: Phase) -> Result<Sample, String> {
        if phase == Phase::Changed {
            for unit in &self.stage.units {
                let edited = unit.edit(number);
                edited.map_err(|error| format!("{}: {error}", unit.source.display()))?;
            }
        }
        for unit in &self.stage.units {
            for path in [&unit.output, &unit.dependencies] {
                let _not_there = fs::remove_file(path);
            }
        }
        let logs = self.place.root().join(format!("log{number}"));
        fs::create_dir_all(&logs).map_err(|error| error.to_string())?;
        ninja::write(self.peer, &self.stage.units, &self.dir, &logs)?;
        let before = self.counters()?;
        let (wall, tool) = self.run_tool(&logs)?;
        std::thread::sleep(AFTER_BUILD);
        let after = self.counters()?;
        let tool = if self.peer == Peer::Siso {
            Duration::ZERO
        } else {
            tool
        };
        Ok(Sample {
            wall,
            client: (after.clients - before.clients).saturating_sub(tool),
            tool,
            servers: after.servers - before.servers,
            bytes_sent: after.sent - before.sent,
            added: self.added(&logs),
            local: self.not_of_stand_in()?,
        })
    }

    /// Copies the logs to where they can be looked at.
    fn keep_logs(&self, dir: &Path) {
        let _there = fs::create_dir_all(dir);
        let entries = fs::read_dir(self.place.root());
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".log") {
                let _best_effort = fs::copy(entry.path(), dir.join(name));
            } else if name.starts_with("log") {
                for file in ["output", ".ninja_log"] {
                    let to = dir.join(format!("{name}{file}"));
                    let _best_effort = fs::copy(entry.path().join(file), to);
                }
            }
        }
    }

    fn counters(&self) -> Result<Counters, String> {
        Ok(Counters {
            clients: self.clients_group.cpu()?,
            servers: self.servers_group.cpu()?,
            sent: self.stage.network.sent()?,
        })
    }

    /// Runs the build tool to its end: what it took, and its own CPU time.
    fn run_tool(&self, logs: &Path) -> Result<(Duration, Duration), String> {
        let mut command = self.client_command();
        match self.peer {
            Peer::Siso => {
                let address = self.address()?;
                remote_execution::siso(&mut command, &self.dir, address, self.jobs);
                command.env("TMPDIR", self.client.root().join("home"));
            }
            _ => {
                command.arg("ninja").arg("-C").arg(&self.dir);
                command.args(["-f", ninja::FILE, "-j", &self.jobs.to_string()]);
            }
        }
        command.env("FARCC_CACHE", "1");
        if matches!(self.peer, Peer::Recc | Peer::ReccCasd) {
            let address = self.address()?;
            remote_execution::recc(&mut command, &self.stage.project, address);
        }
        let log = logs.join("output");
        let output = fs::File::create(&log).map_err(|error| error.to_string())?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let start = Instant::now();
        let mut child = command
            .spawn()
            .map_err(|error| format!("cannot run {command:?}: {error}"))?;
        let id = i32::try_from(child.id()).map_err(|error| error.to_string())?;
        let pid = Pid::from_raw(id).ok_or("a child has no number")?;
        let is_over = e2e::run::wait_for_exit(pid, BUILD_PATIENCE);
        let wall = start.elapsed();
        // It has ended, and is still there to be asked.
        let tool = own_cpu(id);
        if !is_over {
            let _gone = child.kill();
        }
        let status = child.wait().map_err(|error| error.to_string())?;
        if status.success() {
            return Ok((wall, tool));
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        let last: Vec<&str> = said.lines().rev().take(20).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        Err(format!(
            "{}: the build failed ({status}):\n{}",
            self.peer.name(),
            last.join("\n")
        ))
    }

    /// A command on the clients' side: in their control group, on their core.
    fn client_command(&self) -> Command {
        let mut command = self.client.command("/bin/sh");
        command
            .args([
                "-c",
                r#"echo $$ >"$0/cgroup.procs" && exec taskset -c "$@""#,
            ])
            .arg(self.clients_group.dir())
            .arg(CLIENTS_CORE)
            .current_dir(&self.dir);
        command
    }

    fn address(&self) -> Result<SocketAddr, String> {
        self.addresses
            .first()
            .copied()
            .ok_or_else(|| "there is no server".to_owned())
    }

    /// What each unit took besides its compile, sorted.
    fn added(&self, logs: &Path) -> Vec<Duration> {
        let times = ninja::times(logs);
        let added = self.stage.units.iter().filter_map(|unit| {
            let time = times.get(&ninja::name_in_log(unit, &self.dir))?;
            let recording = self.stage.recordings.get(&unit.key)?;
            Some(time.saturating_sub(recording.cpu))
        });
        let mut added: Vec<Duration> = added.collect();
        added.sort_unstable();
        added
    }

    /// Units that were compiled after all.
    fn not_of_stand_in(&self) -> Result<usize, String> {
        if self.peer == Peer::Nothing {
            return Ok(0);
        }
        let mut local = 0;
        for unit in &self.stage.units {
            let object = fs::read(&unit.output)
                .map_err(|error| format!("{}: {error}", unit.output.display()))?;
            let recording = self.stage.recordings.get(&unit.key);
            let is_recorded = object.ends_with(TRAILER)
                && recording.is_some_and(|it| it.object_bytes == object.len() as u64);
            local += usize::from(!is_recorded);
        }
        Ok(local)
    }
}

/// What is counted all the time.
struct Counters {
    clients: Duration,
    servers: Duration,
    sent: u64,
}

/// A process' own time without its children's, also of one that has ended and was not waited for.
fn own_cpu(pid: i32) -> Duration {
    let mut sum = Duration::ZERO;
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    for task in tasks.into_iter().flatten().flatten() {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let nanos = text.split(' ').next().and_then(|it| it.parse().ok());
        sum += Duration::from_nanos(nanos.unwrap_or(0));
    }
    sum
}

/// Whether a peer's program is there.
pub(super) fn is_there(peer: Peer) -> bool {
    let servers = match peer {
        Peer::ReccCasd => Some(foreign::casd_1_3()),
        _ => None,
    };
    let programs = peer.program().into_iter().chain(servers);
    programs.into_iter().all(|program| program.exists())
}
