//! What is brought besides a score: certificates that only a check can make.

use crate::decide::Lack;
use crate::elevation::Elevated;
use crate::quorum::Quorum;
use crate::statement::Nonce;
use crate::witness::Witness;
use core::fmt;
use hv_types::{Call, Did, Timestamp};

/// The certificates that are presented for one call. Usually none.
///
/// There is no way to say "there was a quorum": a [`Quorum`] comes out of [`tally`](crate::quorum::tally), a
/// [`Witness`] out of [`check`](crate::witness::check), an [`Elevated`] out of
/// [`Elevation::covers`](crate::elevation::Elevation::covers), and each opens the one call that it was given
/// for.
#[derive(Debug, Default)]
pub struct Evidence {
    quorum: Option<Quorum>,
    elevated: Option<Elevated>,
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
    /// On the score and an elevation that a quorum gave before.
    Elevation,
}

hv_types::wire_enum!(Basis { 0 => Open {}, 1 => Score {}, 2 => Quorum {}, 3 => Witness {}, 4 => Elevation {} });

impl Evidence {
    /// No certificate.
    #[must_use]
    pub const fn none() -> Self {
        Self { quorum: None, elevated: None, witness: None }
    }

    /// With a quorum.
    #[must_use]
    pub fn with_quorum(self, quorum: Quorum) -> Self {
        Self { quorum: Some(quorum), ..self }
    }

    /// With an elevation that covers the call.
    #[must_use]
    pub fn with_elevated(self, elevated: Elevated) -> Self {
        Self { elevated: Some(elevated), ..self }
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

    /// The elevation, for whichever call.
    #[must_use]
    pub const fn elevated(&self) -> Option<&Elevated> {
        self.elevated.as_ref()
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
            Basis::Elevation => self.elevated.as_ref().map(Elevated::until),
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

    /// Whether consent to exactly this call is here: given for it, or given before by an elevation.
    pub(crate) fn consent(&self, call: &Call) -> Result<Basis, Lack> {
        let quorum = bound(self.quorum.as_ref().map(Quorum::call), call).map(|()| Basis::Quorum);
        quorum.or_else(|lack| match bound(self.elevated.as_ref().map(Elevated::call), call) {
            Ok(()) => Ok(Basis::Elevation),
            Err(Lack::OtherCall) => Err(Lack::OtherCall),
            Err(Lack::Missing) => Err(lack),
        })
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

/// Certificates that are presented, and the call that each has to be for.
///
/// It stands where a call may come with none: then nobody has to take the digest of its parameters.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The call.
    pub call: &'a Call,
    /// The certificates.
    pub evidence: &'a Evidence,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elevation::{Elevation, LASTS, Request};
    use crate::tests::{NOW, call, did, quorum, witnessed};
    use hv_types::{ActionId, Wire};
    use std::vec::Vec;

    fn elevated(call: &Call) -> Elevated {
        let request =
            Request::new(call.session.clone(), call.agent.clone(), [call.action.clone()], "x", LASTS)
                .unwrap();
        // The record of a granted elevation: the request and its beginning.
        let mut bytes = request.to_bytes();
        NOW.put(&mut bytes);
        Elevation::from_bytes(&bytes).unwrap().covers(call, NOW).unwrap()
    }

    fn other() -> Call {
        Call { action: ActionId::new("other").unwrap(), ..call() }
    }

    #[test]
    fn consent_is_a_quorum_or_an_elevation_for_exactly_this_call() {
        let (this, other) = (call(), other());
        let none = Evidence::none;
        for (evidence, consent) in [
            (none(), Err(Lack::Missing)),
            (none().with_witness(witnessed(&this)), Err(Lack::Missing)),
            (none().with_quorum(quorum(&this)), Ok(Basis::Quorum)),
            (none().with_quorum(quorum(&other)), Err(Lack::OtherCall)),
            (none().with_elevated(elevated(&this)), Ok(Basis::Elevation)),
            (none().with_elevated(elevated(&other)), Err(Lack::OtherCall)),
            (none().with_quorum(quorum(&other)).with_elevated(elevated(&this)), Ok(Basis::Elevation)),
            (none().with_quorum(quorum(&this)).with_elevated(elevated(&this)), Ok(Basis::Quorum)),
            (none().with_quorum(quorum(&other)).with_elevated(elevated(&other)), Err(Lack::OtherCall)),
        ] {
            assert_eq!(evidence.consent(&this), consent, "{evidence:?}");
        }
        assert_eq!(none().witnessed(&this), Err(Lack::Missing));
        assert_eq!(none().with_quorum(quorum(&this)).witnessed(&this), Err(Lack::Missing));
        assert_eq!(none().with_witness(witnessed(&this)).witnessed(&this), Ok(Basis::Witness));
        assert_eq!(none().with_witness(witnessed(&other)).witnessed(&this), Err(Lack::OtherCall));
    }

    #[test]
    fn a_permission_uses_up_what_it_rests_on_and_lasts_as_long() {
        let call = call();
        let evidence = Evidence::none()
            .with_quorum(quorum(&call))
            .with_elevated(elevated(&call))
            .with_witness(witnessed(&call));
        let spent = |basis| evidence.spends(basis).map(|(by, ..)| by.clone()).collect::<Vec<_>>();
        let statement = Timestamp(NOW.0 + 500);
        for (basis, by, until) in [
            (Basis::Open, None, Timestamp::MAX),
            (Basis::Score, None, Timestamp::MAX),
            (Basis::Quorum, Some(did("voter")), statement),
            (Basis::Elevation, None, call.deadline),
            (Basis::Witness, Some(did("human")), statement),
        ] {
            assert_eq!(spent(basis), by.into_iter().collect::<Vec<_>>(), "{basis:?}");
            assert_eq!(evidence.until(basis), until, "{basis:?}");
            assert_eq!(Evidence::none().until(basis), Timestamp::MAX);
            assert_eq!(Basis::from_bytes(&basis.to_bytes()), Ok(basis));
        }
        let whole =
            (evidence.quorum().is_some(), evidence.elevated().is_some(), evidence.witness().is_some());
        assert_eq!(whole, (true, true, true));
        let bare = Evidence::default();
        assert!(bare.quorum().is_none() && bare.elevated().is_none() && bare.witness().is_none());
    }

    #[test]
    fn words_and_bytes() {
        let words = [Certificate::Quorum, Certificate::Witness].map(|c| std::format!("{c}"));
        assert_eq!(words, ["a quorum", "a witness"]);
        let bytes = [Certificate::Quorum, Certificate::Witness].map(|c| c.to_bytes());
        assert_eq!(bytes, [[0], [1]]);
        let every = [Basis::Open, Basis::Score, Basis::Quorum, Basis::Witness, Basis::Elevation];
        assert_eq!(every.map(|basis| basis.to_bytes()), [[0], [1], [2], [3], [4]]);
    }
}
