//! The ledger: its state, what holds of it, and its questions about one agent.

use crate::books::{AccountRow, BondRow, Books};
use crate::{
    AgentNo, BondNo, Case, Command, Denial, Event, Quarantine, SessionNo, Source, Totals, Verdict,
    VouchPolicy, lifted,
};
use core::fmt;
use hv_types::{Did, Digest, Illegal, Machine, Reversibility, Share, Sigma, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Who has which reputation, who has locked how much of it for whom, and who answered for what.
///
/// Trust is collateral here: what an agent bonds for another is gone from what it can use itself, and from
/// what it can bond again, until the bond is paid back. All questions are answered as of a point in time,
/// whether or not the passing of time was recorded: nothing that is over counts until somebody notices.
///
/// # What holds
/// - `INVARIANT (L1)` nobody has more bonded than its reputation, and nobody's reputation exceeds 1.
/// - `INVARIANT (L2)` a bond is admitted only within the exposure limit over all sessions.
/// - `INVARIANT (L3)` what was locked in a bond is what is left of it and what was burned; it is paid back
///   once.
/// - `INVARIANT (L4)` the sum of all reputations is what was endowed and earned less what decayed and burned.
/// - `INVARIANT (L10)` nobody answers for itself through others; nothing but such a cycle is refused as one.
/// - `INVARIANT (L13)` a bond that was released, or has expired, answers for what happened before.
/// - `INVARIANT (L14)` a quarantined agent has no effective trust anywhere.
///
/// An empty ledger has allocated nothing.
///
/// ```
/// use hv_liability::{Command, Ledger, SessionNo, Source, Stake, VouchOrder};
/// use hv_types::{Did, Machine, Reversibility, Sigma, Solo, Timestamp};
///
/// let (now, session) = (Timestamp(1), SessionNo(2));
/// let (alpha, beta) = (Did::new("did:mesh:alpha")?, Did::new("did:mesh:beta")?);
/// let mut ledger = Solo::<Ledger>::default();
/// for (agent, sigma) in [(&alpha, "0.8"), (&beta, "0.5")] {
///     let (agent, sigma) = (agent.clone(), sigma.parse()?);
///     ledger.run(&Command::Endow { agent, sigma, source: Source::Asserted }, now).unwrap();
/// }
/// let order = VouchOrder {
///     session,
///     voucher: alpha.clone(),
///     vouchee: beta.clone(),
///     stake: Stake::Default,
///     expires: None,
/// };
/// ledger.run(&Command::Vouch(order), now).unwrap();
///
/// let sigma = |agent, class| ledger.state().sigma_eff(agent, session, class, now).to_f64();
/// assert_eq!(sigma(&alpha, Reversibility::Full), 0.64); // 20 % of 0.8 are locked
/// assert_eq!(sigma(&beta, Reversibility::Full), 0.628); // 0.5 + 0.80 · 0.16
/// assert_eq!(sigma(&beta, Reversibility::None), 0.508); // 0.5 + 0.05 · 0.16
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub(crate) policy: VouchPolicy,
    pub(crate) stage: Stage,
    /// The time of the last event that has one. Nothing is due at it.
    pub(crate) clock: Timestamp,
    pub(crate) totals: Totals,
    pub(crate) books: Books,
    pub(crate) verdicts: BTreeMap<Digest, Verdict>,
    pub(crate) cases: BTreeMap<Digest, Case>,
    /// The charges that nobody has contested, in the order in which they may be carried out.
    pub(crate) docket: BTreeSet<(Timestamp, Digest)>,
    /// How many open cases hold the bonds of a session.
    pub(crate) held: BTreeMap<SessionNo, u32>,
}

/// How a ledger's record goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Stage {
    /// With anything; nothing is there yet.
    #[default]
    New,
    /// With the rows of a snapshot.
    Restoring,
    /// With what happens.
    Running,
}

/// Whether a bond lifts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BondState {
    /// It lifts the one vouched for.
    Active,
    /// It lifts nobody, is locked still, and answers for what happened while it lifted.
    Unbonding,
}

impl BondState {
    /// As it is written in files and shown to people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Unbonding => "unbonding",
        }
    }
}

impl fmt::Display for BondState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

hv_types::wire_enum!(BondState { 0 => Active {}, 1 => Unbonding {} });

/// An agent's account at a point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The agent's number.
    pub agent: AgentNo,
    /// The agent's name.
    pub did: Did,
    /// Who said what it began with.
    pub source: Source,
    /// Its reputation ρ.
    pub reputation: Sigma,
    /// What it has bonded, E: active and unbonding bonds over all sessions.
    pub bonded: Sigma,
    /// How often it was slashed for violations of its own.
    pub slashes: u32,
    /// What keeps it quarantined, if anything does.
    pub quarantine: Option<Quarantine>,
}

/// A bond at a point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bond {
    /// Its number.
    pub no: BondNo,
    /// Where it lifts.
    pub session: SessionNo,
    /// Whose reputation is locked.
    pub voucher: AgentNo,
    /// Who is lifted.
    pub vouchee: AgentNo,
    /// What was locked.
    pub initial: Sigma,
    /// What is left of it; the rest was burned.
    pub remaining: Sigma,
    /// Whether it lifts.
    pub state: BondState,
    /// When it was made.
    pub since: Timestamp,
    /// When it stopped lifting, if it did.
    pub released: Option<Timestamp>,
    /// When it expires by itself, or is paid back; nothing if it lasts until it is released.
    pub ends: Option<Timestamp>,
}

impl Machine for Ledger {
    type Command = Command;
    type Event = Event;
    type Denial = Denial;

    fn decide(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Denial> {
        let mut events = Vec::new();
        self.decide_into(command, now, &mut events)?;
        Ok(events)
    }

    fn apply(&mut self, event: &Event) -> Result<(), Illegal> {
        crate::apply::apply(self, event)
    }

    fn compact(&self) -> Vec<Event> {
        crate::snapshot::compact(self)
    }
}

impl Ledger {
    /// What [`decide`](Machine::decide) answers, appended to what others decided; nothing where it is refused.
    ///
    /// # Errors
    /// Those of [`decide`](Machine::decide).
    pub fn decide_into(
        &self,
        command: &Command,
        now: Timestamp,
        events: &mut Vec<Event>,
    ) -> Result<(), Denial> {
        crate::decide::decide(self, command, self.present(now), events)
    }

    /// The policy in force.
    #[must_use]
    pub const fn policy(&self) -> &VouchPolicy {
        &self.policy
    }

    /// What was ever given and taken.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// How many accounts there are.
    #[must_use]
    pub const fn agent_count(&self) -> usize {
        self.books.accounts().len()
    }

    /// How many bonds there are, active and unbonding, as far as the passing of time was recorded.
    #[must_use]
    pub const fn bond_count(&self) -> usize {
        self.books.bond_count()
    }

    /// The next time at which a bond expires or is paid back, for whoever wakes the ledger with
    /// [`Command::Settle`]. Answers do not depend on it.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.books.next_due().map(|(time, _)| time)
    }

    /// The agents that are known, by their numbers.
    pub fn agents(&self) -> impl Iterator<Item = &Did> {
        self.books.accounts().iter().map(|account| &account.did)
    }

    /// The number of an agent, if it is known.
    #[must_use]
    pub fn agent(&self, did: &Did) -> Option<AgentNo> {
        self.books.find(did)
    }

    /// The name of an agent.
    #[must_use]
    pub fn did(&self, agent: AgentNo) -> Option<&Did> {
        self.books.account(agent.0).map(|account| &account.did)
    }

    /// The account of an agent, if it is known.
    #[must_use]
    pub fn account(&self, did: &Did, now: Timestamp) -> Option<Account> {
        let agent = self.agent(did)?;
        let row = self.books.account(agent.0)?;
        Some(Account {
            agent,
            did: row.did.clone(),
            source: row.source,
            reputation: ppm(row.reputation),
            bonded: self.bonded(agent, now),
            slashes: u32::from(row.slashes),
            quarantine: self.quarantine(agent, now),
        })
    }

    /// The bond of this number, if it was not paid back.
    #[must_use]
    pub fn bond(&self, no: BondNo, now: Timestamp) -> Option<Bond> {
        self.view(no.slot, self.present(now)).filter(|bond| bond.no == no)
    }

    /// The number that the next bond gets.
    #[must_use]
    pub fn next_bond(&self) -> Option<BondNo> {
        self.books.next_bond()
    }

    /// ρ of an agent: its reputation, bonded or not. Nothing for one that is not known.
    #[must_use]
    pub fn reputation(&self, did: &Did) -> Sigma {
        let row = self.agent(did).and_then(|agent| self.books.account(agent.0));
        row.map_or(Sigma::ZERO, |row| ppm(row.reputation))
    }

    /// σ_low = ρ − E of an agent: what it has and has not bonded. Nothing for one that is not known.
    #[must_use]
    pub fn sigma_low(&self, did: &Did, now: Timestamp) -> Sigma {
        self.agent(did).map_or(Sigma::ZERO, |agent| self.low(agent, now))
    }

    /// σ_eff of an agent in a session for a class of action: min(1, σ_low + ω · Σ bonds received there).
    ///
    /// Nothing for an agent that is not known, and for one that is quarantined. `INVARIANT (L14)` What is bonded is
    /// no longer the voucher's, so the sum over all agents is at most that of their reputations. `INVARIANT (L8)`
    ///
    /// Costs two hashes at most, however much was ever vouched; and a look at each bond that is overdue, as long as
    /// nobody has recorded that.
    #[must_use]
    pub fn sigma_eff(&self, did: &Did, session: SessionNo, class: Reversibility, now: Timestamp) -> Sigma {
        self.agent(did).map_or(Sigma::ZERO, |agent| self.sigma_eff_of(agent, session, class, now))
    }

    /// The same for an agent whose number is known.
    #[must_use]
    pub fn sigma_eff_of(
        &self,
        agent: AgentNo,
        session: SessionNo,
        class: Reversibility,
        now: Timestamp,
    ) -> Sigma {
        self.effective(agent, session, self.policy.omega(class), now)
    }

    /// σ_eff with a vouching weight; nothing for an agent under quarantine, and for a number that nobody has.
    fn effective(&self, agent: AgentNo, session: SessionNo, omega: Share, now: Timestamp) -> Sigma {
        if self.quarantine(agent, now).is_some() {
            return Sigma::ZERO;
        }
        lifted(self.low(agent, now), omega, self.backed(agent, session, now))
    }

    /// σ_eff with FULL: what an agent's standing in a session is judged by.
    #[must_use]
    pub fn standing_sigma(&self, did: &Did, session: SessionNo, now: Timestamp) -> Sigma {
        self.sigma_eff(did, session, Reversibility::Full, now)
    }

    /// σ_eff with a vouching weight of the caller's, as the Python package agent-hypervisor computes it.
    #[must_use]
    pub fn sigma_eff_weighted(&self, did: &Did, session: SessionNo, omega: Share, now: Timestamp) -> Sigma {
        self.agent(did).map_or(Sigma::ZERO, |agent| self.effective(agent, session, omega, now))
    }

    /// The sum of the active bonds that an agent received in a session, in parts per million; may exceed 1.
    #[must_use]
    pub fn backing(&self, did: &Did, session: SessionNo, now: Timestamp) -> u64 {
        self.agent(did).map_or(0, |agent| self.backed(agent, session, now))
    }

    /// What an agent may still bond: ⌊exposure · ρ⌋ − E, over all sessions. `INVARIANT (L2)`
    #[must_use]
    pub fn capacity(&self, did: &Did, now: Timestamp) -> Sigma {
        self.agent(did).map_or(Sigma::ZERO, |agent| {
            let limit = self.policy.exposure_limit(self.row_reputation(agent));
            limit.saturating_sub(self.bonded(agent, now))
        })
    }

    /// Whether an agent is quarantined, and by what. Nothing for one that is not known.
    #[must_use]
    pub fn quarantined(&self, did: &Did, now: Timestamp) -> Option<Quarantine> {
        self.agent(did).and_then(|agent| self.quarantine(agent, now))
    }

    /// The same for an agent whose number is known.
    #[must_use]
    pub fn quarantine_of(&self, agent: AgentNo, now: Timestamp) -> Option<Quarantine> {
        self.quarantine(agent, now)
    }

    /// What came of evidence, if it was used.
    #[must_use]
    pub fn verdict(&self, evidence: &Digest) -> Option<Verdict> {
        self.verdicts.get(evidence).copied()
    }

    /// The charges that are open, by their evidence.
    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        self.cases.values()
    }

    /// The charge that rests on this evidence, while it is open.
    #[must_use]
    pub fn case(&self, evidence: &Digest) -> Option<&Case> {
        self.cases.get(evidence)
    }

    /// The charges that may be carried out now because nobody has contested them in time, in the order in which they
    /// became so; those of one moment in that of their evidence.
    pub fn ripe(&self, now: Timestamp) -> impl Iterator<Item = &Case> {
        let ripe = self.docket.iter().take_while(move |(until, _)| *until <= now);
        ripe.filter_map(|(_, evidence)| self.cases.get(evidence))
    }

    /// When the next charge may be carried out unless somebody contests it before, for whoever wakes the ledger with
    /// [`Command::Uphold`]. Unlike a bond, a charge is not over by time alone: its agent stays quarantined until then.
    #[must_use]
    pub fn next_ripe(&self) -> Option<Timestamp> {
        self.docket.first().map(|(until, _)| *until)
    }

    /// The time of a command: never before what was recorded already.
    pub(crate) fn present(&self, now: Timestamp) -> Timestamp {
        now.max(self.clock)
    }

    /// Whether something has come due that was not recorded.
    pub(crate) fn overdue(&self, now: Timestamp) -> bool {
        self.next_due().is_some_and(|due| due <= now)
    }

    pub(crate) fn row_reputation(&self, agent: AgentNo) -> Sigma {
        self.books.account(agent.0).map_or(Sigma::ZERO, |row| ppm(row.reputation))
    }

    /// E of an agent.
    pub(crate) fn bonded(&self, agent: AgentNo, now: Timestamp) -> Sigma {
        let now = self.present(now);
        let mut bonded = self.books.account(agent.0).map_or(0, |row| row.bonded);
        if self.overdue(now) {
            self.books.due(now, &mut |_, bond| {
                if bond.voucher == agent.0 && self.paid_back(bond, now) {
                    bonded = bonded.saturating_sub(bond.remaining);
                }
            });
        }
        ppm(bonded)
    }

    pub(crate) fn low(&self, agent: AgentNo, now: Timestamp) -> Sigma {
        self.row_reputation(agent).saturating_sub(self.bonded(agent, now))
    }

    /// The sum of the active bonds that an agent received in a session.
    pub(crate) fn backed(&self, agent: AgentNo, session: SessionNo, now: Timestamp) -> u64 {
        let now = self.present(now);
        let Some(at) = self.books.find_backing(agent.0, session) else { return 0 };
        let mut active = self.books.backing(at).map_or(0, |backing| backing.active());
        if self.overdue(now) {
            self.books.due(now, &mut |_, bond| {
                if bond.backing == at && bond.state() == BondState::Active {
                    active = active.saturating_sub(u64::from(bond.remaining));
                }
            });
        }
        active
    }

    pub(crate) fn quarantine(&self, agent: AgentNo, now: Timestamp) -> Option<Quarantine> {
        let row = self.books.account(agent.0)?;
        match row.quarantine {
            Timestamp::MAX => Some(Quarantine::UntilRehabilitated),
            _ if row.cases > 0 => Some(Quarantine::Charged),
            until if until > self.present(now) => Some(Quarantine::Until(until)),
            _ => None,
        }
    }

    /// Whether a bond is paid back at a time, recorded or not: its unbonding time is over, and no open case
    /// holds it.
    pub(crate) fn paid_back(&self, bond: &BondRow, now: Timestamp) -> bool {
        let ends = match bond.state() {
            BondState::Active => bond.ends.after(self.policy.unbonding),
            BondState::Unbonding => bond.ends,
        };
        ends <= now && ends != Timestamp::MAX && !self.is_held(bond)
    }

    pub(crate) fn is_held(&self, bond: &BondRow) -> bool {
        let backing = self.books.backing(bond.backing);
        backing.is_some_and(|backing| self.held.contains_key(&backing.session))
    }

    /// A bond as of a time, recorded or not; nothing if it is paid back.
    pub(crate) fn view(&self, slot: u32, now: Timestamp) -> Option<Bond> {
        let bond = self.books.bond(slot).filter(|bond| !self.paid_back(bond, now))?;
        let backing = self.books.backing(bond.backing)?;
        let expired = bond.state() == BondState::Active && bond.ends <= now;
        let (released, ends) = match expired {
            true => (bond.ends, bond.ends.after(self.policy.unbonding)),
            false => (bond.released, bond.ends),
        };
        let some = |time: Timestamp| (time != Timestamp::MAX).then_some(time);
        Some(Bond {
            no: BondNo { slot, turn: bond.turn },
            session: backing.session,
            voucher: AgentNo(bond.voucher),
            vouchee: AgentNo(backing.vouchee),
            initial: ppm(bond.initial),
            remaining: ppm(bond.remaining),
            state: if some(released).is_some() { BondState::Unbonding } else { BondState::Active },
            since: bond.since,
            released: some(released),
            ends: some(ends),
        })
    }

    pub(crate) fn row(&self, agent: AgentNo) -> Option<&AccountRow> {
        self.books.account(agent.0)
    }
}

/// Parts per million of a row, which are never more than the whole.
pub(crate) const fn ppm(ppm: u32) -> Sigma {
    Sigma::capped(ppm as u64)
}
