//! What a server runs for a client, and what it refuses with which words.

use std::ffi::{OsStr, OsString};

use cmdline::{Input, Refusal, RefusalCode, ServerCommand, server_check};

fn ask(command: &str, input: Input) -> Result<ServerCommand, Refusal> {
    let argv: Vec<OsString> = command.split_whitespace().map(OsString::from).collect();
    server_check(&argv, input)
}

fn text(argv: &[OsString]) -> String {
    argv.join(OsStr::new(" ")).into_string().unwrap()
}

fn check(command: &str, expect: &str) {
    let allowed =
        ask(command, Input::Preprocessed).unwrap_or_else(|refusal| panic!("{command}: {refusal}"));
    assert_eq!(
        text(&allowed.argv_for(OsStr::new("SRC"), OsStr::new("OUT"))),
        expect,
        "{command}"
    );
}

fn check_refused(command: &str, code: RefusalCode) {
    for input in [Input::Preprocessed, Input::Files] {
        match ask(command, input) {
            Ok(allowed) => panic!("{command} is run as {:?}", allowed.argv),
            Err(refusal) => assert_eq!(refusal.code, code, "{command}: {refusal}"),
        }
    }
}

#[test]
fn plain_compiles() {
    check(
        "gcc -O1 -c a.c -o a.o",
        "gcc -O1 -c -x cpp-output SRC -o OUT",
    );
    check(
        "gcc -c -S a.cc -oa.s",
        "gcc -c -S -x c++-cpp-output SRC -o OUT",
    );
    check("g++ -c a.c -o a.o", "g++ -c -x c++-cpp-output SRC -o OUT");
    check(
        "gcc -x c++ -c a.c -o a.o",
        "gcc -c -x c++-cpp-output SRC -o OUT",
    );
    check(
        "gcc -DX -Iinc -iquote q --sysroot=/x -Wl,-x -lm -c a.c -o a.o",
        "gcc -c -x cpp-output SRC -o OUT",
    );
    check(
        "gcc -flto -v -c a.c -o a.o",
        "gcc -flto -v -c -x cpp-output SRC -o OUT",
    );
    check(
        "clang -target t -fdebug-compilation-dir=/x -c a.c -o a.o",
        "clang -target t -fdebug-compilation-dir=/x -c -x cpp-output SRC -o OUT",
    );
    assert!(
        ask("gcc -S a.c -o a.s", Input::Preprocessed)
            .unwrap()
            .assembler_text
    );
}

#[test]
fn files_keep_the_preprocessor_words() {
    let command = "gcc -DX -I/inc -I inc -include /a.h -isystem /s -MD -MF x.d -MT t -MP -g -c /src/b.c -o b.o";
    let allowed = ask(command, Input::Files).unwrap();
    assert_eq!(
        text(&allowed.argv_for(OsStr::new("SRC"), OsStr::new("OUT"))),
        "gcc -DX -I/inc -I inc -include /a.h -isystem /s -g -c SRC -o OUT"
    );
    assert_eq!(
        text(&allowed.dependency_argv(OsStr::new("D"))),
        "-MD -MF D -MP -MT t"
    );
    let moved = allowed.with_paths(&mut |path| {
        let path = path.to_str().unwrap();
        if path.starts_with('/') {
            format!("/root{path}").into()
        } else {
            path.into()
        }
    });
    assert_eq!(
        text(&moved.argv),
        "gcc -DX -I/root/inc -I inc -include /root/a.h -isystem /root/s -g -c /src/b.c -o b.o"
    );
    let plain = ask("gcc -c b.c -o b.o", Input::Files).unwrap();
    assert_eq!(
        text(&plain.dependency_argv(OsStr::new("D"))),
        "-MMD -MF D -MQ b.o"
    );
    let expanded = ask(
        "gcc -Wp,-MMD,k.d,-I/inc -Xpreprocessor -DX -c b.c -o b.o",
        Input::Files,
    )
    .unwrap();
    assert_eq!(text(&expanded.argv), "gcc -I/inc -DX -c b.c -o b.o");
    assert_eq!(
        (
            expanded.paths.len(),
            expanded.dependency.unwrap().system_headers
        ),
        (1, false)
    );
}

#[test]
fn dangerous_options_are_refused() {
    for option in [
        "-wrapper sh,-c,id",
        "-specs=f",
        "--specs=f",
        "-specs f",
        "--specs f",
        "-fplugin=f.so",
        "-fplugin-arg-a-b",
        "-B/x",
        "-B x",
        "--prefix=/x",
        "-iplugindir=x",
        "-Xclang -load -Xclang f",
        "-Xclang -plugin -Xclang f",
        "-Xclang -add-plugin -Xclang f",
        "-fpass-plugin=f",
        "--config f",
        "--config=f",
        "-ccc-gcc-name f",
        "-ccc-install-dir f",
        "-mllvm -load=f",
        "-resource-dir f",
        "--wrapper f",
        "-Xclang -mllvm -Xclang -load=f",
    ] {
        check_refused(
            &format!("gcc {option} -c a.c -o a.o"),
            RefusalCode::Dangerous,
        );
    }
}

#[test]
fn further_files_are_refused() {
    for option in [
        "-gsplit-dwarf",
        "-save-temps",
        "-fstack-usage",
        "-fdump-tree-all=/x",
        "-dumpdir /x",
        "-dumpbase x",
        "-aux-info /x",
        "-Wa,-al=/x",
        "-Xassembler -al=/x",
        "-Wa,-I,/x",
        "--coverage",
        "-fprofile-arcs",
        "-fprofile-use=/x",
        "-MJ x",
        "-fopt-info=/x",
        "--serialize-diagnostics x",
        "-ftime-trace",
        "-fsave-optimization-record",
    ] {
        check_refused(
            &format!("gcc {option} -c a.c -o a.o"),
            RefusalCode::ExtraOutput,
        );
    }
    for option in [
        "@f",
        "-fsanitize-ignorelist=/x",
        "-include-pch /x",
        "-fmodule-file=x",
        "-ivfsoverlay x",
        "-fnew=/etc/x",
    ] {
        check_refused(
            &format!("gcc {option} -c a.c -o a.o"),
            RefusalCode::ServerFile,
        );
    }
    for option in ["-MD", "-MF x", "-MMD", "-Wp,-MD,x"] {
        let refusal = ask(&format!("gcc {option} -c a.c -o a.o"), Input::Preprocessed).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::ExtraOutput, "{option}");
    }
    for option in ["-march=native", "-mtune=native", "-mcpu=native"] {
        check_refused(&format!("gcc {option} -c a.c -o a.o"), RefusalCode::Native);
    }
}

#[test]
fn only_one_compile_is_run() {
    for command in [
        "gcc",
        "gcc a.c -o a",
        "gcc -E a.c -o a.i",
        "gcc -c a.c",
        "gcc -c -o a.o",
        "gcc -c a.c b.c -o a.o",
        "gcc -c a.c b.o -o a.o",
        "gcc -c a.c -o a.o -o b.o",
        "gcc -c - -o a.o",
        "gcc -c a.c -o -",
        "gcc -M -c a.c -o a.o",
        "gcc --version",
        "gcc -c a.s -o a.o",
        "gcc -x assembler -c a.c -o a.o",
        "gcc -c a.h -o a.gch",
        "gcc -c a.c -o",
        "gcc -### -c a.c -o a.o",
        "gcc -c -- a.c -o a.o",
        "gcc -target -wrapper -c a.c -o a.o",
    ] {
        check_refused(command, RefusalCode::NotOneCompile);
    }
}

#[test]
fn refusals_say_what_to_do() {
    let refusal = ask("gcc -gsplit-dwarf -c a.c -o a.o", Input::Preprocessed).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "refused `-gsplit-dwarf`: it writes a file that would never reach the client; compile this file locally"
    );
    let refusal = ask("gcc a.c", Input::Preprocessed).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "refused this command: a server only compiles exactly one source with -c or -S into one file named by -o"
    );
    for code in RefusalCode::ALL {
        assert!(
            code.code()
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'-')
        );
    }
}
