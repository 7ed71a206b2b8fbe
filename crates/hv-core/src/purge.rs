//! Purging contents, and holds that keep them: what records mean is known here, the rules are `hv_audit`'s.

use crate::error::{Error, Reason};
use crate::event::{MembershipEvent, NodeEvent, SessionEvent};
use crate::evidence::{self, Presented, Voice};
use crate::govern::{self, PURGE, Request};
use crate::hypervisor::Hypervisor;
use crate::node::{Draft, Refusal};
use crate::reduce::Sessions;
use crate::trail::{TrailEvent, TrailRecord, read_record};
use hv_audit::retention::{Fate, Kept, Matter, Retention, Scope, fate};
use hv_audit::{Entry, Lsn, StreamNo};
use hv_rings::Nonce;
use hv_saga::{Move, SagaEvent, SagaState};
use hv_types::{Did, Digest, SessionId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// So many contents are named by one record at most: 3.2 MB.
pub(crate) const PURGED_AT_ONCE: usize = 100_000;

/// What is asked to be purged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PurgeRequest {
    /// Whose contents.
    pub scope: Scope,
    /// Contents at least this old; without it, what need not be kept any longer.
    pub older_than: Option<Duration>,
}

hv_types::wire_struct!(Hold { number, scope, reason });
hv_types::wire_struct!(PurgeRequest { scope, older_than });

/// A hold: contents that stay whatever is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its number; never used again.
    pub number: u32,
    /// What it keeps.
    pub scope: Scope,
    /// Why.
    pub reason: String,
}

/// The contents that a trail refers to, and what the trail says about each.
///
/// Made from the records alone, so that a dry run needs no writer's lock.
#[derive(Debug, Default)]
pub struct Contents {
    kept: Vec<Kept>,
    known: BTreeSet<Digest>,
    purged: BTreeSet<Digest>,
    holds: BTreeMap<u32, Hold>,
    /// The sessions that have not ended.
    open: BTreeMap<StreamNo, Inside>,
    /// Sagas that escalated: everything of theirs is evidence.
    escalated: BTreeSet<(StreamNo, u32)>,
    /// The saga of an output, by its place in `kept`.
    of_saga: BTreeMap<usize, (StreamNo, u32)>,
    unreadable: u64,
    retention: Retention,
    /// The purges that went by the word of a witness, the last one last.
    witnessed: Vec<Witnessed>,
    /// What is known of the records of every session.
    pub(crate) sessions: Sessions,
}

/// A purge that went by the word of a witness, and used it up.
#[derive(Debug)]
struct Witnessed {
    lsn: Lsn,
    at: Timestamp,
    by: Vec<Voice>,
    contents: u64,
}

/// Who has a number in a session.
#[derive(Debug)]
struct Inside {
    id: SessionId,
    members: Vec<Did>,
    /// Who does the steps of each saga, and who may take them over.
    sagas: Vec<Vec<(Did, Option<Did>)>>,
}

impl Contents {
    /// Takes up the next record of the log.
    pub fn take(&mut self, entry: &Entry<'_>) {
        match read_record(entry) {
            Ok(record) => self.take_record(&record),
            Err(_) => {
                // What nobody can read may be anything.
                self.unreadable += 1;
                self.sessions.evidence(entry.stream);
                self.keep(entry.stream, entry.time, entry.attachments, Matter::Forensic, None);
            }
        }
    }

    fn take_record(&mut self, record: &TrailRecord) {
        let mut found = None;
        let mut evidence = false;
        for event in &record.events {
            match event {
                TrailEvent::Opened { stream, label, .. } => {
                    if let Ok(id) = SessionId::new(label) {
                        self.open.entry(*stream).or_insert_with(|| Inside::new(id));
                    }
                }
                TrailEvent::Closed { stream, .. } if record.stream == StreamNo::NODE => {
                    self.open.remove(stream);
                }
                TrailEvent::Purged { ids } => self.purged.extend(ids),
                TrailEvent::Node(event) => {
                    apply_hold(&mut self.holds, event);
                    if let NodeEvent::Purged { contents, .. } = event
                        && let Some(last) = self.witnessed.last_mut().filter(|last| last.lsn == record.lsn)
                    {
                        last.contents = *contents;
                    }
                    if let NodeEvent::Guarded { guards } = event {
                        self.retention = guards.retention;
                    }
                    evidence = true;
                }
                TrailEvent::Session(event) => {
                    let (first, forensic) = self.take_session(record.stream, event);
                    found = found.or(first);
                    evidence |= forensic;
                }
                TrailEvent::Ledger(_) => evidence = true,
                TrailEvent::Started
                | TrailEvent::Sealed
                | TrailEvent::Closed { .. }
                | TrailEvent::Destroyed { .. }
                | TrailEvent::Reducing { .. }
                | TrailEvent::Reduced { .. }
                | TrailEvent::Gone { .. }
                | TrailEvent::Snapshot { .. } => {}
            }
        }
        self.sessions.take(record);
        self.witnessed.extend(Witnessed::of(record));
        let (matter, subject, saga) = match found {
            Some((matter, subject, saga)) if !evidence => (matter, subject, saga),
            Some((_, subject, _)) => (Matter::Forensic, subject, None),
            None => (Matter::Forensic, None, None),
        };
        let from = self.kept.len();
        self.keep(record.stream, record.time, record.attached.iter().copied(), matter, subject.as_ref());
        if let Some(saga) = saga {
            self.of_saga.extend((from..self.kept.len()).map(|at| (at, (record.stream, saga))));
        }
    }

    /// What an event says of the record's attachment, and whether it makes the record evidence.
    fn take_session(&mut self, stream: StreamNo, event: &SessionEvent) -> (Option<Found>, bool) {
        if let SessionEvent::Session { event: MembershipEvent::Created { id, .. } } = event {
            self.open.entry(stream).or_insert_with(|| Inside::new(id.clone()));
        }
        let Some(inside) = self.open.get_mut(&stream) else { return (None, true) };
        match event {
            SessionEvent::Session { event } => match event {
                MembershipEvent::Joined { did, .. } | MembershipEvent::Seated { did, .. } => {
                    inside.members.push(did.clone());
                    (None, false)
                }
                MembershipEvent::File { agent, .. } => {
                    (Some((Matter::File, inside.members.get(*agent as usize).cloned(), None)), false)
                }
                MembershipEvent::Evicted { .. } => (None, true),
                _ => (None, false),
            },
            SessionEvent::SagaOpened { .. } => {
                inside.sagas.push(Vec::new());
                (None, false)
            }
            SessionEvent::Saga { saga, event } => {
                let steps = inside.sagas.get_mut(*saga as usize);
                match (event, steps) {
                    (SagaEvent::Appended { steps: more, .. }, Some(steps)) => {
                        steps.extend(more.iter().map(|step| (step.agent.clone(), step.substitute.clone())));
                        (None, false)
                    }
                    (SagaEvent::HandedOver { step, .. }, Some(steps)) => {
                        if let Some((agent, substitute)) = steps.get_mut(*step as usize)
                            && let Some(substitute) = substitute.take()
                        {
                            *agent = substitute;
                        }
                        (None, false)
                    }
                    (SagaEvent::Moved { step, to, .. }, Some(steps)) => {
                        let evidence = matches!(to, Move::UndoFailed { .. } | Move::Denied {});
                        let agent = steps.get(*step as usize).map(|(agent, _)| agent.clone());
                        (Some((Matter::Output, agent, Some(*saga))), evidence)
                    }
                    (SagaEvent::Finished { state: SagaState::Escalated, .. }, _) => {
                        self.escalated.insert((stream, *saga));
                        (None, true)
                    }
                    _ => (None, false),
                }
            }
            SessionEvent::Noted { .. } => (Some((Matter::Note, None, None)), false),
            SessionEvent::Assessed { .. }
            | SessionEvent::Registered { .. }
            | SessionEvent::Granted { .. } => (None, false),
            // A denial, and whatever else a record may say.
            _ => (None, true),
        }
    }

    fn keep(
        &mut self,
        stream: StreamNo,
        recorded: Timestamp,
        payloads: impl Iterator<Item = hv_audit::PayloadRef>,
        matter: Matter,
        subject: Option<&Did>,
    ) {
        for payload in payloads {
            if self.known.insert(payload.id()) {
                let session = self.open.get(&stream).map(|inside| inside.id.clone());
                let subject = subject.cloned();
                self.kept.push(Kept { payload, matter, stream, session, subject, recorded, in_use: false });
            }
        }
    }

    /// Every content that was not purged.
    pub fn kept(&self) -> impl Iterator<Item = Kept> {
        let there =
            self.kept.iter().enumerate().filter(|(_, kept)| !self.purged.contains(&kept.payload.id()));
        there.map(|(at, kept)| {
            let evidence = self.of_saga.get(&at).is_some_and(|saga| self.escalated.contains(saga));
            let matter = if evidence { Matter::Forensic } else { kept.matter };
            Kept { matter, in_use: self.open.contains_key(&kept.stream), ..kept.clone() }
        })
    }

    /// How long everything is kept on this node.
    pub(crate) const fn retention(&self) -> &Retention {
        &self.retention
    }

    /// How many contents were purged.
    #[must_use]
    pub fn purged(&self) -> u64 {
        self.purged.len() as u64
    }

    /// The holds that are on, in the order of their numbers.
    pub fn holds(&self) -> impl Iterator<Item = &Hold> {
        self.holds.values()
    }

    /// The purge that used one of these words.
    fn purged_by(&self, word: &Presented) -> Option<&Witnessed> {
        let signed = word.statements().iter().filter_map(|envelope| envelope.statement().ok());
        let voices: Vec<Voice> =
            signed.map(|said| Voice { by: said.signer, nonce: Nonce(said.nonce) }).collect();
        self.witnessed.iter().rev().find(|purge| purge.by.iter().any(|by| voices.contains(by)))
    }

    /// What a purge would do now.
    #[must_use]
    pub fn plan(&self, request: &PurgeRequest, now: Timestamp) -> PurgePlan {
        let holds: Vec<Scope> = self.holds.values().map(|hold| hold.scope.clone()).collect();
        PurgePlan::of(self.kept(), request, now, (&self.retention, &holds), Early::Stays)
    }
}

impl Witnessed {
    /// What a record says of such a purge; how much it was may be said by the log's own record, which follows.
    fn of(record: &TrailRecord) -> Option<Self> {
        let node = || {
            record.events.iter().filter_map(|event| match event {
                TrailEvent::Node(event) => Some(event),
                _ => None,
            })
        };
        let purged = |event: &NodeEvent| match event {
            NodeEvent::Purged { contents, .. } => *contents,
            _ => 0,
        };
        let is_purge = |event: &NodeEvent| matches!(event, NodeEvent::Governed { action, .. } if action.as_str() == PURGE);
        node().any(is_purge).then(|| Self {
            lsn: record.lsn,
            at: record.time,
            by: node().filter_map(evidence::voice).collect(),
            contents: node().map(purged).sum(),
        })
    }

    /// That this is why the same word does not count once more.
    fn tell(&self, refusal: Box<Refusal>) -> Box<Refusal> {
        match refusal.is_replay() {
            true => refusal.because(Reason::Purged { at: self.at, contents: self.contents }),
            false => refusal,
        }
    }
}

/// What an attachment is, whom it concerns, and the saga that it belongs to.
type Found = (Matter, Option<Did>, Option<u32>);

impl Inside {
    const fn new(id: SessionId) -> Self {
        Self { id, members: Vec::new(), sagas: Vec::new() }
    }
}

/// What a purge does, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PurgePlan {
    /// What goes.
    pub due: Vec<Kept>,
    /// How many contents stay, and how many bytes those are, for each reason but [`Fate::Due`].
    pub stay: BTreeMap<Fate, (u64, u64)>,
}

/// What becomes of contents whose time has not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Early {
    Stays,
    /// A witness stands in for it.
    Goes,
}

impl PurgePlan {
    fn of(
        kept: impl Iterator<Item = Kept>,
        request: &PurgeRequest,
        now: Timestamp,
        (retention, holds): (&Retention, &[Scope]),
        early: Early,
    ) -> Self {
        let mut plan = Self::default();
        for kept in kept {
            let fate = fate(&kept, now, &request.scope, request.older_than, retention, holds);
            if fate == Fate::Due || (fate == Fate::Early && early == Early::Goes) {
                plan.due.push(kept);
            } else {
                let (count, bytes) = plan.stay.entry(fate).or_default();
                (*count, *bytes) = (*count + 1, *bytes + kept.payload.length());
            }
        }
        plan
    }

    /// The bytes that go.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.due.iter().map(|kept| kept.payload.length()).sum()
    }

    /// How many contents stay for a reason.
    #[must_use]
    pub fn staying(&self, fate: Fate) -> u64 {
        self.stay.get(&fate).map_or(0, |(count, _)| *count)
    }
}

impl Hypervisor {
    /// The contents that the trail refers to. Goes through the whole log.
    ///
    /// # Errors
    /// [`Error::Log`].
    pub fn contents(&self) -> Result<Contents, Error> {
        let mut contents = Contents::default();
        self.log().replay(&mut |entry| {
            contents.take(&entry);
            Ok(())
        })?;
        Ok(contents)
    }

    /// Purges contents: a record says which, then their keys and they are destroyed, then a record says that this
    /// is done. No hash changes: every root, proof and checkpoint from before still holds. `INVARIANT (A3)`
    ///
    /// What a hold keeps, what an open session needs and what is evidence stays, and is counted in the answer.
    ///
    /// # Errors
    /// [`Reason::Retention`] where something is asked for that has to be kept longer; nothing is purged then.
    /// [`Error::Log`], [`Error::Poisoned`].
    pub async fn purge(&self, request: &PurgeRequest) -> Result<PurgePlan, Error> {
        self.purge_as(request, None).await
    }

    /// The same, also of what has to be kept longer. Ring 0: `presented` brings the word of a configured witness
    /// on the call of [`Request::Purge`] with the same `by`. What a hold keeps, what an open session needs and
    /// what is evidence stays all the same.
    ///
    /// What is meant is what the request covers when it is carried out. More than 100 000 contents take several
    /// records, the first of which uses the word up: whoever crashes between them asks for another.
    ///
    /// # Errors
    /// Those of [`govern`](Hypervisor::govern); nothing is purged then. [`Error::Log`], [`Error::Poisoned`].
    pub async fn purge_witnessed(
        &self,
        by: &Did,
        request: &PurgeRequest,
        presented: &Presented,
    ) -> Result<PurgePlan, Error> {
        self.purge_as(request, Some((by, presented))).await
    }

    async fn purge_as(
        &self,
        request: &PurgeRequest,
        word: Option<(&Did, &Presented)>,
    ) -> Result<PurgePlan, Error> {
        if let Some((_, presented)) = word {
            evidence::verify_ahead(self.node(), presented.statements())?;
        }
        let contents = self.contents()?;
        let kept: Vec<Kept> = contents.kept().collect();
        let mut done = PurgePlan::default();
        // What is recorded meanwhile is too young, and what is held meanwhile is seen under the lock.
        let chunks = if kept.is_empty() { vec![&kept[..]] } else { kept.chunks(PURGED_AT_ONCE).collect() };
        let (passes, early) = match word {
            Some(_) => (Early::Goes, 0),
            None => (Early::Stays, self.plan_under_lock(&kept, request)?.staying(Fate::Early)),
        };
        let before = word.and_then(|(_, presented)| contents.purged_by(presented));
        let mut asked = word.map(|word| (word, Request::Purge { purge: request.clone() }));
        for chunk in chunks {
            // The word is weighed, and used up, with the first record; the others belong to the same purge.
            let asked = asked.take();
            let plan = self
                .node()
                .commit(|state, now| {
                    if early > 0 {
                        let reason = Reason::Retention { contents: early };
                        return Err(Refusal::on_node("purge", None, reason));
                    }
                    let draft = match &asked {
                        Some(((by, presented), request)) => {
                            let decided = govern::decided(state, now, by, request, presented);
                            decided.map_err(|no| match before {
                                Some(purge) => purge.tell(no),
                                None => no,
                            })?
                        }
                        None => Draft::default(),
                    };
                    let holds: Vec<Scope> = state.holds.values().map(|hold| hold.scope.clone()).collect();
                    let plan = PurgePlan::of(
                        chunk.iter().cloned(),
                        request,
                        now,
                        (&state.guards.retention, &holds),
                        passes,
                    );
                    if plan.due.is_empty() {
                        return Ok((draft, plan));
                    }
                    let purged = NodeEvent::Purged {
                        session: request.scope.session.clone(),
                        subject: request.scope.subject.clone(),
                        older_than: request.older_than,
                        contents: plan.due.len() as u64,
                        bytes: plan.bytes(),
                    };
                    let ids = plan.due.iter().map(|kept| kept.payload.id()).collect();
                    Ok((draft.purging(ids, purged), plan))
                })
                .await?;
            done.due.extend(plan.due);
            for (fate, (count, bytes)) in plan.stay {
                let (counts, all) = done.stay.entry(fate).or_default();
                (*counts, *all) = (*counts + count, *all + bytes);
            }
        }
        self.node().destroy().await?;
        Ok(done)
    }

    fn plan_under_lock(&self, kept: &[Kept], request: &PurgeRequest) -> Result<PurgePlan, Error> {
        self.node().read(|state, now| {
            let holds: Vec<Scope> = state.holds.values().map(|hold| hold.scope.clone()).collect();
            PurgePlan::of(kept.iter().cloned(), request, now, (&state.guards.retention, &holds), Early::Stays)
        })
    }

    /// Puts a hold on contents, those to come too; gives its number.
    ///
    /// # Errors
    /// [`Error::Log`], [`Error::Poisoned`].
    pub async fn hold(&self, scope: &Scope, reason: &str) -> Result<u32, Error> {
        self.node()
            .commit(|state, _| {
                let hold = state.next_hold;
                let (session, subject) = (scope.session.clone(), scope.subject.clone());
                let held = NodeEvent::Held { hold, session, subject, reason: reason.to_owned() };
                Ok((Draft::default().node(vec![held]), hold))
            })
            .await
    }

    /// Takes a hold off.
    ///
    /// # Errors
    /// [`Reason::NoHold`] where it is not on; [`Error::Log`], [`Error::Poisoned`].
    pub async fn release_hold(&self, hold: u32) -> Result<(), Error> {
        self.node()
            .commit(|state, _| {
                if !state.holds.contains_key(&hold) {
                    return Err(Refusal::on_node("release_hold", None, Reason::NoHold(hold)));
                }
                Ok((Draft::default().node(vec![NodeEvent::HoldReleased { hold }]), ()))
            })
            .await
    }
}

/// Takes up what an event says about holds; answers whether that was the next thing that could be said.
pub(crate) fn apply_hold(holds: &mut BTreeMap<u32, Hold>, event: &NodeEvent) -> bool {
    match event {
        NodeEvent::Held { hold, session, subject, reason } => {
            let scope = Scope { session: session.clone(), subject: subject.clone() };
            let new = Hold { number: *hold, scope, reason: reason.clone() };
            holds.insert(*hold, new).is_none()
        }
        NodeEvent::HoldReleased { hold } => holds.remove(hold).is_some(),
        _ => true,
    }
}
