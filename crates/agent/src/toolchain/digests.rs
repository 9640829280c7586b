//! Digests of files, known by stamp: a compiler is hashed once, not once per compile or agent.
//!
//! They may be kept in a file, a line of text each, so that the next agent need not read a quarter of a gigabyte of
//! Clang again. What cannot be read in that file is ignored: everything in it can be found out again. So is a file that
//! somebody else owns or may write, for a wrong digest could name another compiler that a server has.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use scan::Stamp;
use store::{Digest, DigestFunction, Hasher};

use super::why::NoToolchain;
use crate::scanning::stamp;

/// First line of the file; another version is not read.
const HEADER: &str = "farcc digests of toolchains, version 1";

/// Most digests that are kept; beyond that all are forgotten. A toolchain has some dozens of files.
const DIGESTS_MAX: usize = 4096;

/// Longest file that is read: as many lines as are kept, of up to 256 bytes.
const FILE_BYTES_MAX: u64 = DIGESTS_MAX as u64 * 256;

/// Mode of the file, and the bits of it that would let others write (stat(2), `S_IWGRP` and `S_IWOTH`).
const FILE_MODE: u32 = 0o600;
const OTHERS_WRITE: u32 = 0o022;

/// Bytes read at once.
const PIECE_BYTES: usize = 1 << 20;

/// Digests by function and stamp.
#[derive(Debug)]
pub(super) struct Digests {
    function: DigestFunction,
    /// Where they are kept, if anywhere.
    file: Option<PathBuf>,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    known: HashMap<Stamp, Digest>,
    /// Something is not in the file.
    unsaved: bool,
}

impl Digests {
    /// Digests of one function, with those that `file` holds.
    pub(super) fn new(function: DigestFunction, file: Option<PathBuf>) -> Self {
        let known = file.as_deref().and_then(load).unwrap_or_default();
        let of_function = known
            .into_iter()
            .filter(|(_, digest)| digest.function == function);
        Self {
            function,
            memory: Mutex::new(Memory {
                known: of_function.collect(),
                unsaved: false,
            }),
            file,
        }
    }

    pub(super) fn function(&self) -> DigestFunction {
        self.function
    }

    /// The digest of a file that had this stamp.
    ///
    /// # Errors
    /// It cannot be read, or is another one by now.
    pub(super) fn of(&self, path: &Path, expect: Stamp) -> Result<Digest, NoToolchain> {
        if let Some(digest) = self.lock().known.get(&expect) {
            return Ok(*digest);
        }
        let unreadable = |error| NoToolchain::unreadable(path, error);
        let mut file = File::open(path).map_err(unreadable)?;
        let is_same = |file: &File| file.metadata().is_ok_and(|meta| stamp(&meta) == expect);
        let mut hasher = Hasher::new(self.function);
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match file.read(&mut piece).map_err(unreadable)? {
                0 => break,
                length => hasher.update(&piece[..length]),
            }
        }
        let digest = hasher.finish();
        if !is_same(&file) || digest.size_bytes != expect.size {
            return Err(NoToolchain::Changing {
                path: path.to_owned(),
            });
        }
        let mut memory = self.lock();
        if memory.known.len() >= DIGESTS_MAX {
            memory.known.clear();
        }
        memory.known.insert(expect, digest);
        memory.unsaved = true;
        Ok(digest)
    }

    /// Writes the file where there is one and something new. Best effort: it saves time, no more.
    pub(super) fn keep(&self) {
        let Some(path) = &self.file else {
            return;
        };
        let mut text = format!("{HEADER}\n");
        {
            let mut memory = self.lock();
            if !std::mem::take(&mut memory.unsaved) {
                return;
            }
            let lines = memory
                .known
                .iter()
                .map(|(stamp, digest)| line(stamp, digest));
            text.extend(lines);
        }
        // Other agents of this user may write at the same time, others in the same directory.
        let temp = path.with_extension(format!("{}.new", std::process::id()));
        fs::remove_file(&temp).unwrap_or_default();
        let mut options = OpenOptions::new();
        let created = options
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&temp);
        let written = created
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| fs::rename(&temp, path));
        if written.is_err() {
            fs::remove_file(&temp).unwrap_or_default();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(stamp: &Stamp, digest: &Digest) -> String {
    format!(
        "{} {} {} {} {} {} {}\n",
        digest.function.name(),
        digest.hex(),
        stamp.size,
        stamp.dev,
        stamp.ino,
        stamp.mtime_ns,
        stamp.ctime_ns,
    )
}

fn load(path: &Path) -> Option<HashMap<Stamp, Digest>> {
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if metadata.uid() != sys::realm::user_id() || metadata.mode() & OTHERS_WRITE != 0 {
        return None;
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    if lines.next()? != HEADER {
        return None;
    }
    Some(lines.filter_map(parse).take(DIGESTS_MAX).collect())
}

fn parse(line: &str) -> Option<(Stamp, Digest)> {
    let mut words = line.split(' ');
    let function = DigestFunction::from_name(words.next()?)?;
    let hex = words.next()?;
    let mut number = || words.next()?.parse::<i128>().ok();
    let stamp = Stamp {
        size: u64::try_from(number()?).ok()?,
        dev: u64::try_from(number()?).ok()?,
        ino: u64::try_from(number()?).ok()?,
        mtime_ns: number()?,
        ctime_ns: number()?,
    };
    let digest = Digest::from_hex(function, hex, stamp.size).ok()?;
    Some((stamp, digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    fn stamp_of(path: &Path) -> Stamp {
        stamp(&fs::metadata(path).unwrap())
    }

    #[test]
    fn digests_are_kept_from_one_agent_to_the_next() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("digests");
        let program = temp.path().join("cc1");
        fs::write(&program, "abc").unwrap();
        let stamp = stamp_of(&program);
        let first = Digests::new(DigestFunction::Sha256, Some(file.clone()));
        let digest = first.of(&program, stamp).unwrap();
        assert_eq!(digest, Digest::of(DigestFunction::Sha256, b"abc"));
        first.keep();
        fs::remove_file(&program).unwrap();
        let second = Digests::new(DigestFunction::Sha256, Some(file.clone()));
        assert_eq!(second.of(&program, stamp).unwrap(), digest);
        let other = Digests::new(DigestFunction::Blake3, Some(file.clone()));
        assert!(other.of(&program, stamp).is_err());
        fs::write(&file, "farcc digests of toolchains, version 0\n").unwrap();
        assert_eq!(load(&file), None);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_may_write_is_not_believed() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("digests");
        let digests = Digests::new(DigestFunction::Sha256, Some(file.clone()));
        fs::write(temp.path().join("as"), "x").unwrap();
        let program = temp.path().join("as");
        digests.of(&program, stamp_of(&program)).unwrap();
        digests.keep();
        assert!(load(&file).is_some());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o620)).unwrap();
        assert_eq!(load(&file), None);
    }

    #[test]
    fn lines_that_make_no_sense_are_ignored() {
        let digest = Digest::of(DigestFunction::Blake3, b"x");
        let stamp = Stamp {
            dev: u64::MAX,
            ino: 2,
            size: 1,
            mtime_ns: -5,
            ctime_ns: 7,
        };
        let good = line(&stamp, &digest);
        assert_eq!(parse(good.trim_end()), Some((stamp, digest)));
        for length in 0..good.len() - 3 {
            assert_eq!(parse(&good[..length]), None, "{}", &good[..length]);
        }
        assert_eq!(parse("md5 00 1 2 3 4 5"), None);
    }

    #[test]
    fn a_file_that_changes_meanwhile_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let program = temp.path().join("cc1");
        fs::write(&program, "abc").unwrap();
        let stamp = stamp_of(&program);
        let start = Instant::now();
        // Until the clock of the file system has moved on.
        while stamp_of(&program) == stamp && start.elapsed().as_secs() < 30 {
            fs::write(&program, "abd").unwrap();
        }
        let digests = Digests::new(DigestFunction::Sha256, None);
        let error = digests.of(&program, stamp).unwrap_err();
        assert_eq!(error.code(), "toolchain-changing");
    }
}
