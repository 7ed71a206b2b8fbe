//! The state of a node of which nothing is said yet.

use super::State;

impl Default for State {
    /// Made where it stays, because it is large.
    #[inline(always)]
    fn default() -> Self {
        Self {
            authority: Default::default(),
            guards: Default::default(),
            meters: Default::default(),
            track: Default::default(),
            breakers: Default::default(),
            ledger: Default::default(),
            ledger_length: Default::default(),
            kills: Default::default(),
            anchors: Default::default(),
            histories: Default::default(),
            holds: Default::default(),
            next_hold: Default::default(),
            creators: Default::default(),
            scores: Default::default(),
            outbox: Default::default(),
            items: Default::default(),
            unusable: Default::default(),
            names: Default::default(),
            sessions: Default::default(),
            answering: Default::default(),
            gone: Default::default(),
        }
    }
}
