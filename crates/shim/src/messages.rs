//! What a host's compiler says, as the one here would have said it.
//!
//! What two compilers say about one command line is said once.
//! The preprocessor here and the compiler on a host both see most of the options, and both warn
//! of those that do not fit: `cc1: warning: command-line option '-std=c++17' is valid for
//! C++/ObjC++ but not for C`. A local compile says it once. The host's line is dropped where the
//! preprocessor has said the same. Only lines that name no place in a source are compared: two
//! messages about the same line are two messages. Quotes and colours may differ there, since the
//! host does not know this terminal.
//!
//! GCC writes ‘names’ where the locale has these quotes and 'names' where it has not. The host
//! has a locale of its own, so they are replaced where a compiler here would not write them.

use std::ffi::OsString;

/// Variables that name the locale's characters, the strongest first.
const LOCALE_VARIABLES: [&str; 3] = ["LC_ALL", "LC_CTYPE", "LANG"];

/// Whether a compiler here writes ASCII quotes.
pub(crate) fn quotes_are_plain(var: impl Fn(&str) -> Option<OsString>) -> bool {
    let mut values = LOCALE_VARIABLES.iter().filter_map(|name| var(name));
    let locale = values.find(|value| !value.is_empty()).unwrap_or_default();
    let locale = locale.to_string_lossy().to_lowercase();
    !locale.contains("utf-8") && !locale.contains("utf8")
}

/// The messages with plain quotes. Lines of source, which compilers indent, stay.
pub(crate) fn with_plain_quotes(host: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(host.len());
    for line in lines(host) {
        let mut rest = line;
        while let (Some(at), false) = (find_quote(rest), line.starts_with(b" ")) {
            plain.extend_from_slice(&rest[..at]);
            plain.push(b'\'');
            rest = &rest[at + QUOTES[0].len()..];
        }
        plain.extend_from_slice(rest);
    }
    plain
}

/// GCC's quotes, all of the same length.
const QUOTES: [&[u8]; 2] = ["‘".as_bytes(), "’".as_bytes()];

fn find_quote(text: &[u8]) -> Option<usize> {
    text.windows(QUOTES[0].len())
        .position(|window| QUOTES.contains(&window))
}

/// How messages about the command line go on after the program's name.
const KINDS: &[&str] = &["warning: ", "note: ", "error: "];

/// What the host said without what has been said here already.
pub(crate) fn without_repetitions(host: &[u8], here: &[u8]) -> Vec<u8> {
    let mut said: Vec<String> = lines(here).filter_map(key).collect();
    let mut rest = Vec::with_capacity(host.len());
    for line in lines(host) {
        let again = key(line).and_then(|key| said.iter().position(|known| *known == key));
        match again {
            Some(at) => drop(said.swap_remove(at)),
            None => rest.extend_from_slice(line),
        }
    }
    rest
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n')
}

/// The message of a line that is about the command line.
fn key(line: &[u8]) -> Option<String> {
    let plain = plain(line);
    let is_message = |text: &&str| KINDS.iter().any(|kind| text.starts_with(kind));
    // Clang does not always name itself.
    let after_program = || {
        let (program, message) = plain.split_once(": ")?;
        (!program.contains([':', ' '])).then_some(message)
    };
    let message = Some(&*plain).filter(is_message);
    let message = message.or_else(|| after_program().filter(is_message));
    message.map(ToOwned::to_owned)
}

/// The text without colours, with plain quotes.
fn plain(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // A sequence ends with its first letter.
        let end = part.find(|c: char| c.is_ascii_alphabetic());
        plain.push_str(end.and_then(|end| part.get(end + 1..)).unwrap_or_default());
    }
    plain.replace(['‘', '’'], "'").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(here: &str, host: &str, rest: &str) {
        let said = without_repetitions(host.as_bytes(), here.as_bytes());
        assert_eq!(String::from_utf8_lossy(&said), rest);
    }

    #[test]
    fn a_message_about_the_command_line_is_said_once() {
        let here = "cc1: warning: command-line option '-std=c++17' is valid for C++\n";
        let host = here.replace('\'', "’") + "a.c:1: warning: unused\n";
        check(here, &host, "a.c:1: warning: unused\n");
        let coloured = "\x1b[01mcc1:\x1b[m\x1b[K \x1b[01;35m\x1b[Kwarning: \x1b[mcommand-line \
                        option '\x1b[01m-std=c++17\x1b[m' is valid for C++\n";
        check(coloured, here, "");
        check(here, coloured, "");
        // The driver's name may be another one there.
        check("gcc: warning: x\n", "x86_64-linux-gnu-gcc: warning: x", "");
        let clang = "warning: unknown warning option '-Wx' [-Wunknown-warning-option]\n";
        check(clang, clang, "");
    }

    #[test]
    fn quotes_are_those_of_the_locale_here() {
        let plain = |variables: &[(&str, &str)]| {
            quotes_are_plain(|name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| value.into())
            })
        };
        assert!(plain(&[]) && plain(&[("LANG", "C")]));
        assert!(!plain(&[("LANG", "en_US.UTF-8")]) && !plain(&[("LC_CTYPE", "C.utf8")]));
        assert!(plain(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]));
        assert!(!plain(&[("LC_ALL", ""), ("LANG", "en_US.UTF-8")]));

        let text = with_plain_quotes("a.c: In function ‘f’:\n 1 | ‘\n’\u{2014}".as_bytes());
        let expected = "a.c: In function 'f':\n 1 | ‘\n'\u{2014}";
        assert_eq!(String::from_utf8_lossy(&text), expected);
    }

    #[test]
    fn as_often_as_it_was_said_here() {
        check(
            "cc1: warning: x\n",
            "cc1: warning: x\ncc1: warning: x\n",
            "cc1: warning: x\n",
        );
    }

    #[test]
    fn messages_about_places_are_not_compared() {
        let place = "In file included from a.c:1:\na.h:1:1: warning: x\n";
        check(place, place, place);
        check("", "cc1: warning: x\n", "cc1: warning: x\n");
        check("cc1: warning: x\n", "\x1b[\n\x1b[01", "\x1b[\n\x1b[01");
    }
}
