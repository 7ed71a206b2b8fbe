//! States, members and limits.

use crate::support::{Run, at, create, did, replay};
use core::time::Duration;
use hv_session::{
    ConsistencyMode, Eviction, Machine, Session, SessionCommand as C, SessionConfig, SessionDenial as D,
    SessionEvent, SessionState as S, Standing, Timestamp,
};
use proptest::prelude::*;

fn child(parent: u32, child: u32) -> C {
    C::AddChild { parent: did(parent), child: did(child), needs: ConsistencyMode::Eventual }
}

fn leave(n: u32) -> C {
    C::Leave { did: did(n) }
}

fn evict(n: u32) -> C {
    C::Evict { did: did(n), reason: Eviction::Breach }
}

/// A session with the members 0 and 1, one (2) that was put out, in this state.
fn in_state(state: S) -> Run {
    if state == S::Created {
        let mut run = Run::default();
        let created = run.session.decide(&create(SessionConfig::default()), at(0)).unwrap();
        run.session.apply(&created[0]).unwrap();
        return run;
    }
    let mut run = Run::handshaking(SessionConfig::default(), 3);
    run.ok(&evict(2), at(0));
    let steps = [(S::Active, C::Activate), (S::Terminating, C::Terminate), (S::Archived, C::Archive)];
    for (_, command) in steps.iter().filter(|(reached, _)| *reached <= state) {
        run.ok(command, at(0));
    }
    assert_eq!(run.session.state(), state);
    run
}

#[test]
fn every_command_in_every_state() {
    let table: [(C, [bool; 5]); 10] = [
        (create(SessionConfig::default()), [false; 5]),
        (C::join(did(7)), [false, true, true, false, false]),
        (child(0, 7), [false, true, true, false, false]),
        (C::Activate, [false, true, false, false, false]),
        (leave(1), [false, true, true, false, false]),
        (evict(1), [false, true, true, true, false]),
        (C::Readmit { did: did(2) }, [false, true, true, true, false]),
        (C::Terminate, [false, true, true, false, false]),
        (C::Archive, [false, false, false, true, false]),
        (C::ForceStrong, [false, true, true, false, false]),
    ];
    for (command, allowed) in &table {
        for (state, allowed) in S::ALL.into_iter().zip(allowed) {
            let mut run = in_state(state);
            if *allowed {
                run.ok(command, at(1));
                continue;
            }
            let denial = run.denied(command, at(1));
            match command {
                C::Create { .. } => assert!(matches!(denial, D::AlreadyCreated { .. }), "{denial}"),
                C::Activate => assert_move(&denial, state, S::Active),
                C::Terminate => assert_move(&denial, state, S::Terminating),
                C::Archive => assert_move(&denial, state, S::Archived),
                _ => {
                    assert!(matches!(denial, D::State { state: named, .. } if named == state), "{denial}");
                    assert!(denial.to_string().contains(state.name()));
                }
            }
        }
    }
}

fn assert_move(denial: &D, from: S, to: S) {
    assert!(matches!(denial, D::Move(bad) if bad.from == from && bad.to == to), "{denial}");
}

#[test]
fn nothing_but_a_creation_starts_a_session() {
    for command in [C::join(did(0)), C::Activate, C::Terminate, C::Archive, C::ForceStrong, leave(0)] {
        assert_eq!(Run::default().denied(&command, at(0)), D::NotCreated);
    }
    let session = Session::default();
    assert_eq!((session.id(), session.deadline(), session.live(at(0))), (None, None, false));
}

#[test]
fn creation_opens_the_session_in_one_decision() {
    let mut run = Run::default();
    run.ok(&create(SessionConfig::default()), at(5));
    assert_eq!(run.session.state(), S::Handshaking);
    assert_eq!(run.session.creator().map(|did| did.as_str()), Some("did:mesh:admin"));
    assert_eq!(run.session.present(), 0, "the creator is no member");
    assert_eq!(run.session.deadline(), Some(at(3605)));
}

#[test]
fn time_is_over_at_the_deadline_and_not_a_nanosecond_before() {
    let config = SessionConfig::default().with_max_duration(Duration::from_secs(10)).unwrap();
    let mut run = Run::active(config, 2);
    let deadline = at(10);
    let before = Timestamp(deadline.0 - 1);
    assert!(run.session.live(before) && !run.session.live(deadline));
    for command in [C::join(did(5)), child(0, 5), leave(1), C::ForceStrong] {
        assert!(run.session.decide(&command, before).is_ok());
        assert_eq!(run.denied(&command, deadline), D::Expired { deadline });
    }
    run.ok(&evict(1), deadline);
    run.ok(&C::Terminate, deadline);
    run.ok(&C::Archive, deadline);
    let mut waiting = Run::handshaking(config, 1);
    assert_eq!(waiting.denied(&C::Activate, deadline), D::Expired { deadline });
    waiting.ok(&C::Terminate, deadline);
}

#[test]
fn capacity_counts_who_is_there() {
    let config = SessionConfig::default().with_max_participants(2).unwrap();
    let mut run = Run::handshaking(config, 2);
    assert_eq!(run.denied(&C::join(did(2)), at(0)), D::Full { limit: 2 });
    assert_eq!(run.denied(&child(0, 2), at(0)), D::Full { limit: 2 });
    run.ok(&leave(0), at(0));
    run.ok(&C::join(did(2)), at(0));
    assert_eq!(run.denied(&C::join(did(0)), at(0)), D::Full { limit: 2 });
}

/// Failure 15.
#[test]
fn one_that_left_joins_again_and_keeps_its_ordinal() {
    let mut run = Run::active(SessionConfig::default(), 2);
    for _ in 0..3 {
        run.ok(&leave(1), at(0));
        assert_eq!(run.session.member(&did(1)), None);
        assert_eq!(run.session.known(&did(1)).map(|m| m.standing), Some(Standing::Left));
        assert_eq!(run.denied(&leave(1), at(0)), D::NotAMember { did: did(1) });
        run.ok(&C::join(did(1)), at(0));
        assert_eq!(run.session.member(&did(1)).map(|m| m.ordinal), Some(1));
        assert_eq!(run.denied(&C::join(did(1)), at(0)), D::AlreadyMember { did: did(1) });
    }
    let names = run.log.iter().filter(|e| matches!(e, SessionEvent::Joined { .. })).count();
    assert_eq!(names, 2, "a name is recorded once");
}

/// Failure 15.
#[test]
fn nobody_in_it_means_not_active() {
    let mut run = Run::handshaking(SessionConfig::default(), 0);
    assert_eq!(run.denied(&C::Activate, at(0)), D::Nobody);
    run.ok(&C::join(did(0)), at(0));
    run.ok(&leave(0), at(0));
    assert_eq!(run.denied(&C::Activate, at(0)), D::Nobody, "only one that departed");
    run.ok(&C::join(did(0)), at(0));
    run.ok(&C::Activate, at(0));
    assert_eq!(run.denied(&leave(0), at(0)), D::LastMember { did: did(0) });
    run.ok(&evict(0), at(0));
    assert_eq!((run.session.state(), run.session.present()), (S::Terminating, 0));
    let ended = [SessionEvent::Moved { to: S::Terminating }];
    assert_eq!(run.log[run.log.len() - 2..run.log.len() - 1], ended, "before the last one goes");
}

/// Failure 15.
#[test]
fn a_join_forces_the_strong_mode_only_where_it_succeeds() {
    let strong = |n| C::Join { did: did(n), needs: ConsistencyMode::Strong };
    let config = SessionConfig::default().with_max_participants(2).unwrap();
    let mut run = Run::handshaking(config, 2);
    run.denied(&strong(0), at(0));
    run.denied(&strong(2), at(0));
    assert_eq!(run.session.mode(), ConsistencyMode::Eventual);
    run.ok(&leave(1), at(0));
    run.ok(&strong(2), at(0));
    assert_eq!(run.session.mode(), ConsistencyMode::Strong);
    assert_eq!(run.session.config().mode(), ConsistencyMode::Eventual);
    let length = run.log.len();
    run.ok(&C::ForceStrong, at(0));
    assert_eq!(run.log.len(), length, "strong already, so nothing happened");
}

#[test]
fn one_that_was_put_out_stays_out_until_it_is_readmitted() {
    let mut run = Run::active(SessionConfig::default(), 2);
    run.ok(&evict(1), at(0));
    assert_eq!(run.denied(&C::join(did(1)), at(0)), D::Evicted { did: did(1), reason: Eviction::Breach });
    assert_eq!(run.denied(&C::Readmit { did: did(0) }, at(0)), D::NotEvicted { did: did(0) });
    assert_eq!(run.denied(&C::Readmit { did: did(9) }, at(0)), D::NotAMember { did: did(9) });
    run.ok(&C::Readmit { did: did(1) }, at(0));
    assert_eq!(run.session.member(&did(1)), None, "readmitted is not yet joined");
    run.ok(&C::join(did(1)), at(0));
    assert_eq!(run.session.member(&did(1)).map(|m| m.ordinal), Some(1));
}

#[test]
fn children_know_their_parent_and_go_with_it() {
    let mut run = Run::active(SessionConfig::default(), 2);
    assert_eq!(run.denied(&child(9, 5), at(0)), D::NotAMember { did: did(9) });
    run.ok(&child(0, 5), at(0));
    run.ok(&child(5, 6), at(0));
    let parent = |run: &Run, n| run.session.known(&did(n)).and_then(|m| m.parent);
    assert_eq!((parent(&run, 5), parent(&run, 6), parent(&run, 1)), (Some(0), Some(2), None));
    run.ok(&leave(0), at(0));
    assert_eq!(run.session.members().map(|m| m.ordinal).collect::<Vec<_>>(), [1]);
    let absent = D::ParentAbsent { did: did(5), parent: did(0) };
    assert_eq!(run.denied(&C::join(did(5)), at(0)), absent);
    assert_eq!(run.denied(&child(1, 5), at(0)), D::ParentIsFixed { did: did(5) });
    assert_eq!(run.denied(&child(1, 0), at(0)), D::ParentIsFixed { did: did(0) });
    run.ok(&C::join(did(0)), at(0));
    run.ok(&C::join(did(5)), at(0));
    run.ok(&child(5, 6), at(0));
    assert_eq!(parent(&run, 5), Some(0), "a child cannot shed its parent by leaving");
    run.ok(&evict(0), at(0));
    let reason = |n| match run.session.known(&did(n)).map(|m| m.standing) {
        Some(Standing::Evicted { reason }) => Some(reason),
        _ => None,
    };
    assert_eq!(reason(0), Some(Eviction::Breach));
    assert_eq!((reason(5), reason(6)), (Some(Eviction::ParentEvicted), Some(Eviction::ParentEvicted)));
    assert_eq!(run.session.state(), S::Active);
}

fn command() -> impl Strategy<Value = C> {
    let who = 0u32..6;
    let needs = prop::sample::select(vec![ConsistencyMode::Strong, ConsistencyMode::Eventual]);
    let reason = prop::sample::select(vec![Eviction::Killed, Eviction::Operator, Eviction::Drift]);
    prop_oneof![
        1 => Just(create(SessionConfig::default())),
        8 => (who.clone(), needs.clone()).prop_map(|(n, needs)| C::Join { did: did(n), needs }),
        4 => (who.clone(), who.clone(), needs).prop_map(|(p, c, needs)| C::AddChild { parent: did(p), child: did(c), needs }),
        3 => Just(C::Activate),
        6 => who.clone().prop_map(leave),
        3 => (who.clone(), reason).prop_map(|(n, reason)| C::Evict { did: did(n), reason }),
        2 => who.prop_map(|n| C::Readmit { did: did(n) }),
        1 => Just(C::Terminate),
        1 => Just(C::Archive),
        1 => Just(C::ForceStrong),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("HV_DEEP").is_some() { 20_000 } else { 300 }))]

    /// Replaying any prefix of what happened, and the compacted events of any state, gives that state.
    #[test]
    fn s4_any_prefix_replays_to_the_live_state(commands in prop::collection::vec((command(), 0u64..4000), 0..60)) {
        let config = SessionConfig::default().with_max_participants(4).unwrap();
        let mut run = Run::handshaking(config, 0);
        let mut time = 0;
        for (command, step) in commands {
            time += step / 40;
            if run.run(&command, at(time)).is_ok() {
                prop_assert_eq!(&replay(&run.log).unwrap(), &run.session);
                prop_assert_eq!(&replay(&run.session.compact()).unwrap(), &run.session);
            }
            prop_assert!(run.session.present() <= 4);
        }
        let whole = run.log.clone();
        let mut prefix = Session::default();
        for (n, event) in whole.iter().enumerate() {
            prefix.apply(event).unwrap();
            prop_assert_eq!(&replay(&whole[..=n]).unwrap(), &prefix);
        }
    }
}

/// Failure 14, for the lifecycle: nothing follows the end.
#[test]
fn s3_an_archived_session_takes_no_event() {
    let over = in_state(S::Archived).session;
    let events = [
        SessionEvent::Moved { to: S::Active },
        SessionEvent::Joined { did: did(9), parent: None },
        SessionEvent::Rejoined { member: 1 },
        SessionEvent::Left { member: 0 },
        SessionEvent::Evicted { member: 0, reason: Eviction::Killed },
        SessionEvent::Readmitted { member: 2 },
        SessionEvent::StrongForced,
        SessionEvent::Complete,
    ];
    for event in events {
        let mut session = over.clone();
        assert!(session.apply(&event).is_err(), "{event:?}");
        assert_eq!(session, over);
    }
}
