//! Proofs that a record is in a log, and that a log only grew: RFC 6962, sections 2.1.1 and 2.1.2, checked as
//! RFC 9162, sections 2.1.3.2 and 2.1.4.2, prescribe.
//!
//! A tree without padding has one shape per size, and leaves are hashed apart from inner nodes; so neither a
//! doubled last leaf nor an inner node passes for a record.

use crate::tree::{CompactRange, TreeHash};
use core::fmt;
use hv_types::Digest;

/// A proof that a leaf is in a tree.
///
/// ```
/// use hv_audit::{Blake3, CompactRange, InclusionProof, TreeHash};
///
/// let leaves = [b"a", b"b", b"c"].map(|bytes| Blake3::leaf(bytes));
/// let mut range = CompactRange::<Blake3>::new();
/// leaves.iter().for_each(|leaf| range.push(*leaf));
///
/// let proof = InclusionProof::make::<Blake3>(&leaves, 2).expect("there is a third leaf");
/// assert!(proof.check::<Blake3>(&leaves[2], &range.root()).is_ok());
/// assert!(proof.check::<Blake3>(&leaves[1], &range.root()).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The leaf's place, from 0.
    pub index: u64,
    /// The number of leaves of the tree.
    pub size: u64,
    /// What the leaf is hashed with, from the leaf to the root.
    pub path: Vec<Digest>,
}

/// A proof that the leaves of a smaller tree are the first leaves of a larger one. `INVARIANT (A2)`
///
/// ```
/// use hv_audit::{Blake3, ConsistencyProof, CompactRange, TreeHash};
///
/// let leaves = [b"a", b"b", b"c"].map(|bytes| Blake3::leaf(bytes));
/// let mut range = CompactRange::<Blake3>::new();
/// let roots = leaves.map(|leaf| {
///     range.push(leaf);
///     range.root()
/// });
/// let proof = ConsistencyProof::make::<Blake3>(&leaves, 2).expect("two is not more than three");
/// assert!(proof.check::<Blake3>(&roots[1], &roots[2]).is_ok());
/// assert!(proof.check::<Blake3>(&roots[0], &roots[2]).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The number of leaves of the smaller tree.
    pub from: u64,
    /// The number of leaves of the larger tree.
    pub to: u64,
    /// What both roots are hashed from.
    pub path: Vec<Digest>,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadProof {
    /// The leaf lies outside the tree, or the smaller tree is the larger one.
    Size,
    /// The path is too short or too long for a tree of this size.
    Length,
    /// The path leads to another root: the smaller tree's, or the only one's.
    Root,
    /// The path leads to another root of the larger tree.
    LargerRoot,
}

impl InclusionProof {
    /// Proves the leaf at `index` among all leaves of a tree; `None` where there is no such leaf.
    ///
    /// Hashes all leaves once.
    #[must_use]
    pub fn make<H: TreeHash>(leaves: &[Digest], index: u64) -> Option<Self> {
        let size = leaves.len() as u64;
        let mut at = usize::try_from(index).ok().filter(|at| *at < leaves.len())?;
        let (mut rest, mut path) = (leaves, Vec::new());
        while rest.len() > 1 {
            let (left, right) = halves(rest);
            if at < left.len() {
                path.push(root::<H>(right));
                rest = left;
            } else {
                path.push(root::<H>(left));
                at -= left.len();
                rest = right;
            }
        }
        path.reverse();
        Some(Self { index, size, path })
    }

    /// Checks the proof. Costs one hash per element of the path, of which there are at most 64.
    ///
    /// # Errors
    /// [`BadProof::Size`], [`BadProof::Length`] or [`BadProof::Root`].
    pub fn check<H: TreeHash>(&self, leaf: &Digest, root: &Digest) -> Result<(), BadProof> {
        if self.index >= self.size {
            return Err(BadProof::Size);
        }
        let mut level = Level { node: self.index, last: self.size - 1 };
        let mut hash = *leaf;
        for sibling in &self.path {
            hash = match level.climb()? {
                Side::Left => H::node(sibling, &hash),
                Side::Right => H::node(&hash, sibling),
            };
        }
        level.end()?;
        if hash == *root { Ok(()) } else { Err(BadProof::Root) }
    }
}

impl ConsistencyProof {
    /// Proves that the first `from` leaves come first among all leaves of a tree; `None` where there are not so
    /// many.
    ///
    /// Hashes all leaves once.
    #[must_use]
    pub fn make<H: TreeHash>(leaves: &[Digest], from: u64) -> Option<Self> {
        let to = leaves.len() as u64;
        let mut size = usize::try_from(from).ok().filter(|size| *size <= leaves.len())?;
        let (mut rest, mut path) = (leaves, Vec::new());
        // Whether what is left of the smaller tree is all of it, so that its root need not be told.
        let mut whole = true;
        if size > 0 {
            while size < rest.len() {
                let (left, right) = halves(rest);
                if size <= left.len() {
                    path.push(root::<H>(right));
                    rest = left;
                } else {
                    path.push(root::<H>(left));
                    size -= left.len();
                    rest = right;
                    whole = false;
                }
            }
            if !whole {
                path.push(root::<H>(rest));
            }
        }
        path.reverse();
        Some(Self { from, to, path })
    }

    /// Checks the proof against the roots of the smaller and of the larger tree. Costs two hashes per element
    /// of the path, of which there are at most 65.
    ///
    /// # Errors
    /// [`BadProof`].
    pub fn check<H: TreeHash>(&self, smaller: &Digest, larger: &Digest) -> Result<(), BadProof> {
        if self.from > self.to {
            return Err(BadProof::Size);
        }
        if self.from == 0 || self.from == self.to {
            let expected = if self.from == 0 { H::empty() } else { *larger };
            return match (self.path.is_empty(), *smaller == expected) {
                (false, _) => Err(BadProof::Length),
                (_, false) => Err(BadProof::Root),
                (true, true) => Ok(()),
            };
        }
        let mut level = Level { node: self.from - 1, last: self.to - 1 };
        level.skip_full();
        // A full smaller tree is a node of the larger one, so the path need not repeat its root.
        let (first, path) = match self.path.split_first() {
            _ if self.from.is_power_of_two() => (smaller, self.path.as_slice()),
            Some(split) => split,
            None => return Err(BadProof::Length),
        };
        let (mut of_smaller, mut of_larger) = (*first, *first);
        for sibling in path {
            match level.climb()? {
                Side::Left => {
                    of_smaller = H::node(sibling, &of_smaller);
                    of_larger = H::node(sibling, &of_larger);
                }
                Side::Right => of_larger = H::node(&of_larger, sibling),
            }
        }
        level.end()?;
        if of_smaller != *smaller {
            return Err(BadProof::Root);
        }
        if of_larger == *larger { Ok(()) } else { Err(BadProof::LargerRoot) }
    }
}

/// A node's place on its level of the tree, and that of the level's last node.
struct Level {
    node: u64,
    last: u64,
}

/// On which side of a node the next element of a path lies.
enum Side {
    Left,
    Right,
}

impl Level {
    /// Goes up by one element of the path: past the levels on which the node has no sibling.
    fn climb(&mut self) -> Result<Side, BadProof> {
        if self.last == 0 {
            return Err(BadProof::Length);
        }
        let is_right = self.node & 1 == 1;
        let side = if is_right || self.node == self.last { Side::Left } else { Side::Right };
        if !is_right && self.node == self.last {
            let alone = self.node.trailing_zeros();
            self.up(alone);
        }
        self.up(1);
        Ok(side)
    }

    /// Goes up while the node is a right child: to the largest full subtree that ends with it.
    fn skip_full(&mut self) {
        self.up(self.node.trailing_ones());
    }

    fn up(&mut self, levels: u32) {
        self.node = self.node.checked_shr(levels).unwrap_or(0);
        self.last = self.last.checked_shr(levels).unwrap_or(0);
    }

    /// Checks that the path has reached the root.
    const fn end(&self) -> Result<(), BadProof> {
        if self.last == 0 { Ok(()) } else { Err(BadProof::Length) }
    }
}

/// Splits two or more leaves where the tree does: at the largest power of two that is less than their number.
fn halves(leaves: &[Digest]) -> (&[Digest], &[Digest]) {
    let left = leaves.len().next_power_of_two() / 2;
    leaves.split_at_checked(left).unwrap_or((leaves, &[]))
}

fn root<H: TreeHash>(leaves: &[Digest]) -> Digest {
    let mut range = CompactRange::<H>::new();
    leaves.iter().for_each(|leaf| range.push(*leaf));
    range.root()
}

hv_types::wire_struct!(InclusionProof { index, size, path });
hv_types::wire_struct!(ConsistencyProof { from, to, path });

impl fmt::Display for BadProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "the proof speaks of something outside the tree",
            Self::Length => "the proof's path does not fit a tree of this size",
            Self::Root => "the proof leads to another root",
            Self::LargerRoot => "the proof leads to another root of the larger tree",
        })
    }
}

impl core::error::Error for BadProof {}
