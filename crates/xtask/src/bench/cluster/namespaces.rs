//! Namespaces: made by a process that does nothing but keep them, so that they go with it, with all that is mounted and
//! all devices in them, however this program ends.

use std::ffi::OsStr;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};

/// The process that keeps namespaces, ended when dropped.
#[derive(Debug)]
pub(super) struct Keeper {
    child: Child,
}

impl Keeper {
    /// Makes namespaces of these kinds (options of `unshare`) and runs a script in them, which finds the words as `$1`
    /// and so on. Needs root.
    pub(super) fn start(kinds: &[&str], script: &str, words: &[&OsStr]) -> Result<Self, String> {
        let child = Command::new("unshare")
            .args(kinds)
            .args(["sh", "-c"])
            .arg(format!("{script} && echo && exec sleep infinity"))
            .arg("keeper")
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run unshare: {error}"))?;
        let mut keeper = Self { child };
        keeper.wait_until_made(kinds)?;
        Ok(keeper)
    }

    /// Everything has been made when the keeper speaks.
    fn wait_until_made(&mut self, kinds: &[&str]) -> Result<(), String> {
        let pipe = self.child.stdout.as_mut();
        if pipe.is_some_and(|pipe| pipe.read_exact(&mut [0]).is_ok()) {
            return Ok(());
        }
        let mut said = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            let _best_effort = pipe.read_to_string(&mut said);
        }
        Err(format!(
            "cannot make namespaces ({}): {}",
            kinds.join(" "),
            said.trim_end()
        ))
    }

    /// The process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The option of `nsenter` for its namespace of this kind: `net`, `mnt`.
    pub(super) fn option(&self, kind: &str) -> String {
        let name = if kind == "mnt" { "mount" } else { kind };
        format!("--{name}=/proc/{}/ns/{kind}", self.id())
    }

    /// Runs a script in its network.
    pub(super) fn run(&self, script: &str) -> Result<(), String> {
        let output = Command::new("nsenter")
            .arg(self.option("net"))
            .args(["sh", "-c", script])
            .output()
            .map_err(|error| format!("cannot run nsenter: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{script}: {}", said.trim_end()))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
