//! A map that knows which of its entries was not used for the longest time.
//!
//! What learned tables and caches are made of: bounded by the sum of what their entries weigh, the
//! one that was not used for the longest time goes first. It decides nothing else: whether an entry
//! may go at all is the caller's word.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// One entry.
#[derive(Debug)]
struct Slot<V> {
    value: V,
    weight: u64,
    /// Place in the order of use.
    used: u64,
}

/// A map in the order of use.
#[derive(Debug)]
pub(crate) struct Lru<K, V> {
    slots: HashMap<K, Slot<V>>,
    order: BTreeMap<u64, K>,
    weight: u64,
    next: u64,
}

impl<K, V> Default for Lru<K, V> {
    fn default() -> Self {
        Lru {
            slots: HashMap::new(),
            order: BTreeMap::new(),
            weight: 0,
            next: 0,
        }
    }
}

impl<K: Hash + Eq + Clone, V> Lru<K, V> {
    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// What all entries weigh.
    pub(crate) fn weight(&self) -> u64 {
        self.weight
    }

    /// An entry, without using it.
    pub(crate) fn peek<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.slots.get(key).map(|slot| &slot.value)
    }

    /// Uses an entry.
    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let slot = self.slots.get_mut(key)?;
        let key = self.order.remove(&slot.used)?;
        slot.used = self.next;
        self.order.insert(slot.used, key);
        self.next += 1;
        Some(&mut slot.value)
    }

    /// Puts an entry in, used just now; the old one comes out.
    pub(crate) fn insert(&mut self, key: K, value: V, weight: u64) -> Option<V> {
        let old = self.remove(&key);
        let used = self.next;
        self.next += 1;
        self.weight += weight;
        self.order.insert(used, key.clone());
        self.slots.insert(
            key,
            Slot {
                value,
                weight,
                used,
            },
        );
        old
    }

    /// Takes an entry out.
    pub(crate) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let slot = self.slots.remove(key)?;
        self.order.remove(&slot.used);
        self.weight -= slot.weight;
        Some(slot.value)
    }

    /// Takes out the entry that was not used for the longest time, of those that `may_go`.
    pub(crate) fn evict(&mut self, may_go: impl Fn(&V) -> bool) -> Option<(K, V)> {
        let key = self
            .order
            .values()
            .find(|key| self.slots.get(*key).is_some_and(|slot| may_go(&slot.value)))?
            .clone();
        let value = self.remove(&key)?;
        Some((key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_goes_first() {
        let mut lru = Lru::default();
        for (key, weight) in [("a", 1), ("b", 2), ("c", 4)] {
            assert_eq!(lru.insert(key, key, weight), None);
        }
        assert_eq!(lru.get("a"), Some(&mut "a"));
        assert_eq!(lru.peek("b"), Some(&"b"));
        assert_eq!((lru.len(), lru.weight()), (3, 7));
        assert_eq!(lru.evict(|_| true), Some(("b", "b")));
        assert_eq!(lru.evict(|value| *value != "c"), Some(("a", "a")));
        assert_eq!(lru.evict(|value| *value != "c"), None);
        assert_eq!((lru.len(), lru.weight()), (1, 4));
        assert_eq!(lru.insert("c", "d", 1), Some("c"));
        assert_eq!(lru.weight(), 1);
        assert_eq!(lru.get("x"), None);
        assert_eq!(lru.remove("c"), Some("d"));
        assert_eq!((lru.len(), lru.weight()), (0, 0));
    }
}
