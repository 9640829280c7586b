//! How a worker's compiler has to speak so that its messages are those of a compile on the user's terminal.
//!
//! Compilers look whether standard error is a terminal, and how wide. On a worker it never is, so the command says
//! what they would have found. Not everything can be said: GCC has no option for the width at which it cuts lines of
//! source, and writes the one for links into debug information; Clang asks a database for the terminal's colours.
//! Where the messages could be others for that, they are not used, and the compile is repeated here.
//!
//! Sources: `diagnostic-color.cc` of GCC 12 as its manual describes it and as it behaves on a terminal
//! (`TERM`, `COLORTERM`, `GCC_URLS`, `TERM_URLS`, `COLUMNS`), and Clang 14 the same way.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use cmdline::{Family, Invocation};
use wire::JobRequest;

/// Terminals of which Clang knows that they have colours, with a database and without. Sorted.
const COLOURED: &[&str] = &[
    "linux",
    "screen",
    "screen-256color",
    "xterm",
    "xterm-256color",
    "xterm-color",
];

/// Values of `COLORTERM` of terminals on which GCC writes no links, and of `TERM` if `COLORTERM` is not set.
const COLORTERM_WITHOUT_LINKS: &[&str] = &["gnome-terminal", "xfce4-terminal"];
const TERM_WITHOUT_LINKS: &[&str] = &["linux", "xterm"];

/// GCC's option for links, which versions before 10 do not know.
const LINKS: &str = "-fdiagnostics-urls=always";

/// What is known of a worker's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Certainty {
    /// They are those of a compile here.
    #[default]
    AsHere,
    /// They are if no line of source is longer than this.
    UpTo(usize),
    /// They may be others.
    Unknown,
}

/// How a worker's compiler has to speak.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Speech {
    /// Words to add to its command.
    pub(crate) words: Vec<OsString>,
    certainty: Certainty,
}

impl Speech {
    /// What to tell a worker about this job's terminal.
    pub(crate) fn of(job: &JobRequest, invocation: &Invocation) -> Self {
        let Some(terminal) = job.terminal else {
            return Self::default();
        };
        let args = Args(invocation.args());
        if args
            .value("-fdiagnostics-format=")
            .is_some_and(|format| format != "text")
        {
            return Self::default();
        }
        let var = |name: &str| job.var(name).map(OsString::as_os_str);
        let columns = var("COLUMNS").map_or(0, leading_number);
        match invocation.driver().family {
            Family::Gcc => {
                let columns = if columns > 0 {
                    columns
                } else {
                    terminal.input_columns
                };
                let records_options = invocation.debug_info() || args.any(&["-g", "-flto"]);
                gcc(args, &var, columns, records_options)
            }
            Family::Clang => clang(args, &var, columns),
        }
    }

    /// Whether these messages are those of a compile here.
    pub(crate) fn fits(&self, messages: &[u8]) -> bool {
        if messages.is_empty() {
            return true;
        }
        if self.words.iter().any(|word| word == LINKS)
            && memchr::memmem::find(messages, b"-fdiagnostics-urls").is_some()
        {
            return false;
        }
        match self.certainty {
            Certainty::AsHere => true,
            Certainty::Unknown => false,
            Certainty::UpTo(columns) => messages
                .split(|&byte| byte == b'\n')
                .filter(|line| is_of_source(line))
                .all(|line| columns_of(line) <= columns),
        }
    }

    /// Whether there is anything to look at in a compiler's messages.
    pub(crate) fn is_certain(&self) -> bool {
        self.certainty == Certainty::AsHere
    }
}

type Var<'a> = dyn Fn(&str) -> Option<&'a OsStr> + 'a;

fn gcc(args: Args<'_>, var: &Var<'_>, columns: u32, records_options: bool) -> Speech {
    let is_set = |name| var(name).filter(|value| !value.is_empty());
    let has_colours = var("TERM").is_some_and(|term| term != "dumb");
    let mut speech = Speech::default();
    let wrapped = args.value("-fmessage-length=").map_or(0, leading_number) > 0;
    if columns > 0 && !wrapped {
        // One for GCC's own margin, one for safety.
        speech.certainty = Certainty::UpTo(columns.saturating_sub(2) as usize);
    }
    if !has_colours {
        return speech;
    }
    if args.leaves_open("-fdiagnostics-color", "-fno-diagnostics-color") {
        speech.words.push("-fdiagnostics-color=always".into());
    }
    let among = |list: &[&str], value: &OsStr| list.iter().any(|known| value == *known);
    let by_terminal = match (var("COLORTERM"), var("TERM")) {
        (Some(value), _) => !among(COLORTERM_WITHOUT_LINKS, value),
        (None, Some(term)) => !among(TERM_WITHOUT_LINKS, term),
        (None, None) => false,
    };
    let links_are_off = match var("GCC_URLS").or(var("TERM_URLS")) {
        Some(value) => value.is_empty() || value == "no",
        None => !by_terminal,
    };
    let is_open = args.leaves_open("-fdiagnostics-urls", "");
    // A value that nobody knows here, or one for older terminals.
    let is_odd = is_set("GCC_URLS").or(is_set("TERM_URLS")).is_some();
    if is_open && !links_are_off {
        if records_options || is_odd {
            speech.certainty = Certainty::Unknown;
        } else {
            speech.words.push(LINKS.into());
        }
    }
    if args.any(&["-flto"]) {
        speech = Speech {
            words: Vec::new(),
            certainty: Certainty::Unknown,
        };
    }
    speech
}

fn clang(args: Args<'_>, var: &Var<'_>, columns: u32) -> Speech {
    let mut speech = Speech::default();
    let is_open = args.leaves_open("-fdiagnostics-color", "-fno-diagnostics-color")
        && args.leaves_open("-fcolor-diagnostics", "-fno-color-diagnostics");
    if is_open {
        match var("TERM").and_then(OsStr::to_str) {
            None | Some("" | "dumb") => {}
            Some(term) if COLOURED.binary_search(&term).is_ok() => {
                speech.words.push("-fcolor-diagnostics".into());
            }
            Some(_) => speech.certainty = Certainty::Unknown,
        }
    }
    if columns > 0 && args.value("-fmessage-length=").is_none() {
        let word = format!("-fmessage-length={columns}");
        speech.words.push(word.into());
    }
    speech
}

/// The words of a command line.
#[derive(Clone, Copy)]
struct Args<'a>(&'a [OsString]);

impl Args<'_> {
    /// What the last option of this name says.
    fn value(&self, name: &str) -> Option<&OsStr> {
        let values = |word: &'_ OsString| {
            let value = word.as_bytes().strip_prefix(name.as_bytes())?;
            Some(value.len())
        };
        let word = self.0.iter().rfind(|word| values(word).is_some())?;
        Some(OsStr::from_bytes(&word.as_bytes()[name.len()..]))
    }

    fn any(&self, begins: &[&str]) -> bool {
        let begins_so = |word: &OsString| {
            begins
                .iter()
                .any(|begin| word.as_bytes().starts_with(begin.as_bytes()))
        };
        self.0.iter().any(|word| begins_so(word) && word != "-g0")
    }

    /// Whether the compiler is to find out by itself: the last option of this name says so, or there is none.
    fn leaves_open(&self, name: &str, negation: &str) -> bool {
        let is_about = |word: &&OsString| {
            let word = word.as_bytes();
            word.starts_with(name.as_bytes())
                || word == b"-fdiagnostics-plain-output"
                || (!negation.is_empty() && word == negation.as_bytes())
        };
        self.0
            .iter()
            .rfind(is_about)
            .is_none_or(|word| word.as_bytes().ends_with(b"=auto"))
    }
}

/// As C's `atoi` reads it, for what is not negative.
fn leading_number(text: &OsStr) -> u32 {
    let text = text.as_bytes().trim_ascii_start();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |sum: u32, byte| {
        sum.saturating_mul(10)
            .saturating_add(u32::from(byte - b'0'))
    })
}

/// Whether GCC cuts such a line: it begins with its number, or with space if it has none.
fn is_of_source(line: &[u8]) -> bool {
    line.first()
        .is_some_and(|byte| *byte == b' ' || byte.is_ascii_digit())
}

/// Columns that a line takes on a terminal, or more.
fn columns_of(line: &[u8]) -> usize {
    let mut columns = 0;
    let mut rest = line;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'\x1b' => {
                let is_link = rest.first() == Some(&b']');
                let ends = |byte: &u8| match is_link {
                    true => *byte == b'\\' || *byte == b'\x07',
                    false => byte.is_ascii_alphabetic(),
                };
                let len = rest.iter().position(ends).map_or(rest.len(), |at| at + 1);
                rest = &rest[len..];
            }
            // Of each character one byte counts; none takes more than two columns.
            0x80..=0xbf => {}
            0xc0.. => columns += 2,
            _ => columns += 1,
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Terminal;

    fn speech(line: &str, vars: &[(&str, &str)], columns: u32) -> Speech {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let driver = cmdline::Driver::guess(&[&words[0]]);
        let invocation = cmdline::parse(&words[1..], driver, &mut |_| None);
        let job = JobRequest {
            terminal: Some(Terminal {
                input_columns: columns,
            }),
            env: vars
                .iter()
                .map(|(name, value)| (OsString::from(name), OsString::from(value)))
                .collect(),
            ..JobRequest::default()
        };
        Speech::of(&job, &invocation)
    }

    fn check(line: &str, vars: &[(&str, &str)], words: &str, certainty: Certainty) {
        let speech = speech(line, vars, 0);
        let ours = speech.words.join(OsStr::new(" "));
        assert_eq!(
            (ours.to_str().unwrap(), speech.certainty),
            (words, certainty),
            "{line} {vars:?}"
        );
    }

    #[test]
    fn tables_are_sorted() {
        assert!(COLOURED.is_sorted());
    }

    #[test]
    fn gcc_is_told_what_it_would_have_found() {
        use Certainty::{AsHere, Unknown, UpTo};
        let xterm = [("TERM", "xterm")];
        let rich = [("TERM", "xterm-256color")];
        let colour = "-fdiagnostics-color=always";
        let both = "-fdiagnostics-color=always -fdiagnostics-urls=always";
        check("gcc -c a.c", &[], "", AsHere);
        check("gcc -c a.c", &[("TERM", "dumb")], "", AsHere);
        check("gcc -c a.c", &xterm, colour, AsHere);
        check("gcc -g -c a.c", &xterm, colour, AsHere);
        check("gcc -c a.c", &rich, both, AsHere);
        check("gcc -g -c a.c", &rich, colour, Unknown);
        check("gcc -flto -c a.c", &xterm, "", Unknown);
        check("gcc -c a.c", &[rich[0], ("GCC_URLS", "")], colour, AsHere);
        check(
            "gcc -c a.c",
            &[rich[0], ("TERM_URLS", "no")],
            colour,
            AsHere,
        );
        check(
            "gcc -c a.c",
            &[xterm[0], ("TERM_URLS", "st")],
            colour,
            Unknown,
        );
        check(
            "gcc -c a.c",
            &[xterm[0], ("COLORTERM", "truecolor")],
            both,
            AsHere,
        );
        check(
            "gcc -c a.c",
            &[rich[0], ("COLORTERM", "gnome-terminal")],
            colour,
            AsHere,
        );
        check(
            "gcc -c a.c",
            &[xterm[0], ("COLUMNS", "80x")],
            colour,
            UpTo(78),
        );
        for color in ["never", "always"] {
            let line = format!("gcc -fdiagnostics-color=auto -fdiagnostics-color={color} -c a.c");
            check(&line, &xterm, "", AsHere);
        }
        check(
            "gcc -fdiagnostics-color=auto -c a.c",
            &xterm,
            colour,
            AsHere,
        );
        check("gcc -fdiagnostics-plain-output -c a.c", &rich, "", AsHere);
        check("gcc -fdiagnostics-format=json -c a.c", &rich, "", AsHere);
        assert_eq!(speech("gcc -c a.c", &[], 80).certainty, UpTo(78));
        assert_eq!(
            speech("gcc -fmessage-length=70 -c a.c", &[], 80).certainty,
            AsHere
        );
    }

    #[test]
    fn clang_is_told_what_it_would_have_found() {
        use Certainty::{AsHere, Unknown};
        check("clang -c a.c", &[], "", AsHere);
        check(
            "clang -c a.c",
            &[("TERM", "xterm")],
            "-fcolor-diagnostics",
            AsHere,
        );
        check("clang -c a.c", &[("TERM", "vt100")], "", Unknown);
        check(
            "clang -fno-color-diagnostics -c a.c",
            &[("TERM", "vt100")],
            "",
            AsHere,
        );
        check(
            "clang -g -c a.c",
            &[("COLUMNS", "70")],
            "-fmessage-length=70",
            AsHere,
        );
        check(
            "clang -fmessage-length=0 -c a.c",
            &[("COLUMNS", "70")],
            "",
            AsHere,
        );
    }

    #[test]
    fn without_a_terminal_nothing_is_said() {
        let invocation = cmdline::parse(
            &["-c".into(), "a.c".into()],
            cmdline::Driver::guess(&[OsStr::new("gcc")]),
            &mut |_| None,
        );
        let speech = Speech::of(&JobRequest::default(), &invocation);
        assert_eq!(speech, Speech::default());
        assert!(speech.is_certain());
    }

    #[test]
    fn lines_of_source_that_do_not_fit_are_noticed() {
        let speech = Speech {
            words: vec![LINKS.into()],
            certainty: Certainty::UpTo(10),
        };
        let link = "    1 | \x1b]8;;https://gcc.gnu.org\x1b\\x\x1b]8;;\x1b\\\n";
        for (messages, fits) in [
            ("a.c:1:1: warning: a rather long message\n", true),
            ("    1 | xy\n", true),
            ("    1 | xyz\n", false),
            ("    1 | \x1b[01;35m\x1b[Kxy\x1b[m\x1b[K\n", true),
            (link, true),
            ("    1 | ä\n", true),
            ("    1 | ää\n", false),
            ("100000 | xy\n", false),
            (
                "gcc: error: unrecognized option '-fdiagnostics-urls=always'\n",
                false,
            ),
            ("", true),
        ] {
            assert_eq!(speech.fits(messages.as_bytes()), fits, "{messages}");
        }
    }
}
