//! Starts that passed the gate, kept from everybody until their record is durable.

use super::Start;
use smallvec::SmallVec;

/// The starts of a decision. Whoever writes them gets the key to them, which is handed on with what is decided: so nobody
/// has it before the node reveals that.
#[derive(Default)]
pub(super) struct Withheld(Starts);

/// Mostly one.
pub(super) type Starts = SmallVec<[Start; 1]>;

/// That what was decided is revealed.
#[must_use = "what starts is found with it alone"]
pub(super) struct Key(());

impl Withheld {
    /// Room for the starts of a decision, in place of those of an earlier one.
    pub(super) fn write(&mut self) -> (&mut Starts, Key) {
        self.0.clear();
        (&mut self.0, Key(()))
    }

    pub(super) fn open(&mut self, Key(()): &Key) -> &mut Starts {
        &mut self.0
    }
}
