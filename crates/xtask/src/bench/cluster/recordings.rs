//! What compiles took and made: recorded once by compiling here, kept in the user's cache.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::units::Unit;

/// Compiles at once while recording.
const AT_ONCE: usize = 2;

/// Ends each recorded object, so that objects of the stand-in can be told from those of a compiler.
pub(super) const TRAILER: &[u8] = b"\nfarcc stand-in\n";

/// A recorded unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recording {
    /// What the compile took.
    pub(super) cpu: Duration,
    pub(super) object_bytes: u64,
}

/// The directory of recordings.
#[derive(Debug)]
pub(super) struct Recordings {
    dir: PathBuf,
}

impl Recordings {
    /// `~/.cache/farcc-bench/cluster`.
    pub(super) fn open() -> Result<Self, String> {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
        let cache = cache.filter(|path| path.is_absolute()).or_else(home);
        let dir = cache.ok_or("HOME is not set")?.join("farcc-bench/cluster");
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(Self { dir })
    }

    /// Where a unit's recording is.
    pub(super) fn path(&self, unit: &Unit) -> PathBuf {
        self.dir.join(&unit.key)
    }

    /// Records what is not recorded yet. The answer lacks units that do not compile.
    pub(super) fn complete(&self, units: &[Unit]) -> Result<HashMap<String, Recording>, String> {
        let missing: Vec<&Unit> = units.iter().filter(|unit| !self.has(unit)).collect();
        if !missing.is_empty() {
            println!("==> compiling {} units here, to record them", missing.len());
            self.record_all(&missing)?;
        }
        let known = units.iter().filter_map(|unit| {
            let recording = read(&self.path(unit)).ok().flatten()?;
            Some((unit.key.clone(), recording))
        });
        Ok(known.collect())
    }

    fn has(&self, unit: &Unit) -> bool {
        self.path(unit).exists()
    }

    fn record_all(&self, units: &[&Unit]) -> Result<(), String> {
        let next = AtomicUsize::new(0);
        let wrong = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Err(error) = self.record(unit)
                            && let Ok(mut wrong) = wrong.lock()
                        {
                            *wrong = Some(error);
                        }
                    }
                });
            }
        });
        match wrong.into_inner() {
            Ok(Some(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Compiles a unit where it is. One that does not compile gets an empty recording.
    fn record(&self, unit: &Unit) -> Result<(), String> {
        let failed = |error: io::Error| format!("cannot record {}: {error}", unit.source.display());
        if let Some(dir) = unit.output.parent() {
            fs::create_dir_all(dir).map_err(failed)?;
        }
        let messages = self.dir.join(format!("{}.messages", unit.key));
        let stderr = fs::File::create(&messages).map_err(failed)?;
        let child = Command::new(&unit.compiler)
            .args(&unit.args)
            .current_dir(&unit.cwd)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .map_err(failed)?;
        let (status, cpu) = sys::preprocessor::wait(child.id()).map_err(failed)?;
        let bytes = if status == 0 {
            let parts = [&unit.output, &unit.dependencies, &messages].map(fs::read);
            let [mut object, dependencies, messages] = parts;
            if let Ok(object) = &mut object {
                object.extend_from_slice(TRAILER);
            }
            pack(
                cpu,
                &[
                    object.map_err(failed)?,
                    dependencies.map_err(failed)?,
                    messages.map_err(failed)?,
                ],
            )
        } else {
            Vec::new()
        };
        let _gone = fs::remove_file(&messages);
        let new = self.dir.join(format!("{}.new", unit.key));
        fs::write(&new, bytes).map_err(failed)?;
        fs::rename(new, self.path(unit)).map_err(failed)
    }
}

/// The form that the stand-in reads.
fn pack(cpu: Duration, parts: &[Vec<u8>; 3]) -> Vec<u8> {
    let [object, dependencies, messages] = parts.each_ref().map(Vec::len);
    let head = format!(
        "{} {object} {dependencies} {messages}\n",
        cpu.as_micros().max(1)
    );
    [head.into_bytes(), parts.concat()].concat()
}

/// The same recording, whose dependency file names no file by an absolute path.
pub(super) fn without_absolute_paths(recording: &[u8]) -> Option<Vec<u8>> {
    let head_end = recording.iter().position(|byte| *byte == b'\n')?;
    let (head, rest) = recording.split_at(head_end);
    let head = std::str::from_utf8(head).ok()?;
    let numbers: Vec<usize> = head.split(' ').map_while(|it| it.parse().ok()).collect();
    let &[micros, object, dependencies, _] = numbers.as_slice() else {
        return None;
    };
    let (object, rest) = rest.get(1..)?.split_at_checked(object)?;
    let (dependencies, messages) = rest.split_at_checked(dependencies)?;
    let text = String::from_utf8_lossy(dependencies);
    let is_kept = |word: &&str| !word.starts_with('/') && *word != "\\";
    let words: Vec<&str> = text.split_whitespace().filter(is_kept).collect();
    let text = words.join(" ") + "\n";
    let cpu = Duration::from_micros(u64::try_from(micros).ok()?);
    let parts = [object.to_vec(), text.into_bytes(), messages.to_vec()];
    Some(pack(cpu, &parts))
}

/// `None` for a unit that does not compile.
fn read(path: &Path) -> io::Result<Option<Recording>> {
    let bytes = fs::read(path)?;
    let head = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let text = String::from_utf8_lossy(head);
    let numbers: Vec<u64> = text.split(' ').map_while(|it| it.parse().ok()).collect();
    let &[micros, object_bytes, _, _] = numbers.as_slice() else {
        return Ok(None);
    };
    Ok(Some(Recording {
        cpu: Duration::from_micros(micros),
        object_bytes,
    }))
}
