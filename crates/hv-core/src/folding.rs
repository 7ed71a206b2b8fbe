//! Before the node's own lock: who may knock, and how refusals that flood are told.

use crate::error::Reason;
use crate::guards::Guards;
use crate::origin::Origin;
use hv_audit::StreamNo;
use hv_rings::fold::{Fold, Form, Tally};
use hv_rings::rate::{Buckets, Limited, SourceLimits};
use hv_types::{Counted, Did, Timestamp};
use std::fmt;

/// Refusals that came too fast to be told one by one: so many of each kind, from one source, in one window. What was
/// counted of the same window before is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// Where they came from.
    pub source: Source,
    /// When their window began.
    pub since: Timestamp,
    /// When the last of them was refused.
    pub until: Timestamp,
    /// How many of each kind.
    pub kinds: Vec<FoldedKind>,
    /// Who asked how often, as far as they are named.
    pub askers: Vec<FoldedAsker>,
    /// How many were asked for by others than those.
    pub others: u64,
}

/// Where refused requests come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// From too many places to tell them apart.
    Many,
    /// From the program that hv is embedded in, for somebody whom nobody knows, or for nobody.
    Program,
    /// From the program that hv is embedded in, for an agent that is known.
    Agent {
        /// The agent.
        did: Did,
    },
    /// From there, whoever it speaks for.
    Origin {
        /// Where.
        origin: Origin,
    },
}

/// So many refusals of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldedKind {
    /// What was asked for, as one word: `join`, `file`.
    pub request: String,
    /// By what rule it was refused, as one word: `not_a_member`.
    pub rule: String,
    /// How many.
    pub count: u64,
}

/// So many refusals of what somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldedAsker {
    /// Who asked, or said to be, where anybody was named.
    pub agent: Option<Did>,
    /// The stream of the session that it concerned; the node's where it concerned none.
    pub stream: u32,
    /// How many.
    pub count: u64,
}

hv_types::wire_enum!(Source { 0 => Many {}, 1 => Program {}, 2 => Agent { did }, 3 => Origin { origin } });
hv_types::wire_struct!(FoldedKind { request, rule, count });
hv_types::wire_struct!(FoldedAsker { agent, stream, count });
hv_types::wire_struct!(Folded { source, since, until, kinds, askers, others });

impl Folded {
    /// How many refusals it tells of.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.kinds.iter().fold(0, |sum, kind| sum.saturating_add(kind.count))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Many => f.write_str("many sources"),
            Self::Program => f.write_str("strangers"),
            Self::Agent { did } => write!(f, "{did}"),
            Self::Origin { origin } => write!(f, "{origin}"),
        }
    }
}

impl fmt::Display for Folded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = Counted(self.count(), "more refusal");
        write!(f, "{more} of {}, up to {}:", self.source, self.until)?;
        for (n, FoldedKind { request, rule, count }) in self.kinds.iter().enumerate() {
            write!(f, "{} {count} {request} ({rule})", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// What a refusal is counted by: what was asked for, and the rule that refused.
type Kind = (&'static str, &'static str);
/// Who asked, and in which session.
type Asker = (Option<Did>, StreamNo);

/// What is kept of those who knock.
#[derive(Debug)]
pub(crate) struct Door {
    guards: Guards,
    requests: Buckets<Origin>,
    refused: Buckets<Origin>,
    fold: Fold<Source, Kind, Asker>,
}

/// How a refusal is told, and the counts that are due.
#[must_use = "a count that is due and not told is lost"]
pub(crate) struct Told {
    pub(crate) form: Form,
    pub(crate) due: Vec<Folded>,
}

impl Door {
    /// One at which nobody has knocked, under these limits.
    pub(crate) fn new(guards: Guards) -> Self {
        let (requests, refused) = (Buckets::default(), Buckets::default());
        Self { guards, requests, refused, fold: Fold::default() }
    }

    /// Whether an origin is listened to now. Every request asks once.
    pub(crate) fn admit(&mut self, origin: &Origin, now: Timestamp) -> Result<(), Limited> {
        self.requests.take(origin, self.guards.sources.requests, now)?;
        self.refused.check(origin, self.guards.sources.refused, now)
    }

    /// Whether an origin would be listened to now; nothing is taken from its buckets.
    pub(crate) fn listens(&self, origin: &Origin, now: Timestamp) -> bool {
        let SourceLimits { requests, refused } = self.guards.sources;
        let requests = self.requests.check(origin, requests, now);
        requests.and_then(|()| self.refused.check(origin, refused, now)).is_ok()
    }

    /// Notes a refusal.
    pub(crate) fn refused(
        &mut self,
        source: &Source,
        (request, reason): (&'static str, &Reason),
        asker: &Asker,
        now: Timestamp,
    ) -> Told {
        if let Source::Origin { origin } = source {
            // One that is not listened to already has an empty bucket; it need not know how empty.
            let _ = self.refused.take(origin, self.guards.sources.refused, now);
        }
        let telling = self.fold.refused(&self.guards.fold, source, (request, reason.rule()), asker, now);
        Told { form: telling.form, due: telling.due.into_iter().map(Folded::from).collect() }
    }

    /// The next point in time at which [`due`](Self::due) has something to tell.
    pub(crate) const fn next_end(&self) -> Timestamp {
        self.fold.next_end()
    }

    /// The counts whose windows have ended.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<Folded> {
        self.fold.due(&self.guards.fold, now).into_iter().map(Folded::from).collect()
    }

    /// Every count that was not told yet.
    pub(crate) fn rest(&mut self) -> Vec<Folded> {
        self.fold.rest().into_iter().map(Folded::from).collect()
    }
}

impl From<Tally<Source, Kind, Asker>> for Folded {
    fn from(tally: Tally<Source, Kind, Asker>) -> Self {
        let Tally { source, since, until, kinds, who, others } = tally;
        let kind = |((request, rule), count): (Kind, u64)| FoldedKind {
            request: request.to_owned(),
            rule: rule.to_owned(),
            count,
        };
        let asker = |((agent, stream), count): (Asker, u64)| FoldedAsker { agent, stream: stream.0, count };
        Self {
            source: source.unwrap_or(Source::Many),
            since,
            until,
            kinds: kinds.into_iter().map(kind).collect(),
            askers: who.into_iter().map(asker).collect(),
            others,
        }
    }
}
