//! What the compiler itself says it reads.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::units::Unit;

/// Files that the compiler reads when it preprocesses a unit, as it spells them; `None` when it fails.
///
/// # Errors
///
/// When it cannot be run.
pub fn files_read(unit: &Unit, scratch: &Path) -> io::Result<Option<Vec<PathBuf>>> {
    let list = scratch.join("deps");
    let status = Command::new(&unit.compiler)
        .args(preprocess_args(&unit.args))
        .args(["-w", "-E", "-MD", "-MT", "x", "-o", "/dev/null", "-MF"])
        .arg(&list)
        .current_dir(&unit.cwd)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if !status.success() {
        return Ok(None);
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
pub fn files_read_kept(
    unit: &Unit,
    scratch: &Path,
    keep: Option<&Path>,
) -> io::Result<Option<Vec<PathBuf>>> {
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
    if let Ok(text) = fs::read(&path) {
        if text == b"failed" {
            return Ok(None);
        }
        let files = text.split(|&b| b == b'\n').filter(|line| !line.is_empty());
        return Ok(Some(
            files
                .map(|line| PathBuf::from(OsString::from_vec(line.to_vec())))
                .collect(),
        ));
    }
    let files = files_read(unit, scratch)?;
    let text = match &files {
        None => b"failed".to_vec(),
        Some(files) => files
            .iter()
            .flat_map(|file| file.as_os_str().as_bytes().iter().copied().chain([b'\n']))
            .collect(),
    };
    fs::write(&path, text)?;
    Ok(files)
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

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &b| {
        (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
