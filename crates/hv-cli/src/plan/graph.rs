//! What waits for what: an order in which it can be done, or a cycle that forbids one.

use std::collections::BTreeSet;

/// An order of the numbers from 0 in which everything comes after what it waits for, and otherwise as it was.
///
/// Costs time in proportion to the edges, times the logarithm of the nodes.
///
/// # Errors
/// A cycle as numbers, the first of which comes again at the end.
pub(super) fn order(after: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut waiting: Vec<usize> = after.iter().map(Vec::len).collect();
    let mut followers = vec![Vec::new(); after.len()];
    for (node, before) in after.iter().enumerate() {
        for &other in before {
            if let Some(list) = followers.get_mut(other) {
                list.push(node);
            }
        }
    }
    let mut ready: BTreeSet<usize> =
        waiting.iter().enumerate().filter(|(_, count)| **count == 0).map(|(node, _)| node).collect();
    let mut order = Vec::with_capacity(after.len());
    while let Some(node) = ready.pop_first() {
        order.push(node);
        for &follower in followers.get(node).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(follower) {
                *count -= 1;
                if *count == 0 {
                    ready.insert(follower);
                }
            }
        }
    }
    if order.len() == after.len() { Ok(order) } else { Err(cycle(after, &waiting)) }
}

/// Follows what waits, among what never became ready, until something comes again.
fn cycle(after: &[Vec<usize>], waiting: &[usize]) -> Vec<usize> {
    let stuck = |node: usize| waiting.get(node).is_some_and(|count| *count > 0);
    let mut path: Vec<usize> = Vec::new();
    let mut next = (0..after.len()).find(|&node| stuck(node));
    while let Some(node) = next {
        if let Some(start) = path.iter().position(|&seen| seen == node) {
            path.drain(..start);
            path.push(node);
            return path;
        }
        path.push(node);
        next = after.get(node).and_then(|before| before.iter().copied().find(|&other| stuck(other)));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn orders_and_cycles() {
        assert_eq!(order(&[]), Ok(vec![]));
        assert_eq!(order(&[vec![], vec![0], vec![1]]), Ok(vec![0, 1, 2]));
        assert_eq!(order(&[vec![2], vec![], vec![1]]), Ok(vec![1, 2, 0]));
        assert_eq!(order(&[vec![0]]), Err(vec![0, 0]));
        assert_eq!(order(&[vec![], vec![3, 0], vec![1], vec![2]]), Err(vec![1, 3, 2, 1]));
    }

    proptest! {
        #[test]
        fn an_order_respects_what_waits_and_a_cycle_is_one(
            after in prop::collection::vec(prop::collection::btree_set(0usize..12, 0..4), 12)
        ) {
            let after: Vec<Vec<usize>> = after.into_iter().map(|set| set.into_iter().collect()).collect();
            match order(&after) {
                Ok(order) => {
                    let place = |node| order.iter().position(|&n| n == node).unwrap();
                    for (node, before) in after.iter().enumerate() {
                        prop_assert!(before.iter().all(|&other| place(other) < place(node)));
                    }
                }
                Err(path) => {
                    prop_assert!(path.len() >= 2 && path.first() == path.last());
                    prop_assert!(path.windows(2).all(|pair| after[pair[0]].contains(&pair[1])));
                }
            }
        }
    }
}
