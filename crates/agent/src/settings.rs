//! The settings of one job: every environment variable that the agent understands, in one table.
//!
//! The agent serves many builds, so settings come with each job and never from the agent's own environment. A value
//! that makes no sense is complained about and ignored: a build must not fail for it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use wire::JobRequest;

use crate::native;
use crate::socks::Proxy;

/// `DISTCC_IO_TIMEOUT` unless set: the longest wait for a byte from a host, compile included.
const IO_TIMEOUT_DEFAULT: Duration = Duration::from_secs(300);

/// Longest time that a setting can ask for, in seconds: a year, which the clock can still add to now.
const SECONDS_MAX: u64 = 365 * 24 * 3600;

/// What a job's environment says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// `$DISTCC_DIR`, or `~/.distcc`.
    pub(crate) dir: PathBuf,
    /// `$DISTCC_HOSTS`; if set, even empty, no file is read.
    pub(crate) hosts: Option<OsString>,
    /// A job that no host took may run here.
    pub(crate) fallback: bool,
    /// A compile that failed on a host is not repeated here.
    pub(crate) skip_local_retry: bool,
    /// Compiler names are made unmistakable for other machines.
    pub(crate) rewrite_names: bool,
    /// How long a failed host is left alone; zero: not at all.
    pub(crate) backoff: Duration,
    /// The longest wait for a byte from a host.
    pub(crate) io_timeout: Duration,
    /// The ssh command and its first arguments.
    pub(crate) ssh: Vec<OsString>,
    /// Through which all TCP connections go.
    pub(crate) proxy: Option<Proxy>,
    /// Results of earlier compiles may be used, and this one's kept.
    pub(crate) cache: bool,
    /// Name of the build, for watchers.
    pub(crate) run: Option<String>,
    /// Values that were ignored, and why.
    pub(crate) complaints: Vec<String>,
}

type Setter = fn(&mut Settings, &OsStr) -> Result<(), String>;

/// Every variable that means something here, sorted by name.
const VARIABLES: &[(&str, Setter)] = &[
    ("DISTCC_BACKOFF_PERIOD", |s, v| {
        s.backoff = Duration::from_secs(number(v)?.min(SECONDS_MAX));
        Ok(())
    }),
    ("DISTCC_DIR", |_, _| Ok(())), // read first: `~/.distcc` depends on it
    ("DISTCC_FALLBACK", |s, v| truth(v).map(|on| s.fallback = on)),
    ("DISTCC_HOSTS", |s, v| {
        s.hosts = Some(v.to_owned());
        Ok(())
    }),
    ("DISTCC_IO_TIMEOUT", |s, v| {
        let seconds = number(v)?;
        if seconds == 0 {
            return Err("must be greater than 0".to_owned());
        }
        s.io_timeout = Duration::from_secs(seconds.min(SECONDS_MAX));
        Ok(())
    }),
    ("DISTCC_NO_REWRITE_CROSS", |s, _| {
        s.rewrite_names = false;
        Ok(())
    }),
    // The agent waits for events, never for time to pass.
    ("DISTCC_PAUSE_TIME_MSEC", |_, v| number(v).map(drop)),
    ("DISTCC_PRINCIPAL", |_, _| {
        Err("GSSAPI authentication is not supported".to_owned())
    }),
    // Neither agent nor shim has temporary files to keep.
    ("DISTCC_SAVE_TEMPS", |_, v| truth(v).map(drop)),
    ("DISTCC_SKIP_LOCAL_RETRY", |s, _| {
        s.skip_local_retry = true;
        Ok(())
    }),
    ("DISTCC_SOCKS_PROXY", |s, v| {
        s.proxy = Proxy::parse(v)?;
        Ok(())
    }),
    ("DISTCC_SSH", |s, v| {
        s.ssh = split_words(v)?;
        Ok(())
    }),
    // Requests are written head and text together, so there is nothing to cork.
    ("DISTCC_TCP_CORK", |_, v| truth(v).map(drop)),
    ("FARCC_CACHE", |s, v| {
        s.cache = !native::is_cache_off(Some(v));
        Ok(())
    }),
    // The agent's own; read when it starts.
    ("FARCC_CACHE_DIR", |_, _| Ok(())),
    ("FARCC_CACHE_SIZE", |_, _| Ok(())),
    ("FARCC_RUN", |s, v| {
        s.run = Some(v.to_string_lossy().into_owned());
        Ok(())
    }),
];

impl Settings {
    /// Reads a job's environment.
    pub(crate) fn of(job: &JobRequest) -> Self {
        let dir = match (job.var("DISTCC_DIR"), job.var("HOME")) {
            (Some(dir), _) if !dir.is_empty() => PathBuf::from(&job.cwd).join(dir),
            (_, Some(home)) => PathBuf::from(home).join(".distcc"),
            _ => PathBuf::from("/.distcc"),
        };
        let mut settings = Self {
            dir,
            hosts: None,
            fallback: true,
            skip_local_retry: false,
            rewrite_names: true,
            backoff: Duration::from_secs(stock::lock::BACKOFF_DEFAULT_S),
            io_timeout: IO_TIMEOUT_DEFAULT,
            ssh: vec!["ssh".into()],
            proxy: None,
            cache: true,
            run: None,
            complaints: Vec::new(),
        };
        for (name, value) in &job.env {
            let Some(name) = name.to_str() else { continue };
            let Ok(at) = VARIABLES.binary_search_by_key(&name, |(name, _)| name) else {
                continue;
            };
            let (_, set) = VARIABLES[at];
            if let Err(why) = set(&mut settings, value) {
                let value = value.to_string_lossy();
                settings
                    .complaints
                    .push(format!("ignored {name}=\"{value}\": {why}"));
            }
        }
        settings
    }
}

fn number(value: &OsStr) -> Result<u64, String> {
    value
        .to_str()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| "not a number of 0 or more".to_owned())
}

fn truth(value: &OsStr) -> Result<bool, String> {
    match value.as_bytes() {
        b"0" => Ok(false),
        b"1" => Ok(true),
        _ => Err("must be 0 or 1".to_owned()),
    }
}

/// Splits a command as a shell would: spaces, single and double quotes, backslash.
fn split_words(command: &OsStr) -> Result<Vec<OsString>, String> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote: Option<u8> = None;
    let mut bytes = command.as_bytes().iter().copied();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(open), _) if byte == open => quote = None,
            (Some(b'\''), _) => word.get_or_insert_default().push(byte),
            (_, b'\\') => {
                let escaped = bytes.next().ok_or("ends in a backslash")?;
                word.get_or_insert_default().push(escaped);
            }
            (Some(_), _) => word.get_or_insert_default().push(byte),
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None, b' ' | b'\t' | b'\n') => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(byte),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    words.extend(word);
    if words.is_empty() {
        return Err("no command".to_owned());
    }
    Ok(words
        .into_iter()
        .map(|word| OsStr::from_bytes(&word).to_owned())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(env: &[(&str, &str)]) -> Settings {
        Settings::of(&JobRequest {
            cwd: "/src".into(),
            env: env
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            ..JobRequest::default()
        })
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(VARIABLES.is_sorted_by_key(|(name, _)| name));
    }

    #[test]
    fn the_directory_is_distcc_dir_or_below_home() {
        assert_eq!(settings(&[("HOME", "/h")]).dir, PathBuf::from("/h/.distcc"));
        let both = settings(&[("HOME", "/h"), ("DISTCC_DIR", "/d")]);
        assert_eq!(both.dir, PathBuf::from("/d"));
        let relative = settings(&[("DISTCC_DIR", "d")]);
        assert_eq!(relative.dir, PathBuf::from("/src/d"));
    }

    #[test]
    fn truth_values_are_0_or_1() {
        assert!(!settings(&[("DISTCC_FALLBACK", "0")]).fallback);
        let odd = settings(&[("DISTCC_FALLBACK", "no")]);
        assert!(odd.fallback);
        assert_eq!(
            odd.complaints,
            ["ignored DISTCC_FALLBACK=\"no\": must be 0 or 1"]
        );
    }

    #[test]
    fn nonsense_is_ignored_and_named() {
        let odd = settings(&[
            ("DISTCC_IO_TIMEOUT", "0"),
            ("DISTCC_BACKOFF_PERIOD", "soon"),
            ("DISTCC_SSH", "ssh 'x"),
            ("DISTCC_PRINCIPAL", "host@x"),
        ]);
        assert_eq!(odd.complaints.len(), 4);
        assert_eq!(odd.io_timeout, IO_TIMEOUT_DEFAULT);
        assert_eq!(odd.ssh, ["ssh"]);
    }

    #[test]
    fn times_stay_within_a_year() {
        let long = settings(&[("DISTCC_IO_TIMEOUT", "18446744073709551615")]);
        assert_eq!(long.io_timeout, Duration::from_secs(SECONDS_MAX));
    }

    #[test]
    fn ssh_is_split_like_a_shell_does() {
        let words = settings(&[("DISTCC_SSH", r#"/bin/my\ ssh -o "A B" 'c "d' ''"#)]).ssh;
        assert_eq!(words, ["/bin/my ssh", "-o", "A B", "c \"d", ""]);
    }
}
