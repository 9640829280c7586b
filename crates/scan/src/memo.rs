//! Answers kept whole: when a compile is scanned again and only the text between the directives of its source has
//! changed, everything that the earlier scan looked at is looked at again, and its answer given if all is as it was.

use std::path::PathBuf;
use std::sync::Arc;

use crate::hash::{self, FastMap};
use crate::options::Options;
use crate::parsed::Parsed;
use crate::report::Scan;
use crate::scanner::{Request, ToolchainId};
use crate::trail::Grounds;
use crate::tree::NodeId;
use crate::walk::{Unknown, Use};

/// What makes two scans the same question, apart from the source's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    hash: u64,
    toolchain: ToolchainId,
    options: Options,
    paths: Vec<PathBuf>,
    source: NodeId,
}

/// An answer and what it rests on.
#[derive(Debug)]
pub(crate) struct Memo {
    pub(crate) key: Key,
    pub(crate) source: Arc<Parsed>,
    pub(crate) grounds: Grounds,
    pub(crate) uses: Box<[Use]>,
    pub(crate) unknown: Box<[Unknown]>,
    pub(crate) out: Scan,
    /// The scan that it is from.
    pub(crate) scan: u32,
}

/// All answers that are kept.
#[derive(Debug, Default)]
pub(crate) struct Memos {
    by_hash: FastMap<u64, Arc<Memo>>,
    bytes: usize,
}

impl Key {
    /// The question that a request asks.
    pub(crate) fn new(request: &Request<'_>, source: NodeId) -> Self {
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
        Self {
            hash: hasher.finish(),
            toolchain: request.toolchain,
            options: request.options.clone(),
            paths,
            source,
        }
    }
}

impl Memos {
    /// The answer to a question about a source.
    pub(crate) fn get(&self, key: &Key, source: &Parsed) -> Option<Arc<Memo>> {
        let memo = self.by_hash.get(&key.hash)?;
        (memo.key == *key && memo.source.does_the_same(source)).then(|| Arc::clone(memo))
    }

    /// Keeps an answer.
    pub(crate) fn add(&mut self, memo: Memo) {
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
    fn memory(&self) -> usize {
        self.grounds.memory() + self.uses.len() * size_of::<Use>() + self.source.memory() + 600
    }
}
