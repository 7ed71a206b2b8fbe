//! What an embedding program calls.

use crate::adapters::{Heard, lower};
use crate::charges;
use crate::clock::{Clock, Time};
use crate::config::Config;
use crate::consequence;
use crate::elsewhere::Weighed;
use crate::error::{Error, Reason};
use crate::event::{NodeEvent, SessionEvent};
use crate::govern::NODE_SESSION;
use crate::guards::Guards;
use crate::handle::SessionHandle;
use crate::host::SagaHost;
use crate::node::{Draft, Node, Notice, Refusal};
use crate::open_trail::OpenTrail;
use crate::origin::Origin;
use crate::said::said;
use crate::state::{Slot, State, UNKNOWN_SIGMA, sagas_opened};
use hv_audit::{Log, MemoryLog};
use hv_liability::{
    Command as LedgerCommand, Event as LedgerEvent, Source as TrustSource, Stake, VouchOrder,
};
use hv_rings::class::{Claim, Override, Source};
use hv_rings::standing::{Cap, standing_under};
use hv_saga::{Growth, Plan, SagaCommand, SagaState};
use hv_session::{ConsistencyMode, Session, SessionCommand, SessionConfig, SessionState};
use hv_types::{
    ActionId, Did, Digest, Illegal, Machine, Reversibility, Ring, SagaId, SessionId, Sigma, Timestamp,
};
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

/// The supervisor: sessions, members, trust and sagas behind one gate, on one log.
///
/// Cloning gives another handle to the same node.
#[derive(Debug, Clone)]
pub struct Hypervisor {
    node: Node,
}

/// How an agent presents itself to a session.
#[derive(Debug, Clone)]
pub struct Entrant {
    did: Did,
    parent: Option<Did>,
    trust: Trust,
    caps: Vec<Cap>,
    claims: Vec<(ActionId, Claim)>,
    /// What it claims of its last sessions; nothing where it claims none.
    history: Option<Vec<Digest>>,
    /// What another node says of them.
    elsewhere: Option<Weighed>,
}

/// What is said about an agent that the ledger does not know. For one that it knows, this changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Said(Sigma, TrustSource),
    Nothing,
}

impl Entrant {
    /// An agent of whom nothing is said.
    #[must_use]
    pub const fn new(did: Did) -> Self {
        Self {
            did,
            parent: None,
            trust: Trust::Nothing,
            caps: Vec::new(),
            claims: Vec::new(),
            history: None,
            elsewhere: None,
        }
    }

    /// Who it is.
    #[must_use]
    pub const fn did(&self) -> &Did {
        &self.did
    }

    /// With a score for which the embedding program vouches. It opens the agent's account; for an agent that
    /// the ledger knows, its reputation there counts instead.
    #[must_use]
    pub fn with_sigma(self, sigma: Sigma) -> Self {
        Self { trust: Trust::Said(sigma, TrustSource::Asserted), ..self }
    }

    /// With the member of the session that made it and for which it acts there. It never stands above that one, and
    /// what it does that one could do itself; one that comes again keeps the parent that it had.
    #[must_use]
    pub fn with_parent(self, parent: Did) -> Self {
        Self { parent: Some(parent), ..self }
    }

    /// With what it claims of its last sessions.
    pub(crate) fn claiming(self, history: Vec<Digest>) -> Self {
        Self { history: Some(history), ..self }
    }

    /// With what another node says of its last sessions.
    pub(crate) fn weighed(self, weighed: Weighed) -> Self {
        Self { elsewhere: Some(weighed), ..self }
    }

    /// With a score that somebody else says.
    pub(crate) fn with_sigma_from(self, sigma: Sigma, source: TrustSource) -> Self {
        Self { trust: Trust::Said(sigma, source), ..self }
    }

    /// With a reason for which it stands no higher than a ring.
    #[must_use]
    pub fn with_cap(mut self, cap: Cap) -> Self {
        self.caps.push(cap);
        self
    }

    /// With what its manifest says about an action. It can make an action stricter, never laxer.
    #[must_use]
    pub fn with_claim(mut self, action: ActionId, claim: Claim) -> Self {
        self.claims.push((action, claim));
        self
    }
}

/// What every session is before it is created.
static UNBORN: LazyLock<Session> = LazyLock::new(Session::default);

impl Hypervisor {
    /// A node whose trail ends with the process.
    ///
    /// # Errors
    /// None that an empty log can cause.
    pub fn in_memory() -> Result<Self, Error> {
        let log = OpenTrail::from(Arc::<MemoryLog>::default());
        Ok(Self { node: Node::open(log, Time::System, |_| Ok(None))? })
    }

    /// A node on a log; its state is what the log says. Costs time in proportion to the log, unless that was spent
    /// already: see [`OpenTrail`].
    ///
    /// # Errors
    /// [`Error::Log`] where the log cannot be read or holds what no honest run could have written.
    pub fn open(log: impl Into<OpenTrail>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Ok(Self { node: Node::open(log.into(), clock.into(), |_| Ok(None))? })
    }

    /// As [`open`](Self::open), under these limits from here on; that they changed is recorded. Without it, those hold
    /// that were set last.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_guarded(
        log: impl Into<OpenTrail>,
        clock: Arc<dyn Clock>,
        guards: Guards,
    ) -> Result<Self, Error> {
        Ok(Self { node: Node::open(log.into(), clock.into(), |_| Ok(Some(guards)))? })
    }

    /// As [`open`](Self::open), under the limits that this makes of those that were set last; that they changed is
    /// recorded.
    ///
    /// # Errors
    /// [`Error::Setting`] where what is said does not go together; those of [`open`](Self::open).
    pub fn open_configured(
        log: impl Into<OpenTrail>,
        clock: Arc<dyn Clock>,
        config: &Config,
    ) -> Result<Self, Error> {
        let over = |kept: &Guards| config.over(kept).map_err(|bad| Error::Setting(Box::new(bad)));
        Self::open_with(log, clock, over)
    }

    /// As [`open`](Self::open), under the limits that are made of those that were set last; that they changed is
    /// recorded.
    ///
    /// # Errors
    /// What making them fails with; those of [`open`](Self::open).
    pub fn open_with(
        log: impl Into<OpenTrail>,
        clock: Arc<dyn Clock>,
        set: impl FnOnce(&Guards) -> Result<Guards, Error>,
    ) -> Result<Self, Error> {
        Ok(Self { node: Node::open(log.into(), clock.into(), |kept| set(kept).map(Some))? })
    }

    /// The limits that hold on this node.
    #[must_use]
    pub fn guards(&self) -> Guards {
        self.node.guards()
    }

    /// Another handle to the same node, for requests that come from there.
    ///
    /// They are limited before anything is looked at, as [`Guards::sources`] says, whoever they speak for; and what
    /// is refused of them counts together.
    #[must_use]
    pub fn at(&self, origin: Origin) -> Self {
        Self { node: self.node.at(origin) }
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// The log, for reading.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn Log> {
        self.node.log()
    }

    /// What is recorded from now on, once it is durable and in the order of the trail, also where nobody waits for it any
    /// more. A subscriber that falls more than 1024 batches behind misses the oldest, and is told how many; it holds
    /// nobody up.
    #[must_use]
    pub fn subscribe(&self) -> tokio::sync::broadcast::Receiver<Arc<Notice>> {
        self.node.subscribe()
    }

    /// The time that the next record would have.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.node.now()
    }

    /// The names of the sessions that have not ended, in order.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub fn open_sessions(&self) -> Result<Vec<SessionId>, Error> {
        self.node.read(|state, _| state.sessions().into_iter().collect())
    }

    /// Creates a session that agents can join.
    ///
    /// # Errors
    /// [`Reason::SessionExists`] where the name is taken, [`Reason::TooManySessions`]; [`Error::Log`], [`Error::Poisoned`].
    pub async fn create_session(
        &self,
        id: &SessionId,
        config: SessionConfig,
        creator: &Did,
    ) -> Result<SessionHandle, Error> {
        self.node
            .commit(|state, now| {
                if let Some(killed) = state.kills.hit(id, creator, None) {
                    return Err(Refusal::on_node("create_session", Some(creator), killed));
                }
                if state.slot(id).is_some() || id.as_str() == NODE_SESSION {
                    let reason = Reason::SessionExists(id.clone());
                    return Err(Refusal::on_node("create_session", Some(creator), reason));
                }
                let limit = state.guards.open_sessions;
                if state.opened_by(creator) >= limit {
                    let reason = Reason::TooManySessions { limit };
                    return Err(Refusal::on_node("create_session", Some(creator), reason));
                }
                let create = SessionCommand::Create { id: id.clone(), creator: creator.clone(), config };
                let mut draft = Draft::begin();
                draft.decide(&UNBORN, &create, now).map_err(|denial| {
                    Refusal::on_node("create_session", Some(creator), Reason::Session(Box::new(denial)))
                })?;
                Ok((draft.open(id.clone(), || SessionEvent::Ports { on: self.node.ports().on() }), ()))
            })
            .await?;
        Ok(SessionHandle::new(self.clone(), id.clone()))
    }

    /// Lets an agent join; gives the ring in which it stands.
    ///
    /// An agent whose σ_eff is below what the session asks joins all the same, capped at Ring 3. One of whom
    /// nothing is known counts as 0.50, which is Ring 3 too.
    ///
    /// # Errors
    /// [`Reason::Session`] where the session does not take it, [`Reason::Quarantined`] where it is under
    /// quarantine; [`Error::NoSession`], [`Error::Log`], [`Error::Poisoned`].
    pub async fn join_session(&self, session: &SessionId, entrant: &Entrant) -> Result<Ring, Error> {
        let heard = self.node.asked(session, &entrant.did).await?;
        self.node.commit(|state, now| join(state, now, session, entrant, heard)).await
    }

    /// Starts a session that somebody has joined.
    ///
    /// # Errors
    /// [`Reason::Session`] with both states where it cannot be; [`Error::NoSession`], [`Error::Log`],
    /// [`Error::Poisoned`].
    pub async fn activate_session(&self, session: &SessionId) -> Result<(), Error> {
        self.node
            .commit(|state, now| {
                let slot = find(state, "activate_session", session)?;
                let mut draft = Draft::begin().of(slot.stream);
                let decided = draft.decide(&slot.session, &SessionCommand::Activate, now);
                decided.map_err(|denial| slot.refuse_session("activate_session", None, denial))?;
                Ok((draft, ()))
            })
            .await
    }

    /// Whether a session takes calls.
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::Poisoned`].
    pub fn is_active(&self, session: &SessionId) -> Result<bool, Error> {
        self.node.read(|state, now| {
            let slot = state.slot(session).ok_or_else(|| Error::NoSession(session.clone()))?;
            Ok(slot.session.live(now))
        })?
    }

    /// Says something about an action in a session; what was said of it before still counts, and the strictest
    /// wins. What cannot be undone and is not read-only forces the session into the strong mode, whoever says it: so does
    /// the manifest of an agent that joins, and a step that has no undo when it is granted.
    ///
    /// # Errors
    /// [`Reason::Session`] where the session is over; [`Error::NoSession`], [`Error::Log`],
    /// [`Error::Poisoned`].
    pub async fn register_action(
        &self,
        session: &SessionId,
        action: &ActionId,
        claim: Claim,
    ) -> Result<(), Error> {
        self.node
            .commit(|state, now| {
                let slot = find(state, "register_action", session)?;
                Ok((said((slot, now), "register_action", action, (Source::Registry, claim))?, ()))
            })
            .await
    }

    /// Lets one member vouch for another: part of its reputation is locked, and lifts the other.
    ///
    /// # Errors
    /// [`Reason::Ledger`] with what would be possible; [`Reason::Session`] where one of them is no member;
    /// [`Error::NoSession`], [`Error::Log`], [`Error::Poisoned`].
    pub async fn vouch(
        &self,
        session: &SessionId,
        voucher: &Did,
        vouchee: &Did,
        stake: Stake,
    ) -> Result<(), Error> {
        self.node
            .commit(|state, now| Ok((vouched(state, now, session, (voucher, vouchee), stake)?, ())))
            .await?;
        self.reassess_everywhere(&BTreeSet::from([voucher.clone(), vouchee.clone()])).await
    }

    /// Records where agents stand now in every open session. The gate computes it anew for every call; this is
    /// for the reader.
    pub(crate) async fn reassess_everywhere(&self, agents: &BTreeSet<Did>) -> Result<(), Error> {
        let decide = |state: &State, now| {
            let parts = consequence::reassessed(state, agents, now);
            Ok((Draft::default().also(parts), ()))
        };
        self.node.commit(decide).await
    }

    /// Names the humans that vote in a session, all of them, before it begins.
    ///
    /// # Errors
    /// [`Reason::Begun`] where it has begun; [`Error::NoSession`], [`Error::Log`], [`Error::Poisoned`].
    pub async fn name_voters(&self, session: &SessionId, voters: &BTreeSet<Did>) -> Result<(), Error> {
        let named = SessionEvent::VotersNamed { voters: voters.iter().cloned().collect() };
        self.settle_before("name_voters", session, named).await
    }

    /// Sets on which terms an action's calls are decided in a session, in place of what the action counts as,
    /// before the session begins. Ring 0 and a risk of 0 are values like others.
    ///
    /// # Errors
    /// [`Reason::Begun`] where it has begun; [`Error::NoSession`], [`Error::Log`], [`Error::Poisoned`].
    pub async fn override_action(
        &self,
        session: &SessionId,
        action: &ActionId,
        set: Override,
    ) -> Result<(), Error> {
        let overridden = SessionEvent::Overridden { action: action.clone(), set };
        self.settle_before("override_action", session, overridden).await
    }

    /// Records what is settled before a session begins, so that nobody changes it under those who act in it.
    async fn settle_before(
        &self,
        request: &'static str,
        session: &SessionId,
        event: SessionEvent,
    ) -> Result<(), Error> {
        self.node
            .commit(|state, _| {
                let slot = find(state, request, session)?;
                if !matches!(slot.session.state(), SessionState::Created | SessionState::Handshaking) {
                    return Err(slot.refuse(request, None, None, Reason::Begun(session.clone())));
                }
                Ok((Draft::default().session(slot.stream, vec![event]), ()))
            })
            .await
    }

    /// Where a member of a session stands now, and its σ_eff for what can be undone entirely.
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::Poisoned`].
    pub fn standing(&self, session: &SessionId, agent: &Did) -> Result<(Sigma, Ring), Error> {
        self.node.read(|state, now| {
            let slot = state.slot(session).ok_or_else(|| Error::NoSession(session.clone()))?;
            let (sigma, standing) = state.standing(slot, agent, now);
            Ok((sigma, standing.ring()))
        })?
    }

    /// Creates a saga; nothing of it starts yet. `unproven` names the steps whose undo the operator accepts
    /// without proof.
    ///
    /// # Errors
    /// [`Reason::Saga`] where the definition is refused or the name is taken; [`Error::NoSession`],
    /// [`Error::Log`], [`Error::Poisoned`].
    pub async fn create_saga(
        &self,
        session: &SessionId,
        saga: &SagaId,
        plan: Plan,
        unproven: Vec<u32>,
    ) -> Result<SagaHost, Error> {
        self.saga(session, saga).accepting(unproven).create(plan).await
    }

    /// A saga of a session, for a driver.
    #[must_use]
    pub fn saga(&self, session: &SessionId, saga: &SagaId) -> SagaHost {
        SagaHost::new(self.node.clone(), session.clone(), saga.clone())
    }

    /// The names of a session's sagas: those that have ended, by name, and behind them those that run, in the order in which
    /// they were created. From memory where a counter names them, or where there are few; of many others the whole trail is
    /// read.
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::Log`], [`Error::Poisoned`].
    pub fn sagas(&self, session: &SessionId) -> Result<Vec<SagaId>, Error> {
        let (stream, sagas) = self.node.read(|state, _| {
            let slot = state.slot(session).ok_or_else(|| Error::NoSession(session.clone()))?;
            Ok::<_, Error>((slot.stream, slot.saga_ids()))
        })??;
        sagas.names(|| {
            let mut opened = Vec::new();
            self.log().replay(&mut |entry| match entry.stream == stream {
                true => sagas_opened(&entry, |id| opened.push(id.clone())),
                false => Ok(()),
            })?;
            Ok(opened)
        })
    }

    /// Keeps bytes with a session under a name, outside its records and so purgeable; a later note of the same
    /// name replaces this one.
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::Log`], [`Error::Poisoned`].
    pub async fn note(&self, session: &SessionId, key: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let payload = self.node.put_payload(bytes).await?;
        self.node
            .commit(|state, _| {
                let slot = find(state, "note", session)?;
                let noted = vec![SessionEvent::Noted { key: key.to_owned() }];
                Ok((Draft::default().session(slot.stream, noted).attaching(payload), ()))
            })
            .await
    }

    /// What was kept under a name.
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::Log`], [`Error::Poisoned`].
    pub fn noted(&self, session: &SessionId, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let id = self.node.read(|state, _| {
            let slot = state.slot(session).ok_or_else(|| Error::NoSession(session.clone()))?;
            Ok::<_, Error>(slot.note(key))
        })??;
        match id {
            Some(id) => Ok(self.node.log().payload(&id)?),
            None => Ok(None),
        }
    }

    /// Ends a session: its bonds are released, its stream is closed; gives the root over its records. A saga of
    /// which every step is done completes with it; one that takes more steps and has nothing to undo ends with it.
    ///
    /// # Errors
    /// [`Reason::SagaUnfinished`] where a saga still has to be driven to its end; [`Reason::Session`] where
    /// the session cannot end now; [`Error::NoSession`], [`Error::Log`], [`Error::Poisoned`].
    pub async fn terminate_session(&self, session: &SessionId) -> Result<Digest, Error> {
        let begin = |state: &State, now| {
            let slot = find(state, "terminate_session", session)?;
            // What ends with it is told before.
            match slot.running_sagas().next() {
                Some(_) => Ok(Draft::begin().session(slot.stream, finished(slot, now))),
                None => closed(state, slot, now),
            }
        };
        let reports = |state: &State| state.outbox.len();
        let mut ended = self.node.commit_closing(begin, reports).await?;
        if ended.is_none() {
            let end = |state: &State, now| closed(state, find(state, "terminate_session", session)?, now);
            ended = self.node.commit_closing(end, reports).await?;
        }
        let (root, reports) =
            ended.ok_or_else(|| Error::Illegal(Illegal::new("what is closed has a root")))?;
        if reports > 0 {
            Box::pin(self.deliver_reports()).await?;
        }
        Ok(root)
    }

    /// Ends the log cleanly: afterwards every byte of it is covered, and nothing can be appended through this
    /// node.
    ///
    /// # Errors
    /// [`Error::Log`], [`Error::Poisoned`].
    pub async fn seal(&self) -> Result<(), Error> {
        self.node.seal().await
    }
}

pub(crate) fn find<'a>(
    state: &'a State,
    request: &'static str,
    session: &SessionId,
) -> Result<&'a Slot, Box<Refusal>> {
    state.slot(session).ok_or_else(|| Refusal::no_session(request, None, session))
}

/// The end of a session.
fn closed(state: &State, slot: &Slot, now: Timestamp) -> Result<Draft, Box<Refusal>> {
    if let Some(saga) = slot.unfinished() {
        let reason = Reason::SagaUnfinished(saga.id.clone());
        return Err(slot.refuse("terminate_session", None, None, reason));
    }
    let mut draft = Draft::begin().closing(slot.stream);
    let decided = draft.decide(&slot.session, &SessionCommand::End, now);
    decided.map_err(|denial| slot.refuse_session("terminate_session", None, denial))?;
    // Mostly nobody vouched for anybody.
    if state.ledger.bond_count() == 0 {
        return Ok(draft);
    }
    let release = LedgerCommand::ReleaseSession { session: slot.ledger_no() };
    let released = state
        .ledger
        .decide(&release, now)
        .map_err(|denial| slot.refuse("terminate_session", None, None, Reason::Ledger(Box::new(denial))))?;
    Ok(draft.ledger(released))
}

/// The end of every saga that only waits to be told that no step follows.
fn finished(slot: &Slot, now: Timestamp) -> Vec<SessionEvent> {
    let mut finished = Vec::new();
    // What a rehearsal did must not stay.
    for (saga, named) in slot.numbered_sagas().filter(|(_, named)| !named.rehearsal) {
        let mut after = named.machine.clone();
        let events = after.decide(&SagaCommand::Finish, now).unwrap_or_default();
        let applied = events.iter().try_for_each(|event| after.apply(event)).is_ok();
        // One that takes no more steps is somebody's to drive; one that is planned as it goes may have been left.
        let left = after.state() == SagaState::Compensated && named.machine.growth() == Growth::Open;
        if applied && (after.state() == SagaState::Completed || left) {
            finished.extend(events.into_iter().map(|event| SessionEvent::Saga { saga, event }));
        }
    }
    finished
}

/// A vouch of one member for another.
pub(crate) fn vouched(
    state: &State,
    now: Timestamp,
    session: &SessionId,
    (voucher, vouchee): (&Did, &Did),
    stake: Stake,
) -> Result<Draft, Box<Refusal>> {
    let slot = find(state, "vouch", session)?;
    crate::preview::may_vouch(state, (session, slot), (voucher, vouchee))
        .map_err(|reason| slot.refuse("vouch", Some(voucher), None, reason))?;
    let order = VouchOrder {
        session: slot.ledger_no(),
        voucher: voucher.clone(),
        vouchee: vouchee.clone(),
        stake,
        expires: None,
    };
    let events = state.ledger.decide(&LedgerCommand::Vouch(order), now);
    let events = events
        .map_err(|denial| slot.refuse("vouch", Some(voucher), None, Reason::Ledger(Box::new(denial))))?;
    Ok(Draft::default().ledger(events))
}

pub(crate) fn join(
    state: &State,
    now: Timestamp,
    session: &SessionId,
    entrant: &Entrant,
    heard: Heard,
) -> Result<(Draft, Ring), Box<Refusal>> {
    let slot = find(state, "join", session)?;
    let Entrant { did, parent, trust, caps, claims, history, elsewhere } = entrant;
    if let Some(quarantined) = charges::quarantined(state, did, now) {
        return Err(slot.refuse("join", Some(did), None, quarantined));
    }
    if let Some(killed) = state.kills.hit(session, did, None) {
        return Err(slot.refuse("join", Some(did), None, killed));
    }
    let party = state.party(slot, did);
    let forces = claims.iter().any(|(action, claim)| slot.forces(Source::Manifest, action, claim));
    let needs = if forces { ConsistencyMode::Strong } else { ConsistencyMode::Eventual };
    let join = match parent {
        Some(parent) if party.seat.is_none() => {
            SessionCommand::AddChild { parent: parent.clone(), child: did.clone(), needs }
        }
        _ => SessionCommand::Join { did: did.clone(), needs },
    };
    let mut draft = Draft::begin().of(slot.stream);
    let joined = draft.decide(&slot.session, &join, now);
    joined.map_err(|denial| slot.refuse_session("join", Some(did), denial))?;
    let refuse_ledger = |denial| slot.refuse("join", Some(did), None, Reason::Ledger(Box::new(denial)));
    let mut sigma = UNKNOWN_SIGMA;
    let mut caps = caps.clone();
    let scored = slot.adapted.scored().then(|| match heard {
        Heard::Answer(answer) => answer,
        // Whom nobody has asked about is asked about before its first call.
        Heard::Unasked => state.scores.asked(did, now),
        Heard::NoScorer => Err("no trust scorer is connected".to_owned()),
    });
    // A scorer's answer counts where it is lower; where nothing else is said, it is what is said.
    let (said, answer) = match scored {
        None => (*trust, None),
        Some(Err(why)) => (*trust, Some(NodeEvent::Unscored { agent: did.clone(), why })),
        Some(Ok((scored, until))) => {
            let said = match *trust {
                Trust::Said(said, source) if said <= scored => Trust::Said(said, source),
                Trust::Said(..) | Trust::Nothing => Trust::Said(scored, TrustSource::Scored),
            };
            (said, Some(NodeEvent::Scored { agent: did.clone(), sigma: scored, until }))
        }
    };
    if party.account.is_some() {
        sigma = state.ledger.sigma_eff(did, slot.ledger_no(), Reversibility::Full, now);
        if let Some(NodeEvent::Scored { sigma: scored, .. }) = &answer {
            sigma = lower(sigma, state.ledger.reputation(did), *scored);
        }
    } else if let Trust::Said(said, source) = said {
        let endow = LedgerCommand::Endow { agent: did.clone(), sigma: said, source };
        state.ledger.decide_into(&endow, now, &mut draft.ledger).map_err(refuse_ledger)?;
        for event in &draft.ledger {
            if let LedgerEvent::Opened { sigma: opened, .. } = event {
                sigma = *opened;
            }
        }
        // Whoever is new has no history that could be checked, unless another node has one.
        if elsewhere.is_none() {
            caps.reserve_exact(1);
            caps.push(Cap::Probation);
        }
    }
    caps.extend(state.histories.cap(did, history.as_deref()));
    caps.extend(elsewhere.as_ref().and_then(Weighed::cap));
    let known = party.seat.map(|seat| seat.ordinal);
    let member = known.unwrap_or(u32::try_from(slot.session.roster().count()).unwrap_or(u32::MAX));
    let unscored = matches!(answer, Some(NodeEvent::Unscored { .. })).then_some(Cap::Unscored);
    let drifted = known.is_some_and(|member| slot.adapted.drifted(member)).then_some(Cap::Drift);
    let unseen = parent.is_none() && state.unseen(slot, &party, sigma);
    let standing = if unscored.is_none() && drifted.is_none() && unseen {
        standing_under(sigma, &caps, now)
    } else {
        // Whether the scorer's answer counts is settled by what it has just said.
        let seen = state.caps_now(slot, &party, parent.as_ref(), sigma, now);
        let seen = seen.iter().flatten().filter(|cap| **cap != Cap::Unscored);
        standing_under(sigma, caps.iter().chain(&unscored).chain(&drifted).chain(seen), now)
    };
    let ring = standing.ring();
    draft.events.extend(std::iter::once_with(|| SessionEvent::Assessed { member, sigma, ring, caps }));
    draft.events.extend(claims.iter().map(|(action, claim)| SessionEvent::Registered {
        action: action.clone(),
        source: Source::Manifest,
        claim: *claim,
    }));
    let weighed = elsewhere.as_ref().and_then(|weighed| weighed.event(did));
    let mut said = Vec::new();
    if let Some(answer) = answer {
        said.push(answer);
    }
    if let Some(weighed) = weighed {
        said.push(weighed);
    }
    Ok((draft.node(said), ring))
}
