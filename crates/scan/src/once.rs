//! Names for files that must not be entered again: unspeakable names that are marked as macros are defined.
//!
//! Clang tells files apart by their inode, GCC by size, time and content. A file that is edited keeps its name while
//! nothing else can have to do with it, so that what was concluded from its directives holds if they are still the same.

use crate::files::Stamp;
use crate::hash::FastMap;
use crate::names::{Name, Names};
use crate::parsed::Parsed;
use crate::toolchain::Family;

/// What a compiler goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Content(u64, i128, u64),
    Inode(u64, u64),
}

/// The names of one reading of a file, as GCC and as Clang see it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OnceOf([Option<Name>; 2]);

/// All names.
#[derive(Debug, Default)]
pub(crate) struct OnceNames {
    by_key: FastMap<Key, Name>,
    /// Readings that have a name.
    users: FastMap<Name, u32>,
    count: u32,
}

fn key(slot: usize, stamp: &Stamp, parsed: &Parsed) -> Key {
    if slot == 0 && parsed.once {
        Key::Content(stamp.size, stamp.mtime_ns, parsed.content)
    } else {
        Key::Inode(stamp.dev, stamp.ino)
    }
}

impl OnceNames {
    /// The name of a reading.
    pub(crate) fn get(
        &mut self,
        of: &mut OnceOf,
        (stamp, parsed): (&Stamp, &Parsed),
        family: Family,
        names: &mut Names,
    ) -> Name {
        let slot = match family {
            Family::Gcc => 0,
            Family::Clang => 1,
        };
        if let Some(name) = of.0[slot] {
            return name;
        }
        let count = &mut self.count;
        let name = *self
            .by_key
            .entry(key(slot, stamp, parsed))
            .or_insert_with(|| {
                *count += 1;
                names.intern(format!("\0once {count}").as_bytes())
            });
        *self.users.entry(name).or_default() += 1;
        of.0[slot] = Some(name);
        name
    }

    /// The names of a file that has changed; `None` if it cannot keep them, and then has none.
    pub(crate) fn keep(
        &mut self,
        of: OnceOf,
        old: (&Stamp, &Parsed),
        new: (&Stamp, &Parsed),
    ) -> Option<OnceOf> {
        let mut all = true;
        for (slot, name) in (0..).zip(of.0) {
            let Some(name) = name else { continue };
            let (old, new) = (key(slot, old.0, old.1), key(slot, new.0, new.1));
            all &= old == new
                || (self.users.get(&name) == Some(&1) && !self.by_key.contains_key(&new));
        }
        for (slot, name) in (0..).zip(of.0) {
            let Some(name) = name else { continue };
            if !all {
                self.users.entry(name).and_modify(|users| *users -= 1);
            } else if self.by_key.remove(&key(slot, old.0, old.1)).is_some() {
                self.by_key.insert(key(slot, new.0, new.1), name);
            }
        }
        all.then_some(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(ino: u64, mtime_ns: i128) -> Stamp {
        Stamp {
            ino,
            mtime_ns,
            ..Stamp::default()
        }
    }

    fn parsed(content: u64) -> Parsed {
        Parsed {
            once: true,
            content,
            ..Parsed::default()
        }
    }

    #[test]
    fn an_edited_file_keeps_its_name_while_it_is_alone() {
        let (mut all, mut names) = (OnceNames::default(), Names::new());
        let (a, b, edited) = (
            (stamp(1, 5), parsed(7)),
            (stamp(2, 5), parsed(7)),
            (stamp(1, 6), parsed(8)),
        );
        let mut of_a = OnceOf::default();
        let name = all.get(&mut of_a, (&a.0, &a.1), Family::Gcc, &mut names);
        let kept = all.keep(of_a, (&a.0, &a.1), (&edited.0, &edited.1));
        assert_eq!(kept, Some(of_a));
        let mut of_b = OnceOf::default();
        let other = all.get(&mut of_b, (&b.0, &b.1), Family::Gcc, &mut names);
        assert_ne!(name, other, "what the file was is another one now");
        let back = all.keep(of_a, (&edited.0, &edited.1), (&a.0, &a.1));
        assert_eq!(back, None, "as GCC sees it, it is that other one");
        let mut again = OnceOf::default();
        assert_eq!(
            all.get(&mut again, (&a.0, &a.1), Family::Gcc, &mut names),
            other
        );
        assert_ne!(
            all.get(&mut again, (&a.0, &a.1), Family::Clang, &mut names),
            other
        );
    }
}
