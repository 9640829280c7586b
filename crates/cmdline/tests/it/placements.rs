//! Which command lines may leave the machine, and what is said about those that may not.

use std::ffi::{OsStr, OsString};

use cmdline::{Driver, Invocation, Language, Mode, Placement, WhyLocal, parse};

fn understand(command: &str) -> Invocation {
    let mut words = command.split_whitespace().map(OsString::from);
    let compiler = words.next().unwrap();
    let args: Vec<_> = words.collect();
    parse(
        &args,
        Driver::guess(&[compiler.as_os_str()]),
        &mut |name| match name.to_str() {
            Some("flags") => Some(b"-O2 \"-DX=a b\" @more".to_vec()),
            Some("more") => Some(b"-c a.c".to_vec()),
            _ => None,
        },
    )
}

/// `expect` is the server's command, or the reason to stay.
fn check(command: &str, expect: &str) {
    let it = understand(command);
    let found = match it.where_to() {
        Placement::Distributable => it
            .server_argv(OsStr::new("/src"))
            .join(OsStr::new(" "))
            .into_string()
            .unwrap(),
        Placement::Local(why) => format!("local: {}", why.code()),
    };
    assert_eq!(found, expect, "{command}: {:?}", it.explain());
}

#[test]
fn plain_compiles() {
    check("gcc -c a.c", "-c a.c -o a.o");
    check("gcc -O1 -c a.c -o a.o", "-O1 -c a.c -o a.o");
    check("gcc -c dir/a.c", "-c dir/a.c -o a.o");
    check("gcc -S dir/a.b.c", "-S dir/a.b.c -o a.b.s");
    check("gcc -c -S a.c", "-c -S a.c -o a.s");
    check("gcc --compile --output=x.o a.c", "-c -o x.o a.c");
    check("gcc -c a.c -oout/a.o", "-c a.c -o out/a.o");
    check("gcc -c a.c -o /dev/null", "-c a.c -o /dev/null");
    check("clang -c a.c", "-c a.c -o a.o -undef");
    check(
        "clang -g -c a.c",
        "-g -c a.c -o a.o -fdebug-compilation-dir=/src -undef",
    );
    check(
        "clang -emit-llvm -c a.c",
        "-emit-llvm -c a.c -o a.bc -undef",
    );
    check("clang -flto -c a.c", "-flto=full -c a.c -o a.o -undef");
    check("gcc -flto=auto -c a.c", "-flto=auto -c a.c -o a.o");
}

#[test]
fn preprocessor_words_are_left_out() {
    let command = "gcc -Iinc -I inc -DX -D Y=1 -UZ -include a.h -imacros b.h -iquote q -isystem s -idirafter d -nostdinc \
                   -Wp,-DA,-DB -Xpreprocessor -DC --sysroot=/x -MD -MF x.d -MT t -MP -Wall -O2 -c a.c -o a.o -lm -L. -Wl,-x";
    check(command, "-Wall -O2 -c a.c -o a.o");
    check("gcc -Wp,-MMD,x.d -c a.c", "-c a.c -o a.o");
}

#[test]
fn languages() {
    check("gcc -x c++ -c a.c", "-c -x c++-cpp-output a.c -o a.o");
    check("gcc -xc++ -c a.cc", "-c a.cc -o a.o");
    check("gcc -x c++ -x none -c a.c", "-c a.c -o a.o");
    check("gcc -c a.CPP", "-c -x c++-cpp-output a.CPP.ii -o a.o");
    check("gcc -x c -c noext", "-c -x cpp-output noext.i -o noext.o");
    check("g++ -c a.c", "-c a.c -o a.o");
    check("g++ -x c -c a.c", "-c -x cpp-output a.c -o a.o");
    check("g++ -x none -c a.c", "-c -x cpp-output a.c -o a.o");
    check("g++ -x c++ -x none -c a.c", "-c -x cpp-output a.c -o a.o");
    check("g++ -c a.c -x none", "-c a.c -o a.o");
    check("clang++ -x none -c a.c", "-c a.c -o a.o -undef");
    check("gcc -c a.ii", "-c a.ii -o a.o");
    check("gcc -c a.mm", "-c a.mm -o a.o");
    check(
        "gcc -x objective-c -c a.c",
        "-c -x objective-c-cpp-output a.c -o a.o",
    );
    assert_eq!(understand("g++ -c a.c").language(), Some(Language::Cxx));
    assert!(understand("gcc -x cpp-output -c a.c").source_is_preprocessed());
    for (command, why) in [
        ("gcc -c a.s", "assembler-source"),
        ("gcc -c a.S", "assembler-source"),
        ("gcc -x assembler-with-cpp -c a.c", "assembler-source"),
        ("gcc -c a.h", "makes-precompiled-header"),
        ("g++ a.hpp", "makes-precompiled-header"),
        ("gcc -x c-header -c a.c", "makes-precompiled-header"),
        ("gcc -fmodules-ts -x c++-header a.h", "modules"),
        ("gcc -x c++-system-header vector", "header-unit"),
        ("clang -c a.h", "clang-precompiled-header"),
        ("clang++ -c a.cppm", "modules"),
        ("clang++ --precompile a.cc", "link"),
        ("g++ -fmodules-ts -c a.cc", "modules"),
        ("clang++ -fmodule-file=x.pcm -c a.cc", "modules"),
        ("gcc -c a.f90", "language"),
        ("gcc -x go -c a.c", "language"),
        ("clang -c a.cu", "cuda"),
        ("clang -x hip -c a.c", "cuda"),
        ("clang -ObjC -c a.c", "language"),
    ] {
        check(command, &format!("local: {why}"));
    }
}

#[test]
fn what_is_no_single_compile() {
    for (command, why) in [
        ("gcc", "no-source"),
        ("gcc a.o b.o -o prog", "link"),
        ("gcc a.c", "link"),
        ("gcc -flto a.o", "link"),
        ("gcc -c", "no-source"),
        ("gcc -c a.o", "no-source"),
        ("gcc -c a.c b.c", "several-sources"),
        ("gcc -c a.c b.o", "ambiguous-option"),
        ("gcc -newoption value -c a.c", "ambiguous-option"),
        ("gcc -c a.c -newoption b.c", "several-sources"),
        ("gcc -c -x c -", "standard-input"),
        ("gcc -c -x c /dev/stdin", "standard-input"),
        ("gcc -c -x c /dev/null", "configure"),
        ("gcc -c conftest.c", "configure"),
        ("gcc -c dir/tmp.conftest.cc -o x.o", "configure"),
        ("gcc -E a.c", "preprocess"),
        ("gcc -E -c a.c", "preprocess"),
        ("gcc -M a.c", "dependencies-only"),
        ("gcc -MM -c a.c", "dependencies-only"),
        ("gcc -fsyntax-only -c a.c", "syntax-only"),
        ("gcc --version", "informational"),
        ("gcc -dumpmachine", "informational"),
        ("gcc -print-file-name=libc.a", "informational"),
        ("gcc -### -c a.c", "informational"),
        ("gcc -c a.c --help", "informational"),
        ("gcc -v -c a.c", "verbose"),
        ("gcc -c a.c -o -", "output-odd"),
        ("gcc -c a.c -o a.o -o b.o", "output-odd"),
        ("gcc -c a.c -o /dev/stdout", "output-odd"),
        ("gcc -c a.c -o", "unfinished-option"),
        ("gcc -c a.c -include", "unfinished-option"),
        ("clang -arch x86_64 -arch arm64 -c a.c", "offload"),
    ] {
        check(command, &format!("local: {why}"));
    }
}

#[test]
fn what_writes_or_reads_other_files() {
    for (option, why) in [
        ("-gsplit-dwarf", "split-dwarf"),
        ("-save-temps", "save-temps"),
        ("-save-temps=obj", "save-temps"),
        ("-fstack-usage", "stack-usage"),
        ("-fcallgraph-info=su", "stack-usage"),
        ("-ftime-trace", "time-trace"),
        ("-fdump-tree-all", "dump"),
        ("-fdump-final-insns=x", "dump"),
        ("-da", "dump"),
        ("-dumpdir x", "dump"),
        ("-MJ x.json", "special-output"),
        ("--serialize-diagnostics x", "diagnostics-file"),
        ("-fdiagnostics-format=sarif-file", "diagnostics-file"),
        ("-fopt-info-all=x", "diagnostics-file"),
        ("-aux-info x", "special-output"),
        ("-frepo", "special-output"),
        ("-fsave-optimization-record", "special-output"),
        ("-index-store-path x", "special-output"),
        ("--coverage", "coverage-data"),
        ("-ftest-coverage", "coverage-data"),
        ("-fprofile-arcs", "coverage-data"),
        ("-fprofile-generate=x", "coverage-data"),
        ("-fprofile-use", "coverage-data"),
        ("-fprofile-instr-use=x", "coverage-data"),
        ("-fauto-profile=x", "coverage-data"),
        ("-fsanitize-blacklist=x", "input-file"),
        ("-fsanitize-ignorelist=x", "input-file"),
        ("-include-pch x", "precompiled-header"),
        ("-fplugin=x.so", "compiler-plugin"),
        ("-fplugin-arg-x-y", "compiler-plugin"),
        ("-Xclang -load -Xclang x.so", "compiler-plugin"),
        ("-specs=x", "specs"),
        ("--specs=x", "specs"),
        ("-specs x", "specs"),
        ("--config x", "specs"),
        ("-B dir", "wrapper"),
        ("-Bdir", "wrapper"),
        ("-wrapper x", "wrapper"),
        ("-Wa,-al=x", "assembler-options"),
        ("-Wa,--MD,x", "assembler-options"),
        ("-Xassembler -al", "assembler-options"),
        ("-fopenmp-targets=x", "offload"),
        ("-foffload=x", "offload"),
        ("-flto", "lto"),
        ("-C", "preprocessor-output"),
        ("-P", "preprocessor-output"),
        ("-dD", "preprocessor-output"),
        ("-MD -MF -", "dependency-file-lost"),
        ("-MD -Wp,-MD,x.d", "dependency-file-lost"),
        ("-MF x.d", "no-dependency-file"),
        ("-MT x", "no-dependency-file"),
        ("-MQ x -MP", "no-dependency-file"),
        ("-MG", "no-dependency-file"),
        ("-Wp,-MD", "unfinished-option"),
        ("-Wp,-M", "preprocessor-output"),
        ("-fnew=/path", "unknown-path"),
        ("@gone", "response-file"),
        ("--param x.c", "stock-refuses"),
    ] {
        check(&format!("gcc {option} -c a.c"), &format!("local: {why}"));
    }
    check("clang -frecord-command-line -c a.c", "local: command-line");
    check(
        "clang -grecord-gcc-switches -g -c a.c",
        "local: command-line",
    );
    check("gcc -fverbose-asm -S a.c", "local: command-line");
    check("gcc -MD -c a.i", "local: dependency-file-lost");
}

#[test]
fn harmless_options_travel() {
    for option in [
        "-march=x86-64-v3",
        "-fdebug-prefix-map=/a=b",
        "-ffile-prefix-map=/a=b",
        "-frandom-seed=x",
        "-gz",
        "-g3",
        "-fopt-info-vec",
        "-fworking-directory",
        "-Wa,--noexecstack",
        "-Xassembler --noexecstack",
        "--param max-x=1",
        "-fno-new",
        "-mnew=1",
        "-dA",
        "-fuse-ld=/usr/bin/ld.gold",
        "-kunknown",
        "-pipe",
        "-fdiagnostics-format=text",
    ] {
        check(
            &format!("gcc {option} -c a.c"),
            &format!("{option} -c a.c -o a.o"),
        );
    }
}

/// Behind `-o`, stock servers would read it as the name of a response file.
#[test]
fn an_output_like_a_response_file_is_sent_as_a_path() {
    check("gcc -c ./@a.c", "-c ./@a.c -o ./@a.o");
    check("gcc -c a.c -o ./@a.o", "-c a.c -o ./@a.o");
}

#[test]
fn native_is_not_local() {
    let it = understand("gcc -march=native -O2 -mtune=native -c a.c");
    assert_eq!(it.where_to(), Placement::Distributable);
    assert_eq!(it.native_options(), ["-march=native", "-mtune=native"]);
    let expanded = it.expand_native(&["-march=znver3".into(), "-mavx".into()]);
    assert_eq!(
        expanded.args(),
        ["-march=znver3", "-mavx", "-O2", "-c", "a.c"]
    );
    assert_eq!(
        understand("clang -mcpu=native -c a.c").native_options(),
        ["-mcpu=native"]
    );
    assert_eq!(
        it.kept_local(WhyLocal::Native).where_to(),
        Placement::Local(WhyLocal::Native)
    );
}

/// All that GCC's answer can depend on, and nothing that is the argument of another option.
#[test]
fn options_of_the_machine() {
    let it = understand(
        "gcc -march=native -O2 -mno-avx -Xassembler -mx -meabi gnu -MD -o -m32 -m32 -c a.c",
    );
    let expect = ["-march=native", "-mno-avx", "-meabi", "gnu", "-m32"];
    assert_eq!(it.machine_options(), expect);
}

#[test]
fn native_beside_another_option_of_its_name() {
    let check = |line: &str, overrides, is_overridden| {
        let it = understand(line);
        assert_eq!(it.native_overrides(), overrides, "{line}");
        assert_eq!(it.native_is_overridden(), is_overridden, "{line}");
    };
    check("gcc -march=native -mtune=skylake -c a.c", false, false);
    check("gcc -march=native -march=native -c a.c", false, false);
    check("gcc -march=native -march=x86-64 -c a.c", false, true);
    check("gcc -march=x86-64 -O2 -march=native -c a.c", true, false);
    check("gcc -march=a -march=native -march=b -c a.c", true, true);
}

#[test]
fn response_files() {
    let it = understand("gcc @flags -g");
    assert_eq!(it.args(), ["-O2", "-DX=a b", "-c", "a.c", "-g"]);
    check("gcc @flags -g", "-O2 -c a.c -g -o a.o");
}

#[test]
fn facts() {
    let it = understand("gcc -g -MMD -c dir/a.c -o out/a.o");
    assert_eq!((it.mode(), it.debug_info()), (Mode::Compile, true));
    assert_eq!(
        (it.source(), it.output()),
        (Some(OsStr::new("dir/a.c")), Some(OsStr::new("out/a.o")))
    );
    let outputs: Vec<_> = it.outputs().into_iter().map(|output| output.path).collect();
    assert_eq!(outputs, ["out/a.o", "out/a.d"]);
    assert!(!it.dependency().unwrap().system_headers);
    assert!(!understand("gcc -g -g0 -c a.c").debug_info());
    assert_eq!(
        understand("gcc -c a.c -gsplit-dwarf").explain().unwrap(),
        "debug information goes to a .dwo file beside the object (`-gsplit-dwarf`)"
    );
}
