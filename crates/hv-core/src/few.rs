//! A map that most nodes have little in: a few entries are compared one by one, more are hashed.

use hv_types::wire::{Reader, put_varint};
use hv_types::{Undecodable, Wire};
use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};

/// So many entries are compared one by one.
const FEW: usize = 4;

/// A map without an order. All of it lies in the list or all of it in the table.
#[derive(Debug)]
pub(crate) struct Few<K, V, S> {
    /// The first of the list, which often is the only one, so that it takes no memory of its own.
    first: Option<(K, V)>,
    /// The rest of the list.
    rest: Vec<(K, V)>,
    /// From the first time on that there were more than a few.
    table: Option<HashMap<K, V, S>>,
}

impl<K, V, S> Default for Few<K, V, S> {
    fn default() -> Self {
        Self { first: None, rest: Vec::new(), table: None }
    }
}

impl<K: Hash + Eq, V, S: BuildHasher + Default> Few<K, V, S> {
    fn list(&self) -> impl Iterator<Item = &(K, V)> {
        self.first.iter().chain(&self.rest)
    }

    /// The table, where all of it lies there.
    fn table(&self) -> Option<&HashMap<K, V, S>> {
        self.table.as_ref().filter(|table| !table.is_empty())
    }

    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        if let Some((known, value)) = &self.first
            && known.borrow() == key
        {
            return Some(value);
        }
        match self.table() {
            None => self.rest.iter().find(|(known, _)| known.borrow() == key).map(|(_, value)| value),
            Some(table) => table.get(key),
        }
    }

    pub(crate) fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        if let Some((known, value)) = &mut self.first
            && (*known).borrow() == key
        {
            return Some(value);
        }
        match self.table.as_mut().filter(|table| !table.is_empty()) {
            None => self.rest.iter_mut().find(|(known, _)| (*known).borrow() == key).map(|(_, value)| value),
            Some(table) => table.get_mut(key),
        }
    }

    /// Returns what was there before.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(table) = self.table.as_mut().filter(|table| !table.is_empty()) {
            return table.insert(key, value);
        }
        if let Some(known) = self.get_mut(&key) {
            return Some(std::mem::replace(known, value));
        }
        if self.rest.len() + 1 >= FEW {
            let table = self.table.get_or_insert_default();
            table.extend(self.first.take().into_iter().chain(self.rest.drain(..)));
            table.insert(key, value);
        } else if self.first.is_none() {
            self.first = Some((key, value));
        } else {
            self.rest.push((key, value));
        }
        None
    }

    /// Returns what was there.
    pub(crate) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        match self.table.as_mut().filter(|table| !table.is_empty()) {
            None => {
                if self.first.as_ref().is_some_and(|(known, _)| known.borrow() == key) {
                    let (_, value) = std::mem::replace(&mut self.first, self.rest.pop())?;
                    return Some(value);
                }
                let at = self.rest.iter().position(|(known, _)| known.borrow() == key)?;
                Some(self.rest.swap_remove(at).1)
            }
            Some(table) => table.remove(key),
        }
    }

    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, more: usize) {
        if self.len() + more > FEW {
            self.table.get_or_insert_default().reserve(more);
        }
    }

    /// Gives room back where there is room for more than a crowd, and most of it is empty.
    pub(crate) fn fit(&mut self, crowd: usize) {
        if let Some(table) = &mut self.table
            && table.capacity() > crowd
            && table.len() < table.capacity() / 8
        {
            table.shrink_to(table.len() * 2);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.list().count() + self.table().map_or(0, HashMap::len)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let table = self.table.as_mut().into_iter().flat_map(HashMap::values_mut);
        self.first.iter_mut().chain(&mut self.rest).map(|(_, value)| value).chain(table)
    }

    /// In no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.list().map(|(key, value)| (key, value)).chain(self.table().into_iter().flatten())
    }
}

/// As a map with an order has it.
impl<K: Wire + Hash + Ord, V: Wire, S: BuildHasher + Default> Wire for Few<K, V, S> {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(self.len() as u64, out);
        for (key, value) in self.iter().collect::<BTreeMap<_, _>>() {
            key.put(out);
            value.put(out);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let ordered = BTreeMap::take(reader)?;
        let mut few = Self::default();
        few.reserve(ordered.len());
        for (key, value) in ordered {
            few.insert(key, value);
        }
        Ok(few)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foldhash::quality::RandomState;
    use proptest::prelude::*;

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
                prop_assert_eq!(few.to_bytes(), model.to_bytes());
                let again = Few::<u8, u8, RandomState>::from_bytes(&few.to_bytes()).unwrap();
                prop_assert!(again.len() == few.len() && again.iter().all(|(key, value)| few.get(key) == Some(value)));
            }
        }
    }
}
