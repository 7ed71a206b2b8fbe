//! The invariants of rings as checks that anybody can run against a policy of their own.
//!
//! ```
//! use hv_rings::properties::{Policy, check};
//! use hv_rings::{Call, Evidence, Ring, Sigma, decide};
//!
//! /// Asks for more trust than this crate does before it lets anybody change something.
//! struct Careful;
//!
//! impl Policy for Careful {
//!     fn standard_above(&self) -> Sigma {
//!         Sigma::capped(800_000)
//!     }
//!
//!     fn earned(&self, sigma: Sigma) -> Ring {
//!         if sigma > self.standard_above() { Ring::Standard } else { Ring::Sandbox }
//!     }
//!
//!     fn allows(&self, need: Ring, sigma: Sigma, cap: Ring, call: &Call, evidence: &Evidence) -> bool {
//!         let careful = need != Ring::Standard || sigma > self.standard_above();
//!         careful && decide(need, sigma, cap, call, evidence).is_ok()
//!     }
//! }
//!
//! check(&Careful, 1_000).unwrap();
//!
//! /// Compares with `>=` where it assigns, and with `>` where it checks.
//! struct Sloppy;
//!
//! impl Policy for Sloppy {
//!     fn earned(&self, sigma: Sigma) -> Ring {
//!         if sigma >= self.standard_above() { Ring::Standard } else { Ring::Sandbox }
//!     }
//! }
//!
//! assert_eq!(check(&Sloppy, 1_000).unwrap_err().invariant, "R2");
//! ```

use crate::class::{Claims, Source, Undo, Unproven};
use crate::strategies::{Brought, Fit, brought, call, claim, claims, undo, unproven};
use crate::{PRIVILEGED_ABOVE, STANDARD_ABOVE};
use crate::{decide, earned, required};
use alloc::string::{String, ToString};
use core::fmt;
use hv_types::strategies::{action, ring, sigma};
use hv_types::{ActionDescriptor, ActionKind, Call, Reversibility, Ring, Sigma, WHOLE};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

pub use crate::Evidence;

/// A policy of rings. What it does not say for itself, it has from this crate.
pub trait Policy {
    /// The score above which Ring 2 is earned.
    fn standard_above(&self) -> Sigma {
        STANDARD_ABOVE
    }

    /// The score above which Ring 1 is open to a quorum.
    fn privileged_above(&self) -> Sigma {
        PRIVILEGED_ABOVE
    }

    /// The ring that a score earns alone.
    fn earned(&self, sigma: Sigma) -> Ring {
        earned(sigma)
    }

    /// The ring that an action needs.
    fn required(&self, action: &ActionDescriptor) -> Ring {
        required(action)
    }

    /// Whether a call that needs a ring may run in it.
    fn allows(&self, need: Ring, sigma: Sigma, cap: Ring, call: &Call, evidence: &Evidence) -> bool {
        decide(need, sigma, cap, call, evidence).is_ok()
    }

    /// What an action counts as.
    fn class(&self, claims: &Claims, undo: Undo, unproven: Unproven) -> crate::class::Class {
        claims.class(undo, unproven)
    }
}

/// The policy of this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Published;

impl Policy for Published {}

/// An invariant that a policy breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its name: `R1`, `R2` or `R3`.
    pub invariant: &'static str,
    /// The smallest example that was found.
    pub example: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the policy breaks {}: {}", self.invariant, self.example)
    }
}

impl core::error::Error for Broken {}

/// Tries every invariant on so many examples.
///
/// # Errors
/// [`Broken`] with the first that does not hold.
pub fn check(policy: &impl Policy, cases: u32) -> Result<(), Broken> {
    r2_thresholds(policy, cases)?;
    r3_no_score_yields_ring_0(policy, cases)?;
    r1_more_trust_never_hurts(policy, cases)?;
    r1_more_risk_never_helps(policy, cases)?;
    r1_nobody_classifies_downwards(policy, cases)
}

/// R1: more σ, more evidence and a weaker cap never turn a yes into a no, and never lead to a less privileged
/// ring.
///
/// # Errors
/// [`Broken`] where they do.
pub fn r1_more_trust_never_hurts(policy: &impl Policy, cases: u32) -> Result<(), Broken> {
    let score = || near(policy);
    let values = (ring(), (score(), score()), (ring(), ring()), call(), (brought(), brought()));
    run("R1", cases, values, |(need, (a, b), (c, d), call, (less, more))| {
        let (low, high) = (a.min(b), a.max(b));
        let (strict, weak) = (c.max(d), c.min(d));
        let more =
            Brought { quorum: better(less.quorum, more.quorum), witness: better(less.witness, more.witness) };
        let (less, more) = (less.evidence(&call), more.evidence(&call));
        let before = policy.allows(need, low, strict, &call, &less);
        prop_assert!(!before || policy.allows(need, high, strict, &call, &less), "more σ");
        prop_assert!(!before || policy.allows(need, low, weak, &call, &less), "a weaker cap");
        prop_assert!(!before || policy.allows(need, low, strict, &call, &more), "more evidence");
        prop_assert!(policy.earned(high).permits(policy.earned(low)), "the earned ring");
        Ok(())
    })
}

/// R1: what can be undone less far, or does more, never needs a less privileged ring; and whoever may do the
/// riskier may do the other. Ring 0 stands apart, for it asks for a witness and not for trust.
///
/// # Errors
/// [`Broken`] where it is otherwise.
pub fn r1_more_risk_never_helps(policy: &impl Policy, cases: u32) -> Result<(), Broken> {
    let values = ((action(), action()), near(policy), ring(), call(), brought());
    run("R1", cases, values, |((a, b), sigma, cap, call, brought)| {
        let (ra, rb) = (policy.required(&a), policy.required(&b));
        prop_assert!(!riskier(&a, &b) || ra.permits(rb), "what {:?} and {:?} need", a, b);
        let evidence = brought.evidence(&call);
        let may = |need| policy.allows(need, sigma, cap, &call, &evidence);
        let harder = ra != Ring::Root && ra.permits(rb);
        prop_assert!(!harder || !may(ra) || may(rb), "who may do what needs {} but not {}", ra, rb);
        Ok(())
    })
}

/// R1, antitone in risk: what a manifest says about an action, however often and in whichever order, never
/// makes it laxer than it is without.
///
/// # Errors
/// [`Broken`] where it does.
pub fn r1_nobody_classifies_downwards(policy: &impl Policy, cases: u32) -> Result<(), Broken> {
    run("R1", cases, (claims(), claim(), undo(), unproven()), |(before, said, undo, unproven)| {
        let after = before.with(Source::Manifest, &said);
        let class = |claims| policy.class(claims, undo, unproven);
        prop_assert!(class(&after).at_least(&class(&before)), "a manifest that says {:?}", said);
        prop_assert!(
            class(&before).at_least(&policy.class(&before, Undo::Proven, unproven)),
            "an undo unproven"
        );
        Ok(())
    })
}

/// R2: Ring 2 exactly above its threshold, Ring 1 only above its own and with a quorum for this call; equality
/// never passes; what is assigned is what is checked; a cap holds.
///
/// # Errors
/// [`Broken`] where it is otherwise.
pub fn r2_thresholds(policy: &impl Policy, cases: u32) -> Result<(), Broken> {
    let (standard, privileged) = (policy.standard_above(), policy.privileged_above());
    run("R2", cases, (near(policy), ring(), call(), brought()), |(sigma, cap, call, brought)| {
        let evidence = brought.evidence(&call);
        let may = |need| policy.allows(need, sigma, cap, &call, &evidence);
        let (two, quorum) = (sigma > standard, brought.quorum == Fit::ThisCall);
        prop_assert_eq!(policy.earned(sigma).permits(Ring::Standard), two, "the earned ring at {}", sigma);
        prop_assert_eq!(may(Ring::Standard), two && cap.permits(Ring::Standard), "Ring 2 at {}", sigma);
        let one = sigma > privileged && quorum && cap.permits(Ring::Privileged);
        prop_assert_eq!(may(Ring::Privileged), one, "Ring 1 at {}", sigma);
        Ok(())
    })
}

/// R3: no score yields Ring 0 or Ring 1, and without a witness for this call nothing yields Ring 0.
///
/// # Errors
/// [`Broken`] where something does.
pub fn r3_no_score_yields_ring_0(policy: &impl Policy, cases: u32) -> Result<(), Broken> {
    run("R3", cases, (near(policy), ring(), call(), brought()), |(sigma, cap, call, brought)| {
        prop_assert!(Ring::Standard.permits(policy.earned(sigma)), "a score of {} alone", sigma);
        let evidence = brought.evidence(&call);
        let root = policy.allows(Ring::Root, sigma, cap, &call, &evidence);
        prop_assert!(!root || brought.witness == Fit::ThisCall, "Ring 0 without a witness");
        prop_assert!(!root || cap == Ring::Root, "Ring 0 under a cap");
        Ok(())
    })
}

/// Any score, half of the time within a millionth of where the policy decides.
fn near<P: Policy>(policy: &P) -> impl Strategy<Value = Sigma> + use<P> {
    let around = |at: Sigma| [at.ppm().saturating_sub(1), at.ppm(), at.ppm().saturating_add(1).min(WHOLE)];
    let edges = [around(policy.standard_above()), around(policy.privileged_above())].concat();
    let edge = proptest::sample::select(edges).prop_map(|ppm| Sigma::capped(u64::from(ppm)));
    prop_oneof![edge, sigma()]
}

const fn better(a: Fit, b: Fit) -> Fit {
    match (a, b) {
        (Fit::ThisCall, _) | (_, Fit::ThisCall) => Fit::ThisCall,
        (a, _) => a,
    }
}

fn riskier(a: &ActionDescriptor, b: &ActionDescriptor) -> bool {
    let does = |kind| match kind {
        ActionKind::ReadOnly => 0,
        ActionKind::Effect => 1,
        ActionKind::Admin => 2,
    };
    let stays = |reversibility| match reversibility {
        Reversibility::Full => 0,
        Reversibility::Partial => 1,
        Reversibility::None => 2,
    };
    does(a.kind()) >= does(b.kind()) && stays(a.reversibility()) >= stays(b.reversibility())
}

fn run<S: Strategy>(
    invariant: &'static str,
    cases: u32,
    values: S,
    holds: impl Fn(S::Value) -> Result<(), TestCaseError>,
) -> Result<(), Broken> {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 1_000, ..Config::default() };
    TestRunner::new(config)
        .run(&values, holds)
        .map_err(|error| Broken { invariant, example: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Certificate;
    use crate::class::Class;
    use crate::tests::operations;

    #[test]
    fn r1_more_trust_never_hurts_here() {
        r1_more_trust_never_hurts(&Published, operations()).unwrap();
    }

    #[test]
    fn r1_more_risk_never_helps_here() {
        r1_more_risk_never_helps(&Published, operations()).unwrap();
    }

    #[test]
    fn r1_nobody_classifies_downwards_here() {
        r1_nobody_classifies_downwards(&Published, operations()).unwrap();
    }

    #[test]
    fn r2_thresholds_here() {
        r2_thresholds(&Published, operations()).unwrap();
    }

    #[test]
    fn r3_no_score_yields_ring_0_here() {
        r3_no_score_yields_ring_0(&Published, operations()).unwrap();
    }

    /// A policy that is wrong in one place.
    enum Wrong {
        EqualityPassesAtTheCheck,
        EqualityPassesAtAssignment,
        EqualityPassesForRing1,
        TheScoreIsEnoughForRing1,
        AnyQuorumWillDo,
        TheScoreIsEnoughForRing0,
        AnyWitnessWillDo,
        ScoresEarnRing1,
        CapsAreForgotten,
        CapsAreForgottenForAWitness,
        TheTrustedAreRefused,
        EvidenceIsHeldAgainstOne,
        TheUncappedAreRefused,
        WhatCannotBeUndoneIsCheap,
        TheMiddleRingIsTheHardest,
        TheLastManifestWins,
        AnUndoNeedsNoProof,
    }

    impl Policy for Wrong {
        fn earned(&self, sigma: Sigma) -> Ring {
            match self {
                Self::EqualityPassesAtAssignment if sigma == STANDARD_ABOVE => Ring::Standard,
                Self::ScoresEarnRing1 if sigma > PRIVILEGED_ABOVE => Ring::Privileged,
                _ => earned(sigma),
            }
        }

        fn required(&self, action: &ActionDescriptor) -> Ring {
            let none = action.reversibility() == Reversibility::None;
            match self {
                Self::WhatCannotBeUndoneIsCheap if none => Ring::Sandbox,
                _ => required(action),
            }
        }

        fn allows(&self, need: Ring, sigma: Sigma, cap: Ring, call: &Call, evidence: &Evidence) -> bool {
            let right = |sigma, cap| decide(need, sigma, cap, call, evidence).is_ok();
            let (one, zero) = (need == Ring::Privileged, need == Ring::Root);
            let (quorum, witness) = (evidence.quorum().is_some(), evidence.witness().is_some());
            let trusted = sigma > PRIVILEGED_ABOVE;
            match self {
                Self::EqualityPassesAtTheCheck if sigma == STANDARD_ABOVE => right(PRIVILEGED_ABOVE, cap),
                Self::EqualityPassesForRing1 if sigma == PRIVILEGED_ABOVE => right(Sigma::ONE, cap),
                Self::TheScoreIsEnoughForRing1 if one => trusted && cap.permits(need),
                Self::AnyQuorumWillDo if one => trusted && quorum && cap.permits(need),
                Self::TheScoreIsEnoughForRing0 if zero => sigma == Sigma::ONE && cap.permits(need),
                Self::AnyWitnessWillDo if zero => witness && cap.permits(need),
                Self::CapsAreForgotten if !zero => right(sigma, Ring::Root),
                Self::CapsAreForgottenForAWitness if zero => right(sigma, Ring::Root),
                Self::TheTrustedAreRefused => sigma != Sigma::ONE && right(sigma, cap),
                Self::EvidenceIsHeldAgainstOne => !witness && right(sigma, cap),
                Self::TheUncappedAreRefused => cap != Ring::Root && right(sigma, cap),
                Self::TheMiddleRingIsTheHardest if need == Ring::Standard => {
                    sigma == Sigma::ONE && right(sigma, cap)
                }
                _ => right(sigma, cap),
            }
        }

        fn class(&self, claims: &Claims, undo: Undo, unproven: Unproven) -> Class {
            let right = claims.class(undo, unproven);
            match self {
                Self::TheLastManifestWins if *claims != Claims::default() => {
                    let laxer = Claims::default().class(Undo::Proven, Unproven::Counts);
                    Class { kind: ActionKind::ReadOnly, ..laxer }
                }
                Self::AnUndoNeedsNoProof if undo == Undo::Absent => {
                    Class { reversibility: Reversibility::Full, ..right }
                }
                _ => right,
            }
        }
    }

    type Check = fn(&Wrong, u32) -> Result<(), Broken>;

    #[test]
    fn each_check_catches_what_it_is_for() {
        let (trust, risk): (Check, Check) = (r1_more_trust_never_hurts, r1_more_risk_never_helps);
        let (down, r2, r3): (Check, Check, Check) =
            (r1_nobody_classifies_downwards, r2_thresholds, r3_no_score_yields_ring_0);
        for (i, (wrong, check, invariant)) in [
            (Wrong::EqualityPassesAtTheCheck, r2, "R2"),
            (Wrong::EqualityPassesAtAssignment, r2, "R2"),
            (Wrong::EqualityPassesForRing1, r2, "R2"),
            (Wrong::TheScoreIsEnoughForRing1, r2, "R2"),
            (Wrong::AnyQuorumWillDo, r2, "R2"),
            (Wrong::CapsAreForgotten, r2, "R2"),
            (Wrong::TheScoreIsEnoughForRing0, r3, "R3"),
            (Wrong::AnyWitnessWillDo, r3, "R3"),
            (Wrong::ScoresEarnRing1, r3, "R3"),
            (Wrong::CapsAreForgottenForAWitness, r3, "R3"),
            (Wrong::TheTrustedAreRefused, trust, "R1"),
            (Wrong::EvidenceIsHeldAgainstOne, trust, "R1"),
            (Wrong::TheUncappedAreRefused, trust, "R1"),
            (Wrong::WhatCannotBeUndoneIsCheap, risk, "R1"),
            (Wrong::TheMiddleRingIsTheHardest, risk, "R1"),
            (Wrong::TheLastManifestWins, down, "R1"),
            (Wrong::AnUndoNeedsNoProof, down, "R1"),
        ]
        .into_iter()
        .enumerate()
        {
            let broken = check(&wrong, 20_000).expect_err(&std::format!("number {i}"));
            assert_eq!(broken.invariant, invariant);
        }
    }

    #[test]
    fn a_threshold_of_ones_own_is_tried_to_the_millionth() {
        /// Where this one says that Ring 2 begins, and where it lets it begin.
        struct Off(u32, u32);

        impl Policy for Off {
            fn standard_above(&self) -> Sigma {
                Sigma::capped(u64::from(self.0))
            }

            fn earned(&self, sigma: Sigma) -> Ring {
                if sigma.ppm() > self.1 { Ring::Standard } else { Ring::Sandbox }
            }

            fn allows(&self, need: Ring, sigma: Sigma, cap: Ring, call: &Call, evidence: &Evidence) -> bool {
                let enough = need != Ring::Standard || sigma.ppm() > self.1;
                enough && decide(need, sigma, cap, call, evidence).is_ok()
            }
        }

        assert_eq!(r2_thresholds(&Off(800_123, 800_123), 1_000), Ok(()));
        for off in [800_122, 800_124] {
            assert!(r2_thresholds(&Off(800_123, off), 1_000).is_err(), "{off}");
        }
    }

    #[test]
    fn all_of_them_leave_none_out() {
        for wrong in [
            Wrong::EqualityPassesAtTheCheck,
            Wrong::AnyWitnessWillDo,
            Wrong::EvidenceIsHeldAgainstOne,
            Wrong::WhatCannotBeUndoneIsCheap,
            Wrong::TheLastManifestWins,
        ] {
            assert!(check(&wrong, 1_000).is_err());
        }
    }

    #[test]
    fn what_is_published_holds_and_has_its_certificates() {
        check(&Published, 500).unwrap();
        assert_eq!(crate::Needs::of(Ring::Privileged).certificate, Some(Certificate::Quorum));
        let broken = Broken { invariant: "R1", example: "x".to_string() };
        assert_eq!(broken.to_string(), "the policy breaks R1: x");
    }
}
