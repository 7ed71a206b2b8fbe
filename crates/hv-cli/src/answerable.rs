//! `hv vouch`, `hv slash` and `hv accept`: who answers for whom, and what it costs.

use crate::Exit;
use crate::audit::ledger::Trust;
use crate::call::asked;
use crate::id::args::duration;
use crate::output::{Refused, one_line};
use crate::session::args::{At, Place};
use crate::session::{Answer, Folder, LiveFailure, runtime};
use clap::Args;
use hv_core::identity::{Content, ENVELOPE_MAX_BYTES, Envelope, Kind, Statement};
use hv_core::liability::Stake;
use hv_core::types::{Did, NotAFraction, Share, Sigma, Timestamp};
use hv_core::{Accepted, Clock, Presented, Request, SystemClock};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of `hv vouch`.
#[derive(Debug, Args)]
#[command(after_help = "\
What it does to both is told before it is done: 0.75 of which 20 % are bonded
leave 0.60, and that is Ring 3, because equality does not pass.

Examples:
  hv vouch --data trail --voucher did:mesh:alice --vouchee did:mesh:carol --preview
  hv vouch --data trail --voucher did:mesh:alice --vouchee did:mesh:carol --bond 0.3

Exit codes: 0 done, 1 hv failed, 2 bad input, 5 denied")]
pub struct VouchArgs {
    /// Where.
    #[command(flatten)]
    pub at: At,
    /// Who vouches
    #[arg(long, value_name = "DID")]
    pub voucher: Did,
    /// For whom
    #[arg(long, value_name = "DID")]
    pub vouchee: Did,
    /// The share of the voucher's reputation that is locked, above 0 and up to 1
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "0.20")]
    pub bond: Share,
    /// Say what it would do, and do nothing
    #[arg(long)]
    pub preview: bool,
}

/// Arguments of `hv slash`.
#[derive(Debug, Args)]
#[command(after_help = "\
Signed evidence of a verifier that the node listens to counts by itself. On
other evidence a person decides: it takes the word of a witness of the node for
exactly this slash. The same evidence slashes once. Where the node is
configured with a grace period, the agent is charged instead; see `hv charge`.

Examples:
  hv slash --data trail --evidence finding.json
  hv slash --data trail --evidence found.json --ask > call.json
  hv id sign --key human.key --type witness --audience did:web:node.example \\
     --deadline 10m call.json > word.json
  hv slash --data trail --evidence found.json --witness word.json

Exit codes: 0 done, 1 hv failed, 2 bad input, 5 denied")]
pub struct SlashArgs {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// What is brought against the agent: an envelope of evidence, or its content as `hv id sign` takes it
    #[arg(long, value_name = "FILE")]
    pub evidence: PathBuf,
    /// The word of a witness for this slash: an envelope
    #[arg(long, value_name = "FILE")]
    pub witness: Option<PathBuf>,
    /// Who decides it; a witness cannot be asked about its own decision
    #[arg(long, value_name = "DID", default_value = "did:hv:operator")]
    pub by: Did,
    /// Print what the witness has to sign, and do nothing
    #[arg(long, conflicts_with = "witness")]
    pub ask: bool,
    /// How long from now on the slash may be made that is asked for
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "1h", requires = "ask")]
    pub lasts: Duration,
}

/// Arguments of `hv accept`.
#[derive(Debug, Args)]
#[command(after_help = "\
A statement is addressed to this node, in time, signed with the key that speaks
for its author now, and counts once. Votes and witnesses are brought with the
call that they speak of.

Example:
  hv accept --data trail join.json vouch.json

Exit codes: 0 all of them counted, 1 hv failed, 2 bad input, 5 one was refused;
those before it have counted")]
pub struct AcceptArgs {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// Envelopes of type join, vouch, release, evidence, rotate or revoke
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Does what `hv vouch` was asked.
///
/// # Errors
/// [`Refused`] where nothing was done, or the answer cannot be printed.
pub fn vouch(args: &VouchArgs) -> Result<Exit, Refused> {
    tell(&args.at.place, runtime().and_then(|runtime| runtime.block_on(vouched(args))))
}

/// Does what `hv slash` was asked.
///
/// # Errors
/// [`Refused`] where nothing was done, or the answer cannot be printed.
pub fn slash(args: &SlashArgs) -> Result<Exit, Refused> {
    tell(&args.place, runtime().and_then(|runtime| runtime.block_on(slashed(args))))
}

/// Does what `hv accept` was asked.
///
/// # Errors
/// [`Refused`] where not all was done, or the answer cannot be printed.
pub fn accept(args: &AcceptArgs) -> Result<Exit, Refused> {
    tell(&args.place, runtime().and_then(|runtime| runtime.block_on(accept_all(args))))
}

fn tell(place: &Place, answer: Result<Answer, LiveFailure>) -> Result<Exit, Refused> {
    crate::session::tell(answer, place.json)
}

async fn vouched(args: &VouchArgs) -> Result<Answer, LiveFailure> {
    let folder = Folder::open(&args.at.place)?;
    let done = match folder.session(&args.at) {
        Ok(session) => {
            let (voucher, vouchee, stake) = (&args.voucher, &args.vouchee, Stake::Share(args.bond));
            // What the ledger would refuse it refuses when it is asked; then it is on the trail.
            let effect = folder.hv.preview_vouch(&session, (voucher, vouchee), stake);
            let done = match args.preview {
                true => Ok(()),
                false => folder.hv.vouch(&session, voucher, vouchee, stake).await,
            };
            effect.and_then(|effect| done.map(|()| effect)).map_err(LiveFailure::from)
        }
        Err(failure) => Err(failure),
    };
    let effect = folder.leave(done).await?;
    let effect = effect.map_err(|reason| LiveFailure::WouldDeny(Box::new(reason)))?;
    let trust = effect.trust;
    let would = if args.preview { "would lock" } else { "locks" };
    let of = |did: &Did, sigma: (Sigma, Sigma), ring: (hv_core::types::Ring, hv_core::types::Ring)| {
        let words = format!("  {did}: σ_eff {} → {}, {} → {}\n", sigma.0, sigma.1, ring.0, ring.1);
        let value = json!({
            "did": did.as_str(), "sigma_before": sigma.0, "sigma_after": sigma.1, "ring_before": ring.0,
            "ring_after": ring.1,
        });
        (one_line(words.trim_end()) + "\n", value)
    };
    let voucher = of(&args.voucher, (trust.voucher_before.full, trust.voucher_after.full), effect.voucher);
    let vouchee = of(&args.vouchee, (trust.vouchee_before.full, trust.vouchee_after.full), effect.vouchee);
    let words =
        format!("{} {would} {} for {}\n{}{}", args.voucher, trust.bond, args.vouchee, voucher.0, vouchee.0);
    let document = json!({
        "done": !args.preview, "bond": trust.bond, "left_to_bond": trust.capacity_after,
        "voucher": voucher.1, "vouchee": vouchee.1,
    });
    Ok(Answer::new(Exit::Done, words, document))
}

async fn slashed(args: &SlashArgs) -> Result<Answer, LiveFailure> {
    let text = read(&args.evidence)?;
    let envelope = Envelope::from_json(&text);
    if args.witness.is_none() && !args.ask {
        let envelope = envelope.map_err(|refusal| match request(&args.evidence, &text, None) {
            Ok(_) => unfit(&args.evidence, &UNSIGNED),
            Err(_) => unfit(&args.evidence, &refusal),
        })?;
        match Kind::of_payload_type(envelope.payload_type()) {
            Some(Kind::Evidence) | None => {}
            // Whatever else acts by itself does something else.
            Some(kind) => {
                let why = format!("a statement of kind `{kind}`, and no evidence; see `hv accept`");
                return Err(unfit(&args.evidence, &why));
            }
        }
        let folder = Folder::open(&args.place)?;
        let done = folder.hv.accept(&envelope).await;
        let accepted = folder.leave(done).await?;
        return Ok(told(&args.place, &[accepted]));
    }
    let request = request(&args.evidence, &text, envelope.as_ref().ok())?;
    if args.ask {
        return ask(&request, &args.by, args.lasts);
    }
    let presented = word_of(args.witness.as_deref().unwrap_or(&args.evidence))?;
    let folder = Folder::open(&args.place)?;
    let done = folder.hv.govern(&args.by, &request, &presented).await;
    let verdict = folder.leave(done).await?;
    Ok(told(&args.place, verdict.as_slice()))
}

async fn accept_all(args: &AcceptArgs) -> Result<Answer, LiveFailure> {
    let mut envelopes = Vec::with_capacity(args.files.len());
    for file in &args.files {
        envelopes.push(envelope(file)?);
    }
    let folder = Folder::open(&args.place)?;
    let mut done = Vec::with_capacity(envelopes.len());
    let mut refused = Ok(());
    for envelope in &envelopes {
        match folder.hv.accept(envelope).await {
            Ok(accepted) => done.push(accepted),
            Err(error) => {
                refused = Err(LiveFailure::from(error));
                break;
            }
        }
    }
    folder.leave(refused).await?;
    Ok(told(&args.place, &done))
}

/// What a witness has to sign for a change of the supervisor.
pub(crate) fn ask(request: &Request, by: &Did, lasts: Duration) -> Result<Answer, LiveFailure> {
    let deadline = SystemClock.now().after(lasts);
    // As far as it is spelled.
    let deadline = Timestamp(deadline.0 - deadline.0 % 1_000_000);
    let call = request.call(by, deadline).map_err(|bad| LiveFailure::Input { why: bad.to_string() })?;
    let asked = serde_json::to_value(asked(&call)).unwrap_or_default();
    let words = serde_json::to_string_pretty(&asked).unwrap_or_default() + "\n";
    Ok(Answer::new(Exit::Done, words, asked))
}

/// What is said of evidence that nobody signed, where nobody else's word is brought.
const UNSIGNED: &str = "nobody signed it; evidence that is no verifier's takes a witness's word: ask for one with --ask, \
                        then give --witness";

/// A witness's word, with the deadline of the call that it speaks of. Whether it counts is for the node, which records
/// why it does not; so does one that speaks of no call.
pub(crate) fn word_of(file: &Path) -> Result<Presented, LiveFailure> {
    let word = envelope(file)?;
    let deadline = match word.statement().map(|statement| statement.content) {
        Ok(Content::Witness { call }) => call.deadline,
        _ => Timestamp::MAX,
    };
    Presented::new(deadline, vec![word]).map_err(|many| unfit(file, &many))
}

/// An envelope in a file.
pub(crate) fn envelope(file: &Path) -> Result<Envelope, LiveFailure> {
    Envelope::from_json(&read(file)?).map_err(|refusal| unfit(file, &refusal))
}

/// What a person decides on evidence that nobody signed whom the node listens to.
fn request(file: &Path, text: &[u8], envelope: Option<&Envelope>) -> Result<Request, LiveFailure> {
    let content = match envelope {
        Some(envelope) => Statement::from_payload(Kind::Evidence, envelope.payload())
            .map(|statement| statement.content)
            .map_err(|refusal| unfit(file, &refusal))?,
        None => Content::from_json(Kind::Evidence, text).map_err(|malformed| unfit(file, &malformed))?,
    };
    match content {
        Content::Evidence { about, session, finding: _, fault, class, risk, happened, evidence } => {
            Ok(Request::Slash { about, session, fault, class, risk, happened, evidence })
        }
        _ => Err(unfit(file, &"it is no evidence")),
    }
}

/// What came of statements, with what the ledger says of a slash.
fn told(place: &Place, done: &[Accepted]) -> Answer {
    let trust = Trust::read(&place.data).ok();
    let (mut words, mut documents) = (String::new(), Vec::new());
    for done in done {
        let (said, document) = accepted(done, trust.as_ref());
        words.push_str(&(one_line(&said) + "\n"));
        documents.push(document);
    }
    Answer::new(Exit::Done, words, json!(documents))
}

/// What came of one of them.
pub(crate) fn accepted(done: &Accepted, trust: Option<&Trust>) -> (String, Value) {
    match done {
        Accepted::Joined { session, ring } => (
            format!("joined {session} in {ring}"),
            json!({ "done": "joined", "session": session.as_str(), "ring": ring }),
        ),
        Accepted::Vouched => ("vouched".to_owned(), json!({ "done": "vouched" })),
        Accepted::Released => ("released".to_owned(), json!({ "done": "released" })),
        Accepted::KeyChanged => ("the key is changed".to_owned(), json!({ "done": "key_changed" })),
        Accepted::AlreadySlashed { about, evidence } => (
            format!("{about} was slashed on this evidence before; nothing has changed"),
            json!({ "done": "already_slashed", "about": about.as_str(), "evidence": evidence }),
        ),
        Accepted::Charged { about, evidence, until } => (
            format!(
                "{about} is charged on evidence {evidence}, and slashed on {until} unless that is contested (hv charge \
                 dispute)"
            ),
            json!({ "done": "charged", "about": about.as_str(), "evidence": evidence, "until": until }),
        ),
        Accepted::Slashed { about, evidence } => {
            let happened = trust.into_iter().flat_map(|trust| trust.history.iter().rev());
            let mut slashes = happened.filter(|happened| happened.names_text(&evidence.to_string()));
            let happened = slashes.next();
            let words = happened.map_or_else(|| format!("{about} is slashed"), |it| it.words().to_owned());
            let slash = serde_json::to_value(happened).unwrap_or(Value::Null);
            let about = about.as_str();
            (words, json!({ "done": "slashed", "about": about, "evidence": evidence, "slash": slash }))
        }
    }
}

/// Reads a file, one byte further than an envelope has, so that its reader sees that it is too long.
fn read(file: &Path) -> Result<Vec<u8>, LiveFailure> {
    let most = u64::try_from(ENVELOPE_MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = Vec::new();
    let done = File::open(file).and_then(|file| file.take(most).read_to_end(&mut text));
    done.map_err(|error| unfit(file, &error))?;
    Ok(text)
}

pub(crate) fn unfit(file: &Path, why: &dyn std::fmt::Display) -> LiveFailure {
    LiveFailure::Input { why: format!("{}: {why}", file.display()) }
}

fn share(text: &str) -> Result<Share, NotAFraction> {
    text.parse()
}
