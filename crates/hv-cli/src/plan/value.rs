//! Single values, each with the range that it must lie in.

use super::duration::RawDuration;
use super::fault::{Fault, Located};
use super::tree::At;
use hv_saga::{Retry, limits};
use hv_types::{BadIdent, NotAFraction};
use std::ops::RangeInclusive;
use std::time::Duration;

/// An identifier.
pub(super) fn ident<T>(text: &At<String>, new: impl Fn(&str) -> Result<T, BadIdent>) -> Result<T, Located> {
    new(&text.value).map_err(|bad| Located { line: text.line, fault: Fault::Ident(bad) })
}

/// A number from 0 to 1.
pub(super) fn fraction<T>(
    number: &At<f64>,
    key: &'static str,
    new: impl Fn(f64) -> Result<T, NotAFraction>,
) -> Result<T, Located> {
    let given = number.value;
    new(given).map_err(|why| Located { line: number.line, fault: Fault::Fraction { key, given, why } })
}

/// A whole number in a range, or what stands for none.
pub(super) fn count(
    number: Option<&At<u64>>,
    key: &'static str,
    otherwise: u64,
    range: RangeInclusive<u64>,
) -> Result<u64, Located> {
    let Some(&At { line, value: given }) = number else { return Ok(otherwise) };
    if range.contains(&given) {
        return Ok(given);
    }
    Err(Located { line, fault: Fault::Count { key, given, min: *range.start(), max: *range.end() } })
}

/// How often something is repeated.
pub(super) fn retries(number: Option<&At<u32>>, key: &'static str, otherwise: u32) -> Result<u32, Located> {
    let number = number.map(|at| At { line: at.line, value: at.value.into() });
    let count = count(number.as_ref(), key, otherwise.into(), 0..=limits::RETRIES.into())?;
    Ok(u32::try_from(count).unwrap_or(limits::RETRIES))
}

/// A duration in a range, or what stands for none.
pub(super) fn duration(
    text: Option<&At<RawDuration>>,
    key: &'static str,
    otherwise: Duration,
    min: Duration,
    max: Duration,
) -> Result<Duration, Located> {
    let Some(At { line, value }) = text else { return Ok(otherwise) };
    let at = |fault| Located { line: *line, fault };
    let given = value.read().map_err(|why| at(Fault::Duration { key, why }))?;
    if given < min || given > max {
        return Err(at(Fault::DurationRange { key, given, min, max }));
    }
    Ok(given)
}

/// A duration longer than nothing and up to a limit, where something is said.
pub(super) fn optional_duration(
    text: Option<&At<RawDuration>>,
    key: &'static str,
    max: Duration,
) -> Result<Option<Duration>, Located> {
    match text {
        Some(_) => duration(text, key, max, Duration::from_millis(1), max).map(Some),
        None => Ok(None),
    }
}

/// How long one attempt may take; 300 s where nothing is said.
pub(super) fn timeout(text: Option<&At<RawDuration>>, key: &'static str) -> Result<Duration, Located> {
    duration(text, key, Duration::from_secs(300), Duration::from_millis(1), limits::TIMEOUT)
}

/// How long what was begun may go on, where something is said.
pub(super) fn settles(text: Option<&At<RawDuration>>) -> Result<Option<Duration>, Located> {
    let read = |_| duration(text, "settles", Duration::ZERO, Duration::ZERO, limits::TIMEOUT);
    text.map(read).transpose()
}

/// How often and how soon something is repeated.
pub(super) fn retry(
    max: u32,
    delay: Option<&At<RawDuration>>,
    cap: Option<&At<RawDuration>>,
) -> Result<Retry, Located> {
    let usual = Retry::times(max);
    let base = duration(delay, "retry_delay", usual.base, Duration::ZERO, limits::DELAY)?;
    // A first wait above the usual longest one raises it, unless the file names a longest one itself.
    let longest = duration(cap, "retry_cap", usual.cap.max(base), Duration::ZERO, limits::DELAY)?;
    if base <= longest {
        return Ok(Retry { max, base, cap: longest });
    }
    if delay.is_none() {
        return Ok(Retry { max, base: longest, cap: longest });
    }
    let line = cap.or(delay).map_or(1, |at| at.line);
    Err(Located { line, fault: Fault::DelayOverCap { delay: base, cap: longest } })
}
