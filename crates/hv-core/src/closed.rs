//! Sessions that are over: nothing of them stays in memory, and the trail gives them back when somebody asks.

use crate::error::Error;
use crate::hypervisor::Hypervisor;
use crate::state::{State, sagas_opened};
use hv_audit::{Entry, Kind, StreamNo};
use hv_session::Standing;
use hv_types::{Did, Digest, SagaId, SessionId, Timestamp};
use std::collections::BTreeMap;
use std::mem;

/// A session that is over, as its trail tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedSession {
    /// The number of its stream.
    pub stream: StreamNo,
    /// Who created it.
    pub creator: Option<Did>,
    /// When it began.
    pub began: Timestamp,
    /// When it was closed.
    pub ended: Timestamp,
    /// Records before the one that closed it.
    pub records: u64,
    /// The root over them.
    pub root: Digest,
    /// Who was in it, in the order of first joins, and how they were when it ended.
    pub members: Vec<(Did, Standing)>,
    /// Its sagas: those that ended, by name, and behind them those that did not, in the order of their numbers.
    pub sagas: Vec<SagaId>,
    /// The paths of the files that were there when it ended, in order.
    pub files: Vec<String>,
    /// Whether its records were purged: then who was in it and what came of it is not known any more.
    pub purged: bool,
}

impl Hypervisor {
    /// The sessions of this name that are over, the first one first, read back from the trail. Goes through the whole
    /// trail, one session of the name in memory at a time.
    ///
    /// # Errors
    /// [`Error::Log`].
    pub fn closed_sessions(&self, session: &SessionId) -> Result<Vec<ClosedSession>, Error> {
        let mut closed = Vec::new();
        let mut reading: Option<(StreamNo, Timestamp, State, Vec<SagaId>)> = None;
        let mut gone = Gone::default();
        self.log().replay(&mut |entry| {
            closed.extend(gone.take(&entry, session));
            if let Kind::Genesis { label } = entry.kind
                && label == session.as_str()
            {
                reading = Some((entry.stream, entry.time, State::default(), Vec::new()));
            }
            let Some((stream, began, state, sagas)) = &mut reading else { return Ok(()) };
            if *stream != entry.stream {
                return Ok(());
            }
            sagas_opened(&entry, |id| sagas.push(id.clone()))?;
            let Kind::Close { root, size } = entry.kind else { return state.replay(&entry) };
            if let Some(slot) = state.open(*stream) {
                let of = &slot.session;
                closed.push(ClosedSession {
                    stream: *stream,
                    creator: of.creator().cloned(),
                    began: *began,
                    ended: entry.time,
                    records: size,
                    root,
                    members: of.roster().map(|member| (member.did.clone(), member.standing)).collect(),
                    sagas: slot.saga_ids().names(|| Ok(mem::take(sagas)))?,
                    files: of.files().list().map(|(path, _)| path.as_str().to_owned()).collect(),
                    purged: false,
                });
            }
            reading = None;
            Ok(())
        })?;
        Ok(closed)
    }
}

/// Sessions whose records are gone, as far as the node's stream tells of them; none where the name is another.
#[derive(Debug, Default)]
struct Gone(BTreeMap<StreamNo, Option<Timestamp>>);

impl Gone {
    /// Takes the next record; gives the session where that says that one of this name ended.
    fn take(&mut self, entry: &Entry<'_>, session: &SessionId) -> Option<ClosedSession> {
        match entry.kind {
            Kind::Gone { .. } => drop(self.0.entry(entry.stream).or_default()),
            Kind::StreamOpened { stream, label, .. } if label == session.as_str() => {
                if let Some(began) = self.0.get_mut(&stream) {
                    *began = Some(entry.time);
                }
            }
            Kind::StreamClosed { stream, size, root, .. } => {
                let began = self.0.remove(&stream)??;
                let (members, sagas, files) = Default::default();
                let (creator, ended, records, purged) = (None, entry.time, size, true);
                return Some(ClosedSession {
                    stream,
                    creator,
                    began,
                    ended,
                    records,
                    root,
                    members,
                    sagas,
                    files,
                    purged,
                });
            }
            _ => {}
        }
        None
    }
}
