//! Strategies for property tests: any value of each public type. Those of `hv-types` are its own.

use crate::breach::{Attempt, Breach, BreachPolicy, Distance};
use crate::class::{Claim, Claims, Class, Override, Source, Terms, Undo, Unproven};
use crate::elevation::{LASTS_AT_MOST, Request};
use crate::gate::{Acquaintance, Identity, Life, Membership, Phase, Quarantine};
use crate::gate::{Entry, GateDenial, Unfit};
use crate::intent::strategies::unintended;
use crate::quorum::{Electorate, NoQuorum, Quorum, Verdict, Vote, tally};
use crate::rate::{Limited, Limits, PerRing, Rate};
use crate::standing::{Cap, Standing, standing as stand};
use crate::statement::{Nonce, Refusal, Scope, Spent, Statement};
use crate::witness::{self, Witness};
use crate::{Basis, Certificate, Denial, Evidence, Lack, Needs};
use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;
use hv_types::strategies::{
    action_id, action_kind, did, digest, reversibility, ring, risk_weight, session_id, sigma, timestamp,
};
use hv_types::{Call, Did, Ring, Timestamp};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::vec;

/// Any call of a few agents and actions in a few sessions.
pub fn call() -> impl Strategy<Value = Call> {
    (session_id(), did(), action_id(), digest(), timestamp()).prop_map(
        |(session, agent, action, params, deadline)| Call { session, agent, action, params, deadline },
    )
}

/// What somebody brings, before it is made into [`Evidence`] for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brought {
    /// A quorum, and for which call.
    pub quorum: Fit,
    /// A witness, and for which call.
    pub witness: Fit,
}

/// For which call a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// There is none.
    Absent,
    /// For another call.
    OtherCall,
    /// For the call that is decided.
    ThisCall,
}

impl Brought {
    /// Nothing.
    pub const NOTHING: Self = Self { quorum: Fit::Absent, witness: Fit::Absent };

    /// The certificates as they come out of their checks.
    #[must_use]
    pub fn evidence(self, call: &Call) -> Evidence {
        let bring = |fit| match fit {
            Fit::Absent => None,
            Fit::ThisCall => Some(call.clone()),
            Fit::OtherCall => {
                let deadline = Timestamp(call.deadline.0 ^ 1);
                Some(Call { deadline, ..call.clone() })
            }
        };
        let quorum = bring(self.quorum).and_then(|call| quorum_for(&call));
        let witness = bring(self.witness).and_then(|call| witness_for(&call));
        let evidence = quorum.map_or_else(Evidence::none, |quorum| Evidence::none().with_quorum(quorum));
        match witness {
            Some(witness) => evidence.with_witness(witness),
            None => evidence,
        }
    }
}

/// Any combination of certificates.
pub fn brought() -> impl Strategy<Value = Brought> {
    let fit = || select(vec![Fit::Absent, Fit::OtherCall, Fit::ThisCall]);
    (fit(), fit()).prop_map(|(quorum, witness)| Brought { quorum, witness })
}

/// Any call, with any certificates for it or for another.
pub fn call_and_evidence() -> impl Strategy<Value = (Call, Evidence)> {
    (call(), brought()).prop_map(|(call, brought)| {
        let evidence = brought.evidence(&call);
        (call, evidence)
    })
}

/// The consent of the only voter there is to a call, for as long as the call is open.
#[must_use]
pub fn quorum_for(call: &Call) -> Option<Quorum> {
    let voter = stranger()?;
    let members = BTreeMap::from([(voter.clone(), Ring::Standard)]);
    let electorate = Electorate { members: &members, humans: &BTreeSet::new() };
    let (tied, spent) = (BTreeSet::new(), Spent::default());
    let scope = Scope { node: &voter, call, tied: &tied, spent: &spent, now: call.deadline };
    let vote = Vote { statement: statement_for(&voter, call), verdict: Verdict::For };
    tally(&scope, &electorate, &[vote]).ok()
}

/// The word of the only witness there is for a call, for as long as the call is open.
#[must_use]
pub fn witness_for(call: &Call) -> Option<Witness> {
    let human = stranger()?;
    let (tied, spent) = (BTreeSet::new(), Spent::default());
    let scope = Scope { node: &human, call, tied: &tied, spent: &spent, now: call.deadline };
    witness::check(&scope, &BTreeSet::from([human.clone()]), &statement_for(&human, call)).ok()
}

fn statement_for(by: &Did, call: &Call) -> Statement {
    Statement {
        by: by.clone(),
        audience: by.clone(),
        call: call.clone(),
        nonce: Nonce([0; 16]),
        deadline: call.deadline,
    }
}

/// Somebody whom the strategy for agents never gives.
fn stranger() -> Option<Did> {
    Did::new("did:mesh:stranger").ok()
}

/// Any nonce.
pub fn nonce() -> impl Strategy<Value = Nonce> {
    any::<[u8; 16]>().prop_map(Nonce)
}

/// Any statement.
pub fn statement() -> impl Strategy<Value = Statement> {
    (did(), did(), call(), nonce(), timestamp()).prop_map(|(by, audience, call, nonce, deadline)| Statement {
        by,
        audience,
        call,
        nonce,
        deadline,
    })
}

/// Any vote.
pub fn vote() -> impl Strategy<Value = Vote> {
    let verdict = select(vec![Verdict::For, Verdict::Against]);
    (statement(), verdict).prop_map(|(statement, verdict)| Vote { statement, verdict })
}

/// Any reason why a statement does not count.
pub fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        timestamp().prop_map(|deadline| Refusal::Expired { deadline }),
        timestamp().prop_map(|deadline| Refusal::TooFarAhead { deadline }),
        select(vec![
            Refusal::ForeignAudience,
            Refusal::ForeignSession,
            Refusal::OtherCall,
            Refusal::Replayed,
            Refusal::ByActor,
            Refusal::ByTied,
            Refusal::NotEligible,
            Refusal::Duplicate,
        ]),
    ]
}

/// Any count that is no quorum.
pub fn no_quorum() -> impl Strategy<Value = NoQuorum> {
    let refused = prop::collection::vec((did(), refusal()), 0..4);
    (any::<[u32; 4]>(), refused).prop_map(|([eligible, needed, consent, against], refused)| NoQuorum {
        eligible,
        needed,
        consent,
        against,
        refused,
    })
}

/// Any kind of certificate.
pub fn certificate() -> impl Strategy<Value = Certificate> {
    select(vec![Certificate::Quorum, Certificate::Witness])
}

/// Anything that a permission may rest on.
pub fn basis() -> impl Strategy<Value = Basis> {
    select(vec![Basis::Open, Basis::Score, Basis::Quorum, Basis::Witness, Basis::Elevation])
}

/// Any denial.
pub fn denial() -> impl Strategy<Value = Denial> {
    let lack = select(vec![Lack::Missing, Lack::OtherCall]);
    prop_oneof![
        (ring(), sigma(), sigma()).prop_map(|(need, sigma, above)| Denial::Score { need, sigma, above }),
        (ring(), sigma(), certificate(), lack).prop_map(|(need, sigma, certificate, lack)| {
            Denial::Certificate { need, sigma, certificate, lack }
        }),
        (ring(), sigma(), ring()).prop_map(|(need, sigma, cap)| Denial::Capped { need, sigma, cap }),
    ]
}

/// What any ring needs.
pub fn needs() -> impl Strategy<Value = Needs> {
    (ring(), option::of(ring())).prop_map(|(ring, uncapped)| Needs { uncapped, ..Needs::of(ring) })
}

/// Anything that one source may say about an action.
pub fn claim() -> impl Strategy<Value = Claim> {
    (option::of(action_kind()), option::of(reversibility()), option::of(risk_weight()))
        .prop_map(|(kind, reversibility, risk)| Claim { kind, reversibility, risk })
}

/// Any source.
pub fn source() -> impl Strategy<Value = Source> {
    select(vec![Source::Policy, Source::Registry, Source::Manifest])
}

/// Anything that several sources may say about an action.
pub fn claims() -> impl Strategy<Value = Claims> {
    let said = prop::collection::vec((source(), claim()), 0..5);
    said.prop_map(|said| {
        said.iter().fold(Claims::default(), |claims, (source, claim)| claims.with(*source, claim))
    })
}

/// Anything that may be known of an undo.
pub fn undo() -> impl Strategy<Value = Undo> {
    select(vec![Undo::Proven, Undo::Declared, Undo::Absent])
}

/// Either of what an operator makes of an unproven undo.
pub fn unproven() -> impl Strategy<Value = Unproven> {
    select(vec![Unproven::DoesNotCount, Unproven::Counts])
}

/// Any class.
pub fn class() -> impl Strategy<Value = Class> {
    (action_kind(), reversibility(), risk_weight()).prop_map(|(kind, reversibility, risk)| Class {
        kind,
        reversibility,
        risk,
    })
}

/// Anything that an operator may set.
pub fn overrides() -> impl Strategy<Value = Override> {
    (option::of(ring()), option::of(risk_weight())).prop_map(|(ring, risk)| Override { ring, risk })
}

/// Any terms.
pub fn terms() -> impl Strategy<Value = Terms> {
    (ring(), reversibility(), risk_weight()).prop_map(|(need, reversibility, risk)| Terms {
        need,
        reversibility,
        risk,
    })
}

/// Any cap.
pub fn cap() -> impl Strategy<Value = Cap> {
    prop_oneof![
        (did(), ring()).prop_map(|(parent, ring)| Cap::Parent { parent, ring }),
        (ring(), timestamp()).prop_map(|(ring, until)| Cap::Demotion { ring, until }),
        timestamp().prop_map(|until| Cap::Breaker { until }),
        Just(Cap::Probation),
        Just(Cap::SuspiciousHistory),
        (sigma(), sigma()).prop_map(|(minimum, sigma)| Cap::SessionMinimum { minimum, sigma }),
        ring().prop_map(|hint| Cap::Manifest { hint }),
        ring().prop_map(|ring| Cap::Operator { ring }),
        Just(Cap::Drift),
        Just(Cap::Unscored),
        Just(Cap::UnreachableHistory),
    ]
}

/// Any standing.
pub fn standing() -> impl Strategy<Value = Standing> {
    (sigma(), prop::collection::vec(cap(), 0..4), timestamp()).prop_map(|(s, caps, now)| stand(s, &caps, now))
}

/// Any request for an elevation.
pub fn request() -> impl Strategy<Value = Request> {
    let actions = prop::collection::vec(action_id(), 1..5);
    let lasts = (1..=LASTS_AT_MOST.as_secs()).prop_map(Duration::from_secs);
    (session_id(), did(), actions, "[a-z]{1,20}", lasts)
        .prop_filter_map("the request is one", |(session, agent, actions, reason, lasts)| {
            Request::new(session, agent, actions, &reason, lasts).ok()
        })
}

/// Any rate.
pub fn rate() -> impl Strategy<Value = Rate> {
    any::<(u32, u32)>().prop_map(|(per_second, burst)| Rate { per_second, burst })
}

/// Any reason why a call comes too early.
pub fn limited() -> impl Strategy<Value = Limited> {
    prop_oneof![
        (rate(), timestamp()).prop_map(|(rate, retry_at)| Limited::TooFast { rate, retry_at }),
        timestamp().prop_map(|retry_at| Limited::Crowded { retry_at }),
    ]
}

/// Any limits.
pub fn limits() -> impl Strategy<Value = Limits> {
    let per_ring =
        |[root, privileged, standard, sandbox]: [u32; 4]| PerRing { root, privileged, standard, sandbox };
    ([rate(), rate(), rate(), rate()], any::<[u32; 4]>()).prop_map(move |(rates, tools)| {
        let [root, privileged, standard, sandbox] = rates;
        Limits { rate: PerRing { root, privileged, standard, sandbox }, tools: per_ring(tools) }
    })
}

/// Any attempt.
pub fn attempt() -> impl Strategy<Value = Attempt> {
    (ring(), ring()).prop_map(|(held, need)| Distance::up(held, need).map_or(Attempt::Within, Attempt::Above))
}

/// Any policy of breaches.
pub fn breach_policy() -> impl Strategy<Value = BreachPolicy> {
    let duration = || any::<u64>().prop_map(Duration::from_nanos);
    (any::<[u32; 3]>(), duration(), duration(), duration()).prop_map(
        |([least, percent, patience], window, forget, open)| BreachPolicy {
            window,
            least,
            percent,
            patience,
            forget,
            open,
        },
    )
}

/// Any breach.
pub fn breach() -> impl Strategy<Value = Breach> {
    prop_oneof![
        any::<[u32; 3]>().prop_map(|[calls, above, weight]| Breach::Burst { calls, above, weight }),
        any::<u32>().prop_map(|weight| Breach::Persistent { weight }),
    ]
}

/// Anybody who knocks.
pub fn entry() -> impl Strategy<Value = Entry> {
    let result = prop_oneof![3 => Just(Ok(())), 1 => limited().prop_map(Err)];
    let acquaintance = select(vec![Acquaintance::Known, Acquaintance::Unknown]);
    let identity = select(vec![Identity::Proven, Identity::Asserted, Identity::Unproven]);
    let quarantine = prop_oneof![
        Just(Quarantine::Free),
        Just(Quarantine::Slashed),
        timestamp().prop_map(Quarantine::Until)
    ];
    let life = prop_oneof![Just(Life::Running), timestamp().prop_map(|at| Life::Killed { at })];
    (timestamp(), acquaintance, result, identity, phase(), membership(), quarantine, life).prop_map(
        |(now, acquaintance, source, identity, session, membership, quarantine, life)| Entry {
            now,
            acquaintance,
            source,
            identity,
            session,
            membership,
            quarantine,
            life,
        },
    )
}

/// Any phase of a session.
pub fn phase() -> impl Strategy<Value = Phase> {
    select(vec![Phase::Unknown, Phase::Forming, Phase::Live, Phase::Ending, Phase::Over])
}

/// Any membership.
pub fn membership() -> impl Strategy<Value = Membership> {
    select(vec![Membership::Member, Membership::Left, Membership::Stranger])
}

/// Any reason why somebody may not do what a call does.
pub fn unfit() -> impl Strategy<Value = Unfit> {
    prop_oneof![
        Just(Unfit::Unknown),
        timestamp().prop_map(|until| Unfit::Quarantined { until }),
        timestamp().prop_map(|at| Unfit::Killed { at }),
        denial().prop_map(|denial| Unfit::Ring { denial }),
        (ring(), sigma(), cap()).prop_map(|(need, sigma, cap)| Unfit::Capped { need, sigma, cap }),
    ]
}

/// Any denial of the gate.
pub fn gate_denial() -> impl Strategy<Value = GateDenial> {
    prop_oneof![
        limited().prop_map(|limit| GateDenial::SourceLimited { limit }),
        Just(GateDenial::Unproven),
        phase().prop_map(|phase| GateDenial::SessionNotLive { phase }),
        membership().prop_map(|membership| GateDenial::NotAMember { membership }),
        (ring(), limited()).prop_map(|(standing, limit)| GateDenial::RateLimited { standing, limit }),
        (ring(), any::<u32>()).prop_map(|(standing, most)| GateDenial::TooManyTools { standing, most }),
        timestamp().prop_map(|deadline| GateDenial::Late { deadline }),
        unintended().prop_map(|why| GateDenial::Intent { why }),
        action_id().prop_map(|action| GateDenial::NotRegistered { action }),
        (basis(), timestamp()).prop_map(|(basis, until)| GateDenial::Stale { basis, until }),
        unfit().prop_map(|unfit| GateDenial::Agent { unfit }),
        (did(), unfit()).prop_map(|(principal, unfit)| GateDenial::OnBehalfOf { principal, unfit }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::cases;
    use hv_types::{Wire, wire::Reader};
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use std::vec::Vec;

    fn there_and_back<T: Wire + PartialEq + core::fmt::Debug>(value: &T) -> Result<(), TestCaseError> {
        let bytes = value.to_bytes();
        let mut reader = Reader::new(&bytes);
        let read = T::take(&mut reader);
        prop_assert_eq!(read.as_ref(), Ok(value));
        prop_assert!(reader.end().is_ok());
        for cut in 0..bytes.len() {
            prop_assert!(T::from_bytes(bytes.get(..cut).unwrap_or_default()).is_err());
        }
        Ok(())
    }

    /// INVARIANT (A4): one encoding for each value, and what is cut short is none.
    macro_rules! a4_goes_there_and_back {
        ($($name:ident: $strategy:expr),* $(,)?) => {
            proptest! {
                #![proptest_config(ProptestConfig { cases: cases(256), ..ProptestConfig::default() })]
                $(#[test] fn $name(value in $strategy) { there_and_back(&value)?; })*
            }
        };
    }

    a4_goes_there_and_back! {
        a4_vote: vote(),
        a4_no_quorum: no_quorum(),
        a4_basis: basis(),
        a4_denial: denial(),
        a4_claim: claim(),
        a4_source: source(),
        a4_undo: undo(),
        a4_unproven: unproven(),
        a4_class: class(),
        a4_override: overrides(),
        a4_terms: terms(),
        a4_cap: cap(),
        a4_request: request(),
        a4_breach: breach(),
        a4_gate_denial: gate_denial(),
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: cases(1_000), ..ProptestConfig::default() })]

        #[test]
        fn whatever_bytes_come_nothing_panics_and_nothing_decodes_twice(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            for bytes in [bytes.clone(), bytes.iter().map(|b| b % 12).collect()] {
                if let Ok(denial) = GateDenial::from_bytes(&bytes) {
                    prop_assert_eq!(denial.to_bytes(), bytes.clone());
                }
                if let Ok(no_quorum) = NoQuorum::from_bytes(&bytes) {
                    prop_assert_eq!(no_quorum.to_bytes(), bytes);
                }
            }
        }

        /// The earliest deadlines there are too.
        #[test]
        fn what_is_brought_is_what_it_says(
            (mut call, brought, early) in (call(), brought(), option::weighted(0.2, 0u64..3)),
        ) {
            call.deadline = early.map_or(call.deadline, Timestamp);
            let evidence = brought.evidence(&call);
            let fit = |certified: Option<&Call>| match certified {
                None => Fit::Absent,
                Some(certified) if *certified == call => Fit::ThisCall,
                Some(_) => Fit::OtherCall,
            };
            prop_assert_eq!(fit(evidence.quorum().map(Quorum::call)), brought.quorum);
            prop_assert_eq!(fit(evidence.witness().map(Witness::call)), brought.witness);
        }
    }

    #[test]
    fn needs_are_those_of_each_ring_with_and_without_a_cap() {
        let mut runner = TestRunner::deterministic();
        let some: Vec<Needs> = (0..200).map(|_| needs().new_tree(&mut runner).unwrap().current()).collect();
        for ring in Ring::ALL {
            let of = |needs: &&Needs| Needs { uncapped: None, ..**needs } == Needs::of(ring);
            let capped = some.iter().filter(of).filter(|needs| needs.uncapped.is_some()).count();
            let free = some.iter().filter(of).filter(|needs| needs.uncapped.is_none()).count();
            assert!(capped > 5 && free > 5, "{ring}: {capped} capped, {free} free");
        }
    }
}
