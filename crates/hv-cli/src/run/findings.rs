//! Findings of verifiers are taken up when the step that tells them is done.

use crate::plan::{BoundStep, Findings as Tells};
use hv_core::identity::Envelope;
use hv_core::saga::{Attempt, BoxFuture, Class, Executor, Outcome, Purpose, Reason, Verdict};
use hv_core::types::StepId;
use hv_core::{Grant, Hypervisor};
use std::collections::BTreeSet;
use std::time::Duration;

/// An executor that hands what verifiers found to the node before it says that the step is done, so that whoever
/// is slashed by it does nothing afterwards.
#[derive(Debug)]
pub(super) struct Findings<E> {
    inner: E,
    hv: Hypervisor,
    /// The steps that tell findings.
    steps: BTreeSet<StepId>,
}

impl<E> Findings<E> {
    pub(super) fn new<'a>(inner: E, hv: Hypervisor, steps: impl Iterator<Item = &'a BoundStep>) -> Self {
        let steps = steps.filter(|step| step.findings == Tells::Said);
        Self { inner, hv, steps: steps.map(|step| step.def.id.clone()).collect() }
    }

    /// Takes up one after the other; tells what stands in the way of the first that does not count. One that was
    /// taken up before, as when the step is repeated after a crash, is told again with another nonce and changes
    /// nothing.
    async fn take_up(&self, said: &[u8]) -> Result<(), String> {
        for line in said.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
        {
            let at = |why: String| format!("the finding does not count: {why}");
            let envelope = Envelope::from_json(line).map_err(|refusal| at(refusal.to_string()))?;
            self.hv.accept(&envelope).await.map_err(|error| at(error.to_string()))?;
        }
        Ok(())
    }
}

impl<E: Executor<Grant>> Executor<Grant> for Findings<E> {
    fn run<'a>(&'a self, permit: Grant, attempt: &'a Attempt) -> BoxFuture<'a, Outcome> {
        let ran = self.inner.run(permit, attempt);
        if attempt.purpose != Purpose::Execute || !self.steps.contains(&attempt.step) {
            return ran;
        }
        Box::pin(async move {
            let outcome = ran.await;
            let said = outcome.output.as_ref().filter(|_| outcome.verdict == Verdict::Done);
            let taken = match said {
                // What is not there to its end cannot be told from what somebody cut off.
                Some(output) if output.dropped > 0 => Err("the findings are longer than is kept".to_owned()),
                Some(output) => self.take_up(&output.stdout).await,
                None => Ok(()),
            };
            match taken {
                Ok(()) => outcome,
                // The step reads only, so nothing was done that another attempt would do twice.
                Err(text) => Outcome {
                    output: outcome.output,
                    ..Outcome::failed(Class::Permanent, Reason::other(&text))
                },
            }
        })
    }

    fn stops_within(&self) -> Duration {
        self.inner.stops_within()
    }
}
