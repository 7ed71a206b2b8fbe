//! The sagas of a trail, replayed from its records as any reader can.

use super::Failure;
use crate::audit::look;
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{Entry, Kind, LogError, Reading, StreamNo, Verdict, verify_on};
use hv_core::event::{NodeEvent, SagaEvent, SessionEvent};
use hv_core::saga::reversibility::Registry;
use hv_core::saga::{Machine, Saga, SagaState, StepState};
use hv_core::types::{Digest, SagaId};
use hv_core::{Retried, Settlement, TrailEvent, read_record};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a trail says of sagas.
#[derive(Debug, Default)]
pub(super) struct Trail {
    pub(super) sessions: BTreeMap<StreamNo, Session>,
    /// Whether there is a witness whose word counts; nothing where the node is not configured.
    pub(super) witnessed: Option<bool>,
    /// What a person has seen to: stream, saga, step.
    settled: BTreeSet<(u32, u32, u32)>,
}

/// The sagas of one session.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) name: String,
    pub(super) sagas: Vec<Told>,
    /// What is known of undos beyond what steps declare.
    pub(super) undos: Registry,
    /// Whether nothing can happen in it any more.
    pub(super) closed: bool,
    /// What `hv run` keeps with a session it began.
    pub(super) note: Option<Digest>,
}

/// One saga with its history.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) id: SagaId,
    pub(super) saga: Saga,
    pub(super) events: Vec<SagaEvent>,
    pub(super) rehearsal: bool,
}

impl Trail {
    /// Reads a trail without its writer's lock, also while it is written to.
    pub(super) fn read(data: &Path) -> Result<Self, Failure> {
        look(data).map_err(|no| Failure::Input(format!("{}: {no}", data.display())))?;
        let mut trail = Self::default();
        let mut bad = None;
        let read = verify_on(&RealDisk, data, &mut |entry| {
            if let Err(why) = trail.take(&entry) {
                bad.get_or_insert(why);
            }
        });
        let report = read.map_err(|error| Failure::Input(format!("{}: {error}", data.display())))?;
        if let Verdict::Tampered(finding) = &report.verdict {
            return Err(Failure::Hv(format!("{}: the trail was tampered with: {finding}", data.display())));
        }
        match bad {
            Some(why) => Err(Failure::Hv(format!("{}: {why}", data.display()))),
            None => Ok(trail),
        }
    }

    fn take(&mut self, entry: &Entry<'_>) -> Result<(), String> {
        if let Kind::Genesis { label } = entry.kind {
            self.sessions.entry(entry.stream).or_default().name = label.to_owned();
        }
        let record = read_record(entry).map_err(|error| error.to_string())?;
        for event in record.events {
            match event {
                TrailEvent::Session(event) => {
                    let session = self.sessions.entry(record.stream).or_default();
                    session.take(*event, record.attached.first().map(|payload| payload.id()))?;
                }
                TrailEvent::Node(NodeEvent::UndoRestored { stream, action, .. }) => {
                    if let Some(session) = self.sessions.get_mut(&StreamNo(stream)) {
                        session.undos.restore(&action);
                    }
                }
                TrailEvent::Node(NodeEvent::Configured { config, .. }) => {
                    self.witnessed = Some(!config.witnesses().is_empty());
                }
                // Its own records of that may be gone.
                TrailEvent::Opened { stream, label, .. } => {
                    self.sessions.entry(stream).or_default().name = label;
                }
                TrailEvent::Closed { stream, .. } => {
                    self.sessions.entry(stream).or_default().closed = true;
                }
                TrailEvent::Node(
                    NodeEvent::ItemSettled {
                        stream,
                        saga,
                        step,
                        how: Settlement::Resolved {} | Settlement::Skipped {},
                        ..
                    }
                    | NodeEvent::UndoEnded { stream, saga, step, result: Retried::Undone {}, .. },
                ) => {
                    self.settled.insert((stream, saga, step));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The sagas of this name, or all: session, number of the stream, number of the saga, saga.
    pub(super) fn sagas(&self, name: Option<&str>) -> Vec<(&Session, u32, u32, &Told)> {
        let mut found = Vec::new();
        for (stream, session) in &self.sessions {
            for (number, told) in (0u32..).zip(&session.sagas) {
                if name.is_none_or(|name| told.id.as_str() == name) {
                    found.push((session, stream.0, number, told));
                }
            }
        }
        found
    }

    /// The steps that wait for a person, as they are named; where two are called the same, the one that waits longer
    /// first.
    pub(super) fn open(&self) -> Vec<String> {
        self.waiting().into_iter().map(|(_, item)| item).collect()
    }

    /// The steps that wait for a person, each with its session.
    pub(super) fn waiting(&self) -> Vec<(&Session, String)> {
        let mut open = Vec::new();
        for (session, stream, number, told) in self.sagas(None) {
            if told.saga.state() != SagaState::Escalated {
                continue;
            }
            for (step, (def, run)) in (0u32..).zip(told.saga.steps().iter().zip(told.saga.runs())) {
                let waits = run.state == StepState::CompensationFailed
                    && !self.settled.contains(&(stream, number, step));
                if waits {
                    open.push((session, format!("{}/{}/{}", session.name, told.id, def.id)));
                }
            }
        }
        open
    }

    /// Whether a session is open that `hv run` began, so that one process drives all of it.
    pub(super) fn is_a_run(&self) -> bool {
        self.sessions.values().any(|session| !session.closed && session.note.is_some())
    }

    /// Whether every saga of this name, or every one, has ended, and none is still to come: as the first one while a
    /// session is open, or as the next one of a run.
    pub(super) fn ended(&self, name: Option<&str>) -> bool {
        let found = self.sagas(name);
        let mut open = self.sessions.range(StreamNo::FIRST_SESSION..).filter(|(_, session)| !session.closed);
        let to_come = if found.is_empty() {
            open.next().is_some()
        } else {
            name.is_none() && open.any(|(_, session)| session.note.is_some())
        };
        !to_come && found.iter().all(|(.., told)| told.saga.state().is_terminal())
    }
}

/// A trail that is read on as it is written to.
pub(super) struct Watched<'d> {
    pub(super) trail: Trail,
    reading: Reading<'d>,
    data: &'d Path,
}

impl<'d> Watched<'d> {
    /// Verifies all of it, contents too, and reads it as far as it is there.
    pub(super) fn begin(data: &'d Path) -> Result<Self, Failure> {
        Trail::read(data)?;
        let reading = Reading::new(&RealDisk, data);
        let mut watched = Self { trail: Trail::default(), reading, data };
        // What it stumbles over was not there a moment ago; then the next look tells.
        let _ = watched.read_on()?;
        Ok(watched)
    }

    /// Reads what came since.
    pub(super) fn go_on(&mut self) -> Result<(), Failure> {
        if self.read_on()?.is_err() {
            // Whether that is as it should be only all of it tells.
            *self = Self::begin(self.data)?;
        }
        Ok(())
    }

    fn read_on(&mut self) -> Result<Result<(), LogError>, Failure> {
        let Self { trail, reading, data } = self;
        let mut bad = None;
        let read = reading.go_on(&mut |entry| {
            if let Err(why) = trail.take(&entry) {
                bad.get_or_insert(why);
            }
        });
        bad.map_or(Ok(read), |why| Err(Failure::Hv(format!("{}: {why}", data.display()))))
    }
}

impl Session {
    fn take(&mut self, event: SessionEvent, attached: Option<Digest>) -> Result<(), String> {
        match event {
            SessionEvent::SagaOpened { id, .. } => {
                let (saga, events) = (Saga::default(), Vec::new());
                self.sagas.push(Told { id, saga, events, rehearsal: false });
            }
            SessionEvent::Saga { saga, event } => {
                if let Some(told) = self.sagas.get_mut(saga as usize) {
                    told.saga.apply(&event).map_err(|illegal| illegal.to_string())?;
                    self.undos.observe(&told.saga, &event);
                    if told.rehearsal && told.saga.state().is_terminal() {
                        self.undos.rehearsed(&told.saga);
                    }
                    told.events.push(event);
                }
            }
            SessionEvent::Rehearsal { saga } => {
                if let Some(told) = self.sagas.get_mut(saga as usize) {
                    told.rehearsal = true;
                }
            }
            SessionEvent::RehearsalDemanded { action } => self.undos.demand(&action),
            SessionEvent::Noted { key } if key == crate::run::NOTE => self.note = attached,
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::told::lines;
    use super::*;
    use hv_core::rings::class::Claim;
    use hv_core::saga::exec::Closures;
    use hv_core::saga::{Outcome, Plan, SagaCommand};
    use hv_core::types::{ActionId, ActionKind, Did, Reversibility, SessionId, StepId};
    use hv_core::{Entrant, Hypervisor, SessionConfig};
    use std::sync::Arc;

    async fn saga(hv: &Hypervisor, session: &SessionId, name: &str, agent: &Did) {
        let action = ActionId::new("act").unwrap();
        let claim = Claim {
            kind: Some(ActionKind::Effect),
            reversibility: Some(Reversibility::Full),
            ..Claim::default()
        };
        let host = hv.saga(session, &SagaId::new(name).unwrap()).accepting(vec![0]);
        let host = host.registering(action.clone(), claim);
        let step = Closures::step(StepId::new("step").unwrap(), action, agent.clone(), "work");
        let first = SagaCommand::begin(Plan::new(vec![Arc::new(step)]));
        assert_eq!(
            host.run(first, |_| async { Outcome::done() }).await.unwrap(),
            SagaState::Completed,
            "{:?}",
            host.take_refused()
        );
    }

    #[tokio::test]
    async fn what_is_watched_is_what_all_of_the_trail_says_whatever_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("trail");
        let hv = Hypervisor::in_folder(&data).unwrap();
        let (session, agent) = (SessionId::new("s").unwrap(), Did::new("did:mesh:a").unwrap());
        hv.create_session(&session, SessionConfig::default(), &agent).await.unwrap();
        let entrant = Entrant::new(agent.clone()).with_sigma("0.85".parse().unwrap());
        hv.join_session(&session, &entrant).await.unwrap();
        hv.activate_session(&session).await.unwrap();
        let mut watched = Watched::begin(&data).unwrap();
        for n in 0..3 {
            saga(&hv, &session, &format!("saga{n}"), &agent).await;
            watched.go_on().unwrap();
            assert_eq!(lines(&watched.trail, None), lines(&Trail::read(&data).unwrap(), None));
            assert_eq!(watched.trail.sagas(None).len(), n + 1);
            assert!(watched.trail.ended(None));
        }
        hv.terminate_session(&session).await.unwrap();
        hv.seal().await.unwrap();
        drop(hv);
        watched.go_on().unwrap();
        assert!(watched.trail.sessions.values().any(|session| session.closed));
        // Another trail in its place: that it does not follow what was read makes it be read from the beginning.
        std::fs::remove_dir_all(&data).unwrap();
        drop(Hypervisor::in_folder(&data).unwrap());
        watched.go_on().unwrap();
        assert_eq!(watched.trail.sagas(None).len(), 0);
        // And one that is no trail at all is an error.
        let segment = data.join("00000000.seg");
        let mut bytes = std::fs::read(&segment).unwrap();
        bytes[100] ^= 1;
        std::fs::write(&segment, bytes).unwrap();
        assert!(Watched::begin(&data).is_err());
    }
}
