//! Lengths of time as manifests write them: `24h`, `7d`, `2000ms`.

use std::time::Duration;

/// Reads a length of time: a number, with up to nine decimal places, and its unit.
///
/// Units, in letters of any case, are `ms`, `s`, `m`, `h`, `d` and `w`, and their English names in full and
/// in the common short forms; a space may stand between. A number without a unit says nothing, so it is not
/// read.
///
/// Answers `None` for anything else, and for what is longer than 100 years.
///
/// ```
/// use hv_integrations::iatp::parse_span;
/// use std::time::Duration;
///
/// assert_eq!(parse_span("24h"), Some(Duration::from_secs(24 * 60 * 60)));
/// assert_eq!(parse_span("24"), None);
/// ```
#[must_use]
pub fn parse_span(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at_checked(unit_at)?;
    let nanos = decimal(number, unit_nanos(unit.trim_start())?)?;
    (nanos <= LONGEST_NANOS).then(|| Duration::from_nanos(nanos))
}

const NANOS: u64 = 1_000_000_000;
const LONGEST_NANOS: u64 = 100 * 366 * 86_400 * NANOS;

fn unit_nanos(unit: &str) -> Option<u64> {
    const UNITS: [(&[&str], u64); 6] = [
        (&["ms", "msec", "msecs", "millisecond", "milliseconds"], NANOS / 1000),
        (&["s", "sec", "secs", "second", "seconds"], NANOS),
        (&["m", "min", "mins", "minute", "minutes"], 60 * NANOS),
        (&["h", "hr", "hrs", "hour", "hours"], 3600 * NANOS),
        (&["d", "day", "days"], 86_400 * NANOS),
        (&["w", "week", "weeks"], 7 * 86_400 * NANOS),
    ];
    let known = |(names, _): &&(&[&str], u64)| names.iter().any(|name| unit.eq_ignore_ascii_case(name));
    UNITS.iter().find(known).map(|&(_, nanos)| nanos)
}

/// The number times the unit, exactly; `None` where it is no number, one with more digits than anybody writes, or
/// where the product is longer than anything that is read.
fn decimal(number: &str, unit: u64) -> Option<u64> {
    let (whole, places) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (number, ""),
    };
    if whole.is_empty() || whole.len() > 15 || places.len() > 9 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    if places.is_empty() {
        return Some(whole);
    }
    let scale = 10u128.pow(u32::try_from(places.len()).ok()?);
    let part = places.parse::<u128>().ok()? * u128::from(unit) / scale;
    whole.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_20_a_window_has_its_unit() {
        const S: u64 = 1000;
        for (text, milliseconds) in [
            ("24h", 24 * 3600 * S),
            ("5m", 300 * S),
            ("30s", 30 * S),
            ("7d", 7 * 86_400 * S),
            ("2w", 14 * 86_400 * S),
            ("2000ms", 2000),
            ("0s", 0),
            (" 1.5 Hours ", 5400 * S),
            ("0.25s", 250),
            ("90 MIN", 5400 * S),
            ("36600d", 36_600 * 86_400 * S),
        ] {
            assert_eq!(parse_span(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_has_no_unit_or_no_number_is_not_read() {
        for text in [
            "",
            "24",
            "h",
            "-24h",
            "+24h",
            "24x",
            "1e3s",
            "1.s",
            ".5s",
            "1.2.3s",
            "24hh",
            "24h7d",
            "36601d",
            "1,5h",
            "NaNs",
            "999999999999999999999s",
            "1.0000000000s",
            "24 ",
            "２４h",
            "soon",
        ] {
            assert_eq!(parse_span(text), None, "{text}");
        }
    }
}
