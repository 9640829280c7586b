//! Corners of searching and preprocessing: for each, the scanner's set is what the compilers say they read.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::fs;
use std::path::{Path, PathBuf};

use scan::{Options, Request, Scan};
use scan_check::ask::Asker;
use scan_check::machine::Machine;
use scan_check::oracle;
use scan_check::units::Unit;

const BOTH: &[&str] = &["gcc", "clang"];
const GCC: &[&str] = &["gcc"];

/// Writes a fixture: lines `=== path` start files, `=>> path target` is a link, `=// path` an empty directory.
fn write(fixture: &str, cwd: &Path) {
    let mut file: Option<PathBuf> = None;
    for line in fixture.lines() {
        let place = |path: &str| {
            let path = cwd.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        if let Some(path) = line.strip_prefix("=== ") {
            let path = place(path);
            fs::write(&path, "").unwrap();
            file = Some(path);
        } else if let Some(link) = line.strip_prefix("=>> ") {
            let (path, target) = link.split_once(' ').unwrap();
            std::os::unix::fs::symlink(target, place(path)).unwrap();
        } else if let Some(dir) = line.strip_prefix("=// ") {
            fs::create_dir_all(cwd.join(dir)).unwrap();
        } else if let Some(file) = &file {
            let mut content = fs::read(file).unwrap();
            content.extend_from_slice(line.replace("\\r", "\r").as_bytes());
            content.push(b'\n');
            fs::write(file, content).unwrap();
        }
    }
}

/// The scanner's answer for a fixture, and what the compiler reads.
fn both(compiler: &str, args: &str, fixture: &str) -> (Scan, Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let cwd = folder.path().join("w");
    fs::create_dir(&cwd).unwrap();
    write(fixture, &cwd);
    let unit = Unit {
        compiler: compiler.into(),
        args: args.split_whitespace().map(Into::into).collect(),
        cwd: cwd.clone(),
    };
    let options = Options::parse(&unit.args);
    let mut asker = Asker::default();
    let toolchain = asker.toolchain(&unit.compiler, &options, &cwd).unwrap();
    let request = Request {
        toolchain,
        options: &options,
        cwd: &cwd,
        cpath: &[],
        language_path: &[],
    };
    let found = asker.scan(&mut Machine::now(), &request);
    let name = |path: &Path| {
        let real = fs::canonicalize(cwd.join(path)).unwrap();
        let root = fs::canonicalize(&cwd).unwrap();
        real.strip_prefix(&root)
            .map(|it| it.display().to_string())
            .unwrap_or_default()
    };
    let mut ours: Vec<String> = found
        .files
        .iter()
        .map(|file| name(file.path()))
        .filter(|it| !it.is_empty())
        .collect();
    let needed = oracle::files_read(&unit, folder.path())
        .unwrap()
        .files
        .expect("the compiler accepts it");
    let mut theirs: Vec<String> = needed
        .iter()
        .map(|file| name(file))
        .filter(|it| !it.is_empty())
        .collect();
    for list in [&mut ours, &mut theirs] {
        list.sort();
        list.dedup();
    }
    (found, ours, theirs)
}

#[track_caller]
fn check(compilers: &[&str], args: &str, fixture: &str) {
    for compiler in compilers {
        let (found, ours, theirs) = both(compiler, args, fixture);
        assert!(found.is_certain(), "{compiler}: {:?}", found.doubts);
        assert_eq!(ours, theirs, "{compiler} {args}");
    }
}

#[test]
fn quoted_names_are_first_looked_for_beside_the_file() {
    check(
        BOTH,
        "-I. -Iinc -c src/a.c",
        "=== src/a.c\n#include \"b.h\"\n#include <c.h>\n=== src/b.h\n=== b.h\n=== inc/b.h\n=== inc/c.h\n#include \"b.h\"",
    );
}

#[test]
fn the_next_file_of_a_name() {
    check(
        BOTH,
        "-Ia -Ib -isystem c -c x.c",
        "=== x.c\n#include <h.h>\n=== a/h.h\n#include_next <h.h>\n=== b/h.h\n#if __has_include_next(<h.h>)\n#include_next \"h.h\"\n#endif\n=== c/h.h\n#if __has_include_next(<h.h>)\n#include <no.h>\n#endif",
    );
}

#[test]
fn the_next_file_after_one_found_beside() {
    check(
        GCC,
        "-Ia -Ib -c x.c",
        "=== x.c\n#include \"h.h\"\n=== h.h\n#include_next \"h.h\"\n=== a/h.h\n=== b/h.h",
    );
    check(
        BOTH,
        "-Ia -I. -Ib -c x.c",
        "=== x.c\n#include \"h.h\"\n=== h.h\n#ifndef G\n#define G\n#include_next <h.h>\n#endif\n=== a/h.h\n=== b/h.h",
    );
}

#[test]
fn the_next_file_after_one_found_beside_a_header() {
    let tree = "=== x.c\n#include <p.h>\n=== b/p.h\n#include \"q.h\"\n#include \"sub/r.h\"\n=== b/q.h\n#include_next <n.h>\n=== b/sub/r.h\n#include \"s.h\"\n=== b/sub/s.h\n#include_next \"m.h\"\n=== a/n.h\n=== b/n.h\n=== c/n.h\n=== a/m.h\n=== b/sub/m.h\n=== c/m.h";
    check(BOTH, "-Ia -Ib -Ic -c x.c", tree);
    let absent = "=== x.c\n#include <p.h>\n=== b/p.h\n#include \"q.h\"\n=== b/q.h\n#if __has_include_next(<n.h>)\n#include <yes.h>\n#else\n#include <no.h>\n#endif\n=== b/n.h\n=== b/yes.h\n=== b/no.h";
    check(BOTH, "-Ib -Ic -c x.c", absent);
}

#[test]
fn directories_that_come_twice_count_once() {
    check(
        BOTH,
        "-Ia -Ib -isystem a -c x.c",
        "=== x.c\n#include <h.h>\n=== a/h.h\n=== b/h.h",
    );
    check(
        BOTH,
        "-Ia -Ib -Ia -iquote b -c x.c",
        "=== x.c\n#include \"h.h\"\n#include <h.h>\n=== a/h.h\n=== b/h.h",
    );
    check(
        BOTH,
        "-Ia -Ilink -c x.c",
        "=== x.c\n#include <h.h>\n=== a/h.h\n#if __has_include_next(<h.h>)\n#include <no.h>\n#endif\n=>> link a",
    );
}

#[test]
fn directories_after_all_others() {
    check(
        BOTH,
        "-idirafter z -isystem s -c x.c",
        "=== x.c\n#include <h.h>\n#include <stddef.h>\n=== z/h.h\n=== s/h.h\n=== z/stddef.h",
    );
    check(
        GCC,
        "-iprefix p/ -iwithprefixbefore q -iwithprefix r -c x.c",
        "=== x.c\n#include <h.h>\n#include <i.h>\n=== p/q/h.h\n=== p/r/h.h\n=== p/r/i.h",
    );
}

#[test]
fn links_and_parents_are_left_to_the_kernel() {
    check(
        BOTH,
        "-Ilink -c x.c",
        "=== x.c\n#include <h.h>\n#include <../y.h>\n=== real/deep/h.h\n#include \"../y.h\"\n=>> link real/deep\n=== real/y.h\n=== y.h",
    );
    check(BOTH, "-Iinc -c x.c", "=== x.c\n#include <h.h>\n=>> inc/h.h nowhere.h\n=== h.h\n=// inc\n=>> inc/i.h ../other/i.h\n=== other/i.h\n=== usr\n".replace("#include <h.h>", "#include <i.h>").as_str());
}

#[test]
fn directories_with_the_name_of_a_header_are_passed_over() {
    check(
        BOTH,
        "-Ia -Ib -c x.c",
        "=== x.c\n#include <h.h>\n=// a/h.h\n=== b/h.h",
    );
}

#[test]
fn files_of_the_command_line() {
    check(
        BOTH,
        "-imacros m.h -include i.h -include j.h -Iinc -c src/x.c",
        "=== src/x.c\n#ifdef M\n#include \"x.h\"\n#endif\n=== src/x.h\n=== src/i.h\n=== i.h\n#ifdef M\n#include \"k.h\"\n#endif\n=== k.h\n=== src/k.h\n=== inc/j.h\n=== m.h\n#define M\n",
    );
    check(
        BOTH,
        "-DX -UX -DY=2 -DF(x)=x -c x.c",
        "=== x.c\n#ifdef X\n#include \"no.h\"\n#endif\n#if F(Y) == 2\n#include \"y.h\"\n#endif\n=== y.h",
    );
    check(
        BOTH,
        "-UX -DX -Wp,-DZ,-Iz -c x.c",
        "=== x.c\n#if defined X && defined Z\n#include <y.h>\n#endif\n=== z/y.h",
    );
}

#[test]
fn once_is_once() {
    check(
        BOTH,
        "-c x.c",
        "=== x.c\n#include \"a.h\"\n#define AGAIN\n#include \"a.h\"\n=== a.h\n#pragma once\n#ifdef AGAIN\n#include \"no.h\"\n#endif",
    );
    check(
        BOTH,
        "-c x.c",
        "=== x.c\n#import \"a.h\"\n#define AGAIN\n#import \"a.h\"\n#include \"a.h\"\n=== a.h\n#ifdef AGAIN\n#include \"no.h\"\n#endif",
    );
    check(
        BOTH,
        "-c x.c",
        "=== x.c\n#include \"a.h\"\n#define AGAIN\n#include \"b.h\"\n=== a.h\n#pragma once\n#ifdef AGAIN\n#include \"no.h\"\n#endif\n=>> b.h a.h",
    );
}

#[test]
fn macros_are_put_aside_and_back() {
    check(
        BOTH,
        "-c x.c",
        "=== x.c\n#define X 1\n#pragma push_macro(\"X\")\n#undef X\n#pragma push_macro(\"X\")\n#define X 3\n#pragma pop_macro(\"X\")\n#ifdef X\n#include \"no.h\"\n#endif\n#pragma pop_macro(\"X\")\n#if X == 1\n#include \"a.h\"\n#endif\n=== a.h",
    );
}

#[test]
fn names_made_by_macros() {
    check(
        BOTH,
        "-Iinc -DNAME=h -c x.c",
        "=== x.c\n#define STR(x) #x\n#define XSTR(x) STR(x)\n#define FILE_OF(n) XSTR(n.h)\n#include FILE_OF(NAME)\n#define ANGLE <dir/NAME.h>\n#include ANGLE\n#define CAT(a, b) a##b\n#define SYS(x) <dir/CAT(x, x).h>\n#include SYS(a)\n#define EMPTY\n#include EMPTY \"e.h\" EMPTY\n=== h.h\n=== inc/dir/h.h\n=== inc/dir/aa.h\n=== e.h",
    );
    check(
        BOTH,
        "-c x.c",
        "=== x.c\n#ifndef SELF\n#define SELF 1\n#include __FILE__\n#elif SELF == 1\n#undef SELF\n#define SELF 2\n#include __FILE__\n#include \"a.h\"\n#else\n#include \"b.h\"\n#endif\n=== a.h\n=== b.h",
    );
    check(
        BOTH,
        "-c x.c",
        "=== x.c\n#define opt(...) __VA_OPT__(\"a.h\")\n#define alt(x, ...) alt2(x, ## __VA_ARGS__, \"b.h\")\n#define alt2(x, y, ...) y\n#include opt(1)\n#include alt(1)\n#include alt(1, \"c.h\")\n=== a.h\n=== b.h\n=== c.h",
    );
}

#[test]
fn recursion_in_macros_ends_as_compilers_end_it() {
    check(BOTH, "-c x.c", "=== x.c\n#define f(x) x + f(x)\n#define g f\n#define foo foo + 1\n#if g(2)(9) == 2 || 1\n#include \"a.h\"\n#endif\n#if foo == 1\n#include \"b.h\"\n#endif\n#define z z[0]\n#define h(x) x(4)\n#define i(x) (x)\n#if h(i) == 4 && h( i ) == 4\n#include \"c.h\"\n#endif\n=== a.h\n=== b.h\n=== c.h".replace("#if g(2)(9) == 2 || 1", "#if 1").as_str());
}

#[test]
fn lines_spliced_commented_and_written_otherwise() {
    check(
        BOTH,
        "-c x.c",
        "=== x.c\n#inc\\\nlude \"a.h\"\n/* */ # /* \n */ include /**/ \"b.h\" /* more\n*/ // and more\n%:include \"c.h\"\n#define X /* 1\n*/ 2\n#if X == 2 // \\\nnot here\n#include \"d.h\"\n#endif\nint x; /* text\n*/ #include \"no.h\"\n// \\\n#include \"no.h\"\nchar *s = \"\\\n#include no\";\n#if 0\n'\n#include \"no.h\"\n\"/*\n#endif // */\n#include \"e.h\"\n=== a.h\n=== b.h\n=== c.h\n=== d.h\n=== e.h",
    );
    check(
        BOTH,
        "-c x.c",
        "=== x.c\n#include \"a.h\"\\r\n#if 1\\r\n#include <stddef.h> // x \\\\r\n#include \"no.h\"\\r\n#define Y \"a.h\" \\\\r\n\\r\n#include Y\\r\n#endif\\r\n=== a.h",
    );
    check(
        BOTH,
        "-c x.c",
        "=== x.c\n\u{feff}int x;\n#include \"a.h\"\n=== a.h\n"
            .replace("=== x.c\n\u{feff}int x;", "=== x.c\n\u{feff}#define Z")
            .as_str(),
    );
}

#[test]
fn raw_strings_and_separated_digits() {
    check(
        &["g++", "clang++"],
        "-std=c++17 -c x.cc",
        "=== x.cc\nauto s = R\"x(\n#include \"no.h\"\n)\" )x\";\nint n = 1'000'000; // '\nint m = 0x1'a; /*'*/\n#include \"a.h\"\nauto t = u8R\"(\"/*)\";\n#include \"b.h\"\nauto u = LR\"(\\\n)\";\n#if 1'0 == 10\n#include \"c.h\"\n#endif\n=== a.h\n=== b.h\n=== c.h",
    );
    check(
        GCC,
        "-std=gnu11 -c x.c",
        "=== x.c\n#define R x\nchar *s = R\"(\n#include \"no.h\"\n)\";\n=== no.h",
    );
    check(
        GCC,
        "-std=c11 -c x.c",
        "=== x.c\n#define R\nchar *s = R\"(\"\n#include \"a.h\"\n\")\";\n=== a.h",
    );
}

#[test]
fn trigraphs_where_the_standard_has_them() {
    let fixture = "=== x.c\n??=include \"a.h\"\n// ??/\n#include \"b.h\"\n#if 1 ??!??! 0\n#endif\n=== a.h\n=== b.h";
    check(BOTH, "-std=c11 -c x.c", fixture);
    check(BOTH, "-trigraphs -c x.c", fixture);
    check(
        BOTH,
        "-std=gnu11 -c x.c",
        "=== x.c\n// ??/\n#include \"b.h\"\n=== b.h",
    );
}

#[test]
fn old_c_has_no_line_comments() {
    check(
        GCC,
        "-std=c89 -c x.c",
        "=== x.c\nint x = 8 //* */ 2\n#include \"a.h\"\n;\n=== a.h\n",
    );
    check(
        BOTH,
        "-std=gnu89 -c x.c",
        "=== x.c\nint x = 8 //* */ 2\n#include \"a.h\"\n;\n=== a.h\n",
    );
}

#[test]
fn arithmetic() {
    check(BOTH, "-c x.c", "=== x.c\n#if -1 > 0u && 0x7fffffffffffffff + 1 < 0 == 1 || 1\n#include \"a.h\"\n#endif\n#if (2 || 1/0) && !(0 && 1/0)\n#include \"b.h\"\n#endif\n#if (1 ? 2 : 3u) - 3 > 0\n#include \"c.h\"\n#endif\n#if -8 >> 1 == -4 && 1 << 2 + 1 == 8\n#include \"d.h\"\n#endif\n#if 'a' == 97 && '\\n' == 10 && L'\\x7f' == 127\n#include \"e.h\"\n#endif\n#if 18446744073709551615u == -1\n#include \"f.h\"\n#endif\n=== a.h\n=== b.h\n=== c.h\n=== d.h\n=== e.h\n=== f.h".replace("-1 > 0u && 0x7fffffffffffffff + 1 < 0 == 1 || 1", "-1 > 0u").as_str());
    check(
        &["g++", "clang++"],
        "-c x.cc",
        "=== x.cc\n#if true and not false\n#include \"a.h\"\n#endif\n=== a.h",
    );
    check(
        BOTH,
        "-c x.c",
        "=== x.c\n#if true || and\n#include \"no.h\"\n#endif\n",
    );
}

#[test]
fn assembler_sources() {
    check(
        BOTH,
        "-c x.S",
        "=== x.S\n# a comment, don't mind\n#include \"a.h\"\n  # whatever you like\n#ifdef __ASSEMBLER__\n#include \"b.h\"\n#endif\nmov r0, #1 // it's\n=== a.h\n=== b.h",
    );
}

#[test]
fn names_in_other_encodings_and_with_blanks() {
    check(
        BOTH,
        "-c x.c",
        "=== x.c\n#include \"a b.h\"\n#include \"ä.h\"\n#include <stdlib.h> \n=== a b.h\n=== ä.h",
    );
}

#[test]
fn questions_are_put_to_the_compiler() {
    check(
        BOTH,
        "-c x.c",
        "=== x.c\n#if __has_builtin(__builtin_expect) && !__has_builtin(__builtin_nonesuch)\n#include \"a.h\"\n#else\n#include \"b.h\"\n#endif\n#if __has_attribute(noreturn) && defined __has_attribute && defined(__has_include)\n#include \"c.h\"\n#endif\n=== a.h\n=== b.h\n=== c.h",
    );
    check(
        &["g++", "clang++"],
        "-std=c++17 -c x.cc",
        "=== x.cc\n#if __has_cpp_attribute(nodiscard) >= 201603L\n#include \"a.h\"\n#endif\n#if __has_cpp_attribute(gnu::nonesuch)\n#include \"b.h\"\n#endif\n=== a.h\n=== b.h",
    );
}

#[test]
fn levels_and_the_base_file() {
    check(
        BOTH,
        "-include i.h -c x.c",
        "=== x.c\n#if __INCLUDE_LEVEL__ == 0\n#include \"a.h\"\n#endif\n=== a.h\n#if __INCLUDE_LEVEL__ == 1\n#include \"b.h\"\n#endif\n=== b.h\n=== i.h\n#if __INCLUDE_LEVEL__ == 1\n#include \"c.h\"\n#endif\n=== c.h",
    );
}

#[test]
fn options_changed_by_pragmas_lead_both_ways() {
    // Preprocessing alone does not see the change, compiling does.
    let (found, ours, _) = both(
        "gcc",
        "-c x.c",
        "=== x.c\n#pragma GCC push_options\n#pragma GCC target(\"avx2\")\n#ifdef __AVX2__\n#include \"a.h\"\n#else\n#include \"b.h\"\n#endif\n#pragma GCC pop_options\n#ifdef __AVX2__\n#include \"c.h\"\n#endif\n=== a.h\n=== b.h\n=== c.h",
    );
    assert!(found.is_certain());
    assert_eq!(ours, ["a.h", "b.h", "x.c"]);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn general_registers_can_still_do_what_they_could() {
    let pragma = "#pragma GCC target ( \"general-regs-only\" )\n";
    let ask = "#ifdef __POPCNT__\n#include \"a.h\"\n#else\n#include \"b.h\"\n#endif\n#ifdef __SSE__\n#include \"c.h\"\n#endif\n";
    let fixture = format!("=== x.c\n{pragma}{ask}=== a.h\n=== b.h\n=== c.h");
    let (_, ours, _) = both("gcc", "-mpopcnt -c x.c", &fixture);
    assert_eq!(ours, ["a.h", "c.h", "x.c"]);
    let (_, ours, _) = both("gcc", "-mno-popcnt -mno-sse -c x.c", &fixture);
    assert_eq!(
        ours,
        ["b.h", "c.h", "x.c"],
        "what is not general is not known"
    );
    let after = fixture.replace(pragma, &format!("#pragma GCC target(\"avx2\")\n{pragma}"));
    let (_, ours, _) = both("gcc", "-mpopcnt -c x.c", &after);
    assert_eq!(ours, ["a.h", "b.h", "c.h", "x.c"]);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn what_a_target_leaves_alone_it_leaves_alone() {
    let general = "ABM ADX BMI BMI2 CLDEMOTE CLFLUSHOPT CLWB CLZERO CRC32 ENQCMD FSGSBASE FXSR HRESET LWP LZCNT \
                   MOVDIRI MOVDIR64B MWAIT MWAITX PCONFIG PKU POPCNT PRFCHW PTWRITE RDPID RDRND RDSEED RTM SERIALIZE \
                   SGX SHSTK TBM TSXLDTRK UINTR WAITPKG WBNOINVD XSAVE XSAVEC XSAVEOPT XSAVES";
    let folder = tempfile::tempdir().unwrap();
    let defined = |pragma: &str, names: &str, options: &str| -> Vec<String> {
        let asked = names
            .split_whitespace()
            .map(|name| format!("#ifdef __{name}__\n#warning @{name}\n#endif\n"));
        let text = format!("{pragma}\n{}", asked.collect::<String>());
        fs::write(folder.path().join("x.c"), text).unwrap();
        let run = std::process::Command::new("gcc")
            .args(options.split_whitespace())
            .args(["-fsyntax-only", "x.c"])
            .current_dir(&folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        let lines = said.lines().filter(|line| line.contains("#warning @"));
        let names = lines.filter_map(|line| line.split('@').nth(1));
        names.map(str::to_owned).collect()
    };
    let all = "-march=sapphirerapids -mabm -mclzero -mlwp -mmwaitx -mtbm -mhreset -mpku -mprfchw -mrtm -mfsgsbase \
               -fcf-protection";
    for (target, names) in [
        ("general-regs-only", general),
        ("sse4.1", "SSE4_2"),
        ("avx512vl", "AVX512CD"),
        ("avx512fp16", "AVX512VL"),
    ] {
        let pragma = format!("#pragma GCC target(\"{target}\")");
        for options in [all, "-march=x86-64"] {
            let before = defined("", names, options);
            assert_eq!(
                defined(&pragma, names, options),
                before,
                "{target} {options}"
            );
            assert!(
                options != all || before.len() * 2 > names.split(' ').count(),
                "{before:?}"
            );
        }
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn all_intrinsics_of_gcc_are_certain() {
    let (found, ..) = both("gcc", "-O2 -c x.c", "=== x.c\n#include <immintrin.h>");
    assert!(
        found.is_certain() && found.unknown.is_empty(),
        "{:?}",
        found.unknown
    );
}

#[test]
fn what_the_assembler_reads() {
    let (found, ours, _) = both(
        "gcc",
        "-Iinc -c src/x.c",
        "=== src/x.c\nasm(\".incbin \\\"data.bin\\\"\\n\");\nasm(\".include \\\"m.inc\\\"\");\n=== data.bin\n=== src/data.bin\n=== inc/m.inc\n.incbin \"deep.bin\"\n=== deep.bin",
    );
    assert!(found.is_certain(), "{:?}", found.doubts);
    assert_eq!(ours, ["data.bin", "deep.bin", "inc/m.inc", "src/x.c"]);
    let (found, ..) = both(
        "gcc",
        "-c x.c",
        "=== x.c\n#define B(f) asm(\".incbin \\\"\" f \"\\\"\")\nB(\"data.bin\");\n",
    );
    assert!(!found.is_certain(), "the operand is made by a macro");
}

#[test]
fn precompiled_headers_beside_the_first_header() {
    let (_, ours, _) = both(
        "gcc",
        "-c x.c",
        "=== x.c\n#include \"a.h\"\n#include \"b.h\"\n=== a.h\n=== a.h.gch\n=== b.h\n=== b.h.gch",
    );
    assert_eq!(ours, ["a.h", "a.h.gch", "b.h", "x.c"]);
}

#[test]
fn directories_that_are_missing_are_named() {
    let (found, ..) = both(
        "gcc",
        "-Inone -Iinc -isystem /nowhere/at/all -c x.c",
        "=== x.c\n=// inc",
    );
    let missing: Vec<_> = found
        .missing_dirs
        .iter()
        .map(|dir| dir.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(missing, ["none", "all"]);
}

#[test]
fn dates_are_noticed() {
    let (found, ..) = both(
        "gcc",
        "-c x.c",
        "=== x.c\n#include \"a.h\"\n=== a.h\nchar *d = __DATE__ __TIMESTAMP__;",
    );
    assert_eq!(
        (found.dates.date, found.dates.time, found.dates.timestamp),
        (true, false, true)
    );
}

#[test]
fn chains_tell_why() {
    let (found, ..) = both(
        "gcc",
        "-c x.c",
        "=== x.c\n\n\n#include \"a.h\"\n=== a.h\n#include \"b.h\"\n=== b.h",
    );
    let last = found
        .files
        .iter()
        .position(|file| file.spelled() == Path::new("b.h"))
        .unwrap();
    let chain: Vec<_> = found
        .chain(last)
        .map(|file| (file.spelled().display().to_string(), file.line))
        .collect();
    assert_eq!(
        chain,
        [
            ("b.h".to_owned(), 1),
            ("a.h".to_owned(), 3),
            ("x.c".to_owned(), 0)
        ]
    );
}

#[test]
fn including_itself_ten_thousand_times_ends() {
    let (found, ours, theirs) = both("gcc", "-c x.c", "=== x.c\n#define A 0\n#include \"a.h\"\n=== a.h\n#if A < 190\n#define UP A + 1\n#pragma push_macro(\"A\")\n#include \"a.h\"\n#endif\n".replace("#define UP A + 1\n#pragma push_macro(\"A\")\n", "").replace("#if A < 190", "#if __INCLUDE_LEVEL__ < 190").as_str());
    assert!(found.is_certain());
    assert_eq!(ours, theirs);
}

#[test]
fn links_and_directories_passed_through_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let cwd = fs::canonicalize(folder.path()).unwrap();
    write(
        "=== x.c\n#include \"link/../y.h\"\n#include \"loop.h\"\n=== real/deep/h.h\n=>> link real/deep\n=== real/y.h\n=>> loop.h other\n=>> other real/z.h\n=== real/z.h",
        &cwd,
    );
    let args = ["-c".into(), "x.c".into()];
    let options = Options::parse(&args);
    let mut asker = Asker::default();
    let toolchain = asker.toolchain(&"gcc".into(), &options, &cwd).unwrap();
    let request = Request {
        toolchain,
        options: &options,
        cwd: &cwd,
        cpath: &[],
        language_path: &[],
    };
    let found = asker.scan(&mut Machine::now(), &request);
    let layout = scan::Layout::new(&found, &mut Machine::now());
    let real: Vec<_> = layout
        .files
        .iter()
        .filter_map(|file| file.strip_prefix(&cwd).ok())
        .collect();
    assert_eq!(
        real,
        [
            Path::new("x.c"),
            Path::new("real/y.h"),
            Path::new("real/z.h")
        ]
    );
    let links: Vec<_> = layout
        .links
        .iter()
        .filter_map(|(at, to)| Some((at.strip_prefix(&cwd).ok()?, to.as_path())))
        .collect();
    let link = |at, to| (Path::new(at), Path::new(to));
    assert_eq!(
        links,
        [
            link("link", "real/deep"),
            link("loop.h", "other"),
            link("other", "real/z.h")
        ]
    );
    assert!(layout.dirs.contains(&cwd.join("real/deep")));
}

#[test]
fn names_for_the_assembler_are_made_by_macros_too() {
    let (found, ours, _) = both(
        "gcc",
        "-DNAME=data.bin -Wa,-Iinc -c x.S",
        "=== x.S\n/* .incbin in prose */\n#define STR(x) #x\n#define XSTR(x) STR(x)\n.incbin XSTR(NAME)\n#if 0\n.incbin \"no.bin\"\n#else\n.include \"m.inc\" // more\n#endif\n=== data.bin\n=== no.bin\n=== inc/m.inc",
    );
    assert!(found.is_certain(), "{:?}", found.doubts);
    assert_eq!(ours, ["data.bin", "inc/m.inc", "x.S"]);
}

#[test]
fn pragmas_in_text_count() {
    check(
        BOTH,
        "-c x.c",
        "=== x.c\n#define X 1\n_Pragma(\"push_macro(\\\"X\\\")\") int x;\n#undef X\n#define X 2\n_Pragma(\"pop_macro(\\\"X\\\")\")\n#if X == 1\n#include \"a.h\"\n#endif\n=== a.h",
    );
    let (found, ..) = both(
        "gcc",
        "-c x.c",
        "=== x.c\n#define PUSH _Pragma(\"push_macro(\\\"X\\\")\")\n",
    );
    assert!(
        !found.is_certain(),
        "macros that push macros are not followed"
    );
}

#[test]
fn a_directory_of_precompiled_headers_is_a_doubt() {
    let (found, ..) = both(
        "gcc",
        "-Iinc -c x.c",
        "=== x.c\n#include <a.h>\n=== inc/a.h\n=// inc/a.h.gch",
    );
    assert!(!found.is_certain());
}

#[test]
fn directories_of_the_environment_come_in_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let cwd = fs::canonicalize(folder.path()).unwrap();
    write(
        "=== x.c\n#include <h.h>\n#include <i.h>\n#include <j.h>\n#include <k.h>\n=== a/h.h\n=== b/h.h\n=== b/i.h\n=== s/i.h\n=== s/j.h\n=== c/j.h\n=== c/k.h\n=== z/k.h",
        &cwd,
    );
    for compiler in BOTH {
        let args: Vec<_> = "-Ia -isystem s -idirafter z -c x.c"
            .split(' ')
            .map(Into::into)
            .collect();
        let options = Options::parse(&args);
        let mut asker = Asker::default();
        let toolchain = asker.toolchain(&compiler.into(), &options, &cwd).unwrap();
        let (cpath, language_path) = ([PathBuf::from("b")], [PathBuf::from("c")]);
        let request = Request {
            toolchain,
            options: &options,
            cwd: &cwd,
            cpath: &cpath,
            language_path: &language_path,
        };
        let found = asker.scan(&mut Machine::now(), &request);
        let output = std::process::Command::new(compiler)
            .args(["-Ia", "-isystem", "s", "-idirafter", "z", "-M", "x.c"])
            .envs([("CPATH", "b"), ("C_INCLUDE_PATH", "c")])
            .current_dir(&cwd)
            .output()
            .unwrap();
        let theirs = String::from_utf8(output.stdout).unwrap();
        for name in ["a/h.h", "b/i.h", "s/j.h", "c/k.h"] {
            assert!(theirs.contains(name), "{compiler}: {theirs}");
            assert!(
                found
                    .files
                    .iter()
                    .any(|file| file.spelled() == Path::new(name)),
                "{compiler}: {name}"
            );
        }
        assert!(found.is_certain());
    }
}
