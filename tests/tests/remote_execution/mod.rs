//! Programs that nobody here wrote let a server execute their builds.
//!
//! Each is judged by its own report: what ran remotely, what came from the action cache, what the
//! compiler said. All run against our server; those that start quickly also against buildbox-casd,
//! which shows that a test asks for nothing that only our server does.

mod bazel;
mod justbuild;
mod lua;
mod proxy;
mod recc;
mod siso;
mod trexe;

use std::path::PathBuf;

use e2e::casd::Casd;
use e2e::foreign;
use e2e::programs::{Kind, have};
use e2e::server::Server;
use e2e::workspace::{Workspace, open_to_all};

/// Whose server executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    Casd,
}

/// A server of the Remote Execution API.
enum Remote {
    Ours(Server),
    Casd(Casd),
}

impl Remote {
    fn start(workspace: &Workspace, whose: Whose) -> Self {
        match whose {
            Whose::Ours => {
                let place = workspace.root().join("stores");
                std::fs::create_dir_all(&place).unwrap();
                // The server gives up root.
                open_to_all(&place, 0o1777);
                let store = place.join("store");
                let args = ["--jobs", "4", "--store", store.to_str().unwrap()];
                Self::Ours(Server::start_with(workspace, Kind::Ours, &args, &[]))
            }
            Whose::Casd => Self::Casd(Casd::executing(workspace)),
        }
    }

    /// `HOST:PORT`.
    fn address(&self) -> String {
        match self {
            Self::Ours(server) => format!("127.0.0.1:{}", server.port()),
            Self::Casd(casd) => casd.address(),
        }
    }

    /// Ends it; its port refuses connections from now on.
    fn kill(&mut self) {
        match self {
            Self::Ours(server) => drop(server.kill()),
            Self::Casd(casd) => casd.stop(),
        }
    }
}

/// Whether the client is here, and what the server needs.
fn can_run(client: PathBuf, whose: Whose) -> bool {
    let casd = [foreign::casd_1_3(), foreign::BUBBLEWRAP.into()];
    let server: &[PathBuf] = if whose == Whose::Casd { &casd } else { &[] };
    let programs = [&[client], server].concat();
    // All are asked for, so that all that is missing is told.
    programs
        .iter()
        .filter(|program| !have(&program.to_string_lossy()))
        .count()
        == 0
}

/// The number before a word, as in `3 remote cache hit`.
#[track_caller]
fn number_before(text: &str, word: &str) -> usize {
    let (before, _) = text
        .split_once(word)
        .unwrap_or_else(|| panic!("no `{word}` in {text}"));
    let digits = before.trim_end();
    let start = digits
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| at + 1);
    digits[start..]
        .parse()
        .unwrap_or_else(|_| panic!("no number before `{word}` in {text}"))
}

/// What does not compile, and why, in the words of every C compiler.
const WRONG: (&str, &str) = ("int x = y;\n", "'y' undeclared here (not in a function)");
