//! Sets of small numbers that are emptied at no cost: a number is in the set if it bears the stamp of the current round.

/// A set of numbers.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    by_number: Vec<u32>,
    round: u32,
}

impl Stamps {
    /// Empties the set.
    pub(crate) fn clear(&mut self) {
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.by_number.fill(0);
            self.round = 1;
        }
    }

    /// Adds a number; whether it is new.
    pub(crate) fn insert(&mut self, number: u32) -> bool {
        let at = number as usize;
        if at >= self.by_number.len() {
            self.by_number.resize(at + at / 4 + 1, 0);
        }
        let stamp = &mut self.by_number[at];
        std::mem::replace(stamp, self.round) != self.round
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_new_once_in_a_round() {
        let mut set = Stamps::default();
        for _ in 0..3 {
            set.clear();
            assert!(set.insert(7) && !set.insert(7) && set.insert(100) && set.insert(0));
        }
        set.round = u32::MAX;
        set.insert(7);
        set.clear();
        assert!(set.insert(7));
    }
}
