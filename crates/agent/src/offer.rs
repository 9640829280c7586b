//! What a job has to offer to hosts: an action for workers, source and headers, or a command on preprocessed text for
//! others.

use std::sync::Arc;

use place::{Candidate, HostId};
use stock::hosts::{Host, Speaks};
use wire::LogLevel;

use crate::compilers::Expanded;
use crate::exchange::{FilesJob, Text};
use crate::host_lists::JobHosts;
use crate::job::Job;
use crate::native::{Kept, Prepared, WhyNot, Workers};
use crate::plan::{self, Asked, FilesWords, Local, TextOrder};
use crate::scanning::WhyText;
use crate::terminal::Speech;
use crate::why::Why;

/// What hosts could be given.
pub(crate) struct Offer {
    /// The command on preprocessed text, or why only workers may run it.
    pub(crate) text_command: Result<Vec<Vec<u8>>, Local>,
    /// Text that needs no preprocessing.
    pub(crate) text: Option<Text>,
    /// Source and headers for hosts that preprocess.
    pub(crate) files: Option<FilesJob>,
    /// What a worker would execute.
    pub(crate) action: Option<Arc<Prepared>>,
    /// What a worker would execute on preprocessed text instead.
    pub(crate) by_text: Option<TextOrder>,
    /// Why a worker would not execute it on the sources.
    why_no_action: Option<Local>,
    /// How a worker was told to speak.
    pub(crate) speech: Speech,
    /// What came of it at another time.
    pub(crate) kept: Option<Kept>,
}

impl Offer {
    /// Finds out what can be offered.
    ///
    /// # Errors
    /// Nothing: why the job stays here.
    pub(crate) async fn make(job: &Job, asked: &Asked, hosts: &JobHosts) -> Result<Self, Local> {
        let (request, agent) = (&job.request, &job.agent);
        let given = &asked.invocation;
        let expanded = plan::expand(request, given, &agent.compilers).await?;
        let invocation = expanded.as_ref().map_or(given, |it| &it.invocation);
        let for_workers = ForWorkers::find(job, asked, expanded.as_ref(), hosts).await;
        let ForWorkers {
            action,
            kept,
            by_text,
            speech,
            why,
        } = for_workers;
        let is_for_workers = action.is_some() || by_text.is_some();
        if kept.is_some() || (is_for_workers && asked.stock.is_err()) {
            let stock = asked.stock.clone();
            let local = stock.err().unwrap_or_else(|| Why::NotNative.into());
            return Ok(Self {
                text_command: Err(why.unwrap_or(local)),
                text: None,
                files: None,
                action,
                by_text,
                why_no_action: None,
                speech,
                kept,
            });
        }
        if let Err(local) = &asked.stock {
            return Err(why.unwrap_or_else(|| local.clone()));
        }
        let commands =
            plan::host_commands(request, invocation, &job.settings, &agent.compilers).await;
        let text = plan::own_text(request, given)?;
        // Do hosts preprocess by themselves? Then find out what they need for it.
        let files = match text {
            None if hosts.some_take_files() => to_send(job, asked, commands.files).await,
            _ => None,
        };
        Ok(Self {
            text_command: Ok(commands.text),
            text,
            files,
            action,
            by_text,
            why_no_action: why,
            speech,
            kept: None,
        })
    }

    /// The hosts that can run it, in the order in which this job should meet them.
    ///
    /// # Errors
    /// Every one has said that it does not run this compiler; the words of one.
    pub(crate) fn candidates(
        &self,
        job: &Job,
        hosts: &JobHosts,
    ) -> Result<Arc<[Candidate]>, String> {
        let workers = &job.agent.workers;
        let is_worker = |id: HostId, host: Option<&Host>| {
            self.is_for_workers() && host.is_some_and(|host| workers.may_be_native(id, host))
        };
        let fits = |id: HostId, host: Option<&Host>| {
            let only_native = host.is_some_and(|host| host.speaks == Speaks::Native);
            is_worker(id, host) || (self.text_command.is_ok() && !only_native)
        };
        let all = hosts.fitting(&hosts.candidates_for(job.id.0), workers, fits);
        let refusals = &job.agent.refusals;
        let (native, stock): (Vec<_>, Vec<_>) = all
            .iter()
            .copied()
            .partition(|it| is_worker(it.host, hosts.host(it.host)));
        let native = match &self.action {
            Some(action) => refusals.allow(native.into(), action.toolchain().as_bytes()),
            None => Ok(native.into()),
        };
        let stock = match &self.text_command {
            Ok(command) => {
                let compiler = command.first().map_or(&[][..], Vec::as_slice);
                refusals.allow(stock.into(), compiler)
            }
            Err(_) => Ok(stock.into()),
        };
        match (native, stock) {
            (Err(said), Err(_)) => Err(said),
            (Err(said), Ok(left)) | (Ok(left), Err(said)) if left.is_empty() => Err(said),
            (native, stock) => {
                let left = [native.unwrap_or_default(), stock.unwrap_or_default()];
                let is_left = |it: &&Candidate| {
                    left.iter()
                        .flat_map(|some| some.iter())
                        .any(|one| one.host == it.host)
                };
                Ok(all.iter().filter(is_left).copied().collect())
            }
        }
    }

    fn is_for_workers(&self) -> bool {
        self.action.is_some() || self.by_text.is_some()
    }

    /// Why it stays here if no host can run it.
    pub(crate) fn why_nowhere(&self) -> Option<Local> {
        let only_workers = self.text_command.as_ref().err();
        only_workers.or(self.why_no_action.as_ref()).cloned()
    }

    /// Bytes of what would be sent, as far as it is known.
    pub(crate) fn bytes(&self) -> u64 {
        let files = self.files.as_ref().map(|files| files.parcel.bytes);
        let action = self.action.as_ref().map(|action| action.bytes());
        files.or(action).unwrap_or(0)
    }

    /// Whether nothing has to be preprocessed for any of these hosts, as far as is known.
    pub(crate) fn is_ready_for(
        &self,
        candidates: &[Candidate],
        hosts: &JobHosts,
        workers: &Workers,
    ) -> bool {
        self.text.is_some()
            || candidates.iter().all(|it| match hosts.host(it.host) {
                Some(host) if self.action.is_some() && workers.may_be_native(it.host, host) => true,
                Some(host) => self.files.is_some() && host.protocol().sends_files(),
                None => true,
            })
    }
}

/// Source and headers for hosts; `None` if it has to be preprocessed here.
async fn to_send(job: &Job, asked: &Asked, words: Result<FilesWords, WhyText>) -> Option<FilesJob> {
    let found = plan::files_job(&job.request, &asked.invocation, words, &job.agent.scanner);
    match found.await {
        Ok(files) => Some(files),
        Err(why) => {
            let text = format!("{} is preprocessed here: {why}", job.file);
            job.log(LogLevel::Info, text);
            None
        }
    }
}

/// What workers can be given.
#[derive(Default)]
struct ForWorkers {
    action: Option<Arc<Prepared>>,
    kept: Option<Kept>,
    by_text: Option<TextOrder>,
    speech: Speech,
    /// Why there is no action on the sources.
    why: Option<Local>,
}

impl ForWorkers {
    async fn find(job: &Job, asked: &Asked, expanded: Option<&Expanded>, hosts: &JobHosts) -> Self {
        let (agent, given) = (&job.agent, &asked.invocation);
        if asked.native.is_err() || !hosts.some_may_be_native(&agent.workers) {
            return Self::default();
        }
        let speech = Speech::of(&job.request, given);
        let order = plan::worker_order(&job.request, given, expanded, &speech.words);
        let Ok(order) = order else {
            return Self::default();
        };
        let uses_cache = job.settings.cache;
        let order = Arc::new(order);
        let prepared = agent.preparer.prepare(Arc::clone(&order), uses_cache);
        let found = prepared.await;
        if let Some(complaint) = agent.preparer.complaint().filter(|_| uses_cache) {
            job.log(LogLevel::Info, complaint);
        }
        let why = match found {
            Ok(ready) => {
                return Self {
                    action: Some(ready.prepared),
                    // What was kept may have been said on another terminal.
                    kept: ready
                        .kept
                        .filter(|kept| speech.is_certain() || !kept.has_messages()),
                    speech,
                    ..Self::default()
                };
            }
            Err(why) => why,
        };
        job.ended.borrow_mut().doubt = Some(why.reason());
        let mut local = Local::from(&why);
        let text = if why.is_cured_by_text() {
            plan::text_order(given, &order).map_err(Some)
        } else {
            Err(None)
        };
        let by_text = match text {
            Ok(by_text) => Some(by_text),
            Err(why_no_text) => {
                if let Some(why) = why_no_text {
                    let sentence = &mut local.reason.sentence;
                    *sentence = format!("{sentence}; {}", why.reason.sentence);
                }
                None
            }
        };
        let what = match &by_text {
            Some(_) => "workers get it preprocessed",
            None => "workers do not get its sources",
        };
        let text = format!("{}: {what}: {}", job.file, local.reason.sentence);
        job.log(LogLevel::Info, text);
        Self {
            by_text,
            why: Some(local),
            ..Self::default()
        }
    }
}

impl From<&WhyNot> for Local {
    fn from(why: &WhyNot) -> Self {
        Self {
            reason: why.reason(),
            level: LogLevel::Info,
            preprocesses: false,
        }
    }
}
