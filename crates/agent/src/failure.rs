//! What can go wrong with a host. None of it is the user's code: the job goes on elsewhere.

use std::io;
use std::time::Duration;

use reapi::client::CallError;
use stock::exit::ExitCode;

use crate::refusals::Refused;

/// Why a host did not give an answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostFailure {
    /// Its name leads nowhere.
    #[error("cannot resolve {name}: {source}")]
    Resolve {
        /// The name.
        name: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// None of its addresses accepts connections; the text is about the first.
    #[error("connect to {address} failed: {source}")]
    Connect {
        /// Address or name, and port.
        address: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// Nothing came back from any address.
    #[error("connect to {address} timed out after {} s", .after.as_secs())]
    ConnectTimeout {
        /// Address and port.
        address: String,
        /// How long was waited.
        after: Duration,
    },
    /// The way out of the sandbox is blocked.
    #[error("SOCKS proxy {proxy}: {source}")]
    Proxy {
        /// The proxy.
        proxy: String,
        /// What it says, or the kernel.
        source: io::Error,
    },
    /// The ssh command cannot be started.
    #[error("cannot start {command}: {source}")]
    Ssh {
        /// The command.
        command: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// The connection broke before everything was sent, and no answer came.
    #[error("sending failed: {0}")]
    Send(io::Error),
    /// The connection broke in the middle of the answer.
    #[error("receiving failed: {0}")]
    Receive(io::Error),
    /// No byte for too long.
    #[error("no answer within {} s (DISTCC_IO_TIMEOUT)", .0.as_secs())]
    Timeout(Duration),
    /// It hung up without a word, as stock servers do when they refuse something.
    #[error("server provided no answer{}", explain_silence(.hint))]
    NoAnswer {
        /// What ssh wrote to its standard error, if anything.
        hint: String,
    },
    /// It says that it does not compile this.
    #[error("{}", .0.text)]
    Refused(Refused),
    /// The answer is none.
    #[error("{0}")]
    Protocol(#[from] stock::DecodeError),
    /// The request cannot be written in this protocol.
    #[error("{0}")]
    Encode(#[from] stock::EncodeError),
    /// The answer does not decompress.
    #[error("{0}: {source}", source = .0.source)]
    Unpack(#[from] stock::UnpackError),
    /// This machine is short of something.
    #[error("{0}")]
    Here(io::Error),
    /// A call to a worker failed.
    #[error("{0}")]
    Call(#[from] CallError),
    /// It speaks distcc's protocol only, and this job, or its host list, asks for the other.
    #[error("it does not speak the Remote Execution API")]
    NotNative,
    /// The compiler was killed there: memory may have run out.
    #[error("the compiler was killed there by signal {0}")]
    Killed(i32),
    /// A toolchain does not pass its test compile there.
    #[error("{why}")]
    Unproven {
        /// Its digest, as text.
        toolchain: String,
        /// What went wrong.
        why: String,
    },
    /// It is silent where a worker would have greeted.
    #[error("no greeting within {} s", .0.as_secs())]
    NoGreeting(Duration),
}

/// What ssh says, else the usual reasons.
fn explain_silence(hint: &str) -> String {
    match hint {
        "" => ". Does it allow this client's address, does it have the compiler, and is it listed in the server's \
               /usr/lib/distcc?"
            .to_owned(),
        _ => format!("; ssh says: {hint}"),
    }
}

impl HostFailure {
    /// The exit code when the job may not run anywhere else.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Resolve { .. } | Self::Connect { .. } | Self::Proxy { .. } | Self::Ssh { .. } => {
                ExitCode::ConnectFailed
            }
            Self::ConnectTimeout { .. } => ExitCode::ConnectFailed,
            Self::Timeout(_) | Self::NoGreeting(_) => ExitCode::TimedOut,
            Self::Call(CallError::Unavailable(_)) => ExitCode::Truncated,
            Self::Call(_) | Self::NotNative | Self::Unproven { .. } | Self::Killed(_) => {
                ExitCode::ProtocolError
            }
            Self::Refused(refused) => refused.code,
            Self::Send(_) | Self::Receive(_) | Self::Here(_) => ExitCode::IoError,
            Self::NoAnswer { .. } | Self::Protocol(stock::DecodeError::Closed { .. }) => {
                ExitCode::Truncated
            }
            Self::Protocol(_) | Self::Encode(_) | Self::Unpack(_) => ExitCode::ProtocolError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_reasons_are_guessed_only_where_ssh_gives_none() {
        let text = |hint: &str| {
            let hint = hint.to_owned();
            HostFailure::NoAnswer { hint }.to_string()
        };
        assert!(text("").ends_with("listed in the server's /usr/lib/distcc?"));
        assert_eq!(
            text("no such host"),
            "server provided no answer; ssh says: no such host"
        );
    }
}
