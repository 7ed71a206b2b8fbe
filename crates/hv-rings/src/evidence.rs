//! What is brought besides a score: certificates that only a check can make.

use crate::decide::Lack;
use crate::quorum::Quorum;
use crate::statement::Nonce;
use crate::witness::Witness;
use core::fmt;
use hv_types::{Call, Did, Timestamp};

/// The certificates that are presented for one call. Usually none.
///
/// There is no way to say "there was a quorum": a [`Quorum`] comes out of [`tally`](crate::quorum::tally), a
/// [`Witness`] out of [`check`](crate::witness::check), and each opens the one call that it was given for.
#[derive(Debug, Default)]
pub struct Evidence {
    quorum: Option<Quorum>,
    witness: Option<Witness>,
}

/// A kind of certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Certificate {
    /// The consent of more than two thirds of those who may vote: what Ring 1 needs.
    Quorum,
    /// The word of a configured human: what Ring 0 needs.
    Witness,
}

hv_types::wire_enum!(Certificate { 0 => Quorum {}, 1 => Witness {} });

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quorum => "a quorum",
            Self::Witness => "a witness",
        })
    }
}

/// What a permission rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Basis {
    /// On nothing: Ring 3 is open.
    Open,
    /// On the score alone.
    Score,
    /// On the score and a quorum.
    Quorum,
    /// On a witness.
    Witness,
}

hv_types::wire_enum!(Basis { 0 => Open {}, 1 => Score {}, 2 => Quorum {}, 3 => Witness {} });

impl Evidence {
    /// No certificate.
    #[must_use]
    pub const fn none() -> Self {
        Self { quorum: None, witness: None }
    }

    /// With a quorum.
    #[must_use]
    pub fn with_quorum(self, quorum: Quorum) -> Self {
        Self { quorum: Some(quorum), ..self }
    }

    /// With a witness.
    #[must_use]
    pub fn with_witness(self, witness: Witness) -> Self {
        Self { witness: Some(witness), ..self }
    }

    /// The quorum, for whichever call.
    #[must_use]
    pub const fn quorum(&self) -> Option<&Quorum> {
        self.quorum.as_ref()
    }

    /// The witness, for whichever call.
    #[must_use]
    pub const fn witness(&self) -> Option<&Witness> {
        self.witness.as_ref()
    }

    /// The last point in time at which what a permission rests on still holds. What rests on no certificate
    /// has no end of its own.
    #[must_use]
    pub fn until(&self, basis: Basis) -> Timestamp {
        let until = match basis {
            Basis::Open | Basis::Score => None,
            Basis::Quorum => self.quorum.as_ref().map(Quorum::until),
            Basis::Witness => self.witness.as_ref().map(Witness::until),
        };
        until.unwrap_or(Timestamp::MAX)
    }

    /// The statements that a permission uses up: author, nonce, deadline. Mark them as spent in the same
    /// commit that grants the call.
    pub fn spends(&self, basis: Basis) -> impl Iterator<Item = (&Did, Nonce, Timestamp)> {
        let quorum = self.quorum.as_ref().filter(|_| basis == Basis::Quorum);
        let witness = self.witness.as_ref().filter(|_| basis == Basis::Witness);
        let votes = quorum.into_iter().flat_map(|q| q.votes().iter().map(|(by, n, d)| (by, *n, *d)));
        votes.chain(witness.map(|w| (w.by(), w.nonce(), w.deadline())))
    }

    /// Whether consent to exactly this call is here.
    pub(crate) fn consent(&self, call: &Call) -> Result<Basis, Lack> {
        bound(self.quorum.as_ref().map(Quorum::call), call).map(|()| Basis::Quorum)
    }

    /// Whether a witness of exactly this call is here.
    pub(crate) fn witnessed(&self, call: &Call) -> Result<Basis, Lack> {
        bound(self.witness.as_ref().map(Witness::call), call).map(|()| Basis::Witness)
    }
}

fn bound(certified: Option<&Call>, call: &Call) -> Result<(), Lack> {
    match certified {
        None => Err(Lack::Missing),
        Some(certified) if certified != call => Err(Lack::OtherCall),
        Some(_) => Ok(()),
    }
}
