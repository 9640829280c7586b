//! The small programs: `lsdistcc`, `pump`, `distcc-config`, `update-distcc-symlinks`.

use crate::space::{Answer, Space};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

#[test]
fn lsdistcc_prints_servers_that_answer() {
    let space = Space::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let answer = space
        .run("lsdistcc", &["-c60000", "-t60", "-P2", &host])
        .success();
    assert_eq!(answer.stdout, format!("{host},lzo\n"));
    let answer = space.run("lsdistcc", &["127.0.0.1:1"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""));
}

#[test]
fn lsdistcc_usage_goes_to_standard_output_with_code_1() {
    let space = Space::new();
    let answer = space.run("lsdistcc", &["--help"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(1), ""));
    assert!(answer.stdout.starts_with("Usage: lsdistcc"));
    let answer = space.run("lsdistcc", &["-P9"]);
    assert_eq!(answer.code, Some(1));
    assert_eq!(answer.stderr, "lsdistcc: bad value in `-P9`\n");
}

#[test]
fn pump_runs_the_command_and_passes_its_code_on() {
    let space = Space::new();
    let mut pump = space.command("pump", &["sh", "-c", "echo $DISTCC_HOSTS; exit 7"]);
    let answer = Answer::of(pump.env("DISTCC_HOSTS", "box1 box2"));
    assert_eq!(answer.code, Some(7));
    assert_eq!(
        answer.stdout,
        "__________Using 2 distcc servers; no include server is needed\nbox1 box2\n"
    );
    let answer = space.run("pump", &["no-such-command"]);
    assert_eq!(answer.code, Some(127));
    assert_eq!(space.run("pump", &[]).code, Some(1));
}

#[test]
fn scripts_with_pump_startup_and_shutdown_go_on_working() {
    let space = Space::new();
    let script = "eval `pump --startup`\n\
                  echo \"[$INCLUDE_SERVER_PID$INCLUDE_SERVER_DIR$INCLUDE_SERVER_PORT]\"\n\
                  echo \"$DISTCC_HOSTS\"\n\
                  pump --shutdown\n";
    let path = format!("{}:/usr/bin:/bin", space.path("bin").display());
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-euc", script])
        .env_clear()
        .env("PATH", path)
        .env("DISTCC_HOSTS", "a 'b' c");
    let answer = Answer::of(&mut shell).success();
    assert_eq!(answer.stdout, "[]\na 'b' c\n");
}

#[test]
fn pump_asks_potential_hosts() {
    let space = Space::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap();
    let mut pump = space.command("pump", &["sh", "-c", "echo $DISTCC_HOSTS"]);
    pump.env("DISTCC_POTENTIAL_HOSTS", format!("127.0.0.1:1 {host}"))
        .env("LSDISTCC_ARGS", "-c60000 -t60");
    let answer = Answer::of(&mut pump).success();
    let last = answer.stdout.lines().last();
    assert_eq!(last, Some(format!("--randomize {host},lzo").as_str()));
}

#[test]
fn distcc_config_works_in_another_tree() {
    let space = Space::new();
    let root = format!("--root={}", space.path("root").display());
    let config = |args: &[&str]| {
        let args: Vec<&str> = [root.as_str()].iter().chain(args).copied().collect();
        space.run("distcc-config", &args)
    };
    config(&["--set-hosts", "box1 box2/8"]).success();
    assert_eq!(config(&["--get-hosts"]).stdout, "box1 box2/8\n");
    config(&["--set-verbose", "1"]).success();
    assert_eq!(config(&["--get-verbose"]).stdout, "DISTCC_VERBOSE=1\n");
    config(&["--update-masquerade"]).success();
    assert!(space.path("root/usr/lib/distcc/bin").exists());
    assert_eq!(config(&["--bogus"]).code, Some(1));
    assert!(config(&[]).success().stdout.starts_with("usage:"));
}

#[test]
fn update_distcc_symlinks_follows_the_compilers_below_a_prefix() {
    let space = Space::new();
    fs::create_dir_all(space.path("usr/bin")).unwrap();
    fs::create_dir_all(space.path("usr/lib/distcc")).unwrap();
    space.script("usr/bin/gcc-4.7", "");
    space.script("usr/bin/clang++-99", "");
    symlink("../../bin/distcc", space.path("usr/lib/distcc/gcc-2.95")).unwrap();
    let prefix = space.path("usr").display().to_string();
    let answer = space
        .run("update-distcc-symlinks", &["-v", &prefix])
        .success();
    let dir = space.path("usr/lib/distcc");
    for name in ["gcc-4.7", "clang++-99"] {
        let target = fs::read_link(dir.join(name)).unwrap();
        assert_eq!(target, Path::new("../../bin/distcc"));
        assert!(
            answer
                .stdout
                .contains(&format!("Making {}", dir.join(name).display()))
        );
    }
    assert!(fs::symlink_metadata(dir.join("gcc-2.95")).is_err());
    assert!(answer.stdout.contains("Removing"));
    // The same through the variable, and nothing left to do.
    let mut again = space.command("update-distcc-symlinks", &["-v"]);
    let answer = Answer::of(again.env("PREFIX", &prefix)).success();
    assert_eq!(answer.stdout, "");
}

#[test]
fn farcc_does_not_pretend_to_be_the_client() {
    let space = Space::new();
    fs::remove_file(space.path("bin/distcc")).unwrap();
    symlink("farcc", space.path("bin/distcc")).unwrap();
    let answer = space.run("distcc", &["gcc", "-c", "a.c"]);
    assert_eq!(answer.code, Some(110));
    assert!(answer.stderr.contains("is a separate program"));
}

#[test]
fn distccd_is_the_server() {
    let space = Space::new();
    let version = space.run("distccd", &["--version"]).success();
    let lines: Vec<&str> = version.stdout.lines().collect();
    assert!(lines[0].starts_with("distccd 3.4-farcc-"), "{lines:?}");
    assert_eq!(lines[1], "  (protocols 1, 2 and 3) (default port 3632)");
    for program in [&["distccd", "--bogus"][..], &["farcc", "worker", "--bogus"]] {
        let answer = space.run(program[0], &program[1..]);
        assert_eq!(answer.code, Some(101));
        assert!(answer.stderr.contains("--bogus"), "{answer:?}");
    }
}
