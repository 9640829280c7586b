//! Who may send jobs: networks, as `--allow` gives them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};

/// Networks that are private by their address, as `--allow-private` means them.
const PRIVATE: &[Network] = &[
    Network::v4([10, 0, 0, 0], 8),
    Network::v4([127, 0, 0, 0], 8),
    Network::v4([172, 16, 0, 0], 12),
    Network::v4([192, 168, 0, 0], 16),
    Network::v6([0, 0, 0, 0, 0, 0, 0, 1], 128),
    Network::v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    Network::v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
];

/// Addresses that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u32,
}

/// Why an `--allow` is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadNetwork {
    #[error("\"{0}\": the part after / must be a number of bits, at most {1}")]
    Bits(String, u32),
    #[error(
        "\"{0}\" is neither an IP address with optional /BITS nor a host name that can be looked up: {1}"
    )]
    Name(String, String),
}

impl Network {
    const fn v4(octets: [u8; 4], bits: u32) -> Network {
        let [a, b, c, d] = octets;
        Network {
            address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            bits,
        }
    }

    const fn v6(words: [u16; 8], bits: u32) -> Network {
        let [a, b, c, d, e, f, g, h] = words;
        Network {
            address: IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)),
            bits,
        }
    }

    fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or(0);
                (net.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V6(net), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
                (net.to_bits() ^ address.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// The rule of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Allow {
    /// Whoever reached it was let in by inetd or ssh.
    Anybody,
    /// Addresses of these networks only.
    Networks(Vec<Network>),
}

impl Allow {
    /// Reads the values of `--allow`, and adds the private networks if `private`.
    pub(crate) fn parse(values: &[String], private: bool) -> Result<Allow, BadNetwork> {
        let mut networks = Vec::new();
        for value in values {
            networks.extend(parse(value)?);
        }
        if private {
            networks.extend_from_slice(PRIVATE);
        }
        Ok(Allow::Networks(networks))
    }

    /// May this address send jobs? IPv4 addresses count as such also on an IPv6 socket.
    pub(crate) fn admits(&self, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (Allow::Anybody, _) => true,
            (Allow::Networks(_), None) => false,
            (Allow::Networks(networks), Some(address)) => networks
                .iter()
                .any(|network| network.holds(address.to_canonical())),
        }
    }
}

/// One network, or one for each address of a host name.
fn parse(value: &str) -> Result<Vec<Network>, BadNetwork> {
    let (host, bits) = match value.split_once('/') {
        Some((host, bits)) => (host, Some(bits)),
        None => (value, None),
    };
    let name = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    let addresses: Vec<IpAddr> = match name.parse() {
        Ok(address) => vec![address],
        Err(_) => look_up(name).map_err(|why| BadNetwork::Name(value.to_owned(), why))?,
    };
    let networks = addresses.into_iter().map(|address| {
        let address = address.to_canonical();
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(bits_max), |bits| {
            let bits = bits.parse().ok().filter(|&bits| bits <= bits_max);
            bits.ok_or_else(|| BadNetwork::Bits(value.to_owned(), bits_max))
        })?;
        Ok(Network { address, bits })
    });
    networks.collect()
}

fn look_up(name: &str) -> Result<Vec<IpAddr>, String> {
    if name.is_empty() {
        return Err("it is empty".to_owned());
    }
    let found = (name, 0)
        .to_socket_addrs()
        .map_err(|error| error.to_string())?;
    Ok(found.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[&str], private: bool, admitted: &[&str], refused: &[&str]) {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        let allow = Allow::parse(&values, private).unwrap();
        for address in admitted {
            assert!(allow.admits(address.parse().ok()), "{address}");
        }
        for address in refused {
            assert!(!allow.admits(address.parse().ok()), "{address}");
        }
    }

    #[test]
    fn networks_hold_their_addresses() {
        check(
            &["192.0.2.7"],
            false,
            &["192.0.2.7", "::ffff:192.0.2.7"],
            &["192.0.2.8", "::1"],
        );
        check(&["192.0.2.0/25"], false, &["192.0.2.127"], &["192.0.2.128"]);
        check(&["0.0.0.0/0"], false, &["8.8.8.8"], &["2001:db8::1"]);
        check(&["::/0"], false, &["2001:db8::1"], &["8.8.8.8"]);
        check(
            &["2001:db8::/32", "10.1.2.3"],
            false,
            &["2001:db8:1::", "10.1.2.3"],
            &["2001:db9::"],
        );
        check(&["[::1]"], false, &["::1"], &["::2"]);
        check(&["localhost"], false, &["127.0.0.1"], &["127.0.0.2"]);
    }

    #[test]
    fn private_networks_are_the_documented_ones() {
        let private = [
            "10.1.1.1",
            "127.0.0.9",
            "172.31.0.1",
            "192.168.9.9",
            "::1",
            "fd00::1",
            "fe80::1",
        ];
        check(
            &[],
            true,
            &private,
            &["172.32.0.1", "192.169.0.1", "2001:db8::1", "::2"],
        );
    }

    #[test]
    fn nonsense_is_named() {
        for value in [
            "1.2.3.4/33",
            "1.2.3.4/x",
            "::1/129",
            "",
            "/8",
            "no such host/8",
        ] {
            let error = Allow::parse(&[value.to_owned()], false)
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(&format!("\"{value}\"")), "{error}");
        }
    }

    #[test]
    fn an_unknown_address_is_refused_unless_anybody_is_allowed() {
        assert!(Allow::Anybody.admits(None));
        assert!(!Allow::Networks(PRIVATE.to_vec()).admits(None));
    }
}
