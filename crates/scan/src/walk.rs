//! One scan: following directives through files as the compiler would, in both groups of a conditional where its value
//! is not known.

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use crate::eval;
use crate::expand::{self, Expander, Place, Stop};
use crate::files::{Files, Found};
use crate::hash::FastMap;
use crate::limits::{
    COMPUTED_WAYS_MAX, DIRECTIVES_MAX, EXPANSION_TOKENS_MAX, INCLUDE_DEPTH_MAX, INCLUDES_MAX,
    UNKNOWN_NOTED_MAX,
};
use crate::memo::Memos;
use crate::names::Name;
use crate::options::{Language, Options};
use crate::parsed::{Directive, How, Mode, Parsed, TextId};
use crate::report::{Doubt, FileUse, Scan, UnknownCondition, Why};
use crate::scanner::{Reading, Request, Scanner, ToolchainId};
use crate::search::{At, SearchPath, Sources, Unreadable, Wanted, World};
use crate::state::{Binding, Bound, Outcome};
use crate::toolchain::{Family, Question};
use crate::tree::NodeId;
use crate::value::{Int, Value};

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

/// A conditional that is open.
#[derive(Debug)]
enum Open {
    /// One of its groups was followed.
    Taken,
    /// None was.
    Waiting,
    /// Its value is not known: every group is followed.
    Unsure {
        mark: usize,
        outcomes: Vec<Outcome>,
        /// A group is being followed.
        inside: bool,
        /// One of its groups is certainly followed by the compiler.
        complete: bool,
    },
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
        self.depth = 0;
        self.directives(&parsed, &mut here);
        self.assembler(&parsed, here);
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
        if self.out.is_certain() && !self.stopped {
            self.scanner
                .memos
                .add(key, source, &self.scanner.tree, &self.uses, &self.out);
        }
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
        let mut world = World {
            tree: &mut self.scanner.tree,
            names: &mut self.scanner.store.names,
            files: self.files,
        };
        self.path = SearchPath::new(&sources, &mut world);
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
        self.depth = 1;
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
        let mut world = World {
            tree: &mut self.scanner.tree,
            names: &mut self.scanner.store.names,
            files: self.files,
        };
        let found = self.path.find_named(header, here, &mut world);
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

    // ---- Directives.

    /// Follows the directives of a file.
    fn directives(&mut self, parsed: &Parsed, here: &mut Here) {
        let mut open: Vec<Open> = Vec::new();
        let mut at = 0;
        let mut steps = 0;
        while let Some(&directive) = parsed.directives.get(at) {
            if self.stopped {
                break;
            }
            steps += 1;
            let line = parsed.lines[at];
            at += 1;
            match directive {
                Directive::Define { name, def } => {
                    // GCC and Clang refuse to redefine this one.
                    if name != crate::names::DEFINED {
                        self.scanner.state.set(name, Binding::def(def));
                    }
                }
                Directive::Undef(name) => self.scanner.state.set(name, Binding::UNDEFINED),
                Directive::If { next, .. }
                | Directive::Ifdef { next, .. }
                | Directive::Ifndef { next, .. } => {
                    let value = self.condition(directive, here, line);
                    at = self.start(directive, value, next, at, &mut open);
                }
                Directive::Elif { next, .. }
                | Directive::Elifdef { next, .. }
                | Directive::Else { next } => {
                    at = self.middle(directive, next, at, &mut open, (here, line));
                }
                Directive::Endif => self.end(&mut open),
                Directive::Include {
                    header,
                    angled,
                    how,
                } => self.include(header, angled, how, here, line),
                Directive::Computed { text, how } => {
                    let mut ways = COMPUTED_WAYS_MAX;
                    self.computed(text, how, here, line, &mut ways);
                }
                _ => self.other(directive, here, line),
            }
        }
        while !open.is_empty() {
            self.end(&mut open);
        }
        self.out.work.directives += steps;
        if self.out.work.directives > DIRECTIVES_MAX {
            self.limit("DIRECTIVES_MAX");
        }
    }

    fn other(&mut self, directive: Directive, here: &mut Here, line: u32) {
        match directive {
            // Clang ignores it in the source itself.
            Directive::Once if self.family == Family::Gcc || self.depth > 0 => {
                let once = self.scanner.once(here.node, self.family);
                self.scanner.state.set(once, Binding::MARKED);
            }
            Directive::Push(name) => {
                let stack = self.stack_of(name);
                self.scanner.state.push(name, stack);
            }
            Directive::Pop(name) => {
                let stack = self.stack_of(name);
                self.scanner.state.pop(name, stack);
            }
            Directive::PushOptions => {
                let taint = self.scanner.state.taint();
                let stack = self.stack_of(taint);
                self.scanner.state.push(taint, stack);
            }
            Directive::PopOptions => {
                let taint = self.scanner.state.taint();
                let stack = self.stack_of(taint);
                self.scanner.state.pop(taint, stack);
            }
            Directive::SetOptions if self.family == Family::Gcc => {
                let taint = self.scanner.state.taint();
                self.scanner.state.set(taint, Binding::MARKED);
            }
            Directive::Line(name) => {
                here.renamed = Some((name != crate::names::EMPTY).then_some(name))
            }
            Directive::Doubt(what) => {
                let place = format!(
                    "{}:{line}",
                    String::from_utf8_lossy(self.scanner.tree.spelled(here.node))
                );
                self.out.doubts.push(Doubt::Unfollowed(what, place));
            }
            _ => {}
        }
    }

    fn stack_of(&mut self, name: Name) -> Name {
        let key = [b"\0stack ", self.scanner.store.names.text(name)].concat();
        self.scanner.store.names.intern(&key)
    }

    /// Starts a conditional; returns the index of the directive to go on with.
    fn start(
        &mut self,
        directive: Directive,
        value: Option<bool>,
        next: u32,
        at: usize,
        open: &mut Vec<Open>,
    ) -> usize {
        match value {
            Some(true) => open.push(Open::Taken),
            Some(false) => {
                open.push(Open::Waiting);
                return next as usize;
            }
            None => {
                let mark = self.scanner.state.start_unsure();
                open.push(Open::Unsure {
                    mark,
                    outcomes: Vec::new(),
                    inside: true,
                    complete: false,
                });
                self.refine(directive);
            }
        }
        at
    }

    /// Uses that a group is followed only if its condition holds.
    fn refine(&mut self, directive: Directive) {
        let state = &mut self.scanner.state;
        match directive {
            Directive::Ifdef { name, .. }
            | Directive::Elifdef {
                name,
                negated: false,
                ..
            } => {
                let part = state.defined_part(state.get(name));
                state.set(name, part);
            }
            Directive::Ifndef { name, .. }
            | Directive::Elifdef {
                name,
                negated: true,
                ..
            } => {
                state.set(name, Binding::UNDEFINED);
            }
            _ => {}
        }
    }

    /// `#elif` or `#else`; returns the index of the directive to go on with.
    fn middle(
        &mut self,
        directive: Directive,
        next: u32,
        at: usize,
        open: &mut [Open],
        (here, line): (&Here, u32),
    ) -> usize {
        let next = next as usize;
        let Some(last) = open.last_mut() else {
            return at;
        };
        if let Open::Unsure {
            mark,
            outcomes,
            inside,
            complete,
        } = last
        {
            if std::mem::take(inside) {
                outcomes.push(self.scanner.state.end_group(*mark));
            }
            if *complete {
                return next;
            }
        } else if matches!(last, Open::Taken) {
            return next;
        }
        let value = match directive {
            Directive::Else { .. } => Some(true),
            _ => self.condition(directive, here, line),
        };
        if value == Some(false) {
            return next;
        }
        match last {
            Open::Unsure {
                inside, complete, ..
            } => {
                *inside = true;
                *complete = value == Some(true);
                if value.is_none() {
                    self.refine(directive);
                }
            }
            waiting if value == Some(true) => *waiting = Open::Taken,
            waiting => {
                let mark = self.scanner.state.start_unsure();
                *waiting = Open::Unsure {
                    mark,
                    outcomes: Vec::new(),
                    inside: true,
                    complete: false,
                };
                self.refine(directive);
            }
        }
        at
    }

    fn end(&mut self, open: &mut Vec<Open>) {
        if let Some(Open::Unsure {
            mark,
            mut outcomes,
            inside,
            complete,
        }) = open.pop()
        {
            if inside {
                outcomes.push(self.scanner.state.end_group(mark));
            }
            if !complete {
                outcomes.push(Outcome::new());
            }
            self.scanner.state.join(&outcomes);
        }
    }

    // ---- Conditions.

    fn condition(&mut self, directive: Directive, here: &Here, line: u32) -> Option<bool> {
        let value = match directive {
            Directive::Ifdef { name, .. } => self.defined(name),
            Directive::Ifndef { name, .. } => self.defined(name).map(|it| !it),
            Directive::Elifdef { name, negated, .. } if self.elifdef => {
                self.defined(name).map(|it| it != negated)
            }
            Directive::If { text, .. } | Directive::Elif { text, .. } => {
                self.value(text, here).map(Int::is_true)
            }
            _ => None,
        };
        if value.is_none() && self.out.unknown.len() < UNKNOWN_NOTED_MAX {
            let unknown = UnknownCondition {
                file: here.index,
                line,
            };
            if !self.out.unknown.contains(&unknown) {
                self.out.unknown.push(unknown);
            }
        }
        value
    }

    fn defined(&self, name: Name) -> Option<bool> {
        let state = &self.scanner.state;
        if state.is_tainted() && crate::toolchain::is_target(self.scanner.store.names.text(name)) {
            return None;
        }
        state.is_defined(state.get(name))
    }

    fn value(&mut self, text: TextId, here: &Here) -> Value {
        let tokens = self.scanner.store.text(text);
        if let Ok(value) = eval::direct(
            &tokens,
            &self.scanner.store,
            self.mode.cxx,
            &self.scanner.state,
        ) {
            return value;
        }
        let place = self.place(here, true);
        let mut expander = Expander::new(
            &mut self.scanner.store,
            &self.scanner.state,
            place,
            &mut self.tokens_left,
        );
        let expanded = expander.expand(&tokens);
        let questions = std::mem::take(&mut expander.questions);
        let tokens = match expanded {
            Ok(tokens) => tokens,
            Err(Stop::Limit) => {
                self.expansion_limit();
                return None;
            }
            Err(_) => return None,
        };
        let answers: Vec<Value> = questions
            .iter()
            .map(|question| self.answer(question, here))
            .collect();
        eval::expanded(&tokens, &self.scanner.store, self.mode.cxx, &answers)
    }

    fn place(&mut self, here: &Here, condition: bool) -> Place {
        let file = here.renamed.unwrap_or_else(|| {
            let quoted = [b"\"", self.scanner.tree.spelled(here.node), b"\""].concat();
            Some(self.scanner.store.names.intern(&quoted))
        });
        Place {
            file,
            base_file: self.base_file,
            level: self.depth,
            condition,
        }
    }

    fn answer(&mut self, question: &expand::Question, here: &Here) -> Value {
        match *question {
            expand::Question::Header {
                operator,
                header,
                angled,
            } => {
                let next = operator == crate::names::HAS_INCLUDE_NEXT;
                let wanted = Wanted {
                    header,
                    angled,
                    next,
                };
                let found = if operator == crate::names::HAS_EMBED {
                    return self.has_embed(wanted, here);
                } else {
                    self.find(wanted, *here)
                };
                if let Some((node, _)) = found {
                    if self.family == Family::Clang {
                        self.note_use(Use {
                            node,
                            from: Some(here.index),
                            line: 0,
                            why: Why::Probed,
                        });
                    }
                    let path = Arc::clone(self.scanner.tree.path(node));
                    if !self.out.probed.iter().any(|it| Arc::ptr_eq(it, &path)) {
                        self.out.probed.push(path);
                    }
                }
                Some(Int::truth(found.is_some()))
            }
            expand::Question::Compiler { operator, operand } => {
                if let Some(&answer) = self
                    .scanner
                    .known(self.toolchain)
                    .answers
                    .get(&(operator, operand))
                {
                    return Some(Int::new(answer));
                }
                let text = |name| {
                    String::from_utf8_lossy(self.scanner.store.names.text(name)).into_owned()
                };
                let question = Question {
                    operator: text(operator),
                    operand: text(operand),
                };
                if !self.out.questions.contains(&question) {
                    self.out.questions.push(question);
                }
                None
            }
        }
    }

    /// 0 when there is no such file; whether it is empty, which makes the answer 2, and what its parameters mean is
    /// left open.
    fn has_embed(&mut self, wanted: Wanted, here: &Here) -> Value {
        let mut world = World {
            tree: &mut self.scanner.tree,
            names: &mut self.scanner.store.names,
            files: self.files,
        };
        match self.path.find_embed(wanted, here.node, &mut world) {
            Ok(None) => Some(Int::new(0)),
            _ => None,
        }
    }

    // ---- Includes.

    fn find(&mut self, wanted: Wanted, here: Here) -> Option<(NodeId, At)> {
        let mut world = World {
            tree: &mut self.scanner.tree,
            names: &mut self.scanner.store.names,
            files: self.files,
        };
        let found = self
            .path
            .find(wanted, (here.node, here.at, self.depth == 0), &mut world);
        self.readable(found)
    }

    fn readable<T>(&mut self, found: Result<Option<T>, Unreadable>) -> Option<T> {
        found.unwrap_or_else(|Unreadable(node)| {
            let name = String::from_utf8_lossy(self.scanner.tree.spelled(node)).into_owned();
            self.out.doubts.push(Doubt::Unreadable(name));
            None
        })
    }

    fn missing(&mut self, header: Name) {
        if self.scanner.state.is_unsure() {
            return;
        }
        let name = String::from_utf8_lossy(self.scanner.store.names.text(header)).into_owned();
        self.out.doubts.push(Doubt::Missing(name));
        // The compiler stops here.
        self.stopped = true;
    }

    fn include(&mut self, header: Name, angled: bool, how: How, here: &Here, line: u32) {
        let wanted = Wanted {
            header,
            angled,
            next: how == How::Next,
        };
        if self.first {
            self.precompiled(wanted, here);
        }
        let found = if how == How::Embed {
            let mut world = World {
                tree: &mut self.scanner.tree,
                names: &mut self.scanner.store.names,
                files: self.files,
            };
            let found = self.path.find_embed(wanted, here.node, &mut world);
            self.readable(found)
        } else {
            self.find(wanted, *here)
        };
        match found {
            Some((node, at)) => {
                let it = Use {
                    node,
                    from: Some(here.index),
                    line,
                    why: Why::Included(how),
                };
                self.enter(node, at, it, how);
            }
            None if matches!(how, How::Embed | How::Dependency) => {}
            None => self.missing(header),
        }
    }

    /// An include whose operand is made by macros.
    fn computed(&mut self, text: TextId, how: How, here: &Here, line: u32, ways: &mut usize) {
        let tokens = self.scanner.store.text(text);
        let place = self.place(here, false);
        let expanded = Expander::new(
            &mut self.scanner.store,
            &self.scanner.state,
            place,
            &mut self.tokens_left,
        )
        .expand(&tokens);
        match expanded {
            Ok(tokens) => match expand::header_name(&tokens, &mut self.scanner.store) {
                Some((header, angled)) => self.include(header, angled, how, here, line),
                None if how == How::Embed => {}
                None => self.computed_doubt(text, here, line),
            },
            Err(Stop::Several(name)) => self.computed_ways(name, (text, how, line), here, ways),
            Err(_) => self.computed_doubt(text, here, line),
        }
    }

    /// Tries a computed include with every definition that a macro may have.
    fn computed_ways(
        &mut self,
        name: Name,
        (text, how, line): (TextId, How, u32),
        here: &Here,
        ways: &mut usize,
    ) {
        let Bound::Several(set) = self.scanner.state.get(name).unpack() else {
            return self.computed_doubt(text, here, line);
        };
        let alternatives = self.scanner.state.alternatives(set).to_vec();
        let mark = self.scanner.state.start_unsure();
        let mut outcomes = Vec::new();
        for binding in alternatives {
            match ways.checked_sub(1) {
                Some(left) => *ways = left,
                None => {
                    self.computed_doubt(text, here, line);
                    break;
                }
            }
            self.scanner.state.set(name, binding);
            self.computed(text, how, here, line, ways);
            outcomes.push(self.scanner.state.end_group(mark));
        }
        self.scanner.state.join(&outcomes);
    }

    fn computed_doubt(&mut self, text: TextId, here: &Here, line: u32) {
        let operand = String::from_utf8_lossy(self.scanner.store.text_bytes(text)).into_owned();
        let file = String::from_utf8_lossy(self.scanner.tree.spelled(here.node)).into_owned();
        let doubt = Doubt::Computed(format!("{file}:{line}: {operand}"));
        if !self.out.doubts.contains(&doubt) {
            self.out.doubts.push(doubt);
        }
    }

    /// Notes a file and follows its directives, unless it must not be entered again.
    fn enter(&mut self, node: NodeId, at: At, it: Use, how: How) {
        self.first &= it.why == Why::Always;
        let index = self.note_use(it);
        if matches!(how, How::Embed | How::Dependency) {
            return;
        }
        self.out.work.includes += 1;
        if self.out.work.includes > INCLUDES_MAX {
            return self.limit("INCLUDES_MAX");
        }
        let parsed = match self
            .scanner
            .parsed(self.files, node, self.mode, Reading::Source)
        {
            Ok(parsed) => parsed,
            Err(doubt) => return self.out.doubts.push(doubt),
        };
        let mut unsure = false;
        if parsed.once || how == How::Import || self.imports {
            self.imports |= how == How::Import;
            let once = self.scanner.once(node, self.family);
            match self.scanner.state.is_defined(self.scanner.state.get(once)) {
                Some(true) => return,
                Some(false) => {}
                None => unsure = true,
            }
            if how == How::Import {
                self.scanner.state.set(once, Binding::MARKED);
            }
        }
        if self.depth >= INCLUDE_DEPTH_MAX {
            if !self.scanner.state.is_unsure() {
                self.limit("INCLUDE_DEPTH_MAX");
            }
            return;
        }
        self.depth += 1;
        let mark = unsure.then(|| self.scanner.state.start_unsure());
        let mut here = Here {
            node,
            at,
            index,
            renamed: None,
        };
        self.note_dates(&parsed);
        self.directives(&parsed, &mut here);
        self.assembler(&parsed, here);
        if let Some(mark) = mark {
            let outcome = self.scanner.state.end_group(mark);
            self.scanner.state.join(&[outcome, Outcome::new()]);
        }
        self.depth -= 1;
    }

    /// What the assembler reads because of this file.
    fn assembler(&mut self, parsed: &Parsed, here: Here) {
        for file in &parsed.asm {
            let mut world = World {
                tree: &mut self.scanner.tree,
                names: &mut self.scanner.store.names,
                files: self.files,
            };
            let found = self.path.find_assembler(file.path, self.here, &mut world);
            let Some(node) = self.readable(found) else {
                continue;
            };
            let fresh = !self.used.contains_key(&node);
            let it = Use {
                node,
                from: Some(here.index),
                line: file.line,
                why: Why::Assembler,
            };
            let index = self.note_use(it);
            if !file.source || !fresh || self.depth >= INCLUDE_DEPTH_MAX {
                continue;
            }
            match self
                .scanner
                .parsed(self.files, node, self.mode, Reading::Assembler)
            {
                Ok(parsed) => {
                    self.depth += 1;
                    let mut here = Here {
                        node,
                        at: At::Nowhere,
                        index,
                        renamed: None,
                    };
                    self.directives(&parsed, &mut here);
                    self.assembler(&parsed, here);
                    self.depth -= 1;
                }
                Err(doubt) => self.out.doubts.push(doubt),
            }
        }
    }

    /// Precompiled headers that would be taken for the first header of the source.
    fn precompiled(&mut self, wanted: Wanted, here: &Here) {
        for suffix in [&b".gch"[..], b".pch"] {
            let name = [self.scanner.store.names.text(wanted.header), suffix].concat();
            let header = self.scanner.store.names.intern(&name);
            let wanted = Wanted { header, ..wanted };
            if let Some((node, _)) = self.find(wanted, *here) {
                self.note_precompiled(node, here.index);
            }
        }
    }

    /// The same for a header of the command line.
    fn precompiled_beside(&mut self, header: Name, here: NodeId) {
        for suffix in [&b".gch"[..], b".pch"] {
            let name = [self.scanner.store.names.text(header), suffix].concat();
            let header = self.scanner.store.names.intern(&name);
            let mut world = World {
                tree: &mut self.scanner.tree,
                names: &mut self.scanner.store.names,
                files: self.files,
            };
            let found = self.path.find_named(header, here, &mut world);
            if let Some((node, _)) = self.readable(found) {
                self.note_precompiled(node, 0);
            }
            let node = self
                .scanner
                .tree
                .child(here, header, &mut self.scanner.store.names);
            if let Found::Dir(_) = self.scanner.tree.look(node, self.files) {
                self.directory_of_precompiled(node);
            }
        }
    }

    fn note_precompiled(&mut self, node: NodeId, from: usize) {
        self.note_use(Use {
            node,
            from: Some(from),
            line: 0,
            why: Why::Precompiled,
        });
    }

    fn directory_of_precompiled(&mut self, node: NodeId) {
        let name = String::from_utf8_lossy(self.scanner.tree.spelled(node)).into_owned();
        self.out.doubts.push(Doubt::Precompiled(name));
    }

    // ---- The answer.

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

    fn expansion_limit(&mut self) {
        self.limit(if self.tokens_left < 1000 {
            "EXPANSION_TOKENS_MAX"
        } else {
            "NESTING_MAX"
        });
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
            })
            .collect();
        self.out
    }
}
