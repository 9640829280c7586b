//! The command line of `farcc`, and what its help says.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Compile C and C++ on many machines
///
/// farcc is a drop-in for distcc: it reads the same host list and talks to the same servers.
/// Most people need only `farcc run`, and `distccd` on the machines that help.
#[derive(Debug, Parser)]
#[command(name = "farcc", version, after_help = FARCC_EXAMPLES, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const FARCC_EXAMPLES: &str = "\
Examples:
  On each machine that helps:
    distccd --daemon --allow 192.168.0.0/24
  On the machine that builds:
    export DISTCC_HOSTS='box1/16,lzo box2/8,lzo'
    farcc hosts                      is the list understood?
    farcc run -- make -j24           build, and say what ran where
    distccmon-text 1                 watch, in another terminal

The same program answers to distccd, distccmon-text, lsdistcc, pump, distcc-config and
update-distcc-symlinks when it is called by these names.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a build whose compiles go to other machines, and say where each went
    Run(Run),
    /// Show the host list, with everything that is wrong in it
    #[command(after_help = HOSTS_EXAMPLES)]
    Hosts,
    /// Show the running jobs, one per line, like distccmon-text
    Monitor(Monitor),
    /// Show the agent, the host list and what runs now
    Status,
    /// Serve compiles for other machines; the same as distccd
    #[command(disable_help_flag = true)]
    Worker(PassedArgs),
    /// Serve this user's compiles (started by itself when needed)
    Agent(Agent),
    /// Print the entries of the host list, as `distcc --show-hosts` does
    ShowHosts,
    /// Print how many jobs fit on all hosts, as `distcc -j` does
    Slots,
    /// List the files a compile needs, as `distcc --scan-includes` does
    ScanIncludes(ScanIncludes),
    /// Say where a compile would run and why, and which files it reads
    Explain(Explain),
    /// Install farcc, and make its manual and completions
    #[command(subcommand)]
    Util(Util),
}

const HOSTS_EXAMPLES: &str = "\
The list comes from $DISTCC_HOSTS, $DISTCC_DIR/hosts, ~/.distcc/hosts or /etc/distcc/hosts,
whichever is found first. Entries are separated by white space, # starts a comment:
  box1/16,lzo        16 jobs at once, compressed
  box2               4 jobs at once
  box3:4200/8        another port
  [2001:db8::1]/8    an IPv6 address
  me@box4/4          through ssh
  localhost/2        here
  --localslots=8     jobs at once that cannot leave this machine

Exit code: 106 if the list is empty or something in it is wrong, else 0.";

/// Arguments that another program understands.
#[derive(Debug, Args)]
pub(crate) struct PassedArgs {
    /// Arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) args: Vec<OsString>,
}

/// `farcc run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct Run {
    /// Use this host list instead of the configured one
    #[arg(long, value_name = "LIST")]
    pub(crate) hosts: Option<OsString>,
    /// Write the summary to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Print no summary
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// The build, with its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

const RUN_EXAMPLES: &str = "\
The command finds links to distcc under the compilers' names first in PATH, so any build that
calls gcc, cc or clang by name is distributed. Choose -j for all machines together.

Examples:
  farcc run -- make -j24
  farcc run --hosts 'box1/16 box2/8' -- ninja -j24
  farcc run -- cmake -B build && farcc run -- cmake --build build -j24
  farcc run --json summary.json -- ./build.sh

Exit code: the command's own, or 128 + N if signal N ended it; 127 if there is no such command,
126 if it cannot be run.";

/// `farcc scan-includes`.
#[derive(Debug, Args)]
#[command(after_help = SCAN_INCLUDES_EXAMPLES)]
pub(crate) struct ScanIncludes {
    /// The compile, with its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

const SCAN_INCLUDES_EXAMPLES: &str = "\
One line for each file, by its real path:
  FILE       a file that a host with `,lzo,cpp` is sent
  SYMLINK    a symbolic link on the way to one
  SYSTEMDIR  a directory of the compiler's own, whose headers are not sent
  DIRECTORY  a directory that must exist although nothing in it is read

Nothing is compiled, and no host is needed.

Example:
  distcc --scan-includes gcc -Iinclude -c src/main.c

Exit code: 0, or 100 if the files cannot be told with certainty (`farcc explain` says more).";

/// `farcc explain`.
#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub(crate) struct Explain {
    /// List the system's headers too
    #[arg(long)]
    pub(crate) all: bool,
    /// Show only what leads to this file (a name, or the end of a path)
    #[arg(long, value_name = "FILE")]
    pub(crate) why: Option<PathBuf>,
    /// Show what a worker would be given too: command, compiler, files, and what is different
    /// from the last time. Asks the agent, which is started if it does not run
    #[arg(long)]
    pub(crate) action: bool,
    /// Show the last compile that failed on a worker for a file that it did not have
    #[arg(long, conflicts_with_all = ["all", "why", "action", "command"])]
    pub(crate) last_failure: bool,
    /// The compile, with its arguments; or a file that a compile wrote
    #[arg(
        required_unless_present = "last_failure",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

const EXPLAIN_EXAMPLES: &str = "\
Nothing is compiled; the compiler is only asked for its macros and directories.

Examples:
  farcc explain src/main.o
  farcc explain -- gcc -O2 -Iinclude -c src/main.c
  farcc explain --why config.h -- gcc -Iinclude -c src/main.c

Exit code: 0; 100 if the file of --why is not read; 110 if there is no such compiler.";

/// `farcc monitor`.
#[derive(Debug, Args)]
pub(crate) struct Monitor {
    /// Show them again and again, this many seconds apart (fractions allowed)
    pub(crate) seconds: Option<OsString>,
}

/// `farcc agent`.
#[derive(Debug, Args)]
#[command(after_help = AGENT_NOTES)]
pub(crate) struct Agent {
    /// Listen on this open descriptor instead of creating the socket
    #[arg(long, value_name = "N")]
    pub(crate) listen_fd: Option<i32>,
    /// Where that descriptor's socket is, to be removed at the end
    #[arg(long, value_name = "FILE", requires = "listen_fd")]
    pub(crate) socket: Option<PathBuf>,
}

const AGENT_NOTES: &str = "\
The first compile starts the agent, and it leaves when it has been idle for a while; nobody needs
to start it by hand. Its socket is in $DISTCC_DIR, else in ~/.distcc.

Environment:
  FARCC_IDLE_SECONDS  how long it stays without work [600]
  FARCC_AGENT_LOG     a file in which it writes what it does";

/// `farcc util`.
#[derive(Debug, Subcommand)]
pub(crate) enum Util {
    /// Write the manual pages of all programs into a directory
    Man {
        /// The directory; it must exist
        dir: PathBuf,
    },
    /// Print a shell's completions for farcc
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Lay out programs, links, manual, completions and service files below a prefix
    Install(Install),
}

/// `farcc util install`.
#[derive(Debug, Args)]
#[command(after_help = INSTALL_EXAMPLES)]
pub(crate) struct Install {
    /// Where the files will be when they are used
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    pub(crate) prefix: PathBuf,
    /// Put this in front of every path, for packaging
    #[arg(long, value_name = "DIR")]
    pub(crate) destdir: Option<PathBuf>,
    /// Where configuration belongs [default: /etc]
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/etc",
        hide_default_value = true
    )]
    pub(crate) sysconfdir: PathBuf,
}

const INSTALL_EXAMPLES: &str = "\
The programs are taken from the directory of the farcc that is running; it needs distcc beside it.
The compiler links in PREFIX/lib/distcc are for the compilers that are on this machine now;
update-distcc-symlinks brings them up to date later.

Examples:
  farcc util install
  farcc util install --prefix /usr --destdir pkg";
