//! Scorers, verifiers and desks at a node: what they say counts, what they do not say counts against the agent.

use hv_core::adapters::{DriftSample, DriftSetup, DriftVerdict, TrustSetup};
use hv_core::audit::MemoryLog;
use hv_core::event::{NodeEvent, SessionEvent};
use hv_core::integrations::cmvk::{CmvkAdapter, NativeVerifier};
use hv_core::integrations::drift::{Drift, DriftSettings, DriftVerifier, Indeterminate, Response};
use hv_core::integrations::iatp::ManifestDesk;
use hv_core::integrations::manifest::{Fetched, ManifestFault, ManifestSource, Provenance};
use hv_core::integrations::nexus::{
    ReputationEngine, ReputationHistory, Tasks, TrustFacts, VerificationLevel,
};
use hv_core::integrations::trust::{ScorerFault, Severity, TrustEvent, TrustPoints, TrustScorer};
use hv_core::session::{Expect, SessionConfig};
use hv_core::types::{Did, Ring, SessionId, Timestamp};
use hv_core::{Entrant, Error, Hypervisor, ManualClock, Reason, TrailEvent, read_record};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant};

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

fn sid() -> SessionId {
    SessionId::new("s").unwrap()
}

/// A scorer that says what it is told to say; below 0 it says nothing.
#[derive(Debug, Default)]
struct Said {
    points: AtomicI64,
    asked: AtomicU32,
    told: AtomicU32,
}

impl TrustScorer for Said {
    type Facts = ();

    fn points(&self, _: &Did, _: Option<&()>) -> Result<TrustPoints, ScorerFault> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.points.load(Ordering::SeqCst) {
            -1 => Err(ScorerFault::Unreachable { scorer: "the scorer".into() }),
            points => Ok(TrustPoints::new(points)?),
        }
    }

    fn report(&self, _: &TrustEvent) -> Result<(), ScorerFault> {
        self.told.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Said {
    fn saying(points: i64) -> Arc<Self> {
        let said = Self::default();
        said.say(points);
        Arc::new(said)
    }

    fn say(&self, points: i64) {
        self.points.store(points, Ordering::SeqCst);
    }
}

struct Stage {
    hv: Hypervisor,
    log: Arc<MemoryLog>,
    clock: Arc<ManualClock>,
}

fn node() -> Stage {
    let (log, clock) = (Arc::new(MemoryLog::new()), Arc::new(ManualClock::at(Timestamp(1_000_000_000))));
    Stage { hv: Hypervisor::open(log.clone(), clock.clone()).unwrap(), log, clock }
}

impl Stage {
    fn reopened(&self) -> Hypervisor {
        Hypervisor::open(self.log.clone(), self.clock.clone()).unwrap()
    }

    fn events(&self) -> Vec<TrailEvent> {
        let mut events = Vec::new();
        hv_core::audit::Log::replay(&*self.log, &mut |entry| {
            events.extend(read_record(&entry).unwrap().events);
            Ok(())
        })
        .unwrap();
        events
    }

    fn node_events(&self) -> Vec<NodeEvent> {
        let node = |event| if let TrailEvent::Node(event) = event { Some(event) } else { None };
        self.events().into_iter().filter_map(node).collect()
    }
}

async fn opened(hv: &Hypervisor, entrant: &Entrant) -> Ring {
    hv.create_session(&sid(), SessionConfig::default(), &did("admin")).await.unwrap();
    let ring = hv.join_session(&sid(), entrant).await.unwrap();
    hv.activate_session(&sid()).await.unwrap();
    ring
}

async fn write(hv: &Hypervisor, agent: &str) -> Result<(), Error> {
    hv.write_file(&sid(), &did(agent), "a.txt", b"text".to_vec(), Expect::Any).await
}

fn given(sigma: &str) -> Entrant {
    Entrant::new(did("a")).with_sigma(sigma.parse().unwrap())
}

fn sample(observed: [f64; 2]) -> DriftSample {
    DriftSample { claimed: vec![1.0, 0.0], observed: observed.to_vec(), ..DriftSample::default() }
}

const SAME: [f64; 2] = [1.0, 0.01];
/// By cosine: 0.5 of 1, a high drift.
const ACROSS: [f64; 2] = [0.0, 1.0];
/// By cosine: about 0.36, a medium drift.
const ASKEW: [f64; 2] = [0.28, 0.96];

#[tokio::test]
async fn the_lower_of_what_is_given_and_what_is_scored_counts() {
    for (given_sigma, points, sigma, ring) in [
        (Some("0.85"), 900, "0.85", Ring::Standard),
        (Some("0.85"), 700, "0.70", Ring::Standard),
        (Some("0.85"), 600, "0.60", Ring::Sandbox),
        (Some("0.50"), 900, "0.50", Ring::Sandbox),
        (None, 820, "0.82", Ring::Standard),
        (None, 400, "0.40", Ring::Sandbox),
    ] {
        let Stage { hv, .. } = node();
        let hv = hv.with_trust("nexus", Said::saying(points), TrustSetup::default());
        let entrant = given_sigma.map_or_else(|| Entrant::new(did("a")), given);
        assert_eq!(opened(&hv, &entrant).await, ring, "{given_sigma:?} {points}");
        assert_eq!(hv.standing(&sid(), &did("a")).unwrap(), (sigma.parse().unwrap(), ring));
    }
}

#[tokio::test]
async fn an_answer_counts_for_its_life_and_then_is_asked_for_again() {
    let stage = node();
    let scorer = Said::saying(900);
    let hv = stage.hv.clone().with_trust("nexus", scorer.clone(), TrustSetup::default());
    assert_eq!(opened(&hv, &given("0.85")).await, Ring::Standard);
    write(&hv, "a").await.unwrap();
    assert_eq!(scorer.asked.load(Ordering::SeqCst), 1, "an answer is kept");
    scorer.say(300);
    write(&hv, "a").await.unwrap();
    stage.clock.advance(Duration::from_secs(31));
    let Err(Error::Denied(denied)) = write(&hv, "a").await else { panic!("0.30 writes") };
    assert!(matches!(denied.reason, Reason::Gate(_)));
    assert_eq!(scorer.asked.load(Ordering::SeqCst), 2);
    // What was opened again without a scorer knows nobody who counts any more.
    scorer.say(900);
    stage.clock.advance(Duration::from_secs(31));
    write(&hv, "a").await.unwrap();
    let alone = stage.reopened();
    assert_eq!(alone.standing(&sid(), &did("a")).unwrap().1, Ring::Standard);
    stage.clock.advance(Duration::from_secs(31));
    assert_eq!(alone.standing(&sid(), &did("a")).unwrap().1, Ring::Sandbox);
    assert!(write(&alone, "a").await.is_err());
}

#[tokio::test]
async fn a_scorer_that_says_nothing_or_nonsense_leaves_ring_3_and_the_trail_says_so() {
    for points in [-1, 5000, -7, i64::MAX] {
        let stage = node();
        let scorer = Said::saying(points);
        let hv = stage.hv.clone().with_trust("nexus", scorer.clone(), TrustSetup::default());
        assert_eq!(opened(&hv, &given("0.99")).await, Ring::Sandbox, "{points}");
        assert!(write(&hv, "a").await.is_err(), "{points}");
        let said =
            |event: &NodeEvent| matches!(event, NodeEvent::Unscored { agent, .. } if *agent == did("a"));
        assert_eq!(stage.node_events().iter().filter(|event| said(event)).count(), 1, "{points}");
        // It comes back, and so does the agent.
        scorer.say(900);
        stage.clock.advance(Duration::from_secs(6));
        write(&hv, "a").await.unwrap();
    }
}

#[tokio::test]
async fn a_scorer_that_hangs_costs_its_deadline_once() {
    struct Hangs;
    impl TrustScorer for Hangs {
        type Facts = ();
        fn points(&self, _: &Did, _: Option<&()>) -> Result<TrustPoints, ScorerFault> {
            std::thread::sleep(Duration::from_secs(30));
            Ok(TrustPoints::MAX)
        }
        fn report(&self, _: &TrustEvent) -> Result<(), ScorerFault> {
            std::thread::sleep(Duration::from_secs(30));
            Ok(())
        }
    }
    let setup = TrustSetup { deadline: Duration::from_millis(100), ..TrustSetup::default() };
    let hv = node().hv.with_trust("nexus", Hangs, setup);
    let began = Instant::now();
    assert_eq!(opened(&hv, &given("0.99")).await, Ring::Sandbox);
    for _ in 0..50 {
        assert!(write(&hv, "a").await.is_err());
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn f21_drift_that_is_off_is_refused_and_never_passes() {
    let stage = node();
    opened(&stage.hv, &given("0.85")).await;
    let refused = stage.hv.check_drift(&sid(), &did("a"), sample(SAME)).await;
    let Err(Error::Denied(denied)) = refused else { panic!("{refused:?}") };
    assert!(matches!(denied.reason, Reason::Port { port: "drift", .. }));
    let on = stage.events().into_iter().find_map(|event| match event {
        TrailEvent::Session(event) => {
            if let SessionEvent::Ports { on } = *event {
                Some(on)
            } else {
                None
            }
        }
        _ => None,
    });
    assert_eq!(
        on.unwrap().to_string(),
        "trust scores off, drift checks off, manifests off, context off, correction off"
    );
    // A verifier that is connected later is none of this session's.
    let hv = stage.hv.clone().with_drift("cmvk", NativeVerifier, DriftSetup::default());
    assert!(hv.check_drift(&sid(), &did("a"), sample(SAME)).await.is_err());
}

/// A verifier that measures well and answers with these numbers.
struct Odd {
    confidence: f64,
    raw_distance: f64,
}

impl DriftVerifier for Odd {
    fn verify(&self, a: &[f64], b: &[f64], how: &DriftSettings<'_>) -> Result<Drift, Indeterminate> {
        let Self { confidence, raw_distance } = *self;
        NativeVerifier.verify(a, b, how).map(|drift| Drift { confidence, raw_distance, ..drift })
    }
}

#[tokio::test]
async fn f21_a_verifier_whose_numbers_cannot_be_is_not_believed() {
    let agent = did("a");
    for (confidence, raw_distance, believed) in [
        (0.0, 0.0, true),
        (1.0, 3.0, true),
        (f64::NAN, 0.0, false),
        (1.000_001, 0.0, false),
        (-0.1, 0.0, false),
        (0.9, f64::NAN, false),
        (0.9, f64::INFINITY, false),
    ] {
        let odd = || Odd { confidence, raw_distance };
        let Stage { hv, .. } = node();
        let hv = hv.with_drift("own", odd(), DriftSetup::default());
        opened(&hv, &given("0.9")).await;
        let answer = hv.check_drift(&sid(), &agent, sample(SAME)).await.unwrap();
        assert_eq!(
            matches!(answer.verdict, DriftVerdict::Aligned { .. }),
            believed,
            "{confidence} {raw_distance}"
        );
        assert_eq!(answer.drift.is_some(), believed);
        let mut adapter = CmvkAdapter::new(odd());
        let checked = adapter.check_behavioral_drift(&agent, &sid(), &[1.0, 0.0], &SAME);
        assert_eq!(checked.passed(), believed, "{confidence} {raw_distance}");
    }
}

#[tokio::test]
async fn drift_demotes_and_calm_restores() {
    let stage = node();
    let hv = stage.hv.clone().with_drift("cmvk", NativeVerifier, DriftSetup::default());
    opened(&hv, &given("0.85")).await;
    let agent = did("a");
    let mut seen = Vec::new();
    for observed in [SAME, ASKEW, [f64::NAN, 1.0], SAME, SAME, SAME] {
        let answer = hv.check_drift(&sid(), &agent, sample(observed)).await.unwrap();
        seen.push((answer.passed(), answer.response, hv.standing(&sid(), &agent).unwrap().1));
    }
    assert_eq!(
        seen,
        [
            (true, Response::Nothing, Ring::Standard),
            (false, Response::Nothing, Ring::Standard),
            (false, Response::Demote, Ring::Sandbox),
            (true, Response::Nothing, Ring::Sandbox),
            (true, Response::Nothing, Ring::Sandbox),
            (true, Response::Restore, Ring::Standard),
        ]
    );
    assert_eq!(stage.reopened().standing(&sid(), &agent).unwrap().1, Ring::Standard);
    assert_eq!(hv.drift_history(&agent).unwrap().0, 2.0 / 6.0);
}

#[tokio::test]
async fn drift_slashes_and_the_slash_reaches_the_scorer_once_whatever_happens_in_between() {
    let stage = node();
    let setup = DriftSetup { deadline: Duration::from_secs(5), ..DriftSetup::default() };
    let scorer = Said::saying(900);
    let hv = stage.hv.clone().with_trust("nexus", scorer.clone(), TrustSetup::default());
    let hv = hv.with_drift("cmvk", NativeVerifier, setup);
    opened(&hv, &given("0.85")).await;
    // Nobody to tell it to.
    struct Deaf;
    impl TrustScorer for Deaf {
        type Facts = ();
        fn points(&self, _: &Did, _: Option<&()>) -> Result<TrustPoints, ScorerFault> {
            Ok(TrustPoints::MAX)
        }
        fn report(&self, _: &TrustEvent) -> Result<(), ScorerFault> {
            Err(ScorerFault::Unreachable { scorer: "the scorer".into() })
        }
    }
    let hv = hv.with_trust("nexus", Deaf, TrustSetup::default());
    for (observed, response) in [(ACROSS, Response::Nothing), (ACROSS, Response::Slash)] {
        let answer = hv.check_drift(&sid(), &did("a"), sample(observed)).await.unwrap();
        assert_eq!(answer.response, response);
        assert!(matches!(answer.verdict, DriftVerdict::Drifted { .. }));
    }
    assert_eq!(hv.standing(&sid(), &did("a")).unwrap().0, "0".parse().unwrap());
    assert_eq!(hv.reports_owed().unwrap(), 1);
    hv.deliver_reports().await.unwrap();
    let told = |event: &NodeEvent| matches!(event, NodeEvent::Unreported { .. });
    assert_eq!(stage.node_events().iter().filter(|event| told(event)).count(), 1, "said once");
    // Another process, and a scorer that listens.
    let engine = Arc::new(ReputationEngine::default());
    let history = ReputationHistory { successful_tasks: Tasks::whole(85), ..Default::default() };
    let facts = TrustFacts { level: VerificationLevel::Verified, ..history.into() };
    engine.register(&did("a"), facts).unwrap();
    for taken in [1, 0] {
        let hv = stage.reopened().with_trust("nexus", engine.clone(), TrustSetup::default());
        let delivered = hv.deliver_reports().await.unwrap();
        assert_eq!((delivered.taken, delivered.left), (taken, 0));
    }
    let slashes = engine.slash_history(&did("a"));
    assert_eq!(slashes.len(), 1);
    // As bad as the drift was, also to a node that was opened again.
    assert_eq!(slashes[0].severity, Severity::High);
    assert_eq!((slashes[0].reason.as_str(), slashes[0].score_before.get()), ("drift", 820));
    assert_eq!(scorer.told.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn f20_who_joins_by_a_manifest_joins_by_its_own_and_no_higher_than_an_unattested_hint() {
    struct Sidecar;
    impl ManifestSource for Sidecar {
        fn fetch(&self, agent: &Did) -> Result<Fetched, ManifestFault> {
            let (id, level) = match agent.as_str() {
                "did:mesh:a" => ("did:mesh:a", "verified_partner"),
                "did:mesh:b" => ("did:mesh:a", "trusted"),
                "did:mesh:c" => return Err(ManifestFault::None { agent: agent.clone() }),
                "did:mesh:d" => ("did:mesh:d", "unknown"),
                _ => {
                    std::thread::sleep(Duration::from_secs(30));
                    ("did:mesh:e", "trusted")
                }
            };
            let text = format!(
                r#"{{"agent_id": "{id}", "trust_level": "{level}", "scopes": ["hv.files.change"],
                "capabilities": {{"reversibility": "full"}}, "privacy_contract": {{"retention": "ephemeral"}}}}"#
            );
            Ok(Fetched { text, provenance: Provenance::WireUnattested })
        }
    }
    let deadline = Duration::from_millis(200);
    let hv = node().hv.with_manifests("iatp", ManifestDesk::new(Sidecar), deadline);
    hv.create_session(&sid(), SessionConfig::default(), &did("admin")).await.unwrap();
    // A hint of 1.0 over a wire is 0.60, which is not above 0.60.
    assert_eq!(hv.join_by_manifest(&sid(), &did("a")).await.unwrap(), Ring::Sandbox);
    assert_eq!(hv.join_by_manifest(&sid(), &did("d")).await.unwrap(), Ring::Sandbox);
    for (name, why) in [("b", "did:mesh:a"), ("c", "no manifest"), ("e", "200 ms")] {
        let refused = hv.join_by_manifest(&sid(), &did(name)).await;
        let Err(Error::Denied(denied)) = refused else { panic!("{name}: {refused:?}") };
        assert!(denied.reason.to_string().contains(why), "{}", denied.reason);
    }
}
