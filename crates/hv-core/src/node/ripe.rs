//! What comes due by time alone, and stands in the trail before whatever is decided then.

use super::{Failed, Inner, Made, Node};
use crate::charges;
use hv_types::Timestamp;

impl Node {
    /// Carries out the charges whose grace period is over.
    #[inline]
    pub(super) fn ripen(&self, inner: &mut Inner, now: Timestamp) -> Result<Option<Box<Made>>, Failed> {
        match inner.state.ledger.next_ripe() {
            Some(until) if until <= now => self.carry_out(inner, now).map(Some),
            _ => Ok(None),
        }
    }

    #[cold]
    fn carry_out(&self, inner: &mut Inner, now: Timestamp) -> Result<Box<Made>, Failed> {
        let mut draft = charges::ripe(&inner.state, now);
        let mut made = Box::<Made>::default();
        self.record(inner, &mut draft, now, &mut made)?;
        Ok(made)
    }
}

impl Made {
    /// With what was recorded right before: nothing is revealed before that is durable too.
    #[cold]
    pub(super) fn behind(mut self, before: Self) -> Self {
        self.lsn = self.lsn.max(before.lsn);
        self.sums = self.sums.behind(before.sums);
        self
    }
}
