//! Events as sentences and fields.
//!
//! Every match in here names every event, so that a new one is not forgotten: it breaks the build.

mod evidence;
mod files;
mod guard;
mod intent;
mod items;
mod keeping;
mod ledger;
mod ports;
mod saga;
mod session;

use super::names::{Name, Names};
use super::told::{Told, json, list, object};
use crate::output::{counted, enough};
use hv_core::audit::retention::Scope;
use hv_core::audit::{Lsn, StreamNo};
use hv_core::event::{Denial, KillAnswer, KillTarget, NodeEvent, SessionEvent};
use hv_core::liability::{AgentNo, SessionNo};
use hv_core::rings::class::{Claim, Source};
use hv_core::rings::standing::Cap;
use hv_core::types::{ActionKind, Did, Digest, Reversibility, Timestamp};
use hv_core::{TrailEvent, TrailRecord};
use serde_json::Value;

/// What a record says, event by event.
pub(super) fn tell(names: &Names, record: &TrailRecord) -> Vec<Told> {
    let scene = Scene { names, stream: record.stream };
    record.events.iter().map(|event| scene.tell(event, record.lsn)).collect()
}

/// What is needed to name what an event speaks of.
#[derive(Debug, Clone, Copy)]
struct Scene<'a> {
    names: &'a Names,
    /// The stream that the event stands on.
    stream: StreamNo,
}

impl Scene<'_> {
    fn tell(&self, event: &TrailEvent, lsn: Lsn) -> Told {
        match event {
            TrailEvent::Started if lsn == Lsn(1) => Told::new("log.started", "the log begins"),
            TrailEvent::Started => Told::new("log.started", "the log is opened again"),
            TrailEvent::Opened { stream, label, genesis } => {
                let words =
                    format!("session {label} begins as stream {}; its first record {genesis}", stream.0);
                Told::new("log.opened", words)
                    .with("stream", stream.0)
                    .with("label", label)
                    .with("genesis", genesis)
            }
            TrailEvent::Closed { stream, size, root } => {
                let after = counted(size, "record");
                let words = match (*stream == self.stream, self.names.stream(*stream)) {
                    (true, _) => format!("closed after {after}; root {root}"),
                    (false, name) => format!("session {name} closed after {after}; root {root}"),
                };
                Told::new("log.closed", words)
                    .with("stream", stream.0)
                    .with("label", self.names.stream(*stream))
                    .with("size", size)
                    .with("root", root)
            }
            TrailEvent::Sealed => {
                Told::new("log.sealed", "the log is ended; this record holds the end of every open stream")
            }
            TrailEvent::Purged { ids } => {
                let words = format!("{} destroyed by a purge, with the keys", counted(ids.len(), "content"));
                Told::new("log.purged", words).with("ids", ids)
            }
            TrailEvent::Destroyed { purge } => {
                let words = format!("the purge of node record {purge} is done; nothing of it can be read");
                Told::new("log.destroyed", words).with("purge", purge)
            }
            TrailEvent::Reducing { stream, tier, size, root, batches, checkpoint } => keeping::reducing(
                self.names.stream(*stream),
                (stream.0, *tier),
                (*size, root),
                *batches,
                checkpoint,
            ),
            TrailEvent::Reduced { purges, segments } => keeping::records_gone(purges, *segments),
            TrailEvent::Gone { records } => {
                let words = format!(
                    "{} purged; what was said there is vouched for by hashes alone",
                    counted(records, "record")
                );
                Told::new("log.gone", words).with("records", records)
            }
            TrailEvent::Snapshot { digest, length } => {
                let words = format!(
                    "what the trail says up to here is kept in a snapshot of {}; {digest}",
                    counted(length, "byte")
                );
                Told::new("log.snapshot", words).with("digest", digest).with("length", length)
            }
            TrailEvent::Node(event) => node(self, event),
            TrailEvent::Ledger(event) => self.ledger(event),
            TrailEvent::Session(event) => self.session(event),
        }
    }

    fn session(&self, event: &SessionEvent) -> Told {
        match event {
            SessionEvent::Session { event } => self.membership(event),
            SessionEvent::Assessed { member, sigma, ring, caps } => {
                let member = self.member(*member);
                let held: String =
                    caps.iter().map(|cap| format!("; at most {}, because {cap}", cap.ring())).collect();
                Told::new("session.assessed", format!("{member} stands in {ring} with σ {sigma}{held}"))
                    .with("member", member)
                    .with("sigma", sigma)
                    .with("ring", ring)
                    .with("caps", list(caps, cap))
            }
            SessionEvent::Registered { action, source, claim } => {
                let who = match source {
                    Source::Policy => "the policy",
                    Source::Registry => "the registry",
                    Source::Manifest => "a manifest",
                };
                let words = format!("action {action}: {who} says {}", claim_words(claim));
                Told::new("session.registered", words)
                    .with("action", action)
                    .with("source", source_name(*source))
                    .with("kind", claim.kind.map(kind_name))
                    .with("reversibility", claim.reversibility.map(Reversibility::name))
                    .with("risk", claim.risk)
            }
            SessionEvent::SagaOpened { id, unproven } => {
                let accepted: Vec<String> = unproven.iter().map(ToString::to_string).collect();
                let accepted = match accepted.as_slice() {
                    [] => String::new(),
                    some => format!("; undo counts without proof in steps number {}", some.join(", ")),
                };
                Told::new("session.saga_opened", format!("saga {id} is opened{accepted}"))
                    .with("saga", id)
                    .with("unproven", unproven)
            }
            SessionEvent::Saga { saga, event } => self.saga(*saga, event),
            SessionEvent::Granted { deadline, ring, sigma } => {
                let words = format!("granted in {ring} with σ {sigma}, for a start until {deadline}");
                Told::new("session.granted", words)
                    .with("ring", ring)
                    .with("sigma", sigma)
                    .with("deadline", deadline)
            }
            SessionEvent::Denied { denial } => denied("session.denied", denial),
            SessionEvent::Ports { on } => ports::ports(on),
            SessionEvent::DriftChecked { member, check } => self.drift_checked(*member, check),
            SessionEvent::Noted { key } => {
                Told::new("session.noted", format!("a note is kept under the name `{key}`")).with("key", key)
            }
            SessionEvent::Held { saga, step, until } => self.held(*saga, *step, *until),
            SessionEvent::OnBehalf { saga, principals } => self.acts_for(*saga, principals),
            SessionEvent::UndoAccepted { saga, step } => self.undo_accepted(*saga, *step),
            SessionEvent::Rehearsal { saga } => self.rehearsal(*saga),
            SessionEvent::RehearsalDemanded { action } => {
                let words = format!("the undo of {action} counts only once it was rehearsed");
                Told::new("session.rehearsal_demanded", words).with("action", action)
            }
            SessionEvent::VotersNamed { voters } => evidence::voters(voters),
            SessionEvent::Overridden { action, set } => evidence::overridden(action, set),
            SessionEvent::Certified { saga, step, params, basis, until, voices } => {
                self.certified((*saga, *step), (*basis, *until), voices).with("params", params)
            }
            SessionEvent::Elevated { elevation, voices } => evidence::elevated(elevation, voices),
            SessionEvent::IntentRuled { policy } => intent::ruled(policy),
            SessionEvent::IntentDeclared { member, bounds, since, voices } => {
                self.intent_declared(*member, bounds, *since, voices)
            }
            SessionEvent::IntentUsed { member, action, consented } => {
                self.intent_used(*member, action, *consented)
            }
            SessionEvent::Rejected { rejected } => evidence::rejection("session.rejected", rejected),
        }
    }

    fn member(&self, ordinal: u32) -> Name {
        self.names.member(self.stream, ordinal)
    }

    fn account(&self, agent: AgentNo) -> Name {
        self.names.account(agent)
    }

    fn session_of(&self, session: SessionNo) -> Name {
        self.names.session(session)
    }
}

fn node(scene: &Scene<'_>, event: &NodeEvent) -> Told {
    let by_words = |by: &Option<Did>| by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    match event {
        NodeEvent::Denied { denial } => denied("node.denied", denial),
        NodeEvent::WriteLost { session, stream, seq, record } => {
            let words = format!(
                "a write in {session} was answered and lost in a crash: it was record {seq}, {record}"
            );
            Told::new("node.write_lost", words)
                .with("session", session)
                .with("stream", stream)
                .with("seq", seq)
                .with("record", record)
        }
        NodeEvent::SnapshotUnusable { batch, why } => {
            let words = format!("the node was opened by reading everything: {why}");
            Told::new("node.snapshot_unusable", words).with("batch", batch).with("why", why)
        }
        NodeEvent::Purged { session, subject, older_than, contents, bytes } => {
            let scope = Scope { session: session.clone(), subject: subject.clone() };
            keeping::purged(&scope, *older_than, *contents, *bytes)
        }
        NodeEvent::Held { hold, session, subject, reason } => {
            let scope = Scope { session: session.clone(), subject: subject.clone() };
            keeping::held(*hold, &scope, reason)
        }
        NodeEvent::Reduced { session, stream, agents } => keeping::reduced(session, *stream, agents),
        NodeEvent::HoldReleased { hold } => keeping::released(*hold),
        NodeEvent::AnchorQueued { anchor, target, size, root, digest } => {
            keeping::anchor_queued(*anchor, target, (*size, root), digest)
        }
        NodeEvent::AnchorMoved { anchor, state, .. } => keeping::anchor_moved(*anchor, *state),
        NodeEvent::HistoryWeighed { agent, node, sessions, until, flaw } => {
            keeping::history_weighed(agent, node, *sessions, *until, flaw.as_deref())
        }
        NodeEvent::Configured { config, by, witness } => evidence::configured(config, by, witness.as_ref()),
        NodeEvent::Contested { charge, grounds } => evidence::contested(charge, grounds),
        NodeEvent::Key { event } => evidence::key(event),
        NodeEvent::Spent { by, nonce, deadline, at } => evidence::spent(by, nonce, *deadline, *at),
        NodeEvent::Rejected { rejected } => evidence::rejection("node.rejected", rejected),
        NodeEvent::Governed { action, params, by, witness } => {
            evidence::governed(action, params, by, witness)
        }
        NodeEvent::Reported { key, agent } => ports::reported(key, agent),
        NodeEvent::Unreported { why } => ports::unreported(why),
        NodeEvent::Scored { agent, sigma, until } => ports::scored(agent, *sigma, *until),
        NodeEvent::Unscored { agent, why } => ports::unscored(agent, why),
        NodeEvent::ItemSettled { .. } | NodeEvent::UndoGranted { .. } | NodeEvent::UndoEnded { .. } => {
            items::told(event)
        }
        NodeEvent::UndoRestored { stream, action, by } => {
            let session = scene.names.stream(StreamNo(*stream));
            let words =
                format!("an undo of {action} failed in session {session}; it counts again, says {by}");
            Told::new("node.undo_restored", words)
                .with("stream", stream)
                .with("session", session)
                .with("action", action)
                .with("by", by)
        }
        NodeEvent::Folded { folded } => scene.folded(folded),
        NodeEvent::Tripped { agent, breach, until } => guard::tripped(agent, breach, *until),
        NodeEvent::Guarded { guards } => guard::guarded(guards),
        NodeEvent::Killed { target, by, reason, at } => {
            Told::new("node.killed", format!("{target} is killed{}: {reason}", by_words(by)))
                .with("target", target_fields(target))
                .with("by", by)
                .with("reason", reason)
                .with("at", at)
        }
        NodeEvent::KillAnswered { target, answer } => {
            let (name, why) = match answer {
                KillAnswer::Stopped {} => ("stopped", None),
                KillAnswer::Failed { why } => ("failed", Some(why)),
                KillAnswer::Late {} => ("late", None),
            };
            Told::new("node.kill_answered", format!("the kill of {target}: {answer}"))
                .with("target", target_fields(target))
                .with("answer", name)
                .with("why", why)
        }
        NodeEvent::KillLifted { target, by, reason } => {
            let words = format!("the kill of {target} is lifted{}: {reason}", by_words(by));
            Told::new("node.kill_lifted", words)
                .with("target", target_fields(target))
                .with("by", by)
                .with("reason", reason)
        }
    }
}

fn target_fields(target: &KillTarget) -> Value {
    match target {
        KillTarget::All {} => json("all"),
        KillTarget::Session { id } => object([("session", json(id))]),
        KillTarget::Agent { did } => object([("agent", json(did))]),
        KillTarget::Action { action } => object([("action", json(action))]),
    }
}

fn denied(event: &'static str, denial: &Denial) -> Told {
    let words = Denial { needs: String::new(), ..denial.clone() }.to_string();
    let words = words + &enough(&denial.reason, &denial.needs);
    Told::new(event, words)
        .with("agent", &denial.agent)
        .with("action", &denial.action)
        .with("request", &denial.request)
        .with("reason", &denial.reason)
        .with("needs", &denial.needs)
}

fn claim_words(claim: &Claim) -> String {
    let said: Vec<String> = [
        claim.kind.map(|kind| match kind {
            ActionKind::Admin => "it changes the supervisor".to_owned(),
            ActionKind::ReadOnly => "it changes nothing".to_owned(),
            ActionKind::Effect => "it has an effect".to_owned(),
        }),
        claim.reversibility.map(|reversibility| match reversibility {
            Reversibility::Full => "it can be undone entirely".to_owned(),
            Reversibility::Partial => "it can be undone in part".to_owned(),
            Reversibility::None => "it cannot be undone".to_owned(),
        }),
        claim.risk.map(|risk| format!("its risk is {risk}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if said.is_empty() { "nothing".to_owned() } else { said.join(", ") }
}

fn cap(cap: &Cap) -> Value {
    let until = Some(cap.until()).filter(|until| *until < Timestamp::MAX);
    object([("ring", json(cap.ring())), ("reason", json(cap.to_string())), ("until", json(until))])
}

const fn source_name(source: Source) -> &'static str {
    match source {
        Source::Policy => "policy",
        Source::Registry => "registry",
        Source::Manifest => "manifest",
    }
}

const fn kind_name(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Admin => "admin",
        ActionKind::ReadOnly => "read_only",
        ActionKind::Effect => "effect",
    }
}

/// The beginning of a digest, as much as tells it from others at a glance.
pub(super) fn short(digest: &Digest) -> String {
    let mut text = digest.to_string();
    text.truncate(8);
    text
}
