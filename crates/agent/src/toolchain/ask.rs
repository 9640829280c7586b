//! Asking a compiler which programs it would run.
//!
//! The compiler is called exactly as the compile will call it (name, options that matter, environment, directory), but
//! with `-v -###`, which makes both families print what they would do and do nothing.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use cmdline::{Driver, Family, Language};

use super::answer::{self, Answer};
use super::call::Compiler;
use super::why::NoToolchain;
use super::words::Words;
use super::{Call, Sources};
use crate::inquiry;
use crate::scanning::NOT_IN_QUESTIONS;

/// Makes a shim that is called in a compiler's place give up instead of asking this agent, which waits for the answer.
const SAFEGUARD: (&str, &str) = ("_DISTCC_SAFEGUARD", "1");

/// Languages whose programs GCC is asked for besides C; it may have been built without any of them.
const MORE_LANGUAGES: &[&str] = &["c++", "objective-c", "objective-c++"];

/// What Clang is asked for: one program for all languages, but with other headers.
const CLANG_LANGUAGES: &[&str] = &["c", "assembler-with-cpp", "c++"];

/// Asks for the language of the compile, or for every one that the compiler knows.
///
/// # Errors
/// It does not answer, or is of no known family.
pub(super) fn ask(
    call: &Call<'_>,
    compiler: &Compiler,
    words: &Words,
) -> Result<Answer, NoToolchain> {
    let ask = |languages: &[&str]| ask_about(call, compiler, words, languages);
    if looks_like_clang(compiler)
        && let Ok(answer) = ask(CLANG_LANGUAGES)
        && answer.family == Family::Clang
    {
        return Ok(answer);
    }
    let mut answer = ask(&first_question(call.sources))?;
    match (answer.family, call.sources) {
        // One program for all languages, but other headers.
        (Family::Clang, Sources::Of(Language::Cxx)) => {
            answer.merge(ask(&["c", "assembler-with-cpp"])?)
        }
        (Family::Clang, _) => answer.merge(ask(&["c++"])?),
        (Family::Gcc, Sources::Any) => {
            let more = MORE_LANGUAGES.iter().filter_map(|name| ask(&[name]).ok());
            more.for_each(|more| answer.merge(more));
        }
        (Family::Gcc, _) => {}
    }
    Ok(answer)
}

/// Whether its name promises Clang, which can be asked about all languages at once. GCC must not be: where a language is
/// not installed it would name a program that is not there.
fn looks_like_clang(compiler: &Compiler) -> bool {
    let real = fs::canonicalize(&compiler.path).unwrap_or_default();
    Driver::guess(&[&compiler.argv0, real.as_os_str()]).family == Family::Clang
}

/// What a compiler is asked first, in the words of `-x`.
fn first_question(sources: Sources) -> Vec<&'static str> {
    match sources {
        Sources::Any | Sources::Assembler | Sources::Of(Language::C) => {
            vec!["c", "assembler-with-cpp"]
        }
        Sources::Of(language) => vec![language.name()],
    }
}

fn ask_about(
    call: &Call<'_>,
    compiler: &Compiler,
    words: &Words,
    languages: &[&str],
) -> Result<Answer, NoToolchain> {
    let mut command = command(call, compiler, words);
    // With split debug information a further program takes part.
    command.args(["-v", "-###", "-c", "-gsplit-dwarf"]);
    for language in languages {
        command.args(["-x", language, "/dev/null"]);
    }
    let output = inquiry::ask(&mut command, b"")
        .map_err(|error| NoToolchain::unreadable(&compiler.path, error))?;
    if !output.status.success() {
        return Err(NoToolchain::NoAnswer {
            compiler: compiler.path.clone(),
            said: last_error(&output.stderr),
        });
    }
    answer::read(&output.stderr).ok_or_else(|| NoToolchain::Unknown {
        compiler: compiler.path.clone(),
    })
}

/// Where GCC looks for headers by itself, for those languages that it knows. Some of these directories have to exist
/// even for a source without headers, for there is one that GCC includes on its own.
pub(super) fn header_dirs(call: &Call<'_>, compiler: &Compiler, words: &Words) -> Vec<PathBuf> {
    let languages = match call.sources {
        Sources::Any => vec!["c", "c++"],
        Sources::Assembler => vec!["assembler-with-cpp"],
        Sources::Of(language) => vec![language.name()],
    };
    let mut dirs = Vec::new();
    for language in languages {
        let mut command = command(call, compiler, words);
        command.args(["-v", "-E", "-x", language, "/dev/null"]);
        let output = inquiry::ask(&mut command, b"");
        dirs.extend(
            output
                .map(|output| answer::header_dirs(&output.stderr))
                .unwrap_or_default(),
        );
    }
    dirs
}

/// Where GCC has its own plugins.
///
/// # Errors
/// It does not say.
pub(super) fn plugin_dir(
    call: &Call<'_>,
    compiler: &Compiler,
    words: &Words,
) -> Result<PathBuf, NoToolchain> {
    let mut command = command(call, compiler, words);
    command.arg("-print-file-name=plugin");
    let output = inquiry::ask(&mut command, b"")
        .map_err(|error| NoToolchain::unreadable(&compiler.path, error))?;
    let path = OsStr::from_bytes(output.stdout.trim_ascii());
    if !path.as_bytes().contains(&b'/') {
        return Err(NoToolchain::NoAnswer {
            compiler: compiler.path.clone(),
            said: "it has no directory for plugins".to_owned(),
        });
    }
    Ok(call.cwd.join(path))
}

/// The compiler as the compile calls it, but in English.
fn command(call: &Call<'_>, compiler: &Compiler, words: &Words) -> Command {
    let wanted = |name: &OsStr| !NOT_IN_QUESTIONS.iter().any(|known| name == *known);
    let env = call.env.iter().filter(|(name, _)| wanted(name));
    let mut command = Command::new(&compiler.path);
    command
        .arg0(&compiler.argv0)
        .args(&words.told)
        .current_dir(call.cwd)
        .env_clear()
        .envs(env.map(|(name, value)| (name, value)))
        .env_remove("LANGUAGE")
        .env("LC_ALL", "C")
        .env(SAFEGUARD.0, SAFEGUARD.1);
    command
}

/// A compile of `call`, by the compiler that the toolchain is of and not by a wrapper around it.
///
/// # Errors
/// There is none.
pub(super) fn compile(call: &Call<'_>) -> Result<Command, NoToolchain> {
    let compiler = super::call::find(call)?;
    let mut command = Command::new(&compiler.path);
    command
        .arg0(&compiler.argv0)
        .args(call.args)
        .current_dir(call.cwd)
        .env_clear()
        .envs(call.env.iter().map(|(name, value)| (name, value)))
        .env(SAFEGUARD.0, SAFEGUARD.1);
    Ok(command)
}

/// The line of a failed answer that says why.
fn last_error(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().find(|line| line.contains("error:"));
    line.or_else(|| text.lines().next_back())
        .unwrap_or("")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    /// An answer without names of temporary files, in an order of its own.
    fn normal(mut answer: Answer) -> Answer {
        let is_lasting = |word: &OsString| !word.to_string_lossy().contains("/null-");
        for command in &mut answer.commands {
            command.retain(is_lasting);
        }
        answer.commands.sort();
        answer.commands.dedup();
        answer
    }

    #[test]
    fn clang_says_of_all_languages_what_it_says_of_each() {
        let path = std::env::var_os("PATH").unwrap_or_default();
        for name in ["clang-14", "clang++-14"] {
            let Some((found, _)) = crate::compilers::find_real(&path, OsStr::new(name)) else {
                eprintln!("skipped: no {name}");
                continue;
            };
            for options in ["", "-m32 -fno-integrated-as", "--target=aarch64-linux-gnu"] {
                let args: Vec<_> = options.split_whitespace().map(OsString::from).collect();
                let call = Call {
                    compiler: OsStr::new(name),
                    compiler_path: &found,
                    args: &args,
                    cwd: std::path::Path::new("/"),
                    env: &[("PATH".into(), path.clone())],
                    sources: Sources::Any,
                };
                let compiler = crate::toolchain::call::find(&call).unwrap();
                assert!(looks_like_clang(&compiler));
                let words = Words::of(&args);
                let ask = |languages: &[&str]| ask_about(&call, &compiler, &words, languages);
                let mut each = ask(&first_question(Sources::Any)).unwrap();
                each.merge(ask(&["c++"]).unwrap());
                let all = ask(CLANG_LANGUAGES).unwrap();
                assert_eq!(normal(all), normal(each), "{name} {options}");
            }
        }
    }
}
