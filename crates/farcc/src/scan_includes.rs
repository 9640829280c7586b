//! `farcc scan-includes`, which `distcc --scan-includes` runs: what has to be at a host for a compile, in distcc's form.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use agent::scanning::{PlaceKind, describe};

use crate::error::Error;
use crate::exit::Exit;
use crate::one_compile::OneCompile;
use crate::report;
use crate::world::World;

/// Prints one line for each file, link and directory.
pub(crate) fn run(world: &World, words: &[OsString]) -> Result<Exit, Error> {
    let compile = OneCompile::of(world, words)?;
    let found = compile.scan(world)?;
    let cannot = |why: String| Error::Scan {
        source_name: compile.source(),
        why,
    };
    if let Some(doubt) = found.scan.doubts.first() {
        return Err(cannot(describe(doubt)));
    }
    let places = found.places(&compile.cwd, &compile.named());
    let mut text = Vec::new();
    for (kind, path) in places.map_err(cannot)? {
        text.extend_from_slice(format!("{:<9} ", word(kind)).as_bytes());
        text.extend_from_slice(path.as_os_str().as_bytes());
        text.push(b'\n');
    }
    report::print_bytes(&text)?;
    Ok(Exit::Success)
}

fn word(kind: PlaceKind) -> &'static str {
    match kind {
        PlaceKind::File => "FILE",
        PlaceKind::Link => "SYMLINK",
        PlaceKind::Dir => "DIRECTORY",
        PlaceKind::SystemDir => "SYSTEMDIR",
    }
}
