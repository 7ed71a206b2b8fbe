//! `hv audit check`: a proof, a checkpoint or a bundle by itself, without the trail that it is from.

use super::args::CheckArgs;
use super::bundle::{self, Bundle};
use super::keys::{Strict, Trust};
use super::{Failure, bad_input, failed, files};
use crate::Exit;
use crate::output::{self, counted, one_line};
use hv_core::audit::{AddCheckpoint, Checkpoint, DeltaProof, Note, Rank, TlogProof};
use hv_core::types::Digest;
use serde::Serialize;
use std::fmt;

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    /// `record`, `growth`, `checkpoint` or `bundle`.
    what: &'static str,
    holds: bool,
    origin: String,
    size: u64,
    root: Digest,
    /// `L1`, or `L2` where enough witnesses cosigned; `L0` where nobody said which key is the log's.
    level: &'static str,
    /// The key that signed it.
    key: String,
    /// Whether that key was given, or only found in the file.
    key_given: bool,
    witnesses: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<bool>,
}

/// Checks a file, and says what was found.
pub(super) fn run(args: &CheckArgs) -> Result<Exit, Failure> {
    let document = found(args)?;
    output::document(&document, args.json)?;
    Ok(Exit::Done)
}

/// What is found in a file that holds.
pub(super) fn found(args: &CheckArgs) -> Result<Document, Failure> {
    let bytes = files::read(&args.file).map_err(|error| bad_input(&error))?;
    let trust = Trust::read(&args.trust)?;
    if bundle::is_one(&bytes) {
        of_bundle(&bytes, &trust, args)
    } else if bytes.starts_with(b"c2sp.org/tlog-proof@") {
        of_record(&bytes, &trust, args)
    } else if bytes.starts_with(b"old ") {
        of_growth(&bytes, &trust, args)
    } else {
        let note = Note::parse(&bytes).map_err(|bad| {
            bad_input(&format_args!(
                "{}: neither a proof, a checkpoint nor a bundle: {bad}",
                args.file.display()
            ))
        })?;
        signed("checkpoint", &note, &trust, args)
    }
}

/// Whether a note is a checkpoint of the log whose key was given, and who else signed it.
fn signed(what: &'static str, note: &Note, trust: &Trust, args: &CheckArgs) -> Result<Document, Failure> {
    let wrong = |bad: &dyn fmt::Display| failed(&format_args!("{}: {bad}", args.file.display()));
    let checkpoint = Checkpoint::parse(note.text()).map_err(|bad| wrong(&bad))?;
    let key = trust.key_of(&checkpoint.origin, checkpoint.size)?;
    let key =
        key.ok_or_else(|| bad_input(&"whose signature counts? give the log's public key with --key"))?;
    let Checkpoint { origin, size, root, .. } =
        Checkpoint::open(note, std::slice::from_ref(&key), &Strict).map_err(|bad| wrong(&bad))?;
    let quorum = trust.policy.check(note, &Strict).map_err(|bad| wrong(&bad))?;
    if trust.policy.needs_witnesses() && !quorum.reached {
        return Err(wrong(&format_args!(
            "only {} of the known witnesses cosigned it, too few",
            quorum.witnesses
        )));
    }
    let rank = if quorum.reached { Rank::Witnessed } else { Rank::Signed };
    Ok(Document {
        what,
        holds: true,
        origin,
        size,
        root,
        level: rank.name(),
        key: key.to_string(),
        key_given: true,
        witnesses: quorum.witnesses,
        from: None,
        stream: None,
        label: None,
        record: None,
        hash: None,
        records: None,
        closed: None,
    })
}

fn of_record(bytes: &[u8], trust: &Trust, args: &CheckArgs) -> Result<Document, Failure> {
    let wrong = |bad: &dyn fmt::Display| failed(&format_args!("{}: {bad}", args.file.display()));
    let proof = TlogProof::parse(bytes).map_err(|bad| wrong(&bad))?;
    if proof.to_string().as_bytes() != bytes {
        return Err(wrong(&"it is not written in the one form that a proof has"));
    }
    let extra = proof.extra.as_deref().unwrap_or_default();
    if let Some(version) = extra.first().filter(|version| **version != DeltaProof::VERSION) {
        return Err(bad_input(&format_args!(
            "{}: the proof is in version {version} of the format, and this program checks version {}: use the hv that \
             made it",
            args.file.display(),
            DeltaProof::VERSION
        )));
    }
    let delta = DeltaProof::from_extra(extra)
        .map_err(|bad| wrong(&format_args!("the line `extra` is no way from a record of hv: {bad}")))?;
    let seq = delta.check().map_err(|bad| wrong(&bad))?;
    let (index, leaf) = delta.node_leaf().map_err(|bad| wrong(&bad))?;
    if index != proof.index {
        return Err(wrong(&"its two levels speak of different entries"));
    }
    proof.check(&leaf).map_err(|bad| wrong(&bad))?;
    let hash = <hv_core::audit::Blake3 as hv_core::audit::TreeHash>::leaf(&delta.record);
    Ok(Document {
        stream: Some(delta.stream.0),
        record: Some(seq),
        hash: Some(hash),
        ..signed("record", &proof.note, trust, args)?
    })
}

fn of_growth(bytes: &[u8], trust: &Trust, args: &CheckArgs) -> Result<Document, Failure> {
    let wrong = |bad: &dyn fmt::Display| failed(&format_args!("{}: {bad}", args.file.display()));
    let request = AddCheckpoint::parse(bytes).map_err(|bad| wrong(&bad))?;
    if request.to_string().as_bytes() != bytes {
        return Err(wrong(&"it is not written in the one form that a proof has"));
    }
    let root = match (&args.old, request.old) {
        (None, 0) => <hv_core::audit::Rfc6962 as hv_core::audit::TreeHash>::empty(),
        (None, size) => {
            return Err(bad_input(&format_args!(
                "give the checkpoint of size {size} that it begins with, with --old"
            )));
        }
        (Some(path), size) => {
            let said = |bad: &dyn fmt::Display| bad_input(&format_args!("{}: {bad}", path.display()));
            let note =
                Note::parse(&files::read(path).map_err(|e| bad_input(&e))?).map_err(|bad| said(&bad))?;
            let old = Checkpoint::parse(note.text()).map_err(|bad| said(&bad))?;
            let key = trust.key_of(&old.origin, old.size)?;
            let key = key
                .ok_or_else(|| bad_input(&"whose signature counts? give the log's public key with --key"))?;
            Checkpoint::open(&note, &[key], &Strict).map_err(|bad| said(&bad))?;
            if old.size != size {
                return Err(said(&format_args!(
                    "it has size {}, and the proof begins with {size}",
                    old.size
                )));
            }
            old.root
        }
    };
    request.continues(&root).map_err(|refusal| wrong(&refusal))?;
    Ok(Document { from: Some(request.old), ..signed("growth", &request.note, trust, args)? })
}

fn of_bundle(bytes: &[u8], trust: &Trust, args: &CheckArgs) -> Result<Document, Failure> {
    let wrong = |bad: &dyn fmt::Display| failed(&format_args!("{}: {bad}", args.file.display()));
    let bundle = Bundle::parse(bytes).map_err(|bad| wrong(&bad))?;
    let proven = bundle.check(&Strict).map_err(|bad| wrong(&bad))?;
    let note = Note::parse(bundle.checkpoint.as_bytes()).map_err(|bad| wrong(&bad))?;
    let own = Trust::of_key(bundle.key().map_err(|bad| wrong(&bad))?, trust);
    let given = trust.key.is_some();
    let document = signed("bundle", &note, if given { trust } else { &own }, args)?;
    if given && document.key != bundle.key {
        return Err(wrong(&"the bundle is signed with another key than yours"));
    }
    Ok(Document {
        // A key that a file names for itself shows no more than that the file agrees with itself.
        level: if given || document.level != Rank::Signed.name() { document.level } else { "L0" },
        key_given: given,
        stream: Some(bundle.stream),
        label: Some(bundle.label),
        records: Some(proven.records),
        closed: Some(proven.closed),
        ..document
    })
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, size, root, key, .. } = self;
        let stream = self.stream.unwrap_or_default();
        match self.what {
            "record" => {
                let hash = self.hash.unwrap_or_default();
                writeln!(
                    f,
                    "holds: record {} of stream {stream} is in the log",
                    self.record.unwrap_or_default()
                )?;
                writeln!(f, "  record   {hash}")?;
            }
            "growth" => writeln!(
                f,
                "holds: the log only grew since it had {}",
                counted(self.from.unwrap_or_default(), "entry")
            )?,
            "bundle" => {
                let label = one_line(self.label.as_deref().unwrap_or_default());
                writeln!(f, "holds: session {label} (stream {stream})")?;
                let state = if self.closed == Some(true) { "closed" } else { "open when the log was ended" };
                writeln!(f, "  records  {}, {state}", self.records.unwrap_or_default())?;
            }
            _ => writeln!(f, "holds: the log signed this checkpoint")?,
        }
        writeln!(f, "  log      {}, {}, root {root}", one_line(origin), counted(size, "entry"))?;
        writeln!(f, "  level    {}, {}", self.level, counted(self.witnesses, "witness"))?;
        writeln!(f, "  key      {}", one_line(key))?;
        if !self.key_given {
            writeln!(
                f,
                "  Whether that is the log's key is not in this file: compare it, or give it with --key."
            )?;
        }
        Ok(())
    }
}
