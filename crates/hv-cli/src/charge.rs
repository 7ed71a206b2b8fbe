//! `hv charge`: what is brought against agents, what becomes of it, and when.

use crate::Exit;
use crate::node::{Word, govern};
use crate::output::{Refused, one_line};
use crate::session::args::Place;
use crate::session::{Answer, Folder, LiveFailure, runtime};
use clap::{Args, Subcommand};
use hv_core::types::Digest;
use hv_core::{Charge, Request};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Arguments of `hv charge`.
#[derive(Debug, Args)]
#[command(after_help = CHARGE_HELP)]
pub struct ChargeArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ChargeCommand,
}

const CHARGE_HELP: &str = "\
Where a node is configured with a grace period (hv node configure --grace 1h),
whoever violates is charged first: it stands in Ring 3, and the bonds of the
session are held. A charge that is contested waits until a witness's word drops
or upholds it. One that nobody contests in time is carried out by whatever is
asked of the node next, or by `hv charge carry-out`. A charge is called by its
evidence; what --grounds names is said by its BLAKE3 digest on the trail.

Examples:
  hv charge list --data trail
  hv charge dispute --data trail --charge 6f3a… --grounds reply.txt --ask > call.json
  hv id sign --key human.key --type witness --audience did:web:node.example \\
      --deadline 10m call.json > word.json
  hv charge dispute --data trail --charge 6f3a… --grounds reply.txt --witness word.json
  hv charge dismiss --data trail --charge 6f3a… --witness word.json

Exit codes: 0 done, 1 hv failed, 2 bad input, 5 denied";

/// What `hv charge` can do.
#[derive(Debug, Subcommand)]
pub enum ChargeCommand {
    /// List the charges that are open
    List(Place),
    /// Contest a charge, so that it waits for a ruling
    Dispute(DisputeArgs),
    /// Carry out a charge that is contested
    Uphold(RulingArgs),
    /// Drop a charge; the same evidence cannot be used again
    Dismiss(RulingArgs),
    /// Carry out what nobody has contested in time, and list what is left
    CarryOut(Place),
}

/// Arguments of `hv charge dispute`.
#[derive(Debug, Args)]
pub struct DisputeArgs {
    /// What is brought against the charge
    #[arg(long, value_name = "FILE")]
    pub grounds: PathBuf,
    /// Which charge, and on whose word.
    #[command(flatten)]
    pub ruling: RulingArgs,
}

/// Which charge, and on whose word.
#[derive(Debug, Args)]
pub struct RulingArgs {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// The charge, by the digest of its evidence
    #[arg(long, value_name = "DIGEST")]
    pub charge: Digest,
    /// The word of a witness for this: an envelope
    #[arg(long, value_name = "FILE", conflicts_with = "ask")]
    pub witness: Option<PathBuf>,
    /// Who decides it.
    #[command(flatten)]
    pub word: Word,
}

/// Does what `hv charge` was asked.
///
/// # Errors
/// [`Refused`] where nothing was done, or the answer cannot be printed.
pub fn run(args: &ChargeArgs) -> Result<Exit, Refused> {
    let place = match &args.command {
        ChargeCommand::List(place) | ChargeCommand::CarryOut(place) => place,
        ChargeCommand::Dispute(args) => &args.ruling.place,
        ChargeCommand::Uphold(args) | ChargeCommand::Dismiss(args) => &args.place,
    };
    let answer = runtime().and_then(|runtime| runtime.block_on(answer(&args.command)));
    crate::session::tell(answer, place.json)
}

async fn answer(command: &ChargeCommand) -> Result<Answer, LiveFailure> {
    match command {
        ChargeCommand::List(place) => list(place, false).await,
        ChargeCommand::CarryOut(place) => list(place, true).await,
        ChargeCommand::Dispute(args) => {
            let grounds = std::fs::File::open(&args.grounds).and_then(|file| {
                let mut hasher = blake3::Hasher::new();
                hasher.update_reader(file)?;
                Ok(Digest(*hasher.finalize().as_bytes()))
            });
            let grounds = grounds.map_err(|error| crate::answerable::unfit(&args.grounds, &error))?;
            let charge = args.ruling.charge;
            rule(&args.ruling, &Request::Dispute { charge, grounds }, "is contested").await
        }
        ChargeCommand::Uphold(args) => {
            rule(args, &Request::Uphold { charge: args.charge }, "is carried out").await
        }
        ChargeCommand::Dismiss(args) => {
            rule(args, &Request::Dismiss { charge: args.charge }, "is dropped").await
        }
    }
}

async fn rule(args: &RulingArgs, request: &Request, becomes: &str) -> Result<Answer, LiveFailure> {
    let done = format!("the charge on evidence {} {becomes}", args.charge);
    govern(&args.place, &args.word, request, args.witness.as_ref(), done).await
}

async fn list(place: &Place, carry_out: bool) -> Result<Answer, LiveFailure> {
    let folder = Folder::open(place)?;
    let due = match carry_out {
        true => folder.hv.carry_out_charges().await,
        false => Ok(()),
    };
    let charges = due.and_then(|()| folder.hv.charges()).map_err(LiveFailure::from);
    let left = folder.leave().await;
    let charges = charges.and_then(|charges| left.map(|()| charges))?;
    let words: String = charges.iter().map(|charge| one_line(&words(charge)) + "\n").collect();
    let words = if words.is_empty() { "nobody is charged\n".to_owned() } else { words };
    let document: Vec<Value> = charges.iter().map(fields).collect();
    Ok(Answer::new(Exit::Done, words, json!(document)))
}

fn words(charge: &Charge) -> String {
    let then = match charge.contested {
        true => "contested, and waits for a ruling".to_owned(),
        false => format!("carried out on {} unless it is contested", charge.until),
    };
    format!("{} on {}: {}; {then}", charge.evidence, charge.about, charge.reason.name())
}

fn fields(charge: &Charge) -> Value {
    json!({
        "evidence": charge.evidence, "about": charge.about.as_str(), "reason": charge.reason.name(),
        "until": charge.until, "contested": charge.contested,
    })
}
