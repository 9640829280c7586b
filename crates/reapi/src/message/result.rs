//! `ActionResult`: what came of an action.

use bytes::Bytes;
use store::{Digest, DigestFunction};

use super::command::OutputKind;
use super::digest;
use super::directory::NodeProperties;
use super::metadata::ExecutionMetadata;
use crate::invalid::{In, Invalid, Problem};
use crate::path::{PathProblem, check_target};
use crate::wire::{Value, put_bytes, put_element, put_message, put_number, put_signed};

const RESULT: In = In("ActionResult");
const FILE: In = In("OutputFile");
const DIRECTORY: In = In("OutputDirectory");
const SYMLINK: In = In("OutputSymlink");

/// A file that the command wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFile {
    /// As the command names it.
    pub path: String,
    /// Its bytes.
    pub digest: Digest,
    /// Whether it may be run.
    pub is_executable: bool,
    /// Its bytes once more, if the client asked for them and they fit.
    pub contents: Bytes,
    /// What the client asked to know beside.
    pub properties: NodeProperties,
}

/// A directory that the command wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputDirectory {
    /// As the command names it.
    pub path: String,
    /// The [`Tree`](crate::Tree) of it.
    pub tree: Option<Digest>,
    /// Whether that tree holds each directory once, parents before children.
    pub is_topologically_sorted: bool,
    /// Its root's [`Directory`](crate::Directory), if that is in the store too.
    pub root: Option<Digest>,
}

/// A symbolic link that the command wrote at an output's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSymlink {
    /// As the command names it.
    pub path: String,
    /// Where it leads.
    pub target: String,
    /// What the command expected there: older clients look for links to files and links to
    /// directories in different places of the result.
    pub kind: OutputKind,
}

/// What the command wrote to standard output or standard error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutputText {
    /// The bytes themselves, if they are short or were asked for.
    pub raw: Bytes,
    /// Their digest, if they are in the store.
    pub digest: Option<Digest>,
}

impl OutputText {
    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty() && self.digest.is_none_or(|digest| digest.size_bytes == 0)
    }
}

/// What came of an action. An output that the command did not write is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ActionResult {
    /// Files.
    pub files: Vec<OutputFile>,
    /// Directories.
    pub directories: Vec<OutputDirectory>,
    /// Symbolic links at the paths of outputs. Those below a directory are in its tree.
    pub symlinks: Vec<OutputSymlink>,
    /// How the command ended; a signal as shells tell it, 128 and its number.
    pub exit_code: i32,
    /// Standard output.
    pub stdout: OutputText,
    /// Standard error.
    pub stderr: OutputText,
    /// When, where and with what it was executed.
    pub metadata: ExecutionMetadata,
}

impl ActionResult {
    /// Reads and checks an encoded result, whose digests are of `function`.
    ///
    /// Paths are checked to be relative; which of them were asked for, only the caller knows.
    ///
    /// # Errors
    /// Not a result, or one with an impossible digest, path or time.
    pub fn decode(function: DigestFunction, bytes: &[u8]) -> Result<ActionResult, Invalid> {
        let mut result = ActionResult::default();
        for field in RESULT.fields(bytes) {
            let (number, value) = field?;
            let at = |field| RESULT.at(field, value.bytes());
            match number {
                2 => result
                    .files
                    .push(decode_file(function, at("output_files")?)?),
                3 => {
                    let bytes = at("output_directories")?;
                    result.directories.push(decode_directory(function, bytes)?);
                }
                4 => result.exit_code = RESULT.at("exit_code", value.i32())?,
                5 => result.stdout.raw = Bytes::copy_from_slice(at("stdout_raw")?),
                6 => result.stdout.digest = digest_of(function, "stdout_digest", value)?,
                7 => result.stderr.raw = Bytes::copy_from_slice(at("stderr_raw")?),
                8 => result.stderr.digest = digest_of(function, "stderr_digest", value)?,
                9 => result.metadata = ExecutionMetadata::decode(at("execution_metadata")?)?,
                10 => result.push_symlink(at("output_file_symlinks")?, OutputKind::File)?,
                11 => {
                    result.push_symlink(at("output_directory_symlinks")?, OutputKind::Directory)?
                }
                12 => result.push_symlink(at("output_symlinks")?, OutputKind::Any)?,
                _ => {}
            }
        }
        Ok(result)
    }

    /// Servers may tell a link twice, in the old place and in the new one.
    fn push_symlink(&mut self, bytes: &[u8], kind: OutputKind) -> Result<(), Invalid> {
        let link = decode_symlink(bytes, kind)?;
        if kind == OutputKind::Any {
            self.symlinks.retain(|known| known.path != link.path);
        } else if self.symlinks.iter().any(|known| known.path == link.path) {
            return Ok(());
        }
        self.symlinks.push(link);
        Ok(())
    }

    /// The encoding. Empty output is told as its empty bytes, without a digest.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        self.put_fields(&mut out);
        out
    }

    /// Appends the fields of the message.
    pub(crate) fn put_fields(&self, out: &mut Vec<u8>) {
        for file in &self.files {
            put_message(out, 2, |out| file.put_fields(out));
        }
        for directory in &self.directories {
            put_message(out, 3, |out| directory.put_fields(out));
        }
        put_signed(out, 4, self.exit_code.into());
        for (number, text) in [(5, &self.stdout), (7, &self.stderr)] {
            put_bytes(out, number, &text.raw);
            if let Some(digest) = &text.digest {
                digest::put(out, number + 1, digest);
            }
        }
        self.metadata.put(out, 9);
        for (number, kind) in [
            (10, OutputKind::File),
            (11, OutputKind::Directory),
            (12, OutputKind::Any),
        ] {
            for link in self.symlinks.iter().filter(|link| link.kind == kind) {
                put_message(out, number, |out| {
                    put_element(out, 1, link.path.as_bytes());
                    put_bytes(out, 2, link.target.as_bytes());
                });
            }
        }
    }

    /// Every blob that the result names itself. What a tree names is in the tree.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        let files = self.files.iter().map(|file| file.digest);
        let directories = self.directories.iter();
        let directories =
            directories.flat_map(|directory| directory.tree.into_iter().chain(directory.root));
        let texts = [&self.stdout, &self.stderr].into_iter();
        let texts = texts.filter_map(|text| text.digest);
        files.chain(directories).chain(texts)
    }
}

impl OutputFile {
    fn put_fields(&self, out: &mut Vec<u8>) {
        put_element(out, 1, self.path.as_bytes());
        digest::put(out, 2, &self.digest);
        put_number(out, 4, self.is_executable.into());
        put_bytes(out, 5, &self.contents);
        self.properties.put(out, 7);
    }
}

impl OutputDirectory {
    fn put_fields(&self, out: &mut Vec<u8>) {
        put_bytes(out, 1, self.path.as_bytes());
        if let Some(digest) = &self.tree {
            digest::put(out, 3, digest);
        }
        put_number(out, 4, self.is_topologically_sorted.into());
        if let Some(digest) = &self.root {
            digest::put(out, 5, digest);
        }
    }
}

fn digest_of(
    function: DigestFunction,
    field: &'static str,
    value: Value<'_>,
) -> Result<Option<Digest>, Invalid> {
    digest::decode(function, RESULT.at(field, value.bytes())?).map(Some)
}

fn path(message: In, value: Value<'_>) -> Result<String, Invalid> {
    let path = message.at("path", value.text())?;
    let problem = if path.starts_with('/') {
        PathProblem::Absolute(path.into())
    } else if path.contains('\0') {
        PathProblem::Zero(path.into())
    } else {
        return Ok(path.into());
    };
    message.at("path", Err(Problem::Path(problem)))
}

fn decode_file(function: DigestFunction, bytes: &[u8]) -> Result<OutputFile, Invalid> {
    let (mut name, mut digest, mut is_executable) = (String::new(), None, false);
    let (mut contents, mut properties) = (Bytes::new(), NodeProperties::default());
    for field in FILE.fields(bytes) {
        match field? {
            (1, value) => name = path(FILE, value)?,
            (2, value) => {
                let bytes = FILE.at("digest", value.bytes())?;
                digest = Some(digest::decode(function, bytes)?);
            }
            (4, value) => is_executable = FILE.at("is_executable", value.bool())?,
            (5, value) => contents = Bytes::copy_from_slice(FILE.at("contents", value.bytes())?),
            (7, value) => {
                let bytes = FILE.at("node_properties", value.bytes())?;
                properties = NodeProperties::decode(bytes)?;
            }
            _ => {}
        }
    }
    Ok(OutputFile {
        path: name,
        digest: FILE.required("digest", digest)?,
        is_executable,
        contents,
        properties,
    })
}

fn decode_directory(function: DigestFunction, bytes: &[u8]) -> Result<OutputDirectory, Invalid> {
    let mut directory = OutputDirectory {
        path: String::new(),
        tree: None,
        is_topologically_sorted: false,
        root: None,
    };
    for field in DIRECTORY.fields(bytes) {
        let (number, value) = field?;
        let digest = |field| digest::decode(function, DIRECTORY.at(field, value.bytes())?);
        match number {
            1 => directory.path = path(DIRECTORY, value)?,
            3 => directory.tree = Some(digest("tree_digest")?),
            4 => {
                directory.is_topologically_sorted =
                    DIRECTORY.at("is_topologically_sorted", value.bool())?;
            }
            5 => directory.root = Some(digest("root_directory_digest")?),
            _ => {}
        }
    }
    if directory.tree.is_none() && directory.root.is_none() {
        return DIRECTORY.at("tree_digest", Err(Problem::Missing));
    }
    Ok(directory)
}

fn decode_symlink(bytes: &[u8], kind: OutputKind) -> Result<OutputSymlink, Invalid> {
    let (mut name, mut target) = (String::new(), "");
    for field in SYMLINK.fields(bytes) {
        match field? {
            (1, value) => name = path(SYMLINK, value)?,
            (2, value) => target = SYMLINK.at("target", value.text())?,
            _ => {}
        }
    }
    SYMLINK.at("target", check_target(target))?;
    Ok(OutputSymlink {
        path: name,
        target: target.into(),
        kind,
    })
}
