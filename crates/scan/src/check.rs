//! Entry for fuzzing and for tests that compare scans: random programs of directives, a file system in memory, and the
//! promises that must hold for all of them.

mod memory;
mod programs;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use memory::Memory;
pub use programs::{ARGS, tree};
use programs::{Dice, HEADERS, source};

use crate::{Files, Options, Question, Request, Scan, Scanner, Toolchain};

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
