//! Options whose argument decides whether the compile may leave this machine.
//!
//! Arguments for other programs inside the compiler (the assembler, Clang's inner compiler, LLVM) are judged by lists
//! of what is known to be harmless: anything else stays here, and a server refuses it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::action::may_go_to_worker;
use crate::name::Family;
use crate::placement::Protocol;
use crate::table::{Effect, find};
use crate::text_action::may_go_with_text;
use crate::why::WhyLocal;
use crate::words::{Item, What};

/// Beginnings of assembler options that neither read nor write files, for GNU as and Clang's own assembler.
#[rustfmt::skip]
const ASSEMBLER_HARMLESS: &[&str] = &[
    "--32", "--64", "--compress-debug-sections", "--divide", "--elf-stt-common=", "--execstack", "--fatal-warnings",
    "--gdwarf-", "--gen-debug", "--generate-missing-build-notes=", "--gstabs", "--keep-locals", "--no-pad-sections", "--no-warn",
    "--nocompress-debug-sections", "--noexecstack", "--reduce-memory-overheads", "--size-check=", "--strip-local-absolute",
    "--traditional-format", "--warn", "--x32", "-force_cpusubtype_ALL", "-g", "-m",
];

/// The same, whole: GNU as takes several one-letter options in one word, so `-Ra=FILE` would write a listing.
const ASSEMBLER_HARMLESS_WHOLE: &[&str] = &[
    "--defsym", "-EB", "-EL", "-G0", "-K", "-L", "-O", "-R", "-W", "-defsym", "-n",
];

/// Beginnings of options of Clang's inner compiler that only concern the compile proper.
#[rustfmt::skip]
const XCLANG_HARMLESS: &[&str] = &[
    "-O", "-W", "-aux-target-feature", "-debug-info-kind=", "-disable-", "-dwarf-", "-f", "-m", "-menable-", "-mllvm",
    "-no-enable-noundef-analysis", "-enable-noundef-analysis", "-no-opaque-pointers", "-opaque-pointers", "-target-abi",
    "-target-cpu", "-target-feature", "-triple", "-tune-cpu", "-vectorize-", "-w",
];

/// Formats of diagnostics that go where text goes.
const FORMATS_ON_STDERR: &[&str] = &["json", "json-stderr", "sarif-stderr", "text"];

/// Parts of LLVM option names that tell of files.
const LLVM_FILES: &[&str] = &[
    "load", "file", "path", "dir", "output", "dump", "/", "json", "plugin", "list",
];

/// Why this item keeps the compile on the client; `None` if it does not. `previous` is the argument of the last
/// `-Xclang` before it: the inner compiler sees only those, and some come in pairs.
pub(crate) fn verdict(
    item: &Item,
    args: &[OsString],
    previous: &OsStr,
    family: Option<Family>,
    protocol: Protocol,
) -> Option<WhyLocal> {
    let value = item.value(args);
    match item.what {
        What::Operand => return None,
        What::Unfinished { .. } => return Some(WhyLocal::UnfinishedOption),
        What::Unknown => return names_path(&args[item.word]).then_some(WhyLocal::UnknownPath),
        What::Known { row, .. } if protocol == Protocol::Native && may_go_to_worker(row) => {
            return None;
        }
        What::Known { row, .. } if protocol == Protocol::Text && may_go_with_text(row) => {
            return None;
        }
        What::Known { .. } => {}
    }
    match item.effect(family)? {
        Effect::Local(why) => Some(why),
        // Some compiler may take the option for a flag, and then its argument for an option.
        Effect::Plain if item.words == 2 && value.as_bytes().starts_with(b"-") => {
            Some(WhyLocal::AmbiguousOption)
        }
        Effect::Assembler if args[item.word].as_bytes().starts_with(b"-Wa,") => value
            .as_bytes()
            .split(|&b| b == b',')
            .find_map(|word| assembler(OsStr::from_bytes(word))),
        Effect::Assembler => assembler(value),
        Effect::Xclang => xclang(value, previous, family),
        Effect::Llvm => llvm(value),
        Effect::DumpLetters => {
            // Names of registers and patterns as comments in assembler text: no file, but only with these letters.
            let harmless = value
                .as_bytes()
                .iter()
                .all(|letter| b"APp".contains(letter));
            (!harmless || value.is_empty()).then_some(WhyLocal::Dump)
        }
        Effect::DiagnosticsFormat if protocol == Protocol::Native => {
            (!FORMATS_ON_STDERR.iter().any(|format| value == *format))
                .then_some(WhyLocal::DiagnosticsFile)
        }
        Effect::DiagnosticsFormat => (value != "text").then_some(WhyLocal::DiagnosticsFile),
        Effect::MaybeFile => value
            .as_bytes()
            .contains(&b'=')
            .then_some(WhyLocal::DiagnosticsFile),
        Effect::BlockSections => value
            .as_bytes()
            .starts_with(b"list=")
            .then_some(WhyLocal::InputFile),
        // Stock servers refuse the bare spelling; for Clang there is another one that means the same.
        Effect::Lto => (family == Some(Family::Gcc)).then_some(WhyLocal::Lto),
        _ => None,
    }
}

/// Whether a word without a row has a path in its argument.
fn names_path(word: &OsStr) -> bool {
    word.as_bytes().contains(&b'/')
}

fn begins(value: &OsStr, list: &[&str]) -> bool {
    list.iter()
        .any(|begin| value.as_bytes().starts_with(begin.as_bytes()))
}

fn assembler(word: &OsStr) -> Option<WhyLocal> {
    let bytes = word.as_bytes();
    let harmless = if bytes.starts_with(b"-") {
        begins(word, ASSEMBLER_HARMLESS)
            || ASSEMBLER_HARMLESS_WHOLE.iter().any(|whole| word == *whole)
    } else {
        // The argument of `--defsym`: a word without `=` could be a file to assemble.
        bytes.contains(&b'=')
            && bytes
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || b"_=.".contains(b))
    };
    // Stock servers look for listings with a plain text search.
    let listing = bytes.starts_with(b"-a") || bytes.starts_with(b"--MD");
    (!harmless || listing || bytes.contains(&b'/')).then_some(WhyLocal::AssemblerOptions)
}

fn xclang(value: &OsStr, previous: &OsStr, family: Option<Family>) -> Option<WhyLocal> {
    if previous == "-mllvm" {
        return llvm(value);
    }
    if !value.as_bytes().starts_with(b"-") {
        // The argument of the option before, which was judged there; paths were not.
        return names_path(value).then_some(WhyLocal::CompilerPlugin);
    }
    if previous == "-target-feature" {
        // A feature may look like an option, but must not look like one that does harm.
        let harm = find(value.as_bytes()).filter(|(row, _)| matches!(row.effect, Effect::Local(_)));
        return harm.map(|_| WhyLocal::CompilerPlugin);
    }
    if !begins(value, XCLANG_HARMLESS) || names_path(value) {
        return Some(WhyLocal::CompilerPlugin);
    }
    // One letter and the rest of the word is the driver's way to write options, not the inner compiler's.
    let row = find(value.as_bytes())
        .filter(|(row, _)| row.name.len() > 2)
        .map(|(row, _)| row.effect);
    match row {
        None | Some(Effect::Plain | Effect::PathName | Effect::Machine | Effect::Llvm) => None,
        Some(Effect::Local(why)) => Some(why),
        Some(Effect::Lto) if family == Some(Family::Clang) => None,
        Some(_) => Some(WhyLocal::CompilerPlugin),
    }
}

fn llvm(value: &OsStr) -> Option<WhyLocal> {
    let text = value.to_string_lossy();
    // Passes such as `-enable-load-pre` are not meant.
    let loads = text.trim_start_matches('-').starts_with("load") || !text.contains("load");
    let files = LLVM_FILES
        .iter()
        .filter(|part| **part != "load" || loads)
        .any(|part| text.contains(part));
    (files || !text.starts_with('-')).then_some(WhyLocal::CompilerPlugin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::cut;

    fn check(line: &str, expect: Option<WhyLocal>) {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let mut previous = OsStr::new("");
        let mut found = None;
        for item in &cut(&args) {
            found = found.or(verdict(
                item,
                &args,
                previous,
                Some(Family::Clang),
                Protocol::Stock,
            ));
            if item.effect(None) == Some(Effect::Xclang) {
                previous = item.value(&args);
            }
        }
        assert_eq!(found, expect, "{line}");
    }

    #[test]
    fn assembler_words() {
        check("-Wa,--noexecstack", None);
        check("-Wa,-mrelax-relocations=no,--fatal-warnings", None);
        check("-Wa,--defsym,X=1", None);
        check("-Xassembler --noexecstack", None);
        check("-Wa,-ahl=x.lst", Some(WhyLocal::AssemblerOptions));
        check("-Wa,--MD,x.d", Some(WhyLocal::AssemblerOptions));
        check("-Wa,-I,inc", Some(WhyLocal::AssemblerOptions));
        check("-Wa,-o,x.o", Some(WhyLocal::AssemblerOptions));
        check("-Wa,-Ra=x", Some(WhyLocal::AssemblerOptions));
        check("-Wa,x.s", Some(WhyLocal::AssemblerOptions));
        check("-Wa,@file", Some(WhyLocal::AssemblerOptions));
        check(
            "-Wa,--noexecstack,/etc/passwd",
            Some(WhyLocal::AssemblerOptions),
        );
    }

    #[test]
    fn inner_compiler_words() {
        check("-Xclang -fno-pch-timestamp", None);
        check("-Xclang -target-feature -Xclang +avx2", None);
        check("-Xclang -target-feature -Xclang -avx2", None);
        check("-Xclang -mllvm -Xclang -unroll-count=2", None);
        check("-mllvm -inline-threshold=5", None);
        check("-mllvm -enable-load-pre", None);
        check("-mllvm -load=x.so", Some(WhyLocal::CompilerPlugin));
        check("-mllvm -info-output-file=x", Some(WhyLocal::CompilerPlugin));
        check(
            "-Xclang -mllvm -Xclang -load=x.so",
            Some(WhyLocal::CompilerPlugin),
        );
        check("-Xclang -load -Xclang x.so", Some(WhyLocal::CompilerPlugin));
        check("-Xclang -plugin -Xclang x", Some(WhyLocal::CompilerPlugin));
        check("-Xclang -ast-dump", Some(WhyLocal::CompilerPlugin));
        check("-Xclang -fmodule-file=x", Some(WhyLocal::Modules));
        check("-Xclang -o -Xclang x", Some(WhyLocal::CompilerPlugin));
    }

    #[test]
    fn values() {
        check("-dA", None);
        check("-dp", None);
        check("-da", Some(WhyLocal::Dump));
        check("-dr", Some(WhyLocal::Dump));
        check("-fdiagnostics-format=text", None);
        check(
            "-fdiagnostics-format=sarif-file",
            Some(WhyLocal::DiagnosticsFile),
        );
        check("-fopt-info-vec", None);
        check("-fopt-info-vec=out.txt", Some(WhyLocal::DiagnosticsFile));
        check("-fbasic-block-sections=all", None);
        check("-fbasic-block-sections=list=x", Some(WhyLocal::InputFile));
        check("-fnew-thing=/some/file", Some(WhyLocal::UnknownPath));
        check("-ffile-prefix-map=/a=b", None);
        check("-o", Some(WhyLocal::UnfinishedOption));
    }
}
