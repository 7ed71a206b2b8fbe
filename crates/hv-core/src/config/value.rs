//! Values of settings, and what is taken for one.

use std::fmt;
use std::time::Duration;

/// The value of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A whole number.
    Count(u64),
    /// A length of time.
    Time(Duration),
    /// A part of one, in millionths.
    Share(u32),
    /// One of a few words.
    Word(&'static str),
}

/// What a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// A whole number of something.
    Count {
        /// Of what.
        unit: &'static str,
        /// At least.
        from: u64,
        /// At most.
        to: u64,
    },
    /// A length of time with its unit.
    Time {
        /// At least.
        from: Duration,
        /// At most.
        to: Duration,
    },
    /// A number from 0 to 1 with six places at most.
    Share,
    /// One of these.
    Word(&'static [&'static str]),
}

impl Takes {
    /// Reads a value; nothing where it is none of these.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<Value> {
        match *self {
            Self::Count { from, to, .. } => {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let count = text.parse().ok().filter(|_| digits);
                count.filter(|count| (from..=to).contains(count)).map(Value::Count)
            }
            Self::Time { from, to } => {
                let time = read_time(text).ok()?;
                (from..=to).contains(&time).then_some(Value::Time(time))
            }
            Self::Share => text.parse().ok().map(|share: hv_types::Share| Value::Share(share.ppm())),
            Self::Word(words) => words.iter().find(|word| **word == text).map(|word| Value::Word(word)),
        }
    }

    /// The first and the last that is taken.
    #[cfg(test)]
    pub(super) fn ends(&self) -> Vec<Value> {
        match *self {
            Self::Count { from, to, .. } => vec![Value::Count(from), Value::Count(to)],
            Self::Time { from, to } => vec![Value::Time(from), Value::Time(to)],
            Self::Share => vec![Value::Share(0), Value::Share(1_000_000)],
            Self::Word(words) => words.iter().map(|word| Value::Word(word)).collect(),
        }
    }

    /// What is just not taken any more, and what is nothing at all.
    #[cfg(test)]
    pub(super) fn beyond(&self) -> Vec<String> {
        let mut beyond: Vec<String> = ["", "-1", "NaN", "1e3", " 1", "many"].map(str::to_owned).into();
        match *self {
            Self::Count { from, to, .. } => {
                beyond.extend(from.checked_sub(1).map(|below| below.to_string()));
                beyond.push((to + 1).to_string());
            }
            Self::Time { from, to } => {
                let tick = Duration::from_millis(1);
                beyond.extend([from - tick, to + tick].map(|time| Value::Time(time).to_string()));
                beyond.push("5".to_owned());
            }
            Self::Share => beyond.extend(["1.000001", "2"].map(str::to_owned)),
            Self::Word(_) => {}
        }
        beyond
    }
}

/// Why a text is no length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadTime {
    /// It is no number with a unit.
    Unreadable,
    /// It is a number without a unit, and none is guessed.
    NoUnit,
    /// It is longer than 584 years.
    TooLong,
}

/// The units of time, from the longest, in nanoseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
];

/// Reads `<digits>[.<digits>]<unit>` exactly, to the nanosecond: `250ms`, `1.5s`, `5m`, `1h`, `7d`.
///
/// # Errors
/// [`BadTime`].
pub fn read_time(text: &str) -> Result<Duration, BadTime> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (text.get(..split).unwrap_or_default(), text.get(split..).unwrap_or_default());
    let (whole, places) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(places) {
        return Err(BadTime::Unreadable);
    }
    let unit = unit.trim();
    if unit.is_empty() {
        return Err(BadTime::NoUnit);
    }
    let known = UNITS.iter().find(|(name, _)| *name == unit).ok_or(BadTime::Unreadable)?;
    let unit = u128::from(known.1);
    let whole: u64 = whole.parse().map_err(|_| BadTime::TooLong)?;
    let mut nanos = u128::from(whole) * unit;
    let mut place = unit;
    for digit in places.bytes() {
        place /= 10;
        nanos += u128::from(digit - b'0') * place;
    }
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_| BadTime::TooLong)
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Time(time) => {
                let nanos = time.as_nanos();
                let whole =
                    UNITS.iter().find(|(_, unit)| nanos >= (*unit).into() && nanos % u128::from(*unit) == 0);
                match whole {
                    Some((name, unit)) => write!(f, "{}{name}", nanos / u128::from(*unit)),
                    None if nanos == 0 => f.write_str("0s"),
                    None => {
                        let places = format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
                        write!(f, "{}s", places.trim_end_matches('0'))
                    }
                }
            }
            Self::Share(ppm) => fmt::Display::fmt(&hv_types::Share::capped((*ppm).into()), f),
            Self::Word(word) => f.write_str(word),
        }
    }
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { unit, from, to } => write!(f, "a whole number of {unit} from {from} to {to}"),
            Self::Time { from, to } => {
                let (from, to) = (Value::Time(*from), Value::Time(*to));
                write!(f, "a time with its unit (ms, s, m, h, d) from {from} to {to}")
            }
            Self::Share => f.write_str("a number from 0 to 1 with six places at most"),
            Self::Word(words) => write!(f, "one of {}", words.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_as_it_is_read() {
        for (text, nanos) in [
            ("0s", 0),
            ("250ms", 250_000_000),
            ("1500ms", 1_500_000_000),
            ("90s", 90_000_000_000),
            ("5m", 300_000_000_000),
            ("25h", 90_000_000_000_000),
            ("7d", 604_800_000_000_000),
            ("1.000000001s", 1_000_000_001),
        ] {
            assert_eq!(read_time(text), Ok(Duration::from_nanos(nanos)), "{text}");
            assert_eq!(Value::Time(Duration::from_nanos(nanos)).to_string(), text);
        }
    }
}
