//! Numbers in order, in as little more than their own eight bytes as can be.

use hv_types::wire::{Reader, put_varint};
use hv_types::{Undecodable, Wire};

/// So many stand together at most.
const BLOCK: usize = 512;

/// A block grows by room for so many.
const ROOM: usize = 32;

/// A set of numbers that are spread over all that there are, as digests are.
#[derive(Debug, Default)]
pub(super) struct Digests {
    /// Each in order, none of them empty, and all of one before all of the next.
    blocks: Vec<Vec<u64>>,
}

impl Digests {
    /// The block that it is in or belongs in.
    fn at(&self, digest: u64) -> usize {
        let before = self.blocks.partition_point(|block| block.first().is_some_and(|first| *first <= digest));
        before.saturating_sub(1)
    }

    /// O(log n).
    pub(super) fn contains(&self, digest: u64) -> bool {
        self.blocks.get(self.at(digest)).is_some_and(|block| block.binary_search(&digest).is_ok())
    }

    /// Nothing happens where it is there. O(log n), and one in half a [block](BLOCK) moves where the blocks are.
    pub(super) fn insert(&mut self, digest: u64) {
        let at = self.at(digest);
        let Some(block) = self.blocks.get_mut(at) else {
            self.blocks.push(vec![digest]);
            return;
        };
        let Err(place) = block.binary_search(&digest) else { return };
        if block.len() == block.capacity() {
            block.reserve_exact(ROOM);
        }
        block.insert(place, digest);
        if block.len() > BLOCK {
            let behind = block.split_off(BLOCK / 2);
            block.shrink_to_fit();
            self.blocks.insert(at + 1, behind);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u64> {
        self.blocks.iter().flatten().copied()
    }
}

/// How many there are; then each by how far it is behind the one before it, less 1.
impl Wire for Digests {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(self.blocks.iter().map(|block| block.len() as u64).sum(), out);
        let mut free = 0;
        for digest in self.iter() {
            put_varint(digest - free, out);
            free = digest.wrapping_add(1);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let mut digests = Self::default();
        let mut free = Some(0u64);
        for _ in 0..u64::take(reader)? {
            let digest = free.zip(Some(u64::take(reader)?)).and_then(|(free, gap)| free.checked_add(gap));
            let digest = digest.ok_or_else(|| reader.invalid("digest"))?;
            free = digest.checked_add(1);
            match digests.blocks.last_mut().filter(|block| block.len() < BLOCK / 2) {
                Some(block) => block.push(digest),
                None => {
                    let mut block = Vec::with_capacity(BLOCK / 2);
                    block.push(digest);
                    digests.blocks.push(block);
                }
            }
        }
        Ok(digests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn hold(digests: &Digests, model: &BTreeSet<u64>) -> Result<(), TestCaseError> {
        prop_assert!(digests.iter().eq(model.iter().copied()));
        prop_assert!(digests.blocks.iter().all(|block| !block.is_empty() && block.len() <= BLOCK));
        for digest in
            model.iter().flat_map(|digest| [digest.wrapping_sub(1), *digest, digest.wrapping_add(1)])
        {
            prop_assert_eq!(digests.contains(digest), model.contains(&digest), "{}", digest);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn what_was_put_in_is_there(
            runs in prop::collection::vec((prop_oneof![any::<u64>(), Just(u64::MAX - 700), Just(0)], 1u64..1_500, 1u64..3), 0..4),
            more in prop::collection::vec(any::<u64>(), 0..40),
        ) {
            let (mut digests, mut model) = (Digests::default(), BTreeSet::new());
            let runs = runs.into_iter().flat_map(|(from, count, step)| (0..count).map(move |n| from.wrapping_add(n * step)));
            for digest in runs.chain(more) {
                digests.insert(digest);
                model.insert(digest);
            }
            hold(&digests, &model)?;
            let bytes = digests.to_bytes();
            let mut again = Digests::from_bytes(&bytes).unwrap();
            prop_assert_eq!(again.to_bytes(), bytes);
            for digest in [0, 77, u64::MAX] {
                again.insert(digest);
                model.insert(digest);
            }
            hold(&again, &model)?;
        }
    }

    #[test]
    fn each_takes_little_more_than_itself() {
        let (mut digests, mut number) = (Digests::default(), 1u64);
        for _ in 0..200_000 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            digests.insert(number);
        }
        let room: usize =
            digests.blocks.iter().map(|block| block.capacity() * 8 + size_of::<Vec<u64>>() + 16).sum();
        assert!(room < 200_000 * 9, "{} bytes each", room / 200_000);
    }

    #[test]
    fn what_is_no_set_of_numbers_is_refused() {
        let read = |numbers: &[u64]| {
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| put_varint(*number, &mut bytes));
            Digests::from_bytes(&bytes).is_ok()
        };
        assert!(read(&[0]) && read(&[1, u64::MAX]) && read(&[2, 5, u64::MAX - 6]) && read(&[3, 0, 0, 0]));
        for wrong in [
            &[1][..],
            &[2, u64::MAX, 0],
            &[2, 5, u64::MAX - 5],
            &[3, 5, u64::MAX - 6, 0],
            &[0, 1],
            &[u64::MAX, 1],
        ] {
            assert!(!read(wrong), "{wrong:?}");
        }
    }
}
