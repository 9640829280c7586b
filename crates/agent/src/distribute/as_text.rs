//! The job's preprocessed text on a worker, where nobody knows which files it reads.
//!
//! Such a text keeps its macros, which stock hosts cannot be given; theirs has none left, which changes columns. So a
//! job that moves from one kind of host to the other is preprocessed again. What the compiler says about a text quotes
//! the text, so a compile that says anything is repeated here.

use std::ffi::OsString;
use std::sync::Arc;

use place::HostId;
use stock::hosts::Host;

use super::on_worker::execute;
use super::{Run, TextState};
use crate::job::Job;
use crate::native::{Answer, NoResult, Order, TextFile, WhyNot};
use crate::seat::{NoAnswer, Seat};

impl<'a> Run<'a> {
    /// Whether this host may be a worker that takes a text.
    pub(super) fn takes_text_action(&self, id: HostId) -> bool {
        self.by_text.is_some() && self.hosts.may_be_native(id, &self.job.agent.workers)
    }

    /// What the shim's preprocessor is called with, for the host of the job's seat.
    pub(super) fn preprocessor_words(&mut self) -> Vec<OsString> {
        let is_stock = matches!(self.seat, Seat::Connecting(..) | Seat::Connected(..));
        match self.by_text.filter(|_| !is_stock) {
            Some(by_text) => {
                self.text_is_for_workers = true;
                by_text.preprocess.clone()
            }
            None => {
                self.text_is_for_workers = false;
                self.plan.preprocess.clone()
            }
        }
    }

    /// Lets a worker begin as soon as there is a text for it.
    pub(super) fn await_text(&mut self, id: HostId, slot: u32) {
        self.forget_text_unless(true);
        self.seat = Seat::AwaitsText(id, slot);
        let (TextState::Ready(text), Some(by_text)) = (&self.text, self.by_text) else {
            return;
        };
        let text = text.file.try_clone().map(|file| TextFile {
            file,
            len: text.len,
        });
        let text = text.map_err(|error| WhyNot::Unreadable(error.to_string()));
        let host = self
            .hosts
            .host(id)
            .expect("the scheduler got it from this list");
        let work = compile(self.job, id, host, slot, &by_text.order, text);
        self.seat = Seat::Worker(id, slot, Box::pin(work));
    }

    /// A text of the other form is as good as none.
    pub(super) fn forget_text_unless(&mut self, is_for_workers: bool) {
        if matches!(self.text, TextState::Ready(_)) && self.text_is_for_workers != is_for_workers {
            self.text = TextState::NotAsked;
        }
    }

    /// Whether this is about a text and not what a compile of the source would have said.
    pub(super) fn is_worded_otherwise(&self, answer: &Answer) -> bool {
        let says = answer.outputs.iter().any(|output| output.is_message());
        self.by_text.is_some() && (says || answer.wait_status != 0)
    }
}

async fn compile(
    job: &Job,
    id: HostId,
    host: &Host,
    slot: u32,
    order: &Arc<Order>,
    text: Result<TextFile, WhyNot>,
) -> Result<Answer, NoAnswer> {
    let prepared = job
        .agent
        .preparer
        .prepare_text(Arc::clone(order), text.map_err(NoAnswer::Text)?);
    let action = Arc::new(prepared.await.map_err(NoAnswer::Text)?);
    match execute(job, id, host, slot, action).await {
        Err(NoAnswer::Action(NoResult::Changed(path))) => {
            Err(NoAnswer::Text(WhyNot::Inputs(crate::native::changed(path))))
        }
        outcome => outcome,
    }
}
