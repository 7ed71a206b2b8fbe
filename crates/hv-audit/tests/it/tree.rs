//! The tree and its proofs against the definition in RFC 6962, read as a recursion, and against the vectors of
//! certificate transparency.

use crate::deep;
use crate::sim::Dice;
use hv_audit::{BadProof, Blake3, CompactRange, ConsistencyProof, InclusionProof, Rfc6962, TreeHash};
use hv_types::{Digest, Wire};

/// The largest power of two below n.
fn split(n: usize) -> usize {
    (0..).map(|k| 1 << k).take_while(|k| *k < n).last().unwrap()
}

/// RFC 6962, section 2.1.
fn mth<H: TreeHash>(d: &[Digest]) -> Digest {
    match d {
        [] => H::empty(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = d.split_at(split(d.len()));
            H::node(&mth::<H>(left), &mth::<H>(right))
        }
    }
}

/// RFC 6962, section 2.1.1.
fn path<H: TreeHash>(m: usize, d: &[Digest]) -> Vec<Digest> {
    if d.len() <= 1 {
        return vec![];
    }
    let k = split(d.len());
    let (left, right) = d.split_at(k);
    let (mut inner, sibling) =
        if m < k { (path::<H>(m, left), mth::<H>(right)) } else { (path::<H>(m - k, right), mth::<H>(left)) };
    inner.push(sibling);
    inner
}

/// RFC 6962, section 2.1.2.
fn subproof<H: TreeHash>(m: usize, d: &[Digest], whole: bool) -> Vec<Digest> {
    if m == d.len() {
        return if whole { vec![] } else { vec![mth::<H>(d)] };
    }
    let k = split(d.len());
    let (left, right) = d.split_at(k);
    let (mut inner, sibling) = if m <= k {
        (subproof::<H>(m, left, whole), mth::<H>(right))
    } else {
        (subproof::<H>(m - k, right, false), mth::<H>(left))
    };
    inner.push(sibling);
    inner
}

fn leaves<H: TreeHash>(n: u64) -> Vec<Digest> {
    (0..n).map(|i| H::leaf(&i.to_le_bytes())).collect()
}

fn roots<H: TreeHash>(leaves: &[Digest]) -> Vec<Digest> {
    let mut range = CompactRange::<H>::new();
    let mut roots = vec![range.root()];
    for leaf in leaves {
        range.push(*leaf);
        roots.push(range.root());
    }
    roots
}

fn agrees_with_the_definition<H: TreeHash>(max: u64, all: usize) {
    let leaves = leaves::<H>(max);
    let roots = roots::<H>(&leaves);
    let mut dice = Dice(max);
    for n in 0..=leaves.len() {
        let tree = &leaves[..n];
        assert_eq!(roots[n], mth::<H>(tree), "root of {n}");
        // Every place in small trees, one in large ones.
        let one = usize::try_from(dice.below(n as u64 + 1)).unwrap();
        let places = if n <= all { 0..=n } else { one..=one };
        for m in places {
            let index = m as u64;
            let inclusion = InclusionProof::make::<H>(tree, index);
            if m < n {
                let proof = inclusion.unwrap();
                assert_eq!(proof.path, path::<H>(m, tree), "path of {m} in {n}");
                assert_eq!(proof.check::<H>(&leaves[m], &roots[n]), Ok(()), "{m} in {n}");
            } else {
                assert_eq!(inclusion, None);
            }
            let proof = ConsistencyProof::make::<H>(tree, index).unwrap();
            let expected = if m == 0 { vec![] } else { subproof::<H>(m, tree, true) };
            assert_eq!(proof.path, expected, "from {m} to {n}");
            assert_eq!(proof.check::<H>(&roots[m], &roots[n]), Ok(()), "from {m} to {n}");
        }
        assert_eq!(ConsistencyProof::make::<H>(tree, n as u64 + 1), None);
    }
}

#[test]
fn a2_the_trail_s_own_tree_and_proofs_agree_with_the_definition() {
    agrees_with_the_definition::<Blake3>(deep(256, 4096), usize::try_from(deep(100, 256)).unwrap());
}

#[test]
fn a2_the_exported_tree_and_proofs_agree_with_the_definition() {
    agrees_with_the_definition::<Rfc6962>(deep(128, 4096), 40);
}

fn changed(proof: &[Digest]) -> Vec<Vec<Digest>> {
    let mut others = vec![];
    for at in 0..proof.len() {
        let mut other = proof.to_vec();
        other[at].0[at % 32] ^= 1;
        others.push(other);
        let mut shorter = proof.to_vec();
        shorter.remove(at);
        others.push(shorter);
        if at > 0 && proof[at] != proof[at - 1] {
            let mut swapped = proof.to_vec();
            swapped.swap(at, at - 1);
            others.push(swapped);
        }
    }
    others.push([proof, &[Digest::default()]].concat());
    others.push([&[Digest::default()], proof].concat());
    others
}

#[test]
fn a2_no_changed_proof_is_accepted() {
    let leaves = leaves::<Blake3>(40);
    let roots = roots::<Blake3>(&leaves);
    for n in 1..=40u64 {
        let tree = &leaves[..usize::try_from(n).unwrap()];
        let at = |m: u64| usize::try_from(m).unwrap();
        for m in 0..n {
            let proof = InclusionProof::make::<Blake3>(tree, m).unwrap();
            let fails = |proof: &InclusionProof, leaf: &Digest, root: &Digest| {
                proof.check::<Blake3>(leaf, root).is_err()
            };
            for path in changed(&proof.path) {
                assert!(fails(&InclusionProof { path, ..proof.clone() }, &leaves[at(m)], &roots[at(n)]));
            }
            for other in 0..n {
                if other != m {
                    assert!(fails(
                        &InclusionProof { index: other, ..proof.clone() },
                        &leaves[at(m)],
                        &roots[at(n)]
                    ));
                    assert!(fails(&proof, &leaves[at(other)], &roots[at(n)]));
                }
            }
            let outside = InclusionProof { index: n, ..proof.clone() };
            assert_eq!(outside.check::<Blake3>(&leaves[at(m)], &roots[at(n)]), Err(BadProof::Size));
            assert!(fails(&proof, &leaves[at(m)], &roots[at(n) - 1]));
        }
        for m in 0..=n {
            let proof = ConsistencyProof::make::<Blake3>(tree, m).unwrap();
            let check = |proof: &ConsistencyProof, a: u64, b: u64| {
                proof.check::<Blake3>(&roots[at(a)], &roots[at(b)])
            };
            for path in changed(&proof.path) {
                assert!(check(&ConsistencyProof { path, ..proof.clone() }, m, n).is_err(), "from {m} to {n}");
            }
            for other in 0..=40 {
                assert_eq!(check(&proof, other, n).is_ok(), other == m, "{other} for {m} to {n}");
                // The empty tree is the beginning of every other, so nothing ties it to one.
                if m > 0 {
                    assert_eq!(check(&proof, m, other).is_ok(), other == n, "{other} for {m} to {n}");
                }
            }
            let backwards = ConsistencyProof { from: n + 1, ..proof.clone() };
            assert_eq!(check(&backwards, m, n), Err(BadProof::Size));
        }
    }
}

#[test]
fn a_proof_of_any_size_is_checked_without_panic() {
    let mut dice = Dice(7);
    for _ in 0..20_000 {
        let number = |dice: &mut Dice| dice.roll() >> dice.below(64);
        let path = vec![Digest::default(); usize::try_from(dice.below(70)).unwrap()];
        let (index, size) = (number(&mut dice), number(&mut dice));
        let (leaf, root) = (Digest([1; 32]), Digest([2; 32]));
        assert!(InclusionProof { index, size, path: path.clone() }.check::<Blake3>(&leaf, &root).is_err());
        assert!(ConsistencyProof { from: index, to: size, path }.check::<Blake3>(&leaf, &root).is_err());
    }
}

/// Failure 3, CVE-2012-2459: a tree that doubles its last leaf has the same root for two lists.
#[test]
fn a_doubled_last_leaf_changes_the_root() {
    for n in 1..=64u64 {
        let mut doubled = leaves::<Blake3>(n);
        let root = *roots::<Blake3>(&doubled).last().unwrap();
        for _ in 0..n {
            doubled.push(doubled[doubled.len() - 1]);
            assert_ne!(*roots::<Blake3>(&doubled).last().unwrap(), root, "{n} leaves and {}", doubled.len());
        }
    }
}

/// Failure 3: an inner node is no leaf, neither by its hash nor with a proof that is one level short.
#[test]
fn an_inner_node_does_not_pass_for_a_leaf() {
    let leaves = leaves::<Blake3>(4);
    let (left, right) = (Blake3::node(&leaves[0], &leaves[1]), Blake3::node(&leaves[2], &leaves[3]));
    let root = Blake3::node(&left, &right);
    // As it lies, behind a prefix as in other trees, and behind what a writer would name as its parent: zeros, or what plain
    // BLAKE3 has where the keyed mode has the key.
    let iv = [
        0x6a09_e667_u32,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    let iv: Vec<u8> = iv.iter().flat_map(|word| word.to_le_bytes()).collect();
    for before in [&[][..], &[1], &[0; 32], &iv] {
        let both = [before, &leaves[0].0, &leaves[1].0].concat();
        assert_ne!(Blake3::leaf(&both), left);
        assert_ne!(Rfc6962::leaf(&both), Rfc6962::node(&leaves[0], &leaves[1]));
    }
    for (size, index) in [(4, 0), (4, 1), (3, 0)] {
        let short = InclusionProof { index, size, path: vec![right] };
        assert_eq!(short.check::<Blake3>(&left, &root), Err(BadProof::Length), "{index} of {size}");
    }
    // Only who claims that the tree has two leaves gets through, and the root is signed with its size.
    assert_eq!(InclusionProof { index: 0, size: 2, path: vec![right] }.check::<Blake3>(&left, &root), Ok(()));
}

/// Every byte counts, before and behind the place where the key ends, and so does where the bytes end.
#[test]
fn a_leaf_is_of_all_its_bytes() {
    let bytes = [0; 200];
    let mut leaves: Vec<Digest> = (0..=bytes.len()).map(|length| Blake3::leaf(&bytes[..length])).collect();
    for at in 0..bytes.len() {
        let mut other = bytes;
        other[at] = 1;
        leaves.push(Blake3::leaf(&other));
    }
    let many = leaves.len();
    leaves.sort();
    leaves.dedup();
    assert_eq!(leaves.len(), many);
}

/// The eight entries that the test suites of certificate transparency share.
const ENTRIES: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];

/// Their roots, from none to all of them.
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

#[test]
fn the_exported_tree_is_that_of_certificate_transparency() {
    let digest = |hex: &str| hex.parse::<Digest>().unwrap();
    let leaves = ENTRIES.map(Rfc6962::leaf);
    let expected = ROOTS.map(digest);
    assert_eq!(roots::<Rfc6962>(&leaves), expected);

    let inclusion = InclusionProof::make::<Rfc6962>(&leaves, 5).unwrap();
    let path = [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(inclusion.path, path.map(digest));
    assert_eq!(inclusion.check::<Rfc6962>(&leaves[5], &expected[8]), Ok(()));

    let consistency = ConsistencyProof::make::<Rfc6962>(&leaves, 6).unwrap();
    let path = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(consistency.path, path.map(digest));
    assert_eq!(consistency.check::<Rfc6962>(&expected[6], &expected[8]), Ok(()));
}

#[test]
fn golden_bytes_of_proofs() {
    let inclusion = InclusionProof { index: 1, size: 300, path: vec![Digest([9; 32])] };
    assert_eq!(inclusion.to_bytes(), [&[1, 0xac, 2, 1][..], &[9; 32]].concat());
    assert_eq!(InclusionProof::from_bytes(&inclusion.to_bytes()), Ok(inclusion));
    let consistency = ConsistencyProof { from: 1, to: 300, path: vec![] };
    assert_eq!(consistency.to_bytes(), [1, 0xac, 2, 0]);
    assert_eq!(ConsistencyProof::from_bytes(&consistency.to_bytes()), Ok(consistency));
}

/// A hash that counts how often inner nodes are made.
struct Counted;

std::thread_local! {
    static NODES: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

impl TreeHash for Counted {
    fn leaf(bytes: &[u8]) -> Digest {
        Blake3::leaf(bytes)
    }

    fn node(left: &Digest, _: &Digest) -> Digest {
        NODES.set(NODES.get() + 1);
        *left
    }

    fn empty() -> Digest {
        Digest::default()
    }
}

/// A running root costs one hash for each full subtree but one, and adding a leaf one on average: with a million
/// leaves less than three times what it is with a thousand, counted over as many leaves as there are in between.
#[test]
fn the_running_root_stays_cheap() {
    let cost = |size: u64, window: u64| {
        let mut range = CompactRange::<Counted>::new();
        (0..size - window).for_each(|_| range.push(Digest::default()));
        NODES.set(0);
        for _ in 0..window {
            range.push(Digest::default());
            let _ = range.root();
        }
        NODES.get()
    };
    let (small, large) = (cost(1 << 10, 512), cost((1 << 20) - 1, 512));
    assert!(large <= 3 * small, "{large} {small}");
    NODES.set(0);
    let mut range = CompactRange::<Counted>::new();
    (0..1u64 << 20).for_each(|_| range.push(Digest::default()));
    assert_eq!(NODES.get(), (1 << 20) - 1);
    let _ = range.root();
    assert_eq!(NODES.get(), (1 << 20) - 1, "a full tree has its root already");
}

/// A range that is put together from what was kept of it goes on as the one that it was kept of.
#[test]
fn a_compact_range_is_as_good_as_its_leaves() {
    let leaves = leaves::<Rfc6962>(200);
    let mut whole = CompactRange::<Rfc6962>::new();
    for (size, leaf) in (0..).zip(&leaves) {
        let mut kept = CompactRange::<Rfc6962>::from_peaks(size, whole.peaks().to_vec()).unwrap();
        whole.push(*leaf);
        kept.push(*leaf);
        assert_eq!((kept.root(), kept.size()), (whole.root(), size + 1));
        let fewer = whole.peaks()[1..].to_vec();
        assert!(CompactRange::<Rfc6962>::from_peaks(size + 1, fewer).is_none());
    }
}
