//! What runs, seen by stock's monitor and by ours, whoever runs it.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use e2e::programs::{self, Kind, STOCK_MONITOR};
use e2e::run::run;
use e2e::workspace::Workspace;

use crate::held::Held;

/// The state that a monitor reads is written a moment after the compiler has started.
const ROUNDS_MAX: usize = 2000;

impl Held {
    /// What a monitor shows, once it shows something: the client writes down that it waits for
    /// the compiler only after the compiler has started.
    fn rows(&self, monitor: Kind) -> String {
        let program = match monitor {
            Kind::Stock => PathBuf::from(STOCK_MONITOR),
            Kind::Ours => {
                let link = self.workspace.root().join("bin/distccmon-text");
                let _exists = symlink(programs::farcc(), &link);
                link
            }
        };
        let mut text = String::new();
        for _ in 0..ROUNDS_MAX {
            text = run(&mut self.workspace.command(&program)).success().stdout;
            if text.contains("Compile") {
                break;
            }
        }
        text
    }

    fn check_shown_by(&self, monitor: Kind) {
        let text = self.rows(monitor);
        let rows: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(rows.len(), 1, "{monitor:?}: {text:?}");
        let words: Vec<_> = rows[0].split_whitespace().collect();
        assert_eq!(
            words[1..],
            ["Compile", "held.c", "127.0.0.1[0]"],
            "{text:?}"
        );
    }

    fn finish(self) {
        drop(self.go);
        self.running.finish().silent_success();
        let text = run(&mut self.workspace.command(STOCK_MONITOR))
            .success()
            .stdout;
        assert_eq!(text, "\n", "a job that has ended is shown");
    }
}

fn check(client: Kind) {
    let Some(held) = Held::start(client) else {
        return;
    };
    held.check_shown_by(Kind::Stock);
    held.check_shown_by(Kind::Ours);
    held.finish();
}

#[test]
fn our_jobs_are_shown_by_both_monitors() {
    check(Kind::Ours);
}

#[test]
fn stocks_jobs_are_shown_by_both_monitors() {
    check(Kind::Stock);
}

/// Stock's monitor deletes state files that are older than a minute. A job that long is made by
/// setting the file's time back: ours still shows it.
#[test]
fn a_job_of_minutes_stays_visible() {
    let Some(held) = Held::start(Kind::Ours) else {
        return;
    };
    held.check_shown_by(Kind::Ours);
    let state = held.workspace.distcc_dir().join("state");
    for entry in fs::read_dir(state).unwrap() {
        let file = OpenOptions::new()
            .write(true)
            .open(entry.unwrap().path())
            .unwrap();
        let old = SystemTime::now() - Duration::from_secs(600);
        file.set_modified(old).unwrap();
    }
    held.check_shown_by(Kind::Ours);
    held.finish();
}

#[test]
fn nothing_runs_and_one_empty_line_is_shown() {
    let workspace = Workspace::new();
    let link = workspace.root().join("bin/distccmon-text");
    symlink(programs::farcc(), &link).unwrap();
    assert_eq!(run(&mut workspace.command(&link)).success().stdout, "\n");
    let mut wrong = workspace.command(&link);
    assert_eq!(run(wrong.arg("nonsense")).code(), 1);
}
