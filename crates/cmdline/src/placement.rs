//! Decides whether a compile may leave this machine.
//!
//! The checks go from what the command line is for (asking, linking) over its source to single options, so that the
//! reason given is the one that a person would give.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::deps;
use crate::invocation::{Invocation, Mode, is_native};
use crate::lang::{self, Kind};
use crate::name::Family;
use crate::stock_scan;
use crate::table::Effect;
use crate::values::verdict;
use crate::why::WhyLocal;

/// A reason with the word that caused it.
type Local = (WhyLocal, Option<OsString>);

/// Base names of sources that configure scripts make: not worth sending, and their failures are no failures.
const PROBES: &[&str] = &["conftest.", "tmp.conftest."];

/// Who would run the compile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// A server that speaks distcc's protocol: compiles what has been preprocessed, and returns one file.
    Stock,
    /// A worker: has the files and the compiler of this machine, and returns whatever is written.
    Native,
    /// A worker that gets a text which was preprocessed here instead of the source.
    Text,
}

/// `Ok` if it is distributable.
pub(crate) fn decide(it: &Invocation, protocol: Protocol) -> Result<(), Local> {
    mode(it, protocol)?;
    source(it, protocol)?;
    options(it, protocol)?;
    output(it)?;
    if let Some((why, word)) = deps::obstacle(it) {
        return Err((why, Some(word)));
    }
    match protocol {
        Protocol::Stock => stock(it),
        Protocol::Native | Protocol::Text => Ok(()),
    }
}

fn mode(it: &Invocation, protocol: Protocol) -> Result<(), Local> {
    let why = match it.mode {
        Mode::Compile | Mode::AssembleText => return Ok(()),
        Mode::Ask => WhyLocal::Informational,
        Mode::Dependencies => WhyLocal::DependenciesOnly,
        Mode::Preprocess => WhyLocal::Preprocess,
        Mode::Check => WhyLocal::SyntaxOnly,
        Mode::Link if it.args.is_empty() => WhyLocal::NoSource,
        Mode::Link if it.makes_header() => return header(it, protocol),
        Mode::Link if makes_header_units(it) => WhyLocal::HeaderUnit,
        Mode::Link => WhyLocal::Link,
    };
    Err((why, None))
}

/// Whether all sources are headers that become header units.
fn makes_header_units(it: &Invocation) -> bool {
    let is_unit = |kind| kind == Kind::Other(WhyLocal::HeaderUnit);
    let mut kinds = it.operands.iter().map(|operand| operand.kind);
    !it.operands.is_empty() && kinds.all(is_unit)
}

/// Who may make a precompiled header.
fn header(it: &Invocation, protocol: Protocol) -> Result<(), Local> {
    let why = match (it.driver.family, protocol) {
        (Family::Clang, _) => WhyLocal::ClangPrecompiled,
        (Family::Gcc, Protocol::Native) if it.makes_header() => return Ok(()),
        // With `-S` it makes text.
        (Family::Gcc, Protocol::Native) => WhyLocal::MakesPrecompiled,
        (Family::Gcc, Protocol::Text) => WhyLocal::TextDiffers,
        (Family::Gcc, Protocol::Stock) => {
            decide(it, Protocol::Native)?;
            WhyLocal::MakesPrecompiled
        }
    };
    Err((why, None))
}

fn source(it: &Invocation, protocol: Protocol) -> Result<(), Local> {
    if let Some(word) = it
        .args
        .iter()
        .find(|word| word.as_bytes().starts_with(b"@"))
    {
        return Err((WhyLocal::ResponseFile, Some(word.clone())));
    }
    let source = match &it.sources[..] {
        [] => return Err((WhyLocal::NoSource, None)),
        [source] => source,
        [_, second, ..] => return Err((WhyLocal::SeveralSources, Some(second.clone()))),
    };
    let because = |why| Err((why, Some(source.clone())));
    if source == "-" || special_file(source) {
        return because(WhyLocal::StandardInput);
    }
    for operand in &it.operands {
        match operand.kind {
            Kind::Unknown => {
                return Err((
                    WhyLocal::AmbiguousOption,
                    Some(it.args[operand.word].clone()),
                ));
            }
            Kind::Other(WhyLocal::AssemblerSource) if protocol == Protocol::Native => {}
            Kind::Other(why) => return because(why),
            Kind::Header(_) => header(it, protocol)?,
            // Nothing would be another way.
            Kind::Preprocessed(_) if protocol == Protocol::Text => {
                return because(WhyLocal::TextDiffers);
            }
            Kind::Source(_) | Kind::Preprocessed(_) => {}
        }
    }
    let base = lang::base(source);
    if source == "/dev/null"
        || PROBES
            .iter()
            .any(|probe| base.starts_with(probe.as_bytes()))
    {
        return because(WhyLocal::Configure);
    }
    if base.is_empty() {
        return because(WhyLocal::NoSource);
    }
    Ok(())
}

fn options(it: &Invocation, protocol: Protocol) -> Result<(), Local> {
    let mut previous = OsStr::new("");
    let mut architectures = 0;
    for item in &it.items {
        if let Some(why) = verdict(item, &it.args, previous, Some(it.driver.family), protocol) {
            let words = item.slice(&it.args).join(OsStr::new(" "));
            return Err((why, Some(words)));
        }
        if item.effect(None) == Some(Effect::Xclang) {
            previous = item.value(&it.args);
        }
        architectures += usize::from(item.effect(None) == Some(Effect::Arch));
    }
    if architectures > 1 {
        Err((WhyLocal::Offload, None))
    } else {
        Ok(())
    }
}

fn output(it: &Invocation) -> Result<(), Local> {
    let odd = |word: &OsString| {
        word.is_empty() || word == "-" || word.as_bytes().ends_with(b"/") || special_file(word)
    };
    match &it.outputs_given[..] {
        [] => Ok(()),
        [only] if !odd(only) => Ok(()),
        [.., last] => Err((WhyLocal::OutputOdd, Some(last.clone()))),
    }
}

fn special_file(path: &OsStr) -> bool {
    deps::special_file(path)
}

/// Asks what a stock server would say. Native options are left out: they are gone when the command is sent.
fn stock(it: &Invocation) -> Result<(), Local> {
    let items: Vec<_> = it
        .items
        .iter()
        .filter(|item| !is_native(item, &it.args))
        .copied()
        .collect();
    let words = it.server_argv_with(&items, OsStr::new("/"));
    stock_scan::stumbles(&words)
        .map_err(|at| (WhyLocal::StockRefuses, at.map(|at| words[at].clone())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::understand;
    use crate::name::Driver;
    use crate::refusal::RefusalCode;
    use crate::table::{Effect, ROWS, Take, Who};
    use crate::{Input, Placement, server_check};

    /// The words of an option with an argument that makes sense for it.
    fn option(name: &str, take: Take, effect: Effect) -> Vec<OsString> {
        let value = match effect {
            Effect::Assembler => "--noexecstack",
            Effect::Xclang | Effect::Llvm => "-fno-builtin",
            Effect::CppWords => "-DX",
            Effect::Language => "c",
            Effect::DumpLetters => "A",
            Effect::DiagnosticsFormat => "text",
            _ => "value",
        };
        match take {
            Take::Nothing => vec![name.into()],
            Take::Joined | Take::Either => vec![format!("{name}{value}").into()],
            Take::Separate => vec![name.into(), value.into()],
        }
    }

    /// Every row does what it says, for a client and for a server.
    #[test]
    fn every_row_has_its_effect() {
        for row in ROWS {
            let family = if row.who == Who::Clang {
                Family::Clang
            } else {
                Family::Gcc
            };
            let option = option(row.name, row.take, row.effect);
            let mut args = [option.clone(), vec!["-c".into(), "a.c".into()]].concat();
            // Without it the other options of the dependency file mean nothing.
            if matches!(row.effect, Effect::Dep(_)) {
                args.push("-MD".into());
            }
            let it = understand(args.clone(), Driver { family, cxx: false });
            let sent = it.server_argv(OsStr::new("/"));
            let sent = sent.windows(option.len()).any(|words| words == option);
            let place = it.where_to();
            let server = server_check(
                &[vec!["gcc".into()], args, vec!["-o".into(), "a.o".into()]].concat(),
                Input::Preprocessed,
            );
            match row.effect {
                Effect::Local(why) => {
                    assert_eq!(place, Placement::Local(why), "{option:?}");
                    assert_eq!(
                        server.err().map(|refusal| refusal.code),
                        RefusalCode::of(why),
                        "{option:?}"
                    );
                }
                Effect::Mode(Mode::Compile | Mode::AssembleText) => {
                    assert_eq!(place, Placement::Distributable, "{option:?}")
                }
                Effect::Mode(_) => {
                    assert!(matches!(place, Placement::Local(_)), "{option:?}");
                    assert_eq!(
                        server.unwrap_err().code,
                        RefusalCode::NotOneCompile,
                        "{option:?}"
                    );
                }
                Effect::Dep(_) => assert!(
                    !sent && server.is_err() && place == Placement::Distributable,
                    "{option:?}"
                ),
                Effect::Cpp
                | Effect::CppPath
                | Effect::CppWords
                | Effect::Linker
                | Effect::Language => {
                    assert!(
                        !sent && server.is_ok() && place == Placement::Distributable,
                        "{option:?}"
                    );
                }
                Effect::Output => assert_eq!(it.output().unwrap(), "value", "{option:?}"),
                Effect::Lto => assert_eq!(place, Placement::Local(WhyLocal::Lto)),
                _ => assert!(
                    sent && server.is_ok() && place == Placement::Distributable,
                    "{option:?} {:?}",
                    it.explain()
                ),
            }
        }
    }

    /// No effect without a row, and no reason that nothing gives.
    #[test]
    fn every_effect_has_a_row() {
        let kinds: std::collections::HashSet<_> = ROWS
            .iter()
            .map(|row| std::mem::discriminant(&row.effect))
            .collect();
        // The variants of `Effect`; `every_row_has_its_effect` fails to say what a new one does until it is listed.
        assert_eq!(kinds.len(), 24);
    }
}
