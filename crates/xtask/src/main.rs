//! `cargo xtask TASK`: everything that people and machines do with this repository besides
//! writing it. Continuous integration calls nothing else.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "these tasks talk to the person who started them"
)]

mod bench;
mod cargo;
mod control_group;
mod cpu;
mod demo;
mod dist;
mod foreign;
mod identity;
mod packages;
mod scan_check;
mod steps;
mod test;
mod tidy;
mod zstd;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask TASK

Tasks:
  test [--quick]    install what the tests need if it is missing, then check and test everything;
                    --quick leaves out the end-to-end tests
  setup             install what the tests need if it is missing, and nothing else
  tidy              check what no compiler checks: crate edges, lengths, names, paths in documents
  demo              build a real C library on two servers on this machine and compare every object
  bench startup     what one run of the shim costs, beside /bin/true and stock distcc
  bench client      what one compile costs the client, beside stock distcc
  bench cache COMPILE_COMMANDS_JSON [--sample N] [--add OPTIONS]
                    what a known result costs the client, beside ccache's direct mode
  bench cluster COMPILE_COMMANDS_JSON [--slots N,...] [--clients N] [--peers PEER,...] [--sample N]
                [--rounds N] [--servers N] [--jobs N] [--add OPTIONS] [--keep DIR] [--publish NAME]
                    a whole build on many cores, simulated on two, by farcc and its peers; `bench cluster --help`
                    tells who they are
  bench ratchet [--accept]
                    instructions, allocations, bytes and sizes that may not grow unnoticed
  bench handover    how long a freed slot stays empty while jobs wait, beside stock distcc
  bench scan COMPILE_COMMANDS_JSON [--sample N] [--scan-deps PROGRAM]
                    what a scan costs (first, text changed, directive changed), beside `gcc -E` and
                    `clang-scan-deps`; the same as scan-check
  bench server      what one job costs a server, with and without its sandbox, beside stock distccd
  bench native COMPILE_COMMANDS_JSON [--sample N] [--add OPTIONS]
                    what one compile on a worker costs the client, beside stock distcc
  bench worker      what one action of remote execution costs a worker besides its command
  bench worker-load [--actions N] [--store-size SIZE]
                    64 clients, 20,000 actions: none lost, none twice, memory flat
  scan-check COMPILE_COMMANDS_JSON [--sample N] [--compiler clang]
                    compare the include scanner with the compiler on any source tree
  scan-check --all [--dir DIR] [--only TREE]...
                    the same on the trees of docs/scan.md, fetched and built if they are not there
  identity COMPILE_COMMANDS_JSON [--sample N | --part K/N] [--compiler PROGRAM] [--add OPTIONS]
                    [--seed]
  identity --public
                    compile each unit here and on workers without a compiler, compare every byte
  build             build for release: target/dist/distcc and target/dist/farcc
  dist DIR          build for release and install into DIR, for packagers
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["test"] => test::run(test::Scope::All),
        ["test", "--quick"] => test::run(test::Scope::Quick),
        ["setup"] => test::setup(),
        ["tidy"] => tidy::run(),
        ["demo"] => demo::run(),
        ["bench", "startup"] => bench::startup::run(),
        ["bench", "cache", ref rest @ ..] => bench::cache::run(rest),
        ["bench", "client"] => bench::client::run(),
        ["bench", "cluster", ref rest @ ..] => bench::cluster::run(rest),
        ["bench", "ratchet", ref rest @ ..] => bench::ratchet::run(rest),
        ["bench", "handover"] => bench::handover::run(),
        ["bench", "server"] => bench::server::run(),
        // What a scan costs is measured with what it finds: who scans fast and wrong is not fast.
        ["bench", "scan", ref rest @ ..] => scan_check::run(rest),
        ["bench", "native", ref rest @ ..] => bench::native::run(rest),
        ["bench", "worker"] => bench::worker::run_cost(),
        ["bench", "worker-load", ref rest @ ..] => bench::worker::run_load(rest),
        ["scan-check", ref words @ ..] => scan_check::run(words),
        ["identity", ref words @ ..] => identity::run(words),
        ["build"] => dist::build(),
        ["dist", dir] => dist::run(dir),
        ["--help" | "-h" | "help"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(format!("no such task\n{USAGE}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {}", error.trim_end());
            ExitCode::FAILURE
        }
    }
}
