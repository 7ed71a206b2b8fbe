//! What an agent asks for when it asks for an elevation.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use hv_types::wire::Reader;
use hv_types::{ActionId, Did, SessionId, Undecodable, Wire};

/// How long an elevation lasts where nothing else is asked for.
pub const LASTS: Duration = Duration::from_secs(300);

/// How long an elevation may last.
pub const LASTS_AT_MOST: Duration = Duration::from_secs(3600);

/// How many actions an elevation may name.
pub const MAX_ACTIONS: usize = 64;

/// How long its reason may be.
pub const MAX_REASON_BYTES: usize = 1024;

/// The action that asks for an elevation: the call on which the others vote has this name, and the digest of
/// the request's encoding for its parameters.
pub const ELEVATE: &str = "hv.elevate";

/// What an agent asks for.
///
/// ```
/// use hv_rings::elevation::{BadRequest, LASTS, Request};
/// use hv_rings::{ActionId, Did, SessionId};
///
/// let (session, agent) = (SessionId::new("release")?, Did::new("did:mesh:alpha")?);
/// let push = ActionId::new("git.push")?;
/// assert!(Request::new(session.clone(), agent.clone(), [push.clone()], "ship 1.2", LASTS).is_ok());
/// assert_eq!(Request::new(session, agent, [push], " ", LASTS), Err(BadRequest::NoReason));
/// # Ok::<(), hv_types::BadIdent>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    session: SessionId,
    agent: Did,
    actions: Vec<ActionId>,
    reason: String,
    lasts: Duration,
}

/// Why a request says nothing that could be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRequest {
    /// It names no action.
    NoActions,
    /// It names more actions than [`MAX_ACTIONS`].
    TooManyActions {
        /// How many.
        count: usize,
    },
    /// It names [`ELEVATE`], and so would prolong itself.
    NamesItself,
    /// It gives no reason.
    NoReason,
    /// Its reason is longer than [`MAX_REASON_BYTES`].
    ReasonTooLong {
        /// How long.
        bytes: usize,
    },
    /// It lasts no time.
    NoTime,
    /// It lasts longer than [`LASTS_AT_MOST`].
    TooLong {
        /// How long.
        lasts: Duration,
    },
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoActions => {
                f.write_str("an elevation names the actions that it is for; this one names none")
            }
            Self::TooManyActions { count } => {
                write!(f, "an elevation names at most {MAX_ACTIONS} actions; this one names {count}")
            }
            Self::NamesItself => write!(f, "an elevation cannot name `{ELEVATE}` and so prolong itself"),
            Self::NoReason => f.write_str("an elevation needs a reason; this one gives none"),
            Self::ReasonTooLong { bytes } => {
                write!(f, "the reason may have at most {MAX_REASON_BYTES} bytes; this one has {bytes}")
            }
            Self::NoTime => f.write_str("an elevation lasts some time; this one lasts none"),
            Self::TooLong { lasts } => {
                let most = LASTS_AT_MOST.as_secs();
                write!(f, "an elevation lasts at most {most} s; this one would last {lasts:?}")
            }
        }
    }
}

impl core::error::Error for BadRequest {}

impl Request {
    /// Asks for Ring 1 for these actions.
    ///
    /// # Errors
    /// [`BadRequest`] with the first thing that is wrong.
    pub fn new(
        session: SessionId,
        agent: Did,
        actions: impl IntoIterator<Item = ActionId>,
        reason: &str,
        lasts: Duration,
    ) -> Result<Self, BadRequest> {
        let mut actions: Vec<ActionId> = actions.into_iter().collect();
        actions.sort_unstable();
        actions.dedup();
        let reason = reason.trim();
        if actions.is_empty() {
            return Err(BadRequest::NoActions);
        }
        if actions.len() > MAX_ACTIONS {
            return Err(BadRequest::TooManyActions { count: actions.len() });
        }
        if actions.iter().any(|action| action.as_str() == ELEVATE) {
            return Err(BadRequest::NamesItself);
        }
        if reason.is_empty() {
            return Err(BadRequest::NoReason);
        }
        if reason.len() > MAX_REASON_BYTES {
            return Err(BadRequest::ReasonTooLong { bytes: reason.len() });
        }
        if lasts.is_zero() {
            return Err(BadRequest::NoTime);
        }
        if lasts > LASTS_AT_MOST {
            return Err(BadRequest::TooLong { lasts });
        }
        Ok(Self { session, agent, actions, reason: String::from(reason), lasts })
    }

    /// The session in which it would hold.
    #[must_use]
    pub const fn session(&self) -> &SessionId {
        &self.session
    }

    /// Who asks.
    #[must_use]
    pub const fn agent(&self) -> &Did {
        &self.agent
    }

    /// For which actions, each once, in order.
    #[must_use]
    pub fn actions(&self) -> &[ActionId] {
        &self.actions
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// For how long.
    #[must_use]
    pub const fn lasts(&self) -> Duration {
        self.lasts
    }
}

/// INVARIANT (A4): actions are encoded in order and once, so a request has one encoding.
impl Wire for Request {
    fn put(&self, out: &mut Vec<u8>) {
        self.session.put(out);
        self.agent.put(out);
        self.actions.put(out);
        self.reason.put(out);
        self.lasts.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let (session, agent) = (SessionId::take(reader)?, Did::take(reader)?);
        let (actions, reason) = (Vec::<ActionId>::take(reader)?, String::take(reader)?);
        let lasts = Duration::take(reader)?;
        let request = Self::new(session, agent, actions.iter().cloned(), &reason, lasts);
        let request = request.ok().filter(|r| r.actions == actions && r.reason == reason);
        request.ok_or_else(|| reader.invalid("Request"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{call, did};
    use std::{format, vec};

    fn action(name: &str) -> ActionId {
        ActionId::new(name).unwrap()
    }

    fn request() -> Request {
        let call = call();
        Request::new(call.session, call.agent, [action("b"), action("a"), action("b")], " ship ", LASTS)
            .unwrap()
    }

    #[test]
    fn a_request_at_its_boundaries() {
        let with = |actions: usize, reason: &str, lasts| {
            let call = call();
            let actions = (0..actions).map(|i| action(&format!("a{i}")));
            Request::new(call.session, call.agent, actions, reason, lasts)
        };
        let (hour, tick) = (LASTS_AT_MOST, Duration::from_nanos(1));
        let longest = "x".repeat(MAX_REASON_BYTES);
        assert!(with(1, "x", tick).is_ok());
        assert!(with(MAX_ACTIONS, &longest, hour).is_ok());
        for (request, why) in [
            (with(0, "x", LASTS), BadRequest::NoActions),
            (with(MAX_ACTIONS + 1, "x", LASTS), BadRequest::TooManyActions { count: 65 }),
            (with(1, "", LASTS), BadRequest::NoReason),
            (with(1, " \n", LASTS), BadRequest::NoReason),
            (with(1, &format!("{longest}x"), LASTS), BadRequest::ReasonTooLong { bytes: 1025 }),
            (with(1, "x", Duration::ZERO), BadRequest::NoTime),
            (with(1, "x", hour + tick), BadRequest::TooLong { lasts: hour + tick }),
        ] {
            assert_eq!(request, Err(why));
        }
        let itself = Request::new(call().session, did("actor"), [action("a"), action(ELEVATE)], "x", LASTS);
        assert_eq!(itself, Err(BadRequest::NamesItself));
        assert_eq!((LASTS.as_secs(), hour.as_secs(), MAX_ACTIONS, MAX_REASON_BYTES), (300, 3600, 64, 1024));
    }

    #[test]
    fn a_request_has_one_encoding() {
        let request = request();
        assert_eq!(request.actions(), [action("a"), action("b")]);
        assert_eq!((request.reason(), request.lasts(), request.agent()), ("ship", LASTS, &did("actor")));
        assert_eq!(request.session(), &call().session);
        let bytes = request.to_bytes();
        assert_eq!(
            bytes,
            [b"\x01s\x0edid:mesh:actor\x02\x01a\x01b\x04ship".as_slice(), &[0xac, 0x02, 0]].concat()
        );
        assert_eq!(Request::from_bytes(&bytes), Ok(request));
        let encode = |actions: &[&str], reason: &str, lasts: Duration| {
            let mut out = vec![];
            call().session.put(&mut out);
            did("actor").put(&mut out);
            actions.iter().map(|a| action(a)).collect::<Vec<_>>().put(&mut out);
            String::from(reason).put(&mut out);
            lasts.put(&mut out);
            out
        };
        assert!(Request::from_bytes(&encode(&["a", "b"], "ship", LASTS)).is_ok());
        for bad in [
            encode(&["b", "a"], "ship", LASTS),
            encode(&["a", "a"], "ship", LASTS),
            encode(&["a", "b"], " ship", LASTS),
            encode(&[], "ship", LASTS),
            encode(&["a"], "ship", LASTS_AT_MOST + LASTS),
        ] {
            assert!(Request::from_bytes(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn words() {
        for (bad, words) in [
            (BadRequest::NoActions, "an elevation names the actions that it is for; this one names none"),
            (
                BadRequest::TooManyActions { count: 65 },
                "an elevation names at most 64 actions; this one names 65",
            ),
            (BadRequest::NamesItself, "an elevation cannot name `hv.elevate` and so prolong itself"),
            (BadRequest::NoReason, "an elevation needs a reason; this one gives none"),
            (
                BadRequest::ReasonTooLong { bytes: 1025 },
                "the reason may have at most 1024 bytes; this one has 1025",
            ),
            (BadRequest::NoTime, "an elevation lasts some time; this one lasts none"),
            (
                BadRequest::TooLong { lasts: Duration::from_secs(3601) },
                "an elevation lasts at most 3600 s; this one would last 3601s",
            ),
        ] {
            assert_eq!(format!("{bad}"), words);
        }
    }
}
