//! `distcc-config`: Gentoo's little program for host list, environment and masquerade links.
//!
//! Settings are lines `NAME="VALUE"` in `/etc/env.d/02distcc`, which `env-update` makes part of
//! every login's environment. All paths are below a root directory, `/` unless told otherwise.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::compilers;
use crate::error::Error;
use crate::exit::Exit;
use crate::report;
use crate::symlinks::{Links, below};
use crate::world::World;

const ENV_FILE: &str = "/etc/env.d/02distcc";
const HOSTS_FILE: &str = "/etc/distcc/hosts";
const LINKS_DIR: &str = "/usr/lib/distcc";
const DISTCC: &str = "/usr/bin/distcc";
const ENV_UPDATE: &str = "/usr/sbin/env-update";

const USAGE: &str = "\
usage: distcc-config --get-hosts | --set-hosts 'HOST...'
       distcc-config --get-verbose | --set-verbose {0|1}
       distcc-config --get-log | --set-log FILE
       distcc-config --get-env [VARIABLE] | --set-env VARIABLE VALUE
       distcc-config --update-masquerade
       distcc-config --update-masquerade-with-crossdev

Root sets the hosts of the whole machine in /etc/distcc/hosts, others their own in
~/.distcc/hosts. Variables are kept in /etc/env.d/02distcc. The masquerade links in
/usr/lib/distcc are made for all compilers, or (with-crossdev) only for those whose name
says the target, so that a machine of another kind never gets a plain `gcc`.
--root=DIR in front does all this in another tree.
";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    GetHosts,
    SetHosts(String),
    GetEnv(Option<String>),
    SetEnv(String, String),
    UpdateMasquerade { only_with_target: bool },
}

/// The tree that is changed, and who changes it.
#[derive(Debug)]
struct Machine<'a> {
    root: PathBuf,
    is_real_root: bool,
    world: &'a World,
}

/// Runs `distcc-config`.
///
/// # Errors
/// A file cannot be read or written, or only root may do it.
pub(crate) fn run(world: &World) -> Result<Exit, Error> {
    let mut args = world.args.as_slice();
    let mut root = PathBuf::from("/");
    if let Some((first, rest)) = args.split_first()
        && let Some(dir) = first.to_str().and_then(|arg| arg.strip_prefix("--root="))
    {
        root = PathBuf::from(dir);
        args = rest;
    }
    let machine = Machine {
        is_real_root: root == Path::new("/"),
        root,
        world,
    };
    match Action::from_args(args) {
        Ok(action) => {
            report::print(&machine.perform(action)?)?;
            Ok(Exit::Success)
        }
        Err(Refused::Usage) => {
            report::print(USAGE)?;
            Ok(Exit::Success)
        }
        Err(Refused::Because(text)) => {
            report::eprint(&format!("distcc-config: {text}\n{USAGE}"));
            Ok(Exit::NoResult)
        }
    }
}

/// Why arguments are no action.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    Usage,
    Because(String),
}

impl Action {
    fn from_args(args: &[OsString]) -> Result<Self, Refused> {
        let words: Option<Vec<&str>> = args.iter().map(|arg| arg.to_str()).collect();
        let Some(words) = words else {
            return Err(Refused::Because("arguments must be UTF-8".to_owned()));
        };
        let set = |name: &str, value: &str| {
            if value.contains(['"', '\n', '\\', '$', '`']) {
                let text = format!("`{value}` cannot be written between quotes");
                return Err(Refused::Because(text));
            }
            Ok(Self::SetEnv(name.to_owned(), value.to_owned()))
        };
        let get = |name: &str| Ok(Self::GetEnv(Some(name.to_owned())));
        match words.as_slice() {
            [] | ["--help" | "-h"] => Err(Refused::Usage),
            ["--get-hosts"] => Ok(Self::GetHosts),
            ["--set-hosts", hosts @ ..] if !hosts.is_empty() => Ok(Self::SetHosts(hosts.join(" "))),
            ["--get-verbose"] => get("DISTCC_VERBOSE"),
            ["--set-verbose", value @ ("0" | "1")] => set("DISTCC_VERBOSE", value),
            ["--get-log"] => get("DISTCC_LOG"),
            ["--set-log", file] => set("DISTCC_LOG", file),
            ["--get-env"] => Ok(Self::GetEnv(None)),
            ["--get-env", name] if is_name(name) => get(name),
            ["--set-env", name, value] if is_name(name) => set(name, value),
            ["--update-masquerade"] => Ok(Self::UpdateMasquerade {
                only_with_target: false,
            }),
            ["--update-masquerade-with-crossdev"] => Ok(Self::UpdateMasquerade {
                only_with_target: true,
            }),
            [other, ..] => {
                let text = format!("`{other}` is unknown, or its values are missing or wrong");
                Err(Refused::Because(text))
            }
        }
    }
}

impl Machine<'_> {
    /// Does it and says what there is to say.
    fn perform(&self, action: Action) -> Result<String, Error> {
        match action {
            Action::GetHosts => self.hosts(),
            Action::SetHosts(hosts) => self.set_hosts(&hosts),
            Action::GetEnv(None) => Ok(self.read_env()?),
            Action::GetEnv(Some(name)) => Ok(match value(&self.read_env()?, &name) {
                Some(value) => format!("{name}={value}\n"),
                None => format!("{name} not set.\n"),
            }),
            Action::SetEnv(name, value) => self.set_env(&name, &value),
            Action::UpdateMasquerade { only_with_target } => {
                self.update_masquerade(only_with_target)
            }
        }
    }

    fn hosts(&self) -> Result<String, Error> {
        let set = self
            .world
            .var("DISTCC_HOSTS")
            .filter(|list| !list.is_empty());
        if let Some(list) = set {
            return Ok(format!("{}\n", list.to_string_lossy()));
        }
        let own = self.own_hosts_file();
        for path in own.into_iter().chain([self.path(HOSTS_FILE)]) {
            match fs::read_to_string(&path) {
                Ok(text) if !text.trim().is_empty() => return Ok(format!("{}\n", text.trim_end())),
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::file("read", path)(error));
                }
                _ => {}
            }
        }
        Ok("no hosts are set; set them with --set-hosts\n".to_owned())
    }

    fn set_hosts(&self, hosts: &str) -> Result<String, Error> {
        let path = if self.may_change_system() {
            self.path(HOSTS_FILE)
        } else {
            let own = self.own_hosts_file();
            own.ok_or_else(|| Error::Arguments("HOME is not set".to_owned()))?
        };
        write(&path, &format!("{hosts}\n"))?;
        let list = stock::hosts::HostList::parse(hosts);
        let warnings = list
            .errors
            .iter()
            .map(|error| format!("warning: {error}\n"));
        Ok(warnings.collect())
    }

    fn set_env(&self, name: &str, value: &str) -> Result<String, Error> {
        self.demand_root("distcc-config --set-env")?;
        let path = self.path(ENV_FILE);
        write(&path, &with_value(&self.read_env()?, name, value))?;
        let env_update = Path::new(ENV_UPDATE);
        if self.is_real_root && env_update.exists() {
            let run = Command::new(env_update).status();
            run.map_err(Error::file("run", env_update))?;
        }
        Ok("existing shells see it after `source /etc/profile`\n".to_owned())
    }

    fn update_masquerade(&self, only_with_target: bool) -> Result<String, Error> {
        self.demand_root("distcc-config --update-masquerade")?;
        let bin = self.path("/usr/bin");
        let triples = compilers::triples_beside(&bin);
        let mut names: BTreeSet<String> = compilers::names_in(&bin);
        if only_with_target {
            names.retain(|name| {
                compilers::parse(name, &triples).is_some_and(|name| name.triple.is_some())
            });
        }
        let links = Links {
            dir: self.path(LINKS_DIR),
            target: DISTCC.into(),
            names,
        };
        let changes = links.update()?;
        Ok(changes.text(&links.dir))
    }

    fn demand_root(&self, what: &'static str) -> Result<(), Error> {
        if self.may_change_system() {
            Ok(())
        } else {
            Err(Error::NotRoot(what))
        }
    }

    fn may_change_system(&self) -> bool {
        !self.is_real_root || rustix::process::geteuid().is_root()
    }

    fn own_hosts_file(&self) -> Option<PathBuf> {
        Some(self.world.path_var("HOME")?.join(".distcc/hosts"))
    }

    fn read_env(&self) -> Result<String, Error> {
        let path = self.path(ENV_FILE);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            other => other.map_err(Error::file("read", path)),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        below(&self.root, Path::new(path))
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The value of a variable in an `env.d` file.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut values = text.lines().filter_map(|line| assigned(line, name));
    values.next_back()
}

/// The file with a variable set: in its place if it has one, else at the end.
fn with_value(text: &str, name: &str, value: &str) -> String {
    let assignment = format!("{name}=\"{value}\"");
    let mut found = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if assigned(line, name).is_none() {
            lines.push(line);
        } else if !found {
            lines.push(&assignment);
            found = true;
        }
    }
    if !found {
        lines.push(&assignment);
    }
    lines.join("\n") + "\n"
}

/// What a line gives a variable: `NAME="VALUE"`, quotes optional.
fn assigned<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let value = line.trim().strip_prefix(name)?.strip_prefix('=')?;
    let unquoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    Some(unquoted.unwrap_or(value))
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(Error::file("make", dir))?;
    }
    fs::write(path, text).map_err(Error::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symlinks::args;
    use std::os::unix::fs::PermissionsExt as _;

    fn perform(root: &Path, words: &[&str]) -> String {
        let mut world = World::default();
        world.set_var("HOME", root.join("home"));
        let machine = Machine {
            root: root.to_owned(),
            is_real_root: false,
            world: &world,
        };
        let action = Action::from_args(&args(words)).unwrap();
        machine.perform(action).unwrap()
    }

    #[test]
    fn hosts_are_set_and_shown() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        assert!(perform(root, &["--get-hosts"]).starts_with("no hosts are set"));
        assert_eq!(perform(root, &["--set-hosts", "box1/16 box2/8,lzo"]), "");
        assert_eq!(perform(root, &["--get-hosts"]), "box1/16 box2/8,lzo\n");
        assert_eq!(
            fs::read_to_string(root.join("etc/distcc/hosts")).unwrap(),
            "box1/16 box2/8,lzo\n"
        );
        let warning = perform(root, &["--set-hosts", "box1/0"]);
        assert!(warning.contains("`box1/0`"), "{warning}");
    }

    #[test]
    fn variables_keep_their_place_in_the_file() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        let file = root.join("etc/env.d/02distcc");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let before = "# distcc\nDISTCC_LOG=\"\"\nDISTCC_VERBOSE=\"0\"\n";
        fs::write(&file, before).unwrap();
        assert_eq!(perform(root, &["--get-verbose"]), "DISTCC_VERBOSE=0\n");
        perform(root, &["--set-verbose", "1"]);
        perform(root, &["--set-log", "/var/log/distcc"]);
        perform(root, &["--set-env", "DISTCC_HOSTS", "a b"]);
        let after = "# distcc\nDISTCC_LOG=\"/var/log/distcc\"\nDISTCC_VERBOSE=\"1\"\nDISTCC_HOSTS=\"a b\"\n";
        assert_eq!(perform(root, &["--get-env"]), after);
        assert_eq!(
            perform(root, &["--get-env", "DISTCC_HOSTS"]),
            "DISTCC_HOSTS=a b\n"
        );
        assert_eq!(
            perform(root, &["--get-env", "DISTCC_SSH"]),
            "DISTCC_SSH not set.\n"
        );
        assert_eq!(
            perform(root, &["--get-log"]),
            "DISTCC_LOG=/var/log/distcc\n"
        );
    }

    #[test]
    fn masquerade_links_can_be_limited_to_names_with_a_target() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        let bin = root.join("usr/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(root.join("usr/lib/gcc/armv7a-unknown-linux-gnueabihf/13")).unwrap();
        for name in ["gcc", "cc", "armv7a-unknown-linux-gnueabihf-gcc"] {
            fs::write(bin.join(name), "").unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        perform(root, &["--update-masquerade"]);
        let links = root.join("usr/lib/distcc");
        assert_eq!(fs::read_link(links.join("gcc")).unwrap(), Path::new(DISTCC));
        assert_eq!(fs::read_dir(&links).unwrap().count(), 4);
        let text = perform(root, &["--update-masquerade-with-crossdev"]);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(fs::symlink_metadata(links.join("gcc")).is_err());
        let kept = links.join("armv7a-unknown-linux-gnueabihf-gcc");
        assert!(fs::symlink_metadata(kept).is_ok());
    }

    #[test]
    fn arguments_are_checked() {
        let refused = |words: &[&str]| Action::from_args(&args(words)).unwrap_err();
        assert_eq!(refused(&[]), Refused::Usage);
        assert_eq!(refused(&["--help"]), Refused::Usage);
        for words in [
            &["--set-verbose", "yes"][..],
            &["--set-hosts"],
            &["--set-env", "A"],
            &["--set-env", "A B", "c"],
            &["--set-log", "a\"b"],
            &["--get-env", "a b"],
            &["--bogus"],
        ] {
            assert!(matches!(refused(words), Refused::Because(_)), "{words:?}");
        }
    }
}
