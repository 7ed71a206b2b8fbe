//! What is known of undos never rises without proof.

use crate::simulation::Dice;
use hv_saga::reversibility::{CannotRehearse, Known, PAIRS, Registry, rehearsal};
use hv_saga::{
    Class, CommandTask, Failure, Growth, Plan, ProbeAnswer, Purpose, Reason, Report, Saga, SagaCommand,
    SagaState, StepDef, Task, Verdict,
};
use hv_types::{ActionId, Did, Machine, StepId, Timestamp};
use std::sync::Arc;

fn program(name: &str) -> Task {
    Task::from(CommandTask { argv: vec![name.to_owned()], ..CommandTask::default() })
}

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

fn action(name: &str) -> ActionId {
    ActionId::new(name).unwrap()
}

/// A step of this agent and action; steps with the same variant do and undo the same.
fn step(agent: &str, act: &str, variant: usize) -> StepDef {
    let task = |what: &str| program(&format!("{what}-{act}-{variant}"));
    let def = StepDef::new(StepId::new("s").unwrap(), action(act), did(agent), task("do"));
    def.with_undo(task("undo")).with_probe(task("probe"))
}

/// What is wrong with what is rehearsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// The undo says that it failed.
    UndoFails,
    /// The undo says that it worked, and did not.
    UndoLies,
    /// The probe never sees anything.
    Blind,
    /// The probe sees what is not there.
    SeesGhosts,
    /// The execution fails.
    DoesNotWork,
}

const FLAWS: [Flaw; 6] =
    [Flaw::None, Flaw::UndoFails, Flaw::UndoLies, Flaw::Blind, Flaw::SeesGhosts, Flaw::DoesNotWork];

/// Carries out a rehearsal and tells the registry every event, as whoever governs does.
fn carry_out(registry: &mut Registry, steps: Vec<Arc<StepDef>>, flaw: Flaw) -> Saga {
    let mut saga = Saga::default();
    let mut there = vec![false; steps.len()];
    let mut command = SagaCommand::begin(Plan { growth: Growth::Open, ..Plan::new(steps) });
    let mut cancelled = false;
    loop {
        for event in saga.decide(&command, Timestamp(0)).unwrap() {
            saga.apply(&event).unwrap();
            registry.observe(&saga, &event);
        }
        let Some(at) = saga.running().next() else {
            if cancelled || saga.state().is_terminal() {
                break;
            }
            (cancelled, command) = (true, SagaCommand::Cancel);
            continue;
        };
        let (def, _) = saga.step(at.step).unwrap();
        let seen = |there: bool| flaw == Flaw::SeesGhosts || there && flaw != Flaw::Blind;
        let no = || Verdict::Failed(Failure::new(Class::Permanent, Reason::Exit { code: 1 }));
        let verdict = match (at.purpose, def.has_effect()) {
            (Purpose::Execute, true) if flaw == Flaw::DoesNotWork => no(),
            (Purpose::Execute, true) => {
                there[at.step as usize] = true;
                Verdict::Done
            }
            (Purpose::Execute, false) if seen(there[def.after[0] as usize]) => Verdict::Done,
            (Purpose::Execute, false) => no(),
            (Purpose::Undo, _) if flaw == Flaw::UndoFails => no(),
            (Purpose::Undo, _) => {
                there[at.step as usize] = flaw == Flaw::UndoLies;
                Verdict::Done
            }
            (Purpose::Probe, _) if seen(there[at.step as usize]) => Verdict::Answer(ProbeAnswer::Present),
            (Purpose::Probe, _) => Verdict::Answer(ProbeAnswer::Absent),
        };
        command = Report::of(at, verdict).into();
    }
    saga
}

/// Rehearses one step; gives how much that proves.
fn rehearse(registry: &mut Registry, def: &StepDef, flaw: Flaw) -> usize {
    let steps = rehearsal(&[Arc::new(def.clone())], &[0]).unwrap();
    let saga = carry_out(registry, steps, flaw);
    registry.rehearsed(&saga)
}

/// A saga outside of any rehearsal whose undo fails for good.
fn undo_fails(registry: &mut Registry, def: &StepDef) {
    let saga = carry_out(registry, vec![Arc::new(def.clone())], Flaw::UndoFails);
    assert_eq!(saga.state(), SagaState::Escalated);
}

#[test]
fn only_a_rehearsal_that_came_and_went_before_a_seeing_probe_proves() {
    for flaw in FLAWS {
        let (mut registry, def) = (Registry::default(), step("a", "tag", 0));
        registry.demand(&def.action);
        assert_eq!(registry.known(&def, &did("a")), Known::Unrehearsed);
        let proven = rehearse(&mut registry, &def, flaw);
        assert_eq!(proven, usize::from(flaw == Flaw::None), "{flaw:?}");
        let known = match flaw {
            Flaw::None => Known::Rehearsed,
            // What is still seen after the undo is an undo that does not work.
            Flaw::UndoFails | Flaw::UndoLies | Flaw::SeesGhosts => Known::Failed,
            Flaw::Blind | Flaw::DoesNotWork => Known::Unrehearsed,
        };
        assert_eq!(registry.known(&def, &did("a")), known, "{flaw:?}");
    }
}

#[test]
fn what_is_known_without_a_registry_is_what_the_step_declares() {
    let registry = Registry::default();
    let probed = step("a", "tag", 0);
    assert_eq!(registry.known(&probed, &did("a")), Known::Probed);
    let declared = StepDef { probe: None, ..probed.clone() };
    assert_eq!(registry.known(&declared, &did("a")), Known::Declared);
    assert_eq!(registry.known(&StepDef { undo: None, ..probed }, &did("a")), Known::Absent);
}

#[test]
fn a_rehearsal_is_of_one_pair_of_one_agent() {
    let (mut registry, def) = (Registry::default(), step("a", "tag", 0));
    registry.demand(&def.action);
    rehearse(&mut registry, &def, Flaw::None);
    assert_eq!(registry.known(&def, &did("a")), Known::Rehearsed);
    assert_eq!(registry.known(&def, &did("b")), Known::Unrehearsed, "another agent");
    assert_eq!(registry.known(&step("a", "tag", 1), &did("a")), Known::Unrehearsed, "another pair");
    let undo = Some(Arc::new(program("true")));
    assert_eq!(
        registry.known(&StepDef { undo, ..def.clone() }, &did("a")),
        Known::Unrehearsed,
        "another undo"
    );
    let unprobed = StepDef { probe: None, ..def };
    assert_eq!(registry.known(&unprobed, &did("a")), Known::Rehearsed, "it was seen once to work");
}

#[test]
fn an_undo_that_failed_takes_every_proof_of_its_action_with_it() {
    let mut registry = Registry::default();
    let (mine, other) = (step("a", "tag", 0), step("b", "tag", 1));
    rehearse(&mut registry, &mine, Flaw::None);
    undo_fails(&mut registry, &other);
    assert_eq!(registry.known(&mine, &did("a")), Known::Failed);
    assert_eq!(registry.known(&other, &did("b")), Known::Failed);
    assert_eq!(registry.known(&step("a", "push", 0), &did("a")), Known::Probed, "another action");
    let failed = registry.failed(&mine.action).unwrap();
    assert_eq!((&failed.agent, failed.step.as_str()), (&did("b"), "s"));
    // One that shows that it works counts again; that of the other does not by that.
    rehearse(&mut registry, &mine, Flaw::None);
    assert_eq!(registry.known(&mine, &did("a")), Known::Rehearsed);
    assert_eq!(registry.known(&other, &did("b")), Known::Failed);
    assert!(registry.restore(&mine.action));
    assert!(!registry.restore(&mine.action));
    assert_eq!(registry.known(&other, &did("b")), Known::Probed);
}

#[test]
fn the_memory_of_rehearsals_is_bounded_and_forgets_to_the_strict_side() {
    let mut registry = Registry::default();
    registry.demand(&action("tag"));
    for variant in 0..PAIRS + 3 {
        rehearse(&mut registry, &step("a", "tag", variant), Flaw::None);
    }
    let known = |variant| registry.known(&step("a", "tag", variant), &did("a"));
    assert!((0..3).all(|variant| known(variant) == Known::Unrehearsed));
    assert!((3..PAIRS + 3).all(|variant| known(variant) == Known::Rehearsed));
}

#[test]
fn a_rehearsal_holds_what_is_chosen_and_what_it_waits_for() {
    let named = |name: &str, after: Vec<u32>| {
        Arc::new(StepDef { id: StepId::new(name).unwrap(), after, ..step("a", "tag", 0) })
    };
    let steps = [named("one", vec![]), named("two", vec![]), named("three", vec![0]), named("four", vec![2])];
    let told = |chosen: &[u32]| -> Vec<(String, Vec<u32>)> {
        let made = rehearsal(&steps, chosen).unwrap();
        made.iter().map(|def| (def.id.to_string(), def.after.clone())).collect()
    };
    let list = |list: &[(&str, &[u32])]| -> Vec<(String, Vec<u32>)> {
        list.iter().map(|(name, after)| ((*name).to_owned(), after.to_vec())).collect()
    };
    assert_eq!(told(&[]), []);
    assert_eq!(told(&[2]), list(&[("one", &[]), ("three", &[0]), ("three.look", &[1])]));
    assert_eq!(
        told(&[0, 2]),
        list(&[("one", &[]), ("one.look", &[0]), ("three", &[1]), ("three.look", &[2])])
    );
    let with = |change: fn(&mut StepDef)| {
        let mut steps = steps.to_vec();
        change(Arc::make_mut(&mut steps[0]));
        rehearsal(&steps, &[2])
    };
    let one = || StepId::new("one").unwrap();
    assert_eq!(with(|def| def.undo = None), Err(CannotRehearse::NoUndo { step: one() }));
    let first = |change: fn(&mut StepDef)| {
        let mut def = (*steps[0]).clone();
        change(&mut def);
        rehearsal(&[Arc::new(def)], &[0])
    };
    assert_eq!(first(|def| def.probe = None), Err(CannotRehearse::NoProbe { step: one() }));
    let function = |def: &mut StepDef| def.probe = Some(Arc::new(Task::closure("f")));
    assert_eq!(first(function), Err(CannotRehearse::NoProbe { step: one() }));
}

/// INVARIANT (R1), beside a list of everything that happened: what is known is what the list says, and it rises by proof alone.
#[test]
fn r1_what_is_known_of_an_undo_never_rises_without_proof() {
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Happened {
        Demanded(usize),
        Failed(usize),
        /// Agent, action, variant.
        Proven(usize, usize, usize),
        Restored(usize),
    }
    let (agents, acts) = (["a", "b"], ["tag", "push"]);
    let (mut rises, mut falls) = (0, 0);
    for seed in 0..200 {
        let (mut dice, mut registry, mut list) = (Dice(seed), Registry::default(), Vec::new());
        for _ in 0..30 {
            let (agent, act, variant) = (dice.roll(2), dice.roll(2), dice.roll(2));
            let def = step(agents[agent], acts[act], variant);
            let before = registry.clone();
            match dice.roll(5) {
                0 => {
                    registry.demand(&def.action);
                    list.push(Happened::Demanded(act));
                }
                1 => {
                    undo_fails(&mut registry, &def);
                    list.push(Happened::Failed(act));
                }
                2 => {
                    registry.restore(&def.action);
                    list.push(Happened::Restored(act));
                }
                _ => {
                    let flaw = dice.pick(&FLAWS);
                    rehearse(&mut registry, &def, flaw);
                    match flaw {
                        Flaw::None => list.push(Happened::Proven(agent, act, variant)),
                        Flaw::UndoFails | Flaw::UndoLies | Flaw::SeesGhosts => {
                            list.push(Happened::Failed(act))
                        }
                        Flaw::Blind | Flaw::DoesNotWork => {}
                    }
                }
            }
            for (agent, act, variant) in (0..8).map(|n| (n & 1, n >> 1 & 1, n >> 2)) {
                let last = |is: &dyn Fn(&Happened) -> bool| list.iter().rposition(is);
                let failed = last(&|h| *h == Happened::Failed(act));
                let proven = last(&|h| *h == Happened::Proven(agent, act, variant));
                let expected = if proven.is_some() && proven > failed {
                    Known::Rehearsed
                } else if failed.is_some() && failed > last(&|h| *h == Happened::Restored(act)) {
                    Known::Failed
                } else if last(&|h| *h == Happened::Demanded(act)).is_some() {
                    Known::Unrehearsed
                } else {
                    Known::Probed
                };
                let (def, who) = (step(agents[agent], acts[act], variant), did(agents[agent]));
                let known = registry.known(&def, &who);
                assert_eq!(known, expected, "{seed}: {list:?}");
                if known > before.known(&def, &who) {
                    rises += 1;
                    let proof = matches!(
                        list.last(),
                        Some(Happened::Restored(of) | Happened::Proven(_, of, _)) if *of == act
                    );
                    assert!(proof, "{seed}: {list:?}");
                }
                falls += usize::from(known < before.known(&def, &who));
            }
        }
    }
    assert!(rises > 100 && falls > 100, "{rises} {falls}");
}
