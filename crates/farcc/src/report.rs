//! The one place that prints errors: `farcc: what went wrong` and, where the way out is known,
//! `hint: what to do`.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io::Write as _;

use crate::error::Error;
use crate::exit::Exit;

/// Prints an error to standard error and says which exit code belongs to it.
pub(crate) fn error(program: &str, error: &Error) -> Exit {
    eprint(&error_text(program, error));
    error.exit()
}

/// Prints a warning: something is wrong, but the program goes on.
pub(crate) fn warning(program: &str, text: &str) {
    eprint(&format!("{program}: warning: {text}\n"));
}

/// Writes to standard error; a closed standard error is no reason to stop.
pub(crate) fn eprint(text: &str) {
    let _ignored = std::io::stderr().write_all(text.as_bytes());
}

/// Writes to standard output. A reader that has gone (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    print_bytes(text.as_bytes())
}

/// The same for what need not be text: names of files.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Error::Stdout),
    }
}

/// An error with its causes and its hint, as people see it.
pub(crate) fn error_text(program: &str, error: &Error) -> String {
    let mut text = format!("{program}: {error}");
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !said.ends_with(&next) {
            let _ = write!(text, ": {next}");
        }
        said = next;
        cause = error.source();
    }
    text.push('\n');
    if let Some(hint) = error.hint() {
        let _ = writeln!(text, "hint: {hint}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent_socket::AgentError;
    use crate::masquerade::MasqueradeError;
    use expect_test::expect;
    use std::io;

    /// One of every kind, so that all texts can be read together.
    fn all_errors() -> Vec<Error> {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let not_found = || io::Error::from(io::ErrorKind::NotFound);
        vec![
            AgentError::NoDirectory.into(),
            AgentError::Unreachable {
                dir: "/home/me/.distcc".into(),
                source: denied(),
            }
            .into(),
            Error::AgentRuns,
            Error::NoSocket(3),
            MasqueradeError::NoShim("/usr/bin/distcc".into()).into(),
            MasqueradeError::NoCompiler.into(),
            MasqueradeError::Io {
                path: "/tmp".into(),
                source: denied(),
            }
            .into(),
            Error::Command {
                command: "mkae".into(),
                source: not_found(),
            },
            Error::Command {
                command: "./notes.txt".into(),
                source: denied(),
            },
            Error::file("write", "summary.json")(denied()),
            Error::Stdout(denied()),
            Error::System {
                action: "catch signals",
                source: denied(),
            },
            monitor::text::ShowError::StateDir {
                dir: "/var/tmp/portage/.distcc/state".into(),
                source: denied(),
            }
            .into(),
            Error::NoCompiler("gc".into()),
            Error::Scan {
                source_name: "a.c".into(),
                why: "config.h is not there".into(),
            },
            Error::NotRead("conf.h".into()),
            Error::Arguments("unrecognized subcommand `mkae`".into()),
            Error::WrongName("distcc".into()),
            Error::NotRoot("distcc-config --set-env"),
        ]
    }

    #[test]
    fn every_error_says_what_happened_and_what_to_do() {
        let texts = all_errors().into_iter().map(|error| {
            let code = error.exit().code();
            format!("{code} {}", error_text("farcc", &error))
        });
        expect![[r#"
            103 farcc: neither DISTCC_DIR nor HOME is set
            hint: set DISTCC_DIR to a directory of yours
            103 farcc: failed to reach the agent in `/home/me/.distcc`: permission denied
            hint: is the directory writable? DISTCC_DIR names another one
            102 farcc: an agent already serves this user
            hint: `farcc status` shows where
            102 farcc: descriptor 3 is not an open socket
            hint: leave --listen-fd out to let farcc create the socket
            110 farcc: the program `/usr/bin/distcc` is missing
            hint: install distcc in the same directory as farcc: `farcc util install`
            110 farcc: no compiler found in PATH
            hint: install gcc or clang, or add its directory to PATH
            107 farcc: failed to make compiler links in `/tmp`: permission denied
            127 farcc: failed to run `mkae`: entity not found
            hint: write the build's own command after `--`: `farcc run -- make -j24`
            126 farcc: failed to run `./notes.txt`: permission denied
            107 farcc: failed to write `summary.json`: permission denied
            107 farcc: failed to write to standard output: permission denied
            100 farcc: failed to catch signals: permission denied
            107 farcc: failed to read `/var/tmp/portage/.distcc/state`: permission denied
            110 farcc: no compiler `gc` found in PATH
            hint: write the compiler first: `farcc explain -- gcc -c a.c`
            100 farcc: the files that `a.c` needs are not certain: config.h is not there
            hint: `farcc explain` shows what was found
            100 farcc: the compile does not read `conf.h`
            hint: leave --why out to see everything that it reads
            101 farcc: unrecognized subcommand `mkae`
            hint: `--help` shows what can be given
            110 farcc: `distcc` is a separate program, not a link to farcc
            hint: install the program `distcc` beside farcc
            1 farcc: distcc-config --set-env must be run as root
            hint: use sudo, or --root=DIR to change another tree
        "#]]
        .assert_eq(&texts.collect::<String>());
    }
}
