//! Another node that says something, and a node that weighs it.

use super::*;
use crate::{EndedSessions, ManualClock};
use hv_audit::{KeyKind, Log, MemoryLog, NoteSigner, Transcript};
use hv_identity::Signer;
use hv_session::SessionConfig;
use hv_types::Digest;

const MINUTE: Duration = Duration::from_secs(60);

struct Keeper(Signer);

impl NoteSigner for Keeper {
    fn public(&self) -> [u8; 32] {
        *self.0.public().as_bytes()
    }

    fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        self.0.sign_note(core::str::from_utf8(message).ok()?)
    }
}

fn keeper(seed: u8) -> (VerifierKey, Keeper) {
    let signer = Signer::new(&[seed; 32]).unwrap();
    let key = VerifierKey::new("node.example/a", KeyKind::Signer, *signer.public().as_bytes()).unwrap();
    (key, Keeper(signer))
}

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

fn session(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

/// Another node, on which the agent took part in so many sessions; and what it says of it.
struct Other {
    log: Arc<MemoryLog>,
    roots: Vec<Digest>,
}

impl Other {
    async fn with(sessions: u32) -> Self {
        let (log, clock) = (Arc::new(MemoryLog::new()), Arc::new(ManualClock::at(Timestamp(1))));
        let hv = Hypervisor::open(log.clone(), clock).unwrap();
        let mut roots = Vec::new();
        for n in 0..sessions {
            let id = session(&format!("s{n}"));
            hv.create_session(&id, SessionConfig::default(), &did("admin")).await.unwrap();
            let entrant = Entrant::new(did("a")).with_sigma("0.85".parse().unwrap());
            hv.join_session(&id, &entrant).await.unwrap();
            hv.activate_session(&id).await.unwrap();
            roots.push(hv.terminate_session(&id).await.unwrap());
        }
        Self { log, roots }
    }

    fn says(&self, agent: &str, (from, lasting): (Timestamp, Duration), seed: u8) -> Vec<u8> {
        let read = Transcript::of(&*self.log, &mut |_| false).unwrap();
        let mut ended = EndedSessions::default();
        self.log
            .replay(&mut |entry| {
                ended.take(&entry);
                Ok(())
            })
            .unwrap();
        let (key, signer) = keeper(seed);
        let made =
            HistoryProof::make(&read, &did(agent), ended.of(&did("a")), (from, lasting), (&key, &signer));
        made.unwrap().to_file()
    }
}

/// What is answered; nothing where the node cannot be reached.
#[derive(Debug, Default)]
struct Source(Mutex<Option<Vec<u8>>>);

impl HistorySource for Source {
    fn fetch(&self, _: &str, _: &Did) -> Result<Vec<u8>, String> {
        self.0.lock().unwrap().clone().ok_or_else(|| "nobody is there".to_owned())
    }
}

/// A node that listens to the other.
struct Here {
    hv: Hypervisor,
    clock: Arc<ManualClock>,
    source: Arc<Source>,
    joined: u32,
}

impl Here {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp(0).after(MINUTE * 1000)));
        let hv = Hypervisor::open(Arc::new(MemoryLog::new()), clock.clone()).unwrap();
        hv.listen_to_histories(vec![keeper(1).0]);
        Self { hv, clock, source: Arc::default(), joined: 0 }
    }

    fn answer(&self, bytes: Option<Vec<u8>>) {
        *self.source.0.lock().unwrap() = bytes;
    }

    /// Lets the agent join a session of its own with what the other node says; gives ring and caps.
    async fn join(&mut self) -> (Ring, Vec<Cap>) {
        let id = session(&format!("here{}", self.joined));
        self.joined += 1;
        self.hv.create_session(&id, SessionConfig::default(), &did("admin")).await.unwrap();
        let entrant = Entrant::new(did("a")).with_sigma("0.85".parse().unwrap());
        let entrant = self.hv.with_history_of(entrant, "node.example/a", self.source.clone()).await.unwrap();
        let ring = self.hv.join_session(&id, &entrant).await.unwrap();
        (ring, self.caps(&id))
    }

    fn caps(&self, id: &SessionId) -> Vec<Cap> {
        self.hv.node().read(|state, _| state.slot(id).unwrap().caps(&did("a")).to_vec()).unwrap()
    }
}

#[tokio::test]
async fn f19_a_history_elsewhere_counts_as_far_as_its_node_proves_it() {
    let at = Timestamp(0).after(MINUTE * 1000);
    for (sessions, caps) in [(7, vec![]), (5, vec![]), (4, vec![Cap::Probation]), (0, vec![Cap::Probation])] {
        let (other, mut here) = (Other::with(sessions).await, Here::new());
        here.answer(Some(other.says("a", (at, MINUTE), 1)));
        assert_eq!(here.join().await, (Ring::Standard, caps), "{sessions}");
        let last = other.roots.iter().rev().take(5).rev().copied().collect::<Vec<_>>();
        let known = here.hv.node().elsewhere().known().proven.values().next().cloned().unwrap();
        assert_eq!((known.summaries, known.until), (last, at.after(MINUTE)));
    }
}

#[tokio::test]
async fn f19_a_history_elsewhere_that_does_not_hold_keeps_an_agent_in_ring_3() {
    let at = Timestamp(0).after(MINUTE * 1000);
    let other = Other::with(5).await;
    let good = other.says("a", (at, MINUTE), 1);
    let mut bad = vec![
        (other.says("b", (at, MINUTE), 1), "another agent"),
        (other.says("a", (at, MINUTE), 2), "another key"),
        (other.says("a", (at.after(MINUTE * 2), MINUTE), 1), "for later"),
        (other.says("a", (Timestamp(0), MINUTE), 1), "its time is over"),
        (good[..good.len() - 1].to_vec(), "cut"),
        (b"hv-hist\n".to_vec(), "nothing"),
    ];
    for byte in (0..good.len()).step_by(17) {
        let mut changed = good.clone();
        changed[byte] ^= 4;
        bad.push((changed, "a changed byte"));
    }
    let mut here = Here::new();
    for (file, what) in bad {
        here.answer(Some(file));
        let (ring, caps) = here.join().await;
        assert_eq!((ring, caps), (Ring::Sandbox, vec![Cap::SuspiciousHistory]), "{what}");
    }
    // A node that nobody here listens to proves nothing.
    here.hv.listen_to_histories(Vec::new());
    here.answer(Some(good));
    assert_eq!(here.join().await.1, [Cap::SuspiciousHistory]);
}

#[tokio::test]
async fn f19_a_node_that_cannot_be_reached_means_ring_3_until_it_answers() {
    let at = Timestamp(0).after(MINUTE * 1000);
    let other = Other::with(5).await;
    let mut here = Here::new();
    assert_eq!(here.join().await, (Ring::Sandbox, vec![Cap::UnreachableHistory]));
    let retry =
        async |here: &Here| here.hv.retry_histories("node.example/a", here.source.clone()).await.unwrap();
    assert_eq!(retry(&here).await, 0);
    assert_eq!(here.caps(&session("here0")), [Cap::UnreachableHistory]);
    here.answer(Some(other.says("a", (at, MINUTE), 1)));
    assert_eq!(retry(&here).await, 1);
    assert_eq!(here.caps(&session("here0")), []);
    let ring = here
        .hv
        .node()
        .read(|state, now| state.standing(state.slot(&session("here0")).unwrap(), &did("a"), now).1.ring());
    assert_eq!(ring.unwrap(), Ring::Standard);
    assert_eq!(retry(&here).await, 0, "nobody waits any more");
    // What is found may be bad.
    here.hv.listen_to_histories(vec![keeper(1).0]);
    here.answer(None);
    assert_eq!(here.join().await.1, [Cap::UnreachableHistory]);
    here.answer(Some(other.says("b", (at, MINUTE), 1)));
    assert_eq!(retry(&here).await, 1);
    assert_eq!(here.caps(&session("here1")), [Cap::SuspiciousHistory]);
}

#[tokio::test]
async fn f19_what_was_proven_counts_no_longer_than_stated() {
    let at = Timestamp(0).after(MINUTE * 1000);
    let other = Other::with(5).await;
    for (lasting, counts) in [(MINUTE * 10, MINUTE * 10), (MINUTE * 600, HISTORY_LIFE)] {
        let mut here = Here::new();
        here.answer(Some(other.says("a", (at, lasting), 1)));
        assert_eq!(here.join().await.1, []);
        here.answer(None);
        here.clock.advance(counts);
        assert_eq!(here.join().await.1, [], "to the last nanosecond");
        here.clock.advance(Duration::from_nanos(1));
        assert_eq!(here.join().await, (Ring::Sandbox, vec![Cap::UnreachableHistory]), "{counts:?}");
    }
    // Whoever is not listened to any more is not believed either.
    let mut here = Here::new();
    here.answer(Some(other.says("a", (at, MINUTE), 1)));
    assert_eq!(here.join().await.1, []);
    here.answer(None);
    here.hv.listen_to_histories(vec![keeper(1).0]);
    assert_eq!(here.join().await.1, [Cap::UnreachableHistory]);
}

#[tokio::test]
async fn a_history_is_said_for_a_day_at_most() {
    let other = Other::with(1).await;
    let read = Transcript::of(&*other.log, &mut |_| false).unwrap();
    let (key, signer) = keeper(1);
    let asked = |lasting| {
        HistoryProof::make(&read, &did("a"), &[], (Timestamp(0), lasting), (&key, &signer)).map(drop)
    };
    assert_eq!(asked(MINUTE * 1440), Ok(()));
    assert_eq!(asked(MINUTE * 1440 + Duration::from_nanos(1)), Err(BadHistory::Time));
}
