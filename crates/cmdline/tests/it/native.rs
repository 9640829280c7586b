//! What `native` is replaced by gives the very same object.

use std::fs;

use cmdline::native::{parse_clang, parse_gcc, question};
use cmdline::{Family, Invocation, Placement, parse};

use crate::compiler::Bench;

fn check(bench: &Bench, line: &str) {
    let it = bench.parse(line);
    assert_eq!(
        it.where_to(),
        Placement::Distributable,
        "{line}: {:?}",
        it.explain()
    );
    let asked = it.native_options();
    assert!(!asked.is_empty(), "{line}");
    let answer = bench.succeed(&question(&asked)).stderr;
    let expansion = match it.driver().family {
        Family::Gcc => parse_gcc(&answer, &asked),
        Family::Clang => parse_clang(&answer, &asked),
    };
    let expansion = expansion.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&answer)));
    let expanded = it.expand_native(&expansion);
    assert_eq!(expanded.native_options(), [""; 0]);
    assert_eq!(
        expanded.where_to(),
        Placement::Distributable,
        "{line}: {:?}",
        expanded.explain()
    );
    // GCC records `--param` in another place of its list when it is given, so leave the list out.
    let unrecorded = |it: &Invocation| {
        let list = [it.args(), &["-gno-record-gcc-switches".into()]].concat();
        if it.driver().family == Family::Gcc {
            parse(&list, it.driver(), &mut |_| None)
        } else {
            it.clone()
        }
    };
    let (it, expanded) = (unrecorded(&it), unrecorded(&expanded));
    bench.succeed(it.args());
    let object = fs::read(bench.path("a.o")).unwrap();
    bench.succeed(expanded.args());
    assert!(
        fs::read(bench.path("a.o")).unwrap() == object,
        "{} {line} as {expansion:?}",
        bench.compiler
    );
    if it.driver().family == Family::Gcc || !it.debug_info() {
        let (_, remote) = bench.distributed(&it, &expanded);
        assert!(
            remote == object,
            "{} {line}: the distributed object differs",
            bench.compiler
        );
    }
}

const LINES: &[&str] = &[
    "-march=native -O2 -c a.c",
    "-march=native -g -O3 -c a.c",
    "-O3 -mtune=native -c a.c",
    "-O3 -march=x86-64-v2 -mtune=native -g -c a.c",
    "-mno-avx -march=native -O3 -ffast-math -c a.c",
    "-march=native -mno-avx2 -mtune=generic -g -O3 -ffast-math -c a.c",
    "-mtune=native -march=native -O2 -c a.c",
];

#[test]
fn gcc_native() {
    let bench = Bench::new("gcc");
    LINES.iter().for_each(|line| check(&bench, line));
}

#[test]
fn clang_native() {
    let bench = Bench::new("clang");
    LINES.iter().for_each(|line| check(&bench, line));
}
