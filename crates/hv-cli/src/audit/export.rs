//! `hv audit export`: what an auditor uses without hv.

use super::anchored::OwnAnchors;
use super::args::ExportArgs;
use super::bundle::{Bundle, Payload};
use super::keys::Strict;
use super::source::{self, Leading};
use super::{Failure, bad_input, failed, files};
use crate::Exit;
use crate::output::{self, counted, one_line};
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{
    Checkpoint, Entry, Kind, NoProof, StreamNo, Transcript, VerifierKey, node_entry, open_payload,
    read_entry, tiles,
};
use hv_core::types::Digest;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What was written.
#[derive(Debug, Serialize)]
struct Document {
    form: &'static str,
    to: PathBuf,
    files: usize,
    origin: String,
    size: u64,
    root: Digest,
    /// Of the trail that it was taken from.
    level: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payloads: Option<usize>,
}

/// Exports what was asked for.
pub(super) fn run(args: &ExportArgs) -> Result<Exit, Failure> {
    if args.to.exists() {
        return Err(bad_input(&format_args!(
            "{}: it is there already; name another place",
            args.to.display()
        )));
    }
    let mut wanted = BTreeSet::new();
    let mut own = OwnAnchors::default();
    let mut keep = |entry: &Entry<'_>| {
        own.take(entry);
        if let (Kind::Genesis { label }, Some(name)) = (entry.kind, &args.session)
            && label == name.as_str()
        {
            wanted.insert(entry.stream);
        }
        wanted.contains(&entry.stream)
    };
    let (report, read) = source::read(&args.trail.data, &mut keep)?;
    let leading = Leading::to(&read, &args.signed)?;
    let document = match &args.session {
        Some(name) if args.bundle => bundle(&read, &leading, args, name.as_str())?,
        _ => tiled(&read, &leading, args)?,
    };
    let document = Document { level: own.beside(&report.level), ..document };
    if args.trail.json {
        output::json(&document)?;
    } else {
        let Document { form, to, files, size, level, .. } = &document;
        let files = if *files == 1 { "one file".to_owned() } else { format!("{files} files") };
        output::print(&format_args!(
            "{form}: {files} in {}, of a log of {}\nlevel of the trail: {}\n",
            to.display(),
            counted(size, "entry"),
            one_line(level)
        ))?;
        if args.payloads {
            output::error(
                "hv: what is enclosed cannot be called back: a purge does not reach copies outside the trail",
            );
        }
    }
    Ok(Exit::Done)
}

fn tiled(read: &Transcript, leading: &Leading, args: &ExportArgs) -> Result<Document, Failure> {
    let size = usize::try_from(leading.checkpoint.size).unwrap_or(usize::MAX);
    let entries: Vec<_> = read.node_records().iter().take(size).map(|record| node_entry(record)).collect();
    let files = tiles(entries.iter().map(|entry| entry.as_ref())).map_err(|long| failed(&long))?;
    for file in &files {
        let path = args.to.join(&file.path);
        files::make_folder(path.parent().unwrap_or(&args.to)).map_err(|error| error.failure())?;
        files::create(&path, &file.bytes).map_err(|error| error.failure())?;
    }
    // Last, so that a log that has a checkpoint has all its tiles.
    files::make_folder(&args.to).map_err(|error| error.failure())?;
    let note = leading.note.to_string();
    files::create(&args.to.join("checkpoint"), note.as_bytes()).map_err(|error| error.failure())?;
    Ok(document("tiled log", leading, args, files.len() + 1))
}

fn bundle(read: &Transcript, leading: &Leading, args: &ExportArgs, name: &str) -> Result<Document, Failure> {
    let stream = source::session(read, &args.trail.data, name)?;
    let key = signing_key(leading, args)?;
    let payloads = if args.payloads { payloads(read, stream, args)? } else { Vec::new() };
    let enclosed = payloads.len();
    let bundle = Bundle::make(read, stream, (&leading.note, &key), payloads).map_err(|no| match no {
        NoProof::NotCommitted => failed(&format_args!("session {name}: {no}")),
        _ => failed(&no),
    })?;
    files::create(&args.to, bundle.to_file().as_bytes()).map_err(|error| error.failure())?;
    Ok(Document {
        records: Some(bundle.records()),
        payloads: Some(enclosed),
        ..document("evidence bundle", leading, args, 1)
    })
}

/// The public key that signed the checkpoint: a note does not hold it.
fn signing_key(leading: &Leading, args: &ExportArgs) -> Result<VerifierKey, Failure> {
    if let Some(key) = &leading.key {
        return Ok(key.clone());
    }
    let log = args
        .log
        .as_ref()
        .ok_or_else(|| bad_input(&"a bundle names the log's public key; give it with --log"))?;
    let key =
        log.of_log(&leading.checkpoint.origin).map_err(|bad| bad_input(&format_args!("--log: {bad}")))?;
    Checkpoint::open(&leading.note, std::slice::from_ref(&key), &Strict)
        .map_err(|bad| bad_input(&format_args!("--log: {bad}")))?;
    Ok(key)
}

/// What a session's records name, as far as it is there.
fn payloads(read: &Transcript, stream: StreamNo, args: &ExportArgs) -> Result<Vec<Payload>, Failure> {
    let mut ids = BTreeSet::new();
    for seq in 0..read.length(stream) {
        let entry = read.record(stream, seq).and_then(|bytes| read_entry(bytes, stream).ok());
        ids.extend(entry.into_iter().flat_map(|entry| entry.attachments).map(|payload| payload.id()));
    }
    let opened =
        ids.iter().map(|id| open_payload(&RealDisk, &args.trail.data, id).map_err(|error| failed(&error)));
    let opened = opened.collect::<Result<Vec<_>, _>>()?;
    Ok(opened.iter().flatten().map(|payload| Payload::new(&payload.salt, &payload.content)).collect())
}

fn document(form: &'static str, leading: &Leading, args: &ExportArgs, files: usize) -> Document {
    let checkpoint = leading.checkpoint.clone();
    Document {
        form,
        to: args.to.clone(),
        files,
        origin: checkpoint.origin,
        size: checkpoint.size,
        root: checkpoint.root,
        level: String::new(),
        records: None,
        payloads: None,
    }
}
