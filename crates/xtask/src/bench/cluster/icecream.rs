//! icecream: a scheduler, a daemon on each server, and one on each client, as Debian packages them.
//!
//! Its servers run the compiler that the client has packed, in a changed root. So what the stand-in needs is in the
//! client's package, and recordings come from a process at the servers' end, which a changed root does not hide. The
//! package holds the stand-in alone, so it is smaller than one with a compiler; each server gets it once.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::client::Client;
use super::servers::{Daemon, Site, StandIn, start};

/// What is run for each unit.
pub(super) const LAUNCHER: &str = "/usr/bin/icecc";
const DAEMON: &str = "/usr/sbin/iceccd";
const SCHEDULER: &str = "/usr/sbin/icecc-scheduler";

/// Everything that has to be installed.
pub(super) const PROGRAMS: &[&str] = &[LAUNCHER, DAEMON, SCHEDULER];

/// Daemons become this user, who has to own their directories.
const USER: &str = "icecc";

/// Schedulers and daemons of one name belong together.
const NET_NAME: &str = "farcc-bench";

const SCHEDULER_PORT: u16 = 8765;

/// The first daemon's port.
const DAEMON_PORT: u16 = 10245;

/// What a daemon says when the scheduler knows it.
const CONNECTED: &str = "Connected to scheduler";

/// Runs a daemon that finds the processors' times in a file. By the machine's own, a daemon takes no jobs while all of
/// this machine's processors are busy, with clients for example; the processors that it stands for only wait.
const PRETEND_IDLE: &str = r#"mount --bind "$0" /proc/stat && exec "$@""#;

/// Times that never change: none of them is spent on anything.
const IDLE: &str = "cpu  1 0 1 1000000 0 0 0 0 0 0\n";

impl Site<'_> {
    /// Starts who hands out recordings, the scheduler, and a daemon for each server; the daemons' addresses.
    pub(super) fn icecream(
        &self,
        slots: &[usize],
    ) -> Result<(Vec<Daemon>, Vec<SocketAddr>), String> {
        let root = self.place.root();
        pack(self.stand_in, root)?;
        fs::write(root.join("idle"), IDLE).map_err(|error| error.to_string())?;
        let mut scheduler = self.command(Path::new(SCHEDULER));
        scheduler.args(["-n", NET_NAME, "-p", &SCHEDULER_PORT.to_string()]);
        let mut scheduler = start(scheduler, root.join("scheduler.log"))?;
        scheduler.wait_for(self.network, SCHEDULER_PORT)?;
        let mut daemons = vec![scheduler, self.recordings()?];
        let mut addresses = Vec::new();
        for (number, jobs) in slots.iter().enumerate() {
            let port = DAEMON_PORT + u16::try_from(number).map_err(|error| error.to_string())?;
            let name = format!("server{number}");
            let mut command = self.command(Path::new("unshare"));
            command
                .args(["--mount", "sh", "-c", PRETEND_IDLE])
                .arg(root.join("idle"))
                .arg(DAEMON);
            daemons.push(start_daemon(
                command,
                &name,
                *jobs,
                port,
                self.network.server(),
                root,
            )?);
            addresses.push(self.address(port)?);
        }
        let servers = daemons.iter_mut().rev().take(slots.len());
        for daemon in servers {
            daemon.wait_until_says(CONNECTED, 1)?;
        }
        Ok((daemons, addresses))
    }
}

/// Starts a client's own daemon, which compiles nothing.
pub(super) fn join(client: &mut Client, server: &str, place: &Path) -> Result<(), String> {
    let name = format!("client{}", client.number);
    let mut command = client.command();
    command.arg(DAEMON);
    let mut daemon = start_daemon(command, &name, 0, DAEMON_PORT, server, place)?;
    daemon.wait_until_says(CONNECTED, 1)?;
    client.daemons.push(daemon);
    Ok(())
}

/// The launcher's settings.
pub(super) fn configure(command: &mut Command, client: &Client, place: &Path) {
    command
        .env("ICECC_VERSION", package(place))
        .env(
            "ICECC_TEST_SOCKET",
            socket(&place.join(directory(&format!("client{}", client.number)))),
        )
        // By itself it compiles here once more what has warnings, to show them with the source.
        .env("ICECC_CARET_WORKAROUND", "0");
}

/// A daemon's directory, below the scene's.
fn directory(name: &str) -> String {
    format!("icecream-{name}")
}

/// Where a daemon listens for launchers. They have one place for it, unless this is set.
fn socket(dir: &Path) -> PathBuf {
    dir.join("socket")
}

fn start_daemon(
    mut command: Command,
    name: &str,
    jobs: usize,
    port: u16,
    server: &str,
    place: &Path,
) -> Result<Daemon, String> {
    let dir = place.join(directory(name));
    let packages = dir.join("packages");
    fs::create_dir_all(&packages).map_err(|error| format!("{}: {error}", dir.display()))?;
    let given = Command::new("chown").args(["-R", USER]).arg(&dir).status();
    if !given.is_ok_and(|status| status.success()) {
        return Err(format!(
            "there is no user {USER}, which icecream runs as: apt-get install icecc"
        ));
    }
    command
        .env("ICECC_TEST_SOCKET", socket(&dir))
        .args(["-n", NET_NAME, "-N", name])
        .args(["-s", &format!("{server}:{SCHEDULER_PORT}")])
        .args(["-m", &jobs.to_string(), "-p", &port.to_string()])
        // Nobody else is on its core.
        .args(["--nice", "0", "-vv", "-b"])
        .arg(&packages);
    start(command, place.join(format!("icecream-{name}.log")))
}

/// The package that launchers hand to servers.
fn package(place: &Path) -> PathBuf {
    place.join("stand-in.tar.gz")
}

/// Makes the package: one program, to which other names lead. Daemons unpack no hard links.
fn pack(stand_in: &StandIn, place: &Path) -> Result<(), String> {
    let tree = place.join("icecream-package");
    let failed = |error| format!("cannot pack the stand-in: {error}");
    for dir in ["usr/bin", "bin"] {
        fs::create_dir_all(tree.join(dir)).map_err(failed)?;
    }
    fs::copy(stand_in.dir.join("run"), tree.join("usr/bin/gcc")).map_err(failed)?;
    for name in ["usr/bin/g++", "usr/bin/clang", "usr/bin/as"] {
        symlink("gcc", tree.join(name)).map_err(failed)?;
    }
    symlink("../usr/bin/gcc", tree.join("bin/true")).map_err(failed)?;
    // Compilers have their temporary files there.
    fs::create_dir_all(tree.join("tmp")).map_err(failed)?;
    let status = Command::new("tar")
        .arg("-C")
        .arg(&tree)
        .arg("-czf")
        .arg(package(place))
        .arg(".")
        .status()
        .map_err(failed)?;
    match status.success() {
        true => Ok(()),
        false => Err("cannot pack the stand-in: tar failed".into()),
    }
}
