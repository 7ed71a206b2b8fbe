//! The arguments of `hv vfs`.

use crate::session::args::At;
use clap::{Args, Subcommand};
use hv_core::AclRule;
use hv_core::session::{Expect, Revision, Rights, SnapshotName};
use hv_core::types::{BadIdent, Did};
use std::path::PathBuf;

/// Arguments of `hv vfs`.
#[derive(Debug, Args)]
#[command(after_help = "\
Files of a session are kept with every version, with who made it, and with who
may do what. Reading is open to members, changing needs Ring 2; what a path's
ACL forbids is denied to everybody but its owner.

Example:
  hv vfs write --data trail --agent did:mesh:a plan.md < plan.md
  hv vfs snapshot --data trail --agent did:mesh:a before
  hv vfs restore --data trail --agent did:mesh:a --snapshot before

Exit codes: 0 done, 1 hv failed, 2 bad input or no such file, 5 denied")]
pub struct VfsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: VfsCommand,
}

/// What `hv vfs` can do.
#[derive(Debug, Subcommand)]
pub enum VfsCommand {
    /// List files
    Ls(LsArgs),
    /// Print the content of a file, as it is or as it was
    Cat(CatArgs),
    /// Give a file a new content; makes it where there is none
    Write(WriteArgs),
    /// Delete a file; its versions stay
    Rm(RmArgs),
    /// Give a file another path
    Mv(MvArgs),
    /// Print what is remembered of a path, the oldest first
    Log(PathArgs),
    /// Print what differs between two snapshots, or between one and now
    Diff(DiffArgs),
    /// Take a snapshot, list snapshots, or drop one
    Snapshot(SnapshotArgs),
    /// Make an earlier version the newest, or all files what they were at a snapshot
    Restore(RestoreArgs),
    /// Print or set who may do what with a file
    Acl(AclArgs),
    /// Write the files of a folder into the session
    Import(ImportArgs),
    /// Write the files of the session into a new folder
    Export(ExportArgs),
}

/// Who works on the files of which session.
#[derive(Debug, Args)]
pub struct As {
    /// Which session.
    #[command(flatten)]
    pub at: At,
    /// Who
    #[arg(long, value_name = "DID")]
    pub agent: Did,
}

/// Arguments of `hv vfs ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Who.
    #[command(flatten)]
    pub by: As,
    /// Only what is below this folder
    #[arg(value_name = "PATH")]
    pub path: Option<String>,
}

/// A path.
#[derive(Debug, Args)]
pub struct PathArgs {
    /// Who.
    #[command(flatten)]
    pub by: As,
    /// The path, relative or from /sessions/ID/
    #[arg(value_name = "PATH")]
    pub path: String,
}

/// Arguments of `hv vfs cat`.
#[derive(Debug, Args)]
pub struct CatArgs {
    /// Which file.
    #[command(flatten)]
    pub of: PathArgs,
    /// As of this version; `hv vfs log` numbers them
    #[arg(long, value_name = "N", value_parser = revision, conflicts_with = "snapshot")]
    pub revision: Option<Revision>,
    /// As of this snapshot
    #[arg(long, value_name = "NAME", value_parser = snapshot)]
    pub snapshot: Option<SnapshotName>,
}

/// Arguments of `hv vfs write`.
#[derive(Debug, Args)]
pub struct WriteArgs {
    /// Which file.
    #[command(flatten)]
    pub of: PathArgs,
    /// The content [default: what comes on stdin]
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// What you take to be there: any, absent, present, or a version
    #[arg(long, value_name = "WHAT", value_parser = expect, default_value = "any")]
    pub expect: Expect,
}

/// Arguments of `hv vfs rm`.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Which file.
    #[command(flatten)]
    pub of: PathArgs,
    /// What you take to be there: any, present, or a version
    #[arg(long, value_name = "WHAT", value_parser = expect, default_value = "any")]
    pub expect: Expect,
}

/// Arguments of `hv vfs mv`.
#[derive(Debug, Args)]
pub struct MvArgs {
    /// Which file.
    #[command(flatten)]
    pub of: PathArgs,
    /// The new path
    #[arg(value_name = "TO")]
    pub to: String,
}

/// Arguments of `hv vfs diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Who.
    #[command(flatten)]
    pub by: As,
    /// The earlier snapshot
    #[arg(value_name = "FROM", value_parser = snapshot)]
    pub from: SnapshotName,
    /// The later snapshot [default: now]
    #[arg(value_name = "TO", value_parser = snapshot)]
    pub to: Option<SnapshotName>,
}

/// Arguments of `hv vfs snapshot`.
#[derive(Debug, Args)]
pub struct SnapshotArgs {
    /// Who.
    #[command(flatten)]
    pub by: As,
    /// Its name [default: snap- and its number]
    #[arg(value_name = "NAME", value_parser = snapshot)]
    pub name: Option<SnapshotName>,
    /// List the snapshots instead
    #[arg(long, conflicts_with_all = ["name", "drop"])]
    pub list: bool,
    /// Forget the snapshot of this name instead
    #[arg(long, requires = "name")]
    pub drop: bool,
}

/// Arguments of `hv vfs restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// Who.
    #[command(flatten)]
    pub by: As,
    /// The path of one file
    #[arg(value_name = "PATH", requires = "revision", required_unless_present = "snapshot")]
    pub path: Option<String>,
    /// Which version of it
    #[arg(long, value_name = "N", value_parser = revision, requires = "path")]
    pub revision: Option<Revision>,
    /// All files, as of this snapshot
    #[arg(long, value_name = "NAME", value_parser = snapshot, conflicts_with = "path")]
    pub snapshot: Option<SnapshotName>,
}

/// Arguments of `hv vfs acl`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --allow, --deny, --close and --clear: prints the list. The list that is
set replaces the one before; a denial wins, whomever it names, and the owner may
always do everything.

Examples:
  hv vfs acl --data trail --agent did:mesh:a plan.md --allow everyone=read --allow did:mesh:b=read,write
  hv vfs acl --data trail --agent did:mesh:a plan.md --deny did:mesh:b=delete --allow everyone=all
  hv vfs acl --data trail --agent did:mesh:a plan.md --clear")]
pub struct AclArgs {
    /// Which file.
    #[command(flatten)]
    pub of: PathArgs,
    /// What somebody may do: read, write, delete, share, all
    #[arg(long, value_name = "WHO=RIGHTS", value_parser = allowed)]
    pub allow: Vec<AclRule>,
    /// What somebody must not do
    #[arg(long, value_name = "WHO=RIGHTS", value_parser = denied)]
    pub deny: Vec<AclRule>,
    /// Nobody but the owner may do anything
    #[arg(long, conflicts_with_all = ["allow", "deny", "clear"])]
    pub close: bool,
    /// Open it to all members again
    #[arg(long, conflicts_with_all = ["allow", "deny"])]
    pub clear: bool,
}

/// Arguments of `hv vfs import`.
#[derive(Debug, Args)]
#[command(
    after_help = "Only files and folders are taken; what else there is, such as a link, is named and left out, and so are the
folder of a trail and a file whose name no path of a session can have, such as one with a line break or a backslash."
)]
pub struct ImportArgs {
    /// Who.
    #[command(flatten)]
    pub by: As,
    /// The folder
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The folder of the session below which they go
    #[arg(long, value_name = "PATH")]
    pub to: Option<String>,
}

/// Arguments of `hv vfs export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Who.
    #[command(flatten)]
    pub by: As,
    /// The folder; it must not be there, or be empty
    #[arg(value_name = "DIR", value_parser = crate::outside::parser())]
    pub folder: PathBuf,
}

fn revision(text: &str) -> Result<Revision, std::num::ParseIntError> {
    text.strip_prefix('r').unwrap_or(text).parse().map(Revision)
}

fn snapshot(text: &str) -> Result<SnapshotName, BadIdent> {
    SnapshotName::new(text)
}

fn expect(text: &str) -> Result<Expect, String> {
    match text {
        "any" => Ok(Expect::Any),
        "absent" => Ok(Expect::Absent),
        "present" => Ok(Expect::Present),
        number => revision(number)
            .map(Expect::Revision)
            .map_err(|_| "any, absent, present, or a version such as r3".into()),
    }
}

fn allowed(text: &str) -> Result<AclRule, String> {
    let (who, rights) = rule(text)?;
    Ok(AclRule { who, allow: rights, deny: Rights::NONE })
}

fn denied(text: &str) -> Result<AclRule, String> {
    let (who, rights) = rule(text)?;
    Ok(AclRule { who, allow: Rights::NONE, deny: rights })
}

fn rule(text: &str) -> Result<(Option<Did>, Rights), String> {
    let (who, rights) = text.split_once('=').ok_or("no WHO=RIGHTS, such as everyone=read")?;
    let who = match who {
        "everyone" => None,
        did => Some(Did::new(did).map_err(|bad| bad.to_string())?),
    };
    let one = |right: &str| match right {
        "read" => Ok(Rights::READ),
        "write" => Ok(Rights::WRITE),
        "delete" => Ok(Rights::DELETE),
        "share" => Ok(Rights::SHARE),
        "all" => Ok(Rights::ALL),
        _ => Err(format!("`{right}` is no right; they are read, write, delete, share and all")),
    };
    let rights =
        rights.split(',').map(one).try_fold(Rights::NONE, |sum, right| Ok::<_, String>(sum.and(right?)))?;
    Ok((who, rights))
}
