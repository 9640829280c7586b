//! The sockets that clients connect to.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use crate::client::Client;
use crate::limits;
use crate::server::{Phase, Server};

/// How long to wait before the next attempt to accept when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection that has been accepted, with the right to exist.
pub(crate) type Accepted = (TcpStream, SocketAddr, OwnedSemaphorePermit);

/// Listens on all addresses of a host name, or on all of this machine.
///
/// # Errors
/// No address of the name, or not all of them, can be had.
pub(crate) fn bind(name: Option<&str>, port: u16) -> io::Result<Vec<std::net::TcpListener>> {
    let Some(name) = name else {
        return bind_any(port);
    };
    let name = name
        .strip_prefix('[')
        .and_then(|n| n.strip_suffix(']'))
        .unwrap_or(name);
    let mut addresses: Vec<SocketAddr> = (name, port)
        .to_socket_addrs()
        .map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?
        .collect();
    addresses.sort();
    addresses.dedup();
    let mut listeners = Vec::new();
    let mut port = port;
    for mut address in addresses {
        // One port for all, also if the kernel chooses it.
        address.set_port(port);
        let listener = listen(address, false)?;
        port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(listeners)
}

fn bind_any(port: u16) -> io::Result<Vec<std::net::TcpListener>> {
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    // A machine without IPv6 has no such address.
    match listen(v6, true) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => Ok(vec![listen(v4, false)?]),
        dual => Ok(vec![dual?]),
    }
}

fn listen(address: SocketAddr, is_dual: bool) -> io::Result<std::net::TcpListener> {
    let listener = sys::daemon::listen(address, is_dual, limits::BACKLOG)
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Accepts on all listeners until the server stops.
pub(crate) fn accept_all(
    server: &Rc<Server>,
    listeners: Vec<TcpListener>,
) -> mpsc::Receiver<Accepted> {
    let (sender, receiver) = mpsc::channel(1);
    let rights = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    for listener in listeners {
        let (server, sender, rights) = (Rc::clone(server), sender.clone(), Arc::clone(&rights));
        tokio::task::spawn_local(async move {
            tokio::select! {
                () = accept(&server, &listener, &rights, &sender) => {}
                () = server.reached(Phase::Draining) => {}
            }
        });
    }
    receiver
}

async fn accept(
    server: &Server,
    listener: &TcpListener,
    rights: &Arc<Semaphore>,
    sender: &mpsc::Sender<Accepted>,
) {
    loop {
        let Ok(right) = Arc::clone(rights).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                if sender.send((stream, peer, right)).await.is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                server
                    .log
                    .error(format_args!("cannot accept a connection: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves the page of statistics; a slow reader only keeps one of a few places.
pub(crate) fn serve_stats(server: &Rc<Server>, listeners: Vec<TcpListener>) {
    let places = Rc::new(Semaphore::new(limits::STATS_READERS_MAX));
    for listener in listeners {
        let (server, places) = (Rc::clone(server), Rc::clone(&places));
        tokio::task::spawn_local(async move {
            loop {
                let Ok((stream, peer)) = listener.accept().await else {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                let (server, places) = (Rc::clone(&server), Rc::clone(&places));
                tokio::task::spawn_local(async move {
                    let Ok(_place) = places.try_acquire() else {
                        return;
                    };
                    let page = server.stats.http(Instant::now());
                    // Whatever it asked for, or nothing: there is one page.
                    let mut client = Client::tcp(stream, peer);
                    let told = async {
                        let _gone = client.send(&[page], limits::STATS_TIME_MAX).await;
                        client.linger().await;
                    };
                    let _slow = timeout(limits::STATS_TIME_MAX, told).await;
                });
            }
        });
    }
}
