//! Programs that speak the Remote Execution API and that nobody here wrote: where they are.
//!
//! They build on a farcc worker in the tests, and buildbox-casd is the server that the tests
//! themselves are tried on. `cargo xtask test` installs them: Debian's Bazel into the system, all
//! others beside it, below the user's cache directory, where the next run finds them. What they
//! are installed from is xtask's knowledge.

use std::path::PathBuf;

/// Debian's Bazel.
pub const BAZEL_4: &str = "/usr/bin/bazel";
/// Rules that Debian's Bazel loads and does not bring along.
pub const BAZEL_RULES: &str = "/usr/share/bazel/rules";
/// The sandbox of buildbox-run.
pub const BUBBLEWRAP: &str = "bwrap";

/// The directory of what is installed beside the system.
///
/// # Panics
/// The user has no home.
#[must_use]
pub fn dir() -> PathBuf {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from);
    absolute("XDG_CACHE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| Some(absolute("HOME")?.join(".cache")))
        .expect("HOME or XDG_CACHE_HOME is set")
        .join("farcc-tests")
}

/// Bazel as it was when the API was young.
#[must_use]
pub fn bazel_2() -> PathBuf {
    dir().join("bazel-2.1.0/bazel-2.1.0")
}

/// A server: store, action cache and execution in one program. Its runner lies beside it.
#[must_use]
pub fn casd_1_3() -> PathBuf {
    dir().join("buildbox-1.3.11/buildbox-casd-1.3.11")
}

/// What runs an action for [`casd_1_3`].
#[must_use]
pub fn runner() -> PathBuf {
    dir().join("buildbox-1.3.11/buildbox-run")
}

/// A program of the newest packages: `buildbox-casd`, `justbuild`, `recc`, `siso`, `trexe`.
#[must_use]
pub fn newest(program: &str) -> PathBuf {
    dir().join("newest/bin").join(program)
}
