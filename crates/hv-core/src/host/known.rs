//! What a host of a saga finds out: where the saga is, and what was refused to it last.

use crate::event::Denial;
use hv_audit::StreamNo;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The stream of a saga's session, and the saga's number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) stream: StreamNo,
    pub(super) number: u32,
}

/// A place, once it is known: one word, so that whoever looks waits for nobody.
#[derive(Debug)]
pub(super) struct Found(AtomicU64);

/// The word of no place. Were there one, it would be looked for again each time.
const NONE: u64 = u64::MAX;

impl Found {
    pub(super) const fn nowhere() -> Self {
        Self(AtomicU64::new(NONE))
    }

    pub(super) fn get(&self) -> Option<Place> {
        let word = self.0.load(Ordering::Relaxed);
        let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
        let (stream, number) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        (word != NONE).then_some(Place { stream: StreamNo(stream), number })
    }

    pub(super) fn set(&self, Place { stream, number }: Place) {
        self.0.store(u64::from(stream.0) | u64::from(number) << 32, Ordering::Relaxed);
    }
}

impl Clone for Found {
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }
}

/// What the gate refused since somebody asked, at most one of it. A copy of a host was refused nothing yet.
#[derive(Debug, Default)]
pub(super) struct LastRefused(Mutex<Option<Box<Denial>>>);

impl LastRefused {
    pub(super) fn set(&self, denial: Denial) {
        *self.lock() = Some(Box::new(denial));
    }

    pub(super) fn take(&self) -> Option<Denial> {
        self.lock().take().map(|denial| *denial)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<Denial>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for LastRefused {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_as_it_was_set() {
        let found = Found::nowhere();
        assert_eq!(found.get(), None);
        for (stream, number) in [(2, 0), (u32::MAX, 7), (7, u32::MAX), (0x0102_0304, 0x0506_0708)] {
            let place = Place { stream: StreamNo(stream), number };
            found.set(place);
            assert_eq!((found.get(), found.clone().get()), (Some(place), Some(place)));
        }
    }
}
