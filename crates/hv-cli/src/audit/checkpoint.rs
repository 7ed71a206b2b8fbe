//! `hv audit checkpoint`: what is kept outside the folder.

use super::args::CheckpointArgs;
use super::keys::{NoteKey, Strict};
use super::source::{self, Leading};
use super::{Failure, bad_input, failed, files};
use crate::Exit;
use crate::output::{self, counted};
use hv_core::audit::{Checkpoint, Ends, KeyKind, Log, Lsn, Note, Report, Rotation, Transcript};
use hv_core::types::Digest;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What was signed.
#[derive(Debug, Serialize)]
struct Document {
    origin: String,
    size: u64,
    root: Digest,
    /// The last batch up to which the checkpoint speaks for everything.
    up_to: u64,
    /// The last batch of the trail.
    end: u64,
    /// The public key, to be told to whoever verifies.
    key: String,
    note: String,
    mark: Option<PathBuf>,
    rotation: Option<PathBuf>,
}

/// Signs a checkpoint, and keeps it where it was asked for.
pub(super) fn run(args: &CheckpointArgs) -> Result<Exit, Failure> {
    let (report, read) = source::read(&args.trail.data, &mut |_| false)?;
    let signer = NoteKey::read(&args.key)?;
    let before = args.mark.as_deref().map(read_mark).transpose()?.flatten();
    let origin = args.origin.clone().or_else(|| before.as_ref().map(|(_, mark)| mark.origin.clone()));
    let leading = Leading::mark(&read, &signer, origin.as_deref())?;
    let mut rotation = None;
    let mut note = leading.note.clone();
    if let (Some(path), Some((old, mark))) = (&args.mark, &before) {
        let by = args.rotate_from.as_deref().unwrap_or(&args.key);
        continue_mark(&args.trail.data, by, &read, (path, old, mark), &leading)?;
        rotation = rotate(args, path, mark, &leading, &signer)?;
        if *mark == leading.checkpoint && rotation.is_none() {
            // The same once more: its cosignatures stay.
            note = old.clone();
        }
    }
    if let Some(path) = &args.mark {
        keep(path, &read, &leading.checkpoint, &note)?;
    }
    let document = Document::of(&report, &read, &leading, &note, args, rotation);
    tell(&document, args)
}

/// Keeps a mark, and what helps to tell which record was changed.
fn keep(path: &Path, read: &Transcript, checkpoint: &Checkpoint, note: &Note) -> Result<(), Failure> {
    let prints = read.prints(checkpoint.size, Ends::of_lines(&checkpoint.extension));
    let prints = prints.map_err(|no| failed(&no))?;
    files::replace(&prints_of(path), &prints.to_file()).map_err(|error| error.failure())?;
    files::replace(path, note.to_string().as_bytes()).map_err(|error| error.failure())
}

/// Keeps the mark of a trail that goes on.
#[derive(Debug)]
pub(crate) struct Marker {
    path: PathBuf,
    key: PathBuf,
    signer: NoteKey,
    data: PathBuf,
}

impl Marker {
    /// Signs the trail in `data` with a key, into a file that lies outside it.
    ///
    /// # Errors
    /// Why that cannot be, in a sentence.
    pub(crate) fn new(path: &Path, key: &Path, data: &Path) -> Result<Self, String> {
        let signer = NoteKey::read(key).map_err(Failure::sentence)?;
        read_mark(path).map_err(Failure::sentence)?;
        files::try_replace(path).map_err(|error| error.failure().sentence())?;
        Ok(Self { path: path.to_owned(), key: key.to_owned(), signer, data: data.to_owned() })
    }

    /// Where the mark is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Signs everything that is durable now; gives the last batch of it. Reads all of the log.
    ///
    /// # Errors
    /// Why there is no new mark, in a sentence; the one before stays.
    pub(crate) fn mark(&self, log: &dyn Log) -> Result<Lsn, String> {
        let read = Transcript::of(log, &mut |_| false).map_err(|error| error.to_string())?;
        self.sign(&read).map_err(Failure::sentence)?;
        Ok(read.last())
    }

    fn sign(&self, read: &Transcript) -> Result<(), Failure> {
        let before = read_mark(&self.path)?;
        let origin = before.as_ref().map(|(_, mark)| mark.origin.clone());
        let leading = Leading::mark(read, &self.signer, origin.as_deref())?;
        if let Some((old, mark)) = &before {
            continue_mark(&self.data, &self.key, read, (&self.path, old, mark), &leading)?;
            if *mark == leading.checkpoint {
                return Ok(());
            }
        }
        keep(&self.path, read, &leading.checkpoint, &leading.note)
    }
}

/// The file that helps to tell which record was changed.
pub(super) fn prints_of(mark: &Path) -> PathBuf {
    let name = mark.file_name().unwrap_or_default().to_string_lossy();
    mark.with_file_name(format!("{name}.prints"))
}

/// The mark that is there; `None` where there is none yet.
fn read_mark(path: &Path) -> Result<Option<(Note, Checkpoint)>, Failure> {
    if !path.exists() {
        return Ok(None);
    }
    let said = |bad: &dyn std::fmt::Display| {
        bad_input(&format_args!("{}: no mark, and it is not overwritten: {bad}", path.display()))
    };
    let note = Note::parse(&files::read(path).map_err(|e| bad_input(&e))?).map_err(|bad| said(&bad))?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|bad| said(&bad))?;
    Ok(Some((note, checkpoint)))
}

/// Checks that what is signed now continues the mark that is there; otherwise keeps what shows that it does not.
fn continue_mark(
    data: &Path,
    by: &Path,
    read: &Transcript,
    (path, old, mark): (&Path, &Note, &Checkpoint),
    leading: &Leading,
) -> Result<(), Failure> {
    if mark.origin != leading.checkpoint.origin {
        return Err(bad_input(&format_args!(
            "{}: this is the mark of {}, not of {}; name another file",
            path.display(),
            mark.origin,
            leading.checkpoint.origin
        )));
    }
    // The mark is believed only where this log's key signed it: otherwise a forged one could stop the log.
    let key = NoteKey::read(by)?.named(&mark.origin, KeyKind::Signer).map_err(|bad| bad_input(&bad))?;
    Checkpoint::open(old, &[key], &Strict).map_err(|bad| {
        bad_input(&format_args!("{}: {bad}; give the key that did with --rotate-from", path.display()))
    })?;
    let what = match read.root(mark.size) {
        Ok(root) if root == mark.root => return Ok(()),
        Ok(_) => "rewritten",
        Err(_) => "rolled back",
    };
    let found = &leading.checkpoint;
    let evidence = format!("{old}\nfound in {}, not signed:\n{found}", data.display());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let kept = files::create_numbered(&path.with_file_name(format!("{name}.evidence")), evidence.as_bytes());
    let kept = kept.map_err(|error| error.failure())?;
    Err(failed(&format_args!(
        "{}: the trail was {what} since {} was signed, so nothing is signed; what shows it is in {}; see hv audit verify --mark",
        data.display(),
        path.display(),
        kept.display()
    )))
}

/// Lets both keys sign that the new one replaces the old, where that is asked for and not said yet.
fn rotate(
    args: &CheckpointArgs,
    path: &Path,
    mark: &Checkpoint,
    leading: &Leading,
    signer: &NoteKey,
) -> Result<Option<PathBuf>, Failure> {
    let (Some(from), Some(key)) = (&args.rotate_from, &leading.key) else { return Ok(None) };
    let last = NoteKey::read(from)?;
    let last_key = last.named(&mark.origin, KeyKind::Signer).map_err(|bad| bad_input(&bad))?;
    let rotation = Rotation { to: key.clone(), from: leading.checkpoint.size };
    let note = rotation.sign((&last_key, &last), signer).map_err(|bad| bad_input(&bad))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let kept =
        files::create_numbered(&path.with_file_name(format!("{name}.rotation")), note.to_string().as_bytes());
    kept.map(Some).map_err(|error| error.failure())
}

impl Document {
    fn of(
        report: &Report,
        read: &Transcript,
        leading: &Leading,
        note: &Note,
        args: &CheckpointArgs,
        rotation: Option<PathBuf>,
    ) -> Self {
        let Checkpoint { origin, size, root, .. } = leading.checkpoint.clone();
        let key = leading.key.as_ref().map(ToString::to_string).unwrap_or_default();
        let ends = Ends::of_lines(&leading.checkpoint.extension).map_or(0, |ends| ends.lsn.0);
        let (up_to, end) = (read.reach(size).0.max(ends), report.level.lsn.0);
        Self {
            origin,
            size,
            root,
            up_to,
            end,
            key,
            note: note.to_string(),
            mark: args.mark.clone(),
            rotation,
        }
    }
}

fn tell(document: &Document, args: &CheckpointArgs) -> Result<Exit, Failure> {
    let Document { up_to, end, key, .. } = document;
    if args.trail.json {
        output::json(document)?;
    } else {
        if args.mark.is_none() {
            output::print(&document.note)?;
        } else {
            output::print(&format_args!(
                "signed: {}, speaking for everything up to batch {up_to} of {end}\n  key  {key}\n",
                counted(document.size, "entry")
            ))?;
            if let Some(path) = &document.rotation {
                output::print(&format_args!("  rotation  {}\n", path.display()))?;
            }
        }
    }
    Ok(Exit::Done)
}
