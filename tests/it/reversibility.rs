//! What can be undone is what was shown to be undone: an undo that fails takes the trust in its action away at once,
//! and a rehearsal or a witness gives it back. With real programs.

use crate::evidence::{action, did, key, node};
use hv_core::audit::MemoryLog;
use hv_core::identity::{Content, Statement};
use hv_core::rings::class::Claim;
use hv_core::saga::drive::{Control, drive};
use hv_core::saga::exec::CommandExecutor;
use hv_core::saga::reversibility::{CannotRehearse, LOOK};
use hv_core::saga::{CommandTask, Growth, Plan, SagaCommand, SagaState, StepDef, Task};
use hv_core::session::SessionConfig;
use hv_core::types::{ActionKind, Reversibility, SagaId, SessionId, StepId, Timestamp};
use hv_core::{
    Clock, Denied, Entrant, Error, Hypervisor, NodeConfig, Presented, Reason, Request, SystemClock, UndoView,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

fn session() -> SessionId {
    SessionId::new("desk").unwrap()
}

/// A folder in which files are made and taken away, and a node that watches over it.
struct Desk {
    hv: Hypervisor,
    log: Arc<MemoryLog>,
    folder: tempfile::TempDir,
    executor: CommandExecutor,
    sagas: AtomicU32,
}

impl Desk {
    async fn new() -> Self {
        let log = Arc::new(MemoryLog::new());
        let hv = Hypervisor::open(log.clone(), Arc::new(SystemClock)).unwrap();
        hv.establish(&did("operator"), &NodeConfig::new(node()).with_witness(did("human")), &[])
            .await
            .unwrap();
        hv.create_session(&session(), SessionConfig::default(), &did("operator")).await.unwrap();
        for agent in ["a", "b", "c"] {
            let entrant = Entrant::new(did(agent)).with_sigma("0.85".parse().unwrap());
            hv.join_session(&session(), &entrant).await.unwrap();
        }
        let claim = Claim {
            kind: Some(ActionKind::Effect),
            reversibility: Some(Reversibility::Full),
            ..Claim::default()
        };
        for name in ["file.make", "file.copy"] {
            hv.register_action(&session(), &action(name), claim).await.unwrap();
        }
        hv.activate_session(&session()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let executor = CommandExecutor::new("reversibility");
        Self { hv, log, folder, executor, sagas: AtomicU32::new(0) }
    }

    fn path(&self, file: &str) -> String {
        self.folder.path().join(file).display().to_string()
    }

    fn is_there(&self, file: &str) -> bool {
        Path::new(&self.path(file)).exists()
    }

    /// A step that makes a file; `undo` is what takes it away, or does not.
    fn step(&self, agent: &str, act: &str, file: &str, undo: &str) -> StepDef {
        let task = |argv: &[&str]| {
            let mut argv: Vec<String> = argv.iter().map(|part| (*part).to_owned()).collect();
            argv.push(self.path(file));
            Task::from(CommandTask { argv, ..CommandTask::default() })
        };
        let def = StepDef::new(StepId::new("s").unwrap(), action(act), did(agent), task(&["touch"]));
        // As probes are read: 0 it is there, 1 it is not.
        def.with_undo(task(&[undo])).with_probe(task(&["test", "-e"]))
    }

    fn name(&self) -> SagaId {
        SagaId::new(&format!("saga{}", self.sagas.fetch_add(1, Ordering::SeqCst))).unwrap()
    }

    /// Carries out one step and leaves it, or undoes it; gives where the saga stands and why it was refused.
    async fn act(&self, def: StepDef, then_undo: bool) -> (SagaState, Option<String>) {
        let saga = self.name();
        let plan = Plan { growth: Growth::Open, ..Plan::new(vec![Arc::new(def)]) };
        let host = self.hv.create_saga(&session(), &saga, plan, vec![]).await.unwrap();
        let drive = |first| drive(&host, &self.executor, Box::leak(Box::new(Control::new())), first);
        let mut state = drive(SagaCommand::advance()).await.unwrap();
        if then_undo && !state.is_terminal() {
            state = drive(SagaCommand::Cancel).await.unwrap();
        }
        (state, host.take_refused().map(|denial| denial.reason))
    }

    /// Whether the gate lets an agent do this.
    async fn may(&self, def: StepDef) -> Result<(), String> {
        match self.act(def, false).await {
            (SagaState::Running, None) => Ok(()),
            (SagaState::Compensated, Some(why)) => Err(why),
            other => panic!("{other:?}"),
        }
    }

    async fn rehearse(&self, def: StepDef) -> SagaState {
        let host = self
            .hv
            .create_rehearsal(&session(), &self.name(), Plan::new(vec![Arc::new(def)]), &[0])
            .await
            .unwrap();
        let control = Control::new();
        let state = drive(&host, &self.executor, &control, SagaCommand::advance()).await.unwrap();
        assert_eq!(host.take_refused(), None);
        if state.is_terminal() {
            return state;
        }
        drive(&host, &self.executor, &control, SagaCommand::Cancel).await.unwrap()
    }

    fn known(&self) -> Vec<UndoView> {
        self.hv.undos(&session()).unwrap()
    }

    /// The same, read from the record. S4: what is known of undos is what the record says.
    fn reopened(self) -> Self {
        let before = self.known();
        let hv = Hypervisor::open(self.log.clone(), Arc::new(SystemClock)).unwrap();
        let desk = Self { hv, ..self };
        assert_eq!(desk.known(), before);
        desk
    }

    async fn restore(&self, by: &str, act: &str, nonce: u8) -> Result<(), Reason> {
        let request = Request::RestoreUndo { session: session(), action: action(act) };
        let deadline: Timestamp = SystemClock.now().after(Duration::from_secs(600));
        let call = request.call(&did("operator"), deadline).unwrap();
        let statement = Statement {
            audience: node(),
            signer: did(by),
            nonce: [nonce; 16],
            deadline,
            content: Content::Witness { call },
        };
        let word = Presented::new(deadline, vec![statement.seal(&key(by)).unwrap()]).unwrap();
        self.hv.govern(&did("operator"), &request, &word).await.map(drop).map_err(|error| match error {
            Error::Denied(denied) => {
                let Denied { reason, .. } = *denied;
                reason
            }
            error => panic!("{error}"),
        })
    }
}

#[tokio::test]
async fn an_undo_that_fails_makes_its_action_one_that_cannot_be_undone_at_once() {
    let desk = Desk::new().await;
    desk.may(desk.step("b", "file.make", "before", "rm")).await.unwrap();
    let (state, _) = desk.act(desk.step("a", "file.make", "stays", "false"), true).await;
    assert_eq!(state, SagaState::Escalated);
    assert!(desk.is_there("stays"));

    let desk = desk.reopened();
    let known = desk.known();
    let failed = known[0].failed.as_ref().unwrap();
    assert_eq!((known.len(), &known[0].action, &failed.agent), (1, &action("file.make"), &did("a")));
    // The next call of it, by whomever, needs the ring of what cannot be undone, and says why.
    let why = desk.may(desk.step("b", "file.make", "after", "rm")).await.unwrap_err();
    assert!(why.contains("an undo of file.make failed in this session"), "{why}");
    assert!(!desk.is_there("after"));
    desk.may(desk.step("b", "file.copy", "other", "rm")).await.unwrap();

    // A rehearsal that works gives it back to exactly what was rehearsed, and to whom.
    assert_eq!(desk.rehearse(desk.step("b", "file.make", "after", "rm")).await, SagaState::Compensated);
    assert!(!desk.is_there("after"), "a rehearsal leaves nothing behind");
    let desk = desk.reopened();
    assert_eq!(desk.known()[0].rehearsed, [did("b")]);
    assert!(desk.may(desk.step("c", "file.make", "after", "rm")).await.is_err(), "another agent");
    assert!(desk.may(desk.step("b", "file.make", "else", "rm")).await.is_err(), "another call");
    desk.may(desk.step("b", "file.make", "after", "rm")).await.unwrap();
    assert!(desk.is_there("after"));

    // A witness, and nobody else, gives it back to all.
    assert!(matches!(desk.restore("c", "file.make", 1).await, Err(Reason::Ring(_))));
    assert!(desk.may(desk.step("c", "file.make", "third", "rm")).await.is_err());
    desk.restore("human", "file.make", 2).await.unwrap();
    let desk = desk.reopened();
    desk.may(desk.step("c", "file.make", "third", "rm")).await.unwrap();
    let again = desk.restore("human", "file.make", 3).await;
    assert_eq!(again, Err(Reason::UndoWorks(action("file.make"))), "there is nothing to restore any more");
}

#[tokio::test]
async fn f9_where_a_rehearsal_is_demanded_a_probe_is_not_enough() {
    let desk = Desk::new().await;
    desk.hv.demand_rehearsal(&session(), &action("file.make")).await.unwrap();
    let desk = desk.reopened();
    let good = || desk.step("b", "file.make", "f", "rm");
    let why = desk.may(good()).await.unwrap_err();
    // Whoever calls above its ring again and again trips its breaker; the others try.
    let others = || desk.step("c", "file.make", "f", "rm");
    assert!(why.contains("counts only once it was rehearsed"), "{why}");
    // An undo that only says that it worked is found out, costs its agent, and proves nothing.
    let lies = desk.step("a", "file.make", "lie", "true");
    assert_eq!(desk.rehearse(lies.clone()).await, SagaState::Escalated);
    let (_, ring) = desk.hv.standing(&session(), &did("a")).unwrap();
    assert_eq!(ring.number(), 3, "what could not be undone is real, also in a rehearsal");
    assert!(desk.may(lies).await.is_err());
    assert!(desk.may(others()).await.is_err());
    // A probe that sees nothing proves nothing.
    let blind = Task::from(CommandTask { argv: vec!["false".into()], ..CommandTask::default() });
    let blind = StepDef { probe: Some(Arc::new(blind)), ..others() };
    assert_eq!(desk.rehearse(blind).await, SagaState::Compensated);
    assert!(desk.may(others()).await.is_err());
    assert_eq!(desk.rehearse(good()).await, SagaState::Compensated);
    let desk = desk.reopened();
    desk.may(desk.step("b", "file.make", "f", "rm")).await.unwrap();
}

/// By what a rehearsal looks nobody else does anything: nobody allowed that action.
#[tokio::test]
async fn a_rehearsal_lets_nobody_run_anything_as_a_look() {
    let desk = Desk::new().await;
    let good = desk.step("b", "file.make", "f", "rm");
    assert_eq!(desk.rehearse(good.clone()).await, SagaState::Compensated);
    let look =
        StepDef { kind: ActionKind::ReadOnly, undo: None, probe: None, ..desk.step("a", LOOK, "f", "rm") };
    let probing = StepDef { execute: good.probe.clone().unwrap(), ..look.clone() };
    for look in [look, probing] {
        let why = desk.may(look).await.unwrap_err();
        assert!(why.contains("nobody registered the action `hv.rehearsal.look`"), "{why}");
    }
    assert!(!desk.is_there("f"));
}

#[tokio::test]
async fn what_cannot_be_rehearsed_is_refused_on_the_trail_and_a_session_does_not_end_within_a_rehearsal() {
    let desk = Desk::new().await;
    let refused = |def: StepDef| {
        let plan = Plan::new(vec![Arc::new(def)]);
        let name = desk.name();
        let hv = desk.hv.clone();
        async move {
            match hv.create_rehearsal(&session(), &name, plan, &[0]).await {
                Err(Error::Denied(denied)) => (denied.reason.clone(), denied.lsn.is_some()),
                other => panic!("{other:?}"),
            }
        }
    };
    let step = || StepId::new("s").unwrap();
    let good = desk.step("b", "file.make", "f", "rm");
    let no_probe = refused(StepDef { probe: None, ..good.clone() }).await;
    assert_eq!(no_probe, (Reason::Rehearsal(CannotRehearse::NoProbe { step: step() }), true));
    let no_undo = refused(StepDef { undo: None, ..good.clone() }).await;
    assert_eq!(no_undo, (Reason::Rehearsal(CannotRehearse::NoUndo { step: step() }), true));

    // Cut off behind what it did: the session cannot end before it is taken back.
    let name = desk.name();
    let plan = Plan::new(vec![Arc::new(good)]);
    let host = desk.hv.create_rehearsal(&session(), &name, plan, &[0]).await.unwrap();
    let state = drive(&host, &desk.executor, &Control::new(), SagaCommand::advance()).await.unwrap();
    assert_eq!(state, SagaState::Running);
    drop(host);
    let desk = desk.reopened();
    assert!(desk.hv.is_rehearsal(&session(), &name).unwrap());
    assert!(matches!(
        desk.hv.terminate_session(&session()).await,
        Err(Error::Denied(denied)) if matches!(denied.reason, Reason::SagaUnfinished(_))
    ));
    let host = desk.hv.saga(&session(), &name);
    let state = drive(&host, &desk.executor, &Control::new(), SagaCommand::Cancel).await.unwrap();
    assert_eq!(state, SagaState::Compensated);
    assert!(!desk.is_there("f"));
    assert_eq!(desk.reopened().known()[0].rehearsed, [did("b")], "cut off or not, it is what it showed");
}
