//! What the agent answers to a shim.

use std::ffi::OsString;

use crate::codec::{DecodeError, Reader, Writer};
use crate::limits::FILES_PER_FRAME_MAX;

/// One answer. [`ToShim::RunLocal`], [`ToShim::Finish`] and [`ToShim::Abort`] end the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToShim {
    /// The job still waits or runs; nothing to do.
    Alive,
    /// Lines for the log, ahead of the end.
    Log(Vec<LogLine>),
    /// Run the real compiler with these arguments instead of the job's, capture what it writes to
    /// standard output and error, and answer with [`crate::ToAgent::Preprocessed`].
    Preprocess {
        /// All arguments after the compiler.
        args: Vec<OsString>,
    },
    /// Each of these is a compile of its own, as the arguments after the compiler. Have them done like any other, and
    /// put what comes of them in place in this order; or, if that cannot be, say [`crate::ToAgent::Whole`].
    Split {
        /// The arguments of each.
        parts: Vec<Vec<OsString>>,
    },
    /// Become the real compiler, with the original arguments. The socket stays open across exec;
    /// its end tells the agent that the slot is free.
    RunLocal {
        /// What to log before.
        log: Vec<LogLine>,
    },
    /// The compile is done: put the outputs in place and exit. One open file goes with each
    /// output, in the same order.
    Finish {
        /// Status as `wait` tells it: exit code << 8, or the signal.
        wait_status: i32,
        /// What to log.
        log: Vec<LogLine>,
        /// What to put where.
        outputs: Vec<OutputFile>,
    },
    /// The job may not run locally and cannot run elsewhere.
    Abort {
        /// Exit code, one of distcc's 100 to 120.
        exit_code: u8,
        /// What to log.
        log: Vec<LogLine>,
    },
    /// The answer to [`crate::ToAgent::Explain`], lines for people. No shim gets it.
    Explanation(String),
}

/// One output of a compile, contents in the open file beside the frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFile {
    /// Where it goes.
    pub destination: Destination,
    /// Its length in bytes.
    pub len: u64,
}

/// Where an output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A file, its path as the compiler would open it (relative to the job's directory).
    File(OsString),
    /// The shim's standard output.
    Stdout,
    /// The shim's standard error, after what the preprocessor wrote there.
    Stderr,
}

/// A line for the user's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How important it is. The shim drops what the user did not ask for.
    pub level: LogLevel,
    /// One line without its end.
    pub text: String,
}

/// Importance, in the order of syslog as distcc uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// `CRITICAL!`
    Critical,
    /// `ERROR:`
    Error,
    /// `Warning:` — the least that is shown without asking.
    Warning,
    /// Shown in a log file.
    Info,
    /// Shown with `DISTCC_VERBOSE=1`.
    Debug,
}

const TAG_ALIVE: u8 = 1;
const TAG_LOG: u8 = 2;
const TAG_PREPROCESS: u8 = 3;
const TAG_RUN_LOCAL: u8 = 4;
const TAG_FINISH: u8 = 5;
const TAG_ABORT: u8 = 6;
const TAG_EXPLANATION: u8 = 7;
const TAG_SPLIT: u8 = 8;

impl ToShim {
    /// The message as a frame's payload.
    #[must_use]
    pub fn to_payload(&self) -> Vec<u8> {
        let writer = match self {
            Self::Alive => Writer::tagged(TAG_ALIVE),
            Self::Log(lines) => {
                let mut w = Writer::tagged(TAG_LOG);
                write_log(&mut w, lines);
                w
            }
            Self::Preprocess { args } => {
                let mut w = Writer::tagged(TAG_PREPROCESS);
                w.os_list(args);
                w
            }
            Self::Split { parts } => {
                let mut w = Writer::tagged(TAG_SPLIT);
                w.len(parts.len());
                for part in parts {
                    w.os_list(part);
                }
                w
            }
            Self::RunLocal { log } => {
                let mut w = Writer::tagged(TAG_RUN_LOCAL);
                write_log(&mut w, log);
                w
            }
            Self::Finish {
                wait_status,
                log,
                outputs,
            } => {
                let mut w = Writer::tagged(TAG_FINISH);
                w.i32(*wait_status);
                write_log(&mut w, log);
                w.len(outputs.len());
                for output in outputs {
                    output.write(&mut w);
                }
                w
            }
            Self::Abort { exit_code, log } => {
                let mut w = Writer::tagged(TAG_ABORT);
                w.u8(*exit_code);
                write_log(&mut w, log);
                w
            }
            Self::Explanation(text) => {
                let mut w = Writer::tagged(TAG_EXPLANATION);
                w.bytes(text.as_bytes());
                w
            }
        };
        writer.0
    }

    /// Reads a frame's payload.
    ///
    /// # Errors
    /// The payload is no message of this version.
    pub fn from_payload(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(payload);
        let message = match r.u8()? {
            TAG_ALIVE => Self::Alive,
            TAG_LOG => Self::Log(read_log(&mut r)?),
            TAG_PREPROCESS => Self::Preprocess {
                args: r.os_list("argument list")?,
            },
            TAG_SPLIT => Self::Split {
                parts: r.list("parts", |r| r.os_list("argument list"))?,
            },
            TAG_RUN_LOCAL => Self::RunLocal {
                log: read_log(&mut r)?,
            },
            TAG_FINISH => Self::Finish {
                wait_status: r.i32()?,
                log: read_log(&mut r)?,
                outputs: read_outputs(&mut r)?,
            },
            TAG_ABORT => Self::Abort {
                exit_code: r.u8()?,
                log: read_log(&mut r)?,
            },
            TAG_EXPLANATION => Self::Explanation(r.text()?),
            tag => {
                return Err(DecodeError::UnknownTag {
                    what: "answer",
                    tag: tag.into(),
                });
            }
        };
        r.end()?;
        Ok(message)
    }

    /// How many open files go with this message.
    #[must_use]
    pub fn file_count(&self) -> usize {
        match self {
            Self::Finish { outputs, .. } => outputs.len(),
            _ => 0,
        }
    }
}

impl OutputFile {
    fn write(&self, w: &mut Writer) {
        match &self.destination {
            Destination::File(path) => {
                w.u8(0);
                w.os(path);
            }
            Destination::Stdout => w.u8(1),
            Destination::Stderr => w.u8(2),
        }
        w.u64(self.len);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let destination = match r.u8()? {
            0 => Destination::File(r.os()?),
            1 => Destination::Stdout,
            2 => Destination::Stderr,
            tag => {
                return Err(DecodeError::UnknownTag {
                    what: "destination",
                    tag: tag.into(),
                });
            }
        };
        Ok(Self {
            destination,
            len: r.u64()?,
        })
    }
}

fn read_outputs(r: &mut Reader<'_>) -> Result<Vec<OutputFile>, DecodeError> {
    let outputs = r.list("outputs", OutputFile::read)?;
    if outputs.len() > FILES_PER_FRAME_MAX {
        return Err(DecodeError::TooLong {
            what: "outputs",
            len: outputs.len(),
        });
    }
    Ok(outputs)
}

fn write_log(w: &mut Writer, lines: &[LogLine]) {
    w.len(lines.len());
    for line in lines {
        w.u8(line.level as u8);
        w.bytes(line.text.as_bytes());
    }
}

fn read_log(r: &mut Reader<'_>) -> Result<Vec<LogLine>, DecodeError> {
    r.list("log", |r| {
        let level = match r.u8()? {
            0 => LogLevel::Critical,
            1 => LogLevel::Error,
            2 => LogLevel::Warning,
            3 => LogLevel::Info,
            4 => LogLevel::Debug,
            tag => {
                return Err(DecodeError::UnknownTag {
                    what: "log level",
                    tag: tag.into(),
                });
            }
        };
        Ok(LogLine {
            level,
            text: r.text()?,
        })
    })
}

impl LogLine {
    /// A line of the given level.
    pub fn new(level: LogLevel, text: impl Into<String>) -> Self {
        Self {
            level,
            text: text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: ToShim) {
        assert_eq!(ToShim::from_payload(&message.to_payload()), Ok(message));
    }

    #[test]
    fn every_message_survives_the_trip() {
        let log = vec![
            LogLine::new(
                LogLevel::Warning,
                "failed to distribute, running locally instead",
            ),
            LogLine::new(LogLevel::Debug, ""),
        ];
        check(ToShim::Alive);
        check(ToShim::Log(log.clone()));
        check(ToShim::Preprocess {
            args: vec!["-E".into(), "x.c".into()],
        });
        check(ToShim::Split {
            parts: vec![vec!["-c".into(), "a.c".into()], vec![]],
        });
        check(ToShim::RunLocal { log: log.clone() });
        check(ToShim::Finish {
            wait_status: 256,
            log: log.clone(),
            outputs: vec![
                OutputFile {
                    destination: Destination::File("sub/x.o".into()),
                    len: 10,
                },
                OutputFile {
                    destination: Destination::Stdout,
                    len: 0,
                },
                OutputFile {
                    destination: Destination::Stderr,
                    len: 3,
                },
            ],
        });
        check(ToShim::Abort {
            exit_code: 116,
            log,
        });
    }
}
