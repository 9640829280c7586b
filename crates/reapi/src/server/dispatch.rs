//! From a call's path to what answers it.

use std::future::Future;
use std::sync::Arc;

use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;

use super::call::{AnswerBody, RequestBody, client_stream, server_stream, unary};
use super::connection::{Connection, Weight};
use super::execution::{self, Call};
use super::{Services, Shared, action_cache, byte_stream, capabilities, cas, get_tree, status};
use crate::limits::{MESSAGE_BYTES_MAX, SMALL_MESSAGE_BYTES_MAX};

/// What can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    BatchReadBlobs,
    BatchUpdateBlobs,
    Execute,
    FindMissingBlobs,
    GetActionResult,
    GetCapabilities,
    GetStatus,
    GetTree,
    QueryWriteStatus,
    Read,
    UpdateActionResult,
    WaitExecution,
    WatchStatus,
    Write,
}

/// Each path with its method. Sorted.
const METHODS: &[(&str, Method)] = &[
    (
        "/build.bazel.remote.execution.v2.ActionCache/GetActionResult",
        Method::GetActionResult,
    ),
    (
        "/build.bazel.remote.execution.v2.ActionCache/UpdateActionResult",
        Method::UpdateActionResult,
    ),
    (
        "/build.bazel.remote.execution.v2.Capabilities/GetCapabilities",
        Method::GetCapabilities,
    ),
    (
        "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchReadBlobs",
        Method::BatchReadBlobs,
    ),
    (
        "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchUpdateBlobs",
        Method::BatchUpdateBlobs,
    ),
    (
        "/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs",
        Method::FindMissingBlobs,
    ),
    (
        "/build.bazel.remote.execution.v2.ContentAddressableStorage/GetTree",
        Method::GetTree,
    ),
    (
        "/build.bazel.remote.execution.v2.Execution/Execute",
        Method::Execute,
    ),
    (
        "/build.bazel.remote.execution.v2.Execution/WaitExecution",
        Method::WaitExecution,
    ),
    ("/farcc.worker.v1.Status/Get", Method::GetStatus),
    ("/farcc.worker.v1.Status/Watch", Method::WatchStatus),
    (
        "/google.bytestream.ByteStream/QueryWriteStatus",
        Method::QueryWriteStatus,
    ),
    ("/google.bytestream.ByteStream/Read", Method::Read),
    ("/google.bytestream.ByteStream/Write", Method::Write),
];

impl Method {
    fn of(path: &str) -> Option<Method> {
        let index = METHODS.binary_search_by_key(&path, |(path, _)| path);
        index.ok().map(|index| METHODS[index].1)
    }

    fn weight(self) -> Weight {
        match self {
            Method::Execute
            | Method::GetCapabilities
            | Method::GetStatus
            | Method::QueryWriteStatus
            | Method::WaitExecution
            | Method::WatchStatus => Weight::Small,
            Method::BatchReadBlobs
            | Method::BatchUpdateBlobs
            | Method::FindMissingBlobs
            | Method::GetActionResult
            | Method::UpdateActionResult => Weight::Batch,
            Method::GetTree | Method::Read | Method::Write => Weight::Stream,
        }
    }

    fn is_upload(self) -> bool {
        matches!(self, Method::BatchUpdateBlobs | Method::Write)
    }
}

/// Answers one call. What depends on the order of calls happens before the future is polled.
pub(super) fn dispatch(
    services: &Services,
    connection: &Arc<Connection>,
    request: http::Request<Incoming>,
) -> impl Future<Output = http::Response<AnswerBody>> + Send + use<> {
    let open = connection.open_call();
    let method = Method::of(request.uri().path());
    let is_upload = method.is_some_and(Method::is_upload);
    let upload = is_upload.then(|| connection.uploads.begin());
    let call = Call {
        shared: Arc::clone(&services.shared),
        before: connection.uploads.before(),
        connection: Arc::clone(connection),
    };
    async move {
        let (answer, leave) = match method {
            Some(method) => {
                let leave = call.connection.admit(method.weight()).await;
                let request = request.map(RequestBody::new);
                (answer(method, call, request).await, leave)
            }
            None => {
                let text = format!("there is no {} here", request.uri().path());
                (Status::unimplemented(text).into_http(), None)
            }
        };
        drop(upload);
        answer.map(|body| AnswerBody::new(body, open, leave))
    }
}

async fn answer(
    method: Method,
    call: Call,
    request: http::Request<RequestBody>,
) -> http::Response<Body> {
    const SMALL: usize = SMALL_MESSAGE_BYTES_MAX;
    const FULL: usize = MESSAGE_BYTES_MAX;
    let Shared { store, parked, .. } = &*call.shared;
    let (store, parked) = (store.clone(), parked.clone());
    match method {
        Method::BatchReadBlobs => unary(request, FULL, |r| cas::batch_read(store, r)).await,
        Method::BatchUpdateBlobs => unary(request, FULL, |r| cas::batch_update(store, r)).await,
        Method::Execute => server_stream(request, SMALL, |r| execution::execute(call, r)).await,
        Method::FindMissingBlobs => unary(request, FULL, |r| cas::find_missing(store, r)).await,
        Method::GetActionResult => unary(request, FULL, |r| action_cache::get(store, r)).await,
        Method::GetCapabilities => unary(request, SMALL, capabilities::get).await,
        Method::GetStatus => unary(request, SMALL, |r| status::get(call.shared, r)).await,
        Method::GetTree => server_stream(request, SMALL, |r| get_tree::get_tree(store, r)).await,
        Method::QueryWriteStatus => {
            unary(request, SMALL, |r| byte_stream::query(store, parked, r)).await
        }
        Method::Read => server_stream(request, SMALL, |r| byte_stream::read(store, r)).await,
        Method::UpdateActionResult => {
            unary(request, FULL, |r| action_cache::update(store, r)).await
        }
        Method::WaitExecution => server_stream(request, SMALL, |r| execution::wait(call, r)).await,
        Method::WatchStatus => {
            server_stream(request, SMALL, |r| status::watch(call.shared, r)).await
        }
        Method::Write => {
            client_stream(request, FULL, |messages| {
                byte_stream::write(store, parked, messages)
            })
            .await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_sorted_and_each_is_found() {
        assert!(METHODS.is_sorted_by_key(|(path, _)| path));
        for (path, method) in METHODS {
            assert_eq!(Method::of(path), Some(*method));
        }
        assert_eq!(Method::of("/"), None);
    }
}
