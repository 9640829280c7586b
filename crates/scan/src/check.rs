//! Entry for fuzzing and for tests that compare scans: random programs of directives, a file system in memory, and the
//! promises that must hold for all of them.

mod memory;
mod programs;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use memory::Memory;
pub use programs::{ARGS, tree};
use programs::{Dice, HEADERS, OPERANDS, source};

use crate::{Files, Options, Question, Request, Scan, Scanner, Toolchain, ToolchainId};

/// Compilers of the programs: what they say their macros are.
const COMPILERS: [&[u8]; 4] = [
    b"#define __STDC_VERSION__ 201710L\n#define __STDC_HOSTED__ 1\n",
    b"#define __STDC_VERSION__ 199901L\n#define __STDC_HOSTED__ 1\n#define __STRICT_ANSI__ 1\n",
    b"#define __cplusplus 201703L\n#define __STDC_HOSTED__ 1\n",
    b"#define __STDC_VERSION__ 201710L\n#define __clang__ 1\n",
];

/// One compile of a program.
#[derive(Debug, Clone, Copy)]
struct Compile {
    /// Number of the compiler.
    compiler: usize,
    /// Where headers are looked for, if it is not as in [`ARGS`].
    path: Option<&'static [&'static str]>,
    /// Options besides.
    more: &'static [&'static str],
}

/// A compile with the search path of all.
const fn plain(compiler: usize, more: &'static [&'static str]) -> Compile {
    let path = None;
    Compile {
        compiler,
        path,
        more,
    }
}

/// A compile with a search path of its own.
const fn elsewhere(compiler: usize, path: &'static [&'static str]) -> Compile {
    Compile {
        compiler,
        path: Some(path),
        more: &["main.c"],
    }
}

/// Compiles of a program, alone and after each other.
const COMPILES: [Compile; 16] = [
    plain(0, &["main.c"]),
    plain(0, &["-DA=1", "main.c"]),
    plain(0, &["other.c"]),
    plain(1, &["main.c"]),
    plain(2, &["-x", "c++", "main.c"]),
    plain(3, &["main.c"]),
    // Another directory in front, behind, and in between.
    elsewhere(0, &["-Id0/sub", "-Id0", "-iquote", "d1", "-isystem", "d2"]),
    elsewhere(
        0,
        &[
            "-Id0",
            "-iquote",
            "d1",
            "-isystem",
            "d2",
            "-idirafter",
            "d0/sub",
        ],
    ),
    elsewhere(0, &["-Id0", "-Id0/sub", "-iquote", "d1", "-isystem", "d2"]),
    // The same directories in other places, for quoted names only, and both.
    elsewhere(0, &["-Id0", "-Id1", "-Id2"]),
    elsewhere(0, &["-Id1", "-Id2", "-Id0"]),
    elsewhere(0, &["-iquote", "d0", "-iquote", "d1", "-Id2"]),
    elsewhere(
        0,
        &["-iquote", "d0", "-iquote", "d1", "-Id0", "-Id1", "-Id2"],
    ),
    elsewhere(
        0,
        &["-iquote", "d1", "-iquote", "d0/sub", "-Id0/sub", "-Id2"],
    ),
    elsewhere(3, &["-Id0", "-Id0/sub", "-iquote", "d1", "-isystem", "d2"]),
    elsewhere(2, &["-Id0/sub", "-Id0", "-iquote", "d1", "-isystem", "d2"]),
];

/// A scanner that knows the compilers, and their answers to questions if they have any.
fn scanner(answers: &[(Question, u64)]) -> (Scanner, Vec<ToolchainId>) {
    let built_ins =
        b"@ \"__has_include\"\n@ \"__has_include_next\"\n@ \"__has_builtin\"\n@ \"__FILE__\"\n";
    let search = b"#include <...> search starts here:\n /usr/include\nEnd of search list.\n";
    let mut scanner = Scanner::new();
    scanner.remember_every_visit();
    let mut learned = Vec::new();
    for macros in COMPILERS {
        let toolchain =
            Toolchain::new(macros, built_ins, search).expect("the output of a compiler");
        let id = scanner.learn(toolchain);
        // Compilers differ in what they answer.
        let other = |(question, answer): &(Question, u64)| (question.clone(), answer ^ 1);
        match learned.len() {
            1 => scanner.answer(id, &answers.iter().map(other).collect::<Vec<_>>()),
            _ => scanner.answer(id, answers),
        }
        learned.push(id);
    }
    (scanner, learned)
}

/// Finds the files of a program in memory.
fn scan(
    (scanner, toolchains): &mut (Scanner, Vec<ToolchainId>),
    memory: &mut Memory,
    compile: Compile,
) -> Scan {
    let Compile {
        compiler,
        path,
        more,
    } = compile;
    let all = ARGS.iter().filter(|&&word| word != "main.c");
    let args: Vec<OsString> = match path {
        None => all.chain(more).map(OsString::from).collect(),
        Some(path) => path.iter().chain(more).map(OsString::from).collect(),
    };
    let options = Options::parse(&args);
    let request = Request {
        toolchain: toolchains[compiler],
        options: &options,
        cwd: Path::new("/w"),
        cpath: &[],
        language_path: &[],
    };
    scanner.scan(memory, &request)
}

fn same(a: &Scan, b: &Scan) {
    assert_eq!(a.files, b.files);
    let lists = |it: &Scan| {
        (
            it.probed.clone(),
            it.missing_dirs.clone(),
            it.doubts.clone(),
        )
    };
    assert_eq!(lists(a), lists(b));
    assert_eq!(
        (&a.unknown, &a.questions, a.dates),
        (&b.unknown, &b.questions, b.dates)
    );
    let steps = |it: &Scan| (it.work.includes, it.work.directives);
    assert_eq!(steps(a), steps(b));
}

/// What was remembered while a program was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Remembered {
    /// Answers that were those of earlier scans.
    pub scans: u32,
    /// Headers whose effect was that of an earlier visit.
    pub visits: u32,
}

/// The fuzz entry of this crate: a random program and random changes of it.
///
/// # Panics
/// When a promise is broken: scanning never panics and always ends; a scan that remembers others gives the same
/// answer as a fresh one, whatever was changed in between; an answer with unknown conditions holds every file of the
/// answers in which they are known.
pub fn program(data: &[u8]) -> Remembered {
    let (program, mut changes) = data.split_at(data.len() * 3 / 4);
    let mut memory = Memory::default();
    for (path, content) in tree(program) {
        memory.write(&Path::new("/w").join(path), &content);
    }
    let mut dice = Dice { data: changes };
    let other = source(&mut dice, None);
    memory.write(Path::new("/w/other.c"), other.as_bytes());
    // Where everything is known, headers can be remembered; where it is not, groups are joined.
    let answers = match dice.roll(3) {
        0 => vec![],
        more => all_answers(more as u64 - 1),
    };
    let mut old = scanner(&answers);
    let mut remembered = Remembered::default();
    for round in 0..4 {
        for compile in COMPILES {
            let again = scan(&mut old, &mut memory, compile);
            let fresh = scan(&mut scanner(&answers), &mut memory, compile);
            same(&again, &fresh);
            remembered.scans += u32::from(again.work.replayed);
            remembered.visits += again.work.visits_replayed;
        }
        let unknown = scan(&mut old, &mut memory, COMPILES[0]);
        for answer in [0, 1] {
            includes_the_known(&unknown, &mut memory, answer);
        }
        if round < 3 {
            let (these, rest) = changes.split_at(changes.len() / 2);
            change(&mut Dice { data: these }, &mut memory);
            changes = rest;
        }
    }
    remembered
}

/// The same answer to every question that programs ask.
fn all_answers(answer: u64) -> Vec<(Question, u64)> {
    let question = |operand: &&str| Question {
        operator: "__has_builtin".to_owned(),
        operand: (*operand).to_owned(),
    };
    OPERANDS.iter().map(|it| (question(it), answer)).collect()
}

fn includes_the_known(unknown: &Scan, memory: &mut Memory, answer: u64) {
    if unknown.questions.is_empty() || !unknown.is_certain() {
        return;
    }
    let known = scan(&mut scanner(&all_answers(answer)), memory, COMPILES[0]);
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
    let dir = dice.of(&["d2", "d0", "d1", "missing", "d0/sub"]);
    let path = PathBuf::from(format!("/w/{dir}/h{header}.h"));
    let main = Path::new("/w/main.c");
    match dice.roll(8) {
        0 => memory.remove(&path),
        1 => {
            let text = source(dice, None);
            memory.write(main, text.as_bytes());
        }
        2 => edit(memory, main, |content| {
            content.extend_from_slice(b"\nint more;\n")
        }),
        3 => memory.write(Path::new("/w/d0/sub/h.h"), b"\n"),
        // No directive changes, but lines do.
        4 => edit(memory, &path, |content| {
            drop(content.splice(0..0, *b"int more;\n"))
        }),
        5 => edit(memory, &path, |_| {}),
        6 => edit(memory, main, |content| {
            drop(content.splice(0..0, *b"#define MORE\n"))
        }),
        _ => {
            let text = source(dice, Some(header));
            memory.write(&path, text.as_bytes());
        }
    }
}

/// Writes a file again, if there is one.
fn edit(memory: &mut Memory, path: &Path, how: impl FnOnce(&mut Vec<u8>)) {
    if let Some(mut content) = memory.read(path, 0) {
        how(&mut content);
        memory.write(path, &content);
    }
}

/// Bytes as a source file.
///
/// # Panics
/// When a promise is broken: no panic, and the same answer twice.
pub fn bytes(data: &[u8]) {
    let mut memory = Memory::default();
    memory.write(Path::new("/w/main.c"), data);
    let mut scanner = scanner(&[]);
    let first = scan(&mut scanner, &mut memory, COMPILES[0]);
    same(&first, &scan(&mut scanner, &mut memory, COMPILES[0]));
}
