//! A session file as a checked plan: everything that can be found wrong without running anything was found.
//!
//! ```
//! use hv_cli::plan::{Format, Plan, Source};
//!
//! let text = r#"
//! [[agent]]
//! did = "did:mesh:alpha"
//! sigma = 0.85
//! [[action]]
//! id = "disk.look"
//! read_only = true
//! execute = { command = ["df"] }
//! [[step]]
//! id = "look"
//! agent = "did:mesh:alpha"
//! action = "disk.looc"
//! "#;
//! let error = Plan::parse(&Source::new("look.toml", "/home", Format::Toml, text)).unwrap_err();
//! assert_eq!(error.to_string(), "look.toml:12: there is no action `disk.looc`; did you mean `disk.look`?");
//! ```

mod fault;
mod message;

pub(crate) mod adapters;
mod duration;
mod evidence;
mod graph;
mod template;

mod json;
mod toml;
mod tree;

mod file;
mod rights;

mod check;
mod source;
mod step;
mod task;
mod value;

pub use adapters::{Adapters, BadAdapter, Facts};
pub(crate) use duration::read_text as read_duration;
pub use fault::{BadDuration, Fault, Format, Kind, Place, PlanError, Segment, UndoProblem};
pub(crate) use json::said_twice;
pub(crate) use message::{cause, nearest, told as told_time};
pub use source::{MAX_FILE_BYTES, MAX_MANIFEST_BYTES, Source};
pub use step::{Observation, Step};
pub(crate) use task::{READ, WRITE};
pub use template::BadTemplate;
pub use tree::MAX_DEPTH;

use hv_core::NodeConfig;
use hv_core::rings::class::Override;
use hv_core::rings::intent::Policy;
use hv_core::rings::rate;
use hv_core::session::{ConsistencyMode, SessionConfig};
use hv_saga::StepDef;
use hv_types::{ActionDescriptor, ActionId, Did, Digest, SessionId, Share, Sigma};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use template::Places;

/// Agents, actions or vouches in one session file.
pub const MAX_ENTRIES: usize = 1000;
/// Observations in one session file.
pub const MAX_OBSERVATIONS: usize = 64;

/// What a session file asks for, checked.
#[derive(Debug, Clone)]
pub struct Plan {
    source: Source,
    session: Session,
    limits: Limits,
    rates: Option<rate::Limits>,
    paths: BTreeMap<String, String>,
    node: Option<NodePlan>,
    adapters: Adapters,
    agents: Vec<Agent>,
    vouches: Vec<Vouch>,
    overrides: Vec<(ActionId, Override)>,
    actions: Vec<ActionDescriptor>,
    /// Those whose undo counts only once it was rehearsed.
    rehearsed: BTreeSet<ActionId>,
    setup: Vec<Step>,
    steps: Vec<Step>,
    observations: Vec<Observation>,
    references: Vec<Reference>,
}

/// Settings of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its name, where the file gives one.
    pub id: Option<SessionId>,
    /// When something is revealed, where the file says so.
    pub mode: Option<Mode>,
    /// How many agents it takes, 1 to 1000, where the file says so.
    pub max_participants: Option<u32>,
    /// How long it may last, 1 s to 7 d, where the file says so.
    pub duration: Option<Duration>,
    /// The score below which an agent may only read, where the file says so.
    pub min_sigma: Option<Sigma>,
    /// Who opens it.
    pub creator: Did,
    /// What goes before every URL that is only a path.
    pub base_url: Option<String>,
    /// For whom the agents act.
    pub on_behalf_of: Vec<Did>,
    /// The humans that vote.
    pub voters: BTreeSet<Did>,
    /// What it makes of intents.
    pub intents: Policy,
}

/// Whom the node listens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlan {
    /// All but the keys.
    pub config: NodeConfig,
    /// The files of the statements that bind keys.
    pub keys: Vec<StatementFile>,
}

/// A file that holds a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementFile {
    /// Its absolute path.
    pub path: PathBuf,
    /// The line of the session file that names it.
    line: u32,
}

/// The files of what others say about a step's call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceFiles {
    /// The call.
    pub call: StatementFile,
    /// Votes and witnesses.
    pub statements: Vec<StatementFile>,
}

/// When something is revealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// When it is durable.
    Strong,
    /// File writes before they are durable, everything else when it is.
    Eventual,
}

/// Limits of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Steps that may run at the same time.
    pub parallel: u32,
    /// Bytes that are kept of each output of one attempt.
    pub output_bytes: u64,
    /// Repetitions of failed steps of the work; as many as they allow where there is no value.
    pub retries: Option<u32>,
    /// How long the work may go forward; then nothing more starts, and what runs ends before it is undone.
    pub within: Option<Duration>,
}

/// An agent and the trust that it joins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its identifier.
    pub did: Did,
    /// The agent above it for which it acts.
    pub parent: Option<Did>,
    /// What it is trusted on.
    pub trust: Trust,
    /// The SHA-256 of the code that its attestation has to be for.
    pub codebase: Option<Digest>,
    /// What the scorer is told of it.
    pub facts: Option<Facts>,
    /// The file of the bounds that it is held to.
    pub intent: Option<StatementFile>,
    /// Its line in the session file.
    line: u32,
}

/// What an agent is trusted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// A score that the session file asserts.
    Sigma(Sigma),
    /// A manifest, at this absolute path.
    Manifest(PathBuf),
    /// The manifest that the sidecar hands out.
    Fetched,
}

/// One agent answers for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouch {
    /// Who vouches.
    pub voucher: Did,
    /// For whom.
    pub vouchee: Did,
    /// The share of the voucher's reputation that it puts up, above 0.
    pub bond: Share,
}

/// A secret that the file refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reference {
    line: u32,
    secret: Secret,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Secret {
    Variable(String),
    File(PathBuf),
}

/// The steps of a plan with the folders of one run in them.
#[derive(Debug, Clone)]
pub struct Bound {
    /// The work folder, absolute.
    pub work: String,
    /// The folders of `[paths]` by name, absolute.
    pub paths: BTreeMap<String, String>,
    /// The set-up, in an order in which each step comes after those that it waits for.
    pub setup: Vec<BoundStep>,
    /// The steps of the work, likewise.
    pub steps: Vec<BoundStep>,
    /// What is looked at after the set-up and at the end.
    pub observations: Vec<BoundObservation>,
}

/// A step as the saga takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundStep {
    /// The definition; its `after` are ordinals within its own list.
    pub def: StepDef,
    /// Whether its undo counts although nothing shows that it works.
    pub unproven_undo: UnprovenUndo,
    /// What others say about its call.
    pub evidence: Option<EvidenceFiles>,
    /// Whether what it says are findings.
    pub findings: Findings,
}

/// Whether what a step says are findings of verifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Findings {
    /// It is what it says and nothing else.
    None,
    /// It is envelopes, one a line.
    Said,
    /// It is samples of drift, one a line.
    Samples,
}

/// Whether an undo counts that neither a probe nor a rehearsal has proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnprovenUndo {
    /// It does not.
    Refused,
    /// It does, because the operator says so.
    Accepted,
}

impl BoundStep {
    /// Whether it has an undo that does not count, because nothing shows that it works.
    pub(crate) fn is_unproven(&self) -> bool {
        let nobody_asks = self.def.has_effect() && self.def.undo.is_some() && self.def.probe.is_none();
        nobody_asks && self.unproven_undo == UnprovenUndo::Refused
    }
}

/// An observation as an executor takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundObservation {
    /// Its name in the report.
    pub name: String,
    /// A single read-only step of the action `hv.observe.<name>`.
    pub def: StepDef,
}

impl Plan {
    /// Reads and checks a session file. Nothing is run.
    ///
    /// # Errors
    /// [`PlanError`] with the first thing that is wrong.
    pub fn load(path: &Path) -> Result<Self, PlanError> {
        Source::read(path).and_then(|source| Self::parse(&source))
    }

    /// Checks a session file that was read before. Looks at nothing but its text.
    ///
    /// # Errors
    /// [`PlanError`] with the first thing that is wrong.
    pub fn parse(source: &Source) -> Result<Self, PlanError> {
        match check::plan(source) {
            Ok(checked) => Ok(checked),
            Err(located) => Err(source.error(Some(located.line), located.fault)),
        }
    }

    /// Checks that every secret that the file refers to is there. Reads none of them.
    ///
    /// # Errors
    /// [`Fault::VariableMissing`] and [`Fault::FileMissing`], with the line of the reference.
    pub fn check_references(&self) -> Result<(), PlanError> {
        let missing = |reference: &Reference| {
            let fault = match &reference.secret {
                Secret::Variable(name) => {
                    std::env::var_os(name).is_none().then(|| Fault::VariableMissing { name: name.clone() })?
                }
                Secret::File(path) => Fault::FileMissing {
                    path: path.display().to_string(),
                    why: source::readable(path).err()?,
                },
            };
            Some(self.source.error(Some(reference.line), fault))
        };
        self.references.iter().find_map(missing).map_or(Ok(()), Err)
    }

    /// Reads an agent's manifest; `None` for an agent that has none.
    ///
    /// # Errors
    /// [`Fault::FileMissing`] and [`Fault::ManifestTooLarge`], with the agent's line.
    pub fn manifest(&self, agent: &Agent) -> Result<Option<Vec<u8>>, PlanError> {
        let Trust::Manifest(path) = &agent.trust else { return Ok(None) };
        let bytes = source::read_bounded(path, MAX_MANIFEST_BYTES).map_err(|why| {
            let path = path.display().to_string();
            let fault = match why {
                source::ReadProblem::TooLarge => Fault::ManifestTooLarge { path },
                source::ReadProblem::Io(why) => Fault::FileMissing { path, why },
                source::ReadProblem::NotAFile => {
                    Fault::FileMissing { path, why: std::io::ErrorKind::IsADirectory }
                }
            };
            self.source.error(Some(agent.line), fault)
        })?;
        Ok(Some(bytes))
    }

    /// The error that an agent's manifest was read and cannot be used.
    #[must_use]
    pub fn bad_manifest(&self, agent: &Agent, why: &dyn std::error::Error) -> PlanError {
        let path = match &agent.trust {
            Trust::Manifest(path) => path.display().to_string(),
            Trust::Sigma(_) | Trust::Fetched => String::new(),
        };
        self.source.error(Some(agent.line), Fault::Manifest { path, why: why.to_string() })
    }

    /// Puts the folders of a run into the steps.
    ///
    /// `work` is the run's work folder, absolute.
    ///
    /// # Errors
    /// [`Fault::PathNotUtf8`], and [`Fault::Task`] where a command becomes too long by it.
    pub fn bind(&self, work: &Path) -> Result<Bound, PlanError> {
        let work = work.to_str().ok_or_else(|| self.source.error(None, Fault::PathNotUtf8))?;
        let places = self.places(work);
        let error = |located: fault::Located| self.source.error(Some(located.line), located.fault);
        let steps = |steps: &[Step]| -> Result<Vec<BoundStep>, PlanError> {
            steps.iter().map(|step| step.bind(&places).map_err(error)).collect()
        };
        let observations = self.observations.iter().map(|seen| seen.bind(&places).map_err(error));
        Ok(Bound {
            work: work.to_owned(),
            paths: self.paths.keys().filter_map(|name| places.get_key_value(name)).map(owned).collect(),
            setup: steps(&self.setup)?,
            steps: steps(&self.steps)?,
            observations: observations.collect::<Result<_, _>>()?,
        })
    }

    /// The settings of its session, where those that the file leaves out are these.
    ///
    /// # Errors
    /// [`Fault::OverCapacity`] where that is too few members for the agents of the file.
    pub fn settings(&self, unsaid: &SessionConfig) -> Result<SessionConfig, PlanError> {
        let Session { mode, max_participants, duration, min_sigma, .. } = &self.session;
        let mode = mode.map_or(unsaid.mode(), |mode| match mode {
            Mode::Strong => ConsistencyMode::Strong,
            Mode::Eventual => ConsistencyMode::Eventual,
        });
        let config = unsaid.with_mode(mode).with_min_sigma_eff(min_sigma.unwrap_or(unsaid.min_sigma_eff()));
        // Both ranges were checked when the file was read.
        let most = max_participants.unwrap_or(unsaid.max_participants());
        let config = config.with_max_participants(most).unwrap_or(config);
        let config = config.with_max_duration(duration.unwrap_or(unsaid.max_duration())).unwrap_or(config);
        match self.agents.get(most as usize) {
            None => Ok(config),
            Some(first_over) => {
                let fault = Fault::OverCapacity { agents: self.agents.len(), max_participants: most };
                Err(self.source.error(Some(first_over.line), fault))
            }
        }
    }

    /// The file that it was read from.
    #[must_use]
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// Settings of the session.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Limits of the run.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How often agents may call, where the file says so.
    #[must_use]
    pub const fn rates(&self) -> Option<&rate::Limits> {
        self.rates.as_ref()
    }

    /// Whom the node listens to, where the file says so.
    #[must_use]
    pub const fn node(&self) -> Option<&NodePlan> {
        self.node.as_ref()
    }

    /// Whom the run asks outside of itself.
    #[must_use]
    pub const fn adapters(&self) -> &Adapters {
        &self.adapters
    }

    /// The terms that are set for actions.
    #[must_use]
    pub fn overrides(&self) -> &[(ActionId, Override)] {
        &self.overrides
    }

    /// The agents, in the order in which they join.
    #[must_use]
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }

    /// The vouches, in order.
    #[must_use]
    pub fn vouches(&self) -> &[Vouch] {
        &self.vouches
    }

    /// The actions as declared.
    #[must_use]
    pub fn actions(&self) -> &[ActionDescriptor] {
        &self.actions
    }

    /// The actions whose undo counts only once it was rehearsed.
    #[must_use]
    pub const fn rehearsed(&self) -> &BTreeSet<ActionId> {
        &self.rehearsed
    }

    /// The steps of the set-up, ordered so that each comes after those that it waits for.
    #[must_use]
    pub fn setup(&self) -> &[Step] {
        &self.setup
    }

    /// The steps of the work, likewise.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What is looked at after the set-up and at the end.
    #[must_use]
    pub fn observations(&self) -> &[Observation] {
        &self.observations
    }

    fn places(&self, work: &str) -> Places {
        places(&self.source, work, &self.paths)
    }
}

fn owned((name, path): (&String, &String)) -> (String, String) {
    (name.clone(), path.clone())
}

/// The folders that a run has, by name.
fn places(source: &Source, work: &str, paths: &BTreeMap<String, String>) -> Places {
    let inside = |folder: &String| Path::new(work).join(folder).to_string_lossy().into_owned();
    let mut places: Places = paths.iter().map(|(name, folder)| (name.clone(), inside(folder))).collect();
    places.insert("work".into(), work.into());
    places.insert("file".into(), source.folder().into());
    if let Some(hv) = std::env::current_exe().ok().and_then(|path| path.into_os_string().into_string().ok()) {
        places.insert("hv".into(), hv);
    }
    places
}

/// The JSON Schema of session files (draft 2020-12), with a line break at its end.
#[must_use]
pub fn schema() -> String {
    let schema = schemars::schema_for!(file::SessionFile);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
