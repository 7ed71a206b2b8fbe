//! Dates in headers.

use crate::Timestamp;
use core::time::Duration;

/// Behind this, a year of two digits is one of the past.
const AHEAD: Duration = Duration::from_secs(50 * 365 * 86_400);

/// A date in any of the three forms that have to be read (RFC 9110, section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`,
/// `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`.
pub(super) fn read(text: &str, now: Timestamp) -> Option<Timestamp> {
    let Some(text) = text.strip_suffix(" GMT") else {
        let mut words = text.split_ascii_whitespace().skip(1);
        let (month, day, clock) = (words.next()?, words.next()?, words.next()?);
        let year = number(words.next()?)?;
        return if words.next().is_none() { at(year, month, day, clock) } else { None };
    };
    let (date, clock) = text.split_once(", ")?.1.rsplit_once(' ')?;
    let parts = |by| {
        let mut parts = date.split(by);
        let three = (parts.next()?, parts.next()?, parts.next()?);
        parts.next().is_none().then_some(three)
    };
    if let Some((day, month, year)) = parts(' ') {
        return at(number(year)?, month, day, clock);
    }
    let (day, month, year) = parts('-')?;
    let year = number(year).filter(|year| *year < 100)?;
    let mut dates = (19..=25).rev().filter_map(|century| at(century * 100 + year, month, day, clock));
    dates.find(|date| date.since(now) <= AHEAD)
}

fn number(word: &str) -> Option<u64> {
    word.parse().ok()
}

fn at(year: u64, month: &str, day: &str, clock: &str) -> Option<Timestamp> {
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| *name == month)? as u64 + 1;
    let mut clock = clock.split(':');
    let (hour, minute, second) = (number(clock.next()?)?, number(clock.next()?)?, number(clock.next()?)?);
    if clock.next().is_some() {
        return None;
    }
    Timestamp::from_civil([year, month, number(day)?], [hour, minute, second])
}
