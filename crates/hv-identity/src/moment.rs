//! Points in time as statements write them: RFC 3339 in UTC, to the nanosecond.

use hv_types::Timestamp;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400;

/// `2026-01-31T12:00:00.250000000Z`: always nine places, so that a point in time has one text.
pub(crate) fn write(time: Timestamp) -> String {
    let shown = time.to_string();
    // What the type shows ends in three places and a `Z`.
    let to_the_second = shown.get(..19).unwrap_or(&shown);
    format!("{to_the_second}.{:09}Z", time.0 % SECOND)
}

/// Reads a point in time as RFC 3339 has it, in UTC: `2026-01-31T12:00:00Z`, with no places behind the seconds or one to
/// nine of them. `None` for anything else, and outside the years 1970 to 2554.
#[must_use]
pub fn read(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, places) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = split(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = split(time, ':', [2, 2, 2])?;
    let valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60
        && (1..=9).contains(&places.len());
    let nanos =
        digits(places).filter(|_| valid)? * 10u64.checked_pow(9 - u32::try_from(places.len()).ok()?)?;
    let seconds = days_before(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    seconds.checked_mul(SECOND)?.checked_add(nanos).map(Timestamp)
}

/// Three numbers with exactly so many digits.
fn split(text: &str, by: char, widths: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(by);
    let mut numbers = [0; 3];
    for (number, width) in numbers.iter_mut().zip(widths) {
        *number = parts.next().filter(|part| part.len() == width).and_then(digits)?;
    }
    parts.next().is_none().then_some(numbers)
}

fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    text.parse().ok()
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + is_leap(year) as u64,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar from then on.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    years + (1..month).map(|month| days_in(year, month)).sum::<u64>() + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn read_as_people_write_them() {
        for (text, nanos) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.000000001Z", 1),
            ("2000-02-29T00:00:00.5Z", 951_782_400_500_000_000),
            ("2026-12-31T23:59:59.999Z", 1_798_761_599_999_000_000),
            ("2554-07-21T23:34:33.709551615Z", u64::MAX),
        ] {
            assert_eq!(read(text), Some(Timestamp(nanos)), "{text}");
        }
        for bad in [
            "",
            "Z",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-01-31T12:00:00+00:00",
            "2026-01-31t12:00:00z",
            "2026-01-31 12:00:00Z",
            "2026-1-31T12:00:00Z",
            "2026-02-29T12:00:00Z",
            "2026-00-10T12:00:00Z",
            "2026-13-10T12:00:00Z",
            "2026-04-31T12:00:00Z",
            "2026-01-00T12:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:60:00Z",
            "2026-01-31T12:00:60Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00.1234567890Z",
            "2026-01-31T12:00:00.+1Z",
            "2026-01-31T12:00:+1Z",
            "2026-01-31-01T12:00:00Z",
            "1969-12-31T23:59:59Z",
            "2554-07-21T23:34:33.709551616Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_point_in_time_goes_there_and_back(nanos: u64) {
            let text = write(Timestamp(nanos));
            prop_assert_eq!(text.len(), 30);
            prop_assert_eq!(read(&text), Some(Timestamp(nanos)));
        }
    }
}
