//! Clients that are silent, slow, greedy or mad: each costs bounded memory and no slot, and the
//! server goes on serving others.

use std::time::Duration;

use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use bazel_remote_apis::google::bytestream as bs;
use hyper::client::conn::http2::{self, SendRequest};
use prost::Message as _;
use store::{Digest, DigestFunction};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic_prost::ProstCodec;

use crate::harness::{Server, channel, guarded, message};

/// What a client begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

async fn works(server: &Server) {
    let request = re::GetCapabilitiesRequest::default();
    let mut client = server.capabilities().await;
    let answer = guarded("an answer", client.get_capabilities(request)).await;
    answer.unwrap();
}

#[tokio::test]
async fn noise_ends_the_connection() {
    let server = Server::start();
    for noise in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        let (mut io, serving) = server.connect_raw();
        io.write_all(noise).await.unwrap();
        io.write_all(&[0xff; 100]).await.unwrap();
        let served = guarded("the end", serving).await.unwrap();
        assert!(served.is_err(), "{served:?}");
    }
    works(&server).await;
}

#[tokio::test]
async fn random_frames_never_hurt() {
    let server = Server::start();
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..200 {
        let (mut io, serving) = server.connect_raw();
        let mut bytes = PREFACE.to_vec();
        for _ in 0..random.usize(1..20) {
            let len = random.u8(..40);
            bytes.extend([0, 0, len, random.u8(..10), random.u8(..)]);
            bytes.extend([0, 0, 0, random.u8(..4)]);
            bytes.extend(std::iter::repeat_with(|| random.u8(..)).take(usize::from(len)));
        }
        // The server may hang up in between.
        drop(io.write_all(&bytes).await);
        drop(io);
        drop(guarded("the end", serving).await.unwrap());
    }
    works(&server).await;
}

#[tokio::test]
async fn whoever_connects_and_says_nothing_is_hung_up_on() {
    let server = Server::start();
    tokio::time::pause();
    let (mut io, serving) = server.connect_raw();
    let served = serving.await.unwrap();
    assert!(served.unwrap_err().contains("did not ask for anything"));
    let mut rest = Vec::new();
    io.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn whoever_does_not_answer_pings_is_hung_up_on_and_its_job_ends() {
    let server = Server::with_script(|_, _| Box::pin(std::future::pending()));
    let action = server.put_action(&["a"], |_| ());
    let (near, mut far) = tokio::io::duplex(1 << 20);
    let (mut io, serving) = server.connect_raw();
    // A wire between the two, which can be cut without either end noticing.
    let (cut, is_cut) = tokio::sync::oneshot::channel::<()>();
    let wire = tokio::spawn(async move {
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut far, &mut io) => {}
            _ = is_cut => std::future::pending().await,
        }
    });
    let mut client = re::execution_client::ExecutionClient::new(channel(near).await);
    let request = re::ExecuteRequest {
        action_digest: Some(message(&action)),
        ..re::ExecuteRequest::default()
    };
    let stream = client.execute(request).await.unwrap();
    server
        .executor
        .until("it started", |all| all.started() == 1)
        .await;
    cut.send(()).unwrap();
    tokio::time::pause();
    let served = serving.await.unwrap();
    assert!(served.is_err(), "{served:?}");
    server
        .executor
        .until("it was cancelled", |all| all.cancelled() == 1)
        .await;
    drop((stream, wire));
}

#[tokio::test]
async fn a_message_longer_than_allowed_is_refused_before_it_is_read() {
    let server = Server::start();
    let request = re::FindMissingBlobsRequest {
        instance_name: "x".repeat(5 << 20),
        ..re::FindMissingBlobsRequest::default()
    };
    let status = server
        .cas()
        .await
        .find_missing_blobs(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    let request = re::ExecuteRequest {
        inline_output_files: vec!["x".repeat(1 << 20)],
        ..re::ExecuteRequest::default()
    };
    let status = server.execution().await.execute(request).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
}

#[tokio::test]
async fn a_message_of_very_many_fields_is_refused() {
    let server = Server::start();
    let request = re::FindMissingBlobsRequest {
        blob_digests: vec![re::Digest::default(); 1_000_000],
        ..re::FindMissingBlobsRequest::default()
    };
    let status = server
        .cas()
        .await
        .find_missing_blobs(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("entries"), "{status}");
}

#[tokio::test]
async fn directories_of_nothing_but_fields_cost_nothing() {
    let server = Server::start();
    // Two bytes for each empty node.
    let root = server.put(&b"\x0a\0".repeat(2 << 20));
    let request = re::GetTreeRequest {
        root_digest: Some(message(&root)),
        ..re::GetTreeRequest::default()
    };
    let stream = server.cas().await.get_tree(request).await.unwrap();
    let status = stream.into_inner().message().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let server = Server::start();
    let mut client = server.capabilities().await;
    let mut request = tonic::Request::new(re::GetCapabilitiesRequest::default());
    let value = "x".repeat(40 << 10).parse().unwrap();
    request.metadata_mut().insert("x", value);
    assert!(
        guarded("an answer", client.get_capabilities(request))
            .await
            .is_err()
    );
    works(&server).await;
}

#[tokio::test]
async fn uploads_that_pause_lose_their_turn_and_others_get_it() {
    let server = Server::start();
    let channel = server.connect().await;
    let mut held = Vec::new();
    let mut uploads = tokio::task::JoinSet::new();
    // More than may be at work at once.
    for n in 0..20_u8 {
        let bytes = vec![n; 1000];
        let digest = Digest::of(DigestFunction::Sha256, &bytes);
        let resource_name = format!("uploads/{n}/blobs/{}/1000", message(&digest).hash);
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let first = bs::WriteRequest {
            resource_name,
            data: bytes[..10].to_vec(),
            ..bs::WriteRequest::default()
        };
        sender.send(first).await.unwrap();
        held.push(sender);
        let mut client = bs::byte_stream_client::ByteStreamClient::new(channel.clone());
        uploads.spawn(async move { client.write(ReceiverStream::new(receiver)).await });
    }
    tokio::time::pause();
    let mut codes = Vec::new();
    while let Some(upload) = uploads.join_next().await {
        codes.push(upload.unwrap().unwrap_err().code());
    }
    assert_eq!(codes, [Code::DeadlineExceeded; 20]);
    tokio::time::resume();
    works(&server).await;
}

#[tokio::test]
async fn half_uploads_are_forgotten_in_time() {
    let server = Server::start();
    let bytes = vec![7; 100_000];
    let digest = Digest::of(DigestFunction::Sha256, &bytes);
    for n in 0..200 {
        let resource_name = format!("uploads/{n}/blobs/{}/100000", message(&digest).hash);
        let first = bs::WriteRequest {
            resource_name,
            data: bytes[..50_000].to_vec(),
            ..bs::WriteRequest::default()
        };
        let answer = server.bytes().await.write(tokio_stream::once(first)).await;
        assert_eq!(answer.unwrap().into_inner().committed_size, 50_000);
    }
    let writing = server.store.stats().writing_bytes;
    assert!((50_000..=64 * (1 << 20)).contains(&writing), "{writing}");
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(server.store.stats().writing_bytes, 0);
}

/// A connection on which calls are made by hand.
async fn by_hand(server: &Server) -> SendRequest<tonic::body::Body> {
    let (io, _) = server.connect_raw();
    let io = hyper_util::rt::TokioIo::new(io);
    let (client, connection) = http2::Builder::new(hyper_util::rt::TokioExecutor::new())
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(1 << 30)
        .handshake(io)
        .await
        .unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}

#[tokio::test]
async fn answers_that_nobody_reads_are_bounded() {
    let server = Server::start();
    let bytes = std::iter::repeat_with(|| fastrand::u8(..)).take(3 << 20);
    let digest = server.put(&bytes.collect::<Vec<u8>>());
    let request = re::BatchReadBlobsRequest {
        digests: vec![message(&digest)],
        ..re::BatchReadBlobsRequest::default()
    };
    let client = by_hand(&server).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let mut client = client.clone();
        let service = tower::service_fn(move |request| client.send_request(request));
        let origin = http::Uri::from_static("http://server");
        let mut grpc = tonic::client::Grpc::with_origin(service, origin);
        let request = tonic::Request::new(request.clone());
        calls.spawn(async move {
            let path = "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchReadBlobs";
            let path = http::uri::PathAndQuery::from_static(path);
            let codec = ProstCodec::<_, re::BatchReadBlobsResponse>::default();
            // As a stream: what it holds is read only when it is asked for.
            grpc.server_streaming(request, path, codec).await
        });
    }
    // The clock moves only when nothing else does.
    tokio::time::pause();
    let mut unread = Vec::new();
    let quiet = Duration::from_secs(1);
    while let Ok(call) = tokio::time::timeout(quiet, calls.join_next()).await {
        unread.push(call.unwrap().unwrap().unwrap().into_inner());
    }
    assert_eq!(unread.len(), 8, "as many as may be at work");
    // Others get their turn when one is given up.
    unread.clear();
    while let Ok(call) = tokio::time::timeout(quiet, calls.join_next()).await {
        unread.push(call.unwrap().unwrap().unwrap().into_inner());
    }
    assert_eq!(unread.len(), 8);
    tokio::time::resume();
    works(&server).await;
}

#[tokio::test]
async fn a_request_that_is_no_grpc_is_answered() {
    let server = Server::start();
    let mut client = by_hand(&server).await;
    for path in ["/", "/build.bazel.remote.execution.v2.Execution/Nothing"] {
        let request = http::Request::get(format!("http://x{path}"));
        let request = request.body(tonic::body::Body::empty()).unwrap();
        let answer = guarded("an answer", client.send_request(request))
            .await
            .unwrap();
        let code = answer.headers().get("grpc-status").unwrap();
        assert_eq!(code, &(Code::Unimplemented as i32).to_string());
    }
}

#[tokio::test]
async fn metadata_that_is_unreadable_is_as_if_it_were_not_there() {
    let server = Server::start();
    let action = server.put_action(&["a"], |_| ());
    let mut request = tonic::Request::new(re::ExecuteRequest {
        action_digest: Some(message(&action)),
        ..re::ExecuteRequest::default()
    });
    request.metadata_mut().insert_bin(
        "build.bazel.remote.execution.v2.requestmetadata-bin",
        tonic::metadata::MetadataValue::from_bytes(b"\xff\xff\xff"),
    );
    let stream = server.execution().await.execute(request).await.unwrap();
    let mut stream = stream.into_inner();
    let mut last = None;
    while let Some(operation) = guarded("a message", stream.message()).await.unwrap() {
        last = Some(operation);
    }
    assert!(last.unwrap().encoded_len() > 0);
}
