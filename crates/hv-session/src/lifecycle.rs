//! The states of a session and the one function that moves between them.

use core::fmt;

/// Where a session is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum SessionState {
    /// It has a name and settings. No session stays here: the decision that creates one also opens it.
    #[default]
    Created,
    /// Agents join; none may act yet.
    Handshaking,
    /// Members act.
    Active,
    /// No new work; what has to be undone is undone.
    Terminating,
    /// Over. Nothing changes any more.
    Archived,
}

/// A move that a session cannot make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadMove {
    /// Where the session is.
    pub from: SessionState,
    /// Where it was to go.
    pub to: SessionState,
}

impl SessionState {
    /// All states in the order of a session's life.
    pub const ALL: [Self; 5] =
        [Self::Created, Self::Handshaking, Self::Active, Self::Terminating, Self::Archived];

    /// The state after a move: each leads to the next, and a session that never became active may be given up.
    ///
    /// Nothing leads out of [`Archived`](Self::Archived). `INVARIANT (S3)`
    ///
    /// ```
    /// use hv_session::{BadMove, SessionState::{Active, Archived, Handshaking}};
    ///
    /// assert_eq!(Handshaking.transition(Active), Ok(Active));
    /// assert_eq!(Active.transition(Archived), Err(BadMove { from: Active, to: Archived }));
    /// ```
    ///
    /// # Errors
    /// [`BadMove`] for every other move, naming both states.
    pub const fn transition(self, to: Self) -> Result<Self, BadMove> {
        match (self, to) {
            (Self::Created, Self::Handshaking)
            | (Self::Handshaking, Self::Active | Self::Terminating)
            | (Self::Active, Self::Terminating)
            | (Self::Terminating, Self::Archived) => Ok(to),
            (from, to) => Err(BadMove { from, to }),
        }
    }

    /// As it is shown to people: `created`, `handshaking`, `active`, `terminating`, `archived`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Handshaking => "handshaking",
            Self::Active => "active",
            Self::Terminating => "terminating",
            Self::Archived => "archived",
        }
    }
}

impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for BadMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a session cannot move from {} to {}", self.from, self.to)
    }
}

impl core::error::Error for BadMove {}

hv_types::wire_enum!(SessionState {
    0 => Created {}, 1 => Handshaking {}, 2 => Active {}, 3 => Terminating {}, 4 => Archived {},
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_other_move_names_both_states() {
        use SessionState::{Active, Archived, Created, Handshaking, Terminating};
        let legal = [
            (Created, Handshaking),
            (Handshaking, Active),
            (Handshaking, Terminating),
            (Active, Terminating),
            (Terminating, Archived),
        ];
        for from in SessionState::ALL {
            for to in SessionState::ALL {
                match from.transition(to) {
                    Ok(reached) => assert!(reached == to && legal.contains(&(from, to))),
                    Err(bad) => {
                        assert!(!legal.contains(&(from, to)));
                        let text = bad.to_string();
                        assert!(text.contains(from.name()) && text.contains(to.name()), "{text}");
                    }
                }
            }
        }
    }
}
