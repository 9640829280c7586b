//! What compiles cost when they were last done, so that the most expensive of those that wait can start first.
//!
//! Kept in a file from one agent to the next. What cannot be read there is forgotten: a build without it is right, only
//! its order is not the best.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use wire::JobRequest;

/// Most compiles that are remembered; beyond that all are forgotten.
const COMPILES_MAX: usize = 200_000;

/// First line of the file. The standard library may hash in another way some day: then nothing is found, and later
/// forgotten.
const HEADER: &[u8] = b"farcc costs 1\n";

/// A hash and a cost, little end first.
const ENTRY_BYTES: usize = 16;

/// Costs are told in bytes of preprocessed text; an ordinary compile takes a microsecond for so many.
const BYTES_PER_US: u64 = 2;

/// Costs by directory and command line. Two that collide only swap estimates.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    bytes: RefCell<HashMap<u64, u64>>,
    file: Option<PathBuf>,
    is_saved: Cell<bool>,
}

impl Costs {
    /// With what an earlier agent left in a file.
    pub(crate) fn open(file: PathBuf) -> Self {
        let costs = Self {
            file: Some(file),
            ..Self::default()
        };
        if let Some(entries) = costs.load() {
            costs.bytes.replace(entries);
        }
        costs.is_saved.set(true);
        costs
    }

    /// What a compile is expected to cost, in bytes of preprocessed text; 0 if nothing is known.
    pub(crate) fn estimate(&self, job: &JobRequest) -> u64 {
        self.bytes.borrow().get(&key(job)).copied().unwrap_or(0)
    }

    /// What was preprocessed for a compile.
    pub(crate) fn learn(&self, job: &JobRequest, bytes: u64) {
        let mut known = self.bytes.borrow_mut();
        if known.len() >= COMPILES_MAX {
            known.clear();
        }
        if known.insert(key(job), bytes) != Some(bytes) {
            self.is_saved.set(false);
        }
    }

    /// How long a compile took.
    pub(crate) fn learn_time(&self, job: &JobRequest, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.learn(job, micros.saturating_mul(BYTES_PER_US));
    }

    /// Writes the file, if there is anything new.
    pub(crate) fn save(&self) {
        if !self.is_saved.replace(true) {
            // The next agent knows less then.
            self.store().unwrap_or_default();
        }
    }

    fn load(&self) -> Option<HashMap<u64, u64>> {
        let file = File::open(self.file.as_ref()?).ok()?;
        let length_max = HEADER.len() + COMPILES_MAX * ENTRY_BYTES;
        let mut bytes = Vec::new();
        file.take(length_max as u64).read_to_end(&mut bytes).ok()?;
        let entries = bytes.strip_prefix(HEADER)?.as_chunks::<ENTRY_BYTES>().0;
        let pairs = entries.iter().filter_map(|entry| {
            let (key, cost) = entry.split_first_chunk::<8>()?;
            let cost = cost.first_chunk::<8>()?;
            Some((u64::from_le_bytes(*key), u64::from_le_bytes(*cost)))
        });
        Some(pairs.collect())
    }

    fn store(&self) -> std::io::Result<()> {
        let Some(path) = &self.file else {
            return Ok(());
        };
        let dir = path.parent().unwrap_or(path);
        fs::create_dir_all(dir)?;
        let mut bytes = HEADER.to_vec();
        for (key, cost) in self.bytes.borrow().iter() {
            bytes.extend_from_slice(&key.to_le_bytes());
            bytes.extend_from_slice(&cost.to_le_bytes());
        }
        // Another agent of this user may do the same.
        let draft = path.with_extension(std::process::id().to_string());
        let written = fs::write(&draft, &bytes).and_then(|()| fs::rename(&draft, path));
        if written.is_err() {
            fs::remove_file(&draft).unwrap_or_default();
        }
        written
    }
}

fn key(job: &JobRequest) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&job.cwd, &job.args).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(source: &str) -> JobRequest {
        JobRequest {
            compiler: "gcc".into(),
            args: vec!["-c".into(), source.into()],
            cwd: "/w".into(),
            ..JobRequest::default()
        }
    }

    #[test]
    fn the_next_agent_knows_what_was_learned() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("new/costs");
        let costs = Costs::open(file.clone());
        assert_eq!(costs.estimate(&job("a.c")), 0);
        costs.learn(&job("a.c"), 7);
        costs.learn_time(&job("b.c"), Duration::from_millis(3));
        costs.save();
        let next = Costs::open(file);
        assert_eq!(next.estimate(&job("a.c")), 7);
        assert_eq!(next.estimate(&job("b.c")), 6000);
        assert_eq!(next.estimate(&job("c.c")), 0);
    }

    #[test]
    fn a_file_that_is_not_understood_is_replaced() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("costs");
        for nonsense in [&b""[..], b"other 1\nabc", b"farcc costs 1\nshort"] {
            fs::write(&file, nonsense).unwrap();
            let costs = Costs::open(file.clone());
            assert_eq!(costs.estimate(&job("a.c")), 0);
            costs.learn(&job("a.c"), 5);
            costs.save();
            assert_eq!(Costs::open(file.clone()).estimate(&job("a.c")), 5);
        }
    }
}
