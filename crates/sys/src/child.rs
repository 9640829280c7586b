//! New processes with new namespaces, and waiting for all of one's children with their use of
//! resources: what the standard library's `Command` does not offer.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal};

/// The two returns of one [`fork_with`].
#[derive(Debug)]
pub(crate) enum Forked {
    /// In the new process.
    Child,
    /// In the old one.
    Parent {
        /// The new process, as this process sees it.
        pid: Pid,
        /// Readable once the new process is dead.
        pidfd: OwnedFd,
    },
}

/// How many threads this process has; 1 where `/proc` cannot tell.
pub(crate) fn thread_count() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

/// Forks, the new process in new namespaces as `flags` (`CLONE_NEW…`) say. The caller must have
/// one thread: the new process goes on with ordinary code, and another thread may have held a
/// lock at this moment that nobody would ever release in the copy.
///
/// # Errors
/// [`io::ErrorKind::Unsupported`] with more than one thread; otherwise what the kernel says.
pub(crate) fn fork_with(flags: i32) -> io::Result<Forked> {
    if thread_count() > 1 {
        let text = "the process already has several threads";
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    fork_again(flags)
}

/// [`fork_with`] for a process that was made by it and has started no thread since.
pub(crate) fn fork_again(flags: i32) -> io::Result<Forked> {
    let mut pidfd: libc::c_int = -1;
    let flags = i64::from(flags | libc::CLONE_PIDFD | libc::SIGCHLD);
    let same_stack = 0_i64;
    // One architecture has the first two arguments the other way round.
    let (first, second) = if cfg!(target_arch = "s390x") {
        (same_stack, flags)
    } else {
        (flags, same_stack)
    };
    // JUSTIFICATION: neither std nor rustix can create a process in new namespaces. Not `clone3`:
    // containers commonly forbid it, as their filters cannot look into its arguments.
    // SAFETY: without CLONE_VM and with no stack given this is a fork: the child gets a copy of
    // everything. The process has one thread, so no lock is held by somebody who is not copied.
    // `pidfd` outlives the call, and no other flag makes the kernel look at the arguments after it.
    let result =
        unsafe { libc::syscall(libc::SYS_clone, first, second, &raw mut pidfd, 0_i64, 0_i64) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            // SAFETY: the kernel has just stored a new descriptor there that nobody else knows.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Forked::Parent {
                pid: pid.expect("the kernel gives a positive pid"),
                pidfd,
            })
        }
    }
}

/// [`fork_again`] into a control group, given by its directory.
pub(crate) fn fork_into(flags: i32, group: BorrowedFd<'_>) -> io::Result<Forked> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut pidfd: libc::c_int = -1;
    let flags = u64::from((flags | libc::CLONE_PIDFD).cast_unsigned());
    let mut request = CloneRequest {
        flags: flags | CLONE_INTO_CGROUP,
        pidfd: &raw mut pidfd as u64,
        exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
        cgroup: u64::from(group.as_raw_fd().cast_unsigned()),
        ..CloneRequest::default()
    };
    // JUSTIFICATION: as in `fork_again`; only this call puts a process into a group from its start,
    // which spares the kernel a stop of everything to move it.
    // SAFETY: as in `fork_again`. The request is valid for the call, and the size told is its own.
    let result = unsafe {
        let size = size_of::<CloneRequest>();
        libc::syscall(libc::SYS_clone3, &raw mut request, size)
    };
    match result {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            // SAFETY: the kernel has just stored a new descriptor there that nobody else knows.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Forked::Parent {
                pid: pid.expect("the kernel gives a positive pid"),
                pidfd,
            })
        }
    }
}

/// `struct clone_args` of linux/sched.h.
#[repr(C)]
#[derive(Debug, Default)]
struct CloneRequest {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// A child that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Which one.
    pub(crate) pid: i32,
    /// Its wait status: exit code times 256, or the signal that killed it.
    pub(crate) status: i32,
}

/// What comes of waiting for a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// One has ended.
    Ended(Ended),
    /// There is none.
    Childless,
    /// None has ended in the time given.
    TimedOut,
}

/// Waits for any child.
pub(crate) fn wait_any() -> io::Result<Waited> {
    wait(0)
}

/// Waits for so long for one child to end, and takes any that has ended.
pub(crate) fn wait_any_for(process: &OwnedFd, time: Duration) -> io::Result<Waited> {
    let first = wait(libc::WNOHANG)?;
    if first != Waited::TimedOut {
        return Ok(first);
    }
    let time = Timespec::try_from(time).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&time)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => wait(libc::WNOHANG),
        Err(error) => Err(error.into()),
    }
}

fn wait(options: i32) -> io::Result<Waited> {
    loop {
        let mut status = 0;
        // JUSTIFICATION: rustix hides statuses that have no meaning on this architecture.
        // SAFETY: the pointer is valid for the call, and the kernel writes only there.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, options) };
        match pid {
            0 => return Ok(Waited::TimedOut),
            1.. => return Ok(Waited::Ended(Ended { pid, status })),
            _ => {}
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::ECHILD) => return Ok(Waited::Childless),
            _ => return Err(error),
        }
    }
}

/// What children used that have been waited for, with those that these had waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Time in which they computed.
    pub(crate) user: Duration,
    /// Time in which the kernel worked for them.
    pub(crate) system: Duration,
    /// Largest resident memory of any of them, in KiB.
    pub(crate) rss_kib_max: u64,
}

/// What all children of this process used.
pub(crate) fn usage_of_children() -> Usage {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // JUSTIFICATION: rustix has no getrusage.
    // SAFETY: the pointer is valid for the call, and the kernel writes only there; all-zero bytes
    // are a valid rusage if it does not.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    Usage {
        user: duration(usage.ru_utime),
        system: duration(usage.ru_stime),
        rss_kib_max: u64::try_from(usage.ru_maxrss).unwrap_or(0),
    }
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}

/// Children that end are forgotten by the kernel at once instead of waiting to be asked for.
pub(crate) fn forget_children() {
    // SAFETY: SIG_IGN runs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Undoes [`forget_children`].
pub(crate) fn await_children() {
    // SAFETY: SIG_DFL runs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Gives signal dispositions back to the kernel's defaults and unblocks everything, so that what
/// is started next behaves as if started from a shell.
pub(crate) fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL runs no code of ours; signals that cannot be changed give an error.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let mut none = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: `none` is valid and is filled before it is used.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
}

/// When the parent dies, so does this process's whole group.
pub(crate) fn end_group_with_parent() {
    extern "C" fn kill_own_group(_signal: libc::c_int) {
        // SAFETY: a system call, allowed in a signal's handler.
        unsafe { libc::kill(0, libc::SIGKILL) };
    }
    let handler = kill_own_group as extern "C" fn(libc::c_int);
    // JUSTIFICATION: the kernel's death signal reaches one process only.
    // SAFETY: the handler makes one system call and nothing else.
    unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
    let _best_effort = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
}

/// Kills every process of the group; none left is fine.
pub(crate) fn kill_group(group: Pid) {
    let _gone = rustix::process::kill_process_group(group, Signal::KILL);
}

/// Kills every process that this one may signal, itself excepted: all others of a PID namespace,
/// for its first process. Anywhere else this does nothing.
pub(crate) fn kill_all_others_of_namespace() {
    if rustix::process::getpid().as_raw_nonzero().get() == 1 {
        // SAFETY: a system call without memory; as process 1 it reaches this namespace only.
        unsafe { libc::kill(-1, libc::SIGKILL) };
    }
}

/// From now on, processes below this one whose parent dies become its children.
pub(crate) fn adopt_orphans() {
    let _get_along_without = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Kills every process below this one, after [`adopt_orphans`], wherever in groups or sessions it
/// is, and waits for it. One that starts processes faster than this kills them gets away.
pub(crate) fn end_descendants() {
    const ROUNDS_MAX: usize = 1000;
    for _ in 0..ROUNDS_MAX {
        // Where the kernel does not tell, only zombies are left to be taken.
        let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
        for child in children.split_whitespace() {
            if let Some(child) = child.parse().ok().and_then(Pid::from_raw) {
                let _gone = rustix::process::kill_process(child, Signal::KILL);
            }
        }
        let waited = if children.is_empty() {
            wait(libc::WNOHANG)
        } else {
            wait_any()
        };
        if !matches!(waited, Ok(Waited::Ended(_))) {
            return;
        }
    }
}

/// Closes every descriptor that is not in `keep` (sorted, at most a few).
pub(crate) fn close_all_but(keep: &[i32]) {
    let mut next = 0;
    for &fd in keep {
        if fd > next {
            close_range(next, fd - 1);
        }
        next = fd + 1;
    }
    close_range(next, i32::MAX);
}

fn close_range(first: i32, last: i32) {
    // SAFETY: callers own every descriptor of their process, being freshly forked copies whose
    // objects that own descriptors are never used or dropped again.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 {
        return;
    }
    // Kernels before 5.9.
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| (first..=last).contains(fd))
        .collect();
    for fd in open {
        // SAFETY: as above; one of them was the directory's own and is closed already.
        unsafe { libc::close(fd) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_does_not_fork() {
        let (send, receive) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || receive.recv().is_err());
        let error = fork_with(0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        drop(send);
        assert!(other.join().unwrap());
    }
}
