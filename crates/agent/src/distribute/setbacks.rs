//! What becomes of a job when a host fails it, and what is said about that.

use std::time::Duration;

use place::{Event, HostId, Micros, WhyHere};
use reapi::client::CallError;
use wire::LogLevel;
use wire::event::EventKind;

use super::{Outcome, Run, TextState};
use crate::dispatch::Ticket;
use crate::failure::HostFailure;
use crate::job::why_here;
use crate::plan::Local;
use crate::seat::Seat;
use crate::why::Why;

impl Run<'_> {
    pub(super) fn host_failed(&mut self, id: HostId, failure: &HostFailure, ticket: &Ticket) {
        let (job, host) = (self.job, self.hosts.host(id));
        let host = host.map_or("localhost", |host| &host.text);
        let why = failure.to_string();
        let source = &self.plan.source;
        let text = format!("compile {source} on {host} failed: {why}");
        let cool_down = match failure {
            // Not this job, or not with this compiler; others are welcome there.
            HostFailure::Refused(refused) => {
                let compiler = self.plan.argv.first().map_or(&[][..], Vec::as_slice);
                job.agent.refusals.learn(id, compiler, refused);
                job.warn(&format!("{host} {why}"), text);
                Duration::ZERO
            }
            // The same for a worker and a toolchain.
            HostFailure::Unproven { toolchain, why } => {
                job.agent.refusals.learn_unproven(id, toolchain, why);
                job.warn(&format!("{host} {why}"), text);
                Duration::ZERO
            }
            // Nor is this the host's fault.
            HostFailure::NotNative
            | HostFailure::Killed(_)
            | HostFailure::Call(
                CallError::Refused(_) | CallError::Exhausted(_) | CallError::Deadline { .. },
            ) => {
                job.log(LogLevel::Info, text);
                Duration::ZERO
            }
            // One line for each host and cool-down; a build has hundreds of jobs.
            _ if job.agent.is_new_failure(id, &why, job.settings.backoff) => {
                job.log(LogLevel::Warning, text);
                job.settings.backoff
            }
            _ => {
                job.log(LogLevel::Info, text);
                job.settings.backoff
            }
        };
        job.agent.workers.doubt(id);
        job.emit(EventKind::Retried {
            host: host.to_owned(),
            why,
        });
        self.failed = Some((host.to_owned(), failure.exit_code().code()));
        self.seat = Seat::None;
        let cool_down = Micros::try_from(cool_down.as_micros()).unwrap_or(Micros::MAX);
        ticket.tell(Event::HostFailed {
            job: job.id,
            cool_down,
        });
    }

    pub(super) fn why_local(&self, why: WhyHere) -> Local {
        if let (WhyHere::Asked, TextState::Unwanted(why)) = (why, &self.text) {
            return why.clone();
        }
        let source = &self.plan.source;
        match (&self.failed, why) {
            (_, WhyHere::Listed) => {}
            (Some((host, _)), _) => self.job.warn(
                host,
                format!("failed to distribute {source} to {host}, running locally instead"),
            ),
            (None, _) => {
                let text = format!(
                    "{}: failed to distribute, running locally instead",
                    self.what_failed(Why::HostsCooling)
                );
                self.job.warn(&text, text.clone());
            }
        }
        why_here(why).into()
    }

    /// Why no host takes it, where it may not run here.
    pub(super) fn nowhere(&self) -> Outcome {
        let (exit_code, why) = match &self.failed {
            Some((_, code)) => (*code, Why::HostsFailed),
            None => (stock::exit::ExitCode::NoHosts.code(), Why::HostsCooling),
        };
        Outcome::Nowhere {
            exit_code,
            why: self.what_failed(why),
        }
    }

    /// Why no host took it, with what each of them failed of.
    fn what_failed(&self, why: Why) -> String {
        /// More are not worth reading in one line.
        const NAMED_MAX: usize = 3;
        let hosts = &self.hosts.candidates;
        let failures = hosts.iter().filter_map(|candidate| {
            let why = self.job.agent.last_failure(candidate.host)?;
            let host = self.hosts.host(candidate.host)?;
            Some(format!("{}: {why}", host.text))
        });
        let named: Vec<String> = failures.take(NAMED_MAX).collect();
        let sentence = why.sentence();
        match named.len() {
            0 => sentence.to_owned(),
            all if all == hosts.len() => format!("{sentence} ({})", named.join("; ")),
            _ => format!("{sentence} ({}; …)", named.join("; ")),
        }
    }
}
