//! `distccmon-text` beside the build, its rounds shown as they come.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::process::{Child, Stdio};
use std::thread::JoinHandle;

use e2e::programs;
use e2e::workspace::Workspace;

/// Seconds between rounds.
const DELAY: &str = "2";

/// A running monitor.
#[derive(Debug)]
pub(super) struct Monitor {
    child: Child,
    printer: JoinHandle<()>,
}

impl Monitor {
    /// Starts it.
    pub(super) fn start(workspace: &Workspace) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("cannot start distccmon-text: {error}");
        let link = workspace.root().join("bin/distccmon-text");
        symlink(programs::farcc(), &link).map_err(failed)?;
        let mut command = workspace.command(link);
        command
            .arg(DELAY)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().map_err(failed)?;
        let pipe = child.stdout.take().ok_or("the monitor has no output")?;
        let printer = std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                println!("    {line}");
            }
        });
        Ok(Self { child, printer })
    }

    /// Ends it.
    pub(super) fn stop(mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
        let _printed = self.printer.join();
    }
}
