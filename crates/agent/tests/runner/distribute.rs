//! The plain way: to a host and back.

use std::os::unix::fs::PermissionsExt;

use stock::{Input, Version};
use wire::event::JobPhase;

use crate::server::{Does, Server, closed_port, socks_proxy};
use crate::shim::How;
use crate::world::{World, read};

#[test]
fn an_object_comes_back_in_both_protocols() {
    let world = World::new();
    let server = Server::new(Does::Compile);
    // Small and large: the large ones are packed beside the event loop.
    for len in [0, 1, 1000, 3_000_000] {
        for (option, version) in [("", Version::V1), (",lzo", Version::V2)] {
            let text = b"int x;\n".repeat(len / 7);
            let hosts = format!("{}{option}", server.host(4));
            let done = world
                .compile(&hosts, "-O2 -c dir/a.c -o a.o")
                .text(text.clone())
                .run();
            done.is_remote();
            assert!(done.warnings().is_empty(), "{:?}", done.warnings());
            let request = server.request();
            assert_eq!(request.version, version);
            assert_eq!(request.input, Input::Preprocessed(text.clone()));
            assert_eq!(
                read(world.src().join("a.o")),
                [b"OBJECT ", &text[..]].concat()
            );
        }
    }
}

#[test]
fn the_host_gets_an_unmistakable_name_and_no_preprocessor_options() {
    let world = World::new();
    let server = Server::new(Does::Compile);
    let args = "-DX=1 -Iinc -O2 -MD -MF a.d -c a.c -o a.o";
    world.compile(&server.host(1), args).text("").run();
    let argv: Vec<_> = server
        .request()
        .argv
        .into_iter()
        .map(|word| String::from_utf8(word).unwrap())
        .collect();
    assert!(argv[0].ends_with("-gcc"), "{argv:?}");
    assert_eq!(argv[1..], ["-O2", "-c", "a.c", "-o", "a.o"]);

    let plain = world
        .compile(&server.host(1), args)
        .env("DISTCC_NO_REWRITE_CROSS", "");
    plain.text("").run();
    assert_eq!(server.request().argv[0], b"gcc");
}

#[test]
fn what_the_compiler_says_arrives() {
    let world = World::new();
    let server = Server::new(Does::Answer {
        stdout: "out",
        stderr: "warning: x",
        object: Vec::new(),
    });
    let done = world.compile(&server.host(1), "-c a.c").text("").run();
    done.is_remote();
    assert_eq!(
        (&done.stdout[..], &done.stderr[..]),
        (&b"out"[..], &b"warning: x"[..])
    );
    // An empty object makes an empty file.
    assert_eq!(read(world.src().join("a.o")), b"");
}

#[test]
fn events_and_phases_are_told() {
    let world = World::new();
    let watch = world.watch();
    let server = Server::new(Does::Compile);
    world.compile(&server.host(1), "-c a.c").text("xyz").run();
    for phase in [
        JobPhase::Preprocess,
        JobPhase::Send,
        JobPhase::Compile,
        JobPhase::Receive,
    ] {
        assert_eq!(watch.phase(phase), ("127.0.0.1".to_owned(), 0));
    }
    let ended = watch.ended();
    assert_eq!(ended.host, server.host(1));
    assert_eq!(ended.wait_status, Some(0));
    assert_eq!(ended.local, None);
    assert_eq!(ended.preprocess_cpu_ms, 2);
    assert!(ended.sent_bytes > 100 && ended.received_bytes > 60);
}

#[test]
fn a_preprocessed_source_is_sent_as_it_is() {
    let world = World::new();
    let server = Server::new(Does::Compile);
    world.write("a.i", "int from_file;\n");
    let done = world.compile(&server.host(1), "-c a.i").run();
    done.is_remote();
    assert_eq!(
        server.request().input,
        Input::Preprocessed(b"int from_file;\n".to_vec())
    );
}

#[test]
fn all_addresses_of_a_name_are_tried() {
    let world = World::new();
    let server = Server::new(Does::Compile);
    // Also ::1 on many machines, where this server does not listen. `localhost:PORT` is a TCP host.
    let hosts = format!("localhost:{}", server.address.port());
    world.compile(&hosts, "-c a.c").text("").run().is_remote();
}

#[test]
fn a_socks_proxy_leads_out_of_the_sandbox() {
    let world = World::new();
    let server = Server::new(Does::Compile);
    let socket = world.temp.path().join("net.sock");
    let asked = socks_proxy(&socket);
    let compile = || {
        world
            .compile(&server.host(2), "-c a.c")
            .env("DISTCC_SOCKS_PROXY", &socket)
    };
    compile().text("x".repeat(1_000_000)).run().is_remote();
    assert_eq!(asked.recv().unwrap(), server.address.to_string());

    let (closed, _port) = closed_port();
    let refused = compile().env("DISTCC_HOSTS", closed).text("").run();
    refused.is_local();
    let warnings = refused.warnings().join("\n");
    assert!(
        warnings.contains("SOCKS proxy") && warnings.contains("connection refused"),
        "{warnings}"
    );
}

#[test]
fn an_ssh_host_is_whatever_the_ssh_command_starts() {
    let world = World::new();
    let script = world.write(
        "my ssh",
        "#!/bin/sh\necho \"$@\" > ssh-args\nexec sh -c 'cat >/dev/null & printf %s \
         DONE00000001STAT00000000SERR00000000SOUT00000000DOTO00000003abc'\n",
    );
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    // The command runs in `/`, so the script is told where to write by its own text.
    let text = std::fs::read_to_string(&script).unwrap();
    let args_file = world.src().join("ssh-args");
    std::fs::write(
        &script,
        text.replace("ssh-args", args_file.to_str().unwrap()),
    )
    .unwrap();
    let done = world
        .compile("me@far/2:/opt/distccd", "-c a.c")
        .env("DISTCC_SSH", format!("'{}' -q", script.display()))
        .text("x")
        .run();
    done.is_remote();
    assert_eq!(read(world.src().join("a.o")), b"abc");
    assert_eq!(
        String::from_utf8(read(args_file)).unwrap(),
        "-q -l me far /opt/distccd --inetd --enable-tcp-insecure\n"
    );
}

#[test]
fn ssh_that_fails_says_why() {
    let world = World::new();
    let done = world
        .compile("@far", "-c a.c")
        .env("DISTCC_SSH", "sh -c 'echo no route >&2; exit 255'")
        .text("x")
        .run();
    done.is_local();
    let warnings = done.warnings().join("\n");
    assert!(warnings.contains("no route"), "{warnings}");
    let missing = world
        .compile("@farther", "-c a.c")
        .env("DISTCC_SSH", "/nonexistent/ssh")
        .text("x")
        .run();
    let warnings = missing.warnings().join("\n");
    assert!(
        warnings.contains("cannot start /nonexistent/ssh"),
        "{warnings}"
    );
}

#[test]
fn native_options_are_spelled_out_for_hosts() {
    let world = World::new();
    let server = Server::new(Does::Compile);
    let done = world
        .compile(&server.host(1), "-march=native -c a.c -o a.o")
        .text("")
        .run();
    done.is_remote();
    let argv = server.request().argv;
    let arch = argv.iter().filter(|word| word.starts_with(b"-march="));
    let arch: Vec<_> = arch
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    assert_eq!(arch.len(), 1, "{arch:?}");
    assert_ne!(arch[0], "-march=native");
}

#[test]
fn a_shim_that_cannot_install_compiles_here() {
    let world = World::new();
    let watch = world.watch();
    let server = Server::new(Does::Compile);
    let done = world
        .compile(&server.host(1), "-c a.c")
        .text("")
        .cannot_install()
        .run();
    assert_eq!(done.how, How::Local(0));
    assert_eq!(watch.ended().local.unwrap().code, "install-failed");
}
