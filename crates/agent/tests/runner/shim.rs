//! A shim made of test code: says what a shim says, and does what it is told.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use wire::{
    Destination, JobRequest, LogLevel, LogLine, OutputFile, Preprocessed, ToAgent, ToShim, frame,
};

use crate::world::{HANG, World};

/// How a compile ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// The agent delivered; the status as `wait` tells it.
    Finished(i32),
    /// The shim compiled.
    Local(i32),
    /// The agent said to give up, with this exit code.
    Aborted(u8),
}

#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) how: How,
    pub(crate) log: Vec<LogLine>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) stdout: Vec<u8>,
    /// How often it preprocessed.
    pub(crate) preprocessed: u32,
}

impl Done {
    /// What a user sees who asks for nothing special.
    pub(crate) fn warnings(&self) -> Vec<&str> {
        self.log
            .iter()
            .filter(|line| line.level <= LogLevel::Warning)
            .map(|line| line.text.as_str())
            .collect()
    }

    #[track_caller]
    pub(crate) fn is_remote(&self) {
        assert_eq!(self.how, How::Finished(0), "{:#?}", self.log);
    }

    #[track_caller]
    pub(crate) fn is_local(&self) {
        assert!(matches!(self.how, How::Local(_)), "{:#?}", self);
    }
}

/// A compile that is about to be asked for.
#[derive(Debug)]
pub(crate) struct Compile {
    stream: UnixStream,
    pub(crate) request: JobRequest,
    /// Given to the agent as preprocessed text, instead of running the preprocessor.
    text: Option<Vec<u8>>,
    /// Local compiles do nothing.
    pretend: bool,
    /// Outputs cannot be written.
    cannot_install: bool,
}

impl Compile {
    pub(crate) fn new(world: &World, args: &str) -> Self {
        let cwd = world.src();
        let meta = std::fs::metadata(&cwd).unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let request = JobRequest {
            pid: std::process::id(),
            compiler: "gcc".into(),
            compiler_path: "/usr/bin/gcc".into(),
            args: args.split_whitespace().map(OsString::from).collect(),
            cwd: cwd.into(),
            cwd_dev: meta.dev(),
            cwd_ino: meta.ino(),
            terminal: None,
            env: vec![
                ("PATH".into(), path),
                ("DISTCC_DIR".into(), world.distcc_dir().into()),
            ],
        };
        let stream = world.connect();
        stream.set_read_timeout(Some(HANG)).unwrap();
        Self {
            stream,
            request,
            text: None,
            pretend: false,
            cannot_install: false,
        }
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.request.env.retain(|(known, _)| known != name);
        self.request.env.push((name.into(), value.into()));
        self
    }

    pub(crate) fn compiler(mut self, name: &str, path: &str) -> Self {
        self.request.compiler = name.into();
        self.request.compiler_path = path.into();
        self
    }

    pub(crate) fn text(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.text = Some(text.into());
        self.pretend = true;
        self
    }

    pub(crate) fn pretend(mut self) -> Self {
        self.pretend = true;
        self
    }

    pub(crate) fn cannot_install(mut self) -> Self {
        self.cannot_install = true;
        self
    }

    pub(crate) fn spawn(self) -> JoinHandle<Done> {
        std::thread::spawn(move || self.run())
    }

    /// Asks, and then vanishes on its own terms.
    pub(crate) fn ask(self) -> Conversation {
        let conversation = Conversation {
            stream: self.stream.try_clone().unwrap(),
            buffer: Vec::new(),
            files: VecDeque::new(),
        };
        conversation.say(&ToAgent::Job(self.request.clone()), &[]);
        conversation
    }

    pub(crate) fn run(self) -> Done {
        let mut agent = Conversation {
            stream: self.stream.try_clone().unwrap(),
            buffer: Vec::new(),
            files: VecDeque::new(),
        };
        agent.say(&ToAgent::Job(self.request.clone()), &[]);
        let mut done = Done {
            how: How::Aborted(0),
            log: Vec::new(),
            stderr: Vec::new(),
            stdout: Vec::new(),
            preprocessed: 0,
        };
        let mut preprocessor_stderr = Vec::new();
        loop {
            match agent.hear().expect("the agent hung up") {
                ToShim::Alive | ToShim::Explanation(_) => {}
                ToShim::Log(lines) => done.log.extend(lines),
                ToShim::Preprocess { args } => {
                    done.preprocessed += 1;
                    preprocessor_stderr = self.preprocess(&agent, &args);
                }
                ToShim::Split { .. } => agent.say(&ToAgent::Whole, &[]),
                ToShim::RunLocal { log } => {
                    done.log.extend(log);
                    done.how = How::Local(self.compile_here(&mut done.stderr));
                    return done;
                }
                ToShim::Abort { exit_code, log } => {
                    done.log.extend(log);
                    done.how = How::Aborted(exit_code);
                    return done;
                }
                ToShim::Finish {
                    wait_status,
                    log,
                    outputs,
                } => {
                    done.log.extend(log);
                    done.stderr = preprocessor_stderr;
                    if self.cannot_install {
                        agent.say(&ToAgent::InstallFailed("no space".into()), &[]);
                        done.how = How::Local(self.compile_here(&mut done.stderr));
                        return done;
                    }
                    self.install(&mut agent, &outputs, &mut done);
                    done.how = How::Finished(wait_status);
                    return done;
                }
            }
        }
    }

    fn preprocess(&self, agent: &Conversation, args: &[OsString]) -> Vec<u8> {
        let mut file = sys::memory_file("text").unwrap();
        let mut stderr = Vec::new();
        let wait_status = if let Some(text) = &self.text {
            file.write_all(text).unwrap();
            0
        } else {
            let output = self.command(args).output().unwrap();
            file.write_all(&output.stdout).unwrap();
            stderr = output.stderr;
            output.status.into_raw()
        };
        let done = Preprocessed {
            wait_status,
            cpu_us: 2000,
            has_stderr: !stderr.is_empty(),
        };
        agent.say(&ToAgent::Preprocessed(done), &[file]);
        stderr
    }

    fn compile_here(&self, stderr: &mut Vec<u8>) -> i32 {
        if self.pretend {
            return 0;
        }
        let output = self.command(&self.request.args).output().unwrap();
        stderr.extend(output.stderr);
        output.status.into_raw()
    }

    fn command(&self, args: &[OsString]) -> Command {
        let mut command = Command::new(&self.request.compiler_path);
        command
            .args(args)
            .current_dir(&self.request.cwd)
            .stdin(Stdio::null());
        command
    }

    fn install(&self, agent: &mut Conversation, outputs: &[OutputFile], done: &mut Done) {
        for output in outputs {
            let file = File::from(agent.files.pop_front().expect("a file for each output"));
            let mut bytes = vec![0; usize::try_from(output.len).unwrap()];
            file.read_exact_at(&mut bytes, 0).unwrap();
            assert_eq!(file.metadata().unwrap().len(), output.len);
            match &output.destination {
                Destination::File(path) => {
                    let path = PathBuf::from(&self.request.cwd).join(path);
                    std::fs::write(path, bytes).unwrap();
                }
                Destination::Stdout => done.stdout.extend(bytes),
                Destination::Stderr => done.stderr.extend(bytes),
            }
        }
        assert!(agent.files.is_empty());
    }
}

/// The bare conversation with the agent.
#[derive(Debug)]
pub(crate) struct Conversation {
    stream: UnixStream,
    buffer: Vec<u8>,
    files: VecDeque<OwnedFd>,
}

impl Conversation {
    pub(crate) fn say(&self, message: &ToAgent, files: &[File]) {
        let fds: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        let bytes = frame::encode(&message.to_payload());
        sys::fd_passing::send_all_with_fds(&self.stream, &bytes, &fds).unwrap();
    }

    /// The next message; `None` if the agent hung up.
    pub(crate) fn hear(&mut self) -> Option<ToShim> {
        loop {
            if let Some((payload, used)) = frame::split(&self.buffer).unwrap() {
                let message = ToShim::from_payload(payload).unwrap();
                self.buffer.drain(..used);
                return Some(message);
            }
            let mut chunk = [0; 4096];
            let mut fds = Vec::new();
            let len = match sys::fd_passing::recv_with_fds(&self.stream, &mut chunk, &mut fds) {
                // A child of another test has ended.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                other => other.expect("the agent is silent"),
            };
            self.files.extend(fds);
            if len == 0 {
                return None;
            }
            self.buffer.extend_from_slice(&chunk[..len]);
        }
    }

    /// Waits for the order to preprocess, and says that it is done.
    pub(crate) fn preprocess(&mut self, text: &[u8]) {
        loop {
            match self.hear() {
                Some(ToShim::Preprocess { .. }) => break,
                Some(ToShim::Alive) => {}
                other => panic!("expected an order to preprocess, got {other:?}"),
            }
        }
        self.preprocessed(text);
    }

    pub(crate) fn preprocessed(&self, text: &[u8]) {
        let mut file = sys::memory_file("text").unwrap();
        file.write_all(text).unwrap();
        let done = Preprocessed {
            wait_status: 0,
            cpu_us: 0,
            has_stderr: false,
        };
        self.say(&ToAgent::Preprocessed(done), &[file]);
    }
}
