//! The reading side: whether a record is the next one that an honest writer could have written.
//!
//! Nothing stored is believed. Every hash is computed anew from the bytes and compared with what later records
//! say about it: the next record's parent, the root in the record that closes a stream, and the commitments on
//! the node's stream.

use crate::finding::What;
use crate::hash::Blake3;
use crate::log::{Head, LogError, Lsn, StreamNo};
use crate::record::{Entry, Heads, Kind, Record, take_framed};
use crate::streams::{Stream, Streams};
use crate::tree::TreeHash;
use hv_types::wire::Reader;
use hv_types::{Digest, Timestamp};

/// Whoever is shown the records, with where in the bytes each begins.
pub(crate) type Visit<'f> = dyn FnMut(Entry<'_>, usize) -> Result<(), LogError> + 'f;

/// What the records read so far lead to.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    streams: Streams,
    lsn: Lsn,
    time: Timestamp,
    nonce: Option<[u8; 16]>,
    owed: Option<Owed>,
    sealed: bool,
    closed: u32,
}

/// What the node's stream must say in the next record.
#[derive(Debug, Clone)]
enum Owed {
    Opened { stream: StreamNo, label: String, genesis: Digest },
    Closed { stream: StreamNo, size: u64, root: Digest, close: Digest },
}

/// A record that does not fit, and its place as far as it can be told.
#[derive(Debug)]
pub(crate) struct Misfit {
    /// Where in the bytes the record begins.
    pub(crate) at: usize,
    pub(crate) stream: Option<StreamNo>,
    pub(crate) seq: Option<u64>,
    pub(crate) what: What,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self {
            streams: Streams::new(),
            lsn: Lsn(0),
            time: Timestamp(0),
            nonce: None,
            owed: None,
            sealed: false,
            closed: 0,
        }
    }

    /// The last batch.
    pub(crate) const fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// The time of the last record.
    pub(crate) const fn time(&self) -> Timestamp {
        self.time
    }

    /// The number that the log gave itself when it was started.
    pub(crate) const fn nonce(&self) -> Option<[u8; 16]> {
        self.nonce
    }

    /// Whether the last record ends the log.
    pub(crate) const fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// How many sessions are open.
    pub(crate) const fn open_sessions(&self) -> u32 {
        self.streams.opened().saturating_sub(self.closed)
    }

    /// Number of records and last hash of the node's stream.
    pub(crate) fn node(&self) -> (u64, Digest) {
        self.streams
            .get(StreamNo::NODE)
            .map_or_else(|_| Default::default(), |node| (node.length(), *node.next_tip()))
    }

    /// The place that the next record of a stream has, where it may have one.
    pub(crate) fn next_seq(&self, stream: StreamNo) -> Option<u64> {
        let next = self.streams.opened().checked_add(StreamNo::FIRST_SESSION.0) == Some(stream.0);
        if next { Some(0) } else { self.streams.get(stream).ok().map(Stream::length) }
    }

    /// Where the open streams end.
    pub(crate) fn heads(&mut self) -> Vec<(StreamNo, Head)> {
        self.streams.heads()
    }

    /// The streams, to be appended to.
    pub(crate) fn into_streams(self) -> Streams {
        self.streams
    }

    /// Reads the records of whole batches and shows each to `f`; gives the place of the first that does not
    /// fit. What `f` refuses is given back as it is.
    pub(crate) fn read(&mut self, bytes: &[u8], f: &mut Visit<'_>) -> Result<(), Stop> {
        let mut reader = Reader::new(bytes);
        while !reader.rest().is_empty() {
            let at = reader.offset();
            let misfit = |what| Misfit { at, stream: None, seq: None, what };
            let (stream, record) = take_framed(&mut reader).map_err(|e| misfit(What::NotARecord(e)))?;
            f(self.record(stream, record).map_err(|m| Misfit { at, ..m })?, at).map_err(Stop::Refused)?;
        }
        match self.owed {
            None => Ok(()),
            Some(_) => {
                Err(Misfit { at: bytes.len(), stream: None, seq: None, what: What::Uncommitted }.into())
            }
        }
    }

    /// Takes the next record, where it fits.
    fn record<'a>(&mut self, number: StreamNo, bytes: &'a [u8]) -> Result<Entry<'a>, Misfit> {
        let misfit = |seq, what| Misfit { at: 0, stream: Some(number), seq, what };
        let record = Record::read(bytes).map_err(|e| misfit(None, What::NotARecord(e)))?;
        let wrong = |what| misfit(Some(record.seq), what);
        let begins = record.lsn == self.lsn.next() && self.owed.is_none();
        if !begins && (record.lsn != self.lsn || self.lsn == Lsn(0)) {
            return Err(wrong(What::RecordLsn { found: record.lsn }));
        }
        if record.time < self.time {
            return Err(wrong(What::Time));
        }
        if let Kind::Genesis { .. } = record.kind
            && self.streams.opened().checked_add(StreamNo::FIRST_SESSION.0) == Some(number.0)
        {
            self.streams.open().map_err(|_| wrong(What::NoStream))?;
        }
        let hash = Blake3::leaf(bytes);
        let stream = self.streams.get_mut(number).map_err(|_| wrong(What::NoStream))?;
        if record.seq != stream.length() {
            return Err(wrong(What::Sequence { expected: stream.length() }));
        }
        if record.parent != *stream.next_tip() {
            return Err(wrong(What::Parent));
        }
        let owed = self.check_kind(number, &record, hash).map_err(wrong)?;
        let stream = self.streams.get_mut(number).map_err(|_| wrong(What::NoStream))?;
        stream.push(hash);
        stream.keep();
        if let Some(Owed::Closed { .. }) = owed {
            self.streams.remove(number);
            self.closed += 1;
        }
        (self.lsn, self.time, self.owed) = (record.lsn, record.time, owed);
        Ok(record.entry(number, hash))
    }

    /// Checks what the log itself says in a record; gives what the next record owes.
    fn check_kind(
        &mut self,
        number: StreamNo,
        record: &Record<'_>,
        hash: Digest,
    ) -> Result<Option<Owed>, What> {
        let owed = self.owed.take();
        let sealed = core::mem::take(&mut self.sealed);
        if sealed && !matches!(record.kind, Kind::Started { .. }) {
            return Err(What::AfterEnd);
        }
        let on_node = number == StreamNo::NODE;
        match (record.kind, owed) {
            (
                Kind::StreamOpened { stream, label, genesis },
                Some(Owed::Opened { stream: s, label: l, genesis: g }),
            ) => {
                if on_node && stream == s && *label == *l && genesis == g {
                    Ok(None)
                } else {
                    Err(What::Commitment)
                }
            }
            (
                Kind::StreamClosed { stream, size, root, close },
                Some(Owed::Closed { stream: s, size: n, root: r, close: c }),
            ) => {
                let same = (stream, size, root, close) == (s, n, r, c);
                if on_node && same { Ok(None) } else { Err(What::Commitment) }
            }
            (_, Some(_)) => Err(What::Uncommitted),
            (Kind::StreamOpened { .. } | Kind::StreamClosed { .. }, None) => Err(What::Commitment),
            (Kind::Data, None) => Ok(None),
            (Kind::Genesis { label }, None) if record.seq == 0 && number >= StreamNo::FIRST_SESSION => {
                Ok(Some(Owed::Opened { stream: number, label: label.to_owned(), genesis: hash }))
            }
            (Kind::Close { size, root }, None) if number >= StreamNo::FIRST_SESSION => {
                let head = self.streams.get_mut(number).map(Stream::head).map_err(|_| What::NoStream)?;
                if (head.length, head.root) != (size, root) {
                    return Err(What::Root);
                }
                Ok(Some(Owed::Closed { stream: number, size, root, close: hash }))
            }
            (Kind::Started { nonce }, None) if on_node => {
                if *self.nonce.get_or_insert(nonce) == nonce {
                    Ok(None)
                } else {
                    Err(What::Nonce)
                }
            }
            (Kind::Sealed { heads }, None) if on_node => {
                self.check_heads(heads)?;
                self.sealed = true;
                Ok(None)
            }
            (
                Kind::Genesis { .. } | Kind::Close { .. } | Kind::Started { .. } | Kind::Sealed { .. },
                None,
            ) => Err(What::Misplaced),
        }
    }

    fn check_heads(&mut self, stated: Heads<'_>) -> Result<(), What> {
        let heads = self.streams.heads();
        let wrong = stated.zip(&heads).find(|(stated, head)| stated != *head);
        match wrong {
            Some(((stream, _), _)) => Err(What::EndOf { stream }),
            None if stated.count() != heads.len() => Err(What::Ends),
            None => Ok(()),
        }
    }
}

/// Why reading stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A record does not fit.
    Misfit(Misfit),
    /// Whoever it was shown to refused it.
    Refused(LogError),
}

impl From<Misfit> for Stop {
    fn from(misfit: Misfit) -> Self {
        Self::Misfit(misfit)
    }
}
