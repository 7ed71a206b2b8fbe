//! Sagas: work in several steps that is completed, or undone, or handed to a person, and never lost.
//!
//! A [`Plan`] is data: steps, what each waits for, how it is executed, undone and probed. [`Saga`] is a
//! [`Machine`]: it decides what starts next from what was recorded, and knows no clock, no process and no
//! network. A crash loses nothing that was recorded: the same events give the same state, and attempts
//! whose end nobody saw are in doubt until a probe, a repetition or an undo settles them.
//!
//! ```
//! use hv_saga::{Plan, Report, Saga, SagaCommand, SagaState, StepDef, Task, Verdict};
//! use hv_types::{ActionId, Did, Solo, StepId, Timestamp};
//! use std::sync::Arc;
//!
//! let task = Task::closure("book");
//! let (id, action, agent) = (StepId::new("book")?, ActionId::new("travel.book")?, Did::new("did:mesh:a")?);
//! let plan = Plan::new(vec![Arc::new(StepDef::new(id, action, agent, task))]);
//!
//! let mut saga = Solo::<Saga>::default();
//! saga.run(&SagaCommand::begin(plan), Timestamp(0)).unwrap();
//! let first = saga.state().running().next().unwrap();
//! saga.run(&Report::of(first, Verdict::Done).into(), Timestamp(1)).unwrap();
//! assert_eq!(saga.state().state(), SagaState::Completed);
//! # Ok::<(), hv_types::BadIdent>(())
//! ```

mod attempt;
mod command;
mod definition;
mod event;
mod port;
mod state;
mod step_bytes;
mod steps;
mod task;

mod machine;

mod retry;
pub mod reversibility;

#[cfg(feature = "tokio")]
pub mod drive;
#[cfg(feature = "tokio")]
pub mod exec;
#[cfg(feature = "proptest")]
pub mod strategies;

pub use attempt::{
    Attempt, AttemptFacts, AttemptRef, Class, Failure, Outcome, Output, ProbeAnswer, Purpose, Reason,
    StartProblem, Verdict,
};
pub use command::{Begin, Report, SagaCommand, SagaDenial};
pub use definition::{Growth, Idempotence, Join, Limits, Pace, Plan, PlanError, StepDef, StepLimit, limits};
pub use event::{Cause, Micros, Move, SagaEvent, StepRun};
pub use hv_types::{ActionId, ActionKind, Did, Machine, SagaId, SessionId, StepId, Timestamp};
pub use machine::{Decided, Saga, Unlike};
pub use port::{BoxFuture, Executor, Halt, Host, Permit, Progress};
pub use retry::Retry;
pub use state::{SagaSignal, SagaState, StepSignal, StepState};
pub use steps::Steps;
pub use task::{CommandTask, HttpTask, Task, TaskProblem, Value};

/// The example in the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct ReadmeDoctests;
