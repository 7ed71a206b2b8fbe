//! The small numbers by which events name agents, sessions and bonds.
//!
//! A name is long and comes once; afterwards its number stands for it. Numbers are dense, so the ledger's
//! rows are plain vectors and an event is a few bytes.

use core::fmt;
use hv_types::wire::Reader;
use hv_types::{Undecodable, Wire};

/// An agent's number in this ledger: agents are numbered from 0 in the order in which they became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentNo(pub u32);

/// A session's number. Whoever runs the ledger gives it, such as the number of the session's audit stream;
/// the ledger keeps nothing about a session beyond its bonds, and forgets it with the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionNo(pub u32);

/// A bond's number. A place is used again after its bond was paid back; `turn` tells the bonds that had the
/// same place apart, so that an old number never reaches a new bond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BondNo {
    /// The bond's place.
    pub slot: u32,
    /// How many bonds had this place before.
    pub turn: u32,
}

impl fmt::Display for BondNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.turn)
    }
}

impl fmt::Display for SessionNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for AgentNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

hv_types::wire_struct!(BondNo { slot, turn });

macro_rules! wire_number {
    ($($name:ident),*) => { $(
        impl Wire for $name {
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }

            fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
                u32::take(reader).map(Self)
            }
        }
    )* };
}
wire_number!(AgentNo, SessionNo);
