//! Destroying the records of sessions that are over: which may go is decided here, how they go is `hv_audit`'s.

use crate::error::{Error, Reason};
use crate::event::{KillTarget, LedgerEvent, MembershipEvent, NodeEvent, SessionEvent};
use crate::hypervisor::Hypervisor;
use crate::node::{Draft, Refusal, blocking};
use crate::purge::{Contents, PURGED_AT_ONCE};
use crate::trail::{TrailEvent, TrailRecord};
use hv_audit::retention::{Fate, Kept, Matter, Retention, Scope, fate, fate_of};
use hv_audit::{Log, LogError, Reduction, StreamNo, Tier};
use hv_liability::{SessionNo, TrackRecord};
use hv_saga::{Move, SagaEvent, SagaState};
use hv_types::{Did, Digest, SessionId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// So many sessions are named in one batch at most.
const REDUCED_AT_ONCE: usize = 1_000;

/// Whose records are to go, and how much of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReduceRequest {
    /// Of this session alone; without it, of all.
    pub session: Option<SessionId>,
    /// Of sessions that ended at least so long ago; without it, those that need not be kept any longer.
    pub older_than: Option<Duration>,
    /// What is left.
    pub tier: Tier,
    /// Size and root of a checkpoint of the node's stream that is kept outside the log. Whether the log's key signed it
    /// is for the caller to have checked.
    pub checkpoint: (u64, Digest),
}

/// What is known of an agent from sessions, when records of them are destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentKept {
    /// Who.
    pub did: Did,
    /// The roots of its last closed sessions, at most five, the oldest first.
    pub summaries: Vec<Digest>,
    /// What the default scorer noted of its outcomes; nothing for one without an account.
    pub track: Option<TrackRecord>,
}

hv_types::wire_struct!(AgentKept { did, summaries, track });

/// The records of one session, as far as their keeping depends on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecords {
    /// Its stream.
    pub stream: StreamNo,
    /// Its name.
    pub session: SessionId,
    /// How many they are, the one that closed it among them.
    pub records: u64,
    /// When it ended, where it did.
    pub ended: Option<Timestamp>,
    /// Who was in it.
    pub members: BTreeSet<Did>,
    /// Whether something in it, or said of it, may have to show what happened: then they are never destroyed.
    pub evidence: bool,
    /// What is left of them, where not all are there.
    pub left: Option<Tier>,
    /// The contents that they refer to.
    contents: BTreeSet<Digest>,
    /// The size of the node's stream with the record that says that it ended.
    closed_by: u64,
}

/// What is known of the records of every session.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    all: BTreeMap<StreamNo, SessionRecords>,
    /// Those that are open, by name.
    open: BTreeMap<SessionId, StreamNo>,
    /// Streams whose first records came before the one that names them.
    early: BTreeMap<StreamNo, Early>,
}

#[derive(Debug, Default)]
struct Early {
    contents: BTreeSet<Digest>,
    evidence: bool,
    members: BTreeSet<Did>,
}

impl Sessions {
    /// Takes up the next record.
    pub(crate) fn take(&mut self, record: &TrailRecord) {
        for event in &record.events {
            match event {
                TrailEvent::Opened { stream, label, .. } => self.opened(*stream, label),
                TrailEvent::Closed { stream, size, .. } if record.stream == StreamNo::NODE => {
                    self.closed(*stream, size.saturating_add(1), record);
                }
                TrailEvent::Reducing { stream, tier, .. } => {
                    if let Some(session) = self.all.get_mut(stream) {
                        session.left = session.left.max(Some(*tier));
                    }
                }
                TrailEvent::Node(event) => self.node(event),
                TrailEvent::Ledger(event) => self.ledger(event),
                _ => {}
            }
        }
        if record.stream < StreamNo::FIRST_SESSION {
            return;
        }
        let members = record.events.iter().filter_map(|event| match event {
            TrailEvent::Session(event) => match &**event {
                SessionEvent::Session {
                    event: MembershipEvent::Joined { did, .. } | MembershipEvent::Seated { did, .. },
                } => Some(did.clone()),
                _ => None,
            },
            _ => None,
        });
        let contents = record.attached.iter().map(|content| content.id());
        let evidence = record.events.iter().any(|event| match event {
            TrailEvent::Session(event) => is_evidence(event),
            _ => false,
        });
        match self.all.get_mut(&record.stream) {
            Some(session) => {
                session.members.extend(members);
                session.contents.extend(contents);
                session.evidence |= evidence;
            }
            None => {
                let early = self.early.entry(record.stream).or_default();
                early.members.extend(members);
                early.contents.extend(contents);
                early.evidence |= evidence;
            }
        }
    }

    fn opened(&mut self, stream: StreamNo, label: &str) {
        let Early { contents, evidence, members, .. } = self.early.remove(&stream).unwrap_or_default();
        let Ok(session) = SessionId::new(label) else { return };
        self.open.insert(session.clone(), stream);
        let (ended, left, closed_by) = (None, None, 0);
        let records = SessionRecords {
            stream,
            session,
            records: 0,
            ended,
            members,
            evidence,
            left,
            contents,
            closed_by,
        };
        self.all.insert(stream, records);
    }

    fn closed(&mut self, stream: StreamNo, records: u64, by: &TrailRecord) {
        if let Some(session) = self.all.get_mut(&stream) {
            (session.ended, session.records) = (Some(by.time), records);
            session.closed_by = by.seq.saturating_add(1);
            self.open.remove(&session.session);
        }
    }

    /// Something says of a session what may have to show what happened.
    pub(crate) fn evidence(&mut self, stream: StreamNo) {
        match self.all.get_mut(&stream) {
            Some(session) => session.evidence = true,
            None => self.early.entry(stream).or_default().evidence = true,
        }
    }

    fn node(&mut self, event: &NodeEvent) {
        match event {
            NodeEvent::Killed { target, .. } => {
                let killed: Vec<StreamNo> = match target {
                    KillTarget::Session { id } => self.open.get(id).copied().into_iter().collect(),
                    _ => self.open.values().copied().collect(),
                };
                killed.into_iter().for_each(|stream| self.evidence(stream));
            }
            NodeEvent::WriteLost { stream, .. }
            | NodeEvent::ItemSettled { stream, .. }
            | NodeEvent::UndoGranted { stream, .. }
            | NodeEvent::UndoEnded { stream, .. }
            | NodeEvent::UndoRestored { stream, .. } => self.evidence(StreamNo(*stream)),
            NodeEvent::Reduced { stream, agents, .. } => {
                if let Some(session) = self.all.get_mut(&StreamNo(*stream)) {
                    session.members.extend(agents.iter().map(|agent| agent.did.clone()));
                }
            }
            _ => {}
        }
    }

    fn ledger(&mut self, event: &LedgerEvent) {
        let offence = match event {
            LedgerEvent::Slashed { slashed } => &slashed.offence,
            LedgerEvent::Charged { offence, .. } => offence,
            _ => return,
        };
        if let Some(SessionNo(stream)) = offence.session {
            self.evidence(StreamNo(stream));
        }
    }
}

/// Whether what a session says may have to show what happened: that something was refused or went wrong for good, that
/// somebody gave a word, or that something outside of the node was asked.
const fn is_evidence(event: &SessionEvent) -> bool {
    match event {
        SessionEvent::Session { event } => matches!(event, MembershipEvent::Evicted { .. }),
        SessionEvent::Saga { event, .. } => matches!(
            event,
            SagaEvent::Moved { to: Move::UndoFailed { .. } | Move::Denied {}, .. }
                | SagaEvent::Finished { state: SagaState::Escalated, .. }
        ),
        // What is told to a scorer outside is known from the records alone.
        SessionEvent::Ports { on } => on.trust.is_some() || on.drift.is_some(),
        SessionEvent::Assessed { .. }
        | SessionEvent::Registered { .. }
        | SessionEvent::SagaOpened { .. }
        | SessionEvent::Granted { .. }
        | SessionEvent::Noted { .. }
        | SessionEvent::Held { .. }
        | SessionEvent::OnBehalf { .. }
        | SessionEvent::Rehearsal { .. }
        | SessionEvent::RehearsalDemanded { .. }
        | SessionEvent::IntentRuled { .. }
        | SessionEvent::UndoAccepted { .. } => false,
        SessionEvent::Denied { .. }
        | SessionEvent::VotersNamed { .. }
        | SessionEvent::Overridden { .. }
        | SessionEvent::Certified { .. }
        | SessionEvent::Rejected { .. }
        | SessionEvent::Elevated { .. }
        | SessionEvent::IntentDeclared { .. }
        | SessionEvent::IntentUsed { .. }
        | SessionEvent::DriftChecked { .. } => true,
    }
}

/// What a reduction does, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReducePlan {
    /// The sessions whose records go.
    pub due: Vec<SessionRecords>,
    /// The contents that go with them.
    pub contents: Vec<Kept>,
    /// How many sessions stay, for each reason but [`Fate::Due`].
    pub stay: BTreeMap<Fate, u64>,
    /// How many stay because the checkpoint does not speak for their end.
    pub uncovered: u64,
    /// Of how many not more is left already.
    pub reduced: u64,
}

impl ReducePlan {
    /// How many sessions stay for a reason.
    #[must_use]
    pub fn staying(&self, fate: Fate) -> u64 {
        self.stay.get(&fate).copied().unwrap_or(0)
    }

    /// How many records go.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.due.iter().map(|session| session.records).sum()
    }
}

impl SessionRecords {
    fn is_held(&self, hold: &Scope) -> bool {
        // A hold on an agent keeps every session: whom else one concerned is not known.
        hold.session.as_ref().is_none_or(|session| *session == self.session)
    }

    fn fate(&self, now: Timestamp, request: &ReduceRequest, retention: &Retention, held: bool) -> Fate {
        if request.session.as_ref().is_some_and(|session| *session != self.session) {
            return Fate::Stays;
        }
        let matter = if self.evidence { Matter::Forensic } else { Matter::Session };
        // One that goes on has no age.
        let age = self.ended.map_or(Duration::MAX, |ended| now.since(ended));
        let least = retention.of(matter);
        fate_of(age, request.older_than, least, (self.ended.is_none(), held))
    }
}

impl Contents {
    /// What is known of the records of every session, in the order in which they began.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionRecords> {
        self.sessions.all.values()
    }

    /// What a reduction would do now.
    #[must_use]
    pub fn reduce_plan(&self, request: &ReduceRequest, now: Timestamp) -> ReducePlan {
        let holds: Vec<Scope> = self.holds().map(|hold| hold.scope.clone()).collect();
        let kept: BTreeMap<Digest, Kept> = self.kept().map(|kept| (kept.payload.id(), kept)).collect();
        let (everything, retention) = (Scope::default(), self.retention());
        let of = |kept: &Kept| fate(kept, now, &everything, request.older_than, retention, &holds);
        let mut plan = ReducePlan::default();
        for session in self.sessions() {
            let held = holds.iter().any(|hold| session.is_held(hold));
            let mut fated = session.fate(now, request, retention, held);
            let contents: Vec<&Kept> = session.contents.iter().filter_map(|id| kept.get(id)).collect();
            if fated == Fate::Due {
                // Its records go no sooner than every content that one of them refers to.
                let worst = contents.iter().map(|kept| of(kept));
                fated = worst.fold(Fate::Due, Fate::min);
            }
            if fated != Fate::Due {
                *plan.stay.entry(fated).or_default() += 1;
            } else if session.left.is_some_and(|left| left >= request.tier) {
                plan.reduced += 1;
            } else if session.closed_by > request.checkpoint.0 {
                plan.uncovered += 1;
            } else {
                plan.contents.extend(contents.into_iter().cloned());
                plan.due.push(session.clone());
            }
        }
        plan
    }
}

impl Hypervisor {
    /// Destroys the records of sessions that are over up to what a tier leaves, with the contents that they refer to. A
    /// record says first which, and what the trail makes of their members without them; then they are destroyed, and a
    /// record says what every segment of the log is from then on. No hash changes: every root, proof and checkpoint from
    /// before still holds. `INVARIANT (A3)`
    ///
    /// What a hold keeps, what is open, and every session in which, or of which, something was said that may have to show
    /// what happened stays, and is counted in the answer.
    ///
    /// # Errors
    /// [`Reason::Retention`] where something is asked for that has to be kept longer; nothing is destroyed then.
    /// [`Error::Log`], among others where the log does not have the root of the checkpoint; [`Error::Poisoned`].
    pub async fn reduce(&self, request: &ReduceRequest) -> Result<ReducePlan, Error> {
        let contents = self.contents()?;
        let now = self.node().read(|_, now| now)?;
        let mut plan = contents.reduce_plan(request, now);
        let early = plan.staying(Fate::Early);
        if early > 0 {
            return self
                .node()
                .commit(|_, _| Err(Refusal::on_node("reduce", None, Reason::Retention { contents: early })))
                .await;
        }
        // Nothing is touched for a checkpoint that is not one of this log.
        if let Some(first) = plan.due.first()
            && let Err(error) = self.found(&[first.stream], request).await
            && !matches!(error, Error::Log(LogError::Irreducible { why: hv_audit::Irreducible::Content, .. }))
        {
            return Err(error);
        }
        self.purge_with(&plan.contents, request).await?;
        let streams: Vec<StreamNo> = plan.due.iter().map(|session| session.stream).collect();
        let reductions = self.found(&streams, request).await?;
        let mut held = BTreeSet::new();
        let mut named: Vec<(SessionRecords, Reduction)> = plan.due.drain(..).zip(reductions).collect();
        while !named.is_empty() {
            let rest = named.split_off(named.len().min(REDUCED_AT_ONCE));
            let chunk = std::mem::replace(&mut named, rest);
            let kept = self
                .node()
                .commit(|state, _| {
                    let mut reduce = Vec::new();
                    for (session, reduction) in &chunk {
                        // What was put on hold meanwhile stays.
                        if state.holds.values().any(|hold| session.is_held(&hold.scope)) {
                            held.insert(session.stream);
                            continue;
                        }
                        let agents = session.members.iter().map(|did| state.agent_kept(did)).collect();
                        let event = NodeEvent::Reduced {
                            session: session.session.clone(),
                            stream: session.stream.0,
                            agents,
                        };
                        reduce.push((reduction.clone(), event));
                    }
                    Ok((Draft::default().reducing(reduce), ()))
                })
                .await;
            kept?;
            plan.due.extend(chunk.into_iter().map(|(session, _)| session));
        }
        plan.due.retain(|session| !held.contains(&session.stream));
        if !held.is_empty() {
            *plan.stay.entry(Fate::Held).or_default() += held.len() as u64;
        }
        if !plan.due.is_empty() {
            self.node().destroy().await?;
            // Those before stood in segments that were written anew.
            self.node().keep_snapshot().await?;
        }
        Ok(plan)
    }

    async fn found(&self, streams: &[StreamNo], request: &ReduceRequest) -> Result<Vec<Reduction>, Error> {
        let log: Arc<dyn Log> = Arc::clone(self.log());
        let (streams, tier, checkpoint) = (streams.to_vec(), request.tier, request.checkpoint);
        blocking(move || log.reductions(&streams, tier, checkpoint)).await
    }

    /// Purges the contents that go with sessions.
    async fn purge_with(&self, contents: &[Kept], request: &ReduceRequest) -> Result<(), Error> {
        for chunk in contents.chunks(PURGED_AT_ONCE) {
            let bytes = chunk.iter().map(|kept| kept.payload.length()).sum();
            self.node()
                .commit(|state, _| {
                    if chunk.iter().any(|kept| state.holds.values().any(|hold| hold.scope.holds(kept))) {
                        let reason = Reason::Retention { contents: chunk.len() as u64 };
                        return Err(Refusal::on_node("reduce", None, reason));
                    }
                    let purged = NodeEvent::Purged {
                        session: request.session.clone(),
                        subject: None,
                        older_than: request.older_than,
                        contents: chunk.len() as u64,
                        bytes,
                    };
                    let ids = chunk.iter().map(|kept| kept.payload.id()).collect();
                    Ok((Draft::default().purging(ids, purged), ()))
                })
                .await?;
        }
        if contents.is_empty() {
            return Ok(());
        }
        self.node().destroy().await.map(drop)
    }
}
