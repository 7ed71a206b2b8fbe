//! `hv audit prove`: that a record is in a trail, and that a trail only grew.

use super::args::ProveArgs;
use super::source::{self, Leading};
use super::{Failure, bad_input, failed};
use crate::Exit;
use crate::output::{self, counted};
use hv_core::audit::{AddCheckpoint, Entry, NoProof, StreamNo, TlogProof, Transcript};
use hv_core::types::Digest;
use serde::Serialize;

/// A proof for programs: its text, and what it says.
#[derive(Debug, Serialize)]
struct Document {
    /// `record` or `growth`.
    proves: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<u64>,
    /// The entry of the node's stream that the proof leads through.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u64>,
    size: u64,
    root: Digest,
    path: Vec<Digest>,
    /// The proof as `hv audit check` takes it.
    text: String,
}

/// Proves what was asked for.
pub(super) fn run(args: &ProveArgs) -> Result<Exit, Failure> {
    // The stream of a session is known only once its first record was read.
    let mut wanted = args.stream.map(StreamNo);
    let (seq, hash) = (args.record, args.hash);
    let mut keep = |entry: &Entry<'_>| {
        if let (hv_core::audit::Kind::Genesis { label }, Some(name)) = (entry.kind, &args.session)
            && label == name.as_str()
        {
            wanted = Some(entry.stream);
        }
        seq == Some(entry.seq) && wanted == Some(entry.stream) || hash == Some(entry.hash)
    };
    let (_, read) = source::read(&args.trail.data, &mut keep)?;
    let leading = Leading::to(&read, &args.signed)?;
    let document = match args.from {
        Some(from) => grown(&read, &leading, from)?,
        None => record(&read, &leading, args)?,
    };
    if args.trail.json {
        output::json(&document)?
    } else {
        output::print(&document.text)?
    }
    Ok(Exit::Done)
}

fn grown(read: &Transcript, leading: &Leading, from: u64) -> Result<Document, Failure> {
    let size = leading.checkpoint.size;
    let proof = read.consistency(from, size).map_err(|_| {
        bad_input(&format_args!(
            "--from {from}: the checkpoint has {}, so it continues none of that size",
            counted(size, "entry")
        ))
    })?;
    let path = if from == 0 { Vec::new() } else { proof.path };
    let request = AddCheckpoint { old: from, path: path.clone(), note: leading.note.clone() };
    Ok(Document {
        proves: "growth",
        stream: None,
        record: None,
        index: None,
        from: Some(from),
        size,
        root: leading.checkpoint.root,
        path,
        text: request.to_string(),
    })
}

fn record(read: &Transcript, leading: &Leading, args: &ProveArgs) -> Result<Document, Failure> {
    let (stream, seq) = match (&args.hash, args.record) {
        (Some(hash), _) => read
            .find(hash)
            .ok_or_else(|| bad_input(&format_args!("--hash {hash}: the trail has no such record")))?,
        (None, Some(seq)) => match &args.session {
            Some(name) => (source::session(read, &args.trail.data, name.as_str())?, seq),
            None => (StreamNo(args.stream.unwrap_or_default()), seq),
        },
        (None, None) => return Err(bad_input(&"say which record")),
    };
    let size = leading.checkpoint.size;
    let delta = read.delta(stream, seq, size).map_err(|no| match no {
        NoProof::NotCommitted => failed(&format_args!("record {seq} of {stream}: {no}")),
        _ => bad_input(&format_args!("record {seq} of {stream}: {no}")),
    })?;
    let (index, _) = delta.node_leaf().map_err(|bad| failed(&bad))?;
    let inclusion = read.inclusion(index, size).map_err(|no| failed(&no))?;
    let proof = TlogProof {
        extra: Some(delta.to_extra()),
        index,
        path: inclusion.path.clone(),
        note: leading.note.clone(),
    };
    Ok(Document {
        proves: "record",
        stream: Some(stream.0),
        record: Some(seq),
        index: Some(index),
        from: None,
        size,
        root: leading.checkpoint.root,
        path: inclusion.path,
        text: proof.to_string(),
    })
}
