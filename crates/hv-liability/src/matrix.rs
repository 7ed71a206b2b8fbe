//! The liability matrix: who answers for whom.

use crate::{AgentNo, Bond, BondState, Cause, Cut, Ledger, Offence, SessionNo, SlashReason, Toll};
use core::fmt::{self, Write};
use hv_types::{Did, Digest, Share, Sigma, Timestamp};
use std::collections::BTreeMap;

/// The vouches of a ledger as of a point in time, seen from either end.
///
/// Lists are sorted by session, then by the agents' numbers, then by the bonds'.
///
/// ```
/// use hv_liability::{Command, Ledger, SessionNo, Source, Stake, VouchOrder};
/// use hv_types::{Did, Solo, Timestamp};
///
/// let [a, b, c] = ["a", "b", "c"].map(|name| Did::new(&format!("did:mesh:{name}")).unwrap());
/// let (now, session) = (Timestamp(1), SessionNo(2));
/// let mut ledger = Solo::<Ledger>::default();
/// for agent in [&a, &b, &c] {
///     let (agent, sigma) = (agent.clone(), "0.9".parse()?);
///     ledger.run(&Command::Endow { agent, sigma, source: Source::Asserted }, now).unwrap();
/// }
/// for (voucher, vouchee) in [(&a, &b), (&b, &c)] {
///     let (voucher, vouchee, stake) = (voucher.clone(), vouchee.clone(), Stake::Default);
///     let order = VouchOrder { session, voucher, vouchee, stake, expires: None };
///     ledger.run(&Command::Vouch(order), now).unwrap();
/// }
/// let matrix = ledger.state().matrix(now);
/// assert_eq!(matrix.vouchers_of(&b).len(), 1);
/// assert_eq!(matrix.vouched_by(&b).len(), 1);
/// assert_eq!(matrix.path(&a, &c), Some(vec![a, b, c]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    ledger: &'a Ledger,
    now: Timestamp,
}

/// How much of an agent's reputation is at stake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposure {
    /// Its reputation.
    pub reputation: Sigma,
    /// What it has bonded: active and unbonding, over all sessions.
    pub bonded: Sigma,
    /// The most that it may have bonded when it vouches.
    pub limit: Sigma,
    /// What it may still bond.
    pub left: Sigma,
}

impl Ledger {
    /// The vouches as of a point in time.
    #[must_use]
    pub fn matrix(&self, now: Timestamp) -> Matrix<'_> {
        Matrix { ledger: self, now: self.present(now) }
    }
}

impl Matrix<'_> {
    /// The bonds for an agent. Costs those bonds.
    #[must_use]
    pub fn vouchers_of(&self, agent: &Did) -> Vec<Bond> {
        let books = &self.ledger.books;
        self.ledger.agent(agent).map_or(Vec::new(), |agent| {
            self.sorted(books.backings_of(agent.0).flat_map(|backing| books.in_backing(backing)))
        })
    }

    /// The bonds of an agent. Costs those bonds.
    #[must_use]
    pub fn vouched_by(&self, agent: &Did) -> Vec<Bond> {
        self.ledger.agent(agent).map_or(Vec::new(), |agent| self.sorted(self.ledger.books.given(agent.0)))
    }

    /// The bonds of a session. Costs those bonds.
    #[must_use]
    pub fn in_session(&self, session: SessionNo) -> Vec<Bond> {
        self.sorted(self.ledger.books.in_session(session))
    }

    /// All bonds. Costs the ledger.
    #[must_use]
    pub fn bonds(&self) -> Vec<Bond> {
        self.sorted((0u32..).zip(self.ledger.books.bonds()).map(|(slot, _)| slot))
    }

    /// How much of an agent's reputation is at stake; nothing for one that is not known.
    #[must_use]
    pub fn exposure(&self, agent: &Did) -> Option<Exposure> {
        let no = self.ledger.agent(agent)?;
        let reputation = self.ledger.row_reputation(no);
        Some(Exposure {
            reputation,
            bonded: self.ledger.bonded(no, self.now),
            limit: self.ledger.policy.exposure_limit(reputation),
            left: self.ledger.capacity(agent, self.now),
        })
    }

    /// What it would cost whom if an agent did, now and in this session and all by its own fault, what cannot
    /// be undone; nothing for one that is not known.
    #[must_use]
    pub fn cost_of(&self, agent: &Did, session: SessionNo) -> Option<Toll> {
        let offence = Offence {
            evidence: Digest([0; 32]),
            agent: self.ledger.agent(agent)?,
            session: Some(session),
            fault: Share::ONE,
            class: None,
            risk: None,
            happened: self.now,
            reason: SlashReason::Violation,
        };
        Some(crate::slash::toll(self.ledger, &offence, self.now))
    }

    /// The ways that [`cost_of`](Matrix::cost_of) takes: from the agent over those who vouch for it to those
    /// who vouch for them, as far as it cascades; at most so many.
    #[must_use]
    pub fn cascade_paths(&self, agent: &Did, session: SessionNo, most: usize) -> Vec<Vec<Did>> {
        let (Some(no), Some(toll)) = (self.ledger.agent(agent), self.cost_of(agent, session)) else {
            return Vec::new();
        };
        let mut onward: BTreeMap<(u8, AgentNo), Vec<AgentNo>> = BTreeMap::new();
        for Cut { voucher, vouchee, cause, .. } in &toll.cuts {
            if let Cause::Backed { depth } = *cause {
                let vouchers = onward.entry((depth, *vouchee)).or_default();
                if !vouchers.contains(voucher) {
                    vouchers.push(*voucher);
                }
            }
        }
        onward.values_mut().for_each(|vouchers| vouchers.sort_unstable_by(|a, b| b.cmp(a)));
        let mut paths = Vec::new();
        let mut waiting = vec![vec![no]];
        while let Some(path) = waiting.pop().filter(|_| paths.len() < most) {
            let depth = u8::try_from(path.len() - 1).unwrap_or(u8::MAX);
            let vouchers = path.last().and_then(|last| onward.get(&(depth, *last)));
            for &voucher in vouchers.into_iter().flatten() {
                waiting.push(path.iter().copied().chain([voucher]).collect());
            }
            if vouchers.is_none() && path.len() > 1 {
                paths.push(path.iter().filter_map(|&agent| self.ledger.did(agent).cloned()).collect());
            }
        }
        paths
    }

    /// A way on which the first agent answers for the last, each vouching for the next; the shortest.
    ///
    /// Costs every bond that can be reached.
    #[must_use]
    pub fn path(&self, from: &Did, to: &Did) -> Option<Vec<Did>> {
        let (start, goal) = (self.ledger.agent(from)?, self.ledger.agent(to)?);
        let mut came_from = BTreeMap::from([(start, start)]);
        let mut level = vec![start];
        while !level.is_empty() && !came_from.contains_key(&goal) {
            let mut next = Vec::new();
            for agent in level {
                for bond in self.sorted(self.ledger.books.given(agent.0)) {
                    came_from.entry(bond.vouchee).or_insert_with(|| {
                        next.push(bond.vouchee);
                        agent
                    });
                }
            }
            level = next;
        }
        let mut path = vec![goal];
        let mut at = goal;
        while at != start {
            at = *came_from.get(&at)?;
            path.push(at);
        }
        path.iter().rev().map(|&agent| self.ledger.did(agent).cloned()).collect()
    }

    /// The agents that answer for themselves through others, and those for whom such agents vouch. There are
    /// none: this looks for itself, without the order that keeps them out, for whoever wants to check.
    /// `INVARIANT (L10)`
    ///
    /// Costs the ledger.
    #[must_use]
    pub fn cycles(&self) -> Vec<Did> {
        let bonds = self.bonds();
        let mut backed: BTreeMap<AgentNo, usize> = BTreeMap::new();
        let mut given: BTreeMap<AgentNo, Vec<AgentNo>> = BTreeMap::new();
        for bond in &bonds {
            backed.entry(bond.voucher).or_default();
            *backed.entry(bond.vouchee).or_default() += 1;
            given.entry(bond.voucher).or_default().push(bond.vouchee);
        }
        let mut free: Vec<AgentNo> = Vec::new();
        backed.iter().filter(|&(_, &count)| count == 0).for_each(|(&agent, _)| free.push(agent));
        while let Some(agent) = free.pop() {
            backed.remove(&agent);
            for vouchee in given.remove(&agent).into_iter().flatten() {
                if let Some(count) = backed.get_mut(&vouchee) {
                    *count -= 1;
                    if *count == 0 {
                        free.push(vouchee);
                    }
                }
            }
        }
        backed.keys().filter_map(|&agent| self.ledger.did(agent).cloned()).collect()
    }

    /// The vouches as a graph in the DOT language, of one session or of all; unbonding bonds are dashed. The ledger knows
    /// sessions by number; `name` says what each is called.
    ///
    /// # Errors
    /// What writing to `out` gives.
    pub fn write_dot<N: fmt::Display>(
        &self,
        session: Option<SessionNo>,
        name: impl Fn(SessionNo) -> N,
        out: &mut impl Write,
    ) -> fmt::Result {
        let bonds = session.map_or_else(|| self.bonds(), |session| self.in_session(session));
        let mut agents: Vec<AgentNo> = bonds.iter().flat_map(|bond| [bond.voucher, bond.vouchee]).collect();
        agents.sort_unstable();
        agents.dedup();
        writeln!(out, "digraph liability {{\n  rankdir=LR;\n  node [shape=box];")?;
        for agent in agents {
            let Some(did) = self.ledger.did(agent) else { continue };
            let (reputation, bonded) =
                (self.ledger.row_reputation(agent), self.ledger.bonded(agent, self.now));
            let style = if self.ledger.quarantine(agent, self.now).is_some() { ", style=filled" } else { "" };
            writeln!(out, "  n{agent} [label=\"{did}\\nρ {reputation}, bonded {bonded}\"{style}];")?;
        }
        for Bond { no, session, voucher, vouchee, remaining, state, .. } in bonds {
            let style = if state == BondState::Unbonding { ", style=dashed" } else { "" };
            let session = name(session).to_string().replace('\\', "\\\\").replace('"', "\\\"");
            writeln!(
                out,
                "  n{voucher} -> n{vouchee} [label=\"{remaining} in {session} (bond {no})\"{style}];"
            )?;
        }
        writeln!(out, "}}")
    }

    fn sorted(&self, slots: impl Iterator<Item = u32>) -> Vec<Bond> {
        let mut bonds: Vec<Bond> = slots.filter_map(|slot| self.ledger.view(slot, self.now)).collect();
        bonds.sort_unstable_by_key(|bond| (bond.session, bond.voucher, bond.vouchee, bond.no));
        bonds
    }
}

impl fmt::Display for Matrix<'_> {
    /// One line a bond.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for bond in self.bonds() {
            if let (Some(voucher), Some(vouchee)) =
                (self.ledger.did(bond.voucher), self.ledger.did(bond.vouchee))
            {
                let Bond { remaining, session, state, no, .. } = bond;
                writeln!(f, "{voucher} → {vouchee}: {remaining} in {session}, {state} (bond {no})")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::{BondRow, Fit};
    use crate::{Command, Machine, Source};

    /// No ledger has one, so this one is put together by hand.
    #[test]
    fn l10_a_cycle_would_be_found() {
        let mut ledger = Ledger::default();
        for name in ["a", "b", "c", "d"] {
            let agent = Did::new(&format!("did:mesh:{name}")).unwrap();
            let command = Command::Endow { agent, sigma: Sigma::ONE, source: Source::Scored };
            let events = ledger.decide(&command, Timestamp(0)).unwrap();
            events.iter().for_each(|event| ledger.apply(event).unwrap());
        }
        let names = |ledger: &Ledger| -> Vec<String> {
            ledger.matrix(Timestamp(0)).cycles().iter().map(ToString::to_string).collect()
        };
        let row = BondRow::new(1, Timestamp(0), Timestamp::MAX);
        for (ends, cycle) in [
            ((0, 1), &[][..]),
            ((1, 2), &[]),
            ((2, 3), &[]),
            ((2, 1), &["did:mesh:b", "did:mesh:c", "did:mesh:d"]),
        ] {
            ledger.books.lock(ends, SessionNo(0), &row, &Fit::Agrees).unwrap();
            assert_eq!(names(&ledger), cycle, "{ends:?}");
        }
    }
}
