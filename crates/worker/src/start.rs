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
use store::Store;
use sys::daemon::{self, Detached, StartReport};
use sys::sandbox::Spawner;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use crate::allow::Allow;
use crate::client::Client;
use crate::compilers::{Compilers, NoCompilers};
use crate::environment::Environment;
use crate::log::{Log, Target};
use crate::open_store::NoStore;
use crate::options::{Mode, Options};
use crate::server::{self, NativeParts, Parts, Server, Signals};
use crate::store_place::Place;
use crate::{isolation, limits, listener, open_store};

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
        let compilers = self.compilers().map_err(no_compilers)?;
        let io_failed = |error| failure(ExitCode::IoError, "cannot take over the client", error);
        let (input, output) = daemon::take_standard_streams().map_err(io_failed)?;
        self.set_priority();
        self.drop_root()?;
        let (spawner, is_sandboxed) = self.spawner(&compilers, None, true)?;
        let native = NativeParts::None("it is not offered through ssh or inetd".to_owned());
        let parts = self.parts(allow, compilers, 1, (spawner, is_sandboxed), native);
        let (server, _) = Server::new(parts).map_err(io_failed)?;
        let runtime = runtime()?;
        LocalSet::new().block_on(&runtime, async {
            let signals = Signals::take().map_err(io_failed)?;
            let client = Client::standard(input, output).map_err(io_failed)?;
            server::serve_one(Rc::new(server), client, signals).await;
            Ok(0)
        })
    }

    /// Listens, in the background if wanted, and serves.
    fn listen(&mut self, activated: Vec<TcpListener>) -> Result<u8, Failure> {
        for ignored in &self.options.ignored {
            self.log.warning(format_args!("{ignored}"));
        }
        let allow = self.allow()?;
        let compilers = self.compilers();
        let places = self.store_places();
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
        let _pid_file = pid_file.and_then(|path| PidFile::write(path, &self.log));
        let _few_files_will_do = daemon::raise_open_files();
        self.set_priority();
        self.drop_root()?;
        let store = match open_store::open(&self.options.store, &places, &self.log) {
            Err(NoStore::AskedFor(why)) => {
                return Err(Failure(ExitCode::IoError, format!("--store: {why}")));
            }
            Err(NoStore::Optional(why)) => Err(why),
            Ok(store) => Ok(store),
        };
        let compilers = match (compilers, &store) {
            (Ok(compilers), _) => compilers,
            (Err(why @ NoCompilers::None { .. }), Ok(_)) => {
                self.log
                    .notice(format_args!("serving no clients of distcc: {why}"));
                Compilers::none()
            }
            (Err(why), _) => return Err(no_compilers(why)),
        };
        let native = match store {
            Ok(store) => NativeParts::Store(store, self.options.properties.clone()),
            Err(why) => NativeParts::None(why),
        };
        let spawner = self.spawner(&compilers, native.store(), false)?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let slots = self.options.jobs.unwrap_or(processors + 2);
        let parts = self.parts(allow, compilers, slots, spawner, native);
        let runtime = runtime()?;
        let result = LocalSet::new().block_on(&runtime, self.serve(parts, listeners, stats));
        runtime.shutdown_timeout(SHUTDOWN_TIME_MAX);
        self.log.notice(format_args!("stopped"));
        result.map(|()| 0)
    }

    async fn serve(
        &mut self,
        mut parts: Parts,
        listeners: Vec<TcpListener>,
        stats: Vec<TcpListener>,
    ) -> Result<(), Failure> {
        let failed = |error| failure(ExitCode::Failed, "cannot serve", error);
        let signals = Signals::take().map_err(failed)?;
        self.try_jobs(&mut parts).await?;
        let (server, requests) = Server::new(parts).map_err(failed)?;
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
            "ready: {} slots, sandbox: {}, remote execution: {}",
            server.slots.counts().slots,
            if server.is_sandboxed {
                "namespaces"
            } else {
                "none"
            },
            server.native.as_ref().map_or("no", |_| "yes"),
        ));
        if let Some(report) = self.report.take() {
            let _still_open = daemon::close_standard_streams(!self.log.is_stderr());
            report.tell(0);
        }
        if let Some(socket) = &self.environment.notify_socket {
            notify(socket);
        }
        let (server, lifetime) = (Rc::new(server), self.options.lifetime);
        server::serve(server, requests, clients, readers, signals, lifetime)
            .await
            .map_err(failed)
    }

    /// Sees that jobs can run; without actions if those cannot.
    async fn try_jobs(&self, parts: &mut Parts) -> Result<(), Failure> {
        let limits = limits::job(limits::machine_bytes(), parts.slots, None);
        isolation::try_stock(&parts.spawner, limits)
            .await
            .map_err(|why| Failure(ExitCode::Failed, why))?;
        if let Some(store) = parts.native.store()
            && let Err(why) =
                isolation::try_native(&parts.spawner, limits, store, parts.is_sandboxed).await
        {
            parts.native = NativeParts::None(why);
        }
        if let NativeParts::None(why) = &parts.native {
            self.log
                .warning(format_args!("serving clients of distcc only: {why}"));
        }
        Ok(())
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

    fn compilers(&self) -> Result<Compilers, NoCompilers> {
        if self.options.any_compiler {
            self.log.warning(format_args!(
                "--enable-tcp-insecure: clients may run any program of this machine"
            ));
        }
        Compilers::load(&self.environment.compilers, self.options.any_compiler)
    }

    fn users(&self) -> Vec<&str> {
        let mut users: Vec<&str> = self.options.user.as_deref().into_iter().collect();
        users.extend(USERS);
        users
    }

    fn store_places(&self) -> Vec<Place> {
        let (options, environment) = (&self.options.store, &self.environment.store);
        open_store::places(options, environment, &self.users(), &self.log)
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
        match daemon::drop_root(&self.users()) {
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

    fn spawner(
        &self,
        compilers: &Compilers,
        store: Option<&Store>,
        is_own_account: bool,
    ) -> Result<(Spawner, bool), Failure> {
        let root = self.options.root.as_deref().map(fs::canonicalize);
        let root = root.transpose();
        let wanted = isolation::Wanted {
            sandbox: self.options.sandbox,
            is_own_account,
            visible: compilers.outside_system(),
            root: root.map_err(|error| failure(ExitCode::BadArguments, "--root", error))?,
            trees: store.map(Store::work_dir),
            scratch: self.environment.temp_dir.clone(),
        };
        isolation::start(wanted, &self.log).map_err(|why| Failure(ExitCode::Failed, why))
    }

    fn parts(
        &mut self,
        allow: Allow,
        compilers: Compilers,
        slots: usize,
        (spawner, is_sandboxed): (Spawner, bool),
        native: NativeParts,
    ) -> Parts {
        let mut job_env = std::mem::take(&mut self.environment.job_env);
        job_env.push(("PATH".into(), compilers.path()));
        // Compilers do not look there; wrappers of compilers would complain without.
        job_env.push(("HOME".into(), OsString::from("/")));
        Parts {
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
            native,
        }
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
    sys::use_few_heaps();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(limits::BLOCKING_THREADS_MAX)
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

fn no_compilers(why: NoCompilers) -> Failure {
    Failure(ExitCode::CompilerMissing, why.to_string())
}

/// The file with the process id; removed at the end where rights allow it.
struct PidFile(PathBuf);

impl PidFile {
    /// As stock, goes on without one: those who wait for compiles need no file.
    fn write(path: PathBuf, log: &Log) -> Option<PidFile> {
        match fs::write(&path, format!("{}\n", std::process::id())) {
            Ok(()) => Some(PidFile(path)),
            Err(error) => {
                let path = path.display();
                log.warning(format_args!("cannot write {path} (--pid-file): {error}"));
                None
            }
        }
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
