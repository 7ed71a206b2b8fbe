//! Signed statements that are brought for one call, and what of them counts.
//!
//! A call is prepared before it is made, so that others can be asked about it: [`call_for`] gives it, with a
//! deadline that whoever prepares it chooses, the last point in time at which it may start. Votes and witnesses
//! speak of exactly this call. It covers the repetitions of the step that starts with it, up to the deadline, and
//! nothing else; what was said is used up when the first start is granted.

use crate::authority::NodeConfig;
use crate::error::Error;
use crate::event::NodeEvent;
use crate::grant::parameters_of;
use crate::node::Node;
use crate::state::{Slot, State};
use hv_identity::{Content, Envelope, KeyFault, Kind, PublicKey, Resolver, Statement as Signed, open};
use hv_liability::Ledger;
use hv_rings::quorum::{Electorate, NoQuorum, Verdict, Vote, tally};
use hv_rings::{Basis, Evidence, Nonce, Ring, Scope, Spent, Statement, witness};
use hv_saga::{Attempt, AttemptFacts, Purpose, StepDef};
use hv_types::{Call, Did, Digest, SagaId, SessionId, Timestamp, Wire};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// How many statements may be brought for one call.
pub const STATEMENTS_MAX: usize = 256;

/// What is brought for one call: the deadline with which it was prepared, and what others say about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presented {
    deadline: Timestamp,
    statements: Vec<Envelope>,
}

/// More statements than may be brought for one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyStatements {
    /// How many.
    pub count: usize,
}

impl fmt::Display for TooManyStatements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {STATEMENTS_MAX} statements may be brought for a call; these are {}", self.count)
    }
}

impl std::error::Error for TooManyStatements {}

impl Presented {
    /// Statements for the call that was prepared with this deadline.
    ///
    /// # Errors
    /// [`TooManyStatements`] for more than [`STATEMENTS_MAX`].
    pub fn new(deadline: Timestamp, statements: Vec<Envelope>) -> Result<Self, TooManyStatements> {
        match statements.len() {
            count if count > STATEMENTS_MAX => Err(TooManyStatements { count }),
            _ => Ok(Self { deadline, statements }),
        }
    }

    /// The last point in time at which the call may start.
    #[must_use]
    pub const fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// Those of a kind, and the others.
    pub(crate) fn apart(&self, kind: Kind) -> (Self, Self) {
        let of_kind = |envelope: &Envelope| Kind::of_payload_type(envelope.payload_type()) == Some(kind);
        let (of, others) = self.statements.iter().cloned().partition(of_kind);
        let with = |statements| Self { deadline: self.deadline, statements };
        (with(of), with(others))
    }

    /// What is brought.
    #[must_use]
    pub fn statements(&self) -> &[Envelope] {
        &self.statements
    }
}

/// The call that a step of a saga makes when it is executed, with the deadline that is chosen for it: what
/// others are asked about, and what [`SagaHost::presenting`](crate::SagaHost::presenting) brings.
///
/// The same for every attempt at the step, and for no other step: its parameters are a digest of the saga's
/// name, the step's name and place, and its task.
#[must_use]
pub fn call_for(
    session: &SessionId,
    saga: &SagaId,
    ordinal: u32,
    step: &StepDef,
    deadline: Timestamp,
) -> Call {
    let attempt = Attempt::from(AttemptFacts {
        session: session.clone(),
        saga: saga.clone(),
        step: step.id.clone(),
        ordinal,
        agent: step.agent.clone(),
        action: step.action.clone(),
        purpose: Purpose::Execute,
        number: 1,
        task: Arc::clone(&step.execute),
        deadline,
    });
    call_with(&attempt, deadline)
}

/// The call that an attempt makes, prepared with this deadline.
pub(crate) fn call_with(attempt: &Attempt, deadline: Timestamp) -> Call {
    Call {
        session: attempt.session.clone(),
        agent: attempt.agent.clone(),
        action: attempt.action.clone(),
        params: parameters_of(attempt),
        deadline,
    }
}

/// A statement that was brought and does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Digest of the envelope.
    pub envelope: Digest,
    /// Who made it, by its own account; nothing is proven by that.
    pub names: Option<Did>,
    /// Why it does not count.
    pub rejection: Rejection,
}

/// Why a statement does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// Its envelope does not open: form, audience, time, key or signature.
    Unopened {
        /// Why not.
        refusal: hv_identity::Refusal,
    },
    /// It does not speak of this call, or its author has no say in it.
    NotCounted {
        /// Why not.
        refusal: hv_rings::Refusal,
    },
    /// It is of a kind that says nothing about what was asked for.
    OtherKind {
        /// Its kind.
        kind: Kind,
    },
    /// The node has no name to which it could be addressed.
    NotConfigured,
    /// Its author is no verifier of this node.
    NotAVerifier,
}

/// Somebody whose word was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voice {
    /// Who.
    pub by: Did,
    /// The nonce of its statement.
    pub nonce: Nonce,
}

hv_types::wire_struct!(Rejected { envelope, names, rejection });
hv_types::wire_enum!(Rejection {
    0 => Unopened { refusal },
    1 => NotCounted { refusal },
    2 => OtherKind { kind },
    3 => NotConfigured {},
    4 => NotAVerifier {},
});
hv_types::wire_struct!(Voice { by, nonce });

impl Rejection {
    /// One word for the reason, for programs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        use hv_rings::Refusal as Rule;
        match self {
            Self::Unopened { refusal } => refusal.name(),
            Self::NotCounted { refusal } => match refusal {
                Rule::ForeignAudience => "foreign_audience",
                Rule::ForeignSession => "foreign_session",
                Rule::OtherCall => "other_call",
                Rule::Expired { .. } => "expired",
                Rule::TooFarAhead { .. } => "too_far_ahead",
                Rule::Replayed => "replayed",
                Rule::ByActor => "by_actor",
                Rule::ByTied => "by_tied",
                Rule::NotEligible => "not_eligible",
                Rule::Duplicate => "duplicate",
            },
            Self::OtherKind { .. } => "other_kind",
            Self::NotConfigured => "not_configured",
            Self::NotAVerifier => "not_a_verifier",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unopened { refusal } => refusal.fmt(f),
            Self::NotCounted { refusal } => refusal.fmt(f),
            Self::OtherKind { kind } => write!(f, "a statement of kind `{kind}` says nothing about this"),
            Self::NotConfigured => f.write_str("this node has no name yet; configure it first"),
            Self::NotAVerifier => {
                f.write_str("its author is none of the verifiers that this node listens to")
            }
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.names {
            Some(names) => write!(f, "the statement of {names} does not count: {}", self.rejection),
            None => write!(f, "a statement does not count: {}", self.rejection),
        }
    }
}

static ENVELOPE_KEY: LazyLock<[u8; 32]> = LazyLock::new(|| blake3::derive_key("hv 2026 envelope v1", &[]));

impl Rejected {
    /// `names` is the author as far as the payload can be read at all.
    pub(crate) fn of(envelope: &Envelope, rejection: Rejection) -> Self {
        let statement = envelope.statement().ok();
        let digest = Digest(*blake3::keyed_hash(&ENVELOPE_KEY, &envelope.to_bytes()).as_bytes());
        Self { envelope: digest, names: statement.map(|statement| statement.signer), rejection }
    }
}

/// The keys as they are when they are asked for, each behind the node's lock for as long as that takes.
struct KeysOf<'a>(&'a Node);

impl KeysOf<'_> {
    fn ask<T>(&self, ask: impl FnOnce(&hv_identity::Registry) -> T) -> Result<T, Error> {
        self.0.read(|state, _| ask(state.authority.keys()))
    }
}

impl Resolver for KeysOf<'_> {
    fn key(&self, did: &Did, at: Timestamp) -> Result<PublicKey, KeyFault> {
        self.ask(|keys| keys.key(did, at)).unwrap_or(Err(KeyFault::Unreachable))
    }

    fn speaks(&self, did: &Did, key: &PublicKey, at: Timestamp) -> bool {
        self.ask(|keys| keys.speaks(did, key, at)).unwrap_or(false)
    }

    fn other_key(&self, did: &Did, key: &PublicKey, at: Timestamp) -> Option<KeyFault> {
        self.ask(|keys| keys.other_key(did, key, at)).unwrap_or(None)
    }
}

/// Verifies signatures before the node's lock is taken, so that nobody waits for it behind the lock. What comes of
/// it is known to the envelopes; that a key still speaks for whoever signed is asked again under the lock, where
/// everything is decided. Nothing counts by this alone.
pub(crate) fn verify_ahead<'a>(
    node: &Node,
    envelopes: impl IntoIterator<Item = &'a Envelope>,
) -> Result<(), Error> {
    let mut envelopes = envelopes.into_iter().peekable();
    // For whoever knocks too often nothing is done.
    if envelopes.peek().is_none() || !node.listens() {
        return Ok(());
    }
    let name = node.read(|state, _| state.authority.config().map(|config| config.node().clone()))?;
    let Some(name) = name else { return Ok(()) };
    for envelope in envelopes {
        // Why it does not count is said by whoever decides.
        let _ = open(envelope, &KeysOf(node), &name, node.now());
    }
    Ok(())
}

/// Opens an envelope for this node.
pub(crate) fn opened(
    state: &State,
    config: Option<&NodeConfig>,
    envelope: &Envelope,
    now: Timestamp,
) -> Result<hv_identity::Opened, Box<Rejected>> {
    let rejected = |why| Box::new(Rejected::of(envelope, why));
    let Some(config) = config else { return Err(rejected(Rejection::NotConfigured)) };
    open(envelope, state.authority.keys(), config.node(), now)
        .map_err(|refusal| rejected(Rejection::Unopened { refusal }))
}

/// What of a presentation counts.
#[derive(Debug, Default)]
pub(crate) struct Weighed {
    pub(crate) evidence: Evidence,
    pub(crate) rejected: Vec<Rejected>,
    /// How far the votes are from a quorum, where there is none.
    pub(crate) short: Option<NoQuorum>,
}

/// Holds what is brought against the rules of the ring that the call needs: votes for Ring 1, witnesses for
/// Ring 0. What needs neither is not looked at.
///
/// Costs for Ring 1 the session's members and the vouch component of the actor. Whoever decides under the lock
/// [verifies ahead](verify_ahead): then no signature is verified here unless a key changed in between.
pub(crate) fn weigh(
    (state, slot, now): (&State, Option<&Slot>, Timestamp),
    call: &Call,
    need: Ring,
    presented: &Presented,
    spent: &Spent,
) -> Weighed {
    let mut weighed = Weighed::default();
    let wanted = match need {
        Ring::Root => Kind::Witness,
        Ring::Privileged => Kind::Vote,
        Ring::Standard | Ring::Sandbox => return weighed,
    };
    let config = state.authority.config();
    let mut said = Vec::new();
    for envelope in presented.statements() {
        match opened(state, config, envelope, now) {
            Err(rejected) => weighed.rejected.push(*rejected),
            Ok(opened) => match plain(opened.into_statement()) {
                Ok(vote) if vote.0 == wanted => said.push((envelope, vote.1)),
                Ok((kind, _)) | Err(kind) => {
                    let rejection = Rejection::OtherKind { kind };
                    weighed.rejected.push(Rejected::of(envelope, rejection));
                }
            },
        }
    }
    let Some(config) = config else { return weighed };
    let tied = tied(state, slot, &call.agent, now);
    let scope = Scope { node: config.node(), call, tied: &tied, spent, now };
    match need {
        Ring::Root => {
            for (envelope, vote) in said {
                match witness::check(&scope, config.witnesses(), &vote.statement) {
                    Ok(witness) if weighed.evidence.witness().is_none() => {
                        weighed.evidence = weighed.evidence.with_witness(witness);
                    }
                    Ok(_) => weighed.reject(envelope, hv_rings::Refusal::Duplicate),
                    Err(refusal) => weighed.reject(envelope, refusal),
                }
            }
        }
        _ => {
            let standing = |member: hv_session::MemberRef<'_>| {
                let slot = slot?;
                let (_, standing) = state.standing(slot, member.did, now);
                Some((member.did.clone(), standing.ring()))
            };
            let members = slot.into_iter().flat_map(|slot| slot.session.members());
            let members = members.filter_map(standing).collect();
            let nobody = BTreeSet::new();
            let humans = slot.map_or(&nobody, Slot::voters);
            let electorate = Electorate { members: &members, humans };
            let votes: Vec<Vote> = said.iter().map(|(_, vote)| vote.clone()).collect();
            match tally(&scope, &electorate, &votes) {
                Ok(quorum) => {
                    weighed.refused(&said, quorum.refused());
                    weighed.evidence = weighed.evidence.with_quorum(quorum);
                }
                Err(short) => {
                    weighed.refused(&said, &short.refused);
                    weighed.short = Some(short);
                }
            }
        }
    }
    weighed
}

impl Weighed {
    fn reject(&mut self, envelope: &Envelope, refusal: hv_rings::Refusal) {
        self.rejected.push(Rejected::of(envelope, Rejection::NotCounted { refusal }));
    }

    /// The votes that a tally refused, which come in the order in which they were given.
    fn refused(&mut self, said: &[(&Envelope, Vote)], refused: &[(Did, hv_rings::Refusal)]) {
        let mut left = said.iter();
        for (by, refusal) in refused {
            if let Some((envelope, _)) = left.find(|(_, vote)| vote.statement.by == *by) {
                self.reject(envelope, *refusal);
            }
        }
    }
}

/// A vote or a witness's word as the rules take it; the kind of anything else. A witness's word is for the call.
fn plain(signed: Signed) -> Result<(Kind, Vote), Kind> {
    let Signed { audience, signer, nonce, deadline, content } = signed;
    let kind = content.kind();
    let (call, verdict) = match content {
        Content::Vote { call, verdict: hv_identity::Verdict::For } => (call, Verdict::For),
        Content::Vote { call, verdict: hv_identity::Verdict::Against } => (call, Verdict::Against),
        Content::Witness { call } => (call, Verdict::For),
        _ => return Err(kind),
    };
    let statement = Statement { by: signer, audience, call, nonce: Nonce(nonce), deadline };
    Ok((kind, Vote { statement, verdict }))
}

/// Everybody who is tied to an agent: those it acts for, and whoever is connected by vouching, in whichever
/// direction, with it or with them.
fn tied(state: &State, slot: Option<&Slot>, agent: &Did, now: Timestamp) -> BTreeSet<Did> {
    let mut tied = BTreeSet::new();
    let mut waiting = vec![agent.clone()];
    // A parent's ordinal is smaller than its child's, so the line ends.
    let mut line = slot.and_then(|slot| slot.session.known(agent));
    while let Some(parent) = line.and_then(|member| member.parent) {
        line = slot.and_then(|slot| slot.session.by_ordinal(parent));
        waiting.extend(line.map(|member| member.did.clone()));
    }
    while let Some(did) = waiting.pop() {
        if tied.insert(did.clone()) {
            waiting.extend(neighbours(&state.ledger, &did, now));
        }
    }
    tied.remove(agent);
    tied
}

fn neighbours(ledger: &Ledger, did: &Did, now: Timestamp) -> Vec<Did> {
    let matrix = ledger.matrix(now);
    let vouchers = matrix.vouchers_of(did).into_iter().map(|bond| bond.voucher);
    let vouchees = matrix.vouched_by(did).into_iter().map(|bond| bond.vouchee);
    vouchers.chain(vouchees).filter_map(|agent| ledger.did(agent).cloned()).collect()
}

/// What a permission uses up, to be recorded in the batch that gives it.
pub(crate) fn spends(evidence: &Evidence, basis: Basis, at: Timestamp) -> Vec<NodeEvent> {
    let spent = evidence.spends(basis);
    spent.map(|(by, nonce, deadline)| NodeEvent::Spent { by: by.clone(), nonce, deadline, at }).collect()
}

/// Whose word that was.
pub(crate) fn voices(spent: &[NodeEvent]) -> Vec<Voice> {
    spent.iter().filter_map(voice).collect()
}

/// Whose word was used by this, if it is that.
pub(crate) fn voice(event: &NodeEvent) -> Option<Voice> {
    match event {
        NodeEvent::Spent { by, nonce, .. } => Some(Voice { by: by.clone(), nonce: *nonce }),
        _ => None,
    }
}

/// The register of used statements as a start sees it: what was used for this very step counts for its
/// repetitions, and what others of the same decision use is used up.
pub(crate) fn spent_for<'a>(spent: &'a Spent, own: &[Voice], also: &[NodeEvent]) -> Cow<'a, Spent> {
    if own.is_empty() && also.is_empty() {
        return Cow::Borrowed(spent);
    }
    let mut seen = Spent::default();
    for (by, nonce, deadline) in spent.iter() {
        if !own.iter().any(|voice| voice.by == *by && voice.nonce == nonce) {
            seen.spend(by, nonce, deadline);
        }
    }
    for event in also {
        if let NodeEvent::Spent { by, nonce, deadline, .. } = event {
            seen.spend(by, *nonce, *deadline);
        }
    }
    Cow::Owned(seen)
}
