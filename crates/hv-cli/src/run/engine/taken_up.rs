//! A saga whose driver was cut off is taken up: what it left running is waited for and stopped as what this run begins
//! itself, so whatever is asked of a run is asked of it then, too.

use super::{Run, SURVIVORS};
use crate::progress::{Event, Phase};
use crate::run::history::History;
use crate::run::left::{GoingOn, blocking, stopped_at_once};
use crate::session::aim::{self, Aim};
use crate::session::steer::Cancels;
use hv_core::saga::drive::{Control, Heading, Left, drive_left};
use hv_core::saga::exec::survivors::{Survivor, survivors_of};
use hv_core::saga::{AttemptRef, Class, Halt, Outcome, Purpose, Reason, Saga, SagaState};
use hv_core::{Error, SagaHost};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

fn host_halt(error: Error) -> Halt {
    Halt::Host(Box::new(error))
}

impl Run {
    /// Drives a saga on that was interrupted. What a step that is done has begun is part of what it did, and goes on.
    pub(super) async fn taken_up(
        &self,
        phase: Phase,
        host: &SagaHost,
        control: &Control,
    ) -> Result<SagaState, Halt> {
        let (session, id) = (&self.session, host.id());
        let Some(saga) = self.hv.saga_machine(session, id).map_err(host_halt)? else {
            return host.state().map_err(host_halt);
        };
        let relieved = self.heed_kills(&saga, control).map_err(host_halt)?;
        let keys: Vec<String> = saga.unsettled_keys(session, id).collect();
        let (token, sought) = (self.token.clone(), keys.clone());
        let mut found = blocking(move || survivors_of(&token, &sought)).await.map_err(halt)?;
        let mut by_step = BTreeMap::new();
        for at in saga.running() {
            let Some((def, _)) = saga.step(at.step) else { continue };
            let keys =
                [Purpose::Execute, Purpose::Probe, Purpose::Undo].map(|of| of.key(session, id, &def.id));
            let (of_step, others): (Vec<Survivor>, _) =
                found.into_iter().partition(|survivor| keys.contains(&survivor.key));
            found = others;
            by_step.insert(at.step, (keys.to_vec(), of_step));
        }
        if !found.is_empty() {
            // Their attempts were given up before.
            let keys: Vec<String> = found.into_iter().map(|survivor| survivor.key).collect();
            stopped_at_once(&self.token, keys, |text| self.tell(&Event::Notice { text }))
                .await
                .map_err(halt)?;
        }
        let driven = matches!(self.interrupts.cancels(phase), Cancels::Driven);
        let turned = control.is_cancelled() || (driven && self.interrupts.cancelled());
        let heading = match saga.state() {
            SagaState::Running if turned => Heading::Back,
            _ => Heading::AsItStands,
        };
        let nothing = by_step.values().all(|(_, of_step)| of_step.is_empty());
        let (failed, mut failures) = tokio::sync::mpsc::unbounded_channel();
        let mut left = Vec::new();
        if !nothing || heading == Heading::Back || relieved {
            let times = self.times_left(&saga, id.as_str())?;
            for at in saga.running() {
                let Some(agent) = saga.agent(at.step).cloned() else { continue };
                let (keys, of_step) = by_step.remove(&at.step).unwrap_or_default();
                let wait = times.get(&at.step).copied().unwrap_or_default().min(SURVIVORS);
                left.push(Left {
                    attempt: at,
                    agent,
                    end: self.end(at, (keys, of_step), wait, control, &failed),
                });
            }
        }
        let driven = drive_left(host, &self.executor, control, (saga.state(), heading), left);
        tokio::select! {
            biased;
            Some(error) = failures.recv() => Err(halt(error)),
            state = driven => state,
        }
    }

    /// When nothing of an attempt is at work any more.
    fn end(
        &self,
        at: AttemptRef,
        (keys, found): (Vec<String>, Vec<Survivor>),
        wait: Duration,
        control: &Control,
        failed: &tokio::sync::mpsc::UnboundedSender<io::Error>,
    ) -> hv_core::saga::BoxFuture<'_, Outcome> {
        let crashed = || Outcome::failed(Class::Unknown, Reason::Crashed);
        if found.is_empty() {
            return Box::pin(async move { crashed() });
        }
        for survivor in found {
            let text =
                format!("{survivor} goes on since the interruption; it has {} s to end", wait.as_secs());
            self.tell(&Event::Notice { text });
        }
        let going_on = GoingOn::new(&self.token, keys);
        let (stopping, failed) = (control.stopping(), failed.clone());
        Box::pin(async move {
            let asked = stopping.asked(at.purpose);
            match going_on.ended(wait, asked, |text| self.tell(&Event::Notice { text })).await {
                Ok(()) => crashed(),
                Err(error) => {
                    // Nothing goes on beside it; whoever drives is told, and leaves.
                    let _ = failed.send(error);
                    std::future::pending().await
                }
            }
        })
    }

    /// What was killed while nobody drove the saga and had begun something in it is stopped and undone, or handed over, as
    /// if it had been killed now. Whether something was handed over.
    fn heed_kills(&self, saga: &Saga, control: &Control) -> Result<bool, Error> {
        let mut relieved = false;
        if saga.state() != SagaState::Running {
            return Ok(relieved);
        }
        for (target, _) in self.hv.kills()? {
            if !aim::is_at_work(&target, &self.session, saga) {
                continue;
            }
            match aim::aim(&target, &self.session, saga) {
                Aim::Relieves(agent) => {
                    control.relieve(agent);
                    relieved = true;
                }
                Aim::Cancels => control.cancel(Duration::ZERO),
                Aim::Nothing => {}
            }
        }
        Ok(relieved)
    }

    /// How much of their time attempts have left that run.
    fn times_left(&self, saga: &Saga, name: &str) -> Result<BTreeMap<u32, Duration>, Halt> {
        let history = History::read(&**self.hv.log(), Some(&self.session));
        let history = history.map_err(|failure| halt(io::Error::other(failure.to_string())))?;
        let told = history.as_ref().and_then(|history| history.saga(name));
        let left = |at: AttemptRef| {
            let step = told?.steps.get(at.step as usize)?;
            Some((at.step, step.time_left(self.hv.now())?))
        };
        Ok(saga.running().filter_map(left).collect())
    }
}

fn halt(error: io::Error) -> Halt {
    Halt::Host(Box::new(error))
}
