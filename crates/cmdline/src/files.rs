//! The command for a server that gets the files themselves and preprocesses (protocol 3).
//!
//! A stock server puts the files below a directory of its own, goes there, and moves absolute paths below it for the
//! options that it knows. Whatever else names an absolute path cannot be sent to it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::derive::not_a_response_file;
use crate::invocation::{Invocation, Mode};
use crate::lang::stock_source;
use crate::name::Family;
use crate::stock_scan::stumbles;
use crate::table::{Dep, Effect, find};
use crate::words::{Item, What};

/// Options whose absolute paths a stock server moves. Sorted.
const MOVED: &[&str] = &[
    "-I",
    "-idirafter",
    "-imacros",
    "-include",
    "-iprefix",
    "-iquote",
    "-isystem",
    "-iwithprefix",
    "-iwithprefixbefore",
];

/// Options that choose other directories for the system's headers, which a server would look for at its own place.
/// Sorted.
const OTHER_SYSTEM: &[&str] = &[
    "--gcc-install-dir=",
    "--gcc-toolchain=",
    "--sysroot",
    "--sysroot=",
    "-F",
    "-gcc-toolchain",
    "-gcc-toolchain=",
    "-ibuiltininc",
    "-iframework",
    "-iframeworkwithsysroot",
    "-imultilib",
    "-isysroot",
    "-iwithsysroot",
];

/// A compile for a server that preprocesses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesCommand {
    /// The words after the compiler's name.
    pub argv: Vec<OsString>,
    /// Directories and files that options name for the preprocessor, as they are written.
    pub paths: Vec<OsString>,
}

impl Invocation {
    /// The command for a server that gets source and headers, with `cwd` as in [`Invocation::server_argv`]. Only
    /// meaningful for distributable invocations without native options.
    ///
    /// # Errors
    /// The word that a stock server would misunderstand.
    pub fn files_command(&self, cwd: &OsStr) -> Result<FilesCommand, OsString> {
        let mut command = FilesCommand {
            argv: Vec::with_capacity(self.args.len() + 6),
            paths: Vec::new(),
        };
        for item in &self.items {
            self.files_words(item, &mut command)?;
        }
        let argv = &mut command.argv;
        if self.outputs_given.is_empty()
            && let Some(output) = &self.output
        {
            argv.extend(["-o".into(), not_a_response_file(output)]);
        }
        // A server takes the target of the dependency file away before it looks at the rest.
        if let Err(at) = stumbles(argv) {
            return Err(at.map_or_else(OsString::new, |at| argv[at].clone()));
        }
        if let Some(dependency) = &self.dependency {
            let write = if dependency.system_headers {
                "-MD"
            } else {
                "-MMD"
            };
            argv.push(write.into());
            if dependency.phony {
                argv.push("-MP".into());
            }
            // One is enough for the server; the client puts in what the compiler would.
            if let Some(target) = dependency.targets.first() {
                argv.extend(["-MT".into(), target.name.clone()]);
            }
        }
        let says_directory = |word: &OsString| {
            let word = word.as_bytes();
            word.starts_with(b"-fdebug-compilation-dir")
                || word.starts_with(b"-ffile-compilation-dir")
        };
        if self.driver.family == Family::Clang
            && self.debug_info
            && !self.args.iter().any(says_directory)
        {
            argv.push(OsString::from_vec(
                [b"-fdebug-compilation-dir=", cwd.as_bytes()].concat(),
            ));
        }
        Ok(command)
    }

    /// Adds what a server gets of one item.
    fn files_words(&self, item: &Item, command: &mut FilesCommand) -> Result<(), OsString> {
        let words = item.slice(&self.args);
        let value = item.value(&self.args);
        match item.effect(Some(self.driver.family)) {
            Some(Effect::Dep(Dep::Missing)) => return Err(words[0].clone()),
            Some(Effect::Dep(_)) => return Ok(()),
            Some(Effect::Linker) if self.driver.family == Family::Gcc => return Ok(()),
            Some(Effect::CppWords) if self.only_dependencies() => return Ok(()),
            Some(Effect::CppWords) => return Err(words[0].clone()),
            // Stock servers only know the short spellings.
            Some(Effect::Mode(Mode::Compile)) => {
                command.argv.push("-c".into());
                return Ok(());
            }
            Some(Effect::Mode(Mode::AssembleText)) => {
                command.argv.push("-S".into());
                return Ok(());
            }
            Some(Effect::Output) => {
                command.argv.extend(["-o".into(), value.to_os_string()]);
                return Ok(());
            }
            Some(Effect::CppPath) => {
                let What::Known { row, .. } = item.what else {
                    return Err(words[0].clone());
                };
                let moved = MOVED.binary_search(&row.name).is_ok();
                if OTHER_SYSTEM.binary_search(&row.name).is_ok()
                    || (!moved && value.as_bytes().starts_with(b"/"))
                {
                    return Err(words[0].clone());
                }
                command.paths.push(value.to_os_string());
            }
            None if item.what == What::Operand && !stock_source(&words[0]) => {
                return Err(words[0].clone());
            }
            _ => {}
        }
        command.argv.extend_from_slice(words);
        Ok(())
    }

    /// Whether the words for the preprocessor proper only ask for the dependency file.
    fn only_dependencies(&self) -> bool {
        let mut words = self.asked.inner.iter();
        while let Some(word) = words.next() {
            let effect = find(word.as_bytes()).map(|(row, _)| row.effect);
            match (effect, word.as_bytes()) {
                (Some(Effect::Dep(_)), b"-MP") => {}
                (Some(Effect::Dep(_)), b"-MD" | b"-MMD" | b"-MF" | b"-MT" | b"-MQ") => {
                    words.next();
                }
                _ => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Driver, parse};

    fn command(line: &str) -> Result<String, String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let driver = Driver::guess(&[&words[0]]);
        let it = parse(&words[1..], driver, &mut |_| None);
        let text = |word: &OsString| word.to_string_lossy().into_owned();
        it.files_command(OsStr::new("/src"))
            .map(|command| command.argv.iter().map(text).collect::<Vec<_>>().join(" "))
            .map_err(|word| text(&word))
    }

    fn check(line: &str, expect: &str) {
        assert_eq!(command(line), Ok(expect.to_owned()), "{line}");
    }

    #[test]
    fn tables_are_sorted() {
        assert!(MOVED.is_sorted() && OTHER_SYSTEM.is_sorted());
    }

    #[test]
    fn the_preprocessors_options_stay_and_the_dependency_file_is_asked_for_in_one_way() {
        check(
            "gcc -DX -Iinc -MD -MF d/a.d -MP -c a.c -o o/a.o",
            "-DX -Iinc -c a.c -o o/a.o -MD -MP -MT o/a.o",
        );
        check(
            "gcc -Wp,-MMD,a.d -O2 -c a.c",
            "-O2 -c a.c -o a.o -MMD -MT a.o",
        );
        check(
            "gcc -include x.h -isystem /opt/i -c a.c -o a.o",
            "-include x.h -isystem /opt/i -c a.c -o a.o",
        );
        check(
            "clang -g -c a.c -o a.o",
            "-g -c a.c -o a.o -fdebug-compilation-dir=/src",
        );
    }

    #[test]
    fn what_a_stock_server_would_misunderstand_is_named() {
        for (line, word) in [
            ("gcc --sysroot=/x -c a.c -o a.o", "--sysroot=/x"),
            ("gcc -Wp,-DX -c a.c -o a.o", "-Wp,-DX"),
            (
                "gcc --include-directory=/x -c a.c -o a.o",
                "--include-directory=/x",
            ),
            ("gcc -c -x c a.inc -o a.o", "a.inc"),
        ] {
            assert_eq!(command(line), Err(word.to_owned()), "{line}");
        }
    }
}
