//! Where a backing is: most agents have few of them, which hang in the agent's list; those of agents that have more are
//! in an index as well.

use super::rows::{SessionRow, push, unlink};
use super::{Backing, Books, NIL};
use crate::SessionNo;
use std::hash::BuildHasher;

/// So many sessions in which an agent is vouched for are looked through one by one; more are looked up.
const FEW_BACKINGS: u32 = 4;
const ONE_MORE: u32 = FEW_BACKINGS + 1;

impl Books {
    /// The backing of an agent in a session, if it has one there. A look at each of a few, or else one hash.
    pub(crate) fn find_backing(&self, vouchee: u32, session: SessionNo) -> Option<u32> {
        if self.account(vouchee)?.backings <= FEW_BACKINGS {
            let there = |at: &u32| self.backing(*at).is_some_and(|backing| backing.session == session);
            return self.backings_of(vouchee).find(there);
        }
        let of = (vouchee, session);
        let same = |at: u32| self.backing(at).is_some_and(|backing| backing.of() == of);
        self.by_agent_and_session.find(self.key.hash_one(of), same)
    }

    /// The same; where it has none there, it gets one.
    pub(super) fn backing_for(&mut self, vouchee: u32, no: SessionNo) -> u32 {
        if let Some(backing) = self.find_backing(vouchee, no) {
            return backing;
        }
        let session = self.session_for(no);
        let backing = self.backings.add(Backing::new(vouchee, no));
        if let Some(session) = self.sessions.rows.get_mut(session as usize) {
            push(&mut self.backings.rows, |row| &mut row.of_session, &mut session.first_backing, backing);
        }
        if let Some(account) = self.accounts.get_mut(vouchee as usize) {
            push(&mut self.backings.rows, |row| &mut row.of_agent, &mut account.first_backing, backing);
            account.backings += 1;
        }
        for at in self.indexed_with(vouchee, backing) {
            let (backings, key) = (&self.backings, &self.key);
            let hash_of = |at: u32| backings.get(at).map_or(0, |backing| key.hash_one(backing.of()));
            self.by_agent_and_session.put(hash_of(at), at, hash_of);
        }
        backing
    }

    /// Which of an agent's backings enter the index together with its newest one, or leave it together with one that ends:
    /// all where they are one more than a few, that one alone where they are more still.
    fn indexed_with(&self, vouchee: u32, backing: u32) -> Vec<u32> {
        match self.account(vouchee).map_or(0, |account| account.backings) {
            ..=FEW_BACKINGS => Vec::new(),
            ONE_MORE => self.backings_of(vouchee).collect(),
            _ => vec![backing],
        }
    }

    fn session_for(&mut self, no: SessionNo) -> u32 {
        if let Some(session) = self.find_session(no) {
            return session;
        }
        let session = self.sessions.add(SessionRow { no, first_backing: NIL });
        let (sessions, key) = (&self.sessions, &self.key);
        let hash_of = |row| sessions.get(row).map_or(0, |row| key.hash_one(row.no));
        self.by_session.put(key.hash_one(no), session, hash_of);
        session
    }

    /// Takes out a backing without bonds, and its session where that has no other.
    pub(super) fn forget_backing(&mut self, at: u32) {
        let Some((vouchee, no)) = self.backings.get(at).map(Backing::of) else { return };
        for at in self.indexed_with(vouchee, at) {
            let Some(backing) = self.backings.get(at) else { continue };
            self.by_agent_and_session.remove(self.key.hash_one(backing.of()), at);
        }
        if let Some(account) = self.accounts.get_mut(vouchee as usize) {
            unlink(&mut self.backings.rows, |row| &mut row.of_agent, &mut account.first_backing, at);
            account.backings -= 1;
        }
        if let Some(session) = self.find_session(no)
            && let Some(row) = self.sessions.rows.get_mut(session as usize)
        {
            unlink(&mut self.backings.rows, |row| &mut row.of_session, &mut row.first_backing, at);
            if row.first_backing == NIL {
                self.by_session.remove(self.key.hash_one(no), session);
                self.sessions.free.push(session);
            }
        }
        self.backings.free.push(at);
    }

    pub(super) fn find_session(&self, session: SessionNo) -> Option<u32> {
        let same = |row: u32| self.sessions.get(row).is_some_and(|row| row.no == session);
        self.by_session.find(self.key.hash_one(session), same)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BondRow, Fit};
    use super::*;
    use crate::Source;
    use hv_types::{Did, Sigma, Timestamp};

    /// Whether they are looked through or looked up, and in whatever order they come and go.
    #[test]
    fn an_agents_sessions_are_found_however_many_they_are() {
        const MOST: u32 = 3 * ONE_MORE;
        for last_first in [false, true] {
            let mut books = Books::default();
            for name in ["did:mesh:a", "did:mesh:b", "did:mesh:c"] {
                books.open(Did::new(name).unwrap(), Source::Scored, Sigma::ONE).unwrap();
            }
            let row = BondRow::new(1, Timestamp(0), Timestamp(9));
            // Another agent in the same sessions has one less at every step.
            let agrees = |books: &Books, from: u32, to: u32| {
                for no in 0..=MOST {
                    let found = |agent| {
                        books
                            .find_backing(agent, SessionNo(no))
                            .map(|at| books.backings.rows[at as usize].of())
                    };
                    let there = |agent, from| (from..to).contains(&no).then_some((agent, SessionNo(no)));
                    assert_eq!(
                        (found(1), found(2)),
                        (there(1, from), there(2, from + 1)),
                        "{no} of {from}..{to}"
                    );
                }
                let counts = [to - from, (to - from).saturating_sub(1)];
                assert_eq!([1, 2].map(|agent: u32| books.accounts[agent as usize].backings), counts);
                let indexed = counts.into_iter().filter(|&count| count > FEW_BACKINGS).sum::<u32>();
                assert_eq!(books.by_agent_and_session.len(), indexed as usize, "{from}..{to}");
            };
            let (mut slots, mut other) = (Vec::new(), Vec::new());
            for no in 0..MOST {
                for (agent, slots) in [(1, &mut slots), (2, &mut other)] {
                    if (agent, no) != (2, 0) {
                        slots.push(books.next_bond().unwrap().slot);
                        books.lock((0, agent), SessionNo(no), &row, &Fit::Agrees).unwrap();
                    }
                }
                agrees(&books, 0, no + 1);
            }
            for left in (0..MOST).rev() {
                for slots in [&mut slots, &mut other].into_iter().filter(|slots| !slots.is_empty()) {
                    let slot = if last_first { slots.pop().unwrap() } else { slots.remove(0) };
                    books.pay_back(slot);
                }
                let (from, to) = if last_first { (0, left) } else { (MOST - left, MOST) };
                agrees(&books, from, to);
            }
            assert_eq!(
                (books.sessions.free.len(), books.backings.free.len()),
                (MOST as usize, 2 * MOST as usize - 1)
            );
        }
    }
}
