//! The client against our own server; `casd` has it against another's.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use reapi::client::{CallError, Caller, Client, PackedBlob, Wanted};
use reapi::{Command, ExecuteError, OutputKind, OutputPath, RelativePath, Stage};
use store::{Digest, DigestFunction};
use tokio::io::DuplexStream;
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use crate::harness::{Server, echo, guarded};

async fn greet(io: DuplexStream, function: DigestFunction) -> Result<Client, CallError> {
    let caller = Caller::default();
    let connected = Client::connect(io, "server:3632", &caller, function);
    guarded("the greeting", connected).await
}

async fn connect(server: &Server, function: DigestFunction) -> Client {
    let (io, _) = server.connect_raw();
    greet(io, function).await.unwrap()
}

/// Something that does not compress to nothing.
fn sample(len: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..len)
        .map(|at| if at % 2 == 0 { random.u8(..) } else { b'x' })
        .collect()
}

fn blob(function: DigestFunction, bytes: Vec<u8>) -> (Digest, bytes::Bytes) {
    (Digest::of(function, &bytes), bytes.into())
}

#[tokio::test]
async fn blobs_of_all_sizes_go_there_and_come_back() {
    LocalSet::new()
        .run_until(async {
            for function in DigestFunction::ALL {
                let server = Server::start();
                let client = connect(&server, function).await;
                assert!(client.capabilities().executes);
                assert!(client.capabilities().streams_zstd);
                let sizes = [
                    0,
                    1,
                    100,
                    1023,
                    1024,
                    70_000,
                    1 << 20,
                    3 << 20,
                    5 << 20,
                    9_000_001,
                ];
                let blobs: Vec<_> = (0_u64..)
                    .zip(sizes)
                    .map(|(seed, size)| blob(function, sample(size, seed)))
                    .collect();
                let digests: Vec<_> = blobs.iter().map(|(digest, _)| *digest).collect();
                let missing = client.find_missing(&digests).await.unwrap();
                assert_eq!(missing, digests[1..], "the empty blob is always there");
                client.upload(blobs.clone()).await.unwrap();
                for (digest, bytes) in &blobs {
                    let kept = server.store.read(digest, 1 << 30).unwrap().unwrap();
                    assert_eq!(&kept, bytes);
                }
                assert_eq!(client.find_missing(&digests).await.unwrap(), []);
                let back = client.download_all(&digests).await.unwrap();
                assert!(blobs.iter().map(|(_, bytes)| bytes).eq(&back));
                // Once more, now that they are there.
                client.upload(blobs.clone()).await.unwrap();
                let (digest, bytes) = blobs.last().unwrap();
                let from = std::io::Cursor::new(bytes.clone());
                client.upload_stream(digest, from).await.unwrap();
            }
        })
        .await;
}

#[tokio::test]
async fn many_blobs_are_sent_in_batches_of_the_servers_size() {
    LocalSet::new()
        .run_until(async {
            let server = Server::start();
            let client = connect(&server, DigestFunction::Sha256).await;
            let blobs: Vec<_> = (0..3000_u32)
                .map(|n| blob(DigestFunction::Sha256, n.to_le_bytes().repeat(1000)))
                .collect();
            client.upload(blobs.clone()).await.unwrap();
            let missing = server.store.missing(blobs.iter().map(|(digest, _)| digest));
            assert_eq!(missing, []);
        })
        .await;
}

#[tokio::test]
async fn a_blob_is_packed_once_for_all_servers() {
    LocalSet::new()
        .run_until(async {
            let bytes = b"two words ".repeat(1 << 20);
            let digest = Digest::of(DigestFunction::Sha256, &bytes);
            let packed = PackedBlob::make(&digest, bytes.as_slice()).unwrap();
            assert!(packed.packed_bytes() < bytes.len() as u64);
            for _ in 0..2 {
                let server = Server::start();
                let client = connect(&server, DigestFunction::Sha256).await;
                assert!(client.takes_packed());
                client.upload_packed(&digest, &packed).await.unwrap();
                let kept = server.store.read(&digest, 1 << 30).unwrap().unwrap();
                assert!(kept == bytes);
                let other = Digest::of(DigestFunction::Sha256, b"other");
                let sent = client.upload_packed(&other, &packed).await;
                assert!(matches!(sent, Err(CallError::NotTaken { .. })), "{sent:?}");
            }
        })
        .await;
}

#[tokio::test]
async fn what_cannot_be_read_is_told() {
    LocalSet::new()
        .run_until(async {
            let server = Server::start();
            let client = connect(&server, DigestFunction::Sha256).await;
            let digest = Digest::of(DigestFunction::Sha256, &sample(6 << 20, 1));
            let sent = client.upload_stream(&digest, &b"short"[..]).await;
            assert!(matches!(sent, Err(CallError::NotTaken { .. })), "{sent:?}");
        })
        .await;
}

#[tokio::test]
async fn what_is_not_there_is_missing() {
    LocalSet::new()
        .run_until(async {
            let server = Server::start();
            let client = connect(&server, DigestFunction::Sha256).await;
            let (there, bytes) = blob(DigestFunction::Sha256, b"there".to_vec());
            client.upload(vec![(there, bytes)]).await.unwrap();
            let absent = Digest::of(DigestFunction::Sha256, b"absent");
            let big = Digest {
                size_bytes: 50 << 20,
                ..absent
            };
            for (wanted, missing) in [(vec![there, absent], absent), (vec![big], big)] {
                let error = client.download_all(&wanted).await.unwrap_err();
                assert_eq!(error, CallError::Missing(vec![missing]));
            }
        })
        .await;
}

#[tokio::test]
async fn a_blob_that_is_another_than_announced_is_not_taken() {
    LocalSet::new().run_until(async {
        let server = Server::start();
        let client = connect(&server, DigestFunction::Blake3).await;
        let digest = Digest::of(DigestFunction::Blake3, b"promised");
        for bytes in [&b"received"[..], b"promise", b"promised and more"] {
            let sent = client.upload(vec![(digest, bytes.to_vec().into())]).await;
            assert!(
                matches!(&sent, Err(CallError::NotTaken { digest: named, .. }) if *named == digest),
                "{sent:?}"
            );
        }
        let big = sample(6 << 20, 1);
        let promised = Digest {
            hash: digest.hash,
            ..Digest::of(DigestFunction::Blake3, &big)
        };
        let sent = client.upload_stream(&promised, std::io::Cursor::new(big.clone())).await;
        assert!(matches!(sent, Err(CallError::NotTaken { .. })), "{sent:?}");
        let longer = Digest {
            size_bytes: promised.size_bytes + 1,
            ..promised
        };
        let sent = client.upload_stream(&longer, std::io::Cursor::new(big)).await;
        assert!(matches!(sent, Err(CallError::NotTaken { .. })), "{sent:?}");
        assert!(!server.store.contains(&digest));
    })
    .await;
}

/// A command and an action for it, sent by the client.
async fn send_action(client: &Client, function: DigestFunction, text: &str) -> Digest {
    let command = Command {
        arguments: vec!["echo".into(), text.into()],
        outputs: vec![OutputPath {
            path: "out".into(),
            resolved: RelativePath::new("out").unwrap(),
            kind: OutputKind::File,
        }],
        ..Command::default()
    };
    let command = blob(function, command.encode());
    let action = reapi::Action {
        command: command.0,
        input_root: Digest::of(function, b""),
        timeout: None,
        do_not_cache: false,
        salt: Vec::new(),
        platform: reapi::Platform::default(),
    };
    let action = blob(function, action.encode());
    let digest = action.0;
    client.upload(vec![command, action]).await.unwrap();
    digest
}

#[tokio::test]
async fn actions_are_executed_and_then_known() {
    LocalSet::new()
        .run_until(async {
            let server = Server::start();
            let function = DigestFunction::Sha256;
            let client = connect(&server, function).await;
            let action = send_action(&client, function, "hello").await;
            let wanted = Wanted {
                inline: vec!["out".into()],
                ..Wanted::default()
            };
            assert_eq!(client.result(&action, &wanted).await.unwrap(), None);
            let first = client.execute(&action, &wanted, |_| ()).await.unwrap();
            assert!(!first.from_cache);
            assert_eq!(first.result.files[0].contents, "echo hello");
            assert_eq!(first.result.stdout.raw, "ran");
            let second = client.execute(&action, &wanted, |_| ()).await.unwrap();
            assert!(second.from_cache);
            assert_eq!(second.result, first.result);
            let known = client.result(&action, &wanted).await.unwrap();
            assert_eq!(known, Some(first.result.clone()));

            let mut other = first.result;
            other.exit_code = 0;
            other.stdout.raw = "put by hand".into();
            client.put_result(&action, &other).await.unwrap();
            let known = client.result(&action, &wanted).await.unwrap().unwrap();
            assert_eq!(known.stdout.raw, "put by hand");
        })
        .await;
}

#[tokio::test]
async fn what_an_action_lacks_is_told_wherever_it_is_found_out() {
    LocalSet::new()
        .run_until(async {
            for function in DigestFunction::ALL {
                let absent = Digest::of(function, b"absent");
                let server = Server::with_script(move |_, _| {
                    Box::pin(async move { Err(ExecuteError::MissingBlobs(vec![absent])) })
                });
                let client = connect(&server, function).await;
                let missing = Err(CallError::Missing(vec![absent]));
                // The action itself, before there is an operation.
                let executed = client.execute(&absent, &Wanted::default(), |_| ()).await;
                assert_eq!(executed, missing);
                // An input, in the operation's outcome.
                let action = send_action(&client, function, "x").await;
                let executed = client.execute(&action, &Wanted::default(), |_| ()).await;
                assert_eq!(executed, missing);
            }
        })
        .await;
}

#[tokio::test]
async fn blobs_may_be_on_their_way_when_the_action_is_asked_for() {
    LocalSet::new()
        .run_until(async {
            let server = Server::start();
            let function = DigestFunction::Blake3;
            let client = connect(&server, function).await;
            for round in 0..50 {
                let command = Command {
                    arguments: vec![
                        "echo".into(),
                        format!("{round} {}", "long ".repeat(round * 100)),
                    ],
                    ..Command::default()
                };
                let command = blob(function, command.encode());
                let action = reapi::Action {
                    command: command.0,
                    input_root: Digest::of(function, b""),
                    timeout: None,
                    do_not_cache: true,
                    salt: Vec::new(),
                    platform: reapi::Platform::default(),
                };
                let action = blob(function, action.encode());
                let digest = action.0;
                let wanted = Wanted::default();
                let (sent, executed) = tokio::join!(
                    client.upload(vec![command, action]),
                    client.execute(&digest, &wanted, |_| ()),
                );
                sent.unwrap();
                executed.unwrap();
            }
        })
        .await;
}

#[tokio::test]
async fn an_execution_survives_its_connection() {
    LocalSet::new()
        .run_until(async {
            let gate = Arc::new(Semaphore::new(0));
            let inner = gate.clone();
            let server = Rc::new(Server::with_script(move |job, store| {
                let gate = inner.clone();
                Box::pin(async move {
                    gate.acquire().await.unwrap().forget();
                    echo(&job, &store)
                })
            }));
            let (io, serving) = server.connect_raw();
            let function = DigestFunction::Sha256;
            let client = greet(io, function).await.unwrap();
            let action = send_action(&client, function, "x").await;
            let connects = Rc::new(Cell::new(0));
            let connect_again = {
                let (server, connects, gate) = (server.clone(), connects.clone(), gate.clone());
                async move || {
                    connects.set(connects.get() + 1);
                    gate.add_permits(1);
                    Ok(connect(&server, function).await)
                }
            };
            let stages = Rc::new(RefCell::new(Vec::new()));
            let seen = stages.clone();
            let executing = tokio::task::spawn_local(async move {
                let wanted = Wanted::default();
                let stage = |stage| seen.borrow_mut().push(stage);
                client
                    .execute_over(&action, &wanted, stage, connect_again)
                    .await
            });
            server
                .executor
                .until("it started", |all| all.started() == 1)
                .await;
            serving.abort();
            let executed = guarded("the result", executing).await.unwrap().unwrap();
            assert_eq!(executed.result.stdout.raw, "ran");
            assert_eq!(connects.get(), 1);
            assert_eq!(
                (server.executor.started(), server.executor.cancelled()),
                (1, 0)
            );
            assert!(stages.borrow().contains(&Stage::Executing));
        })
        .await;
}

#[tokio::test]
async fn dropping_an_execution_cancels_it_at_once() {
    LocalSet::new()
        .run_until(async {
            let server = Server::with_script(|_, _| Box::pin(std::future::pending()));
            let function = DigestFunction::Sha256;
            let client = connect(&server, function).await;
            let action = send_action(&client, function, "x").await;
            let wanted = Wanted::default();
            {
                let mut executing = std::pin::pin!(client.execute(&action, &wanted, |_| ()));
                tokio::select! {
                    _ = &mut executing => panic!("it cannot end"),
                    () = server.executor.until("it started", |all| all.started() == 1) => {}
                }
                tokio::time::pause();
            }
            let before = tokio::time::Instant::now();
            server
                .executor
                .until("it was cancelled", |all| all.cancelled() == 1)
                .await;
            assert!(before.elapsed().is_zero());
        })
        .await;
}

#[tokio::test]
async fn a_broken_connection_is_told_as_such() {
    LocalSet::new()
        .run_until(async {
            let server = Server::with_script(|_, _| Box::pin(std::future::pending()));
            let (io, serving) = server.connect_raw();
            let function = DigestFunction::Sha256;
            let client = greet(io, function).await.unwrap();
            let action = send_action(&client, function, "x").await;
            let executing = {
                let client = client.clone();
                tokio::task::spawn_local(async move {
                    client.execute(&action, &Wanted::default(), |_| ()).await
                })
            };
            server
                .executor
                .until("it started", |all| all.started() == 1)
                .await;
            serving.abort();
            let executed = guarded("the end", executing).await.unwrap();
            assert!(
                matches!(executed, Err(CallError::Unavailable(_))),
                "{executed:?}"
            );
            assert!(client.is_closed());
            let asked = client.find_missing(&[action]).await;
            assert!(matches!(asked, Err(CallError::Unavailable(_))), "{asked:?}");
        })
        .await;
}

#[tokio::test]
async fn whoever_does_not_speak_http2_does_not_speak_the_protocol() {
    use tokio::io::AsyncWriteExt;
    LocalSet::new()
        .run_until(async {
            let (io, mut other) = tokio::io::duplex(1 << 10);
            tokio::spawn(async move {
                other
                    .write_all(b"DONE00000002STAT00000000SERR00000000")
                    .await
                    .unwrap();
                other.shutdown().await.unwrap();
            });
            let function = DigestFunction::Sha256;
            let error = greet(io, function).await.unwrap_err();
            assert!(
                matches!(error, CallError::NotSpoken(_) | CallError::Unavailable(_)),
                "{error:?}"
            );
        })
        .await;
}

#[tokio::test]
async fn a_workers_status_is_told_when_it_changes() {
    LocalSet::new()
        .run_until(async {
            let server = Rc::new(Server::start());
            let client = connect(&server, DigestFunction::Sha256).await;
            let status = client.status().await.unwrap();
            assert_eq!((status.slots, status.version.as_str()), (4, "1.2.3"));
            let heard = Rc::new(RefCell::new(Vec::new()));
            let (told, changed) = (heard.clone(), server.clone());
            let watching = tokio::task::spawn_local(async move {
                client
                    .watch_status(|status| {
                        told.borrow_mut().push(status.running);
                        if status.running < 3 {
                            changed.executor.status.lock().unwrap().running += 1;
                            changed.services.status_changed();
                        } else {
                            changed.drain.send_replace(true);
                            changed.executor.started.fetch_add(1, Ordering::SeqCst);
                            changed.executor.changed.notify_waiters();
                        }
                    })
                    .await
            });
            server
                .executor
                .until("all was told", |all| all.started() == 1)
                .await;
            watching.abort();
            assert_eq!(*heard.borrow(), [0, 1, 2, 3]);
        })
        .await;
}
