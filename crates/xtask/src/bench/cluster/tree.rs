//! The project as builds see it: at its own path, under a layer that takes every change and is thrown away.
//!
//! So a build can begin with untouched sources, edit them, leave what it makes, and nothing of the user's changes. The
//! layer is mounted in a namespace of this program's: it is started anew in one, see [`run_in_namespaces`].

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Says that this program is in its own namespaces.
const INSIDE: &str = "FARCC_BENCH_NAMESPACE";

/// Where temporary files are in there: in memory, so that no disk is measured.
const TEMPORARY: &str = "/tmp/farcc-bench";

/// Runs this program as `$0`, and then ends and removes what is left, which is something only where it was ended itself:
/// servers (nobody else is in this process namespace), and control groups, which are named after directories of this run.
const SCRIPT: &str = r#"
mount -t tmpfs -o mode=1777 tmpfs "$TMPDIR" || exit
"$0" "$@" &
program=$!
trap 'kill -TERM $program' INT TERM HUP
wait $program
code=$?
kill -KILL -1 2>/dev/null
groups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
for place in "$TMPDIR"/*; do
    for group in "$groups"/farcc-*-"${place##*/}"; do
        [ -d "$group" ] && sleep 0.2 && rmdir "$group"
    done
done
exit $code
"#;

/// Whether this program is in namespaces of its own.
pub(super) fn is_in_namespaces() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs this program once more, in namespaces of its own. What that one mounts and whom it starts is gone when it ends,
/// and it ends when this one is ended: `unshare` itself blocks the usual signals.
pub(super) fn run_in_namespaces() -> Result<(), String> {
    if !rustix::process::getuid().is_root() {
        return Err("needs root: it uses control groups, layers and a network of its own".into());
    }
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let made = fs::create_dir_all(TEMPORARY);
    made.map_err(|error| format!("cannot make {TEMPORARY}: {error}"))?;
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "HUP", "unshare"])
        .args(["--mount", "--propagation", "private", "--pid", "--fork"])
        .args(["--kill-child=TERM", "--mount-proc", "sh", "-c", SCRIPT])
        .arg(own)
        .args(std::env::args_os().skip(1))
        .env("TMPDIR", TEMPORARY)
        .env(INSIDE, "1")
        .status()
        .map_err(|error| format!("cannot run setpriv: {error}"))?;
    match status.success() {
        true => Ok(()),
        // It has said why.
        false => std::process::exit(status.code().unwrap_or(1)),
    }
}

/// A layer over a directory.
#[derive(Debug)]
pub(super) struct Layer {
    at: PathBuf,
}

impl Layer {
    /// Lays an empty layer over the project, to be seen at a directory; what is changed there goes below `place`.
    pub(super) fn lay(project: &Path, at: &Path, place: &Path) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| {
            format!("cannot lay a layer over {}: {error}", project.display())
        };
        let (upper, work) = (place.join("upper"), place.join("work"));
        for dir in [&upper, &work] {
            fs::create_dir_all(dir).map_err(|error| failed(&error))?;
        }
        let options = [
            b"lowerdir=".as_slice(),
            project.as_os_str().as_bytes(),
            b",upperdir=",
            upper.as_os_str().as_bytes(),
            b",workdir=",
            work.as_os_str().as_bytes(),
        ];
        let options = CString::new(options.concat()).map_err(|error| failed(&error))?;
        mount(
            "overlay",
            at,
            "overlay",
            MountFlags::empty(),
            options.as_c_str(),
        )
        .map_err(|error| failed(&error))?;
        Ok(Self { at: at.to_owned() })
    }

    /// Where it is seen.
    pub(super) fn at(&self) -> &Path {
        &self.at
    }
}

impl Drop for Layer {
    fn drop(&mut self) {
        // Processes that are just ending may still be in it.
        let _gone_with_the_namespace = unmount(&self.at, UnmountFlags::DETACH);
    }
}
