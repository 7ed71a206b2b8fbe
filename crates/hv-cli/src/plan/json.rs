//! JSON (RFC 8259) as a tree with lines: strict, no key twice, nesting bounded.

use super::fault::{Fault, Format, Located};
use super::tree::{Entry, Lines, MAX_DEPTH, Node, Value};
use std::collections::BTreeSet;

/// Reads a JSON document.
///
/// # Errors
/// [`Fault::Syntax`], [`Fault::DuplicateKey`], [`Fault::NumberTooLarge`] or [`Fault::TooDeep`], with the line.
pub(super) fn parse(text: &str) -> Result<Node, Located> {
    let mut scanner = Scanner { text, at: 0, lines: Lines::of(text.as_bytes()) };
    let node = scanner.value(0)?;
    scanner.space();
    match scanner.peek() {
        None => Ok(node),
        Some(c) => Err(scanner.wrong(format!("{c:?} after the end of the document"))),
    }
}

/// The first key that an object of a JSON document has twice, and where.
pub(crate) fn said_twice(text: &str) -> Option<(u32, String)> {
    match parse(text) {
        Err(Located { line, fault: Fault::DuplicateKey { key } }) => Some((line, key)),
        _ => None,
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    lines: Lines,
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip(&mut self, c: char) {
        self.at += c.len_utf8();
    }

    fn take(&mut self, wanted: char) -> bool {
        let here = self.peek() == Some(wanted);
        if here {
            self.skip(wanted);
        }
        here
    }

    fn space(&mut self) {
        while let Some(c @ (' ' | '\t' | '\n' | '\r')) = self.peek() {
            self.skip(c);
        }
    }

    fn located(&self, fault: Fault) -> Located {
        Located { line: self.lines.at(self.at), fault }
    }

    fn wrong(&self, message: String) -> Located {
        self.located(Fault::Syntax { format: Format::Json, message })
    }

    fn unexpected(&self, expected: &str) -> Located {
        match self.peek() {
            None => self.wrong(format!("it ends where {expected} is expected")),
            Some(c) => self.wrong(format!("{c:?} where {expected} is expected")),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Located> {
        self.space();
        if depth > MAX_DEPTH {
            return Err(self.located(Fault::TooDeep));
        }
        let line = self.lines.at(self.at);
        let value = match self.peek() {
            Some('{') => self.table(depth)?,
            Some('[') => self.list(depth)?,
            Some('"') => Value::Text(self.string()?),
            Some('-' | '0'..='9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Node { line, value })
    }

    fn table(&mut self, depth: usize) -> Result<Value, Located> {
        self.skip('{');
        let (mut entries, mut seen) = (Vec::new(), BTreeSet::new());
        self.space();
        if self.take('}') {
            return Ok(Value::Table(entries));
        }
        loop {
            self.space();
            if self.peek() != Some('"') {
                return Err(self.unexpected("a key in quotes"));
            }
            let line = self.lines.at(self.at);
            let key = self.string()?;
            if !seen.insert(key.clone()) {
                return Err(Located { line, fault: Fault::DuplicateKey { key } });
            }
            self.space();
            if !self.take(':') {
                return Err(self.unexpected("`:`"));
            }
            let node = self.value(depth + 1)?;
            entries.push(Entry { line, key, node });
            self.space();
            if self.take('}') {
                return Ok(Value::Table(entries));
            }
            if !self.take(',') {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, Located> {
        self.skip('[');
        let mut nodes = Vec::new();
        self.space();
        if self.take(']') {
            return Ok(Value::List(nodes));
        }
        loop {
            nodes.push(self.value(depth + 1)?);
            self.space();
            if self.take(']') {
                return Ok(Value::List(nodes));
            }
            if !self.take(',') {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
    }

    fn word(&mut self) -> Result<Value, Located> {
        let end = self.rest().find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest().len());
        let word = self.rest().get(..end).unwrap_or_default();
        let value = match word {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "" => return Err(self.unexpected("a value")),
            other => {
                let shown: String = other.chars().take(40).collect();
                return Err(self.wrong(format!("`{shown}` is no value of JSON")));
            }
        };
        self.at += end;
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, Located> {
        let part_of_number = |c: char| matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E');
        let end = self.rest().find(|c: char| !part_of_number(c)).unwrap_or(self.rest().len());
        let text = self.rest().get(..end).unwrap_or_default().to_owned();
        let too_large = || Fault::NumberTooLarge { text: text.chars().take(40).collect() };
        if !well_formed(&text) {
            let shown: String = text.chars().take(40).collect();
            return Err(self.wrong(format!("`{shown}` is no number of JSON")));
        }
        let value = if text.contains(['.', 'e', 'E']) {
            text.parse().map(Value::Float).map_err(|_| self.located(too_large()))?
        } else {
            text.parse().map(Value::Integer).map_err(|_| self.located(too_large()))?
        };
        self.at += end;
        Ok(value)
    }

    fn string(&mut self) -> Result<String, Located> {
        self.skip('"');
        let mut out = String::new();
        loop {
            match self.peek() {
                None => return Err(self.wrong("a text that does not end".into())),
                Some('"') => {
                    self.skip('"');
                    return Ok(out);
                }
                Some('\\') => {
                    self.skip('\\');
                    out.push(self.escape()?);
                }
                Some(c) if c < ' ' => {
                    return Err(self.wrong(format!("{c:?} inside a text; write it as an escape")));
                }
                Some(c) => {
                    self.skip(c);
                    out.push(c);
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, Located> {
        let c = self.peek().ok_or_else(|| self.wrong("a text that does not end".into()))?;
        let plain = match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                self.skip('u');
                return self.unicode();
            }
            _ => return Err(self.wrong(format!("`\\{}` is no escape of JSON", c.escape_debug()))),
        };
        self.skip(c);
        Ok(plain)
    }

    /// The rest of `\uXXXX`, with the second half of a pair where there is one.
    fn unicode(&mut self) -> Result<char, Located> {
        let first = self.four_digits()?;
        let code = if (0xd800..0xdc00).contains(&first) && self.rest().starts_with("\\u") {
            self.at += 2;
            let second = self.four_digits()?;
            let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400);
            low.map_or(first, |low| 0x1_0000 + ((first - 0xd800) << 10) + low)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.wrong(format!("`\\u{first:04x}` is half a character")))
    }

    fn four_digits(&mut self) -> Result<u32, Located> {
        let digits = self.rest().get(..4).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|text| u32::from_str_radix(text, 16).ok());
        let code = code.ok_or_else(|| self.wrong("`\\u` without four hexadecimal digits".into()))?;
        self.at += 4;
        Ok(code)
    }
}

/// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
fn well_formed(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let mantissa = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, places) = match mantissa.split_once('.') {
        Some((whole, places)) => (whole, Some(places)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && places.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(json: &str) -> Option<String> {
        match parse(json).unwrap().value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    #[test]
    fn numbers_follow_the_grammar() {
        for good in ["0", "-0", "10", "0.5", "-1.25e3", "1E+2", "1e-2"] {
            assert!(well_formed(good), "{good}");
        }
        for bad in ["", "-", "01", "1.", ".5", "1e", "1e+", "--1", "1.2.3", "1e2e3", "+1"] {
            assert!(!well_formed(bad), "{bad}");
        }
        let large = parse("9223372036854775808").unwrap_err();
        assert_eq!(large.fault, Fault::NumberTooLarge { text: "9223372036854775808".into() });
    }

    #[test]
    fn escapes_and_pairs() {
        assert_eq!(text_of(r#""a\n\u0041\ud83d\ude00\/""#).as_deref(), Some("a\nA😀/"));
        for bad in [r#""\ud83d""#, r#""\ud83d\u0041""#, r#""\ude00""#, r#""\u12""#, r#""\q""#, "\"\n\"", "\""]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_value_has_its_line() {
        let node = parse("{\n \"a\": [1,\n  {\"b\":\n null}]\n}").unwrap();
        let Value::Table(entries) = node.value else { panic!("a table") };
        let Value::List(list) = &entries[0].node.value else { panic!("a list") };
        let Value::Table(inner) = &list[1].value else { panic!("a table") };
        let lines =
            [node.line, entries[0].line, list[0].line, list[1].line, inner[0].line, inner[0].node.line];
        assert_eq!(lines, [1, 2, 2, 3, 3, 4]);
    }

    #[test]
    fn nesting_is_bounded_and_the_rest_refused() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(&deep(MAX_DEPTH + 1)).is_ok());
        assert_eq!(parse(&deep(MAX_DEPTH + 2)).unwrap_err().fault, Fault::TooDeep);
        assert_eq!(parse(&"[".repeat(1 << 20)).unwrap_err().fault, Fault::TooDeep);
        for bad in
            ["", " ", "{", "[1", "[1,]", "{\"a\" 1}", "{a: 1}", "NaN", "tru", "1 2", "{\"a\":1,}", "{,}"]
        {
            assert!(matches!(parse(bad).unwrap_err().fault, Fault::Syntax { .. }), "{bad}");
        }
        let twice = parse("{\"a\": 1,\n\"a\": 2}").unwrap_err();
        assert_eq!((twice.line, twice.fault), (2, Fault::DuplicateKey { key: "a".into() }));
    }
}
