//! The thread that prepares compiles: a scan takes a millisecond in which the event loop must not stand still, and what
//! is known of files is worth most when all jobs share it.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use store::DigestFunction;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::cache::{Cache, CacheSettings, Kept};
use super::prepare::{Order, Prepared, Preparer};
use super::preprocessed::TextFile;
use super::result::Answer;
use super::whole::WhyNot;
use crate::scanning::Scanning;
use crate::toolchain::Toolchains;

/// How long a job waits for its turn and its scan: the first compile of a build also waits for its toolchain to be
/// found and hashed.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a job whose result is there waits for it to be kept. A disk that needs longer does not answer at all, and
/// nothing is kept any more.
const KEEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Digests of toolchains' files, so that the next agent need not read them again.
const DIGESTS_FILE: &str = "toolchain-digests";

type Found = Result<Ready, WhyNot>;

/// A compile as an action, and its result if that is known.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) kept: Option<Kept>,
}

/// What the thread does.
enum Work {
    Prepare {
        order: Arc<Order>,
        /// Whether results of earlier compiles may be used.
        may_be_kept: bool,
        answer: oneshot::Sender<Found>,
    },
    PrepareText {
        order: Arc<Order>,
        text: TextFile,
        answer: oneshot::Sender<Result<Prepared, WhyNot>>,
    },
}

/// The thread, started when the first job needs it.
#[derive(Debug)]
pub(crate) struct PrepareService {
    function: DigestFunction,
    cache: Option<CacheSettings>,
    /// Where the sources of test compiles are.
    probe_dir: PathBuf,
    work: std::cell::OnceCell<mpsc::Sender<Work>>,
    /// Once it is open.
    opened: Arc<OnceLock<Cache>>,
    /// Why there is no cache, once it is known.
    complaint: Arc<OnceLock<String>>,
}

impl PrepareService {
    pub(crate) fn new(
        function: DigestFunction,
        cache: Option<CacheSettings>,
        probe_dir: PathBuf,
    ) -> Self {
        Self {
            function,
            cache,
            probe_dir,
            work: std::cell::OnceCell::new(),
            opened: Arc::default(),
            complaint: Arc::default(),
        }
    }

    /// A compile as an action. Its result too, if it is known and `may_be_kept`.
    ///
    /// # Errors
    /// Why it cannot go to a worker as it is.
    pub(crate) async fn prepare(&self, order: Arc<Order>, may_be_kept: bool) -> Found {
        let (sender, answer) = oneshot::channel();
        let work = Work::Prepare {
            order,
            may_be_kept,
            answer: sender,
        };
        self.work().send(work).map_err(|_| WhyNot::NoAnswer)?;
        match timeout(PREPARE_TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer,
            _ => Err(WhyNot::NoAnswer),
        }
    }

    /// A compile of a text as an action.
    ///
    /// # Errors
    /// Why it cannot go to a worker.
    pub(crate) async fn prepare_text(
        &self,
        order: Arc<Order>,
        text: TextFile,
    ) -> Result<Prepared, WhyNot> {
        let (sender, answer) = oneshot::channel();
        let work = Work::PrepareText {
            order,
            text,
            answer: sender,
        };
        self.work().send(work).map_err(|_| WhyNot::NoAnswer)?;
        match timeout(PREPARE_TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer,
            _ => Err(WhyNot::NoAnswer),
        }
    }

    /// Keeps a result for later compiles, as far as that is possible; the same result, whose files may be the cache's
    /// now. It is hashed and written elsewhere than in the event loop.
    pub(crate) async fn keep(&self, prepared: Arc<Prepared>, answer: Answer) -> Answer {
        let Some(cache) = self.cache().filter(|_| self.complaint().is_none()).cloned() else {
            return answer;
        };
        let mut kept = answer.clone();
        let keeping = tokio::task::spawn_blocking(move || {
            cache.keep(&prepared, &mut kept);
            kept
        });
        let Ok(kept) = timeout(KEEP_TIMEOUT, keeping).await else {
            let seconds = KEEP_TIMEOUT.as_secs();
            let settings = self.cache.as_ref();
            let dir = settings.map_or("the cache".into(), |it| it.dir.display().to_string());
            let _first = self.complaint.set(format!(
                "results are not kept until the agent is started again: {dir} has not answered for {seconds} s \
                 (FARCC_CACHE_DIR names another place)"
            ));
            return answer;
        };
        kept.unwrap_or(answer)
    }

    /// Where results are kept. Open once something was prepared.
    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.opened.get()
    }

    /// Why results are not kept although they should be.
    pub(crate) fn complaint(&self) -> Option<&str> {
        self.complaint.get().map(String::as_str)
    }

    fn work(&self) -> &mpsc::Sender<Work> {
        self.work.get_or_init(|| {
            let (sender, work) = mpsc::channel();
            let (function, cache) = (self.function, self.cache.clone());
            let (complaint, opened) = (Arc::clone(&self.complaint), Arc::clone(&self.opened));
            let probe_dir = self.probe_dir.clone();
            // It ends when nobody can order any more.
            std::thread::spawn(move || {
                if let Some(cache) =
                    cache.and_then(|settings| open(&settings, function, &complaint))
                {
                    let _first = opened.set(cache);
                }
                run(&work, function, opened.get().cloned(), probe_dir);
            });
            sender
        })
    }
}

fn open(
    settings: &CacheSettings,
    function: DigestFunction,
    complaint: &OnceLock<String>,
) -> Option<Cache> {
    match Cache::open(settings, function) {
        Ok(cache) => Some(cache),
        Err(why) => {
            let _first = complaint.set(format!("results are not kept: {why}"));
            None
        }
    }
}

fn run(
    work: &mpsc::Receiver<Work>,
    function: DigestFunction,
    cache: Option<Cache>,
    probe_dir: PathBuf,
) {
    // Without it, digests are found again by the next agent, and the test compile says what is wrong.
    fs::create_dir_all(&probe_dir).unwrap_or_default();
    let digests = probe_dir.join(DIGESTS_FILE);
    let mut desk = Desk {
        cache,
        toolchains: Toolchains::new(function, Some(digests)),
        scanning: Scanning::new(),
        preparer: Preparer::new(function, probe_dir),
    };
    while let Ok(first) = work.recv() {
        let waiting: Vec<Work> = std::iter::once(first).chain(work.try_iter()).collect();
        // All of these have been ordered by now, so they may share what is looked at from now on.
        desk.scanning.begin_moment();
        desk.toolchains.begin_moment();
        waiting.into_iter().for_each(|work| desk.take(work));
    }
}

/// What the thread works with.
struct Desk {
    cache: Option<Cache>,
    toolchains: Toolchains,
    scanning: Scanning,
    preparer: Preparer,
}

impl Desk {
    fn take(&mut self, work: Work) {
        match work {
            // A job that is gone needs no answer.
            Work::Prepare { answer, .. } if answer.is_closed() => {}
            Work::Prepare {
                order,
                may_be_kept,
                answer,
            } => drop(answer.send(self.prepare(&order, may_be_kept))),
            Work::PrepareText { answer, .. } if answer.is_closed() => {}
            Work::PrepareText {
                order,
                text,
                answer,
            } => drop(answer.send(self.prepare_text(&order, &text))),
        }
    }

    fn prepare(&mut self, order: &Order, may_be_kept: bool) -> Found {
        let (scanning, preparer) = (&mut self.scanning, &mut self.preparer);
        let mut prepared = preparer.prepare(scanning, &self.toolchains, order)?;
        let cache = self.cache.as_ref().filter(|_| may_be_kept);
        let kept = cache.and_then(|cache| cache.get(&prepared));
        if kept.is_none() {
            preparer.prove(scanning, order, &mut prepared)?;
        }
        Ok(Ready {
            prepared: Arc::new(prepared),
            kept,
        })
    }

    fn prepare_text(&mut self, order: &Order, text: &TextFile) -> Result<Prepared, WhyNot> {
        let preparer = &mut self.preparer;
        let mut prepared = preparer.prepare_text(&self.toolchains, order, text)?;
        preparer.prove(&mut self.scanning, order, &mut prepared)?;
        Ok(prepared)
    }
}
