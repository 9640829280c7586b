//! What happened to each job, as it happens.
//!
//! The agent emits these and nothing else about jobs; monitors, summaries and logs are folds over
//! them. **Stability boundary**: codes and fields may be added, not changed.

use crate::codec::{DecodeError, Reader, Writer};

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// The job's number, unique within one agent.
    pub job: u64,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A shim asked for a compile.
    Started {
        /// The shim's process id in its own namespace.
        pid: u32,
        /// The source's file name, or the output's where there is none; for people.
        file: String,
    },
    /// The job entered a phase.
    Phase {
        /// Which.
        phase: JobPhase,
        /// Host in the form of the host list; `localhost` for local work.
        host: String,
        /// Slot on that host.
        slot: u32,
    },
    /// An attempt on a host failed and the job goes on elsewhere.
    Retried {
        /// The host that failed.
        host: String,
        /// A sentence for people.
        why: String,
    },
    /// The job ended.
    Ended(Ended),
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ended {
    /// The host that compiled it; `localhost` for a local compile.
    pub host: String,
    /// Why it was compiled locally: code and sentence. Absent for remote compiles.
    pub local: Option<LocalReason>,
    /// Status as `wait` tells it. Absent where the agent cannot know: the shim became the
    /// compiler, or went away.
    pub wait_status: Option<i32>,
    /// From request to end, milliseconds.
    pub wall_ms: u64,
    /// Waiting for a slot, milliseconds.
    pub queued_ms: u64,
    /// User and system time of the preprocessor, milliseconds.
    pub preprocess_cpu_ms: u64,
    /// From the last byte sent to the first byte of the answer, milliseconds.
    pub remote_ms: u64,
    /// Bytes sent to hosts.
    pub sent_bytes: u64,
    /// Bytes received from hosts.
    pub received_bytes: u64,
    /// Why the source was preprocessed here although a host could have done without. Absent where it
    /// was not.
    pub doubt: Option<LocalReason>,
    /// The result was known from an earlier compile: nothing ran.
    pub from_cache: bool,
}

/// Why a compile is local.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalReason {
    /// Stable, for scripts: `link`, `conftest`, `no-hosts`.
    pub code: String,
    /// A sentence for people.
    pub sentence: String,
}

/// Phases as distcc numbers and names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobPhase {
    /// Waits for a slot.
    Blocked = 1,
    /// Connects to the host.
    Connect = 2,
    /// The preprocessor runs.
    Preprocess = 3,
    /// The request is being sent.
    Send = 4,
    /// The compiler runs, here or there.
    Compile = 5,
    /// The answer is being received.
    Receive = 6,
}

const TAG_STARTED: u8 = 1;
const TAG_PHASE: u8 = 2;
const TAG_RETRIED: u8 = 3;
const TAG_ENDED: u8 = 4;

impl Event {
    /// The event as a frame's payload.
    #[must_use]
    pub fn to_payload(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u64(self.time_ms);
        w.u64(self.job);
        match &self.kind {
            EventKind::Started { pid, file } => {
                w.u8(TAG_STARTED);
                w.u32(*pid);
                w.bytes(file.as_bytes());
            }
            EventKind::Phase { phase, host, slot } => {
                w.u8(TAG_PHASE);
                w.u8(*phase as u8);
                w.bytes(host.as_bytes());
                w.u32(*slot);
            }
            EventKind::Retried { host, why } => {
                w.u8(TAG_RETRIED);
                w.bytes(host.as_bytes());
                w.bytes(why.as_bytes());
            }
            EventKind::Ended(ended) => {
                w.u8(TAG_ENDED);
                ended.write(&mut w);
            }
        }
        w.0
    }

    /// Reads a frame's payload.
    ///
    /// # Errors
    /// The payload is no event of this version.
    pub fn from_payload(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(payload);
        let (time_ms, job) = (r.u64()?, r.u64()?);
        let kind = match r.u8()? {
            TAG_STARTED => EventKind::Started {
                pid: r.u32()?,
                file: r.text()?,
            },
            TAG_PHASE => EventKind::Phase {
                phase: JobPhase::from_number(r.u8()?)?,
                host: r.text()?,
                slot: r.u32()?,
            },
            TAG_RETRIED => EventKind::Retried {
                host: r.text()?,
                why: r.text()?,
            },
            TAG_ENDED => EventKind::Ended(Ended::read(&mut r)?),
            tag => {
                return Err(DecodeError::UnknownTag {
                    what: "event",
                    tag: tag.into(),
                });
            }
        };
        r.end()?;
        Ok(Self { time_ms, job, kind })
    }
}

impl Ended {
    fn write(&self, w: &mut Writer) {
        w.bytes(self.host.as_bytes());
        w.option(self.local.as_ref(), LocalReason::write);
        w.option(self.wait_status, Writer::i32);
        for number in [
            self.wall_ms,
            self.queued_ms,
            self.preprocess_cpu_ms,
            self.remote_ms,
            self.sent_bytes,
            self.received_bytes,
        ] {
            w.u64(number);
        }
        w.option(self.doubt.as_ref(), LocalReason::write);
        w.u8(self.from_cache.into());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            host: r.text()?,
            local: r.option(LocalReason::read)?,
            wait_status: r.option(Reader::i32)?,
            wall_ms: r.u64()?,
            queued_ms: r.u64()?,
            preprocess_cpu_ms: r.u64()?,
            remote_ms: r.u64()?,
            sent_bytes: r.u64()?,
            received_bytes: r.u64()?,
            doubt: r.option(LocalReason::read)?,
            from_cache: r.bool()?,
        })
    }
}

impl LocalReason {
    fn write(w: &mut Writer, reason: &Self) {
        w.bytes(reason.code.as_bytes());
        w.bytes(reason.sentence.as_bytes());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            code: r.text()?,
            sentence: r.text()?,
        })
    }
}

impl JobPhase {
    fn from_number(number: u8) -> Result<Self, DecodeError> {
        Ok(match number {
            1 => Self::Blocked,
            2 => Self::Connect,
            3 => Self::Preprocess,
            4 => Self::Send,
            5 => Self::Compile,
            6 => Self::Receive,
            _ => {
                return Err(DecodeError::UnknownTag {
                    what: "phase",
                    tag: number.into(),
                });
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: EventKind) {
        let event = Event {
            time_ms: 1,
            job: 2,
            kind,
        };
        assert_eq!(Event::from_payload(&event.to_payload()), Ok(event));
    }

    #[test]
    fn every_event_survives_the_trip() {
        check(EventKind::Started {
            pid: 1,
            file: "a.c".into(),
        });
        for number in 1..=6 {
            let phase = JobPhase::from_number(number).unwrap();
            check(EventKind::Phase {
                phase,
                host: "pc/4".into(),
                slot: 3,
            });
        }
        check(EventKind::Retried {
            host: "pc".into(),
            why: "timed out".into(),
        });
        check(EventKind::Ended(Ended::default()));
        check(EventKind::Ended(Ended {
            host: "localhost".into(),
            local: Some(LocalReason {
                code: "link".into(),
                sentence: "links".into(),
            }),
            wait_status: Some(9),
            wall_ms: 1,
            queued_ms: 2,
            preprocess_cpu_ms: 3,
            remote_ms: 4,
            sent_bytes: 5,
            received_bytes: 6,
            doubt: Some(LocalReason {
                code: "computed".into(),
                sentence: "an include has a name made by macros".into(),
            }),
            from_cache: true,
        }));
    }
}
