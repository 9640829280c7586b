//! Clients that want more than a compile. Each attack either worked against stock 3.4 or is its
//! neighbour.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use stock::exit::ExitCode;
use stock::{Body, Input, Reply, Request, SentFile, Version};

use crate::server::{Server, Setup, check_ok, check_refused, compile};

const SOURCE: &[u8] = b"int x;\n";

/// A request of protocol 3.
fn pump(argv: &str, files: &[(&str, Body)]) -> Request {
    Request {
        version: Version::V3,
        cwd: Some(b"/home/user/project".to_vec()),
        argv: argv
            .split_whitespace()
            .map(|word| word.as_bytes().to_vec())
            .collect(),
        input: Input::Files(
            files
                .iter()
                .map(|(name, body)| SentFile {
                    name: name.as_bytes().to_vec(),
                    body: body.clone(),
                })
                .collect(),
        ),
    }
}

fn file(content: &[u8]) -> Body {
    Body::File(content.to_vec())
}

fn link(target: &str) -> Body {
    Body::Link(target.as_bytes().to_vec())
}

fn text(reply: &Reply) -> String {
    let (stderr, stdout) = (&reply.stderr, &reply.stdout);
    format!(
        "{}{}",
        String::from_utf8_lossy(stderr),
        String::from_utf8_lossy(stdout)
    )
}

#[test]
fn dangerous_options_are_refused_on_the_wire() {
    let server = Server::start();
    for option in [
        "-wrapper sh,-c,true",
        "-specs=/tmp/specs",
        "--specs=/tmp/specs",
        "-fplugin=/tmp/plugin.so",
        "-B/tmp",
        "-B /tmp",
        "@/tmp/args",
        "-E",
        "-fdump-tree-all=/tmp/dump",
        "-march=native",
    ] {
        for version in [Version::V1, Version::V2] {
            let argv = format!("gcc {option} -c a.c -o a.o");
            let reply = server.ask(compile(version, &argv, SOURCE));
            check_refused(
                &reply,
                ExitCode::BadArguments,
                option.split(['=', ' ']).next().unwrap(),
            );
        }
        let argv = format!("gcc {option} -c a.c -o a.o");
        let reply = server.ask(pump(&argv, &[("/home/user/project/a.c", file(SOURCE))]));
        assert_eq!(
            reply.wait_status,
            u32::from(ExitCode::BadArguments.code()) << 8,
            "{option}"
        );
    }
    for argv in [
        "gcc a.c -o a.o",
        "gcc -c a.c b.c -o a.o",
        "gcc -c a.c",
        "gcc -c a.c -o -",
        "gcc",
    ] {
        let reply = server.ask(compile(Version::V1, argv, SOURCE));
        check_refused(&reply, ExitCode::BadArguments, "not run here");
    }
    server.check_alive();
}

#[test]
fn only_compilers_are_run() {
    let server = Server::start();
    for name in [
        "sh",
        "/usr/bin/sh",
        "/usr/bin/../bin/gcc",
        "./gcc",
        "/tmp/gcc",
        "distcc",
    ] {
        let argv = format!("{name} -c a.c -o a.o");
        let reply = server.ask(compile(Version::V1, &argv, SOURCE));
        check_refused(&reply, ExitCode::AccessDenied, name);
    }
    check_ok(&server.ask(compile(Version::V1, "/usr/bin/gcc -c a.c -o a.o", SOURCE)));
}

#[test]
fn files_of_the_server_cannot_be_read() {
    let server = Server::start();
    for secret in [
        "/etc/hostname",
        "/etc/passwd",
        "/proc/1/environ",
        "/sys/kernel/notes",
    ] {
        assert!(
            fs::metadata(secret).is_ok(),
            "{secret} is no use for this test"
        );
        let incbin = format!("__asm__(\".incbin \\\"{secret}\\\"\");\n");
        let reply = server.ask(compile(Version::V1, "gcc -c a.c -o a.o", incbin.as_bytes()));
        assert_ne!(reply.wait_status, 0, "{secret}");
        let include = format!("#include \"{secret}\"\n");
        let files = [("/home/user/project/a.c", file(include.as_bytes()))];
        let reply = server.ask(pump("gcc -c a.c -o a.o", &files));
        assert_ne!(reply.wait_status, 0, "{secret}");
    }
}

#[test]
fn names_and_links_do_not_lead_out_of_the_job() {
    let setup = Setup::new();
    let victim = setup.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(setup.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let server = setup.start();
    let dir = server.dir.path().to_str().unwrap().to_owned();
    let source = ("/home/user/project/a.c", file(SOURCE));
    let escape = format!("/home/../../../../../../../..{dir}/victim");
    let slashes = format!("/..//{dir}/victim");
    let through = "/home/user/project/out/victim";
    for files in [
        vec![source.clone(), (&*escape, file(b"bad"))],
        vec![source.clone(), (&*slashes, file(b"bad"))],
        vec![
            source.clone(),
            ("/home/user/project/out", link(&dir)),
            (through, file(b"bad")),
        ],
        vec![
            source.clone(),
            ("/home/user/project/out", link(&escape)),
            (through, file(b"bad")),
        ],
        vec![source.clone(), (&*escape, link("/etc/passwd"))],
    ] {
        // The job sees a file of its own there, or none; either way the machine's is untouched.
        server.ask(pump("gcc -c a.c -o a.o", &files));
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        let entries: Vec<_> = fs::read_dir(&dir).unwrap().collect();
        // The other one is the server's store.
        assert_eq!(entries.len(), 2, "{entries:?}");
    }
    let output = format!("gcc -c a.c -o {dir}/made.o");
    let reply = server.ask(pump(&output, std::slice::from_ref(&source)));
    check_ok(&reply);
    assert!(reply.object.starts_with(b"\x7fELF"));
    assert!(!server.dir.path().join("made.o").exists());
    for name in ["a.c", "../a.c", ""] {
        let reply = server.ask(pump("gcc -c a.c -o a.o", &[(name, file(SOURCE))]));
        check_refused(&reply, ExitCode::BadArguments, "not an absolute path");
    }
    for name in ["/proc/sys/kernel/x", "/dev/null/x", "/"] {
        let reply = server.ask(pump("gcc -c a.c -o a.o", &[(name, file(SOURCE))]));
        assert_ne!(reply.wait_status, 0, "{name}");
    }
    server.check_alive();
}

#[test]
fn an_output_that_is_a_link_is_not_followed() {
    let server = Setup::new()
        .script("ln-gcc", "ln -s /etc/ld.so.cache a.o")
        .start();
    let reply = server.ask(compile(Version::V1, "ln-gcc -c a.c -o a.o", SOURCE));
    check_ok(&reply);
    assert_eq!(reply.object, b"");
}

#[test]
fn a_job_sees_and_reaches_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!(
        "for path in /* /tmp/* /tmp/.*; do echo $path; done
         cat /proc/self/status | grep -E '^(CapEff|CapBnd|NoNewPrivs)'
         for dir in /usr /etc /dev /proc /sys; do touch $dir/x 2>/dev/null && echo wrote $dir; done
         bash -c 'echo > /dev/tcp/127.0.0.1/{port}' 2>/dev/null && echo connected
         unshare -Ur true 2>/dev/null && echo nested
         mount -t tmpfs x /tmp 2>/dev/null && echo mounted
         kill -9 1 && echo killed
         for process in /proc/[0-9]*; do echo $process; done
         ls -l /proc/self/fd
         cat /proc/1/environ /proc/1/mem 2>/dev/null && echo read
         cp a.c a.o"
    );
    let server = Setup::new().script("nosy-gcc", &script).start();
    let reply = server.ask(compile(Version::V1, "nosy-gcc -c a.c -o a.o", SOURCE));
    check_ok(&reply);
    assert_eq!(reply.object, SOURCE);
    let seen = text(&reply);
    let seen: Vec<&str> = seen.lines().collect();
    for bad in ["wrote", "connected", "nested", "mounted", "read"] {
        assert!(
            !seen.iter().any(|line| line.starts_with(bad)),
            "{bad}: {seen:#?}"
        );
    }
    for bad in [
        "/home", "/root", "/var", "/sys", "/run", "/boot", "/srv", "/mnt",
    ] {
        assert!(!seen.contains(&bad), "{bad}: {seen:#?}");
    }
    assert!(seen.contains(&"CapEff:\t0000000000000000"), "{seen:#?}");
    assert!(seen.contains(&"CapBnd:\t0000000000000000"), "{seen:#?}");
    assert!(seen.contains(&"NoNewPrivs:\t1"), "{seen:#?}");
    // Itself, its parent, a program or two: not the machine's.
    let processes = seen
        .iter()
        .filter(|line| line.starts_with("/proc/"))
        .count();
    assert!(processes < 6, "{seen:#?}");
    assert!(
        !seen.iter().any(|line| line.contains("socket:")),
        "{seen:#?}"
    );
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
}

#[test]
fn jobs_do_not_see_each_other() {
    let word = crate::server::unique();
    let waits = format!("echo secret > /tmp/secret; exec sleep {word}");
    let looks = "find / -name secret -not -path '/proc/*' -not -path '/usr/*' 2>/dev/null
        grep -l '[1]000000' /proc/*/cmdline 2>/dev/null; true";
    let server = Setup::new()
        .script("wait-gcc", &waits)
        .script("look-gcc", looks)
        .start();
    let waiting = server.send(compile(Version::V1, "wait-gcc -c a.c -o a.o", SOURCE));
    crate::server::wait_for_process(&word);
    let reply = server.ask(compile(Version::V1, "look-gcc -c a.c -o a.o", SOURCE));
    check_ok(&reply);
    assert_eq!(text(&reply), "");
    drop(waiting);
}

#[test]
fn a_job_that_fills_its_disk_or_starts_processes_without_end_only_harms_itself() {
    let word = crate::server::unique();
    let server = Setup::new()
        .script(
            "fork-gcc",
            &format!("for i in $(seq 2000); do sleep {word} & done 2>/dev/null"),
        )
        .script("fill-gcc", "cat /dev/zero > /tmp/full; exit 3")
        .script("gcc", "cp a.c a.o")
        .start();
    let reply = server.ask(compile(Version::V1, "fill-gcc -c a.c -o a.o", SOURCE));
    assert_ne!(reply.wait_status, 0, "{}", text(&reply));
    let reply = server.ask(compile(Version::V1, "fork-gcc -c a.c -o a.o", SOURCE));
    assert_ne!(reply.wait_status, 0, "more processes than allowed");
    crate::server::wait_until_gone(&word);
    let reply = server.ask(compile(Version::V1, "gcc -c a.c -o a.o", SOURCE));
    assert_eq!(reply.object, SOURCE);
}

#[test]
fn a_client_may_have_files_in_directories_of_the_server() {
    let server = Server::start();
    let source = b"#include <farcc-test-header.h>\n#include <stdio.h>\nint x = FARCC;\n";
    let files = [
        ("/home/user/project/a.c", file(source)),
        (
            "/usr/include/farcc-test-header.h",
            file(b"#define FARCC 1\n"),
        ),
        ("/usr/include/stdio.h", file(b"int replaced;\n")),
    ];
    let reply = server.ask(pump("gcc -MD -c a.c -o o/a.o", &files));
    check_ok(&reply);
    assert!(reply.object.windows(8).any(|part| part == b"replaced"));
    let deps = String::from_utf8(reply.deps.unwrap()).unwrap();
    assert!(deps.starts_with("o/a.o: a.c"), "{deps}");
    assert!(deps.contains("/usr/include/farcc-test-header.h"), "{deps}");
    assert!(!fs::exists("/usr/include/farcc-test-header.h").unwrap());
}
