//! `lsdistcc` at a terminal: crate `monitor` does the work.

use std::ffi::OsString;

use monitor::lsdistcc::{self, Options, USAGE, UsageError};

use crate::error::Error;
use crate::exit::Exit;
use crate::report;

/// Looks for servers as the arguments say. Help and wrong arguments get the usage on standard
/// output and exit code 1, as in stock.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn run(args: &[OsString]) -> Result<Exit, Error> {
    let options = match Options::from_args(args) {
        Ok(options) => options,
        Err(error) => {
            if error != UsageError::Help {
                report::eprint(&format!("lsdistcc: {error}\n"));
            }
            report::print(USAGE)?;
            return Ok(Exit::NoResult);
        }
    };
    let mut out = std::io::stdout().lock();
    let mut log = std::io::stderr().lock();
    match lsdistcc::run(&options, &mut out, &mut log) {
        Ok(true) => Ok(Exit::Success),
        Ok(false) => Ok(Exit::NoResult),
        // The reader has what it wanted.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Success),
        Err(error) => Err(Error::Stdout(error)),
    }
}
