//! How people call the client: its own options, its names, where its messages go, its exit codes.

use std::os::unix::fs::symlink;

use e2e::programs::{self, Kind, STOCK_CLIENT, STOCK_SERVER, client, have};
use e2e::run::{Outcome, run};
use e2e::server::Server;
use e2e::workspace::Workspace;

const SOURCE: &str = "int answer(void) { return 42; }\n";

fn with_server() -> (Workspace, Server) {
    let mut workspace = Workspace::new();
    workspace.write("a.c", SOURCE);
    let server = Server::start(&workspace, Kind::Ours);
    workspace.set_hosts(server.host());
    (workspace, server)
}

/// Both clients answer this in the same way.
#[track_caller]
fn check_as_stock(hosts: &str, line: &str) {
    if !have(STOCK_CLIENT) {
        return;
    }
    let mut workspace = Workspace::new();
    workspace.set_hosts(hosts);
    let answer = |kind| {
        let mut command = workspace.command(client(kind));
        run(command.args(line.split_whitespace()))
    };
    let (ours, stocks) = (answer(Kind::Ours), answer(Kind::Stock));
    assert_eq!(ours.code(), stocks.code(), "{ours:#?}");
    assert_eq!(ours.stdout, stocks.stdout, "{line}");
}

#[test]
fn hosts_and_slots_are_shown_as_stock_shows_them() {
    check_as_stock("localhost a/10 b c:4200/3,lzo", "--show-hosts");
    check_as_stock("--localslots=7 a/3 # comment\n b", "--show-hosts");
    check_as_stock("localhost a/10 b", "-j");
    check_as_stock("localhost/1 [::1]:4200/5 @ssh/3", "-j");
}

#[test]
fn version_has_the_form_that_scripts_look_for() {
    let workspace = Workspace::new();
    let version = workspace.distcc("--version").success().stdout;
    let mut lines = version.lines();
    let first: Vec<_> = lines.next().unwrap().split(' ').collect();
    assert_eq!((first.len(), first[0]), (3, "distcc"), "{version}");
    let second = lines.next().unwrap();
    assert_eq!(second, "  (protocols 1, 2 and 3) (default port 3632)");
}

#[test]
fn help_goes_to_standard_output() {
    let workspace = Workspace::new();
    let help = workspace.distcc("--help").silent_success();
    for word in ["--show-hosts", "DISTCC_HOSTS", "-j"] {
        assert!(help.stdout.contains(word), "{word}");
    }
}

#[test]
fn wrong_use_has_stocks_exit_codes() {
    check_as_stock("localhost", "");
    check_as_stock("localhost", "--scan-includes");
    check_as_stock("localhost", "no-such-compiler -c a.c");
}

#[test]
fn the_compiler_defaults_to_cc() {
    let (workspace, server) = with_server();
    workspace.distcc("-c a.c").silent_success();
    workspace.distcc("a.c -c -o b.o").silent_success();
    server.wait_for_jobs(2);
    assert_eq!(workspace.read("a.o"), workspace.read("b.o"));
}

#[test]
fn a_link_named_like_a_compiler_is_that_compiler() {
    let (workspace, server) = with_server();
    let dir = workspace.masquerade(&programs::distcc(), &["gcc", "g++"]);
    let mut path = dir.clone().into_os_string();
    path.push(":");
    path.push(workspace.path_var());
    run(workspace.line("gcc -c a.c").env("PATH", &path)).silent_success();
    // Also by its path, with the directory anywhere in PATH or nowhere.
    let mut by_path = workspace.command(dir.join("gcc"));
    run(by_path.args(["-c", "a.c", "-o", "b.o"])).silent_success();
    assert_eq!(server.wait_for_jobs(2), 2);
    assert_eq!(workspace.read("a.o"), workspace.read("b.o"));
}

#[test]
fn ccache_may_come_before_distcc_in_path() {
    if !have("ccache") {
        return;
    }
    let (workspace, server) = with_server();
    let distcc_dir = workspace.masquerade(&programs::distcc(), &["gcc"]);
    let ccache_dir = workspace.root().join("ccache-links");
    std::fs::create_dir(&ccache_dir).unwrap();
    symlink(programs::find("ccache").unwrap(), ccache_dir.join("gcc")).unwrap();
    let dirs = [ccache_dir, distcc_dir, "/usr/bin".into(), "/bin".into()];
    let path = std::env::join_paths(dirs).unwrap();
    let compile = |output| {
        let mut command = workspace.line("gcc -c a.c -o");
        command
            .arg(output)
            .env("PATH", &path)
            .env("CCACHE_DIR", workspace.root().join("ccache"));
        run(&mut command).silent_success()
    };
    compile("a.o");
    server.wait_for_jobs(1);
    compile("b.o");
    assert_eq!(server.jobs_so_far(), 1);
    assert_eq!(workspace.read("a.o"), workspace.read("b.o"));
}

#[test]
fn a_compiler_that_is_distcc_itself_is_refused() {
    let workspace = Workspace::new();
    workspace.write("a.c", SOURCE);
    let mut command = workspace.command(programs::distcc());
    command.arg(programs::distcc()).args(["-c", "a.c"]);
    assert_eq!(run(&mut command).code(), 111);
    let mut command = workspace.command(programs::distcc());
    command.args(["gcc", "-c", "a.c"]);
    assert_eq!(run(command.env("_DISTCC_SAFEGUARD", "1")).code(), 111);
}

#[test]
fn exit_codes_of_the_client_itself() {
    let mut workspace = Workspace::new();
    workspace.write("a.c", SOURCE);
    let missing = workspace.distcc("no-such-gcc -c a.c -o a.o");
    assert_eq!(missing.code(), 110, "{missing:#?}");

    // No host and no local compile allowed.
    workspace.set_hosts("");
    let mut command = workspace.command(programs::distcc());
    command.args(["gcc", "-c", "a.c"]);
    let refused = run(command.env("DISTCC_FALLBACK", "0"));
    assert_eq!(refused.code(), 116, "{refused:#?}");
    assert!(!workspace.src("a.o").exists());
    // What must be local all the same runs.
    let mut command = workspace.command(programs::distcc());
    command.args(["gcc", "-E", "a.c"]);
    run(command.env("DISTCC_FALLBACK", "0")).success();
}

#[test]
fn a_broken_host_list_warns_in_one_line_and_compiles_here() {
    let mut workspace = Workspace::new();
    workspace.write("a.c", SOURCE);
    for hosts in ["", "   ", "@", ":4200", "a,nonsense"] {
        workspace.set_hosts(hosts);
        let outcome = workspace.distcc("gcc -c a.c").success();
        assert_eq!(outcome.stderr.lines().count(), 1, "{hosts:?} {outcome:#?}");
        assert!(outcome.stderr.contains("Warning"), "{outcome:#?}");
        std::fs::remove_file(workspace.src("a.o")).unwrap();
    }
}

#[test]
fn a_broken_token_leaves_the_other_hosts_usable() {
    let (mut workspace, server) = with_server();
    workspace.set_hosts(format!("a,nonsense {}", server.host()));
    let outcome = workspace.distcc("gcc -c a.c").success();
    assert!(outcome.stderr.contains("nonsense"), "{outcome:#?}");
    server.wait_for_jobs(1);
}

/// Runs a compile whose only host refuses connections, so that there is something to say.
fn complain(change: impl FnOnce(&Workspace, &mut std::process::Command)) -> (Workspace, Outcome) {
    let mut workspace = Workspace::new();
    workspace.write("a.c", SOURCE);
    // Discard's port: nobody listens there.
    workspace.set_hosts("127.0.0.1:9");
    let mut command = workspace.command(programs::distcc());
    command.args(["gcc", "-c", "a.c"]);
    change(&workspace, &mut command);
    let outcome = run(&mut command).success();
    (workspace, outcome)
}

#[test]
fn messages_go_to_the_log_file() {
    let (workspace, outcome) = complain(|workspace, command| {
        command.env("DISTCC_LOG", workspace.root().join("log"));
    });
    assert_eq!(outcome.stderr, "");
    let log = std::fs::read_to_string(workspace.root().join("log")).unwrap();
    assert!(log.contains("127.0.0.1"), "{log}");
}

#[test]
fn messages_go_to_ccaches_descriptor() {
    let (workspace, outcome) = complain(|workspace, command| {
        let log = workspace.root().join("uncached");
        let text = format!("exec 7>{}; exec \"$@\"", log.display());
        let program = command.get_program().to_owned();
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let mut shell = workspace.command("/bin/sh");
        shell.arg("-c").arg(text).arg("sh").arg(program).args(args);
        shell.env("UNCACHED_ERR_FD", "7");
        *command = shell;
    });
    assert_eq!(outcome.stderr, "");
    let log = std::fs::read_to_string(workspace.root().join("uncached")).unwrap();
    assert!(log.contains("distcc["), "{log}");
}

#[test]
fn verbose_tells_what_is_done() {
    let (workspace, _server) = with_server();
    let mut command = workspace.command(programs::distcc());
    command.args(["gcc", "-c", "a.c"]);
    let quiet = run(&mut command).silent_success();
    let verbose = run(command.env("DISTCC_VERBOSE", "1")).success();
    assert!(verbose.stderr.contains("distcc["), "{verbose:#?}");
    assert_eq!(quiet.stdout, "");
}

#[test]
fn arguments_are_read_from_a_file() {
    let (workspace, server) = with_server();
    workspace.write("args", "-O2 -c \"a.c\"\n-o 'with blank.o'\n");
    workspace.distcc("gcc @args").silent_success();
    server.wait_for_jobs(1);
    workspace.run("gcc -O2 -c a.c -o a.o").success();
    assert_eq!(workspace.read("with blank.o"), workspace.read("a.o"));
}

#[test]
fn native_is_compiled_elsewhere_for_this_machine() {
    let (workspace, server) = with_server();
    workspace.write(
        "simd.c",
        "void f(float *a, float *b) { for (int i = 0; i < 1024; i++) a[i] = a[i] * b[i] + 1; }\n",
    );
    for compiler in ["gcc", "clang"] {
        if !have(compiler) {
            continue;
        }
        let args = "-O3 -march=native -mtune=native -c simd.c -o simd.o";
        workspace.run(&format!("{compiler} {args}")).success();
        let local = workspace.read("simd.o");
        let before = server.jobs_so_far();
        workspace
            .distcc(&format!("{compiler} {args}"))
            .silent_success();
        assert!(workspace.read("simd.o") == local, "{compiler}");
        server.wait_for_jobs(before + 1);
    }
}

#[test]
fn what_configure_tries_out_stays_here() {
    let (workspace, server) = with_server();
    workspace.write("conftest.c", SOURCE);
    workspace.distcc("gcc -c conftest.c").silent_success();
    workspace.write("broken/conftest.c", "no c\n");
    let broken = workspace.distcc("gcc -c broken/conftest.c");
    assert_eq!(broken.code(), 1);
    assert!(!broken.stderr.contains("distcc["), "{broken:#?}");
    assert_eq!(server.jobs_so_far(), 0);
}

#[test]
fn links_and_preprocessing_stay_here() {
    let (workspace, server) = with_server();
    workspace.write("main.c", "int main(void) { return 0; }\n");
    workspace.distcc("gcc main.c -o main").silent_success();
    let program = workspace.src("main");
    run(&mut workspace.command(program)).silent_success();
    let text = workspace.distcc("gcc -E main.c").silent_success().stdout;
    assert!(text.contains("int main"), "{text}");
    assert_eq!(server.jobs_so_far(), 0);
}

/// Stands in for ssh: drops the host and runs the command here.
const FAKE_SSH: &str = "#!/bin/sh\nwhile [ \"$1\" = -l ]; do shift 2; done\nshift\nexec \"$@\"\n";

#[test]
fn a_host_behind_ssh_compiles() {
    if !have(STOCK_SERVER) {
        return;
    }
    let mut workspace = Workspace::new();
    workspace.write("a.c", SOURCE);
    workspace.run("gcc -c a.c -o local.o").success();
    // The other machine has a folder for temporary files of its own; a server that is killed
    // when the client has its answer leaves some there.
    let tmp = workspace.root().join("there");
    std::fs::create_dir(&tmp).unwrap();
    e2e::workspace::open_to_all(&tmp, 0o1777);
    let script = FAKE_SSH.replace("exec", &format!("exec env TMPDIR={}", tmp.display()));
    let ssh = workspace.script("fake-ssh", &script);
    let ours = workspace.root().join("bin/distccd");
    symlink(programs::farcc(), &ours).unwrap();
    for server in [STOCK_SERVER.into(), ours] {
        workspace.set_hosts(format!("me@example.invalid:{}", server.display()));
        let mut command = workspace.command(programs::distcc());
        command.args(["gcc", "-c", "a.c", "-o", "a.o"]);
        let env = [
            ("DISTCC_SSH", ssh.as_os_str()),
            ("DISTCC_FALLBACK", "0".as_ref()),
        ];
        run(command.envs(env)).success();
        assert_eq!(workspace.read("a.o"), workspace.read("local.o"));
        std::fs::remove_file(workspace.src("a.o")).unwrap();
    }
}
