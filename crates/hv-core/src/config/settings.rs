//! The settings: what each is called, what it takes, and what it sets.

use super::{Takes, VARIABLES, Value};
use crate::guards::{Guards, Scoring};
use hv_liability::ScorePolicy;
use hv_session::{ConsistencyMode, Quotas, SessionConfig};
use hv_types::{Share, Sigma};
use std::time::Duration;

/// One setting of a node.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The names of its table and itself in a file, with points between them.
    pub key: &'static str,
    /// What it says.
    pub about: &'static str,
    /// What it takes.
    pub takes: Takes,
    pub(super) of: Of,
}

/// What a setting is part of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    /// The limits of the node.
    Node { get: fn(&Guards) -> Value, set: fn(&mut Guards, &Value) },
    /// What a session has for itself where nothing is said of it.
    Session { get: fn(&SessionConfig) -> Value, set: fn(SessionConfig, &Value) -> SessionConfig },
}

/// What a session has for itself where nobody says anything: the usual, in the strong mode.
pub(super) fn usual() -> SessionConfig {
    SessionConfig::default().with_mode(ConsistencyMode::Strong)
}

impl PartialEq for Setting {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Setting {}

impl Setting {
    /// The variable of the environment that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{VARIABLES}{}", self.key.replace('.', "_").to_ascii_uppercase())
    }

    /// What it is, where these hold on the node and for its sessions.
    #[must_use]
    pub fn value(&self, guards: &Guards, session: &SessionConfig) -> Value {
        match self.of {
            Of::Node { get, .. } => get(guards),
            Of::Session { get, .. } => get(session),
        }
    }

    /// What it is where nobody says anything.
    #[must_use]
    pub fn default_value(&self) -> Value {
        self.value(&Guards::default(), &usual())
    }
}

/// The key of the setting that says whether outcomes become reputation.
pub(super) const SCORER: &str = "score.scorer";

/// A number in the limits; what is read lies in a range that fits.
trait Number: Copy {
    fn to(self) -> u64;
    fn of(number: u64) -> Self;
}

impl Number for u32 {
    fn to(self) -> u64 {
        self.into()
    }

    fn of(number: u64) -> Self {
        Self::try_from(number).unwrap_or(Self::MAX)
    }
}

impl Number for u64 {
    fn to(self) -> u64 {
        self
    }

    fn of(number: u64) -> Self {
        number
    }
}

macro_rules! count {
    ($key:literal, $unit:literal, $from:literal..=$to:literal, $($field:ident).+, $about:literal) => {
        Setting {
            key: $key,
            about: $about,
            takes: Takes::Count { unit: $unit, from: $from, to: $to },
            of: Of::Node {
                get: |guards| Value::Count(Number::to(guards.$($field).+)),
                set: |guards, value| if let Value::Count(count) = value { guards.$($field).+ = Number::of(*count) },
            },
        }
    };
}

macro_rules! time {
    ($key:literal, $from:expr, $to:expr, $($field:ident).+, $about:literal) => {
        Setting {
            key: $key,
            about: $about,
            takes: Takes::Time { from: $from, to: $to },
            of: Of::Node {
                get: |guards| Value::Time(guards.$($field).+),
                set: |guards, value| if let Value::Time(time) = value { guards.$($field).+ = *time },
            },
        }
    };
}

macro_rules! score {
    ($key:literal, $type:ident, $field:ident, $about:literal) => {
        Setting {
            key: $key,
            about: $about,
            takes: Takes::Share,
            of: Of::Node {
                get: |guards| Value::Share(policy(guards).$field.ppm()),
                set: |guards, value| {
                    if let (Value::Share(ppm), Scoring::By { policy }) = (value, &mut guards.score) {
                        policy.$field = $type::capped((*ppm).into());
                    }
                },
            },
        }
    };
}

macro_rules! quota {
    ($key:literal, $unit:literal, $to:literal, $field:ident, $about:literal) => {
        Setting {
            key: $key,
            about: $about,
            takes: Takes::Count { unit: $unit, from: 0, to: $to },
            of: Of::Session {
                get: |session| Value::Count(Number::to(session.quotas().$field)),
                set: |session, value| match value {
                    Value::Count(count) => {
                        session.with_quotas(Quotas { $field: Number::of(*count), ..*session.quotas() })
                    }
                    _ => session,
                },
            },
        }
    };
}

fn policy(guards: &Guards) -> ScorePolicy {
    match guards.score {
        Scoring::Off => ScorePolicy::default(),
        Scoring::By { policy } => policy,
    }
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const WEEK: Duration = Duration::from_secs(7 * 86_400);
const MONTH: Duration = Duration::from_secs(30 * 86_400);
/// Nothing is kept shorter than the usual time; what is to go earlier takes a witness.
const KEPT: Duration = hv_audit::retention::Retention::USUAL;
const CENTURY: Duration = Duration::from_secs(36_500 * 86_400);

/// Every setting, in the order in which they are told. What decides whether others are meant stands before them.
pub const SETTINGS: &[Setting] = &[
    count!(
        "sessions.open",
        "sessions",
        1..=1_000_000,
        open_sessions,
        "how many sessions one creator may have open at once"
    ),
    count!(
        "rates.root.per_second",
        "calls",
        0..=1_000_000,
        limits.rate.root.per_second,
        "calls a second in the long run of an agent in Ring 0; with 0, what was used never comes back"
    ),
    count!(
        "rates.root.burst",
        "calls",
        0..=1_000_000,
        limits.rate.root.burst,
        "calls at once of an agent in Ring 0; with 0, none passes"
    ),
    count!(
        "rates.privileged.per_second",
        "calls",
        0..=1_000_000,
        limits.rate.privileged.per_second,
        "the same of one in Ring 1"
    ),
    count!(
        "rates.privileged.burst",
        "calls",
        0..=1_000_000,
        limits.rate.privileged.burst,
        "the same of one in Ring 1"
    ),
    count!(
        "rates.standard.per_second",
        "calls",
        0..=1_000_000,
        limits.rate.standard.per_second,
        "the same of one in Ring 2"
    ),
    count!(
        "rates.standard.burst",
        "calls",
        0..=1_000_000,
        limits.rate.standard.burst,
        "the same of one in Ring 2"
    ),
    count!(
        "rates.sandbox.per_second",
        "calls",
        0..=1_000_000,
        limits.rate.sandbox.per_second,
        "the same of one in Ring 3"
    ),
    count!(
        "rates.sandbox.burst",
        "calls",
        0..=1_000_000,
        limits.rate.sandbox.burst,
        "the same of one in Ring 3"
    ),
    count!(
        "tools.root",
        "tools",
        0..=100_000,
        limits.tools.root,
        "how many tools an agent in Ring 0 may use at once in a session"
    ),
    count!("tools.privileged", "tools", 0..=100_000, limits.tools.privileged, "the same of one in Ring 1"),
    count!("tools.standard", "tools", 0..=100_000, limits.tools.standard, "the same of one in Ring 2"),
    count!("tools.sandbox", "tools", 0..=100_000, limits.tools.sandbox, "the same of one in Ring 3"),
    time!("breach.window", SECOND, DAY, breach.window, "the window in which calls above the ring are many"),
    count!(
        "breach.least",
        "calls",
        1..=1_000_000,
        breach.least,
        "from how many calls above the ring in the window on the breaker may open"
    ),
    count!(
        "breach.percent",
        "percent",
        1..=900,
        breach.percent,
        "and then does where their weight, 1, 4 or 9 each, is this share of the number of all calls"
    ),
    count!(
        "breach.patience",
        "points",
        1..=1_000_000,
        breach.patience,
        "at which weight that was not forgotten yet it opens, however long that took"
    ),
    time!("breach.forget", SECOND, MONTH, breach.forget, "how long it takes to forget a weight of 1"),
    time!("breach.open", SECOND, MONTH, breach.open, "how long the breaker stays open"),
    time!("refusals.window", SECOND, DAY, fold.window, "the window in which refusals are told one by one"),
    time!(
        "refusals.longest",
        SECOND,
        MONTH,
        fold.longest,
        "how long it becomes, twice as long after each flood"
    ),
    count!(
        "refusals.in_full",
        "refusals",
        0..=100_000,
        fold.in_full,
        "how many refusals of one source are told in full in a window"
    ),
    count!(
        "refusals.in_full_together",
        "refusals",
        0..=1_000_000,
        fold.in_full_together,
        "how many of all sources together"
    ),
    count!(
        "sources.requests.per_second",
        "requests",
        0..=1_000_000,
        sources.requests.per_second,
        "requests a second in the long run of one source"
    ),
    count!(
        "sources.requests.burst",
        "requests",
        0..=1_000_000,
        sources.requests.burst,
        "requests at once of one source"
    ),
    count!(
        "sources.refused.per_second",
        "refusals",
        0..=1_000_000,
        sources.refused.per_second,
        "refusals a second after which a source is still listened to, in the long run"
    ),
    count!("sources.refused.burst", "refusals", 0..=1_000_000, sources.refused.burst, "refusals at once"),
    Setting {
        key: SCORER,
        about: "by whom outcomes become reputation; off: by nobody here",
        takes: Takes::Word(&["default", "off"]),
        of: Of::Node {
            get: |guards| Value::Word(if guards.score == Scoring::Off { "off" } else { "default" }),
            set: |guards, value| match (value, guards.score) {
                (Value::Word("off"), _) => guards.score = Scoring::Off,
                (_, Scoring::Off) => guards.score = Scoring::default(),
                (_, Scoring::By { .. }) => {}
            },
        },
    },
    score!(
        "score.remembered",
        Share,
        remembered,
        "how much of what was known on one day still counts on the next"
    ),
    score!("score.gain", Sigma, gain, "what a good outcome of the highest risk lifts at most"),
    score!("score.loss", Sigma, loss, "what a bad outcome of the highest risk takes"),
    score!(
        "score.open_ceiling",
        Sigma,
        open_ceiling,
        "beyond which reputation nothing lifts that needed no trust"
    ),
    time!(
        "kill.callback",
        Duration::from_millis(100),
        Duration::from_secs(60),
        kill_callback,
        "how long the callback of a kill may take before it counts as late; the kill holds either way"
    ),
    count!(
        "snapshots.every",
        "batches",
        1_000..=1_000_000_000,
        snapshots.every,
        "after how many batches a snapshot is taken"
    ),
    count!(
        "snapshots.at_the_end",
        "batches",
        0..=1_000_000_000,
        snapshots.at_the_end,
        "beyond how many batches since the last one a node that ends takes one"
    ),
    time!(
        "retention.output",
        KEPT,
        CENTURY,
        retention.output,
        "how long is kept what programs print or answer"
    ),
    time!(
        "retention.note",
        KEPT,
        CENTURY,
        retention.note,
        "how long notes of the embedding program are kept"
    ),
    time!("retention.file", KEPT, CENTURY, retention.file, "how long versions of files are kept"),
    time!(
        "retention.session",
        KEPT,
        CENTURY,
        retention.session,
        "how long the records of a session are kept from its end on"
    ),
    Setting {
        key: "session.mode",
        about: "whether a session waits for everything to be durable, or shows writes to files before; this and the \
                following hold where a session begins and nothing is said of it",
        takes: Takes::Word(&["strong", "eventual"]),
        of: Of::Session {
            get: |session| Value::Word(session.mode().name()),
            set: |session, value| {
                let eventual = *value == Value::Word(ConsistencyMode::Eventual.name());
                session.with_mode(if eventual { ConsistencyMode::Eventual } else { ConsistencyMode::Strong })
            },
        },
    },
    Setting {
        key: "session.max_participants",
        about: "how many members a session may have at once",
        takes: Takes::Count { unit: "members", from: 1, to: 1000 },
        of: Of::Session {
            get: |session| Value::Count(session.max_participants().into()),
            set: |session, value| match value {
                // What is read lies in the range.
                Value::Count(count) => session.with_max_participants(Number::of(*count)).unwrap_or(session),
                _ => session,
            },
        },
    },
    Setting {
        key: "session.duration",
        about: "how long a session may last, from when it is created",
        takes: Takes::Time { from: SECOND, to: WEEK },
        of: Of::Session {
            get: |session| Value::Time(session.max_duration()),
            set: |session, value| match value {
                Value::Time(time) => session.with_max_duration(*time).unwrap_or(session),
                _ => session,
            },
        },
    },
    Setting {
        key: "session.min_sigma",
        about: "the score below which a member is held in Ring 3",
        takes: Takes::Share,
        of: Of::Session {
            get: |session| Value::Share(session.min_sigma_eff().ppm()),
            set: |session, value| match value {
                Value::Share(ppm) => session.with_min_sigma_eff(Sigma::capped((*ppm).into())),
                _ => session,
            },
        },
    },
    quota!("session.max_files", "files", 1_000_000_000, files, "how many files a session may hold at once"),
    quota!(
        "session.max_bytes",
        "bytes",
        1_000_000_000_000_000,
        bytes,
        "how many bytes all of them may hold together"
    ),
    quota!(
        "session.max_versions",
        "versions",
        1_000_000,
        versions,
        "how many superseded versions are remembered of each path"
    ),
    quota!(
        "session.max_snapshots",
        "snapshots",
        1_000_000,
        snapshots,
        "how many snapshots a session may keep of its files"
    ),
];
