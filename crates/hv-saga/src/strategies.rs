//! Strategies for property tests: any valid definition, and any failure.

use crate::{
    Class, CommandTask, Failure, Growth, HttpTask, Idempotence, Join, Limits, Pace, Plan, Reason, Retry,
    StartProblem, StepDef, Task, Value, limits,
};
use core::time::Duration;
use hv_types::{Did, StepId, strategies as types};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::sync::Arc;

/// Any reference or literal that fits a variable or a header.
pub fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[ -~]{0,12}".prop_map(Value::Literal),
        "[A-Z_]{1,8}".prop_map(Value::Env),
        "/[a-z/]{1,8}".prop_map(Value::File),
    ]
}

/// Any task that can be run.
pub fn task() -> impl Strategy<Value = Task> {
    let command = (
        vec("[ -~]{1,8}", 1..4),
        option::of("/[a-z]{0,8}"),
        vec(("[A-G][A-Z]{0,4}", value()), 0..3),
        option::of(value()),
        option::of(types::digest()),
    )
        .prop_map(|(argv, cwd, env, stdin, pin)| Task::from(CommandTask { argv, cwd, env, stdin, pin }));
    let http = (
        "[A-Z]{3,7}",
        "(https?://[a-z]{1,8})?/[a-z?=/]{0,8}",
        vec(("X-[A-Za-z]{1,6}", value()), 0..3),
        option::of(value()),
        vec(100u16..600, 0..3),
    );
    let http = http.prop_map(|(method, url, headers, body, expect)| {
        Task::from(HttpTask { method, url, headers, body, expect })
    });
    prop_oneof![command, http, "[a-z]{1,8}".prop_map(|name| Task::Closure { name })]
}

/// Any way to repeat.
pub fn retry() -> impl Strategy<Value = Retry> {
    let (max, cap) = (0..=limits::RETRIES, 0u64..=86_400_000);
    (max, cap, 0u64..=100).prop_map(|(max, cap, percent)| Retry {
        max,
        base: Duration::from_millis(cap * percent / 100),
        cap: Duration::from_millis(cap),
    })
}

/// Any failure.
pub fn failure() -> impl Strategy<Value = Failure> {
    let class = prop::sample::select(std::vec![Class::Retryable, Class::Permanent, Class::Unknown]);
    let reason = prop_oneof![
        any::<i32>().prop_map(|code| Reason::Exit { code }),
        (1..64).prop_map(|signal| Reason::Signal { signal }),
        any::<u16>().prop_map(|status| Reason::Http { status }),
        Just(Reason::TimedOut),
        Just(Reason::Crashed),
        Just(Reason::NotStarted { problem: StartProblem::NotFound }),
        "[ -~]{0,20}".prop_map(|text| Reason::Other { text }),
        "[a-z:/]{0,20}".prop_map(|reference| Reason::BadReference { reference }),
    ];
    let retry_after = option::of((0u64..100_000).prop_map(Duration::from_millis));
    (class, reason, retry_after).prop_map(|(class, reason, retry_after)| Failure {
        class,
        reason,
        retry_after,
    })
}

/// Any step that may stand at this place of its saga.
pub fn step(ordinal: u32) -> impl Strategy<Value = StepDef> {
    let after = prop::sample::subsequence((0..ordinal).collect::<Vec<_>>(), 0..=ordinal.min(4) as usize);
    let names = (types::action_id(), types::did(), types::action_kind());
    let tasks = (task(), option::of(task()), option::of(task()));
    let times = (
        1u64..=604_800_000,
        1u64..=604_800_000,
        option::of(1u64..=86_400_000),
        option::of(0u64..=604_800_000),
        option::of(1u64..=604_800_000),
        option::of(1u64..=604_800_000),
    );
    let idempotent = prop::sample::select(std::vec![
        Idempotence::None,
        Idempotence::Execute,
        Idempotence::Undo,
        Idempotence::Both
    ]);
    (after, 0u32..6, names, tasks, times, (retry(), retry(), idempotent)).prop_filter_map(
        "the grammar holds",
        move |(after, join, (action, agent, kind), tasks, times, (retry, undo_retry, idempotent))| {
            let of = u32::try_from(after.len()).ok()?;
            let join = match join {
                0 => Join::Majority,
                n if n <= of => Join::AtLeast(n),
                _ => Join::All,
            };
            Some(StepDef {
                id: StepId::new(&format!("s{ordinal}")).ok()?,
                action,
                kind,
                agent,
                after,
                join,
                execute: Arc::new(tasks.0),
                undo: tasks.1.map(Arc::new),
                probe: tasks.2.map(Arc::new),
                idempotent,
                timeout: Duration::from_millis(times.0),
                retry,
                undo_timeout: Duration::from_millis(times.1),
                undo_retry,
                undo_window: times.2.map(Duration::from_millis),
                settles: times.3.map(Duration::from_millis),
                within: times.4.map(Duration::from_millis),
                start_within: times.5.map(Duration::from_millis),
                substitute: (join == Join::Majority).then(|| Did::new("did:mesh:deputy").ok()).flatten(),
            })
        },
    )
}

/// Any definition of up to six steps.
pub fn plan() -> impl Strategy<Value = Plan> {
    let steps = (0u32..=6).prop_flat_map(|size| (0..size).map(step).collect::<Vec<_>>());
    let limits = (1..=limits::CONCURRENCY, any::<u32>(), option::of(1u64..=604_800));
    let pace = prop::sample::select(std::vec![Pace::AsReady, Pace::Asked]);
    let growth = prop::sample::select(std::vec![Growth::Open, Growth::Sealed]);
    (steps, any::<u64>(), limits, pace, growth).prop_map(
        |(steps, seed, (concurrency, retries, within), pace, growth)| {
            let within = within.map(Duration::from_secs);
            let limits = Limits { concurrency, retries, within };
            let steps = steps.into_iter().map(Arc::new).collect::<Vec<_>>().into();
            Plan { steps, seed, limits, pace, growth }
        },
    )
}
