//! `Execution`: stages, joining, cancelling, caching, and what goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use bazel_remote_apis::google::longrunning::{Operation, operation};
use bazel_remote_apis::google::rpc::Status as RpcStatus;
use prost::Message as _;
use re::execution_stage::Value as Stage;
use reapi::ExecuteError;
use store::{Digest, DigestFunction};
use tokio::sync::Semaphore;
use tonic::{Code, Streaming};

use crate::harness::{Scripted, Server, channel, echo, guarded, message};

fn request(action: &Digest) -> re::ExecuteRequest {
    re::ExecuteRequest {
        instance_name: "anything/goes".into(),
        action_digest: Some(message(action)),
        ..re::ExecuteRequest::default()
    }
}

fn stage(operation: &Operation) -> Stage {
    let metadata = operation.metadata.as_ref().unwrap();
    assert!(
        metadata
            .type_url
            .ends_with("/build.bazel.remote.execution.v2.ExecuteOperationMetadata")
    );
    let metadata = re::ExecuteOperationMetadata::decode(&metadata.value[..]).unwrap();
    metadata.stage()
}

fn response(operation: &Operation) -> re::ExecuteResponse {
    assert!(operation.done);
    assert_eq!(stage(operation), Stage::Completed);
    let Some(operation::Result::Response(any)) = &operation.result else {
        panic!("{operation:?}");
    };
    assert!(
        any.type_url
            .ends_with("/build.bazel.remote.execution.v2.ExecuteResponse")
    );
    re::ExecuteResponse::decode(&any.value[..]).unwrap()
}

async fn last(mut stream: Streaming<Operation>) -> re::ExecuteResponse {
    let mut last = None;
    while let Some(operation) = guarded("the next message", stream.message()).await.unwrap() {
        last = Some(operation);
    }
    response(&last.unwrap())
}

async fn execute(server: &Server, request: re::ExecuteRequest) -> re::ExecuteResponse {
    let mut client = server.execution().await;
    last(client.execute(request).await.unwrap().into_inner()).await
}

/// A server whose jobs wait until the semaphore lets them go.
fn gated() -> (Server, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let inner = gate.clone();
    let server = Server::with_script(move |job, store| {
        let gate = inner.clone();
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            echo(&job, &store)
        })
    });
    (server, gate)
}

fn violations(status: &RpcStatus) -> Vec<(String, String)> {
    assert_eq!(status.code, Code::FailedPrecondition as i32);
    let [any] = &status.details[..] else {
        panic!("{status:?}");
    };
    assert_eq!(
        any.type_url,
        "type.googleapis.com/google.rpc.PreconditionFailure"
    );
    // Read by hand: `PreconditionFailure` is not among the generated types.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Failure {
        #[prost(message, repeated, tag = "1")]
        violations: Vec<Violation>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Violation {
        #[prost(string, tag = "1")]
        kind: String,
        #[prost(string, tag = "2")]
        subject: String,
    }
    let failure = Failure::decode(&any.value[..]).unwrap();
    let pairs = failure.violations.into_iter();
    pairs
        .map(|violation| (violation.kind, violation.subject))
        .collect()
}

#[tokio::test]
async fn an_action_runs_once_and_then_comes_from_the_cache() {
    let server = Server::start();
    let action = server.put_action(&["hello"], |_| ());
    let first = execute(&server, request(&action)).await;
    assert!(!first.cached_result);
    assert_eq!(first.status, None);
    let result = first.result.unwrap();
    assert_eq!(result.stdout_raw, b"ran");
    assert_eq!(result.output_files[0].path, "out");
    let second = execute(&server, request(&action)).await;
    assert!(second.cached_result);
    assert_eq!(second.result.unwrap(), result);
    assert_eq!(server.executor.started(), 1);

    let mut again = request(&action);
    again.skip_cache_lookup = true;
    assert!(!execute(&server, again).await.cached_result);
    assert_eq!(server.executor.started(), 2);
}

#[tokio::test]
async fn stages_are_told() {
    let (server, gate) = gated();
    let action = server.put_action(&["a"], |_| ());
    let mut client = server.execution().await;
    let stream = client.execute(request(&action)).await.unwrap();
    let mut stream = stream.into_inner();
    let mut stages = Vec::new();
    let mut names = Vec::new();
    while let Some(operation) = guarded("a message", stream.message()).await.unwrap() {
        stages.push(stage(&operation));
        names.push(operation.name.clone());
        if stages.last() == Some(&Stage::Executing) {
            gate.add_permits(1);
        }
    }
    assert!(stages.is_sorted(), "{stages:?}");
    assert_eq!(
        stages[stages.len() - 2..],
        [Stage::Executing, Stage::Completed]
    );
    names.dedup();
    assert_eq!(names.len(), 1);
}

#[tokio::test]
async fn a_failed_command_is_a_result_but_not_kept() {
    let server = Server::start();
    let action = server.put_action(&["fail"], |_| ());
    for run in 1..=2 {
        let response = execute(&server, request(&action)).await;
        assert_eq!(response.status, None);
        assert!(!response.cached_result);
        assert_eq!(response.result.unwrap().exit_code, 3);
        assert_eq!(server.executor.started(), run);
    }
}

#[tokio::test]
async fn what_may_not_be_cached_is_neither_kept_nor_shared() {
    let (server, gate) = gated();
    let action = server.put_action(&["a"], |action| action.do_not_cache = true);
    let mut one = server.execution().await;
    let one = one.execute(request(&action)).await.unwrap().into_inner();
    let mut two = server.execution().await;
    let two = two.execute(request(&action)).await.unwrap().into_inner();
    server
        .executor
        .until("both started", |all| all.started() == 2)
        .await;
    gate.add_permits(3);
    assert!(!last(one).await.cached_result);
    assert!(!last(two).await.cached_result);
    assert!(!execute(&server, request(&action)).await.cached_result);
    assert_eq!(server.executor.started(), 3);
}

#[tokio::test]
async fn identical_actions_in_flight_are_one() {
    let (server, gate) = gated();
    let action = server.put_action(&["a"], |_| ());
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut client = server.execution().await;
        streams.push(client.execute(request(&action)).await.unwrap().into_inner());
    }
    server
        .executor
        .until("it started", |all| all.started() == 1)
        .await;
    gate.add_permits(1);
    for stream in streams {
        assert_eq!(last(stream).await.result.unwrap().stdout_raw, b"ran");
    }
    assert_eq!(server.executor.started(), 1);
}

#[tokio::test]
async fn a_missing_action_or_command_is_a_failed_precondition() {
    let server = Server::start();
    for function in DigestFunction::ALL {
        let absent = Digest::of(function, b"absent");
        let mut ask = request(&absent);
        let subject = if function == DigestFunction::Blake3 {
            ask.digest_function = re::digest_function::Value::Blake3.into();
            format!("blobs/blake3/{}/6", message(&absent).hash)
        } else {
            format!("blobs/{}/6", message(&absent).hash)
        };
        let status = server.execution().await.execute(ask).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        let details = RpcStatus::decode(status.details()).unwrap();
        assert_eq!(violations(&details), [("MISSING".into(), subject)]);
    }
    let command = Digest::of(DigestFunction::Sha256, b"no command");
    let action = server.put_action(&["a"], |action| {
        action.command_digest = Some(message(&command));
    });
    let status = server
        .execution()
        .await
        .execute(request(&action))
        .await
        .unwrap_err();
    let details = RpcStatus::decode(status.details()).unwrap();
    let subject = format!("blobs/{}/{}", message(&command).hash, command.size_bytes);
    assert_eq!(violations(&details), [("MISSING".into(), subject)]);
}

#[tokio::test]
async fn missing_inputs_are_named_in_the_response() {
    let absent: Vec<_> = (0..3_u8)
        .map(|n| Digest::of(DigestFunction::Sha256, &[n]))
        .collect();
    let named = absent.clone();
    let server = Server::with_script(move |_, _| {
        let missing = ExecuteError::MissingBlobs(named.clone());
        Box::pin(async { Err(missing) })
    });
    let action = server.put_action(&["a"], |_| ());
    let response = execute(&server, request(&action)).await;
    let found = violations(&response.status.unwrap());
    let expected: Vec<_> = absent
        .iter()
        .map(|digest| {
            (
                "MISSING".to_string(),
                format!("blobs/{}/1", message(digest).hash),
            )
        })
        .collect();
    assert_eq!(found, expected);
    assert_eq!(server.executor.started(), 1);
}

#[tokio::test]
async fn executors_errors_have_the_codes_of_the_specification() {
    let partial = reapi::ActionResult {
        exit_code: 137,
        stderr: reapi::OutputText {
            raw: b"so far".to_vec().into(),
            digest: None,
        },
        ..reapi::ActionResult::default()
    };
    let text = || "because".to_string();
    let late = ExecuteError::DeadlineExceeded {
        message: text(),
        partial: Some(Box::new(partial)),
    };
    for (error, code) in [
        (ExecuteError::InvalidArgument(text()), Code::InvalidArgument),
        (
            ExecuteError::FailedPrecondition(text()),
            Code::FailedPrecondition,
        ),
        (
            ExecuteError::ResourceExhausted(text()),
            Code::ResourceExhausted,
        ),
        (ExecuteError::Unavailable(text()), Code::Unavailable),
        (ExecuteError::Internal(text()), Code::Internal),
        (late, Code::DeadlineExceeded),
    ] {
        let is_late = code == Code::DeadlineExceeded;
        let server = Server::with_script(move |_, _| {
            let error = error.clone();
            Box::pin(async { Err(error) })
        });
        let action = server.put_action(&["a"], |_| ());
        let response = execute(&server, request(&action)).await;
        let status = response.status.unwrap();
        assert_eq!(status.code, code as i32);
        assert_eq!(status.message, "because");
        assert_eq!(response.result.is_some(), is_late);
        if let Some(result) = response.result {
            assert_eq!(result.stderr_raw, b"so far");
        }
        let again = execute(&server, request(&action)).await;
        assert!(!again.cached_result, "failures are not kept");
    }
}

#[tokio::test]
async fn a_panic_in_the_executor_is_an_error_for_the_client() {
    let server = Server::with_script(|_, _| Box::pin(async { panic!("on purpose") }));
    let action = server.put_action(&["a"], |_| ());
    let response = execute(&server, request(&action)).await;
    assert_eq!(response.status.unwrap().code, Code::Unavailable as i32);
}

#[tokio::test]
async fn wrong_actions_are_invalid_arguments() {
    let server = Server::start();
    let no_arguments = server.put_action(&[], |_| ());
    let no_message = server.put(b"\xff\xff");
    let unknown_function = {
        let mut request = request(&no_message);
        request.digest_function = re::digest_function::Value::Md5.into();
        request
    };
    let no_digest = re::ExecuteRequest::default();
    let requests = [
        request(&no_arguments),
        request(&no_message),
        unknown_function,
        no_digest,
    ];
    for request in requests {
        let status = server.execution().await.execute(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    assert_eq!(server.executor.started(), 0);
}

#[tokio::test]
async fn a_job_is_cancelled_when_its_last_watcher_goes() {
    let (server, _gate) = gated();
    let action = server.put_action(&["a"], |_| ());
    let mut clients = [server.execution().await, server.execution().await];
    let mut streams = Vec::new();
    for client in &mut clients {
        streams.push(client.execute(request(&action)).await.unwrap());
    }
    server
        .executor
        .until("it started", |all| all.started() == 1)
        .await;
    streams.pop();
    assert_eq!(server.executor.cancelled(), 0);
    streams.pop();
    server
        .executor
        .until("it was cancelled", |all| all.cancelled() == 1)
        .await;
    // And it can be asked for again.
    let mut stream = clients[0]
        .execute(request(&action))
        .await
        .unwrap()
        .into_inner();
    assert!(stream.message().await.unwrap().is_some());
    server
        .executor
        .until("it started again", |all| all.started() == 2)
        .await;
}

#[tokio::test]
async fn a_client_that_promises_so_cancels_at_once() {
    let (server, _gate) = gated();
    let action = server.put_action(&["a"], |_| ());
    let mut client = server.execution().await;
    let mut request = tonic::Request::new(request(&action));
    request
        .metadata_mut()
        .insert("farcc-reset-cancels", "1".parse().unwrap());
    let stream = client.execute(request).await.unwrap();
    server
        .executor
        .until("it started", |all| all.started() == 1)
        .await;
    // Paused, the clock would have to be moved for any grace to pass.
    tokio::time::pause();
    let before = tokio::time::Instant::now();
    drop(stream);
    server
        .executor
        .until("it was cancelled", |all| all.cancelled() == 1)
        .await;
    assert!(before.elapsed().is_zero(), "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_client_that_lost_its_connection_can_come_back() {
    let (server, gate) = gated();
    let action = server.put_action(&["a"], |_| ());
    let (io, serving) = server.connect_raw();
    let mut client = re::execution_client::ExecutionClient::new(channel(io).await);
    let mut stream = client.execute(request(&action)).await.unwrap().into_inner();
    let name = stream.message().await.unwrap().unwrap().name;
    server
        .executor
        .until("it started", |all| all.started() == 1)
        .await;
    serving.abort();
    while let Ok(Some(_)) = guarded("the end", stream.message()).await {}

    let mut client = server.execution().await;
    let wait = re::WaitExecutionRequest { name };
    let stream = client
        .wait_execution(wait.clone())
        .await
        .unwrap()
        .into_inner();
    gate.add_permits(1);
    assert_eq!(last(stream).await.result.unwrap().stdout_raw, b"ran");
    // Also when it is over, for a while.
    let stream = client.wait_execution(wait).await.unwrap().into_inner();
    assert_eq!(last(stream).await.result.unwrap().stdout_raw, b"ran");
    assert_eq!(
        (server.executor.started(), server.executor.cancelled()),
        (1, 0)
    );
}

#[tokio::test]
async fn waiting_for_what_nobody_knows_is_not_found() {
    let server = Server::start();
    let wait = re::WaitExecutionRequest {
        name: "operations/x".into(),
    };
    let status = server
        .execution()
        .await
        .wait_execution(wait)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn outputs_are_taken_into_the_response_on_request() {
    let server = Server::start();
    let action = server.put_action(&["some", "text"], |_| ());
    let plain = execute(&server, request(&action)).await.result.unwrap();
    assert_eq!(plain.output_files[0].contents, b"");
    for skip_cache_lookup in [false, true] {
        let mut wish = request(&action);
        wish.inline_output_files = vec!["out".into(), "no such".into()];
        wish.skip_cache_lookup = skip_cache_lookup;
        let result = execute(&server, wish).await.result.unwrap();
        assert_eq!(result.output_files[0].contents, b"some text");
    }
    // What is kept has it not inside.
    let kept = execute(&server, request(&action)).await.result.unwrap();
    assert_eq!(kept.output_files[0].contents, b"");
}

#[tokio::test]
async fn an_execution_waits_for_blobs_that_its_client_is_sending() {
    let server = Server::with_script(|job, store| {
        Box::pin(async move {
            let missing = store.missing([&job.action.input_root]);
            if missing.is_empty() {
                echo(&job, &store)
            } else {
                Err(ExecuteError::MissingBlobs(missing))
            }
        })
    });
    let root = re::Directory {
        symlinks: vec![re::SymlinkNode {
            name: "a".into(),
            target: "b".into(),
            ..re::SymlinkNode::default()
        }],
        ..re::Directory::default()
    };
    let root = root.encode_to_vec();
    let digest = Digest::of(DigestFunction::Sha256, &root);
    let action = server.put_action(&["a"], |action| {
        action.input_root_digest = Some(message(&digest));
    });
    // Both calls on one connection, the upload open until the executor has missed the blob.
    let channel = server.connect().await;
    let mut bytes =
        bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient::new(
            channel.clone(),
        );
    let (messages, stream) = tokio::sync::mpsc::channel(1);
    let write = |finish| bazel_remote_apis::google::bytestream::WriteRequest {
        resource_name: format!("uploads/u/blobs/{}/{}", message(&digest).hash, root.len()),
        write_offset: if finish { 1 } else { 0 },
        finish_write: finish,
        data: if finish {
            root[1..].to_vec()
        } else {
            root[..1].to_vec()
        },
    };
    messages.send(write(false)).await.unwrap();
    let stream = tokio_stream::wrappers::ReceiverStream::new(stream);
    let upload = tokio::spawn(async move { bytes.write(stream).await });
    // The server has seen the upload when it answers a later call.
    let mut client = re::execution_client::ExecutionClient::new(channel);
    let none = re::WaitExecutionRequest {
        name: String::new(),
    };
    client.wait_execution(none).await.unwrap_err();
    let stream = client.execute(request(&action)).await.unwrap().into_inner();
    server
        .executor
        .until("it was tried", |all| all.started() == 1)
        .await;
    messages.send(write(true)).await.unwrap();
    let response = last(stream).await;
    assert_eq!(response.status, None);
    assert_eq!(server.executor.started(), 2);
    guarded("the upload", upload).await.unwrap().unwrap();
}

#[tokio::test]
async fn clients_are_described_to_the_executor() {
    let seen = Arc::new(std::sync::Mutex::new(None));
    let inner = seen.clone();
    let server = Server::with_script(move |job, store| {
        *inner.lock().unwrap() = Some((job.client.clone(), job.priority));
        Box::pin(async move { echo(&job, &store) })
    });
    let action = server.put_action(&["a"], |_| ());
    let metadata = re::RequestMetadata {
        tool_details: Some(re::ToolDetails {
            tool_name: "some tool".into(),
            tool_version: "x".repeat(1000),
        }),
        tool_invocation_id: "run 7".into(),
        ..re::RequestMetadata::default()
    };
    let mut ask = request(&action);
    ask.execution_policy = Some(re::ExecutionPolicy { priority: -5 });
    let mut ask = tonic::Request::new(ask);
    ask.metadata_mut().insert_bin(
        "build.bazel.remote.execution.v2.requestmetadata-bin",
        tonic::metadata::MetadataValue::from_bytes(&metadata.encode_to_vec()),
    );
    let stream = server.execution().await.execute(ask).await.unwrap();
    last(stream.into_inner()).await;
    let (client, priority) = seen.lock().unwrap().take().unwrap();
    assert_eq!(client.peer.to_string(), "192.0.2.1:4711");
    assert_eq!(client.tool_name, "some tool");
    assert_eq!(client.tool_version.len(), 256);
    assert_eq!(client.invocation_id, "run 7");
    assert_eq!(priority, -5);
}

#[tokio::test]
async fn a_draining_server_answers_what_it_has_and_takes_no_more() {
    let (server, gate) = gated();
    let action = server.put_action(&["a"], |_| ());
    let (io, serving) = server.connect_raw();
    let mut client = re::execution_client::ExecutionClient::new(channel(io).await);
    let stream = client.execute(request(&action)).await.unwrap().into_inner();
    server
        .executor
        .until("it started", |all| all.started() == 1)
        .await;
    server.drain.send_replace(true);
    let other = server.put_action(&["b"], |_| ());
    gate.add_permits(1);
    assert_eq!(last(stream).await.result.unwrap().stdout_raw, b"ran");
    assert_eq!(guarded("the end", serving).await.unwrap(), Ok(()));
    assert!(client.execute(request(&other)).await.is_err());
}

#[tokio::test]
async fn many_executions_on_one_connection_each_get_their_own_answer() {
    let server = Server::start();
    let channel = server.connect().await;
    let done = Arc::new(AtomicUsize::new(0));
    let mut all = tokio::task::JoinSet::new();
    for n in 0..200 {
        let action = server.put_action(&["n", &n.to_string()], |_| ());
        let mut client = re::execution_client::ExecutionClient::new(channel.clone());
        let done = done.clone();
        all.spawn(async move {
            let mut wish = request(&action);
            wish.inline_output_files = vec!["out".into()];
            let stream = client.execute(wish).await.unwrap();
            let result = last(stream.into_inner()).await.result.unwrap();
            assert_eq!(result.output_files[0].contents, format!("n {n}").as_bytes());
            done.fetch_add(1, Ordering::SeqCst);
        });
    }
    guarded("all", async {
        while all.join_next().await.transpose().unwrap().is_some() {}
    })
    .await;
    assert_eq!(done.load(Ordering::SeqCst), 200);
    assert_eq!(Scripted::started(&server.executor), 200);
}
