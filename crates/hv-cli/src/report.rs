//! What a run leaves for people and programs to read: one document, drawn from the trail.

use crate::exit::Exit;
use crate::output::{counted, enough, one_line};
use crate::shell::quoted;
use hv_saga::{Purpose, SagaState, StepState};
use hv_types::{ActionId, Did, Digest, Ring, SagaId, SessionId, Share, Sigma, StepId, Timestamp};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// The version of the report's form.
pub const VERSION: u32 = 1;

/// A run from its beginning to where it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The version of this form: [`VERSION`].
    pub version: u32,
    /// How the run ended.
    pub outcome: Outcome,
    /// The exit code of hv: the outcome's.
    pub exit_code: u8,
    /// The session; none where the run was interrupted before there was one.
    pub session: Option<SessionId>,
    /// Why it turned back; none where it did not.
    pub cause: Option<String>,
    /// The root over the session's records; none while it is open.
    pub root: Option<Digest>,
    /// The folder of the trail, absolute.
    pub data: String,
    /// The folder in which the commands worked, absolute.
    pub work: String,
    /// The folders of `[paths]` by name, absolute.
    pub paths: BTreeMap<String, String>,
    /// When the run began.
    pub started: Timestamp,
    /// When it ended, if it has.
    pub ended: Option<Timestamp>,
    /// The agents, in the order in which they joined.
    pub agents: Vec<AgentReport>,
    /// Who vouched for whom.
    pub vouches: Vec<VouchReport>,
    /// The steps of the set-up.
    pub setup: Vec<StepReport>,
    /// What was carried out and undone before the work, to see whether that works.
    pub rehearsal: Vec<StepReport>,
    /// The steps of the work.
    pub steps: Vec<StepReport>,
    /// The steps of the work that committed, in the order in which they did.
    pub commit_order: Vec<StepId>,
    /// The steps of the work that were undone, in the order in which they were.
    pub undo_order: Vec<StepId>,
    /// What was refused.
    pub denials: Vec<DenialReport>,
    /// Who lost reputation, and why.
    pub slashes: Vec<SlashReport>,
    /// The charges that were open when the run ended.
    pub charges: Vec<ChargeReport>,
    /// The undos that failed: from then on nothing of these actions counted as undoable without a rehearsal.
    pub failed_undos: Vec<FailedUndoReport>,
    /// What was looked at after the set-up and at the end.
    pub observations: Vec<ObservationReport>,
    /// What verifying the trail says.
    pub verify: Option<VerifyReport>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every step is done.
    Completed,
    /// Everything is undone.
    RolledBack,
    /// Something could not be undone and waits for a person.
    Escalated,
    /// Something could not be undone, and a person has seen to all of it since.
    Settled,
    /// Refused before anything was done.
    Denied,
    /// Interrupted; it can be resumed.
    Interrupted,
    /// hv itself failed; it may be possible to resume.
    Failed,
}

impl Outcome {
    /// The exit code that tells it.
    #[must_use]
    pub const fn exit(self) -> Exit {
        match self {
            Self::Completed => Exit::Done,
            Self::RolledBack | Self::Settled => Exit::RolledBack,
            Self::Escalated => Exit::Escalated,
            Self::Denied => Exit::Denied,
            Self::Interrupted => Exit::Interrupted,
            Self::Failed => Exit::Failed,
        }
    }

    /// The outcome that a saga's end means; none while it goes on.
    #[must_use]
    pub const fn of(state: SagaState, done: Done) -> Option<Self> {
        match (state, done) {
            (SagaState::New | SagaState::Running | SagaState::Compensating, _) => None,
            (SagaState::Completed, _) => Some(Self::Completed),
            (SagaState::Compensated, Done::Nothing) => Some(Self::Denied),
            (SagaState::Compensated, Done::Something) => Some(Self::RolledBack),
            (SagaState::Escalated, _) => Some(Self::Escalated),
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::RolledBack => "failed; everything is undone",
            Self::Escalated => "escalated; something could not be undone and waits for a person",
            Self::Settled => "failed; what could not be undone is settled, and nothing waits for a person",
            Self::Denied => "denied; nothing was done",
            Self::Interrupted => "interrupted",
            Self::Failed => "hv failed",
        }
    }
}

/// Whether anything was executed before a refusal ended a saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// A step was refused, and no step of the work was executed.
    Nothing,
    /// Some step was executed.
    Something,
}

/// An undo that failed for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedUndoReport {
    /// The action that does not count as one that can be undone any more.
    pub action: ActionId,
    /// Whose undo it was.
    pub agent: Did,
    /// The saga.
    pub saga: SagaId,
    /// The step.
    pub step: StepId,
    /// Why it was not undone.
    pub reason: String,
    /// What a person made of it since; none while it waits.
    pub settled: Option<Settled>,
}

/// What a person made of a step that was not undone, on the word of a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Settled {
    /// Its undo was tried again, and worked.
    Undone,
    /// It was seen to in another way.
    Resolved,
    /// It stays as it is.
    Skipped,
}

impl fmt::Display for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Undone => "undone",
            Self::Resolved => "resolved",
            Self::Skipped => "skipped",
        })
    }
}

/// An agent as it stood last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentReport {
    /// The agent.
    pub did: Did,
    /// Its effective score.
    pub sigma: Sigma,
    /// Its standing ring.
    pub ring: Ring,
    /// Why it was put out of the session, if it was.
    pub put_out: Option<String>,
}

/// One agent answered for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VouchReport {
    /// Who vouched.
    pub voucher: Did,
    /// For whom.
    pub vouchee: Did,
    /// How much reputation was bonded.
    pub bond: Sigma,
}

/// A step and everything that was tried for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// Its name.
    pub id: StepId,
    /// Who did it.
    pub agent: Did,
    /// What it was.
    pub action: ActionId,
    /// The ring that its execution needed; none where the gate was never asked or refused.
    pub ring: Option<Ring>,
    /// Where it stands.
    #[serde(serialize_with = "state")]
    pub state: StepState,
    /// Every attempt, in the order in which they started.
    pub attempts: Vec<AttemptReport>,
    /// That its undo does not count, because nothing shows that it works; said of steps of a session file alone.
    pub undo_unproven: bool,
    /// Why it was given up while nothing of it ran: one of its limits of time.
    pub given_up: Option<String>,
}

/// What would have let a step through whose undo does not count.
const UNPROVEN: &str = "its undo does not count, because nothing shows that it works: give it a `probe`, or say \
                        accept_unproven_undo = true";

impl StepReport {
    /// How often it was executed, and how its attempts to undo went: at most the last of them has undone it.
    fn tried(&self) -> String {
        let tries = |purpose| self.attempts.iter().filter(|attempt| attempt.purpose == purpose).count();
        let executed = format!("{} executed", tries(Purpose::Execute));
        let undos = |count| counted(count, "undo");
        match (tries(Purpose::Undo), self.state) {
            (0, _) => executed,
            (1, StepState::Compensated) => format!("{executed}, 1 undone"),
            (tried, StepState::Compensated) => {
                format!("{executed}, 1 undone, {} failed", undos(tried.saturating_sub(1)))
            }
            (tried, StepState::CompensationFailed) => format!("{executed}, {} failed", undos(tried)),
            (tried, _) => format!("{executed}, {} begun", undos(tried)),
        }
    }

    /// Why the last attempt failed that was to do something, and the last line of what it printed; nothing where none
    /// failed or the step stands all the same.
    pub(crate) fn last_words(&self) -> Option<String> {
        if self.state == StepState::Committed {
            return None;
        }
        let failed = |attempt: &&AttemptReport| {
            attempt.purpose != Purpose::Probe
                && matches!(attempt.outcome, AttemptOutcome::Failed | AttemptOutcome::Unknown)
        };
        let AttemptReport { purpose, reason, printed, .. } = self.attempts.iter().rev().find(failed)?;
        let printed = printed.as_ref().and_then(|text| text.lines().next_back());
        let words = [reason.as_deref(), printed].into_iter().flatten().collect::<Vec<_>>().join(": ");
        Some(format!("{purpose}: {words}"))
    }
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptReport {
    /// What it was for.
    #[serde(serialize_with = "purpose")]
    pub purpose: Purpose,
    /// Which attempt at that, counted from 1.
    pub number: u32,
    /// When it started.
    pub started: Timestamp,
    /// When it ended, if it was seen to.
    pub ended: Option<Timestamp>,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The exit code, where a program ended by itself.
    pub exit: Option<i32>,
    /// The status, where a request was answered.
    pub status: Option<u16>,
    /// Why it did not succeed.
    pub reason: Option<String>,
    /// What it said, in the trail.
    #[serde(skip)]
    pub output: Option<Digest>,
    /// Of one that did not succeed, the end of what it printed on standard error, or on standard output (the answer
    /// of a request) where that is empty: at most [`PRINTED`] characters. None where nothing is kept.
    pub printed: Option<String>,
}

/// How much is told of what an attempt printed that did not succeed, in characters; the trail has all that was kept.
pub const PRINTED: usize = 2000;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// It has not, as far as is known.
    Running,
    /// It succeeded.
    Done,
    /// It failed and left nothing behind.
    Failed,
    /// Nobody knows.
    Unknown,
    /// A probe found the effect.
    Present,
    /// A probe found no effect.
    Absent,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DenialReport {
    /// Who was refused, where that is known.
    pub agent: Option<Did>,
    /// The action that was asked for, if it was one.
    pub action: Option<ActionId>,
    /// What was asked for, as one word: `join`, `step`.
    pub request: String,
    /// Why it was refused.
    pub reason: String,
    /// What would be enough; empty where nothing would.
    pub needs: String,
    /// Why each statement does not count that was brought with it.
    pub rejected: Vec<String>,
}

/// A slash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlashReport {
    /// Who violated.
    pub agent: Did,
    /// The ring in which it stood until then, on its own score and on what others had locked for it; none for one
    /// that was no member.
    pub stood: Option<Ring>,
    /// How much of it was the agent's doing.
    pub fault: Share,
    /// What kind of violation it was.
    pub reason: String,
    /// Digest of what it rests on.
    pub evidence: Digest,
    /// What each agent lost of its reputation, the violator and its vouchers.
    pub losses: Vec<LossReport>,
    /// The vouches that answered for it.
    pub bonds: Vec<BondReport>,
    /// The members that stand lower since, because whoever vouched for them lost too much, or because they vouched.
    pub demoted: Vec<DemotionReport>,
}

/// A charge that was open when the run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChargeReport {
    /// Who is charged.
    pub agent: Did,
    /// What kind of violation it is charged with.
    pub reason: String,
    /// Digest of what the charge rests on; it is called by that.
    pub evidence: Digest,
    /// When it is carried out, unless it is contested.
    pub until: Timestamp,
    /// Whether it is contested, and waits for a ruling.
    pub contested: bool,
}

/// A vouch that answered for a violation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BondReport {
    /// Who vouched.
    pub voucher: Did,
    /// For whom.
    pub vouchee: Did,
    /// How much was bonded.
    pub bond: Sigma,
    /// How much of it was burned.
    pub burned: Sigma,
}

/// A member that stands lower than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DemotionReport {
    /// Who.
    pub agent: Did,
    /// Where it stood.
    pub from: Ring,
    /// Where it stands.
    pub to: Ring,
    /// Its effective score.
    pub sigma: Sigma,
}

/// A loss of reputation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LossReport {
    /// Who lost.
    pub agent: Did,
    /// How much.
    pub amount: Sigma,
}

/// What a read-only command printed, twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObservationReport {
    /// Its name in the session file.
    pub name: String,
    /// What it printed after the set-up; none where it did not run.
    pub before: Option<String>,
    /// What it printed at the end; none where it did not run.
    pub after: Option<String>,
    /// Whether both ran and printed the same.
    pub equal: bool,
}

impl ObservationReport {
    /// Compares the two outputs.
    #[must_use]
    pub fn new(name: &str, before: Option<String>, after: Option<String>) -> Self {
        let equal = before.is_some() && before == after;
        Self { name: name.into(), before, after, equal }
    }
}

/// What verifying the trail says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// `complete`, `open` or `tampered`.
    pub verdict: String,
    /// How far the verdict reaches, in words.
    pub level: String,
    /// Records that were verified.
    pub records: u64,
}

fn state<S: Serializer>(state: &StepState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.name())
}

fn purpose<S: Serializer>(purpose: &Purpose, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(purpose.name())
}

/// The summary that `hv run` prints without `--json`: several lines, no control character in any of them.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |text: String| writeln!(f, "{}", one_line(&text));
        let session = self.session.as_ref().map_or("no session", SessionId::as_str);
        let resume = format!("`hv run --resume --data {}`", quoted(std::path::Path::new(&self.data)));
        let next = match self.outcome {
            Outcome::Interrupted => format!("; go on with {resume}"),
            Outcome::Failed => format!("; look at the messages above, then try {resume}"),
            _ => String::new(),
        };
        line(format!("session {session}: {}{next}", self.outcome.sentence()))?;
        if let Some(cause) = &self.cause {
            line(format!("  because {cause}"))?;
        }
        for agent in &self.agents {
            let AgentReport { did, sigma, ring, put_out } = agent;
            let out = put_out.as_ref().map(|why| format!("; put out: {why}")).unwrap_or_default();
            line(format!("  {did} σ {sigma} {ring}{out}"))?;
        }
        for step in self.setup.iter().chain(&self.rehearsal).chain(&self.steps) {
            let StepReport { id, state, ring, agent, .. } = step;
            let attempts = step.tried();
            let ring = ring.map_or("no ring".to_owned(), |ring| format!("Ring {}", ring.number()));
            line(format!("  {id:<16} {state:<19} {ring:<7} {agent} ({attempts})"))?;
            if let Some(words) = step.last_words() {
                line(format!("    {words}"))?;
            }
            if let Some(why) = &step.given_up {
                line(format!("    given up: {why}"))?;
            }
            if step.undo_unproven && step.state == StepState::Denied {
                line(format!("    {UNPROVEN}"))?;
            }
        }
        if !self.undo_order.is_empty() {
            let order: Vec<_> = self.undo_order.iter().map(StepId::as_str).collect();
            line(format!("  undone in the order {}", order.join(", ")))?;
        }
        for DenialReport { agent, action, request, reason, needs, rejected } in &self.denials {
            let who = agent.as_ref().map(|agent| format!(" of {agent}")).unwrap_or_default();
            let what = action.as_ref().map(|action| format!(" for {action}")).unwrap_or_default();
            let enough = enough(reason, needs);
            line(format!("  denied: {request}{who}{what}: {reason}{enough}"))?;
            rejected.iter().try_for_each(|why| line(format!("    brought in vain: {why}")))?;
        }
        for SlashReport { agent, fault, reason, losses, demoted, .. } in &self.slashes {
            let losses: Vec<_> =
                losses.iter().map(|loss| format!("{} lost {}", loss.agent, loss.amount)).collect();
            line(format!("  slashed: {agent} with fault {fault}: {reason}; {}", losses.join(", ")))?;
            for DemotionReport { agent, from, to, sigma } in demoted {
                line(format!("  demoted: {agent} from {from} to {to}, with σ {sigma}"))?;
            }
        }
        for ChargeReport { agent, reason, evidence, until, contested } in &self.charges {
            let then = if *contested {
                "contested".to_owned()
            } else {
                format!("carried out on {until} unless contested")
            };
            line(format!("  charged: {agent} with {reason}, on evidence {evidence}; {then}"))?;
        }
        for FailedUndoReport { action, agent, saga, step, reason, settled } in &self.failed_undos {
            let since = settled.map(|how| format!("; since then {how} by a person")).unwrap_or_default();
            line(format!(
                "  not undone: {saga}/{step} of {agent}: {reason}{since}; {action} counts as undoable only where it is \
                 rehearsed"
            ))?;
        }
        for observation in &self.observations {
            let verdict = if observation.equal { "as after the set-up" } else { "not as after the set-up" };
            line(format!("  {}: {verdict}", observation.name))?;
        }
        for (name, path) in &self.paths {
            line(format!("  {name}: {path}"))?;
        }
        line(format!("  trail: {}", self.data))?;
        if let Some(verify) = &self.verify {
            line(format!(
                "  verified: {} ({}), {}",
                verify.verdict,
                verify.level,
                counted(verify.records, "record")
            ))?;
        }
        match self.root {
            Some(root) => line(format!("  root: {root}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Report {
        let step = |text: &str| StepId::new(text).unwrap();
        let did = Did::new("did:mesh:a").unwrap();
        let action = ActionId::new("git.tag").unwrap();
        let attempt = |purpose, outcome, exit| AttemptReport {
            purpose,
            number: 1,
            started: Timestamp(1_000_000_000),
            ended: Some(Timestamp(2_000_000_000)),
            outcome,
            exit,
            status: None,
            reason: None,
            output: None,
            printed: None,
        };
        Report {
            version: VERSION,
            outcome: Outcome::RolledBack,
            exit_code: Outcome::RolledBack.exit().code(),
            session: Some(SessionId::new("s").unwrap()),
            cause: Some("step tag failed".into()),
            root: Some(Digest([0xab; 32])),
            data: "/d".into(),
            work: "/w".into(),
            paths: BTreeMap::from([("remote".into(), "/w/r\n".into())]),
            started: Timestamp(0),
            ended: None,
            agents: vec![AgentReport {
                did: did.clone(),
                sigma: Sigma::capped(850_000),
                ring: Ring::Standard,
                put_out: None,
            }],
            vouches: vec![],
            setup: vec![],
            rehearsal: vec![],
            steps: vec![StepReport {
                id: step("tag"),
                agent: did.clone(),
                action: action.clone(),
                ring: Some(Ring::Standard),
                state: StepState::Compensated,
                attempts: vec![
                    attempt(Purpose::Execute, AttemptOutcome::Done, Some(0)),
                    attempt(Purpose::Undo, AttemptOutcome::Done, Some(0)),
                ],
                undo_unproven: false,
                given_up: None,
            }],
            commit_order: vec![step("tag")],
            undo_order: vec![step("tag")],
            denials: vec![DenialReport {
                agent: Some(did),
                action: Some(action),
                request: "step".into(),
                reason: "no".into(),
                needs: "a quorum".into(),
                rejected: vec!["the statement of did:mesh:b does not count: it was used before".into()],
            }],
            slashes: vec![],
            charges: vec![],
            failed_undos: vec![],
            observations: vec![
                ObservationReport::new("log", Some("x".into()), Some("x".into())),
                ObservationReport::new("status", None, None),
            ],
            verify: None,
        }
    }

    #[test]
    fn the_document_has_the_fields_that_others_read() {
        let json = serde_json::to_value(sample()).unwrap();
        assert_eq!(json["outcome"], "rolled_back");
        assert_eq!(json["exit_code"], 3);
        assert_eq!(json["root"].as_str().unwrap(), "ab".repeat(32));
        assert_eq!(json["agents"][0]["sigma"], 0.85);
        assert_eq!(json["agents"][0]["ring"], 2);
        assert_eq!(json["cause"], "step tag failed");
        assert_eq!(json["steps"][0]["state"], "compensated");
        assert_eq!(json["steps"][0]["attempts"][1]["purpose"], "undo");
        assert_eq!(json["steps"][0]["attempts"][0]["started"], "1970-01-01T00:00:01.000Z");
        assert_eq!(json["denials"][0]["needs"], "a quorum");
        assert_eq!(json["observations"][0]["equal"], true);
        assert_eq!(json["observations"][1]["equal"], false);
        assert_eq!(json["slashes"], serde_json::json!([]));
    }

    #[test]
    fn the_summary_is_readable_and_holds_no_control_character() {
        let text = sample().to_string();
        for part in [
            "session s: failed; everything is undone\n  because step tag failed\n",
            "tag              compensated         Ring 2  did:mesh:a (1 executed, 1 undone)",
            "undone in the order tag",
            "denied: step of did:mesh:a for git.tag: no; enough would be a quorum",
            "    brought in vain: the statement of did:mesh:b does not count: it was used before",
            "remote: /w/r\\n",
            "status: not as after the set-up",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    }

    #[test]
    fn an_attempt_to_undo_that_failed_is_not_called_undone() {
        let mut report = sample();
        let step = &mut report.steps[0];
        let undo = step.attempts[1].clone();
        step.state = StepState::CompensationFailed;
        assert_eq!(step.tried(), "1 executed, 1 undo failed", "also where it said that it was done");
        step.attempts.push(undo);
        assert_eq!(step.tried(), "1 executed, 2 undos failed");
        step.state = StepState::Compensated;
        assert_eq!(step.tried(), "1 executed, 1 undone, 1 undo failed");
        step.state = StepState::Undoing;
        assert_eq!(step.tried(), "1 executed, 2 undos begun");
    }

    #[test]
    fn every_end_of_a_saga_has_its_exit_code() {
        use SagaState::*;
        for (state, done, code) in [
            (Completed, Done::Something, 0),
            (Compensated, Done::Something, 3),
            (Compensated, Done::Nothing, 5),
            (Escalated, Done::Something, 4),
        ] {
            assert_eq!(Outcome::of(state, done).unwrap().exit().code(), code);
        }
        for state in [New, Running, Compensating] {
            assert_eq!(Outcome::of(state, Done::Something), None);
        }
        assert_eq!(Outcome::Interrupted.exit().code(), 130);
    }
}
