//! What agents said that they will do.

use super::super::told::Told;
use super::Scene;
use crate::intent::{bounds_words, policy_words};
use hv_core::bounds_digest;
use hv_core::event::Voice;
use hv_core::rings::intent::{Bounds, Policy};
use hv_core::types::{ActionId, Timestamp};

/// What the session makes of intents.
pub(super) fn ruled(policy: &Policy) -> Told {
    let [demand, outside, violation, undo] = policy_words(policy);
    let words = format!(
        "intents are {demand} here; what is outside one: {outside}; who acts outside one: {violation}; undo and \
         probe: {undo}"
    );
    Told::new("session.intent_ruled", words)
        .with("intent", demand)
        .with("outside", outside)
        .with("violation", violation)
        .with("undo", undo)
}

impl Scene<'_> {
    pub(super) fn intent_declared(
        &self,
        member: u32,
        bounds: &Bounds,
        since: Timestamp,
        voices: &[Voice],
    ) -> Told {
        let agent = self.member(member);
        let by: Vec<&str> = voices.iter().map(|voice| voice.by.as_str()).collect();
        let until = since.after(bounds.lasts());
        let whose = if by.is_empty() {
            "set by the operator".to_owned()
        } else {
            format!("signed by {}", by.join(", "))
        };
        let words = format!("{agent} is held to an intent until {until}, {whose}: {}", bounds_words(bounds));
        Told::new("session.intent_declared", words)
            .with("agent", agent)
            .with("bounds", bounds_digest(bounds))
            .with("actions", bounds.actions().keys().map(ActionId::as_str).collect::<Vec<_>>())
            .with("calls", bounds.calls())
            .with("since", since)
            .with("until", until)
            .with("by", by)
    }

    pub(super) fn intent_used(&self, member: u32, action: &ActionId, consented: bool) -> Told {
        let agent = self.member(member);
        let how = if consented { "outside the intent of" } else { "within the intent of" };
        let by = if consented { ", by the word of a witness" } else { "" };
        Told::new("session.intent_used", format!("a call of {action} {how} {agent}{by}"))
            .with("agent", agent)
            .with("action", action)
            .with("consented", consented)
    }
}
