//! Opening a store: the lock, the format, and what is there.
//!
//! The names of the files are all that is read of them. A file with a name that this version would
//! not write is removed, and so are the older of two with the same digest, which a crash between
//! two steps can leave.

use std::fs::{self, DirEntry, File};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use rustix::fs::{Mode, OFlags};

use crate::index::{Entry, FileEntry, Index};
use crate::layout::{
    FORMAT, FORMAT_FILE, Form, Key, Kind, LOCK_FILE, Name, SHARDS, TMP_DIR, WORK_DIR, shard_dir,
};
use crate::shared::{Shared, State};
use crate::{Options, StoreError};

/// Longest text of the lock and format files that is read, in bytes.
const LABEL_BYTES_MAX: u64 = 100;

pub(crate) fn open(dir: &Path, options: &Options) -> Result<Shared, StoreError> {
    fs::create_dir_all(dir).map_err(|source| StoreError::io("create", dir, source))?;
    let lock = lock(dir)?;
    check_format(dir)?;
    for kind in Kind::ALL {
        for first_byte in 0..=u8::MAX {
            make_dir(&dir.join(kind.dir()).join(shard_dir(first_byte)))?;
        }
    }
    for name in [TMP_DIR, WORK_DIR] {
        crate::remove::empty_dir(&dir.join(name))?;
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(dir, flags, Mode::empty())
        .map_err(|errno| StoreError::io("open", dir, errno.into()))?;
    let block_bytes = rustix::fs::statvfs(dir)
        .map_err(|errno| StoreError::io("inspect", dir, errno.into()))?
        .f_frsize;
    let mut index = Index::new(block_bytes);
    let last_number = load(dir, &mut index)?;
    Ok(Shared {
        dir: dir.to_owned(),
        root,
        bytes_max: options.bytes_max,
        state: Mutex::new(State {
            index,
            reserved_bytes: 0,
            evicted_files: 0,
            bad_files: 0,
        }),
        next_number: AtomicU64::new(last_number + 1),
        _lock: lock,
    })
}

/// Takes the lock and says in it who has it.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK_FILE);
    let failed = |what, source| StoreError::io(what, path.as_path(), source);
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|source| failed("open", source))?;
    if !sys::lock::try_lock_file(&file).map_err(|source| failed("lock", source))? {
        return Err(StoreError::InUse {
            dir: dir.to_owned(),
            holder: read_label(&mut file).unwrap_or_else(|_| "another process".into()),
        });
    }
    let label = format!("process {} ({})\n", std::process::id(), program());
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(label.as_bytes()))
        .map_err(|source| failed("write", source))?;
    Ok(file)
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
    let ours = [LOCK_FILE, TMP_DIR];
    let entries = fs::read_dir(dir).map_err(|source| StoreError::io("list", dir, source))?;
    for entry in entries {
        let entry = entry.map_err(|source| StoreError::io("list", dir, source))?;
        if !ours.iter().any(|name| entry.file_name() == *name) {
            return Err(StoreError::NotAStore {
                dir: dir.to_owned(),
            });
        }
    }
    let tmp = dir.join(TMP_DIR);
    make_dir(&tmp)?;
    let beside = tmp.join(FORMAT_FILE);
    fs::write(&beside, FORMAT)
        .and_then(|()| fs::rename(&beside, format))
        .map_err(|source| StoreError::io("write", format, source))
}

fn make_dir(path: &Path) -> Result<(), StoreError> {
    match fs::create_dir(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path).map_err(|source| StoreError::io("create", path, source))
        }
        Err(source) => Err(StoreError::io("create", path, source)),
    }
}

/// Puts everything that is there into the index; gives the highest number.
fn load(dir: &Path, index: &mut Index) -> Result<u64, StoreError> {
    let mut last_number = 0;
    for kind in Kind::ALL {
        for shard in 0..SHARDS {
            let first_byte = u8::try_from(shard).expect("there are 256");
            let path = dir.join(kind.dir()).join(shard_dir(first_byte));
            let mut twins = Vec::new();
            let entries = fs::read_dir(&path).map_err(|s| StoreError::io("list", &path, s))?;
            for entry in entries {
                let entry = entry.map_err(|s| StoreError::io("list", &path, s))?;
                let Some(name) = name_of(kind, first_byte, &entry) else {
                    drop(fs::remove_file(entry.path()));
                    continue;
                };
                last_number = last_number.max(name.number);
                if name.form == Form::Executable {
                    twins.push(name);
                } else {
                    insert(dir, index, &name);
                }
            }
            for twin in twins {
                insert_twin(dir, index, &twin);
            }
        }
    }
    Ok(last_number)
}

fn name_of(kind: Kind, first_byte: u8, entry: &DirEntry) -> Option<Name> {
    let name = Name::parse(kind, entry.file_name().to_str()?)?;
    (name.digest.hash[0] == first_byte).then_some(name)
}

fn insert(dir: &Path, index: &mut Index, name: &Name) {
    let key = Key {
        kind: name.kind(),
        digest: name.digest,
    };
    let older = match index.get(&key) {
        Some(entry) if entry.file.number > name.number => Some(*name),
        Some(entry) => entry.names(&key).next(),
        None => None,
    };
    if older != Some(*name) {
        index.insert(
            key,
            Entry {
                file: FileEntry {
                    number: name.number,
                    stamp: None,
                },
                executable: None,
                file_bytes: name.file_bytes(),
            },
        );
    }
    if let Some(older) = older {
        drop(fs::remove_file(dir.join(older.path())));
    }
}

fn insert_twin(dir: &Path, index: &mut Index, twin: &Name) {
    let file = FileEntry {
        number: twin.number,
        stamp: None,
    };
    if !index.add_executable(&twin.digest, file) {
        drop(fs::remove_file(dir.join(twin.path())));
    }
}
