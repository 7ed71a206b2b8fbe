//! `hv charge`: what is brought against agents, what becomes of it, and when.

use crate::Exit;
use crate::answerable::accepted;
use crate::audit::ledger::Trust;
use crate::node::{Word, govern};
use crate::output::{Refused, one_line};
use crate::session::args::Place;
use crate::session::{Answer, Folder, LiveFailure, runtime};
use clap::{Args, Subcommand};
use hv_core::liability::Case;
use hv_core::types::{Did, Digest, Timestamp};
use hv_core::{Accepted, Charge, Request};
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
    /// Carry out what nobody has contested in time, say whom that slashed, and list what is left
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
        ChargeCommand::List(place) => list(place).await,
        ChargeCommand::CarryOut(place) => carry_out(place).await,
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
    if args.word.ask {
        is_open(&args.place, args.charge)?;
    }
    let done = format!("the charge on evidence {} {becomes}", args.charge);
    govern(&args.place, &args.word, request, args.witness.as_ref(), done).await
}

/// Whether a witness could be asked about this charge at all: about one that is not there it would sign in vain.
fn is_open(place: &Place, charge: Digest) -> Result<(), LiveFailure> {
    let input = |why: String| LiveFailure::Input { why };
    let trust = Trust::read(&place.data).map_err(|none| input(none.to_string()))?;
    let open: Vec<String> = trust.ledger.cases().map(|case| case.offence.evidence.to_string()).collect();
    if open.contains(&charge.to_string()) {
        return Ok(());
    }
    let there = match open.is_empty() {
        true => "nobody is charged".to_owned(),
        false => format!("open are {}", open.join(", ")),
    };
    Err(input(format!("no charge on evidence {charge} is open in {}; {there}", place.data.display())))
}

async fn list(place: &Place) -> Result<Answer, LiveFailure> {
    let folder = Folder::open(place)?;
    let charges = folder.hv.charges();
    let charges = folder.leave(charges).await?;
    Ok(Answer::new(Exit::Done, lines(&charges), json!(documents(&charges))))
}

/// Carries out what is due, however many records that takes, and says of whom that was.
async fn carry_out(place: &Place) -> Result<Answer, LiveFailure> {
    // Before the node is asked for anything, because whatever is asked carries out what is due.
    let before = Trust::read(&place.data).map(|trust| known(&trust)).unwrap_or_default();
    let folder = Folder::open(place)?;
    let mut left = usize::MAX;
    let charges = loop {
        let charges = folder.hv.carry_out_charges().await.and_then(|()| folder.hv.charges());
        match charges {
            // One record carries out some of them only.
            Ok(charges) if charges.len() < left && charges.iter().any(|it| is_due(it, folder.hv.now())) => {
                left = charges.len();
            }
            done => break done.map_err(LiveFailure::from),
        }
    };
    let charges = folder.leave(charges).await?;
    let gone = before.into_iter().filter(|(evidence, _)| charges.iter().all(|it| it.evidence != *evidence));
    let after = Trust::read(&place.data).ok();
    let (mut words, mut done) = (String::new(), Vec::new());
    for (evidence, about) in gone {
        let said = Accepted::Slashed { about, evidence };
        let (line, document) = accepted(&said, after.as_ref());
        words.push_str(&(one_line(&line) + "\n"));
        done.push(document);
    }
    words.push_str(&lines(&charges));
    Ok(Answer::new(Exit::Done, words, json!({ "carried_out": done, "open": documents(&charges) })))
}

fn is_due(charge: &Charge, now: Timestamp) -> bool {
    !charge.contested && charge.until <= now
}

/// Who is charged, and on what evidence.
fn known(trust: &Trust) -> Vec<(Digest, Did)> {
    let named = |case: &Case| Some((case.offence.evidence, trust.ledger.did(case.offence.agent)?.clone()));
    trust.ledger.cases().filter_map(named).collect()
}

fn lines(charges: &[Charge]) -> String {
    if charges.is_empty() {
        return "nobody is charged\n".to_owned();
    }
    charges.iter().map(|charge| one_line(&words(charge)) + "\n").collect()
}

fn documents(charges: &[Charge]) -> Vec<Value> {
    charges.iter().map(fields).collect()
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
