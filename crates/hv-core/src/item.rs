//! What could not be undone and waits for a person: it stays open, also when its session is over, until somebody has
//! seen to it, by the word of a witness.

use crate::error::{Error, Reason};
use crate::event::NodeEvent;
use crate::evidence::{self, Presented};
use crate::govern::{self, Request};
use crate::grant::{Grant, parameters_of};
use crate::hypervisor::Hypervisor;
use crate::node::{Draft, Refusal};
use crate::state::State;
use hv_audit::StreamNo;
use hv_saga::{
    Attempt, AttemptFacts, AttemptRef, Class, Executor, Failure, Outcome, ProbeAnswer, Purpose, Saga,
    SagaDenial, StepDef, StepState, Verdict,
};
use hv_types::wire::Reader;
use hv_types::{ActionId, Did, Illegal, SagaId, SessionId, StepId, Timestamp, Undecodable, Wire};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A step that could not be undone, by name. Where a later session has the same name, the one that waits longer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ItemRef {
    /// The session.
    pub session: SessionId,
    /// The saga.
    pub saga: SagaId,
    /// The step.
    pub step: StepId,
}

/// What a person makes of a step that could not be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// Its effect was taken back by other means.
    Resolved {},
    /// Its effect stays.
    Skipped {},
    /// Its undo is tried once more; the item stays open unless that works.
    Retried {},
}

/// What is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenItem {
    /// Its name.
    pub item: ItemRef,
    /// Whose step it was.
    pub agent: Did,
    /// What was done.
    pub action: ActionId,
    /// When the saga gave up.
    pub since: Timestamp,
    /// Attempts to undo it so far.
    pub undos: u32,
}

/// What came of one more attempt to undo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retried {
    /// The effect is gone; the item is closed.
    Undone {},
    /// It is not, or nobody knows; the item stays open.
    Failed {
        /// Why.
        failure: Failure,
    },
}

hv_types::wire_struct!(ItemRef { session, saga, step });
hv_types::wire_enum!(Settlement { 0 => Resolved {}, 1 => Skipped {}, 2 => Retried {} });
hv_types::wire_enum!(Retried { 0 => Undone {}, 1 => Failed { failure } });

impl fmt::Display for ItemRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.session, self.saga, self.step)
    }
}

impl Settlement {
    /// The action that it is: `hv.saga.resolve`, `hv.saga.skip`, `hv.saga.retry`.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::Resolved {} => "hv.saga.resolve",
            Self::Skipped {} => "hv.saga.skip",
            Self::Retried {} => "hv.saga.retry",
        }
    }
}

/// Where a step is: its session's stream, its saga's number there, its ordinal.
type Place = (u32, u32, u32);

/// Everything that is open. Holds nothing of what was settled.
#[derive(Debug, Default)]
pub(crate) struct Items(BTreeMap<Place, Box<Item>>);

crate::seldom::blank!(Items, Items(BTreeMap::new()));

#[derive(Debug)]
pub(crate) struct Item {
    name: ItemRef,
    agent: Did,
    ordinal: u32,
    def: Arc<StepDef>,
    since: Timestamp,
    undos: u32,
    /// Until when the last permission to try once more keeps others away, while nobody has said what came of it.
    trying: Option<Timestamp>,
}

hv_types::wire_struct!(Item { name, agent, ordinal, def, since, undos, trying });

/// As a snapshot keeps it.
impl Wire for Items {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        Wire::take(reader).map(Self)
    }
}

impl Items {
    /// Takes up what an escalated saga leaves.
    pub(crate) fn escalated(
        &mut self,
        session: &SessionId,
        stream: StreamNo,
        number: u32,
        id: &SagaId,
        saga: &Saga,
    ) {
        for (step, (def, run)) in (0u32..).zip(saga.steps().iter().zip(saga.runs())) {
            if run.state != StepState::CompensationFailed {
                continue;
            }
            let name = ItemRef { session: session.clone(), saga: id.clone(), step: def.id.clone() };
            let agent = saga.agent(step).unwrap_or(&def.agent).clone();
            let since = run.moved.since(saga.created());
            let item = Item {
                name,
                agent,
                ordinal: step,
                def: Arc::clone(def),
                since,
                undos: run.undos,
                trying: None,
            };
            self.0.insert((stream.0, number, step), Box::new(item));
        }
    }

    fn find(&self, name: &ItemRef) -> Option<(Place, &Item)> {
        self.0.iter().find(|(_, item)| item.name == *name).map(|(place, item)| (*place, &**item))
    }

    pub(crate) fn apply(&mut self, event: &NodeEvent) -> Result<(), Illegal> {
        let unknown = Illegal::new("what is settled is open");
        match event {
            NodeEvent::ItemSettled { stream, saga, step, how, .. } => match how {
                Settlement::Resolved {} | Settlement::Skipped {} => {
                    self.0.remove(&(*stream, *saga, *step)).map(|_| ()).ok_or(unknown)
                }
                Settlement::Retried {} => Err(Illegal::new("what is tried once more is granted")),
            },
            NodeEvent::UndoGranted { stream, saga, step, number, deadline, .. } => {
                let item = self.0.get_mut(&(*stream, *saga, *step)).ok_or(unknown)?;
                if *number != item.undos.saturating_add(1) {
                    return Err(Illegal::new("attempts are numbered without a gap"));
                }
                // Its probe has its own time.
                let probing = item.def.probe.as_ref().map(|_| item.def.timeout(Purpose::Probe));
                let until = deadline.after(probing.unwrap_or_default());
                (item.undos, item.trying) = (*number, Some(until));
                Ok(())
            }
            NodeEvent::UndoEnded { stream, saga, step, number, result } => {
                let place = (*stream, *saga, *step);
                let item = self.0.get_mut(&place).ok_or(unknown)?;
                if item.undos != *number || item.trying.take().is_none() {
                    return Err(Illegal::new("an attempt that ends was granted"));
                }
                if matches!(result, Retried::Undone {}) {
                    self.0.remove(&place);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether this attempt is the one that is waited for. When its time was over, somebody else may have settled the item,
    /// or tried again.
    fn awaits(&self, place: Place, number: u32) -> bool {
        self.0.get(&place).is_some_and(|item| item.undos == number && item.trying.is_some())
    }

    /// What settles an item, once a witness has agreed. Nothing else may be granted while an attempt goes on.
    pub(crate) fn settled(
        &self,
        name: &ItemRef,
        how: Settlement,
        by: &Did,
        now: Timestamp,
    ) -> Result<NodeEvent, Reason> {
        let ((stream, saga, step), item) =
            self.find(name).ok_or_else(|| Reason::NoItem(Box::new(name.clone())))?;
        if let Some(until) = item.trying.filter(|until| *until >= now) {
            return Err(Reason::ItemBusy { item: Box::new(name.clone()), until });
        }
        let by = by.clone();
        Ok(match how {
            Settlement::Resolved {} | Settlement::Skipped {} => {
                NodeEvent::ItemSettled { stream, saga, step, how, by, at: now }
            }
            Settlement::Retried {} => {
                let number = item.undos.saturating_add(1);
                let undo = item.attempt(number, Purpose::Undo, now);
                let undo = undo.ok_or_else(|| Reason::NoUndo(Box::new(name.clone())))?;
                let (params, deadline) = (parameters_of(&undo), undo.deadline);
                NodeEvent::UndoGranted { stream, saga, step, number, params, deadline, by }
            }
        })
    }
}

impl Item {
    fn attempt(&self, number: u32, purpose: Purpose, now: Timestamp) -> Option<Attempt> {
        let ordinal = self.ordinal;
        let ItemRef { session, saga, step } = self.name.clone();
        Some(Attempt::from(AttemptFacts {
            session,
            saga,
            step,
            ordinal,
            agent: self.agent.clone(),
            action: self.def.action.clone(),
            purpose,
            number,
            task: Arc::clone(self.def.task(purpose)?),
            deadline: now.after(self.def.timeout(purpose)),
        }))
    }
}

impl Hypervisor {
    /// What could not be undone and waits for a person, in the order of sessions, sagas and steps.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub fn open_items(&self) -> Result<Vec<OpenItem>, Error> {
        self.node().read(|state, _| {
            let open = |item: &Item| OpenItem {
                item: item.name.clone(),
                agent: item.agent.clone(),
                action: item.def.action.clone(),
                since: item.since,
                undos: item.undos,
            };
            state.items.0.values().map(|item| open(item)).collect()
        })
    }

    /// Tries the undo of an open item once more, under the same idempotency key as before, then its probe where it
    /// has one and nobody stopped it; what comes of it is recorded, and closes the item where the effect is gone. Ring 0:
    /// `presented` brings the word of a witness on the call of [`Request::Settle`].
    ///
    /// # Errors
    /// Those of [`govern`](Hypervisor::govern); [`Reason::NoItem`], [`Reason::NoUndo`],
    /// [`Reason::ItemBusy`] while an earlier attempt may still be going on; [`Reason::Saga`] where this one took so long
    /// that somebody else has settled the item or tries again: then what came of it changes nothing.
    pub async fn retry_undo<E>(
        &self,
        by: &Did,
        item: &ItemRef,
        presented: &Presented,
        executor: &E,
    ) -> Result<Retried, Error>
    where
        E: Executor<Grant> + ?Sized,
    {
        let request = Request::Settle { item: item.clone(), how: Settlement::Retried {} };
        evidence::verify_ahead(self.node(), presented.statements())?;
        let recorded = self.node().run(
            |state, now| Ok((govern::decided(state, now, by, &request, presented)?, now)),
            |state, now| {
                let (place, item) = state.items.find(item)?;
                let attempt = |purpose| item.attempt(item.undos, purpose, now);
                let time = item.def.timeout(Purpose::Probe);
                Some((place, item.undos, attempt(Purpose::Undo)?, attempt(Purpose::Probe).zip(Some(time))))
            },
        )?;
        let lsn = recorded.lsn();
        let granted = self.node().settle(recorded).await?;
        let (place, number, undo, probe) =
            granted.ok_or(Error::Illegal(Illegal::new("what was granted is open")))?;
        let grant = |attempt: &Attempt| Grant::again(attempt, StreamNo(place.0), lsn, self.node().clone());
        let permit = grant(&undo);
        let mut result = undone(executor.run(permit, &undo).await);
        // Whoever has stopped the undo does not wait for its probe either.
        let stopped =
            matches!(&result, Retried::Failed { failure } if failure.reason == hv_saga::Reason::Stopped);
        if let Some((probe, time)) = probe.filter(|_| !stopped) {
            // It has its own time, from the end of the undo on.
            let probe = Attempt::from(AttemptFacts { deadline: self.now().after(time), ..(*probe).clone() });
            let permit = grant(&probe);
            result = seen(executor.run(permit, &probe).await, result);
        }
        let (stream, saga, step) = place;
        let ended = NodeEvent::UndoEnded { stream, saga, step, number, result: result.clone() };
        let took_note = |state: &State, _| {
            if state.items.awaits(place, number) {
                return Ok((Draft::default().node(vec![ended.clone()]), ()));
            }
            let stale = SagaDenial::Stale { attempt: AttemptRef { step, purpose: Purpose::Undo, number } };
            Err(Refusal::on_node("retry_undo", Some(by), Reason::Saga(Box::new(stale))))
        };
        self.node().commit(took_note).await?;
        Ok(result)
    }
}

/// What the undo itself says.
fn undone(outcome: Outcome) -> Retried {
    match outcome.verdict {
        Verdict::Done => Retried::Undone {},
        Verdict::Failed(failure) => Retried::Failed { failure },
        Verdict::Answer(_) => cannot_tell(),
    }
}

/// What the probe says; what it cannot tell is as the undo said, unless that was a success.
fn seen(outcome: Outcome, said: Retried) -> Retried {
    match (outcome.verdict, said) {
        (Verdict::Answer(ProbeAnswer::Absent), _) => Retried::Undone {},
        (_, said @ Retried::Failed { .. }) => said,
        (Verdict::Answer(ProbeAnswer::Present), Retried::Undone {}) => {
            Retried::Failed { failure: Failure::new(Class::Retryable, hv_saga::Reason::Present) }
        }
        (_, Retried::Undone {}) => cannot_tell(),
    }
}

fn cannot_tell() -> Retried {
    Retried::Failed { failure: Failure::new(Class::Unknown, hv_saga::Reason::CannotTell) }
}
