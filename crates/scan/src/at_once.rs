//! All questions to a compiler in one: its macros, its search path, and what only it can answer.
//!
//! Starting a compiler is most of what an answer costs (for GCC 8 ms, for Clang 27), and a build with its first compile
//! of a set of options asks three things. They were asked apart because they disturb each other: GCC includes a header
//! by itself where the C library has it, `stdc-predef.h`, whose macros are not the compiler's own; `-nostdinc` keeps it
//! out, but hides the search path too. Here an empty file of that name lies in a directory which comes first (`-I`): it
//! is included instead, and the rest of the search path is what it would be without.
//!
//! With `-dM` there is no output but macros, so what a question's text has to say it defines. These macros have names of
//! our own and are taken out again. What cannot be relied upon has no answer here, and is to be asked apart:
//!
//! - the compiler fails (one of the questions is an error to it);
//! - the directory does not come first, because a specs file puts another before it;
//! - a specs or configuration file includes headers, whose macros would be among the compiler's.

use std::ffi::OsString;
use std::path::Path;

use crate::toolchain::{ANSWER_BITS, built_in_names, search_path};
use crate::{BadAnswer, Question, Toolchain};

/// How the macros begin that say what a compiler knows.
const KNOWS: &str = "farcc_knows_";

/// How the macros begin that are bits of answers.
const ANSWERS: &str = "farcc_answers_";

/// Parts of inner options that include files by themselves.
const INCLUDING: &[&[u8]] = &[b"imacros", b"include"];

/// The question.
#[derive(Debug)]
pub struct AtOnce<'a> {
    /// A directory in which there is nothing but an empty file named [`AtOnce::EMPTY_FILE`]; absolute.
    pub dir: &'a Path,
    /// What is also asked: what the scanner wanted to know with other options.
    pub questions: &'a [Question],
}

impl AtOnce<'_> {
    /// The header that GCC includes by itself.
    pub const EMPTY_FILE: &'static str = "stdc-predef.h";

    /// Words that the compiler is called with, in the C locale, behind [`crate::Options::told`] and the language.
    #[must_use]
    pub fn words(&self) -> Vec<OsString> {
        let words = ["-w", "-E", "-dM", "-v", "-I"].map(OsString::from);
        let mut words = Vec::from(words);
        words.extend([self.dir.into(), "-".into()]);
        words
    }

    /// What it is given on standard input.
    #[must_use]
    pub fn input(&self) -> Vec<u8> {
        let mut text = String::new();
        for (name, _) in built_in_names() {
            text.push_str(&format!("#ifdef {name}\n#define {KNOWS}{name}\n#endif\n"));
        }
        for (index, Question { operator, operand }) in self.questions.iter().enumerate() {
            for bit in 0..ANSWER_BITS {
                text.push_str(&format!(
                    "#if ({operator}({operand}) >> {bit}) & 1\n#define {ANSWERS}{index}_{bit}\n#endif\n"
                ));
            }
        }
        text.into_bytes()
    }

    /// Reads what a compiler printed that succeeded: the answers to the questions in their order. `None` if it has to be
    /// asked apart.
    ///
    /// # Errors
    /// There are no macros in it.
    pub fn read(
        &self,
        stdout: &[u8],
        stderr: &[u8],
    ) -> Result<Option<(Toolchain, Vec<u64>)>, BadAnswer> {
        if includes_by_itself(stderr) {
            return Ok(None);
        }
        let Some(mut dirs) = search_path(stderr) else {
            return Ok(None);
        };
        if dirs.first().is_none_or(|dir| dir.as_os_str() != self.dir) {
            return Ok(None);
        }
        dirs.remove(0);
        let mut macros = Vec::with_capacity(stdout.len());
        let mut said: Vec<&[u8]> = Vec::new();
        for line in stdout.split_inclusive(|&b| b == b'\n') {
            match ours(line) {
                Some(name) => said.push(name),
                None => macros.extend_from_slice(line),
            }
        }
        let says = |name: String| said.contains(&name.as_bytes());
        let built_ins = built_in_names()
            .filter(|(name, _)| says(format!("{KNOWS}{name}")))
            .map(|(name, _)| name.as_bytes().to_vec());
        let answers = (0..self.questions.len()).map(|index| {
            let bits = (0..ANSWER_BITS).filter(|bit| says(format!("{ANSWERS}{index}_{bit}")));
            bits.fold(0, |answer, bit| answer | 1u64 << bit)
        });
        let answers = answers.collect();
        Toolchain::of_parts(macros, built_ins.collect(), Some(dirs))
            .map(|toolchain| Some((toolchain, answers)))
    }
}

/// The name of a macro that the question defined.
fn ours(line: &[u8]) -> Option<&[u8]> {
    let name = line.strip_prefix(b"#define ")?.trim_ascii_end();
    let is_ours = name.starts_with(KNOWS.as_bytes()) || name.starts_with(ANSWERS.as_bytes());
    is_ours.then_some(name)
}

/// Whether the inner compiler is told to include something (`-include`, `-imacros`, `-include-pch`, …). Its commands are
/// the lines that begin with a space. A quoted word with spaces is taken for several, which can only say yes too often.
fn includes_by_itself(stderr: &[u8]) -> bool {
    let lines = stderr.split(|&b| b == b'\n');
    let commands = lines.filter(|line| line.starts_with(b" "));
    let mut words = commands.flat_map(|line| line.split(|&b| b == b' '));
    words.any(|word| {
        let word = word.strip_prefix(b"\"").unwrap_or(word);
        let name = word.split(|&b| b == b'=').next().unwrap_or_default();
        let is_option = name.first() == Some(&b'-') && !name.contains(&b'/');
        let includes = |part: &&[u8]| memchr::memmem::find(name, part).is_some();
        is_option && INCLUDING.iter().any(includes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIR: &str = "/tmp/empty";
    const MACROS: &str = "#define __GNUC__ 12\n#define farcc_knows___has_builtin \n#define __STDC_HOSTED__ 1\n\
        #define farcc_answers_0_1 \n";
    const SEARCH: &str = " /usr/lib/cc1 -E -v -I /tmp/empty -\n#include <...> search starts here:\n /tmp/empty\n \
        /usr/include\nEnd of search list.\n";

    fn read(search: &str) -> Option<(Toolchain, Vec<u64>)> {
        let question = |operand: &str| Question {
            operator: "__has_builtin".to_owned(),
            operand: operand.to_owned(),
        };
        let at_once = AtOnce {
            dir: Path::new(DIR),
            questions: &["a", "b"].map(question),
        };
        at_once.read(MACROS.as_bytes(), search.as_bytes()).unwrap()
    }

    #[test]
    fn it_is_what_is_answered_apart() {
        let (toolchain, answers) = read(SEARCH).unwrap();
        let search = SEARCH.replace(" /tmp/empty\n", "");
        let apart = Toolchain::new(
            b"#define __GNUC__ 12\n#define __STDC_HOSTED__ 1\n",
            b"@ \"__has_builtin\"\n",
            search.as_bytes(),
        );
        assert_eq!(toolchain, apart.unwrap());
        assert_eq!(answers, [2, 0]);
    }

    #[test]
    fn what_cannot_be_relied_upon_has_no_answer() {
        let check = |search: &str| assert_eq!(read(search), None, "{search}");
        check("nothing");
        check(&SEARCH.replace(" /tmp/empty\n", ""));
        check(&SEARCH.replace(" /tmp/empty\n", " /opt/first\n /tmp/empty\n"));
        for option in [
            "-include /x.h",
            "-imacros x",
            "-include-pch x",
            "\"-include=x\"",
        ] {
            check(&SEARCH.replace("-E", option));
        }
        let others = "-E \"-internal-isystem\" /usr/include -Dx=-include -resource-dir=/include";
        assert!(read(&SEARCH.replace("-E", others)).is_some());
    }

    #[test]
    fn no_macros() {
        let at_once = AtOnce {
            dir: Path::new(DIR),
            questions: &[],
        };
        let error = at_once.read(b"", SEARCH.as_bytes()).unwrap_err();
        assert_eq!(error, BadAnswer::NoMacros);
    }
}
