//! How requests are turned away: before they are looked at, and so that nobody fills the disk by being refused.

use super::{Draft, Failed, Inner, Made, Node, Poisoned, Recorded, Refusal, Shared};
use crate::consequence::{self, Struck};
use crate::error::{Denied, Error, Reason};
use crate::event::{Denial, Folded, NodeEvent, SessionEvent};
use crate::folding::{Door, Source, Told};
use hv_audit::StreamNo;
use hv_rings::fold::Form;
use hv_rings::gate::GateDenial;
use hv_types::Timestamp;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, TryLockError};

impl Node {
    /// Turns a request away whose origin knocks too often: before anything is looked at, and without the lock that
    /// others wait for unless something is to be recorded.
    #[cold]
    pub(super) fn knock<T>(&self) -> Option<Result<Recorded<T>, Failed>> {
        let origin = self.origin.as_ref()?;
        let now = self.now();
        let mut door = match self.door() {
            Ok(door) => door,
            Err(poisoned) => return Some(Err(poisoned.into())),
        };
        let limit = door.admit(origin, now).err()?;
        let reason = Reason::Gate(Box::new(GateDenial::SourceLimited { limit }));
        let refusal = Refusal::on_node("knock", None, reason);
        let source = Source::Origin { origin: origin.clone() };
        let told = self.count(&mut door, &source, &refusal, now);
        drop(door);
        if told.form == Form::Counted && told.due.is_empty() {
            let denied = Box::new(Denied { reason: refusal.reason, lsn: None, rejected: refusal.rejected });
            return Some(Ok(Recorded { value: Err(denied), made: Made::default() }));
        }
        Some(self.lock().map_err(Failed::from).and_then(|mut inner| {
            let now = self.now();
            self.tell(&mut inner, *refusal, told, now)
        }))
    }

    /// Whether a request from here would be looked at, for what is done for it before it is asked.
    pub(crate) fn listens(&self) -> bool {
        let Some(origin) = &self.origin else { return true };
        self.door().is_ok_and(|door| door.listens(origin, self.now()))
    }

    pub(super) fn count(&self, door: &mut Door, source: &Source, refusal: &Refusal, now: Timestamp) -> Told {
        let asker = (refusal.agent.clone(), refusal.stream);
        let told = door.refused(source, (refusal.request, &refusal.reason), &asker, now);
        self.shared.counts_due.store(door.next_end().0, Ordering::Release);
        told
    }

    /// Records a refusal in the form in which it is told, and with it the counts that are due.
    pub(super) fn tell<T>(
        &self,
        inner: &mut Inner,
        refusal: Refusal,
        told: Told,
        now: Timestamp,
    ) -> Result<Recorded<T>, Failed> {
        let Refusal { stream, request, agent, action, reason, rejected, also, slash } = refusal;
        let mut follows = consequence::of_trips(&inner.state, &also, now);
        // An agent without an account has nothing to lose.
        let struck = slash.and_then(|order| consequence::slash(&inner.state, *order, now).ok());
        let Struck { ledger, sessions } = struck.unwrap_or_default();
        follows.extend(sessions);
        let mut draft = Draft::default().node(folded(told.due).chain(also).collect()).ledger(ledger);
        let brought = rejected.clone();
        if told.form == Form::InFull {
            let denial = Denial::of(request, agent.as_ref(), action.as_ref(), &reason);
            match stream {
                StreamNo::NODE => {
                    let rejected = rejected.into_iter().map(|rejected| NodeEvent::Rejected { rejected });
                    draft.node.extend(rejected.chain([NodeEvent::Denied { denial }]));
                }
                stream => {
                    let rejected = rejected.into_iter().map(|rejected| SessionEvent::Rejected { rejected });
                    let events = rejected.chain([SessionEvent::Denied { denial }]).collect();
                    draft = draft.session(stream, events);
                }
            }
        }
        let mut made = Made::default();
        self.record(inner, &mut draft.also(follows), now, &mut made)?;
        let lsn = (told.form == Form::InFull).then_some(made.lsn);
        Ok(Recorded { value: Err(Box::new(Denied { reason, lsn, rejected: brought })), made })
    }

    /// Whether counts of refusals may be due.
    #[inline]
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        now.0 >= self.shared.counts_due.load(Ordering::Acquire)
    }

    /// The counts of refusals whose windows have ended. Where others are at the door, they can wait.
    #[cold]
    pub(super) fn due(&self, now: Timestamp) -> Result<impl Iterator<Item = NodeEvent> + use<>, Error> {
        let due = match self.unlocked().try_lock() {
            Ok(mut door) => {
                let due = door.due(now);
                self.shared.counts_due.store(door.next_end().0, Ordering::Release);
                due
            }
            Err(TryLockError::WouldBlock) => Vec::new(),
            Err(TryLockError::Poisoned(_)) => return Err(Error::Poisoned),
        };
        Ok(folded(due))
    }

    pub(super) fn door(&self) -> Result<MutexGuard<'_, Door>, Poisoned> {
        self.unlocked().lock().map_err(|_| Poisoned)
    }

    fn unlocked(&self) -> &Mutex<Door> {
        let Shared { door, guards, .. } = &*self.shared;
        door.get_or_init(|| Box::new(Mutex::new(Door::new(**guards))))
    }
}

pub(super) fn folded(counts: Vec<Folded>) -> impl Iterator<Item = NodeEvent> {
    counts.into_iter().map(|folded| NodeEvent::Folded { folded: Box::new(folded) })
}
