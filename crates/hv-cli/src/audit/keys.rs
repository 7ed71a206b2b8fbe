//! Keys as they are given on the command line, and whoever computes signatures with them.

use super::files;
use super::{Failure, bad_input};
use hv_core::audit::{BadKeyText, KeyChain, KeyKind, Note, NoteSigner, NoteVerifier, Policy, VerifierKey};
use hv_core::types::Did;
use hv_identity::{PublicKey, Signer, key_file};
use std::num::NonZeroUsize;
use std::path::Path;
use std::str::FromStr;

/// A private key that signs notes.
#[derive(Debug)]
pub(super) struct NoteKey(Signer);

impl NoteKey {
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        key_file::read(path).map(Self).map_err(|error| bad_input(&error))
    }

    /// The public key under a name.
    pub(super) fn named(&self, name: &str, kind: KeyKind) -> Result<VerifierKey, BadKeyText> {
        VerifierKey::new(name, kind, *self.0.public().as_bytes())
    }
}

impl NoteSigner for NoteKey {
    fn public(&self) -> [u8; 32] {
        *self.0.public().as_bytes()
    }

    fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        self.0.sign_note(std::str::from_utf8(message).ok()?)
    }
}

/// Checks signatures as `hv-identity` does.
#[derive(Debug)]
pub(super) struct Strict;

impl NoteVerifier for Strict {
    fn verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        PublicKey::from_bytes(key).is_ok_and(|key| key.verify(message, signature).is_ok())
    }
}

/// The public key of a log: with the log's name, or without, so that it is the key of whatever log it is asked about.
#[derive(Debug, Clone)]
pub enum KeyText {
    /// As notes have it.
    Named(VerifierKey),
    /// As a did:key, or as the private key's own file.
    Bare(PublicKey),
}

impl KeyText {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(key) = text.parse::<VerifierKey>() {
            return (key.kind() == KeyKind::Signer).then_some(Self::Named(key));
        }
        PublicKey::of(&Did::new(text).ok()?).ok().map(Self::Bare)
    }

    /// The key that signs for a log.
    pub(super) fn of_log(&self, origin: &str) -> Result<VerifierKey, BadKeyText> {
        match self {
            Self::Named(key) => Ok(key.clone()),
            Self::Bare(key) => VerifierKey::new(origin, KeyKind::Signer, *key.as_bytes()),
        }
    }
}

const NOT_A_KEY: &str =
    "neither a log's key (name+id+base64 of type 1) nor a did:key, nor a file with one of them";

impl FromStr for KeyText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(key) = Self::parse(text) {
            return Ok(key);
        }
        let path = Path::new(text);
        if !path.is_file() {
            return Err(NOT_A_KEY.to_owned());
        }
        let bytes = files::read(path).map_err(|error| error.to_string())?;
        let content = String::from_utf8_lossy(&bytes);
        if content.starts_with("-----BEGIN PRIVATE KEY-----") {
            let signer = key_file::read(path).map_err(|error| error.to_string())?;
            return Ok(Self::Bare(signer.public().clone()));
        }
        Self::parse(&content).ok_or_else(|| NOT_A_KEY.to_owned())
    }
}

/// The public key of a witness.
#[derive(Debug, Clone)]
pub struct WitnessKey(pub(super) VerifierKey);

impl FromStr for WitnessKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = Path::new(text);
        let content = match text.parse::<VerifierKey>() {
            Err(_) if path.is_file() => files::read(path).map_err(|error| error.to_string())?,
            _ => text.as_bytes().to_vec(),
        };
        let key: VerifierKey =
            String::from_utf8_lossy(&content).trim().parse().map_err(|bad: BadKeyText| bad.to_string())?;
        match key.kind() {
            KeyKind::Cosigner => Ok(Self(key)),
            KeyKind::Signer => Err("this is a log's key (type 1); a witness's has type 4".to_owned()),
        }
    }
}

/// Whose signatures count, once the files that say so were read.
#[derive(Debug)]
pub(super) struct Trust {
    pub(super) key: Option<KeyText>,
    rotations: Vec<Note>,
    pub(super) policy: Policy,
}

impl Trust {
    pub(super) fn read(args: &super::args::TrustArgs) -> Result<Self, Failure> {
        let note = |path: &std::path::PathBuf| {
            let bytes = files::read(path).map_err(|error| bad_input(&error))?;
            Note::parse(&bytes).map_err(|bad| bad_input(&format_args!("{}: {bad}", path.display())))
        };
        let rotations = args.rotation.iter().map(note).collect::<Result<_, _>>()?;
        let policy = match &args.policy {
            Some(path) => {
                let text = files::read_text(path).map_err(|error| bad_input(&error))?;
                text.parse().map_err(|bad| bad_input(&format_args!("{}: {bad}", path.display())))?
            }
            None => {
                let witnesses: Vec<VerifierKey> = args.witness.iter().map(|key| key.0.clone()).collect();
                let least = args.quorum.map_or(witnesses.len(), NonZeroUsize::get);
                Policy::least_of(least, witnesses)
                    .map_err(|bad| bad_input(&format_args!("--witness, --quorum: {bad}")))?
            }
        };
        Ok(Self { key: args.key.clone(), rotations, policy })
    }

    /// The key that signs a checkpoint of this size for a log, where one was given.
    pub(super) fn key_of(&self, origin: &str, size: u64) -> Result<Option<VerifierKey>, Failure> {
        let Some(key) = &self.key else { return Ok(None) };
        let first = key.of_log(origin).map_err(|bad| bad_input(&format_args!("--key: {bad}")))?;
        let mut chain = KeyChain::new(first);
        for note in &self.rotations {
            chain.rotate(note, &Strict).map_err(|bad| bad_input(&format_args!("--rotation: {bad}")))?;
        }
        Ok(chain.at(size).cloned())
    }
}

impl Trust {
    /// The same witnesses, and this key.
    pub(super) fn of_key(key: VerifierKey, other: &Self) -> Self {
        Self { key: Some(KeyText::Named(key)), rotations: Vec::new(), policy: other.policy.clone() }
    }
}
