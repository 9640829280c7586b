//! The agents of a workspace: finding them, asking them to leave.

use std::io::Write;
use std::path::{Path, PathBuf};

use wire::{ToAgent, frame};

/// Sockets of agents in a `DISTCC_DIR`.
#[must_use]
pub fn sockets(distcc_dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(distcc_dir) else {
        return Vec::new();
    };
    let mut sockets: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "sock"))
        .collect();
    sockets.sort();
    sockets
}

/// Asks every agent to finish its jobs and leave.
pub fn ask_to_leave(distcc_dir: &Path) {
    for socket in sockets(distcc_dir) {
        let Some((dir, name)) = socket.parent().zip(socket.file_name()) else {
            continue;
        };
        // Nobody listens where an agent was killed, and an agent may be leaving at this moment.
        if let Ok(mut stream) = sys::socket::connect(dir, &name.to_string_lossy()) {
            let _it_left_already = stream.write_all(&frame::encode(&ToAgent::Drain.to_payload()));
        }
    }
}
