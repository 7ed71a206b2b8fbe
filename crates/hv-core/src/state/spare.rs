//! Room that decisions use again, one after another. Nobody reads there what was before.

use super::State;
use crate::node::Draft;
use std::cell::RefCell;

#[derive(Debug, Default)]
pub(crate) struct Spare {
    /// A draft that says nothing.
    draft: RefCell<Option<Draft>>,
}

impl State {
    /// A draft that says nothing yet.
    pub(crate) fn draft(&self) -> Draft {
        let spare = self.spare.draft.try_borrow_mut().ok().and_then(|mut spare| spare.take());
        spare.unwrap_or_default().roomy()
    }

    /// Takes a draft back that is recorded.
    pub(crate) fn spare(&mut self, mut draft: Draft) {
        draft.clear();
        *self.spare.draft.get_mut() = Some(draft);
    }
}
