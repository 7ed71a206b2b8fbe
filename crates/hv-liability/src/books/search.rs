//! A search along the edges of the vouch graph, one of the two that [`Order::fit`] lets take turns.

use super::NIL;
use super::order::Order;
use std::collections::BinaryHeap;

/// Somebody whom a search has seen; the nearer, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    /// How near to the search's start it stands: the larger, the nearer.
    pub(super) near: u64,
    pub(super) agent: u32,
    /// Where the one from whom it was seen stands among those who were taken; the start's own place for the start.
    from: u32,
}

/// Room for two searches, which is used again for the next two.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub(super) down: Side,
    pub(super) up: Side,
}

/// Whom one search has seen between both ends.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// Whom it has not begun to search from, the nearest first; who was seen from several, so many times.
    pub(super) ahead: BinaryHeap<Seen>,
    /// Whom it has begun to search from, as they stand, the nearest first, for every edge leads farther away. All but the
    /// last were searched from to the end.
    pub(super) taken: Vec<Seen>,
}

/// For so many it keeps room; what a longer search took is given back when the next one begins.
pub(super) const KEPT: usize = 1024;

/// What a turn of a search led to.
pub(super) enum Turn {
    /// Nothing yet.
    On,
    /// A path: the edge leads from whom it took last to the one who stands here among those whom the other took.
    Met(usize),
    /// They have passed one another: whom it took last stands on the other side of whom the other took last.
    Passed,
    /// It has searched from all whom it can reach between both ends.
    Ended,
}

/// A search that goes on one edge at a time, from whom it saw nearest to its start.
pub(super) struct Search<'a, N, E, I> {
    pub(super) side: &'a mut Side,
    /// How near the other end is.
    end: u64,
    /// How near a label is.
    nearness: N,
    edges: E,
    /// Whom it took last.
    pub(super) last: Seen,
    /// The edges that are left of that one.
    left: I,
    /// The nearest of those whom it saw on the other side of whom the other search had come to. There is no need to search
    /// from them: the other has found everybody there who lies on a path to its own start.
    beyond: Option<Seen>,
}

impl<'a, I, N, E> Search<'a, N, E, I>
where
    I: Iterator<Item = Option<u32>>,
    N: Fn(u64) -> u64,
    E: Fn(u32) -> I,
{
    pub(super) fn new(
        side: &'a mut Side,
        (agent, near): (u32, u64),
        end: u64,
        nearness: N,
        edges: E,
    ) -> Self {
        let last = Seen { near, agent, from: 0 };
        side.ahead.clear();
        side.ahead.shrink_to(KEPT);
        side.taken.clear();
        side.taken.shrink_to(KEPT);
        side.taken.push(last);
        let left = edges(agent);
        Self { side, end, nearness, edges, last, left, beyond: None }
    }

    /// Where whom it took last stands among those whom it took.
    pub(super) fn place(&self) -> usize {
        self.side.taken.len() - 1
    }

    /// Follows one edge, of the next ones whom it takes where none is left. `others` are those whom the other search took,
    /// and `other` is how near to its start the last of them stands.
    pub(super) fn turn(&mut self, order: &Order, other: u64, others: &[Seen]) -> Turn {
        loop {
            if let Some(edge) = self.left.next() {
                let Some(agent) = edge else { return Turn::On };
                let Some(label) = order.label(agent) else { return Turn::On };
                let near = (self.nearness)(label);
                let seen = Seen { near, agent, from: u32::try_from(self.place()).unwrap_or(NIL) };
                if near > !other {
                    self.side.ahead.push(seen);
                } else if near >= self.end {
                    if let Ok(at) = others.binary_search_by_key(&near, |other| !other.near) {
                        return Turn::Met(at);
                    }
                    self.beyond = self.beyond.max(Some(seen));
                }
                return Turn::On;
            }
            let next = match self.side.ahead.peek() {
                Some(next) if next.near == self.last.near => {
                    self.side.ahead.pop();
                    continue;
                }
                Some(&next) if next.near >= !other => next,
                next => match next.copied().max(self.beyond) {
                    Some(next) => {
                        self.last = next;
                        self.side.taken.push(next);
                        return Turn::Passed;
                    }
                    None => return Turn::Ended,
                },
            };
            self.side.ahead.pop();
            self.last = next;
            self.side.taken.push(next);
            self.left = (self.edges)(next.agent);
        }
    }
}

pub(super) fn agents<'a>(seen: impl Iterator<Item = &'a Seen>) -> Vec<u32> {
    seen.map(|seen| seen.agent).collect()
}

/// The way from a place among those who were taken back to the start.
fn way_back(taken: &[Seen], from: usize) -> Vec<u32> {
    let mut way = Vec::new();
    let mut at = Some(from);
    while let Some((place, seen)) = at.and_then(|at| Some((at, taken.get(at)?))) {
        way.push(seen.agent);
        at = Some(seen.from as usize).filter(|&from| from != place);
    }
    way
}

/// The path from the start of `down` to the start of `up`, over an edge that leads from one to the other.
pub(super) fn join((down, from): (&[Seen], usize), (up, to): (&[Seen], usize)) -> Vec<u32> {
    let mut path = way_back(down, from);
    path.reverse();
    path.extend(way_back(up, to));
    path
}
