//! Trees are used again and shared: each action must see exactly its own.

use std::collections::BTreeMap;

use crate::native::{Act, connect, connect_from, run};
use crate::server::{Server, Setup};

/// A small tree of random names, kinds and contents, and what is in it.
fn random(rng: &mut fastrand::Rng) -> (Act, BTreeMap<String, String>) {
    let mut tree = BTreeMap::new();
    for _ in 0..rng.usize(..30) {
        let dir = ["", "a/", "a/b/", "c/", "a/b/c/"][rng.usize(..5)];
        let name = ["x", "y", "z", "b", "c"][rng.usize(..5)];
        let what = match rng.usize(..4) {
            0 => format!("l target{}", rng.usize(..3)),
            1 => "d ".to_owned(),
            2 => format!("p content{}", rng.usize(..3)),
            _ => format!("f content{}", rng.usize(..3)),
        };
        tree.insert(format!("{dir}{name}"), what);
    }
    // What would be a file and a directory at once is a directory.
    let paths: Vec<String> = tree.keys().cloned().collect();
    for path in &paths {
        for (at, _) in path.match_indices('/') {
            tree.insert(path[..at].to_owned(), "d ".to_owned());
        }
    }
    let mut act = Act::sh(
        "find . -mindepth 1 \\( -type d -printf '%P d \\n' \\) -o \\( -type l -printf '%P l %l\\n' \\) \
         -o \\( -perm -100 -printf '%P p ' -exec cat {} \\; -printf '\\n' \\) \
         -o \\( -printf '%P f ' -exec cat {} \\; -printf '\\n' \\)",
    );
    for (path, what) in &tree {
        let (kind, content) = what.split_once(' ').unwrap();
        act = match kind {
            "d" => act.directory(path),
            "l" => act.link(path, content),
            "p" => act.program(path, content),
            _ => act.file(path, content),
        };
    }
    (act, tree)
}

#[test]
fn each_action_sees_its_own_tree_whatever_was_there_before() {
    let server = Setup::new().args("-j 3").start();
    run(async {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut tasks = Vec::new();
        for number in 0..4 {
            let client = connect_from(&server, 1, &number.to_string()).await;
            let acts: Vec<_> = (0..25).map(|_| random(&mut rng)).collect();
            tasks.push(tokio::task::spawn_local(async move {
                for (act, tree) in acts {
                    let said = act.says(&client).await;
                    let seen: BTreeMap<String, String> = said
                        .lines()
                        .map(|line| {
                            let (path, what) = line.split_once(' ').unwrap();
                            (path.to_owned(), what.to_owned())
                        })
                        .collect();
                    assert_eq!(seen, tree);
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_large_directory_is_shared_and_nobody_changes_it() {
    let server = Server::start();
    run(async {
        let client = connect(&server).await;
        let act = |number: usize, script: &str, at_root: bool| {
            let mut act = Act::sh(script).file("own", number.to_string());
            for i in 0..1200 {
                act = act.file(&format!("big/d{}/{i}", i % 40), i.to_string());
            }
            if at_root {
                // A machine's programs are of use here; the place does not matter for sharing.
                act = act.property("InputRootAbsolutePath", "/elsewhere");
            }
            act
        };
        let count = "find big -type f | wc -l; cat big/d7/7 own";
        for number in 0..4 {
            let said = act(number, count, number % 2 == 1).says(&client).await;
            assert_eq!(said, format!("1200\n7{number}"));
            // Whoever writes into it only does so for itself.
            let attack = "rm -rf big/d7; echo x >big/new; find big -type f | wc -l";
            assert_eq!(act(number, attack, false).says(&client).await, "1171\n");
        }
        // With outputs in it, it is not shared but in parts.
        let mut with_output = act(9, "echo made >big/d7/out; cat big/d7/7", false);
        with_output = with_output.output("big/d7/out");
        let result = with_output.succeeds(&client).await;
        assert_eq!(result.files.len(), 1);
    });
    let shared = server.dir.path().join(crate::server::STORE);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(shared).unwrap().flatten() {
        let below = std::fs::read_dir(entry.path())
            .into_iter()
            .flatten()
            .flatten();
        names.extend(below.map(|entry| entry.file_name().into_string().unwrap()));
    }
    assert!(
        names.iter().any(|name| name.starts_with("shared-")),
        "{names:?}"
    );
}

#[test]
fn hundreds_of_small_actions_are_each_run_once() {
    const ACTIONS: usize = 500;
    const CLIENTS: usize = 16;
    let server = Setup::new().args("-j 4").start();
    run(async {
        let next = std::rc::Rc::new(std::cell::Cell::new(0));
        let mut tasks = Vec::new();
        for number in 0..CLIENTS {
            let client = connect_from(&server, 1, &number.to_string()).await;
            let next = std::rc::Rc::clone(&next);
            tasks.push(tokio::task::spawn_local(async move {
                loop {
                    let number: usize = next.replace(next.get() + 1);
                    if number >= ACTIONS {
                        return;
                    }
                    let act = Act::sh("echo $(cat in) done")
                        .file("in", number.to_string())
                        .cached();
                    assert_eq!(act.says(&client).await, format!("{number} done\n"));
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let client = connect(&server).await;
        let status = client.status().await.unwrap();
        assert_eq!((status.running, status.queued), (0, 0));
    });
    assert_eq!(server.count_in_log("COMPILE_OK"), ACTIONS);
}
