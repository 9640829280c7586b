//! One worker: the connection that all jobs share, what it is known to have, and one action executed there.
//!
//! What a worker holds is remembered as far as this agent has seen it: blobs that were sent or asked about. It may
//! forget some to make room for others; then it names them when they are missed, and they are sent again. An action is
//! asked for while its last blobs are still on their way: a worker waits for what its client is sending.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;
use reapi::client::{BatchedBlob, CallError, Client, Executed, Wanted};
use reapi::{ExecutionMetadata, MerkleTree, Stage};
use store::Digest;
use tokio::sync::OnceCell;

use super::packed::PackedFiles;
use super::prepare::{Prepared, Source};
use super::probe::Probe;
use super::reads::Reads;
use super::result::fetch;

/// How often missing blobs are sent again for one action before the worker is taken for broken.
const SENT_AGAIN_MAX: usize = 3;

/// Blobs that are sent at once without asking whether they are missing: a source, the directories above it, command
/// and action. More is worth a question.
const UNASKED_MAX: usize = 24;
const UNASKED_BYTES_MAX: u64 = 1 << 20;

/// Blobs of a worker that are remembered; beyond that all are forgotten and asked about again.
const KNOWN_MAX: usize = 2_000_000;

/// Why an action has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum NoResult {
    /// The worker, or the way there.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A file of this machine is not what it was when the action was made.
    #[error("{} changed while it was sent", .0.display())]
    Changed(PathBuf),
}

/// What went over the wire.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    /// Bytes of blobs sent, before compression.
    pub(crate) sent: u64,
}

/// What is wrong with a toolchain on a worker, if anything.
type Verdict = Result<(), String>;

/// A worker that has been greeted.
#[derive(Debug)]
pub(crate) struct Worker {
    client: Client,
    packed: Rc<PackedFiles>,
    known: RefCell<HashSet<Digest>>,
    /// Directories that it had with everything in them when it last ran something.
    whole: RefCell<HashSet<Digest>>,
    /// Held by whoever sends much, so that many jobs do not send the same.
    bulk: tokio::sync::Mutex<()>,
    /// Toolchains that were tried here: what is wrong with them, if anything.
    proofs: RefCell<HashMap<Digest, Rc<OnceCell<Verdict>>>>,
    /// Jobs at once, as it says; `None` if it is no farcc worker.
    pub(crate) slots: Cell<Option<u32>>,
}

/// A blob and where its bytes are.
struct Blob {
    digest: Digest,
    source: Source,
}

impl Worker {
    pub(crate) fn new(client: Client, packed: Rc<PackedFiles>) -> Self {
        Self {
            client,
            packed,
            known: RefCell::default(),
            whole: RefCell::default(),
            bulk: tokio::sync::Mutex::new(()),
            proofs: RefCell::default(),
            slots: Cell::new(None),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Asks how many jobs it takes at once. Others than farcc workers do not say.
    pub(crate) async fn ask_slots(&self) {
        if let Ok(status) = self.client.status().await {
            self.slots
                .set(Some(status.slots).filter(|slots| *slots > 0));
        }
    }

    /// Has the worker pass the test compile of an action's toolchain, once for each.
    ///
    /// # Errors
    /// There is no answer; in it, that the compiler does not do there what it does here.
    pub(crate) async fn prove(
        &self,
        prepared: &Prepared,
        traffic: &Cell<Traffic>,
    ) -> Result<Verdict, NoResult> {
        let Some(probe) = &prepared.probe else {
            return Ok(Ok(()));
        };
        let toolchain = prepared.installed.toolchain.digest();
        let cell = Rc::clone(self.proofs.borrow_mut().entry(toolchain).or_default());
        let verdict = cell
            .get_or_try_init(|| self.try_out(probe, traffic))
            .await?;
        Ok(verdict.clone())
    }

    async fn try_out(&self, probe: &Probe, traffic: &Cell<Traffic>) -> Result<Verdict, NoResult> {
        let executed = self.execute(&probe.prepared, traffic, |_| {}).await?;
        let answer = fetch(self, &probe.prepared, &executed.result, None).await?;
        if answer.wait_status != 0 {
            let said = answer.outputs.iter().map(|output| &output.bytes);
            let said = said
                .map(|bytes| String::from_utf8_lossy(bytes))
                .collect::<String>();
            let said = said.lines().next().unwrap_or_default().to_owned();
            return Ok(Err(format!("the compiler does not run there ({said})")));
        }
        let object = answer.outputs.iter().find(|output| !output.is_message());
        match object {
            Some(object) if object.bytes == probe.object => Ok(Ok(())),
            _ => Ok(Err(
                "the compiler makes another object there than here".to_owned()
            )),
        }
    }

    /// Has an action executed. `stage` hears how far it is.
    ///
    /// # Errors
    /// There is no result; that a command fails is no error.
    pub(crate) async fn execute(
        &self,
        prepared: &Prepared,
        traffic: &Cell<Traffic>,
        mut stage: impl FnMut(Stage),
    ) -> Result<Executed, NoResult> {
        let wanted = Wanted {
            inline: prepared
                .outputs
                .iter()
                .map(|(path, _)| path.as_str())
                .chain(prepared.reads.as_ref().and_then(Reads::path))
                .map(str::to_owned)
                .collect(),
            ..Wanted::default()
        };
        let mut attempts = 0;
        loop {
            let executed = self.send_and_execute(prepared, &wanted, traffic, &mut stage);
            match executed.await {
                Err(NoResult::Call(CallError::Missing(missing))) if attempts < SENT_AGAIN_MAX => {
                    attempts += 1;
                    self.forget(&missing);
                }
                Ok(executed) => {
                    self.has_all(&prepared.root);
                    return Ok(executed);
                }
                outcome => return outcome,
            }
        }
    }

    async fn send_and_execute(
        &self,
        prepared: &Prepared,
        wanted: &Wanted,
        traffic: &Cell<Traffic>,
        stage: &mut impl FnMut(Stage),
    ) -> Result<Executed, NoResult> {
        let unknown = self.unknown(prepared);
        let bytes = unknown
            .iter()
            .map(|blob| blob.digest.size_bytes)
            .sum::<u64>();
        if unknown.len() > UNASKED_MAX || bytes > UNASKED_BYTES_MAX {
            let one_at_a_time = self.bulk.lock().await;
            // Another job may have sent most of it.
            self.send_missing(self.unknown(prepared), traffic).await?;
            // Not while it is executed.
            drop(one_at_a_time);
            return Ok(self.client.execute(&prepared.digest, wanted, stage).await?);
        }
        let sending = async {
            if unknown.is_empty() {
                return Ok(());
            }
            self.send(unknown, traffic).await
        };
        if self.slots.get().is_none() {
            // Others do not wait for what is on its way.
            sending.await?;
            return Ok(self.client.execute(&prepared.digest, wanted, stage).await?);
        }
        let executing = self.client.execute(&prepared.digest, wanted, stage);
        // The result counts: an upload that failed shows as a blob that is missing.
        let (sent, executed) = tokio::join!(sending, executing);
        match (sent, executed) {
            (Err(error @ NoResult::Changed(_)), _) => Err(error),
            (_, executed) => Ok(executed?),
        }
    }

    /// What the worker is not known to have, each once.
    fn unknown(&self, prepared: &Prepared) -> Vec<Blob> {
        let (known, whole) = (self.known.borrow(), self.whole.borrow());
        let is_known = |digest: &Digest| digest.size_bytes == 0 || known.contains(digest);
        let mut seen = HashSet::new();
        let mut unknown = Vec::new();
        let mut add = |digest: Digest, source: Source| {
            if seen.insert(digest) {
                unknown.push(Blob { digest, source });
            }
        };
        let mut files = HashSet::new();
        prepared.root.walk(&mut |directory| {
            if whole.contains(&directory.digest()) {
                return false;
            }
            if !is_known(&directory.digest()) {
                let encoded = directory.encoded().clone();
                add(directory.digest(), Source::Bytes(encoded));
            }
            files.extend(directory.files().filter(|digest| !is_known(digest)));
            true
        });
        if let Some((digest, text)) = &prepared.text
            && files.remove(digest)
        {
            add(*digest, Source::Bytes(text.clone()));
        }
        // Mostly one is left, the source, which comes first.
        for (number, placed) in prepared.files.iter().enumerate() {
            if files.is_empty() {
                break;
            }
            if files.remove(&placed.digest) {
                let place = placed.way.place.clone();
                let source = match number {
                    0 => Source::OwnFile(place),
                    _ => Source::File(place),
                };
                add(placed.digest, source);
            }
        }
        for digest in files {
            if let Some(source) = prepared.installed.files.get(&digest) {
                add(digest, source.clone());
            }
        }
        let (command, encoded) = &prepared.command;
        for (digest, bytes) in [(command, encoded), (&prepared.digest, &prepared.action)] {
            if !is_known(digest) {
                add(*digest, Source::Bytes(bytes.clone()));
            }
        }
        unknown
    }

    /// It has run something in this input root.
    fn has_all(&self, root: &MerkleTree) {
        let mut whole = self.whole.borrow_mut();
        if whole.len() > KNOWN_MAX {
            whole.clear();
        }
        root.walk(&mut |directory| whole.insert(directory.digest()));
    }

    async fn send_missing(
        &self,
        blobs: Vec<Blob>,
        traffic: &Cell<Traffic>,
    ) -> Result<(), NoResult> {
        let digests: Vec<Digest> = blobs.iter().map(|blob| blob.digest).collect();
        let missing: HashSet<Digest> = self
            .client
            .find_missing(&digests)
            .await?
            .into_iter()
            .collect();
        self.learn(
            digests
                .into_iter()
                .filter(|digest| !missing.contains(digest)),
        );
        let blobs = blobs
            .into_iter()
            .filter(|blob| missing.contains(&blob.digest));
        self.send(blobs.collect(), traffic).await
    }

    async fn send(&self, blobs: Vec<Blob>, traffic: &Cell<Traffic>) -> Result<(), NoResult> {
        let batched_max = self.client.batched_bytes_max() as u64;
        let (small, large): (Vec<Blob>, Vec<Blob>) = blobs
            .into_iter()
            .partition(|blob| blob.digest.size_bytes <= batched_max);
        for blob in large {
            match &blob.source {
                Source::File(path) | Source::OwnFile(path) => {
                    self.send_large(&blob.digest, path).await?
                }
                Source::Bytes(bytes) => {
                    let reader = io::Cursor::new(bytes.clone());
                    self.client.upload_stream(&blob.digest, reader).await?;
                }
            }
            self.sent(traffic, [blob.digest]);
        }
        let mut batch = Vec::with_capacity(small.len());
        let mut batch_bytes = 0;
        for blob in small {
            let size = blob.digest.size_bytes;
            let blob = self.batched(blob)?;
            if batch_bytes + size > batched_max {
                self.send_batch(std::mem::take(&mut batch), traffic).await?;
                batch_bytes = 0;
            }
            batch_bytes += size;
            batch.push(blob);
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.send_batch(batch, traffic).await
    }

    /// A small blob in the form in which it is sent.
    fn batched(&self, blob: Blob) -> Result<BatchedBlob, NoResult> {
        let path = match blob.source {
            Source::Bytes(bytes) => return Ok(self.client.pack(blob.digest, bytes)),
            Source::OwnFile(path) => {
                let bytes = read(&path, &blob.digest)?;
                return Ok(self.client.pack(blob.digest, bytes));
            }
            Source::File(path) => path,
        };
        let known = self.packed.small(&blob.digest);
        if let Some(known) = known.filter(|known| self.client.takes(known)) {
            return Ok(known);
        }
        let bytes = read(&path, &blob.digest)?;
        let packed = self.client.pack(blob.digest, bytes);
        // All workers and what knows them share what is kept.
        if Rc::strong_count(&self.packed) > 2 {
            self.packed.keep_small(packed.clone());
        }
        Ok(packed)
    }

    async fn send_large(&self, digest: &Digest, path: &Path) -> Result<(), NoResult> {
        if self.client.takes_packed()
            && let Ok(blob) = self.packed.of(digest, path).await
        {
            let sent = self.client.upload_packed(digest, &blob).await;
            if let Err(CallError::NotTaken { .. }) = &sent {
                self.packed.forget(digest);
            }
            return Ok(sent?);
        }
        let file = File::open(path).map_err(|_| NoResult::Changed(path.to_owned()))?;
        Ok(self.client.upload_stream(digest, file).await?)
    }

    async fn send_batch(
        &self,
        batch: Vec<BatchedBlob>,
        traffic: &Cell<Traffic>,
    ) -> Result<(), NoResult> {
        let digests: Vec<Digest> = batch.iter().map(|blob| *blob.digest()).collect();
        self.client.upload_batched(batch).await?;
        self.sent(traffic, digests);
        Ok(())
    }

    fn sent(&self, traffic: &Cell<Traffic>, digests: impl IntoIterator<Item = Digest>) {
        let digests: Vec<Digest> = digests.into_iter().collect();
        let mut now = traffic.get();
        now.sent += digests.iter().map(|digest| digest.size_bytes).sum::<u64>();
        traffic.set(now);
        self.learn(digests);
    }

    fn learn(&self, digests: impl IntoIterator<Item = Digest>) {
        let mut known = self.known.borrow_mut();
        if known.len() > KNOWN_MAX {
            known.clear();
            self.whole.borrow_mut().clear();
        }
        known.extend(digests);
    }

    /// The worker says that it lacks these. Whoever lost some may have lost more.
    fn forget(&self, missing: &[Digest]) {
        self.whole.borrow_mut().clear();
        let mut known = self.known.borrow_mut();
        let knew_all = missing.iter().all(|digest| known.remove(digest));
        if !knew_all || missing.len() > UNASKED_MAX {
            known.clear();
        }
    }

    /// The bytes of an output, if they did not come with the result.
    ///
    /// # Errors
    /// The worker does not give them.
    pub(crate) async fn fetch(&self, digest: &Digest) -> Result<Bytes, NoResult> {
        Ok(self.client.download(digest).await?)
    }

    /// The same, piece by piece.
    ///
    /// # Errors
    /// The worker does not give them, or they are not taken.
    pub(crate) async fn fetch_to(
        &self,
        digest: &Digest,
        sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), NoResult> {
        Ok(self.client.download_to(digest, sink).await?)
    }

    /// The same for a sink that hashes what it is given.
    ///
    /// # Errors
    /// The worker does not give them, or they are not taken.
    pub(crate) async fn fetch_unchecked(
        &self,
        digest: &Digest,
        sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), NoResult> {
        Ok(self.client.download_unchecked(digest, sink).await?)
    }
}

/// Reads a file that is to be what it was.
fn read(path: &Path, digest: &Digest) -> Result<Bytes, NoResult> {
    let changed = || NoResult::Changed(path.to_owned());
    let mut file = File::open(path).map_err(|_| changed())?;
    let size = usize::try_from(digest.size_bytes).map_err(|_| changed())?;
    // One byte more shows that it has grown.
    let mut bytes = Vec::with_capacity(size + 1);
    (&mut file)
        .take(digest.size_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| changed())?;
    if Digest::of(digest.function, &bytes) != *digest {
        return Err(changed());
    }
    Ok(bytes.into())
}

/// How long the command itself took there, in milliseconds.
pub(crate) fn remote_ms(metadata: &ExecutionMetadata) -> u64 {
    let (Some(start), Some(end)) = (metadata.execution_start, metadata.execution_completed) else {
        return 0;
    };
    let time = end.duration_since(start).unwrap_or_default();
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
