//! What a compile leaves behind: each file where the compiler itself would have put it, with the
//! same contents and mode, or the same failure.

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use e2e::programs::{self, Kind};
use e2e::run::run;
use e2e::server::Server;
use e2e::workspace::Workspace;

const SOURCE: &str = "#include \"sub/part.h\"\nint answer(void) { return PART; }\n";

fn with_server() -> (Workspace, Server) {
    let mut workspace = Workspace::new();
    workspace.write("a.c", SOURCE);
    workspace.write("sub/part.h", "#include <stddef.h>\n#define PART 42\n");
    workspace.write("out/keep", "");
    let server = Server::start(&workspace, Kind::Ours);
    workspace.set_hosts(server.host());
    (workspace, server)
}

/// Every file below a directory with its contents, `a.c` and the like included.
fn tree(dir: &Path) -> Vec<(String, Vec<u8>)> {
    fn walk(dir: &Path, root: &Path, files: &mut Vec<(String, Vec<u8>)>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, files);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                files.push((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    let mut files = Vec::new();
    walk(dir, dir, &mut files);
    files.sort();
    files
}

/// Flags of which each may or may not be given, by kind.
const DEPENDENCY_KINDS: &[&str] = &["-MD", "-MMD", "-Wp,-MD,out/wp.d", "-Wp,-MMD,out/wp.d"];
const DEPENDENCY_FILES: &[&str] = &["", "-MF out/x.d", "-MFout/x.d", "-MF/dev/null"];
const DEPENDENCY_TARGETS: &[&str] = &["", "-MT t1", "-MT t1 -MT t2", "-MQ $a", "-MTt -MP", "-MP"];
const OUTPUTS: &[&str] = &["", "-o b.o", "-o out/b.o", "-oout/b", "-o out/b.x.o"];

/// All combinations make the files that gcc makes, with its contents, and all are remote.
#[test]
fn dependency_files_are_those_of_a_local_compile() {
    let (workspace, server) = with_server();
    let mut combinations = Vec::new();
    for kind in DEPENDENCY_KINDS {
        for file in DEPENDENCY_FILES {
            // With -Wp the file is named already.
            if kind.starts_with("-Wp") && !file.is_empty() {
                continue;
            }
            for target in DEPENDENCY_TARGETS {
                for output in OUTPUTS {
                    combinations.push(format!("{kind} {file} {target} {output}"));
                }
            }
        }
    }
    let start = tree(&workspace.src(""));
    let clean_up = || {
        for (name, _) in tree(&workspace.src("")) {
            if !start.iter().any(|(known, _)| *known == name) {
                std::fs::remove_file(workspace.src(&name)).unwrap();
            }
        }
    };
    for combination in &combinations {
        let line = format!("gcc -c a.c {combination}");
        workspace.run(&line).silent_success();
        let expected = tree(&workspace.src(""));
        clean_up();
        workspace.distcc(&line).silent_success();
        let actual = tree(&workspace.src(""));
        let names = |files: &[(String, Vec<u8>)]| -> Vec<String> {
            files.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&actual), names(&expected), "{line}");
        for ((name, ours), (_, theirs)) in actual.iter().zip(&expected) {
            let text = String::from_utf8_lossy;
            assert!(
                ours == theirs,
                "{line}: {name}: {} {}",
                text(ours),
                text(theirs)
            );
        }
        clean_up();
    }
    assert_eq!(server.wait_for_jobs(combinations.len()), combinations.len());
}

/// Outputs besides the object: either they come back or the compile stays here.
#[test]
fn no_extra_output_is_lost() {
    let (workspace, _server) = with_server();
    for args in [
        "-g -gsplit-dwarf -c a.c -o out/a.o",
        "-fstack-usage -c a.c -o out/a.o",
        "-save-temps -c a.c -o out/a.o",
        "-fdump-tree-optimized -c a.c -o out/a.o",
        "-fcallgraph-info -c a.c -o out/a.o",
        "--coverage -c a.c -o out/a.o",
        "-ftest-coverage -c a.c -o out/a.o",
        "-Wa,-adhln=out/list -c a.c -o out/a.o",
    ] {
        let line = format!("gcc {args}");
        let before: Vec<_> = tree(&workspace.src(""))
            .into_iter()
            .map(|file| file.0)
            .collect();
        let clean_up = || {
            for (name, _) in tree(&workspace.src("")) {
                if !before.contains(&name) {
                    std::fs::remove_file(workspace.src(&name)).unwrap();
                }
            }
        };
        workspace.run(&line).success();
        let expected: Vec<_> = tree(&workspace.src(""))
            .into_iter()
            .map(|file| file.0)
            .collect();
        clean_up();
        workspace.distcc(&line).success();
        let actual: Vec<_> = tree(&workspace.src(""))
            .into_iter()
            .map(|file| file.0)
            .collect();
        assert_eq!(actual, expected, "{line}");
        clean_up();
    }
}

#[test]
fn the_null_device_stays_a_device() {
    let (workspace, server) = with_server();
    workspace.distcc("gcc -c a.c -o /dev/null").silent_success();
    server.wait_for_jobs(1);
    let meta = std::fs::metadata("/dev/null").unwrap();
    assert!(!meta.is_file());
}

/// A compile that cannot write its output fails as the compiler alone does.
#[track_caller]
fn check_fails_as_here(workspace: &Workspace, line: &str) {
    let local = workspace.run(line);
    assert_ne!(local.code(), 0);
    let ours = workspace.distcc(line);
    assert_eq!(ours.code(), local.code(), "{ours:#?}");
    let lines = ours
        .stderr
        .lines()
        .filter(|line| !line.starts_with("distcc["));
    let said: Vec<_> = lines.collect();
    let expected: Vec<_> = local.stderr.lines().collect();
    // The assembler names its temporary input in some messages.
    assert_eq!(said.len(), expected.len(), "{ours:#?} {local:#?}");
}

#[test]
fn a_missing_directory_fails_as_it_does_here() {
    let (workspace, _server) = with_server();
    check_fails_as_here(&workspace, "gcc -c a.c -o missing/a.o");
    assert!(!workspace.src("missing").exists());
}

#[test]
fn a_directory_in_the_outputs_place_fails_as_it_does_here() {
    let (workspace, _server) = with_server();
    check_fails_as_here(&workspace, "gcc -c a.c -o out");
    assert!(workspace.src("out/keep").exists());
}

#[test]
fn a_missing_source_is_reported_once() {
    let (workspace, _server) = with_server();
    let line = "gcc -c missing.c -o a.o";
    let local = workspace.run(line);
    let ours = workspace.distcc(line);
    assert_eq!(ours.code(), local.code());
    let count = |text: &str| text.matches("No such file").count();
    assert_eq!(count(&ours.stderr), count(&local.stderr), "{ours:#?}");
}

#[test]
fn a_missing_header_is_reported_once() {
    let (workspace, _server) = with_server();
    workspace.write("b.c", "#include \"nowhere.h\"\n");
    let line = "gcc -c b.c -o b.o";
    let local = workspace.run(line);
    let ours = workspace.distcc(line);
    assert_eq!(ours.code(), local.code());
    let count = |text: &str| text.matches("nowhere.h: No such file").count();
    assert_eq!(count(&ours.stderr), count(&local.stderr), "{ours:#?}");
    assert!(!workspace.src("b.o").exists());
}

#[test]
fn the_umask_decides_the_mode() {
    let (workspace, server) = with_server();
    for mask in ["022", "077", "002"] {
        let mode = |command: &str| {
            let line = format!("umask {mask}; exec {command} gcc -c a.c -o b.o");
            let mut shell = workspace.command("/bin/sh");
            run(shell.args(["-c", &line])).silent_success();
            let mode = std::fs::metadata(workspace.src("b.o")).unwrap().mode();
            std::fs::remove_file(workspace.src("b.o")).unwrap();
            mode
        };
        let distcc = programs::distcc();
        let (ours, local) = (mode(&distcc.display().to_string()), mode("env"));
        assert_eq!(ours, local, "umask {mask}");
    }
    server.wait_for_jobs(3);
}

/// GCC writes through a link; so that the next build step finds the object, the path must lead
/// to it afterwards.
#[test]
fn an_output_that_is_a_link_leads_to_the_object() {
    let (workspace, server) = with_server();
    workspace.run("gcc -c a.c -o local.o").success();
    symlink("out/real.o", workspace.src("link.o")).unwrap();
    workspace.distcc("gcc -c a.c -o link.o").silent_success();
    server.wait_for_jobs(1);
    assert_eq!(workspace.read("link.o"), workspace.read("local.o"));
    assert_eq!(workspace.read("out/real.o"), workspace.read("local.o"));
}

/// What `mktemp` has made is private, and stays so.
#[test]
fn an_empty_output_keeps_its_mode() {
    let (workspace, server) = with_server();
    let mode = |command: &str| {
        let line = format!("out=$(mktemp -p .) && {command} gcc -c a.c -o $out && stat -c %a $out");
        let mut shell = workspace.command("/bin/sh");
        run(shell.args(["-c", &line])).silent_success().stdout
    };
    assert_eq!(mode(&programs::distcc().display().to_string()), mode("env"));
    server.wait_for_jobs(1);
}

/// Preprocessor and compiler both warn of an option that does not fit.
#[test]
fn a_warning_about_the_command_line_is_shown_once() {
    let (workspace, server) = with_server();
    let line = "gcc -std=c++17 -c a.c";
    let local = workspace.run(line).success();
    let ours = workspace.distcc(line).success();
    server.wait_for_jobs(1);
    assert!(local.stderr.contains("-std=c++17"), "{local:#?}");
    assert_eq!(ours.stderr, local.stderr);
}

#[test]
fn odd_names_arrive() {
    let (workspace, server) = with_server();
    std::fs::create_dir(workspace.src("with blank")).unwrap();
    std::fs::write(
        workspace.src("with blank/a'b$ü.c"),
        SOURCE.replace("sub", "../sub"),
    )
    .unwrap();
    let mut command = workspace.command(programs::distcc());
    command.args([
        "gcc",
        "-MD",
        "-c",
        "with blank/a'b$ü.c",
        "-o",
        "with blank/ü.o",
    ]);
    run(&mut command).silent_success();
    server.wait_for_jobs(1);
    let depends = String::from_utf8(workspace.read("with blank/ü.d")).unwrap();
    assert!(depends.starts_with("with\\ blank/ü.o:"), "{depends}");
}

#[test]
fn empty_and_large_sources() {
    let (workspace, server) = with_server();
    workspace.write("empty.c", "");
    let large: String = (0..40_000)
        .map(|i| format!("int variable_with_a_long_name_{i} = {i};\n"))
        .collect();
    workspace.write("large.c", &large);
    for name in ["empty", "large"] {
        workspace
            .run(&format!("gcc -c {name}.c -o local.o"))
            .success();
        workspace
            .distcc(&format!("gcc -c {name}.c -o ours.o"))
            .silent_success();
        assert!(
            workspace.read("ours.o") == workspace.read("local.o"),
            "{name}"
        );
    }
    server.wait_for_jobs(2);
}

/// What the server had to say through `-pipe`, `-v` and warnings reaches the right stream.
#[test]
fn messages_reach_standard_error() {
    let (workspace, server) = with_server();
    workspace.write("warns.c", "static int unused;\n");
    let outcome = workspace
        .distcc("gcc -Wall -pipe -c warns.c -o w.o")
        .success();
    assert!(outcome.stderr.contains("-Wunused-variable"), "{outcome:#?}");
    assert_eq!(outcome.stdout, "");
    server.wait_for_jobs(1);
}

/// GCC reads them in comments, which preprocessing drops.
#[test]
fn warnings_that_a_comment_turns_off_stay_off() {
    let (workspace, _server) = with_server();
    let source = "/* odd /* comment */\n\
                  int f(int a) { switch (a) { case 1: a = 2; /* fall through */ case 2: a++; }\n\
                  return a; }\n";
    workspace.write("quiet.c", source);
    workspace.write("loud.c", &source.replace("/* fall through */ ", ""));
    let check = |line: &str, is_remote: bool| {
        let expected = workspace.run(line);
        let mut command = workspace.command(programs::distcc());
        command.env("DISTCC_VERBOSE", "1");
        let outcome = run(command.args(line.split_whitespace()));
        let (said, theirs): (Vec<_>, Vec<_>) = outcome
            .stderr
            .lines()
            .partition(|line| line.starts_with("distcc["));
        let completed = said.iter().any(|line| line.contains("completed ok"));
        assert_eq!(completed, is_remote, "{line}: {outcome:#?}");
        // Without the lines of source, which hosts do not have.
        let shown = |line: &&str| !line.starts_with(' ');
        let theirs: Vec<_> = theirs.into_iter().filter(shown).collect();
        let expected: Vec<_> = expected.stderr.lines().filter(shown).collect();
        assert_eq!(theirs, expected, "{line}");
    };
    check("gcc -Wall -c quiet.c", true);
    check("gcc -Wall -Wextra -c quiet.c", false);
    check("gcc -Wall -Wextra -c quiet.c", true);
    check("gcc -Wall -Wextra -c loud.c", true);
    check("gcc -Wextra -Werror=implicit-fallthrough -c quiet.c", true);
}
