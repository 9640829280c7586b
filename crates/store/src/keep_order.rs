//! Writing down the order of use, without anybody waiting for it.
//!
//! Whatever fails here costs order after the next opening, nothing else, so it is not told.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::{PoisonError, TryLockError};

use rustix::fs::{AtFlags, Mode, OFlags};

use crate::layout::{USES_FILE, temp_path};
use crate::limits::{USES_KEPT_MIN, USES_PER_ENTRY_MAX, USES_PER_LOCK};
use crate::shared::Shared;
use crate::uses::{self, Journal, Use};

impl Shared {
    /// Writes some uses. If another thread is writing, they are forgotten.
    pub(crate) fn write_uses(&self, uses: &[Use]) {
        let mut journal = match self.journal.try_lock() {
            Ok(journal) => journal,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let entries = self.state().index.len() as u64;
        let records_max = (entries * USES_PER_ENTRY_MAX).max(USES_KEPT_MIN);
        let is_long = journal.records() + uses.len() as u64 > records_max;
        if !is_long || self.rewrite(&mut journal).is_none() {
            drop(journal.append(uses));
        }
    }

    /// Writes the exact order, for the next opening.
    pub(crate) fn write_order(&self) {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.state().index.record_all();
        let mut is_given = false;
        self.replace_journal(&mut journal, || {
            let is_first = !std::mem::replace(&mut is_given, true);
            is_first.then(|| uses::encode(&all))
        });
    }

    /// Writes the file anew with what it must hold, part by part so that nobody waits long.
    fn rewrite(&self, journal: &mut Journal) -> Option<()> {
        let mut next = Some(0);
        self.replace_journal(journal, || {
            let (part, further) = self.state().index.recorded(next?, USES_PER_LOCK);
            next = further;
            Some(uses::encode(&part))
        })
    }

    /// Puts a new file in the place of the journal. `None` if that failed; the old one stays then.
    fn replace_journal(
        &self,
        journal: &mut Journal,
        next_part: impl FnMut() -> Option<Vec<u8>>,
    ) -> Option<()> {
        let beside = temp_path(self.state().index.tick());
        let written = write_parts(&self.root, &beside, next_part).and_then(|written| {
            rustix::fs::renameat(&self.root, &beside, &self.root, USES_FILE)?;
            Ok(written)
        });
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&self.root, &beside, AtFlags::empty());
        }
        *journal = written.ok()?;
        Some(())
    }
}

fn write_parts(
    root: &OwnedFd,
    path: &str,
    mut next_part: impl FnMut() -> Option<Vec<u8>>,
) -> io::Result<Journal> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::openat(root, path, flags, Mode::RUSR | Mode::WUSR)?;
    let file = File::from(file);
    let mut end = 0;
    while let Some(part) = next_part() {
        file.write_all_at(&part, end)?;
        end += part.len() as u64;
    }
    Ok(Journal::new(Some(file), end))
}
