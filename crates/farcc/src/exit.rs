//! Exit codes of every program in this crate.
//!
//! **Stability boundary**: scripts test these numbers. 100 to 118 are distcc's own, so that what
//! worked with distcc goes on working; 126 and 127 are the shell's; a command's own code and
//! 128 + signal pass through untouched.

use std::process::ExitCode;

/// How a program of this crate ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Success,
    /// 1: `lsdistcc` found no host; usage errors of the tools that answer 1 in distcc
    /// (`distccmon-text`, `lsdistcc`, `pump`, `distcc-config`).
    NoResult,
    /// 100: cannot do it, for a reason of no other kind.
    General,
    /// 101: bad arguments.
    BadArguments,
    /// 102: cannot listen on the address or socket.
    BindFailed,
    /// 103: cannot connect.
    ConnectFailed,
    /// 106: the host list is not usable.
    BadHosts,
    /// 107: reading or writing a file failed.
    IoError,
    /// 110: the compiler, or a program that belongs to farcc, is not there.
    Missing,
    /// 126: the command exists and cannot be run.
    CommandNotExecutable,
    /// 127: the command does not exist.
    CommandNotFound,
    /// What the command that ran inside answered.
    Passed(u8),
}

/// Added to a signal's number, as shells do, when the signal ended the command.
pub const SIGNAL_BASE: u8 = 128;

impl Exit {
    /// The number that the parent process sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::NoResult => 1,
            Self::General => 100,
            Self::BadArguments => 101,
            Self::BindFailed => 102,
            Self::ConnectFailed => 103,
            Self::BadHosts => 106,
            Self::IoError => 107,
            Self::Missing => 110,
            Self::CommandNotExecutable => 126,
            Self::CommandNotFound => 127,
            Self::Passed(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn codes_of_distcc_keep_their_numbers() {
        let codes = [
            (Exit::Success, 0),
            (Exit::General, 100),
            (Exit::BadArguments, 101),
            (Exit::BindFailed, 102),
            (Exit::ConnectFailed, 103),
            (Exit::BadHosts, 106),
            (Exit::IoError, 107),
            (Exit::Missing, 110),
        ];
        for (exit, code) in codes {
            assert_eq!(exit.code(), code);
        }
    }
}
