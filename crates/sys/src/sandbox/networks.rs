//! Network namespaces, each with nothing but a loopback interface, lent to one job at a time.
//!
//! To make such a namespace costs the kernel more than all the rest of a sandbox, most of it for
//! tables of settings, and some milliseconds of waiting. But when a job is over, all that it can
//! have left in one is sockets: it has no right to change interfaces, routes or settings. So the
//! spawner keeps the namespaces, looks whether a returned one holds any socket (one that waits for
//! the end of a connection, or travels in another socket), and gives it to the next job if not.
//! At any time a namespace belongs to one job, so jobs do not reach each other, nor the machine.
//!
//! Loopback is up, as programs under test talk to themselves.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketType};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::step;

/// Of the spawner, which is in the namespace of the job that it starts next.
#[derive(Debug, Default)]
pub(super) struct Networks {
    free: Vec<File>,
    /// With the job's first process.
    lent: Vec<(OwnedFd, File)>,
}

impl Networks {
    /// Moves this process into a namespace that nobody uses. Children started now are in it.
    pub(super) fn enter(&mut self) -> io::Result<File> {
        self.take_back();
        while let Some(network) = self.free.pop() {
            let entered =
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network));
            if entered.is_ok() && is_empty() {
                return Ok(network);
            }
        }
        create()
    }

    /// Notes that a namespace belongs to a job until its first process, which is the last to go,
    /// is dead.
    pub(super) fn lend(&mut self, network: File, process: &OwnedFd) {
        // A namespace that cannot be followed is given up.
        if let Ok(process) = process.try_clone() {
            self.lent.push((process, network));
        }
    }

    /// Collects the namespaces of jobs that are over.
    fn take_back(&mut self) {
        const NO_TIME: Timespec = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let is_over: Vec<bool> = {
            let processes = self.lent.iter().map(|(process, _)| process);
            let mut polled: Vec<_> = processes
                .map(|process| PollFd::new(process, PollFlags::IN))
                .collect();
            if poll(&mut polled, Some(&NO_TIME)).is_err() {
                return;
            }
            polled.iter().map(|one| !one.revents().is_empty()).collect()
        };
        let mut is_over = is_over.into_iter();
        let free = &mut self.free;
        self.lent = std::mem::take(&mut self.lent)
            .into_iter()
            .filter_map(|(process, network)| {
                if is_over.next() == Some(true) {
                    free.push(network);
                    return None;
                }
                Some((process, network))
            })
            .collect();
    }
}

/// Moves this process into a new namespace.
fn create() -> io::Result<File> {
    // JUSTIFICATION: the safe form is deprecated because of flags that are not used here.
    // SAFETY: no descriptor is unshared.
    let made = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) };
    step("make a network namespace", made)?;
    let network = step("keep a network namespace", File::open("/proc/self/ns/net"))?;
    // Without, programs find no network at all, which is right as well.
    let _get_along_without = bring_up_loopback();
    Ok(network)
}

/// Does this process's network namespace hold no socket, not even one that waits for its end?
fn is_empty() -> bool {
    let counts = std::fs::read_to_string("/proc/self/net/sockstat").unwrap_or_default();
    let mut words = counts.split_whitespace();
    let sockets = words.by_ref().skip_while(|word| *word != "used").nth(1);
    let waiting = words.skip_while(|word| *word != "tw").nth(1);
    sockets == Some("0") && waiting == Some("0")
}

fn bring_up_loopback() -> io::Result<()> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: all-zero bytes are a valid request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
        *to = from.cast_signed() as libc::c_char;
    }
    let up = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(up).map_err(io::Error::other)?;
    let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
    // JUSTIFICATION: rustix has no calls for interfaces.
    // SAFETY: the request is valid for the call and has the type that this call is made with.
    let result = unsafe { libc::ioctl(fd, libc::SIOCSIFFLAGS, &raw const request) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
