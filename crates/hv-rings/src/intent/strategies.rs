//! Strategies for intents: few words, so that what is drawn is often within one another.

use super::{
    Allowed, Amount, AmountBound, Beside, Bounds, CommandBounds, CommandLine, Demand, HttpBounds,
    LASTS_AT_MOST, Outside, Part, Policy, Rest, Rule, UndoRule, Unintended, Unit, Violation, What, Wider,
};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use core::time::Duration;
use hv_types::strategies::{action_id, did};
use hv_types::{ActionId, Wire};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::vec::Vec;

fn words(of: &'static [&'static str]) -> impl Strategy<Value = BTreeSet<String>> {
    btree_set(select(of).prop_map(ToString::to_string), 0..3)
}

/// What may follow, of every kind.
pub fn rest() -> impl Strategy<Value = Rest> {
    prop_oneof![
        Just(Rest::Any),
        Just(Rest::Operands),
        words(&["x", "-y", "/a/b"]).prop_map(|words| Rest::Words { words }),
        words(&["/", "/a", "/a/b"]).prop_map(|folders| Rest::Paths { folders }),
    ]
}

fn command_bounds() -> impl Strategy<Value = CommandBounds> {
    let argv = vec(select(&["x", "y"][..]).prop_map(ToString::to_string), 1..3);
    let line = (argv, 0u32..3, rest()).prop_map(|(argv, more, rest)| CommandLine { argv, more, rest });
    let lines = btree_set(line, 0..3);
    (lines, words(&["/", "/a", "/a/b"]), words(&["LANG", "TZ"]), any::<bool>()).prop_map(
        |(commands, folders, variables, input)| CommandBounds { commands, folders, variables, input },
    )
}

fn amount_bound() -> impl Strategy<Value = AmountBound> {
    let most = select(&["0", "1", "1.5", "2"][..]);
    let most = most.prop_filter_map("no amount", |text| text.parse::<Amount>().ok());
    let unit =
        select(&["EUR", "USD"][..]).prop_map(|is| Unit { at: "/unit".to_string(), is: is.to_string() });
    (most, option::of(unit)).prop_map(|(most, unit)| AmountBound { most, unit })
}

/// Where there are amounts and no body for them, they are no bounds, and dropped.
fn http_bounds() -> impl Strategy<Value = HttpBounds> {
    let amounts = btree_map(select(&["/a", "/b"][..]).prop_map(ToString::to_string), amount_bound(), 0..2);
    let sets = (words(&["GET", "PUT"]), words(&["a.b", ".b", "a.b:81"]), words(&["/", "/a"]), words(&["te"]));
    (sets, any::<bool>(), any::<bool>(), amounts).prop_map(
        |((methods, hosts, paths, headers), query, body, amounts): (_, _, _, BTreeMap<_, _>)| HttpBounds {
            methods,
            hosts,
            paths,
            headers,
            query,
            body,
            amounts,
        },
    )
}

/// What the calls of an action may do, of every kind.
pub fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        command_bounds().prop_map(|bounds| What::Command { bounds }),
        http_bounds().prop_map(|bounds| What::Http { bounds }),
        words(&["/", "/a", "/a/b", "/c"]).prop_map(|paths| What::Files { paths }),
        words(&["f", "g", "h"]).prop_map(|names| What::Functions { names }),
    ]
}

/// Bounds of the actions `a` and `b`, a few calls of each.
pub fn bounds() -> impl Strategy<Value = Bounds> {
    let allowed = (option::of(0u32..3), what()).prop_map(|(calls, what)| Allowed { calls, what });
    let action = select(&["a", "b"][..]).prop_filter_map("no name", |name| ActionId::new(name).ok());
    let lasts = (1..=LASTS_AT_MOST.as_secs()).prop_map(Duration::from_secs);
    (btree_map(action, allowed, 0..3), option::of(0u32..4), lasts)
        .prop_filter_map("no bounds", |(actions, calls, lasts)| Bounds::new(actions, calls, lasts).ok())
}

/// Any part of a call.
pub fn part() -> impl Strategy<Value = Part> {
    (0u8..20).prop_filter_map("no part", |tag| Part::from_bytes(&[tag]).ok())
}

/// What may be outside an intent.
pub fn outside() -> impl Strategy<Value = Outside> {
    (part(), ".{0,8}", ".{0,8}").prop_map(|(part, given, limit)| Outside { part, given, limit })
}

/// Every reason why a call is not covered.
pub fn unintended() -> impl Strategy<Value = Unintended> {
    prop_oneof![
        Just(Unintended::Undeclared),
        outside().prop_map(|outside| Unintended::Outside { outside }),
        outside().prop_map(|outside| Unintended::Unconsented { outside }),
        (did(), outside()).prop_map(|(principal, outside)| Unintended::OnBehalfOf { principal, outside }),
        (select(&[Beside::Undo, Beside::Probe][..]), outside())
            .prop_map(|(what, outside)| Unintended::Beside { what, outside }),
    ]
}

/// What one intent may let through that another does not.
pub fn wider() -> impl Strategy<Value = Wider> {
    (option::of(action_id()), part()).prop_map(|(action, part)| Wider { action, part })
}

/// Every policy.
pub fn policy() -> impl Strategy<Value = Policy> {
    let every: Vec<Policy> = [Demand::Optional, Demand::Required]
        .into_iter()
        .flat_map(|demand| [Rule::Deny, Rule::Consent].map(|outside| (demand, outside)))
        .flat_map(|(demand, outside)| {
            [Violation::Deny, Violation::Slash].map(|violation| (demand, outside, violation))
        })
        .flat_map(|(demand, outside, violation)| {
            [UndoRule::Free, UndoRule::Held].map(|undo| Policy { demand, outside, violation, undo })
        })
        .collect();
    select(every)
}
