//! `distccmon-text` and `farcc monitor`: the text view of crate `monitor` at a terminal.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use monitor::text::{self, Rounds, USAGE};
use stock::state::STATE_DIR;

use crate::agent_socket::distcc_dir;
use crate::error::Error;
use crate::exit::Exit;
use crate::report;
use crate::world::World;

/// Shows the running jobs as the arguments say. Wrong arguments get the usage and exit code 1,
/// as in stock.
///
/// # Errors
/// The jobs cannot be read or shown.
pub(crate) fn run(world: &World, args: &[OsString]) -> Result<Exit, Error> {
    let Ok(rounds) = Rounds::from_args(args) else {
        report::eprint(USAGE);
        return Ok(Exit::NoResult);
    };
    let dir = state_dir(world);
    if !dir.exists() {
        let mut text = format!("`{}` is not there (yet): no jobs", dir.display());
        if world.var("DISTCC_DIR").is_none() {
            let _ = write!(
                text,
                "; set DISTCC_DIR to the directory that the build uses"
            );
        }
        report::warning("distccmon-text", &text);
    }
    let mut on_error = |error: monitor::jobs::JobError| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let text = format!("{error}: {}", cause.unwrap_or_default());
        report::warning("distccmon-text", &text);
    };
    let mut out = std::io::stdout().lock();
    text::show(
        &dir,
        rounds,
        &mut out,
        &mut on_error,
        &mut std::thread::sleep,
    )?;
    Ok(Exit::Success)
}

/// Where clients keep their state files.
fn state_dir(world: &World) -> PathBuf {
    distcc_dir(world).unwrap_or_default().join(STATE_DIR)
}
