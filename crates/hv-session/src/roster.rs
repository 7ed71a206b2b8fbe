//! Who is, and who was, in a session.

use core::fmt;
use hv_types::Did;

/// How many different agents a session may see in its life, those who left included.
pub const ROSTER_MAX: u32 = 65_536;

/// Whether an agent that was once let in is in the session now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A member.
    Present,
    /// Gone by its own will; may come back.
    Left,
    /// Put out; may come back only after it was readmitted.
    Evicted {
        /// Why.
        reason: Eviction,
    },
}

/// Why an agent was put out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// The kill switch.
    Killed,
    /// It is under quarantine.
    Quarantined,
    /// It broke a rule of the session.
    Breach,
    /// Its behaviour drifted away from what it claims.
    Drift,
    /// Somebody who runs the node decided it.
    Operator,
    /// The agent on whose behalf it acted was put out.
    ParentEvicted,
}

/// An agent as the session knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberRef<'a> {
    /// Its number in this session, counted from 0 in the order of first joins; it never changes.
    pub ordinal: u32,
    /// Its name.
    pub did: &'a Did,
    /// The member on whose behalf it acts. Always a smaller ordinal, so the chain ends.
    pub parent: Option<u32>,
    /// Whether it is in the session now.
    pub standing: Standing,
}

/// Every agent that was ever in the session, each with the ordinal by which events name it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Roster {
    seats: Vec<Seat>,
    /// The ordinals in the order of their DIDs, once they are more than a few.
    by_did: Vec<u32>,
    present: u32,
}

/// So many names are compared one by one.
const FEW: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seat {
    did: Did,
    parent: Option<u32>,
    standing: Standing,
}

impl Roster {
    /// How many were ever here.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.seats.len()).unwrap_or(u32::MAX)
    }

    /// How many are here now.
    pub(crate) const fn present(&self) -> u32 {
        self.present
    }

    /// O(1).
    pub(crate) fn by_ordinal(&self, ordinal: u32) -> Option<MemberRef<'_>> {
        let seat = self.seats.get(usize::try_from(ordinal).ok()?)?;
        Some(MemberRef { ordinal, did: &seat.did, parent: seat.parent, standing: seat.standing })
    }

    /// O(log n).
    pub(crate) fn find(&self, did: &Did) -> Option<MemberRef<'_>> {
        // Most sessions have few members, and whoever asks often holds the very name that joined.
        if self.seats.len() <= FEW {
            let ordinal = self.seats.iter().position(|seat| seat.did == *did)?;
            return self.by_ordinal(u32::try_from(ordinal).ok()?);
        }
        let place = self.place(did).ok()?;
        self.by_ordinal(*self.by_did.get(place)?)
    }

    /// In the order of ordinals.
    pub(crate) fn iter(&self) -> impl Iterator<Item = MemberRef<'_>> {
        (0u32..).zip(&self.seats).map(|(ordinal, seat)| MemberRef {
            ordinal,
            did: &seat.did,
            parent: seat.parent,
            standing: seat.standing,
        })
    }

    /// The member and the present ones that act on its behalf, directly or through others, in the order of
    /// ordinals. One pass is enough because a parent's ordinal is smaller than its children's.
    pub(crate) fn with_descendants(&self, ordinal: u32) -> Vec<u32> {
        let mut line = vec![ordinal];
        for member in self.iter() {
            let descends = member.parent.is_some_and(|parent| line.binary_search(&parent).is_ok());
            // One that left stays in the line: its own children act on behalf of the same ancestor.
            if descends {
                line.push(member.ordinal);
            }
        }
        let present = |&ordinal: &u32| self.by_ordinal(ordinal).is_some_and(|m| m.is_present());
        line.retain(present);
        line
    }

    /// Adds an agent that was never here. O(n) where the agents do not come in the order of their names.
    pub(crate) fn add(&mut self, did: &Did, parent: Option<u32>, standing: Standing) {
        if self.find(did).is_some() {
            return;
        }
        let ordinal = self.len();
        self.seats.push(Seat { did: did.clone(), parent, standing });
        self.present += u32::from(standing == Standing::Present);
        if self.seats.len() <= FEW {
            return;
        }
        let first = if self.by_did.is_empty() { 0 } else { ordinal };
        for ordinal in first..=ordinal {
            let named = self.by_ordinal(ordinal).map_or(did, |member| member.did);
            if let Err(place) = self.place(named) {
                self.by_did.insert(place, ordinal);
            }
        }
    }

    /// Gives an agent another standing.
    pub(crate) fn set(&mut self, ordinal: u32, standing: Standing) {
        let seat = usize::try_from(ordinal).ok().and_then(|at| self.seats.get_mut(at));
        if let Some(seat) = seat {
            self.present -= u32::from(seat.standing == Standing::Present);
            self.present += u32::from(standing == Standing::Present);
            seat.standing = standing;
        }
    }

    fn place(&self, did: &Did) -> Result<usize, usize> {
        self.by_did.binary_search_by(|&ordinal| {
            let known = self.by_ordinal(ordinal).map(|member| member.did);
            known.cmp(&Some(did))
        })
    }
}

impl MemberRef<'_> {
    /// Whether it is in the session now.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.standing == Standing::Present
    }
}

impl fmt::Display for Eviction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "the kill switch was used on it",
            Self::Quarantined => "it is under quarantine",
            Self::Breach => "it broke a rule of the session",
            Self::Drift => "its behaviour drifted",
            Self::Operator => "the operator put it out",
            Self::ParentEvicted => "the agent it acted for was put out",
        })
    }
}

hv_types::wire_enum!(Standing { 0 => Present {}, 1 => Left {}, 2 => Evicted { reason } });
hv_types::wire_enum!(Eviction {
    0 => Killed {}, 1 => Quarantined {}, 2 => Breach {}, 3 => Drift {}, 4 => Operator {}, 5 => ParentEvicted {},
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_follow_the_order_of_joins_whatever_the_names() {
        let mut roster = Roster::default();
        let names = ["m", "c", "z", "a", "n"].map(|name| Did::new(&format!("did:x:{name}")).unwrap());
        for did in &names {
            roster.add(did, None, Standing::Present);
        }
        for (ordinal, did) in (0..).zip(&names) {
            assert_eq!(roster.find(did).map(|m| m.ordinal), Some(ordinal));
            assert_eq!(roster.by_ordinal(ordinal).map(|m| m.did), Some(did));
        }
        assert_eq!(roster.find(&Did::new("did:x:q").unwrap()), None);
        assert_eq!((roster.len(), roster.present()), (5, 5));
        roster.set(2, Standing::Left);
        roster.set(2, Standing::Left);
        assert_eq!((roster.len(), roster.present()), (5, 4));
    }

    #[test]
    fn a_line_holds_the_present_descendants_only() {
        let mut roster = Roster::default();
        let did = |n: u32| Did::new(&format!("did:x:{n}")).unwrap();
        // 0 ── 1 ── 3 ── 5
        //  └── 2     4 stands alone
        for (n, parent) in [(0, None), (1, Some(0)), (2, Some(0)), (3, Some(1)), (4, None), (5, Some(3))] {
            roster.add(&did(n), parent, Standing::Present);
        }
        assert_eq!(roster.with_descendants(0), [0, 1, 2, 3, 5]);
        assert_eq!(roster.with_descendants(1), [1, 3, 5]);
        assert_eq!(roster.with_descendants(4), [4]);
        roster.set(3, Standing::Left);
        assert_eq!(roster.with_descendants(0), [0, 1, 2, 5]);
    }
}
