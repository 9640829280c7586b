//! The life of a compile on the client's side.
//!
//! One agent serves one user: shims send it their compiles, it finds a host for each, has the shim preprocess, sends the
//! text in distcc's protocol, and hands the outputs back as open files; or it tells the shim to compile by itself. The
//! story of one compile is told in `job`; everything else is what that story needs, in the order in which it needs it.
//!
//! The agent runs on one thread. Only what may take long without waiting for a file descriptor (name resolution,
//! compression of large texts) runs on others. It never writes to standard output or error: it outlives the build that
//! started it.

#![forbid(unsafe_code)]

mod serve;

mod inquiry;
mod job;
mod native;

mod settings;

mod host_lists;

mod plan;

mod compilers;

mod dispatch;

mod distribute;

mod seat;

mod connect;

mod costs;

mod socks;

mod exchange;

mod failure;

mod judge;

mod debug_names;

mod answer;

pub mod scanning;

pub mod toolchain;

mod comments;
mod events;
mod explain;
mod history;
mod last_failure;
mod notices;
mod offer;
mod refusals;
mod shim;
mod side_log;
mod slot_locks;
mod state_files;
mod terminal;
mod why;

pub use last_failure::last_failure_name;
pub use native::CacheSettings;

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an agent without work stays, unless told otherwise.
pub const IDLE_DEFAULT: Duration = Duration::from_secs(600);

/// Most threads for work that would hold up the event loop.
const BLOCKING_THREADS_MAX: usize = 16;

/// Mode bit of what a group may write (stat(2), `S_IWGRP`), and that of everybody (`S_IWOTH`).
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// What an agent is told when it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// The directory that holds the socket.
    pub dir: PathBuf,
    /// The socket's file name in that directory.
    pub socket_name: String,
    /// How long to stay without work.
    pub idle: Duration,
    /// The host list of users who have none: `/etc/distcc/hosts`.
    pub system_hosts: PathBuf,
    /// Where to log what happens, if anywhere.
    pub log_path: Option<PathBuf>,
    /// Where results are kept; `None`: nowhere.
    pub cache: Option<CacheSettings>,
}

/// Serves shims until nobody needs the agent any more: no work for [`Config::idle`], told to drain, `SIGTERM`, or the
/// socket's file gone.
///
/// # Errors
/// The event loop could not be set up.
pub fn run(listener: UnixListener, config: Config) -> io::Result<()> {
    share_with_group(&config.dir);
    // Several for each job; the usual 1024 are soon gone. With fewer, jobs that find none left run locally.
    sys::open_files::raise_limit().unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    let served = local.block_on(&runtime, serve::serve(listener, config));
    drop(local);
    // A name server that does not answer must not keep the agent.
    runtime.shutdown_background();
    served
}

/// Files in a directory that a group may write in are for that group: Portage builds as root and as `portage` in one
/// directory at the same time, and a slot counts for both only if both can open its file for writing.
fn share_with_group(dir: &Path) {
    let Ok(meta) = std::fs::metadata(dir) else {
        return;
    };
    if meta.mode() & GROUP_WRITES != 0 {
        sys::daemon::set_umask(OTHERS_WRITE);
    }
}
