//! `pump`: for scripts that were written for distcc's pump mode.
//!
//! There `pump` started an include server, a process that told distcc which headers a compile
//! reads. farcc's agent does all that is to be done on the client, so there is nothing to start:
//! `pump COMMAND` runs the command, `--startup` prints settings that change nothing, `--shutdown`
//! stops nothing. What is left of it is `DISTCC_POTENTIAL_HOSTS`: those hosts of it that answer
//! become the host list.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use monitor::lsdistcc::{self, Options};
use stock::hosts::HostList;

use crate::error::Error;
use crate::exit::Exit;
use crate::report;
use crate::world::World;

const USAGE: &str = "\
usage: pump COMMAND [ARGUMENT...]
       eval `pump --startup`; ...; pump --shutdown

Runs a build with distcc. There is no include server any more, nothing has to be
started or stopped; `farcc run -- COMMAND` does more. If DISTCC_POTENTIAL_HOSTS is
set, those of its hosts that answer become DISTCC_HOSTS (LSDISTCC_ARGS are options
for lsdistcc). DISTCC_LOCATION is put first in PATH.
";

/// Scripts may read these after `--startup`, under `set -u` too. Empty, because a `kill` of any
/// number would hit somebody else.
const INCLUDE_SERVER_VARIABLES: [&str; 3] = [
    "INCLUDE_SERVER_PID",
    "INCLUDE_SERVER_DIR",
    "INCLUDE_SERVER_PORT",
];

/// Options that `pump` gave to `lsdistcc` before those of the user: not to wait long.
const SEARCH_OPTIONS: &[&str] = &["-c150"];

/// Runs `pump`.
///
/// # Errors
/// The command cannot be started.
pub(crate) fn run(mut world: World) -> Result<Exit, Error> {
    match world.args.first().and_then(|arg| arg.to_str()) {
        None => {
            report::eprint(USAGE);
            Ok(Exit::NoResult)
        }
        Some("--help") => {
            report::print(USAGE)?;
            Ok(Exit::Success)
        }
        Some("--startup") => {
            report::eprint(&banner(&set_up(&mut world)?));
            report::print(&startup_script(&world))?;
            Ok(Exit::Success)
        }
        Some("--shutdown") => {
            report::eprint("__________No include server to shut down\n");
            Ok(Exit::Success)
        }
        Some(_) => {
            let list = set_up(&mut world)?;
            report::print(&banner(&list))?;
            Err(become_command(&world))
        }
    }
}

/// Brings `PATH` and the host list into the form that the build is to see; returns the list.
fn set_up(world: &mut World) -> Result<HostList, Error> {
    if let Some(dir) = world.path_var("DISTCC_LOCATION") {
        let mut path = dir.into_os_string();
        if let Some(rest) = world.var("PATH") {
            path.push(":");
            path.push(rest);
        }
        world.set_var("PATH", path);
    }
    let potential = world.var("DISTCC_POTENTIAL_HOSTS").map(OsString::from);
    if let Some(hosts) = potential {
        let answering = answering(world, &hosts.to_string_lossy())?;
        world.set_var("DISTCC_HOSTS", host_list(&answering));
    }
    let (_, list) = crate::hosts::find(world, &mut |error| {
        report::error("pump", &error);
    });
    Ok(list)
}

/// Those of the hosts that answer, as lines.
fn answering(world: &World, hosts: &str) -> Result<String, Error> {
    let extra = world.var("LSDISTCC_ARGS").unwrap_or_default();
    let extra = extra.to_string_lossy();
    let words = SEARCH_OPTIONS
        .iter()
        .copied()
        .chain(extra.split_whitespace())
        .chain(hosts.split_whitespace());
    let args: Vec<OsString> = words.map(OsString::from).collect();
    let options = Options::from_args(&args)
        .map_err(|error| Error::Arguments(format!("LSDISTCC_ARGS: {error}")))?;
    let mut out = Vec::new();
    lsdistcc::run(&options, &mut out, &mut std::io::stderr()).map_err(Error::Stdout)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// A host list of what `lsdistcc` found: compressed, in changing order.
fn host_list(lsdistcc: &str) -> String {
    let mut list = "--randomize".to_owned();
    for host in lsdistcc.lines().filter_map(|line| line.split(' ').next()) {
        let separator = if host.contains(",lzo") { "" } else { ",lzo" };
        let _ = write!(list, " {host}{separator}");
    }
    list
}

fn banner(list: &HostList) -> String {
    let servers = list
        .hosts
        .iter()
        .filter(|host| !host.down && !host.is_local());
    format!(
        "__________Using {} distcc servers; no include server is needed\n",
        servers.count()
    )
}

fn startup_script(world: &World) -> String {
    let mut script = String::new();
    for name in INCLUDE_SERVER_VARIABLES {
        let _ = writeln!(script, "export {name}='';");
    }
    for name in ["DISTCC_HOSTS", "PATH"] {
        if let Some(value) = world.var(name) {
            let value = value.to_string_lossy().replace('\'', r"'\''");
            let _ = writeln!(script, "export {name}='{value}';");
        }
    }
    script
}

/// Replaces this process; returns only when that fails.
fn become_command(world: &World) -> Error {
    let (program, args) = world.args.split_first().expect("checked by the caller");
    let source = Command::new(program)
        .args(args)
        .env_clear()
        .envs(world.vars.iter().map(|(name, value)| (name, value)))
        .exec();
    Error::Command {
        command: program.to_string_lossy().into_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_hosts_become_a_list() {
        assert_eq!(
            host_list("box1\nbox2:4200,lzo 17\n"),
            "--randomize box1,lzo box2:4200,lzo"
        );
    }

    #[test]
    fn the_startup_script_survives_quotes_and_set_u() {
        let mut world = World::default();
        world.set_var("DISTCC_HOSTS", "a 'b'");
        assert_eq!(
            startup_script(&world),
            "export INCLUDE_SERVER_PID='';\n\
             export INCLUDE_SERVER_DIR='';\n\
             export INCLUDE_SERVER_PORT='';\n\
             export DISTCC_HOSTS='a '\\''b'\\''';\n"
        );
    }

    #[test]
    fn the_location_comes_first_in_path() {
        let mut world = World::default();
        world.set_var("PATH", "/usr/bin");
        world.set_var("DISTCC_LOCATION", "/opt/distcc/bin");
        world.set_var("DISTCC_HOSTS", "a localhost b,down");
        let list = set_up(&mut world).unwrap();
        assert_eq!(world.var("PATH").unwrap(), "/opt/distcc/bin:/usr/bin");
        assert!(banner(&list).contains("Using 1 distcc servers"));
    }
}
