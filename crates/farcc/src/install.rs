//! `farcc util install`: programs, links, manual, completions and service files below a prefix.
//!
//! What goes where is data; the service files are part of this program, with `@BINDIR@` standing
//! for the directory of programs. Configuration that is already there is left as it is.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::{self, Cli};
use crate::error::Error;
use crate::exit::Exit;
use crate::symlinks::{LINK_TARGET, Links, below, compilers_of};
use crate::{manual, report};

/// The two programs; everything else is a link.
const PROGRAMS: &[&str] = &["distcc", "farcc"];

/// Links below the prefix, and what they contain.
const LINKS: &[(&str, &str)] = &[
    ("bin/distcc-config", "farcc"),
    ("bin/distcc-pump", "farcc"),
    ("bin/distccd", "farcc"),
    ("bin/distccmon-text", "farcc"),
    ("bin/lsdistcc", "farcc"),
    ("bin/pump", "farcc"),
    ("sbin/update-distcc-symlinks", "../bin/farcc"),
];

/// A file that this program carries.
struct Carried {
    /// Below the prefix, or below the directory of configuration.
    place: Place,
    text: &'static str,
    mode: u32,
}

enum Place {
    Prefix(&'static str),
    /// Never overwritten.
    Configuration(&'static str),
}

const DATA_MODE: u32 = 0o644;
const PROGRAM_MODE: u32 = 0o755;

const CARRIED: &[Carried] = &[
    Carried {
        place: Place::Prefix("lib/systemd/system/distccd.service"),
        text: include_str!("../../../packaging/systemd/distccd.service"),
        mode: DATA_MODE,
    },
    Carried {
        place: Place::Prefix("lib/systemd/system/distccd.socket"),
        text: include_str!("../../../packaging/systemd/distccd.socket"),
        mode: DATA_MODE,
    },
    Carried {
        place: Place::Prefix("lib/sysusers.d/distcc.conf"),
        text: include_str!("../../../packaging/sysusers/distcc.conf"),
        mode: DATA_MODE,
    },
    Carried {
        place: Place::Configuration("default/distccd"),
        text: include_str!("../../../packaging/default/distccd"),
        mode: DATA_MODE,
    },
    Carried {
        place: Place::Configuration("conf.d/distccd"),
        text: include_str!("../../../packaging/openrc/distccd.confd"),
        mode: DATA_MODE,
    },
    Carried {
        place: Place::Configuration("init.d/distccd"),
        text: include_str!("../../../packaging/openrc/distccd.initd"),
        mode: PROGRAM_MODE,
    },
];

/// Where each shell looks for completions.
const COMPLETIONS: &[(Shell, &str)] = &[
    (Shell::Bash, "share/bash-completion/completions/farcc"),
    (Shell::Fish, "share/fish/vendor_completions.d/farcc.fish"),
    (Shell::Zsh, "share/zsh/site-functions/_farcc"),
];

/// Installs, and prints the path of everything that was put in place.
///
/// # Errors
/// A file cannot be read or written.
pub(crate) fn run(options: &cli::Install) -> Result<Exit, Error> {
    let own = std::env::current_exe().map_err(|source| Error::System {
        action: "find the farcc program",
        source,
    })?;
    let programs = own.parent().unwrap_or(Path::new("/"));
    let installed = install(options, programs)?;
    let lines = installed.iter().map(|path| format!("{}\n", path.display()));
    report::print(&lines.collect::<String>())?;
    Ok(Exit::Success)
}

/// Installs the programs of a directory; returns what was put in place.
pub(crate) fn install(options: &cli::Install, programs: &Path) -> Result<Vec<PathBuf>, Error> {
    let target = Target {
        root: options.destdir.clone().unwrap_or_else(|| "/".into()),
        prefix: &options.prefix,
        sysconfdir: &options.sysconfdir,
    };
    let mut installed = Vec::new();
    for name in PROGRAMS {
        let path = target.in_prefix(&format!("bin/{name}"));
        let source = programs.join(name);
        let bytes = fs::read(&source).map_err(Error::file("read", &source))?;
        put(&path, &bytes, PROGRAM_MODE)?;
        installed.push(path);
    }
    for (name, content) in LINKS {
        let path = target.in_prefix(name);
        link(&path, content)?;
        installed.push(path);
    }
    for file in CARRIED {
        installed.extend(target.put_carried(file)?);
    }
    for (name, page) in manual::pages() {
        let path = target.in_prefix(&format!("share/man/man1/{name}"));
        put(&path, page.as_bytes(), DATA_MODE)?;
        installed.push(path);
    }
    for (shell, name) in COMPLETIONS {
        let path = target.in_prefix(name);
        put(&path, completions(*shell).as_bytes(), DATA_MODE)?;
        installed.push(path);
    }
    let links = Links {
        dir: target.in_prefix("lib/distcc"),
        target: LINK_TARGET.into(),
        names: compilers_of(Path::new("/"), &options.prefix),
    };
    links.update()?;
    installed.push(links.dir);
    Ok(installed)
}

/// A shell's completions for farcc.
pub(crate) fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "farcc", &mut text);
    String::from_utf8(text).expect("clap_complete writes UTF-8")
}

struct Target<'a> {
    root: PathBuf,
    prefix: &'a Path,
    sysconfdir: &'a Path,
}

impl Target<'_> {
    fn in_prefix(&self, path: &str) -> PathBuf {
        below(&self.root, &self.prefix.join(path))
    }

    fn put_carried(&self, file: &Carried) -> Result<Option<PathBuf>, Error> {
        let path = match file.place {
            Place::Prefix(path) => self.in_prefix(path),
            Place::Configuration(path) => {
                let path = below(&self.root, &self.sysconfdir.join(path));
                if path.exists() {
                    return Ok(None);
                }
                path
            }
        };
        let bindir = self.prefix.join("bin");
        let text = file.text.replace("@BINDIR@", &bindir.to_string_lossy());
        put(&path, text.as_bytes(), file.mode)?;
        Ok(Some(path))
    }
}

/// Puts a file in place of whatever is there, also of a program that runs.
fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let dir = parent(path)?;
    let fresh = tempfile::NamedTempFile::new_in(dir).map_err(Error::file("write", dir))?;
    fs::write(fresh.path(), bytes).map_err(Error::file("write", fresh.path()))?;
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(fresh.path(), permissions).map_err(Error::file("write", path))?;
    let persisted = fresh.persist(path).map_err(|error| error.error);
    persisted.map_err(Error::file("write", path))?;
    Ok(())
}

fn link(path: &Path, content: &str) -> Result<(), Error> {
    parent(path)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::file("remove", path)(error));
        }
        _ => {}
    }
    symlink(content, path).map_err(Error::file("make", path))
}

/// Makes the directory of a file.
fn parent(path: &Path) -> Result<&Path, Error> {
    let dir = path.parent().expect("installed paths have directories");
    fs::create_dir_all(dir).map_err(Error::file("make", dir))?;
    Ok(dir)
}
