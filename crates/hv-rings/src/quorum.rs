//! Consent of the others to one call: who may vote, how many are enough, and which votes count.

use crate::statement::{Nonce, Refusal, Scope, Statement};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::min_by_key;
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
                    *earlier = min_by_key(*earlier, vote, rank);
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

/// Of the votes of one voter the first in this order counts: the no, else the one that ends sooner; the nonce
/// settles the rest, so that the order of arrival settles nothing.
fn rank(vote: &&Vote) -> (bool, Timestamp, Nonce) {
    (vote.verdict == Verdict::For, vote.statement.deadline, vote.statement.nonce)
}

fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Spent;
    use crate::tests::{NOW, call, cases, did, dids, node, statement, vote};
    use proptest::prelude::*;
    use proptest::sample::Index;

    /// The voters `v0`, `v1`, … as members in Ring 2.
    fn members(n: u32) -> BTreeMap<Did, Ring> {
        (0..n).map(|i| (did(format_args!("v{i}")), Ring::Standard)).collect()
    }

    fn with_scope<T>(tied: &BTreeSet<Did>, f: impl FnOnce(&Scope<'_>) -> T) -> T {
        let (node, call, spent) = (node(), call(), Spent::default());
        f(&Scope { node: &node, call: &call, tied, spent: &spent, now: NOW })
    }

    #[test]
    fn needed_is_more_than_two_thirds_for_every_number() {
        for n in 0..=1000u32 {
            let needed = needed(n);
            assert_eq!(needed, 2 * n / 3 + 1);
            assert!(3 * needed > 2 * n && 3 * (needed - 1) <= 2 * n);
        }
        assert_eq!(needed(u32::MAX), 2_863_311_531);
    }

    /// Every n up to 60, and every mix of voters in Ring 2, in Ring 3, tied to the actor, and human.
    #[test]
    fn every_number_and_every_mix() {
        let call = call();
        for n in 0..=60u32 {
            for below in [0, 1, n / 3, n] {
                for tied in [0, 1, n / 4, n] {
                    for humans in [0, 1, 5] {
                        let (below, tied) = (below.min(n), tied.min(n));
                        let mut members = members(n);
                        for i in 0..below {
                            members.insert(did(format_args!("v{i}")), Ring::Sandbox);
                        }
                        members.insert(call.agent.clone(), Ring::Standard);
                        let tied: BTreeSet<Did> = (n - tied..n).map(|i| did(format_args!("v{i}"))).collect();
                        let humans: BTreeSet<Did> = (0..humans).map(|i| did(format_args!("h{i}"))).collect();
                        let allowed: Vec<Did> = members
                            .iter()
                            .filter(|(did, ring)| **ring == Ring::Standard && **did != call.agent)
                            .map(|(did, _)| did)
                            .chain(&humans)
                            .filter(|did| !tied.contains(*did))
                            .cloned()
                            .collect();
                        let eligible = u32::try_from(allowed.len()).unwrap();
                        let needed = 2 * eligible / 3 + 1;
                        let electorate = Electorate { members: &members, humans: &humans };
                        for consent in [needed - 1, needed.min(eligible), eligible] {
                            let votes: Vec<Vote> =
                                allowed.iter().take(consent as usize).map(|by| vote(by, &call)).collect();
                            let tally = with_scope(&tied, |scope| tally(scope, &electorate, &votes));
                            if consent >= needed {
                                let quorum = tally.unwrap();
                                assert_eq!(quorum.eligible(), eligible);
                                assert_eq!(quorum.votes().len(), consent as usize);
                                assert_eq!(quorum.call(), &call);
                            } else {
                                let no =
                                    NoQuorum { eligible, needed, consent, against: 0, refused: Vec::new() };
                                assert_eq!(tally, Err(no));
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn nobody_to_vote_is_a_no() {
        let (members, humans) = (BTreeMap::from([(did("actor"), Ring::Standard)]), BTreeSet::new());
        let electorate = Electorate { members: &members, humans: &humans };
        let votes = [vote(&did("actor"), &call()), vote(&did("stranger"), &call())];
        let no = with_scope(&BTreeSet::new(), |scope| tally(scope, &electorate, &votes)).unwrap_err();
        assert_eq!((no.eligible, no.needed, no.consent), (0, 1, 0));
        assert_eq!(
            no.refused.iter().map(|(_, why)| *why).collect::<Vec<_>>(),
            [Refusal::ByActor, Refusal::NotEligible]
        );
        assert!(std::format!("{no}").starts_with("nobody may vote"));
    }

    #[test]
    fn a_voter_in_ring_3_is_not_eligible_and_a_better_one_would_be() {
        for (ring, passes) in
            [(Ring::Sandbox, false), (Ring::Standard, true), (Ring::Privileged, true), (Ring::Root, true)]
        {
            let members = BTreeMap::from([(did("a"), ring), (did("b"), Ring::Standard)]);
            let electorate = Electorate { members: &members, humans: &BTreeSet::new() };
            let votes = [vote(&did("a"), &call()), vote(&did("b"), &call())];
            let tally = with_scope(&BTreeSet::new(), |scope| tally(scope, &electorate, &votes)).unwrap();
            assert_eq!(tally.refused().is_empty(), passes, "{ring}");
        }
    }

    #[test]
    fn one_voter_counts_once_and_a_no_overrules() {
        let (members, call) = (members(3), call());
        let electorate = Electorate { members: &members, humans: &dids(&["v0"]) };
        let tally = |votes: &[Vote]| with_scope(&BTreeSet::new(), |scope| tally(scope, &electorate, votes));
        let [a, b, c] = [0, 1, 2].map(|i| vote(&did(format_args!("v{i}")), &call));
        let no = |vote: &Vote| Vote { verdict: Verdict::Against, ..vote.clone() };

        let doubled = tally(&[a.clone(), a.clone(), b.clone()]).unwrap_err();
        assert_eq!((doubled.consent, doubled.needed), (2, 3));
        assert_eq!(doubled.refused, [(did("v0"), Refusal::Duplicate)]);
        assert!(tally(&[a.clone(), b.clone(), c.clone()]).is_ok());
        for votes in [[a.clone(), no(&a), b.clone(), c.clone()], [no(&a), a.clone(), b.clone(), c.clone()]] {
            let overruled = tally(&votes).unwrap_err();
            assert_eq!((overruled.consent, overruled.against), (2, 1));
            assert_eq!(overruled.refused, [(did("v0"), Refusal::Duplicate)]);
        }
    }

    #[test]
    fn of_two_votes_the_one_that_ends_sooner_counts() {
        let (members, call) = (members(1), call());
        let electorate = Electorate { members: &members, humans: &BTreeSet::new() };
        let with = |deadline, nonce| {
            let statement = statement(&did("v0"), &call);
            let statement = Statement { deadline: Timestamp(NOW.0 + deadline), nonce, ..statement };
            Vote { statement, verdict: Verdict::For }
        };
        let counted = |votes: [Vote; 2]| {
            let quorum = with_scope(&BTreeSet::new(), |scope| tally(scope, &electorate, &votes)).unwrap();
            (quorum.votes()[0].2.0 - NOW.0, quorum.votes()[0].1, quorum.until().0 - NOW.0)
        };
        let (one, two) = (Nonce([1; 16]), Nonce([2; 16]));
        assert_eq!(counted([with(5, two), with(6, one)]), (5, two, 5));
        assert_eq!(counted([with(6, one), with(5, two)]), (5, two, 5));
        assert_eq!(counted([with(5, two), with(5, one)]), (5, one, 5));
        assert_eq!(counted([with(5, one), with(5, two)]), (5, one, 5));
    }

    #[test]
    fn it_lasts_as_long_as_the_shortest_vote_and_the_call() {
        let (members, call) = (members(2), call());
        let electorate = Electorate { members: &members, humans: &BTreeSet::new() };
        for (a, b, until) in [(10, 20, 10), (20, 10, 10), (5000, 6000, 1000)] {
            let votes: Vec<Vote> = [(0, a), (1, b)]
                .into_iter()
                .map(|(i, deadline)| {
                    let mut vote = vote(&did(format_args!("v{i}")), &call);
                    vote.statement.deadline = Timestamp(NOW.0 + deadline);
                    vote
                })
                .collect();
            let quorum = with_scope(&BTreeSet::new(), |scope| tally(scope, &electorate, &votes)).unwrap();
            assert_eq!(quorum.until(), Timestamp(NOW.0 + until));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: cases(1_000), ..ProptestConfig::default() })]

        #[test]
        fn the_order_of_the_votes_settles_nothing(
            picks in prop::collection::vec((0u32..5, any::<bool>(), 0u8..3, 0u64..4), 0..12),
            order in prop::collection::vec(any::<Index>(), 12),
        ) {
            let (members, call) = (members(4), call());
            let electorate = Electorate { members: &members, humans: &BTreeSet::new() };
            let votes: Vec<Vote> = picks
                .into_iter()
                .map(|(i, against, nonce, deadline)| {
                    let mut vote = vote(&did(format_args!("v{i}")), &call);
                    vote.statement.nonce = Nonce([nonce; 16]);
                    vote.statement.deadline = Timestamp(NOW.0 + deadline);
                    vote.verdict = if against { Verdict::Against } else { Verdict::For };
                    vote
                })
                .collect();
            let mut shuffled = votes.clone();
            for (i, index) in order.iter().enumerate().take(votes.len()) {
                shuffled.swap(i, index.index(votes.len()));
            }
            let count = |votes: &[Vote]| {
                let result = with_scope(&BTreeSet::new(), |scope| tally(scope, &electorate, votes));
                match result {
                    Ok(quorum) => (quorum.eligible(), quorum.votes().to_vec(), quorum.until(), 0, 0),
                    Err(no) => (no.eligible, Vec::new(), Timestamp(0), no.consent, no.against),
                }
            };
            prop_assert_eq!(count(&votes), count(&shuffled));
        }
    }

    #[test]
    fn words_and_bytes() {
        let no = NoQuorum { eligible: 4, needed: 3, consent: 2, against: 0, refused: Vec::new() };
        assert_eq!(std::format!("{no}"), "2 of 4 consent, 3 are needed");
        let refused = std::vec![(did("a"), Refusal::Replayed), (did("b"), Refusal::ByTied)];
        let no = NoQuorum { against: 1, refused, ..no };
        assert_eq!(
            std::format!("{no}"),
            "2 of 4 consent, 3 are needed; 1 against; the vote of did:mesh:a does not count: it was used \
             before; the vote of did:mesh:b does not count: its author is tied to the agent that acts by \
             vouching or by acting for each other"
        );
        let bytes = b"\x04\x03\x02\x01\x02\x0adid:mesh:a\x05\x0adid:mesh:b\x07";
        assert_eq!(hv_types::Wire::to_bytes(&no), bytes);
        let nobody = NoQuorum { eligible: 0, against: 0, refused: Vec::new(), ..no };
        assert_eq!(
            std::format!("{nobody}"),
            "nobody may vote on this call; name human voters or let members of Ring 2 join"
        );
    }
}
