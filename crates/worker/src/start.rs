//! Starting a server: from options and environment to the point where it serves, in the order
//! that rights and processes demand.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use stock::exit::ExitCode;
use sys::daemon::{self, Detached, StartReport};
use sys::sandbox::{Config, Isolation, JobRoot, JobSpec, Spawner};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use crate::allow::Allow;
use crate::client::Client;
use crate::compilers::Compilers;
use crate::environment::Environment;
use crate::execute::{Execution, JobEnd};
use crate::log::{Log, Target};
use crate::options::{Mode, Options, Sandbox};
use crate::server::{self, Parts, Server, Signals};
use crate::{limits, listener};

/// Users that a server started by root becomes, the first that exists, as stock and Debian have
/// it.
const USERS: &[&str] = &["distcc", "distccd", "nobody"];

/// Nobody else may write what a server creates.
const UMASK: u32 = 0o022;

/// How long decompressions that nobody needs any more may hold up the end of the process.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_millis(200);

/// Why a server does not start: distcc's code, and a sentence.
#[derive(Debug)]
struct Failure(ExitCode, String);

/// Starts and serves; the exit code of the process.
pub(crate) fn start(options: &Options, environment: Environment) -> u8 {
    let activated = daemon::take_listeners(
        environment.listen_pid.as_deref(),
        environment.listen_fds.as_deref(),
    );
    let is_inetd = match options.mode {
        Some(mode) => mode == Mode::Inetd,
        None => activated.is_empty() && daemon::stdin_is_socket(),
    };
    let target = match &options.log {
        Some(Target::File(path)) => Target::File(absolute(path)),
        Some(other) => other.clone(),
        None => Target::Syslog,
    };
    let log = Rc::new(Log::open(target, options.log_level));
    let mut start = Start {
        options,
        environment,
        log: Rc::clone(&log),
        report: None,
    };
    let result = if is_inetd {
        start.serve_standard()
    } else {
        start.listen(activated)
    };
    match result {
        Ok(code) => code,
        Err(Failure(code, why)) => {
            for line in why.lines() {
                log.critical(format_args!("{line}"));
            }
            // Whoever started this reads standard error before any log.
            if !log.is_stderr() {
                let _closed = writeln!(io::stderr(), "distccd: {why}");
            }
            if let Some(report) = start.report.take() {
                report.tell(code.code());
            }
            code.code()
        }
    }
}

/// A server on its way.
struct Start<'a> {
    options: &'a Options,
    environment: Environment,
    log: Rc<Log>,
    report: Option<StartReport>,
}

impl Start<'_> {
    /// Serves the client on standard input and output.
    fn serve_standard(&mut self) -> Result<u8, Failure> {
        let allow = match &self.options.allow[..] {
            [] if !self.options.allow_private => Allow::Anybody,
            _ => self.allow()?,
        };
        let compilers = self.compilers()?;
        let io_failed = |error| failure(ExitCode::IoError, "cannot take over the client", error);
        let (input, output) = daemon::take_standard_streams().map_err(io_failed)?;
        self.set_priority();
        self.drop_root()?;
        let (spawner, is_sandboxed) = self.spawner(&compilers, true)?;
        let server = self.server(allow, compilers, 1, spawner, is_sandboxed);
        let runtime = runtime()?;
        LocalSet::new().block_on(&runtime, async {
            let signals = Signals::take().map_err(io_failed)?;
            let client = Client::standard(input, output).map_err(io_failed)?;
            server::serve_one(server, client, signals).await;
            Ok(0)
        })
    }

    /// Listens, in the background if wanted, and serves.
    fn listen(&mut self, activated: Vec<TcpListener>) -> Result<u8, Failure> {
        for ignored in &self.options.ignored {
            self.log.warning(format_args!("{ignored}"));
        }
        let allow = self.allow()?;
        let compilers = self.compilers()?;
        let pid_file = self.options.pid_file.as_deref().map(absolute);
        let stays = !self.options.detach || !activated.is_empty();
        let listeners = if activated.is_empty() {
            bind(self.options.listen.as_deref(), self.options.port)?
        } else {
            activated
        };
        let stats = match self.options.stats {
            Some(port) => bind(self.options.listen.as_deref(), port)?,
            None => Vec::new(),
        };
        if stays {
            daemon::own_group();
        } else {
            let failed = |error| failure(ExitCode::Failed, "cannot go to the background", error);
            match daemon::detach(ExitCode::Failed.code()).map_err(failed)? {
                Detached::Parent(code) => return Ok(code),
                Detached::Background(report) => self.report = Some(report),
            }
        }
        let _pid_file = pid_file.map(PidFile::write).transpose()?;
        let _few_files_will_do = daemon::raise_open_files();
        self.set_priority();
        self.drop_root()?;
        let (spawner, is_sandboxed) = self.spawner(&compilers, false)?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let slots = self.options.jobs.unwrap_or(processors + 2);
        let server = self.server(allow, compilers, slots, spawner, is_sandboxed);
        let runtime = runtime()?;
        let result = LocalSet::new().block_on(&runtime, self.serve(server, listeners, stats));
        runtime.shutdown_timeout(SHUTDOWN_TIME_MAX);
        self.log.notice(format_args!("stopped"));
        result.map(|()| 0)
    }

    async fn serve(
        &mut self,
        server: Rc<Server>,
        listeners: Vec<TcpListener>,
        stats: Vec<TcpListener>,
    ) -> Result<(), Failure> {
        let failed = |error| failure(ExitCode::Failed, "cannot serve", error);
        let signals = Signals::take().map_err(failed)?;
        check_sandbox(&server)
            .await
            .map_err(|why| Failure(ExitCode::Failed, why))?;
        let (mut clients, mut readers) = (Vec::new(), Vec::new());
        for (what, from, to) in [
            ("clients", listeners, &mut clients),
            ("statistics", stats, &mut readers),
        ] {
            for listener in from {
                listener.set_nonblocking(true).map_err(failed)?;
                let address = listener.local_addr().map_err(failed)?;
                // Tests and scripts wait for this line to learn the port.
                self.log
                    .notice(format_args!("listening for {what} on {address}"));
                to.push(tokio::net::TcpListener::from_std(listener).map_err(failed)?);
            }
        }
        self.log.notice(format_args!(
            "ready: {} slots, sandbox: {}",
            server.slots.counts().slots,
            if server.is_sandboxed {
                "namespaces"
            } else {
                "none"
            },
        ));
        if let Some(report) = self.report.take() {
            let _still_open = daemon::close_standard_streams(!self.log.is_stderr());
            report.tell(0);
        }
        if let Some(socket) = &self.environment.notify_socket {
            notify(socket);
        }
        server::serve(server, clients, readers, signals, self.options.lifetime)
            .await
            .map_err(failed)
    }

    fn allow(&self) -> Result<Allow, Failure> {
        let is_open = self.options.allow.is_empty() && !self.options.allow_private;
        if is_open {
            self.log.warning(format_args!(
                "no --allow given: allowing private networks only, as if by --allow-private"
            ));
        }
        Allow::parse(&self.options.allow, self.options.allow_private || is_open)
            .map_err(|error| failure(ExitCode::BadArguments, "--allow", error))
    }

    fn compilers(&self) -> Result<Compilers, Failure> {
        if self.options.any_compiler {
            self.log.warning(format_args!(
                "--enable-tcp-insecure: clients may run any program of this machine"
            ));
        }
        Compilers::load(&self.environment.compilers, self.options.any_compiler)
            .map_err(|error| Failure(ExitCode::CompilerMissing, error.to_string()))
    }

    fn set_priority(&self) {
        daemon::set_umask(UMASK);
        if let Err(error) = daemon::nice(self.options.nice) {
            self.log
                .warning(format_args!("cannot change the priority (--nice): {error}"));
        }
        if let Some(adjustment) = self.options.oom_score_adj
            && let Err(error) = fs::write("/proc/self/oom_score_adj", adjustment.to_string())
        {
            self.log
                .warning(format_args!("cannot set --oom-score-adj: {error}"));
        }
    }

    fn drop_root(&self) -> Result<(), Failure> {
        if !daemon::is_root() {
            return Ok(());
        }
        let mut users: Vec<&str> = self.options.user.as_deref().into_iter().collect();
        users.extend(USERS);
        match daemon::drop_root(&users) {
            Ok(user) => {
                if self
                    .options
                    .user
                    .as_ref()
                    .is_some_and(|wanted| *wanted != user)
                {
                    self.log
                        .warning(format_args!("--user: no such user, running as {user}"));
                }
                self.log.info(format_args!("running as {user}"));
                Ok(())
            }
            Err(error) => Err(failure(
                ExitCode::SetUidFailed,
                "cannot give up root",
                error,
            )),
        }
    }

    /// Starts the process that starts jobs, and says whether it isolates them.
    fn spawner(
        &self,
        compilers: &Compilers,
        is_own_account: bool,
    ) -> Result<(Spawner, bool), Failure> {
        let visible = compilers.outside_system();
        if self.options.sandbox != Sandbox::None {
            match Spawner::start(&Config {
                isolation: Isolation::Namespaces,
                visible: visible.clone(),
                root: None,
                trees: None,
            }) {
                Ok(spawner) => {
                    for note in spawner.notes() {
                        self.log.warning(format_args!("sandbox: {note}"));
                    }
                    return Ok((spawner, true));
                }
                // Over ssh a client can do anything under this account anyway.
                Err(error) if is_own_account && self.options.sandbox == Sandbox::Auto => {
                    self.log
                        .warning(format_args!("running jobs without a sandbox: {error}"));
                }
                Err(error) => return Err(Failure(ExitCode::Failed, no_sandbox(&error))),
            }
        } else {
            self.log.warning(format_args!(
                "--sandbox=none: whoever may send jobs can read what this user can read"
            ));
        }
        let scratch = self.environment.temp_dir.clone();
        let config = Config {
            isolation: Isolation::None { scratch },
            visible,
            root: None,
            trees: None,
        };
        let spawner = Spawner::start(&config)
            .map_err(|error| failure(ExitCode::Failed, "cannot start jobs", error))?;
        Ok((spawner, false))
    }

    fn server(
        &mut self,
        allow: Allow,
        compilers: Compilers,
        slots: usize,
        spawner: Spawner,
        is_sandboxed: bool,
    ) -> Rc<Server> {
        let mut job_env = std::mem::take(&mut self.environment.job_env);
        job_env.push(("PATH".into(), compilers.path()));
        // Compilers do not look there; wrappers of compilers would complain without.
        job_env.push(("HOME".into(), OsString::from("/")));
        Rc::new(Server::new(Parts {
            name: host_name(),
            log: Rc::clone(&self.log),
            allow,
            compilers,
            slots,
            spawner,
            is_sandboxed,
            job_env,
            job_lifetime: self.options.job_lifetime,
            io_time_max: self.environment.io_time_max,
            save_dir: self
                .environment
                .saves_temps
                .then(|| self.environment.temp_dir.clone()),
        }))
    }
}

/// The same path wherever the process goes; the background is in `/`.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

fn failure(code: ExitCode, what: &str, error: impl std::fmt::Display) -> Failure {
    Failure(code, format!("{what}: {error}"))
}

fn bind(name: Option<&str>, port: u16) -> Result<Vec<TcpListener>, Failure> {
    listener::bind(name, port)
        .map_err(|error| failure(ExitCode::BindFailed, "cannot listen on", error))
}

fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(|error| failure(ExitCode::Failed, "cannot start", error))
}

fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() {
        "distccd".to_owned()
    } else {
        name.to_owned()
    }
}

fn no_sandbox(error: &io::Error) -> String {
    format!(
        "cannot keep jobs from the rest of this machine: {error}\n\
         Jobs run in user namespaces, which need no root but a kernel that allows them: see \
         `sysctl user.max_user_namespaces` (not 0), kernel.unprivileged_userns_clone (1), on \
         Ubuntu kernel.apparmor_restrict_unprivileged_userns (0); in a container its seccomp \
         profile must allow `unshare` and `mount`.\n\
         --sandbox=none does without: then whoever may send jobs can read what this user can read."
    )
}

/// Tries whether a job can be set up at all, by one whose program does not exist.
async fn check_sandbox(server: &Server) -> Result<(), String> {
    let spec = JobSpec {
        root: &JobRoot::Machine,
        program: Path::new("/nonexistent"),
        argv: &[],
        env: &[],
        adds_tmpdir: false,
        cwd: Path::new("/tmp"),
        places: &[],
        outputs: &[],
        overlays: &[],
        limits: server.job_limits,
    };
    let end = match Execution::start(&server.spawner, &spec) {
        Ok(execution) => execution.end(None).await,
        Err(error) => Err(error),
    };
    match end {
        Ok(JobEnd::NoProgram(_)) => Ok(()),
        Ok(JobEnd::NotSetUp(why)) => Err(no_sandbox(&io::Error::other(why))),
        Ok(other) => Err(format!("a trial job went wrong: {other:?}")),
        Err(error) => Err(format!("a trial job could not be started: {error}")),
    }
}

/// The file with the process id; removed at the end where rights allow it.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: PathBuf) -> Result<PidFile, Failure> {
        let write = fs::write(&path, format!("{}\n", std::process::id()));
        let failed = |error| {
            failure(
                ExitCode::IoError,
                &format!("cannot write {}", path.display()),
                error,
            )
        };
        write.map_err(failed)?;
        Ok(PidFile(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // A server that has given up root may not: an empty file then says the same.
        if fs::remove_file(&self.0).is_err() {
            let _best_effort = fs::write(&self.0, "");
        }
    }
}

/// Tells the service manager that the server is ready.
fn notify(socket: &OsStr) {
    let name = socket.as_encoded_bytes();
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(socket),
    };
    let told =
        address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(b"READY=1\n", &address));
    // It will notice in its own way.
    let _not_told = told;
}

const _: () = assert!(limits::READ_BYTES <= limits::FREE_BYTES);
