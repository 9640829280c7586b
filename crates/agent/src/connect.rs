//! A stream of bytes to a server: TCP, TCP through a SOCKS proxy, or a server that ssh starts.
//!
//! A name may have several addresses of which some do not answer. They are tried in the resolver's order, each a
//! moment after the one before, and the first that answers wins (the idea of RFC 8305), so that a dead address costs a
//! quarter of a second and not four.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use stock::hosts::{Host, HostKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::failure::HostFailure;
use crate::settings::Settings;
use crate::socks::{self, Proxy};

/// How long one address may take to answer; stock's figure.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// Head start of an address over the next one (RFC 8305 recommends 250 ms).
const STAGGER: Duration = Duration::from_millis(250);

/// How long a name server may take. Stock waits for ever.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a proxy may take: it resolves and connects by itself.
const PROXY_TIMEOUT: Duration = Duration::from_secs(12);

/// How long an answer of the resolver is used again.
const ADDRESSES_KEPT: Duration = Duration::from_secs(10);

/// Most of ssh's messages that are kept, in bytes.
const SSH_STDERR_BYTES_MAX: u64 = 2048;

/// How long ssh's messages are waited for after its connection has ended.
const SSH_STDERR_WAIT: Duration = Duration::from_secs(2);

/// A connection to a server. Nobody may shut down its writing half: neither stock servers nor Portage's proxy bear it.
pub(crate) struct Link {
    pub(crate) reader: Pin<Box<dyn AsyncRead>>,
    pub(crate) writer: Pin<Box<dyn AsyncWrite>>,
    /// Killed when the link is dropped.
    ssh: Option<Child>,
}

/// What the resolver said, and when.
type Addresses = HashMap<(String, u16), (Instant, Rc<[SocketAddr]>)>;

/// Remembers addresses for a moment, because builds connect hundreds of times a second.
#[derive(Debug, Default)]
pub(crate) struct Resolver(RefCell<Addresses>);

impl Link {
    fn new(stream: impl AsyncRead + AsyncWrite + 'static) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            reader: Box::pin(reader),
            writer: Box::pin(writer),
            ssh: None,
        }
    }

    /// What ssh had to say, for messages; empty for other links.
    pub(crate) async fn last_words(&mut self) -> String {
        let Some(stderr) = self.ssh.as_mut().and_then(|child| child.stderr.take()) else {
            return String::new();
        };
        let mut text = Vec::new();
        let mut some = stderr.take(SSH_STDERR_BYTES_MAX);
        match timeout(SSH_STDERR_WAIT, some.read_to_end(&mut text)).await {
            Ok(Ok(_)) | Err(_) if !text.is_empty() => {
                String::from_utf8_lossy(&text).trim().to_owned()
            }
            _ => String::new(),
        }
    }
}

/// Connects to a host of the list that is not local.
///
/// # Errors
/// No way leads there.
pub(crate) async fn connect(
    host: &Host,
    settings: &Settings,
    env: &[(OsString, OsString)],
    resolver: &Resolver,
) -> Result<Link, HostFailure> {
    match &host.kind {
        HostKind::Ssh {
            user,
            name,
            command,
        } => start_ssh(settings, env, user.as_deref(), name, command.as_deref()),
        HostKind::Tcp { name, port } => match &settings.proxy {
            Some(proxy) => through_proxy(proxy, name, *port, resolver).await,
            None => direct(name, *port, resolver).await.map(Link::new),
        },
        HostKind::Local => unreachable!("this machine is not connected to"),
    }
}

async fn direct(name: &str, port: u16, resolver: &Resolver) -> Result<TcpStream, HostFailure> {
    let addresses = resolver.resolve(name, port).await?;
    let mut rest = addresses.iter().copied();
    let mut attempts = JoinSet::new();
    let mut failure = None;
    loop {
        if let Some(address) = rest.next() {
            attempts.spawn_local(connect_one(address));
        }
        tokio::select! {
            done = attempts.join_next() => match done {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => failure = failure.or(Some(error)),
                Some(Err(_)) => {}
                None => break,
            },
            () = sleep(STAGGER), if rest.len() > 0 => {}
        }
    }
    resolver.forget(name, port);
    Err(failure.unwrap_or_else(|| HostFailure::Resolve {
        name: name.to_owned(),
        source: io::Error::other("it has no address"),
    }))
}

async fn connect_one(address: SocketAddr) -> Result<TcpStream, HostFailure> {
    match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => {
            // The request is written in large pieces; its last one must not wait for an acknowledgement.
            stream.set_nodelay(true).unwrap_or_default();
            Ok(stream)
        }
        Ok(Err(source)) => Err(HostFailure::Connect {
            address: address.to_string(),
            source,
        }),
        Err(_) => Err(HostFailure::ConnectTimeout {
            address: address.to_string(),
            after: CONNECT_TIMEOUT,
        }),
    }
}

impl Resolver {
    async fn resolve(&self, name: &str, port: u16) -> Result<Rc<[SocketAddr]>, HostFailure> {
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok([SocketAddr::new(address, port)].into());
        }
        let key = (name.to_owned(), port);
        if let Some((when, addresses)) = self.0.borrow().get(&key)
            && when.elapsed() < ADDRESSES_KEPT
        {
            return Ok(Rc::clone(addresses));
        }
        let fail = |source| HostFailure::Resolve {
            name: name.to_owned(),
            source,
        };
        let addresses: Rc<[SocketAddr]> =
            match timeout(RESOLVE_TIMEOUT, lookup_host((name, port))).await {
                Ok(Ok(addresses)) => addresses.collect(),
                Ok(Err(error)) => return Err(fail(error)),
                Err(_) => return Err(fail(io::ErrorKind::TimedOut.into())),
            };
        let entry = (Instant::now(), Rc::clone(&addresses));
        self.0.borrow_mut().insert(key, entry);
        Ok(addresses)
    }

    fn forget(&self, name: &str, port: u16) {
        self.0.borrow_mut().remove(&(name.to_owned(), port));
    }
}

async fn through_proxy(
    proxy: &Proxy,
    name: &str,
    port: u16,
    resolver: &Resolver,
) -> Result<Link, HostFailure> {
    let fail = |source| HostFailure::Proxy {
        proxy: proxy.to_string(),
        source,
    };
    let ask = async {
        match proxy {
            Proxy::Unix(path) => {
                let mut stream = UnixStream::connect(path).await.map_err(fail)?;
                socks::connect_through(&mut stream, name, port)
                    .await
                    .map_err(fail)?;
                Ok(Link::new(stream))
            }
            Proxy::Tcp(host, proxy_port) => {
                let mut stream = direct(host, *proxy_port, resolver)
                    .await
                    .map_err(|error| fail(io::Error::other(error.to_string())))?;
                socks::connect_through(&mut stream, name, port)
                    .await
                    .map_err(fail)?;
                Ok(Link::new(stream))
            }
        }
    };
    timeout(PROXY_TIMEOUT, ask)
        .await
        .unwrap_or_else(|_| Err(fail(io::ErrorKind::TimedOut.into())))
}

fn start_ssh(
    settings: &Settings,
    env: &[(OsString, OsString)],
    user: Option<&str>,
    name: &str,
    command: Option<&str>,
) -> Result<Link, HostFailure> {
    let (program, first_args) = settings.ssh.split_first().expect("never empty");
    let mut ssh = Command::new(program);
    ssh.args(first_args);
    if let Some(user) = user {
        ssh.args(["-l", user]);
    }
    ssh.arg(name).args([
        command.unwrap_or("distccd"),
        "--inetd",
        "--enable-tcp-insecure",
    ]);
    // The job's environment: the agent's own was made by another build.
    ssh.env_clear()
        .envs(env.iter().map(|(name, value)| (name, value)));
    ssh.current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = ssh.spawn().map_err(|source| HostFailure::Ssh {
        command: program.to_string_lossy().into_owned(),
        source,
    })?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    Ok(Link {
        reader: Box::pin(stdout.expect("piped")),
        writer: Box::pin(stdin.expect("piped")),
        ssh: Some(child),
    })
}
