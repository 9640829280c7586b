//! What the compiler itself says it reads.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::units::Unit;

/// What the compiler said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// Files that it reads when it preprocesses a unit, as it spells them; `None` when it fails.
    pub files: Option<Vec<PathBuf>>,
    /// CPU that it took, in milliseconds.
    pub cpu_ms: f64,
}

/// Asks the compiler for the files that a unit reads.
///
/// # Errors
///
/// When it cannot be run.
pub fn files_read(unit: &Unit, scratch: &Path) -> io::Result<Answer> {
    let before = children_ms();
    let files = preprocess(unit, scratch)?;
    let cpu_ms = children_ms() - before;
    Ok(Answer { files, cpu_ms })
}

fn preprocess(unit: &Unit, scratch: &Path) -> io::Result<Option<Vec<PathBuf>>> {
    if !unit.cwd.is_dir() {
        return Ok(None);
    }
    let list = scratch.join("deps");
    if list.exists() {
        fs::remove_file(&list)?;
    }
    let status = Command::new(&unit.compiler)
        .args(preprocess_args(&unit.args))
        .args(["-w", "-E", "-MD", "-MT", "x", "-o", "/dev/null", "-MF"])
        .arg(&list)
        .current_dir(&unit.cwd)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| {
            io::Error::other(format!(
                "cannot run {}: {error}",
                unit.compiler.to_string_lossy()
            ))
        })?;
    if !status.success() {
        return Ok(None);
    }
    if !list.exists() {
        // Nothing was preprocessed: plain assembler.
        let source = scan::Options::parse(&unit.args).source().map(PathBuf::from);
        return Ok(Some(source.into_iter().collect()));
    }
    Ok(Some(rule_files(&fs::read(&list)?)))
}

/// The command line without what decides the output.
fn preprocess_args(args: &[OsString]) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_bytes() {
            b"-o" | b"-MF" | b"-MT" | b"-MQ" | b"-MJ" => {
                words.next();
            }
            b"-c" | b"-S" | b"-M" | b"-MM" | b"-MD" | b"-MMD" | b"-MP" | b"-MG" => {}
            joined
                if joined.starts_with(b"-MF")
                    || joined.starts_with(b"-Wp,-M")
                    || joined.starts_with(b"-MT") => {}
            _ => kept.push(word.clone()),
        }
    }
    kept
}

/// Prerequisites of a rule for make.
fn rule_files(rule: &[u8]) -> Vec<PathBuf> {
    let start = rule.iter().position(|&b| b == b':').map_or(0, |at| at + 1);
    let mut files = Vec::new();
    let mut file: Vec<u8> = Vec::new();
    let mut bytes = rule[start..].iter().copied().peekable();
    let mut end = |file: &mut Vec<u8>| {
        if !file.is_empty() {
            files.push(PathBuf::from(OsStr::from_bytes(file)));
            file.clear();
        }
    };
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'\\', Some(b'\n')) => {
                bytes.next();
                end(&mut file);
            }
            (b'\\', Some(&next @ (b' ' | b'#' | b'\\'))) => {
                file.push(next);
                bytes.next();
            }
            (b'$', Some(b'$')) => {
                file.push(b'$');
                bytes.next();
            }
            (b' ' | b'\n' | b'\t', _) => end(&mut file),
            _ => file.push(byte),
        }
    }
    end(&mut file);
    files
}

/// Keeps answers in a folder, so that a tree need be preprocessed only once.
///
/// # Errors
///
/// When the compiler cannot be run or the folder not be used.
pub fn files_read_kept(unit: &Unit, scratch: &Path, keep: Option<&Path>) -> io::Result<Answer> {
    let Some(keep) = keep else {
        return files_read(unit, scratch);
    };
    let name: Vec<u8> = unit
        .args
        .iter()
        .chain([&unit.compiler])
        .flat_map(|word| word.as_bytes().iter().copied().chain([0]))
        .collect();
    let path = keep.join(format!(
        "{:016x}",
        fnv(&[name.as_slice(), unit.cwd.as_os_str().as_bytes()].concat())
    ));
    if let Some(answer) = fs::read(&path).ok().and_then(|text| read_kept(&text)) {
        return Ok(answer);
    }
    let answer = files_read(unit, scratch)?;
    fs::write(&path, kept(&answer))?;
    Ok(answer)
}

/// An answer as text: what it took, whether it is one, and the files line by line.
fn kept(answer: &Answer) -> Vec<u8> {
    let word = if answer.files.is_some() {
        "reads"
    } else {
        "fails"
    };
    let mut text = format!("{:.0} {word}\n", answer.cpu_ms).into_bytes();
    for file in answer.files.iter().flatten() {
        text.extend_from_slice(file.as_os_str().as_bytes());
        text.push(b'\n');
    }
    text
}

fn read_kept(text: &[u8]) -> Option<Answer> {
    let mut lines = text.split(|&b| b == b'\n');
    let head = std::str::from_utf8(lines.next()?).ok()?;
    let (cpu_ms, word) = head.split_once(' ')?;
    let file = |line: &[u8]| PathBuf::from(OsString::from_vec(line.to_vec()));
    let files = lines.filter(|line| !line.is_empty()).map(file).collect();
    Some(Answer {
        files: (word == "reads").then_some(files),
        cpu_ms: cpu_ms.parse().ok()?,
    })
}

/// Runs `clang-scan-deps` over all units, for comparison of its cost.
///
/// # Errors
///
/// When it cannot be run.
pub fn clang_scan_deps(program: &OsStr, units: &[Unit], scratch: &Path) -> io::Result<()> {
    let quoted = |word: &OsStr| {
        let word = word
            .to_string_lossy()
            .replace('\\', "\\\\")
            .replace('"', "\\\"");
        format!("\"{word}\"")
    };
    let mut entries = Vec::new();
    for unit in units {
        let cxx = unit.compiler.to_string_lossy().contains("++");
        let compiler: &OsStr = OsStr::new(if cxx {
            "/usr/bin/clang++"
        } else {
            "/usr/bin/clang"
        });
        let words = std::iter::once(compiler).chain(unit.args.iter().map(AsRef::as_ref));
        let words: Vec<String> = words.map(quoted).collect();
        let options = scan::Options::parse(&unit.args);
        let Some(source) = options.source() else {
            continue;
        };
        entries.push(format!(
            "{{\"directory\":{},\"file\":{},\"arguments\":[{}]}}",
            quoted(unit.cwd.as_os_str()),
            quoted(source),
            words.join(",")
        ));
    }
    let database = scratch.join("scan-deps.json");
    fs::write(&database, format!("[{}]", entries.join(",\n")))?;
    Command::new(program)
        .arg("-compilation-database")
        .arg(&database)
        .args(["-j", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    Ok(())
}

/// CPU of all finished child processes in milliseconds; counted in ticks of 10 ms, which even out over many units.
pub(crate) fn children_ms() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let field = |at: usize| {
        fields
            .get(at)
            .and_then(|it| it.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (field(13) + field(14)) * 10.0
}

/// A number for a name of a file.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &b| {
        (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_answers_are_read_again() {
        let answer = |files: Option<&[&str]>| Answer {
            files: files.map(|files| files.iter().map(PathBuf::from).collect()),
            cpu_ms: 20.0,
        };
        for it in [answer(None), answer(Some(&[])), answer(Some(&["a", "b c"]))] {
            assert_eq!(read_kept(&kept(&it)), Some(it));
        }
    }

    #[test]
    fn rules_are_read() {
        let files = rule_files(b"x: a.c inc/b\\ c.h \\\n /usr/d$$.h\n");
        assert_eq!(
            files,
            [
                Path::new("a.c"),
                Path::new("inc/b c.h"),
                Path::new("/usr/d$.h")
            ]
        );
    }
}
