//! What a node asks outside of itself: who scores trust, who measures drift, who hands out manifests.
//!
//! Each port is turned on by one call on [`Hypervisor`], for the sessions that are created from then on, and
//! every session records which are on. What is off is off: it says nothing, and nothing is taken for a pass.
//! A port that is on and gives no answer in time costs the agent: it stands in Ring 3, or does not join.
//!
//! ```
//! use hv_core::adapters::{DriftSample, DriftSetup, TrustSetup};
//! use hv_core::integrations::cmvk::NativeVerifier;
//! use hv_core::integrations::drift::Response;
//! use hv_core::integrations::nexus::{NexusAdapter, ReputationEngine, ReputationHistory, Tasks, TrustFacts, VerificationLevel};
//! use hv_core::session::SessionConfig;
//! use hv_core::types::{Did, Ring, SessionId};
//! use hv_core::{Entrant, Hypervisor};
//! use std::sync::Arc;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let engine = Arc::new(ReputationEngine::default());
//! let hv = Hypervisor::in_memory()?
//!     .with_trust("nexus", Arc::clone(&engine), TrustSetup::default())
//!     .with_drift("cmvk", NativeVerifier, DriftSetup::default());
//!
//! // What Nexus has on file of the agent amounts to 820 of 1000 points.
//! let agent = Did::new("did:mesh:agent-1")?;
//! let history = ReputationHistory { successful_tasks: Tasks::whole(85), ..Default::default() };
//! engine.register(&agent, TrustFacts { level: VerificationLevel::Verified, ..history.into() })?;
//! let nexus = NexusAdapter::new(Arc::clone(&engine));
//! assert_eq!(nexus.resolve_sigma(&agent, None)?, "0.82".parse()?);
//!
//! let session = SessionId::new("session-1")?;
//! hv.create_session(&session, SessionConfig::default(), &agent).await?;
//! assert_eq!(hv.join_session(&session, &Entrant::new(agent.clone())).await?, Ring::Standard);
//! hv.activate_session(&session).await?;
//!
//! // Twice it does the opposite of what it claimed: it is slashed, and Nexus knows.
//! let sample = DriftSample { claimed: vec![0.9, 0.1], observed: vec![-0.2, 0.9], ..Default::default() };
//! let first = hv.check_drift(&session, &agent, sample.clone()).await?;
//! assert!(!first.passed() && first.response == Response::Nothing);
//! assert_eq!(hv.check_drift(&session, &agent, sample).await?.response, Response::Slash);
//! assert_eq!(hv.standing(&session, &agent)?.1, Ring::Sandbox);
//! assert_eq!(engine.slash_history(&agent).len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod call;
mod context;
mod correction;
mod drift;
mod manifest;
mod outbox;
mod record;
mod refresh;
mod scores;
mod state;
mod trust;

pub use context::STORE;
pub use correction::Correction;
pub use drift::{DriftAnswer, DriftSample, DriftSetup};
pub use outbox::{Delivered, OUTBOX_MAX};
pub use record::{DriftRecord, DriftVerdict, PortsOn};
pub use trust::TrustSetup;

pub(crate) use drift::evidence as drift_evidence;
pub(crate) use outbox::{Outbox, outcomes};
pub(crate) use refresh::Heard;
pub(crate) use scores::{Scores, lower};
pub(crate) use state::Adapted;

use crate::event::NodeEvent;
use crate::hypervisor::Hypervisor;
use context::ContextPort;
use correction::CorrectionPort;
use drift::DriftPort;
use hv_integrations::context::ContextStore;
use hv_integrations::correction::SelfCorrection;
use hv_integrations::drift::DriftVerifier;
use hv_integrations::manifest::Reception;
use hv_integrations::trust::TrustScorer;
use manifest::ManifestPort;
use scores::Answered;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use trust::TrustPort;

/// What is connected to a node. Nothing can be connected without being seen, and a node to which nothing ever was pays
/// for one look.
#[derive(Debug, Default)]
pub(crate) struct Ports(OnceLock<Mutex<Connected>>);

#[derive(Debug, Default)]
struct Connected {
    trust: Option<Arc<TrustPort>>,
    drift: Option<Arc<DriftPort>>,
    manifests: Option<Arc<ManifestPort>>,
    context: Option<Arc<ContextPort>>,
    correction: Option<Arc<CorrectionPort>>,
}

impl Ports {
    fn connect(&self) -> MutexGuard<'_, Connected> {
        locked(self.0.get_or_init(Mutex::default))
    }

    /// What of all that is connected somebody wants to know; nothing where nothing is.
    fn connected<T: Default>(&self, known: impl FnOnce(&Connected) -> T) -> T {
        self.0.get().map_or_else(T::default, |connected| known(&locked(connected)))
    }

    pub(crate) fn trust(&self) -> Option<Arc<TrustPort>> {
        self.connected(|connected| connected.trust.clone())
    }

    fn drift(&self) -> Option<Arc<DriftPort>> {
        self.connected(|connected| connected.drift.clone())
    }

    fn manifests(&self) -> Option<Arc<ManifestPort>> {
        self.connected(|connected| connected.manifests.clone())
    }

    fn context(&self) -> Option<Arc<ContextPort>> {
        self.connected(|connected| connected.context.clone())
    }

    fn correction(&self) -> Option<Arc<CorrectionPort>> {
        self.connected(|connected| connected.correction.clone())
    }

    /// What a session that is created now has on.
    pub(crate) fn on(&self) -> PortsOn {
        self.connected(|connected| PortsOn {
            trust: connected.trust.as_ref().map(|port| port.name.clone()),
            drift: connected.drift.as_ref().map(|port| (port.name.clone(), port.hysteresis)),
            manifests: connected.manifests.as_ref().map(|port| port.name.clone()),
            context: connected.context.as_ref().map(|port| port.name.clone()),
            correction: connected.correction.as_ref().map(|port| port.name.clone()),
        })
    }
}

/// Replacing a pointer cannot stop half way.
fn locked(connected: &Mutex<Connected>) -> MutexGuard<'_, Connected> {
    connected.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes up what a scorer said, and what it was told.
pub(crate) fn apply(scores: &mut Scores, outbox: &mut Outbox, event: &NodeEvent) {
    match event {
        NodeEvent::Reported { key, agent } => {
            outbox.taken(key);
            scores.forget(agent);
        }
        NodeEvent::Unreported { .. } => outbox.failed(),
        NodeEvent::Scored { agent, sigma, until } => {
            scores.set(agent, Answered::Scored { sigma: *sigma, until: *until });
        }
        NodeEvent::Unscored { agent, .. } => scores.set(agent, Answered::Unscored),
        _ => {}
    }
}

impl Hypervisor {
    /// Turns trust scores on, for the sessions that are created from now on: nobody counts for more than this
    /// scorer says, slashes and outcomes are told to it, and without its answer an agent stands in Ring 3.
    ///
    /// `name` is what an operator calls the scorer; it stands on the trail. A scorer connected before is
    /// replaced.
    #[must_use]
    pub fn with_trust<S>(self, name: &str, scorer: S, setup: TrustSetup) -> Self
    where
        S: TrustScorer + 'static,
    {
        self.node().ports().connect().trust = Some(Arc::new(TrustPort::new(name, scorer, setup)));
        self
    }

    /// Turns drift checks on, for the sessions that are created from now on. Without this call
    /// [`check_drift`](Self::check_drift) is refused; it never passes.
    #[must_use]
    pub fn with_drift<V>(self, name: &str, verifier: V, setup: DriftSetup) -> Self
    where
        V: DriftVerifier + 'static,
    {
        self.node().ports().connect().drift = Some(Arc::new(DriftPort::new(name, verifier, setup)));
        self
    }

    /// Turns manifests on, for the sessions that are created from now on:
    /// [`join_by_manifest`](Self::join_by_manifest) asks this desk, for at most `deadline`.
    #[must_use]
    pub fn with_manifests<R>(self, name: &str, desk: R, deadline: Duration) -> Self
    where
        R: Reception + 'static,
    {
        self.node().ports().connect().manifests = Some(Arc::new(ManifestPort::new(name, desk, deadline)));
        self
    }

    /// Turns a store of context on, for the sessions that are created from now on:
    /// [`publish_file`](Self::publish_file) and [`take_file`](Self::take_file) exchange files with it, waiting for
    /// at most `deadline` each time.
    #[must_use]
    pub fn with_context<S>(self, name: &str, store: S, deadline: Duration) -> Self
    where
        S: ContextStore + 'static,
    {
        self.node().ports().connect().context = Some(Arc::new(ContextPort::new(name, store, deadline)));
        self
    }

    /// Turns self-correction on, for the sessions that are created from now on:
    /// [`tell_failure`](Self::tell_failure) tells it what went wrong, waiting for at most `deadline`.
    #[must_use]
    pub fn with_correction<S>(self, name: &str, corrector: S, deadline: Duration) -> Self
    where
        S: SelfCorrection + 'static,
    {
        let port = CorrectionPort::new(name, corrector, deadline);
        self.node().ports().connect().correction = Some(Arc::new(port));
        self
    }
}
