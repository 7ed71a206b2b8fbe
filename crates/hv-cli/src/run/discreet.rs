//! Secrets are cut out of what any step of a run says, also of one that never asked for them: what one step stored,
//! another may print.

use crate::plan::Bound;
use hv_core::Grant;
use hv_core::saga::{Attempt, BoxFuture, Executor, Outcome, Output, StepDef, Task, Value};
use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

/// What takes the place of a secret.
const REDACTED: &[u8] = b"[redacted]";
/// A shorter text occurs by chance, so that it is left alone in what steps say that did not ask for it.
const SHORTEST: usize = 4;
/// The longest secret that is read, in bytes: that of the executors.
const LONGEST: u64 = 1 << 20;

/// An executor that knows the secrets of the whole run, and keeps them to itself.
///
/// Each executor cuts out the secrets that the attempt itself was given, as it reads them; this one cuts out those of
/// all other steps, as they were when the run began or was resumed.
pub(crate) struct Discreet<E> {
    inner: E,
    /// The longest first, so that no part of one is left when another is a part of it.
    secrets: Vec<Vec<u8>>,
}

impl<E> Discreet<E> {
    /// With every secret to which a step of the run refers. One that cannot be read now is passed over; the step that
    /// needs it will fail.
    pub(super) fn new(inner: E, bound: &Bound) -> Self {
        let steps = bound.setup.iter().chain(&bound.steps).map(|step| &step.def);
        let observations = bound.observations.iter().map(|observation| &observation.def);
        let values: BTreeSet<String> =
            steps.chain(observations).flat_map(tasks).flat_map(values).map(ToString::to_string).collect();
        Self::knowing(inner, values.iter().filter_map(|value| secret(&Value::parse(value))))
    }

    fn knowing(inner: E, secrets: impl Iterator<Item = Vec<u8>>) -> Self {
        let mut forms = BTreeSet::new();
        for secret in secrets {
            // A program may print it as it is, trimmed, or line by line.
            let lines =
                secret.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| line.len() >= 8);
            let all = [secret.as_slice(), secret.trim_ascii()].into_iter().chain(lines);
            forms.extend(all.filter(|form| form.len() >= SHORTEST).map(<[u8]>::to_vec));
        }
        let mut secrets: Vec<_> = forms.into_iter().collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { inner, secrets }
    }

    fn cut(&self, output: &Output) -> Output {
        let (stdout, lost) = self.redacted(&output.stdout, output.dropped);
        let (stderr, more) = self.redacted(&output.stderr, output.dropped);
        Output {
            stdout,
            stderr,
            dropped: output.dropped.saturating_add(lost).saturating_add(more),
            exit: output.exit,
        }
    }

    /// The text without any secret. Where some of it was dropped, the beginning of a secret at its end goes as well;
    /// how many bytes that were is said beside it.
    fn redacted(&self, said: &[u8], dropped: u64) -> (Vec<u8>, u64) {
        let mut out = Vec::with_capacity(said.len());
        let mut rest = said;
        while let Some((&first, tail)) = rest.split_first() {
            if let Some(secret) = self.secrets.iter().find(|secret| rest.starts_with(secret)) {
                out.extend_from_slice(REDACTED);
                rest = rest.get(secret.len()..).unwrap_or_default();
            } else if dropped > 0 && self.secrets.iter().any(|secret| secret.starts_with(rest)) {
                return (out, rest.len() as u64);
            } else {
                out.push(first);
                rest = tail;
            }
        }
        (out, 0)
    }
}

/// Never shows a secret.
impl<E: fmt::Debug> fmt::Debug for Discreet<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discreet").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<E: Executor<Grant>> Executor<Grant> for Discreet<E> {
    fn run<'a>(&'a self, permit: Grant, attempt: &'a Attempt) -> BoxFuture<'a, Outcome> {
        let ran = self.inner.run(permit, attempt);
        Box::pin(async move {
            let Outcome { verdict, output } = ran.await;
            Outcome { verdict, output: output.map(|output| self.cut(&output)) }
        })
    }

    fn stops_within(&self) -> Duration {
        self.inner.stops_within()
    }
}

fn tasks(step: &StepDef) -> impl Iterator<Item = &Task> {
    [Some(&step.execute), step.undo.as_ref(), step.probe.as_ref()].into_iter().flatten().map(|task| &**task)
}

fn values(task: &Task) -> Vec<&Value> {
    let all: Vec<&Value> = match task {
        Task::Command(task) => task.env.iter().map(|(_, value)| value).chain(&task.stdin).collect(),
        Task::Http(task) => task.headers.iter().map(|(_, value)| value).chain(&task.body).collect(),
        Task::Closure { .. } => Vec::new(),
    };
    all.into_iter().filter(|value| !matches!(value, Value::Literal(_))).collect()
}

/// What a reference leads to.
fn secret(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Literal(_) => None,
        Value::Env(name) => std::env::var_os(name).map(OsStringExt::into_vec),
        Value::File(path) => {
            let mut bytes = Vec::new();
            File::open(path).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
            Some(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_cut_out_whole_and_nothing_else_is() {
        for (secrets, said, dropped, left, lost) in [
            (&["hunter2"][..], "pw=hunter2!", 0, "pw=[redacted]!", 0),
            (&["hunter2\n"], "pw=hunter2", 0, "pw=[redacted]", 0),
            (&["abcd", "abcdef"], "abcdefabcd", 0, "[redacted][redacted]", 0),
            (&["first-line\nsecond-line"], "it is second-line", 0, "it is [redacted]", 0),
            // The beginning of one, where the end may have been dropped, and where it was not.
            (&["hunter2"], "pw=hunt", 9, "pw=", 4),
            (&["hunter2"], "pw=hunt", 0, "pw=hunt", 0),
            (&["hunter2"], "hunter1", 9, "hunter1", 0),
            // Too short to be anything but chance.
            (&["abc", ""], "abc", 9, "abc", 0),
        ] {
            let known = Discreet::knowing((), secrets.iter().map(|secret| secret.as_bytes().to_vec()));
            let (out, cut) = known.redacted(said.as_bytes(), dropped);
            assert_eq!((String::from_utf8(out).unwrap().as_str(), cut), (left, lost), "{said}");
        }
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_passed_over() {
        assert_eq!(secret(&Value::Env("HV_NO_SUCH_VARIABLE".into())), None);
        assert_eq!(secret(&Value::File("/no/such/file".into())), None);
        assert_eq!(secret(&Value::Literal("text".into())), None);
    }
}
