//! `distccmon-text` and `farcc status` as programs.

use crate::space::{Answer, Space};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use stock::Phase;
use stock::state::{Layout, State, file_name};

fn write_job(space: &Space) -> String {
    let pid = std::process::id();
    let state = State {
        pid: pid.into(),
        file: b"b.c".to_vec(),
        host: b"127.0.0.1".to_vec(),
        slot: 0,
        phase: Phase::Compile,
    };
    let dir = space.path("distcc/state");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(file_name(pid)), state.encode(Layout::NATIVE)).unwrap();
    format!("{pid:6}  Compile     b.c                                           127.0.0.1[0]\n")
}

#[test]
fn one_round_is_rows_and_an_empty_line() {
    let space = Space::new();
    let row = write_job(&space);
    let answer = space.run("distccmon-text", &[]).success();
    assert_eq!(answer.stdout, format!("{row}\n"));
    assert_eq!(answer.stderr, "");
    let same = space.run("farcc", &["monitor"]).success();
    assert_eq!(same, answer);
}

#[test]
fn each_round_is_flushed_and_a_closed_pipe_is_the_end() {
    let space = Space::new();
    let row = write_job(&space);
    let mut monitor = space
        .command("distccmon-text", &["0.01"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(monitor.stdout.take().unwrap()).lines();
    for _round in 0..3 {
        assert_eq!(lines.next().unwrap().unwrap(), row.trim_end_matches('\n'));
        assert_eq!(lines.next().unwrap().unwrap(), "");
    }
    drop(lines);
    let answer = Answer::from(monitor.wait_with_output().unwrap());
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
}

#[test]
fn wrong_arguments_get_the_usage_and_code_1() {
    let space = Space::new();
    for args in [&["x"][..], &["1", "2"], &["--help"]] {
        let answer = space.run("distccmon-text", args);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""));
        assert!(answer.stderr.starts_with("usage: distccmon-text"));
    }
}

#[test]
fn no_directory_means_no_jobs_and_a_word_about_it() {
    let space = Space::new();
    let answer = space.run("distccmon-text", &[]).success();
    assert_eq!(answer.stdout, "\n");
    assert!(answer.stderr.contains("distcc/state` is not there (yet)"));
}

#[test]
fn status_shows_agent_hosts_and_jobs() {
    let space = Space::new();
    let row = write_job(&space);
    let mut farcc = space.command("farcc", &["status"]);
    let answer = Answer::of(farcc.env("DISTCC_HOSTS", "box1")).success();
    assert!(answer.stdout.starts_with("agent does not run"));
    assert!(answer.stdout.contains("4 jobs at once on all hosts"));
    assert!(answer.stdout.contains("1 jobs now\n"), "{answer:?}");
    assert!(answer.stdout.contains(row.trim()));
}
