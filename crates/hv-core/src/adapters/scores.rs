//! What the scorer said of each agent last.

use super::refresh::Asked;
use hv_rings::standing::Cap;
use hv_types::{Did, Sigma, Timestamp};
use std::collections::BTreeMap;

/// What a scorer said of an agent, or that it said nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answered {
    /// It counts for at most this much, until then.
    Scored { sigma: Sigma, until: Timestamp },
    /// No answer came, or none that is believed.
    Unscored,
}

/// The last answers, one for each agent that a session with a scorer has met.
#[derive(Debug, Default)]
pub(crate) struct Scores {
    answers: BTreeMap<Did, Answered>,
}

hv_types::wire_enum!(Answered { 0 => Scored { sigma, until }, 1 => Unscored {} });
hv_types::wire_struct!(Scores { answers });
crate::seldom::blank!(Scores, Scores { answers: BTreeMap::new() });

impl Scores {
    pub(crate) fn set(&mut self, agent: &Did, answer: Answered) {
        self.answers.insert(agent.clone(), answer);
    }

    pub(crate) fn answer(&self, agent: &Did) -> Option<&Answered> {
        self.answers.get(agent)
    }

    /// What the scorer is known to have said of an agent, where it still counts.
    pub(crate) fn asked(&self, agent: &Did, now: Timestamp) -> Asked {
        match self.answers.get(agent) {
            Some(Answered::Scored { sigma, until }) if now <= *until => Ok((*sigma, *until)),
            _ => Err("the scorer has not been asked yet".to_owned()),
        }
    }

    /// What was reported since may have changed the scorer's mind.
    pub(crate) fn forget(&mut self, agent: &Did) {
        self.answers.remove(agent);
    }

    /// σ_eff under the scorer's last answer: what the agent's own reputation exceeds the answer by is taken off,
    /// so that the lower of the two counts, and what others lend comes on top. An answer whose life is over still
    /// lowers.
    pub(crate) fn lowered(&self, agent: &Did, sigma: Sigma, reputation: Sigma) -> Sigma {
        match self.answers.get(agent) {
            Some(Answered::Scored { sigma: scored, .. }) => lower(sigma, reputation, *scored),
            Some(Answered::Unscored) | None => sigma,
        }
    }

    /// What keeps an agent of which no answer counts now from standing higher.
    pub(crate) fn cap(&self, agent: &Did, now: Timestamp) -> Option<Cap> {
        let counts = |answer: &Answered| matches!(answer, Answered::Scored { until, .. } if now <= *until);
        if self.answers.get(agent).is_some_and(counts) { None } else { Some(Cap::Unscored) }
    }
}

/// The lower of a reputation and a score, in what a σ_eff is made of.
pub(crate) fn lower(sigma: Sigma, reputation: Sigma, scored: Sigma) -> Sigma {
    sigma.saturating_sub(reputation.saturating_sub(scored))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_of_reputation_and_score_counts_and_loans_come_on_top() {
        let sigma = |ppm| Sigma::from_ppm(ppm).unwrap();
        for (sigma_eff, reputation, scored, counts) in [
            (850_000, 850_000, 900_000, 850_000),
            (850_000, 850_000, 850_000, 850_000),
            (850_000, 850_000, 849_999, 849_999),
            (850_000, 850_000, 0, 0),
            // 0.10 is lent on top of 0.80, and 0.20 is bonded away from 0.90.
            (900_000, 800_000, 500_000, 600_000),
            (700_000, 900_000, 500_000, 300_000),
            (100_000, 900_000, 500_000, 0),
            // A quarantine.
            (0, 900_000, 950_000, 0),
        ] {
            let lowered = lower(sigma(sigma_eff), sigma(reputation), sigma(scored));
            assert_eq!(lowered.ppm(), counts, "{sigma_eff} {reputation} {scored}");
        }
    }
}
