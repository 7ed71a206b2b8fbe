//! Strategies for property tests: any value of each public type.

use crate::{
    ActionDescriptor, ActionId, ActionKind, Did, Digest, Reversibility, Ring, RiskWeight, SessionId, Share,
};
use crate::{Sigma, Timestamp, WHOLE};
use proptest::prelude::*;

/// Any trust score; half of them next to a place where decisions change.
pub fn sigma() -> impl Strategy<Value = Sigma> {
    let near = prop::sample::select(std::vec![0u32, 300_000, 500_000, 600_000, 720_000, 950_000, WHOLE]);
    let edge = (near, 0u32..=2).prop_map(|(at, off)| (at + off).saturating_sub(1).min(WHOLE));
    prop_oneof![edge, 0..=WHOLE].prop_map(|ppm| Sigma::capped(u64::from(ppm)))
}

/// Any share.
pub fn share() -> impl Strategy<Value = Share> {
    (0..=WHOLE).prop_map(|ppm| Share::capped(u64::from(ppm)))
}

/// Any risk weight.
pub fn risk_weight() -> impl Strategy<Value = RiskWeight> {
    (0..=WHOLE).prop_map(|ppm| RiskWeight::capped(u64::from(ppm)))
}

/// Any ring.
pub fn ring() -> impl Strategy<Value = Ring> {
    prop::sample::select(Ring::ALL.to_vec())
}

/// Any reversibility.
pub fn reversibility() -> impl Strategy<Value = Reversibility> {
    prop::sample::select(std::vec![Reversibility::Full, Reversibility::Partial, Reversibility::None])
}

/// Any kind of action.
pub fn action_kind() -> impl Strategy<Value = ActionKind> {
    prop::sample::select(std::vec![ActionKind::Admin, ActionKind::ReadOnly, ActionKind::Effect])
}

/// One of a few DIDs, so that the same one comes again.
pub fn did() -> impl Strategy<Value = Did> {
    "did:mesh:[a-h]".prop_filter_map("the grammar holds", |text| Did::new(&text).ok())
}

/// One of a few session ids.
pub fn session_id() -> impl Strategy<Value = SessionId> {
    "s[0-3]".prop_filter_map("the grammar holds", |text| SessionId::new(&text).ok())
}

/// One of a few action ids.
pub fn action_id() -> impl Strategy<Value = ActionId> {
    "act[.][a-f]".prop_filter_map("the grammar holds", |text| ActionId::new(&text).ok())
}

/// Any action with a risk weight that fits it.
pub fn action() -> impl Strategy<Value = ActionDescriptor> {
    (action_id(), action_kind(), reversibility())
        .prop_flat_map(|(id, kind, reversibility)| {
            (Just(ActionDescriptor::new(id, kind, reversibility)), reversibility.risk_range())
        })
        .prop_filter_map("the weight is in range", |(action, ppm)| {
            action.with_risk(RiskWeight::from_ppm(ppm).ok()?).ok()
        })
}

/// Any digest.
pub fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

/// Any point in time.
pub fn timestamp() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp)
}
