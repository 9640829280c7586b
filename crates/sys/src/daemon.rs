//! What makes a program a service: going to the background, giving up root, taking over sockets
//! from whoever started it.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::time::Duration;

use rustix::fs::FileType;
use rustix::io::FdFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::process::{Resource, Rlimit};

use crate::child::{self, Forked};

/// First descriptor that a service manager hands over.
const LISTEN_FDS_START: i32 = 3;

/// Most sockets taken over from a service manager.
const LISTEN_FDS_MAX: i32 = 64;

/// Where a process is after [`detach`].
#[derive(Debug)]
pub enum Detached {
    /// In the process that was started: it is to exit with this code.
    Parent(u8),
    /// In the background, with the means to tell how the start went.
    Background(StartReport),
}

/// Tells the waiting parent how the start went. Dropping it tells of failure.
#[derive(Debug)]
pub struct StartReport(File);

impl StartReport {
    /// The parent exits with this code.
    pub fn tell(mut self, exit_code: u8) {
        let _parent_is_gone = self.0.write_all(&[exit_code]);
    }
}

/// Goes to the background, in a session of its own and with `/` as its directory. The parent
/// waits until the child has told how its start went, or has died, which counts as
/// `failure_code`. Standard streams stay as they are: see [`close_standard_streams`].
///
/// # Errors
/// The process has several threads, or there is no memory for another.
pub fn detach(failure_code: u8) -> io::Result<Detached> {
    let (parents, childs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    match child::fork_with(0)? {
        Forked::Parent { .. } => {
            drop(childs);
            let mut code = [failure_code];
            let _died_early = File::from(parents).read_exact(&mut code);
            Ok(Detached::Parent(code[0]))
        }
        Forked::Child => {
            drop(parents);
            rustix::process::setsid()?;
            rustix::process::chdir("/")?;
            Ok(Detached::Background(StartReport(childs.into())))
        }
    }
}

/// Makes the process the leader of a group of its own; for a service that stays in the
/// foreground.
pub fn own_group() {
    let _session_leader_already = rustix::process::setpgid(None, None);
}

/// Points standard input, output and (`with_stderr`) error to `/dev/null`.
///
/// # Errors
/// `/dev/null` cannot be opened.
pub fn close_standard_streams(with_stderr: bool) -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    if with_stderr {
        rustix::stdio::dup2_stderr(&null)?;
    }
    Ok(())
}

/// Is standard input a socket, as under inetd?
#[must_use]
pub fn stdin_is_socket() -> bool {
    kind_of(&rustix::stdio::stdin()) == FileType::Socket
}

/// What an open file is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// A TCP socket.
    Tcp,
    /// A Unix stream socket.
    Unix,
    /// A pipe.
    Pipe,
    /// Anything else: a terminal, a file.
    Other,
}

/// What kind of stream this is.
#[must_use]
pub fn stream_kind(fd: impl AsFd) -> StreamKind {
    match kind_of(&fd) {
        FileType::Fifo => StreamKind::Pipe,
        FileType::Socket => match sockopt::socket_domain(&fd) {
            Ok(AddressFamily::INET | AddressFamily::INET6) => StreamKind::Tcp,
            Ok(AddressFamily::UNIX) => StreamKind::Unix,
            _ => StreamKind::Other,
        },
        _ => StreamKind::Other,
    }
}

fn kind_of(fd: &impl AsFd) -> FileType {
    rustix::fs::fstat(fd).map_or(FileType::Unknown, |stat| {
        FileType::from_raw_mode(stat.st_mode)
    })
}

/// Takes the streams that a client is connected to over inetd or ssh, for reading and writing,
/// and puts `/dev/null` in their place, so that no other code writes there by mistake.
///
/// # Errors
/// No descriptor is left.
pub fn take_standard_streams() -> io::Result<(OwnedFd, OwnedFd)> {
    let input = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), LISTEN_FDS_START)?;
    let output = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), LISTEN_FDS_START)?;
    close_standard_streams(false)?;
    Ok((input, output))
}

/// Takes over the listening sockets that a service manager has handed to this process
/// (`LISTEN_PID` and `LISTEN_FDS`, whose values are the arguments). To be called once, before
/// anything else is opened.
pub fn take_listeners(listen_pid: Option<&str>, listen_fds: Option<&str>) -> Vec<TcpListener> {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i32>().ok());
    if number(listen_pid) != Some(rustix::process::getpid().as_raw_nonzero().get()) {
        return Vec::new();
    }
    let count = number(listen_fds).unwrap_or(0).clamp(0, LISTEN_FDS_MAX);
    let mut listeners = Vec::new();
    for raw in LISTEN_FDS_START..LISTEN_FDS_START + count {
        // SAFETY: a system call that only looks whether the descriptor is open.
        if unsafe { libc::fcntl(raw, libc::F_GETFD) } == -1 {
            continue;
        }
        // SAFETY: the descriptor is open, and by the protocol it is this process's to own; the
        // documentation asks for one call before anything else is opened.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        let usable = rustix::io::fcntl_setfd(&fd, FdFlags::CLOEXEC).is_ok();
        if usable && stream_kind(&fd) == StreamKind::Tcp {
            listeners.push(TcpListener::from(fd));
        }
    }
    listeners
}

/// Listens on an address; an IPv6 one for IPv6 only, unless `is_dual`.
///
/// # Errors
/// What the kernel says.
pub fn listen(address: SocketAddr, is_dual: bool, backlog: i32) -> io::Result<TcpListener> {
    let family = match address.ip() {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, !is_dual)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, backlog)?;
    Ok(socket.into())
}

/// Lets the kernel find out when the machine at the other end of a TCP connection is gone without
/// a word: first asked after `idle`, then a few times as often.
///
/// # Errors
/// The descriptor is no TCP socket.
pub fn keep_alive(socket: impl AsFd, idle: Duration) -> io::Result<()> {
    /// Unanswered questions before the connection counts as broken.
    const PROBES: u32 = 4;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, idle)?;
    sockopt::set_tcp_keepintvl(&socket, idle / PROBES)?;
    sockopt::set_tcp_keepcnt(&socket, PROBES)?;
    Ok(())
}

/// Lets this process open as many files as it may, and says how many that is.
#[must_use]
pub fn raise_open_files() -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let now = match rustix::process::setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    now.unwrap_or(u64::MAX)
}

/// Lowers this process's priority, and that of all it will start, by `increment`.
///
/// # Errors
/// What the kernel says; a negative increment needs privilege.
pub fn nice(increment: i32) -> io::Result<()> {
    rustix::process::nice(increment)?;
    Ok(())
}

/// Processor time that this thread has used.
#[must_use]
pub fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.try_into().unwrap_or_default()
}

/// Sets the permissions that new files do not get.
pub fn set_umask(mask: u32) {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
}

/// Is this process root?
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root() || rustix::process::getuid().is_root()
}

/// What systems without a suitable user are left with.
const NOBODY: u32 = 65534;

/// The first of these users that exists, with its ids.
fn first_user<'a>(names: &[&'a str]) -> (&'a str, (u32, u32)) {
    let found = names.iter().find_map(|name| Some((*name, look_up(name)?)));
    found.unwrap_or(("65534", (NOBODY, NOBODY)))
}

/// Makes a directory that belongs to the user that [`drop_root`] becomes, with those above it, which
/// belong to root. One that exists is left as it is.
///
/// # Errors
/// What the kernel says.
pub fn make_directory_for(dir: &std::path::Path, names: &[&str]) -> io::Result<()> {
    if dir.exists() {
        return Ok(());
    }
    let (_, (uid, gid)) = first_user(names);
    if let Some(above) = dir.parent() {
        std::fs::create_dir_all(above)?;
    }
    std::fs::create_dir(dir)?;
    std::os::unix::fs::lchown(dir, Some(uid), Some(gid))
}

/// Becomes the first of these users that exists, or 65534 if none does, without any of root's
/// groups and privileges, and without a way back. Returns its name. The process must have one
/// thread.
///
/// # Errors
/// What the kernel says; the process must not go on then.
pub fn drop_root(names: &[&str]) -> io::Result<String> {
    let (name, (uid, gid)) = first_user(names);
    // SAFETY: no groups, so no memory is read.
    check(unsafe { libc::setgroups(0, std::ptr::null()) })?;
    // SAFETY: plain system calls, which libc makes for all threads.
    check(unsafe { libc::setresgid(gid, gid, gid) })?;
    // SAFETY: as above.
    check(unsafe { libc::setresuid(uid, uid, uid) })?;
    rustix::thread::set_no_new_privs(true)?;
    if uid != 0 && rustix::process::getuid().is_root() {
        return Err(io::Error::other("still root after giving it up"));
    }
    Ok(name.to_owned())
}

/// The ids of a user.
fn look_up(name: &str) -> Option<(u32, u32)> {
    /// Enough for any entry that is not broken.
    const ENTRY_BYTES_MAX: usize = 64 << 10;
    let name = CString::new(name).ok()?;
    let mut buffer = vec![0; ENTRY_BYTES_MAX];
    let mut entry = std::mem::MaybeUninit::<libc::passwd>::uninit();
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are valid for the call; the length is the buffer's.
    let result = unsafe {
        libc::getpwnam_r(
            name.as_ptr(),
            entry.as_mut_ptr(),
            buffer.as_mut_ptr(),
            buffer.len(),
            &raw mut found,
        )
    };
    if result != 0 || found.is_null() {
        return None;
    }
    // SAFETY: the call has found an entry and so has filled it in.
    let entry = unsafe { entry.assume_init() };
    Some((entry.pw_uid, entry.pw_gid))
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name() {
        assert_eq!(look_up("root"), Some((0, 0)));
        assert_eq!(look_up("no such user"), None);
    }

    #[test]
    fn sockets_of_another_process_are_not_taken() {
        assert!(take_listeners(Some("1"), Some("1")).is_empty());
        assert!(take_listeners(None, None).is_empty());
    }

    #[test]
    fn a_dual_socket_takes_both_families() {
        let any = SocketAddr::from(([0_u16; 8], 0));
        let Ok(listener) = listen(any, true, 8) else {
            return; // a machine without IPv6
        };
        let port = listener.local_addr().unwrap().port();
        let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        keep_alive(&accepted, Duration::from_secs(8)).unwrap();
        assert_eq!(stream_kind(&client), StreamKind::Tcp);
    }
}
