//! Hashes of numbers that a session counts up itself, so that nobody can choose them to collide.

use std::hash::{BuildHasherDefault, Hasher};

/// Builds the hashes of a table by number.
pub(super) type ByNumber = BuildHasherDefault<Consecutive>;

/// Gives numbers that follow each other places that do: what begins together is looked up together, and then lies together in
/// memory. A table takes the place from the low bits, and from the highest seven a mark by which it tells neighbours apart.
/// Of numbers that are a power of two apart all would have the same low bits: every 251st of a row leaves a place out, so that
/// few of them meet, and few of those that are 255 or 256 apart.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Consecutive(u64);

/// 2^64 divided by the golden ratio: its products fill their highest bits evenly (Knuth, The Art of Computer Programming,
/// volume 3, section 6.4).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a table takes the mark from.
const MARK: u64 = !(u64::MAX >> 7);

impl Hasher for Consecutive {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        let number = self.0.wrapping_mul(GOLDEN) ^ u64::from(number);
        self.0 = (number.wrapping_add(number / 251) & !MARK) | (number.wrapping_mul(GOLDEN) & MARK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::hash::BuildHasher;

    fn places(numbers: impl Iterator<Item = u32>, mask: u64) -> BTreeMap<u64, Vec<u64>> {
        let mut places = BTreeMap::<u64, Vec<u64>>::new();
        for number in numbers {
            let hash = ByNumber::default().hash_one(number);
            places.entry(hash & mask).or_default().push(hash & MARK);
        }
        places
    }

    #[test]
    fn numbers_that_follow_each_other_have_places_of_their_own_side_by_side() {
        for first in [0, 1, 1 << 20, u32::MAX - 100_000] {
            let places = places(first..first + 100_000, (1 << 17) - 1);
            assert_eq!(places.len(), 100_000);
            let beside = places.keys().zip(places.keys().skip(1)).filter(|(one, next)| *one + 1 == **next);
            assert!(beside.count() > 99_000);
        }
    }

    /// In a table that is as full as it may be, and looks at 16 places at once.
    #[test]
    fn numbers_that_are_far_apart_seldom_meet_in_one_place() {
        for apart in (0..=22).map(|bits| 1 << bits).chain([3, 10, 100, 255, 257, 1000, 3 << 12]) {
            let places = places((0..896).map(|n| n * apart), 1023);
            let looks: usize = places.values().map(|place| place.len() * place.len().div_ceil(16)).sum();
            assert!(looks < 8 * 896, "{apart} apart: {looks}");
        }
    }

    /// Those that a table looks at together it tells apart by their marks.
    #[test]
    fn neighbours_have_marks_of_their_own() {
        for first in (0..100_000).step_by(16) {
            let mut marks: Vec<_> = places(first..first + 16, u64::MAX).into_values().flatten().collect();
            marks.sort_unstable();
            marks.dedup();
            assert!(marks.len() > 14, "{first}: {}", marks.len());
        }
    }
}
