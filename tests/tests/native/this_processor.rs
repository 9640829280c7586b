//! `-march=native` on a worker: the very bytes of a local compile, even where they tell the order of the options.

use super::{outputs, remote, remove, with_doubt, with_worker};
use e2e::workspace::Workspace;

const SOURCE: &str = "#include \"sub/part.h\"\n\
    #ifdef __AVX2__\nint avx2 = PART;\n#endif\n#ifdef __AVX512F__\nint avx512 = PART;\n#endif\n\
    float sum(const float *x, unsigned n, float *out)\n{\n  float s = 0;\n  unsigned i;\n\
    for (i = 0; i < n; i++) {\n    s += x[i];\n    out[i] = x[i] * 3 + s;\n  }\n  return s;\n}\n";

/// Command lines with the files that they write.
const LINES: &[(&str, &[&str])] = &[
    ("gcc -march=native -g -O2 -c n.c -o out/n.o", &["out/n.o"]),
    ("gcc -g -O3 -mtune=native -c n.c -o out/n.o", &["out/n.o"]),
    ("g++ -march=native -g -O3 -c n.cc -o out/n.o", &["out/n.o"]),
    (
        "gcc -O2 -flto -frandom-seed=1 -march=native -c n.c -o out/n.o",
        &["out/n.o"],
    ),
    (
        "gcc -march=native -g -gsplit-dwarf -MD -c n.c -o out/n.o",
        &["out/n.o", "out/n.dwo", "out/n.d"],
    ),
    (
        "gcc -march=native -g -O2 -save-temps=obj -c n.c -o out/n.o",
        &["out/n.o", "out/n.i", "out/n.s"],
    ),
    (
        "gcc -march=native -g -O2 -no-integrated-cpp -c n.c -o out/n.o",
        &["out/n.o"],
    ),
    ("gcc -march=native -g -c n.S -o out/n.o", &["out/n.o"]),
    ("gcc -march=native -O2 -c ready.i -o out/n.o", &["out/n.o"]),
    (
        "gcc -march=native -O2 -flto -frandom-seed=1 -c ready.i -o out/n.o",
        &["out/n.o"],
    ),
    // The whole command line is in these.
    ("gcc -march=native -O2 -fverbose-asm -S n.c", &["n.s"]),
    (
        "gcc -march=native -O2 -frecord-gcc-switches -c n.c -o out/n.o",
        &["out/n.o"],
    ),
    (
        "gcc -march=native -grecord-gcc-switches -g3 -c n.c -o out/n.o",
        &["out/n.o"],
    ),
    // Another option of the machine takes something away again, or all of it.
    (
        "gcc -mno-avx512f -march=native -g -O3 -c n.c -o out/n.o",
        &["out/n.o"],
    ),
    (
        "gcc -march=native -mtune=skylake -g -O3 -c n.c -o out/n.o",
        &["out/n.o"],
    ),
    (
        "gcc -march=native -march=x86-64 -g -O3 -c n.c -o out/n.o",
        &["out/n.o"],
    ),
    (
        "gcc -march=native -mtune=native -march=native -g -c n.c -o out/n.o",
        &["out/n.o"],
    ),
    (
        "gcc -march=native -Wp,-DOTHER=1 -g -O3 -c n.c -o out/n.o",
        &["out/n.o"],
    ),
    ("clang -g -O2 -march=native -c n.c -o out/n.o", &["out/n.o"]),
];

fn write_sources(workspace: &Workspace) {
    workspace.write("n.c", SOURCE);
    workspace.write("n.cc", SOURCE);
    workspace.write(
        "n.S",
        "#ifdef __AVX2__\n.globl x\nx: .long 2\n#else\n.long 3\n#endif\n",
    );
    workspace
        .run("gcc -march=native -E n.c -o ready.i")
        .silent_success();
}

#[test]
fn options_of_this_processor_are_recorded_as_here() {
    let (workspace, _worker) = with_worker();
    write_sources(&workspace);
    for (line, names) in LINES {
        check(&workspace, line, names);
    }
}

#[track_caller]
fn check(workspace: &Workspace, line: &str, names: &[&str]) {
    let local = workspace.run(line).success();
    let expect = outputs(workspace, names);
    assert!(expect.iter().all(|(_, bytes)| bytes.is_some()), "{line}");
    remove(workspace, names);
    remote(workspace, line);
    for ((name, ours), (_, theirs)) in expect.iter().zip(outputs(workspace, names)) {
        assert!(*ours == theirs, "{line}: {name} differs");
    }
    let quiet = workspace.distcc(line).success();
    assert_eq!(quiet.stderr, local.stderr, "{line}");
}

#[test]
fn a_text_is_compiled_for_this_processor_too() {
    let (workspace, _worker) = with_doubt();
    for line in [
        "gcc -march=native -g -O2 -c d.c -o out/d.o -DX='1' -include given.h",
        "gcc -mtune=native -march=x86-64-v3 -g -O3 -c d.c -o out/d.o -DX='1' -include given.h",
        "g++ -std=c++17 -march=native -g -O2 -c d.cc -o out/d.o -DX='1' -include given.h",
    ] {
        check(&workspace, line, &["out/d.o"]);
    }
}

/// The specs file is one of many that somebody may tidy away at any time.
#[test]
fn what_was_tidied_away_is_made_again() {
    let (workspace, _worker) = with_worker();
    write_sources(&workspace);
    let line = |number: u32| format!("gcc -march=native -g -DN={number} -c n.c -o out/n.o");
    check(&workspace, &line(1), &["out/n.o"]);
    // Not those of the worker, which trusts that nobody touches its trees.
    let found = specs_files(&workspace.root().join("distcc"));
    assert!(!found.is_empty());
    for path in found {
        std::fs::remove_file(path).unwrap();
    }
    check(&workspace, &line(2), &["out/n.o"]);
}

fn specs_files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let entry = entry.unwrap();
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            found.extend(specs_files(&path));
        } else if path.extension().is_some_and(|it| it == "specs") {
            found.push(path);
        }
    }
    found
}

/// `-march=native` behind another one counts; what it stands for would come before that, so nobody gets it.
#[test]
fn what_would_count_differently_elsewhere_stays() {
    let (workspace, worker) = with_worker();
    write_sources(&workspace);
    for line in [
        "gcc -march=x86-64 -march=native -O3 -c n.c -o out/n.o",
        "clang -march=x86-64 -march=native -O3 -c n.c -o out/n.o",
        "clang -march=native -march=x86-64 -O3 -c n.c -o out/n.o",
    ] {
        workspace.run(line).success();
        let expect = workspace.read("out/n.o");
        let outcome = super::loud(&workspace, line);
        let told = "did not say what `native` means";
        assert!(outcome.stderr.contains(told), "{outcome:#?}");
        assert!(workspace.read("out/n.o") == expect, "{line}");
    }
    assert_eq!(worker.jobs_so_far(), 0);
}
