//! A ledger and a naive one beside it, given the same commands and compared after each.

use crate::model::{self, Charge, Class, Model, NEVER, SECOND};
use hv_liability::{
    BondNo, Command, Denial, Event, Ledger, Quarantine, SessionNo, SlashOrder, SlashReason, Slashed, Source,
    Stake, VouchOrder, VouchPolicy,
};
use hv_types::{Did, Digest, Machine, Reversibility, RiskWeight, Share, Sigma, Timestamp, Wire};
use proptest::prelude::*;
use std::time::Duration;

pub(crate) const AGENTS: usize = 6;
pub(crate) const SESSIONS: u32 = 2;

/// How many cases a property is tried on: 10 000, and with `HV_DEEP` as many as make a million operations.
/// `PROPTEST_CASES` sets another number, for whoever runs the tests over and over, as for mutants.
pub(crate) fn config(operations_per_case: u32) -> ProptestConfig {
    let deep = std::env::var_os("HV_DEEP").is_some();
    let cases = if deep { 1_000_000 / operations_per_case } else { 0 };
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() {
        ProptestConfig::default().cases
    } else {
        cases.max(10_000)
    };
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

/// Something to do, by small numbers that mean something only once the state is known.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    Endow {
        agent: u8,
        sigma: u8,
        source: u8,
    },
    Vouch {
        session: u8,
        voucher: u8,
        vouchee: u8,
        amount: u8,
        lasts: u8,
    },
    Release {
        bond: u8,
    },
    ReleaseSession {
        session: u8,
    },
    Slash {
        agent: u8,
        session: u8,
        fault: u8,
        class: u8,
        ago: u8,
        evidence: u8,
    },
    Charge {
        agent: u8,
        session: u8,
        fault: u8,
        class: u8,
        ago: u8,
        evidence: u8,
    },
    Dispute {
        evidence: u8,
    },
    Uphold {
        evidence: u8,
    },
    Dismiss {
        evidence: u8,
    },
    Quarantine {
        agent: u8,
        lasts: u8,
    },
    Rehabilitate {
        agent: u8,
        sigma: u8,
    },
    Earn {
        agent: u8,
        amount: u8,
        ceiling: u8,
    },
    Decay {
        agent: u8,
        amount: u8,
    },
    Settle,
    Wait {
        time: u8,
    },
    /// The ledger is written down and read again.
    Restore,
}

const AMOUNTS: [u32; 12] =
    [1, 100_000, 160_000, 200_000, 250_000, 300_000, 333_333, 360_000, 400_000, 500_000, 720_000, 1_000_000];
const TIMES: [u64; 8] = [1, 10, 29, 30, 59, 60, 61, 86_400];

pub(crate) fn ops(longest: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 1..=longest)
}

/// Mostly vouches, slashes and time.
pub(crate) fn op() -> impl Strategy<Value = Op> {
    let small = || 0u8..24;
    (0u8..100, small(), small(), small(), small(), small(), small()).prop_map(|(kind, a, b, c, d, e, f)| {
        match kind {
            0..4 => Op::Endow { agent: a, sigma: b, source: c },
            4..42 => Op::Vouch { session: a, voucher: b, vouchee: c, amount: d, lasts: e },
            42..49 => Op::Release { bond: a },
            49..52 => Op::ReleaseSession { session: a },
            52..63 => Op::Slash { agent: a, session: b, fault: c, class: d, ago: e, evidence: f },
            63..71 => Op::Charge { agent: a, session: b, fault: c, class: d, ago: e, evidence: f },
            71..75 => Op::Dispute { evidence: a },
            75..79 => Op::Uphold { evidence: a },
            79..82 => Op::Dismiss { evidence: a },
            82..83 => Op::Quarantine { agent: a, lasts: b },
            83..87 => Op::Rehabilitate { agent: a, sigma: b },
            87..88 => Op::Earn { agent: a, amount: b, ceiling: c },
            88..90 => Op::Decay { agent: a, amount: b },
            90..91 => Op::Settle,
            91..98 => Op::Wait { time: a },
            _ => Op::Restore,
        }
    })
}

/// A ledger and its model.
#[derive(Clone)]
pub(crate) struct Twin {
    pub(crate) ledger: Ledger,
    pub(crate) model: Model,
    pub(crate) events: Vec<Event>,
    pub(crate) bonds: Vec<BondNo>,
}

pub(crate) fn did(agent: usize) -> Did {
    Did::new(&format!("did:mesh:{}", ["ada", "bob", "cy", "dee", "eve", "fay", "gus"][agent])).unwrap()
}

pub(crate) fn sigma(ppm: u64) -> Sigma {
    Sigma::from_ppm(u32::try_from(ppm).unwrap()).unwrap()
}

pub(crate) fn policy() -> VouchPolicy {
    VouchPolicy {
        unbonding: Duration::from_nanos(model::UNBONDING),
        grace: Duration::from_nanos(model::GRACE),
        ..VouchPolicy::default()
    }
}

fn class(class: Class) -> Reversibility {
    [Reversibility::Full, Reversibility::Partial, Reversibility::None][class as usize]
}

impl Twin {
    /// With a reputation for each agent, in parts per million; the others stay unknown.
    pub(crate) fn new(reputations: &[u64]) -> Self {
        let (ledger, model) = (Ledger::default(), Model::new(AGENTS.max(reputations.len())));
        let mut twin = Self { ledger, model, events: Vec::new(), bonds: Vec::new() };
        twin.give(&Command::Configure(policy())).unwrap();
        for (agent, &rho) in reputations.iter().enumerate() {
            twin.endow(agent, rho, 0).unwrap();
        }
        twin
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.model.now)
    }

    /// Gives the ledger a command; its events go through their encoding.
    pub(crate) fn give(&mut self, command: &Command) -> Result<Vec<Event>, Denial> {
        let events = self.ledger.decide(command, self.now())?;
        for event in &events {
            assert_eq!(Event::from_bytes(&event.to_bytes()).as_ref(), Ok(event));
            self.ledger.apply(event).unwrap_or_else(|illegal| panic!("{illegal}: {event:?}"));
        }
        self.events.extend_from_slice(&events);
        Ok(events)
    }

    /// The slash among the events of the last command, if there is one.
    pub(crate) fn slashed(events: &[Event]) -> Option<&Slashed> {
        events.iter().find_map(|event| match event {
            Event::Slashed { slashed } => Some(&**slashed),
            _ => None,
        })
    }

    /// Gives both the same, and insists that they answer the same.
    fn both(
        &mut self,
        command: &Command,
        model: impl FnOnce(&mut Model) -> Result<(), &'static str>,
    ) -> Result<Vec<Event>, Denial> {
        let answer = self.give(command);
        let expected = model(&mut self.model);
        let named = answer.as_ref().map(|_| ()).map_err(name);
        assert_eq!(named, expected.map_err(String::from), "{command:?} at {}", self.model.now);
        answer
    }

    pub(crate) fn endow(&mut self, agent: usize, rho: u64, source: u8) -> Result<Vec<Event>, Denial> {
        let from = [Source::Asserted, Source::Scored, Source::Hint, Source::Unknown][usize::from(source)];
        let command = Command::Endow { agent: did(agent), sigma: sigma(rho), source: from };
        self.both(&command, |model| model.endow(agent, rho, source))
    }

    pub(crate) fn vouch(
        &mut self,
        session: u32,
        ends: (usize, usize),
        amount: u64,
        expires: u64,
    ) -> Result<Vec<Event>, Denial> {
        let command = Command::Vouch(VouchOrder {
            session: SessionNo(session),
            voucher: did(ends.0),
            vouchee: did(ends.1),
            stake: Stake::Amount(sigma(amount)),
            expires: (expires != NEVER).then_some(Timestamp(expires)),
        });
        let before = self.ledger.clone();
        let events = self.both(&command, |model| model.vouch(session, ends, amount, expires))?;
        if let Some(Event::Vouched { bond, .. }) = events.last() {
            // No number comes twice.
            assert!(!self.bonds.contains(bond) && before.bond(*bond, self.now()).is_none());
            self.bonds.push(*bond);
            self.model.slots.push(bond.slot);
        }
        Ok(events)
    }

    pub(crate) fn release(&mut self, bond: usize) -> Result<Vec<Event>, Denial> {
        let command = Command::Release { bond: self.bonds[bond] };
        self.both(&command, |model| model.release(bond))
    }

    pub(crate) fn slash(&mut self, offence: &model::Offence) -> Result<Vec<Event>, Denial> {
        let order = order(offence);
        self.both(&Command::Slash(order), |model| model.slash(offence))
    }

    pub(crate) fn charge(&mut self, offence: &model::Offence) -> Result<Vec<Event>, Denial> {
        self.both(&Command::Charge(order(offence)), |model| model.charge(offence))
    }

    pub(crate) fn uphold(&mut self, evidence: u8) -> Result<Vec<Event>, Denial> {
        self.both(&Command::Uphold { evidence: digest(evidence) }, |model| model.uphold(evidence))
    }

    pub(crate) fn dismiss(&mut self, evidence: u8) -> Result<Vec<Event>, Denial> {
        self.both(&Command::Dismiss { evidence: digest(evidence) }, |model| model.dismiss(evidence))
    }

    pub(crate) fn dispute(&mut self, evidence: u8) -> Result<Vec<Event>, Denial> {
        self.both(&Command::Dispute { evidence: digest(evidence) }, |model| model.dispute(evidence))
    }

    pub(crate) fn rehabilitate(&mut self, agent: usize, rho: u64) -> Result<Vec<Event>, Denial> {
        let command = Command::Rehabilitate { agent: did(agent), sigma: sigma(rho) };
        self.both(&command, |model| model.rehabilitate(agent, rho))
    }

    pub(crate) fn wait(&mut self, nanos: u64) {
        self.model.now += nanos;
    }

    /// Does one thing, and answers its events or why it was refused.
    pub(crate) fn run(&mut self, op: Op) -> Result<Vec<Event>, Denial> {
        // The last agent is rarely meant: it is the one that is unknown to begin with.
        let agent = |agent: u8| if agent == 23 { AGENTS - 1 } else { usize::from(agent) % (AGENTS - 1) };
        let session = |session: u8| u32::from(session >= 18);
        let amount = |amount: u8| u64::from(AMOUNTS[usize::from(amount) % AMOUNTS.len()]);
        let time = |time: u8| TIMES[usize::from(time) % TIMES.len()] * SECOND;
        let offence = |now: u64, a: u8, s: u8, fault: u8, class: u8, ago: u8, evidence: u8| model::Offence {
            evidence,
            agent: agent(a),
            session: if s == 23 { None } else { Some(session(s)) },
            fault: if fault == 23 { 0 } else { [1_000_000, 500_000, 333_333, 1][usize::from(fault) % 4] },
            class: [Some(Class::Full), Some(Class::Partial), Some(Class::None), None][usize::from(class) % 4],
            risk: [None, None, Some(1_000_000), Some(100_000)][usize::from(class) / 4 % 4],
            happened: if ago == 23 {
                now + 1
            } else {
                now.saturating_sub([0, 0, time(ago)][usize::from(ago) % 3])
            },
        };
        let now = self.model.now;
        match op {
            Op::Endow { agent: a, sigma, source } => self.endow(agent(a), amount(sigma), source % 4),
            Op::Vouch { session: s, voucher, vouchee, amount: a, lasts } => {
                let expires = if lasts % 3 == 0 { now + time(lasts) } else { NEVER };
                let expires = if lasts == 23 { now } else { expires };
                let amount = if a == 23 { 0 } else { amount(a) };
                let other = (agent(voucher) + 1 + usize::from(vouchee) % (AGENTS - 2)) % (AGENTS - 1);
                let other = if vouchee == 23 { agent(voucher) } else { other };
                self.vouch(session(s), (agent(voucher), other), amount, expires)
            }
            Op::Release { bond } if !self.bonds.is_empty() => {
                self.release(self.bonds.len() - 1 - usize::from(bond) % self.bonds.len())
            }
            Op::ReleaseSession { session: s } => {
                let command = Command::ReleaseSession { session: SessionNo(session(s)) };
                self.both(&command, |model| model.release_session(session(s)))
            }
            Op::Slash { agent, session, fault, class, ago, evidence } => {
                self.slash(&offence(now, agent, session, fault, class, ago, evidence))
            }
            Op::Charge { agent, session, fault, class, ago, evidence } => {
                self.charge(&offence(now, agent, session, fault, class, ago, evidence % 4))
            }
            Op::Dispute { evidence } => self.dispute(self.some_charge(evidence)),
            Op::Uphold { evidence } => self.uphold(self.some_charge(evidence)),
            Op::Dismiss { evidence } => self.dismiss(self.some_charge(evidence)),
            Op::Quarantine { agent: a, lasts } => {
                let until = if lasts == 0 { now } else { now + time(lasts) };
                let command = Command::Quarantine { agent: did(agent(a)), until: Timestamp(until) };
                self.both(&command, |model| model.quarantine(agent(a), until))
            }
            Op::Rehabilitate { agent: a, sigma } => {
                let mut some = (0..AGENTS).map(|next| (agent(a) + next) % AGENTS);
                let quarantined = some.find(|&agent| self.model.quarantined(agent).is_some());
                self.rehabilitate(quarantined.unwrap_or(agent(a)), amount(sigma))
            }
            Op::Earn { agent: a, amount: by, ceiling } => {
                let (agent, by, ceiling) = (agent(a), amount(by), amount(ceiling));
                let (amount, ceiling_sigma) = (sigma(by), sigma(ceiling));
                let command = Command::Earn { agent: did(agent), amount, ceiling: ceiling_sigma };
                self.both(&command, |model| model.earn(agent, by, ceiling))
            }
            Op::Decay { agent: a, amount: by } => {
                let command = Command::Decay { agent: did(agent(a)), amount: sigma(amount(by)) };
                self.both(&command, |model| model.decay(agent(a), amount(by)))
            }
            Op::Settle => self.give(&Command::Settle),
            Op::Wait { time: t } => {
                self.wait(time(t));
                Ok(Vec::new())
            }
            Op::Restore => {
                self.restore();
                Ok(Vec::new())
            }
            Op::Release { .. } => Ok(Vec::new()),
        }
    }

    /// The evidence of an open charge, if there is one.
    fn some_charge(&self, evidence: u8) -> u8 {
        let open = self.model.charges.iter().filter(|charge| charge.closed == NEVER);
        let open: Vec<u8> = open.map(|charge| charge.offence.evidence).collect();
        open.get(usize::from(evidence) % open.len().max(1)).copied().unwrap_or(evidence)
    }

    /// Goes on with a ledger that was made from this one's snapshot.
    pub(crate) fn restore(&mut self) {
        let rows = self.ledger.compact();
        let mut restored = Ledger::default();
        for row in &rows {
            assert_eq!(Event::from_bytes(&row.to_bytes()).as_ref(), Ok(row));
            restored.apply(row).unwrap_or_else(|illegal| panic!("{illegal}: {row:?}"));
        }
        assert_eq!(restored.compact(), rows);
        self.ledger = restored;
        self.events = rows;
    }

    /// Insists that every figure that the ledger gives is the one that the model gives.
    pub(crate) fn compare(&self) {
        let (ledger, model, now) = (&self.ledger, &self.model, self.now());
        for agent in 0..model.agents.len() {
            let name = did(agent);
            let Some(account) = ledger.account(&name, now) else {
                assert!(model.agents[agent].is_none());
                continue;
            };
            assert_eq!(ledger.quarantine_of(account.agent, now), account.quarantine, "{name}");
            let quarantine = account.quarantine.map(|quarantine| match quarantine {
                Quarantine::Until(_) => "Until",
                Quarantine::UntilRehabilitated => "UntilRehabilitated",
                Quarantine::Charged => "Charged",
            });
            assert_eq!(
                (u64::from(account.reputation.ppm()), u64::from(account.bonded.ppm()), quarantine),
                (model.rho(agent), model.bonded(agent), model.quarantined(agent)),
                "ρ, E and quarantine of {name}"
            );
            for session in 0..SESSIONS {
                for kind in Class::ALL {
                    let ours = ledger.sigma_eff(&name, SessionNo(session), class(kind), now);
                    let theirs = model.sigma(agent, session, kind);
                    assert_eq!(u64::from(ours.ppm()), theirs, "σ_eff of {name} in {session} for {kind:?}");
                }
            }
        }
        for (at, bond) in model.bonds.iter().enumerate() {
            let ours = ledger.bond(self.bonds[at], now);
            assert_eq!(ours.is_none(), model.is_over(bond), "bond {at}");
            if let Some(ours) = ours {
                // INVARIANT (L3)
                assert_eq!(u64::from(ours.remaining.ppm()), bond.left, "bond {at}");
                assert_eq!(bond.left + bond.burned, bond.initial, "bond {at}");
            }
        }
        let uncontested = model.charges.iter().filter(|charge| charge.closed == NEVER && !charge.disputed);
        let mut docket: Vec<_> = uncontested.map(|charge| (charge.until, charge.offence.evidence)).collect();
        docket.sort_unstable();
        assert_eq!(ledger.next_ripe().map(|until| until.0), docket.first().map(|charge| charge.0));
        let ripe: Vec<_> = ledger.ripe(now).map(|case| case.offence.evidence).collect();
        let ripe_there = docket.iter().filter(|charge| charge.0 <= now.0);
        assert_eq!(ripe, ripe_there.map(|charge| digest(charge.1)).collect::<Vec<_>>());
        for charge in &model.charges {
            let evidence = digest(charge.offence.evidence);
            let there = ledger.case(&evidence).is_some_and(|case| case.offence.evidence == evidence);
            let open = |other: &Charge| digest(other.offence.evidence) == evidence && other.closed == NEVER;
            assert_eq!(there, model.charges.iter().any(open));
        }
        let totals = ledger.totals();
        assert_eq!(totals.endowed + totals.earned, model.given);
        assert_eq!(totals.decayed + totals.burned, model.taken);
    }
}

pub(crate) fn digest(evidence: u8) -> Digest {
    Digest([evidence; 32])
}

pub(crate) fn order(offence: &model::Offence) -> SlashOrder {
    let fraction = |ppm: u64| u32::try_from(ppm).unwrap();
    SlashOrder {
        evidence: digest(offence.evidence),
        agent: did(offence.agent),
        session: offence.session.map(SessionNo),
        fault: Share::from_ppm(fraction(offence.fault)).unwrap(),
        class: offence.class.map(class),
        risk: offence.risk.map(|risk| RiskWeight::from_ppm(fraction(risk)).unwrap()),
        happened: Timestamp(offence.happened),
        reason: SlashReason::Violation,
    }
}

/// A denial's variant.
pub(crate) fn name(denial: &Denial) -> String {
    format!("{denial:?}").split([' ', '{', '(']).next().unwrap_or_default().to_owned()
}
