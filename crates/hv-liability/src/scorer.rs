//! The default scorer: what an agent earns and loses by outcomes that stand on the trail.
//!
//! A beta reputation with forgetting, after Audun Jøsang and Roslan Ismail, "The Beta Reputation System",
//! 15th Bled Electronic Commerce Conference, 2002: r good and s bad outcomes make an expectation of
//! (r + 1) / (r + s + 2), and old outcomes count for less. Here an outcome weighs as much as the action put at risk,
//! and what is forgotten is counted by the day, so that nobody forgets faster by doing more.
//!
//! The expectation is no reputation by itself: it is one of the ceilings up to which good outcomes lift, in small steps
//! that the ledger caps by the day, and the floor down to which bad ones take. What others say of an agent is not asked, so nothing can be gained by saying it.

use crate::{AgentNo, Command, Ledger};
use hv_types::{Did, RiskWeight, Share, Sigma, Timestamp, WHOLE};
use std::collections::BTreeMap;

/// How outcomes become reputation.
///
/// ```
/// use hv_liability::{Demand, ScorePolicy};
/// use hv_types::Reversibility;
///
/// let policy = ScorePolicy::default();
/// let ceiling = |class: Reversibility| policy.ceiling(class.default_risk(), Demand::Trust).to_f64();
/// // What risks little lifts little, however often it is done.
/// assert_eq!(ceiling(Reversibility::Full), 0.68);
/// assert_eq!(ceiling(Reversibility::None), 0.98);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScorePolicy {
    /// How much of what was known on one day still counts on the next: 0.99, so half of it after 69 days.
    pub remembered: Share,
    /// What a good outcome of the highest risk lifts at most: 0.01. The ledger's
    /// [`gain_per_day`](crate::VouchPolicy::gain_per_day) caps the sum of a day.
    pub gain: Sigma,
    /// What a bad outcome of the highest risk takes: 0.05.
    pub loss: Sigma,
    /// Beyond which reputation nothing lifts that needed no trust: 0.60.
    pub open_ceiling: Sigma,
}

impl Default for ScorePolicy {
    fn default() -> Self {
        Self {
            remembered: Share::capped(990_000),
            gain: Sigma::capped(10_000),
            loss: Sigma::capped(50_000),
            open_ceiling: Sigma::capped(600_000),
        }
    }
}

/// How something that an agent did came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Whether well or badly.
    pub went: Went,
    /// The risk weight of the action.
    pub risk: RiskWeight,
    /// Whether it took trust to do it.
    pub demand: Demand,
}

/// Whether an outcome speaks for an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Went {
    /// It does.
    Well,
    /// It speaks against it.
    Badly,
}

/// Whether an action took trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Demand {
    /// Anybody may do it.
    Nothing,
    /// A score had to be there.
    Trust,
}

impl ScorePolicy {
    /// The reputation beyond which a good outcome does not lift: the higher, the more was at risk.
    #[must_use]
    pub const fn ceiling(&self, risk: RiskWeight, demand: Demand) -> Sigma {
        let above = match demand {
            Demand::Nothing => 0,
            Demand::Trust => Sigma::ONE.saturating_sub(self.open_ceiling).part(weight(risk)).ppm(),
        };
        Sigma::capped(self.open_ceiling.ppm() as u64 + above as u64)
    }
}

/// What is known about one agent's outcomes. Sums of risk weights, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrackRecord {
    /// Of good outcomes.
    pub good: u64,
    /// Of bad ones.
    pub bad: u64,
    /// The day up to which forgetting was counted, from 1970-01-01.
    pub day: u32,
}

impl TrackRecord {
    /// What is expected of the next outcome: (good + 1) / (good + bad + 2), rounded down; 0.50 where nothing is
    /// known.
    #[must_use]
    pub fn expectation(&self, policy: &ScorePolicy, now: Timestamp) -> Sigma {
        let Self { good, bad, .. } = self.on(policy, day(now));
        let (good, bad, whole) = (u128::from(good), u128::from(bad), u128::from(WHOLE));
        let expected = (good + whole) * whole / (good + bad + 2 * whole);
        Sigma::capped(u64::try_from(expected).unwrap_or(0))
    }

    /// The same with one more outcome.
    #[must_use]
    pub fn with(&self, policy: &ScorePolicy, outcome: &Outcome, now: Timestamp) -> Self {
        let mut record = self.on(policy, day(now));
        let sum = match outcome.went {
            Went::Well => &mut record.good,
            Went::Badly => &mut record.bad,
        };
        *sum = sum.saturating_add(u64::from(outcome.risk.ppm()));
        record
    }

    /// What is left of it on a day; rounded against the agent. A clock that runs backwards forgets nothing.
    fn on(&self, policy: &ScorePolicy, today: u32) -> Self {
        let day = self.day.max(today);
        if day == self.day || (self.good, self.bad) == (0, 0) {
            return Self { day, ..*self };
        }
        let left = power(policy.remembered, day - self.day);
        let part = |sum: u64| u128::from(sum) * u128::from(left.ppm());
        let whole = u128::from(WHOLE);
        let narrow = |sum: u128| u64::try_from(sum).unwrap_or(u64::MAX);
        Self { good: narrow(part(self.good) / whole), bad: narrow(part(self.bad).div_ceil(whole)), day }
    }
}

/// The track records of the agents that a ledger knows. As the ledger itself, a matter of what was recorded:
/// whoever replays the same outcomes has the same records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scores {
    records: BTreeMap<AgentNo, TrackRecord>,
}

impl Scores {
    /// What is known about an agent's outcomes.
    #[must_use]
    pub fn record(&self, agent: AgentNo) -> TrackRecord {
        self.records.get(&agent).copied().unwrap_or_default()
    }

    /// Every agent of whose outcomes something is known, by number.
    pub fn records(&self) -> impl Iterator<Item = (AgentNo, TrackRecord)> + '_ {
        self.records.iter().map(|(agent, record)| (*agent, *record))
    }

    /// Takes a record over, as a snapshot has it.
    pub fn restore(&mut self, agent: AgentNo, record: TrackRecord) {
        self.records.insert(agent, record);
    }

    /// Takes note of outcomes.
    pub fn observe(&mut self, policy: &ScorePolicy, agent: AgentNo, outcomes: &[Outcome], now: Timestamp) {
        if !outcomes.is_empty() {
            self.records.insert(agent, self.after(policy, agent, outcomes, now));
        }
    }

    /// What outcomes lead to on a ledger, before they are [observed](Self::observe): at most one
    /// [`Command::Earn`] and one [`Command::Decay`]. Nothing for an agent without an account, and no gain for one
    /// that is quarantined.
    #[must_use]
    pub fn consequences(
        &self,
        policy: &ScorePolicy,
        ledger: &Ledger,
        agent: &Did,
        outcomes: &[Outcome],
        now: Timestamp,
    ) -> Vec<Command> {
        let Some(number) = ledger.agent(agent) else { return Vec::new() };
        let expected = self.after(policy, number, outcomes, now).expectation(policy, now);
        let before = ledger.reputation(agent);
        let (mut gains, mut lost) = (Vec::new(), 0);
        for Outcome { went, risk, demand } in outcomes {
            let weight = weight(*risk);
            match went {
                Went::Well => {
                    let ceiling = policy.ceiling(*risk, *demand).min(expected);
                    // Nothing lifts an agent to where it is already.
                    if ceiling.saturating_sub(before) != Sigma::ZERO {
                        gains.push((ceiling, policy.gain.part(weight)));
                    }
                }
                Went::Badly => lost += u64::from(policy.loss.part_up(weight).ppm()),
            }
        }
        // The lower ceilings first, so that the order in which outcomes came does not matter.
        gains.sort_unstable();
        let after = gains.iter().fold(before, |reached, (ceiling, gain)| {
            let lifted = Sigma::capped(u64::from(reached.ppm()) + u64::from(gain.ppm()));
            reached.max(lifted.min(*ceiling))
        });
        let earned = after.saturating_sub(before);
        let mut commands = Vec::new();
        if earned > Sigma::ZERO && ledger.quarantined(agent, now).is_none() {
            commands.push(Command::Earn { agent: agent.clone(), amount: earned, ceiling: after });
        }
        // Ordinary failures take nothing that the track record bears out.
        let lost = before.saturating_sub(expected).min(Sigma::capped(lost));
        if lost > Sigma::ZERO {
            commands.push(Command::Decay { agent: agent.clone(), amount: lost });
        }
        commands
    }

    fn after(
        &self,
        policy: &ScorePolicy,
        agent: AgentNo,
        outcomes: &[Outcome],
        now: Timestamp,
    ) -> TrackRecord {
        outcomes.iter().fold(self.record(agent), |record, outcome| record.with(policy, outcome, now))
    }
}

/// The number of the day of a time, from 1970-01-01.
fn day(time: Timestamp) -> u32 {
    const NANOS: u64 = 86_400 * 1_000_000_000;
    u32::try_from(time.0 / NANOS).unwrap_or(u32::MAX)
}

const fn weight(risk: RiskWeight) -> Share {
    Share::capped(risk.ppm() as u64)
}

/// A share multiplied with itself so many times, rounded down.
fn power(share: Share, mut times: u32) -> Share {
    let product =
        |a: Share, b: Share| Share::capped(u64::from(a.ppm()) * u64::from(b.ppm()) / u64::from(WHOLE));
    let (mut result, mut square) = (Share::ONE, share);
    while times > 0 {
        if times % 2 == 1 {
            result = product(result, square);
        }
        square = product(square, square);
        times /= 2;
    }
    result
}

hv_types::wire_struct!(ScorePolicy { remembered, gain, loss, open_ceiling });
hv_types::wire_struct!(Scores { records });
hv_types::wire_struct!(TrackRecord { good, bad, day });
