//! Prepared trees as jobs see them.

use std::fs;
use std::path::Path;

use sys::sandbox::Writable;

use crate::Test;
use crate::world::{Job, World, only};

pub(crate) const TESTS: &[Test] = &[
    (
        "all_of_a_tree_can_be_changed_for_the_job_alone",
        all_of_a_tree_can_be_changed_for_the_job_alone,
    ),
    (
        "only_the_given_directories_can_be_changed",
        only_the_given_directories_can_be_changed,
    ),
    (
        "shared_trees_are_seen_in_their_places",
        shared_trees_are_seen_in_their_places,
    ),
    ("a_tree_can_be_the_root", a_tree_can_be_the_root),
];

/// Says the name of the error for each command that fails.
const TRY: &str = "try() { \"$@\" 2>&1 | sed 's/.*: //'; };";

fn all_of_a_tree_can_be_changed_for_the_job_alone() {
    let world = World::new();
    let tree = world.tree(
        "1/tree",
        &[("a/b.c", b"int x;"), ("a/l -> b.c", b""), ("d/e/f", b"f")],
    );
    let before = world.fingerprint();
    let job = Job::shell(
        "set -e; cat a/l; echo; chmod 600 a/b.c; echo more >> a/b.c; cat a/b.c; rm -r d; mkdir d
         echo new > d/new; mv a/b.c moved; ln moved again; touch -d @0 again; ls; cat d/new",
    );
    let printed = "int x;\nint x;more\na\nagain\nd\nmoved\nnew";
    world.check(&job.in_tree(&tree, Writable::All), printed);
    assert_eq!(world.fingerprint(), before);
}

/// Empty directories for all that is mounted on a tree: with them, it can be shown without an
/// overlay.
const MOUNT_POINTS: &[(&str, &[u8])] = &[
    ("made/it/", b""),
    ("usr/lib/", b""),
    ("y/z/", b""),
    ("out/inc/", b""),
];

fn only_the_given_directories_can_be_changed() {
    for more in [&[], MOUNT_POINTS] {
        let world = World::new();
        let tree = world.tree(
            "1/tree",
            &[("a/b.c", b"int x;"), ("out/in.h", b"in"), ("o/p/", b"")],
        );
        world.tree("1/tree", more);
        let before = world.fingerprint();
        let script = format!(
            "{TRY} try touch new; try touch a/new; try rm a/b.c; try chmod 600 a/b.c; try touch o/new
         chmod 644 out/in.h; echo more >> out/in.h; cat out/in.h; touch out/new o/p/new made/it/new /tmp/new
         touch out/d/new; ls out/in.h out/new out/d o/p made/it"
        );
        let job = Job::shell(&script).in_tree(&tree, only(&["out", "out/d", "o/p", "made/it"]));
        let job = job.outputs(&["/build/out/sub/x", "/build/a/x"]);
        let refused = "Read-only file system\n".repeat(5);
        let printed = format!(
            "{refused}inmore\nout/in.h\nout/new\n\nmade/it:\nnew\n\no/p:\nnew\n\nout/d:\nnew"
        );
        world.check(&job, &printed);
        assert_eq!(world.fingerprint(), before);
    }
}

fn shared_trees_are_seen_in_their_places() {
    for more in [&[], MOUNT_POINTS] {
        let world = World::new();
        let tree = world.tree("1/tree", &[("a", b"a"), ("usr/lib/", b""), ("out/", b"")]);
        world.tree("1/tree", more);
        check_shared_trees(&world, &tree);
    }
}

fn check_shared_trees(world: &World, tree: &Path) {
    let library = world.tree("shared/lib", &[("x/libx", b"x"), ("gen/", b"")]);
    let before = world.fingerprint();
    let script = format!(
        "{TRY} cat usr/lib/x/libx y/z/x/libx; echo; try touch usr/lib/x/new; try touch y/new"
    );
    let job = Job::shell(&script)
        .in_tree(tree, only(&["out"]))
        .shared(&library, "usr/lib")
        .shared(&library, "y/z");
    world.check(&job, "xx\nRead-only file system\nRead-only file system");
    let job = Job::shell(
        "set -e; cd usr/lib/x; chmod 644 libx; echo more >> libx; cd ../../..; cat usr/lib/x/libx
         touch usr/lib/gen/o",
    )
    .in_tree(tree, Writable::All)
    .shared(&library, "usr/lib");
    world.check(&job, "xmore");
    // An output's directory may lie in a shared tree, and a shared tree in an output's directory.
    let script = format!(
        "{TRY} touch usr/lib/gen/o; cat usr/lib/x/libx out/inc/x/libx; echo
         try touch usr/lib/x/new; touch out/new out/inc/new; ls out; pwd"
    );
    let job = Job::shell(&script)
        .in_tree(tree, only(&["usr/lib/gen", "out"]))
        .shared(&library, "usr/lib")
        .shared(&library, "out/inc");
    world.check(&job, "xx\nRead-only file system\ninc\nnew\n/build");
    // So may the job's own directory.
    let job = Job::shell("touch new; cat libx; pwd");
    let job = job
        .in_tree(tree, only(&["usr/lib"]))
        .shared(&library, "usr/lib");
    world.check(&job.cwd("/build/usr/lib/x"), "x/build/usr/lib/x");
    assert_eq!(world.fingerprint(), before);
}

/// The shell of this machine and all that it needs.
fn shell_tree(world: &World) -> std::path::PathBuf {
    let ldd = std::process::Command::new("ldd")
        .arg("/bin/sh")
        .output()
        .unwrap();
    let mut files: Vec<String> = String::from_utf8(ldd.stdout)
        .unwrap()
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(str::to_owned)
        .collect();
    files.push("/bin/sh".into());
    let contents: Vec<(String, Vec<u8>)> = files
        .iter()
        .map(|file| (file[1..].to_owned(), fs::read(file).unwrap()))
        .collect();
    let entries: Vec<(&str, &[u8])> = contents
        .iter()
        .map(|(path, content)| (&**path, &**content))
        .collect();
    world.tree("shell", &entries)
}

fn a_tree_can_be_the_root() {
    let world = World::new();
    let tree = shell_tree(&world);
    let common: &[(&str, &[u8])] = &[("home/u/a.c", b"int x;"), ("tmp/seen", b"seen")];
    world.tree("shell", common);
    check_root(&world, &tree, &[("dev -> home", b"")]);
    fs::remove_file(world.path().join("work/shell/dev")).unwrap();
    // With a place for everything.
    check_root(
        &world,
        &tree,
        &[("dev/x", b""), ("proc/", b""), ("home/u/out/", b"")],
    );
}

fn check_root(world: &World, tree: &Path, more: &[(&str, &[u8])]) {
    world.tree("shell", more);
    let before = world.fingerprint();
    let script = "for f in /*; do echo $f; done; read line < /tmp/seen; echo $line; pwd; read x < a.c; echo $x
        echo > /dev/null; echo hi > /tmp/new; read x < /tmp/new; echo $x; echo hi > /dev/shm/new
        read x < /dev/shm/new; echo $x; echo o > out/o; echo > a.c";
    let job = Job::shell(script)
        .with_root(tree, only(&["home/u/out"]))
        .cwd("/home/u");
    let (status, text) = world.print(&job);
    let start = "/bin\n/dev\n/home\n/lib\n/lib64\n/proc\n/tmp\nseen\n/home/u\nint x;\nhi\nhi\n";
    assert!(text.starts_with(start), "{text}");
    assert!(text.contains("Read-only file system"), "{text}");
    assert_ne!(status, 0);
    let job = Job::shell("echo > b.c; echo > /new; echo done")
        .with_root(tree, Writable::All)
        .cwd("/home/u");
    world.check(&job, "done");
    assert_eq!(world.fingerprint(), before);
}
