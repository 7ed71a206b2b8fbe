//! When samples are enough to act upon: several of the last few, or a change that lasts.

use crate::drift::DriftScore;

use super::check::Verdict;

/// How many samples it takes to act, so that one noisy sample does not.
///
/// Fields are public because every value is valid: a window of 0 or above [`WINDOW_MAX`] counts as the
/// nearest that there is, a number above the window as the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hysteresis {
    /// How many of the last samples are looked at, 1 to [`WINDOW_MAX`].
    pub window: u32,
    /// How many of them must be bad.
    pub needed: u32,
    /// How many samples must pass in a row before a demotion ends.
    pub calm: u32,
}

/// The most samples that a [`Hysteresis`] looks at.
pub const WINDOW_MAX: u32 = 64;

/// Two of the last three; three passes in a row end a demotion.
impl Default for Hysteresis {
    fn default() -> Self {
        Self { window: 3, needed: 2, calm: 3 }
    }
}

/// What the samples so far call for. The caller decides whether it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Response {
    /// Nothing new.
    Nothing,
    /// Lower the agent's ring.
    Demote,
    /// Slash the agent, with these samples as evidence. They call for it once.
    Slash,
    /// The demotion may end.
    Restore,
}

/// The samples of one agent that still count.
///
/// A sample that cannot be told counts towards a demotion, so that nobody gains by sending what cannot be
/// measured; it never counts towards a slash, and never as a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Watch {
    /// One bit a sample, the last in the lowest: called for a slash.
    violations: u64,
    /// The same: called for a demotion at least.
    doubts: u64,
    passes: u32,
    demoted: bool,
}

hv_types::wire_struct!(Watch { violations, doubts, passes, demoted });

impl Watch {
    /// Whether a demotion that the samples called for has not ended yet.
    #[must_use]
    pub const fn demoted(&self) -> bool {
        self.demoted
    }

    /// Takes a sample into account.
    ///
    /// ```
    /// use hv_integrations::drift::{Hysteresis, Response, Verdict, Watch};
    /// use hv_integrations::trust::Severity;
    ///
    /// let (mut watch, rule) = (Watch::default(), Hysteresis::default());
    /// let bad = Verdict::Drifted(Severity::Critical);
    /// assert_eq!(watch.observe(&bad, rule), Response::Nothing);
    /// assert_eq!(watch.observe(&Verdict::Aligned, rule), Response::Nothing);
    /// assert_eq!(watch.observe(&bad, rule), Response::Slash);
    /// ```
    pub fn observe(&mut self, verdict: &Verdict, rule: Hysteresis) -> Response {
        let window = rule.window.clamp(1, WINDOW_MAX);
        let needed = rule.needed.clamp(1, window);
        let (violation, doubt) = (verdict.should_slash(), !verdict.passed());
        let last = u64::MAX >> (WINDOW_MAX - window);
        self.violations = (self.violations << 1 | u64::from(violation)) & last;
        self.doubts = (self.doubts << 1 | u64::from(doubt)) & last;
        self.passes = if doubt { 0 } else { self.passes.saturating_add(1) };
        if self.violations.count_ones() >= needed {
            *self = Self { demoted: true, ..Self::default() };
            Response::Slash
        } else if self.doubts.count_ones() >= needed && !self.demoted {
            self.demoted = true;
            Response::Demote
        } else if self.demoted && self.passes >= rule.calm.max(1) {
            *self = Self::default();
            Response::Restore
        } else {
            Response::Nothing
        }
    }
}

/// A sequential test for a drift that has come to stay: the cumulative sum of E. S. Page, "Continuous
/// Inspection Schemes", Biometrika 41 (1954).
///
/// What every score exceeds the reference by is added up, and never falls below 0. Where the sum exceeds the
/// limit, the mean has changed, and since when it has is the first sample after the sum was last 0. It finds
/// a small shift that no single sample shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cusum {
    /// The mean up to which nothing adds up, such as halfway between what is usual and what is too much.
    pub reference: DriftScore,
    /// The sum at which the mean counts as changed, in scores.
    pub limit: DriftScore,
}

/// Scores above 0.15, the least that counts as drift, adding up to more than 0.60.
impl Default for Cusum {
    fn default() -> Self {
        let score = |score| DriftScore::new(score).unwrap_or(DriftScore::ZERO);
        Self { reference: score(0.15), limit: score(0.60) }
    }
}

/// What has added up for one agent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CusumState {
    sum: f64,
    samples: u32,
}

/// A change of the mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// For how many samples, the last included, the mean has been changed.
    pub since: u32,
}

impl CusumState {
    /// Takes a score into account. A change is told once; then adding up starts anew.
    pub fn observe(&mut self, score: DriftScore, rule: Cusum) -> Option<Change> {
        self.sum = (self.sum + score.get() - rule.reference.get()).max(0.0);
        self.samples = if self.sum > 0.0 { self.samples.saturating_add(1) } else { 0 };
        (self.sum > rule.limit.get()).then(|| {
            let since = self.samples;
            *self = Self::default();
            Change { since }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Indeterminate;
    use crate::trust::Severity;

    fn responses(samples: &str, rule: Hysteresis) -> String {
        let mut watch = Watch::default();
        let verdict = |sample| match sample {
            '.' => Verdict::Aligned,
            'l' => Verdict::Drifted(Severity::Low),
            'm' => Verdict::Drifted(Severity::Medium),
            'h' => Verdict::Drifted(Severity::High),
            'c' => Verdict::Drifted(Severity::Critical),
            _ => Verdict::Indeterminate(Indeterminate::Empty),
        };
        let shown = |response| match response {
            Response::Nothing => '.',
            Response::Demote => 'D',
            Response::Slash => 'S',
            Response::Restore => 'R',
        };
        samples.chars().map(|sample| shown(watch.observe(&verdict(sample), rule))).collect()
    }

    #[test]
    fn one_noisy_sample_does_nothing_and_several_do() {
        for (samples, expected) in [
            ("c......", "......."),
            ("c..c..c..c", ".........."),
            ("m.m", "..D"),
            ("mm", ".D"),
            ("hh", ".S"),
            ("h.c", "..S"),
            ("hm", ".D"),
            ("hmh", ".DS"),
            ("llll", "...."),
            // The same samples slash once; the next two slash again.
            ("hhh", ".S."),
            ("hhhh", ".S.S"),
            // A demotion ends after three passes in a row.
            ("mm..m...", ".D.....R"),
            ("mm...", ".D..R"),
            ("mm..l", ".D..R"),
            ("hh...mm", ".S..R.D"),
        ] {
            assert_eq!(responses(samples, Hysteresis::default()), expected, "{samples}");
        }
    }

    #[test]
    fn failure_21_what_cannot_be_told_never_counts_as_a_pass() {
        assert_eq!(responses("??", Hysteresis::default()), ".D");
        assert_eq!(responses("mm..?...", Hysteresis::default()), ".D.....R");
        assert_eq!(responses("????????????", Hysteresis::default()), ".D..........");
    }

    #[test]
    fn every_rule_is_valid() {
        let rule = |window, needed, calm| Hysteresis { window, needed, calm };
        assert_eq!(responses("h", rule(0, 0, 0)), "S");
        assert_eq!(responses("h.", rule(1, 1, 0)), "SR");
        let all = "h".repeat(64);
        assert_eq!(responses(&all, rule(u32::MAX, u32::MAX, 3)), format!("{}S", ".".repeat(63)));
    }

    #[test]
    fn a_small_shift_adds_up_and_noise_does_not() {
        let score = |score| DriftScore::new(score).unwrap();
        let mut state = CusumState::default();
        let rule = Cusum::default();
        // One sample as bad as can be still adds more than the limit only together with another.
        let noise = [0.05, 0.70, 0.0, 0.0, 0.0, 0.0, 0.70, 0.0, 0.1, 0.14, 0.15, 0.0];
        assert!(noise.iter().all(|&s| state.observe(score(s), rule).is_none()));
        let mut state = CusumState::default();
        assert_eq!(state.observe(score(0.05), rule), None);
        // 0.07 above the reference, nine times, is more than 0.60.
        let told: Vec<_> = (0..9).map(|_| state.observe(score(0.22), rule)).collect();
        assert_eq!(told[8], Some(Change { since: 9 }));
        assert!(told[..8].iter().all(Option::is_none));
        assert_eq!(state, CusumState::default());
    }
}
