//! What a node says about an agent's last sessions on it, signed, with the proof that its log has them: what another node
//! believes of an agent that comes from there.

use super::key::{NoteSigner, NoteVerifier, VerifierKey, is_name};
use super::note::{BadNote, Note};
use super::{base64, decimal, hash};
use crate::hash::Rfc6962;
use crate::history::HISTORY_LENGTH;
use crate::log::StreamNo;
use crate::proof::InclusionProof;
use crate::record::{Kind, read_entry};
use crate::transcript::{NoProof, Transcript, node_entry};
use crate::tree::TreeHash;
use core::fmt;
use core::time::Duration;
use hv_types::wire::Reader;
use hv_types::{Did, Digest, Timestamp, Wire};

/// What a history's first line is.
const FIRST_LINE: &str = "hv-history/1";
/// What a history's file begins with.
const MAGIC: &[u8; 8] = b"hv-hist\n";
/// The longest time for which a history can be said: a day.
pub const HISTORY_SAID_MAX: Duration = Duration::from_secs(86_400);
/// So far may the clocks of two nodes be apart.
const SKEW: Duration = Duration::from_secs(60);
/// The longest file: five closes with their ways, and room.
const FILE_MAX_BYTES: usize = 64 << 10;

/// A node's word about an agent's last sessions, and what shows that its log has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryProof {
    /// The text, signed by the node's key.
    pub note: Note,
    /// For each session the record that closed it, and its way to the root in the text; the oldest first.
    closes: Vec<Close>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Close {
    record: Vec<u8>,
    proof: InclusionProof,
}

hv_types::wire_struct!(Close { record, proof });

/// What the text says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    origin: String,
    agent: String,
    size: u64,
    root: Digest,
    from: Timestamp,
    until: Timestamp,
    /// The place of each closing record in the node's log, and the root of the session.
    sessions: Vec<(u64, Digest)>,
}

/// A history that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenHistory {
    /// The log that has it.
    pub origin: String,
    /// The roots of the agent's last sessions there, the oldest first.
    pub summaries: Vec<Digest>,
    /// The last point in time at which it counts.
    pub until: Timestamp,
}

/// Why a history does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadHistory {
    /// It is none.
    Malformed,
    /// No known node signed it, or not so.
    Note(BadNote),
    /// It is about somebody else.
    OtherAgent,
    /// It was said for later, for too long, or its time is over.
    Time,
    /// The log that it names does not have a session that it says, or has it elsewhere.
    NotInLog {
        /// Which, from 0.
        session: usize,
    },
}

impl HistoryProof {
    /// What a log says about an agent: the places of the records that closed its last sessions, the oldest first.
    ///
    /// # Errors
    /// [`NoProof`] where the log has no such record; [`BadHistory::Time`] where it is said for more than
    /// [`HISTORY_SAID_MAX`]; [`BadHistory::Note`] where the key does not sign.
    pub fn make(
        read: &Transcript,
        agent: &Did,
        closes: &[u64],
        (from, lasting): (Timestamp, Duration),
        (key, signer): (&VerifierKey, &dyn NoteSigner),
    ) -> Result<Self, BadHistory> {
        if lasting > HISTORY_SAID_MAX {
            return Err(BadHistory::Time);
        }
        let missing = |session| move |_: NoProof| BadHistory::NotInLog { session };
        let size = read.size();
        let root = read.root(size).map_err(missing(0))?;
        let last = closes.get(closes.len().saturating_sub(HISTORY_LENGTH)..).unwrap_or_default();
        let (mut sessions, mut proofs) = (Vec::new(), Vec::new());
        for (at, index) in last.iter().enumerate() {
            let record = usize::try_from(*index).ok().and_then(|index| read.node_records().get(index));
            let record = record.ok_or(BadHistory::NotInLog { session: at })?.clone();
            let summary = closed(&record).ok_or(BadHistory::NotInLog { session: at })?;
            let proof = read.inclusion(*index, size).map_err(missing(at))?;
            sessions.push((*index, summary));
            proofs.push(Close { record, proof });
        }
        let until = from.after(lasting);
        let said = Said {
            origin: key.name().to_owned(),
            agent: agent.to_string(),
            size,
            root,
            from,
            until,
            sessions,
        };
        let note = Note::new(&said.to_string()).and_then(|note| note.signed(key, 0, signer));
        Ok(Self { note: note.map_err(BadHistory::Note)?, closes: proofs })
    }

    /// What it proves of an agent now, where one of these keys of other nodes signed it.
    ///
    /// # Errors
    /// [`BadHistory`].
    pub fn check(
        &self,
        agent: &Did,
        now: Timestamp,
        nodes: &[VerifierKey],
        verifier: &dyn NoteVerifier,
    ) -> Result<ProvenHistory, BadHistory> {
        let said = Said::parse(self.note.text()).ok_or(BadHistory::Malformed)?;
        let key = nodes.iter().find(|key| key.name() == said.origin);
        let key = key.ok_or(BadHistory::Note(BadNote::Unsigned))?;
        self.note.verify([key], verifier).map_err(BadHistory::Note)?;
        if said.agent != agent.as_str() {
            return Err(BadHistory::OtherAgent);
        }
        let in_time = said.from <= now.after(SKEW) && now <= said.until;
        if !in_time || said.until.since(said.from) > HISTORY_SAID_MAX {
            return Err(BadHistory::Time);
        }
        if said.sessions.len() != self.closes.len() || self.closes.len() > HISTORY_LENGTH {
            return Err(BadHistory::Malformed);
        }
        let mut before = None;
        for (session, ((index, summary), Close { record, proof })) in
            said.sessions.iter().zip(&self.closes).enumerate()
        {
            let leaf = Rfc6962::leaf(&node_entry(record));
            let there = (proof.index, proof.size) == (*index, said.size)
                && proof.check::<Rfc6962>(&leaf, &said.root).is_ok();
            if !there || closed(record) != Some(*summary) || before.replace(*index) >= Some(*index) {
                return Err(BadHistory::NotInLog { session });
            }
        }
        let summaries = said.sessions.iter().map(|(_, summary)| *summary).collect();
        Ok(ProvenHistory { origin: said.origin, summaries, until: said.until })
    }

    /// The name of the log that it says it is from; nothing about it is checked.
    #[must_use]
    pub fn claimed_origin(&self) -> Option<String> {
        Said::parse(self.note.text()).map(|said| said.origin)
    }

    /// As a file.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        self.note.to_string().into_bytes().put(&mut out);
        self.closes.put(&mut out);
        out
    }

    /// Reads a file. Costs no hash.
    ///
    /// # Errors
    /// [`BadHistory::Malformed`] and [`BadHistory::Note`].
    pub fn from_file(bytes: &[u8]) -> Result<Self, BadHistory> {
        let content = bytes.strip_prefix(MAGIC).filter(|_| bytes.len() <= FILE_MAX_BYTES);
        let mut reader = Reader::new(content.ok_or(BadHistory::Malformed)?);
        let note = Vec::<u8>::take(&mut reader).map_err(|_| BadHistory::Malformed)?;
        let closes = Vec::take(&mut reader).map_err(|_| BadHistory::Malformed)?;
        reader.end().map_err(|_| BadHistory::Malformed)?;
        Ok(Self { note: Note::parse(&note).map_err(BadHistory::Note)?, closes })
    }
}

/// The root of the session that a record of the node's stream says was closed.
fn closed(record: &[u8]) -> Option<Digest> {
    match read_entry(record, StreamNo::NODE).ok()?.kind {
        Kind::StreamClosed { root, .. } => Some(root),
        _ => None,
    }
}

impl Said {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let mut next = || lines.next();
        (next()? == FIRST_LINE).then_some(())?;
        let origin = next().filter(|origin| is_name(origin))?.to_owned();
        let agent = next()?.to_owned();
        let (size, root) = next()?.split_once(' ')?;
        let (from, until) = next()?.split_once(' ')?;
        let sessions = lines.map(|line| {
            let (index, root) = line.split_once(' ')?;
            Some((decimal(index)?, hash(root)?))
        });
        Some(Self {
            origin,
            agent,
            size: decimal(size)?,
            root: hash(root)?,
            from: Timestamp(decimal(from)?),
            until: Timestamp(decimal(until)?),
            sessions: sessions.collect::<Option<_>>()?,
        })
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, agent, size, root, from, until, sessions } = self;
        writeln!(f, "{FIRST_LINE}\n{origin}\n{agent}\n{size} {}\n{} {}", base64(&root.0), from.0, until.0)?;
        sessions.iter().try_for_each(|(index, root)| writeln!(f, "{index} {}", base64(&root.0)))
    }
}

impl fmt::Display for BadHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("it is no history as hv writes one"),
            Self::Note(bad) => write!(f, "no known node signed it: {bad}"),
            Self::OtherAgent => f.write_str("it is about another agent"),
            Self::Time => f.write_str("its time is over, has not come, or is longer than a day"),
            Self::NotInLog { session } => write!(f, "its log does not have session {session} as it says"),
        }
    }
}

impl core::error::Error for BadHistory {}
