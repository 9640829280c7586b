//! What a toolchain consists of, as a list that is written once: its lines are for people, their digest is its identity.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use store::{Digest, DigestFunction, Hasher};

/// Something that has to be in an input root. No entry lies below a link, so the entries form a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its absolute path.
    pub path: PathBuf,
    /// What is there.
    pub node: Node,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File {
        /// Of its bytes.
        digest: Digest,
        /// Whether it may be executed.
        executable: bool,
        /// Where the bytes are.
        content: Content,
    },
    /// A symbolic link.
    Link {
        /// What it says.
        target: PathBuf,
    },
    /// A directory that has to exist although nothing else of the toolchain is in it.
    Dir,
}

/// Where the bytes of a file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// In the file of the same path on this machine. Whoever reads it must check the digest: it may be replaced any
    /// time.
    Disk,
    /// Here: the file was made for the root.
    Bytes(Arc<[u8]>),
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.node {
            Node::File {
                digest, executable, ..
            } => {
                let kind = if *executable { "program" } else { "file" };
                write!(f, "{kind} {path} {digest}")
            }
            Node::Link { target } => write!(f, "link {path} {}", target.display()),
            Node::Dir => write!(f, "directory {path}"),
        }
    }
}

/// The digest of the list of entries.
pub(super) fn identity(function: DigestFunction, entries: &[Entry]) -> Digest {
    use std::os::unix::ffi::OsStrExt;
    let mut hasher = Hasher::new(function);
    // Lengths keep parts apart whatever bytes are in them.
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for entry in entries {
        part(entry.path.as_os_str().as_bytes());
        match &entry.node {
            Node::File {
                digest, executable, ..
            } => {
                part(if *executable { b"program" } else { b"file" });
                part(&digest.hash);
                part(&digest.size_bytes.to_le_bytes());
            }
            Node::Link { target } => {
                part(b"link");
                part(target.as_os_str().as_bytes());
            }
            Node::Dir => part(b"directory"),
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str, executable: bool) -> Entry {
        Entry {
            path: path.into(),
            node: Node::File {
                digest: Digest::of(DigestFunction::Sha256, text.as_bytes()),
                executable,
                content: Content::Disk,
            },
        }
    }

    fn link(path: &str, target: &str) -> Entry {
        Entry {
            path: path.into(),
            node: Node::Link {
                target: target.into(),
            },
        }
    }

    /// Every fact of an entry is part of the identity.
    #[test]
    fn identities_differ() {
        let lists = [
            vec![],
            vec![file("/a", "x", false)],
            vec![file("/a", "x", true)],
            vec![file("/a", "y", false)],
            vec![file("/b", "x", false)],
            vec![link("/a", "x")],
            vec![link("/a", "y")],
            vec![link("/ax", "")],
            vec![Entry {
                path: "/a".into(),
                node: Node::Dir,
            }],
        ];
        let mut hashes: Vec<_> = lists
            .iter()
            .map(|list| identity(DigestFunction::Sha256, list).hash)
            .collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), lists.len());
    }

    #[test]
    fn lines_for_people() {
        assert_eq!(link("/lib", "usr/lib").to_string(), "link /lib usr/lib");
        let line = file("/bin/as", "", true).to_string();
        assert!(
            line.starts_with("program /bin/as sha256:e3b0c44298fc1c14"),
            "{line}"
        );
    }
}
