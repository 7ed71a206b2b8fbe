//! The other side of the comparison of sagas: waits for a line, does what it says, answers in a line.
//!
//! `list` answers the names of all workloads. `run NAME CALLS` answers `NAME NANOSECONDS ANSWER`. Logs are written in
//! the current folder.
//!
//! Where there is a choice, it is steno's advantage: one definition is shared by all sagas, the executor runs on one
//! thread without hand-over, its log is written ahead with zeros so that a sync changes no metadata, and that a saga is
//! done, which follows from its events, is written and not synced; one sync serves all that wait.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use steno::{
    Action, ActionContext, ActionError, ActionFunc, ActionRegistry, DagBuilder, InMemorySecStore, Node,
    SagaCachedState, SagaCreateParams, SagaDag, SagaId, SagaName, SagaNodeEvent, SagaType, SecClient,
    SecStore,
};

type Failed = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failed> {
    for line in std::io::stdin().lock().lines() {
        let answer = answer(&line?).unwrap_or_else(|why| format!("error {why}"));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

const WORKLOADS: [&str; 7] = [
    "saga_in_memory",
    "saga_on_log",
    "saga_on_log_4",
    "saga_on_log_16",
    "saga_on_log_64",
    "saga_recovery",
    "saga_recovery_whole",
];

fn answer(line: &str) -> Result<String, Failed> {
    match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["list"] => Ok(WORKLOADS.join(" ")),
        ["run", name, calls] => {
            let calls = calls.parse()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
            let (nanoseconds, answer) = match *name {
                "saga_in_memory" => runtime.block_on(sagas(calls, Arc::new(InMemorySecStore::new()))),
                "saga_on_log" => on_log(calls, |store| runtime.block_on(sagas(calls, store))),
                "saga_on_log_4" => on_log(calls, |store| runtime.block_on(side_by_side(4, calls, store))),
                "saga_on_log_16" => on_log(calls, |store| runtime.block_on(side_by_side(16, calls, store))),
                "saga_on_log_64" => on_log(calls, |store| runtime.block_on(side_by_side(64, calls, store))),
                // It keeps no snapshots.
                "saga_recovery" | "saga_recovery_whole" => runtime.block_on(recovery(calls)),
                other => Err(format!("there is no workload `{other}`").into()),
            }?;
            Ok(format!("{name} {nanoseconds} {answer}"))
        }
        _ => Err(format!("`{line}` is neither `list` nor `run NAME CALLS`").into()),
    }
}

/// Runs this on a new log, and removes that.
fn on_log<T>(calls: u32, run: impl FnOnce(Arc<LogStore>) -> Result<T, Failed>) -> Result<T, Failed> {
    let path = Path::new("steno.log");
    let done = run(Arc::new(LogStore::create(path, calls)?));
    std::fs::remove_file(path)?;
    done
}

#[derive(Debug)]
struct Bench;

impl SagaType for Bench {
    type ExecContextType = ();
}

async fn done(_: ActionContext<Bench>) -> Result<(), ActionError> {
    Ok(())
}

async fn undone(_: ActionContext<Bench>) -> Result<(), anyhow::Error> {
    Ok(())
}

/// Three steps with undo, one after another, and what they do.
fn definition() -> Result<(Arc<SagaDag>, Arc<ActionRegistry<Bench>>), Failed> {
    let action: Arc<dyn Action<Bench>> = ActionFunc::new_action("action", done, undone);
    let mut registry = ActionRegistry::new();
    registry.register(action.clone());
    let mut builder = DagBuilder::new(SagaName::new("bench"));
    for step in ["step0", "step1", "step2"] {
        builder.append(Node::action(step, step, action.as_ref()));
    }
    Ok((Arc::new(SagaDag::new(builder.build()?, serde_json::Value::Null)), Arc::new(registry)))
}

fn engine(store: Arc<dyn SecStore>) -> SecClient {
    steno::sec(slog::Logger::root(slog::Discard, slog::o!()), store)
}

/// Sagas one after another, from their creation to their end; nanoseconds for each, after as many to warm up as there.
async fn sagas(calls: u32, store: Arc<dyn SecStore>) -> Result<(f64, String), Failed> {
    let (dag, registry) = definition()?;
    let engine = engine(store);
    let mut started = Instant::now();
    let warm_up = (calls / 10).min(100);
    for call in 0..warm_up + calls {
        if call == warm_up {
            started = Instant::now();
        }
        let id = SagaId::new_v4();
        let end = engine.saga_create(id, Arc::new(()), dag.clone(), registry.clone()).await?;
        engine.saga_start(id).await?;
        if let Err(failed) = end.await.kind {
            return Err(format!("the saga failed: {failed:?}").into());
        }
    }
    let each = started.elapsed().as_secs_f64() * 1e9 / f64::from(calls);
    engine.shutdown().await;
    Ok((each, "completed".to_owned()))
}

/// As [`sagas`], so many of them side by side on one thread; without a warm-up.
async fn side_by_side(at_once: u32, calls: u32, store: Arc<dyn SecStore>) -> Result<(f64, String), Failed> {
    let (dag, registry) = definition()?;
    let engine = Arc::new(engine(store));
    let next = Arc::new(AtomicU32::new(0));
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..at_once {
        let (engine, dag, registry, next) = (engine.clone(), dag.clone(), registry.clone(), next.clone());
        tasks.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < calls {
                let id = SagaId::new_v4();
                let end = engine.saga_create(id, Arc::new(()), dag.clone(), registry.clone()).await?;
                engine.saga_start(id).await?;
                if let Err(failed) = end.await.kind {
                    return Err(format!("the saga failed: {failed:?}").into());
                }
            }
            Ok::<_, Failed>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let each = started.elapsed().as_secs_f64() * 1e9 / f64::from(calls);
    if let Ok(engine) = Arc::try_unwrap(engine) {
        engine.shutdown().await;
    }
    Ok((each, format!("{} at once completed", at_once.min(calls))))
}

/// What a log holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Line {
    Created(SagaCreateParams),
    Event(SagaNodeEvent),
    State(SagaId, SagaCachedState),
}

/// A log in which everything that steno waits for is durable before it goes on.
#[derive(Debug)]
struct LogStore {
    file: Arc<File>,
    end: Arc<Mutex<u64>>,
    /// Up to where the log is durable; whoever waits for it is served by the sync of whoever has it.
    durable: Arc<Mutex<u64>>,
}

impl LogStore {
    fn create(path: &Path, sagas: u32) -> Result<Self, Failed> {
        let file = File::create(path)?;
        // A saga takes some 4 KB.
        file.write_all_at(&vec![0; (usize::try_from(sagas)? + 100) << 13], 0)?;
        file.sync_all()?;
        Ok(Self { file: Arc::new(file), end: Arc::default(), durable: Arc::default() })
    }

    fn append(&self, line: &Line) -> std::io::Result<u64> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        self.file.write_all_at(&bytes, *end)?;
        *end += bytes.len() as u64;
        Ok(*end)
    }

    async fn append_durable(&self, line: Line) -> std::io::Result<()> {
        let to = self.append(&line)?;
        let (file, end, durable) = (self.file.clone(), self.end.clone(), self.durable.clone());
        let sync = move || {
            let mut durable = durable.lock().unwrap_or_else(PoisonError::into_inner);
            if *durable < to {
                let all = *end.lock().unwrap_or_else(PoisonError::into_inner);
                file.sync_data()?;
                *durable = all;
            }
            Ok(())
        };
        tokio::task::spawn_blocking(sync).await.map_err(std::io::Error::other)?
    }
}

#[async_trait::async_trait]
impl SecStore for LogStore {
    async fn saga_create(&self, created: SagaCreateParams) -> Result<(), anyhow::Error> {
        Ok(self.append_durable(Line::Created(created)).await?)
    }

    async fn record_event(&self, event: SagaNodeEvent) {
        if let Err(error) = self.append_durable(Line::Event(event)).await {
            panic!("steno.log: {error}");
        }
    }

    async fn saga_update(&self, id: SagaId, state: SagaCachedState) {
        if let Err(error) = self.append(&Line::State(id, state)) {
            panic!("steno.log: {error}");
        }
    }
}

/// Keeps what steno records.
#[derive(Debug, Default)]
struct Kept(Mutex<Vec<Line>>);

impl Kept {
    fn keep(&self, line: Line) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

#[async_trait::async_trait]
impl SecStore for Kept {
    async fn saga_create(&self, created: SagaCreateParams) -> Result<(), anyhow::Error> {
        self.keep(Line::Created(created));
        Ok(())
    }

    async fn record_event(&self, event: SagaNodeEvent) {
        self.keep(Line::Event(event));
    }

    async fn saga_update(&self, _: SagaId, _: SagaCachedState) {}
}

/// From a log on the disk to sagas that are ready to go on: nanoseconds for each of those that were in their second step.
async fn recovery(sagas: u32) -> Result<(f64, String), Failed> {
    let (dag, registry) = definition()?;
    let kept = Arc::new(Kept::default());
    let once = engine(kept.clone());
    let id = SagaId::new_v4();
    let end = once.saga_create(id, Arc::new(()), dag, registry.clone()).await?;
    once.saga_start(id).await?;
    end.await;
    once.shutdown().await;
    // Created, the beginning started and done, the first step started and done, the second started.
    let lines: Vec<Line> =
        kept.0.lock().unwrap_or_else(PoisonError::into_inner).iter().take(6).cloned().collect();
    let path = Path::new("steno.recovery");
    let mut file = BufWriter::new(File::create(path)?);
    for _ in 0..sagas {
        let id = SagaId::new_v4();
        for line in lines.clone() {
            let line = match line {
                Line::Created(created) => Line::Created(SagaCreateParams { id, ..created }),
                Line::Event(event) => Line::Event(SagaNodeEvent { saga_id: id, ..event }),
                Line::State(_, state) => Line::State(id, state),
            };
            serde_json::to_writer(&mut file, &line)?;
            file.write_all(b"\n")?;
        }
    }
    file.into_inner()?.sync_all()?;

    let started = Instant::now();
    let mut found: BTreeMap<SagaId, (serde_json::Value, Vec<SagaNodeEvent>)> = BTreeMap::new();
    for line in BufReader::new(File::open(path)?).lines() {
        match serde_json::from_str(&line?)? {
            Line::Created(created) => _ = found.insert(created.id, (created.dag, Vec::new())),
            Line::Event(event) => {
                let (_, events) = found.get_mut(&event.saga_id).ok_or("an event of no saga")?;
                events.push(event);
            }
            Line::State(..) => {}
        }
    }
    let engine = engine(Arc::new(InMemorySecStore::new()));
    let mut ends = Vec::new();
    for (id, (dag, events)) in found {
        ends.push(engine.saga_resume(id, Arc::new(()), dag, registry.clone(), events).await?);
    }
    let each = started.elapsed().as_secs_f64() * 1e9 / f64::from(sagas);
    std::fs::remove_file(path)?;
    Ok((each, format!("{} ready", ends.len())))
}
