//! A client machine: directories, an address, and the project as only this client sees it, at its own path.
//!
//! Machines differ in what they see, so each has namespaces of its own: a farcc agent, a lock of distcc's, a socket of
//! icecream's daemon belong to one of them. All share the one core and are counted together.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::workspace::Workspace;

use super::namespaces::Keeper;
use super::network::Network;
use super::scene::CLIENTS_CORE;
use super::servers::Daemon;
use super::tree::Layer;
use super::units::Unit;
use crate::control_group::ControlGroup;

/// A client machine. Fields are dropped in this order: what runs, then what it lives in.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) number: usize,
    /// Programs that a peer has running on each client.
    pub(super) daemons: Vec<Daemon>,
    pub(super) workspace: Workspace,
    view: Keeper,
    layer: Layer,
    project: PathBuf,
    network: String,
    /// As [`ControlGroup::ENTER`] takes it.
    group: String,
}

impl Client {
    /// Makes one, with nothing changed in the project. What it changes goes below `place`.
    pub(super) fn make(
        number: usize,
        project: &Path,
        network: &Network,
        group: &ControlGroup,
        place: &Path,
    ) -> Result<Self, String> {
        let place = place.join(format!("client{number}"));
        let seen = place.join("project");
        fs::create_dir_all(&seen).map_err(|error| format!("{}: {error}", seen.display()))?;
        let layer = Layer::lay(project, &seen, &place)?;
        let view = Keeper::start(
            &["--mount", "--propagation", "private"],
            r#"mount --bind "$1" "$2""#,
            &[seen.as_os_str(), project.as_os_str()],
        )?;
        Ok(Self {
            number,
            daemons: Vec::new(),
            workspace: Workspace::new(),
            view,
            layer,
            project: project.to_owned(),
            network: network.client_option(number)?,
            group: group.list(),
        })
    }

    /// A command on this machine: in the clients' control group, on their core. It has a session of its own, as
    /// everybody's has: the kernel divides a processor among sessions, and does so wrongly (seen with Linux 6.18: one
    /// gets nothing for half a second) where processes of the same session are at work on other processors.
    pub(super) fn command(&self) -> Command {
        let mut command = self.workspace.command("/bin/sh");
        command
            .args(["-c", ControlGroup::ENTER])
            .arg(&self.group)
            .args(["nsenter", &self.network, &self.view.option("mnt")])
            .args(["taskset", "-c", CLIENTS_CORE, "setsid"]);
        command
    }

    /// Where this program finds what the client has at a path.
    pub(super) fn outside(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.project) {
            Ok(rest) => self.layer.at().join(rest),
            Err(_) => path.to_owned(),
        }
    }

    /// The same for a source that is going to be edited: links must not lead to the user's own.
    fn source_outside(&self, unit: &Unit) -> Result<PathBuf, String> {
        let source = &unit.source;
        let failed = |error| format!("{}: {error}", source.display());
        let real = fs::canonicalize(source).map_err(failed)?;
        let project = fs::canonicalize(&self.project).map_err(failed)?;
        let rest = real.strip_prefix(project);
        let rest = rest.map_err(|_| format!("{} is not the project's", source.display()))?;
        Ok(self.layer.at().join(rest))
    }

    /// Changes every source into what no other client and no other build has.
    pub(super) fn edit(&self, units: &[Unit], build: usize) -> Result<(), String> {
        for unit in units {
            let source = self.source_outside(unit)?;
            let edited = Unit::edit(&source, &format!("{build}_at_{}", self.number));
            edited.map_err(|error| format!("{}: {error}", source.display()))?;
        }
        Ok(())
    }

    /// Removes what builds make.
    pub(super) fn clean(&self, units: &[Unit]) {
        for unit in units {
            for path in [&unit.output, &unit.dependencies] {
                let _not_there = fs::remove_file(self.outside(path));
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Whatever a client leaves in its directory for temporary files is its own affair.
        let _gone = fs::remove_dir_all(self.workspace.tmp());
    }
}
