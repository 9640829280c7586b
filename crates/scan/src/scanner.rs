//! The scanner: what is kept between scans, and how a scan starts.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::expand::Scratch;
use crate::files::Files;
use crate::hash::FastMap;
use crate::limits::{MEMORY_BYTES_MAX, VISIT_STEPS_MIN};
use crate::lookups::{LookupId, Lookups};
use crate::memo::Memos;
use crate::mode::Mode;
use crate::names::Name;
use crate::options::{Change, Language, Options};
use crate::parse;
use crate::parsed::Parsed;
use crate::reads::{Desk, Reading, Reads};
use crate::report::{Doubt, Scan};
use crate::state::State;
use crate::store::Store;
use crate::toolchain::{Family, Question, Toolchain};
use crate::trail::Trail;
use crate::tree::{NodeId, Tree};
use crate::visits::Visits;
use crate::walk::Walk;
use crate::walk::used::Used;

/// A toolchain that a scanner knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ToolchainId(usize);

/// One compile.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The compiler, with the options and the language of this compile.
    pub toolchain: ToolchainId,
    /// Its command line.
    pub options: &'a Options,
    /// Its working directory; absolute.
    pub cwd: &'a Path,
    /// Directories of `CPATH`, the empty one being `.`.
    pub cpath: &'a [PathBuf],
    /// Directories of `C_INCLUDE_PATH`, `CPLUS_INCLUDE_PATH` or what else belongs to the language.
    pub language_path: &'a [PathBuf],
}

/// Definitions of a command line.
type Lines = (Vec<u8>, Mode, Arc<Parsed>);

#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) toolchain: Toolchain,
    given: Vec<(Question, u64)>,
    pub(crate) answers: FastMap<(Name, Name), u64>,
    pub(crate) macros: Option<(Mode, Arc<Parsed>)>,
    pub(crate) built_ins: Vec<Name>,
    pub(crate) system: Vec<Vec<u8>>,
}

/// Finds the files that compiles read, faster and faster. Not shared between threads; each may have its own.
#[derive(Debug)]
pub struct Scanner {
    pub(crate) store: Store,
    pub(crate) state: State,
    pub(crate) tree: Tree,
    pub(crate) memos: Memos,
    pub(crate) toolchains: Vec<Known>,
    pub(crate) reads: Reads,
    pub(crate) lookups: Lookups,
    pub(crate) visits: Visits,
    /// Parsed command lines by their hash.
    lines: FastMap<u64, Vec<Lines>>,
    lines_bytes: usize,
    pub(crate) trail: Trail,
    /// Scratch: the lookups that what is done again rests on.
    pub(crate) again: Vec<LookupId>,
    /// Files that this scan has used, and asked for.
    pub(crate) used: Used,
    pub(crate) probed: Used,
    pub(crate) scratch: Scratch,
    /// Take some conditions for unknown, as this number says.
    pub(crate) blind: Option<u64>,
    /// Visits of headers are kept from so many steps on.
    pub(crate) visit_steps_min: u64,
    /// Bytes to keep at most.
    memory_max: usize,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// A scanner that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::with_memory(MEMORY_BYTES_MAX)
    }

    /// A scanner that keeps about so many bytes at most.
    #[must_use]
    pub fn with_memory(memory_max: usize) -> Self {
        let mut store = Store::new();
        let state = State::new(&mut store.names);
        Self {
            store,
            state,
            tree: Tree::new(),
            memos: Memos::default(),
            toolchains: Vec::new(),
            reads: Reads::default(),
            lookups: Lookups::default(),
            visits: Visits::default(),
            lines: FastMap::default(),
            lines_bytes: 0,
            trail: Trail::default(),
            again: Vec::new(),
            used: Used::default(),
            probed: Used::default(),
            scratch: Scratch::default(),
            blind: None,
            visit_steps_min: VISIT_STEPS_MIN,
            memory_max,
        }
    }

    /// Makes a toolchain known.
    pub fn learn(&mut self, toolchain: Toolchain) -> ToolchainId {
        let system = toolchain
            .dirs
            .iter()
            .map(|dir| dir.as_os_str().as_bytes().to_vec())
            .collect();
        self.toolchains.push(Known {
            toolchain,
            given: Vec::new(),
            answers: FastMap::default(),
            macros: None,
            built_ins: Vec::new(),
            system,
        });
        let id = ToolchainId(self.toolchains.len() - 1);
        self.prepare(id);
        id
    }

    /// Makes answers of a compiler known, for [`Scan::questions`].
    pub fn answer(&mut self, toolchain: ToolchainId, answers: &[(Question, u64)]) {
        let known = &mut self.toolchains[toolchain.0];
        for (question, answer) in answers {
            let operator = self.store.names.intern(question.operator.as_bytes());
            let operand = self.store.names.intern(question.operand.as_bytes());
            known.answers.insert((operator, operand), *answer);
            known.given.push((question.clone(), *answer));
        }
        self.memos.forget_unanswered();
    }

    /// Finds every file that a compile can read.
    pub fn scan(&mut self, files: &mut dyn Files, request: &Request<'_>) -> Scan {
        if self.memory() > self.memory_max {
            self.forget();
        }
        self.tree.start_scan();
        self.trail.clear();
        self.state.reset();
        Walk::scan(self, files, request)
    }

    /// For tests: takes every eighth condition for unknown, chosen by a number. Answers grow, and must not shrink.
    pub fn blind(&mut self, choice: u64) {
        self.memos.forget();
        self.visits.forget();
        self.blind = Some(choice);
    }

    /// For tests: remembers every visit of a header, however small, and reads every directory in which anything is
    /// looked for in vain.
    pub fn remember_every_visit(&mut self) {
        self.visit_steps_min = 0;
        self.tree.vain_looks = 1;
    }

    /// Bytes held, roughly.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.store.memory()
            + self.tree.memory()
            + self.memos.memory()
            + self.reads.memory()
            + self.lookups.memory()
            + self.visits.memory()
            + self.state.log.memory()
            + self.lines_bytes
    }

    /// Forgets everything but the toolchains.
    pub fn forget(&mut self) {
        let vain_looks = self.tree.vain_looks;
        let toolchains = std::mem::take(&mut self.toolchains);
        *self = Self {
            blind: self.blind,
            visit_steps_min: self.visit_steps_min,
            ..Self::with_memory(self.memory_max)
        };
        self.tree.vain_looks = vain_looks;
        for old in toolchains {
            let id = self.learn(old.toolchain);
            self.answer(id, &old.given);
        }
    }

    fn prepare(&mut self, id: ToolchainId) {
        let known = &mut self.toolchains[id.0];
        known.built_ins = known
            .toolchain
            .built_ins
            .iter()
            .map(|name| self.store.names.intern(name))
            .collect();
    }

    /// The toolchain of a request.
    pub(crate) fn known(&self, id: ToolchainId) -> &Known {
        &self.toolchains[id.0]
    }

    /// How this compile's sources are cut into tokens.
    pub(crate) fn mode(&self, id: ToolchainId, options: &Options) -> Mode {
        let toolchain = &self.known(id).toolchain;
        let (cxx, c, strict) = (toolchain.cxx, toolchain.c, toolchain.strict);
        let gcc = toolchain.family == Family::Gcc;
        let modules = options
            .unfollowed
            .iter()
            .any(|word| word.starts_with(b"-fmodule"));
        Mode {
            raw_strings: cxx.map_or(gcc && !strict && c >= 199_901, |cxx| cxx >= 201_103),
            separators: cxx.map_or(c >= 202_000, |cxx| cxx >= 201_402),
            trigraphs: options.trigraphs
                || (strict && cxx.map_or(c < 202_000, |cxx| cxx < 201_703)),
            line_comments: cxx.is_some() || !strict || c >= 199_901,
            cxx: cxx.is_some(),
            asm: options.language() == Some(Language::AssemblerWithCpp),
            modules: modules || (!gcc && cxx.is_some_and(|cxx| cxx > 201_703)),
        }
    }

    /// The compiler's own macros as directives.
    pub(crate) fn macros(&mut self, id: ToolchainId, mode: Mode) -> Arc<Parsed> {
        if let Some((known, parsed)) = &self.toolchains[id.0].macros
            && *known == mode
        {
            return Arc::clone(parsed);
        }
        let parsed = Arc::new(parse::parse(
            self.toolchains[id.0].toolchain.macros.clone(),
            mode,
            &mut self.store,
        ));
        self.toolchains[id.0].macros = Some((mode, Arc::clone(&parsed)));
        parsed
    }

    /// `-D` and `-U` as directives.
    pub(crate) fn command_line(&mut self, options: &Options, mode: Mode) -> Arc<Parsed> {
        let mut text = Vec::new();
        for change in &options.changes {
            match change {
                Change::Define(words) => {
                    text.extend_from_slice(b"#define ");
                    let line = words.split(|&b| b == b'\n').next().unwrap_or_default();
                    match line.iter().position(|&b| b == b'=') {
                        Some(at) => {
                            text.extend_from_slice(&line[..at]);
                            text.push(b' ');
                            text.extend_from_slice(&line[at + 1..]);
                        }
                        None => {
                            text.extend_from_slice(line);
                            text.extend_from_slice(b" 1");
                        }
                    }
                }
                Change::Undefine(name) => {
                    text.extend_from_slice(b"#undef ");
                    text.extend_from_slice(name);
                }
            }
            text.push(b'\n');
        }
        let hash = crate::hash::bytes64(&text);
        let same = self.lines.entry(hash).or_default();
        if let Some((.., parsed)) = same.iter().find(|it| it.0 == text && it.1 == mode) {
            return Arc::clone(parsed);
        }
        let parsed = Arc::new(parse::parse(text.clone(), mode, &mut self.store));
        self.lines_bytes += parsed.memory() + text.len();
        self.lines
            .entry(hash)
            .or_default()
            .push((text, mode, Arc::clone(&parsed)));
        parsed
    }

    /// A file's directives.
    pub(crate) fn parsed(
        &mut self,
        files: &mut dyn Files,
        node: NodeId,
        mode: Mode,
        reading: Reading,
    ) -> Result<Arc<Parsed>, Doubt> {
        let (reads, mut desk) = self.desk(files);
        reads.parsed(&mut desk, node, mode, reading)
    }

    /// What was read, and what reading takes.
    pub(crate) fn desk<'a>(&'a mut self, files: &'a mut dyn Files) -> (&'a mut Reads, Desk<'a>) {
        let desk = Desk {
            tree: &mut self.tree,
            store: &mut self.store,
            files,
        };
        (&mut self.reads, desk)
    }
}
