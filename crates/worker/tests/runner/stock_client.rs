//! Debian's distcc 3.4 as the client of this server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::server::{Server, Setup};

/// A C and a C++ program that use headers of the system, and a macro as long as what it stands
/// for: in preprocessed text debug information has other columns otherwise, whoever compiles it.
const C: &str =
    "#include <stdio.h>\n#include \"own.h\"\nint main(void) { return printf(\"%d\\n\", OWN); }\n";
const CXX: &str = "#include <string>\n#include \"own.h\"\nint f() { return int(std::string(\"x\").size()) + OWN; }\n";
const BROKEN: &str = "int f( {\n";

/// A directory with sources.
fn sources() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::create_dir(dir.path().join(".distcc")).unwrap();
    for (name, text) in [
        ("a.c", C),
        ("sub/b.cc", CXX),
        ("bad.c", BROKEN),
        ("own.h", "#define OWN 777\n"),
    ] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn run(dir: &Path, program: &str, words: &str, env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program);
    command.args(words.split_whitespace()).current_dir(dir);
    command
        .env("DISTCC_DIR", dir.join(".distcc"))
        .env("DISTCC_FALLBACK", "0");
    command
        .env_remove("DISTCC_LOG")
        .env("DISTCC_SKIP_LOCAL_RETRY", "1");
    command.envs(env.iter().copied()).output().unwrap()
}

/// Compiles through the server and here: same exit code, same object.
#[track_caller]
fn check_same(server: &Server, options: &str, words: &str, object: &str) {
    let dir = sources();
    let hosts = format!("127.0.0.1:{}{options}", server.port);
    let remote = run(dir.path(), "distcc", words, &[("DISTCC_HOSTS", &hosts)]);
    let stderr = String::from_utf8_lossy(&remote.stderr).into_owned();
    assert_eq!(remote.status.code(), Some(0), "{words}: {stderr}");
    let ours = fs::read(dir.path().join(object)).unwrap();
    fs::remove_file(dir.path().join(object)).unwrap();
    let (compiler, rest) = words.split_once(' ').unwrap();
    let local = run(dir.path(), compiler, rest, &[]);
    assert!(local.status.success());
    assert!(
        ours == fs::read(dir.path().join(object)).unwrap(),
        "{words} with {options}: differs"
    );
    server.wait_for_log("COMPILE_OK");
}

#[test]
fn objects_are_those_of_a_local_compile() {
    for sandbox in ["--sandbox=namespaces", "--sandbox=none"] {
        let server = Setup::new().args(sandbox).start();
        for options in ["", ",lzo"] {
            for (words, object) in [
                ("gcc -O2 -c a.c -o a.o", "a.o"),
                ("gcc -g -O1 -c a.c -o a.o", "a.o"),
                ("gcc -S a.c -o a.s", "a.s"),
                ("g++ -O2 -c sub/b.cc -o sub/b.o", "sub/b.o"),
                ("clang -O2 -c a.c -o a.o", "a.o"),
                ("clang++ -O2 -I. -c sub/b.cc -o b.o", "b.o"),
            ] {
                let words = words.replace("sub/b.cc", "sub/b.cc -I.");
                check_same(&server, options, &words, object);
            }
        }
    }
}

#[test]
fn errors_are_those_of_a_local_compile() {
    let server = Server::start();
    let dir = sources();
    let hosts = format!("127.0.0.1:{}", server.port);
    let words = "gcc -c bad.c -o bad.o";
    let remote = run(dir.path(), "distcc", words, &[("DISTCC_HOSTS", &hosts)]);
    assert_eq!(remote.status.code(), Some(1));
    let stderr = String::from_utf8(remote.stderr).unwrap();
    assert!(
        stderr.contains("\nbad.c:1:8: error: ") || stderr.starts_with("bad.c:1:8: error: "),
        "{stderr}"
    );
    // Nothing of the server's own names and no line of another file.
    assert!(
        !stderr.contains(".distccd") && !stderr.contains("# 0"),
        "{stderr}"
    );
    assert!(!dir.path().join("bad.o").exists());
}

#[test]
fn refusals_are_read_by_the_user() {
    let server = Server::start();
    let dir = sources();
    let hosts = format!("127.0.0.1:{}", server.port);
    let words = "gcc -B. -c a.c -o a.o";
    let remote = run(dir.path(), "distcc", words, &[("DISTCC_HOSTS", &hosts)]);
    let stderr = String::from_utf8(remote.stderr).unwrap();
    assert!(stderr.contains("-B."), "{stderr}");
    assert!(!stderr.contains("provided no answer"), "{stderr}");
}
