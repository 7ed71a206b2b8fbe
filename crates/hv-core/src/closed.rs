//! Sessions that are over: nothing of them stays in memory, and the trail gives them back when somebody asks.

use crate::error::Error;
use crate::hypervisor::Hypervisor;
use crate::state::State;
use hv_audit::{Kind, StreamNo};
use hv_session::Standing;
use hv_types::{Did, Digest, SagaId, SessionId, Timestamp};

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
    /// Its sagas, in the order of their numbers.
    pub sagas: Vec<SagaId>,
    /// The paths of the files that were there when it ended, in order.
    pub files: Vec<String>,
}

impl Hypervisor {
    /// The sessions of this name that are over, the first one first, read back from the trail. Goes through the whole
    /// trail, one session of the name in memory at a time.
    ///
    /// # Errors
    /// [`Error::Log`].
    pub fn closed_sessions(&self, session: &SessionId) -> Result<Vec<ClosedSession>, Error> {
        let mut closed = Vec::new();
        let mut reading: Option<(StreamNo, Timestamp, State)> = None;
        self.log().replay(&mut |entry| {
            if let Kind::Genesis { label } = entry.kind
                && label == session.as_str()
            {
                reading = Some((entry.stream, entry.time, State::default()));
            }
            let Some((stream, began, state)) = &mut reading else { return Ok(()) };
            if *stream != entry.stream {
                return Ok(());
            }
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
                    sagas: slot.saga_ids(),
                    files: of.files().list().map(|(path, _)| path.as_str().to_owned()).collect(),
                });
            }
            reading = None;
            Ok(())
        })?;
        Ok(closed)
    }
}
