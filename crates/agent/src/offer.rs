//! What a job has to offer to hosts: an action for workers, source and headers, or a command on preprocessed text for
//! others.

use std::sync::Arc;

use place::{Candidate, HostId};
use stock::hosts::{Host, Speaks};
use wire::LogLevel;

use crate::exchange::{FilesJob, Text};
use crate::host_lists::JobHosts;
use crate::job::Job;
use crate::native::{Kept, Prepared, WhyNot, Workers};
use crate::plan::{self, Asked, FilesWords, Local};
use crate::scanning::WhyText;
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
        let invocation = expanded.as_ref().unwrap_or(given);
        let action = if hosts.some_may_be_native(&agent.workers) {
            let order = match &asked.native {
                Ok(()) => plan::worker_order(request, given, expanded.as_ref()),
                Err(local) => Err(local.clone()),
            };
            match order {
                Ok(order) => {
                    let uses_cache = job.settings.cache;
                    agent
                        .preparer
                        .prepare(order, uses_cache)
                        .await
                        .map_err(Some)
                }
                Err(_) => Err(None),
            }
        } else {
            Err(None)
        };
        if let Err(Some(why)) = &action {
            note(job, why);
        }
        if let Some(complaint) = agent.preparer.complaint().filter(|_| job.settings.cache) {
            job.log(LogLevel::Info, complaint);
        }
        let (action, kept, why) = match action {
            Ok(ready) => (Some(ready.prepared), ready.kept, None),
            Err(why) => (None, None, why),
        };
        if kept.is_some() || (action.is_some() && asked.stock.is_err()) {
            let stock = asked.stock.clone();
            return Ok(Self {
                text_command: Err(stock.err().unwrap_or_else(|| Why::NotNative.into())),
                text: None,
                files: None,
                action,
                kept,
            });
        }
        if let Err(local) = &asked.stock {
            return Err(why.as_ref().map_or_else(|| local.clone(), of));
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
            self.action.is_some() && host.is_some_and(|host| workers.may_be_native(id, host))
        };
        let fits = |id: HostId, host: Option<&Host>| {
            let only_native = host.is_some_and(|host| host.speaks == Speaks::Native);
            is_worker(id, host) || (self.text_command.is_ok() && !only_native)
        };
        let all = hosts.fitting(&hosts.candidates_for(job.id.0), workers, fits);
        let Ok(command) = &self.text_command else {
            return Ok(all);
        };
        let compiler = command.first().map_or(&[][..], Vec::as_slice);
        let (native, stock): (Vec<_>, Vec<_>) = all
            .iter()
            .copied()
            .partition(|it| is_worker(it.host, hosts.host(it.host)));
        match job.agent.refusals.allow(stock.into(), compiler) {
            Ok(allowed) => {
                let is_left = |it: &&Candidate| {
                    native.contains(it) || allowed.iter().any(|left| left.host == it.host)
                };
                Ok(all.iter().filter(is_left).copied().collect())
            }
            Err(_) if !native.is_empty() => Ok(native.into()),
            Err(said) => Err(said),
        }
    }

    /// Why only workers may run it.
    pub(crate) fn only_workers(&self) -> Option<Local> {
        self.text_command.as_ref().err().cloned()
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

/// Tells why workers do not get the sources.
fn note(job: &Job, why: &WhyNot) {
    let text = format!("{}: workers do not get its sources: {why}", job.file);
    job.log(LogLevel::Info, text);
    job.ended.borrow_mut().doubt = Some(why.reason());
}

fn of(why: &WhyNot) -> Local {
    Local {
        reason: why.reason(),
        level: LogLevel::Info,
        preprocesses: false,
    }
}
