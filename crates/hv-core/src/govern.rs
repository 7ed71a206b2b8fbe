//! What changes the supervisor itself: Ring 0, by the word of a witness for exactly this change.

use crate::accept::Accepted;
use crate::authority::NodeConfig;
use crate::charges;
use crate::consequence::{self, Struck};
use crate::error::{Error, Reason};
use crate::event::NodeEvent;
use crate::evidence::{self, Presented, Rejected, Rejection};
use crate::hypervisor::Hypervisor;
use crate::item::{ItemRef, Settlement};
use crate::node::{Draft, Refusal};
use crate::purge::PurgeRequest;
use crate::state::State;
use hv_identity::registry::Command as KeyCommand;
use hv_identity::{Content, Envelope, open};
use hv_liability::{Command as LedgerCommand, SlashOrder, SlashReason};
use hv_rings::{Basis, Ring, decide};
use hv_types::{
    ActionId, BadIdent, Call, Did, Digest, Machine, Reversibility, RiskWeight, SessionId, Share, Sigma,
    Timestamp, Wire,
};
use std::sync::LazyLock;

/// The session that calls on the node itself name; no session can have this name.
pub const NODE_SESSION: &str = "hv.node";

/// The action that a purge before its time is.
pub(crate) const PURGE: &str = "hv.purge";

/// A change of the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Sets whom the node listens to, all of it, in place of what held before.
    Configure {
        /// From now on.
        config: NodeConfig,
    },
    /// Slashes an agent by decision of a person; or charges it, where the node is configured with a grace period.
    Slash {
        /// Who violated.
        about: Did,
        /// In which session; outside any, the agent answers alone.
        session: Option<SessionId>,
        /// How much of it is the agent's own doing.
        fault: Share,
        /// The class of the action that was involved, if one was.
        class: Option<Reversibility>,
        /// The risk weight of that action; without it, its class's default.
        risk: Option<RiskWeight>,
        /// When it happened.
        happened: Timestamp,
        /// Digest of what the decision rests on. The same digest is the same violation.
        evidence: Digest,
    },
    /// Contests a charge: it then waits for a ruling, and is not carried out merely because time passes.
    Dispute {
        /// The charge, by its evidence.
        charge: Digest,
        /// Digest of what is brought against it.
        grounds: Digest,
    },
    /// Rules on a charge that is contested, or whose grace period is over: it is carried out.
    Uphold {
        /// The charge, by its evidence.
        charge: Digest,
    },
    /// Drops a charge. The same evidence cannot be used again.
    Dismiss {
        /// The charge, by its evidence.
        charge: Digest,
    },
    /// Ends the quarantines of an agent.
    Rehabilitate {
        /// The agent.
        agent: Did,
        /// The reputation that it gets at least.
        sigma: Sigma,
    },
    /// Gives a DID its first key, by a `bind` statement that the key has signed.
    BindKey {
        /// The statement.
        statement: Envelope,
    },
    /// Settles what could not be undone and waits for a person. To try the undo once more,
    /// [`Hypervisor::retry_undo`] asks for this itself.
    Settle {
        /// Which step.
        item: ItemRef,
        /// What is made of it.
        how: Settlement,
    },
    /// Lets the undo of an action count again in a session, though it failed there.
    RestoreUndo {
        /// The session; it is open.
        session: SessionId,
        /// The action.
        action: ActionId,
    },
    /// Gives a DID another key without the one before, by a `bind` statement that the new key has signed.
    ReplaceKey {
        /// The statement.
        statement: Envelope,
    },
    /// Purges contents before their time.
    Purge {
        /// Which.
        purge: PurgeRequest,
    },
}

hv_types::wire_enum!(Request {
    0 => Configure { config },
    1 => Slash { about, session, fault, class, risk, happened, evidence },
    2 => Rehabilitate { agent, sigma },
    3 => BindKey { statement },
    4 => ReplaceKey { statement },
    5 => Dispute { charge, grounds },
    6 => Uphold { charge },
    7 => Dismiss { charge },
    30 => Purge { purge },
    40 => Settle { item, how },
    41 => RestoreUndo { session, action },
});

static REQUEST_KEY: LazyLock<[u8; 32]> =
    LazyLock::new(|| blake3::derive_key("hv 2026 supervisor call v1", &[]));

impl Request {
    /// The action that it is: `hv.configure`, `hv.slash`, `hv.charge.dispute`, `hv.charge.uphold`,
    /// `hv.charge.dismiss`, `hv.rehabilitate`, `hv.key.bind`, `hv.key.replace`,
    /// `hv.purge`, `hv.saga.resolve`, `hv.saga.skip`, `hv.saga.retry`, `hv.undo.restore`.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self {
            Self::Configure { .. } => "hv.configure",
            Self::Slash { .. } => "hv.slash",
            Self::Dispute { .. } => "hv.charge.dispute",
            Self::Uphold { .. } => "hv.charge.uphold",
            Self::Dismiss { .. } => "hv.charge.dismiss",
            Self::Rehabilitate { .. } => "hv.rehabilitate",
            Self::BindKey { .. } => "hv.key.bind",
            Self::ReplaceKey { .. } => "hv.key.replace",
            Self::Purge { .. } => PURGE,
            Self::Settle { how, .. } => how.action(),
            Self::RestoreUndo { .. } => "hv.undo.restore",
        }
    }

    /// The statement of another that it brings.
    const fn statement(&self) -> Option<&Envelope> {
        match self {
            Self::BindKey { statement } | Self::ReplaceKey { statement } => Some(statement),
            _ => None,
        }
    }

    /// The call that somebody makes with it: what a witness is asked about. `deadline` is the last point in time
    /// at which it may be made.
    ///
    /// # Errors
    /// None in practice: both names keep to the grammar.
    pub fn call(&self, by: &Did, deadline: Timestamp) -> Result<Call, BadIdent> {
        Ok(Call {
            session: SessionId::new(NODE_SESSION)?,
            agent: by.clone(),
            action: ActionId::new(self.action())?,
            params: Digest(*blake3::keyed_hash(&REQUEST_KEY, &self.to_bytes()).as_bytes()),
            deadline,
        })
    }
}

impl Hypervisor {
    /// Whom the node listens to; nobody before it was configured.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub fn config(&self) -> Result<Option<NodeConfig>, Error> {
        self.node().read(|state, _| state.authority.config().cloned())
    }

    /// Configures the node for the first time, which nobody can be asked about: whoever has an empty node says
    /// what it is. `keys` are `bind` statements for it, signed by the keys that they name.
    ///
    /// # Errors
    /// [`Reason::Configured`] where it is configured already, [`Reason::Unwitnessed`] where that holds for good;
    /// [`Reason::Evidence`] and [`Reason::Key`] for a statement that binds nothing; [`Error::Log`],
    /// [`Error::Poisoned`].
    pub async fn establish(&self, by: &Did, config: &NodeConfig, keys: &[Envelope]) -> Result<(), Error> {
        for envelope in keys {
            // A `bind` is signed by the key that it names; under the lock that is known then.
            let _ = open(envelope, &hv_identity::DidKey, config.node(), self.now());
        }
        self.node()
            .commit(|state, now| {
                let refuse = |reason| Refusal::on_node("configure", Some(by), reason);
                if let Some(known) = state.authority.config() {
                    let nobody = known.witnesses().is_empty();
                    return Err(refuse(if nobody { Reason::Unwitnessed } else { Reason::Configured }));
                }
                let configured =
                    NodeEvent::Configured { config: Box::new(config.clone()), by: by.clone(), witness: None };
                let mut events = vec![configured];
                let mut registry = state.authority.keys().clone();
                for envelope in keys {
                    let reject = |rejection| {
                        let rejected = Rejected::of(envelope, rejection);
                        refuse(Reason::Evidence(Box::new(rejected.clone()))).rejecting(vec![rejected])
                    };
                    let opened = open(envelope, &registry, config.node(), now)
                        .map_err(|refusal| reject(Rejection::Unopened { refusal }))?;
                    let kind = opened.statement().content.kind();
                    if !matches!(opened.statement().content, Content::Bind { .. }) {
                        return Err(reject(Rejection::OtherKind { kind }));
                    }
                    let key = |denial| refuse(Reason::Key(Box::new(denial)));
                    for event in registry.decide(&KeyCommand::Record(opened), now).map_err(key)? {
                        registry
                            .apply(&event)
                            .map_err(|_| key(hv_identity::registry::Denial::OtherKind { kind }))?;
                        events.push(NodeEvent::Key { event });
                    }
                }
                let policy = charges::configured(state, config, now);
                let policy = policy.map_err(|denial| refuse(Reason::Ledger(Box::new(denial))))?;
                Ok((Draft::default().node(events).ledger(policy), ()))
            })
            .await
    }

    /// Changes the supervisor. Ring 0: `presented` brings the word of a configured witness on the call that
    /// [`Request::call`] gives with the same `by` and the deadline of `presented`; who asks is no witness of it. Gives
    /// what a [`Request::Slash`] came to, because evidence that was used before leads to nothing.
    ///
    /// # Errors
    /// [`Reason::NotConfigured`] and [`Reason::Unwitnessed`] where there are no witnesses to ask;
    /// [`Reason::Late`] after the deadline;
    /// [`Reason::Ring`] without a witness that counts, with each statement's own reason on the trail; what
    /// the ledger or the registry of keys says against it; [`Error::Log`], [`Error::Poisoned`].
    pub async fn govern(
        &self,
        by: &Did,
        request: &Request,
        presented: &Presented,
    ) -> Result<Option<Accepted>, Error> {
        if let Request::Purge { purge } = request {
            return self.purge_witnessed(by, purge, presented).await.map(|_| None);
        }
        evidence::verify_ahead(self.node(), presented.statements().iter().chain(request.statement()))?;
        self.node()
            .commit(|state, now| {
                let draft = decided(state, now, by, request, presented)?;
                let verdict = match request {
                    Request::Slash { about, evidence, .. } => {
                        Some(Accepted::verdict(state, (about.clone(), *evidence), draft.on_ledger()))
                    }
                    _ => None,
                };
                Ok((draft, verdict))
            })
            .await
    }
}

pub(crate) fn decided(
    state: &State,
    now: Timestamp,
    by: &Did,
    request: &Request,
    presented: &Presented,
) -> Result<Draft, Box<Refusal>> {
    let refuse = |reason| Refusal::on_node(request.action(), Some(by), reason);
    let Some(config) = state.authority.config() else {
        let rejected = presented.statements().iter();
        let rejected = rejected.map(|envelope| Rejected::of(envelope, Rejection::NotConfigured)).collect();
        return Err(refuse(Reason::NotConfigured).rejecting(rejected));
    };
    let call = request.call(by, presented.deadline()).map_err(|bad| refuse(Reason::Ident(bad)))?;
    if call.deadline < now {
        return Err(refuse(Reason::Late(call.deadline)));
    }
    if let Some(quarantined) = charges::quarantined(state, by, now) {
        return Err(refuse(quarantined));
    }
    let spent = state.authority.spent();
    let weighed = evidence::weigh((state, None, now), &call, Ring::Root, presented, spent);
    let (evidence, rejected) = (weighed.evidence, weighed.rejected);
    // No score and no cap has a say in Ring 0 outside of sessions: only a witness does. INVARIANT (R3)
    if let Err(denial) = decide(Ring::Root, Sigma::ZERO, Ring::Root, &call, &evidence) {
        let nobody = config.witnesses().is_empty();
        let reason = if nobody { Reason::Unwitnessed } else { Reason::Ring(denial) };
        return Err(refuse(reason).rejecting(rejected));
    }
    let Some(witness) = evidence.witness().map(|witness| witness.by().clone()) else {
        return Err(refuse(Reason::NotConfigured).rejecting(rejected));
    };
    let mut node: Vec<NodeEvent> =
        rejected.into_iter().map(|rejected| NodeEvent::Rejected { rejected }).collect();
    node.extend(evidence::spends(&evidence, Basis::Witness, now));
    let governed = || NodeEvent::Governed {
        action: call.action.clone(),
        params: call.params,
        by: by.clone(),
        witness: witness.clone(),
    };
    let denied = |denial| refuse(Reason::Ledger(Box::new(denial)));
    Ok(match request {
        Request::Configure { config } => {
            let witness = Some(witness);
            let policy = charges::configured(state, config, now).map_err(denied)?;
            node.push(NodeEvent::Configured { config: Box::new(config.clone()), by: by.clone(), witness });
            Draft::default().node(node).ledger(policy)
        }
        Request::Slash { about, session, fault, class, risk, happened, evidence } => {
            let session = state.ledger_no_where(session.as_ref()).map_err(refuse)?;
            let order = SlashOrder {
                evidence: *evidence,
                agent: about.clone(),
                session,
                fault: *fault,
                class: *class,
                risk: *risk,
                happened: *happened,
                reason: SlashReason::Manual,
            };
            let Struck { ledger, sessions } = consequence::slash(state, order, now).map_err(denied)?;
            node.push(governed());
            Draft::default().node(node).ledger(ledger).also(sessions)
        }
        Request::Dispute { charge, grounds } => {
            let command = LedgerCommand::Dispute { evidence: *charge };
            let ledger = state.ledger.decide(&command, now).map_err(denied)?;
            node.extend([governed(), NodeEvent::Contested { charge: *charge, grounds: *grounds }]);
            Draft::default().node(node).ledger(ledger)
        }
        Request::Uphold { charge } | Request::Dismiss { charge } => {
            let ruling = match request {
                Request::Uphold { .. } => LedgerCommand::Uphold { evidence: *charge },
                _ => LedgerCommand::Dismiss { evidence: *charge },
            };
            let Struck { ledger, sessions } = charges::ruled(state, &ruling, now).map_err(denied)?;
            node.push(governed());
            Draft::default().node(node).ledger(ledger).also(sessions)
        }
        Request::Rehabilitate { agent, sigma } => {
            let command = LedgerCommand::Rehabilitate { agent: agent.clone(), sigma: *sigma };
            let ledger = state.ledger.decide(&command, now).map_err(denied)?;
            node.push(governed());
            Draft::default().node(node).ledger(ledger)
        }
        Request::Settle { item, how } => {
            let settled = state.items.settled(item, *how, by, now).map_err(refuse)?;
            node.extend([governed(), settled]);
            Draft::default().node(node)
        }
        Request::RestoreUndo { session, action } => {
            let slot = state.slot(session).ok_or_else(|| refuse(Reason::NoSession(session.clone())))?;
            if slot.undos.failed(action).is_none() {
                return Err(refuse(Reason::UndoWorks(action.clone())));
            }
            let (stream, action, by) = (slot.stream.0, action.clone(), by.clone());
            node.extend([governed(), NodeEvent::UndoRestored { stream, action, by }]);
            Draft::default().node(node)
        }
        // What goes, whoever purges adds to this.
        Request::Purge { .. } => {
            node.push(governed());
            Draft::default().node(node)
        }
        Request::BindKey { statement } | Request::ReplaceKey { statement } => {
            let opened = evidence::opened(state, state.authority.config(), statement, now);
            let opened = opened
                .map_err(|rejected| refuse(Reason::Evidence(rejected.clone())).rejecting(vec![*rejected]))?;
            let command = match request {
                Request::ReplaceKey { .. } => KeyCommand::Replace(opened),
                _ => KeyCommand::Record(opened),
            };
            let keys = state.authority.keys().decide(&command, now);
            let keys = keys.map_err(|denial| refuse(Reason::Key(Box::new(denial))))?;
            node.push(governed());
            node.extend(keys.into_iter().map(|event| NodeEvent::Key { event }));
            Draft::default().node(node)
        }
    })
}
