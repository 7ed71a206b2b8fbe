//! `hv ring`: which ring a score earns, or whether it suffices for an action.

use crate::args::RingArgs;
use hv_rings::{Certificate, Needs, earned, exceeds, required_of, threshold};
use hv_types::{ActionKind, Reversibility, Ring, Sigma};
use serde::{Serialize, Serializer};
use std::fmt;

/// The answer of `hv ring`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// Without an action: the ring that the score earns alone. With one: the ring that the action needs.
    pub ring: Ring,
    /// The score that was asked about.
    pub sigma: Sigma,
    /// Whether the score alone suffices; always true without an action.
    pub sufficient: bool,
    /// Why, in one sentence.
    #[serde(serialize_with = "as_text")]
    pub reason: Reason,
    /// With an action: all that its ring asks for, `null` where the score suffices. Without: what the next more
    /// privileged ring would ask for.
    pub needs: Option<Needs>,
}

/// Why the answer is as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The score earns a ring that asks for a score.
    Earned {
        /// The score.
        sigma: Sigma,
        /// The score that it exceeds.
        above: Sigma,
        /// The ring.
        ring: Ring,
    },
    /// The score earns no more than the ring that is open to everybody.
    NothingEarned {
        /// The score.
        sigma: Sigma,
        /// The score that it would have to exceed.
        above: Sigma,
        /// The ring that is open.
        ring: Ring,
    },
    /// The action needs a ring that asks for nothing.
    Open {
        /// The ring.
        ring: Ring,
    },
    /// The action's ring asks for a higher score.
    ScoreTooLow {
        /// The ring.
        ring: Ring,
        /// The score.
        sigma: Sigma,
        /// The score that it would have to exceed.
        above: Sigma,
    },
    /// The action's ring asks for a certificate, whatever the score.
    CertificateMissing {
        /// The ring.
        ring: Ring,
        /// What it asks for.
        certificate: Certificate,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earned { sigma, above, ring } => {
                write!(f, "σ {sigma} is above {above}, which earns {ring}")
            }
            Self::NothingEarned { sigma, above, ring } => {
                write!(f, "σ {sigma} is not above {above}, which leaves {ring}")
            }
            Self::Open { ring } => write!(f, "the action needs {ring}, which is open to everybody"),
            Self::ScoreTooLow { ring, sigma, above } => {
                write!(f, "the action needs {ring}, and σ {sigma} is not above {above}")
            }
            Self::CertificateMissing { ring, certificate } => {
                write!(f, "the action needs {ring}, which no score opens without {certificate}")
            }
        }
    }
}

/// Answers for a score alone, or for a score and a kind of action.
#[must_use]
pub fn answer(sigma: Sigma, action: Option<(ActionKind, Reversibility)>) -> Answer {
    let Some((kind, reversibility)) = action else { return alone(sigma) };
    let ring = required_of(kind, reversibility);
    let needs = Needs::of(ring);
    let reason = match (threshold(ring), needs.certificate) {
        (Some(above), _) if !exceeds(sigma, above) => Reason::ScoreTooLow { ring, sigma, above },
        (_, Some(certificate)) => Reason::CertificateMissing { ring, certificate },
        (Some(above), None) => Reason::Earned { sigma, above, ring },
        (None, None) => Reason::Open { ring },
    };
    let sufficient = matches!(reason, Reason::Earned { .. } | Reason::Open { .. });
    Answer { ring, sigma, sufficient, reason, needs: (!sufficient).then_some(needs) }
}

fn alone(sigma: Sigma) -> Answer {
    let ring = earned(sigma);
    // The next ring up; Ring 0 is not on the way, because no score leads there.
    let next = if ring == Ring::Sandbox { Ring::Standard } else { Ring::Privileged };
    let reason = match (threshold(ring), threshold(next)) {
        (Some(above), _) => Reason::Earned { sigma, above, ring },
        (None, Some(above)) => Reason::NothingEarned { sigma, above, ring },
        (None, None) => Reason::Open { ring },
    };
    Answer { ring, sigma, sufficient: true, reason, needs: Some(Needs::of(next)) }
}

impl RingArgs {
    /// The action that the flags describe, if any.
    #[must_use]
    pub fn action(&self) -> Option<(ActionKind, Reversibility)> {
        let kind = match (self.admin, self.read_only) {
            (true, _) => ActionKind::Admin,
            (false, true) => ActionKind::ReadOnly,
            (false, false) => ActionKind::Effect,
        };
        let reversibility = self.reversibility.map(Reversibility::from);
        (reversibility.is_some() || kind != ActionKind::Effect)
            .then(|| (kind, reversibility.unwrap_or(Reversibility::Full)))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.ring, self.reason)?;
        match (&self.needs, self.sufficient) {
            (Some(needs), false) => writeln!(f, "needs {needs}"),
            (Some(needs), true) => writeln!(f, "the next ring needs {needs}"),
            (None, _) => Ok(()),
        }
    }
}

fn as_text<S: Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_alone_at_the_thresholds() {
        for (sigma, ring, next) in [
            ("0", 3, "σ_eff above 0.60"),
            ("0.60", 3, "σ_eff above 0.60"),
            ("0.600001", 2, "σ_eff above 0.95 and a quorum for exactly this call"),
            ("1", 2, "σ_eff above 0.95 and a quorum for exactly this call"),
        ] {
            let answer = answer(sigma.parse().unwrap(), None);
            assert_eq!(answer.ring.number(), ring, "{sigma}");
            assert_eq!(answer.needs.unwrap().to_string(), next, "{sigma}");
            assert!(answer.sufficient);
        }
    }

    #[test]
    fn an_action_asks_and_the_score_suffices_or_not() {
        use {ActionKind::*, Reversibility::*};
        for (sigma, kind, reversibility, ring, sufficient) in [
            ("0", ReadOnly, Full, 3, true),
            ("0.60", Effect, Full, 2, false),
            ("0.600001", Effect, Full, 2, true),
            ("0.600001", Effect, Partial, 2, true),
            ("0.95", Effect, None, 1, false),
            ("1", Effect, None, 1, false),
            ("1", Admin, Full, 0, false),
        ] {
            let answer = answer(sigma.parse().unwrap(), Some((kind, reversibility)));
            assert_eq!((answer.ring.number(), answer.sufficient), (ring, sufficient), "{sigma} {kind:?}");
            assert_eq!(answer.needs.is_none(), sufficient);
        }
        let privileged = answer("1".parse().unwrap(), Some((Effect, None)));
        assert_eq!(
            privileged.to_string(),
            "Ring 1 (privileged): the action needs Ring 1 (privileged), which no score opens without a quorum\n\
             needs σ_eff above 0.95 and a quorum for exactly this call\n"
        );
    }
}
