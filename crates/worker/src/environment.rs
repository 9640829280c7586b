//! Every environment variable that this server looks at.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use crate::{compilers, limits, store_place};

/// Variables of the server that jobs get; all others are the server's own business. What names
/// the place of a compiler's parts must be kept, and the language of its messages.
const KEPT_FOR_JOBS: &[&str] = &[
    "COMPILER_PATH",
    "GCC_EXEC_PREFIX",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "LD_LIBRARY_PATH",
];

/// What the server takes from its environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// `DISTCCD_PATH` or `PATH`, `DISTCC_CMDLIST`, `DISTCC_CMDLIST_NUMWORDS`.
    pub(crate) compilers: compilers::Environment,
    /// `DISTCC_IO_TIMEOUT`, in seconds: how long a silent connection is kept.
    pub(crate) io_time_max: Duration,
    /// `DISTCC_SAVE_TEMPS`: keep a copy of each job's input and messages.
    pub(crate) saves_temps: bool,
    /// `TMPDIR`: where these copies go, and the files of jobs without a sandbox.
    pub(crate) temp_dir: PathBuf,
    /// `LISTEN_PID` and `LISTEN_FDS`: sockets handed over by systemd.
    pub(crate) listen_pid: Option<String>,
    pub(crate) listen_fds: Option<String>,
    /// `NOTIFY_SOCKET`: where systemd wants to hear that the server is ready.
    pub(crate) notify_socket: Option<OsString>,
    /// `FARCC_STORE`, `CACHE_DIRECTORY`, `XDG_CACHE_HOME`, `HOME`.
    pub(crate) store: store_place::Environment,
    /// For jobs.
    pub(crate) job_env: Vec<(OsString, OsString)>,
}

/// A variable with a value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} must be {expected}, not \"{value}\"")]
pub(crate) struct BadVariable {
    name: &'static str,
    expected: &'static str,
    value: String,
}

impl Environment {
    /// Reads the variables through `get`. `DISTCC_TCP_DEFER_ACCEPT` and `DISTCC_TCP_CORK` need no
    /// reading: a connection that says nothing costs no worker here, and answers are written in
    /// one piece.
    pub(crate) fn read(get: impl Fn(&str) -> Option<OsString>) -> Result<Environment, BadVariable> {
        let text = |name| get(name).map(|value| value.to_string_lossy().into_owned());
        let number = |name: &'static str| match text(name) {
            None => Ok(None),
            Some(value) => match value.trim().parse::<u64>() {
                Ok(number) if number > 0 => Ok(Some(number)),
                _ => Err(BadVariable {
                    name,
                    expected: "a number greater than 0",
                    value,
                }),
            },
        };
        let words = number("DISTCC_CMDLIST_NUMWORDS")?;
        let path = get("DISTCCD_PATH").or_else(|| get("PATH"));
        let is_absolute = |value: &OsString| OsStr::new(value).as_encoded_bytes().starts_with(b"/");
        Ok(Environment {
            compilers: compilers::Environment {
                path: path.unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()),
                cmdlist: get("DISTCC_CMDLIST")
                    .filter(|path| !path.is_empty())
                    .map(PathBuf::from),
                cmdlist_words: words.map(|words| usize::try_from(words).unwrap_or(usize::MAX)),
            },
            io_time_max: number("DISTCC_IO_TIMEOUT")?
                .map_or(limits::IO_TIME_MAX, Duration::from_secs),
            saves_temps: text("DISTCC_SAVE_TEMPS").is_some_and(|value| value == "1"),
            temp_dir: get("TMPDIR")
                .filter(is_absolute)
                .unwrap_or_else(|| "/tmp".into())
                .into(),
            listen_pid: text("LISTEN_PID"),
            listen_fds: text("LISTEN_FDS"),
            notify_socket: get("NOTIFY_SOCKET").filter(|path| !path.is_empty()),
            store: store_place::Environment::read(&get),
            job_env: job_env(&get),
        })
    }
}

/// What jobs get of the server's variables. A server without a language, as services are started,
/// takes the characters of its clients: GCC's quotes are other ones without them.
fn job_env(get: impl Fn(&str) -> Option<OsString>) -> Vec<(OsString, OsString)> {
    let mut env: Vec<_> = KEPT_FOR_JOBS
        .iter()
        .filter_map(|name| Some((OsString::from(name), get(name)?)))
        .collect();
    let is_language = |(name, _): &(OsString, OsString)| {
        name.to_string_lossy().starts_with("LC_") || name == "LANG"
    };
    if !env.iter().any(is_language) {
        env.push(("LC_CTYPE".into(), "C.UTF-8".into()));
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, BadVariable> {
        Environment::read(|name| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.into())
        })
    }

    #[test]
    fn defaults_are_stocks() {
        let environment = read(&[]).unwrap();
        assert_eq!(environment.io_time_max, Duration::from_secs(300));
        assert_eq!(environment.temp_dir, PathBuf::from("/tmp"));
        assert!(!environment.saves_temps);
    }

    #[test]
    fn a_server_without_a_language_quotes_as_its_clients_do() {
        let language = [("LC_CTYPE".into(), "C.UTF-8".into())];
        assert_eq!(read(&[]).unwrap().job_env, language);
        let kept = read(&[("LC_MESSAGES", "C")]).unwrap().job_env;
        assert_eq!(kept, [("LC_MESSAGES".into(), "C".into())]);
    }

    #[test]
    fn variables_are_read() {
        let environment = read(&[
            ("PATH", "/a"),
            ("DISTCCD_PATH", "/b"),
            ("DISTCC_IO_TIMEOUT", "7"),
            ("DISTCC_CMDLIST_NUMWORDS", "2"),
            ("LANG", "C"),
            ("SECRET", "x"),
        ])
        .unwrap();
        assert_eq!(environment.compilers.path, "/b");
        assert_eq!(environment.compilers.cmdlist_words, Some(2));
        assert_eq!(environment.io_time_max, Duration::from_secs(7));
        assert_eq!(environment.job_env, [("LANG".into(), "C".into())]);
    }

    #[test]
    fn bad_values_are_named() {
        let error = read(&[("DISTCC_IO_TIMEOUT", "0")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "DISTCC_IO_TIMEOUT must be a number greater than 0, not \"0\""
        );
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(KEPT_FOR_JOBS.is_sorted());
    }
}
