//! Entry for fuzzing and for tests that compare scans: random programs of directives, a file system in memory, and the
//! promises that must hold for all of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::{Files, Found, Options, Question, Request, Scan, Scanner, Stamp, Toolchain};

/// Files in memory. Every change gives a new stamp, to the file and to its directory.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, (Vec<u8>, i128)>,
    dirs: BTreeMap<PathBuf, i128>,
    clock: i128,
}

impl Memory {
    /// Writes a file, new or not.
    pub fn write(&mut self, path: &Path, content: &[u8]) {
        self.clock += 1;
        if self
            .files
            .insert(path.to_path_buf(), (content.to_vec(), self.clock))
            .is_none()
        {
            self.touch_dirs(path);
        }
    }

    /// Removes a file; its directory stays.
    pub fn remove(&mut self, path: &Path) {
        self.clock += 1;
        if self.files.remove(path).is_some() {
            self.touch_dirs(path);
        }
    }

    /// Every file.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    fn touch_dirs(&mut self, path: &Path) {
        let clock = self.clock;
        let mut above = path.parent();
        // A directory that is new is a change of the one above it.
        while let Some(dir) = above {
            if self.dirs.insert(dir.to_path_buf(), clock).is_some() {
                break;
            }
            above = dir.parent();
        }
    }
}

/// A path without `.` and `..`, which can be taken away here since there are no links.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(out.pop()),
            std::path::Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

impl Files for Memory {
    fn look(&mut self, path: &Path) -> (Found, bool) {
        // `a/../b` is there only if `a` is.
        for above in path.ancestors().skip(1) {
            if !self.dirs.contains_key(&plain(above)) {
                return (Found::Absent, true);
            }
        }
        let path = plain(path);
        let number = |path: &Path| crate::hash::bytes64(path.as_os_str().as_encoded_bytes());
        if let Some((content, time)) = self.files.get(&path) {
            let size = content.len() as u64;
            let stamp = Stamp {
                dev: 1,
                ino: number(&path),
                size,
                mtime_ns: *time,
                ctime_ns: *time,
            };
            return (Found::File(stamp), true);
        }
        match self.dirs.get(&path) {
            Some(time) => {
                let stamp = Stamp {
                    dev: 1,
                    ino: number(&path),
                    size: 0,
                    mtime_ns: *time,
                    ctime_ns: *time,
                };
                (Found::Dir(stamp), true)
            }
            None => (Found::Absent, true),
        }
    }

    fn read(&mut self, path: &Path) -> Option<Vec<u8>> {
        self.files.get(&plain(path)).map(|it| it.0.clone())
    }

    fn link(&mut self, _: &Path) -> Option<Vec<u8>> {
        None
    }
}

/// Choices made by bytes; when they are used up, always the first.
#[derive(Debug)]
struct Dice<'a> {
    data: &'a [u8],
}

impl Dice<'_> {
    fn roll(&mut self, sides: usize) -> usize {
        match self.data.split_first() {
            Some((&first, rest)) => {
                self.data = rest;
                first as usize % sides
            }
            None => 0,
        }
    }

    fn of<'t>(&mut self, choices: &[&'t str]) -> &'t str {
        choices[self.roll(choices.len())]
    }
}

/// Headers of a random program, in the order in which they may include each other.
const HEADERS: usize = 8;
const DIRS: [&str; 3] = ["d0", "d1", "d2"];
const MACROS: [&str; 6] = ["A", "B", "C", "D", "E", "F"];

/// A command line for the programs of [`tree`].
pub const ARGS: &[&str] = &[
    "-Id0",
    "-iquote",
    "d1",
    "-isystem",
    "d2",
    "-Imissing",
    "-DB=2",
    "-DG(x)=x+1",
    "-c",
    "main.c",
];

/// A random program: `main.c` and headers in some directories. Every header is in the last one, so that an include
/// always finds something.
#[must_use]
pub fn tree(data: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut dice = Dice { data };
    let mut files = vec![("main.c".to_owned(), source(&mut dice, None).into_bytes())];
    for header in 0..HEADERS {
        for dir in DIRS {
            if dir == DIRS[2] || dice.roll(4) == 1 {
                files.push((
                    format!("{dir}/h{header}.h"),
                    source(&mut dice, Some(header)).into_bytes(),
                ));
            }
        }
    }
    files.push(("d2/sub/h.h".to_owned(), b"#include \"../h7.h\"\n".to_vec()));
    files
}

/// The text of one file; `header` is its number.
fn source(dice: &mut Dice<'_>, header: Option<usize>) -> String {
    let mut text = String::new();
    let guard = dice.roll(4);
    if let (Some(number), 1) = (header, guard) {
        text.push_str(&format!("#ifndef H{number}\n#define H{number}\n"));
    } else if header.is_some() && guard == 2 {
        text.push_str("#pragma once\n");
    }
    lines(dice, header.map_or(0, |number| number + 1), 3, &mut text);
    if header.is_some() && guard == 1 {
        text.push_str("#endif\n");
    }
    text
}

fn lines(dice: &mut Dice<'_>, first: usize, depth: usize, out: &mut String) {
    for _ in 0..1 + dice.roll(6) {
        let name = dice.of(&MACROS);
        let line = match dice.roll(12) {
            0 | 1 => format!("#define {name} {}\n", body(dice)),
            2 => format!("#undef {name}\n"),
            3 if depth > 0 => {
                conditional(dice, first, depth, out);
                continue;
            }
            4 if depth > 0 => {
                let word = dice.of(&["ifdef", "ifndef"]);
                out.push_str(&format!("#{word} {name}\n"));
                lines(dice, first, depth - 1, out);
                out.push_str("#else\n");
                lines(dice, first, depth - 1, out);
                "#endif\n".to_owned()
            }
            5..=8 if first < HEADERS => {
                let header = first + dice.roll(HEADERS - first);
                include(dice, header)
            }
            9 => {
                let word = dice.of(&["push_macro", "pop_macro"]);
                format!("#pragma {word}(\"{name}\")\n")
            }
            _ => text_line(dice).to_owned(),
        };
        out.push_str(&line);
    }
}

fn conditional(dice: &mut Dice<'_>, first: usize, depth: usize, out: &mut String) {
    out.push_str(&format!("#if {}\n", expression(dice, 2)));
    lines(dice, first, depth - 1, out);
    if dice.roll(2) == 1 {
        out.push_str(&format!("#elif {}\n", expression(dice, 2)));
        lines(dice, first, depth - 1, out);
    }
    if dice.roll(2) == 1 {
        out.push_str("#else\n");
        lines(dice, first, depth - 1, out);
    }
    out.push_str("#endif\n");
}

fn body(dice: &mut Dice<'_>) -> String {
    match dice.roll(5) {
        0 | 1 => dice.roll(4).to_string(),
        2 => format!("({})", dice.of(&MACROS)),
        3 => format!("G({})", dice.of(&MACROS)),
        _ => dice
            .of(&["(1 ? 2 : 3)", "-1", "(2u)", "0x10", "'a'"])
            .to_owned(),
    }
}

fn expression(dice: &mut Dice<'_>, depth: usize) -> String {
    let name = dice.of(&MACROS);
    if depth == 0 {
        return match dice.roll(7) {
            0 => dice.roll(3).to_string(),
            1 => format!("defined {name}"),
            2 => format!("!defined({name})"),
            3 => format!("G({name})"),
            4 => {
                let header = dice.of(&["\"h1.h\"", "<h2.h>", "<none.h>", "\"d0/h3.h\""]);
                format!("__has_include({header})")
            }
            5 => {
                let operand = dice.of(&["__builtin_expect", "__builtin_none", "__builtin_memcpy"]);
                format!("__has_builtin({operand})")
            }
            _ => name.to_owned(),
        };
    }
    let left = expression(dice, depth - 1);
    let right = expression(dice, depth - 1);
    match dice.roll(4) {
        0 => left,
        1 => format!("({left} && {right})"),
        2 => format!("({left} || !({right}))"),
        _ => {
            let operator = dice.of(&["==", "<", ">=", "+", "-", "*", "&", "|", "^", "<<", "!="]);
            format!("({left}) {operator} ({right})")
        }
    }
}

fn include(dice: &mut Dice<'_>, header: usize) -> String {
    match dice.roll(14) {
        0..=3 => format!("#include \"h{header}.h\"\n"),
        4..=6 => format!("#include <h{header}.h>\n"),
        7 => format!("#define I <h{header}.h>\n#include I\n#undef I\n"),
        8 => format!(
            "#define S(x) #x\n#define T(x) S(x)\n#define N h{header}.h\n#include T(N)\n#undef N\n#undef S\n#undef T\n"
        ),
        9 => format!(
            "#define P(x, y) x##y\n#define Q(x) <P(h, x).h>\n#include Q({header})\n#undef P\n#undef Q\n"
        ),
        10 => format!("  # /* comment */ inc\\\nlude /**/ \"h{header}.h\" // more\n"),
        11 => format!("%:include \"sub/../h{header}.h\"\n"),
        12 => "#include \"sub/h.h\"\n".to_owned(),
        _ => {
            format!("#if __has_include_next(<h{header}.h>)\n#include_next <h{header}.h>\n#endif\n")
        }
    }
}

fn text_line(dice: &mut Dice<'_>) -> &'static str {
    dice.of(&[
        "int x;\n",
        "/* don't */ int q = 1'000; // isn't\n",
        "/* a comment\n#include \"none.h\"\n*/ int y;\n",
        "// a comment \\\n#include \"none.h\"\n",
        "char *s = \"\\\n#include none\";\n",
        "char c = '\"';\n",
        "#if 0\nits /* a comment\n#endif */\n#include \"none.h\"\n#endif\n",
        "int z; /*\n*/ #include \"none.h\"\n",
        "int d = 1;\r\n",
        "#define M(x) #x \\\n x include\n#undef M\n",
        "#line 7 \"other.c\"\n",
        "\u{c} \t\n",
    ])
}

/// Finds the files of a program in memory.
fn scan(scanner: &mut Scanner, memory: &mut Memory, answers: &[(Question, u64)]) -> Scan {
    let macros = b"#define __STDC_VERSION__ 201710L\n#define __STDC_HOSTED__ 1\n";
    let built_ins =
        b"@ \"__has_include\"\n@ \"__has_include_next\"\n@ \"__has_builtin\"\n@ \"__FILE__\"\n";
    let search = b"#include <...> search starts here:\n /usr/include\nEnd of search list.\n";
    let toolchain = Toolchain::new(macros, built_ins, search).expect("the output of a compiler");
    let id = scanner.learn_once(toolchain);
    if !answers.is_empty() {
        scanner.answer(id, answers);
    }
    let args: Vec<OsString> = ARGS.iter().map(OsString::from).collect();
    let options = Options::parse(&args);
    let request = Request {
        toolchain: id,
        options: &options,
        cwd: Path::new("/w"),
        cpath: &[],
        language_path: &[],
    };
    scanner.scan(memory, &request)
}

fn same(a: &Scan, b: &Scan) {
    assert_eq!(a.files, b.files);
    assert_eq!(
        (&a.probed, &a.missing_dirs, &a.doubts),
        (&b.probed, &b.missing_dirs, &b.doubts)
    );
    assert_eq!(
        (&a.unknown, &a.questions, a.dates),
        (&b.unknown, &b.questions, b.dates)
    );
}

/// The fuzz entry of this crate: a random program and random changes of it.
///
/// # Panics
/// When a promise is broken: scanning never panics and always ends; a scan that remembers others gives the same
/// answer as a fresh one, whatever was changed in between; an answer with unknown conditions holds every file of the
/// answers in which they are known.
pub fn program(data: &[u8]) {
    let (program, mut changes) = data.split_at(data.len() * 3 / 4);
    let mut memory = Memory::default();
    for (path, content) in tree(program) {
        memory.write(&Path::new("/w").join(path), &content);
    }
    let mut old = Scanner::new();
    for round in 0..4 {
        let remembered = scan(&mut old, &mut memory, &[]);
        let fresh = scan(&mut Scanner::new(), &mut memory, &[]);
        same(&remembered, &fresh);
        for answer in [0, 1] {
            includes_the_known(&fresh, &mut memory, answer);
        }
        if round < 3 {
            change(
                &mut Dice {
                    data: &changes[..changes.len() / 2],
                },
                &mut memory,
            );
            changes = &changes[changes.len() / 2..];
        }
    }
}

fn includes_the_known(unknown: &Scan, memory: &mut Memory, answer: u64) {
    if unknown.questions.is_empty() || !unknown.is_certain() {
        return;
    }
    let answers: Vec<(Question, u64)> = unknown
        .questions
        .iter()
        .map(|question| (question.clone(), answer))
        .collect();
    let known = scan(&mut Scanner::new(), memory, &answers);
    for file in &known.files {
        assert!(
            unknown.files.iter().any(|it| it.path() == file.path()),
            "{} is missing",
            file.path().display()
        );
    }
}

/// Edits, adds, shadows or deletes a file.
fn change(dice: &mut Dice<'_>, memory: &mut Memory) {
    let header = dice.roll(HEADERS);
    let dir = dice.of(&["d0", "d1", "d2", "missing", "d0/sub"]);
    let path = PathBuf::from(format!("/w/{dir}/h{header}.h"));
    match dice.roll(5) {
        0 => memory.remove(&path),
        1 => {
            let text = source(dice, None);
            memory.write(Path::new("/w/main.c"), text.as_bytes());
        }
        2 => {
            // A file with another content and no directives changed.
            let main = Path::new("/w/main.c");
            let mut content = memory.read(main).unwrap_or_default();
            content.extend_from_slice(b"\nint more;\n");
            memory.write(main, &content);
        }
        3 => memory.write(Path::new("/w/d0/sub/h.h"), b"\n"),
        _ => {
            let text = source(dice, Some(header));
            memory.write(&path, text.as_bytes());
        }
    }
}

/// Bytes as a source file.
///
/// # Panics
/// When a promise is broken: no panic, and the same answer twice.
pub fn bytes(data: &[u8]) {
    let mut memory = Memory::default();
    memory.write(Path::new("/w/main.c"), data);
    let mut scanner = Scanner::new();
    let first = scan(&mut scanner, &mut memory, &[]);
    same(&first, &scan(&mut scanner, &mut memory, &[]));
}
