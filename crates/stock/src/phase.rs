//! The phases of a job, as state files number them and monitors name them.

use std::fmt;

/// What a job is doing. The numbers are those of stock's state files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Just started (never written by stock).
    Startup = 0,
    /// Waiting for a slot (never written by stock).
    Blocked = 1,
    /// Connecting to the server.
    Connect = 2,
    /// Preprocessing, here.
    Preprocess = 3,
    /// Sending the request.
    Send = 4,
    /// Compiling, there (or here, with host `localhost`).
    Compile = 5,
    /// Receiving the result.
    Receive = 6,
    /// Finished; monitors leave such a job out.
    Done = 7,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Phase; 8] = [
        Phase::Startup,
        Phase::Blocked,
        Phase::Connect,
        Phase::Preprocess,
        Phase::Send,
        Phase::Compile,
        Phase::Receive,
        Phase::Done,
    ];

    /// The name that `distccmon-text` prints.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Startup => "Startup",
            Phase::Blocked => "Blocked",
            Phase::Connect => "Connect",
            Phase::Preprocess => "Preprocess",
            Phase::Send => "Send",
            Phase::Compile => "Compile",
            Phase::Receive => "Receive",
            Phase::Done => "Done",
        }
    }

    /// The number in a state file.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The phase with this number; like stock, an unknown one counts as compiling.
    pub fn from_number(number: u32) -> Phase {
        Phase::ALL
            .into_iter()
            .find(|p| p.number() == number)
            .unwrap_or(Phase::Compile)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_in_the_list() {
        for (number, phase) in (0..).zip(Phase::ALL) {
            assert_eq!(Phase::from_number(number), phase);
        }
        assert_eq!(Phase::from_number(8), Phase::Compile);
    }
}
