//! From what a file says to a plan that can be run.

use super::adapters::{BadAdapter, Switch};
use super::fault::{Fault, Kind, Located, UndoProblem};
use super::file::{
    RawAction, RawAgent, RawLimits, RawMode, RawObserve, RawOverride, RawReversibility, RawSession, RawStep,
    RawTask, RawVouch, SessionFile,
};
use super::message::nearest;
use super::step::{Observation, Step};
use super::task::{Effect, Reader};
use super::template::Places;
use super::tree::At;
use super::{
    Agent, Findings, Limits, MAX_ENTRIES, MAX_OBSERVATIONS, Mode, Plan, Session, Source, Trust, UnprovenUndo,
    Vouch, graph, places, value,
};
use hv_core::rings::class::Override;
use hv_core::rings::intent::Policy;
use hv_saga::{Idempotence, Join, Retry, limits};
use hv_types::{
    ActionDescriptor, ActionId, ActionKind, Did, Reversibility, Ring, RiskWeight, SessionId, Share, Sigma,
    StepId,
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};
use std::time::Duration;

/// Reads and checks the file.
///
/// # Errors
/// The first fault with its line: of the format, then of the shape in the order of the file, then of the meaning
/// in the order of the sections below.
pub(super) fn plan(source: &Source) -> Result<Plan, Located> {
    let file = SessionFile::deserialize(source.tree()?).map_err(super::fault::Misfit::into_located)?;
    amounts(&file)?;
    let paths = paths(&file.paths)?;
    let agents = agents(&file.agent, source)?;
    let intents = file.intents.map(super::rights::intents);
    let session = session(file.session.unwrap_or_default(), intents, &agents)?;
    let node = file.node.map(|node| super::evidence::node(&node, source)).transpose()?;
    let (adapters, of_adapters) = super::adapters::adapters(file.adapters.as_ref(), &agents, source)?;
    let vouches = vouches(&file.vouch, &agents)?;
    let limits = run_limits(&file.limits.unwrap_or_default())?;
    let rates = file.rates.as_ref().map(super::rights::rates).transpose()?;
    // The work folder is not known yet; `/` stands for it while the tasks are checked.
    let places = places(source, "/", &paths);
    let mut checker = Checker {
        agents: &agents,
        actions: BTreeMap::new(),
        rehearsed: BTreeMap::new(),
        source,
        places: &places,
        reader: Reader {
            places: &places,
            env: file.env,
            base: session.base_url.clone(),
            context: if adapters.context.is_some() { Switch::On } else { Switch::Off },
            references: of_adapters,
        },
        drift: adapters.drift,
        step_lines: BTreeMap::new(),
    };
    let descriptors = checker.actions(file.action)?;
    let overrides = checker.overrides(&file.r#override)?;
    let setup = checker.steps(file.setup, Kind::Setup)?;
    let steps = checker.steps(file.step, Kind::Step)?;
    let observations = checker.observations(file.observe)?;
    let rehearsed = checker.rehearsed.into_keys().collect();
    let references = checker.reader.references;
    Ok(Plan {
        source: source.clone(),
        session,
        limits,
        rates,
        paths,
        node,
        adapters,
        agents,
        vouches,
        overrides,
        actions: descriptors,
        rehearsed,
        setup,
        steps,
        observations,
        references,
    })
}

fn fail<T>(line: u32, fault: Fault) -> Result<T, Located> {
    Err(Located { line, fault })
}

fn amounts(file: &SessionFile) -> Result<(), Located> {
    fn no_more<T>(list: &[At<T>], what: &'static str, limit: usize) -> Result<(), Located> {
        match list.get(limit) {
            Some(first_over) => fail(first_over.line, Fault::TooMany { what, given: list.len(), limit }),
            None => Ok(()),
        }
    }
    no_more(&file.agent, "agents", MAX_ENTRIES)?;
    no_more(&file.vouch, "vouches", MAX_ENTRIES)?;
    no_more(&file.action, "actions", MAX_ENTRIES)?;
    no_more(&file.r#override, "overrides", MAX_ENTRIES)?;
    no_more(file.session.as_ref().map_or(&[], |session| &session.voters), "voters", MAX_ENTRIES)?;
    let principals = file.session.as_ref().map_or(&[][..], |session| &session.on_behalf_of);
    no_more(principals, "principals in on_behalf_of", MAX_ENTRIES)?;
    if let Some(node) = &file.node {
        for (list, what) in
            [(&node.witnesses, "witnesses"), (&node.verifiers, "verifiers"), (&node.keys, "keys")]
        {
            no_more(list, what, MAX_ENTRIES)?;
        }
    }
    no_more(&file.setup, "set-up steps", limits::STEPS)?;
    no_more(&file.step, "steps", limits::STEPS)?;
    no_more(&file.observe, "observations", MAX_OBSERVATIONS)?;
    match (file.agent.is_empty(), file.step.is_empty()) {
        (true, _) => fail(1, Fault::NoAgents),
        (_, true) => fail(1, Fault::NoSteps),
        _ => Ok(()),
    }
}

fn paths(raw: &BTreeMap<String, At<String>>) -> Result<BTreeMap<String, String>, Located> {
    let mut paths = BTreeMap::new();
    for (name, At { line, value: folder }) in raw {
        let tail = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let head = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if !head || !name.bytes().all(tail) || ["work", "file", "hv"].contains(&name.as_str()) {
            return fail(*line, Fault::PathName { name: name.clone() });
        }
        let inside = |part| matches!(part, Component::Normal(_));
        if folder.is_empty() || folder.contains('\0') || !Path::new(folder).components().all(inside) {
            return fail(*line, Fault::PathOutside { name: name.clone() });
        }
        paths.insert(name.clone(), folder.clone());
    }
    Ok(paths)
}

fn agents(raw: &[At<RawAgent>], source: &Source) -> Result<Vec<Agent>, Located> {
    let (mut agents, mut lines) = (Vec::new(), BTreeMap::new());
    for At { line, value: agent } in raw {
        let parent = super::rights::parent(agent, &agents)?;
        let RawAgent { did, parent: _, sigma, manifest, fetch_manifest, codebase, facts, intent } = agent;
        let id = value::ident(did, Did::new)?;
        if let Some(first) = lines.insert(id.clone(), did.line) {
            return fail(did.line, Fault::Duplicate { kind: Kind::Agent, name: id.to_string(), first });
        }
        let trust = match (sigma, manifest) {
            (None, None) if *fetch_manifest => Trust::Fetched,
            _ if *fetch_manifest => {
                let bad = BadAdapter::FetchedToo { agent: id.to_string() };
                return fail(*line, Fault::Adapter(bad));
            }
            (Some(sigma), None) => Trust::Sigma(value::fraction(sigma, "sigma", Sigma::try_from)?),
            (None, Some(path)) => Trust::Manifest(Path::new(source.folder()).join(&path.value)),
            (Some(_), Some(second)) => {
                return fail(second.line, Fault::TwoTrusts { agent: id.to_string() });
            }
            (None, None) => return fail(*line, Fault::NoTrust { agent: id.to_string() }),
        };
        let facts = facts.as_ref().map(super::adapters::facts);
        let codebase = codebase.as_ref().map(super::task::pinned).transpose()?;
        let intent = intent.as_ref().map(|intent| super::evidence::file(intent, source));
        agents.push(Agent { did: id, parent, trust, codebase, facts, intent, line: *line });
    }
    Ok(agents)
}

fn session(raw: RawSession, intents: Option<Policy>, agents: &[Agent]) -> Result<Session, Located> {
    let RawSession {
        id,
        mode,
        max_participants,
        duration,
        min_sigma,
        creator,
        base_url,
        on_behalf_of,
        voters,
    } = raw;
    let count = max_participants.as_ref().map(|count| At { line: count.line, value: count.value.into() });
    let max_participants = match &count {
        None => None,
        Some(At { line, .. }) => {
            let most = value::count(count.as_ref(), "max_participants", 10, 1..=1000)?;
            let max_participants = u32::try_from(most).unwrap_or(u32::MAX);
            if agents.len() > max_participants as usize {
                return fail(*line, Fault::OverCapacity { agents: agents.len(), max_participants });
            }
            Some(max_participants)
        }
    };
    let creator = match (&creator, agents.first()) {
        (Some(creator), _) => value::ident(creator, Did::new)?,
        (None, Some(first)) => first.did.clone(),
        (None, None) => return fail(1, Fault::NoAgents),
    };
    let (second, week) = (Duration::from_secs(1), Duration::from_secs(604_800));
    let lasts = |given| value::duration(Some(given), "duration", second, second, week);
    let min_sigma =
        min_sigma.map(|sigma| value::fraction(&sigma, "min_sigma", Sigma::try_from)).transpose()?;
    Ok(Session {
        id: id.map(|id| value::ident(&id, SessionId::new)).transpose()?,
        mode: mode.map(|mode| match mode {
            RawMode::Strong => Mode::Strong,
            RawMode::Eventual => Mode::Eventual,
        }),
        max_participants,
        duration: duration.as_ref().map(lasts).transpose()?,
        min_sigma,
        creator,
        base_url: base_url.map(base).transpose()?,
        on_behalf_of: on_behalf_of
            .iter()
            .map(|principal| value::ident(principal, Did::new))
            .collect::<Result<_, _>>()?,
        voters: voters.iter().map(|voter| value::ident(voter, Did::new)).collect::<Result<_, _>>()?,
        intents: intents.unwrap_or_default(),
    })
}

/// What completes a URL that is only a path.
pub(super) fn base(At { line, value }: At<String>) -> Result<String, Located> {
    let rest = value.strip_prefix("http://").or_else(|| value.strip_prefix("https://"));
    match rest {
        Some(rest) if !rest.is_empty() && !value.bytes().any(|b| b <= b' ' || b == 0x7f) => Ok(value),
        _ => fail(line, Fault::BaseUrl { text: value }),
    }
}

fn vouches(raw: &[At<RawVouch>], agents: &[Agent]) -> Result<Vec<Vouch>, Located> {
    let (mut vouches, mut vouchers) = (Vec::new(), vec![Vec::new(); agents.len()]);
    for At { value: RawVouch { voucher, vouchee, bond }, .. } in raw {
        let (from, to) = (known_agent(voucher, agents)?, known_agent(vouchee, agents)?);
        if from.0 == to.0 {
            return fail(vouchee.line, Fault::SelfVouch { agent: vouchee.value.clone() });
        }
        let share = bond.map(|bond| value::fraction(&bond, "bond", Share::try_from)).transpose()?;
        let share = share.unwrap_or(Share::capped(200_000));
        if let (Share::ZERO, Some(bond)) = (share, bond) {
            return fail(bond.line, Fault::NothingBonded);
        }
        if let Some(list) = vouchers.get_mut(to.0) {
            list.push(from.0);
        }
        vouches.push(Vouch { voucher: from.1.clone(), vouchee: to.1.clone(), bond: share });
    }
    if let Err(cycle) = graph::order(&vouchers) {
        let names: Vec<_> = cycle.iter().filter_map(|&n| agents.get(n)).map(|a| a.did.to_string()).collect();
        let on_it = |at: &&At<RawVouch>| {
            names.contains(&at.value.voucher.value) && names.contains(&at.value.vouchee.value)
        };
        let line = raw.iter().rfind(on_it).map_or(1, |at| at.line);
        return fail(line, Fault::VouchCycle { path: names });
    }
    Ok(vouches)
}

fn known_agent<'a>(name: &At<String>, agents: &'a [Agent]) -> Result<(usize, &'a Did), Located> {
    let did = value::ident(name, Did::new)?;
    let found = agents.iter().enumerate().find(|(_, agent)| agent.did == did);
    found.map(|(at, agent)| (at, &agent.did)).ok_or_else(|| Located {
        line: name.line,
        fault: Fault::Unknown {
            kind: Kind::Agent,
            name: name.value.clone(),
            nearest: nearest(&name.value, agents.iter().map(|agent| agent.did.as_str())),
        },
    })
}

fn run_limits(raw: &RawLimits) -> Result<Limits, Located> {
    let RawLimits { parallel, output_bytes, retries, within } = raw;
    let parallel = parallel.as_ref().map(|count| At { line: count.line, value: count.value.into() });
    let most = u64::from(limits::CONCURRENCY);
    let parallel = value::count(parallel.as_ref(), "parallel", 8, 1..=most)?;
    Ok(Limits {
        parallel: u32::try_from(parallel).unwrap_or(limits::CONCURRENCY),
        output_bytes: value::count(output_bytes.as_ref(), "output_bytes", 65_536, 0..=16 << 20)?,
        retries: match retries {
            Some(_) => u32::try_from(value::count(retries.as_ref(), "retries", 0, 0..=100_000)?).ok(),
            None => None,
        },
        within: value::optional_duration(within.as_ref(), "within", limits::TIMEOUT)?,
    })
}

/// An action and what its steps do unless they say otherwise.
#[derive(Debug)]
struct Declared {
    line: u32,
    descriptor: ActionDescriptor,
    execute: Option<Effect>,
    undo: Option<Effect>,
}

/// Reads the sections that lean on agents and actions.
#[derive(Debug)]
struct Checker<'a> {
    /// Whether anybody measures drift.
    drift: Switch,
    agents: &'a [Agent],
    source: &'a Source,
    actions: BTreeMap<ActionId, Declared>,
    /// The actions that are rehearsed, and where the file says so.
    rehearsed: BTreeMap<ActionId, u32>,
    places: &'a Places,
    reader: Reader<'a>,
    /// Where each step of the file stands, the set-up's included.
    step_lines: BTreeMap<StepId, u32>,
}

impl Checker<'_> {
    fn actions(&mut self, raw: Vec<At<RawAction>>) -> Result<Vec<ActionDescriptor>, Located> {
        let mut descriptors = Vec::with_capacity(raw.len());
        for At { line, value: action } in raw {
            let id = value::ident(&action.id, ActionId::new)?;
            if id.as_str().starts_with("hv.") {
                return fail(action.id.line, Fault::Reserved { name: id.to_string() });
            }
            if let Some(Declared { line: first, .. }) = self.actions.get(&id) {
                let fault = Fault::Duplicate { kind: Kind::Action, name: id.to_string(), first: *first };
                return fail(action.id.line, fault);
            }
            let descriptor = descriptor(&id, line, &action)?;
            let execute = self.effect(action.execute.as_ref(), "execute")?;
            let undo = self.effect(action.undo.as_ref(), "undo")?;
            if let (Some(at), Some(problem)) = (&action.undo, forbids_undo(&descriptor)) {
                let name = id.to_string();
                return fail(at.line, Fault::Undo { name: name.clone(), action: name, problem });
            }
            if let Some(At { line, value: true }) = action.rehearse {
                if forbids_undo(&descriptor).is_some() {
                    let name = id.to_string();
                    let problem = UndoProblem::NothingToRehearse;
                    return fail(line, Fault::Undo { name: name.clone(), action: name, problem });
                }
                self.rehearsed.insert(id.clone(), line);
            }
            descriptors.push(descriptor.clone());
            self.actions.insert(id, Declared { line: action.id.line, descriptor, execute, undo });
        }
        Ok(descriptors)
    }

    fn overrides(&self, raw: &[At<RawOverride>]) -> Result<Vec<(ActionId, Override)>, Located> {
        let (mut overrides, mut lines) = (Vec::with_capacity(raw.len()), BTreeMap::new());
        for At { line, value: RawOverride { action, ring, risk } } in raw {
            let id = self.action(action)?.descriptor.id().clone();
            if let Some(first) = lines.insert(id.clone(), *line) {
                let fault = Fault::Duplicate { kind: Kind::Override, name: id.to_string(), first };
                return fail(*line, fault);
            }
            let ring = ring.as_ref().map(|ring| At { line: ring.line, value: ring.value.into() });
            let number = value::count(ring.as_ref(), "ring", 0, 0..=3)?;
            let set = Override {
                ring: ring.and_then(|_| u8::try_from(number).ok()).and_then(|n| Ring::try_from(n).ok()),
                risk: risk
                    .as_ref()
                    .map(|risk| value::fraction(risk, "risk", RiskWeight::try_from))
                    .transpose()?,
            };
            if set == Override::default() {
                return fail(*line, Fault::NothingSet { action: id.to_string() });
            }
            overrides.push((id, set));
        }
        Ok(overrides)
    }

    fn steps(&mut self, raw: Vec<At<RawStep>>, kind: Kind) -> Result<Vec<Step>, Located> {
        let mut steps = Vec::with_capacity(raw.len());
        let (mut ordinals, mut afters) = (BTreeMap::new(), Vec::with_capacity(raw.len()));
        let mut needed = Vec::with_capacity(raw.len());
        for (ordinal, At { line, value: step }) in raw.into_iter().enumerate() {
            let id = value::ident(&step.id, StepId::new)?;
            if let Some(&first) = self.step_lines.get(&id) {
                return fail(step.id.line, Fault::Duplicate { kind, name: id.to_string(), first });
            }
            self.step_lines.insert(id.clone(), step.id.line);
            ordinals.insert(id.clone(), ordinal);
            afters.push(step.after.clone());
            let needs = step.needs.clone();
            let step = self.step(id, line, &step)?;
            needed.push(needs);
            self.can_be_rehearsed(&step, line, kind)?;
            step.bind(self.places)?;
            steps.push(step);
        }
        let waits = waits(&afters, &ordinals, kind)?;
        for ((step, needs), waits) in steps.iter_mut().zip(&needed).zip(&waits) {
            step.join = needs.as_ref().map_or(Ok(Join::All), |needs| join(needs, waits.len()))?;
        }
        let name = |&at: &usize| steps.get(at).map(|step| step.id.to_string()).unwrap_or_default();
        let order = graph::order(&waits).map_err(|cycle| Located {
            line: cycle.first().and_then(|&at| afters.get(at)?.as_ref()).map_or(1, |after| after.line),
            fault: Fault::Cycle { path: cycle.iter().map(name).collect() },
        })?;
        let steps = arranged(&steps, &waits, &order);
        if kind == Kind::Step {
            self.rests_on_what_is_undone(&steps)?;
        }
        Ok(steps)
    }

    /// A step of an action that is rehearsed has a probe, and is part of the work.
    fn can_be_rehearsed(&self, step: &Step, line: u32, kind: Kind) -> Result<(), Located> {
        let problem = match (self.rehearsed.contains_key(&step.action), kind) {
            (false, _) => return Ok(()),
            (true, Kind::Setup) => UndoProblem::SetUp,
            (true, _) if step.probe.is_none() => UndoProblem::NotProbed,
            _ => return Ok(()),
        };
        fail(line, Fault::Undo { name: step.id.to_string(), action: step.action.to_string(), problem })
    }

    /// What a rehearsed step waits for is carried out in the rehearsal too, so it can be undone.
    fn rests_on_what_is_undone(&self, steps: &[Step]) -> Result<(), Located> {
        let rehearsed = steps.iter().filter(|step| self.rehearsed.contains_key(&step.action));
        for step in rehearsed {
            let mut open: Vec<u32> = step.after.clone();
            let mut seen = BTreeSet::new();
            while let Some(before) = open.pop() {
                let Some(other) = steps.get(before as usize).filter(|_| seen.insert(before)) else {
                    continue;
                };
                if other.undo.is_none() && other.kind != ActionKind::ReadOnly {
                    let (name, action) = (step.id.to_string(), step.action.to_string());
                    let problem = UndoProblem::BehindWhatStays;
                    let line = self.step_lines.get(&step.id).copied().unwrap_or(1);
                    return fail(line, Fault::Undo { name, action, problem });
                }
                open.extend(&other.after);
            }
        }
        Ok(())
    }

    fn step(&mut self, id: StepId, line: u32, raw: &RawStep) -> Result<Step, Located> {
        let agent = known_agent(&raw.agent, self.agents)?.1.clone();
        let (own_execute, own_undo) =
            (self.effect(raw.execute.as_ref(), "execute")?, self.effect(raw.undo.as_ref(), "undo")?);
        let probe = self.effect(raw.probe.as_ref(), "probe")?;
        let action = self.action(&raw.action)?;
        let (descriptor, action_name) = (&action.descriptor, action.descriptor.id().to_string());
        let no_execute = || Located {
            line,
            fault: Fault::NoExecute { step: id.to_string(), action: action_name.clone() },
        };
        let execute = own_execute.or_else(|| action.execute.clone()).ok_or_else(no_execute)?;
        let undo_problem = |at: u32, problem| Located {
            line: at,
            fault: Fault::Undo { name: id.to_string(), action: action_name.clone(), problem },
        };
        let undo = match (raw.undo.as_ref(), forbids_undo(descriptor)) {
            (Some(at), Some(problem)) => return Err(undo_problem(at.line, problem)),
            (_, Some(_)) => None,
            (_, None) => own_undo.or_else(|| action.undo.clone()),
        };
        let undoable =
            descriptor.kind() == ActionKind::Effect && descriptor.reversibility() != Reversibility::None;
        if undoable && undo.is_none() {
            return Err(undo_problem(line, UndoProblem::Missing));
        }
        let findings = match &raw.findings {
            Some(At { line, value: true }) if descriptor.kind() != ActionKind::ReadOnly => {
                return fail(*line, Fault::FindingOfEffect { step: id.to_string() });
            }
            Some(At { value: true, .. }) => Findings::Said,
            Some(At { value: false, .. }) | None => Findings::None,
        };
        let findings = match &raw.drift {
            Some(At { line, value: true }) => {
                let step = id.to_string();
                match (descriptor.kind(), findings, self.drift) {
                    (ActionKind::ReadOnly, Findings::None, Switch::On) => Findings::Samples,
                    (ActionKind::ReadOnly, Findings::None, Switch::Off) => {
                        return fail(*line, Fault::Adapter(BadAdapter::NoDrift { step }));
                    }
                    (ActionKind::ReadOnly, ..) => {
                        return fail(*line, Fault::Adapter(BadAdapter::ToldTwice { step }));
                    }
                    _ => return fail(*line, Fault::FindingOfEffect { step }),
                }
            }
            Some(At { value: false, .. }) | None => findings,
        };
        let evidence = raw.evidence.as_ref().map(|at| super::evidence::files(&at.value, self.source));
        let retry = value::retry(
            value::retries(raw.retries.as_ref(), "retries", 0)?,
            raw.retry_delay.as_ref(),
            raw.retry_cap.as_ref(),
        )?;
        let undo_retries = value::retries(raw.undo_retries.as_ref(), "undo_retries", 3)?;
        let substitute = match &raw.substitute {
            Some(name) => {
                let substitute = known_agent(name, self.agents)?.1.clone();
                if substitute == agent {
                    return fail(name.line, Fault::Substitute { step: id.to_string() });
                }
                Some(substitute)
            }
            None => None,
        };
        Ok(Step {
            kind: descriptor.kind(),
            action: descriptor.id().clone(),
            agent,
            after: Vec::new(),
            join: Join::All,
            execute,
            undo,
            probe,
            // An undo is written so that it may be repeated; the format says so.
            idempotent: if raw.idempotent { Idempotence::Both } else { Idempotence::Undo },
            timeout: value::timeout(raw.timeout.as_ref(), "timeout")?,
            retry,
            undo_timeout: value::timeout(raw.undo_timeout.as_ref(), "undo_timeout")?,
            undo_retry: Retry { max: undo_retries, ..retry },
            undo_window: value::optional_duration(
                raw.undo_window.as_ref(),
                "undo_window",
                limits::UNDO_WINDOW,
            )?,
            substitute,
            settles: value::settles(raw.settles.as_ref())?,
            within: value::optional_duration(raw.within.as_ref(), "within", limits::TIMEOUT)?,
            start_within: value::optional_duration(
                raw.start_within.as_ref(),
                "start_within",
                limits::TIMEOUT,
            )?,
            unproven_undo: if raw.accept_unproven_undo {
                UnprovenUndo::Accepted
            } else {
                UnprovenUndo::Refused
            },
            evidence,
            findings,
            id,
        })
    }

    fn observations(&mut self, raw: Vec<At<RawObserve>>) -> Result<Vec<Observation>, Located> {
        let (mut observations, mut lines) = (Vec::with_capacity(raw.len()), BTreeMap::new());
        for At { value: RawObserve { name, agent, command, cwd, env, timeout }, .. } in raw {
            let id = value::ident(&name, StepId::new)?;
            if let Some(first) = lines.insert(id.clone(), name.line) {
                let fault = Fault::Duplicate { kind: Kind::Observation, name: id.to_string(), first };
                return fail(name.line, fault);
            }
            let action = At { line: name.line, value: format!("hv.observe.{id}") };
            let env = env.as_ref().map(|env| &env.value);
            let observation = Observation {
                name: id,
                agent: known_agent(&agent, self.agents)?.1.clone(),
                action: value::ident(&action, ActionId::new)?,
                effect: self.reader.observation(&command, cwd.as_ref(), env)?,
                timeout: value::duration(
                    timeout.as_ref(),
                    "timeout",
                    Duration::from_secs(60),
                    Duration::from_millis(1),
                    limits::TIMEOUT,
                )?,
            };
            observation.bind(self.places)?;
            observations.push(observation);
        }
        Ok(observations)
    }

    fn effect(&mut self, raw: Option<&At<RawTask>>, key: &'static str) -> Result<Option<Effect>, Located> {
        raw.map(|task| self.reader.task(task, key)).transpose()
    }

    fn action(&self, name: &At<String>) -> Result<&Declared, Located> {
        let id = value::ident(name, ActionId::new)?;
        self.actions.get(&id).ok_or_else(|| Located {
            line: name.line,
            fault: Fault::Unknown {
                kind: Kind::Action,
                name: name.value.clone(),
                nearest: nearest(&name.value, self.actions.keys().map(ActionId::as_str)),
            },
        })
    }
}

/// How many of so many steps are needed.
fn join(At { line, value }: &At<String>, of: usize) -> Result<Join, Located> {
    let unfit = || fail(*line, Fault::Needs { text: value.clone(), of });
    match value.as_str() {
        "all" => Ok(Join::All),
        _ if of == 0 => unfit(),
        "majority" => Ok(Join::Majority),
        "any" => Ok(Join::AtLeast(1)),
        number => match number.parse::<u32>() {
            Ok(count) if count >= 1 && count as usize <= of => Ok(Join::AtLeast(count)),
            _ => unfit(),
        },
    }
}

/// What each step waits for: the steps that it names, or the one before it.
fn waits(
    afters: &[Option<At<Vec<At<String>>>>],
    ordinals: &BTreeMap<StepId, usize>,
    kind: Kind,
) -> Result<Vec<Vec<usize>>, Located> {
    let mut waits = Vec::with_capacity(afters.len());
    for (ordinal, after) in afters.iter().enumerate() {
        let Some(after) = after else {
            waits.push(ordinal.checked_sub(1).into_iter().collect());
            continue;
        };
        let mut before = Vec::with_capacity(after.value.len());
        for name in &after.value {
            let Some(&other) = ordinals.get(name.value.as_str()) else {
                let nearest = nearest(&name.value, ordinals.keys().map(StepId::as_str));
                return fail(name.line, Fault::Unknown { kind, name: name.value.clone(), nearest });
            };
            if before.contains(&other) {
                return fail(name.line, Fault::AfterTwice { name: name.value.clone() });
            }
            before.push(other);
        }
        waits.push(before);
    }
    Ok(waits)
}

/// The steps in this order, with what they wait for as ordinals of it.
fn arranged(steps: &[Step], waits: &[Vec<usize>], order: &[usize]) -> Vec<Step> {
    let places: BTreeMap<usize, u32> = order.iter().copied().zip(0..).collect();
    let arrange = |&at: &usize| {
        let after = waits.get(at)?.iter().filter_map(|before| places.get(before).copied()).collect();
        Some(Step { after, ..steps.get(at)?.clone() })
    };
    order.iter().filter_map(arrange).collect()
}

fn descriptor(id: &ActionId, line: u32, raw: &RawAction) -> Result<ActionDescriptor, Located> {
    let kind = match (raw.admin, raw.read_only) {
        (true, true) => return fail(line, Fault::TwoKinds { action: id.to_string() }),
        (true, false) => ActionKind::Admin,
        (false, true) => ActionKind::ReadOnly,
        (false, false) => ActionKind::Effect,
    };
    let reversibility = match (raw.reversibility, kind) {
        (Some(RawReversibility::Full), _) | (None, ActionKind::ReadOnly) => Reversibility::Full,
        (Some(RawReversibility::Partial), _) => Reversibility::Partial,
        (Some(RawReversibility::None), _) | (None, ActionKind::Admin) => Reversibility::None,
        (None, ActionKind::Effect) => {
            return fail(line, Fault::NoReversibility { action: id.to_string() });
        }
    };
    let descriptor = ActionDescriptor::new(id.clone(), kind, reversibility);
    let Some(risk) = &raw.risk else { return Ok(descriptor) };
    let weight = value::fraction(risk, "risk", RiskWeight::try_from)?;
    descriptor.with_risk(weight).map_err(|why| Located { line: risk.line, fault: Fault::Risk(why) })
}

fn forbids_undo(action: &ActionDescriptor) -> Option<UndoProblem> {
    match (action.kind(), action.reversibility()) {
        (ActionKind::ReadOnly, _) => Some(UndoProblem::ReadOnly),
        (ActionKind::Effect, Reversibility::None) => Some(UndoProblem::Irreversible),
        _ => None,
    }
}
