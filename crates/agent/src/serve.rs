//! The agent as a whole: accepts shims and watchers, and leaves when nobody needs it.
//!
//! Leaving must not race with a shim that is just arriving: the socket's name is removed under the lock that shims take
//! to create it (`sys::rendezvous`), and whoever is in the queue by then is still served.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net as std_unix;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use place::{HostId, JobId};
use store::DigestFunction;
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use wire::{ToAgent, ToShim};

use crate::comments::Comments;
use crate::compilers::Compilers;
use crate::connect::Resolver;
use crate::costs::Costs;
use crate::dispatch::Dispatcher;
use crate::events::Watchers;
use crate::explain;
use crate::history::History;
use crate::host_lists::HostLists;
use crate::judge::FileHosts;
use crate::native::{PrepareService, Workers};
use crate::notices::Notices;
use crate::refusals::Refusals;
use crate::scanning::ScanService;
use crate::side_log::SideLog;
use crate::state_files::StateFiles;
use crate::{Config, job, shim};

/// State files are touched this often, three times before stock's monitor deletes them. The socket is looked after at
/// the same time.
const HOUSEKEEPING: Duration = Duration::from_secs(20);

/// What compiles cost, for the next agent.
const COSTS_FILE: &str = "costs";

/// How long a connection may take to say what it wants.
const FIRST_MESSAGE: Duration = Duration::from_secs(60);

/// Longest time to stay without work: a year, which the clock can still add to now.
const IDLE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Pause after a connection could not be accepted (too many open files), and before another try to leave.
const PAUSE: Duration = Duration::from_millis(50);

/// Digests of actions and blobs. Every server of the Remote Execution API knows these, and processors have instructions
/// for them.
const DIGEST_FUNCTION: DigestFunction = DigestFunction::Sha256;

/// Everything that jobs share.
pub(crate) struct Agent {
    pub(crate) dispatcher: Rc<Dispatcher>,
    pub(crate) host_lists: HostLists,
    pub(crate) compilers: Compilers,
    pub(crate) resolver: Resolver,
    pub(crate) states: StateFiles,
    pub(crate) watchers: Watchers,
    pub(crate) costs: Costs,
    pub(crate) scanner: ScanService,
    pub(crate) preparer: PrepareService,
    pub(crate) workers: Workers,
    pub(crate) file_hosts: FileHosts,
    pub(crate) side_log: Rc<SideLog>,
    pub(crate) history: History,
    uid: u32,
    jobs: Cell<u64>,
    /// Connections that are not watchers.
    busy: Cell<usize>,
    drain: Notify,
    pub(crate) comments: Comments,
    pub(crate) notices: Notices,
    pub(crate) refusals: Refusals,
    failures: RefCell<HashMap<HostId, (Instant, String)>>,
}

impl Agent {
    pub(crate) fn next_job(&self) -> JobId {
        self.jobs.set(self.jobs.get() + 1);
        JobId(self.jobs.get())
    }

    /// Whether a host's failure is news: the first within its cool-down.
    pub(crate) fn is_new_failure(&self, host: HostId, why: &str, cool_down: Duration) -> bool {
        let now = Instant::now();
        let mut failures = self.failures.borrow_mut();
        let is_new = failures
            .get(&host)
            .is_none_or(|(last, _)| now.duration_since(*last) >= cool_down);
        if is_new {
            failures.insert(host, (now, why.to_owned()));
        }
        is_new
    }

    /// Why a host failed when that was last news.
    pub(crate) fn last_failure(&self, host: HostId) -> Option<String> {
        let failures = self.failures.borrow();
        failures.get(&host).map(|(_, why)| why.clone())
    }
}

/// Device, inode and birth of a file: inode numbers are used again at once.
type Identity = (u64, u64, Option<SystemTime>);

/// Where the agent is found.
struct Door {
    listener: UnixListener,
    /// The same socket, for accepting without waiting.
    queue: std_unix::UnixListener,
    dir: PathBuf,
    name: String,
    /// Tells the socket's file from a successor's.
    identity: Option<Identity>,
}

/// Serves until nobody needs the agent any more.
pub(crate) async fn serve(listener: std_unix::UnixListener, config: Config) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let side_log = Rc::new(SideLog::open(config.log_path.as_deref()));
    let agent = Rc::new(Agent {
        dispatcher: Rc::new(Dispatcher::new(Rc::clone(&side_log))),
        host_lists: HostLists::new(config.system_hosts),
        compilers: Compilers::new(probe_dir(&config.dir)),
        resolver: Resolver::default(),
        states: StateFiles::new(state_tag(&config.socket_name)),
        watchers: Watchers::default(),
        costs: Costs::open(probe_dir(&config.dir).join(COSTS_FILE)),
        scanner: ScanService::default(),
        preparer: PrepareService::new(DIGEST_FUNCTION, config.cache, probe_dir(&config.dir)),
        workers: Workers::new(DIGEST_FUNCTION),
        file_hosts: FileHosts::default(),
        side_log,
        history: History::default(),
        uid: sys::socket::peer_uid(&listener)?,
        jobs: Cell::new(0),
        busy: Cell::new(0),
        drain: Notify::new(),
        comments: Comments::default(),
        notices: Notices::default(),
        refusals: Refusals::default(),
        failures: RefCell::default(),
    });
    let door = Door::new(listener, config.dir, config.socket_name)?;
    let keep_time = {
        let dispatcher = Rc::clone(&agent.dispatcher);
        tokio::task::spawn_local(async move { dispatcher.keep_time().await })
    };
    let served = welcome(&agent, door, config.idle.min(IDLE_MAX)).await;
    keep_time.abort();
    agent.costs.save();
    served
}

async fn welcome(agent: &Rc<Agent>, door: Door, idle: Duration) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut housekeeping = interval(HOUSEKEEPING);
    housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut guests = JoinSet::new();
    let mut leaving = false;
    let mut leave_at = Instant::now() + idle;
    loop {
        tokio::select! {
            accepted = door.listener.accept() => {
                match accepted {
                    Ok((stream, _)) => {
                        guests.spawn_local(receive(Rc::clone(agent), stream));
                    }
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
                continue;
            }
            Some(_) = guests.join_next() => leave_at = Instant::now() + idle,
            () = sleep_until(leave_at), if leaving || guests.is_empty() => {}
            _ = terminate.recv() => leaving = true,
            () = agent.drain.notified() => leaving = true,
            _ = housekeeping.tick() => {
                agent.states.refresh();
                agent.costs.save();
                leaving = leaving || door.is_gone();
            }
        }
        let bored = guests.is_empty() && leave_at <= Instant::now();
        if leaving || bored {
            match door.close()? {
                Some(rest) => {
                    for stream in rest {
                        guests.spawn_local(receive(Rc::clone(agent), stream));
                    }
                    break;
                }
                None => leave_at = Instant::now() + PAUSE,
            }
        }
    }
    drop(door);
    finish(agent, guests).await;
    Ok(())
}

/// Serves the jobs that are still here. Watchers see all of it, and are not waited for.
async fn finish(agent: &Agent, mut guests: JoinSet<()>) {
    let mut housekeeping = interval(HOUSEKEEPING);
    loop {
        if agent.busy.get() == 0 {
            agent.watchers.dismiss();
        }
        tokio::select! {
            done = guests.join_next() => if done.is_none() {
                return;
            },
            _ = housekeeping.tick() => agent.states.refresh(),
        }
    }
}

impl Door {
    fn new(queue: std_unix::UnixListener, dir: PathBuf, name: String) -> io::Result<Self> {
        let listener = UnixListener::from_std(queue.try_clone()?)?;
        let mut door = Self {
            listener,
            queue,
            dir,
            name,
            identity: None,
        };
        door.identity = door.look();
        Ok(door)
    }

    fn look(&self) -> Option<Identity> {
        let meta = std::fs::metadata(self.dir.join(&self.name)).ok()?;
        Some((meta.dev(), meta.ino(), meta.created().ok()))
    }

    /// Whether nobody can find this agent any more.
    fn is_gone(&self) -> bool {
        self.identity.is_none() || self.look() != self.identity
    }

    /// Takes the socket's name away and returns those who are waiting. `None` while a shim is just coming in.
    fn close(&self) -> io::Result<Option<Vec<UnixStream>>> {
        // Where the lock cannot be had because the directory is gone, nobody can come either.
        match sys::rendezvous::try_hold(&self.dir, &self.name) {
            Ok(None) => return Ok(None),
            Ok(Some(_lock)) if !self.is_gone() => {
                std::fs::remove_file(self.dir.join(&self.name)).unwrap_or_default();
            }
            Ok(Some(_)) | Err(_) => {}
        }
        let mut waiting = Vec::new();
        while let Ok((stream, _)) = self.queue.accept() {
            stream.set_nonblocking(true)?;
            waiting.push(UnixStream::from_std(stream)?);
        }
        Ok(Some(waiting))
    }
}

/// Finds out what a connection wants, and gives it.
async fn receive(agent: Rc<Agent>, stream: UnixStream) {
    // The kernel's word, not the file's mode: others change modes under us.
    if sys::socket::peer_uid(&stream).ok() != Some(agent.uid) {
        return;
    }
    let busy = Busy::new(&agent);
    let (mut reader, writer) = shim::open(stream);
    let first = timeout(FIRST_MESSAGE, reader.next()).await;
    match first {
        Ok(Ok(Some((ToAgent::Job(request), _)))) => {
            job::run(Rc::clone(&agent), request, reader, writer).await;
        }
        Ok(Ok(Some((ToAgent::Watch(run), _)))) => {
            drop(busy);
            watch(&agent, run, reader, &writer).await;
        }
        Ok(Ok(Some((ToAgent::Explain(question), _)))) => {
            let text = explain::answer(&agent, question).await;
            // Whoever asked may be gone.
            writer
                .send(&ToShim::Explanation(text), &[])
                .await
                .unwrap_or_default();
        }
        Ok(Ok(Some((ToAgent::Drain, _)))) => agent.drain.notify_one(),
        _ => {}
    }
}

/// Counts a connection for as long as it lives.
struct Busy(Rc<Agent>);

impl Busy {
    fn new(agent: &Rc<Agent>) -> Self {
        agent.busy.set(agent.busy.get() + 1);
        Self(Rc::clone(agent))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
    }
}

async fn watch(
    agent: &Agent,
    run: Option<String>,
    mut reader: shim::Reader,
    writer: &shim::Writer,
) {
    let mut events = agent.watchers.add(run);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(bytes) if writer.send_bytes(&bytes, &[]).await.is_ok() => {}
                _ => return,
            },
            message = reader.next() => if !matches!(message, Ok(Some(_))) {
                return;
            },
        }
    }
}

/// Where files for compilers and sources of test compiles are: a directory for each user, since several may share
/// distcc's.
fn probe_dir(dir: &Path) -> PathBuf {
    dir.join(format!("probe-{}", sys::realm::user_id()))
}

/// What tells this agent's state files from those of others: the end of its realm's tag.
fn state_tag(socket_name: &str) -> String {
    let stem = socket_name.trim_end_matches(".sock");
    let tail = stem.rsplit('-').next().unwrap_or(stem);
    tail.chars().take(8).collect()
}
