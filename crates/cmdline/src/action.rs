//! What a compile is for a worker: the command line as it is, on the original sources, and every file that it may
//! write.
//!
//! A worker has the compiler and the files of this machine, so most of what keeps a compile from a stock server does
//! not matter to it. What is left is what this machine alone can do or know. [`MORE`] says which of the options that
//! stay here for a stock server may go to a worker, and what they write.
//!
//! Files beside the main output have names that differ between versions of GCC and with the words around them. All
//! names that are possible are listed; a compile that does not write one of them has not failed.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::invocation::{Invocation, Mode, understand};
use crate::lang;
use crate::placement::{self, Protocol};
use crate::table::{Effect, Row};
use crate::why::WhyLocal;
use crate::words::{Item, What};

/// What an option writes beside the main output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writes {
    /// Nothing more.
    Nothing,
    /// Files beside the output, named like it or like the source, with one of these extensions.
    Beside(&'static [&'static str]),
    /// The file that is its argument.
    Argument,
    /// Beside the output, or what the argument after `=` names.
    BesideOr(&'static [&'static str]),
}

const TEMPS: &[&str] = &["i", "ii", "mi", "mii", "s", "bc"];
const RECORD: &[&str] = &["opt.yaml", "opt.bitstream", "opt-record.json.gz"];

/// Options that may go to a worker although they stay here for a stock server. Sorted by bytes.
#[rustfmt::skip]
const MORE: &[(&str, Writes)] = &[
    ("--comments",                        Writes::Nothing),
    ("--comments-in-macros",              Writes::Nothing),
    ("--coverage",                        Writes::Beside(&["gcno"])),
    ("--save-temps",                      Writes::Beside(TEMPS)),
    ("--serialize-diagnostics",           Writes::Argument),
    ("-C",                                Writes::Nothing),
    ("-CC",                               Writes::Nothing),
    ("-coverage",                         Writes::Beside(&["gcno"])),
    ("-fauto-profile",                    Writes::Nothing),
    ("-fcallgraph-info",                  Writes::Beside(&["ci"])),
    ("-fcondition-coverage",              Writes::Nothing),
    ("-fcoverage-mapping",                Writes::Nothing),
    ("-fcs-profile-generate",             Writes::Nothing),
    ("-fdebug-macro",                     Writes::Nothing),
    ("-flto",                             Writes::Nothing),
    ("-fmcdc",                            Writes::Nothing),
    ("-foptimization-record-file=",       Writes::Argument),
    ("-fpass-plugin=",                    Writes::Nothing),
    ("-fpath-coverage",                   Writes::Nothing),
    ("-fplugin",                          Writes::Nothing),
    ("-fprofile-arcs",                    Writes::Nothing),
    ("-fprofile-correction",              Writes::Nothing),
    ("-fprofile-dir=",                    Writes::Nothing),
    ("-fprofile-generate",                Writes::Nothing),
    ("-fprofile-instr-use",               Writes::Nothing),
    ("-fprofile-list=",                   Writes::Nothing),
    ("-fprofile-note=",                   Writes::Argument),
    ("-fprofile-sample-use",              Writes::Nothing),
    ("-fprofile-use",                     Writes::Nothing),
    ("-frecord-command-line",             Writes::Nothing),
    ("-frecord-gcc-switches",             Writes::Nothing),
    ("-fsanitize-blacklist=",             Writes::Nothing),
    ("-fsanitize-coverage-allowlist=",    Writes::Nothing),
    ("-fsanitize-coverage-ignorelist=",   Writes::Nothing),
    ("-fsanitize-ignorelist=",            Writes::Nothing),
    ("-fsanitize-system-ignorelist=",     Writes::Nothing),
    ("-fsave-optimization-record",        Writes::Beside(RECORD)),
    ("-fstack-usage",                     Writes::Beside(&["su"])),
    ("-ftest-coverage",                   Writes::Beside(&["gcno"])),
    ("-ftime-trace",                      Writes::BesideOr(&["json"])),
    ("-fverbose-asm",                     Writes::Nothing),
    ("-fxray-always-instrument=",         Writes::Nothing),
    ("-fxray-attr-list=",                 Writes::Nothing),
    ("-fxray-never-instrument=",          Writes::Nothing),
    ("-gembed-source",                    Writes::Nothing),
    ("-grecord-command-line",             Writes::Nothing),
    ("-grecord-gcc-switches",             Writes::Nothing),
    ("-gsplit-dwarf",                     Writes::Beside(&["dwo"])),
    ("-object-file-name=",                Writes::Nothing),
    ("-save-temps",                       Writes::Beside(TEMPS)),
    ("-serialize-diagnostics",            Writes::Argument),
];

/// Options of [`MORE`] that put the whole command line into the output. Sorted by bytes.
const RECORDING: &[&str] = &[
    "-frecord-command-line",
    "-frecord-gcc-switches",
    "-fverbose-asm",
    "-grecord-command-line",
    "-grecord-gcc-switches",
];

/// A compile as a worker runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionCommand {
    /// The words after the compiler's name.
    pub argv: Vec<OsString>,
    /// Every file that it may write, relative to the working directory unless absolute, the main one first, the
    /// dependency file second if there is one. No name twice.
    pub outputs: Vec<OsString>,
    /// Directories and files that options name, as they are written: the compiler may look whether they exist.
    pub named: Vec<OsString>,
}

/// Whether an option that keeps a compile from stock servers may go to a worker. The row is the option's.
pub(crate) fn may_go_to_worker(row: &Row) -> bool {
    writes(row).is_some()
}

/// Whether an option names a file that the compile writes.
pub(crate) fn writes_named_file(item: &Item, args: &[OsString]) -> bool {
    let What::Known { row, .. } = item.what else {
        return false;
    };
    match writes(row) {
        Some(Writes::Argument) => true,
        Some(Writes::BesideOr(_)) => item.value(args).as_bytes().starts_with(b"="),
        Some(Writes::Nothing | Writes::Beside(_)) | None => false,
    }
}

fn writes(row: &Row) -> Option<Writes> {
    let at = MORE
        .binary_search_by(|(name, _)| name.cmp(&row.name))
        .ok()?;
    Some(MORE[at].1)
}

impl Invocation {
    /// The compile for a worker. Only meaningful without native options ([`Invocation::expand_native`]).
    ///
    /// # Errors
    /// Why it stays on this machine, and the word that caused it.
    pub fn action(&self) -> Result<ActionCommand, (WhyLocal, Option<OsString>)> {
        placement::decide(self, Protocol::Native)?;
        let mut outputs: Vec<OsString> = self.output.iter().cloned().collect();
        outputs.extend(
            self.dependency
                .iter()
                .map(|dependency| dependency.file.clone()),
        );
        let mut named = Vec::new();
        for item in &self.items {
            let What::Known { row, .. } = item.what else {
                continue;
            };
            let value = item.value(&self.args);
            if item.effect(Some(self.driver.family)) == Some(Effect::CppPath) {
                named.push(value.to_os_string());
            }
            match writes(row) {
                None | Some(Writes::Nothing) => {}
                Some(Writes::Argument) => outputs.push(value.to_os_string()),
                Some(Writes::Beside(extensions)) => self.beside(extensions, &mut outputs),
                Some(Writes::BesideOr(extensions)) => match value.as_bytes().strip_prefix(b"=") {
                    Some(file) => outputs.push(OsStr::from_bytes(file).to_os_string()),
                    None => self.beside(extensions, &mut outputs),
                },
            }
        }
        let mut seen = std::collections::HashSet::new();
        outputs.retain(|path| !self.sources.contains(path) && seen.insert(path.clone()));
        Ok(ActionCommand {
            argv: self.args.clone(),
            outputs,
            named,
        })
    }

    /// The same invocation with more words at its end.
    #[must_use]
    pub fn with_words(&self, words: &[OsString]) -> Self {
        understand([&self.args[..], words].concat(), self.driver)
    }

    /// Every option whose effect is only right with the command line as it was given.
    #[must_use]
    pub fn records_command_line(&self) -> bool {
        self.items.iter().any(|item| match item.what {
            What::Known { row, .. } => RECORDING.binary_search(&row.name).is_ok(),
            _ => false,
        })
    }

    /// Adds all names that a file beside the output may have.
    fn beside(&self, extensions: &[&str], outputs: &mut Vec<OsString>) {
        let source = self.source().unwrap_or_default();
        let output = self.output().unwrap_or_default();
        let (source_base, output_base) = (lang::base(source), lang::base(output));
        let dir = &output.as_bytes()[..output.len() - output_base.len()];
        let suffix = source_base.iter().rposition(|&byte| byte == b'.');
        let suffix = suffix.map_or(&b""[..], |at| &source_base[at..]);
        let in_place = [dir, source_base].concat();
        let mut stems = vec![output.as_bytes(), &in_place, output_base, source_base];
        // Without `-c`, GCC names them like those of a link, although headers are never linked.
        let linked = match self.outputs_given.is_empty() {
            true => vec![b"a".as_slice()],
            false => vec![output.as_bytes(), output_base],
        };
        let linked: Vec<_> = linked
            .iter()
            .map(|stem| [stem, b"-".as_slice(), source_base].concat())
            .collect();
        if self.mode == Mode::Link {
            stems.extend(linked.iter().map(Vec::as_slice));
        }
        for stem in stems {
            // Where GCC does not know the extension it keeps it; for some files it appends that of the source.
            let bare = lang::with_extension(stem, "");
            let bare = bare
                .as_bytes()
                .strip_suffix(b".")
                .unwrap_or(bare.as_bytes());
            let stems = [bare.to_vec(), stem.to_vec(), [bare, suffix].concat()];
            for (stem, extension) in stems
                .iter()
                .flat_map(|stem| extensions.iter().map(move |extension| (stem, extension)))
            {
                let path = [stem, b".".as_slice(), extension.as_bytes()].concat();
                outputs.push(OsString::from_vec(path));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::ROWS;
    use crate::{Driver, parse};

    fn action(line: &str) -> Result<ActionCommand, WhyLocal> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let driver = Driver::guess(&[&words[0]]);
        parse(&words[1..], driver, &mut |_| None)
            .action()
            .map_err(|(why, _)| why)
    }

    fn check_outputs(line: &str, expect: &[&str]) {
        let outputs = action(line).unwrap().outputs;
        for path in expect {
            assert!(
                outputs.contains(&path.into()),
                "{line}: {path}: {outputs:?}"
            );
        }
        assert_eq!(outputs[0], expect[0], "{line}");
    }

    #[test]
    fn tables_are_sorted_and_name_rows() {
        assert!(MORE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(RECORDING.is_sorted());
        for (name, _) in MORE {
            assert!(ROWS.iter().any(|row| row.name == *name), "{name}");
        }
        for name in RECORDING {
            assert!(MORE.iter().any(|(known, _)| known == name), "{name}");
        }
    }

    #[test]
    fn what_a_stock_server_refuses_goes_to_a_worker_with_its_outputs() {
        check_outputs(
            "gcc -g -gsplit-dwarf -c d/a.c -o o/x.o",
            &["o/x.o", "o/x.dwo"],
        );
        check_outputs("gcc -fstack-usage -c d/a.c", &["a.o", "a.su"]);
        check_outputs(
            "gcc --coverage -MD -c a.c -o o/a.o",
            &["o/a.o", "o/a.d", "o/a.gcno"],
        );
        check_outputs(
            "gcc -save-temps -c d/a.cc -o o/x.o",
            &["o/x.o", "x.ii", "a.s", "o/a.ii"],
        );
        check_outputs("clang -ftime-trace -c a.c -o o/a.o", &["o/a.o", "o/a.json"]);
        check_outputs(
            "clang -ftime-trace=t.json -c a.c -o o/a.o",
            &["o/a.o", "t.json"],
        );
        check_outputs("gcc -flto -ffat-lto-objects -c a.c", &["a.o"]);
        check_outputs("gcc -c a.S", &["a.o"]);
        check_outputs("gcc -fdiagnostics-format=json -c a.c", &["a.o"]);
    }

    #[test]
    fn a_precompiled_header_lies_beside_its_header() {
        check_outputs("gcc -O2 d/a.h", &["d/a.h.gch"]);
        check_outputs(
            "g++ -c -MD d/a.hpp -save-temps",
            &["d/a.hpp.gch", "a.d", "a.ii"],
        );
        check_outputs("g++ -fstack-usage d/a.hpp", &["d/a.hpp.gch", "a-a.su"]);
        check_outputs(
            "gcc -x c++-header a.cxx -MD -o o/a.hxx.gch",
            &["o/a.hxx.gch", "o/a.hxx.d"],
        );
    }

    #[test]
    fn a_source_is_never_an_output() {
        let outputs = action("gcc -save-temps -c a.i").unwrap().outputs;
        assert!(!outputs.contains(&"a.i".into()), "{outputs:?}");
        assert!(outputs.contains(&"a.s".into()), "{outputs:?}");
    }

    #[test]
    fn what_only_this_machine_can_do_stays() {
        for (line, why) in [
            ("gcc a.c -o a", WhyLocal::Link),
            ("gcc -E a.c", WhyLocal::Preprocess),
            ("gcc -v -c a.c", WhyLocal::Verbose),
            ("gcc -c a.c b.c", WhyLocal::SeveralSources),
            ("gcc -c -", WhyLocal::StandardInput),
            ("gcc -c conftest.c", WhyLocal::Configure),
            ("gcc -fmodules-ts -c a.cc", WhyLocal::Modules),
            ("gcc -wrapper x -c a.c", WhyLocal::Wrapper),
            (
                "gcc -fdiagnostics-format=json-file -c a.c",
                WhyLocal::DiagnosticsFile,
            ),
            ("gcc -fwpa -c a.c", WhyLocal::Lto),
            ("gcc a.h b.h", WhyLocal::SeveralSources),
            ("gcc a.h b.c", WhyLocal::Link),
            ("gcc -MD a.h", WhyLocal::DependencyFileLost),
            ("gcc -S a.h", WhyLocal::MakesPrecompiled),
            ("g++ -x c++-user-header a.h", WhyLocal::HeaderUnit),
            ("g++ -fmodule-header a.h", WhyLocal::Modules),
            ("clang -x c-header a.h", WhyLocal::ClangPrecompiled),
            ("clang++ -c a.h", WhyLocal::ClangPrecompiled),
        ] {
            assert_eq!(action(line), Err(why), "{line}");
        }
    }

    #[test]
    fn named_directories_are_told() {
        let named = action("gcc -Iinc -isystem /s -include x.h -c a.c")
            .unwrap()
            .named;
        assert_eq!(named, ["inc", "/s", "x.h"]);
    }
}
