//! A sorted map that shares its nodes with its clones.
//!
//! A height-balanced binary tree (Adelson-Velsky and Landis, 1962) whose nodes are counted references: a clone
//! copies one pointer, a change copies the nodes on the way to it, and only those that a clone still shares.
//! Two trees of which one came from the other are compared in the order of what differs, because a shared
//! subtree is skipped.

use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use std::sync::Arc;

/// A sorted map. `clone` is O(1); `get`, `insert` and `remove` are O(log n).
#[derive(Clone)]
pub(crate) struct Tree<K, V> {
    root: Link<K, V>,
    len: usize,
}

type Link<K, V> = Option<Arc<Node<K, V>>>;

#[derive(Clone)]
struct Node<K, V> {
    key: K,
    value: V,
    left: Link<K, V>,
    right: Link<K, V>,
    height: u8,
}

impl<K: Ord + Clone, V: Clone> Tree<K, V> {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let mut link = &self.root;
        while let Some(node) = link {
            link = match key.cmp(node.key.borrow()) {
                Ordering::Less => &node.left,
                Ordering::Greater => &node.right,
                Ordering::Equal => return Some(&node.value),
            };
        }
        None
    }

    /// The value, to change it. Copies nothing where the key is missing.
    pub(crate) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.get(key)?;
        let mut link = &mut self.root;
        loop {
            let node = Arc::make_mut(link.as_mut()?);
            link = match key.cmp(node.key.borrow()) {
                Ordering::Less => &mut node.left,
                Ordering::Greater => &mut node.right,
                Ordering::Equal => return Some(&mut node.value),
            };
        }
    }

    /// Changes the value, or a default one that is then there.
    pub(crate) fn alter(&mut self, key: &K, change: impl FnOnce(&mut V))
    where
        V: Default,
    {
        if let Some(value) = self.get_mut(key) {
            return change(value);
        }
        let mut value = V::default();
        change(&mut value);
        self.insert(key.clone(), value);
    }

    /// Returns what was there before.
    // Where it is called, so that what is inserted is moved once, into its node.
    #[inline(always)]
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let new = Arc::new(Node { key, value, left: None, right: None, height: 1 });
        let before = insert(&mut self.root, new);
        self.len += usize::from(before.is_none());
        before.map(|node| Arc::unwrap_or_clone(node).value)
    }

    /// Returns what was there. Copies nothing where the key is missing.
    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.get(key)?;
        let removed = remove(&mut self.root, key);
        self.len -= usize::from(removed.is_some());
        removed
    }

    pub(crate) fn pop_first(&mut self) -> Option<(K, V)> {
        let first = pop_first(&mut self.root);
        self.len -= usize::from(first.is_some());
        first
    }

    /// Whether the two are one, node for node.
    #[cfg(test)]
    pub(crate) fn is_shared(&self, other: &Self) -> bool {
        match (&self.root, &other.root) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        }
    }

    /// All entries in the order of their keys.
    pub(crate) fn iter(&self) -> Iter<'_, K, V> {
        let mut iter = Iter { stack: Vec::new() };
        iter.push_left(self.root.as_ref());
        iter
    }

    /// The entries from this key on.
    pub(crate) fn iter_from<Q: Ord + ?Sized>(&self, from: &Q) -> Iter<'_, K, V>
    where
        K: Borrow<Q>,
    {
        let mut iter = Iter { stack: Vec::new() };
        let mut link = self.root.as_ref();
        while let Some(node) = link {
            if from <= node.key.borrow() {
                iter.stack.push(node);
                link = node.left.as_ref();
            } else {
                link = node.right.as_ref();
            }
        }
        iter
    }

    /// The entries of either tree that the two do not share, in the order of their keys.
    ///
    /// O(d · log n) for d changes where one tree came from the other; O(n) for strangers. Equal entries may
    /// be among the answers, where their nodes were copied.
    pub(crate) fn diff<'a>(&'a self, other: &'a Self) -> Diff<'a, K, V> {
        let stack = |root: &'a Link<K, V>| root.as_ref().map(Part::Subtree).into_iter().collect();
        Diff { before: stack(&self.root), after: stack(&other.root), visited: 0 }
    }
}

impl<K, V> Default for Tree<K, V> {
    fn default() -> Self {
        Self { root: None, len: 0 }
    }
}

impl<K: Ord + Clone, V: Clone + PartialEq> PartialEq for Tree<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.diff(other).all(|(_, before, after)| before == after)
    }
}

impl<K: Ord + Clone, V: Clone + Eq> Eq for Tree<K, V> {}

impl<K: Ord + Clone + fmt::Debug, V: Clone + fmt::Debug> fmt::Debug for Tree<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Entries in the order of their keys.
pub(crate) struct Iter<'a, K, V> {
    stack: Vec<&'a Node<K, V>>,
}

impl<'a, K, V> Iter<'a, K, V> {
    fn push_left(&mut self, mut link: Option<&'a Arc<Node<K, V>>>) {
        while let Some(node) = link {
            self.stack.push(node);
            link = node.left.as_ref();
        }
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        let node = self.stack.pop()?;
        self.push_left(node.right.as_ref());
        Some((&node.key, &node.value))
    }
}

/// What two trees do not share.
pub(crate) struct Diff<'a, K, V> {
    before: Vec<Part<'a, K, V>>,
    after: Vec<Part<'a, K, V>>,
    visited: usize,
}

/// A piece of what is left to compare.
enum Part<'a, K, V> {
    Subtree(&'a Arc<Node<K, V>>),
    Entry(&'a Node<K, V>),
}

impl<K, V> Diff<'_, K, V> {
    /// How many nodes were looked into so far.
    #[cfg(test)]
    pub(crate) const fn visited(&self) -> usize {
        self.visited
    }

    /// Height of the subtree on top of the stack; 0 where that is no subtree.
    fn height(stack: &[Part<'_, K, V>]) -> u8 {
        match stack.last() {
            Some(Part::Subtree(node)) => node.height,
            Some(Part::Entry(_)) | None => 0,
        }
    }

    /// Replaces the subtree on top of the stack by what it consists of.
    fn open(stack: &mut Vec<Part<'_, K, V>>) {
        match stack.pop() {
            Some(Part::Subtree(node)) => {
                stack.extend(node.right.as_ref().map(Part::Subtree));
                stack.push(Part::Entry(node));
                stack.extend(node.left.as_ref().map(Part::Subtree));
            }
            Some(entry @ Part::Entry(_)) => stack.push(entry),
            None => {}
        }
    }
}

impl<'a, K: Ord, V> Iterator for Diff<'a, K, V> {
    /// The key, its value before and its value after; at least one of the two.
    type Item = (&'a K, Option<&'a V>, Option<&'a V>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let (Some(Part::Subtree(a)), Some(Part::Subtree(b))) = (self.before.last(), self.after.last())
                && Arc::ptr_eq(a, b)
            {
                self.before.pop();
                self.after.pop();
                continue;
            }
            let (before, after) = (Self::height(&self.before), Self::height(&self.after));
            if before > 0 || after > 0 {
                let higher = if before >= after { &mut self.before } else { &mut self.after };
                Self::open(higher);
                self.visited += 1;
                continue;
            }
            let order = match (self.before.last(), self.after.last()) {
                (Some(Part::Entry(a)), Some(Part::Entry(b))) => a.key.cmp(&b.key),
                (Some(_), _) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return None,
            };
            let before = if order.is_le() { self.before.pop() } else { None };
            let after = if order.is_ge() { self.after.pop() } else { None };
            return match (before, after) {
                (Some(Part::Entry(a)), Some(Part::Entry(b))) => {
                    Some((&a.key, Some(&a.value), Some(&b.value)))
                }
                (Some(Part::Entry(a)), _) => Some((&a.key, Some(&a.value), None)),
                (_, Some(Part::Entry(b))) => Some((&b.key, None, Some(&b.value))),
                _ => None,
            };
        }
    }
}

impl<K: Clone, V: Clone> Node<K, V> {
    fn update(&mut self) {
        self.height = 1 + height(&self.left).max(height(&self.right));
    }

    /// Takes the height that its sides give it; whether they are in balance.
    fn settle(&mut self) -> bool {
        self.update();
        height(&self.left).abs_diff(height(&self.right)) <= 1
    }
}

fn height<K, V>(link: &Link<K, V>) -> u8 {
    link.as_ref().map_or(0, |node| node.height)
}

/// Puts a node without sides to its place; gives the one that it replaces.
fn insert<K: Ord + Clone, V: Clone>(
    link: &mut Link<K, V>,
    mut new: Arc<Node<K, V>>,
) -> Option<Arc<Node<K, V>>> {
    let Some(shared) = link else {
        *link = Some(new);
        return None;
    };
    let order = new.key.cmp(&shared.key);
    if order.is_eq() {
        // Nobody else has the new one yet, so nothing is copied.
        let node = Arc::make_mut(&mut new);
        (node.left, node.right, node.height) = (shared.left.clone(), shared.right.clone(), shared.height);
        return Some(core::mem::replace(shared, new));
    }
    let node = Arc::make_mut(shared);
    let before = insert(if order.is_lt() { &mut node.left } else { &mut node.right }, new);
    if before.is_none() && !node.settle() {
        balance(link);
    }
    before
}

fn remove<K: Ord + Clone + Borrow<Q>, V: Clone, Q: Ord + ?Sized>(
    link: &mut Link<K, V>,
    key: &Q,
) -> Option<V> {
    let node = Arc::make_mut(link.as_mut()?);
    let removed = match key.cmp(node.key.borrow()) {
        Ordering::Less => remove(&mut node.left, key),
        Ordering::Greater => remove(&mut node.right, key),
        Ordering::Equal => match pop_first(&mut node.right) {
            Some((key, value)) => {
                node.key = key;
                Some(core::mem::replace(&mut node.value, value))
            }
            None => {
                let left = node.left.take();
                let gone = core::mem::replace(link, left);
                return gone.map(|gone| Arc::unwrap_or_clone(gone).value);
            }
        },
    };
    if !node.settle() {
        balance(link);
    }
    removed
}

fn pop_first<K: Clone, V: Clone>(link: &mut Link<K, V>) -> Option<(K, V)> {
    let shared = link.as_mut()?;
    if shared.left.is_some() {
        let node = Arc::make_mut(shared);
        let first = pop_first(&mut node.left);
        if !node.settle() {
            balance(link);
        }
        return first;
    }
    let right = shared.right.clone();
    let first = core::mem::replace(link, right)?;
    let Node { key, value, .. } = Arc::unwrap_or_clone(first);
    Some((key, value))
}

/// Restores the rule that the heights of a node's two sides differ by one at most, where a change of one side by one
/// entry broke it.
fn balance<K: Clone, V: Clone>(link: &mut Link<K, V>) {
    let Some(shared) = link else { return };
    let node = Arc::make_mut(shared);
    if height(&node.left) > height(&node.right) {
        if let Some(side) = &node.left
            && height(&side.left) < height(&side.right)
        {
            rotate_left(&mut node.left);
        }
        rotate_right(link);
    } else {
        if let Some(side) = &node.right
            && height(&side.right) < height(&side.left)
        {
            rotate_right(&mut node.right);
        }
        rotate_left(link);
    }
}

/// Lifts the left side to the top.
fn rotate_right<K: Clone, V: Clone>(link: &mut Link<K, V>) {
    let Some(mut low) = link.take() else { return };
    let node = Arc::make_mut(&mut low);
    let Some(mut top) = node.left.take() else {
        *link = Some(low);
        return;
    };
    let new = Arc::make_mut(&mut top);
    node.left = new.right.take();
    node.update();
    new.right = Some(low);
    new.update();
    *link = Some(top);
}

/// Lifts the right side to the top.
fn rotate_left<K: Clone, V: Clone>(link: &mut Link<K, V>) {
    let Some(mut low) = link.take() else { return };
    let node = Arc::make_mut(&mut low);
    let Some(mut top) = node.right.take() else {
        *link = Some(low);
        return;
    };
    let new = Arc::make_mut(&mut top);
    node.right = new.left.take();
    node.update();
    new.left = Some(low);
    new.update();
    *link = Some(top);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn check<K: Ord, V>(link: &Link<K, V>) -> u8 {
        let Some(node) = link else { return 0 };
        let (left, right) = (check(&node.left), check(&node.right));
        assert!(left.abs_diff(right) <= 1, "unbalanced");
        assert_eq!(node.height, 1 + left.max(right));
        node.height
    }

    proptest! {
        #[test]
        fn does_what_a_sorted_map_does_and_leaves_its_clones_alone(
            steps in prop::collection::vec((any::<bool>(), 0u16..40, any::<u8>()), 0..200),
        ) {
            let (mut tree, mut model) = (Tree::default(), BTreeMap::new());
            let mut clones = Vec::new();
            for (add, key, value) in steps {
                if value % 16 == 0 {
                    clones.push((tree.clone(), model.clone()));
                }
                if add {
                    prop_assert_eq!(tree.insert(key, value), model.insert(key, value));
                } else if value % 8 == 1 {
                    prop_assert_eq!(tree.pop_first(), model.pop_first());
                } else {
                    prop_assert_eq!(tree.remove(&key), model.remove(&key));
                }
                if let Some(known) = tree.get_mut(&key) {
                    *known = known.wrapping_add(1);
                    *model.get_mut(&key).unwrap() += 0;
                    model.insert(key, *known);
                }
                prop_assert_eq!(tree.len(), model.len());
                check(&tree.root);
            }
            clones.push((tree.clone(), model.clone()));
            for (clone, then) in &clones {
                prop_assert!(clone.iter().eq(then.iter()));
                prop_assert!(clone.iter_from(&20).eq(then.range(20..)));
                let differs: Vec<_> = tree.diff(clone).filter(|(_, a, b)| a != b).collect();
                let keys = 0u16..40;
                let expected: Vec<_> = keys.filter(|k| model.get(k) != then.get(k)).collect();
                prop_assert!(differs.iter().map(|(k, ..)| **k).eq(expected));
                prop_assert!(differs.iter().all(|(k, a, b)| *a == model.get(k) && *b == then.get(k)));
                prop_assert_eq!(tree == *clone, model == *then);
            }
        }
    }

    #[test]
    fn a_clone_copies_nothing_and_a_change_copies_one_way() {
        let mut tree = Tree::default();
        for key in 0..100_000u32 {
            tree.insert(key.reverse_bits(), key);
        }
        let snapshot = tree.clone();
        assert!(Arc::ptr_eq(tree.root.as_ref().unwrap(), snapshot.root.as_ref().unwrap()));
        tree.insert(7, 7);
        tree.remove(&9u32.reverse_bits());
        assert!(Arc::strong_count(snapshot.root.as_ref().unwrap()) == 1);
        let mut diff = tree.diff(&snapshot);
        let found: Vec<_> = diff.by_ref().filter(|(_, a, b)| a != b).map(|(k, ..)| *k).collect();
        assert_eq!(found, [7, 9u32.reverse_bits()]);
        assert!(diff.visited() < 200, "{} of 100 000 nodes", diff.visited());
    }
}
