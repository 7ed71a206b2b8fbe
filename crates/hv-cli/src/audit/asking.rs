//! `hv audit witness ask`: a witness that listens over HTTP sees that the log only grew, and its cosignature comes into the
//! mark (C2SP tlog-witness, `add-checkpoint`).

use super::keys::{Strict, WitnessKey};
use super::{Failure, bad_input, failed, files, source};
use crate::Exit;
use crate::output::{self, counted};
use clap::Args;
use hv_core::audit::{AddCheckpoint, Checkpoint, Note, NoteSignature, Transcript};
use hv_integrations::anchor::post;
use std::fmt;
use std::path::PathBuf;

/// Arguments of `hv audit witness ask`.
#[derive(Debug, Args)]
#[command(after_help = "\
The witness says which size it saw last; the proof from there is sent, and what
comes back is added to the mark where it is that witness's cosignature over
exactly this checkpoint.

Example:
  hv audit witness ask trail --mark release.mark --url http://127.0.0.1:7480 --witness w1.vkey

Exit codes: 0 cosigned; 1 the witness does not answer or refuses, or the trail does not continue the
mark; 2 bad input")]
pub struct AskArgs {
    /// The folder of the trail
    #[arg(value_name = "DIR")]
    pub data: PathBuf,
    /// The mark, as hv audit checkpoint keeps it
    #[arg(long, value_name = "FILE", value_parser = crate::outside::parser())]
    pub mark: PathBuf,
    /// Where the witness listens; /add-checkpoint is put behind it
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// Its public key (name+id+base64)
    #[arg(long, value_name = "KEY")]
    pub witness: WitnessKey,
}

/// It says at most so often that it saw another size: once, unless somebody else asks meanwhile.
const ATTEMPTS: u32 = 3;

/// Asks, and keeps the answer.
pub(super) fn run(args: &AskArgs) -> Result<Exit, Failure> {
    let said = |bad: &dyn fmt::Display| bad_input(&format_args!("{}: {bad}", args.mark.display()));
    let note = Note::parse(&files::read(&args.mark).map_err(|e| bad_input(&e))?).map_err(|bad| said(&bad))?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|bad| said(&bad))?;
    let (_, read) = source::read(&args.data, &mut |_| false)?;
    if read.root(checkpoint.size) != Ok(checkpoint.root) {
        return Err(failed(&format_args!(
            "{}: this is no checkpoint of this trail, or the trail was rewritten since; see hv audit verify --mark",
            args.mark.display()
        )));
    }
    let url = format!("{}/add-checkpoint", args.url.trim_end_matches('/'));
    let lines = ask(&url, &read, &checkpoint, &note)?;
    let counts = |signature: &NoteSignature| {
        let alone = Note::new(note.text()).map(|alone| alone.with(signature.clone()));
        let signed = alone.ok().map(|alone| {
            Checkpoint::witnessed(&alone, [&args.witness.0], &Strict).is_ok_and(|signed| !signed.is_empty())
        });
        signed == Some(true)
    };
    let signature = lines.lines().filter_map(|line| line.parse().ok()).find(counts);
    let signature = signature.ok_or_else(|| {
        failed(&format_args!(
            "{url}: what it answered is no cosignature of that witness over this checkpoint"
        ))
    })?;
    files::replace(&args.mark, note.with(signature).to_string().as_bytes())
        .map_err(|error| error.failure())?;
    output::print(&format_args!(
        "cosigned: {}, by {}\n",
        counted(checkpoint.size, "entry"),
        args.witness.0.name()
    ))?;
    Ok(Exit::Done)
}

/// What the witness answers, once it was asked from the size that it saw last.
fn ask(url: &str, read: &Transcript, checkpoint: &Checkpoint, note: &Note) -> Result<String, Failure> {
    let mut old = 0;
    for _ in 0..ATTEMPTS {
        let path = match old {
            0 => Vec::new(),
            _ => read.consistency(old, checkpoint.size).map_err(|_| {
                failed(&format_args!(
                    "{url}: the witness saw {}, and the mark has {}; another log has its name, or it was rolled back",
                    counted(old, "entry"),
                    checkpoint.size
                ))
            })?.path,
        };
        let request = AddCheckpoint { old, path, note: note.clone() };
        let answer = post(url, "text/plain", request.to_string().as_bytes());
        let (status, body) = answer.map_err(|fault| failed(&format_args!("{url}: {fault}")))?;
        let text = String::from_utf8_lossy(&body).into_owned();
        match status {
            200 => return Ok(text),
            409 => match text.trim().parse() {
                Ok(seen) if seen != old => old = seen,
                _ => break,
            },
            _ => {
                return Err(failed(&format_args!(
                    "{url}: the witness refuses ({status}): {}",
                    output::one_line(text.trim())
                )));
            }
        }
    }
    Err(failed(&format_args!("{url}: the witness does not say from which size it would go on")))
}
