//! From what a job left to what its client is told: files into the store, directories as trees.
//!
//! An output that is not there is left out, whatever the exit code; one of another kind than the
//! client asked for in the old way is an error, as the specification says. Links are told as they
//! are and never followed: what they lead to may be another output, or nothing.
//!
//! Blocks on the file system.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use reapi::{
    ActionResult, Command, Directory, DirectoryNode, ExecuteError, FileNode, Name, NodeProperties,
    OutputDirectory, OutputDirectoryFormat, OutputFile, OutputKind, OutputPath, OutputSymlink,
    OutputText, PATH_BYTES_MAX, SymlinkNode, TREE_BYTES_MAX, Tree,
};
use store::{Digest, DigestFunction, Store, StoreError};
use sys::sandbox::{Outcome, Output, OutputDirectory as Left, WalkLimits};

/// Files, directories and links in all directories among the outputs of a job.
const ENTRIES_MAX: usize = 200_000;

/// Levels of directories among outputs.
const DEPTH_MAX: usize = 128;

/// Bytes of standard output or standard error that are told in the result itself. Longer ones are
/// in the store only.
const INLINE_BYTES_MAX: u64 = 64 << 10;

/// Exit code of a command that could not be started, as shells have it.
const NOT_FOUND: i32 = 127;

/// Wait status of what was killed.
const SIGKILL: i32 = 9;

/// What keeps a result from being told.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadOutput {
    #[error("the output \"{path}\" is {found}; a {wanted} was asked for")]
    Kind {
        path: String,
        found: &'static str,
        wanted: &'static str,
    },
    #[error("the output \"{path}\" cannot be told: {why}")]
    Untellable { path: String, why: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<BadOutput> for ExecuteError {
    fn from(bad: BadOutput) -> ExecuteError {
        let text = bad.to_string();
        match bad {
            BadOutput::Kind { .. } | BadOutput::Untellable { .. } => {
                ExecuteError::FailedPrecondition(text)
            }
            BadOutput::Store(StoreError::TooBig { .. } | StoreError::Full { .. }) => {
                ExecuteError::ResourceExhausted(text)
            }
            BadOutput::Store(_) => ExecuteError::Internal(text),
        }
    }
}

/// Stores what a job left; the result has everything but its metadata.
pub(super) fn collect(
    store: &Store,
    function: DigestFunction,
    command: &Command,
    outcome: Outcome,
) -> Result<ActionResult, BadOutput> {
    let mut result = ActionResult {
        stdout: text(store, function, outcome.stdout)?,
        stderr: text(store, function, outcome.stderr)?,
        exit_code: exit_code(outcome.wait_status),
        ..ActionResult::default()
    };
    let mut collector = Collector {
        store,
        function,
        command,
        limits: WalkLimits {
            entries_max: ENTRIES_MAX,
            depth_max: DEPTH_MAX,
        },
    };
    for (wanted, found) in command.outputs.iter().zip(outcome.outputs) {
        collector.output(wanted, found, &mut result)?;
    }
    Ok(result)
}

/// The result of a command that could not be started, as a shell would have told it.
pub(super) fn not_started(
    store: &Store,
    function: DigestFunction,
    why: String,
) -> Result<ActionResult, BadOutput> {
    Ok(ActionResult {
        exit_code: NOT_FOUND,
        stderr: told(store, function, why.into_bytes())?,
        ..ActionResult::default()
    })
}

/// What there is of a command that was killed before its end: what it had printed.
pub(super) fn killed(
    store: &Store,
    function: DigestFunction,
    [stdout, stderr]: [File; 2],
) -> Result<ActionResult, BadOutput> {
    Ok(ActionResult {
        exit_code: exit_code(SIGKILL),
        stdout: text(store, function, stdout)?,
        stderr: text(store, function, stderr)?,
        ..ActionResult::default()
    })
}

/// As shells tell it.
fn exit_code(wait_status: i32) -> i32 {
    let signal = wait_status & 0x7f;
    if signal == 0 {
        (wait_status >> 8) & 0xff
    } else {
        128 + signal
    }
}

fn text(store: &Store, function: DigestFunction, mut file: File) -> Result<OutputText, BadOutput> {
    let bytes = file.metadata().map_or(0, |data| data.len());
    if bytes > INLINE_BYTES_MAX {
        return Ok(OutputText {
            raw: Default::default(),
            digest: Some(store.put_file(function, &file)?),
        });
    }
    let mut raw = Vec::new();
    let read = file
        .rewind()
        .and_then(|()| (&mut file).take(INLINE_BYTES_MAX).read_to_end(&mut raw));
    read.map_err(|error| BadOutput::Untellable {
        path: "standard output or error".into(),
        why: error.to_string(),
    })?;
    told(store, function, raw)
}

/// A short text, in the result and in the store: some clients look in one place only.
fn told(store: &Store, function: DigestFunction, raw: Vec<u8>) -> Result<OutputText, BadOutput> {
    let digest = match raw.is_empty() {
        true => None,
        false => Some(store.put(function, &raw)?),
    };
    let raw = raw.into();
    Ok(OutputText { raw, digest })
}

struct Collector<'a> {
    store: &'a Store,
    function: DigestFunction,
    command: &'a Command,
    limits: WalkLimits,
}

impl Collector<'_> {
    fn output(
        &mut self,
        wanted: &OutputPath,
        found: Output,
        result: &mut ActionResult,
    ) -> Result<(), BadOutput> {
        let path = &wanted.path;
        let refuse = |found, wanted| {
            Err(BadOutput::Kind {
                path: path.clone(),
                found,
                wanted,
            })
        };
        match (found, wanted.kind) {
            (Output::Missing, _) => {}
            (Output::File(_), OutputKind::Directory) => return refuse("a file", "directory"),
            (Output::Directory(_), OutputKind::File) => return refuse("a directory", "file"),
            (Output::File(file), _) => {
                let data = metadata(&file, path)?;
                result.files.push(OutputFile {
                    path: path.clone(),
                    digest: self.store.put_file(self.function, &file)?,
                    is_executable: is_executable(&data),
                    contents: Default::default(),
                    properties: self.properties(&data),
                });
            }
            (Output::Directory(directory), _) => {
                result.directories.push(self.directory(&directory, path)?);
            }
            (Output::Link(target), kind) => result.symlinks.push(OutputSymlink {
                path: path.clone(),
                target: link_target(&target, path)?,
                kind,
            }),
            (Output::Other(what), _) => return Err(untellable(path, what)),
        }
        Ok(())
    }

    /// Stores a directory as the client wants it.
    fn directory(&mut self, left: &Left, path: &str) -> Result<OutputDirectory, BadOutput> {
        let mut below = Below {
            encoded: Vec::new(),
            seen: HashSet::new(),
            bytes: 0,
        };
        let root_bytes = self.encode(left, path, &mut below)?;
        let format = self.command.directory_format;
        let mut told = OutputDirectory {
            path: path.to_owned(),
            tree: None,
            is_topologically_sorted: false,
            root: None,
        };
        if format != OutputDirectoryFormat::DirectoryOnly {
            // Children were done before their parents; the other way round is what is asked for.
            let children = below.encoded.iter().rev().map(Vec::as_slice);
            let tree = Tree::encode(&root_bytes, children);
            told.tree = Some(self.store.put(self.function, &tree)?);
            told.is_topologically_sorted = true;
        }
        if format != OutputDirectoryFormat::TreeOnly {
            for encoded in &below.encoded {
                self.store.put(self.function, encoded)?;
            }
            told.root = Some(self.store.put(self.function, &root_bytes)?);
        }
        Ok(told)
    }

    /// The encoding of one directory; those of all below it go to `below`.
    fn encode(&mut self, left: &Left, path: &str, below: &mut Below) -> Result<Vec<u8>, BadOutput> {
        let names = left.names(&mut self.limits);
        let mut directory = Directory::default();
        for name in names.map_err(|error| untellable(path, error))? {
            let path = format!("{path}/{}", name.to_string_lossy());
            let found = left.open(&name);
            let name = entry_name(&name, &path)?;
            match found {
                Output::Missing => {}
                Output::File(file) => {
                    let data = metadata(&file, &path)?;
                    directory.files.push(FileNode {
                        name,
                        digest: self.store.put_file(self.function, &file)?,
                        is_executable: is_executable(&data),
                        properties: self.properties(&data),
                    });
                }
                Output::Directory(inner) => {
                    let encoded = self.encode(&inner, &path, below)?;
                    let digest = Digest::of(self.function, &encoded);
                    directory.directories.push(DirectoryNode { name, digest });
                    below.add(digest, encoded, &path)?;
                }
                Output::Link(target) => directory.symlinks.push(SymlinkNode {
                    name,
                    target: link_target(&target, &path)?,
                    properties: NodeProperties::default(),
                }),
                Output::Other(what) => return Err(untellable(&path, what)),
            }
        }
        Ok(directory.encode())
    }

    /// What the client wants to know of a file besides.
    fn properties(&self, data: &Metadata) -> NodeProperties {
        let is_wanted = |name: &str| {
            let mut wanted = self.command.output_properties.iter();
            wanted.any(|wanted| wanted == name)
        };
        NodeProperties {
            mtime: data.modified().ok().filter(|_| is_wanted("mtime")),
            unix_mode: is_wanted("unix_mode").then_some(data.mode() & 0o7777),
        }
    }
}

/// Directories below one output.
struct Below {
    encoded: Vec<Vec<u8>>,
    seen: HashSet<Digest>,
    bytes: u64,
}

impl Below {
    fn add(&mut self, digest: Digest, encoded: Vec<u8>, path: &str) -> Result<(), BadOutput> {
        if self.seen.insert(digest) {
            self.bytes += encoded.len() as u64;
            if self.bytes > TREE_BYTES_MAX {
                let why = format!("all its directories take more than {TREE_BYTES_MAX} bytes");
                return Err(untellable(path, why));
            }
            self.encoded.push(encoded);
        }
        Ok(())
    }
}

fn untellable(path: &str, why: impl ToString) -> BadOutput {
    BadOutput::Untellable {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

fn metadata(file: &File, path: &str) -> Result<Metadata, BadOutput> {
    file.metadata()
        .map_err(|error: io::Error| untellable(path, error))
}

fn is_executable(data: &Metadata) -> bool {
    data.mode() & 0o111 != 0
}

fn entry_name(name: &OsStr, path: &str) -> Result<Name, BadOutput> {
    let text = name.to_str();
    let text = text.ok_or_else(|| untellable(path, "its name is not UTF-8"))?;
    Name::new(text).map_err(|problem| untellable(path, problem))
}

fn link_target(target: &Path, path: &str) -> Result<String, BadOutput> {
    match target.to_str() {
        Some(text) if text.len() <= PATH_BYTES_MAX => Ok(text.to_owned()),
        _ => Err(untellable(path, "it is a link to a name that is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_told_as_shells_do() {
        assert_eq!(
            [0, 256, 0xff00, 9, 11 | 0x80].map(exit_code),
            [0, 1, 255, 137, 139]
        );
    }

    /// What a client may look at: the text in the result, and that in the store.
    fn check_text(len: u64, is_inline: bool) {
        let dir = tempfile::tempdir().unwrap();
        let options = store::Options { bytes_max: 1 << 24 };
        let store = Store::open(&dir.path().join("store"), options).unwrap();
        let written = vec![b'w'; usize::try_from(len).unwrap()];
        let path = dir.path().join("text");
        std::fs::write(&path, &written).unwrap();
        let file = File::open(path).unwrap();
        let told = text(&store, DigestFunction::Sha256, file).unwrap();
        assert_eq!(told.raw == written, is_inline, "{len}");
        if len > 0 {
            let digest = told.digest.unwrap();
            assert_eq!(store.read(&digest, len).unwrap().unwrap(), written);
        } else {
            assert_eq!(told.digest, None);
        }
    }

    #[test]
    fn texts_are_in_the_store_and_short_ones_in_the_result_too() {
        check_text(0, true);
        check_text(1, true);
        check_text(INLINE_BYTES_MAX, true);
        check_text(INLINE_BYTES_MAX + 1, false);
    }
}
