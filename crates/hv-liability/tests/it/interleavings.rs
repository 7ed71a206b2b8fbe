//! Every order in which a few threads can reach a ledger behind one lock; many threads, for real, are in
//! `failures`.

use crate::model::{Class, NEVER, Offence, UNBONDING};
use crate::twin::{Twin, name};
use hv_liability::checks;
use std::collections::BTreeMap;

/// What a thread does, all of it while it holds the lock.
#[derive(Debug, Clone, Copy)]
enum Act {
    Vouch(u32, (usize, usize), u64),
    /// Of the last bond that the same thread made, if it made one.
    Release,
    Slash(usize),
    Wait(u64),
}

/// Three that race for Ada's exposure and for the ends of a cycle, release what they made, and slash whoever
/// the others bond for meanwhile.
const THREADS: [[Act; 3]; 3] = [
    [Act::Vouch(0, (0, 1), 400_000), Act::Release, Act::Vouch(1, (0, 2), 400_000)],
    [Act::Vouch(0, (1, 2), 300_000), Act::Slash(2), Act::Vouch(1, (1, 0), 1)],
    [Act::Vouch(0, (2, 0), 300_000), Act::Wait(UNBONDING), Act::Slash(1)],
];

#[derive(Clone)]
struct World {
    twin: Twin,
    /// How many of each thread's acts are done.
    done: [usize; 3],
    /// The last bond of each thread.
    own: [Option<usize>; 3],
}

impl World {
    fn act(&mut self, thread: usize, seen: &mut BTreeMap<String, u32>) {
        let act = THREADS[thread][self.done[thread]];
        self.done[thread] += 1;
        let (before, bonds) = (self.twin.ledger.clone(), self.twin.bonds.len());
        let answer = match act {
            Act::Vouch(session, ends, amount) => self.twin.vouch(session, ends, amount, NEVER),
            Act::Release => self.own[thread].map_or_else(|| Ok(Vec::new()), |bond| self.twin.release(bond)),
            Act::Slash(agent) => {
                let (session, fault, class) = (Some(0), 1_000_000, Some(Class::None));
                let (evidence, happened) = (u8::try_from(agent).unwrap(), self.twin.model.now);
                self.twin.slash(&Offence { evidence, agent, session, fault, class, risk: None, happened })
            }
            Act::Wait(nanos) => {
                self.twin.wait(nanos);
                Ok(Vec::new())
            }
        };
        if self.twin.bonds.len() > bonds {
            self.own[thread] = Some(bonds);
        }
        match answer {
            Ok(events) => {
                if let Some(slashed) = Twin::slashed(&events) {
                    checks::slash(&before, &self.twin.ledger, slashed).unwrap();
                    *seen.entry(format!("{} answer", slashed.toll.losses.len() - 1)).or_default() += 1;
                }
            }
            Err(denial) => *seen.entry(name(&denial)).or_default() += 1,
        }
        self.twin.compare();
        checks::ledger(&self.twin.ledger, self.twin.now()).unwrap();
    }

    /// Goes through every order of what is left; answers how many there are.
    fn orders(&self, seen: &mut BTreeMap<String, u32>) -> u32 {
        let mut orders = 0;
        for (thread, acts) in THREADS.iter().enumerate() {
            if self.done[thread] < acts.len() {
                let mut next = self.clone();
                next.act(thread, seen);
                orders += next.orders(seen);
            }
        }
        orders.max(1)
    }
}

/// F23: in each, the ledger answers as the naive one does, and keeps what it promises.
#[test]
fn f23_every_order_of_three_threads_is_that_of_the_naive_model() {
    let twin = Twin::new(&[900_000, 800_000, 700_000]);
    let mut seen = BTreeMap::new();
    let orders = World { twin, done: [0; 3], own: [None; 3] }.orders(&mut seen);
    // 9! / 3!³
    assert_eq!(orders, 1680);
    // The orders differ in what matters.
    for what in ["Exposure", "Cycle", "Quarantined", "Unbonding", "0 answer", "1 answer"] {
        assert!(seen.get(what).is_some_and(|&times| times > 10), "{what}: {seen:?}");
    }
}
