//! The host list as the programs here show it: `farcc hosts` for people, `distcc --show-hosts`
//! and `distcc -j` (which the shim hands over to `farcc show-hosts` and `farcc slots`) for
//! scripts.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::PathBuf;

use stock::hosts::{DEFAULT_LOCALSLOTS, DEFAULT_LOCALSLOTS_CPP, Host, HostKind, HostList};

use crate::agent_socket::distcc_dir;
use crate::error::Error;
use crate::exit::Exit;
use crate::report;
use crate::world::World;

/// The list of the whole machine.
pub(crate) const SYSTEM_LIST: &str = "/etc/distcc/hosts";

/// Where a host list comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// `$DISTCC_HOSTS`.
    Variable,
    /// A file.
    File(PathBuf),
    /// There is none.
    Nowhere,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Variable => f.write_str("$DISTCC_HOSTS"),
            Self::File(path) => path.display().fmt(f),
            Self::Nowhere => f.write_str("no host list"),
        }
    }
}

/// Finds the host list: the first of `$DISTCC_HOSTS` (even if empty), `$DISTCC_DIR/hosts` or
/// `~/.distcc/hosts`, and `/etc/distcc/hosts`. Files that cannot be read are passed over, as stock
/// does; if they exist, `on_error` is told.
pub(crate) fn find(world: &World, on_error: &mut dyn FnMut(Error)) -> (Source, HostList) {
    find_with(world, SYSTEM_LIST.into(), on_error)
}

fn find_with(
    world: &World,
    system_list: PathBuf,
    on_error: &mut dyn FnMut(Error),
) -> (Source, HostList) {
    if let Some(text) = world.var("DISTCC_HOSTS") {
        return (Source::Variable, HostList::parse(&text.to_string_lossy()));
    }
    let own = distcc_dir(world).map(|dir| dir.join("hosts"));
    for path in own.into_iter().chain([system_list]) {
        match fs::read(&path) {
            Ok(bytes) => {
                let list = HostList::parse(&String::from_utf8_lossy(&bytes));
                return (Source::File(path), list);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => on_error(Error::file("read", path)(error)),
        }
    }
    (Source::Nowhere, HostList::default())
}

/// `farcc hosts`.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn show_to_people(world: &World) -> Result<Exit, Error> {
    let mut unreadable = false;
    let (source, list) = find(world, &mut |error| {
        unreadable = true;
        report::error("farcc", &error);
    });
    report::print(&table(&source, &list, processors()))?;
    let is_good = !list.hosts.is_empty() && list.errors.is_empty() && !unreadable;
    Ok(if is_good {
        Exit::Success
    } else {
        Exit::BadHosts
    })
}

/// Processors of this machine.
pub(crate) fn processors() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(processors).unwrap_or(u32::MAX)
}

/// What `farcc hosts` prints on a machine with so many processors.
pub(crate) fn table(source: &Source, list: &HostList, processors: u32) -> String {
    let mut text = format!("{source}:\n");
    let width = list
        .hosts
        .iter()
        .map(|host| host.text.chars().count())
        .max();
    for host in &list.hosts {
        let _ = writeln!(
            text,
            "  {:<width$}  {}",
            host.text,
            description(host),
            width = width.unwrap_or(0)
        );
    }
    if list.hosts.is_empty() {
        text.push_str("  no usable host: everything compiles on this machine\n");
    } else {
        let used = list.hosts.iter().filter(|host| !host.down);
        let slots: u64 = used.map(|host| u64::from(host.slots())).sum();
        let _ = writeln!(text, "  {slots} jobs at once on all hosts");
    }
    let _ = writeln!(
        text,
        "  {} jobs at once that cannot leave this machine, {} preprocessors",
        // The agent's rule: as many as there are processors, but at least stock's number.
        list.localslots
            .unwrap_or(processors.max(DEFAULT_LOCALSLOTS)),
        list.localslots_cpp
            .unwrap_or(processors.max(DEFAULT_LOCALSLOTS_CPP))
    );
    if list.randomize {
        text.push_str("  each job tries the hosts in an order of its own\n");
    }
    for error in &list.errors {
        let _ = writeln!(text, "error: {error}");
    }
    text
}

fn description(host: &Host) -> String {
    let jobs = match host.slots() {
        1 => "1 job".to_owned(),
        slots => format!("{slots} jobs"),
    };
    let how = match &host.kind {
        HostKind::Local => "on this machine".to_owned(),
        HostKind::Tcp { port, .. } => format!("port {port}"),
        HostKind::Ssh { .. } => "through ssh".to_owned(),
    };
    let mut text = format!("{jobs}, {how}");
    for (set, words) in [
        (host.lzo, ", compressed"),
        (host.cpp, ", pump mode"),
        (host.down, ", down: never used"),
        (host.auth.is_some(), ", with authentication"),
    ] {
        text.push_str(if set { words } else { "" });
    }
    text
}

/// Prints every entry of the list as it is written. Exit code 0 whatever happens: stock's rule.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn show_to_scripts(world: &World) -> Result<Exit, Error> {
    if let Some(list) = usable_list(world) {
        let lines = list.hosts.iter().map(|host| format!("{}\n", host.text));
        report::print(&lines.collect::<String>())?;
    }
    Ok(Exit::Success)
}

/// Prints the number of jobs that fit on all hosts. Exit code 0 whatever happens: stock's rule.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn show_slots(world: &World) -> Result<Exit, Error> {
    if let Some(list) = usable_list(world) {
        report::print(&format!("{}\n", list.total_slots()))?;
    }
    Ok(Exit::Success)
}

/// The list, or `None` after the messages that stock prints for a list without hosts.
fn usable_list(world: &World) -> Option<HostList> {
    let mut messages = Vec::new();
    let (source, list) = find(world, &mut |error| {
        let text = report::error_text("", &error);
        let first = text.lines().next().unwrap_or_default();
        messages.push(format!("Warning: {}", first.trim_start_matches(": ")));
    });
    messages.extend(complaints(&source, &list));
    for message in messages {
        report::eprint(&format!("distcc[{}] {message}\n", std::process::id()));
    }
    (!list.hosts.is_empty()).then_some(list)
}

/// What stock's log says about a list, without `distcc[PID]`.
fn complaints(source: &Source, list: &HostList) -> Vec<String> {
    let mut lines: Vec<String> = list
        .errors
        .iter()
        .map(|error| format!("ERROR: {error}"))
        .collect();
    if list.hosts.is_empty() {
        lines.push(match source {
            Source::Nowhere => "Warning: no hostlist is set; can't distribute work".to_owned(),
            found => format!("Warning: {found} contained no hosts; can't distribute work"),
        });
        lines.push("CRITICAL! Failed to get host list".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn find_in(world: &World) -> (Source, HostList) {
        find_with(world, "/no/such/list".into(), &mut |error| {
            panic!("{error}")
        })
    }

    #[test]
    fn the_first_list_wins_even_if_it_is_empty() {
        let temp = tempfile::tempdir().unwrap();
        let home = temp.path().join("home");
        let dir = temp.path().join("dir");
        fs::create_dir_all(home.join(".distcc")).unwrap();
        fs::create_dir_all(&dir).unwrap();
        let system = temp.path().join("system");
        fs::write(&system, "from-system").unwrap();
        let mut world = World::default();
        let check = |world: &World, source: Source| {
            let found = find_with(world, system.clone(), &mut |error| panic!("{error}"));
            assert_eq!(found.0, source);
        };
        check(&world, Source::File(system.clone()));
        world.set_var("HOME", &home);
        check(&world, Source::File(system.clone()));
        fs::write(home.join(".distcc/hosts"), "from-home").unwrap();
        check(&world, Source::File(home.join(".distcc/hosts")));
        fs::write(dir.join("hosts"), "from-dir").unwrap();
        world.set_var("DISTCC_DIR", &dir);
        check(&world, Source::File(dir.join("hosts")));
        world.set_var("DISTCC_HOSTS", "");
        check(&world, Source::Variable);
    }

    #[test]
    fn an_unreadable_list_is_reported_and_passed_over() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("hosts")).unwrap();
        let mut world = World::default();
        world.set_var("DISTCC_DIR", temp.path());
        let mut errors = Vec::new();
        let (source, _) = find_with(&world, "/no/such/list".into(), &mut |error| {
            errors.push(error.to_string());
        });
        assert_eq!((source, errors.len()), (Source::Nowhere, 1));
    }

    fn check_table(list: &str, expected: &Expect) {
        expected.assert_eq(&table(&Source::Variable, &HostList::parse(list), 2));
    }

    #[test]
    fn people_see_what_the_list_says() {
        check_table(
            "--randomize --localslots=9 box1/16,lzo localhost [::1]:4200/1 me@box2,lzo,cpp b,down",
            &expect![[r#"
                $DISTCC_HOSTS:
                  box1/16,lzo      16 jobs, port 3632, compressed
                  localhost        2 jobs, on this machine
                  [::1]:4200/1     1 job, port 4200
                  me@box2,lzo,cpp  4 jobs, through ssh, compressed, pump mode
                  b,down           4 jobs, port 3632, down: never used
                  23 jobs at once on all hosts
                  9 jobs at once that cannot leave this machine, 8 preprocessors
                  each job tries the hosts in an order of its own
            "#]],
        );
        check_table(
            "box1/0 ,lzo",
            &expect![[r#"
                $DISTCC_HOSTS:
                  no usable host: everything compiles on this machine
                  4 jobs at once that cannot leave this machine, 8 preprocessors
                error: host list, line 1, column 1: `box1/0`: bad multiplier `0`: the number of jobs must be a number from 1 to 100000 (write NAME/8 for 8 jobs at once; `,down` after a host disables it)
                error: host list, line 1, column 8: `,lzo`: the host's name is missing (write NAME[/JOBS][:PORT][,lzo], or USER@NAME for ssh)
            "#]],
        );
    }

    #[test]
    fn scripts_get_stocks_words() {
        let check = |source: Source, list: &str, expected: &[&str]| {
            assert_eq!(complaints(&source, &HostList::parse(list)), expected);
        };
        check(Source::Variable, "a b", &[]);
        check(
            Source::Variable,
            "",
            &[
                "Warning: $DISTCC_HOSTS contained no hosts; can't distribute work",
                "CRITICAL! Failed to get host list",
            ],
        );
        check(
            Source::Nowhere,
            "",
            &[
                "Warning: no hostlist is set; can't distribute work",
                "CRITICAL! Failed to get host list",
            ],
        );
        let (source, list) = find_in(&World::default());
        assert_eq!(complaints(&source, &list).len(), 2);
    }
}
