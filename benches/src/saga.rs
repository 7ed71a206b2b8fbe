//! The workloads of the comparison with steno, a saga engine in Rust, under one name on both sides.
//!
//! `benches/steno` does the same work with that engine. Sagas are of three steps with undo, alone or side by side; here
//! behind the gate, with a grant for every step and a subscriber that is told everything. What is beside
//! the disk and beside a future is measured on this side only.

use crate::peer::{Stage, Timed, Workload, debug, text, undoable, unlimited};
use hv_core::audit::{FileLog, FileOptions, Log, MemoryLog};
use hv_core::saga::{Outcome, Plan, Report, Saga, SagaCommand, SagaState, Verdict};
use hv_core::{Cadence, Clock, Hypervisor, Notice, OpenTrail, SystemClock, entropy};
use hv_types::{SagaId, Solo, Timestamp};
use std::cell::{Cell, RefCell};
use std::fs;
use std::future::{pending, poll_fn};
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::{Pin, pin};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::broadcast::Receiver;

/// Every workload that this side runs. Logs are written in the current folder.
pub const WORKLOADS: &[Workload] = &[
    Workload { name: "saga_in_memory", run: saga_in_memory },
    Workload { name: "saga_on_log", run: saga_on_log },
    Workload { name: "saga_on_log_4", run: |calls| side_by_side(4, calls) },
    Workload { name: "saga_on_log_16", run: |calls| side_by_side(16, calls) },
    Workload { name: "saga_on_log_64", run: |calls| side_by_side(AT_ONCE, calls) },
    Workload { name: "saga_recovery", run: saga_recovery },
    Workload { name: "saga_recovery_whole", run: saga_recovery_whole },
    Workload { name: "saga_left", run: saga_left },
    Workload { name: "saga_taken_up", run: saga_taken_up },
    Workload { name: "saga_beside_disk", run: saga_beside_disk },
    Workload { name: "saga_beside_disk_in_place", run: saga_beside_disk_in_place },
    Workload { name: "saga_beside_future", run: saga_beside_future },
];

/// So many sagas run side by side at most.
const AT_ONCE: u64 = 64;

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

/// The same, so many of them side by side on one thread.
fn side_by_side(at_once: u64, calls: u64) -> Result<Timed, String> {
    let stage = Arc::new(Stage::new()?);
    let steps = stage.three_steps()?;
    let folder = Path::new("hv.log");
    let took = stage.runtime.block_on(async {
        let hv = stage.begin(unlimited(Arc::new(log(folder)?))?).await?;
        let mut told = hv.subscribe();
        let next = Arc::new(AtomicU64::new(0));
        let started = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..at_once {
            let (stage, hv, steps, next) = (Arc::clone(&stage), hv.clone(), steps.clone(), Arc::clone(&next));
            tasks.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= calls {
                        return Ok::<_, String>(());
                    }
                    let name = format!("g{n}");
                    stage.saga(&hv, &name, steps.clone(), vec![0, 1, 2], undoable()).await?;
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(text)??;
            black_box(heard(&mut told));
        }
        Ok::<_, String>(started.elapsed())
    })?;
    fs::remove_dir_all(folder).map_err(text)?;
    let answer = format!("{} at once completed", at_once.min(calls));
    Ok(Timed { ns_per_call: each(took, calls)?, answer })
}

/// One saga alone on a log, taking turns with as many waits for the same disk of as many bytes: the middle one of each. Its
/// syncs are handed to another thread, as they are where nothing else is said.
fn saga_beside_disk(calls: u64) -> Result<Timed, String> {
    beside_disk(calls, |options| options)
}

/// The same where short syncs are waited for on the runtime's own thread.
fn saga_beside_disk_in_place(calls: u64) -> Result<Timed, String> {
    beside_disk(calls, |options| options.with_short_syncs(Duration::from_millis(1)))
}

fn beside_disk(calls: u64, told: fn(FileOptions) -> FileOptions) -> Result<Timed, String> {
    const WAITS: u64 = 4;
    let stage = Stage::new()?;
    let steps = stage.three_steps()?;
    let folder = Path::new("hv.log");
    let hv = stage.runtime.block_on(stage.begin(unlimited(Arc::new(log_with(folder, told)?))?))?;
    let saga = |name: String| {
        let started = Instant::now();
        stage.runtime.block_on(stage.saga(&hv, &name, steps.clone(), vec![0, 1, 2], undoable()))?;
        Ok::<_, String>(started.elapsed())
    };
    // What a few of them write.
    let written = || {
        let bytes = fs::read(folder.join("00000000.seg")).map_err(text)?;
        Ok::<_, String>(bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0))
    };
    let before = written()?;
    (0..10).try_for_each(|n| saga(format!("w{n}")).map(drop))?;
    let bytes = vec![7; (written()? - before) / 10 / 4];
    let bare = Path::new("hv.bare");
    let file = fs::File::create(bare).map_err(text)?;
    let room = usize::try_from(calls * WAITS + 1).map_err(text)? * bytes.len();
    file.write_all_at(&vec![0; room], 0).and_then(|()| file.sync_all()).map_err(text)?;
    let (mut ours, mut theirs, mut end) = (Vec::new(), Vec::new(), 0);
    for n in 0..calls {
        ours.push(saga(format!("g{n}"))?);
        let started = Instant::now();
        for _ in 0..WAITS {
            file.write_all_at(&bytes, end).and_then(|()| file.sync_data()).map_err(text)?;
            end += bytes.len() as u64;
        }
        theirs.push(started.elapsed());
    }
    drop(hv);
    fs::remove_file(bare).and_then(|()| fs::remove_dir_all(folder)).map_err(text)?;
    let (ours, theirs) = (middle(ours)?, middle(theirs)?);
    let answer = format!(
        "{:.0} us for a saga, {:.0} us for {WAITS} bare fdatasyncs of {} bytes beside it: {:.2} times",
        ours.as_secs_f64() * 1e6,
        theirs.as_secs_f64() * 1e6,
        bytes.len(),
        ours.as_secs_f64() / theirs.as_secs_f64()
    );
    Ok(Timed { ns_per_call: each(ours, 1)?, answer })
}

/// A step of a saga beside a boxed future that is awaited: the machine alone, and all of it, in memory.
fn saga_beside_future(calls: u64) -> Result<Timed, String> {
    let stage = Stage::new()?;
    let steps = stage.three_steps()?;
    let started = Instant::now();
    stage.runtime.block_on(async {
        for _ in 0..calls * 3 {
            let future: Pin<Box<dyn Future<Output = Outcome> + Send>> = Box::pin(async { Outcome::done() });
            let _ = black_box(black_box(future).await);
        }
    });
    let future = each(started.elapsed(), calls * 3)?;
    let started = Instant::now();
    for n in 0..calls {
        let mut saga = Solo::<Saga>::default();
        saga.run(&SagaCommand::begin(Plan::of(steps.clone())), Timestamp(n)).map_err(debug)?;
        loop {
            let at = saga.state().running().next();
            let Some(at) = at else { break };
            saga.run(&Report::of(at, Verdict::Done).into(), Timestamp(n)).map_err(debug)?;
        }
        if black_box(&saga).state().state() != SagaState::Completed {
            return Err("a saga of the machine alone is not completed".to_owned());
        }
    }
    let machine = each(started.elapsed(), calls * 3)? - future;
    let all = saga_in_memory(calls)?.ns_per_call / 3.0 - future;
    let answer = format!(
        "a step takes {machine:.0} ns more than a boxed future ({future:.0} ns) in the machine alone, {all:.0} ns more \
         with gate, grant and log"
    );
    Ok(Timed { ns_per_call: machine, answer })
}

fn each(took: Duration, calls: u64) -> Result<f64, String> {
    let calls = u32::try_from(calls).map_err(text)?;
    if calls == 0 {
        Err("no calls, so nothing to time".to_owned())
    } else {
        Ok(took.as_secs_f64() * 1e9 / f64::from(calls))
    }
}

fn middle(mut of: Vec<Duration>) -> Result<Duration, String> {
    of.sort_unstable();
    of.get(of.len() / 2).copied().ok_or_else(|| "no calls, so nothing to time".to_owned())
}

/// Sagas one after another, from their creation to their end; their steps are put together once, as steno's are.
fn sagas(calls: u64, log: Arc<dyn Log>) -> Result<Timed, String> {
    let stage = Stage::new()?;
    let steps = stage.three_steps()?;
    let hv = stage.runtime.block_on(stage.begin(unlimited(log)?))?;
    let (n, told) = (Cell::new(0), RefCell::new(hv.subscribe()));
    stage.timed(calls, async || {
        n.set(n.get() + 1);
        let ended = stage.saga(&hv, &format!("g{}", n.get()), steps.clone(), vec![0, 1, 2], undoable()).await;
        black_box(heard(&mut told.borrow_mut()));
        ended
    })
}

/// Reads everything that was told since the last time; how much it was.
fn heard(told: &mut Receiver<Arc<Notice>>) -> usize {
    let mut heard = 0;
    while let Ok(notice) = told.try_recv() {
        heard += notice.said().map(black_box).count();
    }
    heard
}

/// From a log on the disk to sagas that are ready to go on: for each of those that were in their second step, as a node
/// leaves them that keeps snapshots as often as it does where nothing else is said.
///
/// The crash comes when half of what lies between two snapshots was appended since the last one, so that half a measure
/// of records is read behind it. What lies before it is verified on another thread in the meantime and afterwards.
fn saga_recovery(sagas: u64) -> Result<Timed, String> {
    // Each of them is two batches.
    recovery(sagas, sagas.checked_sub(Cadence::default().every / 2 / 2))
}

/// The same where nothing was kept: all of the log is read, verified and taken up before anything goes on.
fn saga_recovery_whole(sagas: u64) -> Result<Timed, String> {
    recovery(sagas, None)
}

/// One process leaves sagas in their second step and is killed, another one takes them up again and is timed: both with
/// nothing in memory from before, as after a crash.
fn recovery(sagas: u64, kept_behind: Option<u64>) -> Result<Timed, String> {
    let kept = kept_behind.unwrap_or(0);
    fs::write(KEPT_BEHIND, kept.to_string()).map_err(text)?;
    let taken_up = apart("saga_left", sagas).and_then(|_| apart("saga_taken_up", sagas));
    fs::remove_dir_all(RECOVERY).map_err(text)?;
    fs::remove_file(KEPT_BEHIND).map_err(text)?;
    let taken_up = taken_up?;
    let mut words = taken_up.split_whitespace().skip(1);
    let ns_per_call = words.next().and_then(|word| word.parse().ok()).ok_or_else(|| taken_up.clone())?;
    let answer = words.collect::<Vec<_>>().join(" ");
    let expected = if kept > 0 { "ready from a snapshot" } else { "ready from the first record" };
    let answered = Timed { ns_per_call, answer: format!("{sagas} {expected}") };
    if sagas > 0 && answer == answered.answer { Ok(answered) } else { Err(taken_up) }
}

/// The log, and how many sagas lie before its snapshot.
const RECOVERY: &str = "hv.recovery";
const KEPT_BEHIND: &str = "hv.kept";

/// Asks another process of this program, and kills it when it has answered.
fn apart(workload: &str, calls: u64) -> Result<String, String> {
    let program = std::env::current_exe().map_err(text)?;
    let mut other =
        Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(text)?;
    let mut answer = String::new();
    let asked = match (&mut other.stdin, &mut other.stdout) {
        (Some(asked), Some(told)) => writeln!(asked, "run {workload} {calls}")
            .and_then(|()| BufReader::new(told).read_line(&mut answer))
            .map_err(text),
        _ => Err("another process is spoken to".to_owned()),
    };
    other.kill().and_then(|()| other.wait()).map_err(text)?;
    asked?;
    if answer.starts_with(workload) { Ok(answer) } else { Err(answer) }
}

/// The first half of a recovery: as many batches as it takes, and nothing is ended.
fn saga_left(sagas: u64) -> Result<Timed, String> {
    let stage = Stage::new()?;
    let kept: u64 = fs::read_to_string(KEPT_BEHIND).map_err(text)?.parse().map_err(text)?;
    let started = Instant::now();
    let hv = stage.runtime.block_on(async {
        let hv = stage.begin(unlimited(Arc::new(log(Path::new(RECOVERY))?))?).await?;
        left(&stage, &hv, 0..kept).await?;
        if kept > 0 && hv.keep_snapshot().await.map_err(text)?.is_none() {
            return Err("a log on the disk keeps snapshots".to_owned());
        }
        left(&stage, &hv, kept..sagas).await?;
        Ok(hv)
    })?;
    let ns_per_call = each(started.elapsed(), sagas)?;
    // Its process is killed with all of that.
    std::mem::forget(hv);
    Ok(Timed { ns_per_call, answer: "left".to_owned() })
}

/// The other half: from the log on the disk to sagas that are ready to go on.
fn saga_taken_up(sagas: u64) -> Result<Timed, String> {
    let stage = Stage::new()?;
    let kept: u64 = fs::read_to_string(KEPT_BEHIND).map_err(text)?.parse().map_err(text)?;
    let options = FileOptions::new(entropy().map_err(text)?);
    let options = if kept > 0 { options } else { options.without_snapshots() };
    let started = Instant::now();
    let trail = OpenTrail::open(Path::new(RECOVERY), SystemClock.now(), options).map_err(text)?;
    let hv = Hypervisor::open(trail, Arc::new(SystemClock)).map_err(text)?;
    let mut ready = 0_u64;
    // Their names come from the log, too, as they do for whoever takes them up.
    for name in hv.sagas(&stage.session).map_err(text)? {
        let state = hv.saga(&stage.session, &name).state().map_err(text)?;
        ready += u64::from(state == SagaState::Running);
    }
    let ns_per_call = each(started.elapsed(), sagas)?;
    let from = if hv.opening().snapshot.is_some() { "a snapshot" } else { "the first record" };
    Ok(Timed { ns_per_call, answer: format!("{ready} ready from {from}") })
}

/// Leaves sagas in the middle of their second step, many at once.
async fn left(stage: &Stage, hv: &Hypervisor, sagas: Range<u64>) -> Result<(), String> {
    let next = Cell::new(sagas.start);
    let some = || async {
        loop {
            let n = next.replace(next.get() + 1);
            if n >= sagas.end {
                return Ok(());
            }
            leave(stage, hv, &name(n)?).await?;
        }
    };
    let mut all: Vec<_> = (0..AT_ONCE).map(|_| Some(Box::pin(some()))).collect();
    poll_fn(|context| {
        let mut pending = false;
        for slot in &mut all {
            let Some(running) = slot else { continue };
            match running.as_mut().poll(context) {
                Poll::Ready(Ok::<_, String>(())) => *slot = None,
                Poll::Ready(Err(why)) => return Poll::Ready(Err(why)),
                Poll::Pending => pending = true,
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(Ok(())) }
    })
    .await
}

fn name(n: u64) -> Result<SagaId, String> {
    SagaId::new(&format!("g{n}")).map_err(text)
}

/// A new log where nothing is left of an earlier one.
fn log(folder: &Path) -> Result<FileLog, String> {
    log_with(folder, |options| options)
}

fn log_with(folder: &Path, told: impl Fn(FileOptions) -> FileOptions) -> Result<FileLog, String> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(text)?;
    }
    let options = told(FileOptions::new(entropy().map_err(text)?));
    FileLog::create(folder, SystemClock.now(), options).map_err(text)
}

/// Begins a saga and leaves it in the middle of its second step.
async fn leave(stage: &Stage, hv: &Hypervisor, saga: &SagaId) -> Result<(), String> {
    let steps = stage.three_steps()?;
    let host = hv.saga(&stage.session, saga).accepting(vec![0, 1, 2]);
    let host = host.registering(stage.action.clone(), undoable());
    let acts = Cell::new(0);
    let mut run = pin!(host.run(SagaCommand::begin(Plan::of(steps)), |_| {
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
