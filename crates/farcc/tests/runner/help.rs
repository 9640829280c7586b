//! What the programs say about themselves.

use crate::space::Space;
use expect_test::{Expect, expect};

fn check(args: &[&str], expected: &Expect) {
    let answer = Space::new().run("farcc", args).success();
    assert_eq!(answer.stderr, "");
    expected.assert_eq(&answer.stdout);
}

#[test]
fn farcc() {
    check(
        &["--help"],
        &expect![[r#"
        Compile C and C++ on many machines

        farcc is a drop-in for distcc: it reads the same host list and talks to the same servers. Most
        people need only `farcc run`, and `distccd` on the machines that help.

        Usage: farcc <COMMAND>

        Commands:
          run            Run a build whose compiles go to other machines, and say where each went
          hosts          Show the host list, with everything that is wrong in it
          monitor        Show the running jobs, one per line, like distccmon-text
          status         Show the agent, the host list and what runs now
          worker         Serve compiles for other machines; the same as distccd
          agent          Serve this user's compiles (started by itself when needed)
          show-hosts     Print the entries of the host list, as `distcc --show-hosts` does
          slots          Print how many jobs fit on all hosts, as `distcc -j` does
          scan-includes  List the files a compile needs, as `distcc --scan-includes` does
          explain        Say where a compile would run and why, and which files it reads
          util           Install farcc, and make its manual and completions

        Options:
          -h, --help
                  Print help (see a summary with '-h')

          -V, --version
                  Print version

        Examples:
          On each machine that helps:
            distccd --daemon --allow 192.168.0.0/24
          On the machine that builds:
            export DISTCC_HOSTS='box1/16,lzo box2/8,lzo'
            farcc hosts                      is the list understood?
            farcc run -- make -j24           build, and say what ran where
            distccmon-text 1                 watch, in another terminal

        The same program answers to distccd, distccmon-text, lsdistcc, pump, distcc-config and
        update-distcc-symlinks when it is called by these names.
    "#]],
    );
}

#[test]
fn run() {
    check(
        &["run", "--help"],
        &expect![[r#"
        Run a build whose compiles go to other machines, and say where each went

        Usage: farcc run [OPTIONS] <COMMAND>...

        Arguments:
          <COMMAND>...  The build, with its arguments

        Options:
              --hosts <LIST>  Use this host list instead of the configured one
              --json <FILE>   Write the summary to a file, as JSON
          -q, --quiet         Print no summary
          -h, --help          Print help

        The command finds links to distcc under the compilers' names first in PATH, so any build that
        calls gcc, cc or clang by name is distributed. Choose -j for all machines together.

        Examples:
          farcc run -- make -j24
          farcc run --hosts 'box1/16 box2/8' -- ninja -j24
          farcc run -- cmake -B build && farcc run -- cmake --build build -j24
          farcc run --json summary.json -- ./build.sh

        Exit code: the command's own, or 128 + N if signal N ended it; 127 if there is no such command,
        126 if it cannot be run.
    "#]],
    );
}

#[test]
fn hosts() {
    check(
        &["hosts", "--help"],
        &expect![[r#"
        Show the host list, with everything that is wrong in it

        Usage: farcc hosts

        Options:
          -h, --help  Print help

        The list comes from $DISTCC_HOSTS, $DISTCC_DIR/hosts, ~/.distcc/hosts or /etc/distcc/hosts,
        whichever is found first. Entries are separated by white space, # starts a comment:
          box1/16,lzo        16 jobs at once, compressed
          box2               4 jobs at once
          box3:4200/8        another port
          [2001:db8::1]/8    an IPv6 address
          me@box4/4          through ssh
          localhost/2        here
          --localslots=8     jobs at once that cannot leave this machine

        Exit code: 106 if the list is empty or something in it is wrong, else 0.
    "#]],
    );
}

#[test]
fn monitor() {
    check(
        &["monitor", "--help"],
        &expect![[r#"
        Show the running jobs, one per line, like distccmon-text

        Usage: farcc monitor [SECONDS]

        Arguments:
          [SECONDS]  Show them again and again, this many seconds apart (fractions allowed)

        Options:
          -h, --help  Print help
    "#]],
    );
}

#[test]
fn agent() {
    check(
        &["agent", "--help"],
        &expect![[r#"
            Serve this user's compiles (started by itself when needed)

            Usage: farcc agent [OPTIONS]

            Options:
                  --listen-fd <N>  Listen on this open descriptor instead of creating the socket
                  --socket <FILE>  Where that descriptor's socket is, to be removed at the end
              -h, --help           Print help

            The first compile starts the agent, and it leaves when it has been idle for a while; nobody needs
            to start it by hand. Its socket is in $DISTCC_DIR, else in ~/.distcc.

            Environment:
              FARCC_IDLE_SECONDS  how long it stays without work [600]
              FARCC_AGENT_LOG     a file in which it writes what it does
        "#]],
    );
}

#[test]
fn install() {
    check(
        &["util", "install", "--help"],
        &expect![[r#"
        Lay out programs, links, manual, completions and service files below a prefix

        Usage: farcc util install [OPTIONS]

        Options:
              --prefix <DIR>      Where the files will be when they are used [default: /usr/local]
              --destdir <DIR>     Put this in front of every path, for packaging
              --sysconfdir <DIR>  Where configuration belongs [default: /etc]
          -h, --help              Print help

        The programs are taken from the directory of the farcc that is running; it needs distcc beside it.
        The compiler links in PREFIX/lib/distcc are for the compilers that are on this machine now;
        update-distcc-symlinks brings them up to date later.

        Examples:
          farcc util install
          farcc util install --prefix /usr --destdir pkg
    "#]],
    );
}

#[test]
fn version() {
    let answer = Space::new().run("farcc", &["--version"]).success();
    let expected = format!("farcc {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(answer.stdout, expected);
}

#[test]
fn what_is_not_understood_is_named() {
    let answer = Space::new().run("farcc", &["rnu", "--", "make"]);
    assert_eq!(answer.code, Some(101));
    expect![[r#"
        farcc: unrecognized subcommand 'rnu'
        hint: `--help` shows what can be given
    "#]]
    .assert_eq(&answer.stderr);
    let answer = Space::new().run("farcc", &["run"]);
    assert_eq!(answer.code, Some(101));
    expect![[r#"
        farcc: the following required arguments were not provided:
          <COMMAND>...
        hint: `--help` shows what can be given
    "#]]
    .assert_eq(&answer.stderr);
}

#[test]
fn completions_know_the_subcommands() {
    for shell in ["bash", "zsh", "fish"] {
        let answer = Space::new()
            .run("farcc", &["util", "completions", shell])
            .success();
        assert!(answer.stdout.contains("show-hosts"), "{shell}");
    }
}
