//! Statements that act by themselves: joining, vouching, releasing, findings of verifiers, changes of one's own key.

use crate::adapters::Heard;
use crate::consequence::{self, Struck};
use crate::error::{Error, Reason};
use crate::event::{LedgerEvent, NodeEvent};
use crate::evidence::{self, Rejected, Rejection};
use crate::hypervisor::{Entrant, Hypervisor, join, vouched};
use crate::node::{Draft, Refusal};
use crate::state::State;
use hv_identity::registry::Command as KeyCommand;
use hv_identity::{Content, Envelope, Finding, Kind};
use hv_liability::{BondState, Command as LedgerCommand, SlashOrder, SlashReason, Stake};
use hv_rings::{Nonce, Ring};
use hv_types::{Did, Digest, Machine, SessionId, Timestamp};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// What a statement did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// Its author is a member of the session.
    Joined {
        /// Which.
        session: SessionId,
        /// Where it stands there.
        ring: Ring,
    },
    /// Its author vouches.
    Vouched,
    /// Its author no longer vouches.
    Released,
    /// An agent was slashed on it.
    Slashed {
        /// Who.
        about: Did,
        /// The evidence.
        evidence: Digest,
    },
    /// An agent is charged on it, and slashed later unless that is contested.
    Charged {
        /// Who.
        about: Did,
        /// The evidence.
        evidence: Digest,
        /// When it is carried out.
        until: Timestamp,
    },
    /// The evidence was used before, and nobody is slashed twice on it.
    AlreadySlashed {
        /// Who.
        about: Did,
        /// The evidence.
        evidence: Digest,
    },
    /// Its author's keys are others now.
    KeyChanged,
}

impl Accepted {
    /// What an order to slash comes to that leads to these events.
    pub(crate) fn verdict(state: &State, (about, evidence): (Did, Digest), events: &[LedgerEvent]) -> Self {
        let now_charged = events.iter().find_map(|event| match event {
            LedgerEvent::Charged { until, .. } => Some(*until),
            _ => None,
        });
        match now_charged.or_else(|| state.ledger.case(&evidence).map(|case| case.until)) {
            Some(until) => Self::Charged { about, evidence, until },
            None if events.is_empty() => Self::AlreadySlashed { about, evidence },
            None => Self::Slashed { about, evidence },
        }
    }
}

impl Hypervisor {
    /// Takes up a signed statement: `join`, `vouch`, `release`, `evidence`, `rotate` or `revoke`, addressed to
    /// this node, in time, signed with the key that speaks for its author now, and used for the first time.
    ///
    /// Evidence counts only from a verifier that the node is configured with, and leads to a slash; the accused
    /// is then a member of no session any more. Where the node is configured with a grace period, it leads to a charge. `bind` takes a witness ([`govern`](Self::govern)); `vote` and
    /// `witness` are brought with the call that they speak of.
    ///
    /// # Errors
    /// [`Reason::Evidence`] for a statement that does not count, and what is said against the thing itself:
    /// [`Reason::Session`], [`Reason::Ledger`], [`Reason::Key`], [`Reason::Quarantined`], [`Reason::NoSession`].
    /// Each refusal is on the trail with its reason. [`Error::Log`], [`Error::Poisoned`].
    pub async fn accept(&self, envelope: &Envelope) -> Result<Accepted, Error> {
        evidence::verify_ahead(self.node(), [envelope])?;
        let (accepted, touched) = self.node().commit(|state, now| decided(state, now, envelope)).await?;
        if !touched.is_empty() {
            self.reassess_everywhere(&touched).await?;
        }
        Ok(accepted)
    }
}

/// What came of it, and whose standing has to be recorded anew.
type Done = (Accepted, BTreeSet<Did>);

fn decided(state: &State, now: Timestamp, envelope: &Envelope) -> Result<(Draft, Done), Box<Refusal>> {
    let kind = Kind::of_payload_type(envelope.payload_type());
    let request = kind.map_or("accept", Kind::name);
    let rejected = |rejected: Box<Rejected>| {
        let names = rejected.names.clone();
        Refusal::on_node(request, names.as_ref(), Reason::Evidence(rejected.clone()))
            .rejecting(vec![*rejected])
    };
    let reject = |rejection| rejected(Box::new(Rejected::of(envelope, rejection)));
    let opened = evidence::opened(state, state.authority.config(), envelope, now).map_err(rejected)?;
    let statement = opened.statement();
    let (by, nonce, deadline) = (statement.signer.clone(), Nonce(statement.nonce), statement.deadline);
    if state.authority.spent().contains(&by, nonce) {
        return Err(reject(Rejection::NotCounted { refusal: hv_rings::Refusal::Replayed }));
    }
    let mut spent = vec![NodeEvent::Spent { by: by.clone(), nonce, deadline, at: now }];
    let refuse = |reason| Refusal::on_node(request, Some(&by), reason);
    let denied = |denial| refuse(Reason::Ledger(Box::new(denial)));
    let slot_of =
        |session: &SessionId| state.slot(session).ok_or_else(|| refuse(Reason::NoSession(session.clone())));
    let nobody = BTreeSet::new();
    Ok(match &statement.content {
        Content::Join { session } => {
            let (draft, ring) = join(state, now, session, &Entrant::new(by.clone()), Heard::Unasked)?;
            (draft.node(spent), (Accepted::Joined { session: session.clone(), ring }, nobody))
        }
        Content::Vouch { session, vouchee, stake } => {
            slot_of(session)?;
            let draft = vouched(state, now, session, (&by, vouchee), Stake::Amount(*stake))?;
            (draft.node(spent), (Accepted::Vouched, BTreeSet::from([by.clone(), vouchee.clone()])))
        }
        Content::Release { session, vouchee } => {
            let slot = slot_of(session)?;
            let wanted = state.ledger.agent(vouchee);
            let mut bonds = state.ledger.matrix(now).vouched_by(&by);
            bonds.retain(|bond| {
                let fits = bond.session == slot.ledger_no() && Some(bond.vouchee) == wanted;
                fits && bond.state == BondState::Active
            });
            let mut events: Vec<LedgerEvent> = Vec::new();
            let mut ledger = Cow::Borrowed(&state.ledger);
            let last = bonds.len().saturating_sub(1);
            for (n, bond) in bonds.into_iter().enumerate() {
                let released =
                    ledger.decide(&LedgerCommand::Release { bond: bond.no }, now).map_err(denied)?;
                // Each but the first is decided on a ledger on which those before it are released.
                if n < last {
                    let applied = released.iter().try_for_each(|event| ledger.to_mut().apply(event));
                    applied.map_err(|illegal| refuse(Reason::Defect(illegal)))?;
                }
                events.extend(released);
            }
            if events.is_empty() {
                return Err(refuse(Reason::NoBond { voucher: by.clone(), vouchee: vouchee.clone() }));
            }
            let touched = BTreeSet::from([by.clone(), vouchee.clone()]);
            (Draft::default().node(spent).ledger(events), (Accepted::Released, touched))
        }
        Content::Evidence { about, session, finding, fault, class, risk, happened, evidence } => {
            let verifier = state.authority.config().is_some_and(|config| config.verifiers().contains(&by));
            if !verifier {
                return Err(reject(Rejection::NotAVerifier));
            }
            let session = state.ledger_no_where(session.as_ref()).map_err(refuse)?;
            let order = SlashOrder {
                evidence: *evidence,
                agent: about.clone(),
                session,
                fault: *fault,
                class: *class,
                risk: *risk,
                happened: *happened,
                reason: match finding {
                    Finding::Violation => SlashReason::Violation,
                    Finding::Drift => SlashReason::Drift,
                    Finding::OutsideIntent => SlashReason::Intent,
                },
            };
            let Struck { ledger, sessions } = consequence::slash(state, order, now).map_err(denied)?;
            let (about, evidence) = (about.clone(), *evidence);
            let accepted = Accepted::verdict(state, (about, evidence), &ledger);
            (Draft::default().node(spent).ledger(ledger).also(sessions), (accepted, nobody))
        }
        Content::Rotate { .. } | Content::Revoke => {
            let keys = state.authority.keys().decide(&KeyCommand::Record(opened), now);
            let keys = keys.map_err(|denial| refuse(Reason::Key(Box::new(denial))))?;
            spent.extend(keys.into_iter().map(|event| NodeEvent::Key { event }));
            (Draft::default().node(spent), (Accepted::KeyChanged, nobody))
        }
        content => return Err(reject(Rejection::OtherKind { kind: content.kind() })),
    })
}
