//! Signed statements as plain facts: what a vote and a witness have in common, and the rules for both.

use alloc::collections::{BTreeMap, BTreeSet};
use core::fmt;
use core::time::Duration;
use hv_types::{Call, Did, Timestamp};

/// How far ahead the deadline of a statement may lie: seven days, the longest that a session lasts.
pub const MAX_VALIDITY: Duration = Duration::from_secs(604_800);

/// A number that its author uses once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub [u8; 16]);

impl hv_types::Wire for Nonce {
    fn put(&self, out: &mut alloc::vec::Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn take(reader: &mut hv_types::wire::Reader<'_>) -> Result<Self, hv_types::Undecodable> {
        reader.array().map(Self)
    }
}

/// What somebody states about one call, after the signature was verified.
///
/// Verifying is for whoever holds the keys; a statement whose signature was not verified must not become one
/// of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Who states it.
    pub by: Did,
    /// The node that it is addressed to.
    pub audience: Did,
    /// The call that it speaks of, all fields.
    pub call: Call,
    /// Used once by its author.
    pub nonce: Nonce,
    /// The last point in time at which it counts.
    pub deadline: Timestamp,
}

hv_types::wire_struct!(Statement { by, audience, call, nonce, deadline });

/// What a statement is held against.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// This node.
    pub node: &'a Did,
    /// The call that is being decided. Its agent is the actor.
    pub call: &'a Call,
    /// Everybody in the actor's vouch component; with them whoever the actor acts for, and their component.
    pub tied: &'a BTreeSet<Did>,
    /// The statements that were used before.
    pub spent: &'a Spent,
    /// The present.
    pub now: Timestamp,
}

/// Why a statement does not count for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case", tag = "rule"))]
pub enum Refusal {
    /// It is addressed to another node.
    ForeignAudience,
    /// It speaks of a call in another session.
    ForeignSession,
    /// It speaks of another call: another agent, action, deadline or other parameters.
    OtherCall,
    /// Its deadline has passed.
    Expired {
        /// The last point in time at which it counted.
        deadline: Timestamp,
    },
    /// Its deadline lies farther ahead than [`MAX_VALIDITY`].
    TooFarAhead {
        /// The deadline that it gives itself.
        deadline: Timestamp,
    },
    /// It was used before.
    Replayed,
    /// The actor made it.
    ByActor,
    /// Somebody in the actor's vouch component made it.
    ByTied,
    /// Its author is none of those who may: no member in standing Ring 2 and no named voter, or no configured
    /// witness.
    NotEligible,
    /// Its author has another one that counts.
    Duplicate,
}

hv_types::wire_enum!(Refusal {
    0 => ForeignAudience {},
    1 => ForeignSession {},
    2 => OtherCall {},
    3 => Expired { deadline },
    4 => TooFarAhead { deadline },
    5 => Replayed {},
    6 => ByActor {},
    7 => ByTied {},
    8 => NotEligible {},
    9 => Duplicate {},
});

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForeignAudience => f.write_str("it is addressed to another node"),
            Self::ForeignSession => f.write_str("it speaks of another session"),
            Self::OtherCall => f.write_str("it speaks of another call"),
            Self::Expired { deadline } => write!(f, "it counted until {deadline}"),
            Self::TooFarAhead { deadline } => {
                write!(f, "it gives itself until {deadline}, more than {} s ahead", MAX_VALIDITY.as_secs())
            }
            Self::Replayed => f.write_str("it was used before"),
            Self::ByActor => f.write_str("the agent that acts made it"),
            Self::ByTied => f.write_str(
                "its author is tied to the agent that acts by vouching or by acting for each other",
            ),
            Self::NotEligible => f.write_str("its author is none of those who may make it"),
            Self::Duplicate => f.write_str("its author made another one that counts"),
        }
    }
}

impl core::error::Error for Refusal {}

impl Scope<'_> {
    /// The rules that hold for every statement, whatever it states.
    pub(crate) fn admits(&self, statement: &Statement) -> Result<(), Refusal> {
        let Statement { by, audience, call, nonce, deadline } = statement;
        let deadline = *deadline;
        if audience != self.node {
            return Err(Refusal::ForeignAudience);
        }
        if call.session != self.call.session {
            return Err(Refusal::ForeignSession);
        }
        if call != self.call {
            return Err(Refusal::OtherCall);
        }
        if deadline < self.now {
            return Err(Refusal::Expired { deadline });
        }
        if deadline.since(self.now) > MAX_VALIDITY {
            return Err(Refusal::TooFarAhead { deadline });
        }
        if self.spent.contains(by, *nonce) {
            return Err(Refusal::Replayed);
        }
        if *by == self.call.agent {
            return Err(Refusal::ByActor);
        }
        if self.tied.contains(by) {
            return Err(Refusal::ByTied);
        }
        Ok(())
    }
}

/// The statements that were used: each counts once.
///
/// A nonce belongs to its author, so nobody can use up somebody else's. What has expired may be forgotten, for
/// it would be refused as expired; so the register holds at most what was used in [`MAX_VALIDITY`].
///
/// ```
/// use hv_rings::{Did, Nonce, Spent, Timestamp};
///
/// let (alpha, nonce) = (Did::new("did:mesh:alpha")?, Nonce([7; 16]));
/// let mut spent = Spent::default();
/// spent.spend(&alpha, nonce, Timestamp(100));
/// assert!(spent.contains(&alpha, nonce));
/// spent.forget_expired(Timestamp(100));
/// assert!(spent.contains(&alpha, nonce), "it counts up to its deadline, and so it is remembered up to there");
/// spent.forget_expired(Timestamp(101));
/// assert!(!spent.contains(&alpha, nonce));
/// # Ok::<(), hv_types::BadIdent>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spent(BTreeMap<(Did, Nonce), Timestamp>);

impl Spent {
    /// Notes that a statement was used, and until when it would have counted.
    pub fn spend(&mut self, by: &Did, nonce: Nonce, deadline: Timestamp) {
        let until = self.0.entry((by.clone(), nonce)).or_insert(deadline);
        // Two statements of one author under one nonce: the longer memory covers both.
        *until = deadline.max(*until);
    }

    /// Whether a statement was used. Costs O(log n).
    #[must_use]
    pub fn contains(&self, by: &Did, nonce: Nonce) -> bool {
        self.0.contains_key(&(by.clone(), nonce))
    }

    /// Forgets what can no longer count. Costs O(n).
    ///
    /// `now` must never run backwards over the life of a register, or what was forgotten could count again.
    pub fn forget_expired(&mut self, now: Timestamp) {
        self.0.retain(|_, deadline| *deadline >= now);
    }

    /// What is remembered, in order: author, nonce, deadline.
    pub fn iter(&self) -> impl Iterator<Item = (&Did, Nonce, Timestamp)> {
        self.0.iter().map(|((by, nonce), deadline)| (by, *nonce, *deadline))
    }

    /// How many statements are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::{Electorate, tally};
    use crate::tests::{NOW, call, did, dids, node, statement};
    use crate::{quorum, witness};
    use hv_types::{ActionId, Digest, Ring, SessionId, Wire};

    /// What is wrong with a statement, tried on a vote and on a witness, who must agree.
    fn refusal(change: impl FnOnce(&mut Statement), spent: &Spent) -> Option<Refusal> {
        let (node, call) = (node(), call());
        let tied = dids(&["cousin"]);
        let may = dids(&["actor", "cousin", "human"]);
        let scope = Scope { node: &node, call: &call, tied: &tied, spent, now: NOW };
        let mut statement = statement(&did("human"), &call);
        change(&mut statement);

        let witness = witness::check(&scope, &may, &statement).err();
        let members = BTreeMap::from([(did("human"), Ring::Sandbox)]);
        let electorate = Electorate { members: &members, humans: &may };
        let vote = quorum::Vote { statement, verdict: quorum::Verdict::For };
        let vote = match tally(&scope, &electorate, &[vote]) {
            Ok(quorum) => quorum.refused().first().map(|(_, why)| *why),
            Err(no) => no.refused.first().map(|(_, why)| *why),
        };
        assert_eq!(witness, vote);
        vote
    }

    #[test]
    fn each_fault_has_its_own_reason() {
        let used = || {
            let mut spent = Spent::default();
            spent.spend(&did("human"), Nonce([1; 16]), NOW);
            spent
        };
        let none = Spent::default();
        assert_eq!(refusal(|_| {}, &none), None);
        assert_eq!(refusal(|s| s.audience = did("elsewhere"), &none), Some(Refusal::ForeignAudience));
        let session = SessionId::new("t").unwrap();
        assert_eq!(refusal(|s| s.call.session = session, &none), Some(Refusal::ForeignSession));
        assert_eq!(refusal(|s| s.call.agent = did("other"), &none), Some(Refusal::OtherCall));
        let action = ActionId::new("other").unwrap();
        assert_eq!(refusal(|s| s.call.action = action, &none), Some(Refusal::OtherCall));
        assert_eq!(refusal(|s| s.call.params = Digest([8; 32]), &none), Some(Refusal::OtherCall));
        assert_eq!(refusal(|s| s.call.deadline.0 += 1, &none), Some(Refusal::OtherCall));
        assert_eq!(refusal(|_| {}, &used()), Some(Refusal::Replayed));
        assert_eq!(refusal(|s| s.nonce = Nonce([2; 16]), &used()), None);
        assert_eq!(refusal(|s| s.by = did("actor"), &none), Some(Refusal::ByActor));
        assert_eq!(refusal(|s| s.by = did("cousin"), &none), Some(Refusal::ByTied));
        assert_eq!(refusal(|s| s.by = did("stranger"), &none), Some(Refusal::NotEligible));
    }

    #[test]
    fn deadlines_to_the_nanosecond() {
        let none = Spent::default();
        let at = |deadline| refusal(|s| s.deadline = Timestamp(deadline), &none);
        let deadline = Timestamp(NOW.0 - 1);
        assert_eq!(at(NOW.0 - 1), Some(Refusal::Expired { deadline }));
        assert_eq!(at(NOW.0), None);
        assert_eq!(at(NOW.0 + 1), None);
        let farthest = NOW.after(MAX_VALIDITY);
        assert_eq!(at(farthest.0), None);
        let deadline = Timestamp(farthest.0 + 1);
        assert_eq!(at(deadline.0), Some(Refusal::TooFarAhead { deadline }));
        assert_eq!(MAX_VALIDITY.as_secs(), 7 * 24 * 60 * 60);
    }

    #[test]
    fn nobody_uses_up_the_nonce_of_another() {
        let mut spent = Spent::default();
        assert!(spent.is_empty());
        spent.spend(&did("other"), Nonce([1; 16]), NOW);
        assert_eq!(refusal(|_| {}, &spent), None);
        assert_eq!((spent.len(), spent.is_empty()), (1, false));
    }

    #[test]
    fn what_was_used_is_remembered_as_long_as_it_might_count() {
        let mut spent = Spent::default();
        let (by, nonce) = (did("human"), Nonce([1; 16]));
        spent.spend(&by, nonce, Timestamp(20));
        spent.spend(&by, nonce, Timestamp(10));
        spent.spend(&by, Nonce([2; 16]), Timestamp(10));
        assert_eq!(spent.len(), 2);
        spent.forget_expired(Timestamp(11));
        assert_eq!(spent.iter().collect::<std::vec::Vec<_>>(), [(&by, nonce, Timestamp(20))]);
        spent.forget_expired(Timestamp(20));
        assert!(spent.contains(&by, nonce));
        spent.forget_expired(Timestamp(21));
        assert!(spent.is_empty());
    }

    #[test]
    fn golden_bytes() {
        let statement = statement(&did("a"), &call());
        let bytes = statement.to_bytes();
        assert_eq!(Statement::from_bytes(&bytes), Ok(statement));
        let head = b"\x0adid:mesh:a\x0ddid:mesh:node\x01s\x0edid:mesh:actor\x03act";
        assert_eq!(bytes.len(), head.len() + 32 + 8 + 16 + 8);
        assert!(bytes.starts_with(head));
    }

    #[test]
    fn each_reason_in_words_and_bytes() {
        let deadline = Timestamp(0);
        for (refusal, words, bytes) in [
            (Refusal::ForeignAudience, "it is addressed to another node", &[0][..]),
            (Refusal::ForeignSession, "it speaks of another session", &[1]),
            (Refusal::OtherCall, "it speaks of another call", &[2]),
            (
                Refusal::Expired { deadline },
                "it counted until 1970-01-01T00:00:00.000Z",
                &[3, 0, 0, 0, 0, 0, 0, 0, 0],
            ),
            (
                Refusal::TooFarAhead { deadline },
                "it gives itself until 1970-01-01T00:00:00.000Z, more than 604800 s ahead",
                &[4, 0, 0, 0, 0, 0, 0, 0, 0],
            ),
            (Refusal::Replayed, "it was used before", &[5]),
            (Refusal::ByActor, "the agent that acts made it", &[6]),
            (
                Refusal::ByTied,
                "its author is tied to the agent that acts by vouching or by acting for each other",
                &[7],
            ),
            (Refusal::NotEligible, "its author is none of those who may make it", &[8]),
            (Refusal::Duplicate, "its author made another one that counts", &[9]),
        ] {
            assert_eq!(std::string::ToString::to_string(&refusal), words);
            assert_eq!(refusal.to_bytes(), bytes);
            assert_eq!(Refusal::from_bytes(bytes), Ok(refusal));
        }
    }
}
