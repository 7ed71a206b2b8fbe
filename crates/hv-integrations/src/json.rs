//! Reading text that somebody else wrote: JSON into a small tree, and fields out of it with their names.
//!
//! A field that does not fit is reported by its path, with what was expected and what was found, so that the
//! author of a file knows what to mend. A name that occurs twice counts the last time; names that nobody asks
//! for are passed over. Both are what the Python packages do.

use core::fmt;
use serde_core::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;

/// Why text is not the object that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadInput {
    /// The text is longer than is read.
    TooLarge {
        /// How long it is, in bytes.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// The text is not JSON.
    NotJson {
        /// Where reading stopped, counted from 1.
        line: usize,
        /// The column there, counted from 1.
        column: usize,
        /// What the parser says.
        what: String,
    },
    /// A field does not fit.
    Field(BadField),
}

/// A field that does not fit: which one, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadField {
    /// The field's path, such as `capabilities.undo_window`; empty for the whole.
    pub path: &'static str,
    /// Which item, in a list.
    pub index: Option<usize>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// It is not there and has no default.
    Missing,
    /// It is of another kind.
    Kind {
        /// What it should be, such as `true or false`.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// It is none of the words that it may be.
    Word {
        /// The word, cut after 40 characters.
        found: String,
        /// The words that it may be.
        allowed: &'static [&'static str],
    },
    /// It is no length of time with a unit.
    Span {
        /// The text, cut after 40 characters.
        found: String,
    },
    /// A number outside what it may be.
    Range {
        /// What it may be, such as `a whole number from 0`.
        allowed: &'static str,
    },
    /// A text with more bytes, or a list with more items, than it may have.
    TooLong {
        /// The most that it may have.
        limit: usize,
    },
}

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes, limit } => {
                write!(f, "the text has {bytes} bytes; at most {limit} are read, so shorten it")
            }
            Self::NotJson { line, column, what } => {
                write!(f, "not JSON at line {line}, column {column}: {what}")
            }
            Self::Field(field) => field.fmt(f),
        }
    }
}

impl core::error::Error for BadInput {}

impl fmt::Display for BadField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path, self.index) {
            ("", _) => f.write_str("the value")?,
            (path, None) => write!(f, "`{path}`")?,
            (path, Some(index)) => write!(f, "`{path}[{index}]`")?,
        }
        match &self.problem {
            Problem::Missing => f.write_str(" is missing"),
            Problem::Kind { expected, found } => write!(f, " must be {expected}, and is {found}"),
            Problem::Word { found, allowed } => {
                write!(f, " must be one of {}, and is `{found}`", allowed.join(", "))
            }
            Problem::Span { found } => {
                write!(f, " must be a number and a unit (ms, s, m, h, d, w), such as 24h, and is `{found}`")
            }
            Problem::Range { allowed } => write!(f, " must be {allowed}"),
            Problem::TooLong { limit } => write!(f, " may have at most {limit} of them"),
        }
    }
}

impl core::error::Error for BadField {}

impl From<BadField> for BadInput {
    fn from(field: BadField) -> Self {
        Self::Field(field)
    }
}

/// A JSON value; texts are borrowed where they have no escapes. `O` is what an object is read into.
#[derive(Debug, Default)]
pub(crate) enum Node<'a, O = Skipped> {
    #[default]
    Missing,
    Null,
    Bool(bool),
    Whole(i64),
    /// A whole number beyond `i64`.
    Large(u64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(O),
}

/// What an object is read into, in place, because moving it about would take longer than reading it.
pub(crate) trait Object<'de>: Default {
    /// Reads all fields.
    fn read<A: MapAccess<'de>>(&mut self, map: A) -> Result<(), A::Error>;
}

/// An object whose fields nobody asks for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Skipped;

impl<'de> Object<'de> for Skipped {
    fn read<A: MapAccess<'de>>(&mut self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// A struct with one [`Node`] for each of an object's fields, named alike.
macro_rules! object {
    ($(#[$doc:meta])* $name:ident<$a:lifetime> { $($field:ident: $node:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        struct $name<$a> { $($field: $node),* }

        impl<$a> $crate::json::Object<$a> for $name<$a> {
            fn read<A: serde_core::de::MapAccess<$a>>(&mut self, mut map: A) -> Result<(), A::Error> {
                #[allow(non_camel_case_types)]
                enum Key { $($field,)* Other }

                impl<'de> serde_core::de::Deserialize<'de> for Key {
                    fn deserialize<D: serde_core::de::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                        d.deserialize_identifier(KeyVisitor)
                    }
                }

                struct KeyVisitor;

                impl serde_core::de::Visitor<'_> for KeyVisitor {
                    type Value = Key;

                    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                        f.write_str("a field's name")
                    }

                    fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                        Ok(match name {
                            $(stringify!($field) => Key::$field,)*
                            _ => Key::Other,
                        })
                    }
                }

                while let Some(key) = map.next_key()? {
                    match key {
                        $(Key::$field => map.next_value_seed(&mut self.$field)?,)*
                        Key::Other => drop(map.next_value::<serde_core::de::IgnoredAny>()?),
                    }
                }
                Ok(())
            }
        }
    };
}
pub(crate) use object;

/// Reads a text of at most so many bytes.
pub(crate) fn read<'a, O: Object<'a>>(text: &'a str, limit: usize) -> Result<Node<'a, O>, BadInput> {
    if text.len() > limit {
        return Err(BadInput::TooLarge { bytes: text.len(), limit });
    }
    let mut node = Node::Missing;
    let mut reader = serde_json::Deserializer::from_str(text);
    match node.deserialize(&mut reader).and_then(|()| reader.end()) {
        Ok(()) => Ok(node),
        Err(error) => Err(not_json(&error)),
    }
}

fn not_json(error: &serde_json::Error) -> BadInput {
    let (line, column) = (error.line(), error.column());
    let shown = error.to_string();
    let position = format!(" at line {line} column {column}");
    let what = shown.strip_suffix(&position).unwrap_or(&shown).to_owned();
    BadInput::NotJson { line, column, what }
}

impl<'a, O> Node<'a, O> {
    /// The value in its place; the whole has an empty path.
    pub(crate) const fn at(&self, path: &'static str) -> Field<'_, 'a, O> {
        Field { path, index: None, node: self }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Node::Missing => "missing",
            Node::Null => "null",
            Node::Bool(_) => "true or false",
            Node::Whole(_) | Node::Large(_) => "a whole number",
            Node::Float(_) => "a number with a fraction",
            Node::Text(_) => "a text",
            Node::List(_) => "a list",
            Node::Object(_) => "an object",
        }
    }
}

/// Reads into the node, over whatever is there.
impl<'de, O: Object<'de>> DeserializeSeed<'de> for &mut Node<'de, O> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de, O: Object<'de>> Visitor<'de> for &mut Node<'de, O> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        *self = Node::Null;
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        *self = Node::Bool(value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        *self = Node::Whole(value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        *self = i64::try_from(value).map_or(Node::Large(value), Node::Whole);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        *self = Node::Float(value);
        Ok(())
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        *self = Node::Text(Cow::Borrowed(text));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        *self = Node::Text(Cow::Owned(text.to_owned()));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut items = Vec::new();
        let mut item = Node::Missing;
        while seq.next_element_seed(&mut item)?.is_some() {
            items.push(core::mem::replace(&mut item, Node::Missing));
        }
        *self = Node::List(items);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        *self = Node::Object(O::default());
        match self {
            Node::Object(object) => object.read(map),
            _ => Ok(()),
        }
    }
}

/// A value in its place, so that an error can name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'n, 'a, O = Skipped> {
    path: &'static str,
    index: Option<usize>,
    node: &'n Node<'a, O>,
}

impl<'n, 'a, O> Field<'n, 'a, O> {
    pub(crate) const fn bad(&self, problem: Problem) -> BadField {
        BadField { path: self.path, index: self.index, problem }
    }

    fn other(&self, expected: &'static str) -> BadField {
        match self.node {
            Node::Missing => self.bad(Problem::Missing),
            node => self.bad(Problem::Kind { expected, found: node.kind() }),
        }
    }

    /// Nothing where the field is null or not there.
    pub(crate) fn optional(self) -> Option<Self> {
        (!matches!(self.node, Node::Null | Node::Missing)).then_some(self)
    }

    /// Nothing where the field is not there; null stays, and will not fit.
    pub(crate) fn present(self) -> Option<Self> {
        (!matches!(self.node, Node::Missing)).then_some(self)
    }

    pub(crate) fn object(&self) -> Result<&'n O, BadField> {
        match self.node {
            Node::Object(object) => Ok(object),
            _ => Err(self.other("an object")),
        }
    }

    pub(crate) fn items(
        &self,
        limit: usize,
    ) -> Result<impl ExactSizeIterator<Item = Field<'n, 'a>>, BadField> {
        let path = self.path;
        match self.node {
            Node::List(items) if items.len() > limit => Err(self.bad(Problem::TooLong { limit })),
            Node::List(items) => Ok(items.iter().enumerate().map(move |(index, node)| Field {
                path,
                index: Some(index),
                node,
            })),
            _ => Err(self.other("a list")),
        }
    }

    /// A text of at most so many bytes.
    pub(crate) fn text(&self, limit: usize) -> Result<&'n str, BadField> {
        match self.node {
            Node::Text(text) if text.len() > limit => Err(self.bad(Problem::TooLong { limit })),
            Node::Text(text) => Ok(text),
            _ => Err(self.other("a text")),
        }
    }

    /// True or false, or one of the other spellings that pydantic takes for it: 1 and 0, and in letters of
    /// any case true, t, yes, y, on, 1 and false, f, no, n, off, 0.
    pub(crate) fn flag(&self) -> Result<bool, BadField> {
        let value = match self.node {
            Node::Bool(value) => Some(*value),
            Node::Whole(number) => bit((*number).into()),
            Node::Float(number) => whole(*number).and_then(bit),
            Node::Text(text) => flag_word(text),
            _ => None,
        };
        value.ok_or_else(|| self.other("true or false"))
    }

    /// A whole number from 0, or one of the other spellings that pydantic takes for it: digits as a text, a
    /// number without a fraction, true for 1.
    pub(crate) fn count(&self) -> Result<u64, BadField> {
        let number = match self.node {
            Node::Whole(number) => Some((*number).into()),
            Node::Large(number) => Some((*number).into()),
            Node::Float(number) => whole(*number),
            Node::Bool(value) => Some(i128::from(*value)),
            Node::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| self.other("a whole number"))?;
        u64::try_from(number)
            .map_err(|_| self.bad(Problem::Range { allowed: "a whole number from 0 to 2⁶⁴ − 1" }))
    }

    /// True or false, and nothing that stands for it.
    pub(crate) fn truth(&self) -> Result<bool, BadField> {
        match self.node {
            Node::Bool(value) => Ok(*value),
            _ => Err(self.other("true or false")),
        }
    }

    /// Any number.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn number(&self) -> Result<f64, BadField> {
        match self.node {
            Node::Whole(number) => Ok(*number as f64),
            Node::Large(number) => Ok(*number as f64),
            Node::Float(number) => Ok(*number),
            _ => Err(self.other("a number")),
        }
    }

    /// A whole number from 0, written as a number.
    pub(crate) fn whole(&self) -> Result<u64, BadField> {
        match self.node {
            Node::Whole(_) | Node::Large(_) | Node::Float(_) => self.count(),
            _ => Err(self.other("a whole number")),
        }
    }

    /// The halves in a number from 0 that has no fraction but one half.
    pub(crate) fn halves(&self) -> Result<u64, BadField> {
        let halves = match self.node {
            Node::Whole(number) => Some(i128::from(*number) * 2),
            Node::Large(number) => Some(i128::from(*number) * 2),
            Node::Float(number) => whole(*number * 2.0),
            _ => return Err(self.other("a number")),
        };
        let allowed = "a number from 0 without a fraction, or with one half";
        let halves = halves.and_then(|halves| u64::try_from(halves).ok());
        halves.ok_or_else(|| self.bad(Problem::Range { allowed }))
    }

    /// One of these words, exactly.
    pub(crate) fn word<T: Copy>(
        &self,
        allowed: &'static [&'static str],
        values: &[T],
    ) -> Result<T, BadField> {
        let Node::Text(text) = self.node else { return Err(self.other("a text")) };
        let at = allowed.iter().position(|word| word == text);
        at.and_then(|at| values.get(at).copied())
            .ok_or_else(|| self.bad(Problem::Word { found: shown(text), allowed }))
    }
}

/// What an error shows of somebody else's text.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

const fn bit(number: i128) -> Option<bool> {
    match number {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// The number where it has no fraction and fits 64 bits.
#[allow(clippy::cast_possible_truncation, clippy::float_cmp)]
fn whole(number: f64) -> Option<i128> {
    (number.abs() < 9.2e18 && number.trunc() == number).then_some(number as i128)
}

fn flag_word(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(&["true", "t", "yes", "y", "on", "1"]) {
        Some(true)
    } else if is(&["false", "f", "no", "n", "off", "0"]) {
        Some(false)
    } else {
        None
    }
}
