//! A command line with several sources as one compile for each of them.
//!
//! With `-c` or `-S` and without `-o`, compilers treat sources one after the other, each with all options and an output
//! of its own, whether or not an earlier one has failed. So the parts are whole commands. What they have in common stays
//! away: a file that each would write anew, and words about which the driver speaks once for all.

use std::ffi::OsString;

use crate::action::writes_named_file;
use crate::invocation::{Invocation, Mode, operands, understand};
use crate::lang::Kind;
use crate::table::Effect;
use crate::words::{Item, What};

/// Commands with more sources are left alone: each part takes a connection and open files.
const PARTS_MAX: usize = 128;

impl Invocation {
    /// The words of one compile for each source, if there are several and each may go to a worker.
    #[must_use]
    pub fn parts(&self) -> Option<Vec<Vec<OsString>>> {
        let compiles = matches!(self.mode, Mode::Compile | Mode::AssembleText);
        if !compiles || !(2..=PARTS_MAX).contains(&self.operands.len()) {
            return None;
        }
        let last = self.operands.last()?.word;
        let is_useless =
            |item: &Item| item.word > last && item.effect(None) == Some(Effect::Language);
        let shares_output = !self.outputs_given.is_empty()
            || self.asked.file.is_some()
            || !self.asked.inner.is_empty()
            || self.records_command_line()
            || self
                .items
                .iter()
                .any(|item| writes_named_file(item, &self.args));
        if shares_output || self.items.iter().any(is_useless) {
            return None;
        }
        (0..self.operands.len()).map(|nth| self.part(nth)).collect()
    }

    fn part(&self, nth: usize) -> Option<Vec<OsString>> {
        let source = &self.operands[nth];
        // A precompiled header is there for the sources after it.
        if !matches!(source.kind, Kind::Source(_) | Kind::Preprocessed(_)) {
            return None;
        }
        let mut words = Vec::with_capacity(self.args.len());
        for item in &self.items {
            let is_after = item.word > source.word;
            let is_others = item.what == What::Operand && item.word != source.word;
            // Of a language after all sources compilers warn.
            let is_for_others = is_after && item.effect(None) == Some(Effect::Language);
            if !is_others && !is_for_others {
                words.extend_from_slice(item.slice(&self.args));
            }
        }
        let part = understand(words, self.driver);
        // What `-x` and a C++ driver mean for a source depends on those before it.
        let kinds = operands(&part.args, &part.items, self.driver);
        let is_same = matches!(&kinds[..], [only] if only.kind == source.kind);
        (is_same && part.action().is_ok()).then_some(part.args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Driver, parse};

    #[track_caller]
    fn check(line: &str, expect: &[&str]) {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let driver = Driver::guess(&[&words[0]]);
        let parts = parse(&words[1..], driver, &mut |_| None).parts();
        let lines: Vec<_> = parts
            .unwrap_or_default()
            .iter()
            .map(|words| words.join(" ".as_ref()).into_string().unwrap())
            .collect();
        assert_eq!(lines, expect, "{line}");
    }

    #[test]
    fn each_source_gets_all_options() {
        check(
            "gcc -O2 -c a.c -MD d/b.cc -Ix",
            &["-O2 -c a.c -MD -Ix", "-O2 -c -MD d/b.cc -Ix"],
        );
        check("clang -S a.c b.c c.c", &["-S a.c", "-S b.c", "-S c.c"]);
        check(
            "gcc -g --coverage -save-temps -c a.c b.c",
            &[
                "-g --coverage -save-temps -c a.c",
                "-g --coverage -save-temps -c b.c",
            ],
        );
    }

    #[test]
    fn languages_are_those_of_the_whole_command() {
        check(
            "gcc -c -x c a.x -x c++ b.x",
            &["-c -x c a.x", "-c -x c -x c++ b.x"],
        );
        check("gcc -c a.c -x c++ b.c", &["-c a.c", "-c -x c++ b.c"]);
        // The second is C++ only because it is the second.
        check("g++ -c -x none a.c b.c", &[]);
    }

    #[test]
    fn what_is_not_the_sum_of_its_parts_stays_whole() {
        for line in [
            "gcc -c a.c",
            "gcc a.c b.c",
            "gcc -E a.c b.c",
            "gcc -c a.c b.c -o x.o",
            "gcc -MD -MF x.d -c a.c b.c",
            "gcc -Wp,-MD,x.d -c a.c b.c",
            "clang -ftime-trace=x.json -c a.c b.c",
            "clang -serialize-diagnostics x.dia -c a.c b.c",
            "clang -frecord-command-line -c a.c b.c",
            "gcc -c a.c b.o",
            "gcc -c a.c b.h",
            "gcc -c a.c b.f90",
            "gcc -c a.c -",
            "gcc -v -c a.c b.c",
            "gcc -c a.c b.c -x c++",
        ] {
            check(line, &[]);
        }
    }
}
