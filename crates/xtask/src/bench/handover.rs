//! How long a freed slot stays empty while jobs wait for it: from the server's last byte of one
//! answer to the next connection.

use std::time::Duration;

use e2e::programs::{Kind, client};
use e2e::run::Running;
use e2e::workspace::Workspace;

use crate::bench::need_stock;
use crate::bench::stub_server::StubServer;
use crate::cargo::use_release_programs;
use crate::cpu::{of_process, percentile_ms};

const JOBS: usize = 200;
const SLOTS: usize = 8;

/// When no job has used any CPU for so long, all of them wait.
const QUIET: Duration = Duration::from_millis(500);

/// Median milliseconds that a slot may stay empty.
const EMPTY_MS_MAX: f64 = 5.0;

/// Measures ours, then stock's.
pub(crate) fn run() -> Result<(), String> {
    need_stock()?;
    use_release_programs()?;
    println!("{JOBS} jobs for {SLOTS} slots; milliseconds that a freed slot stays empty\n");
    println!(
        "{:<16} {:>10} {:>10} {:>10}",
        "", "median", "95 %", "longest"
    );
    let ours = measure("farcc", Kind::Ours)?;
    let stocks = measure("stock distcc", Kind::Stock)?;
    println!(
        "\nhandover {} {}",
        ours.words("ours"),
        stocks.words("stock")
    );
    if ours.median > EMPTY_MS_MAX {
        return Err(format!(
            "a freed slot stays empty for more than {EMPTY_MS_MAX} ms"
        ));
    }
    Ok(())
}

/// Milliseconds.
struct Empty {
    median: f64,
    most: f64,
    longest: f64,
}

impl Empty {
    fn words(&self, whose: &str) -> String {
        let Self {
            median,
            most,
            longest,
        } = self;
        format!(
            "{whose}_median_ms={median:.2} {whose}_p95_ms={most:.2} {whose}_max_ms={longest:.2}"
        )
    }
}

fn measure(name: &str, kind: Kind) -> Result<Empty, String> {
    let times = hand_overs(kind)?;
    let empty = Empty {
        median: percentile_ms(&times, 50),
        most: percentile_ms(&times, 95),
        longest: percentile_ms(&times, 100),
    };
    let Empty {
        median,
        most,
        longest,
    } = empty;
    println!("{name:<16} {median:>10.2} {most:>10.2} {longest:>10.2}");
    Ok(empty)
}

fn hand_overs(kind: Kind) -> Result<Vec<Duration>, String> {
    let failed = |error: std::io::Error| format!("the stub server failed: {error}");
    let mut workspace = Workspace::new();
    let mut server = StubServer::start().map_err(failed)?;
    let host = server.host(SLOTS).map_err(failed)?;
    workspace.set_hosts(match kind {
        Kind::Stock => host,
        // The stub is no worker, and would take the question for a job.
        Kind::Ours => host + ",stock",
    });
    workspace.write("a.c", "int a;\n");
    let jobs: Vec<Running> = (0..JOBS)
        .map(|number| {
            let mut command = workspace.command(client(kind));
            command.args(["gcc", "-c", "a.c", "-o", &format!("{number}.o")]);
            Running::start(&mut command)
        })
        .collect();
    for _ in 0..SLOTS {
        server.take_job().map_err(failed)?;
    }
    wait_until_quiet(&jobs)?;
    let times: Result<Vec<_>, _> = (SLOTS..JOBS).map(|_| server.hand_over()).collect();
    for _ in 0..SLOTS {
        server.end_job().map_err(failed)?;
    }
    for job in jobs {
        let outcome = job.finish();
        if !outcome.status.success() {
            return Err(format!("a job failed: {outcome:#?}"));
        }
    }
    times.map_err(failed)
}

/// Starting two hundred processes keeps the machine busy, and so would measure the machine.
fn wait_until_quiet(jobs: &[Running]) -> Result<(), String> {
    let mut before = None;
    loop {
        let used: Result<Duration, String> = jobs.iter().map(|job| of_process(job.pid())).sum();
        let used = Some(used?);
        if used == before {
            return Ok(());
        }
        before = used;
        std::thread::sleep(QUIET);
    }
}
