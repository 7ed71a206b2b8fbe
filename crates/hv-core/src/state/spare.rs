//! Room for what decisions want recorded, used again for the next one. It holds nothing between decisions.

use super::State;
use crate::node::Draft;
use std::cell::RefCell;

/// A draft that says nothing.
#[derive(Debug, Default)]
pub(crate) struct Spare(RefCell<Option<Draft>>);

impl State {
    /// A draft that says nothing yet.
    pub(crate) fn draft(&self) -> Draft {
        let spare = self.spare.0.try_borrow_mut().ok().and_then(|mut spare| spare.take());
        spare.unwrap_or_default().roomy()
    }

    /// Takes a draft back that is recorded.
    pub(crate) fn spare(&mut self, mut draft: Draft) {
        draft.clear();
        *self.spare.0.get_mut() = Some(draft);
    }
}
