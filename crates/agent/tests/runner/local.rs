//! Compiles that stay here, and why.

use wire::LogLevel;
use wire::event::EventKind;

use crate::server::{Does, Server};
use crate::shim::{Done, How};
use crate::world::World;

fn check(world: &World, args: &str, code: &str) -> Done {
    let server = Server::new(Does::Compile);
    let watch = world.watch();
    let done = world.compile(&server.host(4), args).pretend().run();
    done.is_local();
    assert_eq!(watch.ended().local.unwrap().code, code, "{args}");
    assert!(server.arrived.try_recv().is_err());
    assert!(done.warnings().is_empty(), "{:?}", done.warnings());
    done
}

#[test]
fn the_command_line_says_why() {
    let world = World::new();
    check(&world, "a.o b.o -o prog", "link");
    check(&world, "-E a.c", "preprocess");
    check(&world, "-c conftest.c", "configure");
    check(&world, "-gsplit-dwarf -g -c a.c", "split-dwarf");
    let done = check(&world, "@missing -c a.c", "response-file");
    let said = done.log.iter().find(|line| line.level == LogLevel::Info);
    assert!(
        said.unwrap().text.contains("runs locally"),
        "{:?}",
        done.log
    );
}

#[test]
fn response_files_are_read() {
    let world = World::new();
    let server = Server::new(Does::Compile);
    world.write("args", "-c a.c -o b.o");
    let done = world.compile(&server.host(1), "@args").text("").run();
    done.is_remote();
    assert!(world.src().join("b.o").exists());
}

/// The agent serves every build of a user: it must not wait for somebody to write to a pipe, and what the preprocessor
/// has read from one is gone.
#[test]
fn pipes_are_left_to_the_compiler() {
    let world = World::new();
    let pipe = |name| {
        let path = world.src().join(name);
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, path, kind, rustix::fs::Mode::RWXU, 0).unwrap();
    };
    for name in ["words", "a.c", "b.i"] {
        pipe(name);
    }
    check(&world, "@words -c d.c", "response-file");
    check(&world, "-c a.c", "source-read-once");
    check(&world, "-c b.i", "source-read-once");
    check(&world, "-x c -c b.i -o c.o", "source-read-once");
}

#[test]
fn debug_information_needs_the_directory() {
    let world = World::new();
    world.write("a.i", "int a;\n");
    check(&world, "-g -c a.i", "directory-unknown");
    let server = Server::new(Does::Compile);
    world.compile(&server.host(1), "-c a.i").run().is_remote();
    world.write("a.i", "# 0 \"a.c\"\n# 1 \"/src//\"\nint a;\n");
    world
        .compile(&server.host(1), "-g -c a.i")
        .run()
        .is_remote();
}

#[test]
fn a_job_is_called_after_its_source() {
    let world = World::new();
    let watch = world.watch();
    let name = |args: &str| {
        world.compile("localhost", args).pretend().run();
        loop {
            if let EventKind::Started { file, .. } = watch.next().kind {
                return file;
            }
        }
    };
    assert_eq!(name("-c dir/a.c -o a.o -MD -MF deps/a.d"), "a.c");
    assert_eq!(name("-MF a.d -o a.c.o -c a.c"), "a.c");
    assert_eq!(name("a.o b.o -o prog"), "prog");
    assert_eq!(name("--version"), "");
}

#[test]
fn no_list_and_an_empty_list_are_said_in_one_line() {
    let world = World::new();
    let mut compile = world.compile("", "-c a.c").pretend();
    let empty = world.compile("", "-c a.c").pretend().run();
    empty.is_local();
    assert_eq!(
        empty.warnings(),
        [
            "$DISTCC_HOSTS contained no hosts; can't distribute work: failed to distribute, running locally instead"
        ]
    );
    compile
        .request
        .env
        .retain(|(name, _)| name != "DISTCC_HOSTS");
    assert_eq!(
        compile.run().warnings(),
        [
            "no hostlist is set; can't distribute work: failed to distribute, running locally instead"
        ]
    );
}

#[test]
fn a_broken_token_is_named_and_the_others_are_used() {
    let world = World::new();
    let server = Server::new(Does::Compile);
    let hosts = format!("bad,what {}", server.host(4));
    let first = world.compile(&hosts, "-c a.c").text("").run();
    first.is_remote();
    let [warning] = first.warnings()[..] else {
        panic!("{:?}", first.warnings());
    };
    assert!(
        warning.contains("bad,what") && warning.contains("$DISTCC_HOSTS"),
        "{warning}"
    );
    let none = world.compile("bad,what", "-c a.c").text("").run();
    none.is_local();
    let [warning] = none.warnings()[..] else {
        panic!("{:?}", none.warnings());
    };
    assert!(
        warning.contains("bad,what") && warning.contains("contained no hosts"),
        "{warning}"
    );
}

#[test]
fn localhost_in_the_list_is_this_machine() {
    let world = World::new();
    let watch = world.watch();
    let done = world.compile("localhost/2", "-c a.c").pretend().run();
    done.is_local();
    assert!(done.warnings().is_empty());
    assert_eq!(watch.ended().local.unwrap().code, "localhost-listed");
}

#[test]
fn without_fallback_a_job_is_given_up_but_local_jobs_run() {
    let world = World::new();
    let strict = |hosts, args| {
        world
            .compile(hosts, args)
            .env("DISTCC_FALLBACK", "0")
            .pretend()
            .run()
    };
    let done = strict("", "-c a.c");
    assert_eq!(done.how, How::Aborted(116));
    let warnings = done.warnings().join("\n");
    assert!(
        warnings.contains("failed to distribute and fallbacks are disabled"),
        "{warnings}"
    );
    strict("", "a.o -o prog").is_local();
}

#[test]
fn an_agent_that_sees_other_files_refuses() {
    let world = World::new();
    let server = Server::new(Does::Compile);
    let watch = world.watch();
    let mut compile = world.compile(&server.host(1), "-c a.c").pretend();
    compile.request.cwd_ino += 1;
    compile.run().is_local();
    assert_eq!(watch.ended().local.unwrap().code, "other-tree");
}

#[test]
fn a_failing_preprocessor_is_not_the_hosts_fault() {
    let world = World::new();
    let server = Server::new(Does::Compile);
    let watch = world.watch();
    world.write("a.c", "#include \"missing.h\"\n");
    let done = world.compile(&server.host(1), "-c a.c").run();
    assert_eq!(done.how, How::Local(256));
    // The message comes from the real compiler, once.
    let stderr = String::from_utf8(done.stderr.clone()).unwrap();
    assert_eq!(
        stderr.matches("missing.h: No such file").count(),
        1,
        "{stderr}"
    );
    assert!(done.warnings().is_empty(), "{:?}", done.warnings());
    assert_eq!(watch.ended().local.unwrap().code, "preprocessor-failed");
    assert!(server.arrived.try_recv().is_err());
    world
        .compile(&server.host(1), "-c b.c")
        .text("")
        .run()
        .is_remote();
}

#[test]
fn nonsense_in_settings_is_said_a_few_times_and_not_to_probes() {
    let world = World::new();
    let server = Server::new(Does::Compile);
    let compile = |source: &str| {
        world
            .compile(&server.host(1), &format!("-c {source}"))
            .env("DISTCC_IO_TIMEOUT", "never")
            .text("")
            .run()
    };
    assert!(compile("conftest.c").warnings().is_empty());
    assert_eq!(
        compile("a.c").warnings(),
        ["ignored DISTCC_IO_TIMEOUT=\"never\": not a number of 0 or more"]
    );
    let more: usize = (0..5).map(|_| compile("a.c").warnings().len()).sum();
    assert_eq!(more, 2);
}
