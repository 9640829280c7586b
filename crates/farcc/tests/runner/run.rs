//! `farcc run`: what the command sees, how it ends, what is said afterwards. The agent is a
//! stand-in that tells of the jobs it is told to tell of.

use crate::space::{Answer, Space};
use expect_test::expect;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use wire::event::{Ended, Event, EventKind, LocalReason};
use wire::socket_name::{Realm, socket_name};
use wire::{ToAgent, frame};

/// An agent that answers one watcher with fixed events.
struct StubAgent {
    /// The run that was watched, once its events have been sent.
    watched: Receiver<Option<String>>,
}

impl StubAgent {
    fn start(space: &Space, events: Vec<EventKind>) -> Self {
        let numbers = sys::realm::current();
        let realm = Realm {
            mount_ns: numbers.mount_ns,
            net_ns: numbers.net_ns,
            pid_ns: numbers.pid_ns,
            root_dev: numbers.root_dev,
            root_ino: numbers.root_ino,
        };
        let uid = rustix::process::getuid().as_raw();
        let name = socket_name(uid, &realm);
        let listener = sys::socket::listen(&space.path("distcc"), &name).unwrap();
        let (sender, watched) = mpsc::channel();
        thread::spawn(move || {
            sender.send(Self::serve(&listener, events)).unwrap();
        });
        Self { watched }
    }

    fn serve(listener: &UnixListener, events: Vec<EventKind>) -> Option<String> {
        let (mut stream, _) = listener.accept().unwrap();
        let mut header = [0; frame::HEADER_LEN];
        stream.read_exact(&mut header).unwrap();
        let mut payload = vec![0; frame::payload_len(header).unwrap()];
        stream.read_exact(&mut payload).unwrap();
        let ToAgent::Watch(run) = ToAgent::from_payload(&payload).unwrap() else {
            panic!("a watcher was expected");
        };
        for (job, kind) in events.into_iter().enumerate() {
            let event = Event {
                time_ms: 0,
                job: job as u64,
                kind,
            };
            stream
                .write_all(&frame::encode(&event.to_payload()))
                .unwrap();
        }
        // Until the watcher leaves.
        thread::spawn(move || stream.read_to_end(&mut Vec::new()));
        run
    }
}

fn farcc_run(space: &Space, options: &[&str], command: &[&str]) -> Command {
    let words: Vec<&str> = ["run"]
        .iter()
        .chain(options)
        .chain(&["--"])
        .chain(command)
        .copied()
        .collect();
    space.command("farcc", &words)
}

/// Without an agent: `DISTCC_DIR` is in a place that cannot exist.
fn without_agent(space: &Space, command: &[&str]) -> Answer {
    let mut run = farcc_run(space, &["--quiet"], command);
    Answer::of(run.env("DISTCC_DIR", "/dev/null/distcc"))
}

fn remote(host: &str) -> EventKind {
    EventKind::Ended(Ended {
        host: host.to_owned(),
        remote_ms: 1000,
        ..Ended::default()
    })
}

fn local(code: &str) -> EventKind {
    EventKind::Ended(Ended {
        host: "localhost".to_owned(),
        local: Some(LocalReason {
            code: code.to_owned(),
            sentence: format!("this is a {code}"),
        }),
        ..Ended::default()
    })
}

#[test]
fn the_command_finds_the_shim_under_the_compilers_names() {
    let space = Space::new();
    fs::create_dir(space.path("compilers")).unwrap();
    space.script("compilers/gcc", "#!/bin/sh\necho real\n");
    let path = format!("{}:/usr/bin:/bin", space.path("compilers").display());
    let mut run = farcc_run(&space, &["--quiet"], &["gcc", "-c", "a.c"]);
    let answer = Answer::of(run.env("PATH", path)).success();
    assert_eq!(answer.stdout, "shim called as gcc\n");
}

#[test]
fn the_exit_code_is_the_commands() {
    let space = Space::new();
    assert_eq!(without_agent(&space, &["sh", "-c", "exit 7"]).code, Some(7));
    assert_eq!(without_agent(&space, &["true"]).code, Some(0));
    let killed = without_agent(&space, &["sh", "-c", "kill -9 $$"]);
    assert_eq!(killed.code, Some(137));
}

#[test]
fn a_command_that_cannot_run_gets_the_shells_codes() {
    let space = Space::new();
    let answer = without_agent(&space, &["no-such-command"]);
    assert_eq!(answer.code, Some(127));
    assert!(answer.stderr.contains("failed to run `no-such-command`"));
    fs::write(space.path("notes.txt"), "").unwrap();
    let answer = without_agent(&space, &["./notes.txt"]);
    assert_eq!(answer.code, Some(126));
}

#[test]
fn a_missing_agent_or_shim_is_a_warning() {
    let space = Space::new();
    fs::remove_file(space.path("bin/distcc")).unwrap();
    let answer = without_agent(&space, &["echo", "built"]).success();
    assert_eq!(answer.stdout, "built\n");
    assert!(
        answer.stderr.contains("/bin/distcc` is missing"),
        "{answer:?}"
    );
    assert!(
        answer.stderr.contains("failed to reach the agent"),
        "{answer:?}"
    );
}

#[test]
fn options_after_the_command_are_the_commands() {
    let space = Space::new();
    let mut run = space.command("farcc", &["run", "-q", "echo", "--json", "-q"]);
    let answer = Answer::of(run.env("DISTCC_DIR", "/dev/null/distcc")).success();
    assert_eq!(answer.stdout, "--json -q\n");
}

#[test]
fn hosts_reach_the_command() {
    let space = Space::new();
    let mut run = farcc_run(
        &space,
        &["-q", "--hosts", "box1/2 box2"],
        &["sh", "-c", "echo $DISTCC_HOSTS"],
    );
    let answer = Answer::of(run.env("DISTCC_DIR", "/dev/null/distcc")).success();
    assert_eq!(answer.stdout, "box1/2 box2\n");
}

/// Runs a command that waits until the stub has told all its events.
fn run_with_events(space: &Space, options: &[&str], events: Vec<EventKind>) -> (Answer, String) {
    let agent = StubAgent::start(space, events);
    let command = ["sh", "-c", "read line; echo $FARCC_RUN"];
    let mut child = farcc_run(space, options, &command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let watched = agent.watched.recv().unwrap().unwrap();
    child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    (Answer::from(child.wait_with_output().unwrap()), watched)
}

#[test]
fn the_summary_tells_where_jobs_ran() {
    let space = Space::new();
    let retried = EventKind::Retried {
        host: "box2".to_owned(),
        why: "connection refused".to_owned(),
    };
    let events = vec![remote("box1/8"), retried, remote("box1/8"), local("link")];
    let (answer, watched) = run_with_events(&space, &[], events);
    assert_eq!(answer.code, Some(0));
    assert_eq!(answer.stdout, format!("{watched}\n"));
    let without_times: String = answer
        .stderr
        .lines()
        .take_while(|line| !line.contains(" wall"))
        .map(|line| format!("{line}\n"))
        .collect();
    expect![[r#"
        farcc: 2 of 3 jobs ran on other machines
        farcc:      2  on box1/8
        farcc:      1  local: link (this is a link)
        farcc:      1  retried after box2: connection refused
    "#]]
    .assert_eq(&without_times);
    assert!(answer.stderr.contains(" CPU on this machine"));
    assert!(
        answer
            .stderr
            .contains("(estimate: 2.0 s of compiling elsewhere")
    );
}

#[test]
fn the_summary_can_be_quiet_and_json() {
    let space = Space::new();
    let file = space.path("summary.json");
    let options = ["--quiet", "--json", file.to_str().unwrap()];
    let (answer, _) = run_with_events(&space, &options, vec![remote("box1")]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    let json = fs::read_to_string(file).unwrap();
    assert!(json.starts_with(r#"{"exit_code":0,"wall_ms":"#), "{json}");
    assert!(json.contains(r#""remote":[{"host":"box1","jobs":1,"compile_ms":1000}]"#));
}

#[test]
fn a_build_that_calls_no_compiler_gets_a_hint() {
    let space = Space::new();
    let (answer, _) = run_with_events(&space, &[], Vec::new());
    assert!(answer.stderr.contains("no compile came through distcc"));
}

/// Starts a command that says `ready` and then waits for a signal.
fn start_waiting(space: &Space, trap: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let script = format!("sleep 600 & trap 'kill $!; {trap}' TERM INT HUP; echo ready; wait");
    let mut child = farcc_run(space, &["--quiet"], &["sh", "-c", &script])
        .env("DISTCC_DIR", "/dev/null/distcc")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    (child, stdout)
}

/// Whether the tests were started with a signal ignored, as `nohup` does: a shell that they start cannot trap it then.
fn is_ignored(signal: rustix::process::Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mut lines = status.lines();
    let ignored = lines.find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    ignored >> (signal.as_raw() - 1) & 1 == 1
}

#[test]
fn signals_are_passed_on_and_the_command_decides() {
    use rustix::process::{Pid, Signal, kill_process};
    let space = Space::new();
    let signals = [Signal::TERM, Signal::INT, Signal::HUP];
    for signal in signals.into_iter().filter(|it| !is_ignored(*it)) {
        let (mut child, _stdout) = start_waiting(&space, "exit 7");
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(7), "{signal:?}");
    }
    let (mut child, _stdout) = start_waiting(&space, "trap - TERM; kill -TERM $$");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let space = Space::new();
    let script = "trap '' HUP; exec bin/farcc run -q -- sh -c 'kill -HUP $$; echo survived'";
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", script])
        .current_dir(space.path("."))
        .env("HOME", space.path("home"))
        .env("DISTCC_DIR", "/dev/null/distcc");
    let answer = Answer::of(&mut shell).success();
    assert_eq!(answer.stdout, "survived\n");
}

/// Any build tool that calls its compiler by name goes through the shim.
#[test]
fn make_ninja_and_cmake_call_the_shim() {
    let space = Space::new();
    fs::create_dir(space.path("compilers")).unwrap();
    // The shim of this test runs the next compiler of its name, as the real one does.
    let log = space.path("log");
    space.script(
        "bin/distcc",
        &format!(
            "#!/bin/sh\necho \"$@\" >> {}\nexec /usr/bin/gcc \"$@\"\n",
            log.display()
        ),
    );
    fs::write(space.path("a.c"), "int main(void) { return 0; }\n").unwrap();
    fs::write(space.path("Makefile"), "all:\n\tgcc -c a.c -o make.o\n").unwrap();
    fs::write(
        space.path("build.ninja"),
        "rule cc\n  command = gcc -c $in -o $out\nbuild ninja.o: cc a.c\n",
    )
    .unwrap();
    fs::write(
        space.path("CMakeLists.txt"),
        "cmake_minimum_required(VERSION 3.10)\nproject(a C)\nadd_executable(a a.c)\n",
    )
    .unwrap();
    let builds: [(&str, &[&str], &str); 4] = [
        ("make", &["make"], "-o make.o"),
        ("ninja", &["ninja"], "-o ninja.o"),
        (
            "cmake",
            &["cmake", "-S", ".", "-B", "out", "-G", "Unix Makefiles"],
            "CMakeCCompilerId",
        ),
        (
            "cmake",
            &["cmake", "--build", "out"],
            "-o CMakeFiles/a.dir/a.c.o",
        ),
    ];
    for (tool, command, expected) in builds {
        let is_there = |dir: &str| Path::new(dir).join(tool).exists();
        if !(is_there("/usr/bin") && is_there("/usr/bin") && Path::new("/usr/bin/gcc").exists()) {
            continue;
        }
        let answer = without_agent(&space, command);
        assert_eq!(answer.code, Some(0), "{tool}: {answer:?}");
        let log = fs::read_to_string(&log).unwrap();
        assert!(log.contains(expected), "{tool}: {log}");
    }
}

#[test]
fn the_masquerade_directory_is_the_users_own() {
    let space = Space::new();
    let answer = without_agent(&space, &["sh", "-c", "echo ${PATH%%:*}"]).success();
    let dir = Path::new(answer.stdout.trim());
    assert!(
        dir.starts_with(space.path("home/.cache/farcc/masquerade")),
        "{dir:?}"
    );
    let mode = fs::metadata(dir).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
}
