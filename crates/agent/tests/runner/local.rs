//! Compiles that stay here, and why.

use wire::LogLevel;

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
