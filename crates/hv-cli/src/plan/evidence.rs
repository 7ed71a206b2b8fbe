//! Whom the node listens to, and the files of signed statements that a session file names.

use super::fault::{Fault, Located};
use super::file::{RawEvidence, RawNode, RawVouching};
use super::source::{ReadProblem, read_bounded};
use super::tree::At;
use super::{Agent, BoundStep, EvidenceFiles, NodePlan, Plan, PlanError, Source, StatementFile, value};
use hv_core::rings::intent::Bounds;
use hv_core::{NodeConfig, Presented, Vouching};
use hv_identity::{Content, ENVELOPE_MAX_BYTES, Envelope, Kind, PAYLOAD_MAX_BYTES};
use hv_types::{Call, Did};
use std::path::Path;
use std::time::Duration;

/// The longest time for which a file may let a charge be contested.
const GRACE_MAX: Duration = Duration::from_secs(30 * 86_400);

pub(super) fn node(raw: &RawNode, source: &Source) -> Result<NodePlan, Located> {
    let mut config = NodeConfig::new(value::ident(&raw.did, Did::new)?);
    for witness in &raw.witnesses {
        config = config.with_witness(value::ident(witness, Did::new)?);
    }
    for verifier in &raw.verifiers {
        config = config.with_verifier(value::ident(verifier, Did::new)?);
    }
    if let Some(vouching) = raw.vouching {
        config = config.with_vouching(match vouching {
            RawVouching::Collateral => Vouching::Collateral,
            RawVouching::Reference => Vouching::Reference,
        });
    }
    if let Some(grace) = value::optional_duration(raw.grace.as_ref(), "grace", GRACE_MAX)? {
        config = config.with_grace(grace);
    }
    Ok(NodePlan { config, keys: raw.keys.iter().map(|key| file(key, source)).collect() })
}

pub(super) fn files(raw: &RawEvidence, source: &Source) -> EvidenceFiles {
    let statements = raw.statements.iter().map(|statement| file(statement, source)).collect();
    EvidenceFiles { call: file(&raw.call, source), statements }
}

pub(super) fn file(name: &At<String>, source: &Source) -> StatementFile {
    StatementFile { path: Path::new(source.folder()).join(&name.value), line: name.line }
}

impl Plan {
    /// Reads the statements that bind keys.
    ///
    /// # Errors
    /// [`Fault::FileMissing`] and [`Fault::Statement`], with the line that names the file.
    pub fn keys(&self) -> Result<Vec<Envelope>, PlanError> {
        let files = self.node().map_or(&[][..], |node| &node.keys);
        files.iter().map(|file| self.envelope(file)).collect()
    }

    /// Reads what others say about a step's call, where its file names something.
    ///
    /// # Errors
    /// [`Fault::FileMissing`] and [`Fault::Statement`], with the line that names the file.
    pub fn evidence(&self, step: &BoundStep) -> Result<Option<Presented>, PlanError> {
        step.evidence.as_ref().map(|files| self.presented(files)).transpose()
    }

    /// Reads what an agent is held to, where its file names something.
    ///
    /// # Errors
    /// [`Fault::Bounds`], with the line that names the file.
    pub fn intent(&self, agent: &Agent) -> Result<Option<Bounds>, PlanError> {
        let Some(file) = &agent.intent else { return Ok(None) };
        crate::intent::read(&file.path).map(Some).map_err(|why| {
            let path = file.path.display().to_string();
            self.source().error(Some(file.line), Fault::Bounds { path, why: why.to_string() })
        })
    }

    /// Checks that every statement and every intent that the file names is there and can be read. What it says is for the gate.
    ///
    /// # Errors
    /// As [`keys`](Self::keys), [`evidence`](Self::evidence) and [`intent`](Self::intent).
    pub fn check_statements(&self) -> Result<(), PlanError> {
        self.keys()?;
        self.agents().iter().try_for_each(|agent| self.intent(agent).map(drop))?;
        let steps = self.setup().iter().chain(self.steps());
        steps.filter_map(|step| step.evidence.as_ref()).try_for_each(|files| self.presented(files).map(drop))
    }

    fn presented(&self, EvidenceFiles { call, statements }: &EvidenceFiles) -> Result<Presented, PlanError> {
        if self.session().id.is_none() {
            return Err(self.source().error(Some(call.line), Fault::EvidenceWithoutSession));
        }
        let deadline = self.call(call)?.deadline;
        let statements: Vec<Envelope> =
            statements.iter().map(|file| self.envelope(file)).collect::<Result<_, _>>()?;
        Presented::new(deadline, statements).map_err(|error| self.unfit(call, &error))
    }

    fn call(&self, file: &StatementFile) -> Result<Call, PlanError> {
        let text = self.read(file, PAYLOAD_MAX_BYTES)?;
        let content = Content::from_json(Kind::Witness, &text)
            .or_else(|error| Content::from_json(Kind::Vote, &text).map_err(|_| error));
        match content.map_err(|error| self.unfit(file, &error))? {
            Content::Witness { call } | Content::Vote { call, .. } => Ok(call),
            _ => Err(self.unfit(file, &"it is no call")),
        }
    }

    fn envelope(&self, file: &StatementFile) -> Result<Envelope, PlanError> {
        let text = self.read(file, ENVELOPE_MAX_BYTES)?;
        Envelope::from_json(&text).map_err(|error| self.unfit(file, &error))
    }

    fn read(&self, file: &StatementFile, most: usize) -> Result<Vec<u8>, PlanError> {
        let path = || file.path.display().to_string();
        read_bounded(&file.path, u64::try_from(most).unwrap_or(u64::MAX)).map_err(|why| {
            let fault = match why {
                ReadProblem::TooLarge => {
                    Fault::Statement { path: path(), why: format!("more than {most} bytes") }
                }
                ReadProblem::Io(why) => Fault::FileMissing { path: path(), why },
                ReadProblem::NotAFile => {
                    Fault::FileMissing { path: path(), why: std::io::ErrorKind::IsADirectory }
                }
            };
            self.source().error(Some(file.line), fault)
        })
    }

    fn unfit(&self, file: &StatementFile, why: &dyn std::fmt::Display) -> PlanError {
        let path = file.path.display().to_string();
        self.source().error(Some(file.line), Fault::Statement { path, why: why.to_string() })
    }
}
