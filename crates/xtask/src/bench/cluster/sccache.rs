//! sccache's distributed mode: a scheduler, servers, and the local server that each client has.
//!
//! The client is left as it is: it packs the real compiler and hands it to each server once. A server runs the compiler
//! with bubblewrap, at a path that its settings name. What is there is the stand-in, which has itself run in the place of
//! the compiler. Servers take as many jobs as they have processors, so they are told to have as many as slots.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::foreign;

use super::client::Client;
use super::servers::{Daemon, Site, start};

const SCHEDULER_PORT: u16 = 10600;

/// The first server's port.
const SERVER_PORT: u16 = 10501;

/// What the scheduler says when it knows a server.
const REGISTERED: &str = "Registered new server";

/// The word that everybody trusts everybody by.
const TOKEN: &str = "farcc-bench";

/// What the stand-in runs behind itself.
const BUBBLEWRAP: &str = "/usr/bin/bwrap";

const CORES: &str = include_str!("cores.c");

/// Where sccache is installed: no release of Debian has it with its servers.
fn dir() -> PathBuf {
    foreign::dir().join("sccache")
}

/// What is run for each unit.
pub(super) fn launcher() -> PathBuf {
    dir().join("bin/sccache")
}

fn server() -> PathBuf {
    dir().join("bin/sccache-dist")
}

/// Everything that has to be installed.
pub(super) fn programs() -> Vec<PathBuf> {
    vec![launcher(), server(), BUBBLEWRAP.into()]
}

/// How to get it.
pub(super) fn how_to_get() -> String {
    format!(
        "apt-get install bubblewrap; \
         cargo install sccache --locked --no-default-features --features dist-client,dist-server --root {}",
        dir().display()
    )
}

impl Site<'_> {
    /// Starts the scheduler and the servers; the servers' addresses.
    pub(super) fn sccache(
        &self,
        slots: &[usize],
    ) -> Result<(Vec<Daemon>, Vec<SocketAddr>), String> {
        let root = self.place.root();
        let cores = build_cores(root)?;
        let settings = root.join("sccache-scheduler.conf");
        let scheduler_address = self.address(SCHEDULER_PORT)?;
        write(&settings, &scheduler_settings(scheduler_address))?;
        let mut scheduler = self.sccache_command("scheduler", &settings);
        scheduler.env("SCCACHE_LOG", "info");
        let mut scheduler = start(scheduler, root.join("scheduler.log"))?;
        scheduler.wait_for(self.network, SCHEDULER_PORT)?;
        let mut daemons = Vec::new();
        let mut addresses = Vec::new();
        for (number, jobs) in slots.iter().enumerate() {
            let port = SERVER_PORT + u16::try_from(number).map_err(|error| error.to_string())?;
            let address = self.address(port)?;
            let dir = root.join(format!("server{number}"));
            fs::create_dir_all(dir.join("build"))
                .map_err(|error| format!("{}: {error}", dir.display()))?;
            let settings = dir.join("server.conf");
            let bubblewrap = self.stand_in.dir.join("bwrap");
            write(
                &settings,
                &server_settings(address, scheduler_address, &dir, &bubblewrap),
            )?;
            let mut command = self.sccache_command("server", &settings);
            command
                .env("LD_PRELOAD", &cores)
                .env("FARCC_STAND_IN_CORES", jobs.to_string())
                .env("SCCACHE_LOG", "warn");
            daemons.push(start(command, root.join(format!("server{number}.log")))?);
            addresses.push(address);
        }
        scheduler.wait_until_says(REGISTERED, slots.len())?;
        daemons.push(scheduler);
        Ok((daemons, addresses))
    }

    fn sccache_command(&self, what: &str, settings: &Path) -> Command {
        let mut command = self.command(&server());
        command
            .arg(what)
            .arg("--config")
            .arg(settings)
            .env("SCCACHE_NO_DAEMON", "1");
        command
    }
}

/// Starts a client's local server.
pub(super) fn join(client: &mut Client, server: &str, place: &Path) -> Result<(), String> {
    let home = client.workspace.root().join("home");
    write(&home.join("sccache.conf"), &client_settings(server))?;
    let mut command = client.command();
    configure(&mut command, client);
    command
        .arg(launcher())
        .env("SCCACHE_START_SERVER", "1")
        .env("SCCACHE_NO_DAEMON", "1")
        .env("SCCACHE_LOG", "warn");
    let log = place.join(format!("sccache-client{}.log", client.number));
    let mut daemon = start(command, log)?;
    let socket = socket(client);
    daemon.wait_until("of the client", || socket.exists())?;
    client.daemons.push(daemon);
    Ok(())
}

/// The launcher's settings.
pub(super) fn configure(command: &mut Command, client: &Client) {
    let home = client.workspace.root().join("home");
    command
        .env("SCCACHE_CONF", home.join("sccache.conf"))
        .env("SCCACHE_DIR", home.join("sccache"))
        .env("SCCACHE_SERVER_UDS", socket(client))
        .env("SCCACHE_IDLE_TIMEOUT", "0");
}

fn socket(client: &Client) -> PathBuf {
    client.workspace.root().join("home/sccache.socket")
}

fn scheduler_settings(address: SocketAddr) -> String {
    format!(
        "public_addr = \"{address}\"\n\
         [client_auth]\ntype = \"token\"\ntoken = \"{TOKEN}\"\n\
         [server_auth]\ntype = \"token\"\ntoken = \"{TOKEN}\"\n"
    )
}

fn server_settings(
    address: SocketAddr,
    scheduler: SocketAddr,
    dir: &Path,
    bubblewrap: &Path,
) -> String {
    format!(
        "cache_dir = \"{}\"\npublic_addr = \"{address}\"\nscheduler_url = \"http://{scheduler}\"\n\
         [builder]\ntype = \"overlay\"\nbuild_dir = \"{}\"\nbwrap_path = \"{}\"\n\
         [scheduler_auth]\ntype = \"token\"\ntoken = \"{TOKEN}\"\n",
        dir.join("toolchains").display(),
        dir.join("build").display(),
        bubblewrap.display(),
    )
}

fn client_settings(server: &str) -> String {
    format!(
        "[dist]\nscheduler_url = \"http://{server}:{SCHEDULER_PORT}\"\ntoolchains = []\n\
         [dist.auth]\ntype = \"token\"\ntoken = \"{TOKEN}\"\n"
    )
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Builds what makes servers believe in their processors.
fn build_cores(place: &Path) -> Result<PathBuf, String> {
    let (source, library) = (place.join("cores.c"), place.join("cores.so"));
    write(&source, CORES)?;
    let built = Command::new("gcc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    match built {
        Ok(status) if status.success() => Ok(library),
        _ => Err("cores.c cannot be compiled".into()),
    }
}
