//! One scan: following directives through files as the compiler would, in both groups of a conditional where its value
//! is not known.

mod condition;
mod follow;
mod include;

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use crate::files::{Files, Found};
use crate::hash::FastMap;
use crate::limits::EXPANSION_TOKENS_MAX;
use crate::memo::Memos;
use crate::names::Name;
use crate::options::{Language, Options};
use crate::parsed::{How, Mode, Parsed};
use crate::report::{Doubt, FileUse, Scan, Why};
use crate::scanner::{Reading, Request, Scanner, ToolchainId};
use crate::search::{At, SearchPath, Sources, Wanted, World};
use crate::state::Binding;
use crate::toolchain::Family;
use crate::tree::NodeId;

/// A scan in progress.
pub(crate) struct Walk<'a> {
    scanner: &'a mut Scanner,
    files: &'a mut dyn Files,
    path: SearchPath,
    toolchain: ToolchainId,
    family: Family,
    mode: Mode,
    /// `#elifdef` is certainly a directive.
    elifdef: bool,
    here: NodeId,
    base_file: Name,
    used: FastMap<NodeId, usize>,
    uses: Vec<Use>,
    out: Scan,
    tokens_left: u64,
    depth: u32,
    /// Something marked a file to be entered only once.
    imports: bool,
    /// The next file is the first that is included, where precompiled headers count.
    first: bool,
    stopped: bool,
}

/// A file of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) node: NodeId,
    pub(crate) from: Option<usize>,
    pub(crate) line: u32,
    pub(crate) why: Why,
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
        let mut walk = Self {
            mode: scanner.mode(request.toolchain, options),
            path: SearchPath::default(),
            toolchain: request.toolchain,
            family,
            elifdef: c > 202_000 || cxx.is_some_and(|cxx| cxx > 202_002),
            here,
            base_file,
            used: FastMap::default(),
            uses: Vec::new(),
            out,
            tokens_left: EXPANSION_TOKENS_MAX,
            depth: 0,
            imports: false,
            first: true,
            stopped: false,
            scanner,
            files,
        };
        walk.run(request, source, language);
        walk.finish()
    }

    fn run(&mut self, request: &Request<'_>, source: NodeId, language: Language) {
        let reading = match language {
            Language::Source(_) | Language::AssemblerWithCpp => Reading::Source,
            Language::Assembler => Reading::Assembler,
            Language::Preprocessed => Reading::Preprocessed,
        };
        if !matches!(
            self.scanner.tree.look(source, self.files),
            Found::File(_) | Found::Null
        ) {
            let name = String::from_utf8_lossy(self.scanner.tree.spelled(source)).into_owned();
            self.out.doubts.push(Doubt::Missing(name));
            return;
        }
        let parsed = match self.scanner.parsed(self.files, source, self.mode, reading) {
            Ok(parsed) => parsed,
            Err(doubt) => return self.out.doubts.push(doubt),
        };
        let key = Memos::key(request, source, &parsed, &self.scanner.store);
        if self.replay(&key) {
            return;
        }
        self.search_path(request);
        self.note_use(Use {
            node: source,
            from: None,
            line: 0,
            why: Why::Source,
        });
        self.note_dates(&parsed);
        if reading == Reading::Source {
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
        self.remember(key, source);
    }

    /// Takes the answer of an earlier scan if everything that it saw is unchanged.
    fn replay(&mut self, key: &crate::memo::Key) -> bool {
        let Some(memo) = self.scanner.memos.get(key) else {
            return false;
        };
        if !memo.holds(&mut self.scanner.tree, self.files) {
            return false;
        }
        self.uses = memo.uses.to_vec();
        self.out = (*memo.out).clone();
        self.out.work.replayed = true;
        true
    }

    fn remember(&mut self, key: crate::memo::Key, source: NodeId) {
        self.scanner
            .memos
            .add(key, source, &self.scanner.tree, &self.uses, &self.out);
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
        let (_, mut world) = self.world();
        let path = SearchPath::new(&sources, &mut world);
        self.path = path;
        let tree = &self.scanner.tree;
        self.out.missing_dirs = self
            .path
            .missing
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
                        line: 0,
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
        self.precompiled_beside(header, here);
        let (path, mut world) = self.world();
        let found = path.find_named(header, here, &mut world);
        match self.readable(found) {
            Some((node, at)) => {
                let it = Use {
                    node,
                    from: Some(nowhere.index),
                    line: 0,
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
            if matches!(self.scanner.tree.look(node, self.files), Found::File(_)) {
                self.note_use(Use {
                    node,
                    from: None,
                    line: 0,
                    why: Why::Option,
                });
            } else {
                self.out
                    .doubts
                    .push(Doubt::Option(String::from_utf8_lossy(name).into_owned()));
            }
        }
    }

    /// The search path, and what it works on.
    fn world(&mut self) -> (&mut SearchPath, World<'_>) {
        let Scanner { tree, store, .. } = &mut *self.scanner;
        (
            &mut self.path,
            World {
                tree,
                names: &mut store.names,
                files: self.files,
            },
        )
    }

    fn note_use(&mut self, it: Use) -> usize {
        let next = self.uses.len();
        let index = *self.used.entry(it.node).or_insert(next);
        if index == next {
            self.uses.push(it);
        }
        index
    }

    fn note_dates(&mut self, parsed: &Parsed) {
        self.out.dates.date |= parsed.date;
        self.out.dates.time |= parsed.time;
        self.out.dates.timestamp |= parsed.timestamp;
    }

    fn limit(&mut self, name: &'static str) {
        self.stopped = true;
        if !self.out.doubts.contains(&Doubt::Limit(name)) {
            self.out.doubts.push(Doubt::Limit(name));
        }
    }

    fn finish(mut self) -> Scan {
        let tree = &self.scanner.tree;
        self.out.files = self
            .uses
            .iter()
            .map(|it| FileUse {
                path: Arc::clone(tree.path(it.node)),
                cut: tree.cut(it.node),
                from: it.from,
                line: it.line,
                why: it.why,
                stamp: match tree.last(it.node) {
                    Found::File(stamp) => Some(stamp),
                    _ => None,
                },
            })
            .collect();
        self.out
    }
}
