//! The job's action on a worker.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use place::{Event, HostId, Micros};
use reapi::Stage;
use stock::Phase;
use stock::hosts::Host;
use tokio::time::{Instant, timeout};
use wire::{Destination, LogLevel};

use super::{Outcome, Run};
use crate::dispatch::Ticket;
use crate::failure::HostFailure;
use crate::job::Job;
use crate::last_failure;
use crate::native::{Answer, NoResult, Prepared, Traffic, fetch, remote_ms};
use crate::plan::Local;
use crate::seat::{NoAnswer, Seat};
use crate::why::Why;

impl<'a> Run<'a> {
    /// The action, if this host may be a worker.
    pub(super) fn action_for(&self, id: HostId) -> Option<Arc<Prepared>> {
        let may_be = self.hosts.may_be_native(id, &self.job.agent.workers);
        self.action.as_ref().filter(|_| may_be).map(Arc::clone)
    }

    /// Lets a worker begin.
    pub(super) fn work(&mut self, id: HostId, slot: u32, action: Arc<Prepared>) {
        let host = self
            .hosts
            .host(id)
            .expect("the scheduler got it from this list");
        let work = execute(self.job, id, host, slot, action);
        self.seat = Seat::Worker(id, slot, Box::pin(work));
    }

    /// What a worker's end means for the job. `None`: it goes on.
    pub(super) fn worked(
        &mut self,
        answer: Result<Answer, NoAnswer>,
        ticket: &Ticket,
    ) -> Option<Outcome> {
        let (id, slot) = self.seat.place()?;
        self.seat = Seat::None;
        let failure = match answer {
            Ok(answer) => match self.judge_answer(&answer) {
                Verdict::Good => return Some(self.take_answer(answer, id, ticket)),
                Verdict::Local(local) => {
                    self.unwant(local, ticket);
                    return None;
                }
                Verdict::Host(failure) => failure,
            },
            // Nothing is wrong with such a host: it gets what it understands, if there is anything.
            Err(NoAnswer::Host(HostFailure::NotNative)) => {
                self.go_on_without_action(id, slot, ticket);
                return None;
            }
            Err(NoAnswer::Text(why)) => {
                self.unwant(Local::from(&why), ticket);
                return None;
            }
            Err(NoAnswer::Host(failure)) => failure,
            Err(NoAnswer::Action(NoResult::Call(error))) => HostFailure::Call(error),
            Err(NoAnswer::Action(changed)) => {
                self.without_action(id, slot, &changed, ticket);
                return None;
            }
        };
        self.host_failed(id, &failure, ticket);
        None
    }

    fn take_answer(&self, answer: Answer, id: HostId, ticket: &Ticket) -> Outcome {
        let job = self.job;
        let host = self.hosts.host(id).map_or("localhost", |host| &host.text);
        host.clone_into(&mut job.ended.borrow_mut().host);
        // A compile that failed says nothing about the host's speed.
        let took = (answer.wait_status == 0).then_some(answer.took);
        let took = took.map(|took| Micros::try_from(took.as_micros()).unwrap_or(Micros::MAX));
        ticket.tell(Event::HostAnswered { job: job.id, took });
        Outcome::Worked {
            answer,
            host: host.to_owned(),
        }
    }

    fn judge_answer(&self, answer: &Answer) -> Verdict {
        if answer.was_killed {
            return Verdict::Host(HostFailure::Killed(answer.wait_status));
        }
        if answer.misses_file && self.job.settings.fallback {
            self.note_bug(answer, "failed on a worker for a file that was not there");
            return Verdict::Local(Why::MissingInput.into());
        }
        if let Some(file) = answer
            .unexpected
            .as_ref()
            .filter(|_| self.job.settings.fallback)
        {
            let text = format!(
                "read {} on a worker, which was not found by the scan",
                file.display()
            );
            self.note_bug(answer, &text);
            return Verdict::Local(Why::UnexpectedRead.into());
        }
        if self.is_worded_otherwise(answer) && self.job.settings.fallback {
            return Verdict::Local(Why::TextMessages.into());
        }
        let mut messages = answer.outputs.iter();
        let is_as_here = messages.all(|output| {
            output.destination != Destination::Stderr || self.speech.fits(&output.bytes)
        });
        if !is_as_here && self.job.settings.fallback {
            return Verdict::Local(Why::TerminalDiffers.into());
        }
        // Whether one can be used depends on where things lie in memory.
        let uses_precompiled = self.action.as_ref().is_some_and(|it| it.uses_precompiled);
        if answer.wait_status != 0 && uses_precompiled && self.job.settings.fallback {
            return Verdict::Local(Why::PrecompiledFailed.into());
        }
        let (invocation, failed) = (&self.plan.invocation, answer.wait_status != 0);
        if failed && invocation.makes_header() && self.job.settings.fallback {
            return Verdict::Local(Why::HeaderFailed.into());
        }
        let output = invocation.output();
        let is_there = output.is_none_or(|name| name == "/dev/null" || answer.has(name));
        if answer.wait_status == 0 && !is_there {
            let text = "the output that was asked for did not come back".to_owned();
            return Verdict::Host(HostFailure::Call(reapi::client::CallError::Nonsense(text)));
        }
        Verdict::Good
    }

    /// What the scan was certain of was not so, or the source names a file that is nowhere: the compile here will tell.
    fn note_bug(&self, answer: &Answer, what: &str) {
        let Some(action) = &self.action else { return };
        let kept = last_failure::keep(self.job, action, answer, what);
        if let Err(error) = kept {
            let text = format!("the failure on the worker is not kept: {error}");
            self.job.log(LogLevel::Info, text);
        }
    }

    /// A file changed under the action's feet.
    fn without_action(&mut self, id: HostId, slot: u32, why: &NoResult, ticket: &Ticket) {
        let text = format!("{}: {why}", self.job.file);
        self.job.log(LogLevel::Info, text);
        self.action = None;
        self.go_on_without_action(id, slot, ticket);
    }

    fn go_on_without_action(&mut self, id: HostId, slot: u32, ticket: &Ticket) {
        match &self.plan.only_workers {
            Some(local) => self.unwant(local.clone(), ticket),
            None => self.connect_stock(id, slot),
        }
    }
}

/// What to do with an answer.
enum Verdict {
    Good,
    /// The compile is repeated here.
    Local(Local),
    /// It is repeated elsewhere.
    Host(HostFailure),
}

/// Has a worker execute an action and brings its outputs here.
pub(super) async fn execute(
    job: &Job,
    id: HostId,
    host: &Host,
    slot: u32,
    action: Arc<Prepared>,
) -> Result<Answer, NoAnswer> {
    let (agent, settings) = (&job.agent, &job.settings);
    job.show(Phase::Connect, host.name(), slot);
    let worker = agent
        .workers
        .reach(id, host, settings, &job.request.env, &agent.resolver)
        .await
        .map_err(NoAnswer::Host)?;
    job.show(Phase::Send, host.name(), slot);
    let started = Instant::now();
    let traffic = Cell::new(Traffic::default());
    let work = async {
        let unproven = |why| {
            let toolchain = action.toolchain();
            NoAnswer::Host(HostFailure::Unproven { toolchain, why })
        };
        worker.prove(&action, &traffic).await?.map_err(unproven)?;
        let executed = worker.execute(&action, &traffic, |stage| {
            if stage == Stage::Executing {
                job.show(Phase::Compile, host.name(), slot);
            }
        });
        let executed = executed.await?;
        let cache = agent.preparer.cache().filter(|_| settings.cache);
        let mut answer = fetch(&worker, &action, &executed.result, cache).await?;
        answer.took = started.elapsed();
        let mut ended = job.ended.borrow_mut();
        ended.remote_ms = remote_ms(&executed.result.metadata);
        if answer.wait_status == 0 && ended.remote_ms > 0 {
            let time = Duration::from_millis(ended.remote_ms);
            job.agent.costs.learn_time(&job.request, time);
        }
        Ok::<_, NoAnswer>(answer)
    };
    let answer = timeout(settings.io_timeout, work).await;
    let mut ended = job.ended.borrow_mut();
    ended.sent_bytes += traffic.get().sent;
    if let Ok(Ok(answer)) = &answer {
        ended.received_bytes += answer.len();
    }
    match answer {
        Ok(answer) => answer,
        Err(_) => Err(NoAnswer::Host(HostFailure::Timeout(settings.io_timeout))),
    }
}
