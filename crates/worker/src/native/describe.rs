//! What an action is called in logs and statistics, and which earlier ones it is like.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use cmdline::{Driver, Family, Mode};
use reapi::Command;

/// Arguments that are looked at for a compile's source. Links have more, and no source.
const ARGUMENTS_MAX: usize = 4096;

/// Names for people; both are a client's word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// The program's file name.
    pub(super) program: String,
    /// The source of a compile, else the first output, by file name.
    pub(super) subject: String,
}

/// What a command is called.
pub(super) fn names(command: &Command) -> Names {
    let first = command.arguments.first().map_or("", String::as_str);
    let program = file_name(first);
    let name = OsStr::new(&program);
    let is_compiler = ["c++", "cc"].contains(&program.as_str()) || Family::of_name(name).is_some();
    let source = if is_compiler && command.arguments.len() <= ARGUMENTS_MAX {
        let words: Vec<OsString> = command.arguments[1..].iter().map(OsString::from).collect();
        let compile = cmdline::parse(&words, Driver::guess(&[name]), &mut |_| None);
        let is_one = matches!(compile.mode(), Mode::Compile | Mode::AssembleText);
        let source = compile.source().filter(|_| is_one);
        source.and_then(OsStr::to_str).map(file_name)
    } else {
        None
    };
    let subject = source.or_else(|| {
        let first = command.outputs.first()?;
        Some(file_name(&first.path))
    });
    Names {
        program,
        subject: subject.unwrap_or_default(),
    }
}

fn file_name(path: &str) -> String {
    let name = Path::new(path).file_name().and_then(OsStr::to_str);
    name.unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reapi::{OutputKind, OutputPath, RelativePath};

    fn check(line: &str, output: &str, program: &str, subject: &str) {
        let command = Command {
            arguments: line.split_whitespace().map(str::to_owned).collect(),
            outputs: vec![OutputPath {
                path: output.to_owned(),
                resolved: RelativePath::new(output).unwrap(),
                kind: OutputKind::Any,
            }],
            ..Command::default()
        };
        let expected = Names {
            program: program.to_owned(),
            subject: subject.to_owned(),
        };
        assert_eq!(names(&command), expected);
    }

    #[test]
    fn compiles_are_called_by_their_source() {
        check("/usr/bin/gcc -c src/a.c -o o/a.o", "o/a.o", "gcc", "a.c");
        check("clang++-16 -O2 -c b.cc", "b.o", "clang++-16", "b.cc");
    }

    #[test]
    fn others_are_called_by_what_they_make() {
        check("gcc a.o b.o -o bin/prog", "bin/prog", "gcc", "prog");
        check("python3 gen.py", "out/x.h", "python3", "x.h");
        check("", "x", "", "x");
    }
}
