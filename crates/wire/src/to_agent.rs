//! What a shim or a watcher says to the agent.

use std::ffi::OsString;

use crate::codec::{DecodeError, Reader, Writer};

/// One message to the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToAgent {
    /// A compile. Always the first message of a shim.
    Job(JobRequest),
    /// The preprocessor that [`crate::ToShim::Preprocess`] asked for has ended. One open file
    /// goes with it: what the preprocessor wrote to its standard output.
    Preprocessed(Preprocessed),
    /// The shim could not put an output in place and now compiles locally. The text says why. A
    /// shim that has put everything in place just ends.
    InstallFailed(String),
    /// The parts of [`crate::ToShim::Split`] do not make up the whole: the command is to be run as it was given.
    Whole,
    /// Send [`crate::event::Event`]s from now on: of all jobs, or of those with this run name
    /// (`FARCC_RUN` in the job's environment).
    Watch(Option<String>),
    /// Take no new work, finish what runs, then leave.
    Drain,
    /// Answer with [`crate::ToShim::Explanation`].
    Explain(Explain),
}

/// What is to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explain {
    /// The last compile that wrote this file; absolute.
    Output(OsString),
    /// A compile that is not run.
    Command(JobRequest),
}

/// The terminal on which the user reads a compiler's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terminal {
    /// Columns of the terminal on standard input, which GCC asks; 0 if there is none or it has no width.
    pub input_columns: u32,
}

/// A compile as the build started it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobRequest {
    /// The shim's process id as it sees itself (in its own pid namespace).
    pub pid: u32,
    /// The compiler as the user named it: `gcc`, `/opt/bin/clang`, `x86_64-pc-linux-gnu-g++`.
    pub compiler: OsString,
    /// The file that would be executed for it, absolute where the name was looked up in `PATH`.
    pub compiler_path: OsString,
    /// The arguments after the compiler.
    pub args: Vec<OsString>,
    /// The working directory.
    pub cwd: OsString,
    /// Device of the working directory, as `stat` tells.
    pub cwd_dev: u64,
    /// Inode of the working directory.
    pub cwd_ino: u64,
    /// Where messages go, if standard error is a terminal.
    pub terminal: Option<Terminal>,
    /// The variables of [`crate::environment::FORWARDED`] that are set.
    pub env: Vec<(OsString, OsString)>,
}

impl JobRequest {
    /// The value of a forwarded variable.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&OsString> {
        self.env
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }
}

/// How a preprocessor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preprocessed {
    /// Status as `wait` tells it: exit code << 8, or the signal.
    pub wait_status: i32,
    /// User and system time it took, in microseconds.
    pub cpu_us: u64,
    /// Whether it wrote to standard error. The shim keeps that text and prints it if the job's
    /// result is used.
    pub has_stderr: bool,
}

const TAG_JOB: u8 = 1;
const TAG_PREPROCESSED: u8 = 2;
const TAG_INSTALL_FAILED: u8 = 3;
const TAG_WATCH: u8 = 4;
const TAG_DRAIN: u8 = 5;
const TAG_EXPLAIN_OUTPUT: u8 = 6;
const TAG_EXPLAIN_COMMAND: u8 = 7;
const TAG_WHOLE: u8 = 8;

impl ToAgent {
    /// The message as a frame's payload.
    #[must_use]
    pub fn to_payload(&self) -> Vec<u8> {
        let writer = match self {
            Self::Job(job) => job.write(TAG_JOB),
            Self::Preprocessed(done) => {
                let mut w = Writer::tagged(TAG_PREPROCESSED);
                w.i32(done.wait_status);
                w.u64(done.cpu_us);
                w.u8(done.has_stderr.into());
                w
            }
            Self::InstallFailed(text) => {
                let mut w = Writer::tagged(TAG_INSTALL_FAILED);
                w.bytes(text.as_bytes());
                w
            }
            Self::Watch(run) => {
                let mut w = Writer::tagged(TAG_WATCH);
                w.option(run.as_ref(), |w, run| w.bytes(run.as_bytes()));
                w
            }
            Self::Whole => Writer::tagged(TAG_WHOLE),
            Self::Drain => Writer::tagged(TAG_DRAIN),
            Self::Explain(Explain::Output(path)) => {
                let mut w = Writer::tagged(TAG_EXPLAIN_OUTPUT);
                w.os(path);
                w
            }
            Self::Explain(Explain::Command(job)) => job.write(TAG_EXPLAIN_COMMAND),
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
            TAG_JOB => Self::Job(JobRequest::read(&mut r)?),
            TAG_PREPROCESSED => Self::Preprocessed(Preprocessed {
                wait_status: r.i32()?,
                cpu_us: r.u64()?,
                has_stderr: r.bool()?,
            }),
            TAG_INSTALL_FAILED => Self::InstallFailed(r.text()?),
            TAG_WATCH => Self::Watch(r.option(Reader::text)?),
            TAG_WHOLE => Self::Whole,
            TAG_DRAIN => Self::Drain,
            TAG_EXPLAIN_OUTPUT => Self::Explain(Explain::Output(r.os()?)),
            TAG_EXPLAIN_COMMAND => Self::Explain(Explain::Command(JobRequest::read(&mut r)?)),
            tag => {
                return Err(DecodeError::UnknownTag {
                    what: "message",
                    tag: tag.into(),
                });
            }
        };
        r.end()?;
        Ok(message)
    }
}

impl JobRequest {
    /// The job as the payload of a [`ToAgent::Job`] frame.
    #[must_use]
    pub fn to_payload(&self) -> Vec<u8> {
        self.write(TAG_JOB).0
    }

    fn write(&self, tag: u8) -> Writer {
        let mut w = Writer::tagged(tag);
        w.u32(self.pid);
        w.os(&self.compiler);
        w.os(&self.compiler_path);
        w.os_list(&self.args);
        w.os(&self.cwd);
        w.u64(self.cwd_dev);
        w.u64(self.cwd_ino);
        w.option(self.terminal.as_ref(), |w, it| w.u32(it.input_columns));
        w.len(self.env.len());
        for (name, value) in &self.env {
            w.os(name);
            w.os(value);
        }
        w
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            pid: r.u32()?,
            compiler: r.os()?,
            compiler_path: r.os()?,
            args: r.os_list("argument list")?,
            cwd: r.os()?,
            cwd_dev: r.u64()?,
            cwd_ino: r.u64()?,
            terminal: r.option(|r| {
                Ok(Terminal {
                    input_columns: r.u32()?,
                })
            })?,
            env: r.list("environment", |r| Ok((r.os()?, r.os()?)))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: ToAgent) {
        assert_eq!(ToAgent::from_payload(&message.to_payload()), Ok(message));
    }

    #[test]
    fn every_message_survives_the_trip() {
        check(ToAgent::Job(JobRequest {
            pid: 7,
            compiler: "gcc".into(),
            compiler_path: "/usr/bin/gcc".into(),
            args: vec!["-c".into(), "a b.c".into(), "".into()],
            cwd: "/src".into(),
            cwd_dev: 1,
            cwd_ino: u64::MAX,
            terminal: Some(Terminal { input_columns: 80 }),
            env: vec![("DISTCC_HOSTS".into(), "a b/4".into())],
        }));
        check(ToAgent::Preprocessed(Preprocessed {
            wait_status: -1,
            cpu_us: 9,
            has_stderr: true,
        }));
        check(ToAgent::InstallFailed("no space".into()));
        check(ToAgent::Watch(None));
        check(ToAgent::Watch(Some("run".into())));
        check(ToAgent::Drain);
        check(ToAgent::Whole);
        check(ToAgent::Explain(Explain::Output("/w/a.o".into())));
        check(ToAgent::Explain(Explain::Command(JobRequest::default())));
    }

    #[test]
    fn a_count_beyond_the_message_is_refused_before_allocation() {
        let mut payload = ToAgent::Job(JobRequest::default()).to_payload();
        let env_len_at = payload.len() - 4;
        payload[env_len_at..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(
            ToAgent::from_payload(&payload),
            Err(DecodeError::TooLong { .. })
        ));
    }
}
