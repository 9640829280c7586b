//! The servers: real programs, whose compiler is the stand-in.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use e2e::foreign;
use e2e::programs::STOCK_SERVER;
use e2e::workspace::{Workspace, open_to_all};

use super::network::{NETWORK, Network};
use super::recordings::{Recordings, without_absolute_paths};
use super::units::{RELATIVE, Unit};
use crate::cargo;
use crate::control_group::ControlGroup;

/// The core of everything that is not a client.
pub(super) const SERVERS_CORE: &str = "1";

/// Compilers that the stand-in answers for, as they are called without a machine's name before and a version after.
const COMPILERS: &[&str] = &["c++", "cc", "clang", "clang++", "g++", "gcc"];

/// The first server's port in the servers' network.
const PORT: u16 = 3632;

/// What casd's runner shows to actions besides their inputs.
const CASD_SHOWS: &[&str] = &[
    "/usr:/usr",
    "/usr/lib:/lib",
    "/usr/lib64:/lib64",
    "/usr/bin:/bin",
    "/etc/alternatives:/etc/alternatives",
];

/// The socket of who hands out recordings, as `stand_in.c` has it.
const RECORDINGS: &str = "@farcc-bench-recordings";

const STAND_IN: &str = include_str!("stand_in.c");

/// A directory with the stand-in, as compilers by name, and the recordings of the units.
#[derive(Debug)]
pub(super) struct StandIn {
    pub(super) dir: PathBuf,
}

impl StandIn {
    /// Builds it in a directory that every user may read.
    pub(super) fn build(
        place: &Workspace,
        recordings: &Recordings,
        units: &[Unit],
        is_for_siso: bool,
    ) -> Result<Self, String> {
        let dir = place.root().join("stand-in");
        let failed = |error: io::Error| format!("cannot make the stand-in: {error}");
        for part in ["units", "bin"] {
            fs::create_dir_all(dir.join(part)).map_err(failed)?;
        }
        let source = dir.join("run.c");
        fs::write(&source, STAND_IN).map_err(failed)?;
        let built = Command::new("gcc")
            .args(["-O2", "-static", "-o"])
            .arg(dir.join("run"))
            .arg(&source)
            .status()
            .map_err(failed)?;
        if !built.success() {
            return Err("the stand-in cannot be compiled".into());
        }
        for name in ["recordings", "bwrap"] {
            symlink("run", dir.join(name)).map_err(failed)?;
        }
        for entry in fs::read_dir("/usr/bin").map_err(failed)?.flatten() {
            let name = entry.file_name();
            if is_compiler(&name.to_string_lossy()) {
                symlink("../run", dir.join("bin").join(name)).map_err(failed)?;
            }
        }
        for unit in units {
            let to = dir.join("units").join(&unit.key);
            let recording = fs::read(recordings.path(unit)).map_err(failed)?;
            if is_for_siso && let Some(relative) = without_absolute_paths(&recording) {
                let to = dir.join("units").join(unit.key.clone() + RELATIVE);
                fs::write(&to, relative).map_err(failed)?;
                open_to_all(&to, 0o644);
            }
            fs::write(&to, recording).map_err(failed)?;
            open_to_all(&to, 0o644);
        }
        Ok(Self { dir })
    }
}

/// Whether it is a compiler's name: stock's clients send `cc` as `x86_64-linux-gnu-gcc`.
fn is_compiler(name: &str) -> bool {
    let is_version = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let name = match name.rsplit_once('-') {
        Some((name, version)) if is_version(version) => name,
        _ => name,
    };
    let last = name.rsplit('-').next().unwrap_or(name);
    COMPILERS.contains(&last)
}

/// A running server, ended when dropped.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok();
        let group = pid.and_then(rustix::process::Pid::from_raw);
        if let Some(group) = group {
            let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        // It may not have come to having a group.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Where servers are started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) place: &'a Workspace,
    pub(super) network: &'a Network,
    pub(super) stand_in: &'a StandIn,
    pub(super) group: &'a ControlGroup,
}

/// Builds farcc with what lets a stand-in take the compiler's place; clients never use this one.
pub(super) fn build_worker() -> Result<PathBuf, String> {
    let target = cargo::target_dir()?.join("stand-in");
    let status = cargo::cargo(&["build", "--release", "--package", "farcc"])
        .args(["--features", "stand-in", "--target-dir"])
        .arg(&target)
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err("the worker cannot be built".into());
    }
    Ok(target.join("release/farcc"))
}

impl Site<'_> {
    /// A command at the servers' end, in their control group and on their core, with a group of processes of its own. All
    /// servers are in one session: with one for each, which share the core by sessions, a changed GTK was at 1.14 to 1.17
    /// of the bound instead of 1.10.
    pub(super) fn command(&self, program: &Path) -> Command {
        use std::os::unix::process::CommandExt as _;
        let mut command = self.place.command("/bin/sh");
        command
            .args(["-c", ControlGroup::ENTER])
            .arg(self.group.list())
            .args(self.network.enter())
            .args(["taskset", "-c", SERVERS_CORE])
            .arg(program)
            .process_group(0);
        command
    }

    /// Starts workers of farcc; their addresses.
    pub(super) fn workers(
        &self,
        farcc: &Path,
        slots: &[usize],
    ) -> Result<(Vec<Daemon>, Vec<SocketAddr>), String> {
        let link = self.place.root().join("bin/distccd");
        // There from the second time on.
        let _exists = symlink(farcc, &link);
        self.start_all(slots, |tmp| {
            let mut command = self.command(&link);
            command
                .env("FARCC_STAND_IN", &self.stand_in.dir)
                .env("FARCC_STORE", tmp.join("store"));
            command
        })
    }

    /// Starts Debian's distccd; their addresses.
    pub(super) fn stock(&self, slots: &[usize]) -> Result<(Vec<Daemon>, Vec<SocketAddr>), String> {
        let path = format!("{}:/usr/bin:/bin", self.stand_in.dir.join("bin").display());
        self.start_all(slots, |_| {
            let mut command = self.command(Path::new(STOCK_SERVER));
            command.env("PATH", &path);
            command
        })
    }

    /// Starts buildbox-casd, whose runner shows the stand-in in the place of each compiler; its address.
    pub(super) fn casd(&self, slots: usize) -> Result<(Vec<Daemon>, Vec<SocketAddr>), String> {
        let failed = |error: io::Error| format!("cannot set up casd: {error}");
        let mut command = self.command(&foreign::casd_1_3());
        command
            .arg(format!("--bind=0.0.0.0:{PORT}"))
            .arg(format!("--buildbox-run={}", foreign::runner().display()))
            .arg(format!("--jobs={slots}"));
        let dir = self.stand_in.dir.display();
        let mut shown: Vec<String> = CASD_SHOWS.iter().map(|it| (*it).to_owned()).collect();
        shown.push(format!("{dir}:/stand-in"));
        for entry in fs::read_dir(self.stand_in.dir.join("bin"))
            .map_err(failed)?
            .flatten()
        {
            let compiler = Path::new("/usr/bin").join(entry.file_name());
            // Links lead to one of the others.
            if compiler.symlink_metadata().is_ok_and(|it| it.is_file()) {
                shown.push(format!("{dir}/run:{}", compiler.display()));
            }
        }
        for pair in shown {
            command.arg(format!("--runner-arg=--ro-bind-mount={pair}"));
        }
        // Killed, it leaves things behind.
        let tmp = self.place.root().join("casd-tmp");
        fs::create_dir_all(&tmp).map_err(failed)?;
        command.env("TMPDIR", tmp);
        command.arg(self.place.root().join("casd"));
        let mut daemon = start(command, self.place.root().join("server0.log"))?;
        daemon.wait_for(self.network, PORT)?;
        Ok((vec![daemon], vec![self.address(PORT)?]))
    }

    fn start_all(
        &self,
        slots: &[usize],
        command: impl Fn(&Path) -> Command,
    ) -> Result<(Vec<Daemon>, Vec<SocketAddr>), String> {
        let mut daemons = Vec::new();
        let mut addresses = Vec::new();
        for (number, jobs) in slots.iter().enumerate() {
            let port = PORT + u16::try_from(number).map_err(|error| error.to_string())?;
            let tmp = self.place.root().join(format!("server{number}"));
            fs::create_dir_all(&tmp).map_err(|error| error.to_string())?;
            // The server gives up root.
            open_to_all(&tmp, 0o1777);
            let mut command = command(&tmp);
            command
                .env("TMPDIR", &tmp)
                .args(["--daemon", "--no-detach", "--log-stderr"])
                .args(["--log-level", "info", "--allow", NETWORK])
                .args(["--port", &port.to_string(), "--jobs", &jobs.to_string()]);
            let log = self.place.root().join(format!("server{number}.log"));
            daemons.push(start(command, log)?);
            addresses.push(self.address(port)?);
        }
        for (daemon, address) in daemons.iter_mut().zip(&addresses) {
            daemon.wait_for(self.network, address.port())?;
        }
        Ok((daemons, addresses))
    }

    /// Starts who hands out recordings to stand-ins in a root without them.
    pub(super) fn recordings(&self) -> Result<Daemon, String> {
        let command = self.command(&self.stand_in.dir.join("recordings"));
        let mut daemon = start(command, self.place.root().join("recordings.log"))?;
        let network = self.network;
        daemon.wait_until("of recordings", || network.has_socket(RECORDINGS))?;
        Ok(daemon)
    }

    pub(super) fn address(&self, port: u16) -> Result<SocketAddr, String> {
        let text = format!("{}:{port}", self.network.server());
        text.parse().map_err(|_| format!("{text} is no address"))
    }
}

/// Starts a program in the background, with its words in a file. The command gives it a group of processes: by itself, or
/// with `setsid`, which stays the same process as long as it is no leader of a group yet.
pub(super) fn start(mut command: Command, log: PathBuf) -> Result<Daemon, String> {
    let text = format!("{command:?}");
    let failed = |error: io::Error| format!("cannot start {text}: {error}");
    let file = fs::File::create(&log).map_err(failed)?;
    let child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone().map_err(failed)?)
        .stderr(file)
        .spawn()
        .map_err(failed)?;
    Ok(Daemon { child, log })
}

impl Daemon {
    /// Waits until somebody listens at this port.
    pub(super) fn wait_for(&mut self, network: &Network, port: u16) -> Result<(), String> {
        self.wait_until(&format!("at port {port}"), || network.listens(port))
    }

    /// Waits until its log has these words so often.
    pub(super) fn wait_until_says(&mut self, words: &str, times: usize) -> Result<(), String> {
        let log = self.log.clone();
        let says = || {
            let text = fs::read_to_string(&log);
            text.is_ok_and(|text| text.matches(words).count() >= times)
        };
        self.wait_until(&format!("that is to say \"{words}\""), says)
    }

    /// Waits until it is ready.
    pub(super) fn wait_until(
        &mut self,
        what: &str,
        is_ready: impl Fn() -> bool,
    ) -> Result<(), String> {
        const PATIENCE: Duration = Duration::from_secs(20);
        const PAUSE: Duration = Duration::from_millis(20);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if is_ready() {
                return Ok(());
            }
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        Err(format!("the server {what} does not start:\n{log}"))
    }
}

#[cfg(test)]
mod tests {
    use super::is_compiler;

    #[test]
    fn compilers_are_known_by_all_their_names() {
        for name in [
            "cc",
            "g++",
            "gcc-12",
            "x86_64-linux-gnu-g++-12",
            "clang++-14",
        ] {
            assert!(is_compiler(name), "{name}");
        }
        for name in [
            "gcc-ar",
            "c99-gcc-tool",
            "clang-format",
            "ccache",
            "x86_64-linux-gnu-gcov-12",
        ] {
            assert!(!is_compiler(name), "{name}");
        }
    }
}
