//! Unix sockets at paths of any length, and who is at the other end.
//!
//! A socket address holds 108 bytes of path, too few for build directories deep in a tree. The
//! directory is opened first and the address goes through `/proc/self/fd`.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Longest path that goes into a socket address as it is.
const PATH_BYTES_MAX: usize = 100;

/// Connections that may wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Connects to the socket `name` in `dir`.
///
/// # Errors
/// What the kernel says: `NotFound` without such a file, `ConnectionRefused` if nobody listens.
pub fn connect(dir: &Path, name: &str) -> io::Result<UnixStream> {
    with_short_path(dir, name, |path| UnixStream::connect(path))
}

/// Creates the socket `name` in `dir` and listens on it.
///
/// # Errors
/// What the kernel says: `AddrInUse` if a file of this name exists.
pub fn listen(dir: &Path, name: &str) -> io::Result<UnixListener> {
    let listener = with_short_path(dir, name, |path| UnixListener::bind(path))?;
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener)
}

/// Makes a socket on which another process listens this process's: from now on those who connect
/// are told that this process is at the other end (unix(7), `SO_PEERCRED`).
///
/// # Errors
/// The descriptor is no listening socket.
pub fn take_over(socket: impl AsFd) -> io::Result<()> {
    Ok(rustix::net::listen(socket, BACKLOG)?)
}

/// The user id of the process that connected, or that called `listen`, as the kernel noted it.
///
/// # Errors
/// The descriptor is no Unix socket.
pub fn peer_uid(socket: impl AsFd) -> io::Result<u32> {
    Ok(rustix::net::sockopt::socket_peercred(socket)?.uid.as_raw())
}

fn with_short_path<T>(
    dir: &Path,
    name: &str,
    run: impl FnOnce(&Path) -> io::Result<T>,
) -> io::Result<T> {
    let path = dir.join(name);
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return run(&path);
    }
    let dir = File::open(dir)?;
    run(&PathBuf::from(format!(
        "/proc/self/fd/{}/{name}",
        dir.as_raw_fd()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_directories_work_and_the_peer_is_known() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("d".repeat(120));
        std::fs::create_dir(&dir).unwrap();
        let listener = listen(&dir, "s.sock").unwrap();
        let stream = connect(&dir, "s.sock").unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let uid = rustix::process::getuid().as_raw();
        assert_eq!(peer_uid(&stream).unwrap(), uid);
        assert_eq!(peer_uid(&accepted).unwrap(), uid);
    }
}
