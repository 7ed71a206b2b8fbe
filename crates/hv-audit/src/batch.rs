//! What a caller may ask of a batch while filling it.

use crate::journal::Journal;
use crate::log::{Head, LogError, Lsn, PayloadRef, StreamNo};
use crate::record::{Tag, put_close, put_closed, put_genesis, put_opened, put_purge};
use crate::reduction::Reduction;
use core::fmt;
use hv_types::{Digest, Timestamp};

/// The records that are about to be appended together.
///
/// The first thing asked of it that fails ends it: nothing of it is appended, whatever `fill` answers.
pub struct Batch<'a> {
    pub(crate) journal: &'a mut Journal,
}

impl Batch<'_> {
    /// Adds a record to a stream; gives its hash.
    ///
    /// # Errors
    /// [`LogError::Unknown`] and [`LogError::Closed`] where the stream takes no records;
    /// [`LogError::TooLarge`] where the batch would exceed [`BATCH_MAX_BYTES`](crate::BATCH_MAX_BYTES).
    pub fn push(
        &mut self,
        stream: StreamNo,
        attachments: &[PayloadRef],
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Digest, LogError> {
        self.journal.push(stream, Tag::Data, attachments, body)
    }

    /// Opens a stream with its record 0, and says so on the node stream; gives number and hash of record 0.
    ///
    /// The label is part of the record, so it is bound to the stream for ever; labels need not be unique.
    ///
    /// # Errors
    /// [`LogError::LabelTooLong`], [`LogError::NoStreamLeft`], and those of [`push`](Self::push).
    pub fn genesis(
        &mut self,
        label: &str,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(StreamNo, Digest), LogError> {
        let stream = self.journal.open_stream(label)?;
        let genesis = self.journal.push(stream, Tag::Genesis, &[], |out| {
            put_genesis(label, out);
            body(out);
        })?;
        let opened = |out: &mut Vec<u8>| put_opened(stream, label, &genesis, out);
        self.journal.push(StreamNo::NODE, Tag::StreamOpened, &[], opened)?;
        Ok((stream, genesis))
    }

    /// Closes a stream with a record that holds the root over all before it, and says so on the node stream;
    /// gives that root.
    ///
    /// # Errors
    /// [`LogError::NeverCloses`] for the node's and the ledger's stream, and those of [`push`](Self::push).
    pub fn close(&mut self, stream: StreamNo) -> Result<Digest, LogError> {
        self.close_with(stream, |_| {})
    }

    /// The same with something of the caller's in the record that closes the stream; the root is over what stands
    /// before it.
    ///
    /// # Errors
    /// Those of [`close`](Self::close).
    pub fn close_with(
        &mut self,
        stream: StreamNo,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Digest, LogError> {
        let Head { length, root, .. } = self.journal.closable(stream)?;
        let close = self.journal.push(stream, Tag::Close, &[], |out| {
            put_close(length, &root, out);
            body(out);
        })?;
        self.journal.close(stream);
        let closed = |out: &mut Vec<u8>| put_closed(stream, length, &root, &close, out);
        self.journal.push(StreamNo::NODE, Tag::StreamClosed, &[], closed)?;
        Ok(root)
    }

    /// Says on the node stream that the contents of payloads are to be destroyed; gives the record's hash. From
    /// the batch on they count as purged; [`Log::destroy`](crate::Log::destroy) destroys them, once it is durable.
    ///
    /// # Errors
    /// [`LogError::Empty`] where none is named, and those of [`push`](Self::push).
    pub fn purge(
        &mut self,
        payloads: &[Digest],
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Digest, LogError> {
        let ids: std::collections::BTreeSet<Digest> = payloads.iter().copied().collect();
        let ids: Vec<Digest> = ids.into_iter().collect();
        if ids.is_empty() {
            return self.journal.fail(LogError::Empty);
        }
        let hash = self.journal.push(StreamNo::NODE, Tag::Purge, &[], |out| {
            put_purge(&ids, out);
            body(out);
        })?;
        self.journal.note_purge(ids);
        Ok(hash)
    }

    /// Says on the node stream that the records of a closed stream are to be destroyed up to what its tier leaves; gives
    /// the record's hash. [`Log::destroy`](crate::Log::destroy) destroys them, once it is durable.
    ///
    /// # Errors
    /// Those of [`push`](Self::push).
    pub fn reduce(
        &mut self,
        reduction: &Reduction,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Digest, LogError> {
        let hash = self.journal.push(StreamNo::NODE, Tag::Reduce, &[], |out| {
            reduction.put(out);
            body(out);
        })?;
        self.journal.note_reduction(reduction.stream, reduction.tier);
        Ok(hash)
    }

    /// Where an open stream ends, with what this batch added to it.
    #[must_use]
    pub fn head(&self, stream: StreamNo) -> Option<Head> {
        self.journal.next_head(stream)
    }

    /// The number that this batch will have.
    #[must_use]
    pub const fn lsn(&self) -> Lsn {
        self.journal.lsn().next()
    }

    /// The time that the records carry.
    #[must_use]
    pub const fn time(&self) -> Timestamp {
        self.journal.time()
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("lsn", &self.lsn())
            .field("time", &self.time())
            .field("streams", &self.journal.pending())
            .finish()
    }
}
