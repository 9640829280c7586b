//! An object made in two steps equals the one made in one, and so do the diagnostics.

use std::fs;

use cmdline::Placement;

use crate::compiler::{Bench, COMPILERS};

/// Compares the output and standard error of a local and a distributed compile.
fn check(bench: &Bench, line: &str) {
    let it = bench.parse(line);
    assert_eq!(
        it.where_to(),
        Placement::Distributable,
        "{line}: {:?}",
        it.explain()
    );
    let local = bench.succeed(it.args());
    let output = bench.path(it.output().unwrap());
    let expect = fs::read(&output).unwrap();
    fs::remove_file(&output).unwrap();
    let (stderr, object) = bench.distributed(&it, &it);
    assert_eq!(
        stderr,
        String::from_utf8_lossy(&local.stderr),
        "{} {line}",
        bench.compiler
    );
    assert!(
        object == expect,
        "{} {line}: the objects differ",
        bench.compiler
    );
}

/// Options that leave the object alone, change it, or are recorded in it.
const OPTIONS: &[&str] = &[
    "-O2",
    "-O3 -ffast-math -fPIC",
    "-Wall -Wextra -pedantic",
    "-std=c99",
    "-ansi",
    "-fno-common -fvisibility=hidden",
    "-DX=1 -UY -D Z",
    "-I. -Isub -iquote sub -isystem sub -idirafter sub",
    "-include h\u{20}h.h",
    "-trigraphs",
    "--sysroot=/",
    "-isysroot /",
    "-L. -lm -Wl,-x -z now",
    "-pthread",
    "-static -no-pie -s",
    "-fuse-ld=bfd",
    "-Wa,--noexecstack",
    "-Xassembler --noexecstack",
    "-fdebug-prefix-map=a=b",
    "-fmacro-prefix-map=a=b",
    "-ffile-prefix-map=/x=y",
    "-Wp,-DX",
    "-Xpreprocessor -DX",
    "-march=x86-64-v3 -mtune=generic",
    "-fstack-protector-strong",
    "-frandom-seed=7",
    "-D_FORTIFY_SOURCE=2 -O2",
    "-pipe",
    "-p",
    "-pg",
    "--param max-inline-insns-single=9",
    "-w",
    "-dA",
    "-finstrument-functions",
    "-gz -gdwarf-4 -g1",
    "-Winvalid-pch",
    "-fsanitize=undefined",
];

/// Options that only one of the compilers knows.
const GCC_OPTIONS: &[&str] = &[
    "-ggdb",
    "-gdwarf-4 -O2",
    "-g -fno-working-directory",
    "-g -fdebug-prefix-map=a=b",
    "-g -undef -trigraphs -DX -I.",
    "-ggdb -fvar-tracking -O2",
    "-g -grecord-gcc-switches -frecord-gcc-switches",
    "-fopt-info-vec -O3",
    "-fdiagnostics-color=always -Wunused-macros",
    "-fno-diagnostics-show-caret -Wmissing-prototypes",
];

const CLANG_OPTIONS: &[&str] = &[
    "-flto",
    "-flto=thin",
    "-emit-llvm",
    "-Weverything",
    "-rtlib=compiler-rt -e main -r",
    "-MD -MP",
    "-Xclang -disable-llvm-passes -O1",
    "-mllvm -inline-threshold=9",
    "-fcoverage-prefix-map=a=b",
    "-fcolor-diagnostics",
    "-fno-working-directory",
    "-gdwarf-4",
    "-g -gdwarf-4 -fdebug-compilation-dir=/x",
    "-target x86_64-linux-gnu",
];

fn table(compiler: &str, own: &[&str]) {
    let bench = Bench::new(compiler);
    for options in OPTIONS.iter().chain(own) {
        // The one word with a space in it.
        let options = options.replace("-include h\u{20}h.h", "-include stdarg.h");
        check(&bench, &format!("{options} -c a.c -o sub/x.o"));
    }
}

#[test]
fn gcc_options() {
    table("gcc", GCC_OPTIONS);
}

#[test]
fn clang_options() {
    table("clang", CLANG_OPTIONS);
}

#[test]
fn languages_and_outputs() {
    for compiler in COMPILERS {
        let bench = Bench::new(compiler);
        let plus = Bench::new(if *compiler == "gcc" { "g++" } else { "clang++" });
        for line in [
            "-c a.c",
            "-S a.c",
            "-c -S a.c -o sub/x.s",
            "-x c -c noext",
            "-x c++ -c noext -o sub/x.o",
            "-c p.CPP",
            "-c p.cc",
        ] {
            check(&bench, line);
            check(&plus, line);
        }
        check(&bench, "-x c++ -c a.c -std=c++17");
        check(&bench, "-x c -x none -c a.c");
        check(&plus, "-c a.c -O2");
        bench.write(
            "unix.cc",
            "#undef linux\n#define f(x) x\nint linux = f(1);\n",
        );
        check(&bench, "-x c++ -c unix.cc");
        bench.write("unix.c", "#undef linux\nint linux = 1;\n");
        check(&bench, "-x c++ -c unix.c");
    }
    let gcc = Bench::new("g++");
    check(&gcc, "-g -O2 -c p.cc");
    check(&gcc, "-g -c a.c");
}
