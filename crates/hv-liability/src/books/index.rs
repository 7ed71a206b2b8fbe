//! A hash index over rows that live elsewhere: five bytes a place, and only ever asked for one row, so that no order
//! can leak from it.

use hashbrown::HashTable;

/// The numbers of rows, by what the rows hash to. What is equal and what hashes how the rows know, not the index: it is
/// told with every call.
///
/// A part of each hash lies in the table, so that a search looks at hardly any row but the one that it is for: rows
/// are not where the last one was, and waiting for them would take most of the time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index(HashTable<u32>);

/// A smaller table grows to eight times what is in it, so that most rows are hashed once; a larger one to twice.
const FEW: usize = 1 << 13;

/// The first table has room for so many.
const FIRST: usize = 7;

impl Index {
    /// Whether there is no row in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many rows are in it.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The row that hashes like this and is the `same`.
    pub(crate) fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        self.0.find(hash, |&row| same(row)).copied()
    }

    /// Puts a row in that is not there; `hash_of` is asked where the table grows.
    pub(crate) fn put(&mut self, hash: u64, row: u32, hash_of: impl Fn(u32) -> u64) {
        if self.0.len() == self.0.capacity() {
            self.grow(&hash_of);
        }
        self.0.insert_unique(hash, row, |&row| hash_of(row));
    }

    /// Takes a row out, if it is there.
    pub(crate) fn remove(&mut self, hash: u64, row: u32) {
        if let Ok(found) = self.0.find_entry(hash, |&other| other == row) {
            found.remove();
        }
    }

    /// Makes a table with room for more. The rows are asked in the order in which they lie in memory.
    #[inline(never)]
    fn grow(&mut self, hash_of: impl Fn(u32) -> u64) {
        let times = if self.0.len() < FEW { 8 } else { 2 };
        let larger = HashTable::with_capacity((self.0.len() * times).max(FIRST));
        let old = core::mem::replace(&mut self.0, larger);
        let mut there = vec![false; old.iter().max().map_or(0, |&row| row as usize + 1)];
        for row in old {
            if let Some(there) = there.get_mut(row as usize) {
                *there = true;
            }
        }
        for (row, _) in (0u32..).zip(there).filter(|&(_, there)| there) {
            self.0.insert_unique(hash_of(row), row, |&row| hash_of(row));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::Cell;
    use std::collections::BTreeSet;

    proptest! {
        /// Few hashes for many rows, so that most rows are beside others that hash as they do.
        #[test]
        fn behaves_like_a_set(steps in prop::collection::vec((0u32..40, any::<bool>()), 0..120), hashes in 1u64..20) {
            let hash = |row: u32| (u64::from(row) % hashes).wrapping_sub(10);
            let (mut index, mut model) = (Index::default(), BTreeSet::new());
            for (row, add) in steps {
                if !add {
                    model.remove(&row);
                    index.remove(hash(row), row);
                } else if model.insert(row) {
                    index.put(hash(row), row, hash);
                }
                for row in 0..40 {
                    prop_assert_eq!(index.find(hash(row), |r| r == row).is_some(), model.contains(&row));
                }
                prop_assert_eq!(index.is_empty(), model.is_empty());
            }
        }
    }

    /// Hashes that differ as those of names do.
    fn mixed(row: u32) -> u64 {
        u64::from(row + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn index_of(rows: u32) -> Index {
        let mut index = Index::default();
        (0..rows).for_each(|row| index.put(mixed(row), row, mixed));
        index
    }

    /// Only rows of which a part of the hash is the same are looked at: one in 128.
    #[test]
    fn hardly_any_row_is_looked_at_but_the_one_that_is_there() {
        let index = index_of(10_000);
        let looks = Cell::new(0);
        let found = |wanted: u32| {
            index.find(mixed(wanted), |row| {
                looks.set(looks.get() + 1);
                row == wanted
            })
        };
        assert!((0..10_000).all(|row| found(row) == Some(row)));
        assert!((10_000..11_000).contains(&looks.replace(0)), "{looks:?}");
        assert!((10_000..20_000).all(|row| found(row).is_none()));
        assert!(looks.get() < 2_000, "{looks:?}");
    }

    /// A table with this many rows has room for eight times as many after it grew, one with more for twice as many;
    /// and each row is hashed once for it, in order.
    #[test]
    fn it_grows_by_much_while_it_is_small() {
        for (rows, times, below) in [(8191, 8, 32), (8192, 2, 8)] {
            let mut index = index_of(rows);
            let asked = Cell::new(0);
            index.grow(|row| {
                assert_eq!(asked.replace(row + 1), row);
                mixed(row)
            });
            assert_eq!((asked.get(), index.0.len()), (rows, rows as usize));
            let room = index.0.capacity();
            assert!(room >= times * rows as usize && room < below * rows as usize, "{rows}: {room}");
            assert!((0..rows).all(|row| index.find(mixed(row), |other| other == row).is_some()));
        }
    }

    /// The table itself never grows, which would ask for the rows in any order.
    #[test]
    fn rows_are_asked_in_order() {
        let (mut index, asked) = (Index::default(), Cell::new(0));
        for row in 0..60_000 {
            index.put(mixed(row), row, |row| {
                assert!(row == 0 || row > asked.get(), "{row} after {}", asked.get());
                asked.set(row);
                mixed(row)
            });
            asked.set(0);
        }
    }

    /// However often rows come and go, it has room for no more than eight times what was ever there at once.
    #[test]
    fn f22_what_comes_and_goes_needs_no_more_room() {
        let mut index = index_of(300);
        let room = index.0.capacity().max(8 * 300);
        for row in 300..100_000 {
            index.remove(mixed(row - 300), row - 300);
            index.put(mixed(row), row, mixed);
            assert!(index.0.capacity() <= 2 * room, "{row}: {}", index.0.capacity());
        }
        assert_eq!(index.0.len(), 300);
    }

    #[test]
    fn an_empty_one_has_allocated_nothing() {
        let mut index = Index::default();
        assert_eq!(index.find(1, |_| true), None);
        index.remove(1, 0);
        assert_eq!(index.0.capacity(), 0);
    }
}
