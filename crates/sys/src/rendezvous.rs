//! How shim and agent find each other without waiting, polling or racing.
//!
//! Whoever finds no agent creates the listening socket itself, under a lock, and hands it to the
//! agent that it starts. From then on everybody can connect; the kernel keeps their connections
//! until the agent accepts. The agent that wants to leave takes the same lock, removes the
//! socket's name and serves those who were still in the queue.

use std::fs::{self, File};
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};

use crate::{lock, socket};

/// Connects to the agent whose socket is `name` in `dir`; if nobody listens there, creates the
/// socket and lets `start` hand it to a new agent. `dir` is created if only it is missing.
///
/// # Errors
/// The directory cannot be written, another process holds the lock for longer than `deadline`,
/// the agent cannot be started, or the socket belongs to another user.
pub fn connect_or_start(
    dir: &Path,
    name: &str,
    deadline: Duration,
    start: impl FnOnce(UnixListener) -> io::Result<()>,
) -> io::Result<UnixStream> {
    if let Some(stream) = connect_if_alive(dir, name)? {
        return Ok(stream);
    }
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let guard = open_lock(dir, name)?;
    lock::flock_with_deadline(&guard, deadline)?;
    // Another process may have been quicker.
    if let Some(stream) = connect_if_alive(dir, name)? {
        return Ok(stream);
    }
    remove_if_there(&dir.join(name))?;
    let listener = socket::listen(dir, name)?;
    // Before the agent runs, so that it cannot have left again.
    let stream = socket::connect(dir, name)?;
    if let Err(error) = start(listener) {
        remove_if_there(&dir.join(name))?;
        return Err(error);
    }
    drop(guard);
    Ok(stream)
}

/// Connects to a running agent, if there is one.
///
/// # Errors
/// The socket belongs to another user or cannot be reached for another reason than that nobody
/// listens.
pub fn connect_if_alive(dir: &Path, name: &str) -> io::Result<Option<UnixStream>> {
    match socket::connect(dir, name) {
        Ok(stream) => {
            let uid = rustix::process::getuid().as_raw();
            if socket::peer_uid(&stream)? != uid {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "the agent's socket belongs to another user",
                ));
            }
            Ok(Some(stream))
        }
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Waits for the end of the process at the other end of a connection that has just broken off. The
/// kernel closes a killed agent's files one by one: for a moment its socket still takes
/// connections, which break off as well. Waits at most `patience`: an agent may also have left this
/// connection alone, and one that had not yet taken its socket over is not known by its number.
pub fn wait_for_death(stream: &UnixStream, patience: Duration) {
    let Ok(credentials) = rustix::net::sockopt::socket_peercred(stream) else {
        return;
    };
    if credentials.pid == rustix::process::getpid() {
        return;
    }
    // One that cannot be opened is gone already.
    if let Ok(process) = pidfd_open(credentials.pid, PidfdFlags::empty())
        && let Ok(patience) = Timespec::try_from(patience)
    {
        let mut awaited = [PollFd::new(&process, PollFlags::IN)];
        let _whichever_comes_first = poll(&mut awaited, Some(&patience));
    }
}

/// The lock under which the socket is created and removed. An agent that leaves takes it with
/// [`try_hold`]; while somebody else holds it a new job is about to come.
fn open_lock(dir: &Path, name: &str) -> io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(lock_path(dir, name))
}

fn lock_path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.lock"))
}

/// Takes the lock of a socket if nobody holds it.
///
/// # Errors
/// The lock file cannot be opened.
pub fn try_hold(dir: &Path, name: &str) -> io::Result<Option<File>> {
    let file = open_lock(dir, name)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes room for a new agent where one has not said a word for `silence`: removes its socket's
/// name, unless that is younger and so belongs to a successor already.
///
/// # Errors
/// The lock cannot be had within `deadline`, or the name cannot be removed.
pub fn give_up_on(dir: &Path, name: &str, silence: Duration, deadline: Duration) -> io::Result<()> {
    let path = dir.join(name);
    let guard = open_lock(dir, name)?;
    lock::flock_with_deadline(&guard, deadline)?;
    let made = match fs::symlink_metadata(&path) {
        Ok(meta) => meta.modified()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    // A clock that was set back makes it look young; then it is left to the next who waits.
    if made.elapsed().is_ok_and(|age| age >= silence) {
        remove_if_there(&path)?;
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    #[test]
    fn two_hundred_at_once_start_one_agent() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("distcc");
        let starts = AtomicUsize::new(0);
        let (send, receive) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..200 {
                let (send, dir, starts) = (send.clone(), &dir, &starts);
                scope.spawn(move || {
                    // Each thread opens the lock file anew, so flock works between threads too.
                    let stream =
                        connect_or_start(dir, "a.sock", Duration::from_secs(60), |listener| {
                            starts.fetch_add(1, Ordering::Relaxed);
                            send.send(listener).unwrap();
                            Ok(())
                        });
                    stream.unwrap()
                });
            }
        });
        assert_eq!(starts.load(Ordering::Relaxed), 1);
        let listener = receive.recv().unwrap();
        for _ in 0..200 {
            listener.accept().unwrap();
        }
    }

    #[test]
    fn a_dead_agents_socket_is_replaced() {
        let temp = tempfile::tempdir().unwrap();
        drop(socket::listen(temp.path(), "a.sock").unwrap());
        assert!(connect_if_alive(temp.path(), "a.sock").unwrap().is_none());
        let mut kept = None;
        connect_or_start(temp.path(), "a.sock", Duration::from_secs(60), |listener| {
            kept = Some(listener);
            Ok(())
        })
        .unwrap();
        kept.unwrap().accept().unwrap();
    }

    #[test]
    fn a_silent_agents_socket_goes_and_a_successors_stays() {
        let temp = tempfile::tempdir().unwrap();
        let _silent = socket::listen(temp.path(), "a.sock").unwrap();
        let give_up = |silence| {
            let deadline = Duration::from_secs(60);
            give_up_on(temp.path(), "a.sock", silence, deadline).unwrap();
            temp.path().join("a.sock").exists()
        };
        assert!(give_up(Duration::from_secs(3600)));
        assert!(!give_up(Duration::ZERO));
        assert!(!give_up(Duration::ZERO));
    }
}
