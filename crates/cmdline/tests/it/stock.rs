//! What is sent passes the argument scan of stock distcc itself.
//!
//! Stock's client and server share that scan, so the client is the oracle: without fallback and with no server
//! listening, it fails for what it would distribute and still runs what it would not.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use cmdline::{Driver, Placement, parse};
use tempfile::TempDir;

use crate::mutations::random_words;

/// Whether stock would distribute this command.
fn distributes(dir: &TempDir, argv: &[OsString]) -> bool {
    let status = Command::new("distcc")
        .arg("true")
        .args(argv)
        .current_dir(dir.path())
        .env("DISTCC_DIR", dir.path())
        .env("DISTCC_HOSTS", "127.0.0.1:1/1")
        .env("DISTCC_FALLBACK", "0")
        .env("DISTCC_BACKOFF_PERIOD", "60")
        .env_remove("DISTCC_LOG")
        .stderr(std::process::Stdio::null())
        .status()
        .expect("the tests need stock distcc");
    // 0 is what `true` returned when run locally.
    match status.code() {
        Some(0) => false,
        Some(code) if code >= 100 => true,
        other => panic!("{argv:?}: {other:?}"),
    }
}

#[test]
fn stock_takes_what_is_sent() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("a.c"), "int x;\n").unwrap();
    let check = |line: &str, expect| {
        let argv: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        assert_eq!(distributes(&dir, &argv), expect, "{line}");
    };
    check("-c a.c -o a.o", true);
    check("-E a.c", false);
    check("-flto -c a.c -o a.o", false);
    let (mut tried, mut seed) = (0, 1_000_000);
    while tried < 150 {
        seed += 1;
        let words = random_words(seed);
        let args: Vec<OsString> = words[1..].iter().map(Into::into).collect();
        let it = parse(&args, Driver::guess(&[OsStr::new(&words[0])]), &mut |_| {
            None
        });
        if it.where_to() != Placement::Distributable {
            continue;
        }
        tried += 1;
        let it = it.expand_native(&["-march=x86-64".into()]);
        let argv = it.server_argv(OsStr::new("/src"));
        assert!(
            distributes(&dir, &argv),
            "seed {seed}: {words:?} is sent as {argv:?}"
        );
    }
}
