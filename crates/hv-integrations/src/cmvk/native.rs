//! The distances of `cmvk` 0.3.0, the scores and confidences that it makes of them, and what drives a drift.

use crate::drift::{
    DIMENSIONS_MAX, Drift, DriftScore, DriftSettings, DriftVerifier, Indeterminate, Metric, Side,
};

use super::sums::{largest_of, sum_of};

/// Measures in the process.
///
/// Scores, distances and confidences are those of `cmvk` 0.3.0 without scipy. Where the package passes over
/// what it cannot tell (a NaN, embeddings of different lengths, an embedding that is zero, weights that do
/// not fit), this answers [`Indeterminate`].
#[derive(Debug, Clone, Copy, Default)]
pub struct NativeVerifier;

impl DriftVerifier for NativeVerifier {
    fn verify(
        &self,
        claimed: &[f64],
        observed: &[f64],
        settings: &DriftSettings<'_>,
    ) -> Result<Drift, Indeterminate> {
        verify_embeddings(claimed, observed, settings)
    }
}

/// Measures how far what was observed lies from what was claimed. Takes time in the number of dimensions.
///
/// Weights count in the Euclidean metric alone, scaled to sum to the number of dimensions. The score is the
/// distance over the largest that embeddings within [−1, 1] have (cosine: 2; Euclidean: √4n, with weights
/// √4Σw; Manhattan: 2n; Chebyshev: 2), for Mahalanobis over √n, and at most 1. The confidence is 0.9, times
/// 0.9 below ten dimensions, 0.85 where one embedding is more than twice as long as the other, 0.7 where one
/// is shorter than 10⁻⁶.
///
/// # Errors
/// Every variant of [`Indeterminate`] but those of a verifier elsewhere.
///
/// ```
/// use hv_integrations::cmvk::verify_embeddings;
/// use hv_integrations::drift::{DriftSettings, Metric};
///
/// let settings = DriftSettings { metric: Some(Metric::Chebyshev), ..DriftSettings::default() };
/// let drift = verify_embeddings(&[0.1, 0.9], &[0.1, 0.4], &settings)?;
/// assert_eq!((drift.raw_distance, drift.score.get()), (0.5, 0.25));
/// assert!(verify_embeddings(&[0.1, f64::NAN], &[0.1, 0.4], &settings).is_err());
/// # Ok::<(), hv_integrations::drift::Indeterminate>(())
/// ```
pub fn verify_embeddings(
    claimed: &[f64],
    observed: &[f64],
    settings: &DriftSettings<'_>,
) -> Result<Drift, Indeterminate> {
    let metric = settings.metric.or(settings.profile.map(|p| p.metric())).unwrap_or(Metric::Cosine);
    let lengths = lengths(claimed, observed)?;
    let weight_sum = settings.weights.map(|weights| weight_sum(weights, claimed.len())).transpose()?;
    let (raw_distance, normalized) = match (metric, settings.weights.zip(weight_sum)) {
        (Metric::Euclidean, Some((weights, sum))) => weighted_euclidean(claimed, observed, weights, sum),
        _ => distance(metric, claimed, observed, lengths),
    };
    if !raw_distance.is_finite() {
        return Err(Indeterminate::Overflow);
    }
    let score = DriftScore::new(normalized.clamp(0.0, 1.0)).map_err(|_| Indeterminate::Overflow)?;
    let confidence = confidence(claimed.len(), lengths);
    let profile = settings.profile.map(|profile| profile.judge(score, confidence));
    Ok(Drift { score, confidence, raw_distance, metric, profile })
}

/// The lengths of the two embeddings, claimed first, once both are known to say something.
///
/// A sum of squares is finite only where every number in it is, so nothing needs to look at them one by one.
fn lengths(claimed: &[f64], observed: &[f64]) -> Result<(f64, f64), Indeterminate> {
    if claimed.len() != observed.len() {
        return Err(Indeterminate::Mismatched { claimed: claimed.len(), observed: observed.len() });
    }
    match claimed.len() {
        0 => return Err(Indeterminate::Empty),
        1..=DIMENSIONS_MAX => {}
        dimensions => return Err(Indeterminate::TooLong { dimensions }),
    }
    let length = |side, embedding: &[f64]| {
        let length = sum_of(embedding, embedding, |x, _| x * x).sqrt();
        if length.is_finite() && length > 0.0 {
            return Ok(length);
        }
        Err(match embedding.iter().position(|x| !x.is_finite()) {
            Some(dimension) => Indeterminate::NotFinite { side, dimension },
            None if length > 0.0 => Indeterminate::Overflow,
            None => Indeterminate::Zero { side },
        })
    };
    Ok((length(Side::Claimed, claimed)?, length(Side::Observed, observed)?))
}

fn weight_sum(weights: &[f64], dimensions: usize) -> Result<f64, Indeterminate> {
    let sum = sum_of(weights, weights, |w, _| w);
    let good =
        weights.len() == dimensions && weights.iter().all(|&w| w >= 0.0) && sum.is_finite() && sum > 0.0;
    if good { Ok(sum) } else { Err(Indeterminate::Weights) }
}

/// The distance, and the share that it is of the largest.
fn distance(metric: Metric, a: &[f64], b: &[f64], lengths: (f64, f64)) -> (f64, f64) {
    let n = count(a.len());
    let length_of_difference = || sum_of(a, b, |x, y| (x - y) * (x - y)).sqrt();
    let (distance, largest) = match metric {
        Metric::Cosine => {
            let cosine = sum_of(a, b, |x, y| x * y) / (lengths.0 * lengths.1);
            ((1.0 - cosine).clamp(0.0, 2.0), 2.0)
        }
        Metric::Euclidean => (length_of_difference(), (n * 4.0).sqrt()),
        Metric::Manhattan => (sum_of(a, b, |x, y| (x - y).abs()), n * 2.0),
        Metric::Chebyshev => (largest_of(a, b, |x, y| (x - y).abs()), 2.0),
        Metric::Mahalanobis => (length_of_difference(), n.sqrt()),
    };
    (distance, distance / largest)
}

fn weighted_euclidean(a: &[f64], b: &[f64], weights: &[f64], sum: f64) -> (f64, f64) {
    let n = count(a.len());
    let scaled: Vec<f64> = weights.iter().map(|w| w * n / sum).collect();
    let squares: Vec<f64> = a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).collect();
    let distance = sum_of(&scaled, &squares, |w, square| w * square).sqrt();
    let largest = sum_of(&scaled, &scaled, |w, _| w * 4.0).sqrt();
    (distance, if largest > 0.0 { distance / largest } else { f64::NAN })
}

fn confidence(dimensions: usize, (claimed, observed): (f64, f64)) -> f64 {
    let mut confidence = 0.9;
    if dimensions < 10 {
        confidence *= 0.9;
    }
    if claimed.min(observed) / claimed.max(observed) < 0.5 {
        confidence *= 0.85;
    }
    if claimed < 1e-6 || observed < 1e-6 {
        confidence *= 0.7;
    }
    confidence
}

/// At most [`DIMENSIONS_MAX`], which every float holds exactly.
#[allow(clippy::cast_precision_loss)]
fn count(dimensions: usize) -> f64 {
    dimensions as f64
}

/// What drives a drift: the share that each dimension has in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The dimension that has the largest share; the first of them where several have.
    pub primary: usize,
    /// The largest shares with their dimensions, the largest first, at most five.
    pub top: Vec<(usize, f64)>,
    /// The share of each dimension. They sum to 1, or are all 0 where nothing differs.
    pub contributions: Vec<f64>,
}

/// Explains a drift by the differences of the dimensions, times their weights. Takes time in the number of
/// dimensions.
///
/// # Errors
/// As [`verify_embeddings`].
///
/// ```
/// use hv_integrations::cmvk::explain_drift;
///
/// let explanation = explain_drift(&[1.0, 2.0], &[3.0, 8.0], None)?;
/// assert_eq!((explanation.primary, explanation.top), (1, vec![(1, 0.75), (0, 0.25)]));
/// # Ok::<(), hv_integrations::drift::Indeterminate>(())
/// ```
pub fn explain_drift(
    claimed: &[f64],
    observed: &[f64],
    weights: Option<&[f64]>,
) -> Result<Explanation, Indeterminate> {
    lengths(claimed, observed)?;
    if let Some(weights) = weights {
        weight_sum(weights, claimed.len())?;
    }
    let mut contributions: Vec<f64> = claimed.iter().zip(observed).map(|(a, b)| (a - b).abs()).collect();
    for (part, weight) in contributions.iter_mut().zip(weights.unwrap_or_default()) {
        *part *= weight;
    }
    let total = sum_of(&contributions, &contributions, |part, _| part);
    if !total.is_finite() {
        return Err(Indeterminate::Overflow);
    }
    if total > 0.0 {
        contributions.iter_mut().for_each(|part| *part /= total);
    }
    let mut top: Vec<(usize, f64)> = Vec::with_capacity(TOP + 1);
    for (dimension, &part) in contributions.iter().enumerate() {
        if top.len() == TOP && top.last().is_some_and(|&(_, least)| least >= part) {
            continue;
        }
        // Behind every one as large, so that the first stays first.
        let at = top.partition_point(|&(_, other)| other >= part);
        top.insert(at, (dimension, part));
        top.truncate(TOP);
    }
    let primary = top.first().map_or(0, |&(dimension, _)| dimension);
    Ok(Explanation { primary, top, contributions })
}

/// How many dimensions an explanation names.
const TOP: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_falls_at_its_boundaries() {
        // The embeddings point one way, so that nothing but their number and lengths differs.
        let of = |dimensions: usize, claimed: f64, observed: f64| {
            let along = |length: f64| {
                let mut embedding = vec![0.0; dimensions];
                embedding[0] = length;
                embedding
            };
            verify_embeddings(&along(claimed), &along(observed), &DriftSettings::default())
                .unwrap()
                .confidence
        };
        for (dimensions, claimed, observed, expected) in [
            (10, 1.0, 1.0, 0.9),
            (9, 1.0, 1.0, 0.81),
            (10, 1.0, 0.5, 0.9),
            (10, 1.0, 0.499, 0.765),
            (10, 2.0, 1.0, 0.9),
            (10, 2.1, 1.0, 0.765),
            (10, 1.1e-6, 1.1e-6, 0.9),
            (10, 0.9e-6, 0.9e-6, 0.63),
            (10, 0.9e-6, 1.1e-6, 0.63),
            (10, 1.1e-6, 0.9e-6, 0.63),
            (9, 1.0, 0.9e-6, 0.481_95),
        ] {
            let confidence = of(dimensions, claimed, observed);
            assert!((confidence - expected).abs() < 1e-12, "{dimensions} {claimed} {observed}: {confidence}");
        }
    }

    #[test]
    fn of_equal_shares_the_first_come_first() {
        let explain = |observed: &[f64]| {
            let explanation = explain_drift(&[1.0; 8], observed, None).unwrap();
            explanation.top.iter().map(|&(dimension, _)| dimension).collect::<Vec<_>>()
        };
        assert_eq!(explain(&[2.0; 8]), [0, 1, 2, 3, 4]);
        assert_eq!(explain(&[1.0; 8]), [0, 1, 2, 3, 4]);
        assert_eq!(explain(&[2.0, 3.0, 2.0, 3.0, 2.0, 3.0, 2.0, 4.0]), [7, 1, 3, 5, 0]);
    }
}
