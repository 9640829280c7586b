//! Our client against our services. Other servers are for the end-to-end tests.

use std::io::Cursor;

use bytes::Bytes;
use reapi::Stage;
use reapi::client::{CallError, Caller, Client, Wanted};
use store::{Digest, DigestFunction};
use tokio::task::LocalSet;

use crate::harness::{Server, guarded};

async fn client_of(server: &Server, function: DigestFunction) -> Client {
    let (io, _) = server.connect_raw();
    let caller = Caller {
        tool_name: "test".into(),
        ..Caller::default()
    };
    Client::connect(io, "worker:3632", &caller, function)
        .await
        .unwrap()
}

/// Runs a test where tasks may stay on their thread.
async fn locally<T>(what: &str, test: impl Future<Output = T>) -> T {
    guarded(what, LocalSet::new().run_until(test)).await
}

#[tokio::test]
async fn capabilities_and_status_are_understood() {
    locally("asking", async {
        let server = Server::start();
        let client = client_of(&server, DigestFunction::Sha256).await;
        let known = client.capabilities();
        assert!(known.executes && known.batches_zstd && known.streams_zstd);
        assert!(known.functions.contains(&DigestFunction::Blake3));
        assert_eq!(client.status().await.unwrap().slots, 4);
        assert!(!client.is_closed());
    })
    .await;
}

#[tokio::test]
async fn blobs_go_there_and_back() {
    for function in DigestFunction::ALL {
        locally("sending", async {
            let server = Server::start();
            let client = client_of(&server, function).await;
            // One that compresses, one that does not, none, and one that is too long for a batch.
            let random: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
                .take(5000)
                .collect();
            let small = [vec![b'x'; 5000], random, b"y".to_vec()];
            let large = vec![7; 9 << 20];
            let digest = |bytes: &[u8]| Digest::of(function, bytes);
            let mut all: Vec<Digest> = small.iter().map(|bytes| digest(bytes)).collect();
            all.push(digest(&large));
            assert_eq!(client.find_missing(&all).await.unwrap(), all);
            let batch = small
                .iter()
                .map(|bytes| (digest(bytes), Bytes::from(bytes.clone())));
            client.upload(batch.collect()).await.unwrap();
            client
                .upload_stream(&all[3], Cursor::new(large.clone()))
                .await
                .unwrap();
            assert_eq!(client.find_missing(&all).await.unwrap(), []);
            for (digest, bytes) in all.iter().zip(small.iter().chain([&large])) {
                assert_eq!(client.download(digest).await.unwrap(), *bytes);
                assert_eq!(
                    server.store.read(digest, 10 << 20).unwrap().unwrap(),
                    *bytes
                );
            }
            let empty = digest(b"");
            assert_eq!(client.download(&empty).await.unwrap(), Bytes::new());
            let absent = digest(b"absent");
            assert_eq!(
                client.download(&absent).await,
                Err(CallError::Missing(vec![absent]))
            );
        })
        .await;
    }
}

#[tokio::test]
async fn many_blobs_are_sent_in_batches_of_the_servers_size() {
    locally("sending", async {
        let server = Server::start();
        let client = client_of(&server, DigestFunction::Sha256).await;
        let blobs: Vec<(Digest, Bytes)> = (0..3000u32)
            .map(|number| {
                let bytes = Bytes::from(number.to_le_bytes().repeat(1000));
                (Digest::of(DigestFunction::Sha256, &bytes), bytes)
            })
            .collect();
        client.upload(blobs.clone()).await.unwrap();
        let missing = server.store.missing(blobs.iter().map(|(digest, _)| digest));
        assert_eq!(missing, []);
    })
    .await;
}

#[tokio::test]
async fn bytes_that_are_not_the_digests_are_refused() {
    locally("lying", async {
        let server = Server::start();
        let client = client_of(&server, DigestFunction::Sha256).await;
        let digest = Digest::of(DigestFunction::Sha256, b"true");
        let lie = client
            .upload(vec![(digest, Bytes::from_static(b"lies"))])
            .await;
        assert!(matches!(lie, Err(CallError::Refused(_))), "{lie:?}");
        let short = client
            .upload_stream(&digest, Cursor::new(b"tr".to_vec()))
            .await;
        assert!(short.is_err(), "{short:?}");
        assert_eq!(client.find_missing(&[digest]).await.unwrap(), [digest]);
    })
    .await;
}

#[tokio::test]
async fn an_action_is_executed_with_its_outputs_inside() {
    locally("executing", async {
        let server = Server::start();
        let client = client_of(&server, DigestFunction::Sha256).await;
        let action = server.put_action(&["cc", "a.c"], |_| {});
        let wanted = Wanted {
            inline: vec!["out".into()],
            ..Wanted::default()
        };
        let mut stages = Vec::new();
        let executed = client.execute(&action, &wanted, |stage| stages.push(stage));
        let executed = executed.await.unwrap();
        assert!(!executed.from_cache);
        assert_eq!(executed.result.files[0].contents, "cc a.c");
        assert_eq!(executed.result.stdout.raw, "ran");
        assert!(stages.contains(&Stage::Executing), "{stages:?}");
        let again = client.execute(&action, &wanted, |_| {}).await.unwrap();
        assert!(again.from_cache);
        assert_eq!(again.result.files[0].contents, "cc a.c");
        let failed = server.put_action(&["fail"], |_| {});
        let failed = client.execute(&failed, &wanted, |_| {}).await.unwrap();
        assert_eq!(failed.result.exit_code, 3);
    })
    .await;
}

#[tokio::test]
async fn what_is_missing_is_named() {
    locally("executing", async {
        let server = Server::start();
        let client = client_of(&server, DigestFunction::Sha256).await;
        let action = Digest::of(DigestFunction::Sha256, b"nobody sent this");
        let executed = client.execute(&action, &Wanted::default(), |_| {}).await;
        assert_eq!(executed, Err(CallError::Missing(vec![action])));
    })
    .await;
}

#[tokio::test]
async fn a_server_of_something_else_is_told_apart() {
    locally("greeting", async {
        // Hangs up, as a stock server does.
        let (io, other) = tokio::io::duplex(1024);
        drop(other);
        let caller = Caller::default();
        let greeted = Client::connect(io, "worker", &caller, DigestFunction::Sha256).await;
        assert!(
            matches!(
                greeted,
                Err(CallError::Unavailable(_) | CallError::NotSpoken(_))
            ),
            "{greeted:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_ends_fails_its_calls() {
    locally("ending", async {
        let server = Server::start();
        let (io, serving) = server.connect_raw();
        let caller = Caller::default();
        let client = Client::connect(io, "worker", &caller, DigestFunction::Sha256)
            .await
            .unwrap();
        serving.abort();
        let asked = client
            .find_missing(&[Digest::of(DigestFunction::Sha256, b"x")])
            .await;
        assert!(matches!(asked, Err(CallError::Unavailable(_))), "{asked:?}");
        assert!(client.is_closed());
    })
    .await;
}
