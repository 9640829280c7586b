//! Random command lines behave as the local compiler: the same exit code, the same messages, the
//! same files with the same bytes and modes, whether the compile was remote or had to stay here.
//!
//! Each line is made from a seed, so a failure can be repeated. Left out is what differs between
//! two local compiles already (times, random names), and what preprocessed text cannot carry and
//! docs/compatibility.md says so: columns of macros, `-g3`, Clang's checksums.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use e2e::programs::{self, Kind, have};
use e2e::run::{Outcome, run};
use e2e::server::Server;
use e2e::workspace::Workspace;

/// Seeds tried; another range as `FROM..TO` in this variable.
const SEEDS_VARIABLE: &str = "FARCC_TEST_SEEDS";
const SEEDS: std::ops::Range<u64> = 0..150;

/// Of so many lines at least one must be remote, or the test says little.
const LINES_PER_REMOTE_MAX: usize = 5;

/// One of these is in most lines: words split at blanks.
const COMPILERS: &[&str] = &["gcc", "gcc", "gcc", "g++", "cc", "c++", "clang", "clang++"];
const MODES: &[&str] = &[
    "-c",
    "-c",
    "-c",
    "-c",
    "-c",
    "-c",
    "-S",
    "-E",
    "",
    "-M",
    "-MM",
    "-fsyntax-only",
    "-c -S",
    "-c -E",
    "--compile",
];
const OUTPUTS: &[&str] = &[
    "",
    "",
    "-o o.o",
    "-o o.o",
    "-o out/o.o",
    "-oout/o.o",
    "-o out/x.y.o",
    "-o missing/o.o",
    "-o out",
    "-o /dev/null",
    "-o -",
    "-o hang.o",
    "-o empty.o",
    "-o",
    "-o o.o -o p.o",
    "--output=o.o",
    "-o a.c.o",
    "-o noext",
];
const DEPENDENCIES: &[&str] = &[
    "",
    "",
    "",
    "",
    "-MD",
    "-MMD",
    "-MD -MF out/d.d",
    "-MMD -MP -MF d.d",
    "-MD -MQ $q",
    "-Wp,-MD,d.d",
    "-Wp,-MMD,out/d.d",
    "-MD -MF -",
    "-MF d.d",
    "-MD -MF missing/d.d",
    "-Xpreprocessor -MD -Xpreprocessor -MF -Xpreprocessor x.d",
    "-MMD -MF",
];
const OPTIONS: &[&str] = &[
    "-O2",
    "-O3",
    "-Os",
    "-Wall",
    "-Wextra",
    "-Wall -Wextra",
    "-Werror",
    "-w",
    "-pedantic",
    "-std=c99",
    "-std=c++17",
    "-ansi",
    "-x c",
    "-xc",
    "-x c++",
    "-x none",
    "-x assembler",
    "-x nonsense",
    "-x",
    "-DX",
    "-D Y=1",
    "-DPART=7",
    "-DS=\"s\"",
    "-D",
    "-UPART",
    "-Isub",
    "-I sub",
    "-Imissing",
    "-iquote sub",
    "-isystem sub",
    "-idirafter sub",
    "-include sub/part.h",
    "-imacros part.h",
    "-include missing.h",
    "-nostdinc",
    "-undef",
    "-save-temps=obj",
    "-fstack-usage",
    "-fPIC",
    "-pg",
    "-Wa,-alh",
    "-Wa,--noexecstack",
    "-Wl,-s",
    "-lm",
    "-march=native",
    "-mtune=native",
    "-march=x86-64",
    "-mavx2",
    "-dM",
    "-dD",
    "--version",
    "-dumpversion",
    "-fverbose-asm",
    "-Wp,-DZ",
    "-Xpreprocessor -DX",
    "-Xassembler --noexecstack",
    "-wrapper env",
    "-B.",
    "@args",
    "@more",
    "@missing",
    "-P",
    "-C",
    "-fdiagnostics-color=always",
    "-fmessage-length=40",
    "-nonsense",
    "-fnonsense",
    "--nonsense",
    "-Wnonsense",
    "-Wno-nonsense",
    "-mnonsense",
    "-funsigned-char",
    "-trigraphs",
    "-ffile-prefix-map=sub=X",
    "-shared",
    "-static",
    "-r",
    "-s",
    "-pthread",
    "-fanalyzer",
    "-fopenmp",
    "-fsanitize=undefined",
    "-fplugin=none",
    "-fmax-errors=1",
    "-Wfatal-errors",
    "-specs=none",
    "-Wundef",
    "-Wunused-macros",
    "-Wmissing-include-dirs -Inope",
    "-Wimplicit-fallthrough",
    "-aux-info out/aux",
    "-G 0",
    "-T x.ld",
    "-e main",
    "--param max-inline-insns-auto=10",
    "--include=part.h",
    "-ffunction-sections",
    "-fcommon",
    "-fvisibility=hidden",
    "-D_FORTIFY_SOURCE=2",
    "-print-search-dirs",
    "-fdump-tree-original",
];
/// Sources that compile, if the options let them.
const GOOD_SOURCES: &[&str] = &[
    "a.c",
    "a.c",
    "main.c",
    "warn.c",
    "sub/in.c",
    "sub/up.c",
    "./a.c",
    "sub/../a.c",
    "pre.i",
    "pre.ii",
    "k.cc",
    "k.cpp",
    "count.c",
    "pragma.c",
    "link.c",
    "line.c",
    "empty.c",
    "with%blank.c",
    "%FF.c",
    "nonl.c",
];
/// Debug information is the same although they were preprocessed: no macro shifts a column. Clang
/// has checksums of sources there, for which it needs these.
const WITHOUT_MACROS: &[&str] = &["k.cc", "k.cpp", "with%blank.c", "%FF.c", "nonl.c"];
const ODD_SOURCES: &[&str] = &[
    "broken.c",
    "error.c",
    "no-header.c",
    "missing.c",
    "dir.c",
    "asm.s",
    "asm.S",
    "noext",
    "old.o",
    "text.txt",
    "dangling.c",
    "conftest.c",
    "/dev/null",
    "-",
    "/dev/stdin",
];
/// Clang makes outputs anew whatever was there.
///
/// Of what it says, a line of source without its comments is indented like any other line only by
/// GCC, and the language of a preprocessed source is said to a host.
const NOT_FOR_CLANG: &[&str] = &["-o hang.o", "-o empty.o", "warn.c", "pre.i"];
const VARIABLES: &[(&str, &str)] = &[
    ("CPATH", "sub"),
    ("C_INCLUDE_PATH", "sub"),
    ("DEPENDENCIES_OUTPUT", "dep.out"),
    ("SUNPRO_DEPENDENCIES", "sun.out"),
    ("SOURCE_DATE_EPOCH", "1000000000"),
    ("LC_ALL", "C.UTF-8"),
    ("GCC_EXEC_PREFIX", "/missing/"),
    ("COMPILER_PATH", "/missing"),
];
/// How messages of a driver begin.
const DRIVERS: &[&str] = &[
    "x86_64-linux-gnu-gcc: ",
    "x86_64-linux-gnu-g++: ",
    "gcc: ",
    "g++: ",
    "cc: ",
    "c++: ",
];
const MASKS: &[&str] = &["022", "022", "022", "077", "002"];
const REDIRECTIONS: &[&str] = &["", "", "", "", "2>&1", ">out.txt"];

/// What the commands find; `%FF` stands for a byte that is no text, other `%` for a blank.
const FILES: &[(&str, &str)] = &[
    (
        "a.c",
        "#include \"part.h\"\nint answer(void) { return PART; }\n",
    ),
    ("part.h", "#include \"sub/part.h\"\n"),
    (
        "sub/part.h",
        "#include <stddef.h>\n#ifndef PART\n#define PART 42\n#endif\n",
    ),
    ("sub/in.c", "#include \"part.h\"\nint in = PART;\n"),
    ("sub/up.c", "#include \"../a.c\"\n"),
    (
        "main.c",
        "#include <stdio.h>\nint main(void) { puts(__FILE__); return 0; }\n",
    ),
    (
        "warn.c",
        "static int unused;\nint f(int x) { int y; switch (x) { case 1: x = 2; /* fall through */\n\
         case 2: x++; } return x; }\n#warning said\n",
    ),
    ("broken.c", "int f(void) { return zz;\n"),
    ("error.c", "#error stop\n"),
    ("no-header.c", "#include \"nowhere.h\"\n"),
    (
        "k.cc",
        "#include <utility>\nstruct S { int a; S() : a(1) {} };\nint f() { return S().a; }\n",
    ),
    (
        "k.cpp",
        "template <class T> T id(T t) { return t; }\nint z = id(3);\n",
    ),
    ("pre.i", "int pre(int a) { return a + 1; }\n"),
    ("pre.ii", "int pre(int a) { return a + 1; }\n"),
    (
        "count.c",
        "int a = __COUNTER__, b = __COUNTER__;\n#ifdef __OPTIMIZE__\nint opt;\n#endif\n",
    ),
    (
        "pragma.c",
        "#pragma once\n#pragma weird thing\n#ident \"me\"\nint u;\n",
    ),
    (
        "line.c",
        "#line 100 \"other.c\"\nint c = __LINE__;\nconst char *f = __FILE__;\n",
    ),
    ("empty.c", ""),
    ("with%blank.c", "int blank;\n"),
    ("%FF.c", "int byte;\n"),
    ("nonl.c", "int a;"),
    ("dir.c/file", ""),
    ("asm.s", ".globl foo\nfoo: ret\n"),
    ("asm.S", "#define RET ret\n.globl foo\nfoo: RET\n"),
    ("noext", "int noext;\n"),
    ("text.txt", "text\n"),
    ("conftest.c", "int c;\n"),
    ("args", "-O1 -DARGS\n"),
    ("more", "-c a.c -o \"out/b c.o\"\n"),
    ("old.o", "an old object\n"),
    ("empty.o", ""),
    ("out/file", ""),
];
const LINKS: &[(&str, &str)] = &[
    ("link.c", "a.c"),
    ("dangling.c", "nowhere"),
    ("hang.o", "out/real.o"),
];

/// A command line and what surrounds it.
#[derive(Debug)]
struct Line {
    words: Vec<OsString>,
    variable: Option<(&'static str, &'static str)>,
    mask: &'static str,
    redirection: &'static str,
}

fn line(seed: u64) -> Line {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut pick = |of: &[&'static str]| of[random.usize(..of.len())];
    let (compiler, mask, redirection) = (pick(COMPILERS), pick(MASKS), pick(REDIRECTIONS));
    let mut parts = vec![pick(OUTPUTS), pick(DEPENDENCIES)];
    // Half of the lines are what builds are made of.
    if random.bool() {
        parts.push("-c");
        parts.push(random.choice(GOOD_SOURCES).unwrap());
    } else {
        parts.push(random.choice(MODES).unwrap());
        let odd = [GOOD_SOURCES, ODD_SOURCES].concat();
        let count = [1, 1, 1, 1, 1, 1, 0, 2][random.usize(..8)];
        parts.extend((0..count).map(|_| random.choice(&odd).unwrap()));
    }
    let count = [0, 0, 1, 1, 2, 3][random.usize(..6)];
    parts.extend((0..count).map(|_| random.choice(OPTIONS).unwrap()));
    let clang = compiler.starts_with("clang");
    if random.u8(..4) == 0 && !clang && parts.iter().any(|part| WITHOUT_MACROS.contains(part)) {
        parts.push("-g");
    }
    if clang {
        parts.retain(|part| !NOT_FOR_CLANG.contains(part));
    }
    random.shuffle(&mut parts);
    let words = [compiler].into_iter().chain(parts);
    Line {
        words: words.flat_map(str::split_whitespace).map(name).collect(),
        variable: (random.u8(..5) == 0).then(|| *random.choice(VARIABLES).unwrap()),
        mask,
        redirection,
    }
}

fn name(word: &str) -> OsString {
    let bytes: Vec<_> = match word.strip_prefix("%FF") {
        Some(rest) => [b"\xff", rest.as_bytes()].concat(),
        None => word.replace('%', " ").into_bytes(),
    };
    OsString::from_vec(bytes)
}

/// Makes `src` what it was in the beginning.
fn reset(workspace: &Workspace) {
    let src = workspace.src("");
    fs::remove_dir_all(&src).unwrap();
    for (path, text) in FILES {
        let path = src.join(name(path));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    for (link, target) in LINKS {
        symlink(target, src.join(link)).unwrap();
    }
    fs::set_permissions(src.join("empty.o"), fs::Permissions::from_mode(0o640)).unwrap();
}

/// Everything below `src`, by name: mode and contents.
fn tree(dir: &Path) -> BTreeMap<OsString, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let contents = if meta.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_vec()
            } else if meta.is_dir() {
                dirs.push(path.clone());
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            files.insert(path.into_os_string(), (meta.mode(), contents));
        }
    }
    files
}

/// Texts with a fixed name for temporary files, and without what one on preprocessed text cannot
/// have: lines of source, a single count of Clang's warnings, the driver's short name.
fn canonical(text: &str, tmp: &str) -> String {
    let mut canonical = String::new();
    let is_shown = |line: &&str| !line.starts_with(' ') && !line.ends_with(" generated.");
    for line in text.lines().filter(is_shown) {
        let named = DRIVERS.iter().find_map(|name| line.strip_prefix(name));
        let line = named.unwrap_or(line);
        // GCC leaves some in /tmp whatever TMPDIR says.
        let line = without_temporary(line, &format!("{tmp}/"));
        canonical += &without_temporary(&line, "/tmp/cc");
        canonical.push('\n');
    }
    canonical
}

/// A line with a fixed name in place of all that begin so.
fn without_temporary(line: &str, start: &str) -> String {
    let mut parts = line.split(start);
    let mut line = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_alphanumeric() && !"-_".contains(c));
        let _infallible = write!(line, "TEMPORARY{}", &part[end.unwrap_or(part.len())..]);
    }
    line
}

/// A client, or the compiler alone, on a fresh `src`.
fn execute(workspace: &Workspace, line: &Line, client: Option<&Path>) -> Outcome {
    reset(workspace);
    let mut shell = workspace.command("/bin/sh");
    let script = format!("umask {}; exec \"$@\" {}", line.mask, line.redirection);
    shell
        .args(["-c", &script, "sh"])
        .args(client)
        .args(&line.words);
    shell
        .env("DISTCC_VERBOSE", "1")
        .env("DISTCC_LOG", workspace.root().join("log"));
    shell.envs(line.variable);
    run(&mut shell)
}

/// What is wrong with one line.
fn difference(workspace: &Workspace, line: &Line) -> Option<String> {
    let tmp = workspace.tmp().display().to_string();
    let src = workspace.src("");
    let (local, local_files) = (execute(workspace, line, None), tree(&src));
    let (ours, files) = (
        execute(workspace, line, Some(&programs::distcc())),
        tree(&src),
    );
    let said = |outcome: &Outcome| {
        let texts = [&outcome.stdout, &outcome.stderr];
        texts.map(|text| canonical(text, &tmp))
    };
    if ours.code() != local.code() || said(&ours) != said(&local) {
        return Some(format!("{ours:#?} instead of {local:#?}"));
    }
    let names = || local_files.keys().chain(files.keys());
    let is_other = |name: &&OsString| match (local_files.get(*name), files.get(*name)) {
        (Some((mode, text)), Some((our_mode, our_text))) => {
            let texts = [text, our_text].map(|text| String::from_utf8_lossy(text));
            mode != our_mode || text != our_text && texts[0].replace(&tmp, "") != texts[1]
        }
        _ => true,
    };
    // Where the preprocessor ran here before the compile failed, its dependency file is there.
    let is_extra = |name: &&OsString| {
        local.code() != 0 && !local_files.contains_key(*name) && name.as_bytes().ends_with(b".d")
    };
    let mut others = names().filter(|name| is_other(name) && !is_extra(name));
    others.next().map(|name| {
        let size = |files: &BTreeMap<OsString, (u32, Vec<u8>)>| {
            let file = files.get(name);
            file.map(|(mode, text)| format!("mode {mode:o}, {} bytes", text.len()))
        };
        let (ours, local) = (size(&files), size(&local_files));
        format!("{} is {ours:?} instead of {local:?}", name.display())
    })
}

#[test]
fn random_command_lines_behave_as_the_local_compiler() {
    if !have("clang") {
        return;
    }
    let seeds = std::env::var(SEEDS_VARIABLE).ok().and_then(|range| {
        let (from, to) = range.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    let seeds = seeds.unwrap_or(SEEDS);
    let mut workspace = Workspace::new();
    let server = Server::start(&workspace, Kind::Ours);
    let hosts = [
        server.host(),
        format!("{},lzo,cpp", server.host()),
        server.native_host(),
    ];
    let mut failures = String::new();
    for seed in seeds.clone() {
        let index = usize::try_from(seed).unwrap() % hosts.len();
        workspace.set_hosts(&hosts[index]);
        let line = line(seed);
        if let Some(difference) = difference(&workspace, &line) {
            let _infallible = writeln!(failures, "seed {seed}: {line:?}\n{difference}\n");
        }
    }
    assert!(failures.is_empty(), "{failures}");
    let log = fs::read_to_string(workspace.root().join("log")).unwrap();
    let remote = log.matches("completed ok").count();
    let lines = usize::try_from(seeds.end - seeds.start).unwrap();
    assert!(
        remote * LINES_PER_REMOTE_MAX >= lines,
        "only {remote} of {lines} were remote"
    );
}
