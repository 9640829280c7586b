//! One job of a client that speaks distcc's protocol, from its request to the answer.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::{Duration, Instant};

use cmdline::ServerCommand;
use stock::exit::ExitCode;
use stock::{Ended, Input, Packed, Progress, Request, RequestDecoder};
use sys::sandbox::Outcome;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::answer::{Answer, answer, send};
use crate::client::{Client, hang_up};
use crate::execute::{Execution, JobEnd};
use crate::forecast::Kind;
use crate::job_root::Job;
use crate::limits;
use crate::memory::Share;
use crate::queue::Party;
use crate::refusal::Refusal;
use crate::server::{Phase, Running, Server};
use crate::slots::Wish;
use crate::stats::Ending;

/// Why a job does not come to an answer of the compiler's.
#[derive(Debug)]
enum Stop {
    /// The client is told this.
    Refused(Refusal),
    /// There is nobody left to tell.
    Gone,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}

/// What is known of a job, for the log.
#[derive(Debug, Default)]
struct Summary {
    compiler: String,
    source: String,
    wait_status: u32,
    cpu: Duration,
    rss_kib: u64,
}

/// Serves the request whose first bytes are `head`.
pub(crate) async fn serve(server: &Server, mut client: Client, head: Vec<u8>) {
    let started = Instant::now();
    let mut summary = Summary::default();
    let peer = client.peer;
    let result = run(server, &mut client, &head, &mut summary).await;
    let (ending, exit) = match result {
        Ok(answer) => match send(server, &mut client, &answer).await {
            Ok(()) => (answer.ending, None),
            Err(error) => {
                server
                    .log
                    .info(format_args!("{peer}: the answer was not taken: {error}"));
                (Ending::Disconnected, Some(ExitCode::IoError))
            }
        },
        Err(Stop::Gone) => (Ending::Disconnected, Some(ExitCode::IoError)),
        Err(Stop::Refused(refusal)) => {
            server.log.warning(format_args!("{peer}: {refusal}"));
            let (ending, exit) = (refusal.ending, refusal.exit);
            if let Some(answer) = refusal.encode(&head, &server.name) {
                let _gone = client.send(&[answer], server.io_time_max).await;
                client.linger().await;
            }
            (ending, Some(exit))
        }
    };
    let time = started.elapsed();
    server.stats.ended(ending);
    if matches!(ending, Ending::Ok | Ending::Error) {
        server
            .stats
            .compiled(time, summary.rss_kib, &summary.compiler, &summary.source);
    }
    log_summary(server, peer, ending, exit, time, &summary);
}

/// The life of a job.
async fn run(
    server: &Server,
    client: &mut Client,
    head: &[u8],
    summary: &mut Summary,
) -> Result<Answer, Stop> {
    // The whole request first: a slow client costs memory, and that is bounded, but no slot.
    let mut memory = Share::default();
    let request = receive(server, client, head, &mut memory).await?;
    let version = request.version;

    // Then everything that can be refused without work.
    let (command, program) = check(server, &request, summary)?;

    let wish = Wish {
        party: Party::new(client.peer.ip(), ""),
        priority: 0,
        kind: Kind::new(&summary.compiler, &summary.source),
    };
    let slot = tokio::select! {
        slot = server.slots.take(wish) => slot,
        stop = interrupted(server, client) => return Err(stop),
    };
    let running = Running::new(&server.stats);
    let started = Instant::now();
    let request = unpack(server, request).await?;
    let job = Job::new(&command, program, request, server.is_sandboxed)
        .map_err(|error| Refusal::bad_request(ExitCode::BadArguments, error))?;

    let saved = server.saved.as_ref().map(|saved| (saved, saved.next()));
    if let (Some((saved, number)), Some(text)) = (saved, job.text()) {
        saved.keep(
            &server.log,
            number,
            command.language.preprocessed_extension(),
            text,
        );
    }
    let execution = job
        .with_spec(&server.job_env, server.job_limits, |spec| {
            Execution::start(&server.spawner, spec)
        })
        .map_err(|error| Refusal::failed("cannot start the job", error))?;
    // From here on the job has its input itself.
    drop((job, memory));
    let end = tokio::select! {
        end = execution.end(server.job_lifetime) => end,
        stop = interrupted(server, client) => return Err(stop),
    };
    drop(running);
    let outcome = compiler_outcome(server, end)?;
    summary.cpu = outcome.cpu();
    summary.rss_kib = outcome.rss_kib_max;
    slot.learn(outcome.rss_kib_max << 10, started.elapsed());
    // Whether memory was dumped is this machine's business, and it never is.
    let status = outcome.wait_status.cast_unsigned();
    summary.wait_status = Ended::from_wait_status(status).wait_status();
    Ok(answer(server, version, outcome, slot, summary.wait_status).await?)
}

/// Returns when the job is not to go on: the client has hung up, or the server is told to stop.
async fn interrupted(server: &Server, client: &mut Client) -> Stop {
    tokio::select! {
        () = hang_up(&mut *client.reader) => Stop::Gone,
        () = server.reached(Phase::Stopping) => Stop::Refused(Refusal::new(
            ExitCode::Gone,
            Ending::Overload,
            "this server has been stopped",
        )),
    }
}

/// Reads a request to its end.
async fn receive(
    server: &Server,
    client: &mut Client,
    head: &[u8],
    memory: &mut Share,
) -> Result<Request<Packed>, Stop> {
    let mut decoder = RequestDecoder::new(limits::REQUEST);
    let mut buffer = vec![0; limits::READ_BYTES];
    let mut bytes = head;
    let mut total = 0;
    loop {
        let progress = decoder.feed(bytes).map_err(|error| {
            Refusal::bad_request(
                ExitCode::ProtocolError,
                format_args!("bad request: {error}"),
            )
        })?;
        if let Progress::Done { .. } = progress {
            break;
        }
        let read = async {
            let count = client.reader.read(&mut buffer).await?;
            total += count;
            if total > limits::FREE_BYTES {
                server.memory.grow(memory, count).await;
            }
            io::Result::Ok(count)
        };
        let read = tokio::select! {
            read = timeout(server.io_time_max, read) => read,
            // What is incomplete now can as well be done elsewhere.
            () = server.reached(Phase::Draining) => return Err(Stop::Gone),
        };
        bytes = match read {
            Ok(Ok(0) | Err(_)) => {
                let cut = decoder.closed();
                server.log.info(format_args!("{}: {cut}", client.peer));
                return Err(Stop::Gone);
            }
            Ok(Ok(count)) => &buffer[..count],
            Err(_) => {
                let text = format!(
                    "nothing came for {} s while waiting for {}",
                    server.io_time_max.as_secs(),
                    decoder.waiting()
                );
                return Err(Refusal::new(ExitCode::TimedOut, Ending::BadRequest, text).into());
            }
        };
    }
    decoder
        .finish()
        .map_err(|error| Refusal::bad_request(ExitCode::ProtocolError, error).into())
}

/// Is this a compile, and with a compiler of ours?
fn check(
    server: &Server,
    request: &Request<Packed>,
    summary: &mut Summary,
) -> Result<(ServerCommand, std::path::PathBuf), Refusal> {
    let argv: Vec<OsString> = request
        .argv
        .iter()
        .cloned()
        .map(OsString::from_vec)
        .collect();
    summary.compiler = argv.first().map(|name| base_name(name)).unwrap_or_default();
    let input = match request.input {
        Input::Preprocessed(_) => cmdline::Input::Preprocessed,
        Input::Files(_) => cmdline::Input::Files,
    };
    if input == cmdline::Input::Files && !server.is_sandboxed {
        return Err(Refusal::bad_request(
            ExitCode::ProtocolError,
            "this server runs without a sandbox, and protocol 3 (pump mode, `,cpp`) needs one: \
             remove `,cpp` from this host in the host list",
        ));
    }
    let command = cmdline::server_check(&argv, input).map_err(|refusal| {
        Refusal::bad_request(
            ExitCode::BadArguments,
            format_args!("not run here: {refusal}"),
        )
    })?;
    summary.source = base_name(&command.argv[command.source.word]);
    let program = server.compilers.find(&command.argv[0]).map_err(|error| {
        let exit = match error {
            crate::compilers::NoCompiler::NotAllowed { .. } => ExitCode::AccessDenied,
            crate::compilers::NoCompiler::Missing { .. } => ExitCode::CompilerMissing,
        };
        Refusal::bad_request(exit, error)
    })?;
    Ok((command, program))
}

/// Decompresses the input, the large ones elsewhere, and few at once.
async fn unpack(server: &Server, request: Request<Packed>) -> Result<Request, Stop> {
    let packed_bytes = match &request.input {
        Input::Preprocessed(text) => text.len(),
        Input::Files(files) => files.iter().fold(0, |sum, file| match &file.body {
            stock::Body::File(content) => sum + content.len(),
            stock::Body::Link(_) => sum,
        }),
    };
    let unpacked = if !request.version.is_compressed() || packed_bytes <= limits::BLOCKING_BYTES {
        request.unpack(&limits::REQUEST)
    } else {
        let _one_of_few = server.unpackers.acquire().await;
        let unpacked = tokio::task::spawn_blocking(|| request.unpack(&limits::REQUEST)).await;
        unpacked.map_err(|error| {
            Refusal::failed("cannot decompress the input", io::Error::other(error))
        })?
    };
    unpacked.map_err(|error| {
        let text = format!("bad request: {error}");
        Refusal::bad_request(ExitCode::ProtocolError, text).into()
    })
}

/// The compiler's end, or why there is none.
fn compiler_outcome(server: &Server, end: io::Result<JobEnd>) -> Result<Outcome, Refusal> {
    match end.map_err(|error| Refusal::failed("lost the job", error))? {
        JobEnd::Compiler(outcome) => Ok(outcome),
        JobEnd::NoProgram(why) => {
            let text =
                format!("{why}; is it gone, or outside of what jobs can see? Restart this server");
            Err(Refusal::new(ExitCode::CompilerMissing, Ending::Error, text))
        }
        JobEnd::NotSetUp(why) => Err(Refusal::new(ExitCode::IoError, Ending::Other, why)),
        JobEnd::OutOfMemory => {
            let why = "the job was killed: it used more memory than a job may here";
            Err(Refusal::new(ExitCode::OutOfMemory, Ending::Other, why))
        }
        JobEnd::Killed => {
            let why = "the job was killed: out of memory?";
            Err(Refusal::new(ExitCode::Failed, Ending::Other, why))
        }
        JobEnd::TooLong(_) => {
            let seconds = server.job_lifetime.unwrap_or_default().as_secs();
            let why = format!("the job was killed after {seconds} s (--job-lifetime)");
            Err(Refusal::new(ExitCode::TimedOut, Ending::Timeout, why))
        }
    }
}

fn base_name(path: &OsStr) -> String {
    let name = Path::new(path).file_name().unwrap_or(path);
    String::from_utf8_lossy(name.as_bytes()).into_owned()
}

/// One line for each connection, in stock's form.
fn log_summary(
    server: &Server,
    peer: crate::client::Peer,
    ending: Ending,
    exit: Option<ExitCode>,
    time: Duration,
    summary: &Summary,
) {
    let (code, signal) = match Ended::from_wait_status(summary.wait_status) {
        Ended::Exit(code) => (code, 0),
        Ended::Signal(signal) => (0, signal),
    };
    server.log.notice(format_args!(
        "client: {peer} {} exit:{code} sig:{signal} core:0 ret:{} time:{}ms {} {}",
        ending.label(),
        exit.map_or(0, ExitCode::code),
        time.as_millis(),
        summary.compiler,
        summary.source,
    ));
    server.log.debug(format_args!(
        "{peer}: compiler used {} ms of CPU and {} KiB",
        summary.cpu.as_millis(),
        summary.rss_kib
    ));
}
