//! The messages of calls: the generated types that are used, under short names, and ours.

pub(crate) use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
pub(crate) use bazel_remote_apis::build::bazel::semver::SemVer;

use crate::status::WorkerStatus;

/// `farcc.worker.v1.GetStatusRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetStatusRequest {}

/// `farcc.worker.v1.WorkerStatus`; `docs/worker.proto` says what the fields mean.
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
