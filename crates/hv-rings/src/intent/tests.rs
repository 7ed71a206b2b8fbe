//! Within, outside, and narrower: each part at its boundary.

use super::*;
use crate::tests::cases;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use core::time::Duration;
use hv_types::Wire;
use proptest::prelude::*;
use proptest::sample::select;
use std::vec::Vec;
use std::{format, vec};
use strategies::bounds;

mod commands;
mod policy;

fn action(name: &str) -> ActionId {
    ActionId::new(name).unwrap()
}

fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(ToString::to_string).collect()
}

fn words(items: &[&str]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn line(argv: &[&str], more: u32) -> CommandLine {
    CommandLine { argv: words(argv), more, rest: Rest::Any }
}

/// Each path where it is written.
fn as_written(paths: &[&str]) -> Places {
    paths.iter().map(|path| (path.to_string(), path.to_string())).collect()
}

fn push() -> CommandBounds {
    CommandBounds {
        commands: BTreeSet::from([line(&["git", "push", "origin"], 1), line(&["git", "status"], 0)]),
        folders: set(&["/srv/repo"]),
        variables: set(&["LANG"]),
        input: false,
    }
}

fn pay() -> HttpBounds {
    let amount = |most: &str, unit: Option<(&str, &str)>| AmountBound {
        most: most.parse().unwrap(),
        unit: unit.map(|(at, is)| Unit { at: at.to_string(), is: is.to_string() }),
    };
    HttpBounds {
        methods: set(&["POST", "PUT"]),
        hosts: set(&["pay.example.com", ".bank.example:8443"]),
        paths: set(&["/v1/payments"]),
        headers: set(&["content-type"]),
        query: false,
        body: true,
        amounts: BTreeMap::from([
            ("/amount".to_string(), amount("100", Some(("/currency", "EUR")))),
            ("/fee".to_string(), amount("0.5", None)),
        ]),
    }
}

fn allowed(calls: Option<u32>, what: What) -> Allowed {
    Allowed { calls, what }
}

fn bounds_of(what: What) -> Bounds {
    Bounds::new(BTreeMap::from([(action("act"), allowed(None, what))]), None, LASTS).unwrap()
}

fn hold(what: What, deed: &Deed<'_>) -> Option<Part> {
    bounds_of(what).hold(&action("act"), deed, Used::default()).err().map(|outside| outside.part)
}

fn command(bounds: CommandBounds) -> What {
    What::Command { bounds }
}

fn http(bounds: HttpBounds) -> What {
    What::Http { bounds }
}

#[test]
fn requests_within_and_outside() {
    let held = |method, url, headers: &[&str]| {
        let plain = HttpBounds { body: false, amounts: BTreeMap::new(), ..pay() };
        hold(http(plain), &Deed::Http { method, url, headers, body: Body::Empty })
    };
    let url = "https://pay.example.com/v1/payments";
    for (url, outside) in [
        (url, None),
        ("https://pay.example.com:443/v1/payments/7", None),
        ("https://a.bank.example:8443/v1/payments", None),
        ("https://a.bank.example/v1/payments", Some(Part::Host)),
        ("https://evil.example/v1/payments", Some(Part::Host)),
        ("https://pay.example.com.evil.example/v1/payments", Some(Part::Host)),
        ("https://pay.example.com@evil.example/v1/payments", Some(Part::Address)),
        ("/v1/payments", Some(Part::Address)),
        ("https://pay.example.com/v1/payments/../admin", Some(Part::Address)),
        ("https://pay.example.com/v1/refunds", Some(Part::Path)),
        ("https://pay.example.com/%76%31/payments/a%20b", None),
        ("https://pay.example.com/v1/re%66unds", Some(Part::Path)),
        ("https://pay.example.com/v1/payments/%2e%2e/admin", Some(Part::Address)),
        ("https://pay.example.com/v1/payments?to=me", Some(Part::Query)),
    ] {
        assert_eq!(held("POST", url, &[]), outside, "{url}");
    }
    assert_eq!(held("DELETE", url, &[]), Some(Part::Method));
    assert_eq!(held("POST", url, &["Content-Type"]), None);
    assert_eq!(held("POST", url, &["Content-Type", "Host"]), Some(Part::Header));
    let queried = HttpBounds { query: true, body: false, amounts: BTreeMap::new(), ..pay() };
    let url = "https://pay.example.com/v1/payments?x";
    let deed = |body| Deed::Http { method: "POST", url, headers: &[], body };
    assert_eq!(hold(http(queried.clone()), &deed(Body::Empty)), None);
    // A body is let through or not; where amounts are bound, it has to be read.
    let scalars = BTreeMap::new();
    let bodied = HttpBounds { body: true, ..queried.clone() };
    for body in [Body::Unread, Body::Json { scalars: &scalars }] {
        assert_eq!(hold(http(queried.clone()), &deed(body)), Some(Part::Body));
        assert_eq!(hold(http(bodied.clone()), &deed(body)), None);
        assert_eq!(hold(http(HttpBounds { query: true, ..pay() }), &deed(body)), Some(Part::Amount));
    }
}

#[test]
fn amounts_to_the_millionth_and_in_their_unit() {
    let held = |fields: &[(&str, &str)]| {
        let scalars = fields.iter().map(|(at, is)| (at.to_string(), is.to_string())).collect();
        let body = Body::Json { scalars: &scalars };
        let url = "https://pay.example.com/v1/payments";
        hold(http(pay()), &Deed::Http { method: "POST", url, headers: &[], body })
    };
    let with = |amount| held(&[("/amount", amount), ("/currency", "EUR"), ("/fee", "0.5")]);
    for (amount, outside) in [
        ("100", false),
        ("100.000000", false),
        ("0", false),
        ("99.999999", false),
        ("100.000001", true),
        ("1e2", true),
        ("NaN", true),
        ("-1", true),
        ("", true),
    ] {
        assert_eq!(with(amount), outside.then_some(Part::Amount), "{amount}");
    }
    assert_eq!(held(&[("/currency", "EUR"), ("/fee", "0.5")]), Some(Part::Amount));
    assert_eq!(held(&[("/amount", "1"), ("/currency", "EUR")]), Some(Part::Amount));
    assert_eq!(held(&[("/amount", "1"), ("/currency", "EUR"), ("/fee", "0.500001")]), Some(Part::Amount));
    assert_eq!(held(&[("/amount", "1"), ("/currency", "KWD"), ("/fee", "0.5")]), Some(Part::Unit));
    assert_eq!(held(&[("/amount", "1"), ("/fee", "0.5")]), Some(Part::Unit));
}

#[test]
fn files_and_functions_within_and_outside() {
    let files = || What::Files { paths: set(&["/src", "/notes.md"]) };
    for (paths, outside) in [
        (&["/src/a.rs"][..], false),
        (&["/src", "/notes.md"], false),
        (&["/src/a.rs", "/etc/x"], true),
        (&["/"], true),
        (&["/srcs"], true),
        (&["/src/../x"], true),
        (&["src"], true),
    ] {
        assert_eq!(hold(files(), &Deed::Files { paths }), outside.then_some(Part::File), "{paths:?}");
    }
    assert_eq!(hold(What::Files { paths: set(&["/"]) }, &Deed::Files { paths: &["/"] }), None);
    let functions = || What::Functions { names: set(&["work"]) };
    assert_eq!(hold(functions(), &Deed::Function { name: "work" }), None);
    assert_eq!(hold(functions(), &Deed::Function { name: "wor" }), Some(Part::Function));
}

#[test]
fn another_action_and_another_kind_are_outside() {
    let argv = words(&["git", "status"]);
    let deeds = [
        Deed::Command { argv: &argv, folder: None, variables: &[], input: false, real: &Places::new() },
        Deed::Http { method: "GET", url: "https://a/", headers: &[], body: Body::Empty },
        Deed::Files { paths: &["/"] },
        Deed::Function { name: "work" },
    ];
    let whats = [
        command(push()),
        http(pay()),
        What::Files { paths: set(&["/"]) },
        What::Functions { names: set(&["work"]) },
    ];
    let kinds = ["a program", "a request", "files", "a function"];
    for (i, deed) in deeds.iter().enumerate() {
        for (j, what) in whats.iter().enumerate() {
            let bounds = bounds_of(what.clone());
            let outside = bounds.hold(&action("act"), deed, Used::default()).err();
            if i != j {
                let (given, limit) = (kinds[i].to_string(), kinds[j].to_string());
                assert_eq!(outside, Some(Outside { part: Part::Kind, given, limit }));
            }
            let other = bounds.hold(&action("other"), deed, Used::default()).unwrap_err();
            let expected = Outside { part: Part::Action, given: "other".into(), limit: "act".into() };
            assert_eq!(other, expected);
        }
    }
    let nothing = Bounds::new(BTreeMap::new(), None, LASTS).unwrap();
    let outside = nothing.hold(&action("act"), &deeds[3], Used::default()).unwrap_err();
    assert_eq!((outside.part, outside.limit.as_str()), (Part::Action, "none"));
}

#[test]
fn no_more_calls_than_were_named() {
    let what = || What::Functions { names: set(&["work"]) };
    let held = |of_action_most, most, used| {
        let actions = BTreeMap::from([(action("act"), allowed(of_action_most, what()))]);
        let bounds = Bounds::new(actions, most, LASTS).unwrap();
        bounds.hold(&action("act"), &Deed::Function { name: "work" }, used).err()
    };
    let used = |all, of_action| Used { all, of_action };
    assert_eq!(held(None, None, used(u32::MAX, u32::MAX)), None);
    assert_eq!(held(Some(2), Some(5), used(4, 1)), None);
    let part = |outside: Option<Outside>| outside.map(|outside| (outside.part, outside.given, outside.limit));
    let more = |used: u32| format!("one more than {used}");
    assert_eq!(part(held(Some(2), Some(5), used(2, 2))), Some((Part::CallsOfAction, more(2), "2".into())));
    assert_eq!(part(held(Some(2), Some(5), used(5, 1))), Some((Part::Calls, more(5), "5".into())));
    assert_eq!(part(held(Some(0), None, used(0, 0))), Some((Part::CallsOfAction, more(0), "0".into())));
}

#[test]
fn a_reason_says_what_and_what_would_be_within() {
    let outside = |what: What, deed: &Deed<'_>| {
        let outside = bounds_of(what).hold(&action("act"), deed, Used::default()).unwrap_err();
        let why = Unintended::Outside { outside };
        format!("{why}; {}", why.needs())
    };
    let argv = words(&["git", "push", "evil"]);
    let real = &Places::new();
    let deed = Deed::Command { argv: &argv, folder: None, variables: &[], input: false, real };
    assert_eq!(
        outside(command(push()), &deed),
        "the command `git push evil` is outside the agent's intent; the command within git push origin and at most 1 \
         more, git status"
    );
    let scalars = BTreeMap::from([("/amount".to_string(), "101".to_string())]);
    let url = "https://pay.example.com/v1/payments";
    let body = Body::Json { scalars: &scalars };
    assert_eq!(
        outside(http(pay()), &Deed::Http { method: "PUT", url, headers: &[], body }),
        "the amount `101` is outside the agent's intent; the amount within 100 EUR at /amount"
    );
    let scalars = ["/amount", "/fee"].map(|at| (at.to_string(), "0.1".to_string())).into();
    let body = Body::Json { scalars: &scalars };
    assert_eq!(
        outside(http(pay()), &Deed::Http { method: "PUT", url, headers: &[], body }),
        "the unit `nothing that can be read` is outside the agent's intent; the unit within EUR at /currency"
    );
    let scalars =
        BTreeMap::from([("/amount", "1"), ("/currency", "EUR")].map(|(k, v)| (k.to_string(), v.to_string())));
    let body = Body::Json { scalars: &scalars };
    assert_eq!(
        outside(http(pay()), &Deed::Http { method: "PUT", url, headers: &[], body }),
        "the amount `nothing that can be read` is outside the agent's intent; the amount within 0.5 at /fee"
    );
    let body = Body::Empty;
    assert_eq!(
        outside(http(pay()), &Deed::Http { method: "PUT", url: "/x", headers: &[], body }),
        "the address `/x` is outside the agent's intent; the address within http(s)://host/path that reads one \
         way only"
    );
    let outside = Outside { part: Part::Input, given: "some".into(), limit: "none".into() };
    let unconsented = Unintended::Unconsented { outside: outside.clone() };
    assert_eq!(
        format!("{unconsented}; {}", unconsented.needs()),
        "the input `some` is outside the agent's intent, and no witness has consented; the input within none, or the \
         word of a witness on exactly this call"
    );
    assert_eq!(
        format!("{}; {}", Unintended::Undeclared, Unintended::Undeclared.needs()),
        "the session asks for an intent, and the agent has none in force; a signed intent in force, or a call that \
         only reads"
    );
    let names = [
        Unintended::Undeclared,
        Unintended::Outside { outside: outside.clone() },
        unconsented.clone(),
        Unintended::OnBehalfOf { principal: Did::new("did:mesh:a").unwrap(), outside: outside.clone() },
        Unintended::Beside { what: Beside::Undo, outside: outside.clone() },
    ];
    assert_eq!(
        names.each_ref().map(Unintended::name),
        ["undeclared", "outside", "unconsented", "on_behalf_of", "beside"]
    );
    assert_eq!(names.each_ref().map(|why| why.outside().is_some()), [false, true, true, false, true]);
    for (tag, why) in (0u8..).zip(names) {
        assert_eq!(why.to_bytes()[0], tag);
        assert_eq!(Unintended::from_bytes(&why.to_bytes()), Ok(why));
    }
}

/// Each change of the bounds, with the part of which it makes them wider; nothing where it does not.
#[test]
fn narrower_part_by_part() {
    let narrows =
        |now: What, before: What| bounds_of(now).narrows(&bounds_of(before), |_| 0).err().map(|w| w.part);
    let with = |change: fn(&mut CommandBounds)| {
        let mut bounds = push();
        change(&mut bounds);
        narrows(command(bounds), command(push()))
    };
    assert_eq!(with(|_| {}), None);
    assert_eq!(with(|b| b.commands = BTreeSet::from([line(&["git", "push", "origin", "main"], 0)])), None);
    assert_eq!(
        with(|b| b.commands = BTreeSet::from([line(&["git", "push", "origin", "main"], 1)])),
        Some(Part::Command)
    );
    assert_eq!(
        with(|b| b.commands = BTreeSet::from([line(&["git", "push", "origin"], 2)])),
        Some(Part::Command)
    );
    assert_eq!(with(|b| b.commands = BTreeSet::from([line(&["git", "push"], 0)])), Some(Part::Command));
    assert_eq!(with(|b| b.commands.extend([line(&["sh"], 0)])), Some(Part::Command));
    assert_eq!(with(|b| b.folders = set(&["/srv/repo/src"])), None);
    assert_eq!(with(|b| b.folders = set(&["/srv"])), Some(Part::Folder));
    assert_eq!(with(|b| b.variables = set(&[])), None);
    assert_eq!(with(|b| b.variables = set(&["LANG", "HOME"])), Some(Part::Variable));
    assert_eq!(with(|b| b.input = true), Some(Part::Input));
    let inputs = CommandBounds { input: true, ..push() };
    assert_eq!(narrows(command(push()), command(inputs.clone())), None);
    assert_eq!(narrows(command(inputs.clone()), command(inputs)), None);

    let with = |change: fn(&mut HttpBounds)| {
        let mut bounds = pay();
        change(&mut bounds);
        narrows(http(bounds), http(pay()))
    };
    assert_eq!(with(|_| {}), None);
    assert_eq!(with(|b| b.methods = set(&["PUT"])), None);
    assert_eq!(with(|b| b.methods = set(&["GET"])), Some(Part::Method));
    assert_eq!(with(|b| b.hosts = set(&["a.bank.example:8443"])), None);
    assert_eq!(with(|b| b.hosts = set(&[".example.com"])), Some(Part::Host));
    assert_eq!(with(|b| b.paths = set(&["/v1/payments/7"])), None);
    assert_eq!(with(|b| b.paths = set(&["/v1"])), Some(Part::Path));
    assert_eq!(with(|b| b.query = true), Some(Part::Query));
    assert_eq!(with(|b| b.headers = set(&[])), None);
    assert_eq!(with(|b| b.headers = set(&["host"])), Some(Part::Header));
    assert_eq!(with(|b| b.amounts = BTreeMap::new()), Some(Part::Amount));
    assert_eq!(with(|b| b.amounts.get_mut("/fee").unwrap().most = "0.4".parse().unwrap()), None);
    assert_eq!(
        with(|b| b.amounts.get_mut("/fee").unwrap().most = "0.500001".parse().unwrap()),
        Some(Part::Amount)
    );
    assert_eq!(with(|b| b.amounts.get_mut("/amount").unwrap().unit = None), Some(Part::Unit));
    let unit = || Unit { at: "/currency".into(), is: "CHF".into() };
    assert_eq!(
        with(|b| b.amounts.get_mut("/fee").unwrap().unit = Some(Unit { at: "/x".into(), is: "y".into() })),
        None
    );
    let other = HttpBounds {
        amounts: BTreeMap::from([(
            "/amount".into(),
            AmountBound { most: "1".parse().unwrap(), unit: Some(unit()) },
        )]),
        ..pay()
    };
    assert_eq!(
        narrows(http(HttpBounds { amounts: pay().amounts, ..other.clone() }), http(other)),
        Some(Part::Amount)
    );
    let bare = HttpBounds { body: false, amounts: BTreeMap::new(), ..pay() };
    let open = HttpBounds { query: true, body: true, ..bare.clone() };
    assert_eq!(
        narrows(http(HttpBounds { body: true, ..bare.clone() }), http(bare.clone())),
        Some(Part::Body)
    );
    assert_eq!(narrows(http(bare), http(open.clone())), None);
    assert_eq!(narrows(http(open.clone()), http(open)), None);

    let files = |paths: &[&str]| What::Files { paths: set(paths) };
    assert_eq!(narrows(files(&["/src/a"]), files(&["/src"])), None);
    assert_eq!(narrows(files(&["/src", "/"]), files(&["/src"])), Some(Part::File));
    let functions = |names: &[&str]| What::Functions { names: set(names) };
    assert_eq!(narrows(functions(&["a"]), functions(&["a", "b"])), None);
    assert_eq!(narrows(functions(&["c"]), functions(&["a", "b"])), Some(Part::Function));
    assert_eq!(narrows(functions(&["a"]), files(&["/"])), Some(Part::Kind));
}

#[test]
fn narrower_in_what_is_left_of_the_calls() {
    let bounds = |names: &[(&str, Option<u32>)], calls| {
        let what = || What::Functions { names: set(&["work"]) };
        let actions = names.iter().map(|(name, calls)| (action(name), allowed(*calls, what()))).collect();
        Bounds::new(actions, calls, LASTS).unwrap()
    };
    let wider = |now: &Bounds, before: &Bounds| {
        let used = |of: Option<&ActionId>| if of.is_some() { 2 } else { 5 };
        now.narrows(before, used).err().map(|wider| wider.to_string())
    };
    let before = bounds(&[("a", Some(3)), ("b", None)], Some(10));
    assert_eq!(wider(&bounds(&[("a", Some(1)), ("b", None)], Some(5)), &before), None);
    assert_eq!(wider(&bounds(&[], Some(5)), &before), None);
    let is = |what: &str| Some(format!("it is wider than the one in force: the {what}"));
    assert_eq!(wider(&bounds(&[], Some(6)), &before), is("number of calls"));
    assert_eq!(wider(&bounds(&[], None), &before), is("number of calls"));
    assert_eq!(wider(&bounds(&[("a", Some(2))], Some(5)), &before), is("number of calls of the action of a"));
    assert_eq!(wider(&bounds(&[("a", None)], Some(5)), &before), is("number of calls of the action of a"));
    assert_eq!(wider(&bounds(&[("c", Some(0))], Some(5)), &before), is("action of c"));
    let free = bounds(&[("a", None)], None);
    assert_eq!(wider(&free, &free), None);
    assert_eq!(wider(&bounds(&[("a", Some(9))], Some(9)), &free), None);
    let wider = Wider { action: Some(action("a")), part: Part::Host };
    assert_eq!(Wider::from_bytes(&wider.to_bytes()), Ok(wider));
}

#[test]
fn bounds_that_bind_nobody_are_refused() {
    let new = |what| Bounds::new(BTreeMap::from([(action("a"), allowed(None, what))]), None, LASTS).err();
    let bad = |what: What| match new(what) {
        Some(BadBounds::Text { what, given }) => format!("{what}: {given}"),
        other => format!("{other:?}"),
    };
    let with = |change: fn(&mut CommandBounds)| {
        let mut bounds = push();
        change(&mut bounds);
        bad(command(bounds))
    };
    assert_eq!(with(|_| {}), "None");
    assert_eq!(with(|b| b.commands = BTreeSet::from([line(&[], 0)])), "program: ");
    assert_eq!(with(|b| b.commands = BTreeSet::from([line(&["", "a"], 0)])), "program: ");
    assert_eq!(with(|b| b.commands = BTreeSet::from([line(&["a", ""], 0)])), "None");
    assert_eq!(with(|b| b.commands = BTreeSet::from([line(&["a", "b\0"], 0)])), "argument: b\\0");
    let rest = |rest: Rest| {
        bad(command(CommandBounds {
            commands: BTreeSet::from([CommandLine { rest, ..line(&["a"], 1) }]),
            ..push()
        }))
    };
    assert_eq!(rest(Rest::Operands), "None");
    assert_eq!(rest(Rest::Words { words: set(&["", "-x"]) }), "None");
    assert_eq!(rest(Rest::Words { words: set(&["b\0"]) }), "argument: b\\0");
    assert_eq!(rest(Rest::Paths { folders: set(&["/", "/a"]) }), "None");
    assert_eq!(rest(Rest::Paths { folders: set(&["a"]) }), "absolute folder: a");
    assert_eq!(with(|b| b.folders = set(&["repo"])), "absolute folder: repo");
    assert_eq!(with(|b| b.variables = set(&["A=B"])), "variable: A=B");
    assert_eq!(with(|b| b.variables = set(&["A\0"])), "variable: A\\0");
    assert_eq!(with(|b| b.variables = set(&[""])), "variable: ");
    let with = |change: fn(&mut HttpBounds)| {
        let mut bounds = pay();
        change(&mut bounds);
        bad(http(bounds))
    };
    assert_eq!(with(|_| {}), "None");
    assert_eq!(with(|b| b.methods = set(&["post"])), "method, such as POST: post");
    assert_eq!(with(|b| b.methods = set(&[""])), "method, such as POST: ");
    assert_eq!(
        with(|b| b.hosts = set(&["https://a"])),
        "host, such as api.example.com or .example.com: https://a"
    );
    assert_eq!(with(|b| b.paths = set(&["v1"])), "path, such as /v1: v1");
    assert_eq!(with(|b| b.headers = set(&["Host"])), "header in lower case: Host");
    assert_eq!(with(|b| b.headers = set(&[""])), "header in lower case: ");
    let pointer = |b: &mut HttpBounds, at: &str| {
        let bound = AmountBound { most: "1".parse().unwrap(), unit: None };
        b.amounts.insert(at.to_string(), bound);
    };
    let mut bounds = pay();
    pointer(&mut bounds, "amount");
    assert_eq!(bad(http(bounds)), "JSON pointer, such as /amount: amount");
    let unit = |at: &str, is: &str| {
        let mut bounds = pay();
        bounds.amounts.get_mut("/fee").unwrap().unit = Some(Unit { at: at.to_string(), is: is.to_string() });
        bad(http(bounds))
    };
    assert_eq!(unit("/x", "EUR"), "None");
    assert_eq!(unit("x", "EUR"), "JSON pointer, such as /amount: x");
    assert_eq!(unit("/x", ""), "unit: ");
    assert_eq!(new(http(HttpBounds { body: false, ..pay() })), Some(BadBounds::AmountsWithoutBody));
    assert_eq!(bad(What::Files { paths: set(&["/a/../b"]) }), "path, such as /src: /a/../b");
    assert_eq!(bad(What::Functions { names: set(&[""]) }), "name of a function: ");
    let longest = "x".repeat(MAX_TEXT_BYTES);
    assert_eq!(new(What::Functions { names: set(&[&longest]) }), None);
    let longer = new(What::Functions { names: set(&[&format!("{longest}x")]) });
    assert!(matches!(longer, Some(BadBounds::Text { what: "name of a function", .. })));
}

#[test]
fn bounds_hold_only_so_much() {
    let many = |count: usize| (0..count).map(|n| format!("n{n}")).collect::<Vec<_>>();
    let names = |count| What::Functions { names: many(count).into_iter().collect() };
    let actions =
        |count: usize| many(count).iter().map(|name| (action(name), allowed(None, names(1)))).collect();
    let new = |actions, lasts| Bounds::new(actions, None, lasts).err();
    assert_eq!(new(actions(MAX_ACTIONS), LASTS), None);
    assert_eq!(
        new(actions(MAX_ACTIONS + 1), LASTS),
        Some(BadBounds::TooMany { what: "actions", most: MAX_ACTIONS })
    );
    let one = |what| Bounds::new(BTreeMap::from([(action("a"), allowed(None, what))]), None, LASTS).err();
    let too_many = |what| Some(BadBounds::TooMany { what, most: MAX_ITEMS });
    assert_eq!(one(names(MAX_ITEMS)), None);
    assert_eq!(one(names(MAX_ITEMS + 1)), too_many("items in a list"));
    let commands = |count| {
        command(CommandBounds { commands: many(count).iter().map(|n| line(&[n], 0)).collect(), ..push() })
    };
    assert_eq!(one(commands(MAX_ITEMS)), None);
    assert_eq!(one(commands(MAX_ITEMS + 1)), too_many("commands"));
    let arguments = |count| {
        let argv = many(count);
        command(CommandBounds {
            commands: BTreeSet::from([CommandLine { argv, more: 0, rest: Rest::Any }]),
            ..push()
        })
    };
    assert_eq!(one(arguments(MAX_ITEMS)), None);
    assert_eq!(one(arguments(MAX_ITEMS + 1)), too_many("arguments"));
    let amounts = |count| {
        let bound = || AmountBound { most: "1".parse().unwrap(), unit: None };
        http(HttpBounds {
            amounts: many(count).iter().map(|n| (format!("/{n}"), bound())).collect(),
            ..pay()
        })
    };
    assert_eq!(one(amounts(MAX_ITEMS)), None);
    assert_eq!(one(amounts(MAX_ITEMS + 1)), too_many("amounts"));
    let tick = Duration::from_nanos(1);
    assert_eq!(new(BTreeMap::new(), tick), None);
    assert_eq!(new(BTreeMap::new(), LASTS_AT_MOST), None);
    for lasts in [Duration::ZERO, LASTS_AT_MOST + tick] {
        assert_eq!(new(BTreeMap::new(), lasts), Some(BadBounds::Lasts { lasts }));
    }
    assert_eq!(LASTS_AT_MOST, Duration::from_secs(86_400));
    assert_eq!(LASTS, Duration::from_secs(3_600));
    for (bad, words) in [
        (BadBounds::TooMany { what: "actions", most: 64 }, "bounds have at most 64 actions"),
        (
            BadBounds::Lasts { lasts: Duration::ZERO },
            "an intent lasts some time and at most 86400 s; this one would last 0ns",
        ),
        (BadBounds::Text { what: "program", given: "x".into() }, "`x` is no program"),
        (BadBounds::AmountsWithoutBody, "amounts are bound in a body; let one be sent"),
    ] {
        assert_eq!(bad.to_string(), words);
    }
}

#[test]
fn golden_bytes() {
    let actions = BTreeMap::from([
        (action("a"), allowed(Some(3), What::Functions { names: set(&["f"]) })),
        (action("b"), allowed(None, What::Files { paths: set(&["/s"]) })),
    ]);
    let bounds = Bounds::new(actions, Some(7), Duration::from_secs(1)).unwrap();
    let bytes = bounds.to_bytes();
    let lasts = Duration::from_secs(1).to_bytes();
    let expected =
        [&[2, 1, b'a', 1, 3, 3, 1, 1, b'f', 1, b'b', 0, 2, 1, 2, b'/', b's', 1, 7][..], &lasts].concat();
    assert_eq!(bytes, expected);
    assert_eq!(Bounds::from_bytes(&bytes), Ok(bounds.clone()));
    assert_eq!(
        (bounds.calls(), bounds.lasts(), bounds.actions().len()),
        (Some(7), Duration::from_secs(1), 2)
    );
    for what in [command(push()), http(pay())] {
        let bounds = bounds_of(what);
        assert_eq!(Bounds::from_bytes(&bounds.to_bytes()), Ok(bounds));
    }
    // What could not be made is not read either.
    let zero = [&bytes[..bytes.len() - lasts.len()], &Duration::ZERO.to_bytes()].concat();
    assert!(Bounds::from_bytes(&zero).is_err());
}

#[test]
fn every_part_has_its_word_and_its_byte() {
    let parts: Vec<Part> = (0..=19).map(|tag| Part::from_bytes(&[tag]).unwrap()).collect();
    let words: BTreeSet<String> = parts.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), parts.len());
    assert!(words.iter().all(|word| !word.is_empty()));
    assert!(Part::from_bytes(&[20]).is_err());
    let outside = Outside { part: Part::Host, given: "a".into(), limit: "b".into() };
    assert_eq!(outside.to_bytes(), [10, 1, b'a', 1, b'b']);
}

/// Where paths may be: some as they are written, some elsewhere, some nobody knows where.
fn places() -> impl Strategy<Value = Places> {
    let path = || select(&["/", "/a", "/a/b", "/b", "/x", "/a/x"][..]).prop_map(ToString::to_string);
    let as_written = as_written(&["/", "/a", "/a/b", "/a/x"]);
    prop::collection::btree_map(path(), path(), 0..3).prop_map(move |mut real| {
        as_written.iter().for_each(|(path, there)| {
            real.entry(path.clone()).or_insert_with(|| there.clone());
        });
        real
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(20_000)))]

    /// What is narrower lets nothing through that the wider one, with what was used of it, does not.
    #[test]
    fn i1_narrower_lets_nothing_more_through(
        now in bounds(),
        before in bounds(),
        name in select(vec!["a", "b"]),
        argv in prop::collection::vec(select(words(&["x", "y", "-y", "/a/b", "b"])), 1..5),
        (folder, real) in (select(vec![None, Some("/"), Some("/a")]), places()),
        path in select(vec!["/", "/a", "/a/b/c", "/c", "/d"]),
        function in select(vec!["f", "g", "i"]),
        (used, more) in (0u32..3, 0u32..3),
        kind in 0..4,
        (url, amount) in (select(&["http://a.b/a", "http://c.b/a/x", "http://a.b:81/", "http://a.b/a?q"][..]), select(&["0", "1.5", "2", "3"][..])),
    ) {
        if now.narrows(&before, |_| used).is_err() {
            return Ok(());
        }
        let paths = [path];
        let fields = [("/a", amount), ("/b", amount), ("/unit", "EUR")];
        let scalars = fields.map(|(at, is)| (at.to_string(), is.to_string())).into();
        let body = if used == 2 { Body::Empty } else { Body::Json { scalars: &scalars } };
        let deed = match kind {
            0 => Deed::Command { argv: &argv, folder, variables: &[], input: used == 1, real: &real },
            1 => Deed::Files { paths: &paths },
            2 => Deed::Http { method: "GET", url, headers: &[], body },
            _ => Deed::Function { name: function },
        };
        let action = action(name);
        let counted = |n| Used { all: n, of_action: n };
        if now.hold(&action, &deed, counted(more)).is_ok() {
            prop_assert_eq!(before.hold(&action, &deed, counted(used + more)), Ok(()));
        }
    }

    /// Whoever narrows what it has narrowed is still within the first.
    #[test]
    fn itself_is_no_wider_and_goes_there_and_back(
        (bounds, why, wider, policy) in (bounds(), strategies::unintended(), strategies::wider(), strategies::policy()),
        bytes in prop::collection::vec(any::<u8>(), 0..48),
    ) {
        prop_assert_eq!(bounds.narrows(&bounds, |_| 0), Ok(()));
        prop_assert_eq!(Bounds::from_bytes(&bounds.to_bytes()), Ok(bounds));
        prop_assert_eq!(Unintended::from_bytes(&why.to_bytes()), Ok(why));
        prop_assert_eq!(Wider::from_bytes(&wider.to_bytes()), Ok(wider));
        prop_assert_eq!(Policy::from_bytes(&policy.to_bytes()), Ok(policy));
        // Whatever bytes come, nothing panics, and what is read has no other bytes.
        for bytes in [bytes.clone(), bytes.iter().map(|b| b % 6).collect()] {
            if let Ok(read) = Bounds::from_bytes(&bytes) {
                prop_assert_eq!(read.to_bytes(), bytes);
            }
        }
    }
}
