//! The ledger's storage: rows in plain vectors, tied together by numbers, and nothing that decides.
//!
//! A bond hangs in two lists, that of its voucher and that of its *backing*: all bonds for one agent in one
//! session, with their running sum. Backings hang in the lists of their agent and of their session. So what
//! an agent is lifted by in a session is one lookup, and ending or burning a bond touches only its
//! neighbours. Lists have no order that means anything; whatever leaves the crate is sorted first.

mod backings;
mod index;
mod order;
mod rows;
mod search;
mod timer;

use crate::{AgentNo, BondNo, BondState, SessionNo, Source};
use core::cmp::Reverse;
use foldhash::quality::RandomState;
use hv_types::{Did, Sigma, Timestamp};
use std::collections::BinaryHeap;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use index::Index;
pub(crate) use order::Fit;
use order::{Edges, Order};
pub(crate) use rows::{AccountRow, Backing, BondRow, Day};
use rows::{SessionRow, Slab, push, unlink, walk};
use search::Room;
use timer::Timer;

/// So many names are compared one by one.
const FEW: usize = 4;

/// The number of no row.
pub(crate) const NIL: u32 = u32::MAX;

/// All rows of a ledger.
#[derive(Debug, Clone)]
pub(crate) struct Books {
    accounts: Vec<AccountRow>,
    /// Once they are more than a few.
    by_did: Index,
    bonds: Vec<BondRow>,
    /// The lowest free place is used first, so that which place a bond gets does not depend on the order in
    /// which places became free.
    free_bonds: BinaryHeap<Reverse<u32>>,
    /// How many places hold a bond.
    live_bonds: usize,
    backings: Slab<Backing>,
    /// Those of agents that have more than a few, and all of theirs.
    by_agent_and_session: Index,
    sessions: Slab<SessionRow>,
    by_session: Index,
    timer: Timer,
    order: Order,
    searched: Searched,
    /// The key of the hash indexes: agents choose their names, and must not be able to choose their places.
    key: RandomState,
}

impl Default for Books {
    /// Made where it stays, because it is large.
    #[inline(always)]
    fn default() -> Self {
        Self {
            accounts: Vec::new(),
            by_did: Index::default(),
            bonds: Vec::new(),
            free_bonds: BinaryHeap::new(),
            live_bonds: 0,
            backings: Slab::default(),
            by_agent_and_session: Index::default(),
            sessions: Slab::default(),
            by_session: Index::default(),
            timer: Timer::default(),
            order: Order::default(),
            searched: Searched::default(),
            key: RandomState::default(),
        }
    }
}

impl Books {
    pub(crate) const fn accounts(&self) -> &[AccountRow] {
        self.accounts.as_slice()
    }

    pub(crate) const fn bonds(&self) -> &[BondRow] {
        self.bonds.as_slice()
    }

    pub(crate) fn account(&self, agent: u32) -> Option<&AccountRow> {
        self.accounts.get(agent as usize)
    }

    pub(crate) fn account_mut(&mut self, agent: u32) -> Option<&mut AccountRow> {
        self.accounts.get_mut(agent as usize)
    }

    pub(crate) fn backing(&self, backing: u32) -> Option<&Backing> {
        self.backings.get(backing)
    }

    /// How many bonds there are, active and unbonding.
    pub(crate) const fn bond_count(&self) -> usize {
        self.live_bonds
    }

    /// The bond in a place, if there is one.
    pub(crate) fn bond(&self, slot: u32) -> Option<&BondRow> {
        self.bonds.get(slot as usize).filter(|bond| bond.backing != NIL)
    }

    /// The bond of this number, if it is still there.
    pub(crate) fn bond_no(&self, no: BondNo) -> Option<&BondRow> {
        self.bond(no.slot).filter(|bond| bond.turn == no.turn)
    }

    /// The account of an agent. One hash and one comparison; a few accounts are compared one by one.
    pub(crate) fn find(&self, did: &Did) -> Option<AgentNo> {
        if self.accounts.len() <= FEW {
            let row = self.accounts.iter().position(|account| account.did == *did)?;
            return u32::try_from(row).ok().map(AgentNo);
        }
        let same = |row: u32| self.account(row).is_some_and(|account| account.did == *did);
        self.by_did.find(self.key.hash_one(did), same).map(AgentNo)
    }

    /// The number of the next account; none when all are used.
    pub(crate) fn next_agent(&self) -> Option<AgentNo> {
        u32::try_from(self.accounts.len()).ok().filter(|&agent| agent != NIL).map(AgentNo)
    }

    /// Opens an account, unless the agent has one. One hash.
    pub(crate) fn open(&mut self, did: Did, source: Source, reputation: Sigma) -> Option<()> {
        let AgentNo(agent) = self.next_agent()?;
        if self.accounts.len() < FEW {
            if self.accounts.iter().any(|account| account.did == did) {
                return None;
            }
        } else {
            if self.by_did.is_empty() {
                (0..agent).try_for_each(|row| self.enter(row, &self.account(row)?.did.clone()))?;
            }
            self.enter(agent, &did)?;
        }
        self.accounts.push(AccountRow {
            did,
            quarantine: Timestamp(0),
            reputation: reputation.ppm(),
            bonded: 0,
            gained: 0,
            gain_day: Day::of(Timestamp(0)),
            cases: 0,
            slashes: 0,
            source,
            first_given: NIL,
            first_backing: NIL,
            backings: 0,
        });
        self.order.append();
        Some(())
    }

    /// Enters a row into the index of names, unless the name is there.
    fn enter(&mut self, row: u32, did: &Did) -> Option<()> {
        let (accounts, key) = (&self.accounts, &self.key);
        let did_of = |row: u32| accounts.get(row as usize).map(|account| &account.did);
        let same = |row: u32| did_of(row) == Some(did);
        let hash_of = |row: u32| did_of(row).map_or(0, |did| key.hash_one(did));
        let hash = key.hash_one(did);
        if self.by_did.find(hash, same).is_some() {
            return None;
        }
        self.by_did.put(hash, row, hash_of);
        Some(())
    }

    /// The number of the next bond; none when all are used.
    pub(crate) fn next_bond(&self) -> Option<BondNo> {
        let Some(&Reverse(slot)) = self.free_bonds.peek() else {
            let slot = u32::try_from(self.bonds.len()).ok().filter(|&slot| slot != NIL)?;
            return Some(BondNo { slot, turn: 0 });
        };
        Some(BondNo { slot, turn: self.bonds.get(slot as usize)?.turn })
    }

    /// Adds a place for bonds that is free, behind all others.
    pub(crate) fn add_free_slot(&mut self, turn: u32) -> Option<()> {
        let slot = u32::try_from(self.bonds.len()).ok().filter(|&slot| slot != NIL)?;
        self.bonds.push(BondRow { turn, ..BondRow::free() });
        if turn != NIL {
            self.free_bonds.push(Reverse(slot));
        }
        Some(())
    }

    /// Locks a bond, in the place that [`next_bond`](Books::next_bond) names, and makes room in the order for
    /// the edge as `fit` says.
    pub(crate) fn lock(
        &mut self,
        ends: (u32, u32),
        session: SessionNo,
        row: &BondRow,
        fit: &Fit,
    ) -> Option<()> {
        let no = self.next_bond()?;
        let bonded = self.bonded_with(ends, row.remaining)?;
        if self.free_bonds.pop().is_none() {
            self.bonds.push(BondRow::free());
        }
        self.hang(no, ends, session, row, bonded);
        self.order.make_room(fit);
        Some(())
    }

    /// Puts a bond in a place behind all others, as it was before a snapshot.
    pub(crate) fn keep(
        &mut self,
        turn: u32,
        ends: (u32, u32),
        session: SessionNo,
        row: &BondRow,
        fit: &Fit,
    ) -> Option<()> {
        let slot = u32::try_from(self.bonds.len()).ok().filter(|&slot| slot != NIL)?;
        let bonded = self.bonded_with(ends, row.remaining)?;
        self.bonds.push(BondRow::free());
        self.hang(BondNo { slot, turn }, ends, session, row, bonded);
        self.order.make_room(fit);
        Some(())
    }

    /// What the voucher will have bonded, if both it and the vouchee are there.
    fn bonded_with(&self, (voucher, vouchee): (u32, u32), amount: u32) -> Option<u32> {
        self.account(vouchee)?;
        self.account(voucher)?.bonded.checked_add(amount)
    }

    fn hang(
        &mut self,
        BondNo { slot, turn }: BondNo,
        (voucher, vouchee): (u32, u32),
        session: SessionNo,
        row: &BondRow,
        bonded: u32,
    ) {
        self.live_bonds += 1;
        self.searched.forget();
        let at = self.backing_for(vouchee, session);
        if let Some(backing) = self.backings.rows.get_mut(at as usize) {
            if row.state() == BondState::Active {
                backing.add(row.remaining);
            }
            if let Some(place) = self.bonds.get_mut(slot as usize) {
                *place = BondRow { turn, voucher, backing: at, ..row.clone() };
            }
            push(&mut self.bonds, |bond| &mut bond.of_backing, &mut backing.first_bond, slot);
        }
        if let Some(account) = self.accounts.get_mut(voucher as usize) {
            account.bonded = bonded;
            push(&mut self.bonds, |bond| &mut bond.of_voucher, &mut account.first_given, slot);
        }
        self.timer.push(&mut self.bonds, slot);
    }

    /// Ends an active bond: it lifts no more, and comes due again at `ends`.
    pub(crate) fn unbond(&mut self, slot: u32, released: Timestamp, ends: Timestamp) {
        let Some(bond) = self.bonds.get_mut(slot as usize) else { return };
        if bond.state() != BondState::Active {
            return;
        }
        // The last point in time stands for an active bond.
        bond.released = Timestamp(released.0.min(Timestamp::MAX.0 - 1));
        let (backing, remaining) = (bond.backing, bond.remaining);
        if let Some(backing) = self.backings.rows.get_mut(backing as usize) {
            backing.subtract(remaining);
        }
        self.timer.remove(&mut self.bonds, slot);
        if let Some(bond) = self.bonds.get_mut(slot as usize) {
            bond.ends = ends;
        }
        self.timer.push(&mut self.bonds, slot);
    }

    /// Lets an unbonding bond end no earlier than this. One that is held stays off the clock.
    pub(crate) fn delay(&mut self, slot: u32, ends: Timestamp) {
        let Some(bond) = self.bonds.get(slot as usize) else { return };
        if bond.state() == BondState::Active || bond.ends >= ends {
            return;
        }
        let held = bond.timer_at == NIL;
        self.timer.remove(&mut self.bonds, slot);
        if let Some(bond) = self.bonds.get_mut(slot as usize) {
            bond.ends = ends;
        }
        if !held {
            self.timer.push(&mut self.bonds, slot);
        }
    }

    /// Burns a part of a bond: it is gone from the bond and from what its voucher has bonded.
    ///
    /// Whether it is gone from the voucher's reputation is for the caller: that may have lost it already.
    pub(crate) fn burn(&mut self, slot: u32, amount: u32) {
        let Some(bond) = self.bonds.get_mut(slot as usize) else { return };
        let amount = amount.min(bond.remaining);
        bond.remaining -= amount;
        let (backing, voucher, active) = (bond.backing, bond.voucher, bond.state() == BondState::Active);
        if let Some(backing) = self.backings.rows.get_mut(backing as usize).filter(|_| active) {
            backing.subtract(amount);
        }
        if let Some(account) = self.accounts.get_mut(voucher as usize) {
            account.bonded = account.bonded.saturating_sub(amount);
        }
    }

    /// Pays a bond back: what is left of it is free, and its place too. `INVARIANT (L3)`
    pub(crate) fn pay_back(&mut self, slot: u32) {
        let Some(bond) = self.bond(slot) else { return };
        let (voucher, remaining) = (bond.voucher, bond.remaining);
        self.live_bonds -= 1;
        self.unbond(slot, Timestamp::MAX, Timestamp::MAX);
        self.timer.remove(&mut self.bonds, slot);
        if let Some(account) = self.accounts.get_mut(voucher as usize) {
            account.bonded = account.bonded.saturating_sub(remaining);
            unlink(&mut self.bonds, |bond| &mut bond.of_voucher, &mut account.first_given, slot);
        }
        let at = self.bonds.get(slot as usize).map_or(NIL, |bond| bond.backing);
        if let Some(backing) = self.backings.rows.get_mut(at as usize) {
            unlink(&mut self.bonds, |bond| &mut bond.of_backing, &mut backing.first_bond, slot);
            if backing.first_bond == NIL {
                self.forget_backing(at);
            }
        }
        if let Some(place) = self.bonds.get_mut(slot as usize) {
            let turn = next_turn(place.turn);
            *place = BondRow { turn: turn.unwrap_or(NIL), ..BondRow::free() };
            if turn.is_some() {
                self.free_bonds.push(Reverse(slot));
            }
        }
    }

    /// Takes an unbonding bond off the clock, because it is held.
    pub(crate) fn hold(&mut self, slot: u32) {
        self.timer.remove(&mut self.bonds, slot);
    }

    /// Puts the bonds of a session that were held back on the clock, to end no earlier than this.
    pub(crate) fn unhold(&mut self, session: SessionNo, ends: Timestamp) {
        for slot in self.in_session(session).collect::<Vec<_>>() {
            let held = |bond: &&BondRow| bond.timer_at == NIL && bond.state() == BondState::Unbonding;
            if self.bond(slot).filter(held).is_some() {
                self.delay(slot, ends);
                self.timer.push(&mut self.bonds, slot);
            }
        }
    }

    /// The next time at which a bond comes due, and that bond.
    pub(crate) fn next_due(&self) -> Option<(Timestamp, u32)> {
        self.timer.next(&self.bonds)
    }

    /// Calls back for every bond that has come due, in no order that means anything.
    pub(crate) fn due(&self, now: Timestamp, visit: &mut dyn FnMut(u32, &BondRow)) {
        self.timer.due(&self.bonds, now, visit);
    }

    /// The bonds that an agent gave, in no order that means anything.
    pub(crate) fn given(&self, agent: u32) -> impl Iterator<Item = u32> {
        let first = self.account(agent).map_or(NIL, |account| account.first_given);
        walk(first, |slot| self.bonds.get(slot as usize).map(|bond| bond.of_voucher))
    }

    /// The backings of an agent, one for each session, in no order that means anything.
    pub(crate) fn backings_of(&self, agent: u32) -> impl Iterator<Item = u32> {
        let first = self.account(agent).map_or(NIL, |account| account.first_backing);
        walk(first, |at| self.backings.get(at).map(|backing| backing.of_agent))
    }

    /// The bonds of a backing, in no order that means anything.
    pub(crate) fn in_backing(&self, backing: u32) -> impl Iterator<Item = u32> {
        let first = self.backings.get(backing).map_or(NIL, |backing| backing.first_bond);
        walk(first, |slot| self.bonds.get(slot as usize).map(|bond| bond.of_backing))
    }

    /// The bonds of a session, in no order that means anything.
    pub(crate) fn in_session(&self, session: SessionNo) -> impl Iterator<Item = u32> {
        let row = self.find_session(session).and_then(|row| self.sessions.get(row));
        let first = row.map_or(NIL, |row| row.first_backing);
        walk(first, |at| self.backings.get(at).map(|backing| backing.of_session))
            .flat_map(|backing| self.in_backing(backing))
    }

    /// Makes a running sum say more than its bonds do, for tests of the checks that would find it.
    #[cfg(test)]
    pub(crate) fn misstate_backing(&mut self, vouchee: u32, session: SessionNo, by: u32) {
        let at = self.find_backing(vouchee, session).unwrap();
        self.backings.rows[at as usize].add(by);
    }

    /// The path from the vouchee to the voucher that a bond would close to a cycle, if there is one.
    ///
    /// Where `ended` says which bonds count no more, though they are there still, those are left out.
    pub(crate) fn cycle(
        &self,
        voucher: u32,
        vouchee: u32,
        ended: Option<&dyn Fn(&BondRow) -> bool>,
    ) -> Option<Vec<u32>> {
        if self.order.agrees(voucher, vouchee) {
            return None;
        }
        let graph = Graph { books: self, ended };
        let mut searched = self.searched.get();
        match self.order.fit(voucher, vouchee, &graph, &mut searched.room) {
            Fit::Cycle(path) => return Some(path),
            fit @ Fit::Move { .. } if ended.is_none() => searched.keep(voucher, vouchee, fit),
            _ => {}
        }
        None
    }

    /// How a bond fits the order; what was searched for already is not searched for again.
    pub(crate) fn fit(&self, voucher: u32, vouchee: u32) -> Fit {
        if self.order.agrees(voucher, vouchee) {
            return Fit::Agrees;
        }
        let mut searched = self.searched.get();
        searched.take(voucher, vouchee).unwrap_or_else(|| {
            let graph = Graph { books: self, ended: None };
            self.order.fit(voucher, vouchee, &graph, &mut searched.room)
        })
    }
}

/// The turn of the next bond in a place; after 2³² bonds it is used no more, rather than have a number come
/// again.
pub(crate) fn next_turn(turn: u32) -> Option<u32> {
    turn.checked_add(1).filter(|&turn| turn != NIL)
}

/// How the bond that was last asked about fits, for the event that mostly follows: deciding has searched, so
/// applying what was decided need not.
///
/// It holds until the next bond is locked. One that is paid back takes an edge away, and an agent that becomes
/// known has none, so neither makes a fit wrong. A copy of the books has nothing in it.
#[derive(Debug, Default)]
struct Searched(Mutex<Search>);

/// The last answer, and room for the next search.
#[derive(Debug, Default)]
struct Search {
    last: Option<(u32, u32, Fit)>,
    room: Room,
}

impl Search {
    fn keep(&mut self, voucher: u32, vouchee: u32, fit: Fit) {
        self.last = Some((voucher, vouchee, fit));
    }

    fn take(&mut self, voucher: u32, vouchee: u32) -> Option<Fit> {
        let last = self.last.take();
        last.filter(|last| (last.0, last.1) == (voucher, vouchee)).map(|last| last.2)
    }
}

impl Clone for Searched {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Searched {
    fn get(&self) -> MutexGuard<'_, Search> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&mut self) {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).last = None;
    }
}

/// The vouch graph as the order sees it.
struct Graph<'a> {
    books: &'a Books,
    ended: Option<&'a dyn Fn(&BondRow) -> bool>,
}

impl Graph<'_> {
    fn counts(&self, bond: &BondRow) -> bool {
        !self.ended.is_some_and(|ended| ended(bond))
    }
}

impl Edges for Graph<'_> {
    fn heads(&self, agent: u32) -> impl Iterator<Item = Option<u32>> {
        let mut slot = self.books.account(agent).map_or(NIL, |account| account.first_given);
        core::iter::from_fn(move || {
            let bond = self.books.bonds.get(slot as usize)?;
            slot = bond.of_voucher.after;
            let backing = self.books.backing(bond.backing).filter(|_| self.counts(bond));
            Some(backing.map(|backing| backing.vouchee))
        })
    }

    fn tails(&self, agent: u32) -> impl Iterator<Item = Option<u32>> {
        let mut backing = self.books.account(agent).map_or(NIL, |account| account.first_backing);
        let mut slot = NIL;
        core::iter::from_fn(move || {
            loop {
                if let Some(bond) = self.books.bonds.get(slot as usize) {
                    slot = bond.of_backing.after;
                    return Some(Some(bond.voucher).filter(|_| self.counts(bond)));
                }
                let next = self.books.backing(backing)?;
                (slot, backing) = (next.first_bond, next.of_agent.after);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_books_have_allocated_nothing() {
        let Books { accounts, bonds, free_bonds, backings, sessions, .. } = Books::default();
        let capacities = [accounts.capacity(), bonds.capacity(), free_bonds.capacity()];
        let slabs = [backings.rows.capacity(), backings.free.capacity(), sessions.rows.capacity()];
        assert_eq!((capacities, slabs, sessions.free.capacity()), ([0; 3], [0; 3], 0));
    }

    /// The sizes that the README's figure for memory rests on.
    #[test]
    fn rows_are_as_small_as_they_are_said_to_be() {
        let sizes = [size_of::<AccountRow>(), size_of::<BondRow>(), size_of::<Backing>()];
        assert_eq!(sizes, [72, 64, 36]);
    }

    /// However many there are, and wherever they are looked up.
    #[test]
    fn an_agent_has_one_account() {
        let mut books = Books::default();
        let did = |no: u32| Did::new(&format!("did:mesh:{no}")).unwrap();
        for no in 0..12 {
            assert_eq!(books.find(&did(no)), None);
            books.open(did(no), Source::Scored, Sigma::ONE).unwrap();
            for other in 0..=no {
                assert_eq!(books.open(did(other), Source::Scored, Sigma::ONE), None, "{other} of {no}");
                assert_eq!(books.find(&did(other)), Some(AgentNo(other)), "{other} of {no}");
            }
            assert_eq!((books.accounts.len(), books.next_agent()), (no as usize + 1, Some(AgentNo(no + 1))));
        }
    }

    /// What backed an agent in a session, and the session, go with the last bond there.
    #[test]
    fn f22_rows_of_what_ended_are_used_again() {
        let mut books = Books::default();
        for name in ["did:mesh:a", "did:mesh:b"] {
            books.open(Did::new(name).unwrap(), Source::Scored, Sigma::ONE).unwrap();
        }
        for session in (0..100).map(SessionNo) {
            let row = BondRow::new(1, Timestamp(0), Timestamp(9));
            books.lock((0, 1), session, &row, &Fit::Agrees).unwrap();
            assert!(books.find_backing(1, session).is_some() && books.find_session(session).is_some());
            books.pay_back(0);
            assert_eq!((books.find_backing(1, session), books.find_session(session)), (None, None));
            let rows = [books.bonds.len(), books.backings.rows.len(), books.sessions.rows.len()];
            assert_eq!((rows, books.backings_of(1).count()), ([1; 3], 0));
        }
    }

    fn three_agents() -> Books {
        let mut books = Books::default();
        for name in ["did:mesh:a", "did:mesh:b", "did:mesh:c"] {
            books.open(Did::new(name).unwrap(), Source::Scored, Sigma::ONE).unwrap();
        }
        books
    }

    /// What is applied right after it was asked about is not searched for again: here it would not be found.
    #[test]
    fn what_was_searched_for_is_found_once() {
        let books = three_agents();
        let planted = || Fit::Move { agents: vec![1], next: 1 };
        let searched = Fit::Move { agents: vec![1], next: NIL };
        books.searched.get().keep(2, 1, planted());
        assert_eq!(books.fit(2, 1), planted());
        assert_eq!(books.fit(2, 1), searched, "it was taken");
        assert_eq!(books.cycle(2, 1, None), None);
        assert_eq!(books.searched.get().take(2, 1), Some(searched.clone()));
        for other in [(2, 0), (0, 1), (1, 2)] {
            books.searched.get().keep(2, 1, planted());
            assert_eq!(books.searched.get().take(other.0, other.1), None);
        }
        // What fits only because something is over fits once that is recorded, and not before.
        assert_eq!(books.cycle(2, 1, Some(&|_| true)), None);
        assert_eq!(books.searched.get().take(2, 1), None);
        // What agrees with the order costs less than remembering it.
        assert_eq!(books.cycle(0, 1, None), None);
        assert_eq!(books.searched.get().take(0, 1), None);
        books.searched.get().keep(2, 1, planted());
        assert_eq!(books.clone().fit(2, 1), searched);
    }

    #[test]
    fn l10_what_was_searched_for_holds_until_the_next_bond() {
        let mut books = three_agents();
        let row = BondRow::new(1, Timestamp(0), Timestamp(9));
        let fit = books.fit(1, 2);
        assert_eq!(books.cycle(2, 1, None), None);
        books.lock((1, 2), SessionNo(0), &row, &fit).unwrap();
        assert_eq!(books.fit(2, 1), Fit::Cycle(vec![1, 2]));
        assert_eq!(books.cycle(2, 1, None), Some(vec![1, 2]));
        books.pay_back(0);
        assert_eq!(books.cycle(2, 1, None), None);
        let fit = books.fit(0, 1);
        assert_eq!(books.cycle(1, 0, None), None);
        books.keep(0, (0, 1), SessionNo(0), &row, &fit).unwrap();
        assert_eq!(books.fit(1, 0), Fit::Cycle(vec![0, 1]));
    }

    /// The number of a place's bonds ends before it would come again.
    #[test]
    fn a_place_whose_numbers_are_used_up_is_used_no_more() {
        let did = |name| Did::new(name).unwrap();
        let mut books = Books::default();
        books.open(did("did:mesh:a"), Source::Scored, Sigma::ONE).unwrap();
        books.open(did("did:mesh:b"), Source::Scored, Sigma::ONE).unwrap();
        books.add_free_slot(NIL - 2).unwrap();
        for expected in [(0, NIL - 2), (0, NIL - 1), (1, 0), (1, 1)] {
            let BondNo { slot, turn } = books.next_bond().unwrap();
            assert_eq!((slot, turn), expected);
            let row = BondRow::new(1, Timestamp(0), Timestamp(9));
            books.lock((0, 1), SessionNo(0), &row, &Fit::Agrees).unwrap();
            assert_eq!(books.bond_count(), 1);
            books.pay_back(slot);
            assert_eq!(books.bond_count(), 0);
        }
        let mut restored = Books::default();
        restored.add_free_slot(NIL).unwrap();
        assert_eq!(restored.next_bond(), Some(BondNo { slot: 1, turn: 0 }));
    }
}
