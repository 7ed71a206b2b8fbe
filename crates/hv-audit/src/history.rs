//! An agent's trust history: the summaries that it claims, held against those that are proven.
//!
//! A summary is the root over the records of a session in which the agent took part. Only what a trail commits to is
//! proven; an agent's word for it is a claim.

use core::fmt;
use hv_types::Digest;

/// So many summaries, the last ones, make a history.
pub const HISTORY_LENGTH: usize = 5;

/// What comes of holding a claim against what is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// Every summary of the last [`HISTORY_LENGTH`] is claimed, in order, and nothing else.
    Verified,
    /// The same, of fewer: there is not enough of it yet.
    Probationary {
        /// How many are proven.
        proven: usize,
    },
    /// It does not hold together.
    Suspicious(Flaw),
}

/// What is wrong with a claimed history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// More is claimed than a history has.
    TooLong,
    /// A summary is claimed twice.
    Duplicated,
    /// A summary is claimed that nothing proves.
    Fabricated,
    /// Summaries are claimed in another order than that in which their sessions ended.
    OutOfOrder,
    /// A session that counts is not claimed.
    Missing,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "more is claimed than the last five sessions",
            Self::Duplicated => "a summary is claimed twice",
            Self::Fabricated => "a summary is claimed that nothing proves",
            Self::OutOfOrder => "the summaries are not in the order in which the sessions ended",
            Self::Missing => "a session is left out",
        })
    }
}

/// Holds a claim against what is proven, both with the oldest first. Looks at the last [`HISTORY_LENGTH`] of what is
/// proven; keeps nothing, so no answer outlives what it rests on.
///
/// ```
/// use hv_audit::{Flaw, History, check_history};
/// use hv_types::Digest;
///
/// let proven = [Digest([1; 32]), Digest([2; 32])];
/// assert_eq!(check_history(&proven, &proven), History::Probationary { proven: 2 });
/// assert_eq!(check_history(&proven[1..], &proven), History::Suspicious(Flaw::Missing));
/// ```
#[must_use]
pub fn check_history(claimed: &[Digest], proven: &[Digest]) -> History {
    let counts = proven.get(proven.len().saturating_sub(HISTORY_LENGTH)..).unwrap_or_default();
    let place = |summary: &Digest| counts.iter().position(|known| known == summary);
    if claimed.len() > HISTORY_LENGTH {
        return History::Suspicious(Flaw::TooLong);
    }
    let mut last = None;
    for (at, summary) in claimed.iter().enumerate() {
        if claimed.iter().take(at).any(|before| before == summary) {
            return History::Suspicious(Flaw::Duplicated);
        }
        let Some(place) = place(summary) else {
            // One that is proven and does not count any more stands where another should.
            let old = proven.contains(summary);
            return History::Suspicious(if old { Flaw::Missing } else { Flaw::Fabricated });
        };
        if last.is_some_and(|last| place < last) {
            return History::Suspicious(Flaw::OutOfOrder);
        }
        last = Some(place);
    }
    if claimed.len() < counts.len() {
        return History::Suspicious(Flaw::Missing);
    }
    if counts.len() < HISTORY_LENGTH {
        History::Probationary { proven: counts.len() }
    } else {
        History::Verified
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots(numbers: &[u8]) -> Vec<Digest> {
        numbers.iter().map(|number| Digest([*number; 32])).collect()
    }

    #[test]
    fn only_the_last_five_as_they_were_are_a_history() {
        use Flaw::{Duplicated, Fabricated, Missing, OutOfOrder, TooLong};
        let proven = roots(&[1, 2, 3, 4, 5, 6, 7]);
        for (claimed, answer) in [
            (&[3, 4, 5, 6, 7][..], History::Verified),
            (&[], History::Suspicious(Missing)),
            (&[4, 5, 6, 7], History::Suspicious(Missing)),
            (&[3, 4, 5, 6], History::Suspicious(Missing)),
            (&[2, 3, 4, 5, 6], History::Suspicious(Missing)),
            (&[3, 5, 4, 6, 7], History::Suspicious(OutOfOrder)),
            (&[3, 4, 5, 7, 7], History::Suspicious(Duplicated)),
            (&[3, 4, 5, 6, 9], History::Suspicious(Fabricated)),
            (&[2, 3, 4, 5, 6, 7], History::Suspicious(TooLong)),
        ] {
            assert_eq!(check_history(&roots(claimed), &proven), answer, "{claimed:?}");
        }
        assert_eq!(check_history(&[], &[]), History::Probationary { proven: 0 });
        assert_eq!(check_history(&roots(&[1]), &[]), History::Suspicious(Fabricated));
        for count in 1..=4 {
            let proven = &proven[..count];
            assert_eq!(check_history(proven, proven), History::Probationary { proven: count });
        }
        assert_eq!(check_history(&proven[..5], &proven[..5]), History::Verified);
    }
}
