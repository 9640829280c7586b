//! What `native` is replaced by gives the very same object.

use std::ffi::{OsStr, OsString};
use std::fs;

use cmdline::native::{parse_clang, question};
use cmdline::{Family, Invocation, Placement, native_specs, parse};

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
    let question = match it.driver().family {
        Family::Gcc => native_specs::question(&it.machine_options(), None),
        Family::Clang => question(&asked),
    };
    let answer = bench.succeed(&question).stderr;
    let expansion = match it.driver().family {
        Family::Gcc => native_specs::parse(&answer),
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

const MIXED: &[&str] = &[
    "-march=native -O3 -march=x86-64 -g -c a.c",
    "-march=native -mtune=skylake -fprefetch-loop-arrays -O3 -c a.c",
    "-mtune=native -mtune=generic -march=native -O3 -c a.c",
    "-march=native -m32 -ffreestanding -O3 -c a.c",
    "-march=native -mno-avx512f -msse2avx -O3 -c a.c",
];

/// On this processor the file must make no difference at all, and that of another one must be believed.
#[test]
fn gcc_native_with_a_specs_file() {
    let bench = Bench::new("gcc");
    let strings = bench.succeed(&["-dumpspecs"]).stdout;
    assert!(native_specs::can_be_replaced(&strings));
    let specs = bench.path("native.specs");
    for line in LINES.iter().chain(MIXED) {
        let machine = bench.parse(line).machine_options();
        let ask = |specs| {
            bench
                .succeed(&native_specs::question(&machine, specs))
                .stderr
        };
        let answer = ask(None);
        assert!(native_specs::is_x86(&answer));
        let added = native_specs::parse(&answer).unwrap();
        fs::write(&specs, native_specs::file(&added)).unwrap();
        let with_file = ask(Some(specs.as_os_str()));
        assert!(native_specs::is_same(&answer, &with_file), "{line}");

        let other: Vec<OsString> = vec!["-march=bonnell".into(), "-mtune=bonnell".into()];
        fs::write(&specs, native_specs::file(&other)).unwrap();
        let with_file = ask(Some(specs.as_os_str()));
        assert!(!native_specs::is_same(&answer, &with_file), "{line}");
        assert_eq!(native_specs::parse(&with_file).unwrap(), other, "{line}");
    }
}

/// A string that asks for more than the processor is not replaced unseen.
#[test]
fn gcc_says_where_a_specs_file_does_not_fit() {
    let bench = Bench::new("gcc");
    let specs = bench.path("native.specs");
    let machine = ["-march=native", "-mandroid"].map(OsString::from);
    let answer = bench
        .succeed(&native_specs::question(&machine, None))
        .stderr;
    let added = native_specs::parse(&answer).unwrap();
    assert!(added.iter().any(|word| word == OsStr::new("-fPIC")));
    fs::write(&specs, native_specs::file(&added)).unwrap();
    let question = native_specs::question(&machine, Some(specs.as_os_str()));
    assert!(!native_specs::is_same(
        &answer,
        &bench.succeed(&question).stderr
    ));
}

#[test]
fn gcc_native() {
    let bench = Bench::new("gcc");
    LINES.iter().for_each(|line| check(&bench, line));
}

/// Of one name, the last option counts, also instead of all that `native` stands for.
#[test]
fn gcc_native_beside_others() {
    let bench = Bench::new("gcc");
    MIXED.iter().for_each(|line| check(&bench, line));
}

#[test]
fn clang_native() {
    let bench = Bench::new("clang");
    LINES.iter().for_each(|line| check(&bench, line));
}
