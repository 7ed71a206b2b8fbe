//! `hv drift` and `hv manifest`: what agents claim, line by line, and how far it can be relied on.

use crate::Exit;
use crate::lines::{self, LinesArgs};
use crate::output::Refused;
use crate::plan::adapters::key;
use clap::Args;
use hv_integrations::{cmvk, iatp};

/// Measures how far what was observed lies from what was claimed, a pair of embeddings a line.
///
/// # Errors
/// As [`lines::answer`].
pub fn drift(args: &LinesArgs) -> Result<Exit, Refused> {
    lines::answer(args, cmvk::LINE_MAX_BYTES, cmvk::drift_line)
}

/// Arguments of `hv manifest`.
#[derive(Debug, Args)]
pub struct ManifestArgs {
    /// Where the lines come from.
    #[command(flatten)]
    pub lines: LinesArgs,
    /// Take the manifests for what came over a wire, and hold their attestations against this Ed25519 public key: the
    /// name that records give it, and a did:key or its 32 bytes in base64; may be given several times
    #[arg(long, value_name = "NAME=KEY", value_parser = attester)]
    pub attester: Vec<Attester>,
}

/// A key of a control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attester {
    /// The name that records give it.
    pub name: String,
    /// Its bytes.
    pub key: [u8; 32],
}

fn attester(text: &str) -> Result<Attester, String> {
    let (name, written) = text.split_once('=').ok_or("write the key's name, =, and the key")?;
    let key =
        key(written).ok_or("that is no Ed25519 public key; write a did:key, or its 32 bytes in base64")?;
    Ok(Attester { name: name.to_owned(), key })
}

/// Reads and scores manifests, one a line; with attesters, as manifests that came over a wire.
///
/// # Errors
/// As [`lines::answer`].
pub fn manifest(args: &ManifestArgs) -> Result<Exit, Refused> {
    if args.attester.is_empty() {
        return lines::answer(&args.lines, iatp::MANIFEST_MAX_BYTES, iatp::manifest_line);
    }
    let named = |attesters: iatp::Attesters, Attester { name, key }: &Attester| {
        // Whether it is a key was asked when the argument was read.
        attesters.clone().with_key(name, key).unwrap_or(attesters)
    };
    let attesters = args.attester.iter().fold(iatp::Attesters::default(), named);
    lines::answer(&args.lines, iatp::MANIFEST_MAX_BYTES, |line| iatp::attested_line(line, &attesters))
}
