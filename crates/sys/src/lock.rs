//! File locks: those that distcc understands, and one with a deadline.
//!
//! distcc takes POSIX locks. Locks of an open file description conflict with them but belong to
//! the open file, not to the process, so that one agent can hold many and close files freely
//! (fcntl(2), "Open file description locks").

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use rustix::fs::FlockOperation;

/// Takes a write lock on the whole file, which must be open for writing. `false` if another
/// holds a conflicting lock. The lock ends when the file is closed.
///
/// # Errors
/// What `fcntl` says, other than that the lock is taken.
pub fn try_lock_file(file: &File) -> io::Result<bool> {
    match ofd_lock(file, libc::F_OFD_SETLK, &mut whole_file(libc::F_WRLCK)) {
        Ok(()) => Ok(true),
        Err(error) if is_taken(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether anybody holds a write lock on the file through another open file description.
///
/// # Errors
/// What `fcntl` says.
pub fn is_locked(file: &File) -> io::Result<bool> {
    let mut lock = whole_file(libc::F_RDLCK);
    ofd_lock(file, libc::F_OFD_GETLK, &mut lock)?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

/// Takes an exclusive `flock` lock, waiting for whoever holds it, but not for ever. Uses
/// `SIGALRM`, sent to the calling thread alone.
///
/// # Errors
/// `TimedOut` after the deadline, else what `flock` says.
pub fn flock_with_deadline(file: &File, deadline: Duration) -> io::Result<()> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => return Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => {}
        Err(error) => return Err(error.into()),
    }
    let alarm = crate::signals::Alarm::after(deadline)?;
    loop {
        match rustix::fs::flock(file, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::INTR) if !alarm.has_rung() => {}
            Err(rustix::io::Errno::INTR) => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES))
}

fn whole_file(kind: i32) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(kind).expect("lock kinds are small numbers"),
        l_whence: 0, // SEEK_SET
        l_start: 0,
        l_len: 0,
        // The kernel demands zero here for locks of an open file description.
        l_pid: 0,
    }
}

fn ofd_lock(file: &File, command: i32, lock: &mut libc::flock) -> io::Result<()> {
    let lock: *mut libc::flock = lock;
    // JUSTIFICATION: no safe wrapper offers open file description locks.
    // SAFETY: `file` is open for the whole call and `lock` points to a valid `flock`, which the
    // kernel reads and, for F_OFD_GETLK, writes.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, lock) };
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &std::path::Path) -> File {
        File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .unwrap()
    }

    #[test]
    fn locks_exclude_each_other_and_end_with_the_file() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("lock");
        let (first, second) = (open(&path), open(&path));
        assert!(!is_locked(&second).unwrap());
        assert!(try_lock_file(&first).unwrap());
        assert!(is_locked(&second).unwrap());
        assert!(!try_lock_file(&second).unwrap());
        drop(first);
        assert!(try_lock_file(&second).unwrap());
    }

    #[test]
    fn waiting_for_a_lock_ends() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("lock");
        let (first, second) = (open(&path), open(&path));
        flock_with_deadline(&first, Duration::from_secs(60)).unwrap();
        let error = flock_with_deadline(&second, Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
