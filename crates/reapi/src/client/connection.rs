//! HTTP/2 on an open connection, for one client.
//!
//! Hyper's connection is used directly: a channel that reconnects and buffers by itself would hide
//! what the caller has to know, which is when a connection is over.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;

use super::failure::CallError;
use crate::limits::{FRAME_BYTES, PING_INTERVAL_SECS, PING_TIMEOUT_SECS};

/// Bytes that the server may send in one call before it must wait for us to read, and on the
/// connection. Whoever calls reads at once, so these bound nothing but a burst.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// Runs the connection's own tasks beside the caller.
#[derive(Debug, Clone, Copy)]
struct Beside;

impl<F> hyper::rt::Executor<F> for Beside
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

/// A connection on which requests can be sent.
#[derive(Debug, Clone)]
pub(super) struct Http2(SendRequest<Body>);

impl Http2 {
    /// Exchanges the greetings of HTTP/2.
    pub(super) async fn greet<T>(io: T) -> Result<Http2, CallError>
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let greeted = http2::Builder::new(Beside)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES)
            .keep_alive_interval(Duration::from_secs(PING_INTERVAL_SECS))
            .keep_alive_timeout(Duration::from_secs(PING_TIMEOUT_SECS))
            .handshake(TokioIo::new(io))
            .await;
        let (sender, connection) = greeted.map_err(|error| CallError::broken(&error))?;
        tokio::task::spawn_local(async move {
            // Whoever waits for an answer is told.
            let _ended = connection.await;
        });
        Ok(Http2(sender))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl tower::Service<http::Request<Body>> for Http2 {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
