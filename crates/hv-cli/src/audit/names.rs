//! The names behind the small numbers by which events speak of members, steps, accounts and bonds.
//!
//! A trail names everybody once; who walks through it from the beginning keeps the names. What the trail has not
//! named is shown by its number.

use hv_core::audit::{Entry, Kind, StreamNo};
use hv_core::event::{LedgerEvent, MembershipEvent, SagaEvent, SessionEvent};
use hv_core::liability::{AgentNo, BondNo, SessionNo};
use hv_core::saga::StepDef;
use hv_core::types::{Did, SagaId, Sigma};
use hv_core::{TrailEvent, TrailRecord};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// All names that the records up to now have told.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Of the sessions' streams, closed ones too: the ledger speaks of them later.
    labels: BTreeMap<StreamNo, String>,
    accounts: BTreeMap<AgentNo, Did>,
    bonds: BTreeMap<BondNo, Bond>,
    /// Of the open sessions.
    sessions: BTreeMap<StreamNo, Inside>,
}

/// Whose bond it is, for whom, and how much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bond {
    pub(super) voucher: AgentNo,
    pub(super) vouchee: AgentNo,
    pub(super) amount: Sigma,
}

/// Who and what has a number in a session.
#[derive(Debug, Default)]
struct Inside {
    members: Vec<Did>,
    sagas: Vec<Saga>,
}

#[derive(Debug)]
struct Saga {
    id: SagaId,
    steps: Vec<Arc<StepDef>>,
}

/// A name, or the number of what has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Known(String),
    /// What it is, and its number.
    Number(&'static str, u32),
}

impl Name {
    fn of(name: Option<&impl fmt::Display>, what: &'static str, number: u32) -> Self {
        name.map_or(Self::Number(what, number), |name| Self::Known(name.to_string()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(name) => f.write_str(name),
            Self::Number(what, number) => write!(f, "{what} {number}"),
        }
    }
}

/// The name as a string, or the number.
impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(name) => serializer.serialize_str(name),
            Self::Number(_, number) => serializer.serialize_u32(*number),
        }
    }
}

impl Names {
    /// Takes up what a record of the log names, before what it says is looked at.
    pub(super) fn enter(&mut self, entry: &Entry<'_>) {
        match entry.kind {
            Kind::Genesis { label } => self.label_as(entry.stream, label),
            Kind::StreamOpened { stream, label, .. } => self.label_as(stream, label),
            Kind::Data
            | Kind::Close { .. }
            | Kind::StreamClosed { .. }
            | Kind::Started { .. }
            | Kind::Purge { .. }
            | Kind::Destroyed { .. }
            | Kind::Snapshot { .. }
            | Kind::Reduce(_)
            | Kind::Reduced { .. }
            | Kind::Gone { .. }
            | Kind::Sealed { .. } => {}
        }
    }

    /// Takes up what a record says.
    pub(super) fn learn(&mut self, record: &TrailRecord) {
        for event in &record.events {
            match event {
                TrailEvent::Ledger(event) => self.learn_ledger(event),
                TrailEvent::Session(event) => {
                    self.sessions.entry(record.stream).or_default().learn(event);
                }
                TrailEvent::Started
                | TrailEvent::Opened { .. }
                | TrailEvent::Closed { .. }
                | TrailEvent::Sealed
                | TrailEvent::Purged { .. }
                | TrailEvent::Destroyed { .. }
                | TrailEvent::Reducing { .. }
                | TrailEvent::Reduced { .. }
                | TrailEvent::Gone { .. }
                | TrailEvent::Snapshot { .. }
                | TrailEvent::Node(_) => {}
            }
        }
    }

    /// Lets go of the names of a session that a record closes.
    pub(super) fn forget(&mut self, record: &TrailRecord) {
        for event in &record.events {
            if let TrailEvent::Closed { stream, .. } = event {
                self.sessions.remove(stream);
            }
        }
    }

    fn learn_ledger(&mut self, event: &LedgerEvent) {
        match event {
            LedgerEvent::Opened { agent, did, .. } => drop(self.accounts.insert(*agent, did.clone())),
            LedgerEvent::AccountKept { account } => {
                self.accounts.insert(account.agent, account.did.clone());
            }
            LedgerEvent::Vouched { bond, voucher, vouchee, amount, .. } => {
                self.bonds.insert(*bond, Bond { voucher: *voucher, vouchee: *vouchee, amount: *amount });
            }
            LedgerEvent::BondKept { bond: kept } => {
                let (voucher, vouchee, amount) = (kept.voucher, kept.vouchee, kept.remaining);
                self.bonds.insert(kept.bond, Bond { voucher, vouchee, amount });
            }
            // Everything else speaks of what has a name already.
            _ => {}
        }
    }

    fn label_as(&mut self, stream: StreamNo, label: &str) {
        self.labels.insert(stream, label.to_owned());
    }

    /// What a stream is called.
    pub(super) fn stream(&self, stream: StreamNo) -> Name {
        match stream {
            StreamNo::NODE => Name::Known("node".to_owned()),
            StreamNo::LEDGER => Name::Known("ledger".to_owned()),
            stream => Name::of(self.labels.get(&stream), "stream", stream.0),
        }
    }

    /// A session as the ledger speaks of it: by the number of its stream.
    pub(super) fn session(&self, session: SessionNo) -> Name {
        Name::of(self.labels.get(&StreamNo(session.0)), "session", session.0)
    }

    /// The holder of an account.
    pub(super) fn account(&self, agent: AgentNo) -> Name {
        Name::of(self.accounts.get(&agent), "account", agent.0)
    }

    /// What is known of a bond.
    pub(super) fn bond(&self, bond: BondNo) -> Option<Bond> {
        self.bonds.get(&bond).copied()
    }

    /// A member of a session.
    pub(super) fn member(&self, stream: StreamNo, ordinal: u32) -> Name {
        let inside = self.sessions.get(&stream);
        Name::of(inside.and_then(|inside| inside.members.get(ordinal as usize)), "member", ordinal)
    }

    /// A saga of a session.
    pub(super) fn saga(&self, stream: StreamNo, saga: u32) -> Name {
        Name::of(self.saga_of(stream, saga).map(|saga| &saga.id), "saga", saga)
    }

    /// A step of a saga.
    pub(super) fn step(&self, stream: StreamNo, saga: u32, ordinal: u32) -> Name {
        Name::of(self.definition(stream, saga, ordinal).map(|step| &step.id), "number", ordinal)
    }

    /// Who does what in a step, where that is known.
    pub(super) fn definition(&self, stream: StreamNo, saga: u32, ordinal: u32) -> Option<&StepDef> {
        self.saga_of(stream, saga)?.steps.get(ordinal as usize).map(|step| &**step)
    }

    /// Whether another saga of the session has a step of the same name.
    pub(super) fn is_shared(&self, stream: StreamNo, saga: u32, ordinal: u32) -> bool {
        let Some(step) = self.definition(stream, saga, ordinal) else { return false };
        let sagas = self.sessions.get(&stream).into_iter().flat_map(|inside| (0..).zip(&inside.sagas));
        let mut others = sagas.filter(|(number, _)| *number != saga);
        others.any(|(_, other)| other.steps.iter().any(|other| other.id == step.id))
    }

    fn saga_of(&self, stream: StreamNo, saga: u32) -> Option<&Saga> {
        self.sessions.get(&stream)?.sagas.get(saga as usize)
    }
}

impl Inside {
    fn learn(&mut self, event: &SessionEvent) {
        match event {
            SessionEvent::Session {
                event: MembershipEvent::Joined { did, .. } | MembershipEvent::Seated { did, .. },
            } => self.members.push(did.clone()),
            SessionEvent::SagaOpened { id, .. } => {
                self.sagas.push(Saga { id: id.clone(), steps: Vec::new() });
            }
            SessionEvent::Saga { saga, event: SagaEvent::Appended { steps, .. } } => {
                if let Some(saga) = self.sagas.get_mut(*saga as usize) {
                    saga.steps.extend(steps.iter().cloned());
                }
            }
            // From here on its substitute does it.
            SessionEvent::Saga { saga, event: SagaEvent::HandedOver { step, .. } } => {
                let saga = self.sagas.get_mut(*saga as usize);
                let step = saga.and_then(|saga| saga.steps.get_mut(*step as usize));
                if let Some((step, agent)) = step
                    .and_then(|step| Some((step.substitute.clone()?, step)))
                    .map(|(agent, step)| (step, agent))
                {
                    Arc::make_mut(step).agent = agent;
                }
            }
            // Everything else speaks of what has a name already.
            _ => {}
        }
    }
}
