//! The whole hypervisor under a seeded simulation: agents, sessions, sagas, files, faults, crashes and a clock
//! that jumps, on a disk that loses and tears. Every invariant that can be read off the trail is held against
//! every record; then the faults end, and everything must drain.
//!
//! There is no runtime in here: the simulation is its own event loop, and one seed is one history, to the byte.

#[path = "../../../crates/hv-audit/tests/it/sim.rs"]
#[allow(dead_code, reason = "the disk is shared with the log's own tests")]
mod disk;

mod shadow;
mod world;

use disk::{Dice, Image};
use hv_core::audit::{Verdict, verify_on};
use std::collections::BTreeMap;
use std::path::Path;
use world::World;

/// How many seeds are tried.
fn seeds() -> u64 {
    if std::env::var_os("HV_DEEP").is_some() { 10_000 } else { 200 }
}

/// One history: first with faults, then without until everything is over. Gives what the disk holds then.
fn history(seed: u64) -> (Image, BTreeMap<&'static str, u32>) {
    let mut world = World::new(seed);
    world.safety(120);
    world.liveness();
    let (disk, happened) = world.end();
    let report = verify_on(&disk, Path::new(world::DIR), &mut |_| {}).unwrap();
    assert_eq!(report.verdict, Verdict::Complete, "seed {seed}: {report}");
    (disk.image(), happened)
}

#[test]
fn every_invariant_holds_in_every_history() {
    let mut happened: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..seeds() {
        for (what, times) in history(seed).1 {
            *happened.entry(what).or_default() += times;
        }
    }
    println!("{happened:?}");
    // A simulation in which nothing happens finds nothing.
    for what in [
        "completed",
        "compensated",
        "escalated",
        "slashed",
        "denied",
        "crashed",
        "acted",
        "killed",
        "resumed",
        "the only one in doubt",
        "several in doubt",
    ] {
        let times = happened.get(what).copied().unwrap_or(0);
        assert!(u64::from(times) >= seeds() / 10, "{what}: {happened:?}");
    }
}

/// Whoever opens a node compares it with what all of its trail makes; here, only that this happens around every crash.
#[test]
fn s4_a_node_opened_from_a_snapshot_is_the_one_that_its_trail_makes() {
    let mut resumed = 0;
    for seed in 1_000_000..1_000_000 + seeds() / 5 {
        resumed += history(seed).1["resumed"];
    }
    assert!(u64::from(resumed) >= seeds() / 40, "{resumed}");
}

#[test]
fn one_seed_is_one_history_to_the_byte() {
    for seed in 0..seeds() / 20 {
        assert!(history(seed) == history(seed), "seed {seed} gave two histories");
    }
}

#[test]
fn a1_a_changed_byte_in_any_history_is_found() {
    for seed in 0..seeds() / 10 {
        let mut image = history(seed).0;
        let mut dice = Dice(seed);
        let files = image.len();
        let bytes = image.values_mut().nth(dice.index(files)).unwrap();
        if bytes.is_empty() {
            continue;
        }
        let at = dice.index(bytes.len());
        bytes[at] ^= 1 << dice.below(8);
        let changed = disk::SimDisk::from_image(&image);
        let verdict = verify_on(&changed, Path::new(world::DIR), &mut |_| {}).map(|report| report.verdict);
        assert!(!matches!(verdict, Ok(Verdict::Complete)), "seed {seed}, byte {at}: {verdict:?}");
    }
}

/// The reader itself, held against trails that no honest node writes.
mod forged {
    use super::shadow::Shadow;
    use hv_core::TrailEvent;
    use hv_core::audit::{Lsn, StreamNo};
    use hv_core::event::SessionEvent;
    use hv_core::saga::{Plan, Purpose, SagaEvent, StepDef, Task};
    use hv_core::types::{ActionId, Did, Ring, SagaId, Sigma, StepId, Timestamp};
    use std::sync::Arc;

    const STREAM: StreamNo = StreamNo(2);
    const AT: Timestamp = Timestamp(1_000_000);

    fn take(shadow: &mut Shadow, lsn: u64, events: Vec<SessionEvent>) {
        let events = events.into_iter().map(|event| TrailEvent::Session(Box::new(event))).collect();
        shadow.take(Lsn(lsn), AT, STREAM, events);
    }

    fn saga(event: SagaEvent) -> SessionEvent {
        SessionEvent::Saga { saga: 0, event }
    }

    /// A saga of one step that is about to start, by an agent of whom nothing is known.
    fn begun() -> Shadow {
        let step = StepDef::new(
            StepId::new("t").unwrap(),
            ActionId::new("draft").unwrap(),
            Did::new("did:mesh:a").unwrap(),
            Task::closure("act"),
        );
        let Plan { steps, seed, limits, pace, growth } = Plan::new(vec![Arc::new(step)]);
        let mut shadow = Shadow::default();
        let opened = SessionEvent::SagaOpened { id: SagaId::new("g").unwrap(), unproven: vec![] };
        let created = saga(SagaEvent::Created { seed, limits, pace, at: AT });
        take(&mut shadow, 1, vec![opened, created, saga(SagaEvent::Appended { steps, growth })]);
        shadow
    }

    fn started() -> SessionEvent {
        let at = hv_core::saga::Micros(0);
        saga(SagaEvent::Started { step: 0, purpose: Purpose::Execute, number: 1, at })
    }

    fn granted(ring: Ring, sigma: u64) -> SessionEvent {
        SessionEvent::Granted { deadline: AT, ring, sigma: Sigma::capped(sigma) }
    }

    #[test]
    fn an_honest_start_is_taken() {
        take(&mut begun(), 2, vec![started(), granted(Ring::Sandbox, 500_000)]);
    }

    #[test]
    #[should_panic(expected = "C1")]
    fn a_start_without_a_grant_is_found() {
        take(&mut begun(), 2, vec![started()]);
    }

    #[test]
    #[should_panic(expected = "R2")]
    fn a_ring_above_the_score_is_found() {
        take(&mut begun(), 2, vec![started(), granted(Ring::Standard, 500_000)]);
    }

    #[test]
    #[should_panic(expected = "R4")]
    fn a_score_that_the_ledger_does_not_have_is_found() {
        take(&mut begun(), 2, vec![started(), granted(Ring::Standard, 900_000)]);
    }
}
