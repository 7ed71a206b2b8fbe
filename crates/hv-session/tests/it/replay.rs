//! What is recorded makes the state: replay, compaction, and records that no honest run has written.

use crate::model::{any_command, fresh, paths};
use crate::support::{Dice, Run, at, did, does, replay, rounds};
use hv_session::{ConsistencyMode, Eviction, Machine, Session, SessionCommand as C, SessionEvent, Timestamp};
use hv_types::Wire;

/// A history in which members come and go and change files.
fn history(seed: u64, length: usize) -> Run {
    let mut dice = Dice(seed);
    let mut run =
        fresh(if seed.is_multiple_of(2) { ConsistencyMode::Strong } else { ConsistencyMode::Eventual });
    for _ in 0..length {
        let (command, now) = any_session_command(&mut dice, &run.session);
        let _refused = run.run(&command, now);
    }
    run
}

fn any_session_command(dice: &mut Dice, session: &Session) -> (C, Timestamp) {
    let n = u32::try_from(dice.below(4)).unwrap();
    let command = match dice.below(40) {
        0 | 1 => C::Leave { did: did(n) },
        2..=5 => C::join(did(n)),
        6 => C::Evict { did: did(n), reason: Eviction::Drift },
        7 => C::Readmit { did: did(n) },
        8 => C::AddChild { parent: did(n), child: did(n + 1), needs: ConsistencyMode::Eventual },
        9 if dice.below(20) == 0 => C::ForceStrong,
        10 if dice.below(30) == 0 => C::Terminate,
        _ => does(n, any_command(dice, &paths(), session.files().revision().0)),
    };
    (command, at(5))
}

#[test]
fn s4_any_prefix_of_a_history_with_files_replays_to_the_live_state() {
    for seed in 0..rounds(8, 400) as u64 {
        let run = history(seed, 200);
        let mut live = Session::default();
        for (n, event) in run.log.iter().enumerate() {
            live.apply(event).unwrap();
            if n % 7 == 0 {
                assert!(replay(&run.log[..=n]).as_ref() == Ok(&live), "{seed}, {n}");
            }
        }
        assert!(live == run.session, "{seed}");
    }
}

#[test]
fn a_compacted_session_goes_on_as_the_live_one() {
    for seed in 0..rounds(30, 2000) as u64 {
        let run = history(seed, 150);
        let compact = run.session.compact();
        let bytes: Vec<_> = compact.iter().map(SessionEvent::to_bytes).collect();
        let read: Vec<_> = bytes.iter().map(|bytes| SessionEvent::from_bytes(bytes).unwrap()).collect();
        let mut resumed = replay(&read).unwrap();
        assert!(resumed == run.session, "{seed}");
        let mut live = run.session.clone();
        let mut dice = Dice(seed + 1000);
        for _ in 0..60 {
            let (command, now) = any_session_command(&mut dice, &live);
            let events = live.decide(&command, now);
            assert_eq!(resumed.decide(&command, now), events);
            for event in events.iter().flatten() {
                live.apply(event).unwrap();
                resumed.apply(event).unwrap();
            }
        }
        assert!(resumed == live, "{seed}");
        assert_eq!(resumed.compact(), live.compact());
    }
}

#[test]
fn a_session_that_is_being_resumed_does_nothing_yet() {
    let run = history(4, 100);
    let compact = run.session.compact();
    let mut part = replay(&compact[..compact.len() - 1]).unwrap();
    assert!(part.decide(&C::join(did(9)), at(5)).is_err());
    for event in run.log.iter().filter(|event| !matches!(event, SessionEvent::Complete)) {
        assert!(part.apply(event).is_err(), "{event:?}");
    }
    part.apply(compact.last().unwrap()).unwrap();
    assert!(part == run.session);
    for event in &compact {
        assert!(part.apply(event).is_err(), "{event:?}");
    }
}

/// An event is taken exactly where it could have been decided; otherwise the state stays as it is.
#[test]
fn events_from_elsewhere_are_illegal_or_honest_and_never_half_applied() {
    let (mut taken, mut illegal) = (0usize, 0usize);
    for seed in 0..rounds(12, 600) as u64 {
        let mut events = history(seed, 150).log;
        events.extend(history(seed + 1, 100).session.compact());
        let here = history(seed + 50, 150).session;
        for event in &events {
            let mut session = here.clone();
            if session.apply(event).is_ok() {
                taken += 1;
                let compact = session.compact();
                assert!(replay(&compact).as_ref() == Ok(&session), "{event:?}");
            } else {
                illegal += 1;
                assert!(session == here, "{event:?}");
            }
        }
    }
    assert!(taken > 10 && illegal > 100, "{taken} taken, {illegal} illegal");
}

/// A record with any byte changed is refused, or says something else that is just as legal.
#[test]
fn changed_bytes_never_panic() {
    let run = history(6, 120);
    for (n, event) in run.log.iter().enumerate() {
        let before = replay(&run.log[..n]).unwrap();
        let bytes = event.to_bytes();
        for at in 0..bytes.len() {
            for change in [1, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                let Ok(other) = SessionEvent::from_bytes(&changed) else { continue };
                assert_eq!(other.to_bytes(), changed, "one encoding for each value");
                let mut session = before.clone();
                if session.apply(&other).is_err() {
                    assert!(session == before, "{other:?}");
                }
            }
        }
    }
}
