//! The workloads of the comparison with steno, a saga engine in Rust, under one name on both sides.
//!
//! `benches/steno` does the same work with that engine. Sagas are of three steps with undo, one after another; here
//! behind the gate, with a grant for every step and a subscriber that is told everything.

use crate::peer::{Stage, Timed, Workload, text, undoable, unlimited};
use hv_core::audit::{FileLog, FileOptions, Log, MemoryLog};
use hv_core::saga::{Outcome, Plan, SagaCommand, SagaState};
use hv_core::{Clock, Hypervisor, SystemClock, entropy};
use hv_types::SagaId;
use std::cell::{Cell, RefCell};
use std::fs;
use std::future::{pending, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

/// Every workload that this side runs. Logs are written in the current folder.
pub const WORKLOADS: &[Workload] = &[
    Workload { name: "saga_in_memory", run: saga_in_memory },
    Workload { name: "saga_on_log", run: saga_on_log },
    Workload { name: "saga_recovery", run: saga_recovery },
];

fn saga_in_memory(calls: u64) -> Result<Timed, String> {
    sagas(calls, Arc::new(MemoryLog::new()))
}

/// On a log in which everything is durable before the saga goes on.
fn saga_on_log(calls: u64) -> Result<Timed, String> {
    let folder = Path::new("hv.log");
    let timed = sagas(calls, Arc::new(log(folder)?));
    fs::remove_dir_all(folder).map_err(text)?;
    timed
}

/// Sagas one after another, from their definition to their end.
fn sagas(calls: u64, log: Arc<dyn Log>) -> Result<Timed, String> {
    let stage = Stage::new()?;
    let steps = (0..3).map(|n| stage.step(n, n.checked_sub(1))).collect::<Result<Vec<_>, _>>()?;
    let hv = stage.runtime.block_on(stage.begin(unlimited(log)?))?;
    let (n, told) = (Cell::new(0), RefCell::new(hv.subscribe()));
    stage.timed(calls, async || {
        n.set(n.get() + 1);
        let ended = stage.saga(&hv, &format!("g{}", n.get()), steps.clone(), vec![0, 1, 2], undoable()).await;
        while told.borrow_mut().try_recv().is_ok() {}
        ended
    })
}

/// From a log on the disk to sagas that are ready to go on: for each of those that were in their second step.
fn saga_recovery(sagas: u64) -> Result<Timed, String> {
    let stage = Stage::new()?;
    let folder = Path::new("hv.recovery");
    stage.runtime.block_on(async {
        let hv = stage.begin(unlimited(Arc::new(log(folder)?))?).await?;
        for n in 0..sagas {
            leave(&stage, &hv, &name(n)?).await?;
        }
        Ok::<_, String>(())
    })?;
    let started = Instant::now();
    let options = FileOptions::new(entropy().map_err(text)?);
    let log = FileLog::open(folder, SystemClock.now(), options).map_err(text)?;
    let hv = Hypervisor::open(Arc::new(log), Arc::new(SystemClock)).map_err(text)?;
    let mut ready = 0_u64;
    for n in 0..sagas {
        let state = hv.saga(&stage.session, &name(n)?).state().map_err(text)?;
        ready += u64::from(state == SagaState::Running);
    }
    let took = started.elapsed();
    drop(hv);
    fs::remove_dir_all(folder).map_err(text)?;
    if ready != sagas || sagas == 0 {
        return Err(format!("{ready} of {sagas} sagas are ready"));
    }
    let sagas = u32::try_from(sagas).map_err(text)?;
    Ok(Timed { ns_per_call: took.as_secs_f64() * 1e9 / f64::from(sagas), answer: format!("{ready} ready") })
}

fn name(n: u64) -> Result<SagaId, String> {
    SagaId::new(&format!("g{n}")).map_err(text)
}

/// A new log where nothing is left of an earlier one.
fn log(folder: &Path) -> Result<FileLog, String> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(text)?;
    }
    FileLog::create(folder, SystemClock.now(), FileOptions::new(entropy().map_err(text)?)).map_err(text)
}

/// Begins a saga and leaves it in the middle of its second step.
async fn leave(stage: &Stage, hv: &Hypervisor, saga: &SagaId) -> Result<(), String> {
    let steps = (0..3).map(|n| stage.step(n, n.checked_sub(1))).collect::<Result<Vec<_>, _>>()?;
    let host = hv.saga(&stage.session, saga).accepting(vec![0, 1, 2]);
    let host = host.registering(stage.action.clone(), undoable());
    let acts = Cell::new(0);
    let mut run = pin!(host.run(SagaCommand::begin(Plan::new(steps)), |_| {
        acts.set(acts.get() + 1);
        let second = acts.get() == 2;
        async move { if second { pending().await } else { Outcome::done() } }
    }));
    poll_fn(|context| match run.as_mut().poll(context) {
        Poll::Ready(ended) => Poll::Ready(Err(format!("it is left in its second step, not {ended:?}"))),
        Poll::Pending if acts.get() == 2 => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await
}
