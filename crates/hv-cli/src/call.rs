//! `hv call`: the call that a step of a session file will make, before it is made.

use crate::output::{self, Refused};
use crate::plan::{Bound, Plan, read_duration};
use crate::run::{self, RunFailure, SETUP, WORK};
use clap::{Args, ValueEnum};
use hv_core::types::{Call, SagaId, Timestamp};
use hv_core::{Clock, SystemClock, call_for};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `hv call`.
#[derive(Debug, Args)]
#[command(after_help = CALL_HELP)]
pub struct CallArgs {
    /// The session file, TOML or JSON; its session has an id
    pub file: PathBuf,
    /// The id of the step
    #[arg(long, value_name = "ID")]
    pub step: String,
    /// The folder in which the commands will work, as `hv run` is told
    #[arg(long, value_name = "DIR")]
    pub work: PathBuf,
    /// How long from now on the call may start, such as 10m; at most 7d
    #[arg(long = "for", value_name = "TIME", value_parser = lasting, default_value = "1h")]
    pub lasts: Duration,
    /// Ask for a vote with this answer, where the step needs Ring 1; without it, for a witness
    #[arg(long, value_enum)]
    pub vote: Option<Answer>,
}

/// What a vote says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It may be done
    For,
    /// It must not be done
    Against,
}

const CALL_HELP: &str = "\
What is printed is what `hv id sign` signs, and what a step names as `call` in
its `evidence`. It is one call exactly: another session, agent, action, task,
work folder or deadline is another call. It covers the repetitions of the step
up to the deadline, and nothing else.

Example: a step that cannot be undone, on the word of two others
  hv call release.toml --step push --work w --vote for > push.json
  hv id sign --key a.key --type vote --audience did:web:node.example \\
     --deadline 1h push.json > a.json
  hv id sign --key b.key --type vote --audience did:web:node.example \\
     --deadline 1h push.json > b.json
in release.toml, at the step:
  evidence = { call = \"push.json\", statements = [\"a.json\", \"b.json\"] }
  hv run release.toml --work w --data d

Exit codes: 0 printed, 2 bad input";

/// What somebody is asked to sign: the content of a vote or of a witness's word.
#[derive(Debug, Serialize)]
struct Asked {
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Answer>,
    call: CallText,
}

/// A call as a statement spells it.
#[derive(Debug, Serialize)]
pub(crate) struct CallText {
    session: String,
    agent: String,
    action: String,
    params: String,
    deadline: String,
}

impl From<&Call> for CallText {
    fn from(Call { session, agent, action, params, deadline }: &Call) -> Self {
        Self {
            session: session.to_string(),
            agent: agent.to_string(),
            action: action.to_string(),
            params: params.to_string(),
            deadline: deadline.to_string(),
        }
    }
}

/// What a witness of this call is asked to sign.
pub(crate) fn asked(call: &Call) -> impl Serialize {
    asked_for(call, None)
}

/// What a voter on this call is asked to sign, or without an answer a witness.
pub(crate) fn asked_for(call: &Call, verdict: Option<Answer>) -> impl Serialize {
    Asked { verdict, call: CallText::from(call) }
}

/// Prints the call.
///
/// # Errors
/// [`Refused::Plan`] and [`Refused::Run`] for what cannot be used, [`Refused::Output`].
pub fn run(args: &CallArgs) -> Result<(), Refused> {
    let plan = Plan::load(&args.file)?;
    let failed = |failure| Refused::Run(Box::new(failure));
    let work = run::work_folder(&args.work).map_err(failed)?;
    let bound = plan.bind(&work)?;
    let call = call(&plan, &bound, args).map_err(failed)?;
    output::json(&Asked { verdict: args.vote, call: CallText::from(&call) })
}

fn call(plan: &Plan, bound: &Bound, args: &CallArgs) -> Result<Call, RunFailure> {
    let Some(session) = &plan.session().id else {
        return Err(RunFailure::NoSessionId { file: args.file.clone() });
    };
    // As far as it is spelled.
    let deadline = SystemClock.now().after(args.lasts);
    let deadline = Timestamp(deadline.0 - deadline.0 % 1_000_000);
    let lists = [(SETUP, &bound.setup), (WORK, &bound.steps)];
    for (saga, steps) in lists {
        let found = (0..).zip(steps).find(|(_, step)| step.def.id.as_str() == args.step);
        if let Some((ordinal, step)) = found {
            let saga =
                SagaId::new(saga).map_err(|_| RunFailure::Unreadable { what: "the name of a saga" })?;
            return Ok(call_for(session, &saga, ordinal, &step.def, deadline));
        }
    }
    Err(RunFailure::NoStep { file: args.file.clone(), step: args.step.clone() })
}

/// A time for which a statement may count.
fn lasting(text: &str) -> Result<Duration, String> {
    let most = Duration::from_secs(604_800);
    match read_duration(text) {
        Ok(lasts) if !lasts.is_zero() && lasts <= most => Ok(lasts),
        Ok(_) => Err("more than nothing and at most 7d".to_owned()),
        Err(_) => Err("not a number with its unit, such as 30s, 10m, 1h or 7d".to_owned()),
    }
}

/// Why something is asked for: a text that says something.
pub(crate) fn reason(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("nothing is said; say in a few words why, for whoever reads the trail later"),
        text => Ok(text.to_owned()),
    }
}
