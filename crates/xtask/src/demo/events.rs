//! Where jobs ran and why, from the agent's own events.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::JoinHandle;

use wire::event::{Event, EventKind};
use wire::{ToAgent, frame};

/// What became of all jobs.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// Jobs by host.
    pub(super) remote: BTreeMap<String, usize>,
    /// Local jobs by reason: its code and its sentence.
    pub(super) local: BTreeMap<(String, String), usize>,
    /// Attempts that failed, by host and reason.
    pub(super) retried: BTreeMap<String, usize>,
}

/// A thread that listens until the agent leaves.
#[derive(Debug)]
pub(super) struct Events(JoinHandle<Result<Jobs, String>>);

impl Events {
    /// Begins to listen to the agent of a `DISTCC_DIR`.
    pub(super) fn listen(distcc_dir: &Path) -> Result<Self, String> {
        let stream = watch(distcc_dir)?;
        Ok(Self(std::thread::spawn(move || {
            let mut jobs = Jobs::default();
            for_each(stream, |event| jobs.on(event))
                .map_err(|error| format!("cannot listen to the agent: {error}"))?;
            Ok(jobs)
        })))
    }

    /// Waits for the agent's end.
    pub(super) fn finish(self) -> Result<Jobs, String> {
        self.0
            .join()
            .map_err(|_| "the listener failed".to_owned())?
    }
}

/// A connection on which the agent of a `DISTCC_DIR` tells what happens.
pub(crate) fn watch(distcc_dir: &Path) -> Result<UnixStream, String> {
    let failed = |error: std::io::Error| format!("cannot listen to the agent: {error}");
    let sockets = e2e::agents::sockets(distcc_dir);
    let socket = sockets.first().ok_or("the agent has no socket")?;
    let name = socket.file_name().unwrap_or_default().to_string_lossy();
    let mut stream = sys::socket::connect(distcc_dir, &name).map_err(failed)?;
    let ask = frame::encode(&ToAgent::Watch(None).to_payload());
    stream.write_all(&ask).map_err(failed)?;
    Ok(stream)
}

/// Hands on each event until the agent leaves.
pub(crate) fn for_each(mut stream: UnixStream, mut on: impl FnMut(Event)) -> std::io::Result<()> {
    let invalid = |error| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        while let Some((payload, used)) = frame::split(&received).map_err(invalid)? {
            on(Event::from_payload(payload).map_err(invalid)?);
            received.drain(..used);
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            len => received.extend_from_slice(&buffer[..len]),
        }
    }
}

impl Jobs {
    fn on(&mut self, event: Event) {
        match event.kind {
            EventKind::Ended(ended) => {
                let count = match ended.local {
                    Some(reason) => self
                        .local
                        .entry((reason.code, reason.sentence))
                        .or_default(),
                    None => self.remote.entry(ended.host).or_default(),
                };
                *count += 1;
            }
            EventKind::Retried { host, why } => {
                *self.retried.entry(format!("{host}: {why}")).or_default() += 1;
            }
            EventKind::Started { .. } | EventKind::Phase { .. } => {}
        }
    }
}
