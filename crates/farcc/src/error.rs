//! Everything that can go wrong in a program of this crate: its text is the modules' own, its
//! exit code and the hint are here.

use std::io;
use std::path::PathBuf;

use crate::agent_socket::AgentError;
use crate::exit::Exit;
use crate::masquerade::MasqueradeError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The agent cannot be reached.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// `farcc agent` was started where one runs already.
    #[error("an agent already serves this user")]
    AgentRuns,
    /// `--listen-fd` names no open socket.
    #[error("descriptor {0} is not an open socket")]
    NoSocket(i32),
    /// There is no masquerade directory.
    #[error(transparent)]
    Masquerade(#[from] MasqueradeError),
    /// `farcc run` cannot start its command.
    #[error("failed to run `{command}`")]
    Command {
        /// The command.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file or directory cannot be read, written or made.
    #[error("failed to {action} `{}`", .path.display())]
    File {
        /// What was tried: `write`, `read`, `link`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Standard output cannot be written.
    #[error("failed to write to standard output")]
    Stdout(#[source] io::Error),
    /// The system refuses something that every process may do.
    #[error("failed to {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The jobs cannot be shown.
    #[error(transparent)]
    Show(#[from] monitor::text::ShowError),
    /// There is no such compiler, apart from links to distcc.
    #[error("no compiler `{0}` found in PATH")]
    NoCompiler(String),
    /// The compiler does not say what a scan needs to know.
    #[error(transparent)]
    Ask(#[from] agent::scanning::AskError),
    /// Which files a compile reads cannot be told.
    #[error("the files that `{source_name}` needs are not certain: {why}")]
    Scan {
        /// The source.
        source_name: String,
        /// What is not certain.
        why: String,
    },
    /// A file that was asked about is not read.
    #[error("the compile does not read `{}`", .0.display())]
    NotRead(PathBuf),
    /// The arguments are wrong; the text says how.
    #[error("{0}")]
    Arguments(String),
    /// The program was called by a name that it does not know what to do with.
    #[error("`{0}` is a separate program, not a link to farcc")]
    WrongName(String),
    /// Only root may do this.
    #[error("{0} must be run as root")]
    NotRoot(&'static str),
}

impl Error {
    /// A file operation that failed; for `map_err`.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    /// The exit code that goes with it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Agent(_) => Exit::ConnectFailed,
            Self::AgentRuns | Self::NoSocket(_) => Exit::BindFailed,
            Self::Masquerade(MasqueradeError::Io { .. }) => Exit::IoError,
            Self::Masquerade(_) | Self::WrongName(_) | Self::NoCompiler(_) => Exit::Missing,
            Self::Command { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Exit::CommandNotFound
            }
            Self::Command { .. } => Exit::CommandNotExecutable,
            Self::File { .. } | Self::Stdout(_) | Self::Show(_) => Exit::IoError,
            Self::System { .. } | Self::Ask(_) | Self::Scan { .. } | Self::NotRead(_) => {
                Exit::General
            }
            Self::Arguments(_) => Exit::BadArguments,
            Self::NotRoot(_) => Exit::NoResult,
        }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Agent(AgentError::NoDirectory) => Some("set DISTCC_DIR to a directory of yours"),
            Self::Agent(AgentError::Unreachable { .. }) => {
                Some("is the directory writable? DISTCC_DIR names another one")
            }
            Self::AgentRuns => Some("`farcc status` shows where"),
            Self::NoSocket(_) => Some("leave --listen-fd out to let farcc create the socket"),
            Self::Masquerade(MasqueradeError::NoShim(_)) => {
                Some("install distcc in the same directory as farcc: `farcc util install`")
            }
            Self::Masquerade(MasqueradeError::NoCompiler) => {
                Some("install gcc or clang, or add its directory to PATH")
            }
            Self::Command { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("write the build's own command after `--`: `farcc run -- make -j24`")
            }
            Self::NoCompiler(_) => Some("write the compiler first: `farcc explain -- gcc -c a.c`"),
            Self::Scan { .. } => Some("`farcc explain` shows what was found"),
            Self::NotRead(_) => Some("leave --why out to see everything that it reads"),
            Self::WrongName(_) => Some("install the program `distcc` beside farcc"),
            Self::NotRoot(_) => Some("use sudo, or --root=DIR to change another tree"),
            Self::Arguments(_) => Some("`--help` shows what can be given"),
            Self::Masquerade(_)
            | Self::Command { .. }
            | Self::File { .. }
            | Self::Stdout(_)
            | Self::System { .. }
            | Self::Ask(_)
            | Self::Show(_) => None,
        }
    }
}
