//! What happened to the jobs of a build: a fold over the agent's events.
//!
//! Pure: the clock, the agent and the terminal are elsewhere.

use std::collections::{BTreeMap, HashSet};

use wire::event::{Ended, Event, EventKind};

/// Host name of local work in events.
const LOCALHOST: &str = "localhost";

/// Counts of everything that ended so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Jobs compiled elsewhere, by host.
    pub(crate) remote: BTreeMap<String, Remote>,
    /// Jobs compiled here, by reason.
    pub(crate) local: BTreeMap<String, Local>,
    /// Failed attempts after which the job went on elsewhere, by host.
    pub(crate) retried: BTreeMap<String, Retried>,
    /// Jobs whose compiler failed.
    pub(crate) failed: u64,
    /// Jobs of which no end was reported: their agent or shim died.
    pub(crate) unfinished: u64,
    running: HashSet<u64>,
}

/// Work that one host did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Remote {
    /// Jobs.
    pub(crate) jobs: u64,
    /// Time that the host took for them, milliseconds.
    pub(crate) compile_ms: u64,
}

/// Work that was done here for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Local {
    /// Jobs.
    pub(crate) jobs: u64,
    /// The reason in words.
    pub(crate) sentence: String,
}

/// Attempts that failed on one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Retried {
    /// Attempts.
    pub(crate) attempts: u64,
    /// Why the last one failed.
    pub(crate) last_why: String,
}

impl Summary {
    /// Takes one event into account.
    pub(crate) fn on(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Started { .. } => {
                self.running.insert(event.job);
            }
            EventKind::Phase { .. } => {}
            EventKind::Retried { host, why } => {
                let retried = self.retried.entry(host.clone()).or_default();
                retried.attempts += 1;
                retried.last_why.clone_from(why);
            }
            EventKind::Ended(ended) => {
                self.running.remove(&event.job);
                self.end(ended);
            }
        }
    }

    fn end(&mut self, ended: &Ended) {
        if ended.wait_status.is_some_and(|status| status != 0) {
            self.failed += 1;
        }
        let local = match &ended.local {
            Some(reason) => Some((reason.code.as_str(), reason.sentence.as_str())),
            None if ended.host == LOCALHOST => Some((LOCALHOST, "the host list says so")),
            None => None,
        };
        if let Some((code, sentence)) = local {
            let local = self.local.entry(code.to_owned()).or_default();
            local.jobs += 1;
            sentence.clone_into(&mut local.sentence);
        } else if !ended.host.is_empty() {
            // Whoever had none went away, or was only the sum of other jobs.
            let remote = self.remote.entry(ended.host.clone()).or_default();
            remote.jobs += 1;
            remote.compile_ms += ended.remote_ms;
        }
    }

    /// Jobs that started and have not ended.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// The agent has gone: nothing more will be heard of the jobs that run.
    pub(crate) fn lose_running(&mut self) {
        self.unfinished += self.running.len() as u64;
        self.running.clear();
    }

    /// Jobs compiled elsewhere.
    pub(crate) fn remote_jobs(&self) -> u64 {
        self.remote.values().map(|remote| remote.jobs).sum()
    }

    /// Jobs compiled here.
    pub(crate) fn local_jobs(&self) -> u64 {
        self.local.values().map(|local| local.jobs).sum()
    }

    /// Time that hosts spent compiling, milliseconds.
    pub(crate) fn remote_ms(&self) -> u64 {
        self.remote.values().map(|remote| remote.compile_ms).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::event::LocalReason;

    fn event(job: u64, kind: EventKind) -> Event {
        Event {
            time_ms: 0,
            job,
            kind,
        }
    }

    fn started(job: u64) -> Event {
        let file = "a.c".to_owned();
        event(job, EventKind::Started { pid: 1, file })
    }

    fn ended(job: u64, host: &str, local: Option<&str>, wait_status: i32) -> Event {
        let ended = Ended {
            host: host.to_owned(),
            local: local.map(|code| LocalReason {
                code: code.to_owned(),
                sentence: format!("it is a {code}"),
            }),
            wait_status: Some(wait_status),
            remote_ms: 100,
            ..Ended::default()
        };
        event(job, EventKind::Ended(ended))
    }

    #[test]
    fn jobs_are_counted_where_they_ended() {
        let mut summary = Summary::default();
        let retried = EventKind::Retried {
            host: "slow".to_owned(),
            why: "timed out".to_owned(),
        };
        for event in [
            started(1),
            started(2),
            started(3),
            started(4),
            event(1, retried),
            ended(1, "fast/8", None, 0),
            ended(2, "fast/8", None, 256),
            ended(3, LOCALHOST, Some("link"), 0),
            ended(4, LOCALHOST, None, 0),
        ] {
            summary.on(&event);
        }
        assert_eq!(summary.running(), 0);
        assert_eq!((summary.remote_jobs(), summary.local_jobs()), (2, 2));
        assert_eq!((summary.failed, summary.retried["slow"].attempts), (1, 1));
        assert_eq!(summary.remote_ms(), 200);
        assert_eq!(summary.local["link"].sentence, "it is a link");
    }

    #[test]
    fn jobs_of_a_dead_agent_are_unfinished() {
        let mut summary = Summary::default();
        summary.on(&started(1));
        assert_eq!(summary.running(), 1);
        summary.lose_running();
        assert_eq!((summary.running(), summary.unfinished), (0, 1));
    }
}
