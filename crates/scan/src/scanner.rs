//! The scanner: what is kept between scans, and how a scan starts.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::expand::Scratch;
use crate::files::{Files, Found, Stamp};
use crate::hash::FastMap;
use crate::limits::{FILE_BYTES_MAX, MEMORY_BYTES_MAX};
use crate::memo::Memos;
use crate::names::Name;
use crate::options::{Change, Language, Options};
use crate::parse;
use crate::parsed::{Mode, Parsed};
use crate::report::{Doubt, Scan};
use crate::state::State;
use crate::store::Store;
use crate::toolchain::{Family, Question, Toolchain};
use crate::tree::{NodeId, Tree};
use crate::walk::Walk;

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

/// What a file is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reading {
    Source,
    Assembler,
    Preprocessed,
}

/// A parsed file, whatever its path.
type Read = (Stamp, Mode, Reading, Arc<Parsed>);

/// Definitions of a command line.
type Lines = (Vec<u8>, Mode, Arc<Parsed>);

/// A parsed file at a path.
#[derive(Debug)]
struct Entry {
    stamp: Stamp,
    mode: Mode,
    reading: Reading,
    /// The scan that may use it, when it may not be used in others.
    only_in: Option<u32>,
    parsed: Arc<Parsed>,
    once: Option<Name>,
}

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
    entries: Vec<Option<Entry>>,
    /// Parsed files by inode and device.
    by_stamp: FastMap<(u64, u64), Vec<Read>>,
    /// Parsed command lines by their hash.
    lines: FastMap<u64, Vec<Lines>>,
    parsed_bytes: usize,
    scans: u32,
    pub(crate) scratch: Scratch,
    /// Take some conditions for unknown, as this number says.
    pub(crate) blind: Option<u64>,
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
            entries: Vec::new(),
            by_stamp: FastMap::default(),
            lines: FastMap::default(),
            parsed_bytes: 0,
            scans: 0,
            scratch: Scratch::default(),
            blind: None,
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

    /// The same, if it is the first one.
    pub(crate) fn learn_once(&mut self, toolchain: Toolchain) -> ToolchainId {
        if self.toolchains.is_empty() {
            self.learn(toolchain)
        } else {
            ToolchainId(0)
        }
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
        self.scans += 1;
        self.tree.start_scan();
        self.state.reset();
        Walk::scan(self, files, request)
    }

    /// For tests: takes every eighth condition for unknown, chosen by a number. Answers grow, and must not shrink.
    pub fn blind(&mut self, choice: u64) {
        self.memos.forget();
        self.blind = Some(choice);
    }

    /// Bytes held, roughly.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.store.memory()
            + self.tree.memory()
            + self.memos.memory()
            + self.parsed_bytes
            + self.entries.len() * size_of::<Option<Entry>>()
    }

    /// Forgets everything but the toolchains.
    pub fn forget(&mut self) {
        let toolchains = std::mem::take(&mut self.toolchains);
        let blind = self.blind;
        *self = Self::with_memory(self.memory_max);
        self.blind = blind;
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
        self.parsed_bytes += parsed.memory() + text.len();
        self.lines
            .entry(hash)
            .or_default()
            .push((text, mode, Arc::clone(&parsed)));
        parsed
    }

    /// A file's directives. Its node must have been looked at in this scan.
    pub(crate) fn parsed(
        &mut self,
        files: &mut dyn Files,
        node: NodeId,
        mode: Mode,
        reading: Reading,
    ) -> Result<Arc<Parsed>, Doubt> {
        let index = node.0 as usize;
        if self.entries.len() <= index {
            self.entries.resize_with(index + 1, || None);
        }
        let found = self.tree.look(node, files);
        let stamp = if let Found::File(stamp) = found {
            stamp
        } else {
            Stamp::default()
        };
        if let Some(entry) = &self.entries[index]
            && (entry.stamp, entry.mode, entry.reading) == (stamp, mode, reading)
            && entry.only_in.is_none_or(|scan| scan == self.scans)
        {
            return Ok(Arc::clone(&entry.parsed));
        }
        let settled = self.tree.is_settled(node) && found != Found::Null;
        let same = self
            .by_stamp
            .get(&(stamp.ino, stamp.dev))
            .filter(|_| settled);
        let same = same.and_then(|list| {
            list.iter()
                .find(|it| (it.0, it.1, it.2) == (stamp, mode, reading))
        });
        let parsed = match same {
            Some((.., parsed)) => Arc::clone(parsed),
            None => {
                let parsed = self.read(files, node, found, mode, reading)?;
                if settled {
                    let list = self.by_stamp.entry((stamp.ino, stamp.dev)).or_default();
                    list.push((stamp, mode, reading, Arc::clone(&parsed)));
                }
                parsed
            }
        };
        let only_in = (!settled).then_some(self.scans);
        self.entries[index] = Some(Entry {
            stamp,
            mode,
            reading,
            only_in,
            parsed: Arc::clone(&parsed),
            once: None,
        });
        Ok(parsed)
    }

    fn read(
        &mut self,
        files: &mut dyn Files,
        node: NodeId,
        found: Found,
        mode: Mode,
        reading: Reading,
    ) -> Result<Arc<Parsed>, Doubt> {
        let spelled = || String::from_utf8_lossy(self.tree.spelled(node)).into_owned();
        let bytes = match found {
            Found::Null => Vec::new(),
            Found::File(stamp) if stamp.size > FILE_BYTES_MAX => {
                return Err(Doubt::Limit("FILE_BYTES_MAX"));
            }
            _ => files
                .read(self.tree.path(node))
                .ok_or_else(|| Doubt::Unreadable(spelled()))?,
        };
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(Doubt::Limit("FILE_BYTES_MAX"));
        }
        let parsed = Arc::new(match reading {
            Reading::Source => parse::parse(bytes, mode, &mut self.store),
            Reading::Assembler => parse::parse_assembler(bytes, mode, &mut self.store),
            Reading::Preprocessed => parse::parse_preprocessed(bytes, mode, &mut self.store),
        });
        self.parsed_bytes += parsed.memory();
        Ok(parsed)
    }

    /// The unspeakable name that is marked when a file must not be entered again.
    pub(crate) fn once(&mut self, node: NodeId, family: Family) -> Name {
        let entry = self.entries[node.0 as usize]
            .as_mut()
            .expect("the file was parsed in this scan");
        if let Some(name) = entry.once {
            return name;
        }
        let stamp = entry.stamp;
        // GCC takes files of equal time and content for the same; Clang goes by the inode.
        let key = match family {
            Family::Gcc if entry.parsed.once => format!(
                "\0once {} {} {}",
                stamp.size, stamp.mtime_ns, entry.parsed.content
            ),
            _ => format!("\0once {} {}", stamp.dev, stamp.ino),
        };
        let name = self.store.names.intern(key.as_bytes());
        entry.once = Some(name);
        name
    }
}
