//! What is remembered of the drift of agents, within its bound.

use super::{ALONE, growth};
use hv_integrations::drift::{
    AGENTS_REMEMBERED, Cusum, DriftHistory, DriftScore, HISTORY_MAX_BYTES, Hysteresis, SAMPLES_REMEMBERED,
    Verdict,
};
use hv_integrations::trust::Severity;
use hv_types::Did;
use std::sync::PoisonError;

/// 32 bytes, as many as names of agents have.
fn did(number: usize) -> Did {
    Did::new(&format!("did:mesh:agent-{number:017}")).unwrap()
}

#[test]
fn the_history_of_ten_thousand_agents_has_a_stated_size_and_grows_no_further() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!((AGENTS_REMEMBERED, did(0).as_str().len()), (10_000, 32));
    let rules = (Hysteresis::default(), Cusum::default());
    let before = super::MEMORY.current_usage();
    let mut history = DriftHistory::default();
    let mut record = |agents: std::ops::Range<usize>, checks: usize| {
        for check in 0..checks {
            for agent in agents.clone() {
                let verdict =
                    if check % 3 == 0 { Verdict::Drifted(Severity::High) } else { Verdict::Aligned };
                let score = DriftScore::new(if check % 3 == 0 { 0.6 } else { 0.1 }).unwrap();
                history.record(&did(agent), &verdict, Some(score), rules);
            }
        }
        growth(before)
    };
    let held = record(0..AGENTS_REMEMBERED, SAMPLES_REMEMBERED + 8);
    let more = record(AGENTS_REMEMBERED..AGENTS_REMEMBERED * 3, SAMPLES_REMEMBERED);
    println!("the drift of {AGENTS_REMEMBERED} agents: {held} bytes; after 20 000 others: {more} bytes");
    assert!(held > AGENTS_REMEMBERED * SAMPLES_REMEMBERED * 8, "{held} bytes: is it there?");
    assert!(held.max(more) <= HISTORY_MAX_BYTES, "{held} and {more} bytes of {HISTORY_MAX_BYTES}");
    assert_eq!(history.agents(), AGENTS_REMEMBERED);
    drop(history);
    // The threads of tests that wait meanwhile hold some of their own.
    assert!(growth(before) < 64 << 10, "{} bytes are left", growth(before));
}
