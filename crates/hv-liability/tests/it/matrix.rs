//! The liability matrix, from both ends.

use crate::model::{NEVER, SECOND, UNBONDING};
use crate::twin::{Twin, config, did, ops, sigma};
use hv_liability::{AgentNo, BondState, Cause, Exposure, SessionNo};
use proptest::prelude::*;

/// Ada → Bob → Cy, Ada → Cy, in session 0; Dee → Cy in session 1.
fn twin() -> Twin {
    let mut twin = Twin::new(&[900_000, 600_000, 100_000, 800_000]);
    for (session, ends, amount) in
        [(0, (0, 1), 200_000), (0, (1, 2), 300_000), (0, (0, 2), 100_000), (1, (3, 2), 50_000)]
    {
        twin.vouch(session, ends, amount, NEVER).unwrap();
    }
    twin
}

#[test]
fn it_answers_both_ways() {
    let twin = twin();
    let matrix = twin.ledger.matrix(twin.now());
    let ends = |bonds: Vec<hv_liability::Bond>| -> Vec<(u32, u32, u32)> {
        bonds.iter().map(|bond| (bond.session.0, bond.voucher.0, bond.vouchee.0)).collect()
    };
    assert_eq!(ends(matrix.vouchers_of(&did(2))), [(0, 0, 2), (0, 1, 2), (1, 3, 2)]);
    assert_eq!(ends(matrix.vouched_by(&did(0))), [(0, 0, 1), (0, 0, 2)]);
    assert_eq!(ends(matrix.in_session(SessionNo(1))), [(1, 3, 2)]);
    assert_eq!(ends(matrix.in_session(SessionNo(5))), []);
    assert_eq!(matrix.bonds().len(), 4);
    assert_eq!(ends(matrix.vouchers_of(&did(6))), []);
    let exposure = Exposure {
        reputation: sigma(900_000),
        bonded: sigma(300_000),
        limit: sigma(720_000),
        left: sigma(420_000),
    };
    assert_eq!(matrix.exposure(&did(0)), Some(exposure));
    assert_eq!(matrix.exposure(&did(6)), None);
    assert_eq!(matrix.path(&did(0), &did(2)), Some(vec![did(0), did(2)]));
    assert_eq!(matrix.path(&did(2), &did(0)), None);
    assert_eq!(matrix.path(&did(2), &did(2)), Some(vec![did(2)]));
    assert!(matrix.cycles().is_empty());
}

#[test]
fn it_says_what_a_slash_would_cost_whom_and_how_it_gets_there() {
    let twin = twin();
    let matrix = twin.ledger.matrix(twin.now());
    let toll = matrix.cost_of(&did(2), SessionNo(0)).unwrap();
    let losses: Vec<(u32, u32)> = toll.losses.iter().map(|loss| (loss.agent.0, loss.amount.ppm())).collect();
    // 0.95 of Bob's 0.3 leaves him 0.315, so he falls, and Ada loses 0.475 of 0.2 besides 0.95 of 0.1.
    assert_eq!(losses, [(0, 190_000), (1, 285_000), (2, 100_000)]);
    assert_eq!(toll.fallen, [AgentNo(1)]);
    assert_eq!(toll.cuts.iter().filter(|cut| cut.cause == Cause::Backed { depth: 1 }).count(), 1);
    let paths = [vec![did(2), did(0)], vec![did(2), did(1), did(0)]];
    assert_eq!(matrix.cascade_paths(&did(2), SessionNo(0), 10), paths);
    assert_eq!(matrix.cascade_paths(&did(2), SessionNo(0), 1), paths[..1]);
    assert_eq!(matrix.cascade_paths(&did(2), SessionNo(1), 10), [vec![did(2), did(3)]]);
    assert_eq!(matrix.cascade_paths(&did(0), SessionNo(0), 10), Vec::<Vec<_>>::new());
    assert_eq!(matrix.cost_of(&did(6), SessionNo(0)), None);
    // Asking costs nothing.
    assert_eq!(twin.ledger.totals().burned, 0);
}

#[test]
fn it_draws() {
    let mut twin = twin();
    twin.release(3).unwrap();
    let mut dot = String::new();
    twin.ledger.matrix(twin.now()).write_dot(None, |session| session, &mut dot).unwrap();
    let expected = "\
digraph liability {
  rankdir=LR;
  node [shape=box];
  n0 [label=\"did:mesh:ada\\nρ 0.90, bonded 0.30\"];
  n1 [label=\"did:mesh:bob\\nρ 0.60, bonded 0.30\"];
  n2 [label=\"did:mesh:cy\\nρ 0.10, bonded 0.00\"];
  n3 [label=\"did:mesh:dee\\nρ 0.80, bonded 0.05\"];
  n0 -> n1 [label=\"0.20 in 0 (bond 0.0)\"];
  n0 -> n2 [label=\"0.10 in 0 (bond 2.0)\"];
  n1 -> n2 [label=\"0.30 in 0 (bond 1.0)\"];
  n3 -> n2 [label=\"0.05 in 1 (bond 3.0)\", style=dashed];
}
";
    assert_eq!(dot, expected);
    let mut one = String::new();
    let name = |session: SessionNo| format!("\"pay\\out\" {session}");
    twin.ledger.matrix(twin.now()).write_dot(Some(SessionNo(1)), name, &mut one).unwrap();
    assert_eq!(one.lines().count(), 7);
    assert!(one.contains("[label=\"0.05 in \\\"pay\\\\out\\\" 1 (bond 3.0)\", style=dashed]"), "{one}");
    let lines = twin.ledger.matrix(twin.now()).to_string();
    assert_eq!(lines.lines().next(), Some("did:mesh:ada → did:mesh:bob: 0.20 in 0, active (bond 0.0)"));
    assert_eq!(lines.lines().count(), 4);
}

#[test]
fn it_shows_what_is_at_its_time_recorded_or_not() {
    let mut twin = Twin::new(&[900_000, 100_000]);
    twin.vouch(0, (0, 1), 1, 10 * SECOND).unwrap();
    let states: Vec<Option<BondState>> =
        [0, 10 * SECOND - 1, 10 * SECOND, 10 * SECOND + UNBONDING - 1, 10 * SECOND + UNBONDING]
            .into_iter()
            .map(|now| {
                twin.ledger
                    .matrix(hv_types::Timestamp(now))
                    .vouchers_of(&did(1))
                    .first()
                    .map(|bond| bond.state)
            })
            .collect();
    let (active, unbonding) = (Some(BondState::Active), Some(BondState::Unbonding));
    assert_eq!(states, [active, active, unbonding, unbonding, None]);
}

proptest! {
    #![proptest_config(config(100))]

    /// Both ends and the whole are the same bonds, and what a slash is said to cost it costs.
    #[test]
    fn both_ends_and_the_whole_agree(history in ops(24)) {
        let mut twin = Twin::new(&[900_000, 700_000, 600_000, 550_000, 510_000]);
        for op in history {
            let _ = twin.run(op);
        }
        let matrix = twin.ledger.matrix(twin.now());
        let all = matrix.bonds();
        let mut given: Vec<_> = twin.ledger.agents().flat_map(|did| matrix.vouched_by(did)).collect();
        let mut received: Vec<_> = twin.ledger.agents().flat_map(|did| matrix.vouchers_of(did)).collect();
        for list in [&mut given, &mut received] {
            list.sort_by_key(|bond| (bond.session, bond.voucher, bond.vouchee, bond.no));
        }
        prop_assert_eq!(&given, &all);
        prop_assert_eq!(&received, &all);
        for bond in &all {
            let path = matrix.path(twin.ledger.did(bond.voucher).unwrap(), twin.ledger.did(bond.vouchee).unwrap());
            prop_assert_eq!(path.unwrap().len(), 2);
        }
        let expected = matrix.cost_of(&did(1), SessionNo(0)).unwrap();
        let offence = crate::model::Offence {
            evidence: 99, agent: 1, session: Some(0), fault: 1_000_000, class: None, risk: None, happened: twin.model.now,
        };
        let events = twin.slash(&offence).unwrap();
        prop_assert_eq!(&Twin::slashed(&events).unwrap().toll, &expected);
    }
}
