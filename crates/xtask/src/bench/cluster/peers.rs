//! Who is measured, and how each is set up.

use std::path::{Path, PathBuf};

use e2e::foreign;
use e2e::programs::{self, STOCK_CLIENT, STOCK_SERVER};

use super::{icecream, sccache};

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
    /// Debian's icecream.
    Icecream,
    /// sccache's distributed mode.
    Sccache,
}

/// What peers are called on the command line and in tables, and what is said of them there.
const NAMES: &[(&str, Peer, &str)] = &[
    (
        "nothing",
        Peer::Nothing,
        "Ninja runs /bin/true for each unit",
    ),
    (
        "local",
        Peer::Local,
        "the compiler, on the one core that clients have",
    ),
    ("farcc", Peer::Farcc, "farcc and its workers"),
    (
        "farcc-stock",
        Peer::FarccStock,
        "farcc, with stock's servers",
    ),
    ("distcc", Peer::Distcc, "stock distcc (package distcc)"),
    ("distcc-lzo", Peer::DistccLzo, "the same with compression"),
    (
        "siso",
        Peer::Siso,
        "itself the build tool, over one worker of farcc (`cargo xtask setup`)",
    ),
    (
        "recc",
        Peer::Recc,
        "a launcher over one worker of farcc (`cargo xtask setup`)",
    ),
    (
        "recc-casd",
        Peer::ReccCasd,
        "the same over buildbox-casd (`cargo xtask setup`)",
    ),
    (
        "icecream",
        Peer::Icecream,
        "its launcher, daemons and scheduler (package icecc)",
    ),
    (
        "sccache",
        Peer::Sccache,
        "its distributed mode (crate sccache, package bubblewrap)",
    ),
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
    /// icecream's scheduler and daemons.
    Icecream,
    /// sccache's scheduler and servers.
    Sccache,
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
        let found = NAMES.iter().find(|(it, ..)| *it == name);
        found.map(|(_, peer, _)| *peer).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(name, ..)| *name).collect();
            format!("{name} is none of {}", names.join(", "))
        })
    }

    pub(super) fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(_, peer, _)| *peer == self);
        found.map_or("", |(name, ..)| name)
    }

    /// A line for each, for people.
    pub(super) fn list() -> String {
        let lines = NAMES
            .iter()
            .map(|(name, _, what)| format!("  {name:<13} {what}\n"));
        lines.collect()
    }

    pub(super) fn servers(self) -> Servers {
        match self {
            Self::Nothing | Self::Local => Servers::None,
            Self::Farcc => Servers::Workers,
            Self::Siso | Self::Recc => Servers::OneWorker,
            Self::ReccCasd => Servers::Casd,
            Self::FarccStock | Self::Distcc | Self::DistccLzo => Servers::Stock,
            Self::Icecream => Servers::Icecream,
            Self::Sccache => Servers::Sccache,
        }
    }

    pub(super) fn phases(self) -> &'static [Phase] {
        match self {
            Self::Farcc | Self::Siso | Self::Recc | Self::ReccCasd | Self::Sccache => {
                &[Phase::First, Phase::Changed, Phase::Unchanged]
            }
            Self::FarccStock | Self::Icecream => &[Phase::First, Phase::Changed],
            _ => &[Phase::First],
        }
    }

    /// Programs that may be missing, and how to get them.
    fn programs(self) -> (Vec<PathBuf>, String) {
        const SETUP: &str = "cargo xtask setup";
        const DISTCC: &str = "apt-get install distcc";
        match self {
            Self::Nothing | Self::Local | Self::Farcc => (Vec::new(), String::new()),
            Self::FarccStock => (vec![STOCK_SERVER.into()], DISTCC.into()),
            Self::Distcc | Self::DistccLzo => (
                vec![STOCK_CLIENT.into(), STOCK_SERVER.into()],
                DISTCC.into(),
            ),
            Self::Siso => (vec![foreign::newest("siso")], SETUP.into()),
            Self::Recc => (vec![foreign::newest("recc")], SETUP.into()),
            Self::ReccCasd => (
                vec![foreign::newest("recc"), foreign::casd_1_3()],
                SETUP.into(),
            ),
            Self::Icecream => (
                icecream::PROGRAMS.iter().map(PathBuf::from).collect(),
                "apt-get install icecc".into(),
            ),
            Self::Sccache => (sccache::programs(), sccache::how_to_get()),
        }
    }

    /// What is missing and how to get it, if this peer cannot be measured here.
    pub(super) fn lacks(self) -> Option<String> {
        let (programs, how) = self.programs();
        let missing = programs.iter().find(|program| !program.exists())?;
        Some(format!("{} is missing: {how}", missing.display()))
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
            Self::Icecream => vec![icecream::LAUNCHER.into(), compiler.to_owned()],
            Self::Sccache => vec![sccache::launcher(), compiler.to_owned()],
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
            Self::Farcc | Self::FarccStock | Self::Icecream => slots + slots / 4 + 2,
            _ => slots,
        }
    }
}
