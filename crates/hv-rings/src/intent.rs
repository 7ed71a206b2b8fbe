//! Intents: what an agent signed that it will do, and every call held against it, its parameters included.
//!
//! An intent opens nothing: whoever has one still needs its ring, and what the ring asks for. It closes whatever it does
//! not name. What cannot be read, is of another kind or is not there is outside.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use hv_types::wire::{Reader, Undecodable};
use hv_types::{ActionId, Did, Wire};

mod amount;
mod bounds;
mod place;
mod rest;
mod weigh;

#[cfg(any(test, feature = "proptest"))]
pub mod strategies;

#[cfg(test)]
mod tests;

pub use amount::{Amount, NoAmount};
pub use bounds::{
    Allowed, AmountBound, BadBounds, Bounds, CommandBounds, CommandLine, HttpBounds, INTENT, LASTS,
    LASTS_AT_MOST, MAX_ACTIONS, MAX_ITEMS, MAX_TEXT_BYTES, Unit, What,
};
pub use rest::{Places, Rest};

/// What a call does, as far as its parameters are known before it is made.
#[derive(Debug, Clone, Copy)]
pub enum Deed<'a> {
    /// It runs a program.
    Command {
        /// The program and its arguments.
        argv: &'a [String],
        /// Where; nothing where that is not said.
        folder: Option<&'a str>,
        /// The variables that it sets.
        variables: &'a [&'a str],
        /// Whether it is given input.
        input: bool,
        /// Where the paths really are that [`Bounds::paths`] names.
        real: &'a Places,
    },
    /// It sends a request.
    Http {
        /// The method.
        method: &'a str,
        /// Where to.
        url: &'a str,
        /// The headers that it sets.
        headers: &'a [&'a str],
        /// What it sends.
        body: Body<'a>,
    },
    /// It reads or changes files of the session.
    Files {
        /// Which, each with a slash in front; `/` for all of them.
        paths: &'a [&'a str],
    },
    /// It calls a function.
    Function {
        /// Its name.
        name: &'a str,
    },
}

/// What a request sends.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// Nothing.
    Empty,
    /// What is not known before it is sent, or is not JSON.
    Unread,
    /// JSON.
    Json {
        /// Its texts, as they are, and its numbers, as they are written, by JSON pointer.
        scalars: &'a alloc::collections::BTreeMap<String, String>,
    },
}

/// What was called within an intent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// All calls.
    pub all: u32,
    /// Those of the same action.
    pub of_action: u32,
}

/// What of a call an intent speaks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Part {
    /// The action itself.
    Action,
    /// Whether it is a program, a request, files or a function.
    Kind,
    /// How often it calls.
    Calls,
    /// How often it calls the action.
    CallsOfAction,
    /// The program with its arguments.
    Command,
    /// Where the program runs.
    Folder,
    /// A variable that is set.
    Variable,
    /// The program's input.
    Input,
    /// The method.
    Method,
    /// The address as a whole.
    Address,
    /// The host.
    Host,
    /// The path of the address.
    Path,
    /// What follows a question mark.
    Query,
    /// A header that is set.
    Header,
    /// What is sent.
    Body,
    /// An amount in what is sent.
    Amount,
    /// What an amount is in.
    Unit,
    /// A file of the session.
    File,
    /// A function.
    Function,
    /// An argument that follows those that are named.
    Argument,
}

hv_types::wire_enum!(Part {
    0 => Action {},
    1 => Kind {},
    2 => Calls {},
    3 => CallsOfAction {},
    4 => Command {},
    5 => Folder {},
    6 => Variable {},
    7 => Input {},
    8 => Method {},
    9 => Address {},
    10 => Host {},
    11 => Path {},
    12 => Query {},
    13 => Header {},
    14 => Body {},
    15 => Amount {},
    16 => Unit {},
    17 => File {},
    18 => Function {},
    19 => Argument {},
});

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Action => "action",
            Self::Kind => "kind of call",
            Self::Calls => "number of calls",
            Self::CallsOfAction => "number of calls of the action",
            Self::Command => "command",
            Self::Folder => "folder",
            Self::Variable => "variable",
            Self::Input => "input",
            Self::Method => "method",
            Self::Address => "address",
            Self::Host => "host",
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Body => "body",
            Self::Amount => "amount",
            Self::Unit => "unit",
            Self::File => "file",
            Self::Function => "function",
            Self::Argument => "argument",
        })
    }
}

/// What of a call is outside an intent, and what would be within.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Outside {
    /// What of it.
    pub part: Part,
    /// What it is, in one line, cut after 80 characters.
    pub given: String,
    /// What it may be.
    pub limit: String,
}

hv_types::wire_struct!(Outside { part, given, limit });

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} `{}` is outside the agent's intent", self.part, self.given)
    }
}

/// What an intent lets through that one before it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wider {
    /// Of which action; nothing where of all together.
    pub action: Option<ActionId>,
    /// What of it.
    pub part: Part,
}

hv_types::wire_struct!(Wider { action, part });

impl fmt::Display for Wider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.action {
            Some(action) => write!(f, "it is wider than the one in force: the {} of {action}", self.part),
            None => write!(f, "it is wider than the one in force: the {}", self.part),
        }
    }
}

/// What a session makes of intents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// Whether an agent without one may do more than read.
    pub demand: Demand,
    /// What becomes of a call outside it.
    pub outside: Rule,
    /// What becomes of an agent that calls outside it.
    pub violation: Violation,
    /// Whether what undoes a call and asks about it is held against it, too.
    pub undo: UndoRule,
}

/// Whether agents need an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Demand {
    /// Who declares none is not held to one.
    #[default]
    Optional,
    /// Who has none in force may read, and nothing else.
    Required,
}

/// What becomes of a call outside an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rule {
    /// It is denied.
    #[default]
    Deny,
    /// It passes with the word of a witness on exactly this call.
    Consent,
}

/// What becomes of an agent that calls outside its intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Violation {
    /// Nothing more than the denial.
    #[default]
    Deny,
    /// The denied call is evidence, and the agent is slashed on it.
    Slash,
}

/// Whether the undo and the probe of a call are held against the intent of its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UndoRule {
    /// They are not: somebody else writes them than the agent.
    #[default]
    Free,
    /// They are, as calls of the same action that are not counted: the agent writes them.
    Held,
}

/// What belongs to a call and is carried out another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Beside {
    /// What takes it back.
    Undo,
    /// What asks whether its effect is there.
    Probe,
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Undo => "undo",
            Self::Probe => "probe",
        })
    }
}

/// The last byte says two things, because the first of them stood there alone once.
impl Wire for Policy {
    fn put(&self, out: &mut Vec<u8>) {
        self.demand.put(out);
        self.outside.put(out);
        out.push(match (self.violation, self.undo) {
            (Violation::Deny, UndoRule::Free) => 0,
            (Violation::Slash, UndoRule::Free) => 1,
            (Violation::Deny, UndoRule::Held) => 2,
            (Violation::Slash, UndoRule::Held) => 3,
        });
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let (demand, outside) = (Wire::take(reader)?, Wire::take(reader)?);
        let (violation, undo) = match u8::take(reader)? {
            0 => (Violation::Deny, UndoRule::Free),
            1 => (Violation::Slash, UndoRule::Free),
            2 => (Violation::Deny, UndoRule::Held),
            3 => (Violation::Slash, UndoRule::Held),
            _ => return Err(reader.invalid("Policy")),
        };
        Ok(Self { demand, outside, violation, undo })
    }
}

hv_types::wire_enum!(Beside { 0 => Undo {}, 1 => Probe {} });
hv_types::wire_enum!(Demand { 0 => Optional {}, 1 => Required {} });
hv_types::wire_enum!(Rule { 0 => Deny {}, 1 => Consent {} });

/// What the rules say of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// No intent is in force, and none is needed.
    Free,
    /// It is within the intent.
    Within,
    /// It passes with the word of a witness only.
    NeedsConsent {
        /// What of it is outside.
        outside: Outside,
    },
    /// It does not pass.
    Denied {
        /// Why not.
        why: Unintended,
    },
}

/// Why a call does not pass for want of an intent that covers it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case", tag = "intent"))]
pub enum Unintended {
    /// The session asks for an intent, and the agent has none in force.
    Undeclared,
    /// It is outside, and nothing lets it through.
    Outside {
        /// What of it.
        outside: Outside,
    },
    /// It is outside, and no witness has consented to exactly this call.
    Unconsented {
        /// What of it.
        outside: Outside,
    },
    /// It is outside the intent of somebody for whom the agent acts, who could not do it either.
    OnBehalfOf {
        /// Who that is.
        principal: Did,
        /// What of it.
        outside: Outside,
    },
    /// It is within, and what undoes it or asks about it is outside; nothing lets that through.
    Beside {
        /// Which of the two.
        what: Beside,
        /// What of it.
        outside: Outside,
    },
}

hv_types::wire_enum!(Unintended {
    0 => Undeclared {},
    1 => Outside { outside },
    2 => Unconsented { outside },
    3 => OnBehalfOf { principal, outside },
    4 => Beside { what, outside },
});

impl Unintended {
    /// The reason alone, as one word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Undeclared => "undeclared",
            Self::Outside { .. } => "outside",
            Self::Unconsented { .. } => "unconsented",
            Self::OnBehalfOf { .. } => "on_behalf_of",
            Self::Beside { .. } => "beside",
        }
    }

    /// What would be enough.
    #[must_use]
    pub fn needs(&self) -> String {
        match self {
            Self::Undeclared => String::from("a signed intent in force, or a call that only reads"),
            Self::Outside { outside } => alloc::format!("the {} within {}", outside.part, outside.limit),
            Self::Unconsented { outside } => alloc::format!(
                "the {} within {}, or the word of a witness on exactly this call",
                outside.part,
                outside.limit
            ),
            Self::OnBehalfOf { principal, outside } => alloc::format!(
                "the {} within {}, which {principal} is held to, for whom the agent acts",
                outside.part,
                outside.limit
            ),
            Self::Beside { what, outside } => {
                alloc::format!("the {} of the {what} within {}", outside.part, outside.limit)
            }
        }
    }

    /// What of the call is outside the agent's own intent, where it has one.
    #[must_use]
    pub const fn outside(&self) -> Option<&Outside> {
        match self {
            Self::Undeclared | Self::OnBehalfOf { .. } => None,
            Self::Outside { outside } | Self::Unconsented { outside } | Self::Beside { outside, .. } => {
                Some(outside)
            }
        }
    }
}

impl fmt::Display for Unintended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undeclared => {
                f.write_str("the session asks for an intent, and the agent has none in force")
            }
            Self::Outside { outside } => write!(f, "{outside}"),
            Self::Unconsented { outside } => write!(f, "{outside}, and no witness has consented"),
            Self::Beside { what, outside } => write!(f, "of its {what}, {outside}"),
            Self::OnBehalfOf { principal, outside: Outside { part, given, .. } } => {
                write!(
                    f,
                    "the {part} `{given}` is outside the intent of {principal}, for whom the agent acts"
                )
            }
        }
    }
}

impl Policy {
    /// Decides about one call: `bounds` are those of the intent that its agent has in force, if it has one.
    ///
    /// ```
    /// use hv_rings::ActionId;
    /// use hv_rings::intent::{Decision, Deed, Demand, Policy, Unintended, Used};
    ///
    /// let strict = Policy { demand: Demand::Required, ..Policy::default() };
    /// let (action, deed) = (ActionId::new("mail.send")?, Deed::Function { name: "send" });
    /// let decide = |policy: Policy, only_reads| policy.decide(None, &action, &deed, Used::default(), only_reads);
    /// assert_eq!(decide(Policy::default(), false), Decision::Free);
    /// assert_eq!(decide(strict, true), Decision::Free);
    /// assert_eq!(decide(strict, false), Decision::Denied { why: Unintended::Undeclared });
    /// # Ok::<(), hv_types::BadIdent>(())
    /// ```
    #[must_use]
    pub fn decide(
        &self,
        bounds: Option<&Bounds>,
        action: &ActionId,
        deed: &Deed<'_>,
        used: Used,
        only_reads: bool,
    ) -> Decision {
        let Some(bounds) = bounds else {
            return match self.demand {
                Demand::Required if !only_reads => Decision::Denied { why: Unintended::Undeclared },
                Demand::Required | Demand::Optional => Decision::Free,
            };
        };
        match (bounds.hold(action, deed, used), self.outside) {
            (Ok(()), _) => Decision::Within,
            (Err(outside), Rule::Consent) => Decision::NeedsConsent { outside },
            (Err(outside), Rule::Deny) => Decision::Denied { why: Unintended::Outside { outside } },
        }
    }

    /// Decides about what belongs to a call that these bounds let through. It is not counted, and nobody can consent to it:
    /// a witness sees the call.
    ///
    /// # Errors
    /// What of it is outside, where it is held against them.
    pub fn decide_beside(
        &self,
        bounds: &Bounds,
        action: &ActionId,
        what: Beside,
        deed: &Deed<'_>,
    ) -> Result<(), Unintended> {
        match self.undo {
            UndoRule::Free => Ok(()),
            UndoRule::Held => bounds
                .hold(action, deed, Used::default())
                .map_err(|outside| Unintended::Beside { what, outside }),
        }
    }
}
