//! A compilation database of any build, written by standing in for its compilers.
//!
//! Problem: most build systems do not say how they compile. Way: called by the name of a compiler (through a symbolic
//! link that comes first in `PATH`), this program appends the command to the file named by [`LOG`] and runs the real
//! compiler. Where only the commands and generated headers are of interest, [`STUB`] spares nearly all of the build: a
//! compile with a word that contains that text gets an empty source, so that its object exists and is of the right
//! kind. It does not know what the build does with such objects; builds are run with `make -k`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use scan::{Language, Options};
use serde_json::{Value, json};

/// Variable that names the file to append to.
pub const LOG: &str = "SCAN_CHECK_LOG";
/// Variable with a text by which compiles that are only recorded are known.
pub const STUB: &str = "SCAN_CHECK_STUB";

/// Names under which this program is a compiler. Sorted.
pub const COMPILERS: &[&str] = &["c++", "cc", "clang", "clang++", "g++", "gcc"];

/// The compiler that this program was called as.
#[must_use]
pub fn called_as(program: &OsStr) -> Option<&'static str> {
    let name = Path::new(program).file_name()?.to_str()?;
    let index = COMPILERS.binary_search(&name).ok()?;
    Some(COMPILERS[index])
}

/// Records the command and becomes the compiler; returns only on failure.
pub fn run(name: &str, args: Vec<OsString>) -> io::Error {
    become_compiler(name, args).unwrap_or_else(|error| error)
}

fn become_compiler(name: &str, args: Vec<OsString>) -> Result<io::Error, io::Error> {
    let compiler = real(name)?;
    let options = Options::parse(&args);
    let is_compile = args.iter().any(|word| word == "-c" || word == "-S");
    // What comes from standard input is a question to the compiler, and cannot be asked again.
    let source = options.source().filter(|it| *it != "-");
    let args = match (source, is_compile) {
        (Some(source), true) => {
            note(&compiler, &args)?;
            let stub = env::var_os(STUB).filter(|text| is_meant(text, &args));
            match stub {
                Some(_) => emptied(&args, source, options.language()),
                None => args,
            }
        }
        _ => args,
    };
    Ok(Command::new(compiler).args(args).exec())
}

/// The program of this name that comes in `PATH` after this one.
fn real(name: &str) -> io::Result<PathBuf> {
    let own = env::current_exe()?;
    let path = env::var_os("PATH").unwrap_or_default();
    let is_other = |it: &PathBuf| fs::canonicalize(it).is_ok_and(|real| real != own);
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(is_other)
        .ok_or_else(|| io::Error::other(format!("no {name} in PATH but this one")))
}

fn is_meant(text: &OsStr, args: &[OsString]) -> bool {
    let contains =
        |word: &OsString| memchr::memmem::find(word.as_bytes(), text.as_bytes()).is_some();
    args.iter().any(contains)
}

/// One line of JSON, in one write so that compiles at the same time do not mix.
fn note(compiler: &Path, args: &[OsString]) -> io::Result<()> {
    let Some(log) = env::var_os(LOG) else {
        return Ok(());
    };
    let text = |word: &OsStr| {
        let word = word.to_str().map(str::to_owned);
        word.ok_or_else(|| io::Error::other("a word is not UTF-8, which JSON cannot hold"))
    };
    let mut words = vec![text(compiler.as_os_str())?];
    for arg in args {
        words.push(text(arg)?);
    }
    let directory = env::current_dir()?;
    let line = json!({ "directory": text(directory.as_os_str())?, "arguments": words });
    let mut file = File::options().append(true).create(true).open(log)?;
    file.write_all(format!("{line}\n").as_bytes())
}

/// The same command with an empty source.
fn emptied(args: &[OsString], source: &OsStr, language: Option<Language>) -> Vec<OsString> {
    let mut out: Vec<OsString> = Vec::with_capacity(args.len() + 5);
    for arg in args {
        if arg == source {
            let language = language.map_or("c", Language::option);
            out.extend(["-x".into(), language.into(), "/dev/null".into()]);
        } else {
            out.push(arg.clone());
        }
    }
    out.push("-w".into());
    if !args.iter().any(|arg| arg.as_bytes().starts_with(b"-o")) {
        let object = Path::new(source).with_extension("o");
        let object = object.file_name().unwrap_or_default();
        out.extend(["-o".into(), object.to_owned()]);
    }
    out
}

/// Makes a compilation database of what was recorded, each command once. Sources that are gone were made to ask the
/// compiler something.
///
/// # Errors
/// When the files cannot be read or written.
pub fn database(log: &Path, database: &Path) -> io::Result<usize> {
    let text = fs::read_to_string(log)?;
    let mut seen = std::collections::HashSet::new();
    let mut entries: Vec<Value> = Vec::new();
    for line in text.lines().filter(|line| seen.insert(*line)) {
        let entry = serde_json::from_str(line)?;
        if source_of(&entry).is_some_and(|source| source.exists()) {
            entries.push(entry);
        }
    }
    let count = entries.len();
    fs::write(database, Value::Array(entries).to_string())?;
    Ok(count)
}

/// The source of a command that was recorded.
fn source_of(entry: &Value) -> Option<PathBuf> {
    let words = entry.get("arguments")?.as_array()?.iter().skip(1);
    let args: Vec<OsString> = words
        .map(|it| it.as_str().map(OsString::from))
        .collect::<Option<_>>()?;
    let directory = Path::new(entry.get("directory")?.as_str()?);
    Some(directory.join(Options::parse(&args).source()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_are_known_by_name() {
        assert!(COMPILERS.is_sorted());
        assert_eq!(called_as(OsStr::new("/x/bin/g++")), Some("g++"));
        assert_eq!(called_as(OsStr::new("scan-check")), None);
    }

    #[test]
    fn sources_that_are_gone_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let [log, database_path] = ["log", "json"].map(|name| dir.path().join(name));
        fs::write(dir.path().join("a.c"), "").unwrap();
        let line = |source: &str| {
            json!({ "directory": dir.path().to_str(), "arguments": ["cc", "-c", source] })
                .to_string()
        };
        fs::write(
            &log,
            [line("a.c"), line("conftest.c"), line("a.c")].join("\n"),
        )
        .unwrap();
        assert_eq!(database(&log, &database_path).unwrap(), 1);
        assert_eq!(
            crate::units::read(&database_path).unwrap()[0].args,
            ["-c", "a.c"]
        );
    }

    #[test]
    fn an_emptied_compile_keeps_its_kind() {
        let args: Vec<OsString> = ["-m32", "-c", "a/b.S"].map(OsString::from).to_vec();
        let out = emptied(&args, OsStr::new("a/b.S"), Some(Language::AssemblerWithCpp));
        let expect = "-m32 -c -x assembler-with-cpp /dev/null -w -o b.o";
        assert_eq!(out.join(OsStr::new(" ")), expect);
    }
}
