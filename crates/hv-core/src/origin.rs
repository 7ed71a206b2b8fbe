//! Where requests come from, whoever they speak for.

use hv_types::wire::{Reader, put_bytes};
use hv_types::{Undecodable, Wire};
use std::fmt;
use std::sync::Arc;

/// The longest name of an origin, in bytes.
pub const ORIGIN_MAX_BYTES: usize = 256;

/// Where requests come from: whatever tells one source from another before anybody's word is believed, such as a
/// network address or the name of a connection.
///
/// ```
/// use hv_core::Origin;
///
/// assert_eq!(Origin::new("203.0.113.7").unwrap().as_str(), "203.0.113.7");
/// assert!(Origin::new("").is_none() && Origin::new("two\nlines").is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(Arc<str>);

impl Origin {
    /// From its name; none where that is empty, longer than [`ORIGIN_MAX_BYTES`], or has control characters.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let fits = !name.is_empty() && name.len() <= ORIGIN_MAX_BYTES && !name.chars().any(char::is_control);
        fits.then(|| Self(Arc::from(name)))
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Wire for Origin {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.0.as_bytes(), out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        Self::new(&String::take(reader)?).ok_or_else(|| reader.invalid("Origin"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_one_line() {
        for (name, fits) in [
            ("a", true),
            ("[2001:db8::1]:443", true),
            ("unix:/run/hv.sock #7", true),
            ("", false),
            ("a\0", false),
            ("a\u{7f}", false),
        ] {
            assert_eq!(Origin::new(name).is_some(), fits, "{name:?}");
        }
        assert!(Origin::new(&"x".repeat(256)).is_some() && Origin::new(&"x".repeat(257)).is_none());
        let origin = Origin::new("é").unwrap();
        assert_eq!(origin.to_bytes(), [2, 0xc3, 0xa9]);
        assert_eq!(Origin::from_bytes(&origin.to_bytes()), Ok(origin));
        assert!(Origin::from_bytes(&[0]).is_err() && Origin::from_bytes(&[1, 7]).is_err());
    }
}
