//! The project as builds see it: at its own path, under a layer that takes every change and is thrown away.
//!
//! So a build can begin with untouched sources, edit them, leave what it makes, and nothing of the user's changes. The
//! layer is mounted in a namespace of this program's: it is started anew in one, see [`enter_namespace`].

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Says that this program is in its own namespace.
const INSIDE: &str = "FARCC_BENCH_NAMESPACE";

/// Where temporary files are in there: in memory, so that no disk is measured.
const TEMPORARY: &str = "/tmp/farcc-bench";

/// Becomes the same program in a mount namespace of its own; returns where it is in one.
pub(super) fn enter_namespace() -> Result<(), String> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    if !rustix::process::getuid().is_root() {
        return Err("needs root: it uses control groups, layers and a network of its own".into());
    }
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let made = fs::create_dir_all(TEMPORARY);
    made.map_err(|error| format!("cannot make {TEMPORARY}: {error}"))?;
    let error = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c"])
        .arg(r#"mount -t tmpfs -o mode=1777 tmpfs "$TMPDIR" && exec "$0" "$@""#)
        .arg(own)
        .args(std::env::args_os().skip(1))
        .env("TMPDIR", TEMPORARY)
        .env(INSIDE, "1")
        .exec();
    Err(format!("cannot run unshare: {error}"))
}

/// A layer over a directory.
#[derive(Debug)]
pub(super) struct Layer {
    project: PathBuf,
}

impl Layer {
    /// Lays an empty layer over the project; what is changed goes below `place`.
    pub(super) fn lay(project: &Path, place: &Path) -> Result<Self, String> {
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
            project,
            "overlay",
            MountFlags::empty(),
            options.as_c_str(),
        )
        .map_err(|error| failed(&error))?;
        Ok(Self {
            project: project.to_owned(),
        })
    }
}

impl Drop for Layer {
    fn drop(&mut self) {
        // Processes that are just ending may still be in it.
        let _gone_with_the_namespace = unmount(&self.project, UnmountFlags::DETACH);
    }
}
