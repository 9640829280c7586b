//! Which hosts speak the Remote Execution API, and the connections to those that do.
//!
//! Nobody has to say it: the first job for a host greets it in HTTP/2. A worker answers, a stock server hangs up; that
//! is remembered for some minutes and then asked again, since servers get upgraded. One connection serves all jobs of a
//! host; when it is gone, the next job makes another.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::rc::Rc;
use std::time::Duration;

use place::HostId;
use reapi::client::{CallError, Caller, Client};
use stock::hosts::{Host, HostKind, Speaks};
use store::DigestFunction;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::packed::PackedFiles;
use super::worker::Worker;
use crate::connect::{self, Resolver};
use crate::failure::HostFailure;
use crate::settings::Settings;

/// How long a host that turned out to be stock is not asked again.
const STOCK_FOR: Duration = Duration::from_secs(300);

/// How long a host may take to answer the greeting. A worker answers at once, whatever it has to do. A stock server
/// hangs up at once if it is idle, and as late as a job ends if it is not: who says nothing is taken for one.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// The same for a host of which the list does not say that it is a worker.
const GUESS_TIMEOUT: Duration = Duration::from_secs(3);

/// What is known of a host.
#[derive(Debug, Clone, Default)]
enum State {
    /// Nothing: greet it.
    #[default]
    Unknown,
    /// It is a worker, with this connection.
    Worker(Rc<Worker>),
    /// It is not, at least until then.
    Stock(Instant),
}

#[derive(Debug, Default)]
struct Entry {
    state: RefCell<State>,
    /// Held while it is being greeted.
    greeting: Mutex<()>,
}

/// All hosts met.
#[derive(Debug)]
pub(crate) struct Workers {
    function: DigestFunction,
    entries: RefCell<HashMap<HostId, Rc<Entry>>>,
    invocation: String,
    packed: Rc<PackedFiles>,
}

impl Workers {
    pub(crate) fn new(function: DigestFunction) -> Self {
        Self {
            function,
            entries: RefCell::default(),
            invocation: std::process::id().to_string(),
            packed: Rc::default(),
        }
    }

    /// Whether it is worth while to prepare an action for this host: unless its list or the host itself has said that
    /// it only speaks distcc's protocol.
    pub(crate) fn may_be_native(&self, id: HostId, host: &Host) -> bool {
        match host.speaks {
            _ if host.is_local() => false,
            Speaks::Stock => false,
            Speaks::Native => true,
            Speaks::Either => {
                let entry = self.entry(id);
                let state = entry.state.borrow();
                !matches!(*state, State::Stock(until) if Instant::now() < until)
            }
        }
    }

    /// Jobs at once, as a worker has announced.
    pub(crate) fn slots(&self, id: HostId) -> Option<u32> {
        match &*self.entry(id).state.borrow() {
            State::Worker(worker) => worker.slots.get(),
            _ => None,
        }
    }

    /// The host as a worker; connects to it if there is no connection.
    ///
    /// # Errors
    /// [`HostFailure::NotNative`] if it is none; anything that can go wrong with connecting.
    pub(crate) async fn reach(
        &self,
        id: HostId,
        host: &Host,
        settings: &Settings,
        env: &[(OsString, OsString)],
        resolver: &Resolver,
    ) -> Result<Rc<Worker>, HostFailure> {
        let entry = self.entry(id);
        if let Some(worker) = entry.worker() {
            return Ok(worker);
        }
        let _one_greets = entry.greeting.lock().await;
        if let Some(worker) = entry.worker() {
            return Ok(worker);
        }
        if !self.may_be_native(id, host) {
            return Err(HostFailure::NotNative);
        }
        let link = connect::connect(host, settings, env, resolver).await?;
        let io = tokio::io::join(link.reader, link.writer);
        let caller = Caller {
            tool_name: "farcc".to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            invocation_id: self.invocation.clone(),
        };
        let authority = authority(host);
        let greeted = Client::connect(io, &authority, &caller, self.function);
        let is_guess = host.speaks != Speaks::Native;
        let patience = if is_guess {
            GUESS_TIMEOUT
        } else {
            GREETING_TIMEOUT
        };
        match timeout(patience, greeted).await {
            Ok(Ok(client)) => {
                let worker = Rc::new(Worker::new(client, Rc::clone(&self.packed)));
                worker.ask_slots().await;
                entry.state.replace(State::Worker(Rc::clone(&worker)));
                Ok(worker)
            }
            Ok(Err(CallError::NotSpoken(_) | CallError::Unavailable(_))) | Err(_) if is_guess => {
                let until = Instant::now() + STOCK_FOR;
                entry.state.replace(State::Stock(until));
                Err(HostFailure::NotNative)
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(HostFailure::NoGreeting(patience)),
        }
    }

    /// A host that failed in distcc's protocol may be no stock server after all.
    pub(crate) fn doubt(&self, id: HostId) {
        let entry = self.entry(id);
        let mut state = entry.state.borrow_mut();
        if matches!(*state, State::Stock(_)) {
            *state = State::Unknown;
        }
    }

    fn entry(&self, id: HostId) -> Rc<Entry> {
        Rc::clone(self.entries.borrow_mut().entry(id).or_default())
    }
}

impl Entry {
    /// The open connection, if there is one.
    fn worker(&self) -> Option<Rc<Worker>> {
        let mut state = self.state.borrow_mut();
        match &*state {
            State::Worker(worker) if !worker.is_closed() => Some(Rc::clone(worker)),
            State::Worker(_) => {
                *state = State::Unknown;
                None
            }
            _ => None,
        }
    }
}

fn authority(host: &Host) -> String {
    match &host.kind {
        HostKind::Tcp { name, port } if name.contains(':') => format!("[{name}]:{port}"),
        HostKind::Tcp { name, port } => format!("{name}:{port}"),
        HostKind::Ssh { name, .. } => name.clone(),
        HostKind::Local => "localhost".to_owned(),
    }
}
