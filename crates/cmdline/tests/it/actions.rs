//! Which files a compile writes, as told for a worker, against what the real compilers write.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::compiler::{Bench, COMPILERS, words};

/// Options that write files of their own, and some that do not.
const OPTIONS: &[&str] = &[
    "-O1",
    "-g -gsplit-dwarf",
    "-MD",
    "-MMD -MF x.dep",
    "-MD -MT t -MP",
    "-Wp,-MD,y.dep",
    "-save-temps",
    "-save-temps=obj",
    "-save-temps=cwd",
    "-fstack-usage",
    "--coverage",
    "-ftest-coverage -fprofile-arcs",
    "-ftime-trace",
    "-fsave-optimization-record",
    "-fcallgraph-info",
    "-flto",
    "-fverbose-asm -frecord-gcc-switches",
    "-serialize-diagnostics diag.dia",
    "-save-temps -gsplit-dwarf -g --coverage -fstack-usage -MD",
];

/// Sources and outputs.
const FILES: &[&str] = &[
    "-c a.c",
    "-c a.c -o sub/x.o",
    "-c a.c -o sub/x",
    "-c a.c -o sub/x.y.o",
    "-c sub/b$c.c",
    "-c p.cc -o sub/p.cc.o",
    "-c -x c noext -o n.o",
    "-S a.c -o sub/a.s",
];

/// Headers that become precompiled ones.
const HEADERS: &[&str] = &[
    "-c h.h",
    "-c sub/h.h",
    "sub/h.h -o sub/x.h.gch",
    "-x c++-header -c p.cc -o sub/p.gch",
    "sub/h.h",
];

fn files(dir: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.insert(path);
        }
    }
}

/// Clang's precompiled headers stay here, and so does one of GCC with a dependency file that is named as if of a link.
fn is_left_alone(compiler: &str, options: &str, names: &str) -> bool {
    let is_named = ["-c", "-o"].iter().any(|word| names.contains(word));
    let lists = options.contains("-MD") && !options.contains("-Wp,");
    HEADERS.contains(&names) && (compiler.starts_with("clang") || (lists && !is_named))
}

#[test]
fn every_file_that_a_compile_writes_is_told() {
    let (mut compiles, mut written) = (0, 0);
    for compiler in COMPILERS {
        for options in OPTIONS {
            for names in FILES.iter().chain(HEADERS) {
                let bench = Bench::new(compiler);
                for header in ["h.h", "sub/h.h"] {
                    bench.write(header, "static inline int h(void) { return 1; }\n");
                }
                let line: Vec<OsString> = words(&format!("{options} {names}"));
                let Ok(action) = bench.parse(&format!("{options} {names}")).action() else {
                    assert!(
                        is_left_alone(compiler, options, names),
                        "{compiler} {options} {names} stays here"
                    );
                    continue;
                };
                let mut before = BTreeSet::new();
                files(bench.dir.path(), &mut before);
                if !bench.run(&line).status.success() {
                    continue;
                }
                let mut after = BTreeSet::new();
                files(bench.dir.path(), &mut after);
                compiles += 1;
                for path in after.difference(&before) {
                    written += 1;
                    let told = action
                        .outputs
                        .iter()
                        .any(|output| bench.path(output) == *path);
                    assert!(
                        told,
                        "{compiler} {options} {names} writes {}",
                        path.display()
                    );
                }
            }
        }
    }
    // Options that a compiler does not know make some fail, not all.
    assert!(compiles > 150 && written > compiles, "{compiles} {written}");
}
