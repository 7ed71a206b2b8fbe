//! Single attempts and whole sagas run for real, with a permit that permits.

use hv_saga::drive::{Control, SoloHost, drive};
use hv_saga::{
    Attempt, AttemptFacts, Executor, Outcome, Permit, Plan, Purpose, Saga, SagaCommand, SagaState, StepDef,
    Task,
};
use hv_types::{ActionId, Did, SagaId, SessionId, StepId, Timestamp};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A permit for the test's own attempts; or one that fits nothing.
#[derive(Debug)]
pub(crate) enum Slip {
    Good,
    Bad,
}

#[derive(Debug)]
pub(crate) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this slip fits nothing")
    }
}

impl std::error::Error for Refused {}

impl Permit for Slip {
    type Refusal = Refused;

    fn redeem(self, _: &Attempt, _: Timestamp) -> Result<(), Refused> {
        match self {
            Self::Good => Ok(()),
            Self::Bad => Err(Refused),
        }
    }
}

pub(crate) fn now() -> Timestamp {
    Timestamp(0).after(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
}

/// An attempt at a task, with so much time.
pub(crate) fn attempt(task: Task, purpose: Purpose, time: Duration) -> Attempt {
    Attempt::from(AttemptFacts {
        session: SessionId::new("s").unwrap(),
        saga: SagaId::new("g").unwrap(),
        step: StepId::new("step").unwrap(),
        ordinal: 0,
        agent: Did::new("did:mesh:a").unwrap(),
        action: ActionId::new("act").unwrap(),
        purpose,
        number: 3,
        task: Arc::new(task),
        deadline: now().after(time),
    })
}

pub(crate) async fn execute(executor: &impl Executor<Slip>, task: Task) -> Outcome {
    executor.run(Slip::Good, &attempt(task, Purpose::Execute, Duration::from_secs(20))).await
}

/// Runs a plan to its end, and gives the saga as it is then.
pub(crate) async fn run(plan: Plan, executor: &impl Executor<Slip>, control: &Control) -> (SagaState, Saga) {
    let host = host();
    let state = drive(&host, executor, control, SagaCommand::begin(plan)).await.unwrap();
    (state, host.saga())
}

pub(crate) fn host() -> SoloHost<fn(&Attempt) -> Option<Slip>> {
    SoloHost::new(SessionId::new("s").unwrap(), SagaId::new("g").unwrap(), |_| Some(Slip::Good))
}

pub(crate) fn plan(steps: impl IntoIterator<Item = StepDef>) -> Plan {
    Plan::new(steps.into_iter().map(Arc::new).collect())
}
