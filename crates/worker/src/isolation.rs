//! What keeps jobs from the rest of the machine: chosen, started and tried when the server starts.

use std::io;
use std::path::{Path, PathBuf};

use store::Store;
use sys::sandbox::{
    Config, InputRoot, Isolation, JobLimits, JobRoot, JobSpec, MountedAt, Spawner, Writable,
    take_control_group,
};

use crate::execute::{Execution, JobEnd};
use crate::log::Log;
use crate::options::Sandbox;

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) sandbox: Sandbox,
    /// Clients can do anything under this account anyway, as over ssh.
    pub(crate) is_own_account: bool,
    /// Directories of compilers outside of the system's.
    pub(crate) visible: Vec<PathBuf>,
    /// What actions see besides their inputs.
    pub(crate) root: Option<PathBuf>,
    /// Where input roots of actions are.
    pub(crate) trees: Option<PathBuf>,
    /// Where jobs without a sandbox have their files.
    pub(crate) scratch: PathBuf,
}

/// Starts the process that starts jobs, and says whether it isolates them.
///
/// # Errors
/// What failed, and what to do about it.
pub(crate) fn start(wanted: Wanted, log: &Log) -> Result<(Spawner, bool), String> {
    let mut config = Config {
        isolation: Isolation::Namespaces,
        visible: wanted.visible,
        root: wanted.root,
        trees: wanted.trees,
        groups: None,
        #[cfg(feature = "stand-in")]
        stand_in: crate::stand_in::dir(),
    };
    if wanted.sandbox == Sandbox::None {
        log.warning(format_args!(
            "--sandbox=none: whoever may send jobs can read what this user can read"
        ));
    } else {
        match take_control_group() {
            Ok(groups) => config.groups = Some(groups),
            Err(why) => log.info(format_args!(
                "watching the memory of jobs, as they get no control groups: {why}"
            )),
        }
        match Spawner::start(&config) {
            Ok(spawner) => {
                for note in spawner.notes() {
                    log.warning(format_args!("sandbox: {note}"));
                }
                return Ok((spawner, true));
            }
            Err(error) if wanted.is_own_account && wanted.sandbox == Sandbox::Auto => {
                log.warning(format_args!("running jobs without a sandbox: {error}"));
            }
            Err(error) => return Err(no_sandbox(&error.to_string())),
        }
    }
    config.isolation = Isolation::None {
        scratch: wanted.scratch,
    };
    let spawner = Spawner::start(&config);
    Ok((
        spawner.map_err(|error| format!("cannot start jobs: {error}"))?,
        false,
    ))
}

fn no_sandbox(why: &str) -> String {
    format!(
        "cannot keep jobs from the rest of this machine: {why}\n\
         Jobs run in user namespaces, which need no root but a kernel that allows them: see \
         `sysctl user.max_user_namespaces` (not 0), kernel.unprivileged_userns_clone (1), on \
         Ubuntu kernel.apparmor_restrict_unprivileged_userns (0); in a container its seccomp \
         profile must allow `unshare` and `mount`.\n\
         --sandbox=none does without: then whoever may send jobs can read what this user can read."
    )
}

/// Tries whether jobs of stock's clients can be set up.
///
/// # Errors
/// Why not, and what to do about it.
pub(crate) async fn try_stock(spawner: &Spawner, limits: JobLimits) -> Result<(), String> {
    match try_root(spawner, limits, &JobRoot::Machine).await {
        Err(Trial::NotSetUp(why)) => Err(no_sandbox(&why)),
        Err(Trial::Failed(why)) => Err(why),
        Ok(()) => Ok(()),
    }
}

/// Tries whether actions can be set up, with an empty input root.
///
/// # Errors
/// Why not.
pub(crate) async fn try_native(
    spawner: &Spawner,
    limits: JobLimits,
    store: &Store,
    is_sandboxed: bool,
) -> Result<(), String> {
    const TREE: &str = "trial";
    let tree = store.work_dir().join(TREE);
    std::fs::create_dir(&tree).map_err(|error| format!("{}: {error}", tree.display()))?;
    let at_root = (MountedAt::Root, Writable::Directories(Vec::new()));
    let at_path = (MountedAt::Path("/build".into()), Writable::All);
    let mut tried = Ok(());
    for (at, writable) in [at_path, at_root] {
        if at == MountedAt::Root && !is_sandboxed {
            continue;
        }
        let root = JobRoot::Input(InputRoot {
            tree: TREE.into(),
            at,
            shared: Vec::new(),
            writable,
        });
        tried = try_root(spawner, limits, &root).await;
        if tried.is_err() {
            break;
        }
    }
    let _emptied_when_opened = std::fs::remove_dir(&tree);
    tried.map_err(|trial| {
        let (Trial::NotSetUp(why) | Trial::Failed(why)) = trial;
        format!("input roots of actions cannot be shown to them: {why}")
    })
}

/// What a trial showed.
enum Trial {
    NotSetUp(String),
    Failed(String),
}

/// Tries whether a job can be set up, by one whose program does not exist.
async fn try_root(spawner: &Spawner, limits: JobLimits, root: &JobRoot) -> Result<(), Trial> {
    let spec = JobSpec {
        root,
        program: Path::new("/nonexistent"),
        argv: &[],
        env: &[],
        adds_tmpdir: false,
        cwd: match root {
            JobRoot::Input(InputRoot {
                at: MountedAt::Path(path),
                ..
            }) => path,
            _ => Path::new("/tmp"),
        },
        places: &[],
        outputs: &[],
        overlays: &[],
        limits,
    };
    let end: io::Result<JobEnd> = match Execution::start(spawner, &spec) {
        Ok(execution) => execution.end(None).await,
        Err(error) => Err(error),
    };
    match end {
        Ok(JobEnd::NoProgram(_)) => Ok(()),
        Ok(JobEnd::NotSetUp(why)) => Err(Trial::NotSetUp(why)),
        Ok(other) => Err(Trial::Failed(format!("a trial job went wrong: {other:?}"))),
        Err(error) => Err(Trial::Failed(format!(
            "a trial job could not be started: {error}"
        ))),
    }
}
