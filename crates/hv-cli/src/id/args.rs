//! The arguments of `hv id`.

use crate::plan::{BadDuration, read_duration};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use hv_identity::{Did, Kind, PublicKey};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `hv id`.
#[derive(Debug, Args)]
pub struct IdArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: IdCommand,
}

/// What `hv id` can do.
#[derive(Debug, Subcommand)]
pub enum IdCommand {
    /// Make a private key in a new file that only its owner can read, and print its did:key
    #[command(after_help = "\
The key is PKCS #8 in PEM, mode 0600. A file that is there is left as it is.

Example:
  hv id new --key ~/.config/hv/alpha.key

Exit codes: 0 made, 2 the file cannot be made")]
    New(KeyArgs),
    /// Print the did:key of a private key
    #[command(after_help = "\
Example:
  hv id show --key ~/.config/hv/alpha.key

Exit codes: 0 printed, 2 the file cannot be used (others than its owner can read it, or it is no key)")]
    Show(KeyArgs),
    /// Sign a statement, and print its envelope
    Sign(SignArgs),
    /// Say whether an envelope counts, who signed it, and what it says
    Verify(VerifyArgs),
}

/// A private key.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// The file of the private key
    #[arg(long, value_name = "FILE", value_parser = crate::outside::parser())]
    pub key: PathBuf,
}

/// Arguments of `hv id sign`.
#[derive(Debug, Args)]
#[command(after_help = SIGN_HELP)]
pub struct SignArgs {
    /// The file of the private key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// What sort of statement it is
    #[arg(long = "type", value_name = "TYPE", value_parser = kinds())]
    pub kind: Kind,
    /// The node that it is for
    #[arg(long, value_name = "DID")]
    pub audience: Did,
    /// How long it counts, such as 10m; at most 7d
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub deadline: Duration,
    /// Who says it, where the key is bound to another DID than its own [default: the key's did:key]
    #[arg(long = "as", value_name = "DID")]
    pub signer: Option<Did>,
    /// A second key that signs too: the new one of a rotation
    #[arg(long, value_name = "FILE")]
    pub cosign: Option<PathBuf>,
    /// What is said, as JSON; - for stdin
    pub file: PathBuf,
}

const SIGN_HELP: &str = "\
The file says what is said, and nothing else; who says it, to whom, until when
and under which nonce is added:
  join      {\"session\": \"release\"}
  vouch     {\"session\": \"release\", \"vouchee\": \"did:mesh:beta\", \"stake\": \"0.16\"}
  release   {\"session\": \"release\", \"vouchee\": \"did:mesh:beta\"}
  vote      {\"verdict\": \"for\", \"call\": CALL}
  witness   {\"call\": CALL}
  intent    {\"call\": CALL, \"on_behalf_of\": \"did:mesh:boss\"}
  evidence  {\"about\": \"did:mesh:beta\", \"finding\": \"violation\", \"fault\": \"1\",
             \"happened\": \"2026-01-31T12:00:00Z\", \"evidence\": DIGEST}
            and where known \"session\", \"class\" (full, partial, none), \"risk\"
  bind      {\"key\": \"did:key:z6Mk…\", \"from\": TIME, \"until\": TIME}
  rotate    the same; with --cosign and the file of the new key
  revoke    {}
CALL is {\"session\": …, \"agent\": DID, \"action\": …, \"params\": DIGEST, \"deadline\": TIME}.
Most files need not be written by hand: `hv call` prints what a vote or a witness
signs, `hv intent --ask` an intent, and --ask of other commands what they need.

Example:
  hv id sign --key human.key --type witness --audience did:mesh:node --deadline 10m call.json

Exit codes: 0 signed, 2 bad input";

/// Arguments of `hv id verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --audience it may be for any node, without --did by anybody; both are
printed. Whether it was used before only the node knows.

Example:
  hv id verify --audience did:mesh:node --did did:key:z6Mk… witness.json

Exit codes: 0 it counts now, 1 it does not (and why), 2 bad input")]
pub struct VerifyArgs {
    /// Who must have signed it
    #[arg(long, value_name = "DID")]
    pub did: Option<Did>,
    /// The key that --did is bound to, as did:key, where that is not its own name
    #[arg(long, value_name = "DID", value_parser = public_key, requires = "did")]
    pub bound_to: Option<PublicKey>,
    /// The node that it must be for
    #[arg(long, value_name = "DID")]
    pub audience: Option<Did>,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// The envelope; - for stdin
    pub file: PathBuf,
}

fn kinds() -> impl TypedValueParser<Value = Kind> {
    let find = |name: String| Kind::ALL.iter().copied().find(|kind| kind.name() == name).ok_or(NoSuchKind);
    PossibleValuesParser::new(Kind::ALL.iter().map(|kind| kind.name())).try_map(find)
}

/// Never seen: clap refuses what is not among the possible values.
#[derive(Debug)]
struct NoSuchKind;

impl fmt::Display for NoSuchKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such type of statement")
    }
}

impl std::error::Error for NoSuchKind {}

/// A time such as `30s`, `10m` or `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    read_duration(text).map_err(|bad| match bad {
        BadDuration::TooLong(_) => "longer than can be told; at most 7d".to_owned(),
        _ => "not a number with its unit, such as 30s, 10m, 1h or 7d".to_owned(),
    })
}

fn public_key(text: &str) -> Result<PublicKey, String> {
    let did = Did::new(text).map_err(|bad| bad.to_string())?;
    PublicKey::of(&did).map_err(|bad| bad.to_string())
}
