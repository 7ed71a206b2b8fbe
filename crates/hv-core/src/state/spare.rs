//! Room that decisions use again, one after another. Nobody reads there what was before.

use super::State;
use crate::grant::{parameters_in, parameters_of};
use crate::node::Draft;
use hv_saga::Attempt;
use hv_types::Digest;
use std::cell::RefCell;

#[derive(Debug, Default)]
pub(crate) struct Spare {
    /// A draft that says nothing.
    draft: RefCell<Option<Draft>>,
    /// Room for the parameters of a call, while their digest is taken.
    parameters: RefCell<Vec<u8>>,
}

/// As long as most parameters are: the room begins with it.
const FIRST_BYTES: usize = 256;

/// What is longer is not kept.
const KEPT_BYTES: usize = 4096;

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

    /// The digest of the parameters of the call that an attempt makes.
    pub(crate) fn parameters_of(&self, attempt: &Attempt) -> Digest {
        let Ok(mut room) = self.spare.parameters.try_borrow_mut() else { return parameters_of(attempt) };
        room.clear();
        room.reserve(FIRST_BYTES);
        let digest = parameters_in(&mut room, attempt);
        if room.capacity() > KEPT_BYTES {
            *room = Vec::new();
        }
        digest
    }
}
