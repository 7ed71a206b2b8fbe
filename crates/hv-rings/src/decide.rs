//! The decision about one call, and its reasons.

use crate::evidence::{Basis, Certificate, Evidence, Shown};
use crate::score::{exceeds, threshold};
use core::fmt;
use hv_types::{Call, Ring, Sigma};

/// Whether a call that needs a ring may run in it.
///
/// `sigma` is σ_eff for the action's class, computed now. `cap` is the least privileged of the agent's caps,
/// [`Ring::Root`] where it has none. The certificates in `evidence` must be for exactly this `call`; they are
/// as fresh as the time at which they were checked ([`Evidence::until`]).
///
/// INVARIANT (R1): more σ, more evidence or a weaker cap never turns a yes into a no.
///
/// ```
/// use hv_rings::{ActionId, Call, Did, Digest, Evidence, Ring, SessionId, Timestamp, decide};
///
/// let call = Call {
///     session: SessionId::new("release")?,
///     agent: Did::new("did:mesh:alpha")?,
///     action: ActionId::new("file.write")?,
///     params: Digest::default(),
///     deadline: Timestamp::MAX,
/// };
/// let try_with = |sigma: &str| {
///     decide(Ring::Standard, sigma.parse().unwrap(), Ring::Root, &call, &Evidence::none())
/// };
/// assert_eq!(try_with("0.601"), Ok(Ring::Standard));
/// assert_eq!(
///     try_with("0.60").unwrap_err().to_string(),
///     "Ring 2 (standard) needs σ_eff above 0.60; it is 0.60"
/// );
/// # Ok::<(), hv_types::BadIdent>(())
/// ```
///
/// # Errors
/// The first thing that is missing: [`Denial::Score`], [`Denial::Certificate`], [`Denial::Capped`], in this
/// order.
pub fn decide(need: Ring, sigma: Sigma, cap: Ring, call: &Call, evidence: &Evidence) -> Result<Ring, Denial> {
    basis(need, sigma, cap, Some(Shown { call, evidence })).map(|_| need)
}

/// The most privileged ring in which exactly this call could run, caps aside.
///
/// INVARIANT (R2), (R3): it asks the function that [`decide`] asks, so what is assigned is what is checked:
/// Ring 1 with more than 0.95 and a quorum, Ring 0 with a witness, else what the score earns.
#[must_use]
pub fn ring_with(sigma: Sigma, call: &Call, evidence: &Evidence) -> Ring {
    let open = |need: &Ring| basis(*need, sigma, Ring::Root, Some(Shown { call, evidence })).is_ok();
    Ring::ALL.into_iter().find(open).unwrap_or(Ring::Sandbox)
}

/// What a yes rests on.
#[inline]
pub(crate) fn basis(need: Ring, sigma: Sigma, cap: Ring, shown: Option<Shown<'_>>) -> Result<Basis, Denial> {
    if let Some(above) = threshold(need)
        && !exceeds(sigma, above)
    {
        return Err(Denial::Score { need, sigma, above });
    }
    let certified = match need {
        Ring::Sandbox => Ok(Basis::Open),
        Ring::Standard => Ok(Basis::Score),
        Ring::Privileged => looked_at(shown, Evidence::consent).map_err(|lack| (Certificate::Quorum, lack)),
        Ring::Root => looked_at(shown, Evidence::witnessed).map_err(|lack| (Certificate::Witness, lack)),
    };
    let basis =
        certified.map_err(|(certificate, lack)| Denial::Certificate { need, sigma, certificate, lack })?;
    if cap.permits(need) { Ok(basis) } else { Err(Denial::Capped { need, sigma, cap }) }
}

/// Where nothing is presented, every certificate is missing.
fn looked_at(
    shown: Option<Shown<'_>>,
    look: impl FnOnce(&Evidence, &Call) -> Result<Basis, Lack>,
) -> Result<Basis, Lack> {
    shown.map_or(Err(Lack::Missing), |shown| look(shown.evidence, shown.call))
}

/// Why a call may not run in the ring that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case", tag = "missing"))]
pub enum Denial {
    /// The score does not exceed the ring's threshold.
    Score {
        /// The ring that the call needs.
        need: Ring,
        /// The score that there is.
        sigma: Sigma,
        /// The score to exceed.
        above: Sigma,
    },
    /// The certificate that the ring needs is not there.
    Certificate {
        /// The ring that the call needs.
        need: Ring,
        /// The score that there is.
        sigma: Sigma,
        /// What is missing: a quorum for Ring 1, a witness for Ring 0.
        certificate: Certificate,
        /// In what way it is missing.
        lack: Lack,
    },
    /// The agent's standing is capped below the ring.
    Capped {
        /// The ring that the call needs.
        need: Ring,
        /// The score that there is.
        sigma: Sigma,
        /// The ring to which the agent is capped.
        cap: Ring,
    },
}

hv_types::wire_enum!(Denial {
    0 => Score { need, sigma, above },
    1 => Certificate { need, sigma, certificate, lack },
    2 => Capped { need, sigma, cap },
});

/// In what way a certificate is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Lack {
    /// None was brought.
    Missing,
    /// The one that was brought is for another call.
    OtherCall,
}

hv_types::wire_enum!(Lack { 0 => Missing {}, 1 => OtherCall {} });

impl Denial {
    /// The ring that the call needs.
    #[must_use]
    pub const fn need(&self) -> Ring {
        match *self {
            Self::Score { need, .. } | Self::Certificate { need, .. } | Self::Capped { need, .. } => need,
        }
    }

    /// The score that there was.
    #[must_use]
    pub const fn sigma(&self) -> Sigma {
        match *self {
            Self::Score { sigma, .. } | Self::Certificate { sigma, .. } | Self::Capped { sigma, .. } => sigma,
        }
    }

    /// What would be enough.
    #[must_use]
    pub const fn needs(&self) -> Needs {
        let needs = Needs::of(self.need());
        match self {
            Self::Score { .. } | Self::Certificate { .. } => needs,
            Self::Capped { need, .. } => Needs { uncapped: Some(*need), ..needs },
        }
    }
}

impl Denial {
    /// The reason alone, as one word: what refusals are counted by.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Score { .. } => "score",
            Self::Certificate { .. } => "certificate",
            Self::Capped { .. } => "capped",
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Score { need, sigma, above } => {
                write!(f, "{need} needs σ_eff above {above}; it is {sigma}")
            }
            Self::Certificate { need, certificate, lack: Lack::Missing, .. } => {
                write!(f, "{need} needs {certificate} for exactly this call; there is none")
            }
            Self::Certificate { need, certificate, lack: Lack::OtherCall, .. } => {
                write!(f, "{need} needs {certificate} for exactly this call; the one brought is for another")
            }
            Self::Capped { need, cap, .. } => {
                write!(f, "the call needs {need}; the agent is capped at {cap}")
            }
        }
    }
}

impl core::error::Error for Denial {}

/// All that a ring asks for, as data: what would be enough.
///
/// ```
/// use hv_rings::{Certificate, Needs, PRIVILEGED_ABOVE, Ring};
///
/// let needs = Needs::of(Ring::Privileged);
/// assert_eq!((needs.above, needs.certificate), (Some(PRIVILEGED_ABOVE), Some(Certificate::Quorum)));
/// assert_eq!(Needs::of(Ring::Sandbox).to_string(), "nothing");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Needs {
    /// The score to exceed, if any.
    pub above: Option<Sigma>,
    /// The certificate to bring for exactly this call, if any.
    pub certificate: Option<Certificate>,
    /// The ring that the agent's caps must leave it, where one stands in the way.
    pub uncapped: Option<Ring>,
}

impl Needs {
    /// What a ring asks for.
    #[must_use]
    pub const fn of(ring: Ring) -> Self {
        let certificate = match ring {
            Ring::Root => Some(Certificate::Witness),
            Ring::Privileged => Some(Certificate::Quorum),
            Ring::Standard | Ring::Sandbox => None,
        };
        Self { above: threshold(ring), certificate, uncapped: None }
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { above, certificate, uncapped } = self;
        let mut separator = "";
        if let Some(above) = above {
            write!(f, "σ_eff above {above}")?;
            separator = " and ";
        }
        if let Some(certificate) = certificate {
            write!(f, "{separator}{certificate} for exactly this call")?;
            separator = " and ";
        }
        if let Some(ring) = uncapped {
            write!(f, "{separator}no cap below {ring}")?;
            separator = " and ";
        }
        if separator.is_empty() { f.write_str("nothing") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{call, quorum, sigma, witnessed};
    use hv_types::Wire;
    use std::string::ToString;

    /// What there may be of evidence: none, a quorum, a witness, both; each for this call or for another.
    fn evidence(call: &Call, quorums: bool, witnesses: bool) -> Evidence {
        let none = Evidence::none();
        let evidence = if quorums { none.with_quorum(quorum(call)) } else { none };
        if witnesses { evidence.with_witness(witnessed(call)) } else { evidence }
    }

    fn other() -> Call {
        Call { agent: crate::tests::did("other"), ..call() }
    }

    /// R2 and R3 at the boundaries: the whole table of what is allowed without a cap.
    #[test]
    fn r3_the_table_of_scores_and_certificates() {
        let call = call();
        for (ppm, quorums, witnesses, allowed, ring) in [
            (0, false, false, [false, false, false, true], 3),
            (600_000, false, false, [false, false, false, true], 3),
            (600_001, false, false, [false, false, true, true], 2),
            (950_001, false, false, [false, false, true, true], 2),
            (1_000_000, false, false, [false, false, true, true], 2),
            (600_000, true, false, [false, false, false, true], 3),
            (949_999, true, false, [false, false, true, true], 2),
            (950_000, true, false, [false, false, true, true], 2),
            (950_001, true, false, [false, true, true, true], 1),
            (1_000_000, true, false, [false, true, true, true], 1),
            (0, false, true, [true, false, false, true], 0),
            (600_000, false, true, [true, false, false, true], 0),
            (600_001, false, true, [true, false, true, true], 0),
            (950_001, false, true, [true, false, true, true], 0),
            (950_001, true, true, [true, true, true, true], 0),
        ] {
            let (sigma, evidence) = (sigma(ppm), evidence(&call, quorums, witnesses));
            for (need, allowed) in Ring::ALL.into_iter().zip(allowed) {
                let decision = decide(need, sigma, Ring::Root, &call, &evidence);
                assert_eq!(decision.is_ok(), allowed, "{need} {sigma} {quorums} {witnesses}");
                assert!(decision.is_err() || decision == Ok(need));
            }
            assert_eq!(ring_with(sigma, &call, &evidence).number(), ring, "{sigma} {quorums} {witnesses}");
        }
    }

    #[test]
    fn every_denial_is_counted_by_its_own_name() {
        let (none, call) = (Evidence::none(), call());
        let name = |need, ppm, cap| decide(need, sigma(ppm), cap, &call, &none).unwrap_err().name();
        assert_eq!(name(Ring::Standard, 600_000, Ring::Root), "score");
        assert_eq!(name(Ring::Privileged, 1_000_000, Ring::Root), "certificate");
        assert_eq!(name(Ring::Standard, 1_000_000, Ring::Sandbox), "capped");
    }

    #[test]
    fn a_certificate_for_another_call_opens_nothing() {
        let evidence = evidence(&other(), true, true);
        for (need, certificate) in
            [(Ring::Privileged, Certificate::Quorum), (Ring::Root, Certificate::Witness)]
        {
            let denial = decide(need, Sigma::ONE, Ring::Root, &call(), &evidence);
            let lack = Lack::OtherCall;
            assert_eq!(denial, Err(Denial::Certificate { need, sigma: Sigma::ONE, certificate, lack }));
        }
        assert_eq!(ring_with(Sigma::ONE, &call(), &evidence), Ring::Standard);
    }

    #[test]
    fn a_cap_holds_whatever_is_brought() {
        let call = call();
        let evidence = evidence(&call, true, true);
        for cap in Ring::ALL {
            for need in Ring::ALL {
                let decision = decide(need, Sigma::ONE, cap, &call, &evidence);
                let denial = Denial::Capped { need, sigma: Sigma::ONE, cap };
                assert_eq!(decision, if cap <= need { Ok(need) } else { Err(denial) });
            }
        }
    }

    #[test]
    fn the_first_thing_that_is_missing_is_told() {
        let call = call();
        let decide = |need, sigma| decide(need, sigma, Ring::Sandbox, &call, &Evidence::none()).unwrap_err();
        for (denial, text, needs) in [
            (
                decide(Ring::Standard, sigma(600_000)),
                "Ring 2 (standard) needs σ_eff above 0.60; it is 0.60",
                "σ_eff above 0.60",
            ),
            (
                decide(Ring::Privileged, sigma(950_000)),
                "Ring 1 (privileged) needs σ_eff above 0.95; it is 0.95",
                "σ_eff above 0.95 and a quorum for exactly this call",
            ),
            (
                decide(Ring::Privileged, sigma(950_001)),
                "Ring 1 (privileged) needs a quorum for exactly this call; there is none",
                "σ_eff above 0.95 and a quorum for exactly this call",
            ),
            (
                decide(Ring::Root, Sigma::ONE),
                "Ring 0 (root) needs a witness for exactly this call; there is none",
                "a witness for exactly this call",
            ),
            (
                decide(Ring::Standard, Sigma::ONE),
                "the call needs Ring 2 (standard); the agent is capped at Ring 3 (sandbox)",
                "σ_eff above 0.60 and no cap below Ring 2 (standard)",
            ),
        ] {
            assert_eq!((denial.to_string().as_str(), denial.needs().to_string().as_str()), (text, needs));
        }
        let foreign =
            super::decide(Ring::Root, Sigma::ONE, Ring::Root, &call, &evidence(&other(), true, true));
        assert_eq!(
            foreign.unwrap_err().to_string(),
            "Ring 0 (root) needs a witness for exactly this call; the one brought is for another"
        );
    }

    #[test]
    fn a_denial_knows_its_ring_and_score() {
        let (need, sigma) = (Ring::Privileged, sigma(700_000));
        let (certificate, lack) = (Certificate::Quorum, Lack::Missing);
        for denial in [
            Denial::Score { need, sigma, above: Sigma::ONE },
            Denial::Certificate { need, sigma, certificate, lack },
            Denial::Capped { need, sigma, cap: Ring::Sandbox },
        ] {
            assert_eq!((denial.need(), denial.sigma()), (need, sigma));
        }
    }

    #[test]
    fn golden_bytes() {
        let (need, sigma) = (Ring::Privileged, sigma(300));
        let quorum = |lack| Denial::Certificate { need, sigma, certificate: Certificate::Quorum, lack };
        let witness =
            Denial::Certificate { need, sigma, certificate: Certificate::Witness, lack: Lack::Missing };
        for (denial, bytes) in [
            (Denial::Score { need, sigma, above: sigma }, &[0u8, 1, 0xac, 2, 0xac, 2][..]),
            (quorum(Lack::Missing), &[1, 1, 0xac, 2, 0, 0]),
            (quorum(Lack::OtherCall), &[1, 1, 0xac, 2, 0, 1]),
            (witness, &[1, 1, 0xac, 2, 1, 0]),
            (Denial::Capped { need, sigma, cap: Ring::Sandbox }, &[2, 1, 0xac, 2, 3]),
        ] {
            assert_eq!(denial.to_bytes(), bytes);
            assert_eq!(Denial::from_bytes(bytes), Ok(denial));
        }
    }
}
