//! What one job costs a server besides the compiler: the smallest compile there is, answered by
//! stock's server and by ours with and without its sandbox, in turns.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use e2e::HANG_GUARD;
use e2e::programs::Kind;
use e2e::server::Server;
use e2e::workspace::Workspace;
use stock::{Input, Limits, Progress, ReplyDecoder, Request, Version};

use crate::bench::need_stock;
use crate::cargo::use_release_programs;
use crate::control_group::ControlGroup;
use crate::cpu::median_ms;

const JOBS: u32 = 300;

/// A server that is measured.
struct Candidate {
    name: &'static str,
    walls: Vec<Duration>,
    cpu_before: Duration,
    server: Server,
    /// After the server: dropped when it has ended.
    group: ControlGroup,
}

/// Sends each server the same job again and again.
pub(crate) fn run() -> Result<(), String> {
    need_stock()?;
    use_release_programs()?;
    let workspace = Workspace::new();
    let start = |name, kind, args: &[&str]| {
        let server = Server::start_with(&workspace, kind, args, &[]);
        // The first job of a server finds everything cold.
        compile(server.port())?;
        let group = ControlGroup::new(&server.port().to_string())?;
        group.take(server.pid())?;
        Ok(Candidate {
            name,
            walls: Vec::new(),
            cpu_before: group.cpu()?,
            server,
            group,
        })
    };
    let candidates: Result<Vec<Candidate>, String> = [
        ("stock distccd", Kind::Stock, &[][..]),
        ("distccd --sandbox=none", Kind::Ours, &["--sandbox=none"]),
        ("distccd", Kind::Ours, &["--sandbox=namespaces"]),
    ]
    .into_iter()
    .map(|(name, kind, args)| start(name, kind, args))
    .collect();
    let mut candidates = candidates?;
    for _ in 0..JOBS {
        for candidate in &mut candidates {
            let wall = compile(candidate.server.port())?;
            candidate.walls.push(wall);
        }
    }
    println!("{JOBS} jobs each, in turns: gcc on an empty file\n");
    println!("{:<24} {:>12} {:>16}", "", "CPU ms/job", "median wall ms");
    let mut cpus = Vec::new();
    for candidate in &candidates {
        let (cpu, wall) = (candidate.cpu_ms()?, median_ms(&candidate.walls));
        println!("{:<24} {cpu:>12.2} {wall:>16.2}", candidate.name);
        cpus.push(cpu);
    }
    let [stock, bare, sandboxed] = cpus[..] else {
        return Err("not all servers were measured".into());
    };
    println!("\nthe sandbox: {:.2} ms of CPU per job", sandboxed - bare);
    println!("server stock_ms={stock:.2} bare_ms={bare:.2} sandboxed_ms={sandboxed:.2}");
    Ok(())
}

impl Candidate {
    /// Per job, compiler included.
    fn cpu_ms(&self) -> Result<f64, String> {
        let spent = self.group.cpu()?.saturating_sub(self.cpu_before);
        Ok(spent.as_secs_f64() * 1000.0 / f64::from(JOBS))
    }
}

/// One job from connecting to the last byte of its answer.
fn compile(port: u16) -> Result<Duration, String> {
    let failed = |error: std::io::Error| format!("a server failed: {error}");
    let words = ["gcc", "-c", "a.c", "-o", "a.o"];
    let request = Request {
        version: Version::V1,
        cwd: None,
        argv: words.map(|word| word.as_bytes().to_vec()).to_vec(),
        input: Input::Preprocessed(b"# 1 \"a.c\"\nint a;\n".to_vec()),
    };
    let bytes = request.pack().encode().map_err(|error| error.to_string())?;
    let start = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(failed)?;
    stream.set_read_timeout(Some(HANG_GUARD)).map_err(failed)?;
    stream.write_all(&bytes).map_err(failed)?;
    let mut decoder = ReplyDecoder::new(Version::V1, Limits::DEFAULT);
    let mut buffer = [0; 1 << 14];
    loop {
        let len = stream.read(&mut buffer).map_err(failed)?;
        let progress = decoder
            .feed(&buffer[..len])
            .map_err(|error| error.to_string())?;
        if let Progress::Done { .. } = progress {
            break;
        }
        if len == 0 {
            return Err("a server hung up".into());
        }
    }
    let reply = decoder.finish().map_err(|error| error.to_string())?;
    if reply.ended().exit_code() == 0 {
        Ok(start.elapsed())
    } else {
        Err("a server could not compile".into())
    }
}
