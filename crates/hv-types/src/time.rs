//! Points in time; this crate reads no clock.

use core::fmt;
use core::time::Duration;

/// Nanoseconds since 1970-01-01 00:00:00 UTC, leap seconds not counted; reaches to the year 2554.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The last point in time that can be told: what never ends ends here.
    pub const MAX: Self = Self(u64::MAX);

    /// This long after; [`Timestamp::MAX`] where that cannot be told.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let nanos =
            duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos().into());
        Self(self.0.saturating_add(nanos))
    }

    /// The point in time that a calendar (proleptic Gregorian, UTC) and a clock show: `[year, month, day]`,
    /// `[hour, minute, second]`. A leap second is the second before it.
    ///
    /// `None` for what no calendar shows, and for years before 1970 or after 2553.
    #[must_use]
    pub const fn from_civil([year, month, day]: [u64; 3], [hour, minute, second]: [u64; 3]) -> Option<Self> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            2 => 28 + leap as u64,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        if year < 1970 || year > 2553 || day == 0 || day > days || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let second = if second == 60 { 59 } else { second };
        let seconds = ((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
        Some(Self(seconds * 1_000_000_000))
    }

    /// How long after `earlier` this is; nothing where it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-01-31T12:00:00.250Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000_000_000;
        let (year, month, day) = civil_from_days(seconds / 86_400);
        let of_day = seconds % 86_400;
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        let milli = self.0 / 1_000_000 % 1000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Days from 1970-01-01 to a day that is not before it, the other way round.
const fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
///
/// Counts in years that begin in March, so that the leap day is the last of its year, and in eras of 400
/// years, which all have the same number of days (146 097).
const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let since_march_0 = days + 719_468;
    let (era, of_era) = (since_march_0 / 146_097, since_march_0 % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let january_or_february = (month <= 2) as u64;
    (era * 400 + year_of_era + january_or_february, month, day)
}

impl crate::Wire for Timestamp {
    fn put(&self, out: &mut alloc::vec::Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
    }

    fn take(reader: &mut crate::wire::Reader<'_>) -> Result<Self, crate::Undecodable> {
        reader.array().map(u64::from_le_bytes).map(Self)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn shown_in_the_gregorian_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (1_798_761_599, "2026-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(Timestamp(seconds * 1_000_000_000).to_string(), text);
        }
        assert_eq!(Timestamp(1_000_000).to_string(), "1970-01-01T00:00:00.001Z");
        assert_eq!(Timestamp::MAX.to_string(), "2554-07-21T23:34:33.709Z");
    }

    #[test]
    fn what_is_shown_is_read_back() {
        // Every day there is, by way of both functions.
        for day in 0..213_000 {
            let (year, month, of_month) = civil_from_days(day);
            let seconds = day * 86_400 + 86_399;
            let read = Timestamp::from_civil([year, month, of_month], [23, 59, 59]);
            assert_eq!(read, Some(Timestamp(seconds * 1_000_000_000)), "{year}-{month}-{of_month}");
        }
        let noon = [12, 0, 0];
        for date in [
            [1969, 12, 31],
            [2554, 1, 1],
            [2026, 0, 1],
            [2026, 13, 1],
            [2026, 1, 0],
            [2026, 4, 31],
            [2026, 2, 29],
            [2100, 2, 29],
        ] {
            assert_eq!(Timestamp::from_civil(date, noon), None, "{date:?}");
        }
        for clock in [[24, 0, 0], [0, 60, 0], [0, 0, 61]] {
            assert_eq!(Timestamp::from_civil([2000, 2, 29], clock), None, "{clock:?}");
        }
        let leap = [[23, 59, 59], [23, 59, 60]].map(|clock| Timestamp::from_civil([2016, 12, 31], clock));
        assert!(leap[0].is_some() && leap[0] == leap[1]);
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::MAX.after(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Timestamp(9).since(Timestamp(5)), Duration::from_nanos(4));
    }
}
