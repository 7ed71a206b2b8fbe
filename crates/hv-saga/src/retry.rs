//! How often and how soon what failed is repeated.

use core::time::Duration;

/// How often something that failed is repeated, and how soon.
///
/// The n-th repetition waits for a random time from nothing to `min(cap, base · 2ⁿ⁻¹)` ("full jitter": Brooker,
/// "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Repetitions after the first attempt, 0 to [`limits::RETRIES`](crate::limits::RETRIES).
    pub max: u32,
    /// The longest wait before the first repetition; not more than `cap`.
    pub base: Duration,
    /// The longest wait before any repetition, at most [`limits::DELAY`](crate::limits::DELAY).
    pub cap: Duration,
}

impl Retry {
    /// Never.
    pub const NONE: Self = Self::times(0);

    /// So many times, waiting up to 1 s before the first and up to 60 s before any.
    #[must_use]
    pub const fn times(max: u32) -> Self {
        Self { max, base: Duration::from_secs(1), cap: Duration::from_secs(60) }
    }

    /// The longest wait before the n-th repetition, counted from 1.
    #[must_use]
    pub fn ceiling(self, n: u32) -> Duration {
        let factor = 1u32.checked_shl(n.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

hv_types::wire_struct!(Retry { max, base, cap });
