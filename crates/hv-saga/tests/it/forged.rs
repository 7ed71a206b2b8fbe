//! Records that no honest run could have written.

use crate::simulation::{Turn, replay};
use crate::worlds::random_run;
use hv_saga::{Cause, Class, Failure, Micros, Move, Purpose, Reason, SagaCommand, SagaEvent, SagaState};
use hv_types::Machine;

/// Every event that could be forged for a step, or for the saga.
fn forgeries(steps: u32, at: Micros) -> Vec<SagaEvent> {
    let failure = || Failure::new(Class::Permanent, Reason::CannotTell);
    let mut events = vec![SagaEvent::Sealed {}, SagaEvent::Paused { at }, SagaEvent::Resumed { at }];
    for state in SagaState::ALL {
        events.push(SagaEvent::Finished { state, at });
    }
    for step in 0..=steps {
        for purpose in [Purpose::Execute, Purpose::Undo, Purpose::Probe] {
            events.extend((1..=3).map(|number| SagaEvent::Started { step, purpose, number, at }));
        }
        let wait = Micros(0);
        for to in [
            Move::Committed {},
            Move::Retry { wait, failure: failure() },
            Move::Failed { failure: failure() },
            Move::Suspect { wait, failure: failure() },
            Move::Doubt { wait, failure: failure() },
            Move::Assumed { failure: failure() },
            Move::Denied {},
            Move::Undone {},
            Move::UndoRetry { wait, failure: failure() },
            Move::Unconfirmed { wait, failure: None },
            Move::UndoFailed { failure: failure() },
        ] {
            events.push(SagaEvent::Moved { step, to, at });
        }
        events.push(SagaEvent::HandedOver { step, at });
        events.push(SagaEvent::Expiring { step, by: 0, at });
        events.push(SagaEvent::Turned { cause: Cause::Failed { step }, at });
    }
    events
}

/// Whatever is accepted keeps the promises: the run can be taken up and ends well. Whatever is refused leaves
/// the state as it was, and after the end everything is refused.
#[test]
fn s3_forged_events_are_refused_and_change_nothing() {
    let mut refused = 0u64;
    for seed in 0..60 {
        let (mut run, mut dice) = random_run(seed, 5, None);
        run.finish(|running| Turn::End(dice.roll(running)));
        for k in 1..=run.events.len() {
            let saga = replay(&run.events[..k]);
            for forged in forgeries(saga.steps().len() as u32, Micros(10_000_000)) {
                let mut other = saga.clone();
                if other.apply(&forged).is_err() {
                    assert_eq!(other, saga, "a refused event changes nothing: {forged:?}");
                    refused += 1;
                    continue;
                }
                assert!(!saga.state().is_terminal(), "S3: {forged:?} after the end");
                assert_ne!(other, saga, "an accepted event says something: {forged:?}");
                if !other.state().is_terminal() {
                    let now = run.now.after(std::time::Duration::from_secs(100));
                    let next = other.decide(&SagaCommand::recover(), now);
                    let next = next.unwrap_or_else(|denial| panic!("{forged:?} then {denial}: {:?}", saga));
                    next.iter().for_each(|event| other.apply(event).unwrap());
                }
            }
        }
    }
    assert!(refused > 10_000, "{refused}");
}

/// The last events of a run in another order, or one of them left out, are refused.
#[test]
fn s2_an_undo_out_of_order_is_refused() {
    let mut shown = 0;
    for seed in 0..400 {
        let (mut run, mut dice) = random_run(seed, 8, None);
        run.finish(|running| Turn::End(dice.roll(running)));
        let starts: Vec<_> = (0..run.events.len())
            .filter(|&k| {
                matches!(run.events[k], SagaEvent::Started { purpose: Purpose::Undo, number: 1, .. })
            })
            .collect();
        for pair in starts.windows(2) {
            let saga = replay(&run.events[..pair[0]]);
            let mut other = saga.clone();
            assert!(other.apply(&run.events[pair[1]]).is_err(), "S2: {:?}", run.events[pair[1]]);
            shown += 1;
        }
    }
    assert!(shown > 100, "{shown}");
}
