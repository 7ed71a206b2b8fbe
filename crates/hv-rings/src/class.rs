//! What an action counts as, when several have said something about it: the strictest wins.

use crate::required::required_of;
use hv_types::{ActionDescriptor, ActionKind, Reversibility, Ring, RiskWeight};

/// Who says something about an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The operator's policy.
    Policy,
    /// The registry of actions that the operator keeps.
    Registry,
    /// The agent's own manifest. It can make an action stricter and never laxer.
    Manifest,
}

hv_types::wire_enum!(Source { 0 => Policy {}, 1 => Registry {}, 2 => Manifest {} });

/// What one source says about an action; what it leaves out it does not speak about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Claim {
    /// What sort of thing the action does.
    pub kind: Option<ActionKind>,
    /// How far it can be undone.
    pub reversibility: Option<Reversibility>,
    /// What is at stake. Left out next to a reversibility, it is that reversibility's default.
    pub risk: Option<RiskWeight>,
}

hv_types::wire_struct!(Claim { kind, reversibility, risk });

impl From<&ActionDescriptor> for Claim {
    fn from(action: &ActionDescriptor) -> Self {
        Self {
            kind: Some(action.kind()),
            reversibility: Some(action.reversibility()),
            risk: Some(action.risk()),
        }
    }
}

impl Claim {
    /// Aspect by aspect the stricter of the two.
    fn join(self, other: Self) -> Self {
        Self {
            kind: join(self.kind, other.kind, stricter_kind),
            reversibility: join(self.reversibility, other.reversibility, Reversibility::stricter),
            risk: join(self.risk, other.risk, Ord::max),
        }
    }
}

/// All that was said about one action.
///
/// Merging is commutative, associative and idempotent, so neither the order nor the repetition of what is
/// said matters. A manifest alone makes nothing laxer than an action of which nothing is known, and that one
/// is an effect that cannot be undone.
///
/// ```
/// use hv_rings::class::{Claim, Claims, Source, Undo, Unproven};
/// use hv_rings::{ActionKind, Reversibility, Ring};
///
/// let read_only = Claim { kind: Some(ActionKind::ReadOnly), ..Claim::default() };
/// let transfer = Claim {
///     kind: Some(ActionKind::Effect),
///     reversibility: Some(Reversibility::None),
///     ..Claim::default()
/// };
/// let need = |claims: Claims| claims.class(Undo::Absent, Unproven::DoesNotCount).required();
///
/// let honest = Claims::default().with(Source::Registry, &transfer);
/// assert_eq!(need(honest), Ring::Privileged);
/// assert_eq!(need(honest.with(Source::Manifest, &read_only)), Ring::Privileged);
/// assert_eq!(need(Claims::default().with(Source::Manifest, &read_only)), Ring::Privileged);
/// assert_eq!(need(Claims::default().with(Source::Policy, &read_only)), Ring::Sandbox);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Claims {
    operator: Claim,
    manifest: Claim,
}

hv_types::wire_struct!(Claims { operator, manifest });

impl Claims {
    /// With one more thing said.
    #[must_use]
    pub fn with(self, source: Source, claim: &Claim) -> Self {
        let implied = claim.reversibility.map(Reversibility::default_risk);
        let claim = Claim { risk: claim.risk.or(implied), ..*claim };
        match source {
            Source::Policy | Source::Registry => Self { operator: self.operator.join(claim), ..self },
            Source::Manifest => Self { manifest: self.manifest.join(claim), ..self },
        }
    }

    /// All that was said in either.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self { operator: self.operator.join(other.operator), manifest: self.manifest.join(other.manifest) }
    }

    /// Whether the operator said anything; an action of which only a manifest speaks is not registered.
    #[must_use]
    pub fn registered(&self) -> bool {
        self.operator != Claim::default()
    }

    /// What the action counts as.
    ///
    /// A claimed undo counts where it is proven, or where the operator lets an unproven one count. Risk is at
    /// least what the reversibility that counts has at the least.
    #[must_use]
    pub fn class(&self, undo: Undo, unproven: Unproven) -> Class {
        let unknown = Claim {
            kind: Some(ActionKind::Effect),
            reversibility: Some(Reversibility::None),
            risk: Some(Reversibility::None.default_risk()),
        };
        let base = Claim {
            kind: self.operator.kind.or(unknown.kind),
            reversibility: self.operator.reversibility.or(unknown.reversibility),
            risk: self.operator.risk.or(unknown.risk),
        };
        let said = base.join(self.manifest);
        let kind = said.kind.unwrap_or(ActionKind::Effect);
        let claimed = said.reversibility.unwrap_or(Reversibility::None);
        let reversibility = match (kind, undo, unproven) {
            // What changes nothing has nothing to undo.
            (ActionKind::ReadOnly, _, _) | (_, Undo::Proven, _) | (_, Undo::Declared, Unproven::Counts) => {
                claimed
            }
            (_, Undo::Absent, _) | (_, Undo::Declared, Unproven::DoesNotCount) => Reversibility::None,
        };
        let least = RiskWeight::capped(u64::from(*reversibility.risk_range().start()));
        Class { kind, reversibility, risk: said.risk.unwrap_or(RiskWeight::ONE).max(least) }
    }
}

/// What is known about an action's undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Undo {
    /// A probe or a rehearsal has shown that it works.
    Proven,
    /// There is one, and nobody has shown that it works.
    Declared,
    /// There is none.
    Absent,
}

hv_types::wire_enum!(Undo { 0 => Proven {}, 1 => Declared {}, 2 => Absent {} });

/// What the operator makes of an undo that nobody has shown to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Unproven {
    /// The action counts as one that cannot be undone.
    #[default]
    DoesNotCount,
    /// The undo counts as claimed: the operator opts in.
    Counts,
}

hv_types::wire_enum!(Unproven { 0 => DoesNotCount {}, 1 => Counts {} });

/// What an action counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    /// What sort of thing it does.
    pub kind: ActionKind,
    /// How far it can be undone.
    pub reversibility: Reversibility,
    /// What is at stake.
    pub risk: RiskWeight,
}

hv_types::wire_struct!(Class { kind, reversibility, risk });

impl Class {
    /// The ring that it needs.
    #[must_use]
    pub const fn required(&self) -> Ring {
        required_of(self.kind, self.reversibility)
    }

    /// The terms on which its calls are decided, with what the session overrides.
    #[must_use]
    pub fn terms(&self, overrides: &Override) -> Terms {
        Terms {
            need: overrides.ring.unwrap_or_else(|| self.required()),
            reversibility: self.reversibility,
            risk: overrides.risk.unwrap_or(self.risk),
        }
    }

    /// Whether this asks at least as much as the other, in every aspect.
    #[must_use]
    pub fn at_least(&self, other: &Self) -> bool {
        stricter_kind(self.kind, other.kind) == self.kind
            && self.reversibility >= other.reversibility
            && self.risk >= other.risk
    }
}

/// What an operator sets for an action in one session, in place of what it counts as. It may set anything:
/// Ring 0 and a weight of 0 are values like others, and different from nothing set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Override {
    /// The ring that the action needs.
    pub ring: Option<Ring>,
    /// What is at stake.
    pub risk: Option<RiskWeight>,
}

hv_types::wire_struct!(Override { ring, risk });

/// The terms on which the calls of an action are decided in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The ring that a call needs.
    pub need: Ring,
    /// The class for which σ_eff is computed.
    pub reversibility: Reversibility,
    /// What is at stake.
    pub risk: RiskWeight,
}

hv_types::wire_struct!(Terms { need, reversibility, risk });

fn join<T>(a: Option<T>, b: Option<T>, stricter: fn(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(stricter(a, b)),
        (a, b) => a.or(b),
    }
}

/// The kind that needs the more privileged ring: to change the supervisor is more than an effect, and that is
/// more than to read.
const fn stricter_kind(a: ActionKind, b: ActionKind) -> ActionKind {
    match (a, b) {
        (ActionKind::Admin, _) | (_, ActionKind::Admin) => ActionKind::Admin,
        (ActionKind::Effect, _) | (_, ActionKind::Effect) => ActionKind::Effect,
        (ActionKind::ReadOnly, ActionKind::ReadOnly) => ActionKind::ReadOnly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ActionKind::{Admin, Effect, ReadOnly};
    use std::vec::Vec;

    fn claim(kind: ActionKind, reversibility: Reversibility) -> Claim {
        Claim { kind: Some(kind), reversibility: Some(reversibility), risk: None }
    }

    fn every_claim() -> Vec<Claim> {
        let kinds = [None, Some(Admin), Some(Effect), Some(ReadOnly)];
        let reversibilities =
            [None, Some(Reversibility::Full), Some(Reversibility::Partial), Some(Reversibility::None)];
        let risks = [None, Some(0), Some(150_000), Some(900_000), Some(1_000_000)];
        let risk = |ppm: Option<u32>| ppm.map(|ppm| RiskWeight::from_ppm(ppm).unwrap());
        kinds
            .into_iter()
            .flat_map(|kind| reversibilities.map(|reversibility| (kind, reversibility)))
            .flat_map(|(kind, reversibility)| risks.map(|ppm| Claim { kind, reversibility, risk: risk(ppm) }))
            .collect()
    }

    #[test]
    fn the_strictest_of_policy_registry_and_manifest_wins() {
        use Reversibility::{Full, None, Partial};
        for (policy, registry, manifest, kind, reversibility, ppm, need) in [
            // Read-only in a manifest, on what the registry knows as a transfer.
            (Claim::default(), claim(Effect, None), claim(ReadOnly, Full), Effect, None, 950_000, 1),
            // A later, laxer manifest over a stricter policy.
            (claim(Effect, Partial), Claim::default(), claim(Effect, Full), Effect, Partial, 650_000, 2),
            // A manifest that owns up to more than the registry knew.
            (Claim::default(), claim(Effect, Full), claim(Effect, None), Effect, None, 950_000, 1),
            (claim(Admin, Full), claim(ReadOnly, Full), claim(ReadOnly, Full), Admin, Full, 200_000, 0),
            (claim(ReadOnly, Full), claim(ReadOnly, Full), claim(Admin, Full), Admin, Full, 200_000, 0),
            (claim(ReadOnly, Full), claim(ReadOnly, Full), Claim::default(), ReadOnly, Full, 200_000, 3),
            (Claim::default(), Claim::default(), claim(ReadOnly, Full), Effect, None, 950_000, 1),
        ] {
            let claims = Claims::default()
                .with(Source::Policy, &policy)
                .with(Source::Registry, &registry)
                .with(Source::Manifest, &manifest);
            let class = claims.class(Undo::Proven, Unproven::DoesNotCount);
            assert_eq!((class.kind, class.reversibility, class.risk.ppm()), (kind, reversibility, ppm));
            assert_eq!(class.required().number(), need);
        }
    }

    #[test]
    fn an_undo_counts_where_it_is_proven_or_opted_in() {
        use Reversibility::{Full, None, Partial};
        for (kind, undo, unproven, counts) in [
            (Effect, Undo::Proven, Unproven::DoesNotCount, true),
            (Effect, Undo::Proven, Unproven::Counts, true),
            (Effect, Undo::Declared, Unproven::DoesNotCount, false),
            (Effect, Undo::Declared, Unproven::Counts, true),
            (Effect, Undo::Absent, Unproven::DoesNotCount, false),
            (Effect, Undo::Absent, Unproven::Counts, false),
            (Admin, Undo::Absent, Unproven::Counts, false),
            (ReadOnly, Undo::Absent, Unproven::DoesNotCount, true),
        ] {
            for (claimed, ppm) in [(Full, 200_000), (Partial, 650_000), (None, 950_000)] {
                let claims = Claims::default().with(Source::Registry, &claim(kind, claimed));
                let class = claims.class(undo, unproven);
                let expected = if counts { (claimed, ppm) } else { (None, ppm.max(900_000)) };
                assert_eq!(
                    (class.reversibility, class.risk.ppm()),
                    expected,
                    "{kind:?} {undo:?} {unproven:?}"
                );
            }
        }
        assert_eq!(Unproven::default(), Unproven::DoesNotCount);
    }

    #[test]
    fn only_an_operator_registers() {
        let said = claim(Effect, Reversibility::Full);
        assert!(!Claims::default().registered());
        assert!(!Claims::default().with(Source::Manifest, &said).registered());
        assert!(Claims::default().with(Source::Policy, &said).registered());
        assert!(Claims::default().with(Source::Registry, &said).registered());
    }

    #[test]
    fn merging_is_a_semilattice_over_every_claim() {
        let claims: Vec<Claims> = every_claim()
            .iter()
            .flat_map(|c| [Source::Policy, Source::Manifest].map(|s| Claims::default().with(s, c)))
            .collect();
        for &a in &claims {
            assert_eq!(a.merge(a), a);
            for &b in &claims {
                assert_eq!(a.merge(b), b.merge(a));
                for &c in claims.iter().step_by(17) {
                    assert_eq!(a.merge(b).merge(c), a.merge(b.merge(c)));
                }
            }
        }
    }

    /// R1: antitone in risk, and failure 9: what an agent says about its own action never makes it laxer.
    #[test]
    fn r1_a_manifest_never_loosens() {
        for operator in every_claim() {
            let before = Claims::default().with(Source::Registry, &operator);
            for manifest in every_claim() {
                let after = before.with(Source::Manifest, &manifest);
                for (undo, unproven) in [
                    (Undo::Proven, Unproven::DoesNotCount),
                    (Undo::Declared, Unproven::DoesNotCount),
                    (Undo::Absent, Unproven::Counts),
                ] {
                    let (before, after) = (before.class(undo, unproven), after.class(undo, unproven));
                    assert!(after.at_least(&before), "{operator:?} {manifest:?} {undo:?}");
                    assert!(after.required() <= before.required());
                }
            }
        }
    }

    #[test]
    fn an_override_of_nothing_is_not_an_override_by_nought() {
        let class = Class { kind: Effect, reversibility: Reversibility::Full, risk: RiskWeight::ONE };
        assert_eq!(class.terms(&Override::default()).need, Ring::Standard);
        assert_eq!(class.terms(&Override::default()).risk, RiskWeight::ONE);
        let nought = Override { ring: Some(Ring::Root), risk: Some(RiskWeight::ZERO) };
        assert_eq!(
            class.terms(&nought),
            Terms { need: Ring::Root, reversibility: Reversibility::Full, risk: RiskWeight::ZERO }
        );
    }

    #[test]
    fn at_least_looks_at_every_aspect() {
        let class = |kind, reversibility, ppm| Class {
            kind,
            reversibility,
            risk: RiskWeight::from_ppm(ppm).unwrap(),
        };
        let middle = class(Effect, Reversibility::Partial, 600_000);
        assert!(middle.at_least(&middle));
        for laxer in [
            class(ReadOnly, Reversibility::Partial, 600_000),
            class(Effect, Reversibility::Full, 600_000),
            class(Effect, Reversibility::Partial, 599_999),
        ] {
            assert!(middle.at_least(&laxer) && !laxer.at_least(&middle), "{laxer:?}");
        }
    }

    #[test]
    fn a_descriptor_claims_all_it_declares() {
        let id = hv_types::ActionId::new("a").unwrap();
        let action = ActionDescriptor::new(id, ReadOnly, Reversibility::Partial);
        let action = action.with_risk(RiskWeight::from_ppm(700_000).unwrap()).unwrap();
        let claim = Claim::from(&action);
        assert_eq!((claim.kind, claim.reversibility), (Some(ReadOnly), Some(Reversibility::Partial)));
        assert_eq!(claim.risk.map(RiskWeight::ppm), Some(700_000));
    }
}
