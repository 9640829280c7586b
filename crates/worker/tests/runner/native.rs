//! A client of the Remote Execution API that says exactly what a test wants.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use reapi::client::{CallError, Caller, Client, Executed, Wanted};
use reapi::{
    Action, ActionResult, Command, Entry, InputRoot, MerkleTree, OutputKind, OutputPath, Platform,
    RelativePath,
};
use store::{Digest, DigestFunction};
use tokio::net::TcpSocket;
use tokio::task::LocalSet;

use crate::server::{PATIENCE, Server};

pub(crate) const FUNCTION: DigestFunction = DigestFunction::Blake3;

/// Runs a test that waits for several things at once.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let guarded = async { tokio::time::timeout(PATIENCE * 2, test).await };
    let done = LocalSet::new().block_on(&runtime, guarded);
    done.expect("the test hangs")
}

/// Fails if something does not happen.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = tokio::time::timeout(PATIENCE, future).await else {
        panic!("{what} did not happen")
    };
    value
}

/// Connects from an address of this machine, as one build.
pub(crate) async fn connect_from(server: &Server, address: u8, build: &str) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    let from = Ipv4Addr::new(127, 0, 0, address);
    socket.bind(SocketAddr::new(from.into(), 0)).unwrap();
    let to = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), server.port);
    let stream = socket.connect(to).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let caller = Caller {
        tool_name: "test".into(),
        tool_version: "1".into(),
        invocation_id: build.into(),
    };
    let client = Client::connect(stream, "worker", &caller, FUNCTION).await;
    client.unwrap()
}

pub(crate) async fn connect(server: &Server) -> Client {
    connect_from(server, 1, "build").await
}

/// An action and its blobs.
#[derive(Debug, Clone)]
pub(crate) struct Act {
    pub(crate) command: Command,
    pub(crate) timeout: Option<Duration>,
    pub(crate) platform: Platform,
    /// `do_not_cache`.
    pub(crate) is_alone: bool,
    entries: Vec<(String, Entry)>,
    directories: Vec<String>,
    blobs: Vec<(Digest, bytes::Bytes)>,
    /// Instead of what the entries make.
    pub(crate) root: Option<Digest>,
}

impl Act {
    /// An action with an empty input root.
    pub(crate) fn new<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Act {
        let arguments = arguments.into_iter().map(str::to_owned).collect();
        Act {
            command: Command {
                arguments,
                environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
                ..Command::default()
            },
            timeout: None,
            platform: Platform::default(),
            is_alone: true,
            entries: Vec::new(),
            directories: Vec::new(),
            blobs: Vec::new(),
            root: None,
        }
    }

    /// A shell's script.
    pub(crate) fn sh(script: &str) -> Act {
        Act::new(["/bin/sh", "-c", script])
    }

    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Act {
        self.add_file(path, content.as_ref(), false)
    }

    pub(crate) fn program(self, path: &str, content: impl AsRef<[u8]>) -> Act {
        self.add_file(path, content.as_ref(), true)
    }

    fn add_file(mut self, path: &str, content: &[u8], is_executable: bool) -> Act {
        let digest = Digest::of(FUNCTION, content);
        let entry = Entry::File {
            digest,
            is_executable,
        };
        self.entries.push((path.to_owned(), entry));
        self.blobs.push((digest, content.to_vec().into()));
        self
    }

    pub(crate) fn link(mut self, path: &str, target: &str) -> Act {
        let target = target.to_owned();
        self.entries
            .push((path.to_owned(), Entry::Symlink { target }));
        self
    }

    pub(crate) fn directory(mut self, path: &str) -> Act {
        self.directories.push(path.to_owned());
        self
    }

    pub(crate) fn output(self, path: &str) -> Act {
        self.output_of_kind(path, OutputKind::Any)
    }

    pub(crate) fn output_of_kind(mut self, path: &str, kind: OutputKind) -> Act {
        self.command.outputs.push(OutputPath {
            path: path.to_owned(),
            resolved: RelativePath::new(path).unwrap(),
            kind,
        });
        self
    }

    pub(crate) fn cwd(mut self, path: &str) -> Act {
        self.command.working_directory = RelativePath::new(path).unwrap();
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Act {
        self.command.environment.push((name.into(), value.into()));
        self
    }

    pub(crate) fn property(mut self, name: &str, value: &str) -> Act {
        self.platform.properties.push((name.into(), value.into()));
        self
    }

    /// The input root is the action's `/`.
    pub(crate) fn at_root(self) -> Act {
        self.property("InputRootAbsolutePath", "/")
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Act {
        self.timeout = Some(timeout);
        self
    }

    pub(crate) fn cached(mut self) -> Act {
        self.is_alone = false;
        self
    }

    /// The action's name, and everything that it consists of.
    pub(crate) fn blobs(&self) -> (Digest, Vec<(Digest, bytes::Bytes)>) {
        let mut blobs = self.blobs.clone();
        let mut put = |bytes: Vec<u8>| {
            let digest = Digest::of(FUNCTION, &bytes);
            blobs.push((digest, bytes.into()));
            digest
        };
        let command = put(self.command.encode());
        let mut root = InputRoot::new();
        for (path, entry) in &self.entries {
            root.add(path, entry.clone()).unwrap();
        }
        for path in &self.directories {
            root.add_directory(path).unwrap();
        }
        let tree = root.build(FUNCTION).unwrap();
        let action = Action {
            command,
            input_root: self.root.unwrap_or(tree.digest()),
            timeout: self.timeout,
            do_not_cache: self.is_alone,
            salt: Vec::new(),
            platform: self.platform.clone(),
        };
        let action = put(action.encode());
        tree.walk(&mut |directory: &MerkleTree| {
            blobs.push((directory.digest(), directory.encoded()));
            true
        });
        blobs.sort_by_key(|(digest, _)| *digest);
        blobs.dedup_by_key(|(digest, _)| *digest);
        (action, blobs)
    }

    /// Sends everything; the action's name.
    pub(crate) async fn upload(&self, client: &Client) -> Digest {
        let (action, blobs) = self.blobs();
        client.upload(blobs).await.unwrap();
        action
    }

    /// Sends and executes it.
    pub(crate) async fn ask(&self, client: &Client) -> Result<Executed, CallError> {
        let action = self.upload(client).await;
        let wanted = Wanted::default();
        client.execute(&action, &wanted, |_| {}).await
    }

    /// The result of a command that exits with 0.
    #[track_caller]
    pub(crate) fn succeeds(&self, client: &Client) -> impl Future<Output = ActionResult> + use<'_> {
        let (act, client) = (self.clone(), client.clone());
        async move {
            let result = act.ask(&client).await.unwrap().result;
            let stderr = text(&client, &result.stderr).await;
            assert_eq!(result.exit_code, 0, "{:?}: {stderr}", act.command.arguments);
            result
        }
    }

    /// What it writes to standard output.
    pub(crate) async fn says(&self, client: &Client) -> String {
        let result = self.succeeds(client).await;
        text(client, &result.stdout).await
    }
}

/// What was written to standard output or error.
pub(crate) async fn text(client: &Client, text: &reapi::OutputText) -> String {
    let bytes = match &text.digest {
        Some(digest) => client.download(digest).await.unwrap(),
        None => text.raw.clone(),
    };
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The content of an output file.
pub(crate) async fn content(client: &Client, result: &ActionResult, path: &str) -> Vec<u8> {
    let file = result.files.iter().find(|file| file.path == path);
    let file = file.unwrap_or_else(|| panic!("no {path} in {result:?}"));
    client.download(&file.digest).await.unwrap().to_vec()
}
