//! The network between clients and servers: all servers in one namespace, each client in another, joined by pairs of
//! virtual devices. The kernel counts what goes through, at no cost to either side, and nothing leads out of it.

use std::fs;

use super::namespaces::Keeper;

/// A network, gone when dropped.
#[derive(Debug)]
pub(super) struct Network {
    servers: Keeper,
    clients: Vec<Keeper>,
}

/// Networks that are kept for measurements between devices (RFC 2544).
pub(super) const NETWORK: &str = "198.18.0.0/15";

/// The address of all servers. The same on every device, so that each client needs a route to nobody else.
const SERVER: &str = "198.18.0.1";

/// More would need another scheme of addresses, and more than two cores.
pub(super) const CLIENTS_MAX: usize = 200;

impl Network {
    /// Makes one for so many clients; needs root.
    pub(super) fn make(clients: usize) -> Result<Self, String> {
        let namespace = || Keeper::start(&["--net"], "ip link set lo up", &[]);
        let servers = namespace()?;
        let mut made = Vec::with_capacity(clients);
        for number in 0..clients {
            let client = namespace()?;
            let (address, id) = (client_address(number), client.id());
            servers.run(&format!(
                "ip link add client{number} type veth peer name eth0 netns {id} && \
                 ip addr add {SERVER} peer {address}/32 dev client{number} && ip link set client{number} up"
            ))?;
            client.run(&format!(
                "ip addr add {address} peer {SERVER}/32 dev eth0 && ip link set eth0 up"
            ))?;
            made.push(client);
        }
        Ok(Self {
            servers,
            clients: made,
        })
    }

    /// The servers' address.
    pub(super) fn server(&self) -> &'static str {
        SERVER
    }

    /// Words that run a command at the servers' end.
    pub(super) fn enter(&self) -> [String; 2] {
        ["nsenter".to_owned(), self.servers.option("net")]
    }

    /// The option of `nsenter` for a client's end.
    pub(super) fn client_option(&self, number: usize) -> Result<String, String> {
        let client = self.clients.get(number);
        let option = client.map(|client| client.option("net"));
        option.ok_or_else(|| format!("there is no client {number}"))
    }

    /// Whether a server listens at this port.
    pub(super) fn listens(&self, port: u16) -> bool {
        let tables = ["tcp", "tcp6"].map(|name| format!("/proc/{}/net/{name}", self.servers.id()));
        let mut tables = tables
            .iter()
            .map(|path| fs::read_to_string(path).unwrap_or_default());
        tables.any(|table| is_listening(&table, port))
    }

    /// Whether a socket that is in no file system has this name at the servers' end.
    pub(super) fn has_socket(&self, name: &str) -> bool {
        let table = fs::read_to_string(format!("/proc/{}/net/unix", self.servers.id()));
        table.is_ok_and(|table| table.lines().any(|line| line.ends_with(name)))
    }

    /// Bytes that clients have sent so far, headers of packets included.
    pub(super) fn sent(&self) -> Result<u64, String> {
        let mut sum = 0;
        for client in &self.clients {
            let path = format!("/proc/{}/net/dev", client.id());
            let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
            sum += sent_by_device(&text).ok_or_else(|| format!("{path} has no number"))?;
        }
        Ok(sum)
    }
}

fn client_address(number: usize) -> String {
    format!("198.18.1.{}", number + 1)
}

/// In a table of the kernel's (proc(5), `/proc/net/tcp`): any socket at this port that waits for connections.
fn is_listening(table: &str, port: u16) -> bool {
    const LISTEN: &str = "0A";
    let end = format!(":{port:04X}");
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let is_port = fields.next().is_some_and(|local| local.ends_with(&end));
        is_port && fields.nth(1) == Some(LISTEN)
    })
}

/// In `/proc/net/dev`: what the client's device has sent.
fn sent_by_device(table: &str) -> Option<u64> {
    const BYTES_SENT: usize = 8;
    let mut devices = table.lines().filter_map(|line| line.split_once(':'));
    let (_, numbers) = devices.find(|(name, _)| name.trim() == "eth0")?;
    numbers.split_whitespace().nth(BYTES_SENT)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{is_listening, sent_by_device};

    #[test]
    fn a_listening_socket_is_told_from_a_connection() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n   \
                     0: 010012C6:0E30 00000000:0000 0A 00000000:00000000 00:00000000\n   \
                     1: 010012C6:0E31 010112C6:C350 01 00000000:00000000 00:00000000\n";
        assert!(is_listening(table, 3632));
        assert!(!is_listening(table, 3633));
        assert!(!is_listening(table, 50_000));
    }

    #[test]
    fn bytes_sent_are_the_ninth_number_of_the_device() {
        let table = "Inter-|   Receive                    |  Transmit\n face |bytes    packets\n    \
                     lo: 1 2 3 4 5 6 7 8 9 10\n  eth0: 11 12 13 14 15 16 17 18 19 20 21\n";
        assert_eq!(sent_by_device(table), Some(19));
        assert_eq!(sent_by_device("lo: 1"), None);
    }
}
