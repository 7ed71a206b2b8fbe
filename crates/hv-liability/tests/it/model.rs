//! A naive ledger: every figure is computed from the whole history each time it is asked for.
//!
//! It shares no code with the crate: plain integers, vectors that only grow, nothing incremental.

use std::collections::{BTreeMap, BTreeSet};

pub(crate) const WHOLE: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const UNBONDING: u64 = 60 * SECOND;
pub(crate) const GRACE: u64 = 30 * SECOND;
pub(crate) const NEVER: u64 = u64::MAX;
const MINIMUM: u64 = 500_000;
const DAY: u64 = 86_400 * SECOND;
const GAIN_PER_DAY: u64 = 50_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Full,
    Partial,
    None,
}

impl Class {
    pub(crate) const ALL: [Self; 3] = [Self::Full, Self::Partial, Self::None];

    pub(crate) fn omega(self) -> u64 {
        [800_000, 350_000, 50_000][self as usize]
    }

    fn risk(self) -> u64 {
        [200_000, 650_000, 950_000][self as usize]
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Agent {
    pub(crate) rho: u64,
    pub(crate) quarantine: u64,
    pub(crate) slashes: u64,
    pub(crate) unknown: bool,
    pub(crate) gains: Vec<(u64, u64)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Bond {
    pub(crate) voucher: usize,
    pub(crate) vouchee: usize,
    pub(crate) session: u32,
    pub(crate) initial: u64,
    pub(crate) left: u64,
    pub(crate) burned: u64,
    pub(crate) made: u64,
    pub(crate) expires: u64,
    pub(crate) released: u64,
    pub(crate) struck: u64,
}

impl Bond {
    fn stops_lifting(&self) -> u64 {
        self.expires.min(self.released)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Charge {
    pub(crate) offence: Offence,
    pub(crate) until: u64,
    pub(crate) disputed: bool,
    pub(crate) opened: u64,
    pub(crate) closed: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offence {
    pub(crate) evidence: u8,
    pub(crate) agent: usize,
    pub(crate) session: Option<u32>,
    pub(crate) fault: u64,
    pub(crate) class: Option<Class>,
    pub(crate) risk: Option<u64>,
    pub(crate) happened: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Toll {
    pub(crate) losses: BTreeMap<usize, u64>,
    pub(crate) burned: BTreeMap<usize, u64>,
    pub(crate) fallen: BTreeSet<usize>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) agents: Vec<Option<Agent>>,
    pub(crate) bonds: Vec<Bond>,
    pub(crate) charges: Vec<Charge>,
    pub(crate) verdicts: BTreeMap<u8, &'static str>,
    pub(crate) now: u64,
    /// The place that the ledger says each bond has; what shares leave over falls on the lowest.
    pub(crate) slots: Vec<u32>,
    pub(crate) given: u64,
    pub(crate) taken: u64,
}

type Answer = Result<(), &'static str>;

fn up(amount: u64, share: u64) -> u64 {
    (amount * share).div_ceil(WHOLE)
}

impl Model {
    pub(crate) fn new(agents: usize) -> Self {
        Self { agents: vec![None; agents], ..Self::default() }
    }

    fn agent(&self, agent: usize) -> Result<&Agent, &'static str> {
        self.agents[agent].as_ref().ok_or("UnknownAgent")
    }

    fn agent_mut(&mut self, agent: usize) -> &mut Agent {
        self.agents[agent].as_mut().unwrap()
    }

    pub(crate) fn rho(&self, agent: usize) -> u64 {
        self.agents[agent].as_ref().map_or(0, |agent| agent.rho)
    }

    pub(crate) fn lifts(&self, bond: &Bond) -> bool {
        bond.left > 0 && bond.stops_lifting() > self.now
    }

    /// Whether a bond was paid back by now: at some moment after its unbonding time no charge held it.
    pub(crate) fn is_over(&self, bond: &Bond) -> bool {
        if bond.left == 0 {
            return true;
        }
        if bond.stops_lifting() == NEVER {
            return false;
        }
        let ends = (bond.stops_lifting() + UNBONDING).max(bond.struck);
        let here = || self.charges.iter().filter(|charge| charge.offence.session == Some(bond.session));
        let moments = here().map(|charge| charge.closed.saturating_add(1)).chain([ends]);
        let mut moments = moments.filter(|&moment| ends <= moment && moment <= self.now);
        moments.any(|moment| !here().any(|charge| charge.opened < moment && moment <= charge.closed))
    }

    pub(crate) fn bonded(&self, agent: usize) -> u64 {
        let own = self.bonds.iter().filter(|bond| bond.voucher == agent && !self.is_over(bond));
        own.map(|bond| bond.left).sum()
    }

    pub(crate) fn quarantined(&self, agent: usize) -> Option<&'static str> {
        let row = self.agents[agent].as_ref()?;
        let charged =
            self.charges.iter().any(|charge| charge.offence.agent == agent && charge.closed == NEVER);
        match row.quarantine {
            NEVER => Some("UntilRehabilitated"),
            _ if charged => Some("Charged"),
            until if until > self.now => Some("Until"),
            _ => None,
        }
    }

    pub(crate) fn backing(&self, agent: usize, session: u32) -> u64 {
        let here = |bond: &&Bond| bond.vouchee == agent && bond.session == session && self.lifts(bond);
        self.bonds.iter().filter(here).map(|bond| bond.left).sum()
    }

    pub(crate) fn sigma(&self, agent: usize, session: u32, class: Class) -> u64 {
        if self.agents[agent].is_none() || self.quarantined(agent).is_some() {
            return 0;
        }
        let lift = class.omega() * self.backing(agent, session) / WHOLE;
        (self.rho(agent) - self.bonded(agent) + lift).min(WHOLE)
    }

    fn reaches(&self, from: usize, to: usize) -> bool {
        from == to
            || self
                .bonds
                .iter()
                .any(|bond| bond.voucher == from && !self.is_over(bond) && self.reaches(bond.vouchee, to))
    }

    pub(crate) fn endow(&mut self, agent: usize, sigma: u64, source: u8) -> Answer {
        let sigma = [sigma, sigma, sigma.min(600_000), 0][usize::from(source)];
        let unknown = source == 3;
        match &mut self.agents[agent] {
            None => {
                let (slashes, gains) = (0, Vec::new());
                self.agents[agent] = Some(Agent { rho: sigma, quarantine: 0, slashes, unknown, gains });
                self.given += sigma;
            }
            Some(row) if row.unknown && row.slashes == 0 && !unknown => {
                self.given += sigma.max(row.rho) - row.rho;
                row.rho = sigma.max(row.rho);
                row.unknown = false;
            }
            Some(_) => {}
        }
        Ok(())
    }

    pub(crate) fn vouch(&mut self, session: u32, ends: (usize, usize), amount: u64, expires: u64) -> Answer {
        let (voucher, vouchee) = ends;
        if voucher == vouchee {
            return Err("SelfVouch");
        }
        self.agent(voucher)?;
        self.agent(vouchee)?;
        if self.quarantined(voucher).or(self.quarantined(vouchee)).is_some() {
            return Err("Quarantined");
        }
        if expires <= self.now {
            return Err("Past");
        }
        if self.rho(voucher) < MINIMUM {
            return Err("BelowMinimum");
        }
        if amount == 0 {
            return Err("EmptyStake");
        }
        if (self.bonded(voucher) + amount) * 10 > self.rho(voucher) * 8 {
            return Err("Exposure");
        }
        if self.reaches(vouchee, voucher) {
            return Err("Cycle");
        }
        let (made, released) = (self.now, NEVER);
        let (initial, left, burned) = (amount, amount, 0);
        let struck = 0;
        let bond = Bond { voucher, vouchee, session, initial, left, burned, made, expires, released, struck };
        self.bonds.push(bond);
        Ok(())
    }

    pub(crate) fn release(&mut self, bond: usize) -> Answer {
        let now = self.now;
        if self.is_over(&self.bonds[bond]) {
            return Err("UnknownBond");
        }
        if !self.lifts(&self.bonds[bond]) {
            return Err("Unbonding");
        }
        self.bonds[bond].released = now;
        Ok(())
    }

    pub(crate) fn release_session(&mut self, session: u32) -> Answer {
        for bond in 0..self.bonds.len() {
            if self.bonds[bond].session == session && self.lifts(&self.bonds[bond]) {
                self.bonds[bond].released = self.now;
            }
        }
        Ok(())
    }

    fn check_offence(&self, offence: &Offence) -> Answer {
        self.agent(offence.agent)?;
        if offence.fault == 0 {
            return Err("NoFault");
        }
        if offence.happened > self.now { Err("Future") } else { Ok(()) }
    }

    fn open_charge(&self, evidence: u8) -> Option<usize> {
        self.charges.iter().position(|charge| charge.offence.evidence == evidence && charge.closed == NEVER)
    }

    pub(crate) fn slash(&mut self, offence: &Offence) -> Answer {
        self.check_offence(offence)?;
        match self.verdicts.get(&offence.evidence) {
            Some(&"slashed") => return Ok(()),
            Some(_) => return Err("Dismissed"),
            None => {}
        }
        if self.open_charge(offence.evidence).is_some() {
            return Err("UnderCharge");
        }
        self.carry_out(offence);
        Ok(())
    }

    pub(crate) fn charge(&mut self, offence: &Offence) -> Answer {
        self.check_offence(offence)?;
        match self.verdicts.get(&offence.evidence) {
            Some(&"slashed") => return Ok(()),
            Some(_) => return Err("Dismissed"),
            None => {}
        }
        if self.open_charge(offence.evidence).is_none() {
            self.charges.push(Charge {
                offence: offence.clone(),
                until: self.now + GRACE,
                disputed: false,
                opened: self.now,
                closed: NEVER,
            });
        }
        Ok(())
    }

    pub(crate) fn dispute(&mut self, evidence: u8) -> Answer {
        let at = self.open_charge(evidence).ok_or("NoCharge")?;
        if self.charges[at].disputed {
            return Err("Disputed");
        }
        self.charges[at].disputed = true;
        Ok(())
    }

    pub(crate) fn uphold(&mut self, evidence: u8) -> Answer {
        let at = self.open_charge(evidence).ok_or("NoCharge")?;
        if !self.charges[at].disputed && self.now < self.charges[at].until {
            return Err("GraceRunning");
        }
        let offence = self.charges[at].offence.clone();
        self.carry_out(&offence);
        self.close(at);
        Ok(())
    }

    pub(crate) fn dismiss(&mut self, evidence: u8) -> Answer {
        let at = self.open_charge(evidence).ok_or("NoCharge")?;
        self.verdicts.insert(evidence, "dismissed");
        self.close(at);
        Ok(())
    }

    fn close(&mut self, charge: usize) {
        self.charges[charge].closed = self.now;
    }

    /// What an offence costs whom, and which bonds were struck.
    pub(crate) fn toll(&self, offence: &Offence) -> (Toll, BTreeSet<usize>) {
        let mut toll = Toll::default();
        let mut struck = BTreeSet::new();
        toll.losses.insert(offence.agent, up(self.rho(offence.agent), offence.fault));
        let class = offence.class.unwrap_or(Class::None);
        let mut penalty = offence.risk.unwrap_or(class.risk()).max(class.omega());
        let mut level = vec![offence.agent];
        for _ in 0..3 {
            let mut hit = BTreeSet::new();
            for (no, bond) in self.bonds.iter().enumerate() {
                let backs = level.contains(&bond.vouchee) && Some(bond.session) == offence.session;
                let then = bond.made <= offence.happened && offence.happened <= bond.stops_lifting();
                if backs && then && !self.is_over(bond) {
                    let burned = up(bond.left, penalty);
                    *toll.losses.entry(bond.voucher).or_default() += burned;
                    toll.burned.insert(no, burned);
                    struck.insert(no);
                    hit.insert(bond.voucher);
                }
            }
            level = hit
                .into_iter()
                .filter(|agent| !toll.fallen.contains(agent))
                .filter(|&agent| self.rho(agent) - toll.losses[&agent] < MINIMUM)
                .collect();
            toll.fallen.extend(&level);
            penalty = penalty.div_ceil(2);
        }
        // The offender's own bonds, down to what its reputation still covers.
        let own: Vec<usize> = (0..self.bonds.len())
            .filter(|&no| self.bonds[no].voucher == offence.agent && !self.is_over(&self.bonds[no]))
            .collect();
        let bonded: u64 = own.iter().map(|&no| self.bonds[no].left).sum();
        let covered = self.rho(offence.agent) - toll.losses[&offence.agent];
        let excess = bonded.saturating_sub(covered);
        if excess > 0 {
            for &no in &own {
                toll.burned.insert(no, self.bonds[no].left * excess / bonded);
            }
        }
        (toll, struck)
    }

    /// Takes the toll; what the shares of an excess leave over falls on the bonds in the lowest places.
    fn carry_out(&mut self, offence: &Offence) {
        let (mut toll, struck) = self.toll(offence);
        let covered = self.rho(offence.agent) - toll.losses[&offence.agent];
        let mut over = self.bonded(offence.agent).saturating_sub(covered);
        let own: Vec<usize> = toll.burned.keys().copied().filter(|no| !struck.contains(no)).collect();
        over -= own.iter().map(|no| toll.burned[no]).sum::<u64>();
        let mut by_number = own.clone();
        by_number.sort_by_key(|&no| self.slots[no]);
        for no in by_number {
            let one = u64::from(over > 0 && toll.burned[&no] < self.bonds[no].left);
            *toll.burned.get_mut(&no).unwrap() += one;
            over -= one;
        }
        for (&agent, &loss) in &toll.losses {
            self.agent_mut(agent).rho -= loss;
            self.taken += loss;
        }
        let now = self.now;
        let ends: BTreeSet<usize> = toll.fallen.iter().copied().chain([offence.agent]).collect();
        for no in 0..self.bonds.len() {
            let burned = toll.burned.get(&no).copied().unwrap_or(0);
            let is_over = self.is_over(&self.bonds[no]);
            let stops = self.lifts(&self.bonds[no])
                && (struck.contains(&no) || ends.contains(&self.bonds[no].voucher));
            let bond = &mut self.bonds[no];
            if !is_over {
                bond.left -= burned;
                bond.burned += burned;
            }
            if stops {
                bond.released = now;
            }
            if struck.contains(&no) {
                bond.struck = now + UNBONDING;
            }
        }
        let row = self.agent_mut(offence.agent);
        row.quarantine = NEVER;
        row.slashes += 1;
        self.verdicts.insert(offence.evidence, "slashed");
    }

    pub(crate) fn quarantine(&mut self, agent: usize, until: u64) -> Answer {
        self.agent(agent)?;
        if until <= self.now {
            return Err("Past");
        }
        let row = self.agent_mut(agent);
        row.quarantine = row.quarantine.max(until);
        Ok(())
    }

    pub(crate) fn rehabilitate(&mut self, agent: usize, sigma: u64) -> Answer {
        self.agent(agent)?;
        match self.quarantined(agent) {
            Some("Charged") => return Err("Quarantined"),
            None if sigma <= self.rho(agent) => return Err("NothingToRehabilitate"),
            _ => {}
        }
        let row = self.agent_mut(agent);
        let added = sigma.max(row.rho) - row.rho;
        row.rho += added;
        row.quarantine = 0;
        self.given += added;
        Ok(())
    }

    pub(crate) fn earn(&mut self, agent: usize, amount: u64, ceiling: u64) -> Answer {
        self.agent(agent)?;
        if self.quarantined(agent).is_some() {
            return Err("Quarantined");
        }
        let day = self.now / DAY;
        let row = self.agent_mut(agent);
        let today: u64 = row.gains.iter().filter(|gain| gain.0 == day).map(|gain| gain.1).sum();
        let gain = amount.min(ceiling.saturating_sub(row.rho)).min(GAIN_PER_DAY - today);
        row.gains.push((day, gain));
        row.rho += gain;
        self.given += gain;
        Ok(())
    }

    pub(crate) fn decay(&mut self, agent: usize, amount: u64) -> Answer {
        self.agent(agent)?;
        let loss = amount.min(self.rho(agent) - self.bonded(agent));
        self.agent_mut(agent).rho -= loss;
        self.taken += loss;
        Ok(())
    }
}
