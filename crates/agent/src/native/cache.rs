//! Results of earlier compiles, kept on this machine: what was made once is not made again.
//!
//! The name of a result is the digest of its action, which holds everything that a compile can see: the command line,
//! the compiler with its libraries, every file that can be read with its path and content, the variables that matter.
//! So a result is right in every case in which the compiler would make the same again, and only successes are kept: a
//! failure may be the machine's.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use reapi::{ActionResult, OutputText};
use store::{Digest, DigestFunction, Options, Store};
use wire::{Destination, OutputFile};

use super::prepare::Prepared;
use super::result::{Answer, OpenOutput, Output};

/// How much is kept, unless `FARCC_CACHE_SIZE` says otherwise: the objects of some large projects.
const SIZE_DEFAULT: u64 = 5 << 30;

/// Longest message that is kept inside of a result, in bytes.
const TEXT_BYTES_MAX: u64 = 4 << 20;

/// Where results are kept, and how much of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSettings {
    /// The directory; made if missing.
    pub dir: PathBuf,
    /// Most bytes on disk.
    pub bytes_max: u64,
}

impl CacheSettings {
    /// From the agent's own variables: `FARCC_CACHE_DIR`, else a directory in its own, one for each user;
    /// `FARCC_CACHE_SIZE`. `None` with `FARCC_CACHE=0`.
    #[must_use]
    pub fn read(agent_dir: &Path, var: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        if is_off(var("FARCC_CACHE").as_deref()) {
            return None;
        }
        let size = var("FARCC_CACHE_SIZE");
        let size = size.and_then(|text| bytes(text.to_str()?));
        Some(Self {
            dir: var("FARCC_CACHE_DIR")
                .filter(|dir| !dir.is_empty())
                .map_or_else(
                    || agent_dir.join(format!("cache-{}", sys::realm::user_id())),
                    PathBuf::from,
                ),
            bytes_max: size.unwrap_or(SIZE_DEFAULT),
        })
    }
}

/// Whether a value of `FARCC_CACHE` turns it off.
pub(crate) fn is_off(value: Option<&OsStr>) -> bool {
    value.is_some_and(|value| value == "0")
}

/// `500M`, `5G`, `1048576`; units are powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().trim_end_matches(['B', 'b', 'i']);
    let (number, shift) = match text.char_indices().next_back()? {
        (at, 'K' | 'k') => (&text[..at], 10),
        (at, 'M' | 'm') => (&text[..at], 20),
        (at, 'G' | 'g') => (&text[..at], 30),
        (at, 'T' | 't') => (&text[..at], 40),
        _ => (text, 0),
    };
    let number: u64 = number.trim().parse().ok()?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
}

/// Kept results.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    store: Store,
    function: DigestFunction,
}

/// A kept result, ready for the shim.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) outputs: Vec<OutputFile>,
    pub(crate) files: Vec<File>,
}

impl Kept {
    /// Whether the compiler has said anything.
    pub(crate) fn has_messages(&self) -> bool {
        let is_message = |output: &OutputFile| output.destination == Destination::Stderr;
        self.outputs.iter().any(is_message)
    }
}

impl Cache {
    /// Opens it.
    ///
    /// # Errors
    /// Why there is none, for a log.
    pub(crate) fn open(settings: &CacheSettings, function: DigestFunction) -> Result<Self, String> {
        std::fs::create_dir_all(&settings.dir)
            .map_err(|error| format!("{}: {error}", settings.dir.display()))?;
        let options = Options {
            bytes_max: settings.bytes_max,
        };
        let store = Store::open(&settings.dir, options).map_err(|error| error.to_string())?;
        Ok(Self { store, function })
    }

    /// The result of an action, if it is known with all its bytes.
    pub(crate) fn get(&self, prepared: &Prepared) -> Option<Kept> {
        if !prepared.may_be_kept {
            return None;
        }
        let encoded = self.store.action(&prepared.digest).ok()??;
        let result = ActionResult::decode(self.function, &encoded).ok()?;
        let mut kept = Kept {
            outputs: Vec::with_capacity(result.files.len() + 2),
            files: Vec::with_capacity(result.files.len() + 2),
        };
        for (path, name) in &prepared.outputs {
            let Some(file) = result.files.iter().find(|file| file.path == *path) else {
                continue;
            };
            let destination = Destination::File(name.clone());
            if file.digest.size_bytes == 0 {
                kept.add(destination, sys::memory_file("output").ok()?, 0);
                continue;
            }
            let blob = self.store.open_blob(&file.digest).ok()??;
            kept.add(destination, blob.file, file.digest.size_bytes);
        }
        for (destination, text) in [
            (Destination::Stdout, &result.stdout),
            (Destination::Stderr, &result.stderr),
        ] {
            if !text.raw.is_empty() {
                use std::io::Write;
                let mut file = sys::memory_file("text").ok()?;
                file.write_all(&text.raw).ok()?;
                kept.add(destination, file, text.raw.len() as u64);
            }
        }
        Some(kept)
    }

    /// An output of an earlier compile.
    pub(crate) fn open_output(&self, digest: &Digest) -> Option<File> {
        Some(self.store.open_blob(digest).ok()??.file)
    }

    /// Takes an output in. `None` if there is no room for it.
    pub(crate) fn writer(&self, digest: &Digest) -> Option<store::Writer> {
        self.store.writer(*digest).ok()
    }

    /// Keeps an answer, if it is a success. Best effort: what cannot be kept is made again. Files that are kept are the
    /// cache's from then on, so that nobody needs them in memory as well.
    pub(crate) fn keep(&self, prepared: &Prepared, answer: &mut Answer) {
        if !prepared.may_be_kept || answer.wait_status != 0 {
            return;
        }
        for output in std::mem::take(&mut answer.outputs) {
            match self.take(&output) {
                Some(open) => answer.open.push(open),
                None => answer.outputs.push(output),
            }
        }
        let mut result = ActionResult::default();
        let path_of = |name: &OsStr| prepared.outputs.iter().find(|(_, known)| known == name);
        for open in &answer.open {
            let put = match open.is_kept {
                true => Ok(()),
                false => self.store.put_known(&open.digest, &open.file),
            };
            let (Some((path, _)), Ok(())) = (path_of(&open.name), put) else {
                return;
            };
            result.files.push(file(path, open.digest));
        }
        for output in &answer.outputs {
            match &output.destination {
                Destination::File(name) => {
                    let (Some((path, _)), true) = (path_of(name), output.bytes.is_empty()) else {
                        // It could not be taken in.
                        return;
                    };
                    let empty = Digest::of(self.function, b"");
                    result.files.push(file(path, empty));
                }
                Destination::Stdout => result.stdout = text(&output.bytes),
                Destination::Stderr => result.stderr = text(&output.bytes),
            }
        }
        if (result.stdout.raw.len() + result.stderr.raw.len()) as u64 > TEXT_BYTES_MAX {
            return;
        }
        result.files.sort_by(|a, b| a.path.cmp(&b.path));
        let _best_effort = self.store.put_action(&prepared.digest, &result.encode());
    }

    /// Takes a file in; what it is then. `None` if there is no room for it, or nothing in it.
    fn take(&self, output: &Output) -> Option<OpenOutput> {
        let Destination::File(name) = &output.destination else {
            return None;
        };
        if output.bytes.is_empty() {
            return None;
        }
        let digest = match output.digest {
            Some(digest) => {
                self.store.put_hashed(&digest, &output.bytes).ok()?;
                digest
            }
            None => self.store.put(self.function, &output.bytes).ok()?,
        };
        Some(OpenOutput {
            name: name.clone(),
            file: Arc::new(self.open_output(&digest)?),
            digest,
            is_kept: true,
        })
    }
}

impl Kept {
    fn add(&mut self, destination: Destination, file: File, len: u64) {
        self.outputs.push(OutputFile { destination, len });
        self.files.push(file);
    }
}

fn file(path: &str, digest: Digest) -> reapi::OutputFile {
    reapi::OutputFile {
        path: path.to_owned(),
        digest,
        is_executable: false,
        contents: Bytes::new(),
        properties: reapi::NodeProperties::default(),
    }
}

fn text(bytes: &Bytes) -> OutputText {
    OutputText {
        raw: bytes.clone(),
        digest: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, expect) in [
            ("5G", Some(5 << 30)),
            ("500MiB", Some(500 << 20)),
            ("1048576", Some(1 << 20)),
            ("2 k", Some(2048)),
            ("0", None),
            ("", None),
            ("G", None),
            ("x", None),
            ("99999999999T", None),
        ] {
            assert_eq!(bytes(text), expect, "{text}");
        }
    }

    #[test]
    fn it_can_be_turned_off() {
        let read = |value: Option<&str>| {
            CacheSettings::read(Path::new("/d"), |name| {
                value.filter(|_| name == "FARCC_CACHE").map(Into::into)
            })
        };
        assert!(read(Some("0")).is_none());
        assert!(read(None).unwrap().dir.starts_with("/d"));
        assert_eq!(read(Some("1")).unwrap().bytes_max, SIZE_DEFAULT);
    }
}
