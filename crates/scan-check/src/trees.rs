//! The source trees that the scanner is held against, and how each becomes a compilation database.
//!
//! A row of [`TREES`] says which packages of Debian a tree needs and which script builds as much of it as its generated
//! headers need. What a build compiles is told by CMake or recorded by [`crate::record`]. Everything is made below one
//! directory and kept there: sources, databases, and the compiler's answers.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::record;

/// Versions of a source package that are tried.
const VERSIONS_MAX: usize = 5;

/// A source tree.
#[derive(Debug, Clone, Copy)]
pub struct Tree {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Source package, unless the tree is only headers that are installed.
    pub source: Option<&'static str>,
    /// Packages that must be installed.
    pub needs: &'static [&'static str],
    /// Makes the tree, in an empty directory of its own, with `SOURCE` for the unpacked source package.
    script: &'static str,
}

macro_rules! script {
    ($name:literal) => {
        include_str!(concat!("trees/", $name, ".sh"))
    };
}

/// All trees, the largest last.
pub const TREES: &[Tree] = &[
    Tree {
        name: "boost",
        source: None,
        needs: &["libboost-dev"],
        script: script!("boost"),
    },
    Tree {
        name: "fmtlib",
        source: Some("fmtlib"),
        needs: &["cmake"],
        script: script!("fmtlib"),
    },
    Tree {
        name: "qt",
        source: None,
        needs: &["qtbase5-dev", "pkg-config"],
        script: script!("qt"),
    },
    Tree {
        name: "redis",
        source: Some("redis"),
        needs: &["liblzf-dev"],
        script: script!("redis"),
    },
    Tree {
        name: "rocksdb",
        source: Some("rocksdb"),
        needs: &["cmake", "libgflags-dev"],
        script: script!("rocksdb"),
    },
    Tree {
        name: "sqlite3",
        source: Some("sqlite3"),
        needs: &["tcl-dev"],
        script: script!("sqlite3"),
    },
    Tree {
        name: "zstd",
        source: Some("libzstd"),
        needs: &[],
        script: script!("zstd"),
    },
    Tree {
        name: "linux",
        source: Some("linux"),
        needs: &["bc", "bison", "flex", "libelf-dev", "libssl-dev"],
        script: script!("linux"),
    },
];

/// Where trees are made.
#[derive(Debug, Clone)]
pub struct Place {
    dir: PathBuf,
}

impl Place {
    /// Makes the directory.
    ///
    /// # Errors
    /// When that fails.
    pub fn new(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let dir = fs::canonicalize(dir)?;
        Ok(Self { dir })
    }

    /// Where the compiler's answers for a tree are kept.
    #[must_use]
    pub fn answers(&self, tree: &Tree) -> PathBuf {
        self.dir.join("answers").join(tree.name)
    }

    /// The compilation database of a tree; the tree is made if it is not there yet.
    ///
    /// # Errors
    /// What could not be fetched, installed or built.
    pub fn database(&self, tree: &Tree) -> io::Result<PathBuf> {
        let home = self.dir.join("trees").join(tree.name);
        let database = home.join("compile_commands.json");
        if database.exists() {
            return Ok(database);
        }
        let missing: Vec<&str> = tree
            .needs
            .iter()
            .copied()
            .filter(|it| !installed(it))
            .collect();
        if !missing.is_empty() {
            return Err(io::Error::other(format!(
                "{} needs packages: apt-get install {}",
                tree.name,
                missing.join(" ")
            )));
        }
        let source = match tree.source {
            Some(package) => self.source(package)?,
            None => PathBuf::new(),
        };
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        fs::create_dir_all(&home)?;
        self.make(tree, &home, &source)?;
        let log = home.join("log");
        if !database.exists() {
            record::database(&log, &database)?;
        }
        Ok(database)
    }

    fn make(&self, tree: &Tree, home: &Path, source: &Path) -> io::Result<()> {
        let output = fs::File::create(home.join("output"))?;
        let status = Command::new("bash")
            .args(["-eu", "-o", "pipefail", "-c", tree.script])
            .current_dir(home)
            .env("SOURCE", source)
            .env("PATH", self.path_of_recorders()?)
            .env(record::LOG, home.join("log"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .status()?;
        if !status.success() {
            let output = home.join("output").display().to_string();
            return Err(io::Error::other(format!(
                "{} was not made, see {output}",
                tree.name
            )));
        }
        Ok(())
    }

    /// `PATH` with this program as every compiler.
    fn path_of_recorders(&self) -> io::Result<OsString> {
        let bin = self.dir.join("bin");
        fs::create_dir_all(&bin)?;
        let own = env::current_exe()?;
        for name in record::COMPILERS {
            let link = bin.join(name);
            if fs::symlink_metadata(&link).is_ok() {
                fs::remove_file(&link)?;
            }
            symlink(&own, link)?;
        }
        let path = env::var_os("PATH").unwrap_or_default();
        env::join_paths(std::iter::once(bin).chain(env::split_paths(&path)))
            .map_err(io::Error::other)
    }

    /// The unpacked source of a package, fetched if it is not there yet.
    fn source(&self, package: &str) -> io::Result<PathBuf> {
        if let Some(dir) = self.unpacked(package)? {
            return Ok(dir);
        }
        self.fetch(package)?;
        self.unpacked(package)?.ok_or_else(|| {
            io::Error::other(format!(
                "{package} did not unpack in {}",
                self.dir.display()
            ))
        })
    }

    fn unpacked(&self, package: &str) -> io::Result<Option<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let version = name
                .strip_prefix(package)
                .and_then(|rest| rest.strip_prefix('-'));
            if version.is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit()))
                && path.is_dir()
            {
                found.push(path);
            }
        }
        found.sort();
        Ok(found.pop())
    }

    /// `apt-get source`, with the machine's own list of archives asked for sources and nothing else changed.
    fn fetch(&self, package: &str) -> io::Result<()> {
        let apt = self.dir.join("apt");
        for dir in ["parts", "lists/partial"] {
            fs::create_dir_all(apt.join(dir))?;
        }
        let list = fs::read_to_string("/etc/apt/sources.list.d/debian.sources")?;
        let list = list.lines().map(|line| match line.strip_prefix("Types:") {
            Some(_) => "Types: deb-src\n".to_owned(),
            None => format!("{line}\n"),
        });
        fs::write(apt.join("parts/source.sources"), list.collect::<String>())?;
        let is_new = fs::read_dir(apt.join("lists"))?.count() <= 1;
        if is_new {
            self.apt(&["update"])?;
        }
        // An archive may list a version that it has no longer: an older one does as well.
        let mut outcome = Ok(());
        for version in self.versions(package)?.iter().rev().take(VERSIONS_MAX) {
            outcome = self.apt(&["source", "--only-source", &format!("{package}={version}")]);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// Versions that the archives list, the newest last.
    fn versions(&self, package: &str) -> io::Result<Vec<String>> {
        let output = self
            .apt_command("apt-cache")
            .args(["showsrc", package])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let versions = text
            .lines()
            .filter_map(|line| line.strip_prefix("Version: "));
        let mut versions: Vec<String> = versions.map(str::to_owned).collect();
        versions.dedup();
        Ok(versions)
    }

    fn apt(&self, words: &[&str]) -> io::Result<()> {
        let status = self
            .apt_command("apt-get")
            .args(words)
            .stdout(io::stderr())
            .status()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!(
                "apt-get {}: {status}",
                words.join(" ")
            )))
        }
    }
}

impl Place {
    /// A program of apt that sees the archives of this directory.
    fn apt_command(&self, program: &str) -> Command {
        let apt = self.dir.join("apt");
        let at = |name: &str, path: &str| format!("{name}={}", apt.join(path).display());
        let mut command = Command::new(program);
        command
            .args(["-q", "-o", "Dir::Etc::SourceList=/dev/null"])
            .args(["-o", &at("Dir::Etc::SourceParts", "parts")])
            .args(["-o", &at("Dir::State::Lists", "lists")])
            .args(["-o", "APT::Sandbox::User="])
            .current_dir(&self.dir)
            .stdin(Stdio::null());
        command
    }
}

fn installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| output.stdout.starts_with(b"installed"))
}
