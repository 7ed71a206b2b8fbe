//! The picture of the states, drawn from the code.

use hv_saga::{SagaSignal, SagaState, StepSignal, StepState};
use std::fmt::Write;

fn drawn() -> String {
    let mut text = String::from(
        "# The states of a saga and of a step\n\nDrawn from the transition tables in `src/state.rs` by the test \
         `drawing`; `HV_BLESS=1 cargo test -p hv-saga drawing` draws it anew.\n\n## Saga\n\n```mermaid\nstateDiagram-v2\n",
    );
    for state in SagaState::ALL {
        for signal in SagaSignal::ALL {
            if let Some(next) = state.transition(signal) {
                writeln!(text, "    {state:?} --> {next:?}: {signal:?}").unwrap();
            }
        }
    }
    text.push_str("```\n\n## Step\n\n```mermaid\nstateDiagram-v2\n");
    for state in StepState::ALL {
        for signal in StepSignal::ALL {
            if let Some(next) = state.transition(signal) {
                writeln!(text, "    {state:?} --> {next:?}: {signal:?}").unwrap();
            }
        }
    }
    text.push_str("```\n");
    text
}

#[test]
fn the_picture_shows_what_the_code_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/STATES.md");
    if std::env::var_os("HV_BLESS").is_some() {
        std::fs::write(path, drawn()).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == drawn(), "STATES.md is not what the code does; run with HV_BLESS=1 to draw it anew");
}
