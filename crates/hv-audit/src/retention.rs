//! What may be purged, and when: by what a content is, how old it is, and what is held.
//!
//! Pure: whoever knows what records mean says what each content is, and gets its fate.

use crate::log::{PayloadRef, StreamNo};
use core::time::Duration;
use hv_types::{Did, SessionId, Timestamp};

/// What a content is, as far as its keeping depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Matter {
    /// What a program printed or answered.
    Output,
    /// What the embedding program keeps under a name.
    Note,
    /// A version of a file.
    File,
    /// The records of a session that is over, from its end on.
    Session,
    /// What may have to show what happened: of denials, slashes, kills, evidence, undos that failed, bytes that a
    /// crash tore, and of everything that is none of the others. Never purged.
    Forensic,
}

/// How long contents are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Of [`Matter::Output`].
    pub output: Duration,
    /// Of [`Matter::Note`].
    pub note: Duration,
    /// Of [`Matter::File`].
    pub file: Duration,
    /// Of [`Matter::Session`].
    pub session: Duration,
}

hv_types::wire_struct!(Retention { output, note, file, session });

impl Retention {
    /// Half a year: 184 days, as many as the longest two quarters have.
    pub const USUAL: Duration = Duration::from_secs(184 * 86_400);

    /// How long a matter is kept at least; `None`: for ever.
    #[must_use]
    pub const fn of(&self, matter: Matter) -> Option<Duration> {
        match matter {
            Matter::Output => Some(self.output),
            Matter::Note => Some(self.note),
            Matter::File => Some(self.file),
            Matter::Session => Some(self.session),
            Matter::Forensic => None,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { output: Self::USUAL, note: Self::USUAL, file: Self::USUAL, session: Self::USUAL }
    }
}

/// One content, and what is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it lies.
    pub payload: PayloadRef,
    /// What it is.
    pub matter: Matter,
    /// The stream of the record that refers to it first.
    pub stream: StreamNo,
    /// The session whose stream that is.
    pub session: Option<SessionId>,
    /// The agent whom it concerns.
    pub subject: Option<Did>,
    /// When it was recorded.
    pub recorded: Timestamp,
    /// Whether its session goes on, and so may need it.
    pub in_use: bool,
}

/// Whose contents are meant: those of one session, of one agent, of one agent in one session, or all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Of this session alone.
    pub session: Option<SessionId>,
    /// Of this agent alone.
    pub subject: Option<Did>,
}

hv_types::wire_struct!(Scope { session, subject });

impl Scope {
    /// Whether a content is among them.
    #[must_use]
    pub fn covers(&self, kept: &Kept) -> bool {
        let session = self.session.as_ref().is_none_or(|session| kept.session.as_ref() == Some(session));
        session && self.subject.as_ref().is_none_or(|subject| kept.subject.as_ref() == Some(subject))
    }

    /// Whether a hold on this scope keeps a content. One whose agent is not known may be anybody's, so a hold on
    /// an agent keeps it too.
    #[must_use]
    pub fn holds(&self, kept: &Kept) -> bool {
        let session = self.session.as_ref().is_none_or(|session| kept.session.as_ref() == Some(session));
        let concerns = |subject: &Did| kept.subject.as_ref().is_none_or(|of| of == subject);
        session && self.subject.as_ref().is_none_or(concerns)
    }
}

/// What becomes of a content when somebody asks for a purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// It is not meant, or younger than what is meant.
    Stays,
    /// It is meant, but its session goes on.
    InUse,
    /// It is meant, but kept for ever.
    Forensic,
    /// It is meant, but a hold is on it.
    Held,
    /// It is meant, but has to be kept longer.
    Early,
    /// It goes.
    Due,
}

/// What becomes of a content. `older_than` is what is asked for; where nothing is, what must be kept is not meant.
#[must_use]
pub fn fate<'a>(
    kept: &Kept,
    now: Timestamp,
    scope: &Scope,
    older_than: Option<Duration>,
    retention: &Retention,
    holds: impl IntoIterator<Item = &'a Scope>,
) -> Fate {
    if !scope.covers(kept) {
        return Fate::Stays;
    }
    let held = holds.into_iter().any(|hold| hold.holds(kept));
    let least = retention.of(kept.matter);
    fate_of(now.since(kept.recorded), older_than, least, (kept.in_use, held))
}

/// What becomes of anything that is meant: so old, to be kept at least so long (`None`: for ever), and in use or held.
#[must_use]
pub fn fate_of(
    age: Duration,
    older_than: Option<Duration>,
    least: Option<Duration>,
    (in_use, held): (bool, bool),
) -> Fate {
    match least {
        _ if older_than.or(least).is_some_and(|asked| age < asked) => Fate::Stays,
        None => Fate::Forensic,
        Some(_) if in_use => Fate::InUse,
        Some(_) if held => Fate::Held,
        Some(least) if age < least => Fate::Early,
        Some(_) => Fate::Due,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hv_types::Digest;

    const DAY: u64 = 86_400;

    fn days(count: u64) -> Duration {
        Duration::from_secs(count * DAY)
    }

    fn kept(matter: Matter) -> Kept {
        Kept {
            payload: PayloadRef { id: Digest([1; 32]), length: 3 },
            matter,
            stream: StreamNo(2),
            session: Some(SessionId::new("s1").unwrap()),
            subject: Some(Did::new("did:mesh:a").unwrap()),
            recorded: Timestamp(0),
            in_use: false,
        }
    }

    fn at(matter: Matter, age: Duration, older_than: Option<u64>, holds: &[Scope]) -> Fate {
        let now = Timestamp(0).after(age);
        fate(&kept(matter), now, &Scope::default(), older_than.map(days), &Retention::default(), holds)
    }

    #[test]
    fn contents_are_kept_for_184_days_to_the_nanosecond() {
        for matter in [Matter::Output, Matter::Note, Matter::File, Matter::Session] {
            assert_eq!(at(matter, days(184), None, &[]), Fate::Due);
            assert_eq!(at(matter, days(184) - Duration::from_nanos(1), None, &[]), Fate::Stays);
            let early = at(matter, days(184) - Duration::from_nanos(1), Some(0), &[]);
            assert_eq!(early, Fate::Early, "asked for all the same, it is told");
        }
    }

    #[test]
    fn forensic_matter_is_never_due() {
        for age in [0, 184, 100_000] {
            for asked in [None, Some(0), Some(184)] {
                let fate = at(Matter::Forensic, days(age), asked, &[]);
                assert!(matches!(fate, Fate::Forensic | Fate::Stays), "{age} {asked:?}: {fate:?}");
            }
        }
    }

    #[test]
    fn asking_for_older_ones_leaves_the_younger() {
        assert_eq!(at(Matter::Output, days(200), Some(365), &[]), Fate::Stays);
        assert_eq!(at(Matter::Output, days(365), Some(365), &[]), Fate::Due);
    }

    #[test]
    fn a_hold_keeps_what_it_covers() {
        let session = |name: &str| Some(SessionId::new(name).unwrap());
        let subject = |name: &str| Some(Did::new(name).unwrap());
        for (hold, held) in [
            (Scope::default(), true),
            (Scope { session: session("s1"), subject: None }, true),
            (Scope { session: session("s2"), subject: None }, false),
            (Scope { session: None, subject: subject("did:mesh:a") }, true),
            (Scope { session: None, subject: subject("did:mesh:b") }, false),
            (Scope { session: session("s1"), subject: subject("did:mesh:b") }, false),
        ] {
            let fate = at(Matter::Output, days(365), None, std::slice::from_ref(&hold));
            assert_eq!(fate, if held { Fate::Held } else { Fate::Due }, "{hold:?}");
        }
        // Nobody knows whose it is: it may be hers.
        let nobody = Kept { subject: None, ..kept(Matter::Note) };
        let hers = Scope { session: None, subject: subject("did:mesh:b") };
        assert!(hers.holds(&nobody) && !hers.covers(&nobody));
    }

    #[test]
    fn what_an_open_session_needs_stays() {
        let kept = Kept { in_use: true, ..kept(Matter::File) };
        let now = Timestamp(0).after(days(1000));
        let fate = fate(&kept, now, &Scope::default(), Some(days(0)), &Retention::default(), &[]);
        assert_eq!(fate, Fate::InUse);
    }
}
