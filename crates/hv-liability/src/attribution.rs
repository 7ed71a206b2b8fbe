//! Whose fault a failure is.
//!
//! The steps of a saga hand their results on, and with them their faults. A fault that began at one step
//! reaches the failure along a chain of steps; a step that should have noticed it and passed it on shares in
//! it. Whether a set of agents brings the failure about on its own, all others behaving, is then a yes or a
//! no, and the Shapley value divides the fault: L. S. Shapley, A Value for n-Person Games, 1953. It is the
//! only division that gives everything away, gives equals equal shares, gives nothing to who changes nothing,
//! and adds up over independent failures. `INVARIANT (L15)`

use core::fmt;
use hv_types::{Counted, Did, Share};
use std::collections::{BTreeMap, BTreeSet};

/// With more agents at fault than this the exact division takes too long.
pub const SHAPLEY_AGENTS_MAX: usize = 10;

/// What led to a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CausalGraph {
    /// The steps.
    pub steps: Vec<CausalStep>,
    /// The step that failed, by its place in `steps`.
    pub failed: u32,
}

/// A step on the way to a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CausalStep {
    /// Who did it.
    pub agent: Did,
    /// What the step has to do with the failure.
    pub part: Part,
    /// The steps whose results it used, by their places.
    pub after: Vec<u32>,
}

/// What a step has to do with a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// It went wrong by itself.
    Cause,
    /// It should have stopped what went wrong before it, and passed it on.
    PassedOn,
    /// Nothing: it did as it was asked with what it was given.
    Sound,
}

/// Whose fault it is, and how that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribution {
    /// How the fault was divided.
    pub method: Method,
    /// The agents at fault, by name, each with its share; together exactly the fault. Shares that are equal
    /// may differ by one part per million where the fault does not divide evenly.
    pub shares: Vec<(Did, Share)>,
}

/// How a fault is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// By the exact Shapley value.
    Shapley,
    /// Equally among the agents whose steps went wrong by themselves, because more than
    /// [`SHAPLEY_AGENTS_MAX`] agents are involved. Those who passed the fault on have no share.
    DirectCauses,
}

/// Why a fault cannot be attributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unattributable {
    /// A step is named that is not there.
    NoSuchStep {
        /// The place named.
        step: u32,
        /// How many steps there are.
        steps: usize,
    },
    /// No step that went wrong leads to the failure.
    NoCause,
}

impl fmt::Display for Unattributable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchStep { step, steps } => {
                let steps = Counted(*steps, "step");
                write!(f, "there is no step {step} among {steps}, numbered from 0")
            }
            Self::NoCause => {
                f.write_str("no step that went wrong leads to the failed one; mark the one that did")
            }
        }
    }
}

impl core::error::Error for Unattributable {}

/// Divides a fault among the agents that brought a failure about.
///
/// ```
/// use hv_liability::{CausalGraph, CausalStep, Method, Part, attribute};
/// use hv_types::{Did, Share};
///
/// let step = |name, part, after: &[u32]| {
///     CausalStep { agent: Did::new(name).unwrap(), part, after: after.to_vec() }
/// };
/// let graph = CausalGraph {
///     steps: vec![
///         step("did:mesh:planner", Part::Sound, &[]),
///         step("did:mesh:writer", Part::Cause, &[0]),
///         step("did:mesh:reviewer", Part::PassedOn, &[1]),
///         step("did:mesh:publisher", Part::Sound, &[2]),
///     ],
///     failed: 3,
/// };
/// let fault = attribute(&graph, Share::ONE)?;
/// let half = Share::from_ppm(500_000)?;
/// assert_eq!(fault.method, Method::Shapley);
/// let names = ["did:mesh:reviewer", "did:mesh:writer"].map(|name| Did::new(name).unwrap());
/// assert_eq!(fault.shares, names.map(|name| (name, half)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Costs 2ⁿ walks over the graph for n agents at fault, up to [`SHAPLEY_AGENTS_MAX`]; one walk beyond that.
///
/// # Errors
/// [`Unattributable::NoSuchStep`] where the graph names a step that it does not have,
/// [`Unattributable::NoCause`] where no step that went wrong leads to the failed one.
pub fn attribute(graph: &CausalGraph, fault: Share) -> Result<Attribution, Unattributable> {
    let steps = graph.steps.len();
    let mut named = graph.steps.iter().flat_map(|step| &step.after).chain([&graph.failed]);
    if let Some(&step) = named.find(|&&step| step as usize >= steps) {
        return Err(Unattributable::NoSuchStep { step, steps });
    }
    let upstream = walk(graph, |_| true);
    if upstream.causes.is_empty() {
        return Err(Unattributable::NoCause);
    }
    let (method, weights) = if upstream.at_fault.len() > SHAPLEY_AGENTS_MAX {
        (Method::DirectCauses, upstream.causes.into_iter().map(|agent| (agent, 1)).collect())
    } else {
        (Method::Shapley, shapley(graph, &upstream.at_fault))
    };
    Ok(Attribution { method, shares: divide(fault, weights) })
}

/// What lies upstream of the failed step.
struct Upstream<'a> {
    /// The agents of steps that went wrong by themselves.
    causes: BTreeSet<&'a Did>,
    /// These, and the agents of steps that passed a fault on.
    at_fault: BTreeSet<&'a Did>,
}

/// Walks from the failed step back through what it used, where only the steps that `misbehaves` names went as
/// they did, and all others went as they should.
fn walk(graph: &CausalGraph, misbehaves: impl Fn(usize) -> bool) -> Upstream<'_> {
    let mut found = Upstream { causes: BTreeSet::new(), at_fault: BTreeSet::new() };
    let mut seen = vec![false; graph.steps.len()];
    let mut waiting = vec![graph.failed as usize];
    while let Some(at) = waiting.pop() {
        let (Some(step), Some(seen)) = (graph.steps.get(at), seen.get_mut(at)) else { continue };
        if core::mem::replace(seen, true) {
            continue;
        }
        let misbehaves = step.part != Part::Sound && misbehaves(at);
        if misbehaves {
            found.at_fault.insert(&step.agent);
        }
        if misbehaves && step.part == Part::Cause {
            found.causes.insert(&step.agent);
        }
        // One that should have stopped the fault, and behaves, does stop it.
        if misbehaves || step.part != Part::PassedOn {
            waiting.extend(step.after.iter().map(|&step| step as usize));
        }
    }
    found
}

/// Each agent's Shapley value in the game in which a set of agents wins if it brings the failure about, times
/// the factorial of their number.
fn shapley<'a>(graph: &CausalGraph, agents: &BTreeSet<&'a Did>) -> Vec<(&'a Did, u64)> {
    let bit = |agent: &Did| agents.iter().position(|&other| other == agent).map_or(0, |at| 1usize << at);
    let bits: Vec<usize> = graph.steps.iter().map(|step| bit(&step.agent)).collect();
    let sets = 1usize << agents.len();
    let brings_about = |set: usize| {
        let misbehaves = |at: usize| bits.get(at).is_some_and(|bit| set & bit != 0);
        !walk(graph, misbehaves).causes.is_empty()
    };
    let wins: Vec<bool> = (0..sets).map(brings_about).collect();
    let wins = |set: usize| wins.get(set).copied().unwrap_or(false);
    let value = |bit: usize| {
        let without = (0..sets).filter(|set| set & bit == 0);
        // An agent turns as many orders of arrival into a failure as there are orders of those before it and
        // of those after it.
        let pivotal = without.filter(|&set| !wins(set) && wins(set | bit));
        pivotal.map(|set| orders(set.count_ones()) * orders(agents_after(agents.len(), set))).sum()
    };
    agents.iter().enumerate().map(|(at, &agent)| (agent, value(1 << at))).collect()
}

fn agents_after(agents: usize, set: usize) -> u32 {
    u32::try_from(agents).unwrap_or(0).saturating_sub(1 + set.count_ones())
}

/// n!
fn orders(n: u32) -> u64 {
    (1..=u64::from(n)).product()
}

/// Divides a fault by weights so that the shares add up to it: what rounding down leaves over goes to the
/// largest remainders, of equal ones to the first name.
fn divide(fault: Share, weights: Vec<(&Did, u64)>) -> Vec<(Did, Share)> {
    let sum: u64 = weights.iter().map(|(_, weight)| weight).sum();
    let exact = |weight: u64| u64::from(fault.ppm()) * weight;
    let mut parts: BTreeMap<&Did, u64> =
        weights.iter().map(|&(agent, weight)| (agent, exact(weight) / sum.max(1))).collect();
    let mut left = u64::from(fault.ppm()).saturating_sub(parts.values().sum());
    let mut by_remainder = weights;
    by_remainder.sort_by_key(|&(agent, weight)| (core::cmp::Reverse(exact(weight) % sum.max(1)), agent));
    for (agent, _) in by_remainder {
        if left > 0
            && let Some(part) = parts.get_mut(agent)
        {
            *part += 1;
            left -= 1;
        }
    }
    let parts = parts.into_iter().filter(|&(_, part)| part > 0);
    parts.map(|(agent, part)| (agent.clone(), Share::capped(part))).collect()
}
