//! The client of a Remote Execution server: a farcc worker, or any other that speaks the protocol.
//!
//! One [`Client`] is one HTTP/2 connection on which many calls run at once. It honours what the
//! server says of itself ([`Capabilities`]), and checks what it gets. It does not know which blobs
//! a server has, nor where blobs come from, and it does not connect by itself: whoever makes the
//! connection decides about proxies and encryption, and has to know when it is over.
//!
//! - `connection`: HTTP/2; `capabilities`: what the server can do; `failure`: why calls fail;
//! - `upload`, `download`: blobs there and back; `results`: the action cache;
//! - `execute`: actions done; `status`: how a farcc worker is.

mod capabilities;
mod connection;
mod download;
mod execute;
mod failure;
mod results;
mod status;
mod upload;
mod upload_stream;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_core::Stream;
use http::Uri;
use http::uri::PathAndQuery;
use store::{Digest, DigestFunction};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::client::Grpc;
use tonic::metadata::{BinaryMetadataValue, MetadataValue};
use tonic::{Request, Status, Streaming};

use crate::compression::BlobPacker;
use crate::limits::{COMPRESS_BYTES_MIN, MESSAGE_BYTES_MAX};
use crate::message::digest;
use crate::proto::re;
use crate::resource::{Encoding, Resource};
use crate::rpc::{Codec, Decode, Encode};

pub use capabilities::Capabilities;
use connection::Http2;
pub use execute::{Executed, Wanted};
pub use failure::CallError;
pub use upload::BatchedBlob;
pub use upload_stream::PackedBlob;

/// Longest message that is taken from a server, in bytes. Some send more than gRPC's usual 4 MiB
/// when outputs are inside of results.
const RECEIVED_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;

/// Who calls, as servers show it in their logs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Caller {
    /// The program.
    pub tool_name: String,
    /// Its version.
    pub tool_version: String,
    /// One build.
    pub invocation_id: String,
}

/// Whom a client calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// Host and port, as in a URL.
    pub authority: &'a str,
    /// Which of its parts, where a server has several.
    pub instance: &'a str,
}

/// A connection to a server. Cheap to clone: clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http2,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    origin: Uri,
    capabilities: Capabilities,
    function: DigestFunction,
    instance: String,
    caller: BinaryMetadataValue,
    packer: Mutex<BlobPacker>,
}

impl Client {
    /// [`connect_to`](Client::connect_to) a server with one instance, which has no name.
    ///
    /// # Errors
    /// As there.
    pub async fn connect<T>(
        io: T,
        authority: &str,
        caller: &Caller,
        function: DigestFunction,
    ) -> Result<Client, CallError>
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let instance = "";
        let target = Target {
            authority,
            instance,
        };
        Client::connect_to(io, target, caller, function).await
    }

    /// Greets a server over an open connection and asks what it can. The connection is driven by a
    /// task of the current `LocalSet` until the last clone is dropped or the server hangs up.
    ///
    /// # Errors
    /// [`CallError::NotSpoken`] if the other side does not speak HTTP/2 or not this protocol,
    /// [`CallError::Unsupported`] if it speaks another version of it or does not know the digest
    /// function; anything else that can go wrong with a call.
    pub async fn connect_to<T>(
        io: T,
        target: Target<'_>,
        caller: &Caller,
        function: DigestFunction,
    ) -> Result<Client, CallError>
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let origin: Uri = format!("http://{}", target.authority)
            .parse()
            .unwrap_or_else(|_| Uri::from_static("http://worker"));
        let packer = BlobPacker::new().map_err(|error| {
            CallError::Unsupported(format!("compression does not work here: {error}"))
        })?;
        let http = Http2::greet(io).await?;
        let mut shared = Shared {
            origin,
            capabilities: Capabilities::default(),
            function,
            instance: target.instance.to_owned(),
            caller: metadata(caller),
            packer: Mutex::new(packer),
        };
        let asking = shared.grpc(&http);
        shared.capabilities = capabilities::ask(&shared, asking).await?;
        if !shared.capabilities.functions.contains(&function) {
            return Err(CallError::Unsupported(format!(
                "the server does not know {} digests",
                function.name()
            )));
        }
        let shared = Arc::new(shared);
        Ok(Client { http, shared })
    }

    /// What the server said of itself.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    /// Whether the connection is over: calls on it fail.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.http.is_closed()
    }

    async fn unary<M: Encode + Sync, R: Decode + Sync>(
        &self,
        path: &'static str,
        message: M,
    ) -> Result<R, CallError> {
        let grpc = self.shared.grpc(&self.http);
        self.shared.unary(grpc, path, message).await
    }

    async fn server_stream<M: Encode + Sync, R: Decode + Sync>(
        &self,
        path: &'static str,
        request: Request<M>,
    ) -> Result<Streaming<R>, Status> {
        let mut grpc = self.shared.grpc(&self.http);
        let ready = grpc.ready().await;
        ready.map_err(|error| Status::from_error(Box::new(error)))?;
        let path = PathAndQuery::from_static(path);
        let answer = grpc.server_streaming(request, path, Codec::<M, R>::new());
        Ok(answer.await?.into_inner())
    }

    async fn client_stream<M, R>(
        &self,
        path: &'static str,
        messages: impl Stream<Item = M> + Send + 'static,
    ) -> Result<R, CallError>
    where
        M: Encode + Sync,
        R: Decode + Sync,
    {
        let mut grpc = self.shared.grpc(&self.http);
        grpc.ready().await?;
        let path = PathAndQuery::from_static(path);
        let request = self.shared.request(messages);
        let answer = grpc.client_streaming(request, path, Codec::<M, R>::new());
        Ok(answer.await?.into_inner())
    }

    fn request<M>(&self, message: M) -> Request<M> {
        self.shared.request(message)
    }

    fn instance(&self) -> String {
        self.shared.instance.clone()
    }

    fn digest_function(&self) -> i32 {
        // Servers before version 2.3 do not know the field; SHA-256 is what its absence means.
        match self.shared.function {
            DigestFunction::Sha256 => 0,
            DigestFunction::Blake3 => re::digest_function::Value::Blake3.into(),
        }
    }

    /// The bytes compressed, if that is worth it.
    fn packed(&self, bytes: &[u8]) -> Option<Bytes> {
        if bytes.len() < COMPRESS_BYTES_MIN {
            return None;
        }
        let packer = &self.shared.packer;
        let mut packer = packer.lock().unwrap_or_else(PoisonError::into_inner);
        let packed = packer.pack(bytes).ok()?;
        (packed.len() < bytes.len()).then(|| packed.into())
    }

    /// A blob as a stream, compressed if the server can and it is worth it.
    fn resource(&self, digest: &Digest) -> Resource {
        let is_worth_it = digest.size_bytes >= COMPRESS_BYTES_MIN as u64;
        Resource {
            digest: *digest,
            encoding: if self.capabilities().streams_zstd && is_worth_it {
                Encoding::Zstd
            } else {
                Encoding::Identity
            },
        }
    }

    fn digest_of(&self, message: &re::Digest) -> Result<Digest, CallError> {
        digest::from_parts(self.shared.function, &message.hash, message.size_bytes)
            .map_err(|error| CallError::Nonsense(error.to_string()))
    }
}

impl Shared {
    fn grpc(&self, http: &Http2) -> Grpc<Http2> {
        Grpc::with_origin(http.clone(), self.origin.clone())
            .max_decoding_message_size(RECEIVED_BYTES_MAX)
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.metadata_mut().insert_bin(
            "build.bazel.remote.execution.v2.requestmetadata-bin",
            self.caller.clone(),
        );
        request
    }

    async fn unary<M: Encode + Sync, R: Decode + Sync>(
        &self,
        mut grpc: Grpc<Http2>,
        path: &'static str,
        message: M,
    ) -> Result<R, CallError> {
        grpc.ready().await?;
        let path = PathAndQuery::from_static(path);
        let answer = grpc.unary(self.request(message), path, Codec::<M, R>::new());
        Ok(answer.await?.into_inner())
    }
}

fn metadata(caller: &Caller) -> BinaryMetadataValue {
    use prost::Message;
    let message = re::RequestMetadata {
        tool_details: Some(re::ToolDetails {
            tool_name: caller.tool_name.clone(),
            tool_version: caller.tool_version.clone(),
        }),
        tool_invocation_id: caller.invocation_id.clone(),
        ..re::RequestMetadata::default()
    };
    MetadataValue::from_bytes(&message.encode_to_vec())
}
