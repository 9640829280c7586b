//! Toolchains of unusual compilers, and of ones that change.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use agent::toolchain::{NoToolchain, Node, Toolchain, Toolchains};
use store::DigestFunction;

use crate::toolchain_root::{Compiler, Root, may_enter, toolchains, words};

fn gcc() -> Compiler {
    Compiler::find("gcc").expect("the tests need gcc")
}

/// The search path of [`Compiler::find`] with other directories before it.
fn path_with(dirs: &[&Path]) -> OsString {
    let usual = ["/usr/local/bin", "/usr/bin", "/bin"].map(Path::new);
    std::env::join_paths(dirs.iter().copied().chain(usual)).unwrap()
}

/// Another process writes it: a child of another test would inherit it open for writing, and then it cannot be
/// executed (`ETXTBSY`).
fn make_program(path: &Path, text: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut draft = tempfile::NamedTempFile::new().unwrap();
    draft.write_all(text).unwrap();
    let mut install = Command::new("install");
    install.args(["-m", "755"]).arg(draft.path()).arg(path);
    assert!(install.status().unwrap().success());
}

fn has_file(toolchain: &Toolchain, path: &Path) -> bool {
    let mut entries = toolchain.entries().iter();
    entries.any(|entry| entry.path == path && matches!(entry.node, Node::File { .. }))
}

fn compile_c(compiler: &Compiler, root: &Root, args: &str, toolchain: &Toolchain) {
    let args = words(args);
    root.add(toolchain);
    for header in root.headers(compiler, &args) {
        root.file(&header);
    }
    let here = compiler.command(root.work(), &args).output().unwrap();
    assert!(here.status.success(), "{here:?}");
    let object = fs::read(root.work().join("a.o")).unwrap();
    let there = root.run(toolchain.env(), toolchain.program(), &args);
    assert!(there.status.success(), "{there:?}");
    assert!(fs::read(root.at(root.work()).join("a.o")).unwrap() == object);
    assert_eq!(there.stderr, here.stderr);
}

#[test]
fn what_is_told_of_a_toolchain() {
    let toolchain = gcc().identify(&toolchains(), Path::new("/"), &[]).unwrap();
    let version = Command::new("gcc")
        .arg("-dumpfullversion")
        .output()
        .unwrap()
        .stdout;
    assert_eq!(
        toolchain.version(),
        String::from_utf8(version).unwrap().trim()
    );
    assert_eq!(toolchain.name(), "gcc");
    assert_eq!(toolchain.machine(), std::env::consts::ARCH);
    let text = toolchain.to_string();
    let expect = format!("gcc {}, {} files, ", toolchain.version(), toolchain.files());
    assert!(text.starts_with(&expect), "{text}");
    assert!(
        toolchain.files() > 5 && toolchain.bytes() > 10 << 20,
        "{text}"
    );
}

/// Directories of `PATH` that hold nothing of the compiler, and languages that this system does not have, make no
/// difference: users share the results of compiles.
#[test]
fn the_rest_of_the_environment_makes_no_difference() {
    let empty = tempfile::tempdir().unwrap();
    let toolchains = toolchains();
    let plain = gcc().identify(&toolchains, Path::new("/"), &[]).unwrap();
    let other = gcc()
        .set("PATH", path_with(&[empty.path()]))
        .set("LANG", "xx_XX.UTF-8")
        .set("LD_LIBRARY_PATH", empty.path())
        .set("HOME", empty.path());
    let other = other
        .identify(&toolchains, Path::new("/usr"), &words("-O2 -DX"))
        .unwrap();
    assert_eq!(plain.digest(), other.digest());
    assert_eq!(plain.env(), other.env());
    assert_eq!(plain.program(), other.program());
}

#[test]
fn scripts_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    make_program(
        &temp.path().join("gcc"),
        b"#!/bin/sh\nexec /usr/bin/gcc \"$@\"\n",
    );
    let mut compiler = gcc();
    compiler.path = temp.path().join("gcc");
    let error = compiler
        .identify(&toolchains(), temp.path(), &[])
        .unwrap_err();
    assert_eq!(error.code(), "toolchain-script");
}

/// Programs that are no compilers are refused without being taken for one.
#[test]
fn other_programs_are_refused() {
    let mut compiler = gcc();
    for (path, code) in [
        ("/bin/true", "toolchain-unknown"),
        ("/bin/false", "toolchain-no-answer"),
        ("/etc/passwd", "toolchain-not-elf"),
        ("/no/such/gcc", "toolchain-unreadable"),
    ] {
        compiler.path = path.into();
        let error = compiler
            .identify(&toolchains(), Path::new("/"), &[])
            .unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    let wrapped = gcc().identify(&toolchains(), Path::new("/"), &words("-wrapper gdb"));
    assert_eq!(wrapped.unwrap_err().code(), "toolchain-option");
    let overridden = gcc().set("CCC_OVERRIDE_OPTIONS", "+-O0");
    let error = overridden
        .identify(&toolchains(), Path::new("/"), &[])
        .unwrap_err();
    assert!(matches!(error, NoToolchain::Variable { .. }), "{error}");
}

#[test]
fn the_compiler_behind_ccache() {
    let Some(ccache) = ["/usr/lib/ccache/gcc", "/usr/lib64/ccache/gcc"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists())
    else {
        eprintln!("skipped: no ccache");
        return;
    };
    let mut compiler = gcc().set("PATH", path_with(&[ccache.parent().unwrap()]));
    compiler.path = ccache;
    let toolchains = toolchains();
    let behind = compiler.identify(&toolchains, Path::new("/"), &[]).unwrap();
    let plain = gcc().identify(&toolchains, Path::new("/"), &[]).unwrap();
    assert_eq!(behind.digest(), plain.digest());
    assert_eq!(behind.program(), plain.program());
}

/// Clang finds its directories by where `PATH` has it, so headers get other names when a link stands there first.
#[test]
fn a_link_of_ours_before_the_compiler() {
    let Some(clang) = Compiler::find("clang++").filter(|_| may_enter()) else {
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    make_program(&temp.path().join("bin/distcc"), b"\x7fELF");
    let link = temp.path().join("masquerade/clang++");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    symlink("../bin/distcc", &link).unwrap();
    let clang = clang.set("PATH", path_with(&[link.parent().unwrap()]));
    let root = Root::new();
    root.source("a.cc", b"#include <vector>\nint f() { return 1; }\n");
    let args = words("-c -g a.cc");
    let toolchain = clang.identify(&toolchains(), root.work(), &args).unwrap();
    assert_eq!(toolchain.program(), link);
    compile_c(&clang, &root, "-c -g a.cc", &toolchain);
}

/// An assembler earlier in `PATH`, which `gcc` runs.
#[test]
fn another_assembler() {
    let temp = tempfile::tempdir().unwrap();
    let usual = fs::canonicalize("/usr/bin/as").unwrap();
    let assembler = fs::canonicalize(temp.path()).unwrap().join("as");
    fs::copy(usual, &assembler).unwrap();
    let compiler = gcc().set("PATH", path_with(&[temp.path()]));
    let toolchain = compiler
        .identify(&toolchains(), Path::new("/"), &[])
        .unwrap();
    assert!(has_file(&toolchain, &assembler));
    let expect: OsString = format!("{}:/usr/bin", temp.path().display()).into();
    assert!(
        toolchain.env().contains(&("PATH".into(), expect)),
        "{:?}",
        toolchain.env()
    );
}

#[test]
fn libraries_where_a_variable_leads() {
    let temp = tempfile::tempdir().unwrap();
    let dir = fs::canonicalize(temp.path()).unwrap();
    let list = Command::new("ldd")
        .arg("/usr/bin/as")
        .output()
        .unwrap()
        .stdout;
    let list = String::from_utf8(list).unwrap();
    let zlib = list
        .lines()
        .find_map(|line| line.trim().strip_prefix("libz.so.1 => "));
    let Some((zlib, _)) = zlib.and_then(|line| line.split_once(" (")) else {
        eprintln!("skipped: the assembler does without zlib");
        return;
    };
    fs::copy(zlib, dir.join("libz.so.1")).unwrap();
    let dirs = std::env::join_paths([Path::new("/none"), &dir]).unwrap();
    let compiler = gcc().set("LD_LIBRARY_PATH", dirs);
    let toolchain = compiler
        .identify(&toolchains(), Path::new("/"), &[])
        .unwrap();
    assert!(has_file(&toolchain, &dir.join("libz.so.1")));
    let expect = (OsString::from("LD_LIBRARY_PATH"), dir.into_os_string());
    assert!(toolchain.env().contains(&expect), "{:?}", toolchain.env());
}

/// A compiler that is upgraded while a build runs.
#[test]
fn upgrades_are_noticed() {
    let temp = tempfile::tempdir().unwrap();
    let real = fs::canonicalize("/usr/bin/gcc").unwrap();
    let program = fs::read(&real).unwrap();
    let at = |name: &str| temp.path().join(name);
    make_program(&at("gcc-1"), &program);
    symlink("gcc-1", at("gcc")).unwrap();
    let mut compiler = gcc();
    compiler.path = at("gcc");
    compiler.name = at("gcc").into();
    let toolchains = toolchains();
    let now = || compiler.identify(&toolchains, temp.path(), &[]).unwrap();
    let first = now();
    assert!(Arc::ptr_eq(&first, &now()), "nothing changed");

    make_program(&at("new"), &[&program[..], b"another version"].concat());
    fs::rename(at("new"), at("gcc-1")).unwrap();
    let second = now();
    assert_ne!(second.digest(), first.digest());

    make_program(&at("gcc-2"), &program);
    symlink("gcc-2", at("link")).unwrap();
    fs::rename(at("link"), at("gcc")).unwrap();
    let third = now();
    assert_ne!(third.digest(), second.digest());
    assert!(has_file(&third, &fs::canonicalize(at("gcc-2")).unwrap()));

    make_program(&at("new"), &program);
    fs::rename(at("new"), at("gcc-2")).unwrap();
    let fourth = now();
    assert!(!Arc::ptr_eq(&fourth, &third), "looked at again");
    assert_eq!(fourth.digest(), third.digest(), "and found to be the same");

    fs::remove_file(at("gcc-2")).unwrap();
    let error = compiler
        .identify(&toolchains, temp.path(), &[])
        .unwrap_err();
    assert_eq!(error.code(), "toolchain-unreadable");
}

/// Many compiles at the start of a build: one of them finds the answer, the others wait for it.
#[test]
fn all_at_once() {
    let toolchains = toolchains();
    let compiler = gcc();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = || compiler.identify(&toolchains, Path::new("/"), &[]).unwrap();
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(
        answers
            .iter()
            .all(|answer| Arc::ptr_eq(answer, &answers[0]))
    );
}

#[test]
fn digests_are_kept_in_a_file() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("digests");
    let first = Toolchains::new(DigestFunction::Blake3, Some(file.clone()));
    let first = gcc().identify(&first, Path::new("/"), &[]).unwrap();
    assert!(fs::read_to_string(&file).unwrap().lines().count() > 5);
    let second = Toolchains::new(DigestFunction::Blake3, Some(file));
    let second = gcc().identify(&second, Path::new("/"), &[]).unwrap();
    assert_eq!(first.digest(), second.digest());
}

/// Specs files are part of the toolchain, and what they make every source include is told.
#[test]
fn specs_files() {
    let root = Root::new();
    root.source("forced.h", b"#define FORCED 1\n");
    root.source("a.c", b"int f(void) { return FORCED; }\n");
    let specs = root.work().join("my.specs");
    fs::write(&specs, "*cc1:\n+ -include forced.h\n\n").unwrap();
    let args = "-specs=my.specs -c a.c";
    let compiler = gcc();
    let toolchain = compiler
        .identify(&toolchains(), root.work(), &words(args))
        .unwrap();
    assert!(has_file(&toolchain, &fs::canonicalize(specs).unwrap()));
    assert_eq!(toolchain.implied_includes(), ["-include", "forced.h"]);
    if may_enter() {
        compile_c(&compiler, &root, args, &toolchain);
    }
}

#[test]
fn configuration_files_of_clang() {
    let Some(clang) = Compiler::find("clang").filter(|_| may_enter()) else {
        return;
    };
    let root = Root::new();
    root.source("a.c", b"int f(void) { int unused; return ANSWER; }\n");
    fs::write(root.work().join("my.cfg"), "-Wall @more.cfg\n").unwrap();
    fs::write(root.work().join("more.cfg"), "-DANSWER=42\n").unwrap();
    let args = "--config ./my.cfg -c a.c";
    let toolchain = clang
        .identify(&toolchains(), root.work(), &words(args))
        .unwrap();
    compile_c(&clang, &root, args, &toolchain);
}

#[test]
fn plugins() {
    let root = Root::new();
    root.source("a.c", b"int f(void) { return 1; }\n");
    root.source(
        "plugin.c",
        b"int plugin_is_GPL_compatible;\nint plugin_init(void *a, void *b) { return !a + !b; }\n",
    );
    let compiler = gcc();
    let link = words("-shared -fPIC plugin.c -lm -Wl,--no-as-needed -lpthread -o plugin.so");
    let linked = compiler.command(root.work(), &link).output().unwrap();
    assert!(linked.status.success(), "{linked:?}");
    let args = "-fplugin=./plugin.so -fplugin-arg-plugin-level=3 -c a.c";
    let toolchain = compiler
        .identify(&toolchains(), root.work(), &words(args))
        .unwrap();
    assert!(has_file(
        &toolchain,
        &fs::canonicalize(root.work().join("plugin.so")).unwrap()
    ));
    if may_enter() {
        compile_c(&compiler, &root, args, &toolchain);
    }
    let file = compiler.identify(
        &toolchains(),
        root.work(),
        &words("-fplugin=./plugin.so -fplugin-arg-plugin-file=/etc/x -c a.c"),
    );
    assert_eq!(file.unwrap_err().code(), "toolchain-option");
}

/// A program in ELF format that runs the compiler proper beside it, as cross toolchains have them.
#[test]
fn wrappers_in_elf_format() {
    let root = Root::new();
    root.source("a.c", b"int f(void) { return 1; }\n");
    let text = "#include <unistd.h>\nint main(int c, char **v) { (void)c; v[0] = \"/usr/bin/gcc\"; execv(v[0], v); return 9; }\n";
    root.source("wrapper.c", text.as_bytes());
    let mut compiler = gcc();
    let made = compiler
        .command(root.work(), &words("-w wrapper.c -o wrapped-gcc"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    compiler.path = root.work().join("wrapped-gcc");
    compiler.name = compiler.path.clone().into();
    let toolchain = compiler
        .identify(&toolchains(), root.work(), &words("-c a.c"))
        .unwrap();
    assert!(has_file(
        &toolchain,
        &fs::canonicalize("/usr/bin/gcc").unwrap()
    ));
    if may_enter() {
        compile_c(&compiler, &root, "-c a.c", &toolchain);
    }
}

/// The variables that a toolchain decides about are those that the shim tells.
#[test]
fn variables_are_forwarded() {
    for name in Toolchain::variables() {
        assert!(wire::environment::is_forwarded(name.as_bytes()), "{name}");
    }
    assert!(Toolchain::variables().is_sorted());
    let env = gcc()
        .set("LC_ALL", "C.UTF-8")
        .identify(&toolchains(), Path::new("/"), &[])
        .unwrap();
    for (name, _) in env.env() {
        assert!(
            Toolchain::variables()
                .iter()
                .any(|known| name == OsStr::new(known))
        );
    }
}
