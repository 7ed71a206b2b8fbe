//! Checked text that is copied and compared all the time: short ones lie in the value itself.

use alloc::sync::Arc;
use core::cmp::Ordering;
use core::hash::{Hash, Hasher};

/// Text of up to this many bytes is copied without an atomic operation and takes no memory of its own.
const SHORT_BYTES: usize = 22;

/// A text without NUL. Clones of a long one share it.
#[derive(Clone)]
pub(crate) enum Name {
    Short(Short),
    /// Always longer than [`SHORT_BYTES`], so that equal names are of one kind.
    Long(Arc<str>),
}

/// Filled up with NUL, so that it compares as the text does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Short {
    bytes: [u8; SHORT_BYTES],
    length: u8,
}

impl Name {
    pub(crate) fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT_BYTES];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(text.as_bytes());
                Self::Short(Short { bytes, length })
            }
            _ => Self::Long(Arc::from(text)),
        }
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(Short { bytes, length }) => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(text) => text.as_bytes(),
        }
    }

    #[inline]
    pub(crate) fn as_str(&self) -> &str {
        match self {
            // It was text when it was made, so this never comes out empty.
            Self::Short(_) => core::str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Self::Long(text) => text,
        }
    }
}

impl PartialEq for Name {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Short(own), Self::Short(other)) => own == other,
            (Self::Long(own), Self::Long(other)) => Arc::ptr_eq(own, other) || own == other,
            _ => false,
        }
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Short(own), Self::Short(other)) => own.cmp(other),
            _ => self.as_bytes().cmp(other.as_bytes()),
        }
    }
}

/// As `str` does, because identifiers are looked up by text.
impl Hash for Name {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;

    /// Every pair of texts of every length around the boundary, alike up to one place.
    #[test]
    fn names_are_equal_ordered_and_shown_as_their_texts() {
        let mut texts: Vec<String> = Vec::new();
        for length in [0, 1, 2, SHORT_BYTES - 1, SHORT_BYTES, SHORT_BYTES + 1, 256] {
            for (place, c) in [(0, 'b'), (length.saturating_sub(1), 'b'), (length / 2, 'ä'), (0, 'a')] {
                let text: String = (0..length).map(|at| if at == place { c } else { 'a' }).collect();
                texts.push(text);
            }
        }
        for one in &texts {
            let name = Name::new(one);
            assert_eq!((name.as_str(), name.as_bytes()), (one.as_str(), one.as_bytes()));
            assert_eq!(matches!(name, Name::Short(_)), one.len() <= SHORT_BYTES, "{one}");
            for other in &texts {
                let second = Name::new(other);
                assert_eq!(name == second, one == other, "{one} {other}");
                assert_eq!(name.cmp(&second), one.cmp(other), "{one} {other}");
                assert_eq!(name.partial_cmp(&second), Some(one.cmp(other)));
            }
        }
    }

    #[test]
    fn a_name_is_hashed_as_its_text() {
        struct Fold(u64);
        impl Hasher for Fold {
            fn finish(&self) -> u64 {
                self.0
            }
            fn write(&mut self, bytes: &[u8]) {
                self.0 = bytes.iter().fold(self.0, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte));
            }
        }
        for text in ["a", "did:mesh:alpha", "did:key:z6MkqUFMKcFZN9wqxrhzeC75FYzSD6KxMhDUdNFg9MzakL2J"] {
            let (mut own, mut other) = (Fold(7), Fold(7));
            Name::new(text).hash(&mut own);
            text.hash(&mut other);
            assert_eq!(own.finish(), other.finish());
        }
    }

    #[test]
    fn a_name_is_no_larger_than_three_words() {
        assert_eq!(size_of::<Name>(), 24);
        assert_eq!(size_of::<Option<Name>>(), 24);
    }
}
