//! Pages of programs that do not describe themselves through clap.

use clap::{Arg, Command};

use super::{Page, Section};

pub(super) const FARCC: &[Section] = &[
    Section {
        title: "EXIT STATUS",
        is_list: true,
        text: "\
0: done
1: nothing found (lsdistcc), or wrong usage of distccmon-text, lsdistcc, pump or distcc-config
100: cannot do it
101: bad arguments
103: the agent cannot be reached
106: the host list is empty or has errors (farcc hosts)
107: reading or writing failed
110: a program that belongs to farcc, or every compiler, is missing
126: the command of farcc run cannot be run
127: the command of farcc run does not exist
128+N: signal N ended the command of farcc run",
    },
    Section {
        title: "SEE ALSO",
        is_list: false,
        text: "distcc(1), distccd(1), distccmon-text(1), lsdistcc(1), pump(1)",
    },
];

/// All programs but farcc itself.
pub(super) fn other_programs() -> Vec<Page> {
    vec![
        distcc(),
        distccd(),
        distccmon_text(),
        lsdistcc(),
        pump(),
        distcc_config(),
        update_distcc_symlinks(),
    ]
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .help(help)
        .action(clap::ArgAction::SetTrue)
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn page(command: Command, sections: &'static [Section]) -> Page {
    let command = command
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true);
    Page { command, sections }
}

fn distcc() -> Page {
    let command = Command::new("distcc")
        .about("Compile C and C++ on other machines")
        .long_about(DISTCC_ABOUT)
        .override_usage("distcc [COMPILER] [COMPILER OPTIONS]\ndistcc OPTION")
        .arg(flag("help", "Explain usage and exit"))
        .arg(flag("version", "Show version and exit"))
        .arg(flag(
            "show-hosts",
            "Show the entries of the host list, one per line",
        ))
        .arg(
            Arg::new("j")
                .short('j')
                .help("Show how many jobs fit on all hosts at once"),
        );
    page(command, DISTCC)
}

const DISTCC_ABOUT: &str = "\
distcc stands in front of a compiler. It asks this user's agent where the compile shall run, \
preprocesses the source here where the host wants it so, and puts the result where a local \
compile would have put it. What cannot be distributed (linking, among others) runs here. If the \
agent or every host fails, the compile runs here too.

There are three ways to call it: `distcc gcc -c a.c`; without a compiler, which means cc; or by a \
compiler's name, through a link. `farcc run` sets up the last one for any build.";

const DISTCC: &[Section] = &[
    Section {
        title: "HOST LIST",
        is_list: false,
        text: "\
The host list is in $DISTCC_HOSTS, else in $DISTCC_DIR/hosts or ~/.distcc/hosts, else in \
/etc/distcc/hosts. Its entries are separated by white space; # starts a comment. `farcc hosts` \
shows what it says and what is wrong in it.

NAME[/LIMIT][:PORT][,lzo][,cpp][,down] is a server; LIMIT is the number of jobs it gets at once \
[4], lzo compresses, down keeps it in the list without using it. An IPv6 address stands in \
brackets. localhost[/LIMIT] is this machine, without a server [2]. [USER]@NAME[/LIMIT][:COMMAND] \
goes through ssh. --randomize changes the order for each job, --localslots=N is the number of \
jobs at once that cannot be distributed, --localslots_cpp=N that of preprocessors.",
    },
    Section {
        title: "ENVIRONMENT",
        is_list: true,
        text: "\
DISTCC_HOSTS: host list; nothing else is looked at if it is set
DISTCC_DIR: directory for host list, locks and states [~/.distcc]
DISTCC_VERBOSE: 1 shows everything that happens
DISTCC_LOG: file for messages, instead of standard error
DISTCC_FALLBACK: 0 fails instead of compiling here what could have been distributed
DISTCC_SKIP_LOCAL_RETRY: set: a compiler's failure on a host is final
DISTCC_BACKOFF_PERIOD: seconds for which a host that failed is avoided [60]
DISTCC_IO_TIMEOUT: seconds of silence after which a host has failed [300]
DISTCC_SSH: program for ssh hosts [ssh]
DISTCC_SOCKS_PROXY: SOCKS5 proxy for connections to hosts: a socket's path, or HOST:PORT
DISTCC_NO_REWRITE_CROSS: set: the compiler's name is sent as it is
UNCACHED_ERR_FD: descriptor for messages, set by ccache",
    },
    Section {
        title: "EXIT STATUS",
        is_list: false,
        text: "\
The compiler's own, or 128+N if signal N ended it. distcc's own failures are 100 to 119; \
101 means bad arguments, 110 no compiler, 111 that distcc called itself, 116 that no host could \
be used and DISTCC_FALLBACK is 0.",
    },
    Section {
        title: "SEE ALSO",
        is_list: false,
        text: "farcc(1), distccd(1), distccmon-text(1)",
    },
];

fn distccd() -> Page {
    let command = worker::command().about("Compile for other machines").long_about(
        "distccd compiles what distcc on other machines sends, each job in namespaces of its own \
         in which it sees nothing but its input and the compilers of this machine.",
    );
    let sections = DISTCCD;
    Page { command, sections }
}

const DISTCCD: &[Section] = &[
    Section {
        title: "EXAMPLES",
        is_list: false,
        text: "\
distccd \\-\\-daemon \\-\\-allow 192.168.0.0/24 \\-N 15 \\-j 16

systemctl enable \\-\\-now distccd.service; its settings are in /etc/default/distccd.",
    },
    Section {
        title: "FILES",
        is_list: true,
        text: "\
/usr/lib/distcc: links named like the compilers that may be run; see update-distcc-symlinks(1)
/etc/default/distccd: options for the systemd unit
/etc/conf.d/distccd: options for the OpenRC script",
    },
    Section {
        title: "SEE ALSO",
        is_list: false,
        text: "distcc(1), lsdistcc(1), update-distcc-symlinks(1)",
    },
];

fn distccmon_text() -> Page {
    let command = Command::new("distccmon-text")
        .about("Show the compiles that run now")
        .long_about(
            "Prints one line per job of the users that share DISTCC_DIR, then an empty line. \
             With SECONDS it goes on, that far apart.",
        )
        .arg(Arg::new("SECONDS").help("Time between two rounds; fractions allowed"));
    page(
        command,
        &[
            Section {
                title: "OUTPUT",
                is_list: false,
                text: "\
Process id of the client, phase, file, host[slot]. Phases are Blocked, Connect, Preprocess, Send, \
Compile and Receive.",
            },
            Section {
                title: "ENVIRONMENT",
                is_list: true,
                text: "DISTCC_DIR: where clients keep their states [~/.distcc]. For Portage: \
                       /var/tmp/portage/.distcc",
            },
            Section {
                title: "EXAMPLES",
                is_list: false,
                text: "DISTCC_DIR=/var/tmp/portage/.distcc distccmon-text 1",
            },
        ],
    )
}

/// Options of `lsdistcc` in the usage's order: letter, value, meaning.
const LSDISTCC_OPTIONS: &[(char, Option<&str>, &str)] = &[
    ('l', None, "Also print the milliseconds until the answer"),
    ('n', None, "Print addresses instead of names"),
    (
        'x',
        None,
        "Print servers that do not answer too, with ,down",
    ),
    ('t', Some("SECONDS"), "Stop after this time [7]"),
    (
        'c',
        Some("CONNECT_MS"),
        "Longest time to connect, 0 for not at all [900]",
    ),
    (
        'k',
        Some("COMPILE_MS"),
        "Longest time to compile, 0 for not at all [1500]",
    ),
    (
        'm',
        Some("BITS"),
        "Address bits that must equal the first host's [0]",
    ),
    ('o', Some("AHEAD"), "Names to look up ahead [1]"),
    ('g', Some("GAP"), "Names that may be missing in the row [0]"),
    (
        'r',
        Some("PORT"),
        "Port of servers given without one [3632]",
    ),
    ('P', Some("PROTOCOL"), "1, 2 (,lzo) or 3 (,lzo,cpp) [1]"),
    (
        'p',
        Some("COMPILER"),
        "Have each server compile something with it [none]",
    ),
    ('d', None, "Append this machine's domain to FORMAT"),
    ('v', None, "Say on standard error what happens"),
];

fn lsdistcc() -> Page {
    let args = LSDISTCC_OPTIONS.iter().map(|(letter, value, help)| {
        let arg = Arg::new(value.unwrap_or(help)).short(*letter).help(*help);
        match value {
            Some(value) => arg.value_name(*value),
            None => arg.action(clap::ArgAction::SetTrue),
        }
    });
    let command = Command::new("lsdistcc")
        .about("List the compile servers that answer")
        .long_about(
            "Prints those servers that answer, one per line, as entries of a host list. FORMAT \
             is a name with %d in it, tried with 1, 2, 3 and so on. Values of options are glued \
             to their letter.",
        )
        .override_usage("lsdistcc [OPTIONS] [FORMAT | HOST...]")
        .args(args);
    page(
        command,
        &[Section {
            title: "EXIT STATUS",
            is_list: true,
            text: "0: at least one line was printed\n1: none was, or the usage was wrong",
        }],
    )
}

fn pump() -> Page {
    let command = Command::new("pump")
        .about("Run a build with distcc, for scripts that use pump")
        .long_about(
            "distcc's pump mode needed an include server beside the build. farcc's agent does \
             all that is to be done on the client, so nothing has to be started or stopped: pump \
             runs the command, `pump --startup` prints settings, `pump --shutdown` does nothing.",
        )
        .override_usage("pump COMMAND [ARGUMENT...]\npump --startup\npump --shutdown");
    page(
        command,
        &[Section {
            title: "ENVIRONMENT",
            is_list: true,
            text: "\
DISTCC_POTENTIAL_HOSTS: hosts of which those that answer become DISTCC_HOSTS
LSDISTCC_ARGS: options for asking them; see lsdistcc(1)
DISTCC_LOCATION: directory that is put first in PATH",
        }],
    )
}

fn distcc_config() -> Page {
    let command = Command::new("distcc-config")
        .about("Change distcc's settings on Gentoo")
        .arg(flag("get-hosts", "Show the host list"))
        .arg(option(
            "set-hosts",
            "LIST",
            "Set the host list: root the machine's, others theirs",
        ))
        .arg(flag("get-verbose", "Show DISTCC_VERBOSE"))
        .arg(option("set-verbose", "0|1", "Set DISTCC_VERBOSE"))
        .arg(flag("get-log", "Show DISTCC_LOG"))
        .arg(option("set-log", "FILE", "Set DISTCC_LOG"))
        .arg(option("get-env", "VARIABLE", "Show a variable, or all"))
        .arg(option("set-env", "VARIABLE VALUE", "Set a variable"))
        .arg(flag(
            "update-masquerade",
            "Make the links in /usr/lib/distcc for all compilers",
        ))
        .arg(flag(
            "update-masquerade-with-crossdev",
            "Make only those whose name says the target",
        ))
        .arg(option(
            "root",
            "DIR",
            "Do all this in another tree; must come first",
        ));
    page(
        command,
        &[Section {
            title: "FILES",
            is_list: true,
            text: "\
/etc/distcc/hosts: the machine's host list
/etc/env.d/02distcc: variables for every login; env-update takes them over",
        }],
    )
}

fn update_distcc_symlinks() -> Page {
    let command = Command::new("update-distcc-symlinks")
        .about("Bring the links in lib/distcc up to date")
        .long_about(
            "Makes links to PREFIX/bin/distcc in PREFIX/lib/distcc, one for each C and C++ \
             compiler in PREFIX/bin and /usr/bin, and removes links whose compiler has gone. \
             Clients put that directory first in PATH; distccd runs only compilers that have a \
             link there.",
        )
        .arg(flag("verbose", "Say what is made and removed").short('v'))
        .arg(Arg::new("PREFIX").help("Where distcc is installed [this program's own prefix]"));
    page(command, &[])
}
