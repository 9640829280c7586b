//! Entries gathered by path, and the tree that they make.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use store::DigestFunction;

use super::{Entry, MerkleTree, Node};
use crate::path::{Name, PathProblem, check_target};

/// Most directories above an entry. Compilers refuse less than that.
const DEPTH_MAX: usize = 256;

/// Why something cannot be put where it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MerkleProblem {
    /// A name or path that no tree can hold.
    #[error("the path `{}` {problem}", path.escape_debug())]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        problem: PathProblem,
    },
    /// There is something else already.
    #[error("`{}` would be two things at once", .0.escape_debug())]
    Conflict(String),
    /// Too many directories in each other.
    #[error("`{}` is below more than {DEPTH_MAX} directories", .0.escape_debug())]
    TooDeep(String),
}

/// Something and its place below the root, checked: whoever has the same in many trees makes it once. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Piece {
    directory: Arc<str>,
    node: Arc<Node>,
}

impl Piece {
    /// Checks a path, `a/b/c`, and what is there.
    ///
    /// # Errors
    /// The path is absolute, or ends in what is no name; or a link's target is none. Names above that are looked at when
    /// it is put somewhere.
    pub fn new(path: &str, entry: Entry) -> Result<Piece, MerkleProblem> {
        if path.starts_with('/') {
            return Err(bad(path, PathProblem::Absolute(path.into())));
        }
        if let Entry::Symlink { target } = &entry {
            check_target(target).map_err(|problem| bad(path, problem))?;
        }
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let name = Name::new(name).map_err(|problem| bad(path, problem))?;
        Ok(Piece {
            directory: directory.into(),
            node: Arc::new(Node { name, entry }),
        })
    }
}

/// What is in one directory, as far as it is known.
#[derive(Debug, Default)]
struct Level {
    nodes: Vec<Arc<Node>>,
    /// Directories, by their places in the list of levels.
    directories: Vec<(Name, usize)>,
    depth: usize,
}

/// A tree of files in the making.
#[derive(Debug)]
pub struct InputRoot {
    /// The root first.
    levels: Vec<Level>,
    /// Places in the list by path from the root: `usr`, `usr/include`.
    places: HashMap<Box<str>, usize>,
    /// The directory of the last entry, since the next is likely to be there too.
    last: (String, usize),
}

impl Default for InputRoot {
    fn default() -> InputRoot {
        InputRoot::new()
    }
}

impl InputRoot {
    /// An empty root.
    #[must_use]
    pub fn new() -> InputRoot {
        InputRoot {
            levels: vec![Level::default()],
            places: HashMap::new(),
            last: (String::new(), 0),
        }
    }

    /// Puts something at a path below the root, `a/b/c`. Directories above it are made. Putting
    /// the same twice is fine; whether there is something else already, [`build`](Self::build)
    /// finds out.
    ///
    /// # Errors
    /// The path or a link's target is none.
    pub fn add(&mut self, path: &str, entry: Entry) -> Result<(), MerkleProblem> {
        self.put(&Piece::new(path, entry)?)
    }

    /// The same with what has been checked.
    ///
    /// # Errors
    /// A directory's name above it is none.
    pub fn put(&mut self, piece: &Piece) -> Result<(), MerkleProblem> {
        let place = self.place(&piece.directory)?;
        self.levels[place].nodes.push(Arc::clone(&piece.node));
        Ok(())
    }

    /// Makes sure that there is a directory.
    ///
    /// # Errors
    /// The path is none.
    pub fn add_directory(&mut self, path: &str) -> Result<(), MerkleProblem> {
        self.place(path).map(|_| ())
    }

    /// The place of a directory's level.
    fn place(&mut self, path: &str) -> Result<usize, MerkleProblem> {
        if path.is_empty() {
            return Ok(0);
        }
        if self.last.0 == path {
            return Ok(self.last.1);
        }
        let place = match self.places.get(path) {
            Some(place) => *place,
            None => self.make(path)?,
        };
        self.last.0.clear();
        self.last.0.push_str(path);
        self.last.1 = place;
        Ok(place)
    }

    /// Makes a directory, and those above it that are not there yet.
    fn make(&mut self, path: &str) -> Result<usize, MerkleProblem> {
        if path.starts_with('/') {
            return Err(bad(path, PathProblem::Absolute(path.into())));
        }
        let mut above = 0;
        let ends = path.match_indices('/').map(|(end, _)| end);
        for end in ends.chain([path.len()]) {
            let part = &path[..end];
            if let Some(place) = self.places.get(part) {
                above = *place;
                continue;
            }
            let name = part.rsplit('/').next().unwrap_or(part);
            let name = Name::new(name).map_err(|problem| bad(path, problem))?;
            let depth = self.levels[above].depth + 1;
            if depth > DEPTH_MAX {
                return Err(MerkleProblem::TooDeep(path.into()));
            }
            let place = self.levels.len();
            self.levels.push(Level {
                depth,
                ..Level::default()
            });
            self.levels[above].directories.push((name, place));
            self.places.insert(part.into(), place);
            above = place;
        }
        Ok(above)
    }

    /// Makes the tree.
    ///
    /// # Errors
    /// A path would be two things at once.
    pub fn build(self, function: DigestFunction) -> Result<Arc<MerkleTree>, MerkleProblem> {
        self.build_over(&MerkleTree::empty(function), None)
    }

    /// Makes the tree of this and of everything in `base`. What comes out as it is in `base` or in
    /// `like`, at the same path, is shared with them.
    ///
    /// # Errors
    /// A path would be two things at once.
    pub fn build_over(
        mut self,
        base: &Arc<MerkleTree>,
        like: Option<&Arc<MerkleTree>>,
    ) -> Result<Arc<MerkleTree>, MerkleProblem> {
        let mut build = Build {
            function: base.digest.function,
            levels: mem::take(&mut self.levels),
            scratch: Vec::with_capacity(4096),
            path: String::new(),
        };
        let like = like.filter(|like| like.digest.function == build.function);
        build.directory(0, Some(base), like)
    }
}

fn bad(path: &str, problem: PathProblem) -> MerkleProblem {
    MerkleProblem::Path {
        path: path.into(),
        problem,
    }
}

/// See [`InputRoot::build_over`].
struct Build {
    function: DigestFunction,
    levels: Vec<Level>,
    scratch: Vec<u8>,
    /// Where it is, for errors.
    path: String,
}

/// Something of a level: either as it was put there, or a directory that has been built over the
/// base's one.
struct Item {
    node: Arc<Node>,
    is_over_base: bool,
}

impl Item {
    fn name(&self) -> &Name {
        &self.node.name
    }
}

impl Build {
    fn directory(
        &mut self,
        place: usize,
        base: Option<&Arc<MerkleTree>>,
        like: Option<&Arc<MerkleTree>>,
    ) -> Result<Arc<MerkleTree>, MerkleProblem> {
        let level = mem::take(&mut self.levels[place]);
        let mut items = Vec::with_capacity(level.nodes.len() + level.directories.len());
        items.extend(level.nodes.into_iter().map(|node| Item {
            node,
            is_over_base: false,
        }));
        for (name, place) in level.directories {
            let base = base.and_then(|base| base.tree(name.as_str()));
            let like = like.and_then(|like| like.tree(name.as_str()));
            let tree = self.at(&name, |build| build.directory(place, base, like))?;
            let entry = Entry::Tree(tree);
            items.push(Item {
                node: Arc::new(Node { name, entry }),
                is_over_base: true,
            });
        }
        if !items.is_sorted_by(|a, b| a.name() <= b.name()) {
            items.sort_by(|a, b| a.name().cmp(b.name()));
        }
        let nodes = self.merge(base.map_or(&[], |base| &base.nodes), items)?;
        for same in [like, base].into_iter().flatten() {
            if *same.nodes == *nodes {
                return Ok(Arc::clone(same));
            }
        }
        Ok(MerkleTree::of(self.function, nodes, &mut self.scratch))
    }

    /// The base's entries and the sorted items, each name once.
    fn merge(
        &mut self,
        base: &[Arc<Node>],
        items: Vec<Item>,
    ) -> Result<Vec<Arc<Node>>, MerkleProblem> {
        let mut merged: Vec<Arc<Node>> = Vec::with_capacity(base.len() + items.len());
        let mut base = base.iter().peekable();
        for item in items {
            while let Some(node) = base.next_if(|node| node.name < *item.name()) {
                merged.push(Arc::clone(node));
            }
            if let Some(node) = base.next_if(|node| node.name == *item.name()) {
                let is_made = matches!(node.entry, Entry::Tree(_)) && item.is_over_base;
                merged.push(match is_made {
                    true => item.node,
                    false => self.both(node, &item.node)?,
                });
                continue;
            }
            match merged.last_mut() {
                // Put twice, or there is an entry and something below it.
                Some(node) if node.name == *item.name() => *node = self.both(node, &item.node)?,
                _ => merged.push(item.node),
            }
        }
        merged.extend(base.cloned());
        Ok(merged)
    }

    /// What two entries of one name are together.
    fn both(&mut self, a: &Arc<Node>, b: &Arc<Node>) -> Result<Arc<Node>, MerkleProblem> {
        match (&a.entry, &b.entry) {
            (Entry::Tree(one), Entry::Tree(other)) => {
                let joined = self.at(&a.name, |build| build.join(one, other))?;
                Ok(Arc::new(Node {
                    name: a.name.clone(),
                    entry: Entry::Tree(joined),
                }))
            }
            (one, other) if one == other => Ok(Arc::clone(b)),
            _ => {
                let above = if self.path.is_empty() { "" } else { "/" };
                let path = format!("{}{above}{}", self.path, a.name);
                Err(MerkleProblem::Conflict(path))
            }
        }
    }

    /// Two trees in one.
    fn join(
        &mut self,
        a: &Arc<MerkleTree>,
        b: &Arc<MerkleTree>,
    ) -> Result<Arc<MerkleTree>, MerkleProblem> {
        if a.digest == b.digest || b.nodes.is_empty() {
            return Ok(Arc::clone(a));
        }
        if a.nodes.is_empty() {
            return Ok(Arc::clone(b));
        }
        let mut nodes = Vec::with_capacity(a.nodes.len() + b.nodes.len());
        let (mut a, mut b) = (a.nodes.iter().peekable(), b.nodes.iter().peekable());
        while let (Some(left), Some(right)) = (a.peek(), b.peek()) {
            match left.name.cmp(&right.name) {
                Ordering::Less => nodes.extend(a.next().cloned()),
                Ordering::Greater => nodes.extend(b.next().cloned()),
                Ordering::Equal => {
                    nodes.push(self.both(left, right)?);
                    a.next();
                    b.next();
                }
            }
        }
        nodes.extend(a.chain(b).cloned());
        Ok(MerkleTree::of(self.function, nodes, &mut self.scratch))
    }

    /// Does something in a sub-directory.
    fn at<T>(
        &mut self,
        name: &Name,
        act: impl FnOnce(&mut Build) -> Result<T, MerkleProblem>,
    ) -> Result<T, MerkleProblem> {
        let length = self.path.len();
        if length > 0 {
            self.path.push('/');
        }
        self.path.push_str(name.as_str());
        let outcome = act(self);
        self.path.truncate(length);
        outcome
    }
}
