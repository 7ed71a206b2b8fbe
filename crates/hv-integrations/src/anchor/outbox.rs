//! One digest on its way: from being queued to being final, step by step.

use super::{Anchor, AnchorFault, Look};
use hv_types::wire::Reader;
use hv_types::{Digest, Undecodable, Wire};

/// Where a digest stands on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnchorState {
    /// It is to be anchored.
    Queued,
    /// What will be sent is made and kept; it may have been sent.
    Prepared,
    /// It was sent and waits.
    Pending,
    /// It is there, and could still be taken back.
    Included,
    /// It is there for good.
    Final,
    /// It was there and is not any more: the chain took another way.
    Reorged,
    /// What was sent is not there any more.
    Dropped,
}

impl AnchorState {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Prepared,
        Self::Pending,
        Self::Included,
        Self::Final,
        Self::Reorged,
        Self::Dropped,
    ];

    /// Its name as one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Prepared => "prepared",
            Self::Pending => "pending",
            Self::Included => "included",
            Self::Final => "final",
            Self::Reorged => "reorged",
            Self::Dropped => "dropped",
        }
    }

    /// Whether this can come directly after.
    #[must_use]
    pub const fn leads_to(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Queued, Self::Prepared)
                | (Self::Prepared, Self::Pending | Self::Dropped)
                | (Self::Pending, Self::Included | Self::Dropped)
                | (Self::Included, Self::Final | Self::Reorged)
                | (Self::Reorged, Self::Pending | Self::Included | Self::Dropped)
                | (Self::Dropped, Self::Pending | Self::Included | Self::Queued)
        )
    }
}

/// Its number in [`AnchorState::ALL`], as one byte.
impl Wire for AnchorState {
    fn put(&self, out: &mut Vec<u8>) {
        let number = Self::ALL.iter().position(|state| state == self);
        out.push(number.and_then(|number| u8::try_from(number).ok()).unwrap_or(u8::MAX));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let number = reader.byte()?;
        Self::ALL.get(usize::from(number)).copied().ok_or_else(|| reader.invalid("AnchorState"))
    }
}

/// One digest on its way to one anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchoring {
    /// What is anchored.
    pub digest: Digest,
    /// Where it stands.
    pub state: AnchorState,
    /// What was made ready, sent or received.
    pub receipt: Vec<u8>,
}

hv_types::wire_struct!(Anchoring { digest, state, receipt });

impl Anchoring {
    /// A digest that is to be anchored.
    #[must_use]
    pub const fn new(digest: Digest) -> Self {
        Self { digest, state: AnchorState::Queued, receipt: Vec::new() }
    }
}

/// So many steps at most in one go: a chain that keeps turning is looked at again later.
const STEPS_MAX: u32 = 12;

/// Moves a digest on as far as it goes now. `keep` makes each new state durable, and is called before anything that
/// rests on it is done; what it answers ends the way.
///
/// # Errors
/// The outer one is `keep`'s, the inner one the anchor's. The digest stands where it was kept last.
pub fn advance<E>(
    anchor: &dyn Anchor,
    anchoring: &mut Anchoring,
    keep: &mut dyn FnMut(&Anchoring) -> Result<(), E>,
) -> Result<Result<(), AnchorFault>, E> {
    for _ in 0..STEPS_MAX {
        let (state, receipt) = match step(anchor, anchoring) {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(Ok(())),
            Err(fault) => return Ok(Err(fault)),
        };
        let next = Anchoring { digest: anchoring.digest, state, receipt };
        keep(&next)?;
        *anchoring = next;
    }
    Ok(Ok(()))
}

/// The next state, where there is one now.
fn step(anchor: &dyn Anchor, anchoring: &Anchoring) -> Result<Option<(AnchorState, Vec<u8>)>, AnchorFault> {
    let Anchoring { digest, state, receipt } = anchoring;
    let to = |state| Some((state, receipt.clone()));
    let look = || anchor.look(digest, receipt);
    Ok(match state {
        AnchorState::Final => None,
        AnchorState::Queued => Some((AnchorState::Prepared, anchor.prepare(digest)?)),
        AnchorState::Prepared => Some((AnchorState::Pending, anchor.send(digest, receipt)?)),
        AnchorState::Pending => match look()? {
            Look::Pending => None,
            Look::Included { receipt, .. } => Some((AnchorState::Included, receipt)),
            Look::Missing | Look::Lost => to(AnchorState::Dropped),
        },
        AnchorState::Included => match look()? {
            Look::Included { receipt: now, .. } if now != *receipt => to(AnchorState::Reorged),
            Look::Included { is_final: true, .. } => to(AnchorState::Final),
            Look::Included { .. } => None,
            Look::Pending | Look::Missing | Look::Lost => to(AnchorState::Reorged),
        },
        AnchorState::Reorged => match look()? {
            Look::Included { receipt, .. } => Some((AnchorState::Included, receipt)),
            Look::Pending => to(AnchorState::Pending),
            Look::Missing | Look::Lost => to(AnchorState::Dropped),
        },
        AnchorState::Dropped => match look()? {
            Look::Included { receipt, .. } => Some((AnchorState::Included, receipt)),
            Look::Pending => to(AnchorState::Pending),
            Look::Missing => Some((AnchorState::Pending, anchor.send(digest, receipt)?)),
            Look::Lost => Some((AnchorState::Queued, Vec::new())),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use AnchorState::{Dropped, Final, Included, Pending, Prepared, Queued, Reorged};
    use std::cell::{Cell, RefCell};

    /// A chain that does what it is told.
    #[derive(Debug, Default)]
    struct Told {
        looks: RefCell<Vec<Look>>,
        prepared: Cell<u8>,
        sent: RefCell<Vec<Vec<u8>>>,
    }

    impl Anchor for Told {
        fn target(&self) -> String {
            "told".to_owned()
        }

        fn prepare(&self, _: &Digest) -> Result<Vec<u8>, AnchorFault> {
            self.prepared.set(self.prepared.get() + 1);
            Ok(vec![self.prepared.get()])
        }

        fn send(&self, _: &Digest, receipt: &[u8]) -> Result<Vec<u8>, AnchorFault> {
            self.sent.borrow_mut().push(receipt.to_vec());
            Ok(receipt.to_vec())
        }

        fn look(&self, _: &Digest, _: &[u8]) -> Result<Look, AnchorFault> {
            let mut looks = self.looks.borrow_mut();
            let next = (!looks.is_empty()).then(|| looks.remove(0));
            next.ok_or(AnchorFault::Unreachable { why: "nobody is there".to_owned() })
        }
    }

    fn way(looks: Vec<Look>) -> (Vec<AnchorState>, Told) {
        let told = Told { looks: looks.into(), ..Told::default() };
        let mut states = vec![Queued];
        let mut anchoring = Anchoring::new(Digest([1; 32]));
        for _ in 0..10 {
            let kept = advance(&told, &mut anchoring, &mut |next| {
                assert!(states.last().unwrap().leads_to(next.state), "{states:?} to {:?}", next.state);
                states.push(next.state);
                Ok::<(), ()>(())
            });
            if kept.unwrap().is_err() {
                break;
            }
        }
        (states, told)
    }

    fn there(block: u8, is_final: bool) -> Look {
        Look::Included { receipt: vec![1, block], is_final }
    }

    #[test]
    fn states_follow_what_is_seen() {
        let (states, told) = way(vec![Look::Pending, there(7, false), there(7, false), there(7, true)]);
        assert_eq!(states, [Queued, Prepared, Pending, Included, Final]);
        assert_eq!(*told.sent.borrow(), [[1]], "sent once");
        // Another block, then the pool again, then a block again.
        let looks = vec![
            there(7, false),
            there(8, false),
            there(8, false),
            Look::Pending,
            Look::Pending,
            there(9, false),
            there(9, true),
        ];
        let (states, told) = way(looks);
        assert_eq!(
            states,
            [Queued, Prepared, Pending, Included, Reorged, Included, Reorged, Pending, Included, Final]
        );
        assert_eq!(told.sent.borrow().len(), 1);
    }

    #[test]
    fn what_was_dropped_is_sent_again_as_it_was_and_made_anew_only_where_it_can_never_be() {
        let looks = vec![Look::Missing, Look::Missing, Look::Pending];
        let (states, told) = way(looks);
        assert_eq!(states, [Queued, Prepared, Pending, Dropped, Pending]);
        assert_eq!(*told.sent.borrow(), [[1], [1]], "the same bytes");
        let (states, told) = way(vec![Look::Lost, Look::Lost, Look::Pending]);
        assert_eq!(states, [Queued, Prepared, Pending, Dropped, Queued, Prepared, Pending]);
        assert_eq!(*told.sent.borrow(), [[1], [2]], "another one");
    }

    /// Killed after every step: the same bytes are sent again, never others.
    #[test]
    fn whoever_is_killed_anywhere_prepares_once() {
        for killed_after in 0..4 {
            let looks = RefCell::new(vec![there(7, false), there(7, true)]);
            let told = Told { looks, ..Told::default() };
            let mut kept = Anchoring::new(Digest([1; 32]));
            let mut left = killed_after;
            let mut life = kept.clone();
            let killed = advance(&told, &mut life, &mut |next| {
                if left == 0 {
                    return Err("killed");
                }
                left -= 1;
                kept = next.clone();
                Ok(())
            });
            assert_eq!(killed, Err("killed"), "{killed_after}");
            *told.looks.borrow_mut() = vec![there(7, false), there(7, true)];
            let mut life = kept.clone();
            for _ in 0..2 {
                advance(&told, &mut life, &mut |_| Ok::<(), ()>(())).unwrap().unwrap();
            }
            assert_eq!(life.state, Final);
            let sent = told.sent.borrow();
            assert!(sent.iter().all(|bytes| *bytes == sent[sent.len() - 1]) || killed_after == 0, "{sent:?}");
        }
    }
}
