//! Consent in advance: Ring 1 for named actions and a short time.
//!
//! An elevation stands in for the quorum of each call, and for nothing else: the score is asked at every call,
//! caps hold, and Ring 0 cannot even be asked for.

use crate::decide::{Denial, basis};
use crate::evidence::{Evidence, Shown};
use core::fmt;
use hv_types::{Call, Digest, Ring, Sigma, Timestamp, Wire};

mod request;

pub use request::{BadRequest, ELEVATE, LASTS, LASTS_AT_MOST, MAX_ACTIONS, MAX_REASON_BYTES, Request};

/// What a request for an elevation is decided on.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// The call on which the others voted: [`ELEVATE`] with the request's digest.
    pub call: &'a Call,
    /// The digest that calls use for their parameters.
    pub digest: fn(&[u8]) -> Digest,
    /// σ_eff of who asks, for what cannot be undone, now.
    pub sigma: Sigma,
    /// The least privileged of its caps.
    pub cap: Ring,
    /// The certificates that it brings.
    pub evidence: &'a Evidence,
    /// The elevation that it had last in this session, if any.
    pub last: Option<&'a Elevation>,
    /// The present.
    pub now: Timestamp,
}

/// An elevation that was granted. [`grant`] makes one, and so does decoding a record of one that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elevation {
    request: Request,
    since: Timestamp,
}

hv_types::wire_struct!(Elevation { request, since });

/// Why an elevation is not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case", tag = "rule"))]
pub enum NotElevated {
    /// The call on which the others voted is not this request.
    OtherCall,
    /// The agent has one already.
    OneAtATime {
        /// The last point in time at which that one holds.
        until: Timestamp,
    },
    /// The agent could not do what needs Ring 1 even with consent, or has no consent.
    Denied {
        /// What is missing.
        denial: Denial,
    },
    /// The consent was given for a time that is over.
    Stale {
        /// The last point in time at which it counted.
        until: Timestamp,
    },
    /// The call is late.
    Late {
        /// The last point in time at which it might have been granted.
        deadline: Timestamp,
    },
}

hv_types::wire_enum!(NotElevated {
    0 => OtherCall {},
    1 => OneAtATime { until },
    2 => Denied { denial },
    3 => Stale { until },
    4 => Late { deadline },
});

impl fmt::Display for NotElevated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherCall => write!(f, "the call is not this request: it needs `{ELEVATE}` and its digest"),
            Self::OneAtATime { until } => {
                write!(f, "the agent has an elevation until {until}; one at a time")
            }
            Self::Denied { denial } => write!(f, "{denial}; needed: {}", denial.needs()),
            Self::Stale { until } => write!(f, "the consent counted until {until}; ask for it again"),
            Self::Late { deadline } => write!(f, "the call had to start by {deadline}; make a new one"),
        }
    }
}

impl core::error::Error for NotElevated {}

/// Grants a request: for the call on which the others voted, with the score and under the caps that Ring 1
/// asks for anyway.
///
/// # Errors
/// [`NotElevated`] with the first rule that says no.
pub fn grant(request: Request, asking: &Asking<'_>) -> Result<Elevation, NotElevated> {
    let Asking { call, digest, sigma, cap, evidence, last, now } = *asking;
    let same = call.session == *request.session()
        && call.agent == *request.agent()
        && call.action.as_str() == ELEVATE
        && call.params == digest(&request.to_bytes());
    if !same {
        return Err(NotElevated::OtherCall);
    }
    if call.deadline < now {
        return Err(NotElevated::Late { deadline: call.deadline });
    }
    if let Some(until) = last.map(Elevation::until).filter(|until| now <= *until) {
        return Err(NotElevated::OneAtATime { until });
    }
    // No elevation names `ELEVATE`, so consent to this call can only be a quorum's.
    let basis = basis(Ring::Privileged, sigma, cap, Some(Shown { call, evidence }))
        .map_err(|denial| NotElevated::Denied { denial })?;
    let until = evidence.until(basis);
    if until < now { Err(NotElevated::Stale { until }) } else { Ok(Elevation { request, since: now }) }
}

/// An elevation, for one call that it covers. Only [`Elevation::covers`] makes one.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "an elevation that nobody presents opens nothing"]
pub struct Elevated {
    call: Call,
    until: Timestamp,
}

impl Elevated {
    /// The call that is covered.
    #[must_use]
    pub const fn call(&self) -> &Call {
        &self.call
    }

    /// The last point in time at which the call may start on it.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.until.min(self.call.deadline)
    }
}

/// Why an elevation does not cover a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCovered {
    /// It holds in another session.
    OtherSession,
    /// It is another agent's.
    OtherAgent,
    /// It does not name the action.
    NotNamed,
    /// It does not hold yet.
    NotYet {
        /// The first point in time at which it holds.
        since: Timestamp,
    },
    /// It holds no longer.
    Over {
        /// The last point in time at which it held.
        until: Timestamp,
    },
}

impl fmt::Display for NotCovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherSession => f.write_str("the elevation holds in another session"),
            Self::OtherAgent => f.write_str("the elevation is another agent's"),
            Self::NotNamed => f.write_str("the elevation does not name this action"),
            Self::NotYet { since } => write!(f, "the elevation holds from {since}"),
            Self::Over { until } => write!(f, "the elevation held until {until}"),
        }
    }
}

impl core::error::Error for NotCovered {}

impl Elevation {
    /// What was asked for and granted.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// The first point in time at which it holds.
    #[must_use]
    pub const fn since(&self) -> Timestamp {
        self.since
    }

    /// The last point in time at which it holds.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.since.after(self.request.lasts())
    }

    /// Presents it for one call.
    ///
    /// # Errors
    /// [`NotCovered`] with the first thing that does not fit.
    pub fn covers(&self, call: &Call, now: Timestamp) -> Result<Elevated, NotCovered> {
        let (since, until) = (self.since, self.until());
        if call.session != *self.request.session() {
            return Err(NotCovered::OtherSession);
        }
        if call.agent != *self.request.agent() {
            return Err(NotCovered::OtherAgent);
        }
        if self.request.actions().binary_search(&call.action).is_err() {
            return Err(NotCovered::NotNamed);
        }
        if now < since {
            return Err(NotCovered::NotYet { since });
        }
        if until < now { Err(NotCovered::Over { until }) } else { Ok(Elevated { call: call.clone(), until }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{NOW, call, did, quorum, sigma, statement, witnessed};
    use hv_types::{ActionId, NotAFraction, SessionId};

    fn action(name: &str) -> ActionId {
        ActionId::new(name).unwrap()
    }

    fn request() -> Request {
        let call = call();
        Request::new(call.session, call.agent, [action("b"), action("a"), action("b")], " ship ", LASTS)
            .unwrap()
    }

    /// Not a good digest, but one that tells these requests apart.
    fn digest(bytes: &[u8]) -> Digest {
        let mut sum = [0u8; 32];
        bytes.iter().enumerate().for_each(|(i, byte)| {
            let at = &mut sum[i % 32];
            *at = at.rotate_left(3) ^ byte;
        });
        Digest(sum)
    }

    fn asking_call() -> Call {
        Call { action: action(ELEVATE), params: digest(&request().to_bytes()), ..call() }
    }

    fn asking<'a>(call: &'a Call, evidence: &'a Evidence) -> Asking<'a> {
        let cap = Ring::Root;
        Asking { call, digest, sigma: sigma(950_001), cap, evidence, last: None, now: NOW }
    }

    #[test]
    fn granted_by_a_quorum_on_exactly_this_request() {
        let call = asking_call();
        let evidence = Evidence::none().with_quorum(quorum(&call));
        let elevation = grant(request(), &asking(&call, &evidence)).unwrap();
        assert_eq!(elevation.request(), &request());
        assert_eq!(elevation.since(), NOW);
        assert_eq!(elevation.until(), NOW.after(LASTS));
        assert_eq!(Elevation::from_bytes(&elevation.to_bytes()), Ok(elevation));
        for other in [
            Call { session: SessionId::new("t").unwrap(), ..call.clone() },
            Call { agent: did("other"), ..call.clone() },
            Call { action: action("act"), ..call.clone() },
            Call { params: Digest([0; 32]), ..call.clone() },
        ] {
            let evidence = Evidence::none().with_quorum(quorum(&other));
            assert_eq!(grant(request(), &asking(&other, &evidence)), Err(NotElevated::OtherCall));
        }
    }

    #[test]
    fn never_above_what_score_cap_and_certificate_earn() {
        let call = asking_call();
        let quorum = Evidence::none().with_quorum(quorum(&call));
        let denied = |asking: Asking<'_>| match grant(request(), &asking) {
            Err(NotElevated::Denied { denial }) => denial,
            other => panic!("{other:?}"),
        };
        let low = denied(Asking { sigma: sigma(950_000), ..asking(&call, &quorum) });
        assert!(matches!(low, Denial::Score { need: Ring::Privileged, .. }));
        let capped = denied(Asking { cap: Ring::Standard, ..asking(&call, &quorum) });
        assert!(matches!(capped, Denial::Capped { need: Ring::Privileged, cap: Ring::Standard, .. }));
        for evidence in [Evidence::none(), Evidence::none().with_witness(witnessed(&call))] {
            let bare = denied(asking(&call, &evidence));
            assert!(matches!(bare, Denial::Certificate { need: Ring::Privileged, .. }));
        }
        assert!(grant(request(), &Asking { cap: Ring::Privileged, ..asking(&call, &quorum) }).is_ok());
    }

    #[test]
    fn deadlines_to_the_nanosecond() {
        let call = asking_call();
        let evidence = Evidence::none().with_quorum(quorum(&call));
        let at = |now| grant(request(), &Asking { now, ..asking(&call, &evidence) });
        let (consent, deadline) = (statement(&did("voter"), &call).deadline, call.deadline);
        assert!(at(consent).is_ok());
        assert_eq!(at(Timestamp(consent.0 + 1)), Err(NotElevated::Stale { until: consent }));
        assert_eq!(at(deadline), Err(NotElevated::Stale { until: consent }));
        assert_eq!(at(Timestamp(deadline.0 + 1)), Err(NotElevated::Late { deadline }));
    }

    #[test]
    fn one_at_a_time_until_it_is_over() {
        let call = asking_call();
        let evidence = Evidence::none().with_quorum(quorum(&call));
        let last = |until: u64| Elevation {
            request: request(),
            since: Timestamp(until - u64::try_from(LASTS.as_nanos()).unwrap()),
        };
        let base = 400_000_000_000;
        let (call, evidence) = (Call { deadline: Timestamp::MAX, ..call }, evidence);
        let again = |now: u64| {
            let last = last(base);
            grant(request(), &Asking { last: Some(&last), now: Timestamp(now), ..asking(&call, &evidence) })
        };
        assert_eq!(again(base), Err(NotElevated::OneAtATime { until: Timestamp(base) }));
        assert!(!matches!(again(base + 1), Err(NotElevated::OneAtATime { .. })));
    }

    #[test]
    fn an_elevation_opens_what_it_names_while_it_lasts() -> Result<(), NotAFraction> {
        let elevation = Elevation { request: request(), since: NOW };
        let until = elevation.until();
        let named = Call { action: action("a"), deadline: Timestamp::MAX, ..call() };
        let evidence = |now| elevation.covers(&named, now).map(|e| Evidence::none().with_elevated(e));
        assert_eq!(evidence(Timestamp(NOW.0 - 1)).unwrap_err(), NotCovered::NotYet { since: NOW });
        assert_eq!(evidence(Timestamp(until.0 + 1)).unwrap_err(), NotCovered::Over { until });
        for now in [NOW, until] {
            let evidence = evidence(now).unwrap();
            let decide = |need, sigma| crate::decide(need, sigma, Ring::Root, &named, &evidence);
            assert_eq!(decide(Ring::Privileged, "0.950001".parse()?), Ok(Ring::Privileged));
            assert!(decide(Ring::Privileged, "0.95".parse()?).is_err());
            assert!(decide(Ring::Root, Sigma::ONE).is_err(), "never Ring 0");
            assert_eq!(evidence.elevated().map(Elevated::until), Some(until));
        }
        for (call, why) in [
            (Call { session: SessionId::new("t").unwrap(), ..named.clone() }, NotCovered::OtherSession),
            (Call { agent: did("other"), ..named.clone() }, NotCovered::OtherAgent),
            (Call { action: action("c"), ..named.clone() }, NotCovered::NotNamed),
            (Call { action: action(ELEVATE), ..named.clone() }, NotCovered::NotNamed),
        ] {
            assert_eq!(elevation.covers(&call, NOW), Err(why));
        }
        let short = Call { deadline: Timestamp(NOW.0 + 5), ..named.clone() };
        assert_eq!(elevation.covers(&short, NOW).unwrap().until(), short.deadline);
        Ok(())
    }

    #[test]
    fn words_and_bytes() {
        use std::string::ToString;
        let (until, since, deadline) = (Timestamp(0), Timestamp(0), Timestamp(0));
        let denial = Denial::Capped { need: Ring::Privileged, sigma: sigma(1), cap: Ring::Standard };
        for (no, words, bytes) in [
            (
                NotElevated::OtherCall,
                "the call is not this request: it needs `hv.elevate` and its digest",
                &[0][..],
            ),
            (
                NotElevated::OneAtATime { until },
                "the agent has an elevation until 1970-01-01T00:00:00.000Z; one at a time",
                &[1, 0, 0, 0, 0, 0, 0, 0, 0],
            ),
            (
                NotElevated::Denied { denial },
                "the call needs Ring 1 (privileged); the agent is capped at Ring 2 (standard); needed: σ_eff \
                 above 0.95 and a quorum for exactly this call and no cap below Ring 1 (privileged)",
                &[2, 2, 1, 1, 2],
            ),
            (
                NotElevated::Stale { until },
                "the consent counted until 1970-01-01T00:00:00.000Z; ask for it again",
                &[3, 0, 0, 0, 0, 0, 0, 0, 0],
            ),
            (
                NotElevated::Late { deadline },
                "the call had to start by 1970-01-01T00:00:00.000Z; make a new one",
                &[4, 0, 0, 0, 0, 0, 0, 0, 0],
            ),
        ] {
            assert_eq!(no.to_string(), words);
            assert_eq!(no.to_bytes(), bytes);
            assert_eq!(NotElevated::from_bytes(bytes), Ok(no));
        }
        for (no, words) in [
            (NotCovered::OtherSession, "the elevation holds in another session"),
            (NotCovered::OtherAgent, "the elevation is another agent's"),
            (NotCovered::NotNamed, "the elevation does not name this action"),
            (NotCovered::NotYet { since }, "the elevation holds from 1970-01-01T00:00:00.000Z"),
            (NotCovered::Over { until }, "the elevation held until 1970-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(no.to_string(), words);
        }
    }
}
