//! Opening a store: the lock, the format, and what is there.
//!
//! The names of the files are all that is read of them. A file with a name that this version would
//! not write is removed, and so are the older of two with the same digest, which a crash between
//! two steps can leave.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::index::Index;
use crate::layout::{FORMAT, FORMAT_FILE, Kind, LOCK_FILE, TMP_DIR, USES_FILE, WORK_DIR};
use crate::limits::USES_BYTES_MAX;
use crate::shared::{Shared, State};
use crate::turns::Turns;
use crate::uses::{self, Journal, LastUses};
use crate::{Options, StoreError, load, remove};

/// Longest text of the lock and format files that is read, in bytes.
const LABEL_BYTES_MAX: u64 = 100;

pub(crate) fn open(dir: &Path, options: &Options) -> Result<Shared, StoreError> {
    // What clients send is nobody else's business.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| StoreError::io("create", dir, source))?;
    // Before anything is written into a directory that is not ours.
    refuse_foreign(dir)?;
    let lock = lock(dir)?;
    check_format(dir)?;
    for kind in Kind::ALL {
        make_dir(&dir.join(kind.dir()))?;
    }
    for name in [TMP_DIR, WORK_DIR] {
        remove::empty_dir(&dir.join(name))?;
    }
    let root = rustix::fs::open(
        dir,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|errno| StoreError::io("open", dir, errno.into()))?;
    let statistics =
        rustix::fs::statvfs(dir).map_err(|errno| StoreError::io("inspect", dir, errno.into()))?;
    let (journal, last_uses) = open_journal(dir);
    // A store that was closed knows of a use of each of its entries.
    let mut index = Index::new(statistics.f_frsize, last_uses.len());
    load::load(dir, &mut index, &last_uses)?;
    let shared = Shared {
        dir: dir.to_owned(),
        root,
        bytes_max: options.bytes_max,
        state: Mutex::new(State {
            index,
            reserved_bytes: 0,
            evicted_files: 0,
            bad_files: 0,
        }),
        turns: Turns::default(),
        journal: Mutex::new(journal),
        disk_full: Mutex::default(),
        disk_full_rounds: AtomicU64::new(0),
        lock,
    };
    shared.evict_excess();
    Ok(shared)
}

/// Takes the lock and says in it who has it.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK_FILE);
    let failed = |what, source| StoreError::io(what, path.as_path(), source);
    let mut file = open_or_create(&path).map_err(|source| failed("open", source))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            return Err(StoreError::InUse {
                dir: dir.to_owned(),
                holder: read_label(&mut file).unwrap_or_else(|_| "another process".into()),
            });
        }
        Err(errno) => return Err(failed("lock", errno.into())),
    }
    let label = format!("process {} ({})\n", std::process::id(), program());
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(label.as_bytes()));
    // On a full disk the lock is nameless, but as good.
    drop(written);
    Ok(file)
}

fn open_or_create(path: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
}

fn program() -> String {
    std::env::current_exe()
        .ok()
        .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "?".into())
}

/// The first line of a small file.
fn read_label(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(LABEL_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.escape_default().to_string())
}

/// A directory without a format may hold only what opening makes before it writes the format.
fn refuse_foreign(dir: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::io("list", dir, source);
    if fs::symlink_metadata(dir.join(FORMAT_FILE)).is_ok() {
        return Ok(());
    }
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        // Another process may be making a store here right now.
        if ![LOCK_FILE, TMP_DIR, FORMAT_FILE]
            .iter()
            .any(|ours| name == *ours)
        {
            return Err(StoreError::NotAStore {
                dir: dir.to_owned(),
            });
        }
    }
    Ok(())
}

fn check_format(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join(FORMAT_FILE);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return begin(dir, &path),
        Err(source) => return Err(StoreError::io("open", path, source)),
    };
    let found = read_label(&mut file).unwrap_or_default();
    if found == FORMAT.trim_end() {
        return Ok(());
    }
    Err(StoreError::UnknownFormat {
        dir: dir.to_owned(),
        found,
    })
}

/// Makes an empty directory a store.
fn begin(dir: &Path, format: &Path) -> Result<(), StoreError> {
    refuse_foreign(dir)?;
    let tmp = dir.join(TMP_DIR);
    make_dir(&tmp)?;
    let beside = tmp.join(FORMAT_FILE);
    fs::write(&beside, FORMAT)
        .and_then(|()| fs::rename(&beside, format))
        .map_err(|source| StoreError::io("write", format, source))
}

fn make_dir(path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::io("create", path, source);
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created.map_err(failed),
    }
}

/// The journal, and what was in it. Opening does not depend on it: after a full disk there may be
/// none, and none can be made.
fn open_journal(dir: &Path) -> (Journal, LastUses) {
    let file = open_or_create(&dir.join(USES_FILE)).ok();
    let mut bytes = Vec::new();
    if let Some(file) = &file {
        // What can be read of it is as good as all.
        drop(file.take(USES_BYTES_MAX).read_to_end(&mut bytes));
    }
    let last_uses = LastUses::new(uses::decode(&bytes));
    (Journal::new(file, bytes.len() as u64), last_uses)
}
