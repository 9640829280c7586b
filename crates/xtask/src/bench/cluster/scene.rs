//! One peer with so many slots: servers and clients from nothing, and its builds one after the other, all clients at the
//! same time.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use e2e::workspace::Workspace;
use rustix::process::Pid;

use super::ask::Ask;
use super::client::Client;
use super::network::Network;
use super::peers::{Peer, Phase, Servers};
use super::recordings::{Recording, TRAILER};
use super::servers::{Daemon, Site, StandIn};
use super::units::Unit;
use super::{icecream, ninja, remote_execution, sccache};
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
    /// When each client had built everything, sorted.
    pub(super) walls: Vec<Duration>,
    /// User and system time of everything of the clients' but the build tool.
    pub(super) client: Duration,
    /// The build tool's own.
    pub(super) tool: Duration,
    pub(super) servers: Duration,
    pub(super) bytes_sent: u64,
    /// Bytes that the largest process of the clients' had at most, of those that outlive a build: an agent, a daemon.
    pub(super) memory: u64,
    /// What a unit took besides the compile itself, sorted.
    pub(super) added: Vec<Duration>,
    /// Units whose object is not the stand-in's.
    pub(super) local: usize,
}

impl Sample {
    /// Until everybody had everything.
    pub(super) fn wall(&self) -> Duration {
        self.walls.last().copied().unwrap_or_default()
    }

    /// Until the first client had everything.
    pub(super) fn fastest(&self) -> Duration {
        self.walls.first().copied().unwrap_or_default()
    }
}

/// A peer, ready to build. Fields are dropped in this order: clients, then servers, then what they live in.
struct Scene<'a> {
    stage: &'a Stage,
    peer: Peer,
    jobs: usize,
    clients: Vec<Client>,
    _daemons: Vec<Daemon>,
    clients_group: ControlGroup,
    servers_group: ControlGroup,
    addresses: Vec<SocketAddr>,
    dir: PathBuf,
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
    let scene = Scene::set_up(stage, peer, slots, jobs, ask)?;
    let result = scene.build_all();
    if let Some(dir) = &ask.keep {
        scene.keep_logs(&dir.join(format!("{}-{all}", peer.name())));
    }
    result
}

impl<'a> Scene<'a> {
    fn set_up(
        stage: &'a Stage,
        peer: Peer,
        slots: &[usize],
        jobs: usize,
        ask: &Ask,
    ) -> Result<Self, String> {
        let place = Workspace::new();
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
            Servers::Icecream => site.icecream(slots)?,
            Servers::Sccache => site.sccache(slots)?,
        };
        let hosts = addresses.iter().zip(slots);
        let hosts: Vec<String> = hosts
            .map(|(address, slots)| format!("{address}/{slots}{}", peer.host_options()))
            .collect();
        let mut scene = Self {
            stage,
            peer,
            jobs,
            clients: Vec::with_capacity(ask.clients),
            _daemons: daemons,
            clients_group: match ask.client_core {
                100 => ControlGroup::new(&name("clients"))?,
                percent => ControlGroup::with_share(&name("clients"), percent)?,
            },
            servers_group,
            addresses,
            dir: ninja::directory(&stage.units),
            place,
        };
        for number in 0..ask.clients {
            scene.add_client(number, &hosts.join(" "))?;
        }
        Ok(scene)
    }

    fn add_client(&mut self, number: usize, hosts: &str) -> Result<(), String> {
        let Stage {
            project,
            network,
            units,
            ..
        } = self.stage;
        let place = self.place.root();
        let mut client = Client::make(number, project, network, &self.clients_group, place)?;
        client.workspace.set_hosts(hosts);
        if self.peer == Peer::Siso {
            remote_execution::configure_siso(&client.outside(project), units, &self.dir)?;
        }
        match self.peer {
            Peer::Icecream => icecream::join(&mut client, network.server(), place)?,
            Peer::Sccache => sccache::join(&mut client, network.server(), place)?,
            _ => {}
        }
        self.clients.push(client);
        Ok(())
    }

    fn build_all(&self) -> Result<Vec<(Phase, Sample)>, String> {
        let phases = self.peer.phases().iter().enumerate();
        phases
            .map(|(number, phase)| Ok((*phase, self.build(number, *phase)?)))
            .collect()
    }

    /// One build, by all clients at the same time.
    fn build(&self, number: usize, phase: Phase) -> Result<Sample, String> {
        // Several people who build one project do not all have the same to compile.
        let is_edited =
            phase == Phase::Changed || (phase == Phase::First && self.clients.len() > 1);
        let mut logs = Vec::with_capacity(self.clients.len());
        for client in &self.clients {
            if is_edited {
                client.edit(&self.stage.units, number)?;
            }
            client.clean(&self.stage.units);
            logs.push(self.prepare(client, number)?);
        }
        let before = self.counters()?;
        let ends = self.run_tools(&logs)?;
        std::thread::sleep(AFTER_BUILD);
        let after = self.counters()?;
        let mut walls: Vec<Duration> = ends.iter().map(|end| end.wall).collect();
        walls.sort_unstable();
        let tool = match self.peer {
            Peer::Siso => Duration::ZERO,
            _ => ends.iter().map(|end| end.tool).sum(),
        };
        Ok(Sample {
            walls,
            client: (after.clients - before.clients).saturating_sub(tool),
            tool,
            servers: after.servers - before.servers,
            bytes_sent: after.sent - before.sent,
            memory: self.clients_group.largest_memory(),
            added: self.added(&logs),
            local: self.not_of_stand_in()?,
        })
    }

    /// Writes a client's build file; the directory of its logs.
    fn prepare(&self, client: &Client, number: usize) -> Result<PathBuf, String> {
        let logs = format!("log{number}-client{}", client.number);
        let logs = self.place.root().join(logs);
        fs::create_dir_all(&logs).map_err(|error| error.to_string())?;
        let file = client.outside(&self.dir.join(ninja::FILE));
        let text = ninja::text(self.peer, &self.stage.units, &self.dir, &logs);
        fs::write(&file, text)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        Ok(logs)
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

    /// Runs the build tool of every client to its end.
    fn run_tools(&self, logs: &[PathBuf]) -> Result<Vec<End>, String> {
        let start = Instant::now();
        std::thread::scope(|scope| {
            let pairs = self.clients.iter().zip(logs);
            let running: Vec<_> = pairs
                .map(|(client, logs)| scope.spawn(move || self.run_tool(client, logs, start)))
                .collect();
            let ends = running.into_iter().map(|thread| {
                let end = thread.join();
                end.unwrap_or_else(|_| Err("a client's thread has failed".into()))
            });
            ends.collect()
        })
    }

    fn run_tool(&self, client: &Client, logs: &Path, start: Instant) -> Result<End, String> {
        let mut command = self.tool(client)?;
        let log = logs.join("output");
        let output = fs::File::create(&log).map_err(|error| error.to_string())?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
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
            return Ok(End { wall, tool });
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

    /// The build tool's command.
    fn tool(&self, client: &Client) -> Result<Command, String> {
        let mut command = client.command();
        command.env("FARCC_CACHE", "1");
        if self.peer == Peer::Siso {
            let address = self.address()?;
            remote_execution::siso(&mut command, &self.dir, address, self.jobs);
            command.env("TMPDIR", client.workspace.root().join("home"));
            return Ok(command);
        }
        command.arg("ninja").arg("-C").arg(&self.dir);
        command.args(["-f", ninja::FILE, "-j", &self.jobs.to_string()]);
        match self.peer {
            Peer::Recc | Peer::ReccCasd => {
                let address = self.address()?;
                remote_execution::recc(&mut command, &self.stage.project, address);
            }
            Peer::Icecream => icecream::configure(&mut command, client, self.place.root()),
            Peer::Sccache => sccache::configure(&mut command, client),
            _ => {}
        }
        Ok(command)
    }

    fn address(&self) -> Result<SocketAddr, String> {
        self.addresses
            .first()
            .copied()
            .ok_or_else(|| "there is no server".to_owned())
    }

    /// What each unit of each client took besides its compile, sorted.
    fn added(&self, logs: &[PathBuf]) -> Vec<Duration> {
        let mut added = Vec::new();
        for logs in logs {
            let times = ninja::times(logs);
            added.extend(self.stage.units.iter().filter_map(|unit| {
                let time = times.get(&ninja::name_in_log(unit, &self.dir))?;
                let recording = self.stage.recordings.get(&unit.key)?;
                Some(time.saturating_sub(recording.cpu))
            }));
        }
        added.sort_unstable();
        added
    }

    /// Units that were compiled after all.
    fn not_of_stand_in(&self) -> Result<usize, String> {
        if self.peer == Peer::Nothing {
            return Ok(0);
        }
        let mut local = 0;
        for client in &self.clients {
            for unit in &self.stage.units {
                let path = client.outside(&unit.output);
                let object = fs::read(&path)
                    .map_err(|error| format!("{}: {error}", unit.output.display()))?;
                let recording = self.stage.recordings.get(&unit.key);
                let is_recorded = object.ends_with(TRAILER)
                    && recording.is_some_and(|it| it.object_bytes == object.len() as u64);
                local += usize::from(!is_recorded);
            }
        }
        Ok(local)
    }
}

/// How a client's build tool ended: when, counted from the start of all, and its own CPU time.
struct End {
    wall: Duration,
    tool: Duration,
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
