//! The running root of a Merkle tree: RFC 6962, section 2.1, over any hash.

use core::fmt;
use core::marker::PhantomData;
use hv_types::Digest;

/// The hash of a Merkle tree, which keeps leaves and inner nodes apart.
pub trait TreeHash {
    /// The hash of one entry.
    fn leaf(bytes: &[u8]) -> Digest;
    /// The hash of an inner node from those of its children.
    fn node(left: &Digest, right: &Digest) -> Digest;
    /// The root of the tree without leaves.
    fn empty() -> Digest;
}

/// The roots of the full subtrees that cover all leaves so far, largest first: as much as is needed to add
/// leaves and to know the root.
///
/// Holds one hash per set bit of the number of leaves. There is no padding and no duplicated leaf, so lists
/// of different lengths never share a root.
///
/// ```
/// use hv_audit::{Blake3, CompactRange, TreeHash};
///
/// let mut range = CompactRange::<Blake3>::default();
/// let (a, b) = (Blake3::leaf(b"a"), Blake3::leaf(b"b"));
/// range.push(a);
/// assert_eq!(range.root(), a);
/// range.push(b);
/// assert_eq!(range.root(), Blake3::node(&a, &b));
/// ```
pub struct CompactRange<H> {
    size: u64,
    peaks: Vec<Digest>,
    hash: PhantomData<fn() -> H>,
}

impl<H> CompactRange<H> {
    /// No leaves. Allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, peaks: Vec::new(), hash: PhantomData }
    }

    /// The number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }
}

impl<H: TreeHash> CompactRange<H> {
    /// The range of so many leaves whose full subtrees have these roots, largest first; `None` where the number of
    /// subtrees is not that of such a tree.
    ///
    /// Nothing shows that the roots are right until [`root`](Self::root) is compared with one that is known.
    #[must_use]
    pub fn from_peaks(size: u64, peaks: Vec<Digest>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks, hash: PhantomData })
    }

    /// The roots of the full subtrees, largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Digest] {
        &self.peaks
    }

    /// Adds the next leaves by the root over them: 2^level of them. Answers `false`, and does nothing, where the number of
    /// leaves so far is no multiple of that.
    pub(crate) fn push_subtree(&mut self, level: u32, root: Digest) -> bool {
        let Some(count) = 1u64.checked_shl(level) else { return false };
        let Some(size) = self.size.checked_add(count).filter(|_| self.size.is_multiple_of(count)) else {
            return false;
        };
        let mut node = root;
        for _ in 0..(self.size >> level).trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            node = H::node(&left, &node);
        }
        self.peaks.push(node);
        self.size = size;
        true
    }

    /// Adds the next leaf. Costs one inner hash on average.
    #[inline]
    pub fn push(&mut self, leaf: Digest) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            node = H::node(&left, &node);
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The root over all leaves so far. Costs one inner hash per set bit of their number.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev();
        let smallest = peaks.next().copied();
        smallest.map_or_else(H::empty, |smallest| peaks.fold(smallest, |right, left| H::node(left, &right)))
    }

    /// The root over all leaves so far and these behind them.
    pub(crate) fn root_with(&self, next: &[Digest]) -> Digest {
        if next.is_empty() {
            return self.root();
        }
        let mut parts = self.peaks.iter().chain(next);
        root_of::<H>(&mut parts, self.size, self.size + next.len() as u64)
    }
}

/// The root over so many leaves, as RFC 6962 defines it, from the roots of the full subtrees that cover the first `covered`
/// of them and the hashes of the others.
fn root_of<'a, H: TreeHash>(
    parts: &mut impl Iterator<Item = &'a Digest>,
    covered: u64,
    leaves: u64,
) -> Digest {
    if leaves <= covered.max(1) {
        return parts.next().copied().unwrap_or_else(H::empty);
    }
    // The largest power of two below the number of leaves.
    let first = 1 << (leaves - 1).ilog2();
    let left = root_of::<H>(parts, covered, first);
    let right = root_of::<H>(parts, covered.saturating_sub(first), leaves - first);
    H::node(&left, &right)
}

impl<H> Default for CompactRange<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H> Clone for CompactRange<H> {
    fn clone(&self) -> Self {
        Self { size: self.size, peaks: self.peaks.clone(), hash: PhantomData }
    }
}

impl<H> fmt::Debug for CompactRange<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompactRange").field("size", &self.size).field("peaks", &self.peaks).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Blake3;

    #[test]
    fn a_root_with_leaves_behind_is_that_of_the_tree_that_they_are_put_in() {
        let leaves: Vec<Digest> = (0..70u32).map(|n| Blake3::leaf(&n.to_le_bytes())).collect();
        for before in 0..leaves.len() {
            let (first, next) = leaves.split_at(before);
            let mut tree = CompactRange::<Blake3>::new();
            first.iter().for_each(|leaf| tree.push(*leaf));
            let mut whole = tree.clone();
            assert_eq!(tree.root_with(&[]), whole.root(), "{before}");
            for (count, leaf) in (1..).zip(next) {
                whole.push(*leaf);
                assert_eq!(tree.root_with(&next[..count]), whole.root(), "{before} and {count}");
            }
        }
    }
}
