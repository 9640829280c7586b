//! The messages of calls: the generated types that are used, under short names, and ours.

pub(crate) use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
pub(crate) use bazel_remote_apis::build::bazel::semver::SemVer;

use bytes::Bytes;

use crate::status::WorkerStatus;

/// `farcc.worker.v1.GetStatusRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetStatusRequest {}

/// `farcc.worker.v1.WorkerStatus`; see docs/worker.proto for what the fields mean.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WorkerStatusMessage {
    #[prost(uint32, tag = "1")]
    slots: u32,
    #[prost(uint32, tag = "2")]
    running: u32,
    #[prost(uint32, tag = "3")]
    queued: u32,
    #[prost(uint32, tag = "4")]
    load_milli: u32,
    #[prost(uint64, tag = "5")]
    memory_free_bytes: u64,
    #[prost(uint64, tag = "6")]
    memory_total_bytes: u64,
    #[prost(uint32, tag = "7")]
    speed_milli: u32,
    #[prost(uint64, tag = "8")]
    store_bytes: u64,
    #[prost(uint64, tag = "9")]
    store_limit_bytes: u64,
    #[prost(string, tag = "10")]
    version: String,
    #[prost(string, tag = "11")]
    architecture: String,
    #[prost(string, tag = "12")]
    system: String,
    #[prost(bool, tag = "13")]
    is_draining: bool,
}

impl From<WorkerStatus> for WorkerStatusMessage {
    fn from(status: WorkerStatus) -> WorkerStatusMessage {
        WorkerStatusMessage {
            slots: status.slots,
            running: status.running,
            queued: status.queued,
            load_milli: status.load_milli,
            memory_free_bytes: status.memory_free_bytes,
            memory_total_bytes: status.memory_total_bytes,
            speed_milli: status.speed_milli,
            store_bytes: status.store_bytes,
            store_limit_bytes: status.store_limit_bytes,
            version: status.version,
            architecture: status.architecture,
            system: status.system,
            is_draining: status.is_draining,
        }
    }
}

impl From<WorkerStatusMessage> for WorkerStatus {
    fn from(message: WorkerStatusMessage) -> WorkerStatus {
        WorkerStatus {
            slots: message.slots,
            running: message.running,
            queued: message.queued,
            load_milli: message.load_milli,
            memory_free_bytes: message.memory_free_bytes,
            memory_total_bytes: message.memory_total_bytes,
            speed_milli: message.speed_milli,
            store_bytes: message.store_bytes,
            store_limit_bytes: message.store_limit_bytes,
            version: message.version,
            architecture: message.architecture,
            system: message.system,
            is_draining: message.is_draining,
        }
    }
}

/// The header by which a client promises to come back only if its connection broke: an execution
/// whose call it resets need not go on.
pub(crate) const RESET_CANCELS: &str = "farcc-reset-cancels";

/// `google.protobuf.Any`: a message of any type.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) value: Bytes,
}

impl Any {
    pub(crate) fn of(type_url: &str, message: &impl prost::Message) -> Any {
        Any {
            type_url: type_url.into(),
            value: message.encode_to_vec().into(),
        }
    }
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<Any>,
}

/// `google.rpc.PreconditionFailure`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PreconditionFailure {
    #[prost(message, repeated, tag = "1")]
    pub(crate) violations: Vec<Violation>,
}

/// `google.rpc.PreconditionFailure.Violation`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Violation {
    #[prost(string, tag = "1")]
    pub(crate) r#type: String,
    #[prost(string, tag = "2")]
    pub(crate) subject: String,
    #[prost(string, tag = "3")]
    pub(crate) description: String,
}

/// `google.longrunning.Operation`. `error` is never set here.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Operation {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) metadata: Option<Any>,
    #[prost(bool, tag = "3")]
    pub(crate) done: bool,
    #[prost(message, optional, tag = "4")]
    pub(crate) error: Option<RpcStatus>,
    #[prost(message, optional, tag = "5")]
    pub(crate) response: Option<Any>,
}

/// What [`Operation::metadata`] of an execution holds.
pub(crate) const METADATA_TYPE: &str =
    "type.googleapis.com/build.bazel.remote.execution.v2.ExecuteOperationMetadata";

/// What [`Operation::response`] of an execution holds.
pub(crate) const RESPONSE_TYPE: &str =
    "type.googleapis.com/build.bazel.remote.execution.v2.ExecuteResponse";

/// `ExecuteResponse`, its result still encoded. Logs are neither sent nor looked at.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExecuteResponse {
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub(crate) result: Option<Bytes>,
    #[prost(bool, tag = "2")]
    pub(crate) cached_result: bool,
    #[prost(message, optional, tag = "3")]
    pub(crate) status: Option<RpcStatus>,
    #[prost(string, tag = "5")]
    pub(crate) message: String,
}

/// `UpdateActionResultRequest`, its result still encoded.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UpdateActionResultRequest {
    #[prost(string, tag = "1")]
    pub(crate) instance_name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) action_digest: Option<re::Digest>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub(crate) action_result: Option<Bytes>,
    #[prost(int32, tag = "5")]
    pub(crate) digest_function: i32,
}

/// `BatchUpdateBlobsRequest`, its blobs not copied out of the message.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BatchUpdateBlobsRequest {
    #[prost(string, tag = "1")]
    pub(crate) instance_name: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) requests: Vec<BatchUpdate>,
    #[prost(int32, tag = "5")]
    pub(crate) digest_function: i32,
}

/// One blob of a [`BatchUpdateBlobsRequest`].
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BatchUpdate {
    #[prost(message, optional, tag = "1")]
    pub(crate) digest: Option<re::Digest>,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) data: Bytes,
    #[prost(int32, tag = "3")]
    pub(crate) compressor: i32,
}

/// `BatchReadBlobsResponse`, its blobs not copied out of the message.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BatchReadBlobsResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) responses: Vec<BatchRead>,
}

/// One blob of a [`BatchReadBlobsResponse`].
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BatchRead {
    #[prost(message, optional, tag = "1")]
    pub(crate) digest: Option<re::Digest>,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) data: Bytes,
    #[prost(message, optional, tag = "3")]
    pub(crate) status: Option<RpcStatus>,
    #[prost(int32, tag = "4")]
    pub(crate) compressor: i32,
}

/// `google.bytestream.WriteRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WriteRequest {
    #[prost(string, tag = "1")]
    pub(crate) resource_name: String,
    #[prost(int64, tag = "2")]
    pub(crate) write_offset: i64,
    #[prost(bool, tag = "3")]
    pub(crate) finish_write: bool,
    #[prost(bytes = "bytes", tag = "10")]
    pub(crate) data: Bytes,
}

/// `google.bytestream.ReadResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReadResponse {
    #[prost(bytes = "bytes", tag = "10")]
    pub(crate) data: Bytes,
}
