//! L15: whose fault a failure is.

use crate::twin::config;
use hv_liability::{
    Attribution, CausalGraph, CausalStep, Method, Part, SHAPLEY_AGENTS_MAX, Unattributable, attribute,
};
use hv_types::{Did, Share, WHOLE};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn agent(no: usize) -> Did {
    Did::new(&format!("did:mesh:n{no:02}")).unwrap()
}

/// Steps as (agent, part, after); the last one failed.
fn graph(steps: &[(usize, Part, &[u32])]) -> CausalGraph {
    let step = |&(no, part, after): &(usize, Part, &[u32])| CausalStep {
        agent: agent(no),
        part,
        after: after.to_vec(),
    };
    CausalGraph { steps: steps.iter().map(step).collect(), failed: u32::try_from(steps.len()).unwrap() - 1 }
}

fn shares(attribution: &Attribution) -> Vec<(usize, u32)> {
    let number = |did: &Did| did.as_str().trim_start_matches("did:mesh:n").parse().unwrap();
    attribution.shares.iter().map(|(did, share)| (number(did), share.ppm())).collect()
}

use Part::{Cause, PassedOn, Sound};

#[test]
fn l15_faults_are_divided_as_they_should() {
    for (says, steps, divided) in [
        ("alone", &[(0, Cause, &[][..])][..], &[(0, 1_000_000)][..]),
        ("a bystander", &[(0, Cause, &[]), (1, Sound, &[0])], &[(0, 1_000_000)]),
        ("not on the way", &[(0, Cause, &[]), (1, Cause, &[]), (2, Sound, &[0])], &[(0, 1_000_000)]),
        ("one who passed on", &[(0, Cause, &[]), (1, PassedOn, &[0])], &[(0, 500_000), (1, 500_000)]),
        ("either is enough", &[(0, Cause, &[]), (1, Cause, &[0])], &[(0, 500_000), (1, 500_000)]),
        (
            "two who passed on",
            &[(0, Cause, &[]), (1, PassedOn, &[0]), (2, PassedOn, &[1])],
            &[(0, 333_334), (1, 333_333), (2, 333_333)],
        ),
        // The one behind both ways has twice the part of each of them: 4/6, 1/6, 1/6.
        (
            "two ways round",
            &[(0, Cause, &[]), (1, PassedOn, &[0]), (2, PassedOn, &[0]), (3, Sound, &[1, 2])],
            &[(0, 666_667), (1, 166_667), (2, 166_666)],
        ),
        // A cause that does not need the reviewer takes most of the fault from it.
        (
            "a way without the reviewer",
            &[(0, Cause, &[]), (1, PassedOn, &[0]), (2, Cause, &[]), (3, Sound, &[1, 2])],
            &[(0, 166_667), (1, 166_667), (2, 666_666)],
        ),
        (
            "twice the same agent",
            &[(0, Cause, &[]), (0, PassedOn, &[0]), (0, Cause, &[1])],
            &[(0, 1_000_000)],
        ),
        ("passing on what is sound", &[(0, PassedOn, &[]), (1, Cause, &[0])], &[(1, 1_000_000)]),
        ("a loop", &[(0, Cause, &[1]), (1, PassedOn, &[0, 1])], &[(0, 500_000), (1, 500_000)]),
    ] {
        let attribution = attribute(&graph(steps), Share::ONE).unwrap();
        assert_eq!(attribution.method, Method::Shapley, "{says}");
        assert_eq!(shares(&attribution), divided, "{says}");
    }
}

#[test]
fn l15_beyond_ten_agents_the_direct_causes_share_and_it_says_so() {
    for agents in [SHAPLEY_AGENTS_MAX, SHAPLEY_AGENTS_MAX + 1] {
        // Two causes, and all others passed on.
        let after: Vec<Vec<u32>> = (0..agents).map(|no| (0..u32::try_from(no).unwrap()).collect()).collect();
        let steps: Vec<(usize, Part, &[u32])> = (0..agents)
            .map(|no| (no, if no == 0 || no == 3 { Cause } else { PassedOn }, after[no].as_slice()))
            .collect();
        let attribution = attribute(&graph(&steps), Share::ONE).unwrap();
        let sum: u32 = shares(&attribution).iter().map(|share| share.1).sum();
        assert_eq!(sum, WHOLE);
        if agents == SHAPLEY_AGENTS_MAX {
            assert_eq!(attribution.method, Method::Shapley);
            assert!(attribution.shares.len() > 2);
        } else {
            assert_eq!(attribution.method, Method::DirectCauses);
            assert_eq!(shares(&attribution), [(0, 500_000), (3, 500_000)]);
        }
    }
}

#[test]
fn what_cannot_be_attributed_is_said() {
    for (steps, why) in [
        (&[(0, Sound, &[][..])][..], Unattributable::NoCause),
        (&[(0, Cause, &[]), (1, Sound, &[])], Unattributable::NoCause),
        (&[(0, Cause, &[2]), (1, Sound, &[0])], Unattributable::NoSuchStep { step: 2, steps: 2 }),
    ] {
        assert_eq!(attribute(&graph(steps), Share::ONE), Err(why));
    }
    let none = CausalGraph { steps: Vec::new(), failed: 0 };
    assert_eq!(attribute(&none, Share::ONE), Err(Unattributable::NoSuchStep { step: 0, steps: 0 }));
}

/// Some steps of six agents at most, each after some of those before it.
fn graphs() -> impl Strategy<Value = CausalGraph> {
    let part = prop::sample::select(vec![Cause, PassedOn, PassedOn, Sound]);
    let step = (0usize..5, part, prop::collection::vec(any::<prop::sample::Index>(), 0..3));
    prop::collection::vec(step, 1..7).prop_map(|steps| {
        let made = steps.iter().enumerate().map(|(at, (no, part, after))| {
            let after = after.iter().filter(|_| at > 0).map(|index| index.index(at) as u32).collect();
            CausalStep { agent: agent(*no), part: *part, after }
        });
        CausalGraph { steps: made.collect(), failed: steps.len() as u32 - 1 }
    })
}

/// Whether the failure comes about when only these agents misbehave: the definition, by recursion.
fn fails(graph: &CausalGraph, at: u32, misbehaving: &BTreeSet<&Did>) -> bool {
    let step = &graph.steps[at as usize];
    let misbehaves = misbehaving.contains(&step.agent);
    let upstream = || step.after.iter().any(|&before| fails(graph, before, misbehaving));
    match step.part {
        Cause => misbehaves || upstream(),
        PassedOn => misbehaves && upstream(),
        Sound => upstream(),
    }
}

/// In how many orders of arrival each agent is the one that brings the failure about: the definition.
fn pivots<'a>(
    graph: &'a CausalGraph,
    arrived: &mut Vec<&'a Did>,
    all: &[&'a Did],
    counts: &mut BTreeMap<&'a Did, u64>,
) {
    if arrived.len() == all.len() {
        let mut present = BTreeSet::new();
        for &next in arrived.iter() {
            present.insert(next);
            if fails(graph, graph.failed, &present) {
                *counts.entry(next).or_default() += 1;
                return;
            }
        }
    }
    for &next in all {
        if !arrived.contains(&next) {
            arrived.push(next);
            pivots(graph, arrived, all, counts);
            arrived.pop();
        }
    }
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn l15_shares_are_those_of_the_definition_and_sum_to_the_fault(graph in graphs(), fault in 0..=WHOLE) {
        let fault_share = Share::from_ppm(fault).unwrap();
        let agents: BTreeSet<&Did> = graph.steps.iter().map(|step| &step.agent).collect();
        let agents: Vec<&Did> = agents.into_iter().collect();
        let mut counts = BTreeMap::new();
        pivots(&graph, &mut Vec::new(), &agents, &mut counts);
        match attribute(&graph, fault_share) {
            Err(why) => {
                prop_assert_eq!(why, Unattributable::NoCause);
                prop_assert!(counts.is_empty());
            }
            Ok(attribution) => {
                let sum: u32 = attribution.shares.iter().map(|(_, share)| share.ppm()).sum();
                prop_assert_eq!(sum, fault);
                let orders: u64 = (1..=agents.len() as u64).product();
                for agent in agents {
                    let share = attribution.shares.iter().find(|(did, _)| did == agent);
                    let share = share.map_or(0, |(_, share)| u64::from(share.ppm()));
                    let exact = counts.get(agent).copied().unwrap_or(0) * u64::from(fault);
                    // Within one part per million of the exact share, and nothing for a bystander.
                    prop_assert!(share * orders <= exact + orders && exact <= (share + 1) * orders);
                    prop_assert!(exact > 0 || share == 0);
                }
            }
        }
    }
}
