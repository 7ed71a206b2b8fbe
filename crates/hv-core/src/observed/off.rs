//! Nobody listens: every one of these is nothing.

use crate::error::Denied;
use crate::event::{Denial, KillAnswer, KillTarget, LedgerEvent, NodeEvent};
use crate::gate::Refused;
use crate::host::Start;
use crate::state::State;
use hv_audit::Lsn;
use hv_saga::{Saga, SagaCommand, SagaState};
use hv_types::{SagaId, SessionId, Timestamp};

#[inline(always)]
pub(crate) const fn poisoned() {}

/// One command to the node.
pub(crate) struct Command;

impl Command {
    #[inline(always)]
    pub(crate) const fn begin() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) const fn revealed(&self, _: Lsn, _: &Sums, _: Option<&Denied>) {}
}

/// What a batch holds.
#[derive(Debug, Default)]
pub(crate) struct Sums;

impl Sums {
    #[inline(always)]
    pub(crate) const fn of(_: &[NodeEvent], _: &[LedgerEvent], _: usize, _: &State) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) const fn behind(self, _: Self) -> Self {
        self
    }
}

/// One who waits for the disk.
pub(crate) struct Waiting;

impl Waiting {
    #[inline(always)]
    pub(crate) const fn begin() -> Self {
        Self
    }
}

/// One wait of the disk itself.
pub(crate) struct Syncing;

impl Syncing {
    #[inline(always)]
    pub(crate) const fn begin(_: Lsn) -> Self {
        Self
    }

    #[inline(always)]
    #[allow(clippy::unused_self)]
    pub(crate) const fn end(self, _: Lsn) {}
}

/// One kill.
pub(crate) struct KillTold;

impl KillTold {
    #[inline(always)]
    pub(crate) const fn begin(_: &KillTarget) -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) const fn answered(&self, _: &KillAnswer) {}
}

/// One command of a saga.
pub(crate) struct SagaTold;

impl SagaTold {
    #[inline(always)]
    pub(crate) const fn begin() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) const fn ended(&mut self, _: &SagaCommand, _: &Saga, _: Timestamp) {}

    #[inline(always)]
    pub(crate) const fn denied(&mut self, _: &Denial, _: &Refused) {}

    #[inline(always)]
    pub(crate) const fn held(&mut self, _: usize) {}

    #[inline(always)]
    #[allow(clippy::unused_self)]
    pub(crate) const fn tell(self, _: (&SessionId, &SagaId), _: &[Start], _: SagaState) {}
}
