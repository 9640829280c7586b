//! A compile in a root made from the list is the compile here: outputs, messages, exit code; and the driver would run
//! the same commands.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Output;

use cmdline::Family;

use crate::toolchain_root::{Compiler, Root, may_enter, toolchains, words};

/// Warnings with quotes, a header of the system, floating point, a string.
const C: &str = r#"#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
static int unused(int a) { return a; }
int other(int y);
int twice(double x) { int y = x; return (int)(2 * floor(x)) + other(y); }
int other(int y) { char s[8]; strcpy(s, "f"); printf("%s %ld\n", s, y); return abs(y); }
"#;

const CXX: &str = r#"#include <algorithm>
#include <string>
#include <vector>
#include <map>
struct A { virtual int f() { return 1; } };
struct B : A { int f() { return 2; } };
int g(std::vector<std::string> v) { std::sort(v.begin(), v.end()); B b; int unused; return b.f() + int(v.size()); }
"#;

const ASM: &str = "#define X 1\n\t.text\n\t.globl f\nf:\n\tnop\n\t.long X\n";

const BROKEN: &str = "#include <stddef.h>\nint f( { return no_such_thing; }\n";

/// Options to compile C with. GCC puts random numbers into objects for link-time optimisation and coverage unless it
/// is given a seed, so two compiles here differ as well.
const C_OPTIONS: &[&str] = &[
    "-O2 -g -Wall -Wextra",
    "-O2 -g -gsplit-dwarf",
    "-O3 -S",
    "-flto -frandom-seed=a.c",
    "-flto -ffat-lto-objects -frandom-seed=a.c",
    "-fsanitize=address,undefined -g",
    "--coverage -frandom-seed=a.c",
    "-march=native -O3",
    "-save-temps=obj -O1",
    "-gz -g3",
    "-std=c11 -pedantic -MD -fstack-usage -fPIC",
    "-pipe -fdiagnostics-color=always -Wall",
    "-finput-charset=ISO-8859-1",
    "-m32 -ffreestanding",
    "-Wformat=2 -fanalyzer",
];

const CXX_OPTIONS: &[&str] = &[
    "-O2 -g -Wall -Wsuggest-override",
    "-std=c++20 -g -gsplit-dwarf -MMD",
    "-flto -O2 -frandom-seed=b.cc",
    "-fsanitize=thread -g",
];

/// Besides, for Clang.
const CLANG_OPTIONS: &[&str] = &[
    "-fno-integrated-as -O2 -g",
    "-fno-integrated-as -gsplit-dwarf -g",
    "-flto=thin -O2 -fvisibility=hidden -fsanitize=cfi",
    "-Weverything -O1",
];

#[test]
fn gcc() {
    check("gcc", &[], &[("a.c", C_OPTIONS)], 3);
}

#[test]
fn gxx() {
    check(
        "g++",
        &[],
        &[("b.cc", CXX_OPTIONS), ("a.c", &C_OPTIONS[..1])],
        1,
    );
}

#[test]
fn clang() {
    check(
        "clang",
        &[],
        &[("a.c", C_OPTIONS), ("a.c", CLANG_OPTIONS)],
        5,
    );
}

#[test]
fn clangxx() {
    check(
        "clang++",
        &[],
        &[("b.cc", CXX_OPTIONS), ("a.c", &C_OPTIONS[..1])],
        1,
    );
}

#[test]
fn alternatives_link() {
    check("cc", &[], &[("a.c", &C_OPTIONS[..2])], 1);
}

#[test]
fn cross_gcc() {
    let options = &[
        "-O2 -g -ffreestanding",
        "-gsplit-dwarf -g -O1 -ffreestanding",
    ];
    for name in ["aarch64-linux-gnu-gcc", "arm-none-eabi-gcc"] {
        check(name, &[], &[("e.c", options)], 1);
    }
}

/// The language of messages, where this system has it.
#[test]
fn messages_in_other_languages() {
    let one: &[_] = &[("a.c", &C_OPTIONS[..1])];
    for language in [
        "C.UTF-8",
        "de_DE.UTF-8",
        "fr_FR.UTF-8",
        "de_DE.ISO-8859-1",
        "xx_XX",
    ] {
        check("gcc", &[("LANG", language)], one, 1);
    }
    check(
        "gcc",
        &[("LC_ALL", "C.UTF-8"), ("LANGUAGE", "de:fr")],
        one,
        1,
    );
    check("clang", &[("LC_ALL", "C.UTF-8")], one, 1);
}

/// Compiles each source with each of its options; at most `fail` may fail, here and there.
fn check(name: &str, env: &[(&str, &str)], compiles: &[(&str, &[&str])], fail: usize) {
    let Some(mut compiler) = Compiler::find(name).filter(|_| may_enter()) else {
        return;
    };
    for (name, value) in env {
        compiler = compiler.set(name, *value);
    }
    let root = Root::new();
    root.source("a.c", C.as_bytes());
    root.source("b.cc", CXX.as_bytes());
    root.source("c.S", ASM.as_bytes());
    root.source("d.s", b"\t.text\n\tnop\n");
    root.source(
        "e.c",
        b"#include <stdint.h>\nuint32_t f(uint32_t a) { int unused; return a * 3; }\n",
    );
    root.source("broken.c", BROKEN.as_bytes());
    let mut lines: Vec<String> = vec!["-c c.S -g".into(), "-c d.s".into(), "-c broken.c".into()];
    if name.contains("none") {
        lines.push("-mcpu=cortex-m4 -mthumb -c e.c --specs=nosys.specs".into());
    }
    for (source, options) in compiles {
        lines.extend(
            options
                .iter()
                .map(|options| format!("-c {options} {source}")),
        );
    }
    let toolchains = toolchains();
    let mut succeeded = 0;
    for line in &lines {
        let args = expanded(&compiler, &root, &words(line));
        let toolchain = compiler.identify(&toolchains, root.work(), &args).unwrap();
        root.add(&toolchain);
        for header in root.headers(&compiler, &args) {
            root.file(&header);
        }
        let sources = ["a.c", "b.cc", "c.S", "d.s", "e.c", "broken.c"];
        let here = compiler.command(root.work(), &args).output().unwrap();
        let outputs_here = root.outputs(root.work(), &sources);
        let there = root.run(toolchain.env(), toolchain.program(), &args);
        let outputs_there = root.outputs(&root.at(root.work()), &sources);
        assert_same(&format!("{name} {line} {env:?}"), &here, &there);
        assert_eq!(
            outputs_here.keys().collect::<Vec<_>>(),
            outputs_there.keys().collect::<Vec<_>>(),
            "{name} {line}"
        );
        assert!(
            outputs_here == outputs_there,
            "outputs differ: {name} {line}"
        );
        succeeded += usize::from(here.status.success());
        same_commands(
            &compiler,
            &root,
            &args,
            toolchain.env(),
            toolchain.program(),
        );
    }
    println!(
        "{name} {env:?}: {} compiles, {succeeded} succeeded",
        lines.len()
    );
    assert!(
        succeeded + fail >= lines.len(),
        "{succeeded} of {}",
        lines.len()
    );
}

fn assert_same(what: &str, here: &Output, there: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&there.stderr), text(&here.stderr), "{what}");
    assert_eq!(text(&there.stdout), text(&here.stdout), "{what}");
    assert_eq!(there.status.code(), here.status.code(), "{what}");
}

/// The agent never lets a worker find out what `native` means.
fn expanded(compiler: &Compiler, root: &Root, args: &[OsString]) -> Vec<OsString> {
    let driver = cmdline::Driver::guess(&[&compiler.name]);
    let invocation = cmdline::parse(args, driver, &mut |_| None);
    let asked = invocation.native_options();
    if asked.is_empty() {
        return args.to_vec();
    }
    let mut command = compiler.command(root.work(), &cmdline::native::question(&asked));
    let stderr = command.env("LC_ALL", "C").output().unwrap().stderr;
    let expansion = match driver.family {
        Family::Gcc => cmdline::native::parse_gcc(&stderr, &asked),
        Family::Clang => cmdline::native::parse_clang(&stderr, &asked),
    };
    match expansion {
        Some(expansion) => invocation.expand_native(&expansion).args().to_vec(),
        // A compiler for another machine.
        None => words("-c a.c"),
    }
}

/// What the driver says it would do, in the root and here.
fn same_commands(
    compiler: &Compiler,
    root: &Root,
    args: &[OsString],
    env: &[(OsString, OsString)],
    program: &OsStr,
) {
    let mut args = args.to_vec();
    args.push("-###".into());
    let here = compiler.command(root.work(), &args).output().unwrap();
    let there = root.run(env, program, &args);
    assert_eq!(commands(&there.stderr), commands(&here.stderr), "{args:?}");
}

/// The lines that tell what compiles run: without names of temporary files, what the compiler was called, and where it
/// would look for libraries when it links (each `-m` has other directories).
fn commands(stderr: &[u8]) -> Vec<Vec<String>> {
    let text = String::from_utf8_lossy(stderr);
    let temporary = std::env::temp_dir();
    let is_random = |word: &&str| {
        let path = PathBuf::from(word.trim_matches('"'));
        path.parent() == Some(&temporary) || word.contains("/tmp/cc")
    };
    text.lines()
        .filter(|line| !line.starts_with("COLLECT_GCC=") && !line.starts_with("LIBRARY_PATH="))
        .map(|line| {
            let words = line.split(' ').filter(|word| !is_random(word));
            words.map(str::to_owned).collect()
        })
        .collect()
}
