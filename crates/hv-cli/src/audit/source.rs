//! A trail that something is to be proven about, and the checkpoint that a proof leads to.

use super::args::SignedArgs;
use super::keys::NoteKey;
use super::{Failure, NoTrail, bad_input, failed, files, look};
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{
    Checkpoint, Entry, Finding, KeyKind, Note, Report, StreamNo, Transcript, Verdict, VerifierKey,
};
use std::path::Path;

/// Reads and verifies a trail. One that was tampered with is refused: nothing is signed or proven about it.
pub(super) fn read(
    data: &Path,
    keep: &mut dyn FnMut(&Entry<'_>) -> bool,
) -> Result<(Report, Transcript), Failure> {
    look(data)?;
    let (report, read) = Transcript::read_on(&RealDisk, data, keep).map_err(NoTrail::from)?;
    match &report.verdict {
        Verdict::Tampered(finding) => Err(tampered(data, finding)),
        Verdict::Complete | Verdict::Open(_) => Ok((report, read)),
    }
}

/// The failure that a trail is not what was written.
pub(super) fn tampered(data: &Path, finding: &Finding) -> Failure {
    failed(&format_args!("{}: the trail was tampered with: {finding}", data.display()))
}

/// The stream of a session; of several of that name the last.
pub(super) fn session(read: &Transcript, data: &Path, name: &str) -> Result<StreamNo, Failure> {
    let found = read.streams().filter(|(no, label)| *no >= StreamNo::FIRST_SESSION && *label == name).last();
    found.map(|(no, _)| no).ok_or_else(|| {
        bad_input(&format_args!(
            "{}: there is no session {name}; `hv audit stats` lists those that there are",
            data.display()
        ))
    })
}

/// A checkpoint as a proof ends with it.
#[derive(Debug)]
pub(super) struct Leading {
    pub(super) checkpoint: Checkpoint,
    pub(super) note: Note,
    /// The key that signed it, where it was signed now.
    pub(super) key: Option<VerifierKey>,
}

impl Leading {
    /// The checkpoint that is there, which must be one of this trail; or one that is signed now.
    pub(super) fn to(read: &Transcript, args: &SignedArgs) -> Result<Self, Failure> {
        match (&args.checkpoint, &args.key) {
            (Some(path), _) => {
                let said =
                    |bad: &dyn std::fmt::Display| bad_input(&format_args!("{}: {bad}", path.display()));
                let note =
                    Note::parse(&files::read(path).map_err(|e| bad_input(&e))?).map_err(|bad| said(&bad))?;
                let checkpoint = Checkpoint::parse(note.text()).map_err(|bad| said(&bad))?;
                match read.root(checkpoint.size) {
                    Ok(root) if root == checkpoint.root => Ok(Self { checkpoint, note, key: None }),
                    _ => Err(failed(&format_args!(
                        "{}: this is no checkpoint of this trail, or the trail was rewritten since; see hv audit verify --mark",
                        path.display()
                    ))),
                }
            }
            (None, Some(path)) => Self::sign(read, &NoteKey::read(path)?, args.origin.as_deref()),
            (None, None) => Err(bad_input(&"give --checkpoint or --key")),
        }
    }

    /// A checkpoint of the whole trail, signed now.
    pub(super) fn sign(read: &Transcript, signer: &NoteKey, origin: Option<&str>) -> Result<Self, Failure> {
        let origin = origin.map_or_else(|| read.origin(), str::to_owned);
        let key = signer.named(&origin, KeyKind::Signer);
        let key = key.map_err(|bad| bad_input(&format_args!("--origin: {bad}")))?;
        let checkpoint = read.checkpoint(&origin, read.size()).map_err(|bad| bad_input(&bad))?;
        Self::signed(checkpoint, key, signer)
    }

    /// The same of a trail that goes on, where it says where every open stream ends.
    pub(super) fn mark(read: &Transcript, signer: &NoteKey, origin: Option<&str>) -> Result<Self, Failure> {
        let origin = origin.map_or_else(|| read.origin(), str::to_owned);
        let key = signer.named(&origin, KeyKind::Signer);
        let key = key.map_err(|bad| bad_input(&format_args!("--origin: {bad}")))?;
        Self::signed(read.mark(&origin).map_err(|bad| bad_input(&bad))?, key, signer)
    }

    fn signed(checkpoint: Checkpoint, key: VerifierKey, signer: &NoteKey) -> Result<Self, Failure> {
        let note = checkpoint.sign(&key, signer).map_err(|bad| failed(&bad))?;
        Ok(Self { checkpoint, note, key: Some(key) })
    }
}
