//! Histories of agents on other nodes: asked for outside the lock, weighed against the keys of the nodes that whoever
//! opens this one listens to, and believed no longer than stated.
//!
//! A history lifts the cap of probation where it proves enough, as one on this node does, and gives nothing else. One that
//! does not hold keeps the agent in Ring 3; so does one whose node cannot be reached, until it is asked again.

use crate::error::{Error, Reason};
use crate::event::{NodeEvent, SessionEvent};
use crate::hypervisor::{Entrant, Hypervisor, find};
use crate::node::Draft;
use hv_audit::{BadHistory, HISTORY_LENGTH, HistoryProof, NoteVerifier, ProvenHistory, VerifierKey};
use hv_identity::PublicKey;
use hv_rings::standing::{Cap, standing_under};
use hv_types::{Did, Ring, SessionId, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// What another node said of an agent counts for so long at most, however long the node says: an hour.
pub const HISTORY_LIFE: Duration = Duration::from_secs(3600);

/// So many histories of other nodes are remembered at most; beyond that they are asked for each time.
const REMEMBERED_MAX: usize = 10_000;

/// Asks other nodes for what they say of agents. Blocks; it is asked outside every lock.
pub trait HistorySource: Send + Sync + std::fmt::Debug {
    /// The file that the node of this log gives about an agent.
    ///
    /// # Errors
    /// Why it cannot be reached; nothing is known then.
    fn fetch(&self, node: &str, agent: &Did) -> Result<Vec<u8>, String>;
}

/// What is known of other nodes, as long as the program runs; nothing where nobody asks.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere(OnceLock<Box<Mutex<Known>>>);

#[derive(Debug, Default)]
struct Known {
    nodes: Vec<VerifierKey>,
    proven: BTreeMap<(String, Did), ProvenHistory>,
}

/// What came of asking for a history on another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Weighed {
    Proven { history: ProvenHistory, asked: Asked },
    Flawed { node: String, why: BadHistory },
    Unreachable,
}

/// Whether the node was asked now, or said so before and that still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Now,
    Before,
}

impl Weighed {
    /// Whether nothing is missing from a whole history.
    pub(crate) fn is_enough(&self) -> bool {
        matches!(self, Self::Proven { history, .. } if history.summaries.len() >= HISTORY_LENGTH)
    }

    /// The cap that it lays on an agent.
    pub(crate) fn cap(&self) -> Option<Cap> {
        match self {
            Self::Proven { .. } if self.is_enough() => None,
            Self::Proven { .. } => Some(Cap::Probation),
            Self::Flawed { .. } => Some(Cap::SuspiciousHistory),
            Self::Unreachable => Some(Cap::UnreachableHistory),
        }
    }

    /// What is recorded of it; nothing of what was recorded before, nor of silence, which the cap tells.
    pub(crate) fn event(&self, agent: &Did) -> Option<NodeEvent> {
        let agent = agent.clone();
        match self {
            Self::Proven { asked: Asked::Before, .. } | Self::Unreachable => None,
            Self::Proven { history, asked: Asked::Now } => {
                let sessions = u32::try_from(history.summaries.len()).unwrap_or(u32::MAX);
                let (node, until) = (history.origin.clone(), history.until);
                Some(NodeEvent::HistoryWeighed { agent, node, sessions, until, flaw: None })
            }
            Self::Flawed { node, why } => {
                let (node, flaw) = (node.clone(), Some(why.to_string()));
                Some(NodeEvent::HistoryWeighed { agent, node, sessions: 0, until: Timestamp(0), flaw })
            }
        }
    }
}

impl Elsewhere {
    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing is half done in here, whoever panicked.
        self.0.get_or_init(Box::default).lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, nodes: Vec<VerifierKey>) {
        let mut known = self.known();
        // What a node said under a key that is not listened to any more does not count.
        known.proven.clear();
        known.nodes = nodes;
    }

    /// Weighs what a node answered now; or what it said before, where it does not answer.
    fn weigh(&self, agent: &Did, now: Timestamp, node: &str, answer: Result<&[u8], ()>) -> Weighed {
        let place = (node.to_owned(), agent.clone());
        let Ok(bytes) = answer else {
            let mut known = self.known();
            let held = known.proven.get(&place).filter(|history| now <= history.until).cloned();
            if held.is_none() {
                known.proven.remove(&place);
            }
            return held
                .map_or(Weighed::Unreachable, |history| Weighed::Proven { history, asked: Asked::Before });
        };
        let nodes: Vec<VerifierKey> =
            self.known().nodes.iter().filter(|key| key.name() == node).cloned().collect();
        let checked =
            HistoryProof::from_file(bytes).and_then(|proof| proof.check(agent, now, &nodes, &Strict));
        let mut known = self.known();
        match checked {
            Ok(history) => {
                let until = history.until.min(now.after(HISTORY_LIFE));
                let history = ProvenHistory { until, ..history };
                if known.proven.len() >= REMEMBERED_MAX {
                    known.proven.retain(|_, history| now <= history.until);
                }
                if known.proven.len() < REMEMBERED_MAX {
                    known.proven.insert(place, history.clone());
                }
                Weighed::Proven { history, asked: Asked::Now }
            }
            Err(why) => {
                known.proven.remove(&place);
                Weighed::Flawed { node: node.to_owned(), why }
            }
        }
    }
}

/// Checks signatures as `hv-identity` does.
#[derive(Debug)]
struct Strict;

impl NoteVerifier for Strict {
    fn verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        PublicKey::from_bytes(key).is_ok_and(|key| key.verify(message, signature).is_ok())
    }
}

impl Hypervisor {
    /// Listens to these nodes about histories, and to no others; by the names of their logs. What was believed before is
    /// asked for anew. Not recorded: whoever opens a node says it each time.
    pub fn listen_to_histories(&self, nodes: Vec<VerifierKey>) {
        self.node().elsewhere().set(nodes);
    }

    /// An entrant with what the node of this log says of its last sessions there, asked for now. Costs a signature and
    /// a hundred hashes, outside the lock.
    ///
    /// Where the node cannot be reached, what it said within [`HISTORY_LIFE`] counts, and no longer than it said. Where
    /// that is nothing, the agent joins in Ring 3, until [`retry_histories`](Self::retry_histories) finds it.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub async fn with_history_of(
        &self,
        entrant: Entrant,
        node: &str,
        source: Arc<dyn HistorySource>,
    ) -> Result<Entrant, Error> {
        let weighed = self.ask_elsewhere(node, entrant.did(), source).await;
        Ok(entrant.weighed(weighed))
    }

    async fn ask_elsewhere(&self, node: &str, agent: &Did, source: Arc<dyn HistorySource>) -> Weighed {
        let asked = (node.to_owned(), agent.clone());
        let fetch = move || source.fetch(&asked.0, &asked.1).ok();
        let answer = match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(fetch).await.ok().flatten(),
            Err(_) => fetch(),
        };
        self.node().elsewhere().weigh(agent, self.now(), node, answer.as_deref().ok_or(()))
    }

    /// Asks once more for every history that could not be reached, of members of sessions that go on; gives how many
    /// were found, proven or not. To be called again and again, as often as one likes to wait.
    ///
    /// # Errors
    /// [`Error::Log`], [`Error::Poisoned`].
    pub async fn retry_histories(&self, node: &str, source: Arc<dyn HistorySource>) -> Result<usize, Error> {
        let mut found = 0;
        for session in self.open_sessions()? {
            let waiting: Vec<Did> = self.node().read(|state, _| {
                let Some(slot) = state.slot(&session) else { return Vec::new() };
                let members = slot
                    .session
                    .roster()
                    .filter(|member| slot.caps(member.did).contains(&Cap::UnreachableHistory));
                members.map(|member| member.did.clone()).collect()
            })?;
            for agent in waiting {
                let weighed = self.ask_elsewhere(node, &agent, source.clone()).await;
                if weighed != Weighed::Unreachable
                    && self.reassess(&session, &agent, &weighed).await?.is_some()
                {
                    found += 1;
                }
            }
        }
        Ok(found)
    }

    /// Records where a member stands once its history was found.
    async fn reassess(
        &self,
        session: &SessionId,
        agent: &Did,
        weighed: &Weighed,
    ) -> Result<Option<Ring>, Error> {
        let done = self.node().commit(|state, now| {
            let slot = find(state, "history", session)?;
            let waits = slot.caps(agent).contains(&Cap::UnreachableHistory);
            let Some(member) = slot.session.member(agent).filter(|_| waits).map(|member| member.ordinal)
            else {
                return Ok((Draft::default(), None));
            };
            let others = slot
                .caps(agent)
                .iter()
                .filter(|cap| !matches!(cap, Cap::UnreachableHistory | Cap::Probation));
            let caps: Vec<Cap> = others.cloned().chain(weighed.cap()).collect();
            let (sigma, _) = state.standing(slot, agent, now);
            let seen = state.caps_now(slot, &state.party(slot, agent), None, sigma, now);
            let ring = standing_under(sigma, caps.iter().chain(seen.iter().flatten()), now).ring();
            let assessed = SessionEvent::Assessed { member, sigma, ring, caps };
            let draft = Draft::default().node(weighed.event(agent).into_iter().collect());
            Ok((draft.session(slot.stream, vec![assessed]), Some(ring)))
        });
        match done.await {
            // It ended meanwhile.
            Err(Error::NoSession(_)) => Ok(None),
            Err(Error::Denied(denied)) if matches!(denied.reason, Reason::Session(_)) => Ok(None),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests;
