//! A connection on which every call is refused, so that the client's user reads why.

use std::convert::Infallible;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::Status;

use super::connection::{ConnectionError, builder};

/// Why nothing is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// This client may not.
    NotAllowed(String),
    /// Nobody may: it is not offered here.
    NotOffered(String),
}

/// Answers every call on one HTTP/2 connection with a refusal, until the client closes it.
/// Dropping the future ends it at once.
///
/// # Errors
/// The client broke the rules of HTTP/2, or vanished.
pub async fn refuse_connection<IO>(io: IO, refused: Refused) -> Result<(), ConnectionError>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let status = match refused {
        Refused::NotAllowed(why) => Status::permission_denied(why),
        Refused::NotOffered(why) => Status::unimplemented(why),
    };
    let service = service_fn(move |_: http::Request<Incoming>| {
        let answer = status.clone().into_http::<tonic::body::Body>();
        async move { Ok::<_, Infallible>(answer) }
    });
    Ok(builder()
        .serve_connection(TokioIo::new(io), service)
        .await?)
}
