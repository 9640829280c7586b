//! Our rows beside those of stock's own `distccmon-text`, on the same directory.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use stock::Phase;
use stock::state::{Layout, State, file_name};

const SAMPLE: &[u8] = include_bytes!("data/binstate_sample_lp64");
const STOCK_MONITOR: &str = "/usr/bin/distccmon-text";

/// Processes that live as long as the test.
struct Processes(Vec<std::process::Child>);

impl Processes {
    fn start(count: usize) -> Self {
        let start = || Command::new("sleep").arg("600").spawn().unwrap();
        Self((0..count).map(|_| start()).collect())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for process in &mut self.0 {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

fn ours(distcc_dir: &Path) -> String {
    let mut on_error = |error| panic!("{error}");
    let text = monitor::text::round(&distcc_dir.join("state"), SystemTime::now(), &mut on_error);
    String::from_utf8(text.unwrap()).unwrap()
}

fn stocks(distcc_dir: &Path) -> String {
    let output = Command::new(STOCK_MONITOR)
        .env("DISTCC_DIR", distcc_dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn rows_equal_stocks_byte_for_byte() {
    if !Path::new(STOCK_MONITOR).exists() {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("state");
    fs::create_dir(&dir).unwrap();
    let long = "a_very_long_file_name_that_does_not_fit_into_its_column.cpp";
    let jobs = [
        ("b.c", "zeta.example.org", 10, Phase::Compile),
        ("a.c", "zeta.example.org", 9, Phase::Preprocess),
        (
            long,
            "a-host-with-a-name-of-more-than-24-bytes",
            0,
            Phase::Send,
        ),
        ("", "localhost", 3, Phase::Connect),
        ("done.c", "localhost", 4, Phase::Done),
        ("grüße.c", "127.0.0.1", -1, Phase::Receive),
        ("x", "", 0, Phase::Startup),
        ("y", "B", 0, Phase::Blocked),
    ];
    let processes = Processes::start(jobs.len());
    for (process, (file, host, slot, phase)) in processes.0.iter().zip(jobs) {
        let state = State {
            pid: process.id().into(),
            file: file.into(),
            host: host.into(),
            slot,
            phase,
        };
        let path = dir.join(file_name(process.id()));
        fs::write(path, state.encode(Layout::NATIVE)).unwrap();
    }
    let text = ours(temp.path());
    assert_eq!(text.lines().count(), jobs.len(), "{text}");
    assert_eq!(text, stocks(temp.path()));
}

#[test]
#[cfg(all(target_endian = "little", target_pointer_width = "64"))]
fn the_captured_file_of_a_stock_client_becomes_the_documented_row() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("state");
    fs::create_dir(&dir).unwrap();
    // The sample's process has long gone: give it a living one.
    let processes = Processes::start(1);
    let pid = processes.0[0].id();
    let mut bytes = SAMPLE.to_vec();
    bytes[16..24].copy_from_slice(&u64::from(pid).to_le_bytes());
    fs::write(dir.join(file_name(pid)), bytes).unwrap();
    let expected = format!(
        "{pid:6}  Compile     a.c                                           127.0.0.1[0]\n\n"
    );
    assert_eq!(ours(temp.path()), expected);
    if Path::new(STOCK_MONITOR).exists() {
        assert_eq!(stocks(temp.path()), expected);
    }
}
