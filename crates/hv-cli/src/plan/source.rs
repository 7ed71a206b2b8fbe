//! The text of a session file, and where it came from.

use super::fault::{Fault, Format, Located, PlanError};
use super::tree::{Lines, Node};
use super::{json, toml};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The size limit of a session file: 1 MiB.
pub const MAX_FILE_BYTES: u64 = 1 << 20;
/// The size limit of an agent's manifest: 1 MiB.
pub const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// A session file as text, with what its meaning depends on: its folder and its format.
///
/// What was recorded of one run is enough to make it again: [`Source::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: String,
    folder: String,
    format: Format,
    text: String,
}

impl Source {
    /// A session file from its parts: the path as it is shown, the absolute path of its folder, format, text.
    #[must_use]
    pub fn new(name: &str, folder: &str, format: Format, text: &str) -> Self {
        Self { name: name.into(), folder: folder.into(), format, text: text.into() }
    }

    /// Reads a session file. The format follows from the extension, or else from the first character.
    ///
    /// # Errors
    /// [`PlanError`] where it cannot be read, is larger than [`MAX_FILE_BYTES`] or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let name = path.display().to_string();
        let error = |line, fault| PlanError { file: name.clone(), line, fault };
        let bytes = read_bounded(path, MAX_FILE_BYTES).map_err(|why| {
            error(
                None,
                match why {
                    ReadProblem::Io(kind) => Fault::Unreadable(kind),
                    ReadProblem::NotAFile => Fault::NotAFile,
                    ReadProblem::TooLarge => Fault::TooLarge,
                },
            )
        })?;
        let folder = path.canonicalize().map_err(|e| error(None, Fault::Unreadable(e.kind())))?;
        let folder = folder.parent().unwrap_or(Path::new("/")).to_str();
        let folder = folder.ok_or_else(|| error(None, Fault::PathNotUtf8))?;
        let lines = Lines::of(&bytes);
        let text = String::from_utf8(bytes).map_err(|e| {
            let offset = e.utf8_error().valid_up_to();
            error(Some(lines.at(offset)), Fault::NotUtf8 { offset })
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        Ok(Self::new(&name, folder, format(path, text), text))
    }

    /// The path as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The absolute path of the folder that it lies in.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Its format.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn error(&self, line: Option<u32>, fault: Fault) -> PlanError {
        PlanError { file: self.name.clone(), line, fault }
    }

    pub(super) fn tree(&self) -> Result<Node, Located> {
        match self.format {
            Format::Toml => toml::parse(&self.text),
            Format::Json => json::parse(&self.text),
        }
    }
}

fn format(path: &Path, text: &str) -> Format {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some(extension) if extension.eq_ignore_ascii_case("toml") => Format::Toml,
        Some(extension) if extension.eq_ignore_ascii_case("json") => Format::Json,
        // No TOML document begins with a brace.
        _ if text.trim_start().starts_with('{') => Format::Json,
        _ => Format::Toml,
    }
}

/// Why a file was not read.
pub(super) enum ReadProblem {
    Io(io::ErrorKind),
    NotAFile,
    TooLarge,
}

/// Reads a regular file of at most so many bytes.
pub(super) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, ReadProblem> {
    let io = |e: io::Error| ReadProblem::Io(e.kind());
    // Asked before opening: opening a pipe would wait for somebody to write into it.
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(ReadProblem::NotAFile);
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(limit + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > limit { Err(ReadProblem::TooLarge) } else { Ok(bytes) }
}

/// Whether a regular file is there and may be read; its content is not looked at.
pub(super) fn readable(path: &Path) -> Result<(), io::ErrorKind> {
    let metadata = std::fs::metadata(path).map_err(|e| e.kind())?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::IsADirectory);
    }
    File::open(path).map(|_| ()).map_err(|e| e.kind())
}
