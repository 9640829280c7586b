//! A server in memory, a scripted executor, and generated clients.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use re::action_cache_client::ActionCacheClient;
use re::capabilities_client::CapabilitiesClient;
use re::content_addressable_storage_client::ContentAddressableStorageClient;
use re::execution_client::ExecutionClient;
use reapi::{
    ActionResult, ExecuteError, Executor, Job, Progress, Services, WorkerStatus, serve_connection,
};
use store::{Digest, DigestFunction, Options, Store};
use tokio::io::DuplexStream;
use tokio::sync::{Notify, watch};
use tonic::transport::{Channel, Endpoint};

/// Long enough for the slowest machine; never waited for if all is well.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

/// Fails a test that hangs.
pub(crate) async fn guarded<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(GUARD, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen"),
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<ActionResult, ExecuteError>> + Send>>;
type Script = Box<dyn Fn(Job, Store) -> Answer + Send + Sync>;

/// Does what a test says, and counts.
pub(crate) struct Scripted {
    script: Mutex<Script>,
    store: Store,
    pub(crate) started: AtomicUsize,
    pub(crate) cancelled: AtomicUsize,
    pub(crate) changed: Notify,
    pub(crate) status: Mutex<WorkerStatus>,
}

/// Counts a job that was dropped before its end.
struct Running<'a> {
    executor: &'a Scripted,
    is_done: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.executor.cancelled.fetch_add(1, Ordering::SeqCst);
            self.executor.changed.notify_waiters();
        }
    }
}

#[async_trait::async_trait]
impl Executor for Scripted {
    async fn execute(&self, job: Job, progress: &Progress) -> Result<ActionResult, ExecuteError> {
        let mut running = Running {
            executor: self,
            is_done: false,
        };
        progress.executing();
        let answer = (self.script.lock().unwrap())(job, self.store.clone());
        self.started.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_waiters();
        let answer = answer.await;
        running.is_done = true;
        answer
    }

    fn status(&self) -> WorkerStatus {
        self.status.lock().unwrap().clone()
    }
}

impl Scripted {
    /// Waits until a condition holds that changes with a job's start or end.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Scripted) -> bool) {
        guarded(what, async {
            loop {
                let changed = self.changed.notified();
                let mut changed = std::pin::pin!(changed);
                changed.as_mut().enable();
                if condition(self) {
                    return;
                }
                changed.await;
            }
        })
        .await;
    }

    pub(crate) fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }

    pub(crate) fn cancelled(&self) -> usize {
        self.cancelled.load(Ordering::SeqCst)
    }
}

/// A server.
pub(crate) struct Server {
    pub(crate) store: Store,
    pub(crate) services: Services,
    pub(crate) executor: Arc<Scripted>,
    pub(crate) drain: watch::Sender<bool>,
    _dir: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::with_script(|job, store| Box::pin(async move { echo(&job, &store) }))
    }

    pub(crate) fn with_script(
        script: impl Fn(Job, Store) -> Answer + Send + Sync + 'static,
    ) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(
            &dir.path().join("store"),
            Options {
                bytes_max: 256 << 20,
            },
        );
        let store = store.unwrap();
        let executor = Arc::new(Scripted {
            script: Mutex::new(Box::new(script)),
            store: store.clone(),
            started: AtomicUsize::new(0),
            cancelled: AtomicUsize::new(0),
            changed: Notify::new(),
            status: Mutex::new(WorkerStatus {
                slots: 4,
                version: "1.2.3".into(),
                ..WorkerStatus::default()
            }),
        });
        let services = Services::new(store.clone(), executor.clone());
        Server {
            store,
            services,
            executor,
            drain: watch::Sender::new(false),
            _dir: dir,
        }
    }

    /// The client's end of a new connection.
    pub(crate) fn connect_raw(
        &self,
    ) -> (DuplexStream, tokio::task::JoinHandle<Result<(), String>>) {
        let (client, server) = tokio::io::duplex(64 << 10);
        let services = self.services.clone();
        let mut drain = self.drain.subscribe();
        let shutdown = async move {
            // An error says that the test is over.
            drop(drain.wait_for(|drain| *drain).await);
        };
        let peer = SocketAddr::from(([192, 0, 2, 1], 4711));
        let serving = tokio::spawn(async move {
            let served = serve_connection(server, peer, services, shutdown).await;
            served.map_err(|error| error.to_string())
        });
        (client, serving)
    }

    /// A generated client's channel over a connection of its own.
    pub(crate) async fn connect(&self) -> Channel {
        let (client, _) = self.connect_raw();
        channel(client).await
    }

    pub(crate) async fn cas(&self) -> ContentAddressableStorageClient<Channel> {
        ContentAddressableStorageClient::new(self.connect().await)
            .max_decoding_message_size(8 << 20)
    }

    pub(crate) async fn bytes(&self) -> ByteStreamClient<Channel> {
        ByteStreamClient::new(self.connect().await)
    }

    pub(crate) async fn cache(&self) -> ActionCacheClient<Channel> {
        ActionCacheClient::new(self.connect().await)
    }

    pub(crate) async fn capabilities(&self) -> CapabilitiesClient<Channel> {
        CapabilitiesClient::new(self.connect().await)
    }

    pub(crate) async fn execution(&self) -> ExecutionClient<Channel> {
        ExecutionClient::new(self.connect().await)
    }

    pub(crate) fn put(&self, bytes: &[u8]) -> Digest {
        self.store.put(DigestFunction::Sha256, bytes).unwrap()
    }

    /// Puts an action into the store whose command has these arguments.
    pub(crate) fn put_action(
        &self,
        arguments: &[&str],
        change: impl FnOnce(&mut re::Action),
    ) -> Digest {
        let command = re::Command {
            arguments: arguments.iter().map(ToString::to_string).collect(),
            output_paths: vec!["out".into()],
            ..re::Command::default()
        };
        let command = self.put(&command.encode_to_vec());
        let root = self.put(b"");
        let mut action = re::Action {
            command_digest: Some(message(&command)),
            input_root_digest: Some(message(&root)),
            ..re::Action::default()
        };
        change(&mut action);
        self.put(&action.encode_to_vec())
    }
}

pub(crate) async fn channel(io: DuplexStream) -> Channel {
    let mut io = Some(io);
    let connector = tower::service_fn(move |_| {
        let io = io
            .take()
            .ok_or_else(|| std::io::Error::other("the connection broke"));
        async move { io.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://server");
    endpoint.connect_with_connector(connector).await.unwrap()
}

/// The message of a digest, made by hand.
pub(crate) fn message(digest: &Digest) -> re::Digest {
    let mut hash = String::new();
    for byte in digest.hash {
        hash += &format!("{byte:02x}");
    }
    re::Digest {
        hash,
        size_bytes: digest.size_bytes.try_into().unwrap(),
    }
}

/// "Runs" a command: `fail` ends with 3, anything else writes its arguments to `out`, and `ran` to
/// standard output.
pub(crate) fn echo(job: &Job, store: &Store) -> Result<ActionResult, ExecuteError> {
    let text = job.command.arguments.join(" ");
    let digest = store.put(DigestFunction::Sha256, text.as_bytes()).unwrap();
    let mut result = ActionResult {
        exit_code: if job.command.arguments[0] == "fail" {
            3
        } else {
            0
        },
        ..ActionResult::default()
    };
    result.stdout.raw = b"ran".to_vec().into();
    result.metadata.worker = "test".into();
    result.files.push(reapi::OutputFile {
        path: "out".into(),
        digest,
        is_executable: false,
        contents: Default::default(),
        properties: reapi::NodeProperties::default(),
    });
    Ok(result)
}
