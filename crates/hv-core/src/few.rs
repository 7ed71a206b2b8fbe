//! A map that most nodes have little in: a few entries are compared one by one, more are hashed.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

/// So many entries are compared one by one.
const FEW: usize = 4;

/// A map without an order. All of it lies in the list or all of it in the table.
#[derive(Debug)]
pub(crate) struct Few<K, V, S> {
    list: Vec<(K, V)>,
    table: HashMap<K, V, S>,
}

impl<K, V, S: Default> Default for Few<K, V, S> {
    fn default() -> Self {
        Self { list: Vec::new(), table: HashMap::default() }
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Few<K, V, S> {
    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        if self.table.is_empty() {
            return self.list.iter().find(|(known, _)| known.borrow() == key).map(|(_, value)| value);
        }
        self.table.get(key)
    }

    pub(crate) fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        if self.table.is_empty() {
            return self.list.iter_mut().find(|(known, _)| (*known).borrow() == key).map(|(_, value)| value);
        }
        self.table.get_mut(key)
    }

    /// Returns what was there before.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(known) = self.get_mut(&key) {
            return Some(std::mem::replace(known, value));
        }
        if self.table.is_empty() && self.list.len() < FEW {
            self.list.push((key, value));
        } else {
            self.table.extend(self.list.drain(..));
            self.table.insert(key, value);
        }
        None
    }

    /// Returns what was there.
    pub(crate) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if self.table.is_empty() {
            let at = self.list.iter().position(|(known, _)| known.borrow() == key)?;
            return Some(self.list.swap_remove(at).1);
        }
        self.table.remove(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len() + self.table.len()
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.list.iter_mut().map(|(_, value)| value).chain(self.table.values_mut())
    }

    /// In no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.list.iter().map(|(key, value)| (key, value)).chain(&self.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foldhash::quality::RandomState;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn does_what_a_map_does_however_little_is_in_it(
            steps in prop::collection::vec((0u8..9, prop::option::of(any::<u8>())), 0..60),
        ) {
            let (mut few, mut model) = (Few::<u8, u8, RandomState>::default(), BTreeMap::new());
            for (key, put) in steps {
                match put {
                    Some(value) => prop_assert_eq!(few.insert(key, value), model.insert(key, value)),
                    None => prop_assert_eq!(few.remove(&key), model.remove(&key)),
                }
                if let Some(value) = few.get_mut(&key) {
                    *value = value.wrapping_add(1);
                    model.entry(key).and_modify(|value| *value = value.wrapping_add(1));
                }
                prop_assert!((0..9).all(|key| few.get(&key) == model.get(&key)));
                let all: BTreeMap<u8, u8> = few.iter().map(|(key, value)| (*key, *value)).collect();
                prop_assert_eq!(&all, &model);
            }
        }
    }
}
