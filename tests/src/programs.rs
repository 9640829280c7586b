//! Where the programs under test are, and which other programs this machine has.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Directory of the `distcc` and `farcc` under test. `cargo xtask` sets it; without it they are
/// expected where Cargo has put this test.
pub const BIN_VARIABLE: &str = "FARCC_TEST_BIN";

/// Programs that may be missing: tests that need one of them are skipped. `cargo xtask test` sets
/// it and says so, where it cannot install packages. A missing program that is not in this list
/// is a failure.
pub const MISSING_VARIABLE: &str = "FARCC_TEST_MISSING";

/// Debian's distcc, which everything is compared with.
pub const STOCK_CLIENT: &str = "/usr/bin/distcc";
/// Its server.
pub const STOCK_SERVER: &str = "/usr/bin/distccd";
/// Its monitor.
pub const STOCK_MONITOR: &str = "/usr/bin/distccmon-text";

/// Whose program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The one under test.
    Ours,
    /// Debian's.
    Stock,
}

/// The client of either kind.
#[must_use]
pub fn client(kind: Kind) -> PathBuf {
    match kind {
        Kind::Ours => distcc(),
        Kind::Stock => STOCK_CLIENT.into(),
    }
}

static BIN_DIR: OnceLock<PathBuf> = OnceLock::new();

/// Says where the programs under test are, before anything asks.
///
/// # Panics
/// Something has asked already.
pub fn use_bin_dir(dir: PathBuf) {
    BIN_DIR.set(dir).expect("said once, at the start");
}

/// The directory of the programs under test.
///
/// # Panics
/// They have not been built.
#[must_use]
pub fn bin_dir() -> &'static Path {
    BIN_DIR.get_or_init(|| {
        let dir = match std::env::var_os(BIN_VARIABLE) {
            Some(dir) => PathBuf::from(dir),
            None => beside_this_program(),
        };
        for name in ["distcc", "farcc"] {
            assert!(
                dir.join(name).is_file(),
                "`{}` is missing; build it with `cargo build -p shim -p farcc`",
                dir.join(name).display()
            );
        }
        dir
    })
}

fn beside_this_program() -> PathBuf {
    let own = std::env::current_exe().expect("a running program has a path");
    let dir = own.parent().expect("a file is in a directory");
    if dir.ends_with("deps") {
        dir.parent().expect("Cargo's deps is in a directory").into()
    } else {
        dir.into()
    }
}

/// The shim under test.
#[must_use]
pub fn distcc() -> PathBuf {
    bin_dir().join("distcc")
}

/// The multi-call program under test.
#[must_use]
pub fn farcc() -> PathBuf {
    bin_dir().join("farcc")
}

/// Whether a program that a test needs is there: a path, or a name looked up in `PATH`.
///
/// # Panics
/// It is missing and nobody said that it may be.
#[must_use]
pub fn have(program: &str) -> bool {
    if find(program).is_some() {
        return true;
    }
    let missing = std::env::var(MISSING_VARIABLE).unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or(program);
    assert!(
        missing.split_whitespace().any(|known| known == name),
        "`{program}` is not installed; `cargo xtask test` installs what the tests need"
    );
    false
}

/// Where a program is.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}
