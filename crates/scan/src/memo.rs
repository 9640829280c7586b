//! Answers kept whole: when a compile is scanned again and only the text between the directives of its source has
//! changed, everything that the earlier scan looked at is looked at again, and its answer given if all is as it was.

use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use crate::hash::FastMap;
use crate::lookups::LookupId;
use crate::packed::Packed;
use crate::parsed::Parsed;
use crate::report::{Scan, Why};
use crate::scanner::Request;
use crate::trail::Grounds;
use crate::tree::NodeId;
use crate::walk::{Unknown, Use, UseIndex};

/// What makes two scans the same question, apart from the source's content: a hash that no two questions share, since
/// the question itself is long and there are as many as sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u8; blake3::OUT_LEN]);

/// An answer and what it rests on.
#[derive(Debug)]
pub(crate) struct Memo {
    pub(crate) key: Key,
    pub(crate) source: Arc<Parsed>,
    pub(crate) grounds: PackedGrounds,
    pub(crate) uses: PackedUses,
    pub(crate) unknown: Box<[Unknown]>,
    pub(crate) out: Scan,
    /// The scan that it is from.
    pub(crate) scan: u32,
}

/// [`Grounds`] in few bytes.
#[derive(Debug)]
pub(crate) struct PackedGrounds {
    nodes: Packed,
    lookups: Packed,
}

/// The files of a set in few bytes.
#[derive(Debug)]
pub(crate) struct PackedUses {
    nodes: Packed,
    /// One more than the index, 0 where there is none.
    from: Packed,
    spots: Packed,
    why: Box<[Why]>,
}

/// All answers that are kept.
#[derive(Debug, Default)]
pub(crate) struct Memos {
    by_key: FastMap<Key, Arc<Memo>>,
    bytes: usize,
}

/// What is hashed, in one piece.
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn finish(&self) -> u64 {
        crate::hash::bytes64(&self.0)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (first, _) = self.0.split_at(size_of::<u64>());
        state.write_u64(u64::from_le_bytes(first.try_into().expect("eight bytes")));
    }
}

impl Key {
    /// The question that a request asks.
    pub(crate) fn new(request: &Request<'_>, source: NodeId) -> Self {
        let mut bytes = Bytes(Vec::with_capacity(4096));
        request.toolchain.hash(&mut bytes);
        request.options.hash(&mut bytes);
        let paths = request.cpath.iter().chain(request.language_path);
        let paths = std::iter::once(request.cwd).chain(paths.map(PathBuf::as_path));
        request.cpath.len().hash(&mut bytes);
        for path in paths {
            path.as_os_str().hash(&mut bytes);
        }
        source.hash(&mut bytes);
        Self(*blake3::hash(&bytes.0).as_bytes())
    }
}

impl From<&Grounds> for PackedGrounds {
    fn from(it: &Grounds) -> Self {
        Self {
            nodes: it.nodes.iter().map(|node| node.0).collect(),
            lookups: it.lookups.iter().map(|lookup| lookup.0).collect(),
        }
    }
}

impl PackedGrounds {
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().map(NodeId)
    }

    pub(crate) fn lookups(&self) -> impl Iterator<Item = LookupId> + '_ {
        self.lookups.iter().map(LookupId)
    }
}

impl From<&[Use]> for PackedUses {
    fn from(uses: &[Use]) -> Self {
        Self {
            nodes: uses.iter().map(|it| it.node.0).collect(),
            from: uses
                .iter()
                .map(|it| it.from.map_or(0, UseIndex::number))
                .collect(),
            spots: uses.iter().map(|it| it.spot).collect(),
            why: uses.iter().map(|it| it.why).collect(),
        }
    }
}

impl PackedUses {
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().map(NodeId)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Use> + '_ {
        let places = self.from.iter().map(UseIndex::from_number);
        let all = self.nodes().zip(places).zip(self.spots.iter());
        all.zip(&self.why).map(|(((node, from), spot), &why)| Use {
            node,
            from,
            spot,
            why,
        })
    }
}

impl Memos {
    /// The answer to a question about a source.
    pub(crate) fn get(&self, key: &Key, source: &Parsed) -> Option<Arc<Memo>> {
        let memo = self.by_key.get(key)?;
        memo.source.does_the_same(source).then(|| Arc::clone(memo))
    }

    /// Keeps an answer.
    pub(crate) fn add(&mut self, memo: Memo) {
        self.bytes += memo.memory();
        if let Some(old) = self.by_key.insert(memo.key, Arc::new(memo)) {
            self.bytes -= old.memory();
        }
    }

    /// Forgets all answers.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Forgets the answers that the compiler's answers to questions can make more exact.
    pub(crate) fn forget_unanswered(&mut self) {
        self.by_key.retain(|_, memo| memo.out.questions.is_empty());
        self.bytes = self.by_key.values().map(|memo| memo.memory()).sum();
    }

    /// Bytes held, roughly.
    pub(crate) fn memory(&self) -> usize {
        self.bytes
    }
}

impl Memo {
    fn memory(&self) -> usize {
        let packed = [
            &self.grounds.nodes,
            &self.grounds.lookups,
            &self.uses.nodes,
            &self.uses.from,
            &self.uses.spots,
        ];
        let packed: usize = packed.iter().map(|it| it.memory() + 16).sum();
        packed + self.uses.why.len() + self.source.memory() + size_of::<Self>() + 64
    }
}
