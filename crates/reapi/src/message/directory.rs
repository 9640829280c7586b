//! `Directory`: one level of a tree of files, named by the digest of its encoding.
//!
//! Only the canonical form is read: entries sorted, names unique. So a directory has one digest,
//! and whoever materialises it need not ask what two entries of one name would mean.

use std::time::SystemTime;

use store::{Digest, DigestFunction};

use super::{digest, time};
use crate::invalid::{In, Invalid, Problem};
use crate::path::{Name, check_target};
use crate::wire::{put_bytes, put_element, put_message, put_number};

const DIRECTORY: In = In("Directory");
const FILE: In = In("FileNode");
const SUBDIRECTORY: In = In("DirectoryNode");
const SYMLINK: In = In("SymlinkNode");
const PROPERTIES: In = In("NodeProperties");
const WRAPPER: In = In("UInt32Value");

/// What a client wants a file to have beside its bytes. Most send none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeProperties {
    /// When it was last changed.
    pub mtime: Option<SystemTime>,
    /// Its permissions.
    pub unix_mode: Option<u32>,
}

/// A file in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileNode {
    /// Its name.
    pub name: Name,
    /// Its bytes.
    pub digest: Digest,
    /// Whether it may be run.
    pub is_executable: bool,
    /// What else it should have.
    pub properties: NodeProperties,
}

/// A directory in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryNode {
    /// Its name.
    pub name: Name,
    /// Its [`Directory`].
    pub digest: Digest,
}

/// A symbolic link in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymlinkNode {
    /// Its name.
    pub name: Name,
    /// Where it leads: anywhere, also to what is not there.
    pub target: String,
    /// What else it should have.
    pub properties: NodeProperties,
}

/// One level of a tree. Each list is sorted by name, and no name occurs twice in all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directory {
    /// Its files.
    pub files: Vec<FileNode>,
    /// Its sub-directories.
    pub directories: Vec<DirectoryNode>,
    /// Its symbolic links.
    pub symlinks: Vec<SymlinkNode>,
    /// What it should have itself.
    pub properties: NodeProperties,
}

impl Directory {
    /// Reads and checks an encoded directory, whose digests are of `function`.
    ///
    /// # Errors
    /// Not a directory, or not in canonical form.
    pub fn decode(function: DigestFunction, bytes: &[u8]) -> Result<Directory, Invalid> {
        let mut directory = Directory::default();
        let mut properties = None;
        for field in DIRECTORY.fields(bytes) {
            let (number, value) = field?;
            match number {
                1 => {
                    let bytes = DIRECTORY.at("files", value.bytes())?;
                    directory.files.push(decode_file(function, bytes)?);
                }
                2 => {
                    let bytes = DIRECTORY.at("directories", value.bytes())?;
                    let node = decode_subdirectory(function, bytes)?;
                    directory.directories.push(node);
                }
                3 => {
                    let bytes = DIRECTORY.at("symlinks", value.bytes())?;
                    directory.symlinks.push(decode_symlink(bytes)?);
                }
                5 => {
                    let bytes = DIRECTORY.at("node_properties", value.bytes())?;
                    let value = NodeProperties::decode(bytes)?;
                    DIRECTORY.once("node_properties", &mut properties, value)?;
                }
                _ => {}
            }
        }
        directory.properties = properties.unwrap_or_default();
        directory.check()?;
        Ok(directory)
    }

    /// The encoding, canonical if the lists are sorted as they should be.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let entries = self.files.len() + self.directories.len() + self.symlinks.len();
        let mut out = Vec::with_capacity(entries * 100);
        for node in &self.files {
            put_file(
                &mut out,
                &node.name,
                &node.digest,
                node.is_executable,
                |out| {
                    node.properties.put(out, 6);
                },
            );
        }
        for node in &self.directories {
            put_subdirectory(&mut out, &node.name, &node.digest);
        }
        for node in &self.symlinks {
            put_symlink(&mut out, &node.name, &node.target, |out| {
                node.properties.put(out, 4);
            });
        }
        self.properties.put(&mut out, 5);
        out
    }

    fn check(&self) -> Result<(), Invalid> {
        check_sorted("files", self.files.iter().map(|node| &node.name))?;
        check_sorted(
            "directories",
            self.directories.iter().map(|node| &node.name),
        )?;
        check_sorted("symlinks", self.symlinks.iter().map(|node| &node.name))?;
        if usize::from(self.files.is_empty())
            + usize::from(self.directories.is_empty())
            + usize::from(self.symlinks.is_empty())
            >= 2
        {
            return Ok(());
        }
        let mut names: Vec<&Name> = self.files.iter().map(|node| &node.name).collect();
        names.extend(self.directories.iter().map(|node| &node.name));
        names.extend(self.symlinks.iter().map(|node| &node.name));
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => DIRECTORY.at("", Err(Problem::Duplicate(pair[0].to_string()))),
            None => Ok(()),
        }
    }
}

fn check_sorted<'a>(
    field: &'static str,
    mut names: impl Iterator<Item = &'a Name>,
) -> Result<(), Invalid> {
    let Some(mut last) = names.next() else {
        return Ok(());
    };
    for name in names {
        match last.cmp(name) {
            std::cmp::Ordering::Less => last = name,
            std::cmp::Ordering::Equal => {
                return DIRECTORY.at(field, Err(Problem::Duplicate(name.to_string())));
            }
            std::cmp::Ordering::Greater => {
                return DIRECTORY.at(field, Err(Problem::NotSorted(name.to_string())));
            }
        }
    }
    Ok(())
}

fn decode_file(function: DigestFunction, bytes: &[u8]) -> Result<FileNode, Invalid> {
    let (mut name, mut digest, mut properties) = ("", None, None);
    let mut is_executable = false;
    for field in FILE.fields(bytes) {
        match field? {
            (1, value) => name = FILE.at("name", value.text())?,
            (2, value) => {
                let value = digest::decode(function, FILE.at("digest", value.bytes())?)?;
                FILE.once("digest", &mut digest, value)?;
            }
            (4, value) => is_executable = FILE.at("is_executable", value.bool())?,
            (6, value) => {
                let bytes = FILE.at("node_properties", value.bytes())?;
                FILE.once(
                    "node_properties",
                    &mut properties,
                    NodeProperties::decode(bytes)?,
                )?;
            }
            _ => {}
        }
    }
    Ok(FileNode {
        name: FILE.at("name", Name::new(name))?,
        digest: FILE.required("digest", digest)?,
        is_executable,
        properties: properties.unwrap_or_default(),
    })
}

fn decode_subdirectory(function: DigestFunction, bytes: &[u8]) -> Result<DirectoryNode, Invalid> {
    let (mut name, mut digest) = ("", None);
    for field in SUBDIRECTORY.fields(bytes) {
        match field? {
            (1, value) => name = SUBDIRECTORY.at("name", value.text())?,
            (2, value) => {
                let bytes = SUBDIRECTORY.at("digest", value.bytes())?;
                SUBDIRECTORY.once("digest", &mut digest, digest::decode(function, bytes)?)?;
            }
            _ => {}
        }
    }
    Ok(DirectoryNode {
        name: SUBDIRECTORY.at("name", Name::new(name))?,
        digest: SUBDIRECTORY.required("digest", digest)?,
    })
}

fn decode_symlink(bytes: &[u8]) -> Result<SymlinkNode, Invalid> {
    let (mut name, mut target, mut properties) = ("", "", None);
    for field in SYMLINK.fields(bytes) {
        match field? {
            (1, value) => name = SYMLINK.at("name", value.text())?,
            (2, value) => target = SYMLINK.at("target", value.text())?,
            (4, value) => {
                let bytes = SYMLINK.at("node_properties", value.bytes())?;
                SYMLINK.once(
                    "node_properties",
                    &mut properties,
                    NodeProperties::decode(bytes)?,
                )?;
            }
            _ => {}
        }
    }
    SYMLINK.at("target", check_target(target))?;
    Ok(SymlinkNode {
        name: SYMLINK.at("name", Name::new(name))?,
        target: target.into(),
        properties: properties.unwrap_or_default(),
    })
}

impl NodeProperties {
    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == NodeProperties::default()
    }

    /// Properties that are only text are not known here, and so not kept.
    pub(crate) fn decode(bytes: &[u8]) -> Result<NodeProperties, Invalid> {
        let mut properties = NodeProperties::default();
        for field in PROPERTIES.fields(bytes) {
            match field? {
                (2, value) => {
                    let time = time::decode_timestamp(PROPERTIES.at("mtime", value.bytes())?)?;
                    properties.mtime = Some(time);
                }
                (3, value) => {
                    let mut mode = 0;
                    for field in WRAPPER.fields(PROPERTIES.at("unix_mode", value.bytes())?) {
                        if let (1, value) = field? {
                            mode = WRAPPER.at("value", value.u32())?;
                        }
                    }
                    properties.unix_mode = Some(mode);
                }
                _ => {}
            }
        }
        Ok(properties)
    }

    /// Appends the message as field `number`, unless it is empty.
    pub(crate) fn put(&self, out: &mut Vec<u8>, number: u32) {
        if self.is_empty() {
            return;
        }
        put_message(out, number, |out| {
            time::put_timestamp(out, 2, self.mtime);
            if let Some(mode) = self.unix_mode {
                put_message(out, 3, |out| put_number(out, 1, mode.into()));
            }
        });
    }
}

/// Appends a `FileNode` to a directory.
pub(crate) fn put_file(
    out: &mut Vec<u8>,
    name: &Name,
    digest: &Digest,
    is_executable: bool,
    properties: impl FnOnce(&mut Vec<u8>),
) {
    put_message(out, 1, |out| {
        put_element(out, 1, name.as_str().as_bytes());
        digest::put(out, 2, digest);
        put_number(out, 4, is_executable.into());
        properties(out);
    });
}

/// Appends a `DirectoryNode` to a directory.
pub(crate) fn put_subdirectory(out: &mut Vec<u8>, name: &Name, digest: &Digest) {
    put_message(out, 2, |out| {
        put_element(out, 1, name.as_str().as_bytes());
        digest::put(out, 2, digest);
    });
}

/// Appends a `SymlinkNode` to a directory.
pub(crate) fn put_symlink(
    out: &mut Vec<u8>,
    name: &Name,
    target: &str,
    properties: impl FnOnce(&mut Vec<u8>),
) {
    put_message(out, 3, |out| {
        put_element(out, 1, name.as_str().as_bytes());
        put_bytes(out, 2, target.as_bytes());
        properties(out);
    });
}
