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
use std::os::fd::AsFd;

use rustix::net::{AddressFamily, SocketType};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::step;

/// Moves this process into a namespace that a job has had, if nothing is left of that. Children
/// started then are in it.
pub(super) fn enter(network: &File) -> bool {
    let entered = move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network));
    entered.is_ok() && is_empty()
}

/// Moves this process into a new namespace.
pub(super) fn create() -> io::Result<File> {
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
    // C libraries do not agree on its type.
    let set_flags = libc::SIOCSIFFLAGS as libc::Ioctl;
    // JUSTIFICATION: rustix has no calls for interfaces.
    // SAFETY: the request is valid for the call and has the type that this call is made with.
    let result = unsafe { libc::ioctl(fd, set_flags, &raw const request) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
