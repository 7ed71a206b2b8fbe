//! Checking whether an agent does what it claimed, and what follows from it.

use super::call::Caller;
use super::record::{DriftRecord, DriftVerdict};
use crate::consequence::{self, Struck};
use crate::error::{Error, Reason};
use crate::event::SessionEvent;
use crate::hypervisor::Hypervisor;
use crate::node::{Draft, Refusal};
use crate::state::{Slot, State};
use hv_integrations::drift::{Cusum, Indeterminate};
use hv_integrations::drift::{
    Drift, DriftHistory, DriftSettings, DriftThresholds, DriftVerifier, Hysteresis, Metric, Response,
    ThresholdProfile, Verdict,
};
use hv_liability::{SlashOrder, SlashReason};
use hv_types::{Did, Digest, SessionId, Share, Timestamp, Wire};
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// How drift is judged, and how long a node waits for it.
///
/// Fields are public because every value is valid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DriftSetup {
    /// The longest wait for one measurement.
    pub deadline: Duration,
    /// From which score on a drift has which severity.
    pub thresholds: DriftThresholds,
    /// How many samples it takes to act.
    pub hysteresis: Hysteresis,
    /// What counts as a change of the mean. It is told, and nothing follows from it by itself.
    pub cusum: Cusum,
}

/// Five seconds for a measurement; two bad samples of three to act.
impl Default for DriftSetup {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            thresholds: DriftThresholds::default(),
            hysteresis: Hysteresis::default(),
            cusum: Cusum::default(),
        }
    }
}

/// One sample of an agent's behaviour: what it claimed and what was observed, as embeddings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DriftSample {
    /// What it claimed.
    pub claimed: Vec<f64>,
    /// What was observed.
    pub observed: Vec<f64>,
    /// How the distance is measured; as the profile has it where this says nothing.
    pub metric: Option<Metric>,
    /// How much each dimension counts.
    pub weights: Option<Vec<f64>>,
    /// What counts as close enough.
    pub profile: Option<ThresholdProfile>,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftAnswer {
    /// What it says.
    pub verdict: DriftVerdict,
    /// What was measured, where anything was.
    pub drift: Option<Drift>,
    /// What the samples so far call for. A slash is on the ledger when this is returned, and the scorer was
    /// told or will be.
    pub response: Response,
    /// Since how many samples the mean of the agent's drift has been another, where it has just been found.
    pub changed_since: Option<u32>,
}

impl DriftAnswer {
    /// Whether this sample passes: measured, and at most a low drift.
    #[must_use]
    pub const fn passed(&self) -> bool {
        use hv_integrations::trust::Severity;
        matches!(
            self.verdict,
            DriftVerdict::Aligned { .. } | DriftVerdict::Drifted { severity: Severity::Low, .. }
        )
    }
}

/// A verifier that is connected.
pub(crate) struct DriftPort {
    pub(crate) name: String,
    pub(crate) hysteresis: Hysteresis,
    setup: DriftSetup,
    verifier: Arc<dyn DriftVerifier>,
    caller: Caller,
    history: Mutex<DriftHistory>,
}

impl fmt::Debug for DriftPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriftPort")
            .field("name", &self.name)
            .field("setup", &self.setup)
            .finish_non_exhaustive()
    }
}

impl DriftPort {
    pub(super) fn new<V: DriftVerifier + 'static>(name: &str, verifier: V, setup: DriftSetup) -> Self {
        Self {
            name: name.to_owned(),
            hysteresis: setup.hysteresis,
            setup,
            verifier: Arc::new(verifier),
            caller: Caller::default(),
            history: Mutex::default(),
        }
    }

    async fn measure(&self, sample: DriftSample) -> Result<Drift, Indeterminate> {
        let verifier = Arc::clone(&self.verifier);
        let measured = self.caller.call(self.setup.deadline, move || {
            let DriftSample { claimed, observed, metric, weights, profile } = &sample;
            let settings = DriftSettings { metric: *metric, weights: weights.as_deref(), profile: *profile };
            verifier.verify(claimed, observed, &settings).and_then(Drift::believed)
        });
        measured.await.unwrap_or_else(|none| {
            Err(Indeterminate::Unreachable { verifier: format!("{} ({none})", self.name) })
        })
    }

    fn judge(
        &self,
        agent: &Did,
        measured: Result<Drift, Indeterminate>,
    ) -> (DriftVerdict, Option<Drift>, Option<u32>) {
        let drift = measured.as_ref().ok().copied();
        let (verdict, told) = match measured {
            Ok(drift) => {
                let score = rounded_up(drift.score.get());
                match self.setup.thresholds.severity(drift.score) {
                    None => (Verdict::Aligned, DriftVerdict::Aligned { score }),
                    Some(severity) => (Verdict::Drifted(severity), DriftVerdict::Drifted { score, severity }),
                }
            }
            Err(why) => {
                let told = DriftVerdict::Indeterminate { why: why.to_string() };
                (Verdict::Indeterminate(why), told)
            }
        };
        let rules = (self.setup.hysteresis, self.setup.cusum);
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, change) = history.record(agent, &verdict, drift.map(|drift| drift.score), rules);
        (told, drift, change.map(|change| change.since))
    }
}

impl Hypervisor {
    /// Checks whether a member does what it claimed. The check is on the trail; what the samples so far call
    /// for happens with it: a demotion to Ring 3 that ends after enough good samples, or a slash, which the
    /// scorer is told.
    ///
    /// What cannot be measured in time is indeterminate: it does not pass, it counts towards a demotion, and
    /// never towards a slash.
    ///
    /// # Errors
    /// [`Reason::Port`] where drift checks are off in the session; [`Reason::Session`] where the agent is no
    /// member; [`Error::NoSession`], [`Error::Log`], [`Error::Poisoned`].
    pub async fn check_drift(
        &self,
        session: &SessionId,
        agent: &Did,
        sample: DriftSample,
    ) -> Result<DriftAnswer, Error> {
        self.node()
            .commit(|state, _| Ok((Draft::default(), may_check(state, session, agent).map(drop)?)))
            .await?;
        let (verdict, drift, changed_since) = match self.node().ports().drift() {
            Some(port) => port.judge(agent, port.measure(sample).await),
            None => {
                let why = "no drift verifier is connected".to_owned();
                (DriftVerdict::Indeterminate { why }, None, None)
            }
        };
        let response = self
            .node()
            .commit(|state, now| {
                let (slot, member) = may_check(state, session, agent)?;
                let response = slot.adapted.response(member, &verdict).unwrap_or(Response::Nothing);
                let slashed = match response {
                    Response::Slash => slash(state, slot, (agent, member), now),
                    _ => Struck::default(),
                };
                let check = DriftRecord { verdict: verdict.clone(), response, at: now };
                let events = vec![SessionEvent::DriftChecked { member, check }];
                let draft = Draft::default().ledger(slashed.ledger).session(slot.stream, events);
                Ok((draft.also(slashed.sessions), response))
            })
            .await?;
        if response == Response::Slash {
            self.deliver_reports().await?;
        }
        Ok(DriftAnswer { verdict, drift, response, changed_since })
    }

    /// The share of an agent's checks since this node was opened that did not pass, and its mean drift; nothing
    /// where there was none, or no verifier is connected. Kept for 10 000 agents.
    #[must_use]
    pub fn drift_history(&self, agent: &Did) -> Option<(f64, Option<f64>)> {
        let port = self.node().ports().drift()?;
        let history = port.history.lock().unwrap_or_else(PoisonError::into_inner);
        Some((history.rate(agent)?, history.mean(agent)))
    }
}

/// The session and the ordinal of the agent, where it can be checked there.
fn may_check<'a>(
    state: &'a State,
    session: &SessionId,
    agent: &Did,
) -> Result<(&'a Slot, u32), Box<Refusal>> {
    let Some(slot) = state.slot(session) else {
        return Err(Refusal::no_session("check_drift", Some(agent), session));
    };
    if slot.adapted.on().drift.is_none() {
        let reason = Reason::Port { port: "drift", why: "drift checks are off in this session".to_owned() };
        return Err(slot.refuse("check_drift", Some(agent), None, reason));
    }
    match slot.session.known(agent) {
        Some(member) => Ok((slot, member.ordinal)),
        None => {
            let denial = hv_session::SessionDenial::NotAMember { did: agent.clone() };
            Err(slot.refuse_session("check_drift", Some(agent), denial))
        }
    }
}

static EVIDENCE_KEY: LazyLock<[u8; 32]> =
    LazyLock::new(|| blake3::derive_key("hv 2026 drift evidence v1", &[]));

/// What names the check that is recorded next as evidence: the session, the agent and the place of that record.
pub(crate) fn evidence(slot: &Slot, agent: &Did) -> Digest {
    let mut bytes = Vec::new();
    slot.id.put(&mut bytes);
    agent.put(&mut bytes);
    slot.length.put(&mut bytes);
    Digest(*blake3::keyed_hash(&EVIDENCE_KEY, &bytes).as_bytes())
}

/// The slash for a drift. The record of the check is its evidence. An agent without an account has nothing to lose; it is demoted all the same.
fn slash(state: &State, slot: &Slot, (agent, member): (&Did, u32), now: Timestamp) -> Struck {
    let order = SlashOrder {
        evidence: evidence(slot, agent),
        agent: agent.clone(),
        session: Some(slot.ledger_no()),
        fault: Share::ONE,
        class: None,
        risk: None,
        happened: slot.adapted.since(member, now),
        reason: SlashReason::Drift,
    };
    consequence::slash(state, order, now).unwrap_or_default()
}

/// A score from 0 to 1 as a share, rounded up: against the agent.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn rounded_up(score: f64) -> Share {
    Share::capped((score * 1e6).ceil() as u64)
}
