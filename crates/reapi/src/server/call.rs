//! The shapes of a call: one message or a stream of them, either way; and how long it takes room.
//!
//! A handler is a function from a request to an answer; here it meets the wire.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Request, Response, Status, Streaming};

use super::connection::OpenCall;
use crate::limits::{ANSWER_PIECE_BYTES, REQUEST_PAUSE_SECS};
use crate::rpc::{Codec, Decode, Encode};

/// A handler as the service that tonic wants, for its one call.
struct Once<F>(Option<F>);

impl<F, M, R, Answer> tower::Service<Request<M>> for Once<F>
where
    F: FnOnce(Request<M>) -> Answer,
    Answer: Future<Output = Result<Response<R>, Status>>,
{
    type Response = Response<R>;
    type Error = Status;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<M>) -> Answer {
        let handler = self.0.take().expect("a call has one request");
        handler(request)
    }
}

/// One message in, one out.
pub(super) async fn unary<D, E, F, Answer>(
    request: http::Request<RequestBody>,
    bytes_max: usize,
    handler: F,
) -> http::Response<Body>
where
    D: Decode,
    E: Encode,
    F: FnOnce(Request<D>) -> Answer,
    Answer: Future<Output = Result<E, Status>>,
{
    let handler = |request| {
        let answer = handler(request);
        async move { answer.await.map(Response::new) }
    };
    Grpc::new(Codec::<E, D>::new())
        .max_decoding_message_size(bytes_max)
        .unary(Once(Some(handler)), request)
        .await
}

/// One message in, a stream out.
pub(super) async fn server_stream<D, E, S, F, Answer>(
    request: http::Request<RequestBody>,
    bytes_max: usize,
    handler: F,
) -> http::Response<Body>
where
    D: Decode,
    E: Encode,
    S: Stream<Item = Result<E, Status>> + Send + 'static,
    F: FnOnce(Request<D>) -> Answer,
    Answer: Future<Output = Result<S, Status>>,
{
    let handler = |request| {
        let answer = handler(request);
        async move { answer.await.map(Response::new) }
    };
    Grpc::new(Codec::<E, D>::new())
        .max_decoding_message_size(bytes_max)
        .server_streaming(Once(Some(handler)), request)
        .await
}

/// A stream in, one message out.
pub(super) async fn client_stream<D, E, F, Answer>(
    request: http::Request<RequestBody>,
    bytes_max: usize,
    handler: F,
) -> http::Response<Body>
where
    D: Decode,
    E: Encode,
    F: FnOnce(Streaming<D>) -> Answer,
    Answer: Future<Output = Result<E, Status>>,
{
    let handler = |request: Request<Streaming<D>>| {
        let answer = handler(request.into_inner());
        async move { answer.await.map(Response::new) }
    };
    Grpc::new(Codec::<E, D>::new())
        .max_decoding_message_size(bytes_max)
        .client_streaming(Once(Some(handler)), request)
        .await
}

/// Runs what waits for the disk or computes for long where it holds up nobody.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Status::internal(format!("an operation on the store ended: {error}")))
}

/// What a client sends, as long as it sends: who pauses for too long has lost its turn.
pub(super) struct RequestBody {
    incoming: Incoming,
    pause: Option<Pin<Box<Sleep>>>,
    is_pausing: bool,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming) -> RequestBody {
        RequestBody {
            incoming,
            pause: None,
            is_pausing: false,
        }
    }

    fn poll_pause(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = Instant::now() + Duration::from_secs(REQUEST_PAUSE_SECS);
        let pause = self
            .pause
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        if !std::mem::replace(&mut self.is_pausing, true) {
            pause.as_mut().reset(end);
        }
        pause.as_mut().poll(context)
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Poll::Ready(frame) = pin!(&mut self.incoming).poll_frame(context) {
            self.is_pausing = false;
            return Poll::Ready(frame.map(|frame| {
                frame.map_err(|error| Status::unavailable(format!("the request broke: {error}")))
            }));
        }
        self.poll_pause(context).map(|()| {
            Some(Err(Status::deadline_exceeded(format!(
                "nothing came for {REQUEST_PAUSE_SECS} seconds"
            ))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// An answer, which takes room until it is sent. It is handed out in small pieces: what has been
/// handed out is buffered below whether the client reads or not, and is no longer counted here.
pub(super) struct AnswerBody {
    body: Body,
    rest: Bytes,
    _open: OpenCall,
    _leave: Option<OwnedSemaphorePermit>,
}

impl AnswerBody {
    pub(super) fn new(
        body: Body,
        open: OpenCall,
        leave: Option<OwnedSemaphorePermit>,
    ) -> AnswerBody {
        AnswerBody {
            body,
            rest: Bytes::new(),
            _open: open,
            _leave: leave,
        }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.rest.is_empty() {
            let frame = match std::task::ready!(pin!(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let piece = self.rest.len().min(ANSWER_PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}
