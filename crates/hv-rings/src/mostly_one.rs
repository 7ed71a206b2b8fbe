//! A map that mostly has one entry, which then takes no memory of its own.

use alloc::collections::BTreeMap;

/// A map of which one entry lies in the value itself and the others in a tree.
#[derive(Debug, Clone)]
pub(crate) struct MostlyOne<K, V> {
    one: Option<(K, V)>,
    others: BTreeMap<K, V>,
}

impl<K, V> MostlyOne<K, V> {
    pub(crate) const fn new() -> Self {
        Self { one: None, others: BTreeMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.others.len() + usize::from(self.one.is_some())
    }
}

impl<K: Ord, V> MostlyOne<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        match &self.one {
            Some((known, value)) if known == key => Some(value),
            _ => self.others.get(key),
        }
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match &mut self.one {
            Some((known, value)) if known == key => Some(value),
            _ => self.others.get_mut(key),
        }
    }

    /// Adds an entry whose key is not there yet.
    pub(crate) fn add(&mut self, key: K, value: V) {
        if self.one.is_none() {
            self.one = Some((key, value));
        } else {
            self.others.insert(key, value);
        }
    }

    /// Keeps the entries of which this is true.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        self.one.take_if(|(_, value)| !keep(value));
        self.others.retain(|_, value| keep(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn does_what_a_map_does(
            steps in prop::collection::vec((0u8..5, prop::option::weighted(0.8, any::<u8>())), 0..40),
        ) {
            let (mut map, mut model) = (MostlyOne::new(), BTreeMap::new());
            for (key, put) in steps {
                match put {
                    Some(value) if model.contains_key(&key) => {
                        *map.get_mut(&key).unwrap() = value;
                        model.insert(key, value);
                    }
                    Some(value) => {
                        map.add(key, value);
                        model.insert(key, value);
                    }
                    None => {
                        map.retain(|value| value % 5 != key);
                        model.retain(|_, value| *value % 5 != key);
                    }
                }
                prop_assert_eq!(map.len(), model.len());
                for key in 0..5 {
                    prop_assert_eq!(map.get(&key), model.get(&key));
                    prop_assert_eq!(map.get_mut(&key), model.get_mut(&key));
                }
            }
        }
    }
}
