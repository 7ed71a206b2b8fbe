//! What an agent wants to do, as far as the decision about it needs to know.

use crate::{ActionId, RiskWeight, WHOLE};
use core::fmt;
use core::ops::RangeInclusive;

/// How far an action can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reversibility {
    /// Entirely: afterwards the world is as it was.
    Full,
    /// In part: what matters can be restored, some traces stay.
    Partial,
    /// Not at all.
    None,
}

impl Reversibility {
    /// The risk weights that an action of this kind may declare, in parts per million.
    #[must_use]
    pub const fn risk_range(self) -> RangeInclusive<u32> {
        match self {
            Self::Full => 100_000..=300_000,
            Self::Partial => 500_000..=800_000,
            Self::None => 900_000..=WHOLE,
        }
    }

    /// The risk weight of an action that declares none: the midpoint of [`risk_range`](Self::risk_range).
    #[must_use]
    pub fn default_risk(self) -> RiskWeight {
        let range = self.risk_range();
        RiskWeight::capped(u64::from(range.start() + (range.end() - range.start()) / 2))
    }

    /// The one that can be taken back less far.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        self.max(other)
    }

    /// As it is written in files and shown to people: `full`, `partial`, `none`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Reversibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What sort of thing an action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActionKind {
    /// Changes the supervisor itself.
    Admin,
    /// Changes nothing.
    ReadOnly,
    /// Changes something outside the supervisor.
    Effect,
}

/// A risk weight outside the range that belongs to the action's reversibility.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RiskOutOfRange {
    /// The weight as declared.
    pub risk: RiskWeight,
    /// The reversibility that sets the range.
    pub reversibility: Reversibility,
}

impl fmt::Display for RiskOutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = self.reversibility.risk_range();
        let (low, high) =
            (RiskWeight::capped(u64::from(*range.start())), RiskWeight::capped(u64::from(*range.end())));
        write!(
            f,
            "a risk weight of {} does not belong to reversibility `{}`, whose weights run from {low} to {high}",
            self.risk, self.reversibility
        )
    }
}

impl core::error::Error for RiskOutOfRange {}

/// An action as it is declared: its name, its kind, how far it can be undone, and what is at stake.
///
/// A declaration is a claim. Whether it counts (a claimed undo that nobody has shown to work, a later and
/// laxer manifest) is for the decision, not for this type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionDescriptor {
    id: ActionId,
    kind: ActionKind,
    reversibility: Reversibility,
    risk: RiskWeight,
}

impl ActionDescriptor {
    /// An action with the risk weight that its reversibility has by default.
    #[must_use]
    pub fn new(id: ActionId, kind: ActionKind, reversibility: Reversibility) -> Self {
        Self { id, kind, reversibility, risk: reversibility.default_risk() }
    }

    /// The same with a risk weight of its own.
    ///
    /// # Errors
    /// [`RiskOutOfRange`] where the weight lies outside [`Reversibility::risk_range`].
    pub fn with_risk(mut self, risk: RiskWeight) -> Result<Self, RiskOutOfRange> {
        if !self.reversibility.risk_range().contains(&risk.ppm()) {
            return Err(RiskOutOfRange { risk, reversibility: self.reversibility });
        }
        self.risk = risk;
        Ok(self)
    }

    /// The action's name.
    #[must_use]
    pub const fn id(&self) -> &ActionId {
        &self.id
    }

    /// What sort of thing it does.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        self.kind
    }

    /// How far it can be undone.
    #[must_use]
    pub const fn reversibility(&self) -> Reversibility {
        self.reversibility
    }

    /// What is at stake.
    #[must_use]
    pub const fn risk(&self) -> RiskWeight {
        self.risk
    }
}

crate::wire_enum!(Reversibility { 0 => Full {}, 1 => Partial {}, 2 => None {} });
crate::wire_enum!(ActionKind { 0 => Admin {}, 1 => ReadOnly {}, 2 => Effect {} });

impl crate::Wire for ActionDescriptor {
    fn put(&self, out: &mut alloc::vec::Vec<u8>) {
        self.id.put(out);
        self.kind.put(out);
        self.reversibility.put(out);
        self.risk.put(out);
    }

    fn take(reader: &mut crate::wire::Reader<'_>) -> Result<Self, crate::Undecodable> {
        let (id, kind, reversibility) =
            (ActionId::take(reader)?, ActionKind::take(reader)?, Reversibility::take(reader)?);
        Self::new(id, kind, reversibility)
            .with_risk(RiskWeight::take(reader)?)
            .map_err(|_| reader.invalid("ActionDescriptor"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_risk_is_the_midpoint() {
        let ppm = |r: Reversibility| r.default_risk().ppm();
        assert_eq!(
            [ppm(Reversibility::Full), ppm(Reversibility::Partial), ppm(Reversibility::None)],
            [200_000, 650_000, 950_000]
        );
    }

    #[test]
    fn a_risk_outside_its_range_is_an_error() {
        for (reversibility, low, high) in [
            (Reversibility::Full, 100_000, 300_000),
            (Reversibility::Partial, 500_000, 800_000),
            (Reversibility::None, 900_000, 1_000_000),
        ] {
            let action =
                ActionDescriptor::new(ActionId::new("a").unwrap(), ActionKind::Effect, reversibility);
            let with = |ppm| action.clone().with_risk(RiskWeight::from_ppm(ppm).unwrap()).is_ok();
            assert!(with(low) && with(high));
            assert!(!with(low - 1));
            assert!(high == WHOLE || !with(high + 1));
        }
    }
}
