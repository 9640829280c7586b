//! Our client sends source and headers (`,lzo,cpp`) to both kinds of server: the outputs are those of a local compile,
//! and the preprocessor runs here only where the log says why.

use std::fs;
use std::os::unix::fs::symlink;

use e2e::programs::{Kind, STOCK_SERVER, client, have};
use e2e::run::run;
use e2e::server::Server;
use e2e::workspace::Workspace;

const C_SOURCE: &str = r#"
#include <stdio.h>
#include "inc/part.h"
#include "../src/up.h"
#include "link.h"
#include <from_dir.h>
const char *where(void) { return __FILE__; }
int part(int argc) { return PART(argc) + linked(argc) + printf("%d", from_dir); }
"#;

const CXX_SOURCE: &str = r#"
#include <string>
#include <vector>
#include <cassert>
#include "inc/part.h"
int size(const std::vector<std::string> &all) {
    assert(!all.empty());
    return PART(static_cast<int>(all.size()));
}
"#;

/// What stands in the log when a compile was preprocessed here.
const TEXT: &str = "is preprocessed here";

struct Project {
    // Gone before the place that it works in.
    server: Server,
    workspace: Workspace,
}

impl Project {
    fn new(kind: Kind) -> Option<Self> {
        if !have(STOCK_SERVER) {
            return None;
        }
        let mut workspace = Workspace::new();
        workspace.write("main.c", C_SOURCE);
        workspace.write("size.cc", CXX_SOURCE);
        workspace.write("inc/part.h", "#pragma once\n#include \"deep/er.h\"\n");
        workspace.write("inc/deep/er.h", "#define PART(x) ((x) * 42)\n");
        workspace.write("up.h", "/* nothing */\n");
        workspace.write("real/linked.h", "static int linked(int x) { return x; }\n");
        workspace.write("dir/from_dir.h", "static const int from_dir = 3;\n");
        workspace.write("warn.c", "#include \"inc/part.h\"\nstatic int unused;\n");
        symlink("real/linked.h", workspace.src("link.h")).unwrap();
        symlink("inc", workspace.src("inclink")).unwrap();
        let server = Server::start(&workspace, kind);
        workspace.set_hosts(server.host() + ",lzo,cpp");
        Some(Self { workspace, server })
    }

    /// Compiles here and there; returns what the client logged.
    #[track_caller]
    fn same_outputs(&self, line: &str) -> String {
        let outputs = ["out/main.o", "out/main.d"].map(|name| self.workspace.src(name));
        fs::create_dir_all(self.workspace.src("out")).unwrap();
        let mut words = line.split_whitespace();
        let clean = || {
            for output in &outputs {
                fs::remove_file(output).unwrap_or_default();
            }
        };
        clean();
        let local = self.workspace.run(line).success();
        let expected = outputs.clone().map(|output| fs::read(output).ok());
        clean();
        let jobs = self.server.jobs_so_far();
        let log = self.workspace.root().join("log");
        fs::remove_file(&log).unwrap_or_default();
        let mut command = self.workspace.command(client(Kind::Ours));
        command
            .args(&mut words)
            .env("DISTCC_FALLBACK", "0")
            .env("DISTCC_LOG", &log);
        let remote = run(&mut command).success();
        assert_eq!(remote.stderr, local.stderr, "{line}");
        self.server.wait_for_jobs(jobs + 1);
        for (output, expected) in outputs.iter().zip(expected) {
            let ours = fs::read(output).ok();
            if output.extension().is_some_and(|end| end == "d") {
                let text = |bytes: Option<Vec<u8>>| bytes.map(|it| String::from_utf8(it).unwrap());
                assert_eq!(text(ours), text(expected), "{line}");
            } else {
                assert!(ours == expected, "{} differs: {line}", output.display());
            }
        }
        fs::read_to_string(log).unwrap_or_default()
    }

    /// The directory of the compile in the debug information is that of a local compile. The rest differs in places
    /// that only preprocessing can know.
    #[track_caller]
    fn same_directory(&self, line: &str) {
        let directory = || {
            let object = self.workspace.src("out/main.o").display().to_string();
            let dump = self
                .workspace
                .run(&format!("readelf --debug-dump=info {object}"));
            let lines = dump
                .stdout
                .lines()
                .filter(|line| line.contains("DW_AT_comp_dir"));
            let text = |line: &str| line.rsplit(": ").next().unwrap_or_default().to_owned();
            lines.map(text).collect::<Vec<_>>()
        };
        fs::create_dir_all(self.workspace.src("out")).unwrap();
        self.workspace.run(line).success();
        let expected = directory();
        self.workspace.distcc(line).silent_success();
        assert_eq!(directory(), expected, "{line}");
    }

    #[track_caller]
    fn sends_files(&self, line: &str) {
        let log = self.same_outputs(line);
        assert!(!log.contains(TEXT), "{line}\n{log}");
    }
}

fn lines(src: &str) -> Vec<String> {
    let mut lines: Vec<String> = [
        "gcc -O2 -Idir -c main.c -o out/main.o",
        "gcc -Idir -MD -c main.c -o out/main.o",
        "gcc -isystem dir -MMD -MP -MF out/main.d -c main.c -o out/main.o",
        "gcc -Idir -Iinclink/../real -S main.c -o out/main.o",
        "g++ -std=c++17 -O1 -MD -c size.cc -o out/main.o",
        "clang -Idir -MD -c main.c -o out/main.o",
        "clang++ -O1 -MD -c size.cc -o out/main.o",
    ]
    .map(str::to_owned)
    .into();
    // As CMake calls compilers.
    lines.push(format!(
        "gcc -I{src}/dir -I{src}/inc -MD -MT out/main.o -MF out/main.d -o out/main.o -c {src}/main.c"
    ));
    lines.push(format!(
        "g++ -I{src}/inclink -MD -o out/main.o -c {src}/size.cc"
    ));
    lines
}

#[test]
fn our_server_makes_the_same_outputs() {
    let Some(project) = Project::new(Kind::Ours) else {
        return;
    };
    for line in lines(&project.workspace.src("").display().to_string()) {
        let line = line.replace("//", "/");
        project.sends_files(&line);
        // It compiles at the same paths, so debug information is the same.
        let with_debug = line.replacen(' ', " -g ", 1);
        project.sends_files(&with_debug);
    }
    project.sends_files("gcc -Wall -c warn.c -o out/main.o");
    let src = project.workspace.src("warn.c").display().to_string();
    project.sends_files(&format!("gcc -Wall -c {src} -o out/main.o"));
}

#[test]
fn stocks_server_makes_the_same_outputs() {
    let Some(project) = Project::new(Kind::Stock) else {
        return;
    };
    for line in lines(&project.workspace.src("").display().to_string()) {
        project.sends_files(&line.replace("//", "/"));
    }
}

#[test]
fn a_header_that_only_this_machine_has_is_preprocessed_here() {
    let Some(project) = Project::new(Kind::Stock) else {
        return;
    };
    // To the scanner the directory is the compiler's own; the server's compiler has no such directory.
    let workspace = &project.workspace;
    let own = workspace.src("own");
    fs::create_dir(&own).unwrap();
    workspace.write("own/only_here.h", "#define ONLY_HERE 1\n");
    workspace.write("only.c", "#include <only_here.h>\nint x = ONLY_HERE;\n");
    let mut command = workspace.command(client(Kind::Ours));
    let log = workspace.root().join("log");
    command
        .args(["gcc", "-c", "only.c", "-o", "only.o"])
        .env("C_INCLUDE_PATH", &own)
        .env("DISTCC_FALLBACK", "0")
        .env("DISTCC_LOG", &log);
    run(&mut command).success();
    assert!(fs::read_to_string(log).unwrap().contains(TEXT));
}

/// Some cannot be compiled anywhere; that says nothing about the host.
#[test]
fn a_failure_of_the_sources_own_is_not_the_hosts_fault() {
    let Some(project) = Project::new(Kind::Ours) else {
        return;
    };
    let workspace = &project.workspace;
    workspace.write("header.c", "#include <no_such_header.h>\n");
    workspace.write("data.c", "__asm__(\".incbin \\\"no_such_file\\\"\");\n");
    for source in ["header.c", "data.c"] {
        for compiler in ["gcc", "clang"] {
            let outcome = workspace.distcc(&format!("{compiler} -c {source}"));
            assert_eq!(outcome.code(), 1, "{outcome:#?}");
        }
    }
    project.sends_files("gcc -Idir -c main.c -o out/main.o");
}

/// As distributions build; a stock server compiles in a directory that no map names.
#[test]
fn renamed_directories_are_renamed_on_both_kinds_of_server() {
    for kind in [Kind::Ours, Kind::Stock] {
        let Some(project) = Project::new(kind) else {
            return;
        };
        for option in ["-fdebug-prefix-map=", "-ffile-prefix-map="] {
            let src = project.workspace.src("").display().to_string();
            let src = src.trim_end_matches('/');
            for _twice in 0..2 {
                let line = format!("gcc -g {option}{src}=. -Idir -c main.c -o out/main.o");
                project.same_directory(&line);
            }
        }
    }
}

#[test]
fn a_source_that_begins_with_an_at_sign_is_compiled() {
    let Some(project) = Project::new(Kind::Ours) else {
        return;
    };
    let workspace = &project.workspace;
    workspace.write("@a.c", "int a;\n");
    let mut command = workspace.command(client(Kind::Ours));
    command.args(["gcc", "-c", "./@a.c"]);
    run(command.env("DISTCC_FALLBACK", "0")).silent_success();
}
