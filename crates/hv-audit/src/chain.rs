//! The reading side: whether a record is the next one that an honest writer could have written.
//!
//! Nothing stored is believed. Every hash is computed anew from the bytes and compared with what later records
//! say about it: the next record's parent, the root in the record that closes a stream, and the commitments on
//! the node's stream.

use crate::finding::What;
use crate::hash::Blake3;
use crate::log::{Head, LogError, Lsn, StreamNo};
use crate::record::{Attachments, Entry, Heads, Kind, Record, take_framed};
use crate::short::{Gone, cover};
use crate::snapshot::Point;
use crate::streams::{Ending, Stream, Streams};
use crate::tree::TreeHash;
use hv_types::wire::Reader;
use hv_types::{Digest, Timestamp};
use std::collections::BTreeSet;

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
    /// Purges whose destruction is not recorded yet, by their place on the node stream.
    purging: BTreeSet<u64>,
    /// The same of reductions.
    reducing: BTreeSet<u64>,
    sealed: bool,
    closed: u32,
}

/// What the node's stream must say in the next record.
#[derive(Debug, Clone)]
enum Owed {
    Opened {
        stream: StreamNo,
        label: String,
        genesis: Digest,
    },
    Closed {
        stream: StreamNo,
        size: u64,
        root: Digest,
        close: Digest,
    },
    /// One record is gone, which was the first or, perhaps, the last one: what there was before it, and its hash.
    Gone {
        stream: StreamNo,
        size: u64,
        root: Digest,
        leaf: Digest,
    },
}

impl Owed {
    /// Whether the node's stream may also say something else.
    const fn is_open(&self) -> bool {
        matches!(self, Self::Gone { size: 1.., .. })
    }
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
            purging: BTreeSet::new(),
            reducing: BTreeSet::new(),
            sealed: false,
            closed: 0,
        }
    }

    /// The chain behind a snapshot; `None` where no log can have stood like that.
    pub(crate) fn resume(point: &Point) -> Option<Self> {
        let streams = point.streams()?;
        let closed = point.opened.checked_sub(streams.open_sessions())?;
        let purging = point.pending.iter().map(|(purge, _)| *purge).collect();
        let (lsn, time, nonce) = (point.lsn, point.time, Some(point.nonce));
        let reducing = BTreeSet::new();
        Some(Self { streams, lsn, time, nonce, owed: None, purging, reducing, sealed: false, closed })
    }

    /// How many sessions were ever opened, and where every open stream ends.
    pub(crate) fn endings(&mut self) -> (u32, Vec<Ending>) {
        (self.streams.opened(), self.streams.endings())
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

    /// Whether a purge is recorded and its destruction is not.
    pub(crate) fn is_purging(&self, purge: u64) -> bool {
        self.purging.contains(&purge)
    }

    /// The purges whose destruction is not recorded yet, by their place on the node stream.
    pub(crate) fn purging(&self) -> impl Iterator<Item = u64> {
        self.purging.iter().copied()
    }

    /// Reductions whose destruction is not recorded yet, by the places of their records on the node stream.
    pub(crate) const fn reducing(&self) -> &BTreeSet<u64> {
        &self.reducing
    }

    /// Goes past batches of which nothing is left.
    pub(crate) fn skip_to(&mut self, lsn: Lsn) {
        self.lsn = self.lsn.max(lsn);
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
        self.read_batches(bytes, None, &[], f)
    }

    /// The same where the hashes of the records, one after another, are known already.
    pub(crate) fn read_hashed(
        &mut self,
        bytes: &[u8],
        leaves: &[Digest],
        f: &mut Visit<'_>,
    ) -> Result<(), Stop> {
        self.read_batches(bytes, None, leaves, f)
    }

    /// The same of a batch of which records may be gone.
    pub(crate) fn read_short(&mut self, bytes: &[u8], lsn: Lsn, f: &mut Visit<'_>) -> Result<(), Stop> {
        self.skip_to(Lsn(lsn.0.saturating_sub(1)));
        self.read_batches(bytes, Some(lsn), &[], f)
    }

    fn read_batches(
        &mut self,
        bytes: &[u8],
        short: Option<Lsn>,
        leaves: &[Digest],
        f: &mut Visit<'_>,
    ) -> Result<(), Stop> {
        let mut reader = Reader::new(bytes);
        let mut leaves = leaves.iter();
        while !reader.rest().is_empty() {
            let at = reader.offset();
            let misfit = |what| Misfit { at, stream: None, seq: None, what };
            let (stream, record) = take_framed(&mut reader).map_err(|e| misfit(What::NotARecord(e)))?;
            let entry = match short {
                Some(lsn) if record.is_empty() => self.gone(stream, lsn, &mut reader),
                _ => self.record(stream, record, leaves.next()),
            };
            f(entry.map_err(|m| Misfit { at, ..m })?, at).map_err(Stop::Refused)?;
        }
        drop(self.owed.take_if(|owed| owed.is_open()));
        match self.owed {
            None => Ok(()),
            Some(_) => {
                Err(Misfit { at: bytes.len(), stream: None, seq: None, what: What::Uncommitted }.into())
            }
        }
    }

    /// Takes what stands for records that are gone, where it fits.
    fn gone<'a>(&mut self, number: StreamNo, lsn: Lsn, reader: &mut Reader<'_>) -> Result<Entry<'a>, Misfit> {
        let misfit = |seq, what| Misfit { at: 0, stream: Some(number), seq, what };
        drop(self.owed.take_if(|owed| owed.is_open()));
        if self.owed.is_some() {
            return Err(misfit(None, What::Uncommitted));
        }
        if core::mem::take(&mut self.sealed) {
            return Err(misfit(None, What::AfterEnd));
        }
        if number < StreamNo::FIRST_SESSION {
            return Err(misfit(None, What::Misplaced));
        }
        if self.streams.opened().checked_add(StreamNo::FIRST_SESSION.0) == Some(number.0) {
            self.streams.open().map_err(|_| misfit(None, What::NoStream))?;
        }
        let stream = self.streams.get_mut(number).map_err(|_| misfit(None, What::NoStream))?;
        let Head { length: size, root, .. } = stream.head();
        let Gone { count, roots, tip } =
            Gone::take(reader, size).map_err(|e| misfit(Some(size), What::NotARecord(e)))?;
        if size == 0 && count > 1 {
            return Err(misfit(Some(0), What::Uncommitted));
        }
        if !stream.skip(cover(size, count).zip(roots), tip) {
            return Err(misfit(Some(size), What::Sequence { expected: size }));
        }
        self.lsn = lsn;
        self.owed = (count == 1).then_some(Owed::Gone { stream: number, size, root, leaf: tip });
        Ok(Entry {
            lsn,
            stream: number,
            seq: size + count - 1,
            time: self.time,
            kind: Kind::Gone { records: count },
            attachments: Attachments::none(),
            body: &[],
            hash: tip,
            bytes: &[],
        })
    }

    /// Takes the next record, where it fits.
    fn record<'a>(
        &mut self,
        number: StreamNo,
        bytes: &'a [u8],
        leaf: Option<&Digest>,
    ) -> Result<Entry<'a>, Misfit> {
        let misfit = |seq, what| Misfit { at: 0, stream: Some(number), seq, what };
        let record = Record::read(bytes).map_err(|e| misfit(None, What::NotARecord(e)))?;
        let wrong = |what| misfit(Some(record.seq), what);
        let owes = self.owed.as_ref().is_some_and(|owed| !owed.is_open());
        let begins = record.lsn == self.lsn.next() && !owes;
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
        let hash = leaf.map_or_else(|| Blake3::leaf(bytes), |leaf| *leaf);
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
        Ok(record.entry(number, hash, bytes))
    }

    /// Checks what the log itself says in a record; gives what the next record owes.
    fn check_kind(
        &mut self,
        number: StreamNo,
        record: &Record<'_>,
        hash: Digest,
    ) -> Result<Option<Owed>, What> {
        let owed = self.owed.take();
        let owed = owed.filter(|owed| !owed.is_open() || matches!(record.kind, Kind::StreamClosed { .. }));
        let sealed = core::mem::take(&mut self.sealed);
        // Not even in the same batch: what a batch ends with speaks for all of it.
        if sealed && (!matches!(record.kind, Kind::Started { .. }) || record.lsn == self.lsn) {
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
            (
                Kind::StreamOpened { stream, genesis, .. },
                Some(Owed::Gone { stream: s, size: 0, leaf, .. }),
            ) => {
                if on_node && (stream, genesis) == (s, leaf) {
                    Ok(None)
                } else {
                    Err(What::Commitment)
                }
            }
            (
                Kind::StreamClosed { stream, size, root, close },
                Some(Owed::Gone { stream: s, size: n, root: r, leaf }),
            ) => {
                if !on_node || (stream, size, root, close) != (s, n, r, leaf) {
                    return Err(What::Commitment);
                }
                self.streams.remove(stream);
                self.closed += 1;
                Ok(None)
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
            (Kind::Purge { .. }, None) if on_node => {
                self.purging.insert(record.seq);
                Ok(None)
            }
            (Kind::Destroyed { purge }, None) if on_node => {
                if self.purging.remove(&purge) {
                    Ok(None)
                } else {
                    Err(What::NoPurge)
                }
            }
            (Kind::Snapshot { .. }, None) if on_node => Ok(None),
            (Kind::Reduce(_), None) if on_node => {
                self.reducing.insert(record.seq);
                Ok(None)
            }
            (Kind::Reduced { done }, None) if on_node => {
                let known = done.purges().all(|purge| self.reducing.remove(&purge));
                if known { Ok(None) } else { Err(What::NoPurge) }
            }
            (Kind::Sealed { .. }, None)
                if on_node && !(self.purging.is_empty() && self.reducing.is_empty()) =>
            {
                Err(What::PurgeUnfinished)
            }
            (Kind::Sealed { heads }, None) if on_node => {
                self.check_heads(heads)?;
                self.sealed = true;
                Ok(None)
            }
            (
                Kind::Genesis { .. }
                | Kind::Close { .. }
                | Kind::Started { .. }
                | Kind::Purge { .. }
                | Kind::Destroyed { .. }
                | Kind::Snapshot { .. }
                | Kind::Reduce(_)
                | Kind::Reduced { .. }
                | Kind::Gone { .. }
                | Kind::Sealed { .. },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;
    use crate::log::LogError;
    use crate::record::{
        Preamble, Tag, put_close, put_closed, put_genesis, put_head, put_opened, put_record,
    };

    const NODE: StreamNo = StreamNo::NODE;
    const S: StreamNo = StreamNo::FIRST_SESSION;

    /// What is wrong with a log whose records all have the right numbers and parents.
    fn verdict(write: impl Fn(&mut Journal) -> Result<(), LogError>) -> Option<What> {
        let mut journal = Journal::new();
        write(&mut journal).unwrap();
        match Chain::new().read(&journal.out, &mut |_, _| Ok(())) {
            Ok(()) => None,
            Err(Stop::Misfit(misfit)) => Some(misfit.what),
            Err(Stop::Refused(error)) => panic!("{error}"),
        }
    }

    fn batch(
        journal: &mut Journal,
        fill: impl Fn(&mut Journal) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        journal.append(&[], Timestamp(1), &mut |batch| fill(batch.journal)).map(drop)
    }

    fn data(journal: &mut Journal, stream: StreamNo) -> Result<Digest, LogError> {
        journal.push(stream, Tag::Data, &[], |out| out.push(7))
    }

    fn genesis(journal: &mut Journal) -> Result<Digest, LogError> {
        journal.open_stream("s")?;
        journal.push(S, Tag::Genesis, &[], |out| put_genesis("s", out))
    }

    fn open(journal: &mut Journal) -> Result<(), LogError> {
        let hash = genesis(journal)?;
        own(journal, NODE, Tag::StreamOpened, |out| put_opened(S, "s", &hash, out))
    }

    fn own(
        journal: &mut Journal,
        stream: StreamNo,
        tag: Tag,
        content: impl Fn(&mut Vec<u8>),
    ) -> Result<(), LogError> {
        journal.push(stream, tag, &[], content).map(drop)
    }

    /// Closes the session with what is said to be its size and root, and commits to the same or another root.
    fn close(journal: &mut Journal, size: u64, root: Digest, committed: Digest) -> Result<(), LogError> {
        let hash = journal.push(S, Tag::Close, &[], |out| put_close(size, &root, out))?;
        own(journal, NODE, Tag::StreamClosed, |out| put_closed(S, size, &committed, &hash, out))
    }

    /// Every rule that the log's own records keep, broken by a writer who gets everything else right.
    #[test]
    fn a1_every_broken_rule_is_named() {
        type Write = fn(&mut Journal) -> Result<(), LogError>;
        let root = |journal: &mut Journal| journal.next_head(S).map(|head| head.root).unwrap_or_default();
        let wrong = Digest([9; 32]);
        let rules: [(&str, Write, Option<What>); 9] = [
            ("an honest session", |j| batch(j, |j| open(j).and(data(j, S).map(drop))), None),
            ("no commitment", |j| batch(j, |j| genesis(j).map(drop)), Some(What::Uncommitted)),
            (
                "a late one",
                |j| batch(j, |j| genesis(j).and(data(j, NODE)).map(drop)),
                Some(What::Uncommitted),
            ),
            (
                "another label",
                |j| {
                    batch(j, |j| {
                        let hash = genesis(j)?;
                        own(j, NODE, Tag::StreamOpened, |out| put_opened(S, "t", &hash, out))
                    })
                },
                Some(What::Commitment),
            ),
            (
                "another genesis",
                |j| {
                    batch(j, |j| {
                        genesis(j)?;
                        own(j, NODE, Tag::StreamOpened, |out| put_opened(S, "s", &Digest([9; 32]), out))
                    })
                },
                Some(What::Commitment),
            ),
            (
                "committed without having been",
                |j| {
                    batch(j, |j| {
                        own(j, NODE, Tag::StreamOpened, |out| put_opened(S, "s", &Digest([9; 32]), out))
                    })
                },
                Some(What::Commitment),
            ),
            (
                "a genesis twice",
                |j| batch(j, |j| open(j).and(own(j, S, Tag::Genesis, |out| put_genesis("s", out)))),
                Some(What::Misplaced),
            ),
            (
                "a close of the ledger",
                |j| {
                    batch(j, |j| {
                        own(j, StreamNo::LEDGER, Tag::Close, |out| put_close(0, &Digest([9; 32]), out))
                    })
                },
                Some(What::Misplaced),
            ),
            (
                "a session without genesis",
                |j| batch(j, |j| j.open_stream("s").and(data(j, S)).map(drop)),
                Some(What::NoStream),
            ),
        ];
        for (name, write, what) in rules {
            assert_eq!(verdict(write), what, "{name}");
        }

        for (name, size, stated, committed, what) in [
            ("an honest close", 1, None, None, None),
            ("another root, committed to", 1, Some(wrong), Some(wrong), Some(What::Root)),
            ("another size", 2, None, None, Some(What::Root)),
            ("another root in the commitment", 1, None, Some(wrong), Some(What::Commitment)),
        ] {
            let write = |j: &mut Journal| {
                batch(j, open)?;
                batch(j, |j| {
                    let root = root(j);
                    close(j, size, stated.unwrap_or(root), committed.unwrap_or(root))
                })
            };
            assert_eq!(verdict(write), what, "{name}");
        }
        let after_close = |j: &mut Journal| {
            batch(j, open)?;
            batch(j, |j| {
                let root = root(j);
                close(j, 1, root, root)?;
                data(j, S).map(drop)
            })
        };
        assert_eq!(verdict(after_close), Some(What::NoStream));
    }

    type Change<'a> = dyn Fn(&mut Vec<(StreamNo, Head)>) + 'a;

    #[test]
    fn a1_a_wrong_beginning_or_end_is_named() {
        let started = |j: &mut Journal, nonce: u8| {
            batch(j, |j| own(j, NODE, Tag::Started, |out| out.extend([nonce; 16])))
        };
        let ended = |j: &mut Journal| j.append_sealed(Timestamp(1)).map(drop);
        let with_heads = |j: &mut Journal, change: &Change<'_>| {
            batch(j, |j| {
                let mut heads: Vec<_> =
                    [NODE, StreamNo::LEDGER].into_iter().filter_map(|s| Some((s, j.next_head(s)?))).collect();
                change(&mut heads);
                own(j, NODE, Tag::Sealed, |out| heads.iter().for_each(|(s, head)| put_head(*s, head, out)))
            })
        };
        assert_eq!(verdict(|j| started(j, 1).and(ended(j)).and(started(j, 1)).and(ended(j))), None);
        assert_eq!(verdict(|j| started(j, 1).and(started(j, 2))), Some(What::Nonce));
        let after = |j: &mut Journal| ended(j).and(batch(j, |j| data(j, NODE).map(drop)));
        assert_eq!(verdict(after), Some(What::AfterEnd));
        assert_eq!(verdict(|j| ended(j).and(ended(j))), Some(What::AfterEnd));
        let within = |j: &mut Journal| {
            started(j, 1)?;
            batch(j, |j| {
                let heads = [NODE, StreamNo::LEDGER].map(|s| (s, j.next_head(s).unwrap()));
                own(j, NODE, Tag::Sealed, |out| heads.iter().for_each(|(s, head)| put_head(*s, head, out)))?;
                own(j, NODE, Tag::Started, |out| out.extend([1; 16]))
            })
        };
        assert_eq!(verdict(within), Some(What::AfterEnd));
        assert_eq!(verdict(|j| started(j, 1).and(with_heads(j, &|_| {}))), None);
        for (at, stream) in [NODE, StreamNo::LEDGER].into_iter().enumerate() {
            for change in [
                (|head| head.length += 1) as fn(&mut Head),
                |head| head.root = Digest([9; 32]),
                |head| head.tip = Digest([9; 32]),
            ] {
                let write =
                    |j: &mut Journal| started(j, 1).and(with_heads(j, &|heads| change(&mut heads[at].1)));
                assert_eq!(verdict(write), Some(What::EndOf { stream }));
            }
        }
        let fewer = |j: &mut Journal| started(j, 1).and(with_heads(j, &|heads| heads.truncate(1)));
        assert_eq!(verdict(fewer), Some(What::Ends));
        let elsewhere =
            |j: &mut Journal| batch(j, |j| own(j, StreamNo::LEDGER, Tag::Started, |out| out.extend([1; 16])));
        assert_eq!(verdict(elsewhere), Some(What::Misplaced));
    }

    #[test]
    fn a1_wrong_numbers_of_a_record_are_named() {
        let first = NODE.origin();
        let (right, wrong) = ((0, 1, 5), Digest([9; 32]));
        for (parent, (seq, lsn, time), stream, what) in [
            (first, right, NODE, None),
            (wrong, right, NODE, Some(What::Parent)),
            (first, right, StreamNo::LEDGER, Some(What::Parent)),
            (first, (1, 1, 5), NODE, Some(What::Sequence { expected: 0 })),
            (first, (0, 0, 5), NODE, Some(What::RecordLsn { found: Lsn(0) })),
            (first, (0, 2, 5), NODE, Some(What::RecordLsn { found: Lsn(2) })),
            (first, right, S, Some(What::NoStream)),
        ] {
            let (lsn, time) = (Lsn(lsn), Timestamp(time));
            let preamble = Preamble { parent: &parent, tag: Tag::Data, seq, lsn, time, attachments: &[] };
            let mut bytes = Vec::new();
            put_record(stream, &preamble, b"x", &mut bytes);
            let mut chain = Chain::new();
            let read = chain.read(&bytes, &mut |_, _| Ok(()));
            assert_eq!(read.map_err(named), what.map_or(Ok(()), Err));
        }
    }

    #[test]
    fn time_does_not_run_backwards() {
        let mut journal = Journal::new();
        for now in [5, 7] {
            journal.append(&[], Timestamp(now), &mut |batch| data(batch.journal, NODE).map(drop)).unwrap();
        }
        let mut chain = Chain::new();
        // As if the log before this one had ended later.
        chain.time = Timestamp(6);
        assert_eq!(chain.read(&journal.out, &mut |_, _| Ok(())).map_err(named), Err(What::Time));
    }

    fn named(stop: Stop) -> What {
        match stop {
            Stop::Misfit(misfit) => misfit.what,
            Stop::Refused(error) => panic!("{error}"),
        }
    }
}
