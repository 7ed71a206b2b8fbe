//! What the records of each stream say.
//!
//! The body of a record is a version byte and one or more events, until the bytes end.

use crate::adapters::{DriftRecord, PortsOn};
use crate::error::Reason;
use crate::guards::Guards;
use crate::item::{Retried, Settlement};
use hv_integrations::anchor::AnchorState;
use hv_rings::breach::Breach;
use hv_rings::class::{Claim, Override, Source};
use hv_rings::elevation::Elevation;
use hv_rings::intent::{Bounds, Policy};
use hv_rings::standing::Cap;
use hv_rings::{Basis, Nonce};
use hv_types::{ActionId, Did, Digest, Ring, SagaId, SessionId, Sigma, Timestamp};
use std::fmt;
use std::time::Duration;

mod body;

pub use body::read_body;
pub(crate) use body::{put_body, put_moves, put_session};

pub use crate::authority::NodeConfig;
pub use crate::evidence::{Rejected, Rejection, Voice};
pub use crate::folding::{Folded, FoldedAsker, FoldedKind, Source as FoldedSource};
pub use crate::reduce::AgentKept;
pub use hv_identity::registry::Event as KeyEvent;
pub use hv_liability::Event as LedgerEvent;
pub use hv_saga::SagaEvent;
pub use hv_session::SessionEvent as MembershipEvent;

/// The version of the records that are written.
pub const RECORD_VERSION: u8 = 2;

/// What the node stream says besides what the log itself keeps there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeEvent {
    /// A request that concerns no session was refused.
    Denied {
        /// By what rule, to whom, and what would be enough.
        denial: Denial,
    },
    /// Whom the node listens to was set.
    Configured {
        /// All of it, from now on.
        config: Box<NodeConfig>,
        /// Who set it.
        by: Did,
        /// Whose word let that pass; nobody's for the first one, which nobody could be asked about.
        witness: Option<Did>,
    },
    /// A key was bound, replaced or revoked.
    Key {
        /// What the registry of keys says.
        event: KeyEvent,
    },
    /// A signed statement was used, and cannot be used again.
    Spent {
        /// Who made it.
        by: Did,
        /// Its nonce.
        nonce: Nonce,
        /// The last point in time at which it would have counted.
        deadline: Timestamp,
        /// When it was used.
        at: Timestamp,
    },
    /// A signed statement that was brought does not count.
    Rejected {
        /// Which, and why.
        rejected: Rejected,
    },
    /// The supervisor itself was changed, in Ring 0; what was changed stands in the same batch.
    Governed {
        /// What was done.
        action: ActionId,
        /// Digest of what exactly.
        params: Digest,
        /// Who did it.
        by: Did,
        /// Whose word let it pass.
        witness: Did,
    },
    /// A charge is contested; it then waits for a ruling.
    Contested {
        /// The charge, by its evidence.
        charge: Digest,
        /// Digest of what is brought against it.
        grounds: Digest,
    },
    /// A person has seen to what could not be undone.
    ItemSettled {
        /// The stream of its session.
        stream: u32,
        /// The saga's number in it.
        saga: u32,
        /// The step's ordinal.
        step: u32,
        /// What was made of it.
        how: Settlement,
        /// Who did it; whose word let it pass stands before.
        by: Did,
        /// When.
        at: Timestamp,
    },
    /// The undo of what could not be undone is tried once more, and then its probe asked, if it has one.
    UndoGranted {
        /// The stream of its session.
        stream: u32,
        /// The saga's number in it.
        saga: u32,
        /// The step's ordinal.
        step: u32,
        /// Which attempt to undo it is, counted from 1 on over all of them.
        number: u32,
        /// Digest of the parameters of the call.
        params: Digest,
        /// The last point in time at which it may start.
        deadline: Timestamp,
        /// Who asked for it; whose word let it pass stands before.
        by: Did,
    },
    /// What came of that.
    UndoEnded {
        /// The stream of its session.
        stream: u32,
        /// The saga's number in it.
        saga: u32,
        /// The step's ordinal.
        step: u32,
        /// Which attempt it was.
        number: u32,
        /// What came of it.
        result: Retried,
    },
    /// The undo of an action counts again in a session, though it failed there.
    UndoRestored {
        /// The stream of the session.
        stream: u32,
        /// The action.
        action: ActionId,
        /// Who asked for it; whose word let it pass stands before.
        by: Did,
    },
    /// Refusals came too fast to be told one by one.
    Folded {
        /// How many of what kind.
        folded: Box<Folded>,
    },
    /// An agent called above its ring too often, and the breaker opened: it stands in Ring 3 everywhere.
    Tripped {
        /// The agent.
        agent: Did,
        /// How its calls became too many.
        breach: Breach,
        /// The last point in time at which the breaker is open.
        until: Timestamp,
    },
    /// Whoever opened the log set the limits that hold from here on.
    Guarded {
        /// All of them.
        guards: Box<Guards>,
    },
    /// Nothing of the target starts any more.
    Killed {
        /// What was killed.
        target: KillTarget,
        /// Who asked for it, where that is known.
        by: Option<Did>,
        /// Why.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// What came of stopping what was under way.
    KillAnswered {
        /// What was killed.
        target: KillTarget,
        /// What came of it.
        answer: KillAnswer,
    },
    /// A kill does not hold any more.
    KillLifted {
        /// What was killed.
        target: KillTarget,
        /// Who asked for it, where that is known.
        by: Option<Did>,
        /// Why.
        reason: String,
    },
    /// What was kept to open the node sooner could not be used, so everything was read.
    SnapshotUnusable {
        /// The batch that names it.
        batch: u64,
        /// Why.
        why: String,
    },
    /// A write to a file was answered before it was durable, and a crash took it; somebody has shown the receipt.
    WriteLost {
        /// The session.
        session: SessionId,
        /// Its stream.
        stream: u32,
        /// The place that its record had there; another one may have it now.
        seq: u64,
        /// The hash of its record.
        record: Digest,
    },
    /// Contents are purged; the log's own record names them.
    Purged {
        /// Those of this session.
        session: Option<SessionId>,
        /// Those of this agent.
        subject: Option<Did>,
        /// Those at least so old; without it, those that need not be kept any longer.
        older_than: Option<Duration>,
        /// How many they are.
        contents: u64,
        /// How many bytes they have.
        bytes: u64,
    },
    /// The records of a session are destroyed up to their hashes; the log's own record says which and what is left. What
    /// they said of agents that outlives the session is told here.
    Reduced {
        /// The session.
        session: SessionId,
        /// Its stream.
        stream: u32,
        /// Who was in it, and what is known of them by now, from this session and all others.
        agents: Vec<AgentKept>,
    },
    /// A hold is put on contents, those to come too.
    Held {
        /// Its number.
        hold: u32,
        /// On those of this session.
        session: Option<SessionId>,
        /// On those of this agent.
        subject: Option<Did>,
        /// Why.
        reason: String,
    },
    /// A hold is taken off.
    HoldReleased {
        /// Its number.
        hold: u32,
    },
    /// A checkpoint of the node's stream is to be anchored.
    AnchorQueued {
        /// The anchor's number.
        anchor: u32,
        /// Where.
        target: String,
        /// Records of the node's stream that the checkpoint is over.
        size: u64,
        /// The root over them.
        root: Digest,
        /// What is anchored: SHA-256 over the checkpoint's text.
        digest: Digest,
    },
    /// What is anchored moved on.
    AnchorMoved {
        /// The anchor's number.
        anchor: u32,
        /// Where it stands.
        state: AnchorState,
        /// What was made ready, sent or received.
        receipt: Vec<u8>,
    },
    /// What another node says of an agent's last sessions was weighed.
    HistoryWeighed {
        /// The agent.
        agent: Did,
        /// The other node, by the name of its log.
        node: String,
        /// How many sessions it proves; 0 where it does not hold.
        sessions: u32,
        /// The last point in time at which it counts.
        until: Timestamp,
        /// Why it does not hold, where it does not.
        flaw: Option<String>,
    },
    /// The scorer took note of something that happened to an agent; what it said of it before counts no more.
    Reported {
        /// The key of the report: what proves a slash, or names an outcome.
        key: Digest,
        /// The agent.
        agent: Did,
    },
    /// The scorer takes no reports. They wait; this is said once until it takes one again.
    Unreported {
        /// Why.
        why: String,
    },
    /// The scorer said what an agent counts for at most.
    Scored {
        /// The agent.
        agent: Did,
        /// So much.
        sigma: Sigma,
        /// Until when the answer counts.
        until: Timestamp,
    },
    /// The scorer gave no answer about an agent that counts, so it stands in Ring 3.
    Unscored {
        /// The agent.
        agent: Did,
        /// Why.
        why: String,
    },
}

/// What the kill switch stops.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum KillTarget {
    /// Everything.
    All {},
    /// One session.
    Session {
        /// Its name.
        id: SessionId,
    },
    /// One agent, in every session.
    Agent {
        /// Who.
        did: Did,
    },
    /// One action, in every session.
    Action {
        /// Which.
        action: ActionId,
    },
}

/// What came of stopping what was under way when something was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KillAnswer {
    /// It has stopped.
    Stopped {},
    /// It could not be stopped.
    Failed {
        /// Why, at most 512 bytes.
        why: String,
    },
    /// No answer came in time.
    Late {},
}

/// What the stream of a session says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// Members, lifecycle and files changed.
    Session {
        /// What the session's machine says.
        event: MembershipEvent,
    },
    /// A member's standing was assessed.
    Assessed {
        /// The member's ordinal.
        member: u32,
        /// Its σ_eff at that time, for what can be undone entirely.
        sigma: Sigma,
        /// Its standing ring.
        ring: Ring,
        /// What keeps it from standing higher, whatever its score.
        caps: Vec<Cap>,
    },
    /// Somebody said something about an action; what was said of it before still counts.
    Registered {
        /// The action.
        action: ActionId,
        /// Who says it.
        source: Source,
        /// What is said.
        claim: Claim,
    },
    /// A saga begins; the ones after it are numbered on.
    SagaOpened {
        /// Its name.
        id: SagaId,
        /// The steps whose undo the operator accepts without proof, by ordinal.
        unproven: Vec<u32>,
    },
    /// A saga changed.
    Saga {
        /// The saga's number in its session.
        saga: u32,
        /// What the saga's machine says.
        event: SagaEvent,
    },
    /// The gate let one attempt pass: the one that starts in the event before, with what its step says.
    Granted {
        /// The last point in time at which it may start.
        deadline: Timestamp,
        /// The ring that it needs.
        ring: Ring,
        /// The agent's σ_eff at that time, for the action's class.
        sigma: Sigma,
    },
    /// A request was refused.
    Denied {
        /// By what rule, to whom, and what would be enough.
        denial: Denial,
    },
    /// The embedding program keeps something under a name: the record's attachment.
    Noted {
        /// The name; a later note of the same name replaces an earlier one.
        key: String,
    },
    /// The human voters of the session were named.
    VotersNamed {
        /// All of them, in order.
        voters: Vec<Did>,
    },
    /// The operator set on which terms an action's calls are decided here.
    Overridden {
        /// The action.
        action: ActionId,
        /// What is set; nothing takes back what was set before.
        set: Override,
    },
    /// The start that is granted next rests on the word of others.
    Certified {
        /// The saga's number in its session.
        saga: u32,
        /// The step's ordinal.
        step: u32,
        /// Digest of the parameters of the call, which is what was signed.
        params: Digest,
        /// On what: a quorum or a witness.
        basis: Basis,
        /// The last point in time at which it counts.
        until: Timestamp,
        /// Whose word, in order.
        voices: Vec<Voice>,
    },
    /// A signed statement that was brought does not count.
    Rejected {
        /// Which, and why.
        rejected: Rejected,
    },
    /// A member may do named actions of Ring 1 without a quorum for each, for a time.
    Elevated {
        /// What was asked for, and since when it holds.
        elevation: Box<Elevation>,
        /// Whose word it rests on, in order.
        voices: Vec<Voice>,
    },
    /// What the session makes of intents.
    IntentRuled {
        /// All of it, from now on.
        policy: Policy,
    },
    /// A member is held to what is named here, in place of what it was held to before.
    IntentDeclared {
        /// The member's ordinal.
        member: u32,
        /// What its calls may do.
        bounds: Bounds,
        /// The first point in time at which it holds.
        since: Timestamp,
        /// Whose word it rests on: the member's, and a witness's where it is wider than the one before; nobody's
        /// where the operator set it.
        voices: Vec<Voice>,
    },
    /// What is granted next, or the change of a file in this record, counts as a call within its agent's intent.
    IntentUsed {
        /// The member's ordinal.
        member: u32,
        /// The action.
        action: ActionId,
        /// Whether it is outside, and passes by the word of a witness.
        consented: bool,
    },
    /// The undo of a step that was appended counts without proof: it is a function of the embedding program.
    UndoAccepted {
        /// The saga's number in its session.
        saga: u32,
        /// The step's ordinal.
        step: u32,
    },
    /// Which ports are on. Without this, none is.
    Ports {
        /// Each by its name.
        on: PortsOn,
    },
    /// A member's behaviour was checked.
    DriftChecked {
        /// The member's ordinal.
        member: u32,
        /// What the check says and calls for.
        check: DriftRecord,
    },
    /// A step could start but for its agent's rate; it is tried again then.
    Held {
        /// The saga's number in its session.
        saga: u32,
        /// The step's ordinal.
        step: u32,
        /// The first point in time at which the rate lets it pass.
        until: Timestamp,
    },
    /// A saga is a rehearsal: it is carried out and undone to see whether that works, with every undo accepted for it.
    Rehearsal {
        /// The saga's number in its session; nothing of it has begun.
        saga: u32,
    },
    /// From here on the undo of an action counts only once it was rehearsed.
    RehearsalDemanded {
        /// The action.
        action: ActionId,
    },
    /// For whom the agents of a saga act in it: what they do there, each of these could do itself.
    OnBehalf {
        /// The saga's number in its session.
        saga: u32,
        /// For whom.
        principals: Vec<Did>,
    },
}

/// A refusal, as the trail keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Who asked, where that is known.
    pub agent: Option<Did>,
    /// The action that was asked for, or nothing where it was a request to the supervisor itself.
    pub action: Option<ActionId>,
    /// What was asked for, as one word: `join`, `step`, `write`.
    pub request: String,
    /// Why it was refused.
    pub reason: String,
    /// What would be enough; empty where nothing would.
    pub needs: String,
}

impl Denial {
    #[cold]
    pub(crate) fn of(request: &str, agent: Option<&Did>, action: Option<&ActionId>, reason: &Reason) -> Self {
        Self {
            agent: agent.cloned(),
            action: action.cloned(),
            request: request.to_owned(),
            reason: reason.to_string(),
            needs: reason.needs(),
        }
    }
}

impl fmt::Display for KillTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All {} => f.write_str("everything"),
            Self::Session { id } => write!(f, "session {id}"),
            Self::Agent { did } => write!(f, "agent {did}"),
            Self::Action { action } => write!(f, "action {action}"),
        }
    }
}

impl fmt::Display for KillAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped {} => f.write_str("what was under way has stopped"),
            Self::Failed { why } => write!(f, "what was under way could not be stopped: {why}"),
            Self::Late {} => f.write_str("whether what was under way has stopped was not answered in time"),
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} denied", self.request)?;
        if let Some(agent) = &self.agent {
            write!(f, " to {agent}")?;
        }
        if let Some(action) = &self.action {
            write!(f, " for {action}")?;
        }
        write!(f, ": {}", self.reason)?;
        if self.needs.is_empty() { Ok(()) } else { write!(f, " (enough would be: {})", self.needs) }
    }
}

hv_types::wire_struct!(Denial { agent, action, request, reason, needs });
hv_types::wire_enum!(NodeEvent {
    0 => Denied { denial },
    1 => Configured { config, by, witness },
    2 => Key { event },
    3 => Spent { by, nonce, deadline, at },
    4 => Rejected { rejected },
    5 => Governed { action, params, by, witness },
    6 => Contested { charge, grounds },
    10 => Folded { folded },
    11 => Tripped { agent, breach, until },
    12 => Guarded { guards },
    20 => Killed { target, by, reason, at },
    21 => KillAnswered { target, answer },
    22 => KillLifted { target, by, reason },
    23 => SnapshotUnusable { batch, why },
    24 => WriteLost { session, stream, seq, record },
    33 => Purged { session, subject, older_than, contents, bytes },
    34 => Held { hold, session, subject, reason },
    35 => HoldReleased { hold },
    36 => AnchorQueued { anchor, target, size, root, digest },
    37 => AnchorMoved { anchor, state, receipt },
    39 => Reduced { session, stream, agents },
    38 => HistoryWeighed { agent, node, sessions, until, flaw },
    50 => Reported { key, agent },
    51 => Unreported { why },
    52 => Scored { agent, sigma, until },
    53 => Unscored { agent, why },
    40 => ItemSettled { stream, saga, step, how, by, at },
    41 => UndoGranted { stream, saga, step, number, params, deadline, by },
    42 => UndoEnded { stream, saga, step, number, result },
    43 => UndoRestored { stream, action, by },
});
hv_types::wire_enum!(KillTarget { 0 => All {}, 1 => Session { id }, 2 => Agent { did }, 3 => Action { action } });
hv_types::wire_enum!(KillAnswer { 0 => Stopped {}, 1 => Failed { why }, 2 => Late {} });
hv_types::wire_enum!(SessionEvent {
    0 => Session { event },
    1 => Assessed { member, sigma, ring, caps },
    2 => Registered { action, source, claim },
    3 => SagaOpened { id, unproven },
    4 => Saga { saga, event },
    5 => Granted { deadline, ring, sigma },
    6 => Denied { denial },
    7 => Noted { key },
    8 => VotersNamed { voters },
    9 => Overridden { action, set },
    10 => Certified { saga, step, params, basis, until, voices },
    11 => Rejected { rejected },
    12 => Elevated { elevation, voices },
    13 => IntentRuled { policy },
    14 => IntentDeclared { member, bounds, since, voices },
    15 => IntentUsed { member, action, consented },
    16 => Held { saga, step, until },
    17 => OnBehalf { saga, principals },
    24 => Rehearsal { saga },
    25 => RehearsalDemanded { action },
    32 => UndoAccepted { saga, step },
    40 => Ports { on },
    41 => DriftChecked { member, check },
});
