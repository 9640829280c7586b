//! The terminal that a build runs on.

use std::io::IsTerminal;

/// Whether standard error is a terminal.
#[must_use]
pub fn shows_messages() -> bool {
    std::io::stderr().is_terminal()
}

/// Columns of the terminal on standard input; 0 if there is none or it does not say.
#[must_use]
pub fn input_columns() -> u32 {
    rustix::termios::tcgetwinsize(std::io::stdin()).map_or(0, |size| size.ws_col.into())
}
