//! Lists of numbers in few bytes: what is kept for every source is mostly numbers that follow each other closely.

/// A list of numbers, each kept as what it is more or less than the one before: seven bits in a byte, the eighth says
/// that there are more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Packed(Box<[u8]>);

impl FromIterator<u32> for Packed {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let numbers = numbers.into_iter();
        let mut bytes = Vec::with_capacity(2 * numbers.size_hint().0);
        let mut last = 0u32;
        for number in numbers {
            let more = number.wrapping_sub(last).cast_signed();
            // The sign goes to the lowest bit, so that small steps down are small as well.
            let mut left = ((more << 1) ^ (more >> 31)).cast_unsigned();
            while left >= 0x80 {
                bytes.push(low(left) | 0x80);
                left >>= 7;
            }
            bytes.push(low(left));
            last = number;
        }
        Self(bytes.into())
    }
}

impl Packed {
    /// The numbers, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let mut bytes = self.0.iter();
        let mut last = 0u32;
        std::iter::from_fn(move || {
            let (mut left, mut shift) = (0u32, 0);
            loop {
                let byte = *bytes.next()?;
                left |= u32::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            let more = (left >> 1) ^ (left & 1).wrapping_neg();
            last = last.wrapping_add(more);
            Some(last)
        })
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.0.len()
    }
}

/// The lowest seven bits.
fn low(number: u32) -> u8 {
    number.to_le_bytes()[0] & 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let lists: [&[u32]; 5] = [
            &[],
            &[0],
            &[u32::MAX, 0, u32::MAX, 1 << 31, (1 << 31) - 1],
            &[5, 6, 7, 7, 6, 300, 2, 1_000_000],
            &[127, 128, 0, 63, 64, 191, 16_383, 16_384],
        ];
        for list in lists {
            let packed: Packed = list.iter().copied().collect();
            assert_eq!(packed.iter().collect::<Vec<_>>(), list);
        }
        let mut rng = fastrand::Rng::with_seed(7);
        let many: Vec<u32> = (0..10_000).map(|_| rng.u32(..) >> rng.u32(..32)).collect();
        let packed: Packed = many.iter().copied().collect();
        assert!(packed.iter().eq(many));
        let close: Packed = (1000..2000).collect();
        assert_eq!(close.memory(), 1001);
    }
}
