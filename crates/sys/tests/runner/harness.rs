//! Runs each test in a process of its own, as several users, a few at a time, and understands
//! what `cargo test` commonly says.

use std::collections::VecDeque;
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::Mutex;

use crate::Test;

/// Says to a new process of this program which test it is.
const TEST: &str = "FARCC_SANDBOX_TEST";

/// Tells it where the attacking program is.
pub(crate) const ATTACK: &str = "FARCC_SANDBOX_ATTACK";

/// Tells it that it will be put into a control group of its own.
pub(crate) const GROUP: &str = "FARCC_SANDBOX_GROUP";

/// User and group `nobody` of every system.
const ORDINARY_ID: u32 = 65_534;

/// Runs what the command line asks for.
pub(crate) fn main(tests: &[&[Test]], measurements: &[&[Test]]) -> ExitCode {
    let all = || {
        tests
            .iter()
            .chain(measurements)
            .flat_map(|tests| tests.iter())
    };
    if let Ok(name) = std::env::var(TEST) {
        let (_, test) = all()
            .find(|(known, _)| *known == name)
            .expect("a known test");
        test();
        return ExitCode::SUCCESS;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let set = if has("--ignored") {
        measurements
    } else {
        tests
    };
    let names: Vec<&str> = set
        .iter()
        .flat_map(|tests| tests.iter().map(|(name, _)| *name))
        .filter(|name| {
            wanted.is_empty()
                || wanted.iter().any(|part| {
                    if has("--exact") {
                        name == part
                    } else {
                        name.contains(part.as_str())
                    }
                })
        })
        .collect();
    if has("--list") {
        names.iter().for_each(|name| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    run_all(&names, has("--nocapture") || has("--ignored"))
}

fn run_all(names: &[&str], shows_output: bool) -> ExitCode {
    let is_root = rustix::process::geteuid().is_root();
    let users: &[Option<u32>] = if is_root {
        &[None, Some(ORDINARY_ID)]
    } else {
        &[None]
    };
    let jobs = names
        .iter()
        .flat_map(|name| users.iter().map(move |user| (*name, *user)));
    let queue: Mutex<VecDeque<_>> = Mutex::new(jobs.collect());
    let failed = Mutex::new(Vec::new());
    let count = queue.lock().unwrap().len();
    println!("\nrunning {count} tests");
    let attack = Attack::build();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || loop {
        let next = queue.lock().unwrap().pop_front();
        let Some((name, user)) = next else { return };
        let output = run(name, user, &attack);
        let title = match user {
            Some(_) => format!("{name} (as an ordinary user)"),
            None => name.to_owned(),
        };
        let is_ok = output.status.success();
        println!("test {title} ... {}", if is_ok { "ok" } else { "FAILED" });
        if !is_ok || shows_output {
            println!("{}", String::from_utf8_lossy(&output.stdout));
            println!("{}", String::from_utf8_lossy(&output.stderr));
        }
        if !is_ok {
            failed.lock().unwrap().push(title);
        }
    };
    std::thread::scope(|scope| {
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let failed = failed.into_inner().unwrap();
    failed.iter().for_each(|title| println!("failed: {title}"));
    let word = if failed.is_empty() { "ok" } else { "FAILED" };
    let (passed, failed) = (count - failed.len(), failed.len());
    println!("\ntest result: {word}. {passed} passed; {failed} failed\n");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The program that attacks, built for all tests.
struct Attack(tempfile::TempDir);

impl Attack {
    fn build() -> Attack {
        let dir = tempfile::Builder::new()
            .prefix("farcc-attack-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .unwrap();
        let mut source = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        source.push("tests/runner/attack.c");
        let mut compiler = Command::new("gcc");
        compiler.args(["-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]);
        let status = compiler.arg(dir.path().join("attack")).arg(source).status();
        assert!(status.unwrap().success(), "gcc makes no static program");
        Attack(dir)
    }

    fn program(&self) -> std::path::PathBuf {
        self.0.path().join("attack")
    }
}

fn run(name: &str, user: Option<u32>, attack: &Attack) -> Output {
    use std::os::unix::process::CommandExt;
    // The program may lie where an ordinary user cannot go: it is entered as an open file.
    let program = std::fs::File::open("/proc/self/exe").unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&program);
    rustix::io::fcntl_setfd(&program, rustix::io::FdFlags::empty()).unwrap();
    let mut command = Command::new(format!("/proc/self/fd/{fd}"));
    command
        .env(TEST, name)
        .env(ATTACK, attack.program())
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null());
    let group = Group::make(user);
    if let Some(user) = user {
        command.uid(user).gid(user).current_dir("/");
    }
    let Some(group) = group else {
        return command.output().unwrap();
    };
    command.env(GROUP, "1");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    std::fs::write(group.0.join("cgroup.procs"), child.id().to_string()).unwrap();
    child.wait_with_output().unwrap()
}

/// A control group that is delegated to a user, as a service manager does it.
struct Group(std::path::PathBuf);

impl Group {
    /// `None` where this is not possible.
    fn make(user: Option<u32>) -> Option<Group> {
        static MADE: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = MADE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let mount = mounts.lines().find(|line| line.contains(" cgroup2 "))?;
        let mount = std::path::Path::new(mount.split(' ').nth(1)?);
        let controllers = std::fs::read_to_string(mount.join("cgroup.controllers")).ok()?;
        if !controllers.contains("memory") {
            return None;
        }
        let _done_already = std::fs::write(mount.join("cgroup.subtree_control"), "+memory +pids");
        let dir = mount.join(format!("farcc-test-{}-{number}", std::process::id()));
        std::fs::create_dir(&dir).ok()?;
        let files = ["", "cgroup.procs", "cgroup.subtree_control"];
        for file in files {
            std::os::unix::fs::chown(dir.join(file), user, user).unwrap();
        }
        Some(Group(dir))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _last_ones = std::fs::write(self.0.join("cgroup.kill"), "1");
        for _ in 0..10_000 {
            let jobs = std::fs::read_dir(self.0.join("jobs")).into_iter().flatten();
            jobs.flatten()
                .for_each(|job| drop(std::fs::remove_dir(job.path())));
            let _inner = ["jobs", "server"].map(|name| std::fs::remove_dir(self.0.join(name)));
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::yield_now();
        }
    }
}
