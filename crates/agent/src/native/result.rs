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

/// A large output.
#[derive(Debug, Clone)]
pub(crate) struct LargeOutput {
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
    pub(crate) outputs: Vec<(Destination, Bytes)>,
    /// Files that are large.
    pub(crate) large: Vec<LargeOutput>,
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
    let mut large = Vec::new();
    for (path, name) in &prepared.outputs {
        let Some(file) = result.files.iter().find(|file| file.path == *path) else {
            continue;
        };
        if file.digest.size_bytes >= LARGE_BYTES_MIN {
            let name = name.clone();
            large.push(fetch_large(worker, file, name, cache).await?);
            continue;
        }
        let bytes = contents(worker, file).await?;
        outputs.push((Destination::File(name.clone()), bytes));
    }
    let stdout = text(worker, &result.stdout).await?;
    let stderr = text(worker, &result.stderr).await?;
    let listed = listed(worker, prepared, result).await?;
    let unexpected = prepared.unexpected(listed.as_ref(), &outputs);
    let mut answer = answer(result.exit_code, outputs, stdout, stderr);
    answer.unexpected = unexpected;
    answer.large = large;
    Ok(answer)
}

async fn fetch_large(
    worker: &Worker,
    output: &reapi::OutputFile,
    name: OsString,
    cache: Option<&Cache>,
) -> Result<LargeOutput, NoResult> {
    let digest = output.digest;
    let is_here = output.contents.len() as u64 == digest.size_bytes;
    if let Some(cache) = cache.filter(|_| !is_here)
        && let Some(file) = fetch_into(cache, worker, &digest).await?
    {
        return Ok(LargeOutput {
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
    Ok(LargeOutput {
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
        Some(file) => contents(worker, file).await.map(Some),
        None => Ok(None),
    }
}

async fn contents(worker: &Worker, file: &reapi::OutputFile) -> Result<Bytes, NoResult> {
    if file.contents.len() as u64 == file.digest.size_bytes {
        Ok(file.contents.clone())
    } else {
        worker.fetch(&file.digest).await
    }
}

/// Puts an answer together.
pub(crate) fn answer(
    exit_code: i32,
    mut outputs: Vec<(Destination, Bytes)>,
    stdout: Bytes,
    stderr: Bytes,
) -> Answer {
    let misses_file = exit_code != 0
        && MISSING_FILE
            .iter()
            .any(|words| memchr::memmem::find(&stderr, words).is_some());
    for (destination, bytes) in [(Destination::Stdout, stdout), (Destination::Stderr, stderr)] {
        if !bytes.is_empty() {
            outputs.push((destination, bytes));
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
        large: Vec::new(),
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

impl Answer {
    /// The outputs as open files, in the form that the shim wants.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn files(&self) -> std::io::Result<(Vec<OutputFile>, Vec<File>)> {
        let count = self.large.len() + self.outputs.len();
        let (mut outputs, mut files) = (Vec::with_capacity(count), Vec::with_capacity(count));
        // Messages last: what cannot be put in place is compiled here, where all is said again.
        for large in &self.large {
            outputs.push(OutputFile {
                destination: Destination::File(large.name.clone()),
                len: large.digest.size_bytes,
            });
            files.push(large.file.try_clone()?);
        }
        for (destination, bytes) in &self.outputs {
            let mut file = sys::memory_file("output")?;
            file.write_all(bytes)?;
            outputs.push(OutputFile {
                destination: destination.clone(),
                len: bytes.len() as u64,
            });
            files.push(file);
        }
        Ok((outputs, files))
    }

    /// Bytes of all outputs.
    pub(crate) fn len(&self) -> u64 {
        let small = self.outputs.iter().map(|(_, bytes)| bytes.len() as u64);
        small
            .chain(self.large.iter().map(|large| large.digest.size_bytes))
            .sum()
    }

    /// Whether the main output is among the files.
    pub(crate) fn has(&self, name: &OsStr) -> bool {
        let is_it = |(destination, _): &(Destination, Bytes)| matches!(destination, Destination::File(path) if path == name);
        self.outputs.iter().any(is_it) || self.large.iter().any(|large| large.name == name)
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
