//! What the log says, taken together: the state of the node.

use crate::adapters::{self, Adapted, Outbox, PortsOn, Scores};
use crate::anchors::AnchorBook;
use crate::authority::Authority;
use crate::elevate::Elevations;
use crate::error::Reason;
use crate::event::{LedgerEvent, MembershipEvent, NodeEvent, SessionEvent};
use crate::evidence::Voice;
use crate::few::Few;
use crate::guards::{Guards, Scoring};
use crate::history::Histories;
use crate::intent::Intents;
use crate::item::Items;
use crate::kill::Kills;
use crate::node::{Ahead, Refusal};
use crate::purge::{Hold, apply_hold};
use crate::rates::Meters;
use crate::scoring::Outcomes;
use crate::seldom::Seldom;
use foldhash::fast::FixedState;
use foldhash::quality::RandomState;
use hv_audit::{PayloadRef, StreamNo};
use hv_integrations::trust::TaskOutcome;
use hv_liability::{Ledger, SessionNo};
use hv_rings::class::{Claim, Claims, Class, Override, Source, Undo, Unproven};
use hv_rings::standing::Cap;
use hv_saga::reversibility::{Known as Undoing, Registry};
use hv_saga::{Attempt, AttemptFacts, Saga, SagaState, StepDef};
use hv_session::{MemberRef, Session};
use hv_types::{ActionId, Did, Digest, Illegal, Machine, Ring, SagaId, SessionId, Sigma, Timestamp};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;

mod busy;
mod fresh;
mod gone;
mod kept;
mod names;
mod numbers;
mod plans;
mod replay;
mod rights;
mod saga;
mod sagas;
mod stance;

use busy::Busy;
pub(crate) use kept::{keep, restore};
use names::Names;
pub(crate) use replay::sagas_opened;
pub(crate) use saga::{Driven, Room};
pub(crate) use sagas::Known;
pub(crate) use stance::Party;

/// The σ of an agent of whom nothing is known. It earns Ring 3, and is never posted as a reputation.
pub(crate) const UNKNOWN_SIGMA: Sigma = Sigma::capped(500_000);

const NO_SAGA: Illegal = Illegal::new("a saga is opened first, and nothing happens to it after its end");

/// So many breakers are remembered before closed ones are looked for, and so many sagas may have room before some of it
/// is given back.
const CROWD: usize = 1024;

/// The state of the node.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) authority: Seldom<Authority>,
    /// The limits that were set last.
    pub(crate) guards: Seldom<Guards>,
    /// What is not replayed: how often agents call, and how far above their ring.
    pub(crate) meters: Meters,
    /// What ended sagas say about those who worked in them.
    pub(crate) track: hv_liability::Scores,
    /// Until when the breakers of agents are open.
    breakers: Seldom<BTreeMap<Did, Timestamp>>,
    pub(crate) ledger: Ledger,
    /// Records of the ledger stream.
    pub(crate) ledger_length: u64,
    pub(crate) kills: Seldom<Kills>,
    pub(crate) anchors: AnchorBook,
    pub(crate) histories: Histories,
    /// The holds that are on, by number.
    pub(crate) holds: Seldom<BTreeMap<u32, Hold>>,
    /// The number that the next hold gets.
    pub(crate) next_hold: u32,
    /// How many open sessions each creator has.
    creators: Few<Did, u32, RandomState>,
    /// What the scorer said, and what it is to be told.
    pub(crate) scores: Seldom<Scores>,
    pub(crate) outbox: Seldom<Outbox>,
    pub(crate) items: Seldom<Items>,
    /// The last snapshot of which it was said that it could not be used.
    pub(crate) unusable: u64,
    names: Few<SessionId, StreamNo, RandomState>,
    /// The log itself gives these numbers, so nobody can choose them to collide.
    sessions: Few<StreamNo, Box<Slot>, FixedState>,
    /// Sessions that are over, as long as their bonds answer for what happened in them.
    answering: Seldom<BTreeMap<SessionId, SessionNo>>,
    /// While a log is replayed: sessions of which records are gone, as long as they were open.
    gone: Seldom<BTreeMap<StreamNo, Option<SessionId>>>,
}

/// One open session, with everything that happens in it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: SessionId,
    pub(crate) stream: StreamNo,
    /// Records of the session's stream.
    pub(crate) length: u64,
    pub(crate) session: Session,
    saga_names: Names,
    /// Those that have not ended, by number.
    running: plans::Numbered,
    busy: Busy,
    /// Sagas of the record that is taken up that leave something to a person, by number.
    escalated: Vec<(u32, Box<NamedSaga>)>,
    registry: Few<ActionId, Claims, RandomState>,
    /// What is known of undos beyond what steps declare.
    pub(crate) undos: Registry,
    /// By ordinal of the member; whoever has one mostly has no other.
    caps: SmallVec<[SmallVec<[Cap; 1]>; 1]>,
    notes: Seldom<BTreeMap<String, Digest>>,
    voters: Seldom<BTreeSet<Did>>,
    overrides: Seldom<BTreeMap<ActionId, Override>>,
    /// Whose word the steps of running sagas started on, by saga and ordinal.
    certified: Seldom<BTreeMap<(u32, u32), Vec<Voice>>>,
    elevations: Seldom<Elevations>,
    /// Nothing where nobody said anything of intents.
    intents: Option<Box<Intents>>,
    pub(crate) adapted: Seldom<Adapted>,
    /// What sagas that have just ended say of those who worked on them, for the scorer.
    outcomes: Vec<(Did, TaskOutcome, Digest)>,
    /// What sagas say that ended in the record that is being taken up.
    judged: Vec<(Timestamp, Outcomes)>,
}

/// A saga with its name and the undos that the operator accepts without proof.
#[derive(Debug, Clone)]
pub(crate) struct NamedSaga {
    pub(crate) id: SagaId,
    /// Who drives it; no record tells.
    pub(crate) driven: Driven,
    pub(crate) machine: Saga,
    unproven: Vec<u32>,
    /// For whom its agents act in it.
    principals: Vec<Did>,
    /// Whether it is carried out and undone to see whether that works.
    pub(crate) rehearsal: bool,
    /// The steps that wait for their agent's rate, as far as that was recorded.
    held: BTreeSet<u32>,
}

impl State {
    pub(crate) fn apply_node(&mut self, event: &NodeEvent) -> Result<(), Illegal> {
        match event {
            NodeEvent::Folded { .. } => Ok(()),
            NodeEvent::SnapshotUnusable { batch, .. } => {
                self.unusable = *batch;
                Ok(())
            }
            NodeEvent::Tripped { agent, until, .. } => {
                if self.breakers.len() >= CROWD {
                    // Those that opened longer ago than this one will be open are closed.
                    let open = self.guards.breach.open;
                    self.breakers.retain(|_, other| other.after(open) > *until);
                }
                self.breakers.insert(agent.clone(), *until);
                Ok(())
            }
            NodeEvent::Guarded { guards } => {
                self.guards = Seldom::from(**guards);
                Ok(())
            }
            NodeEvent::Killed { target, .. } => {
                self.sessions.values_mut().for_each(|slot| slot.killed(target));
                self.kills.apply(event)
            }
            NodeEvent::KillLifted { .. } => self.kills.apply(event),
            NodeEvent::UndoRestored { stream, action, .. } => {
                let slot = self.sessions.get_mut(&StreamNo(*stream));
                let restored = slot.is_some_and(|slot| slot.undos.restore(action));
                if restored { Ok(()) } else { Err(Illegal::new("what is restored had failed")) }
            }
            NodeEvent::ItemSettled { .. } | NodeEvent::UndoGranted { .. } | NodeEvent::UndoEnded { .. } => {
                self.items.apply(event)
            }
            NodeEvent::Configured { .. }
            | NodeEvent::Key { .. }
            | NodeEvent::Spent { .. }
            | NodeEvent::Rejected { .. }
            | NodeEvent::Governed { .. } => self.authority.apply(event),
            NodeEvent::WriteLost { .. }
            | NodeEvent::Contested { .. }
            | NodeEvent::Denied { .. }
            | NodeEvent::KillAnswered { .. }
            | NodeEvent::Purged { .. }
            | NodeEvent::HistoryWeighed { .. } => Ok(()),
            NodeEvent::Held { hold, .. } => {
                if *hold != self.next_hold || !apply_hold(&mut self.holds, event) {
                    return Err(Illegal::new("holds are numbered without a gap"));
                }
                self.next_hold = hold.saturating_add(1);
                Ok(())
            }
            NodeEvent::Reduced { agents, .. } => {
                self.restore_agents(agents);
                Ok(())
            }
            NodeEvent::AnchorQueued { .. } | NodeEvent::AnchorMoved { .. } => self.anchors.apply(event),
            NodeEvent::HoldReleased { .. } if apply_hold(&mut self.holds, event) => Ok(()),
            NodeEvent::HoldReleased { .. } => Err(Illegal::new("a hold that is on is taken off")),
            NodeEvent::Reported { .. }
            | NodeEvent::Unreported { .. }
            | NodeEvent::Scored { .. }
            | NodeEvent::Unscored { .. } => {
                adapters::apply(&mut self.scores, &mut self.outbox, event);
                Ok(())
            }
        }
    }

    pub(crate) fn apply_ledger(&mut self, events: &[LedgerEvent]) -> Result<(), Illegal> {
        events.iter().try_for_each(|event| self.ledger.apply(event))?;
        self.ledger_length += 1;
        events.iter().for_each(|event| self.tell(event));
        Ok(())
    }

    /// A slash in a session with a scorer is to be told to it.
    fn tell(&mut self, event: &LedgerEvent) {
        let LedgerEvent::Slashed { slashed } = event else { return };
        let stream = slashed.offence.session.map(|session| StreamNo(session.0));
        let scored =
            stream.and_then(|stream| self.sessions.get(&stream)).is_some_and(|slot| slot.adapted.scored());
        if let (true, Some(agent)) = (scored, self.ledger.did(slashed.offence.agent)) {
            self.outbox.slashed(agent, slashed);
        }
    }

    pub(crate) fn open_session(&mut self, stream: StreamNo, id: &SessionId) -> Result<(), Illegal> {
        if self.names.insert(id.clone(), stream).is_some() {
            return Err(Illegal::new("open sessions have different names"));
        }
        // It is made where it stays, because it is large.
        self.sessions.insert(stream, Box::write(Box::new_uninit(), Slot::new(id.clone(), stream)));
        Ok(())
    }

    /// `lifecycle` is what the session's machine has just decided, and `ahead` a saga to which the events were applied
    /// already.
    pub(crate) fn apply_session(
        &mut self,
        stream: StreamNo,
        (lifecycle, events): (&[MembershipEvent], &[SessionEvent]),
        attached: &[PayloadRef],
        mut ahead: Option<&mut Ahead>,
    ) -> Result<(), Illegal> {
        let taken_up = self.change_session(stream, |slot| {
            lifecycle.iter().try_for_each(|event| slot.lives(event, Session::apply_decided))?;
            events.iter().try_for_each(|event| slot.apply(event, attached, ahead.as_deref_mut()))?;
            match ahead.as_deref_mut() {
                Some(ahead) if ahead.moves().is_some() => slot.take_up(ahead),
                Some(ahead) if !ahead.reached => slot.reach(ahead).map(|_| ()),
                _ => Ok(()),
            }
        });
        if let Some((at, outcomes)) = ahead.as_ref().and_then(|ahead| ahead.judged.as_ref()) {
            self.judge(*at, outcomes);
        }
        taken_up
    }

    /// Takes note of what a saga says that has ended.
    fn judge(&mut self, at: Timestamp, outcomes: &Outcomes) {
        let Scoring::By { policy } = self.guards.score else { return };
        for (agent, outcomes) in outcomes {
            if let Some(agent) = self.ledger.agent(agent) {
                self.track.observe(&policy, agent, outcomes, at);
            }
        }
    }

    /// Applies what a record says of a session, and what follows from that for the node.
    fn change_session(
        &mut self,
        stream: StreamNo,
        change: impl FnOnce(&mut Slot) -> Result<(), Illegal>,
    ) -> Result<(), Illegal> {
        let slot =
            self.sessions.get_mut(&stream).ok_or(Illegal::new("a record belongs to an open session"))?;
        change(slot)?;
        if slot.length == 0
            && let Some(creator) = slot.session.creator()
        {
            count(&mut self.creators, creator);
        }
        if let Some((member, severity)) = slot.adapted.made().and_then(Adapted::take_slashed)
            && let Some(member) = slot.session.by_ordinal(member)
        {
            self.outbox.drifted(&adapters::drift_evidence(slot, member.did), severity);
        }
        slot.length += 1;
        let mut judged = Vec::new();
        if !slot.escalated.is_empty() {
            for (number, saga) in slot.escalated.drain(..) {
                self.items.escalated(&slot.id, stream, number, &saga.id, &saga.machine);
            }
        }
        if !slot.judged.is_empty() {
            judged = mem::take(&mut slot.judged);
        }
        if !slot.outcomes.is_empty() {
            self.outbox.ended(mem::take(&mut slot.outcomes));
        }
        judged.iter().for_each(|(at, outcomes)| self.judge(*at, outcomes));
        Ok(())
    }

    /// How many open sessions somebody created.
    pub(crate) fn opened_by(&self, creator: &Did) -> u32 {
        self.creators.get(creator).copied().unwrap_or(0)
    }

    /// Whether anybody here has heard of an agent: it has an account, or was in the session of this stream.
    pub(crate) fn knows(&self, agent: &Did, stream: StreamNo) -> bool {
        let in_session =
            || self.sessions.get(&stream).is_some_and(|slot| slot.session.known(agent).is_some());
        self.ledger.agent(agent).is_some() || in_session()
    }

    pub(crate) fn slot(&self, id: &SessionId) -> Option<&Slot> {
        self.names.get(id).and_then(|stream| self.open(*stream))
    }

    /// The open session of this stream.
    pub(crate) fn open(&self, stream: StreamNo) -> Option<&Slot> {
        self.sessions.get(&stream).map(|slot| &**slot)
    }

    /// Records of a stream that a decision may have read.
    pub(crate) fn length(&self, stream: StreamNo) -> Option<u64> {
        match stream {
            StreamNo::LEDGER => Some(self.ledger_length),
            stream => self.open(stream).map(|slot| slot.length),
        }
    }

    /// The open sessions, by name.
    pub(crate) fn sessions(&self) -> BTreeSet<SessionId> {
        self.names.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The open sessions, in the order in which they began.
    pub(crate) fn slots(&self) -> Vec<&Slot> {
        let mut slots: Vec<&Slot> = self.sessions.iter().map(|(_, slot)| &**slot).collect();
        slots.sort_unstable_by_key(|slot| slot.stream);
        slots
    }

    /// The number by which the ledger knows a session: an open one, or the last one of this name that is over
    /// and whose bonds still answer.
    pub(crate) fn ledger_no(&self, id: &SessionId) -> Option<SessionNo> {
        let open = self.slot(id).map(Slot::ledger_no);
        open.or_else(|| self.answering.get(id).copied())
    }

    /// The same for a session that may be left out, and is refused where nobody knows it.
    pub(crate) fn ledger_no_where(&self, id: Option<&SessionId>) -> Result<Option<SessionNo>, Reason> {
        id.map(|id| self.ledger_no(id).ok_or_else(|| Reason::NoSession(id.clone()))).transpose()
    }

    /// What the operator set for an action: in this session, or else for the node.
    pub(crate) fn override_of(&self, slot: &Slot, action: &ActionId) -> Override {
        let everywhere = || self.authority.known()?.config()?.overrides().get(action);
        slot.overrides.get(action).or_else(everywhere).copied().unwrap_or_default()
    }

    /// Whether an effect of this agent may start now, if it was granted; `named`: whether its saga names others for whom
    /// it acts.
    pub(crate) fn may_act(
        &self,
        stream: StreamNo,
        (attempt, named): (&Attempt, bool),
        now: Timestamp,
    ) -> bool {
        let AttemptFacts { session, saga, agent, action, .. } = &**attempt;
        if self.kills.hit(session, agent, Some(action)).is_some() {
            return false;
        }
        let Some(slot) = self.open(stream) else { return false };
        let named = match named.then(|| slot.saga(saga)) {
            None => &[],
            Some(Some(Known::Running(_, saga))) => saga.principals(),
            Some(_) => return false,
        };
        let quarantined = |agent| self.ledger.quarantined(agent, now).is_some();
        let seat = slot.session.member(agent);
        // What an agent does, each of those for whom it acts could do itself.
        let may = |of| !quarantined(of) && self.kills.agent(of).is_none();
        slot.session.live(now)
            && seat.is_some()
            && !quarantined(agent)
            && slot.answerable(seat, named).all(may)
    }
}

impl State {
    /// Whether a saga of the session of this stream has an attempt under way.
    pub(crate) fn waits_for(&self, stream: StreamNo, attempt: &Attempt) -> bool {
        let saga = self.open(stream).and_then(|slot| slot.saga(&attempt.saga));
        match saga {
            Some(Known::Running(_, saga)) => saga.machine.running().any(|at| at == attempt.at()),
            Some(Known::Ended(_)) | None => false,
        }
    }
}

/// Counts one more session that somebody has open.
fn count(creators: &mut Few<Did, u32, RandomState>, creator: &Did) {
    match creators.get_mut(creator) {
        Some(count) => *count += 1,
        None => drop(creators.insert(creator.clone(), 1)),
    }
}

impl Slot {
    /// A session of which nothing is said yet.
    #[inline(always)]
    fn new(id: SessionId, stream: StreamNo) -> Self {
        Self {
            id,
            stream,
            length: 0,
            session: Session::default(),
            saga_names: Names::default(),
            running: plans::Numbered::default(),
            busy: Busy::default(),
            escalated: Vec::new(),
            registry: Few::default(),
            undos: Registry::default(),
            caps: SmallVec::new(),
            notes: Seldom::default(),
            voters: Seldom::default(),
            overrides: Seldom::default(),
            certified: Seldom::default(),
            elevations: Seldom::default(),
            intents: None,
            adapted: Seldom::default(),
            outcomes: Vec::new(),
            judged: Vec::new(),
        }
    }

    /// The session's number on the ledger: that of its stream.
    pub(crate) fn ledger_no(&self) -> SessionNo {
        SessionNo(self.stream.0)
    }

    fn apply(
        &mut self,
        event: &SessionEvent,
        attached: &[PayloadRef],
        ahead: Option<&mut Ahead>,
    ) -> Result<(), Illegal> {
        match event {
            SessionEvent::Session { event } => self.lives(event, Session::apply),
            SessionEvent::Assessed { member, ring, caps, .. } => {
                if *ring == Ring::Sandbox
                    && let Some(elevations) = self.elevations.made()
                {
                    elevations.end(*member);
                }
                let index = *member as usize;
                if self.session.by_ordinal(*member).is_none() {
                    return Err(Illegal::new("only members are assessed"));
                }
                if self.caps.len() <= index {
                    self.caps.resize_with(index + 1, SmallVec::new);
                }
                if let Some(kept) = self.caps.get_mut(index) {
                    *kept = caps.as_slice().into();
                }
                Ok(())
            }
            SessionEvent::Registered { action, source, claim } => {
                let known = self.registry.get(action).copied().unwrap_or_default();
                self.registry.insert(action.clone(), known.with(*source, claim));
                Ok(())
            }
            SessionEvent::SagaOpened { id, unproven } => {
                let twice = Illegal::new("the sagas of a session have different names");
                let number = self.saga_names.insert(id).ok_or(twice)?;
                let begun = ahead.and_then(|ahead| ahead.begun.take()).filter(|begun| begun.id == *id);
                let begun = begun.unwrap_or_else(|| Box::new(NamedSaga::new(id.clone(), unproven)));
                self.running.insert(number, begun);
                Ok(())
            }
            SessionEvent::Saga { saga, event } => self.saga_moves(*saga, event, ahead),
            SessionEvent::UndoAccepted { saga, step } => {
                let known = self.running.get_mut(saga).filter(|saga| saga.machine.step(*step).is_some());
                let known = known.ok_or(Illegal::new("the undo of a step that is there is accepted"))?;
                known.unproven.push(*step);
                Ok(())
            }
            SessionEvent::Rehearsal { saga } => {
                let unbegun = |saga: &&mut Box<NamedSaga>| saga.machine.state() == SagaState::New;
                let known = self.running.get_mut(saga).filter(unbegun);
                known.ok_or(Illegal::new("a rehearsal is one from its beginning on"))?.rehearsal = true;
                Ok(())
            }
            SessionEvent::RehearsalDemanded { action } => {
                self.undos.demand(action);
                Ok(())
            }
            SessionEvent::Granted { .. } | SessionEvent::Denied { .. } | SessionEvent::Rejected { .. } => {
                Ok(())
            }
            SessionEvent::VotersNamed { voters } => {
                self.voters = Seldom::from(voters.iter().cloned().collect::<BTreeSet<Did>>());
                Ok(())
            }
            SessionEvent::Overridden { action, set } => {
                self.overrides.insert(action.clone(), *set);
                Ok(())
            }
            SessionEvent::Certified { saga, step, voices, .. } => {
                if self.running.get(saga).is_none() {
                    return Err(Illegal::new("what is certified is a step of a saga that runs"));
                }
                self.certified.insert((*saga, *step), voices.clone());
                Ok(())
            }
            SessionEvent::Ports { on } => {
                if *on != PortsOn::NONE || self.adapted.made().is_some() {
                    self.adapted.set(on);
                }
                Ok(())
            }
            SessionEvent::DriftChecked { member, check } => {
                if self.session.by_ordinal(*member).is_none() {
                    return Err(Illegal::new("only members are checked"));
                }
                self.adapted.checked(*member, check)
            }
            SessionEvent::Held { saga, step, .. } => {
                let unknown = Illegal::new("a step that is held belongs to a saga that runs");
                self.running.get_mut(saga).ok_or(unknown)?.held.insert(*step);
                Ok(())
            }
            SessionEvent::OnBehalf { saga, principals } => {
                let unknown = Illegal::new("those act for somebody whose saga runs");
                self.running.get_mut(saga).ok_or(unknown)?.principals.clone_from(principals);
                Ok(())
            }
            SessionEvent::Elevated { elevation, .. } => self.elevate(elevation),
            SessionEvent::IntentRuled { .. }
            | SessionEvent::IntentDeclared { .. }
            | SessionEvent::IntentUsed { .. } => self.bind(event),
            SessionEvent::Noted { key } => {
                let payload = attached.first().ok_or(Illegal::new("a note has an attachment"))?;
                self.notes.insert(key.clone(), payload.id());
                Ok(())
            }
        }
    }

    /// Whether somebody else is asked for the scores of its members.
    pub(crate) fn scored_elsewhere(&self) -> bool {
        self.adapted.scored()
    }

    /// What was said about an action; nothing where nobody registered it.
    pub(crate) fn claims(&self, action: &ActionId) -> Option<&Claims> {
        self.registry.get(action).filter(|claims| claims.registered())
    }

    /// Whether all of this was said about the action before.
    pub(crate) fn knows(&self, source: Source, action: &ActionId, claim: &Claim) -> bool {
        self.registry.get(action).is_some_and(|known| known.with(source, claim) == *known)
    }

    /// What a step of a saga counts as when `who` does it. In a rehearsal every undo is accepted: that is where it is
    /// to be seen whether it works.
    pub(crate) fn class(
        &self,
        saga: &NamedSaga,
        claims: &Claims,
        (ordinal, step): (u32, &StepDef),
        who: &Did,
    ) -> Class {
        let (undo, accepted) = match self.undos.known(step, who) {
            Undoing::Absent => (Undo::Absent, false),
            _ if saga.rehearsal => (Undo::Declared, true),
            Undoing::Failed | Undoing::Unrehearsed => (Undo::Absent, false),
            Undoing::Declared => (Undo::Declared, saga.unproven.contains(&ordinal)),
            Undoing::Probed | Undoing::Rehearsed => (Undo::Proven, false),
        };
        claims.class(undo, if accepted { Unproven::Counts } else { Unproven::DoesNotCount })
    }

    /// The caps on a member, as they were assessed last.
    pub(crate) fn caps(&self, agent: &Did) -> &[Cap] {
        self.caps_of(self.session.known(agent))
    }

    /// The same for one that was looked up.
    pub(crate) fn caps_of(&self, seat: Option<MemberRef<'_>>) -> &[Cap] {
        seat.and_then(|seat| self.caps.get(seat.ordinal as usize)).map_or(&[], SmallVec::as_slice)
    }

    /// A refusal that stands on this session's trail.
    #[cold]
    pub(crate) fn refuse(
        &self,
        request: &'static str,
        agent: Option<&Did>,
        action: Option<&ActionId>,
        reason: Reason,
    ) -> Box<Refusal> {
        Refusal::on(self.stream, request, agent, action, reason)
    }

    /// The session's own refusal.
    #[cold]
    pub(crate) fn refuse_session(
        &self,
        request: &'static str,
        agent: Option<&Did>,
        denial: hv_session::SessionDenial,
    ) -> Box<Refusal> {
        self.refuse(request, agent, None, Reason::Session(Box::new(denial)))
    }

    /// The human voters that the session names.
    pub(crate) fn voters(&self) -> &BTreeSet<Did> {
        &self.voters
    }

    /// Whose word a step started on before, if it did.
    pub(crate) fn voices(&self, saga: u32, step: u32) -> &[Voice] {
        self.certified.get(&(saga, step)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn note(&self, key: &str) -> Option<Digest> {
        self.notes.get(key).copied()
    }
}
