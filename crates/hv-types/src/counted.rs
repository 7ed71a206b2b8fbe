//! Counts in words.

use alloc::string::ToString;
use core::fmt;

/// A count with what it counts, as a message says it.
///
/// ```
/// use hv_types::Counted;
///
/// let said = [Counted(1, "entry"), Counted(0, "entry"), Counted(2, "branch")].map(|counted| counted.to_string());
/// assert_eq!(said, ["1 entry", "0 entries", "2 branches"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted<'a, N>(
    /// How many there are.
    pub N,
    /// What one of them is called.
    pub &'a str,
);

impl<N: fmt::Display> fmt::Display for Counted<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, one) = (self.0.to_string(), self.1);
        match one.strip_suffix("ry") {
            _ if count == "1" => write!(f, "{count} {one}"),
            Some(stem) => write!(f, "{count} {stem}ries"),
            None if one.ends_with("ch") || one.ends_with('s') => write!(f, "{count} {one}es"),
            None => write!(f, "{count} {one}s"),
        }
    }
}
