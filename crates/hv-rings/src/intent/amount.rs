//! Amounts: whole numbers of millionths, because a limit that rounds is none.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// Millionths in one.
const ONE: u64 = 1_000_000;

/// Decimal places that are kept.
const PLACES: usize = 6;

/// An amount of whatever its unit is: 0 to 18 446 744 073 709.551615, in steps of a millionth.
///
/// Read from digits with at most one point and six places behind it. A sign, an exponent, a leading zero, a
/// seventh place or anything else is no amount: two readers might take it differently.
///
/// ```
/// use hv_rings::intent::Amount;
///
/// assert!("99.99".parse::<Amount>()? < "100".parse::<Amount>()?);
/// assert!("1e2".parse::<Amount>().is_err() && "-1".parse::<Amount>().is_err() && "NaN".parse::<Amount>().is_err());
/// # Ok::<(), hv_rings::intent::NoAmount>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount {
    millionths: u64,
}

hv_types::wire_struct!(Amount { millionths });

/// That a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoAmount;

impl fmt::Display for NoAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an amount is digits with at most {PLACES} places behind a point, such as 99.95")
    }
}

impl core::error::Error for NoAmount {}

impl FromStr for Amount {
    type Err = NoAmount;

    fn from_str(text: &str) -> Result<Self, NoAmount> {
        let (whole, places) = match text.split_once('.') {
            Some((_, "")) => return Err(NoAmount),
            Some((whole, places)) => (whole, places),
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let padded = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty() || padded || places.len() > PLACES || !digits(whole) || !digits(places) {
            return Err(NoAmount);
        }
        let whole: u64 = whole.parse().map_err(|_| NoAmount)?;
        let places: u64 = format!("{places:0<PLACES$}").parse().map_err(|_| NoAmount)?;
        whole
            .checked_mul(ONE)
            .and_then(|all| all.checked_add(places))
            .map(|millionths| Self { millionths })
            .ok_or(NoAmount)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, places) = (self.millionths / ONE, self.millionths % ONE);
        let places: String = format!("{places:0PLACES$}");
        match places.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            places => write!(f, "{whole}.{places}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn what_is_an_amount_and_what_is_not() {
        for (text, millionths) in [
            ("0", 0),
            ("0.000001", 1),
            ("1", 1_000_000),
            ("10.5", 10_500_000),
            ("0.10", 100_000),
            ("18446744073709.551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Amount { millionths }), "{text}");
        }
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1E3",
            "NaN",
            "Infinity",
            "inf",
            "00",
            "01",
            "1.0000001",
            "1,5",
            " 1",
            "1 ",
            "1.2.3",
            "0x1",
            "١",
            "1._5",
            "18446744073709.551616",
            "18446744073710",
            "null",
        ] {
            assert_eq!(text.parse::<Amount>(), Err(NoAmount), "{text}");
        }
        assert!(NoAmount.to_string().contains("at most 6 places"));
    }

    proptest! {
        #[test]
        fn written_and_read_again_it_is_the_same(millionths: u64) {
            let amount = Amount { millionths };
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
        }
    }

    #[test]
    fn words() {
        for (millionths, words) in [(0, "0"), (1, "0.000001"), (10_500_000, "10.5"), (10_000_000, "10")] {
            assert_eq!(Amount { millionths }.to_string(), words);
        }
    }
}
