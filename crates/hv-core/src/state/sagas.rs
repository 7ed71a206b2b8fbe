//! The sagas of a session: those that run, and how those ended that do not.

use super::names::All;
use super::{CROWD, NO_SAGA, NamedSaga, Room, Slot};
use crate::adapters::outcomes;
use crate::node::Ahead;
use crate::scoring::{self, Outcomes};
use hv_saga::{Micros, SagaEvent, SagaState};
use hv_types::{Did, Illegal, Machine, SagaId, Timestamp};

/// A saga of a session, by what is left of it.
pub(crate) enum Known<'a> {
    Running(u32, &'a NamedSaga),
    Ended(SagaState),
}

impl Known<'_> {
    pub(crate) fn state(&self) -> SagaState {
        match self {
            Self::Running(_, saga) => saga.machine.state(),
            Self::Ended(state) => *state,
        }
    }
}

impl Slot {
    /// A saga by name.
    pub(crate) fn saga(&self, id: &SagaId) -> Option<Known<'_>> {
        match self.saga_names.running(id) {
            Some(number) => self.numbered(number, id),
            None => self.ended(id).map(Known::Ended),
        }
    }

    /// A saga by number and name.
    pub(crate) fn numbered(&self, number: u32, id: &SagaId) -> Option<Known<'_>> {
        match self.running.get(&number) {
            Some(saga) => Some(Known::Running(number, saga)),
            None => self.ended(id).map(Known::Ended),
        }
    }

    /// A saga by number that has not ended.
    pub(crate) fn running_saga(&self, number: u32) -> Option<&NamedSaga> {
        self.running.get(&number).map(|saga| &**saga)
    }

    /// The sagas that have not ended, in the order of their numbers.
    pub(crate) fn numbered_sagas(&self) -> impl ExactSizeIterator<Item = (u32, &NamedSaga)> {
        let mut sagas: Vec<_> = self.running.iter().map(|(number, saga)| (*number, &**saga)).collect();
        sagas.sort_unstable_by_key(|(number, _)| *number);
        sagas.into_iter()
    }

    /// The sagas that have not ended, in no particular order.
    pub(crate) fn running_sagas(&self) -> impl Iterator<Item = &NamedSaga> {
        self.running.iter().map(|(_, saga)| &**saga)
    }

    /// How many attempts of an agent run in all of them. O(log members).
    pub(crate) fn attempts_of(&self, agent: &Did) -> u32 {
        let attempts = self.busy.of(&self.session, agent);
        debug_assert_eq!(
            attempts as usize,
            self.attempts_seen(agent),
            "it is counted whenever a saga changes"
        );
        attempts
    }

    /// The same by looking through all of them.
    fn attempts_seen(&self, agent: &Did) -> usize {
        let of_saga = |saga: &NamedSaga| {
            let of_agent = |step| saga.machine.agent(step).is_some_and(|by| by == agent);
            saga.machine.running().filter(|run| of_agent(run.step)).count()
        };
        self.running_sagas().map(of_saga).sum()
    }

    /// The first saga that has not ended.
    pub(crate) fn unfinished(&self) -> Option<&NamedSaga> {
        self.running.iter().min_by_key(|(number, _)| **number).map(|(_, saga)| &**saga)
    }

    /// Takes up what happens to a saga, which may stand where it leads to by now.
    pub(super) fn saga_moves(
        &mut self,
        saga: u32,
        event: &SagaEvent,
        ahead: Option<&mut Ahead>,
    ) -> Result<(), Illegal> {
        let known = self.running.get_mut(&saga).ok_or(NO_SAGA)?;
        if let SagaEvent::Started { step, .. } = event {
            known.held.remove(step);
        }
        match ahead {
            Some(ahead) if ahead.number == Some(saga) && !ahead.reached => {
                // What is known of undos asks for names and times, which are in it the same.
                self.undos.observe(&ahead.decided.after, event);
                // Where a saga ends, that is the last event of it.
                if let SagaEvent::Finished { at, .. } = event {
                    let state = self.reach(ahead)?;
                    (ahead.judged, ahead.room) =
                        self.saga_ended(saga, state, Some(*at), ahead.outcomes.take());
                }
            }
            _ => {
                self.busy.take_moved(&self.session, &known.machine, event);
                known.machine.apply(event)?;
                self.busy.add_moved(&self.session, &known.machine, event);
                self.undos.observe(&known.machine, event);
                let state = known.machine.state();
                if state.is_terminal() {
                    let at = if let SagaEvent::Finished { at, .. } = event { Some(*at) } else { None };
                    let (judged, _) = self.saga_ended(saga, state, at, None);
                    self.judged.extend(judged);
                }
            }
        }
        Ok(())
    }

    /// Takes up what happens to a saga and stands in no list of the batch: all of it was decided with it.
    pub(super) fn take_up(&mut self, ahead: &mut Ahead) -> Result<(), Illegal> {
        let Some((number, moves)) = ahead.moves() else { return Ok(()) };
        let known = self.running.get_mut(&number).ok_or(NO_SAGA)?;
        let mut over = None;
        for event in moves {
            match event {
                SagaEvent::Started { step, .. } => drop(known.held.remove(step)),
                SagaEvent::Finished { at, .. } => over = Some(*at),
                _ => {}
            }
            self.undos.observe(&ahead.decided.after, event);
        }
        let state = self.reach(ahead)?;
        if over.is_some() {
            (ahead.judged, ahead.room) = self.saga_ended(number, state, over, ahead.outcomes.take());
        }
        Ok(())
    }

    /// Puts a saga where what was decided leads. Gives where it stands.
    pub(super) fn reach(&mut self, ahead: &mut Ahead) -> Result<SagaState, Illegal> {
        let known = ahead.number.and_then(|number| self.running.get_mut(&number)).ok_or(NO_SAGA)?;
        self.busy.take(&self.session, &known.machine);
        known.machine.reach(&mut ahead.decided);
        self.busy.add(&self.session, &known.machine);
        ahead.reached = true;
        Ok(known.machine.state())
    }

    /// Nothing of it stays in memory but how it ended. `worked` is what it says of those who worked in it, where that was
    /// looked for. Gives what it says, and when it ended, where that counts, and room for another saga.
    fn saga_ended(
        &mut self,
        number: u32,
        state: SagaState,
        at: Option<Micros>,
        worked: Option<Outcomes>,
    ) -> (Option<(Timestamp, Outcomes)>, Option<Room>) {
        if let (true, Some(ended)) = (self.adapted.scored(), self.running.get(&number)) {
            self.outcomes.extend(outcomes(&self.id, &ended.id, &ended.machine));
        }
        let Some(ended) = self.take_running(number) else { return (None, None) };
        if ended.rehearsal {
            self.undos.rehearsed(&ended.machine);
        }
        let judged = at.filter(|_| !self.adapted.scored()).map(|at| {
            let fresh = || scoring::outcomes(self, &ended, &ended.machine);
            debug_assert!(worked.as_ref().is_none_or(|worked| *worked == fresh()));
            (at.since(ended.machine.created()), worked.unwrap_or_else(fresh))
        });
        self.saga_names.end(&ended.id, state);
        let room = if state == SagaState::Escalated {
            self.escalated.push((number, ended));
            None
        } else {
            Some(Room::of(ended))
        };
        if !self.certified.is_empty() {
            let certified = self.certified.range((number, 0)..=(number, u32::MAX));
            let certified: Vec<_> = certified.map(|(step, _)| *step).collect();
            certified.iter().for_each(|step| drop(self.certified.remove(step)));
        }
        (judged, room)
    }

    /// A saga that has ended; the room of many that have is given back.
    fn take_running(&mut self, number: u32) -> Option<Box<NamedSaga>> {
        let ended = self.running.remove(&number);
        if let Some(saga) = &ended {
            self.busy.take(&self.session, &saga.machine);
        }
        self.running.fit(CROWD);
        ended
    }

    /// The names of all sagas, as far as they are kept.
    pub(crate) fn saga_ids(&self) -> All {
        self.saga_names.all()
    }

    /// How a saga ended that has.
    pub(crate) fn ended(&self, id: &SagaId) -> Option<SagaState> {
        self.saga_names.ended(id)
    }

    /// The number that the next saga gets.
    pub(crate) fn next_saga(&self) -> u32 {
        self.saga_names.next()
    }
}
