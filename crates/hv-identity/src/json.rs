//! JSON in and out: a strict reader that says where a text fails, and the one way in which texts are written.
//!
//! Small because what it reads is small, and its own because a name that occurs twice must be an error here:
//! two readers of one signed text who take different halves of it would both believe the signature.

use crate::{Malformed, MalformedCause};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Lists and objects within each other that are read.
pub(crate) const DEPTH_MAX: usize = 16;
/// Members of one object, or items of one list, that are read.
pub(crate) const PARTS_MAX: usize = 64;

/// A value, and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Value<'a> {
    pub(crate) at: usize,
    pub(crate) node: Node<'a>,
}

/// A value; true, false and null are told apart only from the rest, because no field has one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node<'a> {
    Text(Cow<'a, str>),
    List(Vec<Value<'a>>),
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
    /// As it is written.
    Number(&'a str),
    Scalar,
}

/// The texts of a JSON document, as they are, and its numbers, as they are written, each by its JSON pointer (RFC 6901).
/// Nothing for what is not JSON, names a member twice, is deeper than 16 or has a list or object of more than 64: what
/// two readers might take differently is not read.
///
/// ```
/// let scalars = hv_identity::scalars(br#"{"to": {"a/b": [7, "x", null]}}"#).unwrap();
/// assert_eq!(scalars["/to/a~1b/0"], "7");
/// assert_eq!(scalars.len(), 2);
/// assert_eq!(hv_identity::scalars(br#"{"amount": 1, "amount": 1000}"#), None);
/// ```
#[must_use]
pub fn scalars(text: &[u8]) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    collect(String::new(), &read(text).ok()?.node, &mut found);
    Some(found)
}

fn collect(at: String, node: &Node<'_>, found: &mut BTreeMap<String, String>) {
    match node {
        Node::Text(text) => drop(found.insert(at, text.clone().into_owned())),
        Node::Number(number) => drop(found.insert(at, String::from(*number))),
        Node::Scalar => {}
        Node::List(items) => {
            for (n, item) in items.iter().enumerate() {
                collect(format!("{at}/{n}"), &item.node, found);
            }
        }
        Node::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                collect(format!("{at}/{name}"), &member.node, found);
            }
        }
    }
}

/// Reads one value that fills the text (RFC 8259), with no name twice in an object.
pub(crate) fn read(text: &[u8]) -> Result<Value<'_>, Malformed> {
    let text = core::str::from_utf8(text).map_err(|e| malformed(e.valid_up_to(), MalformedCause::NotJson))?;
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(DEPTH_MAX)?;
    reader.space();
    if reader.at == text.len() { Ok(value) } else { Err(reader.not_json()) }
}

pub(crate) fn malformed(at: usize, cause: MalformedCause) -> Malformed {
    Malformed { offset: u32::try_from(at).unwrap_or(u32::MAX), cause }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value<'a>, Malformed> {
        self.space();
        let at = self.at;
        let node = match self.peek() {
            Some(b'"') => Node::Text(self.text()?),
            Some(b'[') => Node::List(self.list(depth)?),
            Some(b'{') => Node::Object(self.object(depth)?),
            Some(b't') => self.word("true")?,
            Some(b'f') => self.word("false")?,
            Some(b'n') => self.word("null")?,
            _ => self.number()?,
        };
        Ok(Value { at, node })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value<'a>>, Malformed> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.error(MalformedCause::TooManyParts))?;
        let mut items = Vec::new();
        self.at += 1;
        self.space();
        if self.eat(b']') {
            return Ok(items);
        }
        loop {
            self.room(items.len())?;
            items.push(self.value(depth)?);
            self.space();
            if self.eat(b']') {
                return Ok(items);
            }
            self.need(b',')?;
        }
    }

    fn object(&mut self, depth: usize) -> Result<Vec<(Cow<'a, str>, Value<'a>)>, Malformed> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.error(MalformedCause::TooManyParts))?;
        let mut members: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
        self.at += 1;
        self.space();
        if self.eat(b'}') {
            return Ok(members);
        }
        loop {
            self.room(members.len())?;
            self.space();
            let at = self.at;
            let name = self.text()?;
            if members.iter().any(|(other, _)| *other == name) {
                return Err(malformed(at, MalformedCause::NameTwice));
            }
            self.space();
            self.need(b':')?;
            members.push((name, self.value(depth)?));
            self.space();
            if self.eat(b'}') {
                return Ok(members);
            }
            self.need(b',')?;
        }
    }

    fn text(&mut self) -> Result<Cow<'a, str>, Malformed> {
        self.need(b'"')?;
        let mut done: Cow<'a, str> = Cow::Borrowed("");
        loop {
            let rest = self.rest();
            let plain =
                rest.find(|c: char| c == '"' || c == '\\' || c < ' ').ok_or_else(|| self.not_json())?;
            let (plain, _) = rest.split_at(plain);
            if done.is_empty() {
                done = Cow::Borrowed(plain);
            } else {
                done.to_mut().push_str(plain);
            }
            self.at += plain.len();
            if self.eat(b'"') {
                return Ok(done);
            }
            // What is left is an escape, or a control character, which `need` refuses.
            self.need(b'\\')?;
            let escaped = self.escape()?;
            done.to_mut().push(escaped);
        }
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        let kind = self.peek().ok_or_else(|| self.not_json())?;
        let escaped = match kind {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(self.not_json()),
        };
        self.at += 1;
        Ok(escaped)
    }

    /// One code unit, or two that make a character together; half a pair is no text.
    fn unicode_escape(&mut self) -> Result<char, Malformed> {
        let first = self.code_unit()?;
        let code = if (0xd800..0xdc00).contains(&first) {
            self.need(b'\\')?;
            let second = self.code_unit()?;
            let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400);
            0x1_0000 + ((first - 0xd800) << 10) + low.ok_or_else(|| self.not_json())?
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.not_json())
    }

    fn code_unit(&mut self) -> Result<u32, Malformed> {
        self.need(b'u')?;
        let digits = self.text.get(self.at..self.at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.not_json())?;
        self.at += 4;
        Ok(unit)
    }

    fn number(&mut self) -> Result<Node<'a>, Malformed> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(Node::Number(self.text.get(start..self.at).unwrap_or_default()))
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return Err(self.not_json());
        }
        self.at += count;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<Node<'a>, Malformed> {
        if !self.rest().starts_with(word) {
            return Err(self.not_json());
        }
        self.at += word.len();
        Ok(Node::Scalar)
    }

    fn space(&mut self) {
        self.at += self.rest().bytes().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count();
    }

    fn room(&self, parts: usize) -> Result<(), Malformed> {
        if parts < PARTS_MAX { Ok(()) } else { Err(self.error(MalformedCause::TooManyParts)) }
    }

    fn need(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.eat(byte) { Ok(()) } else { Err(self.not_json()) }
    }

    /// Passes over an ASCII character, if it is the next one.
    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn not_json(&self) -> Malformed {
        self.error(MalformedCause::NotJson)
    }

    fn error(&self, cause: MalformedCause) -> Malformed {
        malformed(self.at, cause)
    }
}

/// What is written: members are sorted by name, and there is no space between anything (RFC 8785).
#[derive(Debug)]
pub(crate) enum Out<'a> {
    Text(Cow<'a, str>),
    List(Vec<Out<'a>>),
    Object(Vec<(&'static str, Out<'a>)>),
}

impl Out<'_> {
    /// Appends the text.
    pub(crate) fn write(mut self, out: &mut String) {
        self.sort();
        self.put(out);
    }

    fn sort(&mut self) {
        match self {
            Out::Text(_) => {}
            Out::List(items) => items.iter_mut().for_each(Out::sort),
            Out::Object(members) => {
                // The names are ASCII, so this is the order of their UTF-16 code units.
                members.sort_by_key(|(name, _)| *name);
                members.iter_mut().for_each(|(_, value)| value.sort());
            }
        }
    }

    fn put(&self, out: &mut String) {
        let mut first = true;
        let mut comma = |out: &mut String| {
            if !core::mem::take(&mut first) {
                out.push(',');
            }
        };
        match self {
            Out::Text(text) => put_text(text, out),
            Out::List(items) => {
                out.push('[');
                for item in items {
                    comma(out);
                    item.put(out);
                }
                out.push(']');
            }
            Out::Object(members) => {
                out.push('{');
                for (name, value) in members {
                    comma(out);
                    put_text(name, out);
                    out.push(':');
                    value.put(out);
                }
                out.push('}');
            }
        }
    }
}

/// RFC 8785, section 3.2.2.2: only what must be escaped is, in the shorter of its two forms.
fn put_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same through the eyes of `serde_json`, or nothing where there is a name twice or too much.
    fn judged(value: &serde_json::Value, depth: usize) -> Option<Node<'static>> {
        let inner = |value| Some(Value { at: 0, node: judged(value, depth.checked_sub(1)?)? });
        Some(match value {
            serde_json::Value::String(text) => Node::Text(Cow::Owned(text.clone())),
            serde_json::Value::Array(items) => {
                depth.checked_sub(1)?;
                Node::List(items.iter().map(inner).collect::<Option<_>>()?)
            }
            serde_json::Value::Object(members) => {
                depth.checked_sub(1)?;
                let member = |(name, value): (&String, _)| Some((Cow::Owned(name.clone()), inner(value)?));
                Node::Object(members.iter().map(member).collect::<Option<_>>()?)
            }
            serde_json::Value::Number(_) => Node::Number(""),
            _ => Node::Scalar,
        })
    }

    /// Without positions, and members in order of their names.
    fn plain(node: &Node<'_>) -> Node<'static> {
        let value = |value: &Value<'_>| Value { at: 0, node: plain(&value.node) };
        match node {
            Node::Text(text) => Node::Text(Cow::Owned(String::from(&**text))),
            Node::List(items) => Node::List(items.iter().map(value).collect()),
            Node::Object(members) => {
                let mut members: Vec<_> =
                    members.iter().map(|(name, v)| (Cow::from(String::from(&**name)), value(v))).collect();
                members.sort_by(|(a, _), (b, _)| a.cmp(b));
                Node::Object(members)
            }
            Node::Number(_) => Node::Number(""),
            Node::Scalar => Node::Scalar,
        }
    }

    fn cause(text: &str) -> Option<(u32, MalformedCause)> {
        read(text.as_bytes()).err().map(|e| (e.offset, e.cause))
    }

    #[test]
    fn what_is_no_json_and_where() {
        for (text, at) in [
            ("", 0),
            (" ", 1),
            ("x", 0),
            ("{", 1),
            ("{\"a\"", 4),
            ("{\"a\":}", 5),
            ("{\"a\":1,}", 7),
            ("{a:1}", 1),
            ("[1,]", 3),
            ("[1 2]", 3),
            ("\"a", 1),
            ("\"\t\"", 1),
            ("\"\\x\"", 2),
            ("\"\\u12g4\"", 3),
            ("\"\\u12\"", 3),
            ("\"\\ud800\"", 7),
            ("\"\\ud800\\u0041\"", 13),
            ("\"\\udc00\"", 7),
            ("\"\\u+123\"", 3),
            ("01", 1),
            ("-", 1),
            ("1.", 2),
            (".5", 0),
            ("1e", 2),
            ("1e+", 3),
            ("+1", 0),
            ("NaN", 0),
            ("tru", 0),
            ("nul", 0),
            ("1 1", 2),
            ("{} //", 3),
            ("\u{feff}{}", 0),
        ] {
            assert_eq!(cause(text), Some((at, MalformedCause::NotJson)), "{text}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text}");
        }
        assert_eq!(read(b"\"\xff\"").unwrap_err().offset, 1);
        assert_eq!(cause("{\"a\":1,\"\\u0061\":2}"), Some((7, MalformedCause::NameTwice)));
        assert_eq!(cause("[{\"a\":{},\"a\":{}}]"), Some((9, MalformedCause::NameTwice)));
    }

    #[test]
    fn as_deep_and_as_wide_as_is_read() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(cause(&nested(DEPTH_MAX)), None);
        assert_eq!(cause(&nested(DEPTH_MAX + 1)), Some((16, MalformedCause::TooManyParts)));
        assert_eq!(
            cause(&"{\"a\":".repeat(1_000)).map(|(_, cause)| cause),
            Some(MalformedCause::TooManyParts)
        );
        let wide = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert_eq!(cause(&wide(PARTS_MAX)), None);
        assert_eq!(cause(&wide(PARTS_MAX + 1)), Some((129, MalformedCause::TooManyParts)));
        let members = |count: usize| {
            let members: Vec<String> = (0..count).map(|n| format!("\"{n}\":1")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert_eq!(cause(&members(PARTS_MAX)), None);
        assert_eq!(
            cause(&members(PARTS_MAX + 1)).map(|(_, cause)| cause),
            Some(MalformedCause::TooManyParts)
        );
    }

    #[test]
    fn texts_are_written_in_one_way() {
        let mut out = String::new();
        put_text("a\"\\/\u{8}\u{c}\n\r\t\0\u{1f}\u{7f}ä\u{1f600}", &mut out);
        assert_eq!(out, "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\u{7f}ä\u{1f600}\"");
        let object = Out::Object(vec![
            (
                "b",
                Out::List(vec![Out::Text("1".into()), Out::Object(vec![("z", text("")), ("a", text(""))])]),
            ),
            ("a", text("x")),
        ]);
        let mut out = String::new();
        object.write(&mut out);
        assert_eq!(out, r#"{"a":"x","b":["1",{"a":"","z":""}]}"#);
    }

    fn text(text: &str) -> Out<'_> {
        Out::Text(text.into())
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<f64>().prop_map(serde_json::Value::from),
            any::<String>().prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(20, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_text_of_another_writer_is_read(value in any_json(), pretty: bool) {
            let text =
                if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            let text = text.unwrap();
            let read = read(text.as_bytes()).map(|value| plain(&value.node));
            match judged(&value, DEPTH_MAX) {
                Some(expected) => prop_assert_eq!(read, Ok(plain(&expected))),
                None => prop_assert_eq!(read.map_err(|e| e.cause), Err(MalformedCause::TooManyParts)),
            }
        }

        #[test]
        fn what_is_read_is_what_the_judge_reads(
            text in prop_oneof![
                "[\\[\\]{}:,\"\\\\ua0-1e+. \\-tnf]{0,24}",
                "\"(\\\\[\"\\\\/bfnrtu]|\\\\u[d0-9a-f][89a-f0][0-9]{2}|[a-z\\x00-\\x7f])*\"",
                ".{0,40}",
            ],
        ) {
            let ours = read(text.as_bytes()).map(|value| plain(&value.node));
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            match ours {
                Ok(ours) => {
                    // A number beyond what a float holds is JSON all the same.
                    let huge = theirs.as_ref().is_err_and(|e| e.to_string().starts_with("number out of range"));
                    if !huge {
                        let theirs = theirs.unwrap();
                        prop_assert_eq!(Some(ours), judged(&theirs, DEPTH_MAX).map(|node| plain(&node)));
                    }
                }
                Err(error) => {
                    let beyond = matches!(error.cause, MalformedCause::NameTwice | MalformedCause::TooManyParts);
                    prop_assert!(beyond || theirs.is_err(), "{error}");
                }
            }
        }

        #[test]
        fn what_is_written_is_read_again(words: Vec<String>) {
            let out = Out::List(words.iter().take(PARTS_MAX).map(|word| text(word)).collect());
            let mut text = String::new();
            out.write(&mut text);
            let theirs: Vec<String> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(theirs.as_slice(), words.get(..words.len().min(PARTS_MAX)).unwrap());
            let Node::List(ours) = read(text.as_bytes()).unwrap().node else { panic!("{text}") };
            for (ours, word) in ours.iter().zip(&words) {
                prop_assert_eq!(&ours.node, &Node::Text(Cow::Borrowed(word)));
            }
        }
    }
}
