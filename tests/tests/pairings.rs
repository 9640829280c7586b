//! Our programs and stock's in all pairings: the same objects, exit codes and messages as the
//! compiler gives without distcc. Stock with stock is the control.

use e2e::programs::{Kind, STOCK_SERVER, client, have};
use e2e::run::{Outcome, run};
use e2e::server::Server;
use e2e::workspace::Workspace;

const C_SOURCE: &str = r#"
#include <stdio.h>
#include "part.h"
static int unused_one(void) { return 1; }
int main(int argc, char **argv) {
    printf("%s %d\n", argv[0], PART(argc));
    return 0;
}
"#;

const CXX_SOURCE: &str = r"
#include <string>
#include <vector>
template <typename T> T sum(const std::vector<T> &v) {
    T s{};
    for (const auto &x : v) s += x;
    return s;
}
std::string join(const std::vector<std::string> &v) { return sum(v); }
";

const BROKEN_SOURCE: &str = r#"
#include "part.h"
int broken(void) {
    int x = "text";
    return PART(x) + missing;
}
"#;

/// The protocols of a plain host and of one with `,lzo`.
const HOST_OPTIONS: &[&str] = &["", ",lzo"];

/// Command lines after the compiler's name, each with the file it makes.
const COMPILES: &[(&str, &str, &str)] = &[
    ("gcc", "-O2 -c good.c -o good.o", "good.o"),
    ("gcc", "-g -O1 -Wall -c good.c -o good.o", "good.o"),
    ("gcc", "-c good.c", "good.o"),
    ("gcc", "-S -O2 good.c -o good.s", "good.s"),
    ("g++", "-std=c++17 -O1 -c sum.cc -o sub/sum.o", "sub/sum.o"),
    ("clang", "-O2 -c good.c -o good.o", "good.o"),
];

struct Pair {
    client: Kind,
    server: Server,
    workspace: Workspace,
}

impl Pair {
    fn new(client: Kind, server: Kind, host_options: &str) -> Option<Self> {
        if !have(STOCK_SERVER) {
            return None;
        }
        let mut workspace = Workspace::new();
        workspace.write("good.c", C_SOURCE);
        workspace.write("sum.cc", CXX_SOURCE);
        workspace.write("broken.c", BROKEN_SOURCE);
        workspace.write("part.h", "#define PART(x) ((x) + 1)\n");
        workspace.write("sub/keep", "");
        let server = Server::start(&workspace, server);
        let host = match client {
            Kind::Stock => server.plain_host(),
            Kind::Ours => server.host(),
        };
        workspace.set_hosts(host + host_options);
        Some(Self {
            client,
            server,
            workspace,
        })
    }

    fn distcc(&self, compiler: &str, args: &str) -> Outcome {
        let mut command = self.workspace.command(client(self.client));
        run(command.arg(compiler).args(args.split_whitespace()))
    }

    /// The compile gives the same with and without distcc, and a server did it.
    #[track_caller]
    fn check(&self, compiler: &str, args: &str, output: &str) {
        let path = self.workspace.src(output);
        let local = self.workspace.run(&format!("{compiler} {args}")).success();
        let expected = self.workspace.read(output);
        std::fs::remove_file(&path).unwrap();

        let before = self.server.jobs_so_far();
        let remote = self.distcc(compiler, args).success();
        let (theirs, ours) = (messages(&remote), messages(&local));
        assert_eq!(theirs, ours, "{compiler} {args}");
        assert_eq!(remote.stdout, local.stdout, "{compiler} {args}");
        let same = self.workspace.read(output) == expected;
        assert!(same, "another {output} from {compiler} {args}");
        self.server.wait_for_jobs(before + 1);
        std::fs::remove_file(&path).unwrap();
    }

    fn check_all(&self) {
        for (compiler, args, output) in COMPILES {
            if have(compiler) {
                self.check(compiler, args, output);
            }
        }
    }

    /// A broken source gives the compiler's messages and exit code, and no object.
    fn check_broken(&self) {
        let args = "-O1 -c broken.c -o broken.o";
        let local = self.workspace.run(&format!("gcc {args}"));
        assert_eq!(local.code(), 1);
        let remote = self.distcc("gcc", args);
        assert_eq!(remote.code(), 1, "{remote:#?}");
        assert_eq!(messages(&remote), messages(&local));
        assert!(!self.workspace.src("broken.o").exists());
    }
}

/// What the compiler said, without the lines of source that it shows: those are read from the
/// source file, which is not there where preprocessed text is compiled. Nor what distcc said.
fn messages(outcome: &Outcome) -> Vec<&str> {
    let is_shown_source = |line: &str| line.starts_with(' ');
    let lines = outcome.stderr.lines();
    lines
        .filter(|line| !is_shown_source(line) && !line.starts_with("distcc["))
        .collect()
}

fn check_pair(client: Kind, server: Kind) {
    for host_options in HOST_OPTIONS {
        if let Some(pair) = Pair::new(client, server, host_options) {
            pair.check_all();
            pair.check_broken();
        }
    }
}

#[test]
fn our_client_and_our_server() {
    check_pair(Kind::Ours, Kind::Ours);
}

#[test]
fn our_client_and_stocks_server() {
    check_pair(Kind::Ours, Kind::Stock);
}

#[test]
fn stocks_client_and_our_server() {
    check_pair(Kind::Stock, Kind::Ours);
}

#[test]
fn control_stocks_client_and_stocks_server() {
    check_pair(Kind::Stock, Kind::Stock);
}
