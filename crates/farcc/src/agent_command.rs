//! `farcc agent`: crate `agent` in a process of its own, found by shims through its socket.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use crate::agent_socket::AgentSocket;
use crate::cli;
use crate::error::Error;
use crate::exit::Exit;
use crate::hosts::SYSTEM_LIST;
use crate::world::World;

/// Serves this user's compiles until nobody needs the agent any more.
///
/// # Errors
/// There is no socket to listen on, or the system refuses an event loop.
pub(crate) fn run(world: &World, options: &cli::Agent) -> Result<Exit, Error> {
    sys::keep_memory_for_bursts();
    let socket = options.socket.as_deref().and_then(AgentSocket::at);
    let socket = match socket {
        Some(socket) => socket,
        None => AgentSocket::new(world)?,
    };
    let listener = match options.listen_fd {
        Some(number) => inherited(number)?,
        None => socket.listen()?.ok_or(Error::AgentRuns)?,
    };
    let cache = agent::CacheSettings::read(&socket.dir, |name| {
        world.var(name).map(std::ffi::OsStr::to_owned)
    });
    let config = agent::Config {
        dir: socket.dir,
        socket_name: socket.name,
        idle: idle(world),
        system_hosts: SYSTEM_LIST.into(),
        log_path: world.path_var("FARCC_AGENT_LOG"),
        cache,
    };
    agent::run(listener, config).map_err(|source| Error::System {
        action: "run the agent",
        source,
    })?;
    Ok(Exit::Success)
}

/// The socket that the parent process opened.
fn inherited(number: i32) -> Result<UnixListener, Error> {
    let file = sys::exec::take_inherited(number).ok_or(Error::NoSocket(number))?;
    let fd = OwnedFd::from(file);
    sys::socket::take_over(&fd).map_err(|_| Error::NoSocket(number))?;
    Ok(UnixListener::from(fd))
}

/// How long to stay without work: `FARCC_IDLE_SECONDS`, else the agent's own rule.
fn idle(world: &World) -> Duration {
    let seconds = world.var("FARCC_IDLE_SECONDS");
    let seconds = seconds.and_then(|text| text.to_str()?.parse().ok());
    seconds.map_or(agent::IDLE_DEFAULT, Duration::from_secs)
}
