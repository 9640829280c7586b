//! How long a freed slot stays empty while jobs wait for it: from the server's last byte of one
//! answer to the next connection.

use std::time::Duration;

use e2e::programs::{Kind, client};
use e2e::run::Running;
use e2e::workspace::Workspace;

use crate::bench::need_stock;
use crate::bench::stub_server::StubServer;
use crate::cargo::use_release_programs;
use crate::cpu::{median_ms, of_process};

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
    println!("{:<16} {:>10} {:>10}", "", "median", "longest");
    let [ours, stocks] = [Kind::Ours, Kind::Stock].map(|kind| {
        let times = hand_overs(kind)?;
        let longest = times.iter().max().copied().unwrap_or_default();
        let (median, longest) = (median_ms(&times), longest.as_secs_f64() * 1000.0);
        let name = match kind {
            Kind::Ours => "farcc",
            Kind::Stock => "stock distcc",
        };
        println!("{name:<16} {median:>10.2} {longest:>10.2}");
        Ok::<_, String>((median, longest))
    });
    let ((ours_median, ours_max), (stock_median, stock_max)) = (ours?, stocks?);
    println!(
        "\nhandover ours_median_ms={ours_median:.2} ours_max_ms={ours_max:.2} \
         stock_median_ms={stock_median:.2} stock_max_ms={stock_max:.2}"
    );
    if ours_median > EMPTY_MS_MAX {
        return Err(format!(
            "a freed slot stays empty for more than {EMPTY_MS_MAX} ms"
        ));
    }
    Ok(())
}

fn hand_overs(kind: Kind) -> Result<Vec<Duration>, String> {
    let failed = |error: std::io::Error| format!("the stub server failed: {error}");
    let mut workspace = Workspace::new();
    let mut server = StubServer::start().map_err(failed)?;
    workspace.set_hosts(server.host(SLOTS).map_err(failed)?);
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
