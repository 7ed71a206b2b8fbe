//! Manifests as programs write them: one pass over the text, no tree, no copy but of what is kept.
//!
//! What is not plain is left to the reader of [`read`](super::read), which also says what is wrong: names that are not
//! known, escapes, other spellings of a flag or a number, anything that does not fit. Whatever is read here, it reads
//! alike.

use crate::manifest::{AgentCapabilities, CapabilityManifest, PrivacyContract, Retention, TrustLevel};
use hv_types::Reversibility;
use std::time::Duration;

use super::read::{ITEM_MAX_BYTES, MANIFEST_MAX_BYTES, SCOPES_MAX};
use super::span::parse_span;

/// The manifest in a text that is plain; nothing where it is not.
pub(super) fn manifest(text: &str) -> Option<CapabilityManifest> {
    if text.len() > MANIFEST_MAX_BYTES {
        return None;
    }
    let mut at = Cursor { text, at: 0, begun: false };
    let (mut agent_id, mut agent_version, mut trust_level) = (None, None, TrustLevel::Standard);
    let (mut found_capabilities, mut found_privacy, mut scopes) = (None, None, Vec::new());
    at.open(b'{')?;
    while let Some(name) = at.name()? {
        match name {
            "agent_id" => agent_id = Some(at.item()?),
            "agent_version" => agent_version = at.nullable(Cursor::item)?,
            "trust_level" => trust_level = level(at.text()?)?,
            "capabilities" => found_capabilities = Some(capabilities(&mut at)?),
            "privacy_contract" => found_privacy = Some(privacy(&mut at)?),
            "scopes" => scopes = items(&mut at)?,
            _ => return None,
        }
    }
    at.end()?;
    Some(CapabilityManifest {
        agent_id: agent_id?.to_owned(),
        agent_version: agent_version.map(str::to_owned),
        trust_level,
        capabilities: found_capabilities?,
        privacy_contract: found_privacy?,
        scopes,
    })
}

fn capabilities(at: &mut Cursor<'_>) -> Option<AgentCapabilities> {
    let mut found = AgentCapabilities::default();
    at.open(b'{')?;
    while let Some(name) = at.name()? {
        match name {
            "idempotency" => found.idempotency = at.flag()?,
            "reversibility" => found.reversibility = reversibility(at.text()?)?,
            "undo_window" => found.undo_window = at.nullable(span)?,
            "sla_latency" => found.sla_latency = at.nullable(span)?,
            "rate_limit" => found.rate_limit = at.nullable(Cursor::count)?,
            _ => return None,
        }
    }
    Some(found)
}

fn privacy(at: &mut Cursor<'_>) -> Option<PrivacyContract> {
    let (mut found, mut kept) = (PrivacyContract::new(Retention::Forever), None);
    at.open(b'{')?;
    while let Some(name) = at.name()? {
        match name {
            "retention" => kept = Some(retention(at.text()?)?),
            "storage_location" => found.storage_location = at.nullable(Cursor::item)?.map(str::to_owned),
            "human_review" => found.human_review = at.flag()?,
            "encryption_at_rest" => found.encryption_at_rest = at.flag()?,
            "encryption_in_transit" => found.encryption_in_transit = at.flag()?,
            _ => return None,
        }
    }
    Some(PrivacyContract { retention: kept?, ..found })
}

fn items(at: &mut Cursor<'_>) -> Option<Vec<String>> {
    let mut items = Vec::new();
    at.open(b'[')?;
    while !at.closed(b']')? {
        if items.len() >= SCOPES_MAX {
            return None;
        }
        items.push(at.item()?.to_owned());
    }
    Some(items)
}

fn level(word: &str) -> Option<TrustLevel> {
    TrustLevel::ALL.into_iter().find(|level| level.name() == word)
}

fn retention(word: &str) -> Option<Retention> {
    Retention::ALL.into_iter().find(|retention| retention.name() == word)
}

fn reversibility(word: &str) -> Option<Reversibility> {
    match word {
        "full" => Some(Reversibility::Full),
        "partial" => Some(Reversibility::Partial),
        "none" => Some(Reversibility::None),
        _ => None,
    }
}

fn span(at: &mut Cursor<'_>) -> Option<Duration> {
    parse_span(at.item()?)
}

/// A place in a text. Everything answers nothing where what is there is not plain.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// Whether an object or a list has just begun, so that no comma stands before its first part.
    begun: bool,
}

impl<'a> Cursor<'a> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no space.
    fn seen(&mut self) -> Option<u8> {
        loop {
            match self.byte()? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                other => return Some(other),
            }
        }
    }

    fn pass(&mut self, expected: u8) -> Option<()> {
        (self.seen()? == expected).then(|| self.at += 1)
    }

    fn word(&mut self, expected: &str) -> Option<()> {
        self.text.get(self.at..)?.starts_with(expected).then(|| self.at += expected.len())
    }

    fn open(&mut self, bracket: u8) -> Option<()> {
        self.begun = true;
        self.pass(bracket)
    }

    /// Whether the object or the list ends here; where it does not, its next part follows.
    fn closed(&mut self, bracket: u8) -> Option<bool> {
        let closed = self.seen()? == bracket;
        let begun = core::mem::take(&mut self.begun);
        if closed {
            self.at += 1;
        } else if !begun {
            self.pass(b',')?;
        }
        Some(closed)
    }

    /// The next name of an object, or that there is none.
    fn name(&mut self) -> Option<Option<&'a str>> {
        if self.closed(b'}')? {
            return Some(None);
        }
        let name = self.text()?;
        self.pass(b':')?;
        Some(Some(name))
    }

    fn text(&mut self) -> Option<&'a str> {
        self.pass(b'"')?;
        let start = self.at;
        loop {
            match self.byte()? {
                b'"' => break,
                b'\\' | ..0x20 => return None,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.text.get(start..self.at - 1)
    }

    fn item(&mut self) -> Option<&'a str> {
        self.text().filter(|text| text.len() <= ITEM_MAX_BYTES)
    }

    fn flag(&mut self) -> Option<bool> {
        let value = self.seen()? == b't';
        self.word(if value { "true" } else { "false" })?;
        Some(value)
    }

    /// A whole number of few digits; one that goes on in another way is not followed by what must follow.
    fn count(&mut self) -> Option<u64> {
        let first = self.seen()?;
        let start = self.at;
        while self.byte()?.is_ascii_digit() {
            self.at += 1;
        }
        let digits = self.text.get(start..self.at)?;
        let plain = digits.len() <= 18 && (first != b'0' || digits.len() == 1);
        if plain { digits.parse().ok() } else { None }
    }

    fn nullable<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.seen()? == b'n' { self.word("null").map(|()| None) } else { read(self).map(Some) }
    }

    fn end(&mut self) -> Option<()> {
        self.seen().is_none().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::general;
    use super::*;
    use proptest::prelude::*;

    /// What the package's sidecar sends.
    const SENT: &str = r#"{"agent_id":"did:mesh:a","agent_version":"0.2.0","trust_level":"trusted","capabilities":{"idempotency":true,"reversibility":"full","undo_window":"24h","sla_latency":"2000ms","rate_limit":100},"privacy_contract":{"retention":"ephemeral","storage_location":null,"human_review":false,"encryption_at_rest":true,"encryption_in_transit":true},"scopes":["repo:read","r"]}"#;

    fn alike(text: &str) -> bool {
        let read = manifest(text);
        assert!(read.is_none() || read.as_ref() == general(text).ok().as_ref(), "{text}");
        read.is_some()
    }

    #[test]
    fn what_programs_write_is_plain() {
        assert!(alike(SENT));
        let spread = SENT.replace(',', " ,\n\t").replace(':', " : ").replace("did : mesh : ", "did:mesh:");
        assert!(alike(&spread.replace("repo : read", "repo:read")));
        assert!(alike(&format!(" {SENT}\r\n")));
        assert!(alike(&SENT.replace(r#"["repo:read","r"]"#, "[]").replace("100", "0")));
        assert!(
            alike(&SENT.replace("\"trusted\"", "\"unknown\",\"trust_level\":\"untrusted\"")),
            "the last counts"
        );
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_other_reader() {
        for (from, to) in [
            ("true", "1"),
            ("true", "\"yes\""),
            ("true", "tru"),
            ("100", "100.0"),
            ("100", "1e2"),
            ("100", "0100"),
            ("100", "-1"),
            ("100", "10000000000000000000"),
            ("24h", "24"),
            ("mesh", "me\\u0073h"),
            ("mesh", "me\nsh"),
            ("full", "Full"),
            ("trusted", "none"),
            ("\"trusted\"", "null"),
            ("\"scopes\"", "\"scope\""),
            ("\"r\"]", "\"r\",]"),
            ("\"r\"]", "7]"),
            ("\"r\"]", "\"r\"\"s\"]"),
            ("\"repo:read\",", ",\"repo:read\","),
            ("\"agent_id\":\"did:mesh:a\",", ""),
            ("\"retention\":\"ephemeral\",", ""),
            ("]}", "]},"),
            ("]}", "]}}"),
            ("]}", "]"),
        ] {
            let text = SENT.replace(from, to);
            assert!(text != SENT && !alike(&text), "{text}");
        }
        assert!(!alike("") && !alike("[]") && !alike("{}") && !alike(&"x".repeat(MANIFEST_MAX_BYTES + 1)));
        assert!(!alike(&SENT.replace("did:mesh:a", &"x".repeat(ITEM_MAX_BYTES + 1))));
        assert!(!alike(&SENT.replace("[\"repo:read\"", &format!("[{}\"\"", "\"\",".repeat(SCOPES_MAX)))));
    }

    proptest! {
        /// Cut, doubled and overwritten anywhere, whatever is read is read as the other reader reads it.
        #[test]
        fn whatever_is_read_is_read_alike(
            cut in 0..SENT.len(), length in 0..20usize, piece in "[\\[\\]{}:,\"a-z0-9 .\\-]{0,6}",
        ) {
            let end = (cut + length).min(SENT.len());
            alike(&format!("{}{piece}{}", &SENT[..cut], &SENT[end..]));
            alike(&format!("{}{piece}{}", &SENT[..end], &SENT[cut..]));
        }
    }
}
