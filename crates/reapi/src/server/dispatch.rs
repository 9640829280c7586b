//! From a call's path to what answers it.

use std::sync::Arc;

use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;

use super::connection::Connection;
use super::{Services, call, capabilities, cas};
use crate::limits::{MESSAGE_BYTES_MAX, SMALL_MESSAGE_BYTES_MAX};
use crate::proto::{GetStatusRequest, WorkerStatusMessage};

/// What can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    FindMissingBlobs,
    GetCapabilities,
    GetStatus,
}

/// Each path with its method. Sorted.
const METHODS: &[(&str, Method)] = &[
    (
        "/build.bazel.remote.execution.v2.Capabilities/GetCapabilities",
        Method::GetCapabilities,
    ),
    (
        "/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs",
        Method::FindMissingBlobs,
    ),
    ("/farcc.worker.v1.Status/Get", Method::GetStatus),
];

/// Answers one call.
pub(super) async fn dispatch(
    services: Services,
    connection: Arc<Connection>,
    request: http::Request<Incoming>,
) -> http::Response<Body> {
    let _open = connection.open_call();
    let path = request.uri().path();
    let Ok(index) = METHODS.binary_search_by_key(&path, |(path, _)| path) else {
        return Status::unimplemented(format!("there is no {path} here")).into_http();
    };
    let shared = services.shared;
    match METHODS[index].1 {
        Method::GetCapabilities => {
            call::unary(request, SMALL_MESSAGE_BYTES_MAX, capabilities::get).await
        }
        Method::FindMissingBlobs => {
            let store = shared.store.clone();
            let find = |request| cas::find_missing(store, request);
            call::unary(request, MESSAGE_BYTES_MAX, find).await
        }
        Method::GetStatus => {
            let get = |_: tonic::Request<GetStatusRequest>| async move {
                Ok(WorkerStatusMessage::from(shared.executor.status()))
            };
            call::unary(request, SMALL_MESSAGE_BYTES_MAX, get).await
        }
    }
}
