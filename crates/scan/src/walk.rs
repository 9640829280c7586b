//! One scan: following directives through files as the compiler would, in both groups of a conditional where its value
//! is not known.

mod condition;
mod finish;
mod follow;
mod include;
mod replay;
pub(crate) mod used;

use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use crate::files::{Files, Found};
use crate::limits::EXPANSION_TOKENS_MAX;
use crate::lookups::{Again, Lookups};
use crate::memo::{Key, Memo};
use crate::mode::Mode;
use crate::names::Name;
use crate::options::{Language, Options};
use crate::parsed::{How, Parsed};
use crate::paths::PathId;
use crate::reads::Reading;
use crate::report::{Dates, Doubt, Scan, Why};
use crate::scanner::{Request, Scanner, ToolchainId};
use crate::search::{At, SearchPath, Sources, Wanted, World};
use crate::state::Binding;
use crate::toolchain::Family;
use crate::trail::{self, Look};
use crate::tree::NodeId;

/// A scan in progress.
pub(crate) struct Walk<'a> {
    scanner: &'a mut Scanner,
    files: &'a mut dyn Files,
    path: PathId,
    toolchain: ToolchainId,
    family: Family,
    mode: Mode,
    /// How the source is read.
    reading: Reading,
    /// `#elifdef` is certainly a directive.
    elifdef: bool,
    here: NodeId,
    base_file: Name,
    uses: Vec<Use>,
    unknown: Vec<Unknown>,
    /// What is found, but for files and unknown conditions.
    out: Scan,
    tokens_left: u64,
    depth: u32,
    /// Something marked a file to be entered only once.
    imports: bool,
    /// The next file is the first that is included, where precompiled headers count.
    first: bool,
    /// Precompiled headers count at all.
    takes_precompiled: bool,
    stopped: bool,
    /// What the visit of the current header has so far.
    inner: replay::Inner,
    /// Things done that cannot be done again from memory.
    tainted: u32,
    /// Answers of the compiler that were used.
    answers_used: u32,
}

/// Where a file is in the list of those that are used, in few bytes: such lists are kept for every source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UseIndex(NonZeroU32);

impl UseIndex {
    /// `None` for what no list is long enough for.
    pub(crate) fn new(index: usize) -> Option<Self> {
        let number = u32::try_from(index).ok()?.checked_add(1)?;
        NonZeroU32::new(number).map(Self)
    }

    pub(crate) fn get(self) -> usize {
        self.0.get() as usize - 1
    }

    /// One more than the index.
    pub(crate) fn number(self) -> u32 {
        self.0.get()
    }

    /// `None` for 0.
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }
}

/// A file of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) node: NodeId,
    pub(crate) from: Option<UseIndex>,
    /// Which directive of that file, from 1; 0 when none.
    pub(crate) spot: u32,
    pub(crate) why: Why,
}

/// A condition of unknown value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unknown {
    pub(crate) file: usize,
    pub(crate) spot: u32,
}

/// A directive being followed.
#[derive(Debug, Clone, Copy)]
struct Spot {
    /// Its number in its file, from 1.
    number: u32,
    /// Its line, from 1.
    line: u32,
}

/// A file being walked.
#[derive(Debug, Clone, Copy)]
struct Here {
    node: NodeId,
    at: At,
    /// Index of the file in the set.
    index: usize,
    /// `__FILE__` as `#line` has set it; `Some(None)` when not known.
    renamed: Option<Option<Name>>,
}

impl<'a> Walk<'a> {
    /// Scans one compile.
    pub(crate) fn scan(
        scanner: &'a mut Scanner,
        files: &'a mut dyn Files,
        request: &Request<'_>,
    ) -> Scan {
        let options = request.options;
        let mut out = Scan::default();
        for word in &options.unfollowed {
            out.doubts
                .push(Doubt::Option(String::from_utf8_lossy(word).into_owned()));
        }
        if options.response_files {
            out.doubts.push(Doubt::ResponseFile);
        }
        let (Some(source), Some(language)) = (options.source(), options.language()) else {
            out.doubts.push(Doubt::Source);
            return out;
        };
        let cwd = request.cwd.as_os_str().as_bytes();
        let source = scanner
            .tree
            .root(cwd, source.as_bytes(), &mut scanner.store.names);
        let here = scanner.tree.root(cwd, b"./", &mut scanner.store.names);
        let quoted = [b"\"", scanner.tree.spelled(source), b"\""].concat();
        let base_file = scanner.store.names.intern(&quoted);
        let known = scanner.known(request.toolchain);
        let (family, c, cxx) = (
            known.toolchain.family,
            known.toolchain.c,
            known.toolchain.cxx,
        );
        let reading = match language {
            Language::Source(_) | Language::AssemblerWithCpp => Reading::Source,
            Language::Assembler => Reading::Assembler,
            Language::Preprocessed => Reading::Preprocessed,
        };
        scanner.used.start(scanner.tree.scan());
        scanner.probed.start(scanner.tree.scan());
        let mut walk = Self {
            mode: scanner.mode(request.toolchain, options),
            path: PathId::default(),
            reading,
            toolchain: request.toolchain,
            family,
            elifdef: c > 202_000 || cxx.is_some_and(|cxx| cxx > 202_002),
            here,
            base_file,
            uses: Vec::new(),
            unknown: Vec::new(),
            out,
            tokens_left: EXPANSION_TOKENS_MAX,
            depth: 0,
            imports: false,
            first: !options.makes_precompiled,
            takes_precompiled: !options.makes_precompiled,
            stopped: false,
            inner: replay::Inner::default(),
            tainted: 0,
            answers_used: 0,
            scanner,
            files,
        };
        walk.run(request, source);
        walk.finish()
    }

    fn run(&mut self, request: &Request<'_>, source: NodeId) {
        if !matches!(
            self.scanner.tree.look(source, self.files),
            Found::File(_) | Found::Null
        ) {
            let name = String::from_utf8_lossy(self.scanner.tree.spelled(source)).into_owned();
            return self.doubt(Doubt::Missing(name));
        }
        let parsed = self
            .scanner
            .parsed(self.files, source, self.mode, self.reading);
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(doubt) => return self.doubt(doubt),
        };
        let key = Key::new(request, source);
        if self.replay_all(&key, &parsed) {
            return;
        }
        self.search_path(request);
        self.note_use(Use {
            node: source,
            from: None,
            spot: 0,
            why: Why::Source,
        });
        self.note_dates(&parsed);
        if self.reading == Reading::Source {
            self.before_source(request.options, request.toolchain, source);
        }
        self.named_files(request.options);
        let mut here = Here {
            node: source,
            at: At::Nowhere,
            index: 0,
            renamed: None,
        };
        self.directives(&parsed, &mut here);
        self.remember(key, parsed);
    }

    /// Takes the answer of an earlier scan if everything that it rests on is as it was.
    fn replay_all(&mut self, key: &Key, source: &Parsed) -> bool {
        let Some(memo) = self.scanner.memos.get(key, source) else {
            return false;
        };
        // Doubts name lines.
        if !memo.out.doubts.is_empty() && memo.source.lines != source.lines {
            return false;
        }
        let files = memo.uses.nodes().skip(1);
        let again = Again {
            scan: memo.scan,
            from: self.path,
            to: self.path,
        };
        if !self.holds(memo.grounds.nodes(), memo.grounds.lookups(), files, again) {
            return false;
        }
        self.uses = memo.uses.iter().collect();
        self.unknown = memo.unknown.to_vec();
        self.out = memo.out.clone();
        self.out.work.replayed = true;
        true
    }

    fn remember(&mut self, key: Key, source: Arc<Parsed>) {
        if self.scanner.trail.is_full() {
            return;
        }
        let memo = Memo {
            key,
            source,
            grounds: (&self.scanner.trail.grounds_since(trail::Mark::default())).into(),
            uses: self.uses.as_slice().into(),
            unknown: self.unknown.as_slice().into(),
            out: self.out.clone(),
            scan: self.scanner.tree.scan(),
        };
        self.scanner.memos.add(memo);
    }

    fn search_path(&mut self, request: &Request<'_>) {
        let bytes = |dirs: &[std::path::PathBuf]| -> Vec<Vec<u8>> {
            dirs.iter()
                .map(|dir| dir.as_os_str().as_bytes().to_vec())
                .collect()
        };
        let mut system = bytes(request.language_path);
        system.extend(self.scanner.known(request.toolchain).system.iter().cloned());
        let sources = Sources {
            options: request.options,
            cwd: request.cwd.as_os_str().as_bytes(),
            bracket: &bytes(request.cpath),
            system: &system,
            family: self.family,
        };
        let (lookups, mut world) = self.world();
        let (path, missing) = SearchPath::new(&sources, &mut world);
        let path = lookups.paths.intern(path);
        self.path = path;
        let tree = &self.scanner.tree;
        self.out.missing_dirs = missing
            .iter()
            .map(|&node| Arc::clone(tree.path(node)))
            .collect();
    }

    /// Macros of the compiler and the command line, and the files that come before the source.
    fn before_source(&mut self, options: &Options, toolchain: ToolchainId, source: NodeId) {
        for name in self.scanner.known(toolchain).built_ins.clone() {
            self.scanner.state.set(name, Binding::BUILT_IN);
        }
        let nowhere = Here {
            node: source,
            at: At::Nowhere,
            index: 0,
            renamed: None,
        };
        for parsed in [
            self.scanner.macros(toolchain, self.mode),
            self.scanner.command_line(options, self.mode),
        ] {
            self.note_dates(&parsed);
            self.directives(&parsed, &mut nowhere.clone());
        }
        for name in &options.imacros {
            self.named(name, nowhere);
        }
        let hosted = self.scanner.known(toolchain).toolchain.hosted;
        if self.family == Family::Gcc && hosted && !options.no_standard {
            let header = self.scanner.store.names.intern(b"stdc-predef.h");
            let wanted = Wanted {
                header,
                angled: true,
                next: false,
            };
            if let Some((node, at)) = self.find(wanted, nowhere) {
                self.enter(
                    node,
                    at,
                    Use {
                        node,
                        from: None,
                        spot: 0,
                        why: Why::Always,
                    },
                    How::Include,
                );
            }
        }
        for name in &options.includes {
            self.named(name, nowhere);
        }
    }

    /// A file of `-include` or `-imacros`.
    fn named(&mut self, name: &[u8], nowhere: Here) {
        let header = self.scanner.store.names.intern(name);
        let here = self.here;
        if self.takes_precompiled {
            self.precompiled_beside(header, here);
        }
        let path = self.path;
        let (lookups, mut world) = self.world();
        let found = lookups.find_named(path, header, here, &mut world);
        match self.readable(found) {
            Some((node, at)) => {
                let it = Use {
                    node,
                    from: UseIndex::new(nowhere.index),
                    spot: 0,
                    why: Why::CommandLine,
                };
                self.enter(node, at, it, How::Include);
            }
            None => self.missing(header),
        }
    }

    /// Files that options name.
    fn named_files(&mut self, options: &Options) {
        for name in &options.reads {
            let header = self.scanner.store.names.intern(name);
            let node = self
                .scanner
                .tree
                .child(self.here, header, &mut self.scanner.store.names);
            self.scanner.trail.look(Look::Node(node));
            if matches!(self.scanner.tree.look(node, self.files), Found::File(_)) {
                self.note_use(Use {
                    node,
                    from: None,
                    spot: 0,
                    why: Why::Option,
                });
            } else {
                self.doubt(Doubt::Option(String::from_utf8_lossy(name).into_owned()));
            }
        }
    }

    /// What was looked for, and what looking takes.
    fn world(&mut self) -> (&mut Lookups, World<'_>) {
        let Scanner {
            tree,
            store,
            lookups,
            trail,
            ..
        } = &mut *self.scanner;
        let world = World {
            tree,
            names: &mut store.names,
            files: self.files,
            trail,
        };
        (lookups, world)
    }

    fn note_use(&mut self, it: Use) -> usize {
        self.scanner.trail.use_file(it);
        if let Some(index) = self.scanner.used.get(it.node) {
            return index;
        }
        let index = self.uses.len();
        self.scanner.used.set(it.node, index);
        self.uses.push(it);
        index
    }

    /// Notes a file that a condition asks for.
    fn note_probe(&mut self, node: NodeId) {
        self.scanner.trail.probe(node);
        if self.scanner.probed.get(node).is_none() {
            self.scanner.probed.set(node, 0);
            let path = Arc::clone(self.scanner.tree.path(node));
            self.out.probed.push(path);
        }
    }

    fn note_dates(&mut self, parsed: &Parsed) {
        self.add_dates(Dates {
            date: parsed.date,
            time: parsed.time,
            timestamp: parsed.timestamp,
        });
    }

    /// Notes why a file may be missing.
    fn doubt(&mut self, doubt: Doubt) {
        self.tainted += 1;
        if !self.out.doubts.contains(&doubt) {
            self.out.doubts.push(doubt);
        }
    }

    fn limit(&mut self, name: &'static str) {
        self.stopped = true;
        self.doubt(Doubt::Limit(name));
    }
}
