//! The host list: who may compile, how many jobs at once, and how to talk to them.
//!
//! A stability boundary: the grammar is stock's (`man distcc`, "HOST
//! SPECIFICATIONS"), what is added only uses words that stock refuses.
//!
//! ```text
//! TOKEN  := --randomize | --localslots=N | --localslots_cpp=N | +zeroconf | HOST
//! HOST   := localhost[/N]                              here
//!         | [USER]@NAME[/N][:COMMAND][OPTIONS]         through ssh
//!         | NAME[/N][:PORT][OPTIONS]                   over TCP; also NAME:PORT/N
//! NAME   := a host's name | IPv4 | "[" IPv6 "]"
//! OPTIONS:= any of ,lzo ,cpp ,down ,stock ,native ,auth[=PRINCIPAL]
//! ```
//!
//! White space separates tokens, `#` starts a comment, `=` may stand for `/`.
//! Unlike stock, which drops the whole list for one broken token, a broken
//! token here is only left out, and [`HostError`] tells about it.

mod error;
pub mod lsdistcc;
mod parse;

use std::fmt;

pub use error::{HostError, Rule};

use crate::{lock, version::Version};

/// Port of `distccd` unless the list says otherwise.
pub const DEFAULT_PORT: u16 = 3632;
/// Jobs at once on a stock server without `/N`: a little more than most have
/// processors, to keep files in transit.
pub const DEFAULT_SLOTS: u32 = 4;
/// Jobs at once on `localhost` without `/N`.
pub const DEFAULT_LOCALHOST_SLOTS: u32 = 2;
/// Jobs at once that cannot be distributed, without `--localslots`.
pub const DEFAULT_LOCALSLOTS: u32 = 4;
/// Preprocessors at once, without `--localslots_cpp`.
pub const DEFAULT_LOCALSLOTS_CPP: u32 = 8;

/// What a host list says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostList {
    /// Usable hosts in the order of the list (those with `,down` among them).
    pub hosts: Vec<Host>,
    /// `--randomize`: each job tries the hosts in an order of its own.
    pub randomize: bool,
    /// `--localslots=N`.
    pub localslots: Option<u32>,
    /// `--localslots_cpp=N`.
    pub localslots_cpp: Option<u32>,
    /// `+zeroconf`: more hosts come from a browser of the local network.
    pub zeroconf: bool,
    /// Tokens that were left out, and why.
    pub errors: Vec<HostError>,
}

impl HostList {
    /// Reads a list. It never fails: what cannot be understood is in `errors`.
    pub fn parse(text: &str) -> HostList {
        parse::parse(text)
    }

    /// Jobs at once that cannot be distributed.
    pub fn local_slots(&self) -> u32 {
        self.localslots.unwrap_or(DEFAULT_LOCALSLOTS)
    }

    /// Preprocessors at once on this machine.
    pub fn local_cpp_slots(&self) -> u32 {
        self.localslots_cpp.unwrap_or(DEFAULT_LOCALSLOTS_CPP)
    }

    /// What `distcc -j` prints: the slots of all hosts together.
    pub fn total_slots(&self) -> u64 {
        self.hosts.iter().map(|h| u64::from(h.slots())).sum()
    }
}

/// One host of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Where it is and how it is reached.
    pub kind: HostKind,
    /// `/N`: most jobs at once. `None`: see [`Host::slots`].
    pub limit: Option<u32>,
    /// `,lzo`: bodies are compressed.
    pub lzo: bool,
    /// `,cpp`: the server preprocesses. Only together with `lzo`.
    pub cpp: bool,
    /// `,down`: never chosen.
    pub down: bool,
    /// `,stock`, `,native`, or neither.
    pub speaks: Speaks,
    /// `,auth`: the server wants GSSAPI authentication.
    pub auth: Option<Auth>,
    /// The token as it is written, for `distcc --show-hosts` and messages.
    pub text: String,
}

/// What a host is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// Not said: the client finds out.
    Either,
    /// `,stock`: distcc's protocol.
    Stock,
    /// `,native`: the Remote Execution API.
    Native,
}

/// `,auth` with the server's principal, if one is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// What follows `,auth=`.
    pub principal: Option<String>,
}

/// Where a host is and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKind {
    /// This machine, without a server: exactly `localhost` or `localhost/N`.
    Local,
    /// A server that listens.
    Tcp {
        /// Name or address; IPv6 without its brackets.
        name: String,
        /// TCP port.
        port: u16,
    },
    /// A server that ssh starts for each job.
    Ssh {
        /// Whom to log in as; `None` for ssh's own default.
        user: Option<String>,
        /// Name or address; IPv6 without its brackets.
        name: String,
        /// The server's program; `None` for `distccd`.
        command: Option<String>,
    },
}

impl Host {
    /// Most jobs at once: `/N`, or the documented default.
    pub fn slots(&self) -> u32 {
        self.limit.unwrap_or(match self.kind {
            HostKind::Local => DEFAULT_LOCALHOST_SLOTS,
            HostKind::Tcp { .. } | HostKind::Ssh { .. } => DEFAULT_SLOTS,
        })
    }

    /// The protocol that its options ask for.
    pub fn protocol(&self) -> Version {
        match (self.lzo, self.cpp) {
            (true, true) => Version::V3,
            (true, false) => Version::V2,
            (false, _) => Version::V1,
        }
    }

    /// Host name only, as state files and monitors show it.
    pub fn name(&self) -> &str {
        match &self.kind {
            HostKind::Local => "localhost",
            HostKind::Tcp { name, .. } | HostKind::Ssh { name, .. } => name,
        }
    }

    /// Is it this machine, without a server?
    pub fn is_local(&self) -> bool {
        self.kind == HostKind::Local
    }

    /// What tells this host from others in names of lock files: entries with
    /// the same identity share their slots, whatever else they say.
    pub fn identity(&self) -> String {
        match &self.kind {
            HostKind::Local => lock::LOCAL_IDENTITY.to_owned(),
            HostKind::Tcp { name, port } => format!("tcp_{name}_{port}"),
            HostKind::Ssh { name, .. } => format!("ssh_{name}"),
        }
    }
}

/// Writes the host as a token of a host list, in one normal form.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.limit.map(|n| format!("/{n}")).unwrap_or_default();
        match &self.kind {
            HostKind::Local => write!(f, "localhost{limit}")?,
            HostKind::Tcp { name, port } => {
                write_name(f, name)?;
                match *port {
                    // `localhost` and `localhost/N` would mean no server.
                    port if name == "localhost" => write!(f, ":{port}{limit}")?,
                    DEFAULT_PORT => f.write_str(&limit)?,
                    port => write!(f, "{limit}:{port}")?,
                }
            }
            HostKind::Ssh {
                user,
                name,
                command,
            } => {
                write!(f, "{}@", user.as_deref().unwrap_or_default())?;
                write_name(f, name)?;
                f.write_str(&limit)?;
                if let Some(command) = command {
                    write!(f, ":{command}")?;
                }
            }
        }
        for (set, option) in [(self.lzo, ",lzo"), (self.cpp, ",cpp"), (self.down, ",down")] {
            f.write_str(if set { option } else { "" })?;
        }
        f.write_str(match (self.speaks, &self.kind) {
            (Speaks::Native, _) => ",native",
            // Behind ssh there is nothing else.
            (Speaks::Stock, HostKind::Tcp { .. }) => ",stock",
            _ => "",
        })?;
        match &self.auth {
            Some(Auth {
                principal: Some(principal),
            }) => write!(f, ",auth={principal}"),
            Some(Auth { principal: None }) => f.write_str(",auth"),
            None => Ok(()),
        }
    }
}

fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    if name.contains(':') {
        write!(f, "[{name}]")
    } else {
        f.write_str(name)
    }
}
