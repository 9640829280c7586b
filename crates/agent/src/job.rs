//! The life of a compile, from the shim's request to its end. [`story`] tells it.
//!
//! Around the story, [`run`] does what holds at any moment: it keeps the shim patient while it waits, and when the shim
//! goes away (Ctrl-C, or the end of a local compile) it drops the story, which closes the host's connection, kills ssh,
//! gives slots back and removes the state file.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use place::{Candidate, Event, JobId, WhyHere};
use stock::Phase;
use tokio::sync::mpsc;
use tokio::time::Instant;
use wire::event::{Ended, EventKind, JobPhase, LocalReason};
use wire::{JobRequest, LogLevel, LogLine, ToAgent, ToShim};

use crate::answer;
use crate::dispatch::{Needs, Order, Ticket};
use crate::distribute::{self, Outcome, Run};
use crate::explain;
use crate::host_lists::JobHosts;
use crate::native::Manifest;
use crate::offer::Offer;
use crate::plan::{self, Asked, Local};
use crate::serve::Agent;
use crate::settings::Settings;
use crate::shim::{Reader, Writer};
use crate::slot_locks::LockDir;
use crate::state_files::StateFile;
use crate::why::Why;

/// Messages from the shim after its request. Boxed, since the channel has room for many as soon as it is made.
pub(crate) struct Inbox(mpsc::UnboundedReceiver<Box<(ToAgent, Option<File>)>>);

impl Inbox {
    /// The next one; `None` when the shim says no more.
    pub(crate) async fn recv(&mut self) -> Option<(ToAgent, Option<File>)> {
        self.0.recv().await.map(|message| *message)
    }
}

/// One compile.
pub(crate) struct Job {
    pub(crate) agent: Rc<Agent>,
    pub(crate) id: JobId,
    pub(crate) request: JobRequest,
    pub(crate) settings: Settings,
    pub(crate) writer: Writer,
    /// The source's name, for people.
    pub(crate) file: String,
    started: Instant,
    log: RefCell<Vec<LogLine>>,
    /// How it ended, as far as it is known.
    pub(crate) ended: RefCell<Ended>,
    /// What it writes first, and the action that it became.
    pub(crate) made: RefCell<(Option<PathBuf>, Option<Manifest>)>,
    state: StateFile,
    /// Nobody reads at the other end any more: the shim has become the compiler.
    is_compiler: Cell<bool>,
}

/// Serves one shim to the end of its compile.
pub(crate) async fn run(agent: Rc<Agent>, request: JobRequest, mut reader: Reader, writer: Writer) {
    let settings = Settings::of(&request);
    let file = display_name(&request);
    let state = agent.states.open(&settings.dir, request.pid, &file);
    let job = Job {
        id: agent.next_job(),
        request,
        settings,
        writer,
        file,
        started: Instant::now(),
        log: RefCell::default(),
        ended: RefCell::default(),
        made: RefCell::default(),
        state,
        is_compiler: Cell::new(false),
        agent,
    };
    job.emit(EventKind::Started {
        pid: job.request.pid,
        file: job.file.clone(),
    });
    let (messages, inbox) = mpsc::unbounded_channel();
    let mut inbox = Inbox(inbox);
    let listen = async {
        // An error is a shim that talks nonsense; it is treated as one that went away.
        while let Ok(Some(message)) = reader.next().await {
            messages.send(Box::new(message)).unwrap_or_default();
        }
        // The story comes first: let it hear what was said last.
        tokio::task::yield_now().await;
    };
    tokio::select! {
        biased;
        // An error means that the shim is gone.
        told = story(&job, &mut inbox) => told.unwrap_or_default(),
        () = listen => {}
        () = job.keep_patient() => {}
    }
    job.finish();
}

/// The life of a compile.
async fn story(job: &Job, inbox: &mut Inbox) -> io::Result<()> {
    let hosts = job.agent.host_lists.of(&job.settings);

    // Outputs and response files are named relative to a directory: it has to be the same one for both.
    if !plan::same_tree(&job.request) {
        return stay(job, &hosts, Why::OtherTree.into()).await;
    }
    // What does the command line ask for, and may it leave this machine?
    let asked = plan::understand(&job.request, &job.agent.compilers);
    let output = explain::output_of(&job.request, &asked.invocation);
    if let Some(output) = &output {
        job.agent.history.begin(output);
    }
    job.made.borrow_mut().0 = output;
    if let (Err(local), Err(_)) = (&asked.stock, &asked.native) {
        return in_parts_or_here(job, inbox, &hosts, &asked, local).await;
    }
    job.complain_about_settings();
    // Is there anywhere to go?
    if hosts.candidates.is_empty() {
        return nowhere(job, &hosts).await;
    }
    for complaint in hosts.complaints() {
        job.warn(complaint, complaint.clone());
    }
    // What would a host have to run?
    let offer = match Offer::make(job, &asked, &hosts).await {
        Ok(offer) => offer,
        Err(local) => return stay(job, &hosts, local).await,
    };
    job.made.borrow_mut().1 = offer.action.as_deref().map(Manifest::of);
    // Is it known already what would come of it?
    if let Some(kept) = offer.kept {
        return answer::deliver_kept(job, inbox, kept).await;
    }
    // Which hosts can run it, and have not said that they do not run this compiler?
    let candidates = match offer.candidates(job, &hosts) {
        Ok(candidates) if candidates.is_empty() => {
            let local = offer.why_nowhere().unwrap_or_else(|| Why::NotNative.into());
            return stay(job, &hosts, local).await;
        }
        Ok(candidates) => candidates,
        Err(said) => return refused_everywhere(job, &hosts, &said).await,
    };

    // Wait for a slot; preprocess and connect; send and receive; on failure go on to another host.
    let mut ticket = distributable(job, &hosts, candidates, &offer);
    let plan = distribute::Plan::new(job, &asked.invocation, offer.text_command);
    let (files, action) = (offer.files.as_ref(), offer.action.clone());
    let mut run = Run::new(job, &plan, &hosts, offer.text, files, offer.action);
    run.by_text = offer.by_text.as_ref();
    run.speech = offer.speech;
    let outcome = run.see_through(&mut ticket, inbox).await?;

    // Hand over what came of it.
    match outcome {
        Outcome::Answered { reply, host } => {
            answer::deliver(job, ticket, inbox, &plan, reply, &host).await
        }
        Outcome::Worked { answer, host } => {
            let answer = match action.filter(|_| job.settings.cache) {
                Some(action) => job.agent.preparer.keep(action, answer).await,
                None => answer,
            };
            answer::deliver_worked(job, ticket, inbox, &plan.source, answer, &host).await
        }
        Outcome::Here { slot, local } => become_compiler(job, slot, local).await,
        Outcome::Nowhere { exit_code, why } => give_up(job, exit_code, &why).await,
    }
}

/// It is no compile that can leave this machine; but it may be several in one. The shim tries each as a job of its own.
async fn in_parts_or_here(
    job: &Job,
    inbox: &mut Inbox,
    hosts: &Rc<JobHosts>,
    asked: &Asked,
    local: &Local,
) -> io::Result<()> {
    let some_may_be_native = hosts.some_may_be_native(&job.agent.workers);
    let Some(parts) = asked.invocation.parts().filter(|_| some_may_be_native) else {
        return stay(job, hosts, local.clone()).await;
    };
    job.writer.send(&ToShim::Split { parts }, &[]).await?;
    while let Some((message, _)) = inbox.recv().await {
        if message == ToAgent::Whole {
            return stay(job, hosts, local.clone()).await;
        }
    }
    Ok(())
}

/// What ends the last line of a job that may not run here.
const NO_FALLBACK: &str = "failed to distribute and fallbacks are disabled";

/// It may not run here, and no host took it.
async fn give_up(job: &Job, exit_code: u8, why: &str) -> io::Result<()> {
    job.log(LogLevel::Error, format!("{why}: {NO_FALLBACK}"));
    job.abort(exit_code).await
}

/// The list names no host that can be used.
async fn nowhere(job: &Job, hosts: &Rc<JobHosts>) -> io::Result<()> {
    let mut text = match hosts.source.as_str() {
        "" => "no hostlist is set; can't distribute work".to_owned(),
        source => format!("{source} contained no hosts; can't distribute work"),
    };
    for complaint in hosts.complaints() {
        text = format!("{complaint}; {text}");
    }
    without_hosts(job, hosts, text, Why::NoHosts).await
}

/// Every host has said that it does not run this compiler.
async fn refused_everywhere(job: &Job, hosts: &Rc<JobHosts>, said: &str) -> io::Result<()> {
    let text = format!("{} ({said})", Why::CompilerRefused.sentence());
    without_hosts(job, hosts, text, Why::CompilerRefused).await
}

/// No host is asked: local with one line that says so, or not at all.
async fn without_hosts(job: &Job, hosts: &Rc<JobHosts>, text: String, why: Why) -> io::Result<()> {
    if !job.settings.fallback {
        job.log(LogLevel::Warning, text);
        job.log(LogLevel::Error, NO_FALLBACK);
        return job.abort(stock::exit::ExitCode::NoHosts.code()).await;
    }
    job.warn(
        &text,
        format!("{text}: failed to distribute, running locally instead"),
    );
    stay(job, hosts, why.into()).await
}

/// Waits for a slot of this machine and lets the shim compile.
async fn stay(job: &Job, hosts: &Rc<JobHosts>, local: Local) -> io::Result<()> {
    let slots = if local.preprocesses {
        hosts.preprocess_slots
    } else {
        hosts.local_slots
    };
    let arrival = Event::ArrivedLocal { job: job.id, slots };
    let mut ticket = job
        .agent
        .dispatcher
        .enter(job.id, needs(job, hosts), arrival);
    loop {
        if let Order::RunLocal { slot, .. } = ticket.next_order().await {
            job.note_queued();
            return become_compiler(job, slot, local).await;
        }
    }
}

/// The shim becomes the compiler. Never returns: the end of the connection is the end of the compile.
pub(crate) async fn become_compiler(job: &Job, slot: u32, local: Local) -> io::Result<()> {
    job.show(Phase::Compile, "localhost", slot);
    job.log(
        local.level,
        format!("{}: runs locally: {}", job.file, local.reason.sentence),
    );
    job.note_local(local.reason);
    let log = job.log.take();
    job.is_compiler.set(true);
    job.writer.send(&ToShim::RunLocal { log }, &[]).await?;
    std::future::pending().await
}

fn distributable(
    job: &Job,
    hosts: &Rc<JobHosts>,
    candidates: Arc<[Candidate]>,
    offer: &Offer,
) -> Ticket {
    let estimate = || match job.agent.costs.estimate(&job.request) {
        0 => offer.bytes(),
        known => known,
    };
    let arrival = Event::Arrived(place::Job {
        id: job.id,
        cost: offer.text.as_ref().map_or_else(estimate, |text| text.len),
        preprocessed: offer.is_ready_for(&candidates, hosts, &job.agent.workers),
        candidates,
        may_run_locally: job.settings.fallback,
        local_slots: hosts.local_slots,
        preprocess_slots: hosts.preprocess_slots,
    });
    job.agent
        .dispatcher
        .enter(job.id, needs(job, hosts), arrival)
}

fn needs(job: &Job, hosts: &Rc<JobHosts>) -> Needs {
    Needs {
        hosts: Rc::clone(hosts),
        locks: LockDir::new(&job.settings.dir),
        backoff: job.settings.backoff,
    }
}

/// The source's base name, else that of the last word that does not look like an option. Before anything is
/// understood: monitors show a job from its first moment.
fn display_name(request: &JobRequest) -> String {
    let files = request.args.iter().rev();
    let mut files = files.filter(|word| !word.as_encoded_bytes().starts_with(b"-"));
    let source = files.clone().find(|word| cmdline::is_source_name(word));
    let path = source.or_else(|| files.next());
    let path = path.map(|word| word.to_string_lossy()).unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

impl Job {
    /// Adds a line that the shim logs at the end.
    pub(crate) fn log(&self, level: LogLevel, text: impl Into<String>) {
        let line = LogLine::new(level, text);
        self.agent.side_log.line(&line, self.id.0);
        self.log.borrow_mut().push(line);
    }

    /// Warns, unless this build has heard it often enough by now: `what` is the warning without what differs from job
    /// to job.
    pub(crate) fn warn(&self, what: &str, text: impl Into<String>) {
        let build = sys::realm::process_group(self.request.pid).unwrap_or(0);
        let level = self.agent.notices.level(build, what, Instant::now());
        self.log(level, text);
    }

    pub(crate) fn take_log(&self) -> Vec<LogLine> {
        self.log.take()
    }

    pub(crate) fn emit(&self, kind: EventKind) {
        let run = self.settings.run.as_deref();
        self.agent.watchers.emit(self.id.0, run, kind);
    }

    /// Shows monitors and watchers what the job does.
    pub(crate) fn show(&self, phase: Phase, host: &str, slot: u32) {
        self.state.show(phase, host, slot);
        let phase = match phase {
            Phase::Startup | Phase::Blocked | Phase::Done => JobPhase::Blocked,
            Phase::Connect => JobPhase::Connect,
            Phase::Preprocess => JobPhase::Preprocess,
            Phase::Send => JobPhase::Send,
            Phase::Compile => JobPhase::Compile,
            Phase::Receive => JobPhase::Receive,
        };
        self.emit(EventKind::Phase {
            phase,
            host: host.to_owned(),
            slot,
        });
    }

    /// The job has waited for the scheduler until now.
    pub(crate) fn note_queued(&self) {
        self.ended.borrow_mut().queued_ms = millis(self.started.elapsed());
    }

    pub(crate) fn note_local(&self, reason: LocalReason) {
        let mut ended = self.ended.borrow_mut();
        ended.host = "localhost".to_owned();
        ended.local = Some(reason);
    }

    /// Nothing runs: the result is known.
    pub(crate) fn note_kept(&self) {
        let mut ended = self.ended.borrow_mut();
        ended.from_cache = true;
        "cache".clone_into(&mut ended.host);
    }

    /// Lets the shim do what it likes from now on; only its end is waited for.
    pub(crate) fn leave_alone(&self) {
        self.is_compiler.set(true);
    }

    pub(crate) async fn abort(&self, exit_code: u8) -> io::Result<()> {
        self.ended.borrow_mut().wait_status = Some(i32::from(exit_code) << 8);
        let log = self.take_log();
        self.writer
            .send(&ToShim::Abort { exit_code, log }, &[])
            .await
    }

    /// Says now and then that the agent still lives.
    async fn keep_patient(&self) {
        let interval = Duration::from_millis(wire::limits::ALIVE_INTERVAL_MS);
        loop {
            tokio::time::sleep(interval).await;
            if !self.is_compiler.get() {
                // A shim that is gone is noticed by the one who listens.
                self.writer
                    .send(&ToShim::Alive, &[])
                    .await
                    .unwrap_or_default();
            }
        }
    }

    fn complain_about_settings(&self) {
        for complaint in &self.settings.complaints {
            self.warn(complaint, complaint.clone());
        }
    }

    /// Tells watchers about the end, when nothing of the job is left.
    fn finish(self) {
        drop(self.state);
        let mut ended = self.ended.take();
        ended.wall_ms = millis(self.started.elapsed());
        let (agent, run) = (self.agent, self.settings.run.as_deref());
        if let (Some(output), action) = self.made.take() {
            agent
                .history
                .note(output, &self.request, ended.clone(), action);
        }
        agent.watchers.emit(self.id.0, run, EventKind::Ended(ended));
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Why the scheduler sent a job here, in the agent's words.
pub(crate) fn why_here(why: WhyHere) -> Why {
    match why {
        WhyHere::Listed => Why::Listed,
        WhyHere::HostsCooling => Why::HostsCooling,
        WhyHere::HostsFailed | WhyHere::Asked => Why::HostsFailed,
    }
}
