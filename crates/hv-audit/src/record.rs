//! One record: the bytes that are stored, that are hashed, and what they say.
//!
//! `parent (32) ‖ kind ‖ seq ‖ lsn ‖ time (8) ‖ count of attachments (id (32) ‖ length)* ‖ content`; integers
//! are varints, the time is little endian, and the content runs to the end. The record's one hash, keyed by the
//! parent's, is both its link in the chain and its leaf in the tree. The batch number inside pins the order across streams.
//! Every field has one encoding and a place of its own, so distinct records have distinct bytes.
//! `INVARIANT (A4)`

use crate::hash::Blake3;
use crate::log::{Head, LABEL_MAX_BYTES, LogError, Lsn, PayloadRef, StreamNo};
use crate::reduction::{Done, Reduce};
use crate::tree::TreeHash;
use hv_types::wire::{Reader, Undecodable, put_bytes, put_varint};
use hv_types::{Digest, Illegal, Timestamp, Wire};

/// A record as a reader of the log sees it.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The batch that it came with.
    pub lsn: Lsn,
    /// The stream that it belongs to.
    pub stream: StreamNo,
    /// Its place in its stream, from 0.
    pub seq: u64,
    /// When it was appended; never earlier than the record before it.
    pub time: Timestamp,
    /// What the log itself knows about it.
    pub kind: Kind<'a>,
    /// The payloads that it refers to.
    pub attachments: Attachments<'a>,
    /// What the caller recorded; empty in the records that the log writes itself.
    pub body: &'a [u8],
    /// The record's hash: the parent that the next one of its stream names, and its leaf in the tree.
    pub hash: Digest,
    /// The record as it is stored: what `hash` is the hash of.
    pub bytes: &'a [u8],
}

impl Entry<'_> {
    /// The error that this record breaks a rule of its reader.
    pub(crate) const fn illegal(&self, cause: Illegal) -> LogError {
        LogError::Illegal { lsn: self.lsn, stream: self.stream, seq: self.seq, cause }
    }
}

/// Reads one record that was taken out of its log. That it is one says nothing about where it is from.
///
/// # Errors
/// [`Undecodable`].
pub fn read_entry(bytes: &[u8], stream: StreamNo) -> Result<Entry<'_>, Undecodable> {
    Ok(Record::read(bytes)?.entry(stream, Blake3::leaf(bytes), bytes))
}

/// What record 0 of a stream names as its parent.
#[must_use]
pub const fn first_parent(stream: StreamNo) -> Digest {
    stream.origin()
}

/// What the log itself knows about a record.
#[derive(Debug, Clone, Copy)]
pub enum Kind<'a> {
    /// A record of the caller.
    Data,
    /// Record 0 of a stream that the caller opened.
    Genesis {
        /// What the caller calls the stream.
        label: &'a str,
    },
    /// The last record of a closed stream, with what the caller said last.
    Close {
        /// The number of records before this one.
        size: u64,
        /// The root over them.
        root: Digest,
    },
    /// On the node stream: a stream began.
    StreamOpened {
        /// The stream.
        stream: StreamNo,
        /// What the caller calls it.
        label: &'a str,
        /// The hash of its record 0.
        genesis: Digest,
    },
    /// On the node stream: a stream ended.
    StreamClosed {
        /// The stream.
        stream: StreamNo,
        /// The number of its records before the one that closed it.
        size: u64,
        /// The root over them.
        root: Digest,
        /// The hash of the record that closed it.
        close: Digest,
    },
    /// On the node stream: a writer began, with the number that tells this log from all others.
    Started {
        /// Sixteen random bytes, the same in every such record of a log.
        nonce: [u8; 16],
    },
    /// On the node stream: the contents of these payloads are about to be destroyed, for good.
    Purge {
        /// The payloads, in ascending order.
        ids: Ids<'a>,
    },
    /// On the node stream: the contents and the keys of a purge are destroyed.
    Destroyed {
        /// The place of the record of the purge on the node stream.
        purge: u64,
    },
    /// On the node stream: what was made of everything before this batch is kept in a file beside the log.
    Snapshot {
        /// BLAKE3 in its keyed mode over the whole file, under `derive_key` of `hv 2026 audit snapshot v1`.
        digest: Digest,
        /// The file's length.
        length: u64,
    },
    /// On the node stream: the records of a closed stream are about to be destroyed, up to what the tier leaves.
    Reduce(Reduce<'a>),
    /// On the node stream: the records of reductions are destroyed.
    Reduced {
        /// The places of the records that begin with it on the node stream, and what the segments are now.
        done: Done<'a>,
    },
    /// In place of records that a reduction destroyed. Nothing of them is stored but hashes, with which everything that
    /// was said about them still is compared; the entry's hash and place are those of the last of them.
    Gone {
        /// How many records these are.
        records: u64,
    },
    /// On the node stream: a writer ended cleanly.
    Sealed {
        /// Every open stream and where it ended, the node's own (before this record) among them.
        heads: Heads<'a>,
    },
}

/// The payloads that a record refers to.
#[derive(Debug, Clone, Copy)]
pub struct Attachments<'a>(&'a [u8]);

impl Attachments<'_> {
    pub(crate) const fn none() -> Self {
        Self(&[])
    }
}

impl Iterator for Attachments<'_> {
    type Item = PayloadRef;

    fn next(&mut self) -> Option<PayloadRef> {
        let mut reader = Reader::new(self.0);
        let next = take_attachment(&mut reader).ok()?;
        self.0 = reader.rest();
        Some(next)
    }
}

/// The streams of a [`Kind::Sealed`] record, in the order of their numbers.
#[derive(Debug, Clone, Copy)]
pub struct Heads<'a>(&'a [u8]);

impl Iterator for Heads<'_> {
    type Item = (StreamNo, Head);

    fn next(&mut self) -> Option<(StreamNo, Head)> {
        let mut reader = Reader::new(self.0);
        let next = take_head(&mut reader).ok()?;
        self.0 = reader.rest();
        Some(next)
    }
}

/// The payloads that a [`Kind::Purge`] record names.
#[derive(Debug, Clone, Copy)]
pub struct Ids<'a>(&'a [u8]);

impl<'a> Ids<'a> {
    /// Digests that follow each other in these bytes.
    pub(crate) const fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl Iterator for Ids<'_> {
    type Item = Digest;

    fn next(&mut self) -> Option<Digest> {
        let (first, rest) = self.0.split_first_chunk::<32>()?;
        self.0 = rest;
        Some(Digest(*first))
    }
}

/// The numbers in front of a record's content.
pub(crate) struct Preamble<'a> {
    pub(crate) parent: &'a Digest,
    pub(crate) tag: Tag,
    pub(crate) seq: u64,
    pub(crate) lsn: Lsn,
    pub(crate) time: Timestamp,
    pub(crate) attachments: &'a [PayloadRef],
}

/// The kind of a record as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Tag {
    Data = 0,
    Genesis = 1,
    Close = 2,
    StreamOpened = 3,
    StreamClosed = 4,
    Started = 5,
    Sealed = 6,
    Purge = 7,
    Destroyed = 8,
    Snapshot = 9,
    Reduce = 10,
    Reduced = 11,
}

/// Appends stream, length and record; gives where in `out` the record itself begins.
#[inline]
pub(crate) fn put_record(
    stream: StreamNo,
    preamble: &Preamble<'_>,
    content: &[u8],
    out: &mut Vec<u8>,
) -> usize {
    let attachments: usize = preamble.attachments.iter().map(|a| 32 + varint_len(a.length)).sum();
    let count = preamble.attachments.len() as u64;
    let numbers = varint_len(preamble.seq) + varint_len(preamble.lsn.0) + varint_len(count);
    let length = 32 + 1 + numbers + 8 + attachments + content.len();
    out.reserve(length + 16);
    put_varint(u64::from(stream.0), out);
    put_varint(length as u64, out);
    let start = out.len();
    out.extend_from_slice(&preamble.parent.0);
    out.push(preamble.tag as u8);
    put_varint(preamble.seq, out);
    put_varint(preamble.lsn.0, out);
    out.extend_from_slice(&preamble.time.0.to_le_bytes());
    put_varint(count, out);
    for attachment in preamble.attachments {
        out.extend_from_slice(&attachment.id.0);
        put_varint(attachment.length, out);
    }
    out.extend_from_slice(content);
    start
}

/// Reads stream, length and record bytes from the front of a batch.
pub(crate) fn take_framed<'a>(reader: &mut Reader<'a>) -> Result<(StreamNo, &'a [u8]), Undecodable> {
    let stream = StreamNo(u32::take(reader)?);
    Ok((stream, reader.bytes()?))
}

/// A record's fields, read from its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) parent: Digest,
    pub(crate) seq: u64,
    pub(crate) lsn: Lsn,
    pub(crate) time: Timestamp,
    pub(crate) attachments: Attachments<'a>,
    pub(crate) kind: Kind<'a>,
    pub(crate) body: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads a record from exactly its bytes.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Undecodable> {
        let mut reader = Reader::new(bytes);
        let parent = Digest::take(&mut reader)?;
        let tag = reader.byte()?;
        let (seq, lsn) = (reader.varint()?, Lsn(reader.varint()?));
        let time = Timestamp::take(&mut reader)?;
        let count = reader.varint()?;
        let before = reader.rest();
        for _ in 0..count {
            take_attachment(&mut reader)?;
        }
        let attachments = Attachments(consumed(before, &reader));
        let (kind, body) = take_kind(tag, &mut reader)?;
        Ok(Self { parent, seq, lsn, time, attachments, kind, body })
    }

    /// As a reader of the log sees it.
    pub(crate) const fn entry(&self, stream: StreamNo, hash: Digest, bytes: &'a [u8]) -> Entry<'a> {
        let Self { seq, lsn, time, attachments, kind, body, .. } = *self;
        Entry { lsn, stream, seq, time, kind, attachments, body, hash, bytes }
    }
}

fn take_kind<'a>(tag: u8, reader: &mut Reader<'a>) -> Result<(Kind<'a>, &'a [u8]), Undecodable> {
    let kind = match tag {
        0 => return Ok((Kind::Data, reader.rest())),
        1 => return Ok((Kind::Genesis { label: take_label(reader)? }, reader.rest())),
        2 => {
            let kind = Kind::Close { size: reader.varint()?, root: Digest::take(reader)? };
            return Ok((kind, reader.rest()));
        }
        3 => Kind::StreamOpened {
            stream: StreamNo(u32::take(reader)?),
            label: take_label(reader)?,
            genesis: Digest::take(reader)?,
        },
        4 => Kind::StreamClosed {
            stream: StreamNo(u32::take(reader)?),
            size: reader.varint()?,
            root: Digest::take(reader)?,
            close: Digest::take(reader)?,
        },
        5 => Kind::Started { nonce: reader.array()? },
        6 => {
            let heads = reader.rest();
            let mut last = None;
            while !reader.rest().is_empty() {
                let (stream, _) = take_head(reader)?;
                if last.is_some_and(|last| last >= stream) {
                    return Err(reader.invalid("Sealed"));
                }
                last = Some(stream);
            }
            Kind::Sealed { heads: Heads(heads) }
        }
        7 => return Ok((Kind::Purge { ids: take_ids(reader)? }, reader.rest())),
        8 => Kind::Destroyed { purge: reader.varint()? },
        9 => Kind::Snapshot { digest: Digest::take(reader)?, length: reader.varint()? },
        10 => return Ok((Kind::Reduce(Reduce::take(reader)?), reader.rest())),
        11 => Kind::Reduced { done: Done::take(reader)? },
        tag => return Err(reader.unknown_tag("Kind", tag)),
    };
    reader.end()?;
    Ok((kind, &[]))
}

fn take_label<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Undecodable> {
    let label = reader.text()?;
    if label.len() > LABEL_MAX_BYTES { Err(reader.invalid("label")) } else { Ok(label) }
}

fn take_attachment(reader: &mut Reader<'_>) -> Result<PayloadRef, Undecodable> {
    Ok(PayloadRef { id: Digest::take(reader)?, length: reader.varint()? })
}

fn take_head(reader: &mut Reader<'_>) -> Result<(StreamNo, Head), Undecodable> {
    let stream = StreamNo(u32::take(reader)?);
    let head = Head { length: reader.varint()?, tip: Digest::take(reader)?, root: Digest::take(reader)? };
    Ok((stream, head))
}

fn take_ids<'a>(reader: &mut Reader<'a>) -> Result<Ids<'a>, Undecodable> {
    let count = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
    let ids = Ids(reader.slice(count.saturating_mul(32))?);
    let ascending = ids.zip(ids.skip(1)).all(|(id, next)| id < next);
    if count > 0 && ascending { Ok(ids) } else { Err(reader.invalid("Purge")) }
}

/// The content of a [`Kind::Purge`] record up to the caller's part.
pub(crate) fn put_purge(ids: &[Digest], out: &mut Vec<u8>) {
    put_varint(ids.len() as u64, out);
    ids.iter().for_each(|id| id.put(out));
}

/// The content of a [`Kind::Genesis`] record up to the caller's part.
pub(crate) fn put_genesis(label: &str, out: &mut Vec<u8>) {
    put_bytes(label.as_bytes(), out);
}

/// The content of a [`Kind::Close`] record up to the caller's part.
pub(crate) fn put_close(size: u64, root: &Digest, out: &mut Vec<u8>) {
    put_varint(size, out);
    root.put(out);
}

/// The content of a [`Kind::StreamOpened`] record.
pub(crate) fn put_opened(stream: StreamNo, label: &str, genesis: &Digest, out: &mut Vec<u8>) {
    put_varint(u64::from(stream.0), out);
    put_bytes(label.as_bytes(), out);
    genesis.put(out);
}

/// The content of a [`Kind::StreamClosed`] record.
pub(crate) fn put_closed(stream: StreamNo, size: u64, root: &Digest, close: &Digest, out: &mut Vec<u8>) {
    put_varint(u64::from(stream.0), out);
    put_varint(size, out);
    root.put(out);
    close.put(out);
}

/// The content of a [`Kind::Snapshot`] record.
pub(crate) fn put_snapshot(digest: &Digest, length: u64, out: &mut Vec<u8>) {
    digest.put(out);
    put_varint(length, out);
}

/// One of the heads that are the content of a [`Kind::Sealed`] record.
pub(crate) fn put_head(stream: StreamNo, head: &Head, out: &mut Vec<u8>) {
    put_varint(u64::from(stream.0), out);
    put_varint(head.length, out);
    head.tip.put(out);
    head.root.put(out);
}

/// What a reader took since `before` was all that it had left.
fn consumed<'a>(before: &'a [u8], reader: &Reader<'_>) -> &'a [u8] {
    before.get(..before.len() - reader.rest().len()).unwrap_or_default()
}

/// The number of bytes of an integer in its shortest LEB128 form.
#[inline]
pub(crate) const fn varint_len(value: u64) -> usize {
    if value < 0x80 {
        return 1;
    }
    let bits = 64 - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reduction::put_done;
    use proptest::prelude::*;

    #[test]
    fn the_length_of_a_varint_is_known_before_it_is_written() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                assert_eq!(varint_len(value), value.to_bytes().len(), "{value:x}");
            }
        }
    }

    /// The record's bytes, written again from what was read.
    fn write_again(tag: u8, record: &Record<'_>) -> Vec<u8> {
        let mut content = Vec::new();
        match record.kind {
            Kind::Data => {}
            Kind::Genesis { label } => put_genesis(label, &mut content),
            Kind::Close { size, root } => put_close(size, &root, &mut content),
            Kind::StreamOpened { stream, label, genesis } => {
                put_opened(stream, label, &genesis, &mut content)
            }
            Kind::StreamClosed { stream, size, root, close } => {
                put_closed(stream, size, &root, &close, &mut content);
            }
            Kind::Started { nonce } => content.extend(nonce),
            Kind::Sealed { heads } => heads.for_each(|(stream, head)| put_head(stream, &head, &mut content)),
            Kind::Purge { ids } => put_purge(&ids.collect::<Vec<_>>(), &mut content),
            Kind::Destroyed { purge } => put_varint(purge, &mut content),
            Kind::Snapshot { digest, length } => put_snapshot(&digest, length, &mut content),
            Kind::Reduce(reduce) => reduce.put(&mut content),
            Kind::Reduced { done } => {
                put_done(&done.purges().collect::<Vec<_>>(), &done.segments().collect(), &mut content);
            }
            // No record says so.
            Kind::Gone { .. } => {}
        }
        content.extend(record.body);
        let tags = [
            Tag::Data,
            Tag::Genesis,
            Tag::Close,
            Tag::StreamOpened,
            Tag::StreamClosed,
            Tag::Started,
            Tag::Sealed,
            Tag::Purge,
            Tag::Destroyed,
            Tag::Snapshot,
            Tag::Reduce,
            Tag::Reduced,
        ];
        let attachments: Vec<_> = record.attachments.collect();
        let preamble = Preamble {
            parent: &record.parent,
            tag: tags[usize::from(tag)],
            seq: record.seq,
            lsn: record.lsn,
            time: record.time,
            attachments: &attachments,
        };
        let mut out = Vec::new();
        let start = put_record(StreamNo(0), &preamble, &content, &mut out);
        out.split_off(start)
    }

    fn some_record() -> impl Strategy<Value = Vec<u8>> {
        let number = || prop_oneof![0u64..300, any::<u64>()];
        let front = (0u8..13, number(), number(), prop::collection::vec(number(), 0..3));
        let content = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            // Something like a label or a number, and digests behind it.
            (prop::collection::vec(0u8..5, 0..6), 0usize..4)
                .prop_map(|(front, digests)| { [front, vec![7; 32 * digests]].concat() }),
            (0u8..4, 0u8..4, 0u8..3).prop_map(|(count, ids, body)| {
                let ids = (0..ids).flat_map(|id| [id; 32]);
                [count].into_iter().chain(ids).chain(0..body).collect()
            }),
        ];
        (front, content).prop_map(|((tag, seq, lsn, lengths), content)| {
            let mut out = vec![1; 32];
            out.push(tag);
            put_varint(seq, &mut out);
            put_varint(lsn, &mut out);
            out.extend([9; 8]);
            put_varint(lengths.len() as u64, &mut out);
            for length in lengths {
                out.extend([3; 32]);
                put_varint(length, &mut out);
            }
            out.extend(content);
            out
        })
    }

    proptest! {
        /// What is read is written back as the same bytes, so no two byte strings are the same record.
        #[test]
        fn a4_a_record_has_one_encoding(
            bytes in some_record(),
            change in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let mut bytes = bytes;
            if let Some((at, byte)) = change {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(record) = Record::read(&bytes) {
                prop_assert_eq!(write_again(bytes[32], &record), bytes);
            }
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            while let Ok((_, record)) = take_framed(&mut reader) {
                let _ = Record::read(record);
            }
        }
    }

    #[test]
    fn golden_bytes() {
        let parent = Digest([0xab; 32]);
        let attachment = PayloadRef { id: Digest([0xcd; 32]), length: 300 };
        let preamble = Preamble {
            parent: &parent,
            tag: Tag::Data,
            seq: 200,
            lsn: Lsn(5),
            time: Timestamp(0x0102),
            attachments: &[attachment],
        };
        let mut out = Vec::new();
        let start = put_record(StreamNo(7), &preamble, b"hi", &mut out);
        assert_eq!(start, 2);
        let mut expected = vec![7, 81];
        expected.extend([0xab; 32]);
        expected.extend([0, 0xc8, 0x01, 5, 2, 1, 0, 0, 0, 0, 0, 0, 1]);
        expected.extend([0xcd; 32]);
        expected.extend([0xac, 0x02, b'h', b'i']);
        assert_eq!(out, expected);

        let mut reader = Reader::new(&out);
        let (stream, bytes) = take_framed(&mut reader).unwrap();
        let record = Record::read(bytes).unwrap();
        assert_eq!((stream, record.seq, record.lsn, record.time.0), (StreamNo(7), 200, Lsn(5), 0x0102));
        assert_eq!(record.attachments.collect::<Vec<_>>(), [attachment]);
        assert_eq!(record.body, b"hi");
        assert!(matches!(record.kind, Kind::Data));
    }

    #[test]
    fn golden_bytes_of_what_the_log_writes_itself() {
        let (root, tip) = (Digest([1; 32]), Digest([2; 32]));
        let content = |put: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            put(&mut out);
            out
        };
        let opened = content(&|out| put_opened(StreamNo(2), "s", &tip, out));
        assert_eq!(opened, [&[2, 1, b's'][..], &[2; 32]].concat());
        let closed = content(&|out| put_closed(StreamNo(2), 300, &root, &tip, out));
        assert_eq!(closed, [&[2, 0xac, 2][..], &[1; 32], &[2; 32]].concat());
        assert_eq!(content(&|out| put_close(3, &root, out)), [&[3][..], &[1; 32]].concat());
        let head = Head { length: 9, tip, root };
        assert_eq!(
            content(&|out| put_head(StreamNo(1), &head, out)),
            [&[1, 9][..], &[2; 32], &[1; 32]].concat()
        );
        assert_eq!(content(&|out| put_genesis("ab", out)), [2, b'a', b'b']);
        assert_eq!(content(&|out| put_purge(&[tip], out)), [&[1][..], &[2; 32]].concat());
        let kept = content(&|out| put_snapshot(&tip, 300, out));
        assert_eq!(kept, [&[2; 32][..], &[0xac, 2]].concat());
    }
}
