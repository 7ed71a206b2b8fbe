//! The four privilege levels.

use core::fmt;

/// A privilege level; the lower the number, the more it may do.
///
/// The order of the type is the order of the numbers, so `Ring::Root < Ring::Sandbox`. Ask [`Ring::permits`]
/// instead of comparing where privilege is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Ring {
    /// Ring 0: changes the supervisor itself. Never earned by a score; needs a human witness for each call.
    Root = 0,
    /// Ring 1: what cannot be undone. Needs the highest trust and a quorum.
    Privileged = 1,
    /// Ring 2: what can be undone.
    Standard = 2,
    /// Ring 3: reading only. What everybody has.
    Sandbox = 3,
}

/// The name that the ring has in the Python package agent-hypervisor.
pub type ExecutionRing = Ring;

impl Ring {
    /// All rings, the most privileged first.
    pub const ALL: [Self; 4] = [Self::Root, Self::Privileged, Self::Standard, Self::Sandbox];

    /// The ring's number, 0 to 3.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Whether whoever stands in this ring may do what needs `required`.
    #[must_use]
    pub const fn permits(self, required: Self) -> bool {
        self.number() <= required.number()
    }

    /// The less privileged of the two.
    #[must_use]
    pub const fn weaker(self, other: Self) -> Self {
        if self.number() >= other.number() { self } else { other }
    }
}

/// A number above 3, which names no ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotARing(pub u8);

impl fmt::Display for NotARing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is no ring; rings are 0, 1, 2 and 3", self.0)
    }
}

impl core::error::Error for NotARing {}

impl TryFrom<u8> for Ring {
    type Error = NotARing;

    fn try_from(number: u8) -> Result<Self, NotARing> {
        match number {
            0 => Ok(Self::Root),
            1 => Ok(Self::Privileged),
            2 => Ok(Self::Standard),
            3 => Ok(Self::Sandbox),
            other => Err(NotARing(other)),
        }
    }
}

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Root => "root",
            Self::Privileged => "privileged",
            Self::Standard => "standard",
            Self::Sandbox => "sandbox",
        };
        write!(f, "Ring {} ({name})", self.number())
    }
}

impl crate::Wire for Ring {
    fn put(&self, out: &mut alloc::vec::Vec<u8>) {
        out.push(self.number());
    }

    fn take(reader: &mut crate::wire::Reader<'_>) -> Result<Self, crate::Undecodable> {
        Self::try_from(reader.byte()?).map_err(|_| reader.invalid("Ring"))
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Ring {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u8(self.number())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Ring {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::try_from(u8::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_number_permits_the_higher() {
        for have in Ring::ALL {
            for need in Ring::ALL {
                assert_eq!(have.permits(need), have.number() <= need.number());
                assert_eq!(have.weaker(need).number(), have.number().max(need.number()));
            }
        }
    }
}
