//! Places for files that somebody asks for. The folder of a trail is none: every file in it that is not the trail's own
//! counts as tampering, so hv would break what it has kept.

use crate::run::place;
use clap::builder::{PathBufValueParser, TypedValueParser};
use std::path::{Path, PathBuf};

/// The file that every trail begins with.
const FIRST: &str = "00000000.seg";

/// Reads a path at which hv is to write.
pub(crate) fn parser() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match trail_of(&path) {
        Some(trail) => Err(format!(
            "{} is the folder of a trail, where every other file counts as tampering; choose a place outside",
            trail.display()
        )),
        None => Ok(path),
    })
}

/// The folder of a trail in which a path lies, whatever links lead there.
pub(crate) fn trail_of(path: &Path) -> Option<PathBuf> {
    let path = place::real(&place::absolute(path).ok()?);
    path.ancestors().find(|folder| is_trail(folder)).map(Path::to_owned)
}

/// Whether a folder is that of a trail.
pub(crate) fn is_trail(folder: &Path) -> bool {
    folder.join(FIRST).is_file()
}
