//! Intents for people.

use crate::output::counted;
use hv_core::rings::intent::{Bounds, CommandLine, Demand, Policy, Rest, Rule, UndoRule, Violation, What};

/// What a session makes of intents: whether it asks for them, what becomes of a call outside, and of its agent,
/// and whether undo and probe are held against them.
pub(crate) const fn policy_words(policy: &Policy) -> [&'static str; 4] {
    [
        match policy.demand {
            Demand::Optional => "optional",
            Demand::Required => "required",
        },
        match policy.outside {
            Rule::Deny => "deny",
            Rule::Consent => "consent",
        },
        match policy.violation {
            Violation::Deny => "deny",
            Violation::Slash => "slash",
        },
        match policy.undo {
            UndoRule::Free => "free",
            UndoRule::Held => "held",
        },
    ]
}

/// The actions of bounds, each with what it may do, in one line.
pub(crate) fn bounds_words(bounds: &Bounds) -> String {
    let mut words: Vec<String> = Vec::new();
    for (action, allowed) in bounds.actions() {
        let what = match &allowed.what {
            What::Command { bounds } => {
                let lines: Vec<String> = bounds.commands.iter().map(line).collect();
                lines.join(" | ")
            }
            What::Http { bounds } => {
                let hosts: Vec<&str> = bounds.hosts.iter().map(String::as_str).collect();
                let amounts = bounds.amounts.iter().map(|(at, bound)| {
                    let unit = bound.unit.as_ref().map(|unit| format!(" {}", unit.is)).unwrap_or_default();
                    format!(", {at} up to {}{unit}", bound.most)
                });
                format!("{}{}", hosts.join(" | "), amounts.collect::<String>())
            }
            What::Files { paths } => paths.iter().map(String::as_str).collect::<Vec<_>>().join(" | "),
            What::Functions { names } => names.iter().map(String::as_str).collect::<Vec<_>>().join(" | "),
        };
        let calls =
            allowed.calls.map(|calls| format!(", {} at most", counted(calls, "time"))).unwrap_or_default();
        words.push(format!("{action} ({what}{calls})"));
    }
    let calls =
        bounds.calls().map(|calls| format!("; {} at most", counted(calls, "call"))).unwrap_or_default();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") + &calls }
}

/// What may be run, in a few words.
fn line(line: &CommandLine) -> String {
    let CommandLine { argv, more, rest } = line;
    let list = |items: &std::collections::BTreeSet<String>| {
        items.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    let follows = match rest {
        _ if *more == 0 => String::new(),
        Rest::Any => format!(" +{more}"),
        Rest::Operands => format!(" +{}", counted(more, "operand")),
        Rest::Words { words } => format!(" +{more} of {}", list(words)),
        Rest::Paths { folders } => format!(" +{more} below {}", list(folders)),
    };
    argv.join(" ") + &follows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_argument_more_is_one() {
        let may = |more| CommandLine { argv: vec!["cat".to_owned()], more, rest: Rest::Operands };
        assert_eq!([0, 1, 2].map(|more| line(&may(more))), ["cat", "cat +1 operand", "cat +2 operands"]);
    }
}
