//! What one run of the shim costs when the agent answers at once.

use std::process::Command;
use std::time::Duration;

use e2e::programs::{self, STOCK_CLIENT};
use e2e::workspace::Workspace;

use crate::bench::{need_stock, stub_agent};
use crate::cargo::use_release_programs;
use crate::cpu::{Cost, measure, median_ms};

const RUNS: usize = 1000;

/// CPU milliseconds that a run of the shim may cost over `/bin/true`.
const OVER_TRUE_MS_MAX: f64 = 1.0;

/// A program that is measured.
struct Candidate {
    name: &'static str,
    command: Command,
    costs: Vec<Cost>,
}

/// Runs the candidates in turns, so that all see the same machine.
pub(crate) fn run() -> Result<(), String> {
    need_stock()?;
    use_release_programs()?;
    let workspace = Workspace::new();
    stub_agent::serve(&workspace.distcc_dir())?;
    let candidate = |name, program: &str, args: &[&str]| {
        let mut command = workspace.command(program);
        command.args(args);
        Candidate {
            name,
            command,
            costs: Vec::with_capacity(RUNS),
        }
    };
    let shim = programs::distcc().display().to_string();
    let mut candidates = [
        candidate("/bin/true", "/bin/true", &[]),
        candidate("distcc --version (stock)", STOCK_CLIENT, &["--version"]),
        candidate(
            "distcc gcc -c a.c (shim)",
            &shim,
            &["gcc", "-c", "a.c", "-o", "a.o"],
        ),
    ];
    for _ in 0..RUNS {
        for candidate in &mut candidates {
            let cost = measure(&mut candidate.command)?;
            if cost.wait_status != 0 {
                return Err(format!("{} failed", candidate.name));
            }
            candidate.costs.push(cost);
        }
    }
    println!("{RUNS} runs of each, in turns; medians\n");
    println!("{:<28} {:>10} {:>10}", "", "CPU ms", "wall ms");
    for candidate in &candidates {
        let (cpu, wall) = candidate.medians();
        println!("{:<28} {cpu:>10.3} {wall:>10.3}", candidate.name);
    }
    let [nothing, stock, shim] = candidates.each_ref().map(|candidate| candidate.medians().0);
    let over = shim - nothing;
    println!("\nthe shim over /bin/true: {over:.3} ms of CPU (at most {OVER_TRUE_MS_MAX:.1})");
    println!(
        "startup true_ms={nothing:.3} stock_ms={stock:.3} shim_ms={shim:.3} over_true_ms={over:.3}"
    );
    if over > OVER_TRUE_MS_MAX {
        return Err("the shim costs too much".into());
    }
    Ok(())
}

impl Candidate {
    /// Processor and wall clock, milliseconds.
    fn medians(&self) -> (f64, f64) {
        let of = |pick: fn(&Cost) -> Duration| {
            let times: Vec<_> = self.costs.iter().map(pick).collect();
            median_ms(&times)
        };
        (of(|cost| cost.cpu), of(|cost| cost.wall))
    }
}
