//! Finding what is there when a store is opened: a list of names, no look at any file.

use std::fs::{self, DirEntry};
use std::path::Path;

use crate::StoreError;
use crate::index::{FileEntry, Index};
use crate::layout::{Form, Kind, Name, shard_dir};
use crate::uses::LastUses;

/// Puts everything that is there into the index, in the order of its last use.
pub(crate) fn load(dir: &Path, index: &mut Index, last_uses: &LastUses) -> Result<(), StoreError> {
    for kind in Kind::ALL {
        let of_kind = dir.join(kind.dir());
        // The hundreds that a small store does not have need not be tried.
        for entry in list(&of_kind)? {
            let shard = entry?.file_name();
            let first_byte = (0..=u8::MAX).find(|byte| shard == *shard_dir(*byte));
            if let Some(first_byte) = first_byte {
                load_shard(dir, kind, first_byte, index, last_uses)?;
            }
        }
    }
    index.saw_number(last_uses.latest());
    index.sort();
    Ok(())
}

fn list(
    dir: &Path,
) -> Result<impl Iterator<Item = Result<DirEntry, StoreError>> + use<'_>, StoreError> {
    let failed = move |source| StoreError::io("list", dir, source);
    let entries = fs::read_dir(dir).map_err(failed)?;
    Ok(entries.map(move |entry| entry.map_err(failed)))
}

fn load_shard(
    dir: &Path,
    kind: Kind,
    first_byte: u8,
    index: &mut Index,
    last_uses: &LastUses,
) -> Result<(), StoreError> {
    let path = dir.join(kind.dir()).join(shard_dir(first_byte));
    let mut twins = Vec::new();
    for entry in list(&path)? {
        let entry = entry?;
        let Some(name) = name_of(kind, first_byte, &entry) else {
            drop(fs::remove_file(entry.path()));
            continue;
        };
        if name.form == Form::Executable {
            twins.push(name);
        } else {
            load_file(dir, index, &name, last_uses.of(name.number));
        }
    }
    for twin in twins {
        load_twin(dir, index, &twin);
    }
    Ok(())
}

fn name_of(kind: Kind, first_byte: u8, entry: &DirEntry) -> Option<Name> {
    let name = Name::parse(kind, entry.file_name().to_str()?)?;
    let is_file = entry.file_type().is_ok_and(|it| it.is_file());
    (is_file && name.digest.hash[0] == first_byte).then_some(name)
}

fn load_file(dir: &Path, index: &mut Index, name: &Name, last_use: u64) {
    index.saw_number(name.number);
    let key = name.key();
    if let Some(entry) = index.get(&key) {
        let is_newer = entry.file.number < name.number;
        let older = if is_newer {
            index.remove(&key)
        } else {
            vec![*name]
        };
        for older in older {
            drop(fs::remove_file(dir.join(older.path())));
        }
        if !is_newer {
            return;
        }
    }
    index.load(name, last_use);
}

fn load_twin(dir: &Path, index: &mut Index, twin: &Name) {
    index.saw_number(twin.number);
    let file = FileEntry {
        number: twin.number,
        stamp: None,
    };
    if !index.add_executable(&twin.digest, file) {
        drop(fs::remove_file(dir.join(twin.path())));
    }
}
