//! Which macros are defined, exactly where that is known and as a set of possibilities where it is not.
//!
//! Every name has a [`Binding`]. Inside a group whose condition is unknown, changes are recorded: at the end of the
//! group they are taken back, and when all groups of the conditional were followed, the outcomes are joined name by
//! name. `#pragma once` marks, `push_macro` stacks and compiler options changed by pragmas are bound to names that no
//! source can spell, so that joining and taking back work for them too.

use crate::hash::{FastMap, FastSet};
use crate::limits::ALTERNATIVES_MAX;
use crate::macro_log::MacroLog;
use crate::names::{Name, Names};
use crate::parsed::{DefId, Target};
use crate::toolchain::{OPTIMIZE_PREFIXES, TARGET_PREFIXES, TARGETS, is_changed_by};

/// What a name stands for, packed: nothing, one definition, one of several, or anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Binding(u32);

/// A binding, unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// Not a macro.
    Undefined,
    /// A macro of the compiler itself.
    BuiltIn,
    /// A macro.
    Def(DefId),
    /// One of [`State::alternatives`].
    Several(u32),
    /// Nothing is known.
    Anything,
}

const SEVERAL: u32 = 1 << 31;

impl Binding {
    pub(crate) const UNDEFINED: Self = Self(0);
    pub(crate) const BUILT_IN: Self = Self(SEVERAL - 1);
    pub(crate) const ANYTHING: Self = Self(u32::MAX);
    /// A mark for names that are not macros.
    pub(crate) const MARKED: Self = Self(1);

    pub(crate) fn def(def: DefId) -> Self {
        Self(def.0 + 1)
    }

    pub(crate) fn unpack(self) -> Bound {
        match self {
            Self::UNDEFINED => Bound::Undefined,
            Self::BUILT_IN => Bound::BuiltIn,
            Self::ANYTHING => Bound::Anything,
            Self(n) if n >= SEVERAL => Bound::Several(n - SEVERAL),
            Self(n) => Bound::Def(DefId(n - 1)),
        }
    }
}

/// What a group changed: names with the bindings it left them.
pub(crate) type Outcome = Vec<(Name, Binding)>;

/// The macros at one point of a compile.
#[derive(Debug)]
pub(crate) struct State {
    now: Vec<Binding>,
    touched: Vec<Name>,
    journal: Vec<(Name, Binding)>,
    /// Conditionals of unknown value around the current point.
    unsure: u32,
    /// Such conditionals seen in this scan.
    unsure_seen: u32,
    /// What is read and changed.
    pub(crate) log: MacroLog,
    sets: Vec<Box<[Binding]>>,
    set_index: FastMap<Vec<Binding>, u32>,
    /// What pairs of bindings were joined to.
    joined: FastMap<(Binding, Binding), Binding>,
    /// Entries of `push_macro` stacks: what was pushed, and the stack below.
    stacks: Vec<(Binding, Binding)>,
    /// The unspeakable names that hold stacks.
    stack_names: FastSet<Name>,
    /// Unspeakable names, marked while pragmas have changed the compiler's options: by target, by optimisation.
    changed: [Name; 2],
}

impl State {
    pub(crate) fn new(names: &mut Names) -> Self {
        Self {
            now: Vec::new(),
            touched: Vec::new(),
            journal: Vec::new(),
            unsure: 0,
            unsure_seen: 0,
            log: MacroLog::default(),
            sets: Vec::new(),
            set_index: FastMap::default(),
            joined: FastMap::default(),
            stacks: Vec::new(),
            stack_names: FastSet::default(),
            changed: [names.intern(b"\0target"), names.intern(b"\0optimize")],
        }
    }

    /// Forgets all macros.
    pub(crate) fn reset(&mut self) {
        for name in self.touched.drain(..) {
            self.now[name.0 as usize] = Binding::UNDEFINED;
        }
        self.journal.clear();
        self.log.clear();
        self.sets.clear();
        self.set_index.clear();
        self.joined.clear();
        self.stacks.clear();
        self.unsure = 0;
    }

    /// Makes room for all names that exist.
    pub(crate) fn reserve(&mut self, names: usize) {
        if self.now.len() < names {
            self.now.resize(names + names / 4, Binding::UNDEFINED);
        }
    }

    /// What a name stands for.
    pub(crate) fn get(&self, name: Name) -> Binding {
        self.now
            .get(name.0 as usize)
            .copied()
            .unwrap_or(Binding::UNDEFINED)
    }

    /// What a name stands for, where that matters to what is done next.
    pub(crate) fn read(&mut self, name: Name) -> Binding {
        let binding = self.get(name);
        self.log.read(name, binding);
        binding
    }

    /// Gives a name a new meaning.
    pub(crate) fn set(&mut self, name: Name, binding: Binding) {
        self.log.change(name);
        let index = name.0 as usize;
        if index >= self.now.len() {
            self.reserve(index + 1);
        }
        let slot = &mut self.now[index];
        if *slot == binding {
            return;
        }
        if self.unsure > 0 {
            self.journal.push((name, *slot));
        }
        if *slot == Binding::UNDEFINED {
            self.touched.push(name);
        }
        *slot = binding;
    }

    /// Conditionals of unknown value so far.
    pub(crate) fn unsure_seen(&self) -> u32 {
        self.unsure_seen
    }

    /// Whether the current point may not be reached by the compiler.
    pub(crate) fn is_unsure(&self) -> bool {
        self.unsure > 0
    }

    /// Whether a name is defined, if that is known.
    pub(crate) fn is_defined(&self, binding: Binding) -> Option<bool> {
        match binding.unpack() {
            Bound::Undefined => Some(false),
            Bound::BuiltIn | Bound::Def(_) => Some(true),
            Bound::Several(set) => {
                let undefined = self.sets[set as usize].contains(&Binding::UNDEFINED);
                (!undefined).then_some(true)
            }
            Bound::Anything => None,
        }
    }

    /// The possibilities of a set.
    pub(crate) fn alternatives(&self, set: u32) -> &[Binding] {
        &self.sets[set as usize]
    }

    /// Starts a conditional of unknown value. The mark is for [`Self::end_group`] and [`Self::join`].
    pub(crate) fn start_unsure(&mut self) -> usize {
        self.unsure += 1;
        self.unsure_seen += 1;
        self.journal.len()
    }

    /// Ends one group of such a conditional: takes its changes back and returns them.
    pub(crate) fn end_group(&mut self, mark: usize) -> Outcome {
        let mut changed: Vec<Name> = self.journal[mark..].iter().map(|it| it.0).collect();
        changed.sort_unstable();
        changed.dedup();
        let outcome = changed
            .into_iter()
            .map(|name| (name, self.get(name)))
            .collect();
        for (name, before) in self.journal.drain(mark..).rev() {
            self.now[name.0 as usize] = before;
        }
        outcome
    }

    /// Ends such a conditional: every name may have what any of the outcomes left it.
    pub(crate) fn join(&mut self, outcomes: &[Outcome]) {
        self.unsure -= 1;
        let mut names: Vec<Name> = outcomes.iter().flatten().map(|it| it.0).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let before = self.get(name);
            let mut joined: Option<Binding> = None;
            for outcome in outcomes {
                let after = outcome
                    .binary_search_by_key(&name, |it| it.0)
                    .map_or(before, |at| outcome[at].1);
                joined = Some(joined.map_or(after, |so_far| self.either(so_far, after)));
            }
            self.set(name, joined.unwrap_or(before));
        }
    }

    /// A binding that is one of two.
    pub(crate) fn either(&mut self, a: Binding, b: Binding) -> Binding {
        if a == b {
            return a;
        }
        if a == Binding::ANYTHING || b == Binding::ANYTHING {
            return Binding::ANYTHING;
        }
        if let Some(&known) = self.joined.get(&(a, b)) {
            return known;
        }
        let mut all: Vec<Binding> = Vec::new();
        for part in [a, b] {
            match part.unpack() {
                Bound::Several(set) => all.extend_from_slice(&self.sets[set as usize]),
                _ => all.push(part),
            }
        }
        let joined = self.one_of(all);
        self.joined.insert((a, b), joined);
        joined
    }

    /// A binding without the possibility that the name is undefined.
    pub(crate) fn defined_part(&mut self, binding: Binding) -> Binding {
        match binding.unpack() {
            Bound::Several(set) => {
                let kept = self.sets[set as usize]
                    .iter()
                    .copied()
                    .filter(|&it| it != Binding::UNDEFINED)
                    .collect();
                self.one_of(kept)
            }
            _ => binding,
        }
    }

    fn one_of(&mut self, mut all: Vec<Binding>) -> Binding {
        all.sort_unstable();
        all.dedup();
        match all.as_slice() {
            [] => Binding::ANYTHING,
            [one] => *one,
            many if many.len() > ALTERNATIVES_MAX => Binding::ANYTHING,
            _ => {
                if let Some(&set) = self.set_index.get(&all) {
                    return Binding(SEVERAL + set);
                }
                let set =
                    u32::try_from(self.sets.len()).expect("bounded by the directives of a scan");
                self.sets.push(all.clone().into_boxed_slice());
                self.set_index.insert(all, set);
                Binding(SEVERAL + set)
            }
        }
    }

    /// `#pragma push_macro`; `stack` is the unspeakable name that holds the stack of `name`.
    pub(crate) fn push(&mut self, name: Name, stack: Name) {
        let index = u32::try_from(self.stacks.len()).expect("bounded by the directives of a scan");
        let pushed = (self.read(name), self.read(stack));
        self.stacks.push(pushed);
        self.stack_names.insert(stack);
        self.set(stack, Binding(index + 1));
    }

    /// `#pragma pop_macro`. A stack that is not known leaves the name with anything.
    pub(crate) fn pop(&mut self, name: Name, stack: Name) {
        match self.read(stack).unpack() {
            Bound::Undefined => {}
            Bound::Def(DefId(index)) => {
                let (pushed, below) = self.stacks[index as usize];
                self.set(name, pushed);
                self.set(stack, below);
            }
            _ => {
                self.set(name, Binding::ANYTHING);
                self.set(stack, Binding::ANYTHING);
            }
        }
    }

    /// The unspeakable names that are marked while pragmas have changed options of the compiler.
    pub(crate) fn changed(&self) -> [Name; 2] {
        self.changed
    }

    /// Whether pragmas have changed options of the compiler here.
    pub(crate) fn is_changed(&self) -> bool {
        self.changed
            .iter()
            .any(|&it| self.get(it) != Binding::UNDEFINED)
    }

    /// `#pragma GCC target`, `optimize` or both.
    pub(crate) fn set_options(&mut self, target: Option<Target>, optimize: bool) {
        let [of_target, of_optimize] = self.changed;
        if let Some(target) = target {
            let mark = target_mark(target);
            let before = self.read(of_target);
            let is_all = before == Binding::UNDEFINED || before == mark;
            self.set(of_target, if is_all { mark } else { Binding::MARKED });
        }
        if optimize {
            self.set(of_optimize, Binding::MARKED);
        }
    }

    /// What a name stands for, when the compiler may itself have defined or undefined it because of a pragma.
    pub(crate) fn seen(&mut self, name: Name, names: &Names) -> Binding {
        if self.is_changed() {
            let [target, optimize] = self.changed.map(|it| self.read(it));
            let is_one_of = |prefixes| is_changed_by(prefixes, names.text(name));
            let by_target = target != Binding::UNDEFINED
                && is_one_of(TARGET_PREFIXES)
                && !is_one_of(left_alone(target));
            if by_target || (optimize != Binding::UNDEFINED && is_one_of(OPTIMIZE_PREFIXES)) {
                return Binding::ANYTHING;
            }
        }
        self.read(name)
    }

    /// What a visit of a header depends on and what it does to macros, if that can be said without the tables of this
    /// scan.
    pub(crate) fn since(&mut self, mark: crate::macro_log::Mark) -> Option<Effect> {
        let now = &self.now;
        let get = |name: Name| {
            now.get(name.0 as usize)
                .copied()
                .unwrap_or(Binding::UNDEFINED)
        };
        let (reads, changes) = self.log.since(mark, get);
        // What is on a stack, and which sets there are, is of this scan.
        let lasts = |(_, binding): &(Name, Binding)| !matches!(binding.unpack(), Bound::Several(_));
        let is_of_scan = |(name, binding): &(Name, Binding)| {
            *binding != Binding::UNDEFINED && self.stack_names.contains(name)
        };
        let all = || reads.iter().chain(&changes);
        if !all().all(lasts) || (!self.stack_names.is_empty() && all().any(is_of_scan)) {
            return None;
        }
        Some(Effect {
            reads: reads.into(),
            changes: changes.into(),
        })
    }
}

/// The mark of a name that stands for a target.
fn target_mark(target: Target) -> Binding {
    match target {
        Target::Known(index) => Binding(Binding::MARKED.0 + 1 + u32::from(index)),
        Target::Other => Binding::MARKED,
    }
}

/// The macros, by prefix, that a target with this mark leaves as they were.
fn left_alone(mark: Binding) -> &'static [&'static str] {
    let index = mark.0.checked_sub(Binding::MARKED.0 + 1);
    let known = index.and_then(|index| TARGETS.get(index as usize));
    known.map_or(&[], |(_, kept)| *kept)
}

/// What a visit of a header depends on, and what it leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) reads: Box<[(Name, Binding)]>,
    pub(crate) changes: Box<[(Name, Binding)]>,
}

impl Effect {
    /// Whether the macros are as they were.
    pub(crate) fn fits(&self, state: &State) -> bool {
        self.reads
            .iter()
            .all(|&(name, binding)| state.get(name) == binding)
    }

    /// Does it again.
    pub(crate) fn apply(&self, state: &mut State) {
        for &(name, binding) in &self.reads {
            state.log.read(name, binding);
        }
        for &(name, binding) in &self.changes {
            state.set(name, binding);
        }
    }

    pub(crate) fn memory(&self) -> usize {
        (self.reads.len() + self.changes.len()) * size_of::<(Name, Binding)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_taken_back_and_joined() {
        let mut names = Names::new();
        let (x, y) = (names.intern(b"x"), names.intern(b"y"));
        let (one, two) = (Binding::def(DefId(1)), Binding::def(DefId(2)));
        let mut state = State::new(&mut names);
        state.set(x, one);
        let mark = state.start_unsure();
        state.set(x, two);
        state.set(y, two);
        let first = state.end_group(mark);
        assert_eq!((state.get(x), state.get(y)), (one, Binding::UNDEFINED));
        state.set(y, two);
        let second = state.end_group(mark);
        state.join(&[first, second]);
        assert_eq!(state.get(y), two, "both groups define it");
        let Bound::Several(set) = state.get(x).unpack() else {
            panic!("{:?}", state.get(x))
        };
        assert_eq!(state.alternatives(set), [one, two]);
        assert_eq!(state.is_defined(state.get(x)), Some(true));
        state.reset();
        assert_eq!(state.get(x), Binding::UNDEFINED);
    }

    #[test]
    fn stacks_of_macros_can_be_joined() {
        let mut names = Names::new();
        let (x, stack) = (names.intern(b"x"), names.intern(b"\0x"));
        let one = Binding::def(DefId(1));
        let mut state = State::new(&mut names);
        state.set(x, one);
        state.push(x, stack);
        state.set(x, Binding::UNDEFINED);
        state.pop(x, stack);
        assert_eq!(state.get(x), one);
        state.pop(x, stack);
        assert_eq!(state.get(x), one, "an empty stack changes nothing");
        let mark = state.start_unsure();
        state.push(x, stack);
        let pushed = state.end_group(mark);
        state.join(&[pushed, Vec::new()]);
        state.pop(x, stack);
        assert_eq!(state.get(x), Binding::ANYTHING);
    }
}
