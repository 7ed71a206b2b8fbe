//! What waits for the disk: contents, and the batches behind them.
//!
//! No record is on the disk before the content that it names, whatever a crash takes, because nothing else can be written:
//! a record can name only what was put before it was appended, for only putting a content gives its reference; what is
//! taken to the disk is everything that was put and appended by then; and the bytes of batches come out of it only as
//! [`Frames`], which [`Taken::store`] gives when every content of it is durable.

use crate::log::{LogError, PayloadRef};
use crate::payload::Pending;
use crate::turns::Upto;
use crate::writer::Work;
use hv_types::Digest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Contents that are not durable weigh at most so many bytes, each [`CONTENT_BYTES`] more than it has: 8 MiB, so no more than
/// 256 of them. What would make it more is made durable before whoever puts it goes on.
pub(crate) const CONTENTS_MAX_BYTES: usize = 8 << 20;

/// What a content weighs besides its own bytes: hardly any memory, but a file and a sync of it. Whoever waits for a batch
/// waits for all of them, however small they are.
const CONTENT_BYTES: usize = 32 << 10;

/// What is longer is enciphered where that blocks nobody: so many bytes take about a tenth of a millisecond, optimized.
pub(crate) const AT_ONCE_MAX_BYTES: usize = 256 << 10;

/// The contents that were put and are not durable.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Those that nobody has taken to the disk yet, in the order in which they were put.
    waiting: Vec<Arc<Pending>>,
    /// All of them, by their names: until they are durable they are read here.
    all: BTreeMap<Digest, Arc<Pending>>,
    bytes: usize,
    /// How many were ever put.
    put: u64,
}

impl Contents {
    /// Takes a content up; gives how many were put up to this one.
    pub(crate) fn put(&mut self, content: Pending) -> u64 {
        let content = Arc::new(content);
        self.bytes = self.bytes.saturating_add(weight(content.length()));
        self.waiting.push(Arc::clone(&content));
        self.all.insert(content.reference().id(), content);
        self.put = self.put.saturating_add(1);
        self.put
    }

    /// Whether a content of so many bytes may wait with the others.
    pub(crate) const fn has_room(&self, length: usize) -> bool {
        self.bytes.saturating_add(weight(length)) <= CONTENTS_MAX_BYTES
    }

    /// Whether more waits than may.
    pub(crate) const fn is_over(&self) -> bool {
        self.bytes > CONTENTS_MAX_BYTES
    }

    /// A content that is not durable yet.
    pub(crate) fn get(&self, id: &Digest) -> Option<Arc<Pending>> {
        self.all.get(id).cloned()
    }

    /// Forgets a content that nobody has taken to the disk yet; answers whether it was one.
    pub(crate) fn forget(&mut self, id: &Digest) -> bool {
        // Mostly it was put last.
        let place = self.waiting.iter().rposition(|content| content.reference().id() == *id);
        let forgotten = place.map(|place| self.waiting.remove(place).reference());
        self.stored(forgotten.as_slice());
        forgotten.is_some()
    }

    /// Everything that waits, with the batches that were appended up to now.
    pub(crate) fn take(&mut self, work: Work) -> Taken {
        Taken { contents: core::mem::take(&mut self.waiting), put: self.put, work }
    }

    /// These need not be kept any more: they are durable, and read from the disk from now on.
    pub(crate) fn stored(&mut self, contents: &[PayloadRef]) {
        for content in contents.iter().filter_map(|content| self.all.remove(&content.id())) {
            self.bytes = self.bytes.saturating_sub(weight(content.length()));
        }
    }
}

const fn weight(length: usize) -> usize {
    length.saturating_add(CONTENT_BYTES)
}

/// What one turn brings to the disk.
#[derive(Debug)]
pub(crate) struct Taken {
    contents: Vec<Arc<Pending>>,
    put: u64,
    work: Work,
}

impl Taken {
    /// Makes the contents durable, and only then gives the batches, which may name them.
    pub(crate) fn store(
        self,
        store: impl FnOnce(&[Arc<Pending>]) -> Result<(), LogError>,
    ) -> Result<Frames, LogError> {
        let Self { contents, put, work } = self;
        if !contents.is_empty() {
            store(&contents)?;
        }
        let contents = contents.iter().map(|content| content.reference()).collect();
        Ok(Frames { contents, put, work })
    }
}

/// Batches that can be written: every content that they name is durable.
#[derive(Debug)]
pub(crate) struct Frames {
    contents: Vec<PayloadRef>,
    put: u64,
    work: Work,
}

impl Frames {
    pub(crate) const fn work(&self) -> &Work {
        &self.work
    }

    /// Up to where everything is durable once they are written.
    pub(crate) const fn upto(&self) -> Upto {
        Upto { lsn: self.work.lsn, contents: self.put }
    }

    /// The contents that were stored, and the room that the bytes had.
    pub(crate) fn into_parts(self) -> (Vec<PayloadRef>, Vec<u8>) {
        (self.contents, self.work.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(n: u8, length: usize) -> Pending {
        Pending::new([n; 32], vec![n; length])
    }

    #[test]
    fn batches_come_out_only_behind_their_contents() {
        let mut contents = Contents::default();
        contents.put(content(1, 10));
        let taken = contents.take(Work { bytes: vec![1], ..Work::default() });
        assert_eq!(taken.store(|_| Err(LogError::Poisoned)).unwrap_err(), LogError::Poisoned);
        let mut seen = Vec::new();
        contents.put(content(2, 10));
        contents.put(content(3, 0));
        let frames = contents.take(Work::default()).store(|contents| {
            seen.extend(contents.iter().map(|content| content.content()));
            Ok(())
        });
        assert_eq!(seen, [vec![2; 10], vec![]], "in the order in which they were put");
        assert_eq!(frames.unwrap().upto().contents, 3);
        let nothing = contents.take(Work::default()).store(|_| Err(LogError::Poisoned));
        assert!(nothing.is_ok(), "where no content waits, nothing is stored");
    }

    #[test]
    fn what_waits_is_counted_until_it_is_durable() {
        let mut contents = Contents::default();
        let free = CONTENTS_MAX_BYTES - 2 * CONTENT_BYTES - 1000;
        assert!(contents.has_room(CONTENTS_MAX_BYTES - CONTENT_BYTES));
        assert!(!contents.has_room(CONTENTS_MAX_BYTES - CONTENT_BYTES + 1));
        contents.put(content(1, 1000));
        assert!(contents.has_room(free) && !contents.has_room(free + 1));
        contents.put(content(2, free));
        assert!(!contents.is_over() && !contents.has_room(0), "also what has no bytes takes room");
        contents.put(content(3, 0));
        assert!(contents.is_over());
        let frames = contents.take(Work::default()).store(|_| Ok(())).unwrap();
        assert!(contents.is_over(), "what is on its way is in memory, too");
        let first = content(1, 1000).reference();
        assert_eq!(contents.get(&first.id()).unwrap().content(), [1; 1000]);
        let (stored, _) = frames.into_parts();
        contents.stored(&stored);
        contents.stored(&stored);
        assert!(contents.get(&first.id()).is_none());
        assert_eq!((contents.bytes, contents.put), (0, 3));
    }
}
