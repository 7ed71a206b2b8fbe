//! A file as a tree in which every value knows its line, whatever the format was.

use super::fault::{Fault, Misfit, Segment};
use serde::de::value::{StrDeserializer, U32Deserializer};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// How deep tables and lists may nest.
pub const MAX_DEPTH: usize = 32;

/// A value and the line on which it starts, counted from 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) line: u32,
    pub(super) value: Value,
}

/// What a file can say.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// A date or a time, which TOML has and nothing here asks for.
    Date(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key with its line, and what it stands for. No key comes twice in a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) line: u32,
    pub(super) key: String,
    pub(super) node: Node,
}

/// Where the lines of a text begin.
#[derive(Debug)]
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn of(text: &[u8]) -> Self {
        Self(text.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at).collect())
    }

    /// The line that holds this offset, counted from 1.
    pub(super) fn at(&self, offset: usize) -> u32 {
        u32::try_from(self.0.partition_point(|&end| end < offset) + 1).unwrap_or(u32::MAX)
    }
}

/// A value with the line on which it stands in its file; 0 where it was not read from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct At<T> {
    pub(super) line: u32,
    pub(super) value: T,
}

/// The name under which [`At`] asks the tree for a line.
const AT: &str = "$hv::At";

impl<'de, T: de::Deserialize<'de>> de::Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AtVisitor<T>(PhantomData<T>);

        impl<'de, T: de::Deserialize<'de>> Visitor<'de> for AtVisitor<T> {
            type Value = At<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<At<T>, D::Error> {
                T::deserialize(d).map(|value| At { line: 0, value })
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<At<T>, A::Error> {
                let missing = || de::Error::invalid_length(0, &"a line and a value");
                let line = seq.next_element()?.ok_or_else(missing)?;
                let value = seq.next_element()?.ok_or_else(missing)?;
                Ok(At { line, value })
            }
        }

        deserializer.deserialize_newtype_struct(AT, AtVisitor(PhantomData))
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}

impl<'de> Deserializer<'de> for Node {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let line = self.line;
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Integer(value) => visitor.visit_i64(value),
            Value::Float(value) => visitor.visit_f64(value),
            Value::Text(value) => visitor.visit_string(value),
            Value::Date(text) => Err(de::Error::invalid_type(de::Unexpected::Other(&text), &visitor)),
            Value::List(nodes) => visitor.visit_seq(Elements { nodes: nodes.into_iter(), index: 0 }),
            Value::Table(entries) => visitor.visit_map(Entries { entries: entries.into_iter(), next: None }),
        }
        .map_err(|misfit: Misfit| misfit.at(line))
    }

    /// A struct is a table: without this, a list would be taken for its fields in order.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if matches!(self.value, Value::List(_)) {
            let misfit: Misfit = de::Error::invalid_type(de::Unexpected::Seq, &visitor);
            return Err(misfit.at(self.line));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if name == AT {
            visitor.visit_seq(LineThenNode { line: Some(self.line), node: Some(self) })
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let line = self.line;
        match self.value {
            Value::Text(text) => {
                let variant: StrDeserializer<'_, Misfit> = text.as_str().into_deserializer();
                visitor.visit_enum(variant).map_err(|misfit| misfit.at(line))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

/// The elements of a list.
struct Elements {
    nodes: std::vec::IntoIter<Node>,
    index: usize,
}

impl<'de> de::SeqAccess<'de> for Elements {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        let Some(node) = self.nodes.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(node).map(Some).map_err(|misfit| misfit.inside(Segment::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.nodes.len())
    }
}

/// The entries of a table.
struct Entries {
    entries: std::vec::IntoIter<Entry>,
    next: Option<(String, Node)>,
}

impl<'de> de::MapAccess<'de> for Entries {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some(Entry { line, key, node }) = self.entries.next() else { return Ok(None) };
        let name: StrDeserializer<'_, Misfit> = key.as_str().into_deserializer();
        let answer = seed.deserialize(name).map(Some).map_err(|misfit| misfit.at(line));
        self.next = Some((key, node));
        answer
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let (key, node) = self.next.take().ok_or_else(|| Misfit::from(Fault::KeyWithoutValue))?;
        seed.deserialize(node).map_err(|misfit| misfit.inside(Segment::Key(key)))
    }
}

/// What [`At`] reads: the line, then the value.
struct LineThenNode {
    line: Option<u32>,
    node: Option<Node>,
}

impl<'de> de::SeqAccess<'de> for LineThenNode {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        if let Some(line) = self.line.take() {
            let line: U32Deserializer<Misfit> = line.into_deserializer();
            return seed.deserialize(line).map(Some);
        }
        self.node.take().map(|node| seed.deserialize(node)).transpose()
    }
}
