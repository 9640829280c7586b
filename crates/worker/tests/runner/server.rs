//! A server under test, and a client that says exactly what a test wants.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use stock::{Input, Limits, Progress, Reply, ReplyDecoder, Request, Version};

/// Longer than anything takes on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The server's store, in its directory.
pub(crate) const STORE: &str = "store";

/// The server's program.
pub(crate) fn program() -> PathBuf {
    let mut dir = std::env::current_exe().unwrap();
    dir.pop();
    dir.pop();
    dir.join("examples/distccd")
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) port: u16,
    log: Arc<Log>,
    /// For files that the server's user may read.
    pub(crate) dir: tempfile::TempDir,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

/// What to start.
pub(crate) struct Setup {
    args: Vec<String>,
    env: Vec<(String, String)>,
    dir: tempfile::TempDir,
    before: Vec<String>,
    scripts: Vec<PathBuf>,
}

impl Setup {
    pub(crate) fn new() -> Setup {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Setup {
            args: Vec::new(),
            env: Vec::new(),
            dir,
            before: Vec::new(),
            scripts: Vec::new(),
        }
    }

    pub(crate) fn args(mut self, args: &str) -> Setup {
        self.args.extend(args.split_whitespace().map(str::to_owned));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Setup {
        self.env
            .push((name.to_owned(), value.as_ref().to_str().unwrap().to_owned()));
        self
    }

    /// Puts a program and its arguments before the server's.
    pub(crate) fn through(mut self, before: &[&str]) -> Setup {
        self.before = before.iter().map(ToString::to_string).collect();
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Allows only programs made here: a shell script with this text, under this name.
    pub(crate) fn script(mut self, name: &str, text: &str) -> Setup {
        let path = self.dir.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self.scripts.push(path);
        self
    }

    fn command(&self) -> Command {
        let program = program();
        let mut words: Vec<&OsStr> = self.before.iter().map(OsStr::new).collect();
        words.push(program.as_os_str());
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(&self.args)
            .env_remove("DISTCC_CMDLIST")
            .env("FARCC_STORE", self.dir.path().join(STORE));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if !self.scripts.is_empty() {
            let list = self.dir.path().join("cmdlist");
            let lines: Vec<String> = self
                .scripts
                .iter()
                .map(|path| format!("{}\n", path.display()))
                .collect();
            fs::write(&list, lines.concat()).unwrap();
            command.env("DISTCC_CMDLIST", list);
        }
        command
    }

    /// Starts a server that listens for this machine only.
    pub(crate) fn start(self) -> Server {
        let is_placed = self.args.iter().any(|arg| arg == "--listen");
        let setup = self.args("--daemon --no-detach --log-stderr --port 0");
        let setup = if is_placed {
            setup
        } else {
            setup.args("--listen 127.0.0.1")
        };
        let is_open = setup.args.iter().any(|arg| arg.starts_with("--allow"));
        let setup = if is_open {
            setup
        } else {
            setup.args("--allow 127.0.0.1")
        };
        let mut child = setup
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Log::default());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let writer = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                writer.lines.lock().unwrap().push(line);
                writer.more.notify_all();
            }
            writer.lines.lock().unwrap().push("(end of log)".to_owned());
            writer.more.notify_all();
        });
        let mut server = Server {
            child,
            port: 0,
            log,
            dir: setup.dir,
        };
        server.wait_for_log("ready: ");
        server.port = server.port_of("clients");
        server
    }

    /// Runs the server's program to its end.
    pub(crate) fn run(self) -> std::process::Output {
        self.command().stdin(Stdio::null()).output().unwrap()
    }

    /// Starts the server's program with these streams.
    /// Hands over the directory that it uses.
    pub(crate) fn spawn(self, stdin: Stdio, stdout: Stdio) -> (Child, tempfile::TempDir) {
        let mut command = self.command();
        let child = command.stdin(stdin).stdout(stdout).spawn().unwrap();
        (child, self.dir)
    }
}

impl Server {
    pub(crate) fn start() -> Server {
        Setup::new().start()
    }

    /// The port of a kind of listener.
    pub(crate) fn port_of(&self, what: &str) -> u16 {
        let line = self.wait_for_log(&format!("listening for {what} on "));
        line.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// Waits for a line with this text.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().unwrap();
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let is_over = lines.last().is_some_and(|line| line == "(end of log)");
            assert!(
                !left.is_zero() && !is_over,
                "no \"{text}\" in the log: {lines:#?}"
            );
            lines = self.log.more.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// How many lines so far have this text.
    pub(crate) fn count_in_log(&self, text: &str) -> usize {
        let lines = self.log.lines.lock().unwrap();
        lines.iter().filter(|line| line.contains(text)).count()
    }

    /// A connection that has said nothing yet.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request and returns the connection.
    pub(crate) fn send(&self, request: Request) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(&request.pack().encode().unwrap()).unwrap();
        stream
    }

    /// The answer to a request.
    #[track_caller]
    pub(crate) fn ask(&self, request: Request) -> Reply {
        let version = request.version;
        answer(self.send(request), version)
    }

    /// It still compiles.
    #[track_caller]
    pub(crate) fn check_alive(&self) {
        let reply = self.ask(compile(Version::V1, "gcc -c a.c -o a.o", b"int x;\n"));
        check_ok(&reply);
        assert!(reply.object.starts_with(b"\x7fELF"));
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Waits for a process, but not forever.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let pid = rustix::process::Pid::from_child(child);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    assert!(is_readable(&pidfd, PATIENCE), "the process does not end");
    child.wait().unwrap()
}

/// Waits until there is something to read.
pub(crate) fn is_readable(fd: &impl std::os::fd::AsFd, patience: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    let timeout = patience.try_into().unwrap();
    poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timeout)).unwrap() > 0
}

/// A request to compile preprocessed text.
pub(crate) fn compile(version: Version, argv: &str, text: &[u8]) -> Request {
    Request {
        version,
        cwd: None,
        argv: argv
            .split_whitespace()
            .map(|word| word.as_bytes().to_vec())
            .collect(),
        input: Input::Preprocessed(text.to_vec()),
    }
}

/// Reads an answer to its end.
#[track_caller]
pub(crate) fn answer(mut stream: impl Read, version: Version) -> Reply {
    let mut decoder = ReplyDecoder::new(version, Limits::DEFAULT);
    let mut buffer = [0; 65536];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "{}", decoder.closed());
        if let Progress::Done { unused } = decoder.feed(&buffer[..count]).unwrap() {
            assert_eq!(unused, 0);
            return decoder.finish().unwrap().unpack(&Limits::DEFAULT).unwrap();
        }
    }
}

#[track_caller]
pub(crate) fn check_ok(reply: &Reply) {
    let stderr = String::from_utf8_lossy(&reply.stderr);
    assert_eq!(reply.wait_status, 0, "{stderr}");
}

/// The answer is a refusal with this code of distcc's, and these words.
#[track_caller]
pub(crate) fn check_refused(reply: &Reply, code: stock::exit::ExitCode, words: &str) {
    let stderr = String::from_utf8_lossy(&reply.stderr);
    assert_eq!(reply.wait_status, u32::from(code.code()) << 8, "{stderr}");
    assert!(stderr.starts_with("distccd["), "{stderr}");
    assert!(stderr.contains(words), "{stderr}");
}

/// Is there a process with this word on its command line? Its id then.
pub(crate) fn find_process(word: &str) -> Option<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .find(|pid| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut words = words.split(|&byte| byte == 0);
            words.any(|found| found == word.as_bytes())
        })
}

/// Waits for a process with this word on its command line.
#[track_caller]
pub(crate) fn wait_for_process(word: &str) -> i32 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(pid) = find_process(word) {
            return pid;
        }
        assert!(Instant::now() < deadline, "no process with {word} appears");
        // Nothing tells when a process appears.
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a process is dead.
#[track_caller]
pub(crate) fn wait_for_death(pid: i32, patience: Duration) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    // An error says that it is dead and forgotten already.
    if let Ok(pidfd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        assert!(is_readable(&pidfd, patience), "process {pid:?} still lives");
    }
}

/// Waits until no process has this word on its command line.
#[track_caller]
pub(crate) fn wait_until_gone(word: &str) {
    while let Some(pid) = find_process(word) {
        wait_for_death(pid, Duration::from_secs(2));
    }
}

/// A number that no other process of this machine has on its command line.
pub(crate) fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!(
        "1000000.{}{:04}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Reads until the other side closes, whatever it says.
pub(crate) fn read_all(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _reset = stream.read_to_end(&mut bytes);
    let _closed = stream.shutdown(Shutdown::Both);
    bytes
}
