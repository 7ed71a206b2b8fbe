//! A hash index over rows that live elsewhere: four bytes an entry, and only ever asked for one row, so that
//! no order can leak from it.

/// An open-addressing table of row numbers plus one; 0 is an empty place.
///
/// The rows know what is equal and what hashes how; the index is given both with every call. Probing is
/// linear, and a removal closes the gap, so that the table never fills with tombstones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    places: Vec<u32>,
    used: usize,
}

/// An empty place, until the next row is put somewhere or taken out.
#[derive(Debug)]
pub(crate) struct Free(usize);

/// The smallest table that holds anything.
const PLACES_MIN: usize = 8;

/// A smaller table grows to eight times its size, so that most rows are hashed once; a larger one to twice.
const PLACES_FEW: usize = 1 << 15;

impl Index {
    /// Whether there is no row in it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// The row that hashes like this and is the `same`.
    pub(crate) fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        let mut place = self.home(hash)?;
        loop {
            let row = self.places.get(place)?.checked_sub(1)?;
            if same(row) {
                return Some(row);
            }
            place = self.next(place);
        }
    }

    /// The row that hashes like this and is the `same`, or else where one may be put that does and is; `hash_of` is
    /// asked where the table grows, whether or not something is put there.
    pub(crate) fn look(
        &mut self,
        hash: u64,
        same: impl Fn(u32) -> bool,
        hash_of: impl Fn(u32) -> u64,
    ) -> Result<u32, Free> {
        if (self.used + 1) * 4 > self.places.len() * 3 {
            self.grow(hash_of);
        }
        let mut place = self.home(hash).unwrap_or_default();
        while let Some(row) = self.places.get(place).and_then(|entry| entry.checked_sub(1)) {
            if same(row) {
                return Ok(row);
            }
            place = self.next(place);
        }
        Err(Free(place))
    }

    /// Puts a row where there was none when it was looked for.
    pub(crate) fn put(&mut self, Free(place): Free, row: u32) {
        self.set(place, row + 1);
        self.used += 1;
    }

    #[inline(never)]
    fn grow(&mut self, hash_of: impl Fn(u32) -> u64) {
        let old = core::mem::take(&mut self.places);
        let times = if old.len() < PLACES_FEW { 8 } else { 2 };
        self.places = vec![0; (old.len() * times).max(PLACES_MIN)];
        // Rows are asked in the order in which they lie in memory.
        let mut there = vec![false; old.iter().max().map_or(0, |&entry| entry as usize)];
        for entry in old {
            if let Some(there) = (entry as usize).checked_sub(1).and_then(|row| there.get_mut(row)) {
                *there = true;
            }
        }
        for (row, _) in (0u32..).zip(there).filter(|&(_, there)| there) {
            let Some(mut place) = self.home(hash_of(row)) else { return };
            while self.places.get(place).is_some_and(|&entry| entry != 0) {
                place = self.next(place);
            }
            self.set(place, row + 1);
        }
    }

    /// Takes a row out, if it is there.
    pub(crate) fn remove(&mut self, row: u32, hash_of: impl Fn(u32) -> u64) {
        let Some(mut gap) = self.home(hash_of(row)) else { return };
        while self.places.get(gap).is_some_and(|&entry| entry != 0 && entry != row + 1) {
            gap = self.next(gap);
        }
        if self.places.get(gap) != Some(&(row + 1)) {
            return;
        }
        self.used -= 1;
        let mut place = gap;
        loop {
            place = self.next(place);
            let Some(moved) = self.places.get(place).and_then(|entry| entry.checked_sub(1)) else { break };
            // A row may move into the gap unless its home lies after the gap on its way to where it is.
            let home = self.home(hash_of(moved)).unwrap_or(place);
            let (to_place, to_gap) = (self.distance(home, place), self.distance(home, gap));
            if to_gap < to_place {
                self.set(gap, moved + 1);
                gap = place;
            }
        }
        self.set(gap, 0);
    }

    fn set(&mut self, place: usize, entry: u32) {
        if let Some(slot) = self.places.get_mut(place) {
            *slot = entry;
        }
    }

    /// Where the search for this hash begins; nowhere in an empty table. The length is a power of two.
    #[allow(clippy::cast_possible_truncation)]
    fn home(&self, hash: u64) -> Option<usize> {
        Some(hash as usize & self.places.len().checked_sub(1)?)
    }

    fn next(&self, place: usize) -> usize {
        (place + 1) & self.places.len().saturating_sub(1)
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.places.len().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Puts a row in that is not there yet.
    fn insert(index: &mut Index, row: u32, hash_of: impl Fn(u32) -> u64) {
        let free = index.look(hash_of(row), |other| other == row, hash_of).unwrap_err();
        index.put(free, row);
    }

    proptest! {
        /// Few hashes for many rows, so that probing and closing gaps across the end of the table happen.
        #[test]
        fn behaves_like_a_set(steps in prop::collection::vec((0u32..60, any::<bool>()), 0..300), hashes in 1u64..20) {
            let hash = |row: u32| (u64::from(row) % hashes).wrapping_sub(10);
            let (mut index, mut model) = (Index::default(), BTreeSet::new());
            for (row, add) in steps {
                if add {
                    if model.insert(row) {
                        prop_assert!(index.used > 0 || index.is_empty());
                        insert(&mut index, row, hash);
                    } else {
                        prop_assert_eq!(index.look(hash(row), |r| r == row, hash).ok(), Some(row));
                    }
                } else {
                    model.remove(&row);
                    index.remove(row, hash);
                }
                for row in 0..60 {
                    prop_assert_eq!(index.find(hash(row), |r| r == row).is_some(), model.contains(&row));
                }
                prop_assert_eq!(index.used, model.len());
            }
        }
    }

    /// Where no two rows hash alike, one look finds a row.
    #[test]
    fn a_row_is_where_its_hash_says() {
        let mut index = Index::default();
        (0..1000).for_each(|row| insert(&mut index, row, u64::from));
        for row in 0..1000 {
            let looks = std::cell::Cell::new(0);
            let same = |other: u32| {
                looks.set(looks.get() + 1);
                other == row
            };
            assert_eq!((index.find(u64::from(row), same), looks.get()), (Some(row), 1));
        }
    }

    /// It is as small as its steps allow with a quarter of its places empty.
    #[test]
    fn it_grows_where_less_than_a_quarter_would_be_empty() {
        let mut index = Index::default();
        for rows in 1..=60_000 {
            insert(&mut index, rows, u64::from);
            let mut steps = [8, 64, 512, 4096, 1 << 15, 1 << 16, 1 << 17].into_iter();
            let least = steps.find(|places| places * 3 >= rows as usize * 4);
            assert_eq!(Some(index.places.len()), least, "{rows}");
        }
    }

    #[test]
    fn an_empty_one_has_allocated_nothing() {
        let mut index = Index::default();
        assert_eq!(index.places.capacity(), 0);
        assert_eq!(index.find(1, |_| true), None);
        index.remove(1, u64::from);
        assert_eq!(index.places.capacity(), 0);
    }
}
