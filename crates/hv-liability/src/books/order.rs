//! An order of the agents in which every voucher stands before those whom it vouches for.
//!
//! While there is such an order there is no cycle, and a new edge that agrees with it cannot close one, so
//! most vouches are checked by one comparison. An edge against the order is searched from both its ends in
//! turn, one edge at a time, among the agents that stand between them: the shorter of the two searches
//! decides, and what it found moves past the other end. Places are labels with gaps, so moving an agent
//! renumbers nobody, except where a gap is used up and the labels around it are spread again (M. A. Bender,
//! R. Cole, E. D. Demaine, M. Farach-Colton, J. Zito: Two Simplified Algorithms for Maintaining Order in a
//! List, 2002). Numbering the agents without gaps instead, as the algorithm of Pearce and Kelly does, moves
//! a whole chain each time its head is extended.

use super::NIL;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// One agent's place: its label, and who stands before and after it.
#[derive(Debug, Clone, Copy)]
struct Place {
    label: u64,
    before: u32,
    after: u32,
}

/// The order of all agents.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    places: Vec<Place>,
    last: u32,
}

impl Default for Order {
    fn default() -> Self {
        Self { places: Vec::new(), last: NIL }
    }
}

/// The distance at which new agents are put behind each other.
const GAP: u64 = 1 << 32;

/// What an edge does to the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It agrees with it.
    Agrees,
    /// It agrees once these agents stand directly before the edge's head.
    MoveBefore(Vec<u32>),
    /// It agrees once these agents stand directly after the edge's tail.
    MoveAfter(Vec<u32>),
    /// It closes a cycle; the path leads from the edge's head to its tail.
    Cycle(Vec<u32>),
}

/// The edges at an agent: to whom it vouches, or from whom it is vouched for.
pub(crate) trait Edges {
    /// Those whom the agent vouches for.
    fn heads(&self, agent: u32) -> impl Iterator<Item = Option<u32>>;
    /// Those who vouch for the agent.
    fn tails(&self, agent: u32) -> impl Iterator<Item = Option<u32>>;
}

impl Order {
    /// Puts the next agent behind all others.
    pub(crate) fn append(&mut self) {
        let Ok(agent) = u32::try_from(self.places.len()) else { return };
        let label = self.label(self.last).and_then(|label| label.checked_add(GAP));
        self.places.push(Place { label: label.unwrap_or(u64::MAX), before: NIL, after: NIL });
        let last = core::mem::replace(&mut self.last, agent);
        if let Some(place) = self.places.get_mut(last as usize) {
            place.after = agent;
        }
        if let Some(place) = self.places.get_mut(agent as usize) {
            place.before = last;
        }
        if label.is_none() && last != NIL {
            self.spread(agent);
        }
    }

    /// Whether the edge from `tail` to `head` fits, and what must move for it.
    ///
    /// Costs one comparison where it agrees; else the edges of the smaller of two searches, twice.
    pub(crate) fn fit(&self, tail: u32, head: u32, edges: &impl Edges) -> Fit {
        let (Some(top), Some(bottom)) = (self.label(tail), self.label(head)) else { return Fit::Agrees };
        if top < bottom {
            return Fit::Agrees;
        }
        let between = |agent: u32| self.label(agent).is_some_and(|label| bottom <= label && label <= top);
        let mut down = Search::new(head, |agent| edges.heads(agent));
        let mut up = Search::new(tail, |agent| edges.tails(agent));
        loop {
            match down.step(between, &up.from) {
                Step::Met(at) => return Fit::Cycle(join(at, &down.from, &up.from)),
                Step::Exhausted => return Fit::MoveAfter(self.sorted(&down.from)),
                Step::Going => {}
            }
            match up.step(between, &down.from) {
                Step::Met(at) => return Fit::Cycle(join(at, &down.from, &up.from)),
                Step::Exhausted => return Fit::MoveBefore(self.sorted(&up.from)),
                Step::Going => {}
            }
        }
    }

    /// Carries out what [`fit`](Order::fit) found for the edge from `tail` to `head`.
    pub(crate) fn make_room(&mut self, tail: u32, head: u32, fit: &Fit) {
        match fit {
            Fit::Agrees | Fit::Cycle(_) => {}
            Fit::MoveBefore(agents) => {
                for &agent in agents {
                    self.take_out(agent);
                    self.put_before(agent, head);
                }
            }
            Fit::MoveAfter(agents) => {
                for &agent in agents.iter().rev() {
                    self.take_out(agent);
                    let next = self.places.get(tail as usize).map_or(NIL, |place| place.after);
                    self.put_before(agent, next);
                }
            }
        }
    }

    /// Whether `tail` stands before `head`.
    #[cfg(test)]
    pub(crate) fn agrees(&self, tail: u32, head: u32) -> bool {
        self.label(tail) < self.label(head)
    }

    fn label(&self, agent: u32) -> Option<u64> {
        self.places.get(agent as usize).map(|place| place.label)
    }

    fn sorted(&self, found: &Found) -> Vec<u32> {
        let mut agents: Vec<u32> = found.keys().copied().collect();
        agents.sort_unstable_by_key(|&agent| self.label(agent));
        agents
    }

    fn take_out(&mut self, agent: u32) {
        let Some(&Place { before, after, .. }) = self.places.get(agent as usize) else { return };
        if let Some(place) = self.places.get_mut(before as usize) {
            place.after = after;
        }
        match self.places.get_mut(after as usize) {
            Some(place) => place.before = before,
            None => self.last = before,
        }
    }

    /// Puts an agent that was taken out before another one, or behind all where there is none.
    fn put_before(&mut self, agent: u32, next: u32) {
        let before = self.places.get(next as usize).map_or(self.last, |place| place.before);
        let low = self.label(before);
        let high = self.label(next);
        let label = match (low, high) {
            (Some(low), Some(high)) => low + (high - low) / 2,
            (Some(low), None) => low.saturating_add(GAP),
            (None, Some(high)) => high / 2,
            (None, None) => 0,
        };
        if let Some(place) = self.places.get_mut(agent as usize) {
            *place = Place { label, before, after: next };
        }
        if let Some(place) = self.places.get_mut(before as usize) {
            place.after = agent;
        }
        match self.places.get_mut(next as usize) {
            Some(place) => place.before = agent,
            None => self.last = agent,
        }
        if low == Some(label) || high == Some(label) {
            self.spread(agent);
        }
    }

    /// Gives an agent whose label is its neighbour's one of its own, by spreading the labels around it.
    ///
    /// Looks at ever larger ranges of labels, each twice as wide, until one is thin enough: the wider the
    /// range, the thinner it must be, by a factor of 1.3 a doubling, which is what pays for the work.
    fn spread(&mut self, agent: u32) {
        let Some(label) = self.label(agent) else { return };
        let (mut first, mut last, mut count) = (agent, agent, 1u64);
        let mut room = 1u128 << 16;
        for width in 1..=64u32 {
            let low = label.checked_shr(width).and_then(|prefix| prefix.checked_shl(width)).unwrap_or(0);
            let high = low | u64::MAX.checked_shr(64 - width).unwrap_or(u64::MAX);
            loop {
                let before = self.places.get(first as usize).map_or(NIL, |place| place.before);
                if self.label(before).is_none_or(|label| label < low) {
                    break;
                }
                first = before;
                count += 1;
            }
            loop {
                let after = self.places.get(last as usize).map_or(NIL, |place| place.after);
                if self.label(after).is_none_or(|label| label > high) {
                    break;
                }
                last = after;
                count += 1;
            }
            room = room * 20 / 13;
            let step = (high - low) / (count + 1);
            if step >= 2 && (u128::from(count) << 16 <= room || width == 64) {
                let mut at = first;
                for nth in 1..=count {
                    let Some(place) = self.places.get_mut(at as usize) else { return };
                    place.label = low + step * nth;
                    at = place.after;
                }
                return;
            }
        }
    }
}

/// Who was found, and from whom.
type Found = HashMap<u32, u32, BuildHasherDefault<Scatter>>;

/// A search that goes on one edge at a time.
struct Search<E, I> {
    from: Found,
    waiting: Vec<u32>,
    edges: E,
    at: Option<(u32, I)>,
}

enum Step {
    Going,
    Exhausted,
    Met(u32),
}

impl<I: Iterator<Item = Option<u32>>, E: Fn(u32) -> I> Search<E, I> {
    fn new(start: u32, edges: E) -> Self {
        let mut from = Found::default();
        from.insert(start, NIL);
        Self { from, waiting: vec![start], edges, at: None }
    }

    /// Follows one edge.
    fn step(&mut self, between: impl Fn(u32) -> bool, others: &Found) -> Step {
        if self.at.is_none() {
            let Some(agent) = self.waiting.pop() else { return Step::Exhausted };
            self.at = Some((agent, (self.edges)(agent)));
        }
        let Some((agent, edges)) = &mut self.at else { return Step::Exhausted };
        match edges.next() {
            None => self.at = None,
            Some(Some(next)) if between(next) && !self.from.contains_key(&next) => {
                self.from.insert(next, *agent);
                if others.contains_key(&next) {
                    return Step::Met(next);
                }
                self.waiting.push(next);
            }
            Some(_) => {}
        }
        Step::Going
    }
}

/// The path from the start of `down` over `at` to the start of `up`.
fn join(at: u32, down: &Found, up: &Found) -> Vec<u32> {
    let follow = |found: &Found, mut agent: u32| {
        let mut path = Vec::new();
        while agent != NIL {
            path.push(agent);
            agent = found.get(&agent).copied().unwrap_or(NIL);
        }
        path
    };
    let mut path = follow(down, at);
    path.reverse();
    path.extend(follow(up, at).into_iter().skip(1));
    path
}

/// Scatters agents' numbers, which the ledger gives out itself, by one multiplication.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scatter(u64);

impl Hasher for Scatter {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        // An odd constant near 2⁶⁴ divided by the golden ratio; the high half comes down because tables use
        // the low bits.
        let product = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ product >> 32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Default)]
    struct Graph(Vec<(u32, u32)>);

    impl Edges for Graph {
        fn heads(&self, agent: u32) -> impl Iterator<Item = Option<u32>> {
            self.0.iter().filter(move |edge| edge.0 == agent).map(|edge| Some(edge.1))
        }
        fn tails(&self, agent: u32) -> impl Iterator<Item = Option<u32>> {
            self.0.iter().filter(move |edge| edge.1 == agent).map(|edge| Some(edge.0))
        }
    }

    impl Graph {
        fn reaches(&self, from: u32, to: u32) -> bool {
            from == to || self.0.iter().any(|&(tail, head)| tail == from && self.reaches(head, to))
        }
    }

    fn order_of(agents: u32) -> Order {
        let mut order = Order::default();
        (0..agents).for_each(|_| order.append());
        order
    }

    fn labels_rise(order: &Order) -> bool {
        let mut at = order.last;
        let mut count = 0;
        let mut above = None;
        while let Some(place) = order.places.get(at as usize) {
            if above.is_some_and(|above| place.label >= above) {
                return false;
            }
            above = Some(place.label);
            count += 1;
            at = place.before;
        }
        count == order.places.len()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn l10_an_edge_is_refused_exactly_where_it_closes_a_cycle(
            edges in prop::collection::vec((0u32..9, 0u32..9), 0..40)
        ) {
            let (mut order, mut graph) = (order_of(9), Graph::default());
            for (tail, head) in edges {
                if tail == head {
                    continue;
                }
                let fit = order.fit(tail, head, &graph);
                prop_assert_eq!(matches!(fit, Fit::Cycle(_)), graph.reaches(head, tail));
                if let Fit::Cycle(path) = fit {
                    prop_assert_eq!((path.first(), path.last()), (Some(&head), Some(&tail)));
                    prop_assert!(path.windows(2).all(|pair| graph.0.contains(&(pair[0], pair[1]))));
                } else {
                    order.make_room(tail, head, &fit);
                    graph.0.push((tail, head));
                }
                prop_assert!(labels_rise(&order));
                prop_assert!(graph.0.iter().all(|&(tail, head)| order.agrees(tail, head)));
            }
        }
    }

    #[test]
    fn ten_thousand_moves_to_one_place_keep_the_order() {
        let mut order = order_of(10_001);
        for agent in 1..=10_000 {
            let fit = Fit::MoveBefore(vec![agent]);
            order.make_room(agent, 0, &fit);
        }
        assert!(labels_rise(&order));
        assert!((1..=10_000).all(|agent| order.agrees(agent, 0)));
        for agent in (1..=10_000).rev() {
            order.make_room(0, agent, &Fit::MoveAfter(vec![agent]));
        }
        assert!(labels_rise(&order));
        assert!((1..=10_000).all(|agent| order.agrees(0, agent)));
    }

    #[test]
    fn labels_that_reach_the_end_are_spread() {
        let mut order = order_of(3);
        order.places[2].label = u64::MAX - 1;
        (0..1000).for_each(|_| order.append());
        assert!(labels_rise(&order));
    }
}
