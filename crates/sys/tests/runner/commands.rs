//! The command itself: its program, environment, directory, time.

use std::time::Duration;

use sys::sandbox::Writable;

use crate::Test;
use crate::world::{End, Job, World};

pub(crate) const TESTS: &[Test] = &[
    (
        "programs_are_found_as_the_specification_says",
        programs_are_found_as_the_specification_says,
    ),
    (
        "the_environment_is_exactly_the_given_one",
        the_environment_is_exactly_the_given_one,
    ),
    ("time_is_told", time_is_told),
    (
        "what_cannot_be_set_up_is_said",
        what_cannot_be_set_up_is_said,
    ),
];

fn programs_are_found_as_the_specification_says() {
    let world = World::new();
    let script = b"#!/bin/sh\necho $0 $1 $PWD\n";
    let tree = world.tree(
        "1/tree",
        &[("tools/run", script), ("tools/dir/", b""), ("sub/", b"")],
    );
    let job = |program: &str| Job::new(&[program, "x"]).in_tree(&tree, Writable::All);
    world.check(&job("tools/run"), "tools/run x /build");
    world.check(
        &job("../tools/run").cwd("/build/sub"),
        "../tools/run x /build/sub",
    );
    world.check(
        &job("/build/tools/run").cwd("/build/made"),
        "/build/tools/run x /build/made",
    );
    // The last one counts, as it does for the command itself.
    world.check(
        &job("run").env("PATH", "/none:/build/tools"),
        "/build/tools/run x /build",
    );
    world.check(&job("run").env("PATH", "tools"), "./tools/run x /build");
    for missing in ["run", "./run", "tools/dir", "/build/run", "dir"] {
        let end = world.run(&job(missing).env("PATH", "tools"));
        let is_missing = matches!(&end, End::NoProgram(why) if why.contains(missing));
        assert_eq!(is_missing, missing != "run", "{missing}: {end:?}");
    }
    let mut job = Job::new(&["sh", "-c", "echo found"]);
    job.env.clear();
    world.check(&job, "found");
}

fn the_environment_is_exactly_the_given_one() {
    let world = World::new();
    let mut job = Job::new(&["/usr/bin/env"]);
    world.check(&job, "PATH=/usr/bin:/bin");
    job.env.clear();
    world.check(&job, "");
    world.check(&job.env("A", "1").env("B", "a=b c"), "A=1\nB=a=b c");
}

fn time_is_told() {
    let world = World::new();
    let outcome = world.finish(&Job::shell(
        "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done; (while true; do :; done) & exit 3",
    ));
    assert_eq!(outcome.wait_status, 3 << 8);
    assert!(outcome.user > Duration::ZERO, "{outcome:?}");
    assert!(outcome.wall >= outcome.cpu() / 8, "{outcome:?}");
    assert!(outcome.rss_kib_max > 100, "{outcome:?}");
}

fn what_cannot_be_set_up_is_said() {
    let world = World::new();
    let tree = world.tree(
        "1/tree",
        &[("a", b"a"), ("up -> ../../..", b""), ("loop -> loop", b"")],
    );
    let none = std::path::Path::new("2/none");
    let job = |tree| Job::shell("true").in_tree(tree, Writable::All);
    for (job, words) in [
        (job(none), "cannot show the tree 2/none"),
        (
            job(&tree).outputs(&["/build/a/b"]),
            "cannot make directory a: Not a directory",
        ),
        (job(&tree).cwd("/build/loop"), "cannot make directory loop"),
        (job(&tree).shared(none, "x"), "cannot show the tree 2/none"),
        (
            job(std::path::Path::new("../blobs")),
            "../blobs is no name of a prepared tree",
        ),
        (
            job(&tree).shared(&tree, "up/x"),
            "a link leads to the place of up/x",
        ),
    ] {
        let end = world.run(&job);
        assert!(
            matches!(&end, End::Failed(why) if why.contains(words)),
            "{words}: {end:?}"
        );
    }
    world.check_alive();
    assert!(world.path().exists());
    let job =
        Job::shell("cat /dev/zero > /tmp/x").limits(|limits| limits.files_bytes_max = 1 << 20);
    assert_ne!(world.print(&job).0, 0);
}
