//! How each compile ended, from the agent's own events.

use std::collections::HashMap;
use std::thread::JoinHandle;

use e2e::workspace::Workspace;
use wire::event::{Ended, Event, EventKind};

use crate::demo::events;

/// A thread that listens until the agent leaves.
#[derive(Debug)]
pub(super) struct Listening(JoinHandle<Result<Outcomes, String>>);

/// All ends, by the shim's process id.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    pids: HashMap<u64, u32>,
    ended: HashMap<u32, Ended>,
}

impl Outcomes {
    /// Starts the agent and begins to listen.
    pub(super) fn listen(workspace: &Workspace) -> Result<Listening, String> {
        let first = workspace.distcc("gcc --version");
        if !first.status.success() {
            return Err(format!("distcc does not work: {first:#?}"));
        }
        let stream = events::watch(&workspace.distcc_dir())?;
        Ok(Listening(std::thread::spawn(move || {
            let mut outcomes = Self::default();
            events::for_each(stream, |event| outcomes.on(event))
                .map_err(|error| format!("cannot listen to the agent: {error}"))?;
            Ok(outcomes)
        })))
    }

    fn on(&mut self, event: Event) {
        match event.kind {
            EventKind::Started { pid, .. } => {
                self.pids.insert(event.job, pid);
            }
            EventKind::Ended(ended) => {
                if let Some(pid) = self.pids.remove(&event.job) {
                    self.ended.insert(pid, ended);
                }
            }
            _ => {}
        }
    }

    /// How a shim's compile ended.
    pub(super) fn of(&self, pid: u32) -> Option<&Ended> {
        self.ended.get(&pid)
    }
}

impl Listening {
    /// Waits for the agent's end.
    pub(super) fn finish(self) -> Result<Outcomes, String> {
        self.0
            .join()
            .map_err(|_| "the listener failed".to_owned())?
    }
}
