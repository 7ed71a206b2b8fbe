//! Checked text that is copied and compared all the time: short ones lie in the value itself.

use crate::wire::{put_bytes, put_varint};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::hash::{Hash, Hasher};

/// The longest text of a [`Name`] that is copied without an atomic operation and takes no memory of its own, in bytes.
const SHORT_BYTES: usize = 24;

/// A text that is made once, and copied and compared often. Up to 24 bytes it lies in the value itself, which has four
/// words; clones of a longer one share it. It compares and hashes as `str` does.
///
/// ```
/// use hv_types::Name;
///
/// assert_eq!(Name::new("notes/plan.md").as_str(), "notes/plan.md");
/// assert!(Name::new("a") < Name::new("a/b"));
/// assert_eq!(size_of::<Name>(), 32);
/// ```
#[derive(Clone)]
pub struct Name(Repr);

/// The tag is a whole word: behind one of a byte, seven bytes would be moved by themselves, in two halves that overlap, and
/// the processor cannot read back at once what it wrote like that.
#[derive(Clone)]
#[repr(u64)]
enum Repr {
    Short(Short),
    /// Always longer than [`SHORT_BYTES`] or with a NUL, so that equal names are of one kind.
    Long(Arc<str>),
}

/// Filled up with NUL, so that it compares as the text does. It is written and read by words, so that a word that was just
/// written can be read back at once.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Short([[u8; WORD_BYTES]; SHORT_BYTES / WORD_BYTES]);

const WORD_BYTES: usize = size_of::<u64>();

impl Short {
    /// A text of this kind; nothing where it is too long or has a NUL.
    #[inline]
    fn new(text: &[u8]) -> Option<Self> {
        let (first, rest) = word(text)?;
        let (second, rest) = word(rest)?;
        let (third, rest) = word(rest)?;
        rest.is_empty().then_some(Self([first, second, third]))
    }

    /// All words at once, because mostly none of them differs.
    #[inline]
    const fn is(&self, other: &Self) -> bool {
        let ([a, b, c], [d, e, f]) = (self.words(), other.words());
        (a ^ d) | (b ^ e) | (c ^ f) == 0
    }

    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let mut words = self.0.iter().zip(&other.0);
        let differing = words.find(|(own, other)| own != other);
        differing.map_or(Ordering::Equal, |(own, other)| {
            // The first letter is the one that counts most.
            u64::from_be_bytes(*own).cmp(&u64::from_be_bytes(*other))
        })
    }

    /// Its words, the first letters first, so that they compare as the text does.
    #[inline]
    const fn words(&self) -> [u64; 3] {
        let [first, second, third] = self.0;
        [u64::from_be_bytes(first), u64::from_be_bytes(second), u64::from_be_bytes(third)]
    }

    #[inline]
    const fn length(&self) -> usize {
        let [first, second, third] = self.words();
        let (before, last) = match (second, third) {
            (0, 0) => (0, first),
            (_, 0) => (8, second),
            _ => (16, third),
        };
        before + 8 - last.trailing_zeros() as usize / 8
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        self.0.as_flattened().get(..self.length()).unwrap_or_default()
    }

    /// Three words are copied at once, and what fills them up is cut off again: a copy of so few bytes as the text has
    /// would be a call.
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        let length = self.length();
        put_varint(length as u64, out);
        let end = out.len() + length;
        out.extend_from_slice(self.0.as_flattened());
        out.truncate(end);
    }
}

/// The first word of a text, filled up with NUL, and what comes behind it; nothing where a NUL is in it already.
#[inline]
fn word(text: &[u8]) -> Option<([u8; WORD_BYTES], &[u8])> {
    match text.split_first_chunk() {
        Some((word, rest)) => (letters(*word) == LETTERS).then_some((*word, rest)),
        None => {
            let word = text.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)).to_le_bytes();
            let all = LETTERS & !(u64::MAX << (8 * text.len()));
            (letters(word) == all).then_some((word, &[]))
        }
    }
}

/// A bit for each byte.
const LETTERS: u64 = u64::from_ne_bytes([0x80; WORD_BYTES]);

/// A bit for each byte that is not NUL, the first one lowest.
const fn letters(word: [u8; WORD_BYTES]) -> u64 {
    let word = u64::from_le_bytes(word);
    (((word & !LETTERS) + !LETTERS) | word) & LETTERS
}

impl Name {
    /// Takes a copy of a text.
    #[must_use]
    #[inline]
    pub fn new(text: &str) -> Self {
        match Short::new(text.as_bytes()) {
            Some(short) => Self(Repr::Short(short)),
            None => Self(Repr::Long(Arc::from(text))),
        }
    }

    /// The bytes of the text.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Short(short) => short.bytes(),
            Repr::Long(text) => text.as_bytes(),
        }
    }

    /// Appends the bytes with their length in front, as [`put_bytes`] does.
    #[inline]
    pub fn put(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Repr::Short(short) => short.put(out),
            Repr::Long(text) => put_bytes(text.as_bytes(), out),
        }
    }

    /// The text. Where it is short it is looked through once more.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // It was text when it was made, so this never comes out empty.
            Repr::Short(_) => core::str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Repr::Long(text) => text,
        }
    }
}

impl core::fmt::Debug for Name {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Name {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Repr::Short(own), Repr::Short(other)) => own.is(other),
            (Repr::Long(own), Repr::Long(other)) => Arc::ptr_eq(own, other) || own == other,
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
        match (&self.0, &other.0) {
            (Repr::Short(own), Repr::Short(other)) => own.cmp(other),
            _ => self.as_bytes().cmp(other.as_bytes()),
        }
    }
}

/// As `str` does, because identifiers are looked up by text; without looking through a short one again.
impl Hash for Name {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.as_bytes());
        state.write_u8(0xff);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use std::hash::DefaultHasher;

    /// Every pair of texts of every length around the boundary, alike up to one place.
    #[test]
    fn names_are_equal_ordered_and_shown_as_their_texts() {
        let mut texts: Vec<String> = Vec::new();
        for length in [0, 1, 2, 7, 8, 9, 16, SHORT_BYTES - 1, SHORT_BYTES, SHORT_BYTES + 1, 256] {
            for (place, c) in [(0, 'a'), (0, 'b'), (length.saturating_sub(1), 'b'), (length / 2, 'ä')] {
                texts.push((0..length).map(|at| if at == place { c } else { 'a' }).collect());
            }
            for place in [0, length / 2, length.saturating_sub(1)] {
                texts.push((0..length).map(|at| if at == place { '\0' } else { 'a' }).collect());
            }
        }
        for one in &texts {
            let name = Name::new(one);
            assert_eq!((name.as_str(), name.as_bytes()), (one.as_str(), one.as_bytes()));
            let (mut own, mut text) = (Vec::from([7]), Vec::from([7]));
            name.put(&mut own);
            put_bytes(one.as_bytes(), &mut text);
            assert_eq!(own, text, "{one}");
            let short = one.len() <= SHORT_BYTES && !one.contains('\0');
            assert_eq!(matches!(name.0, Repr::Short(_)), short, "{one}");
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
            // That of the standard library has a way of its own with text.
            let (mut own, mut other) = (DefaultHasher::new(), DefaultHasher::new());
            Name::new(text).hash(&mut own);
            text.hash(&mut other);
            assert_eq!(own.finish(), other.finish());
        }
    }

    #[test]
    fn a_name_is_no_larger_than_four_words() {
        assert_eq!(size_of::<Name>(), 32);
        assert_eq!(size_of::<Option<Name>>(), 32);
    }
}
