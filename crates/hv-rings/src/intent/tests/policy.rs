//! What a session makes of intents.

use super::*;

#[test]
fn the_policy_decides() {
    let bounds = bounds_of(What::Functions { names: set(&["work"]) });
    let decide = |policy: Policy, bounds: Option<&Bounds>, name, only_reads| {
        policy.decide(bounds, &action("act"), &Deed::Function { name }, Used::default(), only_reads)
    };
    let outside = || Outside { part: Part::Function, given: "x".into(), limit: "work".into() };
    for demand in [Demand::Optional, Demand::Required] {
        for rule in [Rule::Deny, Rule::Consent] {
            let policy = Policy { demand, outside: rule, violation: Violation::Slash, ..Policy::default() };
            for only_reads in [false, true] {
                assert_eq!(decide(policy, Some(&bounds), "work", only_reads), Decision::Within);
                let expected = match rule {
                    Rule::Deny => Decision::Denied { why: Unintended::Outside { outside: outside() } },
                    Rule::Consent => Decision::NeedsConsent { outside: outside() },
                };
                assert_eq!(decide(policy, Some(&bounds), "x", only_reads), expected);
                let free = only_reads || demand == Demand::Optional;
                let undeclared = Decision::Denied { why: Unintended::Undeclared };
                let expected = if free { Decision::Free } else { undeclared };
                assert_eq!(decide(policy, None, "work", only_reads), expected);
            }
        }
    }
    let (demand, outside) = (Demand::Required, Rule::Consent);
    for (violation, undo, byte) in [
        (Violation::Deny, UndoRule::Free, 0),
        (Violation::Slash, UndoRule::Free, 1),
        (Violation::Deny, UndoRule::Held, 2),
        (Violation::Slash, UndoRule::Held, 3),
    ] {
        let policy = Policy { demand, outside, violation, undo };
        assert_eq!(policy.to_bytes(), [1, 1, byte]);
        assert_eq!(Policy::from_bytes(&[1, 1, byte]), Ok(policy));
    }
    assert!(Policy::from_bytes(&[1, 1, 4]).is_err());
    assert_eq!(Policy::default().to_bytes(), [0, 0, 0]);
}

#[test]
fn what_undoes_a_call_is_held_where_the_policy_says_so_and_not_counted() {
    let bounds = bounds_of(What::Functions { names: set(&["work"]) });
    let decide = |undo, what, name| {
        let policy = Policy { undo, outside: Rule::Consent, ..Policy::default() };
        policy.decide_beside(&bounds, &action("act"), what, &Deed::Function { name })
    };
    for what in [Beside::Undo, Beside::Probe] {
        assert_eq!(decide(UndoRule::Free, what, "x"), Ok(()));
        assert_eq!(decide(UndoRule::Held, what, "work"), Ok(()));
        let why = decide(UndoRule::Held, what, "x").unwrap_err();
        assert!(matches!(&why, Unintended::Beside { what: of, .. } if *of == what), "{why:?}");
        assert_eq!(
            format!("{why}; {}", why.needs()),
            format!(
                "of its {what}, the function `x` is outside the agent's intent; the function of the {what} within work"
            )
        );
    }
}
