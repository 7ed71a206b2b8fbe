//! `hv audit witness`: somebody who sees that logs only grow, and says so.
//!
//! What was seen of a log lies in one file: the last checkpoint with this witness's cosignature. A lock beside the
//! files keeps two cosigners apart, and the new checkpoint is durable before its cosignature is printed.

use super::args::{AddArgs, CosignArgs, WitnessArgs, WitnessCommand, WitnessKeyArgs};
use super::keys::{NoteKey, Strict};
use super::{Failure, asking, bad_input, failed, files};
use crate::Exit;
use crate::output::{self, counted};
use hv_core::audit::{
    AddCheckpoint, Checkpoint, KeyKind, Malformed, Note, NoteSignature, Seen, VerifierKey, WitnessRefusal,
};
use hv_core::types::Digest;
use hv_core::{Clock, SystemClock};
use serde::Serialize;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Does what was asked of a witness.
pub(super) fn run(args: &WitnessArgs) -> Result<Exit, Failure> {
    match &args.command {
        WitnessCommand::Key(args) => {
            let (_, key) = own(args)?;
            output::print(&format_args!("{key}\n"))?;
            Ok(Exit::Done)
        }
        WitnessCommand::Cosign(args) => cosign(args),
        WitnessCommand::Add(args) => add(args),
        WitnessCommand::Ask(args) => asking::run(args),
    }
}

fn own(args: &WitnessKeyArgs) -> Result<(NoteKey, VerifierKey), Failure> {
    let signer = NoteKey::read(&args.key)?;
    let key = signer.named(&args.name, KeyKind::Cosigner);
    let key = key.map_err(|bad| bad_input(&format_args!("--name: {bad}")))?;
    Ok((signer, key))
}

/// The answer to a request.
#[derive(Debug, Serialize)]
struct Document {
    /// As HTTP has it: 200 cosigned, 409 another size was seen, 422 rewritten, and so on.
    status: u16,
    message: String,
    /// The line to be added to the checkpoint.
    cosignature: Option<String>,
    /// The size that this witness last saw, where that is the reason.
    size: Option<u64>,
    /// Where the evidence of a rewritten log was kept.
    evidence: Option<PathBuf>,
}

fn cosign(args: &CosignArgs) -> Result<Exit, Failure> {
    let (signer, key) = own(&args.witness)?;
    let bytes = files::read(&args.request).map_err(|error| bad_input(&error))?;
    files::make_folder(&args.state).map_err(|error| error.failure())?;
    let lock = args.state.join("lock");
    // Held until the file is dropped.
    let held = File::create(&lock).and_then(|file| file.lock().map(|()| file));
    let _held = held.map_err(|error| bad_input(&format_args!("{}: {error}", lock.display())))?;
    let document = match answer(args, &bytes, &key, &signer) {
        Ok(document) => document,
        Err(Answer::Refused(refusal)) => refused(args, &bytes, &refusal)?,
        Err(Answer::Failed(failure)) => return Err(failure),
    };
    if args.json {
        output::json(&document)?;
    } else if let Some(line) = &document.cosignature {
        output::print(line)?;
    }
    if document.status == 200 {
        return Ok(Exit::Done);
    }
    let kept = document.evidence.as_ref().map(|path| format!("; the evidence is in {}", path.display()));
    output::error(&format!(
        "hv: refused ({}): {}{}",
        document.status,
        document.message,
        kept.unwrap_or_default()
    ));
    Ok(Exit::Failed)
}

/// Why there is no cosignature.
enum Answer {
    Refused(WitnessRefusal),
    Failed(Failure),
}

impl From<WitnessRefusal> for Answer {
    fn from(refusal: WitnessRefusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

fn answer(args: &CosignArgs, bytes: &[u8], key: &VerifierKey, signer: &NoteKey) -> Result<Document, Answer> {
    let request = AddCheckpoint::parse(bytes).map_err(WitnessRefusal::Malformed)?;
    let new = Checkpoint::parse(request.note.text())
        .map_err(|bad| WitnessRefusal::from(Malformed::Checkpoint(bad)))?;
    let logs = args.log.iter().map(|log| log.of_log(&new.origin).map_err(|bad| bad_input(&bad)));
    let logs: Vec<VerifierKey> = logs.collect::<Result<_, _>>()?;
    let path = seen_path(&args.state, &new.origin);
    let seen = read_seen(&path, key)?;
    let now = SystemClock.now().0 / 1_000_000_000;
    let good = request.consider(&logs, seen.as_ref(), now, &Strict)?;
    let signature = request.cosign(&good, key, signer)?;
    let line = signature.to_string();
    let cosigned = request.note.with(signature);
    files::replace(&path, cosigned.to_string().as_bytes()).map_err(|error| error.failure())?;
    let message = format!("{} grew to {}", new.origin, counted(new.size, "entry"));
    Ok(Document { status: 200, message, cosignature: Some(line), size: Some(new.size), evidence: None })
}

/// The file of what was seen of a log.
fn seen_path(state: &Path, origin: &str) -> PathBuf {
    let name = Digest(<sha2::Sha256 as sha2::Digest>::digest(origin.as_bytes()).into());
    state.join(format!("{name}.seen"))
}

/// What this witness itself said last of a log: only its own signature is believed.
fn read_seen(path: &Path, key: &VerifierKey) -> Result<Option<Seen>, Failure> {
    if !path.exists() {
        return Ok(None);
    }
    let said = |bad: &dyn fmt::Display| {
        failed(&format_args!(
            "{}: it is not what this witness wrote, so nothing is cosigned: {bad}",
            path.display()
        ))
    };
    let note = Note::parse(&files::read(path).map_err(|error| failed(&error))?).map_err(|bad| said(&bad))?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|bad| said(&bad))?;
    let own = Checkpoint::witnessed(&note, [key], &Strict).map_err(|bad| said(&bad))?;
    match own.first().and_then(|signed| signed.time) {
        Some(time) => Ok(Some(Seen { checkpoint, time })),
        None => Err(said(&"its own cosignature is missing")),
    }
}

/// Keeps what shows a rewritten log: the request beside what was seen.
fn refused(args: &CosignArgs, bytes: &[u8], refusal: &WitnessRefusal) -> Result<Document, Failure> {
    let mut evidence = None;
    if refusal.is_evidence()
        && let Ok(request) = AddCheckpoint::parse(bytes)
        && let Ok(new) = Checkpoint::parse(request.note.text())
    {
        let path = seen_path(&args.state, &new.origin);
        let seen = files::read(&path).unwrap_or_default();
        let seen_size = Note::parse(&seen).ok().and_then(|note| Checkpoint::parse(note.text()).ok());
        // Asking from another size is how a log learns which one was seen; only less than that, or another root, shows
        // something.
        let shows = seen_size.is_some_and(|seen| {
            new.size < seen.size
                || (new.size == seen.size && new.root != seen.root)
                || *refusal == WitnessRefusal::Forked
        });
        if shows {
            let text = [b"seen:\n", seen.as_slice(), b"\nasked for:\n", bytes].concat();
            let kept = files::create_numbered(&path.with_extension("evidence"), &text);
            evidence = Some(kept.map_err(|error| error.failure())?);
        }
    }
    let size = match refusal {
        WitnessRefusal::Conflict { size } => Some(*size),
        _ => None,
    };
    Ok(Document { status: refusal.status(), message: refusal.to_string(), cosignature: None, size, evidence })
}

fn add(args: &AddArgs) -> Result<Exit, Failure> {
    let said = |bad: &dyn fmt::Display| bad_input(&format_args!("{}: {bad}", args.mark.display()));
    let mut note =
        Note::parse(&files::read(&args.mark).map_err(|e| bad_input(&e))?).map_err(|bad| said(&bad))?;
    let lines = files::read_text(&args.lines).map_err(|error| bad_input(&error))?;
    let mut added = 0;
    for line in lines.lines().filter(|line| !line.is_empty()) {
        let signature: NoteSignature =
            line.parse().map_err(|bad| bad_input(&format_args!("{}: {bad}", args.lines.display())))?;
        let by = args.witness.iter().map(|key| &key.0);
        let alone = Note::new(note.text()).map_err(|bad| said(&bad))?.with(signature.clone());
        let counts = Checkpoint::witnessed(&alone, by, &Strict);
        if !counts.is_ok_and(|signed| !signed.is_empty()) {
            return Err(failed(&format_args!(
                "{}: the cosignature by {} is by no witness that was named, or not over this checkpoint",
                args.lines.display(),
                signature.name()
            )));
        }
        note = note.with(signature);
        added += 1;
    }
    if added == 0 {
        return Err(bad_input(&format_args!("{}: there is no cosignature in it", args.lines.display())));
    }
    files::replace(&args.mark, note.to_string().as_bytes()).map_err(|error| error.failure())?;
    output::print(&format_args!("added: {} to {}\n", counted(added, "cosignature"), args.mark.display()))?;
    Ok(Exit::Done)
}
