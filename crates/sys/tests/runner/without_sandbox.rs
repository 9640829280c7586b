//! Prepared trees where there is no sandbox (`--sandbox=none`): jobs run with the server's rights,
//! but get copies, so that no mistake of theirs reaches the store.

use std::fs;
use std::path::{Path, PathBuf};

use sys::sandbox::{Config, Isolation, Output, Writable};

use crate::Test;
use crate::attacks::{await_processes, unique};
use crate::world::{End, Job, World, only, text};

pub(crate) const TESTS: &[Test] = &[
    (
        "without_a_sandbox_a_tree_is_copied",
        without_a_sandbox_a_tree_is_copied,
    ),
    (
        "without_a_sandbox_a_tree_is_no_root",
        without_a_sandbox_a_tree_is_no_root,
    ),
    (
        "without_a_sandbox_links_do_not_lead_out",
        without_a_sandbox_links_do_not_lead_out,
    ),
    (
        "without_a_sandbox_nothing_is_left_running",
        without_a_sandbox_nothing_is_left_running,
    ),
];

fn world(scratch: &Path) -> World {
    World::with(|config: &mut Config| {
        let scratch = scratch.to_path_buf();
        config.isolation = Isolation::None { scratch };
    })
}

fn without_a_sandbox_a_tree_is_copied() {
    let scratch = tempfile::tempdir().unwrap();
    let world = world(scratch.path());
    let tree = world.tree(
        "1",
        &[
            ("a/b.c", b"int x;"),
            ("a/l -> b.c", b""),
            ("run", b"#!/bin/sh\ncat a/l > o/p; rm -rf a; ls\n"),
            ("t/", b""),
        ],
    );
    let shared = world.tree("2", &[("s/f", b"f")]);
    let before = world.fingerprint();
    let job = Job::new(&["./run"]).shared_in(&tree, &shared).outputs(&[
        "/build/o/p",
        "/build/t",
        "/build/none",
        "/build/l",
    ]);
    let mut outcome = world.finish(&job);
    assert_eq!(
        (outcome.wait_status, text(outcome.stdout)),
        (0, "o\nrun\nt\n".into())
    );
    let mut outputs = outcome.outputs.drain(..);
    assert_eq!(text(outputs.next().unwrap().into_file().unwrap()), "int x;");
    assert!(matches!(outputs.next(), Some(Output::Directory(_))));
    assert!(matches!(outputs.next(), Some(Output::Missing)));
    assert_eq!(world.fingerprint(), before);
    let script = "chmod -R u+w .; echo more >> a/b.c; echo more >> t/s/f; touch -d @0 run; mv run a/run; ln t/s/f t/s/g";
    for writable in [Writable::All, only(&["o"])] {
        let job = Job::shell(script)
            .in_tree(&tree, writable)
            .shared(&shared, "t");
        assert_eq!(world.finish(&job).wait_status, 0);
        assert_eq!(world.fingerprint(), before);
    }
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
}

fn without_a_sandbox_a_tree_is_no_root() {
    let scratch = tempfile::tempdir().unwrap();
    let world = world(scratch.path());
    let tree = world.tree("1", &[("a", b"a")]);
    let end = world.run(&Job::shell("true").with_root(&tree, Writable::All));
    let words = "an input root that is used as / needs one";
    assert!(
        matches!(&end, End::Failed(why) if why.contains(words)),
        "{end:?}"
    );
    world.check_alive();
}

fn without_a_sandbox_links_do_not_lead_out() {
    let scratch = tempfile::tempdir().unwrap();
    let world = world(scratch.path());
    let victim = tempfile::tempdir().unwrap();
    fs::write(victim.path().join("file"), "victim").unwrap();
    let (absolute, up) = (victim.path().display(), "../".repeat(20));
    let links = [
        format!("out -> {absolute}"),
        format!("up -> {up}{absolute}"),
        "self -> /proc/self/fd".into(),
    ];
    let entries: Vec<(&str, &[u8])> = links.iter().map(|link| (&**link, &b""[..])).collect();
    let tree = world.tree("1", &entries);
    for link in ["out", "up", "self"] {
        let (made, file) = (
            format!("/build/{link}/made/o"),
            format!("/build/{link}/file"),
        );
        for job in [
            Job::shell("true")
                .in_tree(&tree, Writable::All)
                .outputs(&[&made]),
            Job::shell("true")
                .in_tree(&tree, Writable::All)
                .outputs(&[&file, "/build/self/0"]),
            Job::shell("true")
                .in_tree(&tree, Writable::All)
                .cwd(&format!("/build/{link}/cwd")),
            Job::shell("true")
                .in_tree(&tree, Writable::All)
                .shared(Path::new("1"), &format!("{link}/x")),
        ] {
            if let End::Finished(outcome) = world.run(&job) {
                let is_file = |output: &Output| matches!(output, Output::File(_));
                assert!(
                    !outcome.outputs.iter().any(is_file),
                    "{:?}",
                    outcome.outputs
                );
            }
            let names: Vec<_> = fs::read_dir(victim.path()).unwrap().collect();
            assert_eq!(names.len(), 1, "{names:?}");
        }
    }
    world.check_alive();
}

fn without_a_sandbox_nothing_is_left_running() {
    let scratch = tempfile::tempdir().unwrap();
    let world = world(scratch.path());
    let marker = unique("daemon");
    let attack = PathBuf::from(std::env::var_os(crate::harness::ATTACK).unwrap());
    let attack = attack.to_str().unwrap();
    let outcome = world.finish(&Job::new(&[attack, "leave", &marker, "leave", &marker]));
    assert_eq!(outcome.wait_status, 0);
    await_processes(&marker, |count| count == 0);
    world.check_alive();
}

impl Job {
    fn shared_in(self, tree: &Path, shared: &Path) -> Job {
        self.in_tree(tree, only(&["o"])).shared(shared, "t")
    }
}
