//! Hosts that fail in every way: the job ends as a local build would end.

use crate::server::{Does, Server, closed_port};
use crate::shim::How;
use crate::world::{World, read};

/// Every way to fail without an answer, with a word of what is said about it.
fn failures() -> Vec<(Does, &'static str)> {
    let reply_len = 12 * 5 + "some warning".len() + "OBJECT text".len();
    let mut all = vec![
        (Does::HangUp, "no answer"),
        (Does::HangUpAfterRequestBytes(1), ""),
        (Does::HangUpAfterRequestBytes(12), ""),
        (Does::HangUpAfterRequestBytes(100), ""),
        (
            Does::Say(b"HTTP/1.0 400 Bad Request\r\n\r\n"),
            "expected DONE",
        ),
        (Does::Say(b"DONE00000002STAT00000000"), "answered in 2"),
        (Does::Say(b"DONE00000001STATxyz00000"), "hexadecimal"),
        (
            Does::Say(b"DONE00000001STAT00000000SERRffffffff"),
            "at most",
        ),
        (
            Does::Say(b"DONE00000001STAT00000000SOUT00000000"),
            "expected SERR",
        ),
    ];
    // Once in each state of the answer.
    for len in [1, 4, 12, 20, 24, 30, 36, 40, 48, 50, 60, reply_len - 1] {
        all.push((Does::HangUpAfterReplyBytes(len), "closed"));
    }
    all
}

#[test]
fn the_next_host_takes_over_and_without_one_the_shim_compiles() {
    let world = World::new();
    let good = Server::new(Does::Compile);
    let watch = world.watch();
    for (does, said) in failures() {
        let bad = Server::new(does.clone());
        let hosts = format!("{} {}", bad.host(1), good.host(1));
        let moved = world.compile(&hosts, "-c a.c").text("text").run();
        moved.is_remote();
        assert_eq!(read(world.src().join("a.o")), b"OBJECT text", "{does:?}");
        assert_eq!(watch.ended().host, good.host(1), "{does:?}");

        let alone = Server::new(does.clone());
        let done = world.compile(&alone.host(1), "-c a.c").text("text").run();
        done.is_local();
        assert_eq!(watch.ended().host, "localhost");
        let warnings = done.warnings().join("\n");
        assert!(warnings.contains(said), "{does:?}: {warnings}");
        let expect = format!(
            "failed to distribute a.c to {}, running locally instead",
            alone.host(1)
        );
        assert!(warnings.contains(&expect), "{does:?}: {warnings}");
    }
}

#[test]
fn a_port_where_nobody_listens() {
    let world = World::new();
    let (closed, _port) = closed_port();
    let done = world.compile(&closed, "-c a.c").text("").run();
    done.is_local();
    assert!(
        done.warnings()[0].contains("Connection refused"),
        "{:?}",
        done.warnings()
    );
    // The host cools down: not even tried.
    let next = world.compile(&closed, "-c a.c").text("").run();
    next.is_local();
    let [warning] = next.warnings()[..] else {
        panic!("{:?}", next.warnings());
    };
    assert!(
        warning.contains("failed to distribute, running locally instead"),
        "{warning}"
    );
    assert!(
        warning.contains("Connection refused"),
        "it tells why: {warning}"
    );
}

#[test]
fn a_build_without_hosts_hears_of_it_a_few_times_only() {
    let world = World::new();
    let (closed, _port) = closed_port();
    let warnings = |hosts: &str| {
        let jobs = (0..10).map(|_| world.compile(hosts, "-c a.c").text("").run());
        let all: Vec<_> = jobs.collect();
        all.iter().for_each(|done| done.is_local());
        all.iter().map(|done| done.warnings().len()).sum::<usize>()
    };
    // Connecting failed, and so this one runs here; then three times that the host is left alone.
    assert_eq!(warnings(&closed), 2 + 3);
    assert_eq!(warnings(""), 3);
}

#[test]
fn a_name_that_leads_nowhere() {
    let world = World::new();
    let done = world
        .compile("no-such-host.invalid", "-c a.c")
        .text("")
        .run();
    done.is_local();
    assert!(
        done.warnings()[0].contains("cannot resolve"),
        "{:?}",
        done.warnings()
    );
}

#[test]
fn a_server_that_accepts_and_never_answers() {
    let world = World::new();
    let (silent, good) = (Server::new(Does::Silence), Server::new(Does::Compile));
    let hosts = format!("{} {}", silent.host(1), good.host(1));
    let done = world
        .compile(&hosts, "-c a.c")
        .env("DISTCC_IO_TIMEOUT", "1")
        .text("x".repeat(10_000_000))
        .run();
    done.is_remote();
    assert!(
        done.warnings()[0].contains("DISTCC_IO_TIMEOUT"),
        "{:?}",
        done.warnings()
    );
}

#[test]
fn at_most_three_hosts_are_tried() {
    let world = World::new();
    let bad: Vec<_> = (0..4).map(|_| Server::new(Does::HangUp)).collect();
    let hosts: Vec<_> = bad.iter().map(|server| server.host(1)).collect();
    let watch = world.watch();
    let done = world.compile(&hosts.join(" "), "-c a.c").text("").run();
    done.is_local();
    let mut retries = 0;
    loop {
        match watch.next().kind {
            wire::event::EventKind::Retried { .. } => retries += 1,
            wire::event::EventKind::Ended(ended) => {
                assert_eq!(ended.local.unwrap().code, "hosts-failed");
                break;
            }
            _ => {}
        }
    }
    assert_eq!(retries, 3);
}

#[test]
fn without_fallback_the_exit_code_says_what_happened() {
    let world = World::new();
    let strict = |hosts: &str| {
        world
            .compile(hosts, "-c a.c")
            .env("DISTCC_FALLBACK", "0")
            .env("DISTCC_IO_TIMEOUT", "1")
            .text("")
            .run()
            .how
    };
    let (closed, _port) = closed_port();
    assert_eq!(strict(&closed), How::Aborted(103));
    // A cooling host is tried all the same: the alternative is a failed build.
    assert_eq!(strict(&closed), How::Aborted(103));
    assert_eq!(
        strict(&Server::new(Does::Silence).host(1)),
        How::Aborted(118)
    );
    assert_eq!(
        strict(&Server::new(Does::HangUp).host(1)),
        How::Aborted(108)
    );
    assert_eq!(
        strict(&Server::new(Does::Say(b"what?")).host(1)),
        How::Aborted(109)
    );
}

#[test]
fn without_fallback_each_failed_job_says_why() {
    let world = World::new();
    let (closed, _port) = closed_port();
    for attempt in 0..4 {
        let strict = world.compile(&closed, "-c a.c").env("DISTCC_FALLBACK", "0");
        let done = strict.text("").run();
        assert_eq!(done.how, How::Aborted(103));
        let said = done.warnings().join("\n");
        for part in ["Connection refused", "fallbacks are disabled"] {
            assert!(said.contains(part), "{attempt}: {said}");
        }
    }
}

#[test]
fn a_compile_that_failed_there_is_repeated_here() {
    let world = World::new();
    let server = Server::new(Does::Status(0x100, "a.c:1: error: x"));
    let run = |settings: &[&str]| {
        let mut compile = world.compile(&server.host(1), "-c a.c").text("");
        for setting in settings {
            let (name, value) = setting.split_once('=').unwrap();
            compile = compile.env(name, value);
        }
        compile.run()
    };
    let repeated = run(&[]);
    repeated.is_local();
    assert_eq!(
        repeated.warnings(),
        ["remote compilation of 'a.c' failed, retrying locally"]
    );
    assert!(repeated.stderr.is_empty());
    for setting in ["DISTCC_SKIP_LOCAL_RETRY=", "DISTCC_FALLBACK=0"] {
        let last = run(&[setting]);
        assert_eq!(last.how, How::Finished(0x100));
        assert_eq!(last.stderr, b"a.c:1: error: x");
    }
}

#[test]
fn a_compiler_killed_there_is_always_repeated_here() {
    let world = World::new();
    for status in [9, 0x8900] {
        let server = Server::new(Does::Status(status, ""));
        let done = world
            .compile(&server.host(1), "-c a.c")
            .env("DISTCC_SKIP_LOCAL_RETRY", "1")
            .text("")
            .run();
        done.is_local();
    }
}

#[test]
fn an_answer_that_comes_before_all_is_sent_counts() {
    let world = World::new();
    let server = Server::new(Does::AnswerEarly);
    let done = world
        .compile(&server.host(1), "-c a.c")
        .env("DISTCC_SKIP_LOCAL_RETRY", "1")
        .text("x".repeat(20_000_000))
        .run();
    assert_eq!(done.how, How::Finished(0x100), "{:?}", done.log);
    assert_eq!(done.stderr, b"not you");
}

/// Wait status of a server that does not have the compiler (110).
const COMPILER_MISSING: u32 = 110 << 8;

#[test]
fn a_server_that_says_no_is_believed_and_another_asked() {
    let world = World::new();
    let refusing = Server::new(Does::Status(
        COMPILER_MISSING,
        "distccd[box]: no such compiler here\n",
    ));
    let good = Server::new(Does::Compile);
    let hosts = format!("{} {}", refusing.host(1), good.host(1));
    let first = world.compile(&hosts, "-c a.c").text("text").run();
    first.is_remote();
    let [warning] = first.warnings()[..] else {
        panic!("{:?}", first.warnings());
    };
    assert!(warning.ends_with("no such compiler here"), "{warning}");
    // It is not asked again.
    let second = world.compile(&hosts, "-c a.c").text("text").run();
    second.is_remote();
    assert!(second.warnings().is_empty(), "{:?}", second.warnings());
    assert_eq!(refusing.arrived.try_iter().count(), 1);

    let alone = world.compile(&refusing.host(1), "-c a.c").pretend().run();
    alone.is_local();
    let [warning] = alone.warnings()[..] else {
        panic!("{:?}", alone.warnings());
    };
    assert!(warning.contains("no such compiler here"), "{warning}");
    assert!(warning.contains("running locally instead"), "{warning}");
}
