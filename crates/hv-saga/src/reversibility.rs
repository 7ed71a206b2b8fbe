//! What a session knows of undos: which were rehearsed, which failed, and which count only once they were rehearsed.
//!
//! It stores and gives; what an undo is worth to a call is decided elsewhere. An undo belongs to the agent whose step
//! it is: nobody's rehearsal speaks for another's.

use crate::definition::StepDef;
use crate::event::{Move, SagaEvent};
use crate::machine::Saga;
use crate::state::{SagaState, StepState};
use crate::task::Task;
use crate::{ActionId, ActionKind, Did, StepId, Timestamp};
use core::fmt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Rehearsed pairs that are remembered of one action; of more, the oldest count as unrehearsed again.
pub const PAIRS: usize = 64;

/// What is known of the undo of a step, at the moment when somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Known {
    /// There is none.
    Absent,
    /// An undo of its action failed in this session, and nothing since has shown that this one works.
    Failed,
    /// The operator asks for a rehearsal, and this one was not rehearsed.
    Unrehearsed,
    /// There is one, and nothing shows that it works.
    Declared,
    /// A probe will say whether it worked.
    Probed,
    /// It was rehearsed: exactly this execution was undone by exactly this undo, and a probe saw it come and go.
    Rehearsed,
}

/// That an undo failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Whose undo it was.
    pub agent: Did,
    /// The step.
    pub step: StepId,
    /// When.
    pub at: Timestamp,
}

/// An execution and what takes it back, as somebody rehearsed them.
#[derive(Debug, Clone)]
struct Pair {
    owner: Did,
    execute: Arc<Task>,
    undo: Arc<Task>,
}

/// What is known of an action beyond what its steps declare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The action.
    pub action: &'a ActionId,
    /// Whether its undo counts only once it was rehearsed.
    pub demanded: bool,
    /// The first undo that failed, as long as nobody has restored the action.
    pub failed: Option<&'a Failed>,
    /// Whose undo was rehearsed since, each once, in order.
    pub rehearsed: BTreeSet<&'a Did>,
}

/// What a session knows of undos. Costs nothing for actions of which there is nothing to know.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    demanded: BTreeSet<ActionId>,
    failed: BTreeMap<ActionId, Failed>,
    rehearsed: BTreeMap<ActionId, Vec<Pair>>,
}

hv_types::wire_struct!(Pair { owner, execute, undo });
hv_types::wire_struct!(Failed { agent, step, at });
hv_types::wire_struct!(Registry { demanded, failed, rehearsed });

impl Registry {
    /// What is known of the undo of a step, as `who` does it. O(log actions + [`PAIRS`]).
    #[must_use]
    pub fn known(&self, step: &StepDef, who: &Did) -> Known {
        let Some(undo) = &step.undo else { return Known::Absent };
        let by_itself = if step.probe.is_some() { Known::Probed } else { Known::Declared };
        if self.is_empty() {
            return by_itself;
        }
        let is = |pair: &Pair| pair.owner == *who && pair.execute == step.execute && pair.undo == *undo;
        if self.rehearsed.get(&step.action).is_some_and(|pairs| pairs.iter().any(is)) {
            Known::Rehearsed
        } else if self.failed.contains_key(&step.action) {
            Known::Failed
        } else if self.demanded.contains(&step.action) {
            Known::Unrehearsed
        } else {
            by_itself
        }
    }

    /// The undo that failed, where that is why an action's undo counts for nothing.
    #[must_use]
    pub fn failed(&self, action: &ActionId) -> Option<&Failed> {
        self.failed.get(action)
    }

    /// From here on an action's undo counts only once it was rehearsed. There is no way back: the strictest wins.
    pub fn demand(&mut self, action: &ActionId) {
        self.demanded.insert(action.clone());
    }

    /// Somebody whose word counts says that an action's undo works again. Gives whether it had failed.
    pub fn restore(&mut self, action: &ActionId) -> bool {
        self.failed.remove(action).is_some()
    }

    /// Takes note of what happened to a saga, behind its own state: an undo that failed for good is one that does not
    /// work, and earlier rehearsals of its action prove nothing any more.
    pub fn observe(&mut self, saga: &Saga, event: &SagaEvent) {
        let SagaEvent::Moved { step, to: Move::UndoFailed { .. }, at } = event else { return };
        let Some((def, _)) = saga.step(*step) else { return };
        if def.undo.is_none() {
            return;
        }
        self.rehearsed.remove(&def.action);
        self.failed.entry(def.action.clone()).or_insert_with(|| Failed {
            agent: saga.agent(*step).unwrap_or(&def.agent).clone(),
            step: def.id.clone(),
            at: at.since(saga.created()),
        });
    }

    /// Takes note of a rehearsal that is over. It proves what it executed, saw and undid, each with a probe that saw it
    /// come and go, where everything in it was undone; otherwise nothing. Gives how much it proved.
    pub fn rehearsed(&mut self, saga: &Saga) -> usize {
        if saga.state() != SagaState::Compensated {
            return 0;
        }
        let mut proven = 0;
        for (ordinal, (def, run)) in (0u32..).zip(saga.steps().iter().zip(saga.runs())) {
            let (Some(undo), StepState::Compensated) = (&def.undo, run.state) else { continue };
            if !was_seen(saga, ordinal, def) {
                continue;
            }
            let owner = saga.agent(ordinal).unwrap_or(&def.agent).clone();
            let pair = Pair { owner, execute: Arc::clone(&def.execute), undo: Arc::clone(undo) };
            let pairs = self.rehearsed.entry(def.action.clone()).or_default();
            let same = |other: &Pair| {
                other.owner == pair.owner && other.execute == pair.execute && other.undo == pair.undo
            };
            pairs.retain(|other| !same(other));
            if pairs.len() >= PAIRS {
                pairs.remove(0);
            }
            pairs.push(pair);
            proven += 1;
        }
        proven
    }

    /// Everything of which something is known, by action.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let actions: BTreeSet<&ActionId> =
            self.demanded.iter().chain(self.failed.keys()).chain(self.rehearsed.keys()).collect();
        actions.into_iter().map(|action| Entry {
            action,
            demanded: self.demanded.contains(action),
            failed: self.failed.get(action),
            rehearsed: self.rehearsed.get(action).into_iter().flatten().map(|pair| &pair.owner).collect(),
        })
    }

    fn is_empty(&self) -> bool {
        self.demanded.is_empty() && self.failed.is_empty() && self.rehearsed.is_empty()
    }
}

/// Whether the step of a rehearsal that looks for what this one did has seen it.
fn was_seen(saga: &Saga, ordinal: u32, def: &StepDef) -> bool {
    let mut steps = saga.steps().iter().zip(saga.runs());
    steps.any(|(look, run)| run.state == StepState::Committed && looks_for(look, ordinal, def))
}

/// Whether a step of a rehearsal does nothing but look for what this one did, with its probe.
fn looks_for(look: &StepDef, ordinal: u32, def: &StepDef) -> bool {
    !look.has_effect() && look.after == [ordinal] && def.probe.as_ref() == Some(&look.execute)
}

/// Whether a step does nothing but look for what another of its saga did, with that one's probe, as those that
/// [`rehearsal`] adds.
#[must_use]
pub fn is_look(saga: &Saga, step: &StepDef) -> bool {
    let [of] = step.after[..] else { return false };
    step.action.as_str() == LOOK && saga.step(of).is_some_and(|(def, _)| looks_for(step, of, def))
}

/// The read-only action by which a rehearsal looks for what it did.
pub const LOOK: &str = "hv.rehearsal.look";

/// Why steps cannot be rehearsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CannotRehearse {
    /// It has an effect and nothing that takes it back.
    NoUndo {
        /// The step.
        step: StepId,
    },
    /// Nothing can see whether its undo worked: it has no probe that is a program or a request.
    NoProbe {
        /// The step.
        step: StepId,
    },
}

impl fmt::Display for CannotRehearse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUndo { step } => {
                write!(f, "step {step} cannot be part of a rehearsal: nothing takes back what it does")
            }
            Self::NoProbe { step } => {
                write!(
                    f,
                    "step {step} cannot be rehearsed: it has no probe that sees whether its undo worked"
                )
            }
        }
    }
}

impl core::error::Error for CannotRehearse {}

/// The steps of a rehearsal: those that are chosen by ordinal and what they wait for, each chosen one followed by one
/// that looks whether its effect is there. Who carries it out executes all of them and then cancels. Empty where
/// nothing is chosen.
///
/// # Errors
/// [`CannotRehearse`] for the first step that has an effect and no undo, or was chosen and has no probe.
pub fn rehearsal(steps: &[Arc<StepDef>], chosen: &[u32]) -> Result<Vec<Arc<StepDef>>, CannotRehearse> {
    let mut wanted: BTreeSet<u32> = chosen.iter().copied().collect();
    let mut open: Vec<u32> = chosen.to_vec();
    while let Some(step) = open.pop() {
        let after = steps.get(step as usize).map_or(&[][..], |def| &def.after);
        open.extend(after.iter().copied().filter(|before| wanted.insert(*before)));
    }
    let mut made: Vec<Arc<StepDef>> = Vec::new();
    // Where whoever waits for a step finds it: behind the look at it.
    let mut places: BTreeMap<u32, u32> = BTreeMap::new();
    for ordinal in wanted {
        let Some(def) = steps.get(ordinal as usize) else { continue };
        if def.has_effect() && def.undo.is_none() {
            return Err(CannotRehearse::NoUndo { step: def.id.clone() });
        }
        let place = |made: &[Arc<StepDef>]| u32::try_from(made.len()).unwrap_or(u32::MAX);
        let own = place(&made);
        let after = def.after.iter().filter_map(|before| places.get(before).copied()).collect();
        made.push(Arc::new(StepDef { after, ..(**def).clone() }));
        places.insert(ordinal, own);
        if !chosen.contains(&ordinal) || !def.has_effect() {
            continue;
        }
        // A function is one for all purposes: to ask it as an execution would be to execute it.
        let Some(probe) = def.probe.as_ref().filter(|probe| !matches!(***probe, Task::Closure { .. })) else {
            return Err(CannotRehearse::NoProbe { step: def.id.clone() });
        };
        places.insert(ordinal, place(&made));
        made.push(Arc::new(look(def, own, probe)));
    }
    Ok(made)
}

fn look(def: &StepDef, ordinal: u32, probe: &Arc<Task>) -> StepDef {
    let name = |id: &str| StepId::new(id).ok();
    let id = name(&format!("{}.look", def.id)).or_else(|| name(&format!("look.{ordinal}")));
    let action = ActionId::new(LOOK).unwrap_or_else(|_| def.action.clone());
    let looks =
        StepDef::new(id.unwrap_or_else(|| def.id.clone()), action, def.agent.clone(), Task::closure(""));
    StepDef {
        kind: ActionKind::ReadOnly,
        after: vec![ordinal],
        execute: Arc::clone(probe),
        timeout: def.timeout,
        ..looks
    }
}
