//! The network between clients and servers: a pair of virtual devices, the servers' end in a namespace of its own. The
//! kernel counts what goes through, at no cost to either side.

use std::fs;
use std::process::{Child, Command, Stdio};

/// A network, gone when dropped.
#[derive(Debug)]
pub(super) struct Network {
    /// Keeps the namespace.
    keeper: Child,
    device: String,
    server: String,
}

/// Networks that are kept for measurements between devices (RFC 2544).
pub(super) const NETWORK: &str = "198.18.0.0/15";

impl Network {
    /// Makes one; needs root.
    pub(super) fn make() -> Result<Self, String> {
        let keeper = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo; exec sleep infinity"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run unshare: {error}"))?;
        let own = std::process::id();
        // Benchmarks at the same time get others.
        let [high, low] = [own / 64 % 256, own % 64 * 4];
        let mut network = Self {
            keeper,
            device: format!("fb{own}"),
            server: format!("198.18.{high}.{}", low + 2),
        };
        network.wait_for_namespace()?;
        let namespace = network.keeper.id().to_string();
        let device = network.device.clone();
        let client = format!("198.18.{high}.{}/30", low + 1);
        let server = format!("{}/30", network.server);
        ip(&[
            "link", "add", &device, "type", "veth", "peer", "name", "eth0", "netns", &namespace,
        ])?;
        ip(&["addr", "add", &client, "dev", &device])?;
        ip(&["link", "set", &device, "up"])?;
        let inside =
            format!("ip addr add {server} dev eth0 && ip link set eth0 up && ip link set lo up");
        let [program, option] = network.enter();
        succeed(
            Command::new(program)
                .arg(option)
                .args(["sh", "-c", &inside]),
        )?;
        Ok(network)
    }

    /// The namespace has been made when its keeper speaks.
    fn wait_for_namespace(&mut self) -> Result<(), String> {
        use std::io::Read as _;
        let mut pipe = self
            .keeper
            .stdout
            .take()
            .ok_or("the keeper has no output")?;
        let read = pipe.read_exact(&mut [0]);
        read.map_err(|_| "cannot make a network namespace".to_owned())
    }

    /// The servers' address.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// Words that run a command at the servers' end.
    pub(super) fn enter(&self) -> [String; 2] {
        let namespace = format!("--net=/proc/{}/ns/net", self.keeper.id());
        ["nsenter".to_owned(), namespace]
    }

    /// Bytes that clients have sent so far, headers of packets included.
    pub(super) fn sent(&self) -> Result<u64, String> {
        let path = format!("/sys/class/net/{}/statistics/tx_bytes", self.device);
        let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let number = text.trim().parse();
        number.map_err(|_| format!("{path} has no number"))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Both devices go with the namespace.
        let _gone = self.keeper.kill();
        let _gone = self.keeper.wait();
    }
}

fn ip(args: &[&str]) -> Result<(), String> {
    succeed(Command::new("ip").args(args))
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} failed: {}", said.trim_end()))
}
