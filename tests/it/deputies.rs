//! Session files that say for whom agents act, and how often they may call.

use crate::scene::{AGENT, change, denials, file, ran, said, scene, sh, trail, with};
use hv_core::TrailEvent;
use hv_core::event::{NodeEvent, SessionEvent};
use serde_json::{Value, json};

const OTHER: &str = "did:mesh:other";

/// A file in which the agent of this score does what needs Ring 2, with somebody else above it.
fn above(sigma: f64, other: f64, child: bool) -> Value {
    let mut agent = json!({ "did": AGENT, "sigma": sigma });
    if child {
        agent["parent"] = json!(OTHER);
    }
    let steps = vec![change("one", sh("touch done"), sh("rm done"))];
    with(file(sigma, steps), json!({ "agent": [{ "did": OTHER, "sigma": other }, agent] }))
}

/// The exit code of a run, whether the effect is there, and the last denial.
fn outcome(file: &Value) -> (i32, bool, String) {
    let run = scene(file);
    let output = ran(&mut run.start());
    let denied = denials(&run.data()).pop().map(|denial| denial.reason).unwrap_or_default();
    (output.status.code().unwrap(), run.work().join("done").exists(), denied)
}

#[test]
fn a_child_in_a_session_file_never_passes_its_parent() {
    assert_eq!(outcome(&above(0.9, 0.5, false)), (0, true, String::new()), "nobody's child");
    assert_eq!(outcome(&above(0.9, 0.9, true)), (0, true, String::new()), "both may");
    let (code, done, denied) = outcome(&above(0.9, 0.5, true));
    assert_eq!((code, done), (5, false), "{denied}");
    assert!(denied.contains(OTHER) && denied.contains("Ring 3"), "{denied}");
    // Nor does a parent lift its child.
    let (code, done, denied) = outcome(&above(0.5, 0.9, true));
    assert_eq!((code, done), (5, false), "{denied}");
}

#[test]
fn whoever_a_session_file_says_agents_act_for_could_do_it_itself() {
    let behalf =
        |other: f64, of: &str| with(above(0.9, other, false), json!({ "session": { "on_behalf_of": [of] } }));
    assert_eq!(outcome(&behalf(0.9, OTHER)), (0, true, String::new()));
    let (code, done, denied) = outcome(&behalf(0.5, OTHER));
    assert_eq!((code, done), (5, false), "{denied}");
    assert!(denied.contains(OTHER) && denied.contains("0.60"), "{denied}");
    let (code, done, denied) = outcome(&behalf(0.9, "did:mesh:nobody"));
    assert_eq!((code, done), (5, false), "{denied}");
    assert!(denied.contains("did:mesh:nobody"), "{denied}");
}

#[test]
fn rates_of_a_session_file_are_recorded_and_pace_its_steps() {
    let steps = ["a", "b", "c"].map(|id| {
        with(change(id, sh(&format!("touch {id}")), sh(&format!("rm {id}"))), json!({ "after": [] }))
    });
    let rates = json!({ "rates": { "standard": { "per_second": 1, "burst": 1, "tools": 1 } } });
    let run = scene(&with(file(0.9, steps.to_vec()), rates));
    let output = ran(&mut run.start());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let events: Vec<TrailEvent> = trail(&run.data()).into_iter().flat_map(|record| record.events).collect();
    let guarded = events.iter().find_map(|event| match event {
        TrailEvent::Node(NodeEvent::Guarded { guards }) => Some(guards.limits),
        _ => None,
    });
    let limits = guarded.unwrap();
    assert_eq!(
        (limits.rate.standard.per_second, limits.rate.standard.burst, limits.tools.standard),
        (1, 1, 1)
    );
    assert_eq!(limits.rate.sandbox.burst, 10, "what is left out is as usual");
    let waits = |event: &&TrailEvent| matches!(event, TrailEvent::Session(event) if matches!(**event, SessionEvent::Held { .. }));
    assert!(events.iter().filter(waits).count() >= 2, "two of three steps wait for the rate");
    assert_eq!(denials(&run.data()), []);
}
