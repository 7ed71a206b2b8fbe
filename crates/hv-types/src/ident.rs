//! Identifiers that were checked when they were made.

use crate::name::Name;
use alloc::string::String;
use core::borrow::Borrow;
use core::fmt;
use core::str::FromStr;

/// The longest identifier, in bytes.
pub const IDENT_MAX_BYTES: usize = 256;

/// An identifier that breaks its grammar: what it was meant to be, how it reads, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadIdent {
    /// What the text was meant to be, such as `a session id`.
    pub what: &'static str,
    /// The text as given, cut after 80 characters.
    pub text: String,
    /// What is wrong.
    pub cause: BadIdentCause,
}

/// What is wrong with an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadIdentCause {
    /// Nothing there.
    Empty,
    /// Longer than [`IDENT_MAX_BYTES`].
    TooLong,
    /// A character that the grammar does not allow where it stands.
    Character(char),
    /// A DID that does not start with `did:`, a method in lower-case letters and digits, and a colon.
    NoMethod,
}

impl fmt::Display for BadIdent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, text, cause } = self;
        match cause {
            BadIdentCause::Empty => write!(f, "{what} must not be empty"),
            BadIdentCause::TooLong => {
                write!(f, "{what} may have at most {IDENT_MAX_BYTES} bytes; `{text}…` has more")
            }
            BadIdentCause::Character(c) => write!(f, "{what} may not have {c:?} there: `{text}`"),
            BadIdentCause::NoMethod => {
                write!(f, "{what} reads did:<method>:<id>, such as did:mesh:alpha; `{text}` does not")
            }
        }
    }
}

impl core::error::Error for BadIdent {}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Name);

        impl $name {
            /// Checks the text against the grammar.
            ///
            /// # Errors
            /// [`BadIdent`] with the first thing that is wrong.
            pub fn new(text: &str) -> Result<Self, BadIdent> {
                match $check(text) {
                    Ok(()) => Ok(Self(Name::new(text))),
                    Err(cause) => {
                        Err(BadIdent { what: $what, text: text.chars().take(80).collect(), cause })
                    }
                }
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = BadIdent;

            fn from_str(text: &str) -> Result<Self, BadIdent> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = BadIdent;

            fn try_from(text: &str) -> Result<Self, BadIdent> {
                Self::new(text)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl crate::Wire for $name {
            fn put(&self, out: &mut alloc::vec::Vec<u8>) {
                self.0.put(out);
            }

            fn take(reader: &mut crate::wire::Reader<'_>) -> Result<Self, crate::Undecodable> {
                let text = reader.text()?;
                Self::new(text).map_err(|_| reader.invalid(stringify!($name)))
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(self.as_str())
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = alloc::borrow::Cow::<'de, str>::deserialize(d)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

identifier! {
    /// A decentralized identifier, `did:<method>:<id>` (W3C DID Core 1.0, section 3.1), at most 256 bytes.
    ///
    /// ```
    /// use hv_types::Did;
    ///
    /// assert!(Did::new("did:mesh:alpha").is_ok());
    /// assert!(Did::new("alpha").is_err());
    /// ```
    Did, "a DID", check_did
}

identifier! {
    /// The name of a session, unique on a node.
    SessionId, "a session id", check_plain
}

identifier! {
    /// The name of an action, such as `git.push`.
    ActionId, "an action id", check_plain
}

identifier! {
    /// The name of a saga, unique in its session.
    SagaId, "a saga id", check_plain
}

identifier! {
    /// The name of a step, unique in its saga.
    StepId, "a step id", check_plain
}

/// `[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?`
fn check_plain(text: &str) -> Result<(), BadIdentCause> {
    check_length(text)?;
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-');
    if !text.bytes().all(is_inner)
        && let Some(bad) = text.chars().find(|&c| !inner(c))
    {
        return Err(BadIdentCause::Character(bad));
    }
    let ends = [text.chars().next(), text.chars().next_back()];
    match ends.into_iter().flatten().find(|c| !c.is_ascii_alphanumeric()) {
        Some(bad) => Err(BadIdentCause::Character(bad)),
        None => Ok(()),
    }
}

/// What most identifiers consist of, told by one look at each byte.
fn is_inner(byte: u8) -> bool {
    INNER.get(usize::from(byte)) == Some(&true)
}

/// Which bytes those are.
const INNER: [bool; 256] = {
    let mut inner = [false; 256];
    let mut left = inner.as_mut_slice();
    let mut byte = 0u8;
    while let Some((first, rest)) = left.split_first_mut() {
        *first = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
        byte = byte.wrapping_add(1);
        left = rest;
    }
    inner
};

fn check_did(text: &str) -> Result<(), BadIdentCause> {
    check_length(text)?;
    let rest = text.strip_prefix("did:").ok_or(BadIdentCause::NoMethod)?;
    let method = rest.bytes().take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit()).count();
    let id = rest.get(method..).and_then(|rest| rest.strip_prefix(':'));
    let id = id.filter(|id| method > 0 && !id.is_empty()).ok_or(BadIdentCause::NoMethod)?;
    let mut chars = if id.bytes().all(is_inner) { "" } else { id }.chars();
    while let Some(c) = chars.next() {
        let hex = |c: Option<char>| c.is_some_and(|c| c.is_ascii_hexdigit());
        let ok = match c {
            '.' | '-' | '_' | ':' => true,
            '%' => hex(chars.next()) && hex(chars.next()),
            c => c.is_ascii_alphanumeric(),
        };
        if !ok {
            return Err(BadIdentCause::Character(c));
        }
    }
    if id.ends_with(':') { Err(BadIdentCause::Character(':')) } else { Ok(()) }
}

fn check_length(text: &str) -> Result<(), BadIdentCause> {
    match text.len() {
        0 => Err(BadIdentCause::Empty),
        1..=IDENT_MAX_BYTES => Ok(()),
        _ => Err(BadIdentCause::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn plain_identifiers_at_their_boundaries() {
        let longest = "a".repeat(IDENT_MAX_BYTES);
        for good in ["a", "0", "git.push", "a:b-c_d", longest.as_str()] {
            assert!(ActionId::new(good).is_ok(), "{good}");
        }
        let too_long = "a".repeat(IDENT_MAX_BYTES + 1);
        for (bad, cause) in [
            ("", BadIdentCause::Empty),
            (too_long.as_str(), BadIdentCause::TooLong),
            (".a", BadIdentCause::Character('.')),
            ("a-", BadIdentCause::Character('-')),
            ("a b", BadIdentCause::Character(' ')),
            ("ä", BadIdentCause::Character('ä')),
            ("a\0", BadIdentCause::Character('\0')),
            ("a/b", BadIdentCause::Character('/')),
        ] {
            assert_eq!(SessionId::new(bad).unwrap_err().cause, cause, "{bad:?}");
        }
    }

    #[test]
    fn each_character_is_in_the_grammar_or_not() {
        for c in (0..=0x2ff).filter_map(char::from_u32) {
            let inner = c.is_ascii_alphanumeric() || "._:-".contains(c);
            assert_eq!(ActionId::new(&format!("a{c}a")).is_ok(), inner, "{c:?}");
            assert_eq!(Did::new(&format!("did:mesh:a{c}a")).is_ok(), inner, "{c:?}");
            let of_method = c.is_ascii_lowercase() || c.is_ascii_digit() || c == ':';
            assert_eq!(Did::new(&format!("did:m{c}m:a")).is_ok(), of_method, "{c:?}");
        }
    }

    #[test]
    fn dids_follow_the_grammar_of_the_specification() {
        for good in ["did:mesh:alpha", "did:web:example.com:user", "did:x:a%3Ab", "did:key:z6Mk_-."] {
            assert!(Did::new(good).is_ok(), "{good}");
        }
        for (bad, cause) in [
            ("alpha", BadIdentCause::NoMethod),
            ("did:", BadIdentCause::NoMethod),
            ("did:mesh", BadIdentCause::NoMethod),
            ("did:mesh:", BadIdentCause::NoMethod),
            ("did::a", BadIdentCause::NoMethod),
            ("did:Mesh:a", BadIdentCause::NoMethod),
            ("did:me-sh:a", BadIdentCause::NoMethod),
            ("did:mesh/a", BadIdentCause::NoMethod),
            ("did:mesh:a b", BadIdentCause::Character(' ')),
            ("did:mesh:a%2", BadIdentCause::Character('%')),
            ("did:mesh:a:", BadIdentCause::Character(':')),
            ("did:mesh:../x", BadIdentCause::Character('/')),
        ] {
            assert_eq!(Did::new(bad).unwrap_err().cause, cause, "{bad:?}");
        }
    }
}
