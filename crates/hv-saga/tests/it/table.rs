//! The transition tables, cell by cell.

use hv_saga::{SagaSignal, SagaState, StepSignal, StepState};

/// One line for each state, one column for each signal in the order of [`StepSignal::ALL`]: the state after
/// it, or `.` where the signal has no place. Written by hand, so that it says again what the code says.
const STEPS: &str = "
#            execute probe   undo    commit  retry   fail    suspect doubt   assume  deny    undone  again   unconf  nofail
Pending      Execut  .       .       .       .       Failed  .       .       .       Denied  .       .       .       .
Executing    .       .       .       Commit  Waitin  Failed  Suspec  InDoub  Assume  .       .       .       .       .
Waiting      Execut  .       .       .       .       Failed  Suspec  .       Assume  Denied  .       .       .       .
InDoubt      Execut  Probin  .       .       .       Failed  .       .       Assume  .       .       .       .       .
Probing      .       .       .       Commit  Waitin  Failed  .       InDoub  .       .       .       .       .       .
Suspect      .       Inspec  .       .       .       .       .       .       Assume  .       .       .       .       .
Inspecting   .       .       .       .       .       Failed  Suspec  .       Assume  .       .       .       .       .
Committed    .       .       Undoin  .       .       .       .       .       .       .       .       .       .       CompensationF
Assumed      .       .       Undoin  .       .       .       .       .       .       .       .       .       .       CompensationF
Failed       .       .       .       .       .       .       .       .       .       .       .       .       .       .
Denied       .       .       .       .       .       .       .       .       .       .       .       .       .       .
Undoing      .       .       .       .       .       .       .       .       .       .       Compensated UndoWa Unconf CompensationF
UndoWaiting  .       .       Undoin  .       .       .       .       .       .       .       .       .       .       CompensationF
Unconfirmed  .       Confir  .       .       .       .       .       .       .       .       .       .       .       .
Confirming   .       .       .       .       .       .       .       .       .       .       Compensated UndoWa Unconf CompensationF
Compensated  .       .       .       .       .       .       .       .       .       .       .       .       .       .
CompensationFailed . .       .       .       .       .       .       .       .       .       .       .       .       .
";

#[test]
fn every_step_transition() {
    let lines: Vec<_> = STEPS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(lines.len(), StepState::ALL.len());
    for (state, line) in StepState::ALL.into_iter().zip(lines) {
        let mut cells = line.split_whitespace();
        assert_eq!(cells.next(), Some(format!("{state:?}").as_str()));
        let cells: Vec<_> = cells.collect();
        assert_eq!(cells.len(), StepSignal::ALL.len(), "{state:?}");
        for (signal, cell) in StepSignal::ALL.into_iter().zip(cells) {
            match (state.transition(signal), cell) {
                (None, ".") => {}
                (Some(next), start) => {
                    let name = format!("{next:?}");
                    let cut = if name.starts_with("Compensation") { 13 } else { 6 };
                    let expected: String =
                        if start == "Compensated" { name.clone() } else { name.chars().take(cut).collect() };
                    assert_eq!(expected, start, "{state:?} at {signal:?}");
                }
                (None, start) => panic!("{state:?} at {signal:?} should be {start}"),
            }
        }
    }
}

#[test]
fn s3_terminal_is_terminal() {
    for state in SagaState::ALL {
        let leads: Vec<_> = SagaSignal::ALL.iter().filter_map(|&signal| state.transition(signal)).collect();
        let expected: &[SagaState] = match state {
            SagaState::New => &[SagaState::Running],
            SagaState::Running => &[SagaState::Compensating, SagaState::Completed],
            SagaState::Compensating => &[SagaState::Compensated, SagaState::Escalated],
            SagaState::Completed | SagaState::Compensated | SagaState::Escalated => &[],
        };
        assert_eq!(leads, expected, "{state}");
        assert_eq!(state.is_terminal(), leads.is_empty());
    }
}

/// The names of the states as files and people know them.
#[test]
fn names_are_those_of_the_reference() {
    let mut names: Vec<_> = StepState::ALL.iter().map(|state| state.name()).collect();
    names.dedup();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names,
        [
            "committed",
            "compensated",
            "compensating",
            "compensation_failed",
            "denied",
            "executing",
            "failed",
            "in_doubt",
            "pending"
        ]
    );
}
