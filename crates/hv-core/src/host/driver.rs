//! Who drives a saga: one at a time, in this process. Between processes the lock of the trail stands.

use super::SagaHost;
use crate::error::{Error, Reason};
use crate::grant::Mismatch;
use crate::node::{Draft, Refusal};
use crate::state::{Driven, Known, State};
use hv_audit::StreamNo;
use hv_saga::{Attempt, SagaCommand, SagaState};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How many hosts there were.
static MADE: AtomicU64 = AtomicU64::new(0);

/// One host among all of this program, and whether somebody drives the saga through it.
#[derive(Debug)]
pub(super) struct Driver {
    /// From 1.
    no: u64,
    drives: AtomicBool,
}

impl Driver {
    pub(super) fn new() -> Self {
        Self { no: MADE.fetch_add(1, Ordering::Relaxed).wrapping_add(1), drives: AtomicBool::new(false) }
    }

    /// Whether a command through this host may be decided on: nobody drives the saga, or this host's driver does. Whoever
    /// drives takes it with that. Asked under the node's lock.
    pub(super) fn may(&self, driven: &Driven) -> bool {
        let by = driven.by();
        if by == 0 {
            self.begins(driven);
        }
        by == 0 || by == self.no
    }

    /// Takes the saga, which nobody has, where somebody drives through this host.
    pub(super) fn begins(&self, driven: &Driven) {
        if self.drives.load(Ordering::Relaxed) {
            driven.set(self.no);
        }
    }
}

impl Clone for Driver {
    /// Nobody drives through a copy.
    fn clone(&self) -> Self {
        Self::new()
    }
}

/// Who it is that drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drives {
    /// Whoever runs the saga here.
    Here,
    /// Whoever has taken it before, and lets go of it.
    Already,
}

/// Who watches a saga that is run, and may have it do something else.
pub(crate) trait Watching {
    /// An attempt was granted, and its grant opened nothing any more.
    fn withheld(&mut self, attempt: &Attempt, why: Mismatch);

    /// What is asked of the saga in place of the report on an attempt that has ended.
    fn ended(&mut self) -> Option<SagaCommand>;

    /// What is asked of the saga when it is time for something.
    fn woken(&mut self) -> Option<SagaCommand>;
}

/// Nobody does.
impl Watching for () {
    fn withheld(&mut self, _: &Attempt, _: Mismatch) {}

    fn ended(&mut self) -> Option<SagaCommand> {
        None
    }

    fn woken(&mut self) -> Option<SagaCommand> {
        None
    }
}

/// A host through which somebody drives, until this is dropped.
pub(super) struct Driving<'a> {
    /// None where there is nothing to let go of.
    host: Option<&'a SagaHost>,
}

impl<'a> Driving<'a> {
    /// Drives from here on; the saga is taken by the first command. Nothing where somebody else drives.
    pub(super) fn begin(host: &'a SagaHost, drives: Drives) -> Option<Self> {
        match drives {
            Drives::Already => Some(Self { host: None }),
            Drives::Here if host.driver.drives.swap(true, Ordering::Acquire) => None,
            Drives::Here => Some(Self { host: Some(host) }),
        }
    }

    /// Where the saga has ended, nobody has it any more.
    pub(super) fn ended(&mut self, state: SagaState) {
        if state.is_terminal()
            && let Some(host) = self.host.take()
        {
            host.driver.drives.store(false, Ordering::Release);
        }
    }
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        if let Some(host) = self.host {
            host.let_go();
        }
    }
}

impl SagaHost {
    /// Drives from here on until it [lets go](Self::let_go); the saga is taken by the first command. For a host that is new.
    pub(crate) fn begins(self) -> Self {
        self.driver.drives.store(true, Ordering::Relaxed);
        self
    }

    /// Takes the saga at once. Nothing is waited for once it is taken.
    pub(crate) async fn take(&self) -> Result<(), Error> {
        let taken = self.node.look(|state| {
            let known = state.slot(&self.session).and_then(|slot| slot.saga(&self.saga));
            let driven = match &known {
                Some(Known::Running(_, saga)) => Some(&saga.driven),
                Some(Known::Ended(_)) | None => None,
            };
            let free = driven.is_none_or(|driven| driven.by() == 0);
            let taken = free && !self.driver.drives.swap(true, Ordering::Acquire);
            if taken {
                driven.into_iter().for_each(|driven| driven.set(self.driver.no));
            }
            taken
        })?;
        if taken { Ok(()) } else { Err(self.held_elsewhere().await) }
    }

    /// Lets go of what was taken.
    #[cold]
    pub(crate) fn let_go(&self) {
        // Of a node that failed nothing is driven any more.
        let _ = self.node.look(|state| {
            let known = match self.place.get() {
                Some(place) => {
                    state.open(place.stream).and_then(|slot| slot.numbered(place.number, &self.saga))
                }
                None => state.slot(&self.session).and_then(|slot| slot.saga(&self.saga)),
            };
            if let Some(Known::Running(_, saga)) = known
                && saga.driven.by() == self.driver.no
            {
                saga.driven.set(0);
            }
        });
        self.driver.drives.store(false, Ordering::Release);
    }

    /// Refuses it, on the trail.
    #[cold]
    pub(super) async fn held_elsewhere(&self) -> Error {
        let decide = |state: &State, _| -> Result<(Draft, Infallible), Box<Refusal>> {
            let stream = state.slot(&self.session).map_or(StreamNo::NODE, |slot| slot.stream);
            Err(Refusal::on(stream, "saga", None, None, Reason::SagaHeld(self.saga.clone())))
        };
        match self.node.commit(decide).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }
}
