//! Who is in a session, and where it is in its life.

use super::super::told::{Told, json, object, seconds};
use super::Scene;
use crate::output::counted;
use hv_core::event::MembershipEvent as Event;
use hv_core::session::{Eviction, Quotas, SessionConfig, Standing};
use serde_json::Value;

impl Scene<'_> {
    pub(super) fn membership(&self, event: &Event) -> Told {
        match event {
            Event::Created { id, creator, config, at } => {
                let words = format!("session {id} is created by {creator}: {}", config_words(config));
                Told::new("session.created", words)
                    .with("id", id)
                    .with("creator", creator)
                    .with("config", config_fields(config))
                    .with("at", at)
            }
            Event::Moved { to } => {
                Told::new("session.moved", format!("the session is {to}")).with("to", to.name())
            }
            Event::Joined { did, parent } => {
                Told::new("session.joined", format!("{did} joins{}", self.on_behalf(*parent)))
                    .with("member", did)
                    .with("parent", parent.map(|parent| self.member(parent)))
            }
            Event::Rejoined { member } => self.about("session.rejoined", *member, "joins again"),
            Event::Left { member } => self.about("session.left", *member, "leaves"),
            Event::Evicted { member, reason } => self
                .about("session.evicted", *member, &format!("is put out: {reason}"))
                .with("reason", eviction_name(*reason)),
            Event::Readmitted { member } => self.about("session.readmitted", *member, "may join again"),
            Event::StrongForced => {
                Told::new("session.strong_forced", "the session is in the strong mode from here on")
            }
            Event::File { agent, at, event } => self.file(*agent, *at, event),
            Event::Resumed { id, creator, config, at, state, mode } => {
                let words = format!("session {id} of {creator} is taken from a snapshot: {state}, {mode}");
                Told::new("session.resumed", words)
                    .with("id", id)
                    .with("creator", creator)
                    .with("config", config_fields(config))
                    .with("at", at)
                    .with("state", state.name())
                    .with("mode", mode.name())
            }
            Event::Seated { did, parent, standing } => {
                let (name, words) = match standing {
                    Standing::Present => ("present", "is in it".to_owned()),
                    Standing::Left => ("left", "has left it".to_owned()),
                    Standing::Evicted { reason } => ("evicted", format!("was put out: {reason}")),
                };
                let reason = match standing {
                    Standing::Present | Standing::Left => None,
                    Standing::Evicted { reason } => Some(eviction_name(*reason)),
                };
                let words = format!("snapshot: {did}{} {words}", self.on_behalf(*parent));
                Told::new("session.seated", words)
                    .with("member", did)
                    .with("parent", parent.map(|parent| self.member(parent)))
                    .with("standing", name)
                    .with("reason", reason)
            }
            Event::Files { part } => self.files_part(part),
            Event::Complete => Told::new("session.complete", "the snapshot of the session ends"),
        }
    }

    fn about(&self, event: &'static str, member: u32, words: &str) -> Told {
        let member = self.member(member);
        Told::new(event, format!("{member} {words}")).with("member", member)
    }

    fn on_behalf(&self, parent: Option<u32>) -> String {
        parent.map(|parent| format!(", on behalf of {},", self.member(parent))).unwrap_or_default()
    }
}

fn config_words(config: &SessionConfig) -> String {
    format!(
        "{}, at most {}, {:?} long, σ_eff at least {}",
        config.mode(),
        counted(config.max_participants(), "member"),
        config.max_duration(),
        config.min_sigma_eff()
    )
}

fn config_fields(config: &SessionConfig) -> Value {
    let Quotas { files, bytes, versions, snapshots } = config.quotas();
    let quotas = object([
        ("files", json(files)),
        ("bytes", json(bytes)),
        ("versions", json(versions)),
        ("snapshots", json(snapshots)),
    ]);
    object([
        ("mode", json(config.mode().name())),
        ("max_participants", json(config.max_participants())),
        ("max_duration_s", seconds(config.max_duration())),
        ("min_sigma_eff", json(config.min_sigma_eff())),
        ("quotas", quotas),
    ])
}

const fn eviction_name(reason: Eviction) -> &'static str {
    match reason {
        Eviction::Killed => "killed",
        Eviction::Quarantined => "quarantined",
        Eviction::Breach => "breach",
        Eviction::Drift => "drift",
        Eviction::Operator => "operator",
        Eviction::ParentEvicted => "parent_evicted",
    }
}
