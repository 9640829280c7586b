//! `-march=native` and its relatives: reads what the compiler says they mean on this machine.
//!
//! Both compilers print their inner commands for `-###`. GCC's inner command holds plain options again. Clang's holds
//! a processor and features; on x86 each feature is the name of an option, so `+avx2` becomes `-mavx2`.
//!
//! For GCC on x86 `native_specs` knows more; this is for its other processors.
//!
//! The expansion goes in front of all other options, because that is where both compilers put it themselves: `-mno-avx
//! -march=native` has no AVX.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Features of x86 in Clang that are no options: each processor that can run 64-bit code has them.
const NO_OPTION: &[&[u8]] = &[b"64bit", b"cmov", b"cx8", b"x87"];

/// The words to give to the compiler so that it prints what `native` means. Run it with `LC_ALL=C` and hand its
/// standard error to [`parse_gcc`] or [`parse_clang`]. `asked` comes from [`crate::Invocation::native_options`].
#[must_use]
pub fn question(asked: &[OsString]) -> Vec<OsString> {
    let words = |list: &[&str]| list.iter().map(OsString::from).collect::<Vec<_>>();
    [
        words(&["-###", "-E"]),
        asked.to_vec(),
        words(&["-x", "c", "/dev/null"]),
    ]
    .concat()
}

/// Reads the answer of GCC to [`question`]: the options that replace `asked`. `None` if the answer makes no sense.
#[must_use]
pub fn parse_gcc(stderr: &[u8], asked: &[OsString]) -> Option<Vec<OsString>> {
    let command = inner_command(stderr, &[b"cc1"])?;
    let has = |option: &[u8]| asked.iter().any(|word| word.as_bytes().starts_with(option));
    let mut expansion = Vec::new();
    let mut words = command.into_iter().skip(1);
    while let Some(word) = words.next() {
        if word == b"--param" {
            expansion.extend([word, words.next()?]);
        } else if word.starts_with(b"-march=") && !has(b"-march=") {
            // The default, which the other side's compiler adds by itself.
        } else if word.starts_with(b"-m") || word.starts_with(b"--param=") {
            expansion.push(word);
        }
    }
    finish(expansion)
}

/// Reads the answer of Clang to [`question`]: the options that replace `asked`. `None` if the answer makes no sense
/// or cannot be said in options.
#[must_use]
pub fn parse_clang(stderr: &[u8], asked: &[OsString]) -> Option<Vec<OsString>> {
    let command = inner_command(stderr, &[b"clang", b"-cc1"])?;
    let after = |option: &[u8]| {
        command
            .windows(2)
            .find(|pair| pair[0] == option)
            .map(|pair| pair[1].clone())
    };
    let has = |option: &[u8]| asked.iter().any(|word| word.as_bytes().starts_with(option));
    let said = |option: &[u8], value: Vec<u8>| [option, &value].concat();
    let triple = after(b"-triple")?;
    let x86 =
        triple.starts_with(b"x86_64") || triple.starts_with(b"i386") || triple.starts_with(b"i686");
    let mut expansion = Vec::new();
    if !x86 {
        // Features have no options of their own there; the processor's name implies them.
        if has(b"-march=") {
            return None;
        }
        expansion.push(said(b"-mcpu=", after(b"-target-cpu")?));
        return finish(expansion);
    }
    if has(b"-march=") {
        expansion.push(said(b"-march=", after(b"-target-cpu")?));
        let features = command
            .windows(2)
            .filter(|pair| pair[0] == b"-target-feature")
            .map(|pair| &pair[1]);
        let named: BTreeSet<&Vec<u8>> = features.filter(|feature| feature.len() > 1).collect();
        // What is missing goes first: it also switches off what builds on it.
        for (sign, option) in [(b'-', &b"-mno-"[..]), (b'+', b"-m")] {
            let of_sign = named
                .iter()
                .filter(|feature| feature[0] == sign && !NO_OPTION.contains(&&feature[1..]));
            expansion.extend(of_sign.map(|feature| [option, &feature[1..]].concat()));
        }
    }
    if has(b"-mtune=") {
        expansion.push(said(b"-mtune=", after(b"-tune-cpu")?));
    }
    finish(expansion)
}

/// The expansion, unless something in it still says `native`.
fn finish(words: Vec<Vec<u8>>) -> Option<Vec<OsString>> {
    let sane = words
        .iter()
        .all(|word| !word.ends_with(b"=native") && !word.contains(&b'/'));
    sane.then(|| words.into_iter().map(OsString::from_vec).collect())
}

/// The words of the first command that runs the program `marks[0]` (compared with the beginning of its file name)
/// with `marks[1]` as the first argument, if given.
fn inner_command(stderr: &[u8], marks: &[&[u8]]) -> Option<Vec<Vec<u8>>> {
    inner_commands(stderr).find(|words| {
        let mut base = words
            .first()
            .map_or(OsStr::new(""), |word| OsStr::from_bytes(word));
        base = OsStr::from_bytes(crate::lang::base(base));
        base.as_bytes().starts_with(marks[0])
            && marks
                .get(1)
                .is_none_or(|mark| words.get(1).is_some_and(|word| word == mark))
    })
}

/// The commands that a compiler prints on standard error for `-###`, each as its words.
pub fn inner_commands(stderr: &[u8]) -> impl Iterator<Item = Vec<Vec<u8>>> {
    stderr
        .split(|&b| b == b'\n')
        .filter(|line| line.starts_with(b" "))
        .map(split)
        // Clang's remark `(in-process)` stands in a line of its own.
        .filter(|words| words.first().is_some_and(|word| !word.starts_with(b"(")))
}

/// Splits a line at spaces; double quotes keep words together, a backslash inside them keeps the next byte.
fn split(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quoted = false;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            b'\\' if quoted => word.get_or_insert_default().extend(bytes.next()),
            b' ' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn check_gcc(stderr: &str, asked: &str, expect: Option<&str>) {
        assert_eq!(
            parse_gcc(stderr.as_bytes(), &words(asked)),
            expect.map(words),
            "{asked}"
        );
    }

    fn check_clang(stderr: &str, asked: &str, expect: Option<&str>) {
        assert_eq!(
            parse_clang(stderr.as_bytes(), &words(asked)),
            expect.map(words),
            "{asked}"
        );
    }

    #[test]
    fn gcc_answers() {
        let line = "Target: x\n /usr/lib/gcc/12/cc1 -E -quiet /dev/null \"-march=znver3\" -mavx2 -mno-xop --param \
                    \"l1-cache-size=48\" \"-mtune=znver3\" -dumpbase null\nCOMPILER_PATH=/x\n";
        check_gcc(
            line,
            "-march=native",
            Some("-march=znver3 -mavx2 -mno-xop --param l1-cache-size=48 -mtune=znver3"),
        );
        check_gcc(
            line,
            "-mtune=native",
            Some("-mavx2 -mno-xop --param l1-cache-size=48 -mtune=znver3"),
        );
        let arm =
            " /usr/lib/gcc/cc1 -E /dev/null -mlittle-endian -mabi=lp64 -mcpu=neoverse-n1+crc\n";
        check_gcc(
            arm,
            "-mcpu=native",
            Some("-mlittle-endian -mabi=lp64 -mcpu=neoverse-n1+crc"),
        );
        check_gcc(
            " /usr/lib/gcc/cc1 -E -march=native\n",
            "-march=native",
            None,
        );
        check_gcc("gcc: error: nothing\n", "-march=native", None);
    }

    #[test]
    fn clang_answers() {
        let line = "clang version 14\n \"/usr/lib/llvm/bin/clang\" \"-cc1\" \"-triple\" \"x86_64-pc-linux-gnu\" \"-E\" \
                    \"-target-cpu\" \"skylake\" \"-target-feature\" \"+avx2\" \"-target-feature\" \"-xop\" \
                    \"-target-feature\" \"+64bit\" \"-tune-cpu\" \"generic\"\n";
        check_clang(
            line,
            "-march=native",
            Some("-march=skylake -mno-xop -mavx2"),
        );
        check_clang(line, "-mtune=native", Some("-mtune=generic"));
        let arm = " \"/usr/bin/clang-14\" \"-cc1\" \"-triple\" \"aarch64-linux-gnu\" \"-target-cpu\" \"neoverse-n1\"\n";
        check_clang(arm, "-mcpu=native", Some("-mcpu=neoverse-n1"));
        check_clang(arm, "-march=native", None);
    }
}
