//! What a session is set up with, checked once when it is made.

use core::fmt;
use core::ops::RangeInclusive;
use core::time::Duration;
use hv_types::wire::{Bytes, Reader};
use hv_types::{Sigma, Undecodable, Wire};

/// How many members a session may have at once.
pub const PARTICIPANTS: RangeInclusive<u32> = 1..=1000;

/// How long a session may last.
pub const DURATION: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(604_800);

/// The settings of a session; every value of the type is valid.
///
/// ```
/// use hv_session::{ConsistencyMode, SessionConfig};
///
/// let config = SessionConfig::default().with_mode(ConsistencyMode::Strong).with_max_participants(5)?;
/// assert_eq!(config.max_participants(), 5);
/// assert_eq!(config.min_sigma_eff(), "0.60".parse().unwrap());
/// assert!(config.with_max_participants(1001).is_err());
/// # Ok::<(), hv_session::BadConfig>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionConfig {
    mode: ConsistencyMode,
    max_participants: u32,
    max_duration: Duration,
    min_sigma_eff: Sigma,
    quotas: Quotas,
}

/// What a stale write meets, and what may be shown before it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConsistencyMode {
    /// A stale write is refused with the newer version. What cannot be undone needs this mode.
    Strong,
    /// A stale write is kept beside the newer version, where every reader sees it.
    Eventual,
}

/// How much the file space of a session may hold. Every value is valid; 0 means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Files at once, deleted ones that an ACL still guards included; also the number of deleted paths
    /// without an ACL whose history is remembered.
    pub files: u32,
    /// Bytes of all contents that can be read now, in all files together.
    pub bytes: u64,
    /// Superseded versions that are remembered for each path; older ones stay on the trail only.
    pub versions: u32,
    /// Snapshots at once.
    pub snapshots: u32,
}

/// A setting outside its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadConfig {
    /// The number of participants, as given, lies outside [`PARTICIPANTS`].
    Participants(u32),
    /// The duration, as given, lies outside [`DURATION`].
    Duration(Duration),
}

impl Default for SessionConfig {
    /// Eventual, 10 participants, one hour, σ_eff at least 0.60. Whoever supervises such a session may answer a write to a
    /// file before it is durable; ask for [`Strong`](ConsistencyMode::Strong) where that is too early.
    fn default() -> Self {
        Self {
            mode: ConsistencyMode::Eventual,
            max_participants: 10,
            max_duration: Duration::from_secs(3600),
            min_sigma_eff: Sigma::capped(600_000),
            quotas: Quotas::default(),
        }
    }
}

impl Default for Quotas {
    /// 10 000 files, 1 GiB, 32 superseded versions for each path, 1000 snapshots.
    fn default() -> Self {
        Self { files: 10_000, bytes: 1 << 30, versions: 32, snapshots: 1000 }
    }
}

impl SessionConfig {
    /// The same in another mode.
    #[must_use]
    pub const fn with_mode(mut self, mode: ConsistencyMode) -> Self {
        self.mode = mode;
        self
    }

    /// The same for so many members at once, 1 to 1000.
    ///
    /// # Errors
    /// [`BadConfig::Participants`] outside [`PARTICIPANTS`].
    pub fn with_max_participants(mut self, count: u32) -> Result<Self, BadConfig> {
        if !PARTICIPANTS.contains(&count) {
            return Err(BadConfig::Participants(count));
        }
        self.max_participants = count;
        Ok(self)
    }

    /// The same for so long, 1 second to 7 days, counted from the creation.
    ///
    /// # Errors
    /// [`BadConfig::Duration`] outside [`DURATION`].
    pub fn with_max_duration(mut self, duration: Duration) -> Result<Self, BadConfig> {
        if !DURATION.contains(&duration) {
            return Err(BadConfig::Duration(duration));
        }
        self.max_duration = duration;
        Ok(self)
    }

    /// The same with another minimum of σ_eff.
    #[must_use]
    pub const fn with_min_sigma_eff(mut self, minimum: Sigma) -> Self {
        self.min_sigma_eff = minimum;
        self
    }

    /// The same with other quotas.
    #[must_use]
    pub const fn with_quotas(mut self, quotas: Quotas) -> Self {
        self.quotas = quotas;
        self
    }

    /// The mode in which the session starts.
    #[must_use]
    pub const fn mode(&self) -> ConsistencyMode {
        self.mode
    }

    /// How many members it may have at once.
    #[must_use]
    pub const fn max_participants(&self) -> u32 {
        self.max_participants
    }

    /// How long it may last, from its creation.
    #[must_use]
    pub const fn max_duration(&self) -> Duration {
        self.max_duration
    }

    /// The σ_eff below which a member is held in Ring 3. This crate carries the number; it compares nothing.
    #[must_use]
    pub const fn min_sigma_eff(&self) -> Sigma {
        self.min_sigma_eff
    }

    /// How much its file space may hold.
    #[must_use]
    pub const fn quotas(&self) -> &Quotas {
        &self.quotas
    }
}

impl ConsistencyMode {
    /// As it is written in files and shown to people: `strong`, `eventual`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strong => "strong",
            Self::Eventual => "eventual",
        }
    }
}

impl fmt::Display for ConsistencyMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Participants(count) => {
                write!(f, "a session has 1 to 1000 participants at once, not {count}")
            }
            Self::Duration(duration) => {
                write!(f, "a session lasts 1 second to 7 days (604800 s), not {duration:?}")
            }
        }
    }
}

impl core::error::Error for BadConfig {}

hv_types::wire_enum!(ConsistencyMode { 0 => Strong {}, 1 => Eventual {} });
hv_types::wire_struct!(Quotas { files, bytes, versions, snapshots });

impl Wire for SessionConfig {
    fn put(&self, out: &mut Bytes) {
        let Self { mode, max_participants, max_duration, min_sigma_eff, quotas } = self;
        mode.put(out);
        max_participants.put(out);
        max_duration.put(out);
        min_sigma_eff.put(out);
        quotas.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let mode = ConsistencyMode::take(reader)?;
        let (participants, duration) = (u32::take(reader)?, Duration::take(reader)?);
        let (minimum, quotas) = (Sigma::take(reader)?, Quotas::take(reader)?);
        Self::default()
            .with_max_participants(participants)
            .and_then(|config| config.with_max_duration(duration))
            .map(|config| config.with_mode(mode).with_min_sigma_eff(minimum).with_quotas(quotas))
            .map_err(|_| reader.invalid("SessionConfig"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_at_their_boundaries() {
        let config = SessionConfig::default();
        for (count, ok) in [(0, false), (1, true), (1000, true), (1001, false)] {
            assert_eq!(config.with_max_participants(count).is_ok(), ok, "{count}");
        }
        let (second, week, tick) =
            (Duration::from_secs(1), Duration::from_secs(604_800), Duration::from_nanos(1));
        for (duration, ok) in [(second - tick, false), (second, true), (week, true), (week + tick, false)] {
            assert_eq!(config.with_max_duration(duration).is_ok(), ok, "{duration:?}");
        }
    }

    #[test]
    fn defaults_are_those_that_are_promised() {
        let config = SessionConfig::default();
        assert_eq!(config.mode(), ConsistencyMode::Eventual);
        assert_eq!(config.max_participants(), 10);
        assert_eq!(config.max_duration(), Duration::from_secs(3600));
        assert_eq!(config.min_sigma_eff().ppm(), 600_000);
    }

    #[test]
    fn golden_bytes_and_what_decodes() {
        let bytes = SessionConfig::default().to_bytes();
        assert_eq!(
            bytes,
            [1, 10, 0x90, 0x1c, 0, 0xc0, 0xcf, 0x24, 0x90, 0x4e, 0x80, 0x80, 0x80, 0x80, 4, 32, 0xe8, 7]
        );
        assert_eq!(SessionConfig::from_bytes(&bytes), Ok(SessionConfig::default()));
        let mut none = bytes.clone();
        none[1] = 0;
        assert!(SessionConfig::from_bytes(&none).is_err());
        let mut endless = bytes;
        endless[3] = 0x7f;
        assert!(SessionConfig::from_bytes(&endless).is_ok());
        endless.splice(2..4, [0x81, 0xf5, 0x24]);
        assert!(SessionConfig::from_bytes(&endless).is_err(), "one second more than a week");
    }
}
