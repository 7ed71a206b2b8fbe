//! Numbers between nothing and the whole, in parts per million.
//!
//! Trust decides at thresholds, so it must compare exactly and the same on every machine. Integers do;
//! floating point does not, and has a value (NaN) for which every comparison is false.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// One whole, in parts per million: a [`Sigma`] of 1.
pub const WHOLE: u32 = 1_000_000;

/// Why a number is not a fraction: it is not a number, or it lies outside [0, 1].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAFraction {
    /// The number is NaN or infinite.
    NotFinite,
    /// The number is below 0 or above 1.
    OutOfRange,
    /// The text is not a plain decimal number such as `0.85`.
    NotDecimal(String),
}

impl fmt::Display for NotAFraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite => f.write_str("not a finite number; give a number from 0 to 1"),
            Self::OutOfRange => f.write_str("outside [0, 1]; give a number from 0 to 1"),
            Self::NotDecimal(text) => write!(f, "`{text}` is not a decimal number; write it like 0.85"),
        }
    }
}

impl core::error::Error for NotAFraction {}

macro_rules! fraction {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(u32);

        impl $name {
            /// Nothing: 0.
            pub const ZERO: Self = Self(0);
            /// The whole: 1.
            pub const ONE: Self = Self(WHOLE);

            /// From parts per million, 0 to 1 000 000.
            ///
            /// # Errors
            /// [`NotAFraction::OutOfRange`] above 1 000 000.
            pub const fn from_ppm(ppm: u32) -> Result<Self, NotAFraction> {
                if ppm > WHOLE { Err(NotAFraction::OutOfRange) } else { Ok(Self(ppm)) }
            }

            /// From parts per million, for sums that may exceed the whole: more than 1 is 1.
            #[must_use]
            pub const fn capped(ppm: u64) -> Self {
                if ppm > WHOLE as u64 { Self(WHOLE) } else { Self(lower_half(ppm)) }
            }

            /// Parts per million, 0 to 1 000 000.
            #[must_use]
            pub const fn ppm(self) -> u32 {
                self.0
            }

            /// The nearest `f64`, for display and for other programs.
            #[must_use]
            pub fn to_f64(self) -> f64 {
                f64::from(self.0) / f64::from(WHOLE)
            }

            /// `self · share`, rounded down.
            #[must_use]
            pub const fn part(self, share: Share) -> Self {
                Self(lower_half(self.0 as u64 * share.0 as u64 / WHOLE as u64))
            }

            /// `self · share`, rounded up.
            #[must_use]
            pub const fn part_up(self, share: Share) -> Self {
                Self(lower_half((self.0 as u64 * share.0 as u64).div_ceil(WHOLE as u64)))
            }

            /// The difference, or 0 where `other` is larger.
            #[must_use]
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }

            /// The sum, or `None` above 1.
            #[must_use]
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                let sum = self.0 + other.0;
                if sum > WHOLE { None } else { Some(Self(sum)) }
            }
        }

        /// Rounds down to a part per million, against whoever the number speaks for. A binary fraction that
        /// differs from a decimal of six places only by its own rounding counts as that decimal.
        impl TryFrom<f64> for $name {
            type Error = NotAFraction;

            fn try_from(value: f64) -> Result<Self, NotAFraction> {
                ppm_from_f64(value).map(Self)
            }
        }

        /// Reads a plain decimal number; digits beyond the sixth place are dropped.
        impl FromStr for $name {
            type Err = NotAFraction;

            fn from_str(text: &str) -> Result<Self, NotAFraction> {
                ppm_from_str(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_ppm(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "("))?;
                write_ppm(self.0, f)?;
                f.write_str(")")
            }
        }

        impl crate::Wire for $name {
            fn put(&self, out: &mut alloc::vec::Vec<u8>) {
                self.0.put(out);
            }

            fn take(reader: &mut crate::wire::Reader<'_>) -> Result<Self, crate::Undecodable> {
                Self::from_ppm(u32::take(reader)?).map_err(|_| reader.invalid(stringify!($name)))
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_f64(self.to_f64())
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                Self::try_from(f64::deserialize(d)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

fraction! {
    /// A trust score σ, 0 to 1, exact to one part per million.
    ///
    /// ```
    /// use hv_types::Sigma;
    ///
    /// assert_eq!(Sigma::try_from(0.85)?, "0.85".parse()?);
    /// assert!(Sigma::try_from(f64::NAN).is_err());
    /// assert!(Sigma::try_from(1.000001).is_err());
    /// # Ok::<(), hv_types::NotAFraction>(())
    /// ```
    Sigma
}

fraction! {
    /// How much is at stake in a class of action, 0 (nothing) to 1.
    RiskWeight
}

fraction! {
    /// A share of something: of a reputation that is bonded, of a fault, of a bond that is burned.
    Share
}

impl From<RiskWeight> for Share {
    fn from(risk: RiskWeight) -> Self {
        Self(risk.0)
    }
}

/// The value as `u32`; callers pass what is at most [`WHOLE`].
#[allow(clippy::cast_possible_truncation)]
const fn lower_half(value: u64) -> u32 {
    value as u32
}

/// A decimal of six places times 10⁶ is off by less than this when it went through an `f64`.
const BINARY_NOISE: f64 = 1e-9;

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn ppm_from_f64(value: f64) -> Result<u32, NotAFraction> {
    if !value.is_finite() {
        return Err(NotAFraction::NotFinite);
    }
    if !(0.0..=1.0).contains(&value) {
        return Err(NotAFraction::OutOfRange);
    }
    let scaled = value * f64::from(WHOLE);
    let nearest = (scaled + 0.5) as u32;
    let off = scaled - f64::from(nearest);
    let exact = -BINARY_NOISE < off && off < BINARY_NOISE;
    Ok(if exact { nearest } else { scaled as u32 })
}

fn ppm_from_str(text: &str) -> Result<u32, NotAFraction> {
    let not_decimal = || NotAFraction::NotDecimal(text.chars().take(40).collect());
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && places.is_empty()) || !all_digits(whole) || !all_digits(places) {
        return Err(match text.parse::<f64>() {
            Ok(number) if !number.is_finite() => NotAFraction::NotFinite,
            // Scientific notation is a number too: take it the way an `f64` is taken.
            Ok(number) if text.contains(['e', 'E']) => return ppm_from_f64(number),
            _ => not_decimal(),
        });
    }
    let beyond = |part: &str| part.bytes().any(|b| b != b'0');
    if negative && (beyond(whole) || beyond(places)) {
        return Err(NotAFraction::OutOfRange);
    }
    let mut ppm: u32 = match whole.trim_start_matches('0') {
        "" => 0,
        "1" if !beyond(places) => return Ok(WHOLE),
        _ => return Err(NotAFraction::OutOfRange),
    };
    let mut unit = WHOLE / 10;
    for digit in places.bytes().take(6) {
        ppm += u32::from(digit - b'0') * unit;
        unit /= 10;
    }
    Ok(ppm)
}

fn write_ppm(ppm: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (whole, mut rest) = (ppm / WHOLE, ppm % WHOLE);
    let mut width = 6;
    while width > 2 && rest.is_multiple_of(10) {
        rest /= 10;
        width -= 1;
    }
    write!(f, "{whole}.{rest:0width$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn every_decimal_of_six_places_survives_the_way_through_f64_and_text() {
        for ppm in 0..=WHOLE {
            let sigma = Sigma::from_ppm(ppm).unwrap();
            assert_eq!(Sigma::try_from(sigma.to_f64()), Ok(sigma));
        }
        for ppm in (0..=WHOLE).step_by(7) {
            let sigma = Sigma::from_ppm(ppm).unwrap();
            assert_eq!(sigma.to_string().parse(), Ok(sigma));
        }
    }

    #[test]
    fn what_lies_between_two_parts_rounds_down() {
        assert_eq!(Sigma::try_from(0.600_000_9).unwrap().ppm(), 600_000);
        assert_eq!("0.6000009".parse::<Sigma>().unwrap().ppm(), 600_000);
        assert_eq!(Sigma::try_from(0.849_999_999).unwrap().ppm(), 849_999);
    }

    #[test]
    fn what_is_no_fraction_is_refused() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Sigma::try_from(bad), Err(NotAFraction::NotFinite));
        }
        for bad in [-5.0, -f64::MIN_POSITIVE, 1.000_000_1, 42.0] {
            assert_eq!(Sigma::try_from(bad), Err(NotAFraction::OutOfRange));
        }
        for (text, why) in [
            ("NaN", NotAFraction::NotFinite),
            ("inf", NotAFraction::NotFinite),
            ("-0.1", NotAFraction::OutOfRange),
            ("1.0000001", NotAFraction::OutOfRange),
            ("2", NotAFraction::OutOfRange),
            ("4.2e1", NotAFraction::OutOfRange),
            ("", NotAFraction::NotDecimal("".to_string())),
            (".", NotAFraction::NotDecimal(".".to_string())),
            ("0,85", NotAFraction::NotDecimal("0,85".to_string())),
            ("+0.5", NotAFraction::NotDecimal("+0.5".to_string())),
        ] {
            assert_eq!(text.parse::<Sigma>(), Err(why), "{text}");
        }
        assert_eq!("-0".parse::<Sigma>(), Ok(Sigma::ZERO));
        assert_eq!("1".parse::<Sigma>(), Ok(Sigma::ONE));
        assert_eq!("8.5e-1".parse::<Sigma>().unwrap().ppm(), 850_000);
        assert_eq!(Sigma::from_ppm(WHOLE + 1), Err(NotAFraction::OutOfRange));
    }

    #[test]
    fn parts_round_as_they_say() {
        let third = Share::from_ppm(333_333).unwrap();
        let sigma = Sigma::from_ppm(10).unwrap();
        assert_eq!(sigma.part(third).ppm(), 3);
        assert_eq!(sigma.part_up(third).ppm(), 4);
        assert_eq!(Sigma::ONE.part_up(Share::ONE), Sigma::ONE);
        assert_eq!(Sigma::capped(u64::MAX), Sigma::ONE);
        assert_eq!(Sigma::ONE.checked_add(sigma), None);
        assert_eq!(sigma.saturating_sub(Sigma::ONE), Sigma::ZERO);
    }

    #[test]
    fn shown_with_at_least_two_places() {
        assert_eq!(Sigma::from_ppm(850_000).unwrap().to_string(), "0.85");
        assert_eq!(Sigma::from_ppm(600_001).unwrap().to_string(), "0.600001");
        assert_eq!(Sigma::ONE.to_string(), "1.00");
    }
}
