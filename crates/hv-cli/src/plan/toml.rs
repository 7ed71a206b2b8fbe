//! TOML as a tree with lines.

use super::fault::{Fault, Format, Located};
use super::tree::{Entry, Lines, MAX_DEPTH, Node, Value};
use toml::de::{DeTable, DeValue};

/// Reads a TOML document.
///
/// # Errors
/// [`Fault::Syntax`], [`Fault::NumberTooLarge`] or [`Fault::TooDeep`], with the line.
pub(super) fn parse(text: &str) -> Result<Node, Located> {
    let lines = Lines::of(text.as_bytes());
    let document = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| lines.at(span.start));
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        Located { line, fault: Fault::Syntax { format: Format::Toml, message } }
    })?;
    let value = table(document.into_inner(), &lines, 0)?;
    Ok(Node { line: 1, value })
}

fn node(value: DeValue<'_>, line: u32, lines: &Lines, depth: usize) -> Result<Node, Located> {
    if depth > MAX_DEPTH {
        return Err(Located { line, fault: Fault::TooDeep });
    }
    let too_large = |text: String| Located { line, fault: Fault::NumberTooLarge { text } };
    let value = match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(value) => Value::Integer(value),
            Err(_) => return Err(too_large(number.to_string())),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(value) => Value::Float(value),
            Err(_) => return Err(too_large(number.to_string())),
        },
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(value) => Value::Date(value.to_string()),
        DeValue::Array(items) => {
            let items = items.into_iter().map(|item| {
                let line = lines.at(item.span().start);
                node(item.into_inner(), line, lines, depth + 1)
            });
            Value::List(items.collect::<Result<_, _>>()?)
        }
        DeValue::Table(entries) => table(entries, lines, depth)?,
    };
    Ok(Node { line, value })
}

fn table(table: DeTable<'_>, lines: &Lines, depth: usize) -> Result<Value, Located> {
    let mut entries: Vec<_> = table.into_iter().collect();
    // The parser sorts by name; a message speaks of the first fault in the file.
    entries.sort_by_key(|(key, _)| key.span().start);
    let entries = entries.into_iter().map(|(key, value)| {
        let line = lines.at(key.span().start);
        let node = node(value.into_inner(), line, lines, depth + 1)?;
        Ok(Entry { line, key: key.into_inner().into_owned(), node })
    });
    entries.collect::<Result<_, _>>().map(Value::Table)
}
