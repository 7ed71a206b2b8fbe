//! Trust histories of agents, as this node's own trail proves them.

use crate::error::Error;
use crate::event::{MembershipEvent, NodeEvent, SessionEvent};
use crate::few::Few;
use crate::hypervisor::{Entrant, Hypervisor};
use crate::trail::{TrailEvent, read_record};
use foldhash::quality::RandomState;
use hv_audit::{Entry, HISTORY_LENGTH, History, Kind, StreamNo, check_history};
use hv_rings::standing::Cap;
use hv_types::wire::Reader;
use hv_types::{Did, Digest, Undecodable, Wire};
use std::collections::{BTreeMap, BTreeSet};

/// The roots of the sessions in which agents took part and that are closed, the last five of each.
#[derive(Debug, Default)]
pub(crate) struct Histories(Few<Did, Vec<Digest>, RandomState>);

/// As a snapshot keeps it.
impl Wire for Histories {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        Wire::take(reader).map(Self)
    }
}

impl Histories {
    /// A session with this member is closed.
    pub(crate) fn ended(&mut self, member: &Did, root: Digest) {
        let Some(history) = self.0.get_mut(member) else {
            self.0.insert(member.clone(), vec![root]);
            return;
        };
        if history.len() >= HISTORY_LENGTH {
            history.remove(0);
        }
        history.push(root);
    }

    /// What is proven of an agent, the oldest first.
    pub(crate) fn of(&self, agent: &Did) -> &[Digest] {
        self.0.get(agent).map_or(&[], Vec::as_slice)
    }

    /// As it was when records of sessions were destroyed.
    pub(crate) fn restore(&mut self, agent: &Did, summaries: &[Digest]) {
        if !summaries.is_empty() {
            self.0.insert(agent.clone(), summaries.to_vec());
        }
    }

    /// The cap that a claimed history brings. Computed anew for every join, so nothing is believed for longer than
    /// it holds.
    pub(crate) fn cap(&self, agent: &Did, claimed: Option<&[Digest]>) -> Option<Cap> {
        match check_history(claimed?, self.of(agent)) {
            History::Suspicious(_) => Some(Cap::SuspiciousHistory),
            History::Verified | History::Probationary { .. } => None,
        }
    }
}

/// In which sessions agents took part that are closed, and where the node's stream says so: what
/// [`HistoryProof::make`](hv_audit::HistoryProof::make) is told. Gathered while a trail is read.
#[derive(Debug, Default)]
pub struct EndedSessions {
    members: BTreeMap<StreamNo, BTreeSet<Did>>,
    closes: BTreeMap<Did, Vec<u64>>,
    /// Where sessions were closed whose members are not known, as their records are gone.
    gone: BTreeMap<StreamNo, u64>,
}

impl EndedSessions {
    /// Takes the next record of the trail.
    pub fn take(&mut self, entry: &Entry<'_>) {
        match entry.kind {
            Kind::StreamClosed { stream, .. } => {
                for did in self.members.remove(&stream).unwrap_or_default() {
                    self.closes.entry(did).or_default().push(entry.seq);
                }
                if let Some(closed) = self.gone.get_mut(&stream) {
                    *closed = entry.seq;
                }
                return;
            }
            Kind::Gone { .. } => drop(self.gone.entry(entry.stream).or_default()),
            Kind::Reduce(_) => self.take_reduced(entry),
            _ => {}
        }
        if entry.stream < StreamNo::FIRST_SESSION {
            return;
        }
        for event in read_record(entry).map(|record| record.events).unwrap_or_default() {
            let TrailEvent::Session(event) = event else { continue };
            if let SessionEvent::Session {
                event: MembershipEvent::Joined { did, .. } | MembershipEvent::Seated { did, .. },
            } = *event
            {
                self.members.entry(entry.stream).or_default().insert(did);
            }
        }
    }

    /// Takes up who was in a session whose records are gone.
    fn take_reduced(&mut self, entry: &Entry<'_>) {
        for event in read_record(entry).map(|record| record.events).unwrap_or_default() {
            let TrailEvent::Node(NodeEvent::Reduced { stream, agents, .. }) = event else { continue };
            // Reduced once more, or not yet: then its own records said so.
            let Some(closed) = self.gone.remove(&StreamNo(stream)) else { continue };
            for agent in agents {
                let closes = self.closes.entry(agent.did).or_default();
                let at = closes.partition_point(|other| *other < closed);
                closes.insert(at, closed);
            }
        }
    }

    /// The places of the records on the node's stream that closed an agent's sessions, the oldest first.
    #[must_use]
    pub fn of(&self, agent: &Did) -> &[u64] {
        self.closes.get(agent).map_or(&[], Vec::as_slice)
    }
}

impl Entrant {
    /// With the summaries of its last five sessions, the oldest first, as it claims them: the roots that
    /// [`terminate_session`](Hypervisor::terminate_session) gave. They are held against this node's trail; one that
    /// does not hold together keeps the agent in Ring 3. What it did on another node is asked for there:
    /// [`with_history_of`](Hypervisor::with_history_of).
    #[must_use]
    pub fn with_history(self, summaries: Vec<Digest>) -> Self {
        self.claiming(summaries)
    }
}

impl Hypervisor {
    /// The summaries of an agent's last five sessions on this node, the oldest first.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub fn history(&self, agent: &Did) -> Result<Vec<Digest>, Error> {
        self.node().read(|state, _| state.histories.of(agent).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hv_audit::MemoryLog;
    use hv_session::SessionConfig;
    use hv_types::{Ring, SessionId};
    use std::sync::Arc;

    fn did() -> Did {
        Did::new("did:mesh:a").unwrap()
    }

    async fn join(hv: &Hypervisor, name: &str, history: Option<Vec<Digest>>) -> Ring {
        let session = SessionId::new(name).unwrap();
        let admin = Did::new("did:mesh:admin").unwrap();
        hv.create_session(&session, SessionConfig::default(), &admin).await.unwrap();
        let entrant = Entrant::new(did()).with_sigma("0.85".parse().unwrap());
        let entrant = match history {
            Some(history) => entrant.with_history(history),
            None => entrant,
        };
        let ring = hv.join_session(&session, &entrant).await.unwrap();
        hv.activate_session(&session).await.unwrap();
        ring
    }

    async fn end(hv: &Hypervisor, name: &str) -> Digest {
        hv.terminate_session(&SessionId::new(name).unwrap()).await.unwrap()
    }

    /// Failure 19: nothing that was verified once is believed later, and nobody's word counts.
    #[tokio::test]
    async fn f19_a_history_counts_only_as_the_trail_proves_it_now() {
        let log = Arc::new(MemoryLog::new());
        let hv = Hypervisor::open(log.clone(), Arc::new(crate::SystemClock)).unwrap();
        // New, and claiming nothing or having nothing to claim: Ring 2 at most, with this score Ring 2.
        assert_eq!(join(&hv, "s0", Some(vec![])).await, Ring::Standard);
        let mut roots = vec![end(&hv, "s0").await];
        for n in 1..=6 {
            let name = format!("s{n}");
            let last: Vec<Digest> = roots.iter().rev().take(5).rev().copied().collect();
            assert_eq!(hv.history(&did()).unwrap(), last);
            assert_eq!(join(&hv, &name, Some(last)).await, Ring::Standard, "{name}");
            roots.push(end(&hv, &name).await);
        }
        let last = roots[2..].to_vec();
        // What was true before the last session is not any more.
        let stale = roots[1..6].to_vec();
        let mut swapped = last.clone();
        swapped.swap(1, 2);
        let mut made_up = last.clone();
        made_up[4] = Digest([9; 32]);
        let twice = [&last[..4], &last[3..4]].concat();
        let claims = [stale, swapped, made_up, twice, last[1..].to_vec(), vec![], roots.clone()];
        for (n, claimed) in claims.into_iter().enumerate() {
            assert_eq!(
                join(&hv, &format!("bad{n}"), Some(claimed.clone())).await,
                Ring::Sandbox,
                "{claimed:?}"
            );
        }
        assert_eq!(join(&hv, "good", Some(last.clone())).await, Ring::Standard);
        assert_eq!(join(&hv, "silent", None).await, Ring::Standard);
        // Replayed from the trail alone.
        let again = Hypervisor::open(log, Arc::new(crate::SystemClock)).unwrap();
        assert_eq!(again.history(&did()).unwrap(), last);
    }

    #[tokio::test]
    async fn f19_a_stranger_with_a_made_up_history_stands_in_ring_3() {
        let hv = Hypervisor::in_memory().unwrap();
        assert_eq!(join(&hv, "s", Some(vec![Digest([1; 32])])).await, Ring::Sandbox);
    }
}
