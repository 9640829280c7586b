//! The client of a Remote Execution server: a farcc worker, or any other that speaks the protocol.
//!
//! One [`Client`] is one HTTP/2 connection on which many calls run at once. It honours what the server says of itself
//! ([`Capabilities`]); it does not know which blobs a server has, nor where blobs come from.

mod blobs;
mod capabilities;
mod connection;
mod execute;
mod failure;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::Uri;
use http::uri::PathAndQuery;
use store::{Digest, DigestFunction};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::Request;
use tonic::client::Grpc;
use tonic::metadata::{BinaryMetadataValue, MetadataValue};

use crate::compression::BlobPacker;
use crate::limits::{COMPRESS_BYTES_MIN, MESSAGE_BYTES_MAX};
use crate::proto::{GetStatusRequest, WorkerStatusMessage, re};
use crate::rpc::{Codec, Decode, Encode};
use crate::status::WorkerStatus;

pub use capabilities::Capabilities;
use connection::Http2;
pub use execute::{Executed, Wanted};
pub use failure::CallError;

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

/// A connection to a server. Cheap to clone: clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http2,
    origin: Uri,
    capabilities: Capabilities,
    function: DigestFunction,
    instance: String,
    caller: BinaryMetadataValue,
    packer: Arc<Mutex<BlobPacker>>,
}

impl Client {
    /// Greets a server over an open connection and asks what it can. The connection is driven by a task of the current
    /// `LocalSet` until the last clone is dropped or the server hangs up.
    ///
    /// # Errors
    /// [`CallError::NotSpoken`] if the other side does not speak HTTP/2 or not this protocol; anything else that can
    /// go wrong with a call.
    pub async fn connect<T>(
        io: T,
        authority: &str,
        caller: &Caller,
        function: DigestFunction,
    ) -> Result<Client, CallError>
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let origin: Uri = format!("http://{authority}")
            .parse()
            .unwrap_or_else(|_| Uri::from_static("http://worker"));
        let packer = BlobPacker::new().map_err(|error| {
            CallError::Unsupported(format!("compression does not work here: {error}"))
        })?;
        let mut client = Client {
            http: Http2::greet(io).await?,
            origin,
            capabilities: Capabilities::default(),
            function,
            instance: String::new(),
            caller: metadata(caller),
            packer: Arc::new(Mutex::new(packer)),
        };
        client.capabilities = client.ask_capabilities().await?;
        if !client.capabilities.functions.contains(&function) {
            return Err(CallError::Unsupported(format!(
                "the server does not know {} digests",
                function.name()
            )));
        }
        Ok(client)
    }

    /// What the server said of itself.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Whether the connection is over: calls on it fail.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.http.is_closed()
    }

    /// How a farcc worker is.
    ///
    /// # Errors
    /// The server is none ([`CallError::NotSpoken`]), or the call failed.
    pub async fn status(&self) -> Result<WorkerStatus, CallError> {
        let path = "/farcc.worker.v1.Status/Get";
        let answer: WorkerStatusMessage = self.unary(path, GetStatusRequest {}).await?;
        Ok(answer.into())
    }

    fn grpc(&self) -> Grpc<Http2> {
        Grpc::with_origin(self.http.clone(), self.origin.clone())
            .max_decoding_message_size(2 * MESSAGE_BYTES_MAX)
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert_bin(
            "build.bazel.remote.execution.v2.requestmetadata-bin",
            self.caller.clone(),
        );
        request
    }

    async fn unary<M: Encode + Sync, R: Decode + Sync>(
        &self,
        path: &'static str,
        message: M,
    ) -> Result<R, CallError> {
        let mut grpc = self.grpc();
        grpc.ready().await?;
        let path = PathAndQuery::from_static(path);
        let answer = grpc.unary(self.request(message), path, Codec::<M, R>::new());
        Ok(answer.await.map_err(CallError::from)?.into_inner())
    }

    /// The bytes compressed, if that is worth it.
    fn packed(&self, bytes: &[u8]) -> Option<Bytes> {
        if bytes.len() < COMPRESS_BYTES_MIN {
            return None;
        }
        let mut packer = self.packer.lock().unwrap_or_else(PoisonError::into_inner);
        let packed = packer.pack(bytes).ok()?;
        (packed.len() < bytes.len()).then(|| packed.into())
    }

    fn digest_function(&self) -> i32 {
        // Servers before version 2.3 do not know the field; SHA-256 is what its absence means.
        match self.function {
            DigestFunction::Sha256 => 0,
            DigestFunction::Blake3 => re::digest_function::Value::Blake3.into(),
        }
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

/// A digest in a message.
fn to_message(digest: &Digest) -> re::Digest {
    re::Digest {
        hash: digest.hex(),
        size_bytes: i64::try_from(digest.size_bytes).unwrap_or(i64::MAX),
    }
}
