//! Events as sentences.

use super::{Event, Phase, Start};
use crate::output::{counted, enough, one_line};
use hv_saga::{Purpose, SagaState};

/// What an event means to whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// It goes on.
    Neutral,
    /// Something succeeded.
    Good,
    /// Something is being taken back, or repeated.
    Back,
    /// Something failed or was refused.
    Bad,
}

/// Which attempt it is, of as many as there may be, where it is not the only one.
pub(super) fn again(attempt: u32, attempts: Option<u32>) -> String {
    match (attempt, attempts) {
        (1, None | Some(1)) => String::new(),
        (_, Some(attempts)) if attempt <= attempts => format!(", attempt {attempt} of {attempts}"),
        _ => format!(", attempt {attempt}"),
    }
}

/// An event as one line without control characters; none for what a line before it said already.
pub(super) fn line(event: &Event) -> Option<(Tone, String)> {
    let (tone, text) = match event {
        Event::RunStarted { session, data, work, steps, start } => {
            let verb = match start {
                Start::New => "begins",
                Start::Resumed => "goes on",
            };
            (
                Tone::Neutral,
                format!(
                    "session {session} {verb}: {}; trail in {data}, work in {work}",
                    counted(steps, "step")
                ),
            )
        }
        Event::AgentJoined { agent, sigma, ring } => {
            (Tone::Neutral, format!("{agent} joined with σ {sigma}: {ring}"))
        }
        Event::Vouched { voucher, vouchee, bond } => {
            (Tone::Neutral, format!("{voucher} vouches for {vouchee} with {bond}"))
        }
        Event::Phase(phase) => {
            let text = match phase {
                Phase::Setup => "set-up",
                Phase::ObservingBefore => "observing what the set-up left",
                Phase::Rehearsal => "rehearsal",
                Phase::Work => "work",
                Phase::ObservingAfter => "observing what the run left",
            };
            (Tone::Neutral, text.into())
        }
        Event::StepStarted { step, agent, action, ring, attempt, attempts } => {
            let again = again(*attempt, *attempts);
            (Tone::Neutral, format!("{step}: {agent} starts {action} in {ring}{again}"))
        }
        Event::AttemptFailed { step, purpose: Purpose::Execute, attempt, reason } => {
            (Tone::Bad, format!("{step}: attempt {attempt} failed: {reason}"))
        }
        Event::AttemptFailed { step, purpose, attempt, reason } => {
            (Tone::Bad, format!("{step}: {purpose}, attempt {attempt} failed: {reason}"))
        }
        Event::RetryIn { step, purpose, delay } => {
            (Tone::Back, format!("{step}: {purpose} again in {:.3}s", delay.as_secs_f64()))
        }
        Event::Settling { step, delay } => {
            (Tone::Back, format!("{step}: waits {:.3}s for what it began to end", delay.as_secs_f64()))
        }
        Event::Probing { step } => (Tone::Back, format!("{step}: asking whether its effect is there")),
        Event::StepCommitted { step } => (Tone::Good, format!("{step}: done")),
        Event::StepFailed { step, reason } => (Tone::Bad, format!("{step}: failed for good: {reason}")),
        Event::StepDenied { step, agent, reason, needs } => {
            (Tone::Bad, format!("{step}: {agent} is denied: {reason}{}", enough(reason, needs)))
        }
        Event::Undoing { step, attempt: 1 } => (Tone::Back, format!("{step}: undoing")),
        Event::Undoing { step, attempt } => (Tone::Back, format!("{step}: undoing, attempt {attempt}")),
        Event::Undone { step } => (Tone::Back, format!("{step}: undone")),
        Event::Escalated { step, reason } => {
            (Tone::Bad, format!("{step}: not undone, a person must look: {reason}"))
        }
        Event::SagaState { state } => match state {
            SagaState::New | SagaState::Running => return None,
            SagaState::Completed => (Tone::Good, "all steps are done".into()),
            SagaState::Compensating => (Tone::Back, "undoing what was done, last first".into()),
            SagaState::Compensated => (Tone::Back, "everything is undone".into()),
            SagaState::Escalated => (Tone::Bad, "something could not be undone".into()),
        },
        Event::Root { root } => (Tone::Neutral, format!("root {root}")),
        Event::Notice { text } => (Tone::Neutral, text.clone()),
    };
    Some((tone, one_line(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_says_once_what_would_be_enough() {
        let said = |reason: &str| {
            let (step, agent) = ("tag".parse().unwrap(), "did:mesh:a".parse().unwrap());
            let (reason, needs) = (reason.to_owned(), "σ_eff above 0.60".to_owned());
            line(&Event::StepDenied { step, agent, reason, needs }).unwrap().1
        };
        assert_eq!(
            said("it is 0.45"),
            "tag: did:mesh:a is denied: it is 0.45; enough would be σ_eff above 0.60"
        );
        let twice = "it is 0.45; enough would be σ_eff above 0.60";
        assert_eq!(said(twice), format!("tag: did:mesh:a is denied: {twice}"));
    }
}
