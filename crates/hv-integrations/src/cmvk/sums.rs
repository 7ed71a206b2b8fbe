//! Sums over pairs of numbers, in the order in which numpy adds.
//!
//! Adding in eight lanes and halves of the whole keeps the rounding error small (it grows with the logarithm
//! of the length), lets the compiler add several lanes at once, and gives the sum that numpy gives, to the
//! last bit, so that a verdict at a threshold does not depend on who computed it.

/// The longest run that is added without halving.
const RUN: usize = 128;

/// Sums over all pairs of what `term` makes of each.
///
/// The slices have the same length; what one has beyond the other does not count.
#[inline]
pub(super) fn sum_of(a: &[f64], b: &[f64], term: impl Fn(f64, f64) -> f64 + Copy) -> f64 {
    let n = a.len().min(b.len());
    if n <= RUN {
        return run(a, b, term);
    }
    let half = n / 2;
    let half = half - half % 8;
    match (a.split_at_checked(half), b.split_at_checked(half)) {
        (Some((a, more_a)), Some((b, more_b))) => sum_of(a, b, term) + sum_of(more_a, more_b, term),
        _ => run(a, b, term),
    }
}

#[inline]
fn run(a: &[f64], b: &[f64], term: impl Fn(f64, f64) -> f64 + Copy) -> f64 {
    let (eights_a, rest_a) = a.as_chunks::<8>();
    let (eights_b, rest_b) = b.as_chunks::<8>();
    let mut eights = eights_a.iter().zip(eights_b);
    let mut sum = match eights.next() {
        None => 0.0,
        Some((a, b)) => {
            let mut lanes: [f64; 8] = core::array::from_fn(|i| pair(a, b, i, term));
            for (a, b) in eights {
                for (i, lane) in lanes.iter_mut().enumerate() {
                    *lane += pair(a, b, i, term);
                }
            }
            let [l0, l1, l2, l3, l4, l5, l6, l7] = lanes;
            ((l0 + l1) + (l2 + l3)) + ((l4 + l5) + (l6 + l7))
        }
    };
    for (&a, &b) in rest_a.iter().zip(rest_b) {
        sum += term(a, b);
    }
    sum
}

#[inline]
fn pair(a: &[f64; 8], b: &[f64; 8], i: usize, term: impl Fn(f64, f64) -> f64) -> f64 {
    match (a.get(i), b.get(i)) {
        (Some(&a), Some(&b)) => term(a, b),
        _ => 0.0,
    }
}

/// The largest of what `term` makes of the pairs, and 0 where that is larger. No order matters here.
#[inline]
pub(super) fn largest_of(a: &[f64], b: &[f64], term: impl Fn(f64, f64) -> f64 + Copy) -> f64 {
    let larger = |x: f64, y: f64| if y > x { y } else { x };
    let (eights_a, rest_a) = a.as_chunks::<8>();
    let (eights_b, rest_b) = b.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for (a, b) in eights_a.iter().zip(eights_b) {
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane = larger(*lane, pair(a, b, i, term));
        }
    }
    let rest = rest_a.iter().zip(rest_b).map(|(&a, &b)| term(a, b));
    rest.chain(lanes).fold(0.0, larger)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_pair_counts_once_at_every_length() {
        // Whole numbers add exactly in any order.
        for n in 0..600u32 {
            let a: Vec<f64> = (0..n).map(f64::from).collect();
            let b: Vec<f64> = (0..n).map(|i| f64::from(i * 7 % 11)).collect();
            let plain: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert!((sum_of(&a, &b, |a, b| a * b) - plain).abs() < 0.5, "{n}");
            let largest = a.iter().zip(&b).map(|(a, b)| a * b).fold(0.0, f64::max);
            assert!((largest_of(&a, &b, |a, b| a * b) - largest).abs() < 0.5, "{n}");
        }
    }

    #[test]
    fn adds_in_the_order_of_numpy() {
        // numpy.sum(1 / (1 + numpy.arange(n))), which another order of adding rounds differently.
        for (n, bits) in HARMONIC {
            let terms: Vec<f64> = (0..n).map(|i| 1.0 / (1.0 + f64::from(i))).collect();
            assert_eq!(sum_of(&terms, &terms, |term, _| term).to_bits(), bits, "{n}");
        }
    }

    const HARMONIC: [(u32, u64); 6] = [
        (7, 0x4004_be2b_e2be_2be2),
        (8, 0x4005_be2b_e2be_2be2),
        (100, 0x4014_bfdf_e459_1243),
        (128, 0x4015_bb8a_e954_1ca7),
        (129, 0x4015_c37b_0914_9ba9),
        (5000, 0x4022_3063_76e1_8052),
    ];

    proptest! {
        #[test]
        fn one_number_that_is_not_finite_shows(
            mut numbers in proptest::collection::vec(-1e3..1e3, 1..300), at: prop::sample::Index, infinite: bool,
        ) {
            let at = at.index(numbers.len());
            numbers[at] = if infinite { f64::NEG_INFINITY } else { f64::NAN };
            prop_assert!(!sum_of(&numbers, &numbers, |x, _| x * x).is_finite());
        }
    }
}
