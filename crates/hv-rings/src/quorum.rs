//! Consent of the others to one call: who may vote, how many are enough, and which votes count.

use crate::statement::{Nonce, Refusal, Scope, Statement};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;
use hv_types::{Call, Did, Ring, Timestamp};

/// How many of `eligible` voters must consent: more than two thirds, ⌊2n/3⌋ + 1.
///
/// With nobody to vote it is one, which nobody can give.
///
/// ```
/// use hv_rings::quorum::needed;
///
/// assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(needed), [1, 1, 2, 3, 3, 4, 5, 5]);
/// ```
#[must_use]
pub const fn needed(eligible: u32) -> u32 {
    // ⌊2n/3⌋ = n − ⌈n/3⌉, which cannot overflow.
    eligible - eligible.div_ceil(3) + 1
}

/// Whom one may ask.
#[derive(Debug, Clone, Copy)]
pub struct Electorate<'a> {
    /// The session's members, each with its standing ring. Those in Ring 2 may vote.
    pub members: &'a BTreeMap<Did, Ring>,
    /// The human voters that the session names.
    pub humans: &'a BTreeSet<Did>,
}

impl Electorate<'_> {
    /// Those who may vote on a call: members in standing Ring 2 and named humans, except the actor and
    /// whoever is tied to it. Costs O(n log n).
    #[must_use]
    pub fn eligible(&self, scope: &Scope<'_>) -> BTreeSet<&Did> {
        let standing = self.members.iter().filter(|(_, ring)| ring.permits(Ring::Standard));
        let everybody = standing.map(|(did, _)| did).chain(self.humans);
        everybody.filter(|did| **did != scope.call.agent && !scope.tied.contains(*did)).collect()
    }
}

/// What a voter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Let it be done.
    For,
    /// Do not. It overrules whatever else the same voter said.
    Against,
}

hv_types::wire_enum!(Verdict { 0 => For {}, 1 => Against {} });

/// A verified statement with what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// Who, on what, until when.
    pub statement: Statement,
    /// Yes or no.
    pub verdict: Verdict,
}

hv_types::wire_struct!(Vote { statement, verdict });

/// Consent to exactly one call. Only [`tally`] makes one.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "consent that nobody presents opens nothing"]
pub struct Quorum {
    call: Call,
    eligible: u32,
    until: Timestamp,
    votes: Vec<(Did, Nonce, Timestamp)>,
    refused: Vec<(Did, Refusal)>,
}

impl Quorum {
    /// The call that was consented to.
    #[must_use]
    pub const fn call(&self) -> &Call {
        &self.call
    }

    /// How many might have voted.
    #[must_use]
    pub const fn eligible(&self) -> u32 {
        self.eligible
    }

    /// The last point in time at which every vote that was counted still counts.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        self.until
    }

    /// Who consented, with the nonce and the deadline to mark as spent.
    #[must_use]
    pub fn votes(&self) -> &[(Did, Nonce, Timestamp)] {
        &self.votes
    }

    /// The votes that did not count, each with its reason, in the order given.
    #[must_use]
    pub fn refused(&self) -> &[(Did, Refusal)] {
        &self.refused
    }
}

/// Why there is no quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct NoQuorum {
    /// How many may vote.
    pub eligible: u32,
    /// How many must consent.
    pub needed: u32,
    /// How many did.
    pub consent: u32,
    /// How many said no.
    pub against: u32,
    /// The votes that did not count, each with its reason, in the order given.
    pub refused: Vec<(Did, Refusal)>,
}

hv_types::wire_struct!(NoQuorum { eligible, needed, consent, against, refused });

impl fmt::Display for NoQuorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { eligible, needed, consent, against, refused } = self;
        if *eligible == 0 {
            f.write_str("nobody may vote on this call; name human voters or let members of Ring 2 join")?;
        } else {
            write!(f, "{consent} of {eligible} consent, {needed} are needed")?;
        }
        if *against > 0 {
            write!(f, "; {against} against")?;
        }
        refused.iter().try_for_each(|(by, why)| write!(f, "; the vote of {by} does not count: {why}"))
    }
}

impl core::error::Error for NoQuorum {}

/// Counts the votes on `scope.call`.
///
/// The result does not depend on the order of the votes, except for the order of the reasons. Costs
/// O((members + votes) · log).
///
/// ```
/// use hv_rings::quorum::{Electorate, Verdict, Vote, tally};
/// use hv_rings::{Call, Did, Digest, ActionId, Nonce, Ring, Scope, SessionId, Spent, Statement, Timestamp};
/// use std::collections::{BTreeMap, BTreeSet};
///
/// let call = Call {
///     session: SessionId::new("release")?,
///     agent: Did::new("did:mesh:alpha")?,
///     action: ActionId::new("git.push")?,
///     params: Digest::default(),
///     deadline: Timestamp(1_000),
/// };
/// let (node, voter) = (Did::new("did:web:node.example")?, Did::new("did:mesh:beta")?);
/// let members = BTreeMap::from([(call.agent.clone(), Ring::Standard), (voter.clone(), Ring::Standard)]);
/// let (tied, spent) = (BTreeSet::new(), Spent::default());
/// let scope = Scope { node: &node, call: &call, tied: &tied, spent: &spent, now: Timestamp(500) };
/// let electorate = Electorate { members: &members, humans: &BTreeSet::new() };
///
/// let statement = Statement {
///     by: voter,
///     audience: node.clone(),
///     call: call.clone(),
///     nonce: Nonce([1; 16]),
///     deadline: Timestamp(900),
/// };
/// let quorum = tally(&scope, &electorate, &[Vote { statement, verdict: Verdict::For }]).unwrap();
/// assert_eq!((quorum.eligible(), quorum.votes().len()), (1, 1));
/// assert!(tally(&scope, &electorate, &[]).is_err());
/// # Ok::<(), hv_types::BadIdent>(())
/// ```
///
/// # Errors
/// [`NoQuorum`] with the count, and with the reason of every vote that does not count.
pub fn tally(scope: &Scope<'_>, electorate: &Electorate<'_>, votes: &[Vote]) -> Result<Quorum, NoQuorum> {
    let eligible = electorate.eligible(scope);
    let mut refused = Vec::new();
    let mut cast: BTreeMap<&Did, &Vote> = BTreeMap::new();
    for vote in votes {
        let by = &vote.statement.by;
        match admit(scope, &eligible, vote) {
            Err(why) => refused.push((by.clone(), why)),
            Ok(()) => match cast.get_mut(by) {
                None => drop(cast.insert(by, vote)),
                Some(earlier) => {
                    refused.push((by.clone(), Refusal::Duplicate));
                    if outranks(vote, earlier) {
                        *earlier = vote;
                    }
                }
            },
        }
    }
    let consenting = || cast.values().filter(|vote| vote.verdict == Verdict::For).map(|vote| &vote.statement);
    let eligible = count(eligible.len());
    let consent = count(consenting().count());
    let needed = needed(eligible);
    if consent < needed {
        let against = count(cast.len()) - consent;
        return Err(NoQuorum { eligible, needed, consent, against, refused });
    }
    let until = consenting().map(|s| s.deadline).fold(scope.call.deadline, Ord::min);
    let votes = consenting().map(|s| (s.by.clone(), s.nonce, s.deadline)).collect();
    Ok(Quorum { call: scope.call.clone(), eligible, until, votes, refused })
}

fn admit(scope: &Scope<'_>, eligible: &BTreeSet<&Did>, vote: &Vote) -> Result<(), Refusal> {
    scope.admits(&vote.statement)?;
    if eligible.contains(&vote.statement.by) { Ok(()) } else { Err(Refusal::NotEligible) }
}

/// Which of two votes of one voter counts: the no, else the one that ends sooner; the nonce settles the rest,
/// so that the order of arrival settles nothing.
fn outranks(vote: &Vote, earlier: &Vote) -> bool {
    let rank = |v: &Vote| (v.verdict == Verdict::For, v.statement.deadline, v.statement.nonce);
    rank(vote) < rank(earlier)
}

fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}
