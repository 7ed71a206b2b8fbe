//! Whoever listens hears of an undo that was tried in vain as often as it may be: in order, and with all that a person
//! needs to see to it.

use crate::scene::{change, ended, file, look, said, scene, sh, spawn, wait_for, with};
use crate::support::hv;
use hv_core::audit::{FileLog, FileOptions};
use hv_core::event::{LedgerEvent, SagaEvent, SessionEvent};
use hv_core::saga::{Move, Purpose, SagaState};
use hv_core::types::{Did, SagaId, SessionId};
use hv_core::{
    Clock, Entrant, Hypervisor, NewStep, Notice, Said, SessionConfig, StepFailure, SystemClock, entropy,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;

/// What a subscriber puts together from nothing but what it is told.
#[derive(Default)]
struct Listener {
    sagas: Vec<(SagaId, Vec<String>)>,
    heard: Vec<String>,
}

impl Listener {
    fn hear(&mut self, said: Said<'_>) {
        match said {
            Said::Session(SessionEvent::SagaOpened { id, .. }) => self.sagas.push((id.clone(), Vec::new())),
            Said::Session(SessionEvent::Saga { saga, event }) => self.saga(*saga as usize, event),
            Said::Ledger(LedgerEvent::Slashed { .. }) => self.heard.push("slashed".to_owned()),
            _ => {}
        }
    }

    fn saga(&mut self, number: usize, event: &SagaEvent) {
        let (saga, steps) = &mut self.sagas[number];
        let heard = match event {
            SagaEvent::Appended { steps: more, .. } => {
                steps.extend(more.iter().map(|def| format!("{saga}/{} of {}", def.id, def.agent)));
                return;
            }
            SagaEvent::Started { step, purpose: Purpose::Undo, number, .. } => {
                format!("{}: undo {number}", steps[*step as usize])
            }
            SagaEvent::Moved { step, to: Move::UndoFailed { failure }, .. } => {
                format!("{} is not undone: {failure}", steps[*step as usize])
            }
            SagaEvent::Finished { state, .. } => format!("{saga} is {state}"),
            _ => return,
        };
        self.heard.push(heard);
    }
}

/// Listens until a saga is over. At the notice that it is escalated, what waits for a person is open already.
async fn listened(hv: Hypervisor, mut notices: Receiver<Arc<Notice>>) -> (Vec<String>, Vec<String>) {
    let (mut listener, mut items) = (Listener::default(), Vec::new());
    while !listener.heard.last().is_some_and(|last| last.ends_with(" is escalated")) {
        let notice = notices.recv().await.unwrap();
        notice.said().for_each(|said| listener.hear(said));
    }
    for open in hv.open_items().unwrap() {
        let (item, undos) = (open.item, open.undos);
        items.push(format!("{}/{}/{} {} {undos}", item.session, item.saga, item.step, open.action));
    }
    (listener.heard, items)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_hears_that_an_undo_is_exhausted_in_order_and_finds_the_item_open() {
    let folder = tempfile::tempdir().unwrap();
    let options = FileOptions::new(entropy().unwrap());
    let log = FileLog::create(&folder.path().join("trail"), SystemClock.now(), options).unwrap();
    let hv = Hypervisor::open(Arc::new(log), Arc::new(SystemClock)).unwrap();
    let (id, agent) = (SessionId::new("s").unwrap(), Did::new("did:mesh:a").unwrap());
    let session = hv.create_session(&id, SessionConfig::default(), &agent).await.unwrap();
    hv.join_session(&id, &Entrant::new(agent.clone()).with_sigma("0.85".parse().unwrap())).await.unwrap();
    hv.activate_session(&id).await.unwrap();
    let listening = tokio::spawn(listened(hv.clone(), hv.subscribe()));

    let mut saga = session.create_saga(&SagaId::new("trip").unwrap()).await.unwrap();
    for name in ["hotel", "flight"] {
        let step = NewStep::new(name.parse().unwrap(), agent.clone())
            .with_undo_retries(1)
            .with_undo(move || async move { if name == "flight" { Err("on strike") } else { Ok(()) } });
        let step = saga.add_step(step).await.unwrap();
        saga.execute_step(step, async || Ok::<_, String>(())).await.unwrap();
    }
    let car = NewStep::new("car".parse().unwrap(), agent).with_undo(async || Ok::<_, String>(()));
    let car = saga.add_step(car).await.unwrap();
    let failed = saga.execute_step(car, async || Err::<(), _>("no cars")).await.unwrap_err();
    assert!(matches!(failed, StepFailure::Failed { saga: SagaState::Escalated, .. }), "{failed:?}");

    let listened = tokio::time::timeout(Duration::from_secs(60), listening);
    let (heard, items) = listened.await.unwrap().unwrap();
    // One after another: what came before is undone when it is known what became of what came after it.
    assert_eq!(
        heard,
        [
            "trip/flight.1 of did:mesh:a: undo 1",
            "trip/flight.1 of did:mesh:a: undo 2",
            "trip/flight.1 of did:mesh:a is not undone: on strike",
            "trip/hotel of did:mesh:a: undo 1",
            "slashed",
            "trip is escalated",
        ]
    );
    assert!(heard.contains(&"trip/hotel of did:mesh:a: undo 1".to_owned()), "{heard:?}");
    assert_eq!(items, ["s/trip/flight.1 flight 2"]);
    hv.seal().await.unwrap();
}

#[test]
fn who_watches_a_run_sees_what_waits_for_a_person_and_the_command_for_it() {
    let undone =
        with(change("stays", sh("true"), sh("exit 9")), json!({ "undo_retries": 1, "retry_delay": "1ms" }));
    let held = look("held", sh("echo > THERE; until test -e GO; do sleep 0.02; done; exit 1"));
    let session = with(file(0.9, vec![undone, held]), json!({ "session": { "id": "s" } }));
    for json in [false, true] {
        let run = scene(&session);
        let child = spawn(&mut run.start());
        wait_for("the step that waits", || run.work().join("THERE").exists());
        let mut watch = hv();
        watch.args(["saga", "watch"]).args(json.then_some("--json")).arg(run.data());
        let watching = spawn(&mut watch);
        std::thread::sleep(Duration::from_millis(500));
        std::fs::write(run.work().join("GO"), "").unwrap();
        assert_eq!(ended(child).status.code(), Some(4));
        let watched = ended(watching);
        assert_eq!(watched.status.code(), Some(0), "{}", said(&watched));
        let text = String::from_utf8(watched.stdout).unwrap();
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
        if json {
            let objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let stuck = |object: &&Value| object["state"] == "compensation_failed";
            let stuck = objects.iter().find(stuck).unwrap_or_else(|| panic!("{text}"));
            let named = ["session", "saga", "id", "agent"].map(|field| stuck[field].as_str().unwrap());
            assert_eq!((named, &stuck["undos"]), (["s", "work", "stays", "did:mesh:a"], &json!(2)));
            assert_eq!(objects.last().unwrap()["state"], "escalated", "{text}");
            continue;
        }
        let step = ["s", "work", "stays"].join("/");
        let in_order = [
            format!("{step}  committed: change by did:mesh:a"),
            format!("{step}  compensation_failed: change by did:mesh:a, executed 1, undo tried 2"),
            format!("{step}  waits for a person: hv saga resolve, skip or retry\n"),
            "s/work  escalated\n".to_owned(),
        ];
        assert!(in_order.map(|what| place(&what)).is_sorted(), "{text}");
    }
}
