//! A few seconds of what `fuzz/` does for hours: the same checks, over the
//! captures and mutations of them.

use fastrand::Rng;
use stock::check;

use crate::{captures, mutate::mutate};

/// Change it to look elsewhere; a failure names it.
const SEED: u64 = 0x5eed_d157;

fn smoke(kind: &str, rounds: usize, check: fn(&[u8])) {
    let mut rng = Rng::with_seed(SEED);
    let seeds = captures(kind);
    for (name, bytes) in &seeds {
        println!("{kind}/{name}");
        check(bytes);
    }
    for round in 0..rounds {
        let (name, bytes) = rng.choice(&seeds).unwrap();
        let mut bytes = bytes.clone();
        mutate(&mut rng, &mut bytes);
        // Shown only if the check panics.
        println!(
            "seed {SEED:#x}, round {round}, {kind}/{name}: \"{}\"",
            bytes.escape_ascii()
        );
        check(&bytes);
    }
    for _ in 0..rounds / 4 {
        let len = rng.usize(..300);
        let bytes: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(len).collect();
        println!("random bytes: \"{}\"", bytes.escape_ascii());
        check(&bytes);
    }
}

#[test]
fn requests() {
    smoke("request", 6000, check::request);
}

#[test]
fn replies() {
    smoke("reply", 3000, check::reply);
}

#[test]
fn host_lists() {
    smoke("hosts", 10_000, check::hosts);
    smoke("lsdistcc", 2000, check::hosts);
}

#[test]
fn state_files() {
    smoke("state", 4000, check::state);
}

#[test]
fn lzo_blocks() {
    smoke("lzo", 6000, check::lzo);
}
