//! The shapes of a call: one message or a stream of them, either way.
//!
//! A handler is a function from a request to an answer; here it meets the wire.

use std::future::Future;
use std::task::{Context, Poll};

use hyper::body::Incoming;
use prost::Message;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Request, Response, Status};

use crate::rpc::Codec;

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
    request: http::Request<Incoming>,
    bytes_max: usize,
    handler: F,
) -> http::Response<Body>
where
    D: Message + Default + 'static,
    E: Message + 'static,
    F: FnOnce(Request<D>) -> Answer,
    Answer: Future<Output = Result<E, Status>> + Send + 'static,
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
