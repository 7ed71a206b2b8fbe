//! A human's word for one call of Ring 0.

use crate::statement::{Nonce, Refusal, Scope, Statement};
use alloc::collections::BTreeSet;
use hv_types::{Call, Did, Timestamp};

/// A configured witness's word for exactly one call. Only [`check`] makes one.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a witness that nobody presents opens nothing"]
pub struct Witness {
    call: Call,
    by: Did,
    nonce: Nonce,
    deadline: Timestamp,
}

impl Witness {
    /// The call that was witnessed.
    #[must_use]
    pub const fn call(&self) -> &Call {
        &self.call
    }

    /// Who gave its word.
    #[must_use]
    pub const fn by(&self) -> &Did {
        &self.by
    }

    /// The nonce to mark as spent.
    #[must_use]
    pub const fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// The last point in time at which the statement itself counts.
    #[must_use]
    pub const fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// The last point in time at which the call may start on it.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.deadline.min(self.call.deadline)
    }
}

/// Checks a witness's statement on `scope.call`.
///
/// `witnesses` is the configured set; the actor and whoever is tied to it are none, even where they are in it.
///
/// # Errors
/// The [`Refusal`] that says why the statement does not count.
pub fn check(
    scope: &Scope<'_>,
    witnesses: &BTreeSet<Did>,
    statement: &Statement,
) -> Result<Witness, Refusal> {
    scope.admits(statement)?;
    if !witnesses.contains(&statement.by) {
        return Err(Refusal::NotEligible);
    }
    let Statement { by, audience: _, call, nonce, deadline } = statement.clone();
    Ok(Witness { call, by, nonce, deadline })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Spent;
    use crate::tests::{NOW, call, did, dids, node, statement};

    #[test]
    fn a_witness_keeps_what_it_said() {
        let (node, call, tied, spent) = (node(), call(), BTreeSet::new(), Spent::default());
        let scope = Scope { node: &node, call: &call, tied: &tied, spent: &spent, now: NOW };
        for (deadline, until) in [(10, 10), (1000, 1000), (1001, 1000)] {
            let mut statement = statement(&did("human"), &call);
            statement.deadline = Timestamp(NOW.0 + deadline);
            let witness = check(&scope, &dids(&["human"]), &statement).unwrap();
            assert_eq!((witness.call(), witness.by()), (&call, &did("human")));
            assert_eq!((witness.nonce(), witness.deadline()), (Nonce([1; 16]), statement.deadline));
            assert_eq!(witness.until(), Timestamp(NOW.0 + until));
        }
        let statement = statement(&did("human"), &call);
        assert_eq!(check(&scope, &BTreeSet::new(), &statement), Err(Refusal::NotEligible));
    }
}
