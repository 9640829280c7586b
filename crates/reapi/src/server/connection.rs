//! One HTTP/2 connection: its limits, and how it ends.
//!
//! A connection ends when the client closes it, when it does not answer pings, when nothing
//! happens on it for long, or when the server drains: then no new calls are taken, and those that
//! are open are answered first. It knows nothing of what is called.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Services;
use super::dispatch::dispatch;
use super::uploads::Uploads;
use crate::limits::{
    BATCH_CALLS_MAX, CONNECTION_INLINE_BYTES_MAX, CONNECTION_WINDOW_BYTES, FIRST_CALL_SECS,
    FRAME_BYTES, HEADERS_BYTES_MAX, IDLE_CHECK_SECS, IDLE_SECS, PING_INTERVAL_SECS,
    PING_TIMEOUT_SECS, SEND_BUFFER_BYTES, STREAM_CALLS_MAX, STREAM_WINDOW_BYTES, STREAMS_MAX,
};

/// Why a connection ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The client broke the rules of HTTP/2, vanished, or closed in the middle of something.
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    /// The client connected and asked for nothing.
    #[error("the client did not ask for anything in {FIRST_CALL_SECS} seconds")]
    Silent,
}

/// What the calls of one connection share.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: SocketAddr,
    /// Blobs on their way in.
    pub(super) uploads: Uploads,
    /// Room for outputs inside of results, in bytes.
    pub(super) inline_room: Arc<Semaphore>,
    batch_calls: Arc<Semaphore>,
    stream_calls: Arc<Semaphore>,
    is_closed: AtomicBool,
    calls: Mutex<Calls>,
}

/// What a call may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// Short messages.
    Small,
    /// A message of full length, either way.
    Batch,
    /// A stream of them.
    Stream,
}

#[derive(Debug)]
struct Calls {
    open: usize,
    had_any: bool,
    quiet_since: Instant,
}

impl Connection {
    fn new(peer: SocketAddr) -> Connection {
        Connection {
            peer,
            uploads: Uploads::default(),
            inline_room: Arc::new(Semaphore::new(CONNECTION_INLINE_BYTES_MAX)),
            batch_calls: Arc::new(Semaphore::new(BATCH_CALLS_MAX)),
            stream_calls: Arc::new(Semaphore::new(STREAM_CALLS_MAX)),
            is_closed: AtomicBool::new(false),
            calls: Mutex::new(Calls {
                open: 0,
                had_any: false,
                quiet_since: Instant::now(),
            }),
        }
    }

    /// Whether it ended: then a call that is dropped was not given up by the client.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Waits until a call of this weight may be at work. What is returned is its leave.
    pub(super) async fn admit(&self, weight: Weight) -> Option<OwnedSemaphorePermit> {
        let calls = match weight {
            Weight::Small => return None,
            Weight::Batch => &self.batch_calls,
            Weight::Stream => &self.stream_calls,
        };
        // They are never closed.
        Arc::clone(calls).acquire_owned().await.ok()
    }

    /// Counts a call until what is returned is dropped.
    pub(super) fn open_call(self: &Arc<Self>) -> OpenCall {
        let mut calls = self.calls();
        calls.open += 1;
        calls.had_any = true;
        drop(calls);
        OpenCall {
            connection: Arc::clone(self),
        }
    }

    fn calls(&self) -> std::sync::MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn quiet(&self) -> Quiet {
        let calls = self.calls();
        let quiet = calls.quiet_since.elapsed();
        if calls.open > 0 {
            Quiet::No
        } else if !calls.had_any && quiet >= Duration::from_secs(FIRST_CALL_SECS) {
            Quiet::FromTheStart
        } else if calls.had_any && quiet >= Duration::from_secs(IDLE_SECS) {
            Quiet::ForLong
        } else {
            Quiet::No
        }
    }
}

/// Whether nothing happens on a connection.
enum Quiet {
    No,
    FromTheStart,
    ForLong,
}

/// An open call of a connection.
#[derive(Debug)]
pub(super) struct OpenCall {
    connection: Arc<Connection>,
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let mut calls = self.connection.calls();
        calls.open -= 1;
        calls.quiet_since = Instant::now();
    }
}

/// Says that a connection is over, also if its future is dropped.
struct CloseOnDrop(Arc<Connection>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.is_closed.store(true, Ordering::Release);
    }
}

/// Serves one HTTP/2 connection until it ends. When `shutdown` is ready, no new calls are taken,
/// and it ends when those that are open are answered. Dropping the future ends it at once.
///
/// # Errors
/// Why it ended before the client closed it.
pub async fn serve_connection<IO>(
    io: IO,
    peer: SocketAddr,
    services: Services,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ConnectionError>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let connection = Arc::new(Connection::new(peer));
    let _close = CloseOnDrop(Arc::clone(&connection));
    let calls = Arc::clone(&connection);
    let service = service_fn(move |request: http::Request<Incoming>| {
        let answer = dispatch(&services, &calls, request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut serving = pin!(builder().serve_connection(TokioIo::new(io), service));
    let mut shutdown = pin!(shutdown);
    let mut idle_check = tokio::time::interval(Duration::from_secs(IDLE_CHECK_SECS));
    let mut is_draining = false;
    loop {
        tokio::select! {
            ended = &mut serving => return Ok(ended?),
            () = &mut shutdown, if !is_draining => {
                is_draining = true;
                serving.as_mut().graceful_shutdown();
            }
            _ = idle_check.tick() => match connection.quiet() {
                Quiet::No => {}
                Quiet::FromTheStart => return Err(ConnectionError::Silent),
                Quiet::ForLong if !is_draining => {
                    is_draining = true;
                    serving.as_mut().graceful_shutdown();
                }
                Quiet::ForLong => {}
            }
        }
    }
}

pub(super) fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(Duration::from_secs(PING_INTERVAL_SECS))
        .keep_alive_timeout(Duration::from_secs(PING_TIMEOUT_SECS));
    builder
}
