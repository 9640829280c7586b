//! Runs commands so that they see and reach nothing but what they are given.
//!
//! Problem: a compile server runs compilers, which are large programs that read whatever file
//! their input names, on input of people it does not know. Approach: three kinds of process.
//!
//! ```text
//! server ── one at start ──> spawner ── one per job ──> init ──> the command and its children
//!            control socket            job's socket
//! ```
//!
//! - The *spawner* is forked while the server is small and has one thread. It owns a user
//!   namespace, so that no privilege is needed, and a mount namespace with the template of all
//!   jobs' roots (`root`). It is the first process of a PID namespace, so with it, which dies
//!   with the server, every job dies.
//! - Each job's *init* is forked from it into new user, mount, PID, network and IPC namespaces,
//!   enters the job's root, gives up all privileges, and only then creates the files that the
//!   client sent: there is nothing it could escape to by a name or a link. It runs the command,
//!   collects its end and its outputs as open files, and sends these to the server. As the first
//!   process of the PID namespace it takes all of the job with it when it is killed.
//! - The server holds the job's socket and a descriptor of init's process, both fit for `epoll`.
//!
//! With [`Isolation::None`] the same processes do the same without any namespace: the job's files
//! lie in a directory of the server's, and what protects the machine is only that the job runs
//! with the server's rights and in a process group of its own.
//!
//! What this does not know: compilers, protocols, who asked, and how long a job may take: whoever
//! asked kills it then.

mod copy;
mod filter;
mod groups;
mod init;
mod input_root;
mod job;
mod memory;
mod message;
mod mounts;
mod networks;
mod output;
mod places;
mod privileges;
mod root;
mod seats;
mod spawner;
mod spec;
mod template;

use std::fmt::Display;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::PathBuf;

pub use groups::take_control_group;
pub use job::{JobEvent, Outcome, RunningJob};
pub use output::{Output, OutputDirectory, WalkLimits};
pub use spawner::{Config, Isolation, Spawner};
pub use spec::{
    InputRoot, JobLimits, JobRoot, JobSpec, MountedAt, OUTPUTS_MAX, PATH_DEFAULT, Place,
    SharedTree, Writable,
};
#[cfg(feature = "stand-in")]
pub use template::STAND_IN_DIR;
pub use template::server_directory;

/// Says in an error what was being done.
fn step<T, E: Into<io::Error>>(what: impl Display, result: Result<T, E>) -> io::Result<T> {
    result.map_err(|error| {
        let error: io::Error = error.into();
        io::Error::new(error.kind(), format!("cannot {what}: {error}"))
    })
}

/// The path that a directory has for this process, as the kernel tells it.
fn path_of(fd: BorrowedFd<'_>) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}
