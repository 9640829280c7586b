//! What a server lets a client run: exactly one plain compile, which reads and writes nothing else.
//!
//! The client's words are cut with the same table that the client side uses. What only a preprocessor or linker would
//! look at is dropped, what reads or writes other files or loads code is refused, and the rest is what the compiler
//! gets, with the server's own names for source and output put in.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::deps::{Asked, Dependency};
use crate::invocation::{Mode, is_native, operands};
use crate::lang::{Kind, Language};
use crate::name::{Driver, Family};
use crate::placement::Protocol;
use crate::refusal::{Refusal, RefusalCode};
use crate::table::Effect;
use crate::values::verdict;
use crate::words::{Item, What, cut};

/// How the source reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Protocols 1 and 2: one preprocessed file. Options for the preprocessor are leftovers and are dropped.
    Preprocessed,
    /// Protocol 3: the source and its headers are files below the job's own root.
    Files,
}

/// Where a path stands on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathAt {
    /// Index of the word in [`ServerCommand::argv`].
    pub word: usize,
    /// Bytes of the word before the path begins: 2 for `-Idir`, 0 for a word of its own.
    pub offset: usize,
}

/// A compile that a server may run, with its own file names to be put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCommand {
    /// The command, compiler name first, already free of words that must not reach the compiler.
    pub argv: Vec<OsString>,
    /// The word of `argv` that is the source.
    pub source: PathAt,
    /// The word of `argv` that is the output.
    pub output: PathAt,
    /// The language of the source. `argv` says it for preprocessed text, whatever the file is called.
    pub language: Language,
    /// `-S` was given: the output is assembler text.
    pub assembler_text: bool,
    /// [`Input::Files`]: where `argv` names input files or directories (the source not among them), to be moved below
    /// the job's root if absolute.
    pub paths: Vec<PathAt>,
    /// [`Input::Files`]: what the client wants in the dependency file; `None` if it did not ask.
    pub dependency: Option<Dependency>,
}

impl ServerCommand {
    /// The argv (compiler name first) with the server's own names for source and output.
    #[must_use]
    pub fn argv_for(&self, source: &OsStr, output: &OsStr) -> Vec<OsString> {
        let mut argv = self.argv.clone();
        argv[self.source.word] = source.to_os_string();
        argv[self.output.word] = output.to_os_string();
        argv
    }

    /// The same command with each input path replaced by what `change` makes of it.
    #[must_use]
    pub fn with_paths(mut self, change: &mut dyn FnMut(&OsStr) -> OsString) -> Self {
        for at in &self.paths {
            let (name, path) = self.argv[at.word].as_bytes().split_at(at.offset);
            let path = change(OsStr::from_bytes(path));
            self.argv[at.word] = OsString::from_vec([name, path.as_bytes()].concat());
        }
        self
    }

    /// Words to append so that the compiler writes the dependency file to `file` with the target that the client
    /// asked for: `-MMD` where it did not ask at all, as stock servers do.
    #[must_use]
    pub fn dependency_argv(&self, file: &OsStr) -> Vec<OsString> {
        let wanted = self.dependency.as_ref();
        let write = if wanted.is_some_and(|wanted| wanted.system_headers) {
            "-MD"
        } else {
            "-MMD"
        };
        let mut argv: Vec<OsString> = vec![write.into(), "-MF".into(), file.to_os_string()];
        if wanted.is_some_and(|wanted| wanted.phony) {
            argv.push("-MP".into());
        }
        let targets = wanted.map_or(&[][..], |wanted| &wanted.targets);
        if targets.is_empty() {
            argv.extend(["-MQ".into(), self.argv[self.output.word].clone()]);
        }
        for target in targets {
            argv.extend([
                if target.quoted {
                    "-MQ".into()
                } else {
                    "-MT".into()
                },
                target.name.clone(),
            ]);
        }
        argv
    }
}

/// Checks the ARGV of a client (compiler name first) and says how to run it.
///
/// # Errors
/// A [`Refusal`] for anything but one plain compile that touches nothing outside its job.
pub fn server_check(argv: &[OsString], input: Input) -> Result<ServerCommand, Refusal> {
    let Some((compiler, args)) = argv.split_first() else {
        return Err(Refusal {
            code: RefusalCode::NotOneCompile,
            word: OsString::new(),
        });
    };
    let driver = Driver::guess(&[compiler]);
    let args = plain_cpp_words(args);
    if let Some(word) = args.iter().find(|word| word.as_bytes().starts_with(b"@")) {
        return Err(Refusal {
            code: RefusalCode::ServerFile,
            word: word.clone(),
        });
    }
    let items = cut(&args);
    let language = only_source(&args, &items, driver)?;
    let mut build = Build {
        args: &args,
        input,
        language,
        clang: driver.family == Family::Clang,
        argv: vec![compiler.clone()],
        paths: Vec::new(),
        asked: Asked::default(),
        mode: Mode::Link,
        source: None,
        output: None,
    };
    let mut previous = OsStr::new("");
    for item in &items {
        build.take(item, previous)?;
        if item.effect(None) == Some(Effect::Xclang) {
            previous = item.value(&args);
        }
    }
    build.finish()
}

/// Replaces `-Wp,A,B` and `-Xpreprocessor A` by `A` and `B`, as stock does on both sides. `-MD FILE` inside `-Wp,` is
/// `-MD -MF FILE` outside.
fn plain_cpp_words(args: &[OsString]) -> Vec<OsString> {
    let mut plain = Vec::with_capacity(args.len());
    for item in cut(args) {
        if item.effect(None) != Some(Effect::CppWords)
            || item.words == 1 && !args[item.word].as_bytes().starts_with(b"-Wp,")
        {
            plain.extend_from_slice(item.slice(args));
            continue;
        }
        let value = item.value(args).as_bytes();
        let mut words: Vec<&[u8]> = if item.words == 1 {
            value.split(|&b| b == b',').collect()
        } else {
            vec![value]
        };
        if let [b"-MD" | b"-MMD", _, ..] = words[..] {
            words.insert(1, b"-MF");
        }
        plain.extend(
            words
                .into_iter()
                .map(|word| OsStr::from_bytes(word).to_os_string()),
        );
    }
    plain
}

/// The language of the one source; an error if there is not exactly one, or another operand beside it.
fn only_source(args: &[OsString], items: &[Item], driver: Driver) -> Result<Language, Refusal> {
    let refuse = |word: &OsString| Refusal {
        code: RefusalCode::NotOneCompile,
        word: word.clone(),
    };
    match &operands(args, items, driver)[..] {
        [only] => match only.kind {
            _ if args[only.word] == "-" || args[only.word].is_empty() => {
                Err(refuse(&args[only.word]))
            }
            Kind::Source(language) | Kind::Preprocessed(language) => Ok(language),
            _ => Err(refuse(&args[only.word])),
        },
        [] => Err(refuse(&OsString::new())),
        [_, second, ..] => Err(refuse(&args[second.word])),
    }
}

/// The command under construction.
struct Build<'a> {
    args: &'a [OsString],
    input: Input,
    language: Language,
    clang: bool,
    argv: Vec<OsString>,
    paths: Vec<PathAt>,
    asked: Asked,
    mode: Mode,
    source: Option<PathAt>,
    output: Option<PathAt>,
}

impl Build<'_> {
    /// Takes one item: into the command, or not, or refuses it.
    fn take(&mut self, item: &Item, previous: &OsStr) -> Result<(), Refusal> {
        let words = item.slice(self.args);
        let refuse = |code| {
            Err(Refusal {
                code,
                word: words.join(OsStr::new(" ")),
            })
        };
        if let Some(code) =
            verdict(item, self.args, previous, None, Protocol::Stock).and_then(RefusalCode::of)
        {
            return refuse(code);
        }
        if is_native(item, self.args) {
            return refuse(RefusalCode::Native);
        }
        if item.what == What::Operand {
            if self.input == Input::Preprocessed {
                self.argv
                    .extend(["-x".into(), self.language.preprocessed_name().into()]);
            }
            let word = self.argv.len();
            self.source = Some(PathAt { word, offset: 0 });
            self.argv.push(words[0].clone());
            return Ok(());
        }
        match item.effect(None) {
            Some(Effect::Mode(mode @ (Mode::Compile | Mode::AssembleText))) => {
                self.mode = self.mode.max(mode);
                self.argv.extend_from_slice(words);
            }
            Some(Effect::Mode(_)) => return refuse(RefusalCode::NotOneCompile),
            Some(Effect::Output) => {
                let value = item.value(self.args);
                if self.output.is_some() || value.is_empty() || value == "-" {
                    return refuse(RefusalCode::NotOneCompile);
                }
                self.output = Some(PathAt {
                    word: self.argv.len() + 1,
                    offset: 0,
                });
                self.argv.extend(["-o".into(), value.to_os_string()]);
            }
            Some(Effect::Dep(_)) if self.input == Input::Preprocessed => {
                return refuse(RefusalCode::ExtraOutput);
            }
            Some(Effect::Dep(dep)) => self.asked.driver(dep, item.value(self.args).to_os_string()),
            // Clang warns about these on the client's behalf; with -c nothing links.
            Some(Effect::Linker) if !self.clang => {}
            // The language is said anew, right before the source.
            Some(Effect::Language | Effect::Cpp | Effect::CppPath)
                if self.input == Input::Preprocessed => {}
            Some(Effect::CppPath) => {
                let (at, offset) = item.value_at();
                self.paths.push(PathAt {
                    word: self.argv.len() + at - item.word,
                    offset,
                });
                self.argv.extend_from_slice(words);
            }
            // Already replaced; here only with its argument missing.
            Some(Effect::CppWords) => return refuse(RefusalCode::NotOneCompile),
            _ => self.argv.extend_from_slice(words),
        }
        Ok(())
    }

    fn finish(self) -> Result<ServerCommand, Refusal> {
        let refusal = Refusal {
            code: RefusalCode::NotOneCompile,
            word: OsString::new(),
        };
        let (Some(source), Some(output)) = (self.source, self.output) else {
            return Err(refusal);
        };
        if self.mode == Mode::Link {
            return Err(refusal);
        }
        let dependency = self.asked.write.map(|system_headers| Dependency {
            file: OsString::new(),
            targets: self.asked.targets.clone(),
            system_headers,
            phony: self.asked.phony,
        });
        Ok(ServerCommand {
            argv: self.argv,
            source,
            output,
            language: self.language,
            assembler_text: self.mode == Mode::AssembleText,
            paths: self.paths,
            dependency,
        })
    }
}
