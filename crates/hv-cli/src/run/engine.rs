//! The run itself. Every part can be interrupted and is then taken up where the trail says that it stands.

use super::adapters::{Adapted, Connected, Joining};
use super::begun::{Begun, NOTE, TURNED, based};
use super::brought::{Brought, brought, same_node};
use super::discreet::Discreet;
use super::entrants::entrants;
use super::findings::Findings;
use super::history::History;
use super::interrupts::Interrupts;
use super::killable::{halted, killable};
use super::marks::{Marks, marker};
use super::verified::verified;
use super::watch::{Names, show, watch};
use super::{RunFailure, place};
use crate::args::RunArgs;
use crate::plan::adapters::Switch;
use crate::plan::{Bound, BoundStep, Plan, UnprovenUndo};
use crate::progress::{Event, Phase, Progress, Start, Style};
use crate::report::{Done, Outcome, Report, VouchReport};
use hv_core::audit::FileLog;
use hv_core::config::Config;
use hv_core::identity::Envelope;
use hv_core::liability::Stake;
use hv_core::rings::class::Claim;
use hv_core::rings::intent::Policy;
use hv_core::saga::drive::drive;
use hv_core::saga::exec::{CommandExecutor, HttpExecutor, Router};
use hv_core::saga::{self, Limits, SagaCommand, SagaState, StepDef};
use hv_core::types::{ActionKind, Reversibility, SagaId, SessionId};
use hv_core::{Clock, Error, Grant, Hypervisor, Presented, SagaHost, SystemClock};
use hv_integrations::correction::{FailureKind, FailureReport};
use resumed::{open_run, resume};
use std::collections::BTreeMap;
use std::io::Stderr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use summary::report;

mod pace;
mod paused;
mod rehearsal;
mod resumed;
mod summary;
mod taken_up;

/// The name of the saga that does the work.
pub(crate) const WORK: &str = "work";
/// The name of the saga that rehearses what is to be undone on demand.
pub(crate) const REHEARSAL: &str = "rehearsal";
/// The name of the saga that prepares it.
pub(crate) const SETUP: &str = "setup";
/// The longest that a resumed run waits for programs of the old one to end by themselves, however much time their
/// steps have left.
const SURVIVORS: Duration = Duration::from_secs(300);

/// One run, new or resumed.
struct Run {
    hv: Hypervisor,
    data: PathBuf,
    session: SessionId,
    plan: Plan,
    bound: Bound,
    executor: Adapted<Findings<Discreet<Router<Grant>>>>,
    /// What others say about the steps of the set-up and of the work, by ordinal.
    brought: [BTreeMap<u32, Presented>; 2],
    keys: Vec<Envelope>,
    /// By which programs of this run are known.
    token: String,
    progress: Arc<Mutex<Progress<Stderr>>>,
    interrupts: Interrupts,
}

/// How the sagas of a run ended, taken together.
enum End {
    Outcome(Outcome),
    /// The process was told to stop; the trail stays open.
    Abandoned,
}

/// Whether the session of a run was recorded before: then it was interrupted before it was known what to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum There {
    Yes,
    No,
}

pub(super) fn run(
    args: &RunArgs,
    config: &Config,
    plan: Option<Plan>,
    style: Style,
) -> Result<Report, RunFailure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| RunFailure::Io {
        path: PathBuf::from("the asynchronous runtime"),
        doing: "start",
        error,
    })?;
    let progress = Arc::new(Mutex::new(Progress::new(std::io::stderr(), style)));
    let ran = runtime.block_on(async {
        let interrupts = Interrupts::listen(&progress)?;
        match (args.resume, plan) {
            (false, Some(plan)) => begin((args, config), plan, progress, interrupts).await,
            (_, plan) => resume((args, config), plan, progress, interrupts).await,
        }
    });
    // A request that was sent cannot be called back; whoever stops at once does not wait for its answer.
    runtime.shutdown_background();
    ran
}

async fn begin(
    (args, config): (&RunArgs, &Config),
    plan: Plan,
    progress: Arc<Mutex<Progress<Stderr>>>,
    interrupts: Interrupts,
) -> Result<Report, RunFailure> {
    let stem = Path::new(plan.source().name()).file_stem().and_then(|stem| stem.to_str()).unwrap_or("run");
    let stem: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let stem = stem.trim_matches('-');
    let now: String =
        SystemClock.now().to_string().chars().filter(char::is_ascii_alphanumeric).take(15).collect();
    let name = format!("{}-{now}-{}", if stem.is_empty() { "run" } else { stem }, place::token::<3>()?);
    let session = match &plan.session().id {
        Some(id) => id.clone(),
        None => SessionId::new(&name).map_err(|_| RunFailure::Unreadable { what: "the name of the run" })?,
    };
    let (data, work) = place::folders(&name, args.data.as_deref(), args.work.as_deref())?;
    // Everything that can be wrong with the input is found before anything is there.
    let entrants = entrants(&plan)?;
    let settings = plan.settings(&config.session())?;
    let brought = brought(&plan, &plan.bind(&work)?)?;
    place::check_work(&work, &data)?;
    let marker = marker(args, &data)?;
    let trail = place::open_or_create(&data, Duration::ZERO)?;
    let log = Arc::clone(trail.log());
    let hv = pace::open(trail, config, &plan)?;
    let connected = Connected::to(hv, &plan)?;
    let hv = connected.hv.clone();
    let (session, there) = match open_run(&hv, &log)? {
        None => (session, There::No),
        Some((open, history)) if !history.is_of_a_run() => {
            hv.seal().await?;
            return Err(RunFailure::NoRun { data, session: open.to_string() });
        }
        Some((open, history)) if history.note(NOTE).is_some() => {
            return Err(RunFailure::Unfinished { data, session: open.to_string() });
        }
        Some((open, _)) if !args.resume => {
            return Err(RunFailure::NothingBegun { data, session: Some(open.to_string()) });
        }
        Some((open, history)) => {
            let named = plan.session().id.as_ref().is_none_or(|id| *id == open);
            if !named || history.created != Some((plan.session().creator.clone(), settings)) {
                let (session, file) = (open.to_string(), PathBuf::from(plan.source().name()));
                return Err(RunFailure::OtherSettings { data, session, file });
            }
            (open, There::Yes)
        }
    };
    let fits = same_node(&plan, hv.config()?, &data);
    let bound = match fits.and_then(|()| placed(&plan, (&session, there), &log, &work, &data)) {
        Ok(bound) => bound,
        Err(failure) => {
            // Opening it has said that the trail goes on; it does not.
            hv.seal().await?;
            return Err(failure);
        }
    };
    let begun = Begun {
        version: 1,
        name: plan.source().name().to_owned(),
        folder: plan.source().folder().to_owned(),
        format: plan.source().format().to_string(),
        text: plan.source().text().to_owned(),
        work: bound.work.clone(),
        token: place::token::<16>()?,
    };
    drop(hv);
    let run = Run::new((connected, session, &data), plan, bound, brought, &begun, progress, interrupts)?;
    run.announce(&data, Start::New);
    let names = Names::read(&*log, &run.session)?;
    let watcher = tokio::spawn(watch(names, run.hv.subscribe(), Arc::clone(&run.progress)));
    let marks = Marks::begin(marker, args.mark_every, log.clone(), &run.progress);
    if there == There::No {
        run.hv.create_session(&run.session, settings, &run.plan.session().creator).await?;
    }
    let note = serde_json::to_vec(&begun).map_err(|_| RunFailure::Unreadable { what: "the session file" })?;
    run.hv.note(&run.session, NOTE, note).await?;
    run.interrupts.resumable(&data);
    finish(run, entrants, data, (log, marks), watcher).await
}

/// The plan with the folders of this run in it, where the trail has room for it.
fn placed(
    plan: &Plan,
    (session, there): (&SessionId, There),
    log: &FileLog,
    work: &Path,
    data: &Path,
) -> Result<Bound, RunFailure> {
    if there == There::No && History::read(log, Some(session))?.is_some() {
        return Err(RunFailure::SessionTaken { session: session.to_string(), data: data.to_owned() });
    }
    Ok(plan.bind(&place::prepare_work(work, data)?)?)
}

/// Drives a run to its end, closes its trail and reports.
async fn finish(
    run: Run,
    entrants: Vec<Joining>,
    data: PathBuf,
    kept: (Arc<FileLog>, Marks),
    watcher: tokio::task::JoinHandle<()>,
) -> Result<Report, RunFailure> {
    let log = Arc::clone(&kept.0);
    // A step may have heard why the trail takes nothing more; it is what a person has to know.
    to_the_end(run, entrants, data, kept, watcher).await.map_err(|failure| failure.behind(log.failure()))
}

async fn to_the_end(
    run: Run,
    entrants: Vec<Joining>,
    data: PathBuf,
    kept: (Arc<FileLog>, Marks),
    watcher: tokio::task::JoinHandle<()>,
) -> Result<Report, RunFailure> {
    let end = run.carry_out(&entrants).await;
    let end = match end {
        Ok(End::Outcome(outcome)) => {
            let root = run.hv.terminate_session(&run.session).await?;
            show(&run.progress, &Event::Root { root }, SystemClock.now());
            run.hv.seal().await?;
            outcome
        }
        Ok(End::Abandoned) => {
            // Nothing of it may be recorded: it is asked for while somebody joins or only looks around, too.
            if run.interrupts.cancelled() {
                run.hv.note(&run.session, TURNED, Vec::from(*b"{}")).await?;
            }
            Outcome::Interrupted
        }
        Err(failure) => return Err(failure),
    };
    told(run, data, kept, watcher, end).await
}

/// The report, when nothing more is done.
async fn told(
    run: Run,
    data: PathBuf,
    (log, marks): (Arc<FileLog>, Marks),
    watcher: tokio::task::JoinHandle<()>,
    end: Outcome,
) -> Result<Report, RunFailure> {
    let Run { hv, session, bound, executor, progress, interrupts, .. } = run;
    // The watcher ends with the node.
    drop((hv, executor, interrupts));
    let _ = watcher.await;
    drop(progress);
    marks.end().await?;
    let history =
        History::read(&*log, Some(&session))?.ok_or(RunFailure::Unreadable { what: "the session" })?;
    report(&history, &*log, &bound, &data, end).and_then(|report| verified(report, &data))
}

impl Run {
    fn new(
        (Connected { hv, context }, session, data): (Connected, SessionId, &Path),
        plan: Plan,
        bound: Bound,
        (keys, brought): Brought,
        begun: &Begun,
        progress: Arc<Mutex<Progress<Stderr>>>,
        interrupts: Interrupts,
    ) -> Result<Self, RunFailure> {
        let keep = usize::try_from(plan.limits().output_bytes).unwrap_or(usize::MAX);
        let command = CommandExecutor::new(&begun.token)
            .with_output_bytes(keep)
            .with_pinned(Arc::new(place::is_pinned))
            .with_stopping(interrupts.control(Phase::Work).stopping())
            .with_stopping(interrupts.control(Phase::ObservingBefore).stopping());
        let http = HttpExecutor::new()
            .with_output_bytes(keep)
            .with_stopping(interrupts.control(Phase::Work).stopping())
            .with_stopping(interrupts.control(Phase::ObservingBefore).stopping());
        let http = based(http, &plan)?;
        let router = Router::new().with_command(command).with_http(http);
        let router = match &context {
            Some(store) => router.with_closures(super::context::functions(&hv, store, &bound)),
            None => router,
        };
        let executor = Discreet::new(router, &bound);
        let steps = bound.setup.iter().chain(&bound.steps);
        let executor = Findings::new(executor, hv.clone(), steps.clone());
        let executor = Adapted::new(executor, hv.clone(), plan.adapters().correction, steps);
        let data = data.to_owned();
        let token = begun.token.clone();
        Ok(Self { hv, data, session, plan, bound, executor, brought, keys, token, progress, interrupts })
    }

    fn tell(&self, event: &Event) {
        show(&self.progress, event, SystemClock.now());
    }

    fn announce(&self, data: &Path, start: Start) {
        self.tell(&Event::RunStarted {
            session: self.session.clone(),
            data: data.display().to_string(),
            work: self.bound.work.clone(),
            steps: self.bound.steps.len(),
            start,
        });
    }

    /// From wherever it stands to the end.
    async fn carry_out(&self, entrants: &[Joining]) -> Result<End, RunFailure> {
        match self.assemble(entrants).await {
            Ok(()) => {}
            // A refusal before anything was done; it is on the trail.
            Err(RunFailure::Node(error)) if matches!(*error, Error::Denied(_)) => {
                return Ok(End::Outcome(Outcome::Denied));
            }
            Err(failure) => return Err(failure),
        }
        let [before, during] = &self.brought;
        let setup = self.saga(Phase::Setup, SETUP, &self.bound.setup, before).await?;
        let outcome = match self.judge(SETUP, setup)? {
            End::Outcome(Outcome::Completed) => {
                let observed = self.observe(Phase::ObservingBefore, "observe-before").await?;
                if matches!(self.judge("observe-before", observed)?, End::Abandoned) {
                    return Ok(End::Abandoned);
                }
                match self.rehearse().await? {
                    End::Outcome(Outcome::Completed) => {}
                    end => return Ok(end),
                }
                let worked = if self.interrupts.cancelled() {
                    self.hv.sagas(&self.session)?.iter().any(|id| id.as_str() == WORK)
                } else {
                    true
                };
                let end = match worked {
                    true => {
                        let work = self.saga(Phase::Work, WORK, &self.bound.steps, during).await?;
                        self.tell_denials().await?;
                        self.judge(WORK, work)?
                    }
                    false => End::Outcome(Outcome::RolledBack),
                };
                let End::Outcome(outcome) = end else { return Ok(End::Abandoned) };
                // A pause of the look before it ended when the work was let go on.
                self.interrupts.control(Phase::ObservingAfter).resume();
                let observed = self.observe(Phase::ObservingAfter, "observe-after").await?;
                if matches!(self.judge("observe-after", observed)?, End::Abandoned) {
                    return Ok(End::Abandoned);
                }
                outcome
            }
            End::Outcome(outcome) => outcome,
            End::Abandoned => return Ok(End::Abandoned),
        };
        Ok(End::Outcome(outcome))
    }

    /// Lets who hears of failures know which steps the gate refused.
    async fn tell_denials(&self) -> Result<(), RunFailure> {
        if self.plan.adapters().correction == Switch::Off {
            return Ok(());
        }
        let history = History::read(&**self.hv.log(), Some(&self.session))?;
        for denial in history.into_iter().flat_map(|history| history.denials) {
            let (Some(agent), Some(action)) = (denial.agent, denial.action) else { continue };
            let report = FailureReport {
                agent,
                kind: FailureKind::Refused,
                what: denial.reason,
                step: None,
                action: Some(action.to_string()),
            };
            super::adapters::tell(&self.hv, &self.session, report).await?;
        }
        Ok(())
    }

    /// Actions, members and vouches, as far as they are not there yet; then the session begins.
    async fn assemble(&self, entrants: &[Joining]) -> Result<(), RunFailure> {
        let history = History::read(&**self.hv.log(), Some(&self.session))?;
        let history = history.ok_or(RunFailure::Unreadable { what: "the session" })?;
        if !history.sagas.is_empty() {
            return Ok(());
        }
        if let (Some(node), None) = (self.plan.node(), self.hv.config()?) {
            self.hv.establish(&self.plan.session().creator, &node.config, &self.keys).await?;
        }
        for action in self.plan.actions() {
            self.hv.register_action(&self.session, action.id(), Claim::from(action)).await?;
        }
        for action in self.plan.rehearsed() {
            self.hv.demand_rehearsal(&self.session, action).await?;
        }
        let reading = Claim {
            kind: Some(ActionKind::ReadOnly),
            reversibility: Some(Reversibility::Full),
            ..Claim::default()
        };
        for observation in &self.bound.observations {
            self.hv.register_action(&self.session, &observation.def.action, reading).await?;
        }
        for entrant in entrants {
            if !history.agents.iter().any(|agent| agent.did == *entrant.did()) {
                entrant.join(&self.hv, &self.session).await?;
            }
        }
        for vouch in self.plan.vouches() {
            let there = |v: &&VouchReport| v.voucher == vouch.voucher && v.vouchee == vouch.vouchee;
            if !history.vouches.iter().any(|v| there(&v)) {
                let stake = Stake::Share(vouch.bond);
                self.hv.vouch(&self.session, &vouch.voucher, &vouch.vouchee, stake).await?;
            }
        }
        if !self.hv.is_active(&self.session)? {
            let voters = &self.plan.session().voters;
            if !voters.is_empty() {
                self.hv.name_voters(&self.session, voters).await?;
            }
            for (action, set) in self.plan.overrides() {
                self.hv.override_action(&self.session, action, *set).await?;
            }
            let intents = self.plan.session().intents;
            if intents != Policy::default() {
                self.hv.rule_intents(&self.session, intents).await?;
            }
            for agent in self.plan.agents() {
                if let Some(bounds) = self.plan.intent(agent).map_err(RunFailure::Plan)? {
                    self.hv.bind_intent(&self.session, &agent.did, &bounds).await?;
                }
            }
            self.hv.activate_session(&self.session).await?;
        }
        Ok(())
    }

    async fn saga(
        &self,
        phase: Phase,
        name: &str,
        steps: &[BoundStep],
        brought: &BTreeMap<u32, Presented>,
    ) -> Result<SagaState, RunFailure> {
        let unproven = steps.iter().enumerate().filter_map(|(n, step)| {
            (step.unproven_undo == UnprovenUndo::Accepted).then(|| u32::try_from(n).ok()).flatten()
        });
        let defs = steps.iter().map(|step| Arc::new(step.def.clone())).collect();
        self.drive(phase, name, defs, (unproven.collect(), brought), self.plan.limits().parallel).await
    }

    async fn observe(&self, phase: Phase, name: &str) -> Result<SagaState, RunFailure> {
        let defs = self.bound.observations.iter().map(|seen| Arc::new(seen.def.clone())).collect();
        self.drive(phase, name, defs, (Vec::new(), &BTreeMap::new()), 1).await
    }

    async fn drive(
        &self,
        phase: Phase,
        name: &str,
        defs: Vec<Arc<StepDef>>,
        (unproven, brought): (Vec<u32>, &BTreeMap<u32, Presented>),
        parallel: u32,
    ) -> Result<SagaState, RunFailure> {
        if defs.is_empty() {
            return Ok(SagaState::Completed);
        }
        let id = SagaId::new(name).map_err(|_| RunFailure::Unreadable { what: "the name of a saga" })?;
        let there = self.hv.sagas(&self.session)?.contains(&id);
        let (host, first) = if there {
            (self.hv.saga(&self.session, &id), SagaCommand::recover())
        } else {
            let concurrency = self.concurrency(&defs, parallel)?;
            let seed = u64::from_le_bytes(place::random()?);
            let plan = saga::Plan { seed, limits: self.limits(phase, concurrency), ..saga::Plan::new(defs) };
            let host = self.hv.saga(&self.session, &id).accepting(unproven);
            let principals = self.plan.session().on_behalf_of.clone();
            (host.on_behalf_of(principals).create(plan).await?, SagaCommand::advance())
        };
        let presenting =
            |host: SagaHost, (step, presented): (&u32, &Presented)| host.presenting(*step, presented.clone());
        let host = brought.iter().fold(host, presenting);
        let state = host.state()?;
        if state.is_terminal() {
            return Ok(state);
        }
        let state = self.driven(phase, &host, first).await?;
        self.unpaused(phase, &host, state).await
    }

    /// Drives a saga to where nothing is left to do.
    async fn driven(
        &self,
        phase: Phase,
        host: &SagaHost,
        first: SagaCommand,
    ) -> Result<SagaState, RunFailure> {
        self.tell(&Event::Phase(phase));
        self.driven_on(phase, host, first).await
    }

    /// The same in a phase that has begun.
    async fn driven_on(
        &self,
        phase: Phase,
        host: &SagaHost,
        first: SagaCommand,
    ) -> Result<SagaState, RunFailure> {
        let (control, cancels) = (self.interrupts.control(phase), self.interrupts.cancels(phase));
        let work = async {
            match first {
                SagaCommand::Recover { .. } => self.taken_up(phase, host, &control).await,
                first => drive(host, &self.executor, &control, first).await,
            }
        };
        let (state, warning) =
            killable((&self.hv, &self.data), (&self.session, host.id()), (&control, cancels), work).await?;
        if let Some(text) = warning {
            self.tell(&Event::Notice { text });
        }
        state.map_err(halted)
    }

    /// The limits of a saga; what the file says of the work holds for the work alone.
    fn limits(&self, phase: Phase, concurrency: u32) -> Limits {
        let limits = Limits { concurrency, ..Limits::default() };
        match phase {
            Phase::Work => {
                let of_work = self.plan.limits();
                Limits {
                    retries: of_work.retries.unwrap_or(limits.retries),
                    within: of_work.within,
                    ..limits
                }
            }
            Phase::Setup | Phase::Rehearsal | Phase::ObservingBefore | Phase::ObservingAfter => limits,
        }
    }

    /// What the end of a saga means for the run.
    fn judge(&self, name: &str, state: SagaState) -> Result<End, RunFailure> {
        if !state.is_terminal() {
            return Ok(End::Abandoned);
        }
        let history = History::read(&**self.hv.log(), Some(&self.session))?;
        let acted = history.as_ref().and_then(|history| history.saga(name)).is_some_and(|saga| saga.acted());
        let denied = history.is_some_and(|history| !history.denials.is_empty());
        let done = if acted || !denied { Done::Something } else { Done::Nothing };
        Ok(Outcome::of(state, done).map_or(End::Abandoned, End::Outcome))
    }
}
