//! Sagas behind the gate: every start that a saga decides on gets a grant or is refused.

use crate::error::{Error, Reason};
use crate::event::{Denial, SessionEvent};
use crate::gate;
use crate::grant::{Grant, Right, call_of};
use crate::node::{Draft, Node, Refusal};
use crate::slash;
use crate::state::{NamedSaga, Slot, State};
use hv_audit::PayloadRef;
use hv_saga::{
    Attempt, BoxFuture, Halt, Host, Machine, Output, Progress, Purpose, SagaCommand, SagaEvent, SagaState,
    StepDef,
};
use hv_types::{Call, SagaId, SessionId, Timestamp, Wire};
use std::sync::Arc;

/// One saga of one session, for a driver: it commits what the driver reports, and gives out grants.
#[derive(Debug, Clone)]
pub struct SagaHost {
    node: Arc<Node>,
    session: SessionId,
    saga: SagaId,
}

/// What a saga's decision leads to.
struct Decided {
    starts: Vec<(Attempt, Call, Right)>,
    next_wake: Option<Timestamp>,
    state: SagaState,
}

impl SagaHost {
    pub(crate) fn new(node: Arc<Node>, session: SessionId, saga: SagaId) -> Self {
        Self { node, session, saga }
    }

    /// The saga's name.
    #[must_use]
    pub const fn saga(&self) -> &SagaId {
        &self.saga
    }

    /// Where the saga stands.
    ///
    /// # Errors
    /// [`Error::NoSession`] and [`Error::NoSaga`] where it is not there, [`Error::Poisoned`].
    pub fn state(&self) -> Result<SagaState, Error> {
        self.node.read(|state, _| {
            let slot = state.slot(&self.session).ok_or_else(|| Error::NoSession(self.session.clone()))?;
            let (_, saga) = slot.saga(&self.saga).ok_or_else(|| Error::NoSaga(self.saga.clone()))?;
            Ok(saga.machine.state())
        })?
    }

    async fn carry_out(&self, command: SagaCommand, output: Option<Output>) -> Result<Progress<Grant>, Error> {
        let attached = match output.filter(says_something) {
            Some(output) => vec![self.node.put_payload(output.to_bytes()).await?],
            None => Vec::new(),
        };
        let recorded = self.node.run(|state, now| self.decide(state, now, command, attached))?;
        let lsn = recorded.lsn();
        let Decided { starts, next_wake, state } = self.node.settle(recorded).await?;
        let starts = starts
            .into_iter()
            .map(|(attempt, call, right)| (attempt, Grant::new(call, lsn, Arc::clone(&self.node), right)))
            .collect();
        Ok(Progress { starts, next_wake, state })
    }

    /// Decides until the gate has an answer for every start: what it refuses, the saga decides again without.
    fn decide(
        &self,
        state: &State,
        now: Timestamp,
        mut command: SagaCommand,
        attached: Vec<PayloadRef>,
    ) -> Result<(Draft, Decided), Box<Refusal>> {
        let (slot, number, saga) = self.find(state)?;
        let mut denials = Vec::new();
        loop {
            let decided = saga.machine.decide(&command, now);
            let events = decided.map_err(|denial| slot.refuse("saga", None, None, Reason::Saga(Box::new(denial))))?;
            let attempts = saga.machine.starts(&self.session, &self.saga, &events);
            let mut checked: Vec<(Attempt, Call, gate::Pass)> = Vec::with_capacity(attempts.len());
            let mut refused = Vec::new();
            for attempt in attempts {
                let Some(step) = step_of(saga, &command, attempt.ordinal) else { continue };
                let call = call_of(&attempt);
                let tools = running(slot, &attempt) + started(&checked, &attempt);
                match gate::check((state, slot, now), saga, (&attempt, &step), &call, tools) {
                    Ok(pass) => checked.push((attempt, call, pass)),
                    Err(denial) => refused.push((attempt, denial)),
                }
            }
            if refused.is_empty() {
                return Ok(record(state, slot, number, saga, events, checked, denials, attached, now));
            }
            for (attempt, denial) in refused {
                denials.push(denial);
                match command.refused_mut() {
                    Some(refused) => refused.push(attempt.ordinal),
                    // Only a command that carries refusals starts an execution; were it otherwise, its start
                    // must not happen.
                    None => {
                        let denial = hv_saga::SagaDenial::NotReady { step: attempt.ordinal };
                        return Err(slot.refuse("saga", None, None, Reason::Saga(Box::new(denial))));
                    }
                }
            }
        }
    }

    fn find<'a>(&self, state: &'a State) -> Result<(&'a Slot, u32, &'a NamedSaga), Box<Refusal>> {
        let Some(slot) = state.slot(&self.session) else {
            return Err(Refusal::no_session("saga", None, &self.session));
        };
        match slot.saga(&self.saga) {
            Some((number, saga)) => Ok((slot, number, saga)),
            None => Err(slot.refuse("saga", None, None, Reason::NoSaga(self.saga.clone()))),
        }
    }
}

/// One record: the outcome, what it leads to, and the grant behind each start.
#[expect(clippy::too_many_arguments, reason = "the parts of one record, put together in one place")]
fn record(
    state: &State,
    slot: &Slot,
    number: u32,
    saga: &NamedSaga,
    events: Vec<SagaEvent>,
    checked: Vec<(Attempt, Call, gate::Pass)>,
    denials: Vec<Denial>,
    attached: Vec<PayloadRef>,
    now: Timestamp,
) -> (Draft, Decided) {
    let mut after = saga.machine.clone();
    let mut slashes = Vec::new();
    let mut out: Vec<SessionEvent> = denials.into_iter().map(|denial| SessionEvent::Denied { denial }).collect();
    let mut grants = checked.iter();
    for event in events {
        // The machine takes what it has decided; were it not so, applying the record would poison the node.
        let _ = after.apply(&event);
        let started = matches!(event, SagaEvent::Started { .. });
        if matches!(event, SagaEvent::Finished { state: SagaState::Escalated, .. }) {
            slashes = slash::for_escalation(state, slot, &saga.id, &after, now);
        }
        out.push(SessionEvent::Saga { saga: number, event });
        if let Some((_, call, pass)) = started.then(|| grants.next()).flatten() {
            let (params, deadline) = (call.params, call.deadline);
            out.push(SessionEvent::Granted { params, deadline, ring: pass.ring, sigma: pass.sigma });
        }
    }
    let decided = Decided {
        starts: checked.into_iter().map(|(attempt, call, pass)| (attempt, call, pass.right)).collect(),
        next_wake: after.next_wake(),
        state: after.state(),
    };
    (Draft::default().ledger(slashes).session_with(slot.stream, out, attached), decided)
}

/// A step of the saga, also one that the command is about to append.
fn step_of(saga: &NamedSaga, command: &SagaCommand, ordinal: u32) -> Option<Arc<StepDef>> {
    let known = saga.machine.step(ordinal).map(|(step, _)| Arc::clone(step));
    known.or_else(|| match command {
        SagaCommand::Create { plan, .. } => plan.steps.get(ordinal as usize).cloned(),
        _ => None,
    })
}

/// Attempts of the same agent that run in the session.
fn running(slot: &Slot, attempt: &Attempt) -> u32 {
    let of_agent = |saga: &NamedSaga| {
        let of = |step| saga.machine.step(step).is_some_and(|(step, _)| step.agent == attempt.agent);
        saga.machine.running().filter(|run| of(run.step)).count()
    };
    u32::try_from(slot.sagas.iter().map(of_agent).sum::<usize>()).unwrap_or(u32::MAX)
}

/// Attempts of the same agent that are about to start.
fn started(checked: &[(Attempt, Call, gate::Pass)], attempt: &Attempt) -> u32 {
    let of_agent = checked.iter().filter(|(other, ..)| other.agent == attempt.agent);
    u32::try_from(of_agent.count()).unwrap_or(u32::MAX)
}

fn says_something(output: &Output) -> bool {
    !output.stdout.is_empty() || !output.stderr.is_empty()
}

/// Whether a start rests on the agent's own standing or on an earlier grant.
pub(crate) const fn right_of(purpose: Purpose) -> Right {
    match purpose {
        Purpose::Execute => Right::Standing,
        Purpose::Undo | Purpose::Probe => Right::Earlier,
    }
}

impl Host for SagaHost {
    type Permit = Grant;

    fn commit(
        &self,
        command: SagaCommand,
        output: Option<Output>,
    ) -> BoxFuture<'_, Result<Progress<Grant>, Halt>> {
        Box::pin(async move {
            self.carry_out(command, output).await.map_err(|error| match error {
                Error::Denied(denied) => match denied.reason {
                    Reason::Saga(denial) => Halt::Denied(*denial),
                    _ => Halt::Host(Box::new(Error::Denied(denied))),
                },
                error => Halt::Host(Box::new(error)),
            })
        })
    }

    fn now(&self) -> Timestamp {
        self.node.now()
    }
}
