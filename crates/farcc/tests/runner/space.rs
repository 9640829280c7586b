//! A place of its own for each test: a copy of farcc under its names, a stand-in for the shim,
//! an empty environment.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Says how it was called, then does nothing.
const SHIM: &str = "#!/bin/sh\necho \"shim called as ${0##*/}\"\n";

const NAMES: &[&str] = &[
    "distcc-config",
    "distccd",
    "distccmon-text",
    "lsdistcc",
    "pump",
    "update-distcc-symlinks",
];

pub(crate) struct Space(tempfile::TempDir);

impl Space {
    pub(crate) fn new() -> Self {
        let space = Self(tempfile::tempdir().unwrap());
        fs::create_dir(space.path("bin")).unwrap();
        fs::create_dir(space.path("home")).unwrap();
        fs::create_dir(space.path("distcc")).unwrap();
        let farcc = Path::new(env!("CARGO_BIN_EXE_farcc"));
        if fs::hard_link(farcc, space.path("bin/farcc")).is_err() {
            let copy = space.path("bin/farcc");
            let status = Command::new("cp").arg(farcc).arg(copy).status();
            assert!(status.unwrap().success());
        }
        for name in NAMES {
            symlink("farcc", space.path("bin").join(name)).unwrap();
        }
        space.script("bin/distcc", SHIM);
        space
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        fs::canonicalize(self.0.path()).unwrap().join(path)
    }

    /// Writes an executable file. In another process: a test that forks at the same time would
    /// inherit the file open for writing, and then it cannot be executed (`ETXTBSY`).
    pub(crate) fn script(&self, path: &str, text: &str) {
        let mut install = Command::new("install")
            .args(["-m", "755", "/dev/stdin"])
            .arg(self.path(path))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = install.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        assert!(install.wait().unwrap().success());
    }

    /// A program of this place, with nothing in its environment that could lead outside.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, program: &str, args: &[S]) -> Command {
        let mut command = Command::new(self.path("bin").join(program));
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.0.path())
            .env("DISTCC_DIR", self.path("distcc"))
            // An agent that a program starts leaves with it.
            .env("FARCC_IDLE_SECONDS", "0")
            .current_dir(self.0.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Answer {
        Answer::of(&mut self.command(program, args))
    }
}

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]

pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    pub(crate) fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
