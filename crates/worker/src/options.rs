//! The command line of `distccd`: stock's options with their meaning, and `--sandbox`.
//!
//! Two stages: [`command`] is what clap knows (also for manual pages and completions),
//! [`Options::parse`] makes values of it. Nothing here looks at the environment.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command};

use crate::log::{Level, Target};
use crate::native::platform::Property;
use crate::store_place::parse_size;

/// The port of the protocol.
pub(crate) const PORT: u16 = 3632;

/// The port of the statistics page.
const STATS_PORT: u16 = 3633;

/// By how much jobs are nicer than their server's start.
const NICE: i32 = 5;

/// How clients reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It listens.
    Daemon,
    /// One client is on standard input and output.
    Inetd,
}

/// What is asked of the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sandbox {
    /// Namespaces; for one client under its own account (`--inetd`) they may be missing.
    Auto,
    /// Namespaces or nothing.
    Namespaces,
    /// None.
    None,
}

/// What clients of the Remote Execution API are served with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreOptions {
    /// They are not.
    None,
    /// A store.
    Store {
        /// `None`: wherever there is a place.
        dir: Option<PathBuf>,
        /// `None`: as the disk allows.
        bytes_max: Option<u64>,
    },
}

/// The options of one start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) allow: Vec<String>,
    pub(crate) allow_private: bool,
    /// `None`: two more than there are processors.
    pub(crate) jobs: Option<usize>,
    pub(crate) job_lifetime: Option<Duration>,
    pub(crate) nice: i32,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) port: u16,
    pub(crate) listen: Option<String>,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) user: Option<String>,
    /// `None`: as standard input suggests.
    pub(crate) mode: Option<Mode>,
    pub(crate) detach: bool,
    pub(crate) lifetime: Option<Duration>,
    /// `None`: syslog.
    pub(crate) log: Option<Target>,
    pub(crate) log_level: Level,
    /// The port, if wanted.
    pub(crate) stats: Option<u16>,
    pub(crate) any_compiler: bool,
    pub(crate) sandbox: Sandbox,
    pub(crate) store: StoreOptions,
    /// What actions see besides their inputs; this machine's programs if not given.
    pub(crate) root: Option<PathBuf>,
    pub(crate) properties: Vec<Property>,
    /// Options that were accepted and do nothing, with the reason.
    pub(crate) ignored: Vec<String>,
}

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To serve.
    Serve(Box<Options>),
    /// To print this to standard output.
    Print(String),
    /// Nothing that can be done; says why.
    Wrong(String),
}

/// Options that are known and not offered, with the reason.
const REFUSED: &[(&str, &str)] = &[
    (
        "auth",
        "GSSAPI authentication is not supported: let clients connect over ssh, or through a tunnel",
    ),
    (
        "blacklist",
        "it belongs to GSSAPI authentication, which is not supported",
    ),
    (
        "show-principal",
        "it belongs to GSSAPI authentication, which is not supported",
    ),
    (
        "sysroot",
        "specs files of clients are never used: they can run any program",
    ),
    (
        "whitelist",
        "it belongs to GSSAPI authentication, which is not supported",
    ),
];

/// The command line, for parsing, manual pages and completions.
#[must_use]
pub fn command() -> Command {
    let command = Command::new("distccd")
        .about("Compiles for clients of distcc and farcc")
        .disable_version_flag(true)
        .args_override_self(true)
        .after_help("Without --allow or --allow-private, only private networks are allowed.");
    let command = whom_to_serve(command);
    let command = remote_execution(command);
    let command = how_to_run(command);
    let command = what_to_tell(command);
    command.args(REFUSED.iter().map(|&(name, _)| {
        Arg::new(name)
            .long(name)
            .num_args(0..=1)
            .require_equals(true)
            .hide(true)
    }))
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(help)
}

fn value(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .help(help)
        .allow_hyphen_values(true)
}

fn whom_to_serve(command: Command) -> Command {
    command
        .next_help_heading("Whom to serve, and with what")
        .args([
            value(
                "allow",
                "IP[/BITS]",
                "Allow clients of this address, network or host name; repeatable",
            )
            .short('a')
            .action(ArgAction::Append),
            flag("allow-private", "Allow clients of private networks"),
            value("port", "PORT", "Listen on this TCP port [default: 3632]").short('p'),
            value(
                "listen",
                "ADDRESS",
                "Listen on the addresses of this name only",
            ),
            value(
                "jobs",
                "N",
                "Run at most N jobs at once; more wait [default: processors + 2]",
            )
            .short('j'),
            value(
                "job-lifetime",
                "SECONDS",
                "Kill jobs that take longer [default: never]",
            ),
            value("nice", "N", "Run with a priority lower by N [default: 5]").short('N'),
            value(
                "oom-score-adj",
                "N",
                "When memory runs out, kill jobs sooner (to 1000) or later",
            ),
            flag("enable-tcp-insecure", "Run any program that a client names")
                .alias("make-me-a-botnet"),
            value(
                "sandbox",
                "KIND",
                "Keep jobs from the rest of the machine [default: auto]",
            )
            .value_parser(["auto", "namespaces", "none"]),
        ])
}

fn remote_execution(command: Command) -> Command {
    command
        .next_help_heading("Remote execution (REAPI, the native protocol), on the same port")
        .args([
            value(
                "store",
                "DIR",
                "Keep inputs and results here [default: /var/cache/farcc or ~/.cache/farcc/worker]",
            ),
            value(
                "store-size",
                "SIZE",
                "Most that the store takes, as 20G [default: half of the free disk, at most 64G]",
            ),
            value(
                "root",
                "DIR",
                "Show actions what is in DIR, instead of this machine's /usr and the like",
            ),
            value(
                "property",
                "NAME[=VALUE]",
                "Run actions that ask for this platform property; repeatable",
            )
            .action(ArgAction::Append),
            flag("no-native", "Serve clients of distcc only"),
        ])
}

fn how_to_run(command: Command) -> Command {
    command.next_help_heading("How to run").args([
        flag("daemon", "Listen for clients"),
        flag("inetd", "Serve the client on standard input and output"),
        flag("no-detach", "Stay in the foreground"),
        flag(
            "no-fork",
            "For debugging; has no effect here, where one process serves all",
        ),
        flag("no-fifo", "Has no effect, as in stock"),
        value(
            "user",
            "NAME",
            "If started by root, become this user [default: distcc, distccd, nobody]",
        ),
        value("pid-file", "FILE", "Write the process id to this file").short('P'),
        value("lifetime", "SECONDS", "Leave after this time, for tests"),
        flag(
            "wizard",
            "For debugging: --log-stderr --daemon --no-detach --no-fork --verbose",
        )
        .short('W'),
        flag(
            "zeroconf",
            "Has no effect: the server is not announced by DNS-SD",
        ),
    ])
}

fn what_to_tell(command: Command) -> Command {
    command.next_help_heading("What to tell").args([
        value("log-file", "FILE", "Log to this file"),
        flag("log-stderr", "Log to standard error"),
        value(
            "log-level",
            "LEVEL",
            "Log what is at least as important [default: notice]",
        )
        .value_parser(
            Level::NAMES
                .iter()
                .map(|(name, _)| *name)
                .collect::<Vec<_>>(),
        ),
        flag("verbose", "Log everything"),
        flag("stats", "Serve a page of statistics"),
        value("stats-port", "PORT", "Port of that page [default: 3633]"),
        flag("version", "Print version and protocols"),
    ])
}

/// The two lines that `--version` prints and scripts look at, in stock's form.
#[must_use]
pub fn version_text(program: &str) -> String {
    let (version, arch) = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let vendor = if arch == "x86_64" { "pc" } else { "unknown" };
    format!(
        "{program} 3.4-farcc-{version} {arch}-{vendor}-linux-gnu\n  \
         (protocols 1, 2 and 3) (default port {PORT})\n"
    )
}

impl Options {
    /// Reads the arguments (without the program's name).
    pub(crate) fn parse(args: impl Iterator<Item = OsString>, program: &str) -> Asked {
        let args = std::iter::once(OsString::from(program)).chain(args);
        let command = command().bin_name(program.to_owned());
        let matches = match command.try_get_matches_from(args) {
            Ok(matches) => matches,
            Err(error) if error.kind() == ErrorKind::DisplayHelp => {
                return Asked::Print(error.to_string());
            }
            Err(error) => {
                let text = error.to_string();
                return Asked::Wrong(text.trim_start_matches("error: ").trim_end().to_owned());
            }
        };
        if matches.get_flag("version") {
            return Asked::Print(version_text(program));
        }
        let refused = REFUSED
            .iter()
            .find(|(name, _)| matches.value_source(name).is_some());
        if let Some((name, why)) = refused {
            return Asked::Wrong(format!("--{name} is not offered: {why}"));
        }
        match Options::from_matches(&matches) {
            Ok(options) => Asked::Serve(Box::new(options)),
            Err(why) => Asked::Wrong(why),
        }
    }

    fn from_matches(matches: &clap::ArgMatches) -> Result<Options, String> {
        let text = |name: &str| matches.get_one::<String>(name).cloned();
        let is_set = |name: &str| matches.get_flag(name);
        let wizard = is_set("wizard");
        let seconds = |name, value: Option<u64>| number(matches, name, 0, 1 << 31, value);
        let log_level = match text("log-level") {
            _ if wizard || is_set("verbose") => Level::Debug,
            Some(name) => Level::from_name(&name).ok_or("unknown log level")?,
            None => Level::Notice,
        };
        let log = match text("log-file") {
            _ if wizard || is_set("log-stderr") => Some(Target::Stderr),
            Some(path) => Some(Target::File(path.into())),
            None => None,
        };
        let mode = match (is_set("daemon") || wizard, is_set("inetd")) {
            (true, true) => return Err("--daemon and --inetd exclude each other".to_owned()),
            (true, false) => Some(Mode::Daemon),
            (false, true) => Some(Mode::Inetd),
            (false, false) => None,
        };
        let port = number(matches, "port", 0, 65_535, Some(PORT))?.unwrap_or(PORT);
        let stats_port = number(matches, "stats-port", 0, 65_535, Some(STATS_PORT))?;
        let properties = matches.get_many::<String>("property");
        let properties = properties.into_iter().flatten();
        let size = text("store-size");
        let store = StoreOptions::Store {
            dir: text("store").map(PathBuf::from),
            bytes_max: size.as_deref().map(parse_size).transpose()?,
        };
        Ok(Options {
            store: if is_set("no-native") {
                StoreOptions::None
            } else {
                store
            },
            root: text("root").map(PathBuf::from),
            properties: properties
                .map(|text| Property::parse(text))
                .collect::<Result<_, _>>()?,
            allow: matches
                .get_many("allow")
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
            allow_private: is_set("allow-private"),
            jobs: number(matches, "jobs", 1, 1 << 20, None)?,
            job_lifetime: positive(seconds("job-lifetime", None)?),
            nice: number(matches, "nice", -40, 40, Some(NICE))?.unwrap_or(NICE),
            oom_score_adj: number(matches, "oom-score-adj", -1000, 1000, None)?,
            port,
            listen: text("listen"),
            pid_file: text("pid-file").map(PathBuf::from),
            user: text("user"),
            mode,
            detach: !(is_set("no-detach") || wizard),
            lifetime: positive(seconds("lifetime", None)?),
            log,
            log_level,
            stats: stats_port.filter(|_| is_set("stats") || text("stats-port").is_some()),
            any_compiler: is_set("enable-tcp-insecure"),
            sandbox: match text("sandbox").as_deref() {
                Some("namespaces") => Sandbox::Namespaces,
                Some("none") => Sandbox::None,
                _ => Sandbox::Auto,
            },
            ignored: ignored(matches),
        })
    }
}

fn ignored(matches: &clap::ArgMatches) -> Vec<String> {
    let mut ignored = Vec::new();
    if matches.get_flag("zeroconf") {
        let why = "--zeroconf has no effect: name this server in the clients' host lists";
        ignored.push(why.to_owned());
    }
    ignored
}

fn positive(seconds: Option<u64>) -> Option<Duration> {
    seconds
        .filter(|&seconds| seconds > 0)
        .map(Duration::from_secs)
}

/// The number given for an option, or `default`.
fn number<T>(
    matches: &clap::ArgMatches,
    name: &str,
    min: i64,
    max: i64,
    default: Option<T>,
) -> Result<Option<T>, String>
where
    T: TryFrom<i64>,
{
    let Some(text) = matches.get_one::<String>(name) else {
        return Ok(default);
    };
    let number = text
        .trim()
        .parse::<i64>()
        .ok()
        .filter(|number| (min..=max).contains(number));
    match number.and_then(|number| T::try_from(number).ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(format!(
            "--{name} takes a number from {min} to {max}, not \"{text}\""
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(args: &str) -> Asked {
        Options::parse(args.split_whitespace().map(OsString::from), "distccd")
    }

    #[track_caller]
    fn options(args: &str) -> Options {
        match asked(args) {
            Asked::Serve(options) => *options,
            other => panic!("{args}: {other:?}"),
        }
    }

    #[track_caller]
    fn check_wrong(args: &str, expected: &str) {
        match asked(args) {
            Asked::Wrong(why) => assert!(why.contains(expected), "{args}: {why}"),
            other => panic!("{args}: {other:?}"),
        }
    }

    #[test]
    fn defaults_are_stocks() {
        let options = options("");
        assert_eq!((options.port, options.nice, options.jobs), (3632, 5, None));
        assert_eq!(
            (options.mode, options.detach, options.log),
            (None, true, None)
        );
        assert_eq!((options.stats, options.log_level), (None, Level::Notice));
    }

    #[test]
    fn every_form_that_popt_takes_is_taken() {
        for args in ["-j 8", "-j8", "-j=8", "--jobs 8", "--jobs=8", "-j 9 -j 8"] {
            assert_eq!(options(args).jobs, Some(8), "{args}");
        }
        for args in ["-N -3", "-N-3", "--nice=-3", "--nice -3"] {
            assert_eq!(options(args).nice, -3, "{args}");
        }
        let many = options("-a 10.0.0.0/8 --allow ::1 --allow=h -ah2 --allow-private");
        assert_eq!(many.allow, ["10.0.0.0/8", "::1", "h", "h2"]);
        assert!(many.allow_private);
    }

    #[test]
    fn what_gentoo_and_debian_pass_is_understood() {
        let gentoo = options(
            "--user distcc --daemon --no-detach --port 3632 --log-level critical \
             --allow 192.168.0.0/24 -N 15",
        );
        assert_eq!((gentoo.mode, gentoo.detach), (Some(Mode::Daemon), false));
        assert_eq!((gentoo.nice, gentoo.log_level), (15, Level::Critical));
        let debian = options(
            "--pid-file=/run/d.pid --log-file=/var/log/d.log --daemon -j 4 --zeroconf \
             --listen 127.0.0.1 --nice 10",
        );
        assert_eq!(debian.pid_file, Some("/run/d.pid".into()));
        assert_eq!(debian.ignored.len(), 1);
        let ssh = options("--inetd --enable-tcp-insecure");
        assert_eq!((ssh.mode, ssh.any_compiler), (Some(Mode::Inetd), true));
        assert!(options("--make-me-a-botnet").any_compiler);
    }

    #[test]
    fn the_wizard_sets_several_options() {
        let wizard = options("-W");
        assert_eq!(wizard, options("--wizard"));
        assert_eq!((wizard.mode, wizard.detach), (Some(Mode::Daemon), false));
        assert_eq!(
            (wizard.log, wizard.log_level),
            (Some(Target::Stderr), Level::Debug)
        );
    }

    #[test]
    fn the_rest_is_understood() {
        let rest = options(
            "--job-lifetime 60 --lifetime=9 --oom-score-adj -5 --stats --stats-port 4000 \
             --no-fork --no-fifo --verbose --log-stderr --sandbox=none -P p -p 0 --user u",
        );
        assert_eq!(rest.job_lifetime, Some(Duration::from_secs(60)));
        assert_eq!((rest.stats, rest.port), (Some(4000), 0));
        assert_eq!(
            (rest.oom_score_adj, rest.sandbox),
            (Some(-5), Sandbox::None)
        );
        assert_eq!(options("--stats").stats, Some(3633));
        assert_eq!(options("--job-lifetime 0").job_lifetime, None);
    }

    #[test]
    fn remote_execution_has_a_store() {
        let all = options("--store /s --store-size 20G --root /r --property a --property b=c");
        let store = StoreOptions::Store {
            dir: Some("/s".into()),
            bytes_max: Some(20 << 30),
        };
        assert_eq!((all.store, all.root), (store, Some("/r".into())));
        let properties = ["a", "b=c"].map(|text| Property::parse(text).unwrap());
        assert_eq!(all.properties, properties);
        assert_eq!(options("--no-native --store /s").store, StoreOptions::None);
        check_wrong("--store-size 1k", "--store-size takes a size");
        check_wrong("--property =x", "--property takes");
    }

    #[test]
    fn wrong_options_are_named() {
        check_wrong("-j 0", "--jobs takes a number from 1");
        check_wrong("-j x", "not \"x\"");
        check_wrong("--port 65536", "--port takes a number");
        check_wrong("--daemon --inetd", "exclude each other");
        check_wrong("--bizarre", "--bizarre");
        check_wrong("operand", "operand");
        check_wrong("--log-level loud", "loud");
        check_wrong("--auth", "GSSAPI");
        check_wrong("--whitelist=f", "GSSAPI");
        check_wrong("--sysroot=/x", "specs");
    }

    #[test]
    fn version_has_stocks_form() {
        let Asked::Print(text) = asked("--version") else {
            panic!("nothing printed")
        };
        let lines: Vec<&str> = text.lines().collect();
        let words: Vec<&str> = lines[0].split(' ').collect();
        assert_eq!((words.len(), words[0]), (3, "distccd"));
        assert!(
            words[2]
                .chars()
                .all(|c| c.is_alphanumeric() || "._-".contains(c)),
            "{}",
            words[2]
        );
        assert_eq!(lines[1], "  (protocols 1, 2 and 3) (default port 3632)");
        assert!(matches!(asked("--help"), Asked::Print(help) if help.contains("--sandbox")));
        command().debug_assert();
    }
}
