//! A directory for one test with everything that the environment of a build has.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::processes::{self, MARK_VARIABLE};
use crate::run::{Outcome, run};
use crate::{HANG_GUARD, agents, programs};

/// Variables of Cargo's and of the caller's settings that programs in a workspace keep.
const KEPT_VARIABLES: &[&str] = &["LLVM_PROFILE_FILE", "RUST_BACKTRACE"];

/// Where compilers and build tools are.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Time without work after which the agents of a workspace leave by themselves, should a test be
/// killed and not get to drain them.
const AGENT_IDLE_SECONDS: &str = "60";

/// A directory of its own, removed at the end: `src` to build in, `distcc` for `DISTCC_DIR`,
/// `home`, `tmp` and `bin`. At the end no process may be left; after a failure everything that
/// runs is killed and the directory is kept.
#[derive(Debug)]
pub struct Workspace {
    temp: Option<tempfile::TempDir>,
    root: PathBuf,
    mark: String,
    hosts: String,
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}

impl Workspace {
    /// A new, empty one.
    ///
    /// # Panics
    /// No directory can be made.
    #[must_use]
    pub fn new() -> Self {
        let temp = tempfile::Builder::new()
            .prefix("farcc-test-")
            .tempdir()
            .expect("a temporary directory can be made");
        let root = fs::canonicalize(temp.path()).expect("it was just made");
        // A server that gives up root must get in.
        open_to_all(&root, 0o755);
        for dir in ["src", "distcc", "home", "tmp", "bin"] {
            fs::create_dir(root.join(dir)).expect("a new directory is empty");
        }
        let mark = root
            .file_name()
            .expect("it has a name")
            .to_string_lossy()
            .into_owned();
        Self {
            temp: Some(temp),
            root,
            mark,
            hosts: "localhost".to_owned(),
        }
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path in `src`, the directory that commands run in.
    #[must_use]
    pub fn src(&self, path: &str) -> PathBuf {
        self.root.join("src").join(path)
    }

    /// `DISTCC_DIR` of the client.
    #[must_use]
    pub fn distcc_dir(&self) -> PathBuf {
        self.root.join("distcc")
    }

    /// `TMPDIR` of the client.
    #[must_use]
    pub fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// What marks this workspace's processes.
    #[must_use]
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// Sets `DISTCC_HOSTS` for the commands to come.
    pub fn set_hosts(&mut self, hosts: impl Into<String>) {
        self.hosts = hosts.into();
    }

    /// Writes a file in `src`, with the directories above it.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.src(path);
        fs::create_dir_all(path.parent().expect("it is in src")).expect("src can be written");
        fs::write(path, text).expect("src can be written");
    }

    /// Reads a file in `src`.
    ///
    /// # Panics
    /// It is not there.
    #[must_use]
    #[track_caller]
    pub fn read(&self, path: &str) -> Vec<u8> {
        let path = self.src(path);
        match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => panic!("cannot read {}: {error}", path.display()),
        }
    }

    /// Writes a program in `bin`, which comes first in `PATH`.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.root.join("bin").join(name);
        fs::write(&path, text).expect("bin can be written");
        open_to_all(&path, 0o755);
        path
    }

    /// Makes a directory of links named like compilers that lead to a client.
    ///
    /// # Panics
    /// It is there already.
    #[must_use]
    pub fn masquerade(&self, client: &Path, names: &[&str]) -> PathBuf {
        let dir = self.root.join("masquerade");
        fs::create_dir(&dir).expect("made once");
        for name in names {
            symlink(client, dir.join(name)).expect("a new directory is empty");
        }
        dir
    }

    /// `PATH` of the commands: `bin`, then the system's.
    #[must_use]
    pub fn path_var(&self) -> OsString {
        let mut path = self.root.join("bin").into_os_string();
        path.push(":");
        path.push(SYSTEM_PATH);
        path
    }

    /// A command in `src` with the environment of this workspace and nothing else.
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .current_dir(self.src(""))
            .env("PATH", self.path_var())
            .env("HOME", self.root.join("home"))
            .env("TMPDIR", self.tmp())
            .env("LC_ALL", "C")
            .env("DISTCC_DIR", self.distcc_dir())
            .env("DISTCC_HOSTS", &self.hosts)
            .env("FARCC_CACHE", "0")
            .env("FARCC_PROGRAM", programs::farcc())
            .env("FARCC_IDLE_SECONDS", AGENT_IDLE_SECONDS)
            .env(MARK_VARIABLE, &self.mark);
        for name in KEPT_VARIABLES {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    /// Runs a command line, split at blanks, in `src`.
    #[track_caller]
    pub fn run(&self, line: &str) -> Outcome {
        run(&mut self.line(line))
    }

    /// A command line, split at blanks.
    ///
    /// # Panics
    /// It is empty.
    #[must_use]
    pub fn line(&self, line: &str) -> Command {
        let mut words = line.split_whitespace();
        let mut command = self.command(words.next().expect("a command has a first word"));
        command.args(words);
        command
    }

    /// Runs our client with a compiler's command line.
    #[track_caller]
    pub fn distcc(&self, line: &str) -> Outcome {
        let mut command = self.command(programs::distcc());
        run(command.args(line.split_whitespace()))
    }

    /// The agents that run here.
    #[must_use]
    pub fn agents(&self) -> Vec<processes::Process> {
        let mut all = processes::marked(&self.mark);
        all.retain(|process| process.command.contains(" --listen-fd "));
        all
    }

    /// Asks the agents to leave and waits until they have.
    ///
    /// # Panics
    /// One stays.
    #[track_caller]
    pub fn drain_agents(&self) {
        let agents = self.agents();
        agents::ask_to_leave(&self.distcc_dir());
        for agent in agents {
            assert!(
                crate::run::wait_for_exit(agent.pid, HANG_GUARD),
                "an agent that was asked to leave stays: {agent:?}"
            );
        }
    }

    /// Keeps the directory, for a look at it after a failure.
    fn eject(&mut self) {
        processes::kill_marked(&self.mark);
        if let Some(temp) = self.temp.take() {
            eprint_kept(&temp.keep());
        }
    }
}

#[allow(
    clippy::print_stderr,
    reason = "tells where to look after a failed test"
)]
fn eprint_kept(dir: &Path) {
    eprintln!("the test's directory is kept: {}", dir.display());
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.eject();
            return;
        }
        self.drain_agents();
        let left = processes::wait_until_none(&self.mark, HANG_GUARD);
        if !left.is_empty() {
            self.eject();
            panic!("processes are left: {left:#?}");
        }
        let rest: Vec<_> = fs::read_dir(self.tmp())
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        assert!(rest.is_empty(), "temporary files are left: {rest:?}");
    }
}

/// Sets a mode whatever the umask is.
///
/// # Panics
/// The file is another's.
pub fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}
