//! Who is measured, and how each is set up.

use std::path::{Path, PathBuf};

use e2e::foreign;
use e2e::programs::{self, STOCK_CLIENT};

/// A way to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// Ninja runs `/bin/true` for each unit: what all others pay for being started.
    Nothing,
    /// The compiler, here, on the one core that clients have.
    Local,
    /// farcc and its workers.
    Farcc,
    /// farcc, with stock's servers.
    FarccStock,
    /// Debian's distcc.
    Distcc,
    /// The same with compression.
    DistccLzo,
    /// Itself the build tool, over a Remote Execution server.
    Siso,
    /// A launcher over the same server.
    Recc,
    /// The same launcher over buildbox-casd, which comes with it.
    ReccCasd,
}

/// What peers are called on the command line and in tables.
const NAMES: &[(&str, Peer)] = &[
    ("nothing", Peer::Nothing),
    ("local", Peer::Local),
    ("farcc", Peer::Farcc),
    ("farcc-stock", Peer::FarccStock),
    ("distcc", Peer::Distcc),
    ("distcc-lzo", Peer::DistccLzo),
    ("siso", Peer::Siso),
    ("recc", Peer::Recc),
    ("recc-casd", Peer::ReccCasd),
];

/// What serves a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Servers {
    None,
    /// Workers of farcc, several.
    Workers,
    /// One worker of farcc, which is a Remote Execution server.
    OneWorker,
    /// buildbox-casd.
    Casd,
    /// Debian's distccd.
    Stock,
}

/// One build of several with the same clients and servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nobody has seen anything yet.
    First,
    /// As before, but every source has changed. What compiles take is known by now.
    Changed,
    /// As before, and nothing has changed, but the outputs are gone.
    Unchanged,
}

impl Phase {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::First => "first build",
            Self::Changed => "sources changed",
            Self::Unchanged => "nothing changed",
        }
    }
}

impl Peer {
    pub(super) const USUAL: &'static [Self] = &[
        Self::Nothing,
        Self::Farcc,
        Self::FarccStock,
        Self::Distcc,
        Self::DistccLzo,
    ];

    pub(super) fn named(name: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(it, _)| *it == name);
        found.map(|(_, peer)| *peer).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            format!("{name} is none of {}", names.join(", "))
        })
    }

    pub(super) fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(_, peer)| *peer == self);
        found.map_or("", |(name, _)| name)
    }

    pub(super) fn servers(self) -> Servers {
        match self {
            Self::Nothing | Self::Local => Servers::None,
            Self::Farcc => Servers::Workers,
            Self::Siso | Self::Recc => Servers::OneWorker,
            Self::ReccCasd => Servers::Casd,
            Self::FarccStock | Self::Distcc | Self::DistccLzo => Servers::Stock,
        }
    }

    pub(super) fn phases(self) -> &'static [Phase] {
        match self {
            Self::Farcc | Self::Siso | Self::Recc | Self::ReccCasd => {
                &[Phase::First, Phase::Changed, Phase::Unchanged]
            }
            Self::FarccStock => &[Phase::First, Phase::Changed],
            _ => &[Phase::First],
        }
    }

    /// The program that is measured, if it is one that may be missing.
    pub(super) fn program(self) -> Option<PathBuf> {
        match self {
            Self::Nothing | Self::Local | Self::Farcc => None,
            Self::FarccStock => Some("/usr/bin/distccd".into()),
            Self::Distcc | Self::DistccLzo => Some(STOCK_CLIENT.into()),
            Self::Siso => Some(foreign::newest("siso")),
            Self::Recc | Self::ReccCasd => Some(foreign::newest("recc")),
        }
    }

    /// The command of a unit, before the compiler's arguments.
    pub(super) fn command(self, compiler: &Path) -> Vec<PathBuf> {
        let here = || Path::new("/usr/bin").join(compiler);
        match self {
            Self::Nothing => vec!["/bin/true".into()],
            Self::Local => vec![compiler.to_owned()],
            Self::Farcc | Self::FarccStock => vec![programs::distcc(), compiler.to_owned()],
            Self::Distcc | Self::DistccLzo => vec![STOCK_CLIENT.into(), compiler.to_owned()],
            Self::Siso => vec![here()],
            Self::Recc | Self::ReccCasd => vec![foreign::newest("recc"), here()],
        }
    }

    /// What is added to each server in the host list.
    pub(super) fn host_options(self) -> &'static str {
        match self {
            Self::DistccLzo => ",lzo",
            Self::FarccStock => ",stock",
            _ => "",
        }
    }

    /// What the build tool is told with `-j`: who has a queue of its own gets something to put there; who has not only
    /// waits for slots, by sleeping.
    pub(super) fn jobs(self, slots: usize) -> usize {
        match self {
            Self::Nothing | Self::Local => 1,
            Self::Farcc | Self::FarccStock => slots + slots / 4 + 2,
            _ => slots,
        }
    }
}
