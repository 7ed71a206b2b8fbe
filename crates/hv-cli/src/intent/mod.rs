//! `hv intent`: what an agent signs that it will do, and is held to from then on.

use crate::Exit;
use crate::answerable::{envelope, unfit};
use crate::call::CallText;
use crate::id::args::duration;
use crate::output::{Refused, one_line};
use crate::session::args::At;
use crate::session::{Answer, Folder, LiveFailure, runtime};
use clap::{Args, ValueEnum};
use hv_core::identity::Content;
use hv_core::rings::intent::{Bounds, Demand, Policy, Rule, UndoRule, Violation};
use hv_core::types::{ActionId, Did, SessionId, Timestamp};
use hv_core::{Clock, Intent, Presented, SystemClock, bounds_digest, intent_call};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

mod document;
mod words;

pub use document::{NoBounds, read};
pub(crate) use words::{bounds_words, policy_words};

/// Arguments of `hv intent`.
#[derive(Debug, Args)]
#[command(after_help = INTENT_HELP)]
pub struct IntentArgs {
    /// Where.
    #[command(flatten)]
    pub at: At,
    /// What the agent binds itself to: bounds, as TOML or JSON
    #[arg(long, value_name = "FILE")]
    pub bounds: Option<PathBuf>,
    /// The agent's signature on it: an envelope of kind intent
    #[arg(long, value_name = "FILE", requires = "bounds", conflicts_with = "ask")]
    pub signed: Option<PathBuf>,
    /// The word of a witness, where it is wider than the one in force: an envelope
    #[arg(long, value_name = "FILE", requires = "signed")]
    pub witness: Option<PathBuf>,
    /// Print what this agent has to sign, and do nothing
    #[arg(long, value_name = "DID", requires = "bounds")]
    pub ask: Option<Did>,
    /// How long from now on it may be declared that is asked for
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "1h", requires = "ask")]
    pub within: Duration,
}

/// What a session makes of intents; see `hv intent --help`.
#[derive(Debug, Clone, Copy, Args)]
pub struct PolicyArgs {
    /// Whether an agent without an intent in force may do more than read; see `hv intent --help`
    #[arg(long = "intents", value_name = "WHETHER", value_enum, default_value = "optional")]
    pub demand: DemandArg,
    /// What becomes of a call outside its agent's intent
    #[arg(long = "outside-intent", value_name = "WHAT", value_enum, default_value = "deny")]
    pub outside: OutsideArg,
    /// What becomes of an agent that calls outside its intent
    #[arg(long = "on-violation", value_name = "WHAT", value_enum, default_value = "deny")]
    pub violation: ViolationArg,
    /// Whether the lines of --undo and --probe are held against an intent, too
    #[arg(long = "undo-lines", value_name = "WHAT", value_enum, default_value = "free")]
    pub undo: UndoArg,
}

/// Whether the lines of undo and probe are held against an intent.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum UndoArg {
    /// They are not
    Free,
    /// They are, as calls that are not counted: the intent names `/bin/sh`, `-c` and the line
    Held,
}

/// Whether agents need an intent.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum DemandArg {
    /// It may
    Optional,
    /// It may not
    Required,
}

/// What becomes of a call outside an intent.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum OutsideArg {
    /// It is denied
    Deny,
    /// It passes with the word of a witness on exactly this call
    Consent,
}

/// What becomes of an agent that calls outside its intent.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ViolationArg {
    /// Nothing more than the denial
    Deny,
    /// It is slashed on the denied call
    Slash,
}

impl PolicyArgs {
    /// As the node takes it.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        Policy {
            demand: match self.demand {
                DemandArg::Optional => Demand::Optional,
                DemandArg::Required => Demand::Required,
            },
            outside: match self.outside {
                OutsideArg::Deny => Rule::Deny,
                OutsideArg::Consent => Rule::Consent,
            },
            violation: match self.violation {
                ViolationArg::Deny => Violation::Deny,
                ViolationArg::Slash => Violation::Slash,
            },
            undo: match self.undo {
                UndoArg::Free => UndoRule::Free,
                UndoArg::Held => UndoRule::Held,
            },
        }
    }
}

const INTENT_HELP: &str = "\
An agent that has declared an intent may do what it names and nothing else, its
parameters included: programs with their arguments, hosts, paths and amounts of
requests, files. It opens no ring. It ends by its time alone, 1h where the file
says nothing; a later one may only narrow it, unless a witness consents.
Without --bounds, the intents of the session are shown.

The bounds, as TOML:
  lasts = \"30m\"                          # at most 24h
  calls = 20                             # all together; as many as it likes without
  [[action]]
  id = \"git.push\"
  calls = 3
  command = { run = [{ argv = [\"git\", \"push\", \"origin\"], more = 1 }], folders = [\"/\"] }
  [[action]]
  id = \"tidy\"
  [action.command]
  folders = [\"/work\"]
  run = [{ argv = [\"rm\"], more = 9, rest = { below = [\"/work\"] } }]
  [[action]]
  id = \"pay\"
  [action.http]
  methods = [\"POST\"]
  hosts = [\"pay.example.com\"]            # .example.com for all below
  paths = [\"/v1/payments\"]
  headers = [\"content-type\"]
  amounts = [{ at = \"/amount\", most = \"99.95\", unit = { at = \"/currency\", is = \"EUR\" } }]
  [[action]]
  id = \"hv.files.change\"
  files = [\"/src\"]

Nothing follows the arguments of a command that `argv` names but `more` of them,
and those are what `rest` says: \"any\", as where it is left out; \"operands\", none
of which begins with a dash; one of a list of words; or paths below folders. Such
a path and the folder of a command are held to where they really are, links
followed, at the moment of the call; whoever can write there can still put a link
in place before the program starts. Paths of addresses are given without escapes.

Examples:
  hv intent --data trail --bounds mine.toml --ask did:mesh:a > intent.json
  hv id sign --key a.key --type intent --audience did:web:node.example \\
      --deadline 1h intent.json > signed.json
  hv intent --data trail --bounds mine.toml --signed signed.json
  hv intent --data trail

Exit codes: 0 done, 1 hv failed, 2 bad input, 5 denied";

/// Does what `hv intent` was asked.
///
/// # Errors
/// [`Refused`] where nothing was done, or the answer cannot be printed.
pub fn run(args: &IntentArgs) -> Result<Exit, Refused> {
    let answer = runtime().and_then(|runtime| runtime.block_on(answer(args)));
    crate::session::tell(answer, args.at.place.json)
}

async fn answer(args: &IntentArgs) -> Result<Answer, LiveFailure> {
    let bounds = args.bounds.as_ref().map(|file| read(file).map_err(|why| unfit(file, &why))).transpose()?;
    let folder = Folder::open(&args.at.place)?;
    let done = answered(&folder, args, bounds.as_ref()).await;
    folder.leave(done).await
}

async fn answered(
    folder: &Folder,
    args: &IntentArgs,
    bounds: Option<&Bounds>,
) -> Result<Answer, LiveFailure> {
    let session = folder.session(&args.at)?;
    let Some(bounds) = bounds else { return shown(folder, &session) };
    if let Some(agent) = &args.ask {
        return ask(&session, agent, bounds, args.within);
    }
    let Some(file) = &args.signed else {
        let why = "bounds are signed first: ask with --ask, then give --signed".to_owned();
        return Err(LiveFailure::Input { why });
    };
    let signed = envelope(file)?;
    let presented = match &args.witness {
        None => Presented::default(),
        Some(word) => {
            let Ok(Content::Intent { call, .. }) = signed.statement().map(|statement| statement.content)
            else {
                return Err(unfit(file, &"it is no intent"));
            };
            let presented = Presented::new(call.deadline, vec![envelope(word)?]);
            presented.map_err(|many| LiveFailure::Input { why: many.to_string() })?
        }
    };
    let intent = folder.hv.declare_intent(&session, &signed, bounds, &presented).await?;
    let words = format!("held to {} until {}", bounds_words(bounds), intent.until());
    Ok(Answer::new(Exit::Done, one_line(&words) + "\n", fields(&intent)))
}

/// An intent, for programs.
pub(crate) fn fields(intent: &Intent) -> Value {
    let bounds = intent.bounds();
    let actions: Vec<Value> = bounds
        .actions()
        .iter()
        .map(|(action, allowed)| {
            json!({
                "action": action, "calls": allowed.calls, "used": intent.used(action).of_action,
            })
        })
        .collect();
    let used = bounds.actions().keys().next().map_or(0, |action| intent.used(action).all);
    json!({
        "bounds": bounds_digest(bounds), "actions": actions, "calls": bounds.calls(), "used": used,
        "since": intent.since(), "until": intent.until(), "signed": intent.signed(),
    })
}

fn shown(folder: &Folder, session: &SessionId) -> Result<Answer, LiveFailure> {
    let [demand, outside, violation, undo] = policy_words(&folder.hv.intent_policy(session)?);
    let mut words = format!(
        "intents are {demand}; outside: {outside}; who acts outside: {violation}; undo and probe: {undo}\n"
    );
    let mut members = Vec::new();
    for member in folder.hv.session_view(session)?.members {
        let Some(intent) = member.intent else { continue };
        let used: Vec<String> = intent
            .bounds()
            .actions()
            .keys()
            .map(|action: &ActionId| format!("{action} {}", intent.used(action).of_action))
            .collect();
        let told = format!(
            "{} is held to {} until {}; called: {}",
            member.did,
            bounds_words(intent.bounds()),
            intent.until(),
            used.join(", ")
        );
        let _ = writeln!(words, "  {}", one_line(&told));
        members.push(json!({ "agent": member.did, "intent": fields(&intent) }));
    }
    let document = json!({
        "session": session.as_str(), "intent": demand, "outside": outside, "violation": violation, "undo": undo,
        "agents": members,
    });
    Ok(Answer::new(Exit::Done, words, document))
}

fn ask(session: &SessionId, agent: &Did, bounds: &Bounds, within: Duration) -> Result<Answer, LiveFailure> {
    let deadline = SystemClock.now().after(within);
    // As far as it is spelled.
    let deadline = Timestamp(deadline.0 - deadline.0 % 1_000_000);
    let call = intent_call(session, agent, bounds, deadline)
        .map_err(|bad| LiveFailure::Input { why: bad.to_string() })?;
    let asked = json!({ "call": CallText::from(&call) });
    let words = serde_json::to_string_pretty(&asked).unwrap_or_default() + "\n";
    Ok(Answer::new(Exit::Done, words, asked))
}
