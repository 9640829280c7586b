//! What one job costs the agent once it knows the compiler, the worker and all headers: each source is new.
//!
//! The agent runs under valgrind, with everything else as always. Counted are two runs, with few and with many jobs: the
//! difference is what the jobs between take.

use std::fs;
use std::path::Path;

use e2e::programs::{self, Kind};
use e2e::run::run;
use e2e::server::Server;
use e2e::workspace::{Workspace, open_to_all};

use super::budgets::Figure;
use super::counts::{ALLOCATIONS, INSTRUCTIONS, allocations_in, instructions_in};
use crate::bench::native::relay::Relay;

const JOBS: [usize; 2] = [10, 90];

/// Headers of each source, in a few directories.
const HEADERS: usize = 60;

/// Starts several agents under valgrind, each of which reads the compiler.
pub(super) fn measure() -> Result<Vec<Figure>, String> {
    let [few, many] = JOBS.map(|jobs| Session::hold(jobs, INSTRUCTIONS, instructions_in));
    let (few, many) = (few?, many?);
    let jobs = (JOBS[1] - JOBS[0]) as u64;
    let per_job = |few: u64, many: u64| many.saturating_sub(few) / jobs;
    let allocations = JOBS.map(|jobs| Session::hold(jobs, ALLOCATIONS, allocations_in));
    let [few_allocations, many_allocations] = allocations;
    Ok(vec![
        Figure::new(
            "agent_instructions_per_job",
            per_job(few.counted, many.counted),
        ),
        Figure::new(
            "agent_allocations_per_job",
            per_job(few_allocations?.counted, many_allocations?.counted),
        ),
        Figure::new("bytes_sent_per_job", per_job(few.sent, many.sent)),
    ])
}

/// What was seen of an agent from start to end.
struct Session {
    counted: u64,
    sent: u64,
}

impl Session {
    fn hold(
        jobs: usize,
        valgrind: &[&str],
        read: fn(&str) -> Result<u64, String>,
    ) -> Result<Self, String> {
        let place = Workspace::new();
        let server = Server::start(&place, Kind::Ours);
        let relay = Relay::start(server.port()).map_err(|error| error.to_string())?;
        let mut client = Workspace::new();
        client.set_hosts(relay.host() + ",native");
        write_sources(&client, jobs);
        let log = client.root().join("valgrind.log");
        let agent = format!(
            "#!/bin/sh\nexec valgrind --log-file={} {} {} \"$@\"\n",
            log.display(),
            valgrind.join(" "),
            programs::farcc().display()
        );
        let agent = client.script("farcc-counted", &agent);
        for number in 0..jobs {
            let mut shim = client.command(programs::distcc());
            shim.env("FARCC_PROGRAM", &agent)
                .env("DISTCC_FALLBACK", "0")
                .args(["gcc", "-Ia", "-Ib", "-c"])
                .arg(format!("s{number}.c"))
                .args(["-o", "out.o"]);
            let outcome = run(&mut shim);
            if outcome.code() != 0 {
                return Err(format!("a job of the counted agent failed: {outcome:?}"));
            }
        }
        let sent = relay.sent();
        client.drain_agents();
        let said = read_log(&log)?;
        Ok(Self {
            counted: read(&said)?,
            sent,
        })
    }
}

fn read_log(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Sources that differ in their text, over the same headers.
fn write_sources(client: &Workspace, jobs: usize) {
    use std::fmt::Write as _;
    let dir = |number: usize| ["a", "b"][number % 2];
    for number in 0..HEADERS {
        let mut text = format!("#ifndef H{number}\n#define H{number}\n");
        if number > 0 {
            let _infallible = writeln!(text, "#include \"h{}.h\"", number - 1);
        }
        for line in 0..20 {
            let _infallible = writeln!(text, "extern int f{number}_{line}(int);");
        }
        text.push_str("#endif\n");
        client.write(&format!("{}/h{number}.h", dir(number)), &text);
    }
    for number in 0..jobs {
        let text = format!(
            "#include \"h{}.h\"\nint f(void) {{ return f1_1({number}); }}\n",
            HEADERS - 1
        );
        client.write(&format!("s{number}.c"), &text);
    }
    open_to_all(&client.src(""), 0o755);
}
