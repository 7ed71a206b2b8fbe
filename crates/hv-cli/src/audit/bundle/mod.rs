//! An evidence bundle: everything about one session in one file, with the program that checks it.
//!
//! The file is the program `verifier.py`, a line of JSON in a comment, and a line with the SHA-256 of all before it.
//! Reading one writes it again and compares, so no byte of it is free.

use data::Decoded;
use hv_core::audit::{
    BadKeyText, Blake3, Checkpoint, Entry, InclusionProof, KeyKind, Kind, NoProof, Note, NoteVerifier,
    Rfc6962, StreamNo, Transcript, TreeHash, VerifierKey, node_entry, payload_name, read_entry,
};
use hv_core::types::Digest;
use serde::{Deserialize, Serialize};
use std::fmt;

mod data;

/// The program in front.
const VERIFIER: &str = include_str!("verifier.py");

/// What the line of evidence begins with.
const EVIDENCE: &str = "\n#evidence ";

/// What the last line begins with.
const DIGEST: &str = "#sha256 ";

const FORMAT: &str = "hv-evidence-bundle/2";

/// Whether bytes look like a bundle, whole or not.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(b"#!/usr/bin/env python3\n# hv evidence bundle")
        || bytes.windows(EVIDENCE.len()).any(|window| window == EVIDENCE.as_bytes())
}

/// The evidence of one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bundle {
    format: String,
    /// The key that signed the checkpoint, as notes have it.
    pub(super) key: String,
    /// The signed note.
    pub(super) checkpoint: String,
    pub(super) stream: u32,
    pub(super) label: String,
    /// What the node's stream says of the session: how it began, and what holds its root.
    entries: Vec<NodeEntry>,
    /// The session's records, in base64.
    records: Vec<String>,
    /// What the records name, as far as it is enclosed.
    payloads: Vec<Payload>,
}

/// A content with the salt under which it is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Payload {
    salt: String,
    content: String,
}

impl Payload {
    pub(super) fn new(salt: &[u8; 32], content: &[u8]) -> Self {
        Self { salt: data::encode(salt), content: data::encode(content) }
    }
}

/// A record of the node's stream and its way to the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeEntry {
    index: u64,
    record: String,
    path: Vec<String>,
}

/// What a bundle proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Proven {
    pub(super) records: u64,
    /// Whether the session was closed; otherwise the log was ended while it was open.
    pub(super) closed: bool,
}

/// Why a file is no bundle, or proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BadBundle {
    /// The digest in the last line is not that of what stands before it.
    Digest,
    /// The program in it is not the one that this version encloses.
    Program,
    /// The line of evidence is not what this version writes.
    Evidence(String),
    /// A part of the evidence does not fit the others.
    Part(&'static str),
    /// A payload is not the one that a record names.
    Payload,
}

impl Bundle {
    /// Everything about a session, as far as the checkpoint speaks for it.
    pub(super) fn make(
        read: &Transcript,
        stream: StreamNo,
        (note, key): (&Note, &VerifierKey),
        payloads: Vec<Payload>,
    ) -> Result<Self, NoProof> {
        let checkpoint = Checkpoint::parse(note.text()).map_err(|_| NoProof::Size)?;
        let label = read.streams().find(|(no, _)| *no == stream).ok_or(NoProof::Stream)?.1.to_owned();
        let (opened, ended, count) = commitments(read, stream, checkpoint.size)?;
        let entry = |index: u64| {
            let record = read.record(StreamNo::NODE, index).ok_or(NoProof::Record)?;
            let path = read.inclusion(index, checkpoint.size)?.path;
            let path = path.iter().map(|hash| data::encode(&hash.0)).collect();
            Ok(NodeEntry { index, record: data::encode(record), path })
        };
        let records = (0..count)
            .map(|seq| read.record(stream, seq).map(data::encode).ok_or_else(|| read.absent(stream)));
        Ok(Self {
            format: FORMAT.to_owned(),
            key: key.to_string(),
            checkpoint: note.to_string(),
            stream: stream.0,
            label,
            entries: vec![entry(opened)?, entry(ended)?],
            records: records.collect::<Result<_, _>>()?,
            payloads,
        })
    }

    /// The file.
    pub(super) fn to_file(&self) -> String {
        // Nothing in it is without a form in JSON.
        let json = serde_json::to_string(self).unwrap_or_default();
        let body = format!("{VERIFIER}{}{json}\n", EVIDENCE.strip_prefix('\n').unwrap_or(EVIDENCE));
        let digest = data::sha256(body.as_bytes());
        format!("{body}{DIGEST}{digest}\n")
    }

    /// Reads a file. Says nothing yet about what it proves.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, BadBundle> {
        let text = std::str::from_utf8(bytes).map_err(|_| BadBundle::Digest)?;
        let (body, digest) = text.rsplit_once(DIGEST).ok_or(BadBundle::Digest)?;
        if digest != format!("{}\n", data::sha256(body.as_bytes())) {
            return Err(BadBundle::Digest);
        }
        let (program, json) = body.rsplit_once(EVIDENCE).ok_or(BadBundle::Program)?;
        if format!("{program}\n") != VERIFIER {
            return Err(BadBundle::Program);
        }
        let bundle: Self =
            serde_json::from_str(json).map_err(|error| BadBundle::Evidence(error.to_string()))?;
        if bundle.to_file() != text {
            return Err(BadBundle::Evidence("it is not written in its one form".to_owned()));
        }
        Ok(bundle)
    }

    /// The number of records in it.
    pub(super) const fn records(&self) -> u64 {
        self.records.len() as u64
    }

    /// The key that signed it.
    pub(super) fn key(&self) -> Result<VerifierKey, BadKeyText> {
        self.key.parse()
    }

    /// Checks everything that the enclosed program checks.
    pub(super) fn check(&self, verifier: &dyn NoteVerifier) -> Result<Proven, BadBundle> {
        let need = |holds: bool, what: &'static str| if holds { Ok(()) } else { Err(BadBundle::Part(what)) };
        need(self.format == FORMAT, "it is a bundle of another version")?;
        let key = self.key().map_err(|_| BadBundle::Part("its key is none"))?;
        need(key.kind() == KeyKind::Signer, "its key is no log's")?;
        let note = Note::parse(self.checkpoint.as_bytes())
            .map_err(|_| BadBundle::Part("its checkpoint is no note"))?;
        let checkpoint = Checkpoint::open(&note, &[key], verifier)
            .map_err(|_| BadBundle::Part("its key did not sign the checkpoint"))?;
        let [opened, ended] = self.entries.as_slice() else {
            return Err(BadBundle::Part("it does not say how the session began and what holds its root"));
        };
        let (opened, ended) = (opened.check(&checkpoint)?, ended.check(&checkpoint)?);
        let leaves = self.records.iter().map(|record| data::decode(record)).collect::<Result<Vec<_>, _>>()?;
        let (count, root, close) = match (opened.kind(), ended.kind()) {
            (Some(Kind::StreamOpened { stream, label, genesis }), Some(end)) => {
                need(stream.0 == self.stream && label == self.label, "the session has another name")?;
                let first = leaves.first().map(|bytes| Blake3::leaf(bytes));
                need(first == Some(genesis), "the session began with another record")?;
                match end {
                    Kind::StreamClosed { stream, size, root, close } if stream.0 == self.stream => {
                        (size, root, Some(close))
                    }
                    Kind::Sealed { mut heads } => {
                        let head = heads.find(|(stream, _)| stream.0 == self.stream);
                        let head = head.ok_or(BadBundle::Part("the log was ended without this session"))?.1;
                        (head.length, head.root, None)
                    }
                    _ => return Err(BadBundle::Part("nothing in it holds the session's root")),
                }
            }
            _ => return Err(BadBundle::Part("it does not say how the session began")),
        };
        let hashes = chained(&leaves, StreamNo(self.stream))?;
        let before = usize::try_from(count).ok().and_then(|count| hashes.split_at_checked(count));
        let (before, after) = before.ok_or(BadBundle::Part("records are missing"))?;
        need(
            after == close.as_slice(),
            "the session was closed by another record, or has more than were signed",
        )?;
        let mut tree = hv_core::audit::CompactRange::<Blake3>::new();
        before.iter().for_each(|leaf| tree.push(*leaf));
        need(tree.root() == root, "the records have another root than was signed")?;
        self.check_payloads(&leaves)?;
        Ok(Proven { records: leaves.len() as u64, closed: close.is_some() })
    }

    fn check_payloads(&self, records: &[Vec<u8>]) -> Result<(), BadBundle> {
        let mut named = std::collections::BTreeMap::new();
        for record in records {
            let entry = read_entry(record, StreamNo(self.stream)).map_err(|_| BadBundle::Payload)?;
            named.extend(entry.attachments.map(|payload| (payload.id(), payload.length())));
        }
        for payload in &self.payloads {
            let (salt, content) = (data::decode_digest(&payload.salt)?, data::decode(&payload.content)?);
            let id = payload_name(&salt.0, &content);
            if named.get(&id) != Some(&(content.len() as u64)) {
                return Err(BadBundle::Payload);
            }
        }
        Ok(())
    }
}

/// The hashes of records that name each other in order.
fn chained(records: &[Vec<u8>], stream: StreamNo) -> Result<Vec<Digest>, BadBundle> {
    let mut hashes = Vec::with_capacity(records.len());
    let mut parent = hv_core::audit::first_parent(stream);
    for (place, bytes) in (0..).zip(records) {
        let entry = read_entry(bytes, stream).map_err(|_| BadBundle::Part("a record is none"))?;
        if entry.seq != place || bytes.first_chunk() != Some(&parent.0) {
            return Err(BadBundle::Part("a record is not the next one"));
        }
        parent = entry.hash;
        hashes.push(parent);
    }
    Ok(hashes)
}

impl NodeEntry {
    /// Checks that it is in the signed log.
    fn check(&self, checkpoint: &Checkpoint) -> Result<Decoded, BadBundle> {
        let record = data::decode(&self.record)?;
        let path = self.path.iter().map(|hash| data::decode_digest(hash)).collect::<Result<_, _>>()?;
        let seq = read_entry(&record, StreamNo::NODE).map(|entry: Entry<'_>| entry.seq);
        let proof = InclusionProof { index: self.index, size: checkpoint.size, path };
        let leaf = Rfc6962::leaf(&node_entry(&record));
        let holds = seq == Ok(self.index) && proof.check::<Rfc6962>(&leaf, &checkpoint.root).is_ok();
        if holds { Ok(Decoded(record)) } else { Err(BadBundle::Part("an entry is not in the signed log")) }
    }
}

/// The entries of the node's stream that say how a stream began and what holds its root, and the number of records
/// that the latter speaks for.
fn commitments(read: &Transcript, stream: StreamNo, size: u64) -> Result<(u64, u64, u64), NoProof> {
    let (mut opened, mut ended) = (None, None);
    for index in 0..size {
        let record = read.record(StreamNo::NODE, index).ok_or(NoProof::Size)?;
        let Ok(entry) = read_entry(record, StreamNo::NODE) else { continue };
        match entry.kind {
            Kind::StreamOpened { stream: of, .. } if of == stream => opened = Some(index),
            Kind::StreamClosed { stream: of, size, .. } if of == stream => ended = Some((index, size + 1)),
            Kind::Sealed { mut heads } => {
                if let Some((_, head)) = heads.find(|(of, _)| *of == stream) {
                    ended = Some((index, head.length));
                }
            }
            _ => {}
        }
    }
    let (opened, (ended, count)) = opened.zip(ended).ok_or(NoProof::NotCommitted)?;
    Ok((opened, ended, count))
}

impl fmt::Display for BadBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest => f.write_str("the file is not what was written: its digest is another"),
            Self::Program => f.write_str("the program in it is not the one that this version of hv encloses"),
            Self::Evidence(cause) => write!(f, "the evidence is not what a bundle is made of: {cause}"),
            Self::Part(what) => f.write_str(what),
            Self::Payload => f.write_str("a payload in it is not one that its records name"),
        }
    }
}
