//! What a worker's result means for the build: outputs as open files for the shim.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reapi::client::CallError;
use reapi::{ActionResult, OutputText};
use store::Digest;
use wire::{Destination, OutputFile};

use super::cache::Cache;
use super::prepare::Prepared;
use super::reads::Reads;
use super::worker::{NoResult, Worker};

/// Parts of messages of compilers that say that a file is missing. Where a scan was certain, this should not be.
const MISSING_FILE: &[&[u8]] = &[
    b"No such file or directory",
    b"file not found",
    b"cannot find",
];

/// Outputs from this size on, in bytes, go into a file that the shim gets, without being in memory as a whole more than
/// once on the way: precompiled headers may have hundreds of megabytes.
const LARGE_BYTES_MIN: u64 = 4 << 20;

/// Exit codes from here on tell of signals.
const SIGNAL_CODE_MIN: i32 = 128;

/// An output, or what the compiler has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) destination: Destination,
    pub(crate) bytes: Bytes,
    /// What the bytes are, if they were hashed on their way here.
    pub(crate) digest: Option<Digest>,
}

/// An output that is in a file.
#[derive(Debug, Clone)]
pub(crate) struct OpenOutput {
    /// As the user names it.
    pub(crate) name: OsString,
    pub(crate) file: Arc<File>,
    pub(crate) digest: Digest,
    /// The file is the cache's.
    pub(crate) is_kept: bool,
}

/// A result with all its bytes here.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// As `wait` tells it.
    pub(crate) wait_status: i32,
    /// Where the bytes belong; messages last.
    pub(crate) outputs: Vec<Output>,
    /// What is large or is in the cache already.
    pub(crate) open: Vec<OpenOutput>,
    /// The compile failed for a file that it did not find.
    pub(crate) misses_file: bool,
    /// It has read a file that the scan did not find.
    pub(crate) unexpected: Option<PathBuf>,
    /// The compiler was killed.
    pub(crate) was_killed: bool,
    /// From the first byte sent to the last received.
    pub(crate) took: Duration,
}

/// Brings a result here. What is large and may be kept comes into the cache at once.
///
/// # Errors
/// An output cannot be fetched.
pub(crate) async fn fetch(
    worker: &Worker,
    prepared: &Prepared,
    result: &ActionResult,
    cache: Option<&Cache>,
) -> Result<Answer, NoResult> {
    let cache = cache.filter(|_| prepared.may_be_kept && result.exit_code == 0);
    let mut outputs = Vec::with_capacity(result.files.len() + 2);
    let mut open = Vec::new();
    for (path, name) in &prepared.outputs {
        let Some(file) = result.files.iter().find(|file| file.path == *path) else {
            continue;
        };
        if file.digest.size_bytes >= LARGE_BYTES_MIN {
            let name = name.clone();
            open.push(fetch_large(worker, file, name, cache).await?);
            continue;
        }
        let (bytes, is_hashed) = contents(worker, file).await?;
        outputs.push(Output {
            destination: Destination::File(name.clone()),
            bytes,
            digest: is_hashed.then_some(file.digest),
        });
    }
    let stdout = text(worker, &result.stdout).await?;
    let stderr = text(worker, &result.stderr).await?;
    let listed = listed(worker, prepared, result).await?;
    let unexpected = prepared.unexpected(listed.as_ref(), &outputs);
    let mut answer = answer(result.exit_code, outputs, stdout, stderr);
    answer.unexpected = unexpected;
    answer.open = open;
    Ok(answer)
}

async fn fetch_large(
    worker: &Worker,
    output: &reapi::OutputFile,
    name: OsString,
    cache: Option<&Cache>,
) -> Result<OpenOutput, NoResult> {
    let digest = output.digest;
    let is_here = output.contents.len() as u64 == digest.size_bytes;
    if let Some(cache) = cache.filter(|_| !is_here)
        && let Some(file) = fetch_into(cache, worker, &digest).await?
    {
        return Ok(OpenOutput {
            name,
            file: Arc::new(file),
            digest,
            is_kept: true,
        });
    }
    let no_room = |error: std::io::Error| {
        NoResult::Call(CallError::NotTaken {
            digest,
            text: error.to_string(),
        })
    };
    let mut file = sys::sealable_file("output").map_err(no_room)?;
    if is_here {
        file.write_all(&output.contents).map_err(no_room)?;
    } else {
        worker
            .fetch_to(&digest, |piece| file.write_all(piece))
            .await?;
        // It is what its digest says, and stays so: whoever keeps it need not hash it again.
        sys::seal(&file).map_err(no_room)?;
    }
    Ok(OpenOutput {
        name,
        file: Arc::new(file),
        digest,
        is_kept: false,
    })
}

/// The output as a file of the cache, unpacked into it if it is not there yet. `None` if the cache does not take it.
async fn fetch_into(
    cache: &Cache,
    worker: &Worker,
    digest: &Digest,
) -> Result<Option<File>, NoResult> {
    let known = cache.open_output(digest);
    if known.is_some() {
        return Ok(known);
    }
    let Some(mut writer) = cache.writer(digest) else {
        return Ok(None);
    };
    let write = |piece: &[u8]| writer.write(piece).map_err(std::io::Error::other);
    match worker.fetch_unchecked(digest, write).await {
        // It is fetched anew, and whoever sent other bytes is told then.
        Err(NoResult::Call(CallError::NotTaken { .. })) => return Ok(None),
        outcome => outcome?,
    }
    Ok(writer
        .commit()
        .ok()
        .and_then(|()| cache.open_output(digest)))
}

/// The list of what the compiler has read, if it has written one for us.
async fn listed(
    worker: &Worker,
    prepared: &Prepared,
    result: &ActionResult,
) -> Result<Option<Bytes>, NoResult> {
    let Some(path) = prepared.reads.as_ref().and_then(Reads::path) else {
        return Ok(None);
    };
    match result.files.iter().find(|file| file.path == path) {
        Some(file) => Ok(Some(contents(worker, file).await?.0)),
        None => Ok(None),
    }
}

/// The bytes of an output, and whether they were hashed.
async fn contents(worker: &Worker, file: &reapi::OutputFile) -> Result<(Bytes, bool), NoResult> {
    if file.contents.len() as u64 == file.digest.size_bytes {
        Ok((file.contents.clone(), false))
    } else {
        Ok((worker.fetch(&file.digest).await?, true))
    }
}

/// Puts an answer together.
pub(crate) fn answer(
    exit_code: i32,
    mut outputs: Vec<Output>,
    stdout: Bytes,
    stderr: Bytes,
) -> Answer {
    let misses_file = exit_code != 0
        && MISSING_FILE
            .iter()
            .any(|words| memchr::memmem::find(&stderr, words).is_some());
    for (destination, bytes) in [(Destination::Stdout, stdout), (Destination::Stderr, stderr)] {
        if !bytes.is_empty() {
            outputs.push(Output {
                destination,
                bytes,
                digest: None,
            });
        }
    }
    let was_killed = exit_code >= SIGNAL_CODE_MIN;
    Answer {
        wait_status: if was_killed {
            exit_code - SIGNAL_CODE_MIN
        } else {
            exit_code << 8
        },
        outputs,
        open: Vec::new(),
        misses_file,
        unexpected: None,
        was_killed,
        took: Duration::ZERO,
    }
}

async fn text(worker: &Worker, text: &OutputText) -> Result<Bytes, NoResult> {
    match text.digest {
        Some(digest) if text.raw.len() as u64 != digest.size_bytes => worker.fetch(&digest).await,
        _ => Ok(text.raw.clone()),
    }
}

impl Output {
    /// Whether it is the file that the user names so.
    pub(crate) fn is_file(&self, name: &OsStr) -> bool {
        matches!(&self.destination, Destination::File(path) if path == name)
    }

    /// Whether it is something that the compiler has said.
    pub(crate) fn is_message(&self) -> bool {
        !matches!(self.destination, Destination::File(_))
    }
}

impl Answer {
    /// The outputs as open files, in the form that the shim wants.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn files(&self) -> std::io::Result<(Vec<OutputFile>, Vec<File>)> {
        let count = self.open.len() + self.outputs.len();
        let (mut outputs, mut files) = (Vec::with_capacity(count), Vec::with_capacity(count));
        // Messages last: what cannot be put in place is compiled here, where all is said again.
        for open in &self.open {
            outputs.push(OutputFile {
                destination: Destination::File(open.name.clone()),
                len: open.digest.size_bytes,
            });
            files.push(open.file.try_clone()?);
        }
        for output in &self.outputs {
            let mut file = sys::memory_file("output")?;
            file.write_all(&output.bytes)?;
            outputs.push(OutputFile {
                destination: output.destination.clone(),
                len: output.bytes.len() as u64,
            });
            files.push(file);
        }
        Ok((outputs, files))
    }

    /// Bytes of all outputs.
    pub(crate) fn len(&self) -> u64 {
        let in_memory = self.outputs.iter().map(|output| output.bytes.len() as u64);
        let open = self.open.iter().map(|output| output.digest.size_bytes);
        in_memory.chain(open).sum()
    }

    /// Whether the main output is among the files.
    pub(crate) fn has(&self, name: &OsStr) -> bool {
        self.outputs.iter().any(|output| output.is_file(name))
            || self.open.iter().any(|output| output.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_wait() {
        let of = |code| answer(code, Vec::new(), Bytes::new(), Bytes::new());
        assert_eq!(of(0).wait_status, 0);
        assert_eq!(of(1).wait_status, 0x100);
        assert_eq!(of(139).wait_status, 11);
        assert!(of(139).was_killed && !of(1).was_killed);
    }

    #[test]
    fn a_missing_file_is_noticed_where_the_compile_failed() {
        let text = Bytes::from_static(b"a.c:1:10: fatal error: x.h: No such file or directory\n");
        let of = |code| answer(code, Vec::new(), Bytes::new(), text.clone());
        assert!(of(1).misses_file && !of(0).misses_file);
        assert_eq!(of(1).outputs.len(), 1);
    }
}
