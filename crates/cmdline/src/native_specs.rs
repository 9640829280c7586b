//! `-march=native` for GCC on x86: what has to be given to the driver on another machine so that it runs the very
//! same commands there.
//!
//! Problem: the driver asks the processor and puts the answer (`-march=…`, all features, `--param` of the caches)
//! before all other options of the inner compiler. Told as options of the driver the same words come elsewhere:
//! `--param` after the others, and without any `-march=` the driver adds its default, which would count instead. Debug
//! information (`DW_AT_producer`), LTO objects and `-fverbose-asm` show the order.
//!
//! Approach: the command line stays as it is, `-march=native` included. The one place where the driver asks the
//! processor is a specs string of its own, `cc1_cpu`; a specs file replaces that by the answer which this processor
//! gives to this command line. Options of the machine (`-m…`) are all that the string looks at, so GCC is asked about
//! these only, and units that differ in others share an answer.
//!
//! Nothing of that is believed: the driver prints its commands ([`question`]) with the file and without, and they have
//! to be the same ([`is_same`]); and of its strings ([`can_be_replaced`]) no other one may ask the processor, since that
//! would be asked on the other machine again, and this one may look at nothing else. Where that fails there is no specs
//! file.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::native::inner_commands;

/// The source of the question.
const NO_SOURCE: &[u8] = b"/dev/null";

/// What the driver says first where it has read no specs file by itself.
const BUILT_IN: &[u8] = b"Using built-in specs.";

/// The string that is replaced.
const STRING: &[u8] = b"*cc1_cpu:";

/// How a string asks the processor.
const ASKS: &[u8] = b"local_cpu_detect";

/// What the driver says besides its commands that depends on the specs file's name.
const NAMES_FILE: &[&[u8]] = &[b"COLLECT_GCC_OPTIONS=", b"Reading specs from "];

/// The words to give to GCC so that it prints its commands. `machine` comes from
/// [`crate::Invocation::machine_options`]. Run it with `LC_ALL=C`; the answer is its standard error.
#[must_use]
pub fn question(machine: &[OsString], specs: Option<&OsStr>) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["-###".into(), "-S".into()];
    words.extend(specs.map(option));
    words.extend_from_slice(machine);
    words.extend(["-x", "c", "/dev/null"].map(OsString::from));
    words
}

/// The option that has GCC read a specs file.
#[must_use]
pub fn option(specs: &OsStr) -> OsString {
    OsString::from_vec([b"-specs=", specs.as_bytes()].concat())
}

/// Whether a GCC that gives this answer makes code for x86.
#[must_use]
pub fn is_x86(answer: &[u8]) -> bool {
    let target = lines(answer).find_map(|line| line.strip_prefix(b"Target: "));
    target.is_some_and(|target| {
        let kind = target.split(|&byte| byte == b'-').next();
        matches!(
            kind,
            Some(b"x86_64" | b"i386" | b"i486" | b"i586" | b"i686")
        )
    })
}

/// What the processor adds to the options of the inner compiler, by GCC's answer to [`question`]. `None` if the answer
/// makes no sense.
#[must_use]
pub fn parse(answer: &[u8]) -> Option<Vec<OsString>> {
    let command = inner_commands(answer).find(|words| {
        let program = words.first().map_or(&b""[..], Vec::as_slice);
        crate::lang::base(OsStr::from_bytes(program)) == b"cc1"
    })?;
    // Not a driver of another processor, which leaves the question to the inner compiler.
    if command.iter().any(|word| word.ends_with(b"=native")) {
        return None;
    }
    let mut words = command.into_iter().skip_while(|word| word != NO_SOURCE);
    words.next()?;
    let mut added = Vec::new();
    for word in words {
        if word == b"-quiet" {
            return Some(added);
        }
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_=.+".contains(byte);
        if word.is_empty() || !word.iter().all(is_plain) {
            return None;
        }
        added.push(OsString::from_vec(word));
    }
    None
}

/// The specs file that adds these words, whatever processor there is.
#[must_use]
pub fn file(added: &[OsString]) -> Vec<u8> {
    let mut text = STRING.to_vec();
    // As the string itself does: the inner compiler must not see them.
    text.extend_from_slice(b"\n%>march=native %>mtune=native");
    for word in added {
        text.push(b' ');
        text.extend_from_slice(word.as_bytes());
    }
    text.extend_from_slice(b"\n\n");
    text
}

/// Whether GCC runs with the specs file what it runs without it, by its answers to both questions.
#[must_use]
pub fn is_same(answer: &[u8], with_file: &[u8]) -> bool {
    // What a file of the installation says is not in the list of strings.
    let is_built_in = lines(answer).next() == Some(BUILT_IN);
    is_built_in && said(answer).eq(said(with_file))
}

/// Whether only the string that is replaced asks the processor, and looks at options of the machine alone, by what GCC
/// prints for `-dumpspecs`.
#[must_use]
pub fn can_be_replaced(specs: &[u8]) -> bool {
    let mut is_it = false;
    let mut is_asked = false;
    for line in lines(specs) {
        if line.starts_with(b"*") && line.ends_with(b":") {
            is_it = line == STRING;
        } else if is_it && !looks_at_machine_only(line) {
            return false;
        }
        if line.windows(ASKS.len()).any(|part| part == ASKS) {
            if !is_it {
                return false;
            }
            is_asked = true;
        }
    }
    is_asked
}

/// Whether every condition in a specs string is about an option that begins with `m`, and no other string is part of it.
fn looks_at_machine_only(string: &[u8]) -> bool {
    let mut rest = string;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'{' | b';' | b'|' | b'&' => {
                let is_filler = |byte: &&u8| b" \t!".contains(byte);
                let first = behind.iter().find(|byte| !is_filler(byte));
                // The last branch has no condition.
                if !matches!(first, Some(b'm' | b':')) {
                    return false;
                }
            }
            b'%' if behind.starts_with(b"(") => return false,
            _ => {}
        }
    }
    true
}

fn said(answer: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(answer).filter(|line| !NAMES_FILE.iter().any(|begin| line.starts_with(begin)))
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "Using built-in specs.\nCOLLECT_GCC=gcc\nTarget: x86_64-linux-gnu\nCOLLECT_GCC_OPTIONS='-S'\n \
                          /usr/lib/gcc/12/cc1 -quiet -imultiarch x86_64-linux-gnu /dev/null \"-march=skylake\" -mavx2 \
                          --param \"l1-cache-size=48\" \"-mtune=generic\" -quiet -dumpbase null -mno-avx -o null.s\n\
                          COMPILER_PATH=/x\n";

    fn parsed(answer: &str) -> Option<String> {
        let words = parse(answer.as_bytes())?;
        Some(words.join(OsStr::new(" ")).into_string().unwrap())
    }

    #[test]
    fn what_the_processor_adds_is_told_from_what_was_given() {
        let words = "-march=skylake -mavx2 --param l1-cache-size=48 -mtune=generic";
        assert_eq!(parsed(ANSWER).as_deref(), Some(words));
        let none = " /usr/lib/gcc/12/cc1 -quiet /dev/null -quiet -dumpbase null -march=x86-64\n";
        assert_eq!(parsed(none).as_deref(), Some(""));
    }

    #[test]
    fn answers_without_sense() {
        for answer in [
            "gcc: error: nothing\n",
            " /usr/lib/gcc/12/as -o a.o\n",
            " /usr/lib/gcc/12/cc1 -quiet -mavx -quiet\n",
            " /usr/lib/gcc/12/cc1 -quiet /dev/null -mavx -dumpbase null\n",
            " /usr/lib/gcc/12/cc1 -quiet /dev/null -quiet -march=native\n",
            " /usr/lib/gcc/12/cc1 -quiet /dev/null \"-mx=%a\" -quiet\n",
        ] {
            assert_eq!(parsed(answer), None, "{answer}");
        }
    }

    #[test]
    fn the_file_replaces_one_string() {
        let text = file(&["-march=skylake".into(), "--param".into(), "a=1".into()]);
        let expect = "*cc1_cpu:\n%>march=native %>mtune=native -march=skylake --param a=1\n\n";
        assert_eq!(String::from_utf8(text).unwrap(), expect);
    }

    #[test]
    fn both_answers_have_to_be_the_same_but_for_the_files_name() {
        let check = |answer: &str, with_file: &str, expect| {
            let same = is_same(answer.as_bytes(), with_file.as_bytes());
            assert_eq!(same, expect, "{with_file}");
        };
        let named = ANSWER
            .replace("='-S'", "='-S' '-specs=/s'")
            .replace("specs.\n", "specs.\nReading specs from /s\n");
        check(ANSWER, &named, true);
        check(ANSWER, &named.replace(" -mno-avx", ""), false);
        check(
            ANSWER,
            &named.replace("COMPILER", "gcc: warning: x\nCOMPILER"),
            false,
        );
        let installed = ANSWER.replace("Using built-in specs.", "Reading specs from /lib/specs");
        check(&installed, &installed, false);
    }

    #[test]
    fn the_processor_is_asked_in_one_place_only() {
        let check = |specs: &str, expect| {
            assert_eq!(can_be_replaced(specs.as_bytes()), expect, "{specs}");
        };
        let one = "*asm:\n%{m32:--32} %(x)\n\n*cc1_cpu:\n%{march=native:%:local_cpu_detect(arch %{!m32:64;:32})}\n\n";
        check(one, true);
        check(&format!("{one}*asm2:\n%:local_cpu_detect(tune)\n"), false);
        check("*asm:\n%{m32:--32}\n", false);
        // Another option than those that GCC is asked with changes what the string comes to.
        check(&one.replace("!m32", "!fPIC"), false);
        check(&one.replace("!m32", "!m32|pg"), false);
        check(&one.replace("!m32", "!m32 & !pg"), false);
        check(&one.replace("32}", "32} %(other)"), false);
    }

    #[test]
    fn targets() {
        assert!(is_x86(ANSWER.as_bytes()));
        assert!(is_x86(b"Target: i686-pc-linux-gnu\n"));
        assert!(!is_x86(b"Target: aarch64-linux-gnu\n"));
        assert!(!is_x86(b"gcc: x86_64-linux-gnu\n"));
    }
}
