//! A distributable job on its way through the hosts: preprocess and connect side by side, send, receive; when a host
//! fails, the next one.
//!
//! The scheduler decides (orders), the shim preprocesses (messages), the network connects; whichever comes first is
//! dealt with first. Once there is a text and a link, they meet in one exchange. A host that takes source and headers
//! needs no text, unless what it makes of them turns out not to be what a compile here makes. A worker needs neither:
//! it executes the job's action (`on_worker`).

mod as_text;
mod on_worker;
mod setbacks;

use std::fs::File;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use cmdline::Invocation;
use place::{Event, HostId, Micros};
use stock::{Phase, Reply, Version};
use tokio::time::Instant;
use wire::{LogLevel, Preprocessed, ToAgent, ToShim};

use crate::connect::{self, Link};
use crate::dispatch::{Order, Ticket};
use crate::exchange::{self, FilesJob, Load, Text};
use crate::failure::HostFailure;
use crate::host_lists::JobHosts;
use crate::job::{Inbox, Job, millis};
use crate::judge::{self, NotAsHere};
use crate::native::{Answer, Prepared};
use crate::plan::{self, Local, TextOrder};
use crate::refusals::Refused;
use crate::seat::{News, Seat};
use crate::terminal::Speech;
use crate::why::Why;

/// What is the same for every host.
pub(crate) struct Plan<'a> {
    /// What the command line asks for.
    pub(crate) invocation: &'a Invocation,
    /// The command on preprocessed text, compiler first.
    pub(crate) argv: Vec<Vec<u8>>,
    /// What the shim's preprocessor is called with.
    pub(crate) preprocess: Vec<std::ffi::OsString>,
    /// Comments are sent too.
    pub(crate) keeps_comments: bool,
    /// The source as the command line names it, for messages.
    pub(crate) source: String,
    /// Why only workers may run it, if so.
    pub(crate) only_workers: Option<Local>,
}

impl<'a> Plan<'a> {
    /// `argv` is the command on preprocessed text, or there is a reason why only workers may run it.
    pub(crate) fn new(
        job: &Job,
        invocation: &'a Invocation,
        argv: Result<Vec<Vec<u8>>, Local>,
    ) -> Self {
        let mut preprocess = invocation.preprocess_argv();
        let (mut argv, only_workers) = match argv {
            Ok(argv) => (argv, None),
            Err(local) => (Vec::new(), Some(local)),
        };
        let comments = &job.agent.comments;
        let keeps_comments =
            comments.keep(&job.request.cwd, invocation, &mut preprocess, &mut argv);
        Self {
            invocation,
            argv,
            preprocess,
            keeps_comments,
            source: plan::source_name(invocation),
            only_workers,
        }
    }
}

/// How the way through the hosts ended.
pub(crate) enum Outcome {
    /// A host answered.
    Answered {
        /// Its answer.
        reply: Reply,
        /// The host as the list names it.
        host: String,
    },
    /// A worker answered.
    Worked {
        /// Its answer.
        answer: Answer,
        /// The host as the list names it.
        host: String,
    },
    /// This machine compiles it, in this slot.
    Here {
        /// The slot's number.
        slot: u32,
        /// Why.
        local: Local,
    },
    /// No host took it, and it may not run here.
    Nowhere {
        /// What the shim exits with.
        exit_code: u8,
        /// What is wrong with the hosts: warnings of it are not repeated for every compile, but here a build ends.
        why: String,
    },
}

/// How far the preprocessed text is.
enum TextState {
    NotAsked,
    Running,
    Ready(Text),
    /// It will not be needed: the job goes on here.
    Unwanted(Local),
}

/// One job's way.
pub(crate) struct Run<'a> {
    job: &'a Job,
    plan: &'a Plan<'a>,
    hosts: &'a Rc<JobHosts>,
    text: TextState,
    /// The text is, or will be, one for workers.
    text_is_for_workers: bool,
    pub(crate) by_text: Option<&'a TextOrder>,
    pub(crate) speech: Speech,
    /// Source and headers, for as long as they are worth sending.
    files: Option<&'a FilesJob>,
    /// What a worker would execute, for as long as it is worth sending.
    action: Option<Arc<Prepared>>,
    seat: Seat<'a>,
    /// The host of the seat gets source and headers.
    host_gets_files: bool,
    /// The last host that failed, and the exit code that it would mean.
    failed: Option<(String, u8)>,
    /// The host that lacked a header, until the preprocessor here has found it.
    blamed: Option<HostId>,
    waited: bool,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        job: &'a Job,
        plan: &'a Plan<'a>,
        hosts: &'a Rc<JobHosts>,
        text: Option<Text>,
        files: Option<&'a FilesJob>,
        action: Option<Arc<Prepared>>,
    ) -> Self {
        Self {
            job,
            plan,
            hosts,
            text: text.map_or(TextState::NotAsked, TextState::Ready),
            text_is_for_workers: false,
            by_text: None,
            speech: Speech::default(),
            files,
            action,
            seat: Seat::None,
            host_gets_files: false,
            failed: None,
            blamed: None,
            waited: false,
        }
    }

    /// Goes on until a host has answered or the scheduler has decided against hosts.
    ///
    /// # Errors
    /// The shim is gone.
    pub(crate) async fn see_through(
        &mut self,
        ticket: &mut Ticket,
        inbox: &mut Inbox,
    ) -> io::Result<Outcome> {
        loop {
            if self.lacks_text() {
                self.preprocess().await?;
            }
            if let (true, Seat::Connected(..)) = (self.has_load(), &self.seat) {
                if let Some(outcome) = self.exchange(ticket).await {
                    return Ok(outcome);
                }
                continue;
            }
            tokio::select! {
                biased;
                order = ticket.next_order() => {
                    if let Some(outcome) = self.obey(order, ticket, inbox).await? {
                        return Ok(outcome);
                    }
                }
                message = inbox.recv() => {
                    // A shim that was not asked has nothing to say.
                    if let Some((ToAgent::Preprocessed(done), file)) = message
                        && matches!(self.text, TextState::Running)
                    {
                        self.preprocessed(done, file, ticket);
                    }
                }
                news = self.seat.next() => match news {
                    News::Connected(link) => self.connected(link, ticket),
                    News::Answered(answer) => {
                        if let Some(outcome) = self.worked(*answer, ticket) {
                            return Ok(outcome);
                        }
                    }
                },
            }
        }
    }

    async fn obey(
        &mut self,
        order: Order,
        ticket: &Ticket,
        inbox: &mut Inbox,
    ) -> io::Result<Option<Outcome>> {
        if !std::mem::replace(&mut self.waited, true) {
            self.job.note_queued();
        }
        match order {
            Order::Preprocess if !matches!(self.text, TextState::NotAsked) => {}
            // There is nothing to preprocess for a host that takes files.
            Order::Preprocess if self.has_load() => {
                let (job, bytes) = (self.job.id, self.files.map_or(0, |job| job.parcel.bytes));
                ticket.tell(Event::Preprocessed { job, bytes });
            }
            Order::Preprocess => self.preprocess().await?,
            Order::Connect { host, slot } => {
                // An order that crossed with the decision to stay here.
                if !matches!(self.text, TextState::Unwanted(_)) {
                    self.connect(host, slot);
                }
            }
            Order::RunLocal { slot, why } => {
                self.wait_for_preprocessor(inbox).await;
                return Ok(Some(Outcome::Here {
                    slot,
                    local: self.why_local(why),
                }));
            }
            Order::GiveUp => {
                self.wait_for_preprocessor(inbox).await;
                return Ok(Some(self.nowhere()));
            }
        }
        Ok(None)
    }

    async fn preprocess(&mut self) -> io::Result<()> {
        let (host, slot) = self.seat.place().unwrap_or((HostId::LOCAL, 0));
        self.job.show(Phase::Preprocess, self.name(host), slot);
        self.text = TextState::Running;
        let args = self.preprocessor_words();
        let message = ToShim::Preprocess { args };
        self.job.writer.send(&message, &[]).await
    }

    /// Source and headers, if the host of the job's seat gets them; any host, if it has no seat.
    fn files(&self) -> Option<&'a FilesJob> {
        self.files
            .filter(|_| self.seat.place().is_none() || self.host_gets_files)
    }

    /// Whether a host gets source and headers, if there are any.
    fn gets_files(&self, id: HostId) -> bool {
        let host = self.hosts.host(id);
        let Some(host) = host.filter(|host| host.protocol().sends_files()) else {
            return false;
        };
        match self
            .job
            .agent
            .file_hosts
            .may_get_files(id, self.plan.invocation)
        {
            Err(why) if self.files.is_some() => {
                self.say_why_text(&host.text, why);
                false
            }
            other => other.is_ok(),
        }
    }

    fn say_why_text(&self, host: &str, why: NotAsHere) {
        let text = format!("{} is preprocessed here: {host}: {why}", self.job.file);
        self.job.log(LogLevel::Info, text);
    }

    fn has_load(&self) -> bool {
        matches!(self.text, TextState::Ready(_)) || self.files().is_some() || self.has_action()
    }

    /// Whether there is an action that the job's seat needs, or some worker's would.
    fn has_action(&self) -> bool {
        matches!(self.seat, Seat::Worker(..))
            || (self.action.is_some() && self.seat.place().is_none())
    }

    /// Whether the job sits on a host that needs a text which nobody has been asked for.
    fn lacks_text(&self) -> bool {
        self.seat.place().is_some()
            && matches!(self.text, TextState::NotAsked)
            && self.files().is_none()
            && !self.has_action()
    }

    fn connect(&mut self, id: HostId, slot: u32) {
        match self.action_for(id) {
            Some(action) => self.work(id, slot, action),
            None if self.takes_text_action(id) => self.await_text(id, slot),
            None => self.connect_stock(id, slot),
        }
    }

    fn connect_stock(&mut self, id: HostId, slot: u32) {
        let host = self
            .hosts
            .host(id)
            .expect("the scheduler got it from this list");
        self.forget_text_unless(false);
        if !matches!(self.text, TextState::Running) {
            self.job.show(Phase::Connect, host.name(), slot);
        }
        self.host_gets_files = self.gets_files(id);
        let job = self.job;
        let link = connect::connect(host, &job.settings, &job.request.env, &job.agent.resolver);
        self.seat = Seat::Connecting(id, slot, Box::pin(link));
    }

    fn connected(&mut self, link: Result<Link, HostFailure>, ticket: &Ticket) {
        let Seat::Connecting(host, slot, _) = self.seat else {
            return;
        };
        match link {
            Ok(link) => self.seat = Seat::Connected(host, slot, link),
            Err(failure) => self.host_failed(host, &failure, ticket),
        }
    }

    fn preprocessed(&mut self, done: Preprocessed, file: Option<File>, ticket: &Ticket) {
        let job = self.job;
        job.ended.borrow_mut().preprocess_cpu_ms += done.cpu_us / 1000;
        let len = file
            .as_ref()
            .and_then(|file| Some(file.metadata().ok()?.len()));
        let text = match (done.wait_status, file, len) {
            (0, Some(file), Some(len)) if len <= stock::Limits::DEFAULT.body_bytes_max => {
                Ok(Text { file, len })
            }
            (0, Some(_), Some(_)) => Err(Why::TooLarge),
            (0, ..) => Err(Why::Internal),
            _ => Err(Why::PreprocessorFailed),
        };
        match text {
            Ok(_) if self.text_is_for_workers && done.has_stderr && job.settings.fallback => {
                self.unwant(Why::TextMessages.into(), ticket);
            }
            Ok(text) => {
                if let Some(host) = self.blamed.take() {
                    job.agent.file_hosts.learn(host, NotAsHere::MissingHeader);
                }
                job.agent.costs.learn(&job.request, text.len);
                let bytes = text.len;
                self.text = TextState::Ready(text);
                ticket.tell(Event::Preprocessed { job: job.id, bytes });
                match self.seat {
                    Seat::AwaitsText(host, slot) => self.await_text(host, slot),
                    // The job sits where another form is needed by now.
                    Seat::Connecting(..) | Seat::Connected(..) if self.text_is_for_workers => {
                        self.forget_text_unless(false);
                    }
                    Seat::Connecting(host, slot, _) => {
                        job.show(Phase::Connect, self.name(host), slot);
                    }
                    // Preprocessed ahead of its turn: without a slot it waits.
                    _ if self.seat.place().is_none() => {
                        job.show(Phase::Blocked, self.name(HostId::LOCAL), 0);
                    }
                    _ => {}
                }
            }
            Err(why) => {
                self.unwant(why.into(), ticket);
            }
        }
    }

    /// The job goes on here.
    fn unwant(&mut self, local: Local, ticket: &Ticket) {
        self.text = TextState::Unwanted(local);
        self.seat = Seat::None;
        ticket.tell(Event::NeedsLocal { job: self.job.id });
    }

    /// Has the host compile. `None` if it failed and the job goes on.
    async fn exchange(&mut self, ticket: &Ticket) -> Option<Outcome> {
        let files = self.files();
        let Seat::Connected(id, slot, mut link) = std::mem::replace(&mut self.seat, Seat::None)
        else {
            return None;
        };
        let lzo = self.hosts.host(id).is_some_and(|host| host.lzo);
        let load = match (files, &self.text) {
            (Some(files), _) => Load::Files(files),
            (None, TextState::Ready(text)) => Load::Text {
                version: if lzo { Version::V2 } else { Version::V1 },
                argv: &self.plan.argv,
                text,
            },
            _ => return None,
        };
        let job = self.job;
        let host = self
            .hosts
            .host(id)
            .expect("the scheduler got it from this list");
        let start = Instant::now();
        let show = |phase| job.show(phase, host.name(), slot);
        let io_timeout = job.settings.io_timeout;
        let answer = exchange::exchange(&mut link, load, io_timeout, show).await;
        let answer = answer.and_then(|(reply, traffic)| match Refused::of(&reply) {
            Some(refused) => Err(HostFailure::Refused(refused)),
            None => Ok((reply, traffic)),
        });
        let answer = match answer {
            Ok((reply, traffic)) if reply.version.sends_files() => {
                match judge::judge(reply, self.plan.invocation) {
                    Ok(reply) => Ok((reply, traffic)),
                    Err(why) => {
                        self.send_text_instead(id, slot, why);
                        return None;
                    }
                }
            }
            answer => answer,
        };
        match answer {
            Ok((reply, traffic)) => {
                let mut ended = job.ended.borrow_mut();
                ended.host = host.text.clone();
                ended.remote_ms = millis(traffic.remote);
                ended.sent_bytes += traffic.sent;
                ended.received_bytes += traffic.received;
                drop(ended);
                // A compile that failed says nothing about the host's speed.
                let took = (reply.wait_status == 0)
                    .then(|| Micros::try_from(start.elapsed().as_micros()).unwrap_or(Micros::MAX));
                ticket.tell(Event::HostAnswered { job: job.id, took });
                Some(Outcome::Answered {
                    reply,
                    host: host.text.clone(),
                })
            }
            Err(failure) => {
                drop(link);
                self.host_failed(id, &failure, ticket);
                None
            }
        }
    }

    /// The host's answer to source and headers is not what a compile here makes: the same host gets text.
    fn send_text_instead(&mut self, id: HostId, slot: u32, why: NotAsHere) {
        // A header that is missing here as well is the user's business: that shows once the preprocessor has run.
        if why == NotAsHere::MissingHeader && !matches!(self.text, TextState::Ready(_)) {
            self.blamed = Some(id);
        } else {
            self.job.agent.file_hosts.learn(id, why);
        }
        self.files = None;
        let host = self.hosts.host(id).map_or("localhost", |host| &host.text);
        self.say_why_text(host, why);
        self.connect_stock(id, slot);
    }

    /// The shim does one thing at a time.
    async fn wait_for_preprocessor(&mut self, inbox: &mut Inbox) {
        while matches!(self.text, TextState::Running) {
            match inbox.recv().await {
                Some((ToAgent::Preprocessed(_), _)) => self.text = TextState::NotAsked,
                Some(_) => {}
                // Whoever listens notices that the shim is gone, and ends all this.
                None => std::future::pending().await,
            }
        }
    }

    fn name(&self, id: HostId) -> &str {
        self.hosts.host(id).map_or("localhost", |host| host.name())
    }
}
