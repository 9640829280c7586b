//! Answers kept whole: when a compile is scanned again and only the text between directives has changed, everything
//! that the earlier scan looked at is looked at again, and its answer given if all is as it was.

use std::path::PathBuf;
use std::sync::Arc;

use crate::files::{Files, Found};
use crate::hash::{self, FastMap};
use crate::options::Options;
use crate::parse;
use crate::parsed::Parsed;
use crate::report::Scan;
use crate::scanner::{Request, ToolchainId};
use crate::store::Store;
use crate::tree::{NodeId, Tree};
use crate::walk::Use;

/// What makes two scans the same question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    hash: u64,
    toolchain: ToolchainId,
    options: Options,
    paths: Vec<PathBuf>,
    source: NodeId,
    print: u64,
}

/// An answer and what it rests on.
#[derive(Debug)]
pub(crate) struct Memo {
    key: Key,
    /// Everything looked at but the source, with what was there.
    seen: Box<[(NodeId, u64)]>,
    pub(crate) uses: Box<[Use]>,
    pub(crate) out: Arc<Scan>,
}

/// All answers that are kept.
#[derive(Debug, Default)]
pub(crate) struct Memos {
    by_hash: FastMap<u64, Arc<Memo>>,
    bytes: usize,
}

impl Memos {
    /// The question that a request asks.
    pub(crate) fn key(
        request: &Request<'_>,
        source: NodeId,
        parsed: &Parsed,
        store: &Store,
    ) -> Key {
        use std::hash::{Hash, Hasher};
        let paths: Vec<PathBuf> = std::iter::once(request.cwd.to_path_buf())
            .chain(request.cpath.iter().cloned())
            .chain(std::iter::once(PathBuf::new()))
            .chain(request.language_path.iter().cloned())
            .collect();
        let mut hasher = hash::Fast::default();
        request.toolchain.hash(&mut hasher);
        request.options.hash(&mut hasher);
        paths.hash(&mut hasher);
        source.hash(&mut hasher);
        let print = parse::print(parsed, store);
        Key {
            hash: hasher.finish(),
            toolchain: request.toolchain,
            options: request.options.clone(),
            paths,
            source,
            print,
        }
    }

    /// The answer to a question.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Memo>> {
        self.by_hash
            .get(&key.hash)
            .filter(|memo| memo.key == *key)
            .map(Arc::clone)
    }

    /// Keeps an answer, if what it rests on can be checked later.
    pub(crate) fn add(&mut self, key: Key, source: NodeId, tree: &Tree, uses: &[Use], out: &Scan) {
        let mut seen = Vec::with_capacity(tree.trace().len());
        for &node in tree.trace() {
            if node == source {
                continue;
            }
            if !tree.is_settled(node) {
                return;
            }
            seen.push((node, print_of(tree.last(node))));
        }
        let memo = Memo {
            seen: seen.into(),
            uses: uses.into(),
            out: Arc::new(out.clone()),
            key,
        };
        self.bytes += memo.memory();
        if let Some(old) = self.by_hash.insert(memo.key.hash, Arc::new(memo)) {
            self.bytes -= old.memory();
        }
    }

    /// Forgets all answers.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Forgets the answers that the compiler's answers to questions can make more exact.
    pub(crate) fn forget_unanswered(&mut self) {
        self.by_hash.retain(|_, memo| memo.out.questions.is_empty());
        self.bytes = self.by_hash.values().map(|memo| memo.memory()).sum();
    }

    /// Bytes held, roughly.
    pub(crate) fn memory(&self) -> usize {
        self.bytes
    }
}

impl Memo {
    /// Whether everything is as it was.
    pub(crate) fn holds(&self, tree: &mut Tree, files: &mut dyn Files) -> bool {
        self.seen
            .iter()
            .all(|&(node, print)| print_of(tree.look(node, files)) == print)
    }

    fn memory(&self) -> usize {
        self.seen.len() * size_of::<(NodeId, u64)>() + self.uses.len() * size_of::<Use>() + 600
    }
}

/// What matters of a look, in a number. What is in a directory is looked at for itself.
fn print_of(found: Found) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = hash::Fast::default();
    match found {
        Found::Absent => 1u8.hash(&mut hasher),
        Found::Dangling => 2u8.hash(&mut hasher),
        Found::File(stamp) => stamp.hash(&mut hasher),
        Found::Dir(stamp) => (3u8, stamp.dev, stamp.ino).hash(&mut hasher),
        Found::Null => 4u8.hash(&mut hasher),
        Found::Unreadable => 5u8.hash(&mut hasher),
    }
    hasher.finish()
}
