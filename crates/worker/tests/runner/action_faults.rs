//! Clients that leave, wait too long or ask for too much; servers that are told to stop.

use std::rc::Rc;
use std::time::Duration;

use reapi::Stage;
use reapi::client::{CallError, Client, Wanted};
use rustix::process::{Pid, Signal};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::native::{Act, connect, connect_from, content, run, soon, text};
use crate::server::{
    PATIENCE, Server, Setup, find_process, unique, wait_for_death, wait_until_gone,
};

/// An action that runs until its `sleep` is killed, and the word by which that is found.
fn sleeper() -> (Act, String) {
    let word = unique();
    (
        Act::sh(&format!("echo begun; sleep {word}; echo ended")),
        word,
    )
}

/// Waits until a process with this word is there.
async fn process(word: &str) -> i32 {
    let word = word.to_owned();
    let found = tokio::task::spawn_blocking(move || crate::server::wait_for_process(&word));
    found.await.unwrap()
}

fn wake(pid: i32) {
    rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
}

/// Executes in the background; says when it runs.
fn start(act: &Act, client: &Client) -> (JoinHandle<Result<String, CallError>>, Rc<Notify>) {
    let (act, client) = (act.clone(), client.clone());
    let running = Rc::new(Notify::new());
    let told = Rc::clone(&running);
    let task = tokio::task::spawn_local(async move {
        let action = act.upload(&client).await;
        let stage = |stage| {
            if stage == Stage::Executing {
                told.notify_one();
            }
        };
        let executed = client.execute(&action, &Wanted::default(), stage).await?;
        Ok(text(&client, &executed.result.stdout).await)
    });
    (task, running)
}

#[test]
fn a_command_that_takes_too_long_is_killed() {
    let server = Server::start();
    let (act, word) = sleeper();
    run(async {
        let client = connect(&server).await;
        let asked = act.timeout(Duration::from_millis(300)).ask(&client).await;
        let Err(CallError::Deadline { text, .. }) = asked else {
            panic!("{asked:?}")
        };
        assert!(text.contains("0.3 s"), "{text}");
    });
    wait_until_gone(&word);
    server.wait_for_log("COMPILE_TIMEOUT");
    server.check_alive();
}

#[test]
fn what_a_command_printed_before_its_time_was_over_is_told() {
    let server = Server::start();
    run(async {
        let client = connect(&server).await;
        let long = "echo out; i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890; \
                    i=$((i + 1)); done >&2; sleep 1000";
        let act = Act::sh(long).timeout(Duration::from_secs(2));
        let asked = act.ask(&client).await;
        let Err(CallError::Deadline {
            partial: Some(partial),
            ..
        }) = asked
        else {
            panic!("{asked:?}")
        };
        assert_eq!(partial.exit_code, 137);
        assert_eq!(&partial.stdout.raw[..], b"out\n");
        // Too long for the answer itself.
        assert_eq!(text(&client, &partial.stderr).await.len(), 3000 * 32);
    });
}

#[test]
fn a_timeout_over_the_servers_own_is_refused() {
    let server = Setup::new().args("--job-lifetime 2").start();
    run(async {
        let client = connect(&server).await;
        let act = Act::sh("exit 0").timeout(Duration::from_secs(3));
        let error = act.ask(&client).await.unwrap_err().to_string();
        assert!(error.contains("--job-lifetime"), "{error}");
        assert!(
            act.timeout(Duration::from_secs(2))
                .ask(&client)
                .await
                .is_ok()
        );
        let (act, _) = sleeper();
        assert!(matches!(
            act.ask(&client).await,
            Err(CallError::Deadline { .. })
        ));
    });
}

#[test]
fn a_command_dies_with_its_client() {
    let server = Setup::new().args("-j 1").start();
    run(async {
        for hangs_up in [false, true] {
            let client = connect(&server).await;
            let (act, word) = sleeper();
            let (task, _) = start(&act, &client);
            let pid = process(&word).await;
            if hangs_up {
                drop(client);
            }
            task.abort();
            let dead = tokio::task::spawn_blocking(move || wait_for_death(pid, PATIENCE));
            dead.await.unwrap();
        }
        // And its slot is free.
        let client = connect(&server).await;
        assert_eq!(Act::sh("echo x").says(&client).await, "x\n");
    });
    server.wait_for_log("CLI_DISCONN");
}

#[test]
fn who_waits_and_leaves_is_forgotten() {
    let server = Setup::new().args("-j 1").start();
    run(async {
        let client = connect(&server).await;
        let (act, word) = sleeper();
        let (first, _) = start(&act, &client);
        let pid = process(&word).await;
        let (waiting, waiting_word) = sleeper();
        let (second, _) = start(&waiting, &client);
        let status = async |queued| {
            while client.status().await.unwrap().queued != queued {
                tokio::task::yield_now().await;
            }
        };
        soon("the second waits", status(1)).await;
        second.abort();
        soon("it is forgotten", status(0)).await;
        wake(pid);
        assert_eq!(first.await.unwrap().unwrap(), "begun\nended\n");
        assert_eq!(find_process(&waiting_word), None);
    });
}

#[test]
fn slots_are_shared_between_clients() {
    let server = Setup::new().args("-j 1 --allow 127.0.0.0/8").start();
    run(async {
        let (one, two) = (
            connect_from(&server, 1, "one").await,
            connect_from(&server, 2, "two").await,
        );
        let (act, word) = sleeper();
        let (first, _) = start(&act, &one);
        let pid = process(&word).await;
        let mut tasks = Vec::new();
        for (client, name, waiting) in [
            (&one, "one a", 1),
            (&one, "one b", 2),
            (&one, "one c", 3),
            (&two, "two a", 4),
            (&two, "two b", 5),
        ] {
            let act = Act::sh(&format!("echo {name}"));
            let (client, asking) = (client.clone(), client.clone());
            tasks.push(tokio::task::spawn_local(async move {
                // Not the order of the answers: two connections have none between them.
                let started = act.succeeds(&client).await.metadata.worker_start;
                (started.unwrap(), name)
            }));
            let queued = async {
                while asking.status().await.unwrap().queued != waiting {
                    tokio::task::yield_now().await;
                }
            };
            soon("it waits", queued).await;
        }
        wake(pid);
        first.await.unwrap().unwrap();
        let mut order = Vec::new();
        for task in tasks {
            order.push(soon("all are done", task).await.unwrap());
        }
        order.sort_unstable();
        let order: Vec<_> = order.iter().map(|(_, name)| *name).collect();
        // Each comes second time only after the other had its first.
        assert_eq!(order[..4], ["two a", "one a", "two b", "one b"]);
    });
}

#[test]
fn a_server_that_is_told_to_stop_finishes_what_runs_and_sends_the_rest_away() {
    let mut server = Setup::new().args("-j 1").start();
    run(async {
        let client = connect(&server).await;
        let word = unique();
        let act = Act::sh(&format!("sleep {word}; seq 100000 >out")).output("out");
        let running = tokio::task::spawn_local({
            let (act, client) = (act.clone(), client.clone());
            async move { act.ask(&client).await }
        });
        let pid = process(&word).await;
        let (waiting, _) = start(&Act::sh("echo waited"), &client);
        let queued = async {
            while client.status().await.unwrap().queued != 1 {
                tokio::task::yield_now().await;
            }
        };
        soon("the second waits", queued).await;
        server.signal(Signal::TERM);
        let away = waiting.await.unwrap();
        assert!(matches!(away, Err(CallError::Unavailable(_))), "{away:?}");
        assert!(client.status().await.unwrap().is_draining);
        let new = Act::sh("echo new").ask(&client).await;
        assert!(matches!(new, Err(CallError::Unavailable(_))), "{new:?}");
        wake(pid);
        let done = running.await.unwrap().unwrap();
        // What it made can still be fetched.
        let made = content(&client, &done.result, "out").await;
        assert!(made.ends_with(b"\n100000\n"));
    });
    assert!(server.wait().success());
}

#[test]
fn a_server_that_is_told_to_stop_twice_kills_what_runs() {
    let mut server = Server::start();
    let word = run(async {
        let client = connect(&server).await;
        let (act, word) = sleeper();
        let (task, running) = start(&act, &client);
        soon("it runs", running.notified()).await;
        process(&word).await;
        server.signal(Signal::TERM);
        server.wait_for_log("told to stop");
        server.signal(Signal::TERM);
        let end = task.await.unwrap();
        assert!(matches!(end, Err(CallError::Unavailable(_))), "{end:?}");
        word
    });
    wait_until_gone(&word);
    assert!(server.wait().success());
}

#[test]
fn a_worker_without_room_serves_clients_of_distcc() {
    let setup = Setup::new();
    let taken = setup.path().join("taken");
    std::fs::write(&taken, "").unwrap();
    let server = setup.env("FARCC_STORE", &taken).start();
    server.wait_for_log("serving clients of distcc only");
    server.check_alive();
}

#[test]
fn two_workers_do_not_share_a_store() {
    let first = Server::start();
    let store = first.dir.path().join(crate::server::STORE);
    let second = Setup::new().env("FARCC_STORE", &store).start();
    second.wait_for_log("in use");
    run(async {
        let client = connect(&first).await;
        assert_eq!(Act::sh("echo x").says(&client).await, "x\n");
    });
}
