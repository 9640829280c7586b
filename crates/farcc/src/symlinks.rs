//! `update-distcc-symlinks`: the links in `PREFIX/lib/distcc`, one for each compiler on this
//! machine. The directory is put first in `PATH` by clients, and says which compilers `distccd`
//! may run.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::compilers;
use crate::error::Error;
use crate::exit::Exit;
use crate::report;
use crate::world::World;

/// What a link contains: the client, seen from the links' directory.
pub(crate) const LINK_TARGET: &str = "../../bin/distcc";

/// Where Gentoo's Portage looks first: a link to the directory itself.
const BIN_LINK: &str = "bin";

const USAGE: &str = "\
usage: update-distcc-symlinks [-v|--verbose] [PREFIX]

Makes links to PREFIX/bin/distcc in PREFIX/lib/distcc, one for each C and C++
compiler in PREFIX/bin and /usr/bin, and removes links whose compiler has gone.
PREFIX is where this program is installed [/usr]; the variable PREFIX works too.
";

/// A directory of links and what belongs into it.
#[derive(Debug)]
pub(crate) struct Links {
    /// The directory: `PREFIX/lib/distcc`.
    pub(crate) dir: PathBuf,
    /// What each link contains.
    pub(crate) target: PathBuf,
    /// Names that shall be there.
    pub(crate) names: BTreeSet<String>,
}

/// What an update did, in the order of names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) made: Vec<String>,
    pub(crate) removed: Vec<String>,
}

impl Links {
    /// Makes the directory hold exactly these links. Files that are no links, and links that lead
    /// to other programs than a distcc, are somebody else's and stay.
    pub(crate) fn update(&self) -> Result<Changes, Error> {
        let dir = &self.dir;
        fs::create_dir_all(dir).map_err(Error::file("make", dir))?;
        let mut changes = Changes::default();
        let entries = fs::read_dir(dir).map_err(Error::file("read", dir))?;
        let mut present = BTreeSet::new();
        for entry in entries {
            let entry = entry.map_err(Error::file("read", dir))?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let path = dir.join(&name);
            let is_wanted = self.names.contains(&name);
            match fs::read_link(&path) {
                Ok(target) if is_wanted && target == self.target => {
                    present.insert(name);
                }
                Ok(target) if target.ends_with("distcc") => {
                    fs::remove_file(&path).map_err(Error::file("remove", &path))?;
                    if !is_wanted {
                        changes.removed.push(name);
                    }
                }
                _ => {
                    present.insert(name);
                }
            }
        }
        for name in self.names.difference(&present) {
            let path = dir.join(name);
            symlink(&self.target, &path).map_err(Error::file("make", &path))?;
            changes.made.push(name.clone());
        }
        changes.removed.sort();
        self.link_bin()?;
        Ok(changes)
    }

    fn link_bin(&self) -> Result<(), Error> {
        let path = self.dir.join(BIN_LINK);
        match symlink(".", &path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(Error::file("make", path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// The compilers of a machine: those in `PREFIX/bin` and `/usr/bin`, below `root`.
pub(crate) fn compilers_of(root: &Path, prefix: &Path) -> BTreeSet<String> {
    let mut names = compilers::names_in(&below(root, &prefix.join("bin")));
    names.extend(compilers::names_in(&below(root, Path::new("/usr/bin"))));
    names
}

/// An absolute path inside another tree.
pub(crate) fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Runs `update-distcc-symlinks`.
///
/// # Errors
/// The links cannot be changed.
pub(crate) fn run(world: &World) -> Result<Exit, Error> {
    let mut verbose = false;
    let mut prefix = world.path_var("PREFIX");
    for arg in &world.args {
        match arg.to_str() {
            Some("-v" | "--verbose") => verbose = true,
            Some("-h" | "--help") => {
                report::print(USAGE)?;
                return Ok(Exit::Success);
            }
            Some(option) if option.starts_with('-') => {
                report::eprint(USAGE);
                let text = format!("unknown option `{option}`");
                return Err(Error::Arguments(text));
            }
            _ => prefix = Some(PathBuf::from(arg)),
        }
    }
    let prefix = match prefix {
        Some(prefix) => absolute(&prefix)?,
        None => own_prefix(),
    };
    let links = Links {
        dir: prefix.join("lib/distcc"),
        target: LINK_TARGET.into(),
        names: compilers_of(Path::new("/"), &prefix),
    };
    let changes = links.update()?;
    if verbose {
        report::print(&changes.text(&links.dir))?;
    }
    Ok(Exit::Success)
}

impl Changes {
    pub(crate) fn text(&self, dir: &Path) -> String {
        let line = |verb: &str, name: &String| format!("{verb} {}\n", dir.join(name).display());
        let removed = self.removed.iter().map(|name| line("Removing", name));
        let made = self.made.iter().map(|name| line("Making", name));
        removed.chain(made).collect()
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(Error::file("find", path))
}

/// `/usr` for a program in `/usr/bin` or `/usr/sbin`.
fn own_prefix() -> PathBuf {
    let program = std::env::current_exe().ok();
    let prefix = program.as_deref().and_then(|path| path.parent()?.parent());
    prefix.unwrap_or(Path::new("/usr")).to_owned()
}

/// Names as a program's arguments, for tests of the programs here.
#[cfg(test)]
pub(crate) fn args(words: &[&str]) -> Vec<std::ffi::OsString> {
    words.iter().map(std::ffi::OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(dir: &Path, names: &[&str]) -> Links {
        Links {
            dir: dir.to_owned(),
            target: LINK_TARGET.into(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn links_follow_the_compilers() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("lib/distcc");
        let changes = links(&dir, &["cc", "gcc-11"]).update().unwrap();
        assert_eq!(changes.made, ["cc", "gcc-11"]);
        let changes = links(&dir, &["cc", "gcc-12"]).update().unwrap();
        assert_eq!(
            (changes.made, changes.removed),
            (vec!["gcc-12".to_owned()], vec!["gcc-11".to_owned()])
        );
        assert_eq!(
            fs::read_link(dir.join("cc")).unwrap(),
            Path::new(LINK_TARGET)
        );
        assert_eq!(fs::read_link(dir.join("bin")).unwrap(), Path::new("."));
        assert_eq!(
            links(&dir, &["cc", "gcc-12"]).update().unwrap(),
            Changes::default()
        );
    }

    #[test]
    fn links_of_another_distcc_are_taken_over_and_other_files_stay() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        symlink("/opt/old/bin/distcc", dir.join("cc")).unwrap();
        symlink("/usr/bin/ccache", dir.join("gcc")).unwrap();
        fs::write(dir.join("clang"), "#!/bin/sh\n").unwrap();
        let changes = links(dir, &["cc", "gcc", "clang"]).update().unwrap();
        assert_eq!(changes.made, ["cc"]);
        assert_eq!(
            fs::read_link(dir.join("cc")).unwrap(),
            Path::new(LINK_TARGET)
        );
        assert_eq!(
            fs::read_link(dir.join("gcc")).unwrap(),
            Path::new("/usr/bin/ccache")
        );
    }
}
