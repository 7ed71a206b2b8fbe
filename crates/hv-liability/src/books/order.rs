//! An order of the agents in which every voucher stands before those whom it vouches for.
//!
//! While there is such an order there is no cycle, and a new edge that agrees with it cannot close one, so
//! most vouches are checked by one comparison. An edge against the order is searched from both its ends in
//! turn, one edge at a time, among the agents that stand between them. Each search goes on from whom it saw
//! nearest to its own end. Whom it sees beyond where the other has come to, the other has either found by then or never
//! will: that is a cycle, or needs no search. So neither remembers more than whom it searched from, and once the two
//! have passed one another no path is left that they could have missed, however much either has not seen (B. Haeupler,
//! T. Kavitha, R. Mathew, S. Sen, R. E. Tarjan: Incremental Cycle Detection, Topological Ordering, and Strong Component
//! Maintenance, 2012); where one ends before, it decides alone. What they found moves to where they met. Places are labels with gaps, so moving an agent
//! renumbers nobody, except where a gap is used up and the labels around it are spread again (M. A. Bender,
//! R. Cole, E. D. Demaine, M. Farach-Colton, J. Zito: Two Simplified Algorithms for Maintaining Order in a
//! List, 2002). Numbering the agents without gaps instead, as the algorithm of Pearce and Kelly does, moves
//! a whole chain each time its head is extended.

use super::NIL;
use super::search::{Room, Search, Turn, agents, join};

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

/// The room that an agent is given at either end of the order.
const GAP: u64 = 1 << 40;

/// The label of the first agent, with room for a million gaps before it and some more behind it.
const FIRST: u64 = 1 << 60;

/// What an edge does to the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It agrees with it.
    Agrees,
    /// It agrees once these agents stand, as they are listed, directly before `next`, or behind all others where
    /// nobody is [`NIL`].
    Move { agents: Vec<u32>, next: u32 },
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
        let before = core::mem::replace(&mut self.last, agent);
        let mut label = FIRST;
        if let Some(place) = self.places.get_mut(before as usize) {
            place.after = agent;
            label = place.label.saturating_add(GAP / 2);
        }
        let full = label == u64::MAX;
        self.places.push(Place { label, before, after: NIL });
        if full {
            self.spread(agent);
        }
    }

    /// Whether the edge from `tail` to `head` fits, and what must move for it.
    ///
    /// Costs one comparison where it agrees; else the edges of two searches until they pass one another, and at
    /// most twice those of the smaller one.
    pub(crate) fn fit(&self, tail: u32, head: u32, edges: &impl Edges, room: &mut Room) -> Fit {
        let (Some(top), Some(bottom)) = (self.label(tail), self.label(head)) else { return Fit::Agrees };
        if top < bottom {
            return Fit::Agrees;
        }
        // Most agents vouch for nobody, or have nobody who vouches for them; then there is nothing to search.
        if edges.heads(head).next().is_none() {
            return Fit::Move { agents: vec![head], next: self.after(tail) };
        }
        if edges.tails(tail).next().is_none() {
            return Fit::Move { agents: vec![tail], next: head };
        }
        let Room { down, up } = room;
        let mut down = Search::new(down, (head, !bottom), !top, |label| !label, |agent| edges.heads(agent));
        let mut up = Search::new(up, (tail, top), bottom, |label| label, |agent| edges.tails(agent));
        loop {
            match down.turn(self, up.last.near, &up.side.taken) {
                Turn::On => {}
                Turn::Met(at) => {
                    return Fit::Cycle(join((&down.side.taken, down.place()), (&up.side.taken, at)));
                }
                Turn::Ended => {
                    return Fit::Move { agents: agents(down.side.taken.iter()), next: self.after(tail) };
                }
                Turn::Passed => break,
            }
            match up.turn(self, down.last.near, &down.side.taken) {
                Turn::On => {}
                Turn::Met(at) => {
                    return Fit::Cycle(join((&down.side.taken, at), (&up.side.taken, up.place())));
                }
                Turn::Ended => return Fit::Move { agents: agents(up.side.taken.iter().rev()), next: head },
                Turn::Passed => break,
            }
        }
        // Whoever was searched from to the end and stands beyond where they passed moves there.
        let lowest = down.last;
        let (down, up) = (down.side.taken.as_slice(), up.side.taken.as_slice());
        let down = down.split_last().map_or(down, |(_, ended)| ended);
        let (up, _) = up.split_at(up.partition_point(|seen| seen.near > !lowest.near));
        Fit::Move { agents: agents(up.iter().rev().chain(down)), next: lowest.agent }
    }

    /// Carries out what [`fit`](Order::fit) found.
    pub(crate) fn make_room(&mut self, fit: &Fit) {
        if let Fit::Move { agents, next } = fit {
            agents.iter().for_each(|&agent| self.take_out(agent));
            self.put_before(agents, *next);
        }
    }

    /// Whether `tail` stands before `head`.
    pub(crate) fn agrees(&self, tail: u32, head: u32) -> bool {
        self.label(tail) < self.label(head)
    }

    pub(super) fn label(&self, agent: u32) -> Option<u64> {
        self.places.get(agent as usize).map(|place| place.label)
    }

    /// Who stands after an agent; nobody behind the last.
    fn after(&self, agent: u32) -> u32 {
        self.places.get(agent as usize).map_or(NIL, |place| place.after)
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

    /// Puts agents that were taken out before another one, or behind all where there is none, with labels
    /// that divide the gap evenly.
    fn put_before(&mut self, agents: &[u32], next: u32) {
        let mut before = self.places.get(next as usize).map_or(self.last, |place| place.before);
        let (low, high) = match (self.label(before), self.label(next)) {
            (Some(low), Some(high)) => (low, high),
            (Some(low), None) => (low, low.saturating_add(GAP)),
            (None, Some(high)) => (high.saturating_sub(GAP), high),
            (None, None) => (FIRST, FIRST),
        };
        let step = (high - low) / (agents.len() as u64 + 1);
        let mut label = low;
        for &agent in agents {
            label += step;
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
            if step == 0 {
                self.spread(agent);
                label = self.label(agent).unwrap_or(label);
            }
            before = agent;
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

#[cfg(test)]
mod tests {
    use super::super::search::KEPT;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BinaryHeap;

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

    /// Adds edges one by one, each searched for in the same room, and compares with what reaches what.
    fn refuses_exactly_cycles(agents: u32, edges: &[(u32, u32)]) -> Result<(), TestCaseError> {
        let (mut order, mut graph, mut room) = (order_of(agents), Graph::default(), Room::default());
        for &(tail, head) in edges.iter().filter(|(tail, head)| tail != head) {
            let fit = order.fit(tail, head, &graph, &mut room);
            prop_assert_eq!(matches!(fit, Fit::Cycle(_)), graph.reaches(head, tail));
            if let Fit::Cycle(path) = fit {
                prop_assert_eq!((path.first(), path.last()), (Some(&head), Some(&tail)));
                prop_assert!(path.windows(2).all(|pair| graph.0.contains(&(pair[0], pair[1]))));
            } else {
                order.make_room(&fit);
                graph.0.push((tail, head));
            }
            prop_assert!(labels_rise(&order));
            prop_assert!(graph.0.iter().all(|&(tail, head)| order.agrees(tail, head)));
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn l10_an_edge_is_refused_exactly_where_it_closes_a_cycle(
            edges in prop::collection::vec((0u32..9, 0u32..9), 0..40)
        ) {
            refuses_exactly_cycles(9, &edges)?;
        }

        /// So few edges for so many agents that searches are long.
        #[test]
        fn l10_so_it_is_in_large_graphs(edges in prop::collection::vec((0u32..40, 0u32..40), 40..60)) {
            refuses_exactly_cycles(40, &edges)?;
        }
    }

    /// An order in which the agents stand by their numbers, with these labels.
    fn labelled(labels: &[u64]) -> Order {
        let mut order = order_of(u32::try_from(labels.len()).unwrap());
        order.places.iter_mut().zip(labels).for_each(|(place, &label)| place.label = label);
        order
    }

    /// What [`Order::spread`] does to labels, from its definition, looking at all of them for each width.
    fn spread_naively(labels: &[u64], agent: usize) -> Vec<u64> {
        let mut room = 1u128 << 16;
        for width in 1..=64 {
            let size = 1u128 << width;
            let low = u128::from(labels[agent]) / size * size;
            let inside = |label: u64| low <= u128::from(label) && u128::from(label) < low + size;
            let count = labels.iter().filter(|&&label| inside(label)).count() as u128;
            room = room * 20 / 13;
            let step = (size - 1) / (count + 1);
            if step >= 2 && (count << 16 <= room || width == 64) {
                let mut next = low;
                let spread = labels.iter().map(|&label| match inside(label) {
                    true => {
                        next += step;
                        u64::try_from(next).unwrap()
                    }
                    false => label,
                });
                return spread.collect();
            }
        }
        labels.to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Crowds of labels with gaps between, and one agent in them whose label is its neighbour's.
        #[test]
        fn labels_are_spread_as_far_as_is_needed_and_no_farther(
            first in prop_oneof![0u64..5, any::<u64>().prop_map(|label| label >> 2)],
            gaps in prop::collection::vec(prop_oneof![6 => 1u64..3, 2 => 1u64..80, 1 => 0u64..1 << 55], 1..80),
            agent in any::<prop::sample::Index>(),
        ) {
            let mut labels = vec![first];
            labels.extend(gaps.iter().scan(first, |label, gap| {
                *label += gap.max(&1);
                Some(*label)
            }));
            let agent = 1 + agent.index(labels.len() - 1);
            labels[agent] = labels[agent - 1];
            let mut order = labelled(&labels);
            order.spread(u32::try_from(agent).unwrap());
            let spread: Vec<u64> = order.places.iter().map(|place| place.label).collect();
            prop_assert_eq!(spread, spread_naively(&labels, agent));
            prop_assert!(labels_rise(&order));
        }
    }

    /// There is room for many labels behind each agent that becomes known, and none moves for it.
    #[test]
    fn agents_become_known_with_room_between_them() {
        let labels: Vec<u64> = order_of(1000).places.iter().map(|place| place.label).collect();
        let expected: Vec<u64> = (0..1000).map(|nth| FIRST + nth * (GAP / 2)).collect();
        assert_eq!((labels, FIRST, GAP), (expected, 1 << 60, 1 << 40));
    }

    #[test]
    fn ten_thousand_moves_to_one_place_keep_the_order() {
        let mut order = order_of(10_001);
        for agent in 1..=10_000 {
            order.make_room(&Fit::Move { agents: vec![agent], next: 0 });
        }
        assert!(labels_rise(&order));
        assert!((1..=10_000).all(|agent| order.agrees(agent, 0)));
        for agent in (1..=10_000).rev() {
            let next = order.after(0);
            order.make_room(&Fit::Move { agents: vec![agent], next });
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
        order.places[0].label = 1;
        for agent in 1..1000 {
            order.make_room(&Fit::Move { agents: vec![agent], next: 0 });
            assert!(order.agrees(agent, 0));
        }
        assert!(labels_rise(&order));
    }

    /// A graph that counts how often an edge is looked at.
    struct Counting {
        heads: Vec<Vec<u32>>,
        tails: Vec<Vec<u32>>,
        looks: std::cell::Cell<u64>,
    }

    impl Counting {
        fn of(agents: u32) -> Self {
            let none = || vec![Vec::new(); agents as usize];
            Self { heads: none(), tails: none(), looks: 0.into() }
        }

        fn add(&mut self, tail: u32, head: u32) {
            self.heads[tail as usize].push(head);
            self.tails[head as usize].push(tail);
        }

        fn edges<'a>(&'a self, edges: &'a [u32]) -> impl Iterator<Item = Option<u32>> + 'a {
            edges.iter().map(|&edge| {
                self.looks.set(self.looks.get() + 1);
                Some(edge)
            })
        }
    }

    impl Edges for Counting {
        fn heads(&self, agent: u32) -> impl Iterator<Item = Option<u32>> {
            self.edges(&self.heads[agent as usize])
        }
        fn tails(&self, agent: u32) -> impl Iterator<Item = Option<u32>> {
            self.edges(&self.tails[agent as usize])
        }
    }

    /// Both ends have a crowd beyond the middle that need not be searched once the searches have passed one another.
    #[test]
    fn searches_end_where_they_pass_one_another() {
        const CROWD: u32 = 1000;
        // As they stand: the head, whom the crowd vouches for that stands behind the head, the last whom that crowd
        // vouches for, and the same the other way around up to the tail.
        let (head, low, high, tail) = (0, CROWD + 1, CROWD + 2, 2 * CROWD + 3);
        let mut graph = Counting::of(tail + 1);
        graph.add(head, high);
        graph.add(low, tail);
        (1..=CROWD).for_each(|no| graph.add(no, low));
        (high + 1..tail).for_each(|no| graph.add(high, no));
        let mut order = order_of(tail + 1);
        let fit = order.fit(tail, head, &graph, &mut Room::default());
        assert_eq!(fit, Fit::Move { agents: vec![tail, head], next: high });
        assert!(graph.looks.get() <= 6, "{}", graph.looks.get());
        order.make_room(&fit);
        assert!(labels_rise(&order) && order.agrees(tail, head));
        assert!(order.agrees(head, high) && order.agrees(low, tail));
    }

    /// Where they passed one another, who stands on the near side already stays there.
    #[test]
    fn only_who_stands_beyond_the_meeting_moves() {
        // 6 vouches for 0 now. While what 0 vouches for is looked at, 6 and 3 are searched from to the end.
        let mut graph = Counting::of(7);
        for (tail, head) in [(0, 4), (0, 5), (0, 4), (3, 6), (2, 3), (1, 2)] {
            graph.add(tail, head);
        }
        let mut order = order_of(7);
        let fit = order.fit(6, 0, &graph, &mut Room::default());
        assert_eq!(fit, Fit::Move { agents: vec![6, 0], next: 4 });
        order.make_room(&fit);
        assert!(labels_rise(&order) && order.agrees(6, 0) && !order.agrees(0, 6) && !order.agrees(6, 6));
    }

    /// Who is seen beyond where the other search has come to is not searched from, and nobody moves behind it.
    #[test]
    fn who_is_seen_beyond_the_other_search_stays_where_it_is() {
        // 5 vouches for 0 now. When 0 is found to vouch for 4, the other search has come to 3.
        let mut graph = Counting::of(7);
        for (tail, head) in [(0, 6), (0, 6), (0, 4), (3, 5), (2, 3), (1, 3), (4, 6)] {
            graph.add(tail, head);
        }
        let (mut order, mut room) = (order_of(7), Room::default());
        let fit = order.fit(5, 0, &graph, &mut room);
        assert_eq!(fit, Fit::Move { agents: vec![5, 0], next: 4 });
        assert_eq!((graph.looks.get(), room.down.ahead.len()), (8, 0));
        order.make_room(&fit);
        assert!(labels_rise(&order) && order.agrees(5, 0) && order.agrees(0, 4) && order.agrees(3, 5));
    }

    /// However long a search was, the next one keeps little of its room; and what was in it does not come again.
    #[test]
    fn f22_room_for_long_searches_is_given_back() {
        const SIZE: u32 = 20_000;
        let mut graph = Counting::of(SIZE);
        // Two chains, one from each end to the middle, and as many edges from each end to each of its chain.
        let half = SIZE / 2;
        for no in 0..half - 1 {
            graph.add(no, no + 1);
            graph.add(SIZE - 2 - no, SIZE - 1 - no);
            graph.add(0, no + 1);
            graph.add(SIZE - 2 - no, SIZE - 1);
        }
        let (order, mut room) = (order_of(SIZE), Room::default());
        let rooms = |room: &Room| {
            let Room { down, up } = room;
            [&down.ahead, &up.ahead]
                .map(BinaryHeap::capacity)
                .into_iter()
                .chain([&down.taken, &up.taken].map(Vec::capacity))
        };
        let fit = order.fit(SIZE - 1, 0, &graph, &mut room);
        assert_eq!(fit, Fit::Move { agents: (0..half).collect(), next: NIL });
        assert!(rooms(&room).all(|room| room > KEPT));
        let fit = order.fit(1, 0, &graph, &mut room);
        assert!(matches!(fit, Fit::Cycle(_)), "{fit:?}");
        assert!(
            rooms(&room).all(|room| (1..=KEPT).contains(&room)),
            "{:?}",
            rooms(&room).collect::<Vec<_>>()
        );
    }

    /// Whom an edge leads to beyond the other end is not found.
    #[test]
    fn only_who_stands_between_the_ends_is_found() {
        let mut graph = Counting::of(6);
        for (tail, head) in [(0, 4), (1, 2)] {
            graph.add(tail, head);
        }
        let fit = order_of(6).fit(2, 0, &graph, &mut Room::default());
        assert_eq!(fit, Fit::Move { agents: vec![0], next: 3 });
    }

    /// In the order in which it is worst for those who number agents without gaps or search from one end.
    #[test]
    fn l10_chains_and_stars_cost_a_few_looks_an_edge() {
        const SIZE: u32 = 20_000;
        let shuffled = |mut edges: Vec<(u32, u32)>| {
            let mut state = 1u64;
            for at in (1..edges.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                edges.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
            }
            edges
        };
        let chain: Vec<(u32, u32)> = (0..SIZE).map(|no| (no, no + 1)).collect();
        let backwards: Vec<(u32, u32)> = chain.iter().map(|&(a, b)| (b, a)).collect();
        for (shape, edges) in [
            ("a chain", chain.clone()),
            ("a chain, from its end", chain.iter().rev().copied().collect()),
            ("a chain against the numbers", backwards.clone()),
            ("that from its end", backwards.iter().rev().copied().collect()),
            ("a chain in any order", shuffled(chain)),
            ("a star", (1..=SIZE).map(|no| (0, no)).collect()),
            ("a star of the last", (0..SIZE).map(|no| (SIZE, no)).collect()),
            ("a star inwards", (1..=SIZE).map(|no| (no, 0)).collect()),
            ("a chain of triangles", (0..SIZE - 1).map(|no| (no / 2 + 1 + no % 2, no / 2)).collect()),
        ] {
            let mut order = order_of(SIZE + 1);
            let mut graph = Counting::of(SIZE + 1);
            for &(tail, head) in &edges {
                let fit = order.fit(tail, head, &graph, &mut Room::default());
                assert!(!matches!(fit, Fit::Cycle(_)), "{shape}");
                order.make_room(&fit);
                graph.add(tail, head);
            }
            let looks = graph.looks.get() / edges.len() as u64;
            assert!(looks <= 20, "{shape}: {looks} looks an edge");
            assert!(labels_rise(&order), "{shape}");
        }
    }
}
