//! A sandbox with prepared trees, as a server has one, for the time of a test.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sys::sandbox::{
    Config, InputRoot, Isolation, JobEvent, JobLimits, JobRoot, JobSpec, MountedAt, Outcome,
    RunningJob, SharedTree, Spawner, Writable,
};

/// Longer than anything takes here: guards against hanging.
const PATIENCE: Timespec = Timespec {
    tv_sec: 60,
    tv_nsec: 0,
};

/// What tests start from.
pub(crate) const LIMITS: JobLimits = JobLimits {
    files_bytes_max: 64 << 20,
    files_max: 10_000,
    memory_bytes_max: None,
    process_bytes_max: None,
    cpu_seconds_max: Some(30),
    processes_max: 64,
    open_files_max: 256,
};

/// A store with trees, and a sandbox that sees them.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) spawner: Spawner,
    dir: tempfile::TempDir,
}

/// A job as tests describe it.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) root: JobRoot,
    pub(crate) argv: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) cwd: PathBuf,
    pub(crate) outputs: Vec<PathBuf>,
    pub(crate) limits: JobLimits,
}

/// How a job ended.
#[derive(Debug)]
pub(crate) enum End {
    Finished(Outcome),
    NoProgram(String),
    Failed(String),
    OutOfMemory,
    Gone,
}

impl World {
    pub(crate) fn new() -> World {
        World::with(|_| {})
    }

    /// With a configuration changed by `change`.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> World {
        let dir = tempfile::Builder::new()
            .prefix("farcc-sandbox-")
            .tempdir()
            .unwrap();
        fs::create_dir(dir.path().join("blobs")).unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        let mut config = Config {
            #[cfg(feature = "stand-in")]
            stand_in: None,
            isolation: Isolation::Namespaces,
            visible: Vec::new(),
            root: None,
            trees: Some(dir.path().join("work")),
            groups: None,
        };
        change(&mut config);
        let spawner = Spawner::start(&config).unwrap();
        World { spawner, dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A blob of the store: a read-only file.
    pub(crate) fn blob(&self, content: &[u8]) -> PathBuf {
        let blobs = self.dir.path().join("blobs");
        let path = blobs.join(fs::read_dir(&blobs).unwrap().count().to_string());
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).unwrap();
        path
    }

    /// A prepared tree. A path with a slash at its end is a directory; `a -> b` is a link; all
    /// else are files with that content, hard links to blobs.
    pub(crate) fn tree(&self, name: &str, entries: &[(&str, &[u8])]) -> PathBuf {
        let tree = self.dir.path().join("work").join(name);
        if tree.exists() && !entries.iter().any(|(path, _)| !tree.join(path).exists()) {
            return PathBuf::from(name);
        }
        fs::create_dir_all(&tree).unwrap();
        for (path, content) in entries {
            if let Some(dir) = path.strip_suffix('/') {
                fs::create_dir_all(tree.join(dir)).unwrap();
                continue;
            }
            if let Some((link, target)) = path.split_once(" -> ") {
                fs::create_dir_all(tree.join(link).parent().unwrap()).unwrap();
                symlink(target, tree.join(link)).unwrap();
                continue;
            }
            fs::create_dir_all(tree.join(path).parent().unwrap()).unwrap();
            fs::hard_link(self.blob(content), tree.join(path)).unwrap();
        }
        PathBuf::from(name)
    }

    /// The attacking program.
    pub(crate) fn attack(&self) -> Vec<u8> {
        fs::read(std::env::var_os(crate::harness::ATTACK).unwrap()).unwrap()
    }

    /// Everything that the server has, with its content and what a job could change of it.
    pub(crate) fn fingerprint(&self) -> Vec<String> {
        let mut lines = Vec::new();
        look(self.dir.path(), &mut lines);
        lines.sort();
        lines
    }

    pub(crate) fn start(&self, job: &Job) -> RunningJob {
        let outputs: Vec<&Path> = job.outputs.iter().map(PathBuf::as_path).collect();
        self.spawner
            .spawn(&JobSpec {
                root: &job.root,
                program: Path::new(&job.argv[0]),
                argv: &job.argv,
                env: &job.env,
                adds_tmpdir: false,
                cwd: &job.cwd,
                places: &[],
                outputs: &outputs,
                overlays: &[],
                limits: job.limits,
            })
            .unwrap()
    }

    pub(crate) fn run(&self, job: &Job) -> End {
        wait(&mut self.start(job))
    }

    /// The end of a job that is expected to come to one.
    pub(crate) fn finish(&self, job: &Job) -> Outcome {
        match self.run(job) {
            End::Finished(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    /// What the job printed, and whether it succeeded.
    pub(crate) fn print(&self, job: &Job) -> (i32, String) {
        let outcome = self.finish(job);
        (
            outcome.wait_status,
            text(outcome.stdout) + &text(outcome.stderr),
        )
    }

    /// Runs a job that must succeed and print this.
    pub(crate) fn check(&self, job: &Job, printed: &str) {
        let (status, text) = self.print(job);
        assert_eq!((status, text.trim_end()), (0, printed), "{:?}", job.argv);
    }

    /// Is the sandbox still serving?
    pub(crate) fn check_alive(&self) {
        self.check(&Job::shell("echo alive"), "alive");
    }
}

fn look(dir: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let data = fs::symlink_metadata(&path).unwrap();
        let content = if data.is_dir() {
            look(&path, lines);
            String::new()
        } else if data.is_symlink() {
            format!("{:?}", fs::read_link(&path).unwrap())
        } else {
            String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
        };
        let (mode, links, time) = (data.mode(), data.nlink(), data.mtime_nsec());
        lines.push(format!(
            "{} {mode:o} {links} {} {time} {content}",
            path.display(),
            data.mtime()
        ));
    }
}

pub(crate) fn wait(job: &mut RunningJob) -> End {
    loop {
        match job.try_event() {
            Ok(JobEvent::Started) => {}
            Ok(JobEvent::Finished(outcome)) => return End::Finished(outcome),
            Ok(JobEvent::NoProgram(why)) => return End::NoProgram(why),
            Ok(JobEvent::Failed(why)) => return End::Failed(why),
            Ok(JobEvent::OutOfMemory) => return End::OutOfMemory,
            Ok(JobEvent::Gone) => return End::Gone,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let ready = poll(
                    &mut [PollFd::new(&job.as_fd(), PollFlags::IN)],
                    Some(&PATIENCE),
                );
                assert_eq!(ready, Ok(1), "the job hangs");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn text(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Job {
    /// Runs these words on this machine's programs.
    pub(crate) fn new(argv: &[&str]) -> Job {
        Job {
            root: JobRoot::Machine,
            argv: argv.iter().map(OsString::from).collect(),
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            cwd: PathBuf::from("/tmp"),
            outputs: Vec::new(),
            limits: LIMITS,
        }
    }

    pub(crate) fn shell(script: &str) -> Job {
        Job::new(&["sh", "-c", script])
    }

    /// In a prepared tree, seen at `/build`.
    pub(crate) fn in_tree(self, tree: &Path, writable: Writable) -> Job {
        self.with_input(tree, MountedAt::Path("/build".into()), writable)
    }

    /// With a prepared tree as its root.
    pub(crate) fn with_root(self, tree: &Path, writable: Writable) -> Job {
        self.with_input(tree, MountedAt::Root, writable)
    }

    fn with_input(self, tree: &Path, at: MountedAt, writable: Writable) -> Job {
        let cwd = match &at {
            MountedAt::Root => PathBuf::from("/"),
            MountedAt::Path(path) => path.clone(),
        };
        Job {
            root: JobRoot::Input(InputRoot {
                tree: tree.to_path_buf(),
                at,
                shared: Vec::new(),
                writable,
            }),
            cwd,
            ..self
        }
    }

    pub(crate) fn shared(mut self, tree: &Path, at: &str) -> Job {
        let JobRoot::Input(input) = &mut self.root else {
            panic!("no input root")
        };
        input.shared.push(SharedTree {
            tree: tree.to_path_buf(),
            at: PathBuf::from(at),
        });
        self
    }

    pub(crate) fn outputs(mut self, outputs: &[&str]) -> Job {
        self.outputs = outputs.iter().map(PathBuf::from).collect();
        self
    }

    pub(crate) fn cwd(mut self, cwd: &str) -> Job {
        self.cwd = PathBuf::from(cwd);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Job {
        self.env.push((name.into(), value.into()));
        self
    }

    pub(crate) fn limits(mut self, change: impl FnOnce(&mut JobLimits)) -> Job {
        change(&mut self.limits);
        self
    }
}

/// Only these directories are writable.
pub(crate) fn only(dirs: &[&str]) -> Writable {
    Writable::Directories(dirs.iter().map(PathBuf::from).collect())
}
