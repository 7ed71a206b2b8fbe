//! `hv id`: private keys, and statements that are signed with them.

pub mod args;

mod told;

use crate::Exit;
use crate::output::{self, Refused};
use crate::plan::cause;
use args::{IdArgs, IdCommand, KeyArgs, SignArgs, VerifyArgs};
use hv_core::{Clock, SystemClock};
use hv_identity::key_file::{self, KeyFileError};
use hv_identity::{
    Content, Did, DidKey, ENVELOPE_MAX_BYTES, Envelope, KeyFault, Kind, MAX_VALIDITY, Malformed, Opened,
    PAYLOAD_MAX_BYTES, PublicKey, Refusal, Resolver, Signer, Statement, Timestamp, open,
};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use told::Verdict;
use zeroize::Zeroizing;

/// Makes or shows a key, signs a statement or verifies one.
///
/// # Errors
/// [`Refused::Output`] where stdout does not take what is printed, [`Refused::Id`] for everything else.
pub fn run(args: &IdArgs) -> Result<Exit, Refused> {
    match &args.command {
        IdCommand::New(args) => output::print(&format_args!("{}\n", new(args)?))?,
        IdCommand::Show(KeyArgs { key }) => {
            let signer = key_file::read(key).map_err(IdFailure::KeyFile)?;
            output::print(&format_args!("{}\n", signer.did()))?;
        }
        IdCommand::Sign(args) => output::print(&format_args!("{}\n", sign(args)?.to_json()))?,
        IdCommand::Verify(args) => return verify(args),
    }
    Ok(Exit::Done)
}

/// Why `hv id` did not do what it was asked. Nothing of a private key is ever in it.
#[derive(Debug)]
pub enum IdFailure {
    /// The file of a private key cannot be used.
    KeyFile(KeyFileError),
    /// The operating system gives no random bytes.
    Random(getrandom::Error),
    /// A file, or stdin, cannot be read.
    Unreadable {
        /// Which, as it was named.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The text is not what a statement of this kind says.
    Content {
        /// The file.
        file: PathBuf,
        /// The kind.
        kind: Kind,
        /// Where, and in what way.
        malformed: Malformed,
    },
    /// The text has more bytes than a statement may have.
    TooLong {
        /// The file.
        file: PathBuf,
    },
    /// The statement would never count.
    Pointless(Refusal),
    /// It would count longer than a statement may.
    TooFarAhead,
    /// A rotation is signed with two keys, everything else with one.
    Cosigner {
        /// What is signed.
        kind: Kind,
    },
    /// A `did:key` is its own key, and no other can be bound to it.
    OwnKey {
        /// The name.
        did: Did,
    },
}

impl IdFailure {
    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Random(_) => Exit::Failed,
            _ => Exit::BadInput,
        }
    }
}

impl fmt::Display for IdFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hv: ")?;
        match self {
            Self::KeyFile(error) => error.fmt(f),
            Self::Random(error) => write!(f, "the operating system gives no random bytes: {error}"),
            Self::Unreadable { file, error } => {
                write!(f, "{}: it cannot be read: {}; check the path", file.display(), cause(error.kind()))
            }
            Self::Content { file, kind, malformed } => {
                write!(f, "{}: no `{kind}`: {malformed}; see hv id sign --help", file.display())
            }
            Self::TooLong { file } => {
                write!(
                    f,
                    "{}: more than {PAYLOAD_MAX_BYTES} bytes, more than a statement has",
                    file.display()
                )
            }
            Self::Pointless(Refusal::SignerMismatch { signer, by }) => {
                write!(f, "{by} cannot speak for {signer}; sign with its key, or let the call be its own")
            }
            Self::Pointless(refusal) => refusal.fmt(f),
            Self::TooFarAhead => {
                write!(f, "--deadline: a statement counts for at most {} s", MAX_VALIDITY.as_secs())
            }
            Self::Cosigner { kind: Kind::Rotate } => {
                f.write_str("a rotation is signed by the new key too; give its file with --cosign")
            }
            Self::Cosigner { kind } => {
                write!(f, "a statement of type `{kind}` is signed with one key; leave --cosign out")
            }
            Self::OwnKey { did } => {
                write!(
                    f,
                    "--bound-to: {did} is its own key, and no other is bound to it; leave --bound-to out"
                )
            }
        }
    }
}

impl std::error::Error for IdFailure {}

impl From<IdFailure> for Refused {
    fn from(failure: IdFailure) -> Self {
        Self::Id(Box::new(failure))
    }
}

fn new(args: &KeyArgs) -> Result<Did, IdFailure> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(IdFailure::Random)?;
    let signer = Signer::new(&seed).map_err(|_| IdFailure::Random(getrandom::Error::UNEXPECTED))?;
    key_file::create(&args.key, &signer).map_err(IdFailure::KeyFile)?;
    Ok(signer.did().clone())
}

fn sign(args: &SignArgs) -> Result<Envelope, IdFailure> {
    if (args.kind == Kind::Rotate) != args.cosign.is_some() {
        return Err(IdFailure::Cosigner { kind: args.kind });
    }
    if args.deadline > MAX_VALIDITY {
        return Err(IdFailure::TooFarAhead);
    }
    let signer = key_file::read(&args.key).map_err(IdFailure::KeyFile)?;
    let file = || args.file.clone();
    let text = read(&args.file, PAYLOAD_MAX_BYTES)?;
    if text.len() > PAYLOAD_MAX_BYTES {
        return Err(IdFailure::TooLong { file: file() });
    }
    let content = Content::from_json(args.kind, &text);
    let content =
        content.map_err(|malformed| IdFailure::Content { file: file(), kind: args.kind, malformed })?;
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(IdFailure::Random)?;
    let statement = Statement {
        audience: args.audience.clone(),
        signer: args.signer.clone().unwrap_or_else(|| signer.did().clone()),
        nonce,
        deadline: SystemClock.now().after(args.deadline),
        content,
    };
    let envelope = statement.seal(&signer).map_err(IdFailure::Pointless)?;
    match &args.cosign {
        None => Ok(envelope),
        Some(file) => {
            let new = key_file::read(file).map_err(IdFailure::KeyFile)?;
            envelope.cosign(&new).map_err(IdFailure::Pointless)
        }
    }
}

fn verify(args: &VerifyArgs) -> Result<Exit, Refused> {
    if let (Some(did), Some(bound)) = (&args.did, &args.bound_to)
        && PublicKey::of(did).is_ok_and(|own| own != *bound)
    {
        return Err(IdFailure::OwnKey { did: did.clone() }.into());
    }
    let text = read(&args.file, ENVELOPE_MAX_BYTES)?;
    let verdict = match judge(args, &text, SystemClock.now()) {
        Ok(opened) => match &args.did {
            Some(did) if *did != opened.statement().signer => Verdict::of_another(&opened, did),
            _ => Verdict::of(&opened),
        },
        Err(refusal) => Verdict::against(&refusal),
    };
    output::document(&verdict, args.json)?;
    Ok(if verdict.valid { Exit::Done } else { Exit::Failed })
}

/// Opens the envelope for whom it says it is for, unless that is given.
fn judge(args: &VerifyArgs, text: &[u8], now: Timestamp) -> Result<Opened, Refusal> {
    let envelope = Envelope::from_json(text)?;
    let kind = Kind::of_payload_type(envelope.payload_type()).ok_or(Refusal::PayloadType)?;
    let Statement { audience, .. } = Statement::from_payload(kind, envelope.payload())?;
    let keys = Pinned(args.did.as_ref().zip(args.bound_to.as_ref()));
    open(&envelope, &keys, args.audience.as_ref().unwrap_or(&audience), now)
}

/// Knows the key that was given for a DID, and those that are their own names.
struct Pinned<'a>(Option<(&'a Did, &'a PublicKey)>);

impl Resolver for Pinned<'_> {
    fn key(&self, did: &Did, at: Timestamp) -> Result<PublicKey, KeyFault> {
        match self.0 {
            Some((known, key)) if known == did => Ok(key.clone()),
            _ => DidKey.key(did, at),
        }
    }
}

/// Reads a file or stdin, one byte further than `limit` at most, so that the reader sees that it is too long.
fn read(file: &Path, limit: usize) -> Result<Vec<u8>, IdFailure> {
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = Vec::new();
    let done = if file == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut text)
    } else {
        File::open(file).and_then(|file| file.take(limit).read_to_end(&mut text))
    };
    done.map_err(|error| IdFailure::Unreadable { file: file.to_owned(), error })?;
    Ok(text)
}
