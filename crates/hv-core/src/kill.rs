//! The kill switch: an agent, an action, a session, or everything. What is killed starts nothing any more; what
//! was begun is told to stop, and what came of that is recorded either way.

use crate::error::{Error, Reason};
use crate::event::{KillAnswer, KillTarget, NodeEvent};
use crate::hypervisor::Hypervisor;
use crate::node::{Draft, Part, Refusal};
use crate::observed::KillTold;
use crate::state::State;
use hv_saga::drive::Control;
use hv_saga::{Purpose, Saga};
use hv_session::{Eviction, SessionCommand};
use hv_types::{ActionId, Did, Illegal, Machine, SessionId, Timestamp};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How long the callback of a kill may take where [`Guards`](crate::Guards) say nothing else; then its answer is
/// [`KillAnswer::Late`].
pub const KILL_CALLBACK: Duration = Duration::from_secs(5);

/// How often it is looked whether a relieved agent still executes something.
pub(crate) const LOOK: Duration = Duration::from_millis(10);

/// How many kills may be in force at once.
pub const KILLS_MAX: usize = 100_000;

/// A kill as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KillOrder {
    /// What starts nothing any more.
    pub target: KillTarget,
    /// Who asks for it, where that is known.
    pub by: Option<Did>,
    /// Why.
    pub reason: String,
}

/// What is killed now, and since when.
#[derive(Debug, Default)]
pub(crate) struct Kills {
    all: Option<Timestamp>,
    agents: BTreeMap<Did, Timestamp>,
    actions: BTreeMap<ActionId, Timestamp>,
    sessions: BTreeMap<SessionId, Timestamp>,
}

hv_types::wire_struct!(Kills { all, agents, actions, sessions });
crate::seldom::blank!(
    Kills,
    Kills { all: None, agents: BTreeMap::new(), actions: BTreeMap::new(), sessions: BTreeMap::new() }
);

impl Kills {
    pub(crate) fn apply(&mut self, event: &NodeEvent) -> Result<(), Illegal> {
        match event {
            NodeEvent::Killed { target, at, .. } => {
                let room = self.len() < KILLS_MAX && self.since(target).is_none();
                let before = match target {
                    KillTarget::All {} => self.all.replace(*at),
                    KillTarget::Agent { did } => self.agents.insert(did.clone(), *at),
                    KillTarget::Action { action } => self.actions.insert(action.clone(), *at),
                    KillTarget::Session { id } => self.sessions.insert(id.clone(), *at),
                };
                let once = room && before.is_none();
                if once { Ok(()) } else { Err(Illegal::new("what is killed is killed once")) }
            }
            NodeEvent::KillLifted { target, .. } => {
                let before = match target {
                    KillTarget::All {} => self.all.take(),
                    KillTarget::Agent { did } => self.agents.remove(did),
                    KillTarget::Action { action } => self.actions.remove(action),
                    KillTarget::Session { id } => self.sessions.remove(id),
                };
                before.map(|_| ()).ok_or(Illegal::new("only a kill that is in force is lifted"))
            }
            _ => Ok(()),
        }
    }

    /// A session that is over is not killed any more.
    pub(crate) fn forget_session(&mut self, id: &SessionId) {
        self.sessions.remove(id);
    }

    /// Since when an agent is killed.
    pub(crate) fn agent(&self, agent: &Did) -> Option<Timestamp> {
        self.agents.get(agent).copied()
    }

    /// What keeps this agent from starting this in this session.
    #[inline]
    pub(crate) fn hit(&self, session: &SessionId, agent: &Did, action: Option<&ActionId>) -> Option<Reason> {
        if self.len() == 0 { None } else { self.first_hit(session, agent, action) }
    }

    /// Out of the way of those whom nothing keeps.
    #[cold]
    fn first_hit(&self, session: &SessionId, agent: &Did, action: Option<&ActionId>) -> Option<Reason> {
        let killed = |target, at: &Timestamp| Reason::Killed { target, at: *at };
        let agent = || Some(killed(KillTarget::Agent { did: agent.clone() }, self.agents.get(agent)?));
        let session =
            || Some(killed(KillTarget::Session { id: session.clone() }, self.sessions.get(session)?));
        let action = || {
            let action = action?;
            Some(killed(KillTarget::Action { action: action.clone() }, self.actions.get(action)?))
        };
        let all = self.all.as_ref().map(|at| killed(KillTarget::All {}, at));
        all.or_else(session).or_else(agent).or_else(action)
    }

    fn since(&self, target: &KillTarget) -> Option<Timestamp> {
        match target {
            KillTarget::All {} => self.all,
            KillTarget::Agent { did } => self.agents.get(did).copied(),
            KillTarget::Action { action } => self.actions.get(action).copied(),
            KillTarget::Session { id } => self.sessions.get(id).copied(),
        }
    }

    fn len(&self) -> usize {
        usize::from(self.all.is_some()) + self.agents.len() + self.actions.len() + self.sessions.len()
    }

    fn list(&self) -> Vec<(KillTarget, Timestamp)> {
        let all = self.all.iter().map(|at| (KillTarget::All {}, *at));
        let sessions = self.sessions.iter().map(|(id, at)| (KillTarget::Session { id: id.clone() }, *at));
        let agents = self.agents.iter().map(|(did, at)| (KillTarget::Agent { did: did.clone() }, *at));
        let actions =
            self.actions.iter().map(|(action, at)| (KillTarget::Action { action: action.clone() }, *at));
        all.chain(sessions).chain(agents).chain(actions).collect()
    }
}

impl Hypervisor {
    /// Kills: from the record of it on, nothing of the target starts, whatever was granted before. With the same record
    /// an agent is put out of every session, and whoever acts for it there; of very many, with records that follow. Undo
    /// and probes of what was done still run.
    ///
    /// Then `stop` is run, which is to end what is under way, for as long as
    /// [`Guards::kill_callback`](crate::Guards::kill_callback) at most; what it answers, or that it did not, is recorded,
    /// also where nobody waits for this any more. Without a runtime nothing can be run, and that is recorded too; the kill
    /// holds. O(open sessions).
    ///
    /// # Errors
    /// [`Reason::AlreadyKilled`], [`Reason::TooManyKills`]; [`Error::Log`], [`Error::Poisoned`]. Where this fails
    /// after the kill was recorded, the kill holds.
    pub async fn kill<F, E>(&self, order: &KillOrder, stop: F) -> Result<KillAnswer, Error>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let told = KillTold::begin(&order.target);
        let recorded = self.node().run_alone(|state, now| Ok((killed(state, now, order)?, ())))?;
        let (hv, target) = (self.clone(), order.target.clone());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            let answer = KillAnswer::Failed { why: "there is no runtime to stop it on".to_owned() };
            hv.node().settle(recorded).await?;
            hv.put_out(&target).await?;
            return hv.answered(target, answer, &told).await;
        };
        // It belongs to a task, which goes on whether or not anybody still waits.
        let answering = runtime.spawn(async move {
            hv.node().settle(recorded).await?;
            let stopping = tokio::spawn(stop);
            hv.put_out(&target).await?;
            let answer = stopped(stopping, hv.guards().kill_callback).await;
            hv.answered(target, answer, &told).await
        });
        answering.await.unwrap_or(Err(Error::Poisoned))
    }

    /// Records what came of the callback of a kill.
    async fn answered(
        &self,
        target: KillTarget,
        answer: KillAnswer,
        told: &KillTold,
    ) -> Result<KillAnswer, Error> {
        let answered = NodeEvent::KillAnswered { target, answer: answer.clone() };
        self.node().commit(|_, _| Ok((Draft::default().node(vec![answered]), ()))).await?;
        told.answered(&answer);
        Ok(answer)
    }

    /// Puts a killed agent out of those sessions for which the batch of its kill had no room.
    async fn put_out(&self, target: &KillTarget) -> Result<(), Error> {
        loop {
            let put_out = |state: &State, now| {
                let out = if state.kills.since(target).is_some() {
                    put_out(state, now, target)
                } else {
                    Vec::new()
                };
                let some = !out.is_empty();
                Ok((Draft::default().elsewhere(out), some))
            };
            if !self.node().commit(put_out).await? {
                return Ok(());
            }
        }
    }

    /// What ends the work of a killed agent in sagas that are driven under `control`, for the callback of
    /// [`kill`](Self::kill): it is relieved, so that what it executes is stopped, and what it has not finished is handed
    /// over to the substitutes that its steps name, or else settled and undone. Ends when it executes nothing in the
    /// session any more.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub async fn relieved(&self, session: &SessionId, control: &Control, agent: &Did) -> Result<(), Error> {
        control.relieve(agent.clone());
        while self.executes(session, agent)? {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Whether an agent executes something in a session, as far as that is recorded; in one that is over, nothing.
    /// O(attempts that run).
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub fn executes(&self, session: &SessionId, agent: &Did) -> Result<bool, Error> {
        self.node().read(|state, _| {
            state
                .slot(session)
                .is_some_and(|slot| slot.running_sagas().any(|saga| executes(&saga.machine, agent)))
        })
    }

    /// Lifts a kill. An agent that was put out of a session has to be readmitted there.
    ///
    /// # Errors
    /// [`Reason::NotKilled`]; [`Error::Log`], [`Error::Poisoned`].
    pub async fn lift_kill(&self, order: &KillOrder) -> Result<(), Error> {
        let KillOrder { target, by, reason } = order;
        self.node()
            .commit(|state, _| {
                if state.kills.since(target).is_none() {
                    let reason = Reason::NotKilled { target: target.clone() };
                    return Err(Refusal::on_node("lift_kill", by.as_ref(), reason));
                }
                let (by, reason) = (by.clone(), reason.clone());
                let lifted = NodeEvent::KillLifted { target: target.clone(), by, reason };
                Ok((Draft::default().node(vec![lifted]), ()))
            })
            .await
    }

    /// What is killed now, and since when.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub fn kills(&self) -> Result<Vec<(KillTarget, Timestamp)>, Error> {
        self.node().read(|state, _| state.kills.list())
    }
}

/// Whether an agent executes something in a saga.
pub(crate) fn executes(saga: &Saga, agent: &Did) -> bool {
    let mut running = saga.running();
    running.any(|run| run.purpose == Purpose::Execute && saga.agent(run.step) == Some(agent))
}

/// A kill, and with it the end of what an agent is to sessions.
fn killed(state: &State, now: Timestamp, order: &KillOrder) -> Result<Draft, Box<Refusal>> {
    let KillOrder { target, by, reason } = order;
    let refuse = |reason| Refusal::on_node("kill", by.as_ref(), reason);
    if let Some(at) = state.kills.since(target) {
        return Err(refuse(Reason::AlreadyKilled { target: target.clone(), at }));
    }
    if state.kills.len() >= KILLS_MAX {
        return Err(refuse(Reason::TooManyKills));
    }
    let out = put_out(state, now, target);
    let (target, by, reason) = (target.clone(), by.clone(), reason.clone());
    let killed = NodeEvent::Killed { target, by, reason, at: now };
    Ok(Draft::default().node(vec![killed]).elsewhere(out))
}

/// What puts a killed agent out of the sessions in which it still is, as far as it has room in one batch. A kill is
/// neither too large nor refused for what a session says: from its record on the agent does nothing anyway.
fn put_out(state: &State, now: Timestamp, target: &KillTarget) -> Vec<Part> {
    let KillTarget::Agent { did } = target else { return Vec::new() };
    let evict = SessionCommand::Evict { did: did.clone(), reason: Eviction::Killed };
    let (mut out, mut said) = (Vec::new(), 0);
    for slot in state.slots().into_iter().filter(|slot| slot.session.member(did).is_some()) {
        let Ok(lifecycle) = slot.session.decide(&evict, now) else { continue };
        said += 1 + lifecycle.len();
        out.push(Part { stream: slot.stream, lifecycle, events: Vec::new() });
        if said >= AT_ONCE {
            break;
        }
    }
    out
}

/// So many evictions and records of them stand in one batch, or those of one session. Each takes less than 200 bytes.
const AT_ONCE: usize = 1024;

/// What came of a callback, so long after it began at the latest.
async fn stopped<E: fmt::Display>(
    mut stopping: tokio::task::JoinHandle<Result<(), E>>,
    most: Duration,
) -> KillAnswer {
    match tokio::time::timeout(most, &mut stopping).await {
        Ok(Ok(Ok(()))) => KillAnswer::Stopped {},
        Ok(Ok(Err(error))) => KillAnswer::Failed { why: cut(&error.to_string()) },
        Ok(Err(_)) => KillAnswer::Failed { why: "the callback panicked".to_owned() },
        Err(_) => {
            stopping.abort();
            KillAnswer::Late {}
        }
    }
}

/// The beginning of a text, 512 bytes at most.
fn cut(text: &str) -> String {
    let end = (0..=512.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}
