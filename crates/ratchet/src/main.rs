//! `ratchet WORK TIMES`: does fixed work so many times and prints nothing. `cargo xtask bench ratchet` counts the
//! instructions that this takes; what one time takes is the difference between two runs.

mod decisions;
mod scans;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<usize>().ok();
    let done = match words[..] {
        ["decisions", jobs] => number(jobs).map(decisions::run),
        ["scans", rounds] => number(rounds).map(scans::run),
        _ => None,
    };
    match done {
        Some(()) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    }
}
