//! What most nodes and sessions never have: it takes a word until something is written into it.

use hv_types::wire::Reader;
use hv_types::{Undecodable, Wire};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};

/// A value that reads as blank until it is written to. Whoever only takes something out asks [`made`](Self::made) first.
#[derive(Debug, Clone)]
pub(crate) struct Seldom<T>(Option<Box<T>>);

/// What a value is that nothing was written into.
pub(crate) trait Blank: Default + 'static {
    fn blank() -> &'static Self;
}

impl<T> Default for Seldom<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Seldom<T> {
    /// The value, where something was written into it, for looking at.
    #[inline]
    pub(crate) fn known(&self) -> Option<&T> {
        self.0.as_deref()
    }

    /// The value, where something was written into it.
    #[inline]
    pub(crate) fn made(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }
}

impl<T> From<T> for Seldom<T> {
    fn from(value: T) -> Self {
        Self(Some(Box::new(value)))
    }
}

impl<T: Blank> Deref for Seldom<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match &self.0 {
            Some(made) => made,
            None => T::blank(),
        }
    }
}

impl<T: Blank> DerefMut for Seldom<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

/// As a snapshot keeps it: as if it were there always. What is read as blank takes no more than it did before.
impl<T: Blank + Wire> Wire for Seldom<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let before = reader.rest();
        let value = T::take(reader)?;
        let read = before.get(..before.len() - reader.rest().len());
        Ok(if read == Some(&T::blank().to_bytes()) { Self::default() } else { Self::from(value) })
    }
}

impl<K: 'static, V: 'static> Blank for BTreeMap<K, V> {
    #[inline]
    fn blank() -> &'static Self {
        const { &Self::new() }
    }
}

impl<K: 'static> Blank for BTreeSet<K> {
    #[inline]
    fn blank() -> &'static Self {
        const { &Self::new() }
    }
}

/// What a type is while nothing was written into it: this constant, or else its default.
macro_rules! blank {
    ($type:ty, $blank:expr) => {
        impl crate::seldom::Blank for $type {
            #[inline]
            fn blank() -> &'static Self {
                static BLANK: $type = $blank;
                &BLANK
            }
        }
    };
    ($type:ty) => {
        impl crate::seldom::Blank for $type {
            fn blank() -> &'static Self {
                static BLANK: std::sync::LazyLock<$type> = std::sync::LazyLock::new(Default::default);
                &BLANK
            }
        }
    };
}

pub(crate) use blank;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_blank_until_something_is_written() {
        let mut seldom = Seldom::<BTreeMap<u8, u8>>::default();
        assert!(seldom.is_empty() && seldom.known().is_none() && seldom.made().is_none());
        assert_eq!(seldom.to_bytes(), BTreeMap::<u8, u8>::new().to_bytes());
        seldom.insert(1, 2);
        assert_eq!((seldom.get(&1), seldom.known().map(BTreeMap::len)), (Some(&2), Some(1)));
        assert!(seldom.made().is_some());
        let again = Seldom::<BTreeMap<u8, u8>>::from_bytes(&seldom.to_bytes()).unwrap();
        assert_eq!(*again, *seldom);
        let blank = Seldom::<BTreeMap<u8, u8>>::from_bytes(&BTreeMap::<u8, u8>::new().to_bytes()).unwrap();
        assert!(blank.known().is_none() && blank.is_empty());
    }
}
