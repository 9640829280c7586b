//! Toolchains that are known, each for as long as nothing that it relies on changes.
//!
//! What an answer depends on besides files is its key: the compiler, the few words that lead it elsewhere, the
//! variables, and the working directory where something is relative to it. Refusals are kept as well, for a script is
//! as quickly recognised as it is called a thousand times.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use scan::Moment;
use store::DigestFunction;

use super::digests::Digests;
use super::relied::Relied;
use super::why::NoToolchain;
use super::words::Words;
use super::{Call, Sources, Toolchain, VARIABLES, identify, variable};

/// Most command lines that are told apart; beyond that all answers are forgotten. A build has a handful.
const KNOWN_MAX: usize = 512;

/// How often an identification is repeated while files change under it.
const ATTEMPTS_MAX: usize = 4;

/// How long to wait for files that were changed just now (see [`Relied::is_settled`]).
const SETTLE: Duration = Duration::from_millis(60);

/// Those of them that name paths.
const PATH_VARIABLES: &[&str] = &[
    "COMPILER_PATH",
    "GCC_EXEC_PREFIX",
    "LD_LIBRARY_PATH",
    "PATH",
];

/// Everything that an answer depends on besides files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    compiler: OsString,
    path: PathBuf,
    words: Words,
    sources: Sources,
    variables: Vec<Option<OsString>>,
    /// Only where something is relative to it.
    cwd: Option<PathBuf>,
}

impl Key {
    fn of(call: &Call<'_>, words: &Words) -> Self {
        let starts_elsewhere = |dir: &[u8]| !dir.starts_with(b"/");
        let variable_is_relative = |name: &&str| {
            let value = variable(call.env, name).filter(|value| !value.is_empty());
            value.is_some_and(|value| {
                value
                    .as_bytes()
                    .split(|&byte| byte == b':')
                    .any(starts_elsewhere)
            })
        };
        let depends = words.relative
            || call.compiler_path.is_relative()
            || PATH_VARIABLES.iter().any(variable_is_relative)
            || words
                .perhaps_relative
                .iter()
                .any(|name| call.cwd.join(name).exists());
        Self {
            compiler: call.compiler.to_owned(),
            path: call.compiler_path.to_owned(),
            words: words.clone(),
            sources: call.sources,
            variables: VARIABLES
                .iter()
                .map(|name| variable(call.env, name).map(OsStr::to_owned))
                .collect(),
            cwd: depends.then(|| call.cwd.to_owned()),
        }
    }
}

/// An answer and what it relies on.
#[derive(Debug)]
struct Known {
    answer: Result<Arc<Toolchain>, NoToolchain>,
    relied: Relied,
    /// When it was last seen that nothing of that has changed.
    seen: Mutex<Moment>,
}

impl Known {
    /// Whether the answer still holds.
    fn holds(&self, moment: Moment, now: Instant) -> bool {
        let mut seen = lock(&self.seen);
        if seen.is_shared_with(moment) {
            return true;
        }
        let holds = self.relied.changed(now).is_none();
        if holds {
            *seen = moment;
        }
        holds
    }
}

/// An answer to a key; locked while it is being found.
type Slot = Arc<Mutex<Option<Arc<Known>>>>;

/// All toolchains met. For all threads.
#[derive(Debug)]
pub struct Toolchains {
    digests: Digests,
    known: Mutex<HashMap<Key, Slot>>,
    moment: Mutex<Moment>,
}

impl Toolchains {
    /// With digests of this function, those of files remembered in `file` from one agent to the next.
    #[must_use]
    pub fn new(function: DigestFunction, file: Option<PathBuf>) -> Self {
        Self {
            digests: Digests::new(function, file),
            known: Mutex::default(),
            moment: Mutex::default(),
        }
    }

    /// From now on, compiles that have been asked for before this call share looks at files.
    pub fn begin_moment(&self) {
        let mut moment = lock(&self.moment);
        *moment = moment.next();
    }

    /// The toolchain of a compile. Known ones cost a look at each path that they rely on; for others the compiler is
    /// run some times and everything hashed, which may take a second and belongs on a thread that may wait. Compiles
    /// that ask at the same time wait for one answer.
    ///
    /// # Errors
    /// Why the compile must stay on this machine.
    pub fn identify(&self, call: &Call<'_>) -> Result<Arc<Toolchain>, NoToolchain> {
        let words = Words::of(call.args);
        let slot = self.slot(Key::of(call, &words));
        let (now, moment) = (Instant::now(), *lock(&self.moment));
        let current = lock(&slot).clone();
        if let Some(known) = current
            && known.holds(moment, now)
        {
            return known.answer.clone();
        }
        let mut current = lock(&slot);
        // Somebody else may have found it meanwhile.
        if let Some(known) = &*current
            && known.holds(moment, now)
        {
            return known.answer.clone();
        }
        let known = self.find(call, &words)?;
        let answer = known.answer.clone();
        *current = Some(Arc::new(known));
        answer
    }

    /// A toolchain if it is known and nothing of it changed: never waits, runs or reads anything.
    #[must_use]
    pub fn known(&self, call: &Call<'_>) -> Option<Result<Arc<Toolchain>, NoToolchain>> {
        let key = Key::of(call, &Words::of(call.args));
        let now = Instant::now();
        let slot = Arc::clone(lock(&self.known).get(&key)?);
        let known = slot.try_lock().ok()?.clone()?;
        known
            .relied
            .changed(now)
            .is_none()
            .then(|| known.answer.clone())
    }

    fn slot(&self, key: Key) -> Slot {
        let mut known = lock(&self.known);
        if known.len() >= KNOWN_MAX && !known.contains_key(&key) {
            known.clear();
        }
        Arc::clone(known.entry(key).or_default())
    }

    /// Finds an answer that is worth keeping.
    fn find(&self, call: &Call<'_>, words: &Words) -> Result<Known, NoToolchain> {
        let mut changing = None;
        for _ in 0..ATTEMPTS_MAX {
            let (answer, relied) = identify::identify(call, words, &self.digests);
            changing = relied.changed_at_all().map(Path::to_owned);
            match answer {
                Err(why) if !why.is_lasting() && changing.is_none() => return Err(why),
                answer if changing.is_none() && relied.is_settled() => {
                    let answer = answer.map(Arc::new);
                    let seen = Mutex::default();
                    return Ok(Known {
                        answer,
                        relied,
                        seen,
                    });
                }
                _ => std::thread::sleep(SETTLE),
            }
        }
        Err(NoToolchain::Changing {
            path: changing.unwrap_or_else(|| call.compiler_path.to_owned()),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
