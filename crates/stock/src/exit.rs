//! Exit codes of distcc and distccd, by which scripts and other programs tell
//! failures of distcc from those of the compiler.
//!
//! A stability boundary: the numbers are stock's and never change.

macro_rules! exit_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Why distcc or distccd failed, where the compiler did not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ExitCode {
            $($(#[$doc])* $name = $code,)*
        }

        impl ExitCode {
            /// Every code, in order.
            pub const ALL: &[ExitCode] = &[$(ExitCode::$name,)*];

            /// A few words for people.
            pub fn text(self) -> &'static str {
                match self { $(ExitCode::$name => $text,)* }
            }
        }
    };
}

exit_codes! {
    /// Anything without a code of its own.
    Failed = 100, "general failure";
    /// Wrong options of distcc or distccd themselves.
    BadArguments = 101, "bad arguments";
    /// The server cannot listen on its port.
    BindFailed = 102, "cannot bind";
    /// No connection to the server.
    ConnectFailed = 103, "cannot connect";
    /// Defined by stock, but never used.
    CompilerCrashed = 104, "compiler crashed";
    /// Out of memory.
    OutOfMemory = 105, "out of memory";
    /// A host in the list that cannot be understood.
    BadHostSpec = 106, "bad host list";
    /// Reading or writing failed.
    IoError = 107, "input or output failed";
    /// The other side stopped in the middle.
    Truncated = 108, "message cut short";
    /// The other side does not keep to the protocol.
    ProtocolError = 109, "protocol error";
    /// There is no such compiler.
    CompilerMissing = 110, "compiler not found";
    /// distcc was started by itself.
    Recursion = 111, "distcc invoked itself";
    /// The server cannot give up root.
    SetUidFailed = 112, "cannot change user";
    /// The client's address is not allowed.
    AccessDenied = 113, "access denied";
    /// Everything is in use.
    Busy = 114, "busy";
    /// A file is missing.
    NoSuchFile = 115, "no such file";
    /// Nobody to send the job to, and running it here is forbidden.
    NoHosts = 116, "no hosts, and fallback is off";
    /// Something that was there is gone.
    Gone = 117, "gone";
    /// It took too long.
    TimedOut = 118, "timed out";
    /// GSSAPI authentication failed.
    AuthFailed = 119, "authentication failed";
    /// Used inside stock only: the job must be preprocessed here.
    LocalCpp = 120, "preprocess locally";
}

impl ExitCode {
    /// The number, 100 to 120.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The meaning of a number that a process exited with, if it is one of these.
    pub fn from_code(code: u8) -> Option<ExitCode> {
        ExitCode::ALL.iter().copied().find(|e| e.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_100_to_120() {
        let codes: Vec<u8> = ExitCode::ALL.iter().map(|e| e.code()).collect();
        assert_eq!(codes, (100..=120).collect::<Vec<u8>>());
        assert_eq!(ExitCode::from_code(116), Some(ExitCode::NoHosts));
        assert_eq!(ExitCode::from_code(1), None);
    }
}
