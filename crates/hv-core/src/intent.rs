//! Intents: an agent signs what it will do, and every call of it is held against that from then on.
//!
//! An intent is a bond, no right. So it outlasts leaving and coming back, being put out and being killed, and ends by
//! its time alone; one after it may only be narrower, unless a witness consents.

use crate::error::{Error, Reason};
use crate::event::{NodeEvent, SessionEvent};
use crate::evidence::{self, Presented, Rejected, Rejection, Voice, voices};
use crate::hypervisor::{Hypervisor, find};
use crate::node::{Draft, Refusal};
use crate::state::{Slot, State};
use hv_identity::{Content, Envelope};
use hv_rings::intent::{Bounds, INTENT, Policy, Used, Wider};
use hv_rings::{Basis, Nonce, Ring};
use hv_session::{MemberRef, SessionDenial, SessionState};
use hv_types::wire::Reader;
use hv_types::{ActionId, BadIdent, Call, Did, Digest, Illegal, SessionId, Timestamp, Undecodable, Wire};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

mod held;
mod real;

pub use held::intent_evidence;
pub(crate) use held::{Intended, Use, files, possible_after, slashes, unknown, violation};
pub(crate) use real::{Looked, NOWHERE};

static BOUNDS_KEY: LazyLock<[u8; 32]> = LazyLock::new(|| blake3::derive_key("hv 2026 intent v1", &[]));

/// The digest of bounds: the parameters of the call that declares them.
#[must_use]
pub fn bounds_digest(bounds: &Bounds) -> Digest {
    Digest(*blake3::keyed_hash(&BOUNDS_KEY, &bounds.to_bytes()).as_bytes())
}

/// The call that an agent signs an intent on. `deadline` is the last point in time at which it may be declared.
///
/// # Errors
/// None in practice: the name of the action keeps to the grammar.
pub fn intent_call(
    session: &SessionId,
    agent: &Did,
    bounds: &Bounds,
    deadline: Timestamp,
) -> Result<Call, BadIdent> {
    Ok(Call {
        session: session.clone(),
        agent: agent.clone(),
        action: ActionId::new(INTENT)?,
        params: bounds_digest(bounds),
        deadline,
    })
}

/// What an agent is held to in a session, and how much of it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    bounds: Bounds,
    since: Timestamp,
    /// Whether the agent itself signed it.
    signed: bool,
    /// The calls within it.
    all: u32,
    of_action: BTreeMap<ActionId, u32>,
}

hv_types::wire_struct!(Intent { bounds, since, signed, all, of_action });

impl Intent {
    const fn new(bounds: Bounds, since: Timestamp, signed: bool) -> Self {
        Self { bounds, since, signed, all: 0, of_action: BTreeMap::new() }
    }

    /// What it lets through.
    #[must_use]
    pub const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The first point in time at which it holds.
    #[must_use]
    pub const fn since(&self) -> Timestamp {
        self.since
    }

    /// The last point in time at which it holds.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.since.after(self.bounds.lasts())
    }

    /// Whether the agent itself signed it; otherwise the operator set it before the session began.
    #[must_use]
    pub const fn signed(&self) -> bool {
        self.signed
    }

    /// What was called within it: all calls, and those of an action.
    #[must_use]
    pub fn used(&self, action: &ActionId) -> Used {
        Used { all: self.all, of_action: self.of_action.get(action).copied().unwrap_or(0) }
    }

    fn holds(&self, now: Timestamp) -> bool {
        now <= self.until()
    }
}

/// Why an intent is not declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDeclared {
    /// It lets through what the one in force does not.
    Wider {
        /// What.
        wider: Wider,
    },
    /// It lasts longer than the one in force.
    Longer {
        /// The last point in time at which that one holds.
        until: Timestamp,
    },
    /// It names somebody for whom the agent does not act in the session.
    OnBehalfOf {
        /// Whom.
        principal: Did,
    },
}

impl NotDeclared {
    pub(crate) fn needs(&self) -> String {
        match self {
            Self::Wider { .. } | Self::Longer { .. } => {
                "an intent no wider and no longer than the one in force, or the word of a witness on this one"
                    .to_owned()
            }
            Self::OnBehalfOf { .. } => "an intent for its own parent, or for nobody".to_owned(),
        }
    }
}

impl fmt::Display for NotDeclared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wider { wider } => write!(f, "{wider}"),
            Self::Longer { until } => {
                write!(f, "it lasts longer than the one in force, which holds until {until}")
            }
            Self::OnBehalfOf { principal } => write!(f, "the agent does not act for {principal} here"),
        }
    }
}

impl Hypervisor {
    /// Takes up the intent that a member signed: a statement of kind `intent` on the call that [`intent_call`] gives
    /// for these bounds, addressed to this node, in time, and used for the first time. From now on every call of the
    /// member is held against it, its parameters included, until it ends by its time.
    ///
    /// A later one may only narrow what is in force, by what is left of it; otherwise `presented` brings the word of
    /// a witness on the call of the new one.
    ///
    /// # Errors
    /// [`Reason::Evidence`] for a statement that does not count, [`Reason::Intent`] with the rule that says no,
    /// [`Reason::Late`], [`Reason::Killed`], [`Reason::Session`] where the signer is no member. Each refusal is on
    /// the trail with its reason. [`Error::Log`], [`Error::Poisoned`].
    pub async fn declare_intent(
        &self,
        session: &SessionId,
        envelope: &Envelope,
        bounds: &Bounds,
        presented: &Presented,
    ) -> Result<Intent, Error> {
        evidence::verify_ahead(self.node(), presented.statements().iter().chain([envelope]))?;
        self.node().commit(|state, now| declared(state, now, session, (envelope, bounds), presented)).await
    }

    /// Binds a member to bounds as the operator, before the session begins: nobody signs for it.
    ///
    /// # Errors
    /// [`Reason::Begun`] where it has begun, [`Reason::Session`] where the agent is no member;
    /// [`Error::NoSession`], [`Error::Log`], [`Error::Poisoned`].
    pub async fn bind_intent(&self, session: &SessionId, agent: &Did, bounds: &Bounds) -> Result<(), Error> {
        self.node()
            .commit(|state, now| {
                let slot = unbegun(state, "bind_intent", session)?;
                let member = member(slot, agent)?.ordinal;
                let bound = SessionEvent::IntentDeclared {
                    member,
                    bounds: bounds.clone(),
                    since: now,
                    voices: Vec::new(),
                };
                Ok((Draft::default().session(slot.stream, vec![bound]), ()))
            })
            .await
    }

    /// Sets what a session makes of intents, before it begins.
    ///
    /// # Errors
    /// [`Reason::Begun`] where it has begun; [`Error::NoSession`], [`Error::Log`], [`Error::Poisoned`].
    pub async fn rule_intents(&self, session: &SessionId, policy: Policy) -> Result<(), Error> {
        self.node()
            .commit(|state, _| {
                let slot = unbegun(state, "rule_intents", session)?;
                let ruled = vec![SessionEvent::IntentRuled { policy }];
                Ok((Draft::default().session(slot.stream, ruled), ()))
            })
            .await
    }

    /// What an agent is held to now in a session.
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::Poisoned`].
    pub fn intent(&self, session: &SessionId, agent: &Did) -> Result<Option<Intent>, Error> {
        self.node().read(|state, now| {
            let slot = state.slot(session).ok_or_else(|| Error::NoSession(session.clone()))?;
            Ok(slot.intent(slot.session.known(agent), now).cloned())
        })?
    }

    /// What a session makes of intents.
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::Poisoned`].
    pub fn intent_policy(&self, session: &SessionId) -> Result<Policy, Error> {
        self.node().read(|state, _| {
            let slot = state.slot(session).ok_or_else(|| Error::NoSession(session.clone()))?;
            Ok(slot.intents().map_or_else(Policy::default, |intents| intents.policy))
        })?
    }
}

/// The session, where it has not begun.
fn unbegun<'a>(
    state: &'a State,
    request: &'static str,
    session: &SessionId,
) -> Result<&'a Slot, Box<Refusal>> {
    let slot = find(state, request, session)?;
    if matches!(slot.session.state(), SessionState::Created | SessionState::Handshaking) {
        return Ok(slot);
    }
    Err(slot.refuse(request, None, None, Reason::Begun(session.clone())))
}

fn member<'a>(slot: &'a Slot, agent: &Did) -> Result<MemberRef<'a>, Box<Refusal>> {
    let stranger = || SessionDenial::NotAMember { did: agent.clone() };
    slot.session.member(agent).ok_or_else(|| slot.refuse_session("intent", Some(agent), stranger()))
}

fn declared(
    state: &State,
    now: Timestamp,
    session: &SessionId,
    (envelope, bounds): (&Envelope, &Bounds),
    presented: &Presented,
) -> Result<(Draft, Intent), Box<Refusal>> {
    let slot = find(state, "intent", session)?;
    let rejected = |rejected: Box<Rejected>| {
        let names = rejected.names.clone();
        let reason = Reason::Evidence(rejected.clone());
        slot.refuse("intent", names.as_ref(), None, reason).rejecting(vec![*rejected])
    };
    let reject = |rejection| rejected(Box::new(Rejected::of(envelope, rejection)));
    let uncounted = |refusal| reject(Rejection::NotCounted { refusal });
    let opened = evidence::opened(state, state.authority.config(), envelope, now).map_err(rejected)?;
    let statement = opened.statement();
    let (by, nonce) = (&statement.signer, Nonce(statement.nonce));
    let Content::Intent { call, on_behalf_of } = &statement.content else {
        return Err(reject(Rejection::OtherKind { kind: statement.content.kind() }));
    };
    if call.session != *session {
        return Err(uncounted(hv_rings::Refusal::ForeignSession));
    }
    let refuse = |reason| slot.refuse("intent", Some(by), Some(&call.action), reason);
    let own = intent_call(session, by, bounds, call.deadline).map_err(|bad| refuse(Reason::Ident(bad)))?;
    if *call != own {
        return Err(uncounted(hv_rings::Refusal::OtherCall));
    }
    if state.authority.spent().contains(by, nonce) {
        return Err(uncounted(hv_rings::Refusal::Replayed));
    }
    if call.deadline < now {
        return Err(refuse(Reason::Late(call.deadline)));
    }
    if let Some(killed) = state.kills.hit(session, by, Some(&call.action)) {
        return Err(refuse(killed));
    }
    let seat = member(slot, by)?;
    let parent = seat.parent.and_then(|parent| slot.session.by_ordinal(parent)).map(|parent| parent.did);
    if let Some(principal) = on_behalf_of.as_ref().filter(|principal| Some(*principal) != parent) {
        let why = NotDeclared::OnBehalfOf { principal: principal.clone() };
        return Err(refuse(Reason::Intent(why)));
    }
    let spent = NodeEvent::Spent { by: by.clone(), nonce, deadline: statement.deadline, at: now };
    let (mut spent, mut brought) = (vec![spent], Vec::new());
    let intent = Intent::new(bounds.clone(), now, true);
    if let Some(why) = slot.intent(Some(seat), now).and_then(|before| wider(&intent, before)) {
        let weighed =
            evidence::weigh((state, Some(slot), now), call, Ring::Root, presented, state.authority.spent());
        brought = weighed.rejected;
        let consented = weighed.evidence.witness().is_some() && now <= weighed.evidence.until(Basis::Witness);
        if !consented {
            return Err(refuse(Reason::Intent(why)).rejecting(brought));
        }
        spent.extend(evidence::spends(&weighed.evidence, Basis::Witness, now));
    }
    let voices = voices(&spent);
    let rejected = brought.into_iter().map(|rejected| SessionEvent::Rejected { rejected });
    let declared =
        SessionEvent::IntentDeclared { member: seat.ordinal, bounds: bounds.clone(), since: now, voices };
    let events = rejected.chain([declared]).collect();
    Ok((Draft::default().node(spent).session(slot.stream, events), intent))
}

/// What an intent lets through that one in force does not.
fn wider(intent: &Intent, before: &Intent) -> Option<NotDeclared> {
    let used = |of: Option<&ActionId>| match of {
        None => before.all,
        Some(action) => before.used(action).of_action,
    };
    if let Err(wider) = intent.bounds.narrows(&before.bounds, used) {
        return Some(NotDeclared::Wider { wider });
    }
    let until = before.until();
    (intent.until() > until).then_some(NotDeclared::Longer { until })
}

/// What a session makes of intents, and those of its members, by ordinal.
#[derive(Debug, Default)]
pub(crate) struct Intents {
    policy: Policy,
    of: BTreeMap<u32, Intent>,
}

impl Wire for Intents {
    fn put(&self, out: &mut Vec<u8>) {
        let Self { policy, of } = self;
        policy.put(out);
        of.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        Ok(Self { policy: Wire::take(reader)?, of: Wire::take(reader)? })
    }
}

impl Intents {
    pub(crate) const fn rule(&mut self, policy: Policy) {
        self.policy = policy;
    }

    pub(crate) fn declare(&mut self, member: u32, bounds: &Bounds, since: Timestamp, voices: &[Voice]) {
        self.of.insert(member, Intent::new(bounds.clone(), since, !voices.is_empty()));
    }

    /// One more call. INVARIANT (I1): of whoever has an intent, and no more of them than it lets through.
    pub(crate) fn count(&mut self, member: u32, action: &ActionId, consented: bool) -> Result<(), Illegal> {
        let intent = self.of.get_mut(&member).ok_or(Illegal::new("what is within an intent has one"))?;
        let (most, of_action) = (intent.bounds.calls(), intent.bounds.actions().get(action));
        let used = intent.used(action);
        let left = |most: Option<u32>, used| most.is_none_or(|most| used < most);
        let within =
            of_action.is_some_and(|allowed| left(allowed.calls, used.of_action)) && left(most, used.all);
        if !(within || consented) {
            return Err(Illegal::new("no more calls are within an intent than it lets through"));
        }
        intent.all = intent.all.saturating_add(1);
        let of_action = intent.of_action.entry(action.clone()).or_default();
        *of_action = of_action.saturating_add(1);
        Ok(())
    }

    fn of(&self, seat: Option<MemberRef<'_>>, now: Timestamp) -> Option<&Intent> {
        self.of.get(&seat?.ordinal).filter(|intent| intent.holds(now))
    }
}

impl Slot {
    /// The intent that somebody has in force.
    pub(crate) fn intent(&self, seat: Option<MemberRef<'_>>, now: Timestamp) -> Option<&Intent> {
        self.intents()?.of(seat, now)
    }
}
