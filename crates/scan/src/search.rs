//! The search path of one compile, and looking a header up in it.

use crate::files::{Files, Found};
use crate::lookups::Lookups;
use crate::names::{Name, Names};
use crate::options::{Group, Options};
use crate::paths::PathId;
use crate::toolchain::Family;
use crate::trail::{Look, Trail};
use crate::tree::{NodeId, Tree};

/// Where the directory is that a file was found in; decides where `#include_next` goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// In this entry of the search path.
    Entry(u32),
    /// Beside the file that includes it, or in the working directory.
    Beside,
    /// Nowhere: an absolute name, or the source.
    Nowhere,
}

/// How a header is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) header: Name,
    pub(crate) angled: bool,
    pub(crate) next: bool,
}

/// Directories in order: those for quoted names only come first. Equal ones are kept once, by
/// [`Paths`](crate::paths::Paths).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SearchPath {
    pub(crate) dirs: Vec<NodeId>,
    pub(crate) angled_from: u32,
    embed: Vec<NodeId>,
    quote_ignores_source: bool,
    family: Family,
    /// Where assemblers look: the `-I` directories.
    assembler: Vec<NodeId>,
}

/// A candidate that exists but cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) NodeId);

/// What the search path is made from.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    pub(crate) options: &'a Options,
    pub(crate) cwd: &'a [u8],
    /// `CPATH`.
    pub(crate) bracket: &'a [Vec<u8>],
    /// `C_INCLUDE_PATH` and its relatives, then the compiler's own.
    pub(crate) system: &'a [Vec<u8>],
    pub(crate) family: Family,
}

/// The files of the machine and what is known of them.
pub(crate) struct World<'a> {
    pub(crate) tree: &'a mut Tree,
    pub(crate) names: &'a mut Names,
    pub(crate) files: &'a mut dyn Files,
    pub(crate) trail: &'a mut Trail,
}

impl SearchPath {
    /// Builds the path as compilers do: what is missing is left out, as is what comes again later as a system
    /// directory. The second value is what is named on the command line and missing.
    pub(crate) fn new(from: &Sources<'_>, world: &mut World<'_>) -> (Self, Vec<NodeId>) {
        let mut missing = Vec::new();
        let mut embed = Vec::new();
        let mut lists: [Vec<(NodeId, (u64, u64))>; 4] = Default::default();
        let options = from
            .options
            .dirs
            .iter()
            .map(|(group, dir)| (*group, dir, true));
        let bracket = from.bracket.iter().map(|dir| (Group::Bracket, dir, false));
        let system = from.system.iter().map(|dir| (Group::System, dir, false));
        for (group, dir, named) in options.chain(bracket).chain(system) {
            let node = world.tree.root(from.cwd, dir, world.names);
            let list = match group {
                Group::Quote => &mut lists[0],
                Group::Bracket => &mut lists[1],
                Group::System => &mut lists[2],
                Group::After => &mut lists[3],
                Group::Embed => {
                    embed.push(node);
                    continue;
                }
                Group::Framework => continue,
            };
            world.trail.look(Look::Node(node));
            match world.tree.look(node, world.files) {
                Found::Dir(stamp) => list.push((node, (stamp.dev, stamp.ino))),
                _ if named => missing.push(node),
                _ => {}
            }
        }
        let [quote, bracket, mut system, after] = lists;
        let mut assembler: Vec<NodeId> = bracket.iter().map(|dir| dir.0).collect();
        for dir in &from.options.assembler_dirs {
            assembler.push(world.tree.root(from.cwd, dir, world.names));
        }
        system.extend(after);
        let system = unique(system, &[], None);
        let mut rest = unique(bracket, &system, None);
        rest.extend(system);
        let quote = unique(quote, &[], rest.first().map(|dir| dir.1));
        let it = Self {
            angled_from: u32::try_from(quote.len()).expect("few directories"),
            dirs: quote.into_iter().chain(rest).map(|dir| dir.0).collect(),
            embed,
            quote_ignores_source: from.options.quote_ignores_source,
            family: from.family,
            assembler,
        };
        (it, missing)
    }

    /// Whether headers are found by the same rules in both, apart from the directories.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        (self.angled_from == 0) == (other.angled_from == 0)
            && self.family == other.family
            && self.quote_ignores_source == other.quote_ignores_source
            && self.embed == other.embed
    }

    /// Where a directory is in the path, if it is there exactly once.
    pub(crate) fn only(&self, dir: NodeId) -> Option<u32> {
        let mut all = (0u32..).zip(&self.dirs).filter(|it| *it.1 == dir);
        let index = all.next()?.0;
        all.next().is_none().then_some(index)
    }
}

impl Lookups {
    /// Where the compiler finds a header that is included by `from`, which was found `at` and is the source if
    /// `primary`.
    pub(crate) fn find(
        &mut self,
        path: PathId,
        wanted: Wanted,
        from: (NodeId, At, bool),
        world: &mut World<'_>,
    ) -> Result<Option<(NodeId, At)>, Unreadable> {
        let (node, at, primary) = from;
        if world.names.text(wanted.header).first() == Some(&b'/') {
            let file = world.tree.child(node, wanted.header, world.names);
            return Ok(readable(file, world)?.then_some((file, At::Nowhere)));
        }
        let it = self.paths.get(path);
        let start = if wanted.angled { it.angled_from } else { 0 };
        if wanted.next && !primary {
            match at {
                At::Entry(entry) => return self.in_path(path, entry + 1, wanted.header, world),
                At::Beside if it.family == Family::Gcc => {
                    return self.in_path(path, 0, wanted.header, world);
                }
                // Clang then starts again from the beginning.
                At::Beside | At::Nowhere => {}
            }
        }
        if !wanted.angled
            && !it.quote_ignores_source
            && let Some(dir) = world.tree.parent(node)
        {
            let file = world.tree.child(dir, wanted.header, world.names);
            if readable(file, world)? {
                // What Clang finds beside a file counts as found where that file was.
                let at = match it.family {
                    Family::Gcc => At::Beside,
                    Family::Clang => at,
                };
                return Ok(Some((file, at)));
            }
        }
        self.in_path(path, start, wanted.header, world)
    }

    /// A file that the command line wants included: looked for in the working directory first.
    pub(crate) fn find_named(
        &mut self,
        path: PathId,
        header: Name,
        here: NodeId,
        world: &mut World<'_>,
    ) -> Result<Option<(NodeId, At)>, Unreadable> {
        let file = world.tree.child(here, header, world.names);
        if readable(file, world)? {
            return Ok(Some((file, At::Beside)));
        }
        self.in_path(path, 0, header, world)
    }

    /// A directory of precompiled headers that the compiler would look into for a header.
    pub(crate) fn find_directory(
        &self,
        path: PathId,
        wanted: Wanted,
        beside: Option<NodeId>,
        world: &mut World<'_>,
    ) -> Option<NodeId> {
        let beside = beside.filter(|_| !wanted.angled);
        let path = self.paths.get(path);
        let start = if wanted.angled {
            path.angled_from as usize
        } else {
            0
        };
        let mut nodes = beside.into_iter().chain(path.dirs[start..].iter().copied());
        nodes.find_map(|dir| {
            let node = world.tree.child(dir, wanted.header, world.names);
            world.trail.look(Look::Node(node));
            matches!(world.tree.look(node, world.files), Found::Dir(_)).then_some(node)
        })
    }

    /// What `#embed` finds.
    pub(crate) fn find_embed(
        &self,
        path: PathId,
        wanted: Wanted,
        from: NodeId,
        world: &mut World<'_>,
    ) -> Result<Option<(NodeId, At)>, Unreadable> {
        let beside = if wanted.angled {
            None
        } else {
            world.tree.parent(from)
        };
        let embed = &self.paths.get(path).embed;
        for dir in beside.into_iter().chain(embed.iter().copied()) {
            let file = world.tree.child(dir, wanted.header, world.names);
            if readable(file, world)? {
                return Ok(Some((file, At::Nowhere)));
            }
        }
        Ok(None)
    }

    /// What the assembler finds for `.incbin` and `.include`.
    pub(crate) fn find_assembler(
        &self,
        path: PathId,
        file: Name,
        here: NodeId,
        world: &mut World<'_>,
    ) -> Result<Option<NodeId>, Unreadable> {
        let dirs = &self.paths.get(path).assembler;
        for dir in std::iter::once(here).chain(dirs.iter().copied()) {
            let file = world.tree.child(dir, file, world.names);
            if readable(file, world)? {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }
}

/// A list without directories that come earlier in it or are in `later`. The last one may also not be the first of
/// the list that follows.
fn unique(
    list: Vec<(NodeId, (u64, u64))>,
    later: &[(NodeId, (u64, u64))],
    follows: Option<(u64, u64)>,
) -> Vec<(NodeId, (u64, u64))> {
    let last = list.len().saturating_sub(1);
    let mut kept: Vec<(NodeId, (u64, u64))> = Vec::with_capacity(list.len());
    for (index, dir) in list.into_iter().enumerate() {
        let joins = index == last && follows == Some(dir.1);
        if !joins && !later.iter().chain(&kept).any(|it| it.1 == dir.1) {
            kept.push(dir);
        }
    }
    kept
}

/// Whether a path is a file. A directory of that name is passed over.
fn readable(node: NodeId, world: &mut World<'_>) -> Result<bool, Unreadable> {
    world.trail.look(Look::Node(node));
    is_file(node, world)
}

/// The same without a trace of the look.
pub(crate) fn is_file(node: NodeId, world: &mut World<'_>) -> Result<bool, Unreadable> {
    match world.tree.look(node, world.files) {
        Found::File(_) | Found::Null => Ok(true),
        Found::Absent | Found::Dangling | Found::Dir(_) => Ok(false),
        Found::Unreadable => Err(Unreadable(node)),
    }
}
