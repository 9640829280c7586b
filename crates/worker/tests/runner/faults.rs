//! What goes wrong without anybody's ill will: clients and compilers that die, hang or are slow.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use stock::Version;
use stock::exit::ExitCode;

use crate::server::{
    PATIENCE, Server, Setup, answer, check_ok, check_refused, compile, is_readable, unique,
    wait_for_death, wait_for_process, wait_until_gone,
};

const SOURCE: &[u8] = b"int x;\n";

/// A server with a compiler `wait-gcc` that takes very long, told by the word, and a quick one.
fn with_waiting(args: &str) -> (Server, String) {
    let word = unique();
    let setup = Setup::new();
    let temp = setup.path().join("temp");
    std::fs::create_dir(&temp).unwrap();
    std::fs::set_permissions(&temp, Permissions::from_mode(0o777)).unwrap();
    let server = setup
        .env("TMPDIR", temp)
        .args(args)
        // Two processes in the job, so that both have to go.
        .script("wait-gcc", &format!("sleep {word} & wait"))
        .script("gcc", "cp a.c a.o")
        .start();
    (server, word)
}

fn wait_job() -> stock::Request {
    compile(Version::V1, "wait-gcc -c a.c -o a.o", SOURCE)
}

fn quick_job() -> stock::Request {
    compile(Version::V1, "gcc -c a.c -o a.o", SOURCE)
}

#[test]
fn a_job_dies_with_its_client() {
    for sandbox in ["--sandbox=namespaces", "--sandbox=none"] {
        let (server, word) = with_waiting(sandbox);
        let client = server.send(wait_job());
        let pid = wait_for_process(&word);
        drop(client);
        wait_for_death(pid, Duration::from_secs(1));
        server.wait_for_log("CLI_DISCONN");
        check_ok(&server.ask(quick_job()));
    }
}

#[test]
fn jobs_die_with_the_server() {
    for sandbox in ["--sandbox=namespaces", "--sandbox=none"] {
        let (mut server, word) = with_waiting(sandbox);
        let _client = server.send(wait_job());
        let pid = wait_for_process(&word);
        server.child.kill().unwrap();
        server.wait();
        wait_for_death(pid, Duration::from_secs(1));
    }
}

#[test]
fn a_signal_that_kills_the_compiler_is_told() {
    let server = Setup::new()
        .script("segv-gcc", "kill -SEGV $$")
        .script("kill-gcc", "kill -KILL $$")
        .script("gcc", "exit 7")
        .start();
    for (name, status) in [("segv-gcc", 11), ("kill-gcc", 9), ("gcc", 7 << 8)] {
        let reply = server.ask(compile(
            Version::V2,
            &format!("{name} -c a.c -o a.o"),
            SOURCE,
        ));
        assert_eq!(reply.wait_status, status, "{name}");
        assert!(reply.object.is_empty());
    }
    server.wait_for_log("COMPILE_ERROR exit:0 sig:11 core:0 ret:0 time:");
    server.wait_for_log("COMPILE_ERROR exit:7 sig:0 core:0 ret:0 time:");
}

#[test]
fn output_of_a_failed_compile_is_not_sent_but_its_messages_are() {
    let script = "echo half > a.o; echo to stdout; echo to stderr >&2; exit 1";
    let server = Setup::new().script("gcc", script).start();
    let reply = server.ask(quick_job());
    assert_eq!(
        (&reply.stdout[..], &reply.stderr[..]),
        (&b"to stdout\n"[..], &b"to stderr\n"[..])
    );
    assert!(reply.object.is_empty());
}

#[test]
fn a_compiler_that_cannot_be_executed_is_reported() {
    let setup = Setup::new().script("gcc", "");
    std::fs::write(setup.path().join("gcc"), "#!/nonexistent/interpreter\n").unwrap();
    let server = setup.start();
    check_refused(
        &server.ask(quick_job()),
        ExitCode::CompilerMissing,
        "cannot run",
    );
}

#[test]
fn more_jobs_than_slots_wait_in_order() {
    let (server, word) = with_waiting("-j 2 --log-level debug");
    let first = server.send(wait_job());
    let _second = server.send(wait_job());
    wait_for_process(&word);
    let mut queued: Vec<_> = (0..3).map(|_| server.send(quick_job())).collect();
    for stream in &queued {
        let address = stream.local_addr().unwrap().to_string();
        server.wait_for_log(&format!("connection from {address}"));
        assert!(!is_readable(stream, Duration::ZERO));
    }
    drop(first);
    for stream in queued.drain(..) {
        check_ok(&answer(stream, Version::V1));
    }
}

#[test]
fn a_client_that_leaves_the_queue_is_forgotten() {
    let (server, word) = with_waiting("-j 1");
    let running = server.send(wait_job());
    wait_for_process(&word);
    let queued = server.send(wait_job());
    drop(queued);
    server.wait_for_log("CLI_DISCONN");
    drop(running);
    check_ok(&server.ask(quick_job()));
    wait_until_gone(&word);
}

#[test]
fn slow_and_silent_clients_hold_no_slot() {
    let (server, _) = with_waiting("-j 1");
    let request = quick_job().pack().encode().unwrap();
    let _silent: Vec<_> = (0..20).map(|_| server.connect()).collect();
    let mut slow = server.connect();
    slow.write_all(&request[..request.len() - 1]).unwrap();
    check_ok(&server.ask(quick_job()));
    slow.write_all(&request[request.len() - 1..]).unwrap();
    check_ok(&answer(slow, Version::V1));
}

#[test]
fn a_client_that_stops_in_mid_request_is_given_up() {
    let server = Setup::new().env("DISTCC_IO_TIMEOUT", "1").start();
    let mut stream = server.connect();
    stream
        .write_all(b"DIST00000001ARGC00000005ARGV0000")
        .unwrap();
    check_refused(
        &answer(stream, Version::V1),
        ExitCode::TimedOut,
        "waiting for ARGV 1 of 5",
    );
}

#[test]
fn a_connection_cut_anywhere_does_no_harm() {
    let (server, _) = with_waiting("");
    let request = quick_job().pack().encode().unwrap();
    for len in 0..request.len() {
        server.connect().write_all(&request[..len]).unwrap();
    }
    check_ok(&server.ask(quick_job()));
}

#[test]
fn a_client_that_does_not_read_its_answer_is_given_up() {
    let script = "head -c 50000000 /dev/zero > a.o";
    let server = Setup::new()
        .script("gcc", script)
        .env("DISTCC_IO_TIMEOUT", "1")
        .args("-j 1 --log-level info");
    let server = server.start();
    let stream = server.send(quick_job());
    server.wait_for_log("the answer was not taken");
    drop(stream);
    assert_eq!(server.ask(quick_job()).object.len(), 50_000_000);
}

#[test]
fn a_job_that_takes_too_long_is_killed() {
    let (server, word) = with_waiting("--job-lifetime 1");
    let reply = server.ask(wait_job());
    check_refused(&reply, ExitCode::TimedOut, "--job-lifetime");
    wait_until_gone(&word);
    server.wait_for_log("COMPILE_TIMEOUT");
}

#[test]
fn messages_without_end_are_cut_off() {
    let server = Setup::new()
        .script("gcc", "head -c 30000000 /dev/zero >&2; exit 1")
        .start();
    let reply = server.ask(quick_job());
    assert_eq!(reply.wait_status, 1 << 8);
    assert!(reply.stderr.ends_with(b"was cut off\n"));
}

#[test]
fn a_server_that_is_told_to_stop_finishes_its_jobs() {
    let word = unique();
    let script = format!("sleep {word} & sleep 1; cp a.c a.o");
    let mut server = Setup::new().script("gcc", &script).start();
    let running = server.send(quick_job());
    wait_for_process(&word);
    let idle = server.connect();
    server.signal(Signal::TERM);
    server.wait_for_log("finishing running jobs");
    let reply = answer(running, Version::V1);
    assert_eq!(reply.object, SOURCE);
    assert!(server.wait().success());
    // Nothing came on it: no job was lost.
    assert_eq!(crate::server::read_all(idle), b"");
    wait_until_gone(&word);
}

#[test]
fn a_server_that_is_told_to_stop_twice_stops() {
    let (mut server, word) = with_waiting("");
    let running = server.send(wait_job());
    let pid = wait_for_process(&word);
    server.signal(Signal::TERM);
    server.wait_for_log("finishing running jobs");
    server.signal(Signal::TERM);
    check_refused(&answer(running, Version::V1), ExitCode::Gone, "stopped");
    assert!(server.wait().success());
    wait_for_death(pid, Duration::from_secs(1));
}

#[test]
fn a_limited_life_ends() {
    let start = Instant::now();
    let mut server = Setup::new().args("--lifetime 1").start();
    assert!(server.wait().success());
    assert!(start.elapsed() < PATIENCE);
}
