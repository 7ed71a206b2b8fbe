//! What could not be undone waits for a person, also when its session is over, and a witness's word settles it.

use crate::evidence::{did, key, node};
use hv_core::audit::MemoryLog;
use hv_core::identity::{Content, Envelope, Statement};
use hv_core::rings::class::Claim;
use hv_core::saga::drive::{Control, drive};
use hv_core::saga::exec::Closures;
use hv_core::saga::{Class, Outcome, Plan, Reason as Why, SagaCommand, SagaState, StepDef, Task};
use hv_core::session::SessionConfig;
use hv_core::types::{ActionId, ActionKind, Reversibility, SagaId, SessionId, StepId, Timestamp};
use hv_core::{
    Clock, Denied, Entrant, Error, Hypervisor, ItemRef, ManualClock, NodeConfig, Presented, Reason, Request,
    Retried, Settlement,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

const START: Timestamp = Timestamp(1_769_860_800_000_000_000);

fn id(step: &str) -> ItemRef {
    ItemRef {
        session: SessionId::new("trip").unwrap(),
        saga: SagaId::new("booking").unwrap(),
        step: StepId::new(step).unwrap(),
    }
}

/// A travel booking: hotel and flight are booked, the car is not, and neither booking can be cancelled.
struct Trip {
    hv: Hypervisor,
    log: Arc<MemoryLog>,
    clock: Arc<ManualClock>,
    /// Whether cancelling works again.
    mended: Arc<AtomicBool>,
    cancelled: Arc<AtomicU32>,
    closures: Closures,
}

impl Trip {
    async fn escalated() -> Self {
        let (log, clock) = (Arc::new(MemoryLog::new()), Arc::new(ManualClock::at(START)));
        let hv = Hypervisor::open(log.clone(), clock.clone()).unwrap();
        hv.establish(&did("operator"), &NodeConfig::new(node()).with_witness(did("human")), &[])
            .await
            .unwrap();
        let session = SessionId::new("trip").unwrap();
        hv.create_session(&session, SessionConfig::default(), &did("operator")).await.unwrap();
        for agent in ["hotelier", "pilot"] {
            let entrant = Entrant::new(did(agent)).with_sigma("0.85".parse().unwrap());
            hv.join_session(&session, &entrant).await.unwrap();
        }
        let claim = Claim {
            kind: Some(ActionKind::Effect),
            reversibility: Some(Reversibility::Full),
            ..Claim::default()
        };
        let book = ActionId::new("travel.book").unwrap();
        hv.register_action(&session, &book, claim).await.unwrap();
        hv.activate_session(&session).await.unwrap();
        let (mended, cancelled) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let now = Arc::clone(&clock);
        let mut closures = Closures::new().with_clock(Arc::new(move || now.now()));
        let (works, count) = (Arc::clone(&mended), Arc::clone(&cancelled));
        let undo = move |_| {
            let (works, count) = (Arc::clone(&works), Arc::clone(&count));
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                if works.load(Ordering::SeqCst) {
                    Outcome::done()
                } else {
                    Outcome::failed(Class::Permanent, Why::other("the airline is on strike"))
                }
            }
        };
        closures.add("good", |_| async { Outcome::done() }, undo);
        closures.add(
            "bad",
            |_| async { Outcome::failed(Class::Permanent, Why::other("no car")) },
            |_| async { Outcome::done() },
        );
        let step = |name: &str, agent: &str, task: &str, after: Vec<u32>| {
            let def = StepDef::new(StepId::new(name).unwrap(), book.clone(), did(agent), Task::closure(task));
            Arc::new(StepDef { after, ..def.with_undo(Task::closure(task)) })
        };
        let steps = vec![
            step("hotel", "hotelier", "good", vec![]),
            step("flight", "pilot", "good", vec![0]),
            step("car", "pilot", "bad", vec![1]),
        ];
        let saga = SagaId::new("booking").unwrap();
        let host = hv.create_saga(&session, &saga, Plan::new(steps), vec![0, 1, 2]).await.unwrap();
        let end = drive(&host, &closures, &Control::new(), SagaCommand::advance()).await.unwrap();
        assert_eq!(end, SagaState::Escalated);
        hv.terminate_session(&session).await.unwrap();
        Self { hv, log, clock, mended, cancelled, closures }
    }

    fn reopened(self) -> Self {
        let hv = Hypervisor::open(self.log.clone(), self.clock.clone()).unwrap();
        Self { hv, ..self }
    }

    fn open(&self) -> Vec<String> {
        self.hv.open_items().unwrap().iter().map(|open| open.item.step.to_string()).collect()
    }

    /// The word of somebody on a settlement that the operator asks for.
    fn word(&self, by: &str, step: &str, how: Settlement, nonce: u8) -> Presented {
        let deadline = self.clock.now().after(Duration::from_secs(600));
        let request = Request::Settle { item: id(step), how };
        let call = request.call(&did("operator"), deadline).unwrap();
        let statement = Statement {
            audience: node(),
            signer: did(by),
            nonce: [nonce; 16],
            deadline,
            content: Content::Witness { call },
        };
        let envelope: Envelope = statement.seal(&key(by)).unwrap();
        Presented::new(deadline, vec![envelope]).unwrap()
    }

    async fn settle(&self, step: &str, how: Settlement, word: &Presented) -> Result<(), Reason> {
        let request = Request::Settle { item: id(step), how };
        reason(self.hv.govern(&did("operator"), &request, word).await.map(drop))
    }

    async fn retry(&self, step: &str, word: &Presented) -> Result<Retried, Reason> {
        reason(self.hv.retry_undo(&did("operator"), &id(step), word, &self.closures).await)
    }
}

fn reason<T>(result: Result<T, Error>) -> Result<T, Reason> {
    result.map_err(|error| match error {
        Error::Denied(denied) => {
            let Denied { reason, .. } = *denied;
            reason
        }
        error => panic!("{error}"),
    })
}

#[tokio::test]
async fn an_escalation_is_open_until_a_witness_has_agreed_to_its_end() {
    let trip = Trip::escalated().await.reopened();
    assert_eq!(trip.open(), ["hotel", "flight"], "they stay open when their session is over");
    // The flight's undo failed first, and may have stood in the hotel's way: it costs its agent more.
    let open = trip.hv.open_items().unwrap();
    assert_eq!((open[0].agent.clone(), open[0].undos), (did("hotelier"), 1));
    // Whoever is no witness, and whoever speaks of something else, settles nothing.
    let (resolved, skipped) = (Settlement::Resolved {}, Settlement::Skipped {});
    let of_stranger = trip.word("pilot", "hotel", resolved, 1);
    assert!(matches!(trip.settle("hotel", resolved, &of_stranger).await, Err(Reason::Ring(_))));
    let of_other = trip.word("human", "flight", resolved, 2);
    assert!(matches!(trip.settle("hotel", resolved, &of_other).await, Err(Reason::Ring(_))));
    let of_skip = trip.word("human", "hotel", skipped, 3);
    assert!(matches!(trip.settle("hotel", resolved, &of_skip).await, Err(Reason::Ring(_))));
    assert_eq!(trip.open(), ["hotel", "flight"]);
    let word = trip.word("human", "hotel", resolved, 4);
    trip.settle("hotel", resolved, &word).await.unwrap();
    // Said once, it is used up; and what is settled is settled.
    assert!(trip.settle("hotel", resolved, &word).await.is_err());
    let again = trip.word("human", "hotel", skipped, 5);
    assert_eq!(trip.settle("hotel", skipped, &again).await, Err(Reason::NoItem(Box::new(id("hotel")))));
    let word = trip.word("human", "flight", skipped, 6);
    trip.settle("flight", skipped, &word).await.unwrap();
    assert!(trip.open().is_empty());
    assert!(trip.reopened().open().is_empty(), "the record says so");
}

#[tokio::test]
async fn an_undo_is_tried_once_more_for_each_word_of_a_witness() {
    let trip = Trip::escalated().await.reopened();
    let before = trip.cancelled.load(Ordering::SeqCst);
    let retried = Settlement::Retried {};
    let of_stranger = trip.word("pilot", "flight", retried, 1);
    assert!(matches!(trip.retry("flight", &of_stranger).await, Err(Reason::Ring(_))));
    assert_eq!(trip.cancelled.load(Ordering::SeqCst), before, "without a word nothing is run");
    let word = trip.word("human", "flight", retried, 2);
    assert!(matches!(trip.retry("flight", &word).await, Ok(Retried::Failed { .. })));
    assert_eq!(trip.cancelled.load(Ordering::SeqCst), before + 1);
    assert_eq!(trip.open(), ["hotel", "flight"]);
    // The same word a second time runs nothing.
    assert!(trip.retry("flight", &word).await.is_err());
    assert_eq!(trip.cancelled.load(Ordering::SeqCst), before + 1);
    trip.mended.store(true, Ordering::SeqCst);
    let trip = trip.reopened();
    let word = trip.word("human", "flight", retried, 3);
    assert_eq!(trip.retry("flight", &word).await, Ok(Retried::Undone {}));
    let trip = trip.reopened();
    assert_eq!(trip.open(), ["hotel"]);
    assert_eq!(trip.hv.open_items().unwrap()[0].undos, 1);
}

/// A permission that nobody came back from keeps others away until its time is over, and no longer.
#[tokio::test]
async fn one_attempt_at_a_time() {
    let trip = Trip::escalated().await;
    let retried = Settlement::Retried {};
    let word = trip.word("human", "hotel", retried, 1);
    // As if the program had ended between the permission and the end of the undo.
    trip.settle("hotel", retried, &word).await.unwrap();
    let trip = trip.reopened();
    let word = trip.word("human", "hotel", Settlement::Resolved {}, 2);
    let busy = trip.settle("hotel", Settlement::Resolved {}, &word).await;
    assert!(matches!(busy, Err(Reason::ItemBusy { .. })), "{busy:?}");
    trip.clock.set(trip.clock.now().after(Duration::from_secs(301)));
    let word = trip.word("human", "hotel", Settlement::Resolved {}, 3);
    trip.settle("hotel", Settlement::Resolved {}, &word).await.unwrap();
    assert_eq!(trip.open(), ["flight"]);
}

/// An attempt that ends when somebody else has settled the item, or tries it again, changes nothing of that; it is
/// refused on the trail, and the trail stays whole.
#[tokio::test]
async fn an_attempt_that_comes_back_too_late_changes_nothing() {
    for how in [Settlement::Resolved {}, Settlement::Retried {}] {
        let mut trip = Trip::escalated().await;
        let (began, goes_on) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
        let gates = (Arc::clone(&began), Arc::clone(&goes_on));
        let slow = move |_| {
            let (began, goes_on) = gates.clone();
            async move {
                began.notify_one();
                goes_on.notified().await;
                Outcome::done()
            }
        };
        trip.closures.add("good", |_| async { Outcome::done() }, slow);
        let word = trip.word("human", "hotel", Settlement::Retried {}, 1);
        let late = async { trip.retry("hotel", &word).await };
        let meanwhile = async {
            began.notified().await;
            trip.clock.set(trip.clock.now().after(Duration::from_secs(301)));
            let word = trip.word("human", "hotel", how, 2);
            trip.settle("hotel", how, &word).await.unwrap();
            goes_on.notify_one();
        };
        let (late, ()) = tokio::join!(late, meanwhile);
        assert!(matches!(late, Err(Reason::Saga(_))), "{late:?}");
        let open = if how == (Settlement::Resolved {}) { vec!["flight"] } else { vec!["hotel", "flight"] };
        assert_eq!(trip.open(), open);
        assert_eq!(trip.reopened().open(), open, "the record is that of it");
    }
}
