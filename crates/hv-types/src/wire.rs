//! The encoding of everything that is recorded: explicit tags, explicit order, one encoding per value.
//!
//! Integers are LEB128 varints in their shortest form; texts, bytes and lists have their length in front;
//! an enum is one tag byte and its fields. Every value has exactly one encoding, and decoding accepts only
//! that one, so distinct records have distinct bytes and equal records equal ones. `INVARIANT (A4)`
//!
//! [`wire_struct!`](crate::wire_struct) and [`wire_enum!`](crate::wire_enum) write the two halves for a type
//! from one list, in which the compiler finds any field or variant that was forgotten.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

/// A value with exactly one encoding.
pub trait Wire: Sized {
    /// Appends the encoding.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads one value from the front of what is left.
    ///
    /// # Errors
    /// [`Undecodable`] where the bytes are not the encoding of a value.
    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable>;

    /// The encoding on its own.
    #[must_use]
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }

    /// Reads one value that fills the bytes to the last.
    ///
    /// # Errors
    /// [`Undecodable`] where the bytes are not the encoding of a value, or more follows.
    fn from_bytes(bytes: &[u8]) -> Result<Self, Undecodable> {
        let mut reader = Reader::new(bytes);
        let value = Self::take(&mut reader)?;
        reader.end()?;
        Ok(value)
    }
}

/// Why bytes are not the encoding of a value, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undecodable {
    /// Offset of the first byte that does not fit, from the start of the value that was read.
    pub offset: usize,
    /// What is wrong there.
    pub cause: UndecodableCause,
}

/// What is wrong with bytes that should be an encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndecodableCause {
    /// The bytes end before the value does.
    Short,
    /// The value ends before the bytes do.
    TrailingBytes,
    /// An integer that is not in its shortest form, or too large for its type.
    Integer,
    /// A text that is not UTF-8.
    Text,
    /// A tag that the named enum does not have.
    Tag(&'static str, u8),
    /// A value that the named type does not allow.
    Invalid(&'static str),
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            UndecodableCause::Short => f.write_str("the record ends too early")?,
            UndecodableCause::TrailingBytes => f.write_str("more bytes than the record has fields")?,
            UndecodableCause::Integer => {
                f.write_str("an integer is not in its shortest form or too large")?
            }
            UndecodableCause::Text => f.write_str("a text is not UTF-8")?,
            UndecodableCause::Tag(name, tag) => write!(f, "{name} has no tag {tag}")?,
            UndecodableCause::Invalid(name) => write!(f, "no {name} has this value")?,
        }
        write!(f, " (at byte {})", self.offset)
    }
}

impl core::error::Error for Undecodable {}

/// Reads values from the front of some bytes.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// What was not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// [`UndecodableCause::Short`] at the end.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, Undecodable> {
        let byte = self.bytes.get(self.at).copied().ok_or_else(|| self.error(UndecodableCause::Short))?;
        self.at += 1;
        Ok(byte)
    }

    /// Reads so many bytes.
    ///
    /// # Errors
    /// [`UndecodableCause::Short`] where fewer are left.
    pub fn slice(&mut self, length: usize) -> Result<&'a [u8], Undecodable> {
        let end = self.at.checked_add(length);
        let slice = end.and_then(|end| self.bytes.get(self.at..end));
        let slice = slice.ok_or_else(|| self.error(UndecodableCause::Short))?;
        self.at += length;
        Ok(slice)
    }

    /// Reads a fixed number of bytes.
    ///
    /// # Errors
    /// [`UndecodableCause::Short`] where fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Undecodable> {
        let array = self.rest().first_chunk().copied().ok_or_else(|| self.error(UndecodableCause::Short))?;
        self.at += N;
        Ok(array)
    }

    /// Reads an integer in its shortest LEB128 form.
    ///
    /// # Errors
    /// [`UndecodableCause::Integer`] for any other form, or more than 64 bits.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, Undecodable> {
        // Most are small.
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Undecodable> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let padded = shift > 0 && byte == 0;
            let beyond = shift == 63 && bits > 1;
            if padded || beyond {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Undecodable { offset: start, cause: UndecodableCause::Integer })
    }

    /// Reads bytes that have their length in front.
    ///
    /// # Errors
    /// [`UndecodableCause::Short`] where fewer are left than the length says.
    pub fn bytes(&mut self) -> Result<&'a [u8], Undecodable> {
        let length = self.varint()?;
        let length = usize::try_from(length).map_err(|_| self.error(UndecodableCause::Short))?;
        self.slice(length)
    }

    /// Reads a text that has its length in front.
    ///
    /// # Errors
    /// [`UndecodableCause::Text`] where it is not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Undecodable> {
        let at = self.at;
        let bytes = self.bytes()?;
        core::str::from_utf8(bytes).map_err(|_| Undecodable { offset: at, cause: UndecodableCause::Text })
    }

    /// The error that the value just read is none that the named type allows.
    #[must_use]
    pub const fn invalid(&self, name: &'static str) -> Undecodable {
        self.error(UndecodableCause::Invalid(name))
    }

    /// The error that the named enum does not have the tag just read.
    #[must_use]
    pub const fn unknown_tag(&self, name: &'static str, tag: u8) -> Undecodable {
        self.error(UndecodableCause::Tag(name, tag))
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    /// [`UndecodableCause::TrailingBytes`] where something is left.
    pub fn end(&self) -> Result<(), Undecodable> {
        if self.rest().is_empty() { Ok(()) } else { Err(self.error(UndecodableCause::TrailingBytes)) }
    }

    const fn error(&self, cause: UndecodableCause) -> Undecodable {
        Undecodable { offset: self.at, cause }
    }
}

/// Appends an integer in its shortest LEB128 form, 1 to 10 bytes.
#[inline]
pub fn put_varint(value: u64, out: &mut Vec<u8>) {
    if value < 0x80 {
        out.push((value & 0x7f) as u8);
    } else {
        put_long_varint(value, out);
    }
}

fn put_long_varint(mut value: u64, out: &mut Vec<u8>) {
    if value < 0x4000 {
        out.extend_from_slice(&[(value & 0x7f) as u8 | 0x80, (value >> 7 & 0x7f) as u8]);
        return;
    }
    out.reserve(10);
    // Four at once, as long as others follow them.
    while value >= 1 << 28 {
        let low = (value & 0x0fff_ffff) as u32;
        let four = low & 0x7f | low << 1 & 0x7f00 | low << 2 & 0x7f_0000 | low << 3 & 0x7f00_0000;
        out.extend_from_slice(&(four | 0x8080_8080).to_le_bytes());
        value >>= 28;
    }
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// Appends bytes with their length in front.
#[inline]
pub fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Implements [`Wire`] for a struct from the list of its fields, in the order in which they are encoded.
///
/// ```
/// struct Point { x: u32, y: u32 }
/// hv_types::wire_struct!(Point { x, y });
/// ```
#[macro_export]
macro_rules! wire_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::Wire for $name {
            fn put(&self, out: &mut $crate::wire::Bytes) {
                let Self { $($field),* } = self;
                $($crate::Wire::put($field, out);)*
            }

            fn take(reader: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::Undecodable> {
                $(let $field = $crate::Wire::take(reader)?;)*
                Ok(Self { $($field),* })
            }
        }
    };
}

/// Implements [`Wire`] for an enum from the list of its variants, each with its tag and its named fields.
///
/// A variant without fields is listed with empty braces. A tag, once released, never changes its meaning.
///
/// ```
/// enum Shape { Circle { radius: u32 }, Nothing }
/// hv_types::wire_enum!(Shape { 0 => Circle { radius }, 1 => Nothing {} });
/// ```
#[macro_export]
macro_rules! wire_enum {
    ($name:ident { $($tag:literal => $variant:ident { $($field:ident),* $(,)? }),* $(,)? }) => {
        impl $crate::Wire for $name {
            fn put(&self, out: &mut $crate::wire::Bytes) {
                match self {
                    $(Self::$variant { $($field),* } => {
                        out.push($tag);
                        $($crate::Wire::put($field, out);)*
                    })*
                }
            }

            fn take(reader: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::Undecodable> {
                match reader.byte()? {
                    $($tag => {
                        $(let $field = $crate::Wire::take(reader)?;)*
                        Ok(Self::$variant { $($field),* })
                    })*
                    tag => Err(reader.unknown_tag(stringify!($name), tag)),
                }
            }
        }
    };
}

/// What encodings are appended to; named here so that the macros need no path of their own.
pub type Bytes = Vec<u8>;

impl Wire for u8 {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        reader.byte()
    }
}

macro_rules! wire_integer {
    ($($integer:ty),*) => { $(
        impl Wire for $integer {
            #[inline]
            fn put(&self, out: &mut Vec<u8>) {
                put_varint(u64::from(*self), out);
            }

            #[inline]
            fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
                let at = reader.at;
                let too_large = |_| Undecodable { offset: at, cause: UndecodableCause::Integer };
                Self::try_from(reader.varint()?).map_err(too_large)
            }
        }
    )* };
}
wire_integer!(u16, u32, u64);

impl Wire for i32 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        reader.array().map(Self::from_le_bytes)
    }
}

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        match reader.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(reader.invalid("bool")),
        }
    }
}

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        reader.text().map(Self::from)
    }
}

impl Wire for Duration {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(self.as_secs(), out);
        put_varint(u64::from(self.subsec_nanos()), out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let (seconds, nanos) = (u64::take(reader)?, u32::take(reader)?);
        if nanos >= 1_000_000_000 {
            return Err(reader.invalid("Duration"));
        }
        Ok(Self::new(seconds, nanos))
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        if bool::take(reader)? { T::take(reader).map(Some) } else { Ok(None) }
    }
}

impl<T: Wire> Wire for Box<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        T::take(reader).map(Self::new)
    }
}

impl<T: Wire> Wire for Arc<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        T::take(reader).map(Self::new)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(self.len() as u64, out);
        self.iter().for_each(|item| item.put(out));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let count = reader.varint()?;
        // Every item takes at least one byte, so a count that cannot be true allocates nothing.
        let room = reader.rest().len();
        let count = usize::try_from(count).ok().filter(|&count| count <= room);
        let count = count.ok_or_else(|| reader.error(UndecodableCause::Short))?;
        let mut items = Self::with_capacity(count.min(1024));
        for _ in 0..count {
            items.push(T::take(reader)?);
        }
        Ok(items)
    }
}

/// In ascending order, each once. `INVARIANT (A4)`
impl<K: Wire + Ord, V: Wire> Wire for BTreeMap<K, V> {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(self.len() as u64, out);
        for (key, value) in self {
            key.put(out);
            value.put(out);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let items = Vec::<(K, V)>::take(reader)?;
        if !items.windows(2).all(|pair| matches!(pair, [(a, _), (b, _)] if a < b)) {
            return Err(reader.invalid("map"));
        }
        Ok(items.into_iter().collect())
    }
}

/// In ascending order, each once. `INVARIANT (A4)`
impl<T: Wire + Ord> Wire for BTreeSet<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(self.len() as u64, out);
        self.iter().for_each(|item| item.put(out));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let items = Vec::<T>::take(reader)?;
        if !items.windows(2).all(|pair| matches!(pair, [a, b] if a < b)) {
            return Err(reader.invalid("set"));
        }
        Ok(items.into_iter().collect())
    }
}

impl<A: Wire, B: Wire, C: Wire> Wire for (A, B, C) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
        self.2.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        Ok((A::take(reader)?, B::take(reader)?, C::take(reader)?))
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        Ok((A::take(reader)?, B::take(reader)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[derive(Debug, Clone, PartialEq)]
    enum Sample {
        Named { a: u32, b: Option<String> },
        Empty,
    }
    crate::wire_enum!(Sample { 3 => Named { a, b }, 7 => Empty {} });

    #[test]
    fn maps_and_sets_have_one_order() {
        let map = BTreeMap::from([(2u32, true), (300, false)]);
        assert_eq!(map.to_bytes(), [2, 2, 1, 0xac, 2, 0]);
        assert_eq!(BTreeMap::from_bytes(&map.to_bytes()), Ok(map));
        let set = BTreeSet::from([1u8, 9]);
        assert_eq!(BTreeSet::from_bytes(&set.to_bytes()), Ok(set));
        for bytes in [[2, 9, 1], [2, 9, 9]] {
            assert!(BTreeSet::<u8>::from_bytes(&bytes).is_err(), "{bytes:?}");
        }
        assert!(BTreeMap::<u8, u8>::from_bytes(&[2, 1, 0, 1, 0]).is_err());
    }

    #[test]
    fn golden_bytes() {
        let sample = Sample::Named { a: 300, b: Some(String::from("hi")) };
        assert_eq!(sample.to_bytes(), [3, 0xac, 0x02, 1, 2, b'h', b'i']);
        assert_eq!(Sample::Empty.to_bytes(), [7]);
        assert_eq!(u64::MAX.to_bytes(), [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    }

    /// Seven bits after the other, the lowest first, around every power of two.
    #[test]
    fn numbers_of_every_length_are_written_as_leb128() {
        for value in (0..64).map(|bit| 1u64 << bit).flat_map(|one| [one - 1, one, one | one >> 1, one / 3]) {
            let (mut rest, mut expected): (u64, _) = (value, vec![]);
            while rest > 0x7f {
                expected.push(rest.to_le_bytes()[0] | 0x80);
                rest >>= 7;
            }
            expected.push(rest.to_le_bytes()[0]);
            assert_eq!(value.to_bytes(), expected, "{value}");
            assert_eq!(u64::from_bytes(&expected), Ok(value));
        }
    }

    #[test]
    fn only_the_one_encoding_decodes() {
        for (bytes, cause) in [
            (vec![], UndecodableCause::Short),
            (vec![4], UndecodableCause::Tag("Sample", 4)),
            (vec![7, 0], UndecodableCause::TrailingBytes),
            (vec![3, 0x80, 0x00, 0], UndecodableCause::Integer),
            (vec![3, 0xff, 0xff, 0xff, 0xff, 0x7f, 0], UndecodableCause::Integer),
            (vec![3, 1, 2], UndecodableCause::Invalid("bool")),
            (vec![3, 1, 1, 1, 0xff], UndecodableCause::Text),
            (vec![3, 1, 1, 200, b'x'], UndecodableCause::Short),
        ] {
            assert_eq!(Sample::from_bytes(&bytes).map_err(|e| e.cause), Err(cause), "{bytes:?}");
        }
        assert_eq!(
            Vec::<u8>::from_bytes(&[0xff, 0xff, 0xff, 0xff, 0x0f]).map_err(|e| e.cause),
            Err(UndecodableCause::Short)
        );
    }

    #[test]
    fn every_varint_length_goes_there_and_back() {
        for shift in 0..64 {
            let mixed = 0xb5c3_a91e_6d27_f84b;
            for value in [1u64 << shift, (1 << shift) - 1, u64::MAX >> shift, mixed >> shift, mixed << shift]
            {
                assert_eq!(u64::from_bytes(&value.to_bytes()), Ok(value), "{value:x}");
            }
        }
    }
}
