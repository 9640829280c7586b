//! The server as something that is started, watched and stopped.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Stdio;

use rustix::process::Signal;
use stock::Version;
use stock::exit::ExitCode;

use crate::server::{
    PATIENCE, Server, Setup, answer, check_ok, check_refused, compile, program, read_all, wait,
};

const SOURCE: &[u8] = b"int x;\n";

fn job() -> stock::Request {
    compile(Version::V1, "gcc -c a.c -o a.o", SOURCE)
}

#[track_caller]
fn check_exit(setup: Setup, code: u8, words: &str) {
    let output = setup.run();
    let text = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(i32::from(code)), "{text}");
    assert!(text.contains(words), "{text}");
}

#[test]
fn exit_codes_are_stocks() {
    let stderr = "--daemon --no-detach --log-stderr";
    check_exit(
        Setup::new().args("--version"),
        0,
        "(protocols 1, 2 and 3) (default port 3632)",
    );
    check_exit(Setup::new().args("--help"), 0, "--allow");
    check_exit(Setup::new().args("--bizarre"), 101, "--bizarre");
    check_exit(Setup::new().args("-j 0"), 101, "--jobs");
    check_exit(
        Setup::new().args(stderr).args("--allow nonsense/8"),
        101,
        "nonsense/8",
    );
    check_exit(
        Setup::new().env("DISTCC_IO_TIMEOUT", "0"),
        101,
        "DISTCC_IO_TIMEOUT",
    );
    let list = Setup::new()
        .args(stderr)
        .args("--port 0")
        .env("DISTCC_CMDLIST", "/nonexistent");
    check_exit(list, 110, "/nonexistent");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let busy = format!("{stderr} --listen 127.0.0.1 --port {port}");
    check_exit(Setup::new().args(&busy), 102, "cannot listen");
    // Without options it must not run a terminal user's input through the protocol.
    check_exit(Setup::new().args("--inetd --log-stderr"), 107, "inetd");
}

#[test]
fn the_log_tells_of_each_job_in_stocks_form_with_the_time() {
    let server = Server::start();
    check_ok(&server.ask(job()));
    let line = server.wait_for_log("COMPILE_OK");
    let (time, rest) = line.split_once(' ').unwrap();
    assert_eq!(
        (time.len(), &time[10..11], &time[23..]),
        (24, "T", "Z"),
        "{line}"
    );
    let (_, rest) = rest.split_once("client: 127.0.0.1:").unwrap();
    let words: Vec<&str> = rest.split(' ').collect();
    assert_eq!(
        &words[1..6],
        ["COMPILE_OK", "exit:0", "sig:0", "core:0", "ret:0"],
        "{line}"
    );
    assert!(
        words[6].starts_with("time:") && words[6].ends_with("ms"),
        "{line}"
    );
    assert_eq!(&words[7..], ["gcc", "a.c"], "{line}");
}

fn get_stats(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    String::from_utf8(read_all(stream)).unwrap()
}

#[test]
fn statistics_are_served_whatever_other_readers_do() {
    let server = Setup::new().args("--stats --stats-port 0 -j 3").start();
    let port = server.port_of("statistics");
    // As many as are served at once, and one more; none reads or writes anything.
    let slow: Vec<_> = (0..15)
        .map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap())
        .collect();
    check_ok(&server.ask(job()));
    server.wait_for_log("COMPILE_OK");
    let page = get_stats(port);
    assert!(page.starts_with("HTTP/1.0 200 OK\r\n"), "{page}");
    assert!(
        page.contains("\r\n\r\nargv /distccd\n<distccstats>\ndcc_tcp_accept 1\n"),
        "{page}"
    );
    for line in [
        "dcc_compile_ok 1",
        "dcc_max_kids 3",
        "dcc_longest_job a.c",
        "dcc_num_compiles1 1",
    ] {
        assert!(page.contains(&format!("\n{line}\n")), "{line}: {page}");
    }
    drop(slow);
}

fn run_job_over_pipes() {
    let setup = Setup::new().args("--inetd --enable-tcp-insecure --log-stderr");
    let (mut child, _dir) = setup.spawn(Stdio::piped(), Stdio::piped());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&job().pack().encode().unwrap()).unwrap();
    check_ok(&answer(child.stdout.take().unwrap(), Version::V1));
    drop(stdin);
    assert!(wait(&mut child).success());
}

#[test]
fn inetd_serves_one_client() {
    // Pipes, as from ssh.
    run_job_over_pipes();

    // A Unix socket on both, as from a newer ssh, and a TCP socket, as from inetd, which is
    // recognised without an option.
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (theirs, again) = (
        OwnedFd::from(theirs.try_clone().unwrap()),
        OwnedFd::from(theirs),
    );
    let (mut child, _dir) = Setup::new()
        .args("--log-stderr")
        .spawn(theirs.into(), again.into());
    (&ours).write_all(&job().pack().encode().unwrap()).unwrap();
    check_ok(&answer(&ours, Version::V1));
    drop(ours);
    assert!(wait(&mut child).success());

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let theirs = listener.accept().unwrap().0;
    let (theirs, again) = (
        OwnedFd::from(theirs.try_clone().unwrap()),
        OwnedFd::from(theirs),
    );
    let (mut child, _dir) = Setup::new()
        .args("--log-stderr")
        .spawn(theirs.into(), again.into());
    ours.write_all(&job().pack().encode().unwrap()).unwrap();
    check_ok(&answer(ours, Version::V1));
    assert!(wait(&mut child).success());
}

#[test]
fn sockets_of_systemd_are_taken_over() {
    let setup = Setup::new();
    let ready = setup.path().join("ready");
    let notified = UnixDatagram::bind(&ready).unwrap();
    // The server that root starts is another user by then.
    fs::set_permissions(&ready, fs::Permissions::from_mode(0o777)).unwrap();
    notified.set_read_timeout(Some(PATIENCE)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let hand_over = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\"";
    let (mut child, _dir) = setup
        .through(&["sh", "-c", hand_over, "sh"])
        .env("NOTIFY_SOCKET", &ready)
        .args("--log-stderr --allow 127.0.0.1")
        .spawn(OwnedFd::from(listener).into(), Stdio::null());
    let mut message = [0; 64];
    let len = notified.recv(&mut message).unwrap();
    assert_eq!(&message[..len], b"READY=1\n");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&job().pack().encode().unwrap()).unwrap();
    check_ok(&answer(stream, Version::V1));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(wait(&mut child).success());
}

#[test]
fn a_daemon_is_ready_when_its_parent_returns() {
    let setup = Setup::new().args("--daemon --port 0 --listen localhost --allow-private");
    let dir = setup.path().to_owned();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
    let (pid_file, log) = (dir.join("pid"), dir.join("log"));
    let setup = setup.args(&format!(
        "-P {} --log-file {}",
        pid_file.display(),
        log.display()
    ));
    let (mut child, _dir) = setup.spawn(Stdio::null(), Stdio::null());
    assert!(wait(&mut child).success());
    let text = fs::read_to_string(&log).unwrap();
    let line = text
        .lines()
        .find(|line| line.contains("listening for clients on"))
        .unwrap();
    let port: u16 = line.rsplit_once(':').unwrap().1.parse().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(&job().pack().encode().unwrap()).unwrap();
    check_ok(&answer(stream, Version::V1));
    let pid = fs::read_to_string(&pid_file).unwrap();
    let pid = rustix::process::Pid::from_raw(pid.strip_suffix('\n').unwrap().parse().unwrap());
    let pidfd =
        rustix::process::pidfd_open(pid.unwrap(), rustix::process::PidfdFlags::empty()).unwrap();
    rustix::process::kill_process(pid.unwrap(), Signal::TERM).unwrap();
    assert!(crate::server::is_readable(&pidfd, PATIENCE));
    assert_eq!(fs::read_to_string(&pid_file).unwrap_or_default(), "");
}

#[test]
fn a_pid_file_that_cannot_be_written_is_gone_without_as_with_stock() {
    let setup = Setup::new().args("--pid-file /nonexistent/pid");
    let server = setup.start();
    server.wait_for_log("/nonexistent/pid");
    check_ok(&server.ask(job()));
}

#[test]
fn a_store_that_was_asked_for_and_cannot_be_used_stops_the_start() {
    let options = "--daemon --no-detach --log-stderr --port 0 --listen 127.0.0.1 --allow 127.0.0.1";
    let setup = Setup::new();
    let file = setup.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    let file = file.to_str().unwrap().to_owned();
    let setup = setup.args(options).args(&format!("--store {file}"));
    check_exit(setup, 107, &format!("--store: {file}: "));
    // Somebody's directory, which is no store.
    let setup = Setup::new().args(options);
    let taken = setup.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("letter"), "").unwrap();
    fs::set_permissions(&taken, fs::Permissions::from_mode(0o777)).unwrap();
    let taken = taken.to_str().unwrap().to_owned();
    check_exit(setup.args(&format!("--store {taken}")), 107, &taken);
}

#[test]
fn without_a_sandbox_files_are_checked_and_pump_mode_is_refused() {
    let setup = Setup::new();
    let temp = setup.path().join("temp");
    fs::create_dir(&temp).unwrap();
    fs::set_permissions(&temp, fs::Permissions::from_mode(0o777)).unwrap();
    let server = setup.args("--sandbox=none").env("TMPDIR", &temp).start();
    let reply = server.ask(job());
    check_ok(&reply);
    assert!(reply.object.starts_with(b"\x7fELF"));
    let pump = stock::Request {
        version: Version::V3,
        cwd: Some(b"/".to_vec()),
        input: stock::Input::Files(Vec::new()),
        ..job()
    };
    check_refused(&server.ask(pump), ExitCode::ProtocolError, "sandbox");
    let escape = server.ask(compile(
        Version::V1,
        "gcc -c ../../a.c -o /../../x.o",
        SOURCE,
    ));
    check_ok(&escape);
    // Nothing is left of any of them, as soon as the next job runs.
    server.check_alive();
    let left: Vec<_> = fs::read_dir(&temp).unwrap().flatten().collect();
    assert!(left.len() <= 1, "{left:?}");
}

#[test]
fn inputs_are_kept_on_demand() {
    let setup = Setup::new();
    let temp = setup.path().join("temp");
    fs::create_dir(&temp).unwrap();
    fs::set_permissions(&temp, fs::Permissions::from_mode(0o777)).unwrap();
    let server = setup
        .env("TMPDIR", &temp)
        .env("DISTCC_SAVE_TEMPS", "1")
        .start();
    check_ok(&server.ask(job()));
    let kept: Vec<_> = fs::read_dir(&temp).unwrap().flatten().collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(fs::read(kept[0].path()).unwrap(), SOURCE);
}

#[test]
fn an_ordinary_user_can_run_a_server() {
    if !rustix::process::geteuid().is_root() {
        return; // then every other test shows it
    }
    let setup = Setup::new();
    let copy = setup.path().join("distccd");
    fs::copy(program(), &copy).unwrap();
    let become_nobody = "exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$0\" \"$@\"";
    let before = [
        "sh",
        "-c",
        &format!("shift; {become_nobody}"),
        copy.to_str().unwrap(),
    ];
    let server = setup.through(&before).start();
    server.check_alive();
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    assert!(
        status.contains("\nUid:\t65534\t65534\t65534\t65534\n"),
        "{status}"
    );
}

/// As people make them for a compiler that they have installed in a place of its own.
#[test]
fn compilers_outside_the_system_are_reached_through_links() {
    let setup = Setup::new();
    let (links, home) = (setup.path().join("links"), setup.path().join("home"));
    for dir in [&links, &home] {
        fs::create_dir(dir).unwrap();
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let real = home.join("gcc");
    fs::write(&real, "#!/bin/sh\nexec /usr/bin/gcc \"$@\"\n").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(&real, links.join("gcc")).unwrap();
    std::os::unix::fs::symlink("../home/gcc", links.join("cc")).unwrap();
    std::os::unix::fs::symlink("/nonexistent/g++", links.join("g++")).unwrap();
    let path = format!("{}:/usr/bin:/bin", links.display());
    let server = setup.env("DISTCCD_PATH", path).start();
    for name in ["gcc", "cc"] {
        let line = format!("{name} -c a.c -o a.o");
        check_ok(&server.ask(compile(Version::V1, &line, SOURCE)));
    }
}

#[test]
fn root_is_given_up() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let server = Setup::new().args("--user nobody").start();
    server.check_alive();
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    assert!(
        status.contains("\nUid:\t65534\t65534\t65534\t65534\n"),
        "{status}"
    );
    assert!(status.contains("\nNoNewPrivs:\t1\n"), "{status}");
    assert!(
        status.contains("\nGroups:\t \n") || status.contains("\nGroups:\t\n"),
        "{status}"
    );
}

#[test]
fn both_families_of_addresses_are_served() {
    let server = Setup::new()
        .args("--allow 127.0.0.1 --allow ::1 --listen localhost")
        .start();
    let mut any = false;
    for address in ["127.0.0.1", "::1"] {
        let Ok(mut stream) = TcpStream::connect((address, server.port)) else {
            continue;
        };
        stream.write_all(&job().pack().encode().unwrap()).unwrap();
        check_ok(&answer(stream, Version::V1));
        any = true;
    }
    assert!(any);
}

#[test]
fn many_jobs_at_once_all_come_back() {
    let server = Setup::new().args("-j 4").start();
    let streams: Vec<_> = (0..60).map(|_| server.send(job())).collect();
    for mut stream in streams {
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"DONE00000001");
    }
}
