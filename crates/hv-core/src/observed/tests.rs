//! A subscriber and a recorder of our own hear what is told, under the names that the page for whoever is on call has.

use crate::clock::SystemClock;
use crate::event::KillTarget;
use crate::hypervisor::{Entrant, Hypervisor};
use crate::kill::KillOrder;
use hv_audit::FileLog;
use hv_audit::FileOptions;
use hv_rings::class::Claim;
use hv_saga::exec::Closures;
use hv_saga::{Attempt, Class, Outcome, Plan, Purpose, SagaCommand, SagaState, StepDef};
use hv_session::SessionConfig;
use hv_types::{ActionId, ActionKind, Did, Reversibility, SagaId, SessionId, StepId};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

fn session() -> SessionId {
    SessionId::new("s").unwrap()
}

/// Everything that was told, each as its name and its fields in one line; a span when it is closed.
#[derive(Debug, Default, Clone)]
struct Heard(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    open: BTreeMap<u64, String>,
    all: Vec<String>,
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push_str(&match field.name() {
            "message" => format!(" {value:?}"),
            name => format!(" {name}={value:?}"),
        });
    }
}

impl Subscriber for Heard {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "hv"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::SeqCst);
        let mut line = format!("span {}", span.metadata().name());
        span.record(&mut Line(&mut line));
        self.0.lock().unwrap().open.insert(id, line);
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut lines = self.0.lock().unwrap();
        values.record(&mut Line(lines.open.get_mut(&span.into_u64()).unwrap()));
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = event.metadata().level().to_string();
        event.record(&mut Line(&mut line));
        self.0.lock().unwrap().all.push(line);
    }

    fn try_close(&self, id: Id) -> bool {
        let mut lines = self.0.lock().unwrap();
        let line = lines.open.remove(&id.into_u64()).unwrap();
        lines.all.push(line);
        true
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Heard {
    /// How many lines have all of these in them.
    fn count(&self, parts: &[&str]) -> usize {
        let lines = self.0.lock().unwrap();
        lines.all.iter().filter(|line| parts.iter().all(|part| line.contains(part))).count()
    }
}

/// Sums by name and labels; of gauges how often up less how often down, of histograms how many values.
#[derive(Debug, Default, Clone)]
struct Counted(Arc<Mutex<BTreeMap<String, i64>>>);

struct Cell(Counted, String);

impl Cell {
    fn add(&self, by: i64) {
        *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += by;
    }
}

impl CounterFn for Cell {
    fn increment(&self, by: u64) {
        self.add(i64::try_from(by).unwrap());
    }

    fn absolute(&self, _: u64) {
        panic!("nothing is set");
    }
}

impl GaugeFn for Cell {
    fn increment(&self, _: f64) {
        self.add(1);
    }

    fn decrement(&self, _: f64) {
        self.add(-1);
    }

    fn set(&self, _: f64) {
        panic!("nothing is set");
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        assert!(value >= 0.0);
        self.add(1);
    }
}

impl Counted {
    fn cell(&self, key: &Key) -> Arc<Cell> {
        let labels: Vec<String> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(Cell(self.clone(), format!("{}{{{}}}", key.name(), labels.join(","))))
    }

    fn get(&self, name: &str) -> i64 {
        self.0.lock().unwrap().get(name).copied().unwrap_or(-1)
    }
}

impl Recorder for Counted {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key))
    }
}

fn step(name: &str, agent: &str) -> Arc<StepDef> {
    Arc::new(Closures::step(StepId::new(name).unwrap(), change(), did(agent), "work"))
}

fn change() -> ActionId {
    ActionId::new("change").unwrap()
}

async fn saga(hv: &Hypervisor, name: &str, steps: Vec<Arc<StepDef>>, fails: &'static str) -> SagaState {
    let unproven = (0..u32::try_from(steps.len()).unwrap()).collect();
    let name = SagaId::new(name).unwrap();
    let host = hv.create_saga(&session(), &name, Plan::new(steps), unproven).await.unwrap();
    let act = |attempt: Attempt| async move {
        if attempt.step.as_str() == fails || (!fails.is_empty() && attempt.purpose == Purpose::Undo) {
            return Outcome::failed(Class::Permanent, hv_saga::Reason::other("no"));
        }
        Outcome::done()
    };
    host.run(SagaCommand::advance(), act).await.unwrap()
}

/// An allowed step and a denied one, a request that is refused, an undo that fails and what it costs, and a kill.
async fn work(folder: &std::path::Path) {
    let now = crate::Clock::now(&SystemClock);
    let log = FileLog::create(folder, now, FileOptions::new(crate::entropy().unwrap())).unwrap();
    let hv = Hypervisor::open(Arc::new(log), Arc::new(SystemClock)).unwrap();
    hv.create_session(&session(), SessionConfig::default(), &did("admin")).await.unwrap();
    for (name, sigma) in [("able", "0.85"), ("weak", "0.30")] {
        let entrant = Entrant::new(did(name)).with_sigma(sigma.parse().unwrap());
        hv.join_session(&session(), &entrant).await.unwrap();
    }
    let (kind, reversibility) = (Some(ActionKind::Effect), Some(Reversibility::Full));
    let claim = Claim { kind, reversibility, ..Claim::default() };
    hv.register_action(&session(), &change(), claim).await.unwrap();
    hv.activate_session(&session()).await.unwrap();
    hv.activate_session(&session()).await.unwrap_err();
    assert_eq!(saga(&hv, "good", vec![step("one", "able")], "").await, SagaState::Completed);
    assert_ne!(saga(&hv, "denied", vec![step("one", "weak")], "").await, SagaState::Completed);
    let steps = vec![step("one", "able"), step("two", "able")];
    assert_eq!(saga(&hv, "bad", steps, "two").await, SagaState::Escalated);
    let order = KillOrder { target: KillTarget::All {}, by: None, reason: "now".to_owned() };
    hv.kill(&order, async { Ok::<_, Infallible>(()) }).await.unwrap();
}

#[test]
fn what_is_decided_is_told_and_counted() {
    let (heard, counted) = (Heard::default(), Counted::default());
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    // With one listener alone, whether a place in the source is heard at all is decided for good by the thread that comes
    // there first, and other tests have none.
    let _another = tracing::Dispatch::new(Heard::default());
    tracing::subscriber::with_default(heard.clone(), || {
        metrics::with_local_recorder(&counted, || runtime.block_on(work(&folder.path().join("trail"))));
    });
    let granted =
        ["DEBUG attempt granted", "step=\"one\"", "agent=\"did:mesh:able\"", "action=\"change\"", "ring=2"];
    assert_eq!(heard.count(&granted), 3, "{heard:#?}");
    assert_eq!(
        heard.count(&["WARN step denied", "did:mesh:weak", "rule=\"score\"", "needs="]),
        1,
        "{heard:#?}"
    );
    assert_eq!(
        heard.count(&["DEBUG attempt ended", "outcome=\"done\"", "purpose=\"execute\"", "seconds="]),
        2
    );
    assert_eq!(heard.count(&["DEBUG attempt ended", "outcome=\"permanent\"", "purpose=\"undo\""]), 1);
    assert_eq!(heard.count(&["WARN denied", "reason=", "lsn="]), 1, "{heard:#?}");
    assert_eq!(heard.count(&["WARN slashed", "did:mesh:able", "loss="]), 1, "{heard:#?}");
    assert_eq!(heard.count(&["WARN killed", "answer=\"stopped\""]), 1);
    assert_eq!(heard.count(&["span kill", "target=All", "answer=\"stopped\""]), 1, "{heard:#?}");
    assert_eq!(heard.count(&["INFO saga ended"]), 3);
    assert!(heard.count(&["span command", "lsn="]) > 10 && heard.count(&["span sync", "batches="]) > 10);
    assert!(heard.0.lock().unwrap().open.is_empty());

    let of_step = |outcome: &str| counted.get(&format!("hv_decisions_total{{of=step,outcome={outcome}}}"));
    assert_eq!((of_step("allowed"), of_step("denied")), (4, 1), "{counted:#?}");
    assert_eq!(counted.get("hv_denials_total{of=step,rule=score}"), 1);
    assert_eq!(counted.get("hv_decisions_total{of=request,outcome=denied}"), 1);
    assert_eq!(counted.get("hv_step_seconds{purpose=execute,outcome=done}"), 2);
    assert_eq!(counted.get("hv_sagas_total{state=escalated}"), 1);
    assert_eq!(counted.get("hv_slashes_total{}"), 1);
    assert_eq!(counted.get("hv_kills_total{answer=stopped}"), 1);
    assert_eq!(counted.get("hv_sync_waiting{}"), 0, "everybody has come back");
    assert_eq!(counted.get("hv_syncs_total{}"), counted.get("hv_sync_seconds{}"));
    assert!(counted.get("hv_batches_total{}") >= 10);
    assert!(counted.get("hv_events_total{}") > counted.get("hv_batches_total{}"));
}

/// Every name that is told or counted stands on the page.
#[test]
fn the_page_has_every_name() {
    let page = include_str!("../../../../docs/runbook.md");
    let source = include_str!("on.rs");
    let quoted = |text: &'static str| text.split('"').skip(1).step_by(2);
    let counts: BTreeSet<&str> = quoted(source).filter(|word| word.starts_with("hv_")).collect();
    assert_eq!(counts.len(), 14, "{counts:?}");
    let spans = source.split("_span!(target: \"hv\", \"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let spans: BTreeSet<&str> = spans.collect();
    assert_eq!(spans.len(), 4, "{spans:?}");
    for name in counts.iter().chain(&spans) {
        assert!(page.contains(&format!("| `{name}` |")), "docs/runbook.md has no row for `{name}`");
    }
}
