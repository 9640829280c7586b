//! Runs a program on a terminal of its own.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

/// Runs a command with standard input and standard error on a terminal of this width, and returns what it showed.
///
/// # Panics
/// There is no terminal, or the command cannot be started.
#[must_use]
pub fn run_on_terminal(mut command: Command, columns: u16) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("the system has terminals");
    grantpt(&master).expect("it is ours");
    unlockpt(&master).expect("it is ours");
    let name = ptsname(&master, Vec::new()).expect("it has a name");
    let name = name.into_string().expect("it is a plain name");
    let open = || {
        File::options()
            .read(true)
            .write(true)
            .open(&name)
            .expect("it is ours")
    };
    let slave = open();
    let mut modes = tcgetattr(&slave).expect("it is a terminal");
    modes.output_modes.remove(OutputModes::OPOST);
    tcsetattr(&slave, OptionalActions::Now, &modes).expect("it is a terminal");
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&slave, size).expect("it is a terminal");
    let mut child = command
        .stdin(Stdio::from(OwnedFd::from(open())))
        .stdout(Stdio::null())
        .stderr(Stdio::from(OwnedFd::from(slave)))
        .spawn()
        .expect("it can be started");
    // It holds the other ends too.
    drop(command);
    let mut shown = Vec::new();
    // The terminal's end is an error.
    let _end = File::from(master).read_to_end(&mut shown);
    child.wait().expect("a child can be waited for");
    String::from_utf8_lossy(&shown).into_owned()
}
