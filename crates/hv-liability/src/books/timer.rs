//! When bonds come due: a binary heap of bonds by their end, in which each bond knows its place, so that a
//! bond that is released early leaves it at once and nothing stale is kept.

use super::{BondRow, NIL};
use hv_types::Timestamp;

/// Bonds by the time at which something happens to them, the earliest first; of equal times, the lower slot.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timer {
    heap: Vec<u32>,
}

impl Timer {
    /// The next time at which a bond comes due, and that bond. O(1).
    pub(crate) fn next(&self, bonds: &[BondRow]) -> Option<(Timestamp, u32)> {
        self.heap.first().and_then(|&slot| Some((bonds.get(slot as usize)?.ends, slot)))
    }

    /// Calls back for every bond that comes due up to a time, in no order that means anything. O(due).
    pub(crate) fn due(&self, bonds: &[BondRow], now: Timestamp, visit: &mut dyn FnMut(u32, &BondRow)) {
        let mut waiting = vec![0usize];
        while let Some(at) = waiting.pop() {
            let Some(&slot) = self.heap.get(at) else { continue };
            let Some(bond) = bonds.get(slot as usize).filter(|bond| bond.ends <= now) else { continue };
            visit(slot, bond);
            waiting.extend([2 * at + 1, 2 * at + 2]);
        }
    }

    /// Adds a bond that is not there yet, unless it never ends. O(log n).
    pub(crate) fn push(&mut self, bonds: &mut [BondRow], slot: u32) {
        let never = bonds.get(slot as usize).is_none_or(|bond| bond.ends == Timestamp::MAX);
        if never {
            return;
        }
        let at = self.heap.len();
        self.heap.push(slot);
        self.settle(bonds, at);
    }

    /// Takes a bond out, if it is there. O(log n).
    pub(crate) fn remove(&mut self, bonds: &mut [BondRow], slot: u32) {
        let Some(bond) = bonds.get_mut(slot as usize) else { return };
        let at = core::mem::replace(&mut bond.timer_at, NIL) as usize;
        if self.heap.get(at) != Some(&slot) {
            return;
        }
        self.heap.swap_remove(at);
        if at < self.heap.len() {
            self.settle(bonds, at);
        }
    }

    /// Moves the bond at a place up or down to where it belongs.
    fn settle(&mut self, bonds: &mut [BondRow], mut at: usize) {
        let key = |heap: &[u32], bonds: &[BondRow], at: usize| {
            let slot = *heap.get(at)?;
            Some((bonds.get(slot as usize)?.ends, slot))
        };
        while at > 0 {
            let parent = (at - 1) / 2;
            if key(&self.heap, bonds, parent) <= key(&self.heap, bonds, at) {
                break;
            }
            self.heap.swap(parent, at);
            self.note(bonds, at);
            at = parent;
        }
        loop {
            let children = [2 * at + 1, 2 * at + 2];
            let least = children.into_iter().filter(|&child| child < self.heap.len());
            let least = least.min_by_key(|&child| key(&self.heap, bonds, child));
            let Some(child) = least else { break };
            if key(&self.heap, bonds, at) <= key(&self.heap, bonds, child) {
                break;
            }
            self.heap.swap(at, child);
            self.note(bonds, at);
            at = child;
        }
        self.note(bonds, at);
    }

    /// Tells the bond at a place where it is.
    fn note(&self, bonds: &mut [BondRow], at: usize) {
        let bond = self.heap.get(at).and_then(|&slot| bonds.get_mut(slot as usize));
        if let (Some(bond), Ok(at)) = (bond, u32::try_from(at)) {
            bond.timer_at = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_next_is_the_least_and_the_due_are_all_that_are(
            steps in prop::collection::vec((0usize..12, 0u64..9, any::<bool>()), 1..80)
        ) {
            let mut bonds: Vec<BondRow> =
                (0..12).map(|_| BondRow::new(1, Timestamp(0), Timestamp::MAX)).collect();
            let (mut timer, mut model) = (Timer::default(), std::collections::BTreeSet::new());
            for (at, ends, add) in steps {
                let slot = u32::try_from(at).unwrap();
                timer.remove(&mut bonds, slot);
                model.retain(|&(_, other)| other != slot);
                bonds[at].ends = if ends == 8 { Timestamp::MAX } else { Timestamp(ends) };
                if add {
                    timer.push(&mut bonds, slot);
                    model.extend((ends < 8).then_some((Timestamp(ends), slot)));
                }
                prop_assert_eq!(timer.next(&bonds), model.first().copied());
                for now in (0..9).map(Timestamp) {
                    let mut due = Vec::new();
                    timer.due(&bonds, now, &mut |slot, bond| due.push((bond.ends, slot)));
                    due.sort_unstable();
                    let expected: Vec<_> = model.iter().copied().filter(|&(ends, _)| ends <= now).collect();
                    prop_assert_eq!(due, expected);
                }
            }
        }
    }
}
