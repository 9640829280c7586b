//! A compile for a worker whose source has been preprocessed here, because nobody knows for certain which headers it
//! reads.
//!
//! The text takes the place of the source, under its name, and is compiled with the user's own options: so all names
//! are right without rewriting. It keeps its macros, because columns in debug information, sanitizers' tables and
//! the like would be others once they are expanded: GCC's `-fdirectives-only`, Clang's `-frewrite-includes`. GCC is
//! not told that it reads preprocessed text, since it would write that into debug information; for that the text must
//! not define again what the compiler defines by itself ([`Invocation::text_of`]).
//!
//! Found by comparing objects: what a compile of such a text gets wrong stays here. That are macros in debug
//! information (`-g3`), coverage notes, and GCC's `-pedantic`, which complains of the text's line markers. Clang has one
//! name for a header that is included under several, and it may be another one for the text; it also has checksums of
//! sources in debug information. So nothing of Clang's that names files is done with a text.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::action::ActionCommand;
use crate::invocation::Invocation;
use crate::name::Family;
use crate::placement::{self, Protocol};
use crate::table::{Effect, Row};
use crate::why::WhyLocal;
use crate::words::{Item, What};

/// Options that may go to a worker with a preprocessed text although they stay here for a stock server. Sorted.
const MORE: &[&str] = &["-fstack-usage", "-gsplit-dwarf"];

/// Options that stay here if the source has to be preprocessed. Sorted.
const NOT_AS_TEXT: &[&str] = &[
    // The text is written in UTF-8.
    "-finput-charset=",
    "-no-integrated-cpp",
    "-traditional",
    "-traditional-cpp",
];

/// Options that name files which are part of the text. Sorted.
const IN_TEXT: &[&str] = &[
    "--imacros",
    "--imacros=",
    "--include",
    "--include=",
    "-imacros",
    "-include",
];

/// How `#pragma` and line markers are complained of.
const PEDANTIC: &[&[u8]] = &[b"-pedantic", b"-Wpedantic", b"-Werror=pedantic"];

/// Where GCC says that macros come from which no file defines.
const NO_FILES: [&[u8]; 2] = [b"\"<built-in>\"", b"\"<command-line>\""];

/// A compile in two steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextAction {
    /// The words after the compiler's name that write the text here, and the dependency file.
    pub preprocess: Vec<OsString>,
    /// What a worker runs on the text.
    pub command: ActionCommand,
}

/// Whether an option that keeps a compile from stock servers may go to a worker with a preprocessed text.
pub(crate) fn may_go_with_text(row: &Row) -> bool {
    MORE.binary_search(&row.name).is_ok()
}

impl Invocation {
    /// The compile of a text that was preprocessed here.
    ///
    /// # Errors
    /// Why it would not be that of the source, and the word that caused it.
    pub fn text_action(&self) -> Result<TextAction, (WhyLocal, Option<OsString>)> {
        placement::decide(self, Protocol::Text)?;
        let mut command = self.action()?;
        let mut argv = Vec::with_capacity(self.args.len());
        for item in &self.items {
            if self.has_part_in_text(item)? {
                argv.extend_from_slice(item.slice(&self.args));
            }
        }
        self.look_at_debug_info()?;
        command.argv = argv;
        if let Some(dependency) = &self.dependency {
            let main = self.output.as_ref();
            command
                .outputs
                .retain(|path| *path != dependency.file || Some(path) == main);
        }
        let mut preprocess = self.preprocess_argv();
        let form: &[&str] = match self.driver.family {
            Family::Gcc => &["-fdirectives-only", "-fno-working-directory"],
            Family::Clang => &["-frewrite-includes"],
        };
        preprocess.extend(form.iter().map(OsString::from));
        Ok(TextAction {
            preprocess,
            command,
        })
    }

    /// The text that a worker gets, of what the preprocessor wrote.
    #[must_use]
    pub fn text_of(&self, written: Vec<u8>) -> Vec<u8> {
        match self.driver.family {
            Family::Gcc => without_own_macros(&written).unwrap_or(written),
            Family::Clang => written,
        }
    }

    /// Whether an option still says something once the source is a text.
    fn has_part_in_text(&self, item: &Item) -> Result<bool, (WhyLocal, Option<OsString>)> {
        let What::Known { row, .. } = item.what else {
            return Ok(true);
        };
        let word = &self.args[item.word];
        let differs = || Err((WhyLocal::TextDiffers, Some(word.clone())));
        if NOT_AS_TEXT.binary_search(&row.name).is_ok() {
            return differs();
        }
        if IN_TEXT.binary_search(&row.name).is_ok() {
            // Clang's text has what such a file defines, but also what else is in it.
            let only_macros = row.name.contains("imacros");
            return if only_macros { differs() } else { Ok(false) };
        }
        let is_gcc = self.driver.family == Family::Gcc;
        if is_gcc
            && PEDANTIC
                .iter()
                .any(|begin| word.as_bytes().starts_with(begin))
        {
            return differs();
        }
        match item.effect(Some(self.driver.family)) {
            Some(Effect::Dep(_)) => Ok(false),
            Some(Effect::CppWords) => match word.as_bytes().strip_prefix(b"-Wp,") {
                // The dependency file is written with the text.
                Some(list) if list.starts_with(b"-M") => Ok(false),
                Some(list) if list.starts_with(b"-D") || list.starts_with(b"-U") => {
                    if list.contains(&b',') {
                        return differs();
                    }
                    Ok(true)
                }
                _ => differs(),
            },
            _ => Ok(true),
        }
    }

    /// Whether debug information would be the same.
    fn look_at_debug_info(&self) -> Result<(), (WhyLocal, Option<OsString>)> {
        let words = || {
            self.items
                .iter()
                .filter(|item| matches!(item.what, What::Known { .. }))
                .map(|item| &self.args[item.word])
                .filter(|word| is_about_debug_info(word))
        };
        let differs = |word: &OsString| Err((WhyLocal::TextDiffers, Some(word.clone())));
        let has_macros = |word: &&OsString| {
            let word = word.as_bytes();
            word.ends_with(b"3") && !word.starts_with(b"-gdwarf")
        };
        if let Some(word) = words().find(has_macros) {
            return differs(word);
        }
        if self.driver.family == Family::Gcc {
            return Ok(());
        }
        let names_files = |word: &&OsString| {
            let word = word.as_bytes();
            word.starts_with(b"-fsanitize") || (word.starts_with(b"-g") && word != b"-g0")
        };
        match self.args.iter().find(names_files) {
            Some(word) if !word.as_bytes().starts_with(b"-gcc") => differs(word),
            _ => Ok(()),
        }
    }
}

fn is_about_debug_info(word: &OsStr) -> bool {
    let word = word.as_bytes();
    word.starts_with(b"-g") && !word.starts_with(b"-gcc")
}

/// GCC's text without the definitions in front of the first file: those that the compiler and its command line make
/// by themselves. `None` if it does not begin as such texts do.
fn without_own_macros(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut lines = text.split_inclusive(|&byte| byte == b'\n');
    let source = lines.next().filter(|line| line.starts_with(b"# "))?;
    out.extend_from_slice(source);
    let mut at = source.len();
    for line in lines {
        if line.starts_with(b"# ") {
            if !NO_FILES
                .iter()
                .any(|name| line.windows(name.len()).any(|part| part == *name))
            {
                out.extend_from_slice(&text[at..]);
                return Some(out);
            }
            out.extend_from_slice(line);
        } else if !line.starts_with(b"#define ") && !line.starts_with(b"#undef ") {
            return None;
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::ROWS;
    use crate::{Driver, parse};

    fn text_action(line: &str) -> Result<TextAction, WhyLocal> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let driver = Driver::guess(&[&words[0]]);
        parse(&words[1..], driver, &mut |_| None)
            .text_action()
            .map_err(|(why, _)| why)
    }

    #[test]
    fn tables_are_sorted_and_name_rows() {
        for list in [MORE, NOT_AS_TEXT, IN_TEXT] {
            assert!(list.is_sorted());
            for name in list {
                assert!(ROWS.iter().any(|row| row.name == *name), "{name}");
            }
        }
    }

    #[test]
    fn the_worker_gets_what_is_not_in_the_text() {
        let check = |line: &str, argv: &str, outputs: &[&str]| {
            let command = text_action(line).unwrap().command;
            let words: Vec<OsString> = argv.split(' ').map(OsString::from).collect();
            assert_eq!(command.argv, words, "{line}");
            for output in outputs {
                assert!(command.outputs.contains(&(*output).into()), "{line}");
            }
            assert!(!command.outputs.contains(&"a.d".into()), "{line}");
        };
        check(
            "gcc -O2 -g -Iinc -DA=1 -include x.h -MD -MF a.d -MT t -c a.c -o a.o",
            "-O2 -g -Iinc -DA=1 -c a.c -o a.o",
            &["a.o"],
        );
        check("gcc -Wp,-MMD,a.d -c a.c", "-c a.c", &["a.o"]);
        check("gcc -Wp,-DX=1 -c a.c", "-Wp,-DX=1 -c a.c", &["a.o"]);
        check(
            "gcc -x c++ --include=x.h -g -gsplit-dwarf -c a.c",
            "-x c++ -g -gsplit-dwarf -c a.c",
            &["a.o", "a.dwo"],
        );
        check("clang -O2 -c a.c", "-O2 -c a.c", &["a.o"]);
    }

    #[test]
    fn the_text_keeps_its_macros_and_the_dependency_file_is_written() {
        let words = text_action("gcc -g -MD -c d/a.c -o a.o")
            .unwrap()
            .preprocess;
        let line = "-g -MD d/a.c -E -MF a.d -MQ a.o -fdirectives-only -fno-working-directory";
        assert_eq!(words.join(OsStr::new(" ")), line);
        let words = text_action("clang -c a.c").unwrap().preprocess;
        let line = "a.c -E -Qunused-arguments -frewrite-includes";
        assert_eq!(words.join(OsStr::new(" ")), line);
    }

    #[test]
    fn what_would_differ_stays() {
        for line in [
            "gcc -g3 -c a.c",
            "gcc -ggdb3 -c a.c",
            "gcc -pedantic -c a.c",
            "gcc -Wpedantic -c a.c",
            "gcc -finput-charset=latin1 -c a.c",
            "gcc -traditional-cpp -c a.c",
            "gcc -imacros x.h -c a.c",
            "gcc -Xpreprocessor -DX -c a.c",
            "gcc -Wp,-include,x.h -c a.c",
            "clang -g -c a.c",
            "clang -gdwarf-4 -c a.c",
            "clang -fsanitize=undefined -c a.c",
        ] {
            assert_eq!(text_action(line), Err(WhyLocal::TextDiffers), "{line}");
        }
        for (line, why) in [
            ("gcc --coverage -c a.c", WhyLocal::CoverageData),
            ("gcc -save-temps -c a.c", WhyLocal::SaveTemps),
            ("gcc -c a.S", WhyLocal::AssemblerSource),
            ("gcc -c a.i", WhyLocal::TextDiffers),
            ("gcc -flto -c a.c", WhyLocal::Lto),
        ] {
            assert_eq!(text_action(line), Err(why), "{line}");
        }
        for line in [
            "gcc -g0 -c a.c",
            "clang -g0 -c a.c",
            "clang -pedantic -c a.c",
        ] {
            assert!(text_action(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn own_macros_go_and_those_of_files_stay() {
        let text = "# 0 \"a.c\"\n# 0 \"<built-in>\"\n#define __STDC__ 1\n# 0 \"<command-line>\"\n#undef A\n\
                    # 1 \"/usr/include/p.h\" 1 3 4\n#define P 1\n# 0 \"<command-line>\" 2\n# 1 \"a.c\"\n\
                    # 5 \"<built-in>\"\n#define MINE 1\n";
        let expect = "# 0 \"a.c\"\n# 0 \"<built-in>\"\n# 0 \"<command-line>\"\n\
                      # 1 \"/usr/include/p.h\" 1 3 4\n#define P 1\n# 0 \"<command-line>\" 2\n# 1 \"a.c\"\n\
                      # 5 \"<built-in>\"\n#define MINE 1\n";
        let out = without_own_macros(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expect);
        assert_eq!(without_own_macros(b"int x;\n"), None);
        assert_eq!(without_own_macros(b"# 1 \"a.c\"\nint x;\n"), None);
        assert_eq!(without_own_macros(b""), None);
    }
}
