//! What matters in the text between directives: files that the assembler reads, and `_Pragma`.

use memchr::memmem;

use crate::parsed::{AsmFile, Directive, Mode, Parsed, Unfollowed};
use crate::store::Store;
use crate::text::{is_space, is_word};

/// Notes `_Pragma` that would change macros or mark the file, which is not followed.
pub(crate) fn pragma_operators(src: &[u8], out: &mut Parsed) {
    let mut from = 0;
    while let Some(at) = memmem::find(&src[from..], b"_Pragma") {
        let start = from + at;
        let window = &src[start..src.len().min(start + 80)];
        let line = window.split(|&b| b == b'\n').next().unwrap_or_default();
        if [&b"push_macro"[..], b"pop_macro", b"pch_preprocess"]
            .iter()
            .any(|word| memmem::find(line, word).is_some())
        {
            out.directives
                .insert(0, Directive::Doubt(Unfollowed::PragmaOperator));
            out.lines.insert(0, 1);
            shift(&mut out.directives);
            return;
        }
        from = start + 7;
    }
}

/// Makes up for a directive that was put before all others.
fn shift(directives: &mut [Directive]) {
    for directive in directives {
        match directive {
            Directive::If { next, .. }
            | Directive::Ifdef { next, .. }
            | Directive::Ifndef { next, .. }
            | Directive::Elif { next, .. }
            | Directive::Elifdef { next, .. }
            | Directive::Else { next } => *next += 1,
            _ => {}
        }
    }
}

/// Finds what the assembler will read: `.incbin` and `.include` with a literal name, in assembler source or in the
/// strings of `asm` statements.
pub(crate) fn asm_files(src: &[u8], mode: Mode, store: &mut Store, out: &mut Parsed) {
    let mut from = 0;
    while let Some(at) = memmem::find(&src[from..], b".inc") {
        let start = from + at;
        from = start + 4;
        let word_len = src[start + 1..]
            .iter()
            .position(|&b| !is_word(b))
            .unwrap_or(0);
        let word = &src[start + 1..start + 1 + word_len];
        let source = word == b"include";
        if word != b"incbin" && !source {
            continue;
        }
        let mut after = &src[start + 1 + word_len..];
        while after.first().is_some_and(|&b| is_space(b)) {
            after = &after[1..];
        }
        let line = index(memchr::memchr_iter(b'\n', &src[..start]).count()) + 1;
        let escaped = after.starts_with(b"\\\"");
        let plain = mode.asm && after.starts_with(b"\"");
        if !escaped && !plain {
            // `.include` in prose, in a member access or in a string of another kind is nothing to us; `.incbin` with
            // an operand made by macros is.
            if !source && (after.starts_with(b"\"") || mode.asm) {
                out.directives
                    .push(Directive::Doubt(Unfollowed::AssemblerOperand));
                out.lines.push(line);
            }
            continue;
        }
        let after = &after[if escaped { 2 } else { 1 }..];
        let len = after
            .iter()
            .position(|&b| matches!(b, b'"' | b'\\' | b'\n'))
            .unwrap_or(after.len());
        if after.get(len) != Some(if escaped { &b'\\' } else { &b'"' }) {
            out.directives
                .push(Directive::Doubt(Unfollowed::AssemblerOperand));
            out.lines.push(line);
            continue;
        }
        out.asm.push(AsmFile {
            path: store.names.intern(&after[..len]),
            source,
            line,
        });
    }
}

fn index(n: usize) -> u32 {
    u32::try_from(n).expect("files are shorter than 4 GiB")
}
