//! `hv drift` and `hv manifest`: what agents claim, line by line, and how far it can be relied on.

use crate::Exit;
use crate::lines::{self, LinesArgs};
use crate::output::Refused;
use hv_integrations::{cmvk, iatp};

/// Measures how far what was observed lies from what was claimed, a pair of embeddings a line.
///
/// # Errors
/// As [`lines::answer`].
pub fn drift(args: &LinesArgs) -> Result<Exit, Refused> {
    lines::answer(args, cmvk::LINE_MAX_BYTES, cmvk::drift_line)
}

/// Reads and scores manifests, one a line.
///
/// # Errors
/// As [`lines::answer`].
pub fn manifest(args: &LinesArgs) -> Result<Exit, Refused> {
    lines::answer(args, iatp::MANIFEST_MAX_BYTES, iatp::manifest_line)
}
