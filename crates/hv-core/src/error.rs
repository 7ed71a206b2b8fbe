//! Why an operation did not do what it was asked for.

use crate::event::KillTarget;
use crate::evidence::{Rejected, Rejection};
use crate::intent::NotDeclared;
use crate::item::ItemRef;
use hv_audit::{LogError, Lsn};
use hv_rings::elevation::NotElevated;
use hv_rings::gate::GateDenial;
use hv_types::{ActionId, BadIdent, Counted, Did, Illegal, SagaId, SessionId, StepId, Timestamp};
use std::fmt;

/// Why an operation of the hypervisor failed.
// Every answer carries the room for one along: with a tag of a whole word it is copied word by word.
#[derive(Debug)]
#[repr(u64)]
pub enum Error {
    /// It was refused, and the refusal is on the trail.
    Denied(Box<Denied>),
    /// There is no such session on this node, or it has ended.
    NoSession(SessionId),
    /// There is no such saga in the session.
    NoSaga(SagaId),
    /// The log failed or refused.
    Log(LogError),
    /// The operating system has no random numbers, without which no trail is begun.
    NoRandomness,
    /// What the configuration says does not go together.
    Setting(Box<crate::config::BadSetting>),
    /// The record and the state disagree. Nothing more is done; open the log again.
    Illegal(Illegal),
    /// An earlier failure left open what is durable. Nothing more is done; open the log again.
    Poisoned,
}

/// A refusal: why, and where on the trail it stands.
#[derive(Debug)]
pub struct Denied {
    /// Why.
    pub reason: Reason,
    /// The batch of the log that holds the refusal; none where it is one of many that came too fast to be told one
    /// by one, and was only counted.
    pub lsn: Option<Lsn>,
    /// What others say that was brought with the request, and why it does not count.
    pub rejected: Vec<Rejected>,
}

/// The rule that refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The gate.
    Gate(Box<GateDenial>),
    /// The session: its lifecycle, its limits, its files.
    Session(Box<hv_session::SessionDenial>),
    /// The ledger.
    Ledger(Box<hv_liability::Denial>),
    /// The saga.
    Saga(Box<hv_saga::SagaDenial>),
    /// The name is taken by another session of this node.
    SessionExists(SessionId),
    /// There is no such session on this node, or it has ended.
    NoSession(SessionId),
    /// The session has no saga of this name.
    NoSaga(SagaId),
    /// A saga of the session has not ended.
    SagaUnfinished(SagaId),
    /// A step is asked of this saga that another one added.
    OtherSaga(SagaId),
    /// The program drives a saga that something else in it drives already.
    SagaHeld(SagaId),
    /// A program takes up a saga without a function that undoes or probes this step of it. Behind a pointer, so that every
    /// other reason stays as small as it is.
    NoFunction(Box<(SagaId, StepId)>),
    /// The agent is under quarantine.
    Quarantined(Did),
    /// The agent is charged, and under quarantine until that is decided.
    Charged(Did),
    /// The kill switch was used.
    Killed {
        /// On what.
        target: KillTarget,
        /// When.
        at: Timestamp,
    },
    /// It is killed already.
    AlreadyKilled {
        /// What.
        target: KillTarget,
        /// Since when.
        at: Timestamp,
    },
    /// It is not killed, so there is nothing to lift.
    NotKilled {
        /// What.
        target: KillTarget,
    },
    /// Who creates a session has as many open as it may have.
    TooManySessions {
        /// How many that is.
        limit: u32,
    },
    /// As many kills are in force as there may be, [`KILLS_MAX`](crate::KILLS_MAX).
    TooManyKills,
    /// A name breaks its grammar.
    Ident(BadIdent),
    /// So many of the contents that are to be purged have to be kept longer.
    Retention {
        /// How many.
        contents: u64,
    },
    /// There is no anchor of this number that could move there.
    Anchor(u32),
    /// The word that is brought was used for this purge, which has been carried out since.
    Purged {
        /// When its record was made.
        at: Timestamp,
        /// How many contents that was.
        contents: u64,
    },
    /// There is no such hold.
    NoHold(u32),
    /// What is asked outside of the node is off, or gave no answer that counts.
    Port {
        /// The port: `trust`, `drift`, `manifests`.
        port: &'static str,
        /// Why.
        why: String,
    },
    /// Nothing of this name waits for a person.
    NoItem(Box<ItemRef>),
    /// What waits for a person has no undo that could be tried.
    NoUndo(Box<ItemRef>),
    /// An attempt to undo it may still be going on.
    ItemBusy {
        /// Which step.
        item: Box<ItemRef>,
        /// Until when.
        until: Timestamp,
    },
    /// No undo of the action has failed in the session, so there is nothing to restore.
    UndoWorks(ActionId),
    /// The steps cannot be rehearsed.
    Rehearsal(hv_saga::reversibility::CannotRehearse),
    /// The text names no file of the session.
    Path(Box<hv_session::BadPath>),
    /// The node has no name and listens to nobody yet.
    NotConfigured,
    /// The node was configured before.
    Configured,
    /// The node is configured without a witness, and only by the word of one is it changed.
    Unwitnessed,
    /// A signed statement does not count.
    Evidence(Box<Rejected>),
    /// What was brought does not open the ring.
    Ring(hv_rings::Denial),
    /// The agent is not elevated.
    Elevation {
        /// The rule that says no.
        why: NotElevated,
        /// How far the votes are from a quorum, where there is none.
        short: Option<String>,
    },
    /// The intent is not declared.
    Intent(NotDeclared),
    /// The call had to be made earlier: the last point in time at which it might have.
    Late(Timestamp),
    /// The registry of keys.
    Key(Box<hv_identity::registry::Denial>),
    /// The one does not vouch for the other in this session.
    NoBond {
        /// The one.
        voucher: Did,
        /// The other.
        vouchee: Did,
    },
    /// The session has begun, and this is settled before it does.
    Begun(SessionId),
    /// A machine refused its own event.
    Defect(Illegal),
}

impl Reason {
    /// The rule alone, as one word: what refusals are counted by.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Gate(denial) => denial.name(),
            Self::Session(denial) => denial.name(),
            Self::Ledger(denial) => denial.name(),
            Self::Saga(denial) => denial.name(),
            Self::SessionExists(_) => "session_exists",
            Self::NoSession(_) => "no_session",
            Self::NoSaga(_) => "no_saga",
            Self::SagaUnfinished(_) => "saga_unfinished",
            Self::OtherSaga(_) => "other_saga",
            Self::SagaHeld(_) => "saga_held",
            Self::NoFunction(_) => "no_function",
            Self::Quarantined(_) | Self::Charged(_) => "quarantined",
            Self::Killed { .. } => "killed",
            Self::AlreadyKilled { .. } => "already_killed",
            Self::NotKilled { .. } => "not_killed",
            Self::TooManyKills => "too_many_kills",
            Self::Ident(_) => "ident",
            Self::Path(_) => "path",
            Self::NotConfigured => "not_configured",
            Self::Configured => "configured",
            Self::Unwitnessed => "unwitnessed",
            Self::Evidence(_) => "evidence",
            Self::Ring(denial) => denial.name(),
            Self::Elevation { .. } => "elevation",
            Self::Intent(_) => "intent",
            Self::Late(_) => "late",
            Self::Key(_) => "key",
            Self::NoBond { .. } => "no_bond",
            Self::Begun(_) => "begun",
            Self::Defect(_) => "defect",
            Self::Retention { .. } => "retention",
            Self::Purged { .. } => "purged",
            Self::NoHold(_) => "no_hold",
            Self::Anchor(_) => "anchor",
            Self::TooManySessions { .. } => "too_many_sessions",
            Self::Port { .. } => "port",
            Self::NoItem(_) => "no_item",
            Self::NoUndo(_) => "no_undo",
            Self::ItemBusy { .. } => "item_busy",
            Self::UndoWorks(_) => "undo_works",
            Self::Rehearsal(_) => "rehearsal",
        }
    }

    /// What would be enough, where something would.
    #[must_use]
    pub fn needs(&self) -> String {
        match self {
            Self::Gate(denial) => match &**denial {
                GateDenial::Intent { why } => why.needs(),
                denial => denial.needs().map(|needs| needs.to_string()).unwrap_or_default(),
            },
            Self::SagaUnfinished(_) => "the saga driven to its end first".to_owned(),
            Self::Killed { .. } => "the kill lifted".to_owned(),
            Self::NotConfigured => "a node that is configured with a witness".to_owned(),
            Self::Configured => "the word of a witness on the new configuration".to_owned(),
            Self::Ring(denial) => denial.needs().to_string(),
            Self::Elevation { why: NotElevated::Denied { denial }, .. } => denial.needs().to_string(),
            Self::Intent(why) => why.needs(),
            Self::Late(_) => "a call with a later deadline".to_owned(),
            Self::Purged { .. } => "another word, where more is to go".to_owned(),
            Self::Begun(_) => "a session that has not begun".to_owned(),
            Self::Retention { .. } => {
                "leaving out what is younger than the retention of the node, or the word of a witness on exactly this purge"
                    .to_owned()
            }
            Self::Quarantined(_) => "the end of the quarantine, or rehabilitation".to_owned(),
            Self::Charged(_) => "a ruling that drops the charges, or rehabilitation once they are carried out".to_owned(),
            _ => String::new(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denied) => fmt::Display::fmt(denied, f),
            Self::NoSession(id) => write!(f, "there is no open session `{id}` on this node"),
            Self::NoSaga(id) => write!(f, "the session has no saga `{id}`"),
            Self::Log(error) => fmt::Display::fmt(error, f),
            Self::NoRandomness => f.write_str("the operating system has no random numbers; no trail is begun"),
            Self::Setting(bad) => fmt::Display::fmt(bad, f),
            Self::Illegal(illegal) => write!(f, "{illegal}; nothing more is done until the log is opened again"),
            Self::Poisoned => f.write_str(
                "an earlier failure left open what is durable; nothing more is done until the log is opened again",
            ),
        }
    }
}

/// The reason, and what was brought in vain: whoever brought it is not told that there was none.
impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.reason, f)?;
        let said = |rejected: &Rejected| match &self.reason {
            Reason::Evidence(told) => **told == *rejected,
            // How far the votes are from a quorum says which of them do not count.
            Reason::Elevation { short: Some(_), .. } => {
                matches!(rejected.rejection, Rejection::NotCounted { .. })
            }
            _ => false,
        };
        self.rejected
            .iter()
            .filter(|rejected| !said(rejected))
            .try_for_each(|rejected| write!(f, "; {rejected}"))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gate(denial) => fmt::Display::fmt(denial, f),
            Self::Session(denial) => fmt::Display::fmt(denial, f),
            Self::Ledger(denial) => fmt::Display::fmt(denial, f),
            Self::Saga(denial) => fmt::Display::fmt(denial, f),
            Self::SessionExists(id) => write!(f, "a session `{id}` exists on this node; choose another name"),
            Self::NoSession(id) => write!(f, "there is no open session `{id}` on this node"),
            Self::NoSaga(id) => write!(f, "the session has no saga `{id}`"),
            Self::SagaUnfinished(id) => write!(f, "saga `{id}` has not ended; finish or cancel it first"),
            Self::OtherSaga(id) => {
                write!(f, "the step is not one of saga `{id}`; ask the saga that added it")
            }
            Self::SagaHeld(id) => {
                write!(f, "saga `{id}` is held by this program; drop what holds it before taking it up again")
            }
            Self::NoFunction(of) => {
                let (saga, step) = &**of;
                write!(f, "step `{step}` of saga `{saga}` has an undo or a probe, and no function is given for its action")
            }
            Self::Retention { contents } => {
                let have = if *contents == 1 { "has" } else { "have" };
                write!(f, "{contents} of the contents {have} to be kept longer, so nothing is purged")
            }
            Self::Anchor(anchor) => write!(f, "anchor {anchor} does not exist, or cannot move there"),
            Self::Purged { at, contents } => {
                let (contents, are) =
                    (Counted(*contents, "content"), if *contents == 1 { "is" } else { "are" });
                write!(
                    f,
                    "this word was used for this purge, which was recorded at {at} and is carried out: {contents} {are} gone"
                )
            }
            Self::NoHold(hold) => write!(f, "there is no hold {hold}"),
            Self::Ident(bad) => fmt::Display::fmt(bad, f),
            Self::NoItem(item) => write!(f, "nothing called {item} waits for a person"),
            Self::NoUndo(item) => write!(f, "{item} has no undo that could be tried; resolve or skip it"),
            Self::ItemBusy { item, until } => {
                write!(f, "an attempt to undo {item} may be going on until {until}")
            }
            Self::UndoWorks(action) => {
                write!(f, "no undo of {action} has failed there, or it is restored already")
            }
            Self::Rehearsal(cannot) => fmt::Display::fmt(cannot, f),
            Self::Path(bad) => fmt::Display::fmt(bad, f),
            Self::Killed { target, at } => write!(f, "{target} was killed at {at}"),
            Self::AlreadyKilled { target, at } => write!(f, "{target} is killed already, since {at}"),
            Self::NotKilled { target } => write!(f, "{target} is not killed"),
            Self::TooManySessions { limit } => {
                let open = Counted(*limit, "session");
                write!(f, "its creator has {open} open, the most it may have; one of them has to end first")
            }
            Self::TooManyKills => {
                write!(
                    f,
                    "{} kills are in force, the most there may be; lift some, or kill all",
                    crate::KILLS_MAX
                )
            }
            Self::Port { port, why } => write!(f, "{port}: {why}"),
            Self::Quarantined(did) => write!(f, "{did} is under quarantine"),
            Self::Charged(did) => {
                write!(f, "{did} is charged, and under quarantine until the charges against it are decided")
            }
            Self::NotConfigured => f.write_str("this node is not configured, so nobody's word counts here"),
            Self::Configured => f.write_str("this node is configured already"),
            Self::Unwitnessed => f.write_str(
                "this node is configured without a witness, and only the word of one could change it; a node with a \
                 witness begins with a new trail",
            ),
            Self::Evidence(rejected) => fmt::Display::fmt(rejected, f),
            Self::Ring(denial) => fmt::Display::fmt(denial, f),
            Self::Elevation { why, short: None } => fmt::Display::fmt(why, f),
            Self::Elevation { why, short: Some(short) } => write!(f, "{why}: {short}"),
            Self::Intent(why) => fmt::Display::fmt(why, f),
            Self::Late(deadline) => write!(f, "the call had to be made until {deadline}"),
            Self::Key(denial) => fmt::Display::fmt(denial, f),
            Self::NoBond { voucher, vouchee } => write!(f, "{voucher} does not vouch for {vouchee} there"),
            Self::Begun(id) => write!(f, "session `{id}` has begun, and this is settled before it does"),
            Self::Defect(illegal) => fmt::Display::fmt(illegal, f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Log(error) => Some(error),
            Self::Illegal(illegal) => Some(illegal),
            Self::Setting(bad) => Some(&**bad),
            _ => None,
        }
    }
}

impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        Self::Denied(Box::new(denied))
    }
}
