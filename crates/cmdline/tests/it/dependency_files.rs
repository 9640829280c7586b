//! The dependency file that preprocessing writes is the one that compiling writes, byte for byte.

use std::fs;

use cmdline::Placement;

use crate::compiler::{Bench, COMPILERS};

/// Compiles locally, removes what that wrote, preprocesses, and compares the dependency file.
fn check(bench: &Bench, line: &str) {
    let it = bench.parse(line);
    assert_eq!(
        it.where_to(),
        Placement::Distributable,
        "{line}: {:?}",
        it.explain()
    );
    let file = bench.path(&it.dependency().unwrap().file);
    bench.succeed(it.args());
    let output = bench.path(it.output().unwrap());
    assert!(output.exists(), "{line}: no {}", output.display());
    let local = fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{line}: {}: {error}", file.display()));
    fs::remove_file(&file).unwrap();
    fs::remove_file(&output).unwrap();
    let before = files(bench);
    bench.succeed(&it.preprocess_argv());
    let preprocessed = fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{line}: {}: {error}", file.display()));
    assert_eq!(preprocessed, local, "{} {line}", bench.compiler);
    fs::remove_file(&file).unwrap();
    assert_eq!(
        files(bench),
        before,
        "{line}: preprocessing left other files"
    );
}

fn files(bench: &Bench) -> Vec<std::path::PathBuf> {
    let list = |dir: &str| {
        fs::read_dir(bench.path(dir))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>()
    };
    let mut all = [list("."), list("sub")].concat();
    all.sort();
    all
}

fn combinations(compiler: &str) {
    let bench = Bench::new(compiler);
    let outputs = ["-c -o sub/x.o", "-c", "-S", "-S -o sub/x.s", "-c -o sub/x"];
    for write in ["-MD", "-MMD"] {
        for file in ["", "-MF f.d"] {
            for target in ["", "-MT t$x", "-MQ t$x -MT u"] {
                for output in outputs {
                    // Empty rules say nothing about the rest; try them with half of the combinations.
                    let phony = if file.is_empty() { "-MP" } else { "" };
                    check(
                        &bench,
                        &format!("a.c {write} {file} {target} {phony} {output}"),
                    );
                }
            }
        }
    }
}

#[test]
fn gcc_combinations() {
    combinations("gcc");
}

#[test]
fn clang_combinations() {
    combinations("clang");
}

#[test]
fn odd_names() {
    for compiler in COMPILERS {
        let bench = Bench::new(compiler);
        check(&bench, "-MD -c sub/b$c.c -o sub/o$p.x.o -I.");
        check(&bench, "-MD -c sub/b$c.c -I.");
        check(&bench, "-MD -c a.c -osub/.o");
        check(&bench, "-MMD -MFf.d -MTt -c a.c");
        check(&bench, "-MD -x c -c noext");
        check(&bench, "-MD -x c -c noext -o sub/y.obj");
        check(&bench, "--write-dependencies -c a.c");
    }
}

#[test]
fn past_the_driver() {
    for compiler in COMPILERS {
        let bench = Bench::new(compiler);
        for output in ["-c", "-c -o sub/x.o", "-S -o sub/x.s"] {
            check(&bench, &format!("-Wp,-MD,sub/k.d {output} a.c"));
            check(&bench, &format!("-Wp,-MMD,sub/.k.d {output} a.c"));
            check(&bench, &format!("-Wp,-MD,sub/k.d -MT t$x {output} a.c"));
        }
    }
    let bench = Bench::new("gcc");
    check(&bench, "-Wp,-MD,sub/k.d,-MT,t -c a.c -o sub/x.o");
    check(&bench, "-Wp,-MMD,sub/k.d -Wp,-MQ,t$ -c a.c");
    check(
        &bench,
        "-Xpreprocessor -MD -Xpreprocessor sub/k.d -c a.c -o sub/x.o",
    );
    check(&bench, "-Wp,-MD,sub/k.d,-MP -c a.c");
}
