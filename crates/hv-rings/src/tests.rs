//! What the tests of this crate share.

use crate::quorum::{Electorate, Quorum, Verdict, Vote, tally};
use crate::statement::{Nonce, Scope, Spent, Statement};
use crate::witness::{self, Witness};
use alloc::collections::{BTreeMap, BTreeSet};
use hv_types::{ActionId, Call, Did, Digest, Ring, SessionId, Sigma, Timestamp};
use proptest::test_runner::Config as ProptestConfig;
use std::format;

/// How often a property is tried: more in the nightly run, which sets `HV_DEEP`. `PROPTEST_CASES` sets another
/// number, for whoever runs the tests over and over, as for mutants.
pub(crate) fn cases(usually: u32) -> u32 {
    either(usually, usually.saturating_mul(20))
}

/// How often an invariant that has a name is tried: 10 000 times, and a million times in the nightly run.
pub(crate) fn operations() -> u32 {
    either(10_000, 1_000_000)
}

fn either(usually: u32, deep: u32) -> u32 {
    if std::env::var_os("PROPTEST_CASES").is_some() {
        ProptestConfig::default().cases
    } else if std::env::var_os("HV_DEEP").is_some() {
        deep
    } else {
        usually
    }
}

pub(crate) fn sigma(ppm: u32) -> Sigma {
    Sigma::from_ppm(ppm).unwrap()
}

pub(crate) fn did(name: impl core::fmt::Display) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

pub(crate) fn dids(names: &[&str]) -> BTreeSet<Did> {
    names.iter().map(did).collect()
}

/// The present in these tests.
pub(crate) const NOW: Timestamp = Timestamp(1_000_000);

/// The call of `actor` that these tests decide, open for a while.
pub(crate) fn call() -> Call {
    Call {
        session: SessionId::new("s").unwrap(),
        agent: did("actor"),
        action: ActionId::new("act").unwrap(),
        params: Digest([7; 32]),
        deadline: Timestamp(NOW.0 + 1000),
    }
}

pub(crate) fn node() -> Did {
    did("node")
}

/// What `by` states on a call, good until a little before the call's own deadline.
pub(crate) fn statement(by: &Did, call: &Call) -> Statement {
    Statement {
        by: by.clone(),
        audience: node(),
        call: call.clone(),
        nonce: Nonce([1; 16]),
        deadline: Timestamp(NOW.0 + 500),
    }
}

pub(crate) fn vote(by: &Did, call: &Call) -> Vote {
    Vote { statement: statement(by, call), verdict: Verdict::For }
}

/// The consent of the only voter there is.
pub(crate) fn quorum(call: &Call) -> Quorum {
    let members = BTreeMap::from([(did("voter"), Ring::Standard)]);
    let (node, tied, spent) = (node(), BTreeSet::new(), Spent::default());
    let scope = Scope { node: &node, call, tied: &tied, spent: &spent, now: NOW };
    let electorate = Electorate { members: &members, humans: &BTreeSet::new() };
    tally(&scope, &electorate, &[vote(&did("voter"), call)]).unwrap()
}

/// The word of the only witness there is.
pub(crate) fn witnessed(call: &Call) -> Witness {
    let (node, tied, spent) = (node(), BTreeSet::new(), Spent::default());
    let scope = Scope { node: &node, call, tied: &tied, spent: &spent, now: NOW };
    witness::check(&scope, &dids(&["human"]), &statement(&did("human"), call)).unwrap()
}
